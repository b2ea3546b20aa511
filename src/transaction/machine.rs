//! The machine: requests, and what happens by itself. The steps of a transaction are in `steps`.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::event::{ApplyOptions, Desired, Effect, Event, Now, Outcome, Ticket, Work};
use super::live::{Asked, Join, Live, Request, Step};
use super::probing::may_probe;
use super::queue::{Waiting, admit};
use super::record::Phase;
use super::report::{error_info, refusal};
use super::service::Service;
use crate::state::{ErrorKind, Path, Problem, State};
use crate::wire::{ErrorInfo, Owner, Probe, Stage, TransactionId, TransactionInfo};

/// Longest time that an uncommitted change may stay, in seconds.
const TIMEOUT_S_MAX: u32 = 24 * 3600;
/// Ids reserved on disk at a time: so many are skipped after a crash.
const IDS_RESERVED: u64 = 128;
/// Reserve more when fewer are left.
const IDS_LOW: u64 = 64;

/// What the machine knows of its host.
#[derive(Clone, Debug)]
pub struct Config {
    pub boot_id: String,
    pub backend: String,
    /// Whether the backend keeps what is not committed in memory only.
    pub volatile_until_commit: bool,
    /// The probes of requests that say nothing about them.
    pub probes: Vec<Probe>,
}

/// The queue and the transaction under way.
#[derive(Debug)]
pub struct Machine {
    pub(super) config: Config,
    pub(super) queue: VecDeque<Waiting>,
    pub(super) live: Option<Live>,
    pub(super) committed: Arc<State>,
    pub(super) service: Service,
    pub(super) next_id: TransactionId,
    /// Ids from here on are not reserved yet.
    pub(super) ids_end: TransactionId,
    pub(super) ids_failed: bool,
    /// Ended without a record, and not yet in the stored history.
    pub(super) unsaved: Vec<TransactionInfo>,
    chore: Option<Chore>,
    pub(super) is_stopping: bool,
    pub(super) is_over: bool,
    pub(super) out: Vec<Effect>,
}

/// Work between transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Remember,
    ReserveIds(TransactionId),
}

/// What a request about a transaction found.
enum Found {
    Waiting(usize),
    Live,
}

impl Machine {
    pub(super) fn new(
        config: Config,
        committed: Arc<State>,
        service: Service,
        next_id: TransactionId,
    ) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            live: None,
            committed,
            service,
            next_id,
            ids_end: next_id,
            ids_failed: false,
            unsaved: Vec::new(),
            chore: None,
            is_stopping: false,
            is_over: false,
            out: Vec::new(),
        }
    }

    /// Handles one event. Never blocks, never reads a clock, never logs.
    pub fn handle(&mut self, event: Event, now: Now) -> Vec<Effect> {
        if self.is_over {
            self.refuse(event);
            return mem::take(&mut self.out);
        }
        self.expire(now);
        match event {
            Event::Submit { ticket, owner, desired, options } => {
                self.submit(ticket, owner, desired, options, now);
            }
            Event::Commit { ticket, owner, id } => self.commit(ticket, &owner, id),
            Event::Rollback { ticket, owner, id } => self.cancel(ticket, &owner, id, None, now),
            Event::Extend { ticket, owner, id, seconds } => self.extend(ticket, &owner, id, seconds, now),
            Event::Cancel { ticket, owner, id } => {
                let cause = cancelled("cancelled by its owner");
                self.cancel(ticket, &owner, Some(id), Some(cause), now);
            }
            Event::Disconnected { id } => self.disconnected(id, now),
            Event::Done(outcome) => self.done(outcome, now),
            Event::ChoreDone(outcome) => self.chore_done(outcome),
            Event::Tick => {}
            Event::Service(service) => self.service_is(service, now),
            Event::Stop => self.stop(now),
        }
        self.expire(now);
        self.advance();
        mem::take(&mut self.out)
    }

    /// When [`Event::Tick`] is due.
    pub fn wake_at(&self) -> Option<Duration> {
        let live = self.live.as_ref().filter(|_| !self.is_over)?;
        match live.step {
            Step::Awaiting => live.checkpoint.as_ref().map(|checkpoint| checkpoint.deadline),
            Step::RestoringAgain { at, .. } => Some(at),
            _ => None,
        }
    }

    /// Whether nothing of an earlier daemon is left to undo, or nothing can be undone now.
    pub fn is_recovered(&self) -> bool {
        let waits = |live: &Live| matches!(live.step, Step::Awaiting | Step::AwaitingService { .. });
        self.is_over || (self.chore.is_none() && self.live.as_ref().is_none_or(waits))
    }

    /// The transaction that is under way, or awaits commit.
    pub fn working_on(&self) -> Option<TransactionId> {
        self.live.as_ref().map(|live| live.id)
    }

    /// All that is committed.
    pub fn committed(&self) -> &Arc<State> {
        &self.committed
    }

    // ---- requests

    fn submit(
        &mut self,
        ticket: Ticket,
        owner: Owner,
        desired: Option<Arc<Desired>>,
        mut options: ApplyOptions,
        now: Now,
    ) {
        if let Err(problems) = self.admit(&owner, &options, now) {
            return self.answer(ticket, Err(problems));
        }
        options.probes.get_or_insert_with(|| self.config.probes.clone());
        options.plan.unverified = !options.verify;
        if options.join.is_some() {
            return self.join(ticket, desired, options);
        }
        let waiting = Waiting { id: self.next_id, owner, created: now.wall, desired, options };
        self.next_id += 1;
        let info = waiting_info(&waiting, Stage::Queued);
        self.queue.push_back(waiting);
        self.out.push(Effect::Publish(info.clone(), None));
        self.answer(ticket, Ok(info));
    }

    /// Whether a document may be queued, or joined.
    fn admit(&mut self, owner: &Owner, options: &ApplyOptions, now: Now) -> Result<(), Vec<Problem>> {
        if self.is_stopping {
            return Err(refusal(ErrorKind::Cancelled, "the daemon is stopping"));
        }
        self.check_service()?;
        check_seconds("timeout", options.timeout_s)?;
        may_probe(owner, options)?;
        if let Some(id) = options.join {
            let live = self.pending(Some(id), owner, "joined")?;
            return match live.step {
                Step::Awaiting => Ok(()),
                _ => Err(refusal(ErrorKind::Busy, format!("transaction {id} is being changed"))),
            };
        }
        if let Some(live) = &self.live
            && live.stage == Stage::AwaitingCommit
            && !options.wait
        {
            return Err(vec![checkpoint_pending(live, now)]);
        }
        admit(&self.queue, owner)?;
        if self.next_id >= self.ids_end {
            // Tried again with every request.
            self.ids_failed = false;
            let message = "the state directory cannot be written, so nothing is changed";
            return Err(refusal(ErrorKind::StorageError, message));
        }
        Ok(())
    }

    fn join(&mut self, ticket: Ticket, desired: Option<Arc<Desired>>, options: ApplyOptions) {
        let Some(mut live) = self.live.take() else { return };
        let desired = desired.unwrap_or_else(|| self.once_more());
        let base = live.checkpoint.as_ref().map_or(&self.committed, |checkpoint| &checkpoint.then).clone();
        let work = Work::Plan { desired, options: options.plan.clone(), base };
        live.join = Some(Join { ticket, options, planned: None });
        self.start(live, Step::Planning, work);
    }

    fn commit(&mut self, ticket: Ticket, owner: &Owner, id: Option<TransactionId>) {
        let (info, step) = match self.pending(id, owner, "committed") {
            Ok(live) => (live.info(), live.step),
            Err(problems) => return self.answer(ticket, Err(problems)),
        };
        let Some(mut live) = self.live.take() else { return };
        match step {
            Step::Awaiting => {
                self.answer(ticket, Ok(info));
                self.persist(live);
            }
            Step::Extending { .. } if live.asked.is_none() => {
                live.asked = Some(Asked::Commit);
                self.live = Some(live);
                self.answer(ticket, Ok(info));
            }
            _ => {
                let message = format!("transaction {} is being changed", live.id);
                self.live = Some(live);
                self.answer(ticket, Err(refusal(ErrorKind::Busy, message)));
            }
        }
    }

    fn extend(&mut self, ticket: Ticket, owner: &Owner, id: Option<TransactionId>, seconds: u32, now: Now) {
        let deadline = check_seconds("seconds", seconds)
            .and_then(|by| self.pending(id, owner, "extended").map(|live| (live, by)))
            .and_then(|(live, by)| {
                let deadline =
                    live.checkpoint.as_ref().map_or(now.boot, |checkpoint| checkpoint.deadline) + by;
                let latest = now.boot + Duration::from_secs(TIMEOUT_S_MAX.into());
                match live.step {
                    Step::Awaiting => Ok(deadline.min(latest)),
                    _ => Err(refusal(ErrorKind::Busy, format!("transaction {} is being changed", live.id))),
                }
            });
        match (deadline, self.live.take()) {
            (Ok(deadline), Some(live)) => {
                let record = live.record(Phase::AwaitingCommit, deadline, now, &self.config);
                self.start(live, Step::Extending { ticket, deadline }, Work::Write(record));
            }
            (Err(problems), live) => {
                self.live = live;
                self.answer(ticket, Err(problems));
            }
            (Ok(_), None) => {}
        }
    }

    /// Takes a transaction back, at whatever stage it is.
    fn cancel(
        &mut self,
        ticket: Ticket,
        owner: &Owner,
        id: Option<TransactionId>,
        cause: Option<ErrorInfo>,
        now: Now,
    ) {
        let found = match id {
            Some(id) => self.find(id, owner),
            None => self.pending(None, owner, "rolled back").map(|_| Found::Live),
        };
        match found {
            Err(problems) => self.answer(ticket, Err(problems)),
            Ok(Found::Waiting(index)) => {
                let Some(waiting) = self.queue.remove(index) else { return };
                let info = TransactionInfo { error: cause, ..waiting_info(&waiting, Stage::Cancelled) };
                let info = self.end_unrecorded(info, now);
                self.answer(ticket, Ok(info));
            }
            Ok(Found::Live) => {
                let Some(live) = self.live.take() else { return };
                let (id, info) = (live.id, live.info());
                let answer = if self.go_back(live, cause, now) {
                    Ok(info)
                } else {
                    let message = format!("transaction {id} is committed already, or nearly");
                    Err(refusal(ErrorKind::InvalidArgument, message))
                };
                self.answer(ticket, answer);
            }
        }
    }

    fn disconnected(&mut self, id: TransactionId, now: Now) {
        let cause = cancelled("its client went away");
        let waiting = self.queue.iter().position(|w| w.id == id && w.options.cancel_on_disconnect);
        if let Some(waiting) = waiting.and_then(|index| self.queue.remove(index)) {
            let info = TransactionInfo { error: Some(cause), ..waiting_info(&waiting, Stage::Cancelled) };
            self.end_unrecorded(info, now);
        } else if let Some(live) = self.live.take_if(|live| live.id == id && live.cancel_on_disconnect) {
            self.go_back(live, Some(cause), now);
        }
    }

    fn stop(&mut self, now: Now) {
        self.is_stopping = true;
        let cause = cancelled("the daemon is stopping");
        while let Some(waiting) = self.queue.pop_front() {
            let error = Some(cause.clone());
            let info = TransactionInfo { error, ..waiting_info(&waiting, Stage::Cancelled) };
            self.end_unrecorded(info, now);
        }
        // What awaits commit, or is about to, stays on disk for the next start.
        let stays = |step| matches!(step, Step::Awaiting | Step::RecordingWait | Step::Extending { .. });
        if let Some(live) = self.live.take_if(|live| !stays(live.step)) {
            if live.join.is_some() {
                self.out.push(Effect::Abort);
                self.refuse_join(live, refusal(ErrorKind::Cancelled, "the daemon is stopping"));
            } else {
                self.go_back(live, Some(cause), now);
            }
        }
    }

    /// Answers what still comes after the end.
    fn refuse(&mut self, event: Event) {
        match event {
            Event::Submit { ticket, .. }
            | Event::Commit { ticket, .. }
            | Event::Rollback { ticket, .. }
            | Event::Extend { ticket, .. }
            | Event::Cancel { ticket, .. } => {
                let (kind, message) = if self.is_stopping {
                    (ErrorKind::Cancelled, "the daemon is stopping")
                } else {
                    (ErrorKind::StorageError, "the state directory is being read again")
                };
                self.answer(ticket, Err(refusal(kind, message)));
            }
            Event::Disconnected { .. }
            | Event::Done(_)
            | Event::ChoreDone(_)
            | Event::Service(_)
            | Event::Tick
            | Event::Stop => {}
        }
    }

    // ---- finding

    /// The transaction of that id, for somebody who may decide about it.
    fn find(&self, id: TransactionId, owner: &Owner) -> Result<Found, Vec<Problem>> {
        if let Some(live) = self.live.as_ref().filter(|live| live.id == id) {
            return may_decide(owner, id, &live.owner).map(|()| Found::Live);
        }
        match self.queue.iter().position(|waiting| waiting.id == id) {
            Some(index) => may_decide(owner, id, &self.queue[index].owner).map(|()| Found::Waiting(index)),
            None => Err(refusal(ErrorKind::NotFound, format!("there is no live transaction {id}"))),
        }
    }

    /// The transaction that awaits commit, the only one or the one of that id.
    fn pending(&self, id: Option<TransactionId>, owner: &Owner, verb: &str) -> Result<&Live, Vec<Problem>> {
        let pending = self.live.as_ref().filter(|live| live.stage == Stage::AwaitingCommit);
        match (pending, id) {
            (Some(live), id) if id.is_none_or(|id| id == live.id) => {
                may_decide(owner, live.id, &live.owner).map(|()| live)
            }
            (_, None) => Err(refusal(ErrorKind::NotFound, "no checkpoint is pending")),
            (_, Some(id)) => {
                self.find(id, owner)?;
                let message = format!("transaction {id} does not await commit, so it cannot be {verb}");
                Err(refusal(ErrorKind::InvalidArgument, message))
            }
        }
    }

    // ---- what happens by itself

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Now) {
        if self.wake_at().is_none_or(|at| now.boot < at) {
            return;
        }
        let Some(live) = self.live.take() else { return };
        match live.step {
            Step::RestoringAgain { attempt, .. } => self.restore(live, attempt),
            _ => {
                let cause = cancelled("it was not committed in time");
                self.roll_back(live, Some(cause));
            }
        }
    }

    /// Starts what can be started.
    pub(super) fn advance(&mut self) {
        if self.is_over {
            return;
        }
        let rests = self.live.as_ref().is_none_or(|live| {
            matches!(live.step, Step::Awaiting | Step::RestoringAgain { .. } | Step::AwaitingService { .. })
        });
        let ids_wanted = match self.is_stopping {
            // Nothing is skipped after an orderly stop.
            true if rests => self.next_id,
            true => self.ids_end,
            false if self.ids_end - self.next_id < IDS_LOW => self.next_id + IDS_RESERVED,
            false => self.ids_end,
        };
        if self.chore.is_none() {
            if !self.unsaved.is_empty() {
                let entries = mem::take(&mut self.unsaved);
                self.chore(Chore::Remember, Work::Remember(entries));
            } else if ids_wanted != self.ids_end && !self.ids_failed {
                self.chore(Chore::ReserveIds(ids_wanted), Work::ReserveIds(ids_wanted));
            }
        }
        if self.is_stopping {
            if rests && self.chore.is_none() {
                self.is_over = true;
                self.out.push(Effect::Stopped);
            }
        } else if self.live.is_none()
            && let Some(waiting) = self.queue.pop_front()
        {
            self.begin(waiting);
        }
    }

    fn begin(&mut self, waiting: Waiting) {
        let Waiting { id, owner, created, desired, options } = waiting;
        let desired = desired.unwrap_or_else(|| self.once_more());
        let request = Request { desired, options: options.plan.clone() };
        let work = Work::Plan {
            desired: request.desired.clone(),
            options: options.plan,
            base: self.committed.clone(),
        };
        let live = Live {
            id,
            owner,
            created,
            stage: Stage::Queued,
            step: Step::Planning,
            request: Some(request),
            verify: options.verify,
            commit: options.commit,
            timeout: Duration::from_secs(options.timeout_s.into()),
            cancel_on_disconnect: options.cancel_on_disconnect,
            planned: None,
            diff: String::new(),
            warnings: Vec::new(),
            client_path: None,
            probes: options.probes.unwrap_or_default(),
            required: Vec::new(),
            not_required: Vec::new(),
            checkpoint: None,
            asked: None,
            join: None,
            error: None,
            unrestored: Vec::new(),
        };
        let live = self.enter(live, Stage::Planning);
        self.start(live, Step::Planning, work);
    }

    /// What is committed, to be applied once more.
    fn once_more(&self) -> Arc<Desired> {
        Arc::new(Desired::Committed(self.committed.clone()))
    }

    fn chore(&mut self, chore: Chore, work: Work) {
        self.chore = Some(chore);
        self.out.push(Effect::StartChore(work));
    }

    pub(super) fn chore_done(&mut self, outcome: Outcome) {
        match (self.chore.take(), outcome) {
            (Some(Chore::Remember), Outcome::Remembered(result)) => self.remembered(result),
            (Some(Chore::ReserveIds(end)), Outcome::Reserved(result)) => match result {
                Ok(()) => self.ids_end = end,
                Err(problem) => {
                    self.ids_failed = true;
                    self.out.push(Effect::Alert(problem.message));
                }
            },
            (chore, outcome) => debug_assert!(false, "{chore:?} cannot end with {outcome:?}"),
        }
    }

    /// A history that cannot be written costs no safety: it is told, and work goes on.
    pub(super) fn remembered(&mut self, result: Result<(), Problem>) {
        self.out.extend(result.err().map(|problem| Effect::Alert(problem.message)));
    }

    // ---- small things

    pub(super) fn start(&mut self, mut live: Live, step: Step, work: Work) {
        live.step = step;
        self.live = Some(live);
        self.out.push(Effect::Start(work));
    }

    pub(super) fn enter(&mut self, mut live: Live, stage: Stage) -> Live {
        if live.stage == stage {
            return live;
        }
        live.stage = stage;
        self.enter_again(live)
    }

    /// Tells everybody how it is now.
    pub(super) fn enter_again(&mut self, live: Live) -> Live {
        self.out.push(Effect::Publish(live.info(), live.deadline()));
        live
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: Result<TransactionInfo, Vec<Problem>>) {
        self.out.push(Effect::Answer(ticket, answer));
    }
}

/// Root decides about everything, everybody else about what is theirs.
fn may_decide(who: &Owner, id: TransactionId, owner: &Owner) -> Result<(), Vec<Problem>> {
    if who.uid == 0 || who.uid == owner.uid {
        return Ok(());
    }
    Err(refusal(ErrorKind::PermissionError, format!("transaction {id} belongs to uid {}", owner.uid)))
}

fn check_seconds(what: &str, seconds: u32) -> Result<Duration, Vec<Problem>> {
    if (1..=TIMEOUT_S_MAX).contains(&seconds) {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let message = format!("{what} must be between 1 and {TIMEOUT_S_MAX} seconds, not {seconds}");
    Err(refusal(ErrorKind::InvalidArgument, message))
}

/// The refusal of a change while another awaits commit.
pub(super) fn checkpoint_pending(live: &Live, now: Now) -> Problem {
    let left = live.deadline().unwrap_or(now.boot).saturating_sub(now.boot).as_secs();
    let Owner { uid, via, .. } = &live.owner;
    let message =
        format!("transaction {} of uid {uid} ({via}) awaits commit; it is rolled back in {left} s", live.id);
    Problem::new(ErrorKind::CheckpointPending, Path::root(), message)
        .with_hint("commit it, roll it back, wait for it or join it")
}

pub(super) fn cancelled(message: &str) -> ErrorInfo {
    let problems = refusal(ErrorKind::Cancelled, message);
    error_info(&problems).expect("a refusal has a problem")
}

pub(super) fn waiting_info(waiting: &Waiting, stage: Stage) -> TransactionInfo {
    TransactionInfo {
        id: waiting.id,
        owner: waiting.owner.clone(),
        stage,
        created: waiting.created,
        ended: None,
        progress: None,
        seconds_left: None,
        error: None,
        unrestored: Vec::new(),
        warnings: Vec::new(),
        diff: String::new(),
        client_path: None,
    }
}
