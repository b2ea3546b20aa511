//! Documents as text: what is accepted, what is refused and where, what it costs.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use nmstated::state::{
    Document, NODES_MAX, PROBLEMS_MAX, Part, Path, Position, Problem, State, TEXT_BYTES_MAX, snippet_of_text,
};

/// Processor time of this thread: other work of the machine does not count.
fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has it").into()
}

fn state(text: &str) -> State {
    let document = Document::from_text(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
    match document.state() {
        Ok((state, _)) => state,
        Err(problems) => panic!("{}\n{text}", shown(&problems)),
    }
}

fn problems(text: &str) -> Vec<Problem> {
    match Document::from_text(text) {
        Err(problems) => problems,
        Ok(document) => document.state().expect_err("the document is wrong"),
    }
}

/// `line:column message (hint)` of every problem.
fn shown(problems: &[Problem]) -> String {
    let one = |problem: &Problem| match problem.at {
        Some(at) => format!("{}:{} {problem}\n", at.line, at.column),
        None => format!("{problem}\n"),
    };
    problems.iter().map(one).collect()
}

#[test]
fn every_problem_has_its_place_and_hint() {
    let text = "\
interfaces:
  - name: eth1
    type: ethernet
    mtu: big
    vlan:
      id: 5
    ipv4:
      enabled: maybe
      address:
        - ip: 192.0.2.300
          prefix_length: 24
      autoconf: true
  - type: bond
    link-aggregation:
      mode: activ-backup
      ports: [eth2]
      port: [eth2]
routes:
  config:
    - {destination: nowhere, metric: x}
nonsense: 1
";
    assert_eq!(
        shown(&problems(text)),
        "\
4:10 interfaces[0].mtu: expected a whole number, found `big`
5:5 interfaces[0].vlan: key `vlan` does not belong to an interface of type ethernet
8:16 interfaces[0].ipv4.enabled: expected a boolean, found `maybe`
10:11 interfaces[0].ipv4.address[0]: missing key `prefix-length`
10:15 interfaces[0].ipv4.address[0].ip: expected an IP address without prefix, found `192.0.2.300`
11:11 interfaces[0].ipv4.address[0].prefix_length: unknown key `prefix_length` (did you mean `prefix-length`?)
12:7 interfaces[0].ipv4.autoconf: key `autoconf` does not belong to ipv4
13:5 interfaces[1]: missing key `name`
15:13 interfaces[1].link-aggregation.mode: expected one of `balance-rr`, `active-backup`, `balance-xor`, `broadcast`, `802.3ad`, `balance-tlb`, `balance-alb`, `unknown`, found `activ-backup` (did you mean `active-backup`?)
17:7 interfaces[1].link-aggregation.port: duplicate key `port`
20:21 routes.config[0].destination: expected a network such as `192.0.2.0/24` or `2001:db8::/64`, found `nowhere`
20:38 routes.config[0].metric: expected a whole number, found `x`
21:1 nonsense: unknown key `nonsense`
"
    );
}

#[test]
fn text_that_is_no_document_is_refused_with_its_place() {
    for (text, expected) in [
        ("- a\n", "1:1 the document must be a mapping, found a list\n"),
        ("hello", "1:1 the document must be a mapping, found `hello`\n"),
        ("a: 1\n---\nb: 2\n", "2:1 more than one document in the text\n"),
        ("interfaces:\n\t- name: a\n", "2:1 not valid YAML: a tab in the indentation (indent with spaces)\n"),
        ("hostname: [a, b\n", "2:1 not valid YAML: while parsing a flow sequence, expected ',' or ']'\n"),
        ("hostname: &a [*a]\n", "1:15 an alias inside of what it stands for\n"),
        ("hostname: *b\n", "1:11 not valid YAML: while parsing node, found unknown anchor\n"),
        ("? [a]\n: b\n", "1:3 a key must be text\n"),
        ("description: a\u{2028}b\n", "1:14 a text with the Unicode line separator U+2028 or U+2029\n"),
        (
            "description: !secret x\n",
            "1:14 a tag that is not known (a text that begins with `!` needs quotes)\n",
        ),
    ] {
        assert_eq!(shown(&problems(text)), expected, "{text}");
    }
}

#[test]
fn empty_text_is_an_empty_document() {
    for text in ["", "\n", "# only a comment\n", "---\n", "---\n...\n", "{}", "~", "\u{feff}"] {
        assert_eq!(state(text), State::empty(), "{text:?}");
    }
}

#[test]
fn anchors_and_their_aliases_are_copies() {
    let text = "\
interfaces:
  - &base
    name: eth1
    type: ethernet
    mtu: &mtu 1400
  - name: eth2
    type: ethernet
    mtu: *mtu
";
    assert_eq!(state(text).interfaces()[1].mtu, Some(1400));
}

#[test]
fn merge_keys_are_ordinary_keys() {
    let text = "interfaces:\n- <<: {name: eth1}\n  name: eth2\n  type: dummy\n";
    assert_eq!(shown(&problems(text)), "2:3 interfaces[0].<<: unknown key `<<`\n");
}

#[test]
fn non_breaking_spaces_are_spaces() {
    assert_eq!(state("hostname:\n\u{a0}\u{a0}config:\u{a0}host1\n"), state("hostname: {config: host1}"));
}

#[test]
fn json_may_escape_surrogate_pairs_and_slashes() {
    let text = r#"{"description": "\ud83d\ude00 a\/b", "interfaces": [{"name": "100", "mtu": "0x5dc", "type": "dummy"}]}"#;
    let state = state(text);
    assert_eq!(state.description.as_deref(), Some("\u{1f600} a/b"));
    assert_eq!(state.interfaces()[0].mtu, Some(1500));
}

#[test]
fn unquoted_scalars_are_text_where_text_is_due() {
    let state = state("interfaces:\n- {name: 0123, type: dummy, description: yes, profile-name: 1.50}\n");
    let interface = &state.interfaces()[0];
    assert_eq!(interface.name, "0123");
    assert_eq!(interface.description.as_deref(), Some("yes"));
    assert_eq!(interface.profile_name.as_deref(), Some("1.50"));
}

#[test]
fn costly_texts_are_refused_soon() {
    let bomb: String = std::iter::once("a: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned())
        .chain((1..30).map(|i| {
            let alias = format!("*l{}", i - 1);
            format!("k{i}: &l{i} [{}]\n", vec![alias; 9].join(", "))
        }))
        .collect();
    let wide = format!("description: &s {}\nlist: [{}]\n", "x".repeat(1 << 19), vec!["*s"; 4000].join(","));
    let chain: String = std::iter::once("a: &l0 [1]\n".to_owned())
        .chain((1..100_000).map(|i| format!("k{i}: &l{i} [*l{}]\n", i - 1)))
        .collect();
    for (name, text, expected) in [
        ("alias bomb", bomb, "more than 2000000 keys and values, aliases followed"),
        ("wide alias", wide, "more than 32 MiB of text, aliases followed"),
        ("alias chain", chain, "nested deeper than 64 levels"),
        ("100 MiB", "a".repeat(100 << 20), "the document is longer than 16 MiB"),
        ("deep flow", "[".repeat(1 << 20), ""),
        ("deep maps", "{a: ".repeat(1 << 20), ""),
        ("deep block", "- ".repeat(1 << 20), "nested deeper than 64 levels"),
        ("long text", format!("a: {}\n", "x".repeat(2 << 20)), "a text longer than 1 MiB"),
        ("many items", format!("a: [{}]\n", "1,".repeat(NODES_MAX)), "more than 2000000 keys and values"),
        ("long key", format!("{}: 1\n", "x".repeat(2 << 20)), ""),
        ("open quote", format!("a: \"{}", "x\n".repeat(TEXT_BYTES_MAX / 4)), ""),
        ("colons", ":".repeat(2 << 20), ""),
        ("questions", "? ".repeat(1 << 20), ""),
        ("anchors", "&a ".repeat(1 << 20), ""),
        ("comments", "#\n".repeat(TEXT_BYTES_MAX / 2 - 8) + "- x", "the document must be a mapping"),
        ("json escapes", format!("{{\"a\": \"\\ud83d\\ude00\", \"b\": {}1", "[".repeat(1 << 20)), ""),
    ] {
        let start = cpu();
        let found = shown(&problems(&text));
        let took = cpu() - start;
        assert!(found.contains(expected), "{name}: {found}");
        assert!(took < Duration::from_secs(20), "{name} took {took:?}");
    }
}

#[test]
fn a_hundred_thousand_routes_are_read_and_printed_soon() {
    let route = |i: u32| {
        let [_, a, b, c] = i.to_be_bytes();
        format!(
            "  - destination: 10.{a}.{b}.{c}/32\n    next-hop-interface: eth1\n    next-hop-address: 192.0.2.1\n    \
             metric: 100\n    table-id: 254\n"
        )
    };
    let text: String = "routes:\n  config:\n"
        .chars()
        .chain((0..100_000).flat_map(|i| route(i).chars().collect::<Vec<_>>()))
        .collect();
    let start = cpu();
    let state = state(&text);
    let read = cpu() - start;
    let start = cpu();
    let printed = state.to_yaml();
    let took = cpu() - start;
    assert_eq!(state.config_routes().len(), 100_000);
    assert!(printed.len() > text.len() / 2);
    assert!(read < Duration::from_secs(20) && took < Duration::from_secs(5), "{read:?} {took:?}");
}

#[test]
fn a_snippet_shows_the_line_and_never_a_secret() {
    let text = "\
interfaces:
  - name: eth1
    type: ethernet
    mtu: big
    802.1x:
      pasword: hunter2
      private-key-password: |
        first-part
        second-part
      wrong: [hunter3]
      password: {a: hunter4}
";
    let document = Document::from_text(text).expect("it is YAML");
    let problems = document.state().expect_err("it is wrong");
    let snippets: Vec<String> = problems.iter().map(|p| document.snippet(p, "net.yml")).collect();
    assert_eq!(
        snippets[0],
        "\
error: InvalidArgument: interfaces[0].mtu: expected a whole number, found `big`
 --> net.yml:4:10
  |
4 |     mtu: big
  |          ^
"
    );
    assert_eq!(
        snippets[1],
        "\
error: InvalidArgument: interfaces[0].802.1x.pasword: unknown key `pasword`
 --> net.yml:6:7
  |
6 | (not shown: this line may hold a secret)
  = hint: did you mean `password`?
"
    );
    assert!(snippets[2].contains("10 |       wrong: [hunter3]"), "{}", snippets[2]);
    assert!(snippets[3].contains("expected text\n") && snippets[3].contains("(not shown"), "{}", snippets[3]);
    let all = snippets.concat();
    for secret in ["hunter2", "first-part", "second-part", "hunter4"] {
        assert!(!all.contains(secret), "{all}");
        assert!(!format!("{document:?} {:?}", document.node()).contains(secret));
    }
}

#[test]
fn problems_of_planning_find_their_line_through_aliases_and_replaced_entries() {
    let text = "\
interfaces:
  - name: bond0
    type: dummy
  - name: bond0
    type: bond
    bond:
      mode: active-backup
      ports:
        - eth1
        - eth1
";
    let document = Document::from_text(text).expect("it is YAML");
    let (state, warnings) = document.state().expect("it is right");
    assert_eq!(state.interfaces().len(), 1);
    assert_eq!(
        shown(&warnings),
        "2:5 interfaces[0]: a later entry for interface `bond0` replaces this one\n"
    );
    // The state has one interface, and knows only the canonical names of keys.
    let path = Path::interface(0).keys("link-aggregation.port").index(1);
    let placed = document.place(vec![Problem::invalid(path, "twice")]);
    assert_eq!(shown(&placed), "10:11 interfaces[1].link-aggregation.port[1]: twice\n");
    let missing = document.place(vec![Problem::invalid(Path::interface(0).keys("ipv4.enabled"), "missing")]);
    assert_eq!(shown(&missing), "4:5 interfaces[1].ipv4.enabled: missing\n");
}

#[test]
fn user_space_interfaces_may_share_a_name() {
    let text = "interfaces: [{name: br, type: ovs-bridge}, {name: br, type: ovs-interface}]";
    assert_eq!(state(text).interfaces().len(), 2);
}

#[test]
fn warnings_tell_what_is_ignored() {
    let text = "\
interfaces:
  - name: a
    state: absent
    mtu: nonsense
  - name: b
    type: dummy
    ipv4:
      enabled: true
      token: ::5
  - name: c
    type: vlam
";
    let document = Document::from_text(text).expect("it is YAML");
    let (state, warnings) = document.state().expect("it is right");
    assert_eq!(
        shown(&warnings),
        "\
2:5 interfaces[0]: only the identity of an absent interface is looked at; its other keys are ignored
9:7 interfaces[1].ipv4.token: key `token` does not belong to ipv4; it is ignored
11:11 interfaces[2].type: type `vlam` is not known; did you mean `vlan`?
"
    );
    assert_eq!(state.interfaces()[1].ipv4.as_ref().and_then(|ip| ip.token.clone()), None);
}

#[test]
fn only_a_query_knows_an_unknown_state() {
    let mut state = state("interfaces: [{name: a, type: dummy, state: unknown}, {name: b, type: dummy}]");
    assert_eq!(state.interfaces().len(), 2);
    state.drop_read_only();
    assert_eq!(state.interfaces().len(), 1);
}

#[test]
fn no_output_shows_a_secret_before_it_is_revealed() {
    let text = "\
interfaces:
- name: eth0
  type: ethernet
  802.1x: {identity: me, password: hunter2, private-key-password: hunter3}
- name: sec0
  type: macsec
  macsec: {encrypt: true, base-iface: eth0, port: 1, validation: strict, send-sci: true, mka-cak: hunter4}
- name: vpn
  type: ipsec
  libreswan: {right: 192.0.2.1, psk: hunter5}
- name: wlan0
  type: wifi
  wifi: {ssid: home, wpa-psk: {psk: hunter6}, pasword: [hunter7]}
";
    let mut state = state(text);
    let printed = [
        state.to_yaml(),
        state.to_json_pretty(),
        state.cli_form().to_yaml(),
        format!("{state:?}"),
        serde_json::to_string(&state).expect("it is JSON"),
    ];
    for printed in printed {
        assert!(!printed.contains("hunter"), "{printed}");
    }
    state.reveal_secrets();
    let revealed = state.to_yaml();
    for secret in 2..=7 {
        assert!(revealed.contains(&format!("hunter{secret}")), "{revealed}");
    }
    assert!(!format!("{state:?}").contains("hunter"));
}

#[test]
fn a_text_that_does_not_parse_shows_no_line_if_it_may_hold_secrets() {
    let text = "interfaces:\n- password: [hunter2\n";
    let problem = &problems(text)[0];
    assert!(!snippet_of_text(text, problem, "f").contains("hunter2"));
    let text = "interfaces:\n- mtu: [1500\n";
    let problem = Problem { at: Some(Position { line: 2, column: 8 }), ..problems(text)[0].clone() };
    assert!(snippet_of_text(text, &problem, "f").contains("2 | - mtu: [1500\n  |        ^\n"));
    // A password that looks like a tag is not repeated.
    assert!(!shown(&problems("password: !hunter2\n")).contains("hunter2"));
}

#[test]
fn the_command_line_form_has_its_own_order() {
    let state = state(
        "description: d\nhostname: {config: h}\ninterfaces: [{state: up, mtu: 9, profile-name: q, name: p, type: dummy}]\n",
    );
    assert_eq!(
        state.cli_form().to_yaml(),
        "\
hostname:
  config: h
route-rules: {}
routes: {}
interfaces:
- name: p
  type: dummy
  profile-name: q
  state: up
  mtu: 9
ovn: {}
description: d
"
    );
    assert_eq!(
        state.to_yaml(),
        "\
description: d
hostname:
  config: h
interfaces:
- name: p
  profile-name: q
  type: dummy
  state: up
  mtu: 9
"
    );
    assert_eq!(State::empty().to_yaml(), "interfaces: []\n");
}

#[test]
fn interfaces_print_sorted_by_bytes_of_name_and_then_by_type() {
    let names = "[{name: eth2}, {name: br, type: ovs-interface}, {name: eth10}, {name: br, type: ovs-bridge}, {name: Z}]";
    let printed = state(&format!("interfaces: {names}")).to_yaml();
    let again = state(&printed);
    let order: Vec<String> = again.interfaces().iter().map(|i| format!("{} {}", i.name, i.kind())).collect();
    assert_eq!(order, ["Z unknown", "br ovs-bridge", "br ovs-interface", "eth10 unknown", "eth2 unknown"]);
}

#[test]
fn many_problems_cost_little() {
    let text: String = (0..300_000).map(|i| format!("interfacs{i}: 1\n")).collect();
    let start = cpu();
    let document = Document::from_text(&text).expect("it is YAML");
    let problems = document.state().expect_err("it is wrong");
    let all: String = problems.iter().map(|problem| document.snippet(problem, "f")).collect();
    assert_eq!(problems.len(), PROBLEMS_MAX);
    assert!(all.contains("did you mean `interfaces`?"), "{all}");
    assert!(cpu() - start < Duration::from_secs(20), "{:?}", cpu() - start);
}
