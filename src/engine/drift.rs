//! Drift: watching whether the network still is as it was committed.
//!
//! Whenever the network has changed and no transaction is under way, what is committed is planned
//! against what is there (`plan::drift`), on a thread of its own and at a bounded rate. While
//! nothing changes, nothing happens.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, info, warn};

use super::Refusal;
use super::board::Board;
use super::possible::{Missing, Possible, possible};
use super::read::Reader;
use super::work::{SYNC_MAX, bounded, problem};
use crate::backend::Backend;
use crate::plan;
use crate::state::State;
use crate::system::{Clock, thread_cpu};
use crate::transaction::Committed;
use crate::wire::{DriftInfo, DriftItem};

/// A look comes when the network has been quiet for so long,
const QUIET: Duration = Duration::from_millis(200);
/// or at the latest so long after the first change.
const LATEST: Duration = Duration::from_secs(2);
/// Time between two looks, as a multiple of what the last one cost: never more than 5 % of a
/// processor, also where 100,000 routes come and go all the time.
const REST_FACTOR: u32 = 20;
/// Most items that are told; the others are counted.
const ITEMS_MAX: usize = 1000;

/// Ids of messages, as in systemd/nmstated.catalog.
const DRIFT_FOUND: &str = "59d4fb40d21249e9a979819a0c2ebe6e";
const DRIFT_GONE: &str = "b35e1b19fcbe4580a5990a56ff67fbf1";

/// What is committed; None while a transaction is under way, or nothing is certain.
pub(super) type Resting = watch::Receiver<Option<Arc<State>>>;

/// Looks for drift.
#[derive(Clone)]
pub(super) struct Drift {
    backend: Arc<dyn Backend>,
    reader: Reader,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
    resting: Resting,
    /// Held during a look: there is one at a time.
    last: Arc<Mutex<Option<Seen>>>,
}

/// What the last look was at.
struct Seen {
    committed: Arc<State>,
    revision: u64,
}

/// What a look found.
struct Found {
    items: Vec<plan::Drift>,
    missing: Vec<Missing>,
    diff: String,
    revision: u64,
    cpu: Duration,
}

impl Drift {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        reader: Reader,
        board: Arc<Board>,
        clock: Arc<dyn Clock>,
        resting: Resting,
    ) -> Self {
        Self { backend, reader, board, clock, resting, last: Arc::default() }
    }

    /// Looks whenever something may have drifted, until the engine ends.
    pub(super) async fn watch(self) {
        let mut revision = self.backend.revision();
        let mut resting = self.resting.clone();
        loop {
            revision.borrow_and_update();
            let rests = resting.borrow_and_update().is_some();
            if rests {
                match self.look().await {
                    Ok(cpu) => sleep_until(Instant::now() + cpu * REST_FACTOR).await,
                    // The next change is looked at again.
                    Err(problems) => warn!(?problems, "drift cannot be looked for"),
                }
            }
            let is_over = tokio::select! {
                // Of a transaction that has ended, the result is wanted at once.
                changed = resting.changed() => changed.is_err(),
                changed = revision.changed(), if rests => {
                    quiet(&mut revision).await;
                    changed.is_err()
                }
            };
            if is_over {
                return;
            }
        }
    }

    /// Looks at the network as it is at this moment, for somebody who asks.
    pub(super) async fn look_now(&self) -> Result<(), Refusal> {
        bounded("looking at the network", SYNC_MAX, self.backend.sync()).await.map_err(|p| vec![p])?;
        self.look().await.map(drop)
    }

    /// Compares, unless nothing has changed since the last time or a transaction is under way.
    /// Answers with what it cost.
    async fn look(&self) -> Result<Duration, Refusal> {
        let mut last = self.last.lock().await;
        let mut resting = self.resting.clone();
        let Some(committed) = resting.borrow_and_update().clone() else { return Ok(Duration::ZERO) };
        let revision = *self.backend.revision().borrow();
        let is_known = |seen: &Seen| Arc::ptr_eq(&seen.committed, &committed) && seen.revision == revision;
        if last.as_ref().is_some_and(is_known) {
            return Ok(Duration::ZERO);
        }
        let asked = committed.clone();
        let found = self.reader.planning(move |backend| compare(backend, &asked)).await?;
        debug!(revision = found.revision, cpu = ?found.cpu, "looked for drift");
        if resting.has_changed().unwrap_or(true) {
            // A transaction has begun meanwhile: what was seen may be its half-done work.
            return Ok(found.cpu);
        }
        let (revision, cpu) = (found.revision, found.cpu);
        self.show(found);
        *last = Some(Seen { committed, revision });
        Ok(cpu)
    }

    fn show(&self, found: Found) {
        let Found { items, missing, diff, .. } = found;
        let count = items.len() + missing.len();
        let before = self.board.drift();
        let since = (count > 0).then(|| before.since.unwrap_or_else(|| self.clock.wall()));
        match (before.since, since) {
            (None, Some(_)) => {
                let first = missing.first().map(Missing::warning);
                let first = first.or_else(|| items.first().map(|item| item.path.clone()));
                warn!(
                    message_id = DRIFT_FOUND,
                    drift = count,
                    first,
                    "the network is not as it was committed any more"
                );
            }
            (Some(_), None) => info!(message_id = DRIFT_GONE, "the network is as it was committed again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        let item = |drift| {
            let plan::Drift { subject, path, expected, found } = drift;
            DriftItem { subject, path, expected, found }
        };
        self.board.show_drift(DriftInfo {
            since,
            count: u64::try_from(count).unwrap_or(u64::MAX),
            items: items.into_iter().take(ITEMS_MAX).map(item).collect(),
            problems: missing.iter().take(ITEMS_MAX).map(Missing::info).collect(),
            diff,
        });
    }
}

/// Plans what is committed against what is there.
fn compare(backend: &dyn Backend, committed: &State) -> Result<Found, Refusal> {
    let start = thread_cpu();
    let observation = backend.observe().map_err(|failure| vec![problem(failure)])?;
    let (current, revision) = (observation.state, observation.revision);
    let mut found =
        Found { items: Vec::new(), missing: Vec::new(), diff: String::new(), revision, cpu: Duration::ZERO };
    if *committed != *Committed::nothing().state {
        match possible(backend, committed, &current, &plan::Options::default()) {
            Ok(Possible { plan, asked: _, missing }) => {
                found.items = plan::drift(&plan);
                found.missing = missing;
                if !plan.is_empty() {
                    found.diff = plan::text::diff(&plan, plan::text::Paint::Plain);
                }
            }
            Err(missing) => found.missing = missing,
        }
    }
    found.cpu = thread_cpu().saturating_sub(start);
    Ok(found)
}

/// Waits until the changes pause.
async fn quiet(revision: &mut watch::Receiver<u64>) {
    let latest = Instant::now() + LATEST;
    loop {
        let until = latest.min(Instant::now() + QUIET);
        // Quiet, or a backend that tells nothing any more.
        if !matches!(timeout_at(until, revision.changed()).await, Ok(Ok(()))) {
            return;
        }
    }
}
