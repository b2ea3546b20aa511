//! One interface: its device, and the profile that it runs with or would.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::lldp;
use super::profiles::Profiles;
use crate::nm::Profile;
use crate::nm::image::{Device, Image, Stored};
use crate::nm::settings;
use crate::state::{Address, Identifier, Interface, InterfaceState, InterfaceType, Ip, Mptcp};

/// NMDeviceType of devices that are in no kernel, or not by that type.
const TUN: u32 = 16;
const OVS_INTERFACE: u32 = 24;
const OVS_PORT: u32 = 25;
const OVS_BRIDGE: u32 = 26;

/// NMDeviceState.
const UNMANAGED: u32 = 10;
const UNAVAILABLE: u32 = 20;
const DISCONNECTED: u32 = 30;

/// NMActiveConnectionState.
const ACTIVATED: u32 = 2;

/// Service of the VPN plugin for libreswan.
const LIBRESWAN: &str = "org.freedesktop.NetworkManager.libreswan";

/// What there is to lay over interfaces.
pub(super) struct Layers<'a> {
    image: &'a Image,
    profiles: &'a Profiles<'a>,
    is_everything: bool,
    /// The real ones, by name.
    devices: BTreeMap<&'a str, Vec<&'a Device>>,
}

impl<'a> Layers<'a> {
    pub fn new(image: &'a Image, profiles: &'a Profiles<'a>, is_everything: bool) -> Self {
        let mut devices: BTreeMap<&str, Vec<&Device>> = BTreeMap::new();
        for device in image.devices.values().filter(|device| device.real && !device.name.is_empty()) {
            devices.entry(&device.name).or_default().push(device);
        }
        Self { image, profiles, is_everything, devices }
    }

    /// The device of an interface. Bridges, ports and interfaces of Open vSwitch may share a name.
    fn device(&self, interface: &Interface) -> Option<&'a Device> {
        let devices = self.devices.get(interface.name.as_str())?;
        let of_kind = |kind: u32| devices.iter().copied().find(|device| device.kind == kind);
        match interface.kind() {
            InterfaceType::OvsBridge => of_kind(OVS_BRIDGE),
            // The other end of an internal port whose data path is in user space is a TUN device
            // (semantics S7).
            InterfaceType::OvsInterface | InterfaceType::Tun => of_kind(OVS_INTERFACE),
            InterfaceType::Ipsec => None,
            _ => devices
                .iter()
                .copied()
                .find(|device| !matches!(device.kind, TUN | OVS_INTERFACE | OVS_PORT | OVS_BRIDGE)),
        }
    }

    /// Completes an interface with what NetworkManager says of it.
    pub fn lay(&self, interface: &mut Interface) {
        let Some(device) = self.device(interface) else { return };
        match interface.kind() {
            InterfaceType::Tun => {
                interface.kind = Some(InterfaceType::OvsInterface);
                interface.uninterpreted = None;
            }
            // An Open vSwitch bridge without ports is not NetworkManager's, yet not ignored.
            InterfaceType::OvsBridge if device.state == UNMANAGED => return,
            // What nobody can configure (semantics S10).
            _ if interface.is_ignored() => return,
            _ => {}
        }
        interface.state = Some(state(device));
        let is_external = self.profiles.active_of(device).is_some_and(|active| active.is_external());
        if interface.is_ignored() || is_external {
            return; // S58
        }
        let stored = self.profiles.of(device);
        let applied = device.applied.as_ref().map(|applied| &applied.0);
        if let Some(profile) = applied.or(stored.map(|stored| &stored.profile)) {
            self.complete(interface, profile, stored, device);
        }
    }

    fn complete(
        &self,
        interface: &mut Interface,
        profile: &Profile,
        stored: Option<&Stored>,
        device: &Device,
    ) {
        let is_ovs = matches!(interface.kind(), InterfaceType::OvsBridge | InterfaceType::OvsInterface);
        let mut said = settings::read(profile);
        // What runs has no secrets and nothing of Open vSwitch, and keeps the name with which it was
        // activated (S59).
        let says_more = |stored: &&Stored| {
            let secrets = ["802-1x", "macsec"].iter().any(|setting| stored.profile.has(setting));
            is_ovs || secrets || stored.profile.id() != profile.id()
        };
        if let Some(stored) = stored.filter(says_more) {
            let stored = settings::read(&stored.profile);
            said.profile_name = stored.profile_name;
            said.ieee8021x = stored.ieee8021x;
            said.macsec = stored.macsec;
            said.patch = stored.patch;
            said.dpdk = stored.dpdk;
            said.bridge = stored.bridge;
            said.ovs_db = stored.ovs_db;
        }
        interface.profile_name = said.profile_name.filter(|id| *id != interface.name);
        interface.description = said.description.filter(|text| !text.is_empty());
        interface.identifier = said.identifier;
        if said.identifier == Some(Identifier::MacAddress) {
            interface.mac_address = said.mac_address.or(interface.mac_address); // S68
        }
        interface.wait_ip = said.wait_ip;
        // Off is what a document that goes back from flags says where nothing was said before: to every
        // comparison the two are one (semantics C16), and so they are here.
        let has_flags = |mptcp: &Mptcp| mptcp.address_flags.as_ref().is_some_and(|flags| !flags.is_empty());
        interface.mptcp = said.mptcp.filter(has_flags);
        interface.ieee8021x = said.ieee8021x;
        interface.lldp = said.lldp.map(|mut lldp| {
            let neighbors = lldp::neighbors(&device.lldp_neighbors);
            let is_shown = lldp.enabled && self.is_everything && !neighbors.is_empty();
            lldp.neighbors = is_shown.then_some(neighbors);
            lldp
        });
        if interface.controller.is_none() {
            interface.controller = said.controller.and_then(|master| self.controller(&master));
        }
        lay_ip(&mut interface.ipv4, said.ipv4, false);
        lay_ip(&mut interface.ipv6, said.ipv6, true);
        if is_bare_port(interface, profile) {
            [&mut interface.ipv4, &mut interface.ipv6].into_iter().for_each(drop_link_local);
        }
        if let (Some(own), Some(said)) = (&mut interface.bond, said.bond) {
            // The kernel knows nothing of it (S61).
            let balance_slb = said.options.and_then(|options| options.balance_slb);
            if let Some(options) = &mut own.options {
                options.balance_slb = balance_slb;
            }
        }
        if let (Some(own), Some(said)) = (&mut interface.macsec, said.macsec) {
            own.mka_cak = said.mka_cak;
            own.mka_ckn = said.mka_ckn;
        }
        if is_ovs {
            interface.patch = interface.patch.take().or(said.patch);
            interface.dpdk = interface.dpdk.take().or(said.dpdk);
            interface.bridge = interface.bridge.take().or(said.bridge);
        }
        interface.ovs_db = interface.ovs_db.take().or(said.ovs_db);
    }

    /// The controller that a profile names: itself, by the UUID of its profile, or, in Open vSwitch, as
    /// the port that joins it with a bridge.
    fn controller(&self, master: &str) -> Option<String> {
        let mut master = master;
        // An interface, its port, its bridge.
        for _ in 0..2 {
            let port = self.profiles.by_uuid(master).or_else(|| self.profiles.ovs_port(master));
            let Some(port) = port else { break };
            match (port.profile.kind(), port.profile.text("connection", "master")) {
                (Some("ovs-port"), Some(bridge)) => master = bridge,
                _ => return port.profile.interface_name().map(str::to_owned),
            }
        }
        Some(master.to_owned())
    }

    /// What NetworkManager has and nobody else knows of: what is in no kernel.
    pub fn missing(&self, interfaces: &[Interface]) -> Vec<Interface> {
        let known: BTreeSet<_> = interfaces.iter().map(|own| (own.name.as_str(), own.kind())).collect();
        let mut missing = Vec::new();
        for device in self.devices.values().flatten() {
            let kind = match device.kind {
                OVS_BRIDGE => InterfaceType::OvsBridge,
                OVS_INTERFACE => InterfaceType::OvsInterface,
                _ => continue,
            };
            if !known.contains(&(device.name.as_str(), &kind)) && device.state != UNMANAGED {
                let mut interface = Interface::new(&*device.name, kind, InterfaceState::Up);
                self.lay(&mut interface);
                missing.push(interface);
            }
        }
        missing.extend(self.image.actives.values().filter(|active| active.kind == "vpn").filter_map(
            |active| {
                let stored = self.profiles.by_uuid(&active.uuid)?;
                if stored.profile.text("vpn", "service-type") != Some(LIBRESWAN) {
                    return None;
                }
                // Up only if its activation has ended (S69).
                let state = if active.state == ACTIVATED { InterfaceState::Up } else { InterfaceState::Down };
                let name = stored.profile.id()?;
                let said = settings::read(&stored.profile);
                Some(Interface { state: Some(state), controller: None, name: name.to_owned(), ..said })
            },
        ));
        missing
    }
}

/// What a device's state means (semantics S57).
fn state(device: &Device) -> InterfaceState {
    match device.state {
        UNMANAGED => InterfaceState::Ignore,
        UNAVAILABLE | DISCONNECTED => InterfaceState::Down,
        _ => InterfaceState::Up,
    }
}

/// Whether NetworkManager configures no IP on it: a port of a switch (semantics A7).
fn is_bare_port(interface: &Interface, profile: &Profile) -> bool {
    let has_controller = interface.controller.as_deref().is_some_and(|name| !name.is_empty());
    let is_switched =
        matches!(profile.text("connection", "slave-type"), Some("bond" | "bridge" | "ovs-port"));
    has_controller && is_switched && *interface.kind() != InterfaceType::OvsInterface
}

/// A port has no use for IP: what NetworkManager leaves to the kernel there is no more than the
/// address that every link gives itself. Others are shown, since somebody has added them.
fn drop_link_local(ip: &mut Option<Box<Ip>>) {
    let Some(ip) = ip else { return };
    let is_own = |address: &Address| matches!(address.ip, IpAddr::V6(own) if own.is_unicast_link_local());
    if ip.address.iter().flatten().all(is_own) {
        **ip = Ip::new(false);
    }
}

/// Lays what a profile says of a stack over what the kernel has (S60 to S66). Addresses are the
/// kernel's: a profile knows neither the leased ones nor what others have added.
fn lay_ip(kernel: &mut Option<Box<Ip>>, said: Option<Box<Ip>>, is_v6: bool) {
    let Some(said) = said else { return };
    let was_off = kernel.as_ref().is_some_and(|own| own.enabled == Some(false));
    if is_v6 && was_off {
        // Nothing of IPv6 is left in a kernel that has it off (S4).
        *kernel = Some(Box::new(Ip::new(false)));
        return;
    }
    let own = kernel.take().unwrap_or_else(|| Box::new(Ip::empty()));
    if said.enabled.or(own.enabled) != Some(true) {
        // What a profile says for when it is on would come and go with NetworkManager's restarts.
        *kernel = Some(Box::new(Ip { forwarding: own.forwarding, ..Ip::new(false) }));
        return;
    }
    *kernel = Some(Box::new(Ip {
        enabled: Some(true),
        address: own.address.or_else(|| Some(Vec::new())),
        // Where the profile leaves it to the kernel, the kernel's guess holds.
        dhcp: said.dhcp.or(own.dhcp),
        autoconf: said.autoconf.or(own.autoconf),
        addr_gen_mode: said.addr_gen_mode.or(own.addr_gen_mode),
        token: said.token.or(own.token),
        forwarding: own.forwarding.or(said.forwarding),
        ..*said
    }));
}
