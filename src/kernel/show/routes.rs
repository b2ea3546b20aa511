//! Routes and rules.

use super::Scope;
use crate::kernel::mirror::{Hop, Image, Link, Route, Rule};
use crate::kernel::netlink::kinds::Data;
use crate::kernel::netlink::uapi::route::*;
use crate::kernel::netlink::uapi::rule::*;
use crate::state::{
    self, Family, Mark, Net, RouteRule, RouteRules, RouteState, RouteType, Routes, Selector, Shared,
};
use nix::libc;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Routes of these origins are configuration.
const CONFIGURED: [u8; 2] = [libc::RTPROT_BOOT, libc::RTPROT_STATIC];
/// Routes of these origins are shown as running, too.
const LEARNED: [u8; 5] = [RTPROT_RA, RTPROT_DHCP, RTPROT_MROUTED, RTPROT_KEEPALIVED, RTPROT_BABEL];

/// What a translation of routes is made from, and what it came to.
#[derive(Debug)]
pub(super) struct Known {
    changes: u64,
    names: Names,
    routes: Routes,
}

/// What routes refer to.
#[derive(Debug, PartialEq)]
struct Names {
    /// By index.
    links: BTreeMap<u32, Name>,
    /// VRFs that are up, by table.
    vrfs: BTreeMap<u32, String>,
}

#[derive(Debug, PartialEq)]
struct Name {
    link: String,
    is_ignored: bool,
}

/// The routes of an image; those that are known, if it has the same.
pub(super) fn routes(image: &Image, scope: Scope, known: &mut Option<Known>) -> Routes {
    let names = Names::of(image);
    if let Some(known) = known
        && known.changes == image.route_changes
        && known.names == names
    {
        return known.routes.clone();
    }
    let routes = translate(image, scope, &names);
    *known = Some(Known { changes: image.route_changes, names, routes: routes.clone() });
    routes
}

fn translate(image: &Image, scope: Scope, names: &Names) -> Routes {
    // What is in effect, and whether each entry of it is configured.
    let (mut running, mut is_configured) = (Vec::new(), Vec::new());
    for route in image.routes() {
        let configured = CONFIGURED.contains(&route.protocol);
        let learned = scope == Scope::Everything && LEARNED.contains(&route.protocol);
        if (configured || learned) && matches!(route.scope, RT_SCOPE_UNIVERSE | RT_SCOPE_LINK) {
            names.translate(route, &mut running);
            is_configured.resize(running.len(), configured);
        }
    }
    running.shrink_to_fit();
    let running = Shared::from(running);
    // A host that learns no routes has but one list.
    let config = if is_configured.iter().all(|configured| *configured) {
        running.clone()
    } else {
        let entries = running.iter().zip(&is_configured);
        entries.filter(|(_, configured)| **configured).map(|(route, _)| route.clone()).collect()
    };
    Routes { running: (scope == Scope::Everything).then_some(running), config: Some(config) }
}

impl Names {
    fn of(image: &Image) -> Self {
        let vrf = |link: &'_ Link| match &link.data {
            Some(Data::Vrf(vrf)) if link.is_up() => vrf.table,
            _ => None,
        };
        let name = |link: &'_ Link| Name { link: link.name.to_string(), is_ignored: is_ignored(link) };
        Self {
            links: image.links.iter().map(|(index, link)| (*index, name(link))).collect(),
            vrfs: image.links.values().filter_map(|link| Some((vrf(link)?, link.name.to_string()))).collect(),
        }
    }

    /// Appends an entry for each next hop.
    fn translate(&self, route: &Route, list: &mut Vec<state::Route>) {
        let Some(destination) = Net::new(route.destination, route.prefix) else {
            return; // no kernel sends a prefix longer than its address
        };
        let route_type = match route.kind {
            libc::RTN_UNICAST => None,
            libc::RTN_BLACKHOLE => Some(RouteType::Blackhole),
            libc::RTN_UNREACHABLE => Some(RouteType::Unreachable),
            libc::RTN_PROHIBIT => Some(RouteType::Prohibit),
            _ => return,
        };
        let metric = |number: u16| route.metrics.get(number);
        let entry = state::Route {
            destination: Some(destination),
            metric: (route.metric != 0).then(|| i64::from(route.metric)),
            table_id: Some(route.table),
            route_type,
            cwnd: metric(RTAX_CWND).filter(|_| route.metrics.is_locked(RTAX_CWND)),
            source: route.source,
            initcwnd: metric(RTAX_INITCWND),
            initrwnd: metric(RTAX_INITRWND),
            mtu: metric(RTAX_MTU),
            quickack: metric(RTAX_QUICKACK).map(|value| value != 0),
            advmss: metric(RTAX_ADVMSS),
            lock_mtu: route.metrics.is_locked(RTAX_MTU).then_some(true),
            vrf_name: self.vrfs.get(&route.table).cloned(),
            ..state::Route::empty()
        };
        let hops = route.hops.as_slice();
        if route_type.is_some() {
            // IPv6 ties such a route to the loopback, IPv4 to nothing.
            let lo = hops.first().and_then(|hop| self.links.get(&hop.link));
            list.push(state::Route { next_hop_interface: lo.map(|name| name.link.clone()), ..entry });
            return;
        }
        let weighted = !route.is_v6() && hops.len() > 1;
        for hop in hops {
            let Some(name) = self.links.get(&hop.link) else {
                continue;
            };
            list.push(state::Route {
                state: name.is_ignored.then_some(RouteState::Ignore),
                next_hop_interface: Some(name.link.clone()),
                next_hop_address: Some(gateway(route, hop)),
                weight: weighted.then_some(hop.weight),
                ..entry.clone()
            });
        }
    }
}

/// The only kind that is shown and ignored.
fn is_ignored(link: &Link) -> bool {
    matches!(link.data, Some(Data::Tun(_)))
}

fn gateway(route: &Route, hop: &Hop) -> IpAddr {
    hop.gateway.unwrap_or(match route.destination {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    })
}

pub(super) fn rules(image: &Image, scope: Scope) -> RouteRules {
    let rules = image.rules.iter().filter(|rule| is_shown(rule, scope));
    RouteRules { config: Some(rules.filter_map(rule).collect()) }
}

/// Returns whether a rule has an origin that is shown, and nothing that the document cannot say:
/// shown without it, a rule would come back broader than it was.
fn is_shown(rule: &Rule, scope: Scope) -> bool {
    let Rule {
        is_v6: _,
        priority: _,
        action: _,
        table: _,
        from: _,
        to: _,
        tos,
        inverted,
        incoming: _,
        outgoing,
        fwmark: _,
        fwmask: _,
        suppress_prefix_length: _,
        suppress_group,
        protocol,
        goto: _,
        l3mdev,
        ip_protocol,
        source_ports,
        destination_ports,
        uids,
    } = rule;
    let origin = protocol.is_none_or(|protocol| {
        protocol == libc::RTPROT_UNSPEC
            || CONFIGURED.contains(&protocol)
            || scope == Scope::Everything && LEARNED.contains(&protocol)
    });
    let expressible = *tos == 0
        && !inverted
        && !l3mdev
        && outgoing.is_none()
        && suppress_group.is_none()
        && ip_protocol.is_none_or(|protocol| protocol == 0)
        && source_ports.is_none()
        && destination_ports.is_none()
        && uids.is_none();
    origin && expressible
}

fn rule(rule: &Rule) -> Option<RouteRule> {
    let action = match rule.action {
        FR_ACT_TO_TBL => None,
        FR_ACT_BLACKHOLE => Some(state::RuleAction::Blackhole),
        FR_ACT_UNREACHABLE => Some(state::RuleAction::Unreachable),
        FR_ACT_PROHIBIT => Some(state::RuleAction::Prohibit),
        _ => return None,
    };
    let selector = |net: Option<(IpAddr, u8)>| {
        let (address, prefix) = net?;
        Some(Selector::Net(Net::new(address, prefix)?))
    };
    let marked = rule.fwmark != 0 || rule.fwmask.is_some();
    Some(RouteRule {
        family: Some(if rule.is_v6 { Family::Ipv6 } else { Family::Ipv4 }),
        ip_from: selector(rule.from),
        ip_to: selector(rule.to),
        priority: Some(i64::from(rule.priority)),
        route_table: (action.is_none()).then_some(rule.table),
        fwmark: marked.then_some(Mark(rule.fwmark)),
        fwmask: rule.fwmask.map(Mark),
        action,
        iif: rule.incoming.as_deref().map(str::to_owned),
        suppress_prefix_length: rule.suppress_prefix_length,
        ..RouteRule::empty()
    })
}
