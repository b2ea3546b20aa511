//! What a rollback leaves to the kernel: interfaces that NetworkManager does not hold, and what it
//! has no place for. Pure.

use std::collections::BTreeSet;

use super::snapshot::{Private, actives};
use super::work::Layer;
use crate::nm::image::Image;
use crate::state::{Interface, InterfaceType, Route, Routes, Shared, State};

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
/// NetworkManager holds.
pub(super) fn goal(back: State, now: &State, held: &BTreeSet<String>) -> State {
    let mut goal = back;
    let is_held = |interface: &Interface| {
        let of_ovs = *interface.kind() == InterfaceType::OvsInterface;
        held.contains(&interface.name) || interface.kind().is_userspace() || of_ovs
    };
    let was = goal.interfaces.take().unwrap_or_default();
    let mut interfaces: Vec<Interface> = was.iter().filter(|was| !is_held(was)).cloned().collect();
    for interface in now.interfaces().iter().filter(|interface| is_held(interface)) {
        let mut interface = interface.clone();
        if let Some(was) = was.iter().find(|was| was.name == interface.name && was.kind() == interface.kind())
        {
            interface.alt_names.clone_from(&was.alt_names);
            // A link that is made again draws another one.
            if DRAWS_ADDRESS.contains(interface.kind()) {
                interface.mac_address = was.mac_address.or(interface.mac_address);
            }
        }
        interfaces.push(interface);
    }
    goal.interfaces = Some(interfaces);
    if !goal.shares_routes_with(now) {
        goal.routes = Some(Routes { running: None, config: Some(routes(&goal, now, held)) });
    }
    goal.dns_resolver.clone_from(&now.dns_resolver);
    if let (Some(goal), Some(now)) = (&mut goal.hostname, &now.hostname) {
        goal.config.clone_from(&now.config);
    }
    goal.ovs_db.clone_from(&now.ovs_db);
    goal.ovn.clone_from(&now.ovn);
    goal
}

fn routes(back: &State, now: &State, held: &BTreeSet<String>) -> Shared<Route> {
    let is_held = |route: &&Route| route.next_hop_interface.as_ref().is_some_and(|name| held.contains(name));
    let back = back.config_routes().iter().filter(|route| !is_held(route));
    back.chain(now.config_routes().iter().filter(is_held)).cloned().collect()
}
