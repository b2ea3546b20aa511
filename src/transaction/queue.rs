//! The bounded, fair queue: in order of arrival, with a share for each uid and a reserve for
//! root, so that nobody can keep the others, or the administrator, out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{ApplyOptions, Desired};
use super::report::refusal;
use crate::state::{ErrorKind, Problem};
use crate::wire::{Owner, TransactionId};

/// Most transactions that wait.
pub const QUEUE_MAX: usize = 64;
/// Most of them of one uid other than root.
pub const UID_SHARE: usize = 16;
/// Places that only root gets.
pub const ROOT_RESERVE: usize = 16;

/// A transaction that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: TransactionId,
    pub(super) owner: Owner,
    pub(super) created: u64,
    /// None: what is committed when its turn comes.
    pub(super) desired: Option<Arc<Desired>>,
    pub(super) options: ApplyOptions,
}

/// Whether one more of this owner may wait.
pub(super) fn admit(queue: &VecDeque<Waiting>, owner: &Owner) -> Result<(), Vec<Problem>> {
    let own = queue.iter().filter(|waiting| waiting.owner.uid == owner.uid).count();
    if queue.len() >= QUEUE_MAX || (owner.uid != 0 && queue.len() >= QUEUE_MAX - ROOT_RESERVE) {
        return Err(refusal(ErrorKind::Busy, format!("{} transactions wait already", queue.len())));
    }
    if owner.uid != 0 && own >= UID_SHARE {
        let message = format!("{own} transactions of uid {} wait already, its whole share", owner.uid);
        return Err(refusal(ErrorKind::Busy, message));
    }
    Ok(())
}
