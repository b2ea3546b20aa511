//! Interfaces that come and go with another: parents and children, the ends of a veth
//! (semantics P20, P80 to P82, V10, V50 to V52).

use std::collections::{BTreeMap, BTreeSet};

use super::relations::{base, base_mut, base_path, is_removable, parent, peer, ports};
use super::report::Report;
use super::{Capabilities, Key, Member, Merged, NameMatch, Reason};
use crate::state::{Interface, InterfaceState, InterfaceType, Ip, Veth};

/// Base interfaces of the document become kernel names (P20).
pub fn resolve_names(merged: &mut Merged, report: &mut Report) {
    let made = made_by_ovs_bridges(merged);
    let names = &merged.names;
    for member in merged.members.values_mut() {
        let path = member.path();
        let Some(desired) = member.desired.as_mut().filter(|desired| desired.is_up()) else { continue };
        let path = path.keys(&base_path(desired.kind()));
        let Some(base) = base_mut(desired) else { continue };
        match names.find(base) {
            NameMatch::One(name) => *base = name.to_owned(),
            NameMatch::None if made.contains(base) => {}
            NameMatch::None => {
                report.invalid(path, format!("base interface `{base}` does not exist"));
            }
            NameMatch::Several(owners) => {
                report.invalid(path, format!("`{base}` may mean any of {}", owners.join(", ")));
            }
        }
    }
}

/// The ports of Open vSwitch bridges, which are made where there are none (P56), and the internal
/// interfaces of bridges without ports (P57).
fn made_by_ovs_bridges(merged: &Merged) -> BTreeSet<String> {
    let wishes = merged.members.values().filter_map(|member| member.desired.as_ref());
    let bridges = wishes.filter(|desired| desired.is_up() && *desired.kind() == InterfaceType::OvsBridge);
    let made = |bridge: &Interface| -> Vec<String> {
        match ports(bridge) {
            Some(ports) if !ports.is_empty() => ports.into_iter().map(str::to_owned).collect(),
            _ => vec![bridge.name.clone()],
        }
    };
    bridges.flat_map(made).collect()
}

/// Whether nothing of the interface will be left in the kernel. A backend with profiles keeps
/// one of an interface that is down.
pub fn is_gone(member: &Member, capabilities: &Capabilities) -> bool {
    let Some(desired) = &member.desired else {
        return member.current.is_none();
    };
    let known = member.current.as_ref().unwrap_or(desired);
    match desired.state() {
        InterfaceState::Absent => member.current.is_none() || capabilities.profiles || is_removable(known),
        InterfaceState::Down => !capabilities.profiles && desired.kind().is_virtual() && is_removable(known),
        InterfaceState::Up | InterfaceState::Ignore | InterfaceState::Unknown => false,
    }
}

/// Both ends of each veth (P81, P82).
pub fn complete_veths(merged: &mut Merged, capabilities: &Capabilities, report: &mut Report) {
    let keys: Vec<Key> = merged.members.keys().cloned().collect();
    for key in keys {
        let member = &merged.members[&key];
        let (Some(desired), false) = (&member.desired, member.ignored) else { continue };
        let now = member.current.as_ref().and_then(peer).map(str::to_owned);
        let wish = peer(desired).filter(|_| !desired.is_absent()).map(str::to_owned);
        let is_veth = |interface: &Interface| *interface.kind() == InterfaceType::Veth;
        let was_veth = member.current.as_ref().is_some_and(is_veth);
        let path = member.path().key("veth");
        if let Some(wish) = &wish {
            let changes = was_veth && now.as_ref() != Some(wish);
            if changes && now.is_none() {
                let message = "the peer cannot change: the present one is in another network namespace";
                report.invalid(path.key("peer"), message);
                continue;
            }
            if changes && now.as_ref().is_some_and(|now| merged.is_ignored(now)) {
                report.invalid(path.key("peer"), "the peer cannot change: the present one is ignored");
                continue;
            }
            if let Err(message) = want_peer(merged, &key, wish) {
                report.invalid(path.key("peer"), message);
                continue;
            }
            if let Some(old) = now.filter(|_| changes) {
                drop_peer(merged, &key, &old, report);
            }
        } else if let Some(old) = now
            && was_veth
            && is_gone(&merged.members[&key], capabilities)
        {
            drop_peer(merged, &key, &old, report);
        }
    }
}

/// Sees that `peer` becomes the other end of `key`.
fn want_peer(merged: &mut Merged, key: &Key, peer_name: &str) -> Result<(), String> {
    let other_end = Veth { peer: key.name.clone() };
    let Some(member) = merged.members.get_mut(&Key::kernel(peer_name)) else {
        let interface = Interface {
            ipv4: Some(Box::new(Ip::new(false))),
            ipv6: Some(Box::new(Ip::new(false))),
            veth: Some(other_end),
            ..Interface::new(peer_name, InterfaceType::Veth, InterfaceState::Up)
        };
        let member = Member {
            desired: Some(interface),
            reason: Some(Reason::PeerOf(key.name.clone())),
            ..Member::default()
        };
        merged.members.insert(Key::kernel(peer_name), member);
        return Ok(());
    };
    if member.ignored {
        return Err(format!("`{peer_name}` is ignored"));
    }
    let now = member.current.as_ref().and_then(peer);
    match &mut member.desired {
        Some(desired) if desired.is_absent() => {
            Err(format!("`{peer_name}` is to be absent: both ends of a veth live and die together"))
        }
        Some(desired) => match peer(desired) {
            Some(other) if other != key.name => {
                Err(format!("`{peer_name}` is to be the other end of `{other}`"))
            }
            Some(_) => Ok(()),
            None if member.current.is_none() || now == Some(key.name.as_str()) => {
                desired.kind = Some(InterfaceType::Veth);
                desired.veth = Some(other_end);
                Ok(())
            }
            None => Err(format!("`{peer_name}` exists, and is not the other end of `{}`", key.name)),
        },
        None if now == Some(key.name.as_str()) => Ok(()),
        None => Err(format!("`{peer_name}` exists, and is not the other end of `{}`", key.name)),
    }
}

/// The former other end of `key` goes with it.
fn drop_peer(merged: &mut Merged, key: &Key, old: &str, report: &mut Report) {
    let Some(member) = merged.members.get_mut(&Key::kernel(old)) else { return };
    if member.current.as_ref().and_then(peer) != Some(key.name.as_str()) {
        return;
    }
    let path = member.path();
    match &member.desired {
        Some(desired) if desired.is_absent() => {}
        // It gets another peer itself.
        Some(desired) if peer(desired).is_some_and(|peer| peer != key.name) => {}
        Some(_) if member.position.is_some() => {
            report.invalid(path, format!("`{old}` goes when `{}`, its other end, goes", key.name));
        }
        _ => {
            let absent = Interface::new(old, InterfaceType::Veth, InterfaceState::Absent);
            member.desired = Some(absent);
            member.reason = Some(Reason::PeerOf(key.name.clone()));
        }
    }
}

/// Removes what rests on something that is removed, at any depth (P80).
///
/// Only with a backend that keeps profiles, which waits for the parent to come back, do the
/// children of a removed Ethernet or veth stay, and those of types without parent relation (A8).
pub fn remove_orphans(merged: &mut Merged, capabilities: &Capabilities, report: &mut Report) {
    let mut children: BTreeMap<String, Vec<Key>> = BTreeMap::new();
    for (key, member) in &merged.members {
        let interface = member.desired.as_ref().filter(|desired| desired.is_up());
        let rests_on = |interface: &Interface| match interface.kind() {
            InterfaceType::Ipvlan if !capabilities.profiles => base(interface).map(str::to_owned),
            _ => parent(interface).map(str::to_owned),
        };
        let parent = interface.and_then(rests_on).or_else(|| member.current.as_ref().and_then(rests_on));
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(key.clone());
        }
    }
    let ends_children = |member: &Member| {
        let physical = matches!(member.kind(), InterfaceType::Ethernet | InterfaceType::Veth);
        member.current.is_some() && is_gone(member, capabilities) && !(physical && capabilities.profiles)
    };
    let mut gone: Vec<String> = merged
        .members
        .iter()
        .filter(|(key, member)| key.userspace.is_none() && ends_children(member))
        .map(|(key, _)| key.name.clone())
        .collect();
    let mut seen: BTreeSet<String> = gone.iter().cloned().collect();
    while let Some(parent) = gone.pop() {
        for key in children.get(&parent).into_iter().flatten() {
            let Some(member) = merged.members.get_mut(key) else { continue };
            if member.ignored || !seen.insert(key.name.clone()) {
                continue;
            }
            let path = member.path();
            match &member.desired {
                Some(desired) if desired.is_up() && member.position.is_some() => {
                    let message = format!("cannot be up: `{parent}`, which carries it, is removed");
                    report.invalid(path, message);
                    continue;
                }
                Some(desired) if !desired.is_up() => {}
                _ => {
                    let kind = member.kind().clone();
                    member.desired = Some(Interface::new(&key.name, kind, InterfaceState::Absent));
                    member.reason = Some(Reason::ParentRemoved(parent.clone()));
                }
            }
            gone.push(key.name.clone());
        }
    }
}
