//! The objects of transactions and checkpoints, kept in step with the engine's events.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zbus::object_server::{Interface, SignalEmitter};
use zbus::{Connection, Variant, fdo};

use super::PATH;
use super::convert::{self, Dict};
use super::daemon::Daemon;
use crate::api::failure::stage_name;
use crate::wire::{Stage, TransactionId, TransactionInfo};

/// Least time between two signals about the progress of a transaction.
const PROGRESS_GAP: Duration = Duration::from_millis(200);

/// A transaction as it was at a moment.
struct Seen {
    info: TransactionInfo,
    at: Instant,
}

/// A transaction, as its objects show it.
type Shown = Arc<Mutex<Seen>>;

fn read(shown: &Shown) -> MutexGuard<'_, Seen> {
    // What was seen is plain data, replaced as a whole.
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A live transaction.
struct Transaction(Shown);

/// A live transaction.
#[zbus::interface(name = "io.nmstate.Daemon.Transaction")]
impl Transaction {
    /// Its number.
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> u64 {
        read(&self.0).info.id
    }

    /// Who asked: uid u, pid u, via s.
    #[zbus(property(emits_changed_signal = "const"))]
    fn owner(&self) -> Dict {
        convert::owner(read(&self.0).info.owner.clone())
    }

    /// Seconds since 1970.
    #[zbus(property(emits_changed_signal = "const"))]
    fn created(&self) -> u64 {
        read(&self.0).info.created
    }

    /// Where it is.
    #[zbus(property)]
    fn stage(&self) -> String {
        stage_name(read(&self.0).info.stage)
    }

    /// Step n u of u, interface s, text s. Empty when the stage has no steps.
    #[zbus(property)]
    fn progress(&self) -> Dict {
        progress(&read(&self.0).info)
    }

    /// Why it fails: the entries of the varlink type ErrorInfo. Empty when it does not.
    #[zbus(property)]
    fn error(&self) -> Dict {
        error(&read(&self.0).info)
    }
}

/// A transaction that awaits commit.
struct Checkpoint(Shown);

/// A transaction that awaits commit.
#[zbus::interface(name = "io.nmstate.Daemon.Checkpoint")]
impl Checkpoint {
    /// The number of the transaction.
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> u64 {
        read(&self.0).info.id
    }

    /// Who asked: uid u, pid u, via s.
    #[zbus(property(emits_changed_signal = "const"))]
    fn owner(&self) -> Dict {
        convert::owner(read(&self.0).info.owner.clone())
    }

    /// Seconds until the rollback.
    #[zbus(property(emits_changed_signal = "false"))]
    fn seconds_left(&self) -> u64 {
        let seen = read(&self.0);
        seen.info.seconds_left.unwrap_or(0).saturating_sub(seen.at.elapsed().as_secs())
    }
}

fn progress(info: &TransactionInfo) -> Dict {
    info.progress.clone().map(convert::progress).unwrap_or_default()
}

fn error(info: &TransactionInfo) -> Dict {
    info.error.clone().map(convert::error).unwrap_or_default()
}

/// All objects that are shown.
pub(super) struct Objects {
    bus: Connection,
    live: BTreeMap<TransactionId, Object>,
}

struct Object {
    shown: Shown,
    has_checkpoint: bool,
    told: Instant,
    /// Progress was made that has not been told yet.
    is_behind: bool,
}

impl Objects {
    pub(super) fn new(bus: Connection) -> Self {
        Self { bus, live: BTreeMap::new() }
    }

    /// Shows a transaction as it is now, and tells what changed.
    pub(super) async fn update(&mut self, info: TransactionInfo) -> zbus::Result<()> {
        let id = info.id;
        let seen = Seen { info, at: Instant::now() };
        let Some(object) = self.live.get_mut(&id) else {
            self.add(id, seen).await?;
            return self.tell(id).await;
        };
        let is_progress = {
            let mut shown = read(&object.shown);
            let is_progress = shown.info.stage == seen.info.stage
                && shown.info.error == seen.info.error
                && shown.info.progress != seen.info.progress;
            *shown = seen;
            is_progress
        };
        if is_progress && object.told.elapsed() < PROGRESS_GAP {
            object.is_behind = true;
            return Ok(());
        }
        self.tell(id).await
    }

    /// Completes when progress that was held back is due.
    pub(super) async fn due(&self) {
        let behind = self.live.values().filter(|object| object.is_behind);
        match behind.map(|object| object.told).min() {
            Some(told) => sleep_until(told + PROGRESS_GAP).await,
            None => std::future::pending().await,
        }
    }

    /// Tells what is due.
    pub(super) async fn catch_up(&mut self) -> zbus::Result<()> {
        let is_due = |object: &Object| object.is_behind && object.told.elapsed() >= PROGRESS_GAP;
        let due: Vec<_> = self.live.iter().filter(|(_, object)| is_due(object)).map(|(id, _)| *id).collect();
        for id in due {
            self.tell(id).await?;
        }
        Ok(())
    }

    /// Removes what is not live any more.
    pub(super) async fn retain(&mut self, live: &BTreeSet<TransactionId>) -> zbus::Result<()> {
        let gone: Vec<_> = self.live.keys().filter(|id| !live.contains(id)).copied().collect();
        for id in gone {
            self.remove(id).await?;
        }
        Ok(())
    }

    async fn add(&mut self, id: TransactionId, seen: Seen) -> zbus::Result<()> {
        let shown = Arc::new(Mutex::new(seen));
        self.bus.object_server().at(transaction_path(id), Transaction(shown.clone())).await?;
        let told = Instant::now();
        self.live.insert(id, Object { shown, has_checkpoint: false, told, is_behind: false });
        Ok(())
    }

    /// Tells how a transaction is now.
    async fn tell(&mut self, id: TransactionId) -> zbus::Result<()> {
        let Some(object) = self.live.get_mut(&id) else {
            return Ok(());
        };
        object.told = Instant::now();
        object.is_behind = false;
        let shown = object.shown.clone();
        let info = TransactionInfo { diff: String::new(), ..read(&shown).info.clone() };
        let awaits_commit = info.stage == Stage::AwaitingCommit;
        let had_checkpoint = std::mem::replace(&mut object.has_checkpoint, awaits_commit);

        let (stage, is_end) = (stage_name(info.stage), info.stage.is_end());
        let changed = HashMap::from([
            ("Stage", stage.as_str().into()),
            ("Progress", progress(&info).into()),
            ("Error", error(&info).into()),
        ]);
        self.changed::<Transaction>(&transaction_path(id), changed).await?;
        let server = self.bus.object_server();
        if awaits_commit && !had_checkpoint {
            server.at(checkpoint_path(id), Checkpoint(shown)).await?;
        }
        if had_checkpoint && !awaits_commit {
            server.remove::<Checkpoint, _>(checkpoint_path(id)).await?;
        }
        let mut entries = convert::transaction(info);
        entries.remove("diff");
        let emitter = SignalEmitter::new(&self.bus, PATH)?;
        Daemon::transaction_changed(&emitter, id, &stage, entries).await?;
        if is_end { self.remove(id).await } else { Ok(()) }
    }

    async fn changed<I: Interface>(
        &self,
        path: &str,
        changed: HashMap<&str, Variant<'_>>,
    ) -> zbus::Result<()> {
        let emitter = SignalEmitter::new(&self.bus, path)?;
        fdo::Properties::properties_changed(&emitter, I::name(), changed, Cow::Borrowed(&[])).await
    }

    async fn remove(&mut self, id: TransactionId) -> zbus::Result<()> {
        let Some(object) = self.live.remove(&id) else {
            return Ok(());
        };
        let server = self.bus.object_server();
        if object.has_checkpoint {
            server.remove::<Checkpoint, _>(checkpoint_path(id)).await?;
        }
        server.remove::<Transaction, _>(transaction_path(id)).await?;
        Ok(())
    }
}

fn transaction_path(id: TransactionId) -> String {
    format!("{PATH}/transaction/{id}")
}

fn checkpoint_path(id: TransactionId) -> String {
    format!("{PATH}/checkpoint/{id}")
}
