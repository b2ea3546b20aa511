//! The rules of the repository that a compiler does not know (docs/architecture.md).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder whose name ends so, in order, relative to the repository.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder can be listed").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.strip_prefix(root()).expect("it is below the root").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// One line of code, with its number. Comments and unit tests are left out: they may name anything.
struct Line {
    file: PathBuf,
    number: usize,
    code: String,
}

fn code_below(folder: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for file in files(folder, ".rs") {
        let is_test =
            file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")));
        if is_test {
            continue;
        }
        let text = read(&file);
        // Tests stand at the end of a file.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (index, line) in code.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !code.trim().is_empty() {
                lines.push(Line { file: file.clone(), number: index + 1, code: code.to_owned() });
            }
        }
    }
    lines
}

fn complain(complaints: &[String], rule: &str) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}

/// The rooms of docs/architecture.md and what each may use.
fn rooms() -> BTreeMap<String, BTreeSet<String>> {
    let page = read("docs/architecture.md");
    let mut rooms = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `src/")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`').trim_start_matches("src/").trim_end_matches('/');
        let mut uses: BTreeSet<String> = cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        if cells[3].contains("all above") {
            uses.extend(rooms.keys().cloned());
        }
        rooms.insert(name.to_owned(), uses);
    }
    rooms
}

/// The rooms that a piece of code names: `crate::room`, `crate::{room::.., other}`.
fn rooms_named(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut named = Vec::new();
    for after in code.split("crate::").skip(1) {
        let Some(group) = after.strip_prefix('{') else {
            named.push(word(after));
            continue;
        };
        let mut depth = 0;
        let mut starts = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => starts = true,
                c if starts && !c.is_whitespace() => {
                    named.push(word(&group[index..]));
                    starts = false;
                }
                _ => {}
            }
        }
    }
    named
}

#[test]
fn rooms_named_reads_single_and_grouped_paths() {
    assert_eq!(rooms_named("use crate::state::{A, B};"), ["state"]);
    assert_eq!(rooms_named("use crate::{plan::{x, y}, wire};"), ["plan", "wire"]);
    assert_eq!(rooms_named("f($crate::state::X, crate::wire::Y)"), ["state", "wire"]);
}

#[test]
fn every_room_uses_only_what_the_architecture_allows() {
    let rooms = rooms();
    let folders: BTreeSet<String> = fs::read_dir(root().join("src"))
        .expect("there is a folder src")
        .map(|entry| entry.expect("src can be listed"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "bin")
        .collect();
    let undescribed: Vec<&String> = folders.iter().filter(|name| !rooms.contains_key(*name)).collect();
    assert!(undescribed.is_empty(), "not in docs/architecture.md: {undescribed:?}");
    let mut complaints = Vec::new();
    for (room, allowed) in rooms.iter().filter(|(room, _)| folders.contains(*room)) {
        // Whole files, since a path may go over several lines.
        let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
        for line in code_below(&format!("src/{room}")) {
            let _ = writeln!(texts.entry(line.file).or_default(), "{}", line.code);
        }
        for (file, text) in texts {
            for named in rooms_named(&text) {
                if rooms.contains_key(&named) && named != *room && !allowed.contains(&named) {
                    complaints.push(format!("{}: `{room}` must not use `{named}`", file.display()));
                }
            }
        }
    }
    complaints.dedup();
    complain(&complaints, "arrows that docs/architecture.md does not have");
}

#[test]
fn the_client_binary_links_only_the_client() {
    let complaints: Vec<String> = code_below("src/bin")
        .iter()
        .filter(|line| line.code.contains("nmstated::") && !line.code.contains("nmstated::client"))
        .map(|line| format!("{}:{}: {}", line.file.display(), line.number, line.code.trim()))
        .collect();
    complain(&complaints, "the client reaches into the daemon");
}

/// Complains about lines of code with one of these words.
fn without(folders: &[&str], words: &[&str], rule: &str) {
    let mut complaints = Vec::new();
    for line in folders.iter().flat_map(|folder| code_below(folder)) {
        // As a whole word: `async` is not in `asynchronous`, `rand::` is not in `operand::`.
        let found = words.iter().find(|word| {
            line.code.match_indices(**word).any(|(at, _)| {
                let before = line.code[..at].chars().next_back();
                let after = line.code[at + word.len()..].chars().next();
                let joins = |c: char| c.is_alphanumeric() || c == '_';
                let begins = word.starts_with(joins);
                let ends = word.ends_with(joins);
                !(begins && before.is_some_and(joins) || ends && after.is_some_and(joins))
            })
        });
        if let Some(word) = found {
            complaints.push(format!(
                "{}:{}: `{word}` in: {}",
                line.file.display(),
                line.number,
                line.code.trim()
            ));
        }
    }
    complain(&complaints, rule);
}

#[test]
fn pure_rooms_have_no_io_clock_async_log_or_hash_order() {
    let pure = [
        "src/state",
        "src/plan",
        "src/policy",
        "src/tools",
        "src/verify",
        "src/transaction",
        "src/wire",
        "src/netplan",
    ];
    let words = [
        "std::fs",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "std::os",
        "Mutex",
        "RwLock",
        "atomic",
        "mpsc",
        "std::time::Instant",
        "SystemTime",
        "Instant::now",
        "tokio",
        "nix",
        "libc",
        "tracing",
        "log::",
        "async",
        ".await",
        "HashMap",
        "HashSet",
        "RandomState",
        "rand::",
        "thread_local!",
        "static mut",
    ];
    without(&pure, &words, "pure rooms decide; they do nothing");
}

#[test]
fn nothing_is_left_undone_and_nothing_is_waved_through() {
    let words =
        ["todo!", "unimplemented!", "dbg!", "#[allow(", "#![allow(", "println!", "eprintln!", "print!"];
    without(&["src"], &words, "finish it, expect it with a reason, or write it to the right place");
    let mut complaints = Vec::new();
    for file in files("tests", ".rs").into_iter().chain(files("src", ".rs")) {
        let ignore = concat!("#[ig", "nore");
        for (index, line) in read(&file).lines().enumerate() {
            let expects = line.contains("#[expect(") || line.contains("#![expect(");
            if line.contains(ignore) && !line.trim_start().starts_with("let ") {
                complaints.push(format!("{}:{}: an ignored test tests nothing", file.display(), index + 1));
            }
            if expects && line.trim_end().ends_with(")]") && !line.contains("reason") {
                complaints.push(format!("{}:{}: an expectation without a reason", file.display(), index + 1));
            }
        }
    }
    complaints.retain(|complaint| !complaint.starts_with("tests/tidy.rs"));
    complain(&complaints, "tests and lints");
}

/// Who may start a program, none of which changes the network: the agent that asks for a password, the editor,
/// udev asked for a name, and the probes.
const STARTING: [&str; 4] =
    ["src/client/agent.rs", "src/client/edit.rs", "src/client/nic_names.rs", "src/probe/run.rs"];

#[test]
fn only_the_doors_open_files_and_start_programs() {
    let closed = ["src/engine"];
    without(
        &closed,
        &["std::fs", "fs::read", "fs::write", "File::open", "Command::new"],
        "go through src/system",
    );
    let starting: Vec<String> = code_below("src")
        .iter()
        .filter(|line| line.code.contains("process::Command") || line.code.contains("Command::new"))
        .filter(|line| !STARTING.iter().any(|file| line.file == Path::new(file)))
        .map(|line| format!("{}:{}: {}", line.file.display(), line.number, line.code.trim()))
        .collect();
    complain(&starting, "no program is started to change the network");
}

#[test]
fn unsafe_code_gives_its_argument() {
    let mut complaints = Vec::new();
    for file in files("src", ".rs") {
        let text = read(&file);
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let is_unsafe =
                code.contains("unsafe {") || code.contains("unsafe impl") || code.contains("unsafe fn");
            let argued = lines[index.saturating_sub(6)..=index].iter().any(|near| near.contains("SAFETY:"));
            if is_unsafe && !argued {
                complaints.push(format!("{}:{}: {}", file.display(), index + 1, line.trim()));
            }
        }
    }
    complain(&complaints, "unsafe without `SAFETY:`");
}

/// The lines in code blocks of the pages for users that start with that program.
fn commands_in_pages(program: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let pages = files("docs", ".md").into_iter().chain([PathBuf::from("README.md")]);
    for page in pages {
        let mut in_block = false;
        for line in read(&page).lines() {
            if line.trim_start().starts_with("```") {
                in_block = !in_block;
                continue;
            }
            let line = line.trim_start().trim_start_matches("$ ").trim_start_matches("sudo ");
            if in_block && line.strip_prefix(program).is_some_and(|rest| rest.starts_with(' ')) {
                found.push((page.clone(), line.to_owned()));
            }
        }
    }
    found
}

#[test]
fn the_commands_of_the_pages_exist() {
    let nmctl = commands_in_pages("nmctl");
    assert!(nmctl.len() >= 8, "the pages show how to use nmctl; found {nmctl:?}");
    for (page, line) in nmctl {
        // Up to a comment or what the shell does with the output.
        let words =
            line.split_whitespace().take_while(|word| !matches!(*word, "#" | "|" | ">" | "<" | "&&" | ";"));
        if let Err(error) = nmstated::client::command_line().try_get_matches_from(words) {
            panic!("{}: `{line}`: {error}", page.display());
        }
    }
    let makefile = read("Makefile");
    let make = commands_in_pages("make");
    assert!(make.len() >= 2, "the pages show `make demo` and `make test`; found {make:?}");
    for (page, line) in make {
        let target = line.split_whitespace().nth(1).expect("a target follows `make `");
        let exists = makefile.lines().any(|rule| rule.starts_with(&format!("{target}:")));
        assert!(exists, "{}: `{line}`: the Makefile has no such target", page.display());
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let mut complaints = Vec::new();
    for page in files("docs", ".md").into_iter().chain([PathBuf::from("README.md")]) {
        for link in read(&page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            let folder = root().join(page.parent().expect("a page is in a folder"));
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                complaints.push(format!("{}: {link}", page.display()));
            }
        }
    }
    complain(&complaints, "dead links");
}

#[test]
fn examples_are_in_the_folders_that_their_readme_names() {
    let readme = read("docs/examples/README.md");
    let examples = files("docs/examples", ".yml").into_iter().chain(files("docs/examples", ".yaml"));
    let mut count = 0;
    for example in examples {
        let folder = example.parent().and_then(Path::file_name).expect("it is in a folder").to_string_lossy();
        assert!(readme.contains(&format!("`{folder}/`")), "{} is not described", example.display());
        count += 1;
    }
    assert!(count > 20, "only {count} examples");
}

/// The oldest supported Rust is tested by being what builds: a version newer than the one promised
/// would hide what the promised one cannot compile.
#[test]
fn the_promised_rust_version_is_the_one_that_runs() {
    let manifest = read("Cargo.toml");
    let promised = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("Cargo.toml promises a version")
        .trim_matches('"');
    let version = Command::new("rustc").arg("--version").output().expect("rustc runs");
    let version = String::from_utf8(version.stdout).expect("a version is text");
    let running = version.split_whitespace().nth(1).expect("`rustc VERSION (...)`");
    let is_same = running.strip_prefix(promised).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let in_ci = std::env::var_os("CI").is_some();
    assert!(is_same || !in_ci, "promised {promised}, tested with {running}");
}

#[test]
fn ci_runs_the_tests_and_nothing_else() {
    assert_eq!(read(".ci/run"), "#!/bin/sh\nexec make test\n");
}
