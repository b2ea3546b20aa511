//! What netplan itself finds missing of what its files define: `netplan status --diff`, since 1.0.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::write::routes::{MAIN, table};
use super::{Config, Kind, Netdef, Tree};
use crate::state::{Interface, Mac, Route, State};

/// What it says with `--format json`, as far as it is about what the system lacks.
#[derive(Debug, Deserialize)]
pub struct Report {
    interfaces: BTreeMap<String, Compared>,
    /// By the ids of definitions.
    #[serde(default)]
    missing_interfaces_system: BTreeMap<String, serde::de::IgnoredAny>,
}

/// An interface that has a definition.
#[derive(Debug, Deserialize)]
struct Compared {
    id: Option<String>,
    system_state: Lacks,
}

/// Not leases (`missing_dhcp4_address`), which a server may give later or never; nor name servers, for which it
/// looks at systemd-resolved alone; nor what an interface is a port of, which that says, too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lacks {
    missing_addresses: Vec<String>,
    missing_routes: Vec<Destination>,
    missing_interfaces: Vec<String>,
    missing_macaddress: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Destination {
    to: String,
    via: Option<String>,
    table: Option<u32>,
    metric: Option<i64>,
}

/// Something that an interface lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The interface, or the definition of one that is not there.
    pub interface: String,
    /// As `address 192.0.2.7/24`.
    pub what: String,
}

impl Report {
    /// Among what the programs that netplan runs have to say beside it. None: it is not there.
    pub fn read(output: &str) -> Option<Self> {
        output.lines().filter(|line| line.starts_with('{')).find_map(|line| serde_json::from_str(line).ok())
    }

    /// What it finds missing of the definitions of `native`, and what is not there in `now` either: it compares
    /// texts, and so misses a default route that it calls otherwise, or one whose metric the renderer has
    /// chosen. `all`: those definitions with what others say of them.
    pub fn missing(&self, native: &Config, all: &Config, now: &State) -> Vec<Missing> {
        let netdef = |id: &str| {
            let netdef = native.netdefs.get(id).and(all.netdefs.get(id))?;
            is_expected(netdef, all).then_some(netdef)
        };
        let absent = self.missing_interfaces_system.keys().filter_map(|id| netdef(id));
        let absent = absent.filter(|netdef| is_made(netdef) && now.interface(&netdef.id).is_none());
        let mut missing: Vec<Missing> = absent
            .map(|netdef| Missing { interface: netdef.id.clone(), what: "the interface".into() })
            .collect();
        for (name, compared) in &self.interfaces {
            let is_ours = compared.id.as_deref().and_then(netdef).is_some();
            let Some(interface) = now.interface(name).filter(|_| is_ours) else { continue };
            let lacks = compared.system_state.lacking(interface, now);
            missing.extend(lacks.map(|what| Missing { interface: name.clone(), what }));
        }
        missing
    }
}

/// Whether an interface of that definition has to be there and ready when netplan has applied it. Wireless
/// networks and modems come when they are in reach; what Open vSwitch has, its own database tells.
fn is_expected(netdef: &Netdef, all: &Config) -> bool {
    let is_optional = netdef.get("optional").and_then(Tree::flag).unwrap_or(false);
    let is_off = netdef.get("activation-mode").is_some();
    let is_radio = matches!(netdef.kind, Kind::Wifi | Kind::Modem);
    let mode = netdef.get("parameters.mode").and_then(Tree::text);
    let is_switched = all.is_of_openvswitch(netdef) || matches!(mode, Some("balance-slb" | "balance-tcp"));
    !is_optional && !is_off && !is_radio && !is_switched
}

/// Whether netplan makes the interface. A tag of a virtual function (`renderer: sriov`) is none; what only
/// NetworkManager knows may have another name, and may be no interface.
fn is_made(netdef: &Netdef) -> bool {
    let is_tag = netdef.get("renderer").and_then(Tree::text) == Some("sriov");
    !netdef.kind.is_physical() && netdef.kind != Kind::NmDevice && !is_tag
}

impl Lacks {
    fn lacking<'a>(
        &'a self,
        interface: &'a Interface,
        now: &'a State,
    ) -> impl Iterator<Item = String> + use<'a> {
        let addresses = self.missing_addresses.iter().filter(|address| !has_address(interface, address));
        let routes = self.missing_routes.iter().filter(|route| !route.is_in(now));
        let is_port = |name: &&String| {
            let port = now.interface(name);
            port.is_none_or(|port| port.controller.as_deref() == Some(&interface.name))
        };
        let ports = self.missing_interfaces.iter().filter(move |name| !is_port(name));
        let mac = self.missing_macaddress.iter().filter(|mac| {
            // A port has that of its controller.
            let has_own = interface.controller.is_none();
            has_own && mac.parse::<Mac>().is_ok_and(|mac| interface.mac_address != Some(mac))
        });
        addresses
            .map(|address| format!("address {address}"))
            .chain(routes.map(ToString::to_string))
            .chain(ports.map(|port| format!("port {port}")))
            .chain(mac.map(|mac| format!("MAC address {mac}")))
    }
}

impl Destination {
    /// Whether such a route is there, whatever else is said of it.
    fn is_in(&self, now: &State) -> bool {
        let via = self.via.as_deref().map(str::parse);
        let is_one = |route: &Route| {
            let to = route.destination;
            to.is_some_and(
                |to| if self.to == "default" { to.prefix() == 0 } else { self.to.parse() == Ok(to) },
            ) && via.as_ref().is_none_or(|via| via.as_ref().ok() == route.next_hop_address.as_ref())
                && self.table.unwrap_or(MAIN) == table(route)
                && self.metric.is_none_or(|metric| route.metric == Some(metric))
        };
        now.running_routes().iter().chain(now.config_routes()).any(is_one)
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {}", self.to)?;
        self.via.iter().try_for_each(|via| write!(f, " via {via}"))?;
        self.table.iter().filter(|table| **table != MAIN).try_for_each(|table| write!(f, " table {table}"))
    }
}

fn has_address(interface: &Interface, text: &str) -> bool {
    let Some((ip, prefix)) = text.split_once('/') else { return false };
    let families = [&interface.ipv4, &interface.ipv6].into_iter().flatten();
    let mut addresses = families.filter_map(|ip| ip.address.as_deref()).flatten();
    addresses.any(|own| ip.parse() == Ok(own.ip) && prefix.parse() == Ok(own.prefix_length))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;
    use crate::netplan::{File, Files, Folder, NATIVE};
    use crate::state::Document;

    /// Of netplan 1.1.2 with networkd, on a network that was as it should be but for the tunnel, a lease and
    /// `eth9`, which was not plugged in. The first line is nmcli's.
    const NETWORKD: &str = r#"Error: NetworkManager is not running.
{"interfaces": {"admin0": {"index": 2, "name": "admin0", "id": "admin0", "system_state": {}, "netplan_state": {}}, "eth1": {"index": 3, "name": "eth1", "id": "eth1", "system_state": {"missing_routes": [{"family": 2, "to": "0.0.0.0/0", "via": "192.0.2.1", "metric": 77, "table": 254, "type": "unicast"}]}, "netplan_state": {"missing_routes": [{"family": 2, "to": "default", "via": "192.0.2.1", "metric": 77, "table": 254, "type": "unicast"}]}}, "br8": {"index": 6, "name": "br8", "id": "br8", "system_state": {"missing_dhcp4_address": true}, "netplan_state": {}}}, "missing_interfaces_system": {"eth9": {"type": "ethernet"}, "gre1": {"type": "tunnel"}}, "missing_interfaces_netplan": {"lo": {"type": "ethernet", "index": 1}}}
"#;

    /// The same with NetworkManager, which gives routes metrics of its own.
    const NETWORK_MANAGER: &str = r#"{"interfaces": {"eth1": {"index": 3, "name": "eth1", "id": "eth1", "system_state": {"missing_routes": [{"family": 2, "to": "0.0.0.0/0", "via": "192.0.2.1", "metric": 77, "table": 254, "type": "unicast"}, {"family": 2, "to": "198.51.100.0/24", "via": "192.0.2.1", "table": 254, "type": "unicast"}, {"family": 2, "to": "198.51.101.0/24", "via": "192.0.2.1", "table": 200, "type": "unicast"}]}, "netplan_state": {"missing_routes": [{"family": 2, "to": "198.51.100.0/24", "via": "192.0.2.1", "metric": 100, "table": 254, "type": "unicast"}]}}}, "missing_interfaces_system": {"eth9": {"type": "ethernet"}, "gre1": {"type": "tunnel"}}, "missing_interfaces_netplan": {}}
"#;

    fn config(yaml: &str) -> Config {
        let mut files = Files::default();
        files.insert(File::new(Folder::Run, NATIVE), yaml.to_owned());
        Config::read(&files).expect("it is understood")
    }

    fn now() -> State {
        let route = |to: &str, table: u32, metric: u32| {
            json!({"destination": to, "next-hop-interface": "eth1", "next-hop-address": "192.0.2.1",
                   "table-id": table, "metric": metric})
        };
        let network = json!({
            "interfaces": [
                {"name": "eth1", "type": "ethernet", "state": "up", "mac-address": "02:00:5E:10:00:01",
                 "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.7", "prefix-length": 24}]},
                 "ipv6": {"enabled": true, "address": [{"ip": "fe80::7", "prefix-length": 64}]}},
                {"name": "br8", "type": "linux-bridge", "state": "up"},
                {"name": "lab0", "type": "dummy", "state": "up", "controller": "br8"},
            ],
            "routes": {"running": [
                route("0.0.0.0/0", 254, 77), route("198.51.100.0/24", 254, 100), route("198.51.101.0/24", 200, 100),
            ]},
        });
        Document::from_json(&network).state().expect("it is one").0
    }

    fn missing(output: &str, yaml: &str) -> Vec<String> {
        let (report, config) = (Report::read(output).expect("a report"), config(yaml));
        let missing = report.missing(&config, &config, &now());
        missing.into_iter().map(|Missing { interface, what }| format!("{interface}: {what}")).collect()
    }

    const DOCUMENT: &str = "network: {ethernets: {eth1: {}, eth9: {}}, bridges: {br8: {dhcp4: true}}, tunnels: {gre1: {mode: gre}}}";

    #[test]
    fn what_the_kernel_has_after_all_is_not_missing() {
        for output in [NETWORKD, NETWORK_MANAGER] {
            assert_eq!(missing(output, DOCUMENT), ["gre1: the interface"]);
            let optional = DOCUMENT.replace("mode: gre", "mode: gre, optional: true");
            assert_eq!(missing(output, &optional), [""; 0]);
            assert_eq!(missing(output, "network: {ethernets: {eth1: {}}}"), [""; 0], "it is another's");
            let bond = "network: {bonds: {gre1: {parameters: {mode: balance-slb}}}, ethernets: {eth1: {}}}";
            assert_eq!(missing(output, bond), [""; 0], "no link is made for it");
        }
    }

    fn of_interface(name: &str, system_state: &Json) -> String {
        let interface = json!({"index": 3, "name": name, "id": name, "system_state": system_state});
        json!({"interfaces": {name: interface}, "missing_interfaces_system": {}}).to_string()
    }

    #[test]
    fn what_it_lacks_is_told() {
        for (name, lacks, told) in [
            (
                "eth1",
                json!({"missing_addresses": ["192.0.2.7/24", "192.0.2.8/24", "fe80::7/64"]}),
                vec!["eth1: address 192.0.2.8/24"],
            ),
            (
                "eth1",
                json!({"missing_routes": [{"to": "198.51.101.0/24", "via": "192.0.2.9", "table": 200},
                                          {"to": "default", "via": "192.0.2.1", "table": 254}]}),
                vec!["eth1: route 198.51.101.0/24 via 192.0.2.9 table 200"],
            ),
            ("br8", json!({"missing_interfaces": ["eth1", "lab0", "eth9"]}), vec!["br8: port eth1"]),
            ("eth1", json!({"missing_macaddress": "02:00:5e:10:00:01"}), vec![]),
            (
                "eth1",
                json!({"missing_macaddress": "02:00:5e:10:00:02"}),
                vec!["eth1: MAC address 02:00:5e:10:00:02"],
            ),
            (
                "eth1",
                json!({"missing_dhcp6_address": true, "missing_nameservers_addresses": ["192.0.2.53"]}),
                vec![],
            ),
        ] {
            assert_eq!(missing(&of_interface(name, &lacks), DOCUMENT), told, "{lacks}");
        }
    }

    #[test]
    fn what_is_no_report_is_none() {
        for output in
            ["", "Traceback (most recent call last):\n", "{\"interfaces\": 1}\n", "usage: netplan\n"]
        {
            assert!(Report::read(output).is_none(), "{output}");
        }
    }
}
