//! Values, settings and profiles of NetworkManager as plain data (nm-settings-dbus(5)).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A value of a property, with its D-Bus type.
///
/// The forms that settings use have a variant each; what has none travels unchanged in
/// [`Value::Other`], as NetworkManager gave it. Serialised (in checkpoints), it keeps its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `q`
    U16(u16),
    /// `i`
    I32(i32),
    /// `u`
    U32(u32),
    /// `x`
    I64(i64),
    /// `t`
    U64(u64),
    /// `s`
    Text(String),
    /// `ay`
    Bytes(Vec<u8>),
    /// `as`
    Texts(Vec<String>),
    /// `au`
    Numbers(Vec<u32>),
    /// `a{ss}`
    Map(BTreeMap<String, String>),
    /// `a{sv}`
    Dict(Setting),
    /// `aa{sv}`
    Dicts(Vec<Setting>),
    /// Any other type: its signature, and its encoding as a variant (D-Bus, little endian).
    Other { signature: String, bytes: Vec<u8> },
}

/// The properties of one setting, or one entry of a list such as `route-data`.
pub type Setting = BTreeMap<String, Value>;

/// The settings of a profile: `a{sa{sv}}`.
///
/// Absent properties have NetworkManager's default.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(pub BTreeMap<String, Setting>);

impl Profile {
    pub fn get(&self, setting: &str, property: &str) -> Option<&Value> {
        self.0.get(setting)?.get(property)
    }

    pub fn has(&self, setting: &str) -> bool {
        self.0.contains_key(setting)
    }

    pub fn set(&mut self, setting: &str, property: &str, value: impl Into<Value>) {
        self.0.entry(setting.to_owned()).or_default().insert(property.to_owned(), value.into());
    }

    /// Sets it, or returns it to its default.
    pub fn put(&mut self, setting: &str, property: &str, value: Option<impl Into<Value>>) {
        match value {
            Some(value) => self.set(setting, property, value),
            None => self.unset(setting, property),
        }
    }

    pub fn unset(&mut self, setting: &str, property: &str) {
        if let Some(setting) = self.0.get_mut(setting) {
            setting.remove(property);
        }
    }

    pub fn text(&self, setting: &str, property: &str) -> Option<&str> {
        self.get(setting, property)?.as_text()
    }

    pub fn uuid(&self) -> Option<&str> {
        self.text("connection", "uuid")
    }

    /// The name under which people know it.
    pub fn id(&self) -> Option<&str> {
        self.text("connection", "id")
    }

    /// `connection.type`, the name of its base setting.
    pub fn kind(&self) -> Option<&str> {
        self.text("connection", "type")
    }

    pub fn interface_name(&self) -> Option<&str> {
        self.text("connection", "interface-name")
    }
}

impl Value {
    /// Whether it is a list or mapping without entries: NetworkManager gives some of them back
    /// where nothing was said.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(list) => list.is_empty(),
            Self::Texts(list) => list.is_empty(),
            Self::Numbers(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Dict(dict) => dict.is_empty(),
            Self::Dicts(list) => list.is_empty(),
            _ => false,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_texts(&self) -> Option<&[String]> {
        match self {
            Self::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    pub fn as_dicts(&self) -> Option<&[Setting]> {
        match self {
            Self::Dicts(dicts) => Some(dicts),
            _ => None,
        }
    }

    /// Any of the numbers, also a boolean.
    pub fn as_number(&self) -> Option<i128> {
        match self {
            Self::Bool(value) => Some(i128::from(*value)),
            Self::Byte(value) => Some(i128::from(*value)),
            Self::U16(value) => Some(i128::from(*value)),
            Self::I32(value) => Some(i128::from(*value)),
            Self::U32(value) => Some(i128::from(*value)),
            Self::I64(value) => Some(i128::from(*value)),
            Self::U64(value) => Some(i128::from(*value)),
            _ => None,
        }
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from! {
    bool => Bool, u8 => Byte, u16 => U16, i32 => I32, u32 => U32, i64 => I64, u64 => U64,
    &str => Text, String => Text, Vec<u8> => Bytes, &[u8] => Bytes, Vec<String> => Texts,
    BTreeMap<String, String> => Map, Setting => Dict, Vec<Setting> => Dicts,
}
