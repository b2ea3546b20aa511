//! Numbers of the kernel's interface that libc does not carry, by header.

/// linux/if_link.h
pub mod link {
    /// `IFLA_INET_CONF`, inside `AF_INET` of `IFLA_AF_SPEC`: an array of u32, `IPV4_DEVCONF_*` - 1.
    pub const IFLA_INET_CONF: u16 = 1;
    /// Inside `AF_INET6` of `IFLA_AF_SPEC`.
    pub const IFLA_INET6_CONF: u16 = 2;
    pub const IFLA_INET6_TOKEN: u16 = 7;
    pub const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
    /// Inside `IFLA_VFINFO_LIST`.
    pub const IFLA_VF_INFO: u16 = 1;
    pub const IFLA_VF_MAC: u16 = 1;
    pub const IFLA_VF_VLAN: u16 = 2;
    pub const IFLA_VF_SPOOFCHK: u16 = 4;
    pub const IFLA_VF_RATE: u16 = 6;
    pub const IFLA_VF_TRUST: u16 = 9;
    pub const IFLA_VF_VLAN_LIST: u16 = 12;
    pub const IFLA_VF_VLAN_INFO: u16 = 1;
    /// linux/veth.h: the peer, an `ifinfomsg` and link attributes.
    pub const VETH_INFO_PEER: u16 = 1;
}

/// linux/if_bridge.h: inside `IFLA_AF_SPEC` of an `AF_BRIDGE` link message.
pub mod bridge {
    pub const IFLA_BRIDGE_FLAGS: u16 = 0;
    pub const IFLA_BRIDGE_VLAN_INFO: u16 = 2;
    pub const BRIDGE_FLAGS_MASTER: u16 = 1;
    pub const BRIDGE_FLAGS_SELF: u16 = 2;
    pub const BRIDGE_VLAN_INFO_MASTER: u16 = 1 << 0;
    pub const BRIDGE_VLAN_INFO_PVID: u16 = 1 << 1;
    pub const BRIDGE_VLAN_INFO_UNTAGGED: u16 = 1 << 2;
    pub const BRIDGE_VLAN_INFO_RANGE_BEGIN: u16 = 1 << 3;
    pub const BRIDGE_VLAN_INFO_RANGE_END: u16 = 1 << 4;
}

/// linux/if_vlan.h
pub mod vlan {
    pub const VLAN_FLAG_REORDER_HDR: u32 = 1;
    pub const VLAN_FLAG_GVRP: u32 = 2;
    pub const VLAN_FLAG_LOOSE_BINDING: u32 = 4;
    pub const VLAN_FLAG_MVRP: u32 = 8;
}

/// linux/if_addr.h
pub mod address {
    pub const IFA_FLAGS: u16 = 8;
    pub const IFA_RT_PRIORITY: u16 = 9;
    pub const IFA_PROTO: u16 = 11;
    /// A lifetime that does not end (`INFINITY_LIFE_TIME`).
    pub const FOREVER: u32 = u32::MAX;
}

/// linux/fib_rules.h
pub mod rule {
    pub const FRA_DST: u16 = 1;
    pub const FRA_SRC: u16 = 2;
    pub const FRA_IIFNAME: u16 = 3;
    pub const FRA_GOTO: u16 = 4;
    pub const FRA_PRIORITY: u16 = 6;
    pub const FRA_FWMARK: u16 = 10;
    pub const FRA_FLOW: u16 = 11;
    pub const FRA_TUN_ID: u16 = 12;
    pub const FRA_SUPPRESS_IFGROUP: u16 = 13;
    pub const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
    pub const FRA_TABLE: u16 = 15;
    pub const FRA_FWMASK: u16 = 16;
    pub const FRA_OIFNAME: u16 = 17;
    pub const FRA_L3MDEV: u16 = 19;
    pub const FRA_UID_RANGE: u16 = 20;
    pub const FRA_PROTOCOL: u16 = 21;
    pub const FRA_IP_PROTO: u16 = 22;
    pub const FRA_SPORT_RANGE: u16 = 23;
    pub const FRA_DPORT_RANGE: u16 = 24;
    /// Inverts the selector (`FIB_RULE_INVERT`, in `fib_rule_hdr.flags`).
    pub const FIB_RULE_INVERT: u32 = 2;
    pub const FR_ACT_TO_TBL: u8 = 1;
    pub const FR_ACT_GOTO: u8 = 2;
    pub const FR_ACT_NOP: u8 = 3;
    pub const FR_ACT_BLACKHOLE: u8 = 6;
    pub const FR_ACT_UNREACHABLE: u8 = 7;
    pub const FR_ACT_PROHIBIT: u8 = 8;
}

/// linux/rtnetlink.h
pub mod route {
    /// Inside `RTA_METRICS`.
    pub const RTAX_LOCK: u16 = 1;
    pub const RTAX_MTU: u16 = 2;
    pub const RTAX_WINDOW: u16 = 3;
    pub const RTAX_RTT: u16 = 4;
    pub const RTAX_RTTVAR: u16 = 5;
    pub const RTAX_SSTHRESH: u16 = 6;
    pub const RTAX_CWND: u16 = 7;
    pub const RTAX_ADVMSS: u16 = 8;
    pub const RTAX_REORDERING: u16 = 9;
    pub const RTAX_HOPLIMIT: u16 = 10;
    pub const RTAX_INITCWND: u16 = 11;
    pub const RTAX_FEATURES: u16 = 12;
    pub const RTAX_RTO_MIN: u16 = 13;
    pub const RTAX_INITRWND: u16 = 14;
    pub const RTAX_QUICKACK: u16 = 15;
    pub const RTAX_CC_ALGO: u16 = 16;
    /// `RTA_NH_ID`: the id of a nexthop object.
    pub const RTA_NH_ID: u16 = 30;
    pub const RTPROT_RA: u8 = 9;
    pub const RTPROT_MROUTED: u8 = 17;
    pub const RTPROT_DHCP: u8 = 16;
    pub const RTPROT_KEEPALIVED: u8 = 18;
    pub const RTPROT_BABEL: u8 = 42;
    pub const RT_SCOPE_UNIVERSE: u8 = 0;
    pub const RT_SCOPE_LINK: u8 = 253;
    pub const RT_SCOPE_HOST: u8 = 254;
    pub const RT_TABLE_COMPAT: u8 = 252;
    pub const RT_TABLE_MAIN: u32 = 254;
    pub const RT_TABLE_LOCAL: u32 = 255;
    pub const RTNH_F_ONLINK: u32 = 4;
}

/// linux/if_bridge.h, linux/rtnetlink.h: VLANs of bridges as objects of their own.
pub mod bridge_vlan {
    pub const RTM_NEWVLAN: u16 = 112;
    pub const RTM_DELVLAN: u16 = 113;
}
