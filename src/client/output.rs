//! Standard output and standard error: data on the one, the rest on the other; colours and the
//! rewritten progress line only on a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Stderr, StdoutLock, Write};
use std::os::fd::{AsFd, BorrowedFd};

use super::failure::Failure;

/// Longest line that is rewritten: it must not wrap, and terminals are rarely narrower.
const LINE_CHARS_MAX: usize = 79;

/// Where a command writes.
pub struct Output {
    out: BufWriter<StdoutLock<'static>>,
    err: Stderr,
    colour_out: bool,
    colour_err: bool,
    err_is_terminal: bool,
    /// A progress line stands on the terminal and is to be rewritten.
    unfinished: bool,
    /// What is written to standard error besides failures.
    pub notes: bool,
    pub steps: bool,
}

impl Output {
    pub fn new() -> Self {
        // no-color.org: set and not empty.
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let (out, err) = (io::stdout(), io::stderr());
        let err_is_terminal = err.is_terminal();
        Self {
            colour_out: colours && out.is_terminal(),
            colour_err: colours && err_is_terminal,
            err_is_terminal,
            out: BufWriter::with_capacity(1 << 16, out.lock()),
            err,
            unfinished: false,
            notes: true,
            steps: true,
        }
    }

    /// Writes data. It comes from documents and the kernel, printed by serialisers that escape.
    pub fn data(&mut self, text: &str) -> Result<(), Failure> {
        self.clear_progress();
        self.out.write_all(text.as_bytes()).map_err(|error| not_written(&error))
    }

    /// Lets data be written as it is made. What comes of `write` counts only if all could be written.
    pub fn stream(
        &mut self,
        write: impl FnOnce(&mut Data<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.clear_progress();
        let mut out = Data { out: &mut self.out, failed: None };
        let done = write(&mut out);
        match out.failed {
            Some(error) => Err(not_written(&error)),
            None => done,
        }
    }

    /// Writes text for people as data: what is added green, removed red, changed yellow.
    pub fn difference(&mut self, text: &str) -> Result<(), Failure> {
        let mut coloured = String::with_capacity(text.len());
        for line in text.lines() {
            let colour = match line.trim_start().chars().next() {
                Some('+') => "32",
                Some('-') => "31",
                Some('~') => "33",
                _ => "",
            };
            coloured += &paint(&harmless(line), colour, self.colour_out);
            coloured.push('\n');
        }
        self.data(&coloured)
    }

    /// Writes lines of text that may hold names from the kernel as they are.
    pub fn lines(&mut self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.data(&format!("{}\n", harmless(line))))
    }

    /// Makes sure that all data has left.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| not_written(&error))
    }

    /// Writes a line to standard error.
    pub fn note(&mut self, text: &str) {
        if !self.notes {
            return;
        }
        self.clear_progress();
        self.err_line(&harmless(text));
    }

    /// Shows how far something is: one line that is rewritten, or on what is no terminal a line each.
    pub fn progress(&mut self, text: &str) {
        if !self.steps {
            return;
        }
        let text = harmless(text);
        if self.err_is_terminal {
            let line: String = text.chars().take(LINE_CHARS_MAX).collect();
            self.err_text(&format!("\r\x1b[K{line}"));
            self.unfinished = true;
        } else {
            self.err_line(&text);
        }
    }

    /// Tells a failure.
    pub fn failure(&mut self, failure: &Failure) {
        self.clear_progress();
        for line in failure.text().lines() {
            let line = harmless(line);
            let painted = match line.split_once("error:") {
                Some(("", rest)) => format!("{}{rest}", paint("error:", "1;31", self.colour_err)),
                _ => line.into_owned(),
            };
            self.err_line(&painted);
        }
    }

    fn clear_progress(&mut self) {
        if std::mem::take(&mut self.unfinished) {
            self.err_text("\r\x1b[K");
        }
    }

    fn err_line(&mut self, line: &str) {
        self.err_text(&format!("{line}\n"));
    }

    /// A reader of standard error that is gone must not stop a change of the network from being
    /// followed to its end.
    fn err_text(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
        let _ = self.err.flush();
    }
}

/// Where data is written as it is made. Keeps its failure: printers make their own error of it.
pub struct Data<'o> {
    out: &'o mut BufWriter<StdoutLock<'static>>,
    failed: Option<io::Error>,
}

impl Data<'_> {
    fn remember<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            // An interrupted write is tried again.
            if kind != io::ErrorKind::Interrupted {
                self.failed.get_or_insert(error);
            }
            kind.into()
        })
    }
}

impl Write for Data<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.remember(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.remember(flushed)
    }
}

/// Standard output, to see whether anybody reads it.
impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.out.get_ref().as_fd()
    }
}

fn not_written(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::NobodyReads,
        _ => Failure::error(
            crate::state::ErrorKind::StorageError,
            format!("standard output cannot be written: {error}"),
        ),
    }
}

fn paint(text: &str, colour: &str, wanted: bool) -> String {
    if wanted && !colour.is_empty() { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Text without control characters: names of interfaces may hold escape sequences.
fn harmless(text: &str) -> Cow<'_, str> {
    if text.contains(|c: char| c.is_control()) {
        text.replace(|c: char| c.is_control(), "\u{fffd}").into()
    } else {
        text.into()
    }
}
