//! `routing-rules`: policy rules.

use super::ip::{put_list, setting};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Family, Mark, Net, RouteRule, RuleAction, Selector};

/// Address families, `AF_INET` and `AF_INET6`.
const FAMILIES: [(i32, Family); 2] = [(2, Family::Ipv4), (10, Family::Ipv6)];

/// `FR_ACT_*` of linux/fib_rules.h.
const ACTIONS: [(u8, RuleAction); 3] =
    [(6, RuleAction::Blackhole), (7, RuleAction::Unreachable), (8, RuleAction::Prohibit)];

/// Table `main`.
const MAIN: u32 = 254;

/// What an entry can say in the words of a document. An entry with more is never shown, so it is
/// nobody's to remove.
const KNOWN_KEYS: [&str; 13] = [
    "family",
    "priority",
    "from",
    "from-len",
    "to",
    "to-len",
    "table",
    "fwmark",
    "fwmask",
    "iifname",
    "action",
    "suppress-prefixlength",
    "invert",
];

/// Makes these the rules of one stack; those of the other family are left to it.
pub(super) fn write(profile: &mut Profile, rules: &[RouteRule], is_v6: bool) {
    let name = setting(is_v6);
    let entries = profile.get(name, "routing-rules").and_then(Value::as_dicts).unwrap_or_default();
    let mut wanted: Vec<&RouteRule> = rules
        .iter()
        .filter(|rule| !rule.is_absent() && (family(rule) == Some(Family::Ipv6)) == is_v6)
        .collect();
    let mut list: Vec<Setting> = Vec::new();
    for entry in entries {
        match read_entry(entry) {
            None => list.push(entry.clone()),
            Some(own) => {
                if let Some(index) = wanted.iter().position(|rule| is_same(&own, rule)) {
                    wanted.remove(index);
                    list.push(entry.clone());
                }
            }
        }
    }
    list.extend(wanted.into_iter().map(write_entry));
    put_list(profile, name, "routing-rules", list);
}

fn family(rule: &RouteRule) -> Option<Family> {
    let net = [rule.ip_from, rule.ip_to].into_iter().flatten().find_map(Selector::net);
    rule.family.or(net.map(|net| if net.is_v6() { Family::Ipv6 } else { Family::Ipv4 }))
}

/// A selector; a network of all addresses selects nothing, and is refused.
fn net(selector: Option<Selector>) -> Option<Net> {
    selector.and_then(Selector::net).filter(|net| net.prefix() > 0)
}

fn table(rule: &RouteRule) -> Option<u32> {
    match rule.route_table.filter(|table| *table != 0) {
        None if rule.action.is_none() => Some(MAIN),
        table => table,
    }
}

/// The mark, and its mask: all bits unless said otherwise.
fn mark(rule: &RouteRule) -> Option<(u32, u32)> {
    let mark = rule.fwmark.map_or(0, |mark| mark.0);
    let mask = rule.fwmask.map_or(if mark == 0 { 0 } else { u32::MAX }, |mask| mask.0);
    Some((mark, mask)).filter(|both| *both != (0, 0))
}

fn is_same(a: &RouteRule, b: &RouteRule) -> bool {
    family(a) == family(b)
        && net(a.ip_from) == net(b.ip_from)
        && net(a.ip_to) == net(b.ip_to)
        && a.priority.unwrap_or(0) == b.priority.unwrap_or(0)
        && a.action == b.action
        && (a.action.is_some() || table(a) == table(b))
        && mark(a) == mark(b)
        && a.iif == b.iif
        && a.suppress_prefix_length == b.suppress_prefix_length
}

fn write_entry(rule: &RouteRule) -> Setting {
    let mut entry = Setting::new();
    let mut put = |key: &str, value: Value| drop(entry.insert(key.to_owned(), value));
    let number = FAMILIES.iter().find(|(_, own)| Some(*own) == family(rule)).map_or(2, |(number, _)| *number);
    put("family", Value::I32(number));
    // Planning gives every rule a priority.
    put("priority", rule.priority.and_then(|priority| u32::try_from(priority).ok()).unwrap_or(0).into());
    for (key, length, selector) in [("from", "from-len", rule.ip_from), ("to", "to-len", rule.ip_to)] {
        if let Some(net) = net(selector) {
            put(key, net.address().to_string().into());
            put(length, net.prefix().into());
        }
    }
    if let Some(table) = table(rule) {
        put("table", table.into());
    }
    if let Some((mark, mask)) = mark(rule) {
        put("fwmark", mark.into());
        put("fwmask", mask.into());
    }
    if let Some(name) = &rule.iif {
        put("iifname", name.as_str().into());
    }
    if let Some((number, _)) = ACTIONS.iter().find(|(_, action)| Some(*action) == rule.action) {
        put("action", Value::Byte(*number));
    }
    if let Some(length) = rule.suppress_prefix_length.and_then(|length| i32::try_from(length).ok()) {
        put("suppress-prefixlength", Value::I32(length));
    }
    entry
}

/// The rules of a profile that a document can describe, as the kernel shows them.
pub fn rules_of(profile: &Profile) -> Vec<RouteRule> {
    let entries = [false, true]
        .into_iter()
        .filter_map(|is_v6| profile.get(setting(is_v6), "routing-rules").and_then(Value::as_dicts));
    entries.flatten().filter_map(read_entry).collect()
}

/// None for a rule that a document cannot describe.
fn read_entry(entry: &Setting) -> Option<RouteRule> {
    let number = |key: &str| entry.get(key).and_then(Value::as_number);
    let small = |key: &str| number(key).and_then(|number| u32::try_from(number).ok());
    let inverted = entry.get("invert").and_then(Value::as_bool) == Some(true);
    if inverted || entry.keys().any(|key| !KNOWN_KEYS.contains(&key.as_str())) {
        return None;
    }
    let family = FAMILIES.iter().find(|(family, _)| Some(i128::from(*family)) == number("family"))?.1;
    let action = match number("action") {
        None | Some(1) => None, // FR_ACT_TO_TBL
        Some(number) => Some(ACTIONS.iter().find(|(own, _)| i128::from(*own) == number)?.1),
    };
    let selector = |key: &str, length: &str| {
        let address = entry.get(key)?.as_text()?.parse().ok()?;
        Net::new(address, u8::try_from(number(length)?).ok()?).map(Selector::Net)
    };
    let mut rule = RouteRule {
        family: Some(family),
        ip_from: selector("from", "from-len"),
        ip_to: selector("to", "to-len"),
        priority: number("priority").and_then(|priority| i64::try_from(priority).ok()),
        fwmark: small("fwmark").map(Mark),
        fwmask: small("fwmask").map(Mark),
        action,
        iif: entry.get("iifname").and_then(Value::as_text).map(str::to_owned),
        suppress_prefix_length: small("suppress-prefixlength"),
        ..RouteRule::empty()
    };
    rule.route_table =
        small("table").filter(|table| *table != 0).or(table(&rule)).filter(|_| action.is_none());
    Some(rule)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Node, Part, Reader};
    use serde_json::{Value as Json, json};

    fn rule(json: Json) -> RouteRule {
        Part::read(&Node::from_json(&json), &mut Reader::new()).expect("a rule")
    }

    fn write_both(profile: &mut Profile, rules: &[RouteRule]) {
        for is_v6 in [false, true] {
            write(profile, rules, is_v6);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let rules = [
            rule(
                json!({"family": "ipv4", "ip-from": "192.0.2.0/24", "ip-to": "198.51.100.7/32", "priority": 30000,
                        "route-table": 100, "fwmark": 16, "fwmask": 255, "iif": "eth1",
                        "suppress-prefix-length": 0}),
            ),
            rule(json!({"family": "ipv4", "priority": 7, "action": "unreachable"})),
            rule(
                json!({"family": "ipv6", "ip-from": "2001:db8::/32", "priority": 30001, "route-table": 254}),
            ),
        ];
        let mut profile = Profile::default();
        write_both(&mut profile, &rules);
        assert_eq!(rules_of(&profile), rules);
        let before = profile.clone();
        write_both(&mut profile, &rules);
        assert_eq!(profile, before);
    }

    #[test]
    fn all_addresses_are_no_selector() {
        let mut profile = Profile::default();
        write_both(&mut profile, &[rule(json!({"ip-from": "0.0.0.0/0", "family": "ipv4", "priority": 5}))]);
        let entry = Setting::from([
            ("family".to_owned(), Value::I32(2)),
            ("priority".to_owned(), Value::U32(5)),
            ("table".to_owned(), Value::U32(254)),
        ]);
        assert_eq!(profile.get("ipv4", "routing-rules"), Some(&vec![entry].into()));
    }

    #[test]
    fn rules_that_no_document_describes_stay() {
        let entry = |key: &str, value: Value| {
            Setting::from([
                ("family".to_owned(), Value::I32(2)),
                ("priority".to_owned(), Value::U32(5)),
                (key.to_owned(), value),
            ])
        };
        let ports = entry("dport-start", Value::U16(53));
        let inverted = entry("invert", true.into());
        let plain = entry("table", Value::U32(9));
        let mut profile = Profile::default();
        profile.set("ipv4", "routing-rules", vec![ports.clone(), plain, inverted.clone()]);
        assert_eq!(rules_of(&profile).len(), 1);
        write_both(&mut profile, &[]);
        assert_eq!(profile.get("ipv4", "routing-rules"), Some(&vec![ports, inverted].into()));
    }
}
