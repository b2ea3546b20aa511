//! What would be there after a reboot, and what would not.

use std::collections::{BTreeMap, BTreeSet};

use super::NetplanBackend;
use super::observer::Configs;
use crate::backend::Backend;
use crate::netplan::Kind;
use crate::state::{Interface, InterfaceState, InterfaceType};

impl NetplanBackend {
    /// Interfaces that are not there, but that our file would bring; and those that are there, and that no
    /// file defines.
    pub(super) fn kept(&self) -> (BTreeMap<String, Interface>, BTreeSet<String>) {
        let last = self.images.files.last();
        // Nothing can be planned without.
        let (Ok(Configs { all, own, .. }), Ok(seen)) = (&last.read, self.observe()) else {
            return Default::default();
        };
        let devices = self.devices();
        let absent = own.netdefs.values().filter(|netdef| netdef.devices(&devices).is_empty());
        // A bridge of Open vSwitch is two interfaces, and a bond there none.
        let absent = absent.filter(|netdef| !own.is_of_openvswitch(netdef));
        let interface = |id: &str, kind| Interface::new(id, kind, InterfaceState::Down);
        let dormant =
            absent.filter_map(|netdef| Some((netdef.id.clone(), interface(&netdef.id, kind(netdef.kind)?))));
        let known = |interface: &&Interface| {
            interface.is_up() && NETDEFS.iter().any(|(_, kind)| kind == interface.kind())
        };
        let unkept = seen.state.interfaces().iter().filter(known).map(|interface| interface.name.clone());
        let unkept = unkept.filter(|name| all.netdef_of(name, &devices).is_none());
        (dormant.collect(), unkept.collect())
    }
}

/// Types of definitions, and what they make.
const NETDEFS: [(Kind, InterfaceType); 8] = [
    (Kind::Ethernet, InterfaceType::Ethernet),
    (Kind::Bond, InterfaceType::Bond),
    (Kind::Bridge, InterfaceType::LinuxBridge),
    (Kind::Vlan, InterfaceType::Vlan),
    (Kind::Vrf, InterfaceType::Vrf),
    (Kind::Dummy, InterfaceType::Dummy),
    (Kind::Veth, InterfaceType::Veth),
    (Kind::Tunnel, InterfaceType::Vxlan),
];

fn kind(kind: Kind) -> Option<InterfaceType> {
    NETDEFS.iter().find(|(known, _)| *known == kind).map(|(_, made)| made.clone())
}
