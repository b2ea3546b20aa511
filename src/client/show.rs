//! What `show` prints of a state: the part a pattern selects, in the order for people.
//!
//! Works on the JSON as it came, so that keys of a newer daemon are shown too.

use serde_json::{Map, Value as Json};

/// Sections that are printed even when they are empty (schema 8.1).
const ALWAYS: [&str; 4] = ["route-rules", "routes", "interfaces", "ovn"];

/// The order of sections (schema 8.1); others follow.
const ORDER: [&str; 8] =
    ["hostname", "dns-resolver", "route-rules", "routes", "interfaces", "ovs-db", "ovn", "description"];

/// A state as the commands print it: sections in the order for people, and of every interface
/// `name`, `type` and `state` first.
pub fn arranged(state: Json) -> Json {
    let Json::Object(mut sections) = state else { return state };
    for section in ALWAYS {
        sections.entry(section).or_insert_with(|| match section {
            "interfaces" => Json::Array(Vec::new()),
            _ => Json::Object(Map::new()),
        });
    }
    if let Some(Json::Array(interfaces)) = sections.get_mut("interfaces") {
        for interface in interfaces.iter_mut().filter_map(Json::as_object_mut) {
            put_first(interface, &["name", "type", "state"]);
        }
    }
    put_first(&mut sections, &ORDER);
    Json::Object(sections)
}

fn put_first(map: &mut Map<String, Json>, keys: &[&str]) {
    let mut rest = std::mem::take(map);
    for key in keys {
        map.extend(rest.shift_remove_entry(*key));
    }
    map.append(&mut rest);
}

/// The interfaces whose name or alternative name the pattern matches, the routes through them, and
/// the rules that lead to a table of these routes.
pub fn selected(state: Json, pattern: &str) -> Json {
    let Json::Object(mut sections) = state else { return state };
    let text = |value: &Json, key: &str| value.get(key).and_then(Json::as_str).map(str::to_owned);
    let named = |interface: &Json| {
        let alternatives = interface.get("alt-names").and_then(Json::as_array);
        std::iter::once(interface)
            .chain(alternatives.into_iter().flatten())
            .filter_map(|named| text(named, "name"))
            .any(|name| matches(pattern, &name))
    };
    let mut out = Map::new();
    let interfaces: Vec<Json> = list(&mut sections, "interfaces").into_iter().filter(named).collect();
    let names: Vec<String> = interfaces.iter().filter_map(|interface| text(interface, "name")).collect();
    let through = |route: &Json| text(route, "next-hop-interface").is_some_and(|name| names.contains(&name));
    let mut tables: Vec<Option<u64>> = Vec::new();
    if let Some(Json::Object(mut routes)) = sections.remove("routes") {
        let mut kept = Map::new();
        for which in ["running", "config"] {
            if routes.contains_key(which) {
                let routes: Vec<Json> = list(&mut routes, which).into_iter().filter(through).collect();
                tables.extend(
                    routes.iter().map(|route| route.get("table-id")).map(number).filter(Option::is_some),
                );
                kept.insert(which.to_owned(), routes.into());
            }
        }
        out.insert("routes".to_owned(), kept.into());
    }
    if let Some(Json::Object(mut rules)) = sections.remove("route-rules") {
        let leads_there = |rule: &Json| tables.contains(&number(rule.get("route-table")));
        let config: Vec<Json> = list(&mut rules, "config").into_iter().filter(leads_there).collect();
        out.insert(
            "route-rules".to_owned(),
            Json::Object(Map::from_iter([("config".to_owned(), config.into())])),
        );
    }
    out.insert("interfaces".to_owned(), interfaces.into());
    Json::Object(out)
}

fn list(map: &mut Map<String, Json>, key: &str) -> Vec<Json> {
    match map.remove(key) {
        Some(Json::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn number(value: Option<&Json>) -> Option<u64> {
    value.and_then(Json::as_u64)
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

    #[test]
    fn a_state_is_arranged_for_people() {
        let state = json!({"interfaces": [{"mtu": 1, "state": "up", "name": "a", "type": "veth"}],
            "description": "d", "new-section": 1, "hostname": {}});
        assert_eq!(
            arranged(state).to_string(),
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
        assert_eq!(
            selected(state, "a*"),
            json!({
                "interfaces": [{"name": "a1", "type": "veth"}, {"name": "b", "type": "veth", "alt-names": [{"name": "a9"}]}],
                "routes": {"config": [{"next-hop-interface": "a1", "table-id": 5}]},
                "route-rules": {"config": [{"route-table": 5}]},
            })
        );
    }
}
