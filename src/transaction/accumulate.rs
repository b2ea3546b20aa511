//! All that was ever committed, as one document: what a boot brings back.

use std::collections::BTreeSet;

use crate::plan::{self, Action, Change, Plan};
use crate::state::{
    DnsResolver, Interface, InterfaceState, Part, Route, RouteRule, RouteRules, Routes, State,
};

/// `committed` with the document `wish` over it: what it mentions wins, what it makes absent goes. `plan`
/// is how it was carried out: what that removed goes too.
pub fn accumulate(committed: &State, wish: &State, plan: &Plan) -> State {
    let mut desired = wish.clone();
    desired.drop_read_only();
    let removed = plan.changes.iter().filter_map(|change| match change {
        Change::Interface(change) if change.action == Action::Remove => Some(change.name.as_str()),
        _ => None,
    });
    // What is absent already needs no change, but may be committed.
    let absent = wish.interfaces().iter().filter(|interface| interface.state == Some(InterfaceState::Absent));
    let removed: BTreeSet<&str> = removed.chain(absent.map(|interface| interface.name.as_str())).collect();
    let interfaces = interfaces(committed, &desired, &removed);
    let routes = routes(committed, &desired, &removed);
    let rules = rules(committed, &desired);
    desired.fill_from(committed);
    // A list of configuration is not replaced but completed.
    State {
        interfaces,
        routes: routes.map(|config| Routes { running: None, config: Some(config) }),
        route_rules: rules.map(|config| RouteRules { config: Some(config) }),
        dns_resolver: desired.dns_resolver.map(|dns| DnsResolver { running: None, ..dns }),
        ..desired
    }
}

fn interfaces(committed: &State, desired: &State, removed: &BTreeSet<&str>) -> Option<Vec<Interface>> {
    let is_same = |a: &Interface, b: &Interface| {
        let userspace = |i: &Interface| i.kind.as_ref().is_some_and(|kind| kind.is_userspace());
        a.name == b.name && userspace(a) == userspace(b)
    };
    let mut all: Vec<Interface> = committed
        .interfaces()
        .iter()
        .filter(|interface| !removed.contains(interface.name.as_str()))
        .cloned()
        .collect();
    for interface in desired.interfaces() {
        let place = all.iter().position(|known| is_same(known, interface));
        match (interface.state, place) {
            (Some(InterfaceState::Ignore | InterfaceState::Unknown), _)
            | (Some(InterfaceState::Absent), None) => {}
            (Some(InterfaceState::Absent), Some(place)) => drop(all.remove(place)),
            (_, Some(place)) => {
                let mut merged = interface.clone();
                let known = &all[place];
                if merged.kind.is_none() || merged.kind == known.kind {
                    merged.fill_from(known);
                }
                all[place] = merged;
            }
            (_, None) => all.push(interface.clone()),
        }
    }
    (!all.is_empty()).then_some(all)
}

fn routes(committed: &State, desired: &State, removed: &BTreeSet<&str>) -> Option<Vec<Route>> {
    let goes = |route: &Route| {
        route.next_hop_interface.as_deref().is_some_and(|name| removed.contains(name))
            || desired
                .config_routes()
                .iter()
                .any(|pattern| pattern.is_absent() && plan::routes::matches(pattern, route))
    };
    let mut all: Vec<Route> =
        committed.config_routes().iter().filter(|route| !goes(route)).cloned().collect();
    for route in desired.config_routes().iter().filter(|route| route.state.is_none()) {
        if !all.contains(route) {
            all.push(route.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}

fn rules(committed: &State, desired: &State) -> Option<Vec<RouteRule>> {
    let goes = |rule: &RouteRule| {
        desired
            .config_rules()
            .iter()
            .any(|pattern| pattern.is_absent() && plan::rules::matches(pattern, rule))
    };
    let mut all: Vec<RouteRule> =
        committed.config_rules().iter().filter(|rule| !goes(rule)).cloned().collect();
    for rule in desired.config_rules().iter().filter(|rule| !rule.is_absent()) {
        if !all.contains(rule) {
            all.push(rule.clone());
        }
    }
    (!all.is_empty()).then_some(all)
}
