//! Doing what the machine asks for. Every wait has a limit.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::board::Board;
use super::desired;
use super::nets::Made;
use super::store::Store;
use crate::backend::{Backend, Failure, Judgement, Snapshot, Step};
use crate::plan::{self, Plan};
use crate::probe::Prober;
use crate::state::{ErrorKind, Path, Problem, Segment, State};
use crate::transaction::{Before, Committed, Desired, Outcome, Planned, Restored, Work, accumulate};
use crate::verify;
use crate::wire::{ClientPath, ProgressInfo};

/// Longest that a backend may take for each of its operations.
const SNAPSHOT_MAX: Duration = Duration::from_secs(30);
const EXECUTE_MAX: Duration = Duration::from_secs(300);
const PERSIST_MAX: Duration = Duration::from_secs(60);
const RESTORE_MAX: Duration = Duration::from_secs(180);
pub(super) const SYNC_MAX: Duration = Duration::from_secs(30);
/// How long the network may take to be as before, after the backend has restored it.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Changes that come closer together are looked at once.
const LOOK_GAP: Duration = Duration::from_millis(10);

/// Runs `compute` where it keeps nobody waiting.
pub(super) async fn offload<T: Send + 'static>(
    threads: bool,
    compute: impl FnOnce() -> T + Send + 'static,
) -> T {
    if !threads {
        return compute();
    }
    match tokio::task::spawn_blocking(compute).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is never cancelled but when the runtime ends, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Who does the work.
pub(super) struct Worker {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) prober: Arc<dyn Prober>,
    pub(super) store: Store,
    pub(super) board: Arc<Board>,
    pub(super) made_net: Made,
    pub(super) progress: watch::Sender<Option<ProgressInfo>>,
    pub(super) threads: bool,
}

impl Worker {
    pub(super) async fn run(&self, work: Work) -> Outcome {
        match work {
            Work::Plan { desired, options, base } => {
                // Whoever changed the network just now expects that to be seen.
                let seen = bounded("looking at the network", SYNC_MAX, self.backend.sync()).await;
                Outcome::Planned(match seen {
                    Ok(()) => self.plan(desired, options, base, None).await,
                    Err(problem) => Err(vec![problem]),
                })
            }
            Work::Snapshot { desired, options, base } => {
                Outcome::Snapshot(self.snapshot(desired, options, base).await)
            }
            Work::Write(record) => Outcome::Written(self.store.write_record(record).await),
            Work::Execute(plan) => Outcome::Executed(self.execute(plan).await),
            Work::Verify(plan) => Outcome::Verified(self.verify(plan).await),
            Work::Probe(probes) => Outcome::Probed(self.probe(probes).await),
            Work::ProbeAgain(probes) => Outcome::ProbedAgain(self.probe_again(probes).await),
            Work::MarkRollback => Outcome::Marked(self.store.mark_rollback().await),
            Work::Persist { before, committed } => {
                let snapshot = before.map(|before| Arc::new(snapshot_of(&before)));
                let persist = self.backend.persist(snapshot, &committed);
                Outcome::Persisted(bounded("keeping the configuration", PERSIST_MAX, persist).await)
            }
            Work::Commit { id, committed } => {
                Outcome::Committed(self.store.commit(Committed { last: id, state: committed }).await)
            }
            Work::Restore { before, verify } => Outcome::Restored(self.restore(&before, verify).await),
            Work::Clear => Outcome::Cleared(self.store.clear().await),
            Work::SetAside => Outcome::SetAside(self.store.set_aside().await),
            Work::Remember(entries) => {
                let board = self.board.clone();
                let all = move || board.seen().history.lines();
                Outcome::Remembered(self.store.remember(entries, all).await)
            }
            Work::ReserveIds(end) => Outcome::Reserved(self.store.reserve_ids(end).await),
        }
    }

    /// Plans against `current`, or against what the backend sees now.
    async fn plan(
        &self,
        desired: Arc<Desired>,
        options: plan::Options,
        base: Arc<State>,
        current: Option<Arc<State>>,
    ) -> Result<Planned, Vec<Problem>> {
        let backend = self.backend.clone();
        offload(self.threads, move || {
            let current = match current {
                Some(current) => current,
                None => backend.observe().map_err(|failure| vec![problem(failure)])?.state,
            };
            let asked = desired::plan(&*backend, &desired, &current, &options)?;
            let kept = plan::resolved(&asked.kept(&desired, &current), &current);
            let plan = asked.plan;
            let then = accumulate(&base, &kept, &plan);
            let is_new = !options.memory_only && then != *base;
            let Told { diff, client_path } = told(&plan, &current, &options);
            Ok(Planned { diff, client_path, plan: Arc::new(plan), then: is_new.then(|| Arc::new(then)) })
        })
        .await
    }

    /// The network may have changed since the first plan: the snapshot is what counts.
    async fn snapshot(
        &self,
        desired: Arc<Desired>,
        options: plan::Options,
        base: Arc<State>,
    ) -> Result<(Arc<Before>, Planned), Vec<Problem>> {
        let snapshot = bounded("the snapshot", SNAPSHOT_MAX, self.backend.snapshot()).await;
        let snapshot = snapshot.map_err(|problem| vec![problem])?;
        if let Some(net) = self.backend.safety_net(&snapshot) {
            *self.made_net.lock().unwrap_or_else(PoisonError::into_inner) = Some(net);
        }
        let Snapshot { state, private, mut touched } = snapshot;
        let state = Arc::new(state);
        let planned = self.plan(desired, options, base, Some(state.clone())).await?;
        touched.extend(&planned.plan);
        let state = Arc::unwrap_or_clone(state);
        Ok((Arc::new(Before { state, private, touched }), planned))
    }

    async fn execute(&self, plan: Arc<Plan>) -> Result<(), Problem> {
        let progress = |step| self.report(step);
        bounded("the change", EXECUTE_MAX, self.backend.execute(plan, &progress)).await
    }

    /// Looks at every change of the network until it is as planned, or the limits have passed.
    async fn verify(&self, plan: Arc<Plan>) -> Result<Vec<String>, Vec<Problem>> {
        bounded("looking at the network", SYNC_MAX, self.backend.sync()).await.map_err(|p| vec![p])?;
        let start = Instant::now();
        let mut revision = self.backend.revision();
        loop {
            revision.borrow_and_update();
            let begun = Instant::now();
            let elapsed_ms = u64::try_from((begun - start).as_millis()).unwrap_or(u64::MAX);
            let (backend, plan) = (self.backend.clone(), plan.clone());
            let look = offload(self.threads, move || {
                let state = backend.observe().map_err(problem)?.state;
                let report = verify::verify(&plan, &state);
                Ok(match report.outcome(elapsed_ms) {
                    verify::Outcome::Verified(warnings) => {
                        Look::Good(warnings.into_iter().map(verify::Finding::message).collect())
                    }
                    verify::Outcome::Failed(findings) => {
                        Look::Bad(findings.into_iter().map(verify::Finding::problem).collect())
                    }
                    verify::Outcome::Waiting { until_ms } => Look::Early { until_ms },
                })
            });
            match look.await.map_err(|problem| vec![problem])? {
                Look::Good(warnings) => return Ok(warnings),
                Look::Bad(problems) => return Err(problems),
                Look::Early { until_ms } => {
                    let until = start + Duration::from_millis(until_ms);
                    changed(&mut revision, until, begun.elapsed()).await;
                }
            }
        }
    }

    /// The one way back, whatever went wrong.
    async fn restore(&self, before: &Before, verify: bool) -> Result<Restored, Problem> {
        let snapshot = Arc::new(snapshot_of(before));
        let progress = |step| self.report(step);
        let restore = self.backend.restore(snapshot.clone(), &progress);
        bounded("the rollback", RESTORE_MAX, restore).await?;
        if !verify {
            return Ok(Restored { items: Vec::new() });
        }
        bounded("looking at the network", SYNC_MAX, self.backend.sync()).await?;
        let end = Instant::now() + SETTLE_MAX;
        let mut revision = self.backend.revision();
        loop {
            revision.borrow_and_update();
            let begun = Instant::now();
            let (backend, snapshot) = (self.backend.clone(), snapshot.clone());
            let items = offload(self.threads, move || {
                let after = backend.observe().map_err(problem)?.state;
                let after = snapshot.own(&after);
                let differences = verify::same(&snapshot.way_back(&after), &after);
                Ok(differences.iter().map(ToString::to_string).collect::<Vec<_>>())
            })
            .await?;
            if items.is_empty() || Instant::now() >= end {
                return Ok(Restored { items });
            }
            changed(&mut revision, end, begun.elapsed()).await;
        }
    }

    fn report(&self, step: Step) {
        let Step { n, of, interface, text } = step;
        self.progress.send_replace(Some(ProgressInfo { n, of, interface, text }));
    }
}

/// What leads back, as the backend knows it.
pub(super) fn snapshot_of(before: &Before) -> Snapshot {
    let Before { state, private, touched } = before.clone();
    Snapshot { state, private, touched }
}

/// What one look at the network showed.
enum Look {
    Good(Vec<String>),
    Bad(Vec<Problem>),
    Early { until_ms: u64 },
}

/// The plan, or why it cannot be: also what the backend cannot express.
pub(super) fn plan_on(
    backend: &dyn Backend,
    desired: &State,
    current: &State,
    options: &plan::Options,
) -> Result<Plan, Vec<Problem>> {
    let translated = backend.translate(desired)?;
    let (desired, places) = match &translated {
        Some((state, places)) => (state, &places[..]),
        None => (desired, &[][..]),
    };
    // What a backend has added stands elsewhere in the document.
    let first = desired.interfaces().len().saturating_sub(places.len());
    let place = |path: &Path| match path.segments() {
        [Segment::Key(key), Segment::Index(index), rest @ ..] if key == "interfaces" && *index >= first => {
            let place = places.get(*index - first)?;
            Some(rest.iter().fold(place.clone(), |place, segment| match segment {
                Segment::Key(key) => place.key(key),
                Segment::Index(index) => place.index(*index),
            }))
        }
        _ => None,
    };
    let placed = |problem: Problem| match place(&problem.path) {
        Some(path) => Problem { path, ..problem },
        None => problem,
    };
    let plan = plan::plan(desired, current, &backend.capabilities(), options);
    let mut plan = plan.map_err(|problems| problems.into_iter().map(placed).collect::<Vec<_>>())?;
    for origin in plan.origins.values_mut() {
        if let Some(path) = place(origin) {
            *origin = path;
        }
    }
    let Judgement { mut refused, remarks } = backend.judge(&plan);
    let unserved = backend.unserved(&plan);
    if plan.unverified {
        plan.warnings.extend(unserved.iter().map(ToString::to_string));
    } else {
        refused.extend(unserved);
    }
    if !refused.is_empty() {
        return Err(refused);
    }
    plan.warnings.extend(remarks);
    Ok(plan)
}

/// A plan as its client is told.
pub(super) struct Told {
    pub(super) diff: String,
    pub(super) client_path: Option<ClientPath>,
}

/// The plan as text, ended by how it touches the path of the client, and that as data.
pub(super) fn told(plan: &Plan, current: &State, options: &plan::Options) -> Told {
    let mut diff = plan::text::diff(plan, plan::text::Paint::Plain);
    let path = options.client.as_ref().and_then(|client| plan::touched(plan, current, client));
    let client_path = path.map(|path| {
        diff += &format!("\n{path}");
        ClientPath { interface: path.interface, reasons: path.reasons }
    });
    Told { diff, client_path }
}

/// Waits for a change of the network, at the latest until then. `looked`: how long the last look took; those who
/// change the network need the processor, too.
pub(super) async fn changed(revision: &mut watch::Receiver<u64>, until: Instant, looked: Duration) {
    match timeout_at(until, revision.changed()).await {
        Ok(Ok(())) => sleep(LOOK_GAP.max(looked)).await,
        // A backend that reports no changes any more is looked at again at the end.
        Ok(Err(_)) => tokio::time::sleep_until(until).await,
        Err(_) => {}
    }
}

pub(super) async fn bounded<T>(
    what: &str,
    limit: Duration,
    doing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Problem> {
    match timeout(limit, doing).await {
        Ok(result) => result.map_err(problem),
        Err(_) => {
            let message = format!("{what} did not end within {} s", limit.as_secs());
            Err(Problem::new(ErrorKind::PluginFailure, Path::root(), message))
        }
    }
}

pub(super) fn problem(failure: Failure) -> Problem {
    let message = failure.to_string();
    Problem { interface: failure.subject, ..Problem::new(failure.kind, Path::root(), message) }
}
