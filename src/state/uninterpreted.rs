//! An interface entry whose keys cannot be read before its type is known (schema 6.20).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use serde::ser::SerializeMap;
use serde_json::{Map, Value as Json};

use super::{Entry, HIDDEN_SECRET, Node, Value, is_secret_key};

/// The keys that have their own meaning in every entry, whatever its type.
pub(crate) const HEADER_KEYS: [&str; 3] = ["name", "type", "state"];

/// An entry as written. It prints its secrets only after [`Uninterpreted::reveal`].
#[derive(Clone)]
pub struct Uninterpreted {
    node: Node,
    revealed: bool,
}

impl Uninterpreted {
    pub fn new(node: Node) -> Self {
        Self { node, revealed: false }
    }

    /// Makes this copy print its secrets.
    pub fn reveal(&mut self) {
        self.revealed = true;
    }

    /// Prints the keys beyond the header, each once: of a repeated key the last one.
    pub(crate) fn print_entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let Value::Map(entries) = &self.node.value else { return Ok(()) };
        let last: BTreeMap<&str, usize> =
            entries.iter().enumerate().map(|(i, entry)| (entry.key.as_str(), i)).collect();
        for (i, entry) in entries.iter().enumerate() {
            if last[entry.key.as_str()] == i && !HEADER_KEYS.contains(&entry.key.as_str()) {
                map.serialize_entry(&entry.key, &self.printed(entry))?;
            }
        }
        Ok(())
    }

    fn printed(&self, entry: &Entry) -> Json {
        let json = entry.value.to_json();
        if self.revealed { json } else { hide(&entry.key, json) }
    }
}

/// The value of that key with every secret in it hidden.
fn hide(key: &str, json: Json) -> Json {
    match json {
        Json::Null => Json::Null,
        _ if is_secret_key(key) => HIDDEN_SECRET.into(),
        Json::Object(map) => {
            let hidden: Map<String, Json> = map
                .into_iter()
                .map(|(key, value)| {
                    let value = hide(&key, value);
                    (key, value)
                })
                .collect();
            Json::Object(hidden)
        }
        Json::Array(items) => items.into_iter().map(|item| hide(key, item)).collect(),
        scalar => scalar,
    }
}

impl Deref for Uninterpreted {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

/// Where it stood in a text does not matter, nor does what the interface itself holds.
impl PartialEq for Uninterpreted {
    fn eq(&self, other: &Self) -> bool {
        let content = |own: &Self| {
            let mut json = own.node.to_json();
            if let Json::Object(map) = &mut json {
                map.retain(|key, _| !HEADER_KEYS.contains(&key.as_str()));
            }
            json
        };
        content(self) == content(other)
    }
}

impl fmt::Debug for Uninterpreted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.node, f)
    }
}
