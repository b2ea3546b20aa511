//! Whether a rollback put everything back.
//!
//! What changes by itself is left out: life times, kernel timers, leased, learned and link-local
//! addresses, negotiated speeds, and the MAC address of a virtual interface, which a backend may
//! draw anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value as Json, json};

use super::compare::Compare;
use super::interface::print;
use super::prepare::prepare;
use super::{Finding, Present, Verdict};
use crate::plan::{Action, FALLBACK_TUNNELS, dns, hostname, is_static, routes, rules, text};
use crate::state::{
    Address, Interface, InterfaceState, InterfaceType, Ip, Native, NativeChange, OvnSettings, OvsSettings,
    Path, State,
};

/// Something that is not as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// The interface, route or rule concerned.
    pub subject: String,
    /// What differs, as `mtu is 1500, was 9000`.
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// Most differences that are listed; the last one counts the rest.
pub const DIFFERENCES_MAX: usize = 200;

/// Everything in `after` that is not as in `before`.
pub fn same(before: &State, after: &State) -> Vec<Difference> {
    let mut differences = Vec::new();
    interfaces(before, after, &mut differences);
    let presence = |action: Action| match action {
        Action::Add => "is gone",
        Action::Modify | Action::Remove => "was not there before",
    };
    for change in routes::restore(after, before) {
        differences.push(difference(text::route(&change.route), presence(change.action)));
    }
    for change in rules::restore(after, before) {
        differences.push(difference(text::rule(&change.rule), presence(change.action)));
    }
    if let Some(change) = dns::restore(after, before) {
        let (is, was) = (json!(change.before), json!(change.after));
        differences
            .push(difference("resolver", &format!("is {}, was {}", text::value(&is), text::value(&was))));
    }
    if let Some(change) = hostname::restore(after, before) {
        let names = [
            ("running", change.before_running, change.running),
            ("config", change.before_config, change.config),
        ];
        for (key, is, was) in names.into_iter().filter(|(_, _, was)| was.is_some()) {
            let (is, was) = (is.unwrap_or_default(), was.unwrap_or_default());
            differences.push(difference("host name", &format!("{key} is {is}, was {was}")));
        }
    }
    ovs(before, after, &mut differences);
    for NativeChange { path, .. } in Native::changes(before.network.as_ref(), after.network.as_ref()) {
        differences.push(difference("netplan's files", &format!("network.{path} is not as it was")));
    }
    let more = differences.len().saturating_sub(DIFFERENCES_MAX);
    if more > 0 {
        differences.truncate(DIFFERENCES_MAX);
        differences.push(difference("and", &format!("{more} more differences")));
    }
    differences
}

fn difference(subject: impl Into<String>, text: &str) -> Difference {
    Difference { subject: subject.into(), text: text.to_owned() }
}

/// By name, and by type where the name alone does not tell (semantics A3).
fn by_key(state: &State) -> BTreeMap<(&str, Option<&InterfaceType>), &Interface> {
    let key = |interface: &'_ Interface| interface.kind().is_userspace();
    let entry = |i| -> ((&str, Option<&InterfaceType>), &Interface) {
        let interface: &Interface = i;
        ((interface.name.as_str(), key(interface).then(|| interface.kind())), interface)
    };
    state.interfaces().iter().map(entry).collect()
}

fn interfaces(before: &State, after: &State, differences: &mut Vec<Difference>) {
    let (was, is) = (by_key(before), by_key(after));
    let (present_before, present_after) = (Present::of(before), Present::of(after));
    for (key, old) in was.iter().filter(|(_, old)| !old.is_ignored()) {
        match is.get(key) {
            None => differences.push(difference(&old.name, &format!("the {} is gone", old.kind()))),
            Some(new) => interface(old, new, &present_before, &present_after, differences),
        }
    }
    for (key, new) in is.iter().filter(|(_, new)| !new.is_ignored()) {
        if !was.contains_key(key) && !FALLBACK_TUNNELS.contains(&new.name.as_str()) {
            let text = format!("the {} was not there before", new.kind());
            differences.push(difference(&new.name, &text));
        }
    }
}

fn interface(
    old: &Interface,
    new: &Interface,
    present_before: &Present<'_>,
    present_after: &Present<'_>,
    differences: &mut Vec<Difference>,
) {
    if old.kind() != new.kind() {
        let text = format!("is of type {}, was {}", new.kind(), old.kind());
        differences.push(difference(&old.name, &text));
        return;
    }
    let (mut lost, mut gained) = (Vec::new(), Vec::new());
    part(old, new, present_after, &mut lost);
    part(new, old, present_before, &mut gained);
    // What changed is found both ways.
    gained.retain(|finding| !lost.iter().any(|other| other.path == finding.path));
    let lost = lost.iter().map(|finding| of_finding(finding, |was, is| format!("is {is}, was {was}")));
    let gained = gained.iter().map(|finding| of_finding(finding, |is, was| format!("is {is}, was {was}")));
    differences.extend(lost.chain(gained));
    for (family, old_ip, new_ip) in [
        ("ipv4", old.ipv4.as_deref(), new.ipv4.as_deref()),
        ("ipv6", old.ipv6.as_deref(), new.ipv6.as_deref()),
    ] {
        addresses(family, old_ip, new_ip, new, differences);
    }
    let names = |interface: &Interface| -> BTreeSet<String> {
        interface.alt_names.iter().flatten().map(|name| name.name.clone()).collect()
    };
    for name in names(old).symmetric_difference(&names(new)) {
        let text = match names(old).contains(name) {
            true => format!("the alternative name {name} is gone"),
            false => format!("the alternative name {name} was not there before"),
        };
        differences.push(difference(&old.name, &text));
    }
    if old.state() != new.state() && [old.state(), new.state()].iter().any(|s| *s != InterfaceState::Unknown)
    {
        let text = format!("state is {}, was {}", new.state(), old.state());
        differences.push(difference(&old.name, &text));
    }
}

/// `phrase` puts the value that was looked for and the one found into words.
fn of_finding(finding: &Finding, phrase: fn(String, String) -> String) -> Difference {
    let text = match &finding.verdict {
        Verdict::Mismatch { wanted, found } => {
            let found = found.as_ref().map_or("not set".to_owned(), text::value);
            format!("{} {}", finding.path, phrase(text::value(wanted), found))
        }
        Verdict::Existence(text) | Verdict::Pending(text) => text.clone(),
    };
    difference(&finding.subject, &text)
}

/// What of `one` is not in `other`.
fn part(one: &Interface, other: &Interface, present: &Present<'_>, findings: &mut Vec<Finding>) {
    let (mut own, mut theirs) = (steady(one), steady(other));
    prepare(&mut own, &mut theirs, present);
    let mut compare = Compare { subject: &one.name, limit_ms: 0, origin: Path::root(), findings };
    compare.value("", &mut Path::root(), &print(&own), Some(&print(&theirs)));
    compare.secrets(one, other);
}

/// The interface without what changes by itself.
fn steady(interface: &Interface) -> Interface {
    let mut steady = interface.clone();
    if steady.kind().is_virtual() {
        steady.mac_address = None;
    }
    if let Some(ethernet) = steady.ethernet.as_deref_mut() {
        (ethernet.speed, ethernet.duplex) = (None, None);
    }
    for ip in [&mut steady.ipv4, &mut steady.ipv6].into_iter().flatten() {
        // The kernel alone knows DHCP and autoconf only by the addresses they brought.
        if ip.addresses().iter().any(Address::is_dynamic) || !ip.is_enabled() {
            (ip.dhcp, ip.autoconf) = (None, None);
        }
    }
    steady
}

fn addresses(
    family: &str,
    old: Option<&Ip>,
    new: Option<&Ip>,
    interface: &Interface,
    differences: &mut Vec<Difference>,
) {
    let ours = |ip: Option<&Ip>| -> BTreeSet<String> {
        let addresses = ip.map(Ip::addresses).unwrap_or_default();
        addresses
            .iter()
            .filter(|address| is_static(address))
            .map(|a| format!("{}/{}", a.ip, a.prefix_length))
            .collect()
    };
    let (was, is) = (ours(old), ours(new));
    for address in was.difference(&is) {
        differences.push(difference(&interface.name, &format!("the address {address} is gone")));
    }
    for address in is.difference(&was) {
        differences.push(difference(&interface.name, &format!("the address {address} was not there before")));
    }
    let enabled = |ip: Option<&Ip>| ip.is_some_and(Ip::is_enabled);
    let was_on = enabled(old);
    // IPv4 is on as long as it has an address, and those have their own lines above.
    if was_on != enabled(new) && family == "ipv6" {
        let word = |on: bool| if on { "on" } else { "off" };
        let text = format!("{family} is {}, was {}", word(enabled(new)), word(was_on));
        differences.push(difference(&interface.name, &text));
    }
}

fn ovs(before: &State, after: &State, differences: &mut Vec<Difference>) {
    let settings = |state: &State| -> Json {
        let of = |settings: &OvsSettings| {
            json!({
                "external_ids": settings.external_ids.clone().unwrap_or_default(),
                "other_config": settings.other_config.clone().unwrap_or_default(),
            })
        };
        state.ovs_db.as_ref().map_or_else(|| json!({"external_ids": {}, "other_config": {}}), of)
    };
    let mappings = |state: &State| -> Json {
        let of = |ovn: &OvnSettings| json!(ovn.bridge_mappings.clone().unwrap_or_default());
        state.ovn.as_ref().map_or_else(|| json!([]), of)
    };
    for (subject, was, is) in [
        ("Open vSwitch", settings(before), settings(after)),
        ("OVN mappings", mappings(before), mappings(after)),
    ] {
        if was != is {
            let text = format!("is {}, was {}", text::value(&is), text::value(&was));
            differences.push(difference(subject, &text));
        }
    }
}
