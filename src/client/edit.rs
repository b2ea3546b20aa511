//! `nmctl edit`: the configured network in the user's editor, until what is written there can be applied.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::mkdtemp;
use serde_json::json;

use super::arguments::{Apply, Edit, Files, Restore};
use super::commands::{apply, planning_options};
use super::daemon::{Daemon, options};
use super::document::Source;
use super::failure::Failure;
use super::output::Output;
use super::terminal::Terminal;
use super::{show, tools};
use crate::state::ErrorKind;

const HEAD: &str = "\
# The configured network. What is changed here is applied when the editor ends; what is taken out stays as it is.
# Nothing is applied if nothing is changed. A hidden secret means the one that is stored.
";

pub fn run(
    daemon: impl Fn() -> Result<Daemon, Failure>,
    arguments: Edit,
    output: &mut Output,
) -> Result<(), Failure> {
    let text = format!("{HEAD}{}", configured(&mut daemon()?, arguments.pattern.as_deref())?);
    let draft = Draft::new(&text)?;
    match edited(daemon, arguments, &draft, &text, output) {
        Err(failure) if !draft.is(&text) => {
            output.note(&format!("what you wrote is in {}", draft.file.display()));
            Err(failure)
        }
        ended => {
            let gone = draft.drop();
            ended.and(gone)
        }
    }
}

/// Has the user edit the draft, of which `text` is the beginning, until it can be applied, and applies it.
fn edited(
    daemon: impl Fn() -> Result<Daemon, Failure>,
    arguments: Edit,
    draft: &Draft,
    text: &str,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut terminal = Terminal::open();
    loop {
        draft.edit()?;
        let source = Source::read(&draft.file, output)?;
        if source.text == text || source.text.lines().all(|line| line.trim_start().starts_with('#')) {
            output.note("nothing was changed");
            return Ok(());
        }
        let Err(failure) = check(&mut daemon()?, &source, &arguments, output) else { break };
        let Failure::Refused { .. } = failure else { return Err(failure) };
        let Some(terminal) = &mut terminal else { return Err(failure) };
        output.failure(&failure);
        if !again(terminal)? {
            return Err(failure);
        }
    }
    let Edit { changing, no_commit, .. } = arguments;
    let arguments = Apply {
        input: Files { files: vec![draft.file.clone()] },
        restore: Restore { restore: false },
        dry_run: false,
        no_commit,
        changing,
        wait: false,
        join: None,
    };
    apply(daemon, &arguments, output)
}

/// The configured network as a document.
fn configured(daemon: &mut Daemon, pattern: Option<&str>) -> Result<String, Failure> {
    let not_understood =
        |error| Failure::error(ErrorKind::Bug, format!("the state in the answer is not understood: {error}"));
    let answer = daemon.show(options([("running_config_only", Some(json!(true)))]))?;
    let state = daemon.sections(&answer)?;
    let state = match pattern {
        Some(pattern) => show::selected(&state, pattern).map_err(not_understood)?,
        None => state,
    };
    let mut text = Vec::new();
    show::arranged(state).and_then(|state| state.write_yaml(&mut text)).map_err(not_understood)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Whether it can be applied.
fn check(daemon: &mut Daemon, source: &Source, arguments: &Edit, output: &mut Output) -> Result<(), Failure> {
    tools::given(source, output)?;
    let options = planning_options(&arguments.changing.planning, false);
    daemon.plan(Some(&source.text), options).map(drop).map_err(|failure| failure.about(source))
}

fn again(terminal: &mut Terminal) -> Result<bool, Failure> {
    let failed =
        |error: std::io::Error| Failure::error(ErrorKind::StorageError, format!("/dev/tty: {error}"));
    terminal.forget_typed().and_then(|()| terminal.ask("edit again? [Y/n] ")).map_err(failed)?;
    let answer = terminal.answer().map_err(failed)?;
    Ok(matches!(answer.as_deref(), Some("" | "y" | "yes")))
}

/// The text that is edited, in a file that nobody else can reach.
struct Draft {
    folder: PathBuf,
    file: PathBuf,
}

impl Draft {
    fn new(text: &str) -> Result<Self, Failure> {
        let folder = mkdtemp(&std::env::temp_dir().join("nmctl-edit.XXXXXX"));
        let folder = folder.map_err(|error| failed(&std::env::temp_dir(), &error.into()))?;
        let file = folder.join("network.yml");
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file);
        created
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&file, &error))?;
        Ok(Self { folder, file })
    }

    /// Runs the editor on it: what the user has chosen is a command of a shell, as everywhere.
    fn edit(&self) -> Result<(), Failure> {
        let chosen = ["VISUAL", "EDITOR"].into_iter().filter_map(|name| std::env::var(name).ok());
        let editor = chosen.into_iter().find(|editor| !editor.is_empty()).unwrap_or_else(|| "vi".to_owned());
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(&self.file);
        let status = command.status().map_err(|error| failed(Path::new("sh"), &error))?;
        if status.success() {
            return Ok(());
        }
        let message = format!("the editor `{editor}` ended with {status}; nothing was changed");
        Err(Failure::error(ErrorKind::Cancelled, message))
    }

    /// Whether that is what is in it.
    fn is(&self, text: &str) -> bool {
        fs::read(&self.file).is_ok_and(|written| written == text.as_bytes())
    }

    fn drop(&self) -> Result<(), Failure> {
        fs::remove_dir_all(&self.folder).map_err(|error| failed(&self.folder, &error))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::error(ErrorKind::StorageError, format!("{}: {error}", path.display()))
}
