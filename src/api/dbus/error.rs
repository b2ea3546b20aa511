//! Errors on the bus: a name and a text.

use zbus::message::{Header, Message};
use zbus::names::ErrorName;

use super::convert::text;
use crate::api::Failure;
use crate::state::ErrorKind;
use crate::wire::ErrorInfo;

/// An error `io.nmstate.Daemon.Error.<Kind>`. Its text has one line for each problem,
/// `PATH: MESSAGE (HINT) at line L, column C` with what is known of it, and then, when a transaction
/// failed, the line `transaction N`.
#[derive(Debug)]
pub struct BusError {
    name: String,
    text: String,
}

impl BusError {
    pub(super) fn new(kind: ErrorKind, message: &str) -> Self {
        Failure::new(kind, message).into()
    }
}

impl From<Failure> for BusError {
    fn from(failure: Failure) -> Self {
        let Failure { info, transaction } = failure;
        let mut lines: Vec<String> = std::iter::once(&*info).chain(&info.more).map(line).collect();
        lines.extend(transaction.map(|id| format!("transaction {id}")));
        Self { name: format!("{}.Error.{}", super::NAME, info.kind), text: text(lines.join("\n")) }
    }
}

fn line(info: &ErrorInfo) -> String {
    // `kind` is in the name of the error, `interface` in the message; `more` makes lines of its own.
    let ErrorInfo { kind: _, message, path, line, column, interface: _, hint, more: _ } = info;
    let mut out = String::new();
    if !path.is_empty() {
        out += &format!("{path}: ");
    }
    out += message;
    if let Some(hint) = hint {
        out += &format!(" ({hint})");
    }
    if let (Some(line), Some(column)) = (line, column) {
        out += &format!(" at line {line}, column {column}");
    }
    out
}

impl zbus::DBusError for BusError {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.text)
    }

    fn name(&self) -> ErrorName<'_> {
        ErrorName::try_from(self.name.as_str()).expect("the names of kinds are names on the bus")
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use zbus::DBusError;

    use super::*;
    use crate::state::{Path, Position, Problem};

    #[test]
    fn the_text_says_where() {
        let path = Path::interface(2).keys("ipv4.mtu");
        let at = Some(Position { line: 7, column: 3 });
        let first = Problem::invalid(path, "not a number").with_hint("try 1500").at(at);
        let second = Problem::invalid(Path::root(), "no type");
        let mut failure = Failure::from(vec![first, second]);
        failure.transaction = Some(4);
        let error = BusError::from(failure);
        assert_eq!(error.name().as_str(), "io.nmstate.Daemon.Error.InvalidArgument");
        assert_eq!(
            error.text,
            "interfaces[2].ipv4.mtu: not a number (try 1500) at line 7, column 3\nno type\ntransaction 4"
        );
    }

    #[test]
    fn every_kind_is_a_name() {
        for kind in ErrorKind::ALL {
            let error = BusError::new(kind, "x");
            assert!(error.name().as_str().ends_with(kind.name()));
        }
    }
}
