//! A plan as data: complete before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use super::Client;
use crate::state::{
    DnsSettings, Interface, InterfaceType, Native, NativeChange, Path, Route, RouteRule, State,
};

/// What a client may ask of planning, beyond the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Mentioned interfaces are configured from the document alone (semantics P2).
    pub override_interfaces: bool,
    /// Nothing persists: `absent` acts as `down` (semantics P6).
    pub memory_only: bool,
    /// Nobody looks afterwards whether it is as planned ([`Plan::unverified`]).
    pub unverified: bool,
    /// Where the client sits, to tell it when a change touches the path by which it came in.
    pub client: Option<Client>,
}

/// What a backend can do on this host, for planning and for `status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Capabilities {
    pub backend: &'static str,
    /// Types that it can create or configure here.
    pub interface_types: BTreeSet<InterfaceType>,
    /// Whether a bridge can filter VLANs.
    pub vlan_filtering: bool,
    /// Whether configuration can be kept in memory until commit.
    pub volatile_until_commit: bool,
    /// Whether it keeps profiles: configuration that exists without a kernel interface. Without, `down` deletes
    /// a virtual interface.
    pub profiles: bool,
    /// Whether what it keeps has a name and a way to find its hardware. Without, `identifier` and `profile-name`
    /// only find an interface.
    pub names: bool,
    /// Whether what is committed comes back at boot without us.
    pub persists: bool,
    /// Whether every bridge of Open vSwitch comes with an internal interface of its own name.
    pub ovs_local: bool,
    /// What `status` calls the net that it makes with each snapshot, if it does.
    pub own_net: Option<&'static str>,
    /// Interfaces that are not there, by name, as it keeps them: `absent` removes that.
    pub dormant: BTreeMap<String, Interface>,
    /// Interfaces that are there, and of which it keeps nothing: they are as others made them, and not there
    /// after a reboot. Whoever asks for one that is as wanted gets it kept (semantics P86).
    pub unkept: BTreeSet<String>,
}

/// The ordered difference between current and desired.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// In the order of execution: a change may rest on those before it.
    pub changes: Vec<Change>,
    /// What verification compares with the state after: the desired document with names
    /// resolved and completed, still partial.
    pub expected: State,
    /// Where in the client's document each interface of `expected` stands, by name and type; and each that
    /// shall be gone, and is.
    pub origins: BTreeMap<(String, InterfaceType), Path>,
    /// What was dropped or decided, in sentences for a person.
    pub warnings: Vec<String>,
    /// Nobody looks afterwards whether it is so. What waits for a service that does not run is prepared for it
    /// (semantics V42).
    pub unverified: bool,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// One thing that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Change {
    Interface(Box<InterfaceChange>),
    Route(RouteChange),
    Rule(RuleChange),
    Dns(DnsChange),
    Hostname(HostnameChange),
    OvsDb(OvsDbChange),
    Ovn(OvnChange),
    Network(Box<NetworkChange>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Add,
    Modify,
    Remove,
}

/// Why something changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "because", content = "of", rename_all = "kebab-case")]
pub enum Reason {
    /// The document asks for it.
    Desired,
    /// It is as the document asks, but nothing would bring it back after a reboot.
    Unkept,
    /// It becomes a port of that controller.
    PortOf(String),
    /// It stops being a port of that controller.
    DetachedFrom(String),
    /// That interface becomes or stops being its port.
    ControllerOf(String),
    /// It is the other end of that veth.
    PeerOf(String),
    /// The interface that carries it is removed.
    ParentRemoved(String),
    /// It goes with that interface, which is made again, and comes back with it.
    MadeAgain(String),
    /// It goes through that interface, which is removed or loses the address family.
    InterfaceGone(String),
    /// A desired route or rule takes its place.
    Replaced,
    /// It was there before the transaction that is rolled back.
    Restored,
    /// It was not there before the transaction that is rolled back.
    NotThereBefore,
}

impl Reason {
    /// Whether the document itself speaks of it.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Desired | Self::Unkept)
    }
}

/// A key whose value changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// Relative to the interface, as `ipv4.address`.
    pub path: Path,
    pub before: Option<Json>,
    pub after: Option<Json>,
}

/// A change of one interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct InterfaceChange {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: InterfaceType,
    pub action: Action,
    #[serde(flatten)]
    pub reason: Reason,
    /// Something changes that cannot change in place: it is removed and made again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rebuild: bool,
    /// The document alone says how it is kept: nothing of what is kept now stays (semantics P2).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub afresh: bool,
    /// The whole interface as it is; None when it is added.
    #[serde(skip)]
    pub before: Option<Interface>,
    /// The whole interface as it shall be, merged; None when it is removed.
    #[serde(skip)]
    pub after: Option<Interface>,
    /// What differs, for people and for the executor. Secrets are masked.
    pub fields: Vec<FieldChange>,
}

/// A route that is added or removed (never modified: a route is its keys). Entries that share
/// destination, table and metric are next hops of one route.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RouteChange {
    pub action: Action,
    #[serde(flatten)]
    pub reason: Reason,
    pub route: Route,
}

/// A rule that is added or removed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleChange {
    pub action: Action,
    #[serde(flatten)]
    pub reason: Reason,
    pub rule: RouteRule,
}

/// A change of the resolver's configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DnsChange {
    #[serde(flatten)]
    pub reason: Reason,
    pub before: DnsSettings,
    pub after: DnsSettings,
}

/// A change of the host name; None keeps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostnameChange {
    #[serde(flatten)]
    pub reason: Reason,
    pub running: Option<String>,
    pub config: Option<String>,
    pub before_running: Option<String>,
    pub before_config: Option<String>,
}

/// A value that changes, appears or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueChange {
    pub before: Option<String>,
    pub after: Option<String>,
}

impl ValueChange {
    pub fn removed(before: String) -> Self {
        Self { before: Some(before), after: None }
    }
}

/// A change of the settings of Open vSwitch as a whole, key by key: other programs keep theirs in
/// the same columns.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OvsDbChange {
    #[serde(flatten)]
    pub reason: Reason,
    pub external_ids: BTreeMap<String, ValueChange>,
    pub other_config: BTreeMap<String, ValueChange>,
}

impl OvsDbChange {
    pub fn is_empty(&self) -> bool {
        self.external_ids.is_empty() && self.other_config.is_empty()
    }
}

/// A change of OVN's mappings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OvnChange {
    #[serde(flatten)]
    pub reason: Reason,
    /// By physical network: its bridge.
    pub bridges: BTreeMap<String, ValueChange>,
}

/// A change of what is said in netplan's own words; None: nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NetworkChange {
    #[serde(flatten)]
    pub reason: Reason,
    #[serde(skip)]
    pub before: Option<Native>,
    #[serde(skip)]
    pub after: Option<Native>,
    /// What differs, below `network`.
    pub fields: Vec<NativeChange>,
}

/// What a section of the document comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Merge<C, E> {
    pub changes: Vec<C>,
    /// What verification compares with: every entry of the document at its place, completed.
    pub expected: Option<E>,
}
