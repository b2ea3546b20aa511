//! Neighbours: whether the next hop of a route answers (linux/neighbour.h, net/core/neighbour.c).

use super::{Message, Request};
use nix::libc;
use std::net::IpAddr;

/// `NDA_FLAGS_EXT`
const NDA_FLAGS_EXT: u16 = 15;
/// `NTF_EXT_LEARNED`
const NTF_EXT_LEARNED: u8 = 1 << 4;
/// Flags that a replaced entry loses unless it is told to keep them.
const KEPT: u8 = libc::NTF_ROUTER | NTF_EXT_LEARNED;
/// An entry in one of these states has a hardware address (`NUD_VALID` of net/neighbour.h).
const VALID: u16 = libc::NUD_PERMANENT
    | libc::NUD_NOARP
    | libc::NUD_REACHABLE
    | libc::NUD_PROBE
    | libc::NUD_STALE
    | libc::NUD_DELAY;

/// An entry of the neighbour tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    pub ip: IpAddr,
    /// `NUD_*`
    pub state: u16,
    /// `NTF_*`
    flags: u8,
    /// `NTF_EXT_*`
    more_flags: Option<u32>,
}

impl Neighbour {
    pub fn read(message: &Message<'_>) -> Option<Self> {
        if message.kind != libc::RTM_NEWNEIGH {
            return None;
        }
        let (header, attrs) = message.body::<12>()?;
        Some(Self {
            link: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
            state: u16::from_ne_bytes([header[8], header[9]]),
            flags: header[10],
            ip: attrs.first(libc::NDA_DST)?.get()?,
            more_flags: attrs.first(NDA_FLAGS_EXT).and_then(|attr| attr.get()),
        })
    }

    /// Whether a hardware address is known.
    pub fn is_valid(&self) -> bool {
        self.state & VALID != 0
    }

    /// Whether nobody is ever asked about it.
    pub fn is_fixed(&self) -> bool {
        self.state & (libc::NUD_PERMANENT | libc::NUD_NOARP) != 0
    }

    /// Asks for the entry.
    pub fn get(link: u32, ip: IpAddr) -> Request {
        request(libc::RTM_GETNEIGH, 0, link, ip, 0, 0)
    }

    /// Puts the entry into that state, and leaves all else as it is.
    pub fn enter(&self, state: u16) -> Request {
        let flags = self.flags & KEPT;
        request(libc::RTM_NEWNEIGH, libc::NLM_F_REPLACE, self.link, self.ip, state, flags).with(|writer| {
            writer.put_some(NDA_FLAGS_EXT, self.more_flags.as_ref());
        })
    }

    /// Makes the kernel look for the hardware address of an entry that has none, as a packet to it
    /// would.
    pub fn look_for(link: u32, ip: IpAddr) -> Request {
        request(libc::RTM_NEWNEIGH, libc::NLM_F_CREATE, link, ip, libc::NUD_NONE, libc::NTF_USE)
    }
}

/// `struct ndmsg`, and the address.
fn request(kind: u16, how: libc::c_int, link: u32, ip: IpAddr, state: u16, flags: u8) -> Request {
    let family = if ip.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let mut header = [0; 12];
    header[0] = u8::try_from(family).expect("a family of the internet is small");
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    Request::new(kind, how, &header).with(|writer| writer.put(libc::NDA_DST, &ip))
}

/// A link, as far as it matters to who is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFlags {
    pub index: u32,
    /// `IFF_*`
    flags: u32,
}

impl LinkFlags {
    /// Asks for the link of that name.
    pub fn get(name: &str) -> Request {
        Request::new(libc::RTM_GETLINK, 0, &[0; 16]).with(|writer| writer.text(libc::IFLA_IFNAME, name))
    }

    pub fn read(message: &Message<'_>) -> Option<Self> {
        let (header, _) = message.body::<16>()?;
        let field =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        (message.kind == libc::RTM_NEWLINK).then(|| Self { index: field(4), flags: field(8) })
    }

    /// Whether it is up, and what it needs below it as well.
    pub fn carries(self) -> bool {
        self.has(libc::IFF_UP) && self.has(libc::IFF_LOWER_UP)
    }

    /// Whether nobody on it has a hardware address to be asked for.
    pub fn has_no_neighbours(self) -> bool {
        self.has(libc::IFF_NOARP) || self.has(libc::IFF_POINTOPOINT)
    }

    fn has(self, flag: libc::c_int) -> bool {
        u32::try_from(flag).is_ok_and(|flag| self.flags & flag != 0)
    }
}
