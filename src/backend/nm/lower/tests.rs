//! Golden text: from a document now, what NetworkManager keeps, and a document wanted to the work
//! between them.

use std::sync::Arc;

use super::lower;
use crate::backend::nm::choose::Profiles;
use crate::backend::nm::refuse::refuse;
use crate::backend::nm::work::{Step, Which, Work};
use crate::nm::image::{Active, Device, Image, Stored, Version};
use crate::nm::settings::{self, Wish, ovs_ports, write_ovs_port};
use crate::nm::{Profile, Value};
use crate::plan::{Capabilities, Options, Plan, plan};
use crate::state::{Document, Interface, InterfaceType, Route, State};

fn state(text: &str) -> State {
    Document::from_text(text).expect("the document has a form").state().expect("the document is right").0
}

/// A host, and its NetworkManager.
struct Host {
    now: State,
    image: Image,
}

impl Host {
    /// Everything that is there was brought up by profiles that say so.
    fn new(now: &str) -> Self {
        let now = state(now);
        let version = Version { major: 1, minor: 52, micro: 1, bits: 1, has_ovs: true };
        let mut host = Self { image: Image { version, ..Image::default() }, now: now.clone() };
        for interface in now.interfaces() {
            host.device(interface);
            let profile = host.profile_of(interface);
            host.store(&interface.name, 0, profile);
            host.activate(&interface.name, &interface.name, 0x4);
        }
        host
    }

    fn profile_of(&self, interface: &Interface) -> Profile {
        let mut profile = Profile::default();
        profile.set("connection", "uuid", interface.name.as_str());
        let controller = interface.controller.as_deref();
        let controller = self.now.interfaces().iter().find(|other| Some(other.name.as_str()) == controller);
        let routes: Vec<Route> = self.now.config_routes().to_vec();
        let own =
            routes.into_iter().filter(|route| route.next_hop_interface.as_ref() == Some(&interface.name));
        let own: Vec<Route> = own.collect();
        let wish = Wish {
            interface,
            said: interface,
            controller,
            routes: Some(&own).filter(|own| !own.is_empty()).map(Vec::as_slice),
            rules: None,
            dns: None,
            is_new: true,
        };
        settings::write(&mut profile, &wish, &self.image.version);
        profile
    }

    fn device(&mut self, interface: &Interface) {
        let kind = match interface.kind() {
            InterfaceType::OvsBridge => 26,
            InterfaceType::OvsInterface => 24,
            _ => 1,
        };
        let name = interface.name.clone();
        let device = Device { name, kind, state: 30, real: true, managed: true, ..Device::default() };
        self.image.devices.insert(format!("/devices/{}", interface.name), Arc::new(device));
    }

    /// Adds a stored profile.
    fn store(&mut self, uuid: &str, flags: u32, profile: Profile) {
        let stored = Stored { profile, flags, version_id: Some(1), ..Stored::default() };
        self.image.profiles.insert(format!("/profiles/{uuid}"), Arc::new(stored));
    }

    fn activate(&mut self, uuid: &str, device: &str, flags: u32) {
        let (profile, path) = (format!("/profiles/{uuid}"), format!("/devices/{device}"));
        let applied = self.image.profiles[&profile].profile.clone();
        let active = Active {
            id: uuid.into(),
            uuid: uuid.into(),
            kind: applied.kind().unwrap_or_default().into(),
            profile: Some(profile),
            device: Some(path.clone()),
            state: 2,
            flags,
            ..Active::default()
        };
        self.image.actives.insert(format!("/active/{uuid}"), Arc::new(active));
        let device = Arc::make_mut(self.image.devices.get_mut(&path).expect("the device is there"));
        device.active = Some(format!("/active/{uuid}"));
        device.state = 100;
        device.applied = Some(Arc::new((applied, 3)));
    }

    /// The ports of the bridges of Open vSwitch were brought up by profiles of their own.
    fn with_ports(mut self) -> Self {
        let ports: Vec<_> = self.now.interfaces().iter().flat_map(ovs_ports).collect();
        for port in ports {
            let name = port.port.name.clone();
            let uuid = format!("port-{name}");
            let mut profile = Profile::default();
            write_ovs_port(&mut profile, &port);
            profile.set("connection", "uuid", uuid.as_str());
            let device = Device { name, kind: 25, state: 30, real: true, managed: true, ..Device::default() };
            self.image.devices.insert(format!("/devices/{uuid}"), Arc::new(device));
            self.store(&uuid, 0, profile);
            self.activate(&uuid, &uuid, 0x4);
        }
        self
    }

    /// That interface was made by others; NetworkManager watches it.
    fn watched(mut self, name: &str) -> Self {
        let stored = self.image.profiles.get_mut(&format!("/profiles/{name}")).expect("it has a profile");
        Arc::make_mut(stored).flags = 0xf;
        self.activate(name, name, 0x84);
        self
    }

    /// Nothing is active on it, and NetworkManager has no profile of it.
    fn without_profile(mut self, name: &str) -> Self {
        self.image.profiles.remove(&format!("/profiles/{name}"));
        self.image.actives.remove(&format!("/active/{name}"));
        let device = self.image.devices.get_mut(&format!("/devices/{name}")).expect("the device is there");
        let device = Arc::make_mut(device);
        (device.active, device.applied, device.state) = (None, None, 10);
        self
    }

    /// The profile of an interface that is there has that property.
    fn with(mut self, name: &str, setting: &str, property: &str, value: impl Into<Value>) -> Self {
        let stored = self.image.profiles.get_mut(&format!("/profiles/{name}")).expect("it has a profile");
        Arc::make_mut(stored).profile.set(setting, property, value);
        let flags = self.image.actives[&format!("/active/{name}")].flags;
        self.activate(name, name, flags);
        self
    }

    fn plan(&self, wanted: &str) -> Plan {
        let profiles = Profiles::new(&self.image, &self.now);
        let capabilities = Capabilities {
            backend: "NetworkManager",
            interface_types: InterfaceType::known().collect(),
            vlan_filtering: true,
            volatile_until_commit: false,
            profiles: true,
            names: true,
            persists: true,
            ovs_local: false,
            own_net: None,
            dormant: profiles.dormant(&self.now),
            unkept: profiles.unkept(&self.now, &self.image),
        };
        let plan = plan(&state(wanted), &self.now, &capabilities, &Options::default());
        plan.expect("the wish can be planned")
    }

    /// Everything that is refused, as `KIND PATH: TEXT`.
    fn refused(&self, wanted: &str) -> Vec<String> {
        let types = InterfaceType::known().collect();
        let problems = refuse(&self.plan(wanted), &self.now, &self.image, &types);
        problems
            .iter()
            .map(|problem| format!("{} {}: {}", problem.kind, problem.path, problem.message))
            .collect()
    }

    fn work(&self, wanted: &str) -> Work {
        let plan = self.plan(wanted);
        let mut count = 0;
        lower(&plan, &self.now, &self.image, &mut || {
            count += 1;
            format!("new-{count}")
        })
    }

    /// What is done to get to a document, all of it.
    fn steps(&self, wanted: &str) -> Vec<String> {
        let Work { steps, awaits, scripts, kernel, database } = self.work(wanted);
        let mut lines: Vec<String> = scripts.iter().map(ToString::to_string).collect();
        lines.extend(steps.iter().map(ToString::to_string));
        lines.extend(awaits.iter().map(|wait| format!("then {wait}")));
        lines.extend(kernel.iter().map(|op| format!("kernel: {op}")));
        lines.extend(database.iter().map(|op| format!("database: {op}")));
        lines
    }

    /// What is written into a profile.
    fn written(&self, wanted: &str, name: &str) -> Profile {
        let steps = self.work(wanted).steps;
        let found = steps.into_iter().find_map(|step| match step {
            Step::Add { which, profile }
            | Step::Make { which, profile }
            | Step::Update { which, profile, .. } => (which == Which::kernel(name)).then_some(profile),
            _ => None,
        });
        found.expect("a profile is written")
    }
}

const TWO_NICS: &str = "
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, mac-address: 02:00:5E:10:00:01, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, mtu: 1500, mac-address: 02:00:5E:10:00:02, ipv4: {enabled: false}, ipv6: {enabled: false}}
";

const BRIDGE: &str = "
interfaces:
- {name: br0, type: linux-bridge, state: up, mtu: 1500, ipv4: {enabled: false}, ipv6: {enabled: false}, bridge: {port: [{name: eth1}]}}
- {name: br0.7, type: vlan, state: up, mtu: 1500, vlan: {base-iface: br0, id: 7}, ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 24}]}, ipv6: {enabled: false}}
- {name: eth1, type: ethernet, state: up, mtu: 1500, controller: br0, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: false}, ipv6: {enabled: false}}
";

#[test]
fn what_is_as_wanted_takes_no_step() {
    for document in [TWO_NICS, BRIDGE] {
        assert_eq!(Host::new(document).steps(document), [""; 0]);
    }
}

#[test]
fn a_new_bridge_takes_its_ports() {
    let wanted = "
interfaces:
- name: br1
  type: linux-bridge
  ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}
  bridge: {port: [{name: eth1}, {name: eth2, stp-path-cost: 7}]}
";
    let host = Host::new(TWO_NICS);
    assert_eq!(
        host.steps(wanted),
        [
            "add a profile of br1",
            "change the profile of eth1",
            "change the profile of eth2",
            "activate br1",
            "activate eth1",
            "activate eth2",
            "then br1 is ready",
            "then eth1 is ready",
            "then eth2 is ready",
        ]
    );
    let port = host.written(wanted, "eth2");
    assert_eq!(port.text("connection", "master"), Some("br1"));
    assert_eq!(port.get("bridge-port", "path-cost"), Some(&Value::U32(7)));
    assert!(!port.has("ipv4"));
    let bridge = host.written(wanted, "br1");
    assert_eq!(bridge.text("connection", "uuid"), Some("new-1"));
    assert_eq!(bridge.text("ipv4", "method"), Some("manual"));
}

#[test]
fn a_stack_comes_up_from_below_and_routes_stand_with_their_interface() {
    let wanted = "
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: bond0.5, next-hop-address: 203.0.113.9}
  - {destination: 10.0.0.0/8, route-type: blackhole}
interfaces:
- {name: bond0.5, type: vlan, vlan: {base-iface: bond0, id: 5}, ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}}
- {name: bond0, type: bond, link-aggregation: {mode: active-backup, port: [eth1, eth2]}}
";
    let host = Host::new(TWO_NICS);
    assert_eq!(
        host.steps(wanted),
        [
            "add a profile of bond0",
            "add a profile of bond0.5",
            "change the profile of eth1",
            "change the profile of eth2",
            "activate bond0",
            "activate bond0.5",
            "activate eth1",
            "activate eth2",
            "then bond0 is ready",
            "then bond0.5 is ready",
            "then eth1 is ready",
            "then eth2 is ready",
        ]
    );
    let vlan = host.written(wanted, "bond0.5");
    let routes = vlan.get("ipv4", "route-data").and_then(Value::as_dicts).expect("routes are written");
    assert_eq!(routes.len(), 1);
}

/// Steps for a change of one interface.
fn of_one(host: &Host, entry: &str) -> Vec<String> {
    host.steps(&format!("interfaces: [{{{entry}}}]"))
}

#[test]
fn only_what_cannot_be_reapplied_is_activated_again() {
    let host = Host::new(TWO_NICS);
    let reapplied = ["change the profile of eth1", "reapply the profile of eth1"];
    let activated = ["change the profile of eth1", "activate eth1", "then eth1 is ready"];
    let address = "name: eth1, ipv4: {enabled: true, address: [{ip: 192.0.2.2, prefix-length: 24}]}";
    assert_eq!(of_one(&host, address), reapplied);
    assert_eq!(of_one(&host, "name: eth1, mtu: 1400"), reapplied);
    assert_eq!(of_one(&host, "name: eth1, ipv4: {enabled: true, dhcp: true}"), reapplied);
    assert_eq!(of_one(&host, "name: eth1, mac-address: 02:00:5E:10:00:09"), activated);
    assert_eq!(of_one(&host, "name: eth1, accept-all-mac-addresses: true"), activated);
    assert_eq!(of_one(&host, "name: eth1, lldp: {enabled: true}"), reapplied);
}

#[test]
fn dhcp_goes_again_by_a_reapply() {
    let host = Host::new(
        "interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true}, ipv6: {enabled: false}}]",
    );
    let off = "name: eth1, ipv4: {enabled: false}";
    assert_eq!(of_one(&host, off), ["change the profile of eth1", "reapply the profile of eth1"]);
    let written = host.written(&format!("interfaces: [{{{off}}}]"), "eth1");
    assert_eq!(written.text("ipv4", "method"), Some("disabled"));
}

#[test]
fn a_vlan_with_another_id_ends_and_starts_again() {
    assert_eq!(
        of_one(&Host::new(BRIDGE), "name: br0.7, type: vlan, vlan: {base-iface: br0, id: 8}"),
        ["change the profile of br0.7", "deactivate br0.7", "activate br0.7", "then br0.7 is ready"]
    );
}

#[test]
fn a_port_moves() {
    let wanted = "
interfaces:
- {name: br0, type: linux-bridge, state: absent}
- {name: br1, type: linux-bridge, bridge: {port: [{name: eth1}]}}
";
    assert_eq!(
        Host::new(BRIDGE).steps(wanted),
        [
            "add a profile of br1",
            "change the profile of eth1",
            "delete the profile of br0.7",
            "delete br0.7",
            "delete the profile of br0",
            "delete br0",
            "activate br1",
            "activate eth1",
            "then br0.7 is gone",
            "then br0 is gone",
            "then br1 is ready",
            "then eth1 is ready",
        ]
    );
}

#[test]
fn the_options_of_a_port_stand_in_its_own_profile() {
    let wanted = "name: br0, type: linux-bridge, bridge: {port: [{name: eth1, stp-hairpin-mode: true}]}";
    assert_eq!(
        of_one(&Host::new(BRIDGE), wanted),
        ["change the profile of eth1", "activate eth1", "then eth1 is ready"]
    );
}

#[test]
fn a_controller_that_is_activated_again_takes_its_ports_along() {
    assert_eq!(
        of_one(&Host::new(BRIDGE), "name: br0, type: linux-bridge, mac-address: 02:00:5E:10:00:0B"),
        [
            "change the profile of br0",
            "activate br0",
            "activate eth1",
            "then br0 is ready",
            "then eth1 is ready",
        ]
    );
}

#[test]
fn down_keeps_the_profile() {
    assert_eq!(
        of_one(&Host::new(BRIDGE), "name: br0.7, state: down"),
        ["disconnect br0.7", "then br0.7 is disconnected"]
    );
    let host = Host::new(TWO_NICS).without_profile("eth2");
    assert_eq!(
        of_one(&host, "name: eth2, state: down"),
        ["add a profile of eth2", "activate eth2", "disconnect eth2", "then eth2 is disconnected"]
    );
}

#[test]
fn what_goes_loses_all_its_profiles() {
    let mut host = Host::new(TWO_NICS);
    let mut other = host.profile_of(&host.now.interfaces()[0]);
    other.set("connection", "id", "Wired connection 1");
    other.set("connection", "uuid", "default");
    host.store("default", 0x3, other);
    assert_eq!(
        of_one(&host, "name: eth1, state: absent"),
        [
            "delete the profile `Wired connection 1` of eth1",
            "delete the profile of eth1",
            "then eth1 is disconnected",
        ]
    );
    // Beside another profile it gives way by itself.
    let mtu = of_one(&host, "name: eth1, mtu: 1400");
    assert_eq!(mtu, ["change the profile of eth1", "reapply the profile of eth1"]);
}

#[test]
fn a_second_profile_goes_once_the_wanted_one_is_active() {
    let mut host = Host::new(TWO_NICS);
    let mut other = host.profile_of(&host.now.interfaces()[0]);
    other.set("connection", "id", "office");
    other.set("connection", "uuid", "office");
    host.store("office", 0, other);
    assert_eq!(
        of_one(&host, "name: eth1, mac-address: 02:00:5E:10:00:09"),
        [
            "change the profile of eth1",
            "activate eth1",
            "delete the profile `office` of eth1",
            "then eth1 is ready",
        ]
    );
}

const ROUTED: &str = "
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254, metric: 0}
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 254, metric: 0}
interfaces:
- {name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}, ipv6: {enabled: false}}
";

#[test]
fn routes_go_from_their_profile_and_those_of_others_from_the_kernel() {
    let absent = "routes: {config: [{state: absent, destination: 203.0.113.0/24, next-hop-interface: eth1}]}";
    let host = Host::new(ROUTED);
    assert_eq!(host.steps(absent), ["change the profile of eth1", "reapply the profile of eth1"]);
    let routes = host.written(absent, "eth1");
    let routes = routes.get("ipv4", "route-data").and_then(Value::as_dicts).expect("a route stays");
    assert_eq!(routes.len(), 1);
    assert_eq!(routes[0]["dest"].as_text(), Some("198.51.100.0"));
    let watched = Host::new(ROUTED).watched("eth1");
    assert_eq!(
        watched.steps(absent),
        ["kernel: remove route 203.0.113.0/24 via 192.0.2.9 dev eth1 metric 0 table 254"]
    );
}

#[test]
fn rules_stand_with_the_interface_whose_routes_they_lead_to() {
    let rules = "
route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 77, priority: 1000}]}
routes: {config: [{destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.9, table-id: 77}]}
";
    let host = Host::new(TWO_NICS);
    assert_eq!(host.steps(rules), ["change the profile of eth1", "reapply the profile of eth1"]);
    let written = host.written(rules, "eth1");
    let held = written.get("ipv4", "routing-rules").and_then(Value::as_dicts).expect("a rule is written");
    assert_eq!(held[0]["table"], Value::U32(77));
    // Without any interface of its family, the loopback holds it.
    let v6 = "route-rules: {config: [{ip-from: '2001:db8::/32', route-table: 77, priority: 1000}]}";
    let mut with_loopback = Host::new(
        "interfaces: [{name: lo, type: loopback, state: up, ipv4: {enabled: true}, ipv6: {enabled: true}}]",
    );
    with_loopback = with_loopback.watched("lo");
    assert_eq!(with_loopback.steps(v6), ["add a profile of lo", "activate lo", "then lo is ready"]);
}

#[test]
fn what_others_made_is_taken_over_by_a_new_profile() {
    let host = Host::new(ROUTED).watched("eth1");
    let wanted = "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]";
    assert_eq!(host.steps(wanted), ["add a profile of eth1", "activate eth1", "then eth1 is ready"]);
    let written = host.written(wanted, "eth1");
    assert_eq!(written.uuid(), Some("new-1"));
    assert_eq!(written.text("ipv4", "method"), Some("manual"));
    let routes = written.get("ipv4", "route-data").and_then(Value::as_dicts).expect("its routes stay");
    assert_eq!(routes.len(), 2);
}

#[test]
fn a_profile_for_several_devices_is_left_to_the_others() {
    let host = Host::new(TWO_NICS).with("eth1", "connection", "multi-connect", 3_i32);
    let wanted = "interfaces: [{name: eth1, type: ethernet, mtu: 1400}]";
    let steps = host.steps(wanted);
    assert_eq!(steps[..2], ["add a profile of eth1", "activate eth1"]);
    let written = host.written(wanted, "eth1");
    assert_eq!((written.uuid(), written.get("connection", "multi-connect")), (Some("new-1"), None));
    assert_eq!(written.text("ipv4", "method"), Some("manual"));
}

#[test]
fn one_end_of_a_veth_makes_both() {
    let wanted = "
interfaces:
- {name: v0, type: veth, veth: {peer: v1}, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
";
    assert_eq!(
        Host::new("interfaces: []").steps(wanted),
        [
            "add a profile of v0",
            "add a profile of v1",
            "activate v0",
            "wait until v1 is announced",
            "activate v1",
            "then v0 is ready",
            "then v1 is ready",
        ]
    );
}

#[test]
fn what_strayed_from_its_profile_is_brought_back() {
    let document = TWO_NICS.replace("mtu: 1500", "mtu: 1400");
    let mut host = Host::new(TWO_NICS);
    host.now = state(&document);
    assert_eq!(of_one(&host, "name: eth1, mtu: 1500"), ["activate eth1", "then eth1 is ready"]);
}

#[test]
fn a_stored_profile_comes_up_unchanged() {
    let mut host = Host::new("interfaces: []");
    let stored = state(
        "interfaces: [{name: d0, type: dummy, state: up, mtu: 1400, ipv4: {enabled: false}, ipv6: {enabled: false}}]",
    );
    let profile = host.profile_of(&stored.interfaces()[0]);
    host.store("d0", 0, profile);
    assert_eq!(of_one(&host, "name: d0, type: dummy, state: up"), ["activate d0", "then d0 is ready"]);
}

#[test]
fn what_only_a_profile_knows_is_forgotten() {
    let mut host = Host::new("interfaces: []");
    let stored = state("interfaces: [{name: d0, type: dummy, state: up}]");
    let profile = host.profile_of(&stored.interfaces()[0]);
    host.store("d0", 0, profile);
    for entry in ["name: d0, type: dummy, state: absent", "name: d0, state: absent"] {
        let scripts = ["activation", "deactivation"];
        let mut steps =
            scripts.map(|when| format!("remove the script that runs after {when} of d0")).to_vec();
        steps.push("delete the profile of d0".into());
        assert_eq!(of_one(&host, entry), steps);
    }
    assert_eq!(of_one(&host, "name: d1, state: absent"), [""; 0]);
    assert_eq!(of_one(&host, "name: d0, type: dummy, state: down"), [""; 0], "it is kept as it is");
    assert_eq!(of_one(&host, "name: d0, type: dummy, state: down, mtu: 1400"), ["change the profile of d0"]);
}

#[test]
fn other_names_and_the_host_name_are_not_networkmanagers() {
    let wanted = "
hostname: {running: a, config: b}
interfaces: [{name: eth1, alt-names: [{name: uplink}]}]
";
    assert_eq!(
        Host::new(TWO_NICS).steps(wanted),
        [
            "set the persistent host name to b",
            "kernel: add alternative name uplink to eth1",
            "kernel: set the host name to a",
        ]
    );
}

const SERVERS: &str = "dns-resolver: {config: {server: [192.0.2.53], search: [example.org]}}";

#[test]
fn name_servers_are_global_unless_systemd_resolved_listens() {
    let mut host = Host::new(TWO_NICS);
    assert_eq!(host.steps(SERVERS), ["set the global name servers"]);
    host.image.dns.mode = "systemd-resolved".into();
    assert_eq!(host.steps(SERVERS), ["change the profile of eth1", "reapply the profile of eth1"]);
    let written = host.written(SERVERS, "eth1");
    assert_eq!(
        written.get("ipv4", "dns-data").and_then(Value::as_texts),
        Some(&["192.0.2.53".to_owned()][..])
    );
}

#[test]
fn an_open_vswitch_bridge_has_profiles_of_its_ports() {
    let wanted = "
interfaces:
- name: ovs0
  type: ovs-bridge
  bridge:
    port:
    - {name: ovs0}
    - {name: bond7, link-aggregation: {mode: balance-slb, port: [{name: eth1}, {name: eth2}]}}
- {name: ovs0, type: ovs-interface, ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}}
";
    let host = Host::new(TWO_NICS);
    assert_eq!(
        host.steps(wanted),
        [
            "add a profile of bridge ovs0",
            "add a profile of port bond7",
            "add a profile of port ovs0",
            "add a profile of ovs0",
            "change the profile of eth1",
            "change the profile of eth2",
            "activate bridge ovs0",
            "activate port bond7",
            "activate port ovs0",
            "activate ovs0",
            "activate eth1",
            "activate eth2",
            "then bridge ovs0 is ready",
            "then port bond7 is ready",
            "then port ovs0 is ready",
            "then ovs0 is ready",
            "then eth1 is ready",
            "then eth2 is ready",
        ]
    );
    let port = host.written(wanted, "eth1");
    assert_eq!(
        (port.text("connection", "master"), port.text("connection", "slave-type")),
        (Some("bond7"), Some("ovs-port"))
    );
}

const SWITCH: &str = "
interfaces:
- {name: ovs5, type: ovs-bridge, state: up, bridge: {port: [{name: eth1}, {name: in5}]}}
- {name: eth1, type: ethernet, state: up, controller: ovs5, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: in5, type: ovs-interface, state: up, controller: ovs5, ipv4: {enabled: false}, ipv6: {enabled: false}}
";

#[test]
fn a_port_of_open_vswitch_moves_with_its_profile() {
    let wanted = "
interfaces:
- {name: ovs5, type: ovs-bridge, bridge: {port: [{name: in5}]}}
- {name: ovs6, type: ovs-bridge, bridge: {port: [{name: eth1}]}}
";
    let host = Host::new(SWITCH).with_ports();
    assert_eq!(host.steps(SWITCH), [""; 0]);
    assert_eq!(
        host.steps(wanted),
        [
            "add a profile of bridge ovs6",
            "change the profile of port eth1",
            "activate bridge ovs6",
            "activate port eth1",
            "activate eth1",
            "then bridge ovs6 is ready",
            "then port eth1 is ready",
            "then eth1 is ready",
            "database: remove port eth1 of bridge ovs5",
        ]
    );
}

#[test]
fn what_becomes_a_member_of_a_bond_of_the_same_switch_leaves_its_port() {
    let wanted = "
interfaces:
- name: ovs5
  type: ovs-bridge
  bridge:
    port:
    - {name: bond5, link-aggregation: {mode: active-backup, port: [{name: eth1}, {name: eth2}]}}
    - {name: in5}
";
    let host = Host::new(SWITCH).with_ports();
    assert_eq!(
        host.steps(wanted),
        [
            "add a profile of port bond5",
            "change the profile of eth1",
            "change the profile of eth2",
            "delete the profile `eth1-port` of port eth1",
            "activate port bond5",
            "activate eth1",
            "activate eth2",
            "then port bond5 is ready",
            "then eth1 is ready",
            "then eth2 is ready",
            "database: remove port eth1 of bridge ovs5",
        ]
    );
    for port in ["eth1", "eth2"] {
        assert_eq!(host.written(wanted, port).text("connection", "master"), Some("bond5"), "{port}");
    }
}

#[test]
fn what_others_made_in_open_vswitch_is_not_waited_for() {
    let now = "
interfaces:
- {name: ovs0, type: ovs-bridge, bridge: {port: [{name: in0}]}}
- {name: in0, type: ovs-interface, controller: ovs0}
";
    let gone = "interfaces: [{name: ovs0, type: ovs-bridge, state: absent}]";
    // Only the database can remove it, afterwards.
    let work = Host::new(now).without_profile("ovs0").without_profile("in0").work(gone);
    assert_eq!((work.steps, work.awaits), (Vec::new(), Vec::new()));
    assert!(!work.database.is_empty());
    assert_eq!(
        Host::new(now).steps(gone),
        [
            "delete the profile `in0-if` of in0",
            "delete the profile `ovs0-br` of bridge ovs0",
            "then in0 is gone",
            "then bridge ovs0 is gone",
            "database: remove bridge ovs0",
        ]
    );
}

#[test]
fn a_lease_that_is_waited_for_needs_an_activation() {
    let host = Host::new(TWO_NICS);
    let dhcp = "name: eth2, type: ethernet, ipv4: {enabled: true, dhcp: true}";
    let change = "change the profile of eth2";
    assert_eq!(of_one(&host, dhcp)[..2], [change, "reapply the profile of eth2"]);
    let waiting = format!("{dhcp}, wait-ip: ipv4");
    assert_eq!(of_one(&host, &waiting)[..2], [change, "activate eth2"]);
}

#[test]
fn what_this_networkmanager_cannot_do_is_refused_once_and_where_it_changes() {
    let now = "
interfaces:
- {name: eth1, type: ethernet, state: up, ethtool: {fec: {mode: rs}}, ipv4: {enabled: true}}
- {name: eth2, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
";
    let mut host = Host::new(now);
    let autoconf =
        "interfaces: [{name: eth1, type: ethernet, ipv6: {enabled: true, dhcp: false, autoconf: true}}]";
    assert_eq!(
        host.refused(autoconf),
        ["NotImplementedError interfaces[0].ipv6.dhcp: NetworkManager has no autoconf without DHCPv6"]
    );
    host.image.version = Version { major: 1, minor: 42, micro: 4, bits: 0, has_ovs: true };
    let fec = |mode: &str| {
        host.refused(&format!(
            "interfaces: [{{name: eth1, type: ethernet, mtu: 1400, ethtool: {{fec: {{mode: {mode}}}}}}}]"
        ))
    };
    assert_eq!(fec("rs"), Vec::<String>::new(), "the kernel shows it, and it stays");
    assert_eq!(
        fec("baser"),
        [
            "NotSupportedError interfaces[0].ethtool.fec: modes of error correction need NetworkManager 1.52 or \
          later; this is 1.42.4"
        ]
    );
    let route = |link: &str| {
        host.refused(&format!(
            "routes: {{config: [{{destination: 198.51.100.0/24, next-hop-interface: {link}, next-hop-address: 192.0.2.9}}]}}"
        ))
    };
    assert_eq!(route("eth2"), Vec::<String>::new());
    assert_eq!(
        route("eth1"),
        [
            "NotSupportedError routes.config: `198.51.100.0/24` through `eth1`, which has no IPv4 address: that \
          needs NetworkManager 1.46 or later; this is 1.42.4"
        ]
    );
    host.image.version.minor = 46;
    let alone = "routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9}]}";
    assert_eq!(host.refused(alone), Vec::<String>::new());
}

/// Routes that the loopback has held go, and it is as it was without a profile.
#[test]
fn the_loopback_keeps_no_profile_that_says_nothing() {
    let lo = "interfaces: [{name: lo, type: loopback, state: up, ipv4: {enabled: true, address: [{ip: 127.0.0.1, prefix-length: 8}]}, ipv6: {enabled: true, address: [{ip: '::1', prefix-length: 128}]}}]";
    let route = "{destination: 10.0.0.0/8, route-type: prohibit, metric: 5, table-id: 254}";
    let mut host = Host::new(&format!("{lo}\nroutes: {{config: [{route}]}}"));
    let mut holder = host.image.profiles["/profiles/lo"].profile.clone();
    holder.set("connection", "id", "lo");
    let routes = host.now.config_routes().to_vec();
    let lo = host.now.interfaces()[0].clone();
    let wish = Wish {
        interface: &lo,
        said: &lo,
        controller: None,
        routes: Some(&routes),
        rules: None,
        dns: None,
        is_new: false,
    };
    settings::write(&mut holder, &wish, &host.image.version);
    host.store("lo", 0, holder);
    host.activate("lo", "lo", 0x4);
    let work = host.work("routes: {config: [{state: absent, destination: 10.0.0.0/8}]}");
    let lines = |work: &Work| {
        let steps = work.steps.iter().map(ToString::to_string);
        let ops = work.kernel.iter().map(|op| format!("kernel: {op}"));
        steps.chain(work.awaits.iter().map(|what| format!("... {what}"))).chain(ops).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(&work),
        [
            "delete the profile of lo",
            "... lo has left its profile",
            "kernel: set ipv6 address generation of lo to 0"
        ]
    );
}
