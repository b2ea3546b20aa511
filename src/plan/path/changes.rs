//! Which changes of a plan touch a path.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Client;
use super::network::{Hop, Leg, Network, Path, addresses, concerns};
use crate::plan::{Action, Change, InterfaceChange, Plan, Reason, text};
use crate::state::{Interface, Net, Segment};

/// Keys whose change no connection feels. All others count.
const HARMLESS: [&str; 13] = [
    "alt-names",
    "description",
    "dispatch",
    "driver",
    "identifier",
    "lldp",
    "max-mtu",
    "min-mtu",
    "mptcp",
    "pci-address",
    "permanent-mac-address",
    "profile-name",
    "wait-ip",
];
/// The same of `ipv4` and `ipv6`. Addresses are looked at one by one.
const HARMLESS_IP: [&str; 6] = [
    "address",
    "allow-extra-address",
    "auto-dns",
    "dhcp-custom-hostname",
    "dhcp-send-hostname",
    "forwarding",
];

/// What happens to a path, in the order of the plan.
pub fn reasons(
    plan: &Plan,
    now: &Network<'_>,
    path: &Path<'_>,
    then: &Network<'_>,
    client: &Client,
) -> Vec<String> {
    let path_then = then.path(client);
    let legs_then = path_then.as_ref().map(|path| path.legs.as_slice()).unwrap_or_default();
    let mut reasons = Vec::new();
    for change in &plan.changes {
        match change {
            Change::Interface(change) if path.rests_on.contains(change.name.as_str()) => {
                reasons.extend(interface(change, now, &path.legs));
            }
            // One that goes with its interface needs no line of its own.
            Change::Route(change) if !matches!(change.reason, Reason::InterfaceGone(_)) => {
                let is_used = |leg: &Leg<'_>| leg.hops.iter().any(|hop| hop.route == Some(&change.route));
                let what = text::route(&change.route);
                match change.action {
                    Action::Remove if path.legs.iter().any(is_used) => reasons.push(format!("{what} goes")),
                    Action::Add if legs_then.iter().any(is_used) => reasons.push(format!("{what} comes")),
                    Action::Add | Action::Modify | Action::Remove => {}
                }
            }
            Change::Rule(change) => {
                let is_under = |leg: &Leg<'_>| concerns(&change.rule, leg.ends.far, leg.ends.near);
                if path.legs.iter().any(is_under) {
                    let verb = if change.action == Action::Remove { "goes" } else { "comes" };
                    reasons.push(format!("{} {verb}", text::rule(&change.rule)));
                }
            }
            Change::Interface(_)
            | Change::Route(_)
            | Change::Dns(_)
            | Change::Hostname(_)
            | Change::Network(_)
            | Change::OvsDb(_)
            | Change::Ovn(_) => {}
        }
    }
    if reasons.is_empty() {
        reasons.extend(path.legs.iter().filter_map(|leg| elsewhere(leg, legs_then)));
    }
    reasons
}

/// What no single change shows: an address that brings a better route along, say.
fn elsewhere(leg: &Leg<'_>, then: &[Leg<'_>]) -> Option<String> {
    let way = |leg: &Leg<'_>| {
        leg.hops
            .iter()
            .map(|Hop { interface, gateway, .. }| (interface.to_string(), *gateway))
            .collect::<Vec<_>>()
    };
    let leg_then = then.iter().find(|other| other.ends == leg.ends);
    let new = leg_then.map(way).unwrap_or_default();
    if new == way(leg) {
        return None;
    }
    let far = leg.ends.far;
    Some(match new.first() {
        None => format!("there is no way to {far} any more"),
        Some((interface, gateway)) => {
            let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
            format!("the way to {far} leads through {}{via}", text::name(interface))
        }
    })
}

/// What happens to an interface of the path.
fn interface(change: &InterfaceChange, now: &Network<'_>, legs: &[Leg<'_>]) -> Vec<String> {
    let name = text::name(&change.name);
    let is_down = change.after.as_ref().is_none_or(|after| !after.is_up());
    let all = match change.action {
        Action::Remove => Some("it is removed"),
        _ if change.rebuild => Some("it is made again"),
        _ if is_down => Some("it goes down"),
        _ => None,
    };
    if let Some(all) = all {
        return vec![format!("{name}: {all}")];
    }
    let legs: Vec<&Leg<'_>> = legs.iter().filter(|leg| leg.ends_at(&change.name)).collect();
    let mut reasons = Vec::new();
    if let (Some(before), Some(after)) = (now.interface(&change.name), &change.after) {
        for leg in &legs {
            let gone = lost(before, after, leg);
            reasons.extend(gone.map(|net| format!("{name}: its address {net} goes")));
        }
    }
    let keys: BTreeSet<String> =
        change.fields.iter().filter_map(|field| counted(field.path.segments(), &legs)).collect();
    reasons.extend(keys.iter().map(|key| format!("{name}: its {key} changes")));
    reasons
}

/// The addresses that a leg needs and loses: our own, and those that make the next hop a neighbour.
fn lost<'a>(
    before: &'a Interface,
    after: &'a Interface,
    leg: &'a Leg<'_>,
) -> impl Iterator<Item = String> + 'a {
    let v6 = leg.ends.far.is_ipv6();
    let is_needed = move |ip: IpAddr, prefix: u8| match leg.ends.near {
        Some(near) if near == ip => true,
        near => {
            let net = Net::new(ip, prefix);
            let mut next = leg.hops.iter().map(|hop| hop.gateway.unwrap_or(leg.ends.far));
            near.is_none() || next.any(|next| net.is_some_and(|net| net.contains(next)))
        }
    };
    let stays = move |ip, prefix| addresses(after, v6).any(|own| (own.ip, own.prefix_length) == (ip, prefix));
    addresses(before, v6)
        .filter(move |own| is_needed(own.ip, own.prefix_length) && !stays(own.ip, own.prefix_length))
        .map(|own| format!("{}/{}", own.ip, own.prefix_length))
}

/// The key that a person knows, if its change counts. Addressing counts only where a leg ends, and
/// only that of its family.
fn counted(path: &[Segment], legs: &[&Leg<'_>]) -> Option<String> {
    let key = |index: usize| match path.get(index) {
        Some(Segment::Key(key)) => Some(key.as_str()),
        _ => None,
    };
    let section = key(0)?;
    match section {
        "ipv4" | "ipv6" => {
            let is_v6 = section == "ipv6";
            let key = key(1)?;
            let counts =
                legs.iter().any(|leg| leg.ends.far.is_ipv6() == is_v6) && !HARMLESS_IP.contains(&key);
            counts.then(|| format!("{section}.{key}"))
        }
        section => (!HARMLESS.contains(&section)).then(|| section.to_owned()),
    }
}
