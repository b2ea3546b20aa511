//! What an interface shall be, whole: what was asked, completed by what is (semantics M).

use std::collections::{BTreeMap, BTreeSet};

use super::family;
use super::report::Report;
use crate::state::{
    Address, AltName, Bond, BondMode, BondPort, Bridge, FailOverMac, Interface, InterfaceState,
    InterfaceType, Ip, LinuxBridge, LinuxBridgePort, OvsStp, Part, Path, Secret, VirtualFunction,
};

/// The whole of what an interface shall be. `current` is None for a new one; with
/// `override_interfaces` it is only name and type.
pub fn merge(
    desired: &Interface,
    current: Option<&Interface>,
    path: &Path,
    report: &mut Report,
) -> Interface {
    let mut target = desired.clone();
    target.copy_mac_from = None;
    target.uninterpreted = None;
    let Some(current) = current else {
        target.state.get_or_insert(InterfaceState::Up);
        settle_alt_names(&mut target, &[]);
        settle(&mut target, desired, None, path, report);
        return target;
    };
    if let (Some(own), Some(now)) = (target.bond.as_deref_mut(), current.bond.as_deref()) {
        settle_bond_ports(own, now);
    }
    settle_alt_names(&mut target, current.alt_names.as_deref().unwrap_or_default());
    settle_bridge_ports(&mut target, current);
    settle_functions(&mut target, current);
    let state = target.state();
    target.fill_from(current);
    target.state = Some(state);
    replace_whole_sections(&mut target, desired, current);
    settle_secrets(&mut target, current);
    settle(&mut target, desired, Some(current), path, report);
    target
}

/// Rules that hold for new and for present interfaces.
fn settle(
    target: &mut Interface,
    desired: &Interface,
    current: Option<&Interface>,
    path: &Path,
    report: &mut Report,
) {
    for v6 in [false, true] {
        let now = family(current, v6);
        let key = if v6 { "ipv6" } else { "ipv4" };
        let ip = if v6 { &mut target.ipv6 } else { &mut target.ipv4 };
        // A section that is not mentioned changes nothing (M20).
        if let (Some(ip), Some(asked)) = (ip, family(Some(desired), v6)) {
            settle_ip(ip, asked, now, v6, &path.key(key), report);
        }
    }
    match target.kind() {
        InterfaceType::Vlan => {
            if let Some(vlan) = target.vlan.as_deref_mut() {
                vlan.reorder_headers.get_or_insert(true);
            }
        }
        InterfaceType::Vrf => {
            let table = current.and_then(|current| current.vrf.as_ref()?.route_table_id);
            if let Some(vrf) = &mut target.vrf
                && vrf.route_table_id.unwrap_or(0) == 0
            {
                vrf.route_table_id = table;
            }
            let mac = current.and_then(|current| current.mac_address);
            if target.mac_address.is_some() && target.mac_address != mac {
                report.warn(path, "the MAC address of a VRF cannot be set, and is ignored");
                target.mac_address = mac;
            }
            if target.accept_all_mac_addresses == Some(false) {
                target.accept_all_mac_addresses =
                    current.and_then(|current| current.accept_all_mac_addresses);
            }
        }
        InterfaceType::Bond => {
            let mac = current.and_then(|current| current.mac_address);
            if target.mac_address.is_some() && target.mac_address != mac && is_active_mac_bond(target) {
                report.warn(path, "an active-backup bond with `fail_over_mac: active` takes the MAC address of its active port; the one given is ignored");
                target.mac_address = mac;
            }
        }
        InterfaceType::OvsBridge => {
            if target.mtu.take().is_some() {
                report.warn(path, "an Open vSwitch bridge has no MTU; the one given is ignored");
            }
            target.ipv4 = None;
            target.ipv6 = None;
        }
        InterfaceType::Loopback => keep_loopback_addresses(target),
        _ => {}
    }
    settle_ovs_settings(target);
    if let Some(ethernet) = target.ethernet.as_deref_mut()
        && ethernet.auto_negotiation == Some(true)
    {
        (ethernet.speed, ethernet.duplex) = (None, None); // M63
    }
    if let Some(ethtool) = target.ethtool.as_deref_mut() {
        if let Some(pause) = &mut ethtool.pause
            && pause.autoneg == Some(true)
        {
            (pause.rx, pause.tx) = (None, None); // M65
        }
        if let Some(fec) = &mut ethtool.fec
            && fec.auto == Some(true)
        {
            fec.mode = None;
        }
    }
}

/// A map of Open vSwitch's settings that is given replaces the one that is there; what has no value
/// is not stored (M67).
fn settle_ovs_settings(target: &mut Interface) {
    let ports = target.bridge.as_deref_mut().and_then(|bridge| bridge.ovs_mut()?.port.as_mut());
    let bonds = ports.into_iter().flatten().filter_map(|port| port.bond.as_mut()?.ovs_db.as_mut());
    for settings in target.ovs_db.iter_mut().chain(bonds) {
        for table in [&mut settings.external_ids, &mut settings.other_config].into_iter().flatten() {
            table.0.retain(|_, value| value.is_some());
        }
    }
}

/// Whether an address belongs to the document: not leased or advertised, not the kernel's own
/// link-local one, not marked by another program (M27).
pub fn is_static(address: &Address) -> bool {
    !address.is_dynamic() && !address.is_v6_link_local() && !address.is_foreign()
}

/// An interface without what belongs to no configuration: what can only be read, and what others have given it (leases,
/// advertised and the kernel's own addresses).
pub fn configured(mut interface: Interface) -> Interface {
    interface.drop_read_only();
    for ip in [interface.ipv4.as_deref_mut(), interface.ipv6.as_deref_mut()].into_iter().flatten() {
        if let Some(addresses) = &mut ip.address {
            addresses.retain(is_static);
        }
    }
    interface
}

/// `ip` is already completed from `now` key by key (M20 to M31).
fn settle_ip(ip: &mut Ip, asked: &Ip, now: Option<&Ip>, v6: bool, path: &Path, report: &mut Report) {
    ip.enabled.get_or_insert(false);
    if !ip.is_enabled() {
        if ip.forwarding == Some(true) && now.and_then(|now| now.forwarding) != Some(true) {
            report.warn(path, "forwarding cannot be on while IPv4 is disabled, and is ignored");
        }
        let forwarding = ip.forwarding.filter(|forwarding| !forwarding);
        *ip = Ip { forwarding, ..Ip::new(false) };
        return;
    }
    let now_addresses = now.map(Ip::addresses).unwrap_or_default();
    let completed = ip.address.take().unwrap_or_default();
    let was_auto = now.is_some_and(Ip::is_auto);
    let mut addresses: Vec<Address> = Vec::new();
    if was_auto && !ip.is_auto() && !asked.addresses().iter().any(is_static) {
        // What was leased stays, as static addresses (M22).
        let kept =
            now_addresses.iter().filter(|address| !address.is_foreign() && !address.is_v6_link_local());
        addresses.extend(kept.map(|address| Address::new(address.ip, address.prefix_length)));
    } else {
        for address in completed.iter().filter(|address| is_static(address)) {
            let address = Address::new(address.ip, address.prefix_length);
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }
    // What is not ours stays as it is, except leases of a client that is switched off.
    let stays = |address: &&Address| !is_static(address) && (!address.is_dynamic() || ip.is_auto());
    let ours = |address: &Address| {
        addresses.iter().any(|own| own.ip == address.ip && own.prefix_length == address.prefix_length)
    };
    let others: Vec<Address> =
        now_addresses.iter().filter(stays).filter(|address| !ours(address)).cloned().collect();
    addresses.extend(others);
    ip.address = Some(addresses);
    settle_auto(ip, v6);
}

/// Options of automatic addressing (M24 to M26, M29 to M31).
fn settle_auto(ip: &mut Ip, v6: bool) {
    if !v6 {
        ip.autoconf = None;
        ip.token = None;
    }
    if ip.is_auto() {
        ip.auto_dns.get_or_insert(true);
        ip.auto_gateway.get_or_insert(true);
        ip.auto_routes.get_or_insert(true);
    } else {
        ip.auto_dns = None;
        ip.auto_gateway = None;
        ip.auto_routes = None;
        ip.auto_route_table_id = None;
        ip.dhcp_send_hostname = None;
        ip.dhcp_custom_hostname = None;
        if !v6 {
            ip.auto_route_metric = None;
            ip.dhcp_client_id = None;
        }
    }
    if v6 && ip.autoconf != Some(true) {
        ip.auto_route_metric = None;
    }
    if ip.dhcp_send_hostname == Some(false) {
        ip.dhcp_custom_hostname = None;
    }
    if !v6 {
        match (ip.auto_route_metric, ip.prefix_route_metric) {
            (Some(-1), Some(metric)) | (Some(metric), Some(-1)) => {
                ip.auto_route_metric = Some(metric);
                ip.prefix_route_metric = Some(metric);
            }
            _ => {}
        }
    }
    if let Some(token) = &mut ip.token {
        *token = normal_token(token);
    }
}

/// `::` and the low 64 bits in groups (M30). A token that is no address is left for validation.
pub fn normal_token(token: &str) -> String {
    match token {
        "" => "::".to_owned(),
        _ => match token.parse::<std::net::Ipv6Addr>() {
            Ok(address) => {
                let groups: Vec<String> = address.segments()[4..]
                    .iter()
                    .skip_while(|group| **group == 0)
                    .map(|group| format!("{group:x}"))
                    .collect();
                format!("::{}", groups.join(":"))
            }
            Err(_) => token.to_owned(),
        },
    }
}

/// 127.0.0.1/8 and ::1/128 stay, whatever is asked (K17).
fn keep_loopback_addresses(target: &mut Interface) {
    let own = [
        (&mut target.ipv4, Address::new(std::net::Ipv4Addr::LOCALHOST.into(), 8)),
        (&mut target.ipv6, Address::new(std::net::Ipv6Addr::LOCALHOST.into(), 128)),
    ];
    for (ip, address) in own {
        if let Some(ip) = ip.as_deref_mut().filter(|ip| ip.is_enabled()) {
            let addresses = ip.address.get_or_insert_default();
            if !addresses.iter().any(|own| own.ip == address.ip) {
                addresses.insert(0, address);
            }
        }
    }
}

/// Sections that describe one thing: as soon as one key differs the section stands alone, and
/// keys that it does not mention go to their default (M62). While nothing differs, what is not
/// mentioned stays: applying a document twice changes nothing.
fn replace_whole_sections(target: &mut Interface, desired: &Interface, current: &Interface) {
    macro_rules! whole {
        ($($section:ident),*) => { $(
            if let (Some(asked), Some(now)) = (&desired.$section, &current.$section)
                && target.$section.as_ref() != Some(now)
            {
                target.$section = Some(asked.clone());
            }
        )* };
    }
    whole!(vxlan, mac_vlan, mac_vtap, ipvlan, hsr, libreswan, ieee8021x, macsec);
    // One that says nothing takes it away: no key of it could differ.
    target.ieee8021x = target.ieee8021x.take().map(|own| match &desired.ieee8021x {
        Some(asked) if asked.is_empty() => asked.clone(),
        _ => own,
    });
    if let (Some(own), Some(now)) = (&mut target.macsec, &current.macsec) {
        own.offload = own.offload.or(now.offload); // not part of what is replaced
    }
    let asked = desired.bridge.as_ref().and_then(|bridge| bridge.ovs()?.options.as_ref());
    let own = target.bridge.as_deref_mut().and_then(|bridge| bridge.ovs_mut()?.options.as_mut());
    if let (Some(own), Some(asked)) = (own, asked) {
        // These three are one group (M54).
        own.stp = asked.stp.or(Some(OvsStp { enabled: false }));
        own.rstp = asked.rstp.or(Some(false));
        own.mcast_snooping_enable = asked.mcast_snooping_enable.or(Some(false));
    }
    if let (Some(own), Some(asked), Some(now)) = (&mut target.bond, &desired.bond, &current.bond)
        && asked.mode.is_some_and(|mode| now.mode.is_some_and(|now| now != mode))
    {
        own.options.clone_from(&asked.options); // another mode, other options (M40)
    }
}

/// `port` and `ports-config` name the same ports; settings not mentioned stay (M45).
fn settle_bond_ports(own: &mut Bond, now: &Bond) {
    if own.port.is_none() && own.ports_config.is_none() {
        return;
    }
    let names: BTreeSet<String> = own
        .port
        .iter()
        .flatten()
        .cloned()
        .chain(own.ports_config.iter().flatten().map(|port| port.name.clone()))
        .collect();
    let asked: BTreeMap<&str, &BondPort> =
        own.ports_config.iter().flatten().map(|port| (port.name.as_str(), port)).collect();
    let present: BTreeMap<&str, &BondPort> =
        now.ports_config.iter().flatten().map(|port| (port.name.as_str(), port)).collect();
    let config = |name: &String| {
        let mut port = asked.get(name.as_str()).map(|port| (*port).clone());
        if let Some(now) = present.get(name.as_str()) {
            port.get_or_insert_with(|| (*now).clone()).fill_from(now);
        }
        port
    };
    let configs: Vec<BondPort> = names.iter().filter_map(config).collect();
    own.ports_config = (!configs.is_empty() || own.ports_config.is_some()).then_some(configs);
    own.port = Some(names.into_iter().collect());
}

fn is_active_mac_bond(interface: &Interface) -> bool {
    interface.bond.as_ref().is_some_and(|bond| {
        let fail_over_mac = bond.options.as_ref().and_then(|options| options.fail_over_mac);
        bond.mode == Some(BondMode::ActiveBackup) && fail_over_mac == Some(FailOverMac::Active)
    })
}

/// The text that hides a secret means the stored one (M66).
fn settle_secrets(target: &mut Interface, current: &Interface) {
    fn keep(own: Option<&mut Option<Secret>>, now: Option<&Option<Secret>>) {
        if let Some(own) = own
            && own.as_ref().is_some_and(Secret::is_placeholder)
        {
            *own = now.cloned().flatten();
        }
    }
    let (own, now) = (&mut target.ieee8021x, &current.ieee8021x);
    keep(own.as_mut().map(|x| &mut x.password), now.as_ref().map(|x| &x.password));
    keep(own.as_mut().map(|x| &mut x.private_key_password), now.as_ref().map(|x| &x.private_key_password));
    keep(target.libreswan.as_mut().map(|x| &mut x.psk), current.libreswan.as_ref().map(|x| &x.psk));
    keep(target.macsec.as_mut().map(|x| &mut x.mka_cak), current.macsec.as_ref().map(|x| &x.mka_cak));
}

/// Names are added to those that are there; an absent one is taken away (schema 5.10).
fn settle_alt_names(target: &mut Interface, now: &[AltName]) {
    let Some(asked) = target.alt_names.take() else {
        return;
    };
    let mut names: BTreeSet<String> = now.iter().map(|name| name.name.clone()).collect();
    for name in asked {
        match name.state {
            Some(_) => names.remove(&name.name),
            None => names.insert(name.name),
        };
    }
    target.alt_names = Some(names.into_iter().map(|name| AltName { name, state: None }).collect());
}

/// A listed port keeps what it has and the document does not mention (M50); with
/// `allow-extra-ports` the others stay too (P58).
fn settle_bridge_ports(target: &mut Interface, current: &Interface) {
    let now = current.bridge.as_deref();
    match target.bridge.as_deref_mut() {
        Some(Bridge::Linux(own)) => {
            if let Some(now) = now.and_then(Bridge::linux) {
                settle_linux_ports(own, now);
            }
        }
        Some(Bridge::Ovs(own)) => {
            let now = now.and_then(Bridge::ovs).and_then(|now| now.port.as_ref());
            let now: BTreeMap<&str, _> =
                now.into_iter().flatten().map(|port| (port.name.as_str(), port)).collect();
            for port in own.port.iter_mut().flatten() {
                let Some(now) = now.get(port.name.as_str()) else { continue };
                if port.vlan.is_none() {
                    port.vlan.clone_from(&now.vlan);
                }
                if let (Some(own), Some(now)) = (&mut port.bond, &now.bond) {
                    own.fill_from(now);
                }
            }
        }
        None => {}
    }
}

fn settle_linux_ports(own: &mut LinuxBridge, now: &LinuxBridge) {
    let keep_others = own.allow_extra_ports.take() == Some(true);
    let present: BTreeMap<&str, &LinuxBridgePort> =
        now.port.iter().flatten().map(|port| (port.name.as_str(), port)).collect();
    let Some(ports) = &mut own.port else {
        return;
    };
    for port in ports.iter_mut() {
        if let Some(now) = present.get(port.name.as_str()) {
            // A `vlan` that is given stands alone; `{}` resets.
            let vlan = port.vlan.take();
            port.fill_from(now);
            port.vlan = vlan.or_else(|| now.vlan.clone());
        }
    }
    if keep_others {
        let listed: BTreeSet<String> = ports.iter().map(|port| port.name.clone()).collect();
        ports.extend(now.port.iter().flatten().filter(|port| !listed.contains(&port.name)).cloned());
    }
}

/// Settings of virtual functions that are not mentioned stay; the list covers them all (M64).
fn settle_functions(target: &mut Interface, current: &Interface) {
    let now = current.ethernet.as_ref().and_then(|ethernet| ethernet.sr_iov.as_ref());
    let Some(own) = target.ethernet.as_deref_mut().and_then(|ethernet| ethernet.sr_iov.as_mut()) else {
        return;
    };
    let Some(asked) = own.vfs.take_if(|functions| !functions.is_empty()) else {
        return;
    };
    let highest = asked.iter().map(|function| function.id.saturating_add(1)).max();
    let total = own.total_vfs.or(now.and_then(|now| now.total_vfs)).or(highest).unwrap_or(0);
    own.total_vfs = Some(total);
    let mut functions: BTreeMap<u32, VirtualFunction> =
        asked.into_iter().filter(|function| function.id < total).map(|f| (f.id, f)).collect();
    for function in now.and_then(|now| now.vfs.as_ref()).into_iter().flatten() {
        if function.id < total {
            functions.entry(function.id).or_insert_with(|| function.clone()).fill_from(function);
        }
    }
    own.vfs = Some(functions.into_values().collect());
}
