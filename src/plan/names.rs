//! Which interface a name in a document means (semantics P18).

use std::collections::{BTreeMap, BTreeSet};

use super::Key;
use crate::state::{Identifier, Interface};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameMatch<'a> {
    /// The kernel name of the interface meant.
    One(&'a str),
    /// No interface has that name in any sense.
    None,
    /// More than one interface goes by it: their kernel names.
    Several(Vec<&'a str>),
}

impl<'a> NameMatch<'a> {
    /// The kernel name, if it is clear.
    pub fn one(self) -> Option<&'a str> {
        match self {
            Self::One(name) => Some(name),
            Self::None | Self::Several(_) => None,
        }
    }
}

/// Kernel names, and behind them alternative names and profile names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    kernel: BTreeSet<String>,
    alternative: BTreeMap<String, BTreeSet<String>>,
    profile: BTreeMap<String, BTreeSet<String>>,
}

impl Names {
    /// `now`: the interfaces that are there; `asked`: those of the document, names resolved.
    pub fn new<'a>(
        now: impl Iterator<Item = &'a Interface>,
        asked: impl Iterator<Item = &'a Interface>,
    ) -> Self {
        let mut names = Self::default();
        for interface in now.filter(|interface| Key::of(interface).userspace.is_none()) {
            names.kernel.insert(interface.name.clone());
            names.add_others(interface);
        }
        for interface in asked.filter(|interface| Key::of(interface).userspace.is_none()) {
            if interface.is_up() && interface.identifier != Some(Identifier::MacAddress) {
                names.kernel.insert(interface.name.clone());
            }
            names.add_others(interface);
        }
        names
    }

    fn add_others(&mut self, interface: &Interface) {
        for name in interface.alt_names.iter().flatten() {
            let owners = self.alternative.entry(name.name.clone()).or_default();
            match name.state {
                Some(_) => owners.remove(&interface.name),
                None => interface.is_up() && owners.insert(interface.name.clone()),
            };
        }
        if let Some(profile) = &interface.profile_name {
            self.profile.entry(profile.clone()).or_default().insert(interface.name.clone());
        }
    }

    /// The interface meant by `name`: by kernel name, else alternative name, else profile name.
    pub fn find<'a>(&'a self, name: &str) -> NameMatch<'a> {
        if let Some(name) = self.kernel.get(name) {
            return NameMatch::One(name);
        }
        let owners = [&self.alternative, &self.profile]
            .into_iter()
            .filter_map(|table| table.get(name))
            .find(|owners| !owners.is_empty());
        let mut owners = owners.into_iter().flatten().map(String::as_str);
        match (owners.next(), owners.next()) {
            (None, _) => NameMatch::None,
            (Some(one), None) => NameMatch::One(one),
            (Some(one), Some(two)) => NameMatch::Several([one, two].into_iter().chain(owners).collect()),
        }
    }
}
