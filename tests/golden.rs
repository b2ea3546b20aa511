//! Golden plans: `tests/golden/NAME/{current,desired}.yml` and the plan, or the problems, that
//! they must lead to in `plan.txt`. `BLESS=1 cargo test --test golden` writes what is now.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use nmstated::plan::{self, Capabilities, Change, Options, Plan};
use nmstated::state::{Document, InterfaceType, Problem, State};

fn read(path: &Path) -> State {
    let text = fs::read_to_string(path).unwrap_or_default();
    let json: serde_json::Value = match text.trim() {
        "" => serde_json::json!({}),
        text => serde_yaml::from_str(text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
    };
    let read = Document::from_json(&json).state();
    let (state, _) = read.unwrap_or_else(|problems| panic!("{}: {problems:?}", path.display()));
    state
}

fn kernel() -> Capabilities {
    Capabilities {
        backend: "kernel",
        interface_types: BTreeSet::from([InterfaceType::Dummy]),
        vlan_filtering: true,
        volatile_until_commit: true,
        profiles: false,
    }
}

/// Options by the name of a case: `override-...`, `memory-only-...`.
fn options(name: &str) -> Options {
    Options {
        override_interfaces: name.starts_with("override"),
        memory_only: name.starts_with("memory-only"),
    }
}

fn print(result: &Result<Plan, Vec<Problem>>) -> String {
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments<'_>| writeln!(text, "{args}").expect("a string takes all text");
    match result {
        Ok(plan) => {
            for change in &plan.changes {
                print_change(change, &mut line);
            }
            let expected = serde_json::to_value(&plan.expected).expect("a state prints");
            for interface in expected["interfaces"].as_array().into_iter().flatten() {
                line(format_args!("expect {interface}"));
            }
            for warning in &plan.warnings {
                line(format_args!("warning: {warning}"));
            }
        }
        Err(problems) => {
            for problem in problems {
                line(format_args!("{}: {problem}", problem.kind));
            }
        }
    }
    text
}

fn print_change(change: &Change, line: &mut impl FnMut(std::fmt::Arguments<'_>)) {
    let Change::Interface(change) = change else {
        line(format_args!("{}", serde_json::to_string(change).expect("a change prints")));
        return;
    };
    let rebuild = if change.rebuild { " (made again)" } else { "" };
    line(format_args!("{:?} {} {}{rebuild}: {:?}", change.action, change.kind, change.name, change.reason));
    for field in &change.fields {
        let show = |value: &Option<serde_json::Value>| value.as_ref().map_or("-".into(), ToString::to_string);
        line(format_args!("    {}: {} -> {}", field.path, show(&field.before), show(&field.after)));
    }
}

#[test]
fn plans_are_as_recorded() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    let mut cases: Vec<_> = fs::read_dir(&root).expect("the golden folder").flatten().collect();
    cases.sort_by_key(fs::DirEntry::file_name);
    assert!(!cases.is_empty(), "there are golden cases");
    for case in cases {
        let name = case.file_name().to_string_lossy().into_owned();
        let current = read(&case.path().join("current.yml"));
        let desired = read(&case.path().join("desired.yml"));
        let found = print(&plan::plan(&desired, &current, &kernel(), &options(&name)));
        let path = case.path().join("plan.txt");
        if bless {
            fs::write(&path, &found).expect("the plan can be written");
        } else if fs::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("== {name}\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "not as recorded:\n{}", wrong.join("\n"));
}
