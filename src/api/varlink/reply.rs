//! Replies as bytes.

use serde::Serialize;
use serde_json::json;

use super::NAME;
use crate::api::Failure;
use crate::engine::Reply;
use crate::state::State;
use crate::wire::{
    ConfigurationInfo, DriftInfo, ErrorInfo, Event, PlanInfo, StatusInfo, TransactionId, TransactionInfo,
};

/// A reply (varlink.org, "Protocol"). Not the crate's own: that one first makes a tree of a state.
#[derive(Serialize)]
struct Message<'a, T: Serialize> {
    parameters: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    continues: bool,
}

fn message<T: Serialize>(parameters: T, error: Option<&str>, continues: bool) -> Vec<u8> {
    let message = Message { parameters, error, continues };
    let mut bytes = serde_json::to_vec(&message).expect("replies have text keys and fit in memory");
    bytes.push(0);
    bytes
}

/// The only or last answer to a call.
pub(super) fn last<T: Serialize>(parameters: T) -> Vec<u8> {
    message(parameters, None, false)
}

/// The parameters of an answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Answered {
    Plan { plan: PlanInfo },
    Configuration(ConfigurationInfo),
    Warnings { warnings: Vec<String> },
    Transaction { transaction: Box<TransactionInfo> },
    Transactions { transactions: Vec<TransactionInfo> },
    Status { status: StatusInfo },
    Drift { drift: DriftInfo },
}

/// A state that others may be looking at, too.
#[derive(Serialize)]
struct Shown<'s> {
    state: &'s State,
    revision: u64,
}

/// The answer of the engine.
pub(super) fn answer(reply: Reply) -> Vec<u8> {
    last(match reply {
        Reply::State { state, revision } => return last(Shown { state: &state, revision }),
        Reply::Plan(plan) => Answered::Plan { plan },
        Reply::Configuration(configuration) => Answered::Configuration(configuration),
        Reply::Warnings(warnings) => Answered::Warnings { warnings },
        Reply::Transaction(transaction) => Answered::Transaction { transaction: Box::new(transaction) },
        Reply::Transactions(transactions) => Answered::Transactions { transactions },
        Reply::Status(status) => Answered::Status { status },
        Reply::Drift(drift) => Answered::Drift { drift },
    })
}

/// A step of a transaction.
pub(super) fn step(transaction: TransactionInfo, continues: bool) -> Vec<u8> {
    message(Answered::Transaction { transaction: Box::new(transaction) }, None, continues)
}

/// An event; more follow.
pub(super) fn event(event: &Event) -> Vec<u8> {
    message(json!({ "event": event }), None, true)
}

#[derive(Serialize)]
struct ErrorParameters<'a> {
    #[serde(flatten)]
    info: &'a ErrorInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction: Option<TransactionId>,
}

/// An error of our interface.
pub(super) fn failure(failure: &Failure) -> Vec<u8> {
    let Failure { info, transaction } = failure;
    let name = format!("{NAME}.{}", info.kind);
    message(ErrorParameters { info, transaction: *transaction }, Some(&name), false)
}

/// An error of the protocol (org.varlink.service) about one thing.
pub(super) fn protocol_error(name: &str, about: &str, what: &str) -> Vec<u8> {
    message(json!({ about: what }), Some(&format!("org.varlink.service.{name}")), false)
}
