//! The steps of a transaction: what follows when the work under way has ended, or somebody wants
//! the transaction back. Each function that takes a [`Live`] by value takes it one step on; what it
//! puts back, or that it puts nothing back, is the whole result.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::event::{CommitFailure, Effect, Now, Outcome, Planned, Ticket, Work};
use super::live::{Asked, Checkpoint, Join, Live, Request, Step};
use super::machine::{Machine, checkpoint_pending, waiting_info};
use super::record::{Before, Phase};
use super::report::{error_info, refusal};
use crate::state::{ErrorKind, Problem};
use crate::wire::{ErrorInfo, Stage, TransactionInfo};

/// Attempts to write a commit whose outcome is uncertain, and to remove a record.
const WRITES_MAX: u32 = 3;
/// Attempts to return to the state before, with a growing pause between them.
const RESTORES_MAX: u32 = 5;
/// The pause after the first attempt; it doubles.
const RESTORE_PAUSE: Duration = Duration::from_millis(500);
/// Ended transactions that wait to be stored in the history; beyond that the oldest are not.
const UNSAVED_MAX: usize = 256;

impl Machine {
    pub(super) fn done(&mut self, outcome: Outcome, now: Now) {
        let Some(live) = self.live.take() else {
            debug_assert!(false, "no work is under way that could end with {outcome:?}");
            return;
        };
        match (live.step, outcome) {
            (Step::Planning, Outcome::Planned(result)) => self.planned(live, result, now),
            (Step::ProbingBefore, Outcome::Probed(result)) => self.probed(live, result, now),
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
            (Step::Probing, Outcome::ProbedAgain(lacking)) => self.probed_again(live, &lacking, now),
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
                if !live.has_changes() {
                    self.unchanged(live, now);
                } else if live.probes.is_empty() {
                    self.snapshot(live);
                } else {
                    let probes = live.probes.clone();
                    self.start(live, Step::ProbingBefore, Work::Probe(probes));
                }
            }
        }
    }

    pub(super) fn snapshot(&mut self, live: Live) {
        let Request { desired, options } = live.request.clone().expect("what was planned was asked for");
        let base = self.committed.clone();
        self.start(live, Step::Snapshot, Work::Snapshot { desired, options, base });
    }

    fn snapshot_taken(
        &mut self,
        mut live: Live,
        result: Result<(Arc<Before>, Planned), Vec<Problem>>,
        now: Now,
    ) {
        match result {
            Err(problems) => self.fail(live, &problems, now),
            Ok((before, planned)) => {
                live.take_plan(planned);
                if !live.has_changes() {
                    return self.unchanged(live, now);
                }
                let then = live.planned.as_ref().and_then(|planned| planned.then.clone());
                live.checkpoint = Some(Checkpoint {
                    before,
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
            (Ok(()), Some(Asked::GoBack(cause))) => {
                let is_wanted = |cause: &ErrorInfo| cause.kind == ErrorKind::Cancelled.name();
                let is_wanted = cause.as_ref().is_none_or(is_wanted);
                Some((cause, if is_wanted { Stage::Cancelled } else { Stage::Failed }))
            }
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

    fn verified(&mut self, live: Live, now: Now) {
        if live.required.is_empty() {
            return self.held(live, now);
        }
        let live = self.enter(live, Stage::Probing);
        let required = live.required.clone();
        self.start(live, Step::Probing, Work::ProbeAgain(required));
    }

    /// It is as asked, and nothing that held before is lost.
    pub(super) fn held(&mut self, mut live: Live, now: Now) {
        if live.commits_itself() {
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
        match (result, &mut live.join) {
            (Err(problems), _) => self.refuse_join(live, problems),
            (Ok(planned), Some(join)) => {
                let probes = join.options.probes.clone().unwrap_or_default();
                if planned.plan.is_empty() || probes.is_empty() {
                    return self.joined(live, planned, now);
                }
                join.planned = Some(planned);
                self.start(live, Step::ProbingBefore, Work::Probe(probes));
            }
            (Ok(_), None) => debug_assert!(false, "what is planned here is a change that joins"),
        }
    }

    /// From here on the change shares the fate of what it joins.
    pub(super) fn joined(&mut self, mut live: Live, planned: Planned, now: Now) {
        let Some(Join { ticket, options, .. }) = live.join.take() else { return };
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
        match (&mut live.client_path, planned.client_path.clone()) {
            (Some(path), Some(more)) => path.reasons.extend(more.reasons),
            (path, more) => *path = path.take().or(more),
        }
        live.planned = Some(planned);
        self.answer(ticket, Ok(live.info()));
        if live.has_changes() {
            self.record(live, now);
        } else {
            self.record_wait(live, now);
        }
    }

    /// The joined change is not taken up, the pending one stays as it is.
    pub(super) fn refuse_join(&mut self, mut live: Live, problems: Vec<Problem>) {
        if let Some(join) = live.join.take() {
            self.answer(join.ticket, Err(problems));
        }
        live.step = Step::Awaiting;
        self.live = Some(live);
    }

    // ---- committing

    pub(super) fn persist(&mut self, live: Live) {
        let live = self.enter(live, Stage::Committing);
        let checkpoint = live.checkpoint.as_ref().expect("what is committed has a checkpoint");
        let (before, committed) = (Some(checkpoint.before.clone()), checkpoint.then.clone());
        self.start(live, Step::Persisting, Work::Persist { before, committed });
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
    pub(super) fn go_back(&mut self, mut live: Live, cause: Option<ErrorInfo>, now: Now) -> bool {
        match live.step {
            Step::Planning | Step::ProbingBefore | Step::Snapshot if live.checkpoint.is_none() => {
                self.out.push(Effect::Abort);
                live.error = cause;
                live.stage = Stage::Cancelled;
                self.end(live, now);
            }
            Step::Planning | Step::ProbingBefore | Step::Snapshot => {
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
            Step::Executing | Step::Verifying | Step::Probing | Step::Persisting => {
                self.out.push(Effect::Abort);
                self.roll_back(live, cause);
            }
            Step::Awaiting => self.roll_back(live, cause),
            Step::Marking
            | Step::Restoring { .. }
            | Step::RestoringAgain { .. }
            | Step::AwaitingService { .. }
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

    pub(super) fn restore(&mut self, live: Live, attempt: u32) {
        if self.service.missing.is_some() {
            return self.await_service(live, attempt);
        }
        let checkpoint = live.checkpoint.as_ref().expect("what is rolled back has a checkpoint");
        if !checkpoint.is_same_boot && self.config.volatile_until_commit {
            let committed = self.committed.clone();
            let work = Work::Persist { before: None, committed };
            return self.start(live, Step::PersistingBefore, work);
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

    pub(super) fn fail(&mut self, mut live: Live, problems: &[Problem], now: Now) {
        live.error = error_info(problems);
        live.stage = Stage::Failed;
        self.end(live, now);
    }

    /// Ends a transaction whose end is not on disk yet.
    fn end(&mut self, live: Live, now: Now) {
        self.end_unrecorded(live.info(), now);
    }

    pub(super) fn end_unrecorded(&mut self, info: TransactionInfo, now: Now) -> TransactionInfo {
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
}

impl Live {
    fn take_plan(&mut self, planned: Planned) {
        self.diff.clone_from(&planned.diff);
        self.warnings.clone_from(&planned.plan.warnings);
        self.warnings.extend(self.not_required.iter().cloned());
        self.client_path.clone_from(&planned.client_path);
        self.planned = Some(planned);
    }

    fn has_changes(&self) -> bool {
        self.planned.as_ref().is_some_and(|planned| !planned.plan.is_empty())
    }
}
