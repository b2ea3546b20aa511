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

/// What no renderer ever does when it lets something go, so that nobody need wait for it.
pub(super) fn is_left(op: &Op) -> bool {
    matches!(
        op,
        Op::RemoveAddress { .. } | Op::Detach { .. } | Op::Down { .. } | Op::Mac { .. } | Op::Mtu { .. }
    )
}
