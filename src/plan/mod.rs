//! Planning: what has to change, in which order, and why. Pure.
//!
//! `plan(desired, current)` = resolve names → merge with current → validate → diff → order.

mod change;
mod changes;
mod diff;
pub mod dns;
mod drift;
mod expected;
mod global;
pub mod hostname;
mod interfaces;
mod kinds;
mod lineage;
mod merge;
mod names;
mod native;
mod normal;
mod order;
pub mod ovs;
mod path;
mod planner;
mod ports;
mod relations;
mod report;
mod resolve;
mod restore;
mod revert;
pub mod routes;
pub mod rules;
mod sequence;
pub mod text;
mod touched;
mod validate;

pub use change::{
    Action, Capabilities, Change, DnsChange, FieldChange, HostnameChange, InterfaceChange, Merge,
    NetworkChange, Options, OvnChange, OvsDbChange, Plan, Reason, RouteChange, RuleChange, ValueChange,
};
pub use diff::Unmentioned;
pub use drift::{Drift, drift};
pub use interfaces::{Key, Member, Merged, family};
pub use merge::{configured, is_static};
pub use names::{NameMatch, Names};
pub use order::Depths;
pub use path::{Client, ClientPath, touched};
pub use planner::plan;
pub use relations::{FALLBACK_TUNNELS, base, has_bonds_mac, is_removable, peer, ports};
pub use resolve::resolved;
pub use restore::restore;
pub use revert::{difference, only_changed, revert};
pub use touched::Touched;
