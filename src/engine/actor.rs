//! The actor: one task that owns the machine, runs its effects and feeds the results back.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use super::Refusal;
use super::board::Board;
use super::handle::{Asked, Command};
use super::nets::Nets;
use super::store::Store;
use super::work::{Worker, snapshot_of};
use crate::backend::Availability;
use crate::state::{ErrorKind, State};
use crate::system::{Clock, SafetyNet};
use crate::transaction::{
    Config, Effect, Event, Found, Machine, Now, Outcome, Service, Stored, Ticket, Work, refusal,
};
use crate::wire::{Owner, ProgressInfo, TransactionInfo};

/// Least time between two progress events of a transaction.
const PROGRESS_GAP: Duration = Duration::from_millis(200);
/// How long a stop may take; what is not at a safe end then is recovered at the next start.
const STOP_MAX: Duration = Duration::from_secs(45);
/// Pause between attempts to read a state directory that cannot be trusted.
const RELOAD_PAUSE: Duration = Duration::from_secs(5);

/// Ids of messages, as in systemd/nmstated.catalog.
const STAGE_REACHED: &str = "b5715b1f1158459d8c2f17491012001b";
pub(super) const ALERT: &str = "c7aa98e5d4674d2585c9c4a38b573bdc";

type Answer = oneshot::Sender<Result<TransactionInfo, Refusal>>;
type Doing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) struct Actor {
    pub(super) worker: Arc<Worker>,
    pub(super) store: Store,
    pub(super) board: Arc<Board>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: Config,
    pub(super) inbox: mpsc::Receiver<Command>,
    pub(super) progress: watch::Receiver<Option<ProgressInfo>>,
    pub(super) tickets: Tickets,
    pub(super) nets: Nets,
    pub(super) availability: watch::Receiver<Availability>,
    /// What is shown of the backend's service.
    pub(super) lack: Option<String>,
    /// Most entries of the history.
    pub(super) history_max: usize,
    /// What is committed; None while a transaction is under way, or nothing is certain.
    pub(super) resting: watch::Sender<Option<Arc<State>>>,
}

/// Who waits for an answer.
#[derive(Default)]
pub(super) struct Tickets {
    next: Ticket,
    open: BTreeMap<Ticket, Answer>,
}

impl Tickets {
    fn take(&mut self, answer: Answer) -> Ticket {
        self.next += 1;
        self.open.insert(self.next, answer);
        self.next
    }

    fn answer(&mut self, ticket: Ticket, result: Result<TransactionInfo, Refusal>) {
        if let Some(answer) = self.open.remove(&ticket) {
            // A client that has gone misses its answer, nothing else.
            let _ = answer.send(result);
        }
    }
}

/// The machine, and what it has under way.
struct Running {
    machine: Machine,
    work: Option<Doing>,
    chore: Option<Doing>,
    progress_not_before: Instant,
    stop_at: Option<Instant>,
    stopped: Vec<oneshot::Sender<()>>,
    end: Option<End>,
}

/// Why a machine is left.
enum End {
    Stopped,
    Halted,
}

/// What the actor waits for.
enum Woken {
    Event(Event),
    Command(Command),
    Progress(ProgressInfo),
    Service,
    Net,
    GiveUp,
}

impl Actor {
    /// Serves until it is told to stop. `recovered` hears when nothing is left to recover, or
    /// the state directory turned out not to be readable now.
    pub(super) async fn run(mut self, recovered: oneshot::Sender<()>) {
        let mut recovered = Some(recovered);
        loop {
            match self.recover().await {
                Ok(running) => {
                    let end = self.serve(running, &mut recovered).await;
                    self.resting.send_replace(None);
                    match end {
                        End::Stopped => return,
                        End::Halted => error!("reading the state directory again"),
                    }
                }
                Err(why) => {
                    self.alert(format!("the state directory cannot be read: {why}"));
                }
            }
            drop(recovered.take());
            if self.pause().await {
                return;
            }
        }
    }

    async fn recover(&mut self) -> std::io::Result<Running> {
        let loaded = self.store.load(self.history_max).await?;
        loaded.alerts.into_iter().for_each(|alert| self.alert(alert));
        {
            let mut seen = self.board.seen();
            let since = std::mem::replace(&mut seen.history, loaded.history);
            // After a halt: what ended since the file was last written is known only here.
            since.into_entries().for_each(|info| seen.history.add(info));
            seen.boot = loaded.boot;
        }
        let service = self.service();
        self.nets.lost(service.losses);
        let nets = self.nets_of(&loaded.found);
        self.nets.adopt(nets);
        let (machine, effects) = Machine::recover(loaded.found, self.config.clone(), service, self.now());
        let mut running = Running {
            machine,
            work: None,
            chore: None,
            progress_not_before: Instant::now(),
            stop_at: None,
            stopped: Vec::new(),
            end: None,
        };
        self.apply(&mut running, effects);
        Ok(running)
    }

    /// The nets that the backend made with the snapshots of what was found.
    fn nets_of(&self, found: &Found) -> Vec<Arc<dyn SafetyNet>> {
        let records = [&found.rollback, &found.checkpoint].into_iter().filter_map(|stored| match stored {
            Stored::Is(record) => Some(record),
            Stored::Missing | Stored::Unreadable(_) => None,
        });
        records
            .filter(|record| record.backend == self.config.backend)
            .filter_map(|record| self.worker.backend.safety_net(&snapshot_of(&record.before)))
            .collect()
    }

    /// The service of the backend as it is now.
    fn service(&mut self) -> Service {
        let Availability { losses, missing } = self.availability.borrow_and_update().clone();
        Service { losses, missing }
    }

    async fn serve(&mut self, mut running: Running, recovered: &mut Option<oneshot::Sender<()>>) -> End {
        loop {
            if running.machine.is_recovered() {
                drop(recovered.take());
            }
            self.show_rest(&running.machine);
            self.show_lack(&running.machine);
            if running.machine.working_on().is_none() && !matches!(running.end, Some(End::Halted)) {
                self.nets.let_go();
            }
            if let Some(end) = running.end.take() {
                if let Some(chore) = running.chore.take() {
                    // Its writes must not go on while the disk is read.
                    chore.await;
                }
                if let End::Stopped = end {
                    self.nets.finish().await;
                }
                return end;
            }
            let event = match self.next(&mut running, recovered.is_none()).await {
                Woken::Event(event) => event,
                Woken::Command(command) => match self.event(&mut running, command) {
                    Some(event) => event,
                    None => continue,
                },
                Woken::Progress(progress) => {
                    if let Some(id) = running.machine.working_on() {
                        let ProgressInfo { n, of, interface, text } = &progress;
                        debug!(transaction = id, n, of, interface, "{text}");
                        self.board.progress(id, progress, self.clock.now());
                    }
                    running.progress_not_before = Instant::now() + PROGRESS_GAP;
                    continue;
                }
                Woken::Service => {
                    let service = self.service();
                    self.nets.lost(service.losses);
                    Event::Service(service)
                }
                Woken::Net => continue,
                Woken::GiveUp => {
                    warn!("stopping before everything is at a safe end; the next start recovers");
                    return End::Stopped;
                }
            };
            let effects = running.machine.handle(event, self.now());
            self.apply(&mut running, effects);
        }
    }

    /// Waits for the next thing to happen. Commands are not listened to while recovering.
    async fn next(&mut self, running: &mut Running, listen: bool) -> Woken {
        let wake_at = running.machine.wake_at();
        let not_before = running.progress_not_before;
        let stop_at = running.stop_at;
        // Every arm may be dropped and asked again: the futures of work are kept in `running`,
        // the others lose nothing.
        // What a net of the backend guarded is over when it is let go, and not before that is on disk.
        let may_work = !self.nets.holds_back();
        tokio::select! {
            biased;
            // First: how work ended is judged by what is known then.
            () = changed(&mut self.availability) => Woken::Service,
            outcome = doing(&mut running.work), if may_work => Woken::Event(Event::Done(outcome)),
            outcome = doing(&mut running.chore) => Woken::Event(Event::ChoreDone(outcome)),
            () = async { self.clock.sleep_until(wake_at.unwrap_or_default()).await }, if wake_at.is_some() => {
                Woken::Event(Event::Tick)
            }
            progress = next_progress(&mut self.progress, not_before) => Woken::Progress(progress),
            () = async { sleep_until(stop_at.unwrap_or(not_before)).await }, if stop_at.is_some() => Woken::GiveUp,
            // Until all is recovered, the net of an earlier daemon stays as it is.
            () = self.nets.turn(listen) => Woken::Net,
            Some(command) = self.inbox.recv(), if listen => Woken::Command(command),
        }
    }

    fn event(&mut self, running: &mut Running, command: Command) -> Option<Event> {
        match command {
            Command::Ask { owner, request, answer } => {
                Some(request_event(&mut self.tickets, owner, request, answer))
            }
            Command::Disconnected { id } => Some(Event::Disconnected { id }),
            Command::Committed { answer } => {
                let _ = answer.send(running.machine.committed().clone());
                None
            }
            Command::Stop { stopped } => {
                running.stopped.push(stopped);
                running.stop_at.get_or_insert_with(|| Instant::now() + STOP_MAX);
                Some(Event::Stop)
            }
        }
    }

    fn apply(&mut self, running: &mut Running, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start(work) => {
                    match &work {
                        Work::Execute(_) => self.nets.guard(),
                        // Before the record goes, which the next daemon would know them by; and before a
                        // new one is made.
                        Work::Clear | Work::SetAside | Work::Snapshot { .. } => self.nets.let_go(),
                        _ => {}
                    }
                    let worker = self.worker.clone();
                    running.work = Some(Box::pin(async move { worker.run(work).await }));
                }
                Effect::StartChore(work) => {
                    let worker = self.worker.clone();
                    running.chore = Some(Box::pin(async move { worker.run(work).await }));
                }
                Effect::Abort => running.work = None,
                Effect::Answer(ticket, result) => self.tickets.answer(ticket, result),
                Effect::Publish(transaction, deadline) => {
                    log(&transaction);
                    self.nets.shown(transaction.id, deadline, transaction.stage.is_end());
                    self.board.publish(transaction, deadline, self.clock.now());
                }
                Effect::Alert(alert) => self.alert(alert),
                Effect::Halt => running.end = Some(End::Halted),
                Effect::Stopped => running.end = Some(End::Stopped),
            }
        }
    }

    /// Waits before the state directory is read again, refusing changes meanwhile. True: stop.
    async fn pause(&mut self) -> bool {
        let end = Instant::now() + RELOAD_PAUSE;
        loop {
            let command = tokio::select! {
                biased;
                () = sleep_until(end) => return false,
                // Nothing is decided: they are kept where they are.
                () = self.nets.turn(false) => continue,
                command = self.inbox.recv() => command,
            };
            match command {
                Some(Command::Ask { answer, .. }) => {
                    let message = "the state directory cannot be read or written reliably";
                    let _ = answer.send(Err(refusal(ErrorKind::StorageError, message)));
                }
                Some(Command::Disconnected { .. } | Command::Committed { .. }) => {}
                Some(Command::Stop { .. }) | None => return true,
            }
        }
    }

    /// Shows what is committed while no transaction is under way.
    fn show_rest(&self, machine: &Machine) {
        let now = machine.working_on().is_none().then(|| machine.committed());
        self.resting.send_if_modified(|shown| {
            let is_same = shown.as_ref().map(Arc::as_ptr) == now.map(Arc::as_ptr);
            if !is_same {
                *shown = now.cloned();
            }
            !is_same
        });
    }

    /// Shows what a person must know about the service of the backend, as long as it is so.
    fn show_lack(&mut self, machine: &Machine) {
        let lack = machine.lacks();
        if lack == self.lack {
            return;
        }
        if let Some(alert) = self.lack.take() {
            self.board.settled(&alert);
        }
        lack.iter().for_each(|alert| self.alert(alert.clone()));
        self.lack = lack;
    }

    fn alert(&self, alert: String) {
        error!(message_id = ALERT, "{alert}");
        self.board.alert(alert);
    }

    fn now(&self) -> Now {
        Now { boot: self.clock.now(), wall: self.clock.wall() }
    }
}

fn log(transaction: &TransactionInfo) {
    let TransactionInfo { id, stage, owner, error, .. } = transaction;
    info!(
        message_id = STAGE_REACHED,
        transaction = id,
        stage = stage.name(),
        client_uid = owner.uid,
        client_pid = owner.pid,
        client_via = owner.via,
        interface = error.as_ref().and_then(|error| error.interface.as_deref()),
        error_kind = error.as_ref().map(|error| error.kind.as_str()),
        error = error.as_ref().map(|error| error.message.as_str()),
        "transaction {id} is {}",
        stage.name()
    );
}

/// A request that only the machine can answer.
fn request_event(tickets: &mut Tickets, owner: Owner, request: Asked, answer: Answer) -> Event {
    let ticket = tickets.take(answer);
    match request {
        Asked::Submit { desired, options } => Event::Submit { ticket, owner, desired, options },
        Asked::Commit { id } => Event::Commit { ticket, owner, id },
        Asked::Rollback { id } => Event::Rollback { ticket, owner, id },
        Asked::Extend { id, seconds } => Event::Extend { ticket, owner, id, seconds },
        Asked::Cancel { id } => Event::Cancel { ticket, owner, id },
    }
}

/// Completes when the service of the backend was lost or is there again.
async fn changed(availability: &mut watch::Receiver<Availability>) {
    if availability.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn doing(work: &mut Option<Doing>) -> Outcome {
    match work {
        Some(doing) => {
            let outcome = doing.await;
            *work = None;
            outcome
        }
        None => std::future::pending().await,
    }
}

async fn next_progress(
    progress: &mut watch::Receiver<Option<ProgressInfo>>,
    not_before: Instant,
) -> ProgressInfo {
    loop {
        sleep_until(not_before).await;
        if progress.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some(progress) = progress.borrow_and_update().clone() {
            return progress;
        }
    }
}
