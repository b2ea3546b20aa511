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
//! Links of kinds that no document describes are shown under the kernel's name for their kind, with
//! `state: ignore`.
//!
//! Not shown, since the document has no words for it: the data path devices of Open vSwitch, rules
//! that select by more than the document can say.

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
    Translator::new(scope).show(image)
}

/// Translates one image after the other of the same mirror. As long as the routes are the same,
/// their translations share one list.
#[derive(Debug)]
pub struct Translator {
    scope: Scope,
    routes: Option<routes::Known>,
}

impl Translator {
    pub fn new(scope: Scope) -> Self {
        Self { scope, routes: None }
    }

    pub fn show(&mut self, image: &Image) -> State {
        let scope = self.scope;
        let ports = interface::Ports::of(image);
        State {
            hostname: global::hostname(image),
            dns_resolver: global::resolver(image, scope),
            route_rules: Some(routes::rules(image, scope)),
            routes: Some(routes::routes(image, scope, &mut self.routes)),
            interfaces: Some(interface::interfaces(image, &ports, scope)),
            ..State::empty()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mirror::{Hops, Metrics, Route};
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    fn blackhole(protocol: u8) -> Route {
        Route {
            table: 254,
            destination: IpAddr::V4(Ipv4Addr::new(192, 0, 2, protocol)),
            prefix: 32,
            tos: 0,
            metric: 0,
            from: None,
            kind: nix::libc::RTN_BLACKHOLE,
            scope: 0,
            protocol,
            source: None,
            hops: Hops::None,
            metrics: Metrics::default(),
            nexthop_id: 0,
        }
    }

    #[test]
    fn routes_are_translated_again_only_after_a_change() {
        let mut translator = Translator::new(Scope::Everything);
        let mut image = Image::default();
        Arc::make_mut(&mut image.routes4).insert(blackhole(nix::libc::RTPROT_STATIC));
        image.route_changes += 1;
        let first = translator.show(&image);
        image.revision += 1;
        let second = translator.show(&image);
        assert!(first.shares_routes_with(&second));
        let routes = second.routes.as_ref().expect("a list of routes");
        assert!(routes.running.as_ref().zip(routes.config.as_ref()).is_some_and(|(a, b)| a.is_same(b)));

        Arc::make_mut(&mut image.routes4).insert(blackhole(crate::kernel::netlink::uapi::route::RTPROT_RA));
        image.route_changes += 1;
        let third = translator.show(&image);
        assert!(!third.shares_routes_with(&second));
        assert_eq!((third.config_routes().len(), third.running_routes().len()), (1, 2));
        assert_eq!(third.config_routes(), second.config_routes());
    }
}
