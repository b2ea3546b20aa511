//! Golden text: from a document now and a document wanted to the operations between them.

use std::collections::BTreeSet;

use super::lower;
use crate::plan::{Action, Capabilities, Change, Options, Plan, Reason, RouteChange, plan};
use crate::state::{Document, InterfaceType, Route, State};

fn state(text: &str) -> State {
    let document = Document::from_text(text).expect("the document has a form");
    let (state, _) = document.state().expect("the document is right");
    state
}

fn planned(now: &State, wanted: &State) -> Plan {
    let capabilities = Capabilities {
        backend: "kernel",
        interface_types: BTreeSet::from([InterfaceType::Dummy]),
        vlan_filtering: true,
        volatile_until_commit: false,
        profiles: false,
        names: false,
        persists: false,
        ..Capabilities::default()
    };
    plan(wanted, now, &capabilities, &Options::default()).expect("the wish can be planned")
}

/// What is done to get from one document to the other.
fn ops(now: &str, wanted: &str) -> Vec<String> {
    let now = state(now);
    lower(&planned(&now, &state(wanted)), &now).iter().map(ToString::to_string).collect()
}

const NOTHING: &str = "interfaces: []";

#[test]
fn a_new_dummy_is_made_and_configured() {
    let wanted = "
interfaces:
- name: d0
  type: dummy
  mac-address: 02:00:5E:10:00:09
  mtu: 9000
  ipv4:
    enabled: true
    forwarding: true
    address: [{ip: 192.0.2.1, prefix-length: 24}]
  ipv6:
    enabled: true
    address: [{ip: '2001:db8::1', prefix-length: 64}]
  alt-names: [{name: dummy-of-old}]
";
    assert_eq!(
        ops(NOTHING, wanted),
        [
            "create d0: dummy, mac 02:00:5E:10:00:09",
            "set mtu of d0 to 9000",
            "add alternative name dummy-of-old to d0",
            "set disable_ipv6 of d0 to 0",
            "set accept_ra of d0 to 0",
            "set autoconf of d0 to 0",
            "set ipv4 forwarding of d0 on",
            "take d0 up",
            "add address 192.0.2.1/24 to d0",
            "add address 2001:db8::1/64 to d0",
        ]
    );
}

const BOND: &str = "
interfaces:
- name: a
  type: dummy
  state: up
  controller: bond7
- name: b
  type: dummy
  state: up
  controller: bond7
- name: bond7
  type: bond
  state: up
  mac-address: 02:00:5E:10:00:07
  ipv4:
    enabled: true
    address: [{ip: 192.0.2.7, prefix-length: 24}]
  ipv6:
    enabled: true
    address: [{ip: '2001:db8::7', prefix-length: 64}]
  link-aggregation:
    mode: active-backup
    options: {miimon: 100, primary: a}
    port: [a, b]
- name: bond7.5
  type: vlan
  state: up
  vlan: {base-iface: bond7, id: 5}
  ipv6:
    enabled: true
    address: [{ip: '2001:db8:5::7', prefix-length: 64}]
";

#[test]
fn a_bond_takes_ports_that_are_down() {
    let two = "
interfaces:
- {name: a, type: dummy, state: up}
- {name: b, type: dummy, state: up}
";
    let wanted = "
interfaces:
- name: bond7
  type: bond
  link-aggregation:
    mode: active-backup
    options: {miimon: 100, primary: b}
    port: [a, b]
";
    assert_eq!(
        ops(two, wanted),
        [
            "take a down",
            "take b down",
            "create bond7: bond mode 1, miimon 100",
            "attach a to bond7",
            "attach b to bond7",
            "make b the primary port of bond7",
            "set disable_ipv6 of a to 1",
            "set disable_ipv6 of b to 1",
            "take a up",
            "take b up",
            "take bond7 up",
        ]
    );
}

#[test]
fn ipv6_that_is_on_without_an_address_is_turned_off() {
    let idle = |state: &str| {
        format!(
            "interfaces: [{{name: d0, type: ethernet, state: {state}, ipv6: {{enabled: true, address: []}}}}]"
        )
    };
    let off = "interfaces: [{name: d0, state: up, ipv6: {enabled: false}}]";
    for state in ["up", "down"] {
        assert_eq!(ops(&idle(state), off), ["set disable_ipv6 of d0 to 1", "take d0 up"], "{state}");
    }
    assert_eq!(ops(&idle("down"), "interfaces: [{name: d0, state: up}]"), ["take d0 up"]);
    // A port that others attached.
    let port = "
interfaces:
- {name: d0, type: ethernet, state: up, controller: br0, ipv6: {enabled: true, address: []}}
- {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: d0}]}}
";
    let wanted = "interfaces: [{name: d0, mtu: 1400}]";
    assert_eq!(ops(port, wanted), ["set mtu of d0 to 1400", "set disable_ipv6 of d0 to 1", "take d0 up"]);
}

#[test]
fn another_bond_mode_needs_the_ports_to_leave_and_what_falls_to_be_said_again() {
    let wanted = "
interfaces:
- name: bond7
  type: bond
  link-aggregation: {mode: balance-xor, options: {miimon: 140}}
";
    assert_eq!(
        ops(BOND, wanted),
        [
            "detach a",
            "detach b",
            "take a down",
            "take b down",
            "take bond7 down",
            "set bond7: bond mode 2, miimon 140",
            "attach a to bond7",
            "attach b to bond7",
            "take a up",
            "take b up",
            "take bond7 up",
            "take bond7.5 up",
            "add address 192.0.2.7/24 to bond7",
            "add address 2001:db8::7/64 to bond7",
            "add address 2001:db8:5::7/64 to bond7.5",
        ]
    );
}

#[test]
fn another_vlan_id_makes_it_anew_with_its_addresses() {
    let wanted = "
interfaces:
- name: bond7.5
  type: vlan
  vlan: {base-iface: bond7, id: 6}
";
    assert_eq!(
        ops(BOND, wanted),
        [
            "delete bond7.5",
            "create bond7.5: vlan id 6, flags VlanFlags { flags: 1, mask: 1 } on bond7",
            "set disable_ipv6 of bond7.5 to 0",
            "set accept_ra of bond7.5 to 0",
            "set autoconf of bond7.5 to 0",
            "take bond7.5 up",
            "add address 2001:db8:5::7/64 to bond7.5",
        ]
    );
}

#[test]
fn the_order_of_addresses_is_kept_by_adding_behind() {
    let interface = |addresses: &str| {
        format!(
            "interfaces: [{{name: d0, type: dummy, state: up, ipv4: {{enabled: true, address: [{addresses}]}}}}]"
        )
    };
    let address = |last: u8| format!("{{ip: 192.0.2.{last}, prefix-length: 24}}");
    let (one, two, three) = (address(1), address(2), address(3));
    assert_eq!(
        ops(&interface(&one), &interface(&format!("{one}, {two}"))),
        ["take d0 up", "add address 192.0.2.2/24 to d0"]
    );
    // Removing the primary address takes the secondary along.
    assert_eq!(
        ops(&interface(&format!("{one}, {two}")), &interface(&two)),
        ["remove address 192.0.2.1/24 from d0", "take d0 up", "add address 192.0.2.2/24 to d0"]
    );
    assert_eq!(
        ops(&interface(&format!("{two}, {three}")), &interface(&format!("{one}, {two}"))),
        [
            "remove address 192.0.2.2/24 from d0",
            "remove address 192.0.2.3/24 from d0",
            "take d0 up",
            "add address 192.0.2.1/24 to d0",
            "add address 192.0.2.2/24 to d0",
        ]
    );
}

#[test]
fn a_child_shrinks_before_its_base_and_grows_after_it() {
    let links = |mtu: u32| {
        format!(
            "
interfaces:
- {{name: base, type: dummy, state: up, mtu: {mtu}}}
- {{name: a-child, type: vlan, state: up, mtu: {mtu}, vlan: {{base-iface: base, id: 5}}}}
"
        )
    };
    let mtus =
        |ops: Vec<String>| -> Vec<String> { ops.into_iter().filter(|op| op.contains("mtu")).collect() };
    assert_eq!(
        mtus(ops(&links(1500), &links(9000))),
        ["set mtu of base to 9000", "set mtu of a-child to 9000"]
    );
    assert_eq!(
        mtus(ops(&links(9000), &links(1500))),
        ["set mtu of a-child to 1500", "set mtu of base to 1500"]
    );
}

#[test]
fn vlans_of_bridge_ports_replace_the_default_one() {
    let now = "
interfaces:
- {name: a, type: dummy, state: up, controller: br0}
- name: br0
  type: linux-bridge
  state: up
  bridge: {port: [{name: a}]}
";
    let wanted = "
interfaces:
- name: br0
  type: linux-bridge
  bridge:
    port:
    - name: a
      stp-hairpin-mode: true
      vlan:
        mode: trunk
        enable-native: true
        tag: 5
        trunk-tags: [{id: 7}, {id-range: {min: 10, max: 20}}]
";
    let ops = ops(now, wanted);
    assert!(ops.contains(&"set br0: bridge vlan_filtering true".to_owned()), "{ops:#?}");
    assert!(ops.contains(&"set port a: hairpin true".to_owned()), "{ops:#?}");
    assert!(ops.contains(&"set vlans of a: -1pu +5pu +7 +10-20".to_owned()), "{ops:#?}");
}

#[test]
fn a_veth_pair_is_made_once() {
    let wanted = "
interfaces:
- {name: left, type: veth, veth: {peer: right}, mac-address: '02:00:00:00:00:01'}
- {name: right, type: veth, veth: {peer: left}, mac-address: '02:00:00:00:00:02'}
";
    assert_eq!(
        ops(NOTHING, wanted),
        [
            "create left: veth with peer right, mac 02:00:00:00:00:01",
            "set mac of right to 02:00:00:00:00:02",
            "take left up",
            "take right up",
        ]
    );
}

#[test]
fn hops_of_one_ipv4_route_travel_together() {
    let now = state(
        "
interfaces: [{name: d0, type: dummy, state: up}]
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: d0, next-hop-address: 192.0.2.1, weight: 2}
  - {destination: 198.51.100.0/24, next-hop-interface: d0, next-hop-address: 192.0.2.2}
  - {destination: '2001:db8:1::/48', next-hop-interface: d0, next-hop-address: '2001:db8::1'}
",
    );
    let change = |action, route: Route| Change::Route(RouteChange { action, reason: Reason::Desired, route });
    let routes = now.config_routes();
    let mut plan = planned(&now, &State::empty());
    plan.changes = vec![change(Action::Remove, routes[1].clone()), change(Action::Remove, routes[2].clone())];
    let texts: Vec<String> = lower(&plan, &now).iter().map(ToString::to_string).collect();
    let both = "198.51.100.0/24 via 192.0.2.1 dev d0 weight 2 via 192.0.2.2 dev d0 metric 0 table 254";
    assert_eq!(
        texts,
        [
            format!("remove route {both}"),
            "remove route 198.51.100.0/24 via 192.0.2.1 dev d0 weight 2 metric 0 table 254".to_owned(),
            "remove route 198.51.100.0/24 via 192.0.2.2 dev d0 metric 0 table 254".to_owned(),
            "remove route 2001:db8:1::/48 via 2001:db8::1 dev d0 metric 1024 table 254".to_owned(),
            "add route 198.51.100.0/24 via 192.0.2.1 dev d0 weight 2 metric 0 table 254".to_owned(),
        ]
    );
}

#[test]
fn the_address_of_a_new_port_of_a_bond_is_nobody_elses_to_choose() {
    let wanted = "
interfaces:
- name: bond0
  type: bond
  link-aggregation: {mode: active-backup, port: [d0, v0]}
- {name: d0, type: dummy}
- {name: d1, type: dummy}
- {name: v0, type: veth, veth: {peer: v1}}
- {name: v1, type: veth, veth: {peer: v0}}
";
    let created: Vec<String> = ops(NOTHING, wanted)
        .into_iter()
        .filter(|op| op.starts_with("create d") || op.contains("veth"))
        .collect();
    assert_eq!(
        created,
        ["create d0: dummy, settled mac", "create d1: dummy", "create v0: veth with peer v1, settled mac"]
    );
}
