//! What a port is to its controller: settings, and VLANs of a bridge port.

use std::collections::{BTreeMap, BTreeSet};

use super::super::op::{Op, VlanRange};
use super::bond;
use crate::kernel::netlink::kinds::{self, PortData};
use crate::state::{Bond, BondPort, Interface, LinuxBridge, LinuxBridgePort, PortVlan, PortVlanMode};

/// The VLAN of bridge ports that nothing else was said of.
const DEFAULT_PVID: u16 = 1;

/// Settings of the controller's ports that have to be said. `fresh`: ports that are attached anew,
/// which start with the kernel's defaults.
pub(super) fn settings(before: Option<&Interface>, after: &Interface, fresh: &BTreeSet<String>) -> Vec<Op> {
    let mut ops = Vec::new();
    if let Some(bridge) = linux_bridge(after) {
        bridge_ports(before.and_then(linux_bridge), bridge, fresh, &mut ops);
    }
    if let Some(section) = after.bond.as_deref() {
        let old = before.and_then(|before| before.bond.as_deref());
        bond_ports(&after.name, old, section, fresh, &mut ops);
    }
    ops
}

fn linux_bridge(interface: &Interface) -> Option<&LinuxBridge> {
    interface.bridge.as_deref()?.linux()
}

fn default_pvid(bridge: &LinuxBridge) -> u16 {
    bridge.options.as_ref().and_then(|options| options.vlan_default_pvid).unwrap_or(DEFAULT_PVID)
}

fn bridge_ports(old: Option<&LinuxBridge>, new: &LinuxBridge, fresh: &BTreeSet<String>, ops: &mut Vec<Op>) {
    let old_ports = old.and_then(|old| old.port.as_ref());
    for port in new.port.iter().flatten() {
        let known = old_ports.into_iter().flatten().find(|other| other.name == port.name);
        let known = known.filter(|_| !fresh.contains(&port.name));
        let are = bridge_port(port).changed_from(&known.map(bridge_port).unwrap_or_default());
        if are != kinds::BridgePort::default() {
            let are = PortData::Bridge(Box::new(are));
            ops.push(Op::PortOptions { link: port.name.clone(), are });
        }
        let vlan = |port: &LinuxBridgePort| port.vlan.clone().filter(|vlan| !vlan.is_default());
        let (wanted, present) = (vlan(port), known.and_then(vlan));
        if wanted == present {
            continue;
        }
        let present = vlans(present.as_ref(), old.map_or(default_pvid(new), default_pvid));
        let wanted = vlans(wanted.as_ref(), default_pvid(new));
        let without = |from: &BTreeMap<u16, (bool, bool)>, other: &BTreeMap<u16, (bool, bool)>| {
            from.iter().filter(|(id, _)| !other.contains_key(id)).map(|(id, flags)| (*id, *flags)).collect()
        };
        let changed: BTreeMap<u16, (bool, bool)> = wanted
            .iter()
            .filter(|(id, flags)| present.get(id) != Some(flags))
            .map(|(id, flags)| (*id, *flags))
            .collect();
        let gone: BTreeMap<u16, (bool, bool)> = without(&present, &wanted);
        ops.push(Op::BridgeVlans { link: port.name.clone(), remove: ranges(&gone), add: ranges(&changed) });
    }
}

fn bridge_port(port: &LinuxBridgePort) -> kinds::BridgePort {
    kinds::BridgePort {
        priority: port.stp_priority,
        cost: port.stp_path_cost,
        hairpin: port.stp_hairpin_mode,
        ..kinds::BridgePort::default()
    }
}

/// The VLANs of a port, each with (pvid, untagged) (schema 6.6).
fn vlans(vlan: Option<&PortVlan>, default_pvid: u16) -> BTreeMap<u16, (bool, bool)> {
    let native = (true, true);
    let Some(vlan) = vlan else {
        return (default_pvid != 0).then_some((default_pvid, native)).into_iter().collect();
    };
    let is_trunk = vlan.mode == Some(PortVlanMode::Trunk);
    let tags = vlan.trunk_tags.iter().flatten().filter(|_| is_trunk);
    let mut list: BTreeMap<u16, (bool, bool)> =
        tags.flat_map(|tag| tag.min..=tag.max).map(|id| (id, (false, false))).collect();
    if let Some(tag) = vlan.tag.filter(|tag| *tag != 0)
        && (!is_trunk || vlan.enable_native == Some(true))
    {
        list.insert(tag, native);
    }
    list
}

/// Joins neighbours with equal flags.
fn ranges(vlans: &BTreeMap<u16, (bool, bool)>) -> Vec<VlanRange> {
    let mut ranges: Vec<VlanRange> = Vec::new();
    for (&id, &(pvid, untagged)) in vlans {
        match ranges.last_mut() {
            // The kernel takes a pvid only alone.
            Some(last)
                if !pvid
                    && !last.pvid
                    && last.untagged == untagged
                    && last.last.checked_add(1) == Some(id) =>
            {
                last.last = id;
            }
            _ => ranges.push(VlanRange { first: id, last: id, pvid, untagged }),
        }
    }
    ranges
}

fn bond_ports(name: &str, old: Option<&Bond>, new: &Bond, fresh: &BTreeSet<String>, ops: &mut Vec<Op>) {
    let mode = new.mode.and_then(super::super::links::bond_mode);
    let old_ports = old.and_then(|old| old.ports_config.as_ref());
    for port in new.ports_config.iter().flatten() {
        let known = old_ports.into_iter().flatten().find(|other| other.name == port.name);
        let known = known.filter(|_| !fresh.contains(&port.name));
        // A new port has neither.
        let none = BondPort { name: String::new(), priority: Some(0), queue_id: Some(0) };
        let mut are = bond_port(port).changed_from(&bond_port(known.unwrap_or(&none)));
        if !bond::has_port_priority(mode) {
            are.priority = None;
        }
        if are != kinds::BondPort::default() {
            ops.push(Op::PortOptions { link: port.name.clone(), are: PortData::Bond(Box::new(are)) });
        }
    }
    let primary = |bond: &Bond| bond.options.as_ref().and_then(|options| options.primary.clone());
    let (wanted, present) = (primary(new).filter(|name| !name.is_empty()), old.and_then(primary));
    let lost = wanted.as_ref().is_some_and(|port| fresh.contains(port));
    if bond::has_primary(mode) && (wanted != present || lost) {
        ops.push(Op::Primary { bond: name.to_owned(), port: wanted });
    }
}

fn bond_port(port: &BondPort) -> kinds::BondPort {
    kinds::BondPort { queue_id: port.queue_id, priority: port.priority, ..kinds::BondPort::default() }
}
