//! `nmctl` under the name `nmstatectl`: that tool's command line, what it prints, and its exit codes. What a
//! command does is what `nmctl`'s own does; only `apply`, `validate`, `commit` and `rollback` answer otherwise.

mod arguments;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::json;

use self::arguments::{Apply, Arguments, Command, VERSION};
use super::arguments::{
    Arguments as OwnArguments, Autoconf, Captures, Changing, Command as Own, Configuration, Current, Edit,
    Files, NicNames, OneFile, Planning, Policy, Probing, Program, Renderer, Revert, Show, Statistic,
};
use super::daemon::{Daemon, options, when};
use super::document::Source;
use super::failure::Failure;
use super::output::Output;
use super::{commands, follow, tools};
use crate::state::{ErrorKind, State};
use crate::wire::{Stage, TransactionId};

/// Before the number of a checkpoint: its path on D-Bus.
const CHECKPOINT: &str = "/io/nmstate/Daemon/checkpoint/";
/// Before its path on the last line that `apply --no-commit` prints, which stays a YAML document by it.
const LAST_LINE: &str = "# checkpoint: ";

/// Where the documents are that a boot applies.
const FOLDER: &str = "/etc/nmstate";

/// The exit code of what is neither a document's fault nor one of usage (`EX_DATAERR` of sysexits.h).
const NOT_READ: u8 = 65;

/// Whether a program of that name is to be `nmstatectl`.
pub fn is_name(program: &OsStr) -> bool {
    Path::new(program).file_name().is_some_and(|name| name == "nmstatectl")
}

/// Runs `nmstatectl` on the arguments of this process.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::new();
    output.notes = !arguments.quiet;
    output.steps = arguments.verbose > 0 && !arguments.quiet;
    let done = command(arguments.command, &mut output);
    let flushed = output.flush();
    match done.and_then(|()| flushed.map_err(Ended::from)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Ended { failure, code }) => {
            output.failure(&failure);
            code.into()
        }
    }
}

/// A failure and its exit code.
struct Ended {
    failure: Failure,
    code: u8,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let code = match failure {
            Failure::NobodyReads => 0,
            Failure::Usage { .. } => 2,
            _ => 1,
        };
        Self { failure, code }
    }
}

fn command(command: Command, output: &mut Output) -> Result<(), Ended> {
    let own = match command {
        Command::Show { ifname, kernel, running_config, show_secrets, json } => {
            let pattern = ifname.map(|name| literally(&name));
            Own::Show(Show { pattern, json, kernel, running_config, show_secrets })
        }
        Command::Apply(arguments) => return apply(&arguments, output),
        Command::Edit { ifname, no_verify, no_commit, memory_only } => Own::Edit(Edit {
            pattern: ifname.map(|name| literally(&name)),
            no_commit,
            changing: Changing {
                timeout: None,
                no_verify,
                probing: Probing { probe: Vec::new(), no_probes: false },
                planning: Planning {
                    memory_only,
                    override_iface: false,
                    client_address: None,
                    backend: None,
                },
            },
        }),
        Command::Gc { file } => {
            let input = OneFile { file, json: false };
            Own::Configuration(Configuration {
                input,
                backend: Program::NetworkManager,
                renderer: Renderer::default(),
            })
        }
        Command::PersistNicNames { dry_run, inspect, cleanup, kargs_out, root } => {
            let current = Current { current: None };
            Own::PersistNicNames(NicNames { root, dry_run, inspect, cleanup, kargs_out, current })
        }
        Command::Autoconf { dry_run: true, names } => {
            Own::Autoconf(Autoconf { names, current: Current { current: None }, json: false })
        }
        Command::Autoconf { dry_run: false, .. } => {
            let message = "autoconf prints the document with --dry-run; apply that by `nmstatectl apply`";
            return Err(Failure::error(ErrorKind::NotSupportedError, message).into());
        }
        Command::Service { config } => return service(config.as_deref(), output),
        Command::Commit { checkpoint } => {
            Daemon::connect(None)?.commit(number(checkpoint.as_deref())?)?;
            return Ok(output.data(&(checkpoint.unwrap_or_default() + "\n"))?);
        }
        Command::Rollback { checkpoint } => {
            let ended = Daemon::connect(None)?.rollback(number(checkpoint.as_deref())?)?;
            if !ended.unrestored.is_empty() {
                follow::judged(ended, false)?;
            }
            return Ok(output.data(&(checkpoint.unwrap_or_default() + "\n"))?);
        }
        Command::Gr { file, current, json } => Own::Revert(Revert { input: OneFile { file, json }, current }),
        Command::Statistic { files, current, json } => {
            Own::Statistic(Statistic { input: Files { files }, current, json })
        }
        Command::Validate { file, current } => return validate(file, current.current, output),
        Command::Format { file } => Own::Format(OneFile { file, json: false }),
        Command::Policy { file, current, captured, output_captured, json } => Own::Policy(Policy {
            input: OneFile { file, json },
            current,
            captures: Captures { captured, output_captured },
        }),
        Command::Version => return Ok(output.data(&format!("nmstatectl {VERSION}\n"))?),
    };
    commands::command(OwnArguments { socket: None, command: own }, output)?;
    Ok(())
}

/// A pattern that this name alone matches.
fn literally(name: &str) -> String {
    name.chars().flat_map(|c| if "*?[".contains(c) { vec!['[', c, ']'] } else { vec![c] }).collect()
}

/// Applies the documents, and prints for each what it changed, as a document.
fn apply(arguments: &Apply, output: &mut Output) -> Result<(), Ended> {
    let Ok(timeout) = arguments.timeout.parse::<u32>() else {
        let message = format!("--timeout {}: not a number of seconds", arguments.timeout);
        return Err(Ended { failure: Failure::error(ErrorKind::InvalidArgument, message), code: NOT_READ });
    };
    let sources = commands::read(&Files { files: arguments.files.clone() }, output)?;
    let mut interrupts = follow::Interrupts::take()?;
    let mut join: Option<TransactionId> = None;
    for source in &sources {
        let mut asked = difference(source, output)?;
        if arguments.show_secrets {
            asked.reveal_secrets();
        }
        let mut daemon = Daemon::connect(None)?;
        let options = options([
            ("timeout_s", Some(json!(timeout))),
            ("verify", arguments.no_verify.then_some(json!(false))),
            ("commit", arguments.no_commit.then_some(json!(false))),
            ("memory_only", when(arguments.memory_only)),
            ("override_interfaces", when(arguments.override_iface)),
            ("backend", arguments.kernel.then_some(json!("kernel"))),
            ("join", join.map(|id| json!(id))),
        ]);
        daemon.apply(Some(&source.text), options)?;
        let transaction = follow::to_its_end(&mut daemon, &mut interrupts, output)
            .and_then(|transaction| follow::judged(transaction, false))
            .map_err(|failure| failure.about(source))?;
        commands::warnings(&transaction.warnings, output);
        output.data(&asked.to_yaml())?;
        if transaction.stage == Stage::AwaitingCommit {
            join = Some(transaction.id);
        }
        output.flush()?;
    }
    if let Some(id) = join {
        output.data(&format!("{LAST_LINE}{CHECKPOINT}{id}\n"))?;
    }
    Ok(())
}

/// What a document is about to change. Where only the daemon can tell whether it can be, all of it.
fn difference(source: &Source, output: &mut Output) -> Result<State, Failure> {
    let given = tools::given(source, output)?;
    let daemon = || Daemon::connect(None);
    let options = options([("running_config_only", when(true))]);
    let present = tools::Present { file: None, daemon, options };
    let present = present.state(output)?;
    let (desired, _) = given.state(Some(&present)).map_err(|problems| source.wrong(problems))?;
    Ok(crate::tools::difference(&desired, &present).unwrap_or(desired))
}

/// Prints a document that is valid as it is understood.
fn validate(file: PathBuf, current: Option<PathBuf>, output: &mut Output) -> Result<(), Ended> {
    let source = Source::read(&file, output)?;
    let given = tools::given(&source, output)?;
    let current = current.map(|current| tools::state_in(&current, output)).transpose()?;
    let refused = |problems| source.wrong(problems);
    let Some(policy) = given.policy() else {
        let (desired, _) = given.state(None).map_err(refused)?;
        let checked = match &current {
            Some(current) => crate::tools::check(&desired, current),
            None => crate::tools::configuration::check(&desired),
        };
        commands::warnings(&checked.map_err(|problems| refused(given.place(problems)))?, output);
        return Ok(tools::print(desired, false, output)?);
    };
    // Without a state to look at a policy can only be read.
    let Some(current) = current else { return Ok(tools::print_any(policy, false, output)?) };
    let (desired, found) = given.state(Some(&current)).map_err(refused)?;
    commands::warnings(&found, output);
    let checked = crate::tools::check(&desired, &current);
    commands::warnings(&checked.map_err(|problems| refused(given.place(problems)))?, output);
    Ok(tools::print_any(&policy.clone().on(current), false, output)?)
}

/// The documents of the usual folder are applied already.
fn service(folder: Option<&Path>, output: &mut Output) -> Result<(), Ended> {
    match folder {
        Some(folder) if folder != Path::new(FOLDER) => {
            let folder = folder.display();
            let message =
                format!("nmstated applies the documents of {folder} once its configuration says so");
            Err(Failure::error(ErrorKind::NotSupportedError, message).into())
        }
        _ => {
            output.note(&format!(
                "nmstated applies the documents of {FOLDER} by itself: when it starts or reloads"
            ));
            Ok(())
        }
    }
}

/// The number of a checkpoint in any form in which it is printed; None: the only one.
fn number(checkpoint: Option<&str>) -> Result<Option<TransactionId>, Failure> {
    let Some(text) = checkpoint else { return Ok(None) };
    let path = text.strip_prefix(LAST_LINE).unwrap_or(text).trim();
    let id = path.strip_prefix(CHECKPOINT).unwrap_or(path).parse();
    id.map(Some).map_err(|_| Failure::error(ErrorKind::NotFound, format!("there is no checkpoint `{text}`")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::show::matches;
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn it_is_known_by_its_name() {
        assert!(is_name(OsStr::new("/usr/bin/nmstatectl")));
        assert!(!is_name(OsStr::new("./nmctl")) && !is_name(OsStr::new("/usr/bin/nmstatectl/nmctl")));
    }

    #[test]
    fn a_checkpoint_has_the_forms_in_which_it_is_printed() {
        for text in
            ["7", "/io/nmstate/Daemon/checkpoint/7", "# checkpoint: /io/nmstate/Daemon/checkpoint/7\n"]
        {
            assert!(matches!(number(Some(text)), Ok(Some(7))), "{text}");
        }
        assert!(matches!(number(None), Ok(None)));
        for text in ["", "/org/freedesktop/NetworkManager/Checkpoint/1", "-7", "7x"] {
            assert!(number(Some(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_is_no_pattern() {
        for name in ["eth0", "a*b", "[x]", "w?"] {
            assert!(matches(&literally(name), name), "{name}");
        }
        assert!(!matches(&literally("e*"), "eth0"));
    }
}
