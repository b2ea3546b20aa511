//! The commands that make documents from documents. They ask the daemon only for the present state of the
//! network, and only where none is given and one is needed.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::arguments::{
    Autoconf, Captures, Configuration, Current, Difference, OneFile, Policy, Statistic, Validate,
};
use super::commands::{pretty, read, warnings};
use super::daemon::{Daemon, options, when};
use super::document::Source;
use super::failure::Failure;
use super::files;
use super::output::Output;
use crate::state::{Document, ErrorKind, State};
use crate::tools::{self, Given};
use crate::wire::Options;

/// Where the present state of the network comes from.
pub struct Present<'a, F> {
    /// A file with it.
    pub file: Option<&'a Path>,
    /// The daemon, asked only if there is no file.
    pub daemon: F,
    /// What of it the daemon is asked for.
    pub options: Options,
}

impl<F: FnOnce() -> Result<Daemon, Failure>> Present<'_, F> {
    /// The state; without secrets where the daemon has to be asked.
    pub fn state(self, output: &mut Output) -> Result<State, Failure> {
        if let Some(file) = self.file {
            return state_in(file, output);
        }
        let mut daemon = (self.daemon)()?;
        let answer = daemon.show(self.options)?;
        let text = serde_json::to_value(daemon.sections(&answer)?);
        let read = text.map(|json| Document::from_json(&json).state());
        match read {
            Ok(Ok((state, _))) => Ok(state),
            Ok(Err(problems)) => {
                let text = problems.first().map(ToString::to_string).unwrap_or_default();
                Err(Failure::error(
                    ErrorKind::Bug,
                    format!("the state in the answer is not understood: {text}"),
                ))
            }
            Err(error) => Err(Failure::error(
                ErrorKind::Bug,
                format!("the state in the answer is not understood: {error}"),
            )),
        }
    }
}

/// A file with a state. One without anything is an empty state.
pub(super) fn state_in(file: &Path, output: &mut Output) -> Result<State, Failure> {
    let source = Source::read(file, output)?;
    let document = source.document()?;
    if document.node().is_null() {
        return Ok(State::empty());
    }
    let (state, found) = document.state().map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    Ok(state)
}

/// A document or policy, and its text.
pub fn given(source: &Source, output: &mut Output) -> Result<Given, Failure> {
    let (given, found) = Given::read(source.document()?).map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    Ok(given)
}

/// Standard input can be read only once.
fn at_most_one_from_stdin<'p>(files: impl IntoIterator<Item = &'p PathBuf>) -> Result<(), Failure> {
    if files.into_iter().filter(|file| file.as_os_str() == "-").count() > 1 {
        return Err(Failure::Usage {
            message: "standard input can be only one of the files".to_owned(),
            hint: "give the others by their names".to_owned(),
        });
    }
    Ok(())
}

/// Prints a state as the user's own: what is secret in it came from the user.
pub(super) fn print(mut state: State, json: bool, output: &mut Output) -> Result<(), Failure> {
    state.reveal_secrets();
    output.data(&if json { state.to_json_pretty() + "\n" } else { state.to_yaml() })
}

pub(super) fn print_any(value: &impl Serialize, json: bool, output: &mut Output) -> Result<(), Failure> {
    if json {
        return output.data(&pretty(value));
    }
    match serde_yaml::to_string(value) {
        Ok(text) => output.data(&text),
        Err(error) => Err(Failure::error(ErrorKind::Bug, format!("this cannot be printed: {error}"))),
    }
}

pub fn statistic(
    daemon: impl FnOnce() -> Result<Daemon, Failure>,
    arguments: &Statistic,
    output: &mut Output,
) -> Result<(), Failure> {
    let Statistic { input, current: Current { current }, json } = arguments;
    at_most_one_from_stdin(input.files.iter().chain(current))?;
    let sources = read(input, output)?;
    // Nothing that was leased or learned.
    let configured = options([("running_config_only", when(true))]);
    let current = Present { file: current.as_deref(), daemon, options: configured }.state(output)?;
    let mut states = Vec::new();
    let mut givens = Vec::new();
    for source in &sources {
        let given = given(source, output)?;
        let (state, found) = given.state(Some(&current)).map_err(|problems| source.wrong(problems))?;
        warnings(&found, output);
        states.push(state);
        givens.push((given, source));
    }
    let statistic = tools::statistic(&tools::merged(states), &current);
    let statistic = statistic.map_err(|problems| match givens.as_slice() {
        [(given, source)] => source.wrong(given.place(problems)),
        // Where in which of them something stands is not known.
        _ => Failure::of(problems),
    })?;
    print_any(&statistic, *json, output)
}

pub fn difference(arguments: &Difference, output: &mut Output) -> Result<(), Failure> {
    let Difference { old, new, json } = arguments;
    at_most_one_from_stdin([old, new])?;
    let current = state_in(old, output)?;
    let source = Source::read(new, output)?;
    let given = given(&source, output)?;
    let (desired, found) = given.state(Some(&current)).map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    let state =
        tools::difference(&desired, &current).map_err(|problems| source.wrong(given.place(problems)))?;
    print(state, *json, output)
}

/// The document that leads back to a state from a file.
pub fn revert(arguments: &OneFile, current: &PathBuf, output: &mut Output) -> Result<(), Failure> {
    at_most_one_from_stdin([&arguments.file, current])?;
    let current = state_in(current, output)?;
    let source = Source::read(&arguments.file, output)?;
    let given = given(&source, output)?;
    let (desired, found) = given.state(Some(&current)).map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    let state = tools::revert(&desired, &current).map_err(|problems| source.wrong(given.place(problems)))?;
    print(state, arguments.json, output)
}

pub fn policy(
    daemon: impl FnOnce() -> Result<Daemon, Failure>,
    arguments: &Policy,
    output: &mut Output,
) -> Result<(), Failure> {
    let Policy { input: OneFile { file, json }, current: Current { current }, captures } = arguments;
    let Captures { captured, output_captured } = captures;
    at_most_one_from_stdin([file].into_iter().chain(current).chain(captured))?;
    let source = Source::read(file, output)?;
    let given = given(&source, output)?;
    let captured = match captured {
        None => None,
        Some(file) => {
            let source = Source::read(file, output)?;
            Some(tools::captured::read(&source.document()?).map_err(|problems| source.wrong(problems))?)
        }
    };
    let needs_current = current.is_some() || given.needs_current() && captured.is_none();
    let present = Present { file: current.as_deref(), daemon, options: Options::default() };
    let current = needs_current.then(|| present.state(output)).transpose()?;
    let filled = given.filled(current.as_ref(), captured).map_err(|problems| source.wrong(problems))?;
    warnings(&filled.warnings, output);
    if let Some(file) = output_captured {
        let json_text = tools::captured::to_json(&filled.captured, &files::now());
        let text = if *json { Ok(pretty(&json_text)) } else { serde_yaml::to_string(&json_text) };
        let text =
            text.map_err(|error| Failure::error(ErrorKind::Bug, format!("this cannot be printed: {error}")))?;
        files::write_private(file, text.as_bytes())?;
    }
    print(filled.state, *json, output)
}

/// Prints the files of another program, by its name: of each the name and the content.
pub fn configuration(arguments: &Configuration, output: &mut Output) -> Result<(), Failure> {
    let OneFile { file, json } = &arguments.input;
    let source = Source::read(file, output)?;
    let given = given(&source, output)?;
    if given.needs_current() {
        let message = "what this policy captures depends on the network; see `nmctl policy`";
        return Err(Failure::error(ErrorKind::InvalidArgument, message));
    }
    let (mut state, found) = given.state(None).map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    state.reveal_secrets();
    let (name, program) = arguments.program();
    let made = tools::configuration::of(&state, program);
    let made = made.map_err(|problems| source.wrong(given.place(problems)))?;
    warnings(&made.warnings, output);
    print_any(&serde_json::json!({ name: made.files }), *json, output)
}

/// Prints the document with the VLANs that are announced.
pub fn autoconf(
    daemon: impl FnOnce() -> Result<Daemon, Failure>,
    arguments: &Autoconf,
    output: &mut Output,
) -> Result<(), Failure> {
    let Autoconf { names, current: Current { current }, json } = arguments;
    let present = Present { file: current.as_deref(), daemon, options: Options::default() };
    let state = present.state(output)?;
    let (document, left_out) = tools::autoconf(&state, names).map_err(Failure::of)?;
    warnings(&left_out, output);
    print(document, *json, output)
}

/// Checks without the daemon: against a state from a file, or the documents alone.
pub fn validate(arguments: &Validate, output: &mut Output) -> Result<(), Failure> {
    let Validate { input, current: Current { current }, .. } = arguments;
    at_most_one_from_stdin(input.files.iter().chain(current))?;
    let sources = read(input, output)?;
    let current = current.as_ref().map(|file| state_in(file, output)).transpose()?;
    for source in &sources {
        let given = given(source, output)?;
        let Some(current) = &current else {
            let what = if given.needs_current() {
                "well-formed; what it captures depends on the network"
            } else {
                let (_, found) = given.state(None).map_err(|problems| source.wrong(problems))?;
                warnings(&found, output);
                "well-formed; only nmstated knows whether this host can do it"
            };
            output.note(&format!("{}: {what}", source.name));
            continue;
        };
        let (state, found) = given.state(Some(current)).map_err(|problems| source.wrong(problems))?;
        warnings(&found, output);
        let found = tools::check(&state, current).map_err(|problems| source.wrong(given.place(problems)))?;
        warnings(&found, output);
        output.note(&format!("{}: valid", source.name));
    }
    Ok(())
}

/// Prints a document in canonical form; a policy that can be evaluated as the document that it asks for.
pub fn format(input: &OneFile, output: &mut Output) -> Result<(), Failure> {
    let source = Source::read(&input.file, output)?;
    let given = given(&source, output)?;
    if let Some(policy) = given.policy().filter(|_| given.needs_current()) {
        return print_any(policy, input.json, output);
    }
    let (state, found) = given.state(None).map_err(|problems| source.wrong(problems))?;
    warnings(&found, output);
    print(state, input.json, output)
}
