//! What netplan and its renderer leave to the kernel's operations, of a plan or of the way back. Pure.

use crate::backend::kernel::{self, op::Op};
use crate::plan::{self, Capabilities, Options, Plan};
use crate::state::State;

/// What is still to be done of `plan`.
pub(super) fn of_plan(plan: &Plan, now: &State, capabilities: &Capabilities) -> Vec<Op> {
    // Whatever cannot be planned any more, verification finds.
    let rest = plan::plan(&plan.expected, now, capabilities, &Options::default());
    rest.map_or_else(|_| Vec::new(), |rest| ours(kernel::lower(&rest, now)))
}

/// Without what belongs to the renderer or the resolver alone: they would set it back.
pub(super) fn ours(mut ops: Vec<Op>) -> Vec<Op> {
    ops.retain(|op| match op {
        // A renderer that sees to router advertisements keeps the kernel from doing so.
        Op::Sysctl { conf, .. } => !matches!(*conf, "accept_ra" | "autoconf"),
        Op::Resolver(_) => false,
        _ => true,
    });
    ops
}

/// What of `rest` no renderer ever does when it lets something go, so that nobody need wait for it. Links that
/// it has yet to make come as they were asked for.
pub(super) fn left(rest: &[Op]) -> Vec<Op> {
    let is_made = |link: &str| rest.iter().any(|op| not_made(std::slice::from_ref(op)) == Some(link));
    let is_left = |op: &&Op| {
        matches!(
            op,
            Op::RemoveAddress { .. } | Op::Detach { .. } | Op::Down { .. } | Op::Mac { .. } | Op::Mtu { .. }
        )
    };
    let there = |op: &&Op| op.subject().is_none_or(|link| !is_made(link));
    rest.iter().filter(is_left).filter(there).cloned().collect()
}

/// A link that the renderer has not made.
pub(super) fn not_made(rest: &[Op]) -> Option<&str> {
    rest.iter().find_map(|op| match op {
        Op::Create { link, .. } => Some(link.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::kernel::links::{Link, Refers};
    use crate::kernel::netlink::kinds::Data;

    #[test]
    fn what_the_renderer_makes_is_waited_for() {
        let dummy = Link { data: Data::Other("dummy".into()), refers: Refers::Nothing };
        let create =
            |link: &str| Op::Create { link: link.into(), is: dummy.clone(), mac: None, settled: false };
        let mtu = |link: &str| Op::Mtu { link: link.into(), is: 1400 };
        let rest = [create("a0"), mtu("a0"), mtu("eth1"), Op::Up { link: "eth1".into() }];
        assert_eq!(left(&rest), [mtu("eth1")]);
        assert_eq!(not_made(&rest), Some("a0"));
        assert_eq!(not_made(&rest[2..]), None);
    }
}
