//! What the peer has answered: for each command a file, with a line of JSON for each document.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::inputs::{Case, OFFLINE};
use crate::root;

#[derive(Serialize, Deserialize)]
struct Line {
    document: String,
    answer: Answer,
}

fn file(command: &str) -> PathBuf {
    root().join("tests/compatibility/recorded").join(format!("{}.jsonl", command.replace(' ', "")))
}

/// Each answer, by command and document.
pub fn read() -> BTreeMap<(String, String), Answer> {
    let mut answers = BTreeMap::new();
    for command in OFFLINE {
        let path = file(command.name);
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for line in text.lines() {
            let line: Line = serde_json::from_str(line).expect("it was written so");
            answers.insert((command.name.to_owned(), line.document), line.answer);
        }
    }
    answers
}

pub fn write(cases: &[Case], answers: &[Answer]) {
    for command in OFFLINE {
        let mut text = String::new();
        for (case, answer) in cases.iter().zip(answers) {
            if case.command.name == command.name {
                let line = Line { document: case.document.clone(), answer: answer.clone() };
                text += &serde_json::to_string(&line).expect("an answer prints");
                text.push('\n');
            }
        }
        let path = file(command.name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
