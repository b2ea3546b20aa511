//! Addresses: `RTM_NEWADDR`.

use crate::kernel::netlink::uapi::address::*;
use crate::kernel::netlink::{Message, Value};
use nix::libc;
use std::net::IpAddr;

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub link: u32,
    pub ip: IpAddr,
    pub prefix: u8,
    /// The other end, on a point-to-point link; the prefix is then its own.
    pub peer: Option<IpAddr>,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `IFA_F_*`
    pub flags: u32,
    /// Seconds left when the kernel told; [`FOREVER`] without end.
    pub valid_s: u32,
    pub preferred_s: u32,
    /// `IFAPROT_*`: 1 loopback, 2 router advertisement, 3 kernel link-local; 0 unknown.
    pub protocol: u8,
    /// Metric of the route to the prefix; 0 the default.
    pub metric: u32,
}

impl Address {
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        let (header, attrs) = message.body::<8>()?;
        let (mut address, mut local) = (None, None);
        let mut read = Self {
            link: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
            ip: IpAddr::from([0; 4]),
            prefix: header[1],
            peer: None,
            scope: header[3],
            flags: u32::from(header[2]),
            valid_s: FOREVER,
            preferred_s: FOREVER,
            protocol: 0,
            metric: 0,
        };
        for attr in attrs {
            match attr.kind {
                libc::IFA_ADDRESS => address = attr.get(),
                libc::IFA_LOCAL => local = attr.get(),
                // The header has room for eight flags; this attribute has all of them.
                IFA_FLAGS => read.flags = attr.get().unwrap_or(read.flags),
                IFA_RT_PRIORITY => read.metric = attr.get().unwrap_or_default(),
                IFA_PROTO => read.protocol = attr.get().unwrap_or_default(),
                // struct ifa_cacheinfo: preferred, valid, two time stamps
                libc::IFA_CACHEINFO => {
                    let field = |at: usize| u32::read(attr.payload.get(at..at + 4)?);
                    read.preferred_s = field(0).unwrap_or(FOREVER);
                    read.valid_s = field(4).unwrap_or(FOREVER);
                }
                _ => {}
            }
        }
        read.ip = local.or(address)?;
        read.peer = address.filter(|peer| *peer != read.ip);
        Some(read)
    }

    /// Returns whether two descriptions are of one address (its other properties may differ).
    pub(super) fn is_same(&self, other: &Self) -> bool {
        (self.ip, self.prefix, self.peer) == (other.ip, other.prefix, other.peer)
    }

    pub fn is_permanent(&self) -> bool {
        self.valid_s == FOREVER
    }

    pub fn is_secondary(&self) -> bool {
        self.ip.is_ipv4() && self.flags & libc::IFA_F_SECONDARY != 0
    }

    /// Returns where in the kernel's list a new address goes. IPv4 (net/ipv4/devinet.c): primary
    /// addresses in order of arrival, wider scope first, then secondary ones. IPv6
    /// (net/ipv6/addrconf.c): wider scope first, newest first.
    pub(super) fn place(&self, list: &[Self]) -> usize {
        let family = |other: &Self| other.ip.is_ipv4() == self.ip.is_ipv4();
        if self.ip.is_ipv6() {
            let first = list.iter().position(|other| family(other) && other.scope >= self.scope);
            return first.unwrap_or(list.len());
        }
        let before: fn(&Self, &Self) -> bool = if self.is_secondary() {
            |_, _| true
        } else {
            |new, other| !other.is_secondary() && new.scope >= other.scope
        };
        let last = list.iter().rposition(|other| family(other) && before(self, other));
        last.map_or_else(
            // IPv4 stands before IPv6.
            || list.iter().position(family).unwrap_or(0),
            |last| last + 1,
        )
    }
}
