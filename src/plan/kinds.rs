//! What cannot be, for one kind of interface (semantics V20 to V62).

use std::collections::{BTreeMap, BTreeSet};

use super::report::Report;
use super::validate::Subject;
use crate::state::{
    Bond, BondMode, BondOptions, Bridge, ErrorKind, Interface, InterfaceType, IpTunnelMode, LinuxBridge, Mac,
    MacVlan, MacVlanMode, OvsBridge, Path, PortVlan, PortVlanMode, XmitHashPolicy,
};

/// Checks the section of the interface's kind.
pub fn check(subject: &Subject<'_>, report: &mut Report) {
    let desired = subject.desired;
    let path = subject.path.key(desired.kind().word());
    match desired.kind() {
        InterfaceType::Bond => bond(subject, report),
        InterfaceType::Hsr => hsr(subject, &path, report),
        InterfaceType::IpTunnel => ip_tunnel(subject, &path, report),
        InterfaceType::Ipvlan => ipvlan(subject, &path, report),
        InterfaceType::LinuxBridge | InterfaceType::OvsBridge => bridge(subject, report),
        InterfaceType::MacVlan => mac_vlan(subject, desired.mac_vlan.as_ref(), &path, report),
        InterfaceType::MacVtap => mac_vlan(subject, desired.mac_vtap.as_ref(), &path, report),
        InterfaceType::Macsec => macsec(subject, &path, report),
        InterfaceType::OvsInterface => ovs_interface(subject, report),
        InterfaceType::Vlan => vlan(subject, &path, report),
        InterfaceType::Vrf => vrf(subject, &path, report),
        InterfaceType::Vxlan => section_of_new(subject, subject.target.vxlan.is_some(), &path, report),
        _ => {}
    }
}

/// A new interface of most kinds is nothing without its section.
fn section_of_new(subject: &Subject<'_>, given: bool, path: &Path, report: &mut Report) {
    if subject.current.is_none() && !given {
        let message = format!("a new interface of type {} needs this section", subject.desired.kind());
        report.invalid(path.clone(), message);
    }
}

/// V20 to V29.
fn bond(subject: &Subject<'_>, report: &mut Report) {
    let path = subject.path.key("link-aggregation");
    let target = subject.target.bond.as_deref();
    if subject.current.is_none() && target.and_then(|bond| bond.mode).is_none() {
        report.invalid(path.key("mode"), "a new bond needs a mode");
    }
    let Some(asked) = subject.desired.bond.as_deref() else { return };
    bond_ports(asked, &path, report);
    let (Some(options), Some(target)) = (&asked.options, target) else { return };
    let path = path.key("options");
    if let (Some(miimon), Some(arp)) = (options.miimon, options.arp_interval)
        && miimon > 0
        && arp > 0
    {
        report.invalid(path.key("arp_interval"), "cannot be on together with `miimon`");
    }
    if options.ad_actor_system.is_some_and(|mac| is_lacp_multicast(&mac)) {
        report.invalid(path.key("ad_actor_system"), "cannot be a multicast address (01:00:5E)");
    }
    bond_mode_options(options, target, &path, report);
}

fn is_lacp_multicast(mac: &Mac) -> bool {
    mac.bytes().starts_with(&[0x01, 0x00, 0x5e])
}

/// Options that only some modes have (V25 to V28).
fn bond_mode_options(asked: &BondOptions, target: &Bond, path: &Path, report: &mut Report) {
    let Some(options) = &target.options else { return };
    let Some(mode) = target.mode else { return };
    if options.balance_slb == Some(true)
        && (mode != BondMode::BalanceXor || options.xmit_hash_policy != Some(XmitHashPolicy::VlanSrcMac))
    {
        let message = "needs mode `balance-xor` and `xmit_hash_policy: vlan+srcmac`";
        report.invalid(path.key("balance_slb"), message);
    }
    for (key, given) in
        [("lacp_rate", asked.lacp_rate.is_some()), ("lacp_active", asked.lacp_active.is_some())]
    {
        if given && mode != BondMode::Lacp {
            report.invalid(path.key(key), format!("is an option of mode 802.3ad, not of {mode}"));
        }
    }
    let interval = options.arp_interval.unwrap_or(0);
    let no_arp = matches!(mode, BondMode::Lacp | BondMode::BalanceTlb | BondMode::BalanceAlb);
    if interval > 0 && no_arp {
        report.invalid(path.key("arp_interval"), format!("mode {mode} cannot watch its links by ARP"));
    }
    let targets = [
        ("arp_ip_target", asked.arp_ip_target.as_ref().is_some_and(|targets| !targets.is_empty())),
        ("ns_ip6_target", asked.ns_ip6_target.as_ref().is_some_and(|targets| !targets.is_empty())),
    ];
    for (key, given) in targets {
        if given && interval == 0 {
            report.invalid(path.key(key), "needs an `arp_interval` above 0");
        }
    }
}

/// V21, V22.
fn bond_ports(asked: &Bond, path: &Path, report: &mut Report) {
    let Some(configs) = &asked.ports_config else { return };
    let path = path.key("ports-config");
    let mut queues: BTreeMap<u16, &str> = BTreeMap::new();
    for (i, port) in configs.iter().enumerate() {
        if let Some(queue) = port.queue_id.filter(|queue| *queue != 0)
            && let Some(other) = queues.insert(queue, &port.name)
        {
            let path = path.index(i).key("queue-id");
            report.invalid(path, format!("queue {queue} is also that of `{other}`"));
        }
    }
    let configured: BTreeSet<&str> = configs.iter().map(|port| port.name.as_str()).collect();
    let listed: Option<BTreeSet<&str>> =
        asked.port.as_ref().map(|ports| ports.iter().map(String::as_str).collect());
    if listed.is_some_and(|listed| listed != configured) {
        report.invalid(path, "must name the same ports as `port`");
    }
}

/// V30 to V36.
fn bridge(subject: &Subject<'_>, report: &mut Report) {
    let path = subject.path.key("bridge");
    if *subject.desired.kind() == InterfaceType::OvsBridge && subject.desired.mac_address.is_some() {
        report.invalid(subject.path.key("mac-address"), "an Open vSwitch bridge has no MAC address");
    }
    match subject.desired.bridge.as_deref() {
        Some(Bridge::Linux(own)) => {
            linux_bridge(own, subject.target, &path, report);
            let vlans = own.port.iter().flatten().map(|port| port.vlan.as_ref());
            port_vlans(vlans, &path, report);
        }
        Some(Bridge::Ovs(own)) => {
            ovs_bonds(own, &path, report);
            port_vlans(own.port.iter().flatten().map(|port| port.vlan.as_ref()), &path, report);
        }
        None => {}
    }
}

fn linux_bridge(asked: &LinuxBridge, target: &Interface, path: &Path, report: &mut Report) {
    let Some(options) = asked.options.as_deref() else { return };
    let path = path.key("options");
    if let (Some(one), Some(other)) = (options.group_forward_mask, options.group_fwd_mask)
        && one != other
    {
        report.invalid(path.key("group-fwd-mask"), "differs from `group-forward-mask`, which means the same");
    }
    let filters = || {
        let ports = target.bridge.as_deref().and_then(Bridge::linux).and_then(|own| own.port.as_ref());
        ports.into_iter().flatten().any(|port| port.vlan.as_ref().is_some_and(|vlan| !vlan.is_default()))
    };
    if options.vlan_default_pvid.is_some_and(|pvid| pvid != 1) && !filters() {
        let message = "needs VLAN filtering, so at least one port with a `vlan`";
        report.invalid(path.key("vlan-default-pvid"), message);
    }
    let Some(stp) = &options.stp else { return };
    let ranges = [
        ("hello-time", stp.hello_time, 1..=10),
        ("max-age", stp.max_age, 6..=40),
        ("forward-delay", stp.forward_delay, 2..=30),
    ];
    for (key, value, range) in ranges {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            let message = format!("{value} is outside {} to {} seconds", range.start(), range.end());
            report.invalid(path.key("stp").key(key), message);
        }
    }
}

fn ovs_bonds(asked: &OvsBridge, path: &Path, report: &mut Report) {
    for (i, port) in asked.port.iter().flatten().enumerate() {
        let members = port.bond.as_ref().and_then(|bond| bond.port.as_ref());
        if members.is_some_and(|members| members.len() < 2) {
            let path = path.key("port").index(i).keys("link-aggregation.port");
            report.invalid(path, "a bond of Open vSwitch needs at least two ports"); // K4
        }
    }
}

/// V34, V35.
fn port_vlans<'a>(vlans: impl Iterator<Item = Option<&'a PortVlan>>, path: &Path, report: &mut Report) {
    for (i, vlan) in vlans.enumerate() {
        let Some(vlan) = vlan.filter(|vlan| !vlan.is_default()) else { continue };
        let path = path.key("port").index(i).key("vlan");
        let tags = vlan.trunk_tags.as_deref().unwrap_or_default();
        let native = vlan.enable_native == Some(true);
        match vlan.mode {
            Some(PortVlanMode::Trunk) => {
                if vlan.tag.unwrap_or(0) != 0 && !native {
                    report.invalid(path.key("tag"), "on a trunk needs `enable-native: true`");
                }
                if tags.is_empty() {
                    report.invalid(path.clone(), "a trunk needs `trunk-tags`");
                }
            }
            Some(PortVlanMode::Access) => {
                if native {
                    report.invalid(path.key("enable-native"), "is for trunks, not for access ports");
                }
                if !tags.is_empty() {
                    report.invalid(path.key("trunk-tags"), "are for trunks, not for access ports");
                }
            }
            None => {}
        }
        let mut sorted = tags.to_vec();
        sorted.sort();
        if let Some(two) = sorted.windows(2).find(|two| two[1].min <= two[0].max) {
            report.invalid(path.key("trunk-tags"), format!("VLAN {} is listed twice", two[1].min));
        }
    }
}

/// V37, V38.
fn ovs_interface(subject: &Subject<'_>, report: &mut Report) {
    let Subject { desired, path, .. } = subject;
    if desired.patch.is_some() {
        let ip = |v6| super::family(Some(desired), v6).is_some_and(crate::state::Ip::is_enabled);
        for (key, given) in [("mtu", desired.mtu.is_some()), ("ipv4", ip(false)), ("ipv6", ip(true))] {
            if given {
                report.invalid(path.key(key), "a patch port has neither MTU nor IP");
            }
        }
    }
    if let Some(dpdk) = &desired.dpdk {
        for (key, value) in [("n_rxq_desc", dpdk.n_rxq_desc), ("n_txq_desc", dpdk.n_txq_desc)] {
            if let Some(value) = value.filter(|n| *n != 0 && (!n.is_power_of_two() || *n > 4096)) {
                let message = format!("{value} is neither 0 nor a power of two up to 4096");
                report.invalid(path.key("dpdk").key(key), message);
            }
        }
    }
}

/// V56.
fn vlan(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    section_of_new(subject, subject.target.vlan.is_some(), path, report);
    if let Some(target) = &subject.target.vlan
        && target.base_iface.as_ref().is_none_or(String::is_empty)
    {
        report.invalid(path.key("base-iface"), "a new VLAN needs its base interface");
    }
    let Some(asked) = subject.desired.vlan.as_deref() else { return };
    if asked.id > 4094 {
        report.invalid(path.key("id"), format!("{} is above 4094", asked.id));
    }
    for (i, entry) in asked.ingress_qos_map.iter().flatten().enumerate() {
        if entry.from > 7 {
            report.invalid(path.key("ingress-qos-map").index(i).key("from"), "is above 7");
        }
    }
    for (i, entry) in asked.egress_qos_map.iter().flatten().enumerate() {
        if entry.to > 7 {
            report.invalid(path.key("egress-qos-map").index(i).key("to"), "is above 7");
        }
    }
}

/// V57.
fn vrf(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    let table = subject.target.vrf.as_ref().and_then(|vrf| vrf.route_table_id).unwrap_or(0);
    if table == 0 && subject.current.is_none() {
        report.invalid(path.key("route-table-id"), "a new VRF needs a table other than 0");
    }
}

/// V58.
fn mac_vlan(subject: &Subject<'_>, asked: Option<&MacVlan>, path: &Path, report: &mut Report) {
    let target = subject.target.mac_vlan.is_some() || subject.target.mac_vtap.is_some();
    section_of_new(subject, target, path, report);
    if let Some(own) = asked
        && own.promiscuous == Some(false)
        && own.mode != MacVlanMode::Passthru
    {
        report.invalid(path.key("promiscuous"), "can only be false in mode `passthru`");
    }
}

/// V59.
fn ipvlan(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    let target = subject.target.ipvlan.as_ref();
    section_of_new(subject, target.is_some(), path, report);
    if subject.current.is_none() && target.is_some_and(|own| own.base_iface.is_none()) {
        report.invalid(path.key("base-iface"), "a new ipvlan needs its base interface");
    }
    if let Some(own) = &subject.desired.ipvlan
        && own.private == Some(true)
        && own.vepa == Some(true)
    {
        report.invalid(path.key("vepa"), "`private` and `vepa` exclude each other");
    }
}

/// V60.
fn macsec(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    section_of_new(subject, subject.target.macsec.is_some(), path, report);
    let Some(own) = subject.desired.macsec.as_deref() else { return };
    let key = subject.target.macsec.as_ref().and_then(|target| target.mka_cak.as_ref());
    match (key, &own.mka_ckn) {
        (Some(_), None) => report.invalid(path.key("mka-cak"), "needs `mka-ckn`, the name of the key"),
        (None, Some(_)) => report.invalid(path.key("mka-ckn"), "needs `mka-cak`, the key of that name"),
        _ => {}
    }
    // The key itself is not repeated.
    if key.is_some_and(|key| key.expose().len() != 32) {
        report.invalid(path.key("mka-cak"), "must have 32 hexadecimal digits");
    }
    if own.mka_ckn.as_ref().is_some_and(|name| name.len() % 2 != 0 || !(2..=64).contains(&name.len())) {
        report.invalid(path.key("mka-ckn"), "must have 2 to 64 hexadecimal digits, an even count");
    }
}

/// V61; the MAC addresses of a PRP are settled with its ports.
fn hsr(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    section_of_new(subject, subject.target.hsr.is_some(), path, report);
    if let Some(own) = &subject.desired.hsr
        && own.protocol == crate::state::HsrProtocol::Prp
        && own.interlink.as_ref().is_some_and(|name| !name.is_empty())
    {
        report.invalid(path.key("interlink"), "PRP has no interlink");
    }
}

/// V62.
fn ip_tunnel(subject: &Subject<'_>, path: &Path, report: &mut Report) {
    let target = subject.target.ip_tunnel.as_deref();
    let mode = target.and_then(|own| own.mode).filter(|mode| *mode != IpTunnelMode::Unknown);
    if subject.current.is_none() && mode.is_none() {
        report.invalid(path.key("mode"), "a new tunnel needs a mode");
    }
    let Some(own) = subject.desired.ip_tunnel.as_deref() else { return };
    if let Some(label) = own.flow_label.filter(|label| *label > 0xf_ffff) {
        report.invalid(path.key("flow-label"), format!("{label:#x} is longer than 20 bits"));
    }
    let v6 = matches!(mode, Some(IpTunnelMode::Ip6ip6 | IpTunnelMode::Ipip6));
    if own.ip6tun_flags.as_ref().is_some_and(|flags| !flags.is_empty()) && mode.is_some() && !v6 {
        let message = "only tunnels over IPv6 have these flags";
        report.problem(ErrorKind::InvalidArgument, path.key("ip6tun-flags"), message);
    }
}
