//! Which keys hold secrets, and which lines of a text must therefore not be shown.

use super::{Node, Position, Value, nearest};

/// The keys of the schema whose value is a secret.
pub const SECRET_KEYS: [&str; 4] = ["private-key-password", "password", "mka-cak", "psk"];

/// The name of a key, near the key's own name, is no secret.
const NO_SECRET_KEY: &str = "mka-ckn";

/// Whether the value of that key may be a secret: also where the key is misspelt.
pub fn is_secret_key(key: &str) -> bool {
    key != NO_SECRET_KEY && nearest(key, SECRET_KEYS.into_iter()).is_some()
}

/// The secrets of a document: where they stand in its text, and what they are.
#[derive(Clone)]
pub(super) struct Secrets {
    /// First line, and the first line of what comes next.
    extents: Vec<(u32, u32)>,
    texts: Vec<String>,
}

/// Shorter pieces of a secret are not searched for in other lines: they would be everywhere.
const PIECE_MIN: usize = 4;

impl Secrets {
    pub(super) fn of(node: &Node) -> Self {
        let mut secrets = Self { extents: Vec::new(), texts: Vec::new() };
        let mut places = Vec::new();
        secrets.walk(node, false, &mut places);
        places.sort();
        // A secret goes on until something that is not secret begins.
        let mut next_line = u32::MAX;
        for (start, is_secret) in places.into_iter().rev() {
            if is_secret {
                secrets.extents.push((start.line, next_line));
            } else {
                next_line = start.line;
            }
        }
        secrets
    }

    fn walk(&mut self, node: &Node, is_secret: bool, places: &mut Vec<(Position, bool)>) {
        places.extend(node.at.map(|at| (at, is_secret)));
        match &node.value {
            Value::Scalar { text, .. } => {
                if is_secret {
                    let pieces = text.lines().map(str::trim).filter(|piece| piece.len() >= PIECE_MIN);
                    self.texts.extend(pieces.map(str::to_owned));
                }
            }
            Value::List(items) => items.iter().for_each(|item| self.walk(item, is_secret, places)),
            Value::Map(entries) => {
                for entry in entries {
                    let is_secret = is_secret || is_secret_key(&entry.key);
                    places.extend(entry.at.map(|at| (at, is_secret)));
                    self.walk(&entry.value, is_secret, places);
                }
            }
        }
    }

    /// Whether that line of the text, numbered from 1, shows a secret or a part of one.
    pub(super) fn are_in(&self, number: u32, line: &str) -> bool {
        let within = |(start, next): &(u32, u32)| *start == number || (*start < number && number < *next);
        self.extents.iter().any(within) || self.texts.iter().any(|text| line.contains(text.as_str()))
    }
}
