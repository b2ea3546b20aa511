//! A tool, asked: what it prints, parsed, or the kind of its error.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process;
use std::thread;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::inputs::Case;

/// The kind of an error that the peer tells without one: the text cannot be read as a document or a policy.
pub const UNREADABLE: &str = "unreadable";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What is printed, read as YAML.
    Printed(Json),
    /// What is printed and is no YAML.
    Text(String),
    Refused {
        exit: i32,
        kind: String,
    },
}

pub struct Tool {
    program: PathBuf,
    ours: bool,
    live: bool,
}

impl Tool {
    /// Ours, with no daemon in reach.
    pub fn ours() -> Self {
        Self { program: env!("CARGO_BIN_EXE_nmctl").into(), ours: true, live: false }
    }

    pub fn ours_live() -> Self {
        Self { live: true, ..Self::ours() }
    }

    pub fn peer(program: &str) -> Self {
        Self { program: program.into(), ours: false, live: false }
    }

    pub fn answer(&self, case: &Case) -> Answer {
        let mut command = process::Command::new(&self.program);
        command.arg0("nmstatectl").args(case.arguments()).env_remove("RUST_BACKTRACE");
        if self.ours && !self.live {
            command.env("NMCTL_SOCKET", "/nowhere/socket");
        }
        let output = command.output().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        match output.status.code() {
            Some(0) => serde_yaml::from_str(&out).map_or(Answer::Text(out), Answer::Printed),
            Some(exit) => Answer::Refused { exit, kind: kind(&err) },
            None => panic!("{case:?} ended {} by {}: {err}", self.program.display(), output.status),
        }
    }
}

/// `NmstateError: Kind: ...` there, `error: Kind: ...` here, among what is logged.
fn kind(err: &str) -> String {
    let told = err.lines().find_map(|line| {
        if line.starts_with("Provide file is not valid") || line.starts_with("Failed to load") {
            return Some(UNREADABLE.to_owned());
        }
        let rest = line.strip_prefix("NmstateError: ").or_else(|| line.strip_prefix("error: "))?;
        Some(rest.split(':').next().unwrap_or_default().to_owned())
    });
    told.unwrap_or_else(|| format!("? {}", err.lines().last().unwrap_or_default()))
}

/// The answers to all, in order, two at a time.
pub fn all(tool: &Tool, cases: &[Case]) -> Vec<Answer> {
    let ask = |cases: &[Case]| cases.iter().map(|case| tool.answer(case)).collect::<Vec<_>>();
    let (first, second) = cases.split_at(cases.len() / 2);
    thread::scope(|scope| {
        let first = scope.spawn(|| ask(first));
        let second = ask(second);
        let mut all = first.join().expect("it ends");
        all.extend(second);
        all
    })
}
