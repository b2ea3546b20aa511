//! The tree between text and types: scalars as written, every node with its position.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use super::{HIDDEN_SECRET, Path, Segment, is_secret_key};

/// A place in a text: line and column, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// One value of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub value: Value,
    /// None where the document did not come as text.
    pub at: Option<Position>,
}

/// The content of a [`Node`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A scalar as written. `plain`: without quotes, so YAML's own rules give it a type.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping, with its value. Keys are in the order written; a repeated key is kept
/// twice, for the reader to report.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub at: Option<Position>,
    pub value: Node,
}

/// Without the value of a key that may hold a secret.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, at, value } = self;
        let mut out = f.debug_struct("Entry");
        out.field("key", key).field("at", at);
        if is_secret_key(key) { out.field("value", &HIDDEN_SECRET) } else { out.field("value", value) }
            .finish()
    }
}

impl Node {
    pub fn null() -> Self {
        Self { value: Value::Scalar { text: String::new(), plain: true }, at: None }
    }

    /// YAML 1.2 core schema: an empty plain scalar, `~`, `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value of a key, the last one if it is repeated.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().rev().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// A word for messages: what this is.
    pub fn describe(&self) -> String {
        match &self.value {
            _ if self.is_null() => "nothing".into(),
            Value::Scalar { text, .. } => {
                let short: String = text.chars().take(40).collect();
                let dots = if short.len() < text.len() { "..." } else { "" };
                format!("`{short}{dots}`")
            }
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
        }
    }

    /// Where the deepest existing node on `path` stands. Planning problems have only a path;
    /// this gives them their line.
    pub fn locate(&self, path: &Path) -> Option<Position> {
        let mut node = self;
        let mut found = self.at;
        for segment in path.segments() {
            let next = match (segment, &node.value) {
                (Segment::Key(key), Value::Map(_)) => node.get(key),
                (Segment::Index(i), Value::List(items)) => items.get(*i),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
            found = node.at.or(found);
        }
        found
    }

    /// The tree of a JSON value; it has no positions.
    pub fn from_json(json: &Json) -> Self {
        let value = match json {
            Json::Null => return Self::null(),
            Json::Bool(b) => Value::Scalar { text: b.to_string(), plain: true },
            Json::Number(n) => Value::Scalar { text: n.to_string(), plain: true },
            Json::String(s) => Value::Scalar { text: s.clone(), plain: false },
            Json::Array(items) => Value::List(items.iter().map(Self::from_json).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, v)| Entry { key: key.clone(), at: None, value: Self::from_json(v) })
                    .collect(),
            ),
        };
        Self { value, at: None }
    }

    /// The JSON value of this tree, plain scalars typed by the YAML 1.2 core schema.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect())
            }
            Value::Scalar { .. } if self.is_null() => Json::Null,
            Value::Scalar { text, plain: false } => text.clone().into(),
            Value::Scalar { text, plain: true } => match text.as_str() {
                "true" | "True" | "TRUE" => true.into(),
                "false" | "False" | "FALSE" => false.into(),
                _ => plain_number(text).unwrap_or_else(|| text.clone().into()),
            },
        }
    }
}

/// Whether the value of a key asks for nothing of what is not there: off, zero, empty.
pub fn asks_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(on) => !on,
        Json::Number(number) => number.as_i64() == Some(0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(keys) => keys.is_empty(),
    }
}

/// The number that a plain scalar is. Digits with leading zeros are text, as in `017`, and so is
/// what JSON cannot hold.
fn plain_number(text: &str) -> Option<Json> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().map(Json::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().map(Json::from);
    }
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+'));
    let is_padded =
        unsigned.len() > 1 && unsigned.chars().all(|c| c.is_ascii_digit()) && unsigned.starts_with('0');
    if !is_number || is_padded {
        return None;
    }
    let number = text.strip_prefix('+').unwrap_or(text);
    let integer = number.parse::<i64>().map(Json::from).or_else(|_| number.parse::<u64>().map(Json::from));
    integer.ok().or_else(|| {
        let float = number.parse::<f64>().ok()?;
        serde_json::Number::from_f64(float).map(Json::Number)
    })
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}
