//! A value of merged files, which knows where each part of it was said.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::File;
use crate::state::{Node, Position, Value as NodeValue};

/// Where something was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub file: Arc<File>,
    pub at: Option<Position>,
}

/// As compilers say it: `/etc/netplan/50-x.yaml:3:5`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        match self.at {
            Some(Position { line, column }) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

/// A value, and who said it (last).
#[derive(Clone, PartialEq, Eq)]
pub struct Tree {
    pub value: Value,
    pub origin: Origin,
}

#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// As written; netplan looks at the text alone, whether it is in quotes or not.
    Scalar(String),
    List(Vec<Tree>),
    Map(BTreeMap<String, Tree>),
}

/// Without values: they may be secrets.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Scalar(_) => f.write_str("_"),
            Value::List(items) => items.fmt(f),
            Value::Map(keys) => keys.fmt(f),
        }
    }
}

impl Tree {
    /// What a node of a file says. A null is a text like any other, as it is to netplan.
    pub(super) fn of(node: &Node, file: &Arc<File>) -> Self {
        let value = match &node.value {
            NodeValue::Scalar { text, .. } => Value::Scalar(text.clone()),
            NodeValue::List(items) => Value::List(items.iter().map(|item| Self::of(item, file)).collect()),
            NodeValue::Map(entries) => {
                let mut keys: BTreeMap<String, Self> = BTreeMap::new();
                for entry in entries {
                    let mut value = Self::of(&entry.value, file);
                    value.origin.at = entry.at.or(value.origin.at);
                    match keys.get_mut(&entry.key) {
                        Some(present) => present.merge(&entry.key, value),
                        None => drop(keys.insert(entry.key.clone(), value)),
                    }
                }
                Value::Map(keys)
            }
        };
        Self { value, origin: Origin { file: file.clone(), at: node.at } }
    }

    /// Adds what a later file says under `key`: lists are joined, but for `link-local`, mappings go key by
    /// key, and of anything else the later counts.
    pub(super) fn merge(&mut self, key: &str, later: Self) {
        match (&mut self.value, later.value) {
            (Value::List(own), Value::List(later)) if key != "link-local" => {
                for item in later {
                    if !own.iter().any(|known| known.says_the_same(&item)) {
                        own.push(item);
                    }
                }
            }
            (Value::Map(own), Value::Map(later)) => {
                for (key, value) in later {
                    match own.get_mut(&key) {
                        Some(present) => present.merge(&key, value),
                        None => drop(own.insert(key, value)),
                    }
                }
            }
            (own, later) => *own = later,
        }
        self.origin = later.origin;
    }

    /// Whoever said it.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar(own), Value::Scalar(other)) => own == other,
            (Value::List(own), Value::List(other)) => {
                own.len() == other.len() && own.iter().zip(other).all(|(own, other)| own.says_the_same(other))
            }
            (Value::Map(own), Value::Map(other)) => {
                own.len() == other.len()
                    && own
                        .iter()
                        .zip(other)
                        .all(|((key, own), (other_key, other))| key == other_key && own.says_the_same(other))
            }
            _ => false,
        }
    }

    /// The value at a dotted path, as `parameters.mode`. Keys themselves hold no dots.
    pub fn get(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |tree, key| tree.keys()?.get(key))
    }

    pub fn keys(&self) -> Option<&BTreeMap<String, Self>> {
        match &self.value {
            Value::Map(keys) => Some(keys),
            _ => None,
        }
    }

    /// The items of a list; nothing of what is none.
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// A boolean in any of netplan's spellings.
    pub fn flag(&self) -> Option<bool> {
        let text = self.text()?;
        let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
        match (is(["true", "on", "yes", "y"]), is(["false", "off", "no", "n"])) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<u64> {
        self.text()?.parse().ok()
    }

    /// The texts of a list of scalars.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.items().iter().filter_map(Self::text)
    }
}
