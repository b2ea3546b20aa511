//! Which features a document uses, and how its interfaces stand upon each other (schema 15.2, semantics F).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::planned;
use crate::plan::{Change, Key, base, family, ports};
use crate::state::{
    Bridge, Ethernet, Identifier, Interface, InterfaceState, InterfaceType, Native, Problem, SrIov, State,
    VirtualFunction,
};

/// What is told of a document; the order of printing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Statistic {
    /// One text for each stack of interfaces, none within another, the shortest first.
    pub topology: Vec<String>,
    /// Each feature once, in the order in which they are listed.
    pub features: Vec<&'static str>,
    /// What a document in netplan's own words says of each type of definition, as `bonds.interfaces`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub netplan: Vec<String>,
}

/// What `desired` uses, where the network is as `current`.
pub fn statistic(desired: &State, current: &State) -> Result<Statistic, Vec<Problem>> {
    let current = with_functions(desired, current);
    let plan = planned(desired, &current)?;
    let mut then: BTreeMap<Key, &Interface> =
        current.interfaces().iter().map(|interface| (Key::of(interface), interface)).collect();
    let mut touched: BTreeSet<Key> = BTreeSet::new();
    for change in &plan.changes {
        let Change::Interface(change) = change else { continue };
        let key = Key::new(&change.name, &change.kind);
        match &change.after {
            Some(after) => {
                touched.insert(key.clone());
                then.insert(key, after);
            }
            None => drop(then.remove(&key)),
        }
    }
    // What is as asked already.
    touched.extend(plan.expected.interfaces().iter().map(Key::of));
    let network = Network(then);
    let topology = network.topology(&touched);
    let netplan = desired.network.as_ref().map(Native::uses).unwrap_or_default();
    Ok(Statistic { topology, features: features(desired, &plan.expected), netplan })
}

/// Before the name of a virtual function, as `sriov:eth1:2`.
const FUNCTION: &str = "sriov:";

/// Virtual functions that a document names and that are not there yet get a name, so that it can be planned.
fn with_functions<'s>(desired: &State, current: &'s State) -> Cow<'s, State> {
    let named = desired.interfaces().iter().flat_map(|interface| {
        ports(interface).unwrap_or_default().into_iter().chain([interface.name.as_str()])
    });
    let wanted: BTreeSet<(String, u32)> = named
        .filter_map(|name| {
            let (device, id) = name.strip_prefix(FUNCTION)?.split_once(':')?;
            Some((device.to_owned(), id.parse().ok()?))
        })
        .collect();
    if wanted.is_empty() {
        return Cow::Borrowed(current);
    }
    let mut current = current.clone();
    let interfaces = current.interfaces.get_or_insert_default();
    for (device, id) in wanted {
        let Some(owner) = interfaces.iter_mut().find(|interface| interface.name == device) else { continue };
        let nothing = Ethernet { sr_iov: None, auto_negotiation: None, speed: None, duplex: None };
        let ethernet = owner.ethernet.get_or_insert_with(|| Box::new(nothing));
        let nothing = SrIov { drivers_autoprobe: None, total_vfs: None, max_vfs: None, vfs: None };
        let functions = ethernet.sr_iov.get_or_insert(nothing).vfs.get_or_insert_default();
        let place = functions.iter().position(|function| function.id == id).unwrap_or_else(|| {
            functions.push(VirtualFunction::new(id));
            functions.len() - 1
        });
        if functions[place].iface_name.is_none() {
            let name = format!("{device}v{id}");
            functions[place].iface_name = Some(name.clone());
            let state = InterfaceState::Down;
            interfaces.push(Interface::new(&name, InterfaceType::Ethernet, state));
        }
    }
    Cow::Owned(current)
}

/// Each feature, and how it is found in a document; `expected` is that document completed.
fn features(desired: &State, expected: &State) -> Vec<&'static str> {
    let any = |test: &dyn Fn(&Interface) -> bool| desired.interfaces().iter().any(test);
    let any_expected = |test: &dyn Fn(&Interface) -> bool| expected.interfaces().iter().any(test);
    let sends_own_name = |v6: bool| {
        any_expected(&|interface: &Interface| {
            family(Some(interface), v6).is_some_and(|ip| ip.dhcp_custom_hostname.is_some())
        })
    };
    let is_function = |name: &str| name.starts_with(FUNCTION);
    let names_function = |interface: &Interface| {
        is_function(&interface.name) || ports(interface).unwrap_or_default().into_iter().any(is_function)
    };
    let ovs_ports = |interface: &Interface| match interface.bridge.as_deref() {
        Some(Bridge::Ovs(bridge)) => bridge.port.clone().unwrap_or_default(),
        _ => Vec::new(),
    };
    let dns = desired.dns_resolver.as_ref().and_then(|dns| dns.config.as_ref());
    let routes = desired.routes.as_ref().and_then(|routes| routes.config.as_ref());
    let rules = desired.config_rules();
    let suppresses = rules.iter().any(|rule| !rule.is_absent() && rule.suppress_prefix_length.is_some());
    let used = [
        ("dhcpv4-custom-hostname", sends_own_name(false)),
        ("dhcpv6-custom-hostname", sends_own_name(true)),
        ("iface-name-refered-by-sriov-vf-id", any(&names_function)),
        ("lldp", any(&|interface| interface.lldp.is_some())),
        ("mac-based-identifier", any(&|interface| interface.identifier == Some(Identifier::MacAddress))),
        ("mptcp", any(&|interface| interface.mptcp.is_some())),
        ("ovn-mapping", desired.ovn.as_ref().is_some_and(|ovn| ovn.bridge_mappings.is_some())),
        ("ovs-bond", any(&|interface| ovs_ports(interface).iter().any(|port| port.bond.is_some()))),
        ("ovs-db-global", desired.ovs_db.is_some()),
        ("ovs-db-interface", any(&|interface| interface.ovs_db.as_ref().is_some_and(|own| !own.is_empty()))),
        ("ovs-dpdk", any(&|interface| interface.dpdk.is_some())),
        ("ovs-patch", any(&|interface| interface.patch.is_some())),
        (
            "sriov",
            any(&|interface| interface.ethernet.as_ref().is_some_and(|ethernet| ethernet.sr_iov.is_some())),
        ),
        ("static-dns-name-server", dns.is_some_and(|dns| dns.server.is_some())),
        ("static-dns-option", dns.is_some_and(|dns| dns.options.is_some())),
        ("static-dns-search", dns.is_some_and(|dns| dns.search.is_some())),
        ("static-hostname", desired.hostname.as_ref().is_some_and(|hostname| hostname.config.is_some())),
        ("static-route", routes.is_some()),
        ("static-route-rule", !rules.is_empty()),
        ("static-route-rule-suppress-prefix-length", suppresses),
    ];
    let count = desired.interfaces().iter().filter(|interface| interface.is_up()).count();
    let count = COUNTS.into_iter().rfind(|(least, _)| count >= *least).map(|(_, name)| name);
    used.into_iter().filter(|(_, is_used)| *is_used).map(|(name, _)| name).chain(count).collect()
}

const COUNTS: [(usize, &str); 5] = [
    (10, "iface-count10-plus"),
    (50, "iface-count50-plus"),
    (100, "iface-count100-plus"),
    (200, "iface-count200-plus"),
    (500, "iface-count500-plus"),
];

/// Interfaces that stand upon each other in a longer line than this stand in a circle.
const DEPTH_MAX: usize = 64;

/// All interfaces as they shall be.
struct Network<'a>(BTreeMap<Key, &'a Interface>);

impl<'a> Network<'a> {
    /// One text for each of these interfaces that is up (semantics F5).
    fn topology(&self, of: &BTreeSet<Key>) -> Vec<String> {
        let mut known: BTreeMap<Key, Vec<&'a str>> = BTreeMap::new();
        let up = of.iter().filter_map(|key| self.0.get(key).copied()).filter(|own| own.is_up());
        let mut texts: Vec<String> = Vec::new();
        for text in up.map(|own| self.text(own, &mut known)) {
            // Of thousands of interfaces few stand in a way of their own.
            if !texts.iter().any(|other| other.contains(&text)) {
                texts.retain(|other| !text.contains(other.as_str()));
                texts.push(text);
            }
        }
        // Those of one length in the order of the interfaces, as the peer has them.
        texts.sort_by_key(String::len);
        texts
    }

    fn text(&self, own: &'a Interface, known: &mut BTreeMap<Key, Vec<&'a str>>) -> String {
        let mut controllers = Vec::new();
        let mut top = own;
        while let Some(controller) = self.controller(top).filter(|_| controllers.len() < DEPTH_MAX) {
            controllers.push(word(controller));
            top = controller;
        }
        let mut words: Vec<&str> = Vec::new();
        let ip = ip_words(top);
        words.extend((!ip.is_empty()).then_some(ip.as_str()));
        words.extend(controllers.into_iter().rev());
        words.extend(self.downwards(own, DEPTH_MAX, known));
        words.join(" -> ")
    }

    /// The controller that an interface is a port of. An interface of Open vSwitch stands upon its bridge.
    fn controller(&self, own: &Interface) -> Option<&'a Interface> {
        let name = own.controller.as_deref().filter(|name| !name.is_empty())?;
        if *own.kind() == InterfaceType::OvsInterface { None } else { self.named(name) }
    }

    fn named(&self, name: &str) -> Option<&'a Interface> {
        let bridge = || self.0.get(&Key::new(name, &InterfaceType::OvsBridge));
        self.0.get(&Key::kernel(name)).filter(|own| own.kind().is_controller()).or_else(bridge).copied()
    }

    /// Its own type, and those below it.
    fn downwards(
        &self,
        own: &'a Interface,
        depth: usize,
        known: &mut BTreeMap<Key, Vec<&'a str>>,
    ) -> Vec<&'a str> {
        let key = Key::of(own);
        if let Some(words) = known.get(&key) {
            return words.clone();
        }
        let mut words = vec![word(own)];
        if depth > 0 {
            let parent = self.parent(own).map(|parent| self.downwards(parent, depth - 1, known));
            let below = parent.unwrap_or_else(|| {
                let ports = ports(own).unwrap_or_default().into_iter();
                let ports = ports.filter_map(|name| self.0.get(&Key::kernel(name)).copied());
                let branches = ports
                    .filter(|port| *port.kind() != InterfaceType::OvsInterface)
                    .map(|port| self.downwards(port, depth - 1, known));
                // Of branches of one length the first.
                branches
                    .fold(Vec::new(), |deepest, next| if next.len() > deepest.len() { next } else { deepest })
            });
            words.extend(below);
        }
        known.insert(key, words.clone());
        words
    }

    /// What carries it, so that it goes with that (semantics A8).
    fn parent(&self, own: &Interface) -> Option<&'a Interface> {
        match own.kind() {
            InterfaceType::OvsInterface => self.named(own.controller.as_deref()?),
            InterfaceType::Ipvlan | InterfaceType::IpTunnel => None,
            _ => self.0.get(&Key::kernel(base(own)?)).copied(),
        }
    }
}

/// A veth is called what any Ethernet is.
fn word(interface: &Interface) -> &str {
    match interface.kind() {
        InterfaceType::Veth => "ethernet",
        kind => kind.word(),
    }
}

/// How an interface gets its addresses.
fn ip_words(interface: &Interface) -> String {
    let one = |v6: bool, fixed: &'static str, auto: &'static str| {
        let ip = family(Some(interface), v6).filter(|ip| ip.is_enabled())?;
        match ip.is_auto() {
            true => Some(auto),
            false => (!ip.addresses().is_empty()).then_some(fixed),
        }
    };
    let words = [one(false, "static_ip4", "auto_ip4"), one(true, "static_ip6", "auto_ip6")];
    words.into_iter().flatten().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Document;

    fn state(text: &str) -> State {
        let state = Document::from_text(text).expect("YAML").state();
        state.unwrap_or_else(|problems| panic!("{problems:?}")).0
    }

    fn of(desired: &str) -> Statistic {
        let current = state(
            "interfaces:
- {name: lo, type: loopback, state: up}
- {name: eth1, type: ethernet, state: up, mac-address: '02:00:00:00:00:01', ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth3, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}, ipv6: {enabled: false}}
",
        );
        statistic(&state(desired), &current).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// What the peer 2.2.62 says of the same, but for routes and MPTCP.
    #[test]
    fn stacks_and_features_are_those_of_the_peer() {
        let found = of("interfaces:
- {name: eth1, type: ethernet, lldp: {enabled: false}}
- {name: bond0, type: bond, ipv4: {enabled: true, dhcp: true}, link-aggregation: {mode: balance-rr, port: [eth1, eth2]}}
- name: br0
  type: linux-bridge
  ipv6: {enabled: true, autoconf: true, dhcp: true}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  bridge: {port: [{name: d0}, {name: bond0.7}]}
- {name: d0, type: dummy}
- {name: bond0.7, type: vlan, vlan: {base-iface: bond0, id: 7}}
- {name: br0.8, type: vlan, vlan: {base-iface: br0, id: 8}, mptcp: {address-flags: [signal]}}
- {name: obr, type: ovs-bridge, bridge: {port: [{name: obr0}, {name: d1}]}}
- {name: obr0, type: ovs-interface, ipv4: {enabled: true, dhcp: true}}
- {name: d1, type: dummy}
- {name: v0, type: veth, veth: {peer: v1}}
- {name: d9, type: dummy, state: down}
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: br0, next-hop-address: 192.0.2.9}]}
");
        let topology = [
            "auto_ip4 -> bond -> ethernet",
            "static_ip4,auto_ip6 -> linux-bridge -> dummy",
            "vlan -> linux-bridge -> vlan -> bond -> ethernet",
            "auto_ip4 -> ovs-interface -> ovs-bridge -> dummy",
            "static_ip4,auto_ip6 -> linux-bridge -> vlan -> bond -> ethernet",
        ];
        assert_eq!(found.topology, topology);
        assert_eq!(found.features, ["lldp", "mptcp", "static-route", "iface-count10-plus"]);
    }

    #[test]
    fn netplans_own_words_are_told_by_type() {
        let desired = state(
            "network: {version: 2, ethernets: {eth1: {dhcp4: false, mtu: 1400}, eth2: {mtu: 1300}}, bonds: {b: {}}}\n",
        );
        let found = statistic(&desired, &State::empty()).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert_eq!(found.netplan, ["bonds", "ethernets", "ethernets.dhcp4", "ethernets.mtu"]);
        assert!(found.features.is_empty() && found.topology.is_empty());
    }

    #[test]
    fn each_kind_stands_as_the_peer_has_it() {
        for (desired, expected) in [
            ("{name: v0, type: veth, veth: {peer: v1}}", &["ethernet"][..]),
            ("{name: eth3, type: ethernet, description: x}", &["auto_ip4 -> ethernet"]),
            ("{name: d, type: dummy, ipv6: {enabled: true}, ipv4: {enabled: true}}", &["dummy"]),
            ("{name: d, type: dummy, ipv6: {enabled: true, dhcp: true}}", &["auto_ip6 -> dummy"]),
            ("{name: eth3, state: absent}", &[]),
            (
                "{name: vrf0, type: vrf, vrf: {route-table-id: 10, port: [d0]}}, {name: d0, type: dummy, \
                 ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}",
                &["vrf -> dummy"],
            ),
            (
                "{name: m0, type: mac-vlan, mac-vlan: {base-iface: eth1, mode: vepa}}, \
                 {name: i0, type: ipvlan, ipvlan: {base-iface: eth2, mode: l3}}, \
                 {name: vx, type: vxlan, vxlan: {id: 3, base-iface: eth1, remote: 192.0.2.4}}",
                &["ipvlan", "vxlan -> ethernet", "mac-vlan -> ethernet"],
            ),
            (
                "{name: h0, type: hsr, hsr: {port1: eth1, port2: eth2, multicast-spec: 1, protocol: hsr}}",
                &["hsr -> ethernet"],
            ),
            (
                "{name: obr, type: ovs-bridge, bridge: {port: [{name: obr0}, {name: b, link-aggregation: \
                 {mode: active-backup, port: [{name: eth1}, {name: eth2}]}}]}}, {name: obr0, type: ovs-interface}",
                &["ovs-interface -> ovs-bridge -> ethernet"],
            ),
        ] {
            assert_eq!(of(&format!("interfaces: [{desired}]")).topology, expected, "{desired}");
        }
    }

    #[test]
    fn features_are_what_a_document_mentions() {
        for (desired, expected) in [
            ("{hostname: {running: x}, dns-resolver: {config: {}}, routes: {}}", &[][..]),
            (
                "{hostname: {config: x}, dns-resolver: {config: {server: [], search: [], options: []}}, routes: {config: []}}",
                &[
                    "static-dns-name-server",
                    "static-dns-option",
                    "static-dns-search",
                    "static-hostname",
                    "static-route",
                ],
            ),
            (
                "{interfaces: [{name: d0, type: dummy, ipv4: {enabled: true, dhcp: false, dhcp-custom-hostname: foo}}]}",
                &[],
            ),
            (
                "{interfaces: [{name: d0, type: dummy, state: down, lldp: {enabled: true}, ovs-db: {external_ids: {}}}]}",
                &["lldp"],
            ),
            (
                "{interfaces: [{name: eth1, type: ethernet, identifier: mac-address, mac-address: \"02:00:00:00:00:01\",
                 ethernet: {sr-iov: {total-vfs: 2}}}, {name: \"sriov:eth1:1\", type: ethernet}]}",
                &["iface-name-refered-by-sriov-vf-id", "mac-based-identifier", "sriov"],
            ),
        ] {
            assert_eq!(of(desired).features, expected, "{desired}");
        }
    }
}
