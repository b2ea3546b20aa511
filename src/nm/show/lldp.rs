//! Neighbours heard by LLDP, as lists of TLVs (IEEE 802.1AB; `LldpNeighbors` of a device).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::{Value as Json, json};

use crate::nm::Value;
use crate::state::{Anything, Mac};

type Neighbor = BTreeMap<String, Value>;

/// By bit.
const CAPABILITIES: [&str; 11] = [
    "Other",
    "Repeater",
    "MAC Bridge component",
    "802.11 Access Point (AP)",
    "Router",
    "Telephone",
    "DOCSIS cable device",
    "Station Only",
    "C-VLAN component",
    "S-VLAN component",
    "Two-port MAC Relay component",
];

/// By number, in the peer's spelling.
const CHASSIS_IDS: [&str; 8] = [
    "Reserved",
    "Chasis compontent",
    "Interface alias",
    "Port component",
    "MAC address",
    "Network address",
    "Interface name",
    "Locally assigned",
];

const PORT_IDS: [&str; 8] = [
    "Reserved",
    "Interface alias",
    "Port component",
    "MAC address",
    "Network address",
    "Interface name",
    "Agent circuit ID",
    "Locally assigned",
];

/// Type of TLVs that organisations define, and two of those.
const ORGANIZATION: u8 = 127;
const IEEE_802_1: &str = "00:80:c2";
const IEEE_802_3: &str = "00:12:0f";

pub(super) fn neighbors(heard: &[Neighbor]) -> Vec<Anything> {
    heard.iter().map(|neighbor| Anything(Json::Array(tlvs(neighbor)))).collect()
}

/// What is not there is left out.
fn tlvs(neighbor: &Neighbor) -> Vec<Json> {
    let text = |key: &str| neighbor.get(key)?.as_text();
    let list = |key: &str| neighbor.get(key)?.as_dicts();
    let tlvs = [
        text("system-name").map(|name| json!({"type": 5, "system-name": name})),
        text("system-description").map(|text| json!({"type": 6, "system-description": text})),
        number(neighbor, "system-capabilities").map(|bits| {
            let set = CAPABILITIES.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            json!({"type": 7, "system-capabilities": set.map(|(_, name)| *name).collect::<Vec<_>>()})
        }),
        text("chassis-id").map(|id| {
            let (kind, description) = named(neighbor, "chassis-id-type", &CHASSIS_IDS);
            json!({"type": 1, "chassis-id": id, "chassis-id-type": kind, "_description": description})
        }),
        text("port-id").map(|id| {
            let (kind, description) = named(neighbor, "port-id-type", &PORT_IDS);
            json!({"type": 2, "port-id": id, "port-id-type": kind, "_description": description})
        }),
        list("ieee-802-1-vlans").map(|vlans| {
            let vlan = |vlan: &Neighbor| {
                let name = vlan.get("name").and_then(Value::as_text).unwrap_or_default();
                json!({"name": name, "vid": number(vlan, "vid").unwrap_or(0)})
            };
            let vlans: Vec<Json> = vlans.iter().map(vlan).collect();
            organization("ieee-802-1-vlans", json!(vlans), IEEE_802_1, 3)
        }),
        neighbor.get("ieee-802-3-mac-phy-conf").and_then(dict).map(|conf| {
            let of = |key: &str| number(conf, key).unwrap_or(0);
            let conf = json!({
                "autoneg": of("autoneg") > 0,
                "operational-mau-type": of("operational-mau-type"),
                "pmd-autoneg-cap": of("pmd-autoneg-cap"),
            });
            organization("ieee-802-3-mac-phy-conf", conf, IEEE_802_3, 1)
        }),
        list("ieee-802-1-ppvids").map(|ids| {
            let ids: Vec<u32> = ids.iter().filter_map(|id| number(id, "ppvid")).collect();
            organization("ieee-802-1-ppvids", json!(ids), IEEE_802_1, 2)
        }),
        list("management-addresses").map(|addresses| {
            let addresses: Vec<Json> = addresses.iter().filter_map(management_address).collect();
            json!({"type": 8, "management-addresses": addresses})
        }),
        number(neighbor, "ieee-802-3-max-frame-size")
            .map(|size| organization("ieee-802-3-max-frame-size", json!(size), IEEE_802_3, 4)),
    ];
    tlvs.into_iter().flatten().collect()
}

fn organization(key: &str, value: Json, oui: &str, subtype: u8) -> Json {
    json!({"type": ORGANIZATION, key: value, "oui": oui, "subtype": subtype})
}

/// Number and name of a kind of identifier; unknown ones are reserved.
fn named(neighbor: &Neighbor, key: &str, names: &[&'static str]) -> (usize, &'static str) {
    let kind = number(neighbor, key).and_then(|kind| usize::try_from(kind).ok());
    let kind = kind.filter(|kind| *kind < names.len()).unwrap_or(0);
    (kind, names[kind])
}

/// Address families are IANA's: 1 IPv4, 2 IPv6, 6 MAC. Others are left out.
fn management_address(entry: &Neighbor) -> Option<Json> {
    let bytes = entry.get("address")?.as_bytes()?;
    let (family, address) = match number(entry, "address-subtype")? {
        1 => ("IPv4", Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
        2 => ("IPv6", Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        6 => ("MAC", Mac::new(bytes)?.to_string()),
        _ => return None,
    };
    Some(json!({
        "address": address,
        "address-subtype": family,
        "interface-number": number(entry, "interface-number").unwrap_or(0),
        "interface-number-subtype": number(entry, "interface-number-subtype").unwrap_or(0),
    }))
}

fn dict(value: &Value) -> Option<&Neighbor> {
    match value {
        Value::Dict(dict) => Some(dict),
        _ => None,
    }
}

fn number(entry: &Neighbor, key: &str) -> Option<u32> {
    u32::try_from(entry.get(key)?.as_number()?).ok()
}
