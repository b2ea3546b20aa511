//! The newest ended transactions: who, when, what, outcome. Bounded by count and size.

use std::collections::VecDeque;

use crate::wire::{TransactionId, TransactionInfo};

/// Most entries kept, unless configured.
pub(super) const ENTRIES_MAX: usize = 500;
/// Most bytes kept, as JSON.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// Ended transactions, oldest first.
pub(super) struct History {
    entries_max: usize,
    entries: VecDeque<(TransactionInfo, usize)>,
    bytes: usize,
}

impl Default for History {
    fn default() -> Self {
        Self::of_at_most(ENTRIES_MAX)
    }
}

impl History {
    pub(super) fn of_at_most(entries_max: usize) -> Self {
        Self { entries_max, entries: VecDeque::new(), bytes: 0 }
    }

    /// Adds the newest; the oldest make place. It replaces what is known of the same transaction.
    pub(super) fn add(&mut self, info: TransactionInfo) {
        if let Some(place) = self.entries.iter().rposition(|(known, _)| known.id == info.id)
            && let Some((_, size)) = self.entries.remove(place)
        {
            self.bytes -= size;
        }
        let size = line(&info).len();
        self.entries.push_back((info, size));
        self.bytes += size;
        while self.entries.len() > self.entries_max || self.bytes > BYTES_MAX {
            let Some((_, size)) = self.entries.pop_front() else { break };
            self.bytes -= size;
        }
    }

    pub(super) fn get(&self, id: TransactionId) -> Option<&TransactionInfo> {
        self.entries.iter().rev().map(|(info, _)| info).find(|info| info.id == id)
    }

    /// The history in a file of [`line`]s. A line that cannot be read is left out, and of two
    /// about the same transaction the later one counts.
    pub(super) fn read(file: &str, entries_max: usize) -> Self {
        let mut history = Self::of_at_most(entries_max);
        for info in file.lines().filter_map(|line| serde_json::from_str::<TransactionInfo>(line).ok()) {
            history.add(info);
        }
        history
    }

    /// All entries, oldest first.
    pub(super) fn into_entries(self) -> impl Iterator<Item = TransactionInfo> {
        self.entries.into_iter().map(|(info, _)| info)
    }

    /// The ids of all entries, ascending.
    pub(super) fn ids(&self) -> Vec<TransactionId> {
        let mut ids: Vec<_> = self.entries.iter().map(|(info, _)| info.id).collect();
        ids.sort_unstable();
        ids
    }

    /// The whole history as a file.
    pub(super) fn lines(&self) -> String {
        self.entries.iter().map(|(info, _)| line(info)).collect()
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
