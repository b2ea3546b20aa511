//! Asking whether a change that awaits commit shall stay. Only an answer keeps it: silence, a
//! terminal that goes away and a killed `nmctl` are all the same to the daemon, which puts it back.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::daemon::Daemon;
use super::failure::Failure;
use super::follow::{Interrupts, judged, ready};
use super::output::Output;
use super::terminal::Terminal;
use crate::wire::{Event, Stage, TransactionId, TransactionInfo};

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Keep,
    PutBack,
    /// So many seconds more.
    More(u32),
    Unclear,
}

/// No more input is an answer too.
fn understood(typed: Option<&str>) -> Answer {
    match typed {
        Some("y" | "yes") => Answer::Keep,
        None | Some("" | "n" | "no") => Answer::PutBack,
        Some(text) => match text.strip_prefix('+').map(str::parse) {
            Some(Ok(seconds)) => Answer::More(seconds),
            _ => Answer::Unclear,
        },
    }
}

/// How the question ended.
enum Verdict {
    Answered(bool),
    Interrupted,
    /// The transaction ended without us.
    Ended(Box<TransactionInfo>),
}

/// Asks about a transaction that awaits commit, and does what is answered. `daemon` is the
/// connection that it ends with.
pub fn confirmed(
    daemon: &mut Daemon,
    transaction: &TransactionInfo,
    terminal: &mut Terminal,
    interrupts: &mut Interrupts,
    output: &mut Output,
) -> Result<TransactionInfo, Failure> {
    let id = transaction.id;
    let verdict = Question::new(daemon, transaction)?.settle(terminal, interrupts, output)?;
    match verdict {
        Verdict::Answered(true) => daemon.commit(Some(id)).or_else(|failure| too_late(id, failure, daemon)),
        Verdict::Answered(false) => put_back(daemon.rollback(Some(id))?, "as answered"),
        Verdict::Interrupted => {
            output.note(&format!("interrupted: putting transaction {id} back"));
            judged(daemon.rollback(Some(id))?, true)
        }
        Verdict::Ended(info) if info.stage == Stage::Committed => {
            output.note(&format!("transaction {id} was committed by somebody else"));
            Ok(*info)
        }
        Verdict::Ended(info) => put_back(*info, "somebody else wanted that"),
    }
}

/// The failure that tells of a change that is put back.
fn put_back(info: TransactionInfo, why: &str) -> Result<TransactionInfo, Failure> {
    if !info.unrestored.is_empty() || info.stage != Stage::RolledBack {
        return judged(info, false);
    }
    let why = info.error.map_or(why.to_owned(), |error| error.message);
    Err(Failure::NotKept { message: format!("transaction {} is put back: {why}", info.id) })
}

/// A commit was refused: the time may just have been over.
fn too_late(id: TransactionId, failure: Failure, daemon: &Daemon) -> Result<TransactionInfo, Failure> {
    if !matches!(failure, Failure::Refused { .. }) {
        return Err(failure);
    }
    let info = daemon.again()?.log(id)?;
    if info.stage.is_end() { put_back(info, "it was too late") } else { Err(failure) }
}

struct Question<'a> {
    /// What the transaction ends with; says nothing while we ask, but shows when the daemon is gone.
    daemon: &'a Daemon,
    /// Tells what becomes of the transaction meanwhile.
    watch: Daemon,
    id: TransactionId,
    deadline: Instant,
    /// Whether it was told how the transaction is.
    is_told: bool,
}

impl<'a> Question<'a> {
    fn new(daemon: &'a Daemon, transaction: &TransactionInfo) -> Result<Self, Failure> {
        let mut watch = daemon.again()?;
        watch.monitor()?;
        Ok(Self { daemon, watch, id: transaction.id, deadline: deadline(transaction), is_told: false })
    }

    fn settle(
        mut self,
        terminal: &mut Terminal,
        interrupts: &mut Interrupts,
        output: &mut Output,
    ) -> Result<Verdict, Failure> {
        // A terminal that is gone shows when it is read.
        let _ = terminal.forget_typed();
        let mut shown = String::new();
        loop {
            if let Some(ended) = self.news()? {
                let _ = terminal.leave();
                return Ok(Verdict::Ended(Box::new(ended)));
            }
            if interrupts.came() {
                let _ = terminal.leave();
                return Ok(Verdict::Interrupted);
            }
            let (question, next) = self.question();
            let asked = match shown.len() == question.len() {
                true if shown == question => Ok(()),
                true => terminal.ask_again(&question),
                false => terminal.ask(&question),
            };
            if asked.is_err() {
                return Ok(Verdict::Answered(false));
            }
            shown = question;
            let [is_answered, has_news, is_lost, _] = ready(
                [
                    PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
                    PollFd::new(self.watch.connection().as_fd(), PollFlags::POLLIN),
                    PollFd::new(self.daemon.connection().as_fd(), PollFlags::POLLIN),
                    PollFd::new(interrupts.as_fd(), PollFlags::POLLIN),
                ],
                next,
            )?;
            if has_news {
                self.watch.read_some()?;
            }
            if is_lost {
                return Err(self.daemon.is_gone());
            }
            if !is_answered {
                continue;
            }
            let Ok(typed) = terminal.answer() else { return Ok(Verdict::Answered(false)) };
            match understood(typed.as_deref()) {
                Answer::Keep => return Ok(Verdict::Answered(true)),
                Answer::PutBack => {
                    if typed.is_none() {
                        let _ = terminal.leave();
                    }
                    return Ok(Verdict::Answered(false));
                }
                Answer::More(seconds) => match self.daemon.again()?.extend(Some(self.id), seconds) {
                    Ok(extended) => self.deadline = deadline(&extended),
                    Err(failure) => output.failure(&failure),
                },
                Answer::Unclear => output.note("y keeps it, n puts it back, +60 gives 60 seconds more"),
            }
            // A line was typed: the question begins another.
            shown.clear();
        }
    }

    /// Takes what has arrived; answers with the transaction if it has ended.
    fn news(&mut self) -> Result<Option<TransactionInfo>, Failure> {
        while let Some(event) = self.watch.arrived_event()? {
            let info = match event {
                Event::Transaction { transaction } if transaction.id == self.id => transaction,
                // The present transactions come before this; ours was not one of them any more.
                Event::Network { .. } if !self.is_told => self.daemon.again()?.log(self.id)?,
                Event::Lost { .. } => self.daemon.again()?.log(self.id)?,
                Event::Transaction { .. } | Event::Network { .. } | Event::Drift { .. } => continue,
            };
            self.is_told = true;
            if info.stage.is_end() {
                return Ok(Some(info));
            }
            if info.stage == Stage::AwaitingCommit {
                self.deadline = deadline(&info);
            }
        }
        Ok(None)
    }

    /// The question with the whole seconds that are left, and when it is to be written again.
    fn question(&self) -> (String, PollTimeout) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let question = format!("Keep this change? [y/N], put back in {:>2} s ", seconds(left));
        let until_next = u16::try_from(left.subsec_millis()).unwrap_or(0) + 1;
        (question, if left.is_zero() { PollTimeout::NONE } else { PollTimeout::from(until_next) })
    }
}

/// Whole seconds, as long as there is a part of one.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn deadline(transaction: &TransactionInfo) -> Instant {
    Instant::now() + Duration::from_secs(transaction.seconds_left.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_keeps() {
        for (typed, expected) in [
            (Some("y"), Answer::Keep),
            (Some("yes"), Answer::Keep),
            (Some("n"), Answer::PutBack),
            (Some("no"), Answer::PutBack),
            (Some(""), Answer::PutBack),
            (None, Answer::PutBack),
            (Some("+60"), Answer::More(60)),
            (Some("+"), Answer::Unclear),
            (Some("+-1"), Answer::Unclear),
            (Some("yy"), Answer::Unclear),
            (Some("maybe"), Answer::Unclear),
        ] {
            assert_eq!(understood(typed), expected, "{typed:?}");
        }
    }
}
