//! What we add to a definition of somebody else: only the difference, in a later file.
//!
//! Scalars of later files win, and lists are joined: nothing can be taken back from a list.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::super::write::routes::{is_same_route, read_route};
use crate::netplan::row::{plain, put};
use crate::netplan::write::read_auth;
use crate::netplan::{Netdef, OWN, Tree, Value};
use crate::state::Path;

/// Keys that stand for what holds only while they are there; where it shall not hold, this is said.
const SWITCHES: [&str; 2] = ["dhcp4", "dhcp6"];

/// Lists that our definition says as a whole, and where a document has them.
const LISTS: [(&str, &str); 5] = [
    ("addresses", "ipv4.address"),
    ("routes", "routes"),
    ("interfaces", "ports"),
    ("gateway4", "routes"),
    ("gateway6", "routes"),
];

/// Options of ports that netplan refuses to hear of twice.
const ONCE: [&str; 3] = ["parameters.path-cost.", "parameters.port-priority.", "parameters.primary"];

/// They belong to whoever defines it.
const THEIRS: [&str; 3] = ["renderer", "match", "set-name"];

/// They are decided on as a whole, elsewhere: what is there is beside what others say already.
const OF_ALL: [&str; 2] = ["routing-policy", "nameservers"];

/// What was found about a definition of somebody else.
#[derive(Default)]
pub(super) struct Found {
    /// What cannot be said beside it.
    pub refusals: Vec<(Path, String)>,
    /// Keys that ours has instead of it, with the place of theirs.
    wins: Vec<String>,
    /// Keys that ours adds, or adds to.
    adds: BTreeSet<String>,
}

impl Found {
    /// What whoever wrote it should know.
    pub(super) fn remark(&self, interface: &str, foreign: &Netdef) -> Option<String> {
        let Self { wins, adds, refusals: _ } = self;
        if wins.is_empty() && adds.is_empty() {
            return None;
        }
        let wins = wins.join(", ");
        let adds = Vec::from_iter(adds.iter().map(String::as_str)).join(", ");
        let does = match (wins.as_str(), adds.as_str()) {
            ("", _) => format!("adds {adds}"),
            (_, "") => format!("is read later, and wins for {wins}"),
            _ => format!("is read later, wins for {wins}, and adds {adds}"),
        };
        Some(format!("`{interface}` is defined at {}, too: {OWN} {does}", foreign.origin))
    }
}

/// What is to be said beside `foreign`, so that `wanted` comes out.
pub(super) fn difference(
    wanted: &Map<String, Json>,
    foreign: &Netdef,
    found: &mut Found,
) -> Map<String, Json> {
    let mut added = Map::new();
    let present = foreign.keys.keys();
    for (key, value) in wanted {
        if THEIRS.contains(&key.as_str()) {
            continue;
        }
        let theirs = present.and_then(|present| present.get(key));
        match theirs.filter(|_| !OF_ALL.contains(&key.as_str())) {
            None => {
                found.adds.insert(format!("`{key}`"));
                added.insert(key.clone(), value.clone());
            }
            Some(tree) => {
                if let Some(value) = beside(key, value, tree, found) {
                    added.insert(key.clone(), value);
                }
            }
        }
    }
    for (key, tree) in present.into_iter().flatten() {
        if wanted.contains_key(key) || THEIRS.contains(&key.as_str()) || OF_ALL.contains(&key.as_str()) {
            continue;
        }
        let asks = tree.flag() == Some(true);
        if SWITCHES.contains(&key.as_str()) && asks {
            if let Some(value) = beside(key, &json!(false), tree, found) {
                added.insert(key.clone(), value);
            }
        } else if LISTS.iter().any(|(list, _)| list == key) {
            let entries = match &tree.value {
                Value::List(items) => items.iter().collect(),
                _ => vec![tree],
            };
            // A gateway is a route to everything; ours says so in another way.
            let routes = wanted.get("routes").and_then(Json::as_array).cloned().unwrap_or_default();
            let is_route = |entry: &&Tree| {
                key.starts_with("gateway")
                    && routes.iter().any(|route| {
                        route.get("via").and_then(Json::as_str) == entry.text()
                            && route.get("to").and_then(Json::as_str).is_some_and(|to| to.ends_with("/0"))
                    })
            };
            for entry in entries.iter().filter(|entry| !is_route(entry) && is_its_own(key, entry)) {
                found.refusals.push(taken(key, entry));
            }
        } else if key == "auth" && read_auth(foreign).is_some() {
            let text =
                format!("{} says how it authenticates, and only there it can be taken out", tree.origin);
            found.refusals.push((Path::root().key("802.1x"), text));
        } else if key == "activation-mode" {
            let text = format!("{} keeps it down, and a later file has no word for up", tree.origin);
            found.refusals.push((Path::root().key("state"), text));
        }
    }
    take_again(wanted, foreign, &mut added, found);
    added
}

/// What ours does not say of leases is to be taken, also where others say that it is not.
fn take_again(
    wanted: &Map<String, Json>,
    foreign: &Netdef,
    added: &mut Map<String, Json>,
    found: &mut Found,
) {
    for (dhcp, overrides) in [("dhcp4", "dhcp4-overrides"), ("dhcp6", "dhcp6-overrides")] {
        if wanted.get(dhcp) != Some(&json!(true)) {
            continue;
        }
        for key in ["use-dns", "use-routes", "send-hostname"] {
            let path = format!("{overrides}.{key}");
            let is_said = wanted.get(overrides).is_some_and(|own| own.get(key).is_some());
            let theirs = foreign.get(&path).filter(|theirs| theirs.flag() == Some(false));
            if let Some(theirs) = theirs.filter(|_| !is_said)
                && let Some(value) = beside(&path, &json!(true), theirs, found)
            {
                put(added, &path, value);
            }
        }
    }
}

fn taken(key: &str, entry: &Tree) -> (Path, String) {
    let path = match key {
        "addresses" => {
            let text = entry.text().map(str::to_owned);
            let first = entry.keys().and_then(|keys| keys.keys().next().cloned());
            let is_v6 = text.or(first).is_some_and(|text| text.contains(':'));
            Path::root().keys(if is_v6 { "ipv6.address" } else { "ipv4.address" })
        }
        _ => Path::root(),
    };
    let what = entry.text().map_or_else(|| "an entry".to_owned(), |text| format!("`{text}`"));
    (path, format!("{} says {what} under `{key}`, and only there it can be taken out", entry.origin))
}

/// The difference of one value.
fn beside(path: &str, wanted: &Json, foreign: &Tree, found: &mut Found) -> Option<Json> {
    let key = path.rsplit('.').next().unwrap_or(path);
    match (wanted, &foreign.value) {
        (Json::Object(wanted), Value::Map(present)) => {
            let mut added = Map::new();
            for (key, value) in wanted {
                match present.get(key) {
                    None => {
                        found.adds.insert(format!("`{path}.{key}`"));
                        added.insert(key.clone(), value.clone());
                    }
                    Some(tree) => {
                        if let Some(value) = beside(&format!("{path}.{key}"), value, tree, found) {
                            added.insert(key.clone(), value);
                        }
                    }
                }
            }
            (!added.is_empty()).then(|| added.into())
        }
        (Json::Array(wanted), Value::List(present)) if key != "link-local" => {
            let is_unwanted = |entry: &&Tree| !wanted.iter().any(|item| says(key, entry, item));
            for entry in present.iter().filter(|entry| is_its_own(key, entry)).filter(is_unwanted) {
                found.refusals.push(taken(key, entry));
            }
            let new = wanted.iter().filter(|item| !present.iter().any(|entry| says(key, entry, item)));
            let new: Vec<Json> = new.cloned().collect();
            if new.is_empty() {
                return None;
            }
            found.adds.insert(format!("`{path}`"));
            Some(new.into())
        }
        (wanted, _) => {
            let is_same = match wanted {
                Json::Bool(on) => foreign.flag() == Some(*on),
                Json::Array(items) => {
                    let present: Vec<&str> = foreign.texts().collect();
                    present.len() == items.len()
                        && items.iter().all(|item| present.contains(&plain(item).as_str()))
                }
                other => foreign.text().is_some_and(|text| is_same_text(key, text, &plain(other))),
            };
            if is_same {
                return None;
            }
            if ONCE.iter().any(|once| path.starts_with(once)) {
                let text = format!("{} says another `{path}`, which can be said only once", foreign.origin);
                found.refusals.push((Path::root(), text));
                return None;
            }
            if foreign.origin.file.name.as_str() > OWN {
                let text = format!("{} comes after our file, and says another `{key}`", foreign.origin);
                found.refusals.push((Path::root(), text));
                return None;
            }
            found.wins.push(format!("`{path}` ({})", foreign.origin));
            Some(wanted.clone())
        }
    }
}

/// Whether an entry of a list says the same as one of ours.
fn says(key: &str, entry: &Tree, wanted: &Json) -> bool {
    match key {
        "routes" => {
            let held = read_route(entry, "");
            let wanted = route_of(wanted);
            held.zip(wanted).is_some_and(|(held, wanted)| is_same_route(&held, &wanted))
        }
        "addresses" => {
            let first = |keys: Option<&String>| keys.cloned();
            let held = entry.text().map(str::to_owned).or_else(|| first(entry.keys()?.keys().next()));
            let wanted =
                wanted.as_str().map(str::to_owned).or_else(|| first(wanted.as_object()?.keys().next()));
            held.zip(wanted).is_some_and(|(held, wanted)| is_same_address(&held, &wanted))
        }
        _ => entry.text().is_some_and(|text| is_same_text(key, text, &plain(wanted))),
    }
}

/// Whether an entry of a list is about the interface alone. Of routes, those that lead nowhere are decided on as a
/// whole, and of what a document has no word for nobody here knows what it is.
fn is_its_own(key: &str, entry: &Tree) -> bool {
    key != "routes" || read_route(entry, "").is_some_and(|route| route.route_type.is_none())
}

/// Names, paths and passwords are what they are, letter by letter.
fn is_same_text(key: &str, one: &str, other: &str) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok();
    one == other
        || key == "macaddress" && one.eq_ignore_ascii_case(other)
        || address(one).is_some_and(|one| address(other) == Some(one))
}

fn is_same_address(one: &str, other: &str) -> bool {
    let split = |text: &str| {
        let (ip, prefix) = text.split_once('/')?;
        Some((ip.parse::<std::net::IpAddr>().ok()?, prefix.parse::<u8>().ok()?))
    };
    one == other || split(one).is_some_and(|one| split(other) == Some(one))
}

/// One of our own entries, read as if it stood in a file.
fn route_of(entry: &Json) -> Option<crate::state::Route> {
    let origin = super::super::Origin {
        file: std::sync::Arc::new(super::super::File::new(super::super::Folder::Run, OWN)),
        at: None,
    };
    let node = crate::state::Node::from_json(entry);
    read_route(&Tree::of(&node, &origin.file), "")
}
