//! The safety nets behind the daemon's own deadline, kept in step with the transaction.
//!
//! They are set and let go beside the work of transactions, one attempt at a time each, and never in its
//! way: without them the daemon still keeps the deadline. Of the two kinds, the host's is the same for
//! every transaction and leaves a running daemon alone when it comes; the backend's own is made with each
//! snapshot, and knows nothing of us: it must not come while we are at work, nor after we are done.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::warn;

use super::board::Board;
use crate::system::{Clock, SafetyNet};
use crate::wire::TransactionId;

/// How long after the daemon's own deadline the host's net comes: time for the daemon to do it itself.
const MARGIN: Duration = Duration::from_secs(30);
/// How long after that deadline, and after any sign of life of the daemon, the backend's own net comes. It is
/// the last: `nmstated --restore`, which the host's net starts, is exact where a backend's net need not be.
const OWN_MARGIN: Duration = Duration::from_secs(180);
/// How far the backend's own net may be from where it shall be.
const OWN_SLACK: Duration = Duration::from_secs(60);
/// Longest time that one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Pause after an attempt to set that failed, as long as there is something to guard.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// Pause after an attempt to let a net of the backend go that failed.
const LET_GO_PAUSE: Duration = Duration::from_secs(2);
/// So often, work waits for that; then it goes on, and so do the attempts.
const LET_GO_TRIES: u32 = 3;
/// The latest that a net of an earlier daemon may come: nothing awaits commit for longer.
const LATEST: Duration = Duration::from_secs(24 * 3600);
/// How long the end of the engine waits for what is under way.
const FINISH_MAX: Duration = Duration::from_secs(5);
/// Most nets of the backend that are still to be let go.
const OWN_MAX: usize = 8;

type Attempt = Pin<Box<dyn Future<Output = (Option<Duration>, Result<(), String>)> + Send>>;

/// Where the net that was made with a snapshot is left, by whoever asked for the snapshot: nothing is lost
/// when the work is dropped right after.
pub(super) type Made = Arc<Mutex<Option<Arc<dyn SafetyNet>>>>;

/// All nets, how they are and how they shall be.
pub(super) struct Nets {
    host: Option<Net>,
    /// That of the transaction under way is the last, those before it are being let go.
    own: Vec<Own>,
    made: Made,
    losses: u64,
    clock: Arc<dyn Clock>,
    board: Arc<Board>,
    /// What is guarded, and its deadline.
    guarded: Option<(TransactionId, Duration)>,
}

/// A net that the backend made with a snapshot.
struct Own {
    net: Net,
    /// Its transaction has begun to change something.
    is_wanted: bool,
    is_let_go: bool,
    /// The latest moment at which it may come: after that, it is gone.
    comes_by: Duration,
}

/// One net.
struct Net {
    net: Arc<dyn SafetyNet>,
    what: &'static str,
    /// Left as it is, it finds nothing to restore and goes by itself.
    is_harmless: bool,
    /// When it comes; None: an earlier daemon knew.
    set: Option<Option<Duration>>,
    attempt: Option<Attempt>,
    not_before: Instant,
    attempts_failed: u32,
    alert: Option<String>,
}

impl Net {
    fn new(net: Arc<dyn SafetyNet>, what: &'static str, is_harmless: bool) -> Self {
        Self {
            net,
            what,
            is_harmless,
            set: None,
            attempt: None,
            not_before: Instant::now(),
            attempts_failed: 0,
            alert: None,
        }
    }

    fn is_at(&self, wanted: Option<Duration>) -> bool {
        self.attempt.is_none() && self.set == Some(wanted)
    }

    /// Ends the attempt under way, or makes one. Dropping the future loses nothing.
    async fn bring(&mut self, wanted: Option<Duration>, board: &Board) {
        if self.attempt.is_none() {
            sleep_until(self.not_before).await;
            let net = self.net.clone();
            self.attempt = Some(Box::pin(async move {
                let result = timeout(ATTEMPT_MAX, net.set(wanted)).await;
                let late = |_| Err(format!("no answer within {} s", ATTEMPT_MAX.as_secs()));
                (wanted, result.unwrap_or_else(late))
            }));
        }
        let Some(attempt) = &mut self.attempt else { return };
        let (wanted, result) = attempt.await;
        self.attempt = None;
        self.ended(wanted, result, board);
    }

    fn ended(&mut self, wanted: Option<Duration>, result: Result<(), String>, board: &Board) {
        self.settle(board);
        let why = match (result, wanted) {
            (Ok(()), _) => {
                self.set = Some(wanted);
                self.attempts_failed = 0;
                return;
            }
            (Err(why), None) if self.is_harmless => {
                warn!("{} could not be taken away: {why}", self.what);
                self.set = Some(None);
                return;
            }
            (Err(why), _) => why,
        };
        self.attempts_failed += 1;
        let (doing, pause) = match wanted {
            Some(_) => ("set", RETRY_PAUSE),
            None => ("taken away", LET_GO_PAUSE),
        };
        let alert = format!("{} could not be {doing}: {why}", self.what);
        warn!("{alert}");
        board.alert(alert.clone());
        self.alert = Some(alert);
        self.set = None;
        self.not_before = Instant::now() + pause;
    }

    fn settle(&mut self, board: &Board) {
        if let Some(alert) = self.alert.take() {
            board.settled(&alert);
        }
    }
}

impl Own {
    fn new(net: Arc<dyn SafetyNet>, is_wanted: bool, now: Duration) -> Self {
        let net = Net::new(net, "the backend's own safety net", false);
        Self { net, is_wanted, is_let_go: false, comes_by: now + LATEST }
    }

    fn let_go(&mut self) {
        if !self.is_let_go {
            self.is_let_go = true;
            self.net.not_before = Instant::now();
            self.net.attempts_failed = 0;
        }
    }

    /// Whether it is to be let go, and that has not failed too often yet.
    fn holds_back(&self) -> bool {
        self.is_let_go && self.net.attempts_failed < LET_GO_TRIES
    }

    fn is_gone(&self, now: Duration) -> bool {
        self.is_let_go && (self.net.set == Some(None) || now >= self.comes_by)
    }

    /// Until when it is good as it is; None: it is not.
    fn good_until(&self, deadline: Option<Duration>, now: Duration) -> Option<Duration> {
        match self.net.set {
            _ if self.is_let_go || self.net.attempt.is_some() => None,
            _ if !self.is_wanted => Some(Duration::MAX),
            Some(Some(at)) if at.abs_diff(wanted(deadline, now)) < OWN_SLACK => {
                // Where it is wanted moves on with the time.
                Some((at + OWN_SLACK).saturating_sub(OWN_MARGIN))
            }
            _ => None,
        }
    }

    /// Brings it to where it shall be, in time.
    async fn turn(&mut self, deadline: Option<Duration>, clock: &dyn Clock, board: &Board) {
        match self.good_until(deadline, clock.now()) {
            Some(Duration::MAX) => return pending().await,
            Some(until) => clock.sleep_until(until).await,
            None => {}
        }
        let wanted = (!self.is_let_go).then(|| wanted(deadline, clock.now()));
        self.comes_by = self.comes_by.max(wanted.unwrap_or_default());
        self.net.bring(wanted, board).await;
    }
}

/// When the backend's own net shall come.
fn wanted(deadline: Option<Duration>, now: Duration) -> Duration {
    deadline.unwrap_or(now).max(now) + OWN_MARGIN
}

impl Nets {
    pub(super) fn new(host: Option<Arc<dyn SafetyNet>>, clock: Arc<dyn Clock>, board: Arc<Board>) -> Self {
        let host = host.map(|net| Net::new(net, "the second safety net", true));
        Self { host, own: Vec::new(), made: Made::default(), losses: 0, clock, board, guarded: None }
    }

    /// Where the nets come from that are made with snapshots.
    pub(super) fn made(&self) -> Made {
        self.made.clone()
    }

    /// A transaction is shown as it is now. From the moment it awaits commit the host's net guards it until
    /// its end, also while it is being committed or rolled back.
    pub(super) fn shown(&mut self, id: TransactionId, deadline: Option<Duration>, is_end: bool) {
        match deadline {
            Some(deadline) => self.guarded = Some((id, deadline)),
            None if is_end => self.guarded = self.guarded.filter(|(guarded, _)| *guarded != id),
            None => {}
        }
    }

    /// Takes over the nets of earlier daemons; what was held before is of no consequence any more if there
    /// are any, and is let go if not.
    pub(super) fn adopt(&mut self, nets: Vec<Arc<dyn SafetyNet>>) {
        if nets.is_empty() {
            return self.let_go();
        }
        self.forget_own();
        let now = self.clock.now();
        self.own = nets.into_iter().map(|net| Own::new(net, true, now)).collect();
    }

    /// The backend's service was lost that often: the nets that it kept went with it.
    pub(super) fn lost(&mut self, losses: u64) {
        if std::mem::replace(&mut self.losses, losses) != losses {
            self.forget_own();
        }
    }

    fn forget_own(&mut self) {
        for mut own in self.own.drain(..) {
            own.net.settle(&self.board);
        }
    }

    /// The record is durable, and the change begins.
    pub(super) fn guard(&mut self) {
        self.take_made();
        if let Some(own) = self.own.last_mut().filter(|own| !own.is_let_go) {
            own.is_wanted = true;
        }
    }

    /// The transaction is complete.
    pub(super) fn let_go(&mut self) {
        self.take_made();
        self.own.iter_mut().for_each(Own::let_go);
    }

    /// Whether something must wait until the nets of the backend are let go, or that failed too often.
    pub(super) fn holds_back(&self) -> bool {
        self.own.iter().any(Own::holds_back)
    }

    fn take_made(&mut self) {
        // An option: nobody has left it half written.
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(net) = made {
            self.own.iter_mut().for_each(Own::let_go);
            self.own.push(Own::new(net, false, self.clock.now()));
        }
        if self.own.len() > OWN_MAX {
            self.own.remove(0).net.settle(&self.board);
        }
    }

    fn deadline(&self) -> Option<Duration> {
        self.guarded.map(|(_, deadline)| deadline)
    }

    fn host_wanted(&self) -> Option<Duration> {
        self.deadline().map(|deadline| deadline + MARGIN)
    }

    fn is_as_wanted(&self) -> bool {
        let (wanted, deadline, now) = (self.host_wanted(), self.deadline(), self.clock.now());
        self.host.as_ref().is_none_or(|net| net.is_at(wanted))
            && self.own.iter().all(|own| own.good_until(deadline, now).is_some())
    }

    /// Goes on with bringing the nets to where they are wanted; completes after an attempt, never while
    /// there is nothing to do. Dropping the future loses nothing. `with_host`: also the host's.
    pub(super) async fn turn(&mut self, with_host: bool) {
        let (wanted, deadline) = (self.host_wanted(), self.deadline());
        let (board, clock) = (&*self.board, &*self.clock);
        let host = async {
            match self.host.as_mut().filter(|net| with_host && !net.is_at(wanted)) {
                Some(net) => net.bring(wanted, board).await,
                None => pending().await,
            }
        };
        let own = async {
            if self.own.is_empty() {
                return pending().await;
            }
            let turns = self.own.iter_mut().map(|own| Box::pin(own.turn(deadline, clock, board)));
            select_all(turns).await;
        };
        tokio::select! {
            biased;
            () = own => {}
            () = host => {}
        }
        let now = self.clock.now();
        self.own.retain_mut(|own| {
            let is_gone = own.is_gone(now);
            if is_gone {
                own.net.settle(&self.board);
            }
            !is_gone
        });
    }

    /// Brings the nets to where they are wanted before the engine ends, within a limit.
    pub(super) async fn finish(&mut self) {
        let settle = async {
            while !self.is_as_wanted() {
                self.turn(true).await;
            }
        };
        if timeout(FINISH_MAX, settle).await.is_err() {
            warn!("the safety nets are not as they should be at the end of the daemon");
        }
    }
}
