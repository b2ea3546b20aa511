//! Profiles of NetworkManager. What is written into each is what our backend writes into a new one.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use super::{Configuration, Network, keyfile};
use crate::nm::dns::{Candidate, place};
use crate::nm::image::{Dns, Version};
use crate::nm::settings::{self, OvsPort, Wish, ovs_ports, write_ovs_port};
use crate::nm::{Profile, Setting};
use crate::plan::{Action, Change, Key, family, ports};
use crate::state::{
    DnsSettings, Identifier, Interface, InterfaceState, InterfaceType, Ip, Problem, Route, RouteRule, State,
};

/// Everything is written that the newest one knows: older ones leave out what they do not.
const NEWEST: Version = Version { major: 1, minor: 58, micro: 0, bits: u32::MAX, has_ovs: true };

/// Table `main`.
const MAIN_TABLE: u32 = 254;

/// The profiles that say what a document says.
pub fn network_manager(desired: &State) -> Result<Configuration, Vec<Problem>> {
    let mut network = Network::of(desired)?;
    let mut problems = Vec::new();
    for interface in network.mentioned() {
        for mut problem in settings::refusals(interface, &NEWEST) {
            problem.path = super::under(&network.origin(interface), &problem.path);
            problem.interface = Some(interface.name.clone());
            problems.push(problem);
        }
    }
    let parts = Parts::of(&network).map_err(|problem| vec![problem])?;
    if !problems.is_empty() {
        return Err(problems);
    }
    // Whoever holds something needs a profile for it: the loopback, which few documents mention.
    for key in parts.routes.keys().chain(parts.rules.keys()) {
        if let (false, Some(own)) = (network.then.contains_key(key), network.there.get(key)) {
            network.then.insert(key.clone(), Interface { state: Some(InterfaceState::Up), ..own.clone() });
        }
    }
    let mut written = Vec::new();
    for (key, then) in &network.then {
        let level = network.level(then);
        written.push((level, then.name.clone(), profile(&network, key, then, &parts)));
        if *then.kind() == InterfaceType::OvsBridge {
            let ports = ovs_ports(then);
            written
                .extend(ports.iter().map(|port| (level + 1, port.port.name.clone(), profile_of_port(port))));
        }
    }
    written.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let mut names = BTreeSet::new();
    let files = written.into_iter().map(|(_, _, profile)| {
        let name = file_name(&profile, &mut names);
        (name, keyfile(&profile))
    });
    Ok(Configuration { files: files.collect(), warnings: network.warnings.clone() })
}

/// What belongs to no interface, by the interface whose profile holds it.
#[derive(Default)]
struct Parts {
    routes: BTreeMap<Key, Vec<Route>>,
    rules: BTreeMap<Key, Vec<RouteRule>>,
    dns: BTreeMap<String, DnsSettings>,
}

impl Parts {
    fn of(network: &Network) -> Result<Self, Problem> {
        let mut parts = Self::default();
        let mentioned = network.mentioned();
        for change in &network.plan.changes {
            if let Change::Route(change) = change
                && change.action != Action::Remove
            {
                let through = change.route.next_hop_interface.as_deref();
                let owner = through.filter(|_| change.route.route_type.is_none()).unwrap_or(super::LOOPBACK);
                parts.routes.entry(Key::kernel(owner)).or_default().push(change.route.clone());
            }
        }
        for change in &network.plan.changes {
            if let Change::Rule(change) = change
                && change.action != Action::Remove
            {
                let holder = parts.holder(network, &mentioned, &change.rule);
                parts.rules.entry(holder).or_default().push(change.rule.clone());
            }
        }
        let dns = network.plan.changes.iter().find_map(|change| match change {
            Change::Dns(change) => Some(&change.after),
            _ => None,
        });
        if let Some(wanted) = dns {
            let candidate =
                |interface| Candidate { interface, holds: None, is_desired: true, is_foreign: false };
            let candidates: Vec<Candidate<'_>> = mentioned.iter().map(|own| candidate(*own)).collect();
            // As where resolved takes name servers from profiles alone: there is nothing else here.
            let profiles_alone = Dns { mode: "systemd-resolved".to_owned(), ..Dns::default() };
            parts.dns = place(wanted, &profiles_alone, &Setting::new(), &candidates)?.profiles;
        }
        Ok(parts)
    }

    /// Who holds a rule (semantics U20): the interface that it is about, one with routes or leases in its table,
    /// the first that can, or the loopback.
    fn holder(&self, network: &Network, mentioned: &[&Interface], rule: &RouteRule) -> Key {
        let net = [rule.ip_from, rule.ip_to].into_iter().flatten().find_map(crate::state::Selector::net);
        let is_v6 = match rule.family {
            Some(family) => family == crate::state::Family::Ipv6,
            None => net.is_some_and(|net| net.is_v6()),
        };
        let can = |interface: &&Interface| {
            interface.is_up()
                && !interface.kind().is_userspace()
                && *interface.kind() != InterfaceType::Loopback
                && family(Some(interface), is_v6).is_some_and(Ip::is_enabled)
        };
        let holders = || mentioned.iter().copied().filter(can);
        let table = rule.route_table.filter(|table| *table != 0).unwrap_or(MAIN_TABLE);
        let has_routes = |interface: &&Interface| {
            let routes = self.routes.get(&Key::of(interface)).map(Vec::as_slice).unwrap_or_default();
            routes.iter().any(|route| {
                route.table_id.filter(|table| *table != 0).unwrap_or(MAIN_TABLE) == table
                    && route.destination.is_some_and(|net| net.is_v6() == is_v6)
            })
        };
        let takes_leases = |interface: &&Interface| {
            family(Some(interface), is_v6).filter(|ip| ip.is_auto()).is_some_and(|ip| {
                ip.auto_route_table_id.filter(|table| *table != 0).unwrap_or(MAIN_TABLE) == table
            })
        };
        let about = rule.iif.as_deref().and_then(|name| network.then.get(&Key::kernel(name)));
        let found = about
            .filter(|own| can(own))
            .or_else(|| holders().find(has_routes))
            .or_else(|| holders().find(takes_leases))
            .or_else(|| holders().next());
        found.map_or_else(|| Key::kernel(super::LOOPBACK), Key::of)
    }
}

impl Network {
    /// The controller of an interface, as it shall be.
    fn controller(&self, interface: &Interface) -> Option<&Interface> {
        let name = interface.controller.as_deref().filter(|name| !name.is_empty())?;
        let lists = |own: &&Interface| {
            own.kind().is_controller()
                && ports(own).is_some_and(|ports| ports.contains(&interface.name.as_str()))
        };
        let named = self.then.values().filter(|own| own.name == name && own.kind().is_controller());
        named.max_by_key(|own| (lists(own), *own.kind() == InterfaceType::OvsBridge))
    }

    /// How many controllers are above it. Interfaces start after them.
    fn level(&self, interface: &Interface) -> usize {
        let mut level = 0;
        let mut own = interface;
        while let Some(controller) = self.controller(own).filter(|_| level < self.then.len()) {
            // The ports of Open vSwitch have profiles, too.
            level += if *controller.kind() == InterfaceType::OvsBridge { 2 } else { 1 };
            own = controller;
        }
        level
    }
}

fn profile(network: &Network, key: &Key, then: &Interface, parts: &Parts) -> Profile {
    let mut profile = Profile::default();
    profile.set("connection", "uuid", uuid_of(network, then));
    let wish = Wish {
        interface: then,
        said: then,
        controller: network.controller(then),
        routes: parts.routes.get(key).map(Vec::as_slice),
        rules: parts.rules.get(key).map(Vec::as_slice),
        dns: parts.dns.get(&then.name).filter(|_| key.userspace.is_none()),
        is_new: true,
    };
    settings::write(&mut profile, &wish, &NEWEST);
    if !then.is_up() {
        profile.set("connection", "autoconnect", false);
    }
    refer_to_hardware(network, &mut profile);
    profile
}

fn profile_of_port(port: &OvsPort) -> Profile {
    let mut profile = Profile::default();
    write_ovs_port(&mut profile, port);
    profile.set("connection", "uuid", uuid("ovs-port", &port.port.name));
    profile
}

/// A parent that is found by its hardware has no name to refer to; its profile has a UUID (semantics G6).
fn refer_to_hardware(network: &Network, profile: &mut Profile) {
    let mut found = Vec::new();
    for (setting, properties) in &profile.0 {
        let Some(name) = properties.get("parent").and_then(crate::nm::Value::as_text) else { continue };
        let parent = network.then.get(&Key::kernel(name));
        let by_hardware = |own: &&Interface| {
            matches!(own.identifier, Some(Identifier::MacAddress | Identifier::PciAddress))
        };
        if let Some(parent) = parent.filter(by_hardware) {
            found.push((setting.clone(), uuid_of(network, parent)));
        }
    }
    for (setting, uuid) in found {
        profile.set(&setting, "parent", uuid);
    }
}

/// A described veth is named as any Ethernet interface is; the end that nobody describes as a veth.
fn uuid_of(network: &Network, interface: &Interface) -> String {
    let key = (interface.name.clone(), interface.kind().clone());
    let is_described = network.plan.origins.contains_key(&key);
    let kind = match interface.kind() {
        InterfaceType::Veth if is_described => InterfaceType::Ethernet,
        kind => kind.clone(),
    };
    uuid(kind.word(), &interface.name)
}

/// RFC 9562, version 5, in the name space of URLs: the same for whoever makes it, so that what is written
/// again takes the place of what was written before.
fn uuid(kind: &str, name: &str) -> String {
    let hash =
        Sha1::new().chain_update(Uuid::NAMESPACE_URL).chain_update(format!("{kind}://{name}")).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}

/// As NetworkManager names files: no slash can lead elsewhere. Of two profiles with one name the second has its
/// UUID there.
fn file_name(profile: &Profile, taken: &mut BTreeSet<String>) -> String {
    let id = profile.id().unwrap_or_default().replace('/', "*");
    let id = if id.starts_with('.') { format!("*{id}") } else { id };
    if taken.insert(id.clone()) {
        return format!("{id}.nmconnection");
    }
    format!("{id}-{}.nmconnection", profile.uuid().unwrap_or_default())
}
