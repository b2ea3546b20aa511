//! What can go wrong with the database.

use std::io;

use thiserror::Error;

/// Why the database did not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no database to ask: Open vSwitch does not run, or does not answer.
    #[error("Open vSwitch's database is not there: {0}")]
    Missing(String),
    /// It refused an operation (RFC 7047, 3.1 and 4.1.3: a short text, and sometimes a longer one).
    #[error("Open vSwitch's database refused: {0}")]
    Refused(String),
    /// Somebody changed what the operation rests on between reading and writing.
    #[error("Open vSwitch's database was changed by somebody else meanwhile")]
    Changed,
    #[error("Open vSwitch's database has not answered in time")]
    Late,
    /// The keeper has ended.
    #[error("Open vSwitch's database is not followed any more")]
    Stopped,
}

/// Why a connection ended.
#[derive(Debug, Error)]
pub(super) enum Ended {
    #[error("cannot connect to {path}")]
    Connect { path: String, source: io::Error },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection")]
    Closed,
    #[error("it does not answer")]
    Late,
    #[error("it sends more than {0} bytes at once")]
    TooLong(usize),
    #[error("it has more than {0} rows")]
    TooMany(usize),
    #[error("it sends what is no JSON-RPC: {0}")]
    Format(String),
    #[error("it does not let itself be followed: {0}")]
    Refused(String),
}

impl Ended {
    /// The chain of reasons in one line.
    pub(super) fn chain(&self) -> String {
        let mut text = self.to_string();
        if let Self::Connect { source, .. } = self {
            text += &format!(": {source}");
        }
        text
    }
}
