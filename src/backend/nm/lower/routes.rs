//! Which profiles hold the static routes: that of the interface they go through, and that of `lo`
//! for those that lead nowhere. A profile's list is written as a whole (semantics R25, R26).

use std::collections::{BTreeMap, BTreeSet};

use super::Lowering;
use crate::backend::kernel::routes::RouteOps;
use crate::backend::nm::work::Which;
use crate::nm::settings::routes_of;
use crate::plan::routes::{RouteKey, matches, table_of};
use crate::plan::{Action, Change};
use crate::state::{Interface, InterfaceType, Route};

/// Bit of [`crate::nm::image::Version::bits`]: a reapply removes routes of every table.
const ALL_TABLES: u32 = 1;
const MAIN_TABLE: u32 = 254;
const LOOPBACK: &str = "lo";

#[derive(Default)]
struct Changes<'p> {
    removed: Vec<&'p Route>,
    added: Vec<&'p Route>,
}

impl Lowering<'_> {
    pub(super) fn routes(&mut self) {
        let mut by_owner: BTreeMap<&str, Changes<'_>> = BTreeMap::new();
        for change in &self.plan.changes {
            let Change::Route(change) = change else { continue };
            let changes = by_owner.entry(owner(&change.route)).or_default();
            match change.action {
                Action::Remove => changes.removed.push(&change.route),
                Action::Add | Action::Modify => changes.added.push(&change.route),
            }
        }
        // Nobody's, as far as NetworkManager knows.
        let mut foreign: Vec<&Route> = Vec::new();
        for (name, changes) in by_owner {
            self.routes_through(name, &changes, &mut foreign);
        }
        let nothing = BTreeSet::new();
        let between =
            RouteOps::between(self.state.config_routes(), &foreign, &[], &nothing, |vrf| self.table(vrf));
        self.ops.extend(between.remove);
        self.ops.extend(between.add);
    }

    fn routes_through<'p>(&mut self, name: &str, changes: &Changes<'p>, foreign: &mut Vec<&'p Route>) {
        let which = Which::kernel(name);
        let Some(then) = self.then(&which).filter(|then| then.is_up()) else { return };
        let current = self.profiles.current(&which, then.kind());
        let is_removed = |route: &Route| changes.removed.iter().any(|removed| is_same(route, removed));
        let stored = current.map(|current| routes_of(&current.stored.profile));
        let is_stored = |route: &Route| stored.iter().flatten().any(|stored| is_same(stored, route));
        let bits = self.image.version.bits;
        let is_left = |route: &Route| bits & ALL_TABLES == 0 && table_of(route) != MAIN_TABLE;
        foreign.extend(changes.removed.iter().filter(|route| !is_stored(route) || is_left(route)));
        let may_be_made = !changes.added.is_empty();
        let mut list: Vec<Route> = match &stored {
            Some(stored) => stored.clone(),
            None if may_be_made => self.kernel_routes(name),
            None => return,
        };
        let before = list.clone();
        let asked = self.plan.expected.config_routes();
        let patterns: Vec<&Route> = asked.iter().filter(|route| route.is_absent()).collect();
        list.retain(|route| !is_removed(route) && !patterns.iter().any(|pattern| matches(pattern, route)));
        let mentioned = asked.iter().filter(|route| route.state.is_none() && owner(route) == name);
        for route in changes.added.iter().copied().chain(mentioned) {
            if !list.iter().any(|known| is_same(known, route)) {
                list.push(route.clone());
            }
        }
        if stored.is_some() && list == before {
            return;
        }
        if let Some(target) = self.target(&which) {
            target.routes = Some(list);
            target.needs_profile |= may_be_made;
        }
    }

    /// The configured routes through an interface that the kernel has.
    pub(super) fn kernel_routes(&self, name: &str) -> Vec<Route> {
        let routes = self.state.config_routes().iter();
        routes.filter(|route| route.state.is_none() && owner(route) == name).cloned().collect()
    }

    fn table(&self, vrf: &str) -> Option<u32> {
        self.then(&Which::kernel(vrf))?.vrf.as_ref()?.route_table_id
    }
}

/// The interface whose profile holds a route.
fn owner(route: &Route) -> &str {
    match route.route_type {
        Some(_) => LOOPBACK,
        None => route.next_hop_interface.as_deref().unwrap_or_default(),
    }
}

/// Whether both are one route of the kernel; they belong to one interface already.
fn is_same(a: &Route, b: &Route) -> bool {
    let gateway = |route: &Route| route.next_hop_address.filter(|address| !address.is_unspecified());
    let settings = |route: &Route| Route {
        state: None,
        destination: None,
        next_hop_interface: None,
        next_hop_address: None,
        metric: None,
        table_id: None,
        vrf_name: None,
        weight: Some(route.weight.unwrap_or(1)),
        quickack: Some(route.quickack == Some(true)),
        lock_mtu: Some(route.lock_mtu == Some(true)),
        ..route.clone()
    };
    RouteKey::of(a) == RouteKey::of(b) && gateway(a) == gateway(b) && settings(a) == settings(b)
}

/// Whether a route that leads nowhere, or a rule, can be held by the loopback.
pub(super) fn is_loopback(interface: &Interface) -> bool {
    *interface.kind() == InterfaceType::Loopback
}
