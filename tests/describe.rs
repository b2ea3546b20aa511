//! What the document says of itself: JSON Schema and `explain`.

use nmstated::state::{SECRET_KEYS, SectionInfo, Shape, State, explain, is_secret_key, json_schema};
use serde_json::{Value as Json, json};

fn is_valid(document: Json) -> bool {
    jsonschema::draft202012::new(&json_schema()).expect("it is a schema").is_valid(&document)
}

fn interface(mut more: Json) -> Json {
    more["name"] = "x0".into();
    json!({"interfaces": [more]})
}

#[test]
fn the_schema_is_a_schema_and_as_lenient_as_the_reader() {
    let meta = json_schema();
    assert!(jsonschema::meta::is_valid(&meta));
    for good in [
        json!({}),
        json!({"interfaces": null}),
        interface(json!({"type": "dummy", "mtu": "0x5dc", "accept-all-mac-addresses": "YES"})),
        interface(json!({"type": "bond", "bond": {"mode": 1, "ports": ["a"]}})),
        interface(json!({"type": "wifi", "ssid": "a"})),
        interface(json!({"state": "absent", "left": "over"})),
        interface(
            json!({"type": "ovs-bridge", "bridge": {"port": [{"name": "p", "bond": {"mode": "lacp"}}]}}),
        ),
    ] {
        assert!(is_valid(good.clone()), "{good}");
    }
    for bad in [
        json!([]),
        json!({"interface": []}),
        json!({"interfaces": [{"type": "dummy"}]}),
        interface(json!({"type": "dummy", "vlan": {"id": 1}})),
        interface(json!({"type": "dummy", "mtu": -1})),
        interface(json!({"type": "vlan", "vlan": {}})),
        interface(json!({"type": "vlan", "vlan": {"id": 70000}})),
        interface(json!({"type": "dummy", "ipv4": {"autoconf": true}})),
        interface(
            json!({"type": "linux-bridge", "bridge": {"port": [{"name": "p", "bond": {"mode": "lacp"}}]}}),
        ),
        interface(json!({"type": "dummy", "mac-address": "02:00"  , "ipv6": {"forwarding": true}})),
    ] {
        assert!(!is_valid(bad.clone()), "{bad}");
    }
}

fn each_section(shape: &Shape, path: &str, visit: &mut impl FnMut(&str, &'static SectionInfo)) {
    match shape {
        Shape::Section(info) => {
            visit(path, info);
            for field in info.fields {
                each_section(&(field.shape)(), &format!("{path}.{}", field.key), visit);
            }
        }
        Shape::List(item) | Shape::Table(item) => each_section(item, path, visit),
        Shape::Either(forms) => forms.iter().for_each(|form| each_section(form, path, visit)),
        _ => {}
    }
}

#[test]
fn every_key_is_documented_and_can_be_explained() {
    let mut keys = 0;
    each_section(&Shape::Section(&State::INFO), "", &mut |path, info| {
        assert!(!info.text().is_empty(), "{}", info.name);
        for field in info.fields {
            let path = format!("{path}.{}", field.key);
            assert!(field.text().ends_with(['.', ')']), "{path}: {}", field.text());
            assert!(!field.required || field.aliases.is_empty(), "{path}: the schema cannot say that");
            assert!(!explain(&path).expect("it is a key").is_empty(), "{path}");
            keys += 1;
        }
    });
    assert!(keys > 300, "{keys}");
}

#[test]
fn secret_keys_are_those_that_hold_secrets() {
    each_section(&Shape::Section(&State::INFO), "", &mut |path, info| {
        for field in info.fields {
            let is_secret = matches!((field.shape)(), Shape::Secret);
            assert_eq!(SECRET_KEYS.contains(&field.key), is_secret, "{path}.{}", field.key);
            assert_eq!(is_secret_key(field.key), is_secret, "{path}.{}", field.key);
        }
    });
}

fn explained(path: &str) -> String {
    match explain(path) {
        Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        Err(near) => format!("? {near:?}"),
    }
}

#[test]
fn explain_finds_keys_from_the_root_and_by_their_end() {
    assert_eq!(
        explained("interfaces[2].vlan.id"),
        "\
interfaces[].vlan.id: number from 0 to 65535, mandatory
  VLAN id, 0 to 4094.
  For interfaces of type: `vlan`
"
    );
    assert_eq!(
        explained("interfaces.link-aggregation.options.ad_select"),
        "\
interfaces[].link-aggregation.options.ad_select: word
  802.3ad aggregator selection.
  For interfaces of type: `bond`
  - stable     The one with most bandwidth, until all its ports fail.
  - bandwidth  Always the one with most bandwidth.
  - count      Always the one with most ports.
"
    );
    assert_eq!(explained("interfaces.bond.ports"), explained("interfaces[].link-aggregation.port"));
    assert_eq!(
        explained("802.1x.eap-methods"),
        "\
interfaces[].802.1x.eap-methods[]: list of texts
  EAP methods, as `tls`.
"
    );
    assert_eq!(explained("qos-map.from"), "? Some(\"from\")");
    assert_eq!(
        explained("routes"),
        "\
routes: mapping
  Routes.
    running  All routes in effect. [list of mappings]
    config   Configured routes; in a desired document additions, and patterns to remove. [list of mappings]
"
    );
    let mtu = explain("mtu").expect("there are some");
    assert_eq!(
        mtu.iter().map(|e| e.path.as_str()).collect::<Vec<_>>(),
        ["routes.running[].mtu", "routes.config[].mtu", "interfaces[].mtu"]
    );
    let ports = explain("interfaces.bridge.port").expect("there are two");
    assert_eq!(ports.iter().map(|e| e.types.join(",")).collect::<Vec<_>>(), ["linux-bridge", "ovs-bridge"]);
    assert_eq!(explain("interfaces.prefix_length"), Err(Some("prefix-length".into())));
    assert_eq!(explain("").expect("the document")[0].path, "(document)");
}
