//! `network`: a configuration in netplan's own words, replaced as a whole.

use super::{Merge, NetworkChange, Reason};
use crate::state::{Native, State};

/// What has to change about it. What it means for the network is planned as if a document had said so.
pub fn merge(desired: &State, current: &State) -> Merge<NetworkChange, Native> {
    let Some(wanted) = &desired.network else { return Merge { changes: Vec::new(), expected: None } };
    let changes = change(Reason::Desired, current.network.as_ref(), Some(wanted)).into_iter().collect();
    Merge { changes, expected: Some(wanted.clone()) }
}

/// The change that leads to that of an earlier state.
pub fn restore(current: &State, before: &State) -> Option<NetworkChange> {
    change(Reason::Restored, current.network.as_ref(), before.network.as_ref())
}

/// Nothing defined, and nothing said, are the same.
fn change(reason: Reason, before: Option<&Native>, after: Option<&Native>) -> Option<NetworkChange> {
    let said = |native: Option<&Native>| native.filter(|native| !native.is_empty()).cloned();
    let (before, after) = (said(before), said(after));
    let fields = Native::changes(before.as_ref(), after.as_ref());
    (before != after).then(|| NetworkChange { reason, before, after, fields })
}
