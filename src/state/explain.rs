//! What a key of the document means, for a person who asks.

use std::fmt;

use super::part::one_line;
use super::{FieldInfo, Interface, InterfaceType, Mode, Part, SectionInfo, Shape, State, nearest};

/// What is known about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Where it stands, as `interfaces[].vlan.id`.
    pub path: String,
    /// What it means.
    pub text: String,
    /// What may stand there, in words.
    pub value: String,
    pub aliases: Vec<&'static str>,
    /// The words that may stand there, with what they mean; with `is_open` any other text too.
    pub words: Vec<(&'static str, String)>,
    pub is_open: bool,
    pub is_required: bool,
    pub is_read_only: bool,
    pub is_write_only: bool,
    /// The types of interface that have this section; empty where every type has it.
    pub types: Vec<&'static str>,
    /// The keys below it.
    pub keys: Vec<KeySummary>,
}

/// One key in the list of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySummary {
    pub key: &'static str,
    pub value: String,
    pub text: String,
    pub is_required: bool,
}

/// The keys that `path` names: from the root as `interfaces.ipv4.address.ip`, or the end of a path
/// as `address.ip` or `mtu`, which may name several. `[]` and list positions are skipped; an empty
/// path names the whole document. If nothing fits, the nearest key is the hint.
pub fn explain(path: &str) -> Result<Vec<Explanation>, Option<String>> {
    let path = without_positions(path);
    if path.is_empty() {
        return Ok(vec![Place::root().explanation()]);
    }
    let mut all = Vec::new();
    Place::root().each_below(&mut all);
    let found: Vec<Explanation> = {
        let from_root = all.iter().filter(|place| place.is_named(&path, true));
        let mut found: Vec<Explanation> = from_root.map(Place::explanation).collect();
        if found.is_empty() {
            let by_end = all.iter().filter(|place| place.is_named(&path, false));
            found = by_end.map(Place::explanation).collect();
        }
        found
    };
    if found.is_empty() {
        let last = path.rsplit('.').next().unwrap_or(&path);
        let keys = all.iter().filter_map(|place| place.fields.last()).flat_map(|field| field.names());
        return Err(nearest(last, keys).map(str::to_owned));
    }
    Ok(found)
}

fn without_positions(path: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    for c in path.trim().trim_matches('.').chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// A key with the keys that lead to it.
#[derive(Clone)]
struct Place {
    fields: Vec<&'static FieldInfo>,
    /// The path with `[]` behind lists.
    path: String,
    types: Vec<&'static str>,
}

impl Place {
    fn root() -> Self {
        Self { fields: Vec::new(), path: String::new(), types: Vec::new() }
    }

    fn shape(&self) -> Shape {
        self.fields.last().map_or_else(State::shape, |field| (field.shape)())
    }

    /// Every key below this one. Keys that differ by the interface's type come once for each.
    fn each_below(&self, all: &mut Vec<Self>) {
        for info in self.shape().sections() {
            for field in info.fields {
                let dot = if self.path.is_empty() { "" } else { "." };
                let brackets = if matches!((field.shape)(), Shape::List(_)) { "[]" } else { "" };
                let types = if self.types.is_empty() { types_of(info, field) } else { self.types.clone() };
                let place = Self {
                    fields: self.fields.iter().copied().chain([field]).collect(),
                    path: format!("{}{dot}{}{brackets}", self.path, field.key),
                    types: if info.name == "LinuxBridge" {
                        vec!["linux-bridge"]
                    } else if info.name == "OvsBridge" {
                        vec!["ovs-bridge"]
                    } else {
                        types
                    },
                };
                all.push(place.clone());
                place.each_below(all);
            }
        }
    }

    /// Whether the dotted text names this key, in any accepted spelling. Keys may hold dots, so the
    /// text is eaten from its end.
    fn is_named(&self, text: &str, from_root: bool) -> bool {
        fn eat(fields: &[&FieldInfo], text: &str, from_root: bool) -> bool {
            let Some((last, before)) = fields.split_last() else { return false };
            last.names().any(|name| match text.strip_suffix(name) {
                Some("") => !from_root || before.is_empty(),
                Some(rest) => rest.strip_suffix('.').is_some_and(|rest| eat(before, rest, from_root)),
                None => false,
            })
        }
        eat(&self.fields, text, from_root)
    }

    fn explanation(&self) -> Explanation {
        let field = self.fields.last();
        let shape = self.shape();
        let (words, is_open) = words(&shape);
        let summary = |field: &FieldInfo| KeySummary {
            key: field.key,
            value: value((field.shape)()),
            text: field.text(),
            is_required: field.required,
        };
        Explanation {
            path: if self.path.is_empty() { "(document)".into() } else { self.path.clone() },
            text: field.map_or_else(|| State::INFO.text(), |field| field.text()),
            value: value(self.shape()),
            aliases: field.map(|field| field.aliases.to_vec()).unwrap_or_default(),
            words,
            is_open,
            is_required: field.is_some_and(|field| field.required),
            is_read_only: field.is_some_and(|field| field.mode == Mode::ReadOnly),
            is_write_only: field.is_some_and(|field| field.mode == Mode::WriteOnly),
            types: self.types.clone(),
            keys: shape.sections().iter().flat_map(|info| info.fields).map(summary).collect(),
        }
    }
}

/// The types of interface that a key of the section `info` is for.
fn types_of(info: &SectionInfo, field: &FieldInfo) -> Vec<&'static str> {
    if info.name != Interface::INFO.name || Interface::is_common_key(field.key) {
        return Vec::new();
    }
    let has = |word: &&&str| InterfaceType::from_word(word).section_keys().contains(&field.key);
    InterfaceType::WORDS.iter().filter(has).copied().collect()
}

fn words(shape: &Shape) -> (Vec<(&'static str, String)>, bool) {
    match shape {
        Shape::Words { words, docs, open, .. } => {
            let docs = docs.iter().map(|doc| one_line(doc)).chain(std::iter::repeat(String::new()));
            (words.iter().copied().zip(docs).collect(), *open)
        }
        Shape::Either(forms) => {
            forms.iter().map(words).find(|(words, _)| !words.is_empty()).unwrap_or_default()
        }
        Shape::List(item) => words(item),
        _ => (Vec::new(), false),
    }
}

/// What may stand somewhere, in words.
fn value(shape: Shape) -> String {
    match shape {
        Shape::Bool => "boolean".into(),
        Shape::Integer { min, max } => format!("number from {min} to {max}"),
        Shape::Text => "text".into(),
        Shape::Address => "IP address".into(),
        Shape::Ipv6Address => "IPv6 address".into(),
        Shape::Net => "network as `192.0.2.0/24`".into(),
        Shape::Mac => "MAC address".into(),
        Shape::PciAddress => "PCI address".into(),
        Shape::Secret => "secret text".into(),
        Shape::Words { open: false, .. } => "word".into(),
        Shape::Words { open: true, .. } => "word or text".into(),
        Shape::List(item) => format!("list of {}", plural(*item)),
        Shape::Table(item) => format!("mapping of any key to {}", value(*item)),
        Shape::Section(_) => "mapping".into(),
        Shape::Either(forms) => {
            let mut forms: Vec<String> = forms.into_iter().map(value).collect();
            forms.dedup();
            forms.join(" or ")
        }
        Shape::Null => "null".into(),
        Shape::Anything => "anything".into(),
    }
}

fn plural(item: Shape) -> String {
    match item {
        Shape::Text => "texts".into(),
        Shape::Address => "IP addresses".into(),
        Shape::Ipv6Address => "IPv6 addresses".into(),
        Shape::Words { .. } => "words".into(),
        Shape::Section(_) => "mappings".into(),
        other => value(other),
    }
}

/// For a terminal: path and value, text, then what else there is to know.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.is_required { ", mandatory" } else { "" };
        writeln!(f, "{}: {}{required}", self.path, self.value)?;
        if !self.text.is_empty() {
            writeln!(f, "  {}", self.text)?;
        }
        if self.is_read_only {
            writeln!(f, "  Only shown: an apply ignores it.")?;
        }
        if self.is_write_only {
            writeln!(f, "  Only for an apply: it is never shown.")?;
        }
        for (what, list) in [("Also written", &self.aliases), ("For interfaces of type", &self.types)] {
            if !list.is_empty() {
                let spelled = list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
                writeln!(f, "  {what}: {spelled}")?;
            }
        }
        let width = self.words.iter().map(|(word, _)| word.len()).max().unwrap_or_default();
        for (word, text) in &self.words {
            writeln!(f, "  - {}", format!("{word:width$}  {text}").trim_end())?;
        }
        if self.is_open {
            writeln!(f, "  - or any other text")?;
        }
        let width = self.keys.iter().map(|key| key.key.len()).max().unwrap_or_default();
        for KeySummary { key, value, text, is_required } in &self.keys {
            let star = if *is_required { "*" } else { " " };
            writeln!(f, "  {star} {key:width$}  {text} [{value}]")?;
        }
        Ok(())
    }
}
