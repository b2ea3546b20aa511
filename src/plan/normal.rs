//! One form for what is the same: both sides of every comparison go through here.
//!
//! Volatile and read-only keys are gone, lists without meaning in their order are sorted, and
//! what a default says is said.

use std::collections::BTreeSet;

use super::merge::{is_static, normal_token};
use crate::state::{
    BondOptions, BondPort, Bridge, Ethtool, FecMode, Identifier, Interface, InterfaceState, Ip,
    LinuxBridgeOptions, OvsSettings, OvsStp, Part, PortVlan, PortVlanMode, TrunkTag, VlanProtocol,
    VlanRegistration,
};

/// The comparable form of an interface.
pub fn normal(interface: &Interface, names: bool) -> Interface {
    let mut own = interface.clone();
    own.drop_read_only();
    own.uninterpreted = None;
    own.copy_mac_from = None;
    // A link without carrier or of unknown operational state is still up as far as anybody can
    // ask for it.
    if own.state() == InterfaceState::Unknown {
        own.state = Some(InterfaceState::Up);
    }
    if !names || own.profile_name.as_deref() == Some(&own.name) {
        own.profile_name = None;
    }
    if !names || own.identifier == Some(Identifier::Name) {
        own.identifier = None;
    }
    own.pci_address = None; // never set, only found by
    if let Some(ip) = own.ipv4.as_deref_mut() {
        normalise_ip(ip, false);
    }
    if let Some(ip) = own.ipv6.as_deref_mut() {
        normalise_ip(ip, true);
    }
    if let Some(flags) = own.mptcp.as_mut().and_then(|mptcp| mptcp.address_flags.as_mut()) {
        flags.sort();
        flags.dedup();
    }
    if let Some(names) = &mut own.alt_names {
        names.sort_by(|a, b| a.name.cmp(&b.name));
    }
    normalise_kind(&mut own);
    own
}

fn normalise_kind(own: &mut Interface) {
    if let Some(bond) = own.bond.as_deref_mut() {
        let configs = bond.ports_config.get_or_insert_default();
        if bond.port.is_none() && !configs.is_empty() {
            bond.port = Some(configs.iter().map(|port| port.name.clone()).collect());
        }
        let configured: BTreeSet<String> = configs.iter().map(|port| port.name.clone()).collect();
        let others = bond.port.iter().flatten().filter(|name| !configured.contains(*name));
        configs.extend(others.map(|name| BondPort { name: name.clone(), priority: None, queue_id: None }));
        for port in configs.iter_mut() {
            port.priority.get_or_insert(0);
            port.queue_id.get_or_insert(0);
        }
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        bond.port.iter_mut().for_each(|ports| ports.sort());
        if let Some(options) = &mut bond.options {
            normalise_bond_options(options);
        }
    }
    match own.bridge.as_deref_mut() {
        Some(Bridge::Linux(bridge)) => {
            bridge.allow_extra_ports = None;
            for port in bridge.port.iter_mut().flatten() {
                port.vlan = port.vlan.take().and_then(normal_vlan);
            }
            bridge.port.iter_mut().for_each(|ports| ports.sort_by(|a, b| a.name.cmp(&b.name)));
            if let Some(options) = bridge.options.as_deref_mut() {
                normalise_bridge_options(options);
            }
        }
        Some(Bridge::Ovs(bridge)) => {
            bridge.allow_extra_ports = None;
            bridge.allow_extra_patch_ports = None;
            for port in bridge.port.iter_mut().flatten() {
                port.vlan = port.vlan.take().and_then(normal_vlan);
                if let Some(bond) = &mut port.bond {
                    bond.port.iter_mut().for_each(|members| members.sort_by(|a, b| a.name.cmp(&b.name)));
                    bond.bond_updelay.take_if(|delay| *delay == 0);
                    bond.bond_downdelay.take_if(|delay| *delay == 0);
                    normalise_ovs_settings(bond.ovs_db.as_mut());
                    bond.ovs_db.take_if(|settings| settings.is_empty());
                }
            }
            if let Some(options) = &mut bridge.options {
                options.stp.get_or_insert(OvsStp { enabled: false });
                options.rstp.get_or_insert(false);
                options.mcast_snooping_enable.get_or_insert(false);
            }
            bridge.port.iter_mut().for_each(|ports| ports.sort_by(|a, b| a.name.cmp(&b.name)));
        }
        None => {}
    }
    normalise_ovs_settings(own.ovs_db.as_mut());
    if let Some(vlan) = own.vlan.as_deref_mut() {
        vlan.protocol.get_or_insert(VlanProtocol::Ieee8021Q);
        vlan.registration_protocol.get_or_insert(VlanRegistration::None);
        vlan.reorder_headers.get_or_insert(true);
        vlan.loose_binding.get_or_insert(false);
        for map in [&mut vlan.ingress_qos_map, &mut vlan.egress_qos_map] {
            map.get_or_insert_default().sort_by_key(|entry| (entry.from, entry.to));
        }
    }
    if let Some(ports) = own.vrf.as_mut().and_then(|vrf| vrf.port.as_mut()) {
        ports.sort();
    }
    if let Some(hsr) = &mut own.hsr {
        hsr.interlink.take_if(|name| name.is_empty());
    }
    if let Some(tunnel) = own.ip_tunnel.as_deref_mut()
        && let Some(flags) = &mut tunnel.ip6tun_flags
    {
        use crate::state::Ip6TunnelFlag::{CapPerPacket, CapRcv, CapXmit};
        flags.retain(|flag| !matches!(flag, CapXmit | CapRcv | CapPerPacket)); // the kernel's (C22)
        flags.sort();
        flags.dedup();
    }
    if let Some(ethernet) = own.ethernet.as_deref_mut() {
        if ethernet.auto_negotiation == Some(true) {
            (ethernet.speed, ethernet.duplex) = (None, None);
        }
        if let Some(sr_iov) = &mut ethernet.sr_iov {
            sr_iov.vfs.iter_mut().for_each(|functions| functions.sort_by_key(|function| function.id));
        }
    }
    if let Some(ethtool) = own.ethtool.as_deref_mut() {
        normalise_ethtool(ethtool);
    }
}

/// Both maps, without keys that have no value.
fn normalise_ovs_settings(settings: Option<&mut OvsSettings>) {
    let Some(OvsSettings { external_ids, other_config }) = settings else { return };
    for table in [external_ids, other_config] {
        table.get_or_insert_default().0.retain(|_, value| value.is_some());
    }
}

fn normalise_ip(ip: &mut Ip, v6: bool) {
    ip.allow_extra_address = None;
    let mut addresses = ip.address.take().unwrap_or_default();
    addresses.retain(is_static);
    for address in &mut addresses {
        (address.valid_life_time, address.preferred_life_time) = (None, None);
        (address.protocol, address.mptcp_flags) = (None, None);
    }
    // The kernel lists addresses in an order of its own (IPv6: the newest first).
    addresses.sort_by_key(|address| (address.ip, address.prefix_length));
    addresses.dedup_by_key(|address| (address.ip, address.prefix_length));
    // IPv4 without any address and without DHCP is IPv4 that is off (M32).
    if !v6 && addresses.is_empty() && !ip.is_auto() {
        ip.enabled = Some(false);
    }
    let enabled = ip.is_enabled();
    ip.enabled = Some(enabled);
    if !enabled {
        *ip = Ip { forwarding: ip.forwarding, ..Ip::new(false) };
        return;
    }
    ip.address = Some(addresses);
    ip.dhcp.get_or_insert(false);
    if v6 {
        ip.autoconf.get_or_insert(false);
        let token = ip.token.take().unwrap_or_default();
        ip.token = Some(normal_token(&token)).filter(|_| ip.is_auto());
    }
    if ip.is_auto() {
        ip.auto_dns.get_or_insert(true);
        ip.auto_gateway.get_or_insert(true);
        ip.auto_routes.get_or_insert(true);
        ip.auto_route_table_id.take_if(|table| matches!(table, 0 | 254));
    } else {
        (ip.auto_dns, ip.auto_gateway, ip.auto_routes) = (None, None, None);
        ip.auto_route_table_id = None;
    }
    ip.auto_route_metric.take_if(|metric| *metric == -1);
    ip.prefix_route_metric.take_if(|metric| *metric == -1);
}

fn normalise_bond_options(options: &mut BondOptions) {
    options.arp_ip_target.take_if(|targets| targets.is_empty());
    options.ns_ip6_target.take_if(|targets| targets.is_empty());
    options.primary.take_if(|primary| primary.is_empty());
    // One counter in the kernel under two names.
    options.num_unsol_na = options.num_unsol_na.or(options.num_grat_arp);
    options.num_grat_arp = options.num_grat_arp.or(options.num_unsol_na);
}

fn normalise_bridge_options(options: &mut LinuxBridgeOptions) {
    options.group_fwd_mask = options.group_fwd_mask.or(options.group_forward_mask);
    options.group_forward_mask = options.group_fwd_mask;
}

/// None for a filter at its default.
fn normal_vlan(vlan: PortVlan) -> Option<PortVlan> {
    if vlan.is_default() {
        return None;
    }
    let tags = merged_tags(vlan.trunk_tags.as_deref().unwrap_or_default());
    let native = vlan.enable_native == Some(true);
    let trunk = vlan.mode == Some(PortVlanMode::Trunk) || (vlan.mode.is_none() && !tags.is_empty());
    Some(match trunk {
        true => PortVlan {
            enable_native: Some(native),
            mode: Some(PortVlanMode::Trunk),
            tag: vlan.tag.filter(|_| native),
            trunk_tags: Some(tags),
        },
        false => PortVlan {
            enable_native: Some(false),
            mode: Some(PortVlanMode::Access),
            tag: vlan.tag,
            trunk_tags: Some(Vec::new()),
        },
    })
}

/// Sorted, neighbours joined: `5, 6, 7-9` is `5-9` (M53).
pub fn merged_tags(tags: &[TrunkTag]) -> Vec<TrunkTag> {
    let mut tags = tags.to_vec();
    tags.sort();
    let mut merged: Vec<TrunkTag> = Vec::with_capacity(tags.len());
    for tag in tags {
        match merged.last_mut() {
            Some(last) if tag.min <= last.max.saturating_add(1) => last.max = last.max.max(tag.max),
            _ => merged.push(tag),
        }
    }
    merged
}

fn normalise_ethtool(ethtool: &mut Ethtool) {
    if let Some(pause) = &mut ethtool.pause
        && pause.autoneg == Some(true)
    {
        (pause.rx, pause.tx) = (None, None);
    }
    if let Some(fec) = &mut ethtool.fec {
        match fec.auto {
            Some(true) => fec.mode = None,
            Some(false) => {
                fec.mode.get_or_insert(FecMode::Off);
            }
            None => {}
        }
    }
}
