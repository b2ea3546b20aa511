//! Walks in the tree of a document.

use super::Wrong;
use super::lex::Part;
use crate::state::{Entry, Node, Value};

/// What stands there: keys of mappings, positions in lists. A list on the way without a position is
/// the list of what its items have there. The problem names the first word that leads nowhere.
pub(super) fn find(node: &Node, path: &[Part]) -> Result<Node, Wrong> {
    let Some((first, rest)) = path.split_first() else { return Ok(node.clone()) };
    let nowhere =
        |what: &str| Err(Wrong::policy(first.at, format!("there is no {what} `{}` here", first.word)));
    match &node.value {
        Value::Map(_) => match node.get(&first.word) {
            Some(next) => find(next, rest),
            None => nowhere("property"),
        },
        Value::List(items) => match first.word.parse::<usize>() {
            Ok(index) => match items.get(index) {
                Some(item) => find(item, rest),
                None => nowhere("item"),
            },
            Err(_) => {
                let found: Vec<Node> = items.iter().filter_map(|item| find(item, path).ok()).collect();
                if found.is_empty() { nowhere("property") } else { Ok(list(found)) }
            }
        },
        Value::Scalar { .. } => nowhere("property"),
    }
}

/// Whether a property has that text; of a list on the way, any item's.
pub(super) fn has(node: &Node, path: &[Part], text: &str) -> bool {
    match (&node.value, path.split_first()) {
        (Value::List(items), Some((first, rest))) => match first.word.parse::<usize>() {
            Ok(index) => items.get(index).is_some_and(|item| has(item, rest, text)),
            Err(_) => items.iter().any(|item| has(item, path, text)),
        },
        (Value::List(items), None) => items.iter().any(|item| has(item, path, text)) || as_text(node) == text,
        (_, Some((first, rest))) => node.get(&first.word).is_some_and(|next| has(next, rest, text)),
        (_, None) => as_text(node) == text,
    }
}

/// Puts a value there. Mappings that are missing on the way are made; of a list, every item gets it.
pub(super) fn put(node: &mut Node, path: &[Part], value: &Node) -> Result<(), Wrong> {
    let Some((first, rest)) = path.split_first() else {
        *node = value.clone();
        return Ok(());
    };
    if node.is_null() {
        node.value = Value::Map(Vec::new());
    }
    match &mut node.value {
        Value::Map(entries) => {
            let index = entries.iter().position(|entry| entry.key == first.word).unwrap_or_else(|| {
                entries.push(entry(&first.word, Node::null()));
                entries.len() - 1
            });
            put(&mut entries[index].value, rest, value)
        }
        Value::List(items) => match first.word.parse::<usize>() {
            Ok(index) => match items.get_mut(index) {
                Some(item) => put(item, rest, value),
                None => Err(Wrong::invalid(first.at, format!("there is no item {index} here"))),
            },
            Err(_) => items.iter_mut().try_for_each(|item| put(item, path, value)),
        },
        Value::Scalar { .. } => {
            Err(Wrong::invalid(first.at, format!("`{}` cannot be set in what is no mapping", first.word)))
        }
    }
}

/// A tree with nothing in it but this, below those keys.
pub(super) fn below(keys: &[Part], node: Node) -> Node {
    keys.iter()
        .rev()
        .fold(node, |node, part| Node { value: Value::Map(vec![entry(&part.word, node)]), at: None })
}

/// How a value compares: a text or number as it is written, what is more as JSON.
pub(super) fn as_text(node: &Node) -> String {
    match &node.value {
        Value::Scalar { .. } if node.is_null() => String::new(),
        Value::Scalar { text, .. } => text.clone(),
        Value::List(_) | Value::Map(_) => node.to_json().to_string(),
    }
}

pub(super) fn scalar(text: &str) -> Node {
    Node { value: Value::Scalar { text: text.to_owned(), plain: false }, at: None }
}

pub(super) fn list(items: Vec<Node>) -> Node {
    Node { value: Value::List(items), at: None }
}

fn entry(key: &str, value: Node) -> Entry {
    Entry { key: key.to_owned(), at: None, value }
}
