//! Following an apply to its end, and an interrupt on the way.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::daemon::Daemon;
use super::failure::Failure;
use super::output::Output;
use super::transactions::{outcome, step};
use crate::state::ErrorKind;
use crate::wire::{ErrorInfo, Stage, TransactionInfo};

/// Takes interrupts (Ctrl-C, a polite kill) as something to read. A hang-up is not taken: it ends
/// `nmctl`, and with it what was submitted to be cancelled then; everything else goes on.
pub struct Interrupts {
    signals: SignalFd,
}

impl Interrupts {
    pub fn take() -> Result<Self, Failure> {
        let mask = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
        mask.thread_block()
            .and_then(|()| SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
            .map(|signals| Self { signals })
            .map_err(|error| Failure::error(ErrorKind::Bug, format!("signals cannot be read: {error}")))
    }

    /// Whether one came since the last look.
    pub fn came(&mut self) -> bool {
        matches!(self.signals.read_signal(), Ok(Some(_)))
    }
}

/// To wait for one together with other things.
impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }
}

/// How far the wish to stop has got.
enum Stop {
    No,
    /// Asked for before the transaction had a number.
    Wanted,
    /// Asked for; the connection that carries the request stays open until the end.
    Sent {
        _connection: Daemon,
    },
}

/// Shows the steps of the apply that was just sent until it has ended or awaits commit.
pub fn to_its_end(
    daemon: &mut Daemon,
    interrupts: &mut Interrupts,
    output: &mut Output,
) -> Result<TransactionInfo, Failure> {
    let mut last: Option<TransactionInfo> = None;
    let mut shown = String::new();
    let mut stop = Stop::No;
    let ended = loop {
        match daemon.arrived_step() {
            Ok(Some((transaction, true))) => {
                let line = step(&transaction);
                if line != shown {
                    output.progress(&line);
                    shown = line;
                }
                last = Some(transaction);
            }
            Ok(Some((transaction, false))) => break Ok(transaction),
            Ok(None) => wait(daemon, interrupts)?,
            Err(failure) => break Err(failure),
        }
        if interrupts.came() {
            stop = match stop {
                Stop::No => Stop::Wanted,
                Stop::Wanted | Stop::Sent { .. } => return Err(left_alone(last.as_ref())),
            };
        }
        if let (Stop::Wanted, Some(transaction)) = (&stop, &last) {
            output.note(&format!("interrupted: taking transaction {} back", transaction.id));
            let mut connection = daemon.again()?;
            connection.start_cancel(transaction.id)?;
            stop = Stop::Sent { _connection: connection };
        }
    };
    let stopped = !matches!(stop, Stop::No);
    match ended {
        Ok(transaction) if transaction.stage == Stage::AwaitingCommit && stopped => {
            let ended = daemon.again()?.rollback(Some(transaction.id))?;
            judged(ended, stopped)
        }
        Ok(transaction) => judged(transaction, stopped),
        Err(failure) => Err(explained(failure, last, stopped, daemon)),
    }
}

/// Waits until the daemon says something or an interrupt comes.
fn wait(daemon: &mut Daemon, interrupts: &Interrupts) -> Result<(), Failure> {
    let [readable, _] = ready(
        [
            PollFd::new(daemon.connection().as_fd(), PollFlags::POLLIN),
            PollFd::new(interrupts.as_fd(), PollFlags::POLLIN),
        ],
        PollTimeout::NONE,
    )?;
    if readable { daemon.read_some() } else { Ok(()) }
}

/// Waits until the daemon says something; an error when nobody reads the output any more, which
/// otherwise only the next thing to tell would show.
pub fn wait_while_read(daemon: &mut Daemon, output: &Output) -> Result<(), Failure> {
    // poll(2): a reader that is gone is reported without being asked for.
    let [readable, unread] = ready(
        [
            PollFd::new(daemon.connection().as_fd(), PollFlags::POLLIN),
            PollFd::new(output.as_fd(), PollFlags::empty()),
        ],
        PollTimeout::NONE,
    )?;
    match (unread, readable) {
        (true, _) => Err(Failure::NobodyReads),
        (false, true) => daemon.read_some(),
        (false, false) => Ok(()),
    }
}

/// Waits for one of several, or until the time is over; says which of them have something.
pub fn ready<const N: usize>(mut fds: [PollFd<'_>; N], time: PollTimeout) -> Result<[bool; N], Failure> {
    match poll(&mut fds, time) {
        Ok(_) => Ok(fds.map(|fd| fd.any().unwrap_or(true))),
        Err(Errno::EINTR) => Ok([false; N]),
        Err(error) => Err(Failure::error(ErrorKind::Bug, format!("poll: {error}"))),
    }
}

/// The user does not want to wait even for the end of the cancellation.
fn left_alone(transaction: Option<&TransactionInfo>) -> Failure {
    let which = transaction.map_or("the change".to_owned(), |t| format!("transaction {}", t.id));
    Failure::Interrupted { message: format!("{which} is left to nmstated; see `nmctl history`") }
}

/// The result that belongs to the stage in which a transaction ended.
pub fn judged(transaction: TransactionInfo, stopped: bool) -> Result<TransactionInfo, Failure> {
    let missing = || ErrorInfo {
        kind: ErrorKind::Cancelled.name().to_owned(),
        message: outcome(&transaction),
        path: String::new(),
        line: None,
        column: None,
        interface: None,
        hint: None,
        more: Vec::new(),
    };
    let failed = matches!(transaction.stage, Stage::Failed | Stage::RolledBack | Stage::Cancelled);
    if !transaction.unrestored.is_empty() {
        let error = Box::new(transaction.error.clone().unwrap_or_else(missing));
        Err(Failure::NotRestored { error, transaction: transaction.id, items: transaction.unrestored })
    } else if failed && stopped {
        Err(Failure::Interrupted { message: outcome(&transaction) })
    } else if failed {
        let error = Box::new(transaction.error.clone().unwrap_or_else(missing));
        Err(Failure::Refused { error, transaction: Some(transaction.id), document: None })
    } else {
        Ok(transaction)
    }
}

/// An error answer, completed with what the transaction's record knows of the way back.
pub fn explained(failure: Failure, last: Option<TransactionInfo>, stopped: bool, daemon: &Daemon) -> Failure {
    let Failure::Refused { error, transaction: Some(id), document } = failure else { return failure };
    let record = match last {
        Some(last) if last.stage.is_end() => Ok(last),
        _ => daemon.again().and_then(|mut daemon| daemon.log(id)),
    };
    match record {
        Ok(record) if !record.unrestored.is_empty() => {
            Failure::NotRestored { error, transaction: id, items: record.unrestored }
        }
        _ if stopped && error.kind == ErrorKind::Cancelled.name() => {
            Failure::Interrupted { message: format!("transaction {id} cancelled; the network is as before") }
        }
        _ => Failure::Refused { error, transaction: Some(id), document },
    }
}
