//! From netdefs to a document: what a configuration says of interfaces, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::row::put;
use super::tables::rows;
use super::write::{openvswitch, read_auth, read_ip, routes};
use super::{Config, Devices, Kind, Netdef, Renderer, Tree, row};
use crate::state::{
    DnsResolver, DnsSettings, Interface, InterfaceState, InterfaceType, Net, Node, Part, Reader, Route,
    RouteRules, Routes, State,
};

/// What a configuration says: its interfaces (of definitions of hardware those that are there and match), with
/// what it says of each, static routes and rules, and name servers with their domains.
pub fn read(config: &Config, devices: &Devices) -> State {
    let names = Names::new(config, devices);
    let mut interfaces = Vec::new();
    let mut found = State::empty();
    let (mut list, mut rules) = (Vec::new(), Vec::new());
    let mut dns = DnsSettings { server: Some(Vec::new()), search: Some(Vec::new()), options: None };
    for netdef in config.netdefs.values() {
        for name in names.of(netdef) {
            let made = kinds_of(config, netdef, name);
            interfaces.extend(made.iter().map(|kind| interface(config, netdef, kind, name, &names)));
            list.extend(static_routes(netdef, name));
            let entries = netdef.get("routing-policy").map(Tree::items).unwrap_or_default();
            rules.extend(entries.iter().filter_map(routes::read_rule));
            resolver(netdef, name, &mut dns);
        }
    }
    interfaces.extend(openvswitch::read_patches(config));
    found.interfaces = Some(interfaces);
    found.routes = Some(Routes { running: None, config: Some(list.into()) });
    found.route_rules = Some(RouteRules { config: Some(rules) });
    found.dns_resolver = Some(DnsResolver { running: None, config: Some(dns) });
    found
}

/// Definitions and the interfaces that they are for.
struct Names<'a> {
    of: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Names<'a> {
    fn new(config: &'a Config, devices: &'a Devices) -> Self {
        let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for netdef in config.netdefs.values() {
            let is_matched = netdef.kind.is_physical() && netdef.get("match").is_some();
            let named = match is_matched {
                true => netdef.devices(devices),
                false => vec![device_name(netdef)],
            };
            of.insert(&netdef.id, named);
        }
        Self { of }
    }

    fn of(&self, netdef: &Netdef) -> &[&'a str] {
        self.of.get(netdef.id.as_str()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The interface that a definition refers to.
    fn one(&self, id: &str) -> String {
        self.of.get(id).and_then(|names| names.first()).copied().unwrap_or(id).to_owned()
    }
}

/// Devices that only NetworkManager knows have ids that need not be their names.
fn device_name(netdef: &Netdef) -> &str {
    let passed = row::passed(&netdef.keys, "connection.interface-name").and_then(Tree::text);
    passed.filter(|_| netdef.kind == Kind::NmDevice).unwrap_or(&netdef.id)
}

/// What a definition makes: of Open vSwitch a bridge with an interface of its own, and of a bond there nothing
/// beside the bridge.
fn kinds_of(config: &Config, netdef: &Netdef, name: &str) -> Vec<InterfaceType> {
    match (config.is_of_openvswitch(netdef), netdef.kind) {
        (true, Kind::Bridge) => vec![InterfaceType::OvsBridge, InterfaceType::OvsInterface],
        (true, _) => Vec::new(),
        (false, _) => vec![kind_of(netdef, name)],
    }
}

fn kind_of(netdef: &Netdef, name: &str) -> InterfaceType {
    let mode = netdef.get("mode").and_then(Tree::text);
    match netdef.kind {
        Kind::Ethernet if name == "lo" => InterfaceType::Loopback,
        Kind::Ethernet if netdef.get("infiniband-mode").is_some() => InterfaceType::Infiniband,
        Kind::Ethernet => InterfaceType::Ethernet,
        Kind::Bond => InterfaceType::Bond,
        Kind::Bridge => InterfaceType::LinuxBridge,
        // A tag of a virtual function is no interface.
        Kind::Vlan if netdef.get("renderer").and_then(Tree::text) == Some("sriov") => InterfaceType::Unknown,
        Kind::Vlan => InterfaceType::Vlan,
        Kind::Vrf => InterfaceType::Vrf,
        Kind::Dummy => InterfaceType::Dummy,
        Kind::Veth => InterfaceType::Veth,
        Kind::Tunnel if mode == Some("vxlan") => InterfaceType::Vxlan,
        Kind::Tunnel if matches!(mode, Some("ipip" | "sit" | "ip6ip6" | "ipip6")) => InterfaceType::IpTunnel,
        Kind::NmDevice => device_kind(netdef),
        Kind::Tunnel | Kind::Wifi | Kind::Modem => InterfaceType::Unknown,
    }
}

fn device_kind(netdef: &Netdef) -> InterfaceType {
    let passed = |property| row::passed(&netdef.keys, property).and_then(Tree::text);
    match passed("connection.type") {
        Some("macvlan") if passed("macvlan.tap") == Some("true") => InterfaceType::MacVtap,
        Some("macvlan") => InterfaceType::MacVlan,
        Some("ipvlan") => InterfaceType::Ipvlan,
        Some("hsr") => InterfaceType::Hsr,
        _ => InterfaceType::Unknown,
    }
}

fn interface(
    config: &Config,
    netdef: &Netdef,
    kind: &InterfaceType,
    name: &str,
    names: &Names<'_>,
) -> Interface {
    let is_bridge_alone = *kind == InterfaceType::OvsBridge;
    let renderer = netdef.renderer.or(config.renderer).unwrap_or(Renderer::Networkd);
    let controller = match kind {
        InterfaceType::OvsInterface => Some(netdef),
        _ => openvswitch::controller(config, &netdef.id),
    };
    let mut keys = Map::new();
    keys.insert("name".into(), name.into());
    keys.insert("type".into(), kind.word().into());
    let is_down = netdef.get("activation-mode").is_some();
    let state = if is_down { InterfaceState::Down } else { InterfaceState::Up };
    keys.insert("state".into(), state.word().into());
    for row in rows(kind) {
        if let Some(value) = row.decode(&netdef.keys) {
            put(&mut keys, row.path, value);
        }
    }
    let must = |property| row::passed(&netdef.keys, property).and_then(Tree::flag) == Some(false);
    let wait = match (must("ipv4.may-fail"), must("ipv6.may-fail")) {
        (true, true) => Some("ipv4+ipv6"),
        (true, false) => Some("ipv4"),
        (false, true) => Some("ipv6"),
        (false, false) => None,
    };
    if let Some(word) = wait {
        keys.insert("wait-ip".into(), word.into());
    }
    if let Some(controller) = controller {
        keys.insert("controller".into(), names.one(&controller.id).into());
    }
    if let Some(mac) = netdef.get("match.macaddress").and_then(Tree::text) {
        // Which one it is known by is what a document says; what it has is nobody's wish.
        keys.entry("mac-address").or_insert_with(|| mac.into());
        keys.insert("identifier".into(), "mac-address".into());
        keys.insert("profile-name".into(), netdef.id.as_str().into());
    } else if netdef.kind.is_physical() && netdef.id != name && names.of(netdef).len() == 1 {
        keys.entry("profile-name").or_insert_with(|| netdef.id.as_str().into());
    }
    if is_bridge_alone {
        for (path, value) in openvswitch::read_bridge(config, netdef, |id| names.one(id)) {
            put(&mut keys, path, value);
        }
    } else {
        let is_port = controller.is_some_and(|controller| controller.kind != Kind::Vrf);
        let is_bare = is_port && *kind != InterfaceType::OvsInterface;
        let (ipv4, ipv6) = read_ip(netdef, renderer, is_bare);
        keys.insert("ipv4".into(), ipv4);
        keys.insert("ipv6".into(), ipv6);
        links(config, netdef, kind, names, &mut keys);
    }
    let settings = openvswitch::read_settings(netdef).filter(|_| *kind != InterfaceType::OvsInterface);
    if let Some(settings) = settings {
        keys.insert("ovs-db".into(), settings);
    }
    let header = [("name", name), ("type", kind.word()), ("state", state.word())];
    let mut found = Interface::read(&Node::from_json(&Json::Object(keys)), &mut Reader::new())
        .unwrap_or_else(|| {
            // What a file leaves out that a section must have.
            let header: Map<String, Json> =
                header.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
            let read = Interface::read(&Node::from_json(&header.into()), &mut Reader::new());
            read.unwrap_or_else(|| Interface::new(name, kind.clone(), state))
        });
    found.ieee8021x = read_auth(netdef).map(Box::new);
    found
}

/// Ports, parents and their like, by the names of interfaces.
fn links(
    config: &Config,
    netdef: &Netdef,
    kind: &InterfaceType,
    names: &Names<'_>,
    keys: &mut Map<String, Json>,
) {
    let named = |text: &str| names.one(text);
    for path in ["vlan.base-iface", "vxlan.base-iface", "link-aggregation.options.primary"] {
        let value = row::at(&Json::Object(keys.clone()), path).and_then(Json::as_str).map(named);
        if let Some(value) = value {
            put(keys, path, value);
        }
    }
    let ports = netdef.get("interfaces").map(|list| list.texts().map(str::to_owned).collect::<Vec<_>>());
    let ports = ports.unwrap_or_default();
    match kind {
        InterfaceType::Bond => {
            let list: Vec<String> = ports.iter().map(|id| names.one(id)).collect();
            put(keys, "link-aggregation.port", list);
            let configs: Vec<Json> =
                ports.iter().filter_map(|id| bond_port(config.netdefs.get(id)?, &names.one(id))).collect();
            if !configs.is_empty() {
                put(keys, "link-aggregation.ports-config", configs);
            }
        }
        InterfaceType::Vrf => {
            let list: Vec<String> = ports.iter().map(|id| names.one(id)).collect();
            put(keys, "vrf.port", list);
        }
        InterfaceType::LinuxBridge => {
            let list: Vec<Json> = ports.iter().map(|id| bridge_port(config, netdef, id, names)).collect();
            put(keys, "bridge.port", list);
        }
        _ => {}
    }
}

/// What the definition of a bond's port says for its bond.
fn bond_port(netdef: &Netdef, name: &str) -> Option<Json> {
    let mut port = Map::new();
    for (property, key) in [("bond-port.prio", "priority"), ("bond-port.queue-id", "queue-id")] {
        if let Some(text) = row::passed(&netdef.keys, property).and_then(Tree::text) {
            port.insert(key.to_owned(), text.into());
        }
    }
    if port.is_empty() {
        return None;
    }
    port.insert("name".to_owned(), name.into());
    Some(port.into())
}

fn bridge_port(config: &Config, bridge: &Netdef, id: &str, names: &Names<'_>) -> Json {
    let mut port = json!({"name": names.one(id)});
    let options = [("path-cost", "stp-path-cost"), ("port-priority", "stp-priority")];
    let Some(keys) = port.as_object_mut() else { return port };
    for (option, own) in options {
        let number = bridge.get("parameters").and_then(|parameters| parameters.get(option)?.keys()?.get(id));
        if let Some(text) = number.and_then(Tree::text) {
            keys.insert(own.to_owned(), text.into());
        }
    }
    let Some(netdef) = config.netdefs.get(id) else { return port };
    let is_hairpin = netdef.get("hairpin").and_then(Tree::flag).unwrap_or(false);
    keys.insert("stp-hairpin-mode".to_owned(), is_hairpin.into());
    if let Some(vlan) =
        row::passed(&netdef.keys, "bridge-port.vlans").and_then(Tree::text).and_then(port_vlan)
    {
        keys.insert("vlan".to_owned(), vlan);
    }
    port
}

/// `5 pvid untagged, 10-19`, as a profile's file has it.
fn port_vlan(text: &str) -> Option<Json> {
    let mut tag = None;
    let mut trunk = Vec::new();
    for entry in text.split(',') {
        let mut words = entry.split_whitespace();
        let range = words.next()?;
        let (min, max) = range.split_once('-').unwrap_or((range, range));
        let (min, max): (u16, u16) = (min.parse().ok()?, max.parse().ok()?);
        match words.any(|word| word == "pvid") {
            true => tag = Some(min),
            false if min == max => trunk.push(json!({"id": min})),
            false => trunk.push(json!({"id-range": {"min": min, "max": max}})),
        }
    }
    Some(match (trunk.is_empty(), tag) {
        (true, Some(tag)) => json!({"mode": "access", "tag": tag}),
        (_, Some(tag)) => json!({"mode": "trunk", "enable-native": true, "tag": tag, "trunk-tags": trunk}),
        (_, None) => json!({"mode": "trunk", "trunk-tags": trunk}),
    })
}

fn static_routes(netdef: &Netdef, name: &str) -> Vec<Route> {
    let entries = netdef.get("routes").map(Tree::items).unwrap_or_default();
    let mut found: Vec<Route> = entries.iter().filter_map(|entry| routes::read_route(entry, name)).collect();
    for (key, is_v6) in [("gateway4", false), ("gateway6", true)] {
        let gateway = netdef.get(key).and_then(Tree::text).and_then(|text| text.parse().ok());
        found.extend(gateway.map(|gateway| Route {
            destination: Some(Net::default_route(is_v6)),
            next_hop_interface: Some(name.to_owned()),
            next_hop_address: Some(gateway),
            table_id: Some(routes::MAIN),
            ..Route::empty()
        }));
    }
    for route in &mut found {
        if route.route_type.is_some() {
            let is_v6 = routes::is_v6(route);
            route.next_hop_interface = is_v6.then(|| "lo".to_owned());
        }
    }
    found
}

/// Adds the name servers of a definition; a link-local one names its interface.
fn resolver(netdef: &Netdef, name: &str, dns: &mut DnsSettings) {
    let texts = |key: &str| {
        let list = netdef.get("nameservers").and_then(|names| names.get(key));
        list.map(|list| list.texts().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default()
    };
    let scoped = |server: String| match server.parse() {
        Ok(std::net::IpAddr::V6(ip)) if ip.is_unicast_link_local() => format!("{ip}%{name}"),
        Ok(ip) => ip.to_string(),
        Err(_) => server,
    };
    let add = |list: &mut Option<Vec<String>>, texts: Vec<String>| {
        let list = list.get_or_insert_default();
        for text in texts {
            if !list.contains(&text) {
                list.push(text);
            }
        }
    };
    add(&mut dns.server, texts("addresses").into_iter().map(scoped).collect());
    add(&mut dns.search, texts("search"));
    for property in ["ipv4.dns-options", "ipv6.dns-options"] {
        if let Some(options) = row::passed(&netdef.keys, property).and_then(Tree::text) {
            let options = options.split(';').filter(|option| !option.is_empty()).map(str::to_owned);
            add(&mut dns.options, options.collect());
        }
    }
}
