//! Planning: what has to change, in which order, and why. Pure.
//!
//! `plan(desired, current)` = resolve names → merge with current → validate → diff → order.

mod change;

pub use change::{
    Action, Change, DnsChange, FieldChange, HostnameChange, InterfaceChange, Options, Plan, Reason,
    RouteChange, RuleChange,
};
