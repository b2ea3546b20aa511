//! Open vSwitch: `ovs-bridge`, `ovs-port`, `ovs-interface`, `ovs-patch`, `ovs-dpdk`,
//! `ovs-external-ids`, `ovs-other-config` (nm-settings-dbus(5), nm-openvswitch(7)).
//!
//! A port of a bridge is a profile of its own, between the profile of the bridge and those of its
//! interfaces.

use std::collections::BTreeMap;

use super::way::{self, Bool, Form, Ternary, Text, U32, Way, Words};
use super::{OVS_PORT, Wish, connection, nothing};
use crate::nm::{Profile, Setting, Value};
use crate::state::{
    Bridge, Interface, InterfaceType, OvsBond, OvsBondMode, OvsBridge, OvsBridgeOptions, OvsBridgePort,
    OvsDpdk, OvsPatch, OvsSettings, OvsStp, OvsTable, PortVlan, PortVlanMode, TrunkTag,
};

/// A port of a bridge, as it shall be.
#[derive(Clone, Debug, PartialEq)]
pub struct OvsPort {
    /// The name of the bridge.
    pub bridge: String,
    pub port: OvsBridgePort,
}

/// The ports of a bridge, which are profiles of their own.
pub fn ovs_ports(bridge: &Interface) -> Vec<OvsPort> {
    let ports = bridge.bridge.as_deref().and_then(Bridge::ovs).and_then(|bridge| bridge.port.as_deref());
    let port = |port: &OvsBridgePort| OvsPort { bridge: bridge.name.clone(), port: port.clone() };
    ports.unwrap_or_default().iter().map(port).collect()
}

/// The port of that bridge to which an interface is attached: the one of its name, or the bond
/// that lists it. An interface that the bridge does not list has a port of its own name.
pub fn ovs_port_of(bridge: &Interface, name: &str) -> String {
    let ports = bridge.bridge.as_deref().and_then(Bridge::ovs).and_then(|bridge| bridge.port.as_deref());
    let holds = |port: &&OvsBridgePort| {
        let members = port.bond.as_ref().and_then(|bond| bond.port.as_deref()).unwrap_or_default();
        members.iter().any(|member| member.name == name)
    };
    let bond = ports.unwrap_or_default().iter().find(holds);
    bond.map_or(name, |port| port.name.as_str()).to_owned()
}

/// Writes a port over its profile, or into an empty one; its UUID is the caller's to set.
pub fn write_ovs_port(profile: &mut Profile, wanted: &OvsPort) {
    let OvsPort { bridge, port } = wanted;
    if profile.0.is_empty() {
        let kind = InterfaceType::Other(OVS_PORT.to_owned());
        profile.set("connection", "id", connection::default_id(&port.name, &kind));
        profile.set("connection", "type", OVS_PORT);
        profile.set("connection", "interface-name", port.name.as_str());
        profile.0.entry(OVS_PORT.to_owned()).or_default();
    }
    way::remove(profile, "connection", &["autoconnect"]);
    profile.set("connection", "autoconnect-slaves", 1_i32);
    connection::attach(profile, bridge, "ovs-bridge");
    way::write(profile, OVS_PORT, |setting| port_keys(setting, port));
    if let Some(settings) = port.bond.as_ref().and_then(|bond| bond.ovs_db.as_ref()) {
        write_settings(profile, settings);
    }
}

/// What the profile of a port says of it. The members of a bond are known from theirs.
pub fn read_ovs_port(profile: &Profile) -> Option<OvsBridgePort> {
    let setting = profile.0.get(OVS_PORT)?;
    let mut port = OvsBridgePort { name: connection::name_of(profile), bond: None, vlan: None };
    let mut bond = OvsBond {
        mode: read_bond_mode(setting),
        port: None,
        bond_downdelay: None,
        bond_updelay: None,
        ovs_db: read_settings(profile),
    };
    delays(Way::Read(setting), &mut bond);
    let is_bond = bond.mode.is_some() || bond.bond_downdelay.is_some() || bond.bond_updelay.is_some();
    port.bond = is_bond.then_some(bond);
    let mut vlan = PortVlan::empty();
    vlan_keys(Way::Read(setting), &mut vlan);
    // What a trunk has a tag for.
    vlan.enable_native = (vlan.mode == Some(PortVlanMode::Trunk) && vlan.tag.is_some()).then_some(true);
    port.vlan = (!vlan.is_default()).then_some(vlan);
    Some(port)
}

fn port_keys(setting: &mut Setting, port: &OvsBridgePort) {
    match &port.bond {
        Some(bond) => {
            if let Some(mode) = bond.mode {
                write_bond_mode(setting, mode);
            }
            delays(Way::Overlay(setting), &mut bond.clone());
        }
        None => setting.retain(|property, _| !BOND_PROPERTIES.contains(&property.as_str())),
    }
    if let Some(vlan) = &port.vlan {
        vlan_keys(Way::Replace(setting), &mut vlan.clone());
    }
}

const BOND_PROPERTIES: [&str; 4] = ["lacp", "bond-mode", "bond-updelay", "bond-downdelay"];

/// What the two properties say together.
const BOND_MODES: [(OvsBondMode, &str, Option<&str>); 4] = [
    (OvsBondMode::Lacp, "active", None),
    (OvsBondMode::BalanceTcp, "active", Some("balance-tcp")),
    (OvsBondMode::BalanceSlb, "off", Some("balance-slb")),
    (OvsBondMode::ActiveBackup, "off", Some("active-backup")),
];

fn write_bond_mode(setting: &mut Setting, mode: OvsBondMode) {
    if let Some((_, lacp, bond_mode)) = BOND_MODES.iter().find(|(known, ..)| *known == mode) {
        way::put(setting, "lacp", Some(*lacp));
        way::put(setting, "bond-mode", *bond_mode);
    }
}

fn read_bond_mode(setting: &Setting) -> Option<OvsBondMode> {
    let lacp = setting.get("lacp").and_then(Value::as_text);
    match setting.get("bond-mode").and_then(Value::as_text) {
        Some(word) => BOND_MODES.iter().find(|(.., known)| *known == Some(word)).map(|(mode, ..)| *mode),
        None => lacp.filter(|lacp| *lacp == "active").map(|_| OvsBondMode::Lacp),
    }
}

fn delays(mut way: Way<'_>, bond: &mut OvsBond) {
    way.field("bond-updelay", U32, &mut bond.bond_updelay);
    way.field("bond-downdelay", U32, &mut bond.bond_downdelay);
}

const VLAN_MODES: &[(PortVlanMode, &str)] =
    &[(PortVlanMode::Access, "access"), (PortVlanMode::Trunk, "trunk")];

fn vlan_keys(mut way: Way<'_>, vlan: &mut PortVlan) {
    way.field("tag", U32, &mut vlan.tag);
    way.field("vlan-mode", Words(VLAN_MODES), &mut vlan.mode);
    way.field("trunks", Trunks, &mut vlan.trunk_tags);
}

/// `aa{sv}` with `start` and `end`, `t`.
struct Trunks;

impl Form<Vec<TrunkTag>> for Trunks {
    fn encode(&self, tags: &Vec<TrunkTag>) -> Option<Value> {
        let mut tags = tags.clone();
        tags.sort();
        let range = |tag: &TrunkTag| {
            let ends = [("start", tag.min), ("end", tag.max)];
            ends.map(|(key, id)| (key.to_owned(), Value::U64(id.into()))).into_iter().collect::<Setting>()
        };
        (!tags.is_empty()).then(|| tags.iter().map(range).collect::<Vec<_>>().into())
    }

    fn decode(&self, value: &Value) -> Option<Vec<TrunkTag>> {
        let number = |range: &Setting, key| u16::try_from(range.get(key)?.as_number()?).ok();
        let ranges = value.as_dicts()?.iter();
        ranges
            .map(|range| Some(TrunkTag { min: number(range, "start")?, max: number(range, "end")? }))
            .collect()
    }
}

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    match wish.interface.kind() {
        InterfaceType::OvsBridge => write_bridge(profile, wish),
        InterfaceType::OvsInterface => write_interface(profile, wish),
        _ => {}
    }
    write_membership(profile, wish);
    // NetworkManager refuses them where Open vSwitch has no row for them.
    let has_row = ["ovs-bridge", "ovs-interface"].iter().any(|setting| profile.has(setting));
    if let Some(settings) = wish.said.ovs_db.as_ref().filter(|_| has_row) {
        write_settings(profile, settings);
    }
}

/// What is no interface of Open vSwitch by type becomes one by being attached.
fn write_membership(profile: &mut Profile, wish: &Wish<'_>) {
    let source = if wish.is_new { wish.interface } else { wish.said };
    if source.controller.is_none() || wish.interface.kind().is_userspace() {
        return;
    }
    let is_ours = *wish.interface.kind() == InterfaceType::OvsInterface;
    if wish.controller.map(Interface::kind) == Some(&InterfaceType::OvsBridge) {
        if !is_ours {
            profile.set("ovs-interface", "type", "system");
        }
    } else if !is_ours {
        for setting in ["ovs-interface", "ovs-external-ids", "ovs-other-config"] {
            profile.0.remove(setting);
        }
    }
}

/// Options are replaced as a group (M54).
fn write_bridge(profile: &mut Profile, wish: &Wish<'_>) {
    let source = if wish.is_new { wish.interface } else { wish.said };
    let bridge = source.bridge.as_deref().and_then(Bridge::ovs);
    if let Some(options) = bridge.and_then(|bridge| bridge.options.as_ref()) {
        way::write(profile, "ovs-bridge", |setting| {
            bridge_options(Way::Replace(setting), &mut options.clone())
        });
    }
}

fn bridge_options(mut way: Way<'_>, options: &mut OvsBridgeOptions) {
    let mut stp = options.stp.map(|stp| stp.enabled);
    way.field_or("stp-enable", Bool, false, &mut stp);
    options.stp = stp.map(|enabled| OvsStp { enabled });
    way.field_or("rstp-enable", Bool, false, &mut options.rstp);
    way.field_or("mcast-snooping-enable", Bool, false, &mut options.mcast_snooping_enable);
    way.field("fail-mode", Text, &mut options.fail_mode);
    way.field("datapath-type", Text, &mut options.datapath);
}

fn write_interface(profile: &mut Profile, wish: &Wish<'_>) {
    let source = if wish.is_new { wish.interface } else { wish.said };
    let kind = match source {
        Interface { patch: Some(_), .. } => "patch",
        Interface { dpdk: Some(_), .. } => "dpdk",
        _ if wish.is_new => "internal",
        _ => return,
    };
    profile.set("ovs-interface", "type", kind);
    way::write_whole(profile, wish, "ovs-patch", |interface| interface.patch.as_ref(), patch);
    way::write_keys(profile, wish, "ovs-dpdk", |interface| interface.dpdk.as_ref(), dpdk);
}

fn patch(mut way: Way<'_>, patch: &mut OvsPatch) {
    way.must("peer", Text, String::new(), &mut patch.peer);
}

fn dpdk(mut way: Way<'_>, dpdk: &mut OvsDpdk) {
    way.must("devargs", Text, String::new(), &mut dpdk.devargs);
    way.field_or("n-rxq", U32, 0, &mut dpdk.rx_queue);
    way.field_or("n-rxq-desc", U32, 0, &mut dpdk.n_rxq_desc);
    way.field_or("n-txq-desc", U32, 0, &mut dpdk.n_txq_desc);
    way.field("lsc-interrupt", Ternary, &mut dpdk.lsc_interrupt);
}

/// Columns of the database by setting. Each map that is given replaces the stored one (M67).
fn write_settings(profile: &mut Profile, settings: &OvsSettings) {
    let columns =
        [("ovs-external-ids", &settings.external_ids), ("ovs-other-config", &settings.other_config)];
    for (setting, table) in columns {
        let Some(OvsTable(table)) = table else { continue };
        let is_ours = |key: &str| !key.starts_with(RESERVED);
        let data: BTreeMap<String, String> = table
            .iter()
            .filter(|(key, _)| is_ours(key))
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        if !data.is_empty() || profile.has(setting) {
            profile.set(setting, "data", data);
        }
    }
}

/// Keys with which NetworkManager marks what it made; it refuses them in profiles.
const RESERVED: &str = "NM.";

fn read_settings(profile: &Profile) -> Option<OvsSettings> {
    let table = |setting| {
        let data = profile.get(setting, "data").and_then(Value::as_map)?;
        Some(OvsTable(data.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()))
    };
    let settings =
        OvsSettings { external_ids: table("ovs-external-ids"), other_config: table("ovs-other-config") };
    (settings.external_ids.is_some() || settings.other_config.is_some()).then_some(settings)
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    match interface.kind() {
        InterfaceType::OvsBridge => {
            let options = way::read(profile, "ovs-bridge", nothing(), bridge_options);
            interface.bridge = Some(Box::new(Bridge::Ovs(OvsBridge { options, ..nothing() })));
        }
        InterfaceType::OvsInterface => {
            interface.patch = way::read(profile, "ovs-patch", OvsPatch { peer: String::new() }, patch);
            let empty = OvsDpdk {
                devargs: String::new(),
                rx_queue: None,
                n_rxq_desc: None,
                n_txq_desc: None,
                lsc_interrupt: None,
            };
            interface.dpdk = way::read(profile, "ovs-dpdk", empty, dpdk);
        }
        _ => {}
    }
    interface.ovs_db = read_settings(profile);
}
