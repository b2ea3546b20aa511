//! `plan`: the order of work of semantics P1 to P5.

use std::collections::{BTreeMap, BTreeSet};

use super::changes::{forgotten, in_order, interface_changes, is_kept, unkept};
use super::expected::expected;
use super::lineage::{complete_veths, is_gone, remove_orphans};
use super::merge::merge;
use super::ports::Placement;
use super::relations::{is_removable, ports, retain_ports};
use super::report::Report;
use super::resolve::{Asked, resolve};
use super::sequence::in_sequence;
use super::{
    Capabilities, InterfaceChange, Key, Member, Merged, NameMatch, Names, Options, Plan, Reason, Unmentioned,
};
use super::{global, lineage, ports as membership, validate};
use crate::state::{
    Address, Bond, Bridge, Identifier, Interface, InterfaceState, InterfaceType, Ip, OvsSettings, Problem,
    State, Vrf,
};

/// What has to change so that the network is as `desired`, or everything that is wrong with that
/// wish. `desired` is a client's document, `current` the whole network, secrets included.
///
/// Returns an empty plan when nothing would change.
pub fn plan(
    desired: &State,
    current: &State,
    capabilities: &Capabilities,
    options: &Options,
) -> Result<Plan, Vec<Problem>> {
    let mut report = Report::default();
    let merged = merge_interfaces(desired, current, capabilities, options, &mut report);
    validate::interfaces(&merged, capabilities, &mut report);
    let mut changes = interface_changes(&merged, Unmentioned::Kept, capabilities.names);
    changes.retain(|change| !is_kept(&merged, change, &capabilities.dormant));
    changes.extend(forgotten(&merged, &capabilities.dormant));
    if !options.memory_only {
        changes.extend(unkept(&merged, &changes, capabilities));
    }
    if options.override_interfaces {
        let is_mentioned = |change: &InterfaceChange| {
            merged
                .members
                .get(&Key::new(&change.name, &change.kind))
                .is_some_and(|one| one.position.is_some())
        };
        changes.iter_mut().filter(|change| is_mentioned(change)).for_each(|change| change.afresh = true);
    }
    let changes = in_order(&merged, changes, &mut report);
    let (others, global_expected) = global::merge(desired, current, &merged, &mut report);
    if !report.problems.is_empty() {
        return Err(report.problems());
    }
    let changes = in_sequence(changes, others, current.config_routes());
    let (interfaces, origins) = expected(&merged, capabilities);
    let expected = State { interfaces: Some(interfaces), ..global_expected };
    Ok(Plan { changes, expected, origins, warnings: report.warnings, unverified: options.unverified })
}

/// Every interface as it is, was asked, and shall be.
fn merge_interfaces(
    desired: &State,
    current: &State,
    capabilities: &Capabilities,
    options: &Options,
    report: &mut Report,
) -> Merged {
    let asked = resolve(desired, current, report);
    let mut merged = gather(asked, current, options);
    complete_veths(&mut merged, capabilities, report);
    merged.names = names(&merged);
    if !capabilities.names {
        forget_names(&mut merged);
    }
    copy_mac_addresses(&mut merged, report);
    membership::resolve_names(&mut merged, report);
    lineage::resolve_names(&mut merged, report);
    let mut placement = membership::place(&mut merged, capabilities, options, report);
    remove_orphans(&mut merged, capabilities, report);
    placement.settle_controllers(&mut merged, capabilities, report);
    settle_prp(&mut merged, report);
    set_targets(&mut merged, &placement, capabilities, options, report);
    merged
}

/// What is there and what was asked, side by side; what is ignored is set apart (P40 to P42, P6).
fn gather(asked: BTreeMap<Key, Asked>, current: &State, options: &Options) -> Merged {
    let mut members: BTreeMap<Key, Member> = BTreeMap::new();
    for interface in current.interfaces() {
        let member = Member { current: Some(interface.clone()), ..Member::default() };
        members.insert(Key::of(interface), member);
    }
    for (key, Asked { position, mut interface }) in asked {
        let member = members.entry(key).or_default();
        if options.memory_only && interface.is_absent() && member.current.is_some() {
            interface.state = Some(InterfaceState::Down);
        }
        member.position = Some(position);
        member.desired = Some(interface);
        member.reason = Some(Reason::Desired);
    }
    let managed = managed_ports(&members);
    for (key, member) in &mut members {
        let was_ignored = member.current.as_ref().is_some_and(Interface::is_ignored);
        if let (true, true, Some(current)) = (was_ignored, managed.contains(&key.name), &member.current)
            && member.desired.is_none()
            && key.userspace.is_none()
        {
            member.desired = Some(Interface::new(&key.name, current.kind().clone(), InterfaceState::Up));
            member.reason = Some(Reason::Desired);
        }
        member.ignored = match &member.desired {
            Some(desired) => desired.is_ignored(),
            None => was_ignored,
        };
    }
    let ignored: BTreeSet<String> = members
        .iter()
        .filter(|(key, member)| member.ignored && key.userspace.is_none())
        .map(|(key, _)| key.name.clone())
        .collect();
    for member in members.values_mut().filter(|member| !member.ignored) {
        for interface in [&mut member.desired, &mut member.current].into_iter().flatten() {
            if ports(interface).is_some_and(|ports| ports.iter().any(|port| ignored.contains(*port))) {
                retain_ports(interface, |port| !ignored.contains(port));
            }
        }
    }
    Merged { members, names: Names::default() }
}

/// Ignored interfaces that become managed because a controller of the document lists them (P40).
fn managed_ports(members: &BTreeMap<Key, Member>) -> BTreeSet<String> {
    let is_ignored = |name: &str| {
        let member = members.get(&Key::kernel(name));
        member.and_then(|member| member.current.as_ref()).is_some_and(Interface::is_ignored)
    };
    let mut managed = BTreeSet::new();
    for member in members.values() {
        let Some(desired) = member.desired.as_ref().filter(|desired| desired.is_up()) else { continue };
        let present = member.current.as_ref().and_then(ports).unwrap_or_default();
        if !present.iter().any(|port| is_ignored(port)) {
            managed.extend(ports(desired).into_iter().flatten().map(str::to_owned));
        }
    }
    managed
}

fn names(merged: &Merged) -> Names {
    let members = || merged.members.values();
    Names::new(
        members().filter_map(|member| member.current.as_ref()),
        members().filter_map(|member| member.desired.as_ref()),
    )
}

/// Without names, what found an interface has done its work: it is neither kept nor compared.
fn forget_names(merged: &mut Merged) {
    for desired in merged.members.values_mut().filter_map(|member| member.desired.as_mut()) {
        desired.profile_name = None;
        desired.pci_address = None;
        if desired.identifier.take() == Some(Identifier::MacAddress) {
            desired.mac_address = None;
        }
    }
}

/// `copy-mac-from` (P21).
fn copy_mac_addresses(merged: &mut Merged, report: &mut Report) {
    let mut found = Vec::new();
    for (key, member) in &merged.members {
        let Some(desired) = member.desired.as_ref().filter(|desired| desired.is_up()) else { continue };
        let Some(source) = &desired.copy_mac_from else { continue };
        let honoured = matches!(
            desired.kind(),
            InterfaceType::Bond | InterfaceType::LinuxBridge | InterfaceType::OvsInterface
        );
        if !honoured {
            continue;
        }
        let path = member.path().key("copy-mac-from");
        let owner = match merged.find(source) {
            NameMatch::One(name) => merged.kernel(name),
            NameMatch::None => None,
            NameMatch::Several(owners) => {
                report.invalid(path, format!("`{source}` may mean any of {}", owners.join(", ")));
                continue;
            }
        };
        let Some(owner) = owner else {
            report.invalid(path, format!("`{source}` does not exist"));
            continue;
        };
        let permanent = owner.current.as_ref().and_then(|current| current.permanent_mac_address);
        let of = |interface: &Option<Interface>| interface.as_ref().and_then(|i| i.mac_address);
        // What the same document gives the source comes before what it has: asked again, the
        // document must mean the same.
        match permanent.or_else(|| of(&owner.desired)).or_else(|| of(&owner.current)) {
            Some(mac) => found.push((key.clone(), mac)),
            None => report.invalid(path, format!("`{source}` has no MAC address")),
        }
    }
    for (key, mac) in found {
        if let Some(desired) = merged.members.get_mut(&key).and_then(|member| member.desired.as_mut()) {
            desired.mac_address = Some(mac);
        }
    }
}

/// A new PRP and its ports share one MAC address (P61).
fn settle_prp(merged: &mut Merged, report: &mut Report) {
    use crate::state::HsrProtocol;
    let keys: Vec<Key> = merged.members.keys().cloned().collect();
    for key in keys {
        let member = &merged.members[&key];
        let Some(desired) = member.desired.as_ref().filter(|desired| desired.is_up()) else { continue };
        let Some(hsr) = desired.hsr.as_ref().filter(|hsr| hsr.protocol == HsrProtocol::Prp) else { continue };
        let ends = [hsr.port1.clone(), hsr.port2.clone()];
        let wishes: BTreeSet<_> = ends
            .iter()
            .filter_map(|port| merged.kernel(port)?.desired.as_ref()?.mac_address)
            .chain(desired.mac_address)
            .collect();
        if wishes.len() > 1 {
            let message = "a PRP and its ports must have one MAC address, but the document gives several";
            report.invalid(member.path().key("hsr"), message);
            continue;
        }
        let of = |permanent: bool| {
            let pick = move |i: &Interface| if permanent { i.permanent_mac_address } else { i.mac_address };
            ends.iter().find_map(|port| merged.kernel(port)?.current.as_ref().and_then(pick))
        };
        if member.current.is_some() {
            continue;
        }
        let Some(mac) = wishes.first().copied().or_else(|| of(false)).or_else(|| of(true)) else { continue };
        for name in ends.iter().chain([&key.name]) {
            if let Some(desired) =
                merged.members.get_mut(&Key::kernel(name)).and_then(|member| member.desired.as_mut())
            {
                desired.mac_address = Some(mac);
            }
        }
    }
}

/// What each interface shall be.
fn set_targets(
    merged: &mut Merged,
    placement: &Placement,
    capabilities: &Capabilities,
    options: &Options,
    report: &mut Report,
) {
    let kinds: BTreeMap<String, InterfaceType> = merged
        .members
        .iter()
        .filter(|(_, member)| member.kind().is_controller())
        .map(|(key, member)| (key.name.clone(), member.kind().clone()))
        .collect();
    let hsr_ports: BTreeSet<String> = merged
        .members
        .values()
        .filter_map(|member| member.desired.as_ref().filter(|desired| desired.is_up()))
        .filter(|desired| *desired.kind() == InterfaceType::Hsr)
        .flat_map(|desired| ports(desired).unwrap_or_default())
        .map(str::to_owned)
        .collect();
    for (key, member) in &mut merged.members {
        let (Some(desired), false) = (&member.desired, member.ignored) else {
            member.target.clone_from(&member.current);
            continue;
        };
        if is_gone(member, capabilities) {
            member.target = None;
            continue;
        }
        let path = member.path();
        if desired.is_absent() {
            member.target = member.current.as_ref().map(bare);
            continue;
        }
        let mut target = if options.override_interfaces && member.position.is_some() {
            let desired = overriding(desired, member.current.as_ref());
            let target = merge(&desired, member.current.as_ref().map(identity).as_ref(), &path, report);
            member.desired = Some(desired);
            target
        } else {
            merge(desired, member.current.as_ref(), &path, report)
        };
        placement.settle_ports(key, &mut target);
        let controller = target.controller.as_deref().filter(|name| !name.is_empty());
        let former = member.current.as_ref().and_then(|current| current.controller.as_deref());
        let is_ovs = |name: Option<&str>| {
            name.and_then(|name| kinds.get(name)).is_some_and(|kind| *kind == InterfaceType::OvsBridge)
        };
        let leaves_ovs = is_ovs(former) && !is_ovs(controller);
        let holds_ip = *target.kind() == InterfaceType::OvsInterface
            || controller.is_none_or(|name| kinds.get(name) == Some(&InterfaceType::Vrf));
        if !holds_ip || hsr_ports.contains(&key.name) {
            // P55, M36; asking for more is refused by validation.
            target.ipv4 = Some(Box::new(Ip::new(false)));
            target.ipv6 = Some(Box::new(Ip::new(false)));
            target.wait_ip = None;
        }
        if leaves_ovs {
            target.ovs_db = Some(OvsSettings::empty()); // M67
        }
        member.target = Some(target);
    }
}

/// What is left of an interface that cannot be deleted when its configuration goes: it is down
/// and has no addresses and no controller. The peer leaves a physical interface unmanaged, in
/// no stated condition (K23). The loopback returns to what the kernel starts with.
fn bare(current: &Interface) -> Interface {
    let own = |ip: Option<&Ip>| {
        let others = ip.map(Ip::addresses).unwrap_or_default().iter().filter(|address| address.is_foreign());
        others.cloned().collect::<Vec<_>>()
    };
    if *current.kind() == InterfaceType::Loopback {
        let loopback = |ip: Option<&Ip>, address: Address| {
            let mut addresses = vec![address];
            addresses.extend(own(ip));
            Some(Box::new(Ip { address: Some(addresses), ..Ip::new(true) }))
        };
        return Interface {
            state: Some(InterfaceState::Up),
            ipv4: loopback(current.ipv4.as_deref(), Address::new(std::net::Ipv4Addr::LOCALHOST.into(), 8)),
            ipv6: match current.ipv6.as_deref().is_some_and(Ip::is_enabled) {
                true => {
                    loopback(current.ipv6.as_deref(), Address::new(std::net::Ipv6Addr::LOCALHOST.into(), 128))
                }
                false => current.ipv6.clone(),
            },
            ..current.clone()
        };
    }
    debug_assert!(!is_removable(current), "a removable interface goes as a whole");
    Interface {
        state: Some(InterfaceState::Down),
        controller: Some(String::new()),
        ipv4: Some(Box::new(Ip::new(false))),
        ipv6: Some(Box::new(Ip::new(false))),
        ..current.clone()
    }
}

/// With `override_interfaces` the document alone describes the interface (P2): what is taken from
/// what is there is what makes it that interface, and its ports, which have entries of their own.
fn identity(current: &Interface) -> Interface {
    let bond = current.bond.as_ref().map(|bond| {
        let Bond { mode: _, options: _, port, ports_config } = bond.as_ref().clone();
        Box::new(Bond { mode: None, options: None, port, ports_config })
    });
    let bridge = current.bridge.as_ref().map(|bridge| {
        let mut bridge = bridge.clone();
        match bridge.as_mut() {
            Bridge::Linux(bridge) => bridge.options = None,
            Bridge::Ovs(bridge) => bridge.options = None,
        }
        bridge
    });
    let vrf = current.vrf.as_ref().map(|vrf| Vrf { port: vrf.port.clone(), route_table_id: None });
    let veth = current.veth.clone();
    let own = Interface::new(&current.name, current.kind().clone(), InterfaceState::Up);
    Interface { bond, bridge, vrf, veth, ..own }
}

/// The document's entry, saying out loud what it means by not mentioning the most visible keys.
fn overriding(desired: &Interface, current: Option<&Interface>) -> Interface {
    let mut own = desired.clone();
    if *own.kind() != InterfaceType::Loopback {
        own.ipv4.get_or_insert_with(|| Box::new(Ip::new(false)));
        own.ipv6.get_or_insert_with(|| Box::new(Ip::new(false)));
    }
    if current.is_some_and(|current| current.alt_names.is_some()) {
        own.alt_names.get_or_insert_default();
    }
    own
}
