//! Operations as netlink requests.

use std::net::IpAddr;

use nix::libc;
use uuid::Uuid;

use super::links::{Link, Refers};
use super::op::{Op, VlanRange};
use super::routes::{Hop, Metrics, RouteSpec, RuleSpec};
use crate::kernel::netlink::kinds::{BridgeVlanInfo, Data, PortData};
use crate::kernel::netlink::uapi::address::*;
use crate::kernel::netlink::uapi::bridge::*;
use crate::kernel::netlink::uapi::link::*;
use crate::kernel::netlink::uapi::route::*;
use crate::kernel::netlink::uapi::rule::*;
use crate::kernel::netlink::{Request, Writer};
use crate::state::{Net, RouteType, RuleAction};

/// A link is named that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing(pub String);

/// `RTM_NEWLINKPROP`, `RTM_DELLINKPROP`, linux/rtnetlink.h.
const NEW_PROPERTY: u16 = 108;
const REMOVE_PROPERTY: u16 = 109;
/// Families as attribute types inside `IFLA_AF_SPEC`.
const INET: u16 = libc::AF_INET as u16;
const INET6: u16 = libc::AF_INET6 as u16;
/// `IPV4_DEVCONF_FORWARDING`, linux/ip.h.
const DEVCONF4_FORWARDING: u16 = 1;
/// `IFA_F_NODAD`, linux/if_addr.h.
const NO_DAD: u32 = 2;

/// The requests of one operation; empty for one that is not done over rtnetlink.
pub(super) fn encode(op: &Op, index: &impl Fn(&str) -> Option<u32>) -> Result<Vec<Request>, Missing> {
    let find = |name: &str| index(name).ok_or_else(|| Missing(name.to_owned()));
    let change = |link: &str, fill: &dyn Fn(&mut Writer<'_>)| -> Result<Vec<Request>, Missing> {
        Ok(vec![Request::new(libc::RTM_SETLINK, 0, &LinkHeader::of(find(link)?).bytes()).with(|w| fill(w))])
    };
    let flags = |link: &str, flag: libc::c_int, on: bool| -> Result<Vec<Request>, Missing> {
        let header = LinkHeader { flag, on, ..LinkHeader::of(find(link)?) };
        Ok(vec![Request::new(libc::RTM_SETLINK, 0, &header.bytes())])
    };
    match op {
        Op::Create { link, is, mac, settled } => {
            let info = link_info(is, &find, *settled)?;
            let base = base(is, &find)?;
            let request = Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE, &LinkHeader::of(0).bytes());
            Ok(vec![request.with(|w| {
                w.text(libc::IFLA_IFNAME, link);
                w.put_some(libc::IFLA_LINK, base.as_ref());
                match mac {
                    Some(mac) => w.raw(libc::IFLA_ADDRESS, mac.bytes()),
                    None if *settled => w.raw(libc::IFLA_ADDRESS, &random_mac()),
                    None => {}
                }
                info(w);
            })])
        }
        Op::Options { link, are } => {
            let info = link_info(are, &find, false)?;
            let header = LinkHeader::of(find(link)?).bytes();
            Ok(vec![Request::new(libc::RTM_NEWLINK, 0, &header).with(|w| info(w))])
        }
        Op::PortOptions { link, are } => {
            let header = LinkHeader::of(find(link)?).bytes();
            Ok(vec![Request::new(libc::RTM_NEWLINK, 0, &header).with(|w| port_info(are, w))])
        }
        Op::Primary { bond, port } => {
            let primary = Some(port.as_deref().map(find).transpose()?.unwrap_or(0));
            let data = crate::kernel::netlink::kinds::Bond { primary, ..Default::default() };
            let are = Link { data: Data::Bond(Box::new(data)), refers: Refers::Nothing };
            encode(&Op::Options { link: bond.clone(), are }, index)
        }
        Op::Delete { link } => {
            Ok(vec![Request::new(libc::RTM_DELLINK, 0, &LinkHeader::of(find(link)?).bytes())])
        }
        Op::Up { link } => flags(link, libc::IFF_UP, true),
        Op::Down { link } => flags(link, libc::IFF_UP, false),
        Op::Promiscuous { link, on } => flags(link, libc::IFF_PROMISC, *on),
        Op::Mac { link, is } => change(link, &|w| w.raw(libc::IFLA_ADDRESS, is.bytes())),
        Op::Mtu { link, is } => change(link, &|w| w.put(libc::IFLA_MTU, is)),
        Op::Group { link, is } => change(link, &|w| w.put(libc::IFLA_GROUP, is)),
        Op::QueueLength { link, is } => change(link, &|w| w.put(libc::IFLA_TXQLEN, is)),
        Op::Attach { link, to } => {
            let controller = find(to)?;
            change(link, &|w| w.put(libc::IFLA_MASTER, &controller))
        }
        Op::Detach { link } => change(link, &|w| w.put(libc::IFLA_MASTER, &0_u32)),
        Op::Forwarding { link, on } => change(link, &|w| {
            w.nest(libc::IFLA_AF_SPEC, |w| {
                w.nest(INET, |w| {
                    w.nest(IFLA_INET_CONF, |w| w.put(DEVCONF4_FORWARDING, &u32::from(*on)));
                });
            });
        }),
        Op::Token { link, is } => change(link, &|w| {
            w.nest(libc::IFLA_AF_SPEC, |w| w.nest(INET6, |w| w.put(IFLA_INET6_TOKEN, is)));
        }),
        Op::AddrGenMode { link, is } => change(link, &|w| {
            w.nest(libc::IFLA_AF_SPEC, |w| w.nest(INET6, |w| w.put(IFLA_INET6_ADDR_GEN_MODE, is)));
        }),
        Op::AddAltName { link, name } => property(NEW_PROPERTY, find(link)?, name),
        Op::RemoveAltName { link, name } => property(REMOVE_PROPERTY, find(link)?, name),
        Op::BridgeVlans { link, remove, add } => Ok(bridge_vlans(find(link)?, remove, add)),
        Op::AddAddress { link, address, prefix, metric, no_dad } => {
            let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
            let request = address_request(libc::RTM_NEWADDR, flags, find(link)?, *address, *prefix);
            Ok(vec![request.with(|w| {
                if *no_dad {
                    w.put(IFA_FLAGS, &NO_DAD);
                }
                w.put_some(IFA_RT_PRIORITY, metric.as_ref());
            })])
        }
        Op::RemoveAddress { link, address, prefix } => {
            Ok(vec![address_request(libc::RTM_DELADDR, 0, find(link)?, *address, *prefix)])
        }
        Op::AddRoute(route) => Ok(vec![add_route(route, &find)?]),
        Op::RemoveRoute(route) => remove_route(route, &find),
        Op::AddRule(rule) => {
            let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
            Ok(vec![rule_request(libc::RTM_NEWRULE, flags, rule).with(|w| {
                w.put(FRA_PROTOCOL, &libc::RTPROT_STATIC);
            })])
        }
        Op::RemoveRule(rule) => Ok(vec![rule_request(libc::RTM_DELRULE, 0, rule)]),
        Op::Ethtool { .. } | Op::Sysctl { .. } | Op::Resolver(_) | Op::Hostname(_) | Op::HostnameFile(_) => {
            Ok(Vec::new())
        }
    }
}

/// Asks for the link of a name, without its statistics.
pub(super) fn get_link(name: &str) -> Request {
    Request::new(libc::RTM_GETLINK, 0, &LinkHeader::of(0).bytes()).with(|w| {
        w.text(libc::IFLA_IFNAME, name);
        w.put(libc::IFLA_EXT_MASK, &libc::RTEXT_FILTER_SKIP_STATS);
    })
}

/// The part of `struct ifinfomsg` that is ever set.
struct LinkHeader {
    index: u32,
    family: u8,
    flag: libc::c_int,
    on: bool,
}

impl LinkHeader {
    fn of(index: u32) -> Self {
        Self { index, family: 0, flag: 0, on: false }
    }

    fn bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[0] = self.family;
        bytes[4..8].copy_from_slice(&self.index.to_ne_bytes());
        let flags = if self.on { self.flag } else { 0 };
        bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.flag.to_ne_bytes());
        bytes
    }
}

type Find<'a> = &'a dyn Fn(&str) -> Result<u32, Missing>;

/// What goes into `IFLA_LINK`: the base, for kinds that do not name it among their attributes.
fn base(link: &Link, find: Find<'_>) -> Result<Option<u32>, Missing> {
    match (&link.data, &link.refers) {
        (Data::Vxlan(_) | Data::Ipip(_) | Data::Sit(_) | Data::Ip6tnl(_), _) => Ok(None),
        (_, Refers::Base(base)) => find(base).map(Some),
        _ => Ok(None),
    }
}

/// `IFLA_LINKINFO` with the indices of the links referred to.
fn link_info(link: &Link, find: Find<'_>, settled: bool) -> Result<impl Fn(&mut Writer<'_>), Missing> {
    let mut data = link.data.clone();
    match (&mut data, &link.refers) {
        (Data::Vxlan(vxlan), Refers::Base(base)) => vxlan.link = Some(find(base)?),
        (Data::Ipip(tunnel) | Data::Sit(tunnel) | Data::Ip6tnl(tunnel), Refers::Base(base)) => {
            tunnel.link = Some(find(base)?);
        }
        (Data::Hsr(hsr), Refers::Ring { port1, port2, interlink }) => {
            hsr.port1 = Some(find(port1)?);
            hsr.port2 = Some(find(port2)?);
            hsr.interlink = interlink.as_deref().map(find).transpose()?;
        }
        _ => {}
    }
    let peer = match &link.refers {
        Refers::Peer(peer) => Some(peer.clone()),
        _ => None,
    };
    Ok(move |w: &mut Writer<'_>| {
        w.nest(libc::IFLA_LINKINFO, |w| {
            w.text(libc::IFLA_INFO_KIND, data.kind());
            if let Some(peer) = &peer {
                w.nest(libc::IFLA_INFO_DATA, |w| {
                    w.nest_after(VETH_INFO_PEER, &[0; 16], |w| {
                        w.text(libc::IFLA_IFNAME, peer);
                        if settled {
                            w.raw(libc::IFLA_ADDRESS, &random_mac());
                        }
                    });
                });
            } else if !data.is_empty() {
                w.nest(libc::IFLA_INFO_DATA, |w| data.write(w));
            }
        });
    })
}

/// A locally administered address of one station (RFC 9542, 2.1).
fn random_mac() -> [u8; 6] {
    let [first, rest @ ..] = *Uuid::new_v4().as_bytes();
    [first & 0xfe | 0x02, rest[0], rest[1], rest[2], rest[3], rest[4]]
}

fn port_info(port: &PortData, w: &mut Writer<'_>) {
    w.nest(libc::IFLA_LINKINFO, |w| {
        w.text(libc::IFLA_INFO_SLAVE_KIND, port.kind());
        w.nest(libc::IFLA_INFO_SLAVE_DATA, |w| port.write(w));
    });
}

fn property(kind: u16, link: u32, name: &str) -> Result<Vec<Request>, Missing> {
    let flags =
        if kind == NEW_PROPERTY { libc::NLM_F_CREATE | libc::NLM_F_EXCL | libc::NLM_F_APPEND } else { 0 };
    Ok(vec![Request::new(kind, flags, &LinkHeader::of(link).bytes()).with(|w| {
        w.nest(libc::IFLA_PROP_LIST, |w| w.text(libc::IFLA_ALT_IFNAME, name));
    })])
}

fn bridge_vlans(link: u32, remove: &[VlanRange], add: &[VlanRange]) -> Vec<Request> {
    let family = u8::try_from(libc::AF_BRIDGE).expect("AF_BRIDGE is 7");
    let header = LinkHeader { family, ..LinkHeader::of(link) }.bytes();
    let request = |kind: u16, list: &[VlanRange]| {
        Request::new(kind, 0, &header).with(|w| {
            w.nest(libc::IFLA_AF_SPEC, |w| list.iter().for_each(|range| vlan_range(range, w)));
        })
    };
    // The new pvid first: a port without one drops untagged frames.
    let add = (!add.is_empty()).then(|| request(libc::RTM_SETLINK, add));
    let remove = (!remove.is_empty()).then(|| request(libc::RTM_DELLINK, remove));
    add.into_iter().chain(remove).collect()
}

fn vlan_range(range: &VlanRange, w: &mut Writer<'_>) {
    let flag = |on: bool, flag: u16| if on { flag } else { 0 };
    let flags = flag(range.pvid, BRIDGE_VLAN_INFO_PVID) | flag(range.untagged, BRIDGE_VLAN_INFO_UNTAGGED);
    let mut vlan = |extra: u16, id: u16| {
        w.put(IFLA_BRIDGE_VLAN_INFO, &BridgeVlanInfo { flags: flags | extra, id });
    };
    if range.first == range.last {
        vlan(0, range.first);
    } else {
        vlan(BRIDGE_VLAN_INFO_RANGE_BEGIN, range.first);
        vlan(BRIDGE_VLAN_INFO_RANGE_END, range.last);
    }
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    u8::try_from(family).expect("AF_INET is 2 and AF_INET6 10")
}

fn address_request(kind: u16, flags: libc::c_int, link: u32, address: IpAddr, prefix: u8) -> Request {
    let is_local = matches!(address, IpAddr::V4(address) if address.is_loopback());
    let scope = if is_local { RT_SCOPE_HOST } else { RT_SCOPE_UNIVERSE };
    let mut header = [0; 8];
    header[..4].copy_from_slice(&[family(address), prefix, 0, scope]);
    header[4..].copy_from_slice(&link.to_ne_bytes());
    Request::new(kind, flags, &header).with(|w| {
        w.put(libc::IFA_LOCAL, &address);
        w.put(libc::IFA_ADDRESS, &address);
    })
}

/// `struct rtmsg`
fn route_header(route: &RouteSpec, protocol: u8, scope: u8) -> [u8; 12] {
    let kind = match route.kind {
        None => libc::RTN_UNICAST,
        Some(RouteType::Blackhole) => libc::RTN_BLACKHOLE,
        Some(RouteType::Unreachable) => libc::RTN_UNREACHABLE,
        Some(RouteType::Prohibit) => libc::RTN_PROHIBIT,
    };
    let table = u8::try_from(route.table).unwrap_or(RT_TABLE_COMPAT);
    let prefix = route.destination.prefix();
    [family(route.destination.address()), prefix, 0, 0, table, protocol, scope, kind, 0, 0, 0, 0]
}

/// An equal route that is there is left alone; another one of the same destination stays too.
fn add_route(route: &RouteSpec, find: Find<'_>) -> Result<Request, Missing> {
    let leads_on =
        route.kind.is_some() || route.is_v6() || route.hops.iter().any(|hop| hop.gateway.is_some());
    let scope = if leads_on { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
    let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
    let header = route_header(route, libc::RTPROT_STATIC, scope);
    let hops = hops(route, find)?;
    Ok(Request::new(libc::RTM_NEWROUTE, flags, &header).with(|w| {
        route_key(route, w);
        hops_to(w, &hops, route.is_v6());
        w.put_some(libc::RTA_PREFSRC, route.source.as_ref());
        route_metrics(route.metrics, w);
    }))
}

/// Configured routes only: the kernel's own may look the same.
fn remove_route(route: &RouteSpec, find: Find<'_>) -> Result<Vec<Request>, Missing> {
    let hops = hops(route, find)?;
    let remove = |protocol: u8| {
        let header = route_header(route, protocol, libc::RT_SCOPE_NOWHERE);
        Request::new(libc::RTM_DELROUTE, 0, &header).with(|w| {
            route_key(route, w);
            hops_to(w, &hops, route.is_v6());
        })
    };
    Ok(vec![remove(libc::RTPROT_STATIC), remove(libc::RTPROT_BOOT)])
}

fn route_key(route: &RouteSpec, w: &mut Writer<'_>) {
    if route.destination.prefix() != 0 {
        w.put(libc::RTA_DST, &route.destination.address());
    }
    w.put(libc::RTA_TABLE, &route.table);
    if route.metric != 0 {
        w.put(libc::RTA_PRIORITY, &route.metric);
    }
}

fn hops(route: &RouteSpec, find: Find<'_>) -> Result<Vec<(Hop, u32)>, Missing> {
    route.hops.iter().map(|hop| Ok((hop.clone(), find(&hop.link)?))).collect()
}

fn hops_to(w: &mut Writer<'_>, hops: &[(Hop, u32)], is_v6: bool) {
    match hops {
        [] => {}
        [(hop, link)] => {
            gateway(w, hop, is_v6);
            w.put(libc::RTA_OIF, link);
        }
        several => w.nest(libc::RTA_MULTIPATH, |w| {
            for (hop, link) in several {
                // struct rtnexthop: length, flags, weight - 1, index of the link.
                let weight = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
                let [a, b, c, d] = link.to_ne_bytes();
                w.counted(&[0, 0, 0, weight, a, b, c, d], |w| gateway(w, hop, is_v6));
            }
        }),
    }
}

/// A gateway of the other family (IPv4 via IPv6, RFC 8950) goes into a `struct rtvia`.
fn gateway(w: &mut Writer<'_>, hop: &Hop, is_v6: bool) {
    match hop.gateway {
        Some(IpAddr::V6(gateway)) if !is_v6 => {
            let family = u16::from(family(IpAddr::V6(gateway))).to_ne_bytes();
            w.raw(libc::RTA_VIA, &[&family[..], &gateway.octets()].concat());
        }
        gateway => w.put_some(libc::RTA_GATEWAY, gateway.as_ref()),
    }
}

fn route_metrics(metrics: Metrics, w: &mut Writer<'_>) {
    if metrics == Metrics::default() {
        return;
    }
    let bit = |on: bool, number: u16| if on { 1_u32 << number } else { 0 };
    let locks = bit(metrics.cwnd.is_some(), RTAX_CWND) | bit(metrics.lock_mtu, RTAX_MTU);
    w.nest(libc::RTA_METRICS, |w| {
        if locks != 0 {
            w.put(RTAX_LOCK, &locks);
        }
        w.put_some(RTAX_MTU, metrics.mtu.as_ref());
        w.put_some(RTAX_CWND, metrics.cwnd.as_ref());
        w.put_some(RTAX_ADVMSS, metrics.advmss.as_ref());
        w.put_some(RTAX_INITCWND, metrics.initcwnd.as_ref());
        w.put_some(RTAX_INITRWND, metrics.initrwnd.as_ref());
        if metrics.quickack {
            w.put(RTAX_QUICKACK, &1_u32);
        }
    });
}

fn rule_request(kind: u16, flags: libc::c_int, rule: &RuleSpec) -> Request {
    let action = match rule.action {
        None => FR_ACT_TO_TBL,
        Some(RuleAction::Blackhole) => FR_ACT_BLACKHOLE,
        Some(RuleAction::Unreachable) => FR_ACT_UNREACHABLE,
        Some(RuleAction::Prohibit) => FR_ACT_PROHIBIT,
    };
    let prefix = |net: Option<Net>| net.map_or(0, |net| net.prefix());
    // struct fib_rule_hdr
    let mut header = [0; 12];
    header[..3].copy_from_slice(&[family(rule.any()), prefix(rule.to), prefix(rule.from)]);
    header[7] = action;
    Request::new(kind, flags, &header).with(|w| {
        w.put_some(FRA_PRIORITY, rule.priority.as_ref());
        let address = |net: Option<Net>| net.filter(|net| net.prefix() != 0).map(|net| net.address());
        w.put_some(FRA_SRC, address(rule.from).as_ref());
        w.put_some(FRA_DST, address(rule.to).as_ref());
        w.put_some(FRA_TABLE, rule.table.as_ref());
        w.put_some(FRA_FWMARK, rule.mark.as_ref());
        w.put_some(FRA_FWMASK, rule.mask.as_ref());
        w.put_some(FRA_SUPPRESS_PREFIXLEN, rule.suppress_prefix_length.as_ref());
        if let Some(incoming) = &rule.incoming {
            w.text(FRA_IIFNAME, incoming);
        }
    })
}
