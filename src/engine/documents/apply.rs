//! Round after round: what the folder holds and is not applied yet becomes a transaction.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use super::super::store::Store;
use super::super::work::offload;
use super::super::{ApplyOptions, Handle, Refusal, Reply, Request};
use super::memory::{Memory, UNFINISHED_MAX};
use super::peer::{self, Conf};
use super::sha256::sha256;
use crate::plan;
use crate::state::{Document, ErrorKind, Path, Problem, TEXT_BYTES_MAX};
use crate::system::{Folder, FolderError};
use crate::transaction::{Committed, Stored, error_info, refusal};
use crate::wire::{DocumentInfo, DocumentOutcome, ErrorInfo, Owner, Stage, TransactionId};

/// The endings of documents.
const ENDINGS: [&str; 2] = [".yml", ".yaml"];
/// Most documents of a folder.
const FILES_MAX: usize = 256;
/// Most transactions for one content in one start, where each was undone again.
const TRIES_MAX: u32 = 3;
/// How long after a start a failed document is tried again when the network changes: cards come late.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Changes of the network that come closer together lead to one try.
const RETRY_GAP: Duration = Duration::from_secs(2);

/// Ids of messages, as in systemd/nmstated.catalog.
const APPLIED: &str = "f43858cff54f41e1b4859def9966bacb";
const FAILED: &str = "d51dc3c7db2b4221aaee616f5068b577";

/// Applies the documents of a folder, now and whenever `look` says so, until `stop`. `settled` hears
/// when each was tried once, or waits for somebody else's commit.
pub async fn run(
    engine: Handle,
    folder: PathBuf,
    look: Arc<Notify>,
    settled: oneshot::Sender<()>,
    mut stop: watch::Receiver<bool>,
) {
    let mut revision = engine.backend.revision();
    let mut rounds =
        Rounds { engine, folder, settled: Some(settled), tries: BTreeMap::new(), said: BTreeMap::new() };
    let mut until = Instant::now() + RETRY_MAX;
    loop {
        // What changes in the meantime, also by the round itself, is news to what failed before.
        revision.borrow_and_update();
        let is_done = rounds.round().await.is_none_or(|is_done| is_done);
        // The receiver may be gone: it waits for so long only.
        drop(rounds.settled.take());
        tokio::select! {
            biased;
            // An error says that nobody is left to tell.
            () = async { let _ = stop.wait_for(|stop| *stop).await; } => return,
            () = look.notified() => {
                rounds.tries.clear();
                until = Instant::now() + RETRY_MAX;
            }
            Ok(()) = changed(&mut revision), if !is_done && Instant::now() < until => {}
        }
    }
}

/// Waits for a change of the network, and for those that come with it.
async fn changed(revision: &mut watch::Receiver<u64>) -> Result<(), watch::error::RecvError> {
    revision.changed().await?;
    sleep(RETRY_GAP).await;
    Ok(())
}

struct Rounds {
    engine: Handle,
    folder: PathBuf,
    settled: Option<oneshot::Sender<()>>,
    /// Transactions that were undone again, by file.
    tries: BTreeMap<String, u32>,
    /// What was said last, by file.
    said: BTreeMap<String, DocumentInfo>,
}

/// Why a document is not applied.
struct Failure {
    error: ErrorInfo,
    transaction: Option<TransactionId>,
    /// Whether it may be applied once the network has changed.
    may_pass: bool,
}

/// One file with a readable content.
struct Found {
    file: String,
    sha256: String,
    document: Result<Document, Refusal>,
}

impl Rounds {
    /// Whether nothing is left that may be applied later. None: the engine is stopping.
    async fn round(&mut self) -> Option<bool> {
        let path = self.folder.clone();
        let listed = offload(true, move || {
            let Some(folder) = Folder::open(&path)? else { return Ok(None) };
            let names = folder.names(&ENDINGS)?;
            Ok(Some((folder, names)))
        });
        let (folder, mut files) = match listed.await {
            Ok(Some((folder, files))) => (Arc::new(folder), files),
            Ok(None) => {
                self.begin(Vec::new());
                return Some(true);
            }
            Err(error) => {
                self.fail_all(file_problem(&error));
                return Some(true);
            }
        };
        let left_out = files.split_off(files.len().min(FILES_MAX)).len();
        self.begin(files.clone());
        if left_out > 0 {
            let message = format!("there are {left_out} documents more than {FILES_MAX}: they are left out");
            self.end(&self.whole(), Err(Failure::of(&refusal(ErrorKind::InvalidArgument, message))));
        }
        let conf = self.conf(&folder).await;
        let mut memory = match self.memory(&folder, &files).await? {
            Ok(memory) => memory,
            Err(problem) => {
                self.fail_all(problem);
                return Some(false);
            }
        };
        let mut is_done = true;
        for file in files {
            let outcome = match find(&folder, &file).await {
                Ok(Some(found)) => self.one(found, conf, &mut memory).await?,
                // Removed in the meantime.
                Ok(None) => continue,
                Err(problem) => Err(Failure::of(&[problem])),
            };
            is_done &= !matches!(&outcome, Err(Failure { may_pass: true, .. }));
            self.end(&file, outcome);
        }
        Some(is_done)
    }

    /// What `nmstate.conf` says; the defaults if it cannot be read, which is shown.
    async fn conf(&mut self, folder: &Arc<Folder>) -> Conf {
        let folder = folder.clone();
        let text = offload(true, move || folder.read(peer::FILE, peer::BYTES_MAX)).await;
        let conf = match text {
            Ok(Some(text)) => peer::read(&text),
            Ok(None) => Ok(Conf::default()),
            Err(error) => Err(file_problem(&error)),
        };
        conf.unwrap_or_else(|problem| {
            self.end(peer::FILE, Err(Failure::of(&[problem])));
            Conf::default()
        })
    }

    /// What is known of the files. It is worth nothing without what is committed, which has what
    /// they led to.
    async fn memory(&self, folder: &Arc<Folder>, files: &[String]) -> Option<Result<Memory, Problem>> {
        let committed = self.engine.committed().await.ok()?;
        let stored = match self.store().read_documents().await {
            Ok(stored) => stored,
            Err(problem) => return Some(Err(problem)),
        };
        let is_lost = matches!(stored, Stored::Unreadable(_));
        let mut memory = match stored {
            Stored::Is(memory) => memory,
            Stored::Missing => Memory::default(),
            Stored::Unreadable(why) => {
                self.engine.alert(format!("what is known of the boot documents was set aside: {why}"));
                Memory::default()
            }
        };
        if *committed == *Committed::nothing().state {
            memory = Memory::default();
        } else if is_lost {
            // They may have been applied long ago, and much may have been committed since.
            for file in files {
                if let Ok(Some(found)) = find(folder, file).await {
                    memory.end(file, &found.sha256, true);
                }
            }
            self.engine.alert(
                "the boot documents that are there count as applied: apply what is new with nmctl".into(),
            );
            if let Err(problem) = self.store().write_documents(&memory).await {
                return Some(Err(problem));
            }
        }
        memory.keep(files);
        Some(Ok(memory))
    }

    /// Applies one document, if that is due. None: the engine is stopping.
    async fn one(
        &mut self,
        found: Found,
        conf: Conf,
        memory: &mut Memory,
    ) -> Option<Result<(DocumentOutcome, Option<TransactionId>), Failure>> {
        let Found { file, sha256, document } = found;
        if memory.is_applied(&file, &sha256) {
            return Some(Ok((DocumentOutcome::Unchanged, None)));
        }
        let unfinished = memory.unfinished(&file, &sha256);
        if unfinished >= UNFINISHED_MAX {
            let message =
                format!("the daemon has ended {unfinished} times while it applied this: not tried again");
            let problem = Problem::invalid(Path::root(), message).with_hint("change the document");
            return Some(Err(Failure::of(&[problem])));
        }
        let document = match document {
            Ok(document) => document,
            Err(problems) => return Some(Err(Failure::of(&problems))),
        };
        let plan =
            plan::Options { override_interfaces: conf.override_interfaces, ..plan::Options::default() };
        if self.engine.awaits_commit() {
            // Its turn comes when that has ended: nobody's start waits for it.
            drop(self.settled.take());
        } else if let Err(problems) = self.engine.reader.plan(document.clone(), plan.clone()).await {
            return Some(Err(Failure { may_pass: true, ..Failure::of(&problems) }));
        }
        let tries = *self.tries.get(&file).unwrap_or(&0);
        if tries >= TRIES_MAX {
            return Some(Err(self.last_failure(&file)));
        }
        // On disk before the first change: a document that ends the daemon must not do so for ever.
        memory.begin(&file, &sha256);
        if let Err(problem) = self.store().write_documents(memory).await {
            return Some(Err(Failure { may_pass: true, ..Failure::of(&[problem]) }));
        }
        let options = ApplyOptions { plan, wait: true, probes: Some(Vec::new()), ..ApplyOptions::default() };
        let owner = Owner { uid: 0, pid: None, via: format!("nmstated:{file}") };
        let ended = match self.engine.call(owner, Request::Submit { document, options }).await {
            Ok(Reply::Transaction(info)) => self.engine.ended(info.id).await.ok()?,
            Ok(other) => unreachable!("a submission is answered with a transaction, not {other:?}"),
            Err(problems) => return Some(Err(Failure { may_pass: true, ..Failure::of(&problems) })),
        };
        let is_applied = matches!(ended.stage, Stage::Committed | Stage::Unchanged);
        memory.end(&file, &sha256, is_applied);
        if let Err(problem) = self.store().write_documents(memory).await {
            // Then it is applied again at the next start, which changes nothing.
            warn!(document = file, "{}", problem.message);
        }
        if is_applied {
            return Some(Ok((DocumentOutcome::Applied, Some(ended.id))));
        }
        self.tries.insert(file, tries + 1);
        let error = ended.error.unwrap_or_else(|| {
            let message = format!("transaction {} ended as {}", ended.id, ended.stage.name());
            Failure::of(&refusal(ErrorKind::Cancelled, message)).error
        });
        Some(Err(Failure { error, transaction: Some(ended.id), may_pass: tries + 1 < TRIES_MAX }))
    }

    fn store(&self) -> &Store {
        &self.engine.store
    }

    /// The name under which the folder itself is shown.
    fn whole(&self) -> String {
        self.folder.display().to_string()
    }

    /// Why the file was not applied when it was tried last.
    fn last_failure(&self, file: &str) -> Failure {
        let seen = self.engine.board.seen();
        let last = seen.documents.iter().find(|info| info.file == file).cloned();
        let transaction = last.as_ref().and_then(|info| info.transaction);
        let error = last.and_then(|info| info.error);
        let error = error.unwrap_or_else(|| {
            Failure::of(&refusal(ErrorKind::Cancelled, "it was tried often enough")).error
        });
        Failure { error, transaction, may_pass: false }
    }

    /// Shows what there is; what is known of it stays until there is news.
    fn begin(&self, files: Vec<String>) {
        let mut seen = self.engine.board.seen();
        let known = std::mem::take(&mut seen.documents);
        let show = |file: String| match known.iter().find(|info| info.file == file) {
            Some(info) => info.clone(),
            None => DocumentInfo { file, outcome: DocumentOutcome::Waiting, error: None, transaction: None },
        };
        seen.documents = files.into_iter().map(show).collect();
    }

    /// The one thing that can be said about all of them.
    fn fail_all(&mut self, problem: Problem) {
        self.begin(vec![self.whole()]);
        self.end(&self.whole(), Err(Failure::of(&[problem])));
    }

    /// Shows how it ended, and says it, unless it is no news.
    fn end(&mut self, file: &str, outcome: Result<(DocumentOutcome, Option<TransactionId>), Failure>) {
        let info = match outcome {
            Ok((outcome, transaction)) => {
                DocumentInfo { file: file.into(), outcome, error: None, transaction }
            }
            Err(Failure { error, transaction, .. }) => DocumentInfo {
                file: file.into(),
                outcome: DocumentOutcome::Failed,
                error: Some(error),
                transaction,
            },
        };
        {
            let mut seen = self.engine.board.seen();
            match seen.documents.iter_mut().find(|known| known.file == file) {
                // What was applied stays so while it is not changed.
                Some(known)
                    if known.outcome == DocumentOutcome::Applied
                        && info.outcome == DocumentOutcome::Unchanged =>
                {
                    return;
                }
                Some(known) => *known = info.clone(),
                None => seen.documents.push(info.clone()),
            }
        }
        if self.said.get(file) != Some(&info) {
            log(&info);
            self.said.insert(file.to_owned(), info);
        }
    }
}

impl Failure {
    fn of(problems: &[Problem]) -> Self {
        let error = error_info(problems).expect("whoever refuses gives a problem");
        Self { error, transaction: None, may_pass: false }
    }
}

/// Reads one file. None: it has gone.
async fn find(folder: &Arc<Folder>, file: &str) -> Result<Option<Found>, Problem> {
    let (folder, file) = (folder.clone(), file.to_owned());
    offload(true, move || {
        let text = folder.read(&file, TEXT_BYTES_MAX).map_err(|error| file_problem(&error))?;
        Ok(text.map(|text| {
            let sha256 = sha256(text.as_bytes());
            let document = Document::from_text(&text).and_then(|document| {
                // Mistakes of the text itself, which no other network would mend.
                document.state()?;
                Ok(document)
            });
            Found { file, sha256, document }
        }))
    })
    .await
}

fn file_problem(error: &FolderError) -> Problem {
    let message = match error {
        FolderError::Read { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    };
    Problem::invalid(Path::root(), message)
}

fn log(info: &DocumentInfo) {
    let DocumentInfo { file, outcome, error, transaction } = info;
    match error {
        None if *outcome == DocumentOutcome::Applied => {
            info!(message_id = APPLIED, document = file, transaction, "boot document {file} is applied");
        }
        None => {}
        Some(failure) => {
            let place = match (failure.line, failure.column) {
                (Some(line), Some(column)) => format!(":{line}:{column}"),
                _ => String::new(),
            };
            error!(
                message_id = FAILED,
                document = file,
                transaction,
                interface = failure.interface,
                error_kind = failure.kind,
                error = failure.message,
                "boot document {file}{place} is not applied: {}",
                failure.message
            );
        }
    }
}
