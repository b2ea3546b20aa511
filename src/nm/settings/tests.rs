//! Goldens: an interface of the document, the profile that is written of it, and back.

use std::collections::BTreeMap;

use super::*;
use crate::nm::{Setting, Value};
use crate::state::Document;

/// A NetworkManager that can do everything.
const NEW: Version = Version { major: 1, minor: 58, micro: 1, bits: 7, has_ovs: true };

/// The interfaces of a document.
fn interfaces(yaml: &str) -> Vec<Interface> {
    let document = Document::from_text(yaml).expect("it is YAML");
    let (state, _) = document.state().unwrap_or_else(|problems| panic!("{problems:?}"));
    state.interfaces.expect("it has interfaces")
}

fn wish<'a>(interface: &'a Interface, controller: Option<&'a Interface>) -> Wish<'a> {
    Wish { interface, said: interface, controller, routes: None, rules: None, dns: None, is_new: true }
}

/// The profile of the first interface; the second one, if any, is its controller.
fn new_profile(yaml: &str) -> (Vec<Interface>, Profile) {
    let interfaces = interfaces(yaml);
    let mut profile = Profile::default();
    write(&mut profile, &wish(&interfaces[0], interfaces.get(1)), &NEW);
    (interfaces, profile)
}

/// Writes the first interface over a profile.
fn overlay(profile: &Profile, yaml: &str) -> Profile {
    let interfaces = interfaces(yaml);
    let mut changed = profile.clone();
    let wish = Wish { is_new: false, ..wish(&interfaces[0], interfaces.get(1)) };
    write(&mut changed, &wish, &NEW);
    changed
}

/// What the document says has to be in what is read, key by key. IP, the name where hardware is
/// looked for, and what no profile holds are not looked at.
#[track_caller]
fn assert_says(place: &str, read: &Interface, said: &Interface) {
    let (read, mut said) = (serde_json::json!(read), serde_json::json!(said));
    let is_named =
        read["identifier"] == "name" && !said["type"].as_str().unwrap_or_default().starts_with("ovs-");
    let skipped = [
        "state",
        "ipv4",
        "ipv6",
        "alt-names",
        "dispatch",
        "copy-mac-from",
        "controller",
        "min-mtu",
        "profile-name",
        "vrf/port",
        "bridge/port",
        "link-aggregation/port",
        "link-aggregation/ports-config",
        "802.1x/password",
        "bridge/allow-extra-patch-ports",
        "bridge/allow-extra-ports",
        // By the kernel's names in the profile.
        "ethtool/feature",
        "libreswan/psk",
        "802.1x/private-key-password",
    ];
    for key in skipped.into_iter().chain((!is_named).then_some("name")) {
        let (section, key) = key.split_once('/').map_or((None, key), |(section, key)| (Some(section), key));
        let section = match section {
            Some(section) => said.get_mut(section),
            None => Some(&mut said),
        };
        if let Some(section) = section.and_then(serde_json::Value::as_object_mut) {
            section.remove(key);
        }
    }
    // Only what is attached has a row in the database.
    if read["ovs-db"].is_null() && said["type"] == "ethernet" {
        said.as_object_mut().expect("an interface is an object").remove("ovs-db");
    }
    // One end of a cable is Ethernet, too.
    if !said["veth"].is_null() {
        said["type"] = "veth".into();
    }
    let mut found = Vec::new();
    differences(&read, &said, place, &mut found);
    assert_eq!(found, [""; 0]);
}

fn differences(read: &serde_json::Value, said: &serde_json::Value, path: &str, found: &mut Vec<String>) {
    match said.as_object() {
        Some(keys) => {
            for (key, said) in keys {
                differences(&read[key], said, &format!("{path}.{key}"), found);
            }
        }
        None if read != said => found.push(format!("{path}: said {said}, read {read}")),
        None => {}
    }
}

/// Documents and the profiles of their first interfaces, with IP left out: that has its own tests.
#[test]
fn goldens() {
    let cases = include_str!("goldens.txt").split("\n### ").skip(1);
    for case in cases {
        let (title, rest) = case.split_once('\n').expect("a title is a line");
        let (yaml, golden) = rest.split_once("---\n").expect("a document ends with a line");
        let (interfaces, mut profile) = new_profile(&format!("interfaces:\n{yaml}"));
        let again = overlay(&profile, &format!("interfaces:\n{yaml}"));
        assert_eq!(again, profile, "{title}: writing it again changes nothing");
        assert_says(title, &read(&profile), &interfaces[0]);
        for family in ["ipv4", "ipv6"] {
            if let Some(ip) = profile.0.get_mut(family) {
                ip.retain(|property, _| property == "may-fail");
            }
        }
        profile.0.retain(|setting, properties| !setting.starts_with("ipv") || !properties.is_empty());
        assert_eq!(profile.to_string().trim_end(), golden.trim_end(), "{title}");
    }
}

/// Every interface of the examples, with its controller where the document has it.
fn examples() -> Vec<(String, Interface, Option<Interface>)> {
    let mut found = Vec::new();
    for folder in ["kernel", "managed"] {
        let folder = format!("{}/docs/examples/{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut files: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let document = Document::from_text(&std::fs::read_to_string(&file).unwrap()).unwrap();
            let (state, _) = document.state().unwrap();
            let interfaces = state.interfaces.unwrap_or_default();
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            for interface in &interfaces {
                let controller =
                    interfaces.iter().find(|other| interface.controller.as_ref() == Some(&other.name));
                found.push((name.clone(), interface.clone(), controller.cloned()));
            }
        }
    }
    found
}

#[test]
fn every_example_is_read_back_as_it_was_said() {
    let mut count = 0;
    for (file, interface, controller) in examples() {
        if interface.is_absent() || !refusals(&interface, &NEW).is_empty() {
            continue;
        }
        let wish = wish(&interface, controller.as_ref());
        let mut profile = Profile::default();
        write(&mut profile, &wish, &NEW);
        assert_says(&format!("{file}: {}", interface.name), &read(&profile), &interface);
        let before = profile.clone();
        write(&mut profile, &Wish { is_new: false, ..wish }, &NEW);
        assert_eq!(profile, before, "{file}: writing it again changes nothing");
        for port in ovs_ports(&interface) {
            let mut profile = Profile::default();
            write_ovs_port(&mut profile, &port);
            let before = profile.clone();
            let read = read_ovs_port(&profile).expect("it is a port");
            assert_eq!((&read.name, &read.vlan), (&port.port.name, &port.port.vlan), "{file}");
            write_ovs_port(&mut profile, &port);
            assert_eq!(profile, before, "{file}");
        }
        count += 1;
    }
    assert!(count > 80, "{count} interfaces");
}

/// A profile as others made it: with settings and properties that the document does not have.
fn foreign(kind: &str, base: &[(&str, Value)]) -> Profile {
    let mut profile = Profile::default();
    profile.set("connection", "id", "by hand");
    profile.set("connection", "uuid", "a4d3cf08-30e7-4ad0-b0d1-1c0b3a4f5c11");
    profile.set("connection", "type", kind);
    profile.set("connection", "interface-name", "x0");
    profile.set("connection", "autoconnect-priority", 7_i32);
    profile.set("connection", "timestamp", 1_700_000_000_u64);
    profile.set("user", "data", BTreeMap::from([("org.example.owner".to_owned(), "rack b7".to_owned())]));
    profile.set("proxy", "method", 1_i32);
    profile.set("ipv4", "method", "disabled");
    profile.set("ipv6", "method", "disabled");
    profile.0.entry(kind.to_owned()).or_default();
    for (property, value) in base {
        profile.set(kind, property, value.clone());
    }
    profile
}

fn map(entries: &[(&str, &str)]) -> Value {
    BTreeMap::from_iter(entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).into()
}

/// The lines that an overlay adds, and those that it takes away.
#[track_caller]
fn assert_changes(before: &Profile, yaml: &str, expected: &[&str]) {
    let after = overlay(before, yaml);
    let (before, after) = (before.to_string(), after.to_string());
    let taken = before.lines().filter(|line| !after.lines().any(|other| other == *line));
    let added = after.lines().filter(|line| !before.lines().any(|other| other == *line));
    let changes: Vec<String> =
        taken.map(|line| format!("- {line}")).chain(added.map(|line| format!("+ {line}"))).collect();
    assert_eq!(changes, expected);
}

#[test]
fn what_is_not_said_stays() {
    for (kind, word) in [
        ("ethernet", "802-3-ethernet"),
        ("bond", "bond"),
        ("linux-bridge", "bridge"),
        ("vlan", "vlan"),
        ("dummy", "dummy"),
        ("macsec", "macsec"),
        ("ovs-bridge", "ovs-bridge"),
        ("ovs-interface", "ovs-interface"),
        ("ipsec", "vpn"),
    ] {
        let mut before = foreign(word, &[("unknown", 5_i32.into())]);
        before.set("connection", "autoconnect-slaves", 1_i32);
        if kind == "vlan" {
            before.set("vlan", "id", 5_u32);
            before.set("vlan", "flags", 1_u32);
        }
        let mut interface = Interface::new("x0", InterfaceType::from_word(kind), InterfaceState::Up);
        let mut after = before.clone();
        write(&mut after, &Wish { is_new: false, ..wish(&interface, None) }, &NEW);
        assert_eq!(after, before, "{kind}");
        interface.state = None;
        before.set("connection", "autoconnect", false);
        let mut after = before.clone();
        write(&mut after, &Wish { is_new: false, ..wish(&interface, None) }, &NEW);
        assert_eq!(after, before, "{kind}");
    }
}

#[test]
fn up_turns_autoconnect_on() {
    let mut before = foreign("dummy", &[]);
    before.set("connection", "autoconnect", false);
    assert_changes(
        &before,
        "interfaces: [{name: x0, type: dummy, profile-name: other, description: mine}]",
        &[
            "- connection.autoconnect = false",
            "- connection.id = \"by hand\"",
            "- user.data = {org.example.owner: rack b7}",
            "+ connection.id = \"other\"",
            "+ user.data = {nmstate.interface.description: mine, org.example.owner: rack b7}",
        ],
    );
}

#[test]
fn a_description_is_taken_away_alone() {
    let mut before = foreign("dummy", &[]);
    before.set("user", "data", map(&[("nmstate.interface.description", "old")]));
    assert_changes(
        &before,
        "interfaces: [{name: x0, type: dummy, description: ''}]",
        &["- user.data = {nmstate.interface.description: old}"],
    );
}

#[test]
fn options_of_a_bond_are_overlaid() {
    let bond = |options: &[(&str, &str)]| {
        let mut profile = foreign("bond", &[("options", map(options))]);
        profile.set("connection", "autoconnect-slaves", 1_i32);
        profile
    };
    let yaml = |bond: &str| format!("interfaces: [{{name: x0, type: bond, link-aggregation: {bond}}}]");
    let options = |profile: &Profile| profile.get("bond", "options").expect("it has some").to_string();
    let stored = bond(&[("mode", "1"), ("miimon", "100"), ("updelay", "200"), ("active_slave", "eth1")]);
    let written = |text: &str| options(&overlay(&stored, &yaml(text)));
    // The mode it has, spelt in another way, is no change.
    assert_eq!(written("{mode: active-backup}"), options(&stored));
    assert_eq!(
        written("{options: {primary: eth2, resend_igmp: 3}}"),
        "{active_slave: eth1, miimon: 100, mode: 1, primary: eth2, resend_igmp: 3, updelay: 200}"
    );
    assert_eq!(written("{options: {miimon: 0}}"), "{active_slave: eth1, miimon: 0, mode: 1}");
    assert_eq!(
        written("{mode: 802.3ad, options: {lacp_rate: fast, packets_per_slave: 1}}"),
        "{lacp_rate: fast, mode: 802.3ad}",
        "another mode, other options; what the mode does not take is left out"
    );
    assert_eq!(written("{mode: active-backup, options: {}}"), "{mode: active-backup}");
    assert_eq!(
        written("{options: {arp_missed_max: 2, primary: ''}}"),
        options(&stored),
        "the default is not stored, and nothing is no option"
    );
    let probing = bond(&[("mode", "active-backup"), ("arp_interval", "100"), ("arp_ip_target", "192.0.2.1")]);
    assert_eq!(
        options(&overlay(&probing, &yaml("{options: {arp_interval: 0}}"))),
        "{arp_interval: 0, mode: active-backup}"
    );
}

#[test]
fn a_port_leaves_its_controller() {
    let mut before = foreign("802-3-ethernet", &[]);
    before.set("connection", "master", "br0");
    before.set("connection", "slave-type", "bridge");
    before.set("bridge-port", "hairpin-mode", true);
    before.set("ovs-external-ids", "data", map(&[("a", "b")]));
    before.set("ovs-interface", "type", "system");
    assert_changes(
        &before,
        "interfaces: [{name: x0, type: ethernet, controller: ''}]",
        &[
            "- bridge-port.hairpin-mode = true",
            "- connection.master = \"br0\"",
            "- connection.slave-type = \"bridge\"",
            "- ovs-external-ids.data = {a: b}",
            "- ovs-interface.type = \"system\"",
        ],
    );
}

#[test]
fn a_port_moves_from_a_bridge_into_a_bond() {
    let mut before = foreign("802-3-ethernet", &[]);
    before.0.retain(|setting, _| !setting.starts_with("ipv"));
    before.set("connection", "master", "br0");
    before.set("connection", "slave-type", "bridge");
    before.set("bridge-port", "hairpin-mode", true);
    assert_changes(
        &before,
        "interfaces: [{name: x0, type: ethernet, controller: bond0}, {name: bond0, type: bond,
          link-aggregation: {mode: active-backup, ports-config: [{name: x0, queue-id: 3}]}}]",
        &[
            "- bridge-port.hairpin-mode = true",
            "- connection.master = \"br0\"",
            "- connection.slave-type = \"bridge\"",
            "+ bond-port.queue-id = 3",
            "+ connection.master = \"bond0\"",
            "+ connection.slave-type = \"bond\"",
        ],
    );
}

#[test]
fn vlans_of_ports_decide_about_filtering() {
    let mut before =
        foreign("bridge", &[("vlan-filtering", true.into()), ("vlans", Value::Dicts(Vec::new()))]);
    before.set("connection", "autoconnect-slaves", 1_i32);
    let yaml = |bridge: &str| format!("interfaces: [{{name: x0, type: linux-bridge, bridge: {bridge}}}]");
    assert_changes(&before, &yaml("{options: {stp: {priority: 32768}}}"), &[]);
    assert_changes(&before, &yaml("{port: [{name: p, vlan: {mode: access, tag: 5}}]}"), &[]);
    assert_changes(
        &before,
        &yaml("{port: [{name: p, vlan: {}}]}"),
        &["- bridge.vlan-filtering = true", "+ bridge.vlan-filtering = false"],
    );
}

#[test]
fn a_section_that_describes_one_thing_is_replaced() {
    let before = foreign(
        "vxlan",
        &[
            ("id", 1_u32.into()),
            ("local", "192.0.2.1".into()),
            ("remote", "192.0.2.2".into()),
            ("learning", false.into()),
            ("ageing", 5_u32.into()),
        ],
    );
    assert_changes(
        &before,
        "interfaces: [{name: x0, type: vxlan, vxlan: {id: 1, remote: 192.0.2.3}}]",
        &[
            "- vxlan.learning = false",
            "- vxlan.local = \"192.0.2.1\"",
            "- vxlan.remote = \"192.0.2.2\"",
            "+ vxlan.remote = \"192.0.2.3\"",
        ],
    );
}

#[test]
fn flags_of_a_vlan_keep_what_is_not_said() {
    let before =
        foreign("vlan", &[("id", 5_u32.into()), ("flags", 0x13_u32.into()), ("parent", "eth0".into())]);
    let yaml = |vlan: &str| format!("interfaces: [{{name: x0, type: vlan, vlan: {vlan}}}]");
    assert_changes(&before, &yaml("{id: 5}"), &[]);
    assert_changes(
        &before,
        &yaml("{id: 5, registration-protocol: none, loose-binding: true}"),
        &["- vlan.flags = 19", "+ vlan.flags = 21"],
    );
}

#[test]
fn a_hidden_secret_is_the_stored_one() {
    let secrets = |profile: &Profile| {
        let text = |setting, property| profile.text(setting, property).map(str::to_owned);
        let psk = profile
            .get("vpn", "secrets")
            .and_then(Value::as_map)
            .and_then(|map| map.get("pskvalue"))
            .cloned();
        (text("802-1x", "password"), text("macsec", "mka-cak"), psk)
    };
    let hidden = crate::state::HIDDEN_SECRET;
    let mut wired = foreign("802-3-ethernet", &[]);
    wired.set("802-1x", "password", "stored");
    wired.set("802-1x", "password-flags", 1_u32);
    wired.set("802-1x", "auth-timeout", 7_i32);
    let yaml = |password: &str| {
        format!(
            "interfaces: [{{name: x0, type: ethernet, 802.1x: {{identity: me, eap-methods: [peap]{password}}}}}]"
        )
    };
    let kept = overlay(&wired, &yaml(&format!(", password: {hidden}")));
    assert_eq!(secrets(&kept).0.as_deref(), Some("stored"));
    assert!(kept.get("802-1x", "auth-timeout").is_some() && kept.get("802-1x", "password-flags").is_none());
    assert_eq!(secrets(&overlay(&wired, &yaml(", password: other"))).0.as_deref(), Some("other"));
    assert_eq!(secrets(&overlay(&wired, &yaml(""))).0, None, "the section stands alone");
    let none = overlay(&wired, "interfaces: [{name: x0, type: ethernet, 802.1x: {}}]");
    assert!(!none.has("802-1x"));

    let sec = foreign("macsec", &[("mka-cak", "stored".into()), ("offload", 1_i32.into())]);
    let yaml = |cak: &str| {
        format!(
            "interfaces: [{{name: x0, type: macsec, macsec: {{base-iface: eth0, encrypt: true, mka-cak: {cak}, mka-ckn: abcd,
              port: 0, validation: strict, send-sci: true}}}}]"
        )
    };
    let kept = overlay(&sec, &yaml(hidden));
    assert_eq!(secrets(&kept).1.as_deref(), Some("stored"));
    assert_eq!(kept.get("macsec", "offload"), Some(&1_i32.into()), "not part of what is replaced");
    assert_eq!(secrets(&overlay(&sec, &yaml("other"))).1.as_deref(), Some("other"));

    let vpn = foreign(
        "vpn",
        &[
            ("secrets", map(&[("pskvalue", "stored"), ("xauth", "x")])),
            ("data", map(&[("left", "a"), ("own", "b")])),
        ],
    );
    let yaml = |psk: &str| {
        format!("interfaces: [{{name: by hand, type: ipsec, libreswan: {{right: 192.0.2.1{psk}}}}}]")
    };
    let kept = overlay(&vpn, &yaml(&format!(", psk: {hidden}")));
    assert_eq!(secrets(&kept).2.as_deref(), Some("stored"));
    assert_eq!(kept.get("vpn", "data"), Some(&map(&[("own", "b"), ("right", "192.0.2.1")])));
    assert_eq!(kept.get("vpn", "secrets"), vpn.get("vpn", "secrets"));
    assert_eq!(secrets(&overlay(&vpn, &yaml(""))).2, None);
}

#[test]
fn secrets_are_not_displayed() {
    let (_, profile) = new_profile(
        "interfaces: [{name: sec0, type: macsec, macsec: {base-iface: eth0, encrypt: true, mka-cak: s3cret, mka-ckn: abcd,
          port: 1, validation: strict, send-sci: true}, 802.1x: {identity: me, password: s3cret}}]",
    );
    let texts = [profile.to_string(), format!("{profile:?}")];
    assert!(texts.iter().all(|text| !text.contains("s3cret") && text.contains("me")));
}

#[test]
fn virtual_functions_edit_the_stored_ones() {
    let mut before = foreign("802-3-ethernet", &[]);
    let vf = |index: u32, more: &[(&str, Value)]| {
        let mut vf = Setting::from([("index".to_owned(), Value::U32(index))]);
        vf.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        vf
    };
    before.set("sriov", "total-vfs", 2_u32);
    before.set("sriov", "vfs", vec![vf(0, &[("trust", true.into()), ("other", 1_u32.into())]), vf(1, &[])]);
    let yaml =
        |sriov: &str| format!("interfaces: [{{name: x0, type: ethernet, ethernet: {{sr-iov: {sriov}}}}}]");
    assert_changes(&before, &yaml("{total-vfs: 2}"), &[]);
    assert_changes(&before, &yaml("{vfs: [{id: 0, trust: true}, {id: 1}]}"), &[]);
    assert_changes(
        &before,
        &yaml("{vfs: [{id: 0, spoof-check: false}]}"),
        &[
            "- sriov.vfs = [{index: 0, other: 1, trust: true}, {index: 1}]",
            "+ sriov.vfs = [{index: 0, other: 1, spoof-check: false, trust: true}]",
        ],
    );
    assert!(!overlay(&before, &yaml("{total-vfs: 0}")).has("sriov"));
    assert!(overlay(&before, &yaml("{vfs: []}")).get("sriov", "vfs").is_none());
}

#[test]
fn groups_of_ethtool_are_replaced() {
    let mut before = foreign("802-3-ethernet", &[]);
    before.set("ethtool", "feature-tso", true);
    before.set("ethtool", "ring-rx", 100_u32);
    before.set("ethtool", "channels-combined", 2_u32);
    before.set("ethtool", "pause-autoneg", false);
    before.set("ethtool", "pause-rx", true);
    let yaml = |ethtool: &str| format!("interfaces: [{{name: x0, type: ethernet, ethtool: {ethtool}}}]");
    assert_changes(
        &before,
        &yaml("{feature: {tx-generic-segmentation: false}, ring: {tx: 5}}"),
        &[
            "- ethtool.feature-tso = true",
            "- ethtool.ring-rx = 100",
            "+ ethtool.feature-gso = false",
            "+ ethtool.ring-tx = 5",
        ],
    );
    assert_changes(
        &before,
        &yaml("{pause: {autoneg: true, rx: false}}"),
        &["- ethtool.pause-autoneg = false", "- ethtool.pause-rx = true", "+ ethtool.pause-autoneg = true"],
    );
}

#[test]
fn a_port_of_open_vswitch_is_overlaid() {
    let mut before = foreign(
        OVS_PORT,
        &[("tag", 5_u32.into()), ("lacp", "active".into()), ("bond-updelay", 7_u32.into())],
    );
    before.set("connection", "autoconnect-slaves", 1_i32);
    before.set("connection", "master", "ovs0");
    before.set("connection", "slave-type", "ovs-bridge");
    let change = |port: &str| {
        let bridge = interfaces(&format!(
            "interfaces: [{{name: ovs0, type: ovs-bridge, bridge: {{port: [{port}]}}}}]"
        ));
        let mut after = before.clone();
        write_ovs_port(&mut after, &ovs_ports(&bridge[0])[0]);
        after.0[OVS_PORT].iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(change("{name: x0}"), "tag = 5", "it is no bond any more; its VLAN is not mentioned");
    assert_eq!(
        change("{name: x0, link-aggregation: {mode: balance-tcp}, vlan: {}}"),
        "bond-mode = \"balance-tcp\", bond-updelay = 7, lacp = \"active\""
    );
    let vlan = "{mode: trunk, trunk-tags: [{id-range: {min: 7, max: 9}}]}";
    let expected = "trunks = [{end: 9 t, start: 7 t}], vlan-mode = \"trunk\"";
    assert_eq!(change(&format!("{{name: x0, vlan: {vlan}}}")), expected);
}

#[test]
fn twins_of_newer_properties_are_dropped() {
    let mut profile = foreign("bridge", &[("interface-name", "x0".into())]);
    profile.set("ipv4", "addresses", Value::Other { signature: "aau".to_owned(), bytes: Vec::new() });
    profile.set("ipv4", "address-data", Value::Dicts(Vec::new()));
    profile.set("ipv4", "dns", Value::Numbers(vec![1]));
    drop_twins(&mut profile);
    let ipv4: Vec<&String> = profile.0["ipv4"].keys().collect();
    assert_eq!(ipv4, ["address-data", "method"]);
    assert!(profile.get("bridge", "interface-name").is_none());
}

#[test]
fn types_of_profiles() {
    let kind = |settings: &[(&str, &str, Value)]| {
        let mut profile = Profile::default();
        for (setting, property, value) in settings {
            profile.set(setting, property, value.clone());
        }
        let interface = read(&profile);
        (interface.kind().word().to_owned(), interface.name)
    };
    let word = |word: &str| ("connection", "type", Value::from(word));
    assert_eq!(kind(&[word("macvlan"), ("macvlan", "tap", true.into())]).0, "mac-vtap");
    assert_eq!(kind(&[word("802-11-wireless")]).0, "802-11-wireless");
    assert_eq!(kind(&[word("ovs-port")]).0, "ovs-port");
    assert_eq!(kind(&[]).0, "unknown");
    let vlan = [word("vlan"), ("vlan", "parent", "eth0".into()), ("vlan", "id", 7_u32.into())];
    assert_eq!(kind(&vlan), ("vlan".to_owned(), "eth0.7".to_owned()));
    assert_eq!(kind(&[word("vpn"), ("connection", "id", "office".into())]).1, "office");
}

#[track_caller]
fn assert_refused(yaml: &str, version: &Version, expected: &[&str]) {
    let interfaces = interfaces(&format!("interfaces: [{yaml}]"));
    let found: Vec<String> = refusals(&interfaces[0], version)
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    assert_eq!(found, expected, "{yaml}");
}

#[test]
fn refusals_say_which_version_can() {
    let old = Version { major: 1, minor: 42, micro: 4, bits: 0, has_ovs: false };
    let ipvlan = "{name: x, type: ipvlan, ipvlan: {base-iface: eth0}}";
    assert_refused(
        ipvlan,
        &old,
        &["type: interfaces of type `ipvlan` need NetworkManager 1.52 or later; this is 1.42.4"],
    );
    assert_refused(ipvlan, &NEW, &[]);
    let ring = "{name: x, type: hsr, hsr: {port1: a, port2: b, interlink: c, multicast-spec: 0, protocol: hsr-2012}}";
    assert_refused(
        ring,
        &Version { minor: 52, ..NEW },
        &[
            "hsr.interlink: links to another ring need NetworkManager 1.56 or later; this is 1.52.1",
            "hsr.protocol: rings of protocol `hsr-2012` need NetworkManager 1.56 or later; this is 1.52.1",
        ],
    );
    let bond = "{name: x, type: bond, link-aggregation: {mode: active-backup, options: {arp_missed_max: 3,
        lacp_active: true, ns_ip6_target: ['2001:db8::1']}, ports-config: [{name: a}, {name: b, priority: 5}]}}";
    assert_refused(
        bond,
        &old,
        &[
            "link-aggregation.options.arp_missed_max: bonds with this option need NetworkManager 1.44 or later; this is 1.42.4",
            "link-aggregation.options.ns_ip6_target: bonds with this option need NetworkManager 1.44 or later; this is 1.42.4",
            "link-aggregation.ports-config[1].priority: priorities of a bond's ports need NetworkManager 1.44 or later; this is 1.42.4",
        ],
    );
    let backported = Version { micro: 8, ..old };
    assert_refused(
        "{name: x, type: bond, link-aggregation: {ports-config: [{name: b, priority: 5}]}}",
        &backported,
        &[],
    );
    assert_refused(
        "{name: x, type: wireguard}",
        &NEW,
        &["type: NetworkManager has no profiles for interfaces of type `wireguard`"],
    );
    assert_refused(
        "{name: x, type: xfrm}",
        &NEW,
        &["type: NetworkManager has no profiles for interfaces of type `xfrm`"],
    );
    assert_refused(
        "{name: x, type: macsec, macsec: {base-iface: a, encrypt: true, port: 1, validation: strict, send-sci: true, offload: 'off'}}",
        &old,
        &["macsec: NetworkManager makes no MACsec without `mka-cak` and `mka-ckn`"],
    );
    assert_refused(
        "{name: x, type: ip-tunnel, ip-tunnel: {mode: ipip, local: 192.0.2.1, remote: 192.0.2.2, ttl: 5, pmtu-disc: false, fwmark: 7}}",
        &NEW,
        &[
            "ip-tunnel.fwmark: NetworkManager marks packets of VTI tunnels only",
            "ip-tunnel.ttl: a fixed TTL needs path MTU discovery (`pmtu-disc`)",
        ],
    );
    assert_refused(
        "{name: x, type: ethernet, ethtool: {fec: {auto: true}}, ipv6: {enabled: true, autoconf: true, dhcp: false}}",
        &old,
        &[
            "ethtool.fec: modes of error correction need NetworkManager 1.52 or later; this is 1.42.4",
            "ipv6.dhcp: NetworkManager has no autoconf without DHCPv6",
        ],
    );
}

#[test]
fn an_old_networkmanager_gets_nothing_that_it_does_not_know() {
    let old = Version { major: 1, minor: 42, micro: 4, bits: 0, has_ovs: false };
    let interfaces = interfaces(
        "interfaces: [{name: x, type: bond, link-aggregation: {mode: 802.3ad, options: {lacp_active: true, arp_missed_max: 2, lacp_rate: slow}}}]",
    );
    let mut profile = Profile::default();
    write(&mut profile, &wish(&interfaces[0], None), &old);
    assert_eq!(
        profile.get("bond", "options").map(ToString::to_string).as_deref(),
        Some("{lacp_rate: slow, mode: 802.3ad}")
    );
}

#[test]
fn a_veth_without_known_peer_is_an_ethernet_link() {
    for (kind, peer, base) in [
        ("veth", "", "802-3-ethernet"),
        ("ethernet", "", "802-3-ethernet"),
        ("veth", ", veth: {peer: veth2}", "veth"),
        ("ethernet", ", veth: {peer: veth2}", "veth"),
    ] {
        let text = format!("interfaces: [{{name: veth1, type: {kind}, state: up{peer}}}]");
        let (_, profile) = new_profile(&text);
        assert_eq!((profile.kind(), profile.has("veth")), (Some(base), base == "veth"), "{text}");
    }
}
