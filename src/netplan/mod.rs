//! netplan: what its files say, and how a document says it. Pure: texts go in, texts come out.
//!
//! | file | story |
//! | --- | --- |
//! | `files` | the texts of netplan's folders: which of them count, and in which order |
//! | `config` | some files merged: every netdef, and who said each of its keys |
//! | `tree` | a merged value that knows where it was said |
//! | `matches` | which netdef is which interface |
//! | `row`, `tables` | one row for each property, both directions |
//! | `write/` | an interface of a document as a netdef, and what of it cannot be said |
//! | `read` | netdefs as a document |
//! | `native` | documents in netplan's own words: their file, and what they mean |
//! | `status` | what netplan itself finds missing |
//! | `compose/` | what we say, beside what others say: the text of our file, or why there is none |
//!
//! Facts come from netplan's YAML reference (netplan.readthedocs.io, "YAML configuration") and from
//! what the programs of netplan 1.1.2 did with it.

mod compose;
mod config;
mod files;
mod matches;
mod native;
mod read;
mod row;
mod status;
mod tables;
mod tree;
mod write;

pub use compose::compose;
pub use config::{Broken, Config, Kind, Netdef};
pub use files::{File, Files, Folder, NATIVE, OWN};
pub use matches::{Device, Devices};
pub use native::{Meaning, changed_modes, native_of, native_text, place_in, understand, with_native};
pub use read::read;
pub use status::{Missing, Report};
pub use tree::{Origin, Tree, Value};

use std::collections::BTreeSet;

use crate::state::{DnsSettings, Interface, OvsSettings, Path, Route, RouteRule};

/// Who carries out what netplan's files say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Renderer {
    Networkd,
    NetworkManager,
}

impl Renderer {
    /// As in `renderer:`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Networkd => "networkd",
            Self::NetworkManager => "NetworkManager",
        }
    }

    /// None for others, as `sriov`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Networkd, Self::NetworkManager].into_iter().find(|renderer| renderer.word() == word)
    }
}

/// Of which version netplan is, as far as it matters: versions before 1.0 are 0.N, as 0.107.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub micro: u16,
}

impl Version {
    pub const fn new(major: u16, minor: u16, micro: u16) -> Self {
        Self { major, minor, micro }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { major, minor, micro } = self;
        write!(f, "{major}.{minor}")?;
        if *micro > 0 { write!(f, ".{micro}") } else { Ok(()) }
    }
}

/// What is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub renderer: Renderer,
    pub version: Version,
}

/// What the network shall be, in the document's terms, for what a plan touches.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Interfaces that get a netdef of their own, each whole. Ports and parents that nothing defines yet belong
    /// here, too: an empty definition would take their addresses.
    pub interfaces: Vec<Wish>,
    /// Interfaces that go, and are not to come back.
    pub absent: BTreeSet<String>,
    /// All static routes through these interfaces, as they shall be.
    pub routes: Vec<Route>,
    /// All static routes that lead nowhere (`route-type`), as they shall be. None: those that our file has
    /// stay, and those among `routes` are added.
    pub nowhere: Option<Vec<Route>>,
    /// All static rules, as they shall be. None: those that our file has stay.
    pub rules: Option<Vec<RouteRule>>,
    /// The static resolver settings as they shall be, whole. None: those that our file has stay.
    pub dns: Option<DnsSettings>,
    /// What changes of the settings of Open vSwitch as a whole: keys with their new values, or without.
    pub ovs_db: Option<OvsSettings>,
}

impl Wanted {
    /// Takes out what these definitions of ours, in netplan's own words, say themselves.
    pub fn leave_to(&mut self, native: &Config, devices: &Devices) {
        let is_native = |name: &str| native.netdef_of(name, devices).is_some();
        self.interfaces.retain(|wish| !is_native(&wish.interface.name));
        self.routes.retain(|route| !route.next_hop_interface.as_deref().is_some_and(is_native));
    }
}

/// An interface as it shall be.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Whole: everything that holds afterwards.
    pub interface: Interface,
    /// What the document says of it; what it does not mention is written only where it is not netplan's
    /// default, and never refused.
    pub said: Interface,
    /// As it is. None if it is not there yet.
    pub current: Option<Interface>,
}

/// Our file as it shall be.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Composed {
    /// Empty: nothing is left to say. It may hold secrets.
    pub text: String,
    /// Links that must be deleted before, because nobody changes them in place.
    pub delete_first: Vec<String>,
    /// What it says beside the definitions of others, and which of both wins.
    pub remarks: Vec<String>,
}

/// Without the text.
impl std::fmt::Debug for Composed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Composed").field("delete_first", &self.delete_first).finish_non_exhaustive()
    }
}

/// What cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// None: it is not about an interface, and the path is the document's.
    pub interface: Option<String>,
    /// In the document; of an interface's refusal relative to the interface.
    pub path: Path,
    pub text: String,
}
