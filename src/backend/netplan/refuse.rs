//! What netplan, or its renderer, cannot say: refused while planning, with the key. Pure.

use std::collections::BTreeSet;

use crate::netplan::{Broken, Refusal};
use crate::plan::{Action, Change, Plan};
use crate::state::{ErrorKind, InterfaceType, Path, Problem, Segment};

/// What no file of netplan's holds, and nobody else makes. `types`: what the kernel can make.
pub(super) fn refuse(plan: &Plan, types: &BTreeSet<InterfaceType>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for change in &plan.changes {
        let Change::Interface(change) = change else { continue };
        let after = change.after.as_ref().filter(|after| after.is_up());
        let is_made = after.is_some() && (change.action == Action::Add || change.rebuild);
        let is_of_ovs = matches!(change.kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface);
        if is_made && change.kind.is_virtual() && !is_of_ovs && !types.contains(&change.kind) {
            let message = format!("this kernel cannot make interfaces of type `{}`", change.kind);
            let (path, message) = placed(plan, Some(&change.name), &Path::root().key("type"), message);
            problems.push(Problem::new(ErrorKind::NotSupportedError, path, message));
        }
    }
    problems
}

/// As problems of the client's document.
pub(super) fn problems(plan: &Plan, refusals: Vec<Refusal>) -> Vec<Problem> {
    let problem = |Refusal { interface, path, text }| {
        let (path, message) = placed(plan, interface.as_deref(), &path, text);
        Problem { interface, ..Problem::new(ErrorKind::NotSupportedError, path, message) }
    };
    refusals.into_iter().map(problem).collect()
}

/// A file that netplan does not understand, of whomever.
pub(super) fn broken(Broken { file, problem }: &Broken) -> Problem {
    let place = problem.at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    let message = format!("{file}{place}: {}", problem.message);
    Problem::new(ErrorKind::PluginFailure, Path::root(), message)
}

/// A place in the document. What is drawn in has none of its own, and is named instead.
pub(super) fn placed(plan: &Plan, interface: Option<&str>, path: &Path, text: String) -> (Path, String) {
    let Some(name) = interface else { return (path.clone(), text) };
    let origin = plan.origins.iter().find(|((of, _), _)| of == name).map(|(_, origin)| origin);
    let Some(origin) = origin else {
        return (Path::root().key("interfaces"), format!("`{name}`: {text}"));
    };
    let place = path.segments().iter().fold(origin.clone(), |place, segment| match segment {
        Segment::Key(key) => place.key(key),
        Segment::Index(index) => place.index(*index),
    });
    (place, text)
}
