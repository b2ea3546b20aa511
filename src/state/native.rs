//! `network`: a configuration in netplan's own words, as its files have it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Number, Value as Json};

use super::{Entry, HIDDEN_SECRET, Node, Part, Path, Position, Reader, Shape, Value};

/// The mapping under `network`, as written. It prints its secrets only after [`Native::reveal`].
#[derive(Clone)]
pub struct Native {
    node: Node,
    revealed: bool,
}

/// What the keys of secrets contain: passwords of 802.1X, of Wi-Fi and of modems, keys of tunnels, and the
/// same as NetworkManager's properties have them (nm-settings-keyfile(5): `wireguard.private-key`,
/// `wireguard-peer.X.preshared-key`, `wifi-security.wep-key0`, `macsec.mka-cak`, everything of `vpn-secrets`).
const SECRETS: [&str; 7] = ["password", "psk", "secret", "private", "preshared", "wep-key", "mka-cak"];
/// And those that say nothing else.
const SECRET_WORDS: [&str; 6] = ["key", "keys", "shared", "input", "output", "pin"];
/// What looks like one, and is the path of a file.
const SECRET_FILES: [&str; 2] = ["client-key", "private-key"];

/// A value of a netplan file that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NativeChange {
    /// Below `network`.
    pub path: Path,
    /// Secrets are masked.
    pub before: Option<Json>,
    pub after: Option<Json>,
}

impl Native {
    pub fn new(node: Node) -> Self {
        Self { node, revealed: false }
    }

    /// One that defines nothing.
    pub fn nothing() -> Self {
        Self::new(Node { value: Value::Map(Vec::new()), at: None })
    }

    /// The mapping, with its secrets.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// Makes this copy print its secrets.
    pub fn reveal(&mut self) {
        self.revealed = true;
    }

    /// Whether nothing is defined.
    pub fn is_empty(&self) -> bool {
        let Value::Map(entries) = &self.node.value else { return true };
        entries.iter().all(|entry| match &entry.value.value {
            Value::Map(definitions) => definitions.is_empty(),
            _ => true,
        })
    }

    /// The types of what is defined, and the keys that definitions of each have, as `bonds.interfaces`: each once, sorted.
    pub fn uses(&self) -> Vec<String> {
        let entries = |node: &Node| match &node.value {
            Value::Map(entries) => entries.clone(),
            Value::List(_) | Value::Scalar { .. } => Vec::new(),
        };
        let mut found = BTreeSet::new();
        for kind in entries(&self.node).iter().filter(|entry| matches!(entry.value.value, Value::Map(_))) {
            found.insert(kind.key.clone());
            let keys = entries(&kind.value).into_iter().flat_map(|definition| entries(&definition.value));
            found.extend(keys.map(|key| format!("{}.{}", kind.key, key.key)));
        }
        found.into_iter().collect()
    }

    /// As JSON, with its secrets. Only what reads back as the same text has a type.
    pub fn to_json(&self) -> Json {
        json(&self.node)
    }

    /// Where something stands in the text that it came in.
    pub fn locate(&self, path: &Path) -> Option<Position> {
        self.node.locate(path)
    }

    /// Puts the secrets of `known` where only their place is said. The first place of which nothing is known.
    pub fn fill_secrets(&mut self, known: Option<&Self>) -> Result<(), Path> {
        fill(&mut self.node, known.map(|known| &known.node), &Path::root().key("network"))
    }

    /// What differs between two of them; None is nothing.
    pub fn changes(before: Option<&Self>, after: Option<&Self>) -> Vec<NativeChange> {
        let mut found = Vec::new();
        differences(
            &Path::root(),
            before.map(|own| &own.node),
            after.map(|own| &own.node),
            false,
            &mut found,
        );
        found
    }
}

/// Where it stood in a text does not matter.
impl PartialEq for Native {
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

/// Without the values, which may be secrets.
impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&masked(&self.node, false), f)
    }
}

impl Part for Native {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        for entry in reader.entries(node)? {
            if entry.key == "version" && entry.value.text() != Some("2") {
                reader.at_key("version", |reader| reader.problem(&entry.value, "netplan knows version 2"));
            }
        }
        repeated(node, reader);
        unprintable(node, reader);
        Some(Self::new(node.clone()))
    }

    fn shape() -> Shape {
        Shape::Table(Box::new(Shape::Anything))
    }
}

impl Serialize for Native {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = if self.revealed { self.to_json() } else { masked(&self.node, false) };
        json.serialize(serializer)
    }
}

/// netplan takes the last of two; whoever wrote them meant both.
fn repeated(node: &Node, reader: &mut Reader) {
    let Value::Map(entries) = &node.value else { return };
    for (i, entry) in entries.iter().enumerate() {
        reader.at_key(&entry.key, |reader| {
            if entries[..i].iter().any(|earlier| earlier.key == entry.key) {
                reader.problem(&entry.value, format!("key `{}` is given twice", entry.key));
            }
            repeated(&entry.value, reader);
        });
    }
}

/// netplan writes texts into files of others, some of which run programs, as they are: none may begin a line there.
fn unprintable(node: &Node, reader: &mut Reader) {
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                reader.at_key(&entry.key, |reader| {
                    if entry.key.contains(char::is_control) {
                        reader.problem(&entry.value, "a key with a control character");
                    }
                    // They stand in quotes in rules of udev, which run programs.
                    if matches!(entry.key.as_str(), "set-name" | "match") && is_quoted(&entry.value) {
                        reader.problem(&entry.value, "a text with a quotation mark or a backslash");
                    }
                    unprintable(&entry.value, reader);
                });
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                reader.at_index(index, |reader| unprintable(item, reader));
            }
        }
        Value::Scalar { text, .. } if text.contains(char::is_control) => {
            reader.problem(node, "a text with a control character");
        }
        Value::Scalar { .. } => {}
    }
}

fn is_quoted(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| is_quoted(&entry.value)),
        Value::List(items) => items.iter().any(is_quoted),
        Value::Scalar { text, .. } => text.contains(['"', '\\']),
    }
}

fn is_secret(key: &str) -> bool {
    // A property of NetworkManager's profiles is named with its section.
    let name = key.rsplit('.').next().unwrap_or(key);
    SECRET_WORDS.contains(&name)
        || SECRETS.iter().any(|part| key.contains(part)) && !SECRET_FILES.contains(&key)
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), json(&entry.value))).collect())
        }
        Value::List(items) => items.iter().map(json).collect(),
        Value::Scalar { .. } if node.is_null() => Json::Null,
        Value::Scalar { text, plain } => match text.as_str() {
            "true" if *plain => true.into(),
            "false" if *plain => false.into(),
            _ => {
                let number = text.parse::<Number>().ok();
                let number = number.filter(|number| *plain && number.to_string() == *text);
                number.map_or_else(|| text.as_str().into(), Json::Number)
            }
        },
    }
}

/// With a word in the place of every secret.
fn masked(node: &Node, is_hidden: bool) -> Json {
    match &node.value {
        Value::Map(entries) => {
            let entry =
                |entry: &Entry| (entry.key.clone(), masked(&entry.value, is_hidden || is_secret(&entry.key)));
            Json::Object(entries.iter().map(entry).collect())
        }
        Value::List(items) => items.iter().map(|item| masked(item, is_hidden)).collect(),
        Value::Scalar { .. } if is_hidden && !node.is_null() => HIDDEN_SECRET.into(),
        Value::Scalar { .. } => json(node),
    }
}

fn fill(node: &mut Node, known: Option<&Node>, path: &Path) -> Result<(), Path> {
    match &mut node.value {
        Value::Scalar { text, .. } if text == HIDDEN_SECRET => {
            let secret = known.filter(|known| matches!(known.value, Value::Scalar { .. }));
            node.value = secret.ok_or_else(|| path.clone())?.value.clone();
            Ok(())
        }
        Value::Scalar { .. } => Ok(()),
        Value::List(items) => {
            let of = counterparts(items, known);
            let mut each = items.iter_mut().zip(of).enumerate();
            each.try_for_each(|(index, (item, known))| fill(item, known, &path.index(index)))
        }
        Value::Map(entries) => entries.iter_mut().try_for_each(|entry| {
            let known = known.and_then(|known| known.get(&entry.key));
            fill(&mut entry.value, known, &path.key(&entry.key))
        }),
    }
}

/// Which item of a known list each item is in which a secret is hidden: the one that differs in its secrets only, in
/// whatever place. One that was changed is the one in its place, if all others are there.
fn counterparts<'a>(items: &[Node], known: Option<&'a Node>) -> Vec<Option<&'a Node>> {
    let known: &[Node] = match known.map(|known| &known.value) {
        Some(Value::List(known)) => known,
        _ => &[],
    };
    let is_as_long = items.len() == known.len();
    let of = |index: usize, item: &Node| {
        let fitting: Vec<usize> = (0..known.len()).filter(|other| hides(item, &known[*other])).collect();
        match &*fitting {
            [one] => Some(*one),
            several => (is_as_long && several.contains(&index)).then_some(index),
        }
    };
    let hidden: Vec<usize> = (0..items.len()).filter(|index| hides_any(&items[*index])).collect();
    let mut found: BTreeMap<usize, usize> =
        hidden.iter().filter_map(|index| Some((*index, of(*index, &items[*index])?))).collect();
    let mut lost = hidden.iter().filter(|index| !found.contains_key(index));
    if let (Some(changed), None, true) = (lost.next(), lost.next(), is_as_long)
        && !found.values().any(|other| other == changed)
    {
        found.insert(*changed, *changed);
    }
    (0..items.len()).map(|index| found.get(&index).map(|other| &known[*other])).collect()
}

fn hides_any(node: &Node) -> bool {
    match &node.value {
        Value::Scalar { text, .. } => text == HIDDEN_SECRET,
        Value::List(items) => items.iter().any(hides_any),
        Value::Map(entries) => entries.iter().any(|entry| hides_any(&entry.value)),
    }
}

/// Whether it is `known` with its secrets hidden.
fn hides(node: &Node, known: &Node) -> bool {
    match (&node.value, &known.value) {
        (Value::Scalar { text, .. }, Value::Scalar { .. }) => {
            text == HIDDEN_SECRET || json(node) == json(known)
        }
        (Value::List(items), Value::List(known)) => {
            items.len() == known.len() && items.iter().zip(known).all(|(item, known)| hides(item, known))
        }
        (Value::Map(entries), Value::Map(others)) => {
            entries.len() == others.len()
                && entries
                    .iter()
                    .all(|entry| known.get(&entry.key).is_some_and(|known| hides(&entry.value, known)))
        }
        _ => false,
    }
}

fn differences(
    path: &Path,
    before: Option<&Node>,
    after: Option<&Node>,
    is_hidden: bool,
    found: &mut Vec<NativeChange>,
) {
    if before.map(json) == after.map(json) {
        return;
    }
    let keys = |node: Option<&Node>| match node.map(|node| &node.value) {
        Some(Value::Map(entries)) => Some(entries.iter().map(|entry| entry.key.clone()).collect::<Vec<_>>()),
        Some(_) => None,
        None => Some(Vec::new()),
    };
    match (keys(before), keys(after)) {
        (Some(was), Some(is)) if !was.is_empty() || !is.is_empty() => {
            let new = is.iter().filter(|key| !was.contains(key));
            for key in was.iter().chain(new) {
                let of = |node: Option<&Node>| node.and_then(|node| node.get(key)).cloned();
                let (before, after) = (of(before), of(after));
                let is_hidden = is_hidden || is_secret(key);
                differences(&path.key(key), before.as_ref(), after.as_ref(), is_hidden, found);
            }
        }
        _ => {
            let shown = |node: Option<&Node>| node.map(|node| masked(node, is_hidden));
            found.push(NativeChange { path: path.clone(), before: shown(before), after: shown(after) });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::state::Document;

    fn native(yaml: &str) -> Native {
        let document = Document::from_text(yaml).expect("YAML");
        document.state().unwrap_or_else(|problems| panic!("{problems:?}")).0.network.expect("it is there")
    }

    #[test]
    fn it_is_kept_as_written_and_shows_no_secret() {
        let text = "network: {version: 2, ethernets: {eth0: {dhcp4: off, mtu: 0900, auth: {password: x, method: tls}}}}";
        let mut own = native(text);
        let shown = json!({"version": 2, "ethernets": {"eth0": {
            "dhcp4": "off", "mtu": "0900", "auth": {"password": HIDDEN_SECRET, "method": "tls"}}}});
        assert_eq!(serde_json::to_value(&own).expect("it prints"), shown);
        assert!(!format!("{own:?}").contains("\"x\""));
        let read = |json: &Json| {
            let mut reader = Reader::new();
            Native::read(&Node::from_json(json), &mut reader).expect("it is one")
        };
        assert_eq!(read(&own.to_json()), own);
        // What was shown can be asked for again.
        let mut again = read(&shown);
        assert_eq!(again.fill_secrets(Some(&own)), Ok(()));
        assert_eq!(again, own);
        let lost = read(&shown).fill_secrets(None).expect_err("nobody knows it");
        assert_eq!(lost.to_string(), "network.ethernets.eth0.auth.password");
        own.reveal();
        assert!(serde_json::to_string(&own).expect("it prints").contains("\"x\""));
    }

    #[test]
    fn a_secret_stays_with_what_it_belongs_to() {
        let peer = |address: &str, key: &str| json!({"allowed-ips": [address], "keys": {"public": key}});
        let with = |peers: &[Json]| {
            let text =
                json!({"network": {"tunnels": {"wg0": {"mode": "wireguard", "peers": peers}}}}).to_string();
            native(&text)
        };
        let (a, b) = (peer("192.0.2.1/32", "a"), peer("192.0.2.2/32", "b"));
        let hidden = |address: &str| peer(address, HIDDEN_SECRET);
        let (first, second) = (hidden("192.0.2.1/32"), hidden("192.0.2.2/32"));
        let known = with(&[a.clone(), b.clone()]);
        let filled = |peers: &[Json]| {
            let mut own = with(peers);
            own.fill_secrets(Some(&known)).map(|()| own).map_err(|path| path.to_string())
        };
        assert_eq!(
            filled(std::slice::from_ref(&second)),
            Ok(with(std::slice::from_ref(&b))),
            "the first is gone"
        );
        assert_eq!(filled(&[second.clone(), first.clone()]), Ok(with(&[b.clone(), a.clone()])));
        let changed = filled(&[first.clone(), hidden("192.0.2.3/32")]);
        assert_eq!(changed, Ok(with(&[a.clone(), peer("192.0.2.3/32", "b")])), "all others are there");
        let new = peer("192.0.2.4/32", "d");
        assert_eq!(filled(&[new.clone(), first.clone(), second]), Ok(with(&[new, a, b])));
        let lost = Err("network.tunnels.wg0.peers[1].keys.public".to_owned());
        assert_eq!(filled(&[first.clone(), hidden("192.0.2.3/32"), hidden("192.0.2.4/32")]), lost);
        assert_eq!(filled(&[first, hidden("192.0.2.3/32"), peer("192.0.2.4/32", "d")]), lost);
    }

    #[test]
    fn keys_of_secrets_are_known() {
        for secret in [
            "password",
            "client-key-password",
            "psk",
            "keys",
            "wireguard.private-key",
            "wireguard-peer.AbC+/=.preshared-key",
            "wifi-security.wep-key0",
            "wifi-security.psk",
            "macsec.mka-cak",
            "vpn-secrets.cert-pass",
            "gsm.pin",
            "802-1x.private-key-password",
            // Perhaps not only a path.
            "802-1x.private-key",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for open in ["client-key", "private-key", "key-management", "passthrough", "mtu"] {
            assert!(!is_secret(open), "{open}");
        }
    }

    #[test]
    fn what_is_no_mapping_of_netplans_is_refused() {
        for (text, because) in [
            ("network: 5", "network: expected a mapping, found `5`"),
            ("network: {version: 1}", "network.version: netplan knows version 2"),
            ("network: {bonds: {a: {}, a: {}}}", "network.bonds.a: key `a` is given twice"),
            (
                "network: {ethernets: {a: {auth: {identity: \"x\\nengine\"}}}}",
                "network.ethernets.a.auth.identity: a text with a control character",
            ),
            (
                "network: {ethernets: {a: {match: {driver: ['x\", PROGRAM=\"/tmp/x']}}}}",
                "network.ethernets.a.match: a text with a quotation mark or a backslash",
            ),
        ] {
            let problems = Document::from_text(text).and_then(|document| document.state());
            let problems = problems.expect_err("it is refused");
            assert_eq!(problems[0].to_string().split(" (").next(), Some(because), "{text}");
        }
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let before = native("network: {version: 2, ethernets: {eth0: {dhcp4: true, mtu: 1400}}}");
        let after =
            native("network: {version: 2, ethernets: {eth0: {dhcp4: false, addresses: [192.0.2.1/24]}}}");
        let changes: Vec<String> = Native::changes(Some(&before), Some(&after))
            .into_iter()
            .map(|NativeChange { path, before, after }| format!("{path} {before:?} {after:?}"))
            .collect();
        assert_eq!(
            changes,
            [
                "ethernets.eth0.dhcp4 Some(Bool(true)) Some(Bool(false))",
                "ethernets.eth0.mtu Some(Number(1400)) None",
                "ethernets.eth0.addresses None Some(Array [String(\"192.0.2.1/24\")])",
            ]
        );
        assert!(native("network: {version: 2}").is_empty() && !after.is_empty());
    }
}
