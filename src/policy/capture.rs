//! Runs captures: each is a part of the state, or of another capture.

use std::collections::BTreeMap;

use super::Wrong;
use super::expression::{Action, Expression, Operand, Reference};
use super::lex::Part;
use super::tree::{as_text, below, find, has, list, put, scalar};
use crate::state::{Node, Value};

/// What was captured, by name: each a document of its own.
pub(super) type Captures = BTreeMap<String, Node>;

/// Which of these expressions to run after which, as positions; or the one that cannot be, with the
/// reason.
pub(super) fn order(named: &[(&str, &Expression)]) -> Result<Vec<usize>, (usize, Wrong)> {
    let mut done: Vec<usize> = Vec::new();
    while done.len() < named.len() {
        let is_done = |name: &str| done.iter().any(|index| named[*index].0 == name);
        let ready = (0..named.len())
            .find(|index| !done.contains(index) && named[*index].1.needs().all(|need| is_done(&need.name)));
        if let Some(index) = ready {
            done.push(index);
            continue;
        }
        let missing = |need: &&Reference| !named.iter().any(|(name, _)| *name == need.name);
        let left = || (0..named.len()).filter(|index| !done.contains(index));
        let unknown = left().find_map(|index| Some((index, named[index].1.needs().find(missing)?)));
        if let Some((index, need)) = unknown {
            let text = format!("there is no capture `{}`", need.name);
            return Err((index, Wrong::invalid(need.at, text)));
        }
        let circle =
            left().find_map(|index| Some((index, named[index].1.needs().find(|need| !is_done(&need.name))?)));
        let (index, need) = circle.expect("what is left waits for something");
        let text = format!("`{}` needs `{}`, which needs it in turn", named[index].0, need.name);
        return Err((index, Wrong::invalid(need.at, text)));
    }
    Ok(done)
}

impl Expression {
    /// What it captures.
    pub(super) fn run(&self, current: &Node, captures: &Captures) -> Result<Node, Wrong> {
        let source = from(self.source.as_ref(), current, captures)?;
        match &self.action {
            Action::Whole => Ok(source.clone()),
            Action::Select(path) => select(source, path),
            Action::Filter { path, operand, wanted } => {
                let wish = value(operand, current, captures)?;
                let List { keys, rest, items } = list_on(source, path)?;
                let wish = as_text(&wish);
                let of_these: Vec<Node> =
                    items.iter().filter(|item| has(item, rest, &wish) == *wanted).cloned().collect();
                if of_these.is_empty() {
                    let words: Vec<&str> = path.iter().map(|part| part.word.as_str()).collect();
                    let sign = if *wanted { '=' } else { '≠' };
                    let text = format!("nothing has `{}` {sign} `{wish}`", words.join("."));
                    return Err(Wrong::policy(path[0].at, text));
                }
                Ok(below(keys, list(of_these)))
            }
            Action::Replace { path, operand } => {
                let wish = value(operand, current, captures)?;
                let List { keys, rest, items } = list_on(source, path)?;
                let mut items = items.to_vec();
                items.iter_mut().try_for_each(|item| put(item, rest, &wish))?;
                Ok(below(keys, list(items)))
            }
        }
    }
}

/// The capture of that name, or the current state.
pub(super) fn from<'a>(
    source: Option<&Reference>,
    current: &'a Node,
    captures: &'a Captures,
) -> Result<&'a Node, Wrong> {
    let Some(Reference { name, at }) = source else { return Ok(current) };
    captures.get(name).ok_or_else(|| Wrong::policy(*at, format!("there is no capture `{name}`")))
}

fn value(operand: &Operand, current: &Node, captures: &Captures) -> Result<Node, Wrong> {
    match operand {
        Operand::Text(text) => Ok(scalar(text)),
        Operand::Null => Ok(Node::null()),
        Operand::Path { source, path } => find(from(source.as_ref(), current, captures)?, path),
    }
}

/// Only that branch; a list is kept whole.
fn select(source: &Node, path: &[Part]) -> Result<Node, Wrong> {
    let mut node = source;
    for part in path {
        node = match &node.value {
            Value::List(_) => {
                let text = "this is within a list: `==`, `!=` and `:=` look into lists";
                return Err(Wrong::policy(part.at, text));
            }
            _ => node.get(&part.word).ok_or_else(|| {
                Wrong::policy(part.at, format!("there is no property `{}` here", part.word))
            })?,
        };
    }
    Ok(below(path, node.clone()))
}

/// A list on a path.
struct List<'a> {
    /// The keys that lead to it.
    keys: &'a [Part],
    /// The rest of the path.
    rest: &'a [Part],
    items: &'a [Node],
}

/// The first list on the way.
fn list_on<'a>(source: &'a Node, path: &'a [Part]) -> Result<List<'a>, Wrong> {
    let known = ["interfaces", "routes", "route-rules", "dns-resolver", "ovn"];
    if !known.contains(&path[0].word.as_str()) {
        let text = format!("`{}` has no lists; those are in {}", path[0].word, known.join(", "));
        return Err(Wrong::invalid(path[0].at, text));
    }
    let mut node = source;
    for (index, part) in path.iter().enumerate() {
        match node.get(&part.word) {
            Some(next) => node = next,
            // A section that this state does not have.
            None => return Ok(List { keys: &path[..=index], rest: &path[index + 1..], items: &[] }),
        }
        if let Value::List(items) = &node.value {
            let rest = &path[index + 1..];
            if rest.is_empty() && items.iter().any(|item| matches!(item.value, Value::Map(_))) {
                return Err(Wrong::policy(part.at, "expected a property of these items behind it"));
            }
            return Ok(List { keys: &path[..=index], rest, items });
        }
    }
    let last = path.last().expect("a path has words");
    Err(Wrong::policy(last.at, "this is not within a list"))
}
