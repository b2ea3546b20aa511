//! From two whole states of an interface to what differs, key by key.

use serde_json::{Map, Value as Json};

use super::FieldChange;
use super::normal::normal;
use crate::state::{Interface, Path, Secret, Segment};

/// What a key means that the target does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmentioned {
    /// It stays as it is: planning a document.
    Kept,
    /// It goes: returning to a state that is known as a whole.
    Cleared,
}

/// What differs between two forms of one interface, in the order of the schema. Secrets are
/// compared, and shown masked.
pub fn differences(
    before: Option<&Interface>,
    after: Option<&Interface>,
    unmentioned: Unmentioned,
    names: bool,
) -> Vec<FieldChange> {
    let mut before = before.map(|interface| normal(interface, names));
    let mut after = after.map(|interface| normal(interface, names));
    if let (Some(before), Some(after)) = (&mut before, &mut after)
        && before.profile_name != after.profile_name
    {
        // Its own name is what a profile is called unless another one is said.
        for one in [before, after] {
            one.profile_name.get_or_insert_with(|| one.name.clone());
        }
    }
    if before == after {
        return Vec::new();
    }
    let plain = |interface: &Option<Interface>| interface.as_ref().map_or(Json::Null, revealed);
    let shown = |interface: &Option<Interface>| interface.as_ref().map_or(Json::Null, masked);
    let mut found = Vec::new();
    let before = Sides { plain: &plain(&before), shown: &shown(&before) };
    let after = Sides { plain: &plain(&after), shown: &shown(&after) };
    compare(before, after, &mut Path::root(), unmentioned, &mut found);
    // The name is what identifies the interface; it does not change.
    found.retain(|change| change.path != Path::root().key("name"));
    found
}

/// A value as it is, and as it may be shown. Both have the same shape.
#[derive(Clone, Copy)]
struct Sides<'a> {
    plain: &'a Json,
    shown: &'a Json,
}

impl<'a> Sides<'a> {
    fn key(self, key: &str) -> Self {
        let of = |value: &'a Json| value.get(key).unwrap_or(&Json::Null);
        Self { plain: of(self.plain), shown: of(self.shown) }
    }

    fn shown(self) -> Option<Json> {
        (!self.plain.is_null()).then(|| self.shown.clone())
    }
}

fn compare(
    before: Sides<'_>,
    after: Sides<'_>,
    path: &mut Path,
    unmentioned: Unmentioned,
    found: &mut Vec<FieldChange>,
) {
    if before.plain == after.plain || (is_nothing(before.plain) && is_nothing(after.plain)) {
        return;
    }
    let empty = Map::new();
    let keys = match (before.plain, after.plain) {
        (_, Json::Null) if unmentioned == Unmentioned::Kept && !path.is_root() => return,
        (Json::Object(before), Json::Object(after)) => Some((before, after)),
        (Json::Null, Json::Object(after)) => Some((&empty, after)),
        (Json::Object(before), Json::Null) => Some((before, &empty)),
        _ => None,
    };
    let Some((old, new)) = keys else {
        found.push(FieldChange { path: path.clone(), before: before.shown(), after: after.shown() });
        return;
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    // Free keys are replaced as a whole (M67), and so is a way to authenticate (M66).
    let is_whole =
        |key: &Segment| ["ovs-db", "802.1x"].iter().any(|whole| *key == Segment::Key((*whole).into()));
    let is_whole = path.segments().iter().any(is_whole) && after.plain.is_object();
    let unmentioned = if is_whole { Unmentioned::Cleared } else { unmentioned };
    for key in new.keys().chain(gone) {
        path.push_key(key);
        compare(before.key(key), after.key(key), path, unmentioned, found);
        path.pop();
    }
}

/// Whether a value says no more than a missing key.
fn is_nothing(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(keys) => keys.is_empty(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

fn printed(interface: &Interface) -> Json {
    serde_json::to_value(interface).expect("an interface prints as JSON: its keys are text")
}

fn revealed(interface: &Interface) -> Json {
    let mut copy = interface.clone();
    copy.reveal_secrets();
    printed(&copy)
}

/// Printed with every secret hidden, also in a copy that was revealed for somebody.
fn masked(interface: &Interface) -> Json {
    let mut copy = interface.clone();
    let ieee8021x = copy.ieee8021x.iter_mut().flat_map(|x| [&mut x.private_key_password, &mut x.password]);
    let macsec = copy.macsec.iter_mut().map(|macsec| &mut macsec.mka_cak);
    let ipsec = copy.libreswan.iter_mut().map(|libreswan| &mut libreswan.psk);
    for secret in ieee8021x.chain(macsec).chain(ipsec).flatten() {
        *secret = Secret::new(secret.expose());
    }
    printed(&copy)
}
