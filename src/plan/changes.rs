//! From what each interface is and shall be to changes, in the order of their execution.
//!
//! Interfaces that go come first, those that rest on others before what they rest on. Then the
//! others in the order of [`super::order`]: controllers and parents before ports and children.

use std::collections::{BTreeMap, BTreeSet};

use super::diff::differences;
use super::order::{Circle, Depths};
use super::relations::{base, has_bonds_mac, ports, retain_ports, same_kind};
use super::report::Report;
use super::{Action, Capabilities, FieldChange, InterfaceChange, Key, Member, Merged, Reason, Unmentioned};
use crate::state::{FailOverMac, Interface, InterfaceState, InterfaceType, MacVlanMode};

/// Everything that differs, by key.
pub fn interface_changes(merged: &Merged, unmentioned: Unmentioned, names: bool) -> Vec<InterfaceChange> {
    let mut changes: BTreeMap<&Key, InterfaceChange> = BTreeMap::new();
    for (key, member) in &merged.members {
        let Some(reason) = member.reason.as_ref().filter(|_| !member.ignored) else { continue };
        if let Some(mut change) = change(key, member, reason, unmentioned, names) {
            if keeps_bonds_mac(merged, member) {
                change.fields.retain(|field| field.path.to_string() != "mac-address");
                if change.fields.is_empty() {
                    continue;
                }
            }
            changes.insert(key, change);
        }
    }
    rebuild_dependents(merged, &mut changes);
    changes.into_values().collect()
}

/// Whether it is and stays a port that has its bond's address: one of its own that was asked for is for later. A bond
/// with another `fail_over_mac` leaves ports their own.
fn keeps_bonds_mac(merged: &Merged, member: &Member) -> bool {
    let (Some(before), Some(after)) = (&member.current, &member.target) else { return false };
    let controller = before.controller.as_deref().filter(|_| before.controller == after.controller);
    let bond = controller.and_then(|name| merged.kernel(name)?.current.as_ref());
    bond.is_some_and(|bond| {
        let options = bond.bond.as_deref().and_then(|bond| bond.options.as_ref());
        let fail_over_mac = options.and_then(|options| options.fail_over_mac);
        has_bonds_mac(before, bond) && fail_over_mac.is_none_or(|which| which == FailOverMac::None)
    })
}

/// Whether a virtual interface that shall be down is not there already, and kept as it is asked for.
pub fn is_kept(merged: &Merged, change: &InterfaceChange, dormant: &BTreeMap<String, Interface>) -> bool {
    let asked =
        merged.members.get(&Key::new(&change.name, &change.kind)).and_then(|member| member.desired.as_ref());
    let (Some(asked), Some(kept)) = (asked, dormant.get(&change.name)) else { return false };
    let is_down = asked.state() == InterfaceState::Down;
    let kept = Interface { state: asked.state, ..kept.clone() };
    change.action == Action::Add
        && is_down
        && differences(Some(&kept), Some(asked), Unmentioned::Kept, true).is_empty()
}

/// What is not there and shall be absent, but of which the backend keeps something: a profile brings
/// it back.
pub fn forgotten(merged: &Merged, dormant: &BTreeMap<String, Interface>) -> Vec<InterfaceChange> {
    let members = merged.members.iter().filter(|(key, member)| {
        let is_absent = member.desired.as_ref().is_some_and(Interface::is_absent);
        is_absent && member.current.is_none() && !member.ignored && dormant.contains_key(&key.name)
    });
    members
        .map(|(key, member)| InterfaceChange {
            name: key.name.clone(),
            kind: member.kind().clone(),
            action: Action::Remove,
            reason: Reason::Desired,
            rebuild: false,
            afresh: false,
            before: None,
            after: None,
            fields: Vec::new(),
        })
        .collect()
}

/// What is there as the document wants it, without `changes`, and of which the backend keeps nothing.
pub fn unkept(
    merged: &Merged,
    changes: &[InterfaceChange],
    capabilities: &Capabilities,
) -> Vec<InterfaceChange> {
    let mut kept = Vec::new();
    for (key, member) in &merged.members {
        let is_up = |side: &Option<Interface>| side.as_ref().is_some_and(Interface::is_up);
        let is_changed = || changes.iter().any(|change| change.name == key.name);
        if member.position.is_some()
            && !member.ignored
            && is_up(&member.desired)
            && is_up(&member.current)
            && capabilities.unkept.contains(&key.name)
            && !is_changed()
        {
            kept.push(InterfaceChange {
                name: key.name.clone(),
                kind: member.kind().clone(),
                action: Action::Modify,
                reason: Reason::Unkept,
                rebuild: false,
                afresh: false,
                before: member.current.clone(),
                after: member.target.clone(),
                fields: Vec::new(),
            });
        }
    }
    kept
}

fn change(
    key: &Key,
    member: &Member,
    reason: &Reason,
    unmentioned: Unmentioned,
    names: bool,
) -> Option<InterfaceChange> {
    let (before, after) = (&member.current, &member.target);
    let action = match (before, after) {
        (None, None) => return None,
        (None, Some(_)) => Action::Add,
        (Some(_), None) => Action::Remove,
        (Some(_), Some(_)) => Action::Modify,
    };
    let fields = match action {
        Action::Remove => Vec::new(),
        Action::Add | Action::Modify => differences(before.as_ref(), after.as_ref(), unmentioned, names),
    };
    if action == Action::Modify && fields.is_empty() {
        return None;
    }
    let rebuild = match (before, after) {
        (Some(before), Some(after)) => must_be_made_again(before, after, &fields),
        _ => false,
    };
    Some(InterfaceChange {
        name: key.name.clone(),
        kind: member.kind().clone(),
        action,
        reason: reason.clone(),
        rebuild,
        afresh: false,
        before: before.clone(),
        after: after.clone(),
        fields,
    })
}

/// Keys that the kernel cannot change in place (the `*_changelink` functions of the drivers in
/// drivers/net and net): the interface has to be deleted and made again.
fn fixed_keys(kind: &InterfaceType) -> &'static [&'static str] {
    match kind {
        InterfaceType::Hsr => &["hsr"],
        InterfaceType::Infiniband => &["infiniband.base-iface", "infiniband.pkey"],
        InterfaceType::IpTunnel => &["ip-tunnel.mode"],
        InterfaceType::Ipvlan => &["ipvlan.base-iface"],
        InterfaceType::MacVlan => &["mac-vlan.base-iface"],
        InterfaceType::MacVtap => &["mac-vtap.base-iface"],
        InterfaceType::Macsec => &["macsec.base-iface", "macsec.port"],
        InterfaceType::Veth => &["veth.peer"],
        InterfaceType::Vlan => &["vlan.base-iface", "vlan.id", "vlan.protocol"],
        InterfaceType::Vrf => &["vrf.route-table-id"],
        InterfaceType::Vxlan => {
            &["vxlan.base-iface", "vxlan.id", "vxlan.local", "vxlan.remote", "vxlan.destination-port"]
        }
        _ => &[],
    }
}

fn must_be_made_again(before: &Interface, after: &Interface, fields: &[FieldChange]) -> bool {
    let fixed = fixed_keys(after.kind());
    let is_fixed = |field: &FieldChange| {
        let path = field.path.to_string();
        fixed
            .iter()
            .any(|key| path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    !same_kind(before.kind(), after.kind()) || passthru_differs(before, after) || fields.iter().any(is_fixed)
}

/// The mode `passthru` is neither entered nor left in place (drivers/net/macvlan.c).
fn passthru_differs(before: &Interface, after: &Interface) -> bool {
    let is_passthru = |interface: &Interface| {
        let own = interface.mac_vlan.as_ref().or(interface.mac_vtap.as_ref());
        own.is_some_and(|own| own.mode == MacVlanMode::Passthru)
    };
    is_passthru(before) != is_passthru(after)
}

/// What an interface that is made again takes along: the kernel deletes its children with it and
/// releases its ports, and its own controller forgets the settings of the port.
fn rebuild_dependents<'a>(merged: &'a Merged, changes: &mut BTreeMap<&'a Key, InterfaceChange>) {
    let mut queue: Vec<(String, bool)> = changes
        .values()
        .filter(|change| change.rebuild)
        .map(|change| (change.name.clone(), change.kind.is_controller()))
        .collect();
    if queue.is_empty() {
        return;
    }
    let mut children: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    let mut members_of: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for (key, member) in &merged.members {
        let (Some(now), Some(target)) = (&member.current, &member.target) else { continue };
        if let Some(base) = base(now).filter(|_| *now.kind() != InterfaceType::IpTunnel) {
            children.entry(base).or_default().push(key);
        }
        let stays = now.controller.is_some() && now.controller == target.controller;
        if let Some(controller) = now.controller.as_deref().filter(|name| stays && !name.is_empty()) {
            members_of.entry(controller).or_default().push(key);
        }
    }
    let mut seen: BTreeSet<String> = queue.iter().map(|(name, _)| name.clone()).collect();
    while let Some((name, is_controller)) = queue.pop() {
        for key in children.get(name.as_str()).into_iter().flatten() {
            if seen.insert(key.name.clone()) {
                let member = &merged.members[*key];
                let change = entry(changes, key, member, Reason::MadeAgain(name.clone()));
                change.rebuild = true;
                queue.push((key.name.clone(), member.kind().is_controller()));
            }
        }
        for key in members_of.get(name.as_str()).into_iter().flatten().filter(|_| is_controller) {
            // It stands alone when its turn comes.
            let change = entry(changes, key, &merged.members[*key], Reason::MadeAgain(name.clone()));
            if let Some(before) = &mut change.before {
                before.controller = None;
            }
        }
        let controller =
            merged.kernel(&name).and_then(|member| member.current.as_ref()?.controller.as_deref());
        let controller = controller.map(Key::kernel).and_then(|key| merged.members.get_key_value(&key));
        if let Some((key, member)) = controller
            && member.target.as_ref().and_then(ports).is_some_and(|ports| ports.contains(&name.as_str()))
        {
            let change = entry(changes, key, member, Reason::ControllerOf(name.clone()));
            if let Some(before) = &mut change.before {
                retain_ports(before, |port| port != name);
            }
        }
    }
}

/// The change of an interface, made if there was none.
fn entry<'c, 'a>(
    changes: &'c mut BTreeMap<&'a Key, InterfaceChange>,
    key: &'a Key,
    member: &Member,
    reason: Reason,
) -> &'c mut InterfaceChange {
    changes.entry(key).or_insert_with(|| InterfaceChange {
        name: key.name.clone(),
        kind: member.kind().clone(),
        action: Action::Modify,
        reason,
        rebuild: false,
        afresh: false,
        before: member.current.clone(),
        after: member.target.clone(),
        fields: Vec::new(),
    })
}

/// The changes in the order of their execution. A circle is a problem (V9).
pub fn in_order(merged: &Merged, changes: Vec<InterfaceChange>, report: &mut Report) -> Vec<InterfaceChange> {
    let (gone, stay): (Vec<_>, Vec<_>) =
        changes.into_iter().partition(|change| change.action == Action::Remove);
    let now = merged.members.values().filter_map(|member| member.current.as_ref());
    let then = merged.members.values().filter_map(|member| member.target.as_ref());
    // What is there is there: a circle in it (two veths as base of each other's children, say)
    // only means that no order of removal is better than another.
    let now = Depths::new(now).unwrap_or_default();
    let then = match Depths::new(then) {
        Ok(depths) => depths,
        Err(Circle(names)) => {
            let member = names.first().and_then(|name| merged.kernel(name));
            let path = member.map_or_else(|| Member::default().path(), Member::path);
            report.invalid(path, format!("rests on itself: {}", names.join(" on ")));
            Depths::default()
        }
    };
    let depth = |depths: &Depths<'_>, interface: &Option<Interface>| {
        interface.as_ref().map_or(0, |interface| depths.of(interface))
    };
    let mut gone: Vec<_> = gone.into_iter().map(|change| (depth(&now, &change.before), change)).collect();
    gone.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.name.cmp(&other.name)));
    let mut stay: Vec<_> = stay.into_iter().map(|change| (depth(&then, &change.after), change)).collect();
    stay.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.name.cmp(&other.name)));
    gone.into_iter().chain(stay).map(|(_, change)| change).collect()
}
