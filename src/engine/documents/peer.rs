//! `nmstate.conf` of the folder: what the peer's boot service reads, in as much of TOML as that needs.

use crate::state::{Path, Position, Problem, nearest};

/// Its name in the folder.
pub(super) const FILE: &str = "nmstate.conf";
/// Most bytes read.
pub(super) const BYTES_MAX: usize = 64 << 10;

const SECTION: &str = "service";
const OVERRIDE: &str = "override_iface";
/// Without effect: files are neither renamed nor copied (docs/decisions.md).
const KEEP: &str = "keep_state_file_after_apply";

/// What it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Conf {
    /// Interfaces named in a document are configured from it alone.
    pub(super) override_interfaces: bool,
}

/// Reads it; the first mistake with its line.
pub(super) fn read(text: &str) -> Result<Conf, Problem> {
    let mut conf = Conf::default();
    let mut in_section = false;
    let mut seen: Vec<String> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        // Neither a section nor a truth value holds a `#`.
        let line = line.split('#').next().unwrap_or_default().trim();
        let wrong = |message: String| {
            let position = Position { line: number, column: 1 };
            Err(Problem::invalid(Path::root(), message).at(Some(position)))
        };
        if line.is_empty() {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if section.trim() != SECTION {
                return wrong(format!("unknown section `{}`; there is `{SECTION}`", section.trim()));
            }
            in_section = true;
        } else if let Some((key, value)) = line.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            if !in_section {
                return wrong(format!("`{key}` is in no section: it belongs below `[{SECTION}]`"));
            }
            let is = match value {
                "true" => true,
                "false" => false,
                _ => return wrong(format!("`{key}` must be true or false")),
            };
            if seen.iter().any(|earlier| earlier == key) {
                return wrong(format!("`{key}` is there a second time"));
            }
            match key {
                OVERRIDE => conf.override_interfaces = is,
                KEEP => {}
                _ => {
                    let near = nearest(key, [OVERRIDE, KEEP].into_iter());
                    let hint = near.map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
                    return wrong(format!("unknown key `{key}`{hint}"));
                }
            }
            seen.push(key.to_owned());
        } else {
            return wrong("expected `[section]` or `key = value`".into());
        }
    }
    Ok(conf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_keys_are_read() {
        let text =
            "# peer\n[service] # here\n\nkeep_state_file_after_apply = true\noverride_iface=true # all\n";
        assert_eq!(read(text).expect("is right"), Conf { override_interfaces: true });
        assert_eq!(read("").expect("is right"), Conf::default());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, line, words) in [
            ("override_iface = true", 1, "in no section"),
            ("[service]\noverride_iface = yes", 2, "must be true or false"),
            ("[service]\n\noveride_iface = true", 3, "did you mean `override_iface`?"),
            ("[services]", 1, "unknown section `services`"),
            ("[service]\nkeep", 2, "expected"),
            ("[service]\noverride_iface = true\noverride_iface = false", 3, "a second time"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!(problem.at.map(|at| at.line), Some(line), "{text}");
            assert!(problem.message.contains(words), "{text}: {}", problem.message);
        }
    }
}
