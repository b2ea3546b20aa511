//! All changes in the order of their execution.
//!
//! 1. Settings of Open vSwitch as a whole (a DPDK port needs `dpdk-init`), and routes whose interface
//!    goes or loses the address family: removed before it is.
//! 2. Interfaces that go, and then those that come or change ([`super::changes`]).
//! 3. Routes that went with an interface that was made again: the kernel dropped them.
//! 4. Routes and rules that the document adds, replaces or removes, each added before what it
//!    replaces is removed where both can exist; then the resolver, the host name and OVN's mappings.

use std::collections::BTreeSet;

use super::routes::Identity;
use super::{Action, Change, InterfaceChange, Reason, RouteChange};
use crate::state::{Route, RouteState};

/// `routes`: those that shall be there after the interfaces are settled, as far as they are there
/// now or were before.
pub fn in_sequence(interfaces: Vec<InterfaceChange>, others: Vec<Change>, routes: &[Route]) -> Vec<Change> {
    let lost = lost_with_interfaces(&interfaces, &others, routes);
    let goes_first = |change: &Change| match change {
        Change::Route(change) => {
            change.action == Action::Remove && matches!(change.reason, Reason::InterfaceGone(_))
        }
        Change::OvsDb(_) => true,
        _ => false,
    };
    let (first, later): (Vec<Change>, Vec<Change>) = others.into_iter().partition(goes_first);
    let interfaces = interfaces.into_iter().map(|change| Change::Interface(Box::new(change)));
    let lost = lost.into_iter().map(Change::Route);
    first.into_iter().chain(interfaces).chain(lost).chain(later).collect()
}

/// Additions of routes that the kernel drops with an interface that is made again.
fn lost_with_interfaces(
    interfaces: &[InterfaceChange],
    others: &[Change],
    routes: &[Route],
) -> Vec<RouteChange> {
    let again: BTreeSet<&str> =
        interfaces.iter().filter(|change| change.rebuild).map(|change| change.name.as_str()).collect();
    if again.is_empty() {
        return Vec::new();
    }
    let decided: BTreeSet<Identity<'_>> = others
        .iter()
        .filter_map(|change| match change {
            Change::Route(change) => Some(Identity::of(&change.route)),
            _ => None,
        })
        .collect();
    let stays =
        |route: &&Route| route.state != Some(RouteState::Ignore) && !decided.contains(&Identity::of(route));
    let mut lost = Vec::new();
    for route in routes.iter().filter(stays) {
        let name = route.next_hop_interface.as_ref().filter(|name| again.contains(name.as_str()));
        if let Some(name) = name {
            let (action, reason) = (Action::Add, Reason::MadeAgain(name.clone()));
            lost.push(RouteChange { action, reason, route: route.clone() });
        }
    }
    // Links to gateways before what goes through gateways.
    lost.sort_by_key(|change| change.route.next_hop_address.is_some_and(|address| !address.is_unspecified()));
    lost
}
