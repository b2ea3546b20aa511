//! Definitions as text: block YAML, sorted, so that the same definitions always give the same text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value as Json};

use super::Draft;
use crate::netplan::Kind;
use crate::netplan::row::plain;

const HEADER: &str =
    "# Written by nmstated, which writes it anew with every change: what is added here is lost.\n";

/// Keys that come before the others: what a definition is, and then what it does.
const FIRST: [&str; 10] =
    ["renderer", "match", "set-name", "mode", "id", "link", "peer", "table", "interfaces", "parameters"];

/// Empty if nothing is defined.
pub(super) fn text(drafts: &BTreeMap<String, Draft>, openvswitch: &Map<String, Json>) -> String {
    if drafts.is_empty() && openvswitch.is_empty() {
        return String::new();
    }
    let mut out = format!("{HEADER}network:\n  version: 2\n");
    for kind in order(drafts) {
        let of_kind: Vec<_> = drafts.iter().filter(|(_, draft)| draft.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        let _ = writeln!(out, "  {}:", kind.key());
        for (id, draft) in of_kind {
            let _ = write!(out, "    {}:", key(id));
            mapping(&mut out, &draft.keys, 6);
        }
    }
    if !openvswitch.is_empty() {
        out.push_str("  openvswitch:");
        mapping(&mut out, openvswitch, 4);
    }
    out
}

/// Bridges come first where they say something of their ports. netplan reads a file again while something is
/// referred to before it is defined, as ends of cables must be, and refuses to hear of a port twice; of
/// ports that it does not know yet it hears only the second time.
fn order(drafts: &BTreeMap<String, Draft>) -> Vec<Kind> {
    let says_of_ports = |draft: &Draft| {
        let parameters = draft.keys.get("parameters");
        ["path-cost", "port-priority"].iter().any(|option| {
            let ports = parameters.and_then(|parameters| parameters.get(option)?.as_object());
            ports.is_some_and(|ports| ports.keys().any(|port| drafts.contains_key(port)))
        })
    };
    let is_first = |kind: &Kind| *kind == Kind::Bridge && drafts.values().any(says_of_ports);
    let mut kinds: Vec<Kind> = Kind::all().collect();
    kinds.sort_by_key(|kind| !is_first(kind));
    kinds
}

fn mapping(out: &mut String, keys: &Map<String, Json>, indent: usize) {
    if keys.is_empty() {
        out.push_str(" {}\n");
        return;
    }
    out.push('\n');
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut sorted: Vec<(&String, &Json)> = keys.iter().collect();
    sorted.sort_by_key(|(key, _)| (rank(key), key.as_str()));
    for (name, value) in sorted {
        let _ = write!(out, "{:indent$}{}:", "", key(name));
        match value {
            Json::Object(keys) => mapping(out, keys, indent + 2),
            Json::Array(items) if items.iter().any(Json::is_object) => {
                out.push('\n');
                for item in items {
                    let _ = writeln!(out, "{:indent$}- {}", "", flow(item));
                }
            }
            other => {
                let _ = writeln!(out, " {}", flow(other));
            }
        }
    }
}

/// A value on one line.
fn flow(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Json::Object(keys) => {
            const ORDER: [&str; 6] = ["to", "via", "from", "type", "on-link", "metric"];
            let rank = |key: &str| ORDER.iter().position(|first| *first == key).unwrap_or(ORDER.len());
            let mut sorted: Vec<(&String, &Json)> = keys.iter().collect();
            sorted.sort_by_key(|(key, _)| (rank(key), key.as_str()));
            let entries = sorted.into_iter().map(|(name, value)| format!("{}: {}", key(name), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => scalar(&plain(other)),
    }
}

/// netplan looks at the text of a scalar alone; quotes keep YAML from seeing more in it.
fn scalar(text: &str) -> String {
    let is_number = !text.is_empty() && text.len() < 20 && text.bytes().all(|byte| byte.is_ascii_digit());
    if matches!(text, "true" | "false") || is_number { text.to_owned() } else { quoted(text) }
}

/// Keys of netplan are words; names of interfaces may be anything.
fn key(text: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(is_word);
    let means_more = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = is_plain && !means_more.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A string of JSON is one of YAML.
fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}
