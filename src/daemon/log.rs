//! Where log lines go.

use std::env;
use std::error::Error;
use std::io::IsTerminal;

use nix::sys::stat::fstat;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Logs to the journal if systemd connected standard error to it, else to standard error.
pub fn start_log(level: Level) {
    // Libraries have nothing to say below a warning that concerns an administrator.
    let filter = Targets::new().with_default(level.min(Level::WARN)).with_target("nmstated", level);
    let journal = is_journal().then(tracing_journald::layer).and_then(Result::ok);
    let terminal = journal.is_none().then(|| {
        let is_terminal = std::io::stderr().is_terminal();
        fmt::layer().with_writer(std::io::stderr).with_ansi(is_terminal).with_target(false)
    });
    tracing_subscriber::registry().with(filter).with(journal).with(terminal).init();
}

/// Whether JOURNAL_STREAM names the file behind standard error (systemd.exec(5)).
fn is_journal() -> bool {
    let Some(stream) = env::var("JOURNAL_STREAM").ok() else {
        return false;
    };
    fstat(std::io::stderr()).is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// An error and what caused it, on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        // Some libraries print their source themselves.
        let cause = error.to_string();
        if !out.ends_with(&cause) {
            out += &format!(": {cause}");
        }
        source = error.source();
    }
    out
}
