//! Promises of planning that hold for any document, over random networks and documents.
//!
//! The network is simulated by taking each change as done; the simulation refuses what a kernel
//! would refuse: an interface before what it rests on, or a controller that is not there.

use std::collections::{BTreeMap, BTreeSet};

use nmstated::plan::{self, Action, Capabilities, Change, Options, Plan, RouteChange};
use nmstated::state::{Document, Interface, Route, Routes, State};
use nmstated::{tools, verify};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn state(json: Json) -> State {
    let read = Document::from_json(&json).state();
    read.unwrap_or_else(|problems| panic!("{problems:?}\n{json}")).0
}

fn kernel() -> Capabilities {
    Capabilities {
        backend: "kernel",
        interface_types: BTreeSet::new(),
        vlan_filtering: true,
        volatile_until_commit: true,
        profiles: false,
        names: false,
        persists: false,
        ..Capabilities::default()
    }
}

/// What an interface rests on, told from its printed form alone.
fn rests_on(interface: &Json) -> Vec<String> {
    let sections = ["vlan", "vxlan", "mac-vlan", "mac-vtap", "ipvlan", "macsec", "ip-tunnel"];
    let bases = sections.iter().filter_map(|section| interface[section]["base-iface"].as_str());
    bases.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Carries out a plan on a network that exists only here.
fn apply(plan: &Plan, current: &State) -> State {
    let mut network: BTreeMap<String, Interface> =
        current.interfaces().iter().map(|i| (i.name.clone(), i.clone())).collect();
    let mut routes = current.config_routes().to_vec();
    for change in &plan.changes {
        let change = match change {
            Change::Interface(change) => change,
            Change::Route(RouteChange { action, route, .. }) => {
                routes.retain(|other| *other != shown(route));
                if *action == Action::Add {
                    let through = route.next_hop_interface.as_ref().expect("the documents name one");
                    let ip = network.get(through).and_then(|through| through.ipv4.as_ref());
                    assert!(ip.is_some_and(|ip| ip.is_enabled()), "{through} cannot carry {route:?}");
                    routes.push(shown(route));
                }
                continue;
            }
            other => panic!("the documents ask for no {other:?}"),
        };
        let name = &change.name;
        let carries =
            |after: &Interface| after.is_up() && after.ipv4.as_ref().is_some_and(|ip| ip.is_enabled());
        if change.rebuild || !change.after.as_ref().is_some_and(carries) {
            routes.retain(|route| route.next_hop_interface.as_ref() != Some(name));
        }
        match change.action {
            Action::Remove => {
                assert!(network.remove(name).is_some(), "{name} is removed, but is not there");
            }
            Action::Add => assert!(!network.contains_key(name), "{name} is added, but is there"),
            Action::Modify => assert!(network.contains_key(name), "{name} is changed, but is not there"),
        }
        let Some(mut after) = change.after.clone() else { continue };
        let printed = serde_json::to_value(&after).expect("prints");
        for base in rests_on(&printed) {
            assert!(network.contains_key(&base), "{name} is made before its base {base}");
        }
        if after.controller.as_deref() == Some("") {
            after.controller = None;
        }
        if let Some(controller) = &after.controller {
            assert!(
                network.contains_key(controller),
                "{name} is attached before its controller {controller}"
            );
        }
        network.insert(name.clone(), after);
    }
    for (name, interface) in &network {
        let printed = serde_json::to_value(interface).expect("prints");
        for base in rests_on(&printed) {
            assert!(network.contains_key(&base), "{name} lost its base {base}");
        }
        if let Some(controller) = interface.controller.as_ref().filter(|name| !name.is_empty()) {
            let controller = network.get(controller).unwrap_or_else(|| panic!("{name} lost {controller}"));
            assert!(lists(controller, name), "{} does not list its port {name}", controller.name);
        }
        // One that is down is only a profile.
        for port in ports(interface).into_iter().filter(|_| interface.is_up()) {
            let port = network.get(&port).unwrap_or_else(|| panic!("{name} lists {port}, which is gone"));
            assert_eq!(port.controller.as_ref(), Some(name), "{} is listed by {name}", port.name);
        }
        if let Some(veth) = &interface.veth {
            let peer = network.get(&veth.peer).unwrap_or_else(|| panic!("{name} lost its peer"));
            assert_eq!(peer.veth.as_ref().map(|veth| &veth.peer), Some(name), "the peer of {name}");
        }
    }
    let routes = Routes { running: None, config: Some(routes.into()) };
    State { interfaces: Some(network.into_values().collect()), routes: Some(routes), ..State::empty() }
}

/// A route as the kernel shows it.
fn shown(route: &Route) -> Route {
    let mut route = Route { state: None, ..route.clone() };
    route.table_id.get_or_insert(254);
    route.metric.get_or_insert(0);
    route
}

fn lists(controller: &Interface, port: &str) -> bool {
    ports(controller).iter().any(|name| name == port)
}

fn ports(controller: &Interface) -> Vec<String> {
    let printed = serde_json::to_value(controller).expect("prints");
    let lists = [&printed["bridge"]["port"], &printed["link-aggregation"]["port"], &printed["vrf"]["port"]];
    let names = lists.iter().filter_map(|list| list.as_array()).flatten();
    names.filter_map(|entry| entry.as_str().or(entry["name"].as_str())).map(str::to_owned).collect()
}

/// Hardware, as a mirror of the kernel shows it.
fn hardware() -> Vec<Json> {
    let ethernet = |n: u8| {
        json!({"name": format!("eth{n}"), "type": "ethernet", "state": "up", "mtu": 1500, "min-mtu": 68,
            "max-mtu": 9000, "mac-address": format!("02:00:00:00:00:0{n}"),
            "permanent-mac-address": format!("02:00:00:00:00:0{n}"), "accept-all-mac-addresses": false,
            "ipv4": {"enabled": false}, "ipv6": {"enabled": true, "address": [
                {"ip": format!("fe80::{n}"), "prefix-length": 64, "protocol": "kernel_ll"}]}})
    };
    let loopback = json!({"name": "lo", "type": "loopback", "state": "up", "mtu": 65536,
        "ipv4": {"enabled": true, "address": [{"ip": "127.0.0.1", "prefix-length": 8}]},
        "ipv6": {"enabled": true, "address": [{"ip": "::1", "prefix-length": 128}]}});
    (0..4).map(ethernet).chain([loopback]).collect()
}

fn words(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> + Clone {
    proptest::sample::select(words)
}

/// Random entries of a document. Many documents made of them are wrong; those must be refused
/// without a panic, the others must keep every promise.
fn entry() -> impl Strategy<Value = Json> {
    let ethernet = || (0..4u8).prop_map(|n| format!("eth{n}"));
    let any_base = || {
        prop_oneof![
            Just("eth1".to_owned()),
            Just("eth1".to_owned()),
            ethernet(),
            Just("bond0".to_owned()),
            Just("br0".to_owned()),
            Just("ve0".to_owned())
        ]
    };
    let ports = || {
        proptest::collection::btree_set(
            prop_oneof![
                4 => ethernet(),
                1 => Just("ve1".to_owned()),
                1 => Just("d0".to_owned()),
                1 => Just("bond0".to_owned()),
                1 => Just("bond0.7".to_owned()),
            ],
            0..4,
        )
        .prop_map(Vec::from_iter)
    };
    let ip = prop_oneof![
        Just(json!({"enabled": false})),
        (1..4u8).prop_map(|n| json!({"enabled": true, "address": [{"ip": format!("192.0.2.{n}"), "prefix-length": 24}]})),
        (1..4u8).prop_map(|n| json!({"enabled": true, "address": [
            {"ip": format!("198.51.100.{n}"), "prefix-length": 24}, {"ip": "203.0.113.9", "prefix-length": 32}]})),
    ];
    let vlan_filter = prop_oneof![
        3 => Just(None),
        1 => Just(Some(json!({}))),
        1 => (2..5u16).prop_map(|tag| Some(json!({"mode": "access", "tag": tag}))),
        1 => (2..5u16).prop_map(|tag| Some(json!({"mode": "trunk", "trunk-tags": [{"id": tag}, {"id-range": {"min": 10, "max": 12}}]}))),
    ];
    let bridge = (0..2u8, proptest::option::of((ports(), vlan_filter)), proptest::option::of(0..2u16))
        .prop_map(|(n, listed, stp)| {
            let mut bridge = json!({});
            if let Some((ports, vlan)) = listed {
                let port = |name: &String| match &vlan {
                    Some(vlan) => json!({"name": name, "vlan": vlan}),
                    None => json!({"name": name}),
                };
                bridge["port"] = ports.iter().map(port).collect();
            }
            if let Some(stp) = stp {
                bridge["options"] = json!({"stp": {"enabled": stp == 1}, "mac-ageing-time": 300});
            }
            json!({"name": format!("br{n}"), "type": "linux-bridge", "bridge": bridge})
        });
    let bond = (
        proptest::option::of(ports()),
        words(&["active-backup", "balance-rr"]),
        proptest::option::of(1..3u32),
    )
        .prop_map(|(ports, mode, miimon)| {
            let mut bond = json!({"mode": mode});
            if let Some(ports) = ports {
                bond["port"] = json!(ports);
            }
            if let Some(miimon) = miimon {
                bond["options"] = json!({"miimon": miimon * 100});
            }
            json!({"name": "bond0", "type": "bond", "link-aggregation": bond})
        });
    let vrf = (proptest::option::of(ports()), 10..12u32).prop_map(|(ports, table)| {
        let mut vrf = json!({"route-table-id": table});
        if let Some(ports) = ports {
            vrf["port"] = json!(ports);
        }
        json!({"name": "vrf0", "type": "vrf", "vrf": vrf})
    });
    let vlan = (any_base(), 5..8u16).prop_map(|(base, id)| {
        json!({"name": format!("{base}.7"), "type": "vlan", "vlan": {"base-iface": base, "id": id}})
    });
    let vxlan = (any_base(), 5..8u16).prop_map(|(base, id)| {
        json!({"name": "vx0", "type": "vxlan", "vxlan": {"base-iface": base, "id": id, "remote": "192.0.2.77"}})
    });
    let mac_vlan = (prop_oneof![ethernet(), Just("vx0".to_owned())], words(&["bridge", "passthru", "vepa"]))
        .prop_map(|(base, mode)| json!({"name": "mv0", "type": "mac-vlan", "mac-vlan": {"base-iface": base, "mode": mode}}));
    let veth = (0..2u8, 1..3u8).prop_map(|(n, peer)| {
        let (name, peer) = if n == 0 {
            ("ve0".to_owned(), format!("ve{peer}"))
        } else {
            (format!("ve{peer}"), "ve0".to_owned())
        };
        json!({"name": name, "type": "veth", "veth": {"peer": peer}})
    });
    let dummy = (0..2u8).prop_map(|n| json!({"name": format!("d{n}"), "type": "dummy"}));
    let plain = ethernet().prop_map(|name| json!({"name": name, "type": "ethernet"}));
    let with_keys = (
        prop_oneof![bridge, bond, vrf, vlan, vxlan, mac_vlan, veth, dummy, plain],
        proptest::option::weighted(0.4, ip),
        proptest::option::weighted(0.2, 1400..1402u32),
        proptest::option::weighted(0.1, words(&["br0", "vrf0", ""])),
        proptest::option::weighted(0.1, words(&["down", "absent"])),
        proptest::option::weighted(0.1, (words(&["alt0", "alt1"]), any::<bool>())),
    );
    let full = with_keys.prop_map(|(mut entry, ip, mtu, controller, state, alternative)| {
        for (key, value) in [
            ("ipv4", ip),
            ("mtu", mtu.map(Json::from)),
            ("controller", controller.map(Json::from)),
            ("state", state.map(Json::from)),
        ] {
            if let Some(value) = value {
                entry[key] = value;
            }
        }
        if let Some((name, absent)) = alternative {
            entry["alt-names"] =
                if absent { json!([{"name": name, "state": "absent"}]) } else { json!([{"name": name}]) };
        }
        entry
    });
    let gone = words(&[
        "br0", "br1", "bond0", "vrf0", "bond0.7", "eth1.7", "vx0", "mv0", "ve0", "ve1", "d0", "eth2",
    ])
    .prop_map(|name| json!({"name": name, "state": "absent"}));
    prop_oneof![9 => full, 1 => gone]
}

fn route() -> impl Strategy<Value = Json> {
    let through = words(&["eth0", "d0", "br0", "bond0", "eth1.7", "eth1.7", "eth1.7"]);
    (through, 0..3u8, proptest::option::weighted(0.2, words(&["absent"]))).prop_map(|(through, n, state)| {
        let mut route = json!({"next-hop-interface": through, "destination": format!("203.0.{n}.0/24")});
        if let Some(state) = state {
            route["state"] = json!(state);
        }
        route
    })
}

fn document() -> impl Strategy<Value = Json> {
    let interfaces = proptest::collection::vec(entry(), 1..6);
    let routes = prop_oneof![3 => Just(Vec::new()), 2 => proptest::collection::vec(route(), 1..3)];
    let document = |(interfaces, routes)| json!({"interfaces": interfaces, "routes": {"config": routes}});
    (interfaces, routes).prop_map(document)
}

/// A network that some documents led to, the refused ones left out.
fn network(documents: &[Json]) -> State {
    let mut now = state(json!({"interfaces": hardware()}));
    for document in documents {
        if let Ok(plan) = plan::plan(&state(document.clone()), &now, &kernel(), &Options::default()) {
            now = apply(&plan, &now);
        }
    }
    now
}

fn removed_route(change: &Change) -> Option<&Route> {
    match change {
        Change::Route(RouteChange { action: Action::Remove, route, .. }) => Some(route),
        _ => None,
    }
}

fn check(documents: &[Json], last: &Json, options: &Options) -> bool {
    let before = network(documents);
    let desired = state(last.clone());
    let Ok(plan) = plan::plan(&desired, &before, &kernel(), options) else {
        return false;
    };
    let after = apply(&plan, &before);
    let removed: Vec<&Route> = plan.changes.iter().filter_map(removed_route).collect();
    for route in before.config_routes().iter().filter(|route| !removed.contains(route)) {
        assert!(after.config_routes().contains(route), "nobody removed {route:?}\n{:#?}", plan.changes);
    }
    let found = verify::verify(&plan, &after);
    assert!(found.is_match(), "{:#?}", found.findings);
    let again = plan::plan(&desired, &after, &kernel(), options);
    let again = again.unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(again.is_empty(), "planning again finds {:#?}\nafter {:#?}", again.changes, plan.changes);

    let back = plan::restore(&before, &after);
    assert_eq!(back.is_empty(), plan.is_empty(), "{:#?}\nundoes\n{:#?}", back.changes, plan.changes);
    let restored = apply(&back, &after);
    let left = plan::restore(&before, &restored);
    assert!(left.is_empty(), "rollback leaves {:#?}", left.changes);
    let differences = verify::same(&before, &restored);
    assert!(differences.is_empty(), "{differences:#?}");
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_carried_out_plan_leaves_nothing_to_do_and_rolls_back(
        documents in proptest::collection::vec(document(), 0..5),
        last in document(),
    ) {
        check(&documents, &last, &Options::default());
    }

    #[test]
    fn overriding_and_memory_only_plans_settle_too(
        documents in proptest::collection::vec(document(), 0..3),
        last in document(),
        override_interfaces in any::<bool>(),
    ) {
        check(&documents, &last, &Options { override_interfaces, memory_only: !override_interfaces, client: None, unverified: false });
    }

    #[test]
    fn what_is_shown_can_be_asked_for(documents in proptest::collection::vec(document(), 0..5)) {
        let now = network(&documents);
        let plan = plan::plan(&now, &now, &kernel(), &Options::default());
        let plan = plan.unwrap_or_else(|problems| panic!("{problems:?}"));
        prop_assert!(plan.is_empty(), "{:#?}", plan.changes);
        prop_assert!(plan::restore(&now, &now).is_empty());
    }
}

/// As planned where nobody is asked what can be done (`tools`).
fn offline() -> Capabilities {
    Capabilities { profiles: true, names: true, ..kernel() }
}

/// Without what is only about profiles there, which a network that is simulated has not: what is down, and
/// hardware that nothing is configured on any more.
fn without_profiles(mut document: Json) -> Json {
    for own in document["interfaces"].as_array_mut().expect("a list") {
        let is_hardware =
            own["name"].as_str().is_some_and(|name| name.starts_with("eth") && !name.contains('.'));
        if own["state"] == "down" || (own["state"] == "absent" && is_hardware) {
            own["state"] = json!("up");
        }
    }
    document
}

/// Whether something stays that rests on what goes: a profile that waits for a veth to come back (A8), which
/// a network that is simulated has not either.
fn leaves_waiting(desired: &State, current: &State) -> bool {
    let plan = plan::plan(desired, current, &offline(), &Options::default()).expect("it was possible");
    let gone: BTreeSet<&String> = plan
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Interface(change) if change.action == Action::Remove => Some(&change.name),
            _ => None,
        })
        .collect();
    let stays =
        desired.interfaces().iter().chain(current.interfaces()).filter(|own| !gone.contains(&own.name));
    stays
        .flat_map(|own| rests_on(&serde_json::to_value(own).expect("prints")))
        .any(|base| gone.contains(&base))
}

fn carried_out(desired: &State, current: &State, capabilities: &Capabilities) -> State {
    let plan = plan::plan(desired, current, capabilities, &Options::default());
    apply(&plan.unwrap_or_else(|problems| panic!("{problems:?}\n{}", desired.to_yaml())), current)
}

/// Neither state has anything that the other one has not.
fn assert_same(a: &State, b: &State, document: &State) {
    let differences = [verify::same(a, b), verify::same(b, a)];
    assert!(differences.iter().all(Vec::is_empty), "{differences:#?}\n{}", document.to_yaml());
}

/// A network as it is shown: every key that a document could set has a value, and so a way back.
fn shown_whole(network: &State) -> State {
    let mut shown = serde_json::to_value(network).expect("it prints");
    for own in shown["interfaces"].as_array_mut().expect("a list") {
        for (key, value) in [
            ("mtu", json!(1500)),
            ("ipv4", json!({"enabled": false})),
            ("ipv6", json!({"enabled": false})),
            ("alt-names", json!([])),
        ] {
            if own[key].is_null() {
                own[key] = value;
            }
        }
        let options = match own["type"].as_str() {
            Some("bond") => {
                [("link-aggregation", "miimon", json!(0)), ("link-aggregation", "updelay", json!(0))]
            }
            Some("linux-bridge") => {
                [("bridge", "mac-ageing-time", json!(300)), ("bridge", "stp", json!({"enabled": false}))]
            }
            _ => continue,
        };
        for (section, key, value) in options {
            if own[section]["options"][key].is_null() {
                own[section]["options"][key] = value;
            }
        }
    }
    state(shown)
}

/// What `of` makes of a document, here and where nobody is asked.
fn made(
    documents: &[Json],
    last: &Json,
    of: fn(&State, &State, &Plan) -> State,
    offline_of: fn(&State, &State) -> Result<State, Vec<nmstated::state::Problem>>,
) -> Vec<(State, State, State, Capabilities)> {
    let before = shown_whole(&network(documents));
    let mut made = Vec::new();
    let desired = state(last.clone());
    if let Ok(plan) = plan::plan(&desired, &before, &kernel(), &Options::default()) {
        let document = of(&desired, &before, &plan);
        made.push((before.clone(), desired, document, kernel()));
    }
    let desired = state(without_profiles(last.clone()));
    if let Ok(document) = offline_of(&desired, &before)
        && !leaves_waiting(&desired, &before)
    {
        made.push((before, desired, document, offline()));
    }
    made
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_reverts_a_document_leads_back_from_it(
        documents in proptest::collection::vec(document(), 0..5),
        last in document(),
    ) {
        for (before, desired, back, capabilities) in made(&documents, &last, plan::revert, tools::revert) {
            let after = carried_out(&desired, &before, &capabilities);
            assert_same(&before, &carried_out(&back, &after, &capabilities), &back);
        }
    }

    #[test]
    fn what_differs_leads_to_the_same_as_the_document(
        documents in proptest::collection::vec(document(), 0..5),
        last in document(),
    ) {
        for (before, desired, differs, capabilities) in made(&documents, &last, plan::difference, tools::difference) {
            let after = carried_out(&differs, &before, &capabilities);
            assert_same(&carried_out(&desired, &before, &capabilities), &after, &differs);
            let left = plan::plan(&desired, &after, &capabilities, &Options::default());
            let left = left.expect("it was possible before").changes;
            prop_assert!(left.is_empty(), "{left:#?}");
        }
    }
}

/// A network reached through `up0`, of which the generator knows nothing, beside a random one.
fn with_uplink(mut network: State) -> State {
    let uplink = state(json!({
        "interfaces": [
            {"name": "up0", "type": "ethernet", "state": "up", "mtu": 1500, "ipv6": {"enabled": false},
             "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "198.18.0.2", "prefix-length": 24}]}}],
        "routes": {"config": [{"destination": "0.0.0.0/0", "next-hop-interface": "up0",
            "next-hop-address": "198.18.0.1", "metric": 0, "table-id": 254}]},
    }));
    network.interfaces.get_or_insert_default().extend(uplink.interfaces().to_vec());
    let routes = network.config_routes().iter().chain(uplink.config_routes()).cloned().collect();
    State { routes: Some(Routes { running: None, config: Some(routes) }), ..network }
}

fn path_touched(network: &State, document: &Json) -> Option<Option<plan::ClientPath>> {
    let client = plan::Client::read("198.19.0.9", Some("198.18.0.2")).expect("addresses");
    let plan = plan::plan(&state(document.clone()), network, &kernel(), &Options::default()).ok()?;
    Some(plan::touched(&plan, network, &client))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_mentions_nothing_of_the_path_of_a_client_does_not_touch_it(
        documents in proptest::collection::vec(document(), 0..4),
        last in document(),
    ) {
        let network = with_uplink(network(&documents));
        if let Some(touched) = path_touched(&network, &last) {
            prop_assert_eq!(touched, None);
        }
    }

    #[test]
    fn what_takes_the_path_of_a_client_away_touches_it(
        documents in proptest::collection::vec(document(), 0..4),
        last in document(),
        how in 0..4usize,
    ) {
        let mut last = last;
        match how {
            3 => last["routes"]["config"].as_array_mut().expect("a list").push(
                json!({"state": "absent", "destination": "0.0.0.0/0", "next-hop-interface": "up0"})),
            how => last["interfaces"].as_array_mut().expect("a list").push(
                [json!({"name": "up0", "state": "down"}), json!({"name": "up0", "state": "absent"}),
                    json!({"name": "up0", "ipv4": {"enabled": false}})][how].clone()),
        }
        let network = with_uplink(network(&documents));
        if let Some(touched) = path_touched(&network, &last) {
            prop_assert!(touched.is_some());
        }
    }
}

/// The generator is of use only while many of its documents are valid.
#[test]
fn most_random_documents_are_valid() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut one = || document().new_tree(&mut runner).expect("documents can be made").current();
    let valid = (0..400).filter(|_| check(&[one(), one()], &one(), &Options::default())).count();
    assert!(valid > 60, "only {valid} of 400 documents are valid");
}

#[test]
fn a_port_that_has_its_bonds_address_has_not_drifted() {
    let network = |fail_over_mac: &str| {
        state(json!({"interfaces": [
            {"name": "b0", "type": "bond", "state": "up", "mac-address": "02:00:00:00:00:0A", "link-aggregation":
                {"mode": "active-backup", "options": {"fail_over_mac": fail_over_mac}, "port": ["eth1"]}},
            {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500, "mac-address": "02:00:00:00:00:0A",
                "ipv4": {"enabled": false}, "ipv6": {"enabled": false}, "controller": "b0"}]}))
    };
    let of_its_own = |controller: &str, mtu: u32| {
        state(json!({"interfaces": [{"name": "eth1", "type": "ethernet", "state": "up", "mtu": mtu,
            "mac-address": "02:00:00:00:00:01", "controller": controller}]}))
    };
    let differs = |desired: State, network: State| {
        let plan = plan::plan(&desired, &network, &kernel(), &Options::default()).expect("a plan");
        plan::drift(&plan).into_iter().map(|drift| drift.path).collect::<Vec<_>>()
    };
    assert_eq!(differs(of_its_own("b0", 1500), network("none")), Vec::<String>::new());
    assert_eq!(differs(of_its_own("b0", 1400), network("none")), ["interfaces[eth1].mtu"]);
    assert_eq!(differs(of_its_own("b0", 1500), network("follow")), ["interfaces[eth1].mac-address"]);
    let free = differs(of_its_own("", 1500), network("none"));
    assert!(free.contains(&"interfaces[eth1].mac-address".to_owned()), "{free:?}");
}
