//! The JSON Schema of a document (draft 2020-12), made from the declarations of the sections.
//!
//! It is as lenient as the reader: numbers and booleans may be text, an optional key may be null.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::sections::misplaced_keys;
use super::{
    FieldInfo, Interface, InterfaceType, LinuxBridge, Mode, OvsBridge, Part, SectionInfo, Shape, State,
};

/// The schema of a state document.
pub fn json_schema() -> Json {
    let mut sections = Sections::default();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Network state",
    });
    let root = sections.object(&State::INFO, |_| true);
    merge(&mut schema, root);
    merge(&mut schema, json!({"additionalProperties": false, "$defs": sections.definitions}));
    schema
}

/// Sections met so far, by name.
#[derive(Default)]
struct Sections {
    definitions: BTreeMap<&'static str, Json>,
}

impl Sections {
    /// A reference to the definition of a section, which is made if it is new.
    fn reference(&mut self, info: &'static SectionInfo) -> Json {
        if !self.definitions.contains_key(info.name) {
            // Kept free while it is made, so that a section may hold itself.
            self.definitions.insert(info.name, Json::Null);
            let definition = if info.name == Interface::INFO.name {
                self.interface()
            } else {
                let mut object = self.object(info, |_| true);
                merge(&mut object, json!({"additionalProperties": false}));
                object
            };
            self.definitions.insert(info.name, definition);
        }
        json!({"$ref": format!("#/$defs/{}", info.name)})
    }

    /// An interface: the keys of its type's sections are allowed by that type only; entries of
    /// unknown type and absent ones may hold anything (schema 3.3, 6.20).
    fn interface(&mut self) -> Json {
        let mut object = self.object(&Interface::INFO, Interface::is_common_key);
        let mut rules = vec![json!({
            "if": {"properties": {"state": {"const": "absent"}}, "required": ["state"]},
            "then": {"additionalProperties": true},
        })];
        let read: Vec<_> = InterfaceType::known().filter(|kind| !kind.is_uninterpreted()).collect();
        let read_words: Vec<&str> = read.iter().map(InterfaceType::word).collect();
        rules.push(json!({
            "if": {"not": {"properties": {"type": {"enum": read_words}}, "required": ["type"]}},
            "then": {"additionalProperties": true},
        }));
        for kind in &read {
            let keys = kind.section_keys();
            if keys.is_empty() {
                continue;
            }
            let mut properties = Map::new();
            for field in Interface::INFO.fields.iter().filter(|field| keys.contains(&field.key)) {
                let shape = match kind {
                    InterfaceType::LinuxBridge => LinuxBridge::shape(),
                    InterfaceType::OvsBridge => OvsBridge::shape(),
                    _ => (field.shape)(),
                };
                self.property(field, shape, &mut properties);
            }
            rules.push(json!({
                "if": {"properties": {"type": {"const": kind.word()}}, "required": ["type"]},
                "then": {"properties": properties},
            }));
        }
        merge(&mut object, json!({"allOf": rules, "unevaluatedProperties": false}));
        object
    }

    fn object(&mut self, info: &'static SectionInfo, wanted: impl Fn(&str) -> bool) -> Json {
        let mut properties = Map::new();
        for field in info.fields.iter().filter(|field| wanted(field.key)) {
            self.property(field, (field.shape)(), &mut properties);
        }
        let required: Vec<&str> = info.fields.iter().filter(|f| f.required).map(|f| f.key).collect();
        let mut object = json!({"description": info.text(), "type": "object", "properties": properties});
        if !required.is_empty() {
            merge(&mut object, json!({"required": required}));
        }
        object
    }

    /// Adds a key and its aliases.
    fn property(&mut self, field: &'static FieldInfo, shape: Shape, properties: &mut Map<String, Json>) {
        let mut value = self.shape(&shape);
        if field.key == "ipv4" || field.key == "ipv6" {
            let (_, refused) = misplaced_keys(field.key == "ipv6");
            let refused: Map<String, Json> =
                refused.iter().map(|key| ((*key).into(), false.into())).collect();
            merge(&mut value, json!({"properties": refused}));
        }
        if !field.required {
            value = or_null(value);
        }
        for name in field.names() {
            let mut property = value.clone();
            let text = if name == field.key { field.text() } else { format!("Same as `{}`.", field.key) };
            merge(&mut property, json!({"description": text}));
            match field.mode {
                Mode::ReadWrite => {}
                Mode::ReadOnly => merge(&mut property, json!({"readOnly": true})),
                Mode::WriteOnly => merge(&mut property, json!({"writeOnly": true})),
            }
            properties.insert(name.to_owned(), property);
        }
    }

    fn shape(&mut self, shape: &Shape) -> Json {
        match shape {
            Shape::Bool => json!({"anyOf": [
                {"type": "boolean"},
                {"enum": [0, 1]},
                {"type": "string", "pattern": any_case(&["true", "yes", "on", "y", "1", "false", "no", "off", "n", "0"])},
            ]}),
            Shape::Integer { min, max } => {
                let sign = if *min < 0 { "[-+]?" } else { "\\+?" };
                json!({"anyOf": [
                    {"type": "integer", "minimum": number(*min), "maximum": number(*max)},
                    {"type": "string", "pattern": format!("^({sign}[0-9]+|0x[0-9a-fA-F]+)$")},
                ]})
            }
            Shape::Text => json!({"type": ["string", "number", "boolean"]}),
            Shape::Address => json!({"type": "string", "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]}),
            Shape::Ipv6Address => json!({"type": "string", "format": "ipv6"}),
            Shape::Net => json!({"type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]+)?$"}),
            Shape::Mac => {
                json!({"type": "string", "pattern": "^[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){0,31}$"})
            }
            Shape::PciAddress => {
                json!({"type": "string", "pattern": "^([0-9a-fA-F]+:)?[0-9a-fA-F]+:[0-9a-fA-F]+\\.[0-9]+$"})
            }
            Shape::Secret => json!({"type": ["string", "number", "boolean"], "format": "password"}),
            Shape::Words { words, aliases, open, .. } => {
                let spelled = words.iter().chain(*aliases).map(|word| Json::from(*word));
                let numbers = aliases.iter().filter_map(|alias| alias.parse::<u64>().ok()).map(Json::from);
                let words = json!({"enum": spelled.chain(numbers).collect::<Vec<_>>()});
                if *open {
                    json!({"anyOf": [words, {"type": ["string", "number", "boolean"]}]})
                } else {
                    words
                }
            }
            Shape::List(item) => json!({"type": "array", "items": self.shape(item)}),
            Shape::Table(value) => json!({"type": "object", "additionalProperties": self.shape(value)}),
            Shape::Section(info) => self.reference(info),
            Shape::Either(forms) => {
                json!({"anyOf": forms.iter().map(|form| self.shape(form)).collect::<Vec<_>>()})
            }
            Shape::Null => json!({"type": "null"}),
            Shape::Anything => json!({}),
        }
    }
}

/// JSON has no 128-bit numbers; every limit fits one of the two 64-bit kinds.
fn number(limit: i128) -> Json {
    i64::try_from(limit).map(Json::from).or_else(|_| u64::try_from(limit).map(Json::from)).unwrap_or_default()
}

/// A pattern for words in any letter case; patterns have no flag for that.
fn any_case(words: &[&str]) -> String {
    let letter = |c: char| match c.is_ascii_alphabetic() {
        true => format!("[{}{}]", c.to_ascii_uppercase(), c),
        false => c.to_string(),
    };
    let words: Vec<String> = words.iter().map(|word| word.chars().map(letter).collect()).collect();
    format!("^({})$", words.join("|"))
}

fn or_null(value: Json) -> Json {
    match &value {
        Json::Object(map) if map.is_empty() => value,
        _ => json!({"anyOf": [value, {"type": "null"}]}),
    }
}

/// Adds the keys of one object to another.
fn merge(object: &mut Json, more: Json) {
    if let (Json::Object(object), Json::Object(more)) = (object, more) {
        object.extend(more);
    }
}
