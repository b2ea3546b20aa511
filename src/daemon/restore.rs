//! `nmstated --restore`: what a start does about what an earlier daemon left, and nothing else. The
//! second safety net runs it when the daemon does not come back.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;
use tracing::{info, warn};

use super::backends::{Driver, Opened, choose, open};
use super::run::safety_net;
use super::{BackendName, DaemonError};
use crate::engine::{self, Handle, OpenRecord, Reply, Request, Setup, StartError};
use crate::system::{BootClock, Clock};
use crate::transaction::Unreadable;
use crate::wire::{Owner, Stage, TransactionId, TransactionInfo};

/// How long a rollback may wait for the service of the backend, and take then.
const SERVICE_MAX: Duration = Duration::from_secs(10 * 60);

/// Why something is left as it should not be.
#[derive(Debug, Error)]
pub enum RestoreError {
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error("the state directory cannot be read")]
    Read(#[source] io::Error),
    #[error("the record of what was under way was set aside, for a person: it cannot be understood")]
    Unreadable(#[source] Unreadable),
    #[error("transaction {id} was made by the backend {backend}, which this nmstated does not have")]
    Backend { id: TransactionId, backend: String },
    #[error("transaction {id} could not be taken back: {why}")]
    Failed { id: TransactionId, why: String },
    #[error("transaction {id} was taken back, but for: {}", items.join("; "))]
    Incomplete { id: TransactionId, items: Vec<String> },
}

impl From<StartError> for RestoreError {
    fn from(error: StartError) -> Self {
        Self::Daemon(error.into())
    }
}

/// Takes back what is left half done or past its deadline in that state directory, if no daemon
/// holds it. What awaits commit and is not due is left alone. `default`: for a record that does not
/// say its backend.
pub async fn restore(state_dir: &Path, default: BackendName) -> Result<(), RestoreError> {
    if !state_dir.is_dir() {
        info!("nothing to restore: there is no {}", state_dir.display());
        return Ok(());
    }
    let disk = match Setup::lock(state_dir) {
        Err(StartError::InUse { .. }) => {
            info!("nothing to restore: a running nmstated holds {}", state_dir.display());
            if !engine::OPEN_RECORDS.iter().any(|name| state_dir.join(name).exists()) {
                take_net_away(state_dir).await?;
            }
            return Ok(());
        }
        other => other?,
    };
    let Some(record) = engine::open_record(&disk).map_err(RestoreError::Read)? else {
        info!("nothing to restore: no transaction is open");
        return take_net_away(state_dir).await;
    };
    let driver = match &record {
        Ok(OpenRecord { id, backend }) => Driver::named(backend)
            .ok_or_else(|| RestoreError::Backend { id: *id, backend: backend.clone() })?,
        Err(_) => choose(default, None).await.0,
    };
    let Opened { backend, mut keepers } = open(driver).await?;
    let mut setup = Setup::on_disk(backend, "the transaction was made by it", disk)?;
    setup.safety_net = safety_net(state_dir, setup.clock.clone());
    let (engine, task) = engine::start(setup).await;
    let outcome = match record {
        Ok(OpenRecord { id, .. }) => judged(&engine, id).await,
        Err(why) => Err(RestoreError::Unreadable(why)),
    };
    // This also leaves the net as it should be.
    engine.stop().await;
    // What has stopped has nothing to tell any more.
    let _ = task.await;
    keepers.abort_all();
    outcome
}

/// How the transaction stands after the recovery.
async fn judged(engine: &Handle, id: TransactionId) -> Result<(), RestoreError> {
    let owner = Owner { uid: 0, pid: None, via: "nmstated".into() };
    let failed = |why: String| Err(RestoreError::Failed { id, why });
    let known = async || match engine.call(owner.clone(), Request::Log { id }).await {
        Ok(Reply::Transaction(info)) => Some(info),
        // It is not even known: the state directory could not be read.
        Ok(_) | Err(_) => None,
    };
    let Some(mut info) = known().await else { return failed(engine.alerts().join("; ")) };
    if info.stage == Stage::RollingBack {
        // The engine waits for the service of the backend. The timer starts this again.
        if let Ok(follow) = engine.follow(id) {
            let _ = timeout(SERVICE_MAX, follow.end()).await;
        }
        let Some(now) = known().await else { return failed(engine.alerts().join("; ")) };
        info = now;
    }
    let TransactionInfo { stage, seconds_left, unrestored, error, .. } = info;
    match stage {
        Stage::AwaitingCommit => {
            info!("transaction {id} awaits commit for another {} s: left alone", seconds_left.unwrap_or(0));
            Ok(())
        }
        _ if !unrestored.is_empty() => Err(RestoreError::Incomplete { id, items: unrestored }),
        Stage::Committed | Stage::RolledBack => {
            info!("transaction {id} is {}", stage.name());
            Ok(())
        }
        // What it waits for.
        Stage::RollingBack => failed(engine.alerts().join("; ")),
        _ => failed(error.map_or_else(|| stage.name().into(), |error| error.message)),
    }
}

/// The timer that started this, or one that nobody needs any more.
async fn take_net_away(state_dir: &Path) -> Result<(), RestoreError> {
    let clock = BootClock::new().map_err(|error| DaemonError::from(StartError::Clock(error)))?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    if let Some(net) = safety_net(state_dir, clock)
        && let Err(why) = net.set(None).await
    {
        warn!("the timer could not be taken away: {why}");
    }
    Ok(())
}
