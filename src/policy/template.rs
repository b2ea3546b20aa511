//! Fills a template: `{{ capture.NAME.PATH }}` in its texts.

use super::Wrong;
use super::capture::{Captures, from};
use super::expression::split;
use super::lex::path;
use super::tree::{as_text, find};
use crate::state::{Entry, ErrorKind, Node, Path, Position, Value};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// What is wrong with a text of a template, and where that stands.
pub(super) struct WrongText {
    pub path: Path,
    pub at: Option<Position>,
    pub wrong: Wrong,
}

/// The tree with every reference replaced. A text that is nothing but a reference becomes what it
/// refers to, with all that is below; within a longer text only what is one value can stand.
/// Everything keeps the place of the text that it came for.
pub(super) fn fill(template: &Node, captures: &Captures, at: &Path) -> Result<Node, Vec<WrongText>> {
    let mut wrong = Vec::new();
    let filled = fill_node(template, captures, &mut at.clone(), &mut wrong);
    if wrong.is_empty() { Ok(filled) } else { Err(wrong) }
}

fn fill_node(node: &Node, captures: &Captures, path: &mut Path, wrong: &mut Vec<WrongText>) -> Node {
    let value = match &node.value {
        Value::Scalar { text, .. } => match fill_text(text, captures) {
            Ok(None) => return node.clone(),
            Ok(Some(filled)) => filled.value,
            Err(problem) => {
                wrong.push(WrongText { path: path.clone(), at: node.at, wrong: problem });
                return node.clone();
            }
        },
        Value::List(items) => Value::List(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    path.push_index(index);
                    let filled = fill_node(item, captures, path, wrong);
                    path.pop();
                    filled
                })
                .collect(),
        ),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|Entry { key, at, value }| {
                    path.push_key(key);
                    let value = fill_node(value, captures, path, wrong);
                    path.pop();
                    Entry { key: key.clone(), at: *at, value }
                })
                .collect(),
        ),
    };
    Node { value, at: node.at }
}

/// None: there is no reference in it.
fn fill_text(text: &str, captures: &Captures) -> Result<Option<Node>, Wrong> {
    if !text.contains(['{', '}']) {
        return Ok(None);
    }
    let place = |bytes: usize| text[..bytes].chars().count();
    let mut filled = String::new();
    let mut rest = 0;
    while let Some(found) = text[rest..].find(['{', '}']) {
        let open = rest + found;
        if !text[open..].starts_with(OPEN) {
            return Err(Wrong::policy(
                place(open),
                "a brace here must be one of `{{` or `}}` around a reference",
            ));
        }
        let inner = open + OPEN.len();
        let close = match text[inner..].find(['{', '}']) {
            Some(found) if text[inner + found..].starts_with(CLOSE) => inner + found,
            Some(found) => return Err(Wrong::policy(place(inner + found), "expected `}}`")),
            None => return Err(Wrong::policy(place(open), "this `{{` has no `}}`")),
        };
        let value = look_up(&text[inner..close], place(inner), captures)?;
        let end = close + CLOSE.len();
        if text[..open].trim().is_empty() && text[end..].trim().is_empty() {
            return Ok(Some(value));
        }
        if !matches!(value.value, Value::Scalar { .. }) {
            let what = "this is more than one value, and must stand alone in its text";
            return Err(Wrong::policy(place(inner), what));
        }
        filled += &text[rest..open];
        filled += &as_text(&value);
        rest = end;
    }
    filled += &text[rest..];
    Ok(Some(super::tree::scalar(&filled)))
}

fn look_up(reference: &str, at: usize, captures: &Captures) -> Result<Node, Wrong> {
    const EXPECTED: &str = "expected `capture.NAME.` and a path within that capture";
    let at = at + reference.chars().take_while(|c| c.is_whitespace()).count();
    let word = reference.trim();
    if word.is_empty() || word.contains(char::is_whitespace) {
        return Err(Wrong::policy(at, EXPECTED));
    }
    match split(path(word, at)?, ErrorKind::PolicyError)? {
        (Some(source), path) => find(from(Some(&source), &Node::null(), captures)?, &path),
        (None, _) => Err(Wrong::policy(at, EXPECTED)),
    }
}
