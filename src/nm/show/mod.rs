//! The image laid over the kernel's state: what a query shows where NetworkManager is at work.
//!
//! The kernel says what is, NetworkManager what was meant: whether an interface is managed, how its
//! addresses come, what it is called, what waits for what. Where both know the same thing (an MTU, a
//! controller, the parameters of a link) the kernel is believed, so that a link that somebody else has
//! changed is seen to differ from what was asked for.
//!
//! What stands in the state already, from Open vSwitch's database too, is completed, not replaced.

mod dns;
mod interface;
mod lldp;
mod profiles;

use std::collections::BTreeMap;

use crate::nm::image::Image;
use crate::state::{Hostname, InterfaceType, Route, RouteState, Routes, Shared, State};
use profiles::Profiles;

/// Lays an image over the kernel's state.
pub fn overlay(kernel: &State, image: &Image) -> State {
    Overlay::default().lay(kernel, image)
}

/// Lays one image after the other over one state after the other. As long as the routes and what is
/// ignored are the same, the results share one list of routes.
#[derive(Debug, Default)]
pub struct Overlay {
    known: Option<Known>,
}

/// Routes, which interfaces are ignored now and were not or the other way round, and what that came to.
#[derive(Debug)]
struct Known {
    before: Routes,
    ignored: BTreeMap<String, bool>,
    after: Routes,
}

impl Overlay {
    pub fn lay(&mut self, kernel: &State, image: &Image) -> State {
        let mut state = kernel.clone();
        // A query for the configuration alone leaves out what is only running (semantics S5).
        let is_everything = kernel.routes.as_ref().is_none_or(|routes| routes.running.is_some());
        let profiles = Profiles::new(image);
        let layers = interface::Layers::new(image, &profiles, is_everything);

        let interfaces = state.interfaces.get_or_insert_default();
        let mut ignored = BTreeMap::new();
        for interface in interfaces.iter_mut() {
            let was_ignored = interface.is_ignored();
            layers.lay(interface);
            if interface.is_ignored() != was_ignored && !interface.kind().is_userspace() {
                ignored.insert(interface.name.clone(), interface.is_ignored());
            }
        }
        let missing = layers.missing(interfaces);
        interfaces.extend(missing);
        // Nobody could change what NetworkManager does not (semantics S3).
        interfaces.retain(|interface| {
            !(interface.is_ignored()
                && matches!(interface.kind(), InterfaceType::OvsBridge | InterfaceType::Ipsec))
        });
        interfaces.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));

        if let Some(routes) = &mut state.routes {
            *routes = self.mark(routes, ignored);
        }
        state.dns_resolver = Some(dns::resolver(image, &profiles, is_everything));
        if let Some(hostname) = &mut state.hostname {
            *hostname = Hostname { config: Some(image.hostname.clone()), running: hostname.running.take() };
        }
        state
    }

    /// Marks the routes through interfaces that are ignored (semantics S3).
    fn mark(&mut self, routes: &Routes, ignored: BTreeMap<String, bool>) -> Routes {
        if let Some(known) = &self.known
            && is_same(&known.before, routes)
            && known.ignored == ignored
        {
            return known.after.clone();
        }
        let config = routes.config.as_ref().map(|list| mark_list(list, &ignored));
        let running = match (&routes.running, &routes.config) {
            (Some(running), Some(list)) if running.is_same(list) => config.clone(),
            (running, _) => running.as_ref().map(|list| mark_list(list, &ignored)),
        };
        let after = Routes { running, config };
        self.known = Some(Known { before: routes.clone(), ignored, after: after.clone() });
        after
    }
}

/// Whether these are the same lists, without looking into them.
fn is_same(a: &Routes, b: &Routes) -> bool {
    fn same(a: &Option<Shared<Route>>, b: &Option<Shared<Route>>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) => a.is_same(b),
            (None, None) => true,
            _ => false,
        }
    }
    same(&a.running, &b.running) && same(&a.config, &b.config)
}

/// The list itself, if no route has to change.
fn mark_list(list: &Shared<Route>, ignored: &BTreeMap<String, bool>) -> Shared<Route> {
    let change = |route: &Route| ignored.get(route.next_hop_interface.as_ref()?).copied();
    if ignored.is_empty() || !list.iter().any(|route| change(route).is_some()) {
        return list.clone();
    }
    let marked = list.iter().map(|route| match change(route) {
        Some(is_ignored) => Route { state: is_ignored.then_some(RouteState::Ignore), ..route.clone() },
        None => route.clone(),
    });
    marked.collect()
}

#[cfg(test)]
mod tests;
