//! The machine. Each function that takes a [`Live`] by value takes it one step on; what it puts
//! back, or that it puts nothing back, is the whole result.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::event::{
    ApplyOptions, CommitFailure, Desired, Effect, Event, Now, Outcome, Planned, Ticket, Work,
};
use super::live::{Asked, Checkpoint, Join, Live, Request, Step};
use super::queue::{Waiting, admit};
use super::record::{Before, Phase};
use super::report::{error_info, refusal};
use crate::state::{ErrorKind, Path, Problem, State};
use crate::wire::{ErrorInfo, Owner, Stage, TransactionId, TransactionInfo};

/// Longest time that an uncommitted change may stay, in seconds.
const TIMEOUT_S_MAX: u32 = 24 * 3600;
/// Attempts to write a commit whose outcome is uncertain, and to remove a record.
const WRITES_MAX: u32 = 3;
/// Attempts to return to the state before, with a growing pause between them.
const RESTORES_MAX: u32 = 5;
/// The pause after the first attempt; it doubles.
const RESTORE_PAUSE: Duration = Duration::from_millis(500);
/// Ids reserved on disk at a time: so many are skipped after a crash.
const IDS_RESERVED: u64 = 128;
/// Reserve more when fewer are left.
const IDS_LOW: u64 = 64;
/// Ended transactions that wait to be stored in the history; beyond that the oldest are not.
const UNSAVED_MAX: usize = 256;

/// What the machine knows of its host.
#[derive(Clone, Debug)]
pub struct Config {
    pub boot_id: String,
    pub backend: String,
    /// Whether the backend keeps what is not committed in memory only.
    pub volatile_until_commit: bool,
}

/// The queue and the transaction under way.
#[derive(Debug)]
pub struct Machine {
    pub(super) config: Config,
    queue: VecDeque<Waiting>,
    pub(super) live: Option<Live>,
    committed: Arc<State>,
    next_id: TransactionId,
    /// Ids from here on are not reserved yet.
    ids_end: TransactionId,
    ids_failed: bool,
    /// Ended without a record, and not yet in the stored history.
    unsaved: Vec<TransactionInfo>,
    chore: Option<Chore>,
    is_stopping: bool,
    is_over: bool,
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
    pub(super) fn new(config: Config, committed: Arc<State>, next_id: TransactionId) -> Self {
        Self {
            config,
            queue: VecDeque::new(),
            live: None,
            committed,
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

    /// Whether nothing of an earlier daemon is left to undo.
    pub fn is_recovered(&self) -> bool {
        self.is_over
            || (self.chore.is_none() && self.live.as_ref().is_none_or(|live| live.step == Step::Awaiting))
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
        desired: Arc<Desired>,
        options: ApplyOptions,
        now: Now,
    ) {
        if let Err(problems) = self.admit(&owner, &options, now) {
            return self.answer(ticket, Err(problems));
        }
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
        check_seconds("timeout", options.timeout_s)?;
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

    fn join(&mut self, ticket: Ticket, desired: Arc<Desired>, options: ApplyOptions) {
        let Some(mut live) = self.live.take() else { return };
        let base = live.checkpoint.as_ref().map_or(&self.committed, |checkpoint| &checkpoint.then).clone();
        let work = Work::Plan { desired, options: options.plan.clone(), base };
        live.join = Some(Join { ticket, options });
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
            Event::Disconnected { .. } | Event::Done(_) | Event::ChoreDone(_) | Event::Tick | Event::Stop => {
            }
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

    // ---- outcomes

    fn done(&mut self, outcome: Outcome, now: Now) {
        let Some(live) = self.live.take() else {
            debug_assert!(false, "no work is under way that could end with {outcome:?}");
            return;
        };
        match (live.step, outcome) {
            (Step::Planning, Outcome::Planned(result)) => self.planned(live, result, now),
            (Step::Snapshot, Outcome::Snapshot(result)) => self.snapshot_taken(live, result, now),
            (Step::Recording, Outcome::Written(result)) => self.recorded(live, result, now),
            (Step::Executing, Outcome::Executed(Ok(()))) if live.verify => {
                let plan = live.planned.as_ref().expect("what was executed was planned").plan.clone();
                let live = self.enter(live, Stage::Verifying);
                self.start(live, Step::Verifying, Work::Verify(plan));
            }
            (Step::Executing, Outcome::Executed(Ok(()))) => self.verified(live, now),
            (Step::Verifying, Outcome::Verified(Ok(warnings))) => {
                let mut live = live;
                live.warnings.extend(warnings);
                self.verified(live, now);
            }
            (Step::Verifying, Outcome::Verified(Err(problems))) => {
                self.roll_back(live, error_info(&problems));
            }
            (Step::RecordingWait, Outcome::Written(Ok(()))) => self.await_commit(live, now),
            (Step::Extending { ticket, deadline }, Outcome::Written(result)) => {
                self.extended(live, ticket, deadline, result);
            }
            (Step::Persisting, Outcome::Persisted(Ok(()))) => self.write_commit(live, 1, false),
            (Step::Committing { attempt, is_unsure }, Outcome::Committed(result)) => {
                self.commit_written(live, attempt, is_unsure, result, now);
            }
            (Step::CommittingUnchanged, Outcome::Committed(result)) => {
                self.unchanged_written(live, result, now);
            }
            (Step::Executing, Outcome::Executed(Err(problem)))
            | (Step::RecordingWait, Outcome::Written(Err(problem)))
            | (Step::Persisting, Outcome::Persisted(Err(problem))) => {
                self.roll_back(live, error_info(&[problem]));
            }
            (Step::Marking, Outcome::Marked(result)) => {
                let mut live = live;
                live.warnings.extend(result.err().map(|problem| problem.message));
                self.restore(live, 1);
            }
            (Step::Restoring { attempt }, Outcome::Restored(result)) => {
                let items = match result {
                    Ok(restored) => restored.items,
                    Err(problem) => vec![problem.message],
                };
                self.restored(live, attempt, items, now);
            }
            (Step::PersistingBefore, Outcome::Persisted(result)) => {
                let mut live = live;
                live.unrestored.extend(result.err().map(|problem| problem.message));
                self.close(live, Stage::RolledBack, now);
            }
            (Step::SettingAside, Outcome::SetAside(result)) => {
                let mut live = live;
                live.warnings.extend(result.err().map(|problem| problem.message));
                self.close(live, Stage::RolledBack, now);
            }
            (Step::Remembering(end), Outcome::Remembered(result)) => {
                self.remembered(result);
                self.clear(live, end);
            }
            (Step::Clearing { end, attempt }, Outcome::Cleared(result)) => {
                self.cleared(live, end, attempt, result, now);
            }
            // Only one work is under way, and an aborted one has no outcome.
            (step, outcome) => {
                debug_assert!(false, "{step:?} cannot end with {outcome:?}");
                self.live = Some(live);
            }
        }
    }

    fn planned(&mut self, mut live: Live, result: Result<Planned, Vec<Problem>>, now: Now) {
        if live.join.is_some() {
            return self.join_planned(live, result, now);
        }
        match result {
            Err(problems) => self.fail(live, &problems, now),
            Ok(planned) => {
                live.take_plan(planned);
                let live = self.enter_again(live);
                if live.has_changes() {
                    let Request { desired, options } =
                        live.request.clone().expect("what was planned was asked for");
                    let base = self.committed.clone();
                    self.start(live, Step::Snapshot, Work::Snapshot { desired, options, base });
                } else {
                    self.unchanged(live, now);
                }
            }
        }
    }

    fn snapshot_taken(&mut self, mut live: Live, result: Result<(Before, Planned), Vec<Problem>>, now: Now) {
        match result {
            Err(problems) => self.fail(live, &problems, now),
            Ok((before, planned)) => {
                live.take_plan(planned);
                if !live.has_changes() {
                    return self.unchanged(live, now);
                }
                let then = live.planned.as_ref().and_then(|planned| planned.then.clone());
                live.checkpoint = Some(Checkpoint {
                    before: Arc::new(before),
                    then: then.unwrap_or_else(|| self.committed.clone()),
                    deadline: now.boot + live.timeout,
                    phase: Phase::Applying,
                    is_changed: false,
                    is_same_boot: true,
                });
                self.record(live, now);
            }
        }
    }

    /// The intent, before the effect.
    fn record(&mut self, live: Live, now: Now) {
        let live = self.enter(live, Stage::Applying);
        let deadline = live.checkpoint.as_ref().map_or(now.boot, |checkpoint| checkpoint.deadline);
        let record = live.record(Phase::Applying, deadline, now, &self.config);
        self.start(live, Step::Recording, Work::Write(record));
    }

    fn recorded(&mut self, mut live: Live, result: Result<(), Problem>, now: Now) {
        let asked = match (result, live.asked.take()) {
            (Err(problem), _) => Some((error_info(&[problem]), Stage::Failed)),
            (Ok(()), Some(Asked::GoBack(cause))) => Some((cause, Stage::Cancelled)),
            (Ok(()), Some(Asked::Commit) | None) => None,
        };
        let checkpoint = live.checkpoint.as_mut().expect("what is recorded is a checkpoint");
        checkpoint.phase = Phase::Applying;
        match asked {
            Some((cause, _)) if checkpoint.is_changed => self.roll_back(live, cause),
            Some((cause, end)) => {
                live.error = cause;
                self.close(live, end, now);
            }
            None => {
                checkpoint.is_changed = true;
                let plan = live.planned.as_ref().expect("what is recorded was planned").plan.clone();
                self.start(live, Step::Executing, Work::Execute(plan));
            }
        }
    }

    fn verified(&mut self, mut live: Live, now: Now) {
        if live.commit {
            return self.persist(live);
        }
        let checkpoint = live.checkpoint.as_mut().expect("what is verified has a checkpoint");
        checkpoint.deadline = checkpoint.deadline.max(now.boot + live.timeout);
        self.record_wait(live, now);
    }

    fn record_wait(&mut self, live: Live, now: Now) {
        let deadline = live.checkpoint.as_ref().map_or(now.boot, |checkpoint| checkpoint.deadline);
        let record = live.record(Phase::AwaitingCommit, deadline, now, &self.config);
        self.start(live, Step::RecordingWait, Work::Write(record));
    }

    fn await_commit(&mut self, mut live: Live, now: Now) {
        let checkpoint = live.checkpoint.as_mut().expect("what awaits commit has a checkpoint");
        checkpoint.phase = Phase::AwaitingCommit;
        live.step = Step::Awaiting;
        let asked = live.asked.take();
        let live = self.enter(live, Stage::AwaitingCommit);
        // Whoever does not want to wait for the decision of another is told now.
        let error = error_info(&[checkpoint_pending(&live, now)]);
        let (stay, go): (VecDeque<_>, VecDeque<_>) =
            mem::take(&mut self.queue).into_iter().partition(|waiting| waiting.options.wait);
        self.queue = stay;
        self.live = Some(live);
        for waiting in go {
            let info = TransactionInfo { error: error.clone(), ..waiting_info(&waiting, Stage::Failed) };
            self.end_unrecorded(info, now);
        }
        self.do_asked(asked);
    }

    fn extended(&mut self, mut live: Live, ticket: Ticket, deadline: Duration, result: Result<(), Problem>) {
        live.step = Step::Awaiting;
        let asked = live.asked.take();
        let answer = match result {
            Err(problem) => Err(vec![problem]),
            Ok(()) => {
                if let Some(checkpoint) = &mut live.checkpoint {
                    checkpoint.deadline = deadline;
                }
                live = self.enter_again(live);
                Ok(live.info())
            }
        };
        self.live = Some(live);
        self.answer(ticket, answer);
        self.do_asked(asked);
    }

    fn do_asked(&mut self, asked: Option<Asked>) {
        let Some(asked) = asked else { return };
        let Some(live) = self.live.take() else { return };
        match asked {
            Asked::Commit => self.persist(live),
            Asked::GoBack(cause) => self.roll_back(live, cause),
        }
    }

    // ---- joining

    fn join_planned(&mut self, mut live: Live, result: Result<Planned, Vec<Problem>>, now: Now) {
        let planned = match result {
            Ok(planned) => planned,
            Err(problems) => return self.refuse_join(live, problems),
        };
        let Some(Join { ticket, options }) = live.join.take() else { return };
        let checkpoint = live.checkpoint.as_mut().expect("what is joined has a checkpoint");
        if let Some(then) = &planned.then {
            checkpoint.then = then.clone();
        }
        Arc::make_mut(&mut checkpoint.before).touched.extend(&planned.plan);
        live.verify = options.verify;
        live.timeout = Duration::from_secs(options.timeout_s.into());
        live.cancel_on_disconnect |= options.cancel_on_disconnect;
        live.diff = format!("{}\n{}", live.diff, planned.diff).trim().into();
        live.warnings.extend(planned.plan.warnings.iter().cloned());
        live.planned = Some(planned);
        self.answer(ticket, Ok(live.info()));
        if live.has_changes() {
            self.record(live, now);
        } else {
            self.record_wait(live, now);
        }
    }

    /// The joined change is not taken up, the pending one stays as it is.
    fn refuse_join(&mut self, mut live: Live, problems: Vec<Problem>) {
        if let Some(join) = live.join.take() {
            self.answer(join.ticket, Err(problems));
        }
        live.step = Step::Awaiting;
        self.live = Some(live);
    }

    // ---- committing

    fn persist(&mut self, live: Live) {
        let live = self.enter(live, Stage::Committing);
        let then = live.checkpoint.as_ref().expect("what is committed has a checkpoint").then.clone();
        self.start(live, Step::Persisting, Work::Persist(then));
    }

    fn write_commit(&mut self, live: Live, attempt: u32, is_unsure: bool) {
        let committed = live.checkpoint.as_ref().expect("what is committed has a checkpoint").then.clone();
        let work = Work::Commit { id: live.id, committed };
        self.start(live, Step::Committing { attempt, is_unsure }, work);
    }

    fn commit_written(
        &mut self,
        mut live: Live,
        attempt: u32,
        was_unsure: bool,
        result: Result<(), CommitFailure>,
        now: Now,
    ) {
        match result {
            Ok(()) => {
                let checkpoint = live.checkpoint.as_ref().expect("what is committed has a checkpoint");
                self.committed = checkpoint.then.clone();
                self.close(live, Stage::Committed, now);
            }
            Err(CommitFailure { problem, is_certain: true }) if !was_unsure => {
                self.roll_back(live, error_info(&[problem]));
            }
            Err(_) if attempt < WRITES_MAX => self.write_commit(live, attempt + 1, true),
            Err(CommitFailure { mut problem, .. }) => {
                problem.message += "; whether this change is committed is decided when the state \
                                    directory can be read again";
                live.error = error_info(&[problem]);
                live.stage = Stage::Failed;
                self.end(live, now);
                self.halt(now);
            }
        }
    }

    fn unchanged(&mut self, mut live: Live, now: Now) {
        let then = live.planned.as_ref().and_then(|planned| planned.then.clone());
        match then.filter(|_| live.commit) {
            Some(committed) => {
                let work = Work::Commit { id: live.id, committed };
                self.start(live, Step::CommittingUnchanged, work);
            }
            None => {
                live.stage = Stage::Unchanged;
                self.end(live, now);
            }
        }
    }

    fn unchanged_written(&mut self, mut live: Live, result: Result<(), CommitFailure>, now: Now) {
        match result {
            Ok(()) => {
                if let Some(then) = live.planned.as_ref().and_then(|planned| planned.then.clone()) {
                    self.committed = then;
                }
                live.stage = Stage::Unchanged;
                self.end(live, now);
            }
            // Both what was and what may be committed now describe this network.
            Err(CommitFailure { problem, is_certain: _ }) => self.fail(live, &[problem], now),
        }
    }

    // ---- going back

    /// Returns to the state before, from wherever the transaction is. False: it is too late.
    fn go_back(&mut self, mut live: Live, cause: Option<ErrorInfo>, now: Now) -> bool {
        match live.step {
            Step::Planning | Step::Snapshot if live.checkpoint.is_none() => {
                self.out.push(Effect::Abort);
                live.error = cause;
                live.stage = Stage::Cancelled;
                self.end(live, now);
            }
            Step::Planning | Step::Snapshot => {
                self.out.push(Effect::Abort);
                if let Some(join) = live.join.take() {
                    let message = format!("transaction {} is rolled back", live.id);
                    self.answer(join.ticket, Err(refusal(ErrorKind::Cancelled, message)));
                }
                self.roll_back(live, cause);
            }
            Step::Recording | Step::RecordingWait | Step::Extending { .. } => {
                live.asked = Some(Asked::GoBack(cause));
                self.live = Some(live);
            }
            Step::Executing | Step::Verifying | Step::Persisting => {
                self.out.push(Effect::Abort);
                self.roll_back(live, cause);
            }
            Step::Awaiting => self.roll_back(live, cause),
            Step::Marking
            | Step::Restoring { .. }
            | Step::RestoringAgain { .. }
            | Step::PersistingBefore
            | Step::SettingAside => self.live = Some(live),
            Step::Committing { .. }
            | Step::CommittingUnchanged
            | Step::Remembering(_)
            | Step::Clearing { .. } => {
                self.live = Some(live);
                return false;
            }
        }
        true
    }

    pub(super) fn roll_back(&mut self, mut live: Live, cause: Option<ErrorInfo>) {
        live.error = cause;
        let live = self.enter(live, Stage::RollingBack);
        let checkpoint = live.checkpoint.as_ref().expect("what is rolled back has a checkpoint");
        match checkpoint.phase {
            // On disk it still looks as if all were well: say first that it is not.
            Phase::AwaitingCommit => self.start(live, Step::Marking, Work::MarkRollback),
            Phase::Applying => self.restore(live, 1),
        }
    }

    fn restore(&mut self, live: Live, attempt: u32) {
        let checkpoint = live.checkpoint.as_ref().expect("what is rolled back has a checkpoint");
        if !checkpoint.is_same_boot && self.config.volatile_until_commit {
            let committed = self.committed.clone();
            return self.start(live, Step::PersistingBefore, Work::Persist(committed));
        }
        let work = Work::Restore { before: checkpoint.before.clone(), verify: checkpoint.is_same_boot };
        self.start(live, Step::Restoring { attempt }, work);
    }

    fn restored(&mut self, mut live: Live, attempt: u32, items: Vec<String>, now: Now) {
        if items.is_empty() {
            self.close(live, Stage::RolledBack, now);
        } else if attempt < RESTORES_MAX {
            let at = now.boot + RESTORE_PAUSE * 2u32.pow(attempt - 1);
            live.step = Step::RestoringAgain { attempt: attempt + 1, at };
            self.live = Some(live);
        } else {
            self.give_up(live, items);
        }
    }

    /// What is left of a transaction that could not be undone is a matter for a person.
    pub(super) fn give_up(&mut self, mut live: Live, items: Vec<String>) {
        let list = items.join("; ");
        self.out
            .push(Effect::Alert(format!("the rollback of transaction {} is incomplete: {list}", live.id)));
        live.unrestored = items;
        self.start(live, Step::SettingAside, Work::SetAside);
    }

    // ---- ending

    /// Ends a transaction that has a record: history, record removed, everybody told.
    pub(super) fn close(&mut self, live: Live, end: Stage, now: Now) {
        let info = TransactionInfo { stage: end, ended: Some(now.wall), ..live.info() };
        let mut entries = mem::take(&mut self.unsaved);
        entries.push(info);
        self.start(live, Step::Remembering(end), Work::Remember(entries));
    }

    pub(super) fn clear(&mut self, live: Live, end: Stage) {
        self.start(live, Step::Clearing { end, attempt: 1 }, Work::Clear);
    }

    fn cleared(&mut self, mut live: Live, end: Stage, attempt: u32, result: Result<(), Problem>, now: Now) {
        if result.is_err() && attempt < WRITES_MAX {
            return self.start(live, Step::Clearing { end, attempt: attempt + 1 }, Work::Clear);
        }
        live.stage = end;
        let info = TransactionInfo { ended: Some(now.wall), ..live.info() };
        self.out.push(Effect::Publish(info, None));
        // The record of something committed is of no consequence (see `Committed`).
        if let (Err(problem), true) = (result, end != Stage::Committed) {
            self.out.push(Effect::Alert(problem.message));
            self.halt(now);
        }
    }

    fn fail(&mut self, mut live: Live, problems: &[Problem], now: Now) {
        live.error = error_info(problems);
        live.stage = Stage::Failed;
        self.end(live, now);
    }

    /// Ends a transaction whose end is not on disk yet.
    fn end(&mut self, live: Live, now: Now) {
        self.end_unrecorded(live.info(), now);
    }

    fn end_unrecorded(&mut self, info: TransactionInfo, now: Now) -> TransactionInfo {
        let info = TransactionInfo { ended: Some(now.wall), ..info };
        self.out.push(Effect::Publish(info.clone(), None));
        self.unsaved.push(info.clone());
        if self.unsaved.len() > UNSAVED_MAX {
            self.unsaved.remove(0);
        }
        info
    }

    /// Decides nothing more: the disk must be read first.
    fn halt(&mut self, now: Now) {
        let message = "the state directory cannot be written reliably; changes are refused until it can";
        self.out.push(Effect::Alert(message.into()));
        let error = error_info(&refusal(ErrorKind::StorageError, message));
        while let Some(waiting) = self.queue.pop_front() {
            let info = TransactionInfo { error: error.clone(), ..waiting_info(&waiting, Stage::Failed) };
            self.end_unrecorded(info, now);
        }
        self.is_over = true;
        self.out.push(Effect::Halt);
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
        let rests = self
            .live
            .as_ref()
            .is_none_or(|live| matches!(live.step, Step::Awaiting | Step::RestoringAgain { .. }));
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
            checkpoint: None,
            asked: None,
            join: None,
            error: None,
            unrestored: Vec::new(),
        };
        let live = self.enter(live, Stage::Planning);
        self.start(live, Step::Planning, work);
    }

    fn chore(&mut self, chore: Chore, work: Work) {
        self.chore = Some(chore);
        self.out.push(Effect::StartChore(work));
    }

    fn chore_done(&mut self, outcome: Outcome) {
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
    fn remembered(&mut self, result: Result<(), Problem>) {
        self.out.extend(result.err().map(|problem| Effect::Alert(problem.message)));
    }

    // ---- small things

    fn start(&mut self, mut live: Live, step: Step, work: Work) {
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
    fn enter_again(&mut self, live: Live) -> Live {
        self.out.push(Effect::Publish(live.info(), live.deadline()));
        live
    }

    fn answer(&mut self, ticket: Ticket, answer: Result<TransactionInfo, Vec<Problem>>) {
        self.out.push(Effect::Answer(ticket, answer));
    }
}

impl Live {
    fn take_plan(&mut self, planned: Planned) {
        self.diff.clone_from(&planned.diff);
        self.warnings.clone_from(&planned.plan.warnings);
        self.planned = Some(planned);
    }

    fn has_changes(&self) -> bool {
        self.planned.as_ref().is_some_and(|planned| !planned.plan.is_empty())
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
fn checkpoint_pending(live: &Live, now: Now) -> Problem {
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

fn waiting_info(waiting: &Waiting, stage: Stage) -> TransactionInfo {
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
    }
}
