//! The daemon as a process: its backend, its signals, what it tells systemd.

use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};
use tracing::{info, warn};

use super::{Arguments, BackendName, DaemonError, Running, Socket};
use crate::backend::Backend;
use crate::backend::kernel::KernelBackend;
use crate::engine::Setup;
use crate::kernel::mirror;

/// Runs the daemon until a signal tells it to stop.
pub async fn run(arguments: Arguments, socket: Socket) -> Result<(), DaemonError> {
    let mut signals = Signals::listen().map_err(DaemonError::Signals)?;
    let (backend, mut keeper) = open(arguments.backend).await?;
    let setup = Setup::on_host(backend, "it was asked for", &arguments.state_dir)?;
    let mut running = Running::start(setup, arguments.bus.as_deref(), socket).await?;
    tell(&[NotifyState::Ready]);
    let outcome = tokio::select! {
        () = signals.stop() => Ok(()),
        error = running.failed() => Err(error),
        ended = &mut keeper => Err(match ended {
            Ok(Err(error)) => DaemonError::Mirror(error),
            Ok(Ok(())) | Err(_) => DaemonError::Ended("the mirror of the kernel"),
        }),
        () = keep_watchdog_quiet() => Err(DaemonError::Ended("the watchdog")),
    };
    tell(&[NotifyState::Stopping]);
    running.stop().await;
    keeper.abort();
    outcome
}

type Keeper = JoinHandle<Result<(), mirror::MirrorError>>;

async fn open(name: BackendName) -> Result<(Arc<dyn Backend>, Keeper), DaemonError> {
    match name {
        BackendName::Kernel => {
            let (mirror, keeper) =
                mirror::open(mirror::Paths::default()).await.map_err(DaemonError::Mirror)?;
            let keeper = tokio::spawn(keeper.run());
            let backend = KernelBackend::open(mirror, "/").await.map_err(DaemonError::Backend)?;
            Ok((Arc::new(backend), keeper))
        }
    }
}

/// The signals that mean something. Others keep their meaning, but SIGHUP ends nobody.
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
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return info!(signal = "SIGTERM", "stopping"),
                _ = self.interrupt.recv() => return info!(signal = "SIGINT", "stopping"),
                _ = self.hang_up.recv() => info!(signal = "SIGHUP", "there is nothing to read again"),
            }
        }
    }
}

/// Tells systemd twice in each period that the daemon is alive (sd_watchdog_enabled(3)).
async fn keep_watchdog_quiet() {
    let Some(period) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let half = period / 2;
    let mut ticks = interval_at(Instant::now() + half, half);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells systemd, if it listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd could not be told");
    }
}
