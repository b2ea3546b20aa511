//! The documents in docs/examples: each is read, printed, read again, and fits the JSON Schema.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use nmstated::state::{
    Document, Interface, InterfaceType, Mode, Node, SectionInfo, Shape, State, Value, json_schema,
};

const FOLDERS: [&str; 5] = ["kernel", "host", "managed", "netplan", "query"];

fn examples() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples");
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(root.join(folder)).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            let text = fs::read_to_string(&path).expect("it can be read");
            found.push((path, text));
        }
    }
    found.sort();
    found
}

fn read(path: &Path, text: &str) -> State {
    let (document, result) = match Document::from_text(text) {
        Ok(document) => {
            let result = document.state();
            (Some(document), result)
        }
        Err(problems) => (None, Err(problems)),
    };
    match result {
        Ok((mut state, warnings)) => {
            assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
            state.reveal_secrets();
            state.sort_interfaces();
            state
        }
        Err(problems) => {
            let document = document.unwrap_or_else(|| panic!("{}: {problems:?}", path.display()));
            let name = path.display().to_string();
            let shown: String = problems.iter().map(|p| document.snippet(p, &name)).collect();
            panic!("{shown}");
        }
    }
}

/// A key that is left out and one that is empty are the same for the top level.
fn settled(mut state: State) -> State {
    state.interfaces.get_or_insert_default();
    state
}

#[test]
fn every_example_prints_as_it_reads() {
    for (path, text) in examples() {
        let state = settled(read(&path, &text));
        for printed in [
            state.to_yaml(),
            state.to_json_pretty(),
            state.cli_form().to_yaml(),
            state.cli_form().to_json_pretty(),
        ] {
            let mut again = settled(read(&path, &printed));
            // The command line's form shows these always.
            again.route_rules = again.route_rules.filter(|rules| rules.config.is_some());
            again.routes = again.routes.filter(|r| r.config.is_some() || r.running.is_some());
            again.ovn = again.ovn.filter(|ovn| ovn.bridge_mappings.is_some());
            assert_eq!(again, state, "{}\n{printed}", path.display());
        }
        let printed = state.to_yaml();
        assert_eq!(read(&path, &printed).to_yaml(), printed, "{}", path.display());
    }
}

#[test]
fn every_example_begins_with_what_it_does() {
    for (path, text) in examples() {
        assert!(text.starts_with("# "), "{}", path.display());
    }
}

#[test]
fn every_example_fits_the_schema() {
    let validator = jsonschema::draft202012::new(&json_schema()).expect("it is a schema");
    for (path, text) in examples() {
        let json = Document::from_text(&text).expect("it is read above").node().to_json();
        let errors: Vec<String> =
            validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
    }
}

#[test]
fn every_type_of_interface_has_an_example() {
    let shown: BTreeSet<InterfaceType> = examples()
        .iter()
        .flat_map(|(path, text)| read(path, text).interfaces.unwrap_or_default())
        .map(|interface| interface.kind().clone())
        .collect();
    for kind in InterfaceType::known() {
        assert!(shown.contains(&kind), "{kind}");
    }
}

/// Collects the sections and the keys that a document uses, and those that there are.
struct Walk {
    used: BTreeSet<&'static str>,
    all: BTreeSet<&'static str>,
    /// By section; only keys that can be set.
    used_keys: BTreeSet<(&'static str, &'static str)>,
    all_keys: BTreeSet<(&'static str, &'static str)>,
}

impl Walk {
    fn declared(&mut self, shape: &Shape) {
        match shape {
            Shape::Section(info) if !self.all.insert(info.name) => {}
            Shape::Section(info) => {
                for field in info.fields {
                    if field.mode != Mode::ReadOnly {
                        self.all_keys.insert((info.name, field.key));
                    }
                    self.declared(&(field.shape)());
                }
            }
            Shape::List(item) | Shape::Table(item) => self.declared(item),
            Shape::Either(forms) => forms.iter().for_each(|form| self.declared(form)),
            _ => {}
        }
    }

    fn document(&mut self, node: &Node, shape: &Shape) {
        match (shape, &node.value) {
            (Shape::Section(info), Value::Map(entries)) => {
                self.used.insert(info.name);
                for entry in entries {
                    if let Some(field) = info.fields.iter().find(|f| f.names().any(|n| n == entry.key)) {
                        self.used_keys.insert((info.name, field.key));
                        self.document(&entry.value, &(field.shape)());
                    }
                }
            }
            (Shape::List(item), Value::List(nodes)) => {
                nodes.iter().for_each(|node| self.document(node, item))
            }
            (Shape::Either(forms), _) => {
                let fits = |info: &SectionInfo| match &node.value {
                    Value::Map(entries) => {
                        entries.iter().all(|e| info.fields.iter().any(|f| f.names().any(|n| n == e.key)))
                    }
                    _ => false,
                };
                for form in forms {
                    if let Shape::Section(info) = form
                        && fits(info)
                    {
                        self.document(node, form);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What the examples use.
fn walked() -> Walk {
    let root = Shape::Section(&State::INFO);
    let mut walk = Walk {
        used: BTreeSet::new(),
        all: BTreeSet::new(),
        used_keys: BTreeSet::new(),
        all_keys: BTreeSet::new(),
    };
    walk.declared(&root);
    for (_, text) in examples() {
        let document = Document::from_text(&text).expect("it is read above");
        walk.document(document.node(), &root);
    }
    walk
}

#[test]
fn every_section_has_an_example() {
    let walk = walked();
    assert!(walk.all.contains(Interface::INFO.name));
    let missing: Vec<_> = walk.all.difference(&walk.used).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_key_has_an_example() {
    let walk = walked();
    let missing: Vec<_> = walk.all_keys.difference(&walk.used_keys).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
