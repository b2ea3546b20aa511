//! Routes and rules, both directions.

use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use crate::netplan::{Renderer, Tree, Version};
use crate::state::{Family, Mark, Net, Route, RouteRule, RouteType, Selector};

/// Table `main`.
pub(in crate::netplan) const MAIN: u32 = 254;

/// What one renderer of one netplan can say of a route.
pub(in crate::netplan) fn route(
    route: &Route,
    on_link: bool,
    renderer: Renderer,
    version: Version,
) -> Result<Json, String> {
    let destination = route.destination.unwrap_or_else(|| {
        Net::default_route(route.next_hop_address.is_some_and(|address| address.is_ipv6()))
    });
    let because = |what: &str| format!("the route to {destination}: {what}");
    if route.weight.is_some() {
        return Err(because("netplan has no key for `weight`"));
    }
    if route.cwnd.is_some() {
        return Err(because("netplan has no key for `cwnd`; `initcwnd` is another thing"));
    }
    if route.quickack == Some(true) {
        return Err(because("netplan has no key for `quickack`"));
    }
    if route.lock_mtu == Some(true) {
        return Err(because("netplan has no key for `lock-mtu`"));
    }
    if route.route_type.is_some() && renderer == Renderer::NetworkManager {
        return Err(because("netplan has no routes of a type while NetworkManager carries it out"));
    }
    if route.advmss.is_some() && version < Version::new(1, 1, 0) {
        return Err(because("`advmss` needs netplan 1.1 or later"));
    }
    let mut keys = Map::new();
    let mut set = |key: &str, value: Json| drop(keys.insert(key.into(), value));
    set("to", destination.to_string().into());
    if let Some(word) = route.route_type {
        set("type", word.word().into());
    } else if let Some(gateway) = gateway(route) {
        set("via", gateway.to_string().into());
        if on_link {
            set("on-link", true.into());
        }
    }
    if let Some(metric) = metric(route, renderer) {
        set("metric", metric.into());
    }
    if table(route) != MAIN {
        set("table", table(route).into());
    }
    if let Some(source) = route.source {
        set("from", source.to_string().into());
    }
    let numbers = [
        ("mtu", route.mtu),
        ("congestion-window", route.initcwnd),
        ("advertised-receive-window", route.initrwnd),
        ("advertised-mss", route.advmss),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            set(key, number.into());
        }
    }
    Ok(keys.into())
}

pub(in crate::netplan) fn gateway(route: &Route) -> Option<IpAddr> {
    route.next_hop_address.filter(|address| !address.is_unspecified())
}

pub(in crate::netplan) fn table(route: &Route) -> u32 {
    route.table_id.filter(|table| *table != 0).unwrap_or(MAIN)
}

/// What the kernel takes for a metric that is not said (`IP6_RT_PRIO_USER` in linux/ipv6_route.h) is said only to
/// NetworkManager, which would take that of the device; so it is the same text whether somebody said it or not.
fn metric(route: &Route, renderer: Renderer) -> Option<u32> {
    let said = route.metric.and_then(|metric| u32::try_from(metric).ok());
    let of_kernel = if is_v6(route) { 1024 } else { 0 };
    match renderer {
        Renderer::Networkd => said.filter(|metric| *metric != of_kernel),
        Renderer::NetworkManager => Some(said.unwrap_or(of_kernel)),
    }
}

pub(in crate::netplan) fn is_v6(route: &Route) -> bool {
    let address = route.destination.map(|net| net.address()).or(route.next_hop_address);
    address.is_some_and(|address| address.is_ipv6())
}

/// What an entry of `routes` says. None for what is no route of a document.
pub(in crate::netplan) fn read_route(entry: &Tree, interface: &str) -> Option<Route> {
    let text = |key: &str| entry.get(key).and_then(Tree::text);
    let number = |key: &str| text(key).and_then(|text| text.parse::<u32>().ok());
    let gateway: Option<IpAddr> = text("via").and_then(|text| text.parse().ok());
    let destination = match text("to")? {
        "default" => Net::default_route(gateway?.is_ipv6()),
        text => text.parse().ok()?,
    };
    let route_type = match text("type") {
        None | Some("unicast") => None,
        Some(word) => Some(RouteType::from_word(word)?),
    };
    let unspecified = Net::default_route(destination.is_v6()).address();
    Some(Route {
        destination: Some(destination),
        next_hop_interface: Some(interface.to_owned()),
        next_hop_address: route_type.is_none().then(|| gateway.unwrap_or(unspecified)),
        metric: number("metric").map(i64::from),
        table_id: Some(number("table").filter(|table| *table != 0).unwrap_or(MAIN)),
        route_type,
        source: text("from").and_then(|text| text.parse().ok()),
        initcwnd: number("congestion-window"),
        initrwnd: number("advertised-receive-window"),
        mtu: number("mtu"),
        advmss: number("advertised-mss"),
        ..Route::empty()
    })
}

/// Whether a file that says `held` says `wanted`. A metric that is not said is anybody's.
pub(in crate::netplan) fn is_same_route(held: &Route, wanted: &Route) -> bool {
    let metric = |route: &Route| route.metric.filter(|metric| *metric >= 0);
    let key = |route: &Route| {
        (
            route.destination,
            gateway(route),
            table(route),
            route.route_type,
            route.source,
            [route.mtu, route.initcwnd, route.initrwnd, route.advmss],
        )
    };
    key(held) == key(wanted)
        && (metric(held) == metric(wanted) || metric(held).is_none() || metric(wanted).is_none())
}

/// What netplan can say of a rule.
pub(in crate::netplan) fn rule(rule: &RouteRule, priority: i64) -> Result<Json, String> {
    let missing = [
        ("fwmask", rule.fwmask.is_some_and(|mask| mask != Mark(u32::MAX))),
        ("action", rule.action.is_some()),
        ("iif", rule.iif.as_deref().is_some_and(|iif| !iif.is_empty())),
        ("suppress-prefix-length", rule.suppress_prefix_length.is_some()),
    ];
    if let Some((key, _)) = missing.into_iter().find(|(_, is_said)| *is_said) {
        return Err(format!("the rule of priority {priority}: netplan has no key for `{key}`"));
    }
    let mut keys = Map::new();
    let net = |selector: Option<Selector>| selector.and_then(Selector::net);
    let (from, to) = (net(rule.ip_from), net(rule.ip_to));
    if let Some(from) = from {
        keys.insert("from".into(), from.to_string().into());
    }
    if let Some(to) = to {
        keys.insert("to".into(), to.to_string().into());
    }
    if keys.is_empty() {
        // One of them must be there: this one is everything.
        keys.insert("from".into(), Net::default_route(is_v6_rule(rule)).to_string().into());
    }
    keys.insert("priority".into(), priority.into());
    if let Some(table) = rule.route_table.filter(|table| *table != 0) {
        keys.insert("table".into(), table.into());
    }
    if let Some(mark) = rule.fwmark.filter(|mark| mark.0 != 0) {
        keys.insert("mark".into(), mark.0.into());
    }
    Ok(keys.into())
}

pub(in crate::netplan) fn is_v6_rule(rule: &RouteRule) -> bool {
    let net = [rule.ip_from, rule.ip_to].into_iter().flatten().find_map(Selector::net);
    rule.family == Some(Family::Ipv6) || net.is_some_and(|net| net.is_v6())
}

/// What an entry of `routing-policy` says.
pub(in crate::netplan) fn read_rule(entry: &Tree) -> Option<RouteRule> {
    let text = |key: &str| entry.get(key).and_then(Tree::text);
    let number = |key: &str| text(key).and_then(|text| text.parse::<u32>().ok());
    let net = |key: &str| text(key).and_then(|text| text.parse::<Net>().ok());
    let (from, to) = (net("from"), net("to"));
    let is_v6 = from.or(to)?.is_v6();
    let selector = |net: Option<Net>| net.filter(|net| net.prefix() > 0).map(Selector::Net);
    Some(RouteRule {
        family: Some(if is_v6 { Family::Ipv6 } else { Family::Ipv4 }),
        ip_from: selector(from),
        ip_to: selector(to),
        priority: number("priority").map(i64::from),
        route_table: Some(number("table").filter(|table| *table != 0).unwrap_or(MAIN)),
        fwmark: number("mark").map(Mark),
        ..RouteRule::empty()
    })
}

/// Whether a file that says `held` says `wanted`.
pub(in crate::netplan) fn is_same_rule(held: &RouteRule, wanted: &RouteRule) -> bool {
    let net = |selector: Option<Selector>| selector.and_then(Selector::net).filter(|net| net.prefix() > 0);
    let key = |rule: &RouteRule| {
        (
            is_v6_rule(rule),
            net(rule.ip_from),
            net(rule.ip_to),
            rule.route_table.filter(|table| *table != 0).unwrap_or(MAIN),
            rule.fwmark.filter(|mark| mark.0 != 0),
        )
    };
    let priority = |rule: &RouteRule| rule.priority.filter(|priority| *priority >= 0);
    key(held) == key(wanted)
        && (priority(held) == priority(wanted) || priority(held).is_none() || priority(wanted).is_none())
}
