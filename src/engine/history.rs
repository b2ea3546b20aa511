//! The newest ended transactions: who, when, what, outcome. Bounded by count and size.

use std::collections::VecDeque;

use crate::wire::{TransactionId, TransactionInfo};

/// Most entries kept.
pub(super) const ENTRIES_MAX: usize = 500;
/// Most bytes kept, as JSON.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// Ended transactions, oldest first.
#[derive(Default)]
pub(super) struct History {
    entries: VecDeque<(TransactionInfo, usize)>,
    bytes: usize,
}

impl History {
    /// Adds the newest; the oldest make place.
    pub(super) fn add(&mut self, info: TransactionInfo) {
        let size = line(&info).len();
        self.entries.push_back((info, size));
        self.bytes += size;
        while self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some((_, size)) = self.entries.pop_front() else { break };
            self.bytes -= size;
        }
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&TransactionInfo> {
        self.entries.iter().rev().map(|(info, _)| info).find(|info| info.id == id)
    }

    /// At most `limit` entries, newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<TransactionInfo> {
        self.entries.iter().rev().take(limit).map(|(info, _)| info.clone()).collect()
    }
}

/// An entry as a line of the history file.
pub(super) fn line(info: &TransactionInfo) -> String {
    let mut line = serde_json::to_string(info).expect("a transaction has only string keys");
    line.push('\n');
    line
}
