//! The translation to a document: every kind, as the running kernel describes it.

use crate::namespace::{ip, try_ip, with_mirror};
use nmstated::kernel::mirror::Mirror;
use nmstated::kernel::show::{Scope, show};
use nmstated::state::State;
use nmstated::system::thread_cpu;
use serde_json::{Value, json};
use std::time::Duration;

/// Set where the kernel has the kinds, to those that it may lack: any other left out is a failure.
const KINDS_MISSING: &str = "NMSTATED_TEST_KINDS_MISSING";

/// Notes what this kernel could not do, loudly where it should have.
#[expect(clippy::print_stderr, reason = "what is left out must be visible")]
fn not_checked(what: &str) {
    if let Ok(missing) = std::env::var(KINDS_MISSING) {
        let expected = missing.split(',').any(|kind| what.split(' ').any(|word| word == kind));
        assert!(expected, "this kernel must do it: {what}");
    }
    eprintln!("not checked, this kernel cannot: {what}");
}

async fn shown(mirror: &Mirror, scope: Scope) -> Value {
    mirror.sync().await.expect("the keeper runs");
    serde_json::to_value(show(&mirror.image(), scope)).expect("a state prints")
}

/// Shows everything once it is as wanted, which the kernel may take its time for.
async fn shown_once(mirror: &Mirror, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut changes = mirror.clone();
    loop {
        let state = shown(mirror, Scope::Everything).await;
        if wanted(&state) {
            return state;
        }
        let changed = tokio::time::timeout(Duration::from_secs(60), changes.changed()).await;
        changed.unwrap_or_else(|_| panic!("it does not come: {state:#}")).expect("the keeper runs");
    }
}

fn interface<'a>(state: &'a Value, name: &str) -> &'a Value {
    let interfaces = state["interfaces"].as_array().expect("interfaces are a list");
    interfaces.iter().find(|i| i["name"] == name).unwrap_or(&Value::Null)
}

/// Returns what of `wanted` is not so; lists are compared whole.
fn lacks(found: &Value, wanted: &Value, path: &str) -> Vec<String> {
    match wanted.as_object() {
        Some(keys) => {
            keys.iter().flat_map(|(key, value)| lacks(&found[key], value, &format!("{path}.{key}"))).collect()
        }
        None if found == wanted => Vec::new(),
        None => vec![format!("{path}: wanted {wanted}, found {found}")],
    }
}

/// A kind: what makes it, and what is then shown of an interface.
struct Case {
    commands: &'static str,
    name: &'static str,
    wanted: Value,
}

fn cases() -> Vec<Case> {
    let case = |commands, name, wanted| Case { commands, name, wanted };
    vec![
        case(
            "link add x0 type bond mode 802.3ad miimon 140 updelay 280 lacp_rate fast xmit_hash_policy layer3+4 ad_select count min_links 1\n\
             link set v1 master x0\nlink set x0 up",
            "x0",
            json!({"type": "bond", "state": "up", "link-aggregation": {"mode": "802.3ad", "port": ["v1"],
                "options": {"miimon": 140, "updelay": 280, "lacp_rate": "fast",
                    "xmit_hash_policy": "layer3+4", "ad_select": "count", "min_links": 1,
                    "use_carrier": true, "lacp_active": true, "arp_validate": "none"},
                "ports-config": [{"name": "v1", "priority": 0, "queue-id": 0}]}}),
        ),
        case(
            "link add x0 type bond mode active-backup arp_interval 200 arp_validate active arp_ip_target 192.0.2.1,192.0.2.2\n\
             link set v1 master x0\nlink set v1 type bond_slave queue_id 3 prio 7\nlink set x0 type bond primary v1",
            "x0",
            json!({"link-aggregation": {"mode": "active-backup",
                "options": {"arp_interval": 200, "arp_validate": "active", "primary": "v1",
                    "arp_ip_target": "192.0.2.1,192.0.2.2", "lacp_rate": null, "lacp_active": null, "num_grat_arp": 1, "num_unsol_na": 1},
                "ports-config": [{"name": "v1", "priority": 7, "queue-id": 3}]}}),
        ),
        case(
            "link add x0 type bridge stp_state 1 ageing_time 20000 priority 4096 forward_delay 1200 hello_time 300 max_age 1900 \
                group_fwd_mask 8 mcast_querier 1 mcast_router 2 mcast_hash_max 1024\n\
             link set v1 master x0\nlink set v1 type bridge_slave cost 55 priority 9 hairpin on",
            "x0",
            json!({"type": "linux-bridge", "state": "down", "bridge": {
                "port": [{"name": "v1", "stp-hairpin-mode": true, "stp-path-cost": 55, "stp-priority": 9}],
                "options": {"mac-ageing-time": 200, "group-fwd-mask": 8, "group-forward-mask": 8,
                    "multicast-querier": true, "multicast-router": "enabled", "hash-max": 1024,
                    "stp": {"enabled": true, "forward-delay": 12, "hello-time": 3, "max-age": 19, "priority": 4096}}}}),
        ),
        case("link add x0 type dummy", "x0", json!({"type": "dummy", "state": "down", "driver": "dummy"})),
        case(
            "link add x0 type hsr slave1 v0 slave2 v1 supervision 45 version 1",
            "x0",
            json!({"type": "hsr", "hsr": {"port1": "v0", "port2": "v1", "multicast-spec": 45,
                "supervision-address": "01:15:4E:00:01:2D"}}),
        ),
        case(
            "link add x0 type hsr slave1 v0 slave2 v1 supervision 46 proto 1",
            "x0",
            json!({"type": "hsr", "hsr": {"multicast-spec": 46, "protocol": "prp"}}),
        ),
        case(
            "link add x0 type ipip local 192.0.2.1 remote 192.0.2.2 ttl 64 tos 4 dev v0",
            "x0",
            json!({"type": "ip-tunnel", "ip-tunnel": {"mode": "ipip", "local": "192.0.2.1",
                "remote": "192.0.2.2", "ttl": 64, "tos": 4, "pmtu-disc": true, "base-iface": "v0"}}),
        ),
        case(
            "link add x0 type sit local 192.0.2.1 remote 192.0.2.3 ttl 63",
            "x0",
            json!({"ip-tunnel": {"mode": "sit", "local": "192.0.2.1", "remote": "192.0.2.3", "ttl": 63}}),
        ),
        case(
            "link add x0 type ip6tnl mode ip6ip6 local 2001:db8::1 remote 2001:db8::2 hoplimit 62 encaplimit 3 flowlabel 0x12345",
            "x0",
            json!({"ip-tunnel": {"mode": "ip6ip6", "local": "2001:db8::1", "remote": "2001:db8::2",
                "ttl": 62, "encap-limit": 3, "flow-label": 0x12345}}),
        ),
        case(
            "link add x0 type ip6tnl mode ipip6 local 2001:db8::1 remote 2001:db8::3 encaplimit none",
            "x0",
            json!({"ip-tunnel": {"mode": "ipip6",
                "ip6tun-flags": ["ign-encap-limit", "cap-xmit", "cap-rcv"]}}),
        ),
        case(
            "link add link v0 name x0 type ipvlan mode l2 vepa",
            "x0",
            json!({"type": "ipvlan", "ipvlan": {"base-iface": "v0", "mode": "l2", "private": false, "vepa": true}}),
        ),
        case(
            "link add link v0 name x0 type macsec port 77 encrypt on validate check send_sci on",
            "x0",
            json!({"type": "macsec", "macsec": {"base-iface": "v0", "port": 77, "encrypt": true,
                "validation": "check", "send-sci": true, "offload": "off"}}),
        ),
        case(
            "link add link v0 name x0 type macvlan mode passthru",
            "x0",
            json!({"type": "mac-vlan", "mac-vlan": {"base-iface": "v0", "mode": "passthru", "promiscuous": true}}),
        ),
        case(
            "link add link v0 name x0 type macvtap mode private",
            "x0",
            json!({"type": "mac-vtap", "mac-vtap": {"base-iface": "v0", "mode": "private", "promiscuous": true}}),
        ),
        case("tuntap add x0 mode tap", "x0", json!({"type": "tun", "state": "ignore"})),
        case(
            "link set v0 up promisc on mtu 1450 address 02:00:00:00:00:07\nlink property add dev v0 altname other-name",
            "v0",
            json!({"type": "veth", "state": "up", "veth": {"peer": "v1"}, "mtu": 1450, "min-mtu": 68,
                "accept-all-mac-addresses": true, "mac-address": "02:00:00:00:00:07",
                "alt-names": [{"name": "other-name"}], "driver": "veth",
                "ethtool": {"feature": {"rx-gro": false}}}),
        ),
        case(
            "link add link v0 name x0 type vlan protocol 802.1ad id 7 gvrp on loose_binding on reorder_hdr off \
                ingress-qos-map 3:5 1:2 egress-qos-map 0:4",
            "x0",
            json!({"type": "vlan", "vlan": {"base-iface": "v0", "id": 7, "protocol": "802.1ad",
                "registration-protocol": "gvrp", "loose-binding": true, "reorder-headers": false,
                "ingress-qos-map": [{"from": 1, "to": 2}, {"from": 3, "to": 5}],
                "egress-qos-map": [{"from": 0, "to": 4}]}}),
        ),
        case(
            "link add x0 type vrf table 100\nlink set x0 up\nlink set v1 master x0",
            "x0",
            json!({"type": "vrf", "vrf": {"port": ["v1"], "route-table-id": 100}}),
        ),
        case(
            "link add x0 type vxlan id 42 local 192.0.2.1 remote 192.0.2.9 dstport 4790 dev v0 nolearning",
            "x0",
            json!({"type": "vxlan", "vxlan": {"base-iface": "v0", "id": 42, "learning": false,
                "local": "192.0.2.1", "remote": "192.0.2.9", "destination-port": 4790}}),
        ),
        case(
            "link add x0 type vxlan id 43 local 2001:db8::1 remote 2001:db8::9 dstport 4790",
            "x0",
            json!({"vxlan": {"id": 43, "local": "2001:db8::1", "remote": "2001:db8::9"}}),
        ),
        case("link add x0 type xfrm if_id 5", "x0", json!({"type": "xfrm"})),
        case("link add x0 type ifb", "x0", json!({"type": "ifb", "state": "ignore"})),
    ]
}

#[test]
fn every_kind_is_shown() {
    with_mirror(|mirror, _files| async move {
        for Case { commands, name, wanted } in cases() {
            ip("link add v0 type veth peer name v1");
            let done = try_ip(commands);
            let state = shown(&mirror, Scope::Everything).await;
            if done {
                let found = interface(&state, name);
                let lacks = lacks(found, &wanted, name);
                assert!(lacks.is_empty(), "after {commands}:\n{}\n{found:#}", lacks.join("\n"));
            } else {
                not_checked(commands.lines().next().unwrap_or_default());
            }
            let _may_not_be_there = try_ip("link del x0");
            ip("link del v0");
        }
    });
}

#[test]
fn vlans_of_bridge_ports_are_shown_where_the_bridge_filters() {
    with_mirror(|mirror, _files| async move {
        ip("link add v0 type veth peer name v1\nlink add w0 type veth peer name w1");
        if !try_ip("link add x0 type bridge vlan_filtering 1") {
            not_checked("link add type bridge vlan_filtering 1");
            return;
        }
        ip("link set v0 master x0\nlink set v1 master x0\nlink set w0 master x0\nlink set w1 master x0");
        let bridge = |arguments: &str| {
            let mut command = std::process::Command::new("bridge");
            let status = command.args(arguments.split(' ')).status();
            assert!(status.expect("bridge(8) is installed").success(), "bridge {arguments}");
        };
        bridge("vlan add dev v1 vid 77 pvid untagged");
        bridge("vlan del dev w0 vid 1");
        bridge("vlan add dev w0 vid 5 pvid untagged");
        bridge("vlan add dev w0 vid 10-20");
        bridge("vlan add dev w0 vid 30");
        bridge("vlan add dev w1 vid 40-41");
        let state = shown(&mirror, Scope::Everything).await;
        let ports = &interface(&state, "x0")["bridge"]["port"];
        assert_eq!(ports[0]["vlan"], json!(null), "the default VLAN is not the port's own");
        let access = json!({"mode": "access", "tag": 77, "trunk-tags": []});
        assert_eq!(ports[1]["vlan"], access);
        let native = json!({"enable-native": true, "mode": "trunk", "tag": 5,
            "trunk-tags": [{"id-range": {"min": 10, "max": 20}}, {"id": 30}]});
        assert_eq!(ports[2]["vlan"], native);
        let trunk = json!({"enable-native": false, "mode": "trunk",
            "trunk-tags": [{"id-range": {"min": 40, "max": 41}}]});
        assert_eq!(ports[3]["vlan"], trunk);
    });
}

/// An address is no sign of IPv6: without a carrier there is none, and it comes with it.
#[test]
fn ipv6_is_on_unless_it_is_disabled() {
    with_mirror(|mirror, _files| async move {
        ip("link add down0 type bridge\nlink add bare0 type veth peer name bare1\nlink set bare0 up\n\
            link add on0 type veth peer name on1\nlink set on1 up\nlink set on0 up");
        // The kernel gives it once its own work has come to the carrier, after the command.
        let has_address = |state: &Value| {
            interface(state, "on0")["ipv6"]["address"].as_array().is_some_and(|found| !found.is_empty())
        };
        let state = shown_once(&mirror, has_address).await;
        for (name, is_up) in [("down0", false), ("bare0", true), ("on0", true)] {
            let found = interface(&state, name);
            assert_eq!(found["state"], json!(if is_up { "up" } else { "down" }));
            assert_eq!(found["ipv6"]["enabled"], json!(true), "{found}");
            assert_eq!(found["ipv6"]["address"].as_array().map(Vec::len), Some(usize::from(name == "on0")));
        }
        for name in ["down0", "bare0", "on0"] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1")
                .expect("it can be set");
        }
        let state = shown(&mirror, Scope::Everything).await;
        for name in ["down0", "bare0", "on0"] {
            assert_eq!(interface(&state, name)["ipv6"], json!({"enabled": false}));
        }
    });
}

#[test]
fn addresses_routes_and_rules_are_shown() {
    with_mirror(|mirror, _files| async move {
        ip("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n\
            address add 192.0.2.9/24 dev v0\naddress add 192.0.2.1/24 dev v0\n\
            address add 198.51.100.1/24 dev v1 valid_lft 900 preferred_lft 600\n\
            address add 2001:db8::1/64 dev v0 nodad\n\
            route add 203.0.113.0/24 via 192.0.2.2 metric 5 table 77 mtu lock 1400 cwnd lock 12 quickack 1\n\
            route add 10.0.0.0/8 nexthop via 192.0.2.3 weight 3 nexthop via 192.0.2.4\n\
            route add blackhole 10.9.0.0/16\n\
            route add 10.8.0.0/16 dev v0 proto bird\n\
            route add 10.7.0.0/16 dev v0 proto dhcp\n\
            route add unreachable 2001:db8:7::/48\n\
            rule add from 192.0.2.0/24 table 77 priority 100 fwmark 0x30/0xff\n\
            rule add oif v0 table 77 priority 200\n\
            rule add to 203.0.113.0/24 prohibit priority 300");
        let state = shown(&mirror, Scope::Everything).await;
        let v0 = interface(&state, "v0");
        let ipv4 = json!({"enabled": true, "forwarding": v0["ipv4"]["forwarding"], "address": [
            {"ip": "192.0.2.9", "prefix-length": 24}, {"ip": "192.0.2.1", "prefix-length": 24}]});
        assert_eq!(v0["ipv4"], ipv4, "in the order in which they were added");
        assert_eq!(v0["ipv6"]["enabled"], json!(true));
        let leased = &interface(&state, "v1")["ipv4"];
        assert_eq!(leased["dhcp"], json!(true));
        assert!(leased["address"][0]["valid-life-time"].as_str().is_some_and(|t| t.ends_with("sec")));

        let config = json!([
            {"destination": "10.0.0.0/8", "next-hop-interface": "v0", "next-hop-address": "192.0.2.3",
                "table-id": 254, "weight": 3},
            {"destination": "10.0.0.0/8", "next-hop-interface": "v0", "next-hop-address": "192.0.2.4",
                "table-id": 254, "weight": 1},
            {"destination": "10.9.0.0/16", "table-id": 254, "route-type": "blackhole"},
            {"destination": "203.0.113.0/24", "next-hop-interface": "v0", "next-hop-address": "192.0.2.2",
                "metric": 5, "table-id": 77, "cwnd": 12, "mtu": 1400, "quickack": true, "lock-mtu": true},
            {"destination": "2001:db8:7::/48", "next-hop-interface": "lo", "metric": 1024, "table-id": 254,
                "route-type": "unreachable"},
        ]);
        // Tables by number: 77 stands before main.
        let mut config = config.as_array().expect("a list").clone();
        config.rotate_left(3);
        config.swap(1, 2);
        config.swap(2, 3);
        let listed = state["routes"]["config"].as_array().expect("a list");
        for route in &config {
            assert!(listed.contains(route), "lacks {route}\n{listed:#?}");
        }
        assert_eq!(listed.len(), config.len());
        assert_eq!(listed[0]["table-id"], json!(77));
        let running = state["routes"]["running"].as_array().expect("a list");
        assert_eq!(running.len(), config.len() + 1, "the leased one in addition: {running:#?}");

        let rules = json!([
            {"family": "ipv4", "ip-from": "192.0.2.0/24", "priority": 100, "route-table": 77,
                "fwmark": "0x30", "fwmask": "0xff"},
            {"family": "ipv4", "ip-to": "203.0.113.0/24", "priority": 300, "action": "prohibit"},
        ]);
        assert_eq!(state["route-rules"]["config"], rules);

        let running = shown(&mirror, Scope::RunningConfig).await;
        assert_eq!(running["routes"]["running"], json!(null));
        assert_eq!(running["dns-resolver"]["running"], json!(null));
        assert_eq!(interface(&running, "v1")["ipv4"]["address"], json!([]));
        assert_eq!(interface(&running, "v0")["min-mtu"], json!(null));
        assert_eq!(state["dns-resolver"]["config"]["server"], json!(["192.0.2.1"]));
    });
}

#[test]
fn what_is_shown_reads_back() {
    with_mirror(|mirror, _files| async move {
        for Case { commands, .. } in cases() {
            ip("link add v0 type veth peer name v1");
            let _skipped_above = try_ip(commands);
            mirror.sync().await.expect("the keeper runs");
            let state = show(&mirror.image(), Scope::Everything);
            let text = serde_json::to_string(&state).expect("a state prints");
            let value: Value = serde_json::from_str(&text).expect("what is printed is JSON");
            let mut reader = nmstated::state::Reader::new();
            let node = nmstated::state::Node::from_json(&value);
            let back = <State as nmstated::state::Part>::read(&node, &mut reader);
            let (problems, _) = reader.finish();
            assert!(problems.is_empty(), "after {commands}: {problems:?}");
            let back = serde_json::to_value(back.expect("it was read")).expect("a state prints");
            assert_eq!(back, value, "after {commands}");
            let _may_not_be_there = try_ip("link del x0");
            ip("link del v0");
        }
    });
}

#[test]
fn many_routes_are_shown_in_time() {
    const ROUTES: u32 = 100_000;
    with_mirror(|mirror, _files| async move {
        ip(
            "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\naddress add 192.0.2.1/24 dev v0",
        );
        let commands: String = (0..ROUTES)
            .map(|n| format!("route add 10.{}.{}.{}/28 via 192.0.2.9\n", n >> 12, n >> 4 & 255, n << 4 & 255))
            .collect();
        ip(&commands);
        mirror.sync().await.expect("the keeper runs");
        let image = mirror.image();
        let start = thread_cpu();
        let state = show(&image, Scope::Everything);
        let spent = thread_cpu() - start;
        // An optimised build is to need 150 ms; the limit leaves room for a plain one. The machine may be busy: what the
        // processor does is counted, in the lab also what it does for other machines.
        assert!(spent < Duration::from_secs(6), "took {spent:?}");
        assert_eq!(state.config_routes().len(), 100_000);
    });
}
