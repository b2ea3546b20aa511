//! Profile ⇄ document: one file for each group of settings, which knows both directions. Pure.
//!
//! Writing overlays: unknown settings and properties of the profile that is changed travel back
//! as they came.

use crate::state::{DnsSettings, Interface, Route, RouteRule};

/// What a profile shall say. What is None or not mentioned stays as the profile has it.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The whole interface as it shall be, merged: what a new profile is made of where its type or
    /// NetworkManager demands more than is `said`.
    pub interface: &'a Interface,
    /// Only what is asked for, or changes: what is written into a profile that exists.
    pub said: &'a Interface,
    /// Its controller as it shall be: the options of ports stand there in a document.
    pub controller: Option<&'a Interface>,
    /// All static routes through it, if they change.
    pub routes: Option<&'a [Route]>,
    /// All rules that its profile holds, if they change.
    pub rules: Option<&'a [RouteRule]>,
    /// The name servers that its profile holds, if they change.
    pub dns: Option<&'a DnsSettings>,
    /// There is no profile to change: `profile` is empty.
    pub is_new: bool,
}
