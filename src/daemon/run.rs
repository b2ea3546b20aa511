//! The daemon as a process: its backend, its signals, what it tells systemd.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, interval_at, timeout};
use tracing::{error, info, warn};

use super::backends::{Opened, choose, open};
use super::{ConfigError, DaemonError, Log, Running, Settings, Socket, chain};
use crate::engine::{self, Handle, Limits, Setup};
use crate::system::{Clock, SafetyNet, SystemdTimer};

/// How long the documents of the boot folder may keep back READY, and with it network.target.
const DOCUMENTS_MAX: Duration = Duration::from_secs(60);

/// Ids of messages, as in systemd/nmstated.catalog.
const RELOADED: &str = "7c37eee172734118b57469087675f9e9";
const NOT_RELOADED: &str = "1a830f5b4dc249588b7c4d9051a5fe70";

/// Runs the daemon until a signal tells it to stop. `read_again`: the settings as they would be
/// after a new start.
pub async fn run(
    settings: Settings,
    read_again: impl Fn() -> Result<Settings, ConfigError>,
    log: Log,
    socket: Socket,
) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Signals)?;
    let disk = Setup::lock(&settings.state_dir)?;
    // What cannot be read, the engine says.
    let record = engine::open_record(&disk).ok().flatten().and_then(Result::ok);
    let (driver, reason) = choose(settings.backend, record.as_ref()).await;
    let Opened { backend, mut keepers } = open(driver).await?;
    let mut setup = Setup::on_disk(backend, reason, disk)?;
    setup.limits = Limits { history_max: settings.history.into(), timeout_s: settings.timeout };
    setup.probes.clone_from(&settings.probe.0);
    if matches!(settings.bus.as_deref(), None | Some("system")) {
        setup.safety_net = safety_net(&settings.state_dir, setup.clock.clone());
    }
    let mut running = Running::start(setup, settings.bus.as_deref(), socket).await?;
    let engine = running.engine();
    let (look, settled) = running.apply_documents(settings.documents.clone());
    let ready = async {
        if timeout(DOCUMENTS_MAX, settled).await.is_err() {
            warn!("the boot documents take long; what waits for the network does not wait for them");
        }
        tell(&[NotifyState::Ready]);
        std::future::pending::<Infallible>().await
    };
    let outcome = tokio::select! {
        () = signals.stop(|| {
            reload(&settings, &read_again, &log);
            look.notify_one();
        }) => Ok(()),
        never = ready => match never {},
        error = running.failed() => Err(error),
        Some(ended) = keepers.join_next() => {
            Err(ended.unwrap_or(DaemonError::Ended("what keeps the backend")))
        }
        () = keep_watchdog_quiet(engine) => Err(DaemonError::Ended("the watchdog")),
    };
    tell(&[NotifyState::Stopping]);
    running.stop().await;
    keepers.abort_all();
    outcome
}

/// What restores the network if this daemon never comes back, where there is such a thing.
pub(super) fn safety_net(state_dir: &Path, clock: Arc<dyn Clock>) -> Option<Arc<dyn SafetyNet>> {
    match SystemdTimer::here(state_dir, clock) {
        Ok(timer) => timer.map(|timer| Arc::new(timer) as Arc<dyn SafetyNet>),
        Err(error) => {
            warn!(%error, "there is no second safety net");
            None
        }
    }
}

/// Takes over what may change while the daemon runs.
fn reload(started_with: &Settings, read_again: impl Fn() -> Result<Settings, ConfigError>, log: &Log) {
    match read_again() {
        Ok(settings) => {
            log.set_level(settings.log);
            let needs_restart = settings != Settings { log: settings.log, ..started_with.clone() };
            info!(message_id = RELOADED, log = %settings.log, needs_restart, "configuration read again");
        }
        Err(error) => {
            error!(message_id = NOT_RELOADED, error = chain(&error), "the configuration stays as it was");
        }
    }
}

/// The signals that mean something.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Completes when the daemon shall stop.
    async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return info!(signal = "SIGTERM", "stopping"),
                _ = self.interrupt.recv() => return info!(signal = "SIGINT", "stopping"),
                _ = self.hang_up.recv() => reload(),
            }
        }
    }
}

/// Tells systemd twice in each period that the daemon is alive (sd_watchdog_enabled(3)): that this
/// loop turns, and that the engine answers.
async fn keep_watchdog_quiet(engine: Handle) {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let half = period / 2;
    let mut ticks = interval_at(Instant::now() + half, half);
    loop {
        ticks.tick().await;
        engine.ping().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd, if it listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be told");
    }
}
