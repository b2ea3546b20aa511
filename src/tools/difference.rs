//! Documents that lead from one state to another, or back (semantics X). What they are is decided in
//! `plan`; here is only that no daemon is asked for a plan.

use super::planned;
use crate::plan;
use crate::state::{Problem, State};

/// What of `desired` would change something where the network is as `current`.
pub fn difference(desired: &State, current: &State) -> Result<State, Vec<Problem>> {
    let plan = planned(desired, current)?;
    Ok(plan::difference(desired, current, &plan))
}

/// The document that leads back to `current` once `desired` has been applied to it.
pub fn revert(desired: &State, current: &State) -> Result<State, Vec<Problem>> {
    let plan = planned(desired, current)?;
    Ok(plan::revert(desired, current, &plan))
}

/// Whether `desired` could be applied where the network is as `current`: the checks of an apply, but for
/// what only the backend and the hardware know. Returns warnings.
pub fn check(desired: &State, current: &State) -> Result<Vec<String>, Vec<Problem>> {
    Ok(planned(desired, current)?.warnings)
}
