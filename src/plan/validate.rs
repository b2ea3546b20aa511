//! What cannot be, interface by interface (semantics V1 to V63). Every problem is reported, at
//! its place in the document.

use std::collections::{BTreeMap, BTreeSet};

use super::kinds;
use super::lineage::is_gone;
use super::merge::normal_token;
use super::relations::peer;
use super::report::Report;
use super::{Capabilities, Key, Merged, family};
use crate::state::{ErrorKind, Interface, InterfaceType, Ip, MptcpFlag, Path, VlanProtocol, WaitIp};

/// Smallest MTU that IPv6 works with (RFC 8200, 5).
const IPV6_MTU_MIN: u64 = 1280;

/// One interface under examination.
pub struct Subject<'a> {
    pub desired: &'a Interface,
    pub target: &'a Interface,
    pub current: Option<&'a Interface>,
    pub path: Path,
}

/// Checks every interface that was asked for.
pub fn interfaces(merged: &Merged, capabilities: &Capabilities, report: &mut Report) {
    let peers = veth_peers(merged, capabilities);
    for (key, member) in &merged.members {
        let (Some(desired), false) = (&member.desired, member.ignored) else { continue };
        if key.userspace.is_some() && desired.dispatch.is_some() {
            let path = member.path().key("dispatch");
            report.invalid(path, "only a kernel interface has scripts"); // V5
        }
        if *desired.kind() == InterfaceType::Loopback && !desired.is_absent() {
            loopback(desired, member.current.as_ref(), &member.path(), report);
        }
        if member.target.is_some() && member.current.is_none() {
            existence(key, desired, &member.path(), &peers, report);
        }
        let Some(target) = member.target.as_ref().filter(|_| desired.is_up()) else { continue };
        let path = member.path();
        let subject = Subject { desired, target, current: member.current.as_ref(), path };
        basics(&subject, report);
        for v6 in [false, true] {
            ip(&subject, v6, report);
        }
        wait_ip(&subject, report);
        ethernet(&subject, report);
        kinds::check(&subject, report);
    }
    alternative_names(merged, report);
}

/// V1, V2, V19.
fn basics(subject: &Subject<'_>, report: &mut Report) {
    let Subject { desired, current, path, .. } = subject;
    if let Some(mtu) = desired.mtu.filter(|_| *desired.kind() != InterfaceType::OvsBridge) {
        let path = path.key("mtu");
        let max = current.and_then(|current| current.max_mtu).filter(|max| *max > 0);
        let min = current.and_then(|current| current.min_mtu);
        if u32::try_from(mtu).is_err() {
            report.invalid(path, format!("{mtu} does not fit 32 bits"));
        } else if let (Some(min), Some(max)) = (min, max)
            && !(min..=max).contains(&mtu)
        {
            report.invalid(path, format!("{mtu} is outside what `{}` can do, {min} to {max}", desired.name));
        } else if mtu < IPV6_MTU_MIN && family(Some(desired), true).is_some_and(Ip::is_enabled) {
            let message = format!("{mtu} is too small for IPv6, which needs at least {IPV6_MTU_MIN}");
            report.invalid(path, message);
        }
    }
    if let Some(flags) = desired.mptcp.as_ref().and_then(|mptcp| mptcp.address_flags.as_ref())
        && flags.contains(&MptcpFlag::Signal)
        && flags.contains(&MptcpFlag::Fullmesh)
    {
        report.invalid(path.keys("mptcp.address-flags"), "`signal` and `fullmesh` exclude each other");
    }
}

/// The names that veths give their other ends.
fn veth_peers<'a>(merged: &'a Merged, capabilities: &Capabilities) -> BTreeSet<&'a str> {
    let there = merged.members.values().filter(|member| !is_gone(member, capabilities));
    there.filter_map(|member| member.desired.as_ref().or(member.current.as_ref()).and_then(peer)).collect()
}

/// V50, V52: what can be made, and what has to be there already.
fn existence(key: &Key, desired: &Interface, path: &Path, peers: &BTreeSet<&str>, report: &mut Report) {
    match desired.kind() {
        InterfaceType::Veth if desired.veth.is_none() => {
            report.invalid(path.clone(), "a new veth needs `veth.peer`");
        }
        InterfaceType::Ethernet if desired.veth.is_none() && !peers.contains(key.name.as_str()) => {
            report.invalid(path.clone(), format!("there is no Ethernet interface `{}`", key.name));
        }
        InterfaceType::OvsInterface if desired.controller.as_deref().unwrap_or_default().is_empty() => {
            report.invalid(path.clone(), format!("`{}` needs an Open vSwitch bridge", key.name)); // V11
        }
        InterfaceType::Loopback | InterfaceType::Xfrm | InterfaceType::Tun => {
            report.invalid(
                path.clone(),
                format!("there is no `{}`, and type {} cannot be created", key.name, desired.kind()),
            );
        }
        _ => {}
    }
}

/// V3, V13, V15 to V18.
fn ip(subject: &Subject<'_>, v6: bool, report: &mut Report) {
    let Subject { desired, target, .. } = subject;
    let Some(asked) = family(Some(desired), v6) else { return };
    let path = subject.path.key(if v6 { "ipv6" } else { "ipv4" });
    let bits = if v6 { 128 } else { 32 };
    for (i, address) in asked.addresses().iter().enumerate() {
        let path = path.key("address").index(i);
        if address.ip.is_ipv6() != v6 {
            let family = if v6 { "IPv4 address in `ipv6`" } else { "IPv6 address in `ipv4`" };
            report.invalid(path.key("ip"), format!("{} is an {family}", address.ip));
        } else if address.prefix_length > bits {
            let message = format!("{} is longer than an address, {bits} bits", address.prefix_length);
            report.invalid(path.key("prefix-length"), message);
        }
    }
    let target_ip = family(Some(target), v6);
    let has_no_ip = *target.kind() == InterfaceType::OvsBridge; // the section is dropped (M54)
    if asked.is_enabled() && !target_ip.is_some_and(Ip::is_enabled) && !has_no_ip {
        let message = match target.controller.as_deref().filter(|name| !name.is_empty()) {
            Some(controller) => format!("`{}` is a port of `{controller}`, and can hold no IP", target.name),
            None => format!("`{}` is a port, and can hold no IP", target.name),
        };
        report.invalid(path.key("enabled"), message);
    }
    if !asked.is_enabled() && asked.enabled.is_some() {
        return;
    }
    for (key, metric) in
        [("auto-route-metric", asked.auto_route_metric), ("prefix-route-metric", asked.prefix_route_metric)]
    {
        if let Some(metric) = metric.filter(|metric| !v6 && !(-1..=i64::from(u32::MAX)).contains(metric)) {
            report.invalid(path.key(key), format!("{metric} is outside -1 to {}", u32::MAX));
        }
    }
    if !v6
        && target_ip.is_some_and(Ip::is_auto)
        && let (Some(auto), Some(prefix)) = (asked.auto_route_metric, asked.prefix_route_metric)
        && auto != -1
        && prefix != -1
        && auto != prefix
    {
        let message = "differs from `auto-route-metric`, but both are stored as one";
        report.problem(ErrorKind::NotSupportedError, path.key("prefix-route-metric"), message);
    }
    if v6 {
        token(asked, target_ip, &path, report);
    }
}

/// V17.
fn token(asked: &Ip, target: Option<&Ip>, path: &Path, report: &mut Report) {
    let Some(token) = asked.token.as_deref().filter(|token| !matches!(*token, "" | "::")) else { return };
    let path = path.key("token");
    match token.parse::<std::net::Ipv6Addr>() {
        Err(_) => report.invalid(path, format!("`{token}` is no IPv6 address")),
        Ok(address) if address.segments()[..4] != [0; 4] => {
            report.invalid(path, format!("`{token}`: the upper 64 bits must be zero"));
        }
        Ok(_) if target.and_then(|ip| ip.autoconf) == Some(false) && normal_token(token) != "::" => {
            report.invalid(path, "needs `autoconf: true`");
        }
        Ok(_) => {}
    }
}

/// V14.
fn wait_ip(subject: &Subject<'_>, report: &mut Report) {
    let (Some(wait), Some(_)) = (subject.desired.wait_ip, subject.current) else { return };
    let on = |v6| family(Some(subject.target), v6).is_some_and(Ip::is_enabled);
    let missing = match wait {
        WaitIp::Any => None,
        WaitIp::Ipv4 => (!on(false)).then_some("IPv4"),
        WaitIp::Ipv6 => (!on(true)).then_some("IPv6"),
        WaitIp::Both => {
            [(false, "IPv4"), (true, "IPv6")].into_iter().find(|(v6, _)| !on(*v6)).map(|(_, n)| n)
        }
    };
    if let Some(name) = missing.filter(|_| subject.target.wait_ip.is_some()) {
        report.invalid(subject.path.key("wait-ip"), format!("waits for {name}, which is disabled"));
    }
}

/// V53, V54.
fn ethernet(subject: &Subject<'_>, report: &mut Report) {
    let functions = |interface: &Interface| interface.ethernet.as_ref().and_then(|own| own.sr_iov.clone());
    let Some(asked) = functions(subject.desired) else { return };
    let path = subject.path.keys("ethernet.sr-iov");
    let max = subject.current.and_then(functions).and_then(|now| now.max_vfs);
    if let (Some(total), Some(max)) = (asked.total_vfs, max)
        && total > max
    {
        report.invalid(path.key("total-vfs"), format!("{total} is more than the {max} of the hardware"));
    }
    for (i, function) in asked.vfs.iter().flatten().enumerate() {
        let untagged = function.vlan_id.unwrap_or(0) == 0 && function.qos.unwrap_or(0) == 0;
        if function.vlan_proto == Some(VlanProtocol::Ieee8021Ad) && untagged {
            let path = path.key("vfs").index(i).key("vlan-proto");
            report.invalid(path, "802.1ad needs `vlan-id` or `qos`");
        }
    }
}

/// V63.
fn loopback(desired: &Interface, current: Option<&Interface>, path: &Path, report: &mut Report) {
    if let Some(ipv4) = desired.ipv4.as_deref() {
        if ipv4.enabled == Some(false) {
            report.invalid(path.keys("ipv4.enabled"), "the loopback always has IPv4");
        }
        if ipv4.dhcp == Some(true) {
            report.invalid(path.keys("ipv4.dhcp"), "the loopback has no DHCP");
        }
    }
    if let Some(ipv6) = desired.ipv6.as_deref() {
        if ipv6.is_auto() {
            report.invalid(path.key("ipv6"), "the loopback has no automatic addresses");
        }
        let is_off = family(current, true).is_some_and(|now| now.enabled == Some(false));
        if ipv6.enabled == Some(false) && !is_off {
            report.invalid(path.keys("ipv6.enabled"), "IPv6 of the loopback cannot be turned off");
        }
    }
}

/// V4.
fn alternative_names(merged: &Merged, report: &mut Report) {
    let mut owners: BTreeMap<&str, Vec<&Key>> = BTreeMap::new();
    for (key, member) in &merged.members {
        // What an entry gives up is no longer in its target.
        for name in member.target.iter().filter_map(|target| target.alt_names.as_ref()).flatten() {
            owners.entry(&name.name).or_default().push(key);
        }
    }
    for (key, member) in &merged.members {
        let Some(desired) = member.desired.as_ref().filter(|desired| !desired.is_absent()) else { continue };
        for (i, name) in desired.alt_names.iter().flatten().enumerate() {
            if name.state.is_some() {
                continue;
            }
            let path = member.path().key("alt-names").index(i).key("name");
            let name = name.name.as_str();
            if name == key.name {
                report.invalid(path, format!("`{name}` is the name of the interface itself"));
            } else if merged.kernel(name).is_some_and(|other| other.current.is_some() || other.is_up()) {
                report.invalid(path, format!("`{name}` is the name of another interface"));
            } else if let Some(owner) = owners.get(name).into_iter().flatten().find(|owner| **owner != key) {
                report.invalid(path, format!("`{name}` belongs to `{}`", owner.name));
            }
        }
    }
}
