//! Where log lines go.

use std::env;
use std::error::Error;
use std::io::IsTerminal;

use nix::sys::stat::fstat;
use tracing::Level;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Registry, fmt, reload};

/// The log, once it is started.
pub struct Log {
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    /// Logs to the journal if systemd connected standard error to it, else to standard error.
    pub fn start(level: Level) -> Self {
        let (layer, filter) = reload::Layer::new(filter(level));
        // Fields keep their names: MESSAGE_ID is one that the journal knows.
        let journal = is_journal().then(tracing_journald::layer).and_then(Result::ok);
        let journal = journal.map(|journal| journal.with_field_prefix(None));
        let terminal = journal.is_none().then(|| {
            let is_terminal = std::io::stderr().is_terminal();
            // A message's id is for the journal alone.
            let fields = format::debug_fn(|writer, field, value| match field.name() {
                "message_id" => Ok(()),
                "message" => write!(writer, "{value:?}"),
                name => write!(writer, "{name}={value:?}"),
            });
            fmt::layer()
                .fmt_fields(fields.delimited(" "))
                .with_writer(std::io::stderr)
                .with_ansi(is_terminal)
                .with_target(false)
        });
        tracing_subscriber::registry().with(layer).with(journal).with(terminal).init();
        Self { filter }
    }

    /// Logs so much from now on.
    pub fn set_level(&self, level: Level) {
        self.filter.reload(filter(level)).expect("the log lives as long as the process");
    }
}

/// Libraries have nothing to say below a warning that concerns an administrator.
fn filter(level: Level) -> Targets {
    Targets::new().with_default(level.min(Level::WARN)).with_target("nmstated", level)
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
