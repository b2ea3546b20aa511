//! Every example, and every document of `tests/netplan/documents`, as netplan says it, by both renderers: `tests/netplan/RENDERER.txt` has our file, or why there
//! is none. `BLESS=1 cargo test --test netplan` writes what is now.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use nmstated::netplan::{
    Broken, Composed, Config, Device, Devices, File, Files, Folder, OWN, Refusal, Renderer, Target, Version,
    Wanted, Wish, compose, read,
};
use nmstated::state::{
    Bridge, Document, Interface, InterfaceState, InterfaceType, Mac, OvsBridge, OvsBridgePort, State,
};
use serde_json::{Value as Json, json};

const VERSION: Version = Version::new(1, 1, 2);

fn target(renderer: Renderer) -> Target {
    Target { renderer, version: VERSION }
}

/// Every example that asks for something, by its name.
fn examples() -> Vec<(String, State)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let folders =
        ["docs/examples/host", "docs/examples/kernel", "docs/examples/managed", "tests/netplan/documents"];
    for folder in folders {
        let mut files: Vec<_> = fs::read_dir(root.join(folder))
            .expect("a folder")
            .map(|entry| entry.expect("a file").path())
            .collect();
        files.sort();
        for file in files {
            let text = fs::read_to_string(&file).expect("an example");
            let document = Document::from_text(&text).expect("it is YAML");
            let (state, _) = document.state().unwrap_or_else(|problems| panic!("{problems:?}"));
            let name = file.file_name().expect("a name").to_string_lossy().into_owned();
            let folder = folder.trim_start_matches("docs/examples/");
            found.push((format!("{folder}/{name}"), state));
        }
    }
    found
}

fn ports(interface: &Interface) -> Vec<String> {
    let bond = interface.bond.as_deref().map(|bond| {
        let configured = bond.ports_config.iter().flatten().map(|port| port.name.clone());
        bond.port.clone().unwrap_or_else(|| configured.collect())
    });
    let bridge = interface.bridge.as_deref().and_then(Bridge::linux).and_then(|bridge| bridge.port.as_ref());
    let bridge = bridge.map(|ports| ports.iter().map(|port| port.name.clone()).collect());
    let vrf = interface.vrf.as_ref().and_then(|vrf| vrf.port.clone());
    bond.or(bridge).or(vrf).unwrap_or_else(|| ovs_ports(interface).iter().flat_map(members).collect())
}

fn ovs_ports(interface: &Interface) -> &[OvsBridgePort] {
    let bridge = interface.bridge.as_deref().and_then(Bridge::ovs);
    bridge.and_then(|bridge| bridge.port.as_deref()).unwrap_or_default()
}

fn members(port: &OvsBridgePort) -> Vec<String> {
    let members = port.bond.as_ref().and_then(|bond| bond.port.as_ref());
    members.map_or_else(|| vec![port.name.clone()], |all| all.iter().map(|one| one.name.clone()).collect())
}

/// Every bridge of Open vSwitch that netplan makes has an internal interface of its own name.
fn with_local(state: &State) -> State {
    let mut state = state.clone();
    let mut added = Vec::new();
    for bridge in state.interfaces.iter_mut().flatten() {
        let name = bridge.name.clone();
        if *bridge.kind() != InterfaceType::OvsBridge || ports(bridge).contains(&name) {
            continue;
        }
        let section = bridge.bridge.get_or_insert_with(|| Box::new(Bridge::Ovs(OvsBridge::empty())));
        let own = OvsBridgePort { name: name.clone(), bond: None, vlan: None };
        section.ovs_mut().expect("it is one").port.get_or_insert_default().push(own);
        added.push(Interface::new(name, InterfaceType::OvsInterface, InterfaceState::Up));
    }
    state.interfaces.get_or_insert_default().extend(added);
    state
}

/// What a planner makes of a document where nothing is yet, as far as it matters here.
fn wanted(state: &State) -> Wanted {
    let state = &with_local(state);
    let mut wanted = Wanted { ovs_db: state.ovs_db.clone(), ..Wanted::default() };
    for interface in state.interfaces() {
        if interface.is_absent() {
            wanted.absent.insert(interface.name.clone());
            continue;
        }
        let mut whole = interface.clone();
        if *whole.kind() == InterfaceType::Unknown {
            whole = Interface::new(&whole.name, InterfaceType::Ethernet, InterfaceState::Up);
        }
        let controller = state.interfaces().iter().find(|other| ports(other).contains(&interface.name));
        let can_be_port = *interface.kind() != InterfaceType::OvsBridge;
        if let Some(controller) = controller.filter(|_| can_be_port) {
            whole.controller = Some(controller.name.clone());
        }
        let said = whole.clone();
        wanted.interfaces.push(Wish { interface: whole, said, current: None });
    }
    // Ports that are there and are not mentioned themselves.
    let listed: BTreeSet<(String, String)> = state
        .interfaces()
        .iter()
        .flat_map(|interface| ports(interface).into_iter().map(|port| (port, interface.name.clone())))
        .collect();
    for (port, controller) in listed {
        if state.interface(&port).is_none() {
            let mut whole = Interface::new(port, InterfaceType::Ethernet, InterfaceState::Up);
            whole.controller = Some(controller);
            wanted.interfaces.push(Wish { said: whole.clone(), interface: whole, current: None });
        }
    }
    let routes = state.config_routes().iter().filter(|route| !route.is_absent()).cloned();
    let (nowhere, routes): (Vec<_>, Vec<_>) = routes.partition(|route| route.route_type.is_some());
    wanted.nowhere = (!nowhere.is_empty()).then_some(nowhere);
    wanted.routes = routes;
    for route in &mut wanted.routes {
        let vrf = route.vrf_name.as_deref().and_then(|vrf| state.interface(vrf)?.vrf.as_ref());
        route.table_id = vrf.and_then(|vrf| vrf.route_table_id).or(route.table_id);
    }
    if let Some(rules) = state.route_rules.as_ref().and_then(|rules| rules.config.clone()) {
        wanted.rules = Some(rules);
    }
    wanted.dns = state.dns_resolver.as_ref().and_then(|dns| dns.config.clone());
    wanted
}

fn config(files: &[(&str, &str)]) -> Config {
    let mut all = Files::default();
    for (name, text) in files {
        all.insert(File::new(Folder::Etc, *name), (*text).to_owned());
    }
    Config::read(&all).unwrap_or_else(|Broken { file, problem }| panic!("{file}: {problem}"))
}

fn hardware() -> Devices {
    ["eth0", "eth1", "eth2"]
        .into_iter()
        .enumerate()
        .map(|(index, name)| {
            let mac = format!("02:00:5E:10:00:0{index}").parse::<Mac>().expect("a MAC address");
            (name.to_owned(), Device { permanent_mac: Some(mac), driver: Some("virtio_net".to_owned()) })
        })
        .collect()
}

fn print(refusals: &[Refusal]) -> String {
    let mut text = String::new();
    for Refusal { interface, path, text: because } in refusals {
        let _ = match interface {
            Some(name) => writeln!(text, "refused: {name}: {path}: {because}"),
            None => writeln!(text, "refused: {path}: {because}"),
        };
    }
    text
}

#[test]
fn examples_are_said_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netplan");
    let empty = Config::default();
    let mut wrong = Vec::new();
    for renderer in [Renderer::Networkd, Renderer::NetworkManager] {
        let mut found = String::new();
        for (name, state) in examples() {
            let composed = compose(&empty, &empty, &wanted(&state), &target(renderer), &hardware());
            let text = match composed {
                Ok(composed) => composed.text,
                Err(refusals) => print(&refusals),
            };
            let _ = write!(found, "### {name}\n{text}\n");
        }
        let path = root.join(format!("{}.txt", renderer.word()));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &found).expect("the goldens can be written");
        } else {
            let recorded = fs::read_to_string(&path).unwrap_or_default();
            let cases = |text: &str| -> Vec<String> { text.split("### ").map(str::to_owned).collect() };
            let (recorded, found) = (cases(&recorded), cases(&found));
            wrong.extend(found.into_iter().filter(|case| !recorded.contains(case)));
        }
    }
    assert!(wrong.is_empty(), "not as recorded:\n{}", wrong.join("\n"));
}

/// What is said has to be in what is read, key by key.
fn differences(read: &Json, said: &Json, path: &str, found: &mut Vec<String>) {
    match said {
        Json::Object(keys) => {
            for (key, said) in keys {
                differences(&read[key], said, &format!("{path}.{key}"), found);
            }
        }
        Json::Array(said) if read.as_array().is_some_and(|read| read.len() == said.len()) => {
            for (index, said) in said.iter().enumerate() {
                differences(&read[index], said, &format!("{path}[{index}]"), found);
            }
        }
        _ if read != said => found.push(format!("{path}: said {said}, read {read}")),
        _ => {}
    }
}

/// Keys that netplan's files have no word for because nothing needs to be said, or that say it elsewhere.
const NOT_SAID: [&str; 8] = [
    "/bridge/allow-extra-ports",
    "/bridge/options/multicast-snooping",
    "/ipv4/allow-extra-address",
    "/vlan/reorder-headers",
    "/vlan/loose-binding",
    "/vlan/registration-protocol",
    "/vlan/protocol",
    "/copy-mac-from",
];

#[test]
fn what_is_written_is_read() {
    let empty = Config::default();
    let mut found = Vec::new();
    let mut count = 0;
    for renderer in [Renderer::Networkd, Renderer::NetworkManager] {
        for (name, state) in examples() {
            let wanted = wanted(&state);
            let Ok(composed) = compose(&empty, &empty, &wanted, &target(renderer), &hardware()) else {
                continue;
            };
            let own = config(&[(OWN, &composed.text)]);
            let shown = read(&own, &hardware());
            for wish in &wanted.interfaces {
                let mut said = serde_json::to_value(&wish.said).expect("an interface prints");
                if let Some(auth) = &mut said.get_mut("802.1x").and_then(Json::as_object_mut) {
                    auth.retain(|key, _| !key.contains("password"));
                }
                for path in NOT_SAID {
                    let (section, key) = path.rsplit_once('/').expect("a pointer has a slash");
                    if let Some(keys) = said.pointer_mut(section).and_then(Json::as_object_mut) {
                        keys.remove(key);
                    }
                }
                // A cable's end is Ethernet, too.
                if said.get("veth").is_some() {
                    said["type"] = "veth".into();
                }
                let place = format!("{} {name} {}", renderer.word(), wish.interface.name);
                let is_it = |shown: &&Interface| {
                    shown.name == wish.interface.name
                        && shown.kind().is_userspace() == wish.interface.kind().is_userspace()
                };
                match shown.interfaces().iter().find(is_it) {
                    Some(shown) => differences(&json!(shown), &said, &place, &mut found),
                    None if wish.interface.state() == InterfaceState::Down => {}
                    None => found.push(format!("{place}: not read")),
                }
                count += 1;
            }
            let said = wanted.routes.len() + wanted.nowhere.as_ref().map_or(0, Vec::len);
            if shown.config_routes().len() != said {
                found.push(format!("{name}: {said} routes said, {} read", shown.config_routes().len()));
            }
            // Written again, it is the same.
            let nothing = Wanted::default();
            let again =
                compose(&own, &empty, &nothing, &target(renderer), &hardware()).expect("nothing is asked");
            assert_eq!(again.text, composed.text, "{name}");
            let again = compose(&own, &empty, &wanted, &target(renderer), &hardware());
            assert_eq!(again.map(|composed| composed.text), Ok(composed.text), "{name}");
        }
    }
    assert!(count > 40, "only {count} interfaces");
    assert_eq!(found, [""; 0]);
}

/// One document over what is there: `own` is our file, `foreign` are those of the administrator.
fn over(own: &str, foreign: &[(&str, &str)], document: &str) -> Result<String, String> {
    let text = composed(own, foreign, document)?.text;
    Ok(text.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect())
}

fn composed(own: &str, foreign: &[(&str, &str)], document: &str) -> Result<Composed, String> {
    let document = Document::from_text(document).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (state, _) = document.state().unwrap_or_else(|problems| panic!("{problems:?}"));
    let (own, foreign) = (config(&[(OWN, own)]), config(foreign));
    let composed = compose(&own, &foreign, &wanted(&state), &target(Renderer::Networkd), &hardware());
    composed.map_err(|refusals| print(&refusals))
}

const INSTALLER: &str = "network:
  version: 2
  ethernets:
    eth0:
      match: {macaddress: \"02:00:5e:10:00:00\"}
      set-name: eth0
      dhcp4: true
      optional: true
    eth1:
      addresses: [192.0.2.1/24]
      routes:
      - to: default
        via: 192.0.2.254
      nameservers: {addresses: [192.0.2.53]}
";

#[test]
fn beside_others_only_the_difference_is_said() {
    let foreign = [("50-cloud-init.yaml", INSTALLER)];
    let more = "interfaces:
- name: eth1
  type: ethernet
  mtu: 1400
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}]}
  ipv6: {enabled: true}
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.254, metric: 0}
  - {destination: 10.0.0.0/8, next-hop-interface: eth1, next-hop-address: 192.0.2.253}
";
    let said = "network:
  version: 2
  ethernets:
    eth1:
      accept-ra: false
      addresses: [\"192.0.2.2/24\"]
      mtu: 1400
      routes:
      - {to: \"10.0.0.0/8\", via: \"192.0.2.253\"}
";
    assert_eq!(over("", &foreign, more).as_deref(), Ok(said));
    let off = "interfaces:
- name: eth0
  type: ethernet
  ipv4: {enabled: false}
  ipv6: {enabled: true, autoconf: true, dhcp: true}
";
    let said = "network:
  version: 2
  ethernets:
    eth0:
      accept-ra: true
      dhcp4: false
      dhcp6: true
";
    assert_eq!(over("", &foreign, off).as_deref(), Ok(said));
}

/// netplan takes no reference to what only a later file defines.
#[test]
fn what_later_files_define_is_named_before_it_is_referred_to() {
    let later = [("91-nmstated-native.yaml", "network: {ethernets: {eth1: {}}, bridges: {br0: {}}}")];
    let bond = "interfaces:
- {name: bond0, type: bond, link-aggregation: {mode: active-backup, port: [eth1]}, ipv4: {enabled: false}}
";
    let said = over("", &later, bond).expect("it can be said");
    assert!(said.contains("  ethernets:\n    eth1: {}\n"), "{said}");
    // It goes with the last that refers to it.
    let own = "network: {version: 2, bridges: {br0: {}}, vlans: {br0.5: {id: 5, link: br0}}}";
    let gone = "interfaces: [{name: br0.5, type: vlan, state: absent}]";
    assert_eq!(over(own, &later, gone).as_deref(), Ok(""));
}

#[test]
fn names_that_are_several_words_are_refused() {
    let patch = "interfaces:
- {name: ovs0, type: ovs-bridge, bridge: {port: [{name: p0 x}]}}
- {name: ovs1, type: ovs-bridge, bridge: {port: [{name: p1}]}}
- {name: p0 x, type: ovs-interface, patch: {peer: p1}}
- {name: p1, type: ovs-interface, patch: {peer: p0 x}}
";
    let refused = over("", &[], patch).expect_err("it is refused");
    assert!(refused.contains("netplan has no definitions with such a name: `p0 x`"), "{refused}");
    let bond = "interfaces:
- name: ovs0
  type: ovs-bridge
  bridge: {port: [{name: 'b0 -- set-manager ptcp:6640', link-aggregation: {mode: balance-slb, port: [{name: eth1}, {name: eth2}]}}]}
";
    let refused = over("", &[], bond).expect_err("it is refused");
    assert!(
        refused.contains("netplan has no definitions with such a name: `b0 -- set-manager ptcp:6640`"),
        "{refused}"
    );
}

#[test]
fn which_file_wins_is_told() {
    let foreign = [("50-cloud-init.yaml", INSTALLER)];
    let remarks = |document: &str| composed("", &foreign, document).expect("it can be said").remarks;
    let more = "interfaces:
- name: eth1
  type: ethernet
  mtu: 1400
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}]}
routes: {config: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.254, metric: 0}]}
";
    let file = "/etc/netplan/50-cloud-init.yaml";
    assert_eq!(
        remarks(more),
        [format!(
            "`eth1` is defined at {file}:9:5, too: 90-nmstated.yaml adds `accept-ra`, `addresses`, `link-local`, `mtu`"
        )]
    );
    assert_eq!(
        remarks("interfaces: [{name: eth0, type: ethernet, ipv4: {enabled: false}}]"),
        [format!(
            "`eth0` is defined at {file}:4:5, too: 90-nmstated.yaml is read later, wins for `dhcp4` ({file}:7:7), \
             and adds `accept-ra`, `link-local`"
        )]
    );
    assert_eq!(remarks("interfaces: [{name: eth2, type: ethernet, mtu: 1400}]"), [""; 0]);
}

#[test]
fn what_others_say_cannot_be_taken_back() {
    let last = "network: {ethernets: {eth2: {mtu: 1300}}}";
    let foreign = [("50-cloud-init.yaml", INSTALLER), ("99-last.yaml", last)];
    let refused = |document: &str| over("", &foreign, document).expect_err("it is refused");
    let only_there = "and only there it can be taken out";
    let file = "/etc/netplan/50-cloud-init.yaml";
    let other_address = "interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true, address: [{ip: 192.0.2.2, prefix-length: 24}]}}]";
    assert_eq!(
        refused(other_address),
        format!(
            "refused: eth1: ipv4.address: {file}:10:19 says `192.0.2.1/24` under `addresses`, {only_there}\n\
             refused: eth1: : {file}:12:9 says an entry under `routes`, {only_there}\n"
        )
    );
    assert_eq!(
        refused("interfaces: [{name: eth0, type: ethernet, state: absent}]"),
        format!("refused: eth0: state: {file}:4:5 defines it, and only there it can be removed\n")
    );
    assert_eq!(
        refused("interfaces: [{name: eth1, type: dummy}]"),
        format!("refused: eth1: type: {file}:9:5 defines it under `ethernets`\n")
    );
    assert_eq!(
        refused("interfaces: [{name: eth2, type: ethernet, mtu: 1400, ipv4: {enabled: true, dhcp: true}}]"),
        "refused: eth2: : /etc/netplan/99-last.yaml:1:30 comes after our file, and says another `mtu`\n"
    );
    let names = refused("dns-resolver: {config: {server: [198.51.100.53]}}");
    let said = format!("{file}:14:33 says the name server `192.0.2.53`, {only_there}");
    assert_eq!(names, format!("refused: dns-resolver.config: {said}\n"));
    let several = [("50-all.yaml", "network: {ethernets: {all: {match: {name: 'eth*'}, dhcp4: true}}}")];
    let found = over("", &several, "interfaces: [{name: eth0, type: ethernet, mtu: 1400}]");
    assert_eq!(
        found.expect_err("it is refused"),
        "refused: eth0: name: the definition at /etc/netplan/50-all.yaml:1:23 is for several: eth0, eth1, eth2\n"
    );
}

#[test]
fn a_definition_is_called_as_asked() {
    let own = "network:
  version: 2
  ethernets: {eth1: {renderer: networkd}, eth2: {renderer: networkd, addresses: [192.0.2.7/24]}}
  bridges: {br0: {renderer: networkd, interfaces: [eth1], parameters: {path-cost: {eth1: 5}}}}
  vlans: {lab0.7: {renderer: networkd, link: eth2, id: 7}}
";
    let named = |name: &str, more: &str| {
        format!("interfaces: [{{name: {name}, type: ethernet, ipv4: {{enabled: false}}, {more}}}]")
    };
    let said = over(own, &[], &named("eth1", "profile-name: wan, controller: br0")).expect("it can be said");
    assert!(said.contains("    wan:\n      renderer: \"networkd\"\n"), "{said}");
    assert!(said.contains("match:\n        name: \"eth1\"\n"), "{said}");
    assert!(
        said.contains("interfaces: [\"wan\"]") && said.contains("path-cost:\n          wan: 5\n"),
        "{said}"
    );
    assert!(!said.contains("    eth1:"), "{said}");
    let said = over(own, &[], &named("eth2", "profile-name: rack")).expect("it can be said");
    assert!(said.contains("link: \"rack\"") && !said.contains("    eth2:"), "{said}");
    // Asked for nothing else, it keeps its name.
    let rack = "network: {ethernets: {rack: {renderer: networkd, match: {name: eth2}}}}";
    let said = over(rack, &[], &named("eth2", "mtu: 1400")).expect("it can be said");
    assert!(said.contains("    rack:") && said.contains("name: \"eth2\""), "{said}");
}

#[test]
fn what_cannot_be_called_so_is_refused() {
    let named = |more: &str| format!("interfaces: [{{name: eth0, type: ethernet, {more}}}]");
    let refused = |own: &str, foreign: &[(&str, &str)], document: &str| {
        over(own, foreign, document).expect_err("it is refused")
    };
    let foreign = [("50-cloud-init.yaml", INSTALLER)];
    let file = "/etc/netplan/50-cloud-init.yaml:4:5";
    assert_eq!(
        refused("", &foreign, &named("profile-name: wan")),
        format!("refused: eth0: profile-name: {file} calls it `eth0`\n")
    );
    assert_eq!(
        refused("", &foreign, &named("identifier: name")),
        format!("refused: eth0: identifier: {file} says how it is found, and only there it can\n")
    );
    let taken = "refused: eth0: profile-name: `eth1` is another interface, or its definition\n";
    assert_eq!(refused("", &[], &named("profile-name: eth1")), taken);
    let wan = "network: {dummy-devices: {wan: {}}}";
    assert_eq!(refused(wan, &[], &named("profile-name: wan")), taken.replace("eth1", "wan"));
    let odd = refused("", &[], &named("profile-name: the rack"));
    assert!(
        odd.starts_with("refused: eth0: profile-name: netplan's definitions are called by letters"),
        "{odd}"
    );
    let other = named("profile-name: wan, identifier: mac-address, mac-address: '02:00:5E:10:00:77'");
    let text = "netplan finds hardware by its permanent MAC address, and `eth0` has 02:00:5E:10:00:00";
    assert_eq!(refused("", &[], &other), format!("refused: eth0: identifier: {text}\n"));
    let made = refused("", &[], "interfaces: [{name: lab0, type: dummy, profile-name: lab}]");
    let text = "what netplan makes is called as its definition, and networkd knows no other name";
    assert_eq!(made, format!("refused: lab0: profile-name: {text}\n"));
}

#[test]
fn no_virtual_functions_is_nothing_that_netplan_hears() {
    let own = config(&[(OWN, "network: {ethernets: {eth0: {virtual-function-count: 4}}}")]);
    let state = |count: u32| {
        let text = format!(
            "interfaces: [{{name: eth0, type: ethernet, ethernet: {{sr-iov: {{total-vfs: {count}}}}}}}]"
        );
        Document::from_text(&text).expect("YAML").state().expect("a valid state").0
    };
    let asks = |count: u32| {
        let mut wanted = wanted(&state(count));
        wanted.interfaces[0].current = state(4).interfaces().first().cloned();
        compose(&own, &Config::default(), &wanted, &target(Renderer::Networkd), &hardware())
    };
    let path = "refused: eth0: ethernet.sr-iov.total-vfs: netplan has no way to say `0`\n";
    assert_eq!(print(&asks(0).expect_err("it is refused")), path);
    assert!(asks(3).expect("it can be said").text.contains("virtual-function-count: 3\n"));
}

#[test]
fn what_goes_is_taken_out_of_everything() {
    let own = "network:
  version: 2
  ethernets: {eth1: {renderer: networkd}, eth2: {renderer: networkd}}
  dummy-devices: {d0: {renderer: networkd, addresses: [192.0.2.7/24], nameservers: {addresses: [192.0.2.53]}}}
  bridges:
    br0: {renderer: networkd, interfaces: [eth1, eth2], parameters: {stp: false, path-cost: {eth1: 5, eth2: 6}}}
";
    let document = "interfaces: [{name: eth1, type: ethernet, state: absent}]";
    let said = "network:
  version: 2
  bridges:
    br0:
      renderer: \"networkd\"
      interfaces: [\"eth2\"]
      parameters:
        path-cost:
          eth2: 6
        stp: false
  ethernets:
    eth2:
      renderer: \"networkd\"
  dummy-devices:
    d0:
      renderer: \"networkd\"
      addresses: [\"192.0.2.7/24\"]
      nameservers:
        addresses: [\"192.0.2.53\"]
";
    assert_eq!(over(own, &[], document).as_deref(), Ok(said));
    let all = "interfaces:
- {name: eth1, type: ethernet, state: absent}
- {name: eth2, type: ethernet, state: absent}
- {name: d0, type: dummy, state: absent}
- {name: br0, type: linux-bridge, state: absent}
";
    assert_eq!(over(own, &[], all).as_deref(), Ok(""));
}

#[test]
fn rules_and_names_stay_where_they_are_held() {
    let own = "network:
  version: 2
  dummy-devices:
    d0: {renderer: networkd, addresses: [192.0.2.7/24], routing-policy: [{from: 192.0.2.0/24, table: 200, priority: 5}]}
    d1: {renderer: networkd, addresses: [198.51.100.7/24], routes: [{to: 0.0.0.0/0, via: 198.51.100.1}]}
";
    let document = "route-rules:
  config:
  - {ip-from: 192.0.2.0/24, route-table: 200, priority: 5}
  - {ip-to: 203.0.113.0/24, route-table: 300}
dns-resolver: {config: {server: [203.0.113.53], search: [example.org]}}
";
    let said = "network:
  version: 2
  dummy-devices:
    d0:
      renderer: \"networkd\"
      addresses: [\"192.0.2.7/24\"]
      routing-policy:
      - {from: \"192.0.2.0/24\", priority: 5, table: 200}
      - {to: \"203.0.113.0/24\", priority: 30000, table: 300}
    d1:
      renderer: \"networkd\"
      addresses: [\"198.51.100.7/24\"]
      nameservers:
        addresses: [\"203.0.113.53\"]
        search: [\"example.org\"]
      routes:
      - {to: \"0.0.0.0/0\", via: \"198.51.100.1\"}
";
    assert_eq!(over(own, &[], document).as_deref(), Ok(said));
}

/// The same where everything is there already, as the document says it.
fn over_what_is_there(
    own: &str,
    foreign: &[(&str, &str)],
    document: &str,
    renderer: Renderer,
    left_out: &[&str],
) -> Result<String, String> {
    let state = Document::from_text(document).expect("YAML").state().expect("a valid state").0;
    let mut wanted = wanted(&state);
    wanted.interfaces.retain(|wish| !left_out.contains(&wish.interface.name.as_str()));
    for wish in &mut wanted.interfaces {
        wish.current = Some(wish.interface.clone());
    }
    let (own, foreign) = (config(&[(OWN, own)]), config(foreign));
    let composed = compose(&own, &foreign, &wanted, &target(renderer), &hardware());
    composed.map(|composed| composed.text).map_err(|refusals| print(&refusals))
}

#[test]
fn what_a_bridge_says_of_its_port_stays_until_the_bridge_says_otherwise() {
    let own = "network:
  version: 2
  ethernets:
    eth1:
      renderer: NetworkManager
      hairpin: true
      networkmanager: {passthrough: {bridge-port.vlans: 5 pvid untagged}}
  bridges: {br0: {renderer: NetworkManager, interfaces: [eth1], parameters: {stp: false}}}
";
    let renderer = Renderer::NetworkManager;
    let mtu = "interfaces: [{name: eth1, type: ethernet, mtu: 1400, controller: br0}]";
    let said = over_what_is_there(own, &[], mtu, renderer, &[]).expect("it can be said");
    assert!(said.contains("mtu: 1400\n"), "{said}");
    assert!(said.contains("hairpin: true\n"), "{said}");
    assert!(said.contains("bridge-port.vlans: \"5 pvid untagged\"\n"), "{said}");
    let off = "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: eth1, stp-hairpin-mode: false}]}}]";
    for left_out in [&["eth1"][..], &[]] {
        let said = over_what_is_there(own, &[], off, renderer, left_out).expect("it can be said");
        assert!(!said.contains("hairpin") && !said.contains("vlans"), "{said}");
        assert!(said.contains("interfaces: [\"eth1\"]\n"), "{said}");
    }
    let free = "interfaces: [{name: eth1, type: ethernet, controller: ''}]";
    let said = over_what_is_there(own, &[], free, renderer, &[]).expect("it can be said");
    assert!(!said.contains("hairpin") && !said.contains("vlans"), "{said}");
    // Where somebody else says it.
    let theirs = [(
        "10-admin.yaml",
        "network: {ethernets: {eth1: {hairpin: true}}, bridges: {br0: {interfaces: [eth1]}}}",
    )];
    let said = over_what_is_there("", &theirs, off, Renderer::Networkd, &["eth1"]).expect("it can be said");
    assert!(said.contains("    eth1:\n      hairpin: false\n"), "{said}");
}

#[test]
fn a_port_that_leaves_its_bond_is_preferred_no_longer() {
    let own = "network:
  ethernets: {eth1: {renderer: networkd}, eth2: {renderer: networkd}}
  bonds: {bond0: {renderer: networkd, interfaces: [eth1, eth2], parameters: {mode: active-backup, primary: eth1}}}
";
    let document = "interfaces: [{name: bond0, type: bond, link-aggregation: {mode: active-backup, port: [eth2], options: {primary: eth1}}}]";
    let state = Document::from_text(document).expect("YAML").state().expect("a valid state").0;
    let mut wanted = wanted(&state);
    // It is so, and nobody has said it.
    wanted.interfaces[0].said.bond.as_mut().expect("it is one").options = None;
    let compose = |wanted: &Wanted| {
        let own = config(&[(OWN, own)]);
        compose(&own, &Config::default(), wanted, &target(Renderer::Networkd), &hardware())
    };
    let said = compose(&wanted).expect("it can be said").text;
    assert!(said.contains("interfaces: [\"eth2\"]\n") && !said.contains("primary"), "{said}");
    let gone = Wanted { absent: ["eth1".to_owned()].into_iter().collect(), ..Wanted::default() };
    let said = compose(&gone).expect("it can be said").text;
    assert!(said.contains("interfaces: [\"eth2\"]\n") && !said.contains("primary"), "{said}");
}

#[test]
fn what_ours_adds_to_rules_and_names_of_others_stays() {
    let rule = "network: {ethernets: {eth1: {routing-policy: [{from: 10.0.0.0/8, table: 7, priority: 70}]}}}";
    let foreign = [("50-cloud-init.yaml", INSTALLER), ("60-rule.yaml", rule)];
    let own = "network:
  ethernets:
    eth1:
      nameservers: {addresses: [198.51.100.53]}
      routing-policy: [{from: 192.0.2.0/24, table: 200, priority: 5}]
";
    let more = "interfaces:
- {name: eth1, type: ethernet, mtu: 1400, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
routes: {config: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.254}]}
";
    let said = "network:
  version: 2
  ethernets:
    eth1:
      accept-ra: false
      link-local: []
      mtu: 1400
      nameservers:
        addresses: [\"198.51.100.53\"]
      routing-policy:
      - {from: \"192.0.2.0/24\", priority: 5, table: 200}
";
    assert_eq!(over(own, &foreign, more).as_deref(), Ok(said));
    // Also with a server that is added now.
    let names = format!("{more}dns-resolver: {{config: {{server: [192.0.2.53, 203.0.113.53]}}}}\n");
    let said = over("", &foreign[..1], &names).expect("it can be said");
    assert!(said.contains("addresses: [\"203.0.113.53\"]\n"), "{said}");
}

#[test]
fn a_name_server_of_others_is_the_same_in_other_words() {
    let theirs = "network: {ethernets: {eth2: {nameservers: {addresses: ['2001:DB8:0::53']}}}}";
    let names = "dns-resolver: {config: {server: ['2001:db8::53']}}";
    assert_eq!(over("", &[("10-admin.yaml", theirs)], names).as_deref(), Ok(""));
}

#[test]
fn routes_of_others_that_lead_nowhere_are_no_interfaces() {
    let theirs = "network:
  ethernets:
    eth2:
      routes: [{to: 203.0.113.0/24, type: blackhole}, {to: 203.0.113.7/32, type: local, scope: host}]
";
    let foreign = [("10-admin.yaml", theirs)];
    let said = over("", &foreign, "interfaces: [{name: eth2, type: ethernet, mtu: 1400}]");
    let said = said.expect("it can be said");
    assert!(said.contains("mtu: 1400\n") && !said.contains("routes"), "{said}");
    let route = |to: &str| format!("routes: {{config: [{{destination: {to}, route-type: blackhole}}]}}");
    assert_eq!(over("", &foreign, &route("203.0.113.0/24")).as_deref(), Ok(""), "they say it");
    assert_eq!(
        over("", &foreign, &route("198.51.100.0/24")).expect_err("it is refused"),
        "refused: routes.config: /etc/netplan/10-admin.yaml:4:16 says a route that leads nowhere, and only there it \
         can be taken out\n"
    );
}

#[test]
fn what_others_leave_out_of_leases_can_be_taken_again() {
    let theirs =
        "network: {ethernets: {eth2: {dhcp4: true, dhcp4-overrides: {use-dns: false, route-metric: 50}}}}";
    let foreign = [("10-admin.yaml", theirs)];
    let document = |dns: bool| {
        format!(
            "interfaces: [{{name: eth2, type: ethernet, ipv4: {{enabled: true, dhcp: true, auto-dns: {dns}, auto-route-metric: \
             50}}}}]"
        )
    };
    let said = over("", &foreign, &document(true)).expect("it can be said");
    assert!(said.contains("dhcp4-overrides:\n        use-dns: true\n"), "{said}");
    let said = over("", &foreign, &document(false)).expect("it can be said");
    assert!(!said.contains("overrides"), "{said}");
    let theirs = "network: {ethernets: {eth2: {auth: {key-management: 802.1x, method: tls, identity: lab}}}}";
    assert_eq!(
        over("", &[("10-admin.yaml", theirs)], "interfaces: [{name: eth2, type: ethernet}]")
            .expect_err("it is refused"),
        "refused: eth2: 802.1x: /etc/netplan/10-admin.yaml:1:30 says how it authenticates, and only there it can be taken \
         out\n"
    );
}

#[test]
fn a_password_is_another_in_other_letters() {
    let auth = |password: &str| {
        format!(
            "network: {{ethernets: {{eth2: {{auth: {{key-management: 802.1x, method: peap, identity: lab, password: \
             {password}}}}}}}}}"
        )
    };
    let theirs = auth("Secret");
    let document = |identity: &str| {
        format!(
            "interfaces: [{{name: eth2, type: ethernet, 802.1x: {{identity: {identity}, eap-methods: [peap], password: \
             secret}}}}]"
        )
    };
    let said = over("", &[("10-admin.yaml", &theirs)], &document("lab")).expect("it can be said");
    assert!(said.contains("auth:\n        password: \"secret\"\n"), "{said}");
    // wpa_supplicant's file has lines, and some of them load libraries.
    let refused =
        over("", &[], &document("\"lab\\n}\\npkcs11_module_path=/tmp/x\"")).expect_err("it is refused");
    assert_eq!(
        refused,
        "refused: eth2: : there is a control character in `auth` of netplan's definition `eth2`\n"
    );
}
