//! Routes and rules as the kernel has them, and what leads from one set of routes to another.
//!
//! The document lists one entry per next hop. IPv4 keeps the hops of a route together, so entries
//! that differ only in their hop become one route with several; the IPv6 stack joins and parts
//! hops by itself (Documentation/networking/ip-sysctl.rst, net/ipv6/ip6_fib.c).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::op::Op;
use crate::state::{Family, Net, Route, RouteRule, RouteType, RuleAction};

/// `RT_TABLE_MAIN`
const TABLE_MAIN: u32 = 254;
/// `IP6_RT_PRIO_USER`: what the IPv6 stack takes for no metric.
const METRIC_V6: u32 = 1024;

/// A route as one object of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backend) struct RouteSpec {
    pub destination: Net,
    pub table: u32,
    pub metric: u32,
    /// None leads somewhere.
    pub kind: Option<RouteType>,
    pub hops: Vec<Hop>,
    pub source: Option<IpAddr>,
    pub metrics: Metrics,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::backend) struct Hop {
    pub link: String,
    pub gateway: Option<IpAddr>,
    /// 1 to 256.
    pub weight: u16,
}

/// Attributes of connections that use the route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::backend) struct Metrics {
    /// Locked.
    pub cwnd: Option<u32>,
    pub initcwnd: Option<u32>,
    pub initrwnd: Option<u32>,
    pub mtu: Option<u32>,
    pub lock_mtu: bool,
    pub quickack: bool,
    pub advmss: Option<u32>,
}

impl RouteSpec {
    /// None for an entry that says neither where to nor through what family.
    pub(in crate::backend) fn of(route: &Route, vrf_table: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        let is_any = |address: &IpAddr| address.is_unspecified();
        let gateway = route.next_hop_address.filter(|address| !is_any(address));
        let destination = route.destination.or_else(|| {
            let family = route.next_hop_address.or(route.source)?;
            Some(Net::default_route(family.is_ipv6()))
        })?;
        let is_v6 = destination.is_v6();
        let metric = route.metric.and_then(|metric| u32::try_from(metric).ok()).unwrap_or(0);
        let table = route.table_id.filter(|table| *table != 0);
        let hop = route.next_hop_interface.as_ref().filter(|_| route.route_type.is_none());
        Some(Self {
            destination,
            table: table.or_else(|| route.vrf_name.as_deref().and_then(vrf_table)).unwrap_or(TABLE_MAIN),
            metric: if is_v6 && metric == 0 { METRIC_V6 } else { metric },
            kind: route.route_type,
            hops: hop
                .map(|link| Hop { link: link.clone(), gateway, weight: route.weight.unwrap_or(1).max(1) })
                .into_iter()
                .collect(),
            source: route.source,
            metrics: Metrics {
                cwnd: route.cwnd,
                initcwnd: route.initcwnd,
                initrwnd: route.initrwnd,
                mtu: route.mtu,
                lock_mtu: route.lock_mtu == Some(true),
                quickack: route.quickack == Some(true),
                advmss: route.advmss,
            },
        })
    }

    pub(super) fn is_v6(&self) -> bool {
        self.destination.is_v6()
    }

    /// The link of its first hop.
    pub(super) fn link(&self) -> Option<&str> {
        self.hops.first().map(|hop| hop.link.as_str())
    }

    fn key(&self) -> Key {
        (self.destination, self.table, self.metric)
    }

    fn has_gateway(&self) -> bool {
        self.hops.iter().any(|hop| hop.gateway.is_some())
    }

    /// Whether two routes are one but for their hops.
    fn is_sibling(&self, other: &Self) -> bool {
        let Self { destination, table, metric, kind, hops: _, source, metrics } = other;
        (self.destination, self.table, self.metric) == (*destination, *table, *metric)
            && (self.kind, self.source, self.metrics) == (*kind, *source, *metrics)
    }
}

/// What routes compete by: destination, table, metric.
type Key = (Net, u32, u32);

/// Routes of the kernel by key, each key's in order of first mention.
#[derive(Default)]
struct Table(BTreeMap<Key, Vec<RouteSpec>>);

impl Table {
    /// IPv4 entries that differ only in their hop become one route.
    fn add(&mut self, spec: RouteSpec) {
        let rivals = self.0.entry(spec.key()).or_default();
        let joins = !spec.is_v6() && spec.kind.is_none();
        match rivals.iter().position(|rival| joins && rival.is_sibling(&spec)) {
            Some(place) => {
                let hops = &mut rivals[place].hops;
                for hop in spec.hops {
                    if !hops.contains(&hop) {
                        hops.push(hop);
                    }
                }
                hops.sort();
            }
            None if rivals.contains(&spec) => {}
            None => rivals.push(spec),
        }
    }

    fn has(&self, spec: &RouteSpec) -> bool {
        self.0.get(&spec.key()).is_some_and(|rivals| rivals.contains(spec))
    }

    /// Whether the route is there, alone or with other hops.
    fn covers(&self, spec: &RouteSpec) -> bool {
        let is_part = |rival: &RouteSpec| {
            rival.is_sibling(spec) && spec.hops.iter().all(|hop| rival.hops.contains(hop))
        };
        self.0.get(&spec.key()).is_some_and(|rivals| rivals.iter().any(is_part))
    }

    /// Routes without a gateway first: those with one lead over them.
    fn into_routes(self) -> impl Iterator<Item = RouteSpec> {
        let (direct, via): (Vec<_>, Vec<_>) =
            self.0.into_values().flatten().partition(|spec| !spec.has_gateway());
        direct.into_iter().chain(via)
    }
}

/// What leads from the routes that are there to those that shall be: removals, then additions.
pub(in crate::backend) struct RouteOps {
    pub remove: Vec<Op>,
    pub add: Vec<Op>,
}

impl RouteOps {
    /// `lost`: links whose routes the kernel has dropped meanwhile, so that all of them are added
    /// again.
    pub(in crate::backend) fn between(
        present: &[Route],
        removed: &[&Route],
        added: &[&Route],
        lost: &BTreeSet<String>,
        vrf_table: impl Fn(&str) -> Option<u32>,
    ) -> Self {
        if removed.is_empty() && added.is_empty() && lost.is_empty() {
            return Self { remove: Vec::new(), add: Vec::new() };
        }
        let of = |route: &Route| RouteSpec::of(route, &vrf_table);
        let specs =
            |list: &[&Route]| -> Vec<RouteSpec> { list.iter().filter_map(|route| of(route)).collect() };
        let (goes, comes) = (specs(removed), specs(added));
        // Only what competes with a change, or is lost, is looked at any further.
        let keys: BTreeSet<Key> = goes.iter().chain(&comes).map(RouteSpec::key).collect();
        let gone: BTreeMap<Key, Vec<&RouteSpec>> = goes.iter().fold(BTreeMap::new(), |mut gone, spec| {
            gone.entry(spec.key()).or_insert_with(Vec::new).push(spec);
            gone
        });
        let is_gone = |spec: &RouteSpec| gone.get(&spec.key()).is_some_and(|list| list.contains(&spec));
        let is_lost = |spec: &RouteSpec| spec.hops.iter().any(|hop| lost.contains(&hop.link));
        let (mut there, mut wanted) = (Table::default(), Table::default());
        for spec in present.iter().filter_map(of) {
            // All hops of a lost route are needed to say it again.
            if keys.contains(&spec.key()) || !lost.is_empty() {
                there.add(spec.clone());
                if !is_gone(&spec) {
                    wanted.add(spec);
                }
            }
        }
        // What went meanwhile is removed all the same.
        for spec in &goes {
            if !there.covers(spec) {
                there.add(spec.clone());
            }
        }
        comes.into_iter().for_each(|spec| wanted.add(spec));
        let remove = there.0.values().flatten().filter(|spec| !wanted.has(spec)).flat_map(removals).collect();
        let add = wanted.into_routes().filter(|spec| !there.has(spec) || is_lost(spec));
        let add = add.map(Op::AddRoute).collect();
        Self { remove, add }
    }
}

/// A route of several hops may also be there as several routes of one.
fn removals(spec: &RouteSpec) -> Vec<Op> {
    let whole = std::iter::once(spec.clone());
    let single = spec.hops.iter().filter(|_| spec.hops.len() > 1);
    let parts = single.map(|hop| RouteSpec { hops: vec![hop.clone()], ..spec.clone() });
    whole.chain(parts).map(Op::RemoveRoute).collect()
}

impl fmt::Display for RouteSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{kind} ")?;
        }
        write!(f, "{}", self.destination)?;
        for hop in &self.hops {
            if let Some(gateway) = hop.gateway {
                write!(f, " via {gateway}")?;
            }
            write!(f, " dev {}", hop.link)?;
            if hop.weight != 1 {
                write!(f, " weight {}", hop.weight)?;
            }
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        write!(f, " metric {} table {}", self.metric, self.table)
    }
}

/// A policy rule as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::backend) struct RuleSpec {
    pub is_v6: bool,
    pub priority: Option<u32>,
    pub from: Option<Net>,
    pub to: Option<Net>,
    pub table: Option<u32>,
    pub mark: Option<u32>,
    pub mask: Option<u32>,
    pub action: Option<RuleAction>,
    pub incoming: Option<String>,
    pub suppress_prefix_length: Option<u32>,
}

impl RuleSpec {
    pub(in crate::backend) fn of(rule: &RouteRule) -> Self {
        let from = rule.ip_from.and_then(|from| from.net());
        let to = rule.ip_to.and_then(|to| to.net());
        let is_v6 = match rule.family {
            Some(family) => family == Family::Ipv6,
            None => from.or(to).is_some_and(|net| net.is_v6()),
        };
        let table = rule.route_table.filter(|table| *table != 0);
        Self {
            is_v6,
            priority: rule.priority.and_then(|priority| u32::try_from(priority).ok()),
            from,
            to,
            table: if rule.action.is_some() { table } else { Some(table.unwrap_or(TABLE_MAIN)) },
            mark: rule.fwmark.map(|mark| mark.0),
            mask: rule.fwmask.map(|mask| mask.0),
            action: rule.action,
            incoming: rule.iif.clone(),
            suppress_prefix_length: rule.suppress_prefix_length,
        }
    }

    /// `0.0.0.0` or `::`.
    pub(super) fn any(&self) -> IpAddr {
        if self.is_v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() }
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_v6 { "ipv6" } else { "ipv4" })?;
        let mut word = |name: &str, value: Option<String>| match value {
            Some(value) => write!(f, " {name} {value}"),
            None => Ok(()),
        };
        word("from", self.from.map(|net| net.to_string()))?;
        word("to", self.to.map(|net| net.to_string()))?;
        word("iif", self.incoming.clone())?;
        word("mark", self.mark.map(|mark| format!("{mark:#x}")))?;
        word("mask", self.mask.map(|mask| format!("{mask:#x}")))?;
        word("table", self.table.map(|table| table.to_string()))?;
        word("action", self.action.map(|action| action.to_string()))?;
        word("suppress", self.suppress_prefix_length.map(|length| length.to_string()))?;
        word("priority", self.priority.map(|priority| priority.to_string()))
    }
}
