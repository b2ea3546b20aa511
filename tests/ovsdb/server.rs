//! Against a real ovsdb-server.

use std::collections::BTreeMap;

use nmstated::ovsdb::{self, Error, Keys};
use nmstated::state::{Document, State};
use serde_json::{Value as Json, json};

use super::harness::{Server, until};

fn state(json: Json) -> State {
    Document::from_json(&json).state().expect("a valid state").0
}

fn keys(json: Json) -> Keys {
    serde_json::from_value(json).expect("keys")
}

fn init() -> Json {
    json!([{"op": "insert", "table": "Open_vSwitch", "row": {"external_ids": ["map", [["system-id", "a"]]]}}])
}

/// An interface, its port and both in the bridge of that name.
fn interface(name: &str, kind: &str, more: Json) -> Vec<Json> {
    let mut row = json!({"name": name, "type": kind});
    row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    vec![json!({"op": "insert", "table": "Interface", "uuid-name": format!("i_{name}"), "row": row})]
}

fn port(name: &str, members: &[&str], more: Json) -> Json {
    let members: Vec<Json> =
        members.iter().map(|member| json!(["named-uuid", format!("i_{member}")])).collect();
    let mut row = json!({"name": name, "interfaces": ["set", members]});
    row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({"op": "insert", "table": "Port", "uuid-name": format!("p_{name}"), "row": row})
}

fn bridge(name: &str, ports: &[&str], more: Json) -> Vec<Json> {
    let ports: Vec<Json> = ports.iter().map(|port| json!(["named-uuid", format!("p_{port}")])).collect();
    let mut row = json!({"name": name, "ports": ["set", ports]});
    row.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    vec![
        json!({"op": "insert", "table": "Bridge", "uuid-name": format!("b_{name}"), "row": row}),
        json!({"op": "mutate", "table": "Open_vSwitch", "where": [],
            "mutations": [["bridges", "insert", ["set", [["named-uuid", format!("b_{name}")]]]]]}),
    ]
}

#[tokio::test]
async fn it_is_followed_as_it_comes_and_goes() {
    let mut server = Server::stopped();
    let database = server.follow();
    database.sync().await.expect("it answers without a database");
    assert!(database.image().is_none());
    assert!(database.missing().expect("says why").contains("cannot connect to"));
    let failed = database.transact(ovsdb::set_settings(&keys(json!({"a": "b"})), &Keys::new())).await;
    assert!(matches!(failed, Err(Error::Missing(_))), "{failed:?}");

    for round in 0..3 {
        server.start();
        let image = until(&database, "it is found", |image| image.is_some()).await.expect("an image");
        assert_eq!(image.host.is_some(), round > 0);
        assert_eq!(database.missing(), None);
        if round == 0 {
            server.operate(init());
            until(&database, "the row is seen", |image| image.is_some_and(|image| image.host.is_some()))
                .await;
        }
        server.kill();
        until(&database, "it is missed", |image| image.is_none()).await;
        assert!(database.missing().is_some());
    }
    server.start();
    until(&database, "it is found again", |image| image.is_some()).await;
}

#[tokio::test]
async fn what_was_done_before_a_sync_is_in_the_image() {
    let mut server = Server::stopped();
    server.start();
    let database = server.follow();
    until(&database, "it is found", |image| image.is_some()).await;
    server.operate(init());
    for n in 0..50 {
        let mutation = json!([["external_ids", "insert", ["map", [[format!("k{n}"), "v"]]]]]);
        server
            .operate(json!([{"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": mutation}]));
        database.sync().await.expect("it answers");
        let image = database.image().expect("is there");
        assert_eq!(image.host.as_ref().expect("has a row").external_ids.len(), 2 + n);
    }
}

#[tokio::test]
async fn the_settings_of_the_host_are_set() {
    let mut server = Server::stopped();
    server.start();
    let database = server.follow();
    until(&database, "it is found", |image| image.is_some()).await;
    // Nothing to set it on before `ovs-vsctl init`.
    assert_eq!(ovsdb::set_mappings(&database.image().expect("is there"), &Keys::new()), None);
    server.operate(init());
    database.sync().await.expect("it answers");

    let set = ovsdb::set_settings(&keys(json!({"rack": "b7", "system-id": null})), &keys(json!({"x": "1"})));
    database.transact(set).await.expect("it is set");
    let now = || {
        let image = database.image().expect("is there");
        let host = image.host.as_ref().expect("has a row").clone();
        (host.external_ids.clone(), host.other_config.clone())
    };
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    };
    // The image shows it once the answer is there.
    assert_eq!(now(), (pairs(&[("rack", "b7")]), pairs(&[("x", "1")])));

    let before = database.image().expect("is there");
    let set = ovsdb::set_mappings(&before, &keys(json!({"red": "br1", "blue": "br0"}))).expect("has a row");
    database.transact(set).await.expect("it is set");
    assert_eq!(now().0["ovn-bridge-mappings"], "blue:br0,red:br1");
    // What was read before somebody else wrote is not the base of a change.
    let stale = ovsdb::set_mappings(&before, &keys(json!({"green": "br1"}))).expect("has a row");
    let failed = database.transact(stale).await;
    assert!(matches!(failed, Err(Error::Changed)), "{failed:?}");
    let gone =
        ovsdb::set_mappings(&database.image().expect("is there"), &keys(json!({"red": null, "blue": null})));
    database.transact(gone.expect("has a row")).await.expect("they are removed");
    assert_eq!(now().0, pairs(&[("rack", "b7")]));
}

#[tokio::test]
async fn bridges_are_made_changed_and_removed() {
    let mut server = Server::stopped();
    server.start();
    server_ready(&server).await;
    let database = server.follow();
    until(&database, "it is found", |image| image.is_some_and(|image| image.host.is_some())).await;

    let wish = state(json!({"interfaces": [{"name": "br0", "type": "ovs-bridge", "bridge": {"options":
        {"stp": true, "fail-mode": "secure", "datapath": "netdev"}}, "ovs-db": {"external_ids": {"a": 1}}}]}));
    database.transact(ovsdb::add_bridge(&wish.interfaces()[0])).await.expect("it is made");
    let refused = database.transact(ovsdb::add_bridge(&wish.interfaces()[0])).await;
    assert!(
        matches!(&refused, Err(Error::Refused(text)) if text.contains("constraint violation")),
        "{refused:?}"
    );
    let shown = || {
        let mut state = State::empty();
        ovsdb::overlay(&mut state, &database.image().expect("is there"));
        serde_json::to_value(&state).expect("it prints")["interfaces"].clone()
    };
    let br0 = |fail_mode: &str, stp: bool, ids: Json| {
        json!([{"name": "br0", "type": "ovs-bridge", "state": "up", "ovs-db": {"external_ids": ids, "other_config": {}},
            "bridge": {"options": {"stp": {"enabled": stp}, "rstp": false, "mcast-snooping-enable": false,
                "fail-mode": fail_mode, "datapath": "netdev"}, "port": []}}])
    };
    assert_eq!(shown(), br0("secure", true, json!({"a": "1"})));
    let other = state(json!({"interfaces": [{"name": "br0", "type": "ovs-bridge",
        "bridge": {"options": {"datapath": "netdev"}}}]}));
    let change = ovsdb::change_bridge(&database.image().expect("is there"), &other.interfaces()[0]);
    database.transact(change.expect("it is there")).await.expect("it is changed");
    assert_eq!(shown(), br0("", false, json!({})));

    let mut operations = interface("eth1", "", json!({}));
    operations.push(port("eth1", &["eth1"], json!({})));
    operations.push(json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", "br0"]],
        "mutations": [["ports", "insert", ["set", [["named-uuid", "p_eth1"]]]]]}));
    server.operate(Json::from(operations));
    database.sync().await.expect("it answers");
    assert_eq!(shown()[0]["bridge"]["port"], json!([{"name": "eth1"}]));
    let remove = ovsdb::remove_port(&database.image().expect("is there"), "br0", "eth1");
    database.transact(remove.expect("it is there")).await.expect("it is removed");
    assert_eq!(shown(), br0("", false, json!({})));
    assert!(database.image().expect("is there").interfaces.is_empty(), "nothing refers to it");

    let remove = ovsdb::remove_bridge(&database.image().expect("is there"), "br0").expect("it is there");
    database.transact(remove).await.expect("it is removed");
    assert_eq!(shown(), json!([]));
}

async fn server_ready(server: &Server) {
    let database = server.follow();
    until(&database, "it is found", |image| image.is_some()).await;
    server.operate(init());
}

#[tokio::test]
async fn the_database_is_shown_over_the_kernel() {
    let mut server = Server::stopped();
    server.start();
    server_ready(&server).await;
    let ids = |pairs: Json| json!(["map", pairs]);
    let nm = json!(["NM.connection.uuid", "x"]);
    let mut all = Vec::new();
    all.extend(interface("br0", "internal", json!({"external_ids": ids(json!([nm]))})));
    all.extend(interface("eth1", "", json!({"external_ids": ids(json!([nm, ["rack", "b7"]]))})));
    all.extend(interface("eth2", "system", json!({})));
    all.extend(interface("eth3", "system", json!({})));
    all.extend(interface("tap0", "internal", json!({})));
    all.extend(interface("late", "internal", json!({})));
    all.extend(interface("patch0", "patch", json!({"options": ids(json!([["peer", "patch1"]]))})));
    all.extend(interface(
        "dpdk0",
        "dpdk",
        json!({"options":
        ids(json!([["dpdk-devargs", "0000:18:00.2"], ["n_rxq", "4"], ["n_rxq_desc", "1024"]]))}),
    ));
    all.extend(interface("vx0", "vxlan", json!({"options": ids(json!([["remote_ip", "192.0.2.1"]]))})));
    all.push(port("br0", &["br0"], json!({})));
    all.push(port(
        "eth1",
        &["eth1"],
        json!({"vlan_mode": "trunk", "tag": 7, "trunks": ["set", [3, 1, 2, 9]]}),
    ));
    all.push(port("tap0", &["tap0"], json!({"vlan_mode": "access"})));
    all.push(port("late", &["late"], json!({"tag": 5})));
    all.push(port("patch0", &["patch0"], json!({})));
    all.push(port("dpdk0", &["dpdk0"], json!({})));
    all.push(port("vx0", &["vx0"], json!({})));
    all.push(port(
        "bond0",
        &["eth3", "eth2"],
        json!({"lacp": "active", "bond_updelay": 200,
        "other_config": ids(json!([["bond-detect-mode", "carrier"]]))}),
    ));
    let ports = ["br0", "eth1", "tap0", "late", "patch0", "dpdk0", "vx0", "bond0"];
    all.extend(bridge(
        "br0",
        &ports,
        json!({"fail_mode": "standalone", "mcast_snooping_enable": true,
        "external_ids": ids(json!([nm]))}),
    ));
    all.push(json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations":
        [["external_ids", "insert", ids(json!([["ovn-bridge-mappings", "red:br0,broken,:x,blue:br0"]]))]]}));
    server.operate(Json::from(all));

    let database = server.follow();
    let image = until(&database, "it is found", |image| image.is_some()).await.expect("an image");
    let mut shown = state(json!({"interfaces": [
        {"name": "br0", "type": "ovs-interface", "state": "up", "mtu": 1500},
        {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500},
        {"name": "eth2", "type": "ethernet", "state": "up"},
        {"name": "eth3", "type": "ethernet", "state": "up"},
        {"name": "eth4", "type": "ethernet", "state": "up"},
        {"name": "tap0", "type": "tun", "state": "ignore", "mtu": 1400, "mac-address": "02:00:00:00:00:01"},
    ]}));
    ovsdb::overlay(&mut shown, &image);
    let none = json!({"external_ids": {}, "other_config": {}});
    assert_eq!(
        serde_json::to_value(&shown).expect("it prints"),
        json!({
            "ovs-db": {"external_ids": {"system-id": "a"}, "other_config": {}},
            "ovn": {"bridge-mappings": [{"localnet": "blue", "bridge": "br0"}, {"localnet": "red", "bridge": "br0"}]},
            "interfaces": [
                {"name": "br0", "type": "ovs-bridge", "state": "up", "ovs-db": none, "bridge": {
                    "options": {"stp": {"enabled": false}, "rstp": false, "mcast-snooping-enable": true,
                        "fail-mode": "standalone", "datapath": ""},
                    "port": [
                        {"name": "br0"},
                        {"name": "dpdk0"},
                        {"name": "eth1", "vlan": {"enable-native": true, "mode": "trunk", "tag": 7, "trunk-tags":
                            [{"id-range": {"min": 1, "max": 3}}, {"id": 9}]}},
                        {"name": "late"},
                        {"name": "patch0"},
                        {"name": "tap0", "vlan": {"mode": "access", "tag": 0}},
                        {"name": "bond0", "link-aggregation": {"mode": "lacp", "port": [{"name": "eth2"}, {"name": "eth3"}],
                            "bond-updelay": 200, "ovs-db": {"external_ids": {}, "other_config": {"bond-detect-mode": "carrier"}}}},
                    ]}},
                {"name": "br0", "type": "ovs-interface", "state": "up", "mtu": 1500, "controller": "br0"},
                {"name": "dpdk0", "type": "ovs-interface", "state": "up", "controller": "br0",
                    "dpdk": {"devargs": "0000:18:00.2", "rx-queue": 4, "n_rxq_desc": 1024}},
                {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500, "controller": "br0",
                    "ovs-db": {"external_ids": {"rack": "b7"}, "other_config": {}}},
                {"name": "eth2", "type": "ethernet", "state": "up", "controller": "br0"},
                {"name": "eth3", "type": "ethernet", "state": "up", "controller": "br0"},
                {"name": "eth4", "type": "ethernet", "state": "up"},
                {"name": "late", "type": "ovs-interface", "state": "down", "controller": "br0"},
                {"name": "patch0", "type": "ovs-interface", "state": "up", "controller": "br0", "patch": {"peer": "patch1"}},
                {"name": "tap0", "type": "ovs-interface", "state": "up", "mac-address": "02:00:00:00:00:01", "mtu": 1400,
                    "controller": "br0"},
            ],
        })
    );
}
