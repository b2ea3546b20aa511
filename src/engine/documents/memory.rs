//! What is known of the documents that were applied. Durable: see [`Store`](super::super::store).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::transaction::{Unreadable, decode, encode};

const FORMAT: &str = "nmstated-documents";

/// How often a daemon may end in the middle of a document before that is left alone.
pub(super) const UNFINISHED_MAX: u32 = 3;

/// The documents by the names of their files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Memory(BTreeMap<String, Known>);

/// The content that was applied, or tried, last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    sha256: String,
    is_applied: bool,
    /// Tries that have begun since one has ended.
    unfinished: u32,
}

impl Memory {
    pub(in super::super) fn to_bytes(&self) -> Vec<u8> {
        encode(FORMAT, &serde_json::to_value(self).expect("a memory has only string keys"))
    }

    pub(in super::super) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        serde_json::from_value(decode(FORMAT, bytes)?).map_err(|error| Unreadable::Content(error.to_string()))
    }

    /// Whether this content was applied last.
    pub(super) fn is_applied(&self, file: &str, sha256: &str) -> bool {
        self.same(file, sha256).is_some_and(|known| known.is_applied)
    }

    /// How often a daemon has ended while it applied this content.
    pub(super) fn unfinished(&self, file: &str, sha256: &str) -> u32 {
        self.same(file, sha256).map_or(0, |known| known.unfinished)
    }

    /// A try begins.
    pub(super) fn begin(&mut self, file: &str, sha256: &str) {
        let unfinished = self.unfinished(file, sha256) + 1;
        self.know(file, Known { sha256: sha256.into(), is_applied: false, unfinished });
    }

    /// A try has ended, or need not begin.
    pub(super) fn end(&mut self, file: &str, sha256: &str, is_applied: bool) {
        self.know(file, Known { sha256: sha256.into(), is_applied, unfinished: 0 });
    }

    /// Forgets the documents that are not there any more.
    pub(super) fn keep(&mut self, files: &[String]) {
        self.0.retain(|file, _| files.contains(file));
    }

    fn same(&self, file: &str, sha256: &str) -> Option<&Known> {
        self.0.get(file).filter(|known| known.sha256 == sha256)
    }

    fn know(&mut self, file: &str, known: Known) {
        self.0.insert(file.to_owned(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_known_until_another_is_or_its_file_has_gone() {
        let mut memory = Memory::default();
        memory.begin("a.yml", "1");
        assert!(!memory.is_applied("a.yml", "1"));
        memory.end("a.yml", "1", true);
        assert!(memory.is_applied("a.yml", "1") && !memory.is_applied("a.yml", "2"));
        assert_eq!(Memory::from_bytes(&memory.to_bytes()), Ok(memory.clone()));
        memory.begin("a.yml", "2");
        assert!(!memory.is_applied("a.yml", "1") && !memory.is_applied("a.yml", "2"));
        memory.end("a.yml", "2", true);
        memory.keep(&["b.yml".into()]);
        assert_eq!(memory, Memory::default());
    }

    #[test]
    fn tries_that_do_not_end_are_counted_per_content() {
        let mut memory = Memory::default();
        memory.begin("a.yml", "1");
        memory.begin("a.yml", "1");
        assert_eq!((memory.unfinished("a.yml", "1"), memory.unfinished("a.yml", "2")), (2, 0));
        memory.end("a.yml", "1", false);
        assert_eq!(memory.unfinished("a.yml", "1"), 0);
    }
}
