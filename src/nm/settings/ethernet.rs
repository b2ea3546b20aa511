//! `802-3-ethernet`: the link layer of everything that has a MAC address, and the MTU, which for
//! some types stands in their own setting (nm-settings-dbus(5)).

use super::Wish;
use super::way::{self, Bool, Form, MacBytes, Ternary, U32, Way, Words};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Duplex, Ethernet, Identifier, Interface, InterfaceType, Mac};

const ETHERNET: &str = "802-3-ethernet";

const DUPLEX: &[(Duplex, &str)] = &[(Duplex::Full, "full"), (Duplex::Half, "half")];

/// Where the MTU of an interface of that type stands.
fn mtu_setting(kind: &InterfaceType) -> Option<&'static str> {
    match kind {
        InterfaceType::Infiniband => Some("infiniband"),
        InterfaceType::Loopback => Some("loopback"),
        InterfaceType::OvsBridge | InterfaceType::Ipsec => None,
        InterfaceType::IpTunnel => Some("ip-tunnel"),
        _ => Some(ETHERNET),
    }
}

/// Whether NetworkManager can give interfaces of that type a MAC address.
fn has_mac(kind: &InterfaceType) -> bool {
    !matches!(
        kind,
        InterfaceType::Infiniband
            | InterfaceType::Loopback
            | InterfaceType::OvsBridge
            | InterfaceType::Ipsec
            | InterfaceType::IpTunnel
            | InterfaceType::Ipvlan
            | InterfaceType::Vrf
    )
}

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let Wish { interface, said, .. } = *wish;
    let kind = interface.kind();
    if let Some(setting) = mtu_setting(kind) {
        way::write(profile, setting, |setting| mtu(Way::Overlay(setting), &mut said.mtu.clone()));
    }
    // With that identifier the MAC address says which hardware is meant.
    let is_set = interface.identifier != Some(Identifier::MacAddress);
    if let Some(mac) = said.mac_address.filter(|_| is_set && has_mac(kind)) {
        way::write(profile, ETHERNET, |ethernet| set_mac(ethernet, mac));
    }
    if !matches!(kind, InterfaceType::Loopback | InterfaceType::Infiniband) {
        way::write(profile, ETHERNET, |ethernet| {
            common(Way::Overlay(ethernet), &mut said.accept_all_mac_addresses.clone());
        });
    }
    if let Some(section) = &said.ethernet {
        way::write(profile, ETHERNET, |ethernet| set_speed(ethernet, section));
    }
}

/// 0, the default, lets the device choose. Setting it to 0 later does not bring the old one back.
fn mtu(mut way: Way<'_>, mtu: &mut Option<u64>) {
    way.field("mtu", U32, mtu);
}

fn common(mut way: Way<'_>, accept_all: &mut Option<bool>) {
    way.field("accept-all-mac-addresses", Ternary, accept_all);
}

/// `assigned-mac-address` is a second property for the same thing, which takes words, too.
fn set_mac(ethernet: &mut Setting, mac: Mac) {
    if cloned_mac(ethernet) != Some(mac) {
        ethernet.remove("assigned-mac-address");
        way::put(ethernet, "cloned-mac-address", MacBytes.encode(&mac));
    }
}

fn cloned_mac(ethernet: &Setting) -> Option<Mac> {
    let assigned = || ethernet.get("assigned-mac-address").and_then(Value::as_text)?.parse().ok();
    ethernet.get("cloned-mac-address").and_then(|value| MacBytes.decode(value)).or_else(assigned)
}

/// Speed and duplex are effective together, and only without negotiation (M63).
fn set_speed(ethernet: &mut Setting, section: &Ethernet) {
    let mut way = Way::Overlay(ethernet);
    way.field_or("auto-negotiate", Bool, false, &mut section.auto_negotiation.clone());
    match section.auto_negotiation {
        Some(true) => {
            ethernet.remove("speed");
            ethernet.remove("duplex");
        }
        Some(false) => {
            way.field_or("speed", U32, 0, &mut section.speed.clone());
            way.field("duplex", Words(DUPLEX), &mut section.duplex.clone());
        }
        None => {}
    }
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    if let Some(setting) = mtu_setting(interface.kind()).and_then(|setting| profile.0.get(setting)) {
        mtu(Way::Read(setting), &mut interface.mtu);
        interface.mtu = interface.mtu.filter(|mtu| *mtu != 0);
    }
    let Some(ethernet) = profile.0.get(ETHERNET) else { return };
    common(Way::Read(ethernet), &mut interface.accept_all_mac_addresses);
    if has_mac(interface.kind()) && interface.mac_address.is_none() {
        interface.mac_address = cloned_mac(ethernet);
    }
    let mut section = Ethernet { sr_iov: None, auto_negotiation: None, speed: None, duplex: None };
    let mut way = Way::Read(ethernet);
    way.field_or("auto-negotiate", Bool, false, &mut section.auto_negotiation);
    way.field("speed", U32, &mut section.speed);
    way.field("duplex", Words(DUPLEX), &mut section.duplex);
    // Neither negotiated nor given: the device is left alone.
    let is_given = section.speed.is_some_and(|speed| speed != 0) && section.duplex.is_some();
    if section.auto_negotiation == Some(true) || is_given {
        interface.ethernet = Some(Box::new(section));
    }
}
