//! What both are asked.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

#[derive(Debug)]
pub struct Command {
    /// Its name on the page.
    pub name: &'static str,
    /// `@` stands for the document, `%` for the present state.
    arguments: &'static [&'static str],
    /// Kinds of documents that it is asked about.
    kinds: &'static [&'static str],
}

const fn command(
    name: &'static str,
    arguments: &'static [&'static str],
    kinds: &'static [&'static str],
) -> Command {
    Command { name, arguments, kinds }
}

/// Without a daemon and a network.
pub const OFFLINE: &[Command] = &[
    command("format", &["format", "@"], &["documents", "bad"]),
    command("validate", &["validate", "@"], &["documents", "policies", "bad", "bad-policies"]),
    command("validate -c", &["validate", "@", "-c", "%"], &["documents", "policies", "bad", "bad-policies"]),
    command("gr -c", &["gr", "@", "-c", "%"], &["documents", "bad"]),
    command("gc", &["gc", "@"], &["documents"]),
    command("statistic -c", &["statistic", "@", "-c", "%", "--json"], &["documents"]),
    command("policy -c", &["policy", "@", "-c", "%"], &["policies", "bad-policies"]),
];

/// With the present state of the machine.
pub const LIVE: &[Command] = &[
    command("apply", &["apply", "@"], &["bad", "bad-policies"]),
    command("gr", &["gr", "@", "--json"], &["host", "policies"]),
    command("statistic", &["statistic", "@"], &["host"]),
];

/// `show`, with a name where one is asked for.
pub const SHOWN: &[Command] = &[
    command("show", &["show"], &["-"]),
    command("show --json", &["show", "--json"], &["-"]),
    command("show -r", &["show", "-r"], &["-"]),
    command("show -k", &["show", "-k"], &["-"]),
    command("show NAME", &["show", "@"], &["names"]),
    command("show NAME -r", &["show", "-r", "@"], &["names"]),
];

/// A command and a document.
#[derive(Debug)]
pub struct Case {
    pub command: &'static Command,
    /// Its name on the page: `folder/name.yml`.
    pub document: String,
    path: PathBuf,
}

impl Case {
    /// What it is recorded under.
    pub fn key(&self) -> (String, String) {
        (self.command.name.to_owned(), self.document.clone())
    }

    pub fn arguments(&self) -> Vec<PathBuf> {
        let replace = |argument: &&str| match *argument {
            "@" => self.path.clone(),
            "%" => folder("current.yml"),
            other => other.into(),
        };
        self.command.arguments.iter().map(replace).collect()
    }
}

fn folder(name: &str) -> PathBuf {
    root().join("tests/compatibility").join(name)
}

/// Folders of docs/examples with documents in nmstate's words.
const EXAMPLES: [&str; 4] = ["kernel", "host", "managed", "query"];

/// The documents of a kind: those in the folder of that name, and for `documents` all of docs/examples as well.
pub fn documents(kind: &str) -> Vec<(String, PathBuf)> {
    let example = |name: &str| listed(name, &root().join("docs/examples").join(name));
    if EXAMPLES.contains(&kind) {
        return example(kind);
    }
    let mut found = listed(kind, &folder(kind));
    if kind == "documents" {
        EXAMPLES.iter().for_each(|name| found.extend(example(name)));
    }
    found
}

fn listed(name: &str, folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.sort();
    let named = |path: PathBuf| {
        let file = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        (format!("{name}/{file}"), path)
    };
    files.into_iter().map(named).collect()
}

/// Each command with each of its documents.
pub fn cases(commands: &'static [Command]) -> Vec<Case> {
    let mut cases = Vec::new();
    for command in commands {
        for kind in command.kinds {
            for (document, path) in documents(kind) {
                cases.push(Case { command, document, path });
            }
        }
    }
    cases
}

/// Each way to show what is there, whole and of these interfaces.
pub fn shown(names: &[&str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for command in SHOWN {
        let names = if command.kinds == ["names"] { names } else { &["-"] };
        let of = |name: &&str| Case { command, document: (*name).to_owned(), path: name.into() };
        cases.extend(names.iter().map(of));
    }
    cases
}
