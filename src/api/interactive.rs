//! The parameter by which a varlink call lets polkit ask a person, as systemd's services have it.
//!
//! Every method takes it, and none of them knows it: it is read before the parameters are, and they
//! are read without it.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

/// Its name.
const NAME: &str = "allowInteractiveAuthentication";

/// Whether the parameters say so; whatever else they are is for whoever reads them in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interactive(pub(super) bool);

impl<'de> Deserialize<'de> for Interactive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Peek::Parameters.deserialize(deserializer).map(Self)
    }
}

/// Takes any value, and builds nothing of it.
#[derive(Clone, Copy)]
enum Peek {
    Parameters,
    Flag,
}

impl<'de> DeserializeSeed<'de> for Peek {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Peek {
    type Value = bool;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
        Ok(value && matches!(self, Self::Flag))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self {
                Self::Parameters if key == NAME => found = map.next_value_seed(Self::Flag)?,
                Self::Parameters | Self::Flag => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<bool, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }
}

/// Parameters without it.
pub(super) struct Apart<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Apart<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
            type Value = T;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(Others(map)))
            }
        }

        deserializer.deserialize_map(Object(std::marker::PhantomData)).map(Self)
    }
}

/// The other entries of an object.
struct Others<A>(A);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Others<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.0.next_key::<Cow<'de, str>>()? {
            if key != NAME {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            if self.0.next_value::<Option<bool>>().is_err() {
                return Err(de::Error::custom(format_args!("{NAME} is true or false")));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Id {
        id: Option<u64>,
    }

    #[test]
    fn whatever_the_parameters_are_only_a_true_counts() {
        for (parameters, expected) in [
            (r#"{"id": 1, "allowInteractiveAuthentication": true}"#, true),
            (r#"{"allowInteractiveAuthentication": true, "a": [{"b": 1.5}], "c": -1}"#, true),
            (r#"{"allowInteractiveAuthentication": false}"#, false),
            (r#"{"allowInteractiveAuthentication": [true, {"x": true}]}"#, false),
            (r#"{"options": {"allowInteractiveAuthentication": true}}"#, false),
            ("true", false),
            ("[true]", false),
            ("7", false),
            ("\"x\"", false),
            ("null", false),
        ] {
            let read: Interactive = serde_json::from_str(parameters).expect("any value");
            assert_eq!(read, Interactive(expected), "{parameters}");
        }
    }

    #[test]
    fn the_others_are_read_as_strictly_as_without_it() {
        let read = |text: &str| serde_json::from_str::<Apart<Id>>(text).map(|Apart(id)| id.id);
        let with = read(r#"{"allowInteractiveAuthentication": true, "id": 3}"#);
        assert_eq!(with.expect("is right"), Some(3));
        assert_eq!(read("{}").expect("is right"), None);
        for (text, words) in [
            (r#"{"allowInteractiveAuthentication": "yes", "id": 3}"#, "is true or false"),
            (r#"{"allowInteractiveAuthentication": true, "ids": 3}"#, "unknown field `ids`"),
            (r#"{"id": 3, "id": 4}"#, "duplicate field `id`"),
            ("[3]", "expected an object"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
