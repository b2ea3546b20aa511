//! How packets leave: rules, then tables, then the longest prefix (ip-rule(8), ip-route(8)).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Client;
use crate::plan::relations::{base, peer, ports};
use crate::plan::routes::{MAIN_TABLE, metric_of, table_of};
use crate::plan::{Action, Change, Plan, family};
use crate::state::{Family, Interface, InterfaceType, Ip, Net, Route, RouteRule, Selector, State};

/// Ways followed for one client: through a tunnel in a tunnel in a tunnel.
const LEGS_MAX: usize = 8;

/// The rules that every host has (ip-rule(8)); they are not shown.
const OWN_RULES: [(i64, u32); 2] = [(32_766, MAIN_TABLE), (32_767, 253)];
/// The rule that leads what belongs to a VRF into its table (Documentation/networking/vrf.rst).
const VRF_PRIORITY: i64 = 1_000;

/// Metric of the route that comes with an IPv6 address (`IP6_RT_PRIO_ADDRCONF` of net/ip6_route.h).
const CONNECTED_METRIC_V6: i64 = 256;

/// Interfaces, routes and rules, as they are or as they shall be.
pub struct Network<'a> {
    /// A name may belong to an interface of the kernel and to one of user space.
    interfaces: BTreeMap<&'a str, Vec<&'a Interface>>,
    routes: Vec<&'a Route>,
    /// Of those, the ones that are gone.
    gone: Vec<&'a Route>,
    rules: Vec<&'a RouteRule>,
}

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends<'a> {
    pub far: IpAddr,
    pub scope: Option<&'a str>,
    pub near: Option<IpAddr>,
}

/// One way out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hop<'a> {
    pub interface: &'a str,
    pub gateway: Option<IpAddr>,
    /// None: it comes with an address.
    pub route: Option<&'a Route>,
}

/// How packets get from one end to the other: for the client, and for each tunnel below it.
#[derive(Clone, Debug)]
pub struct Leg<'a> {
    pub ends: Ends<'a>,
    /// The most certain first.
    pub hops: Vec<Hop<'a>>,
    /// The interface that has our address.
    pub holder: Option<&'a str>,
}

/// Everything between us and the client, as far as this host goes.
#[derive(Clone, Debug)]
pub struct Path<'a> {
    pub legs: Vec<Leg<'a>>,
    /// The interfaces of the legs, and all that they rest on.
    pub rests_on: BTreeSet<&'a str>,
}

impl<'a> Leg<'a> {
    /// The interfaces whose addresses matter to it.
    pub fn ends_at(&self, interface: &str) -> bool {
        self.roots().any(|root| root == interface)
    }

    fn roots(&self) -> impl Iterator<Item = &'a str> {
        self.hops.iter().map(|hop| hop.interface).chain(self.holder)
    }
}

impl Path<'_> {
    /// Where packets to the client leave.
    pub fn interface(&self) -> &str {
        self.legs.first().and_then(|leg| leg.roots().next()).expect("a path has a leg, which has a root")
    }
}

impl<'a> Network<'a> {
    /// As it is.
    pub fn now(state: &'a State) -> Self {
        let routes = match state.running_routes() {
            [] => state.config_routes(),
            running => running,
        };
        let mut interfaces: BTreeMap<&str, Vec<&Interface>> = BTreeMap::new();
        for interface in state.interfaces() {
            interfaces.entry(&interface.name).or_default().push(interface);
        }
        Self {
            interfaces,
            routes: routes.iter().collect(),
            gone: Vec::new(),
            rules: state.config_rules().iter().collect(),
        }
    }

    /// As it shall be.
    pub fn after(state: &'a State, plan: &'a Plan) -> Self {
        let mut then = Self::now(state);
        let mut new = Vec::new();
        for change in &plan.changes {
            match change {
                Change::Interface(change) => {
                    let place = then.interfaces.entry(&change.name).or_default();
                    place.retain(|other| is_userspace(other) != is_userspace_kind(&change.kind));
                    place.extend(&change.after);
                }
                Change::Route(change) if change.action == Action::Remove => then.gone.push(&change.route),
                Change::Route(change) => new.push(&change.route),
                Change::Rule(change) if change.action == Action::Remove => {
                    if let Some(index) = then.rules.iter().position(|rule| **rule == change.rule) {
                        then.rules.remove(index);
                    }
                }
                Change::Rule(change) => then.rules.push(&change.rule),
                Change::Dns(_)
                | Change::Hostname(_)
                | Change::OvsDb(_)
                | Change::Ovn(_)
                | Change::Network(_) => {}
            }
        }
        then.gone.retain(|route| !new.contains(route));
        then.routes.extend(new);
        then
    }

    pub fn interface(&self, name: &str) -> Option<&'a Interface> {
        self.interfaces.get(name)?.iter().find(|interface| !is_userspace(interface)).copied()
    }

    /// The path to a client; None if it sits on this host, or if there is no way to it.
    pub fn path(&self, client: &'a Client) -> Option<Path<'a>> {
        let ends = Ends { far: client.address, scope: client.scope.as_deref(), near: client.server };
        let mut legs = vec![self.leg(ends)?];
        let mut seen = BTreeSet::new();
        let mut next = 0;
        while let Some(leg) = legs.get(next) {
            next += 1;
            for ends in self.below(leg.roots(), &mut seen) {
                if legs.len() < LEGS_MAX
                    && legs.iter().all(|leg| leg.ends != ends)
                    && let Some(leg) = self.leg(ends)
                {
                    legs.push(leg);
                }
            }
        }
        Some(Path { legs, rests_on: seen.into_iter().map(|(name, _)| name).collect() })
    }

    /// Adds what these interfaces rest on, themselves included, each with whether it counts to which
    /// controller it belongs: what goes through a VLAN does not care for the bridge that its base is
    /// a port of. Answers with the ends of tunnels.
    fn below(
        &self,
        roots: impl Iterator<Item = &'a str>,
        seen: &mut BTreeSet<(&'a str, bool)>,
    ) -> Vec<Ends<'a>> {
        let mut tunnels = Vec::new();
        let mut queue: Vec<(&str, bool)> = roots.map(|root| (root, true)).collect();
        while let Some((name, with_controller)) = queue.pop() {
            if !seen.insert((name, with_controller)) {
                continue;
            }
            for interface in self.interfaces.get(name).into_iter().flatten() {
                queue.extend(base(interface).map(|base| (base, false)));
                queue.extend(peer(interface).map(|peer| (peer, true)));
                if *interface.kind() != InterfaceType::Vrf {
                    queue.extend(ports(interface).into_iter().flatten().map(|port| (port, false)));
                }
                let controller = interface.controller.as_deref().filter(|name| !name.is_empty());
                queue.extend(controller.filter(|_| with_controller).map(|controller| (controller, true)));
                tunnels.extend(tunnel(interface));
            }
        }
        tunnels
    }

    fn leg(&self, ends: Ends<'a>) -> Option<Leg<'a>> {
        let Ends { far, scope, near } = ends;
        if far.is_loopback() || far.is_unspecified() || far.is_multicast() || self.holder(far, None).is_some()
        {
            return None;
        }
        let holder = near.and_then(|near| self.holder(near, scope));
        let hops = if matches!(far, IpAddr::V6(far) if far.is_unicast_link_local()) {
            let on_link = |interface| Hop { interface, gateway: None, route: None };
            scope.or(holder).filter(|name| self.is_up(name)).map(on_link).into_iter().collect()
        } else {
            self.route(ends, holder)
        };
        let leg = Leg { ends, hops, holder };
        leg.roots().next()?;
        Some(leg)
    }

    /// The interface that has an address.
    fn holder(&self, address: IpAddr, scope: Option<&str>) -> Option<&'a str> {
        let has = |interface: &&Interface| {
            interface.is_up()
                && scope.is_none_or(|scope| scope == interface.name)
                && addresses(interface, address.is_ipv6()).any(|own| own.ip == address)
        };
        self.interfaces.values().flatten().copied().find(has).map(|interface| interface.name.as_str())
    }

    fn is_up(&self, name: &str) -> bool {
        self.interface(name).is_some_and(Interface::is_up)
    }

    /// Goes through the rules in their order.
    fn route(&self, ends: Ends<'a>, holder: Option<&str>) -> Vec<Hop<'a>> {
        let concern = |rule: &&RouteRule| concerns(rule, ends.far, ends.near);
        let mut rules: Vec<(i64, Select<'_>)> = self
            .rules
            .iter()
            .copied()
            .filter(concern)
            .map(|rule| (priority(rule), Select::Rule(rule)))
            .collect();
        let vrf = holder.and_then(|holder| self.interface(holder)).and_then(|holder| self.vrf_table(holder));
        rules.extend(vrf.map(|table| (VRF_PRIORITY, Select::Table(table))));
        rules.extend(OWN_RULES.map(|(priority, table)| (priority, Select::Table(table))));
        rules.sort_by_key(|(priority, _)| *priority);
        let (mut hops, mut possible) = (Vec::new(), Vec::new());
        for (_, select) in rules {
            let (table, shortest, is_certain) = match select {
                Select::Table(table) => (table, None, true),
                Select::Rule(rule) if rule.action.is_some() && is_certain(rule, ends.near) => break,
                Select::Rule(rule) if rule.action.is_some() => continue,
                Select::Rule(rule) => {
                    let table = rule.route_table.filter(|table| *table != 0).unwrap_or(MAIN_TABLE);
                    (table, rule.suppress_prefix_length, is_certain(rule, ends.near))
                }
            };
            match self.look_up(table, ends.far, shortest) {
                None => {}
                Some(found) if is_certain => {
                    hops = found;
                    break;
                }
                Some(found) => possible.extend(found),
            }
        }
        hops.extend(possible);
        hops
    }

    /// The best routes of a table; Some of nothing where they lead nowhere. Prefixes that are not
    /// longer than `shortest` do not count.
    fn look_up(&self, table: u32, far: IpAddr, shortest: Option<u32>) -> Option<Vec<Hop<'a>>> {
        let mut found: Vec<((u8, i64), Option<Hop<'a>>)> = Vec::new();
        for route in &self.routes {
            let Some(net) = route.destination.filter(|net| net.contains(far)) else { continue };
            if table_of(route) != table || self.gone.contains(route) {
                continue;
            }
            let rank = (net.prefix(), -metric_of(route));
            let interface = route.next_hop_interface.as_deref().filter(|name| self.is_up(name));
            let gateway = route.next_hop_address.filter(|gateway| !gateway.is_unspecified());
            match (route.route_type, interface) {
                (Some(_), _) => found.push((rank, None)),
                (None, Some(interface)) => {
                    found.push((rank, Some(Hop { interface, gateway, route: Some(route) })));
                }
                (None, None) => {}
            }
        }
        for interface in self.interfaces.values().flatten().copied().filter(|interface| interface.is_up()) {
            if self.vrf_table(interface).unwrap_or(MAIN_TABLE) != table {
                continue;
            }
            for own in addresses(interface, far.is_ipv6()) {
                let net = Net::new(own.ip, own.prefix_length);
                if net.is_some_and(|net| net.contains(far)) {
                    let hop = Hop { interface: &interface.name, gateway: None, route: None };
                    let metric = connected_metric(interface, far.is_ipv6());
                    found.push(((own.prefix_length, -metric), Some(hop)));
                }
            }
        }
        found.retain(|((prefix, _), _)| shortest.is_none_or(|shortest| u32::from(*prefix) > shortest));
        let best = found.iter().map(|(rank, _)| *rank).max()?;
        Some(found.into_iter().filter(|(rank, _)| *rank == best).filter_map(|(_, hop)| hop).collect())
    }

    /// The table of the VRF that an interface belongs to, or is.
    fn vrf_table(&self, interface: &Interface) -> Option<u32> {
        let table = |vrf: &Interface| vrf.vrf.as_ref().and_then(|vrf| vrf.route_table_id);
        let controller = || interface.controller.as_deref().and_then(|name| self.interface(name));
        table(interface).or_else(|| controller().and_then(table))
    }
}

/// What says where to look.
enum Select<'a> {
    Table(u32),
    Rule(&'a RouteRule),
}

/// Whether packets to `far` may come under a rule.
pub fn concerns(rule: &RouteRule, far: IpAddr, near: Option<IpAddr>) -> bool {
    let net = |selector: Option<Selector>| selector.and_then(Selector::net);
    let (from, to) = (net(rule.ip_from), net(rule.ip_to));
    let is_v6 = match (rule.family, from.or(to)) {
        (Some(family), _) => Some(family == Family::Ipv6),
        (None, net) => net.map(|net| net.is_v6()),
    };
    is_v6.is_none_or(|is_v6| is_v6 == far.is_ipv6())
        && to.is_none_or(|to| to.contains(far))
        && from.is_none_or(|from| near.is_none_or(|near| from.contains(near)))
        // What we send ourselves comes in by `lo`.
        && rule.iif.as_deref().is_none_or(|iif| iif == "lo")
}

/// Whether a rule that concerns packets applies to them, whatever their mark and source.
fn is_certain(rule: &RouteRule, near: Option<IpAddr>) -> bool {
    let mask = rule.fwmask.map_or(u32::MAX, |mask| mask.0);
    let is_unmarked = rule.fwmark.is_none_or(|mark| mark.0 & mask == 0);
    let from = rule.ip_from.and_then(Selector::net);
    is_unmarked && (near.is_some() || from.is_none_or(|from| from.prefix() == 0))
}

fn priority(rule: &RouteRule) -> i64 {
    rule.priority.unwrap_or(0).max(0)
}

pub fn addresses(interface: &Interface, v6: bool) -> impl Iterator<Item = &crate::state::Address> {
    family(Some(interface), v6).filter(|ip| ip.is_enabled()).map(Ip::addresses).unwrap_or_default().iter()
}

fn connected_metric(interface: &Interface, v6: bool) -> i64 {
    let asked =
        family(Some(interface), v6).and_then(|ip| ip.prefix_route_metric).filter(|metric| *metric >= 0);
    asked.unwrap_or(if v6 { CONNECTED_METRIC_V6 } else { 0 })
}

/// The ends of a tunnel to one address.
fn tunnel(interface: &Interface) -> Option<Ends<'_>> {
    let (far, near) = match (&interface.vxlan, &interface.ip_tunnel) {
        (Some(vxlan), _) => (vxlan.remote, vxlan.local),
        (None, Some(tunnel)) => (tunnel.remote, tunnel.local),
        (None, None) => (None, None),
    };
    let near = near.filter(|near| !near.is_unspecified());
    Some(Ends { far: far?, scope: None, near })
}

fn is_userspace(interface: &Interface) -> bool {
    is_userspace_kind(interface.kind())
}

/// Interfaces that the kernel does not know, and whose names it may use for others (semantics A3).
fn is_userspace_kind(kind: &InterfaceType) -> bool {
    matches!(kind, InterfaceType::OvsBridge | InterfaceType::Ipsec)
}
