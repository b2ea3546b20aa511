//! Device settings, written over generic netlink.

use super::op::Setting;
use crate::kernel::netlink::ethtool::{self, Category, FAMILY, write_fec_modes, write_wanted};
use crate::kernel::netlink::{Connection, Family, FamilyError, NetlinkError, Protocol};
use crate::state::{Coalesce, Duplex, FEATURE_ALIASES, FecMode, Pause, Ring};

/// A conversation with the family `ethtool`.
pub(super) struct Ethtool {
    connection: Connection,
    family: u16,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum EthtoolError {
    #[error("cannot open a netlink socket")]
    Open(#[from] std::io::Error),
    #[error(transparent)]
    Family(#[from] FamilyError),
}

impl Ethtool {
    pub(super) async fn open() -> Result<Self, EthtoolError> {
        let mut connection = Connection::open(Protocol::Generic)?;
        let family = Family::resolve(&mut connection, FAMILY).await?.id;
        Ok(Self { connection, family })
    }

    pub(super) async fn set(&mut self, link: u32, setting: &Setting) -> Result<(), NetlinkError> {
        let Self { connection, family } = self;
        let set = |category: Category, fill: &dyn Fn(&mut crate::kernel::netlink::Writer<'_>)| {
            category.set(*family, link, |w| fill(w))
        };
        let request = match setting {
            Setting::Features(features) => set(Category::Features, &|w| {
                write_wanted(w, features.iter().map(|(name, on)| (kernel_name(name), *on)));
            }),
            Setting::Pause(pause) => set(Category::Pause, &|w| self::pause(pause).write(w)),
            Setting::Coalesce(coalesce) => set(Category::Coalesce, &|w| self::coalesce(coalesce).write(w)),
            Setting::Ring(ring) => set(Category::Rings, &|w| rings(ring).write(w)),
            Setting::Fec { auto, mode } => set(Category::Fec, &|w| {
                if !auto {
                    write_fec_modes(w, [fec_mode(mode.unwrap_or(FecMode::Off))]);
                }
                ethtool::Fec { auto: Some(*auto), active: None }.write(w);
            }),
            Setting::LinkModes { autoneg, speed, duplex } => {
                let duplex = duplex.map(|duplex| u8::from(duplex == Duplex::Full));
                let modes = ethtool::LinkModes { autoneg: Some(*autoneg), speed: *speed, duplex };
                set(Category::LinkModes, &|w| modes.write(w))
            }
        };
        connection.request(&request).await
    }
}

/// The kernel's name of a feature that may be given by its everyday name.
fn kernel_name(name: &str) -> &str {
    FEATURE_ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, kernel)| kernel)
}

/// Names of `enum ethtool_link_mode_bit_indices`, linux/ethtool.h.
fn fec_mode(mode: FecMode) -> &'static str {
    match mode {
        FecMode::Off => "None",
        FecMode::Rs => "RS",
        FecMode::Baser => "BASER",
        FecMode::Llrs => "LLRS",
    }
}

fn pause(pause: &Pause) -> ethtool::Pause {
    ethtool::Pause { autoneg: pause.autoneg, rx: pause.rx, tx: pause.tx }
}

fn rings(ring: &Ring) -> ethtool::Rings {
    ethtool::Rings {
        rx: ring.rx,
        rx_mini: ring.rx_mini,
        rx_jumbo: ring.rx_jumbo,
        tx: ring.tx,
        ..ethtool::Rings::default()
    }
}

fn coalesce(coalesce: &Coalesce) -> ethtool::Coalesce {
    ethtool::Coalesce {
        rx_usecs: coalesce.rx_usecs,
        rx_frames: coalesce.rx_frames,
        rx_usecs_irq: coalesce.rx_usecs_irq,
        rx_frames_irq: coalesce.rx_frames_irq,
        tx_usecs: coalesce.tx_usecs,
        tx_frames: coalesce.tx_frames,
        tx_usecs_irq: coalesce.tx_usecs_irq,
        tx_frames_irq: coalesce.tx_frames_irq,
        stats_block_usecs: coalesce.stats_block_usecs,
        adaptive_rx: coalesce.adaptive_rx,
        adaptive_tx: coalesce.adaptive_tx,
        pkt_rate_low: coalesce.pkt_rate_low,
        rx_usecs_low: coalesce.rx_usecs_low,
        rx_frames_low: coalesce.rx_frames_low,
        tx_usecs_low: coalesce.tx_usecs_low,
        tx_frames_low: coalesce.tx_frames_low,
        pkt_rate_high: coalesce.pkt_rate_high,
        rx_usecs_high: coalesce.rx_usecs_high,
        rx_frames_high: coalesce.rx_frames_high,
        tx_usecs_high: coalesce.tx_usecs_high,
        tx_frames_high: coalesce.tx_frames_high,
        sample_interval: coalesce.sample_interval,
    }
}
