//! The methods of `io.nmstate.Daemon`, typed.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::agent;
use super::connection::{Connection, Message};
use super::failure::Failure;
use super::show::Sections;
use crate::state::ErrorKind;
use crate::wire::{
    DriftInfo, ErrorInfo, Event, Options, PlanInfo, StatusInfo, TransactionId, TransactionInfo,
};

/// Where the daemon listens.
const SOCKET: &str = "/run/nmstated/io.nmstate.Daemon";

/// Before every method and every error of the daemon.
const INTERFACE: &str = "io.nmstate.Daemon.";

/// Longest wait for an answer that the daemon gives from memory. Everything else lasts as long as
/// the change it waits for, and that has limits of its own in the daemon.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much longer it may take where a person gives a password first.
const PERSON: Duration = Duration::from_secs(130);

/// The methods for which nobody is asked for a password, as polkit is configured where nobody changed
/// that.
const READING: [&str; 13] = [
    "Show",
    "Plan",
    "Validate",
    "GenerateRevert",
    "GenerateDifference",
    "GenerateConfiguration",
    "ResolvePolicy",
    "List",
    "Log",
    "History",
    "GetStatus",
    "Monitor",
    "Drift",
];

/// A daemon that answers.
pub struct Daemon {
    socket: PathBuf,
    connection: Connection,
    /// Whether polkit may ask the person at the terminal for a password.
    asks_person: bool,
}

impl Daemon {
    /// Connects to the socket given, or that of the environment, or the usual one.
    pub fn connect(socket: Option<&Path>) -> Result<Self, Failure> {
        let socket = match (socket, std::env::var_os("NMCTL_SOCKET")) {
            (Some(socket), _) => socket.to_owned(),
            (None, Some(socket)) if !socket.is_empty() => socket.into(),
            (None, _) => SOCKET.into(),
        };
        Self::connect_to(socket)
    }

    fn connect_to(socket: PathBuf) -> Result<Self, Failure> {
        match Connection::open(&socket) {
            Ok(connection) => Ok(Self { socket, connection, asks_person: agent::has_person() }),
            Err(error) => Err(Failure::unreachable(&socket, &error)),
        }
    }

    /// A second connection, to act while the first one is busy.
    pub fn again(&self) -> Result<Self, Failure> {
        Self::connect_to(self.socket.clone())
    }

    /// The answer that holds the state; see [`Daemon::sections`].
    pub fn show(&mut self, options: Options) -> Result<Message, Failure> {
        self.call("Show", json!({ "options": options }), false, Some(PATIENCE))?;
        self.receive()
    }

    /// The state that an answer holds. It may be large: its sections stay where they are.
    pub fn sections<'m>(&self, answer: &'m Message) -> Result<Sections<'m>, Failure> {
        let sections: BTreeMap<String, &'m RawValue> = self.field(answer, "state")?;
        Ok(sections.into_iter().map(|(name, text)| (name, Cow::Borrowed(text))).collect())
    }

    /// None: no document, for options that say what is meant.
    pub fn plan(&mut self, document: Option<&str>, options: Options) -> Result<PlanInfo, Failure> {
        self.ask("Plan", json!({ "document": document, "options": options }), "plan")
    }

    pub fn validate(&mut self, document: &str) -> Result<Vec<String>, Failure> {
        self.ask("Validate", json!({ "document": document }), "warnings")
    }

    pub fn generate_revert(&mut self, document: &str) -> Result<Json, Failure> {
        self.ask("GenerateRevert", json!({ "document": document }), "state")
    }

    pub fn status(&mut self) -> Result<StatusInfo, Failure> {
        self.ask("GetStatus", json!({}), "status")
    }

    pub fn drift(&mut self) -> Result<DriftInfo, Failure> {
        self.ask("Drift", json!({}), "drift")
    }

    pub fn list(&mut self) -> Result<Vec<TransactionInfo>, Failure> {
        self.ask("List", json!({}), "transactions")
    }

    pub fn log(&mut self, id: TransactionId) -> Result<TransactionInfo, Failure> {
        self.ask("Log", json!({ "id": id }), "transaction")
    }

    pub fn history(&mut self, limit: u32) -> Result<Vec<TransactionInfo>, Failure> {
        self.ask("History", json!({ "limit": limit }), "transactions")
    }

    pub fn extend(&mut self, id: Option<TransactionId>, seconds: u32) -> Result<TransactionInfo, Failure> {
        self.ask("Extend", json!({ "id": id, "seconds": seconds }), "transaction")
    }

    pub fn commit(&mut self, id: Option<TransactionId>) -> Result<TransactionInfo, Failure> {
        self.act("Commit", json!({ "id": id }))
    }

    pub fn rollback(&mut self, id: Option<TransactionId>) -> Result<TransactionInfo, Failure> {
        self.act("Rollback", json!({ "id": id }))
    }

    pub fn cancel(&mut self, id: TransactionId) -> Result<TransactionInfo, Failure> {
        self.act("Cancel", json!({ "id": id }))
    }

    /// Asks for the end of a transaction, without waiting for it.
    pub fn start_cancel(&mut self, id: TransactionId) -> Result<(), Failure> {
        self.call("Cancel", json!({ "id": id }), false, None)
    }

    /// Starts to apply a document (None: no document, for options that say what is meant); its steps come from [`Daemon::arrived_step`].
    pub fn apply(&mut self, document: Option<&str>, options: Options) -> Result<(), Failure> {
        self.call("Apply", json!({ "document": document, "options": options }), true, None)
    }

    /// A step of an apply that has arrived, without waiting for one; false: the last.
    pub fn arrived_step(&mut self) -> Result<Option<(TransactionInfo, bool)>, Failure> {
        self.connection.received_message().map(|message| self.step(&message)).transpose()
    }

    /// Takes what the socket holds.
    pub fn read_some(&mut self) -> Result<(), Failure> {
        self.connection.read_some().map_err(|error| self.lost(&error))
    }

    /// To wait for steps together with other things.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Starts to watch; what happens comes from [`Daemon::arrived_event`].
    pub fn monitor(&mut self) -> Result<(), Failure> {
        self.call("Monitor", json!({}), true, None)
    }

    /// An event that has arrived, without waiting for one.
    pub fn arrived_event(&mut self) -> Result<Option<Event>, Failure> {
        self.connection.received_message().map(|message| self.field(&message, "event")).transpose()
    }

    /// A call answered from memory.
    fn ask<T: for<'m> Deserialize<'m>>(
        &mut self,
        method: &str,
        parameters: Json,
        key: &str,
    ) -> Result<T, Failure> {
        self.call(method, parameters, false, Some(PATIENCE))?;
        let answer = self.receive()?;
        self.field(&answer, key)
    }

    /// A call answered when a change has come to its end.
    fn act(&mut self, method: &str, parameters: Json) -> Result<TransactionInfo, Failure> {
        self.call(method, parameters, false, None)?;
        let answer = self.receive()?;
        self.field(&answer, "transaction")
    }

    /// Sends a call; parameters that are null are not mentioned.
    fn call(
        &mut self,
        method: &str,
        parameters: Json,
        more: bool,
        patience: Option<Duration>,
    ) -> Result<(), Failure> {
        let Json::Object(mut parameters) = parameters else {
            unreachable!("parameters are written as objects above")
        };
        let is_secret = parameters.get("options").is_some_and(|options| options["show_secrets"] == true);
        let may_need_password = is_secret || !READING.contains(&method);
        let patience = match (self.asks_person, may_need_password) {
            (true, true) => {
                agent::start();
                patience.map(|patience| patience + PERSON)
            }
            _ => patience,
        };
        parameters.retain(|_, value| !value.is_null());
        if self.asks_person {
            parameters.insert("allowInteractiveAuthentication".into(), true.into());
        }
        self.connection
            .set_patience(patience)
            .and_then(|()| self.connection.send(&format!("{INTERFACE}{method}"), parameters, more))
            .map_err(|error| self.lost(&error))
    }

    fn receive(&mut self) -> Result<Message, Failure> {
        self.connection.receive().map_err(|error| self.lost(&error))
    }

    fn step(&self, message: &Message) -> Result<(TransactionInfo, bool), Failure> {
        let continues = message.reply().map_err(|error| self.lost(&error))?.continues;
        Ok((self.field(message, "transaction")?, continues))
    }

    /// One output parameter of a method, or the error that came instead.
    fn field<'m, T: Deserialize<'m>>(&self, message: &'m Message, key: &str) -> Result<T, Failure> {
        let reply = message.reply().map_err(|error| self.lost(&error))?;
        let parameters = reply.parameters.map_or("{}", RawValue::get);
        let not_read = |error: serde_json::Error| self.lost(&error.into());
        if let Some(name) = reply.error {
            return Err(refusal(&name, serde_json::from_str(parameters).map_err(not_read)?));
        }
        let mut parameters: BTreeMap<String, &'m RawValue> =
            serde_json::from_str(parameters).map_err(not_read)?;
        let value = parameters.remove(key).ok_or_else(|| self.lost(&not_understood(key)))?;
        serde_json::from_str(value.get()).map_err(not_read)
    }

    /// The failure that tells of a daemon that closed the connection.
    pub fn is_gone(&self) -> Failure {
        self.lost(&io::ErrorKind::UnexpectedEof.into())
    }

    fn lost(&self, error: &io::Error) -> Failure {
        Failure::lost(&self.socket, error)
    }
}

fn not_understood(key: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer has no `{key}`"))
}

/// What an error reply says.
fn refusal(name: &str, parameters: Json) -> Failure {
    #[derive(Deserialize)]
    struct Parameters {
        #[serde(flatten)]
        error: ErrorInfo,
        transaction: Option<TransactionId>,
    }
    if let Ok(Parameters { error, transaction }) = serde_json::from_value(parameters.clone()) {
        return Failure::Refused { error: Box::new(error), transaction, document: None };
    }
    // An error of the protocol itself (org.varlink.service): its parameters name the culprit.
    let culprit = match &parameters {
        Json::Object(map) => map.values().filter_map(Json::as_str).collect::<Vec<_>>().join(", "),
        _ => String::new(),
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    let message = match (short, culprit.as_str()) {
        ("MethodNotFound", culprit) => {
            format!("the daemon has no method `{culprit}`; is it older than nmctl?")
        }
        ("InvalidParameter", culprit) => format!("the daemon does not take the parameter `{culprit}`"),
        (_, "") => format!("the daemon answered `{name}`"),
        (_, culprit) => format!("the daemon answered `{name}`: {culprit}"),
    };
    let kind = match short {
        "PermissionDenied" => ErrorKind::PermissionError,
        _ => ErrorKind::NotImplementedError,
    };
    Failure::error(kind, message)
}

/// A dictionary of options, of those that are not at their defaults.
pub fn options<const N: usize>(options: [(&str, Option<Json>); N]) -> Options {
    options.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Map<_, _>>()
}

/// The value of an option that is a switch.
pub fn when(on: bool) -> Option<Json> {
    on.then_some(Json::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_protocol_is_told_in_words() {
        let failure = refusal("org.varlink.service.MethodNotFound", json!({ "method": "x.y.Fly" }));
        let Failure::Refused { error, .. } = failure else { panic!("{failure:?}") };
        assert_eq!(error.kind, "NotImplementedError");
        assert_eq!(error.message, "the daemon has no method `x.y.Fly`; is it older than nmctl?");
    }

    #[test]
    fn a_refusal_keeps_place_and_transaction() {
        let failure = refusal(
            "io.nmstate.Daemon.VerificationError",
            json!({"kind": "VerificationError", "message": "m", "path": "interfaces[0].mtu", "line": 3, "column": 5,
                "transaction": 7}),
        );
        let Failure::Refused { error, transaction, .. } = failure else { panic!("{failure:?}") };
        assert_eq!((error.line, error.column, transaction), (Some(3), Some(5), Some(7)));
        assert_eq!(error.path, "interfaces[0].mtu");
    }
}
