//! `nmctl` without a daemon: documents made from documents. And policies that nobody would write.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nmstated::policy::Policy;
use nmstated::state::{Document, State};
use nmstated::tools::Given;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::{Value as Json, json};
use tempfile::TempDir;

const CURRENT: &str = "
interfaces:
- {name: lo, type: loopback, state: up, ipv4: {enabled: true, address: [{ip: 127.0.0.1, prefix-length: 8}]}}
- name: eth1
  type: ethernet
  state: up
  mtu: 1500
  mac-address: 02:00:00:00:00:01
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.7, prefix-length: 24}]}
  ipv6: {enabled: false}
- {name: eth2, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: false}, ipv6: {enabled: false}}
routes:
  running: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.1, metric: 100, table-id: 254}]
  config: []
dns-resolver: {running: {server: [192.0.2.53]}, config: {}}
";

/// A folder with files, and `nmctl` in it.
struct Folder(TempDir);

struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(name, text)| folder.write(name, text));
        folder.write("current.yml", CURRENT);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).expect("a file can be written");
    }

    fn nmctl(&self, arguments: &[&str]) -> Told {
        let output = Command::new(env!("CARGO_BIN_EXE_nmctl"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("NMCTL_SOCKET", "/nowhere/socket")
            .env_remove("RUST_BACKTRACE")
            .output()
            .expect("nmctl runs");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Told { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it prints.
    fn prints(&self, arguments: &[&str]) -> String {
        let told = self.nmctl(arguments);
        assert_eq!(told.code, Some(0), "{arguments:?}: {}", told.err);
        told.out
    }

    fn prints_state(&self, arguments: &[&str]) -> State {
        let text = self.prints(arguments);
        Document::from_text(&text).expect("YAML").state().expect("a state").0
    }
}

#[test]
fn statistic_tells_features_and_stacks_of_several_files() {
    let folder = Folder::new(&[
        ("a.yml", "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: eth2}]}}]"),
        ("b.yml", "routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1}]}"),
    ]);
    let text = folder.prints(&["statistic", "a.yml", "b.yml", "-c", "current.yml"]);
    assert_eq!(text, "topology:\n- linux-bridge -> ethernet\nfeatures:\n- static-route\n");
    let text = folder.prints(&["st", "a.yml", "--current", "current.yml", "--json"]);
    let json: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json, json!({"topology": ["linux-bridge -> ethernet"], "features": []}));
    let told = folder.nmctl(&["statistic", "a.yml"]);
    assert_eq!(told.code, Some(3), "without a file the daemon is asked: {}", told.err);
    folder.write(
        "a.yml",
        "interfaces:\n- name: bond0\n  type: bond\n  controller: br7\n  link-aggregation: {mode: 1}\n",
    );
    let told = folder.nmctl(&["statistic", "a.yml", "-c", "current.yml"]);
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    assert!(told.err.contains("--> a.yml:4:"), "{}", told.err);
}

#[test]
fn difference_and_revert_are_documents_that_can_be_applied() {
    let folder = Folder::new(&[(
        "new.yml",
        "interfaces:\n- {name: eth1, mtu: 1400, description: wan}\n- {name: d0, type: dummy}\n",
    )]);
    let text = folder.prints(&["difference", "current.yml", "new.yml"]);
    assert_eq!(
        text,
        "interfaces:\n- name: d0\n  type: dummy\n  state: up\n- name: eth1\n  description: wan\n  type: ethernet\n  state: up\n  mtu: 1400\n"
    );
    assert_eq!(folder.prints(&["gd", "current.yml", "current.yml"]), "interfaces: []\n");
    let text = folder.prints(&["gr", "new.yml", "-c", "current.yml"]);
    assert_eq!(
        text,
        "interfaces:\n- name: d0\n  type: dummy\n  state: absent\n- name: eth1\n  description: ''\n  type: ethernet\n  state: up\n  mtu: 1500\n"
    );
    let named = Folder::new(&[
        (
            "named.yml",
            "interfaces: [{name: eth1, type: ethernet, state: up, alt-names: [{name: a}, {name: b}]}]\n",
        ),
        ("without.yml", "interfaces: [{name: eth1, alt-names: [{name: b, state: absent}]}]\n"),
    ]);
    assert_eq!(
        named.prints(&["gd", "named.yml", "without.yml"]),
        "interfaces:\n- name: eth1\n  type: ethernet\n  state: up\n  alt-names:\n  - name: b\n    state: absent\n  - name: a\n"
    );
    let told = folder.nmctl(&["gd", "-", "-"]);
    assert_eq!((told.code, told.out.as_str()), (Some(2), ""));
}

#[test]
fn secrets_that_the_user_gave_are_given_back() {
    let folder = Folder::new(&[(
        "new.yml",
        "interfaces: [{name: eth1, type: ethernet, 802.1x: {identity: me, eap-methods: [md5], password: hush}}]",
    )]);
    for arguments in
        [&["difference", "current.yml", "new.yml"][..], &["format", "new.yml"], &["gc", "new.yml"]]
    {
        assert!(folder.prints(arguments).contains("hush"), "{arguments:?}");
    }
}

const POLICY: &str = "
capture:
  uplink-route: routes.running.destination == \"0.0.0.0/0\"
  uplink: interfaces.name == capture.uplink-route.routes.running.0.next-hop-interface
desired:
  interfaces:
  - name: \"{{ capture.uplink.interfaces.0.name }}\"
    type: ethernet
    mtu: 1400
";

#[test]
fn a_policy_is_filled_and_what_it_captured_can_be_used_again() {
    let folder = Folder::new(&[("policy.yml", POLICY), ("empty.yml", "")]);
    let filled = "interfaces:\n- name: eth1\n  type: ethernet\n  state: up\n  mtu: 1400\n";
    let arguments = ["policy", "policy.yml", "-c", "current.yml", "-o", "captured.yml"];
    assert_eq!(folder.prints(&arguments), filled);
    let captured = folder.0.path().join("captured.yml");
    let mode = fs::metadata(&captured).expect("it is written").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Nobody is asked for the present state.
    assert_eq!(folder.prints(&["policy", "policy.yml", "-a", "captured.yml"]), filled);
    let arguments = ["policy", "policy.yml", "-a", "captured.yml", "-o", "again.json", "--json"];
    let json: Json = serde_json::from_str(&folder.prints(&arguments)).expect("JSON");
    assert_eq!(json["interfaces"][0]["mtu"], 1400);
    let again: Json =
        serde_json::from_slice(&fs::read(folder.0.path().join("again.json")).expect("a file")).expect("JSON");
    assert_eq!(again["uplink"]["state"]["interfaces"][0]["name"], "eth1");
    assert_eq!(again["uplink"]["metaInfo"]["version"], "0");
    assert_eq!(folder.prints(&["policy", "empty.yml"]), "interfaces: []\n");

    let told = folder.nmctl(&["policy", "policy.yml", "-a", "empty.yml"]);
    assert_eq!(told.code, Some(1), "nothing is captured in an empty file");
    assert!(
        told.err.contains("PolicyError: desired.interfaces[0].name: there is no capture `uplink`"),
        "{}",
        told.err
    );
    assert!(told.err.contains("--> policy.yml:7:"), "{}", told.err);
    assert_eq!(folder.nmctl(&["policy", "policy.yml"]).code, Some(3), "the daemon is asked");
}

#[test]
fn format_and_validate_take_policies() {
    let folder = Folder::new(&[
        ("policy.yml", POLICY),
        ("same.yml", "interfaces: [{name: eth1, type: ethernet, mtu: 1500}]"),
    ]);
    let text = folder.prints(&["format", "policy.yml"]);
    assert!(text.starts_with("capture:\n  uplink-route: "), "{text}");
    folder.write("again.yml", &text);
    assert_eq!(folder.prints(&["format", "again.yml"]), text);
    let current: String = CURRENT.lines().map(|line| format!("  {line}\n")).collect();
    folder.write("whole.yml", &format!("{POLICY}current:\n{current}"));
    assert_eq!(
        folder.prints(&["format", "whole.yml"]),
        "interfaces:\n- name: eth1\n  type: ethernet\n  state: up\n  mtu: 1400\n"
    );
    for (arguments, words) in [
        (&["validate", "policy.yml", "-c", "current.yml"][..], "policy.yml: valid"),
        (
            &["validate", "policy.yml", "--offline"],
            "policy.yml: well-formed; what it captures depends on the network",
        ),
        (&["validate", "whole.yml", "--offline"], "whole.yml: well-formed; only nmstated knows"),
        (&["validate", "same.yml", "policy.yml", "-c", "current.yml"], "same.yml: valid\npolicy.yml: valid"),
    ] {
        let told = folder.nmctl(arguments);
        assert_eq!((told.code, told.out.as_str()), (Some(0), ""), "{arguments:?}: {}", told.err);
        assert!(told.err.contains(words), "{arguments:?}: {}", told.err);
    }
    folder.write("wrong.yml", "interfaces:\n- name: eth7\n  type: ethernet\n");
    let told = folder.nmctl(&["validate", "wrong.yml", "-c", "current.yml"]);
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("there is no Ethernet interface `eth7`\n --> wrong.yml:2:"), "{}", told.err);
}

#[test]
fn the_configuration_of_others_is_a_mapping_of_files() {
    let document = "
interfaces:
- {name: bond0, type: bond, ipv4: {enabled: true, dhcp: true}, link-aggregation: {mode: balance-rr, port: [eth1]}}
- {name: down0, type: dummy, state: down}
- {name: gone0, type: dummy, state: absent}
hostname: {config: host}
";
    let folder = Folder::new(&[("a.yml", document)]);
    let told = folder.nmctl(&["gc", "a.yml", "--json"]);
    assert_eq!(told.code, Some(0), "{}", told.err);
    assert!(told.err.contains("warning: the host name is left out"), "{}", told.err);
    assert!(told.err.contains("warning: `eth1` is not described"), "{}", told.err);
    let json: Json = serde_json::from_str(&told.out).expect("JSON");
    let files = json["NetworkManager"].as_array().expect("a list");
    let named: Vec<&str> = files.iter().filter_map(|file| file[0].as_str()).collect();
    assert_eq!(named, ["bond0.nmconnection", "down0.nmconnection", "eth1.nmconnection"]);
    let text = files[0][1].as_str().expect("text");
    assert!(text.starts_with("[connection]\nautoconnect-slaves=1\nid=bond0\n"), "{text}");
    // The UUID of the peer.
    assert!(
        text.contains("\nuuid=925b4a95-2de0-5b2d-bcf5-8b684a7e9cb4\n\n[bond]\nmode=balance-rr\n"),
        "{text}"
    );
    let yaml = folder.prints(&["configuration", "a.yml"]);
    assert!(yaml.starts_with("NetworkManager:\n- - bond0.nmconnection\n  - |\n    [connection]\n"), "{yaml}");
    assert_eq!(yaml, folder.prints(&["configuration", "a.yml"]), "the same again");

    folder.write("b.yml", "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: eth1}]}}]");
    let yaml = folder.prints(&["gc", "b.yml", "--backend", "netplan"]);
    assert!(yaml.starts_with("netplan:\n- - 90-nmstated.yaml\n  - |\n    "), "{yaml}");
    assert!(yaml.contains("renderer: \"networkd\""), "{yaml}");
    let yaml = folder.prints(&["gc", "b.yml", "--backend", "netplan", "--renderer", "NetworkManager"]);
    assert!(yaml.contains("renderer: \"NetworkManager\""), "{yaml}");
    folder.write("c.yml", "interfaces:\n- name: eth1\n  type: ethernet\n  dispatch: {post-activation: x}\n");
    let told = folder.nmctl(&["gc", "c.yml"]);
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    assert!(told.err.contains("InvalidArgument: interfaces[0].dispatch: "), "{}", told.err);
}

#[test]
fn names_of_cards_are_pinned_once() {
    let folder = Folder::new(&[]);
    fs::create_dir(folder.0.path().join("root")).expect("a folder");
    let pin = |more: &[&str]| {
        let mut arguments = vec!["persist-nic-names", "--root", "root", "-c", "current.yml"];
        arguments.extend(more);
        let told = folder.nmctl(&arguments);
        assert_eq!((told.code, told.out.as_str()), (Some(0), ""), "{arguments:?}: {}", told.err);
        told.err
    };
    let command_line = fs::read_to_string("/proc/cmdline").expect("the kernel tells it");
    if command_line.split_whitespace().any(|word| word == "net.ifnames=0") {
        assert!(pin(&[]).contains("there is nothing to pin"));
        return;
    }
    let links = folder.0.path().join("root/etc/systemd/network");
    assert!(pin(&["--dry-run"]).contains("98-nmstate-eth1.link would pin ifname=eth1:02:00:00:00:00:01"));
    assert!(!links.exists());
    assert!(pin(&[]).contains("`eth2` is not pinned: it has no MAC address"));
    let text = fs::read_to_string(links.join("98-nmstate-eth1.link")).expect("a file");
    assert_eq!(text, "# Generated by nmstate\n[Match]\nMACAddress=02:00:00:00:00:01\n\n[Link]\nName=eth1\n");
    assert!(pin(&[]).contains("names are pinned already"));
    assert_eq!(fs::read_dir(links).expect("a folder").count(), 2, "the file and the stamp");
}

#[test]
fn vlans_that_switches_announce_become_a_document() {
    let neighbors = r#"[[{"type": 127, "ieee-802-1-vlans": [{"name": "prod", "vid": 5}], "subtype": 3}]]"#;
    let state = format!(
        "interfaces: [{{name: eth1, type: ethernet, state: up, lldp: {{enabled: true, neighbors: {neighbors}}}}}]"
    );
    let folder = Folder::new(&[("heard.yml", &state)]);
    let state = folder.prints_state(&["autoconf", "-c", "heard.yml"]);
    assert_eq!(
        state.interface("prod").and_then(|own| own.vlan.as_ref()?.base_iface.as_deref()),
        Some("eth1")
    );
    let told = folder.nmctl(&["autoconf", "eth1,eth9", "-c", "heard.yml"]);
    assert_eq!((told.code, told.out.as_str()), (Some(1), ""));
    assert!(told.err.contains("NotFound: interfaces: there is no interface `eth9`"), "{}", told.err);
}

/// Every example becomes profiles, or is told why not with a place.
#[test]
fn every_example_becomes_configuration_or_is_refused_with_its_place() {
    let mut made = 0;
    for folder in ["docs/examples/host", "docs/examples/kernel", "docs/examples/managed"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            let text = fs::read_to_string(&path).expect("an example");
            let (given, _) = Given::read(Document::from_text(&text).expect("YAML")).expect("it is read");
            let (state, _) = given.state(None).expect("a state");
            match nmstated::tools::configuration::network_manager(&state) {
                Ok(configuration) => made += usize::from(!configuration.files.is_empty()),
                Err(problems) => {
                    for problem in given.place(problems) {
                        assert!(
                            problem.at.is_some() || problem.path.to_string() == "interfaces",
                            "{}: {problem}",
                            path.display()
                        );
                    }
                }
            }
        }
    }
    assert!(made > 30, "only {made} examples became profiles");
}

fn large(count: usize) -> String {
    let dummy = |n: usize| {
        format!(
            "- {{name: d{n}, type: dummy, state: up, ipv4: {{enabled: true, address: [{{ip: 10.{}.{}.1, prefix-length: 24}}]}}}}\n",
            n / 250,
            n % 250
        )
    };
    let vlan =
        |n: usize| format!("- {{name: d{n}.7, type: vlan, state: up, vlan: {{base-iface: d{n}, id: 7}}}}\n");
    let half = count / 2;
    (0..half)
        .map(dummy)
        .chain((0..half).map(vlan))
        .fold("interfaces:\n".to_owned(), |text, entry| text + &entry)
}

/// A bound for what grows with the square of the interfaces; the promise of a second is measured with an
/// optimised build.
#[test]
fn a_thousand_interfaces_take_no_time_worth_mentioning() {
    let folder = Folder::new(&[("large.yml", &large(1000)), ("empty.yml", "")]);
    for arguments in [
        &["format", "large.yml"][..],
        &["statistic", "large.yml", "-c", "empty.yml"],
        &["gd", "empty.yml", "large.yml"],
        &["gr", "large.yml", "-c", "empty.yml"],
        &["gc", "large.yml"],
        &["gc", "large.yml", "--backend", "netplan"],
        &["validate", "large.yml", "-c", "empty.yml"],
    ] {
        let start = Instant::now();
        folder.nmctl(arguments);
        assert!(start.elapsed() < Duration::from_secs(60), "{arguments:?}: {:?}", start.elapsed());
    }
    let state = folder.prints_state(&["gd", "empty.yml", "large.yml"]);
    assert_eq!(state.interfaces().len(), 1000);
}

/// Random policies made of true ones never make it panic. `NMSTATED_FUZZ_SECONDS` is how long.
#[test]
fn no_policy_makes_it_panic() {
    let seconds = std::env::var("NMSTATED_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let corpus: Vec<String> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/policy"))
        .expect("a folder")
        .map(|entry| fs::read_to_string(entry.expect("a file").path()).expect("text"))
        .collect();
    assert!(corpus.len() >= 3);
    let current = Document::from_text(CURRENT).expect("YAML").state().expect("a state").0;
    let mut random = Random(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (start, mut rounds, mut run) = (Instant::now(), 0_u64, 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        let mut text = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(6) {
            text = mutated(&text, &corpus, &mut random);
        }
        rounds += 1;
        let Ok(document) = Document::from_text(&text) else { continue };
        let Ok(policy) = Policy::read(document.node()) else { continue };
        let Ok(captured) = policy.capture(&current) else { continue };
        run += u64::from(policy.fill(&captured).is_ok());
    }
    assert!(rounds < 100 || run > 0, "of {rounds} policies none could be run");
}

struct Random(TestRng);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        use proptest::prelude::Rng;
        usize::try_from(self.0.next_u64() % end.max(1) as u64).expect("below a usize")
    }
}

/// Takes something out, says something twice, or puts something in that means something.
fn mutated(text: &str, corpus: &[String], random: &mut Random) -> String {
    const WORDS: [&str; 22] = [
        "|",
        "==",
        "!=",
        ":=",
        "\"",
        ".",
        "..",
        "{{",
        "}}",
        "{",
        "}",
        "capture",
        "capture.",
        "null",
        "interfaces",
        "0",
        "-1",
        " ",
        "\u{a0}",
        "é",
        "99999999999999999999",
        "desired:",
    ];
    let chars: Vec<char> = text.chars().collect();
    let (a, b) = (random.below(chars.len() + 1), random.below(12));
    let end = (a + b).min(chars.len());
    let of = |range: &[char]| range.iter().collect::<String>();
    let (before, middle, after) = (of(&chars[..a]), of(&chars[a..end]), of(&chars[end..]));
    match random.below(4) {
        0 => before + &after,
        1 => before + &middle + &middle + &after,
        2 => before + WORDS[random.below(WORDS.len())] + &middle + &after,
        _ => {
            let other: Vec<char> = corpus[random.below(corpus.len())].chars().collect();
            let start = random.below(other.len());
            let piece = of(&other[start..(start + b).min(other.len())]);
            before + &piece + &after
        }
    }
}
