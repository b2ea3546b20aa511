//! `nmctl try`: all documents as one change, kept only by an answer.

use serde_json::{Value as Json, json};

use super::arguments::Try;
use super::commands::{changing_options, ended, read};
use super::confirm::confirmed;
use super::daemon::{Daemon, options, when};
use super::failure::Failure;
use super::follow::{Interrupts, to_its_end};
use super::output::Output;
use super::terminal::Terminal;
use crate::wire::{Stage, TransactionId};

pub fn run(
    daemon: impl Fn() -> Result<Daemon, Failure>,
    arguments: &Try,
    output: &mut Output,
) -> Result<(), Failure> {
    let Some(mut terminal) = Terminal::open() else {
        return Err(Failure::Usage {
            message: "`nmctl try` asks on a terminal, and there is none".into(),
            hint: "`nmctl apply --no-commit` waits for `nmctl commit` from elsewhere".into(),
        });
    };
    let sources = read(&arguments.input, output)?;
    let mut interrupts = Interrupts::take()?;
    let changing = changing_options(&arguments.changing, true);
    // One connection for all: the change ends with it.
    let mut daemon = daemon()?;
    let mut pending: Option<TransactionId> = None;
    let mut last = None;
    for source in &sources {
        let mut options = changing.clone();
        options.extend(self::options([
            ("commit", Some(json!(false))),
            ("cancel_on_disconnect", Some(json!(true))),
            ("wait", when(arguments.wait && pending.is_none())),
            ("join", pending.map(Json::from)),
        ]));
        daemon.apply(Some(&source.text), options)?;
        match to_its_end(&mut daemon, &mut interrupts, output) {
            Ok(transaction) => {
                pending = Some(transaction.id).filter(|_| transaction.stage == Stage::AwaitingCommit);
                last = Some(transaction);
            }
            Err(failure) => {
                let failure = failure.about(source);
                return Err(give_up(&daemon, pending, failure, output));
            }
        }
    }
    // Documents are at least one: standard input.
    let Some(transaction) = last else { return Ok(()) };
    output.difference(&transaction.diff)?;
    output.flush()?;
    let transaction = match transaction.stage {
        Stage::AwaitingCommit => {
            confirmed(&mut daemon, &transaction, &mut terminal, &mut interrupts, output)?
        }
        _ => transaction,
    };
    ended(transaction, output)
}

/// A document failed: those before it are put back, unless that happened with it.
fn give_up(
    daemon: &Daemon,
    pending: Option<TransactionId>,
    failure: Failure,
    output: &mut Output,
) -> Failure {
    let Some(id) = pending else { return failure };
    match daemon.again().and_then(|mut daemon| daemon.rollback(Some(id))) {
        Ok(_) => output.note(&format!("transaction {id}, the documents before, is put back")),
        // It is gone already, or goes with our connection.
        Err(_) => output.note(&format!("transaction {id}, the documents before, is not kept")),
    }
    failure
}
