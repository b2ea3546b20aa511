//! Streams: what happens, for those who listen. A slow reader costs bounded memory and learns
//! how much it lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::board::{Board, event};
use crate::system::Clock;
use crate::wire::{DriftInfo, Event, TransactionId, TransactionInfo};

/// Least time between two [`Event::Network`] of one stream.
const NETWORK_EVENT_GAP: Duration = Duration::from_millis(200);

/// Everything that happens: first the present transactions, revision and drift, then each change.
pub struct Events {
    first: VecDeque<Event>,
    transactions: broadcast::Receiver<TransactionInfo>,
    revision: watch::Receiver<u64>,
    drift: watch::Receiver<Arc<DriftInfo>>,
    network_not_before: Instant,
}

impl Events {
    pub(super) fn new(board: &Board, now: Duration, mut revision: watch::Receiver<u64>) -> Self {
        let (live, transactions) = board.subscribe(now);
        let mut first: VecDeque<Event> = live.into_iter().map(event).collect();
        first.push_back(Event::Network { revision: *revision.borrow_and_update() });
        let mut drift = board.drift_changes();
        let present = drift.borrow_and_update().clone();
        first.push_back(drifted(&present));
        Self { first, transactions, revision, drift, network_not_before: Instant::now() + NETWORK_EVENT_GAP }
    }

    /// The next event; None after the daemon has stopped. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.first.pop_front() {
            return Some(event);
        }
        let gap = self.network_not_before;
        tokio::select! {
            biased;
            received = self.transactions.recv() => match received {
                Ok(transaction) => Some(event(transaction)),
                Err(broadcast::error::RecvError::Lagged(count)) => Some(Event::Lost { count }),
                Err(broadcast::error::RecvError::Closed) => None,
            },
            Ok(()) = self.drift.changed() => Some(drifted(&self.drift.borrow_and_update())),
            // `changed` marks nothing as seen unless it completes, and then we return.
            Ok(()) = async { sleep_until(gap).await; self.revision.changed().await } => {
                self.network_not_before = Instant::now() + NETWORK_EVENT_GAP;
                Some(Event::Network { revision: *self.revision.borrow_and_update() })
            }
        }
    }
}

/// Drift as an event: what differs, without the whole way back.
fn drifted(info: &DriftInfo) -> Event {
    let DriftInfo { since, count, items, problems, diff: _ } = info.clone();
    Event::Drift { drift: DriftInfo { since, count, items, problems, diff: String::new() } }
}

/// The life of one transaction: first as it is now, then each change, to its end. What a slow
/// reader missed is replaced by the newest; the end is never missed.
pub struct Follow {
    id: TransactionId,
    first: Option<TransactionInfo>,
    ended: bool,
    transactions: broadcast::Receiver<TransactionInfo>,
    board: Arc<Board>,
    clock: Arc<dyn Clock>,
}

impl Follow {
    pub(super) fn new(board: Arc<Board>, clock: Arc<dyn Clock>, id: TransactionId) -> Option<Self> {
        let (first, transactions) = board.subscribe_to(id, clock.now())?;
        Some(Self { id, first: Some(first), ended: false, transactions, board, clock })
    }

    /// The next change; None after the end of the transaction or of the daemon. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<TransactionInfo> {
        if self.ended {
            return None;
        }
        let info = match self.first.take() {
            Some(first) => first,
            None => self.changed().await?,
        };
        self.ended = info.stage.is_end();
        Some(info)
    }

    async fn changed(&mut self) -> Option<TransactionInfo> {
        loop {
            match self.transactions.recv().await {
                Ok(info) if info.id == self.id => return Some(info),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let info = self.board.seen().transaction(self.id, self.clock.now());
                    if info.is_some() {
                        return info;
                    }
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The transaction as it ended; None if the daemon stopped before.
    pub async fn end(mut self) -> Option<TransactionInfo> {
        while let Some(info) = self.next().await {
            if info.stage.is_end() {
                return Some(info);
            }
        }
        None
    }
}
