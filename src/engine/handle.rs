//! The door to the engine, for every API.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::error;

use super::actor::ALERT;
use super::board::Board;
use super::drift::Drift;
use super::read::Reader;
use super::store::Store;
use super::{ApplyOptions, Events, Follow, Refusal, Reply, Request};
use crate::backend::Backend;
use crate::state::{ErrorKind, State};
use crate::system::{Clock, SafetyNet};
use crate::transaction::{Desired, refusal};
use crate::wire::{DriftStatus, Owner, Stage, StatusInfo, TransactionId, TransactionInfo};

/// What the actor is told.
pub(super) enum Command {
    /// A request that only the actor can answer.
    Ask { owner: Owner, request: Asked, answer: oneshot::Sender<Result<TransactionInfo, Refusal>> },
    /// The connection that submitted this transaction has ended.
    Disconnected { id: TransactionId },
    /// All that is committed.
    Committed { answer: oneshot::Sender<Arc<State>> },
    /// Come to a safe end; the sender is dropped when it is reached.
    Stop { stopped: oneshot::Sender<()> },
}

/// The requests that go to the actor.
pub(super) enum Asked {
    Submit { desired: Option<Arc<Desired>>, options: ApplyOptions },
    Commit { id: Option<TransactionId> },
    Rollback { id: Option<TransactionId> },
    Extend { id: Option<TransactionId>, seconds: u32 },
    Cancel { id: TransactionId },
}

/// What holds on this host, whatever a request says.
#[derive(Clone, Debug)]
pub struct Host {
    /// Seconds until the rollback of an uncommitted change whose client names none.
    pub timeout_s: u32,
    /// Who carries out changes, and why.
    pub backend: &'static str,
    pub backend_reason: Arc<str>,
}

/// A way to ask the engine. Cheap to clone; the engine stops when it is told to, not when the
/// last handle goes.
#[derive(Clone)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) board: Arc<Board>,
    pub(super) reader: Reader,
    pub(super) drift: Drift,
    pub(super) store: Store,
    pub(super) boot_id: Arc<str>,
    pub(super) host: Host,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) safety_net: Option<Arc<dyn SafetyNet>>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Handle {
    /// Asks, and waits for the answer. `Submit` answers at once with the queued transaction
    /// (follow it to see its end); one that joins another answers once it is planned, with the
    /// other. `Commit`, `Rollback` and `Cancel` answer with the ended transaction: its stage says
    /// how it ended. What only reads never waits behind a running transaction.
    pub async fn call(&self, owner: Owner, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::Show(options) => self.reader.show(options).await,
            Request::Plan { document, options } => self.reader.plan(document, options).await,
            Request::Validate { document } => self.reader.validate(document).await,
            Request::GenerateRevert { document } => self.reader.revert(document).await,
            Request::GenerateDifference { document, old } => self.reader.difference(document, old).await,
            Request::GenerateConfiguration { document, program } => {
                self.reader.configuration(document, program).await
            }
            Request::Resolve { document } => self.reader.resolve(document).await,
            Request::List => Ok(Reply::Transactions(self.board.seen().live(self.clock.now()))),
            Request::Log { id } => self.transaction(id).map(Reply::Transaction).ok_or_else(|| unknown(id)),
            Request::History { limit } => {
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                Ok(Reply::Transactions(self.board.seen().history.newest(limit)))
            }
            Request::GetStatus => Ok(Reply::Status(self.status())),
            Request::Submit { document, options } => {
                let desired = self.reader.read(document).await?;
                let desired = Some(desired);
                self.ask(owner, Asked::Submit { desired, options }).await.map(Reply::Transaction)
            }
            Request::Restore { options } => {
                self.ask(owner, Asked::Submit { desired: None, options }).await.map(Reply::Transaction)
            }
            Request::PlanRestore { options } => {
                self.reader.plan_committed(self.committed().await?, options).await
            }
            Request::Drift => {
                self.drift.look_now().await?;
                Ok(Reply::Drift(self.board.drift().as_ref().clone()))
            }
            Request::Commit { id } => match self.ask(owner, Asked::Commit { id }).await {
                Ok(accepted) => self.end(accepted.id).await,
                // Whoever has lost the answer may ask again.
                Err(refusal) => match id.and_then(|id| self.transaction(id)) {
                    Some(ended) if ended.stage == Stage::Committed => Ok(Reply::Transaction(ended)),
                    _ => Err(refusal),
                },
            },
            Request::Rollback { id } => {
                let accepted = self.ask(owner, Asked::Rollback { id }).await?;
                self.end(accepted.id).await
            }
            Request::Cancel { id } => {
                let accepted = self.ask(owner, Asked::Cancel { id }).await?;
                self.end(accepted.id).await
            }
            Request::Extend { id, seconds } => {
                let extended = self.ask(owner, Asked::Extend { id, seconds }).await?;
                self.transaction(extended.id).map(Reply::Transaction).ok_or_else(|| unknown(extended.id))
            }
        }
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Everything that happens from now on, after the present state.
    pub fn events(&self) -> Events {
        Events::new(&self.board, self.clock.now(), self.backend.revision())
    }

    /// One transaction until its end; refused with `NotFound` if it is neither live nor in the
    /// history.
    pub fn follow(&self, id: TransactionId) -> Result<Follow, Refusal> {
        Follow::new(self.board.clone(), self.clock.clone(), id).ok_or_else(|| unknown(id))
    }

    /// Tells that the connection which submitted this transaction has ended. It is cancelled if
    /// it was submitted with `cancel_on_disconnect` and is not committed yet.
    pub async fn disconnected(&self, id: TransactionId) {
        // An engine that has stopped has nothing left to cancel.
        let _ = self.commands.send(Command::Disconnected { id }).await;
    }

    /// Brings the engine to a safe end and waits for it: what is being applied is rolled back,
    /// what awaits commit stays on disk for the next start.
    pub async fn stop(&self) {
        let (stopped, end) = oneshot::channel();
        if self.commands.send(Command::Stop { stopped }).await.is_ok() {
            // An error means that the actor is gone: that is the end waited for.
            let _ = end.await;
        }
    }

    /// A person must know this.
    pub(super) fn alert(&self, alert: String) {
        error!(message_id = ALERT, "{alert}");
        self.board.alert(alert);
    }

    /// Whether a change awaits commit: what is submitted now may wait for that very long.
    pub fn awaits_commit(&self) -> bool {
        let live = self.board.seen().live(self.clock.now());
        live.iter().any(|info| info.stage == Stage::AwaitingCommit)
    }

    fn transaction(&self, id: TransactionId) -> Option<TransactionInfo> {
        self.board.seen().transaction(id, self.clock.now())
    }

    fn status(&self) -> StatusInfo {
        let capabilities = self.backend.capabilities();
        let host_net = self.safety_net.as_ref().map(|net| net.name());
        let nets = ["daemon"].into_iter().chain(host_net).chain(capabilities.own_net);
        let drift = self.board.drift();
        let drift = drift.since.map(|since| DriftStatus { count: drift.count, since });
        let seen = self.board.seen();
        let (queued, transactions): (Vec<_>, Vec<_>) =
            seen.live(self.clock.now()).into_iter().partition(|info| info.stage == Stage::Queued);
        StatusInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            backend: capabilities.backend.into(),
            backend_reason: self.host.backend_reason.to_string(),
            interface_types: capabilities.interface_types.iter().map(ToString::to_string).collect(),
            revision: *self.backend.revision().borrow(),
            queued: u32::try_from(queued.len()).unwrap_or(u32::MAX),
            transactions,
            safety_nets: nets.map(str::to_owned).collect(),
            alerts: seen.alerts.clone(),
            boot_documents: seen.documents.clone(),
            drift,
        }
    }

    /// What needs a person.
    pub fn alerts(&self) -> Vec<String> {
        self.board.seen().alerts.clone()
    }

    /// All that is committed, secrets included.
    pub async fn committed(&self) -> Result<Arc<State>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Committed { answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())
    }

    /// Watches from now on for drift. Not before what is committed was brought back after a boot:
    /// that it was not there yet would be all that is found.
    pub fn watch_drift(&self) -> JoinHandle<()> {
        tokio::spawn(self.drift.clone().watch())
    }

    /// Completes when the actor has taken a turn, or is gone.
    pub async fn ping(&self) {
        // Whatever it says, it has looked into its inbox.
        let _ = self.committed().await;
    }

    /// Waits for the end of a transaction.
    async fn end(&self, id: TransactionId) -> Result<Reply, Refusal> {
        self.ended(id).await.map(Reply::Transaction)
    }

    pub(super) async fn ended(&self, id: TransactionId) -> Result<TransactionInfo, Refusal> {
        self.follow(id)?.end().await.ok_or_else(stopped)
    }

    async fn ask(&self, owner: Owner, request: Asked) -> Result<TransactionInfo, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(Command::Ask { owner, request, answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

/// There is no such transaction.
fn unknown(id: TransactionId) -> Refusal {
    refusal(ErrorKind::NotFound, format!("there is no transaction {id}"))
}

/// The engine has ended.
fn stopped() -> Refusal {
    refusal(ErrorKind::Cancelled, "the daemon is stopping")
}
