//! What is equal is brought into a form in which it looks equal (semantics C4, C10 to C27).

use std::collections::BTreeSet;

use super::Present;
use crate::plan::{has_bonds_mac, routes::MAIN_TABLE};
use crate::state::{
    BondOptions, Bridge, Ethernet, Ethtool, FEATURE_ALIASES, Identifier, Interface, InterfaceType, Ip,
    Ip6TunnelFlag, IpTunnel, LinuxBridge, OvsBridge, PortVlan, TrunkTag,
};

/// Prepares what is wanted and what is for the comparison by parts.
pub(super) fn prepare(wanted: &mut Interface, found: &mut Interface, present: &Present<'_>) {
    if wanted.profile_name.as_ref() == Some(&wanted.name) {
        wanted.profile_name = None;
    }
    // An address to look for may be the permanent one.
    if wanted.identifier == Some(Identifier::MacAddress) && wanted.mac_address == found.permanent_mac_address
    {
        wanted.mac_address = None;
    }
    // A document that was committed in parts has the port's own address as well.
    let bond = found.controller.as_deref().and_then(|name| present.kernel(name));
    if bond.is_some_and(|bond| has_bonds_mac(found, bond)) {
        wanted.mac_address = None;
    }
    for interface in [&mut *wanted, &mut *found] {
        interface.ipv4.as_deref_mut().into_iter().chain(interface.ipv6.as_deref_mut()).for_each(ip);
        interface.ip_tunnel.as_deref_mut().into_iter().for_each(ip_tunnel);
    }
    wanted.ethernet.as_deref_mut().into_iter().for_each(ethernet);
    wanted.ethtool.as_deref_mut().into_iter().for_each(ethtool);
    if let Some(vrf) = &mut wanted.vrf {
        // 0 keeps the current table.
        vrf.route_table_id = vrf.route_table_id.filter(|table| *table != 0);
    }
    let (own, theirs) = (&wanted.vrf, &mut found.vrf);
    if let (Some(own), Some(theirs)) = (own, theirs) {
        drop_unmanaged(own.port.as_ref(), theirs.port.as_mut(), present);
    }
    if let (Some(own), Some(theirs)) = (&mut wanted.bond, &mut found.bond) {
        drop_unmanaged(own.port.as_ref(), theirs.port.as_mut(), present);
        if let (Some(own), Some(theirs)) = (&mut own.options, &theirs.options) {
            bond_options(own, theirs);
        }
    }
    match (wanted.bridge.as_deref_mut(), found.bridge.as_deref_mut()) {
        (Some(Bridge::Linux(own)), Some(Bridge::Linux(theirs))) => linux_bridge(own, theirs, present),
        (Some(Bridge::Ovs(own)), Some(Bridge::Ovs(theirs))) => ovs_bridge(own, theirs, present),
        // One side has no bridge at all, or the types differ, which has its own finding.
        _ => {}
    }
}

/// A port that is no business of ours is not in the way (C4).
fn drop_unmanaged(wanted: Option<&Vec<String>>, found: Option<&mut Vec<String>>, present: &Present<'_>) {
    if let (Some(wanted), Some(found)) = (wanted, found) {
        found.retain(|name| wanted.contains(name) || is_managed(name, present));
    }
}

fn is_managed(name: &str, present: &Present<'_>) -> bool {
    present.kernel(name).is_some_and(|port| !port.is_ignored() && *port.kind() != InterfaceType::Unknown)
}

fn ip(ip: &mut Ip) {
    // -1 leaves the choice to the backend.
    ip.auto_route_metric = ip.auto_route_metric.filter(|metric| *metric >= 0);
    ip.prefix_route_metric = ip.prefix_route_metric.filter(|metric| *metric >= 0);
    ip.auto_route_table_id = ip.auto_route_table_id.map(|table| if table == MAIN_TABLE { 0 } else { table });
    if ip.token.as_deref() == Some("") {
        ip.token = Some("::".into());
    }
}

fn ip_tunnel(tunnel: &mut IpTunnel) {
    // The kernel works these out from the addresses.
    let is_ours = |flag: &Ip6TunnelFlag| {
        !matches!(flag, Ip6TunnelFlag::CapXmit | Ip6TunnelFlag::CapRcv | Ip6TunnelFlag::CapPerPacket)
    };
    tunnel.ip6tun_flags.iter_mut().for_each(|flags| flags.retain(is_ours));
}

fn ethernet(ethernet: &mut Ethernet) {
    if ethernet.auto_negotiation == Some(true) {
        (ethernet.speed, ethernet.duplex) = (None, None);
    }
    if let Some(sr_iov) = &mut ethernet.sr_iov {
        sr_iov.vfs = sr_iov.vfs.take().filter(|vfs| !vfs.is_empty());
    }
}

fn ethtool(ethtool: &mut Ethtool) {
    if let Some(features) = &mut ethtool.feature {
        for (alias, name) in FEATURE_ALIASES {
            if let Some(value) = features.remove(alias) {
                features.entry(name.to_owned()).or_insert(value);
            }
        }
    }
    if let Some(fec) = &mut ethtool.fec
        && fec.auto == Some(true)
    {
        fec.mode = None;
    }
}

fn linux_bridge(wanted: &mut LinuxBridge, found: &mut LinuxBridge, present: &Present<'_>) {
    for options in [&mut wanted.options, &mut found.options].into_iter().flatten() {
        let alias = options.group_forward_mask.take();
        options.group_fwd_mask = options.group_fwd_mask.or(alias);
    }
    if let (Some(own), Some(theirs)) = (&wanted.port, &mut found.port) {
        let own: BTreeSet<&str> = own.iter().map(|port| port.name.as_str()).collect();
        let more_allowed = wanted.allow_extra_ports == Some(true);
        let counts = |name: &str| own.contains(name) || !more_allowed && is_managed(name, present);
        theirs.retain(|port| counts(&port.name));
    }
    let ports = [&mut wanted.port, &mut found.port].into_iter().flatten().flatten();
    ports.filter_map(|port| port.vlan.as_mut()).for_each(single_tags);
}

fn ovs_bridge(wanted: &mut OvsBridge, found: &mut OvsBridge, present: &Present<'_>) {
    if let (Some(own), Some(theirs)) = (&wanted.port, &mut found.port) {
        let own: BTreeSet<&str> = own.iter().map(|port| port.name.as_str()).collect();
        let is_patch = |name: &str| present.kernel(name).is_some_and(|found| found.patch.is_some());
        let more_allowed = wanted.allow_extra_ports == Some(true);
        let patches_allowed = wanted.allow_extra_patch_ports == Some(true);
        theirs.retain(|port| {
            own.contains(port.name.as_str()) || !(more_allowed || patches_allowed && is_patch(&port.name))
        });
    }
    let ports = [&mut wanted.port, &mut found.port].into_iter().flatten().flatten();
    ports.filter_map(|port| port.vlan.as_mut()).for_each(single_tags);
}

/// What the kernel changes in bond options by itself (Documentation/networking/bonding.rst).
fn bond_options(wanted: &mut BondOptions, found: &BondOptions) {
    // Delays are rounded down to a multiple of the monitoring interval.
    let miimon = wanted.miimon.or(found.miimon).unwrap_or(0);
    let round = |delay: u32| if miimon > 0 { delay - delay % miimon } else { delay };
    wanted.updelay = wanted.updelay.map(round);
    wanted.downdelay = wanted.downdelay.map(round);
    // Two names of one value: the one set last wins; `num_unsol_na` is set last.
    if wanted.num_unsol_na.is_some() {
        wanted.num_grat_arp = None;
    }
    // Targets are kept in the order they were added.
    if let (Some(own), Some(theirs)) = (&wanted.arp_ip_target, &found.arp_ip_target) {
        let set = |text: &str| -> BTreeSet<String> {
            text.split(',').map(|target| target.trim().to_owned()).collect()
        };
        if set(own) == set(theirs) {
            wanted.arp_ip_target = None;
        }
    }
}

/// Ranges as single VLANs, so that any cut into ranges compares equal (M53).
fn single_tags(vlan: &mut PortVlan) {
    if let Some(tags) = &mut vlan.trunk_tags {
        let single: BTreeSet<u16> = tags.iter().flat_map(|tag| tag.min..=tag.max).collect();
        *tags = single.into_iter().map(|id| TrunkTag { min: id, max: id }).collect();
    }
}
