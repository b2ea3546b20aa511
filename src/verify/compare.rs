//! Two printed values, key by key: one must be a part of the other (semantics C3).
//!
//! [`rule`] and [`default`] say for each key how it is compared.

use serde_json::{Value as Json, json};

use super::{AtLimit, Finding, Verdict};
use crate::state::{ErrorKind, HIDDEN_SECRET, Path};

pub(super) const FAIL: AtLimit = AtLimit::Fail(ErrorKind::VerificationError);

/// How a key is compared.
enum Rule {
    /// Not here, or not at all.
    Skip,
    /// Only if the present state shows the key: not every backend can store it.
    IfShown,
    /// Scalars in any order, repeated ones counting once.
    Set,
    /// Mappings in any order, paired by that key.
    PairedBy(&'static str),
    /// Exactly this, with nothing more in it.
    Exact,
    /// A part of what is there; lists position by position.
    Part,
}

/// By dotted path; list positions are left out.
fn rule(key: &str) -> Rule {
    match key {
        "name" | "type" | "state" => Rule::Skip,
        // Directions to us, and what only a query shows.
        "copy-mac-from" | "driver" | "permanent-mac-address" | "min-mtu" | "max-mtu" => Rule::Skip,
        "bridge.allow-extra-ports" | "bridge.allow-extra-patch-ports" => Rule::Skip,
        "bridge.options.gc-timer" | "bridge.options.hello-timer" => Rule::Skip,
        "ethernet.sr-iov.max-vfs" | "ethernet.sr-iov.vfs.iface-name" => Rule::Skip,
        "hsr.supervision-address" | "lldp.neighbors" => Rule::Skip,
        // Compared as addresses.
        "ipv4.enabled" | "ipv4.address" | "ipv6.enabled" | "ipv6.address" => Rule::Skip,
        "ipv4.allow-extra-address" | "ipv6.allow-extra-address" | "alt-names" => Rule::Skip,
        // The kernel alone has no profiles.
        "profile-name" | "identifier" | "pci-address" | "description" | "wait-ip" => Rule::IfShown,
        "ipv6.addr-gen-mode" | "link-aggregation.options.balance_slb" => Rule::IfShown,
        // Shown only in mode 802.3ad, and only to a holder of CAP_NET_ADMIN (bond_fill_info).
        "link-aggregation.options.ad_actor_sys_prio"
        | "link-aggregation.options.ad_actor_system"
        | "link-aggregation.options.ad_user_port_key" => Rule::IfShown,
        "link-aggregation.port" | "vrf.port" | "bridge.port.vlan.trunk-tags" => Rule::Set,
        "link-aggregation.options.ns_ip6_target" | "mptcp.address-flags" => Rule::Set,
        "ip-tunnel.ip6tun-flags" | "802.1x.eap-methods" => Rule::Set,
        "link-aggregation.ports-config" | "bridge.port" | "bridge.port.link-aggregation.port" => {
            Rule::PairedBy("name")
        }
        "ethernet.sr-iov.vfs" => Rule::PairedBy("id"),
        "vlan.ingress-qos-map" | "vlan.egress-qos-map" => Rule::PairedBy("from"),
        _ => Rule::Part,
    }
}

/// What a key that is not shown stands for (C14, C16, C23).
fn default(key: &str) -> Option<Json> {
    match key {
        "ipv4" | "ipv6" => Some(json!({"enabled": false})),
        "ipv4.dhcp" | "ipv6.dhcp" | "ipv6.autoconf" | "accept-all-mac-addresses" => Some(json!(false)),
        "ipv4.dhcp-custom-hostname" | "ipv6.dhcp-custom-hostname" => Some(json!("")),
        "ipv4.auto-route-table-id" | "ipv6.auto-route-table-id" => Some(json!(0)),
        "ipv6.token" => Some(json!("::")),
        "controller" | "dispatch.post-activation" | "dispatch.post-deactivation" => Some(json!("")),
        "link-aggregation.options.primary" | "link-aggregation.options.arp_ip_target" => Some(json!("")),
        "bridge.options.fail-mode" | "bridge.options.datapath" => Some(json!("")),
        "lldp" => Some(json!({"enabled": false})),
        "mptcp" | "dispatch" | "ovs-db" | "802.1x" | "bridge.port.vlan" => Some(json!({})),
        "ovs-db.external_ids" | "ovs-db.other_config" => Some(json!({})),
        "mptcp.address-flags" | "vlan.ingress-qos-map" | "vlan.egress-qos-map" => Some(json!([])),
        "link-aggregation.port" | "vrf.port" | "bridge.port" | "bridge.port.vlan.trunk-tags" => {
            Some(json!([]))
        }
        "link-aggregation.options.ns_ip6_target" | "ip-tunnel.ip6tun-flags" => Some(json!([])),
        _ => None,
    }
}

/// Where findings about one subject go.
pub(super) struct Compare<'a> {
    pub(super) subject: &'a str,
    pub(super) limit_ms: u64,
    pub(super) origin: Path,
    pub(super) findings: &'a mut Vec<Finding>,
}

impl Compare<'_> {
    pub(super) fn push(&mut self, path: Path, verdict: Verdict, limit_ms: u64, at_limit: AtLimit) {
        self.findings.push(Finding { subject: self.subject.to_owned(), path, verdict, limit_ms, at_limit });
    }

    pub(super) fn mismatch(&mut self, path: &Path, wanted: &Json, found: Option<&Json>) {
        let verdict = Verdict::Mismatch { wanted: wanted.clone(), found: found.cloned() };
        self.push(path.clone(), verdict, self.limit_ms, FAIL);
    }

    /// `wanted` must be a part of `found`.
    pub(super) fn value(&mut self, key: &str, path: &mut Path, wanted: &Json, found: Option<&Json>) {
        // The placeholder of a secret says: whatever is stored.
        if wanted.is_null() || wanted.as_str() == Some(HIDDEN_SECRET) && found.is_some() {
            return;
        }
        let rule = match key {
            "bridge.port.vlan" if wanted.as_object().is_some_and(serde_json::Map::is_empty) => Rule::Exact,
            key => rule(key),
        };
        let default = if found.is_none() { default(key) } else { None };
        let found = found.or(default.as_ref());
        match (rule, wanted, found) {
            (Rule::Skip, ..) | (Rule::IfShown, _, None) => {}
            (Rule::Set, Json::Array(own), Some(Json::Array(theirs))) => {
                let is_in = |list: &[Json], item: &Json| list.contains(item);
                let equal =
                    own.iter().all(|item| is_in(theirs, item)) && theirs.iter().all(|item| is_in(own, item));
                if !equal {
                    self.mismatch(path, wanted, found);
                }
            }
            (Rule::PairedBy(name), Json::Array(own), Some(Json::Array(theirs))) => {
                let surplus = theirs.iter().any(|item| pair(own, name, item).is_none());
                if surplus || own.len() > theirs.len() {
                    let names =
                        |list: &[Json]| list.iter().filter_map(|item| item.get(name)).cloned().collect();
                    self.mismatch(path, &names(own), Some(&names(theirs)));
                    return;
                }
                for (i, item) in own.iter().enumerate() {
                    path.push_index(i);
                    self.value_of_item(key, path, item, pair(theirs, name, item));
                    path.pop();
                }
            }
            (Rule::Exact, wanted, Some(found)) => {
                if wanted != found {
                    self.mismatch(path, wanted, Some(found));
                }
            }
            (_, Json::Object(own), Some(Json::Object(theirs))) => {
                for (name, value) in own {
                    let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    path.push_key(name);
                    self.value(&below, path, value, theirs.get(name));
                    path.pop();
                }
            }
            (_, Json::Array(own), Some(Json::Array(theirs))) if own.len() == theirs.len() => {
                for (i, (item, other)) in own.iter().zip(theirs).enumerate() {
                    path.push_index(i);
                    self.value_of_item(key, path, item, Some(other));
                    path.pop();
                }
            }
            (_, wanted, Some(found)) if wanted == found => {}
            (_, wanted, found) => match is_rounded(key, wanted, found) {
                true => {
                    let verdict = Verdict::Mismatch { wanted: wanted.clone(), found: found.cloned() };
                    let at_limit = AtLimit::Fail(ErrorKind::KernelIntegerRoundedError);
                    self.push(path.clone(), verdict, 0, at_limit);
                }
                false => self.mismatch(path, wanted, found),
            },
        }
    }

    /// An element of a list: the list's rule does not apply to it again.
    fn value_of_item(&mut self, key: &str, path: &mut Path, wanted: &Json, found: Option<&Json>) {
        match (wanted, found) {
            (Json::Object(own), Some(Json::Object(theirs))) => {
                for (name, value) in own {
                    path.push_key(name);
                    self.value(&format!("{key}.{name}"), path, value, theirs.get(name));
                    path.pop();
                }
            }
            (wanted, Some(found)) if wanted == found => {}
            (wanted, found) => self.mismatch(path, wanted, found),
        }
    }
}

/// The element of a list that has the same name.
fn pair<'j>(list: &'j [Json], name: &str, item: &Json) -> Option<&'j Json> {
    list.iter().find(|other| other.get(name).is_some() && other.get(name) == item.get(name))
}

/// The kernel keeps these in its own ticks and may round them down by one (C24).
fn is_rounded(key: &str, wanted: &Json, found: Option<&Json>) -> bool {
    let is_interval = matches!(
        key.strip_prefix("bridge.options.multicast-"),
        Some(
            "last-member-interval"
                | "membership-interval"
                | "querier-interval"
                | "query-response-interval"
                | "startup-query-interval"
        )
    );
    let difference = wanted.as_u64().zip(found.and_then(Json::as_u64)).map(|(w, f)| w.checked_sub(f));
    is_interval && difference == Some(Some(1))
}
