//! Interfaces: which links are shown, as what, and what they have in common.

use super::{Scope, ethtool, ip, kinds};
use crate::kernel::mirror::{Image, Link};
use crate::kernel::netlink::Hardware;
use crate::kernel::netlink::kinds::{Data, PortData};
use crate::state::{AltName, Interface, InterfaceState, InterfaceType, Mac};
use nix::libc;
use std::collections::BTreeMap;

/// The ports of each controller, sorted by name.
pub(super) struct Ports<'a>(BTreeMap<u32, Vec<&'a Link>>);

impl<'a> Ports<'a> {
    pub(super) fn of(image: &'a Image) -> Self {
        let mut ports: BTreeMap<u32, Vec<&Link>> = BTreeMap::new();
        for link in image.links.values() {
            // A controller in another namespace has an index there, not here.
            if let Some(controller) = link.controller {
                ports.entry(controller).or_default().push(link);
            }
        }
        for list in ports.values_mut() {
            list.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Self(ports)
    }

    pub(super) fn of_link(&self, link: &Link) -> &[&'a Link] {
        self.0.get(&link.index).map_or(&[], Vec::as_slice)
    }
}

pub(super) fn interfaces(image: &Image, ports: &Ports<'_>, scope: Scope) -> Vec<Interface> {
    let links = image.links.values();
    let mut interfaces: Vec<Interface> =
        links.filter_map(|link| Some(interface(image, link, kind(link)?, ports, scope))).collect();
    interfaces.sort_by(|a, b| (&a.name, &a.kind).cmp(&(&b.name, &b.kind)));
    interfaces
}

/// `ARPHRD_*`, linux/if_arp.h.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_INFINIBAND: u16 = 32;
const ARPHRD_LOOPBACK: u16 = 772;

/// Returns a link's type in the document; `None` if it is not shown.
fn kind(link: &Link) -> Option<InterfaceType> {
    // The data path of Open vSwitch, and Omni-Path, which is no InfiniBand but says so.
    if matches!(&*link.name, "ovs-system" | "ovs-netdev") || link.name.starts_with("hfi1") {
        return None;
    }
    let kind = match (link.data.as_ref(), link.hardware_type) {
        (Some(Data::Bond(_)), _) => InterfaceType::Bond,
        (Some(Data::Bridge(_)), _) => InterfaceType::LinuxBridge,
        (Some(Data::Hsr(_)), _) => InterfaceType::Hsr,
        (Some(Data::Ipip(_) | Data::Sit(_) | Data::Ip6tnl(_)), _) => InterfaceType::IpTunnel,
        (Some(Data::Ipoib(_)), _) | (None, ARPHRD_INFINIBAND) => InterfaceType::Infiniband,
        (Some(Data::Ipvlan(_)), _) => InterfaceType::Ipvlan,
        (Some(Data::Macsec(_)), _) => InterfaceType::Macsec,
        (Some(Data::Macvlan(_)), _) => InterfaceType::MacVlan,
        (Some(Data::Macvtap(_)), _) => InterfaceType::MacVtap,
        (Some(Data::Tun(_)), _) => InterfaceType::Tun,
        (Some(Data::Vlan(_)), _) => InterfaceType::Vlan,
        (Some(Data::Vrf(_)), _) => InterfaceType::Vrf,
        (Some(Data::Vxlan(_)), _) => InterfaceType::Vxlan,
        (Some(Data::Xfrm(_)), _) => InterfaceType::Xfrm,
        (Some(Data::Other(kind)), _) => match &**kind {
            "dummy" => InterfaceType::Dummy,
            // A simulated network card behaves as one.
            "netdevsim" => InterfaceType::Ethernet,
            "openvswitch" => InterfaceType::OvsInterface,
            "veth" => InterfaceType::Veth,
            // No document has ever described one, nor does the peer show it (schema 8.5).
            "vti" | "vti6" => return None,
            // Shown under the kernel's own name for it.
            kind => InterfaceType::Other(kind.to_owned()),
        },
        (None, ARPHRD_LOOPBACK) => InterfaceType::Loopback,
        (None, ARPHRD_ETHER) => InterfaceType::Ethernet,
        (None, _) => return None,
    };
    Some(kind)
}

fn interface(image: &Image, link: &Link, kind: InterfaceType, ports: &Ports<'_>, scope: Scope) -> Interface {
    let state = match (&kind, link.is_up()) {
        // What documents cannot describe is nobody's to change (semantics S10).
        (InterfaceType::Tun | InterfaceType::Other(_), _) => InterfaceState::Ignore,
        _ if is_fallback(link) => InterfaceState::Ignore,
        (_, true) => InterfaceState::Up,
        (_, false) => InterfaceState::Down,
    };
    let device = image.devices.get(&link.index);
    let limit = |limit: Option<u32>| limit.filter(|_| scope == Scope::Everything).map(u64::from);
    let controller = link.controller.and_then(|index| image.link_name(index));
    let alt_names = link.alt_names.iter();
    let alt_names: Vec<AltName> =
        alt_names.map(|name| AltName { name: name.to_string(), state: None }).collect();
    let mut interface = Interface {
        driver: device.and_then(|device| device.driver.as_deref()).map(str::to_owned),
        mac_address: link.address.as_ref().filter(|mac| is_mac(mac)).and_then(mac),
        permanent_mac_address: permanent_address(link).filter(|mac| is_mac(mac)).and_then(mac),
        pci_address: device.and_then(|device| device.bus_address.as_deref()?.parse().ok()),
        mtu: Some(u64::from(link.mtu)),
        min_mtu: limit(link.min_mtu),
        max_mtu: limit(link.max_mtu),
        ipv4: Some(Box::new(ip::ipv4(image, link, scope))),
        ipv6: Some(Box::new(ip::ipv6(image, link, scope))),
        controller: controller.filter(|name| *name != "ovs-system").map(str::to_owned),
        accept_all_mac_addresses: Some(link.has(libc::IFF_PROMISC)),
        ethtool: ethtool::ethtool(image, link).map(Box::new),
        alt_names: (!alt_names.is_empty()).then_some(alt_names),
        ..Interface::new(&*link.name, kind, state)
    };
    kinds::add_section(image, link, ports, &mut interface);
    interface
}

/// The links that the tunnel modules make by themselves, for what no tunnel takes. They cannot be
/// deleted, so they are nobody's to configure (`ip_tunnel_init_net` and its like).
fn is_fallback(link: &Link) -> bool {
    let any = |ip: Option<std::net::IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
    match &link.data {
        Some(Data::Ipip(data) | Data::Sit(data) | Data::Ip6tnl(data)) => {
            matches!(&*link.name, "tunl0" | "sit0" | "ip6tnl0") && any(data.local) && any(data.remote)
        }
        _ => false,
    }
}

/// An ethernet or InfiniBand address. A tunnel's link-layer address is its local IP address.
fn is_mac(address: &Hardware) -> bool {
    matches!(address.bytes().len(), 6 | 20)
}

/// A bond sets the address of its ports and remembers their own.
fn permanent_address(link: &Link) -> Option<&Hardware> {
    link.permanent_address.as_ref().or(match &link.port {
        Some(PortData::Bond(port)) => port.permanent_address.as_ref(),
        Some(PortData::Bridge(_)) | None => None,
    })
}

pub(super) fn mac(address: &Hardware) -> Option<Mac> {
    Mac::new(address.bytes())
}
