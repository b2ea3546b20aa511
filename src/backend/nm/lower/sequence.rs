//! The steps in their order.
//!
//! 1. All profiles are stored, parents and controllers first. Nothing happens by that. That of a new link which
//!    nothing else is about is stored as it is activated.
//! 2. What has to end before it starts again ends, what stands upon others first.
//! 3. What goes goes: its profiles, then its device.
//! 4. What comes up comes up, parents and controllers first; of a new pair of veths one end makes
//!    both, and the other is activated once its device is announced.
//! 5. Other profiles of the same interfaces go: before, NetworkManager could take one of them when
//!    the active one ends.
//! 6. What goes down goes down; then what concerns the host.

use std::collections::{BTreeMap, BTreeSet};

use super::decide::{Decision, Goal};
use super::{Lowering, Target};
use crate::backend::kernel::op::Op;
use crate::backend::nm::choose::Candidate;
use crate::backend::nm::reapply::Way;
use crate::backend::nm::work::{Await, Layer, Step, Until, Which, Work};
use crate::plan::{Change, base, is_removable, ports};
use crate::state::{Interface, InterfaceType};

/// NMDeviceState
const UNMANAGED: u32 = 10;

pub(super) fn sequence(lowering: &Lowering<'_>, decided: &BTreeMap<Which, Decision<'_>>) -> Work {
    let mut work = Work::default();
    let mut decisions: Vec<&Decision<'_>> = decided.values().collect();
    decisions.sort_by_key(|decision| (decision.depth, decision.which.layer, &decision.which));
    let alone = alone(lowering, decided);
    let ahead = decisions.iter().filter(|decision| !alone.contains(&decision.which));
    work.steps.extend(ahead.filter_map(|decision| decision.write.clone()));
    for decision in decisions.iter().rev().filter(|decision| decision.goal == Goal::Up(Way::Restart)) {
        work.steps.push(Step::Deactivate { which: decision.which.clone() });
    }
    remove(lowering, decided, &mut work);
    for decision in &decisions {
        let early = decision.others.iter().filter(|(_, early)| *early);
        work.steps.extend(early.map(|(candidate, _)| delete(&decision.which, candidate)));
        if decision.in_the_way {
            work.steps.push(Step::DeleteDevice { which: decision.which.clone() });
        }
    }
    activate(lowering, &decisions, &alone, &mut work);
    for decision in &decisions {
        let late = decision.others.iter().filter(|(_, early)| !*early);
        work.steps.extend(late.map(|(candidate, _)| delete(&decision.which, candidate)));
        if decision.ends_profile() {
            // What the kernel is told comes after NetworkManager's last word.
            let active = decision.others.iter().filter(|(candidate, _)| candidate.active.is_some());
            let left = |uuid: &str| Await {
                which: decision.which.clone(),
                until: Until::Left { uuid: uuid.to_owned() },
            };
            work.awaits.extend(active.map(|(candidate, _)| left(candidate.uuid())));
        }
    }
    for decision in decisions.iter().rev() {
        if let Goal::Down { disconnects: true, .. } = decision.goal {
            let which = &decision.which;
            if which.layer == Layer::OvsBridge {
                let ports = lowering.ports_of(&which.name).into_iter();
                work.steps.extend(ports.map(|(which, _)| Step::Disconnect { which }));
            }
            work.steps.push(Step::Disconnect { which: which.clone() });
            work.awaits.push(Await { which: which.clone(), until: Until::Disconnected });
        }
    }
    work.steps.extend(lowering.global_dns.clone().map(Step::GlobalDns));
    for change in &lowering.plan.changes {
        if let Change::Hostname(change) = change {
            work.steps.extend(change.config.clone().map(Step::Hostname));
        }
    }
    work
}

fn delete(which: &Which, candidate: &Candidate<'_>) -> Step {
    let profile = &candidate.stored.profile;
    let id = profile.id().unwrap_or_default().to_owned();
    Step::Delete { which: which.clone(), uuid: candidate.uuid().to_owned(), id }
}

/// New links that stand upon nothing, and nothing upon them: their profile is stored and activated by one
/// request. Where others refer to it, it has to be there before theirs.
fn alone<'d>(lowering: &Lowering<'_>, decided: &'d BTreeMap<Which, Decision<'_>>) -> BTreeSet<&'d Which> {
    // 1.42 knows of no device for a link that is still to be made.
    if !lowering.image.version.at_least(1, 52) {
        return BTreeSet::new();
    }
    let below = lowering.all_then().flat_map(|then| base(then).into_iter().chain(then.controller.as_deref()));
    let below: BTreeSet<&str> = below.collect();
    let is_alone = |(which, decision): &(&'d Which, &Decision<'_>)| {
        let is_new = matches!(decision.write, Some(Step::Add { .. }))
            && decision.goal == Goal::Up(Way::Activate)
            && decision.others.is_empty()
            && lowering.device(which).is_none()
            && !lowering.now.contains_key(*which);
        let then = lowering.targets.get(*which).and_then(|target| target.then);
        let is_alone = then.is_some_and(|then| {
            use InterfaceType::{Bond, Dummy, LinuxBridge};
            matches!(then.kind(), Bond | Dummy | LinuxBridge)
                && ports(then).is_none_or(|ports| ports.is_empty())
                && then.controller.as_deref().is_none_or(str::is_empty)
        });
        is_new && is_alone && !below.contains(which.name.as_str())
    };
    decided.iter().filter(is_alone).map(|(which, _)| which).collect()
}

fn activate(lowering: &Lowering<'_>, decisions: &[&Decision<'_>], alone: &BTreeSet<&Which>, work: &mut Work) {
    // The ends that come with the other one.
    let mut made: BTreeSet<&str> = BTreeSet::new();
    for decision in decisions {
        let Decision { which, uuid, .. } = *decision;
        let up = match decision.goal {
            Goal::Up(way) => way,
            Goal::Down { activates: true, .. } => Way::Activate,
            Goal::Down { .. } => Way::Nothing,
        };
        match up {
            Way::Nothing => {}
            Way::Reapply => {
                let applied = lowering.device(which).and_then(|device| device.applied.as_deref());
                let version = applied.map_or(0, |(_, version)| *version);
                work.steps.push(Step::Reapply { which: which.clone(), version });
            }
            Way::Activate | Way::Restart => {
                if made.contains(which.name.as_str()) {
                    let which = which.clone();
                    work.steps.push(Step::Wait(Await { which, until: Until::Announced }));
                }
                made.extend(decision.peer.as_deref());
                let on_device = decision.on_device;
                work.steps.push(match &decision.write {
                    Some(Step::Add { which, profile }) if alone.contains(which) => {
                        Step::Make { which: which.clone(), profile: profile.clone() }
                    }
                    _ => Step::Activate { which: which.clone(), uuid: uuid.clone(), on_device },
                });
                if matches!(decision.goal, Goal::Up(_)) {
                    work.awaits.push(Await { which: which.clone(), until: decision.ready.clone() });
                }
            }
        }
    }
}

/// Interfaces that go, those that stand upon others first, as the plan has them; and ports that their
/// bridge of Open vSwitch has lost.
fn remove(lowering: &Lowering<'_>, decided: &BTreeMap<Which, Decision<'_>>, work: &mut Work) {
    let bridges = lowering.targets.values().filter(|target| target.which.layer == Layer::OvsBridge);
    for bridge in bridges.filter_map(|target| target.then.filter(|then| then.is_up())) {
        let dropped = lowering.dropped_ports(bridge);
        work.steps.extend(dropped.iter().map(|(which, candidate)| delete(which, candidate)));
    }
    for change in &lowering.plan.changes {
        let Change::Interface(change) = change else { continue };
        let which = Which::new(&change.name, &change.kind);
        let Some(target) = lowering.targets.get(&which).filter(|target| target.then.is_none()) else {
            continue;
        };
        // A name alone means all that have it.
        if which.layer == Layer::OvsBridge || change.kind == InterfaceType::Unknown {
            let ports = lowering.ports_of(&which.name);
            work.steps.extend(ports.iter().map(|(which, candidate)| delete(which, candidate)));
        }
        if change.kind == InterfaceType::Unknown {
            for layer in [Layer::OvsBridge, Layer::Vpn] {
                let other = Which { name: change.name.clone(), layer };
                let profiles = lowering.profiles.others(&other, None);
                work.steps.extend(profiles.iter().map(|candidate| delete(&other, candidate)));
            }
        }
        if change.kind == InterfaceType::OvsInterface {
            let port = Which { name: change.name.clone(), layer: Layer::OvsPort };
            let profiles = lowering.profiles.others(&port, None);
            work.steps.extend(profiles.iter().map(|candidate| delete(&port, candidate)));
        }
        let profiles = lowering.profiles.others(&which, None);
        work.steps.extend(profiles.iter().map(|candidate| delete(&which, candidate)));
        remove_device(lowering, target, !profiles.is_empty(), work);
    }
    // A port goes because its bridge has lost it, and because its interface goes; it stays if another bridge has it.
    let staying: BTreeSet<&str> = decided.values().map(|decision| decision.uuid.as_str()).collect();
    let mut gone = BTreeSet::new();
    work.steps.retain(|step| match step {
        Step::Delete { uuid, .. } => !staying.contains(uuid.as_str()) && gone.insert(uuid.clone()),
        _ => true,
    });
}

fn remove_device(lowering: &Lowering<'_>, target: &Target<'_>, had_profile: bool, work: &mut Work) {
    let which = &target.which;
    let Some(now) = target.now else { return };
    let device = lowering.device(which).filter(|device| device.real);
    let wait = |until| Await { which: which.clone(), until };
    if is_removable(now) {
        match device {
            // The database of Open vSwitch loses it with the activation of its profile; what others made
            // there is removed from it afterwards.
            _ if is_of_ovs(now) && device.is_none_or(|device| device.active.is_none()) => return,
            _ if is_of_ovs(now) => {}
            _ if which.layer != Layer::Kernel => {}
            Some(device) if device.state != UNMANAGED => {
                work.steps.push(Step::DeleteDevice { which: which.clone() });
            }
            _ => {
                work.kernel.push(Op::Delete { link: which.name.clone() });
                return;
            }
        }
        work.awaits.push(wait(Until::Gone));
    } else if let Some(device) = device.filter(|device| device.active.is_some())
        && !is_loopback(now)
    {
        // The end of its profile ends it, if it had one.
        if !had_profile && device.state != UNMANAGED {
            work.steps.push(Step::Disconnect { which: which.clone() });
        }
        work.awaits.push(wait(Until::Disconnected));
    }
}

fn is_of_ovs(interface: &Interface) -> bool {
    matches!(interface.kind(), InterfaceType::OvsBridge | InterfaceType::OvsInterface)
}

fn is_loopback(interface: &Interface) -> bool {
    *interface.kind() == InterfaceType::Loopback
}
