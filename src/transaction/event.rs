//! All that goes into the machine and all that comes out of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Before, Record, Service};
use crate::plan::{self, Plan};
use crate::policy::Policy;
use crate::state::{Document, Problem, State};
use crate::wire::{ClientPath, Owner, Probe, TransactionId, TransactionInfo};

/// The time, read by whoever drives the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Since boot, suspended time included: all decisions.
    pub boot: Duration,
    /// Seconds since 1970, for people only.
    pub wall: u64,
}

/// Stands for somebody who waits for an answer.
pub type Ticket = u64;

/// How a document is to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyOptions {
    pub plan: plan::Options,
    /// Compare the network with the document afterwards.
    pub verify: bool,
    /// Commit by itself after verification; otherwise wait for Commit until the deadline. A
    /// change that joins another never commits by itself, nor does one that touches the path of
    /// the client that `plan` names.
    pub commit: bool,
    /// Seconds until the rollback of what is not committed, counted from the moment it awaits
    /// commit.
    pub timeout_s: u32,
    /// Queue behind a pending checkpoint instead of being refused.
    pub wait: bool,
    /// Become part of that transaction, which awaits commit.
    pub join: Option<TransactionId>,
    /// Cancel when the client's connection ends.
    pub cancel_on_disconnect: bool,
    /// What must still hold after the change, if it held before; None: what the configuration
    /// says.
    pub probes: Option<Vec<Probe>>,
}

impl Default for ApplyOptions {
    fn default() -> Self {
        Self {
            plan: plan::Options::default(),
            verify: true,
            commit: true,
            timeout_s: 60,
            wait: false,
            join: None,
            cancel_on_disconnect: false,
            probes: None,
        }
    }
}

/// What is asked for.
#[derive(Debug)]
pub enum Desired {
    /// A document that reads as a state, with what there is to say about it.
    Document { document: Document, state: Arc<State>, warnings: Vec<Problem> },
    /// Says by the state that is there what shall be, so each planning finds out anew what it asks for.
    Policy(Box<Policy>),
    /// What is committed, which nobody sent now. What of it this machine cannot have is left out.
    Committed(Arc<State>),
}

/// What planning found.
#[derive(Clone, Debug)]
pub struct Planned {
    pub plan: Arc<Plan>,
    /// The plan as text for people.
    pub diff: String,
    /// All that is committed once this is; None if it is the same as before.
    pub then: Option<Arc<State>>,
    /// How it touches the path by which the client came in: then it must be confirmed.
    pub client_path: Option<ClientPath>,
}

/// What a first probing found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probed {
    /// What holds, each in its narrowest form.
    pub held: Vec<Probe>,
    pub lacking: Vec<Lacking>,
}

/// A probe that does not hold, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    pub probe: Probe,
    pub why: String,
}

/// How a rollback went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What is not as it was, item by item; empty if all is.
    pub items: Vec<String>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    Submit {
        ticket: Ticket,
        owner: Owner,
        /// None: what is committed when its turn comes.
        desired: Option<Arc<Desired>>,
        options: ApplyOptions,
    },
    Commit {
        ticket: Ticket,
        owner: Owner,
        id: Option<TransactionId>,
    },
    Rollback {
        ticket: Ticket,
        owner: Owner,
        id: Option<TransactionId>,
    },
    Extend {
        ticket: Ticket,
        owner: Owner,
        id: Option<TransactionId>,
        seconds: u32,
    },
    Cancel {
        ticket: Ticket,
        owner: Owner,
        id: TransactionId,
    },
    /// The connection that submitted this transaction has ended.
    Disconnected {
        id: TransactionId,
    },
    /// The work under way has ended.
    Done(Outcome),
    /// The chore under way has ended.
    ChoreDone(Outcome),
    /// The moment of [`Machine::wake_at`](super::Machine::wake_at) may have come.
    Tick,
    /// The service that the backend works through was lost, or is there again.
    Service(Service),
    /// The daemon is to stop.
    Stop,
}

/// Something to do outside. Effects are done in order.
#[derive(Debug)]
pub enum Effect {
    /// Start this; its outcome comes back as [`Event::Done`]. Never more than one is under way.
    Start(Work),
    /// Start this beside it; its outcome comes back as [`Event::ChoreDone`]. Never more than one
    /// is under way, and none is ever aborted.
    StartChore(Work),
    /// Drop the work under way, wherever it is. No outcome comes from it.
    Abort,
    /// Answer whoever holds the ticket. `Ok` is the transaction as it is now, accepted.
    Answer(Ticket, Result<TransactionInfo, Vec<Problem>>),
    /// Show this to everybody; with the deadline of what awaits commit.
    Publish(TransactionInfo, Option<Duration>),
    /// A person must know this.
    Alert(String),
    /// What is on disk is no longer certain: drop this machine, read the disk again, recover.
    Halt,
    /// Everything is at a safe end.
    Stopped,
}

/// Work for the outside.
#[derive(Debug)]
pub enum Work {
    /// Plan against the network as it is now; nothing is touched. `base` is what is committed.
    Plan { desired: Arc<Desired>, options: plan::Options, base: Arc<State> },
    /// Find out what holds, by one attempt each.
    Probe(Vec<Probe>),
    /// Take a snapshot, and plan again on it.
    Snapshot { desired: Arc<Desired>, options: plan::Options, base: Arc<State> },
    /// Write the checkpoint record, durably.
    Write(Record),
    /// Carry out the plan.
    Execute(Arc<Plan>),
    /// Compare the network with what the plan expects, until its limits.
    Verify(Arc<Plan>),
    /// Find out whether all of this holds again, until a limit.
    ProbeAgain(Vec<Probe>),
    /// Make the record one of a rollback, durably.
    MarkRollback,
    /// Let the backend keep what will be committed. `before`: of the transaction that commits it; None:
    /// it was committed before.
    Persist { before: Option<Arc<Before>>, committed: Arc<State> },
    /// Write what is committed, durably: the point after which there is no way back.
    Commit { id: TransactionId, committed: Arc<State> },
    /// Return to the state before. `verify`: and compare.
    Restore { before: Arc<Before>, verify: bool },
    /// Remove the record, durably.
    Clear,
    /// Keep the record of an incomplete rollback for a person, durably out of the way.
    SetAside,
    /// Add to the history.
    Remember(Vec<TransactionInfo>),
    /// Reserve ids below this one, durably.
    ReserveIds(TransactionId),
}

/// How a [`Work`] ended.
#[derive(Debug)]
pub enum Outcome {
    Planned(Result<Planned, Vec<Problem>>),
    /// Or why one of them must not be made at all.
    Probed(Result<Probed, Vec<Problem>>),
    Snapshot(Result<(Arc<Before>, Planned), Vec<Problem>>),
    Written(Result<(), Problem>),
    Executed(Result<(), Problem>),
    /// Warnings, or what is not as asked.
    Verified(Result<Vec<String>, Vec<Problem>>),
    /// What does not hold any more; empty if all does.
    ProbedAgain(Vec<Lacking>),
    Marked(Result<(), Problem>),
    Persisted(Result<(), Problem>),
    Committed(Result<(), CommitFailure>),
    Restored(Result<Restored, Problem>),
    Cleared(Result<(), Problem>),
    SetAside(Result<(), Problem>),
    Remembered(Result<(), Problem>),
    Reserved(Result<(), Problem>),
}

/// Why a commit was not written, and whether it is certain that it was not.
#[derive(Debug)]
pub struct CommitFailure {
    pub problem: Problem,
    /// False: it may be on disk all the same.
    pub is_certain: bool,
}
