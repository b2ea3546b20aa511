//! `vlan` (nm-settings-dbus(5)).

use super::Wish;
use super::way::{self, Form, Text, U32, Way, Words};
use crate::nm::{Profile, Setting, Value};
use crate::state::{QosMapping, Vlan, VlanProtocol, VlanRegistration};

/// NMVlanFlags.
const REORDER_HEADERS: u32 = 0x1;
const GVRP: u32 = 0x2;
const LOOSE_BINDING: u32 = 0x4;
const MVRP: u32 = 0x8;

const PROTOCOLS: &[(VlanProtocol, &str)] =
    &[(VlanProtocol::Ieee8021Q, "802.1Q"), (VlanProtocol::Ieee8021Ad, "802.1ad")];

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let section = if wish.is_new { &wish.interface.vlan } else { &wish.said.vlan };
    let Some(section) = section else { return };
    way::write(profile, "vlan", |vlan| {
        keys(Way::Overlay(vlan), &mut section.as_ref().clone());
        // Flags that are absent are none, which is nobody's default.
        let before = if wish.is_new { REORDER_HEADERS } else { flags(vlan) };
        let after = with_flags(before, section);
        if wish.is_new || after != before {
            way::put(vlan, "flags", Some(after));
        }
    });
}

pub(super) fn read(profile: &Profile) -> Option<Vlan> {
    let empty = Vlan {
        base_iface: None,
        id: 0,
        protocol: None,
        registration_protocol: None,
        reorder_headers: None,
        loose_binding: None,
        ingress_qos_map: None,
        egress_qos_map: None,
    };
    let mut vlan = way::read(profile, "vlan", empty, keys)?;
    let flags = flags(profile.0.get("vlan")?);
    vlan.reorder_headers = Some(flags & REORDER_HEADERS != 0);
    vlan.loose_binding = Some(flags & LOOSE_BINDING != 0);
    vlan.registration_protocol = Some(match (flags & GVRP != 0, flags & MVRP != 0) {
        (true, _) => VlanRegistration::Gvrp,
        (false, true) => VlanRegistration::Mvrp,
        (false, false) => VlanRegistration::None,
    });
    Some(vlan)
}

fn keys(mut way: Way<'_>, vlan: &mut Vlan) {
    way.field("parent", Text, &mut vlan.base_iface);
    way.must("id", U32, 0, &mut vlan.id);
    way.field_or("protocol", Words(PROTOCOLS), VlanProtocol::Ieee8021Q, &mut vlan.protocol);
    way.field_or("ingress-priority-map", PriorityMap, Vec::new(), &mut vlan.ingress_qos_map);
    way.field_or("egress-priority-map", PriorityMap, Vec::new(), &mut vlan.egress_qos_map);
}

fn flags(vlan: &Setting) -> u32 {
    vlan.get("flags").and_then(|value| U32.decode(value)).unwrap_or(0)
}

fn with_flags(mut flags: u32, vlan: &Vlan) -> u32 {
    let mut set = |bit: u32, on: Option<bool>| match on {
        Some(true) => flags |= bit,
        Some(false) => flags &= !bit,
        None => {}
    };
    set(REORDER_HEADERS, vlan.reorder_headers);
    set(LOOSE_BINDING, vlan.loose_binding);
    if let Some(protocol) = vlan.registration_protocol {
        set(GVRP, Some(protocol == VlanRegistration::Gvrp));
        set(MVRP, Some(protocol == VlanRegistration::Mvrp));
    }
    flags
}

/// `as` with `from:to`, sorted.
struct PriorityMap;

impl Form<Vec<QosMapping>> for PriorityMap {
    fn encode(&self, map: &Vec<QosMapping>) -> Option<Value> {
        let mut pairs: Vec<(u32, u32)> = map.iter().map(|mapping| (mapping.from, mapping.to)).collect();
        pairs.sort_unstable();
        let texts: Vec<String> = pairs.iter().map(|(from, to)| format!("{from}:{to}")).collect();
        (!texts.is_empty()).then(|| texts.into())
    }

    fn decode(&self, value: &Value) -> Option<Vec<QosMapping>> {
        let mapping = |text: &String| {
            let (from, to) = text.split_once(':')?;
            Some(QosMapping { from: from.parse().ok()?, to: to.parse().ok()? })
        };
        value.as_texts()?.iter().map(mapping).collect()
    }
}
