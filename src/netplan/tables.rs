//! The rows of every type (netplan's YAML reference; properties of profiles: nm-settings-keyfile(5)).

use super::row::{Form, Row, row};
use crate::state::InterfaceType;

/// Whose keys say what an interface is, whatever its type.
const COMMON: &[Row] = &[
    row("profile-name").network_manager("networkmanager.name").only_asked(),
    row("mac-address").key("macaddress").only_asked(),
    row("mtu").key("mtu").only_asked(),
    row("lldp.enabled").pass("connection.lldp").words(ONE_ZERO).default("false"),
    row("accept-all-mac-addresses").default("false"),
];

/// Only hardware has them.
const FEATURES: &[Row] = &[
    row("ethtool.feature.rx-checksum").key("receive-checksum-offload").only_asked(),
    row("ethtool.feature.tx-tcp-segmentation").key("tcp-segmentation-offload").only_asked(),
    row("ethtool.feature.tx-tcp6-segmentation").key("tcp6-segmentation-offload").only_asked(),
    row("ethtool.feature.tx-generic-segmentation").key("generic-segmentation-offload").only_asked(),
    row("ethtool.feature.rx-gro").key("generic-receive-offload").only_asked(),
    row("ethtool.feature.rx-lro").key("large-receive-offload").only_asked(),
];

const ONE_ZERO: &[(&str, &str)] = &[("true", "1"), ("false", "0")];

const ETHERNET: &[Row] = &[
    row("ethernet.auto-negotiation").pass("ethernet.auto-negotiate").only_asked(),
    row("ethernet.speed").pass("ethernet.speed").only_asked(),
    row("ethernet.duplex").pass("ethernet.duplex").only_asked(),
    row("ethernet.sr-iov.total-vfs").key("virtual-function-count").zero_is_unset().only_asked(),
];

const VETH: &[Row] = &[
    row("veth.peer").key("peer"),
    row("ethernet.auto-negotiation").pass("ethernet.auto-negotiate").only_asked(),
    row("ethernet.speed").pass("ethernet.speed").only_asked(),
    row("ethernet.duplex").pass("ethernet.duplex").only_asked(),
];

const BOND: &[Row] = &[
    row("link-aggregation.mode").key("parameters.mode").words(BOND_MODES),
    row("link-aggregation.options.miimon").key("parameters.mii-monitor-interval").default("0"),
    row("link-aggregation.options.updelay").key("parameters.up-delay").default("0"),
    row("link-aggregation.options.downdelay").key("parameters.down-delay").default("0"),
    row("link-aggregation.options.arp_interval").key("parameters.arp-interval").default("0"),
    row("link-aggregation.options.arp_ip_target")
        .key("parameters.arp-ip-targets")
        .form(Form::Commas)
        .default(""),
    row("link-aggregation.options.arp_validate")
        .key("parameters.arp-validate")
        .words(&[("none", "none"), ("active", "active"), ("backup", "backup"), ("all", "all")])
        .default("none"),
    row("link-aggregation.options.arp_all_targets").key("parameters.arp-all-targets").default("any"),
    row("link-aggregation.options.lacp_rate").key("parameters.lacp-rate").default("slow"),
    row("link-aggregation.options.xmit_hash_policy").key("parameters.transmit-hash-policy").default("layer2"),
    row("link-aggregation.options.ad_select").key("parameters.ad-select").default("stable"),
    row("link-aggregation.options.min_links").key("parameters.min-links").default("0"),
    row("link-aggregation.options.all_slaves_active")
        .key("parameters.all-members-active")
        .words(&[("dropped", "false"), ("delivered", "true")])
        .default("dropped"),
    row("link-aggregation.options.fail_over_mac").key("parameters.fail-over-mac-policy").default("none"),
    row("link-aggregation.options.primary").key("parameters.primary").default(""),
    row("link-aggregation.options.primary_reselect")
        .key("parameters.primary-reselect-policy")
        .default("always"),
    // One number for both.
    row("link-aggregation.options.num_grat_arp")
        .key("parameters.gratuitous-arp")
        .default("1")
        .zero_is_unset(),
    row("link-aggregation.options.num_unsol_na")
        .key("parameters.gratuitous-arp")
        .default("1")
        .zero_is_unset(),
    row("link-aggregation.options.resend_igmp").key("parameters.resend-igmp").default("1").zero_is_unset(),
    row("link-aggregation.options.packets_per_slave")
        .key("parameters.packets-per-member")
        .default("1")
        .zero_is_unset(),
    row("link-aggregation.options.lp_interval")
        .key("parameters.learn-packet-interval")
        .default("1")
        .zero_is_unset(),
    row("link-aggregation.options.ad_actor_system").pass("bond.ad_actor_system").default("00:00:00:00:00:00"),
    row("link-aggregation.options.ad_actor_sys_prio").pass("bond.ad_actor_sys_prio").default("65535"),
    row("link-aggregation.options.ad_user_port_key").pass("bond.ad_user_port_key").default("0"),
    row("link-aggregation.options.tlb_dynamic_lb")
        .pass("bond.tlb_dynamic_lb")
        .words(ONE_ZERO)
        .default("true"),
    row("link-aggregation.options.use_carrier").pass("bond.use_carrier").words(ONE_ZERO).default("true"),
    row("link-aggregation.options.arp_missed_max").pass("bond.arp_missed_max").default("2"),
    row("link-aggregation.options.lacp_active")
        .pass("bond.lacp_active")
        .words(&[("true", "on"), ("false", "off")])
        .default("true"),
    row("link-aggregation.options.balance_slb").pass("bond.balance-slb").words(ONE_ZERO).default("false"),
    row("link-aggregation.options.ns_ip6_target").pass("bond.ns_ip6_target").form(Form::Joined).default(""),
];

/// Not `unknown`, and none that would make it a bond of Open vSwitch.
const BOND_MODES: &[(&str, &str)] = &[
    ("balance-rr", "balance-rr"),
    ("active-backup", "active-backup"),
    ("balance-xor", "balance-xor"),
    ("broadcast", "broadcast"),
    ("802.3ad", "802.3ad"),
    ("balance-tlb", "balance-tlb"),
    ("balance-alb", "balance-alb"),
];

const BRIDGE: &[Row] = &[
    // Always: with any other parameter netplan's default is on, without networkd's off.
    row("bridge.options.stp.enabled").key("parameters.stp"),
    row("bridge.options.stp.forward-delay").key("parameters.forward-delay").default("15"),
    row("bridge.options.stp.hello-time").key("parameters.hello-time").default("2"),
    row("bridge.options.stp.max-age").key("parameters.max-age").default("20"),
    row("bridge.options.stp.priority").key("parameters.priority").default("32768").zero_is_unset(),
    row("bridge.options.mac-ageing-time").key("parameters.ageing-time").default("300"),
    row("bridge.options.group-addr").pass("bridge.group-address").default("01:80:C2:00:00:00"),
    row("bridge.options.group-forward-mask").pass("bridge.group-forward-mask").default("0"),
    row("bridge.options.group-fwd-mask").pass("bridge.group-forward-mask").default("0"),
    row("bridge.options.hash-max").pass("bridge.multicast-hash-max").default("4096"),
    row("bridge.options.multicast-last-member-count").pass("bridge.multicast-last-member-count").default("2"),
    row("bridge.options.multicast-last-member-interval")
        .pass("bridge.multicast-last-member-interval")
        .default("100"),
    row("bridge.options.multicast-membership-interval")
        .pass("bridge.multicast-membership-interval")
        .default("26000"),
    row("bridge.options.multicast-querier").pass("bridge.multicast-querier").default("false"),
    row("bridge.options.multicast-querier-interval")
        .pass("bridge.multicast-querier-interval")
        .default("25500"),
    row("bridge.options.multicast-query-interval").pass("bridge.multicast-query-interval").default("12500"),
    row("bridge.options.multicast-query-response-interval")
        .pass("bridge.multicast-query-response-interval")
        .default("1000"),
    row("bridge.options.multicast-query-use-ifaddr")
        .pass("bridge.multicast-query-use-ifaddr")
        .default("false"),
    row("bridge.options.multicast-router").pass("bridge.multicast-router").default("auto"),
    row("bridge.options.multicast-snooping").pass("bridge.multicast-snooping").default("true"),
    row("bridge.options.multicast-startup-query-count")
        .pass("bridge.multicast-startup-query-count")
        .default("2"),
    row("bridge.options.multicast-startup-query-interval")
        .pass("bridge.multicast-startup-query-interval")
        .default("3125"),
    row("bridge.options.vlan-protocol")
        .pass("bridge.vlan-protocol")
        .words(&[("802.1q", "802.1Q"), ("802.1ad", "802.1ad")])
        .default("802.1q"),
    row("bridge.options.vlan-default-pvid").pass("bridge.vlan-default-pvid").default("1"),
];

const VLAN: &[Row] = &[
    row("vlan.id").key("id"),
    row("vlan.base-iface").key("link"),
    row("vlan.protocol").default("802.1q"),
    row("vlan.registration-protocol").default("none"),
    row("vlan.reorder-headers").default("true"),
    row("vlan.loose-binding").default("false"),
    row("vlan.ingress-qos-map").default(""),
    row("vlan.egress-qos-map").default(""),
];

const VXLAN: &[Row] = &[
    row("vxlan.id").key("id"),
    row("vxlan.base-iface").key("link").default(""),
    row("vxlan.local").key("local"),
    row("vxlan.remote").key("remote"),
    row("vxlan.destination-port").key("port"),
    row("vxlan.learning").key("mac-learning"),
];

const IP_TUNNEL: &[Row] = &[
    row("ip-tunnel.mode").key("mode").words(&[
        ("ipip", "ipip"),
        ("sit", "sit"),
        ("ip6ip6", "ip6ip6"),
        ("ipip6", "ipip6"),
    ]),
    row("ip-tunnel.local").key("local"),
    row("ip-tunnel.remote").key("remote"),
    row("ip-tunnel.ttl").key("ttl").default("0").zero_is_unset(),
    row("ip-tunnel.tos").default("0"),
    row("ip-tunnel.flow-label").default("0"),
    row("ip-tunnel.pmtu-disc").default("true"),
    row("ip-tunnel.fwmark").default("0"),
];

const VRF: &[Row] = &[row("vrf.route-table-id").key("table")];

/// Of a bridge of Open vSwitch, not of its internal interface. netplan has no fail mode that is empty.
const OVS_BRIDGE: &[Row] = &[
    row("bridge.options.fail-mode")
        .key("openvswitch.fail-mode")
        .words(&[("standalone", "standalone"), ("secure", "secure")]),
    row("bridge.options.rstp").key("openvswitch.rstp").default("false"),
    row("bridge.options.mcast-snooping-enable").key("openvswitch.mcast-snooping").default("false"),
    row("bridge.options.stp.enabled").default("false"),
    row("bridge.options.datapath").default(""),
];

const INFINIBAND: &[Row] = &[
    row("infiniband.mode").key("infiniband-mode"),
    // The interface itself, and not a child of it.
    row("infiniband.pkey").default("0xffff"),
    row("infiniband.base-iface").default(""),
];

const MAC_VLAN_MODES: &[(&str, &str)] =
    &[("vepa", "1"), ("bridge", "2"), ("private", "3"), ("passthru", "4"), ("source", "5")];

/// What netplan has no type for goes to NetworkManager as it stands.
const MAC_VLAN: &[Row] = &[
    row("mac-vlan.base-iface").pass("macvlan.parent"),
    row("mac-vlan.mode").pass("macvlan.mode").words(MAC_VLAN_MODES),
    row("mac-vlan.promiscuous").pass("macvlan.promiscuous").default("true"),
];

const MAC_VTAP: &[Row] = &[
    row("mac-vtap.base-iface").pass("macvlan.parent"),
    row("mac-vtap.mode").pass("macvlan.mode").words(MAC_VLAN_MODES),
    row("mac-vtap.promiscuous").pass("macvlan.promiscuous").default("true"),
];

const IPVLAN: &[Row] = &[
    row("ipvlan.base-iface").pass("ipvlan.parent"),
    row("ipvlan.mode").pass("ipvlan.mode").words(&[("l2", "1"), ("l3", "2"), ("l3s", "3")]),
    row("ipvlan.private").pass("ipvlan.private").default("false"),
    row("ipvlan.vepa").pass("ipvlan.vepa").default("false"),
];

const HSR: &[Row] = &[
    row("hsr.port1").pass("hsr.port1"),
    row("hsr.port2").pass("hsr.port2"),
    row("hsr.multicast-spec").pass("hsr.multicast-spec"),
    // Other protocols need newer versions of NetworkManager, and nothing here knows of which it is.
    row("hsr.protocol").pass("hsr.prp").words(&[("prp", "true"), ("hsr", "false")]),
];

/// What is taken from DHCP and router advertisements. A default is never written.
pub(super) const AUTOMATIC: &[Row] = &[
    row("ipv4.auto-dns").networkd("dhcp4-overrides.use-dns").default("true"),
    row("ipv4.auto-routes").networkd("dhcp4-overrides.use-routes").default("true"),
    row("ipv4.auto-route-metric").networkd("dhcp4-overrides.route-metric").default("-1"),
    row("ipv4.dhcp-send-hostname").networkd("dhcp4-overrides.send-hostname").default("true"),
    row("ipv4.dhcp-custom-hostname").networkd("dhcp4-overrides.hostname").default(""),
    row("ipv4.dhcp-client-id").networkd("dhcp-identifier").words(&[("ll", "mac"), ("iaid+duid", "duid")]),
    row("ipv4.auto-route-table-id").default("254"),
    row("ipv4.auto-gateway").default("true"),
    row("ipv6.auto-dns").networkd("dhcp6-overrides.use-dns").default("true"),
    row("ipv6.auto-route-metric").networkd("dhcp6-overrides.route-metric").default("-1"),
    row("ipv6.dhcp-send-hostname").networkd("dhcp6-overrides.send-hostname").default("true"),
    row("ipv6.dhcp-custom-hostname").networkd("dhcp6-overrides.hostname").default(""),
    // Routes come with router advertisements, from which networkd's part of netplan takes them always.
    row("ipv6.auto-routes").default("true"),
    row("ipv6.auto-gateway").default("true"),
    row("ipv6.auto-route-table-id").networkd("ra-overrides.table").default("254").since(1, 1),
    row("ipv6.dhcp-duid"),
    row("ipv6.token").key("ipv6-address-token").default("::"),
];

/// The same as NetworkManager has it.
pub(super) const AUTOMATIC_PASSED: &[Row] = &[
    row("ipv4.auto-dns").pass("ipv4.ignore-auto-dns").form(Form::Not).default("true"),
    row("ipv4.auto-routes").pass("ipv4.ignore-auto-routes").form(Form::Not).default("true"),
    row("ipv4.auto-gateway").pass("ipv4.never-default").form(Form::Not).default("true"),
    row("ipv4.auto-route-metric").pass("ipv4.route-metric").default("-1"),
    row("ipv4.auto-route-table-id").pass("ipv4.route-table").default("254"),
    row("ipv4.dhcp-client-id")
        .pass("ipv4.dhcp-client-id")
        .form(Form::OpenWords(&[("ll", "mac"), ("iaid+duid", "duid")])),
    row("ipv4.dhcp-send-hostname").pass("ipv4.dhcp-send-hostname").default("true"),
    row("ipv4.dhcp-custom-hostname").pass("ipv4.dhcp-hostname").default(""),
    row("ipv6.auto-dns").pass("ipv6.ignore-auto-dns").form(Form::Not).default("true"),
    row("ipv6.auto-routes").pass("ipv6.ignore-auto-routes").form(Form::Not).default("true"),
    row("ipv6.auto-gateway").pass("ipv6.never-default").form(Form::Not).default("true"),
    row("ipv6.auto-route-metric").pass("ipv6.route-metric").default("-1"),
    row("ipv6.auto-route-table-id").pass("ipv6.route-table").default("254"),
    // NetworkManager makes no identifier of an enterprise, and none of a UUID that we could name.
    row("ipv6.dhcp-duid").pass("ipv6.dhcp-duid").form(Form::OpenWords(&[("en", ""), ("uuid", "")])),
    row("ipv6.dhcp-send-hostname").pass("ipv6.dhcp-send-hostname").default("true"),
    row("ipv6.dhcp-custom-hostname").pass("ipv6.dhcp-hostname").default(""),
    row("ipv6.token").pass("ipv6.token").default("::"),
];

/// The rows of a type, apart from IP.
pub(super) fn rows(kind: &InterfaceType) -> impl Iterator<Item = &'static Row> + use<> {
    let own = match kind {
        InterfaceType::Ethernet => ETHERNET,
        InterfaceType::Veth => VETH,
        InterfaceType::Bond => BOND,
        InterfaceType::LinuxBridge => BRIDGE,
        InterfaceType::Vlan => VLAN,
        InterfaceType::Vxlan => VXLAN,
        InterfaceType::IpTunnel => IP_TUNNEL,
        InterfaceType::Vrf => VRF,
        InterfaceType::OvsBridge => OVS_BRIDGE,
        InterfaceType::Infiniband => INFINIBAND,
        InterfaceType::MacVlan => MAC_VLAN,
        InterfaceType::MacVtap => MAC_VTAP,
        InterfaceType::Ipvlan => IPVLAN,
        InterfaceType::Hsr => HSR,
        _ => &[],
    };
    let features = if *kind == InterfaceType::Ethernet { FEATURES } else { &[] };
    COMMON.iter().chain(features).chain(own)
}
