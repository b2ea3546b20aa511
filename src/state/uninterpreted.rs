//! An interface entry whose keys cannot be read before its type is known (schema 6.20).

use std::fmt;
use std::ops::Deref;

use serde::ser::SerializeMap;
use serde_json::{Map, Value as Json};

use super::{Entry, HIDDEN_SECRET, Node, Value, is_secret_key};

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

    /// Prints the keys for which `wanted` holds, each once: of a repeated key the last one.
    pub(crate) fn print_entries<M: SerializeMap>(
        &self,
        map: &mut M,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), M::Error> {
        let Value::Map(entries) = &self.node.value else { return Ok(()) };
        for (i, entry) in entries.iter().enumerate() {
            let is_last = !entries[i + 1..].iter().any(|later| later.key == entry.key);
            if wanted(&entry.key) && is_last {
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

/// Where it stood in a text does not matter.
impl PartialEq for Uninterpreted {
    fn eq(&self, other: &Self) -> bool {
        self.node.to_json() == other.node.to_json()
    }
}

impl fmt::Debug for Uninterpreted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.node, f)
    }
}
