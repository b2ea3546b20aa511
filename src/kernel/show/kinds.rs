//! The section of each type.

use super::interface::{Ports, mac};
use crate::kernel::mirror::{BridgeVlans, Image, Link, vlan_flag};
use crate::kernel::netlink::kinds::{self, Data, PortData};
use crate::kernel::netlink::uapi::vlan::*;
use crate::kernel::netlink::{Be16, Be32};
use crate::state::*;
use std::net::IpAddr;

/// Adds the section of the link's type.
pub(super) fn add_section(image: &Image, link: &Link, ports: &Ports<'_>, shown: &mut Interface) {
    let base = || base(image, link);
    match &link.data {
        Some(Data::Bond(data)) => shown.bond = Some(Box::new(bond(image, data, ports.of_link(link)))),
        Some(Data::Bridge(data)) => {
            let bridge = bridge(image, data, ports.of_link(link));
            shown.bridge = Some(Box::new(Bridge::Linux(bridge)));
        }
        Some(Data::Hsr(data)) => shown.hsr = hsr(image, data),
        Some(Data::Ipip(data)) => shown.ip_tunnel = Some(tunnel(image, data, IpTunnelMode::Ipip)),
        Some(Data::Sit(data)) => shown.ip_tunnel = Some(tunnel(image, data, IpTunnelMode::Sit)),
        Some(Data::Ip6tnl(data)) => {
            // IPPROTO_IPV6, IPPROTO_IPIP; 0 carries both.
            let mode = match data.protocol {
                Some(41) => IpTunnelMode::Ip6ip6,
                Some(4) => IpTunnelMode::Ipip6,
                _ => IpTunnelMode::Unknown,
            };
            shown.ip_tunnel = Some(tunnel(image, data, mode));
        }
        Some(Data::Ipoib(data)) => shown.infiniband = Some(infiniband(base(), data)),
        Some(Data::Ipvlan(data)) => shown.ipvlan = Some(ipvlan(base(), data)),
        Some(Data::Macsec(data)) => shown.macsec = macsec(base(), data).map(Box::new),
        Some(Data::Macvlan(data)) => shown.mac_vlan = mac_vlan(base(), data),
        Some(Data::Macvtap(data)) => shown.mac_vtap = mac_vlan(base(), data),
        Some(Data::Vlan(data)) => shown.vlan = vlan(base(), data).map(Box::new),
        Some(Data::Vrf(data)) => {
            let port = Some(names(ports.of_link(link)));
            shown.vrf = Some(Vrf { port, route_table_id: data.table });
        }
        Some(Data::Vxlan(data)) => shown.vxlan = vxlan(image, data).map(Box::new),
        Some(Data::Other(kind)) if &**kind == "veth" => {
            shown.veth = base().map(|peer| Veth { peer });
        }
        Some(Data::Tun(_) | Data::Xfrm(_) | Data::Other(_)) | None => {}
    }
    if shown.kind() == &InterfaceType::Ethernet {
        shown.ethernet = Some(Box::new(super::ethtool::ethernet(image, link)));
    }
}

/// Returns the name of the base or peer, if it is in this namespace.
fn base(image: &Image, link: &Link) -> Option<String> {
    let index = link.link.filter(|_| link.link_namespace.is_none())?;
    name(image, index)
}

fn name(image: &Image, index: u32) -> Option<String> {
    image.link_name(index).map(str::to_owned)
}

fn names(links: &[&Link]) -> Vec<String> {
    links.iter().map(|link| link.name.to_string()).collect()
}

/// Returns the word that a list gives a number, where words stand in the kernel's order.
fn word<T: Copy>(words: &[T], number: Option<impl Into<u32>>) -> Option<T> {
    let number = usize::try_from(number?.into()).ok()?;
    words.get(number).copied()
}

fn bond(image: &Image, data: &kinds::Bond, ports: &[&Link]) -> Bond {
    let config = ports.iter().map(|link| {
        let port = match &link.port {
            Some(PortData::Bond(port)) => Some(port),
            Some(PortData::Bridge(_)) | None => None,
        };
        BondPort {
            name: link.name.to_string(),
            priority: port.and_then(|port| port.priority),
            queue_id: port.and_then(|port| port.queue_id),
        }
    });
    Bond {
        mode: word(BondMode::ALL, data.mode),
        options: Some(bond_options(image, data)),
        port: Some(names(ports)),
        ports_config: Some(config.collect()),
    }
}

fn bond_options(image: &Image, data: &kinds::Bond) -> BondOptions {
    let kinds::Bond {
        mode,
        active_port: _,
        miimon,
        updelay,
        downdelay,
        use_carrier,
        arp_interval,
        arp_ip_target,
        arp_validate,
        arp_all_targets,
        primary,
        primary_reselect,
        fail_over_mac,
        xmit_hash_policy,
        resend_igmp,
        num_peer_notif,
        all_ports_active,
        min_links,
        lp_interval,
        packets_per_port,
        lacp_rate,
        ad_select,
        ad_actor_sys_prio,
        ad_user_port_key,
        ad_actor_system,
        tlb_dynamic_lb,
        peer_notif_delay: _,
        lacp_active,
        missed_max,
        ns_ip6_target,
    } = data;
    let is_lacp = word(BondMode::ALL, *mode) == Some(BondMode::Lacp);
    BondOptions {
        ad_actor_sys_prio: *ad_actor_sys_prio,
        ad_actor_system: ad_actor_system.as_ref().and_then(mac),
        ad_select: word(AdSelect::ALL, *ad_select),
        ad_user_port_key: *ad_user_port_key,
        all_slaves_active: word(AllSlavesActive::ALL, *all_ports_active),
        arp_all_targets: word(ArpAllTargets::ALL, *arp_all_targets),
        arp_interval: *arp_interval,
        arp_ip_target: arp_ip_target.as_ref().map(|targets| {
            let targets: Vec<String> = targets.0.iter().map(ToString::to_string).collect();
            targets.join(",")
        }),
        arp_validate: word(ArpValidate::ALL, *arp_validate),
        downdelay: *downdelay,
        fail_over_mac: word(FailOverMac::ALL, *fail_over_mac),
        // The kernel tells these two in every mode; a document may name them in one.
        lacp_rate: word(LacpRate::ALL, lacp_rate.filter(|_| is_lacp)),
        lp_interval: *lp_interval,
        miimon: *miimon,
        min_links: *min_links,
        // One number of the kernel's under two names.
        num_grat_arp: *num_peer_notif,
        num_unsol_na: *num_peer_notif,
        packets_per_slave: *packets_per_port,
        primary: primary.and_then(|index| name(image, index)),
        primary_reselect: word(PrimaryReselect::ALL, *primary_reselect),
        resend_igmp: *resend_igmp,
        tlb_dynamic_lb: *tlb_dynamic_lb,
        updelay: *updelay,
        use_carrier: *use_carrier,
        xmit_hash_policy: word(XmitHashPolicy::ALL, *xmit_hash_policy),
        balance_slb: None,
        arp_missed_max: *missed_max,
        lacp_active: lacp_active.filter(|_| is_lacp),
        ns_ip6_target: ns_ip6_target.as_ref().map(|targets| targets.0.clone()),
    }
}

fn bridge(image: &Image, data: &kinds::Bridge, ports: &[&Link]) -> LinuxBridge {
    let default_pvid = data.vlan_default_pvid.unwrap_or(1);
    let filtering = data.vlan_filtering == Some(true);
    let port = |link: &&Link| {
        let port = match &link.port {
            Some(PortData::Bridge(port)) => Some(port),
            Some(PortData::Bond(_)) | None => None,
        };
        let vlans = image.vlans.get(&link.index).filter(|_| filtering);
        LinuxBridgePort {
            name: link.name.to_string(),
            stp_hairpin_mode: port.and_then(|port| port.hairpin),
            stp_path_cost: port.and_then(|port| port.cost),
            stp_priority: port.and_then(|port| port.priority),
            vlan: vlans.and_then(|vlans| port_vlan(vlans, default_pvid)),
        }
    };
    LinuxBridge {
        allow_extra_ports: None,
        options: Some(Box::new(bridge_options(data))),
        port: Some(ports.iter().map(port).collect()),
    }
}

/// Kernel ticks are hundredths of a second (USER_HZ); the document has whole seconds.
fn seconds(ticks: Option<u32>) -> Option<u32> {
    ticks.map(|ticks| ticks / 100)
}

fn small_seconds(ticks: Option<u32>) -> Option<u8> {
    seconds(ticks).map(|seconds| u8::try_from(seconds).unwrap_or(u8::MAX))
}

fn bridge_options(data: &kinds::Bridge) -> LinuxBridgeOptions {
    LinuxBridgeOptions {
        // They run while nothing changes, so no notification tells them.
        gc_timer: None,
        group_addr: data.group_addr.as_ref().and_then(mac),
        group_forward_mask: data.group_fwd_mask,
        group_fwd_mask: data.group_fwd_mask,
        hash_max: data.mcast_hash_max,
        hello_timer: None,
        mac_ageing_time: seconds(data.ageing_time),
        multicast_last_member_count: data.mcast_last_member_count,
        multicast_last_member_interval: data.mcast_last_member_interval,
        multicast_membership_interval: data.mcast_membership_interval,
        multicast_querier: data.mcast_querier,
        multicast_querier_interval: data.mcast_querier_interval,
        multicast_query_interval: data.mcast_query_interval,
        multicast_query_response_interval: data.mcast_query_response_interval,
        multicast_query_use_ifaddr: data.mcast_query_use_ifaddr,
        multicast_router: match data.mcast_router {
            Some(0) => Some(MulticastRouter::Disabled),
            Some(1) => Some(MulticastRouter::Auto),
            Some(2) => Some(MulticastRouter::Enabled),
            _ => None,
        },
        multicast_snooping: data.mcast_snooping,
        multicast_startup_query_count: data.mcast_startup_query_count,
        multicast_startup_query_interval: data.mcast_startup_query_interval,
        stp: Some(Stp {
            enabled: data.stp_state.map(|state| state != 0),
            forward_delay: small_seconds(data.forward_delay),
            hello_time: small_seconds(data.hello_time),
            max_age: small_seconds(data.max_age),
            priority: data.priority,
        }),
        vlan_protocol: protocol(data.vlan_protocol),
        vlan_default_pvid: data.vlan_default_pvid,
    }
}

/// `ETH_P_8021Q`, `ETH_P_8021AD`
fn protocol(protocol: Option<Be16>) -> Option<VlanProtocol> {
    match protocol?.0 {
        0x8100 => Some(VlanProtocol::Ieee8021Q),
        0x88a8 => Some(VlanProtocol::Ieee8021Ad),
        _ => None,
    }
}

/// The VLANs of a bridge port. What the bridge gives every port is not the port's own.
fn port_vlan(vlans: &[BridgeVlans], default_pvid: u16) -> Option<PortVlan> {
    let is_default = |vlans: &BridgeVlans| vlans.first == default_pvid && vlans.last == default_pvid;
    let own: Vec<&BridgeVlans> = vlans.iter().filter(|vlans| !is_default(vlans)).collect();
    let native = own.iter().find(|vlans| vlans.pvid && vlans.untagged).map(|vlans| vlans.first);
    let trunk = own.iter().filter(|vlans| !(vlans.pvid && vlans.untagged));
    let trunk: Vec<TrunkTag> = trunk.map(|vlans| TrunkTag { min: vlans.first, max: vlans.last }).collect();
    if own.is_empty() {
        return None;
    }
    let is_trunk = !trunk.is_empty();
    Some(PortVlan {
        enable_native: is_trunk.then_some(native.is_some()),
        mode: Some(if is_trunk { PortVlanMode::Trunk } else { PortVlanMode::Access }),
        tag: native,
        trunk_tags: Some(trunk),
    })
}

fn hsr(image: &Image, data: &kinds::Hsr) -> Option<Hsr> {
    let supervision = data.supervision_address.as_ref();
    let protocol = match (data.protocol, data.version) {
        (Some(1), _) => HsrProtocol::Prp,
        (_, Some(1)) => HsrProtocol::Hsr2012,
        // No kernel up to 7.2 tells the version, so both versions of HSR look the same.
        _ => HsrProtocol::Hsr,
    };
    Some(Hsr {
        port1: name(image, data.port1?)?,
        port2: name(image, data.port2?)?,
        interlink: data.interlink.and_then(|index| name(image, index)),
        supervision_address: supervision.and_then(mac),
        multicast_spec: supervision?.bytes().last().copied()?,
        protocol,
    })
}

/// `IP6_TNL_F_*`, linux/ip6_tunnel.h, and the kernel's own above.
const TUNNEL_FLAGS: [(u32, Ip6TunnelFlag); 10] = [
    (0x1, Ip6TunnelFlag::IgnEncapLimit),
    (0x2, Ip6TunnelFlag::UseOrigTclass),
    (0x4, Ip6TunnelFlag::UseOrigFlowlabel),
    (0x8, Ip6TunnelFlag::Mip6Dev),
    (0x10, Ip6TunnelFlag::RcvDscpCopy),
    (0x20, Ip6TunnelFlag::UseOrigFwMark),
    (0x40, Ip6TunnelFlag::AllowLocalRemote),
    (0x1_0000, Ip6TunnelFlag::CapXmit),
    (0x2_0000, Ip6TunnelFlag::CapRcv),
    (0x4_0000, Ip6TunnelFlag::CapPerPacket),
];

fn tunnel(image: &Image, data: &kinds::IpTunnel, mode: IpTunnelMode) -> Box<IpTunnel> {
    let is_v6 = !matches!(mode, IpTunnelMode::Ipip | IpTunnelMode::Sit);
    let specified = |ip: Option<IpAddr>| ip.filter(|ip| !ip.is_unspecified());
    let flags = data.flags.filter(|_| is_v6).map(|flags| {
        let set = TUNNEL_FLAGS.iter().filter(|(bit, _)| flags & bit != 0);
        set.map(|(_, flag)| *flag).collect()
    });
    Box::new(IpTunnel {
        mode: Some(mode),
        base_iface: data.link.and_then(|index| name(image, index)),
        local: specified(data.local),
        remote: specified(data.remote),
        ttl: data.ttl,
        tos: data.tos,
        flow_label: data.flow_info.filter(|_| is_v6).map(|Be32(info)| info & 0xf_ffff),
        ip6tun_flags: flags,
        pmtu_disc: data.pmtu_discovery,
        encap_limit: data.encap_limit,
        fwmark: data.fwmark,
    })
}

fn infiniband(base_iface: Option<String>, data: &kinds::Ipoib) -> Infiniband {
    Infiniband {
        mode: match data.mode {
            Some(1) => InfinibandMode::Connected,
            _ => InfinibandMode::Datagram,
        },
        base_iface,
        pkey: Pkey(data.pkey.unwrap_or(0xffff)),
    }
}

fn ipvlan(base_iface: Option<String>, data: &kinds::Ipvlan) -> Ipvlan {
    let flag = |bit: u16| data.flags.map(|flags| flags & bit != 0);
    Ipvlan { base_iface, mode: word(IpvlanMode::ALL, data.mode), private: flag(1), vepa: flag(2) }
}

/// The keys are with the key agreement daemon, not with the kernel.
fn macsec(base_iface: Option<String>, data: &kinds::Macsec) -> Option<Macsec> {
    let [.., high, low] = data.sci?;
    Some(Macsec {
        encrypt: data.encrypt?,
        base_iface: base_iface?,
        mka_cak: None,
        mka_ckn: None,
        port: u32::from(u16::from_be_bytes([high, low])),
        validation: word(MacsecValidation::ALL, data.validation)?,
        send_sci: data.send_sci?,
        offload: word(MacsecOffload::ALL, data.offload),
    })
}

fn mac_vlan(base_iface: Option<String>, data: &kinds::Macvlan) -> Option<MacVlan> {
    const NO_PROMISCUITY: u16 = 1;
    Some(MacVlan {
        base_iface: base_iface?,
        mode: match data.mode? {
            1 => MacVlanMode::Private,
            2 => MacVlanMode::Vepa,
            4 => MacVlanMode::Bridge,
            8 => MacVlanMode::Passthru,
            16 => MacVlanMode::Source,
            _ => MacVlanMode::Unknown,
        },
        promiscuous: data.flags.map(|flags| flags & NO_PROMISCUITY == 0),
    })
}

fn vlan(base_iface: Option<String>, data: &kinds::Vlan) -> Option<Vlan> {
    let flag = |flag: u32| data.flags.map(|flags| vlan_flag(Some(flags), flag));
    let registration = match (flag(VLAN_FLAG_GVRP), flag(VLAN_FLAG_MVRP)) {
        (Some(true), _) => VlanRegistration::Gvrp,
        (_, Some(true)) => VlanRegistration::Mvrp,
        _ => VlanRegistration::None,
    };
    let map = |list: &Option<kinds::List<kinds::QosMapping, 1>>| {
        let mut map: Vec<kinds::QosMapping> = list.as_ref()?.0.clone();
        map.sort_unstable();
        let map = map.into_iter().map(|kinds::QosMapping { from, to }| QosMapping { from, to });
        Some(map.collect()).filter(|map: &Vec<_>| !map.is_empty())
    };
    Some(Vlan {
        base_iface,
        id: data.id?,
        protocol: protocol(data.protocol),
        registration_protocol: Some(registration),
        reorder_headers: flag(VLAN_FLAG_REORDER_HDR),
        loose_binding: flag(VLAN_FLAG_LOOSE_BINDING),
        ingress_qos_map: map(&data.ingress_qos),
        egress_qos_map: map(&data.egress_qos),
    })
}

fn vxlan(image: &Image, data: &kinds::Vxlan) -> Option<Vxlan> {
    Some(Vxlan {
        base_iface: data.link.and_then(|index| name(image, index)),
        id: data.id?,
        learning: data.learning,
        local: data.local.map(IpAddr::V4).or(data.local6.map(IpAddr::V6)),
        remote: data.group.map(IpAddr::V4).or(data.group6.map(IpAddr::V6)),
        destination_port: data.destination_port.map(|Be16(port)| port),
    })
}

/// Virtual functions, of a device that can have some.
pub(super) fn sr_iov(image: &Image, link: &Link) -> Option<SrIov> {
    let sriov = image.devices.get(&link.index)?.sriov.as_ref()?;
    let function = |vf: &crate::kernel::mirror::Vf| VirtualFunction {
        id: vf.id,
        iface_name: sriov.links.get(&vf.id).map(|name| name.to_string()),
        mac_address: vf.address.as_ref().and_then(mac),
        spoof_check: vf.spoof_check,
        trust: vf.trust,
        min_tx_rate: Some(vf.min_tx_rate),
        max_tx_rate: Some(vf.max_tx_rate),
        vlan_id: Some(vf.vlan_id),
        qos: Some(vf.qos),
        vlan_proto: protocol(vf.vlan_protocol.map(Be16)),
    };
    Some(SrIov {
        drivers_autoprobe: sriov.drivers_autoprobe,
        total_vfs: Some(sriov.vfs),
        max_vfs: Some(sriov.max_vfs),
        vfs: Some(link.vfs.iter().map(function).collect()),
    })
}
