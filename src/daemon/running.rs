//! Start order, life and end of the daemon.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UnixListener;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::chain;
use crate::api::{Service, dbus, varlink};
use crate::auth::Gate;
use crate::backend::Failure;
use crate::engine::{self, Handle, Setup, apply_documents};
use crate::kernel::mirror::MirrorError;
use crate::nm;

/// How long a stop waits until it is noted how the last boot document ended.
const NOTE_MAX: Duration = Duration::from_secs(5);

/// Id of a message, as in systemd/nmstated.catalog.
const READY: &str = "98bb52467e224a86aceab4e4bafa5666";

/// Why the daemon does not run.
#[derive(Debug, Error)]
pub enum DaemonError {
    #[error(transparent)]
    Engine(#[from] engine::StartError),
    #[error(transparent)]
    Bus(#[from] dbus::ServerError),
    #[error("cannot listen on {path}")]
    Listen { path: PathBuf, source: io::Error },
    #[error("the socket passed by systemd cannot be used")]
    Passed(#[source] io::Error),
    #[error("cannot make an event loop")]
    Runtime(#[source] io::Error),
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    #[error("the network of the kernel cannot be followed")]
    Mirror(#[source] MirrorError),
    #[error("the backend cannot be used")]
    Backend(#[source] Failure),
    #[error("the system bus, on which NetworkManager is, cannot be used")]
    NetworkManager(#[source] nm::Error),
    #[error("{0} ended, though nobody told it to")]
    Ended(&'static str),
}

/// Where varlink is served.
pub enum Socket {
    /// Made here.
    Path(PathBuf),
    /// Passed by the service manager.
    Listening(StdListener),
}

impl Socket {
    /// The socket that systemd passes (sd_listen_fds(3)), or else the path. Call it once, before
    /// anything else opens files.
    pub fn passed_or(path: &Path) -> Result<Self, DaemonError> {
        let mut passed = sd_notify::listen_fds().map_err(DaemonError::Passed)?;
        Ok(match passed.next() {
            // SAFETY: systemd opened this file for this process, and nobody else here knows of it.
            Some(fd) => Self::Listening(StdListener::from(unsafe { OwnedFd::from_raw_fd(fd) })),
            None => Self::Path(path.to_owned()),
        })
    }

    fn listen(self) -> Result<UnixListener, DaemonError> {
        match self {
            Self::Path(path) => varlink::bind(&path).map_err(|source| DaemonError::Listen { path, source }),
            Self::Listening(listener) => listener
                .set_nonblocking(true)
                .and_then(|()| UnixListener::from_std(listener))
                .map_err(DaemonError::Passed),
        }
    }
}

/// A daemon that serves.
pub struct Running {
    engine: Handle,
    engine_task: JoinHandle<()>,
    /// What it does by itself: bringing back what is committed, applying boot documents.
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    servers: JoinSet<Result<(), DaemonError>>,
}

impl Running {
    /// Recovers what an earlier daemon left, and only then serves. `bus`: see `--bus`.
    pub async fn start(setup: Setup, bus: Option<&str>, socket: Socket) -> Result<Self, DaemonError> {
        let backend = setup.backend.capabilities().backend;
        // Who is connected does not serve yet; and recovery waits for no bus.
        let (recovered, bus) = tokio::join!(recover(setup), connect(bus));
        let (engine, engine_task, tasks) = recovered;
        let bus = bus?;
        let gate = match &bus {
            Some(bus) => Gate::with_polkit(bus.clone()),
            None => Gate::without_polkit(),
        };
        let service = Service::new(engine.clone(), gate);
        let (stop, stopped) = watch::channel(false);
        let mut servers = JoinSet::new();
        if let Some(bus) = bus {
            let server = dbus::Server::start(bus, service.clone(), backend).await?;
            let stopped = stopped.clone();
            servers.spawn(async move { Ok(server.run(stopped).await?) });
        }
        let listener = socket.listen()?;
        let server = varlink::Server::new(service);
        servers.spawn(async move {
            server.run(listener, stopped).await;
            Ok(())
        });
        info!(message_id = READY, backend, "ready");
        Ok(Self { engine, engine_task, tasks, stop, servers })
    }

    /// Another door to the same engine, with its own gate.
    pub fn service(&self, gate: Gate) -> Service {
        Service::new(self.engine.clone(), gate)
    }

    /// The engine, to see whether it answers.
    pub fn engine(&self) -> Handle {
        self.engine.clone()
    }

    /// Applies the documents of a folder, and looks into it again when it is told to. The receiver
    /// hears when each was tried once.
    pub fn apply_documents(&mut self, folder: PathBuf) -> (Arc<Notify>, oneshot::Receiver<()>) {
        let look = Arc::new(Notify::new());
        let (settled, is_settled) = oneshot::channel();
        let stopped = self.stop.subscribe();
        self.tasks.spawn(apply_documents(self.engine(), folder, look.clone(), settled, stopped));
        (look, is_settled)
    }

    /// Completes when something has ended that must run.
    pub async fn failed(&mut self) -> DaemonError {
        tokio::select! {
            _ = &mut self.engine_task => DaemonError::Ended("the engine"),
            Some(ended) = self.servers.join_next() => match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) | Err(_) => DaemonError::Ended("a server"),
            },
        }
    }

    /// Brings the engine to a safe end, lets clients take their answers, and ends.
    pub async fn stop(mut self) {
        self.engine.stop().await;
        self.stop.send_replace(true);
        // They only have to note how the last transaction ended.
        let noted = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(NOTE_MAX, noted).await.is_err() {
            warn!("the last boot document is tried again at the next start");
        }
        while let Some(ended) = self.servers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(error = chain(&error), "a server ended badly"),
                Err(error) => error!(%error, "a server ended badly"),
            }
        }
        info!("stopped");
    }
}

/// Starts the engine, which recovers, and brings back what is committed: a task where that takes a commit.
async fn recover(setup: Setup) -> (Handle, JoinHandle<()>, JoinSet<()>) {
    let persists = setup.backend.capabilities().persists;
    let (engine, engine_task) = engine::start(setup).await;
    let mut tasks = JoinSet::new();
    if !persists {
        let brought_back = bring_back(engine.clone());
        if engine.awaits_commit() {
            // Whoever is to commit must be served first.
            tasks.spawn(brought_back);
        } else {
            brought_back.await;
        }
    }
    engine.watch_drift();
    (engine, engine_task, tasks)
}

/// Applies what is committed, once per boot, and says how it went.
async fn bring_back(engine: Handle) {
    match engine.reapply_at_boot().await {
        Ok(Some(ended)) => {
            info!(transaction = ended.id, stage = ended.stage.name(), "brought back what is committed");
        }
        Ok(None) => {}
        Err(problems) => warn!(?problems, "what is committed cannot be brought back"),
    }
}

/// Without a choice, the system bus is served where there is one.
async fn connect(bus: Option<&str>) -> Result<Option<zbus::Connection>, DaemonError> {
    match bus {
        Some("none") => Ok(None),
        Some(bus) => Ok(Some(dbus::connect(bus).await?)),
        None => Ok(dbus::connect("system")
            .await
            .inspect_err(|error| warn!(error = chain(error), "D-Bus is not served"))
            .ok()),
    }
}
