//! Why a command ends without success, how that is told, and the exit code.

use std::fmt::Write;
use std::io::{self, ErrorKind as Io};
use std::path::Path;
use std::process::ExitCode;

use super::document::Source;
use crate::state::{ErrorKind, Problem};
use crate::wire::{ErrorInfo, TransactionId};

/// The exit codes (`docs/nmctl.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    /// Wrong usage; for `plan --exit-code`: something would change.
    Differs = 2,
    NoAnswer = 3,
    NotRestored = 4,
    NotKept = 5,
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// Nobody reads our output any more: there is nobody to tell.
    NobodyReads,
    /// The daemon cannot be asked, or stopped answering.
    NoAnswer { message: String, hint: String },
    /// It was refused or failed.
    Refused {
        error: Box<ErrorInfo>,
        transaction: Option<TransactionId>,
        /// The problem as shown in the user's own text.
        document: Option<String>,
    },
    /// It failed and could not be taken back completely.
    NotRestored { error: Box<ErrorInfo>, transaction: TransactionId, items: Vec<String> },
    /// A change was not confirmed.
    NotKept { message: String },
    /// The user interrupted.
    Interrupted { message: String },
    /// The command cannot be used like that.
    Usage { message: String, hint: String },
}

impl Failure {
    /// An error that `nmctl` found itself.
    pub fn error(kind: ErrorKind, message: impl Into<String>) -> Self {
        let error = ErrorInfo {
            kind: kind.name().to_owned(),
            message: message.into(),
            path: String::new(),
            line: None,
            column: None,
            interface: None,
            hint: None,
            more: Vec::new(),
        };
        Self::Refused { error: Box::new(error), transaction: None, document: None }
    }

    /// These problems, which belong to no text that could be shown.
    pub fn of(problems: Vec<Problem>) -> Self {
        let mut infos = problems.into_iter().map(|problem| ErrorInfo {
            kind: problem.kind.name().to_owned(),
            message: problem.message,
            path: problem.path.to_string(),
            line: problem.at.map(|at| at.line),
            column: problem.at.map(|at| at.column),
            interface: problem.interface,
            hint: problem.hint,
            more: Vec::new(),
        });
        let Some(mut first) = infos.next() else {
            return Self::error(ErrorKind::Bug, "refused without a problem");
        };
        first.more = infos.collect();
        Self::Refused { error: Box::new(first), transaction: None, document: None }
    }

    /// The daemon's socket cannot be opened.
    pub fn unreachable(socket: &Path, error: &io::Error) -> Self {
        let socket = socket.display();
        let (message, hint) = match error.kind() {
            Io::NotFound => (
                format!("nmstated is not running: there is no socket {socket}"),
                "start it with `systemctl start nmstated`, or name its socket with --socket",
            ),
            Io::ConnectionRefused => (
                format!("nmstated is not running: nobody listens on {socket}"),
                "start it with `systemctl start nmstated`, or name its socket with --socket",
            ),
            Io::PermissionDenied => {
                (format!("you may not open {socket}"), "become root, or ask who administers this host")
            }
            _ => (format!("{socket}: {error}"), "is this the varlink socket of nmstated?"),
        };
        Self::NoAnswer { message, hint: hint.to_owned() }
    }

    /// The connection ended, or carried what is no answer.
    pub fn lost(socket: &Path, error: &io::Error) -> Self {
        let message = match error.kind() {
            Io::UnexpectedEof | Io::ConnectionReset | Io::BrokenPipe => {
                "nmstated closed the connection before it answered".to_owned()
            }
            Io::WouldBlock | Io::TimedOut => "nmstated does not answer".to_owned(),
            _ => format!("{}: the answer is not understood: {error}", socket.display()),
        };
        let hint = "a change that was under way is finished or taken back when nmstated is back: \
                    see `nmctl status` and `nmctl history`";
        Self::NoAnswer { message, hint: hint.to_owned() }
    }

    /// Shows what is wrong in the text of that document.
    pub fn about(self, source: &Source) -> Self {
        match self {
            Self::Refused { error, transaction, document: None } => {
                let document = described_in(source, &error);
                Self::Refused { error, transaction, document: Some(document) }
            }
            other => other,
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::NobodyReads => Exit::Done,
            Self::NoAnswer { .. } => Exit::NoAnswer,
            Self::Refused { .. } => Exit::Failed,
            Self::NotRestored { .. } => Exit::NotRestored,
            Self::NotKept { .. } => Exit::NotKept,
            Self::Interrupted { .. } => Exit::Interrupted,
            Self::Usage { .. } => Exit::Differs,
        }
    }

    /// What to tell the user; every block that starts with `error:` is one problem.
    pub fn text(&self) -> String {
        match self {
            Self::NobodyReads => String::new(),
            Self::NoAnswer { message, hint } | Self::Usage { message, hint } => {
                format!("error: {message}\n = hint: {hint}\n")
            }
            Self::Refused { document: Some(document), .. } => document.clone(),
            Self::Refused { error, document: None, .. } => described(error),
            Self::NotRestored { error, transaction, items } => {
                let mut text = described(error);
                let _ =
                    writeln!(text, "error: not everything could be put back (transaction {transaction}):");
                items.iter().for_each(|item| {
                    let _ = writeln!(text, "  - {item}");
                });
                text
            }
            Self::NotKept { message } => format!("not kept: {message}\n"),
            Self::Interrupted { message } => format!("interrupted: {message}\n"),
        }
    }
}

/// An error and those that came with it, in plain words.
pub fn described(error: &ErrorInfo) -> String {
    let one = |error: &ErrorInfo| {
        let place = if error.path.is_empty() { String::new() } else { format!("{}: ", error.path) };
        let hint = error.hint.as_ref().map_or(String::new(), |hint| format!(" = hint: {hint}\n"));
        format!("error: {}: {place}{}\n{hint}", error.kind, error.message)
    };
    one(error) + &error.more.iter().map(one).collect::<String>()
}

/// The same, each with its line of the document where that is known.
fn described_in(source: &Source, error: &ErrorInfo) -> String {
    let one = |error: &ErrorInfo| {
        let alone = ErrorInfo { more: Vec::new(), ..error.clone() };
        source.snippet(&alone).unwrap_or_else(|| described(&alone))
    };
    std::iter::once(error).chain(&error.more).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_missing_daemon_is_told_with_what_to_do() {
        for (kind, expected) in [
            (Io::NotFound, "nmstated is not running: there is no socket /x"),
            (Io::ConnectionRefused, "nmstated is not running: nobody listens on /x"),
            (Io::PermissionDenied, "you may not open /x"),
        ] {
            let failure = Failure::unreachable(Path::new("/x"), &kind.into());
            assert!(
                failure.text().starts_with(&format!("error: {expected}\n = hint: ")),
                "{}",
                failure.text()
            );
            assert_eq!(failure.exit(), Exit::NoAnswer);
        }
    }

    #[test]
    fn every_problem_is_shown_in_the_text() {
        let source = Source { name: "a.yaml".into(), text: "interfaces:\n- name: x\n  mtuu: 1\n".into() };
        let Failure::Refused { mut error, .. } =
            Failure::error(ErrorKind::InvalidArgument, "unknown key `mtuu`")
        else {
            panic!("an error is a refusal")
        };
        let unplaced = ErrorInfo { message: "and so on".into(), ..(*error).clone() };
        (error.line, error.column, error.path) = (Some(3), Some(3), "interfaces[0].mtuu".into());
        error.hint = Some("did you mean `mtu`?".into());
        error.more = vec![unplaced];
        let failure = Failure::Refused { error, transaction: None, document: None }.about(&source);
        assert_eq!(
            failure.text(),
            "error: InvalidArgument: interfaces[0].mtuu: unknown key `mtuu`\n \
             --> a.yaml:3:3\n  |\n3 |   mtuu: 1\n  |   ^\n  = hint: did you mean `mtu`?\n\
             error: InvalidArgument: and so on\n"
        );
    }
}
