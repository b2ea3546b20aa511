//! The one transaction under way.

use std::sync::Arc;
use std::time::Duration;

use super::event::{ApplyOptions, Desired, Planned, Ticket};
use super::record::{Before, Phase, Record};
use crate::plan;
use crate::state::State;
use crate::wire::{ClientPath, ErrorInfo, Owner, Probe, Stage, TransactionId, TransactionInfo};

#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: TransactionId,
    pub(super) owner: Owner,
    pub(super) created: u64,
    pub(super) stage: Stage,
    pub(super) step: Step,
    /// What is asked for; None once it is planned.
    pub(super) request: Option<Request>,
    pub(super) verify: bool,
    pub(super) commit: bool,
    pub(super) timeout: Duration,
    pub(super) cancel_on_disconnect: bool,
    pub(super) planned: Option<Planned>,
    pub(super) diff: String,
    pub(super) warnings: Vec<String>,
    /// How it touches the path by which the client came in.
    pub(super) client_path: Option<ClientPath>,
    /// What is to be probed before the first change.
    pub(super) probes: Vec<Probe>,
    /// What held before the change. Not in the record: a daemon that dies before it has held
    /// again leaves a rollback, one that dies later needs it no more.
    pub(super) required: Vec<Probe>,
    /// Warnings about what did not hold before the change.
    pub(super) not_required: Vec<String>,
    /// From the moment its record may be on disk.
    pub(super) checkpoint: Option<Checkpoint>,
    /// What to do when the write under way has ended.
    pub(super) asked: Option<Asked>,
    /// Another change that wants to become part of this one and is being planned.
    pub(super) join: Option<Join>,
    pub(super) error: Option<ErrorInfo>,
    pub(super) unrestored: Vec<String>,
}

/// What is to be planned.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) desired: Arc<Desired>,
    pub(super) options: plan::Options,
}

/// The way back, and the state of the record on disk.
#[derive(Clone, Debug)]
pub(super) struct Checkpoint {
    pub(super) before: Arc<Before>,
    /// All that is committed once this is.
    pub(super) then: Arc<State>,
    pub(super) deadline: Duration,
    pub(super) phase: Phase,
    /// Whether the network may differ from `before`.
    pub(super) is_changed: bool,
    /// Whether the kernel still is the one that the record speaks of.
    pub(super) is_same_boot: bool,
}

/// Asked for during a write, which is never cut off.
#[derive(Debug)]
pub(super) enum Asked {
    Commit,
    /// Back to the state before, because of this; None: the client wants it so.
    GoBack(Option<ErrorInfo>),
}

#[derive(Debug)]
pub(super) struct Join {
    pub(super) ticket: Ticket,
    pub(super) options: ApplyOptions,
    /// While it is probed.
    pub(super) planned: Option<Planned>,
}

/// The work under way, or what is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Planning,
    /// What holds before the change is being found out.
    ProbingBefore,
    Snapshot,
    /// The record of a change that is about to begin is being written.
    Recording,
    Executing,
    Verifying,
    /// Whether it holds again is being found out.
    Probing,
    /// The record of a change that awaits commit is being written.
    RecordingWait,
    /// Nothing is under way.
    Awaiting,
    /// The record with the later deadline is being written.
    Extending {
        ticket: Ticket,
        deadline: Duration,
    },
    Persisting,
    /// `is_unsure`: an earlier attempt may have succeeded.
    Committing {
        attempt: u32,
        is_unsure: bool,
    },
    /// The network is as asked already, but that it was asked for is new.
    CommittingUnchanged,
    Marking,
    Restoring {
        attempt: u32,
    },
    /// Nothing is under way until then.
    RestoringAgain {
        attempt: u32,
        at: Duration,
    },
    /// Nothing is under way until the service of the backend is there.
    AwaitingService {
        attempt: u32,
    },
    /// After a reboot: the backend is told what is committed, in case it had begun to keep more.
    PersistingBefore,
    SettingAside,
    /// The end is being added to the history, then the record removed.
    Remembering(Stage),
    Clearing {
        end: Stage,
        attempt: u32,
    },
}

impl Live {
    pub(super) fn info(&self) -> TransactionInfo {
        TransactionInfo {
            id: self.id,
            owner: self.owner.clone(),
            stage: self.stage,
            created: self.created,
            ended: None,
            progress: None,
            seconds_left: None,
            error: self.error.clone(),
            unrestored: self.unrestored.clone(),
            warnings: self.warnings.clone(),
            diff: self.diff.clone(),
            client_path: self.client_path.clone(),
        }
    }

    /// Whether it commits by itself once it is verified. What touches the path of its client must
    /// be confirmed: only an answer shows that the path still works.
    pub(super) fn commits_itself(&self) -> bool {
        self.commit && self.client_path.is_none()
    }

    /// The deadline, while there is one that counts.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let checkpoint = self.checkpoint.as_ref()?;
        (self.stage == Stage::AwaitingCommit).then_some(checkpoint.deadline)
    }

    /// The record of this transaction, in that phase.
    pub(super) fn record(
        &self,
        phase: Phase,
        deadline: Duration,
        now: super::Now,
        config: &super::Config,
    ) -> Record {
        let checkpoint = self.checkpoint.as_ref().expect("a record is made of a checkpoint");
        Record {
            id: self.id,
            boot_id: config.boot_id.clone(),
            owner: self.owner.clone(),
            created: self.created,
            phase,
            deadline,
            deadline_wall: now.wall.saturating_add(deadline.saturating_sub(now.boot).as_secs()),
            backend: config.backend.clone(),
            before: checkpoint.before.clone(),
            then: checkpoint.then.clone(),
            diff: self.diff.clone(),
            warnings: self.warnings.clone(),
            client_path: self.client_path.clone(),
        }
    }
}
