//! The safety net behind the daemon's own deadline, kept in step with what awaits commit.
//!
//! It is set and taken away beside the work of transactions, one attempt at a time, and never in
//! their way: without it the daemon still keeps the deadline.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use super::board::Board;
use crate::system::SafetyNet;
use crate::wire::TransactionId;

/// Longest time that one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Pause after an attempt that failed, as long as there is something to guard.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// How long the end of the engine waits for what is under way.
const FINISH_MAX: Duration = Duration::from_secs(5);

type Attempt = Pin<Box<dyn Future<Output = (Option<Duration>, Result<(), String>)> + Send>>;

/// The net, how it is and how it shall be.
pub(super) struct Nets {
    net: Option<Arc<dyn SafetyNet>>,
    board: Arc<Board>,
    /// What is guarded, and its deadline.
    wanted: Option<(TransactionId, Duration)>,
    /// The deadline that the net is set to; None: an earlier daemon knew.
    set: Option<Option<Duration>>,
    attempt: Option<Attempt>,
    not_before: Instant,
    alert: Option<String>,
}

impl Nets {
    pub(super) fn new(net: Option<Arc<dyn SafetyNet>>, board: Arc<Board>) -> Self {
        Self { net, board, wanted: None, set: None, attempt: None, not_before: Instant::now(), alert: None }
    }

    /// A transaction is shown as it is now. From the moment it awaits commit it is guarded until
    /// its end, also while it is being committed or rolled back.
    pub(super) fn shown(&mut self, id: TransactionId, deadline: Option<Duration>, is_end: bool) {
        match deadline {
            Some(deadline) => self.wanted = Some((id, deadline)),
            None if is_end => self.wanted = self.wanted.filter(|(guarded, _)| *guarded != id),
            None => {}
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.wanted.map(|(_, deadline)| deadline)
    }

    fn is_as_wanted(&self) -> bool {
        self.net.is_none() || (self.attempt.is_none() && self.set == Some(self.deadline()))
    }

    /// Goes on with setting the net as it is wanted; completes after an attempt, never while
    /// there is nothing to do. Dropping the future loses nothing.
    pub(super) async fn turn(&mut self) {
        let Some(net) = self.net.as_ref().filter(|_| !self.is_as_wanted()) else {
            return pending().await;
        };
        if self.attempt.is_none() {
            sleep_until(self.not_before).await;
            let (net, deadline) = (net.clone(), self.deadline());
            self.attempt = Some(Box::pin(async move {
                let result = timeout(ATTEMPT_MAX, net.set(deadline)).await;
                let late = |_| Err(format!("no answer within {} s", ATTEMPT_MAX.as_secs()));
                (deadline, result.unwrap_or_else(late))
            }));
        }
        let Some(attempt) = &mut self.attempt else { return };
        let (deadline, result) = attempt.await;
        self.attempt = None;
        self.ended(deadline, result);
    }

    fn ended(&mut self, deadline: Option<Duration>, result: Result<(), String>) {
        if let Some(alert) = self.alert.take() {
            self.board.settled(&alert);
        }
        match (deadline, result) {
            (_, Ok(())) => self.set = Some(deadline),
            (Some(_), Err(why)) => {
                let alert = format!("the second safety net could not be set: {why}");
                warn!("{alert}");
                self.board.alert(alert.clone());
                self.alert = Some(alert);
                self.set = None;
                self.not_before = Instant::now() + RETRY_PAUSE;
            }
            (None, Err(why)) => {
                // Left as it is, it finds nothing to restore and goes by itself.
                warn!("the second safety net could not be taken away: {why}");
                self.set = Some(None);
            }
        }
    }

    /// Brings the net to where it is wanted before the engine ends, within a limit.
    pub(super) async fn finish(&mut self) {
        let settle = async {
            while !self.is_as_wanted() {
                self.turn().await;
            }
        };
        if timeout(FINISH_MAX, settle).await.is_err() {
            warn!("the second safety net is not as it should be at the end of the daemon");
        }
    }
}
