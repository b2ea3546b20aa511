//! Addresses and per-link IP settings.

use std::net::{IpAddr, Ipv6Addr};

use super::super::op::Op;
use crate::state::{AddrGenMode, Address, AddressProtocol, Interface, InterfaceType, Ip};

/// What becomes of an interface's addresses.
pub(super) struct AddressPlan<'a> {
    pub before: Option<&'a Interface>,
    pub after: &'a Interface,
    /// Whether it is no port, or one of a VRF (semantics A7).
    pub may_hold: bool,
    /// The kernel drops addresses meanwhile (the link goes down, or is made anew).
    pub lost: bool,
    /// Addresses that routes name as their source: they have to be usable at once.
    pub sources: &'a [IpAddr],
}

impl AddressPlan<'_> {
    pub(super) fn ops(&self) -> Vec<Op> {
        let mut ops = Vec::new();
        for v6 in [false, true] {
            self.family(v6, &mut ops);
        }
        ops
    }

    fn family(&self, v6: bool, ops: &mut Vec<Op>) {
        let after = family(self.after, v6);
        let before = self.before.and_then(|before| family(before, v6));
        let keeps = self.after.is_up() && self.may_hold;
        if after.is_none() && keeps {
            return; // nothing was said of this family
        }
        let is_loopback = *self.after.kind() == InterfaceType::Loopback;
        let auto = keeps && after.is_some_and(Ip::is_auto);
        let wanted: Vec<&Address> = match after.filter(|ip| keeps && ip.is_enabled()) {
            Some(ip) => ip.addresses().iter().filter(|address| is_ours(address)).collect(),
            None => Vec::new(),
        };
        let metric = after.filter(|_| !v6).and_then(prefix_metric);
        let same_metric = metric == before.filter(|_| !v6).and_then(prefix_metric);
        let present: Vec<&Address> = before.map_or(&[][..], Ip::addresses).iter().collect();
        let fixed = |address: &Address| {
            address.is_foreign()
                || address.is_v6_link_local()
                || (is_loopback && address.protocol == Some(AddressProtocol::LOOPBACK))
                || (auto && address.is_dynamic())
        };
        let ours: Vec<&Address> = present.iter().copied().filter(|a| !fixed(a) && !a.is_dynamic()).collect();
        let Kept { wanted, staying } = keep_order(&ours, wanted, v6, same_metric);
        let stays = |address: &Address| wanted[..staying].iter().any(|other| is_same(address, other));
        let gone: Vec<&&Address> =
            present.iter().filter(|a| !fixed(a) && (a.is_dynamic() || !stays(a))).collect();
        let link = &self.after.name;
        ops.extend(gone.iter().map(|address| Op::RemoveAddress {
            link: link.clone(),
            address: address.ip,
            prefix: address.prefix_length,
        }));
        // Removing a primary IPv4 address takes the secondaries of its network along
        // (net/ipv4/devinet.c), so those that stay are added again too.
        let again = self.lost || !gone.is_empty();
        let missing = wanted.iter().enumerate().filter(|(index, _)| again || *index >= staying);
        ops.extend(missing.map(|(_, address)| Op::AddAddress {
            link: link.clone(),
            address: address.ip,
            prefix: address.prefix_length,
            metric,
            no_dad: v6 && self.sources.contains(&address.ip),
        }));
    }
}

/// Wanted addresses in the order in which they are added, and how many of them stay.
struct Kept<'a> {
    wanted: Vec<&'a Address>,
    staying: usize,
}

/// The order of addresses decides on the source of connections. IPv4 lists the oldest first, IPv6
/// the newest (`ipv6_link_dev_addr`, net/ipv6/addrconf.c). What stays is the part that was added
/// first and already stands in the wanted order; the others are added behind it.
fn keep_order<'a>(
    present: &[&Address],
    mut wanted: Vec<&'a Address>,
    v6: bool,
    same_metric: bool,
) -> Kept<'a> {
    let common = present.iter().copied().filter(|a| wanted.iter().any(|b| is_same(a, b)));
    let mut common: Vec<&Address> = common.collect();
    if v6 {
        common.reverse();
        wanted.reverse();
    }
    let staying = common.iter().zip(&wanted).take_while(|(a, b)| same_metric && is_same(a, b)).count();
    Kept { wanted, staying }
}

/// Whether it is a static address that the document owns.
fn is_ours(address: &Address) -> bool {
    let kernels = [
        AddressProtocol::LOOPBACK,
        AddressProtocol::ROUTER_ADVERTISEMENT,
        AddressProtocol::KERNEL_LINK_LOCAL,
    ];
    !address.is_dynamic()
        && !address.is_foreign()
        && !address.protocol.is_some_and(|protocol| kernels.contains(&protocol))
}

fn is_same(a: &Address, b: &Address) -> bool {
    (a.ip, a.prefix_length) == (b.ip, b.prefix_length)
}

fn prefix_metric(ip: &Ip) -> Option<u32> {
    ip.prefix_route_metric.and_then(|metric| u32::try_from(metric).ok()).filter(|metric| *metric != 0)
}

pub(super) fn family(interface: &Interface, v6: bool) -> Option<&Ip> {
    if v6 { interface.ipv6.as_deref() } else { interface.ipv4.as_deref() }
}

/// Settings of the stacks on a link, without addresses. `fresh`: the link starts with the
/// kernel's defaults, or changes whether it may hold IP.
pub(super) fn settings(
    before: Option<&Interface>,
    after: &Interface,
    may_hold: bool,
    fresh: bool,
) -> Vec<Op> {
    let mut ops = Vec::new();
    let link = &after.name;
    let mut sysctl = |conf, value: &str| {
        ops.push(Op::Sysctl { link: link.clone(), conf, value: value.to_owned() });
    };
    let old = before.filter(|_| !fresh).and_then(|before| family(before, true));
    let new = family(after, true);
    if !may_hold {
        let turns_off = old.is_some_and(Ip::is_enabled) && !new.is_some_and(Ip::is_enabled);
        if fresh || turns_off {
            sysctl("disable_ipv6", "1");
        }
        return ops;
    }
    let changed = |get: fn(&Ip) -> Option<bool>| {
        let wanted = new.and_then(get);
        wanted.filter(|_| wanted != old.and_then(get))
    };
    match changed(|ip| ip.enabled) {
        Some(true) => sysctl("disable_ipv6", "0"),
        Some(false) => sysctl("disable_ipv6", "1"),
        None => {}
    }
    if new.is_some_and(Ip::is_enabled) {
        // 2: also where the host forwards (Documentation/networking/ip-sysctl.rst).
        match changed(|ip| Some(ip.autoconf == Some(true))) {
            Some(true) => {
                sysctl("accept_ra", "2");
                sysctl("autoconf", "1");
            }
            Some(false) => {
                sysctl("accept_ra", "0");
                sysctl("autoconf", "0");
            }
            None => {}
        }
        ops.extend(identifiers(link, old, new));
    }
    let forwarding = |ip: Option<&Ip>| ip.and_then(|ip| ip.forwarding);
    let wanted = forwarding(family(after, false));
    let present = forwarding(before.filter(|_| !fresh).and_then(|before| family(before, false)));
    if let Some(on) = wanted.filter(|_| wanted != present) {
        ops.push(Op::Forwarding { link: link.clone(), on });
    }
    ops
}

/// How the host part of IPv6 addresses is made.
fn identifiers(link: &str, old: Option<&Ip>, new: Option<&Ip>) -> Vec<Op> {
    let mut ops = Vec::new();
    let mode = |ip: Option<&Ip>| ip.and_then(|ip| ip.addr_gen_mode.clone());
    if let Some(wanted) = mode(new).filter(|wanted| Some(wanted) != mode(old).as_ref())
        && let Some(is) = addr_gen_mode(&wanted)
    {
        ops.push(Op::AddrGenMode { link: link.to_owned(), is });
    }
    let token = |ip: Option<&Ip>| -> Option<Ipv6Addr> {
        let text = ip?.token.as_deref()?;
        if text.is_empty() { Some(Ipv6Addr::UNSPECIFIED) } else { text.parse().ok() }
    };
    let present = token(old).unwrap_or(Ipv6Addr::UNSPECIFIED);
    if let Some(is) = token(new).filter(|wanted| *wanted != present) {
        ops.push(Op::Token { link: link.to_owned(), is });
    }
    ops
}

/// `IN6_ADDR_GEN_MODE_*`, linux/if_link.h; None for what the kernel does not know by itself.
fn addr_gen_mode(mode: &AddrGenMode) -> Option<u8> {
    match mode {
        AddrGenMode::Eui64 => Some(0),
        AddrGenMode::StablePrivacy => Some(2),
        AddrGenMode::Other(number) => number.parse().ok().filter(|mode| *mode <= 3),
    }
}
