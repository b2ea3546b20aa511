//! What the documents of docs/examples/kernel do, and how little is needed to use them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::harness::{Daemon, in_namespace};

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/kernel");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the examples are there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files
}

/// Examples that every kernel with namespaces can apply; so the test cannot pass by refusals alone.
const ALWAYS: [&str; 8] = [
    "ethernet.yml",
    "linux-bridge.yml",
    "loopback.yml",
    "mac-and-mtu.yml",
    "route-rules.yml",
    "routes.yml",
    "veth.yml",
    "vxlan.yml",
];

#[test]
fn every_example_is_applied_holds_and_is_taken_back() {
    let mut refused = Vec::new();
    for example in examples() {
        let name = example.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (sender, is_applied) = std::sync::mpsc::channel();
        in_namespace(move || {
            let text = fs::read_to_string(&example).expect("the example is there");
            let outcome = applied_and_taken_back(&text).or_else(|reason| {
                // Small kernels lack dummy links. One end of a virtual cable does for all that rests on one.
                if reason.contains("`dummy`") {
                    applied_and_taken_back(&with_cables(&text))
                } else {
                    Err(reason)
                }
            });
            sender.send(outcome).expect("it is waited for");
        });
        match is_applied.recv().expect("the test has an outcome") {
            Ok(()) => {}
            Err(reason) => {
                assert!(!ALWAYS.contains(&name.as_str()), "{name}: {reason}");
                refused.push(format!("{name}: {reason}"));
            }
        }
    }
    // Past the test harness, which keeps what tests print: what was not tested must be seen.
    let told = writeln!(std::io::stderr(), "this kernel cannot apply:\n{}", refused.join("\n"));
    told.expect("standard error can be written");
}

/// The document with a virtual cable for each dummy link.
fn with_cables(text: &str) -> String {
    let mut name = "";
    let mut out = String::new();
    for line in text.lines() {
        name = line.strip_prefix("- name: ").unwrap_or(name);
        match line {
            "  type: dummy" => out += &format!("  type: veth\n  veth:\n    peer: {name}-far\n"),
            line => out += &format!("{line}\n"),
        }
    }
    out
}

/// An error says what the kernel cannot.
fn applied_and_taken_back(text: &str) -> Result<(), String> {
    let mut daemon = Daemon::start();
    let file = daemon.folder.path().join("example.yml");
    fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("a name of ours is text");
    let before = daemon.show();
    let plan = daemon.nmctl(&["plan", "--exit-code", file]);
    if plan.code == Some(1) {
        assert!(plan.err.starts_with("error: NotSupportedError: "), "{text}\n{}", plan.err);
        assert_eq!(daemon.show(), before, "{text}\nplanning changes nothing");
        assert!(daemon.terminate().success());
        return Err(plan.err.lines().next().unwrap_or_default().to_owned());
    }
    if plan.code == Some(0) {
        // What it removes is not there.
        daemon.printed(&["apply", file]);
        assert_eq!(daemon.show(), before, "{text}");
        assert!(daemon.terminate().success());
        return Ok(());
    }
    assert_eq!(plan.code, Some(2), "{text}\n{}", plan.err);
    let revert = daemon.folder.path().join("revert.yml");
    let revert = revert.to_str().expect("a name of ours is text");
    fs::write(revert, daemon.printed(&["revert", file])).expect("a file can be written");
    let same = |what: &str| assert_eq!(daemon.show(), before, "{text}\nafter {what}");

    daemon.printed(&["apply", "--no-commit", file]);
    daemon.printed(&["plan", "--exit-code", file]);
    daemon.printed(&["rollback"]);
    same("a rollback");

    daemon.printed(&["apply", file]);
    daemon.printed(&["plan", "--exit-code", file]);
    daemon.printed(&["apply", revert]);
    same("its revert document");

    assert!(daemon.terminate().success());
    Ok(())
}

#[test]
fn a_pattern_selects_and_an_unknown_transaction_is_not_found() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        assert!(daemon.printed(&["show", "l?"]).contains("- name: lo\n  type: loopback\n  state: "));
        assert!(daemon.printed(&["show", "x*"]).contains("interfaces: []\n"));
        for arguments in [["log", "99"], ["commit", "99"], ["cancel", "99"]] {
            let ran = daemon.nmctl(&arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}");
            assert!(ran.err.starts_with("error: NotFound: "), "{arguments:?}: {}", ran.err);
        }
        assert!(daemon.printed(&["status"]).contains("backend    kernel ("));
        assert!(daemon.terminate().success());
    });
}
