//! The list of differences in docs/compatibility.md: a table with the columns command, document, what, and why. The
//! first three hold patterns, each between backquotes, where `*` stands for any text.

use std::collections::BTreeSet;
use std::fs;

use crate::root;

const PAGE: &str = "docs/compatibility.md";
const HEADING: &str = "| command | document | what | why |";

pub struct Page {
    rows: Vec<Row>,
}

/// A row; one with several places is as many.
struct Row {
    commands: Vec<String>,
    documents: Vec<String>,
    place: String,
}

impl Page {
    pub fn read() -> Self {
        let text = fs::read_to_string(root().join(PAGE)).expect("the page is there");
        let mut rows = Vec::new();
        let mut inside = false;
        for line in text.lines() {
            inside = line == HEADING || (inside && line.starts_with('|'));
            if !inside || line == HEADING || line.starts_with("| ---") {
                continue;
            }
            let columns: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [commands, documents, places, why] = columns[..] else {
                panic!("{PAGE}: not four columns: {line}")
            };
            assert!(!why.is_empty(), "{PAGE}: no reason: {line}");
            for place in patterns(places) {
                rows.push(Row { commands: patterns(commands), documents: patterns(documents), place });
            }
        }
        assert!(!rows.is_empty(), "{PAGE} has the table `{HEADING}`");
        Self { rows }
    }

    /// The rows that list such a difference.
    pub fn rows(&self, command: &str, document: &str, place: &str) -> Vec<usize> {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| matches(pattern, text));
        let fits = |row: &Row| {
            any(&row.commands, command) && any(&row.documents, document) && matches(&row.place, place)
        };
        self.rows.iter().enumerate().filter(|(_, row)| fits(row)).map(|(number, _)| number).collect()
    }

    /// The rows about these commands alone that are not used.
    pub fn idle(&self, commands: &[&str], used: &BTreeSet<usize>) -> Vec<String> {
        let of = |row: &Row| {
            row.commands.iter().all(|pattern| commands.iter().any(|command| matches(pattern, command)))
        };
        let idle = self.rows.iter().enumerate().filter(|(number, row)| of(row) && !used.contains(number));
        idle.map(|(_, row)| format!("{:?} {:?} {}", row.commands, row.documents, row.place)).collect()
    }
}

/// What stands between backquotes.
fn patterns(column: &str) -> Vec<String> {
    let found: Vec<_> = column.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(!found.is_empty(), "{PAGE}: no pattern in `{column}`");
    found
}

/// Whether the pattern is the whole text; `*` in it is any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices().map(|(at, _)| at).chain([tail.len()]).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

/// What a pattern is.
pub fn patterns_match() {
    for (pattern, text) in
        [("a", "a"), ("*", ""), ("*", "x[y].z"), ("a*c", "abbc"), ("*.x", "a.b.x"), ("a*", "a")]
    {
        assert!(matches(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("a", "ab"), ("a*c", "abcd"), ("*.x", "x"), ("", "x")] {
        assert!(!matches(pattern, text), "{pattern} {text}");
    }
}
