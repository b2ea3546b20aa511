//! Resolver: each list of the document replaces the current one (semantics D1 to D3, V71, V72).

use std::net::{IpAddr, Ipv6Addr};

use super::{DnsChange, Merge, Merged, Reason, family};
use crate::state::{DnsResolver, DnsSettings, ErrorKind, Ip, Path, Problem, State};

/// Options of resolv.conf(5) without value.
const FLAGS: [&str; 15] = [
    "debug",
    "edns0",
    "inet6",
    "ip6-bytestring",
    "ip6-dotint",
    "no-aaaa",
    "no-check-names",
    "no-ip6-dotint",
    "no-reload",
    "no-tld-query",
    "rotate",
    "single-request",
    "single-request-reopen",
    "trust-ad",
    "use-vc",
];

/// Options of resolv.conf(5) with a number, as `ndots:2`.
const NUMBERS: [&str; 3] = ["attempts", "ndots", "timeout"];

/// What has to change about the resolver.
pub fn merge(
    desired: &State,
    current: &State,
    merged: &Merged,
) -> Result<Merge<DnsChange, DnsResolver>, Vec<Problem>> {
    let Some(config) = desired.dns_resolver.as_ref().and_then(|dns| dns.config.as_ref()) else {
        return Ok(Merge { changes: Vec::new(), expected: None });
    };
    let path = Path::root().keys("dns-resolver.config");
    let mut problems = Vec::new();
    let server =
        config.server.as_ref().map(|servers| complete_servers(servers, &path, merged, &mut problems));
    check_options(config.options.as_deref().unwrap_or_default(), &path, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }

    let before = settings(current);
    let mentions_any = config.server.is_some() || config.search.is_some() || config.options.is_some();
    let list = |desired: &Option<Vec<String>>, current: &Option<Vec<String>>| {
        Some(desired.clone().or(current.clone().filter(|_| mentions_any)).unwrap_or_default())
    };
    let after = DnsSettings {
        server: list(&server, &before.server),
        search: list(&config.search, &before.search),
        options: list(&config.options, &before.options),
    };
    let changes = change(Reason::Desired, before, after.clone()).into_iter().collect();
    Ok(Merge { changes, expected: Some(DnsResolver { running: None, config: Some(after) }) })
}

/// The change that leads from the resolver of one state to that of an earlier one.
pub fn restore(current: &State, before: &State) -> Option<DnsChange> {
    change(Reason::Restored, settings(current), settings(before))
}

/// Whether both say the same: a missing list is an empty one, options have no order (C34).
pub fn is_same(a: &DnsSettings, b: &DnsSettings) -> bool {
    let sorted = |list: &Option<Vec<String>>| {
        let mut list = list.clone().unwrap_or_default();
        list.sort();
        list
    };
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let servers = |list: &Option<Vec<String>>| -> Vec<String> {
        list.iter().flatten().map(|server| canonical(server).unwrap_or_else(|| server.clone())).collect()
    };
    servers(&a.server) == servers(&b.server)
        && list(&a.search) == list(&b.search)
        && sorted(&a.options) == sorted(&b.options)
}

/// What is configured; every list is there.
pub fn settings(state: &State) -> DnsSettings {
    let config = state.dns_resolver.as_ref().and_then(|dns| dns.config.as_ref());
    let list = |pick: fn(&DnsSettings) -> &Option<Vec<String>>| {
        Some(config.and_then(|config| pick(config).clone()).unwrap_or_default())
    };
    DnsSettings {
        server: list(|settings| &settings.server),
        search: list(|settings| &settings.search),
        options: list(|settings| &settings.options),
    }
}

fn change(reason: Reason, before: DnsSettings, after: DnsSettings) -> Option<DnsChange> {
    (!is_same(&before, &after)).then_some(DnsChange { reason, before, after })
}

/// A server in canonical form; the part behind `%` of a link-local one is kept.
fn canonical(server: &str) -> Option<String> {
    match server.split_once('%') {
        Some((address, interface)) => {
            let address: Ipv6Addr = address.parse().ok()?;
            Some(format!("{address}%{interface}"))
        }
        None => server.parse::<IpAddr>().ok().map(|address| address.to_string()),
    }
}

fn complete_servers(
    servers: &[String],
    path: &Path,
    merged: &Merged,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let mut complete = Vec::new();
    let mut link: Option<&str> = None;
    for (i, server) in servers.iter().enumerate() {
        let path = path.key("server").index(i);
        let Some(canonical) = canonical(server) else {
            problems.push(Problem::invalid(path, format!("{server} is no IP address")));
            continue;
        };
        if let Some((_, name)) = server.split_once('%') {
            problems.extend(link_problem(name, &path, merged));
            if let Some(other) = link.filter(|other| *other != name) {
                let text = format!("link-local servers on two interfaces, {other} and {name}");
                problems.push(Problem::new(ErrorKind::NotImplementedError, path, text));
            }
            link = link.or(Some(name));
        }
        complete.push(canonical);
    }
    complete
}

/// A link-local server needs its interface, with IPv6 on (V72).
fn link_problem(name: &str, path: &Path, merged: &Merged) -> Option<Problem> {
    let text = match merged.kernel(name) {
        None => format!("there is no interface {name}"),
        Some(member) if member.ignored => format!("interface {name} is ignored"),
        Some(member) if member.is_removed() => format!("interface {name} is removed"),
        Some(member) if !family(member.target.as_ref(), true).is_some_and(Ip::is_enabled) => {
            format!("ipv6 is not enabled on interface {name}")
        }
        Some(_) => return None,
    };
    Some(Problem::invalid(path.clone(), text))
}

/// Only options that every resolver understands (D3).
fn check_options(options: &[String], path: &Path, problems: &mut Vec<Problem>) {
    for (i, option) in options.iter().enumerate() {
        let (name, number) = match option.split_once(':') {
            Some((name, number)) => (name, Some(number)),
            None => (option.as_str(), None),
        };
        let text = match (FLAGS.contains(&name), NUMBERS.contains(&name), number) {
            (true, _, None) | (_, true, Some(_)) => continue,
            (true, _, Some(_)) => format!("option {name} takes no value"),
            (_, true, None) => format!("option {name} needs a value, as `{name}:1`"),
            (false, false, _) => format!("unknown option {name}"),
        };
        problems.push(Problem::invalid(path.key("options").index(i), text));
    }
}
