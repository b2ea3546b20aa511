//! `bond` and `bond-port` (nm-settings-dbus(5); options as in Documentation/networking/bonding.rst).

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Wish;
use super::way::{self, I32, U32, Way};
use crate::nm::{Profile, Value};
use crate::state::{Bond, BondMode, BondOptions, BondPort, Node, Part, Reader};

type Options = BTreeMap<String, String>;

/// The document's word where NetworkManager has another, or only the number.
const SPELLINGS: [(&str, &str, &str); 2] =
    [("all_slaves_active", "dropped", "0"), ("all_slaves_active", "delivered", "1")];

/// NetworkManager's own option, which it does with the firewall, is spelt in its own way.
const BALANCE_SLB: [&str; 2] = ["balance_slb", "balance-slb"];

use BondMode::{ActiveBackup, BalanceAlb, BalanceRr, BalanceTlb, BalanceXor, Broadcast, Lacp};

/// Options that only some modes take. NetworkManager refuses them in the others, as the kernel
/// does (the option table of drivers/net/bonding/bond_options.c).
const ONLY_IN: [(&[&str], &[BondMode]); 6] = [
    (&["packets_per_slave"], &[BalanceRr]),
    (
        &[
            "arp_interval",
            "arp_ip_target",
            "arp_validate",
            "arp_all_targets",
            "arp_missed_max",
            "ns_ip6_target",
        ],
        &[BalanceRr, ActiveBackup, BalanceXor, Broadcast],
    ),
    (&["lacp_rate", "lacp_active", "ad_actor_sys_prio", "ad_actor_system", "ad_user_port_key"], &[Lacp]),
    (&["primary", "primary_reselect"], &[ActiveBackup, BalanceTlb, BalanceAlb]),
    (&["tlb_dynamic_lb"], &[BalanceTlb, BalanceAlb]),
    (&["balance-slb"], &[BalanceXor]),
];

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let section = if wish.is_new { &wish.interface.bond } else { &wish.said.bond };
    let Some(section) = section else { return };
    let stored = profile.get("bond", "options").and_then(Value::as_map).cloned().unwrap_or_default();
    let options = overlay(&stored, section);
    if options != stored {
        profile.set("bond", "options", options);
    }
}

/// The options as they shall be stored (semantics M40 to M46).
fn overlay(stored: &Options, section: &Bond) -> Options {
    let stored_mode = stored.get("mode").and_then(|mode| BondMode::from_word(mode));
    let mode = section.mode.or(stored_mode).unwrap_or(BalanceRr);
    let asked = section.options.as_ref().map(texts);
    let is_reset = asked.as_ref().is_some_and(BTreeMap::is_empty);
    let mut options = stored.clone();
    if is_reset || stored_mode.is_some_and(|stored| stored != mode) {
        options.clear();
    }
    if stored_mode != Some(mode) || is_reset {
        options.insert("mode".to_owned(), mode.word().to_owned());
    }
    for (name, value) in asked.unwrap_or_default() {
        let is_default_of_new = name == "arp_missed_max" && value == "2" && !options.contains_key(&name);
        if value.is_empty() || is_default_of_new {
            options.remove(&name);
        } else {
            options.insert(name, value);
        }
    }
    let is_zero = |options: &Options, name: &str| options.get(name).is_none_or(|value| value == "0");
    if is_zero(&options, "arp_interval") {
        options.retain(|name, _| !matches!(name.as_str(), "arp_ip_target" | "ns_ip6_target"));
    }
    // Delays are multiples of the monitoring interval.
    if is_zero(&options, "miimon") && options.contains_key("miimon") {
        options.retain(|name, _| !matches!(name.as_str(), "updelay" | "downdelay"));
    }
    options.retain(|name, _| {
        let modes = ONLY_IN.iter().find(|(names, _)| names.contains(&name.as_str()));
        modes.is_none_or(|(_, modes)| modes.contains(&mode))
    });
    options
}

/// The options that a document gives, as NetworkManager spells them.
fn texts(options: &BondOptions) -> Options {
    let Json::Object(options) = json!(options) else { return Options::new() };
    let text = |name: &str, value: &Json| match value {
        Json::Bool(on) => u8::from(*on).to_string(),
        Json::String(word) => {
            let spelling = SPELLINGS.iter().find(|(option, own, _)| *option == name && own == word);
            spelling.map_or(word.as_str(), |(_, _, theirs)| theirs).to_owned()
        }
        Json::Array(items) => items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    };
    options
        .iter()
        .map(|(name, value)| {
            let [own, theirs] = BALANCE_SLB;
            (if name == own { theirs } else { name }.to_owned(), text(name, value))
        })
        .collect()
}

/// The bond of a profile; its ports are known from theirs.
pub(super) fn read(profile: &Profile) -> Option<Bond> {
    let stored = profile.get("bond", "options").and_then(Value::as_map)?;
    let mode = stored.get("mode").and_then(|mode| BondMode::from_word(mode));
    let known =
        |name: &str| BondOptions::INFO.fields.iter().find(|field| field.names().any(|own| own == name));
    let mut options = serde_json::Map::new();
    for (name, value) in stored {
        if let Some(field) = known(name) {
            let value = match field.key {
                "ns_ip6_target" => value.split(',').filter(|text| !text.is_empty()).collect(),
                _ => json!(value),
            };
            options.insert(field.key.to_owned(), value);
        }
    }
    // What NetworkManager spells in a way that the document does not know is not shown.
    let options = BondOptions::read(&Node::from_json(&Json::Object(options)), &mut Reader::new());
    Some(Bond {
        mode,
        options: options.filter(|options| !texts(options).is_empty()),
        port: None,
        ports_config: None,
    })
}

/// The profile of a port gets what its bond says of it.
pub(super) fn write_port(profile: &mut Profile, name: &str, bond: &Bond) {
    let config = bond.ports_config.iter().flatten().find(|port| port.name == name);
    if let Some(config) = config {
        way::write(profile, "bond-port", |setting| port(Way::Overlay(setting), &mut config.clone()));
    }
}

/// What the profile of a port says of it.
pub(super) fn read_port(profile: &Profile, name: &str) -> Option<BondPort> {
    let config = BondPort { name: name.to_owned(), priority: None, queue_id: None };
    way::read(profile, "bond-port", config, port)
}

fn port(mut way: Way<'_>, config: &mut BondPort) {
    way.field_or("prio", I32, 0, &mut config.priority);
    way.field_or("queue-id", U32, 0, &mut config.queue_id);
}
