//! What it takes to bring a device from one profile to another: nothing, a reapply, which keeps the
//! link and touches only what differs, a new activation, or an end and a new start. Pure.
//!
//! NetworkManager refuses a reapply as a whole if one difference is not allowed, so this is decided
//! here, from the differences (NMDevice's `can_reapply_change` and those of its types; tried with
//! NetworkManager 1.42, 1.52 and 1.58).

use std::collections::{BTreeMap, BTreeSet};

use crate::nm::image::Version;
use crate::nm::{Profile, Setting, Value};

/// From gentle to rough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    #[default]
    Nothing,
    /// `Device.Reapply`
    Reapply,
    /// `ActivateConnection`: addresses go and come back, the link stays.
    Activate,
    /// `DeactivateConnection` first: a virtual link goes and comes back.
    Restart,
}

/// Properties of `connection` that say nothing about the device.
const SILENT: [&str; 7] =
    ["id", "uuid", "autoconnect", "autoconnect-priority", "autoconnect-retries", "permissions", "read-only"];

/// Settings that `GetAppliedConnection` does not show, or not with their secrets.
const NOT_APPLIED: [&str; 10] = [
    "802-1x",
    "macsec",
    "vpn",
    "ovs-bridge",
    "ovs-port",
    "ovs-interface",
    "ovs-patch",
    "ovs-dpdk",
    "ovs-external-ids",
    "ovs-other-config",
];

/// Options of a bond that change in place.
const BOND: [&str; 20] = [
    "active_slave",
    "all_slaves_active",
    "arp_all_targets",
    "arp_interval",
    "arp_ip_target",
    "arp_missed_max",
    "arp_validate",
    "ad_actor_sys_prio",
    "ad_actor_system",
    "downdelay",
    "lp_interval",
    "miimon",
    "min_links",
    "packets_per_slave",
    "primary",
    "primary_reselect",
    "resend_igmp",
    "updelay",
    "use_carrier",
    "xmit_hash_policy",
];

/// What a device runs with, as far as that can be known: what is applied, and for the settings that
/// are not shown there, what is stored.
pub(super) fn running(applied: &Profile, stored: &Profile) -> Profile {
    let mut running = applied.clone();
    for setting in NOT_APPLIED {
        match stored.0.get(setting) {
            Some(contents) => running.0.insert(setting.to_owned(), contents.clone()),
            None => running.0.remove(setting),
        };
    }
    running
}

/// Whether storing one instead of the other would change nothing.
pub(super) fn is_same(a: &Profile, b: &Profile) -> bool {
    differences(a, b, is_other_form).is_empty()
}

/// What leads from a device that runs with `old` to one that runs with `new`.
pub(super) fn way(old: &Profile, new: &Profile, version: &Version) -> Way {
    let kind = new.kind().unwrap_or_default();
    let differing = differences(old, new, |setting, property| {
        is_other_form(setting, property) || (setting == "connection" && SILENT.contains(&property))
    });
    let ways = differing.into_iter().map(|(setting, property)| {
        // All properties of a setting count as changed when it is new.
        let is_new = !old.has(setting);
        match setting {
            "bond" if property == "options" => bond(old, new),
            "802-3-ethernet" | "bridge-port" | "sriov" if is_new => Way::Activate,
            // An activation that is reapplied stays as ready as it was: nobody could wait for the lease.
            "ipv4" | "ipv6" if is_waited_for(setting, property, new) => Way::Activate,
            _ => one(kind, setting, property, version),
        }
    });
    ways.max().unwrap_or_default()
}

/// What a change of one property takes.
fn one(kind: &str, setting: &str, property: &str, version: &Version) -> Way {
    let since = |minor| if version.at_least(1, minor) { Way::Reapply } else { Way::Activate };
    match (setting, property) {
        ("ipv4" | "ipv6", "route-table") => Way::Restart,
        ("ipv4" | "ipv6" | "user" | "link" | "proxy" | "bridge" | "loopback", _) => Way::Reapply,
        ("connection", "mptcp-flags") => Way::Restart,
        // What is stored counts.
        ("connection", "autoconnect-slaves") => Way::Nothing,
        ("connection", "lldp" | "zone" | "metered" | "wait-activation-delay" | "mdns" | "llmnr") => {
            Way::Reapply
        }
        ("802-3-ethernet", "mtu")
            if matches!(kind, "802-3-ethernet" | "veth" | "vlan" | "bridge" | "bond") =>
        {
            Way::Reapply
        }
        (
            "802-3-ethernet",
            "speed" | "duplex" | "auto-negotiate" | "wake-on-lan" | "wake-on-lan-password",
        ) if kind == "802-3-ethernet" => Way::Reapply,
        ("bridge-port", "vlans") => since(58),
        ("bond-port", "queue-id") => Way::Restart,
        ("sriov", "vfs") => since(56),
        ("ovs-external-ids" | "ovs-other-config", _) if !kind.starts_with("ovs-") => Way::Activate,
        ("ovs-bridge", "datapath-type") => Way::Activate,
        ("ovs-bridge" | "ovs-port" | "ovs-external-ids" | "ovs-other-config", _) => since(54),
        ("vlan", "id" | "protocol" | "parent") => Way::Restart,
        ("vxlan", "id" | "parent" | "local" | "remote" | "destination-port") => Way::Restart,
        ("macvlan" | "macsec" | "infiniband", "parent" | "tap" | "port" | "p-key") => Way::Restart,
        ("vrf" | "hsr" | "ip-tunnel" | "ipvlan" | "veth" | "vpn", _) => Way::Restart,
        _ => Way::Activate,
    }
}

/// Whether that is where the addresses come from that an activation has to have.
fn is_waited_for(family: &str, property: &str, new: &Profile) -> bool {
    matches!(property, "method" | "may-fail")
        && new.get(family, "may-fail").and_then(Value::as_bool) == Some(false)
        && new.text(family, "method").is_some_and(|method| matches!(method, "auto" | "dhcp"))
}

fn bond(old: &Profile, new: &Profile) -> Way {
    let options = |profile: &Profile| {
        let options = profile.get("bond", "options").and_then(Value::as_map);
        options.cloned().unwrap_or_default()
    };
    let (old, new): (BTreeMap<String, String>, _) = (options(old), options(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let is_gentle = |name: &String| BOND.contains(&name.as_str());
    let differing: Vec<&String> = names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect();
    match differing.is_empty() {
        true => Way::Nothing,
        false if differing.into_iter().all(is_gentle) => Way::Reapply,
        false => Way::Activate,
    }
}

/// Older forms of what other properties say, and what NetworkManager notes for itself.
fn is_other_form(setting: &str, property: &str) -> bool {
    matches!(
        (setting, property),
        ("ipv4" | "ipv6", "addresses" | "address-labels" | "routes" | "dns")
            | ("bridge" | "bond" | "vlan", "interface-name")
            | ("802-3-ethernet", "assigned-mac-address")
            | ("connection", "timestamp")
    )
}

static EMPTY: Setting = Setting::new();

/// Setting and property of all that differs.
fn differences<'p>(
    old: &'p Profile,
    new: &'p Profile,
    is_silent: impl Fn(&str, &str) -> bool,
) -> BTreeSet<(&'p str, &'p str)> {
    // Ports of switches have no IP: NetworkManager drops these settings, whoever sends them.
    let is_bare = matches!(new.text("connection", "slave-type"), Some("bond" | "bridge" | "ovs-port"))
        && old.text("connection", "slave-type") == new.text("connection", "slave-type");
    let settings: BTreeSet<&String> = old.0.keys().chain(new.0.keys()).collect();
    let mut found = BTreeSet::new();
    for setting in settings {
        if is_bare && matches!(setting.as_str(), "ipv4" | "ipv6" | "proxy") {
            continue;
        }
        let (before, after) = (old.0.get(setting).unwrap_or(&EMPTY), new.0.get(setting).unwrap_or(&EMPTY));
        for property in before.keys().chain(after.keys()) {
            if !is_silent(setting, property) && before.get(property) != after.get(property) {
                found.insert((setting.as_str(), property.as_str()));
            }
        }
    }
    found
}
