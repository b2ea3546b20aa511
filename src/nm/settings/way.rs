//! One description of a setting, gone in either direction.
//!
//! The properties of a setting are listed once, by a function that takes a [`Way`] and a section of
//! the document: reading fills the section, writing fills the setting.

use std::net::IpAddr;

use super::Wish;
use crate::nm::{Profile, Setting, Value};
use crate::state::{Interface, Mac, Secret};

/// Which way values go.
pub(super) enum Way<'a> {
    /// From the profile to the document.
    Read(&'a Setting),
    /// From the document to the profile; what the document does not mention stays.
    Overlay(&'a mut Setting),
    /// From the document to the profile; what the document does not mention goes to its default.
    Replace(&'a mut Setting),
}

/// How a value of the document stands in a property.
pub(super) trait Form<T> {
    /// None: it is said by the property's absence.
    fn encode(&self, value: &T) -> Option<Value>;
    fn decode(&self, value: &Value) -> Option<T>;
}

/// Goes from the document to a setting. A setting that was not there and gets no property is not
/// made: its presence alone means something to NetworkManager.
pub(super) fn write(profile: &mut Profile, setting: &str, go: impl FnOnce(&mut Setting)) {
    let was_there = profile.has(setting);
    let properties = profile.0.entry(setting.to_owned()).or_default();
    go(properties);
    if properties.is_empty() && !was_there {
        profile.0.remove(setting);
    }
}

/// Goes from a setting to the document, if the profile has it.
pub(super) fn read<T>(
    profile: &Profile,
    setting: &str,
    mut section: T,
    go: fn(Way<'_>, &mut T),
) -> Option<T> {
    go(Way::Read(profile.0.get(setting)?), &mut section);
    Some(section)
}

/// Goes through a section that describes one thing: what it does not mention goes to its default
/// (semantics M62).
pub(super) fn write_whole<T: Clone>(
    profile: &mut Profile,
    wish: &Wish<'_>,
    setting: &str,
    of: impl Fn(&Interface) -> Option<&T>,
    go: fn(Way<'_>, &mut T),
) {
    if (wish.is_new || of(wish.said).is_some())
        && let Some(section) = of(wish.interface)
    {
        write(profile, setting, |setting| go(Way::Replace(setting), &mut section.clone()));
    }
}

/// Goes through a section key by key: what it does not mention stays.
pub(super) fn write_keys<T: Clone>(
    profile: &mut Profile,
    wish: &Wish<'_>,
    setting: &str,
    of: impl Fn(&Interface) -> Option<&T>,
    go: fn(Way<'_>, &mut T),
) {
    if let Some(section) = of(if wish.is_new { wish.interface } else { wish.said }) {
        write(profile, setting, |setting| go(Way::Overlay(setting), &mut section.clone()));
    }
}

/// Takes properties out of a setting, and the setting away with the last one unless the profile is
/// based on it.
pub(super) fn remove(profile: &mut Profile, setting: &str, properties: &[&str]) {
    let is_base = profile.kind() == Some(setting);
    if let Some(present) = profile.0.get_mut(setting) {
        let before = present.len();
        present.retain(|property, _| !properties.contains(&property.as_str()));
        if present.is_empty() && before > 0 && !is_base {
            profile.0.remove(setting);
        }
    }
}

impl Way<'_> {
    /// A property that is not mentioned when it is absent.
    pub(super) fn field<T: Clone + PartialEq>(
        &mut self,
        property: &str,
        form: impl Form<T>,
        slot: &mut Option<T>,
    ) {
        self.go(property, &form, None, slot);
    }

    /// A property whose absence means a value. NetworkManager leaves out what has its default, so
    /// that value is not written where it is absent.
    pub(super) fn field_or<T: Clone + PartialEq>(
        &mut self,
        property: &str,
        form: impl Form<T>,
        default: T,
        slot: &mut Option<T>,
    ) {
        self.go(property, &form, Some(default), slot);
    }

    /// As [`Way::field_or`], of a key that the section always has.
    pub(super) fn must<T: Clone + PartialEq>(
        &mut self,
        property: &str,
        form: impl Form<T>,
        default: T,
        slot: &mut T,
    ) {
        let mut given = Some(slot.clone());
        self.go(property, &form, Some(default), &mut given);
        if let Some(value) = given {
            *slot = value;
        }
    }

    /// A secret. The text that hides one means: as it is. It is stored in the profile itself
    /// (NM_SETTING_SECRET_FLAG_NONE), whatever was said of it before.
    pub(super) fn secret(&mut self, property: &str, slot: &mut Option<Secret>) {
        if self.is_read() || !slot.as_ref().is_some_and(Secret::is_placeholder) {
            self.field(property, SecretText, slot);
        }
        if let Self::Overlay(setting) | Self::Replace(setting) = self
            && setting.contains_key(property)
        {
            setting.remove(&format!("{property}-flags"));
        }
    }

    pub(super) fn is_read(&self) -> bool {
        matches!(self, Self::Read(_))
    }

    fn go<T: Clone + PartialEq>(
        &mut self,
        property: &str,
        form: &impl Form<T>,
        default: Option<T>,
        slot: &mut Option<T>,
    ) {
        let decode = |setting: &Setting| setting.get(property).and_then(|value| form.decode(value));
        let is_whole = matches!(self, Self::Replace(_));
        match self {
            Self::Read(setting) => {
                if let Some(value) = decode(setting).or(default) {
                    *slot = Some(value);
                }
            }
            Self::Overlay(setting) | Self::Replace(setting) => {
                let Some(wanted) = slot else {
                    if is_whole && !setting.get(property).is_some_and(Value::is_empty) {
                        setting.remove(property);
                    }
                    return;
                };
                // Compared as it would be read back: order and spelling may be another.
                let value = form.encode(wanted);
                let meaning = value.as_ref().and_then(|value| form.decode(value)).or(default.clone());
                if decode(setting).or(default) != meaning {
                    put(setting, property, value);
                }
            }
        }
    }
}

/// Sets a property, or returns it to its default.
pub(super) fn put(setting: &mut Setting, property: &str, value: Option<impl Into<Value>>) {
    match value {
        Some(value) => setting.insert(property.to_owned(), value.into()),
        None => setting.remove(property),
    };
}

/// `b`
pub(super) struct Bool;

impl Form<bool> for Bool {
    fn encode(&self, value: &bool) -> Option<Value> {
        Some((*value).into())
    }

    fn decode(&self, value: &Value) -> Option<bool> {
        value.as_number().map(|number| number != 0)
    }
}

/// A boolean as `i`: 1 and 0, and -1 for the default.
pub(super) struct Ternary;

impl Form<bool> for Ternary {
    fn encode(&self, value: &bool) -> Option<Value> {
        Some(i32::from(*value).into())
    }

    fn decode(&self, value: &Value) -> Option<bool> {
        match value.as_number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

/// A boolean as `u`: 1 and 0.
pub(super) struct BoolAsU32;

impl Form<bool> for BoolAsU32 {
    fn encode(&self, value: &bool) -> Option<Value> {
        Some(u32::from(*value).into())
    }

    fn decode(&self, value: &Value) -> Option<bool> {
        Bool.decode(value)
    }
}

macro_rules! number {
    ($(#[doc = $doc:literal] $form:ident as $wire:ty;)*) => { $(
        #[doc = $doc]
        pub(super) struct $form;

        /// A number that the property's type cannot hold is not written; the document's ranges
        /// are checked before.
        impl<T: Copy + TryFrom<i128> + TryInto<$wire>> Form<T> for $form {
            fn encode(&self, value: &T) -> Option<Value> {
                (*value).try_into().ok().map(<$wire>::into)
            }

            fn decode(&self, value: &Value) -> Option<T> {
                value.as_number().and_then(|number| T::try_from(number).ok())
            }
        }
    )* };
}

number! {
    /// `i`
    I32 as i32;
    /// `u`
    U32 as u32;
    /// `t`
    U64 as u64;
}

/// `s`; empty text is no text.
pub(super) struct Text;

impl Form<String> for Text {
    fn encode(&self, value: &String) -> Option<Value> {
        (!value.is_empty()).then(|| value.as_str().into())
    }

    fn decode(&self, value: &Value) -> Option<String> {
        value.as_text().map(str::to_owned)
    }
}

/// `s`
struct SecretText;

impl Form<Secret> for SecretText {
    fn encode(&self, value: &Secret) -> Option<Value> {
        Some(value.expose().into())
    }

    fn decode(&self, value: &Value) -> Option<Secret> {
        value.as_text().map(Secret::new)
    }
}

/// An IP address as `s`; the unspecified one is none.
pub(super) struct Address;

impl Form<IpAddr> for Address {
    fn encode(&self, value: &IpAddr) -> Option<Value> {
        (!value.is_unspecified()).then(|| value.to_string().into())
    }

    fn decode(&self, value: &Value) -> Option<IpAddr> {
        value.as_text()?.parse().ok()
    }
}

/// A MAC address as `ay`.
pub(super) struct MacBytes;

impl Form<Mac> for MacBytes {
    fn encode(&self, value: &Mac) -> Option<Value> {
        Some(value.bytes().into())
    }

    fn decode(&self, value: &Value) -> Option<Mac> {
        Mac::new(value.as_bytes()?)
    }
}

/// A word as `s`, in NetworkManager's spelling.
pub(super) struct Words<T: 'static>(pub(super) &'static [(T, &'static str)]);

impl<T: Copy + PartialEq> Form<T> for Words<T> {
    fn encode(&self, value: &T) -> Option<Value> {
        let (_, word) = self.0.iter().find(|(known, _)| known == value)?;
        Some((*word).into())
    }

    fn decode(&self, value: &Value) -> Option<T> {
        let text = value.as_text()?;
        self.0.iter().find(|(_, word)| word.eq_ignore_ascii_case(text)).map(|(value, _)| *value)
    }
}

/// A word as a number, `u`.
pub(super) struct Numbered<T: 'static>(pub(super) &'static [(T, u32)]);

impl<T: Copy + PartialEq> Form<T> for Numbered<T> {
    fn encode(&self, value: &T) -> Option<Value> {
        self.0.iter().find(|(known, _)| known == value).map(|(_, number)| (*number).into())
    }

    fn decode(&self, value: &Value) -> Option<T> {
        let number = value.as_number()?;
        self.0.iter().find(|(_, known)| i128::from(*known) == number).map(|(value, _)| *value)
    }
}

/// A word as a number, `i`.
pub(super) struct NumberedI32<T: 'static>(pub(super) &'static [(T, i32)]);

impl<T: Copy + PartialEq> Form<T> for NumberedI32<T> {
    fn encode(&self, value: &T) -> Option<Value> {
        self.0.iter().find(|(known, _)| known == value).map(|(_, number)| (*number).into())
    }

    fn decode(&self, value: &Value) -> Option<T> {
        let number = value.as_number()?;
        self.0.iter().find(|(_, known)| i128::from(*known) == number).map(|(value, _)| *value)
    }
}
