//! The document: a network state in the nmstate schema, as types.
//!
//! Text becomes a [`Node`] tree (positions kept), the tree becomes a [`State`] (every problem
//! reported, not only the first), a `State` prints itself through serde in the schema's order.
//! Each section is declared once with [`section!`](declare); reading, printing, completing from a
//! base, the JSON Schema and `nmctl explain` all come from that one declaration.
//!
//! Pure: no I/O, no clock, no logging.

#[macro_use]
mod declare;
mod document;
mod explain;
mod leaf;
mod native;
mod node;
mod part;
mod print;
mod problem;
mod reader;
mod schema;
mod secret;
mod sections;
mod shared;
mod text;
mod uninterpreted;

pub use document::{Document, snippet_of_text};
pub use explain::{Explanation, KeySummary, explain};
pub use leaf::{HIDDEN_SECRET, Mac, Net, Number, Secret, Selector};
pub use native::{Native, NativeChange};
pub use node::{Entry, Node, Position, Value, asks_nothing};
pub use part::{FieldInfo, Mode, Part, SectionInfo, Shape, Slot};
pub use print::CliForm;
pub use problem::{ErrorKind, Path, Problem, Segment};
pub use reader::{PROBLEMS_MAX, Reader, nearest};
pub use schema::json_schema;
pub use secret::{SECRET_KEYS, is_secret_key};
pub use sections::*;
pub use shared::Shared;
pub(crate) use text::parse;
pub use text::{DEPTH_MAX, NODES_MAX, SCALAR_BYTES_MAX, SCALARS_BYTES_MAX, TEXT_BYTES_MAX};
pub(crate) use uninterpreted::HEADER_KEYS;
pub use uninterpreted::Uninterpreted;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_prints_and_reports_every_problem() {
        let json = serde_json::json!({
            "interfaces": [
                {"name": "eth1", "type": "ethernet", "mtu": "0x5dc", "vlan": {"id": 3},
                 "ipv4": {"enabled": "yes", "address": [{"ip": "192.0.2.1", "prefix_length": 24}]}},
                {"name": "bo", "type": "bond", "bond": {"mode": 1, "options": {"miimon": "100"}, "ports": ["a"]}},
            ]
        });
        let mut reader = Reader::new();
        State::read(&Node::from_json(&json), &mut reader);
        let (problems, _) = reader.finish();
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "interfaces[0].vlan: key `vlan` does not belong to an interface of type ethernet",
                "interfaces[0].ipv4.address[0].prefix_length: unknown key `prefix_length` (did you mean `prefix-length`?)",
                "interfaces[0].ipv4.address[0]: missing key `prefix-length`",
            ]
        );
    }
}
