//! What a rollback leaves to the kernel: interfaces that NetworkManager does not hold, and what it
//! has no place for. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::{Private, actives};
use super::work::Layer;
use crate::backend::kernel::op::Op;
use crate::nm::image::Image;
use crate::nm::{Profile, Setting, Value};
use crate::plan::{family, is_static};
use crate::state::{Address, Interface, InterfaceType, Ip, Route, Routes, Shared, State};

/// Links whose hardware address is neither that of a device nor that of another link.
const DRAWS_ADDRESS: [InterfaceType; 7] = [
    InterfaceType::Dummy,
    InterfaceType::LinuxBridge,
    InterfaceType::MacVlan,
    InterfaceType::MacVtap,
    InterfaceType::Veth,
    InterfaceType::Vrf,
    InterfaceType::Vxlan,
];

/// Names of kernel interfaces that NetworkManager configures, now or as it was.
pub(super) fn held(was: &Private, image: &Image) -> BTreeSet<String> {
    let of_kernel = was.actives.iter().cloned().chain(actives(image));
    let of_kernel = of_kernel.filter(|active| active.which.layer == Layer::Kernel);
    of_kernel.map(|active| active.which.name).collect()
}

/// The state that the kernel alone is to be brought to: `back`, but as it is `now` in what
/// NetworkManager holds. There, only what is too much is taken away, and what no profile had is
/// given back: the rest NetworkManager may still be about to set.
pub(super) fn goal(back: State, now: &State, was: &Private, held: &BTreeSet<String>) -> State {
    let mut goal = back;
    let foreign = Foreign::of(was);
    let is_held = |interface: &Interface| {
        let of_ovs = *interface.kind() == InterfaceType::OvsInterface;
        held.contains(&interface.name) || interface.kind().is_userspace() || of_ovs
    };
    let then = goal.interfaces.take().unwrap_or_default();
    let mut interfaces: Vec<Interface> = then.iter().filter(|then| !is_held(then)).cloned().collect();
    for interface in now.interfaces().iter().filter(|interface| is_held(interface)) {
        let then = then.iter().find(|then| then.name == interface.name && then.kind() == interface.kind());
        interfaces.push(then.map_or_else(|| interface.clone(), |then| link(interface, then, &foreign)));
    }
    goal.interfaces = Some(interfaces);
    if !goal.shares_routes_with(now) {
        goal.routes = Some(Routes { running: None, config: Some(routes(&goal, now, held, &foreign)) });
    }
    goal.dns_resolver.clone_from(&now.dns_resolver);
    if let (Some(goal), Some(now)) = (&mut goal.hostname, &now.hostname) {
        goal.config.clone_from(&now.config);
    }
    goal.ovs_db.clone_from(&now.ovs_db);
    goal.ovn.clone_from(&now.ovn);
    goal
}

/// An interface that NetworkManager holds.
fn link(now: &Interface, then: &Interface, foreign: &Foreign<'_>) -> Interface {
    let mut goal = now.clone();
    goal.alt_names.clone_from(&then.alt_names);
    // What a profile sets, it does not set back when it says nothing of it any more.
    // One of Open vSwitch that is still to come has no link, and so no MTU.
    goal.mtu = goal.mtu.and(then.mtu.or(goal.mtu));
    goal.accept_all_mac_addresses = then.accept_all_mac_addresses;
    goal.ethtool.clone_from(&then.ethtool);
    // A link that is made again draws another one.
    if DRAWS_ADDRESS.contains(goal.kind()) {
        goal.mac_address = then.mac_address.or(goal.mac_address);
    }
    for (goal, then) in [(&mut goal.ipv4, &then.ipv4), (&mut goal.ipv6, &then.ipv6)] {
        let (Some(goal), Some(then)) = (goal.as_deref_mut(), then.as_deref()) else { continue };
        let Some(addresses) = goal.address.as_mut().filter(|_| then.is_enabled()) else { continue };
        addresses.retain(|now| !is_static(now) || then.addresses().iter().any(|then| is_same(now, then)));
        let lost =
            then.addresses().iter().filter(|then| is_static(then) && foreign.has_address(&now.name, then));
        let lost: Vec<Address> =
            lost.filter(|then| !addresses.iter().any(|now| is_same(now, then))).cloned().collect();
        addresses.extend(lost);
    }
    goal
}

fn routes(back: &State, now: &State, held: &BTreeSet<String>, foreign: &Foreign<'_>) -> Shared<Route> {
    let is_held = |route: &Route| route.next_hop_interface.as_ref().is_some_and(|name| held.contains(name));
    let is_there = |state: &State, route: &Route| state.config_routes().contains(route);
    let back_routes = back.config_routes().iter();
    let back_routes =
        back_routes.filter(|route| !is_held(route) || is_there(now, route) || foreign.has_route(route));
    back_routes.cloned().collect()
}

/// Names of interfaces that lack addresses or routes of before which profiles have.
pub(super) fn amiss(back: &State, now: &State, was: &Private) -> BTreeSet<String> {
    let foreign = Foreign::of(was);
    let lacks = |then: &&Interface| lacks_address(then, now.interface(&then.name), &foreign);
    let interfaces = back.interfaces().iter().map(|one| -> &Interface { one });
    let mut amiss: BTreeSet<String> = interfaces.filter(lacks).map(|one| one.name.clone()).collect();
    if !back.shares_routes_with(now) {
        let routes = back.config_routes().iter();
        let routes = routes.filter(|route| !foreign.has_route(route) && !now.config_routes().contains(route));
        amiss.extend(routes.filter_map(|route| route.next_hop_interface.clone()));
    }
    amiss
}

fn lacks_address(then: &Interface, now: Option<&Interface>, foreign: &Foreign<'_>) -> bool {
    [false, true].into_iter().any(|v6| {
        let present = family(now, v6).map(Ip::addresses).unwrap_or_default();
        let then_ip = family(Some(then), v6).filter(|ip| ip.is_enabled());
        let addresses = then_ip.map(Ip::addresses).unwrap_or_default().iter();
        let mut own = addresses.filter(|one| is_static(one) && !foreign.has_address(&then.name, one));
        own.any(|one| !present.iter().any(|other| is_same(one, other)))
    })
}

/// Whether it sets an address that is there already, on what NetworkManager holds. The kernel backend does so where an
/// address may have been lost with another one; NetworkManager's have flags of their own (`noprefixroute`), and if one
/// is lost, it is amiss.
pub(super) fn is_said_again(op: &Op, now: &State, held: &BTreeSet<String>) -> bool {
    let Op::AddAddress { link, address, prefix, .. } = op else { return false };
    let there = [false, true].into_iter().filter_map(|v6| family(now.interface(link), v6));
    let is_it = |one: &Address| (one.ip, one.prefix_length) == (*address, *prefix);
    held.contains(link) && there.flat_map(Ip::addresses).any(is_it)
}

fn is_same(a: &Address, b: &Address) -> bool {
    (a.ip, a.prefix_length) == (b.ip, b.prefix_length)
}

/// Addresses and routes of before that no profile had: others have set them.
struct Foreign<'a> {
    applied: BTreeMap<&'a str, Vec<&'a Profile>>,
}

impl<'a> Foreign<'a> {
    fn of(was: &'a Private) -> Self {
        let mut applied: BTreeMap<&str, Vec<&Profile>> = BTreeMap::new();
        for active in &was.actives {
            let stored = was.profiles.get(&active.uuid).map(|was| &was.profile);
            let of = applied.entry(active.which.name.as_str()).or_default();
            of.extend(active.applied.as_ref().into_iter().chain(stored));
        }
        Self { applied }
    }

    fn entries(&self, name: &str, list: &str) -> impl Iterator<Item = &'a Setting> {
        let profiles = self.applied.get(name).cloned().unwrap_or_default();
        let families =
            profiles.into_iter().flat_map(|profile| [profile.0.get("ipv4"), profile.0.get("ipv6")]);
        let list = list.to_owned();
        families.flatten().filter_map(move |ip| ip.get(&list)?.as_dicts()).flatten()
    }

    fn has_address(&self, name: &str, address: &Address) -> bool {
        let ip = address.ip.to_string();
        let is_it = |entry: &Setting| entry.get("address").and_then(Value::as_text) == Some(&ip);
        !self.entries(name, "address-data").any(is_it)
    }

    fn has_route(&self, route: &Route) -> bool {
        let Some(name) = route.next_hop_interface.as_deref() else { return true };
        let destination = route.destination.as_ref().map(ToString::to_string).unwrap_or_default();
        let is_it = |entry: &Setting| {
            let prefix = entry.get("prefix").and_then(Value::as_number).unwrap_or_default();
            let to = entry.get("dest").and_then(Value::as_text).unwrap_or_default();
            format!("{to}/{prefix}") == destination
        };
        let has_gateway = destination.ends_with("/0")
            && self.applied.get(name).into_iter().flatten().any(|profile| {
                ["ipv4", "ipv6"].iter().any(|family| profile.get(family, "gateway").is_some())
            });
        !has_gateway && !self.entries(name, "route-data").any(is_it)
    }
}
