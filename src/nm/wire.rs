//! Values and profiles as they travel on D-Bus, without loss in either direction.

use std::collections::BTreeMap;

use zbus::wire::serialized::{Context, Data};
use zbus::wire::{LE, to_bytes};
use zbus::{Array, Dict, OwnedVariant, Signature, Variant};

use super::{Error, Profile, Setting, Value};

/// `a{sv}` as it is sent.
pub(super) type WireSetting<'a> = BTreeMap<&'a str, Variant<'a>>;
/// `a{sa{sv}}` as it is sent.
pub(super) type WireProfile<'a> = BTreeMap<&'a str, WireSetting<'a>>;
/// `a{sv}` as it comes.
pub(super) type Received = BTreeMap<String, OwnedVariant>;

/// How values without a variant of their own are kept.
fn kept() -> Context {
    Context::new(LE, 0)
}

pub(super) fn write_profile(profile: &Profile) -> Result<WireProfile<'_>, Error> {
    profile.0.iter().map(|(name, setting)| Ok((name.as_str(), write_setting(setting)?))).collect()
}

pub(super) fn write_setting(setting: &Setting) -> Result<WireSetting<'_>, Error> {
    setting.iter().map(|(name, value)| Ok((name.as_str(), write(value)?))).collect()
}

pub(super) fn read_profile(settings: BTreeMap<String, Received>) -> Result<Profile, Error> {
    let read = |(name, setting)| Ok((name, read_setting(setting)?));
    settings.into_iter().map(read).collect::<Result<_, _>>().map(Profile)
}

pub(super) fn read_setting(setting: Received) -> Result<Setting, Error> {
    setting.into_iter().map(|(name, value)| Ok((name, read(&value)?))).collect()
}

/// A value as it is sent. Fails only for a [`Value::Other`] that did not come from [`read`].
pub(super) fn write(value: &Value) -> Result<Variant<'_>, Error> {
    Ok(match value {
        Value::Bool(value) => Variant::Bool(*value),
        Value::Byte(value) => Variant::U8(*value),
        Value::U16(value) => Variant::U16(*value),
        Value::I32(value) => Variant::I32(*value),
        Value::U32(value) => Variant::U32(*value),
        Value::I64(value) => Variant::I64(*value),
        Value::U64(value) => Variant::U64(*value),
        Value::Text(text) => Variant::from(text.as_str()),
        Value::Bytes(bytes) => Variant::Array(Array::from(bytes.as_slice())),
        Value::Texts(texts) => Variant::Array(Array::from(texts)),
        Value::Numbers(numbers) => Variant::Array(Array::from(numbers)),
        Value::Map(map) => {
            let mut dict = Dict::new(&Signature::Str, &Signature::Str);
            for (key, value) in map {
                dict.append(key.as_str().into(), value.as_str().into()).map_err(unwritable)?;
            }
            Variant::Dict(dict)
        }
        Value::Dict(entries) => Variant::Dict(write_dict(entries)?),
        Value::Dicts(dicts) => {
            let mut array = Array::new(&Signature::dict(Signature::Str, Signature::Variant));
            for entries in dicts {
                array.append(Variant::Dict(write_dict(entries)?)).map_err(unwritable)?;
            }
            Variant::Array(array)
        }
        Value::Other { bytes, .. } => {
            let (value, used): (OwnedVariant, usize) =
                Data::new(bytes.as_slice(), kept()).deserialize().map_err(unwritable)?;
            if used != bytes.len() {
                return Err(Error::invalid("a value of an unusual type is longer than it says"));
            }
            value.into()
        }
    })
}

fn write_dict(entries: &Setting) -> Result<Dict<'_, '_>, Error> {
    let mut dict = Dict::new(&Signature::Str, &Signature::Variant);
    for (key, value) in entries {
        dict.append(key.as_str().into(), Variant::Variant(Box::new(write(value)?))).map_err(unwritable)?;
    }
    Ok(dict)
}

/// A value as it came.
pub(super) fn read(value: &Variant<'_>) -> Result<Value, Error> {
    Ok(match value {
        Variant::Bool(value) => Value::Bool(*value),
        Variant::U8(value) => Value::Byte(*value),
        Variant::U16(value) => Value::U16(*value),
        Variant::I32(value) => Value::I32(*value),
        Variant::U32(value) => Value::U32(*value),
        Variant::I64(value) => Value::I64(*value),
        Variant::U64(value) => Value::U64(*value),
        Variant::Str(text) => Value::Text(text.as_str().to_owned()),
        Variant::Array(array) => match array.element_signature() {
            Signature::U8 => Value::Bytes(each(array, |value| match value {
                Variant::U8(byte) => Some(*byte),
                _ => None,
            })?),
            Signature::Str => Value::Texts(each(array, text)?),
            Signature::U32 => Value::Numbers(each(array, |value| match value {
                Variant::U32(number) => Some(*number),
                _ => None,
            })?),
            element if *element == "a{sv}" => {
                let dicts = array.iter().map(|entry| match entry {
                    Variant::Dict(dict) => read_dict(dict),
                    _ => Err(unreadable()),
                });
                Value::Dicts(dicts.collect::<Result<_, _>>()?)
            }
            _ => other(value)?,
        },
        Variant::Dict(dict) if *dict.signature() == "a{ss}" => {
            let entry = |(key, value)| Some((text(key)?, text(value)?));
            Value::Map(dict.iter().map(entry).collect::<Option<_>>().ok_or_else(unreadable)?)
        }
        Variant::Dict(dict) if *dict.signature() == "a{sv}" => Value::Dict(read_dict(dict)?),
        value => other(value)?,
    })
}

fn read_dict(dict: &Dict<'_, '_>) -> Result<Setting, Error> {
    let entry = |(key, value): (&Variant<'_>, &Variant<'_>)| match value {
        Variant::Variant(value) => Ok((text(key).ok_or_else(unreadable)?, read(value)?)),
        _ => Err(unreadable()),
    };
    dict.iter().map(entry).collect()
}

fn each<T>(array: &Array<'_>, read: impl Fn(&Variant<'_>) -> Option<T>) -> Result<Vec<T>, Error> {
    array.iter().map(read).collect::<Option<_>>().ok_or_else(unreadable)
}

fn text(value: &Variant<'_>) -> Option<String> {
    match value {
        Variant::Str(text) => Some(text.as_str().to_owned()),
        _ => None,
    }
}

fn other(value: &Variant<'_>) -> Result<Value, Error> {
    let bytes = to_bytes(kept(), value).map_err(|_| unreadable())?;
    Ok(Value::Other { signature: value.value_signature().to_string(), bytes: bytes.bytes().to_vec() })
}

/// What the codec says of a value may hold the value itself, so it is not repeated.
fn unwritable(_: zbus::Error) -> Error {
    Error::invalid("a value of a profile cannot be sent")
}

fn unreadable() -> Error {
    Error::garbled("NetworkManager sent a value that does not have the type it says")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::{Message, ObjectPath, Structure};

    /// Through a message, as on the bus.
    fn travelled(profile: &Profile) -> Profile {
        let body = write_profile(profile).expect("it can be sent");
        let message = Message::method_call("/", "M").build(&body).expect("a message");
        let body = message.body();
        assert_eq!(body.signature().to_string(), "a{sa{sv}}");
        read_profile(body.deserialize().expect("a{sa{sv}}")).expect("it can be read")
    }

    fn received(value: Variant<'_>) -> Value {
        let message = Message::method_call("/", "M").build(&value).expect("a message");
        let body = message.body();
        read(&body.deserialize::<OwnedVariant>().expect("v")).expect("it can be read")
    }

    #[test]
    fn every_form_of_a_value_travels_there_and_back() {
        let mut profile = Profile::default();
        let entry = Setting::from([
            ("dest".to_owned(), Value::from("192.0.2.0")),
            ("prefix".to_owned(), Value::from(24u32)),
            ("inner".to_owned(), Value::Dict(Setting::from([("mtu".to_owned(), Value::from(1u32))]))),
        ]);
        let values: [Value; 23] = [
            true.into(),
            Value::Byte(3),
            Value::U16(4),
            Value::I32(-5),
            6u32.into(),
            Value::I64(-7),
            Value::U64(u64::MAX),
            "".into(),
            "naïve".into(),
            Value::Bytes(vec![]),
            Value::Bytes(vec![0, 1, 255]),
            Value::Texts(vec![]),
            vec!["a".to_owned(), String::new()].into(),
            Value::Numbers(vec![]),
            Value::Numbers(vec![1, u32::MAX]),
            Value::Map(BTreeMap::new()),
            BTreeMap::from([("mode".to_owned(), "802.3ad".to_owned())]).into(),
            Value::Dict(Setting::new()),
            entry.clone().into(),
            Value::Dicts(vec![]),
            vec![entry, Setting::new()].into(),
            Value::I32(i32::MIN),
            Value::I64(i64::MAX),
        ];
        for (index, value) in values.into_iter().enumerate() {
            profile.set("setting", &format!("property{index}"), value);
        }
        profile.0.insert("empty".to_owned(), Setting::new());
        assert_eq!(travelled(&profile), profile);
        let kept = serde_json::to_string(&profile).expect("it can be kept");
        assert_eq!(serde_json::from_str::<Profile>(&kept).expect("it can be read again"), profile);
    }

    /// The older forms of addresses, routes and name servers, and types that no setting has so far
    /// (nm-settings-dbus(5)).
    #[test]
    fn other_types_keep_their_type_and_contents() {
        let path = ObjectPath::try_from("/org/x").expect("a path");
        let values: [(&str, Variant<'_>); 9] = [
            ("aau", vec![vec![1u32, 24, 0], vec![]].into()),
            ("aay", vec![vec![0x20u8, 1], vec![]].into()),
            ("a(ayuay)", vec![(vec![0xfeu8, 0x80], 64u32, vec![0u8])].into()),
            ("a(ayuayu)", vec![(vec![0xfeu8, 0x80], 64u32, vec![0u8], 1024u32)].into()),
            ("(uu)", Variant::Structure(Structure::from((100u32, 0u32)))),
            ("n", (-1i16).into()),
            ("d", 0.5f64.into()),
            ("o", path.clone().into()),
            ("ao", vec![path].into()),
        ];
        for (signature, value) in values {
            let seen = received(Variant::Variant(Box::new(value.try_clone().expect("no descriptor"))));
            // A variant in a variant: the outer one is what a message has.
            let plain = read(&value).expect("it can be read");
            let Value::Other { signature: kept, .. } = &plain else { panic!("{signature}: {plain:?}") };
            assert_eq!(kept, signature);
            assert!(matches!(seen, Value::Other { .. }));
            let mut profile = Profile::default();
            profile.set("ipv6", "addresses", plain.clone());
            assert_eq!(travelled(&profile), profile);
            assert_eq!(write(&plain).expect("it can be sent"), value);
        }
    }

    #[test]
    fn a_value_that_was_not_kept_by_us_is_refused() {
        for bytes in [vec![], vec![1, b'u', 0, 0, 1], vec![1, b'y', 0, 7, 7], vec![9, 9, 9]] {
            let value = Value::Other { signature: "u".to_owned(), bytes };
            assert!(write(&value).is_err(), "{value:?}");
        }
    }
}
