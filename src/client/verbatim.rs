//! JSON text printed in another form without a tree between: the routes of a large network are a
//! million values, of which nobody here looks at one.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

/// Prints the value that the text stands for.
pub struct Verbatim<'t>(pub &'t RawValue);

impl Serialize for Verbatim<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = serde_json::Deserializer::from_str(self.0.get());
        Once::new(&mut text).serialize(serializer)
    }
}

/// A value that is read while it is printed, so that it can be printed only once.
struct Once<D>(Cell<Option<D>>);

impl<D> Once<D> {
    fn new(value: D) -> Self {
        Self(Cell::new(Some(value)))
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Once<D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0.take().ok_or_else(|| S::Error::custom("a text is read once"))?;
        value.deserialize_any(Print(serializer)).map_err(S::Error::custom)
    }
}

/// Prints what it is shown.
struct Print<S>(S);

impl<'de, S: Serializer> Visitor<'de> for Print<S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.0.serialize_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.0.serialize_i64(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.0.serialize_u64(value).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.0.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<S::Ok, E> {
        self.0.serialize_str(value).map_err(E::custom)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<S::Ok, E> {
        self.0.serialize_unit().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<S::Ok, A::Error> {
        let mut list = self.0.serialize_seq(items.size_hint()).map_err(A::Error::custom)?;
        while items.next_element_seed(Item(&mut list))?.is_some() {}
        list.end().map_err(A::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<S::Ok, A::Error> {
        let mut map = self.0.serialize_map(entries.size_hint()).map_err(A::Error::custom)?;
        while entries.next_key_seed(Key(&mut map))?.is_some() {
            entries.next_value_seed(Value(&mut map))?;
        }
        map.end().map_err(A::Error::custom)
    }
}

/// Where the next item, key or value of a collection goes.
struct Item<'c, C>(&'c mut C);
struct Key<'c, C>(&'c mut C);
struct Value<'c, C>(&'c mut C);

impl<'de, C: SerializeSeq> DeserializeSeed<'de> for Item<'_, C> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, item: D) -> Result<(), D::Error> {
        self.0.serialize_element(&Once::new(item)).map_err(D::Error::custom)
    }
}

impl<'de, C: SerializeMap> DeserializeSeed<'de> for Key<'_, C> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<(), D::Error> {
        self.0.serialize_key(&Once::new(key)).map_err(D::Error::custom)
    }
}

impl<'de, C: SerializeMap> DeserializeSeed<'de> for Value<'_, C> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.0.serialize_value(&Once::new(value)).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_prints_as_its_tree_does() {
        let text = r#"{"b":[1,-2,3.5,true,null,"é\"\u0007\n",{}],"a":{"0x1":[],"deep":[[{"x":18446744073709551615}]]}}"#;
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        let tree: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let as_text = Verbatim(&raw);
        assert_eq!(
            serde_json::to_string_pretty(&as_text).expect("it prints"),
            serde_json::to_string_pretty(&tree).expect("it prints")
        );
        assert_eq!(
            serde_yaml::to_string(&as_text).expect("it prints"),
            serde_yaml::to_string(&tree).expect("it prints")
        );
    }
}
