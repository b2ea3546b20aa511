//! Policy rules: `RTM_NEWRULE`.

use crate::kernel::netlink::uapi::rule::*;
use crate::kernel::netlink::{Attr, Message, Value};
use nix::libc;
use std::net::IpAddr;

/// A policy routing rule, with everything the kernel can select by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub is_v6: bool,
    pub priority: u32,
    /// `FR_ACT_*`
    pub action: u8,
    pub table: u32,
    pub from: Option<(IpAddr, u8)>,
    pub to: Option<(IpAddr, u8)>,
    pub tos: u8,
    /// Whether it applies to what its selectors do *not* match.
    pub inverted: bool,
    pub incoming: Option<Box<str>>,
    pub outgoing: Option<Box<str>>,
    pub fwmark: u32,
    pub fwmask: Option<u32>,
    pub suppress_prefix_length: Option<u32>,
    pub suppress_group: Option<u32>,
    /// `RTPROT_*`; `None` on kernels that do not tell.
    pub protocol: Option<u8>,
    pub goto: Option<u32>,
    pub l3mdev: bool,
    pub ip_protocol: Option<u8>,
    pub source_ports: Option<(u16, u16)>,
    pub destination_ports: Option<(u16, u16)>,
    pub uids: Option<(u32, u32)>,
}

impl Rule {
    pub(super) fn read(message: &Message<'_>) -> Option<Self> {
        let (header, attrs) = message.body::<12>()?;
        let is_v6 = match i32::from(header[0]) {
            libc::AF_INET => false,
            libc::AF_INET6 => true,
            _ => return None,
        };
        let mut rule = Self {
            is_v6,
            priority: 0,
            action: header[7],
            table: u32::from(header[4]),
            from: None,
            to: None,
            tos: header[3],
            // The other flags are a state (the interface exists or not), not a property.
            inverted: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]) & FIB_RULE_INVERT
                != 0,
            incoming: None,
            outgoing: None,
            fwmark: 0,
            fwmask: None,
            suppress_prefix_length: None,
            suppress_group: None,
            protocol: None,
            goto: None,
            l3mdev: false,
            ip_protocol: None,
            source_ports: None,
            destination_ports: None,
            uids: None,
        };
        for attr in attrs {
            match attr.kind {
                FRA_DST => rule.to = attr.get().map(|to| (to, header[1])),
                FRA_SRC => rule.from = attr.get().map(|from| (from, header[2])),
                FRA_IIFNAME => rule.incoming = attr.text().map(Into::into),
                FRA_OIFNAME => rule.outgoing = attr.text().map(Into::into),
                FRA_GOTO => rule.goto = attr.get(),
                FRA_PRIORITY => rule.priority = attr.get().unwrap_or_default(),
                FRA_FWMARK => rule.fwmark = attr.get().unwrap_or_default(),
                FRA_FWMASK => rule.fwmask = attr.get(),
                // u32::MAX: not set.
                FRA_SUPPRESS_PREFIXLEN => rule.suppress_prefix_length = set(attr),
                FRA_SUPPRESS_IFGROUP => rule.suppress_group = set(attr),
                FRA_TABLE => rule.table = attr.get().unwrap_or(rule.table),
                FRA_PROTOCOL => rule.protocol = attr.get(),
                FRA_L3MDEV => rule.l3mdev = attr.get().unwrap_or_default(),
                FRA_IP_PROTO => rule.ip_protocol = attr.get(),
                FRA_SPORT_RANGE => rule.source_ports = pair(attr),
                FRA_DPORT_RANGE => rule.destination_ports = pair(attr),
                FRA_UID_RANGE => rule.uids = pair(attr),
                _ => {}
            }
        }
        Some(rule)
    }

    /// Returns whether the kernel made it itself: the three default rules, and the one of VRF.
    pub fn is_kernels_own(&self) -> bool {
        self.protocol == Some(libc::RTPROT_KERNEL)
    }
}

fn set(attr: Attr<'_>) -> Option<u32> {
    attr.get().filter(|value| *value != u32::MAX)
}

fn pair<V: Value>(attr: Attr<'_>) -> Option<(V, V)> {
    let (first, second) = attr.payload.split_at_checked(attr.payload.len() / 2)?;
    Some((V::read(first)?, V::read(second)?))
}

/// Inserts where the kernel does: behind the rules of equal priority of its family. Both families
/// share one list, IPv4 first.
pub(super) fn add(rules: &mut Vec<Rule>, rule: Rule) {
    let key = |rule: &Rule| (rule.is_v6, rule.priority);
    let place = rules.partition_point(|other| key(other) <= key(&rule));
    rules.insert(place, rule);
}

/// Removes one rule equal to this one; the kernel may hold several.
pub(super) fn remove(rules: &mut Vec<Rule>, rule: &Rule) {
    if let Some(place) = rules.iter().position(|other| other == rule) {
        rules.remove(place);
    }
}
