//! What NetworkManager, or this version of it, cannot do: refused while planning, with the key. Pure.

use std::collections::BTreeSet;

use super::lower::{changes, without_place};
use super::work::Which;
use crate::nm::image::{Image, Version};
use crate::nm::settings::refusals;
use crate::plan::{Action, Change, InterfaceChange, Plan, Reason, RouteChange, is_static};
use crate::state::{ErrorKind, Interface, InterfaceType, Path, Problem, Segment, State};

/// NMDeviceState
const UNMANAGED: u32 = 10;
/// NMDeviceStateReason, since 1.48: `unmanaged-devices` of its configuration, which nothing overrides.
const UNMANAGED_BY_CONFIGURATION: u32 = 76;

/// Global name servers that a file of NetworkManager's configuration sets, which is named, are there to stay.
pub(super) fn resolver_set_by(plan: &Plan, file: &std::path::Path) -> Option<Problem> {
    let changes = plan.changes.iter().any(|change| matches!(change, Change::Dns(_)));
    let text =
        format!("NetworkManager takes global name servers from its configuration file {}", file.display());
    let path = Path::root().key("dns-resolver").key("config");
    changes.then(|| Problem::invalid(path, text).with_hint("remove them there, and reload NetworkManager"))
}

/// Everything in the plan that cannot be done here. `types`: what the kernel can make.
pub(super) fn refuse(
    plan: &Plan,
    now: &State,
    image: &Image,
    types: &BTreeSet<InterfaceType>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for change in &plan.changes {
        match change {
            Change::Interface(change) => interface(plan, change, image, types, &mut problems),
            Change::Dns(_) => problems.extend(resolver(image)),
            Change::Route(_)
            | Change::Rule(_)
            | Change::Hostname(_)
            | Change::OvsDb(_)
            | Change::Ovn(_)
            | Change::Network(_) => {}
        }
    }
    problems.extend(without_place(plan, now, image));
    problems.extend(routes_without_address(plan, now, &image.version));
    problems
}

fn interface(
    plan: &Plan,
    change: &InterfaceChange,
    image: &Image,
    types: &BTreeSet<InterfaceType>,
    problems: &mut Vec<Problem>,
) {
    let Some(after) = change.after.as_ref().filter(|after| !after.is_absent()) else { return };
    let origin = plan.origins.get(&(change.name.clone(), change.kind.clone()));
    let path = origin.cloned().unwrap_or_else(|| Path::root().key("interfaces"));
    let mut push = |kind: ErrorKind, path: Path, text: String| {
        // What is drawn in has no place of its own.
        let text = if origin.is_some() { text } else { format!("`{}`: {text}", change.name) };
        let problem = Problem::new(kind, path, text);
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    };
    if is_left_alone(change, image) {
        push(
            ErrorKind::NotSupportedError,
            path,
            "NetworkManager's configuration (unmanaged-devices) tells it to leave this one alone".into(),
        );
        return;
    }
    let is_ovs = matches!(change.kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface);
    if is_ovs && !image.version.has_ovs {
        push(ErrorKind::DependencyError, path.key("type"), no_ovs(&image.version));
        return;
    }
    let mut refuse = |path: Path, text: String| push(ErrorKind::NotSupportedError, path, text);
    let made = after.is_up() && (change.action == Action::Add || change.rebuild);
    let kernel_makes = change.kind.is_virtual() && !is_ovs && change.kind != InterfaceType::Ipsec;
    if made && kernel_makes && !types.contains(&change.kind) {
        refuse(path.key("type"), format!("this kernel cannot make interfaces of type `{}`", change.kind));
        return;
    }
    // What is there already and only drawn in is as NetworkManager has it.
    let is_drawn_in = !matches!(change.reason, Reason::PeerOf(_) | Reason::PortOf(_));
    if is_drawn_in && !change.reason.is_asked() {
        return;
    }
    let mut expected = plan.expected.interfaces().iter();
    let asked = expected.find(|asked| asked.name == change.name && *asked.kind() == change.kind);
    let asked = asked.unwrap_or(after);
    for Problem { kind, path: key, message, .. } in refusals(asked, &image.version) {
        // The kernel shows it, so whoever applies what is shown asks for it.
        if key.to_string() == "ethtool.fec"
            && change.action == Action::Modify
            && !changes(change, "ethtool.fec")
        {
            continue;
        }
        let place = key.segments().iter().fold(path.clone(), |place, segment| match segment {
            Segment::Key(key) => place.key(key),
            Segment::Index(index) => place.index(*index),
        });
        push(kind, place, message);
    }
}

/// What is wrong where the kernel's packet filter has no tables of the family `netdev`: NetworkManager makes these
/// bonds with them.
pub(super) fn without_netdev_tables(plan: &Plan) -> Vec<Problem> {
    let balances = |interface: &Interface| {
        let options = interface.bond.as_ref().and_then(|bond| bond.options.as_ref());
        interface.is_up() && options.and_then(|options| options.balance_slb) == Some(true)
    };
    let bonds = plan.changes.iter().filter_map(|change| match change {
        Change::Interface(change) if change.after.as_ref().is_some_and(balances) => Some(change),
        _ => None,
    });
    let problem = |bond: &InterfaceChange| {
        let path = plan.origins.get(&(bond.name.clone(), bond.kind.clone())).cloned();
        let path = path.unwrap_or_else(|| Path::root().key("interfaces"));
        let message = format!(
            "`{}`: this kernel's packet filter (nftables) has no tables of the family `netdev`",
            bond.name
        );
        Problem::new(ErrorKind::NotSupportedError, path.keys("link-aggregation.options.balance_slb"), message)
    };
    bonds.map(|bond| problem(bond)).collect()
}

/// Nothing makes NetworkManager touch what its configuration excludes.
fn is_left_alone(change: &InterfaceChange, image: &Image) -> bool {
    let device = Which::new(&change.name, &change.kind).device(image).map(|(_, device)| device);
    device.is_some_and(|device| device.state == UNMANAGED && device.reason == UNMANAGED_BY_CONFIGURATION)
}

/// Before 1.46 there is no IPv4 with routes alone: NetworkManager would have it switched off.
fn routes_without_address(plan: &Plan, now: &State, version: &Version) -> Vec<Problem> {
    if version.at_least(1, 46) {
        return Vec::new();
    }
    let then = |name: &str| {
        let changed = plan.changes.iter().find_map(|change| match change {
            Change::Interface(change) if change.name == name => change.after.as_ref(),
            _ => None,
        });
        changed.or_else(|| now.interface(name))
    };
    let is_bare = |name: &str| {
        let ip = then(name).filter(|then| *then.kind() != InterfaceType::Loopback)?.ipv4.as_deref()?;
        (ip.is_enabled() && !ip.is_auto() && !ip.addresses().iter().any(is_static)).then_some(())
    };
    let mut problems = Vec::new();
    for change in &plan.changes {
        let Change::Route(RouteChange { action: Action::Add, route, .. }) = change else { continue };
        let (Some(destination), Some(link)) = (&route.destination, route.next_hop_interface.as_deref())
        else {
            continue;
        };
        if !destination.is_v6() && is_bare(link).is_some() {
            let Version { major, minor, micro, .. } = version;
            let text = format!(
                "`{destination}` through `{link}`, which has no IPv4 address: that needs NetworkManager 1.46 or \
                 later; this is {major}.{minor}.{micro}"
            );
            let path = Path::root().keys("routes.config");
            problems.push(Problem::new(ErrorKind::NotSupportedError, path, text));
        }
    }
    problems
}

/// Semantics V43.
fn no_ovs(version: &Version) -> String {
    let Version { major, minor, micro, .. } = version;
    format!("this NetworkManager ({major}.{minor}.{micro}) has no plugin for Open vSwitch")
}

/// Nobody writes the resolver's configuration where NetworkManager is told not to.
fn resolver(image: &Image) -> Option<Problem> {
    let is_nobody =
        image.dns.mode == "none" || (image.dns.mode == "default" && image.dns.rc_manager == "unmanaged");
    let message = "NetworkManager is configured to leave the resolver's configuration alone";
    let path = Path::root().key("dns-resolver").key("config");
    is_nobody.then(|| Problem::new(ErrorKind::NotSupportedError, path, message))
}
