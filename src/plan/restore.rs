//! Rollback as planning: from whatever is there now back to what was (semantics T12).
//!
//! - What was not there before and can be deleted is deleted. Hardware that appeared meanwhile is
//!   not ours.
//! - What is gone is made again if it can be; hardware that vanished is warned about, and stays
//!   in what verification expects, so that it is reported.
//! - What is there is set back key by key, also keys that only exist now.
//! - The kernel's own link-local addresses, leased and advertised addresses, and addresses that
//!   other programs marked stay as they are now.
//! - What was and is ignored is not touched, and neither are types that nobody here models. An
//!   ignored interface that vanished is made again like any other.

use super::changes::{in_order, interface_changes};
use super::global;
use super::merge::is_static;
use super::relations::{is_removable, same_kind};
use super::report::Report;
use super::sequence::in_sequence;
use super::{Key, Member, Merged, Names, Plan, Reason, Unmentioned};
use crate::state::{Interface, InterfaceState, InterfaceType, Ip, Part, State};

/// The plan that leads from `current` back to `before`. It always exists; what cannot be done is
/// in its warnings.
pub fn restore(before: &State, current: &State) -> Plan {
    let mut report = Report::default();
    let merged = set_back(before, current, &mut report);
    let changes = interface_changes(&merged, Unmentioned::Cleared, true);
    let changes = in_order(&merged, changes, &mut report);
    // A circle in what was there already is no reason not to go back.
    report.warnings.extend(report.problems.iter().map(ToString::to_string));
    let (others, global_expected) = global::restore(before, current, &merged, &mut report);
    let changes = in_sequence(changes, others, before.config_routes());
    Plan {
        changes,
        expected: State { interfaces: Some(expected(&merged)), ..global_expected },
        origins: std::collections::BTreeMap::new(),
        warnings: report.warnings,
        unverified: false,
    }
}

fn set_back(before: &State, current: &State, report: &mut Report) -> Merged {
    let mut merged = Merged {
        members: std::collections::BTreeMap::new(),
        names: Names::new(current.interfaces().iter(), before.interfaces().iter()),
    };
    for interface in current.interfaces() {
        let member = Member { current: Some(interface.clone()), ..Member::default() };
        merged.members.insert(Key::of(interface), member);
    }
    for interface in before.interfaces() {
        merged.members.entry(Key::of(interface)).or_default().desired = Some(interface.clone());
    }
    for (key, member) in &mut merged.members {
        let (was, is) = (member.desired.as_ref(), member.current.as_ref());
        let untouched = match (was, is) {
            (Some(was), Some(is)) => (was.is_ignored() && is.is_ignored()) || is.kind().is_uninterpreted(),
            (None, Some(is)) => is.is_ignored() || !is_removable(is),
            (Some(was), None) => {
                let lost = !can_be_made(was);
                if lost {
                    report.warnings.push(format!("`{}` has vanished, and cannot be made again", key.name));
                }
                lost
            }
            (None, None) => true,
        };
        if untouched {
            // Nothing is asked of an interface that is left alone.
            member.ignored = is.is_some();
            member.target.clone_from(&member.current);
            continue;
        }
        member.reason = Some(if was.is_some() { Reason::Restored } else { Reason::NotThereBefore });
        member.target = was.map(|was| target(was, is));
    }
    merged
}

/// Of a cable whose other end is in another network namespace, that end is not known.
fn can_be_made(was: &Interface) -> bool {
    is_removable(was) && (*was.kind() != InterfaceType::Veth || was.veth.is_some())
}

/// What was, with what is volatile as it is now.
fn target(was: &Interface, is: Option<&Interface>) -> Interface {
    let mut target = was.clone();
    if was.is_ignored() {
        target.state = Some(is.map_or(InterfaceState::Up, Interface::state));
    }
    let now = is.filter(|is| same_kind(is.kind(), was.kind()));
    let sections = [
        (&mut target.ipv4, now.and_then(|now| now.ipv4.as_deref())),
        (&mut target.ipv6, now.and_then(|now| now.ipv6.as_deref())),
    ];
    for (ip, now) in sections {
        if let Some(addresses) = ip.as_deref_mut().and_then(|ip| ip.address.as_mut()) {
            addresses.retain(is_static);
            let volatile = now.map(Ip::addresses).unwrap_or_default();
            addresses.extend(volatile.iter().filter(|address| !is_static(address)).cloned());
        }
    }
    target
}

fn expected(merged: &Merged) -> Vec<Interface> {
    let of = |member: &Member| {
        if member.ignored {
            return None;
        }
        let Some(was) = &member.desired else {
            let now = member.current.as_ref()?;
            return Some(Interface::new(&now.name, now.kind().clone(), InterfaceState::Absent));
        };
        if was.is_ignored() {
            return None;
        }
        let mut was = was.clone();
        was.drop_read_only();
        for ip in [was.ipv4.as_deref_mut(), was.ipv6.as_deref_mut()].into_iter().flatten() {
            ip.address.iter_mut().for_each(|addresses| addresses.retain(is_static));
        }
        Some(was)
    };
    merged.members.values().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Change;
    use super::restore;
    use crate::state::{Document, State};

    #[test]
    fn what_vanished_and_cannot_be_made_is_told_and_all_else_comes_back() {
        let state = |text: &str| Document::from_text(text).expect("YAML").state().expect("a state").0;
        let was = "
interfaces:
- {name: eth1, type: ethernet, state: up}
- {name: cable, type: veth, state: up, mtu: 1500}
- {name: left, type: veth, state: up, veth: {peer: right}}
- {name: right, type: veth, state: up, veth: {peer: left}}
- {name: dummy0, type: dummy, state: up}
";
        let plan = restore(&state(was), &State::empty());
        let name = |change: &Change| match change {
            Change::Interface(change) => Some(change.name.clone()),
            _ => None,
        };
        let mut back: Vec<String> = plan.changes.iter().filter_map(name).collect();
        back.sort_unstable();
        assert_eq!(back, ["dummy0", "left", "right"]);
        assert_eq!(
            plan.warnings,
            [
                "`cable` has vanished, and cannot be made again",
                "`eth1` has vanished, and cannot be made again"
            ]
        );
        let missed = crate::verify::same(&state(was), &State::empty());
        let missed: Vec<String> = missed.iter().map(ToString::to_string).collect();
        assert!(missed.iter().any(|item| item.contains("cable")), "{missed:?}");
    }
}
