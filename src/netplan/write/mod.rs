//! From an interface of a document to a netdef.
//!
//! | file | story |
//! | --- | --- |
//! | `ip` | addresses, and where they come from |
//! | `auth` | 802.1X |
//! | `links` | what an interface is to others: ports, parents, other ends |
//! | `openvswitch` | bridges of Open vSwitch, and what is in them, both directions |
//! | `routes` | routes and rules, both directions |
//!
//! Whatever a document says and no row or file here takes care of is refused: nothing is lost in silence.

mod auth;
mod ip;
mod links;
pub(super) mod openvswitch;
pub(super) mod routes;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use super::row::{self, Place, Row, at, pass, plain, put};
use super::tables::rows;
use super::{Kind, Netdef, Renderer, Version, Wish};
use crate::state::{
    FEATURE_ALIASES, Identifier, Interface, InterfaceState, InterfaceType, Path, asks_nothing,
};

pub(super) use auth::read as read_auth;
pub(super) use ip::{read as read_ip, without_ip};
pub(super) use links::{asks_no_hairpin, forget_port_keys, keep_port_keys, port_keys, retain_primary};

/// What surrounds an interface.
pub(super) struct Surroundings<'a> {
    pub renderer: Renderer,
    pub version: Version,
    /// What our file says of it now.
    pub own: Option<&'a Netdef>,
    /// The definition's own name.
    pub id: &'a str,
    /// What its controller is.
    pub controller: Option<InterfaceType>,
    /// The definition of an interface that is referred to.
    pub id_of: &'a dyn Fn(&str) -> String,
}

/// A netdef, as it is going to be said.
#[derive(Clone, PartialEq)]
pub(super) struct Draft {
    pub kind: Kind,
    pub keys: Map<String, Json>,
}

/// The netdef of an interface, and what of it cannot be said.
pub(super) fn write(wish: &Wish, around: &Surroundings<'_>) -> (Draft, Vec<(Path, String)>) {
    let mut writer = Writer::new(wish, around);
    let kind = writer.kind();
    if !writer.refusals.is_empty() {
        // A type that cannot be had says enough.
        return (Draft { kind, keys: writer.keys }, writer.refusals);
    }
    writer.identify(kind);
    writer.state();
    for row in rows(&writer.kind) {
        writer.row(row);
    }
    if writer.kind == InterfaceType::OvsBridge {
        writer.ovs_bridge();
    } else {
        writer.links(kind);
        writer.ip();
        writer.auth(kind);
        writer.wait();
    }
    writer.ovs_settings();
    writer.refuse_rest();
    (Draft { kind, keys: writer.keys }, writer.refusals)
}

struct Writer<'a> {
    wish: &'a Wish,
    around: &'a Surroundings<'a>,
    kind: InterfaceType,
    whole: Json,
    said: Json,
    current: Json,
    keys: Map<String, Json>,
    refusals: Vec<(Path, String)>,
    /// Paths that have been taken care of, with everything below them.
    done: BTreeSet<&'static str>,
}

/// What is taken care of by whoever looks at interfaces one by one: names, states and references.
const DONE: [&str; 16] = [
    "name",
    "type",
    "state",
    "identifier",
    "controller",
    // Resolved to a MAC address while planning.
    "copy-mac-from",
    // They only direct an apply.
    "bridge.allow-extra-ports",
    "bridge.allow-extra-patch-ports",
    "ipv4.allow-extra-address",
    "ipv6.allow-extra-address",
    "bridge.port",
    "link-aggregation.port",
    "link-aggregation.ports-config",
    "vrf.port",
    "hsr.supervision-address",
    "lldp.neighbors",
];

impl<'a> Writer<'a> {
    fn new(wish: &'a Wish, around: &'a Surroundings<'a>) -> Self {
        let current = wish.current.as_ref().map_or(Json::Null, tree);
        Self {
            wish,
            around,
            kind: wish.interface.kind().clone(),
            whole: tree(&wish.interface),
            said: tree(&wish.said),
            current,
            keys: Map::new(),
            refusals: Vec::new(),
            done: DONE.into_iter().collect(),
        }
    }

    fn is_networkd(&self) -> bool {
        self.around.renderer == Renderer::Networkd
    }

    fn refuse(&mut self, path: &str, because: impl Into<String>) {
        self.refusals.push((Path::root().keys(path), because.into()));
    }

    fn needs(&mut self, version: Version, path: &str, what: &str) {
        if self.around.version < version {
            let text = format!("{what} need netplan {version} or later; this is {}", self.around.version);
            self.refuse(path, text);
        }
    }

    /// The type that the definition stands under.
    fn kind(&mut self) -> Kind {
        let networkd = self.is_networkd();
        let only_manager = |writer: &mut Self| {
            if networkd {
                writer.refuse("type", format!("netplan has no interfaces of type `{}`", writer.kind));
            }
            Kind::NmDevice
        };
        let has_peer = self.wish.interface.veth.as_ref().is_some_and(|veth| !veth.peer.is_empty());
        match &self.kind {
            InterfaceType::Ethernet | InterfaceType::Veth if has_peer => {
                self.kind = InterfaceType::Veth;
                self.needs(Version::new(0, 107, 0), "type", "virtual cables");
                Kind::Veth
            }
            InterfaceType::Ethernet | InterfaceType::Infiniband => Kind::Ethernet,
            InterfaceType::Loopback => {
                if !networkd {
                    self.refuse(
                        "type",
                        "netplan takes the loopback down while NetworkManager carries it out",
                    );
                }
                Kind::Ethernet
            }
            InterfaceType::Veth => {
                // Its other end is in another network namespace: what is left is a link like others.
                self.kind = InterfaceType::Ethernet;
                Kind::Ethernet
            }
            InterfaceType::Dummy => {
                self.needs(Version::new(0, 107, 0), "type", "dummy interfaces");
                Kind::Dummy
            }
            InterfaceType::Bond => Kind::Bond,
            InterfaceType::LinuxBridge => Kind::Bridge,
            InterfaceType::Vlan => Kind::Vlan,
            InterfaceType::Vxlan | InterfaceType::IpTunnel => Kind::Tunnel,
            InterfaceType::Vrf => Kind::Vrf,
            InterfaceType::OvsBridge => Kind::Bridge,
            InterfaceType::OvsInterface => {
                self.ovs_interface();
                Kind::Bridge
            }
            InterfaceType::MacVlan
            | InterfaceType::MacVtap
            | InterfaceType::Ipvlan
            | InterfaceType::Macsec
            | InterfaceType::Hsr => only_manager(self),
            other => {
                let text = format!("interfaces of type `{other}` are not made through netplan");
                self.refuse("type", text);
                Kind::Ethernet
            }
        }
    }

    /// Which interface the definition is for, what it is called, and who carries it out.
    fn identify(&mut self, kind: Kind) {
        // Who carries out what is of Open vSwitch is no choice.
        if !openvswitch::is_of(&self.kind) {
            self.keys.insert("renderer".into(), self.around.renderer.word().into());
        }
        let interface = &self.wish.interface;
        match interface.identifier {
            Some(Identifier::MacAddress) if kind.is_physical() => {
                if let Some(mac) = interface.mac_address {
                    put(&mut self.keys, "match.macaddress", mac.to_string());
                }
                self.done.extend(["mac-address", "profile-name"]);
            }
            Some(Identifier::PciAddress) => {
                self.refuse("identifier", "netplan finds no hardware by its PCI address");
                self.done.insert("pci-address");
            }
            Some(Identifier::MacAddress) => {
                self.refuse("identifier", "netplan finds only hardware by its MAC address");
            }
            Some(Identifier::Name) | None if self.is_networkd() => self.name(kind),
            Some(Identifier::Name) | None => {}
        }
    }

    /// systemd-networkd has no profiles: a name is that of the definition.
    fn name(&mut self, kind: Kind) {
        self.done.insert("profile-name");
        let interface = &self.wish.interface;
        if kind.is_physical() {
            if self.around.id != interface.name {
                put(&mut self.keys, "match.name", interface.name.as_str());
            }
        } else if self.wish.said.profile_name.as_ref().is_some_and(|asked| *asked != interface.name) {
            let text = "what netplan makes is called as its definition, and networkd knows no other name";
            self.refuse("profile-name", text);
        }
    }

    fn state(&mut self) {
        if self.wish.interface.state() == InterfaceState::Down {
            let mode = if self.is_networkd() { "off" } else { "manual" };
            self.keys.insert("activation-mode".into(), mode.into());
        }
    }

    /// Whether the document, or our file, says it.
    fn is_asked(&self, row: &Row) -> bool {
        let is_in_file = |own: &Netdef| match row.place(self.around.renderer) {
            Place::Nowhere => false,
            Place::Key(key) => own.get(key).is_some(),
            Place::Pass(property) => row::passed(&own.keys, property).is_some(),
        };
        at(&self.said, row.path).is_some() || self.around.own.is_some_and(is_in_file)
    }

    /// Whether the document asks for something that is not so already.
    fn is_changed(&self, path: &str) -> bool {
        let Some(said) = at(&self.said, path) else { return false };
        match at(&self.current, path) {
            Some(current) => !is_same(said, current),
            None => !asks_nothing(said),
        }
    }

    fn row(&mut self, row: &'static Row) {
        if !self.done.insert(row.path) {
            return;
        }
        let Some(value) = at(&self.whole, row.path).cloned() else { return };
        let is_asked = self.is_asked(row);
        if !is_asked && (row.only_asked || row.is_default(&value)) {
            return;
        }
        let place = row.place(self.around.renderer);
        let encoded = row.encode(&value).filter(|_| place != Place::Nowhere);
        let Some(encoded) = encoded else {
            let is_new = at(&self.current, row.path).is_none();
            if self.is_changed(row.path) && !(is_new && row.is_default(&value)) {
                let text = match place {
                    Place::Nowhere => self.has_no_key(row.path),
                    _ => format!("netplan has no way to say `{}`", plain(&value)),
                };
                self.refuse(row.path, text);
            }
            return;
        };
        if self.around.version < row.since && self.is_changed(row.path) {
            self.needs(row.since, row.path, "interfaces with this key");
            return;
        }
        match place {
            Place::Nowhere => {}
            Place::Key(key) => {
                let present = key.split_once('.').map_or(self.keys.get(key), |(outer, inner)| {
                    self.keys.get(outer).and_then(|outer| outer.get(inner))
                });
                if present.is_some_and(|present| *present != encoded) {
                    self.refuse(row.path, format!("netplan has one key, `{key}`, for two different values"));
                } else {
                    put(&mut self.keys, key, encoded);
                }
            }
            Place::Pass(property) => pass(&mut self.keys, property, &encoded),
        }
    }

    fn has_no_key(&self, path: &str) -> String {
        let key = path.rsplit('.').next().unwrap_or(path);
        match self.is_networkd() && !openvswitch::is_of(&self.kind) {
            true => format!("netplan has no key for `{key}` while networkd carries it out"),
            false => format!("netplan has no key for `{key}`"),
        }
    }

    /// When the connection counts as active, as NetworkManager has it; netplan itself waits only at boot.
    fn wait(&mut self) {
        self.done.insert("wait-ip");
        let Some(wait) = at(&self.whole, "wait-ip").map(plain) else { return };
        if wait == "any" || at(&self.said, "wait-ip").is_none() && self.is_networkd() {
            return;
        }
        if self.is_networkd() {
            if self.is_changed("wait-ip") {
                self.refuse("wait-ip", self.has_no_key("wait-ip"));
            }
            return;
        }
        for family in ["ipv4", "ipv6"] {
            if wait.contains(family) {
                pass(&mut self.keys, &format!("{family}.may-fail"), &false.into());
            }
        }
    }

    /// Everything that the document asks for and nobody took care of.
    fn refuse_rest(&mut self) {
        let mut rest = Vec::new();
        leaves(&self.said, &mut Path::root(), &mut String::new(), &mut |dotted, path| {
            let is_done = self.done.iter().any(|done| {
                dotted == *done || dotted.strip_prefix(done).is_some_and(|rest| rest.starts_with('.'))
            });
            if !is_done && self.is_changed(dotted) {
                rest.push((path.clone(), self.has_no_key(dotted)));
            }
        });
        self.refusals.extend(rest);
    }
}

/// Every value that is no mapping.
fn leaves(value: &Json, path: &mut Path, dotted: &mut String, visit: &mut dyn FnMut(&str, &Path)) {
    let Some(keys) = value.as_object() else {
        if !value.is_null() {
            visit(dotted, path);
        }
        return;
    };
    for (key, value) in keys {
        let length = dotted.len();
        if length > 0 {
            dotted.push('.');
        }
        dotted.push_str(key);
        path.push_key(key);
        leaves(value, path, dotted, visit);
        path.pop();
        dotted.truncate(length);
    }
}

/// An interface as JSON, features by their kernel's names; secrets are hidden.
pub(super) fn tree(interface: &Interface) -> Json {
    let mut interface = interface.clone();
    if let Some(features) = interface.ethtool.as_mut().and_then(|ethtool| ethtool.feature.as_mut()) {
        *features = std::mem::take(features)
            .into_iter()
            .map(|(name, on)| {
                let known = FEATURE_ALIASES.iter().find(|(alias, _)| *alias == name);
                (known.map_or(name, |(_, own)| (*own).to_owned()), on)
            })
            .collect();
    }
    serde_json::to_value(&interface).unwrap_or(Json::Null)
}

/// Whether two values mean the same: lists in any order.
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().all(|item| other.contains(item))
        }
        _ => one == other,
    }
}
