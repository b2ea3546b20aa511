//! Who rests on whom: ports and controllers, children and parents, the two ends of a veth.

use crate::state::{
    Bridge, Interface, InterfaceType, LinuxBridgePort, OvsBondPort, OvsBridge, OvsBridgePort,
};

/// `ethernet` and `veth` are one kind: a document may call a veth either (semantics A9).
pub fn same_kind(a: &InterfaceType, b: &InterfaceType) -> bool {
    let is_ethernet = |kind: &InterfaceType| matches!(kind, InterfaceType::Ethernet | InterfaceType::Veth);
    a == b || (is_ethernet(a) && is_ethernet(b))
}

/// Whether a port has the address that its bond gives its ports for as long as they are ports
/// (Documentation/networking/bonding.rst, fail_over_mac).
pub fn has_bonds_mac(port: &Interface, controller: &Interface) -> bool {
    *controller.kind() == InterfaceType::Bond && controller.mac_address == port.mac_address
}

/// Interfaces that the kernel makes when a module is loaded, and never removes (ip-link(8)).
pub const FALLBACK_TUNNELS: [&str; 9] =
    ["tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6tnl0", "ip6gre0", "ip6_vti0"];

/// Whether `absent` deletes it from the kernel: virtual ones, both ends of a veth, and an IPoIB
/// child.
pub fn is_removable(interface: &Interface) -> bool {
    let kind = interface.kind();
    if FALLBACK_TUNNELS.contains(&interface.name.as_str()) {
        return false;
    }
    kind.is_virtual()
        || *kind == InterfaceType::Veth
        || (*kind == InterfaceType::Infiniband && parent(interface).is_some())
}

/// The interface that carries it, so that its removal ends it (semantics A8). For
/// `ovs-interface` that is its controller, which is handled as such.
pub fn parent(interface: &Interface) -> Option<&str> {
    let name = match interface.kind() {
        InterfaceType::Vlan => interface.vlan.as_ref()?.base_iface.as_deref(),
        InterfaceType::Vxlan => interface.vxlan.as_ref()?.base_iface.as_deref(),
        InterfaceType::MacVlan => interface.mac_vlan.as_ref().map(|own| own.base_iface.as_str()),
        InterfaceType::MacVtap => interface.mac_vtap.as_ref().map(|own| own.base_iface.as_str()),
        InterfaceType::Macsec => interface.macsec.as_ref().map(|own| own.base_iface.as_str()),
        InterfaceType::Infiniband => interface.infiniband.as_ref()?.base_iface.as_deref(),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

/// The interface that must be there before it, be it a parent or only named as base: the kernel
/// deletes an `ipvlan` with its base, but lets an `ip-tunnel` live.
pub fn base(interface: &Interface) -> Option<&str> {
    let name = match interface.kind() {
        InterfaceType::Ipvlan => interface.ipvlan.as_ref()?.base_iface.as_deref(),
        InterfaceType::IpTunnel => interface.ip_tunnel.as_ref()?.base_iface.as_deref(),
        _ => return parent(interface),
    };
    name.filter(|name| !name.is_empty())
}

/// Where the base is named, as a path below the interface.
pub fn base_path(kind: &InterfaceType) -> String {
    format!("{}.base-iface", kind.word())
}

/// The same, to be renamed.
pub fn base_mut(interface: &mut Interface) -> Option<&mut String> {
    let name = match interface.kind.as_ref()? {
        InterfaceType::Vlan => interface.vlan.as_mut()?.base_iface.as_mut(),
        InterfaceType::Vxlan => interface.vxlan.as_mut()?.base_iface.as_mut(),
        InterfaceType::MacVlan => interface.mac_vlan.as_mut().map(|own| &mut own.base_iface),
        InterfaceType::MacVtap => interface.mac_vtap.as_mut().map(|own| &mut own.base_iface),
        InterfaceType::Macsec => interface.macsec.as_mut().map(|own| &mut own.base_iface),
        InterfaceType::Infiniband => interface.infiniband.as_mut()?.base_iface.as_mut(),
        InterfaceType::Ipvlan => interface.ipvlan.as_mut()?.base_iface.as_mut(),
        InterfaceType::IpTunnel => interface.ip_tunnel.as_mut()?.base_iface.as_mut(),
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

/// The peer of a veth.
pub fn peer(interface: &Interface) -> Option<&str> {
    interface.veth.as_ref().map(|veth| veth.peer.as_str()).filter(|peer| !peer.is_empty())
}

/// The ports of a controller. None where the entry does not mention them.
pub fn ports(interface: &Interface) -> Option<Vec<&str>> {
    match interface.kind() {
        InterfaceType::Bond => {
            let bond = interface.bond.as_ref()?;
            let plain = bond.port.as_ref().map(|ports| ports.iter().map(String::as_str).collect());
            let configs = bond.ports_config.as_ref();
            plain.or_else(|| configs.map(|ports| ports.iter().map(|port| port.name.as_str()).collect()))
        }
        InterfaceType::LinuxBridge => {
            let ports = interface.bridge.as_ref()?.linux()?.port.as_ref()?;
            Some(ports.iter().map(|port| port.name.as_str()).collect())
        }
        InterfaceType::OvsBridge => {
            let ports = interface.bridge.as_ref()?.ovs()?.port.as_ref()?;
            Some(ports.iter().flat_map(ovs_members).collect())
        }
        InterfaceType::Vrf => {
            Some(interface.vrf.as_ref()?.port.as_ref()?.iter().map(String::as_str).collect())
        }
        InterfaceType::Hsr => {
            let hsr = interface.hsr.as_ref()?;
            let interlink = hsr.interlink.as_deref().filter(|name| !name.is_empty());
            Some([hsr.port1.as_str(), hsr.port2.as_str()].into_iter().chain(interlink).collect())
        }
        _ => None,
    }
}

/// The interfaces of an Open vSwitch port: those of its bond, or the port itself.
fn ovs_members(port: &OvsBridgePort) -> Vec<&str> {
    match port.bond.as_ref().and_then(|bond| bond.port.as_ref()) {
        Some(members) => members.iter().map(|member| member.name.as_str()).collect(),
        None => vec![&port.name],
    }
}

/// Renames the ports of a controller, wherever it names them.
pub fn rename_ports(interface: &mut Interface, rename: impl Fn(&mut String)) {
    if let Some(bond) = interface.bond.as_deref_mut() {
        bond.port.iter_mut().flatten().for_each(&rename);
        bond.ports_config.iter_mut().flatten().for_each(|port| rename(&mut port.name));
    }
    match interface.bridge.as_deref_mut() {
        Some(Bridge::Linux(bridge)) => {
            bridge.port.iter_mut().flatten().for_each(|port| rename(&mut port.name));
        }
        Some(Bridge::Ovs(bridge)) => {
            for port in bridge.port.iter_mut().flatten() {
                match port.bond.as_mut().and_then(|bond| bond.port.as_mut()) {
                    Some(members) => members.iter_mut().for_each(|member| rename(&mut member.name)),
                    None => rename(&mut port.name),
                }
            }
        }
        None => {}
    }
    if let Some(vrf) = &mut interface.vrf {
        vrf.port.iter_mut().flatten().for_each(&rename);
    }
    if let Some(hsr) = &mut interface.hsr {
        [Some(&mut hsr.port1), Some(&mut hsr.port2), hsr.interlink.as_mut()]
            .into_iter()
            .flatten()
            .for_each(&rename);
    }
}

/// Keeps only some ports of a controller. The ports of an HSR are part of it and stay.
pub fn retain_ports(interface: &mut Interface, keep: impl Fn(&str) -> bool) {
    if let Some(bond) = interface.bond.as_deref_mut() {
        bond.port.iter_mut().for_each(|ports| ports.retain(|port| keep(port)));
        bond.ports_config.iter_mut().for_each(|ports| ports.retain(|port| keep(&port.name)));
    }
    match interface.bridge.as_deref_mut() {
        Some(Bridge::Linux(bridge)) => {
            bridge.port.iter_mut().for_each(|ports| ports.retain(|port| keep(&port.name)));
        }
        Some(Bridge::Ovs(bridge)) => {
            for ports in bridge.port.iter_mut() {
                for bond in ports.iter_mut().filter_map(|port| port.bond.as_mut()) {
                    bond.port.iter_mut().for_each(|members| members.retain(|member| keep(&member.name)));
                }
                ports.retain(|port| match port.bond.as_ref().and_then(|bond| bond.port.as_ref()) {
                    Some(members) => !members.is_empty(),
                    None => keep(&port.name),
                });
            }
        }
        None => {}
    }
    if let Some(vrf) = &mut interface.vrf {
        vrf.port.iter_mut().for_each(|ports| ports.retain(|port| keep(port)));
    }
}

/// Adds a port to a controller that has a list; without one there is nothing to keep true.
pub fn add_port(interface: &mut Interface, name: &str) {
    match interface.kind.clone() {
        Some(InterfaceType::Bond) => {
            if let Some(bond) = interface.bond.as_deref_mut() {
                bond.port.get_or_insert_default().push(name.to_owned());
            }
        }
        Some(InterfaceType::LinuxBridge) => {
            if let Some(bridge) = interface.bridge.as_deref_mut().and_then(Bridge::linux_mut) {
                bridge.port.get_or_insert_default().push(linux_port(name));
            }
        }
        Some(InterfaceType::OvsBridge) => {
            if let Some(bridge) = interface.bridge.as_deref_mut().and_then(Bridge::ovs_mut) {
                let port = OvsBridgePort { name: name.to_owned(), bond: None, vlan: None };
                bridge.port.get_or_insert_default().push(port);
            }
        }
        Some(InterfaceType::Vrf) => {
            if let Some(vrf) = &mut interface.vrf {
                vrf.port.get_or_insert_default().push(name.to_owned());
            }
        }
        _ => {}
    }
}

/// Adds a port to a controller as it is in `from`, its settings included.
pub fn adopt_port(interface: &mut Interface, from: &Interface, name: &str) {
    if let (Some(Bridge::Ovs(bridge)), Some(Bridge::Ovs(source))) =
        (interface.bridge.as_deref_mut(), from.bridge.as_deref())
    {
        return adopt_ovs_port(bridge, source, name);
    }
    add_port(interface, name);
    if let (Some(bond), Some(source)) = (&mut interface.bond, &from.bond) {
        let config = source.ports_config.iter().flatten().find(|port| port.name == name);
        bond.ports_config.get_or_insert_default().extend(config.cloned());
    }
    let (Some(bridge), Some(source)) = (interface.bridge.as_deref_mut(), from.bridge.as_deref()) else {
        return;
    };
    match (bridge, source) {
        (Bridge::Linux(bridge), Bridge::Linux(source)) => {
            let port = source.port.iter().flatten().find(|port| port.name == name);
            let place = bridge.port.iter_mut().flatten().find(|port| port.name == name);
            place.zip(port).into_iter().for_each(|(place, port)| place.clone_from(port));
        }
        (Bridge::Ovs(_), _) | (_, Bridge::Ovs(_)) => {}
    }
}

/// A port of a bond comes with its bond.
fn adopt_ovs_port(bridge: &mut OvsBridge, source: &OvsBridge, name: &str) {
    let ports = bridge.port.get_or_insert_default();
    let mut port = source
        .port
        .iter()
        .flatten()
        .find(|port| ovs_members(port).contains(&name))
        .cloned()
        .unwrap_or_else(|| OvsBridgePort { name: name.to_owned(), bond: None, vlan: None });
    if let Some(bond) = &mut port.bond {
        let member = OvsBondPort { name: name.to_owned() };
        let present = ports.iter_mut().find(|present| present.name == port.name);
        if let Some(present) = present.and_then(|present| present.bond.as_mut()) {
            present.port.get_or_insert_default().push(member);
            return;
        }
        bond.port = Some(vec![member]);
    }
    ports.push(port);
}

/// A bridge port that only has a name.
pub fn linux_port(name: &str) -> LinuxBridgePort {
    LinuxBridgePort {
        name: name.to_owned(),
        stp_hairpin_mode: None,
        stp_path_cost: None,
        stp_priority: None,
        vlan: None,
    }
}
