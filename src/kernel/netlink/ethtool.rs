//! Device settings: the generic netlink family `ethtool` (linux/ethtool_netlink.h).

use super::attr::{Attr, Attrs, Writer};
use super::generic::generic_request;
use super::message::{Message, Request};
use crate::kernel::netlink::GENERIC_HEADER;

pub const FAMILY: &str = "ethtool";
/// The multicast group of its notifications.
pub const MONITOR: &str = "monitor";
const VERSION: u8 = 1;

/// Every request and answer starts with a nested header.
const HEADER: u16 = 1;
const HEADER_INDEX: u16 = 1;
const HEADER_FLAGS: u16 = 3;
/// Answers carry bit sets as plain bytes instead of a nested list of names.
const FLAG_COMPACT_BITSETS: u32 = 1;

/// A group of settings with messages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Coalesce,
    Features,
    Fec,
    LinkModes,
    Pause,
    Rings,
}

impl Category {
    pub const ALL: [Self; 6] =
        [Self::Coalesce, Self::Features, Self::Fec, Self::LinkModes, Self::Pause, Self::Rings];

    /// `ETHTOOL_MSG_*_GET`; the command to set is the next number.
    const fn get_command(self) -> u8 {
        match self {
            Self::LinkModes => 4,
            Self::Features => 11,
            Self::Rings => 15,
            Self::Coalesce => 19,
            Self::Pause => 21,
            Self::Fec => 29,
        }
    }

    /// `ETHTOOL_MSG_*_NTF`
    const fn notification(self) -> u8 {
        match self {
            Self::LinkModes => 5,
            Self::Features => 13,
            Self::Rings => 17,
            Self::Coalesce => 21,
            Self::Pause => 23,
            Self::Fec => 31,
        }
    }

    /// Asks for the settings of one link, or, as a dump, of all.
    pub fn get(self, family: u16, link: Option<u32>) -> Request {
        generic_request(family, self.get_command(), VERSION, |w| {
            w.nest(HEADER, |w| {
                w.put_some(HEADER_INDEX, link.as_ref());
                w.put(HEADER_FLAGS, &FLAG_COMPACT_BITSETS);
            });
        })
    }

    /// Changes settings of one link; `fill` writes them (`Rings::write`, ...).
    pub fn set(self, family: u16, link: u32, fill: impl FnOnce(&mut Writer<'_>)) -> Request {
        generic_request(family, self.get_command() + 1, VERSION, |w| {
            w.nest(HEADER, |w| w.put(HEADER_INDEX, &link));
            fill(w);
        })
    }
}

/// Reads which link and category a notification is about.
pub fn read_notification(message: &Message<'_>) -> Option<(u32, Category)> {
    let (header, _) = message.body::<GENERIC_HEADER>()?;
    let category = Category::ALL.into_iter().find(|category| category.notification() == header[0])?;
    Some((read_answer(message)?.0, category))
}

/// Splits an answer into the index of its link and its attributes.
pub fn read_answer<'a>(message: &Message<'a>) -> Option<(u32, Attrs<'a>)> {
    let (_, attrs) = message.body::<GENERIC_HEADER>()?;
    let link = attrs.first(HEADER)?.nested().first(HEADER_INDEX)?.get()?;
    Some((link, attrs))
}

attributes! {
    /// `ETHTOOL_A_RINGS_*`, in descriptors.
    Rings {
        rx: u32 = 6,
        rx_mini: u32 = 7,
        rx_jumbo: u32 = 8,
        tx: u32 = 9,
    }
    shown {
        rx_max: u32 = 2,
        rx_mini_max: u32 = 3,
        rx_jumbo_max: u32 = 4,
        tx_max: u32 = 5,
    }
}

attributes! {
    /// `ETHTOOL_A_COALESCE_*`
    Coalesce {
        rx_usecs: u32 = 2,
        rx_frames: u32 = 3,
        rx_usecs_irq: u32 = 4,
        rx_frames_irq: u32 = 5,
        tx_usecs: u32 = 6,
        tx_frames: u32 = 7,
        tx_usecs_irq: u32 = 8,
        tx_frames_irq: u32 = 9,
        stats_block_usecs: u32 = 10,
        adaptive_rx: bool = 11,
        adaptive_tx: bool = 12,
        pkt_rate_low: u32 = 13,
        rx_usecs_low: u32 = 14,
        rx_frames_low: u32 = 15,
        tx_usecs_low: u32 = 16,
        tx_frames_low: u32 = 17,
        pkt_rate_high: u32 = 18,
        rx_usecs_high: u32 = 19,
        rx_frames_high: u32 = 20,
        tx_usecs_high: u32 = 21,
        tx_frames_high: u32 = 22,
        sample_interval: u32 = 23,
    }
}

attributes! {
    /// `ETHTOOL_A_PAUSE_*`
    Pause {
        autoneg: bool = 2,
        rx: bool = 3,
        tx: bool = 4,
    }
}

attributes! {
    /// `ETHTOOL_A_LINKMODES_*`
    LinkModes {
        autoneg: bool = 2,
        /// Mbit/s; [`SPEED_UNKNOWN`] without link.
        speed: u32 = 5,
        /// 0 half, 1 full, 255 unknown.
        duplex: u8 = 6,
    }
}

/// `SPEED_UNKNOWN`, linux/ethtool.h.
pub const SPEED_UNKNOWN: u32 = u32::MAX;

attributes! {
    /// `ETHTOOL_A_FEC_*`
    Fec {
        auto: bool = 3,
    }
    shown {
        /// `ETHTOOL_LINK_MODE_FEC_*_BIT`: 49 none, 50 RS, 51 BASER, 74 LLRS.
        active: u32 = 4,
    }
}

/// A set of features by number, room for twice what kernels have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bits([u32; Bits::WORDS]);

impl Bits {
    const WORDS: usize = 4;
    /// `ETHTOOL_A_BITSET_VALUE`
    const VALUE: u16 = 4;

    fn read(bitset: Attr<'_>) -> Self {
        let mut bits = Self::default();
        if let Some(value) = bitset.nested().first(Self::VALUE) {
            for (word, bytes) in bits.0.iter_mut().zip(value.payload.chunks_exact(4)) {
                *word = bytes.try_into().map_or(0, u32::from_ne_bytes);
            }
        }
        bits
    }

    pub fn has(&self, bit: usize) -> bool {
        let word = self.0.get(bit / 32);
        word.is_some_and(|word| word & (1 << (bit % 32)) != 0)
    }

    fn without(mut self, other: Self) -> Self {
        for (word, remove) in self.0.iter_mut().zip(other.0) {
            *word &= !remove;
        }
        self
    }
}

/// `ETHTOOL_A_FEATURES_*`: offloads, by the numbers of [`read_feature_names`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    pub changeable: Bits,
    pub active: Bits,
}

impl Features {
    pub fn read(attrs: Attrs<'_>) -> Self {
        let (mut hardware, mut fixed, mut active) = Default::default();
        for attr in attrs {
            match attr.kind {
                2 => hardware = Bits::read(attr),
                4 => active = Bits::read(attr),
                5 => fixed = Bits::read(attr),
                _ => {}
            }
        }
        Self { changeable: Bits::without(hardware, fixed), active }
    }
}

/// `ETHTOOL_A_FEATURES_WANTED`
const FEATURES_WANTED: u16 = 3;
/// `ETHTOOL_A_FEC_MODES`
const FEC_MODES: u16 = 2;

/// Writes wanted features by name.
pub fn write_wanted<'a>(writer: &mut Writer<'_>, wanted: impl IntoIterator<Item = (&'a str, bool)>) {
    write_bits(writer, FEATURES_WANTED, wanted);
}

/// Writes the modes of forward error correction to choose from, by name: `None`, `RS`, `BASER`,
/// `LLRS`. The list is complete: what is not named is off.
pub fn write_fec_modes<'a>(writer: &mut Writer<'_>, modes: impl IntoIterator<Item = &'a str>) {
    /// `ETHTOOL_A_BITSET_NOMASK`
    const NO_MASK: u16 = 1;
    writer.nest(FEC_MODES, |w| {
        w.put(NO_MASK, &super::Present);
        write_bit_list(w, modes.into_iter().map(|mode| (mode, true)));
    });
}

/// A bit set of names and values.
fn write_bits<'a>(writer: &mut Writer<'_>, kind: u16, bits: impl IntoIterator<Item = (&'a str, bool)>) {
    writer.nest(kind, |w| write_bit_list(w, bits));
}

fn write_bit_list<'a>(writer: &mut Writer<'_>, bits: impl IntoIterator<Item = (&'a str, bool)>) {
    const BITS: u16 = 3;
    const BIT: u16 = 1;
    const BIT_NAME: u16 = 2;
    const BIT_VALUE: u16 = 3;
    writer.nest(BITS, |w| {
        for (name, value) in bits {
            w.nest(BIT, |w| {
                w.text(BIT_NAME, name);
                if value {
                    w.put(BIT_VALUE, &super::Present);
                }
            });
        }
    });
}

/// Asks for the names of the features of this kernel (`ETH_SS_FEATURES`).
pub fn feature_names(family: u16) -> Request {
    const STRSET_GET: u8 = 1;
    const STRINGSETS: u16 = 2;
    const STRINGSET: u16 = 1;
    const STRINGSET_ID: u16 = 1;
    const FEATURES: u32 = 4;
    generic_request(family, STRSET_GET, VERSION, |w| {
        w.nest(HEADER, |_| {});
        w.nest(STRINGSETS, |w| {
            w.nest(STRINGSET, |w| w.put(STRINGSET_ID, &FEATURES));
        });
    })
}

/// Reads the names of the features, each at its number.
pub fn read_feature_names(message: &Message<'_>) -> Option<Vec<Box<str>>> {
    const STRINGSETS: u16 = 2;
    const STRINGSET: u16 = 1;
    const STRINGS: u16 = 3;
    const STRING_VALUE: u16 = 2;
    let (_, attrs) = message.body::<GENERIC_HEADER>()?;
    let set = attrs.first(STRINGSETS)?.nested().first(STRINGSET)?;
    let strings = set.nested().first(STRINGS)?.nested();
    // The kernel lists them in order, each with its number.
    let names = strings.map(|string| {
        let name = string.nested().first(STRING_VALUE);
        name.and_then(|name| name.text()).unwrap_or_default().into()
    });
    Some(names.collect())
}
