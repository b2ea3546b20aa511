//! What everybody may see: the live transactions, the newest history, the alerts. The actor
//! writes, everybody reads; a reader never waits for the actor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::history::History;
use crate::wire::{DocumentInfo, DriftInfo, Event, ProgressInfo, Stage, TransactionId, TransactionInfo};

/// Events kept for slow readers; one that is further behind gets [`Event::Lost`].
const EVENTS_MAX: usize = 256;

/// Most alerts shown; the oldest go.
const ALERTS_MAX: usize = 32;

/// The public face of the engine.
pub(super) struct Board {
    seen: Mutex<Seen>,
    events: broadcast::Sender<TransactionInfo>,
    drift: watch::Sender<Arc<DriftInfo>>,
}

/// What is on the board.
#[derive(Default)]
pub(super) struct Seen {
    live: BTreeMap<TransactionId, Live>,
    pub(super) history: History,
    pub(super) alerts: Vec<String>,
    /// The documents of the boot folder, in order.
    pub(super) documents: Vec<DocumentInfo>,
    /// The boot in which what is committed was last brought back.
    pub(super) boot: Option<String>,
}

struct Live {
    info: TransactionInfo,
    deadline: Option<Duration>,
}

impl Live {
    fn at(&self, now: Duration) -> TransactionInfo {
        let seconds_left = self.deadline.map(|deadline| deadline.saturating_sub(now).as_secs());
        TransactionInfo { seconds_left, ..self.info.clone() }
    }
}

impl Seen {
    /// The live transactions, oldest first.
    pub(super) fn live(&self, now: Duration) -> Vec<TransactionInfo> {
        self.live.values().map(|live| live.at(now)).collect()
    }

    /// A transaction, live or ended.
    pub(super) fn transaction(&self, id: TransactionId, now: Duration) -> Option<TransactionInfo> {
        self.live.get(&id).map(|live| live.at(now)).or_else(|| self.history.get(id).cloned())
    }
}

impl Board {
    pub(super) fn new() -> Self {
        let (events, drift) = (broadcast::channel(EVENTS_MAX).0, watch::Sender::default());
        Self { seen: Mutex::default(), events, drift }
    }

    /// Held for short reads and writes only, never over an await.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        // The board is plain data: a reader that panicked has not left it half written.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a transaction as it is now, and tells everybody who listens.
    pub(super) fn publish(&self, info: TransactionInfo, deadline: Option<Duration>, now: Duration) {
        let mut seen = self.seen();
        let live = Live { info, deadline };
        let shown = live.at(now);
        if shown.stage.is_end() {
            seen.live.remove(&shown.id);
            seen.history.add(shown.clone());
        } else {
            seen.live.insert(shown.id, live);
        }
        // Nobody listening is fine.
        let _ = self.events.send(shown);
    }

    /// Shows how far the work under way is.
    pub(super) fn progress(&self, id: TransactionId, progress: ProgressInfo, now: Duration) {
        let mut seen = self.seen();
        let has_steps = |live: &&mut Live| matches!(live.info.stage, Stage::Applying | Stage::RollingBack);
        // What was held back may come when the steps are done.
        if let Some(live) = seen.live.get_mut(&id).filter(has_steps) {
            live.info.progress = Some(progress);
            let _ = self.events.send(live.at(now));
        }
    }

    /// Shows what a person must know.
    pub(super) fn alert(&self, alert: String) {
        let alerts = &mut self.seen().alerts;
        if !alerts.contains(&alert) {
            alerts.push(alert);
        }
        if alerts.len() > ALERTS_MAX {
            alerts.remove(0);
        }
    }

    /// An alert that is of no concern any more.
    pub(super) fn settled(&self, alert: &str) {
        self.seen().alerts.retain(|shown| shown != alert);
    }

    /// Shows how the network differs from what is committed.
    pub(super) fn show_drift(&self, found: DriftInfo) {
        self.drift.send_if_modified(|known| {
            let is_new = **known != found;
            if is_new {
                *known = Arc::new(found);
            }
            is_new
        });
    }

    /// How the network differs from what is committed, as far as is known.
    pub(super) fn drift(&self) -> Arc<DriftInfo> {
        self.drift.borrow().clone()
    }

    /// The same, whenever it changes.
    pub(super) fn drift_changes(&self) -> watch::Receiver<Arc<DriftInfo>> {
        self.drift.subscribe()
    }

    /// The live transactions, and every event after that.
    pub(super) fn subscribe(
        &self,
        now: Duration,
    ) -> (Vec<TransactionInfo>, broadcast::Receiver<TransactionInfo>) {
        let seen = self.seen();
        (seen.live(now), self.events.subscribe())
    }

    /// One transaction as it is now, and the events of all after that.
    pub(super) fn subscribe_to(
        &self,
        id: TransactionId,
        now: Duration,
    ) -> Option<(TransactionInfo, broadcast::Receiver<TransactionInfo>)> {
        let seen = self.seen();
        Some((seen.transaction(id, now)?, self.events.subscribe()))
    }
}

/// The stream of a transaction as an event.
pub(super) fn event(transaction: TransactionInfo) -> Event {
    Event::Transaction { transaction }
}
