//! The commands, one function each.

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::arguments::{
    self, Apply, Arguments, Changing, Command, Files, Form, OneFile, Plan, Planning, Restore, Revert, Show,
};
use super::daemon::{Daemon, options, when};
use super::document::Source;
use super::failure::{Exit, Failure};
use super::output::Output;
use super::terminal::Terminal;
use super::{confirm, edit, follow, nic_names, origin, peer, show, tools, transactions, trial};
use crate::state::{self, ErrorKind};
use crate::wire::{Options, Stage, TransactionId, TransactionInfo};

/// Runs `nmctl` on the arguments of this process.
pub fn run() -> ExitCode {
    if std::env::args_os().next().is_some_and(|program| peer::is_name(&program)) {
        return peer::run();
    }
    let arguments = Arguments::parse();
    let mut output = Output::new();
    let result = command(arguments, &mut output).and_then(|exit| output.flush().map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // What was printed before the failure belongs before it; if it cannot be written, the
            // failure itself is still to be told.
            let _ = output.flush();
            output.failure(&failure);
            failure.exit().into()
        }
    }
}

pub(super) fn command(arguments: Arguments, output: &mut Output) -> Result<Exit, Failure> {
    let socket = arguments.socket.as_deref();
    let daemon = || Daemon::connect(socket);
    match arguments.command {
        Command::Show(arguments) => show(daemon()?, &arguments, output)?,
        Command::Apply(arguments) if arguments.dry_run => {
            let Apply { input, restore, changing: Changing { planning, .. }, .. } = arguments;
            let arguments = Plan { input, restore, json: false, exit_code: false, planning };
            return plan(daemon()?, &arguments, output);
        }
        Command::Apply(arguments) => apply(daemon, &arguments, output)?,
        Command::Edit(arguments) => edit::run(daemon, arguments, output)?,
        Command::Try(arguments) => trial::run(daemon, &arguments, output)?,
        Command::Plan(arguments) => return plan(daemon()?, &arguments, output),
        Command::Commit(pending) => {
            ended(act(daemon()?, |daemon| daemon.commit(pending.id))?, output)?;
        }
        Command::Rollback(pending) => {
            taken_back(act(daemon()?, |daemon| daemon.rollback(pending.id))?, output)?;
        }
        Command::Cancel { id } => taken_back(act(daemon()?, |daemon| daemon.cancel(id))?, output)?,
        Command::Extend(arguments::Extend { pending, timeout }) => {
            ended(daemon()?.extend(pending.id, timeout)?, output)?;
        }
        Command::Status(form) => print(&daemon()?.status()?, &form, transactions::status, output)?,
        Command::Drift { form, exit_code } => return drift(daemon()?, &form, exit_code, output),
        Command::List(form) => print(&daemon()?.list()?, &form, |list| transactions::table(list), output)?,
        Command::Log { id, form } => log(daemon()?, id, &form, output)?,
        Command::History { limit, form } => {
            print(&daemon()?.history(limit)?, &form, |list| transactions::table(list), output)?;
        }
        Command::Monitor { json } => monitor(daemon()?, json, output)?,
        Command::Validate(arguments) if arguments.offline || arguments.current.current.is_some() => {
            tools::validate(&arguments, output)?;
        }
        Command::Validate(arguments) => validate(daemon()?, &arguments.input, output)?,
        Command::Format(input) => tools::format(&input, output)?,
        Command::Revert(Revert { input, current }) => match &current.current {
            Some(current) => tools::revert(&input, current, output)?,
            None => revert(daemon()?, &input, output)?,
        },
        Command::Difference(arguments) => tools::difference(&arguments, output)?,
        Command::Configuration(arguments) => tools::configuration(&arguments, output)?,
        Command::Autoconf(arguments) => tools::autoconf(daemon, &arguments, output)?,
        Command::PersistNicNames(arguments) => nic_names::run(daemon, &arguments, output)?,
        Command::Policy(arguments) => tools::policy(daemon, &arguments, output)?,
        Command::Statistic(arguments) => tools::statistic(daemon, &arguments, output)?,
        Command::Schema => output.data(&pretty(&state::json_schema()))?,
        Command::Explain { path } => explain(&path, output)?,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut arguments::command_line(), "nmctl", &mut script);
            output.data(&String::from_utf8_lossy(&script))?;
        }
        Command::Version => output.data(&format!("nmctl {}\n", env!("CARGO_PKG_VERSION")))?,
    }
    Ok(Exit::Done)
}

fn show(mut daemon: Daemon, arguments: &Show, output: &mut Output) -> Result<(), Failure> {
    let answer = daemon.show(options([
        ("kernel_only", when(arguments.kernel)),
        ("running_config_only", when(arguments.running_config)),
        ("show_secrets", when(arguments.show_secrets)),
    ]))?;
    let not_understood =
        |error| Failure::error(ErrorKind::Bug, format!("the state in the answer is not understood: {error}"));
    let state = daemon.sections(&answer)?;
    let state = match &arguments.pattern {
        Some(pattern) => show::selected(&state, pattern).map_err(not_understood)?,
        None => state,
    };
    let state = show::arranged(state).map_err(not_understood)?;
    output.stream(|out| {
        if arguments.json { state.write_json(out) } else { state.write_yaml(out) }.map_err(not_understood)
    })
}

pub(super) fn apply(
    daemon: impl Fn() -> Result<Daemon, Failure>,
    arguments: &Apply,
    output: &mut Output,
) -> Result<(), Failure> {
    // All are read before the first is applied: a name misspelt must not stop the work half-way.
    let sources = documents(&arguments.restore, &arguments.input, output)?;
    let mut interrupts = follow::Interrupts::take()?;
    let mut join = arguments.join;
    let mut terminal = Terminal::open();
    let mut changing = changing_options(&arguments.changing, terminal.is_some());
    // What is decided later is not asked now, and must outlive us.
    terminal.take_if(|_| arguments.no_commit || join.is_some() || !changing.contains_key("client_address"));
    changing.extend(options([("cancel_on_disconnect", when(terminal.is_some()))]));
    for source in &sources {
        let mut daemon = daemon()?;
        let mut options = changing.clone();
        options.extend(self::options([
            ("commit", arguments.no_commit.then_some(json!(false))),
            ("wait", when(arguments.wait)),
            ("join", join.map(Json::from)),
            ("restore", when(source.is_none())),
        ]));
        daemon.apply(text(source), options)?;
        let transaction = follow::to_its_end(&mut daemon, &mut interrupts, output)
            .map_err(|failure| about(failure, source))?;
        output.difference(&transaction.diff)?;
        output.flush()?;
        if arguments.no_commit && transaction.stage == Stage::AwaitingCommit {
            join = Some(transaction.id);
        }
        let transaction = match &mut terminal {
            Some(terminal) if transaction.stage == Stage::AwaitingCommit => {
                confirm::confirmed(&mut daemon, &transaction, terminal, &mut interrupts, output)?
            }
            _ => transaction,
        };
        ended(transaction, output)?;
    }
    Ok(())
}

fn plan(mut daemon: Daemon, arguments: &Plan, output: &mut Output) -> Result<Exit, Failure> {
    let sources = documents(&arguments.restore, &arguments.input, output)?;
    let mut differs = false;
    for source in &sources {
        let mut options = planning_options(&arguments.planning, true);
        options.extend(self::options([("restore", when(source.is_none()))]));
        let plan = daemon.plan(text(source), options).map_err(|failure| about(failure, source))?;
        warnings(&plan.warnings, output);
        differs |= !plan.changes.is_empty();
        if arguments.json {
            output.data(&pretty(&plan))?;
        } else if plan.changes.is_empty() {
            output.note("nothing to change: the network is as asked");
        } else {
            output.difference(&plan.diff)?;
        }
    }
    Ok(if differs && arguments.exit_code { Exit::Differs } else { Exit::Done })
}

/// The documents to apply; for `--restore` one that only the daemon has.
fn documents(restore: &Restore, input: &Files, output: &mut Output) -> Result<Vec<Option<Source>>, Failure> {
    if restore.restore {
        return Ok(vec![None]);
    }
    Ok(read(input, output)?.into_iter().map(Some).collect())
}

fn text(source: &Option<Source>) -> Option<&str> {
    source.as_ref().map(|source| source.text.as_str())
}

fn about(failure: Failure, source: &Option<Source>) -> Failure {
    match source {
        Some(source) => failure.about(source),
        None => failure,
    }
}

fn drift(mut daemon: Daemon, form: &Form, exit_code: bool, output: &mut Output) -> Result<Exit, Failure> {
    let drift = daemon.drift()?;
    print(&drift, form, transactions::drift, output)?;
    match transactions::drift_summary(drift.count, drift.since) {
        _ if form.json => {}
        None => output.note("no drift: the network is as it was committed"),
        Some(summary) => {
            output.note(&format!("drift: {summary}; `nmctl apply --restore` applies what is committed"));
        }
    }
    Ok(if drift.count > 0 && exit_code { Exit::Differs } else { Exit::Done })
}

/// How documents are understood. Where the user sits is looked for only if that `matters`.
pub(super) fn planning_options(planning: &Planning, matters: bool) -> Options {
    let (client, server) = match planning.client_address.as_deref() {
        Some("none") => (None, None),
        Some(given) => (Some(given.to_owned()), None),
        None => matters.then(origin::find).flatten().map(|origin| (origin.client, origin.server)).unzip(),
    };
    options([
        ("memory_only", when(planning.memory_only)),
        ("override_interfaces", when(planning.override_iface)),
        ("client_address", client.map(Json::from)),
        ("server_address", server.flatten().map(Json::from)),
        ("backend", planning.backend.as_deref().map(Json::from)),
    ])
}

/// How a change is made. Where the user sits is looked for only if that `matters`.
pub(super) fn changing_options(changing: &Changing, matters: bool) -> Options {
    let Changing { timeout, no_verify, probing, planning } = changing;
    // An empty list wants none, nothing leaves it to the daemon.
    let probes = (probing.no_probes || !probing.probe.is_empty()).then(|| json!(probing.probe));
    let mut options = planning_options(planning, matters);
    options.extend(self::options([
        ("timeout_s", timeout.map(Json::from)),
        ("verify", no_verify.then_some(json!(false))),
        ("probes", probes),
    ]));
    options
}

/// Does what ends a transaction; a refusal is completed with what could not be put back.
fn act(
    mut daemon: Daemon,
    act: impl FnOnce(&mut Daemon) -> Result<TransactionInfo, Failure>,
) -> Result<TransactionInfo, Failure> {
    act(&mut daemon).map_err(|failure| follow::explained(failure, None, false, &daemon))
}

/// Tells how a transaction stands that was to succeed.
pub fn ended(transaction: TransactionInfo, output: &mut Output) -> Result<(), Failure> {
    let transaction = follow::judged(transaction, false)?;
    warnings(&transaction.warnings, output);
    output.note(&transactions::outcome(&transaction));
    Ok(())
}

/// Tells how a transaction ended that was to be taken back.
fn taken_back(transaction: TransactionInfo, output: &mut Output) -> Result<(), Failure> {
    if transaction.unrestored.is_empty() {
        output.note(&transactions::outcome(&transaction));
        return Ok(());
    }
    follow::judged(transaction, false).map(drop)
}

fn log(mut daemon: Daemon, id: TransactionId, form: &Form, output: &mut Output) -> Result<(), Failure> {
    let transaction = daemon.log(id)?;
    print(&transaction, form, transactions::full, output)?;
    if form.json { Ok(()) } else { output.difference(&transaction.diff) }
}

fn monitor(mut daemon: Daemon, json: bool, output: &mut Output) -> Result<(), Failure> {
    daemon.monitor()?;
    loop {
        while let Some(event) = daemon.arrived_event()? {
            let line = if json { compact(&event) } else { transactions::event(&event) };
            output.lines(&line)?;
        }
        output.flush()?;
        follow::wait_while_read(&mut daemon, output)?;
    }
}

fn validate(mut daemon: Daemon, input: &Files, output: &mut Output) -> Result<(), Failure> {
    for source in read(input, output)? {
        let found = daemon.validate(&source.text).map_err(|failure| failure.about(&source))?;
        warnings(&found, output);
        output.note(&format!("{}: valid", source.name));
    }
    Ok(())
}

fn revert(mut daemon: Daemon, input: &OneFile, output: &mut Output) -> Result<(), Failure> {
    let source = Source::read(&input.file, output)?;
    let state = daemon.generate_revert(&source.text).map_err(|failure| failure.about(&source))?;
    if input.json {
        return output.data(&pretty(&state));
    }
    match serde_yaml::to_string(&state) {
        Ok(text) => output.data(&text),
        Err(error) => Err(Failure::error(ErrorKind::Bug, format!("the state cannot be printed: {error}"))),
    }
}

/// Explains the keys that a path may mean.
fn explain(path: &str, output: &mut Output) -> Result<(), Failure> {
    match state::explain(path) {
        Ok(found) => {
            let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
            output.lines(&texts.join("\n"))
        }
        Err(near) => {
            let hint = near.map_or(String::new(), |key| format!("; did you mean `{key}`?"));
            Err(Failure::error(ErrorKind::NotFound, format!("documents have no key `{path}`{hint}")))
        }
    }
}

/// All documents named.
pub fn read(input: &Files, output: &mut Output) -> Result<Vec<Source>, Failure> {
    input.files.iter().map(|file| Source::read(file, output)).collect()
}

pub(super) fn warnings(warnings: &[impl ToString], output: &mut Output) {
    warnings.iter().for_each(|warning| output.note(&format!("warning: {}", warning.to_string())));
}

fn print<T: Serialize>(
    value: &T,
    form: &Form,
    text: impl FnOnce(&T) -> String,
    output: &mut Output,
) -> Result<(), Failure> {
    if form.json { output.data(&pretty(value)) } else { output.lines(&text(value)) }
}

pub(super) fn pretty(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect("what came as JSON can be printed as JSON") + "\n"
}

fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("what came as JSON can be printed as JSON")
}
