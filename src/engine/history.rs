//! The newest ended transactions: who, when, what, outcome. Bounded by count and size.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::transaction::Unreadable;
use crate::wire::{TransactionId, TransactionInfo};

/// Most entries kept, unless configured.
pub(super) const ENTRIES_MAX: usize = 500;
const FORMAT: &str = "nmstated-history";
/// The version this program writes, and the only one it reads.
const VERSION: u32 = 1;
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

    /// The history in a file: [`first_line`], then [`line`]s. Of two about the same transaction the
    /// later one counts. What cannot be read is left out, and why is said, too.
    pub(super) fn read(file: &str, entries_max: usize) -> (Self, Option<Unreadable>) {
        let mut history = Self::of_at_most(entries_max);
        let Some((first, rest)) = file.split_once('\n') else {
            let why = (!file.is_empty()).then_some(Unreadable::Damaged("it has no header"));
            return (history, why);
        };
        let (lines, mut why) = match serde_json::from_str::<Header>(first) {
            Ok(header) if header.format != FORMAT => ("", Some(Unreadable::Damaged("it is something else"))),
            Ok(header) if header.version != VERSION => ("", Some(Unreadable::Version(header.version))),
            Ok(_) => (rest, None),
            // Each line is read by itself: the damage of one is not that of the others.
            Err(_) => (file, Some(Unreadable::Damaged("it has no header"))),
        };
        for line in lines.split_inclusive('\n') {
            match serde_json::from_str::<TransactionInfo>(line) {
                Ok(info) if line.ends_with('\n') => history.add(info),
                Ok(_) | Err(_) => why = why.or(Some(Unreadable::Damaged("lines are not whole"))),
            }
        }
        (history, why)
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

    /// The entries as lines of a file.
    pub(super) fn lines(&self) -> String {
        self.entries.iter().map(|(info, _)| line(info)).collect()
    }

    /// At most `limit` entries, newest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<TransactionInfo> {
        self.entries.iter().rev().take(limit).map(|(info, _)| info.clone()).collect()
    }
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// The first line of the history file, which says what follows.
pub(super) fn first_line() -> String {
    let header = Header { format: FORMAT.into(), version: VERSION };
    serde_json::to_string(&header).expect("a header has only string keys") + "\n"
}

/// An entry as a line of the history file.
pub(super) fn line(info: &TransactionInfo) -> String {
    let mut line = serde_json::to_string(info).expect("a transaction has only string keys");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Owner, Stage};

    fn info(id: TransactionId) -> TransactionInfo {
        let json = serde_json::json!({
            "id": id, "owner": Owner { uid: 0, pid: None, via: "varlink".into() },
            "stage": Stage::Committed, "created": 1,
        });
        serde_json::from_value(json).expect("the rest may be left out")
    }

    fn ids(file: &str) -> (Vec<TransactionId>, Option<Unreadable>) {
        let (history, why) = History::read(file, 3);
        (history.ids(), why)
    }

    /// S11, S14: damage costs the lines that it is in, and is told.
    #[test]
    fn every_line_is_read_by_itself() {
        let [one, two, three] = [1, 2, 3].map(|id| line(&info(id)));
        let whole = first_line() + &one + &two + &three;
        assert_eq!(ids(&whole), (vec![1, 2, 3], None));
        assert_eq!(ids(&(whole.clone() + &line(&info(4)))), (vec![2, 3, 4], None));
        assert_eq!(ids(""), (vec![], None));
        let torn = Some(Unreadable::Damaged("lines are not whole"));
        assert_eq!(ids(&whole[..whole.len() - 1]), (vec![1, 2], torn.clone()));
        assert_eq!(ids(&whole.replacen(&two, "}{\n", 1)), (vec![1, 3], torn));
        let no_header = Some(Unreadable::Damaged("it has no header"));
        assert_eq!(ids(&whole[1..]), (vec![1, 2, 3], no_header.clone()));
        assert_eq!(ids("garbage"), (vec![], no_header));
        let future = whole.replacen("\"version\":1", "\"version\":2", 1);
        assert_eq!(ids(&future), (vec![], Some(Unreadable::Version(2))));
    }
}
