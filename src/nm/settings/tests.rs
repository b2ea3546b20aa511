//! Goldens: an interface of the document, the profile that is written of it, and back.

use super::*;
use crate::nm::Value;
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

/// What the document says has to be in what is read, key by key.
#[track_caller]
fn assert_says(read: &Interface, said: &Interface) {
    let (read, mut said) = (serde_json::json!(read), serde_json::json!(said));
    for key in ["name", "state", "ipv4", "ipv6"] {
        said.as_object_mut().expect("an interface is an object").remove(key);
    }
    assert_contains(&read, &said, "");
}

#[track_caller]
fn assert_contains(read: &serde_json::Value, said: &serde_json::Value, path: &str) {
    match said.as_object() {
        Some(keys) => {
            for (key, said) in keys {
                assert_contains(&read[key], said, &format!("{path}.{key}"));
            }
        }
        None => assert_eq!(read, said, "{path}"),
    }
}

#[track_caller]
fn assert_golden(yaml: &str, golden: &str) {
    let (interfaces, profile) = new_profile(yaml);
    // What else stands in the IP settings, `ip` tests.
    let text = profile.to_string();
    let lines = text.lines().filter(|line| !line.starts_with("ipv") || line.contains(".may-fail "));
    assert_eq!(lines.collect::<Vec<_>>().join("\n"), golden.trim());
    assert_says(&read(&profile), &interfaces[0]);
    assert_eq!(overlay(&profile, yaml), profile, "writing it again changes nothing");
}

#[test]
fn ethernet() {
    assert_golden(
        "interfaces: [{name: eth0, type: ethernet, mtu: 9000, mac-address: '02:00:5E:10:00:01', description: uplink,
          lldp: {enabled: true}, mptcp: {address-flags: [subflow, backup]}, accept-all-mac-addresses: true, wait-ip: ipv4,
          ipv4: {enabled: true, dhcp: true},
          ethernet: {auto-negotiation: false, speed: 1000, duplex: full}}]",
        r#"
802-3-ethernet.accept-all-mac-addresses = 1 i
802-3-ethernet.cloned-mac-address = 02:00:5E:10:00:01
802-3-ethernet.duplex = "full"
802-3-ethernet.mtu = 9000
802-3-ethernet.speed = 1000
connection.id = "eth0"
connection.interface-name = "eth0"
connection.lldp = 1 i
connection.mptcp-flags = 104
connection.type = "802-3-ethernet"
ipv4.may-fail = false
user.data = {nmstate.interface.description: uplink}
"#,
    );
}
