//! `bridge` and `bridge-port` (nm-settings-dbus(5)).

use super::way::{self, Bool, Form, MacBytes, U32, U64, Way, Words};
use super::{Wish, nothing};
use crate::nm::{Profile, Setting, Value};
use crate::state::{
    Bridge, LinuxBridge, LinuxBridgeOptions, LinuxBridgePort, MulticastRouter, PortVlan, PortVlanMode,
    TrunkTag, VlanProtocol,
};

const PROTOCOLS: &[(VlanProtocol, &str)] =
    &[(VlanProtocol::Ieee8021Q, "802.1Q"), (VlanProtocol::Ieee8021Ad, "802.1ad")];
const ROUTERS: &[(MulticastRouter, &str)] = &[
    (MulticastRouter::Auto, "auto"),
    (MulticastRouter::Disabled, "disabled"),
    (MulticastRouter::Enabled, "enabled"),
];

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let section = if wish.is_new { wish.interface } else { wish.said };
    let bridge = section.bridge.as_deref().and_then(Bridge::linux);
    if bridge.is_none() && !wish.is_new {
        return;
    }
    let mut given: LinuxBridgeOptions =
        bridge.and_then(|bridge| bridge.options.as_deref()).cloned().unwrap_or_else(nothing);
    given.group_fwd_mask = given.group_fwd_mask.or(given.group_forward_mask);
    if wish.is_new {
        // Absent would be on, which neither the kernel nor a document without it means.
        given.stp.get_or_insert_with(nothing).enabled.get_or_insert(false);
    }
    let ports = bridge.and_then(|bridge| bridge.port.as_deref());
    // Ports filter VLANs as soon as one has some of its own (M51).
    let has_vlans = |port: &LinuxBridgePort| port.vlan.as_ref().is_some_and(|vlan| !vlan.is_default());
    let mut is_filtering = ports.map(|ports| ports.iter().any(has_vlans));
    way::write(profile, "bridge", |setting| {
        options(Way::Overlay(setting), &mut given);
        Way::Overlay(setting).field_or("vlan-filtering", Bool, false, &mut is_filtering);
    });
}

/// The bridge of a profile; its ports are known from theirs.
pub(super) fn read(profile: &Profile) -> Option<Bridge> {
    let mut given = way::read(profile, "bridge", nothing(), options)?;
    given.group_forward_mask = given.group_fwd_mask;
    Some(Bridge::Linux(LinuxBridge { allow_extra_ports: None, options: Some(Box::new(given)), port: None }))
}

/// Seconds and centiseconds are the same in both. The timers of the kernel have no property.
fn options(mut way: Way<'_>, given: &mut LinuxBridgeOptions) {
    way.field("group-address", MacBytes, &mut given.group_addr);
    way.field_or("group-forward-mask", U32, 0, &mut given.group_fwd_mask);
    way.field_or("multicast-hash-max", U32, 4096, &mut given.hash_max);
    way.field_or("ageing-time", U32, 300, &mut given.mac_ageing_time);
    way.field_or("multicast-last-member-count", U32, 2, &mut given.multicast_last_member_count);
    way.field_or("multicast-last-member-interval", U64, 100, &mut given.multicast_last_member_interval);
    way.field_or("multicast-membership-interval", U64, 26_000, &mut given.multicast_membership_interval);
    way.field_or("multicast-querier", Bool, false, &mut given.multicast_querier);
    way.field_or("multicast-querier-interval", U64, 25_500, &mut given.multicast_querier_interval);
    way.field_or("multicast-query-interval", U64, 12_500, &mut given.multicast_query_interval);
    way.field_or(
        "multicast-query-response-interval",
        U64,
        1_000,
        &mut given.multicast_query_response_interval,
    );
    way.field_or("multicast-query-use-ifaddr", Bool, false, &mut given.multicast_query_use_ifaddr);
    way.field("multicast-router", Words(ROUTERS), &mut given.multicast_router);
    way.field_or("multicast-snooping", Bool, true, &mut given.multicast_snooping);
    way.field_or("multicast-startup-query-count", U32, 2, &mut given.multicast_startup_query_count);
    way.field_or("multicast-startup-query-interval", U64, 3_125, &mut given.multicast_startup_query_interval);
    way.field("vlan-protocol", Words(PROTOCOLS), &mut given.vlan_protocol);
    way.field_or("vlan-default-pvid", U32, 1, &mut given.vlan_default_pvid);
    if matches!(way, Way::Read(_)) {
        given.stp = Some(nothing());
    }
    if let Some(stp) = &mut given.stp {
        way.field_or("stp", Bool, true, &mut stp.enabled);
        way.field_or("forward-delay", U32, 15, &mut stp.forward_delay);
        way.field_or("hello-time", U32, 2, &mut stp.hello_time);
        way.field_or("max-age", U32, 20, &mut stp.max_age);
        way.field_or("priority", U32, 32_768, &mut stp.priority);
    }
}

/// The profile of a port gets what its bridge says of it.
pub(super) fn write_port(profile: &mut Profile, name: &str, bridge: &LinuxBridge) {
    let config = bridge.port.iter().flatten().find(|port| port.name == name);
    if let Some(config) = config {
        way::write(profile, "bridge-port", |setting| port(Way::Overlay(setting), &mut config.clone()));
    }
}

/// What the profile of a port says of it.
pub(super) fn read_port(profile: &Profile, name: &str) -> Option<LinuxBridgePort> {
    let config = LinuxBridgePort {
        name: name.to_owned(),
        stp_hairpin_mode: None,
        stp_path_cost: None,
        stp_priority: None,
        vlan: None,
    };
    way::read(profile, "bridge-port", config, port)
}

fn port(mut way: Way<'_>, config: &mut LinuxBridgePort) {
    way.field_or("hairpin-mode", Bool, false, &mut config.stp_hairpin_mode);
    way.field_or("path-cost", U32, 100, &mut config.stp_path_cost);
    way.field_or("priority", U32, 32, &mut config.stp_priority);
    way.field_or("vlans", Vlans, PortVlan::empty(), &mut config.vlan);
}

/// `vlans` of a port: `aa{sv}` with `vid-start`, `vid-end`, `pvid` and `untagged`.
///
/// What a port has besides, the default of its bridge, is not in this list.
struct Vlans;

impl Form<PortVlan> for Vlans {
    fn encode(&self, vlan: &PortVlan) -> Option<Value> {
        let own =
            vlan.tag.filter(|_| vlan.mode == Some(PortVlanMode::Access) || vlan.enable_native == Some(true));
        let trunk = vlan.trunk_tags.iter().flatten().filter(|_| vlan.mode != Some(PortVlanMode::Access));
        let mut entries: Vec<(TrunkTag, bool)> = trunk.map(|tag| (*tag, false)).collect();
        entries.extend(own.map(|tag| (TrunkTag { min: tag, max: tag }, true)));
        entries.sort();
        let entry = |(tag, is_own): (TrunkTag, bool)| {
            let mut entry = Setting::new();
            entry.insert("vid-start".to_owned(), tag.min.into());
            entry.insert("vid-end".to_owned(), tag.max.into());
            if is_own {
                entry.insert("pvid".to_owned(), true.into());
                entry.insert("untagged".to_owned(), true.into());
            }
            entry
        };
        (!entries.is_empty()).then(|| entries.into_iter().map(entry).collect::<Vec<_>>().into())
    }

    fn decode(&self, value: &Value) -> Option<PortVlan> {
        let entries = value.as_dicts()?;
        let number = |entry: &Setting, key| u16::try_from(entry.get(key)?.as_number()?).ok();
        let is_own = |entry: &Setting| entry.get("pvid").and_then(Value::as_bool) == Some(true);
        let tag = entries.iter().find(|entry| is_own(entry)).and_then(|entry| number(entry, "vid-start"));
        let mut trunk: Vec<TrunkTag> = entries
            .iter()
            .filter(|entry| !is_own(entry))
            .filter_map(|entry| {
                Some(TrunkTag { min: number(entry, "vid-start")?, max: number(entry, "vid-end")? })
            })
            .collect();
        trunk.sort();
        Some(match (trunk.is_empty(), tag) {
            (true, None) => PortVlan::empty(),
            (true, Some(_)) => PortVlan { mode: Some(PortVlanMode::Access), tag, ..PortVlan::empty() },
            (false, _) => PortVlan {
                enable_native: tag.map(|_| true),
                mode: Some(PortVlanMode::Trunk),
                tag,
                trunk_tags: Some(trunk),
            },
        })
    }
}
