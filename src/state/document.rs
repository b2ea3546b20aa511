//! A document as a client sent it: text or JSON, with the tree kept for positions.

use serde_json::Value as Json;

use super::{Node, Part, Problem, Reader, State};

/// A document as a client sent it.
#[derive(Clone, Debug)]
pub struct Document {
    node: Node,
}

impl Document {
    pub fn from_json(json: &Json) -> Self {
        Self { node: Node::from_json(json) }
    }

    /// The state it describes, with warnings; or everything that is wrong with it.
    pub fn state(&self) -> Result<(State, Vec<Problem>), Vec<Problem>> {
        let mut reader = Reader::new();
        let state = State::read(&self.node, &mut reader);
        let (problems, warnings) = reader.finish();
        match state {
            Some(state) if problems.is_empty() => Ok((state, warnings)),
            _ => Err(problems),
        }
    }
}
