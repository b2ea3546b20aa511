//! Values of the database's columns (RFC 7047, 5.1). What is not as the schema says reads as
//! nothing: a newer database may hold more than we know.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::image::Uuid;

/// The columns of one row.
#[derive(Clone, Copy)]
pub struct Row<'a>(pub &'a Map<String, Json>);

impl<'a> Row<'a> {
    /// The elements of a column: those of a set, or the one that stands for itself.
    fn atoms(self, column: &str) -> &'a [Json] {
        let Some(value) = self.0.get(column) else { return &[] };
        match tagged(value, "set") {
            Some(Json::Array(atoms)) => atoms,
            Some(_) => &[],
            None => std::slice::from_ref(value),
        }
    }

    pub fn text(self, column: &str) -> Option<String> {
        self.atoms(column).first()?.as_str().map(str::to_owned)
    }

    pub fn number<T: TryFrom<u64>>(self, column: &str) -> Option<T> {
        T::try_from(self.atoms(column).first()?.as_u64()?).ok()
    }

    pub fn numbers<T: TryFrom<u64>>(self, column: &str) -> Vec<T> {
        self.atoms(column).iter().filter_map(|atom| T::try_from(atom.as_u64()?).ok()).collect()
    }

    pub fn flag(self, column: &str) -> bool {
        self.atoms(column).first().and_then(Json::as_bool).unwrap_or(false)
    }

    pub fn uuids(self, column: &str) -> Vec<Uuid> {
        let uuid = |atom| tagged(atom, "uuid")?.as_str().map(str::to_owned);
        self.atoms(column).iter().filter_map(uuid).collect()
    }

    pub fn map(self, column: &str) -> BTreeMap<String, String> {
        let pairs = self.0.get(column).and_then(|value| tagged(value, "map")?.as_array());
        let pair = |pair: &Json| match pair.as_array()?.as_slice() {
            [Json::String(key), Json::String(value)] => Some((key.clone(), value.clone())),
            _ => None,
        };
        pairs.into_iter().flatten().filter_map(pair).collect()
    }
}

/// What stands behind a tag: `["set", [...]]`, `["map", [...]]`, `["uuid", "..."]`.
fn tagged<'a>(value: &'a Json, tag: &str) -> Option<&'a Json> {
    match value.as_array()?.as_slice() {
        [Json::String(found), value] if found == tag => Some(value),
        _ => None,
    }
}
