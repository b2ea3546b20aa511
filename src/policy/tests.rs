use super::*;
use crate::state::Document;

const CURRENT: &str = r#"
interfaces:
- name: eth1
  type: ethernet
  state: up
  mac-address: 02:00:00:00:00:01
  mtu: 1500
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.9, prefix-length: 24}]}
- {name: eth2, type: ethernet, state: up, mtu: 9000, alt-names: [{name: uplink}]}
- {name: bond0, type: bond, state: up, link-aggregation: {mode: active-backup, port: [eth2]}}
routes:
  running:
  - {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.1, table-id: 254}
  - {destination: 198.51.100.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.2, table-id: 254}
dns-resolver: {running: {server: [192.0.2.53, 192.0.2.54], search: [example.org]}}
"#;

fn state(text: &str) -> State {
    Document::from_text(text).expect("YAML").state().expect("a valid state").0
}

fn policy(text: &str) -> Result<Policy, Vec<Problem>> {
    Policy::read(Document::from_text(text).expect("YAML").node())
}

/// What a policy comes to, as YAML.
fn filled(text: &str) -> Result<String, Vec<String>> {
    let told = |problems: Vec<Problem>| -> Vec<String> {
        problems.iter().map(|problem| format!("{}: {problem}", problem.kind)).collect()
    };
    let policy = policy(text).map_err(told)?;
    let captured = policy.capture(&state(CURRENT)).map_err(told)?;
    let (state, _) = policy.fill(&captured).map_err(told)?;
    Ok(state.to_yaml())
}

/// What one expression captures, as YAML.
fn captured(expression: &str) -> Result<String, String> {
    let text = serde_json::json!({"capture": {"x": expression}}).to_string();
    let told = |problems: Vec<Problem>| format!("{}: {}", problems[0].kind, problems[0]);
    let captured = policy(&text).map_err(told)?.capture(&state(CURRENT)).map_err(told)?;
    Ok(captured.0["x"].to_yaml())
}

#[test]
fn a_bridge_takes_over_the_interface_of_the_default_route() {
    let yaml = filled(
        r#"
capture:
  uplink-routes: routes.running.next-hop-interface == capture.uplink.interfaces.0.name
  moved-routes: capture.uplink-routes | routes.running.next-hop-interface := "lanbr"
  uplink: interfaces.name == capture.uplink-route.routes.running.0.next-hop-interface
  uplink-route: routes.running.destination == "0.0.0.0/0"
  resolver: dns-resolver.running
desired:
  interfaces:
  - name: lanbr
    type: linux-bridge
    mac-address: "{{ capture.uplink.interfaces.0.mac-address }}"
    ipv4: "{{ capture.uplink.interfaces.0.ipv4 }}"
    bridge: {port: [{name: "{{ capture.uplink.interfaces.0.name }}"}]}
  - {name: "{{ capture.uplink.interfaces.0.name }}.10", type: vlan, vlan: {base-iface: eth1, id: 10}}
  routes: {config: "{{ capture.moved-routes.routes.running }}"}
  dns-resolver: {config: "{{ capture.resolver.dns-resolver.running }}"}
"#,
    );
    let expected = state(
        r"
interfaces:
- name: lanbr
  type: linux-bridge
  mac-address: 02:00:00:00:00:01
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.9, prefix-length: 24}]}
  bridge: {port: [{name: eth1}]}
- {name: eth1.10, type: vlan, vlan: {base-iface: eth1, id: 10}}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: lanbr, next-hop-address: 192.0.2.1, table-id: 254}
dns-resolver: {config: {server: [192.0.2.53, 192.0.2.54], search: [example.org]}}
",
    );
    assert_eq!(yaml, Ok(expected.to_yaml()));
}

#[test]
fn expressions_take_what_they_say() {
    let names = |expression: &str| -> Vec<String> {
        let taken = state(&captured(expression).unwrap_or_else(|problem| panic!("{expression}: {problem}")));
        taken.interfaces.iter().flatten().map(|interface| interface.name.clone()).collect()
    };
    assert_eq!(names(r#"interfaces.type == "ethernet""#), ["eth1", "eth2"]);
    assert_eq!(names("interfaces.type==bond"), ["bond0"], "blanks and quotes where they are needed");
    assert_eq!(names("interfaces.type != ethernet"), ["bond0"]);
    assert_eq!(names("interfaces.mtu == 9000"), ["eth2"], "numbers as text");
    assert_eq!(names("interfaces.ipv4.enabled == true"), ["eth1"]);
    assert_eq!(names("interfaces.alt-names.name == uplink"), ["eth2"], "any of a list");
    assert_eq!(names("interfaces.link-aggregation.port == eth2"), ["bond0"], "a list of texts");
    assert_eq!(names(r#"interfaces.ipv4.address.0.ip == "192.0.2.9""#), ["eth1"], "the item at a place");
    assert_eq!(
        names("interfaces.name == routes.running.0.next-hop-interface"),
        ["eth1"],
        "a path in the state"
    );
    assert_eq!(names(""), ["bond0", "eth1", "eth2"], "nothing is all of it");
    assert_eq!(names("interfaces"), ["bond0", "eth1", "eth2"]);
    assert_eq!(
        captured("dns-resolver.running.search").as_deref(),
        Ok("dns-resolver:\n  running:\n    search:\n    - example.org\ninterfaces: []\n")
    );
    assert_eq!(
        captured(r#"dns-resolver.running.server == "192.0.2.54""#).as_deref(),
        Ok("dns-resolver:\n  running:\n    server:\n    - 192.0.2.54\ninterfaces: []\n")
    );
}

#[test]
fn what_is_set_is_read_as_a_document_is() {
    let mtu = |expression: &str| -> Vec<Option<u64>> {
        let taken = state(&captured(expression).expect("it captures"));
        taken.interfaces.iter().flatten().map(|one| one.mtu).collect()
    };
    assert_eq!(mtu("interfaces.mtu := 1400"), [Some(1400); 3]);
    assert_eq!(mtu("interfaces.mtu := null"), [None; 3]);
    let made = captured("interfaces.lldp.enabled := true").expect("what is missing on the way is made");
    assert_eq!(made.matches("lldp:\n    enabled: true\n").count(), 3);
    let wrong = captured("interfaces.mtu := big").expect_err("no number");
    assert!(wrong.starts_with("InvalidArgument: capture.x.interfaces[0].mtu: "), "{wrong}");
    let wrong = captured("interfaces.name.first := eth9").expect_err("a name is no mapping");
    assert!(wrong.starts_with("InvalidArgument: capture.x: `first` cannot be set"), "{wrong}");
}

#[test]
fn errors_point_at_the_character() {
    let told = |expression: &str| -> (ErrorKind, usize) {
        let wrong = Expression::read(expression).expect_err(expression);
        (wrong.kind, wrong.at)
    };
    let policy = ErrorKind::PolicyError;
    for (expression, at) in [
        ("interfaces.name = eth1", 17),
        ("interfaces.name =", 16),
        ("interfaces.name : eth1", 17),
        ("interfaces.name ! eth1", 17),
        ("interfaces.name == a == b", 21),
        ("interfaces.name == a := b", 21),
        ("capture.a | b.c | d.e", 16),
        (r#"interfaces.name == "eth1"#, 19),
        ("capture.a |", 10),
        ("capture.a | eth1", 12),
        ("interfaces.name | a.b == c", 0),
        ("| a.b == c", 0),
        ("interfaces.name ==", 16),
        ("interfaces.name == a b", 19),
        ("name == a", 0),
        ("== a", 0),
        ("a.b c.d == a", 8),
        ("capture.a == b", 0),
        ("interfaces..name == b", 11),
        ("interfaces. == b", 11),
        ("interfaces.name eth1", 16),
    ] {
        assert_eq!(told(expression), (policy, at), "{expression}");
    }
    assert_eq!(told("a.b == capture.c"), (ErrorKind::InvalidArgument, 7));
}

#[test]
fn problems_have_the_place_in_the_text() {
    let problems = policy("capture:\n  a: interfaces.name = eth1\n  b: 'a.b == \"c'\n").expect_err("both");
    let places: Vec<(u32, u32)> =
        problems.iter().filter_map(|problem| problem.at).map(|at| (at.line, at.column)).collect();
    assert_eq!(places, [(2, 23), (3, 14)]);
    let policy = policy("capture:\n  a: interfaces.name == nobody\n").expect("a policy");
    let problem = &policy.capture(&state(CURRENT)).expect_err("there is none")[0];
    assert_eq!(
        problem.to_string(),
        "capture.a: nothing has `interfaces.name` = `nobody` (at character 1 of `interfaces.name == nobody`)"
    );
}

#[test]
fn what_cannot_be_run_is_refused() {
    for (capture, message) in [
        ("vlan.id == 3", "InvalidArgument: capture.x: `vlan` has no lists"),
        ("interfaces.name == vlan.id", "PolicyError: capture.x: there is no property `vlan` here"),
        (
            "interfaces.name == capture.y.interfaces.0.name",
            "InvalidArgument: capture.x: there is no capture `y`",
        ),
        ("interfaces.name == capture.x.interfaces.0.name", "InvalidArgument: capture.x: `x` needs `x`"),
        ("interfaces == a", "PolicyError: capture.x: expected one path before the operator"),
        ("routes.running == a", "PolicyError: capture.x: expected a property of these items behind it"),
        ("dns-resolver.running == a", "PolicyError: capture.x: this is not within a list"),
        ("interfaces.name == interfaces.9.name", "PolicyError: capture.x: there is no item `9` here"),
        ("dns-resolver.config", "PolicyError: capture.x: there is no property `config` here"),
        ("interfaces.name", "PolicyError: capture.x: this is within a list"),
    ] {
        let told = captured(capture).expect_err(capture);
        assert!(told.starts_with(message), "{capture}: {told}");
    }
}

#[test]
fn templates_fill_texts_and_whole_branches() {
    let value = |text: &str| -> Result<String, String> {
        let policy = serde_json::json!({
            "capture": {"e": r#"interfaces.name == "eth1""#},
            "desired": {"interfaces": [{"name": "x", "type": "dummy", "description": text}]},
        });
        let state = filled(&policy.to_string()).map_err(|problems| problems.join("; "))?;
        Ok(state.lines().find_map(|line| line.strip_prefix("  description: ")).unwrap_or_default().to_owned())
    };
    let told = |text: &str| value(text).expect_err(text);
    assert_eq!(value("as it is").as_deref(), Ok("as it is"));
    assert_eq!(value("{{ capture.e.interfaces.0.name }}").as_deref(), Ok("eth1"));
    assert_eq!(
        value("from {{capture.e.interfaces.0.name}} of {{ capture.e.interfaces.0.mtu }}").as_deref(),
        Ok("from eth1 of 1500")
    );
    for (text, message) in [
        ("a { b", "a brace here"),
        ("a } b", "a brace here"),
        ("{{ capture.e.interfaces.0.name", "this `{{` has no `}}`"),
        ("{{ capture.e.interfaces.0.name }", "expected `}}`"),
        ("{{ {{ capture.e.interfaces }} }}", "expected `}}`"),
        ("{{ }}", "expected `capture.NAME.`"),
        ("{{ eth1 }}", "expected `capture.NAME.`"),
        ("{{ interfaces.0.name }}", "expected `capture.NAME.`"),
        ("{{ capture.e }}", "expected `capture.NAME.`"),
        ("{{ capture.e.interfaces.0.name capture.e.interfaces.0.mtu }}", "expected `capture.NAME.`"),
        ("{{ capture.f.interfaces }}", "there is no capture `f`"),
        ("{{ capture.e.interfaces.0.vlan }}", "there is no property `vlan`"),
        ("{{ capture.e.interfaces.7 }}", "there is no item `7`"),
        ("its {{ capture.e.interfaces.0.ipv4 }}", "this is more than one value"),
    ] {
        let told = told(text);
        assert!(
            told.starts_with("PolicyError: desired.interfaces[0].description: ") && told.contains(message),
            "{told}"
        );
    }
    let told = filled(
        r#"{capture: {e: interfaces}, desired: {interfaces: [{name: x, type: dummy, mtu: "{{ capture.e.interfaces.0.name }}"}]}}"#,
    );
    let told = told.expect_err("a name is no MTU").join("; ");
    assert!(told.starts_with("InvalidArgument: desired.interfaces[0].mtu: "), "{told}");
}

#[test]
fn keys_of_a_policy_are_known() {
    assert!(Policy::is_policy(Document::from_text("desired: {}").expect("YAML").node()));
    assert!(!Policy::is_policy(Document::from_text("interfaces: []").expect("YAML").node()));
    let told = policy("capture: {a: [1]}\ndesire: {}\ncurrent: {interfaces: 3}\n").expect_err("all of it");
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "capture.a: expected an expression, found a list",
            "desire: unknown or repeated key `desire` (did you mean `desired`?)",
            "current.interfaces: expected a list, found `3`",
        ]
    );
    assert_eq!(filled("{}").as_deref(), Ok("interfaces: []\n"));
}

mod random {
    use proptest::prelude::*;

    use super::super::expression::Expression;
    use super::*;

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[a-z.=!:|\"{} 0-9]{0,40}|.{0,40}") {
            if let Ok(expression) = Expression::read(&text) {
                let current = super::super::tree_of(&state(CURRENT));
                drop(expression.run(&current, &Captures::new()));
            }
            let policy = serde_json::json!({"desired": {"description": text}});
            drop(Policy::read(&Node::from_json(&policy)).expect("keys are known").fill(&Captured::default()));
        }
    }
}
