//! Drift: what is not as it was asked for, field by field.
//!
//! The plan that leads from the network as it is to what is committed is the whole of it: what
//! needs no change (leases, learned addresses, counters, interfaces of others) is no drift.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::text::{self, address_of, identity, value};
use super::{Action, Change, InterfaceChange, Plan, Reason, ValueChange};
use crate::state::{DnsSettings, Interface, InterfaceState, NativeChange};

/// One field that is not as it was asked for. Secrets are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// What it belongs to, as `interface eth0`.
    pub subject: String,
    /// Its place in the document, elements of lists by name: `interfaces[eth0].ipv4.address[192.0.2.1]`.
    pub path: String,
    /// What was asked for, on one line; None: that it is not there.
    pub expected: Option<String>,
    /// What is there instead.
    pub found: Option<String>,
}

/// Every field that the plan, made from what is committed, would change.
pub fn drift(plan: &Plan) -> Vec<Drift> {
    let mut all = Vec::new();
    // The added routes that wait for the one which has taken their place, and the other way round.
    let mut halves: BTreeMap<(String, bool), Vec<usize>> = BTreeMap::new();
    for change in &plan.changes {
        match change {
            Change::Interface(change) => interface(change, &mut all),
            Change::Route(change) if is_own(&change.reason) => {
                let destination = change.route.destination.map(|net| net.to_string()).unwrap_or_default();
                let is_asked = change.action != Action::Remove;
                let line = Some(text::route(&change.route));
                let other = halves.get_mut(&(destination.clone(), !is_asked)).and_then(Vec::pop);
                match (other, is_asked) {
                    (Some(other), true) => all[other].expected = line,
                    (Some(other), false) => all[other].found = line,
                    (None, _) => {
                        halves.entry((destination.clone(), is_asked)).or_default().push(all.len());
                        let subject = format!("route {destination}");
                        all.push(entry(subject, format!("routes.config[{destination}]"), is_asked, line));
                    }
                }
            }
            Change::Rule(change) if is_own(&change.reason) => {
                let line = text::rule(&change.rule);
                let is_asked = change.action != Action::Remove;
                all.push(entry(line.clone(), "route-rules.config".into(), is_asked, Some(line)));
            }
            // They go and come back with an interface that is made again, which is told.
            Change::Route(_) | Change::Rule(_) => {}
            Change::OvsDb(change) => {
                let columns =
                    [("external_ids", &change.external_ids), ("other_config", &change.other_config)];
                for (column, keys) in columns {
                    values("Open vSwitch", &format!("ovs-db.{column}"), keys, &mut all);
                }
            }
            Change::Network(change) => {
                for NativeChange { path, before, after } in &change.fields {
                    let path = format!("network.{path}");
                    let (expected, found) = (after.as_ref().map(value), before.as_ref().map(value));
                    all.push(Drift { subject: "netplan".into(), path, expected, found });
                }
            }
            Change::Ovn(change) => values("OVN", "ovn.bridge-mappings", &change.bridges, &mut all),
            Change::Dns(change) => dns(&change.before, &change.after, &mut all),
            Change::Hostname(change) => {
                let names = [
                    ("running", &change.running, &change.before_running),
                    ("config", &change.config, &change.before_config),
                ];
                for (key, expected, found) in names.into_iter().filter(|(_, expected, _)| expected.is_some())
                {
                    let word = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
                    all.push(Drift {
                        subject: "hostname".into(),
                        path: format!("hostname.{key}"),
                        expected: word(expected).map(|name| value(&name.into())),
                        found: word(found).map(|name| value(&name.into())),
                    });
                }
            }
        }
    }
    all
}

/// Whether a route or a rule differs by itself.
fn is_own(reason: &Reason) -> bool {
    matches!(reason, Reason::Desired | Reason::Replaced)
}

/// An entry that was asked for and is not there, or is there and was not asked for.
fn entry(subject: String, path: String, is_asked: bool, line: Option<String>) -> Drift {
    let (expected, found) = if is_asked { (line, None) } else { (None, line) };
    Drift { subject, path, expected, found }
}

/// Values with names, as `ovs-db.external_ids[system-id]`.
fn values(subject: &str, place: &str, changes: &BTreeMap<String, ValueChange>, all: &mut Vec<Drift>) {
    for (key, change) in changes {
        let word = |text: &Option<String>| text.clone().map(|text| value(&text.into()));
        all.push(Drift {
            subject: subject.into(),
            path: format!("{place}[{}]", text::name(key)),
            expected: word(&change.after),
            found: word(&change.before),
        });
    }
}

fn interface(change: &InterfaceChange, all: &mut Vec<Drift>) {
    let name = value(&Json::from(change.name.as_str()));
    let mut fields = Fields { subject: format!("interface {name}"), all };
    let place = format!("interfaces[{name}]");
    let state = |interface: &Option<Interface>| {
        let state = interface.as_ref().map_or(InterfaceState::Absent, Interface::state);
        Some(state.to_string())
    };
    match change.action {
        Action::Add | Action::Remove => {
            fields.push(format!("{place}.state"), state(&change.after), state(&change.before));
        }
        Action::Modify => {
            for field in &change.fields {
                let path = field.path.to_string();
                let (expected, found) = (field.after.as_ref(), field.before.as_ref());
                if is_unknown_without_carrier(&path, found) {
                    continue;
                }
                let path = format!("{place}.{path}");
                if expected == found {
                    // Two secrets, both masked.
                    fields.push(path, expected.map(value), found.map(value));
                } else {
                    fields.compare(path, expected, found);
                }
            }
        }
    }
}

/// Speed and duplex are not reported while a link has no carrier (`SPEED_UNKNOWN`,
/// `DUPLEX_UNKNOWN` of linux/ethtool.h): nobody has changed them then.
fn is_unknown_without_carrier(path: &str, found: Option<&Json>) -> bool {
    found.is_none() && matches!(path, "ethernet.speed" | "ethernet.duplex")
}

fn dns(found: &DnsSettings, expected: &DnsSettings, all: &mut Vec<Drift>) {
    let lists = [
        ("server", &expected.server, &found.server),
        ("search", &expected.search, &found.search),
        ("options", &expected.options, &found.options),
    ];
    let mut fields = Fields { subject: "dns".into(), all };
    for (key, expected, found) in lists {
        let json = |list: &Option<Vec<String>>| Json::from(list.clone().unwrap_or_default());
        fields.compare(format!("dns-resolver.config.{key}"), Some(&json(expected)), Some(&json(found)));
    }
}

/// The fields of one subject.
struct Fields<'a> {
    subject: String,
    all: &'a mut Vec<Drift>,
}

impl Fields<'_> {
    fn push(&mut self, path: String, expected: Option<String>, found: Option<String>) {
        self.all.push(Drift { subject: self.subject.clone(), path, expected, found });
    }

    /// Mappings key by key, lists element by element where the elements have names.
    fn compare(&mut self, path: String, expected: Option<&Json>, found: Option<&Json>) {
        if expected == found {
            return;
        }
        let address = |json: Option<&Json>| json.and_then(address_of);
        match (expected, found) {
            (Some(Json::Object(asked)), Some(Json::Object(is)))
                if address(expected).is_none() && address(found).is_none() =>
            {
                let others = is.keys().filter(|key| !asked.contains_key(*key));
                for key in asked.keys().chain(others) {
                    self.compare(format!("{path}.{key}"), asked.get(key), is.get(key));
                }
            }
            _ => match (named(expected), named(found)) {
                (Some(asked), Some(is)) => {
                    let before = self.all.len();
                    let others = is.keys().filter(|name| !asked.contains_key(*name));
                    for name in asked.keys().chain(others) {
                        let path = format!("{path}[{name}]");
                        self.compare(path, asked.get(name).copied(), is.get(name).copied());
                    }
                    if self.all.len() == before {
                        // Only the order differs.
                        self.push(path, expected.map(value), found.map(value));
                    }
                }
                _ => self.push(path, expected.map(value), found.map(value)),
            },
        }
    }
}

/// The elements of a list by name; None where they have none, or one twice.
fn named(list: Option<&Json>) -> Option<BTreeMap<String, &Json>> {
    let items = match list {
        None => &[][..],
        Some(Json::Array(items)) => items,
        Some(_) => return None,
    };
    let all: BTreeMap<String, &Json> =
        items.iter().map(|item| Some((value(identity(item)?), item))).collect::<Option<_>>()?;
    (all.len() == items.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Capabilities, Options, plan};
    use crate::state::{Document, InterfaceType, State};

    fn state(json: Json) -> State {
        Document::from_json(&json).state().expect("a valid state").0
    }

    fn capabilities() -> Capabilities {
        use InterfaceType::{Dummy, Ethernet, LinuxBridge, Veth};
        Capabilities {
            backend: "test",
            interface_types: [Dummy, Ethernet, LinuxBridge, Veth].into(),
            vlan_filtering: true,
            volatile_until_commit: true,
            profiles: false,
            persists: false,
            ..Capabilities::default()
        }
    }

    /// What has drifted, each as `PATH: EXPECTED / FOUND`.
    fn found(committed: Json, now: Json) -> Vec<String> {
        let plan = plan(&state(committed), &state(now), &capabilities(), &Options::default());
        let plan = plan.expect("it can be planned");
        let word = |word: Option<String>| word.unwrap_or_else(|| "-".into());
        drift(&plan)
            .into_iter()
            .map(|drift| format!("{}: {} / {}", drift.path, word(drift.expected), word(drift.found)))
            .collect()
    }

    fn eth0(ipv4: Json) -> Json {
        json!({"name": "eth0", "type": "ethernet", "state": "up", "mtu": 1500, "ipv4": ipv4, "ipv6": {"enabled": false}})
    }

    fn address(ip: &str) -> Json {
        json!({"ip": ip, "prefix-length": 24})
    }

    #[test]
    fn every_field_is_told_with_what_was_asked_and_what_is() {
        let committed = json!({
            "hostname": {"running": "one"},
            "dns-resolver": {"config": {"server": ["192.0.2.53"]}},
            "interfaces": [
                {"name": "eth0", "type": "ethernet", "mtu": 9000,
                    "ipv4": {"enabled": true, "dhcp": false, "address": [address("192.0.2.1"), address("192.0.2.2")]}},
                {"name": "br0", "type": "linux-bridge", "state": "up", "bridge": {"port": [{"name": "eth1"}]}},
                {"name": "dummy0", "type": "dummy", "state": "up"},
            ],
            "routes": {"config": [
                {"destination": "198.51.100.0/24", "next-hop-interface": "eth0", "next-hop-address": "192.0.2.9"}]},
            "route-rules": {"config": [{"ip-from": "192.0.2.0/24", "route-table": 100, "priority": 1000}]},
        });
        let now = json!({
            "hostname": {"running": "two"},
            "dns-resolver": {"config": {"server": ["192.0.2.54"], "search": ["example.com"]}},
            "interfaces": [
                eth0(json!({"enabled": true, "dhcp": false, "address": [address("192.0.2.1"), address("192.0.2.3")]})),
                {"name": "eth1", "type": "ethernet", "state": "up", "ipv4": {"enabled": false}, "ipv6": {"enabled": false}},
                {"name": "br0", "type": "linux-bridge", "state": "up", "bridge": {"port": []}},
            ],
            "routes": {"config": []},
            "route-rules": {"config": []},
        });
        let mut found = found(committed, now);
        found.sort();
        assert_eq!(
            found,
            [
                "dns-resolver.config.server: [192.0.2.53] / [192.0.2.54]",
                "hostname.running: one / two",
                "interfaces[br0].bridge.port[eth1]: {name: eth1} / -",
                "interfaces[dummy0].state: up / absent",
                "interfaces[eth0].ipv4.address[192.0.2.2]: 192.0.2.2/24 / -",
                "interfaces[eth0].ipv4.address[192.0.2.3]: - / 192.0.2.3/24",
                "interfaces[eth0].mtu: 9000 / 1500",
                "interfaces[eth1].controller: br0 / -",
                "route-rules.config: rule ipv4 from 192.0.2.0/24 table 100 priority 1000 / -",
                "routes.config[198.51.100.0/24]: route 198.51.100.0/24 via 192.0.2.9 dev eth0 table 254 / -",
            ]
        );
    }

    #[test]
    fn what_is_volatile_by_nature_is_no_drift() {
        let asked = json!({"enabled": true, "dhcp": false, "address": [address("192.0.2.1")]});
        let mut now = asked.clone();
        let leased = json!({"ip": "198.51.100.7", "prefix-length": 24, "valid-life-time": "41sec",
            "preferred-life-time": "31sec"});
        now["address"].as_array_mut().expect("a list").push(leased);
        let mut eth0 = eth0(now);
        // No carrier, and a learned address.
        eth0["state"] = json!("unknown");
        eth0["ipv6"] = json!({"enabled": true, "autoconf": true, "dhcp": false, "address": [
            {"ip": "2001:db8::7", "prefix-length": 64, "valid-life-time": "10sec", "preferred-life-time": "5sec"}]});
        let committed = json!({
            "interfaces": [{"name": "eth0", "type": "ethernet", "state": "up", "ipv4": asked,
                "ipv6": {"enabled": true, "autoconf": true, "dhcp": false}, "ethernet": {"speed": 1000, "duplex": "full"}}],
        });
        let now = json!({
            "interfaces": [eth0, {"name": "pod7", "type": "veth", "state": "up", "veth": {"peer": "pod8"}}],
            "routes": {"running": [{"destination": "::/0", "next-hop-interface": "eth0", "next-hop-address": "fe80::1"}],
                "config": [{"destination": "203.0.113.0/24", "next-hop-interface": "pod7"}]},
            "route-rules": {"config": [{"ip-to": "203.0.113.0/24", "route-table": 7, "priority": 7, "family": "ipv4"}]},
        });
        assert_eq!(found(committed, now), [] as [String; 0]);
    }

    #[test]
    fn secrets_are_masked() {
        let x = |password: &str| {
            json!({"interfaces": [{"name": "eth0", "type": "ethernet", "state": "up",
                "802.1x": {"identity": "me", "eap-methods": ["md5"], "password": password}}]})
        };
        let told = found(x("hunter2"), x("hunter3"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("interfaces[eth0].802.1x.") && !told[0].contains("hunter"), "{told:?}");
    }
}
