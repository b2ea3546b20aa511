//! Bonds (schema 6.3).

use std::net::Ipv6Addr;

use crate::state::Mac;

words! {
    /// Bonding mode, by the kernel's name or number.
    pub enum BondMode {
        /// Ports in turn, packet by packet.
        BalanceRr = "balance-rr" | "0",
        /// One port carries the traffic; another takes over when it fails.
        ActiveBackup = "active-backup" | "1",
        /// A hash of the headers chooses the port.
        BalanceXor = "balance-xor" | "2",
        /// Every packet leaves on every port.
        Broadcast = "broadcast" | "3",
        /// The switch and the host bundle the ports by LACP.
        Lacp = "802.3ad" | "lacp" | "4",
        /// Sent traffic is spread by load; one port receives.
        BalanceTlb = "balance-tlb" | "5",
        /// As `balance-tlb`, and ARP replies spread what is received.
        BalanceAlb = "balance-alb" | "6",
        /// A mode not known here; only shown.
        Unknown = "unknown",
    }
}

section! {
    /// Link aggregation.
    pub struct Bond {
        /// Bonding mode; mandatory for a new bond.
        "mode" => mode: Option<BondMode>,
        /// Options, merged key by key with the current ones unless the mode changes.
        "options" => options: Option<BondOptions>,
        /// The whole list of ports.
        "port" | "ports" => port: Option<Vec<String>>,
        /// Settings of ports; may be given instead of `port`.
        "ports-config" => ports_config: Option<Vec<BondPort>>,
    }
}

section! {
    /// Settings of a bond's port.
    pub struct BondPort {
        /// Name of the port.
        "name" => name: String,
        /// Priority at failover.
        "priority" => priority: Option<i32>,
        /// Transmit queue; 0 is none.
        "queue-id" => queue_id: Option<u16>,
    }
}

words! {
    /// Which aggregator is chosen in 802.3ad.
    pub enum AdSelect {
        /// The one with most bandwidth, until all its ports fail.
        Stable = "stable" | "0",
        /// Always the one with most bandwidth.
        Bandwidth = "bandwidth" | "1",
        /// Always the one with most ports.
        Count = "count" | "2",
    }
}

words! {
    /// What happens to frames received on inactive ports.
    pub enum AllSlavesActive {
        /// They are dropped, as they are copies.
        Dropped = "dropped" | "0",
        /// They are delivered.
        Delivered = "delivered" | "1",
    }
}

words! {
    /// How many ARP targets must answer.
    pub enum ArpAllTargets {
        /// One is enough.
        Any = "any" | "0",
        /// All of them.
        All = "all" | "1",
    }
}

words! {
    /// Which ports' ARP probes are validated.
    pub enum ArpValidate {
        /// No port.
        None = "none" | "0",
        /// The active port.
        Active = "active" | "1",
        /// The backup ports.
        Backup = "backup" | "2",
        /// All ports.
        All = "all" | "3",
        /// None, but only ARP counts as a sign of life.
        Filter = "filter" | "4",
        /// The active port, and only ARP counts as a sign of life.
        FilterActive = "filter_active" | "5",
        /// The backup ports, and only ARP counts as a sign of life.
        FilterBackup = "filter_backup" | "6",
    }
}

words! {
    /// Who carries the bond's MAC at failover.
    pub enum FailOverMac {
        /// Every port has the bond's address.
        None = "none" | "0",
        /// The bond takes the address of its active port.
        Active = "active" | "1",
        /// A port takes the bond's address when it becomes active.
        Follow = "follow" | "2",
    }
}

words! {
    /// LACP packet rate.
    pub enum LacpRate {
        /// Every 30 seconds.
        Slow = "slow" | "0",
        /// Every second.
        Fast = "fast" | "1",
    }
}

words! {
    /// When the primary port takes over again.
    pub enum PrimaryReselect {
        /// As soon as it is up.
        Always = "always" | "0",
        /// If it is faster than the active one.
        Better = "better" | "1",
        /// Only when the active one fails.
        Failure = "failure" | "2",
    }
}

words! {
    /// Which headers spread flows over ports.
    pub enum XmitHashPolicy {
        /// MAC addresses.
        Layer2 = "layer2" | "0",
        /// IP addresses and ports.
        Layer34 = "layer3+4" | "1",
        /// MAC and IP addresses.
        Layer23 = "layer2+3" | "2",
        /// As `layer2+3`, of the packet in the tunnel.
        Encap23 = "encap2+3" | "3",
        /// As `layer3+4`, of the packet in the tunnel.
        Encap34 = "encap3+4" | "4",
        /// VLAN and source MAC address.
        VlanSrcMac = "vlan+srcmac" | "5",
    }
}

section! {
    /// Bond options, by the kernel's names (Documentation/networking/bonding.rst).
    pub struct BondOptions {
        /// 802.3ad system priority, 1 to 65535.
        "ad_actor_sys_prio" => ad_actor_sys_prio: Option<u16>,
        /// 802.3ad actor system MAC.
        "ad_actor_system" => ad_actor_system: Option<Mac>,
        /// 802.3ad aggregator selection.
        "ad_select" => ad_select: Option<AdSelect>,
        /// 802.3ad user port key, 0 to 1023.
        "ad_user_port_key" => ad_user_port_key: Option<u16>,
        /// What happens to frames received on inactive ports.
        "all_slaves_active" => all_slaves_active: Option<AllSlavesActive>,
        /// How many ARP targets must answer.
        "arp_all_targets" => arp_all_targets: Option<ArpAllTargets>,
        /// ARP monitoring interval in ms; 0 is off.
        "arp_interval" => arp_interval: Option<u32>,
        /// Comma-separated IPv4 addresses to probe; empty is none.
        "arp_ip_target" => arp_ip_target: Option<String>,
        /// Which ports' ARP probes are validated.
        "arp_validate" => arp_validate: Option<ArpValidate>,
        /// Delay before a port counts as down, in ms.
        "downdelay" => downdelay: Option<u32>,
        /// Who carries the bond's MAC at failover.
        "fail_over_mac" => fail_over_mac: Option<FailOverMac>,
        /// LACP packet rate.
        "lacp_rate" => lacp_rate: Option<LacpRate>,
        /// Seconds between learning packets.
        "lp_interval" => lp_interval: Option<u32>,
        /// Link monitoring interval in ms; 0 is off.
        "miimon" => miimon: Option<u32>,
        /// Links needed for carrier in 802.3ad.
        "min_links" => min_links: Option<u32>,
        /// Gratuitous ARPs after failover.
        "num_grat_arp" => num_grat_arp: Option<u8>,
        /// Unsolicited neighbour advertisements after failover.
        "num_unsol_na" => num_unsol_na: Option<u8>,
        /// Packets per port in balance-rr; 0 is random.
        "packets_per_slave" => packets_per_slave: Option<u32>,
        /// Preferred port.
        "primary" => primary: Option<String>,
        /// When the primary port takes over again.
        "primary_reselect" => primary_reselect: Option<PrimaryReselect>,
        /// IGMP reports after failover.
        "resend_igmp" => resend_igmp: Option<u32>,
        /// Dynamic shuffling of flows in balance-tlb.
        "tlb_dynamic_lb" => tlb_dynamic_lb: Option<bool>,
        /// Delay before a port counts as up, in ms.
        "updelay" => updelay: Option<u32>,
        /// Trust the carrier flag of the driver.
        "use_carrier" => use_carrier: Option<bool>,
        /// Which headers spread flows over ports.
        "xmit_hash_policy" => xmit_hash_policy: Option<XmitHashPolicy>,
        /// Source load balancing done in user space.
        "balance_slb" | "balance-slb" => balance_slb: Option<bool>,
        /// ARP probes that may be missed.
        "arp_missed_max" => arp_missed_max: Option<u8>,
        /// Send LACP packets without being asked.
        "lacp_active" => lacp_active: Option<bool>,
        /// IPv6 addresses to probe.
        "ns_ip6_target" => ns_ip6_target: Option<Vec<Ipv6Addr>>,
    }
}
