//! A plan for people, as a diff; and for programs, as JSON.
//!
//! The text is a pure function of the plan. What comes from outside (names, descriptions) is
//! quoted where it could be mistaken for syntax or steer a terminal.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde_json::{Map, Value as Json};

use super::{Action, Change, InterfaceChange, Plan, Reason, ValueChange};
use crate::state::{DnsSettings, NativeChange, Route, RouteRule, Selector};

/// How a diff is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    #[default]
    Plain,
    /// ANSI colours (ECMA-48 SGR).
    Coloured,
}

/// Most lines of a diff for people; a hundred thousand routes are read from the JSON form.
pub const LINES_MAX: usize = 5_000;

/// The plan as a diff, with a summary as the last line.
pub fn diff(plan: &Plan, paint: Paint) -> String {
    if plan.is_empty() {
        return "no change\n".into();
    }
    let mut out = Out { text: String::new(), paint, lines: 0 };
    for change in &plan.changes {
        match change {
            Change::Interface(change) => interface(change, &mut out),
            Change::Route(change) => {
                out.line(0, change.action.into(), &with_reason(route(&change.route), &change.reason));
            }
            Change::Rule(change) => {
                out.line(0, change.action.into(), &with_reason(rule(&change.rule), &change.reason));
            }
            Change::Dns(change) => {
                out.line(0, Sign::Changed, &with_reason("dns".into(), &change.reason));
                dns(&change.before, &change.after, &mut out);
            }
            Change::OvsDb(change) => {
                out.line(0, Sign::Changed, &with_reason("ovs-db".into(), &change.reason));
                table("external_ids", &change.external_ids, &mut out);
                table("other_config", &change.other_config, &mut out);
            }
            Change::Ovn(change) => {
                out.line(0, Sign::Changed, &with_reason("ovn".into(), &change.reason));
                table("bridge-mappings", &change.bridges, &mut out);
            }
            Change::Network(change) => {
                out.line(0, Sign::Changed, &with_reason("network".into(), &change.reason));
                for NativeChange { path, before, after } in &change.fields {
                    values(&path.to_string(), before.as_ref(), after.as_ref(), &mut out);
                }
            }
            Change::Hostname(change) => {
                out.line(0, Sign::Changed, &with_reason("hostname".into(), &change.reason));
                let names = [
                    ("running", &change.before_running, &change.running),
                    ("config", &change.before_config, &change.config),
                ];
                for (key, before, after) in names {
                    if after.is_some() {
                        values(
                            key,
                            before.clone().map(Json::from).as_ref(),
                            after.clone().map(Json::from).as_ref(),
                            &mut out,
                        );
                    }
                }
            }
        }
    }
    if out.lines > LINES_MAX {
        let _ = writeln!(out.text, "... and {} more lines", out.lines - LINES_MAX);
    }
    let count = |action| plan.changes.iter().filter(|change| action_of(change) == action).count();
    let (add, modify, remove) = (count(Action::Add), count(Action::Modify), count(Action::Remove));
    let _ = write!(out.text, "\nPlan: {add} to add, {modify} to change, {remove} to remove\n");
    out.text
}

/// The changes for programs, one object each, in the order of execution.
pub fn json(plan: &Plan) -> Vec<Json> {
    let object = |change| serde_json::to_value(change).expect("a change has only text keys");
    plan.changes.iter().map(object).collect()
}

/// A route on one line: `route 198.51.100.0/24 via 192.0.2.1 dev eth1 table 254 metric 100`.
pub fn route(route: &Route) -> String {
    let Route {
        state: _,
        destination,
        next_hop_interface,
        next_hop_address,
        metric,
        table_id,
        weight,
        route_type,
        cwnd,
        source,
        initcwnd,
        initrwnd,
        mtu,
        quickack,
        advmss,
        lock_mtu,
        vrf_name,
    } = route;
    let mut line = Words::new("route");
    line.bare(route_type);
    line.bare(destination);
    line.pair("via", next_hop_address.filter(|address| !address.is_unspecified()));
    line.pair("dev", next_hop_interface.as_deref().map(Name));
    line.pair("vrf", vrf_name.as_deref().map(Name));
    line.pair("table", table_id.as_ref());
    line.pair("metric", metric.filter(|metric| *metric >= 0));
    line.pair("weight", weight.as_ref());
    line.pair("src", source.as_ref());
    line.pair("mtu", mtu.as_ref());
    line.pair("lock-mtu", lock_mtu.as_ref());
    line.pair("advmss", advmss.as_ref());
    line.pair("cwnd", cwnd.as_ref());
    line.pair("initcwnd", initcwnd.as_ref());
    line.pair("initrwnd", initrwnd.as_ref());
    line.pair("quickack", quickack.as_ref());
    line.0
}

/// A rule on one line: `rule ipv4 from 192.0.2.0/24 table 100 priority 30000`.
pub fn rule(rule: &RouteRule) -> String {
    let RouteRule {
        family,
        state: _,
        ip_from,
        ip_to,
        priority,
        route_table,
        fwmark,
        fwmask,
        action,
        iif,
        suppress_prefix_length,
    } = rule;
    let mut line = Words::new("rule");
    line.bare(family);
    line.pair("from", ip_from.and_then(Selector::net));
    line.pair("to", ip_to.and_then(Selector::net));
    line.pair("iif", iif.as_deref().map(Name));
    line.pair("fwmark", fwmark.map(|mark| format!("{:#x}", mark.0)));
    line.pair("fwmask", fwmask.map(|mark| format!("{:#x}", mark.0)));
    line.bare(action);
    line.pair("table", route_table.as_ref());
    line.pair("suppress-prefix-length", suppress_prefix_length.as_ref());
    line.pair("priority", priority.filter(|priority| *priority >= 0));
    line.0
}

/// A name as it may be shown: as a JSON string where it is not plainly a word.
pub fn name(name: &str) -> String {
    Name(name).to_string()
}

/// A sentence's end: why something changes; nothing where the document asks for it.
pub fn reason(reason: &Reason) -> Option<String> {
    match reason {
        Reason::Desired => None,
        Reason::Unkept => Some("nothing else would bring it back after a reboot".into()),
        Reason::PortOf(name) => Some(format!("becomes a port of {}", Name(name))),
        Reason::DetachedFrom(name) => Some(format!("leaves {}", Name(name))),
        Reason::ControllerOf(name) => Some(format!("its port {} comes or goes", Name(name))),
        Reason::PeerOf(name) => Some(format!("the other end of {}", Name(name))),
        Reason::ParentRemoved(name) => Some(format!("{}, which carries it, goes", Name(name))),
        Reason::MadeAgain(name) => Some(format!("{} is made again", Name(name))),
        Reason::InterfaceGone(name) => Some(format!("{} is removed or loses the address family", Name(name))),
        Reason::Replaced => Some("something else takes its place".into()),
        Reason::Restored => Some("it was there before".into()),
        Reason::NotThereBefore => Some("it was not there before".into()),
    }
}

/// A value on one line, as YAML's flow style: text plain where nothing is ambiguous.
pub fn value(json: &Json) -> String {
    match json {
        Json::String(text) => Name(text).to_string(),
        Json::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => match address(map) {
            Some(address) => address,
            None => {
                let entries: Vec<String> =
                    map.iter().map(|(key, v)| format!("{}: {}", Name(key), value(v))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        },
        Json::Null | Json::Bool(_) | Json::Number(_) => json.to_string(),
    }
}

/// The text of a name or other string; as a JSON string where it is not plainly a word.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0;
        // A blank inside is harmless; control characters of Unicode (C0, C1) steer terminals.
        let plain = !text.is_empty()
            && text.trim() == text
            && !text
                .chars()
                .any(|c| c.is_control() || is_bidirectional_control(c) || "\"'{}[],#".contains(c))
            && !text.contains(": ")
            && !matches!(text, "true" | "false" | "null" | "~")
            && text.parse::<f64>().is_err();
        if plain {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for c in text.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() || is_bidirectional_control(c) => write!(f, "\\u{:04x}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Unicode's explicit directional formatting characters, which reorder what is seen (UAX #9, 2).
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The left margin of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Added,
    Changed,
    Removed,
}

impl From<Action> for Sign {
    fn from(action: Action) -> Self {
        match action {
            Action::Add => Self::Added,
            Action::Modify => Self::Changed,
            Action::Remove => Self::Removed,
        }
    }
}

struct Out {
    text: String,
    paint: Paint,
    /// Lines so far, the ones beyond [`LINES_MAX`] included.
    lines: usize,
}

impl Out {
    fn line(&mut self, depth: usize, sign: Sign, content: &str) {
        self.lines += 1;
        if self.lines > LINES_MAX {
            return;
        }
        // SGR: 31 red, 32 green, 33 yellow.
        let (mark, colour) = match sign {
            Sign::Added => ('+', 32),
            Sign::Changed => ('~', 33),
            Sign::Removed => ('-', 31),
        };
        let indent = "    ".repeat(depth);
        let written = match self.paint {
            Paint::Plain => writeln!(self.text, "{indent}{mark} {content}"),
            Paint::Coloured => writeln!(self.text, "{indent}\x1b[{colour}m{mark} {content}\x1b[0m"),
        };
        written.expect("writing to a string cannot fail");
    }
}

fn action_of(change: &Change) -> Action {
    match change {
        Change::Interface(change) => change.action,
        Change::Route(change) => change.action,
        Change::Rule(change) => change.action,
        Change::Dns(_) | Change::Hostname(_) | Change::OvsDb(_) | Change::Ovn(_) | Change::Network(_) => {
            Action::Modify
        }
    }
}

fn with_reason(what: String, why: &Reason) -> String {
    match reason(why) {
        Some(reason) => format!("{what} ({reason})"),
        None => what,
    }
}

fn interface(change: &InterfaceChange, out: &mut Out) {
    let again = if change.rebuild { ", made again" } else { "" };
    let header = format!("interface {} {}{again}", Name(&change.name), change.kind);
    out.line(0, change.action.into(), &with_reason(header, &change.reason));
    if change.action == Action::Remove {
        return;
    }
    for field in &change.fields {
        // The header says it.
        if change.action == Action::Add
            && matches!(field.path.to_string().as_str(), "name" | "type" | "state")
        {
            continue;
        }
        values(&field.path.to_string(), field.before.as_ref(), field.after.as_ref(), out);
    }
}

fn dns(before: &DnsSettings, after: &DnsSettings, out: &mut Out) {
    let lists = [
        ("server", &before.server, &after.server),
        ("search", &before.search, &after.search),
        ("options", &before.options, &after.options),
    ];
    for (key, before, after) in lists {
        let json = |list: &Option<Vec<String>>| Json::from(list.clone().unwrap_or_default());
        values(key, Some(&json(before)), Some(&json(after)), out);
    }
}

/// Values with names.
fn table(path: &str, changes: &BTreeMap<String, ValueChange>, out: &mut Out) {
    for (key, change) in changes {
        let [before, after] = [&change.before, &change.after].map(|text| text.clone().map(Json::from));
        values(&format!("{path}.{}", Name(key)), before.as_ref(), after.as_ref(), out);
    }
}

/// The lines that lead from one value to another: mappings key by key, lists element by element.
fn values(path: &str, before: Option<&Json>, after: Option<&Json>, out: &mut Out) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Json::Object(before)), Some(Json::Object(after))) if address(after).is_none() => {
            for (key, value) in before {
                values(&format!("{path}.{}", Name(key)), Some(value), after.get(key), out);
            }
            for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                values(&format!("{path}.{}", Name(key)), None, Some(value), out);
            }
        }
        (Some(Json::Array(before)), Some(Json::Array(after))) => lists(path, before, after, out),
        (before, after) => {
            before.into_iter().for_each(|value| whole(path, value, Sign::Removed, out));
            after.into_iter().for_each(|value| whole(path, value, Sign::Added, out));
        }
    }
}

/// A value that is added or removed as a whole, one line for each leaf or list element.
fn whole(path: &str, json: &Json, sign: Sign, out: &mut Out) {
    match json {
        Json::Object(map) if !map.is_empty() && address(map).is_none() => {
            map.iter().for_each(|(key, value)| whole(&format!("{path}.{}", Name(key)), value, sign, out));
        }
        Json::Array(items) if !items.is_empty() => {
            items.iter().for_each(|item| out.line(1, sign, &format!("{path}: {}", value(item))));
        }
        other => out.line(1, sign, &format!("{path}: {}", value(other))),
    }
}

fn lists(path: &str, before: &[Json], after: &[Json], out: &mut Out) {
    let same = |a: &Json, b: &Json| match (identity(a), identity(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    };
    let gone = before.iter().filter(|item| !after.iter().any(|other| same(item, other)));
    let new = after.iter().filter(|item| !before.iter().any(|other| same(item, other)));
    let line = |item: &Json| format!("{path}: {}", value(item));
    let (gone, new): (Vec<String>, Vec<String>) = (gone.map(line).collect(), new.map(line).collect());
    gone.iter().for_each(|line| out.line(1, Sign::Removed, line));
    new.iter().for_each(|line| out.line(1, Sign::Added, line));

    let mut changed = false;
    for item in before {
        let other = after.iter().find(|other| same(item, other)).filter(|other| *other != item);
        if let (Some(other), Some(identity)) = (other, identity(item)) {
            changed = true;
            let at = format!("{path}[{}]", value(identity));
            match address_of(item).is_some() {
                true => {
                    out.line(1, Sign::Removed, &line(item));
                    out.line(1, Sign::Added, &line(other));
                }
                false => values(&at, Some(item), Some(other), out),
            }
        }
    }
    if gone.is_empty() && new.is_empty() && !changed {
        // Only the order differs.
        out.line(1, Sign::Removed, &format!("{path}: {}", value(&Json::from(before))));
        out.line(1, Sign::Added, &format!("{path}: {}", value(&Json::from(after))));
    }
}

/// What names an element of a list, where its elements are named.
pub(super) fn identity(item: &Json) -> Option<&Json> {
    let map = item.as_object()?;
    ["name", "ip", "id", "from", "localnet"].iter().find_map(|key| map.get(*key))
}

pub(super) fn address_of(item: &Json) -> Option<String> {
    address(item.as_object()?)
}

/// An address on one line: `192.0.2.1/24`, followed by what else is known of it.
fn address(map: &Map<String, Json>) -> Option<String> {
    let (ip, prefix) = (map.get("ip")?.as_str()?, map.get("prefix-length")?.as_u64()?);
    let mut line = format!("{ip}/{prefix}");
    for (key, json) in map.iter().filter(|(key, _)| !matches!(key.as_str(), "ip" | "prefix-length")) {
        let _ = write!(line, " {key} {}", value(json));
    }
    Some(line)
}

/// A line of words, as `ip route` writes them.
struct Words(String);

impl Words {
    fn new(first: &str) -> Self {
        Self(first.into())
    }

    fn bare(&mut self, word: &Option<impl fmt::Display>) {
        if let Some(word) = word {
            let _ = write!(self.0, " {word}");
        }
    }

    fn pair(&mut self, key: &str, word: Option<impl fmt::Display>) {
        if let Some(word) = word {
            let _ = write!(self.0, " {key} {word}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::plan::{DnsChange, FieldChange, HostnameChange, RouteChange, RuleChange};
    use crate::state::{Interface, InterfaceType, Node, Part, Path, Reader, State};

    fn plan(changes: Vec<Change>) -> Plan {
        Plan {
            changes,
            expected: State::empty(),
            origins: BTreeMap::new(),
            warnings: Vec::new(),
            unverified: false,
        }
    }

    fn read<T: Part>(json: Json) -> T {
        T::read(&Node::from_json(&json), &mut Reader::new()).expect("the test's part is valid")
    }

    fn field(path: &str, before: Json, after: Json) -> FieldChange {
        let some = |json: Json| Some(json).filter(|json| !json.is_null());
        FieldChange { path: Path::root().keys(path), before: some(before), after: some(after) }
    }

    fn change(
        name: &str,
        kind: InterfaceType,
        action: Action,
        reason: Reason,
        fields: Vec<FieldChange>,
    ) -> Change {
        let (name, before, after): (_, Option<Interface>, _) = (name.to_owned(), None, None);
        let (rebuild, afresh) = (false, false);
        Change::Interface(Box::new(InterfaceChange {
            name,
            kind,
            action,
            reason,
            rebuild,
            afresh,
            before,
            after,
            fields,
        }))
    }

    fn sample() -> Plan {
        let route = read(json!({"destination": "198.51.100.0/24", "next-hop-address": "192.0.2.1",
            "next-hop-interface": "eth1", "table-id": 254, "metric": 100}));
        let blackhole = read(json!({"destination": "203.0.113.0/24", "route-type": "blackhole"}));
        let rule = read(json!({"family": "ipv4", "ip-from": "192.0.2.0/24", "route-table": 100,
            "fwmark": 16, "priority": 30000}));
        let list = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect());
        plan(vec![
            change(
                "br0",
                InterfaceType::LinuxBridge,
                Action::Add,
                Reason::Desired,
                vec![
                    field("name", Json::Null, json!("br0")),
                    field(
                        "ipv4",
                        Json::Null,
                        json!({"enabled": true, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]}),
                    ),
                    field("bridge.port", Json::Null, json!([{"name": "eth1"}])),
                ],
            ),
            change(
                "eth1",
                InterfaceType::Ethernet,
                Action::Modify,
                Reason::PortOf("br0".into()),
                vec![
                    field("mtu", json!(1500), json!(9000)),
                    field("description", Json::Null, json!("true")),
                    field(
                        "ipv4.address",
                        json!([{"ip": "192.0.2.5", "prefix-length": 24}, {"ip": "192.0.2.6", "prefix-length": 24}]),
                        json!([{"ip": "192.0.2.6", "prefix-length": 24}, {"ip": "192.0.2.7", "prefix-length": 24}]),
                    ),
                    field(
                        "bridge.port",
                        json!([{"name": "a", "stp-priority": 32}]),
                        json!([{"name": "a", "stp-priority": 8}, {"name": "b"}]),
                    ),
                ],
            ),
            change(
                "eth2.10",
                InterfaceType::Vlan,
                Action::Remove,
                Reason::ParentRemoved("eth2".into()),
                vec![field("mtu", json!(1500), Json::Null)],
            ),
            Change::Route(RouteChange { action: Action::Add, reason: Reason::Desired, route }),
            Change::Route(RouteChange { action: Action::Remove, reason: Reason::Replaced, route: blackhole }),
            Change::Rule(RuleChange { action: Action::Add, reason: Reason::Desired, rule }),
            Change::Dns(DnsChange {
                reason: Reason::Desired,
                before: DnsSettings {
                    server: list(&["192.0.2.1", "192.0.2.2"]),
                    search: list(&["a"]),
                    options: list(&[]),
                },
                after: DnsSettings {
                    server: list(&["192.0.2.2", "192.0.2.1"]),
                    search: list(&["b"]),
                    options: list(&[]),
                },
            }),
            Change::Hostname(HostnameChange {
                reason: Reason::Desired,
                running: Some("new".into()),
                config: None,
                before_running: Some("old".into()),
                before_config: Some("old".into()),
            }),
        ])
    }

    #[test]
    fn a_plan_reads_as_a_diff() {
        let wanted = "\
+ interface br0 linux-bridge
    + ipv4.enabled: true
    + ipv4.address: 192.0.2.1/24
    + bridge.port: {name: eth1}
~ interface eth1 ethernet (becomes a port of br0)
    - mtu: 1500
    + mtu: 9000
    + description: \"true\"
    - ipv4.address: 192.0.2.5/24
    + ipv4.address: 192.0.2.7/24
    + bridge.port: {name: b}
    - bridge.port[a].stp-priority: 32
    + bridge.port[a].stp-priority: 8
- interface eth2.10 vlan (eth2, which carries it, goes)
+ route 198.51.100.0/24 via 192.0.2.1 dev eth1 table 254 metric 100
- route blackhole 203.0.113.0/24 (something else takes its place)
+ rule ipv4 from 192.0.2.0/24 fwmark 0x10 table 100 priority 30000
~ dns
    - server: [192.0.2.1, 192.0.2.2]
    + server: [192.0.2.2, 192.0.2.1]
    - search: a
    + search: b
~ hostname
    - running: old
    + running: new

Plan: 3 to add, 3 to change, 2 to remove
";
        assert_eq!(diff(&sample(), Paint::Plain), wanted);
    }

    #[test]
    fn colours_only_wrap_the_plain_lines() {
        let coloured = diff(&sample(), Paint::Coloured);
        assert!(coloured.contains("\x1b[32m+ route 198.51.100.0/24"));
        let plain = coloured
            .replace("\x1b[31m", "")
            .replace("\x1b[32m", "")
            .replace("\x1b[33m", "")
            .replace("\x1b[0m", "");
        assert_eq!(plain, diff(&sample(), Paint::Plain));
    }

    #[test]
    fn an_empty_plan_says_so() {
        assert_eq!(diff(&plan(Vec::new()), Paint::Plain), "no change\n");
        assert!(json(&plan(Vec::new())).is_empty());
    }

    #[test]
    fn json_has_one_object_for_each_change() {
        let objects = json(&sample());
        assert_eq!(objects.len(), 8);
        assert_eq!(
            objects[3],
            json!({"what": "route", "action": "add", "because": "desired", "route": {
                "destination": "198.51.100.0/24", "next-hop-interface": "eth1", "next-hop-address": "192.0.2.1",
                "metric": 100, "table-id": 254}})
        );
        assert_eq!(objects[1]["fields"][0], json!({"path": "mtu", "before": 1500, "after": 9000}));
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        let evil = "a\u{1b}[2J\u{202e}\nb\u{9b}";
        assert_eq!(value(&json!(evil)), "\"a\\u001b[2J\\u202e\\nb\\u009b\"");
        assert_eq!(value(&json!("12")), "\"12\"");
        assert_eq!(value(&json!("")), "\"\"");
        assert_eq!(value(&json!("plain words")), "plain words");
    }

    #[test]
    fn a_long_diff_is_cut_and_says_by_how_much() {
        let route = |i: u32| {
            let destination = crate::state::Net::new(std::net::Ipv4Addr::from(i << 8).into(), 24);
            Change::Route(RouteChange {
                action: Action::Add,
                reason: Reason::Desired,
                route: Route { destination, ..Route::empty() },
            })
        };
        let text = diff(&plan((0..6_000).map(route).collect()), Paint::Plain);
        assert_eq!(text.lines().count(), LINES_MAX + 3);
        assert!(
            text.ends_with("... and 1000 more lines\n\nPlan: 6000 to add, 0 to change, 0 to remove\n"),
            "{}",
            &text[text.len() - 200..]
        );
    }
}
