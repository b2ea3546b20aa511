//! Types that one section describes, each with a setting of its own: `vxlan`, `vrf`, `macvlan`,
//! `macsec`, `hsr`, `ipvlan`, `infiniband`, `ip-tunnel`, `veth` (nm-settings-dbus(5); numbers of the
//! enumerations as in libnm's nm-setting-*.h).

use super::Wish;
use super::way::{self, Address, Bool, Form, I32, Numbered, NumberedI32, Text, U32, Way, Words};
use crate::nm::{Profile, Value};
use crate::state::{
    Hsr, HsrProtocol, Infiniband, InfinibandMode, Interface, InterfaceType, Ip6TunnelFlag, IpTunnel,
    IpTunnelMode, Ipvlan, IpvlanMode, MacVlan, MacVlanMode, Macsec, MacsecOffload, MacsecValidation, Pkey,
    Secret, Veth, Vrf, Vxlan,
};

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    match wish.interface.kind() {
        InterfaceType::Vxlan => {
            way::write_whole(profile, wish, "vxlan", |interface| interface.vxlan.as_deref(), vxlan);
        }
        InterfaceType::Vrf => way::write_keys(profile, wish, "vrf", |interface| interface.vrf.as_ref(), vrf),
        InterfaceType::MacVlan | InterfaceType::MacVtap => {
            way::write_whole(profile, wish, "macvlan", mac_vlan_of, mac_vlan);
            if wish.is_new && *wish.interface.kind() == InterfaceType::MacVtap {
                profile.set("macvlan", "tap", true);
            }
        }
        InterfaceType::Macsec => write_macsec(profile, wish),
        InterfaceType::Hsr => way::write_whole(profile, wish, "hsr", |interface| interface.hsr.as_ref(), hsr),
        InterfaceType::Ipvlan => {
            way::write_whole(profile, wish, "ipvlan", |interface| interface.ipvlan.as_ref(), ipvlan);
        }
        InterfaceType::Infiniband => {
            way::write_keys(profile, wish, "infiniband", |i| i.infiniband.as_ref(), infiniband);
        }
        InterfaceType::IpTunnel => {
            way::write_keys(
                profile,
                wish,
                "ip-tunnel",
                |interface| interface.ip_tunnel.as_deref(),
                ip_tunnel,
            );
        }
        InterfaceType::Ethernet | InterfaceType::Veth if profile.kind() == Some("veth") => {
            way::write_keys(profile, wish, "veth", |interface| interface.veth.as_ref(), veth);
        }
        _ => {}
    }
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    match interface.kind() {
        InterfaceType::Vxlan => {
            let empty = Vxlan {
                base_iface: None,
                id: 0,
                learning: None,
                local: None,
                remote: None,
                destination_port: None,
            };
            interface.vxlan = way::read(profile, "vxlan", empty, vxlan).map(Box::new);
        }
        InterfaceType::Vrf => {
            let empty = Vrf { port: None, route_table_id: None };
            interface.vrf = way::read(profile, "vrf", empty, vrf);
        }
        InterfaceType::MacVlan => interface.mac_vlan = read_mac_vlan(profile),
        InterfaceType::MacVtap => interface.mac_vtap = read_mac_vlan(profile),
        InterfaceType::Macsec => interface.macsec = read_macsec(profile).map(Box::new),
        InterfaceType::Hsr => {
            let empty = Hsr {
                port1: String::new(),
                port2: String::new(),
                interlink: None,
                supervision_address: None,
                multicast_spec: 0,
                protocol: HsrProtocol::Prp,
            };
            interface.hsr = way::read(profile, "hsr", empty, hsr);
        }
        InterfaceType::Ipvlan => {
            let empty = Ipvlan { base_iface: None, mode: None, private: None, vepa: None };
            interface.ipvlan = way::read(profile, "ipvlan", empty, ipvlan);
        }
        InterfaceType::Infiniband => {
            let empty = Infiniband { mode: InfinibandMode::Datagram, base_iface: None, pkey: NO_PKEY };
            interface.infiniband = way::read(profile, "infiniband", empty, infiniband);
        }
        InterfaceType::IpTunnel => {
            interface.ip_tunnel = way::read(profile, "ip-tunnel", super::nothing(), ip_tunnel).map(Box::new);
        }
        InterfaceType::Veth => {
            interface.veth = way::read(profile, "veth", Veth { peer: String::new() }, veth);
        }
        _ => {}
    }
}

fn vxlan(mut way: Way<'_>, vxlan: &mut Vxlan) {
    way.must("id", U32, 0, &mut vxlan.id);
    way.field("parent", Text, &mut vxlan.base_iface);
    way.field("local", Address, &mut vxlan.local);
    way.field("remote", Address, &mut vxlan.remote);
    way.field_or("learning", Bool, true, &mut vxlan.learning);
    way.field_or("destination-port", U32, 8472, &mut vxlan.destination_port);
}

/// Table 0 means the one it has.
fn vrf(mut way: Way<'_>, vrf: &mut Vrf) {
    let mut table = vrf.route_table_id.filter(|table| *table != 0);
    way.field("table", U32, &mut table);
    vrf.route_table_id = table;
}

/// NMSettingMacvlanMode.
const MACVLAN_MODES: &[(MacVlanMode, u32)] = &[
    (MacVlanMode::Vepa, 1),
    (MacVlanMode::Bridge, 2),
    (MacVlanMode::Private, 3),
    (MacVlanMode::Passthru, 4),
    (MacVlanMode::Source, 5),
];

fn mac_vlan_of(interface: &Interface) -> Option<&MacVlan> {
    match interface.kind() {
        InterfaceType::MacVtap => interface.mac_vtap.as_ref(),
        _ => interface.mac_vlan.as_ref(),
    }
}

fn mac_vlan(mut way: Way<'_>, link: &mut MacVlan) {
    way.must("parent", Text, String::new(), &mut link.base_iface);
    way.must("mode", Numbered(MACVLAN_MODES), MacVlanMode::Unknown, &mut link.mode);
    way.field_or("promiscuous", Bool, true, &mut link.promiscuous);
}

fn read_mac_vlan(profile: &Profile) -> Option<MacVlan> {
    let empty = MacVlan { base_iface: String::new(), mode: MacVlanMode::Unknown, promiscuous: None };
    way::read(profile, "macvlan", empty, mac_vlan)
}

/// NMSettingMacsecValidation.
const VALIDATIONS: &[(MacsecValidation, i32)] =
    &[(MacsecValidation::Disabled, 0), (MacsecValidation::Check, 1), (MacsecValidation::Strict, 2)];

/// NMSettingMacsecOffload; -1 is the default.
const OFFLOADS: &[(MacsecOffload, i32)] =
    &[(MacsecOffload::Off, 0), (MacsecOffload::Phy, 1), (MacsecOffload::Mac, 2)];

/// The section stands alone, but `offload` is kept, and so is a key that is hidden.
fn write_macsec(profile: &mut Profile, wish: &Wish<'_>) {
    let Some(mut section) = wish.interface.macsec.as_deref().cloned() else { return };
    match &wish.said.macsec {
        Some(said) => {
            if said.mka_cak.as_ref().is_some_and(Secret::is_placeholder) {
                section.mka_cak.clone_from(&said.mka_cak);
            }
        }
        None if wish.is_new => {}
        None => return,
    }
    way::write(profile, "macsec", |setting| {
        macsec(Way::Replace(setting), &mut section);
        macsec_offload(Way::Overlay(setting), &mut section);
    });
}

fn read_macsec(profile: &Profile) -> Option<Macsec> {
    let empty = Macsec {
        encrypt: true,
        base_iface: String::new(),
        mka_cak: None,
        mka_ckn: None,
        port: 1,
        validation: MacsecValidation::Strict,
        send_sci: true,
        offload: None,
    };
    let section = way::read(profile, "macsec", empty, macsec)?;
    way::read(profile, "macsec", section, macsec_offload)
}

fn macsec(mut way: Way<'_>, macsec: &mut Macsec) {
    way.must("parent", Text, String::new(), &mut macsec.base_iface);
    way.must("encrypt", Bool, true, &mut macsec.encrypt);
    way.secret("mka-cak", &mut macsec.mka_cak);
    way.field("mka-ckn", Text, &mut macsec.mka_ckn);
    // Ports are numbered from 1: with 0 the default is meant.
    let mut port = Some(macsec.port).filter(|port| *port > 0);
    way.field_or("port", I32, 1, &mut port);
    macsec.port = port.unwrap_or(1);
    way.must("validation", NumberedI32(VALIDATIONS), MacsecValidation::Strict, &mut macsec.validation);
    way.must("send-sci", Bool, true, &mut macsec.send_sci);
}

fn macsec_offload(mut way: Way<'_>, macsec: &mut Macsec) {
    way.field("offload", NumberedI32(OFFLOADS), &mut macsec.offload);
}

/// `prp` chooses between the two protocols (false when absent); of HSR, `protocol-version` is -1 (the kernel's, of
/// 2010), 0 (2010) or 1 (2012).
fn hsr(mut way: Way<'_>, hsr: &mut Hsr) {
    way.must("port1", Text, String::new(), &mut hsr.port1);
    way.must("port2", Text, String::new(), &mut hsr.port2);
    way.field("interlink", Text, &mut hsr.interlink);
    way.must("multicast-spec", U32, 0, &mut hsr.multicast_spec);
    let mut is_prp = Some(hsr.protocol == HsrProtocol::Prp);
    let mut is_2012 = (hsr.protocol == HsrProtocol::Hsr2012).then_some(true);
    way.field_or("prp", Bool, false, &mut is_prp);
    way.field("protocol-version", way::Ternary, &mut is_2012);
    hsr.protocol = match (is_prp, is_2012) {
        (Some(true), _) => HsrProtocol::Prp,
        (_, Some(true)) => HsrProtocol::Hsr2012,
        _ => HsrProtocol::Hsr,
    };
}

/// NMSettingIpvlanMode.
const IPVLAN_MODES: &[(IpvlanMode, u32)] = &[(IpvlanMode::L2, 1), (IpvlanMode::L3, 2), (IpvlanMode::L3s, 3)];

/// The mode is always said: the document's default is not NetworkManager's.
fn ipvlan(mut way: Way<'_>, link: &mut Ipvlan) {
    if !way.is_read() {
        link.mode.get_or_insert(IpvlanMode::L3);
    }
    way.field("parent", Text, &mut link.base_iface);
    way.field("mode", Numbered(IPVLAN_MODES), &mut link.mode);
    way.field_or("private", Bool, false, &mut link.private);
    way.field_or("vepa", Bool, false, &mut link.vepa);
}

const TRANSPORTS: &[(InfinibandMode, &str)] =
    &[(InfinibandMode::Datagram, "datagram"), (InfinibandMode::Connected, "connected")];

/// The base interface itself.
const NO_PKEY: Pkey = Pkey(0xffff);

struct PkeyNumber;

/// `i`; -1 is the default, the base interface.
impl Form<Pkey> for PkeyNumber {
    fn encode(&self, value: &Pkey) -> Option<Value> {
        (*value != NO_PKEY).then(|| i32::from(value.0).into())
    }

    fn decode(&self, value: &Value) -> Option<Pkey> {
        Some(u16::try_from(value.as_number()?).map_or(NO_PKEY, Pkey))
    }
}

fn infiniband(mut way: Way<'_>, link: &mut Infiniband) {
    let mut mode = Some(link.mode);
    way.field("transport-mode", Words(TRANSPORTS), &mut mode);
    link.mode = mode.unwrap_or(link.mode);
    way.must("p-key", PkeyNumber, NO_PKEY, &mut link.pkey);
    way.field("parent", Text, &mut link.base_iface);
}

/// NMIPTunnelMode.
const TUNNELS: &[(IpTunnelMode, u32)] =
    &[(IpTunnelMode::Ipip, 1), (IpTunnelMode::Sit, 3), (IpTunnelMode::Ip6ip6, 6), (IpTunnelMode::Ipip6, 7)];

/// NMIPTunnelFlags. The kernel's capabilities have none.
const TUNNEL_FLAGS: [(Ip6TunnelFlag, u32); 7] = [
    (Ip6TunnelFlag::IgnEncapLimit, 0x1),
    (Ip6TunnelFlag::UseOrigTclass, 0x2),
    (Ip6TunnelFlag::UseOrigFlowlabel, 0x4),
    (Ip6TunnelFlag::Mip6Dev, 0x8),
    (Ip6TunnelFlag::RcvDscpCopy, 0x10),
    (Ip6TunnelFlag::UseOrigFwMark, 0x20),
    (Ip6TunnelFlag::AllowLocalRemote, 0x40),
];

struct TunnelFlags;

impl Form<Vec<Ip6TunnelFlag>> for TunnelFlags {
    fn encode(&self, flags: &Vec<Ip6TunnelFlag>) -> Option<Value> {
        let given = TUNNEL_FLAGS.iter().filter(|(flag, _)| flags.contains(flag));
        Some(given.fold(0, |bits, (_, bit)| bits | bit).into())
    }

    fn decode(&self, value: &Value) -> Option<Vec<Ip6TunnelFlag>> {
        let bits = value.as_number()?;
        Some(
            TUNNEL_FLAGS
                .iter()
                .filter(|(_, bit)| bits & i128::from(*bit) != 0)
                .map(|(flag, _)| *flag)
                .collect(),
        )
    }
}

fn ip_tunnel(mut way: Way<'_>, tunnel: &mut IpTunnel) {
    way.field("mode", Numbered(TUNNELS), &mut tunnel.mode);
    way.field("parent", Text, &mut tunnel.base_iface);
    way.field("local", Address, &mut tunnel.local);
    way.field("remote", Address, &mut tunnel.remote);
    way.field_or("ttl", U32, 0, &mut tunnel.ttl);
    way.field_or("tos", U32, 0, &mut tunnel.tos);
    way.field_or("path-mtu-discovery", Bool, true, &mut tunnel.pmtu_disc);
    // `fwmark` is for tunnels of type VTI alone, which the document does not have.
    // These NetworkManager refuses for tunnels over IPv4.
    if matches!(tunnel.mode, Some(IpTunnelMode::Ip6ip6 | IpTunnelMode::Ipip6)) {
        way.field_or("encapsulation-limit", U32, 0, &mut tunnel.encap_limit);
        way.field_or("flow-label", U32, 0, &mut tunnel.flow_label);
        way.field_or("flags", TunnelFlags, Vec::new(), &mut tunnel.ip6tun_flags);
    }
}

fn veth(mut way: Way<'_>, veth: &mut Veth) {
    way.must("peer", Text, String::new(), &mut veth.peer);
}
