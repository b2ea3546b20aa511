//! What each change does to a simulated network. Pure.

use std::collections::BTreeMap;

use crate::plan::{
    Action, Change, DnsChange, HostnameChange, InterfaceChange, OvnChange, OvsDbChange, RouteChange,
    RuleChange, ValueChange,
};
use crate::state::{
    DnsResolver, Hostname, Interface, OvnBridgeMapping, OvnSettings, OvsSettings, OvsTable, RouteRules,
    Routes, State,
};

/// Carries out one change. Doing it twice is as doing it once.
pub fn apply(state: &mut State, change: &Change) {
    match change {
        Change::Interface(change) => interface(state, change),
        Change::Route(change) => route(state, change),
        Change::Rule(change) => rule(state, change),
        Change::Dns(change) => dns(state, change),
        Change::Hostname(change) => hostname(state, change),
        Change::Network(change) => state.network.clone_from(&change.after),
        Change::OvsDb(change) => ovs_db(state, change),
        Change::Ovn(change) => ovn(state, change),
    }
}

fn interface(state: &mut State, change: &InterfaceChange) {
    let interfaces = state.interfaces.get_or_insert_default();
    let is_it = |interface: &Interface| {
        interface.name == change.name
            && interface.kind.as_ref().is_some_and(|kind| kind.is_userspace()) == change.kind.is_userspace()
    };
    let place = interfaces.iter().position(is_it);
    match (&change.after, place) {
        (Some(after), Some(place)) => interfaces[place] = as_shown(after),
        (Some(after), None) => {
            interfaces.push(as_shown(after));
            interfaces.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.kind.cmp(&b.kind)));
        }
        (None, Some(place)) => drop(interfaces.remove(place)),
        (None, None) => {}
    }
    if change.action == Action::Remove
        && let Some(routes) = config_routes(state)
    {
        // As the kernel does.
        routes.retain(|route| route.next_hop_interface.as_deref() != Some(&change.name));
    }
}

/// Without the keys that only direct an apply.
fn as_shown(interface: &Interface) -> Interface {
    Interface { copy_mac_from: None, ..interface.clone() }
}

fn route(state: &mut State, change: &RouteChange) {
    state.routes.get_or_insert(Routes { running: None, config: None }).config.get_or_insert_default();
    let Some(routes) = config_routes(state) else { return };
    routes.retain(|route| *route != change.route);
    if change.action != Action::Remove {
        routes.push(change.route.clone());
    }
}

fn config_routes(state: &mut State) -> Option<&mut Vec<crate::state::Route>> {
    state.routes.as_mut()?.config.as_deref_mut()
}

fn rule(state: &mut State, change: &RuleChange) {
    let rules = state.route_rules.get_or_insert(RouteRules { config: None }).config.get_or_insert_default();
    rules.retain(|rule| *rule != change.rule);
    if change.action != Action::Remove {
        rules.push(change.rule.clone());
    }
}

fn dns(state: &mut State, change: &DnsChange) {
    let settings = Some(change.after.clone());
    state.dns_resolver = Some(DnsResolver { running: settings.clone(), config: settings });
}

fn hostname(state: &mut State, change: &HostnameChange) {
    let known = state.hostname.get_or_insert(Hostname { running: None, config: None });
    for (slot, wanted) in [(&mut known.running, &change.running), (&mut known.config, &change.config)] {
        if wanted.is_some() {
            slot.clone_from(wanted);
        }
    }
}

fn ovs_db(state: &mut State, change: &OvsDbChange) {
    let known = state.ovs_db.get_or_insert(OvsSettings { external_ids: None, other_config: None });
    let set = |column: &mut Option<OvsTable>, changes: &BTreeMap<String, ValueChange>| {
        let column = &mut column.get_or_insert_default().0;
        for (key, value) in changes {
            match &value.after {
                Some(after) => drop(column.insert(key.clone(), Some(after.clone()))),
                None => drop(column.remove(key)),
            }
        }
    };
    set(&mut known.external_ids, &change.external_ids);
    set(&mut known.other_config, &change.other_config);
}

/// As it is shown: sorted, and nothing while there are none.
fn ovn(state: &mut State, change: &OvnChange) {
    let known = state.ovn.take().and_then(|ovn| ovn.bridge_mappings).unwrap_or_default();
    let mut mappings: BTreeMap<String, Option<String>> =
        known.into_iter().map(|mapping| (mapping.localnet, mapping.bridge)).collect();
    for (localnet, bridge) in &change.bridges {
        mappings.insert(localnet.clone(), bridge.after.clone());
    }
    let shown: Vec<OvnBridgeMapping> = mappings
        .into_iter()
        .filter(|(_, bridge)| bridge.is_some())
        .map(|(localnet, bridge)| OvnBridgeMapping { localnet, state: None, bridge })
        .collect();
    state.ovn = (!shown.is_empty()).then_some(OvnSettings { bridge_mappings: Some(shown) });
}
