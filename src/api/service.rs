//! A call from either transport, from permission to answer.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::{Failure, Method, decode};
use crate::auth::{Action, Asks, Caller, Gate, Permit};
use crate::engine::{Events, Follow, Handle, Reply, Request};
use crate::state::ErrorKind;
use crate::wire::{Stage, TransactionId, TransactionInfo};

/// A message longer than this is large.
pub(super) const SMALL_BYTES_MAX: usize = 64 << 10;

/// Large messages read at a time.
const READING_MAX: usize = 1;
/// States printed at a time.
const PRINTING_MAX: usize = 2;

/// What both transports serve.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Handle,
    gate: Gate,
    /// Large messages being read, each of which takes many times its length.
    reading: Semaphore,
    /// States being printed.
    printing: Semaphore,
}

/// An answer, and what it ties to the client's connection.
pub struct Asked {
    pub answer: Answer,
    /// A transaction to be cancelled when the connection ends: see [`Service::disconnected`].
    pub ends_with_client: Option<TransactionId>,
}

/// A call that its caller may make, with its parameters read.
pub struct Admitted {
    method: Method,
    permit: Permit,
    /// None: `Monitor`.
    request: Option<Request>,
}

/// The answer to a call.
pub enum Answer {
    Reply(Reply),
    /// To `Apply`: the way of a transaction.
    Steps(Steps),
    /// To `Monitor`.
    Events(Events),
}

impl Service {
    pub fn new(engine: Handle, gate: Gate) -> Self {
        let (reading, printing) = (Semaphore::new(READING_MAX), Semaphore::new(PRINTING_MAX));
        Self { inner: Arc::new(Inner { engine, gate, reading, printing }) }
    }

    /// Authorises first, then reads the parameters (a JSON object with the member `parameters`),
    /// then asks the engine.
    pub async fn ask(&self, caller: &Caller, method: Method, call: Vec<u8>) -> Result<Asked, Failure> {
        let admitted = self.admit(caller, method, call).await?;
        self.run(admitted).await
    }

    /// The first half of [`Service::ask`]: who may not make the call is refused here. It may wait
    /// for a person to give a password; dropping the future ends that, and nothing was done.
    pub async fn admit(&self, caller: &Caller, method: Method, call: Vec<u8>) -> Result<Admitted, Failure> {
        let Inner { engine, gate, .. } = &*self.inner;
        let asks = Asks { method: method.name(), transaction: decode::transaction_named(method, &call) };
        let mut permit = gate.permit(caller, method.action(), asks).await?;
        let host = engine.host().clone();
        let request = self.read(call.len(), move || decode::request(method, &call, &host)).await??;
        if matches!(&request, Some(Request::Show(options)) if options.secrets) {
            permit = gate.permit(caller, Action::ShowSecrets, asks).await?;
        }
        Ok(Admitted { method, permit, request })
    }

    /// The second half of [`Service::ask`]: asks the engine.
    pub async fn run(&self, admitted: Admitted) -> Result<Asked, Failure> {
        let Admitted { method, permit, request } = admitted;
        let engine = &self.inner.engine;
        let Some(request) = request else {
            return Ok(Asked { answer: Answer::Events(engine.events()), ends_with_client: None });
        };
        let is_tied = matches!(
            &request,
            Request::Submit { options, .. } | Request::Restore { options } if options.cancel_on_disconnect
        );
        let reply = engine.call(permit.into_owner(), request).await?;
        let submitted = match &reply {
            Reply::Transaction(info) => Some(info.id),
            _ => None,
        };
        let answer = match (method, submitted) {
            (Method::Apply, Some(id)) => Answer::Steps(Steps { follow: engine.follow(id)? }),
            (Method::Commit, _) => Answer::Reply(committed(reply)?),
            (Method::Rollback | Method::Cancel, _) => Answer::Reply(undone(reply)?),
            _ => Answer::Reply(reply),
        };
        Ok(Asked { answer, ends_with_client: submitted.filter(|_| is_tied) })
    }

    /// The engine's events, for a transport that tells everybody.
    pub(super) fn events(&self) -> Events {
        self.inner.engine.events()
    }

    /// The connection that submitted this transaction has ended.
    pub async fn disconnected(&self, id: TransactionId) {
        self.inner.engine.disconnected(id).await;
    }

    /// Reads a message of so many bytes; a large one aside, so that nobody else waits for it.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        match bytes {
            ..=SMALL_BYTES_MAX => Ok(work()),
            _ => aside(&self.inner.reading, work).await,
        }
    }

    /// Prints a state, which may be large, aside.
    pub(super) async fn print<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        aside(&self.inner.printing, work).await
    }
}

async fn aside<T: Send + 'static>(
    turns: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let _turn = turns.acquire().await.expect("this semaphore is never closed");
    spawn_blocking(work).await.map_err(|_| Failure::new(ErrorKind::Bug, "work on a message panicked"))
}

/// A transaction on its way to its end, or to where it awaits commit.
pub struct Steps {
    follow: Follow,
}

/// One step of that way.
pub enum Step {
    On(TransactionInfo),
    /// The last step, and what it comes to.
    Last(TransactionInfo, Result<(), Failure>),
}

impl Steps {
    /// The next step. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Step, Failure> {
        let Some(info) = self.follow.next().await else {
            return Err(Failure::new(ErrorKind::Cancelled, "the daemon is stopping"));
        };
        Ok(match info.stage {
            Stage::Committed | Stage::Unchanged | Stage::AwaitingCommit => Step::Last(info, Ok(())),
            stage if stage.is_end() => {
                let failure = Failure::of_transaction(info.clone());
                Step::Last(info, Err(failure))
            }
            _ => Step::On(info),
        })
    }

    /// What the last step comes to.
    pub async fn end(mut self) -> Result<TransactionInfo, Failure> {
        loop {
            if let Step::Last(info, outcome) = self.next().await? {
                return outcome.map(|()| info);
            }
        }
    }
}

/// Commit is answered by an error unless the transaction is committed.
fn committed(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Transaction(info) if !matches!(info.stage, Stage::Committed | Stage::Unchanged) => {
            Err(Failure::of_transaction(info))
        }
        reply => Ok(reply),
    }
}

/// Rollback and Cancel are answered by an error if the state before could not be restored.
fn undone(reply: Reply) -> Result<Reply, Failure> {
    match reply {
        Reply::Transaction(info) if info.stage == Stage::Failed => Err(Failure::of_transaction(info)),
        reply => Ok(reply),
    }
}
