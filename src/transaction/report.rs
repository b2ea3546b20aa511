//! Problems as clients see them.

use crate::state::{ErrorKind, Path, Problem};
use crate::wire::ErrorInfo;

/// A refusal of one problem without a place.
pub fn refusal(kind: ErrorKind, message: impl Into<String>) -> Vec<Problem> {
    vec![Problem::new(kind, Path::root(), message)]
}

/// The first problem as the error, the others with it; None for no problem.
pub fn error_info(problems: &[Problem]) -> Option<ErrorInfo> {
    let (first, rest) = problems.split_first()?;
    Some(ErrorInfo { more: rest.iter().map(one).collect(), ..one(first) })
}

fn one(problem: &Problem) -> ErrorInfo {
    ErrorInfo {
        kind: problem.kind.name().into(),
        message: problem.message.clone(),
        path: problem.path.to_string(),
        line: problem.at.map(|at| at.line),
        column: problem.at.map(|at| at.column),
        interface: problem.interface.clone(),
        hint: problem.hint.clone(),
        more: Vec::new(),
    }
}
