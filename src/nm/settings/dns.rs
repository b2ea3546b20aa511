//! Name servers of a profile: `dns-data`, `dns-search`, `dns-options`, `dns-priority`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::ip::{put_list, setting};
use crate::nm::{Profile, Setting, Value};
use crate::state::DnsSettings;

/// Priorities of what was asked for: the lower comes first (as the peer, semantics D10).
const FIRST: i32 = 40;
const SECOND: i32 = 50;

/// The priority of a stack that names none (nm-settings-dbus(5)).
const DEFAULT: i32 = 100;
const DEFAULT_OF_VPN: i32 = 50;

/// Makes these the name servers of one stack; those of the other family are left to it. Searches and
/// options stand beside the first server; settings without a list of searches are the rest of what
/// another profile begins. Routing domains (`~example.com`), which a document has no words for,
/// stay.
pub(super) fn write(profile: &mut Profile, settings: &DnsSettings, is_v6: bool) {
    let name = setting(is_v6);
    let may_hold = takes_servers(profile, is_v6);
    let servers: Vec<IpAddr> =
        settings.server.iter().flatten().filter_map(|server| address(server)).collect();
    let is_first = match servers.first() {
        Some(server) => server.is_ipv6() == is_v6,
        None => is_v6 != takes_servers(profile, false),
    };
    let own = servers.iter().filter(|server| server.is_ipv6() == is_v6 && may_hold);
    let own: Vec<String> = own.map(IpAddr::to_string).collect();

    let is_routing = |domain: &&String| domain.starts_with('~');
    let present = profile.get(name, "dns-search").and_then(Value::as_texts).unwrap_or_default();
    let mut searches: Vec<String> = present.iter().filter(is_routing).filter(|_| may_hold).cloned().collect();
    let mut options = Vec::new();
    if is_first && may_hold {
        let wanted = settings.search.iter().flatten();
        searches
            .extend(wanted.filter(|domain| !present.contains(domain) || !domain.starts_with('~')).cloned());
        options.extend(settings.options.iter().flatten().cloned());
    }
    let is_leading = is_first && settings.search.is_some();
    let priority = match own.is_empty() && searches.is_empty() && options.is_empty() {
        true => None,
        false => Some(if is_leading { FIRST } else { SECOND }),
    };
    put_list(profile, name, "dns-data", own);
    put_list(profile, name, "dns-search", searches);
    put_list(profile, name, "dns-options", options);
    profile.put(name, "dns-priority", priority.map(Value::I32));
}

/// Whether the method of that stack allows name servers.
fn takes_servers(profile: &Profile, is_v6: bool) -> bool {
    match profile.text(setting(is_v6), "method") {
        None | Some("disabled") => false,
        Some("link-local" | "shared") => is_v6,
        Some(_) => true,
    }
}

/// A server without the interface behind it.
fn address(server: &str) -> Option<IpAddr> {
    server.split('%').next()?.parse().ok()
}

/// What a profile contributes, in the order of use; every list is there. A link-local server names
/// its interface.
pub fn dns_of(profile: &Profile) -> DnsSettings {
    let (mut server, mut search, mut options) = (Vec::new(), Vec::new(), Vec::new());
    for names in names_of(profile, profile.interface_name()) {
        server.extend(names.server);
        search.extend(names.search);
        options.extend(names.options);
    }
    keep_first(&mut search);
    keep_first(&mut options);
    DnsSettings { server: Some(server), search: Some(search), options: Some(options) }
}

/// What somebody says about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::nm) struct Names {
    /// The lower comes first; a negative one excludes those behind it.
    pub priority: i32,
    pub server: Vec<String>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// What each stack of a profile says, in the order of use. Routing domains are left out.
pub(in crate::nm) fn names_of(profile: &Profile, interface: Option<&str>) -> Vec<Names> {
    let stacks = [false, true].map(setting).into_iter().filter(|name| profile.has(name));
    let mut all: Vec<Names> = stacks
        .map(|name| {
            let texts = |key| profile.get(name, key).and_then(Value::as_texts).unwrap_or_default().iter();
            Names {
                priority: priority(profile, name),
                server: texts("dns-data").map(|text| shown_server(text, interface)).collect(),
                search: texts("dns-search").filter(|domain| !domain.starts_with('~')).cloned().collect(),
                options: texts("dns-options").cloned().collect(),
            }
        })
        .collect();
    all.sort_by_key(|names| names.priority);
    all
}

fn priority(profile: &Profile, name: &str) -> i32 {
    let own = profile.get(name, "dns-priority").and_then(Value::as_number);
    let default = if profile.kind() == Some("vpn") { DEFAULT_OF_VPN } else { DEFAULT };
    own.and_then(|own| i32::try_from(own).ok()).filter(|own| *own != 0).unwrap_or(default)
}

/// What the global configuration says (`GlobalDnsConfiguration`), and whether its servers are all there
/// are: they are those of its domain `*`.
pub(in crate::nm) fn global_names(global: &Setting) -> (Names, bool) {
    let texts = |from: Option<&Setting>, key| -> Vec<String> {
        from.and_then(|from| from.get(key)).and_then(Value::as_texts).unwrap_or_default().to_vec()
    };
    let dict = |value: &'_ Value| match value {
        Value::Dict(dict) => Some(dict.clone()),
        _ => None,
    };
    let all = global.get("domains").and_then(dict).and_then(|domains| domains.get("*").and_then(dict));
    let server = texts(all.as_ref(), "servers").iter().map(|server| shown_server(server, None)).collect();
    let names = Names {
        priority: 0,
        server,
        search: texts(Some(global), "searches"),
        options: texts(Some(global), "options"),
    };
    (names, all.is_some())
}

/// In canonical form; a link-local one with its interface (semantics S48). What is no plain address
/// (a URI) is shown as it stands.
pub(in crate::nm) fn shown_server(text: &str, interface: Option<&str>) -> String {
    let (plain, scope) = match text.split_once('%') {
        Some((plain, scope)) => (plain, Some(scope)),
        None => (text, interface),
    };
    match (plain.parse::<IpAddr>(), scope) {
        (Ok(IpAddr::V6(ip)), Some(scope)) if ip.is_unicast_link_local() => format!("{ip}%{scope}"),
        (Ok(ip), _) => ip.to_string(),
        (Err(_), _) => text.to_owned(),
    }
}

/// Drops what was there before.
pub(in crate::nm) fn keep_first(list: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|text| (*text).to_owned()).collect())
    }

    fn profile(v4: &str, v6: &str) -> Profile {
        let mut profile = Profile::default();
        profile.set("connection", "interface-name", "eth1");
        profile.set("ipv4", "method", v4);
        profile.set("ipv6", "method", v6);
        profile
    }

    fn write_both(profile: &mut Profile, settings: &DnsSettings) {
        for is_v6 in [false, true] {
            write(profile, settings, is_v6);
        }
    }

    #[test]
    fn d10_the_family_of_the_first_server_comes_first() {
        let settings = DnsSettings {
            server: texts(&["2001:db8::53", "fe80::1%eth1", "192.0.2.53"]),
            search: texts(&["example.com"]),
            options: texts(&["rotate"]),
        };
        let mut profile = profile("manual", "auto");
        write_both(&mut profile, &settings);
        assert_eq!(profile.get("ipv6", "dns-priority"), Some(&Value::I32(40)));
        assert_eq!(profile.get("ipv4", "dns-priority"), Some(&Value::I32(50)));
        // D13
        assert_eq!(
            profile.get("ipv6", "dns-data"),
            texts(&["2001:db8::53", "fe80::1"]).map(Value::Texts).as_ref()
        );
        assert_eq!(profile.get("ipv4", "dns-search"), None);
        assert_eq!(dns_of(&profile), settings);
        let before = profile.clone();
        write_both(&mut profile, &settings);
        assert_eq!(profile, before);
    }

    #[test]
    fn searches_alone_go_where_servers_may_be() {
        let settings = DnsSettings { server: None, search: texts(&["example.com"]), options: None };
        for (v4, v6, holder) in
            [("auto", "auto", "ipv4"), ("disabled", "auto", "ipv6"), ("link-local", "manual", "ipv6")]
        {
            let mut profile = profile(v4, v6);
            write_both(&mut profile, &settings);
            for setting in ["ipv4", "ipv6"] {
                assert_eq!(profile.get(setting, "dns-search").is_some(), setting == holder, "{v4} {v6}");
            }
        }
    }

    #[test]
    fn emptied_lists_leave_routing_domains_alone() {
        let mut profile = profile("auto", "auto");
        profile.set("ipv4", "dns-search", texts(&["~corp.example", "example.com"]).expect("texts"));
        profile.set("ipv4", "dns-data", texts(&["192.0.2.53"]).expect("texts"));
        assert_eq!(dns_of(&profile).search, texts(&["example.com"]));
        write_both(
            &mut profile,
            &DnsSettings { server: texts(&[]), search: texts(&[]), options: texts(&[]) },
        );
        assert_eq!(profile.get("ipv4", "dns-search"), texts(&["~corp.example"]).map(Value::Texts).as_ref());
        assert_eq!(profile.get("ipv4", "dns-data"), None);
    }

    #[test]
    fn s48_canonical_and_with_its_interface() {
        assert_eq!(shown_server("FE80::0:1", Some("eth1")), "fe80::1%eth1");
        assert_eq!(shown_server("2001:DB8::0", Some("eth1")), "2001:db8::");
        assert_eq!(shown_server("fe80::1%eth2", Some("eth1")), "fe80::1%eth2");
        assert_eq!(shown_server("dns+tls://192.0.2.1", None), "dns+tls://192.0.2.1");
    }
}
