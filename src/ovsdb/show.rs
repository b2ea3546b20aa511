//! The image as part of a state (semantics S50 to S56, S7). Pure.
//!
//! Not shown, since a document has no words for them: tunnel ports.

use std::collections::{BTreeMap, BTreeSet};

use super::image::{self, Image};
use crate::state::{
    Bridge, Interface, InterfaceState, InterfaceType, OVN_MAPPINGS, OvnBridgeMapping, OvnSettings, OvsBond,
    OvsBondMode, OvsBondPort, OvsBridge, OvsBridgeOptions, OvsBridgePort, OvsDpdk, OvsPatch, OvsSettings,
    OvsStp, OvsTable, PortVlan, PortVlanMode, State, TrunkTag,
};

/// The external id by which NetworkManager knows the rows it made.
pub const NM_UUID: &str = "NM.connection.uuid";

/// The external id by which netplan knows the rows it made; those of the values that it set begin with it, as
/// `netplan/rstp_enable`.
pub const NETPLAN: &str = "netplan";

/// Whether an external id is for its owner alone, and not shown.
pub(super) fn is_mark(key: &str) -> bool {
    key == NM_UUID || key.strip_prefix(NETPLAN).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds what the database knows to a state that shows the kernel: bridges, their ports, and the
/// settings of the host.
pub fn overlay(state: &mut State, image: &Image) {
    let Some(host) = &image.host else { return };
    let mut bridges = Vec::new();
    let mut members: BTreeMap<&str, Member<'_>> = BTreeMap::new();
    for bridge in host.bridges.iter().filter_map(|uuid| image.bridges.get(uuid)) {
        let ports = Ports::of(image, bridge);
        bridges.push(ports.show());
        let names = ports.plain.iter().map(|(_, interface)| *interface);
        let bonded = ports.bonds.iter().flat_map(|(_, members)| members.iter().copied());
        members.extend(names.chain(bonded).map(|row| (&*row.name, Member { row, bridge: &bridge.name })));
    }
    let interfaces = state.interfaces.get_or_insert_default();
    let mut known = BTreeSet::new();
    for interface in interfaces.iter_mut().filter(|interface| !interface.kind().is_userspace()) {
        if let Some(member) = members.get(interface.name.as_str()) {
            known.insert(member.row.name.as_str());
            member.complete(interface);
        }
    }
    interfaces.extend(
        members
            .values()
            .filter(|member| member.is_own() && !known.contains(&*member.row.name))
            .map(Member::without_link),
    );
    show_bridges(interfaces, bridges);
    interfaces.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.kind.cmp(&b.kind)));

    let mut external_ids = host.external_ids.clone();
    let mappings = mappings(&external_ids.remove(OVN_MAPPINGS).unwrap_or_default());
    state.ovs_db = Some(OvsSettings {
        external_ids: Some(table(&external_ids)),
        other_config: Some(table(&host.other_config)),
    });
    let mapping = |(localnet, bridge)| OvnBridgeMapping { localnet, state: None, bridge: Some(bridge) };
    state.ovn = (!mappings.is_empty())
        .then(|| OvnSettings { bridge_mappings: Some(mappings.into_iter().map(mapping).collect()) });
}

/// Puts bridges where they are known by their profiles already. One without a row is not there,
/// whatever is said of it elsewhere.
fn show_bridges(interfaces: &mut Vec<Interface>, bridges: Vec<Interface>) {
    let mut rows: BTreeMap<String, Interface> =
        bridges.into_iter().map(|bridge| (bridge.name.clone(), bridge)).collect();
    for known in interfaces.iter_mut().filter(|known| *known.kind() == InterfaceType::OvsBridge) {
        match rows.remove(&known.name) {
            Some(row) => {
                (known.state, known.bridge, known.ovs_db) = (row.state, row.bridge, row.ovs_db);
            }
            None => known.state = Some(InterfaceState::Down),
        }
    }
    interfaces.extend(rows.into_values());
}

/// Bridges by physical network, from `network:bridge,network:bridge`. What is not of that form maps
/// nothing for OVN either, and is left out.
pub(super) fn mappings(text: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (localnet, bridge) = pair.trim().split_once(':')?;
        let whole = !localnet.is_empty() && !bridge.is_empty();
        whole.then(|| (localnet.to_owned(), bridge.to_owned()))
    };
    text.split(',').filter_map(pair).collect()
}

fn table(keys: &BTreeMap<String, String>) -> OvsTable {
    let shown = keys.iter().filter(|(key, _)| !is_mark(key));
    OvsTable(shown.map(|(key, value)| (key.clone(), Some(value.clone()))).collect())
}

/// Both columns; None where both are empty.
fn settings(
    external_ids: &BTreeMap<String, String>,
    other_config: &BTreeMap<String, String>,
) -> Option<OvsSettings> {
    let (external_ids, other_config) = (table(external_ids), table(other_config));
    let says_something = !external_ids.0.is_empty() || !other_config.0.is_empty();
    says_something
        .then_some(OvsSettings { external_ids: Some(external_ids), other_config: Some(other_config) })
}

/// Whether Open vSwitch makes the interface, and a document can say so (S54).
fn is_own(kind: &str) -> bool {
    matches!(kind, "internal" | "patch" | "dpdk")
}

/// Whether the interface is a device of the host.
fn is_system(kind: &str) -> bool {
    matches!(kind, "" | "system")
}

/// The ports of a bridge that a document can speak of, by name.
struct Ports<'a> {
    bridge: &'a image::Bridge,
    /// Ports of one interface.
    plain: Vec<(&'a image::Port, &'a image::Interface)>,
    bonds: Vec<(&'a image::Port, Vec<&'a image::Interface>)>,
}

impl<'a> Ports<'a> {
    fn of(image: &'a Image, bridge: &'a image::Bridge) -> Self {
        let (mut plain, mut bonds) = (Vec::new(), Vec::new());
        for port in bridge.ports.iter().filter_map(|uuid| image.ports.get(uuid)) {
            let rows = port.interfaces.iter().filter_map(|uuid| image.interfaces.get(uuid));
            let rows = rows.map(AsRef::as_ref);
            let mut rows: Vec<&image::Interface> =
                rows.filter(|row| is_own(&row.kind) || is_system(&row.kind)).collect();
            rows.sort_by(|a, b| a.name.cmp(&b.name));
            match rows.as_slice() {
                [] => {}
                [row] if port.interfaces.len() == 1 => plain.push((port.as_ref(), *row)),
                _ => bonds.push((port.as_ref(), rows)),
            }
        }
        plain.sort_by(|a, b| a.1.name.cmp(&b.1.name));
        bonds.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        Self { bridge, plain, bonds }
    }

    fn show(&self) -> Interface {
        let bridge = self.bridge;
        let plain = self.plain.iter().map(|(port, row)| OvsBridgePort {
            name: row.name.clone(),
            bond: None,
            vlan: vlan(port),
        });
        let bonds = self.bonds.iter().map(|(port, rows)| OvsBridgePort {
            name: port.name.clone(),
            bond: Some(bond(port, rows)),
            vlan: vlan(port),
        });
        let options = OvsBridgeOptions {
            stp: Some(OvsStp { enabled: bridge.stp_enable }),
            rstp: Some(bridge.rstp_enable),
            mcast_snooping_enable: Some(bridge.mcast_snooping_enable),
            fail_mode: Some(bridge.fail_mode.clone().unwrap_or_default()),
            datapath: Some(bridge.datapath_type.clone()),
        };
        let section = OvsBridge {
            allow_extra_patch_ports: None,
            allow_extra_ports: None,
            options: Some(options),
            port: Some(plain.chain(bonds).collect()),
        };
        Interface {
            bridge: Some(Box::new(Bridge::Ovs(section))),
            ovs_db: Some(OvsSettings {
                external_ids: Some(table(&bridge.external_ids)),
                other_config: Some(table(&bridge.other_config)),
            }),
            ..Interface::new(&bridge.name, InterfaceType::OvsBridge, InterfaceState::Up)
        }
    }
}

fn bond(port: &image::Port, rows: &[&image::Interface]) -> OvsBond {
    let mode = match (port.bond_mode.as_deref(), port.lacp.as_deref()) {
        (Some("active-backup"), _) => Some(OvsBondMode::ActiveBackup),
        (Some("balance-slb"), _) => Some(OvsBondMode::BalanceSlb),
        (Some("balance-tcp"), _) => Some(OvsBondMode::BalanceTcp),
        (None, Some("active")) => Some(OvsBondMode::Lacp),
        _ => None,
    };
    let delay = |delay: u32| Some(delay).filter(|delay| *delay > 0);
    OvsBond {
        mode,
        port: Some(rows.iter().map(|row| OvsBondPort { name: row.name.clone() }).collect()),
        bond_downdelay: delay(port.bond_downdelay),
        bond_updelay: delay(port.bond_updelay),
        ovs_db: settings(&port.external_ids, &port.other_config),
    }
}

/// VLANs of a port, where its mode is one that a document knows (S53).
fn vlan(port: &image::Port) -> Option<PortVlan> {
    let is_trunk = match port.vlan_mode.as_deref()? {
        "access" => false,
        "trunk" => true,
        _ => return None,
    };
    Some(PortVlan {
        enable_native: (is_trunk && port.tag.is_some()).then_some(true),
        mode: Some(if is_trunk { PortVlanMode::Trunk } else { PortVlanMode::Access }),
        tag: Some(port.tag.unwrap_or(0)),
        trunk_tags: is_trunk.then(|| ranges(&port.trunks)),
    })
}

/// Neighbours as ranges.
fn ranges(tags: &[u16]) -> Vec<TrunkTag> {
    let sorted: BTreeSet<u16> = tags.iter().copied().collect();
    let mut ranges: Vec<TrunkTag> = Vec::new();
    for tag in sorted {
        match ranges.last_mut() {
            Some(last) if last.max.checked_add(1) == Some(tag) => last.max = tag,
            _ => ranges.push(TrunkTag { min: tag, max: tag }),
        }
    }
    ranges
}

/// An interface in a port.
struct Member<'a> {
    row: &'a image::Interface,
    bridge: &'a str,
}

impl Member<'_> {
    fn is_own(&self) -> bool {
        is_own(&self.row.kind)
    }

    /// Adds to the kernel's interface of that name what the database knows of it.
    fn complete(&self, interface: &mut Interface) {
        let row = self.row;
        interface.controller = Some(self.bridge.to_owned());
        interface.ovs_db = settings(&row.external_ids, &row.other_config);
        if !self.is_own() {
            return;
        }
        // With data path `netdev` it is a TUN device to the kernel (S7), which is otherwise ignored.
        if interface.state() == InterfaceState::Ignore {
            interface.state = Some(InterfaceState::Up);
        }
        interface.kind = Some(InterfaceType::OvsInterface);
        self.sections(interface);
    }

    /// An interface that the kernel does not know: patch and DPDK ports never have one, an internal one
    /// has none before Open vSwitch has made it, or when it could not.
    fn without_link(&self) -> Interface {
        let state = match self.row.kind.as_str() {
            "internal" => InterfaceState::Down,
            _ => InterfaceState::Up,
        };
        let mut interface = Interface {
            controller: Some(self.bridge.to_owned()),
            ovs_db: settings(&self.row.external_ids, &self.row.other_config),
            ..Interface::new(&self.row.name, InterfaceType::OvsInterface, state)
        };
        self.sections(&mut interface);
        interface
    }

    fn sections(&self, interface: &mut Interface) {
        let row = self.row;
        let option = |key: &str| row.options.get(key).cloned();
        match row.kind.as_str() {
            "patch" => interface.patch = Some(OvsPatch { peer: option("peer").unwrap_or_default() }),
            "dpdk" => {
                let number = |key: &str| row.options.get(key).and_then(|text| text.parse().ok());
                interface.mtu = interface.mtu.or(row.mtu.map(u64::from));
                interface.dpdk = Some(OvsDpdk {
                    devargs: option("dpdk-devargs").unwrap_or_default(),
                    rx_queue: number("n_rxq"),
                    n_rxq_desc: number("n_rxq_desc"),
                    n_txq_desc: number("n_txq_desc"),
                    lsc_interrupt: row.options.get("dpdk-lsc-interrupt").map(|on| on == "true"),
                });
            }
            _ => {}
        }
    }
}
