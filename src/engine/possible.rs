//! What of the committed document this machine can have now. Hardware comes and goes: one card
//! that is gone must not keep the rest from being looked at, or brought back.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::work::plan_on;
use crate::backend::Backend;
use crate::plan::{self, Plan};
use crate::state::{Path, Problem, Segment, State};
use crate::transaction::error_info;
use crate::wire::ErrorInfo;

/// Attempts to leave out what cannot be had: what rests on something that is gone goes next.
const ATTEMPTS_MAX: usize = 8;

/// How the warnings about what is missing begin.
const LEFT_OUT: &str = "left out, this machine cannot have it now";

/// The plan of what can be had.
pub(super) struct Possible<'a> {
    pub(super) plan: Plan,
    /// What was planned: the document without what is missing.
    pub(super) asked: Cow<'a, State>,
    pub(super) missing: Vec<Missing>,
}

/// Something that cannot be had now.
pub(super) struct Missing {
    /// Its place in the document, elements of lists by name: nobody sees this document's numbers.
    place: String,
    problem: Problem,
}

impl Missing {
    pub(super) fn info(&self) -> ErrorInfo {
        let info = error_info(std::slice::from_ref(&self.problem)).expect("one problem makes an error");
        ErrorInfo { path: self.place.clone(), ..info }
    }

    pub(super) fn warning(&self) -> String {
        format!("{LEFT_OUT}: {}: {}", self.place, self.problem.message)
    }
}

/// Whether a warning of a transaction is that of something [`Missing`].
pub(super) fn is_left_out(warning: &str) -> bool {
    warning.starts_with(LEFT_OUT)
}

/// Why nothing can be planned.
pub(super) fn problems(missing: Vec<Missing>) -> Vec<Problem> {
    missing.into_iter().map(|missing| missing.problem).collect()
}

/// Plans as much of a document as can be had; an error only if leaving out does not help.
pub(super) fn possible<'a>(
    backend: &dyn Backend,
    asked: &'a State,
    current: &State,
    options: &plan::Options,
) -> Result<Possible<'a>, Vec<Missing>> {
    let mut asked = Cow::Borrowed(asked);
    let mut missing = Vec::new();
    for _ in 0..ATTEMPTS_MAX {
        let problems = match plan_on(backend, &asked, current, options) {
            Ok(plan) => return Ok(Possible { plan, asked, missing }),
            Err(problems) => problems,
        };
        let named =
            |problem: &Problem| Missing { place: place(&asked, &problem.path), problem: problem.clone() };
        missing.extend(problems.iter().map(named));
        if !leave_out(asked.to_mut(), &problems) {
            break;
        }
    }
    Err(missing)
}

/// Removes the list entries that the problems name. False: they name none.
fn leave_out(state: &mut State, problems: &[Problem]) -> bool {
    let named = |list: &[&str]| -> BTreeSet<usize> {
        problems.iter().filter_map(|problem| entry_of(list, &problem.path)).collect()
    };
    let interfaces = remove(state.interfaces.as_mut(), &named(&["interfaces"]));
    let routes = state.routes.as_mut().and_then(|routes| routes.config.as_mut());
    let routes = remove(routes.map(|routes| &mut **routes), &named(&["routes", "config"]));
    let rules = state.route_rules.as_mut().and_then(|rules| rules.config.as_mut());
    let rules = remove(rules, &named(&["route-rules", "config"]));
    let mappings = state.ovn.as_mut().and_then(|ovn| ovn.bridge_mappings.as_mut());
    let mappings = remove(mappings, &named(&["ovn", "bridge-mappings"]));
    interfaces || routes || rules || mappings
}

fn remove<T>(list: Option<&mut Vec<T>>, named: &BTreeSet<usize>) -> bool {
    let Some(list) = list else { return false };
    let before = list.len();
    let mut index = 0..;
    list.retain(|_| index.next().is_none_or(|index| !named.contains(&index)));
    list.len() < before
}

/// Which entry of a list a path leads to.
fn entry_of(list: &[&str], path: &Path) -> Option<usize> {
    let (keys, rest) = path.segments().split_at_checked(list.len())?;
    let is_list = keys.iter().zip(list).all(|(segment, key)| matches!(segment, Segment::Key(k) if k == key));
    match rest.first() {
        Some(Segment::Index(index)) if is_list => Some(*index),
        _ => None,
    }
}

/// A path with the names of interfaces and destinations of routes instead of their numbers.
fn place(state: &State, path: &Path) -> String {
    let name = entry_of(&["interfaces"], path).and_then(|index| {
        let interface = state.interfaces().get(index)?;
        Some((2, format!("interfaces[{}]", interface.name)))
    });
    let destination = || {
        let index = entry_of(&["routes", "config"], path)?;
        let destination = state.config_routes().get(index)?.destination?;
        Some((3, format!("routes.config[{destination}]")))
    };
    let Some((done, mut place)) = name.or_else(destination) else { return path.to_string() };
    for segment in &path.segments()[done..] {
        let written = match segment {
            Segment::Key(key) => write!(place, ".{key}"),
            Segment::Index(index) => write!(place, "[{index}]"),
        };
        written.expect("writing to a string cannot fail");
    }
    place
}
