//! Profile ⇄ document: one file for each group of settings, which knows both directions. Pure.
//!
//! Writing overlays: unknown settings and properties of the profile that is changed travel back
//! as they came.

mod bond;
mod bridge;
mod connection;
mod dns;
mod ethernet;
mod ethtool;
mod ieee8021x;
mod ip;
mod ipsec;
mod links;
mod loopback;
mod ovs;
mod refuse;
mod routes;
mod rules;
mod sriov;
mod vlan;
mod way;

pub use dns::dns_of;
pub(super) use dns::{Names, global_names, keep_first, names_of, shown_server};
pub use loopback::is_needless;
pub use ovs::{OvsPort, ovs_port_of, ovs_ports, read_ovs_port, write_ovs_port};
pub use routes::routes_of;
pub use rules::rules_of;

use super::Profile;
use super::image::Version;
use crate::state::{
    BondPort, DnsSettings, Interface, InterfaceState, InterfaceType, LinuxBridgePort, Node, Part, Problem,
    Reader, Route, RouteRule,
};

/// What a profile shall say. What is None or not mentioned stays as the profile has it.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The whole interface as it shall be, merged: what a new profile is made of where its type or
    /// NetworkManager demands more than is `said`.
    pub interface: &'a Interface,
    /// Only what is asked for, or changes: what is written into a profile that exists.
    pub said: &'a Interface,
    /// Its controller as it shall be: the options of ports stand there in a document.
    pub controller: Option<&'a Interface>,
    /// All static routes through it, if they change.
    pub routes: Option<&'a [Route]>,
    /// All rules that its profile holds, if they change.
    pub rules: Option<&'a [RouteRule]>,
    /// The name servers that its profile holds, if they change.
    pub dns: Option<&'a DnsSettings>,
    /// There is no profile to change: `profile` is empty.
    pub is_new: bool,
}

/// `connection.type` of the profile of a port of an Open vSwitch bridge.
const OVS_PORT: &str = "ovs-port";

/// Writes the wish over a profile, or into an empty one; its UUID is the caller's to set.
pub fn write(profile: &mut Profile, wish: &Wish<'_>, version: &Version) {
    drop_twins(profile);
    connection::write(profile, wish);
    controller(profile, wish);
    ethernet::write(profile, wish);
    match wish.interface.kind() {
        InterfaceType::Bond => bond::write(profile, wish),
        InterfaceType::LinuxBridge => bridge::write(profile, wish),
        InterfaceType::Vlan => vlan::write(profile, wish),
        _ => links::write(profile, wish),
    }
    ovs::write(profile, wish);
    sriov::write(profile, wish);
    ieee8021x::write(profile, wish);
    ipsec::write(profile, wish);
    ethtool::write(profile, wish);
    ip::write(profile, wish, version);
    connection::write_wait(profile, wish);
    refuse::drop_unknown(profile, version);
}

/// What a profile says, as an interface that mentions nothing else. Its name is empty where the
/// profile does not say one; its controller is what `connection.master` has, and ports stand in
/// their own profiles ([`read_port`]).
pub fn read(profile: &Profile) -> Interface {
    let mut interface =
        Interface::new(connection::name_of(profile), connection::kind_of(profile), InterfaceState::Up);
    interface.state = None;
    connection::read(profile, &mut interface);
    ethernet::read(profile, &mut interface);
    let (ipv4, ipv6) = ip::read(profile);
    (interface.ipv4, interface.ipv6) = (ipv4.map(Box::new), ipv6.map(Box::new));
    match interface.kind() {
        InterfaceType::Bond => interface.bond = bond::read(profile).map(Box::new),
        InterfaceType::LinuxBridge => interface.bridge = bridge::read(profile).map(Box::new),
        InterfaceType::Vlan => interface.vlan = vlan::read(profile).map(Box::new),
        _ => links::read(profile, &mut interface),
    }
    ovs::read(profile, &mut interface);
    sriov::read(profile, &mut interface);
    ieee8021x::read(profile, &mut interface);
    ipsec::read(profile, &mut interface);
    ethtool::read(profile, &mut interface);
    interface
}

/// What the profile of a port says for the list of its controller.
#[derive(Clone, Debug, PartialEq)]
pub enum Port {
    Bond(BondPort),
    LinuxBridge(LinuxBridgePort),
}

/// What a profile says of the interface `name` as a port; None if it has no options of one.
pub fn read_port(profile: &Profile, name: &str) -> Option<Port> {
    let bond = bond::read_port(profile, name).map(Port::Bond);
    bond.or_else(|| bridge::read_port(profile, name).map(Port::LinuxBridge))
}

/// What this NetworkManager cannot do of an interface; with the key, relative to the interface.
pub fn refusals(interface: &Interface, version: &Version) -> Vec<Problem> {
    let mut refusals = refuse::refusals(interface, version);
    refusals.extend(ip::refusals(interface));
    refusals
}

/// Takes out what newer properties say, too. Old ones would win over them, and be wrong as soon
/// as those change (nm-settings-dbus(5): `addresses`, `routes`, `dns` and the names of links).
pub fn drop_twins(profile: &mut Profile) {
    for family in ["ipv4", "ipv6"] {
        for old in ["addresses", "address-labels", "routes", "dns"] {
            profile.unset(family, old);
        }
    }
    for link in ["bridge", "vlan", "bond"] {
        profile.unset(link, "interface-name");
    }
}

/// Attaches to the controller, or detaches from it, with the options that ports have there.
fn controller(profile: &mut Profile, wish: &Wish<'_>) {
    let source = if wish.is_new { wish.interface } else { wish.said };
    // In the same bridge of Open vSwitch it may be the member of another port.
    let is_member = profile.text("connection", "slave-type") == Some(OVS_PORT);
    let stays = || wish.interface.controller.as_ref().filter(|_| is_member);
    if let Some(name) = source.controller.as_ref().or_else(stays) {
        match wish.controller.map(Interface::kind) {
            _ if name.is_empty() => connection::detach(profile),
            Some(InterfaceType::Bond) => connection::attach(profile, name, "bond"),
            Some(InterfaceType::LinuxBridge) => connection::attach(profile, name, "bridge"),
            Some(InterfaceType::Vrf) => connection::attach(profile, name, "vrf"),
            Some(InterfaceType::OvsBridge) => {
                let port = wish.controller.map(|bridge| ovs::ovs_port_of(bridge, &wish.interface.name));
                connection::attach(profile, port.as_deref().unwrap_or(name), OVS_PORT);
            }
            // Its ports know nothing of it.
            Some(InterfaceType::Hsr) => connection::detach(profile),
            _ => {}
        }
    }
    let of =
        wish.controller.filter(|controller| wish.interface.controller.as_ref() == Some(&controller.name));
    let bond = of.and_then(|controller| controller.bond.as_deref());
    let bridge = of.and_then(|controller| controller.bridge.as_deref()?.linux());
    if let Some(bond) = bond {
        bond::write_port(profile, &wish.interface.name, bond);
    }
    if let Some(bridge) = bridge {
        bridge::write_port(profile, &wish.interface.name, bridge);
    }
    if source.controller.is_some() {
        let kind = of.map(Interface::kind);
        for (setting, controller) in
            [("bond-port", InterfaceType::Bond), ("bridge-port", InterfaceType::LinuxBridge)]
        {
            if kind != Some(&controller) {
                profile.0.remove(setting);
            }
        }
    }
}

/// A section that mentions nothing.
fn nothing<T: Part>() -> T {
    let empty = Node::from_json(&serde_json::json!({}));
    T::read(&empty, &mut Reader::new()).expect("it is a section without mandatory keys")
}

#[cfg(test)]
mod tests;
