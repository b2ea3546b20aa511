//! Every request, from every API, as one value of one enum; every answer likewise.

use std::sync::Arc;

use crate::plan;
pub use crate::plan::{Client, Options as PlanOptions};
use crate::state::{Document, Problem, State};
pub use crate::transaction::ApplyOptions;
use crate::wire::{
    ConfigurationInfo, DriftInfo, PlanInfo, Program, StatusInfo, TransactionId, TransactionInfo,
};

/// What `Show` may leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShowOptions {
    /// Only the kernel's view, without the backend's configuration.
    pub kernel_only: bool,
    /// Only what is configured, not what is leased or learned (semantics S5).
    pub running_config_only: bool,
    /// Secrets in clear; the API checks the authorisation before it sets this.
    pub secrets: bool,
}

/// All that can be asked of the daemon. Authorised before it is made.
#[derive(Debug)]
pub enum Request {
    Show(ShowOptions),
    /// Dry run.
    Plan {
        document: Document,
        options: plan::Options,
    },
    /// Dry run of [`Request::Restore`].
    PlanRestore {
        options: plan::Options,
    },
    /// Checks a document against the present state; answers with warnings.
    Validate {
        document: Document,
    },
    /// Queues a document; answers at once with the transaction. The API follows its events when
    /// the client wants to wait for the end.
    Submit {
        document: Document,
        options: ApplyOptions,
    },
    /// Queues what is committed, to be applied once more; otherwise as [`Request::Submit`].
    Restore {
        options: ApplyOptions,
    },
    /// None: the only pending checkpoint. These three answer when the transaction has ended or,
    /// for Extend, at once.
    Commit {
        id: Option<TransactionId>,
    },
    Rollback {
        id: Option<TransactionId>,
    },
    Extend {
        id: Option<TransactionId>,
        seconds: u32,
    },
    Cancel {
        id: TransactionId,
    },
    /// The document that leads back from `document` to the present state.
    GenerateRevert {
        document: Document,
    },
    /// What of a document would change something where the network is as `old`, or as it is now.
    GenerateDifference {
        document: Document,
        old: Option<Document>,
    },
    /// What a document is to another program.
    GenerateConfiguration {
        document: Document,
        program: Program,
    },
    /// The state that a policy asks for on the present state; of any other document: what it says.
    Resolve {
        document: Document,
    },
    /// Live transactions.
    List,
    /// One transaction, live or from the history.
    Log {
        id: TransactionId,
    },
    /// The newest first.
    History {
        limit: u32,
    },
    GetStatus,
    /// How the network differs from what is committed, as it is now; while a transaction is under
    /// way: as it was before.
    Drift,
}

/// The answer to a [`Request`].
#[derive(Debug)]
pub enum Reply {
    State { state: Arc<State>, revision: u64 },
    Plan(PlanInfo),
    Configuration(ConfigurationInfo),
    Warnings(Vec<String>),
    Transaction(TransactionInfo),
    Transactions(Vec<TransactionInfo>),
    Status(StatusInfo),
    Drift(DriftInfo),
}

/// Why a request was refused: at least one problem, the first the most important.
pub type Refusal = Vec<Problem>;
