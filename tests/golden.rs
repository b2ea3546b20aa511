//! Golden plans: `tests/golden/NAME/{current,desired}.yml` and the plan, or the problems, that
//! they must lead to in `plan.txt`. `BLESS=1 cargo test --test golden` writes what is now.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nmstated::plan::text::{self, Paint};
use nmstated::plan::{self, Capabilities, Options, Plan};
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
        names: false,
        persists: false,
        ..Capabilities::default()
    }
}

/// Options by the name of a case: `override-...`, `memory-only-...`.
fn options(name: &str) -> Options {
    Options {
        override_interfaces: name.starts_with("override"),
        memory_only: name.starts_with("memory-only"),
        client: None,
        unverified: false,
    }
}

fn print(result: &Result<Plan, Vec<Problem>>) -> String {
    let mut text = String::new();
    match result {
        Ok(plan) => {
            text += &text::diff(plan, Paint::Plain);
            let expected = serde_json::to_value(&plan.expected).expect("a state prints");
            for interface in expected["interfaces"].as_array().into_iter().flatten() {
                text += &format!("expect {}\n", text::value(interface));
            }
            for warning in &plan.warnings {
                text += &format!("warning: {warning}\n");
            }
        }
        Err(problems) => {
            for problem in problems {
                text += &format!("{}: {problem}\n", problem.kind);
            }
        }
    }
    text
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
