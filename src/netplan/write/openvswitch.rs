//! Bridges of Open vSwitch, and what is in them, both directions.
//!
//! To netplan, a bridge with `openvswitch` is one of Open vSwitch, and one definition with the internal
//! interface of its name, which every such bridge has; a bond with `openvswitch` is a port of the bridge that
//! lists it. Whatever is written there ends in command lines of units, and in marks that are cut at blanks
//! and `=` (`netplan apply`), so that only plain words are let through.

use serde_json::{Map, Value as Json, json};

use super::{Draft, Writer};
use crate::netplan::row::put;
use crate::netplan::{Config, Kind, Netdef, Tree, Wish};
use crate::state::{
    Bridge, Interface, InterfaceState, InterfaceType, OvsBond, OvsBondMode, OvsBridgePort, OvsPatch,
    OvsSettings, OvsTable, Path,
};

/// The columns of the database, and netplan's words for them.
const COLUMNS: [(&str, &str); 2] = [("external_ids", "external-ids"), ("other_config", "other-config")];

/// What netplan marks in `external_ids` as its own.
const MARK: &str = "netplan";

/// Modes of bonds: netplan's word, and whether the ports negotiate (semantics K4).
const MODES: [(OvsBondMode, Option<&str>, &str); 4] = [
    (OvsBondMode::ActiveBackup, Some("active-backup"), "off"),
    (OvsBondMode::BalanceSlb, Some("balance-slb"), "off"),
    (OvsBondMode::BalanceTcp, Some("balance-tcp"), "active"),
    (OvsBondMode::Lacp, None, "active"),
];

/// Keys of the definition that are the bridge's; the others are its internal interface's.
pub(in crate::netplan) const OF_BRIDGE: [&str; 3] = ["openvswitch", "interfaces", "parameters"];

/// Whether interfaces of that type are Open vSwitch's own.
pub(in crate::netplan) fn is_of(kind: &InterfaceType) -> bool {
    matches!(kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface)
}

/// Whether it is the internal interface of a bridge's own name.
pub(in crate::netplan) fn is_local(interface: &Interface) -> bool {
    *interface.kind() == InterfaceType::OvsInterface
        && interface.patch.is_none()
        && interface.dpdk.is_none()
        && interface.controller.as_deref() == Some(&interface.name)
}

/// Whether a bridge has the internal interface of its name among its ports.
pub(in crate::netplan) fn has_local(bridge: &Interface) -> bool {
    ports(bridge).iter().any(|port| port.name == bridge.name)
}

fn ports(interface: &Interface) -> &[OvsBridgePort] {
    let bridge = interface.bridge.as_deref().and_then(Bridge::ovs);
    bridge.and_then(|bridge| bridge.port.as_deref()).unwrap_or_default()
}

fn port<'a>(interface: Option<&'a Interface>, name: &str) -> Option<&'a OvsBridgePort> {
    ports(interface?).iter().find(|port| port.name == name)
}

/// Whether a bond is one: a port with a list of its own.
fn bond(port: &OvsBridgePort) -> Option<&OvsBond> {
    port.bond.as_ref().filter(|bond| bond.port.is_some())
}

/// Whether a key or a value comes through as it is.
fn is_plain(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
    !text.is_empty() && text.bytes().all(is_fine)
}

/// Why a key of a column cannot be written.
pub(in crate::netplan) fn refusal(key: &str, value: &str) -> Option<String> {
    if !is_plain(key) || !is_plain(value) {
        return Some("netplan takes only letters, digits, `_`, `-`, `.` and `:` here".to_owned());
    }
    (key == MARK).then(|| format!("`{MARK}` is netplan's own mark"))
}

fn column<'a>(settings: Option<&'a OvsSettings>, name: &str) -> Option<&'a OvsTable> {
    let OvsSettings { external_ids, other_config } = settings?;
    if name == "external_ids" { external_ids.as_ref() } else { other_config.as_ref() }
}

/// Settings of one row of the database.
struct Settings<'a> {
    said: Option<&'a OvsSettings>,
    whole: Option<&'a OvsSettings>,
    current: Option<&'a OvsSettings>,
    /// The definition that holds them.
    own: Option<&'a Netdef>,
}

impl Settings<'_> {
    /// Both columns in netplan's words. A column that is said is said whole; of another stays what our file has.
    fn write(&self, place: &Path, refusals: &mut Vec<(Path, String)>) -> Map<String, Json> {
        let mut found = Map::new();
        for (name, key) in COLUMNS {
            let held = self.own.and_then(|own| own.get("openvswitch")?.get(key)?.keys());
            let said = column(self.said, name);
            let current = column(self.current, name);
            let entries = column(self.whole, name).into_iter().flat_map(|table| &table.0);
            let mut keys = Map::new();
            for (own, value) in entries.filter_map(|(own, value)| Some((own, value.as_ref()?))) {
                if said.is_none() && !held.is_some_and(|held| held.contains_key(own)) {
                    continue;
                }
                match refusal(own, value) {
                    None => drop(keys.insert(own.clone(), value.as_str().into())),
                    // It is there, whoever said so.
                    Some(_) if current.is_some_and(|now| now.0.get(own) == Some(&Some(value.clone()))) => {}
                    Some(text) => refusals.push((place.key(name).key(own), text)),
                }
            }
            if !keys.is_empty() {
                found.insert(key.to_owned(), keys.into());
            }
        }
        found
    }
}

impl Writer<'_> {
    /// Of the interfaces that Open vSwitch makes, netplan knows that of a bridge's own name. (Patch ports have no
    /// definition.)
    pub(super) fn ovs_interface(&mut self) {
        let interface = &self.wish.interface;
        if interface.dpdk.is_some() {
            self.refuse("dpdk", self.has_no_key("dpdk"));
        } else if !is_local(interface) {
            let text = "the only internal interface of Open vSwitch that netplan makes is that of a bridge's own name";
            self.refuse("type", text);
        }
    }

    /// The bridge without its internal interface.
    pub(super) fn ovs_bridge(&mut self) {
        self.done.extend(["mtu", "mac-address", "ipv4", "ipv6"]);
        let interface = &self.wish.interface;
        // Said or not, netplan sets them; with none of them it would be another kind of bridge.
        let standing: [(&str, Json); 3] =
            [("fail-mode", "standalone".into()), ("rstp", false.into()), ("mcast-snooping", false.into())];
        for (key, value) in standing {
            if self.keys.get("openvswitch").is_none_or(|keys| keys.get(key).is_none()) {
                put(&mut self.keys, &format!("openvswitch.{key}"), value);
            }
        }
        for (index, asked) in ports(&self.wish.said).iter().enumerate() {
            let was = port(self.wish.current.as_ref(), &asked.name);
            let place = Path::root().key("bridge").key("port").index(index);
            self.refuse_port(asked, was, &place);
        }
        let others = ports(interface).iter().filter(|port| port.name != interface.name);
        let ids: Vec<String> = others
            .map(|port| match bond(port) {
                Some(_) => port.name.clone(),
                None => (self.around.id_of)(&port.name),
            })
            .collect();
        if !ids.is_empty() {
            self.keys.insert("interfaces".into(), ids.into());
        }
    }

    fn refuse_port(&mut self, asked: &OvsBridgePort, was: Option<&OvsBridgePort>, place: &Path) {
        let vlan = asked.vlan.as_ref().filter(|vlan| !vlan.is_default());
        if vlan.is_some() && vlan != was.and_then(|was| was.vlan.as_ref()) {
            self.refusals.push((place.key("vlan"), self.has_no_key("vlan")));
        }
        let Some(asked) = bond(asked) else { return };
        let was = was.and_then(bond);
        let delays = [
            ("bond-updelay", asked.bond_updelay, was.and_then(|was| was.bond_updelay)),
            ("bond-downdelay", asked.bond_downdelay, was.and_then(|was| was.bond_downdelay)),
        ];
        for (key, delay, was) in delays {
            if delay.is_some_and(|delay| delay != was.unwrap_or(0)) {
                self.refusals.push((place.key("link-aggregation").key(key), self.has_no_key(key)));
            }
        }
    }

    /// What the database keeps of a bridge, or of a card in one.
    pub(super) fn ovs_settings(&mut self) {
        let is_card = matches!(self.kind, InterfaceType::Ethernet | InterfaceType::Veth)
            && self.around.controller == Some(InterfaceType::OvsBridge);
        if !is_card && self.kind != InterfaceType::OvsBridge {
            return;
        }
        self.done.insert("ovs-db");
        let settings = Settings {
            said: self.wish.said.ovs_db.as_ref(),
            whole: self.wish.interface.ovs_db.as_ref(),
            current: self.wish.current.as_ref().and_then(|current| current.ovs_db.as_ref()),
            own: self.around.own,
        };
        let found = settings.write(&Path::root().key("ovs-db"), &mut self.refusals);
        for (key, value) in found {
            put(&mut self.keys, &format!("openvswitch.{key}"), value);
        }
    }
}

/// The definitions of the bonds in a bridge. Adds what of them cannot be said.
pub(in crate::netplan) fn bonds(
    wish: &Wish,
    own: &Config,
    id_of: impl Fn(&str) -> String,
    refusals: &mut Vec<(Path, String)>,
) -> Vec<(String, Draft)> {
    let mut found = Vec::new();
    for port_of_bridge in ports(&wish.interface) {
        let Some(bond_of_port) = bond(port_of_bridge) else { continue };
        let name = &port_of_bridge.name;
        let asked = ports(&wish.said).iter().position(|port| port.name == *name);
        let place = Path::root().key("bridge").key("port").index(asked.unwrap_or_default());
        let of = |interface: Option<&'_ Interface>| port(interface, name).and_then(bond).cloned();
        let (said, was) = (of(Some(&wish.said)), of(wish.current.as_ref()));
        let settings = Settings {
            said: said.as_ref().and_then(|bond| bond.ovs_db.as_ref()),
            whole: bond_of_port.ovs_db.as_ref(),
            current: was.as_ref().and_then(|bond| bond.ovs_db.as_ref()),
            own: own.netdefs.get(name),
        };
        let place = place.key("link-aggregation");
        let mut open = settings.write(&place.key("ovs-db"), refusals);
        let known = MODES.iter().find(|(mode, ..)| Some(*mode) == bond_of_port.mode);
        let (mode, lacp) = known.map_or((None, "off"), |(_, mode, lacp)| (*mode, *lacp));
        open.insert("lacp".into(), lacp.into());
        let members = bond_of_port.port.iter().flatten().map(|member| id_of(&member.name));
        let mut keys = Map::new();
        keys.insert("interfaces".into(), members.collect::<Vec<_>>().into());
        keys.insert("openvswitch".into(), open.into());
        if let Some(mode) = mode {
            keys.insert("parameters".into(), json!({"mode": mode}));
        }
        found.push((name.clone(), Draft { kind: Kind::Bond, keys }));
    }
    found
}

/// The pairs of patch ports that `openvswitch` under `network` has.
pub(in crate::netplan) fn patches(openvswitch: Option<&Tree>) -> Vec<[&str; 2]> {
    let pairs = openvswitch.and_then(|keys| keys.get("ports")).map(Tree::items).unwrap_or_default();
    pairs.iter().filter_map(|pair| pair.texts().collect::<Vec<_>>().try_into().ok()).collect()
}

impl Config {
    /// Whether a definition is Open vSwitch's: it says so, or has in it what only that can have.
    pub fn is_of_openvswitch(&self, netdef: &Netdef) -> bool {
        let is_patch = |id: &str| patches(self.openvswitch.as_ref()).concat().contains(&id);
        let is_bond = |id: &str| self.netdefs.get(id).is_some_and(is_bond);
        let mut ports = netdef.get("interfaces").into_iter().flat_map(Tree::texts);
        match netdef.kind {
            Kind::Bond => netdef.get("openvswitch").is_some(),
            Kind::Bridge => {
                netdef.get("openvswitch").is_some() || ports.any(|id| is_patch(id) || is_bond(id))
            }
            _ => false,
        }
    }
}

/// What the definition of a bridge says of the bridge itself, beside what the rows read.
pub(in crate::netplan) fn read_bridge(
    config: &Config,
    netdef: &Netdef,
    one: impl Fn(&str) -> String,
) -> Vec<(&'static str, Json)> {
    let listed = netdef.get("interfaces").into_iter().flat_map(Tree::texts);
    let mut ports: Vec<Json> = listed
        .map(|id| match config.netdefs.get(id).filter(|port| is_bond(port)) {
            Some(bond) => json!({"name": id, "link-aggregation": read_bond(bond, &one)}),
            None => json!({"name": one(id)}),
        })
        .collect();
    ports.push(json!({"name": netdef.id}));
    vec![("bridge.port", ports.into())]
}

fn is_bond(netdef: &Netdef) -> bool {
    netdef.kind == Kind::Bond && netdef.get("openvswitch").is_some()
}

fn read_bond(netdef: &Netdef, one: impl Fn(&str) -> String) -> Json {
    let text = |path: &str| netdef.get(path).and_then(Tree::text);
    let members = netdef.get("interfaces").into_iter().flat_map(Tree::texts);
    let members: Vec<Json> = members.map(|id| json!({"name": one(id)})).collect();
    let mut bond = Map::new();
    let (mode, lacp) = (text("parameters.mode"), text("openvswitch.lacp"));
    let known = MODES.iter().find(|(_, word, of)| *word == mode && (mode.is_some() || lacp == Some(of)));
    if let Some((own, ..)) = known {
        bond.insert("mode".into(), own.word().into());
    }
    bond.insert("port".into(), members.into());
    if let Some(settings) = read_settings(netdef) {
        bond.insert("ovs-db".into(), settings);
    }
    bond.into()
}

/// Both columns, where a definition says any.
pub(in crate::netplan) fn read_settings(netdef: &Netdef) -> Option<Json> {
    let mut found = Map::new();
    for (name, key) in COLUMNS {
        let keys = netdef.get("openvswitch").and_then(|own| own.get(key)?.keys());
        let keys = keys.into_iter().flatten();
        let keys: Map<String, Json> =
            keys.filter_map(|(own, value)| Some((own.clone(), value.text()?.into()))).collect();
        if !keys.is_empty() {
            found.insert(name.to_owned(), keys.into());
        }
    }
    (!found.is_empty()).then(|| found.into())
}

/// The definition that has another among its ports.
fn holder<'a>(config: &'a Config, id: &str) -> Option<&'a Netdef> {
    let lists =
        |netdef: &&Netdef| netdef.get("interfaces").into_iter().flat_map(Tree::texts).any(|port| port == id);
    config.netdefs.values().find(lists)
}

/// The controller of a port, as a document has it: that of a member of a bond is the bridge.
pub(in crate::netplan) fn controller<'a>(config: &'a Config, id: &str) -> Option<&'a Netdef> {
    let found = holder(config, id)?;
    if is_bond(found) { holder(config, &found.id) } else { Some(found) }
}

/// The patch ports of a configuration: name, the other end, and bridge.
pub(in crate::netplan) fn read_patches(config: &Config) -> Vec<Interface> {
    let pairs = patches(config.openvswitch.as_ref());
    let both = pairs.into_iter().flat_map(|[one, other]| [(one, other), (other, one)]);
    both.filter_map(|(name, peer)| {
        let bridge = controller(config, name)?;
        let interface = Interface::new(name, InterfaceType::OvsInterface, InterfaceState::Up);
        let patch = Some(OvsPatch { peer: peer.to_owned() });
        Some(Interface { controller: Some(bridge.id.clone()), patch, ..interface })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_get_into_command_lines() {
        assert_eq!(refusal("system-id", "a_b.c:7"), None);
        for (key, value) in [("a b", "c"), ("a", "b c"), ("a", ""), ("a", "$(x)"), ("a/b", "c"), ("a", "é")]
        {
            assert!(refusal(key, value).is_some(), "{key}={value}");
        }
        assert!(refusal("netplan", "true").is_some());
    }
}
