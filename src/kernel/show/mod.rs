//! The translation of an image of the kernel to a document: the kernel-only query.
//!
//! Interfaces are sorted by name, then type. Routes stand as in the image: IPv4 first, each family
//! by table, destination and metric; a multipath route is one entry per next hop. Rules stand in
//! the kernel's order of evaluation, IPv4 first.
//!
//! `state` tells what an administrator set, not what a cable does: `up` is `IFF_UP`. An interface
//! that is up without carrier (a bridge before its first port) is `up`, so that asking again for
//! what was applied is no change.
//!
//! Not shown, since the document has no words for it: links of other kinds, the data path devices
//! of Open vSwitch, rules that select by more than the document can say.

mod ethtool;
mod global;
mod interface;
mod ip;
mod kinds;
mod routes;

use crate::kernel::mirror::Image;
use crate::state::State;

/// How much a query shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everything,
    /// Only what was configured: no leased addresses, no learned routes and rules, no limits.
    RunningConfig,
}

/// Translates an image to a document.
pub fn show(image: &Image, scope: Scope) -> State {
    let ports = interface::Ports::of(image);
    State {
        hostname: global::hostname(image),
        dns_resolver: global::resolver(image, scope),
        route_rules: Some(routes::rules(image, scope)),
        routes: Some(routes::routes(image, scope)),
        interfaces: Some(interface::interfaces(image, &ports, scope)),
        ..State::empty()
    }
}
