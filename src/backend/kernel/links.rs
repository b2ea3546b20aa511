//! What a document says of a link, in the kernel's attributes: one function per type.
//!
//! Only what the document mentions is set. Links are named; [`encode`](super::encode) fills in
//! their indices.

use std::fmt;
use std::net::IpAddr;

use crate::kernel::netlink::kinds::{self, Data, List, VlanFlags};
use crate::kernel::netlink::uapi::vlan::*;
use crate::kernel::netlink::{Be16, Be32, Hardware};
use crate::state::{
    AdSelect, AllSlavesActive, ArpAllTargets, ArpValidate, Bond, BondMode, BondOptions, FailOverMac, Hsr,
    HsrProtocol, Interface, InterfaceType, Ip6TunnelFlag, IpTunnel, IpTunnelMode, Ipvlan, IpvlanMode,
    LacpRate, LinuxBridge, Mac, MacVlan, MacVlanMode, Macsec, MacsecOffload, MacsecValidation,
    MulticastRouter, PrimaryReselect, QosMapping, Vlan, VlanProtocol, VlanRegistration, Vxlan,
    XmitHashPolicy,
};

/// USER_HZ: the ticks a second in which the kernel tells times of bridges (asm-generic/param.h).
const USER_HZ: u32 = 100;

/// A link's kind and attributes, and the links it refers to by name.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backend) struct Link {
    pub data: Data,
    pub refers: Refers,
}

/// The links a link is made upon.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backend) enum Refers {
    Nothing,
    Base(String),
    Peer(String),
    Ring { port1: String, port2: String, interlink: Option<String> },
}

impl Link {
    /// What the document says of this interface's kind; None for types the kernel does not make
    /// and for the loopback and hardware.
    pub(super) fn of(interface: &Interface) -> Option<Self> {
        use InterfaceType as T;
        let base = |name: Option<&String>| match name {
            Some(name) if !name.is_empty() => Refers::Base(name.clone()),
            _ => Refers::Nothing,
        };
        let other = |kind: &str| Data::Other(kind.into());
        let (data, refers) = match interface.kind() {
            T::Bond => (
                Data::Bond(Box::new(interface.bond.as_deref().map(bond).unwrap_or_default())),
                Refers::Nothing,
            ),
            T::LinuxBridge => {
                let section = interface.bridge.as_deref().and_then(|bridge| bridge.linux());
                (Data::Bridge(Box::new(section.map(bridge).unwrap_or_default())), Refers::Nothing)
            }
            T::Dummy => (other("dummy"), Refers::Nothing),
            T::Veth | T::Ethernet => {
                let veth = interface.veth.as_ref()?;
                (other("veth"), Refers::Peer(veth.peer.clone()))
            }
            T::Vlan => {
                let section = interface.vlan.as_deref()?;
                (Data::Vlan(Box::new(vlan(section))), base(section.base_iface.as_ref()))
            }
            T::Vxlan => {
                let section = interface.vxlan.as_deref()?;
                (Data::Vxlan(Box::new(vxlan(section))), base(section.base_iface.as_ref()))
            }
            T::Vrf => {
                let table = interface.vrf.as_ref()?.route_table_id.filter(|table| *table != 0);
                (Data::Vrf(Box::new(kinds::Vrf { table })), Refers::Nothing)
            }
            T::MacVlan => {
                let section = interface.mac_vlan.as_ref()?;
                (Data::Macvlan(Box::new(mac_vlan(section))), base(Some(&section.base_iface)))
            }
            T::MacVtap => {
                let section = interface.mac_vtap.as_ref()?;
                (Data::Macvtap(Box::new(mac_vlan(section))), base(Some(&section.base_iface)))
            }
            T::Macsec => {
                let section = interface.macsec.as_deref()?;
                (Data::Macsec(Box::new(macsec(section))), base(Some(&section.base_iface)))
            }
            T::Ipvlan => {
                let section = interface.ipvlan.as_ref()?;
                (Data::Ipvlan(Box::new(ipvlan(section))), base(section.base_iface.as_ref()))
            }
            T::Hsr => {
                let section = interface.hsr.as_ref()?;
                let ring = Refers::Ring {
                    port1: section.port1.clone(),
                    port2: section.port2.clone(),
                    interlink: section.interlink.clone(),
                };
                (Data::Hsr(Box::new(hsr(section))), ring)
            }
            T::IpTunnel => {
                let section = interface.ip_tunnel.as_deref()?;
                (ip_tunnel(section)?, base(section.base_iface.as_ref()))
            }
            T::Loopback
            | T::OvsBridge
            | T::OvsInterface
            | T::Infiniband
            | T::Tun
            | T::Ipsec
            | T::Xfrm
            | T::Unknown
            | T::Other(_) => return None,
        };
        Some(Self { data, refers })
    }

    /// What has to be said to a link that is `before` so that it becomes this; None if nothing.
    pub(super) fn changed_from(&self, before: &Self) -> Option<Self> {
        let data = match (&self.data, &before.data) {
            // A change of a tunnel takes everything it does not mention for zero
            // (net/ipv4/ipip.c, net/ipv6/sit.c, ip6_tunnel.c: parameters are read afresh).
            (Data::Ipip(_) | Data::Sit(_) | Data::Ip6tnl(_), old) if self.data != *old => self.data.clone(),
            (Data::Vlan(vlan), Data::Vlan(old)) => Data::Vlan(Box::new(vlan_change(vlan, old))),
            (data, old) => data.changed_from(old),
        };
        let refers = match data {
            Data::Ipip(_) | Data::Sit(_) | Data::Ip6tnl(_) => self.refers.clone(),
            _ => Refers::Nothing,
        };
        (!data.is_empty()).then_some(Self { data, refers })
    }

    /// Whether the kernel can only make it anew to get here from `before`.
    ///
    /// Facts from the drivers' `changelink`: vlan knows flags and priority maps only; vxlan neither
    /// id, port nor base; vrf and hsr have none; macvlan cannot enter or leave passthru; macsec
    /// keeps its channel identifier; a veth keeps its peer.
    pub(super) fn must_be_made_anew(&self, before: &Self) -> bool {
        if self.refers != before.refers {
            return true;
        }
        fn differ<T: PartialEq>(new: &Option<T>, old: &Option<T>) -> bool {
            new.is_some() && new != old
        }
        match (&self.data, &before.data) {
            (Data::Vlan(new), Data::Vlan(old)) => {
                differ(&new.id, &old.id) || differ(&new.protocol, &old.protocol)
            }
            (Data::Vxlan(new), Data::Vxlan(old)) => {
                differ(&new.id, &old.id) || differ(&new.destination_port, &old.destination_port)
            }
            (Data::Vrf(new), Data::Vrf(old)) => differ(&new.table, &old.table),
            (Data::Hsr(new), Data::Hsr(old)) => new != old,
            (Data::Macvlan(new), Data::Macvlan(old)) | (Data::Macvtap(new), Data::Macvtap(old)) => {
                let passthru = |data: &kinds::Macvlan| data.mode == Some(MACVLAN_PASSTHRU);
                passthru(new) != passthru(old)
            }
            (Data::Macsec(new), Data::Macsec(old)) => differ(&new.port, &old.port),
            // The flags of an ipvlan cannot lose both bits by a mask; the kernel takes the value.
            (new, old) => new.kind() != old.kind(),
        }
    }

    /// Whether its hardware address can be chosen.
    pub(super) fn has_own_mac(&self) -> bool {
        match &self.data {
            Data::Ipip(_) | Data::Sit(_) | Data::Ip6tnl(_) | Data::Ipvlan(_) | Data::Hsr(_) => false,
            Data::Macvlan(data) | Data::Macvtap(data) => data.mode != Some(MACVLAN_PASSTHRU),
            _ => true,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.data)?;
        match &self.refers {
            Refers::Nothing => Ok(()),
            Refers::Base(base) => write!(f, " on {base}"),
            Refers::Peer(peer) => write!(f, " with peer {peer}"),
            Refers::Ring { port1, port2, interlink } => {
                write!(f, " of {port1} and {port2}")?;
                interlink.as_ref().map_or(Ok(()), |interlink| write!(f, " and {interlink}"))
            }
        }
    }
}

impl Refers {
    /// The names of the links it needs to be there.
    pub(super) fn needs(&self) -> Vec<&str> {
        match self {
            Self::Nothing | Self::Peer(_) => Vec::new(),
            Self::Base(base) => vec![base],
            Self::Ring { port1, port2, interlink } => [Some(port1), Some(port2), interlink.as_ref()]
                .into_iter()
                .flatten()
                .map(String::as_str)
                .collect(),
        }
    }
}

fn hardware(mac: &Mac) -> Option<Hardware> {
    Hardware::new(mac.bytes())
}

/// Ethernet protocol number of a VLAN's tag (linux/if_ether.h).
fn ether_type(protocol: VlanProtocol) -> Be16 {
    match protocol {
        VlanProtocol::Ieee8021Q => Be16(0x8100),
        VlanProtocol::Ieee8021Ad => Be16(0x88a8),
    }
}

/// `BOND_MODE_*` and the values of its options, linux/if_bonding.h and bond_options.c.
fn bond(section: &Bond) -> kinds::Bond {
    let options = section.options.as_ref().map(bond_options).unwrap_or_default();
    kinds::Bond { mode: section.mode.and_then(bond_mode), ..options }
}

pub(super) fn bond_mode(mode: BondMode) -> Option<u8> {
    match mode {
        BondMode::BalanceRr => Some(0),
        BondMode::ActiveBackup => Some(1),
        BondMode::BalanceXor => Some(2),
        BondMode::Broadcast => Some(3),
        BondMode::Lacp => Some(4),
        BondMode::BalanceTlb => Some(5),
        BondMode::BalanceAlb => Some(6),
        BondMode::Unknown => None,
    }
}

fn bond_options(options: &BondOptions) -> kinds::Bond {
    let targets = |text: &String| {
        let addresses = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        List(addresses.filter_map(|part| part.parse().ok()).collect())
    };
    kinds::Bond {
        miimon: options.miimon,
        updelay: options.updelay,
        downdelay: options.downdelay,
        use_carrier: options.use_carrier,
        arp_interval: options.arp_interval,
        arp_ip_target: options.arp_ip_target.as_ref().map(targets),
        arp_validate: options.arp_validate.map(|validate| match validate {
            ArpValidate::None => 0,
            ArpValidate::Active => 1,
            ArpValidate::Backup => 2,
            ArpValidate::All => 3,
            ArpValidate::Filter => 4,
            ArpValidate::FilterActive => 5,
            ArpValidate::FilterBackup => 6,
        }),
        arp_all_targets: options.arp_all_targets.map(|targets| match targets {
            ArpAllTargets::Any => 0,
            ArpAllTargets::All => 1,
        }),
        primary_reselect: options.primary_reselect.map(|reselect| match reselect {
            PrimaryReselect::Always => 0,
            PrimaryReselect::Better => 1,
            PrimaryReselect::Failure => 2,
        }),
        fail_over_mac: options.fail_over_mac.map(|mac| match mac {
            FailOverMac::None => 0,
            FailOverMac::Active => 1,
            FailOverMac::Follow => 2,
        }),
        xmit_hash_policy: options.xmit_hash_policy.map(|policy| match policy {
            XmitHashPolicy::Layer2 => 0,
            XmitHashPolicy::Layer34 => 1,
            XmitHashPolicy::Layer23 => 2,
            XmitHashPolicy::Encap23 => 3,
            XmitHashPolicy::Encap34 => 4,
            XmitHashPolicy::VlanSrcMac => 5,
        }),
        resend_igmp: options.resend_igmp,
        // One number under two names.
        num_peer_notif: options.num_grat_arp.or(options.num_unsol_na),
        all_ports_active: options.all_slaves_active.map(|active| match active {
            AllSlavesActive::Dropped => 0,
            AllSlavesActive::Delivered => 1,
        }),
        min_links: options.min_links,
        lp_interval: options.lp_interval,
        packets_per_port: options.packets_per_slave,
        lacp_rate: options.lacp_rate.map(|rate| match rate {
            LacpRate::Slow => 0,
            LacpRate::Fast => 1,
        }),
        ad_select: options.ad_select.map(|select| match select {
            AdSelect::Stable => 0,
            AdSelect::Bandwidth => 1,
            AdSelect::Count => 2,
        }),
        ad_actor_sys_prio: options.ad_actor_sys_prio,
        ad_user_port_key: options.ad_user_port_key,
        ad_actor_system: options.ad_actor_system.as_ref().and_then(hardware),
        tlb_dynamic_lb: options.tlb_dynamic_lb,
        lacp_active: options.lacp_active,
        missed_max: options.arp_missed_max,
        ns_ip6_target: options.ns_ip6_target.clone().map(List),
        ..kinds::Bond::default()
    }
}

fn bridge(section: &LinuxBridge) -> kinds::Bridge {
    let vlan_filtering = section
        .port
        .as_ref()
        .map(|ports| ports.iter().any(|port| port.vlan.as_ref().is_some_and(|vlan| !vlan.is_default())));
    let Some(options) = section.options.as_deref() else {
        return kinds::Bridge { vlan_filtering, ..kinds::Bridge::default() };
    };
    let stp = options.stp.as_ref();
    let seconds = |value: Option<u8>| value.map(|value| u32::from(value) * USER_HZ);
    kinds::Bridge {
        forward_delay: seconds(stp.and_then(|stp| stp.forward_delay)),
        hello_time: seconds(stp.and_then(|stp| stp.hello_time)),
        max_age: seconds(stp.and_then(|stp| stp.max_age)),
        ageing_time: options.mac_ageing_time.map(|value| value.saturating_mul(USER_HZ)),
        stp_state: stp.and_then(|stp| stp.enabled).map(u32::from),
        priority: stp.and_then(|stp| stp.priority),
        vlan_filtering,
        vlan_protocol: options.vlan_protocol.map(ether_type),
        group_fwd_mask: options.group_fwd_mask.or(options.group_forward_mask),
        group_addr: options.group_addr.as_ref().and_then(hardware),
        mcast_router: options.multicast_router.map(|router| match router {
            MulticastRouter::Disabled => 0,
            MulticastRouter::Auto => 1,
            MulticastRouter::Enabled => 2,
        }),
        mcast_snooping: options.multicast_snooping,
        mcast_query_use_ifaddr: options.multicast_query_use_ifaddr,
        mcast_querier: options.multicast_querier,
        mcast_hash_max: options.hash_max,
        mcast_last_member_count: options.multicast_last_member_count,
        mcast_startup_query_count: options.multicast_startup_query_count,
        mcast_last_member_interval: options.multicast_last_member_interval,
        mcast_membership_interval: options.multicast_membership_interval,
        mcast_querier_interval: options.multicast_querier_interval,
        mcast_query_interval: options.multicast_query_interval,
        mcast_query_response_interval: options.multicast_query_response_interval,
        mcast_startup_query_interval: options.multicast_startup_query_interval,
        vlan_default_pvid: options.vlan_default_pvid,
        ..kinds::Bridge::default()
    }
}

fn vlan(section: &Vlan) -> kinds::Vlan {
    let mut flags = VlanFlags { flags: 0, mask: 0 };
    let mut flag = |bit: u32, on: Option<bool>| {
        flags.mask |= if on.is_some() { bit } else { 0 };
        flags.flags |= if on == Some(true) { bit } else { 0 };
    };
    let registration = section.registration_protocol;
    flag(VLAN_FLAG_REORDER_HDR, section.reorder_headers);
    flag(VLAN_FLAG_LOOSE_BINDING, section.loose_binding);
    flag(VLAN_FLAG_GVRP, registration.map(|protocol| protocol == VlanRegistration::Gvrp));
    flag(VLAN_FLAG_MVRP, registration.map(|protocol| protocol == VlanRegistration::Mvrp));
    let map = |map: &Vec<QosMapping>| {
        List(map.iter().map(|entry| kinds::QosMapping { from: entry.from, to: entry.to }).collect())
    };
    kinds::Vlan {
        id: Some(section.id),
        flags: (flags.mask != 0).then_some(flags),
        egress_qos: section.egress_qos_map.as_ref().map(map),
        ingress_qos: section.ingress_qos_map.as_ref().map(map),
        protocol: section.protocol.map(ether_type),
    }
}

/// The kernel adds to the priority maps; an entry goes away by mapping it to 0
/// (net/8021q/vlan_dev.c).
fn vlan_change(new: &kinds::Vlan, old: &kinds::Vlan) -> kinds::Vlan {
    type Map = Option<List<kinds::QosMapping, 1>>;
    let map = |new: &Map, old: &Map| -> Map {
        let entries = |map: &Map| map.as_ref().map(|list| list.0.clone()).unwrap_or_default();
        let (wanted, present) = (entries(new.as_ref().map_or(old, |_| new)), entries(old));
        let gone = present.iter().filter(|entry| !wanted.iter().any(|other| other.from == entry.from));
        let cleared = gone.map(|entry| kinds::QosMapping { from: entry.from, to: 0 });
        let changed = wanted.iter().filter(|entry| !present.contains(entry)).copied();
        let list: Vec<_> = cleared.chain(changed).collect();
        (!list.is_empty()).then_some(List(list))
    };
    kinds::Vlan {
        egress_qos: map(&new.egress_qos, &old.egress_qos),
        ingress_qos: map(&new.ingress_qos, &old.ingress_qos),
        ..new.changed_from(old)
    }
}

fn vxlan(section: &Vxlan) -> kinds::Vxlan {
    let mut data = kinds::Vxlan {
        id: Some(section.id),
        learning: section.learning,
        destination_port: section.destination_port.map(Be16),
        ..kinds::Vxlan::default()
    };
    match section.local {
        Some(IpAddr::V4(local)) => data.local = Some(local),
        Some(IpAddr::V6(local)) => data.local6 = Some(local),
        None => {}
    }
    match section.remote {
        Some(IpAddr::V4(remote)) => data.group = Some(remote),
        Some(IpAddr::V6(remote)) => data.group6 = Some(remote),
        None => {}
    }
    data
}

/// `enum macvlan_mode`, linux/if_link.h.
const MACVLAN_PASSTHRU: u32 = 8;
/// `MACVLAN_FLAG_NOPROMISC`
const MACVLAN_NO_PROMISC: u16 = 1;

fn mac_vlan(section: &MacVlan) -> kinds::Macvlan {
    let mode = match section.mode {
        MacVlanMode::Private => Some(1),
        MacVlanMode::Vepa => Some(2),
        MacVlanMode::Bridge => Some(4),
        MacVlanMode::Passthru => Some(MACVLAN_PASSTHRU),
        MacVlanMode::Source => Some(16),
        MacVlanMode::Unknown => None,
    };
    let flags = section.promiscuous.map(|on| if on { 0 } else { MACVLAN_NO_PROMISC });
    kinds::Macvlan { mode, flags }
}

fn macsec(section: &Macsec) -> kinds::Macsec {
    kinds::Macsec {
        port: u16::try_from(section.port).ok().map(Be16),
        encrypt: Some(section.encrypt),
        send_sci: Some(section.send_sci),
        validation: Some(match section.validation {
            MacsecValidation::Disabled => 0,
            MacsecValidation::Check => 1,
            MacsecValidation::Strict => 2,
        }),
        offload: section.offload.map(|offload| match offload {
            MacsecOffload::Off => 0,
            MacsecOffload::Phy => 1,
            MacsecOffload::Mac => 2,
        }),
        ..kinds::Macsec::default()
    }
}

/// `IPVLAN_MODE_*` and `IPVLAN_F_*`, linux/if_link.h.
fn ipvlan(section: &Ipvlan) -> kinds::Ipvlan {
    let mode = match section.mode.unwrap_or(IpvlanMode::L3) {
        IpvlanMode::L2 => 0,
        IpvlanMode::L3 => 1,
        IpvlanMode::L3s => 2,
    };
    let flag = |bit: u16, on: Option<bool>| if on == Some(true) { bit } else { 0 };
    kinds::Ipvlan { mode: Some(mode), flags: Some(flag(1, section.private) | flag(2, section.vepa)) }
}

/// `HSR_PROTOCOL_*`, and the version that tells the two editions of HSR apart.
fn hsr(section: &Hsr) -> kinds::Hsr {
    let (protocol, version) = match section.protocol {
        HsrProtocol::Hsr => (0, Some(0)),
        HsrProtocol::Hsr2012 => (0, Some(1)),
        HsrProtocol::Prp => (1, None),
    };
    kinds::Hsr {
        multicast_spec: Some(section.multicast_spec),
        version,
        protocol: Some(protocol),
        ..kinds::Hsr::default()
    }
}

/// `IPPROTO_IPIP`, `IPPROTO_IPV6`: what a tunnel over IPv6 carries.
const CARRIES_IPV4: u8 = 4;
const CARRIES_IPV6: u8 = 41;

fn ip_tunnel(section: &IpTunnel) -> Option<Data> {
    let mut data = kinds::IpTunnel {
        local: section.local,
        remote: section.remote,
        ttl: section.ttl,
        tos: section.tos,
        fwmark: section.fwmark,
        ..kinds::IpTunnel::default()
    };
    match section.mode? {
        IpTunnelMode::Ipip => {
            data.pmtu_discovery = section.pmtu_disc;
            Some(Data::Ipip(Box::new(data)))
        }
        IpTunnelMode::Sit => {
            data.pmtu_discovery = section.pmtu_disc;
            Some(Data::Sit(Box::new(data)))
        }
        mode @ (IpTunnelMode::Ip6ip6 | IpTunnelMode::Ipip6) => {
            let carries = if mode == IpTunnelMode::Ip6ip6 { CARRIES_IPV6 } else { CARRIES_IPV4 };
            // The traffic class has bits 20 to 27 of the flow information (RFC 8200, 3).
            let class = u32::from(section.tos.unwrap_or_default()) << 20;
            data.tos = None;
            data.protocol = Some(carries);
            data.encap_limit = section.encap_limit;
            data.flow_info = (section.flow_label.is_some() || section.tos.is_some())
                .then(|| Be32(class | section.flow_label.unwrap_or_default()));
            data.flags = section
                .ip6tun_flags
                .as_ref()
                .map(|flags| flags.iter().fold(0, |bits, flag| bits | tunnel_flag(*flag)));
            Some(Data::Ip6tnl(Box::new(data)))
        }
        IpTunnelMode::Unknown => None,
    }
}

/// `IP6_TNL_F_*`, linux/ip6_tunnel.h. The capabilities are the kernel's own finding.
fn tunnel_flag(flag: Ip6TunnelFlag) -> u32 {
    match flag {
        Ip6TunnelFlag::IgnEncapLimit => 0x1,
        Ip6TunnelFlag::UseOrigTclass => 0x2,
        Ip6TunnelFlag::UseOrigFlowlabel => 0x4,
        Ip6TunnelFlag::Mip6Dev => 0x8,
        Ip6TunnelFlag::RcvDscpCopy => 0x10,
        Ip6TunnelFlag::UseOrigFwMark => 0x20,
        Ip6TunnelFlag::AllowLocalRemote => 0x40,
        Ip6TunnelFlag::CapXmit | Ip6TunnelFlag::CapRcv | Ip6TunnelFlag::CapPerPacket => 0,
    }
}
