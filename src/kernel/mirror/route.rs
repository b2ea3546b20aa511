//! Routes: `RTM_NEWROUTE`.

use crate::kernel::netlink::uapi::route::*;
use crate::kernel::netlink::{Attr, Attrs, Message, Value};
use nix::libc;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A route. The order is table, destination, metric, and then whatever else tells two apart.
///
/// The kernel tells routes apart by all of these, so a set of them is its table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub table: u32,
    pub destination: IpAddr,
    pub prefix: u8,
    pub tos: u8,
    pub metric: u32,
    /// IPv6 only: the route is for packets from there.
    pub from: Option<(IpAddr, u8)>,
    /// `RTN_*`
    pub kind: u8,
    /// `RT_SCOPE_*`
    pub scope: u8,
    /// `RTPROT_*`
    pub protocol: u8,
    /// Preferred source address.
    pub source: Option<IpAddr>,
    pub hops: Hops,
    /// `RTA_METRICS`: (`RTAX_*`, value), ascending.
    pub metrics: Metrics,
    /// Id of a nexthop object; 0 none.
    pub nexthop_id: u32,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hops {
    None,
    One(Hop),
    /// Several, each with its weight.
    Many(Box<[Hop]>),
}

/// One next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hop {
    /// Index of the link; 0 none.
    pub link: u32,
    pub gateway: Option<IpAddr>,
    /// 1 to 256.
    pub weight: u16,
    /// The gateway is on the link whatever the addresses say (`RTNH_F_ONLINK`).
    pub onlink: bool,
}

/// Metrics of a route; most have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metrics(Box<[(u16, u32)]>);

impl Metrics {
    /// Returns a metric by its number, `RTAX_*`.
    pub fn get(&self, number: u16) -> Option<u32> {
        self.iter().find(|(n, _)| *n == number).map(|(_, v)| v)
    }

    /// Returns whether the kernel must not adapt a metric (`RTAX_LOCK`).
    pub fn is_locked(&self, number: u16) -> bool {
        self.get(RTAX_LOCK).is_some_and(|locks| locks & (1 << number) != 0)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u16, u32)> {
        self.0.iter().copied()
    }

    fn read(attrs: Attrs<'_>) -> Self {
        // RTAX_CC_ALGO is text and has no place in the document.
        let numbers = attrs.filter(|attr| attr.kind != RTAX_CC_ALGO);
        Self(numbers.filter_map(|attr| Some((attr.kind, attr.get()?))).collect())
    }
}

impl Hops {
    pub fn as_slice(&self) -> &[Hop] {
        match self {
            Self::None => &[],
            Self::One(hop) => std::slice::from_ref(hop),
            Self::Many(hops) => hops,
        }
    }

    fn from(mut hops: Vec<Hop>) -> Self {
        match hops.len() {
            0 => Self::None,
            1 => Self::One(hops.remove(0)),
            _ => Self::Many(hops.into()),
        }
    }
}

impl Route {
    /// Reads a route; `None` for other families and for entries of the route cache.
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        let (header, attrs) = message.body::<12>()?;
        let flags = u32::from_ne_bytes([header[8], header[9], header[10], header[11]]);
        let any = match i32::from(header[0]) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            _ => return None,
        };
        if flags & libc::RTM_F_CLONED != 0 {
            return None;
        }
        let mut route = Self {
            table: u32::from(header[4]),
            destination: any,
            prefix: header[1],
            tos: header[3],
            metric: 0,
            from: (header[2] != 0).then_some((any, header[2])),
            kind: header[7],
            scope: header[6],
            protocol: header[5],
            source: None,
            hops: Hops::None,
            metrics: Metrics::default(),
            nexthop_id: 0,
        };
        let mut hop = Hop { link: 0, gateway: None, weight: 1, onlink: flags & RTNH_F_ONLINK != 0 };
        let mut hops = Vec::new();
        for attr in attrs {
            match attr.kind {
                libc::RTA_DST => route.destination = attr.get().unwrap_or(any),
                libc::RTA_SRC => route.from = attr.get().map(|from| (from, header[2])),
                libc::RTA_TABLE => route.table = attr.get().unwrap_or(route.table),
                libc::RTA_PRIORITY => route.metric = attr.get().unwrap_or_default(),
                libc::RTA_PREFSRC => route.source = attr.get(),
                libc::RTA_OIF => hop.link = attr.get().unwrap_or_default(),
                libc::RTA_GATEWAY => hop.gateway = attr.get(),
                libc::RTA_VIA => hop.gateway = read_via(attr),
                libc::RTA_METRICS => route.metrics = Metrics::read(attr.nested()),
                libc::RTA_MULTIPATH => hops = read_hops(attr.payload),
                RTA_NH_ID => route.nexthop_id = attr.get().unwrap_or_default(),
                _ => {}
            }
        }
        if hops.is_empty() && (hop.link != 0 || hop.gateway.is_some()) {
            hops.push(hop);
        }
        if route.is_v6() {
            // The kernel starts the list at whichever hop it has at hand.
            hops.sort_unstable();
        }
        route.hops = Hops::from(hops);
        Some(route)
    }

    pub fn is_v6(&self) -> bool {
        self.destination.is_ipv6()
    }

    /// Returns whether two routes compete: the kernel's key (IPv4: FIB alias; IPv6: FIB node and
    /// metric).
    fn competes(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    fn key(&self) -> (u32, IpAddr, u8, u8, u32, Option<(IpAddr, u8)>) {
        let Self { table, destination, prefix, tos, metric, from, .. } = self;
        (*table, *destination, *prefix, *tos, *metric, *from)
    }

    /// The least route of this one's key.
    fn floor(&self) -> Self {
        Self {
            kind: 0,
            scope: 0,
            protocol: 0,
            source: None,
            hops: Hops::None,
            metrics: Metrics::default(),
            nexthop_id: 0,
            ..*self
        }
    }

    fn has_hop(&self, hop: &Hop) -> bool {
        let is_hop = |own: &Hop| own.link == hop.link && own.gateway == hop.gateway;
        self.hops.as_slice().iter().any(is_hop)
    }
}

/// `struct rtvia`: a gateway of the other family.
fn read_via(attr: Attr<'_>) -> Option<IpAddr> {
    attr.payload.get(2..).and_then(IpAddr::read)
}

/// Reads a run of `struct rtnexthop`, each with attributes.
fn read_hops(mut bytes: &[u8]) -> Vec<Hop> {
    const HEADER: usize = 8;
    let mut hops = Vec::new();
    while let Some((header, _)) = bytes.split_first_chunk::<HEADER>() {
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let Some(attrs) = bytes.get(HEADER..length) else {
            break;
        };
        let attrs = Attrs::new(attrs);
        let gateway = attrs.first(libc::RTA_GATEWAY).and_then(|attr| attr.get());
        hops.push(Hop {
            link: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
            gateway: gateway.or_else(|| attrs.first(libc::RTA_VIA).and_then(read_via)),
            weight: u16::from(header[3]) + 1,
            onlink: u32::from(header[2]) & RTNH_F_ONLINK != 0,
        });
        bytes = bytes.get((length + 3) & !3..).unwrap_or_default();
    }
    hops
}

/// Whether a change could be followed from its notification alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    Exactly,
    /// The notification fits several routes; only a dump tells.
    Ambiguous,
}

/// Follows `RTM_NEWROUTE` with its header flags.
///
/// `NLM_F_REPLACE`: what it replaces is not announced. IPv6 tells a multipath route as a whole
/// each time a hop joins.
pub(super) fn add(routes: &mut BTreeSet<Route>, route: Route, replaces: bool) -> Followed {
    let mut followed = Followed::Exactly;
    if replaces || route.is_v6() {
        let rivals: Vec<Route> = routes
            .range(route.floor()..)
            .take_while(|other| other.competes(&route))
            .filter(|other| replaces || other.hops.as_slice().iter().all(|hop| route.has_hop(hop)))
            .cloned()
            .collect();
        if replaces && rivals.len() > 1 {
            followed = Followed::Ambiguous;
        }
        for rival in &rivals {
            routes.remove(rival);
        }
    }
    routes.insert(route);
    followed
}

/// Follows `RTM_DELROUTE`. IPv6 tells a removed hop of a multipath route as a route of one hop.
pub(super) fn remove(routes: &mut BTreeSet<Route>, route: &Route) -> Followed {
    if routes.remove(route) {
        return Followed::Exactly;
    }
    let rivals: Vec<Route> = routes
        .range(route.floor()..)
        .take_while(|other| other.competes(route))
        .filter(|other| !route.is_v6() || route.hops.as_slice().iter().any(|hop| other.has_hop(hop)))
        .cloned()
        .collect();
    match rivals.as_slice() {
        // Never seen, or already dropped with its link.
        [] => Followed::Exactly,
        [rival] if route.is_v6() && matches!(rival.hops, Hops::Many(_)) => {
            let rest = rival.hops.as_slice().iter().copied();
            let rest: Vec<Hop> = rest.filter(|hop| !route.has_hop(hop)).collect();
            routes.remove(rival);
            if !rest.is_empty() {
                routes.insert(Route { hops: Hops::from(rest), ..rival.clone() });
            }
            Followed::Exactly
        }
        [_, ..] => Followed::Ambiguous,
    }
}
