//! Types of interface with one section of their own (schema 6.8 to 6.16).

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::VlanProtocol;
use crate::state::{Mac, Node, Part, Reader, Secret, Shape};

words! {
    /// Protocol that registers VLANs at the neighbour.
    pub enum VlanRegistration {
        /// GARP VLAN registration.
        Gvrp = "gvrp",
        /// Multiple VLAN registration (IEEE 802.1ak).
        Mvrp = "mvrp",
        /// Not registered.
        None = "none",
    }
}

section! {
    /// A VLAN (IEEE 802.1Q).
    pub struct Vlan {
        /// Parent interface; mandatory for a new VLAN.
        "base-iface" => base_iface: Option<String>,
        /// VLAN id, 0 to 4094.
        "id" => id: u16,
        /// Protocol of the tag.
        "protocol" => protocol: Option<VlanProtocol>,
        /// Protocol that registers the VLAN at the neighbour.
        "registration-protocol" => registration_protocol: Option<VlanRegistration>,
        /// Strip the tag from the header on reception.
        "reorder-headers" => reorder_headers: Option<bool>,
        /// Do not follow the state of the parent.
        "loose-binding" => loose_binding: Option<bool>,
        /// From priority of received frames to packet priority.
        "ingress-qos-map" => ingress_qos_map: Option<Vec<QosMapping>>,
        /// From packet priority to priority of sent frames.
        "egress-qos-map" => egress_qos_map: Option<Vec<QosMapping>>,
    }
}

section! {
    /// One entry of a VLAN priority map.
    pub struct QosMapping {
        /// Priority to translate; at most 7 where it is one of a frame.
        "from" => from: u32,
        /// Priority that it becomes; at most 7 where it is one of a frame.
        "to" => to: u32,
    }
}

section! {
    /// A VXLAN (RFC 7348).
    pub struct Vxlan {
        /// Interface that carries the tunnel.
        "base-iface" => base_iface: Option<String>,
        /// VXLAN network identifier, 24 bits.
        "id" => id: u32,
        /// Learn remote addresses.
        "learning" => learning: Option<bool>,
        /// Source address.
        "local" => local: Option<IpAddr>,
        /// Remote endpoint or multicast group.
        "remote" => remote: Option<IpAddr>,
        /// UDP port.
        "destination-port" => destination_port: Option<u16>,
    }
}

section! {
    /// Virtual routing and forwarding.
    pub struct Vrf {
        /// The whole list of ports.
        "port" | "ports" => port: Option<Vec<String>>,
        /// Routing table; mandatory for a new VRF, 0 keeps the current one.
        "route-table-id" => route_table_id: Option<u32>,
    }
}

words! {
    /// How the MAC VLANs of one parent see each other.
    pub enum MacVlanMode {
        /// Through the switch outside, which sends frames back.
        Vepa = "vepa",
        /// Directly.
        Bridge = "bridge",
        /// Not at all.
        Private = "private",
        /// There is only one; it has the parent for itself.
        Passthru = "passthru",
        /// Frames are let in by their source MAC address.
        Source = "source",
        /// A mode not known here; only shown.
        Unknown = "unknown",
    }
}

section! {
    /// A MAC VLAN or MAC VTAP.
    pub struct MacVlan {
        /// Parent interface.
        "base-iface" => base_iface: String,
        /// How siblings see each other.
        "mode" => mode: MacVlanMode,
        /// Put the parent into promiscuous mode; false only in `passthru`.
        "promiscuous" | "accept-all-mac" => promiscuous: Option<bool>,
    }
}

words! {
    /// What MACsec does with frames that fail validation.
    pub enum MacsecValidation {
        /// Nothing is checked.
        Disabled = "disabled",
        /// They are counted, and accepted.
        Check = "check",
        /// They are dropped.
        Strict = "strict",
    }
}

words! {
    /// Where MACsec is computed.
    pub enum MacsecOffload {
        /// By the kernel.
        Off = "off",
        /// By the transceiver.
        Phy = "phy",
        /// By the network card.
        Mac = "mac",
    }
}

section! {
    /// MACsec (IEEE 802.1AE).
    pub struct Macsec {
        /// Encrypt, not only authenticate.
        "encrypt" => encrypt: bool,
        /// Parent interface.
        "base-iface" => base_iface: String,
        /// Connectivity association key: 32 hexadecimal digits.
        "mka-cak" => mka_cak: Option<Secret>,
        /// Name of that key: 2 to 64 hexadecimal digits, an even count.
        "mka-ckn" => mka_ckn: Option<String>,
        /// Port of the secure channel identifier.
        "port" => port: u32,
        /// What happens to frames that fail validation.
        "validation" => validation: MacsecValidation,
        /// Put the channel identifier into every frame.
        "send-sci" => send_sci: bool,
        /// Where it is computed.
        "offload" => offload: Option<MacsecOffload>,
    }
}

words! {
    /// Redundancy protocol (IEC 62439-3).
    pub enum HsrProtocol {
        /// HSR of 2010 (IEC 62439-3), a ring.
        Hsr = "hsr" | "hsr-2010",
        /// HSR of 2012, a ring.
        Hsr2012 = "hsr-2012",
        /// Parallel redundancy: two separate networks.
        Prp = "prp",
    }
}

section! {
    /// High-availability seamless redundancy, or parallel redundancy (IEC 62439-3).
    pub struct Hsr {
        /// First port.
        "port1" => port1: String,
        /// Second port.
        "port2" => port2: String,
        /// Port to another ring; not with PRP.
        "interlink" => interlink: Option<String>,
        /// Destination of supervision frames.
        "supervision-address" => supervision_address: Option<Mac> [ReadOnly],
        /// Last byte of the supervision address.
        "multicast-spec" => multicast_spec: u8,
        /// Protocol.
        "protocol" => protocol: HsrProtocol,
    }
}

words! {
    /// At which layer an IP VLAN connects.
    pub enum IpvlanMode {
        /// Ethernet: it answers ARP, broadcasts reach it.
        L2 = "l2",
        /// IP: no broadcasts, no ARP.
        L3 = "l3",
        /// As `l3`, and the parent's packet filter sees the packets.
        L3s = "l3s",
    }
}

section! {
    /// An IP VLAN.
    pub struct Ipvlan {
        /// Parent interface.
        "base-iface" => base_iface: Option<String>,
        /// At which layer it connects; `l3` unless said otherwise.
        "mode" => mode: Option<IpvlanMode>,
        /// Siblings cannot reach each other.
        "private" => private: Option<bool>,
        /// Siblings reach each other through the external switch.
        "vepa" => vepa: Option<bool>,
    }
}

words! {
    /// What a tunnel carries in what.
    pub enum IpTunnelMode {
        /// A mode not known here; only shown.
        Unknown = "unknown",
        /// IPv4 in IPv4 (RFC 2003).
        Ipip = "ipip",
        /// IPv6 in IPv4 (RFC 4213).
        Sit = "sit",
        /// IPv6 in IPv6 (RFC 2473).
        Ip6ip6 = "ip6ip6",
        /// IPv4 in IPv6 (RFC 2473).
        Ipip6 = "ipip6",
    }
}

words! {
    /// Flags of tunnels over IPv6.
    pub enum Ip6TunnelFlag {
        /// Send no encapsulation limit.
        IgnEncapLimit = "ign-encap-limit",
        /// Take the traffic class of the inner packet.
        UseOrigTclass = "use-orig-tclass",
        /// Take the flow label of the inner packet.
        UseOrigFlowlabel = "use-orig-flowlabel",
        /// For mobile IPv6.
        Mip6Dev = "mip6-dev",
        /// Copy the DSCP to the inner packet on reception.
        RcvDscpCopy = "rcv-dscp-copy",
        /// Take the firewall mark of the inner packet.
        UseOrigFwMark = "use-orig-fw-mark",
        /// The other end may be an address of this host.
        AllowLocalRemote = "allow-local-remote",
        /// Able to send; only shown.
        CapXmit = "cap-xmit",
        /// Able to receive; only shown.
        CapRcv = "cap-rcv",
        /// Ends may differ from packet to packet; only shown.
        CapPerPacket = "cap-per-packet",
    }
}

section! {
    /// An IP in IP tunnel.
    pub struct IpTunnel {
        /// What it carries in what.
        "mode" => mode: Option<IpTunnelMode>,
        /// Interface that carries the tunnel.
        "base-iface" => base_iface: Option<String>,
        /// Own end.
        "local" => local: Option<IpAddr>,
        /// Other end.
        "remote" => remote: Option<IpAddr>,
        /// Time to live of the outer header; 0 inherits.
        "ttl" => ttl: Option<u8>,
        /// Type of service of the outer header; 1 inherits.
        "tos" => tos: Option<u8>,
        /// IPv6 flow label, 20 bits.
        "flow-label" => flow_label: Option<u32>,
        /// Flags of tunnels over IPv6.
        "ip6tun-flags" => ip6tun_flags: Option<Vec<Ip6TunnelFlag>>,
        /// Path MTU discovery.
        "pmtu-disc" => pmtu_disc: Option<bool>,
        /// Encapsulation limit of tunnels over IPv6.
        "encap-limit" => encap_limit: Option<u8>,
        /// Firewall mark of the outer packets.
        "fwmark" => fwmark: Option<u32>,
    }
}

words! {
    /// Transport of IP over InfiniBand.
    pub enum InfinibandMode {
        /// Unreliable datagrams, with a small MTU.
        Datagram = "datagram",
        /// Reliable connections, with an MTU up to 65520.
        Connected = "connected",
    }
}

section! {
    /// IP over InfiniBand (RFC 4391).
    pub struct Infiniband {
        /// Transport.
        "mode" => mode: InfinibandMode,
        /// Parent, for a child with its own partition key.
        "base-iface" => base_iface: Option<String>,
        /// Partition key; 0xffff means the base interface.
        "pkey" => pkey: Pkey,
    }
}

/// An InfiniBand partition key, printed as `0x80ff`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pkey(pub u16);

impl Part for Pkey {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        u16::read(node, reader).map(Self)
    }

    fn shape() -> Shape {
        u16::shape()
    }
}

impl Serialize for Pkey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:#06x}", self.0))
    }
}
