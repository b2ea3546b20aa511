//! Documents made from a plan: one that leads back (semantics X10 to X16), and one that says only
//! what would change (X1 to X7).

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::routes::{self, Index};
use super::{
    Action, Change, InterfaceChange, NetworkChange, OvnChange, OvsDbChange, Plan, ValueChange, dns, rules,
};
use crate::state::{
    AbsentState, AltName, DnsResolver, FieldInfo, Identifier, Interface, InterfaceState, Lldp, MappingState,
    Mode, Native, Node, OvnBridgeMapping, OvnSettings, OvsSettings, OvsTable, Part, Path, Reader, Route,
    RouteRule, RouteRules, RouteState, Routes, Segment, Shape, State, WaitIp,
};

/// A document that leads back to `current` once the plan for `desired` has been carried out.
pub fn revert(desired: &State, current: &State, plan: &Plan) -> State {
    let network = network_change(plan).map(|change| change.before.clone().unwrap_or_else(Native::nothing));
    if network.is_some() && desired.interfaces().is_empty() {
        // All else is what that means.
        return State { network, ..State::empty() };
    }
    let (added, removed) = route_changes(plan);
    // A pattern looks at less than everything, so what it would take along is said again.
    let index = Index::new(current.config_routes().iter());
    let patterns: Vec<Route> = added.iter().map(|route| absent_route(route)).collect();
    let mut again: Vec<usize> = patterns.iter().flat_map(|pattern| index.matching(pattern)).collect();
    again.sort_unstable();
    again.dedup();
    let kept = again.into_iter().map(|i| &current.config_routes()[i]);
    let kept = kept.filter(|route| route.state.is_none() && !removed.contains(route));
    let present: Vec<Route> = removed.iter().copied().chain(kept).cloned().collect();

    let (added, removed) = rule_changes(plan);
    let rule_patterns: Vec<RouteRule> = added.iter().map(|rule| absent_rule(rule)).collect();
    let kept = current.config_rules().iter().filter(|rule| {
        !removed.contains(rule) && rule_patterns.iter().any(|pattern| rules::matches(pattern, rule))
    });
    let rules: Vec<RouteRule> = removed.iter().copied().chain(kept).cloned().collect();

    let interfaces: Vec<Interface> = interface_changes(plan).map(revert_interface).collect();
    State {
        description: None,
        hostname: desired.hostname.as_ref().and(current.hostname.clone()),
        dns_resolver: dns_change(plan)
            .then(|| DnsResolver { running: None, config: Some(dns::settings(current)) }),
        route_rules: rules_section(rule_patterns, rules),
        routes: routes_section(patterns, present),
        interfaces: Some(interfaces).filter(|interfaces| !interfaces.is_empty()),
        ovs_db: plan.changes.iter().find_map(|change| match change {
            Change::OvsDb(change) => Some(revert_ovs(change)),
            _ => None,
        }),
        ovn: ovn_change(plan).map(revert_ovn),
        network,
    }
}

/// What of `desired` would change something.
pub fn difference(desired: &State, current: &State, plan: &Plan) -> State {
    let (added, removed) = route_changes(plan);
    let patterns = removed.iter().map(|route| absent_route(route)).collect();
    let routes = routes_section(patterns, added.into_iter().cloned().collect());
    let (added, removed) = rule_changes(plan);
    let patterns = removed.iter().map(|rule| absent_rule(rule)).collect();
    let route_rules = rules_section(patterns, added.into_iter().cloned().collect());
    let interfaces: Vec<Interface> =
        interface_changes(plan).filter_map(|change| differing_interface(desired, change, plan)).collect();
    State {
        description: desired.description.clone().filter(|text| current.description.as_ref() != Some(text)),
        hostname: desired.hostname.clone().filter(|_| hostname_change(plan)),
        dns_resolver: desired.dns_resolver.clone().filter(|_| dns_change(plan)),
        route_rules,
        routes,
        interfaces: Some(interfaces).filter(|interfaces| !interfaces.is_empty()),
        ovs_db: desired.ovs_db.clone(),
        ovn: desired.ovn.clone().filter(|_| ovn_change(plan).is_some()),
        network: desired.network.clone().filter(|_| network_change(plan).is_some()),
    }
}

fn interface_changes(plan: &Plan) -> impl Iterator<Item = &InterfaceChange> {
    plan.changes.iter().filter_map(|change| match change {
        Change::Interface(change) => Some(&**change),
        _ => None,
    })
}

fn dns_change(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| matches!(change, Change::Dns(_)))
}

fn hostname_change(plan: &Plan) -> bool {
    plan.changes.iter().any(|change| matches!(change, Change::Hostname(_)))
}

fn ovn_change(plan: &Plan) -> Option<&OvnChange> {
    plan.changes.iter().find_map(|change| match change {
        Change::Ovn(change) => Some(change),
        _ => None,
    })
}

fn network_change(plan: &Plan) -> Option<&NetworkChange> {
    plan.changes.iter().find_map(|change| match change {
        Change::Network(change) => Some(&**change),
        _ => None,
    })
}

/// The routes that the plan adds, and those that it removes.
fn route_changes(plan: &Plan) -> (Vec<&Route>, Vec<&Route>) {
    let of = |action| {
        plan.changes.iter().filter_map(move |change| match change {
            Change::Route(change) if change.action == action => Some(&change.route),
            _ => None,
        })
    };
    (of(Action::Add).collect(), of(Action::Remove).collect())
}

/// The rules that the plan adds, and those that it removes.
fn rule_changes(plan: &Plan) -> (Vec<&RouteRule>, Vec<&RouteRule>) {
    let of = |action| {
        plan.changes.iter().filter_map(move |change| match change {
            Change::Rule(change) if change.action == action => Some(&change.rule),
            _ => None,
        })
    };
    (of(Action::Add).collect(), of(Action::Remove).collect())
}

/// The table says all there is to say of a VRF, which may be gone by then.
fn absent_route(route: &Route) -> Route {
    let table_id = Some(routes::table_of(route));
    Route { state: Some(RouteState::Absent), table_id, vrf_name: None, ..route.clone() }
}

fn absent_rule(rule: &RouteRule) -> RouteRule {
    RouteRule { state: Some(AbsentState::Absent), ..rule.clone() }
}

fn routes_section(absent: Vec<Route>, present: Vec<Route>) -> Option<Routes> {
    let config: Vec<Route> = absent.into_iter().chain(present).collect();
    (!config.is_empty()).then_some(Routes { running: None, config: Some(config.into()) })
}

fn rules_section(absent: Vec<RouteRule>, present: Vec<RouteRule>) -> Option<RouteRules> {
    let config: Vec<RouteRule> = absent.into_iter().chain(present).collect();
    (!config.is_empty()).then_some(RouteRules { config: Some(config) })
}

fn revert_interface(change: &InterfaceChange) -> Interface {
    let Some(before) = &change.before else {
        return Interface::new(&change.name, change.kind.clone(), InterfaceState::Absent);
    };
    let mut full = before.clone();
    full.drop_read_only();
    if change.after.is_none() {
        return full;
    }
    let mut back = only_changed(&full, change);
    say_nothing(&mut back, &full, change);
    name_alternatives(&mut back, &full, change.after.as_ref(), change);
    back
}

/// Alternative names are joined (schema 5.10): to lead from those of `from` to those of `to`, the others are
/// taken away.
fn name_alternatives(
    only: &mut Interface,
    to: &Interface,
    from: Option<&Interface>,
    change: &InterfaceChange,
) {
    let alt_names = Path::root().key("alt-names");
    if change.fields.iter().all(|field| field.path != alt_names) {
        return;
    }
    let wanted = to.alt_names.clone().unwrap_or_default();
    let now = from.and_then(|from| from.alt_names.clone()).unwrap_or_default();
    let others = now.into_iter().filter(|other| wanted.iter().all(|name| name.name != other.name));
    let absent = others.map(|other| AltName { name: other.name, state: Some(AbsentState::Absent) });
    only.alt_names = Some(absent.chain(wanted.iter().cloned()).collect());
}

/// What was not there cannot be named, but for keys that have a word for nothing.
fn say_nothing(back: &mut Interface, full: &Interface, change: &InterfaceChange) {
    let touches = |key: &str| {
        let key = Segment::Key(key.into());
        change.fields.iter().any(|field| field.path.segments().first() == Some(&key))
    };
    if touches("controller") {
        back.controller.get_or_insert_default();
    }
    if touches("description") {
        back.description.get_or_insert_default();
    }
    if touches("profile-name") {
        back.profile_name.get_or_insert_with(|| full.name.clone());
    }
    if touches("identifier") {
        back.identifier.get_or_insert(Identifier::Name);
    }
    if touches("wait-ip") {
        back.wait_ip.get_or_insert(WaitIp::Any);
    }
    if touches("lldp") {
        back.lldp.get_or_insert(Lldp { enabled: false, neighbors: None });
    }
    if touches("mptcp") {
        back.mptcp.get_or_insert_with(nothing).address_flags.get_or_insert_default();
    }
    if touches("ovs-db") {
        // A column is replaced by the one that is given.
        let was = full.ovs_db.clone().unwrap_or_else(OvsSettings::empty);
        back.ovs_db = Some(OvsSettings {
            external_ids: was.external_ids.or_else(|| Some(OvsTable::default())),
            other_config: was.other_config.or_else(|| Some(OvsTable::default())),
        });
    }
    if touches("802.1x") {
        back.ieee8021x.get_or_insert_with(nothing);
    }
    if let Some(after) = change.after.as_ref().and_then(|after| after.dispatch.as_ref())
        && touches("dispatch")
    {
        let back = back.dispatch.get_or_insert_with(nothing);
        for (back, after) in [
            (&mut back.post_activation, &after.post_activation),
            (&mut back.post_deactivation, &after.post_deactivation),
        ] {
            if after.is_some() {
                back.get_or_insert_default();
            }
        }
    }
    for (back, after) in [
        (&mut back.ipv4, change.after.as_ref().and_then(|after| after.ipv4.as_deref())),
        (&mut back.ipv6, change.after.as_ref().and_then(|after| after.ipv6.as_deref())),
    ] {
        let (Some(back), Some(after)) = (back.as_deref_mut().filter(|back| back.is_auto()), after) else {
            continue;
        };
        if after.dhcp_custom_hostname.is_some() {
            back.dhcp_custom_hostname.get_or_insert_default();
        }
        if after.token.is_some() {
            back.token.get_or_insert_default();
        }
    }
}

/// A section that mentions nothing.
fn nothing<T: Part>() -> T {
    let empty = Node::from_json(&Json::Object(Map::new()));
    T::read(&empty, &mut Reader::new()).expect("it is a section without mandatory keys")
}

/// An interface of the document that differs; one that is new, as it was written.
fn differing_interface(desired: &State, change: &InterfaceChange, plan: &Plan) -> Option<Interface> {
    let origin = plan.origins.get(&(change.name.clone(), change.kind.clone()))?;
    let position = origin.segments().iter().find_map(|segment| match segment {
        Segment::Index(position) => Some(*position),
        Segment::Key(_) => None,
    })?;
    let written = desired.interfaces().get(position)?;
    match (&change.before, &change.after) {
        (None, _) => Some(written.clone()),
        (Some(_), None) => Some(Interface::new(&change.name, change.kind.clone(), written.state())),
        (Some(before), Some(after)) => {
            let mut only = only_changed(after, change);
            name_alternatives(&mut only, after, Some(before), change);
            only.state = Some(written.state());
            // Which hardware is meant is said together with how it is found (X4).
            if only.identifier.is_some() {
                only.mac_address = only.mac_address.or(after.mac_address);
            }
            Some(only)
        }
    }
}

/// Name, type, state, and of `whole` the keys that the change touches.
pub fn only_changed(whole: &Interface, change: &InterfaceChange) -> Interface {
    let mut revealed = whole.clone();
    revealed.reveal_secrets();
    let json = serde_json::to_value(&revealed).expect("an interface prints as JSON: its keys are text");
    let mut only = Map::new();
    for key in ["name", "type", "state"] {
        if let Some(value) = json.get(key) {
            only.insert(key.into(), value.clone());
        }
    }
    for field in &change.fields {
        copy(&json, field.path.segments(), Interface::INFO.fields, &mut only);
    }
    // Another mode begins without options (M40): those that stay have to be said.
    let mode = Path::root().keys("link-aggregation.mode");
    if change.fields.iter().any(|field| field.path == mode) {
        let options = Path::root().keys("link-aggregation.options");
        copy(&json, options.segments(), Interface::INFO.fields, &mut only);
    }
    let mut reader = Reader::new();
    let read = Interface::read(&Node::from_json(&Json::Object(only)), &mut reader);
    // What cannot stand by itself is given as a whole.
    read.filter(|_| !reader.has_problems()).unwrap_or_else(|| whole.clone())
}

/// Copies the value at a path, and as much around it as must stand together.
fn copy(from: &Json, path: &[Segment], fields: &[FieldInfo], to: &mut Map<String, Json>) {
    let Some((Segment::Key(key), rest)) = path.split_first() else { return };
    let Some(value) = from.get(key) else { return };
    let field = fields.iter().find(|field| field.key == key);
    if field.is_some_and(|field| field.mode != Mode::ReadWrite) {
        return;
    }
    // Addressing goes back and forth as a whole: a static address means nothing next to DHCP (X12).
    let stands_alone = !matches!(key.as_str(), "ipv4" | "ipv6");
    match (field.map(|field| (field.shape)()), value) {
        (Some(Shape::Section(info)), Json::Object(_))
            if stands_alone && !rest.is_empty() && info.fields.iter().all(|field| !field.required) =>
        {
            let below = to.entry(key.clone()).or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(below) = below {
                copy(value, rest, info.fields, below);
            }
        }
        (_, value) => {
            to.insert(key.clone(), value.clone());
        }
    }
}

/// Each key that changes with its previous value, or null to delete it. A column without any is not
/// mentioned: an empty one would be emptied.
fn revert_ovs(change: &OvsDbChange) -> OvsSettings {
    let column = |keys: &BTreeMap<String, ValueChange>| {
        let back = keys.iter().map(|(key, value)| (key.clone(), value.before.clone()));
        Some(OvsTable(back.collect())).filter(|table| !table.0.is_empty())
    };
    OvsSettings { external_ids: column(&change.external_ids), other_config: column(&change.other_config) }
}

/// Each mapping that changes as it was, or absent; the absent ones first.
fn revert_ovn(change: &OvnChange) -> OvnSettings {
    let back = change.bridges.iter().map(|(localnet, bridge)| OvnBridgeMapping {
        localnet: localnet.clone(),
        state: bridge.before.is_none().then_some(MappingState::Absent),
        bridge: bridge.before.clone(),
    });
    let (absent, present): (Vec<_>, Vec<_>) = back.partition(|mapping| mapping.bridge.is_none());
    OvnSettings { bridge_mappings: Some(absent.into_iter().chain(present).collect()) }
}
