//! Planning: what has to change, in which order, and why. Pure.
//!
//! `plan(desired, current)` = resolve names → merge with current → validate → diff → order.

mod change;
mod interfaces;
mod names;

pub use change::{
    Action, Capabilities, Change, DnsChange, FieldChange, HostnameChange, InterfaceChange, Options, Plan,
    Reason, RouteChange, RuleChange,
};
pub use interfaces::{Key, Member, Merged, family};
pub use names::{NameMatch, Names};
