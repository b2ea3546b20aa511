//! Routes, rules, resolver, host name and the Open vSwitch tables (semantics C30 to C36).

use serde_json::json;

use super::{AtLimit, Finding, Present, Verdict, limit_ms};
use crate::plan::routes::{Index, same_metric};
use crate::plan::{dns as plan_dns, routes as plan_routes, rules as plan_rules, text};
use crate::state::{
    ErrorKind, InterfaceState, MappingState, Native, NativeChange, OvsTable, Path, Route, RouteRule,
    RouteState, Segment, State,
};

const FAIL: AtLimit = AtLimit::Fail(ErrorKind::VerificationError);

fn finding(subject: &str, path: Path, verdict: Verdict, limit_ms: u64) -> Finding {
    Finding { subject: subject.to_owned(), path, verdict, limit_ms, at_limit: FAIL }
}

pub(super) fn hostname(expected: &State, current: &State) -> Vec<Finding> {
    let Some(wanted) = &expected.hostname else { return Vec::new() };
    let found = current.hostname.as_ref();
    let names = [
        ("running", &wanted.running, found.and_then(|found| found.running.clone())),
        ("config", &wanted.config, found.and_then(|found| found.config.clone())),
    ];
    let compare = |(key, wanted, found): (&str, &Option<String>, Option<String>)| {
        let wanted = wanted.as_ref().filter(|wanted| **wanted != found.clone().unwrap_or_default())?;
        let verdict = Verdict::Mismatch { wanted: json!(wanted), found: found.map(|found| json!(found)) };
        Some(finding("host name", Path::root().key("hostname").key(key), verdict, limit_ms::SETTING))
    };
    names.into_iter().filter_map(compare).collect()
}

/// What is said in netplan's own words is there as it was written.
pub(super) fn network(expected: &State, current: &State) -> Vec<Finding> {
    let Some(wanted) = &expected.network else { return Vec::new() };
    let wanted = Some(wanted).filter(|wanted| !wanted.is_empty());
    let finding = |NativeChange { path, before, after }: NativeChange| {
        let path = path.segments().iter().fold(Path::root().key("network"), |path, segment| match segment {
            Segment::Key(key) => path.key(key),
            Segment::Index(index) => path.index(*index),
        });
        let verdict = Verdict::Mismatch { wanted: json!(after), found: before };
        finding("netplan's files", path, verdict, limit_ms::SETTING)
    };
    Native::changes(current.network.as_ref(), wanted).into_iter().map(finding).collect()
}

pub(super) fn routes(expected: &State, current: &State, present: &Present<'_>) -> Vec<Finding> {
    let wanted = expected.config_routes();
    if wanted.is_empty() {
        return Vec::new();
    }
    let now: Vec<&Route> =
        current.config_routes().iter().filter(|route| route.state != Some(RouteState::Ignore)).collect();
    let index = Index::new(now.iter().copied());
    let additions: Vec<&Route> = wanted.iter().filter(|route| route.state.is_none()).collect();
    let is_wanted = Index::new(additions.iter().copied());
    let mut findings = Vec::new();
    for (i, route) in wanted.iter().enumerate() {
        let path = Path::root().keys("routes.config").index(i);
        match route.state {
            Some(RouteState::Ignore) => {}
            None => {
                if index.matching(route).next().is_none() {
                    findings.push(missing(route, path, present));
                }
            }
            Some(RouteState::Absent) => {
                // What another entry asks for may stay (C31).
                let asked_for = |there: &Route| {
                    is_wanted
                        .to_destination_of(there)
                        .any(|wanted| plan_routes::matches(wanted, there) && same_metric(wanted, there))
                };
                if let Some(i) = index.matching(route).find(|i| !asked_for(now[*i])) {
                    let verdict = Verdict::Existence("is still there".into());
                    findings.push(finding(&text::route(now[i]), path, verdict, limit_ms::REMOVAL));
                }
            }
        }
    }
    findings
}

/// A route that is not there, and whether it may wait for an address from the network (C32).
fn missing(route: &Route, path: Path, present: &Present<'_>) -> Finding {
    let name = route.next_hop_interface.as_deref().unwrap_or_default();
    let v6 = route.destination.is_some_and(|destination| destination.is_v6());
    let interface = present.kernel(name);
    let ip = interface.and_then(|found| if v6 { found.ipv6.as_deref() } else { found.ipv4.as_deref() });
    let waits = ip.is_some_and(|ip| ip.is_auto() && !ip.addresses().iter().any(|a| !a.is_v6_link_local()));
    let subject = text::route(route);
    match waits {
        true => {
            let verdict = Verdict::Pending(format!("waits for an address of {name} from the network"));
            finding(&subject, path, verdict, limit_ms::AUTOMATIC)
        }
        false => finding(&subject, path, Verdict::Existence("is missing".into()), limit_ms::SETTING),
    }
}

pub(super) fn rules(expected: &State, current: &State, present: &Present<'_>) -> Vec<Finding> {
    let is_ignored = |rule: &RouteRule| {
        let is_left_alone = |name: &str| {
            expected.interface(name).is_some_and(|wanted| wanted.state() == InterfaceState::Ignore)
                || present.kernel(name).is_some_and(|found| found.is_ignored())
        };
        rule.iif.as_deref().is_some_and(is_left_alone)
    };
    let wanted = expected.config_rules();
    let now = current.config_rules();
    let there = plan_rules::Index::new(now.iter());
    let asked = plan_rules::Index::new(wanted.iter().filter(|rule| !rule.is_absent()));
    let mut findings = Vec::new();
    for (i, rule) in wanted.iter().enumerate().filter(|(_, rule)| !is_ignored(rule)) {
        let path = Path::root().keys("route-rules.config").index(i);
        if rule.is_absent() {
            let stays = |there: &&RouteRule| {
                plan_rules::matches(rule, there) && !is_ignored(there) && !asked.asks_for(there)
            };
            if let Some(there) = now.iter().find(stays) {
                let verdict = Verdict::Existence("is still there".into());
                findings.push(finding(&text::rule(there), path, verdict, limit_ms::REMOVAL));
            }
        } else if !there.has(rule) {
            let verdict = Verdict::Existence("is missing".into());
            findings.push(finding(&text::rule(rule), path, verdict, limit_ms::SETTING));
        }
    }
    findings
}

pub(super) fn dns(expected: &State, current: &State) -> Option<Finding> {
    let wanted = expected.dns_resolver.as_ref()?.config.as_ref()?;
    let found = plan_dns::settings(current);
    if plan_dns::is_same(wanted, &found) {
        return None;
    }
    let lists = [
        ("server", &wanted.server, &found.server),
        ("search", &wanted.search, &found.search),
        ("options", &wanted.options, &found.options),
    ];
    let empty = Vec::new();
    let differ = |(_, a, b): &(&str, &Option<Vec<String>>, &Option<Vec<String>>)| {
        a.as_ref().unwrap_or(&empty) != b.as_ref().unwrap_or(&empty)
    };
    let (key, wanted, found) = lists.into_iter().find(differ)?;
    let verdict = Verdict::Mismatch { wanted: json!(wanted), found: Some(json!(found)) };
    Some(finding("resolver", Path::root().keys("dns-resolver.config").key(key), verdict, limit_ms::SETTING))
}

/// Keys with a value must be there; deleted keys and purged columns are not looked at (C35, C36).
pub(super) fn ovs(expected: &State, current: &State) -> Vec<Finding> {
    let mut findings = Vec::new();
    let columns = |state: &State| {
        let settings = state.ovs_db.as_ref();
        let column = |pick: fn(&crate::state::OvsSettings) -> &Option<OvsTable>| {
            settings.and_then(|settings| pick(settings).clone()).unwrap_or_default().0
        };
        [("external_ids", column(|s| &s.external_ids)), ("other_config", column(|s| &s.other_config))]
    };
    for ((column, wanted), (_, found)) in columns(expected).into_iter().zip(columns(current)) {
        for (key, value) in wanted {
            let there = found.get(&key).cloned().flatten();
            if value.is_some() && value != there {
                let path = Path::root().key("ovs-db").key(column).key(&key);
                let verdict = Verdict::Mismatch { wanted: json!(value), found: there.map(|v| json!(v)) };
                findings.push(finding("Open vSwitch", path, verdict, limit_ms::OVS));
            }
        }
    }
    let mappings =
        |state: &State| state.ovn.as_ref().and_then(|ovn| ovn.bridge_mappings.clone()).unwrap_or_default();
    let found = mappings(current);
    for (i, wanted) in mappings(expected).iter().enumerate() {
        let there = found.iter().find(|found| found.localnet == wanted.localnet);
        let there = there.and_then(|found| found.bridge.clone());
        if wanted.state != Some(MappingState::Absent) && wanted.bridge != there {
            let path = Path::root().keys("ovn.bridge-mappings").index(i).key("bridge");
            let verdict = Verdict::Mismatch { wanted: json!(wanted.bridge), found: there.map(|v| json!(v)) };
            findings.push(finding(&wanted.localnet, path, verdict, limit_ms::OVS));
        }
    }
    findings
}
