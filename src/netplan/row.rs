//! One row for each property: where it stands in a document and in a netdef, in both directions.
//!
//! Values of a document are JSON here, and those of netdefs are the text of their scalars, since that is
//! all that netplan looks at; so one table serves reading and writing.

use serde_json::{Map, Value as Json};

use super::{Renderer, Tree, Version};

/// A property of an interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// In a document, relative to the interface.
    pub path: &'static str,
    networkd: Place,
    network_manager: Place,
    form: Form,
    /// What it is while nobody says it. Not written unless somebody did.
    pub default: Option<&'static str>,
    /// Zero is no value to netplan.
    zero_is_unset: bool,
    /// Written only where it is, or was, asked for: the present value is the device's own.
    pub only_asked: bool,
    pub since: Version,
}

/// Where a renderer finds a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It has none.
    Nowhere,
    /// A key of the netdef, dotted.
    Key(&'static str),
    /// A property of NetworkManager's profile: `networkmanager.passthrough`.
    Pass(&'static str),
}

/// How a value of a document stands in a netdef.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Same,
    Not,
    /// A document's word, and netplan's.
    Words(&'static [(&'static str, &'static str)]),
    /// As `Words`; any other text stays as it is. What stands for an empty text has no word.
    OpenWords(&'static [(&'static str, &'static str)]),
    /// A text with commas, and a list.
    Commas,
    /// A list, and a text with commas.
    Joined,
}

/// The oldest version that is looked at.
const FIRST: Version = Version::new(0, 106, 0);

pub(super) const fn row(path: &'static str) -> Row {
    Row {
        path,
        networkd: Place::Nowhere,
        network_manager: Place::Nowhere,
        form: Form::Same,
        default: None,
        zero_is_unset: false,
        only_asked: false,
        since: FIRST,
    }
}

impl Row {
    pub(super) const fn key(self, key: &'static str) -> Self {
        Self { networkd: Place::Key(key), network_manager: Place::Key(key), ..self }
    }

    /// Of networkd alone.
    pub(super) const fn networkd(self, key: &'static str) -> Self {
        Self { networkd: Place::Key(key), ..self }
    }

    /// Of NetworkManager alone.
    pub(super) const fn network_manager(self, key: &'static str) -> Self {
        Self { network_manager: Place::Key(key), ..self }
    }

    pub(super) const fn pass(self, property: &'static str) -> Self {
        Self { network_manager: Place::Pass(property), ..self }
    }

    pub(super) const fn form(self, form: Form) -> Self {
        Self { form, ..self }
    }

    pub(super) const fn words(self, words: &'static [(&'static str, &'static str)]) -> Self {
        self.form(Form::Words(words))
    }

    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    pub(super) const fn zero_is_unset(self) -> Self {
        Self { zero_is_unset: true, ..self }
    }

    pub(super) const fn only_asked(self) -> Self {
        Self { only_asked: true, ..self }
    }

    pub(super) const fn since(self, major: u16, minor: u16) -> Self {
        Self { since: Version::new(major, minor, 0), ..self }
    }

    pub(super) fn place(&self, renderer: Renderer) -> Place {
        match renderer {
            Renderer::Networkd => self.networkd,
            Renderer::NetworkManager => self.network_manager,
        }
    }

    pub(super) fn is_default(&self, value: &Json) -> bool {
        self.default.is_some_and(|default| default == plain(value))
    }

    /// None: netplan has no such value.
    pub(super) fn encode(&self, value: &Json) -> Option<Json> {
        let value = self.form.encode(value)?;
        let is_zero = self.zero_is_unset && matches!(plain(&value).as_str(), "0" | "false");
        Some(value).filter(|_| !is_zero)
    }

    /// Whoever carries it out.
    pub(super) fn decode(&self, netdef: &Tree) -> Option<Json> {
        let found = [self.networkd, self.network_manager].into_iter().find_map(|place| match place {
            Place::Nowhere => None,
            Place::Key(key) => netdef.get(key),
            Place::Pass(property) => passed(netdef, property),
        });
        self.form.decode(found?)
    }
}

impl Form {
    fn encode(self, value: &Json) -> Option<Json> {
        Some(match self {
            Self::Same => value.clone(),
            Self::Not => Json::Bool(!value.as_bool()?),
            Self::Words(words) => {
                let text = plain(value);
                let (_, word) = words.iter().find(|(own, _)| *own == text)?;
                typed(word)
            }
            Self::OpenWords(words) => {
                let text = plain(value);
                let known = words.iter().find(|(own, _)| *own == text);
                let word = known.map_or(text.as_str(), |(_, word)| word);
                Some(word).filter(|word| !word.is_empty())?.into()
            }
            Self::Commas => value.as_str()?.split(',').map(|item| item.trim()).collect(),
            Self::Joined => plain(value).into(),
        })
    }

    fn decode(self, tree: &Tree) -> Option<Json> {
        Some(match self {
            Self::Same => match tree.flag().filter(|_| is_word_of_yaml(tree)) {
                Some(flag) => flag.into(),
                None => tree.text()?.into(),
            },
            Self::Not => Json::Bool(!tree.flag()?),
            Self::Words(words) => {
                let is = |word: &str| match tree.flag().filter(|_| matches!(word, "true" | "false")) {
                    Some(flag) => word == if flag { "true" } else { "false" },
                    None => tree.text() == Some(word),
                };
                let (own, _) = words.iter().find(|(_, word)| is(word))?;
                (*own).into()
            }
            Self::OpenWords(words) => {
                let text = tree.text()?;
                words.iter().find(|(_, word)| *word == text).map_or(text, |(own, _)| own).into()
            }
            Self::Commas => tree.texts().collect::<Vec<_>>().join(",").into(),
            Self::Joined => tree.text()?.split(',').map(|item| item.trim()).collect(),
        })
    }
}

/// `true` and `false` in netplan's other spellings, which a document does not know.
fn is_word_of_yaml(tree: &Tree) -> bool {
    tree.text()
        .is_some_and(|text| ["on", "off", "yes", "no"].iter().any(|word| word.eq_ignore_ascii_case(text)))
}

/// The text of a value, lists with commas.
pub(super) fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A word of a table as it looks best.
fn typed(word: &str) -> Json {
    match word {
        "true" => true.into(),
        "false" => false.into(),
        _ => word.parse::<u64>().map_or_else(|_| word.into(), Json::from),
    }
}

/// The value at a dotted path.
pub(super) fn at<'a>(value: &'a Json, path: &str) -> Option<&'a Json> {
    path.split('.').try_fold(value, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// Sets the value at a dotted path.
pub(super) fn put(map: &mut Map<String, Json>, path: &str, value: impl Into<Json>) {
    match path.split_once('.') {
        None => drop(map.insert(path.to_owned(), value.into())),
        Some((key, rest)) => {
            let inner = map.entry(key).or_insert_with(|| Map::new().into());
            if !inner.is_object() {
                *inner = Map::new().into();
            }
            put(inner.as_object_mut().expect("it was made one"), rest, value);
        }
    }
}

/// Sets a property of NetworkManager's profile.
pub(super) fn pass(map: &mut Map<String, Json>, property: &str, value: &Json) {
    let manager = map.entry("networkmanager").or_insert_with(|| Map::new().into());
    if let Some(manager) = manager.as_object_mut() {
        let passed = manager.entry("passthrough").or_insert_with(|| Map::new().into());
        if let Some(passed) = passed.as_object_mut() {
            passed.insert(property.to_owned(), plain(value).into());
        }
    }
}

/// Takes a property of NetworkManager's profile out, and with the last what was around it.
pub(super) fn unpass(map: &mut Map<String, Json>, property: &str) {
    let Some(Json::Object(manager)) = map.get_mut("networkmanager") else { return };
    if let Some(Json::Object(passed)) = manager.get_mut("passthrough") {
        passed.remove(property);
        if passed.is_empty() {
            manager.remove("passthrough");
        }
    }
    if manager.is_empty() {
        map.remove("networkmanager");
    }
}

/// A property of NetworkManager's profile; its name holds dots.
pub(super) fn passed<'a>(netdef: &'a Tree, property: &str) -> Option<&'a Tree> {
    netdef.get("networkmanager.passthrough")?.keys()?.get(property)
}
