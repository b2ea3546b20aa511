//! The attributes of every link kind: one row each, for reading and for writing.
//!
//! Every field is optional: reading leaves `None` what this kernel does not tell, writing sends
//! only what is `Some`. Numbers and widths are those of linux/if_link.h and the kind's driver.
//!
//! A new link kind is a struct here, a row in [`Data`], and its words in the document.

use super::attr::{Attr, Attrs, Be16, Be32, Hardware, Value, Writer};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Declares the kinds: the kernel's name, and the struct of its attributes.
macro_rules! kinds {
    ($($(#[$about:meta])* $kernel:literal => $variant:ident($struct:ident),)*) => {
        /// `IFLA_LINKINFO`: a link's kind with its attributes.
        ///
        /// Boxed, since most of 10,000 links are of the small kinds.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Data {
            $($(#[$about])* $variant(Box<$struct>),)*
            /// A kind without attributes of interest, by the kernel's name: `dummy`, `veth`, `ifb`,
            /// `wireguard` and those of newer kernels.
            Other(Box<str>),
        }

        impl Data {
            /// Reads the attributes in `IFLA_INFO_DATA` by the kind's rules.
            pub fn read(kind: &str, attrs: Attrs<'_>) -> Self {
                match kind {
                    $($kernel => Self::$variant(Box::new($struct::read(attrs))),)*
                    other => Self::Other(other.into()),
                }
            }

            /// Returns the kernel's name of the kind.
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $kernel,)*
                    Self::Other(kind) => kind,
                }
            }

            /// Writes the attributes that are set, into `IFLA_INFO_DATA`.
            pub fn write(&self, writer: &mut Writer<'_>) {
                match self {
                    $(Self::$variant(data) => data.write(writer),)*
                    Self::Other(_) => {}
                }
            }

            /// Leaves only the attributes that differ from `before`; all of them if that is of
            /// another kind.
            pub fn changed_from(&self, before: &Self) -> Self {
                match (self, before) {
                    $((Self::$variant(data), Self::$variant(before)) => {
                        Self::$variant(Box::new(data.changed_from(before)))
                    })*
                    _ => self.clone(),
                }
            }

            /// Whether no attribute is set.
            pub fn is_empty(&self) -> bool {
                match self {
                    $(Self::$variant(data) => **data == $struct::default(),)*
                    Self::Other(_) => true,
                }
            }
        }

        /// The kind and what is set, as `vlan id 7, protocol Be16(33024)`.
        impl std::fmt::Display for Data {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.kind())?;
                match self {
                    $(Self::$variant(data) if **data != $struct::default() => write!(f, " {data}"),)*
                    _ => Ok(()),
                }
            }
        }
    };
}

kinds! {
    "bond" => Bond(Bond),
    "bridge" => Bridge(Bridge),
    "hsr" => Hsr(Hsr),
    /// IPv4 in IPv4.
    "ipip" => Ipip(IpTunnel),
    /// InfiniBand, base device or P_Key child.
    "ipoib" => Ipoib(Ipoib),
    /// IPv4 or IPv6 in IPv6, told by [`IpTunnel::protocol`].
    "ip6tnl" => Ip6tnl(IpTunnel),
    "ipvlan" => Ipvlan(Ipvlan),
    "macsec" => Macsec(Macsec),
    "macvlan" => Macvlan(Macvlan),
    "macvtap" => Macvtap(Macvlan),
    /// IPv6 in IPv4.
    "sit" => Sit(IpTunnel),
    "tun" => Tun(Tun),
    "vlan" => Vlan(Vlan),
    "vrf" => Vrf(Vrf),
    "vxlan" => Vxlan(Vxlan),
    "xfrm" => Xfrm(Xfrm),
}

/// `IFLA_INFO_SLAVE_DATA`: what a link is to its controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortData {
    Bond(Box<BondPort>),
    Bridge(Box<BridgePort>),
}

impl PortData {
    /// Reads by the controller's kind; `None` for a kind without port attributes of interest.
    pub fn read(kind: &str, attrs: Attrs<'_>) -> Option<Self> {
        match kind {
            "bond" => Some(Self::Bond(Box::new(BondPort::read(attrs)))),
            "bridge" => Some(Self::Bridge(Box::new(BridgePort::read(attrs)))),
            _ => None,
        }
    }

    /// Returns the kernel's name of the controller's kind (`IFLA_INFO_SLAVE_KIND`).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bond(_) => "bond",
            Self::Bridge(_) => "bridge",
        }
    }

    /// Writes the attributes that are set, into `IFLA_INFO_SLAVE_DATA`.
    pub fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Bond(port) => port.write(writer),
            Self::Bridge(port) => port.write(writer),
        }
    }
}

attributes! {
    /// `IFLA_BOND_*`; drivers/net/bonding/bond_netlink.c. Links are named by index.
    Bond {
        mode: u8 = 1,
        active_port: u32 = 2,
        miimon: u32 = 3,
        updelay: u32 = 4,
        downdelay: u32 = 5,
        use_carrier: bool = 6,
        arp_interval: u32 = 7,
        arp_ip_target: List<Ipv4Addr> = 8,
        arp_validate: u32 = 9,
        arp_all_targets: u32 = 10,
        primary: u32 = 11,
        primary_reselect: u8 = 12,
        fail_over_mac: u8 = 13,
        xmit_hash_policy: u8 = 14,
        resend_igmp: u32 = 15,
        num_peer_notif: u8 = 16,
        all_ports_active: u8 = 17,
        min_links: u32 = 18,
        lp_interval: u32 = 19,
        packets_per_port: u32 = 20,
        lacp_rate: u8 = 21,
        ad_select: u8 = 22,
        ad_actor_sys_prio: u16 = 24,
        ad_user_port_key: u16 = 25,
        ad_actor_system: Hardware = 26,
        tlb_dynamic_lb: bool = 27,
        peer_notif_delay: u32 = 28,
        lacp_active: bool = 29,
        missed_max: u8 = 30,
        ns_ip6_target: List<Ipv6Addr> = 31,
    }
}

attributes! {
    /// `IFLA_BOND_SLAVE_*`
    BondPort {
        queue_id: u16 = 5,
        priority: i32 = 9,
    }
    shown {
        /// 0 active, 1 backup.
        state: u8 = 1,
        permanent_address: Hardware = 4,
    }
}

attributes! {
    /// `IFLA_BR_*`; net/bridge/br_netlink.c. Times are in clock ticks of USER_HZ (100 a second).
    Bridge {
        forward_delay: u32 = 1,
        hello_time: u32 = 2,
        max_age: u32 = 3,
        ageing_time: u32 = 4,
        stp_state: u32 = 5,
        priority: u16 = 6,
        vlan_filtering: bool = 7,
        vlan_protocol: Be16 = 8,
        group_fwd_mask: u16 = 9,
        group_addr: Hardware = 20,
        mcast_router: u8 = 22,
        mcast_snooping: bool = 23,
        mcast_query_use_ifaddr: bool = 24,
        mcast_querier: bool = 25,
        mcast_hash_max: u32 = 27,
        mcast_last_member_count: u32 = 28,
        mcast_startup_query_count: u32 = 29,
        mcast_last_member_interval: u64 = 30,
        mcast_membership_interval: u64 = 31,
        mcast_querier_interval: u64 = 32,
        mcast_query_interval: u64 = 33,
        mcast_query_response_interval: u64 = 34,
        mcast_startup_query_interval: u64 = 35,
        nf_call_iptables: bool = 36,
        nf_call_ip6tables: bool = 37,
        nf_call_arptables: bool = 38,
        vlan_default_pvid: u16 = 39,
        vlan_stats_enabled: bool = 41,
        mcast_stats_enabled: bool = 42,
        mcast_igmp_version: u8 = 43,
        mcast_mld_version: u8 = 44,
    }
}

attributes! {
    /// `IFLA_BRPORT_*`
    BridgePort {
        priority: u16 = 2,
        cost: u32 = 3,
        hairpin: bool = 4,
        guard: bool = 5,
        protect: bool = 6,
        fast_leave: bool = 7,
        learning: bool = 8,
        unicast_flood: bool = 9,
        proxy_arp: bool = 10,
        mcast_router: u8 = 25,
        mcast_flood: bool = 27,
        mcast_to_unicast: bool = 28,
        vlan_tunnel: bool = 29,
        broadcast_flood: bool = 30,
        group_fwd_mask: u16 = 31,
        neigh_suppress: bool = 32,
        isolated: bool = 33,
    }
    shown {
        /// 0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking.
        state: u8 = 1,
    }
}

attributes! {
    /// `IFLA_HSR_*`; net/hsr/hsr_netlink.c. Ports are link indices.
    Hsr {
        port1: u32 = 1,
        port2: u32 = 2,
        multicast_spec: u8 = 3,
        version: u8 = 6,
        /// 0 HSR, 1 PRP.
        protocol: u8 = 7,
        interlink: u32 = 8,
    }
    shown {
        supervision_address: Hardware = 4,
    }
}

attributes! {
    /// `IFLA_IPTUN_*`, linux/if_tunnel.h, of the kinds ipip, sit and ip6tnl.
    IpTunnel {
        link: u32 = 1,
        local: IpAddr = 2,
        remote: IpAddr = 3,
        ttl: u8 = 4,
        tos: u8 = 5,
        encap_limit: u8 = 6,
        /// Traffic class and, in the low 20 bits, flow label; ip6tnl only.
        flow_info: Be32 = 7,
        /// `IP6_TNL_F_*`; ip6tnl only (sit has a field of another width and meaning).
        flags: u32 = 8,
        /// What is carried: 4 IPv4, 41 IPv6, 0 both.
        protocol: u8 = 9,
        pmtu_discovery: bool = 10,
        encap_type: u16 = 15,
        encap_flags: u16 = 16,
        encap_source_port: Be16 = 17,
        encap_destination_port: Be16 = 18,
        fwmark: u32 = 20,
    }
}

attributes! {
    /// `IFLA_IPOIB_*`
    Ipoib {
        pkey: u16 = 1,
        /// 0 datagram, 1 connected.
        mode: u16 = 2,
        user_multicast: u16 = 3,
    }
}

attributes! {
    /// `IFLA_IPVLAN_*`; flags: 1 private, 2 vepa.
    Ipvlan {
        mode: u16 = 1,
        flags: u16 = 2,
    }
}

attributes! {
    /// `IFLA_MACSEC_*`; drivers/net/macsec.c.
    Macsec {
        /// Address and, in the last two bytes, port, in network byte order.
        sci: [u8; 8] = 1,
        /// Only written; the kernel tells it as part of the SCI.
        port: Be16 = 2,
        icv_length: u8 = 3,
        cipher_suite: u64 = 4,
        window: u32 = 5,
        encoding_sa: u8 = 6,
        encrypt: bool = 7,
        protect: bool = 8,
        send_sci: bool = 9,
        end_station: bool = 10,
        single_copy_broadcast: bool = 11,
        replay_protect: bool = 12,
        /// 0 disabled, 1 check, 2 strict.
        validation: u8 = 13,
        /// 0 off, 1 phy, 2 mac.
        offload: u8 = 15,
    }
}

attributes! {
    /// `IFLA_MACVLAN_*`, also of macvtap.
    Macvlan {
        /// `enum macvlan_mode`: 1 private, 2 vepa, 4 bridge, 8 passthru, 16 source.
        mode: u32 = 1,
        /// 1 no promiscuous mode on the base.
        flags: u16 = 2,
    }
}

attributes! {
    /// `IFLA_TUN_*`; the kernel makes tun devices through /dev/net/tun only.
    Tun {
        owner: u32 = 1,
        group: u32 = 2,
        /// 1 tun, 2 tap.
        mode: u8 = 3,
        packet_information: bool = 4,
        vnet_header: bool = 5,
        persist: bool = 6,
        multi_queue: bool = 7,
    }
}

attributes! {
    /// `IFLA_VLAN_*`
    Vlan {
        id: u16 = 1,
        flags: VlanFlags = 2,
        egress_qos: List<QosMapping, 1> = 3,
        ingress_qos: List<QosMapping, 1> = 4,
        /// 0x8100 or 0x88a8.
        protocol: Be16 = 5,
    }
}

attributes! {
    /// `IFLA_VRF_*`
    Vrf {
        table: u32 = 1,
    }
}

attributes! {
    /// `IFLA_VXLAN_*`
    Vxlan {
        id: u32 = 1,
        group: Ipv4Addr = 2,
        link: u32 = 3,
        local: Ipv4Addr = 4,
        ttl: u8 = 5,
        tos: u8 = 6,
        learning: bool = 7,
        ageing: u32 = 8,
        limit: u32 = 9,
        /// Lowest and highest source port.
        port_range: (Be16, Be16) = 10,
        proxy: bool = 11,
        route_short_circuit: bool = 12,
        l2_miss: bool = 13,
        l3_miss: bool = 14,
        destination_port: Be16 = 15,
        group6: Ipv6Addr = 16,
        local6: Ipv6Addr = 17,
        udp_checksum: bool = 18,
        udp_zero_checksum6_tx: bool = 19,
        udp_zero_checksum6_rx: bool = 20,
        collect_metadata: bool = 25,
        label: Be32 = 26,
        ttl_inherit: bool = 28,
        df: u8 = 29,
        vnifilter: bool = 30,
    }
}

attributes! {
    /// `IFLA_XFRM_*`
    Xfrm {
        link: u32 = 1,
        interface_id: u32 = 2,
    }
}

/// A list: one nested attribute per entry. `KIND` is the type of each, 0 stands for its index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T, const KIND: u16 = 0>(pub Vec<T>);

impl<T: Value, const KIND: u16> Value for List<T, KIND> {
    fn read(payload: &[u8]) -> Option<Self> {
        Some(Self(Attrs::new(payload).filter_map(|attr| attr.get()).collect()))
    }

    fn write(&self, payload: &mut Vec<u8>) {
        let mut too_long = None;
        for (index, entry) in (0..).zip(&self.0) {
            let kind = if KIND == 0 { index } else { KIND };
            Writer::new(payload, &mut too_long).put(kind, entry);
        }
        debug_assert_eq!(too_long, None, "entries are a few bytes each");
    }
}

/// `struct ifla_vlan_flags`: values (`VLAN_FLAG_*`) and which of them to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanFlags {
    pub flags: u32,
    pub mask: u32,
}

impl Value for VlanFlags {
    fn read(payload: &[u8]) -> Option<Self> {
        let (flags, mask) = halves(payload)?;
        Some(Self { flags, mask })
    }
    fn write(&self, payload: &mut Vec<u8>) {
        self.flags.write(payload);
        self.mask.write(payload);
    }
}

/// `struct ifla_vlan_qos_mapping`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QosMapping {
    pub from: u32,
    pub to: u32,
}

impl Value for QosMapping {
    fn read(payload: &[u8]) -> Option<Self> {
        let (from, to) = halves(payload)?;
        Some(Self { from, to })
    }
    fn write(&self, payload: &mut Vec<u8>) {
        self.from.write(payload);
        self.to.write(payload);
    }
}

fn halves(payload: &[u8]) -> Option<(u32, u32)> {
    let (first, second) = payload.split_first_chunk::<4>()?;
    Some((u32::from_ne_bytes(*first), u32::read(second)?))
}

impl Value for (Be16, Be16) {
    fn read(payload: &[u8]) -> Option<Self> {
        let (first, second) = payload.split_first_chunk::<2>()?;
        Some((Be16::read(first)?, Be16::read(second)?))
    }
    fn write(&self, payload: &mut Vec<u8>) {
        self.0.write(payload);
        self.1.write(payload);
    }
}

impl Value for [u8; 8] {
    fn read(payload: &[u8]) -> Option<Self> {
        payload.try_into().ok()
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(self);
    }
}

/// Reads `IFLA_LINKINFO`: the link's own kind and what it is to its controller.
pub fn read_link_info(info: Attr<'_>) -> (Option<Data>, Option<PortData>) {
    const KIND: u16 = nix::libc::IFLA_INFO_KIND;
    const DATA: u16 = nix::libc::IFLA_INFO_DATA;
    const PORT_KIND: u16 = nix::libc::IFLA_INFO_SLAVE_KIND;
    const PORT_DATA: u16 = nix::libc::IFLA_INFO_SLAVE_DATA;
    let (mut kind, mut data, mut port_kind, mut port_data) = Default::default();
    for attr in info.nested() {
        match attr.kind {
            KIND => kind = attr.text(),
            DATA => data = attr.payload,
            PORT_KIND => port_kind = attr.text(),
            PORT_DATA => port_data = attr.payload,
            _ => {}
        }
    }
    (
        kind.map(|kind| Data::read(kind, Attrs::new(data))),
        port_kind.and_then(|kind| PortData::read(kind, Attrs::new(port_data))),
    )
}

/// `struct bridge_vlan_info`, linux/if_bridge.h: one VLAN of a bridge port, or one end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BridgeVlanInfo {
    /// `BRIDGE_VLAN_INFO_*`
    pub flags: u16,
    pub id: u16,
}

impl Value for BridgeVlanInfo {
    fn read(payload: &[u8]) -> Option<Self> {
        let (flags, id) = payload.split_first_chunk::<2>()?;
        Some(Self { flags: u16::from_ne_bytes(*flags), id: u16::read(id)? })
    }
    fn write(&self, payload: &mut Vec<u8>) {
        self.flags.write(payload);
        self.id.write(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(data: &Data) -> Data {
        let (mut bytes, mut too_long) = (Vec::new(), None);
        data.write(&mut Writer::new(&mut bytes, &mut too_long));
        assert_eq!(too_long, None);
        Data::read(data.kind(), Attrs::new(&bytes))
    }

    #[test]
    fn what_is_written_reads_back() {
        let bond = Data::Bond(Box::new(Bond {
            mode: Some(4),
            miimon: Some(100),
            arp_ip_target: Some(List(vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)])),
            lacp_active: Some(true),
            ad_actor_system: Hardware::parse("02:00:00:00:00:01"),
            ..Bond::default()
        }));
        assert_eq!(round_trip(&bond), bond);
        let vlan = Data::Vlan(Box::new(Vlan {
            id: Some(7),
            flags: Some(VlanFlags { flags: 1, mask: 15 }),
            egress_qos: Some(List(vec![QosMapping { from: 0, to: 5 }])),
            protocol: Some(Be16(0x88a8)),
            ..Vlan::default()
        }));
        assert_eq!(round_trip(&vlan), vlan);
        let vxlan = Data::Vxlan(Box::new(Vxlan {
            id: Some(42),
            port_range: Some((Be16(1000), Be16(2000))),
            local6: Some(Ipv6Addr::LOCALHOST),
            ..Vxlan::default()
        }));
        assert_eq!(round_trip(&vxlan), vxlan);
    }

    #[test]
    fn what_is_only_shown_is_never_written() {
        let (mut bytes, mut too_long) = (Vec::new(), None);
        let port = BondPort {
            queue_id: None,
            priority: None,
            state: Some(1),
            permanent_address: Hardware::new(&[1, 2, 3, 4, 5, 6]),
        };
        port.write(&mut Writer::new(&mut bytes, &mut too_long));
        assert!(bytes.is_empty());
    }

    #[test]
    fn an_odd_attribute_costs_only_itself() {
        let (mut bytes, mut too_long) = (Vec::new(), None);
        let mut writer = Writer::new(&mut bytes, &mut too_long);
        writer.put(1, &3_u64); // the mode has one byte
        writer.put(3, &250_u32);
        writer.put(999, &1_u8);
        let Data::Bond(bond) = Data::read("bond", Attrs::new(&bytes)) else {
            panic!("a bond must be read as one");
        };
        assert_eq!((bond.mode, bond.miimon), (None, Some(250)));
    }

    #[test]
    fn an_unknown_kind_keeps_its_name() {
        let data = Data::read("quantum0", Attrs::new(&[1, 2, 3]));
        assert_eq!(data, Data::Other("quantum0".into()));
        assert_eq!(data.kind(), "quantum0");
    }
}
