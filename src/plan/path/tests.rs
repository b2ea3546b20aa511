use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::*;
use crate::plan::{Capabilities, Options, plan};
use crate::state::Document;

fn state(json: &Json) -> State {
    Document::from_json(json).state().unwrap_or_else(|problems| panic!("{problems:?}\n{json}")).0
}

fn ethernet(name: &str, v4: &[&str], v6: &[&str]) -> Json {
    let ip = |addresses: &[&str]| {
        let list = addresses.iter().map(|net| {
            let (ip, prefix) = net.split_once('/').expect("an address with a prefix");
            json!({"ip": ip, "prefix-length": prefix.parse::<u8>().expect("a number")})
        });
        json!({"enabled": !addresses.is_empty(), "dhcp": false, "autoconf": false, "address": list.collect::<Vec<_>>()})
    };
    let mut v4 = ip(v4);
    v4.as_object_mut().expect("an object").remove("autoconf");
    json!({"name": name, "type": "ethernet", "state": "up", "mtu": 1500, "ipv4": v4, "ipv6": ip(v6)})
}

fn with(mut interface: Json, keys: Json) -> Json {
    let (Json::Object(interface), Json::Object(keys)) = (&mut interface, keys) else { panic!("two objects") };
    interface.extend(keys);
    Json::Object(std::mem::take(interface))
}

fn route(destination: &str, via: &str, dev: &str) -> Json {
    json!({"destination": destination, "next-hop-address": via, "next-hop-interface": dev, "metric": 0, "table-id": 254})
}

/// What a document does to the path of a client (address, our own address).
fn reasons(current: &Json, client: (&str, Option<&str>), document: Json) -> Vec<String> {
    let client = Client::read(client.0, client.1).expect("addresses");
    let (current, desired) = (state(current), state(&document));
    let capabilities = Capabilities {
        backend: "kernel",
        interface_types: BTreeSet::new(),
        vlan_filtering: true,
        volatile_until_commit: true,
        profiles: false,
        persists: false,
        ..Capabilities::default()
    };
    let plan = plan(&desired, &current, &capabilities, &Options::default());
    let plan = plan.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(!plan.is_empty(), "{document} changes nothing");
    touched(&plan, &current, &client).map(|path| path.reasons).unwrap_or_default()
}

/// A host with a default route and a second card.
fn plain() -> Json {
    json!({
        "interfaces": [
            ethernet("eth0", &["192.0.2.2/24", "192.0.2.3/24"], &["2001:db8::2/64", "fe80::2/64"]),
            ethernet("eth1", &["198.51.100.2/24"], &["fe80::3/64"]),
        ],
        "routes": {"config": [route("0.0.0.0/0", "192.0.2.1", "eth0"), route("::/0", "fe80::1", "eth0")]},
    })
}

const FAR: (&str, Option<&str>) = ("203.0.113.9", Some("192.0.2.2"));

fn only(interface: Json) -> Json {
    json!({"interfaces": [interface]})
}

#[test]
fn what_the_way_through_a_gateway_rests_on() {
    let of = |document| reasons(&plain(), FAR, document);
    let addresses = |list: &[&str]| only(json!({"name": "eth0", "ipv4": ethernet("", list, &[])["ipv4"]}));
    assert_eq!(of(only(json!({"name": "eth0", "mtu": 1400}))), ["eth0: its mtu changes"]);
    assert_eq!(of(only(json!({"name": "eth0", "state": "down"}))), ["eth0: it goes down"]);
    assert_eq!(
        of(addresses(&["192.0.2.3/24"])),
        ["eth0: its address 192.0.2.2/24 goes"],
        "the route stays: the other address makes the gateway a neighbour"
    );
    // Not ours, but in the gateway's network.
    assert_eq!(of(addresses(&["192.0.2.2/24"])), ["eth0: its address 192.0.2.3/24 goes"]);
    let no_ip = of(only(json!({"name": "eth0", "ipv4": {"enabled": false}})));
    assert!(no_ip.iter().any(|reason| reason == "eth0: its address 192.0.2.2/24 goes"), "{no_ip:?}");
    let bridge = json!({"name": "br0", "type": "linux-bridge", "bridge": {"port": [{"name": "eth0"}]}});
    assert!(of(only(bridge)).contains(&"eth0: its controller changes".to_owned()));
}

#[test]
fn what_endangers_nothing_does_not_count() {
    let of = |document| reasons(&plain(), FAR, document);
    for harmless in [
        json!({"name": "eth0", "alt-names": [{"name": "uplink"}]}),
        json!({"name": "eth0", "ipv4": ethernet("", &["192.0.2.2/24", "192.0.2.3/24", "192.0.2.4/24"], &[])["ipv4"]}),
        json!({"name": "eth0", "ipv6": {"enabled": false}}),
        json!({"name": "eth1", "mtu": 1400}),
        json!({"name": "eth1", "state": "down"}),
        json!({"name": "eth0.5", "type": "vlan", "vlan": {"base-iface": "eth0", "id": 5}}),
        json!({"name": "br0", "type": "linux-bridge", "bridge": {"port": [{"name": "eth1"}]}}),
    ] {
        assert_eq!(of(only(harmless.clone())), [""; 0], "{harmless}");
    }
    let elsewhere = json!({"routes": {"config": [route("198.19.7.0/24", "192.0.2.77", "eth0")]},
        "dns-resolver": {"config": {"server": ["192.0.2.53"]}}});
    assert_eq!(of(elsewhere), [""; 0]);
}

#[test]
fn the_route_itself_and_better_ones() {
    let of = |route: Json| reasons(&plain(), FAR, json!({"routes": {"config": [route]}}));
    let better = of(route("203.0.113.0/24", "198.51.100.1", "eth1"));
    assert_eq!(better, ["route 203.0.113.0/24 via 198.51.100.1 dev eth1 table 254 metric 0 comes"]);
    let worse = json!({"destination": "0.0.0.0/0", "next-hop-address": "198.51.100.1", "next-hop-interface": "eth1", "metric": 900});
    assert_eq!(of(worse), [""; 0]);
    let gone = of(json!({"state": "absent", "destination": "0.0.0.0/0", "next-hop-interface": "eth0"}));
    assert_eq!(gone, ["route 0.0.0.0/0 via 192.0.2.1 dev eth0 table 254 metric 0 goes"]);
    // What comes with an address is a route too.
    let of = |list: &[&str]| {
        reasons(&plain(), FAR, only(json!({"name": "eth1", "ipv4": ethernet("", list, &[])["ipv4"]})))
    };
    let near = of(&["198.51.100.2/24", "203.0.113.1/24"]);
    assert_eq!(near, ["the way to 203.0.113.9 leads through eth1"]);
    let taken = of(&["198.51.100.2/24", "203.0.113.9/32"]);
    assert_eq!(taken, ["there is no way to 203.0.113.9 any more"]);
}

#[test]
fn a_neighbour_needs_no_route() {
    let client = ("198.51.100.77", Some("198.51.100.2"));
    let of = |document| reasons(&plain(), client, document);
    assert_eq!(of(only(json!({"name": "eth1", "state": "down"}))), ["eth1: it goes down"]);
    assert_eq!(of(only(json!({"name": "eth0", "state": "down"}))), [""; 0]);
    assert_eq!(
        of(
            json!({"routes": {"config": [{"state": "absent", "destination": "0.0.0.0/0", "next-hop-interface": "eth0"}]}})
        ),
        [""; 0]
    );
}

#[test]
fn ipv6_with_and_without_scope() {
    let down = |name: &str| only(json!({"name": name, "state": "down"}));
    let v6 = |client, document| reasons(&plain(), client, document);
    assert_eq!(v6(("2001:db8:1::9", Some("2001:db8::2")), down("eth0")), ["eth0: it goes down"]);
    assert_eq!(v6(("fe80::9%eth1", Some("fe80::3%eth1")), down("eth1")), ["eth1: it goes down"]);
    assert_eq!(v6(("fe80::9%eth1", Some("fe80::3%eth1")), down("eth0")), [""; 0]);
    // Without a scope our own address tells.
    assert_eq!(v6(("fe80::9", Some("fe80::3")), down("eth1")), ["eth1: it goes down"]);
    assert_eq!(v6(("fe80::9", None), down("eth1")), [""; 0]);
    // The gateway is on the link only while there is a link-local address.
    let no_link_local = only(json!({"name": "eth0", "ipv6": {"enabled": false}}));
    assert!(!v6(("2001:db8:1::9", Some("2001:db8::2")), no_link_local).is_empty());
    // IPv4, as a socket for both families shows it.
    assert_eq!(v6(("::ffff:203.0.113.9", Some("::ffff:192.0.2.2")), down("eth0")), ["eth0: it goes down"]);
}

#[test]
fn a_client_on_this_host_has_no_path() {
    for client in ["127.0.0.1", "::1", "198.51.100.2", "192.0.2.2"] {
        let document =
            json!({"interfaces": [{"name": "eth0", "state": "down"}, {"name": "eth1", "state": "down"}]});
        assert_eq!(reasons(&plain(), (client, None), document), [""; 0], "{client}");
    }
}

/// `eth0` and `eth1` in `bond0`, `bond0.5` on it with the address.
fn bonded() -> Json {
    let bond =
        json!({"type": "bond", "link-aggregation": {"mode": "active-backup", "port": ["eth0", "eth1"]}});
    let vlan = json!({"type": "vlan", "vlan": {"base-iface": "bond0", "id": 5}});
    let port = json!({"controller": "bond0"});
    json!({
        "interfaces": [
            with(ethernet("eth0", &[], &[]), port.clone()),
            with(ethernet("eth1", &[], &[]), port),
            ethernet("eth2", &["198.51.100.2/24"], &[]),
            with(ethernet("bond0", &[], &[]), bond),
            with(ethernet("bond0.5", &["192.0.2.2/24"], &[]), vlan),
        ],
        "routes": {"config": [route("0.0.0.0/0", "192.0.2.1", "bond0.5")]},
    })
}

#[test]
fn a_vlan_on_a_bond_rests_on_its_ports() {
    let of = |document| reasons(&bonded(), FAR, document);
    assert_eq!(of(only(json!({"name": "eth1", "state": "down"}))), ["eth1: it goes down"]);
    let bond = json!({"name": "bond0", "type": "bond", "link-aggregation": {"mode": "active-backup", "port": ["eth0", "eth1", "eth2"]}});
    assert!(of(only(bond)).contains(&"bond0: its link-aggregation changes".to_owned()));
    let id = json!({"name": "bond0.5", "type": "vlan", "vlan": {"base-iface": "bond0", "id": 6}});
    assert!(of(only(id)).contains(&"bond0.5: it is made again".to_owned()));
    let gone = of(only(json!({"name": "bond0", "state": "absent"})));
    assert!(
        gone.contains(&"bond0.5: it is removed".to_owned())
            && gone.contains(&"bond0: it is removed".to_owned()),
        "{gone:?}"
    );
    assert_eq!(of(only(json!({"name": "eth2", "state": "down"}))), [""; 0]);
    // An address on what only carries is of no use to the client.
    assert_eq!(
        of(only(json!({"name": "bond0", "ipv4": ethernet("", &["198.19.7.1/24"], &[])["ipv4"]}))),
        [""; 0]
    );
}

#[test]
fn a_vrf_has_its_own_table() {
    let vrf = json!({"type": "vrf", "vrf": {"port": ["eth1"], "route-table-id": 10}});
    let mut in_vrf = route("0.0.0.0/0", "198.51.100.1", "eth1");
    in_vrf["table-id"] = json!(10);
    let current = json!({
        "interfaces": [
            ethernet("eth0", &["192.0.2.2/24"], &[]),
            with(ethernet("eth1", &["198.51.100.2/24"], &[]), json!({"controller": "vrf0"})),
            with(ethernet("vrf0", &[], &[]), vrf),
        ],
        "routes": {"config": [route("0.0.0.0/0", "192.0.2.1", "eth0"), in_vrf]},
    });
    let inside = ("203.0.113.9", Some("198.51.100.2"));
    assert_eq!(reasons(&current, inside, only(json!({"name": "eth0", "state": "down"}))), [""; 0]);
    assert_eq!(
        reasons(&current, inside, only(json!({"name": "eth1", "state": "down"}))),
        ["eth1: it goes down"]
    );
    let gone = reasons(&current, inside, only(json!({"name": "vrf0", "state": "absent"})));
    assert!(gone.contains(&"vrf0: it is removed".to_owned()), "{gone:?}");
    assert_eq!(reasons(&current, FAR, only(json!({"name": "eth1", "state": "down"}))), [""; 0]);
}

/// Two uplinks; what comes from the address of the second leaves by the second.
fn two_uplinks() -> Json {
    let mut second = route("0.0.0.0/0", "198.51.100.1", "eth1");
    second["table-id"] = json!(100);
    let mut current = plain();
    current["routes"]["config"].as_array_mut().expect("a list").push(second);
    current["route-rules"] = json!({"config": [
        {"family": "ipv4", "priority": 1000, "ip-from": "198.51.100.2/32", "route-table": 100}]});
    current
}

#[test]
fn rules_by_source_lead_into_their_table() {
    let second = ("203.0.113.9", Some("198.51.100.2"));
    let down = |name: &str| only(json!({"name": name, "state": "down"}));
    assert!(reasons(&two_uplinks(), second, down("eth1")).contains(&"eth1: it goes down".to_owned()));
    assert_eq!(reasons(&two_uplinks(), second, down("eth0")), [""; 0]);
    assert_eq!(reasons(&two_uplinks(), FAR, down("eth1")), [""; 0]);
    // Without our own address it may be either.
    assert!(!reasons(&two_uplinks(), ("203.0.113.9", None), down("eth0")).is_empty());
    assert!(!reasons(&two_uplinks(), ("203.0.113.9", None), down("eth1")).is_empty());

    let gone = json!({"route-rules": {"config": [{"state": "absent", "priority": 1000}]}});
    let found = reasons(&two_uplinks(), second, gone.clone());
    assert!(
        found[0].starts_with("rule ipv4 from 198.51.100.2/32") && found[0].ends_with(" goes"),
        "{found:?}"
    );
    assert_eq!(reasons(&two_uplinks(), FAR, gone), [""; 0]);
    let comes = |rule: Json| reasons(&plain(), FAR, json!({"route-rules": {"config": [rule]}}));
    assert!(
        !comes(json!({"family": "ipv4", "priority": 5, "ip-to": "203.0.113.0/24", "route-table": 7}))
            .is_empty()
    );
    assert!(!comes(json!({"family": "ipv4", "priority": 5, "fwmark": 3, "route-table": 7})).is_empty());
    assert_eq!(
        comes(json!({"family": "ipv4", "priority": 5, "ip-to": "198.19.7.0/24", "route-table": 7})),
        [""; 0]
    );
    assert_eq!(
        comes(json!({"family": "ipv6", "priority": 5, "ip-to": "2001:db8::/32", "route-table": 7})),
        [""; 0]
    );
    assert_eq!(
        comes(
            json!({"family": "ipv4", "priority": 5, "iif": "eth1", "ip-to": "203.0.113.0/24", "route-table": 7})
        ),
        [""; 0]
    );
}

#[test]
fn a_tunnel_rests_on_the_way_to_its_other_end() {
    let tunnel = json!({"type": "ip-tunnel", "ip-tunnel": {"mode": "ipip", "base-iface": "", "local": "192.0.2.2", "remote": "198.19.7.1"}});
    let mut current = plain();
    let interfaces = current["interfaces"].as_array_mut().expect("a list");
    interfaces.push(with(ethernet("tun9", &["198.18.0.1/30"], &[]), tunnel));
    current["routes"]["config"].as_array_mut().expect("a list").push(route(
        "203.0.113.0/24",
        "198.18.0.2",
        "tun9",
    ));
    let client = ("203.0.113.9", Some("198.18.0.1"));
    assert_eq!(
        reasons(&current, client, only(json!({"name": "eth0", "mtu": 1400}))),
        ["eth0: its mtu changes"]
    );
    let around = route("198.19.7.0/24", "198.51.100.1", "eth1");
    let found = reasons(&current, client, json!({"routes": {"config": [around]}}));
    assert_eq!(found, ["route 198.19.7.0/24 via 198.51.100.1 dev eth1 table 254 metric 0 comes"]);
    assert_eq!(reasons(&current, client, only(json!({"name": "eth1", "mtu": 1400}))), [""; 0]);
}

#[test]
fn the_text_ends_with_the_path() {
    let path = ClientPath { interface: "eth0".into(), reasons: vec!["eth0: it goes down".into()] };
    assert_eq!(path.to_string(), "This change touches the path of your connection:\n  eth0: it goes down\n");
}
