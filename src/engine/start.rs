//! Starting the engine on a backend, a disk and a clock.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::actor::{Actor, Tickets};
use super::board::Board;
use super::drift::Drift;
use super::nets::Nets;
use super::read::Reader;
use super::store::Store;
use super::work::Worker;
use super::{ApplyOptions, Handle, Host, history};
use crate::backend::Backend;
use crate::probe::{HostProber, Prober};
use crate::system::{BootClock, Clock, Disk, SafetyNet, StateDir, boot_id};
use crate::transaction::Config;
use crate::wire::Probe;

/// Commands that may wait for the actor; a sender beyond that waits itself.
const COMMANDS_MAX: usize = 64;

/// What an engine runs on.
pub struct Setup {
    pub backend: Arc<dyn Backend>,
    /// Why this backend, for `status`.
    pub backend_reason: String,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub boot_id: String,
    /// What restores the network if this process never comes back, where there is such a thing.
    pub safety_net: Option<Arc<dyn SafetyNet>>,
    pub limits: Limits,
    pub prober: Arc<dyn Prober>,
    /// The probes of requests that say nothing about them.
    pub probes: Vec<Probe>,
    /// Whether disk and heavy computing run on threads of their own. A simulation says no, and
    /// is deterministic.
    pub threads: bool,
}

/// What may be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries of the history. More than may wait in the queue: whoever submits a change finds
    /// out how it ended there.
    pub history_max: usize,
    /// Seconds until the rollback of an uncommitted change that was submitted without a timeout.
    pub timeout_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { history_max: history::ENTRIES_MAX, timeout_s: ApplyOptions::default().timeout_s }
    }
}

/// Why the engine cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("the state directory {path} is in use by another nmstated")]
    InUse { path: String },
    #[error("cannot open the state directory {path}")]
    Open { path: String, source: io::Error },
    #[error("cannot read the clock or the boot id")]
    Clock(#[source] io::Error),
}

impl Setup {
    /// On the real clock and disk, without probes. Needs a running tokio runtime.
    pub fn on_host(
        backend: Arc<dyn Backend>,
        reason: impl Into<String>,
        state_dir: &Path,
    ) -> Result<Self, StartError> {
        Self::on_disk(backend, reason, Self::lock(state_dir)?)
    }

    /// Opens or creates the state directory, for this process alone.
    pub fn lock(state_dir: &Path) -> Result<StateDir, StartError> {
        let path = state_dir.display().to_string();
        StateDir::open(state_dir).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => StartError::InUse { path },
            _ => StartError::Open { path, source },
        })
    }

    /// On the real clock, and a state directory that is open already.
    pub fn on_disk(
        backend: Arc<dyn Backend>,
        reason: impl Into<String>,
        disk: StateDir,
    ) -> Result<Self, StartError> {
        Ok(Self {
            backend,
            backend_reason: reason.into(),
            disk: Arc::new(disk),
            clock: Arc::new(BootClock::new().map_err(StartError::Clock)?),
            boot_id: boot_id().map_err(StartError::Clock)?,
            safety_net: None,
            limits: Limits::default(),
            prober: Arc::new(HostProber::new()),
            probes: Vec::new(),
            threads: true,
        })
    }
}

/// Recovers what an earlier daemon left, then serves: no request is answered before. The task
/// ends after [`Handle::stop`]; dropping this future while it recovers is as killing the daemon.
pub async fn start(setup: Setup) -> (Handle, JoinHandle<()>) {
    let Setup { backend, backend_reason, disk, clock, boot_id, safety_net, limits, prober, probes, threads } =
        setup;
    let Limits { history_max, timeout_s } = limits;
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let (progress_sender, progress) = watch::channel(None);
    let (resting, is_resting) = watch::channel(None);
    let (recovered, is_recovered) = oneshot::channel();
    let board = Arc::new(Board::new());
    let store = Store::new(disk, threads);
    let capabilities = backend.capabilities();
    let nets = Nets::new(safety_net.clone(), clock.clone(), board.clone());
    let actor = Actor {
        worker: Arc::new(Worker {
            backend: backend.clone(),
            prober,
            store: store.clone(),
            board: board.clone(),
            made_net: nets.made(),
            progress: progress_sender,
            threads,
        }),
        store: store.clone(),
        board: board.clone(),
        clock: clock.clone(),
        config: Config {
            boot_id: boot_id.clone(),
            backend: capabilities.backend.into(),
            volatile_until_commit: capabilities.volatile_until_commit,
            probes,
        },
        inbox,
        progress,
        tickets: Tickets::default(),
        nets,
        availability: backend.availability(),
        lack: None,
        history_max,
        resting,
    };
    let task = tokio::spawn(actor.run(recovered));
    let abandoned = AbortOnDrop(Some(task));
    // The sender is dropped, never used.
    let _ = is_recovered.await;
    let task = abandoned.keep();
    let reader = Reader::new(backend.clone(), threads);
    let drift = Drift::new(backend.clone(), reader.clone(), board.clone(), clock.clone(), is_resting);
    let handle = Handle {
        commands,
        board,
        reader,
        drift,
        store,
        boot_id: boot_id.into(),
        host: Host { timeout_s, backend: capabilities.backend, backend_reason: backend_reason.into() },
        backend,
        safety_net,
        clock,
    };
    (handle, task)
}

/// Ends the task of a start that nobody waits for any more.
struct AbortOnDrop(Option<JoinHandle<()>>);

impl AbortOnDrop {
    fn keep(mut self) -> JoinHandle<()> {
        self.0.take().expect("it is taken once")
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}
