//! Starting the engine on a backend, a disk and a clock.

use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Handle;
use super::board::Board;
use super::handle::Command;
use crate::backend::Backend;
use crate::state::{ErrorKind, Path as DocumentPath, Problem};
use crate::system::{BootClock, Clock, Disk, StateDir, boot_id};

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
    /// Whether disk and heavy computing run on threads of their own. A simulation says no, and
    /// is deterministic.
    pub threads: bool,
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
    /// On the real clock and disk. Needs a running tokio runtime.
    pub fn on_host(
        backend: Arc<dyn Backend>,
        reason: impl Into<String>,
        state_dir: &Path,
    ) -> Result<Self, StartError> {
        let path = state_dir.display().to_string();
        let disk = StateDir::open(state_dir).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => StartError::InUse { path },
            _ => StartError::Open { path, source },
        })?;
        Ok(Self {
            backend,
            backend_reason: reason.into(),
            disk: Arc::new(disk),
            clock: Arc::new(BootClock::new().map_err(StartError::Clock)?),
            boot_id: boot_id().map_err(StartError::Clock)?,
            threads: true,
        })
    }
}

/// Recovers what an earlier daemon left, then serves. Returns when recovery is over: no request
/// is answered before. The task ends after [`Handle::stop`].
pub async fn start(setup: Setup) -> Result<(Handle, JoinHandle<()>), StartError> {
    let Setup { backend, backend_reason, disk: _, clock, boot_id: _, threads: _ } = setup;
    let (commands, mut inbox) = mpsc::channel(COMMANDS_MAX);
    let board = Arc::new(Board::new());
    let handle = Handle { commands, board, backend, backend_reason: backend_reason.into(), clock };
    let task = tokio::spawn(async move {
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Ask { answer, .. } => {
                    let message = "applying is not there yet";
                    let kind = ErrorKind::NotImplementedError;
                    let _ = answer.send(Err(vec![Problem::new(kind, DocumentPath::root(), message)]));
                }
                Command::Disconnected { .. } => {}
                Command::Stop { .. } => return,
            }
        }
    });
    Ok((handle, task))
}
