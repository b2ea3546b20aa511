//! The image: the kernel's network state as of one revision.

use super::address::Address;
use super::device::Device;
use super::ethtool::Ethtool;
use super::host::Host;
use super::link::{self, BridgeTold, BridgeVlans, Link, Source};
use super::route::{self, Followed, Hops, Route};
use super::rule::{self, Rule};
use crate::kernel::netlink::Message;
use crate::kernel::netlink::kinds::PortData;
use crate::kernel::netlink::uapi::bridge_vlan::*;
use crate::kernel::netlink::uapi::route::RT_SCOPE_HOST;
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

/// The kernel's network state. Cloning costs a few reference counts; what changes afterwards is
/// copied only while a clone is alive.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// Increases with every change.
    pub revision: u64,
    /// By index.
    pub links: Arc<BTreeMap<u32, Arc<Link>>>,
    /// By index of the link, in the kernel's order.
    pub addresses: Arc<BTreeMap<u32, Vec<Address>>>,
    pub routes4: Arc<BTreeSet<Route>>,
    pub routes6: Arc<BTreeSet<Route>>,
    /// Increases with every change of the routes: as long as it is the same, so are they.
    pub route_changes: u64,
    /// IPv4 first, each family in the kernel's order of evaluation.
    pub rules: Arc<Vec<Rule>>,
    /// By index of the bridge or its port.
    pub vlans: Arc<BTreeMap<u32, Vec<BridgeVlans>>>,
    pub devices: Arc<BTreeMap<u32, Device>>,
    pub ethtool: Arc<BTreeMap<u32, Arc<Ethtool>>>,
    /// Names of ethtool features, by number.
    pub feature_names: Arc<Vec<Box<str>>>,
    pub host: Arc<Host>,
}

/// What notifications made doubtful, to be asked anew.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    pub routes4: bool,
    pub routes6: bool,
    /// VLANs of these bridge ports.
    pub vlans: BTreeSet<u32>,
    /// Links that are new, renamed, or changed their operational state.
    pub devices: BTreeSet<u32>,
    /// Links whose IPv4 routes the kernel dropped without a word.
    gone: BTreeSet<u32>,
    /// Links that lost their last IPv4 address, and with it their IPv4 routes, perhaps to get others.
    bare: BTreeSet<u32>,
    /// Addresses whose removal may have dropped IPv4 routes with that source.
    gone_sources: BTreeSet<IpAddr>,
}

impl Image {
    pub fn link_by_name(&self, name: &str) -> Option<&Link> {
        let mut links = self.links.values().map(Arc::as_ref);
        links.find(|link| &*link.name == name)
    }

    pub fn link_name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| &*link.name)
    }

    pub fn addresses_of(&self, index: u32) -> &[Address] {
        self.addresses.get(&index).map_or(&[], Vec::as_slice)
    }

    /// Returns all routes, IPv4 first, each family by table, destination and metric.
    pub fn routes(&self) -> impl Iterator<Item = &Route> {
        self.routes4.iter().chain(self.routes6.iter())
    }

    /// Follows one notification. Returns whether anything changed.
    pub(super) fn follow(&mut self, message: &Message<'_>, doubts: &mut Doubts) -> bool {
        let replaces = message.flags & libc::NLM_F_REPLACE as u16 != 0;
        match message.kind {
            libc::RTM_NEWLINK => self.follow_link(message, doubts),
            libc::RTM_DELLINK => self.follow_link_gone(message, doubts),
            libc::RTM_NEWADDR => Address::read(message).is_some_and(|new| self.add_address(new)),
            libc::RTM_DELADDR => Address::read(message).is_some_and(|old| self.remove_address(&old, doubts)),
            libc::RTM_NEWROUTE => {
                let Some(route) = Route::read(message) else {
                    return false;
                };
                let via_gone = |hop: &super::Hop| doubts.gone.contains(&hop.link);
                if !route.is_v6() && route.hops.as_slice().iter().any(via_gone) {
                    self.drop_gone(doubts);
                }
                let (routes, doubt) = self.table(route.is_v6(), doubts);
                *doubt |= route::add(routes, route, replaces) == Followed::Ambiguous;
                true
            }
            libc::RTM_DELROUTE => {
                let Some(route) = Route::read(message) else {
                    return false;
                };
                let (routes, doubt) = self.table(route.is_v6(), doubts);
                *doubt |= route::remove(routes, &route) == Followed::Ambiguous;
                true
            }
            libc::RTM_NEWRULE => Rule::read(message).is_some_and(|rule| {
                rule::add(Arc::make_mut(&mut self.rules), rule);
                true
            }),
            libc::RTM_DELRULE => Rule::read(message).is_some_and(|rule| {
                rule::remove(Arc::make_mut(&mut self.rules), &rule);
                true
            }),
            RTM_NEWVLAN | RTM_DELVLAN => {
                // struct br_vlan_msg: family, two reserved, index
                let index = message
                    .body::<8>()
                    .map(|(header, _)| u32::from_ne_bytes([header[4], header[5], header[6], header[7]]));
                doubts.vlans.extend(index);
                false
            }
            _ => false,
        }
    }

    fn table<'a>(
        &'a mut self,
        is_v6: bool,
        doubts: &'a mut Doubts,
    ) -> (&'a mut BTreeSet<Route>, &'a mut bool) {
        self.route_changes += 1;
        if is_v6 {
            (Arc::make_mut(&mut self.routes6), &mut doubts.routes6)
        } else {
            (Arc::make_mut(&mut self.routes4), &mut doubts.routes4)
        }
    }

    /// Takes all routes of a family as they were asked for anew. Returns whether they differ.
    pub(super) fn put_routes(&mut self, is_v6: bool, routes: BTreeSet<Route>) -> bool {
        let known = if is_v6 { &mut self.routes6 } else { &mut self.routes4 };
        let changed = **known != routes;
        if changed {
            *known = Arc::new(routes);
            self.route_changes += 1;
        }
        changed
    }

    fn follow_link(&mut self, message: &Message<'_>, doubts: &mut Doubts) -> bool {
        match link::identity(message) {
            Some((libc::AF_UNSPEC, _)) => {
                Link::read(message).is_some_and(|link| self.put_link(link, Source::Notified, doubts))
            }
            Some((libc::AF_INET6, index)) => {
                let Some(inet6) = link::read_inet6(message) else {
                    return false;
                };
                self.change_link(index, |link| link.inet6 = Some(inet6))
            }
            Some((libc::AF_BRIDGE, index)) => link::read_bridge(message).is_some_and(|told| {
                if told.vlans.is_some() {
                    doubts.vlans.remove(&index);
                }
                self.put_bridge(index, told)
            }),
            _ => false,
        }
    }

    /// Takes what a message of the family bridge tells: a bridge port's settings and VLANs.
    pub(super) fn put_bridge(&mut self, index: u32, told: BridgeTold) -> bool {
        let BridgeTold { port, vlans } = told;
        let mut changed = false;
        if let Some(vlans) = vlans
            && self.vlans.get(&index) != Some(&vlans)
        {
            Arc::make_mut(&mut self.vlans).insert(index, vlans);
            changed = true;
        }
        if let Some(port) = port {
            changed |= self.change_link(index, |link| {
                if matches!(link.port, None | Some(PortData::Bridge(_))) {
                    link.port = Some(PortData::Bridge(Box::new(port)));
                }
            });
        }
        changed
    }

    fn change_link(&mut self, index: u32, change: impl FnOnce(&mut Link)) -> bool {
        let Some(old) = self.links.get(&index) else {
            return false;
        };
        let mut new = Link::clone(old);
        change(&mut new);
        let changed = new != **old;
        if changed {
            Arc::make_mut(&mut self.links).insert(index, Arc::new(new));
        }
        changed
    }

    /// Takes a link's present description. Returns whether it differs from the former.
    pub(super) fn put_link(&mut self, mut link: Link, source: Source, doubts: &mut Doubts) -> bool {
        let old = self.links.get(&link.index);
        if let Some(old) = old {
            if source == Source::Notified {
                link.vfs.clone_from(&old.vfs);
            }
            if **old == link {
                return false;
            }
            if old.is_up() && !link.is_up() {
                doubts.gone.insert(link.index);
            }
        }
        if old.is_none_or(|old| old.name != link.name || old.operstate != link.operstate) {
            doubts.devices.insert(link.index);
        }
        Arc::make_mut(&mut self.links).insert(link.index, Arc::new(link));
        true
    }

    fn follow_link_gone(&mut self, message: &Message<'_>, doubts: &mut Doubts) -> bool {
        match link::identity(message) {
            Some((libc::AF_UNSPEC, index)) => self.remove_link(index, doubts),
            // It is no bridge port any more.
            Some((libc::AF_BRIDGE, index)) => {
                doubts.vlans.remove(&index);
                self.vlans.contains_key(&index) && Arc::make_mut(&mut self.vlans).remove(&index).is_some()
            }
            _ => false,
        }
    }

    /// Removes a link and what the kernel removes with it.
    pub(super) fn remove_link(&mut self, index: u32, doubts: &mut Doubts) -> bool {
        if Arc::make_mut(&mut self.links).remove(&index).is_none() {
            return false;
        }
        Arc::make_mut(&mut self.addresses).remove(&index);
        Arc::make_mut(&mut self.vlans).remove(&index);
        Arc::make_mut(&mut self.devices).remove(&index);
        Arc::make_mut(&mut self.ethtool).remove(&index);
        doubts.gone.insert(index);
        doubts.vlans.remove(&index);
        doubts.devices.remove(&index);
        true
    }

    pub(super) fn add_address(&mut self, new: Address) -> bool {
        let list = Arc::make_mut(&mut self.addresses).entry(new.link).or_default();
        match list.iter_mut().find(|old| old.is_same(&new)) {
            Some(old) if *old == new => false,
            Some(old) => {
                *old = new;
                true
            }
            None => {
                list.insert(new.place(list), new);
                true
            }
        }
    }

    fn remove_address(&mut self, gone: &Address, doubts: &mut Doubts) -> bool {
        let addresses = Arc::make_mut(&mut self.addresses);
        let Some(list) = addresses.get_mut(&gone.link) else {
            return false;
        };
        let before = list.len();
        list.retain(|address| !address.is_same(gone));
        if gone.ip.is_ipv4() {
            doubts.gone_sources.insert(gone.ip);
        }
        let changed = before != list.len();
        if gone.ip.is_ipv4() && !list.iter().any(|address| address.ip.is_ipv4()) {
            doubts.bare.insert(gone.link);
        }
        if list.is_empty() {
            addresses.remove(&gone.link);
        }
        changed
    }

    /// Settles what can be settled without asking, once all notifications are followed: IPv4
    /// routes that went with their link, its last address or their source address, which the kernel
    /// does not announce (net/ipv4/fib_frontend.c, `fib_flush`).
    pub(super) fn settle(&mut self, doubts: &mut Doubts) -> bool {
        let changed = self.drop_gone(doubts);
        if !doubts.gone_sources.is_empty() {
            let sources = std::mem::take(&mut doubts.gone_sources);
            let lost = |route: &&Route| route.source.is_some_and(|ip| sources.contains(&ip));
            doubts.routes4 |= self.routes4.iter().any(|route| lost(&route));
        }
        if !doubts.bare.is_empty() {
            let bare = std::mem::take(&mut doubts.bare);
            let through = |route: &Route| route.hops.as_slice().iter().any(|hop| bare.contains(&hop.link));
            doubts.routes4 |= self.routes4.iter().any(through);
        }
        changed
    }

    fn drop_gone(&mut self, doubts: &mut Doubts) -> bool {
        if doubts.gone.is_empty() {
            return false;
        }
        let gone = std::mem::take(&mut doubts.gone);
        let mut dropped = Vec::new();
        for route in self.routes4.iter() {
            match &route.hops {
                // The kernel keeps a local route until its address goes, and tells then.
                Hops::One(hop) if gone.contains(&hop.link) => {
                    if !self.links.contains_key(&hop.link) || route.scope < RT_SCOPE_HOST {
                        dropped.push(route.clone());
                    }
                }
                Hops::Many(hops) if hops.iter().any(|hop| gone.contains(&hop.link)) => {
                    doubts.routes4 = true;
                }
                Hops::None | Hops::One(_) | Hops::Many(_) => {}
            }
        }
        if dropped.is_empty() {
            return false;
        }
        let routes = Arc::make_mut(&mut self.routes4);
        for route in &dropped {
            routes.remove(route);
        }
        self.route_changes += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [u16; 10] = [
        libc::RTM_NEWLINK,
        libc::RTM_DELLINK,
        libc::RTM_NEWADDR,
        libc::RTM_DELADDR,
        libc::RTM_NEWROUTE,
        libc::RTM_DELROUTE,
        libc::RTM_NEWRULE,
        libc::RTM_DELRULE,
        RTM_NEWVLAN,
        RTM_DELVLAN,
    ];

    /// A run of attributes with plausible types and any payload, some of them nested.
    fn attributes() -> impl Strategy<Value = Vec<u8>> {
        let payload = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..24),
            (0_u16..40, proptest::collection::vec(any::<u8>(), 0..16)).prop_map(|(kind, bytes)| {
                let mut nested = (u16::try_from(bytes.len() + 4).unwrap_or(4)).to_ne_bytes().to_vec();
                nested.extend(kind.to_ne_bytes());
                nested.extend(bytes);
                nested
            }),
        ];
        proptest::collection::vec((0_u16..64, payload, -2_i32..3), 0..12).prop_map(|list| {
            let mut bytes = Vec::new();
            for (kind, payload, slip) in list {
                let length = i32::try_from(payload.len() + 4).unwrap_or(4) + slip;
                bytes.extend(u16::try_from(length).unwrap_or(0).to_ne_bytes());
                bytes.extend(kind.to_ne_bytes());
                bytes.extend(payload);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn no_notification_is_too_odd_to_follow(
            messages in proptest::collection::vec(
                (0..KINDS.len(), any::<u16>(), 0_u8..12, proptest::collection::vec(0_u8..4, 16), attributes()),
                1..12,
            ),
        ) {
            let (mut image, mut doubts) = (Image::default(), Doubts::default());
            for (kind, flags, family, mut payload, attributes) in messages {
                payload[0] = family;
                payload.extend(attributes);
                let message = Message { kind: KINDS[kind], flags, sequence: 0, payload: &payload };
                image.follow(&message, &mut doubts);
            }
            image.settle(&mut doubts);
            // What was made of it can be shown, too.
            crate::kernel::show::show(&image, crate::kernel::show::Scope::Everything);
        }
    }
}
