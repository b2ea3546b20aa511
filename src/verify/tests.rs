use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::plan::{Action, InterfaceChange, Reason};
use crate::state::Document;

fn state(json: Json) -> State {
    let (state, _) = Document::from_json(&json).state().expect("the test's document is valid");
    state
}

fn interfaces(list: Json) -> State {
    state(json!({ "interfaces": list }))
}

/// A plan that expects this and has touched every interface in it.
fn plan(expected: State) -> Plan {
    let change = |interface: &Interface| {
        Change::Interface(Box::new(InterfaceChange {
            name: interface.name.clone(),
            kind: interface.kind().clone(),
            action: Action::Modify,
            reason: Reason::Desired,
            rebuild: false,
            afresh: false,
            before: None,
            after: None,
            fields: Vec::new(),
        }))
    };
    let changes = expected.interfaces().iter().map(change).collect();
    let place = |(i, interface): (usize, &Interface)| {
        ((interface.name.clone(), interface.kind().clone()), Path::interface(i))
    };
    let origins: BTreeMap<_, _> = expected.interfaces().iter().enumerate().map(place).collect();
    Plan { changes, expected, origins, warnings: Vec::new(), unverified: false }
}

/// `path: message` of every finding.
fn findings(expected: State, current: State) -> Vec<String> {
    let report = verify(&plan(expected), &current);
    report.findings.iter().map(|finding| finding.problem().to_string()).collect()
}

fn eth1(more: Json) -> Json {
    let mut entry = json!({"name": "eth1", "type": "ethernet", "state": "up"});
    let map = entry.as_object_mut().expect("an object");
    map.extend(more.as_object().expect("an object").clone());
    json!([entry])
}

/// Compares one interface with another.
fn eth1_findings(wanted: Json, found: Json) -> Vec<String> {
    findings(interfaces(eth1(wanted)), interfaces(eth1(found)))
}

#[test]
fn what_is_as_asked_has_no_findings() {
    let wanted = json!({"mtu": 1500, "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]}});
    let found = json!({"mtu": 1500, "mac-address": "02:00:00:00:00:01", "ipv4": {"enabled": true, "address": [
        {"ip": "192.0.2.9", "prefix-length": 24}, {"ip": "192.0.2.1", "prefix-length": 24}]}});
    assert_eq!(eth1_findings(wanted, found), Vec::<String>::new());
}

#[test]
fn a_mismatch_names_the_place_and_both_values() {
    assert_eq!(
        eth1_findings(json!({"mtu": 9000}), json!({"mtu": 1500})),
        ["interfaces[0].mtu: eth1: mtu is 1500, wanted 9000"]
    );
    let wanted = json!({"ipv4": {"enabled": true, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]}});
    assert_eq!(
        eth1_findings(wanted, json!({"ipv4": {"enabled": false}})),
        ["interfaces[0].ipv4.address: eth1: address is missing, wanted 192.0.2.1/24"]
    );
}

#[test]
fn limits_and_outcomes() {
    let with =
        |address: Json| interfaces(eth1(json!({"mtu": 1500, "ipv6": {"enabled": true, "address": address}})));
    let found = || with(json!([]));
    let wanted = |mtu: u64| interfaces(eth1(json!({"mtu": mtu, "ipv6": {"enabled": true}})));
    let report = verify(&plan(wanted(1500)), &found());
    assert_eq!(report.outcome(0), Outcome::Waiting { until_ms: limit_ms::LINK });
    // A cable that is not plugged in is no failure of the transaction.
    assert!(matches!(report.outcome(limit_ms::LINK), Outcome::Verified(warnings) if warnings.len() == 1));

    let report = verify(&plan(wanted(9000)), &found());
    assert_eq!(report.outcome(0), Outcome::Waiting { until_ms: limit_ms::LINK });
    assert_eq!(report.outcome(limit_ms::LINK), Outcome::Waiting { until_ms: limit_ms::SETTING });
    assert!(matches!(report.outcome(limit_ms::SETTING), Outcome::Failed(failed) if failed.len() == 1));

    let report = verify(&plan(wanted(1500)), &with(json!([{"ip": "fe80::1", "prefix-length": 64}])));
    assert!(report.is_match());
    assert_eq!(report.outcome(0), Outcome::Verified(Vec::new()));
}

#[test]
fn what_the_plan_did_not_touch_is_not_waited_for() {
    let expected = interfaces(eth1(json!({"ipv6": {"enabled": true}})));
    let plan = Plan { changes: Vec::new(), ..plan(expected) };
    let report = verify(&plan, &interfaces(eth1(json!({"ipv6": {"enabled": true, "address": []}}))));
    assert!(matches!(report.outcome(0), Outcome::Verified(warnings) if warnings.len() == 1));
}

#[test]
fn up_means_up() {
    let found = |word: &str| interfaces(json!([{"name": "eth1", "type": "ethernet", "state": word}]));
    let lines = findings(interfaces(eth1(json!({}))), found("down"));
    assert_eq!(lines, ["interfaces[0].state: eth1: state is down, wanted up"]);
    assert_eq!(findings(interfaces(eth1(json!({}))), found("ignore")).len(), 1);
}

#[test]
fn tolerances() {
    let same: &[(Json, Json)] = &[
        // C11, C13, C14, C15, C16, C17, C18, C19, C20 in this order.
        (
            json!({"802.1x": {"password": "<_password_hid_by_nmstate>"}}),
            json!({"802.1x": {"password": "secret"}}),
        ),
        (json!({"ipv4": {"enabled": true, "address": []}}), json!({"ipv4": {"enabled": false}})),
        (
            json!({"ipv4": {"enabled": false, "dhcp": false}, "ipv6": {"enabled": false, "autoconf": false}}),
            json!({}),
        ),
        (json!({"ipv4": {"enabled": false, "auto-route-metric": -1}}), json!({"ipv4": {"enabled": false}})),
        (
            json!({"controller": "", "mptcp": {"address-flags": []}, "ovs-db": {"external_ids": {}}}),
            json!({}),
        ),
        (
            json!({"mptcp": {"address-flags": ["signal", "backup"]}}),
            json!({"mptcp": {"address-flags": ["backup", "signal"]}}),
        ),
        (json!({"profile-name": "eth1"}), json!({"profile-name": "other"})),
        (json!({"mac-address": "02:00:00:00:00:0a"}), json!({"mac-address": "02:00:00:00:00:0A"})),
        (
            json!({"ethernet": {"auto-negotiation": true, "speed": 1000}}),
            json!({"ethernet": {"auto-negotiation": true, "speed": 100}}),
        ),
        (
            json!({"ethernet": {"sr-iov": {"total-vfs": 0, "vfs": []}}}),
            json!({"ethernet": {"sr-iov": {"total-vfs": 0}}}),
        ),
        // Features by alias (C27); names (C25).
        (
            json!({"ethtool": {"feature": {"tso": true}}}),
            json!({"ethtool": {"feature": {"tx-tcp-segmentation": true}}}),
        ),
        (
            json!({"alt-names": [{"name": "a"}, {"name": "b", "state": "absent"}]}),
            json!({"alt-names": [{"name": "a"}, {"name": "c"}]}),
        ),
        // The kernel alone stores no profile.
        (
            json!({"profile-name": "home", "description": "x", "wait-ip": "ipv4", "identifier": "name"}),
            json!({}),
        ),
        (
            json!({"ipv4": {"enabled": true, "dhcp": true, "auto-route-table-id": 254}}),
            json!({"ipv4": {"enabled": true, "dhcp": true, "auto-route-table-id": 0}}),
        ),
    ];
    for (wanted, found) in same {
        assert_eq!(eth1_findings(wanted.clone(), found.clone()), Vec::<String>::new(), "{wanted}");
    }
    let other: &[(Json, Json)] = &[
        (json!({"802.1x": {"password": "mine"}}), json!({"802.1x": {"password": "theirs"}})),
        (json!({"controller": ""}), json!({"controller": "br0"})),
        (json!({"ipv6": {"enabled": false}}), json!({"ipv6": {"enabled": true}})),
        (json!({"ipv6": {"enabled": true}}), json!({"ipv6": {"enabled": false}})),
        (json!({"ipv4": {"enabled": true, "dhcp": true}}), json!({"ipv4": {"enabled": true}})),
        (json!({"mptcp": {"address-flags": ["signal"]}}), json!({})),
        (json!({"ethtool": {"feature": {"tso": true}}}), json!({"ethtool": {"feature": {}}})),
        (json!({"alt-names": [{"name": "a", "state": "absent"}]}), json!({"alt-names": [{"name": "a"}]})),
        (json!({"alt-names": [{"name": "a"}]}), json!({})),
        (json!({"lldp": {"enabled": true}}), json!({})),
    ];
    for (wanted, found) in other {
        assert_eq!(eth1_findings(wanted.clone(), found.clone()).len(), 1, "{wanted}");
    }
}

#[test]
fn extra_addresses_matter_only_when_forbidden() {
    let address = |ip: &str| json!({"ip": ip, "prefix-length": 64});
    let found = json!({"ipv6": {"enabled": true, "address": [address("2001:db8::1"), address("2001:db8::2"), address("fe80::1"),
        {"ip": "2001:db8::3", "prefix-length": 64, "valid-life-time": "60sec"}]}});
    let wanted = |extra: bool| json!({"ipv6": {"enabled": true, "allow-extra-address": extra, "address": [address("2001:db8::1")]}});
    assert_eq!(eth1_findings(wanted(true), found.clone()), Vec::<String>::new());
    assert_eq!(
        eth1_findings(wanted(false), found),
        ["interfaces[0].ipv6.address: eth1: the address 2001:db8::2/64 is not wanted"]
    );
}

#[test]
fn a_port_of_a_bond_has_the_address_of_the_bond() {
    let found = |controller: &str, mac: &str| {
        interfaces(json!([
            {"name": "b0", "type": "bond", "mac-address": "02:00:00:00:00:0B"},
            {"name": "br0", "type": "linux-bridge", "mac-address": "02:00:00:00:00:0B"},
            {"name": "eth1", "type": "ethernet", "mac-address": mac, "controller": controller}]))
    };
    let wanted = || interfaces(eth1(json!({"mac-address": "02:00:00:00:00:01"})));
    assert_eq!(findings(wanted(), found("b0", "02:00:00:00:00:0B")), Vec::<String>::new());
    for (controller, mac) in [("b0", "02:00:00:00:00:02"), ("br0", "02:00:00:00:00:0B")] {
        let lines = findings(wanted(), found(controller, mac));
        assert_eq!(
            lines,
            [format!("interfaces[0].mac-address: eth1: mac-address is {mac}, wanted 02:00:00:00:00:01")]
        );
    }
}

#[test]
fn secrets_are_compared_but_never_shown() {
    let macsec = |cak: &str| {
        interfaces(json!([{"name": "m0", "type": "macsec", "macsec": {"encrypt": true, "base-iface": "eth1",
            "mka-cak": cak, "mka-ckn": "00", "port": 1, "validation": "strict", "send-sci": true}}]))
    };
    let lines = findings(macsec("hunter2"), macsec("hunter3"));
    assert_eq!(lines, ["interfaces[0].macsec.mka-cak: m0: the secret is another one"]);
    assert_eq!(findings(macsec("hunter2"), macsec("hunter2")), Vec::<String>::new());
}

#[test]
fn presence_of_interfaces() {
    let entry = |kind: &str, state: &str| interfaces(json!([{"name": "x", "type": kind, "state": state}]));
    let nothing = || interfaces(json!([]));
    assert_eq!(
        findings(entry("dummy", "up"), nothing()),
        ["interfaces[0]: x: there is no dummy of this name"]
    );
    assert_eq!(findings(entry("dummy", "absent"), nothing()), Vec::<String>::new());
    assert_eq!(findings(entry("dummy", "absent"), entry("dummy", "up")).len(), 1);
    assert_eq!(findings(entry("dummy", "down"), entry("dummy", "up")).len(), 1);
    assert_eq!(findings(entry("ethernet", "absent"), entry("ethernet", "up")), Vec::<String>::new());
    assert_eq!(
        findings(entry("ethernet", "down"), entry("ethernet", "up")),
        ["interfaces[0].state: x: state is up, wanted down"]
    );
    assert_eq!(findings(entry("veth", "absent"), entry("veth", "up")).len(), 1);
    assert_eq!(findings(entry("ethernet", "up"), entry("veth", "up")), Vec::<String>::new());
    assert_eq!(findings(entry("dummy", "up"), entry("vxlan", "up")).len(), 1);
    assert_eq!(findings(entry("dummy", "ignore"), nothing()), Vec::<String>::new());
    assert_eq!(findings(entry("ovs-bridge", "absent"), entry("dummy", "up")), Vec::<String>::new());
}

fn bond(bond: Json) -> State {
    let port = |name: &str| json!({"name": name, "type": "ethernet", "state": "up"});
    interfaces(json!([{"name": "bond0", "type": "bond", "state": "up", "link-aggregation": bond},
        port("eth1"), port("eth2"), {"name": "vnet0", "type": "ethernet", "state": "ignore"}]))
}

#[test]
fn ports_are_sets_and_bond_options_are_compared() {
    let one = |bond_: Json| {
        let mut state = bond(bond_);
        state.interfaces.iter_mut().for_each(|list| list.truncate(1));
        state
    };
    let wanted = || {
        one(
            json!({"mode": "active-backup", "port": ["eth1", "eth2"], "options": {"miimon": 100, "updelay": 250, "primary": "eth1"}}),
        )
    };
    let found = |ports: Json, miimon: u32| {
        bond(
            json!({"mode": "active-backup", "port": ports, "options": {"miimon": miimon, "updelay": 200, "primary": "eth1", "lp_interval": 1}}),
        )
    };
    assert_eq!(findings(wanted(), found(json!(["eth2", "eth1"]), 100)), Vec::<String>::new());
    assert_eq!(findings(wanted(), found(json!(["eth2", "eth1", "vnet0"]), 100)), Vec::<String>::new());
    assert_eq!(
        findings(wanted(), found(json!(["eth2"]), 100)),
        ["interfaces[0].link-aggregation.port: bond0: port is [eth2], wanted [eth1, eth2]"]
    );
    assert_eq!(
        findings(wanted(), found(json!(["eth1", "eth2"]), 50)),
        ["interfaces[0].link-aggregation.options.miimon: bond0: miimon is 50, wanted 100"]
    );
}

fn bridge(bridge: Json) -> State {
    interfaces(json!([{"name": "br0", "type": "linux-bridge", "state": "up", "bridge": bridge},
        {"name": "a", "type": "ethernet"}, {"name": "b", "type": "ethernet"}]))
}

#[test]
fn bridge_ports_are_paired_by_name_and_filters_by_what_they_let_through() {
    let range = json!({"mode": "trunk", "enable-native": false, "trunk-tags": [{"id-range": {"min": 10, "max": 11}}]});
    let single = json!({"mode": "trunk", "enable-native": false, "trunk-tags": [{"id": 11}, {"id": 10}]});
    let two =
        |a: &Json, b: &Json| bridge(json!({"port": [{"name": "a", "vlan": a}, {"name": "b", "vlan": b}]}));
    let swapped = bridge(json!({"port": [{"name": "b", "vlan": range}, {"name": "a", "vlan": single}]}));
    assert_eq!(findings(two(&range, &single), swapped), Vec::<String>::new());
    // `{}` asks for the default.
    let reset = bridge(json!({"port": [{"name": "a", "vlan": {}}]}));
    assert_eq!(findings(reset.clone(), bridge(json!({"port": [{"name": "a"}]}))), Vec::<String>::new());
    assert_eq!(findings(reset, bridge(json!({"port": [{"name": "a", "vlan": single}]}))).len(), 1);
}

#[test]
fn surplus_ports_are_wrong_unless_allowed() {
    let found = || bridge(json!({"port": [{"name": "a"}, {"name": "b"}]}));
    let lines = findings(bridge(json!({"port": [{"name": "a"}]})), found());
    assert_eq!(lines, ["interfaces[0].bridge.port: br0: port is [a, b], wanted [a]"]);
    let allowed = bridge(json!({"allow-extra-ports": true, "port": [{"name": "a"}]}));
    assert_eq!(findings(allowed, found()), Vec::<String>::new());
}

#[test]
fn a_rounded_interval_is_its_own_error() {
    let interval = |n: u64| bridge(json!({"options": {"multicast-querier-interval": n}}));
    let report = verify(&plan(interval(25500)), &interval(25499));
    assert_eq!(report.findings[0].problem().kind, ErrorKind::KernelIntegerRoundedError);
    assert!(matches!(report.outcome(0), Outcome::Failed(_)));
    assert_eq!(
        verify(&plan(interval(25500)), &interval(25498)).findings[0].problem().kind,
        ErrorKind::VerificationError
    );
}

#[test]
fn virtual_functions_are_awaited_and_forgiven() {
    let pf = |name: &str| {
        json!([{"name": "pf", "type": "ethernet", "state": "up", "ethernet": {"sr-iov": {"total-vfs": 1,
        "vfs": [{"id": 0, "iface-name": name}]}}}])
    };
    let report = verify(&plan(interfaces(pf("vf0"))), &interfaces(pf("vf0")));
    assert_eq!(report.outcome(0), Outcome::Waiting { until_ms: 31_000 });
    assert!(matches!(report.outcome(31_000), Outcome::Verified(_)));
}

fn routed(routes: Json, more: Json) -> State {
    let mut json = json!({"routes": {"config": routes}});
    json.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    state(json)
}

#[test]
fn routes_must_be_there_or_gone() {
    let to = |net: &str, more: Json| {
        let mut route = json!({"destination": net, "next-hop-interface": "eth1", "table-id": 254});
        route.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        route
    };
    let now = || {
        routed(
            json!([to("192.0.2.0/24", json!({"metric": 100, "next-hop-address": "198.51.100.1"}))]),
            json!({}),
        )
    };
    let check = |route: Json| findings(routed(json!([route]), json!({})), now());
    assert_eq!(check(to("192.0.2.0/24", json!({}))), Vec::<String>::new());
    assert_eq!(check(to("192.0.2.0/24", json!({"metric": 100}))), Vec::<String>::new());
    assert_eq!(
        check(to("192.0.2.0/24", json!({"metric": 200}))),
        ["routes.config[0]: route 192.0.2.0/24 dev eth1 table 254 metric 200: is missing"]
    );
    assert_eq!(
        check(to("192.0.2.0/24", json!({"state": "absent", "metric": 200}))).len(),
        1,
        "patterns ignore the metric"
    );
    assert_eq!(check(json!({"state": "absent", "next-hop-interface": "eth2"})), Vec::<String>::new());
    // Asked for by another entry, a route may match a pattern.
    let both = routed(
        json!([{"state": "absent", "next-hop-interface": "eth1"}, to("192.0.2.0/24", json!({}))]),
        json!({}),
    );
    assert_eq!(findings(both, now()), Vec::<String>::new());
}

#[test]
fn a_route_may_wait_for_an_address() {
    let current = routed(
        json!([]),
        json!({"interfaces": [{"name": "eth1", "type": "ethernet", "ipv4": {"enabled": true, "dhcp": true}}]}),
    );
    let wanted = routed(
        json!([{"destination": "192.0.2.0/24", "next-hop-interface": "eth1", "table-id": 254}]),
        json!({}),
    );
    let report = verify(&plan(wanted), &current);
    assert_eq!(report.outcome(0), Outcome::Waiting { until_ms: limit_ms::AUTOMATIC });
}

#[test]
fn rules_resolver_host_name_and_open_vswitch() {
    let current = || {
        state(json!({
            "route-rules": {"config": [{"family": "ipv4", "ip-from": "192.0.2.0/24", "route-table": 100, "priority": 30000}]},
            "dns-resolver": {"config": {"server": ["192.0.2.1", "2001:DB8:0::1"], "search": ["a"], "options": ["rotate", "debug"]}},
            "hostname": {"running": "host", "config": ""},
            "ovs-db": {"external_ids": {"a": "1", "b": "2"}},
            "ovn": {"bridge-mappings": [{"localnet": "n", "bridge": "br"}]},
        }))
    };
    let good = [
        json!({"route-rules": {"config": [{"ip-from": "192.0.2.0/24", "route-table": 100}]}}),
        json!({"dns-resolver": {"config": {"server": ["192.0.2.1", "2001:db8::1"], "search": ["a"], "options": ["debug", "rotate"]}}}),
        json!({"hostname": {"running": "host"}}),
        json!({"ovs-db": {"external_ids": {"a": "1", "c": null}}}),
        json!({"ovn": {"bridge-mappings": [{"localnet": "gone", "state": "absent"}]}}),
    ];
    for wanted in good {
        assert_eq!(findings(state(wanted.clone()), current()), Vec::<String>::new(), "{wanted}");
    }
    let bad = [
        json!({"route-rules": {"config": [{"ip-from": "192.0.2.0/24", "route-table": 100, "priority": 5}]}}),
        json!({"route-rules": {"config": [{"state": "absent", "route-table": 100}]}}),
        json!({"dns-resolver": {"config": {"server": ["2001:db8::1", "192.0.2.1"], "search": ["a"], "options": ["debug", "rotate"]}}}),
        json!({"hostname": {"config": "host"}}),
        json!({"ovs-db": {"external_ids": {"a": "2"}}}),
        json!({"ovn": {"bridge-mappings": [{"localnet": "n", "bridge": "other"}]}}),
    ];
    for wanted in bad {
        assert_eq!(findings(state(wanted.clone()), current()).len(), 1, "{wanted}");
    }
}

fn lines(before: &State, after: &State) -> Vec<String> {
    same(before, after).iter().map(ToString::to_string).collect()
}

fn host(mtu: u64, address: &str) -> State {
    state(json!({
        "hostname": {"running": "host", "config": "host"},
        "dns-resolver": {"config": {"server": ["192.0.2.53"]}},
        "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-interface": "eth1", "next-hop-address": "192.0.2.254", "table-id": 254}]},
        "route-rules": {"config": [{"family": "ipv4", "ip-from": "192.0.2.0/24", "route-table": 100, "priority": 30000}]},
        "interfaces": [{"name": "eth1", "type": "ethernet", "mtu": mtu, "mac-address": "02:00:00:00:00:01",
            "ipv4": {"enabled": true, "address": [{"ip": address, "prefix-length": 24}]}}],
    }))
}

#[test]
fn the_same_state_has_no_differences() {
    let before = host(1500, "192.0.2.1");
    assert_eq!(lines(&before, &before.clone()), Vec::<String>::new());
}

#[test]
fn what_was_not_put_back_is_listed_item_by_item() {
    let before = host(1500, "192.0.2.1");
    let mut after = host(9000, "192.0.2.2");
    after.routes = None;
    after.route_rules = None;
    after.dns_resolver = None;
    after.hostname = state(json!({"hostname": {"running": "new", "config": "host"}})).hostname;
    after.interfaces.get_or_insert_default().push(Interface::new(
        "br0",
        InterfaceType::LinuxBridge,
        crate::state::InterfaceState::Up,
    ));
    assert_eq!(
        lines(&before, &after),
        [
            "eth1: mtu is 9000, was 1500",
            "eth1: the address 192.0.2.1/24 is gone",
            "eth1: the address 192.0.2.2/24 was not there before",
            "br0: the linux-bridge was not there before",
            "route 0.0.0.0/0 via 192.0.2.254 dev eth1 table 254: is gone",
            "rule ipv4 from 192.0.2.0/24 table 100 priority 30000: is gone",
            "resolver: is {server: [], search: [], options: []}, was {server: [192.0.2.53], search: [], options: []}",
            "host name: running is new, was host",
        ]
    );
}

#[test]
fn what_changes_by_itself_is_no_difference() {
    let one = |ip: Json, more: Json| {
        let mut entry = json!({"name": "br0", "type": "linux-bridge", "ipv6": ip});
        entry.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        interfaces(json!([entry]))
    };
    let before = one(
        json!({"enabled": true, "autoconf": true, "address": [
            {"ip": "fe80::1", "prefix-length": 64},
            {"ip": "2001:db8::9", "prefix-length": 64, "valid-life-time": "60sec"}]}),
        json!({"mac-address": "02:00:00:00:00:01", "bridge": {"options": {"gc-timer": 5, "hello-timer": 6}, "port": []}}),
    );
    let after = one(
        json!({"enabled": true, "address": [{"ip": "fe80::2", "prefix-length": 64}]}),
        json!({"mac-address": "02:00:00:00:00:02", "bridge": {"options": {"gc-timer": 9}, "port": []}}),
    );
    assert_eq!(lines(&before, &after), Vec::<String>::new());
}

#[test]
fn a_key_that_was_not_set_is_a_difference() {
    let before = interfaces(eth1(json!({})));
    let after = interfaces(eth1(json!({"ethtool": {"ring": {"rx": 10}}, "controller": "br0"})));
    let wanted = ["eth1: controller is br0, was \"\"", "eth1: ethtool is {ring: {rx: 10}}, was not set"];
    assert_eq!(lines(&before, &after), wanted);
}
