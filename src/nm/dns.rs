//! Where name servers go: into the global configuration, or into profiles. Pure.
//!
//! The global configuration replaces the servers of all profiles, and those that were leased; servers
//! in profiles add up. With systemd-resolved NetworkManager feeds only the servers of profiles to the
//! resolver, so there the global configuration would have no effect.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::image::Dns;
use super::{Setting, Value};
use crate::state::{DnsSettings, ErrorKind, Interface, InterfaceType, Ip, Path, Problem};

/// An interface whose profile could hold name servers.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// As it shall be; one that goes away is down or absent.
    pub interface: &'a Interface,
    /// What its profile holds now ([`dns_of`](super::settings::dns_of)).
    pub holds: Option<&'a DnsSettings>,
    /// The document mentions it.
    pub is_desired: bool,
    /// Not NetworkManager's so far: external, or not managed.
    pub is_foreign: bool,
}

/// Where name servers go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placement {
    /// The global configuration afterwards; empty: none. None: it stays as it is.
    pub global: Option<Setting>,
    /// By interface: all that its profile holds afterwards. Other profiles stay as they are.
    pub profiles: BTreeMap<String, DnsSettings>,
}

/// Finds the place of `wanted`, which is complete: the lists as they shall be. `candidates` stand in
/// the order of the document, then those that it does not mention by name.
pub fn place(
    wanted: &DnsSettings,
    dns: &Dns,
    global: &Setting,
    candidates: &[Candidate<'_>],
) -> Result<Placement, Problem> {
    let servers: Vec<&str> = wanted.server.iter().flatten().map(String::as_str).collect();
    let is_any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let has_more = is_any(&wanted.search) || is_any(&wanted.options);
    let clear = (!global.is_empty()).then(Setting::new);
    if servers.is_empty() {
        let mut profiles = without(candidates);
        if has_more {
            let holder = holder_of_searches(candidates).ok_or_else(nobody)?;
            profiles.insert(holder.interface.name.clone(), wanted.clone());
        }
        return Ok(Placement { global: clear, profiles });
    }
    let only_profiles = dns.mode == "systemd-resolved" || servers.iter().any(|server| server.contains('%'));
    let beside_leased = candidates.iter().any(|candidate| candidate.is_desired && takes_leased(candidate));
    if only_profiles || beside_leased {
        match in_profiles(wanted, &servers, candidates) {
            Ok(profiles) => return Ok(Placement { global: clear, profiles }),
            Err(problem) if only_profiles => return Err(problem),
            Err(_) => {}
        }
    }
    let after = with_global(global, wanted);
    Ok(Placement { global: (after != *global).then_some(after), profiles: BTreeMap::new() })
}

/// Whether what is configured has to find another place although it does not change: an interface
/// that holds some of it goes away, or loses its addresses (semantics D4).
pub fn is_displaced(candidates: &[Candidate<'_>]) -> bool {
    let held = candidates.iter().filter(|candidate| holds_any(candidate));
    held.into_iter().any(|candidate| ![false, true].iter().any(|is_v6| can_hold(candidate, *is_v6)))
}

fn path() -> Path {
    Path::root().keys("dns-resolver.config.server")
}

fn nobody() -> Problem {
    Problem::invalid(path(), "no interface with static or automatic addresses of that family can hold it")
        .with_hint("NetworkManager keeps name servers with an interface here")
}

/// Who held some and is not chosen holds none.
fn without(candidates: &[Candidate<'_>]) -> BTreeMap<String, DnsSettings> {
    let none = DnsSettings { server: Some(vec![]), search: Some(vec![]), options: Some(vec![]) };
    let holders = candidates.iter().filter(|candidate| holds_any(candidate) && candidate.interface.is_up());
    holders.map(|candidate| (candidate.interface.name.clone(), none.clone())).collect()
}

/// Semantics D8, D10, D11, D13.
fn in_profiles(
    wanted: &DnsSettings,
    servers: &[&str],
    candidates: &[Candidate<'_>],
) -> Result<BTreeMap<String, DnsSettings>, Problem> {
    if let Some(server) = servers.iter().find(|server| is_link_local(server) && !server.contains('%')) {
        let text = format!("a link-local name server needs its interface, as `{server}%eth1`");
        return Err(Problem::invalid(path(), text));
    }
    if servers.windows(2).filter(|pair| is_v6(pair[0]) != is_v6(pair[1])).count() > 1 {
        // An interface has one list for each family.
        let text = "NetworkManager cannot keep name servers in this order: those of one family have to stand together";
        return Err(Problem::new(ErrorKind::NotImplementedError, path(), text));
    }
    let mut profiles = without(candidates);
    let first = servers.first().is_some_and(|server| is_v6(server));
    // The second family first, so that the first one finds its part and completes it.
    for family in [!first, first] {
        let own: Vec<&str> = servers.iter().copied().filter(|server| is_v6(server) == family).collect();
        if own.is_empty() {
            continue;
        }
        let scope = own.iter().find_map(|server| Some(server.split_once('%')?.1));
        let holder = holder(candidates, family, scope).ok_or_else(nobody)?;
        let part = profiles.entry(holder.interface.name.clone()).or_insert_with(nothing);
        let others = part.server.take().unwrap_or_default();
        part.server = Some(own.into_iter().map(str::to_owned).chain(others).collect());
        if family == first {
            part.search = Some(wanted.search.clone().unwrap_or_default());
            part.options = Some(wanted.options.clone().unwrap_or_default());
        } else {
            (part.search, part.options) = (None, None); // it comes second
        }
    }
    Ok(profiles)
}

fn nothing() -> DnsSettings {
    DnsSettings { server: None, search: None, options: None }
}

/// Who holds the servers of a family: who does already; then of those mentioned the first that takes
/// no others, and the first that can; then the first that is NetworkManager's anyway.
fn holder<'c, 'a>(
    candidates: &'c [Candidate<'a>],
    is_v6: bool,
    scope: Option<&str>,
) -> Option<&'c Candidate<'a>> {
    if let Some(name) = scope {
        return candidates.iter().find(|candidate| candidate.interface.name == name);
    }
    let valid = || candidates.iter().filter(|candidate| can_hold(candidate, is_v6));
    let is_present = |candidate: &&&Candidate<'_>| !candidate.is_foreign && holds_family(candidate, is_v6);
    let is_preferred = |candidate: &&&Candidate<'_>| {
        candidate.is_desired
            && family(candidate, is_v6).is_some_and(|ip| !ip.is_auto() || ip.auto_dns == Some(false))
    };
    valid()
        .find(|candidate| is_present(&candidate))
        .or_else(|| valid().find(|candidate| is_preferred(&candidate)))
        .or_else(|| valid().find(|candidate| candidate.is_desired))
        .or_else(|| valid().find(|candidate| !candidate.is_foreign))
}

/// Searches without servers join leased servers (semantics D9).
fn holder_of_searches<'c, 'a>(candidates: &'c [Candidate<'a>]) -> Option<&'c Candidate<'a>> {
    let any = |test: fn(&Candidate<'_>, bool) -> bool| {
        move |candidate: &&&Candidate<'_>| [true, false].iter().any(|is_v6| test(candidate, *is_v6))
    };
    let is_auto = |candidate: &Candidate<'_>, is_v6: bool| {
        can_hold(candidate, is_v6) && family(candidate, is_v6).is_some_and(Ip::is_auto)
    };
    let ours = || candidates.iter().filter(|candidate| candidate.is_desired || !candidate.is_foreign);
    let desired = || candidates.iter().filter(|candidate| candidate.is_desired);
    let valid = any(can_hold);
    let auto = any(is_auto);
    ours()
        .find(|candidate| holds_any(candidate) && valid(&candidate))
        .or_else(|| desired().find(|candidate| auto(&candidate)))
        .or_else(|| ours().find(|candidate| auto(&candidate)))
        .or_else(|| desired().find(|candidate| valid(&candidate)))
        .or_else(|| ours().find(|candidate| valid(&candidate)))
}

/// Semantics D5: up, with static or automatic addresses of that family.
fn can_hold(candidate: &Candidate<'_>, is_v6: bool) -> bool {
    let interface = candidate.interface;
    interface.is_up()
        && *interface.kind() != InterfaceType::Loopback
        && !interface.kind().is_userspace()
        && family(candidate, is_v6).is_some_and(|ip| {
            let own = |address: &&crate::state::Address| !address.is_v6_link_local() && !address.is_dynamic();
            ip.is_enabled() && (ip.is_auto() || ip.addresses().iter().any(|address| own(&address)))
        })
}

fn takes_leased(candidate: &Candidate<'_>) -> bool {
    let takes = |ip: &Ip| ip.is_auto() && ip.auto_dns != Some(false);
    candidate.interface.is_up()
        && [false, true].iter().any(|is_v6| family(candidate, *is_v6).is_some_and(takes))
}

fn family<'a>(candidate: &Candidate<'a>, is_v6: bool) -> Option<&'a Ip> {
    let interface = candidate.interface;
    if is_v6 { interface.ipv6.as_deref() } else { interface.ipv4.as_deref() }
}

fn holds_any(candidate: &Candidate<'_>) -> bool {
    let lists = candidate.holds.map(|held| [&held.server, &held.search, &held.options]);
    lists.into_iter().flatten().flatten().any(|list| !list.is_empty())
}

fn holds_family(candidate: &Candidate<'_>, family: bool) -> bool {
    let servers = candidate.holds.and_then(|held| held.server.as_ref());
    servers.into_iter().flatten().any(|server| is_v6(server) == family)
}

fn is_v6(server: &str) -> bool {
    server.contains(':')
}

fn is_link_local(server: &str) -> bool {
    let address = server.split('%').next().and_then(|address| address.parse().ok());
    matches!(address, Some(IpAddr::V6(ip)) if ip.is_unicast_link_local())
}

/// The global configuration with these servers for all domains. What it says of other domains stays.
fn with_global(present: &Setting, wanted: &DnsSettings) -> Setting {
    let texts = |list: &Option<Vec<String>>| Value::Texts(list.clone().unwrap_or_default());
    let dict = |parent: &Setting, key: &str| match parent.get(key) {
        Some(Value::Dict(dict)) => dict.clone(),
        _ => Setting::new(),
    };
    let mut domains = dict(present, "domains");
    let mut all = dict(&domains, "*");
    all.insert("servers".to_owned(), texts(&wanted.server));
    domains.insert("*".to_owned(), Value::Dict(all));
    let mut after = present.clone();
    after.insert("domains".to_owned(), Value::Dict(domains));
    for (key, list) in [("searches", &wanted.search), ("options", &wanted.options)] {
        let is_empty = list.as_ref().is_none_or(Vec::is_empty);
        let was_empty = present.get(key).and_then(Value::as_texts).is_some_and(<[_]>::is_empty);
        // Older ones show only what is there, newer ones all keys.
        match is_empty {
            true if was_empty => {}
            true => drop(after.remove(key)),
            false => drop(after.insert(key.to_owned(), texts(list))),
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Node, Part, Reader};
    use serde_json::{Value as Json, json};

    fn interface(json: &Json) -> Interface {
        Part::read(&Node::from_json(json), &mut Reader::new()).expect("an interface")
    }

    fn settings(json: &Json) -> DnsSettings {
        Part::read(&Node::from_json(json), &mut Reader::new()).expect("settings")
    }

    fn fixed(name: &str) -> Interface {
        interface(&json!({"name": name, "type": "ethernet",
            "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]},
            "ipv6": {"enabled": true, "dhcp": false, "autoconf": false, "address": [{"ip": "2001:db8::1", "prefix-length": 64}]}}))
    }

    fn leased(name: &str) -> Interface {
        interface(&json!({"name": name, "type": "ethernet", "ipv4": {"enabled": true, "dhcp": true},
                          "ipv6": {"enabled": true, "dhcp": true, "autoconf": true}}))
    }

    fn v4_only(name: &str) -> Interface {
        interface(&json!({"name": name, "type": "ethernet", "ipv6": {"enabled": false},
            "ipv4": {"enabled": true, "address": [{"ip": "192.0.2.1", "prefix-length": 24}]}}))
    }

    fn desired(interface: &Interface) -> Candidate<'_> {
        Candidate { interface, holds: None, is_desired: true, is_foreign: false }
    }

    fn present(interface: &Interface) -> Candidate<'_> {
        Candidate { is_desired: false, ..desired(interface) }
    }

    fn mode(mode: &str) -> Dns {
        Dns { mode: mode.to_owned(), ..Dns::default() }
    }

    fn place_in(
        mode_name: &str,
        wanted: &Json,
        candidates: &[Candidate<'_>],
    ) -> Result<Placement, ErrorKind> {
        place(&settings(wanted), &mode(mode_name), &Setting::new(), candidates)
            .map_err(|problem| problem.kind)
    }

    /// The servers of each profile that is written.
    fn servers(placement: &Placement) -> Vec<(&str, Vec<&str>)> {
        placement
            .profiles
            .iter()
            .map(|(name, settings)| {
                (name.as_str(), settings.server.iter().flatten().map(String::as_str).collect())
            })
            .collect()
    }

    #[test]
    fn d6_servers_are_global() {
        let eth1 = fixed("eth1");
        let wanted = json!({"server": ["192.0.2.53", "2001:db8::53", "192.0.2.54"], "search": ["a.example"], "options": []});
        let placement = place_in("default", &wanted, &[desired(&eth1)]).expect("a place");
        assert!(placement.profiles.is_empty());
        let global = placement.global.expect("global servers");
        assert_eq!(global.get("searches"), Some(&Value::Texts(vec!["a.example".to_owned()])));
        let Some(Value::Dict(domains)) = global.get("domains") else { panic!("no domains") };
        let Some(Value::Dict(all)) = domains.get("*") else { panic!("no servers") };
        assert_eq!(all["servers"].as_texts().map(<[_]>::len), Some(3));
        // Again it is no change, and what is said of other domains stays.
        let wanted = settings(&wanted);
        let again = place(&wanted, &mode("default"), &global, &[]).expect("a place");
        assert_eq!(again, Placement::default());
        let mut newer = global.clone();
        newer.insert("options".to_owned(), Value::Texts(vec![]));
        let again = place(&wanted, &mode("default"), &newer, &[]).expect("a place");
        assert_eq!(again, Placement::default());
        let mut other = Setting::from([(
            "domains".to_owned(),
            Value::Dict(Setting::from([("b.example".to_owned(), Value::Dict(Setting::new()))])),
        )]);
        other = place(&wanted, &mode("default"), &other, &[]).expect("a place").global.expect("a change");
        assert!(matches!(other.get("domains"), Some(Value::Dict(domains)) if domains.len() == 2));
    }

    #[test]
    fn with_systemd_resolved_always_in_profiles() {
        let (eth1, eth2) = (fixed("eth1"), leased("eth2"));
        let wanted =
            json!({"server": ["192.0.2.53", "2001:db8::53"], "search": ["a.example"], "options": ["rotate"]});
        let placement =
            place_in("systemd-resolved", &wanted, &[desired(&eth2), desired(&eth1)]).expect("a place");
        assert_eq!(placement.global, None);
        assert_eq!(servers(&placement), [("eth1", vec!["192.0.2.53", "2001:db8::53"])]);
        assert_eq!(placement.profiles["eth1"], settings(&wanted));
        // D11, and nowhere else to go
        let mixed = json!({"server": ["192.0.2.53", "2001:db8::53", "192.0.2.54"]});
        let refused = place_in("systemd-resolved", &mixed, &[desired(&eth1)]);
        assert_eq!(refused, Err(ErrorKind::NotImplementedError));
        assert_eq!(place_in("systemd-resolved", &wanted, &[]), Err(ErrorKind::InvalidArgument));
        let unscoped = json!({"server": ["fe80::1"]});
        assert_eq!(
            place_in("systemd-resolved", &unscoped, &[desired(&eth1)]),
            Err(ErrorKind::InvalidArgument)
        );
    }

    #[test]
    fn d8_each_family_finds_its_interface() {
        let (eth1, eth2, eth3) = (v4_only("eth1"), leased("eth2"), fixed("eth3"));
        let wanted = json!({"server": ["2001:db8::53", "192.0.2.53"], "search": [], "options": []});
        let placement =
            place_in("systemd-resolved", &wanted, &[desired(&eth1), desired(&eth2), present(&eth3)])
                .expect("a place");
        assert_eq!(servers(&placement), [("eth1", vec!["192.0.2.53"]), ("eth2", vec!["2001:db8::53"])]);
        // Only the first has searches: the other comes second.
        assert_eq!(
            (&placement.profiles["eth1"].search, placement.profiles["eth2"].search.as_deref()),
            (&None, Some(&[][..]))
        );
        // Nothing foreign is taken unless it is asked for.
        let foreign = Candidate { is_foreign: true, ..present(&eth3) };
        assert_eq!(place_in("systemd-resolved", &wanted, &[foreign]), Err(ErrorKind::InvalidArgument));
        assert!(place_in("systemd-resolved", &wanted, &[Candidate { is_desired: true, ..foreign }]).is_ok());
    }

    #[test]
    fn d8_who_holds_them_keeps_them_and_who_does_not_loses_them() {
        let (eth1, eth2) = (fixed("eth1"), fixed("eth2"));
        let held = settings(&json!({"server": ["192.0.2.1"], "search": ["old.example"]}));
        let holder = Candidate { holds: Some(&held), ..present(&eth2) };
        let wanted = json!({"server": ["192.0.2.53"], "search": [], "options": []});
        let placement = place_in("systemd-resolved", &wanted, &[desired(&eth1), holder]).expect("a place");
        assert_eq!(servers(&placement), [("eth2", vec!["192.0.2.53"])]);
        let scoped = json!({"server": ["fe80::1%eth1"], "search": [], "options": []});
        let placement = place_in("default", &scoped, &[desired(&eth1), holder]).expect("a place");
        assert_eq!(servers(&placement), [("eth1", vec!["fe80::1%eth1"]), ("eth2", vec![])]);
    }

    #[test]
    fn d6_beside_leased_servers_in_profiles_if_that_can_be() {
        let eth1 = leased("eth1");
        let wanted = json!({"server": ["192.0.2.53"]});
        let placement = place_in("default", &wanted, &[desired(&eth1)]).expect("a place");
        assert_eq!(
            (placement.global.is_none(), servers(&placement)),
            (true, vec![("eth1", vec!["192.0.2.53"])])
        );
        let mixed = json!({"server": ["192.0.2.53", "2001:db8::53", "192.0.2.54"]});
        let placement = place_in("default", &mixed, &[desired(&eth1)]).expect("a place");
        assert!(placement.global.is_some() && placement.profiles.is_empty());
    }

    #[test]
    fn d9_searches_alone_join_leased_servers() {
        let (eth1, eth2) = (fixed("eth1"), leased("eth2"));
        let wanted = json!({"server": [], "search": ["a.example"], "options": []});
        let placement = place_in("default", &wanted, &[desired(&eth1), present(&eth2)]).expect("a place");
        assert_eq!(placement.profiles.keys().collect::<Vec<_>>(), ["eth2"]);
        assert_eq!(place_in("default", &wanted, &[]), Err(ErrorKind::InvalidArgument));
    }

    #[test]
    fn d6_nothing_clears_both() {
        let eth1 = fixed("eth1");
        let held = settings(&json!({"search": ["a.example"]}));
        let holder = Candidate { holds: Some(&held), ..present(&eth1) };
        let global = Setting::from([("searches".to_owned(), Value::Texts(vec![]))]);
        let nothing = settings(&json!({"server": [], "search": [], "options": []}));
        let placement = place(&nothing, &mode("default"), &global, &[holder]).expect("a place");
        assert_eq!(placement.global, Some(Setting::new()));
        assert_eq!(servers(&placement), [("eth1", vec![])]);
    }

    #[test]
    fn d4_a_holder_that_goes_away_is_noticed() {
        let held = settings(&json!({"server": ["192.0.2.1"]}));
        let holder = |interface| Candidate { holds: Some(&held), ..desired(interface) };
        let off = interface(&json!({"name": "eth1", "type": "ethernet", "ipv4": {"enabled": false}}));
        let down = Interface { state: Some(crate::state::InterfaceState::Down), ..fixed("eth1") };
        assert!(is_displaced(&[holder(&off)]) && is_displaced(&[holder(&down)]));
        assert!(!is_displaced(&[holder(&fixed("eth1"))]) && !is_displaced(&[desired(&off)]));
    }
}
