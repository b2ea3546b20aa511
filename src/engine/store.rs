//! The state directory as the engine uses it: which files there are, and the order of writes
//! that makes each of them durable.
//!
//! | file | what |
//! | --- | --- |
//! | `checkpoint` | the record of the transaction that is open |
//! | `rollback` | the same, once a rollback from awaiting commit has begun: renamed, which needs no space |
//! | `committed` | all that is committed, merged, and the last id in it; writing it is the commit |
//! | `ids` | the first id that is free |
//! | `history` | ended transactions, one JSON object per line |
//! | `incomplete` | the record of a rollback that could not be completed, for a person |
//! | `boot` | the boot in which the committed document was last brought back |
//! | `documents` | the boot documents that were applied, by the digests of their contents |
//! | `*.unreadable` | what could not be read, for a person |
//! | `*.new` | what was being written, beside the file that it would have replaced |

use std::io;
use std::sync::Arc;

use super::documents::Memory;
use super::history::{self, History};
use crate::state::{ErrorKind, Path, Problem};
use crate::system::Disk;
use crate::transaction::{
    CommitFailure, Committed, Found, Record, Stored, Unreadable, decode, encode, read_ids, write_ids,
};
use crate::wire::{TransactionId, TransactionInfo};

const CHECKPOINT: &str = "checkpoint";
const ROLLBACK: &str = "rollback";
const COMMITTED: &str = "committed";
const IDS: &str = "ids";
const HISTORY: &str = "history";
const INCOMPLETE: &str = "incomplete";
const BOOT: &str = "boot";
const DOCUMENTS: &str = "documents";
/// The files that are replaced as a whole.
const REPLACED: [&str; 7] = [CHECKPOINT, ROLLBACK, COMMITTED, IDS, HISTORY, BOOT, DOCUMENTS];
const BOOT_FORMAT: &str = "nmstated-boot";

/// Largest file that is written or read.
const FILE_MAX: usize = 256 << 20;
/// The history file is written anew when it is larger.
const HISTORY_FILE_MAX: u64 = 2 * history::BYTES_MAX as u64;

/// The files of a transaction that is open: while neither is there, nothing is left to undo.
pub const OPEN_RECORDS: [&str; 2] = [ROLLBACK, CHECKPOINT];

/// The transaction that is open, as far as it concerns who shall recover it.
#[derive(Debug)]
pub struct OpenRecord {
    pub id: TransactionId,
    pub backend: String,
}

/// The open transaction of a state directory, without changing anything there. `Err` inside: there
/// is a record, and it cannot be understood.
pub fn open_record(disk: &dyn Disk) -> io::Result<Option<Result<OpenRecord, Unreadable>>> {
    for name in OPEN_RECORDS {
        if let Some(bytes) = disk.read(name, FILE_MAX)? {
            let record = Record::from_bytes(&bytes);
            return Ok(Some(record.map(|Record { id, backend, .. }| OpenRecord { id, backend })));
        }
    }
    Ok(None)
}

/// The stored things.
#[derive(Clone)]
pub(super) struct Store {
    disk: Arc<dyn Disk>,
    threads: bool,
}

/// What the state directory held.
pub(super) struct Loaded {
    pub(super) found: Found,
    pub(super) history: History,
    /// The boot in which the committed document was last brought back.
    pub(super) boot: Option<String>,
    /// What a person must know of that.
    pub(super) alerts: Vec<String>,
}

/// A write that failed.
struct Failed {
    error: io::Error,
    /// Whether what was there before is certainly still there.
    is_certain: bool,
}

impl Store {
    pub(super) fn new(disk: Arc<dyn Disk>, threads: bool) -> Self {
        Self { disk, threads }
    }

    /// Disk work may take long: it does not happen on the thread of the engine.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&dyn Disk) -> T + Send + 'static) -> T {
        let disk = self.disk.clone();
        super::work::offload(self.threads, move || work(&*disk)).await
    }

    /// Reads everything. What cannot be understood is set aside. An error: the disk cannot be
    /// trusted now.
    pub(super) async fn load(&self, history_max: usize) -> io::Result<Loaded> {
        self.on_disk(move |disk| load(disk, history_max)).await
    }

    pub(super) async fn write_record(&self, record: Record) -> Result<(), Problem> {
        self.on_disk(move |disk| {
            replace(disk, CHECKPOINT, &record.to_bytes())
                .map_err(|failed| problem("write", CHECKPOINT, &failed.error))
        })
        .await
    }

    pub(super) async fn mark_rollback(&self) -> Result<(), Problem> {
        self.on_disk(|disk| {
            disk.rename(CHECKPOINT, ROLLBACK)
                .and_then(|()| disk.sync_dir())
                .map_err(|error| problem("rename", CHECKPOINT, &error))
        })
        .await
    }

    pub(super) async fn commit(&self, committed: Committed) -> Result<(), CommitFailure> {
        self.on_disk(move |disk| {
            replace(disk, COMMITTED, &committed.to_bytes()).map_err(|failed| CommitFailure {
                problem: problem("write", COMMITTED, &failed.error),
                is_certain: failed.is_certain,
            })
        })
        .await
    }

    pub(super) async fn clear(&self) -> Result<(), Problem> {
        self.on_disk(|disk| {
            disk.remove(CHECKPOINT)
                .and_then(|()| disk.remove(ROLLBACK))
                .and_then(|()| disk.sync_dir())
                .map_err(|error| problem("remove", CHECKPOINT, &error))
        })
        .await
    }

    pub(super) async fn set_aside(&self) -> Result<(), Problem> {
        self.on_disk(|disk| {
            let name = match disk.read(ROLLBACK, FILE_MAX) {
                Ok(Some(_)) => ROLLBACK,
                Ok(None) | Err(_) => CHECKPOINT,
            };
            disk.rename(name, INCOMPLETE)
                .and_then(|()| disk.sync_dir())
                .map_err(|error| problem("set aside", name, &error))
        })
        .await
    }

    pub(super) async fn reserve_ids(&self, next: TransactionId) -> Result<(), Problem> {
        self.on_disk(move |disk| {
            replace(disk, IDS, &write_ids(next)).map_err(|failed| problem("write", IDS, &failed.error))
        })
        .await
    }

    /// Adds entries to the history; `all` is the whole of it, for when the file has become long.
    pub(super) async fn remember(
        &self,
        entries: Vec<TransactionInfo>,
        all: impl FnOnce() -> String + Send + 'static,
    ) -> Result<(), Problem> {
        self.on_disk(move |disk| {
            let lines: String = entries.iter().map(history::line).collect();
            let written = match disk.append(HISTORY, lines.as_bytes()) {
                // Too long, or new and without a header.
                Ok(length) if length > HISTORY_FILE_MAX || usize::try_from(length) == Ok(lines.len()) => {
                    let whole = history::first_line() + &all() + &lines;
                    replace(disk, HISTORY, whole.as_bytes()).map_err(|failed| failed.error)
                }
                other => other.map(drop),
            };
            written.map_err(|error| problem("write", HISTORY, &error))
        })
        .await
    }

    /// What is known of the boot documents. What cannot be understood is set aside.
    pub(super) async fn read_documents(&self) -> Result<Stored<Memory>, Problem> {
        self.on_disk(|disk| {
            read(disk, DOCUMENTS, Memory::from_bytes).map_err(|error| problem("read", DOCUMENTS, &error))
        })
        .await
    }

    pub(super) async fn write_documents(&self, memory: &Memory) -> Result<(), Problem> {
        let bytes = memory.to_bytes();
        self.on_disk(move |disk| {
            replace(disk, DOCUMENTS, &bytes).map_err(|failed| problem("write", DOCUMENTS, &failed.error))
        })
        .await
    }

    /// Notes that the committed document was brought back in this boot.
    pub(super) async fn write_boot(&self, boot_id: String) -> Result<(), Problem> {
        self.on_disk(move |disk| {
            replace(disk, BOOT, &encode(BOOT_FORMAT, &boot_id.into()))
                .map_err(|failed| problem("write", BOOT, &failed.error))
        })
        .await
    }
}

/// Replaces a file so that at any moment, also after a loss of power, it is the old or the new
/// one: write beside it, sync, rename, sync the directory.
fn replace(disk: &dyn Disk, name: &str, bytes: &[u8]) -> Result<(), Failed> {
    let new = new_name(name);
    if bytes.len() > FILE_MAX {
        let error = io::Error::new(io::ErrorKind::FileTooLarge, "it would be too large");
        return Err(Failed { error, is_certain: true });
    }
    if let Err(error) = disk.write(&new, bytes).and_then(|()| disk.sync(&new)) {
        // Only to give the space back: the next write truncates it anyway.
        let _ = disk.remove(&new);
        return Err(Failed { error, is_certain: true });
    }
    disk.rename(&new, name)
        .and_then(|()| disk.sync_dir())
        .map_err(|error| Failed { error, is_certain: false })
}

fn new_name(name: &str) -> String {
    format!("{name}.new")
}

fn load(disk: &dyn Disk, history_max: usize) -> io::Result<Loaded> {
    let mut alerts = Vec::new();
    for name in REPLACED {
        // What an earlier daemon had not finished writing never counted. Only to give the space
        // back: the next write truncates it anyway.
        let _ = disk.remove(&new_name(name));
    }
    let checkpoint = read(disk, CHECKPOINT, Record::from_bytes)?;
    let rollback = read(disk, ROLLBACK, Record::from_bytes)?;
    let committed = read(disk, COMMITTED, Committed::from_bytes)?;
    let ids = read(disk, IDS, read_ids)?;
    let boot = read(disk, BOOT, |bytes| {
        let content = decode(BOOT_FORMAT, bytes)?;
        content.as_str().map(str::to_owned).ok_or_else(|| Unreadable::Content("it is no boot id".into()))
    })?;
    // A history that cannot be read costs no safety.
    let bytes = disk.read(HISTORY, FILE_MAX).ok().flatten().unwrap_or_default();
    let (history, why) = History::read(&String::from_utf8_lossy(&bytes), history_max);
    if let Some(why) = why {
        alerts.push(format!("the history was set aside, what can be read of it is kept: {why}"));
        // Nothing depends on it: if it cannot be put right now, the next start finds it as it is.
        let whole = history::first_line() + &history.lines();
        let _ = disk
            .write(&format!("{HISTORY}.unreadable"), &bytes)
            .and_then(|()| replace(disk, HISTORY, whole.as_bytes()).map_err(|failed| failed.error));
    }
    let has_incomplete = disk.read(INCOMPLETE, FILE_MAX)?.is_some();

    if !matches!((&checkpoint, &rollback), (Stored::Missing, Stored::Missing)) {
        // What was read may be in memory only, after a sync that failed: make it durable before
        // anything is decided by it. A full disk is no reason to leave the network half changed.
        for (name, bytes) in [
            (COMMITTED, bytes_of(&committed, Committed::to_bytes)),
            (CHECKPOINT, bytes_of(&checkpoint, Record::to_bytes)),
            (ROLLBACK, bytes_of(&rollback, Record::to_bytes)),
        ] {
            if let Some(Err(Failed { error, is_certain: false })) =
                bytes.map(|bytes| replace(disk, name, &bytes))
            {
                return Err(error);
            }
        }
    }
    let in_history = history.ids();
    let boot = match boot {
        Stored::Is(boot) => Some(boot),
        Stored::Missing => None,
        Stored::Unreadable(why) => {
            alerts.push(format!(
                "the note of the last boot was set aside, so what is committed is brought back: {why}"
            ));
            None
        }
    };
    let found = Found { checkpoint, rollback, committed, ids, in_history, has_incomplete };
    Ok(Loaded { found, history, boot, alerts })
}

fn read<T>(
    disk: &dyn Disk,
    name: &str,
    parse: impl FnOnce(&[u8]) -> Result<T, Unreadable>,
) -> io::Result<Stored<T>> {
    let why = match disk.read(name, FILE_MAX) {
        Ok(None) => return Ok(Stored::Missing),
        Ok(Some(bytes)) => match parse(&bytes) {
            Ok(content) => return Ok(Stored::Is(content)),
            Err(why) => why,
        },
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Unreadable::Io(error.to_string()),
        Err(error) => return Err(error),
    };
    disk.rename(name, &format!("{name}.unreadable"))?;
    disk.sync_dir()?;
    Ok(Stored::Unreadable(why))
}

fn bytes_of<T>(stored: &Stored<T>, to_bytes: impl FnOnce(&T) -> Vec<u8>) -> Option<Vec<u8>> {
    match stored {
        Stored::Is(content) => Some(to_bytes(content)),
        Stored::Missing | Stored::Unreadable(_) => None,
    }
}

fn problem(doing: &str, name: &str, error: &io::Error) -> Problem {
    let message = format!("cannot {doing} `{name}` in the state directory: {error}");
    Problem::new(ErrorKind::StorageError, Path::root(), message)
}
