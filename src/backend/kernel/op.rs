//! What execution does, as data: each operation says how one thing shall be, by name.
//!
//! An operation is safe to repeat: what is already so, or already gone, is success (see
//! [`Op::tolerates`]). It prints as a sentence, for progress, logs and tests.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use nix::errno::Errno;

use super::links::Link;
use super::routes::{RouteSpec, RuleSpec};
use crate::kernel::netlink::kinds::PortData;
use crate::state::{Coalesce, DnsSettings, Duplex, Mac, Pause, Ring};

/// One thing that shall be so.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backend) enum Op {
    RemoveRule(RuleSpec),
    RemoveRoute(RouteSpec),
    RemoveAltName {
        link: String,
        name: String,
    },
    RemoveAddress {
        link: String,
        address: IpAddr,
        prefix: u8,
    },
    Detach {
        link: String,
    },
    Down {
        link: String,
    },
    Delete {
        link: String,
    },
    Create {
        link: String,
        is: Link,
        mac: Option<Mac>,
        /// Its address, and its peer's, are chosen here where nothing else says them: a device
        /// manager replaces an address that the kernel drew (`NET_ADDR_RANDOM`, systemd.link(5)
        /// `MACAddressPolicy=`), at any moment, also after a bond has given the port its own.
        settled: bool,
    },
    Options {
        link: String,
        are: Link,
    },
    Mac {
        link: String,
        is: Mac,
    },
    Mtu {
        link: String,
        is: u32,
    },
    Ethtool {
        link: String,
        setting: Setting,
    },
    Promiscuous {
        link: String,
        on: bool,
    },
    AddAltName {
        link: String,
        name: String,
    },
    Attach {
        link: String,
        to: String,
    },
    PortOptions {
        link: String,
        are: PortData,
    },
    Primary {
        bond: String,
        port: Option<String>,
    },
    BridgeVlans {
        link: String,
        remove: Vec<VlanRange>,
        add: Vec<VlanRange>,
    },
    /// A file below /proc/sys, as `net/ipv6/conf/eth1/accept_ra`.
    Sysctl {
        link: String,
        conf: &'static str,
        value: String,
    },
    Forwarding {
        link: String,
        on: bool,
    },
    Token {
        link: String,
        is: Ipv6Addr,
    },
    AddrGenMode {
        link: String,
        is: u8,
    },
    Group {
        link: String,
        is: u32,
    },
    QueueLength {
        link: String,
        is: u32,
    },
    Up {
        link: String,
    },
    AddAddress {
        link: String,
        address: IpAddr,
        prefix: u8,
        metric: Option<u32>,
        no_dad: bool,
    },
    AddRoute(RouteSpec),
    AddRule(RuleSpec),
    Resolver(DnsSettings),
    Hostname(String),
    HostnameFile(String),
}

/// VLANs of a bridge port with equal flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::backend) struct VlanRange {
    pub first: u16,
    pub last: u16,
    /// Untagged frames that come in belong to it.
    pub pvid: bool,
    /// Its frames go out untagged.
    pub untagged: bool,
}

/// A group of device settings.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::backend) enum Setting {
    Features(Vec<(String, bool)>),
    Pause(Pause),
    Coalesce(Box<Coalesce>),
    Ring(Box<Ring>),
    Fec { auto: bool, mode: Option<crate::state::FecMode> },
    LinkModes { autoneg: bool, speed: Option<u32>, duplex: Option<Duplex> },
}

impl Op {
    /// The interface it is about, for progress and errors.
    pub(in crate::backend) fn subject(&self) -> Option<&str> {
        match self {
            Self::RemoveAltName { link, .. }
            | Self::RemoveAddress { link, .. }
            | Self::Detach { link }
            | Self::Down { link }
            | Self::Delete { link }
            | Self::Create { link, .. }
            | Self::Options { link, .. }
            | Self::Mac { link, .. }
            | Self::Mtu { link, .. }
            | Self::Ethtool { link, .. }
            | Self::Promiscuous { link, .. }
            | Self::AddAltName { link, .. }
            | Self::Attach { link, .. }
            | Self::PortOptions { link, .. }
            | Self::Primary { bond: link, .. }
            | Self::BridgeVlans { link, .. }
            | Self::Sysctl { link, .. }
            | Self::Forwarding { link, .. }
            | Self::Token { link, .. }
            | Self::AddrGenMode { link, .. }
            | Self::Group { link, .. }
            | Self::QueueLength { link, .. }
            | Self::Up { link }
            | Self::AddAddress { link, .. } => Some(link),
            Self::RemoveRoute(route) | Self::AddRoute(route) => route.link(),
            Self::RemoveRule(_)
            | Self::AddRule(_)
            | Self::Resolver(_)
            | Self::Hostname(_)
            | Self::HostnameFile(_) => None,
        }
    }

    /// Whether a refusal means that the goal is reached.
    ///
    /// A link that is gone has no addresses, routes or ports any more.
    pub(in crate::backend) fn tolerates(&self, errno: Errno) -> bool {
        match self {
            Self::RemoveRule(_) => matches!(errno, Errno::ENOENT),
            Self::RemoveRoute(_) => matches!(errno, Errno::ESRCH | Errno::ENODEV),
            Self::RemoveAltName { .. } => matches!(errno, Errno::ENOENT | Errno::ENODEV),
            Self::RemoveAddress { .. } => matches!(errno, Errno::EADDRNOTAVAIL | Errno::ENODEV),
            Self::Detach { .. } | Self::Down { .. } | Self::Delete { .. } => errno == Errno::ENODEV,
            Self::AddAddress { .. } | Self::AddRoute(_) | Self::AddRule(_) | Self::AddAltName { .. } => {
                errno == Errno::EEXIST
            }
            _ => false,
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RemoveRule(rule) => write!(f, "remove rule {rule}"),
            Self::RemoveRoute(route) => write!(f, "remove route {route}"),
            Self::RemoveAltName { link, name } => write!(f, "remove alternative name {name} of {link}"),
            Self::RemoveAddress { link, address, prefix } => {
                write!(f, "remove address {address}/{prefix} from {link}")
            }
            Self::Detach { link } => write!(f, "detach {link}"),
            Self::Down { link } => write!(f, "take {link} down"),
            Self::Delete { link } => write!(f, "delete {link}"),
            Self::Create { link, is, mac, settled } => {
                write!(f, "create {link}: {is}")?;
                match mac {
                    Some(mac) => write!(f, ", mac {mac}"),
                    None if *settled => f.write_str(", settled mac"),
                    None => Ok(()),
                }
            }
            Self::Options { link, are } => write!(f, "set {link}: {are}"),
            Self::Mac { link, is } => write!(f, "set mac of {link} to {is}"),
            Self::Mtu { link, is } => write!(f, "set mtu of {link} to {is}"),
            Self::Ethtool { link, setting } => write!(f, "set {} of {link}", setting.name()),
            Self::Promiscuous { link, on } => write!(f, "set promiscuous mode of {link} {}", on_off(*on)),
            Self::AddAltName { link, name } => write!(f, "add alternative name {name} to {link}"),
            Self::Attach { link, to } => write!(f, "attach {link} to {to}"),
            Self::PortOptions { link, are } => write!(f, "set port {link}: {}", port_text(are)),
            Self::Primary { bond, port: Some(port) } => write!(f, "make {port} the primary port of {bond}"),
            Self::Primary { bond, port: None } => write!(f, "let {bond} have no primary port"),
            Self::BridgeVlans { link, remove, add } => {
                write!(f, "set vlans of {link}:")?;
                remove.iter().try_for_each(|vlan| write!(f, " -{vlan}"))?;
                add.iter().try_for_each(|vlan| write!(f, " +{vlan}"))
            }
            Self::Sysctl { link, conf, value } => write!(f, "set {conf} of {link} to {value}"),
            Self::Forwarding { link, on } => write!(f, "set ipv4 forwarding of {link} {}", on_off(*on)),
            Self::Token { link, is } => write!(f, "set ipv6 token of {link} to {is}"),
            Self::AddrGenMode { link, is } => write!(f, "set ipv6 address generation of {link} to {is}"),
            Self::Group { link, is } => write!(f, "set group of {link} to {is}"),
            Self::QueueLength { link, is } => write!(f, "set queue length of {link} to {is}"),
            Self::Up { link } => write!(f, "take {link} up"),
            Self::AddAddress { link, address, prefix, metric, no_dad } => {
                write!(f, "add address {address}/{prefix} to {link}")?;
                if let Some(metric) = metric {
                    write!(f, " metric {metric}")?;
                }
                if *no_dad {
                    f.write_str(" without duplicate detection")?;
                }
                Ok(())
            }
            Self::AddRoute(route) => write!(f, "add route {route}"),
            Self::AddRule(rule) => write!(f, "add rule {rule}"),
            Self::Resolver(_) => f.write_str("write the resolver's configuration"),
            Self::Hostname(name) => write!(f, "set the host name to {name}"),
            Self::HostnameFile(name) if name.is_empty() => f.write_str("remove the persistent host name"),
            Self::HostnameFile(name) => write!(f, "set the persistent host name to {name}"),
        }
    }
}

impl Setting {
    fn name(&self) -> &'static str {
        match self {
            Self::Features(_) => "offload features",
            Self::Pause(_) => "pause frames",
            Self::Coalesce(_) => "interrupt coalescing",
            Self::Ring(_) => "ring sizes",
            Self::Fec { .. } => "forward error correction",
            Self::LinkModes { .. } => "speed and duplex",
        }
    }
}

impl fmt::Display for VlanRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        let (pvid, untagged) = (if self.pvid { "p" } else { "" }, if self.untagged { "u" } else { "" });
        write!(f, "{pvid}{untagged}")
    }
}

fn port_text(port: &PortData) -> String {
    match port {
        PortData::Bond(port) => port.to_string(),
        PortData::Bridge(port) => port.to_string(),
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}
