//! Ports and controllers (semantics P19, P40 to P61, V6, V7): one controller for each port, and
//! port lists that agree with it.

use std::collections::{BTreeMap, BTreeSet};

use super::lineage::is_gone;
use super::relations::{add_port, adopt_port, ports, rename_ports, retain_ports};
use super::report::Report;
use super::{Capabilities, Key, Member, Merged, NameMatch, Options, Reason};
use crate::state::{Bridge, Interface, InterfaceState, InterfaceType, OvsBridge, Path};

/// Port names of the document become kernel names (P19).
pub fn resolve_names(merged: &mut Merged, report: &mut Report) {
    let names = &merged.names;
    for member in merged.members.values_mut() {
        let path = member.path();
        let Some(desired) = member.desired.as_mut().filter(|desired| desired.is_up()) else {
            continue;
        };
        let Some(listed) = ports(desired) else { continue };
        let mut renamed: BTreeMap<String, String> = BTreeMap::new();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for port in listed {
            let name = match names.find(port) {
                NameMatch::One(name) => name,
                NameMatch::None => port, // may be made by this document; checked when attached
                NameMatch::Several(owners) => {
                    let message = format!("`{port}` may mean any of {}", owners.join(", "));
                    report.invalid(ports_path(&path, desired), message);
                    port
                }
            };
            if let Some(other) = seen.insert(name.to_owned(), port.to_owned()) {
                let message = match other == port {
                    true => format!("`{port}` is listed twice"),
                    false => format!("`{other}` and `{port}` are the same interface, `{name}`"),
                };
                report.invalid(ports_path(&path, desired), message);
            }
            if name != port {
                renamed.insert(port.to_owned(), name.to_owned());
            }
        }
        rename_ports(desired, |port| {
            if let Some(name) = renamed.get(port) {
                port.clone_from(name);
            }
        });
    }
}

/// Where a controller lists its ports.
pub fn ports_path(path: &Path, controller: &Interface) -> Path {
    path.keys(match controller.kind() {
        InterfaceType::Bond => "link-aggregation.port",
        InterfaceType::Vrf => "vrf.port",
        InterfaceType::Hsr => "hsr",
        _ => "bridge.port",
    })
}

/// Which controller each port ends up with.
#[derive(Debug, Default)]
pub struct Placement {
    /// By port: its controller as the kernel will show it, empty for none, and why.
    controllers: BTreeMap<String, (String, Reason)>,
    /// By controller without a list in the document: ports that join and leave.
    joined: BTreeMap<Key, BTreeSet<String>>,
    left: BTreeMap<Key, BTreeSet<String>>,
}

/// Decides all memberships and pulls in the interfaces whose membership changes.
///
/// With `override_interfaces` an entry that names no controller wants none.
pub fn place(
    merged: &mut Merged,
    capabilities: &Capabilities,
    options: &Options,
    report: &mut Report,
) -> Placement {
    keep_extra_ports(merged);
    fill_ovs_bridges(merged, capabilities, report);
    let mut placement = Placement::default();
    let owners = owners(merged, report);
    if options.override_interfaces {
        let asked = merged.members.iter_mut().filter(|(_, member)| member.position.is_some());
        let free = asked.filter(|(key, _)| !owners.contains_key(&key.name));
        for desired in free.filter_map(|(_, member)| member.desired.as_mut()) {
            desired.controller.get_or_insert_default();
        }
    }
    place_listed(merged, &owners, &mut placement, report);
    place_by_wish(merged, capabilities, &owners, &mut placement, report);
    place_left_over(merged, &owners, &mut placement);
    pull_in_ports(merged, &placement, report);
    placement
}

/// `allow-extra-ports` (P58): the ports that are there are as good as listed.
fn keep_extra_ports(merged: &mut Merged) {
    let mut kept: Vec<(Key, Interface, Vec<String>)> = Vec::new();
    for (key, member) in &merged.members {
        let (Some(desired), Some(current)) = (&member.desired, &member.current) else { continue };
        let Some(bridge) = &desired.bridge else { continue };
        let (all, patches) = match bridge.as_ref() {
            Bridge::Linux(bridge) => (bridge.allow_extra_ports, None),
            Bridge::Ovs(bridge) => (bridge.allow_extra_ports, bridge.allow_extra_patch_ports),
        };
        let is_patch = |port: &str| {
            let port = merged.kernel(port).and_then(|port| port.current.as_ref());
            port.is_some_and(|port| port.patch.is_some())
        };
        let Some(listed) = ports(desired) else { continue };
        let listed: BTreeSet<&str> = listed.into_iter().collect();
        let extra = ports(current).unwrap_or_default().into_iter().filter(|port| !listed.contains(port));
        let extra: Vec<String> = match (all, patches) {
            (Some(true), _) => extra.map(str::to_owned).collect(),
            (_, Some(true)) => extra.filter(|port| is_patch(port)).map(str::to_owned).collect(),
            _ => continue,
        };
        kept.push((key.clone(), current.clone(), extra));
    }
    for (key, current, extra) in kept {
        if let Some(desired) = merged.members.get_mut(&key).and_then(|member| member.desired.as_mut()) {
            extra.iter().for_each(|port| adopt_port(desired, &current, port));
        }
    }
}

/// An Open vSwitch bridge without any port gets an internal interface of its own name (P57); where the backend makes
/// none without, every bridge does.
fn fill_ovs_bridges(merged: &mut Merged, capabilities: &Capabilities, report: &mut Report) {
    let joined: BTreeSet<String> = merged
        .members
        .values()
        .filter_map(|member| member.desired.as_ref().filter(|desired| desired.is_up())?.controller.clone())
        .collect();
    let mut lacking = Vec::new();
    for (key, member) in &mut merged.members {
        let is_new = member.current.is_none();
        let Some(desired) = member.desired.as_mut().filter(|desired| desired.is_up() && !member.ignored)
        else {
            continue;
        };
        if *desired.kind() != InterfaceType::OvsBridge {
            continue;
        }
        if is_new {
            let section = || Box::new(Bridge::Ovs(OvsBridge::empty()));
            desired.bridge.get_or_insert_with(section);
        }
        let own = ports(desired);
        let is_kept = own.is_none() && !is_new;
        let listed = own.or_else(|| member.current.as_ref().and_then(ports)).unwrap_or_default();
        let is_empty = listed.is_empty() && !joined.contains(&key.name);
        let has_local = listed.contains(&key.name.as_str());
        if is_empty || capabilities.ovs_local && !is_kept && !has_local {
            lacking.push((key.clone(), is_empty));
        }
    }
    for (key, is_empty) in lacking {
        let path = merged.members[&key].path();
        let name = key.name.as_str();
        let kind = merged.kernel(name).map(Member::kind);
        if kind.is_some_and(|kind| *kind != InterfaceType::OvsInterface) {
            let message = match is_empty {
                true => format!("has no port, and cannot have an internal one: there is another `{name}`"),
                false => format!("cannot have an internal interface of its name: there is another `{name}`"),
            };
            report.invalid(path.keys("bridge.port"), message);
            continue;
        }
        let why = if is_empty { "has no port, and gets" } else { "comes with" };
        report.warn(&path, format!("{why} an internal interface `{name}`"));
        if let Some(desired) = merged.members.get_mut(&key).and_then(|member| member.desired.as_mut()) {
            let section = || Box::new(Bridge::Ovs(OvsBridge::empty()));
            desired.bridge.get_or_insert_with(section);
            add_port(desired, name);
        }
    }
}

/// By port: the controller of the document that lists it. Two of them are a problem (V7).
fn owners(merged: &Merged, report: &mut Report) -> BTreeMap<String, Key> {
    let mut owners: BTreeMap<String, Key> = BTreeMap::new();
    for (key, member) in &merged.members {
        let Some(desired) = member.desired.as_ref().filter(|desired| desired.is_up()) else { continue };
        if !desired.kind().is_controller() {
            continue;
        }
        let listed = ports(desired);
        // Ports that are not listed stay (but one that another controller lists moves there, or
        // leaves by its own wish).
        let present = match listed {
            Some(_) => Vec::new(),
            None => member.current.as_ref().and_then(ports).unwrap_or_default(),
        };
        let mentioned = listed.is_some();
        for port in listed.unwrap_or(present) {
            if !mentioned && has_own_wish(merged, port, &key.name) {
                continue;
            }
            if let Some(other) = owners.insert(port.to_owned(), key.clone())
                && other != *key
            {
                let message = format!("`{port}` is a port of both `{}` and `{}`", other.name, key.name);
                report.invalid(ports_path(&member.path(), desired), message);
            }
        }
    }
    owners
}

/// Whether the document gives the port another controller than `controller`, or takes it away.
fn has_own_wish(merged: &Merged, port: &str, controller: &str) -> bool {
    merged.kernel(port).and_then(|member| member.desired.as_ref()).is_some_and(|desired| {
        !desired.is_up() && desired.is_absent()
            || desired.controller.as_deref().is_some_and(|wish| wish != controller)
    })
}

fn place_listed(
    merged: &mut Merged,
    owners: &BTreeMap<String, Key>,
    placement: &mut Placement,
    report: &mut Report,
) {
    for (port, key) in owners {
        let Some(controller) = merged.members.get(key) else { continue };
        let kind = controller.kind().clone();
        let path = controller.desired.as_ref().map(|desired| ports_path(&controller.path(), desired));
        let path = path.unwrap_or_else(|| controller.path());
        match merged.kernel(port) {
            Some(member) if member.ignored => continue,
            Some(member) => check_infiniband(member, controller, &path, report),
            None if kind == InterfaceType::OvsBridge => {
                let interface = Interface {
                    controller: Some(key.name.clone()),
                    ..Interface::new(port, InterfaceType::OvsInterface, InterfaceState::Up)
                };
                merged.members.insert(
                    Key::kernel(port),
                    Member {
                        position: None,
                        desired: Some(interface),
                        current: None,
                        target: None,
                        reason: Some(Reason::PortOf(key.name.clone())),
                        ignored: false,
                    },
                );
            }
            None => {
                let message = format!("port `{port}` of `{}` does not exist", key.name);
                report.invalid(path, message);
                continue;
            }
        }
        if kind != InterfaceType::Hsr {
            let place = (key.name.clone(), Reason::PortOf(key.name.clone()));
            placement.controllers.insert(port.clone(), place);
        } else if let Some(member) = merged.members.get_mut(&Key::kernel(port)) {
            // The kernel shows no controller for the port of an HSR; it only has to be up.
            bring_up(member, Reason::PortOf(key.name.clone()));
        }
    }
}

/// An IPoIB port only fits an active-backup bond (V12).
fn check_infiniband(port: &Member, controller: &Member, path: &Path, report: &mut Report) {
    if *port.kind() != InterfaceType::Infiniband {
        return;
    }
    let mode = |interface: &Option<Interface>| {
        interface.as_ref().and_then(|interface| interface.bond.as_ref()).and_then(|bond| bond.mode)
    };
    let mode = mode(&controller.desired).or(mode(&controller.current));
    if mode != Some(crate::state::BondMode::ActiveBackup) {
        report.invalid(path.clone(), "an InfiniBand interface can only be port of an active-backup bond");
    }
}

/// Pulls an interface in, to be up.
fn bring_up(member: &mut Member, reason: Reason) {
    if member.desired.is_none()
        && let Some(current) = &member.current
    {
        member.desired = Some(Interface::new(&current.name, current.kind().clone(), InterfaceState::Up));
        member.reason = Some(reason);
    }
}

/// `controller:` of entries in the document (P59, V6).
fn place_by_wish(
    merged: &Merged,
    capabilities: &Capabilities,
    owners: &BTreeMap<String, Key>,
    placement: &mut Placement,
    report: &mut Report,
) {
    for (key, member) in &merged.members {
        let Some(desired) = member.desired.as_ref().filter(|_| !is_gone(member, capabilities)) else {
            continue;
        };
        let Some(wish) = desired.controller.as_deref() else { continue };
        let path = member.path().key("controller");
        let owner = owners.get(&key.name);
        if let Some(owner) = owner {
            if wish.is_empty() {
                report.invalid(path, format!("is empty, but `{}` lists `{}` as port", owner.name, key.name));
            } else if wish != owner.name {
                report
                    .invalid(path, format!("is `{wish}`, but `{}` lists `{}` as port", owner.name, key.name));
            }
            continue;
        }
        let now = current_controller(member);
        if wish.is_empty() {
            if let Some(now) = now {
                let place = (String::new(), Reason::DetachedFrom(now.to_owned()));
                placement.controllers.insert(key.name.clone(), place);
                if let Some(left) = controller_key(merged, now) {
                    placement.left.entry(left).or_default().insert(key.name.clone());
                }
            }
            continue;
        }
        let name = merged.find(wish).one().unwrap_or(wish);
        let Some(controller) = controller_key(merged, name) else {
            report.invalid(path, format!("controller `{wish}` does not exist"));
            continue;
        };
        let owner = &merged.members[&controller];
        if !owner.kind().is_controller() {
            report.invalid(path, format!("`{wish}` is of type {}, which has no ports", owner.kind()));
            continue;
        }
        if is_gone(owner, capabilities) {
            report.invalid(path, format!("controller `{wish}` will not be there"));
            continue;
        }
        if owner.desired.as_ref().and_then(ports).is_some() {
            report.invalid(path, format!("is `{wish}`, but `{wish}` does not list `{}` as port", key.name));
            continue;
        }
        let place = (controller.name.clone(), Reason::PortOf(controller.name.clone()));
        placement.controllers.insert(key.name.clone(), place);
        if now != Some(name) {
            if let Some(left) = now.and_then(|now| controller_key(merged, now)) {
                placement.left.entry(left).or_default().insert(key.name.clone());
            }
            placement.joined.entry(controller).or_default().insert(key.name.clone());
        }
    }
}

fn current_controller(member: &Member) -> Option<&str> {
    member.current.as_ref()?.controller.as_deref().filter(|name| !name.is_empty())
}

/// The controller of that name, an Open vSwitch bridge before a kernel interface (P59).
fn controller_key(merged: &Merged, name: &str) -> Option<Key> {
    let keys = [Key::new(name, &InterfaceType::OvsBridge), Key::kernel(name)];
    keys.into_iter().find(|key| {
        merged.members.get(key).is_some_and(|member| member.desired.is_some() || member.current.is_some())
    })
}

/// Ports that have a controller now, and neither a list nor an entry that says where they go.
fn place_left_over(merged: &Merged, owners: &BTreeMap<String, Key>, placement: &mut Placement) {
    for (key, member) in &merged.members {
        let Some(now) = current_controller(member).filter(|_| !member.ignored) else { continue };
        let Some(controller) = controller_key(merged, now) else { continue };
        if let Some((to, _)) = placement.controllers.get(&key.name) {
            if *to != now && merged.members[&controller].desired.as_ref().and_then(ports).is_none() {
                placement.left.entry(controller).or_default().insert(key.name.clone());
            }
            continue;
        }
        let stays = match &merged.members[&controller].desired {
            None => true,
            Some(owner) => owner.is_up() && owners.get(&key.name).is_some_and(|owner| *owner == controller),
        };
        if !stays {
            let place = (String::new(), Reason::DetachedFrom(now.to_owned()));
            placement.controllers.insert(key.name.clone(), place);
        }
    }
}

/// Interfaces whose controller changes become part of the change (P53), and every entry says its
/// controller.
fn pull_in_ports(merged: &mut Merged, placement: &Placement, report: &mut Report) {
    for (port, (controller, reason)) in &placement.controllers {
        let Some(member) = merged.members.get_mut(&Key::kernel(port)) else { continue };
        let now = current_controller(member).unwrap_or_default().to_owned();
        let path = member.path();
        match &mut member.desired {
            Some(desired) if !desired.is_up() => {
                if desired.state() == InterfaceState::Down {
                    desired.controller = Some(controller.clone());
                }
            }
            Some(desired) => {
                let lost = controller.is_empty() && *desired.kind() == InterfaceType::OvsInterface;
                if lost && member.position.is_some() {
                    let message = format!("`{port}` cannot be up without an Open vSwitch bridge");
                    report.invalid(path, message); // V11
                }
                desired.controller = Some(controller.clone());
            }
            None if now == *controller => {}
            None => {
                let Some(current) = &member.current else { continue };
                let kind = current.kind().clone();
                // An `ovs-interface` cannot live without its bridge (P54).
                let gone = controller.is_empty() && kind == InterfaceType::OvsInterface;
                let mut desired = Interface::new(port.clone(), kind, InterfaceState::Up);
                match gone {
                    true => desired.state = Some(InterfaceState::Absent),
                    false => desired.controller = Some(controller.clone()),
                }
                member.desired = Some(desired);
                member.reason = Some(reason.clone());
            }
        }
    }
}

/// Whether it cannot be a port any more.
fn leaves(member: &Member, capabilities: &Capabilities) -> bool {
    is_gone(member, capabilities) || member.desired.as_ref().is_some_and(Interface::is_absent)
}

impl Placement {
    /// Once it is known what goes: controllers forget ports that are gone, and controllers without
    /// a list in the document become part of the change when their ports do.
    pub fn settle_controllers(
        &mut self,
        merged: &mut Merged,
        capabilities: &Capabilities,
        report: &mut Report,
    ) {
        for (port, member) in &merged.members {
            if member.ignored || !leaves(member, capabilities) {
                continue;
            }
            let Some(now) = current_controller(member) else { continue };
            if let Some(key) = controller_key(merged, now) {
                self.left.entry(key).or_default().insert(port.name.clone());
            }
        }
        self.refuse_gone_ports(merged, capabilities, report);
        for key in self.joined.keys().chain(self.left.keys()) {
            let (joined, left) = (self.joined.get(key), self.left.get(key));
            let port = joined.into_iter().chain(left).flatten().next().cloned().unwrap_or_default();
            if let Some(member) = merged.members.get_mut(key)
                && member.desired.is_none()
                && !member.ignored
                && let Some(current) = &member.current
            {
                member.desired = Some(Interface::new(&current.name, current.kind().clone(), current.state()));
                member.reason = Some(Reason::ControllerOf(port));
            }
        }
    }

    /// A port that the document lists must not be gone.
    fn refuse_gone_ports(&self, merged: &Merged, capabilities: &Capabilities, report: &mut Report) {
        for (key, member) in &merged.members {
            let Some(desired) = member.desired.as_ref().filter(|_| !is_gone(member, capabilities)) else {
                continue;
            };
            for port in ports(desired).unwrap_or_default() {
                let gone = merged.kernel(port).filter(|port| !port.ignored && leaves(port, capabilities));
                if gone.is_some_and(|port| port.desired.is_some()) {
                    let message =
                        format!("`{port}` will not be there, and cannot be a port of `{}`", key.name);
                    report.invalid(ports_path(&member.path(), desired), message);
                }
            }
        }
    }

    /// Brings the port list of a controller that the document does not list in line.
    pub fn settle_ports(&self, key: &Key, target: &mut Interface) {
        if let Some(left) = self.left.get(key) {
            retain_ports(target, |port| !left.contains(port));
        }
        for port in self.joined.get(key).into_iter().flatten() {
            add_port(target, port);
        }
    }
}
