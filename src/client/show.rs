//! What `show` prints of a state: the part a pattern selects, in the order for people.
//!
//! Works on the JSON as it came, so that keys of a newer daemon are shown too; sections that nothing
//! is looked up in stay text.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value as Json};

use super::verbatim::Verbatim;
use super::yaml;

/// The sections of a state by name, each as its text: where it was received, unless it was changed.
pub type Sections<'t> = BTreeMap<String, Cow<'t, RawValue>>;

/// Sections that are printed even when they are empty (schema 8.1).
const ALWAYS: [(&str, &str); 4] =
    [("route-rules", "{}"), ("routes", "{}"), ("interfaces", "[]"), ("ovn", "{}")];

/// The order of sections (schema 8.1); others follow.
const ORDER: [&str; 9] = [
    "hostname",
    "dns-resolver",
    "route-rules",
    "routes",
    "interfaces",
    "ovs-db",
    "ovn",
    "network",
    "description",
];

/// A state as the commands print it.
pub struct Arranged<'t>(Vec<(String, Cow<'t, RawValue>)>);

impl Serialize for Arranged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, text) in &self.0 {
            map.serialize_entry(name, &Verbatim(text))?;
        }
        map.end()
    }
}

impl Arranged<'_> {
    pub fn write_json(&self, out: &mut impl Write) -> serde_json::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n").map_err(serde_json::Error::io)
    }

    pub fn write_yaml(&self, out: &mut impl Write) -> serde_json::Result<()> {
        self.0.iter().try_for_each(|(name, text)| {
            yaml::entry(name, &mut serde_json::Deserializer::from_str(text.get()), out)
        })
    }
}

/// A state as the commands print it: sections in the order for people, and of every interface
/// `name`, `type` and `state` first.
pub fn arranged(mut sections: Sections<'_>) -> serde_json::Result<Arranged<'_>> {
    for (name, empty) in ALWAYS {
        if !sections.contains_key(name) {
            sections.insert(name.to_owned(), Cow::Owned(RawValue::from_string(empty.to_owned())?));
        }
    }
    if let Some(text) = sections.get_mut("interfaces") {
        let mut interfaces: Vec<Map<String, Json>> = serde_json::from_str(text.get())?;
        interfaces.iter_mut().for_each(|interface| put_first(interface, &["name", "type", "state"]));
        *text = Cow::Owned(to_raw_value(&interfaces)?);
    }
    let first = ORDER.iter().filter_map(|name| sections.remove_entry(*name));
    let mut list: Vec<_> = first.collect();
    list.extend(sections);
    Ok(Arranged(list))
}

fn put_first(map: &mut Map<String, Json>, keys: &[&str]) {
    let mut rest = std::mem::take(map);
    for key in keys {
        map.extend(rest.shift_remove_entry(*key));
    }
    map.append(&mut rest);
}

/// What a pattern looks for in an interface.
#[derive(Deserialize)]
struct Named<'t> {
    #[serde(borrow)]
    name: Cow<'t, str>,
    #[serde(borrow, default, rename = "alt-names")]
    alternatives: Vec<AltName<'t>>,
}

#[derive(Deserialize)]
struct AltName<'t> {
    #[serde(borrow)]
    name: Cow<'t, str>,
}

/// What it looks for in a route.
#[derive(Deserialize)]
struct Through<'t> {
    #[serde(borrow, rename = "next-hop-interface")]
    interface: Option<Cow<'t, str>>,
    #[serde(rename = "table-id")]
    table: Option<u64>,
}

/// What it looks for in a rule.
#[derive(Deserialize)]
struct LeadsTo {
    #[serde(rename = "route-table")]
    table: Option<u64>,
}

/// The lists of a section; entries as text.
#[derive(Deserialize, Serialize)]
struct Lists<'t> {
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    running: Option<Vec<&'t RawValue>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    config: Option<Vec<&'t RawValue>>,
}

impl<'t> Lists<'t> {
    fn each(&mut self) -> impl Iterator<Item = &mut Vec<&'t RawValue>> {
        [&mut self.running, &mut self.config].into_iter().flatten()
    }
}

/// The interfaces whose name or alternative name the pattern matches, the routes through them, and
/// the rules that lead to a table of these routes.
pub fn selected(sections: &Sections<'_>, pattern: &str) -> serde_json::Result<Sections<'static>> {
    let mut interfaces: Vec<&RawValue> = read(sections, "interfaces")?.unwrap_or_default();
    let mut names: BTreeSet<Cow<'_, str>> = BTreeSet::new();
    keep(&mut interfaces, |Named { name, alternatives }| {
        let mut all = std::iter::once(&name).chain(alternatives.iter().map(|alternative| &alternative.name));
        let is_meant = all.any(|name| matches(pattern, name));
        is_meant && {
            names.insert(name);
            true
        }
    })?;
    let mut out = Sections::new();
    let mut tables: BTreeSet<Option<u64>> = BTreeSet::new();
    if let Some(mut routes) = read::<Lists<'_>>(sections, "routes")? {
        for list in routes.each() {
            keep(list, |Through { interface, table }| {
                let is_meant = interface.is_some_and(|name| names.contains(&name));
                tables.extend(is_meant.then_some(table));
                is_meant
            })?;
        }
        out.insert("routes".to_owned(), Cow::Owned(to_raw_value(&routes)?));
    }
    tables.remove(&None);
    if let Some(mut rules) = read::<Lists<'_>>(sections, "route-rules")? {
        for list in rules.each() {
            keep(list, |LeadsTo { table }| tables.contains(&table))?;
        }
        out.insert("route-rules".to_owned(), Cow::Owned(to_raw_value(&rules)?));
    }
    out.insert("interfaces".to_owned(), Cow::Owned(to_raw_value(&interfaces)?));
    Ok(out)
}

fn read<'t, T: Deserialize<'t>>(sections: &'t Sections<'_>, name: &str) -> serde_json::Result<Option<T>> {
    sections.get(name).map(|text| serde_json::from_str(text.get())).transpose()
}

/// Keeps the entries that are as `is_meant` says.
fn keep<'t, T: Deserialize<'t>>(
    list: &mut Vec<&'t RawValue>,
    mut is_meant: impl FnMut(T) -> bool,
) -> serde_json::Result<()> {
    let mut kept = Vec::new();
    for entry in list.drain(..) {
        if is_meant(serde_json::from_str(entry.get())?) {
            kept.push(entry);
        }
    }
    *list = kept;
    Ok(())
}

/// Whether a name matches a pattern with `*`, `?` and `[a-z]` (`[!a-z]`: none of them). A bracket
/// that is not closed stands for itself.
pub fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // After a mismatch only the last `*` has to try one character more, so this is quadratic at most.
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, n));
            p += 1;
        } else if let Some(next) = one(&pattern, p, name[n]) {
            (p, n) = (next, n + 1);
        } else if let Some((after_star, start)) = retry {
            retry = Some((after_star, start + 1));
            (p, n) = (after_star, start + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on if its element at `p` matches `c`.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match set(pattern, p) {
            Some((end, negated, members)) => (in_set(members, c) != negated).then_some(end + 1),
            None => (c == '[').then_some(p + 1),
        },
        literal => (*literal == c).then_some(p + 1),
    }
}

/// The set that starts at `p`: where its bracket closes, whether it is negated, what it holds.
fn set(pattern: &[char], p: usize) -> Option<(usize, bool, &[char])> {
    let negated = matches!(pattern.get(p + 1), Some('!' | '^'));
    let start = p + 1 + usize::from(negated);
    // A bracket that closes at once would be an empty set: it is a member instead.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|c| *c == ']')?;
    Some((end, negated, &pattern[start..end]))
}

fn in_set(members: &[char], c: char) -> bool {
    let mut rest = members;
    loop {
        rest = match rest {
            [low, '-', high, ..] if (*low..=*high).contains(&c) => return true,
            [_, '-', _, rest @ ..] => rest,
            [member, ..] if *member == c => return true,
            [_, rest @ ..] => rest,
            [] => return false,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, yes, no) in [
            ("eth0", vec!["eth0"], vec!["eth01", "eth", "Eth0"]),
            ("eth*", vec!["eth", "eth10"], vec!["veth0"]),
            ("*.10?", vec!["eth0.100", "a.b.10x"], vec!["eth0.10", "eth0.1000"]),
            ("e*h*1", vec!["eth1", "ehh11"], vec!["eth2"]),
            ("eth[0-2a]", vec!["eth0", "eth2", "etha"], vec!["eth3", "eth-", "eth"]),
            ("eth[!0-2]", vec!["eth3"], vec!["eth1"]),
            ("a[", vec!["a["], vec!["a"]),
            ("[]]x", vec!["]x"], vec!["x"]),
            ("*", vec!["", "any"], vec![]),
            ("é?", vec!["éà"], vec!["é"]),
        ] {
            yes.iter().for_each(|name| assert!(matches(pattern, name), "{pattern} should match {name}"));
            no.iter().for_each(|name| assert!(!matches(pattern, name), "{pattern} should not match {name}"));
        }
    }

    #[test]
    fn a_long_pattern_of_stars_costs_little() {
        let name = "a".repeat(10_000);
        assert!(!matches(&format!("{}b", "a*".repeat(20)), &name));
    }

    fn sections(state: &Json) -> Sections<'static> {
        let sections: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(&state.to_string()).expect("an object");
        sections.into_iter().map(|(name, text)| (name, Cow::Owned(text))).collect()
    }

    #[test]
    fn a_state_is_arranged_for_people() {
        let state = json!({"interfaces": [{"mtu": 1, "state": "up", "name": "a", "type": "veth"}],
            "description": "d", "new-section": 1, "hostname": {}});
        let arranged = arranged(sections(&state)).expect("a state");
        assert_eq!(
            serde_json::to_string(&arranged).expect("it prints"),
            r#"{"hostname":{},"route-rules":{},"routes":{},"interfaces":[{"name":"a","type":"veth","state":"up","mtu":1}],"ovn":{},"description":"d","new-section":1}"#
        );
    }

    #[test]
    fn a_pattern_selects_interfaces_their_routes_and_the_rules_to_them() {
        let state = json!({
            "interfaces": [{"name": "a1", "type": "veth"}, {"name": "b", "type": "veth", "alt-names": [{"name": "a9"}]},
                {"name": "c", "type": "veth"}],
            "routes": {"config": [{"next-hop-interface": "a1", "table-id": 5}, {"next-hop-interface": "c", "table-id": 6}]},
            "route-rules": {"config": [{"route-table": 5}, {"route-table": 6}]},
            "hostname": {"running": "h"},
        });
        let selected = selected(&sections(&state), "a*").expect("a state");
        let selected: Json = serde_json::to_value(arranged(selected).expect("a state")).expect("it prints");
        assert_eq!(
            selected,
            json!({
                "ovn": {},
                "interfaces": [{"name": "a1", "type": "veth"}, {"name": "b", "type": "veth", "alt-names": [{"name": "a9"}]}],
                "routes": {"config": [{"next-hop-interface": "a1", "table-id": 5}]},
                "route-rules": {"config": [{"route-table": 5}]},
            })
        );
    }
}
