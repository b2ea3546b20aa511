//! What a transaction touches: its rollback puts back that, and nothing that others changed
//! meanwhile. On a cluster node pods come and go, with their cables, bridge ports and routes,
//! while a change waits to be committed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::relations::{adopt_port, base, is_removable, peer, ports, retain_ports};
use super::routes::{MAIN_TABLE, table_of};
use super::{Change, Key, Plan, ovs};
use crate::state::{
    Interface, InterfaceState, InterfaceType, Mark, Net, OvnBridgeMapping, OvnSettings, OvsSettings,
    OvsTable, Route, RouteRule, RouteRules, Routes, Selector, Shared, State,
};

/// What the plans of a transaction change, by what identifies it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    interfaces: BTreeSet<String>,
    routes: BTreeSet<RouteKey>,
    rules: BTreeSet<RuleKey>,
    resolver: bool,
    hostname: bool,
    /// Keys of Open vSwitch's settings, and physical networks of OVN's mappings.
    #[serde(default)]
    external_ids: BTreeSet<String>,
    #[serde(default)]
    other_config: BTreeSet<String>,
    #[serde(default)]
    mappings: BTreeSet<String>,
    /// Something that Open vSwitch's database keeps.
    #[serde(default)]
    ovs: bool,
    /// What is said in netplan's own words.
    #[serde(default)]
    network: bool,
}

/// Destination and table. Who adds another route of the same key in the same minute has a conflict
/// with the document, and loses it.
type RouteKey = (String, u32);

/// Source, destination, incoming interface, mark and table.
type RuleKey = (String, String, String, u32, u32);

impl Touched {
    /// Adds what the plan changes.
    pub fn extend(&mut self, plan: &Plan) {
        for change in &plan.changes {
            self.ovs |= match change {
                Change::Interface(change) => {
                    matches!(change.kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface)
                }
                Change::OvsDb(_) | Change::Ovn(_) => true,
                Change::Route(_)
                | Change::Rule(_)
                | Change::Dns(_)
                | Change::Hostname(_)
                | Change::Network(_) => false,
            };
            match change {
                Change::Interface(change) => {
                    self.interfaces.insert(change.name.clone());
                    // What it was attached to changes with it: the MTU and MAC of a bridge follow its ports.
                    let sides = [&change.before, &change.after].into_iter().flatten();
                    self.interfaces.extend(sides.flat_map(|side| controller(side).map(str::to_owned)));
                }
                Change::Route(change) => {
                    self.routes.insert(route_key(&change.route));
                }
                Change::Rule(change) => {
                    self.rules.insert(rule_key(&change.rule));
                }
                Change::Dns(_) => self.resolver = true,
                Change::Hostname(_) => self.hostname = true,
                Change::Network(_) => self.network = true,
                Change::OvsDb(change) => {
                    self.external_ids.extend(change.external_ids.keys().cloned());
                    self.other_config.extend(change.other_config.keys().cloned());
                }
                Change::Ovn(change) => self.mappings.extend(change.bridges.keys().cloned()),
            }
        }
    }

    pub fn has_routes(&self) -> bool {
        !self.routes.is_empty()
    }

    pub fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    pub fn has_resolver(&self) -> bool {
        self.resolver
    }

    pub fn has_hostname(&self) -> bool {
        self.hostname
    }

    /// Whether anything of it is kept by Open vSwitch's database.
    pub fn has_ovs(&self) -> bool {
        self.ovs
    }

    /// What is there now, where nothing is left alone that the transaction may have made: a link of a name that it
    /// touches, and that was not there before. Its service may have been killed before it knew the link as its own.
    pub fn own<'a>(&self, before: &State, current: &'a State) -> Cow<'a, State> {
        let is_own = |one: &Interface| {
            one.is_ignored()
                && is_removable(one)
                && self.interfaces.contains(&one.name)
                && before.interface(&one.name).is_none()
        };
        if !current.interfaces().iter().any(is_own) {
            return Cow::Borrowed(current);
        }
        let mut current = current.clone();
        let all = current.interfaces.iter_mut().flat_map(|all| all.iter_mut());
        all.filter(|one| is_own(one)).for_each(|one| one.state = Some(InterfaceState::Down));
        Cow::Owned(current)
    }

    /// The state to go back to from `current`: what is touched as it was `before`, everything else
    /// as it is now.
    pub fn way_back(&self, before: &State, current: &State) -> State {
        let reach = self.reach(before, current);
        let side = |resets: bool| if resets { before } else { current };
        State {
            description: None,
            hostname: side(self.hostname).hostname.clone(),
            dns_resolver: side(self.resolver).dns_resolver.clone(),
            route_rules: Some(RouteRules { config: Some(self.rules_back(before, current)) }),
            routes: Some(Routes { running: None, config: Some(self.routes_back(before, current, &reach)) }),
            interfaces: Some(interfaces_back(before, current, &reach)),
            ovs_db: self.settings_back(before, current),
            ovn: self.mappings_back(before, current),
            network: side(self.network).network.clone(),
        }
    }

    fn settings_back(&self, before: &State, current: &State) -> Option<OvsSettings> {
        if self.external_ids.is_empty() && self.other_config.is_empty() {
            return current.ovs_db.clone();
        }
        let (was, now) = (ovs::settings(before.ovs_db.as_ref()), ovs::settings(current.ovs_db.as_ref()));
        let column = |touched: &BTreeSet<String>, was, now| {
            let back = table_back(touched, was, now).map(|(key, value)| (key, Some(value)));
            Some(OvsTable(back.collect()))
        };
        Some(OvsSettings {
            external_ids: column(&self.external_ids, was.0, now.0),
            other_config: column(&self.other_config, was.1, now.1),
        })
    }

    fn mappings_back(&self, before: &State, current: &State) -> Option<OvnSettings> {
        if self.mappings.is_empty() {
            return current.ovn.clone();
        }
        let (was, now) = (ovs::mappings(before.ovn.as_ref()), ovs::mappings(current.ovn.as_ref()));
        let back: BTreeMap<String, String> = table_back(&self.mappings, was, now).collect();
        let back = back.into_iter().map(|(localnet, bridge)| OvnBridgeMapping {
            localnet,
            state: None,
            bridge: Some(bridge),
        });
        Some(OvnSettings { bridge_mappings: Some(back.collect()) })
    }

    /// The interfaces that a rollback may change: those touched, and all that rest on them (the kernel
    /// takes a VLAN along with its base).
    pub fn reach(&self, before: &State, current: &State) -> BTreeSet<String> {
        let mut above: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for interface in before.interfaces().iter().chain(current.interfaces()) {
            for below in [base(interface), peer(interface)].into_iter().flatten() {
                above.entry(below).or_default().push(&interface.name);
            }
        }
        let mut reach = self.interfaces.clone();
        let mut new: Vec<&str> = self.interfaces.iter().map(String::as_str).collect();
        while let Some(name) = new.pop() {
            for next in above.get(name).into_iter().flatten() {
                if reach.insert((*next).to_owned()) {
                    new.push(next);
                }
            }
        }
        reach
    }

    fn routes_back(&self, before: &State, current: &State, reach: &BTreeSet<String>) -> Shared<Route> {
        if before.shares_routes_with(current) {
            return current.routes.as_ref().and_then(|routes| routes.config.clone()).unwrap_or_default();
        }
        let is_touched = |route: &&Route| {
            let rests = route.next_hop_interface.as_deref().is_some_and(|name| reach.contains(name));
            rests || (!self.routes.is_empty() && self.routes.contains(&route_key(route)))
        };
        let was = before.config_routes().iter().filter(is_touched);
        was.chain(current.config_routes().iter().filter(|route| !is_touched(route))).cloned().collect()
    }

    fn rules_back(&self, before: &State, current: &State) -> Vec<RouteRule> {
        let is_touched = |rule: &&RouteRule| self.rules.contains(&rule_key(rule));
        let was = before.config_rules().iter().filter(is_touched);
        was.chain(current.config_rules().iter().filter(|rule| !is_touched(rule))).cloned().collect()
    }
}

/// What is touched as it was, everything else as it is.
fn table_back(
    touched: &BTreeSet<String>,
    was: BTreeMap<String, String>,
    now: BTreeMap<String, String>,
) -> impl Iterator<Item = (String, String)> {
    let was = was.into_iter().filter(|(key, _)| touched.contains(key));
    was.chain(now.into_iter().filter(|(key, _)| !touched.contains(key)))
}

fn controller(interface: &Interface) -> Option<&str> {
    interface.controller.as_deref().filter(|name| !name.is_empty())
}

fn route_key(route: &Route) -> RouteKey {
    (route.destination.as_ref().map(Net::to_string).unwrap_or_default(), table_of(route))
}

fn rule_key(rule: &RouteRule) -> RuleKey {
    let net = |selector: Option<Selector>| {
        selector.and_then(Selector::net).filter(|net| net.prefix() > 0).map(|net| net.to_string())
    };
    (
        net(rule.ip_from).unwrap_or_default(),
        net(rule.ip_to).unwrap_or_default(),
        rule.iif.clone().unwrap_or_default(),
        rule.fwmark.map_or(0, |Mark(mark)| mark),
        rule.route_table.filter(|table| *table != 0).unwrap_or(MAIN_TABLE),
    )
}

fn interfaces_back(before: &State, current: &State, reach: &BTreeSet<String>) -> Vec<Interface> {
    let now: BTreeMap<Key, &Interface> =
        current.interfaces().iter().map(|interface| (Key::of(interface), interface)).collect();
    let was: BTreeSet<Key> = before.interfaces().iter().map(Key::of).collect();
    let back = before.interfaces().iter().filter_map(|was| {
        let now = now.get(&Key::of(was)).copied();
        if reach.contains(&was.name) { Some(with_ports_of_others(was, now, reach)) } else { now.cloned() }
    });
    let new = current.interfaces().iter().filter(|interface| !was.contains(&Key::of(interface)));
    back.chain(new.filter(|interface| !reach.contains(&interface.name)).cloned()).collect()
}

/// A controller as it was, but with the ports that others attached or took away meanwhile.
fn with_ports_of_others(was: &Interface, now: Option<&Interface>, reach: &BTreeSet<String>) -> Interface {
    let mut back = was.clone();
    let Some(now) = now.filter(|now| now.kind() == was.kind()) else { return back };
    let present = ports(now).unwrap_or_default();
    retain_ports(&mut back, |port| reach.contains(port) || present.contains(&port));
    let kept: BTreeSet<String> = ports(&back).unwrap_or_default().into_iter().map(str::to_owned).collect();
    for port in present.into_iter().filter(|port| !reach.contains(*port) && !kept.contains(*port)) {
        adopt_port(&mut back, now, port);
    }
    back
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Capabilities, Options, plan, restore};
    use crate::state::{Document, InterfaceType};

    fn state(yaml: &str) -> State {
        Document::from_text(yaml).expect("YAML").state().expect("a valid state").0
    }

    const BEFORE: &str = "
interfaces:
- {name: br0, type: linux-bridge, state: up, mtu: 1500, bridge: {port: [{name: eth1}]}}
- {name: eth1, type: ethernet, state: up, mtu: 1500, controller: br0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
";
    /// The document is applied, and meanwhile a pod came: a cable, a bridge port, a route.
    const AFTER: &str = "
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.9}
  - {destination: 198.51.100.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.9}
interfaces:
- {name: br0, type: linux-bridge, state: up, mtu: 9000, bridge: {port: [{name: eth1}, {name: pod1}]}}
- {name: br0.7, type: vlan, state: up, vlan: {base-iface: br0, id: 7}}
- {name: eth1, type: ethernet, state: up, mtu: 9000, controller: br0}
- {name: eth2, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
- {name: pod1, type: veth, state: up, mtu: 1500, controller: br0}
";
    const DESIRED: &str = "
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.9}]}
interfaces:
- {name: br0, type: linux-bridge, mtu: 9000}
- {name: br0.7, type: vlan, vlan: {base-iface: br0, id: 7}}
- {name: eth1, type: ethernet, mtu: 9000}
";

    /// By the document.
    fn touched(before: &State) -> Touched {
        let capabilities = Capabilities {
            backend: "test",
            interface_types: InterfaceType::WORDS.iter().map(|word| InterfaceType::from_word(word)).collect(),
            vlan_filtering: true,
            volatile_until_commit: true,
            profiles: false,
            persists: false,
            ..Capabilities::default()
        };
        let plan = plan(&state(DESIRED), before, &capabilities, &Options::default()).expect("a plan");
        let mut touched = Touched::default();
        touched.extend(&plan);
        touched
    }

    #[test]
    fn a_new_link_that_may_be_ours_is_not_left_alone() {
        let before = state(BEFORE);
        let mut after = state(AFTER);
        let new = after.interfaces.iter_mut().flat_map(|all| all.iter_mut());
        new.filter(|one| one.name == "br0.7" || one.name == "pod1")
            .for_each(|one| one.state = Some(InterfaceState::Ignore));
        let touched = touched(&before);
        let own = touched.own(&before, &after);
        let ignored = own.interfaces().iter().filter(|one| one.is_ignored()).map(|one| one.name.as_str());
        assert_eq!(ignored.collect::<Vec<_>>(), ["pod1"]);
        assert!(matches!(touched.own(&own, &after), Cow::Borrowed(_)), "it was there before");
    }

    #[test]
    fn what_others_did_meanwhile_stays() {
        let (before, after) = (state(BEFORE), state(AFTER));
        let back = touched(&before).way_back(&before, &after);
        let names: Vec<&str> = back.interfaces().iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["br0", "eth1", "eth2", "pod1"]);
        assert_eq!(ports(&back.interfaces()[0]).expect("ports"), ["eth1", "pod1"]);
        assert_eq!(back.interfaces()[0].mtu, Some(1500));
        assert_eq!(back.config_routes().len(), 1, "{:?}", back.config_routes());
        let changed: Vec<String> = restore(&back, &after)
            .changes
            .iter()
            .map(|change| match change {
                Change::Interface(change) => change.name.clone(),
                Change::Route(change) => route_key(&change.route).0,
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(changed, ["br0.7", "br0", "eth1", "198.51.100.0/24"]);
    }
}
