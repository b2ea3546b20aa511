//! Our file, beside those of others.
//!
//! Every interface that is wanted gets its definition anew; the other definitions of our file stay. Where
//! somebody else defines the same device, only the difference is said, and what a later file cannot take
//! back is refused, with its place.
//!
//! | file | story |
//! | --- | --- |
//! | `names` | what a definition is called |
//! | `holders` | rules, name servers and routes that lead nowhere: who holds them |
//! | `openvswitch` | bridges of Open vSwitch, which are two interfaces in one, and what belongs to none |
//! | `others` | the difference to what others say |
//! | `text` | definitions as text |

mod holders;
mod names;
mod openvswitch;
mod others;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::row::at;
use super::write::{self, Draft, Surroundings, routes};
use super::{
    Composed, Config, Devices, Kind, Netdef, OWN, Refusal, Renderer, Target, Tree, Value, Wanted, Wish,
};
use crate::state::{InterfaceState, InterfaceType, Path, Route};

/// The text of our file after `wanted`, where it has `own` now and others say `foreign`; or everything that
/// cannot be said.
pub fn compose(
    own: &Config,
    foreign: &Config,
    wanted: &Wanted,
    target: &Target,
    devices: &Devices,
) -> Result<Composed, Vec<Refusal>> {
    let drafts = own.netdefs.iter().map(|(id, netdef)| (id.clone(), draft_of(netdef)));
    // One that only referred to somebody else's comes again if it is still needed.
    let drafts =
        drafts.filter(|(id, draft)| !draft.keys.is_empty() || !foreign.netdefs.contains_key(id)).collect();
    let mut composer = Composer {
        own,
        foreign,
        wanted,
        target,
        devices,
        drafts,
        openvswitch: openvswitch::of(own.openvswitch.as_ref()),
        touched: BTreeMap::new(),
        ahead: BTreeSet::new(),
        delete_first: BTreeSet::new(),
        refusals: Vec::new(),
        remarks: Vec::new(),
    };
    composer.remove();
    for wish in &wanted.interfaces {
        composer.interface(wish);
    }
    composer.openvswitch();
    composer.attach();
    composer.routes();
    composer.rules();
    composer.resolver();
    composer.define_references();
    composer.beside_others();
    composer.refuse_unprintable();
    if !composer.refusals.is_empty() {
        return Err(composer.refusals);
    }
    Ok(Composed {
        text: text::text(&composer.drafts, &composer.openvswitch),
        delete_first: composer.delete_first.into_iter().collect(),
        remarks: composer.remarks,
    })
}

struct Composer<'a> {
    own: &'a Config,
    foreign: &'a Config,
    wanted: &'a Wanted,
    target: &'a Target,
    devices: &'a Devices,
    /// Our file as it is going to be.
    drafts: BTreeMap<String, Draft>,
    /// What it says of Open vSwitch as a whole.
    openvswitch: Map<String, Json>,
    /// Definitions that are written anew, whole, and the interface that each is for.
    touched: BTreeMap<String, &'a Wish>,
    /// Definitions of later files that ours refer to: netplan has to hear of them before.
    ahead: BTreeSet<String>,
    delete_first: BTreeSet<String>,
    refusals: Vec<Refusal>,
    remarks: Vec<String>,
}

/// What nobody changes in place: the link must go before it comes back.
const NOT_IN_PLACE: [&str; 9] = [
    "type",
    "link-aggregation.mode",
    "vlan.id",
    "vlan.base-iface",
    "vxlan.id",
    "vxlan.base-iface",
    "vxlan.destination-port",
    "vrf.route-table-id",
    "veth.peer",
];

impl<'a> Composer<'a> {
    fn refuse(&mut self, interface: &str, path: Path, text: impl Into<String>) {
        self.refusals.push(Refusal { interface: Some(interface.to_owned()), path, text: text.into() });
    }

    /// A refusal of what belongs to no interface.
    fn refuse_at(&mut self, path: &str, text: impl Into<String>) {
        self.refusals.push(Refusal { interface: None, path: Path::root().keys(path), text: text.into() });
    }

    /// The definition that is for an interface, or will be.
    fn id_of(&self, name: &str) -> String {
        if let Some(netdef) = self.foreign.netdef_of(name, self.devices) {
            return netdef.id.clone();
        }
        let wish = self.wanted.interfaces.iter().find(|wish| wish.interface.name == name);
        let asked = wish.and_then(|wish| names::asked(wish, self.target.renderer)).map(str::to_owned);
        let own = || self.own.netdef_of(name, self.devices).map(|netdef| netdef.id.clone());
        asked.or_else(own).unwrap_or_else(|| name.to_owned())
    }

    /// Who carries out a definition: it is not ours to say where somebody else defines it.
    fn renderer_of(&self, id: &str) -> Renderer {
        match self.foreign.netdefs.get(id) {
            Some(netdef) => netdef.renderer.or(self.foreign.renderer).unwrap_or(Renderer::Networkd),
            // NetworkManager would look for a bridge of the kernel's.
            None if self.is_of_openvswitch(id) => Renderer::Networkd,
            None => self.target.renderer,
        }
    }

    /// Whether it is to have no definition.
    fn goes(wish: &Wish) -> bool {
        let is_made = wish.interface.kind().is_virtual() || *wish.interface.kind() == InterfaceType::Veth;
        match wish.interface.state() {
            InterfaceState::Absent => true,
            InterfaceState::Down => is_made,
            InterfaceState::Up | InterfaceState::Ignore | InterfaceState::Unknown => false,
        }
    }

    /// Takes out what goes, and every reference to it.
    fn remove(&mut self) {
        let wishes = self.wanted.interfaces.iter().filter(|wish| Self::goes(wish));
        let gone: BTreeSet<String> = wishes
            .map(|wish| wish.interface.name.clone())
            .chain(self.wanted.absent.iter().cloned())
            .collect();
        for name in gone {
            if self.is_patch(&name) {
                self.detach(&name, None);
                continue;
            }
            if let Some(netdef) = self.foreign.netdef_of(&name, self.devices) {
                let text = format!("{} defines it, and only there it can be removed", netdef.origin);
                self.refuse(&name, Path::root().key("state"), text);
            }
            let id = self.id_of(&name);
            self.drafts.remove(&id);
            self.detach(&id, None);
        }
    }

    /// Takes a definition out of the ports of all others but `stays`.
    fn detach(&mut self, id: &str, stays: Option<&str>) {
        for (other, draft) in &mut self.drafts {
            if Some(other.as_str()) == stays {
                continue;
            }
            if let Some(Json::Array(ports)) = draft.keys.get_mut("interfaces") {
                ports.retain(|port| port.as_str() != Some(id));
            }
            write::retain_primary(&mut draft.keys, |primary| primary != id);
            for option in ["path-cost", "port-priority"] {
                let options =
                    draft.keys.get_mut("parameters").and_then(|parameters| parameters.get_mut(option));
                if let Some(Json::Object(options)) = options {
                    options.remove(id);
                }
            }
        }
    }

    fn interface(&mut self, wish: &'a Wish) {
        let name = wish.interface.name.as_str();
        if Self::goes(wish) || wish.interface.is_ignored() {
            return;
        }
        if wish.interface.patch.is_some() {
            self.patch(wish);
            return;
        }
        let id = self.id_of(name);
        let foreign = self.foreign.netdef_of(name, self.devices);
        if let Some(netdef) = foreign {
            let devices = netdef.devices(self.devices);
            if devices.len() > 1 {
                let text =
                    format!("the definition at {} is for several: {}", netdef.origin, devices.join(", "));
                self.refuse(name, Path::root().key("name"), text);
                return;
            }
        }
        if let Some((key, text)) = self.misnamed(wish, &id, foreign) {
            self.refuse(name, Path::root().key(key), text);
        }
        let controller = wish.interface.controller.as_deref().filter(|name| !name.is_empty());
        let own = self.own.netdefs.get(&id).or_else(|| self.own.netdef_of(name, self.devices));
        if let Some(own) = own.filter(|own| own.id != id) {
            self.rename(&own.id, &id);
        }
        let renderer = self.renderer_of(&id);
        let (mut draft, refusals) = {
            let id_of = |name: &str| self.id_of(name);
            let around = Surroundings {
                renderer,
                version: self.target.version,
                own,
                id: &id,
                controller: controller.map(|name| self.kind_of(name)),
                id_of: &id_of,
            };
            write::write(wish, &around)
        };
        for (path, text) in refusals {
            self.refuse(name, path, text);
        }
        let clash = foreign.filter(|netdef| netdef.kind != draft.kind);
        if let Some(netdef) = clash {
            let text = format!("{} defines it under `{}`", netdef.origin, netdef.kind.key());
            self.refuse(name, Path::root().key("type"), text);
            return;
        }
        // These belong to the network, and are decided on as a whole.
        for key in ["routing-policy", "nameservers"] {
            if let Some(value) = own.and_then(|own| own.get(key)) {
                draft.keys.insert(key.to_owned(), json_of(value));
            }
        }
        // And these to its controller, as long as that is the same.
        let was = wish.current.as_ref().and_then(|current| current.controller.as_deref());
        if let Some(own) = own.filter(|_| controller.is_some() && controller == was) {
            write::keep_port_keys(&own.keys, &mut draft.keys);
        }
        self.delete_first(wish, own.is_some() || foreign.is_some(), renderer);
        if wish.interface.kind() == &InterfaceType::OvsBridge {
            self.bonds(wish);
        }
        let draft = self.with_other_half(&id, wish, draft);
        self.drafts.insert(id.clone(), draft);
        // Of the two that a bridge of Open vSwitch is, the one that can have addresses stands for both.
        if *wish.interface.kind() != InterfaceType::OvsBridge || !self.touched.contains_key(&id) {
            self.touched.insert(id, wish);
        }
    }

    /// What a controller is, as it shall be.
    fn kind_of(&self, name: &str) -> InterfaceType {
        let wishes = self.wanted.interfaces.iter().filter(|wish| wish.interface.name == name);
        if let Some(wish) = wishes.max_by_key(|wish| wish.interface.kind().is_controller()) {
            return wish.interface.kind().clone();
        }
        let id = self.id_of(name);
        if self.is_ovs_bridge(&id) {
            return InterfaceType::OvsBridge;
        }
        let kind = self.drafts.get(&id).map(|draft| draft.kind);
        match kind.or_else(|| self.foreign.netdefs.get(&id).map(|netdef| netdef.kind)) {
            Some(Kind::Vrf) => InterfaceType::Vrf,
            Some(Kind::Bond) => InterfaceType::Bond,
            _ => InterfaceType::LinuxBridge,
        }
    }

    /// NetworkManager makes anew whatever netplan defines.
    fn delete_first(&mut self, wish: &Wish, is_defined: bool, renderer: Renderer) {
        let Some(current) =
            &wish.current.as_ref().filter(|current| !write::openvswitch::is_of(current.kind()))
        else {
            return;
        };
        if !current.kind().is_virtual() && *current.kind() != InterfaceType::Veth
            || is_defined && renderer == Renderer::NetworkManager
        {
            return;
        }
        let (now, then) = (write::tree(current), write::tree(&wish.interface));
        let differs = |path: &&str| match (at(&now, path), at(&then, path)) {
            (Some(now), Some(then)) => now != then,
            _ => false,
        };
        if NOT_IN_PLACE.iter().any(differs) {
            self.delete_first.insert(current.name.clone());
        }
    }

    /// Brings ports to their controllers, and what controllers say of them into their definitions.
    fn attach(&mut self) {
        for wish in self.touched.values().copied().collect::<Vec<_>>() {
            let id = self.id_of(&wish.interface.name);
            let controller = wish.interface.controller.as_deref().filter(|name| !name.is_empty());
            let controller_id = controller.map(|name| self.holder_of(&id, name));
            if controller_id.as_ref() == Some(&id) {
                // The internal interface of a bridge is its own definition.
                continue;
            }
            let lists =
                |draft: &Draft| draft.keys.get("interfaces").is_some_and(|ports| contains(ports, &id));
            let listed = self.drafts.iter().find(|(_, draft)| lists(draft)).map(|(other, _)| other.clone());
            // Who lists it has been asked to; a port that only says nothing of it stays.
            let is_asked = |other: &String| self.touched.contains_key(other);
            if listed.as_ref().is_some_and(|other| is_asked(other) && controller_id.is_none()) {
                continue;
            }
            self.detach(&id, controller_id.as_deref());
            let holder = self.foreign.netdefs.values().find(|netdef| {
                let ports = netdef.get("interfaces").into_iter().flat_map(Tree::texts);
                Some(&netdef.id) != controller_id.as_ref() && ports.into_iter().any(|port| port == id)
            });
            if let Some(holder) = holder.filter(|holder| holder.kind != Kind::Vrf || controller_id.is_some())
            {
                let text = format!("{} has it as a port, and only there it can be taken out", holder.origin);
                self.refuse(&wish.interface.name, Path::root().key("controller"), text);
            }
            if let Some(controller_id) = controller_id {
                self.add_port(&controller_id, &id, &wish.interface.name);
            }
        }
        for wish in self.touched.values().copied().collect::<Vec<_>>() {
            let renderer = self.renderer_of(&self.id_of(&wish.interface.name));
            for (name, keys) in write::port_keys(wish, renderer) {
                let id = self.id_of(&name);
                let foreign = self.foreign.netdefs.get(&id);
                let says_hairpin = foreign.and_then(|netdef| netdef.get("hairpin")).and_then(Tree::flag);
                // What our file said before counts no longer.
                if let Some(draft) = self.drafts.get_mut(&id) {
                    write::forget_port_keys(&mut draft.keys);
                    if draft.keys.is_empty() && foreign.is_some() {
                        self.drafts.remove(&id);
                    }
                }
                if !keys.is_empty() {
                    merge(&mut self.draft(&id).keys, keys);
                } else if says_hairpin == Some(true) && write::asks_no_hairpin(wish, &name) {
                    self.draft(&id).keys.insert("hairpin".to_owned(), false.into());
                }
            }
        }
    }

    fn add_port(&mut self, controller: &str, port: &str, name: &str) {
        let foreign = self.foreign.netdefs.get(controller);
        let is_held = foreign.is_some_and(|netdef| {
            netdef.get("interfaces").into_iter().flat_map(Tree::texts).any(|known| known == port)
        });
        if !self.drafts.contains_key(controller) && foreign.is_none() {
            let text = format!("no definition of netplan is for its controller `{controller}`");
            self.refuse(name, Path::root().key("controller"), text);
            return;
        }
        let is_touched = self.touched.contains_key(controller);
        if is_held && !is_touched {
            return;
        }
        let draft = self.draft(controller);
        let ports = draft.keys.entry("interfaces").or_insert_with(|| json!([]));
        if !contains(ports, port)
            && let Some(ports) = ports.as_array_mut()
        {
            ports.push(port.into());
        }
    }

    /// Our definition of that name; where there is none, one that only adds to somebody else's, or an empty
    /// one for what is there without netplan.
    fn draft(&mut self, id: &str) -> &mut Draft {
        let foreign = self.foreign.netdefs.get(id);
        let renderer = self.renderer_of(id);
        self.drafts.entry(id.to_owned()).or_insert_with(|| {
            let mut keys = Map::new();
            if foreign.is_none() {
                keys.insert("renderer".to_owned(), renderer.word().into());
            }
            Draft { kind: foreign.map_or(Kind::Ethernet, |netdef| netdef.kind), keys }
        })
    }

    /// Routes stand with the interface that they go through.
    fn routes(&mut self) {
        for (id, wish) in self.touched.clone() {
            let name = wish.interface.name.as_str();
            if *wish.interface.kind() == InterfaceType::OvsBridge {
                // They are its internal interface's.
                continue;
            }
            let through = self.wanted.routes.iter().filter(|route| {
                !route.is_absent()
                    && route.route_type.is_none()
                    && route.next_hop_interface.as_deref() == Some(name)
            });
            let renderer = self.renderer_of(&id);
            let mut entries = Vec::new();
            for route in through {
                let family = if routes::is_v6(route) { "ipv6" } else { "ipv4" };
                let facts = self.facts(&id);
                if renderer == Renderer::NetworkManager && !facts.takes(routes::is_v6(route)) {
                    let text = format!(
                        "netplan drops routes of {family} where `{name}` has no address of {family} and no DHCP"
                    );
                    self.refuse_at("routes.config", text);
                    continue;
                }
                match routes::route(route, is_beyond(route, wish), renderer, self.target.version) {
                    Ok(entry) => entries.push(entry),
                    Err(text) => self.refuse_at("routes.config", text),
                }
            }
            // Those that lead nowhere are decided on as a whole.
            entries.extend(holders::nowhere_of(self.own.netdefs.get(&id)));
            if !entries.is_empty()
                && let Some(draft) = self.drafts.get_mut(&id)
            {
                draft.keys.insert("routes".to_owned(), entries.into());
            }
        }
        self.routes_nowhere();
    }

    /// Whatever is referred to is defined, before it or with it.
    fn define_references(&mut self) {
        let mut needed: Vec<(String, Option<String>)> = Vec::new();
        for (id, draft) in &self.drafts {
            let named = draft.keys.get("link").into_iter().chain(draft.keys.get("interfaces"));
            for names in named {
                match names {
                    Json::Array(names) => {
                        needed.extend(
                            names.iter().filter_map(Json::as_str).map(|name| (name.to_owned(), None)),
                        );
                    }
                    other => needed.extend(other.as_str().map(|name| (name.to_owned(), None))),
                }
            }
            if let Some(peer) = draft.keys.get("peer").and_then(Json::as_str) {
                needed.push((peer.to_owned(), Some(id.clone())));
            }
        }
        needed.retain(|(id, _)| !self.is_patch(id));
        for (id, other_end) in needed {
            let foreign = self.foreign.netdefs.get(&id);
            let is_later = foreign.is_some_and(|netdef| netdef.origin.file.name.as_str() > OWN);
            if is_later {
                self.ahead.insert(id.clone());
            }
            if self.drafts.contains_key(&id) || foreign.is_some() && !is_later {
                continue;
            }
            let renderer = self.renderer_of(&id);
            let draft = self.draft(&id);
            if foreign.is_none() {
                // Nobody asked for any IP of it.
                merge(&mut draft.keys, write::without_ip(renderer));
            }
            if let Some(other_end) = other_end {
                draft.kind = Kind::Veth;
                draft.keys.insert("peer".to_owned(), other_end.into());
            }
        }
    }

    /// netplan writes texts into files of others, some of which run programs, as they are: none may begin a line of its
    /// own there, and no name end where another word begins.
    fn refuse_unprintable(&mut self) {
        let pairs = self.pairs();
        for id in self.drafts.keys().chain(pairs.iter().flatten()).filter(|id| !names::is_one_word(id)) {
            let text = format!("netplan has no definitions with such a name: `{}`", id.escape_debug());
            let interface = self.touched.get(id).map(|wish| wish.interface.name.clone());
            self.refusals.push(Refusal { interface, path: Path::root(), text });
        }
        for (id, draft) in &self.drafts {
            let Some(key) = unprintable(&draft.keys) else { continue };
            let interface = self.touched.get(id).map(|wish| wish.interface.name.clone());
            let text = format!("there is a control character in `{key}` of netplan's definition `{id}`");
            self.refusals.push(Refusal { interface, path: Path::root(), text });
        }
    }

    fn beside_others(&mut self) {
        for (id, wish) in self.touched.clone() {
            let Some(foreign) = self.foreign.netdefs.get(&id) else { continue };
            let Some(draft) = self.drafts.get_mut(&id) else { continue };
            let name = wish.interface.name.as_str();
            let mut found = others::Found::default();
            draft.keys = others::difference(&draft.keys, foreign, &mut found);
            if draft.keys.is_empty() && !self.ahead.contains(&id) {
                self.drafts.remove(&id);
            }
            self.remarks.extend(found.remark(name, foreign));
            for (path, text) in found.refusals {
                self.refuse(name, path, text);
            }
        }
    }
}

/// The first of these keys in which there is a control character.
fn unprintable(keys: &Map<String, Json>) -> Option<&str> {
    fn is_one(value: &Json) -> bool {
        match value {
            Json::String(text) => text.contains(char::is_control),
            Json::Array(items) => items.iter().any(is_one),
            Json::Object(keys) => unprintable(keys).is_some(),
            _ => false,
        }
    }
    let is_one = |(key, value): &(&String, &Json)| key.contains(char::is_control) || is_one(value);
    keys.iter().find(is_one).map(|(key, _)| key.as_str())
}

/// Whether the gateway of a route is none of the interface's neighbours, as far as its addresses tell.
fn is_beyond(route: &Route, wish: &Wish) -> bool {
    let Some(gateway) = routes::gateway(route) else { return false };
    if matches!(gateway, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        return false;
    }
    let interface = &wish.interface;
    let ip = if gateway.is_ipv6() { &interface.ipv6 } else { &interface.ipv4 };
    let Some(ip) = ip.as_deref() else { return true };
    let is_near = ip.addresses().iter().any(|address| {
        crate::state::Net::new(address.ip, address.prefix_length).is_some_and(|net| net.contains(gateway))
    });
    // A lease may bring the neighbour.
    !is_near && !ip.is_auto()
}

fn contains(list: &Json, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|item| item.as_str() == Some(text)))
}

/// Adds keys to keys.
fn merge(into: &mut Map<String, Json>, keys: Map<String, Json>) {
    for (key, value) in keys {
        match (into.get_mut(&key), value) {
            (Some(Json::Object(own)), Json::Object(value)) => merge(own, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

fn draft_of(netdef: &Netdef) -> Draft {
    let keys = json_of(&netdef.keys);
    Draft { kind: netdef.kind, keys: keys.as_object().cloned().unwrap_or_default() }
}

/// A value of a file as JSON; every scalar is text.
fn json_of(tree: &Tree) -> Json {
    match &tree.value {
        Value::Scalar(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json_of).collect(),
        Value::Map(keys) => {
            keys.iter().map(|(key, value)| (key.clone(), json_of(value))).collect::<Map<_, _>>().into()
        }
    }
}
