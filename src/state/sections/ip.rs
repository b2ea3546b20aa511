//! Addressing of an interface (schema 5.1 to 5.4).

use std::net::IpAddr;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::state::{Node, Part, Reader, Segment, Shape, Value};

open_words! {
    /// What a DHCPv4 client calls itself.
    pub enum DhcpClientId {
        /// Made of the MAC address.
        LinkLayer = "ll" | "LL",
        /// Made as for DHCPv6 (RFC 4361).
        IaidDuid = "iaid+duid" | "IAID+DUID",
    }
}

open_words! {
    /// DHCP unique identifier (RFC 8415, 11).
    pub enum DhcpDuid {
        /// Link layer address and time.
        LinkLayerTime = "llt" | "LLT",
        /// Number of the enterprise.
        Enterprise = "en" | "EN",
        /// Link layer address.
        LinkLayer = "ll" | "LL",
        /// UUID of the host.
        Uuid = "uuid" | "UUID",
    }
}

open_words! {
    /// How the host part of an automatic IPv6 address is made.
    pub enum AddrGenMode {
        /// From the MAC address (RFC 4291).
        Eui64 = "eui64" | "EUI64",
        /// From a secret and the network: stable, and tells nothing (RFC 7217).
        StablePrivacy = "stable-privacy" | "STABLE-PRIVACY",
    }
}

words! {
    /// Use of an address by multipath TCP.
    pub enum MptcpFlag {
        /// Announced to the peer.
        Signal = "signal",
        /// Used to open further ways to the peer.
        Subflow = "subflow",
        /// Used only when the others fail.
        Backup = "backup",
        /// A way from it to every address of the peer.
        Fullmesh = "fullmesh",
    }
}

section! {
    /// Multipath TCP.
    pub struct Mptcp {
        /// Flags of all addresses of the interface; an empty list clears them.
        "address-flags" => address_flags: Option<Vec<MptcpFlag>>,
    }
}

fields! {
    /// `ipv4` or `ipv6` of an interface. One structure serves both; which keys belong to the other
    /// family says `misplaced_keys`.
    pub struct Ip {
        /// Whether the stack is on; off removes addresses, DHCP and autoconf.
        "enabled" => enabled: Option<bool>,
        /// DHCPv4 or DHCPv6.
        "dhcp" => dhcp: Option<bool>,
        /// Addresses from router advertisements (IPv6 only).
        "autoconf" => autoconf: Option<bool>,
        /// DHCPv4 client identifier: `ll`, `iaid+duid`, or any text.
        "dhcp-client-id" => dhcp_client_id: Option<DhcpClientId>,
        /// DHCPv6 unique identifier: `llt`, `en`, `ll`, `uuid`, or any text.
        "dhcp-duid" => dhcp_duid: Option<DhcpDuid>,
        /// Static addresses: the whole list.
        "address" => address: Option<Vec<Address>>,
        /// Use name servers from DHCP and router advertisements.
        "auto-dns" => auto_dns: Option<bool>,
        /// Use the default gateway from DHCP and router advertisements.
        "auto-gateway" => auto_gateway: Option<bool>,
        /// Use routes from DHCP and router advertisements.
        "auto-routes" => auto_routes: Option<bool>,
        /// Table of automatic routes; 0 means main.
        "auto-route-table-id" => auto_route_table_id: Option<u32>,
        /// Metric of automatic routes; -1 is the backend's default.
        "auto-route-metric" => auto_route_metric: Option<i64>,
        /// How the host part of an IPv6 address is made.
        "addr-gen-mode" => addr_gen_mode: Option<AddrGenMode>,
        /// false: verification demands exactly the addresses listed.
        "allow-extra-address" => allow_extra_address: Option<bool> [WriteOnly],
        /// IPv6 interface identifier, as `::5`; `::` removes it.
        "token" => token: Option<String>,
        /// Send the host name to the DHCP server.
        "dhcp-send-hostname" => dhcp_send_hostname: Option<bool>,
        /// Name to send instead; empty clears.
        "dhcp-custom-hostname" => dhcp_custom_hostname: Option<String>,
        /// Forwarding between interfaces (IPv4 only).
        "forwarding" => forwarding: Option<bool>,
        /// Metric of the connected prefix route (IPv4 only); -1 is the backend's default.
        "prefix-route-metric" => prefix_route_metric: Option<i64>,
    }
}

/// Keys that a family cannot have: those that change nothing there are dropped with a warning, as
/// the peer drops them, the others are refused (semantics A21).
pub(crate) fn misplaced_keys(is_v6: bool) -> (&'static [&'static str], &'static [&'static str]) {
    if is_v6 {
        (&["dhcp-client-id"], &["forwarding", "prefix-route-metric"])
    } else {
        (&["dhcp-duid", "addr-gen-mode", "token"], &["autoconf"])
    }
}

impl Part for Ip {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let is_v6 = matches!(reader.path().segments().last(), Some(Segment::Key(key)) if key == "ipv6");
        let family = if is_v6 { "ipv6" } else { "ipv4" };
        let (dropped, refused) = misplaced_keys(is_v6);
        let mut kept = Vec::new();
        for entry in reader.entries(node)? {
            if dropped.contains(&entry.key.as_str()) {
                let message = format!("key `{}` does not belong to {family}; it is ignored", entry.key);
                let at = Node { at: entry.at.or(node.at), ..Node::null() };
                reader.at_key(&entry.key, |reader| reader.warn(&at, message));
            } else {
                kept.push(entry.clone());
            }
        }
        let node = Node { value: Value::Map(kept), at: node.at };
        Self::read_fields(&node, reader, |key| !refused.contains(&key), family)
    }

    fn shape() -> Shape {
        Shape::Section(&Self::INFO)
    }

    fn fill_from(&mut self, base: &Self) {
        self.fill_fields(base);
    }

    fn drop_read_only(&mut self) {
        self.drop_read_only_fields();
    }
}

impl Serialize for Ip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.print_fields(&mut map, |_| true)?;
        map.end()
    }
}

impl Ip {
    /// A section that mentions only whether the stack is on.
    pub fn new(enabled: bool) -> Self {
        Self { enabled: Some(enabled), ..Self::empty() }
    }

    /// A section that mentions nothing.
    pub fn empty() -> Self {
        Self {
            enabled: None,
            dhcp: None,
            autoconf: None,
            dhcp_client_id: None,
            dhcp_duid: None,
            address: None,
            auto_dns: None,
            auto_gateway: None,
            auto_routes: None,
            auto_route_table_id: None,
            auto_route_metric: None,
            addr_gen_mode: None,
            allow_extra_address: None,
            token: None,
            dhcp_send_hostname: None,
            dhcp_custom_hostname: None,
            forwarding: None,
            prefix_route_metric: None,
        }
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled == Some(true)
    }

    /// Whether addresses come from the network (semantics A10).
    pub fn is_auto(&self) -> bool {
        self.is_enabled() && (self.dhcp == Some(true) || self.autoconf == Some(true))
    }

    pub fn addresses(&self) -> &[Address] {
        self.address.as_deref().unwrap_or_default()
    }
}

section! {
    /// An address of an interface.
    pub struct Address {
        /// Address without prefix.
        "ip" => ip: IpAddr,
        /// Prefix length in bits.
        "prefix-length" => prefix_length: u8,
        /// MPTCP flags seen on this address.
        "mptcp-flags" => mptcp_flags: Option<Vec<MptcpFlag>> [ReadOnly],
        /// Remaining valid life time, as `86300sec`; absent means forever.
        "valid-life-time" | "valid-left" | "valid-lft" => valid_life_time: Option<String>,
        /// Remaining preferred life time.
        "preferred-life-time" | "preferred-left" | "preferred-lft" => preferred_life_time: Option<String>,
        /// Who added it: `lo`, `ra`, `kernel_ll`, or a number.
        "protocol" => protocol: Option<AddressProtocol>,
    }
}

impl Address {
    pub fn new(ip: IpAddr, prefix_length: u8) -> Self {
        Self {
            ip,
            prefix_length,
            mptcp_flags: None,
            valid_life_time: None,
            preferred_life_time: None,
            protocol: None,
        }
    }

    /// Whether its life time is limited: leased or advertised, never ours.
    pub fn is_dynamic(&self) -> bool {
        self.valid_life_time.as_deref().is_some_and(|time| time != "forever")
    }

    /// Whether it is an IPv6 link-local address, `fe80::/10`.
    pub fn is_v6_link_local(&self) -> bool {
        matches!(self.ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
    }

    /// Whether another program marked it as its own; such an address is never touched.
    pub fn is_foreign(&self) -> bool {
        self.protocol.is_some_and(|protocol| protocol.0 > AddressProtocol::KERNEL_LINK_LOCAL.0)
    }
}

/// Who added an address: `IFAPROT_*` of linux/if_addr.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AddressProtocol(pub u8);

impl AddressProtocol {
    pub const LOOPBACK: Self = Self(1);
    pub const ROUTER_ADVERTISEMENT: Self = Self(2);
    pub const KERNEL_LINK_LOCAL: Self = Self(3);
    const NAMES: [(&'static str, Self); 3] =
        [("lo", Self::LOOPBACK), ("ra", Self::ROUTER_ADVERTISEMENT), ("kernel_ll", Self::KERNEL_LINK_LOCAL)];
}

impl Part for AddressProtocol {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let named = |text| Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, protocol)| *protocol);
        node.text().and_then(named).or_else(|| u8::read(node, reader).map(Self))
    }

    fn shape() -> Shape {
        Shape::Either(vec![
            Shape::Words { words: &["lo", "ra", "kernel_ll"], docs: &[], aliases: &[], open: false },
            u8::shape(),
        ])
    }
}

impl Serialize for AddressProtocol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match Self::NAMES.iter().find(|(_, protocol)| protocol == self) {
            Some((name, _)) => serializer.serialize_str(name),
            None => serializer.collect_str(&format_args!("{:#x}", self.0)),
        }
    }
}
