//! Routes and policy rules (schema 7.3, 7.4).

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::{AbsentState, Family};
use crate::state::{Net, Node, Part, Reader, Selector, Shape, Shared};

section! {
    /// Routes.
    pub struct Routes {
        /// All routes in effect.
        "running" => running: Option<Shared<Route>> [ReadOnly],
        /// Configured routes; in a desired document additions, and patterns to remove.
        "config" => config: Option<Shared<Route>>,
    }
}

words! {
    /// Whether a route is to be removed or left alone.
    pub enum RouteState {
        /// Matching routes are removed.
        Absent = "absent",
        /// Left alone: it goes through an unmanaged interface.
        Ignore = "ignore",
    }
}

words! {
    /// A route that leads nowhere, and what the sender is told.
    pub enum RouteType {
        /// The sender is told nothing.
        Blackhole = "blackhole",
        /// The sender is told that the destination cannot be reached.
        Unreachable = "unreachable",
        /// The sender is told that it is forbidden.
        Prohibit = "prohibit",
    }
}

section! {
    /// A route. With `state: absent` a pattern: what it does not mention matches anything, and
    /// `metric` is never compared.
    pub struct Route {
        /// `absent` removes matching routes.
        "state" => state: Option<RouteState>,
        /// Network or host; host bits are cleared.
        "destination" => destination: Option<Net>,
        /// Interface; mandatory for a route that leads somewhere.
        "next-hop-interface" => next_hop_interface: Option<String>,
        /// Gateway; `0.0.0.0` and `::` mean none.
        "next-hop-address" => next_hop_address: Option<IpAddr>,
        /// Metric; -1 is the backend's default.
        "metric" => metric: Option<i64>,
        /// Table; 0 means main (254).
        "table-id" => table_id: Option<u32>,
        /// Weight among equal routes, 1 to 256 (IPv4 only).
        "weight" => weight: Option<u16>,
        /// A route that leads nowhere.
        "route-type" => route_type: Option<RouteType>,
        /// Congestion window, locked.
        "cwnd" => cwnd: Option<u32>,
        /// Preferred source address.
        "source" => source: Option<IpAddr>,
        /// Initial congestion window.
        "initcwnd" => initcwnd: Option<u32>,
        /// Initial receive window.
        "initrwnd" => initrwnd: Option<u32>,
        /// Path MTU.
        "mtu" => mtu: Option<u32>,
        /// Quick acknowledgements.
        "quickack" => quickack: Option<bool>,
        /// Advertised maximum segment size.
        "advmss" => advmss: Option<u32>,
        /// Do not let path MTU discovery change the MTU.
        "lock-mtu" => lock_mtu: Option<bool>,
        /// Use the table of that VRF.
        "vrf-name" => vrf_name: Option<String>,
    }
}

/// Nothing of a route is only for queries, so `drop_read_only` has nothing to do.
impl Part for Shared<Route> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        Vec::read(node, reader).map(Self::from)
    }

    fn shape() -> Shape {
        Vec::<Route>::shape()
    }
}

impl Route {
    /// A route that mentions nothing; as a pattern it matches everything.
    pub fn empty() -> Self {
        Self {
            state: None,
            destination: None,
            next_hop_interface: None,
            next_hop_address: None,
            metric: None,
            table_id: None,
            weight: None,
            route_type: None,
            cwnd: None,
            source: None,
            initcwnd: None,
            initrwnd: None,
            mtu: None,
            quickack: None,
            advmss: None,
            lock_mtu: None,
            vrf_name: None,
        }
    }

    pub fn is_absent(&self) -> bool {
        self.state == Some(RouteState::Absent)
    }
}

section! {
    /// Policy routing rules.
    pub struct RouteRules {
        /// Configured rules; in a desired document additions, and patterns to remove.
        "config" => config: Option<Vec<RouteRule>>,
    }
}

words! {
    /// What a rule does instead of looking into a table.
    pub enum RuleAction {
        /// Drop; the sender is told nothing.
        Blackhole = "blackhole",
        /// Drop; the sender is told that the destination cannot be reached.
        Unreachable = "unreachable",
        /// Drop; the sender is told that it is forbidden.
        Prohibit = "prohibit",
    }
}

section! {
    /// A policy routing rule. With `state: absent` a pattern.
    pub struct RouteRule {
        /// Address family; derived from the prefixes when missing.
        "family" => family: Option<Family>,
        /// `absent` removes matching rules.
        "state" => state: Option<AbsentState>,
        /// Source.
        "ip-from" => ip_from: Option<Selector>,
        /// Destination.
        "ip-to" => ip_to: Option<Selector>,
        /// Priority; -1 or missing lets us choose.
        "priority" => priority: Option<i64>,
        /// Table; 0 means main (254).
        "route-table" => route_table: Option<u32>,
        /// Firewall mark.
        "fwmark" => fwmark: Option<Mark>,
        /// Bits of the mark that count.
        "fwmask" => fwmask: Option<Mark>,
        /// What to do instead of looking into a table.
        "action" => action: Option<RuleAction>,
        /// Incoming interface.
        "iif" => iif: Option<String>,
        /// Refuse results of the table with a prefix this short.
        "suppress-prefix-length" | "suppress_prefixlength" => suppress_prefix_length: Option<u32>,
    }
}

impl RouteRule {
    /// A rule that mentions nothing; as a pattern it matches everything.
    pub fn empty() -> Self {
        Self {
            family: None,
            state: None,
            ip_from: None,
            ip_to: None,
            priority: None,
            route_table: None,
            fwmark: None,
            fwmask: None,
            action: None,
            iif: None,
            suppress_prefix_length: None,
        }
    }

    pub fn is_absent(&self) -> bool {
        self.state.is_some()
    }
}

/// A firewall mark or mask, printed as `0x30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub u32);

impl Part for Mark {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        u32::read(node, reader).map(Self)
    }

    fn shape() -> Shape {
        u32::shape()
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#x}", self.0))
    }
}
