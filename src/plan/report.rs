//! What planning has to say, collected: one wrong key does not hide the next.

use crate::state::{ErrorKind, PROBLEMS_MAX, Path, Problem};

/// Problems refuse the document; warnings come with the plan.
#[derive(Debug, Default)]
pub struct Report {
    pub problems: Vec<Problem>,
    pub warnings: Vec<String>,
}

impl Report {
    /// The problems in the order of the document, as many as help.
    pub fn problems(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| a.path.cmp(&b.path));
        self.problems.truncate(PROBLEMS_MAX);
        self.problems
    }

    pub fn invalid(&mut self, path: Path, message: impl Into<String>) {
        self.problem(ErrorKind::InvalidArgument, path, message);
    }

    pub fn problem(&mut self, kind: ErrorKind, path: Path, message: impl Into<String>) {
        self.problems.push(Problem::new(kind, path, message));
    }

    pub fn warn(&mut self, path: &Path, message: impl std::fmt::Display) {
        self.warnings.push(format!("{path}: {message}"));
    }
}
