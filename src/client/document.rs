//! Documents as the user named them: read once, kept for showing where something is wrong.

use std::fs::File;
use std::io::{IsTerminal, Read, stdin};
use std::path::Path;

use super::failure::Failure;
use super::output::Output;
use crate::state::{Document, ErrorKind, Path as Place, Position, Problem, TEXT_BYTES_MAX, snippet_of_text};
use crate::wire::ErrorInfo;

/// The text of a document and its name.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
}

impl Source {
    /// Reads a file; `-` is standard input.
    pub fn read(file: &Path, output: &mut Output) -> Result<Self, Failure> {
        let is_stdin = file.as_os_str() == "-";
        let name = if is_stdin { "<stdin>".to_owned() } else { file.display().to_string() };
        let mut bytes = Vec::new();
        // One byte more than may be: enough to know that it is too long.
        let limit = TEXT_BYTES_MAX as u64 + 1;
        let read = if is_stdin {
            if stdin().is_terminal() {
                output.note("reading a document from the terminal; Ctrl-D ends it");
            }
            stdin().lock().take(limit).read_to_end(&mut bytes)
        } else {
            File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes))
        };
        read.map_err(|error| Failure::error(ErrorKind::InvalidArgument, format!("{name}: {error}")))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let offset = error.utf8_error().valid_up_to();
            Failure::error(ErrorKind::InvalidArgument, format!("{name}: not UTF-8 text at byte {offset}"))
        })?;
        if text.len() > TEXT_BYTES_MAX {
            let mib = TEXT_BYTES_MAX >> 20;
            let message = format!("{name}: the document is longer than {mib} MiB");
            return Err(Failure::error(ErrorKind::InvalidArgument, message));
        }
        Ok(Self { name, text })
    }

    /// The document, for the commands that need no daemon.
    pub fn document(&self) -> Result<Document, Failure> {
        Document::from_text(&self.text).map_err(|problems| self.wrong(problems))
    }

    /// A failure that shows these problems in this text.
    pub fn wrong(&self, problems: Vec<Problem>) -> Failure {
        Failure::of(problems).about(self)
    }

    /// A problem with its line and a mark under the place, as compilers show it.
    pub fn snippet(&self, error: &ErrorInfo) -> Option<String> {
        let problem = Problem {
            kind: ErrorKind::from_name(&error.kind)?,
            // The path is only printed, so it need not be cut into its segments.
            path: if error.path.is_empty() { Place::root() } else { Place::root().key(&error.path) },
            message: error.message.clone(),
            interface: error.interface.clone(),
            hint: error.hint.clone(),
            at: Some(Position { line: error.line?, column: error.column? }),
        };
        Some(match Document::from_text(&self.text) {
            Ok(document) => document.snippet(&problem, &self.name),
            Err(_) => snippet_of_text(&self.text, &problem, &self.name),
        })
    }
}
