//! `connection`, `user`, `match`, and when a profile counts as active: what a profile says of the
//! interface that it is for (nm-settings-dbus(5)).

use super::way::{self, U32, Way};
use super::{OVS_PORT, Wish};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Identifier, Interface, InterfaceType, Lldp, Mptcp, MptcpFlag, WaitIp};

const CONNECTION: &str = "connection";

/// Types by the base setting of their profiles. The first row of a type is the one that is written.
const TYPES: [(InterfaceType, &str); 21] = [
    (InterfaceType::Ethernet, "802-3-ethernet"),
    (InterfaceType::Veth, "veth"),
    (InterfaceType::Bond, "bond"),
    (InterfaceType::LinuxBridge, "bridge"),
    (InterfaceType::Dummy, "dummy"),
    (InterfaceType::Vlan, "vlan"),
    (InterfaceType::Vxlan, "vxlan"),
    (InterfaceType::Vrf, "vrf"),
    (InterfaceType::MacVlan, "macvlan"),
    (InterfaceType::MacVtap, "macvlan"),
    (InterfaceType::Macsec, "macsec"),
    (InterfaceType::Hsr, "hsr"),
    (InterfaceType::Ipvlan, "ipvlan"),
    (InterfaceType::IpTunnel, "ip-tunnel"),
    (InterfaceType::Infiniband, "infiniband"),
    (InterfaceType::Loopback, "loopback"),
    (InterfaceType::OvsBridge, "ovs-bridge"),
    (InterfaceType::OvsInterface, "ovs-interface"),
    (InterfaceType::Ipsec, "vpn"),
    (InterfaceType::Tun, "tun"),
    (InterfaceType::Unknown, "generic"),
];

/// Types that are written. The others are shown, or left to the kernel.
pub(super) fn is_written(kind: &InterfaceType) -> bool {
    base_setting(kind).is_some() && !kind.is_uninterpreted()
}

/// `connection.type` of profiles of that type.
pub(super) fn base_setting(kind: &InterfaceType) -> Option<&'static str> {
    TYPES.iter().find(|(known, _)| known == kind).map(|(_, setting)| *setting)
}

/// What interfaces of that profile are. Types of NetworkManager that the document does not have
/// keep NetworkManager's word.
pub(super) fn kind_of(profile: &Profile) -> InterfaceType {
    let Some(word) = profile.kind() else { return InterfaceType::Unknown };
    if word == "macvlan" && profile.get("macvlan", "tap").and_then(Value::as_bool) == Some(true) {
        return InterfaceType::MacVtap;
    }
    let known = TYPES.iter().find(|(_, setting)| *setting == word);
    known.map_or_else(|| InterfaceType::Other(word.to_owned()), |(kind, _)| kind.clone())
}

/// The setting that a new profile of this interface is based on. A veth whose other end nobody knows,
/// because it is in another network namespace, can only be had as what any Ethernet link is.
fn base_of(interface: &Interface) -> Option<&'static str> {
    match interface.kind() {
        InterfaceType::Ethernet | InterfaceType::Veth => {
            let has_peer = interface.veth.as_ref().is_some_and(|veth| !veth.peer.is_empty());
            base_setting(if has_peer { &InterfaceType::Veth } else { &InterfaceType::Ethernet })
        }
        kind => base_setting(kind),
    }
}

/// The name of a new profile: several profiles of Open vSwitch can have one interface name.
pub(super) fn default_id(name: &str, kind: &InterfaceType) -> String {
    match kind {
        InterfaceType::OvsBridge => format!("{name}-br"),
        InterfaceType::OvsInterface => format!("{name}-if"),
        InterfaceType::Other(word) if word == OVS_PORT => format!("{name}-port"),
        _ => name.to_owned(),
    }
}

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let Wish { interface, said, is_new, .. } = *wish;
    if is_new {
        begin(profile, interface);
    }
    if let Some(id) = &said.profile_name {
        profile.set(CONNECTION, "id", id.as_str());
    }
    let asked = if is_new { interface.identifier.or(Some(Identifier::Name)) } else { said.identifier };
    if let Some(identifier) = asked {
        identify(profile, interface, identifier);
    }
    if said.is_up() && (is_new || said.state.is_some()) {
        // True when absent.
        way::remove(profile, CONNECTION, &["autoconnect"]);
        if is_nm_controller(interface.kind()) {
            profile.set(CONNECTION, "autoconnect-slaves", 1_i32);
        }
    }
    way::write(profile, CONNECTION, |connection| services(Way::Overlay(connection), &mut said.clone()));
    if let Some(description) = &said.description {
        describe(profile, description);
    }
}

/// When the connection counts as active: with which of the two stacks.
pub(super) fn write_wait(profile: &mut Profile, wish: &Wish<'_>) {
    let Some(wait) = wish.said.wait_ip.filter(|_| has_ip(wish)) else { return };
    for (family, is_needed) in [
        ("ipv4", matches!(wait, WaitIp::Ipv4 | WaitIp::Both)),
        ("ipv6", matches!(wait, WaitIp::Ipv6 | WaitIp::Both)),
    ] {
        // A stack that is off has no such property: nobody waits for it.
        if profile.text(family, "method") == Some("disabled") {
            continue;
        }
        way::write(profile, family, |ip| {
            Way::Overlay(ip).field_or("may-fail", way::Bool, true, &mut Some(!is_needed));
        });
    }
}

/// Whether a profile of this interface has IP settings: ports of switches have none.
fn has_ip(wish: &Wish<'_>) -> bool {
    let controller = wish.interface.controller.as_deref().unwrap_or_default();
    let keeps_ip = || {
        let kind = wish.controller.map(Interface::kind);
        matches!(kind, Some(InterfaceType::Vrf))
            || (kind == Some(&InterfaceType::OvsBridge)
                && *wish.interface.kind() == InterfaceType::OvsInterface)
    };
    (controller.is_empty() || keeps_ip()) && *wish.interface.kind() != InterfaceType::OvsBridge
}

/// What every new profile has.
fn begin(profile: &mut Profile, interface: &Interface) {
    let kind = interface.kind();
    profile.set(CONNECTION, "id", default_id(&interface.name, kind));
    if let Some(base) = base_of(interface) {
        profile.set(CONNECTION, "type", base);
        profile.0.entry(base.to_owned()).or_default();
    }
}

/// Whether NetworkManager attaches ports to interfaces of that type.
fn is_nm_controller(kind: &InterfaceType) -> bool {
    kind.is_controller() && *kind != InterfaceType::Hsr
}

/// Binds the profile to the interface by its name, or by what the hardware has.
fn identify(profile: &mut Profile, interface: &Interface, identifier: Identifier) {
    let hardware = hardware_setting(interface.kind());
    let is_named = identifier == Identifier::Name && *interface.kind() != InterfaceType::Ipsec;
    profile.put(CONNECTION, "interface-name", is_named.then_some(interface.name.as_str()));
    if let Some(setting) = hardware {
        match interface.mac_address.filter(|_| identifier == Identifier::MacAddress) {
            Some(mac) => profile.set(setting, "mac-address", mac.bytes()),
            None => way::remove(profile, setting, &["mac-address"]),
        }
    }
    match interface.pci_address.filter(|_| identifier == Identifier::PciAddress) {
        Some(address) => profile.set("match", "path", vec![format!("pci-{address}")]),
        None => way::remove(profile, "match", &["path"]),
    }
}

/// The setting whose `mac-address` says which hardware is meant. For what rests on a parent it is
/// the parent's.
fn hardware_setting(kind: &InterfaceType) -> Option<&'static str> {
    match kind {
        InterfaceType::Ethernet | InterfaceType::Veth => Some("802-3-ethernet"),
        InterfaceType::Infiniband => Some("infiniband"),
        _ => None,
    }
}

/// `lldp` and `mptcp-flags`: NM_SETTING_CONNECTION_LLDP_*, NM_MPTCP_FLAGS_*.
fn services(mut way: Way<'_>, interface: &mut Interface) {
    // -1, the default, is off unless NetworkManager's own configuration says otherwise.
    let mut lldp = interface.lldp.as_ref().map(|lldp| lldp.enabled);
    way.field("lldp", way::Ternary, &mut lldp);
    let mut flags = interface.mptcp.as_ref().and_then(|mptcp| mptcp.address_flags.as_deref()).map(mptcp_bits);
    way.field_or("mptcp-flags", U32, 0, &mut flags);
    if matches!(way, Way::Read(_)) {
        interface.lldp = Some(Lldp { enabled: lldp.unwrap_or(false), neighbors: None });
        interface.mptcp = flags.filter(|flags| *flags != 0).map(|flags| Mptcp {
            address_flags: Some(if flags & MPTCP_OFF != 0 { Vec::new() } else { mptcp_flags(flags) }),
        });
    }
}

const MPTCP_OFF: u32 = 0x1;
/// Also on interfaces without default route.
const MPTCP_WITHOUT_DEFAULT_ROUTE: u32 = 0x8;
const MPTCP_FLAGS: [(MptcpFlag, u32); 4] = [
    (MptcpFlag::Signal, 0x10),
    (MptcpFlag::Subflow, 0x20),
    (MptcpFlag::Backup, 0x40),
    (MptcpFlag::Fullmesh, 0x80),
];

fn mptcp_bits(flags: &[MptcpFlag]) -> u32 {
    if flags.is_empty() {
        return MPTCP_OFF;
    }
    let asked = MPTCP_FLAGS.iter().filter(|(flag, _)| flags.contains(flag));
    asked.fold(MPTCP_WITHOUT_DEFAULT_ROUTE, |bits, (_, bit)| bits | bit)
}

fn mptcp_flags(bits: u32) -> Vec<MptcpFlag> {
    MPTCP_FLAGS.iter().filter(|(_, bit)| bits & bit != 0).map(|(flag, _)| *flag).collect()
}

/// The peer's key, so that both find each other's descriptions. Keys of `user.data` need a dot.
const DESCRIPTION: &str = "nmstate.interface.description";

fn describe(profile: &mut Profile, description: &str) {
    let mut data = profile.get("user", "data").and_then(Value::as_map).cloned().unwrap_or_default();
    if description.is_empty() {
        data.remove(DESCRIPTION);
    } else {
        data.insert(DESCRIPTION.to_owned(), description.to_owned());
    }
    if data.is_empty() {
        way::remove(profile, "user", &["data"]);
    } else {
        profile.set("user", "data", data);
    }
}

/// Who controls the interface: `connection.master` and `slave-type`. The names that NetworkManager
/// has for them since 1.46 are never used: it always answers with the old ones.
pub(super) fn attach(profile: &mut Profile, master: &str, slave_type: &str) {
    profile.set(CONNECTION, "master", master);
    profile.set(CONNECTION, "slave-type", slave_type);
}

pub(super) fn detach(profile: &mut Profile) {
    way::remove(profile, CONNECTION, &["master", "slave-type"]);
}

/// Everything that these settings say. `controller` is what `master` has: a name, or the UUID of
/// a profile; for Open vSwitch that of the port.
pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    let kind = interface.kind().clone();
    let empty = Setting::new();
    services(Way::Read(profile.0.get(CONNECTION).unwrap_or(&empty)), interface);
    if matches!(kind, InterfaceType::Ipsec) {
        interface.lldp = None;
    }
    if let Some(id) = profile.id()
        && id != interface.name
        && id != default_id(&interface.name, &kind)
    {
        interface.profile_name = Some(id.to_owned());
    }
    interface.controller = profile.text(CONNECTION, "master").map(str::to_owned);
    let data = profile.get("user", "data").and_then(Value::as_map);
    interface.description = data.and_then(|data| data.get(DESCRIPTION)).cloned();
    let may_fail = |family| profile.get(family, "may-fail").and_then(Value::as_bool).unwrap_or(true);
    interface.wait_ip = Some(match (may_fail("ipv4"), may_fail("ipv6")) {
        (true, true) => WaitIp::Any,
        (false, true) => WaitIp::Ipv4,
        (true, false) => WaitIp::Ipv6,
        (false, false) => WaitIp::Both,
    });
    read_identifier(profile, interface);
}

fn read_identifier(profile: &Profile, interface: &mut Interface) {
    let mac = hardware_setting(interface.kind())
        .and_then(|setting| profile.get(setting, "mac-address"))
        .and_then(|value| way::Form::decode(&way::MacBytes, value));
    let paths = profile.get("match", "path").and_then(Value::as_texts).unwrap_or_default();
    let pci = paths.iter().find_map(|path| path.strip_prefix("pci-")?.parse().ok());
    if mac.is_some() {
        interface.identifier = Some(Identifier::MacAddress);
        interface.mac_address = mac;
    } else if pci.is_some() {
        interface.identifier = Some(Identifier::PciAddress);
        interface.pci_address = pci;
    } else {
        interface.identifier = Some(Identifier::Name);
    }
}

/// The interface that a profile is for, where it says so: by name, as the child of a parent, or as
/// a connection that has only a name of its own.
pub(super) fn name_of(profile: &Profile) -> String {
    if let Some(name) = profile.interface_name() {
        return name.to_owned();
    }
    match profile.kind() {
        Some("vlan") => {
            let parent = profile.text("vlan", "parent");
            let id = profile.get("vlan", "id").and_then(Value::as_number).unwrap_or(0);
            parent.map(|parent| format!("{parent}.{id}")).unwrap_or_default()
        }
        Some("vpn") => profile.id().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}
