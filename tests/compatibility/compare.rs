//! Where two answers differ.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use crate::answer::{Answer, UNREADABLE};

/// One place where they differ.
pub struct Difference {
    /// `interfaces[eth1].mtu`, with `-` before it where only they have it and `+` where only we do; or that only one of
    /// them refuses, or another `kind` of error.
    pub place: String,
    peer: String,
    ours: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: theirs {}, ours {}", self.place, self.peer, self.ours)
    }
}

/// Where the answers to a command differ.
pub fn differences(command: &str, peer: &Answer, ours: &Answer) -> Vec<Difference> {
    let whole = |place: &str| {
        let tell = |answer: &Answer| format!("{answer:?}").chars().take(300).collect();
        vec![Difference { place: place.to_owned(), peer: tell(peer), ours: tell(ours) }]
    };
    match (peer, ours) {
        (Answer::Refused { .. }, Answer::Refused { .. }) if same_error(peer, ours) => Vec::new(),
        (Answer::Refused { .. }, Answer::Refused { .. }) => whole("kind"),
        (Answer::Refused { .. }, _) => whole("only they refuse"),
        (_, Answer::Refused { .. }) => whole("only we refuse"),
        (Answer::Printed(peer), Answer::Printed(ours)) => {
            let mut found = Vec::new();
            let normal = if command == "gc" { profiles } else { state };
            walk(&normal(peer), &normal(ours), String::new(), &mut found);
            found
        }
        _ if peer == ours => Vec::new(),
        _ => whole("text"),
    }
}

/// The peer names no kind where a text cannot be read, nor does it tell whether it wanted a document or a policy.
fn same_error(peer: &Answer, ours: &Answer) -> bool {
    let (Answer::Refused { exit, kind }, Answer::Refused { exit: our_exit, kind: our_kind }) = (peer, ours)
    else {
        return false;
    };
    let same_kind = match kind.as_str() {
        UNREADABLE => ["InvalidArgument", "PolicyError"].contains(&our_kind.as_str()),
        kind => kind == our_kind,
    };
    exit == our_exit && same_kind
}

fn walk(peer: &Json, ours: &Json, place: String, found: &mut Vec<Difference>) {
    if peer == ours {
        return;
    }
    match (peer, ours) {
        (Json::Object(theirs), Json::Object(own)) => {
            for (key, value) in theirs {
                walk(value, own.get(key).unwrap_or(&Json::Null), join(&place, key), found);
            }
            for (key, value) in own.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
                walk(&Json::Null, value, join(&place, key), found);
            }
        }
        (Json::Array(theirs), Json::Array(own)) if theirs.len() == own.len() => {
            for (number, (theirs, own)) in theirs.iter().zip(own).enumerate() {
                walk(theirs, own, format!("{place}[{number}]"), found);
            }
        }
        _ => {
            let place = match (peer, ours) {
                (Json::Null, _) => format!("+{place}"),
                (_, Json::Null) => format!("-{place}"),
                _ => place,
            };
            found.push(Difference { place, peer: peer.to_string(), ours: ours.to_string() });
        }
    }
}

fn join(place: &str, key: &str) -> String {
    match (place, key) {
        ("", key) => key.to_owned(),
        (place, key) if key.starts_with('[') => format!("{place}{key}"),
        (place, key) => format!("{place}.{key}"),
    }
}

/// A document in which the order of what has none does not count: interfaces have their names as keys, routes and rules
/// what they are about, topologies and features themselves.
fn state(value: &Json) -> Json {
    let mut value = value.clone();
    let Json::Object(document) = &mut value else { return value };
    keyed(document.get_mut("interfaces"), |interface| text(interface, "name"));
    if let Some(Json::Object(routes)) = document.get_mut("routes") {
        for list in routes.values_mut() {
            keyed(Some(list), |route| {
                let (to, via) = (text(route, "destination"), text(route, "next-hop-address"));
                format!("{} via {} dev {}", prefix(&to), address(&via), text(route, "next-hop-interface"))
            });
        }
    }
    if let Some(Json::Object(rules)) = document.get_mut("route-rules") {
        keyed(rules.get_mut("config"), |rule| {
            let (from, to) = (text(rule, "ip-from"), text(rule, "ip-to"));
            let (mark, iif) = (text(rule, "fwmark"), text(rule, "iif"));
            format!("from {} to {} mark {mark} iif {iif}", prefix(&from), prefix(&to))
        });
    }
    for list in ["topology", "features"] {
        keyed(document.get_mut(list), |entry| entry.as_str().unwrap_or_default().to_owned());
    }
    value
}

fn text(entry: &Json, key: &str) -> String {
    entry.get(key).and_then(Json::as_str).unwrap_or_default().to_owned()
}

/// A network in one of its forms.
fn prefix(text: &str) -> String {
    match text.parse::<ipnet::IpNet>() {
        Ok(network) => network.trunc().to_string(),
        Err(_) => match text.parse::<IpAddr>() {
            Ok(host) => ipnet::IpNet::from(host).to_string(),
            Err(_) => text.to_owned(),
        },
    }
}

fn address(text: &str) -> String {
    let parsed = text.parse::<IpAddr>();
    parsed.map_or(text.to_owned(), |ip| if ip.is_unspecified() { String::new() } else { ip.to_string() })
}

/// A list becomes a mapping, its keys `[name]`.
fn keyed(list: Option<&mut Json>, name: impl Fn(&Json) -> String) {
    let Some(list) = list else { return };
    let Json::Array(entries) = list else { return };
    let mut map = Map::new();
    for entry in entries.iter() {
        let name = name(entry);
        let mut key = format!("[{name}]");
        let mut number = 2;
        while map.contains_key(&key) {
            key = format!("[{name} #{number}]");
            number += 1;
        }
        map.insert(key, entry.clone());
    }
    *list = Json::Object(map);
}

/// Profiles by their file names: each a mapping of sections, those of keys. The numbers of routes and rules mean nothing.
fn profiles(value: &Json) -> Json {
    let mut all = Map::new();
    for pair in value["NetworkManager"].as_array().into_iter().flatten() {
        if let (Some(name), Some(text)) = (pair[0].as_str(), pair[1].as_str()) {
            all.insert(format!("[{name}]"), profile(text));
        }
    }
    Json::Object(all)
}

fn profile(text: &str) -> Json {
    let mut sections = Map::new();
    for section in text.split("\n[").map(|section| section.trim_start_matches('[')) {
        let mut lines = section.lines();
        let Some(name) = lines.next() else { continue };
        let pairs = lines.filter_map(|line| line.split_once('=')).collect::<BTreeMap<_, _>>();
        let mut keys = Map::new();
        for (key, value) in &pairs {
            let number = key.trim_start_matches(|c: char| !c.is_ascii_digit());
            if number.parse::<u32>().is_err() || key.starts_with("address") {
                if !key.starts_with("route") || !key.ends_with("_options") {
                    keys.insert((*key).to_owned(), value.trim_end_matches(';').into());
                }
            } else if key.starts_with("routing-rule") {
                let words: Vec<_> = value.split(' ').collect();
                keys.insert(format!("[{}]", words[..words.len().min(2)].join(" ")), pairwise(&words));
            } else {
                let options = pairs.get(format!("{key}_options").as_str()).copied().unwrap_or_default();
                let words: Vec<_> = options.split([',', '=']).collect();
                keys.insert(format!("[route {value}]"), pairwise(&words));
            }
        }
        sections.insert(name.trim_end_matches(']').to_owned(), Json::Object(keys));
    }
    Json::Object(sections)
}

/// Words that are names and values in turn.
fn pairwise(words: &[&str]) -> Json {
    let pair = |pair: &[&str]| (pair[0].to_owned(), Json::from(pair.get(1).copied().unwrap_or_default()));
    Json::Object(words.chunks(2).map(pair).collect())
}
