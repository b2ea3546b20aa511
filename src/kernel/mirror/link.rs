//! Links: `RTM_NEWLINK` of the families unspec (the link), inet6 (its IPv6 settings) and bridge
//! (its VLANs and bridge port settings).

use crate::kernel::netlink::kinds::{BridgePort, BridgeVlanInfo, Data, PortData, VlanFlags, read_link_info};
use crate::kernel::netlink::uapi::bridge::*;
use crate::kernel::netlink::uapi::link::*;
use crate::kernel::netlink::{Attr, Attrs, Be16, Hardware, Message, Value};
use nix::libc;
use std::net::Ipv6Addr;

/// `struct ifinfomsg`
pub(super) const HEADER: usize = 16;

/// A network link, as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: Box<str>,
    /// `ARPHRD_*`: 1 ethernet, 32 InfiniBand, 772 loopback.
    pub hardware_type: u16,
    /// `IFF_*`
    pub flags: u32,
    /// `IF_OPER_*`: 0 unknown, 2 down, 3 lower layer down, 6 up.
    pub operstate: u8,
    pub address: Option<Hardware>,
    pub permanent_address: Option<Hardware>,
    pub mtu: u32,
    pub min_mtu: Option<u32>,
    pub max_mtu: Option<u32>,
    /// Index of the controller.
    pub controller: Option<u32>,
    /// Index of the base link, or of a veth's peer; in the namespace `link_namespace` if set.
    pub link: Option<u32>,
    pub link_namespace: Option<i32>,
    pub promiscuity: u32,
    pub group: u32,
    pub queue_length: u32,
    pub alt_names: Vec<Box<str>>,
    pub alias: Option<Box<str>>,
    /// `None` for hardware.
    pub data: Option<Data>,
    /// What it is to its controller.
    pub port: Option<PortData>,
    pub inet: Inet,
    pub inet6: Option<Inet6>,
    /// Virtual functions.
    pub vfs: Vec<Vf>,
}

/// Where a link message comes from. Notifications leave virtual functions out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Asked,
    Notified,
}

/// Per-link IPv4 settings (`net.ipv4.conf.NAME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inet {
    pub forwarding: Option<bool>,
}

/// Per-link IPv6 settings (`net.ipv6.conf.NAME`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inet6 {
    pub forwarding: Option<i32>,
    pub disabled: bool,
    pub accept_ra: Option<i32>,
    pub autoconf: Option<i32>,
    /// 0 eui64, 1 none, 2 stable-privacy, 3 random.
    pub addr_gen_mode: Option<u8>,
    pub token: Option<Ipv6Addr>,
}

/// A virtual function of an SR-IOV device (`IFLA_VF_INFO`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vf {
    pub id: u32,
    pub address: Option<Hardware>,
    pub vlan_id: u32,
    pub qos: u32,
    /// 0x8100 or 0x88a8.
    pub vlan_protocol: Option<u16>,
    pub spoof_check: Option<bool>,
    pub trust: Option<bool>,
    pub min_tx_rate: u32,
    pub max_tx_rate: u32,
}

/// A range of VLANs with equal flags on a bridge port or the bridge itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BridgeVlans {
    pub first: u16,
    pub last: u16,
    pub pvid: bool,
    pub untagged: bool,
}

/// `IPV4_DEVCONF_FORWARDING`, linux/ip.h; the array starts at 1.
const DEVCONF4_FORWARDING: usize = 1;
/// `DEVCONF_*`, linux/ipv6.h; the array starts at 0.
const DEVCONF6_FORWARDING: usize = 0;
const DEVCONF6_ACCEPT_RA: usize = 3;
const DEVCONF6_AUTOCONF: usize = 5;
const DEVCONF6_DISABLE_IPV6: usize = 26;
/// Families as attribute types inside `IFLA_AF_SPEC`.
const INET: u16 = libc::AF_INET as u16;
const INET6: u16 = libc::AF_INET6 as u16;

/// Returns family and index of a link message.
pub(super) fn identity(message: &Message<'_>) -> Option<(i32, u32)> {
    let (header, _) = message.body::<HEADER>()?;
    let index = u32::from_ne_bytes([header[4], header[5], header[6], header[7]]);
    Some((i32::from(header[0]), index))
}

impl Link {
    /// Reads a link of the family unspec; `None` if it has no name, which no kernel sends.
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        let (header, attrs) = message.body::<HEADER>()?;
        let mut link = Self {
            index: u32::from_ne_bytes([header[4], header[5], header[6], header[7]]),
            name: "".into(),
            hardware_type: u16::from_ne_bytes([header[2], header[3]]),
            flags: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            operstate: 0,
            address: None,
            permanent_address: None,
            mtu: 0,
            min_mtu: None,
            max_mtu: None,
            controller: None,
            link: None,
            link_namespace: None,
            promiscuity: 0,
            group: 0,
            queue_length: 0,
            alt_names: Vec::new(),
            alias: None,
            data: None,
            port: None,
            inet: Inet::default(),
            inet6: None,
            vfs: Vec::new(),
        };
        for attr in attrs {
            match attr.kind {
                libc::IFLA_IFNAME => link.name = attr.text().unwrap_or_default().into(),
                libc::IFLA_ADDRESS => link.address = attr.get(),
                libc::IFLA_PERM_ADDRESS => {
                    link.permanent_address = attr.get().filter(|a: &Hardware| !a.is_zero());
                }
                libc::IFLA_MTU => link.mtu = attr.get().unwrap_or_default(),
                libc::IFLA_MIN_MTU => link.min_mtu = attr.get(),
                libc::IFLA_MAX_MTU => link.max_mtu = attr.get(),
                libc::IFLA_OPERSTATE => link.operstate = attr.get().unwrap_or_default(),
                libc::IFLA_MASTER => link.controller = attr.get(),
                // Index 0 means: the base is in a namespace that has no id here.
                libc::IFLA_LINK => link.link = attr.get().filter(|index| *index != 0),
                libc::IFLA_LINK_NETNSID => link.link_namespace = attr.get(),
                libc::IFLA_PROMISCUITY => link.promiscuity = attr.get().unwrap_or_default(),
                libc::IFLA_GROUP => link.group = attr.get().unwrap_or_default(),
                libc::IFLA_TXQLEN => link.queue_length = attr.get().unwrap_or_default(),
                libc::IFLA_IFALIAS => link.alias = attr.text().map(Into::into),
                libc::IFLA_PROP_LIST => {
                    link.alt_names = attr
                        .nested()
                        .filter(|property| property.kind == libc::IFLA_ALT_IFNAME)
                        .filter_map(|property| property.text().map(Into::into))
                        .collect();
                }
                libc::IFLA_LINKINFO => (link.data, link.port) = read_link_info(attr),
                libc::IFLA_AF_SPEC => {
                    for family in attr.nested() {
                        match family.kind {
                            INET => link.inet = Inet::read(family.nested()),
                            INET6 => link.inet6 = Some(Inet6::read(family.nested())),
                            _ => {}
                        }
                    }
                }
                libc::IFLA_VFINFO_LIST => {
                    link.vfs = attr.nested().filter_map(Vf::read).collect();
                }
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }

    /// Returns the kernel's name of the kind; empty for hardware.
    pub fn kind(&self) -> &str {
        self.data.as_ref().map_or("", Data::kind)
    }

    pub fn is_up(&self) -> bool {
        self.has(libc::IFF_UP)
    }

    /// Returns whether a flag of the `IFF_*` is set.
    pub fn has(&self, flag: libc::c_int) -> bool {
        u32::try_from(flag).is_ok_and(|flag| self.flags & flag != 0)
    }
}

/// Reads a link message of the family inet6 (`RTNLGRP_IPV6_IFINFO`).
pub(super) fn read_inet6(message: &Message<'_>) -> Option<Inet6> {
    let (_, attrs) = message.body::<HEADER>()?;
    Some(Inet6::read(attrs.first(libc::IFLA_PROTINFO)?.nested()))
}

/// What a link message of the family bridge tells; `None` where it does not.
#[derive(Clone, Debug)]
pub(super) struct BridgeTold {
    pub port: Option<BridgePort>,
    pub vlans: Option<Vec<BridgeVlans>>,
}

/// Reads a link message of the family bridge: a port's settings and its VLANs. `None` if it is not
/// the bridge that speaks but a network card with a switch inside, about itself.
pub(super) fn read_bridge(message: &Message<'_>) -> Option<BridgeTold> {
    let (_, attrs) = message.body::<HEADER>()?;
    let port = attrs.first(libc::IFLA_PROTINFO);
    let spec = attrs.first(libc::IFLA_AF_SPEC);
    let flags = spec.and_then(|spec| spec.nested().first(IFLA_BRIDGE_FLAGS)?.get::<u16>());
    if flags.is_some_and(|flags| flags & BRIDGE_FLAGS_SELF != 0) {
        return None;
    }
    Some(BridgeTold {
        port: port.map(|port| BridgePort::read(port.nested())),
        vlans: spec.map(|spec| read_vlans(spec.nested())),
    })
}

/// Reads VLANs, single or as a range's begin and end.
fn read_vlans(attrs: Attrs<'_>) -> Vec<BridgeVlans> {
    let mut vlans = Vec::new();
    let mut begin = None;
    for attr in attrs.filter(|attr| attr.kind == IFLA_BRIDGE_VLAN_INFO) {
        let Some(BridgeVlanInfo { flags, id }) = attr.get() else {
            continue;
        };
        if flags & BRIDGE_VLAN_INFO_RANGE_BEGIN != 0 {
            begin = Some(id);
            continue;
        }
        let range_end = flags & BRIDGE_VLAN_INFO_RANGE_END != 0;
        vlans.push(BridgeVlans {
            first: begin.take().filter(|_| range_end).unwrap_or(id),
            last: id,
            pvid: flags & BRIDGE_VLAN_INFO_PVID != 0,
            untagged: flags & BRIDGE_VLAN_INFO_UNTAGGED != 0,
        });
    }
    vlans
}

/// Returns one number of an array of 32 bit numbers. The array grows with the kernel's version.
fn element(attr: Attr<'_>, index: usize) -> Option<i32> {
    i32::read(attr.payload.get(index * 4..index * 4 + 4)?)
}

impl Inet {
    fn read(attrs: Attrs<'_>) -> Self {
        let conf = attrs.first(IFLA_INET_CONF);
        Self {
            forwarding: conf.and_then(|conf| element(conf, DEVCONF4_FORWARDING - 1)).map(|value| value != 0),
        }
    }
}

impl Inet6 {
    fn read(attrs: Attrs<'_>) -> Self {
        let mut inet6 = Self::default();
        for attr in attrs {
            match attr.kind {
                IFLA_INET6_CONF => {
                    inet6.forwarding = element(attr, DEVCONF6_FORWARDING);
                    inet6.accept_ra = element(attr, DEVCONF6_ACCEPT_RA);
                    inet6.autoconf = element(attr, DEVCONF6_AUTOCONF);
                    inet6.disabled = element(attr, DEVCONF6_DISABLE_IPV6).is_some_and(|v| v != 0);
                }
                IFLA_INET6_ADDR_GEN_MODE => inet6.addr_gen_mode = attr.get(),
                IFLA_INET6_TOKEN => {
                    inet6.token = attr.get().filter(|token: &Ipv6Addr| !token.is_unspecified());
                }
                _ => {}
            }
        }
        inet6
    }
}

impl Vf {
    /// Each attribute is a struct that starts with the function's number (`struct ifla_vf_*`).
    fn read(info: Attr<'_>) -> Option<Self> {
        let mut vf = Self::default();
        let mut id = None;
        for attr in info.nested() {
            let Some((number, value)) = attr.payload.split_first_chunk::<4>() else {
                continue;
            };
            let field = |index: usize| -> Option<u32> { u32::read(value.get(index * 4..index * 4 + 4)?) };
            id = id.or(Some(u32::from_ne_bytes(*number)));
            match attr.kind {
                // The field has room for 32 bytes; a function of an ethernet device uses six.
                IFLA_VF_MAC => vf.address = value.get(..6).and_then(Hardware::new),
                IFLA_VF_VLAN => {
                    vf.vlan_id = field(0).unwrap_or_default();
                    vf.qos = field(1).unwrap_or_default();
                }
                IFLA_VF_VLAN_LIST => {
                    let entry = attr.nested().first(IFLA_VF_VLAN_INFO);
                    let protocol = entry.and_then(|entry| entry.payload.get(12..14));
                    vf.vlan_protocol = protocol.and_then(Be16::read).map(|protocol| protocol.0);
                }
                IFLA_VF_RATE => {
                    vf.min_tx_rate = field(0).unwrap_or_default();
                    vf.max_tx_rate = field(1).unwrap_or_default();
                }
                // u32::MAX: the driver does not tell.
                IFLA_VF_SPOOFCHK => vf.spoof_check = flag(field(0)),
                IFLA_VF_TRUST => vf.trust = flag(field(0)),
                _ => {}
            }
        }
        vf.id = id?;
        Some(vf)
    }
}

fn flag(value: Option<u32>) -> Option<bool> {
    value.filter(|value| *value <= 1).map(|value| value == 1)
}

/// Returns whether a VLAN flag (`VLAN_FLAG_*`) is set.
pub fn vlan_flag(flags: Option<VlanFlags>, flag: u32) -> bool {
    flags.is_some_and(|flags| flags.flags & flag != 0)
}
