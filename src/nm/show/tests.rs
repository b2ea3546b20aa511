use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value as Json, json};

use super::*;
use crate::nm::image::{Active, Device, Stored};
use crate::nm::{Profile, Setting, Value};
use crate::state::InterfaceState;
use crate::state::{Node, Part, Reader};

fn state(json: &Json) -> State {
    let mut reader = Reader::new();
    let state = State::read(&Node::from_json(json), &mut reader);
    let (problems, _) = reader.finish();
    assert!(problems.is_empty(), "{problems:?}");
    state.expect("a state")
}

/// An interface as the kernel has it.
fn interface(name: &str, kind: &str) -> Json {
    json!({"name": name, "type": kind, "state": "up", "mtu": 1500, "mac-address": "02:00:5E:10:00:01",
           "ipv4": {"enabled": false}, "ipv6": {"enabled": true, "address": []}})
}

fn kernel(interfaces: &[Json]) -> State {
    state(
        &json!({"interfaces": interfaces, "routes": {"running": [], "config": []}, "hostname": {"running": "a", "config": "b"}}),
    )
}

fn profile(kind: &str, name: &str, settings: &[(&str, &str, Value)]) -> Profile {
    let mut profile = Profile::default();
    profile.set("connection", "type", kind);
    profile.set("connection", "id", name);
    profile.set("connection", "uuid", format!("uuid of {name}"));
    profile.set("connection", "interface-name", name);
    profile.set("ipv4", "method", "disabled");
    profile.set("ipv6", "method", "disabled");
    settings.iter().for_each(|(setting, key, value)| profile.set(setting, key, value.clone()));
    profile
}

fn texts(list: &[&str]) -> Value {
    Value::Texts(list.iter().map(|text| (*text).to_owned()).collect())
}

#[derive(Default)]
struct Builder(Image);

impl Builder {
    fn store(&mut self, profile: &Profile) {
        let path = format!("/Settings/{}", self.0.profiles.len());
        let stored = Stored { profile: profile.clone(), ..Stored::default() };
        self.0.profiles.insert(path, Arc::new(stored));
    }

    fn device(&mut self, name: &str, kind: u32, state: u32) -> String {
        let path = format!("/Devices/{}", self.0.devices.len());
        let device = Device { name: name.to_owned(), kind, state, real: true, ..Device::default() };
        self.0.devices.insert(path.clone(), Arc::new(device));
        path
    }

    fn change(&mut self, device: &str, change: impl FnOnce(&mut Device)) {
        change(Arc::make_mut(self.0.devices.get_mut(device).expect("a device")));
    }

    /// A profile that is stored and runs on a device of its name.
    fn run(&mut self, kind: u32, profile: &Profile, flags: u32) -> String {
        self.store(profile);
        let name = profile.interface_name().unwrap_or_default().to_owned();
        let device = self.device(&name, kind, 100);
        let path = format!("/ActiveConnection/{}", self.0.actives.len());
        let active = Active {
            uuid: profile.uuid().unwrap_or_default().to_owned(),
            kind: profile.kind().unwrap_or_default().to_owned(),
            device: Some(device.clone()),
            state: 2,
            flags,
            ..Active::default()
        };
        self.0.actives.insert(path.clone(), Arc::new(active));
        self.change(&device, |device| {
            device.active = Some(path);
            device.applied = Some(Arc::new((profile.clone(), 1)));
        });
        device
    }
}

fn shown(state: &State, name: &str) -> Json {
    serde_json::to_value(state.interface(name)).expect("JSON")
}

#[test]
fn s57_states_of_devices() {
    for (number, word) in [
        (10, "ignore"),
        (20, "down"),
        (30, "down"),
        (40, "up"),
        (70, "up"),
        (100, "up"),
        (110, "up"),
        (120, "up"),
    ] {
        let mut builder = Builder::default();
        builder.device("eth1", 1, number);
        let state = overlay(&kernel(&[interface("eth1", "ethernet")]), &builder.0);
        assert_eq!(shown(&state, "eth1")["state"], word, "{number}");
    }
}

#[test]
fn the_kernel_is_believed_where_networkmanager_has_no_say() {
    let mut builder = Builder::default();
    builder.device("eth1", 1, 10);
    builder.change("/Devices/0", |device| device.real = false);
    builder.device("", 1, 10);
    let kernel = kernel(&[interface("eth1", "ethernet"), interface("eth2", "ethernet")]);
    let state = overlay(&kernel, &builder.0);
    assert_eq!(state.interfaces, kernel.interfaces);
}

#[test]
fn s58_of_external_devices_only_the_state_counts() {
    let own = profile("802-3-ethernet", "eth1", &[("ipv4", "method", "auto".into())]);
    let mut builder = Builder::default();
    builder.run(1, &own, 0x80);
    let kernel = kernel(&[interface("eth1", "ethernet")]);
    assert_eq!(overlay(&kernel, &builder.0).interfaces, kernel.interfaces);
}

#[test]
fn s59_what_runs_else_what_is_active_else_what_is_liked_best() {
    let with = |uuid: &str, text: &str, priority: i32| {
        let data = BTreeMap::from([("nmstate.interface.description".to_owned(), text.to_owned())]);
        let more = [
            ("connection", "uuid", uuid.into()),
            ("connection", "autoconnect-priority", Value::I32(priority)),
            ("user", "data", data.into()),
        ];
        profile("802-3-ethernet", "eth1", &more)
    };
    let mut builder = Builder::default();
    builder.device("eth1", 1, 30);
    builder.store(&with("a", "liked less", -1));
    builder.store(&with("b", "liked best", 5));
    builder.store(&profile("bond", "eth1", &[("connection", "autoconnect-priority", Value::I32(9))]));
    let kernel = kernel(&[interface("eth1", "ethernet")]);
    let state = overlay(&kernel, &builder.0);
    assert_eq!(
        (&shown(&state, "eth1")["description"], &shown(&state, "eth1")["state"]),
        (&json!("liked best"), &json!("down"))
    );

    let mut builder = Builder::default();
    builder.store(&with("b", "liked best", 5));
    let device = builder.run(1, &with("a", "stored", -1), 0);
    builder.change(&device, |device| device.applied = Some(Arc::new((with("a", "running", -1), 2))));
    assert_eq!(shown(&overlay(&kernel, &builder.0), "eth1")["description"], "running");
    builder.change(&device, |device| device.applied = None);
    assert_eq!(shown(&overlay(&kernel, &builder.0), "eth1")["description"], "stored");
}

#[test]
fn s59_names_come_from_what_is_stored() {
    let own = profile("802-3-ethernet", "eth1", &[("connection", "id", "renamed".into())]);
    let mut builder = Builder::default();
    let device = builder.run(1, &own, 0);
    let before = profile("802-3-ethernet", "eth1", &[("connection", "id", "before".into())]);
    builder.change(&device, |device| device.applied = Some(Arc::new((before, 1))));
    let state = overlay(&kernel(&[interface("eth1", "ethernet")]), &builder.0);
    assert_eq!(shown(&state, "eth1")["profile-name"], "renamed");
}

#[test]
fn s59_a_device_without_profile_of_its_name_is_found_by_its_hardware() {
    let pinned = [("802-3-ethernet", "mac-address", Value::from(&[2u8, 0, 0x5e, 0x10, 0, 1][..]))];
    let mut own = profile("802-3-ethernet", "uplink", &pinned);
    own.unset("connection", "interface-name");
    let mut builder = Builder::default();
    builder.store(&own);
    let device = builder.device("eth1", 1, 30);
    builder.change(&device, |device| device.hw_address = "02:00:5E:10:00:01".to_owned());
    let state = overlay(&kernel(&[interface("eth1", "ethernet")]), &builder.0);
    assert_eq!(shown(&state, "eth1")["profile-name"], "uplink");
    // S68
    assert_eq!(shown(&state, "eth1")["identifier"], "mac-address");
}

#[test]
fn s60_the_kernel_knows_types_and_what_a_link_is_like() {
    let mut veth = interface("veth1", "veth");
    veth["veth"] = json!({"peer": "veth2"});
    veth["mtu"] = 1400.into();
    let own = profile("802-3-ethernet", "veth1", &[("802-3-ethernet", "mtu", Value::U32(9000))]);
    let mut builder = Builder::default();
    builder.run(20, &own, 0);
    let state = overlay(&kernel(&[veth]), &builder.0);
    let shown = shown(&state, "veth1");
    assert_eq!(
        (&shown["type"], &shown["mtu"], &shown["identifier"]),
        (&json!("veth"), &json!(1400), &json!("name"))
    );
    assert_eq!(shown["wait-ip"], "any"); // S67
    assert_eq!(shown.get("profile-name"), None); // S8
}

#[test]
fn s61_a_bond_says_balance_slb() {
    let mut bond = interface("bond1", "bond");
    bond["link-aggregation"] = json!({"mode": "balance-xor", "port": [], "options": {"miimon": 100}});
    let options = [("mode", "balance-xor"), ("balance-slb", "1"), ("miimon", "7")];
    let options: BTreeMap<String, String> =
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let own = profile("bond", "bond1", &[("bond", "options", options.into())]);
    let mut builder = Builder::default();
    builder.run(10, &own, 0);
    let state = overlay(&kernel(&[bond]), &builder.0);
    let options = &shown(&state, "bond1")["link-aggregation"]["options"];
    assert_eq!(*options, json!({"miimon": 100, "balance_slb": true}));
}

#[test]
fn s62_to_s66_the_method_decides_and_the_addresses_are_the_kernels() {
    let mut eth1 = interface("eth1", "ethernet");
    let address = json!({"ip": "192.0.2.9", "prefix-length": 24, "valid-life-time": "60sec"});
    eth1["ipv4"] = json!({"enabled": true, "dhcp": true, "address": [address], "forwarding": true});
    eth1["ipv6"] = json!({"enabled": true, "autoconf": true, "addr-gen-mode": "none", "address": []});
    let with = |settings: &[(&str, &str, Value)]| {
        let mut builder = Builder::default();
        builder.run(1, &profile("802-3-ethernet", "eth1", settings), 0);
        let state = overlay(&kernel(&[eth1.clone()]), &builder.0);
        let shown = shown(&state, "eth1");
        (shown["ipv4"].clone(), shown["ipv6"].clone())
    };
    let (v4, v6) = with(&[
        ("ipv4", "method", "auto".into()),
        ("ipv4", "dhcp-client-id", "mac".into()),
        ("ipv6", "method", "link-local".into()),
        ("ipv6", "token", "::5".into()),
    ]);
    assert_eq!(
        v4,
        json!({"enabled": true, "dhcp": true, "dhcp-client-id": "ll", "address": [address], "auto-dns": true,
               "auto-gateway": true, "auto-routes": true, "auto-route-table-id": 0, "auto-route-metric": -1,
               "dhcp-send-hostname": true, "forwarding": true, "prefix-route-metric": -1})
    );
    assert_eq!(
        v6,
        json!({"enabled": true, "dhcp": false, "autoconf": false, "address": [], "auto-route-metric": -1,
               "addr-gen-mode": "stable-privacy", "token": "::5"})
    );
    let (v4, v6) = with(&[("ipv6", "method", "ignore".into())]);
    assert_eq!(v4, json!({"enabled": false, "forwarding": true}));
    assert_eq!((&v6["enabled"], &v6["autoconf"]), (&json!(true), &json!(true)));
    // A lease that is not asked for any more is not DHCP.
    assert_eq!(with(&[("ipv4", "method", "manual".into())]).0["dhcp"], false);
}

#[test]
fn s4_ipv6_is_off_where_the_kernel_has_it_off() {
    let mut eth1 = interface("eth1", "ethernet");
    eth1["ipv6"] = json!({"enabled": false});
    let mut builder = Builder::default();
    builder.run(1, &profile("802-3-ethernet", "eth1", &[("ipv6", "method", "auto".into())]), 0);
    let state = overlay(&kernel(&[eth1]), &builder.0);
    assert_eq!(shown(&state, "eth1")["ipv6"], json!({"enabled": false}));
}

#[test]
fn s62_the_loopback_is_on_as_the_kernel_has_it() {
    let mut lo = interface("lo", "loopback");
    lo["ipv4"] = json!({"enabled": true, "address": [{"ip": "127.0.0.1", "prefix-length": 8}]});
    let auto = [("ipv4", "method", Value::from("auto")), ("ipv6", "method", "auto".into())];
    let mut builder = Builder::default();
    builder.run(32, &profile("loopback", "lo", &auto), 0);
    let shown = shown(&overlay(&kernel(&[lo]), &builder.0), "lo");
    assert_eq!((&shown["ipv4"]["enabled"], &shown["ipv4"]["dhcp"]), (&json!(true), &json!(false)));
    assert_eq!((&shown["ipv6"]["enabled"], &shown["ipv6"]["autoconf"]), (&json!(true), &json!(false)));
}

#[test]
fn c16_mptcp_that_is_off_is_as_if_nothing_were_said() {
    let with = |bits: u32| {
        let own = profile("802-3-ethernet", "eth1", &[("connection", "mptcp-flags", Value::U32(bits))]);
        let mut builder = Builder::default();
        builder.run(1, &own, 0);
        let kernel = kernel(&[interface("eth1", "ethernet")]);
        shown(&overlay(&kernel, &builder.0), "eth1")["mptcp"].clone()
    };
    assert_eq!([with(0), with(1)], [Json::Null, Json::Null]);
    assert_eq!(with(0x68), json!({"address-flags": ["subflow", "backup"]}));
}

#[test]
fn s69_neighbours_are_shown_while_listening() {
    let with = |on: i32, kernel: &State| {
        let own = profile("802-3-ethernet", "eth1", &[("connection", "lldp", Value::I32(on))]);
        let mut builder = Builder::default();
        let device = builder.run(1, &own, 0);
        let entry = |pairs: &[(&str, Value)]| -> Setting {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
        };
        let heard = entry(&[
            ("system-name", "switch".into()),
            ("system-capabilities", Value::U32(0b10100)),
            ("chassis-id-type", Value::U32(4)),
            ("chassis-id", "00:01:30:F9:AD:A0".into()),
            ("port-id-type", Value::U32(99)),
            ("port-id", "1/1".into()),
            ("ieee-802-1-vlans", vec![entry(&[("vid", Value::U32(488)), ("name", "v2".into())])].into()),
            (
                "ieee-802-3-mac-phy-conf",
                entry(&[
                    ("autoneg", Value::U32(3)),
                    ("operational-mau-type", Value::U32(16)),
                    ("pmd-autoneg-cap", Value::U32(27648)),
                ])
                .into(),
            ),
            ("ieee-802-1-ppvids", vec![entry(&[("ppvid", Value::U32(0)), ("flags", Value::U32(6))])].into()),
            (
                "management-addresses",
                vec![
                    entry(&[
                        ("address-subtype", Value::U32(6)),
                        ("address", Value::Bytes(vec![0, 1, 0x30, 0xf9, 0xad, 0xa0])),
                        ("interface-number", Value::U32(1001)),
                        ("interface-number-subtype", Value::U32(2)),
                    ]),
                    entry(&[("address-subtype", Value::U32(3)), ("address", Value::Bytes(vec![0, 1]))]),
                ]
                .into(),
            ),
            ("ieee-802-3-max-frame-size", Value::U32(1522)),
        ]);
        builder.change(&device, |device| device.lldp_neighbors = vec![heard]);
        shown(&overlay(kernel, &builder.0), "eth1")["lldp"].clone()
    };
    let everything = kernel(&[interface("eth1", "ethernet")]);
    assert_eq!(with(0, &everything), json!({"enabled": false}));
    assert_eq!(
        with(1, &everything),
        json!({"enabled": true, "neighbors": [[
            {"type": 5, "system-name": "switch"},
            {"type": 7, "system-capabilities": ["MAC Bridge component", "Router"]},
            {"type": 1, "chassis-id": "00:01:30:F9:AD:A0", "chassis-id-type": 4, "_description": "MAC address"},
            {"type": 2, "port-id": "1/1", "port-id-type": 0, "_description": "Reserved"},
            {"type": 127, "ieee-802-1-vlans": [{"name": "v2", "vid": 488}], "oui": "00:80:c2", "subtype": 3},
            {"type": 127, "ieee-802-3-mac-phy-conf": {"autoneg": true, "operational-mau-type": 16, "pmd-autoneg-cap": 27648},
             "oui": "00:12:0f", "subtype": 1},
            {"type": 127, "ieee-802-1-ppvids": [0], "oui": "00:80:c2", "subtype": 2},
            {"type": 8, "management-addresses": [{"address": "00:01:30:F9:AD:A0", "address-subtype": "MAC",
                                                  "interface-number": 1001, "interface-number-subtype": 2}]},
            {"type": 127, "ieee-802-3-max-frame-size": 1522, "oui": "00:12:0f", "subtype": 4},
        ]]})
    );
    // S5
    let mut config = everything;
    config.routes = Some(Routes { running: None, config: Some(Shared::default()) });
    assert_eq!(with(1, &config), json!({"enabled": true}));
}

#[test]
fn s7_a_tun_device_is_the_other_end_of_an_ovs_interface() {
    let mut tun = interface("ovs0", "tun");
    tun["state"] = "ignore".into();
    let mut builder = Builder::default();
    builder.run(24, &profile("ovs-interface", "ovs0", &[("connection", "master", "port0".into())]), 0);
    builder.device("ovs0", 16, 100);
    let mut port = profile("ovs-port", "port0", &[("connection", "master", "uuid of br0".into())]);
    port.set("connection", "uuid", "uuid of port0");
    builder.run(25, &port, 0);
    builder.run(26, &profile("ovs-bridge", "br0", &[]), 0);
    let mut kernel = kernel(&[tun, interface("tun1", "tun")]);
    for own in kernel.interfaces.iter_mut().flatten() {
        (own.uninterpreted, own.mtu, own.state) = (None, Some(1500), Some(InterfaceState::Ignore));
    }
    let route = json!({"destination": "198.51.100.0/24", "next-hop-interface": "ovs0", "state": "ignore"});
    kernel.routes = state(&json!({"routes": {"running": [route.clone()], "config": [route]}})).routes;

    let state = overlay(&kernel, &builder.0);
    let ovs0 = shown(&state, "ovs0");
    assert_eq!(
        (&ovs0["type"], &ovs0["state"], &ovs0["mtu"]),
        (&json!("ovs-interface"), &json!("up"), &json!(1500))
    );
    assert_eq!(ovs0["controller"], "br0");
    assert_eq!(shown(&state, "tun1")["state"], "ignore");
    assert_eq!(state.config_routes()[0].state, None);
    // The bridge is in no kernel; ports are hidden (S6).
    let names: Vec<(&str, String)> =
        state.interfaces().iter().map(|own| (own.name.as_str(), own.kind().to_string())).collect();
    assert_eq!(
        names,
        [("br0", "ovs-bridge".to_owned()), ("ovs0", "ovs-interface".to_owned()), ("tun1", "tun".to_owned())]
    );
}

#[test]
fn s69_active_ipsec_connections_are_interfaces() {
    let vpn = |state: u32| {
        let mut own = profile(
            "vpn",
            "hosta",
            &[("vpn", "service-type", "org.freedesktop.NetworkManager.libreswan".into())],
        );
        own.unset("connection", "interface-name");
        let mut builder = Builder::default();
        let device = builder.run(1, &own, 0);
        builder.0.devices.remove(&device);
        for active in builder.0.actives.values_mut() {
            Arc::make_mut(active).state = state;
        }
        let state = overlay(&kernel(&[]), &builder.0);
        (shown(&state, "hosta")["type"].clone(), shown(&state, "hosta")["state"].clone())
    };
    assert_eq!(vpn(2), (json!("ipsec"), json!("up")));
    assert_eq!(vpn(1), (json!("ipsec"), json!("down")));
}

#[test]
fn s3_routes_through_what_is_ignored_are_marked_and_stay_one_list() {
    let mut kernel = kernel(&[interface("eth1", "ethernet"), interface("eth2", "ethernet")]);
    let route = |name: &str| json!({"destination": "198.51.100.0/24", "next-hop-interface": name});
    let routes = state(&json!({"routes": {"config": [route("eth1"), route("eth2")]}})).routes;
    let list = routes.and_then(|routes| routes.config);
    kernel.routes = Some(Routes { running: list.clone(), config: list });

    let mut builder = Builder::default();
    let device = builder.device("eth1", 1, 30);
    builder.device("eth2", 1, 30);
    let mut layers = Overlay::default();
    let managed = layers.lay(&kernel, &builder.0);
    assert!(managed.shares_routes_with(&kernel), "nothing to mark");

    builder.change(&device, |device| device.state = 10);
    let first = layers.lay(&kernel, &builder.0);
    let states: Vec<_> = first.config_routes().iter().map(|route| route.state).collect();
    assert_eq!(states, [Some(RouteState::Ignore), None]);
    let routes = first.routes.as_ref().expect("routes");
    assert!(routes.running.as_ref().zip(routes.config.as_ref()).is_some_and(|(a, b)| a.is_same(b)));
    assert!(layers.lay(&kernel, &builder.0).shares_routes_with(&first));
}

#[test]
fn s49_the_persistent_name_is_networkmanagers() {
    let mut builder = Builder::default();
    builder.0.hostname = "c".to_owned();
    let state = overlay(&kernel(&[]), &builder.0);
    assert_eq!(serde_json::to_value(&state.hostname).expect("JSON"), json!({"running": "a", "config": "c"}));
}

/// Name servers of profiles of two interfaces, the second preferred.
fn dns_builder(second: i32) -> Builder {
    let mut builder = Builder::default();
    let names = |server: &str, search: &[&str], priority: i32| {
        [
            ("ipv4", "method", Value::from("auto")),
            ("ipv4", "dns-data", texts(&[server])),
            ("ipv4", "dns-search", texts(search)),
            ("ipv4", "dns-options", texts(&["rotate"])),
            ("ipv4", "dns-priority", Value::I32(priority)),
            ("ipv6", "method", "auto".into()),
            ("ipv6", "dns-data", texts(&["fe80::1"])),
        ]
    };
    builder.run(
        1,
        &profile("802-3-ethernet", "eth1", &names("192.0.2.1", &["a.example", "~b.example"], 60)),
        0,
    );
    builder.run(
        1,
        &profile("802-3-ethernet", "eth2", &names("192.0.2.2", &["a.example", "c.example"], second)),
        0,
    );
    builder
}

fn resolver(builder: &Builder) -> Json {
    let state = overlay(&kernel(&[]), &builder.0);
    serde_json::to_value(&state.dns_resolver).expect("JSON")
}

#[test]
fn s45_profiles_by_priority_and_nothing_behind_a_negative_one() {
    let shown = resolver(&dns_builder(50));
    assert_eq!(
        shown["config"],
        json!({"server": ["192.0.2.2", "192.0.2.1", "fe80::1%eth1", "fe80::1%eth2"],
               "search": ["a.example", "c.example"], "options": ["rotate"]})
    );
    let shown = resolver(&dns_builder(-1));
    assert_eq!(shown["config"]["server"], json!(["192.0.2.2"]));
}

#[test]
fn s45_the_global_configuration_comes_first() {
    let mut builder = dns_builder(50);
    let all = Setting::from([("servers".to_owned(), texts(&["2001:DB8::53"]))]);
    let domains = Setting::from([("*".to_owned(), Value::Dict(all))]);
    builder.0.global_dns = Setting::from([
        ("searches".to_owned(), texts(&["g.example"])),
        ("domains".to_owned(), Value::Dict(domains)),
    ]);
    let shown = resolver(&builder);
    assert_eq!(shown["config"], json!({"server": ["2001:db8::53"], "search": ["g.example"]}));
    // Without `*` the servers are those of the profiles.
    builder.0.global_dns.remove("domains");
    let shown = resolver(&builder);
    assert_eq!(shown["config"]["search"], json!(["g.example"]));
    assert_eq!(shown["config"]["server"][0], "192.0.2.2");
}

#[test]
fn s46_nothing_is_an_empty_section() {
    assert_eq!(resolver(&Builder::default()), json!({"running": {}, "config": {}}));
}

#[test]
fn s47_what_runs() {
    let entry = |server: &str, priority: i32, interface: Option<&str>| {
        let mut entry = Setting::from([
            ("nameservers".to_owned(), texts(&[server])),
            ("priority".to_owned(), Value::I32(priority)),
        ]);
        entry.extend(interface.map(|name| ("interface".to_owned(), name.into())));
        entry
    };
    let servers = |entries: Vec<Setting>| {
        let mut builder = Builder::default();
        builder.0.dns.configuration = entries;
        resolver(&builder)["running"]["server"].clone()
    };
    let eth1 = entry("192.0.2.1", 100, Some("eth1"));
    let eth2 = entry("fe80::2", 40, Some("eth2"));
    assert_eq!(servers(vec![eth1.clone(), eth2.clone()]), json!(["fe80::2%eth2", "192.0.2.1"]));
    assert_eq!(servers(vec![eth1.clone(), eth2, entry("192.0.2.53", 100, None)]), json!(["192.0.2.53"]));
    assert_eq!(servers(vec![eth1, entry("192.0.2.9", -5, Some("eth3"))]), json!(["192.0.2.9"]));
}

#[test]
fn a_port_holds_no_ip_but_what_somebody_has_added() {
    let port = [("connection", "master", Value::from("br0")), ("connection", "slave-type", "bridge".into())];
    let mut own = profile("802-3-ethernet", "veth1", &port);
    own.0.remove("ipv4");
    own.0.remove("ipv6");
    let mut builder = Builder::default();
    builder.run(20, &own, 0);
    let ipv6_of = |addresses: Json| {
        let mut veth = interface("veth1", "veth");
        veth["controller"] = "br0".into();
        veth["ipv6"]["address"] = addresses;
        shown(&overlay(&kernel(&[veth]), &builder.0), "veth1")["ipv6"]["enabled"].clone()
    };
    let link_local = json!({"ip": "fe80::5eff:fe10:1", "prefix-length": 64});
    assert_eq!(ipv6_of(json!([link_local])), false);
    assert_eq!(ipv6_of(json!([link_local, {"ip": "2001:db8::1", "prefix-length": 64}])), true);
}

#[test]
fn a_thousand_interfaces_take_no_time() {
    let mut builder = Builder::default();
    let mut interfaces = Vec::new();
    for number in 0..1000 {
        let name = format!("br{number}");
        let settings = [("ipv4", "method", Value::from("manual")), ("bridge", "stp", false.into())];
        builder.run(13, &profile("bridge", &name, &settings), 0);
        interfaces.push(interface(&name, "linux-bridge"));
    }
    let kernel = kernel(&interfaces);
    let start = Instant::now();
    let state = overlay(&kernel, &builder.0);
    let took = start.elapsed();
    assert_eq!(state.interfaces().len(), 1000);
    // A few milliseconds when optimised; this one tells linear from quadratic.
    assert!(took.as_millis() < 1000, "{took:?}");
}
