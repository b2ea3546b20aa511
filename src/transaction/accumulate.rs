//! All that was ever committed, as one document: what a boot brings back.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::routes::Index;
use crate::plan::{self, Action, Change, Key, Plan};
use crate::state::{
    DnsResolver, Interface, InterfaceState, MappingState, OvnBridgeMapping, OvnSettings, OvsSettings,
    OvsTable, Part, Route, RouteRule, RouteRules, Routes, Shared, State,
};

/// `committed` with the document `wish` over it, its types and names resolved: what it mentions wins, what it makes absent goes.
/// `plan` is how it was carried out: what that removed goes too. Linear but for the rules.
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
    let ovs_db = ovs_db(committed, &desired);
    let ovn = ovn(committed, &desired);
    desired.fill_from(committed);
    // A list of configuration is not replaced but completed.
    State {
        interfaces: Some(interfaces),
        routes: routes.map(|config| Routes { running: None, config: Some(config) }),
        route_rules: rules.map(|config| RouteRules { config: Some(config) }),
        dns_resolver: desired.dns_resolver.map(|dns| DnsResolver { running: None, ..dns }),
        ovs_db,
        ovn,
        // Planning has put secrets in the places where the document only says that there is one.
        network: plan.expected.network.clone().or(desired.network).filter(|network| !network.is_empty()),
        ..desired
    }
}

fn interfaces(committed: &State, desired: &State, removed: &BTreeSet<&str>) -> Vec<Interface> {
    let mut all: BTreeMap<Key, Interface> = committed
        .interfaces()
        .iter()
        .filter(|interface| !removed.contains(interface.name.as_str()))
        .map(|interface| (Key::of(interface), interface.clone()))
        .collect();
    for interface in desired.interfaces() {
        let key = Key::of(interface);
        match interface.state {
            Some(InterfaceState::Ignore | InterfaceState::Unknown) => {}
            Some(InterfaceState::Absent) => drop(all.remove(&key)),
            Some(InterfaceState::Up | InterfaceState::Down) | None => {
                let mut merged = interface.clone();
                if let Some(known) = all.remove(&key)
                    && (merged.kind.is_none() || merged.kind == known.kind)
                {
                    merged.fill_from(&known);
                }
                // As it reads once printed.
                merged.state.get_or_insert(InterfaceState::Up);
                all.insert(key, merged);
            }
        }
    }
    all.into_values().collect()
}

fn routes(committed: &State, desired: &State, removed: &BTreeSet<&str>) -> Option<Shared<Route>> {
    if desired.config_routes().is_empty() && removed.is_empty() {
        // The same list, which nobody has to look at.
        let known = committed.routes.as_ref().and_then(|routes| routes.config.clone());
        return known.filter(|known| !known.is_empty());
    }
    let known = committed.config_routes();
    let index = Index::new(known.iter());
    let patterns = desired.config_routes().iter().filter(|pattern| pattern.is_absent());
    let gone: BTreeSet<usize> = patterns.flat_map(|pattern| index.matching(pattern)).collect();
    let goes_through = |route: &Route, names: &BTreeSet<&str>| {
        route.next_hop_interface.as_deref().is_some_and(|name| names.contains(name))
    };
    let stays = |(i, route): &(usize, &Route)| !gone.contains(i) && !goes_through(route, removed);
    let kept: Vec<&Route> = known.iter().enumerate().filter(stays).map(|(_, route)| route).collect();
    let index = Index::new(kept.iter().copied());
    let new = desired.config_routes().iter().filter(|route| route.state.is_none());
    let new = new.filter(|route| !index.to_destination_of(route).any(|known| known == *route));
    let all: Shared<Route> = kept.iter().copied().chain(new).cloned().collect();
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

/// Key by key. What was deleted or emptied is not mentioned any more: keys that other programs set
/// later are theirs.
fn ovs_db(committed: &State, desired: &State) -> Option<OvsSettings> {
    let Some(wish) = &desired.ovs_db else { return committed.ovs_db.clone() };
    let purges = plan::ovs::is_purge(wish);
    let column = |pick: fn(&OvsSettings) -> &Option<OvsTable>| {
        let known = committed.ovs_db.as_ref().and_then(|known| pick(known).clone());
        let wish = match pick(wish) {
            None if !purges => return known,
            Some(wish) if !wish.0.is_empty() => wish,
            Some(_) | None => return None,
        };
        let mut keys = known.unwrap_or_default().0;
        keys.extend(wish.0.clone());
        keys.retain(|_, value| value.is_some());
        (!keys.is_empty()).then_some(OvsTable(keys))
    };
    let [external_ids, other_config] = [column(|all| &all.external_ids), column(|all| &all.other_config)];
    let mentions_any = external_ids.is_some() || other_config.is_some();
    mentions_any.then_some(OvsSettings { external_ids, other_config })
}

fn ovn(committed: &State, desired: &State) -> Option<OvnSettings> {
    let of = |state: &State| {
        let mappings = state.ovn.as_ref().and_then(|ovn| ovn.bridge_mappings.clone()).unwrap_or_default();
        mappings.into_iter().map(|mapping| (mapping.localnet.clone(), mapping))
    };
    let mut all: BTreeMap<String, OvnBridgeMapping> = of(committed).collect();
    all.extend(of(desired));
    all.retain(|_, mapping| mapping.state != Some(MappingState::Absent));
    let all: Vec<OvnBridgeMapping> = all.into_values().collect();
    (!all.is_empty()).then_some(OvnSettings { bridge_mappings: Some(all) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Document;
    use serde_json::{Value as Json, json};

    fn state(json: Json) -> State {
        Document::from_json(&json).state().expect("a valid state").0
    }

    fn plan() -> Plan {
        Plan {
            changes: Vec::new(),
            expected: State::empty(),
            origins: BTreeMap::new(),
            warnings: Vec::new(),
            unverified: false,
        }
    }

    #[test]
    fn settings_of_open_vswitch_add_up_and_deletions_are_forgotten() {
        let documents = [
            json!({"ovs-db": {"external_ids": {"a": "1", "b": "2"}, "other_config": {"c": "3"}},
                "ovn": {"bridge-mappings": [{"localnet": "red", "bridge": "br0"}, {"localnet": "blue", "bridge": "br0"}]}}),
            json!({"ovs-db": {"external_ids": {"a": null, "d": "4"}},
                "ovn": {"bridge-mappings": [{"localnet": "blue", "state": "absent"}, {"localnet": "red", "bridge": "br1"}]}}),
            json!({"description": "nothing"}),
            json!({"ovs-db": {"other_config": {}}}),
        ];
        let all = documents.map(state);
        let mut committed = State::empty();
        let mut seen = Vec::new();
        for document in &all {
            committed = accumulate(&committed, document, &plan());
            seen.push(json!({"ovs-db": committed.ovs_db, "ovn": committed.ovn}));
        }
        let ids = json!({"b": "2", "d": "4"});
        let red = json!({"bridge-mappings": [{"localnet": "red", "bridge": "br1"}]});
        assert_eq!(seen[1], json!({"ovs-db": {"external_ids": ids, "other_config": {"c": "3"}}, "ovn": red}));
        assert_eq!(seen[2], seen[1]);
        assert_eq!(seen[3], json!({"ovs-db": {"external_ids": ids}, "ovn": red}));
        let purged = accumulate(&committed, &state(json!({"ovs-db": {}})), &plan());
        assert_eq!(purged.ovs_db, None, "a purge does not purge again what comes later");
    }

    #[test]
    fn later_documents_win_key_by_key_and_absent_removes() {
        let first = state(json!({
            "interfaces": [{"name": "eth1", "type": "ethernet", "mtu": 9000, "description": "rack"},
                {"name": "dummy0", "type": "dummy"}],
            "routes": {"config": [
                {"destination": "203.0.113.0/24", "next-hop-interface": "dummy0", "next-hop-address": "198.51.100.2"},
                {"destination": "192.0.2.0/24", "next-hop-interface": "eth1", "next-hop-address": "198.51.100.3"}]},
            "dns-resolver": {"config": {"server": ["198.51.100.53"]}},
        }));
        let second = state(json!({
            "interfaces": [{"name": "eth1", "type": "ethernet", "mtu": 1500}, {"name": "dummy0", "state": "absent"}],
            "dns-resolver": {"config": {"search": ["example.com"]}},
        }));
        let both = accumulate(&accumulate(&State::empty(), &first, &plan()), &second, &plan());
        assert_eq!(
            serde_json::to_value(&both).expect("it prints"),
            json!({
                "dns-resolver": {"config": {"server": ["198.51.100.53"], "search": ["example.com"]}},
                "routes": {"config": [
                    {"destination": "192.0.2.0/24", "next-hop-interface": "eth1", "next-hop-address": "198.51.100.3"}]},
                "interfaces": [{"name": "eth1", "description": "rack", "type": "ethernet", "state": "up", "mtu": 1500}],
            })
        );
        assert_eq!(accumulate(&both, &second, &plan()), both, "the same again adds nothing");
    }
}
