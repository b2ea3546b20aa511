//! A profile as a file of NetworkManager's plugin keyfile (nm-settings-keyfile(5)); the syntax is that of
//! GLib's key files (Desktop Entry Specification, "Basic format of the file").
//!
//! Most properties stand there as they are. The others have a row in [`SPECIAL`].

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::nm::{Profile, Setting, Value};

/// The sections that come first, in this order; others follow by name.
const ORDER: [&str; 33] = [
    "connection",
    "bond",
    "bond-port",
    "bridge",
    "bridge-port",
    "ipv4",
    "ipv6",
    "ovs-bridge",
    "ovs-port",
    "ovs-interface",
    "ovs-patch",
    "ovs-dpdk",
    "ethernet",
    "vlan",
    "vxlan",
    "sriov",
    "macvlan",
    "macsec",
    "vrf",
    "veth",
    "hsr",
    "ipvlan",
    "ip-tunnel",
    "user",
    "802-1x",
    "ethtool",
    "infiniband",
    "ovs-external-ids",
    "ovs-other-config",
    "vpn",
    "vpn-secrets",
    "match",
    "loopback",
];

/// Sections that are written even where they have no keys.
const ALWAYS: [&str; 3] = ["ovs-bridge", "ovs-port", "bridge-port"];

/// The keys of a section.
type Keys = BTreeMap<String, String>;

/// What becomes of a property that does not stand there as it is.
type Special = fn(&Value, &str, &mut Keys) -> Option<()>;

/// By setting and property; `*` is any setting. What a row cannot write stands there as it is.
const SPECIAL: [(&str, &str, Special); 18] = [
    ("ipv4", "address-data", addresses),
    ("ipv6", "address-data", addresses),
    ("ipv4", "route-data", routes),
    ("ipv6", "route-data", routes),
    ("ipv4", "routing-rules", rules),
    ("ipv6", "routing-rules", rules),
    ("ipv4", "dns-data", name_servers),
    ("ipv6", "dns-data", name_servers),
    ("bond", "options", each),
    ("user", "data", each),
    ("vpn", "data", each),
    ("ovs-external-ids", "data", each_with_name),
    ("ovs-other-config", "data", each_with_name),
    ("bridge", "vlans", vlans),
    ("bridge-port", "vlans", vlans),
    ("ovs-port", "trunks", trunks),
    ("sriov", "vfs", functions),
    ("802-1x", "*", certificate),
];

/// The text of a profile. It holds its secrets.
pub fn keyfile(profile: &Profile) -> String {
    let mut sections: BTreeMap<&str, Keys> = BTreeMap::new();
    for (setting, properties) in &profile.0 {
        let name = if setting == "802-3-ethernet" { "ethernet" } else { setting };
        let keys = sections.entry(name).or_default();
        for (property, value) in properties {
            if (setting.as_str(), property.as_str()) != ("vpn", "secrets") {
                write_property(setting, property, value, keys);
            }
        }
        if let Some(secrets) = properties.get("secrets").filter(|_| setting == "vpn") {
            each(secrets, "secrets", sections.entry("vpn-secrets").or_default());
        }
    }
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    let mut sections: Vec<(&str, Keys)> = sections.into_iter().collect();
    sections.sort_by_key(|(name, _)| rank(name));
    let mut text = String::new();
    for (name, keys) in sections.iter().filter(|(name, keys)| !keys.is_empty() || ALWAYS.contains(name)) {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}[{name}]");
        for (key, value) in keys {
            let _ = writeln!(text, "{key}={value}");
        }
    }
    text
}

fn write_property(setting: &str, property: &str, value: &Value, keys: &mut Keys) {
    let is_meant = |row: &&(&str, &str, Special)| row.0 == setting && [property, "*"].contains(&row.1);
    let special = SPECIAL.iter().find(is_meant);
    if special.and_then(|(.., write)| write(value, property, keys)).is_some() {
        return;
    }
    if let Some(text) = plain(value) {
        keys.insert(property.to_owned(), text);
    }
}

/// A value as it stands; None where it says nothing, or has no form of its own.
fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::Text(text) => escape(text),
        Value::Bytes(bytes) => address(bytes),
        Value::Texts(texts) => join(texts.iter().map(String::as_str)),
        Value::Numbers(numbers) => {
            join(numbers.iter().map(u32::to_string).collect::<Vec<_>>().iter().map(String::as_str))
        }
        Value::Bool(on) => on.to_string(),
        Value::Map(_) | Value::Dict(_) | Value::Dicts(_) | Value::Other { .. } => return None,
        number => number.as_number()?.to_string(),
    };
    (!text.is_empty()).then_some(text)
}

/// Lists end each item with a semicolon, so that one item is a list, too.
fn join<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    texts.fold(String::new(), |list, text| list + &escape(text).replace(';', "\\;") + ";")
}

/// A text so that the reader of key files finds it again.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' ' if index == 0 || index + 1 == text.len() => out.push_str("\\s"),
            c => out.push(c),
        }
    }
    out
}

/// Bytes are addresses of the link layer.
fn address(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn text_of(entry: &Setting, key: &str) -> Option<String> {
    match entry.get(key)? {
        Value::Text(text) => Some(text.clone()),
        value => plain(value),
    }
}

fn addresses(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    for (index, entry) in value.as_dicts()?.iter().enumerate() {
        let (address, prefix) = (text_of(entry, "address")?, text_of(entry, "prefix")?);
        keys.insert(format!("address{index}"), format!("{address}/{prefix}"));
    }
    Some(())
}

fn routes(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    /// They stand in the route itself.
    const HEAD: [&str; 4] = ["dest", "prefix", "next-hop", "metric"];
    /// What comes first; others follow by name.
    const FIRST: [&str; 2] = ["table", "weight"];
    for (index, entry) in value.as_dicts()?.iter().enumerate() {
        let (to, prefix) = (text_of(entry, "dest")?, text_of(entry, "prefix")?);
        let through = text_of(entry, "next-hop").unwrap_or_default();
        let metric = text_of(entry, "metric").map(|metric| format!(",{metric}")).unwrap_or_default();
        keys.insert(format!("route{index}"), format!("{to}/{prefix},{through}{metric}"));
        let rest = entry.keys().map(String::as_str).filter(|key| !HEAD.contains(key) && !FIRST.contains(key));
        let options = FIRST.into_iter().chain(rest);
        let options = options.filter_map(|key| Some(format!("{key}={}", text_of(entry, key)?)));
        let options: Vec<String> = options.collect();
        if !options.is_empty() {
            keys.insert(format!("route{index}_options"), options.join(","));
        }
    }
    Some(())
}

/// `AF_INET6`
const IPV6: i128 = 10;

fn rules(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    for (index, entry) in value.as_dicts()?.iter().enumerate() {
        let is_v6 = entry.get("family").and_then(Value::as_number) == Some(IPV6);
        let mut words = vec![format!("priority {}", text_of(entry, "priority")?)];
        let mut selects = false;
        for (word, length) in [("from", "from-len"), ("to", "to-len")] {
            if let (Some(net), Some(length)) = (text_of(entry, word), text_of(entry, length)) {
                words.push(format!("{word} {net}/{length}"));
                selects = true;
            }
        }
        if !selects {
            // The family is told by it.
            words.push(format!("from {}", if is_v6 { "::/0" } else { "0.0.0.0/0" }));
        }
        if let Some(name) = text_of(entry, "iifname") {
            words.push(format!("iif {name}"));
        }
        if let Some(mark) = text_of(entry, "fwmark") {
            words.push(format!("fwmark {mark}/{}", text_of(entry, "fwmask")?));
        }
        for (key, word) in
            [("suppress-prefixlength", "suppress_prefixlength"), ("action", "type"), ("table", "table")]
        {
            words.extend(text_of(entry, key).map(|value| format!("{word} {value}")));
        }
        keys.insert(format!("routing-rule{index}"), words.join(" "));
    }
    Some(())
}

fn name_servers(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    let list = join(value.as_texts()?.iter().map(String::as_str));
    if !list.is_empty() {
        keys.insert("dns".to_owned(), list);
    }
    Some(())
}

/// Each entry is a key of its own.
fn each(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    keys.extend(value.as_map()?.iter().map(|(key, value)| (encode(key), escape(value))));
    Some(())
}

fn each_with_name(value: &Value, property: &str, keys: &mut Keys) -> Option<()> {
    let named = |key: &String| format!("{property}.{}", encode(key));
    keys.extend(value.as_map()?.iter().map(|(key, value)| (named(key), escape(value))));
    Some(())
}

/// A key that anybody could have chosen, so that it is one of a key file: what those cannot have is a
/// backslash and two digits (nm-settings-keyfile(5)).
fn encode(key: &str) -> String {
    let mut out = String::with_capacity(key.len());
    for (index, byte) in key.bytes().enumerate() {
        let is_edge_blank = byte == b' ' && (index == 0 || index + 1 == key.len());
        if !(b' '..=b'~').contains(&byte) || b"\\[]=".contains(&byte) || is_edge_blank {
            let _ = write!(out, "\\{byte:02X}");
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

fn vlans(value: &Value, property: &str, keys: &mut Keys) -> Option<()> {
    let mut ranges: Vec<(i128, String)> = Vec::new();
    for entry in value.as_dicts()? {
        let number = |key: &str| entry.get(key).and_then(Value::as_number);
        let (start, end) = (number("vid-start")?, number("vid-end")?);
        let mut text = if start == end { start.to_string() } else { format!("{start}-{end}") };
        for flag in ["pvid", "untagged"] {
            if entry.get(flag).and_then(Value::as_bool) == Some(true) {
                text = text + " " + flag;
            }
        }
        ranges.push((start, text));
    }
    ranges.sort();
    put_ranges(property, ranges.into_iter().map(|(_, text)| text), keys);
    Some(())
}

fn trunks(value: &Value, property: &str, keys: &mut Keys) -> Option<()> {
    let mut ranges = Vec::new();
    for entry in value.as_dicts()? {
        let (start, end) = (text_of(entry, "start")?, text_of(entry, "end")?);
        ranges.push(if start == end { start } else { format!("{start}-{end}") });
    }
    put_ranges(property, ranges.into_iter(), keys);
    Some(())
}

fn put_ranges(property: &str, ranges: impl Iterator<Item = String>, keys: &mut Keys) {
    let list = ranges.collect::<Vec<_>>().join(",");
    if !list.is_empty() {
        keys.insert(property.to_owned(), list);
    }
}

/// Virtual functions: `vf.N`, with `vlans=ID.QOS.PROTOCOL`.
fn functions(value: &Value, _: &str, keys: &mut Keys) -> Option<()> {
    for entry in value.as_dicts()? {
        let index = text_of(entry, "index")?;
        let own = entry.keys().filter(|key| !["index", "vlans"].contains(&key.as_str()));
        let mut words: Vec<String> =
            own.filter_map(|key| Some(format!("{key}={}", text_of(entry, key)?))).collect();
        let vlans = entry.get("vlans").and_then(Value::as_dicts).unwrap_or_default();
        let mut list = Vec::new();
        for vlan in vlans {
            let number = |key: &str| vlan.get(key).and_then(Value::as_number).unwrap_or(0);
            let protocol = if number("protocol") == 1 { "ad" } else { "q" };
            list.push(format!("{}.{}.{protocol}", number("id"), number("qos")));
        }
        if !list.is_empty() {
            words.push(format!("vlans={}", list.join(";")));
        }
        keys.insert(format!("vf.{index}"), words.join(" "));
    }
    Some(())
}

/// A file that holds a certificate or a key is bytes that name it: `file://`, the path, and a zero byte.
fn certificate(value: &Value, property: &str, keys: &mut Keys) -> Option<()> {
    let text = std::str::from_utf8(value.as_bytes()?).ok()?;
    keys.insert(property.to_owned(), escape(text.strip_prefix("file://")?.trim_end_matches('\0')));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_file_could_mistake_is_escaped() {
        let mut profile = Profile::default();
        profile.set("connection", "id", " a\\b\nc;d ");
        profile.set("connection", "empty", "");
        profile.set("match", "path", vec!["a;b".to_owned(), "c".to_owned()]);
        profile.set("user", "data", BTreeMap::from([("a=b [c]".to_owned(), "\t=#".to_owned())]));
        profile.set("802-3-ethernet", "mac-address", vec![2_u8, 0, 94, 16, 0, 255]);
        profile.set("dummy", "x", "");
        let expected = "[connection]\nid=\\sa\\\\b\\nc;d\\s\n\n[ethernet]\nmac-address=02:00:5E:10:00:FF\n\n\
                        [user]\na\\3Db \\5Bc\\5D=\\t=#\n\n[match]\npath=a\\;b;c;\n";
        assert_eq!(keyfile(&profile), expected);
    }
}
