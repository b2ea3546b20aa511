use super::*;
use crate::state::{Node, Part, Reader};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn interface(mut json: Json) -> Interface {
    let object = json.as_object_mut().expect("an object");
    object.entry("name").or_insert(json!("eth1"));
    object.entry("type").or_insert(json!("ethernet"));
    let mut reader = Reader::new();
    let interface = Interface::read(&Node::from_json(&json), &mut reader);
    let (problems, _) = reader.finish();
    assert!(problems.is_empty(), "{problems:?}");
    interface.expect("an interface")
}

fn wish<'a>(interface: &'a Interface, said: &'a Interface) -> Wish<'a> {
    Wish { interface, said, controller: None, routes: None, rules: None, dns: None, is_new: false }
}

fn version(minor: u16) -> Version {
    Version { major: 1, minor, ..Version::default() }
}

/// A new profile of an interface that is as asked.
fn new_profile(json: Json) -> Profile {
    let own = interface(json);
    let mut profile = Profile::default();
    write(&mut profile, &Wish { is_new: true, ..wish(&own, &own) }, &version(52));
    profile
}

/// A profile with these settings, changed by what is said.
fn changed(settings: &[(&str, &str, Value)], said: Json) -> Profile {
    let mut profile = profile(settings);
    let said = interface(said);
    write(&mut profile, &wish(&said, &said), &version(52));
    profile
}

fn profile(settings: &[(&str, &str, Value)]) -> Profile {
    let mut profile = Profile::default();
    // Both stacks or, for a port, none: so NetworkManager gives them.
    if settings.iter().any(|(setting, ..)| setting.starts_with("ip")) {
        [false, true].iter().for_each(|v6| profile.set(setting(*v6), "method", "disabled"));
    }
    settings.iter().for_each(|(setting, key, value)| profile.set(setting, key, value.clone()));
    profile
}

fn methods(profile: &Profile) -> (Option<&str>, Option<&str>) {
    (profile.text("ipv4", "method"), profile.text("ipv6", "method"))
}

fn entry(address: &str, prefix: u32) -> Setting {
    Setting::from([("address".to_owned(), address.into()), ("prefix".to_owned(), prefix.into())])
}

#[test]
fn methods_of_new_profiles() {
    let cases = [
        (json!({}), ("disabled", "disabled")),
        (json!({"ipv4": {"enabled": false}, "ipv6": {"enabled": false}}), ("disabled", "disabled")),
        (
            json!({"ipv4": {"enabled": true, "dhcp": true}, "ipv6": {"enabled": true, "dhcp": true, "autoconf": true}}),
            ("auto", "auto"),
        ),
        (json!({"ipv6": {"enabled": true, "dhcp": true, "autoconf": false}}), ("disabled", "dhcp")),
        // From the kernel, which knows nothing of DHCP: NetworkManager has no other way.
        (json!({"ipv6": {"enabled": true, "autoconf": true}}), ("disabled", "auto")),
        (
            json!({"ipv4": {"enabled": true, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]},
                "ipv6": {"enabled": true, "address": [{"ip": "2001:db8::1", "prefix-length": 64}]}}),
            ("manual", "manual"),
        ),
        // Enabled but empty (M32).
        (json!({"ipv4": {"enabled": true}, "ipv6": {"enabled": true}}), ("disabled", "link-local")),
        // Leased, foreign and link-local addresses are not written (M27).
        (
            json!({"ipv4": {"enabled": true, "address": [{"ip": "192.0.2.9", "prefix-length": 24, "protocol": 17}]},
                "ipv6": {"enabled": true, "address": [{"ip": "fe80::1", "prefix-length": 64}]}}),
            ("disabled", "link-local"),
        ),
        (
            json!({"type": "loopback", "name": "lo", "ipv4": {"enabled": true}, "ipv6": {"enabled": false}}),
            ("auto", "auto"),
        ),
        (
            json!({"type": "loopback", "name": "lo",
                "ipv4": {"enabled": true, "address": [{"ip": "127.0.0.1", "prefix-length": 8}]}}),
            ("manual", "auto"),
        ),
    ];
    for (json, (v4, v6)) in cases {
        let profile = new_profile(json.clone());
        assert_eq!(methods(&profile), (Some(v4), Some(v6)), "{json}");
    }
}

#[test]
fn routes_without_an_address_need_1_46() {
    let own = interface(json!({"ipv4": {"enabled": true}}));
    let route: crate::state::Route = {
        let json = json!({"destination": "198.51.100.0/24", "next-hop-interface": "eth1"});
        Part::read(&Node::from_json(&json), &mut Reader::new()).expect("a route")
    };
    for (minor, method) in [(42, "disabled"), (46, "manual")] {
        let mut profile = Profile::default();
        let wish = Wish { is_new: true, routes: Some(std::slice::from_ref(&route)), ..wish(&own, &own) };
        write(&mut profile, &wish, &version(minor));
        assert_eq!(profile.text("ipv4", "method"), Some(method));
        assert_eq!(profile.get("ipv4", "route-data").is_some(), method == "manual");
    }
}

#[test]
fn ports_hold_no_ip_except_those_of_a_vrf() {
    let own = interface(json!({"controller": "c", "ipv4": {"enabled": true, "dhcp": true}}));
    let given = [("ipv4", "method", Value::from("auto")), ("ipv6", "method", Value::from("auto"))];
    let with = |kind: &str| {
        let controller = interface(json!({"name": "c", "type": kind}));
        let mut profile = profile(&given);
        write(&mut profile, &Wish { controller: Some(&controller), ..wish(&own, &own) }, &version(52));
        profile
    };
    assert_eq!(methods(&with("bond")), (None, None));
    assert_eq!(methods(&with("linux-bridge")), (None, None));
    assert_eq!(methods(&with("vrf")), (Some("auto"), Some("auto")));
    // M36: to NetworkManager it is no port.
    assert_eq!(methods(&with("hsr")), (Some("disabled"), Some("disabled")));
}

#[test]
fn a_former_port_is_written_whole() {
    let own = interface(json!({"controller": "", "ipv4": {"enabled": false}, "ipv6": {"enabled": true}}));
    let said = interface(json!({"controller": ""}));
    let mut profile = profile(&[("connection", "id", "eth1".into())]);
    write(&mut profile, &wish(&own, &said), &version(52));
    assert_eq!(methods(&profile), (Some("disabled"), Some("link-local")));
}

#[test]
fn what_is_not_mentioned_stays() {
    let given = [
        ("ipv4", "method", Value::from("shared")),
        ("ipv4", "dad-timeout", Value::I32(5)),
        ("ipv6", "method", "ignore".into()),
        ("ipv6", "ip6-privacy", Value::I32(2)),
    ];
    let before = profile(&given);
    assert_eq!(changed(&given, json!({"mtu": 1400})), before);
    // `shared` is no less than what is asked.
    let own = json!({"ipv4": {"enabled": true, "dhcp": false}});
    assert_eq!(changed(&given, own), before);
}

#[test]
fn addresses_keep_what_else_their_entries_have() {
    let mut labelled = entry("192.0.2.1", 24);
    labelled.insert("label".to_owned(), "eth1:a".into());
    let given = [
        ("ipv4", "method", Value::from("manual")),
        ("ipv4", "address-data", vec![entry("192.0.2.7", 24), labelled.clone()].into()),
        ("ipv6", "method", "manual".into()),
        ("ipv6", "address-data", vec![entry("fe80::5", 64)].into()),
    ];
    let profile = changed(
        &given,
        json!({"ipv4": {"enabled": true, "address": [
                   {"ip": "192.0.2.1", "prefix-length": 24}, {"ip": "192.0.2.2", "prefix-length": 24}]},
               "ipv6": {"enabled": true, "address": [{"ip": "2001:db8::1", "prefix-length": 64}]}}),
    );
    assert_eq!(profile.get("ipv4", "address-data"), Some(&vec![labelled, entry("192.0.2.2", 24)].into()));
    let both = vec![entry("2001:db8::1", 64), entry("fe80::5", 64)];
    assert_eq!(profile.get("ipv6", "address-data"), Some(&both.into()));
}

#[test]
fn switching_off_clears_what_it_may_not_have() {
    let given = [
        ("ipv4", "method", Value::from("manual")),
        ("ipv4", "address-data", vec![entry("192.0.2.7", 24)].into()),
        ("ipv4", "gateway", "192.0.2.1".into()),
        ("ipv4", "dns-data", Value::Texts(vec!["192.0.2.53".into()])),
        ("ipv4", "dns-search", Value::Texts(vec!["example.com".into()])),
        ("ipv4", "dns-options", Value::Texts(vec![])),
        ("ipv4", "route-data", vec![Setting::new()].into()),
        ("ipv4", "route-metric", Value::I64(120)),
        ("ipv4", "may-fail", false.into()),
        ("ipv4", "dad-timeout", Value::I32(5)),
    ];
    let after = changed(&given, json!({"ipv4": {"enabled": false}}));
    let expected = [
        ("ipv4", "method", Value::from("disabled")),
        ("ipv4", "dad-timeout", Value::I32(5)),
        ("ipv4", "dns-options", Value::Texts(vec![])),
    ];
    assert_eq!(after, profile(&expected));
}

#[test]
fn defaults_of_dhcp_are_for_who_begins_with_it() {
    // M33
    let new = new_profile(json!({"ipv4": {"enabled": true, "dhcp": true},
                                 "ipv6": {"enabled": true, "dhcp": true, "autoconf": true}}));
    assert_eq!(new.text("ipv4", "dhcp-client-id"), Some("mac"));
    assert_eq!(new.get("ipv4", "dhcp-timeout"), Some(&Value::I32(i32::MAX)));
    assert_eq!(new.text("ipv6", "dhcp-duid"), Some("ll"));
    assert_eq!(new.text("ipv6", "dhcp-iaid"), Some("mac"));
    assert_eq!(new.get("ipv6", "ra-timeout"), Some(&Value::I32(i32::MAX)));
    // Who has been asking keeps its identity, or would get another address.
    let given = [("ipv4", "method", Value::from("auto")), ("ipv4", "dhcp-timeout", Value::I32(30))];
    assert_eq!(changed(&given, json!({"ipv4": {"enabled": true, "dhcp": true}})), profile(&given));
    let named =
        changed(&given, json!({"ipv4": {"enabled": true, "dhcp": true, "dhcp-client-id": "iaid+duid"}}));
    assert_eq!(named.text("ipv4", "dhcp-client-id"), Some("duid"));
}

#[test]
fn turning_dhcp_on_drops_static_routes_and_off_drops_its_options() {
    // M34, M24
    let given = [
        ("ipv4", "method", Value::from("manual")),
        ("ipv4", "address-data", vec![entry("192.0.2.7", 24)].into()),
        ("ipv4", "gateway", "192.0.2.1".into()),
        ("ipv4", "route-data", vec![Setting::new()].into()),
    ];
    let auto = changed(
        &given,
        json!({"ipv4": {"enabled": true, "dhcp": true, "auto-dns": false, "auto-route-table-id": 500,
                        "auto-route-metric": 7}}),
    );
    assert_eq!((auto.get("ipv4", "gateway"), auto.get("ipv4", "route-data")), (None, None));
    assert_eq!(auto.get("ipv4", "ignore-auto-dns"), Some(&Value::Bool(true)));
    assert_eq!(auto.get("ipv4", "route-table"), Some(&Value::U32(500)));
    assert_eq!(auto.get("ipv4", "route-metric"), Some(&Value::I64(7)));

    let mut back = auto;
    let own =
        interface(json!({"ipv4": {"enabled": true, "address": [{"ip": "192.0.2.7", "prefix-length": 24}]}}));
    write(&mut back, &wish(&own, &own), &version(52));
    let expected = [
        ("ipv4", "method", Value::from("manual")),
        ("ipv4", "address-data", vec![entry("192.0.2.7", 24)].into()),
    ];
    assert_eq!(back, profile(&expected));
}

#[test]
fn host_names_are_short_or_full_never_both() {
    let given = [("ipv4", "method", Value::from("auto")), ("ipv4", "dhcp-hostname", "short".into())];
    let full = changed(
        &given,
        json!({"ipv4": {"enabled": true, "dhcp": true, "dhcp-custom-hostname": "a.example"}}),
    );
    assert_eq!(
        (full.text("ipv4", "dhcp-fqdn"), full.get("ipv4", "dhcp-hostname")),
        (Some("a.example"), None)
    );
    let none = changed(&given, json!({"ipv4": {"enabled": true, "dhcp": true, "dhcp-custom-hostname": ""}}));
    assert_eq!((none.get("ipv4", "dhcp-fqdn"), none.get("ipv4", "dhcp-hostname")), (None, None));
    let silent =
        changed(&given, json!({"ipv4": {"enabled": true, "dhcp": true, "dhcp-send-hostname": false}}));
    assert_eq!(silent.get("ipv4", "dhcp-send-hostname"), Some(&Value::Bool(false)));
    assert_eq!(silent.get("ipv4", "dhcp-hostname"), None);
}

#[test]
fn tokens_come_with_eui64() {
    let given = [("ipv6", "method", Value::from("auto")), ("ipv6", "addr-gen-mode", Value::I32(1))];
    let said =
        |token: &str| json!({"ipv6": {"enabled": true, "dhcp": true, "autoconf": true, "token": token}});
    let with = changed(&given, said("::5"));
    assert_eq!(with.text("ipv6", "token"), Some("::5"));
    assert_eq!(with.get("ipv6", "addr-gen-mode"), Some(&Value::I32(0)));
    let without = changed(&given, said("::"));
    assert_eq!(without, profile(&given));
}

#[test]
fn forwarding_only_where_it_is_known() {
    let said = interface(json!({"ipv4": {"enabled": false, "forwarding": true}}));
    let write_with = |bits| {
        let mut profile = profile(&[("ipv4", "method", "disabled".into())]);
        write(&mut profile, &wish(&said, &said), &Version { bits, ..version(54) });
        profile.get("ipv4", "forwarding").cloned()
    };
    assert_eq!((write_with(1), write_with(3)), (None, Some(Value::I32(1))));
}

#[test]
fn s62_to_s66_what_profiles_say() {
    let read = |settings: &[(&str, &str, Value)]| {
        let (v4, v6) = read(&profile(settings));
        let json = |ip: Option<Ip>| serde_json::to_value(ip).expect("JSON");
        (json(v4), json(v6))
    };
    assert_eq!(read(&[]), (Json::Null, Json::Null));
    let (v4, v6) = read(&[
        ("ipv4", "method", "auto".into()),
        ("ipv4", "ignore-auto-dns", true.into()),
        ("ipv4", "dhcp-client-id", "mac".into()),
        ("ipv4", "dhcp-fqdn", "a.example".into()),
        ("ipv6", "method", "dhcp".into()),
        ("ipv6", "route-metric", Value::I64(9)),
        ("ipv6", "addr-gen-mode", Value::I32(2)),
    ]);
    assert_eq!(
        v4,
        json!({"enabled": true, "dhcp": true, "dhcp-client-id": "ll", "address": [], "auto-dns": false,
               "auto-gateway": true, "auto-routes": true, "auto-route-table-id": 0, "auto-route-metric": -1,
               "dhcp-send-hostname": true, "dhcp-custom-hostname": "a.example", "prefix-route-metric": -1})
    );
    assert_eq!(
        v6,
        json!({"enabled": true, "dhcp": true, "autoconf": false, "address": [], "auto-dns": true,
               "auto-gateway": true, "auto-routes": true, "auto-route-table-id": 0, "auto-route-metric": 9,
               "addr-gen-mode": "eui64", "dhcp-send-hostname": true})
    );
    let (v4, v6) = read(&[("ipv4", "method", "disabled".into()), ("ipv6", "method", "ignore".into())]);
    assert_eq!(v4, json!({"enabled": false, "auto-route-metric": -1, "prefix-route-metric": -1}));
    assert_eq!(v6, json!({"auto-route-metric": -1}));
    let lo = [("connection", "type", Value::from("loopback")), ("ipv4", "method", "auto".into())];
    assert_eq!(read(&lo).0, json!({"dhcp": false, "auto-route-metric": -1, "prefix-route-metric": -1}));
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |ip: Json| {
        let list = refusals(&interface(json!({"ipv6": ip})));
        list.iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    // V18
    assert_eq!(refused(json!({"enabled": true, "dhcp": false, "autoconf": true})), ["ipv6.dhcp"]);
    assert_eq!(refused(json!({"enabled": true, "dhcp-duid": "uuid"})), ["ipv6.dhcp-duid"]);
    assert_eq!(refused(json!({"token": "::1", "addr-gen-mode": "stable-privacy"})), ["ipv6.token"]);
    assert!(refused(json!({"enabled": true, "dhcp": true, "dhcp-duid": "ll", "token": "::"})).is_empty());
}

/// Sections as documents have them.
fn any_ip(is_v6: bool) -> impl Strategy<Value = Json> {
    let addresses: &[&str] =
        if is_v6 { &["2001:db8::1", "2001:db8::2"] } else { &["192.0.2.1", "192.0.2.2"] };
    let prefix = if is_v6 { 64 } else { 24 };
    let addresses = proptest::sample::subsequence(addresses.to_vec(), 0..=2);
    (any::<bool>(), any::<bool>(), addresses, proptest::option::of(0..9i64), any::<bool>()).prop_map(
        move |(enabled, auto, addresses, metric, on)| {
            if !enabled {
                return json!({"enabled": false});
            }
            let addresses: Vec<Json> =
                addresses.iter().map(|ip| json!({"ip": ip, "prefix-length": prefix})).collect();
            let mut ip = json!({"enabled": true, "dhcp": auto, "address": addresses});
            if is_v6 {
                ip["autoconf"] = auto.into();
            }
            if auto {
                ip["auto-dns"] = on.into();
                ip["dhcp-send-hostname"] = on.into();
                ip["auto-route-metric"] = metric.unwrap_or(-1).into();
            }
            ip
        },
    )
}

/// Whether everything that was said is read back.
fn says(read: &Json, said: &Json) -> bool {
    said.as_object().into_iter().flatten().all(|(key, value)| read.get(key) == Some(value))
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_nothing_unknown_is_lost(
        methods in (proptest::sample::select(vec!["auto", "manual", "disabled", "shared", "link-local"]),
                    proptest::sample::select(vec!["auto", "dhcp", "manual", "disabled", "ignore", "shared"])),
        v4 in any_ip(false), v6 in any_ip(true), is_new in any::<bool>(),
    ) {
        let own = interface(json!({"ipv4": v4, "ipv6": v6}));
        let unknown = Value::Other { signature: "(uu)".into(), bytes: vec![1, 2] };
        let mut given = Profile::default();
        if !is_new {
            for (setting, method) in [("ipv4", methods.0), ("ipv6", methods.1)] {
                given.set(setting, "method", method);
                given.set(setting, "from-the-future", unknown.clone());
            }
            given.set("proxy", "method", Value::I32(1));
        }
        let mut after = given.clone();
        write(&mut after, &Wish { is_new, ..wish(&own, &own) }, &version(52));
        if !is_new {
            prop_assert_eq!(after.get("proxy", "method"), Some(&Value::I32(1)));
            prop_assert_eq!(after.get("ipv4", "from-the-future"), Some(&unknown));
            prop_assert_eq!(after.get("ipv6", "from-the-future"), Some(&unknown));
        }
        let (read4, read6) = read(&after);
        let read4 = serde_json::to_value(read4).expect("JSON");
        let read6 = serde_json::to_value(read6).expect("JSON");
        // IPv4 without an address is off (M32), unless it shares or gives itself one.
        let is_empty = v4["enabled"] == true && v4["dhcp"] == false && v4["address"] == json!([]);
        prop_assert!(is_empty || says(&read4, &v4), "{} {}", read4, v4);
        prop_assert!(says(&read6, &v6), "{} {}", read6, v6);
        let mut again = after.clone();
        write(&mut again, &wish(&own, &own), &version(52));
        prop_assert_eq!(again, after, "the second time nothing changes");
    }
}
