//! Bridges, linux and Open vSwitch, and VLANs of bridge ports (schema 6.4 to 6.6).

use serde::{Serialize, Serializer};

use super::{InterfaceType, OvsSettings, VlanProtocol};
use crate::state::{Mac, Node, Part, Reader, Shape};

/// The `bridge` section: which of the two it is, the interface's type says.
#[derive(Clone, Debug, PartialEq)]
pub enum Bridge {
    Linux(LinuxBridge),
    Ovs(OvsBridge),
}

impl Bridge {
    pub fn linux(&self) -> Option<&LinuxBridge> {
        match self {
            Self::Linux(bridge) => Some(bridge),
            Self::Ovs(_) => None,
        }
    }

    pub fn linux_mut(&mut self) -> Option<&mut LinuxBridge> {
        match self {
            Self::Linux(bridge) => Some(bridge),
            Self::Ovs(_) => None,
        }
    }

    pub fn ovs(&self) -> Option<&OvsBridge> {
        match self {
            Self::Ovs(bridge) => Some(bridge),
            Self::Linux(_) => None,
        }
    }

    pub fn ovs_mut(&mut self) -> Option<&mut OvsBridge> {
        match self {
            Self::Ovs(bridge) => Some(bridge),
            Self::Linux(_) => None,
        }
    }
}

impl Part for Bridge {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match reader.interface_type {
            Some(InterfaceType::OvsBridge) => OvsBridge::read(node, reader).map(Self::Ovs),
            _ => LinuxBridge::read(node, reader).map(Self::Linux),
        }
    }

    fn shape() -> Shape {
        Shape::Either(vec![LinuxBridge::shape(), OvsBridge::shape()])
    }

    fn fill_from(&mut self, base: &Self) {
        match (self, base) {
            (Self::Linux(own), Self::Linux(base)) => own.fill_from(base),
            (Self::Ovs(own), Self::Ovs(base)) => own.fill_from(base),
            // Different types of one name are refused before anything is merged.
            (Self::Linux(_), Self::Ovs(_)) | (Self::Ovs(_), Self::Linux(_)) => {}
        }
    }

    fn drop_read_only(&mut self) {
        match self {
            Self::Linux(bridge) => bridge.drop_read_only(),
            Self::Ovs(bridge) => bridge.drop_read_only(),
        }
    }
}

impl Serialize for Bridge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Linux(bridge) => bridge.serialize(serializer),
            Self::Ovs(bridge) => bridge.serialize(serializer),
        }
    }
}

section! {
    /// A Linux bridge.
    pub struct LinuxBridge {
        /// Keep and ignore attached ports that are not listed.
        "allow-extra-ports" => allow_extra_ports: Option<bool> [WriteOnly],
        /// Options, merged key by key with the current ones.
        "options" => options: Option<Box<LinuxBridgeOptions>>,
        /// The whole list of ports.
        "port" | "ports" => port: Option<Vec<LinuxBridgePort>>,
    }
}

section! {
    /// A port of a Linux bridge.
    pub struct LinuxBridgePort {
        /// Name of the port.
        "name" => name: String,
        /// Send frames back through the port they came from.
        "stp-hairpin-mode" => stp_hairpin_mode: Option<bool>,
        /// STP path cost.
        "stp-path-cost" => stp_path_cost: Option<u32>,
        /// STP port priority.
        "stp-priority" => stp_priority: Option<u16>,
        /// VLAN filter; not given keeps the current one, `{}` resets it.
        "vlan" => vlan: Option<PortVlan>,
    }
}

words! {
    /// Multicast router mode of a bridge.
    pub enum MulticastRouter {
        /// Learned from queries.
        Auto = "auto" | "1" | "AUTO" | "Auto",
        /// Never.
        Disabled = "disabled" | "0" | "DISABLED" | "Disabled",
        /// Always.
        Enabled = "enabled" | "2" | "ENABLED" | "Enabled",
    }
}

section! {
    /// Options of a Linux bridge. Multicast intervals are in centiseconds.
    pub struct LinuxBridgeOptions {
        /// Kernel timer of the garbage collection.
        "gc-timer" => gc_timer: Option<u64> [ReadOnly],
        /// STP group MAC address.
        "group-addr" => group_addr: Option<Mac>,
        /// The same as `group-fwd-mask`.
        "group-forward-mask" => group_forward_mask: Option<u16>,
        /// Which link-local groups (01:80:C2:00:00:0X) are forwarded.
        "group-fwd-mask" => group_fwd_mask: Option<u16>,
        /// Multicast hash size.
        "hash-max" => hash_max: Option<u32>,
        /// Kernel timer of the STP hello.
        "hello-timer" => hello_timer: Option<u64> [ReadOnly],
        /// Seconds that a learned MAC address is kept.
        "mac-ageing-time" => mac_ageing_time: Option<u32>,
        /// Queries sent after a leave.
        "multicast-last-member-count" => multicast_last_member_count: Option<u32>,
        /// Time between queries sent after a leave.
        "multicast-last-member-interval" => multicast_last_member_interval: Option<u64>,
        /// Life time of a membership.
        "multicast-membership-interval" => multicast_membership_interval: Option<u64>,
        /// Send queries.
        "multicast-querier" => multicast_querier: Option<bool>,
        /// Silence of other queriers before ours start.
        "multicast-querier-interval" => multicast_querier_interval: Option<u64>,
        /// Time between queries.
        "multicast-query-interval" => multicast_query_interval: Option<u64>,
        /// Time to answer a query.
        "multicast-query-response-interval" => multicast_query_response_interval: Option<u64>,
        /// Send queries from the bridge's own address.
        "multicast-query-use-ifaddr" => multicast_query_use_ifaddr: Option<bool>,
        /// Whether a multicast router is assumed.
        "multicast-router" => multicast_router: Option<MulticastRouter>,
        /// IGMP and MLD snooping.
        "multicast-snooping" => multicast_snooping: Option<bool>,
        /// Queries sent at start.
        "multicast-startup-query-count" => multicast_startup_query_count: Option<u32>,
        /// Time between queries sent at start.
        "multicast-startup-query-interval" => multicast_startup_query_interval: Option<u64>,
        /// Spanning tree protocol.
        "stp" => stp: Option<Stp>,
        /// Protocol of the VLAN filter.
        "vlan-protocol" => vlan_protocol: Option<VlanProtocol>,
        /// VLAN of untagged frames on ports without their own; needs VLAN filtering unless 1.
        "vlan-default-pvid" => vlan_default_pvid: Option<u16>,
    }
}

section! {
    /// Spanning tree protocol, IEEE 802.1D.
    pub struct Stp {
        /// Take part.
        "enabled" => enabled: Option<bool>,
        /// Seconds in listening and learning, 2 to 30.
        "forward-delay" => forward_delay: Option<u8>,
        /// Seconds between hellos, 1 to 10.
        "hello-time" => hello_time: Option<u8>,
        /// Seconds that a hello is believed, 6 to 40.
        "max-age" => max_age: Option<u8>,
        /// Bridge priority.
        "priority" => priority: Option<u16>,
    }
}

words! {
    /// Role of a bridge port in the VLAN filter.
    pub enum PortVlanMode {
        /// Frames of several VLANs, tagged.
        Trunk = "trunk",
        /// Frames of one VLAN, untagged.
        Access = "access",
    }
}

section! {
    /// VLAN filter of a bridge port.
    pub struct PortVlan {
        /// On a trunk: `tag` is the native VLAN, sent untagged.
        "enable-native" => enable_native: Option<bool>,
        /// Trunk or access port.
        "mode" => mode: Option<PortVlanMode>,
        /// VLAN of an access port, or native VLAN of a trunk.
        "tag" => tag: Option<u16>,
        /// VLANs of a trunk.
        "trunk-tags" => trunk_tags: Option<Vec<TrunkTag>>,
    }
}

impl PortVlan {
    pub fn empty() -> Self {
        Self { enable_native: None, mode: None, tag: None, trunk_tags: None }
    }

    /// Whether nothing is asked for: the filter is at its default.
    pub fn is_default(&self) -> bool {
        *self == Self::empty()
    }
}

/// One VLAN of a trunk, or a range of them: `{id: 5}` or `{id-range: {min: 10, max: 20}}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrunkTag {
    pub min: u16,
    /// Equal to `min` for a single VLAN.
    pub max: u16,
}

section! {
    /// One VLAN of a trunk, or a range; with both keys `id` wins.
    pub struct TrunkTagKeys {
        /// A single VLAN.
        "id" => id: Option<u16>,
        /// A range of VLANs.
        "id-range" => id_range: Option<TrunkTagRange>,
    }
}

section! {
    /// A range of VLANs.
    pub struct TrunkTagRange {
        /// First VLAN.
        "min" => min: u16,
        /// Last VLAN.
        "max" => max: u16,
    }
}

impl Part for TrunkTag {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match TrunkTagKeys::read(node, reader)? {
            TrunkTagKeys { id: Some(id), .. } => Some(Self { min: id, max: id }),
            TrunkTagKeys { id_range: Some(TrunkTagRange { min, max }), .. } if min <= max => {
                Some(Self { min, max })
            }
            TrunkTagKeys { id_range: Some(TrunkTagRange { min, max }), .. } => {
                reader.problem(node, format!("the range ends at {max}, before it begins at {min}"));
                None
            }
            TrunkTagKeys { id: None, id_range: None } => {
                reader.problem(node, "needs `id` or `id-range`");
                None
            }
        }
    }

    fn shape() -> Shape {
        TrunkTagKeys::shape()
    }
}

impl Serialize for TrunkTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { min, max } = *self;
        let keys = if min == max {
            TrunkTagKeys { id: Some(min), id_range: None }
        } else {
            TrunkTagKeys { id: None, id_range: Some(TrunkTagRange { min, max }) }
        };
        keys.serialize(serializer)
    }
}

section! {
    /// An Open vSwitch bridge.
    pub struct OvsBridge {
        /// Tolerate patch ports that are not listed.
        "allow-extra-patch-ports" => allow_extra_patch_ports: Option<bool> [WriteOnly],
        /// Tolerate ports that are not listed.
        "allow-extra-ports" => allow_extra_ports: Option<bool> [WriteOnly],
        /// Options, replaced as a group.
        "options" => options: Option<OvsBridgeOptions>,
        /// The whole list of ports.
        "port" | "ports" => port: Option<Vec<OvsBridgePort>>,
    }
}

impl OvsBridge {
    pub fn empty() -> Self {
        Self { allow_extra_patch_ports: None, allow_extra_ports: None, options: None, port: None }
    }
}

section! {
    /// Options of an Open vSwitch bridge.
    pub struct OvsBridgeOptions {
        /// Spanning tree protocol.
        "stp" => stp: Option<OvsStp>,
        /// Rapid spanning tree protocol.
        "rstp" => rstp: Option<bool>,
        /// Multicast snooping.
        "mcast-snooping-enable" => mcast_snooping_enable: Option<bool>,
        /// What a bridge does that lost its controller: `standalone`, `secure` or empty.
        "fail-mode" => fail_mode: Option<String>,
        /// Datapath type, as `netdev`.
        "datapath" => datapath: Option<String>,
    }
}

/// Spanning tree of an Open vSwitch bridge: a boolean or a mapping with `enabled`.
///
/// The peer takes the text `false` for true; here it means false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OvsStp {
    pub enabled: bool,
}

section! {
    /// Spanning tree of an Open vSwitch bridge.
    pub struct OvsStpKeys {
        /// Take part.
        "enabled" => enabled: bool,
    }
}

impl Part for OvsStp {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let enabled = match node.text() {
            Some(_) => bool::read(node, reader)?,
            None => OvsStpKeys::read(node, reader)?.enabled,
        };
        Some(Self { enabled })
    }

    fn shape() -> Shape {
        Shape::Either(vec![OvsStpKeys::shape(), Shape::Bool])
    }
}

impl Serialize for OvsStp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        OvsStpKeys { enabled: self.enabled }.serialize(serializer)
    }
}

section! {
    /// A port of an Open vSwitch bridge.
    pub struct OvsBridgePort {
        /// Name of the port.
        "name" => name: String,
        /// Makes the port a bond.
        "link-aggregation" | "bond" => bond: Option<OvsBond>,
        /// VLANs of the port.
        "vlan" => vlan: Option<PortVlan>,
    }
}

words! {
    /// Mode of an Open vSwitch bond.
    pub enum OvsBondMode {
        /// One port carries the traffic; another takes over when it fails.
        ActiveBackup = "active-backup",
        /// Source MAC address and VLAN choose the port.
        BalanceSlb = "balance-slb",
        /// IP addresses and ports choose the port; the switch must speak LACP.
        BalanceTcp = "balance-tcp",
        /// The switch and the bridge bundle the ports by LACP.
        Lacp = "lacp",
    }
}

section! {
    /// A bond of an Open vSwitch bridge.
    pub struct OvsBond {
        /// Mode.
        "mode" => mode: Option<OvsBondMode>,
        /// The whole list of ports.
        "port" | "ports" => port: Option<Vec<OvsBondPort>>,
        /// Delay before a port counts as down, in ms.
        "bond-downdelay" => bond_downdelay: Option<u32>,
        /// Delay before a port counts as up, in ms.
        "bond-updelay" => bond_updelay: Option<u32>,
        /// Open vSwitch settings of the bond.
        "ovs-db" => ovs_db: Option<OvsSettings>,
    }
}

section! {
    /// A port of an Open vSwitch bond.
    pub struct OvsBondPort {
        /// Name of the port.
        "name" => name: String,
    }
}
