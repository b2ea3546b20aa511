//! Why a call failed, as clients see it.

use crate::auth::Denied;
use crate::engine::Refusal;
use crate::state::{ErrorKind, Path, Problem};
use crate::wire::{ErrorInfo, TransactionId, TransactionInfo};

/// The failure of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub info: Box<ErrorInfo>,
    /// The transaction that failed, when there is one.
    pub transaction: Option<TransactionId>,
}

impl Failure {
    /// A failure with nothing but a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Problem::new(kind, Path::root(), message).into()
    }

    /// The error of a transaction that did not end as asked.
    pub(super) fn of_transaction(info: TransactionInfo) -> Self {
        let TransactionInfo { id, stage, error, .. } = info;
        let info = error.map(Box::new).unwrap_or_else(|| {
            let message = format!("transaction {id} ended as {}", stage_name(stage));
            Self::new(ErrorKind::Cancelled, message).info
        });
        Self { info, transaction: Some(id) }
    }
}

/// The name of a stage on the wire.
pub(super) fn stage_name(stage: crate::wire::Stage) -> String {
    match serde_json::to_value(stage) {
        Ok(serde_json::Value::String(name)) => name,
        _ => unreachable!("a stage is a plain word on the wire"),
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self { info: Box::new(info(problem)), transaction: None }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let mut problems = refusal.into_iter();
        let Some(first) = problems.next() else {
            return Self::new(ErrorKind::Bug, "the request was refused without a reason");
        };
        let info = ErrorInfo { more: problems.map(info).collect(), ..info(first) };
        Self { info: Box::new(info), transaction: None }
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Problem::new(ErrorKind::PermissionError, Path::root(), denied.to_string())
            .with_hint(format!("ask root, or allow the polkit action {}", denied.action.id()))
            .into()
    }
}

fn info(problem: Problem) -> ErrorInfo {
    let Problem { kind, path, message, interface, hint, at } = problem;
    ErrorInfo {
        kind: kind.name().into(),
        message,
        path: path.to_string(),
        line: at.map(|at| at.line),
        column: at.map(|at| at.column),
        interface,
        hint,
        more: Vec::new(),
    }
}
