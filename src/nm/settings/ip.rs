//! `ipv4` and `ipv6`: methods, addresses, what is taken from DHCP and router advertisements.

use std::net::{IpAddr, Ipv6Addr};

use super::{Wish, dns, routes, rules};
use crate::nm::image::Version;
use crate::nm::{Profile, Setting, Value};
use crate::state::{
    AddrGenMode, Address, DhcpClientId, DhcpDuid, ErrorKind, Interface, InterfaceType, Ip, Path, Problem,
};

/// The name of the setting.
pub(super) fn setting(is_v6: bool) -> &'static str {
    if is_v6 { "ipv6" } else { "ipv4" }
}

/// Sets a list. NetworkManager shows some empty lists and leaves out others, so one that is to be empty
/// and is stays as it stands.
pub(super) fn put_list<T>(profile: &mut Profile, setting: &str, property: &str, list: Vec<T>)
where
    Vec<T>: Into<Value>,
{
    if !list.is_empty() {
        profile.set(setting, property, list);
    } else if !is_empty_list(profile.get(setting, property)) {
        profile.unset(setting, property);
    }
}

fn is_empty_list(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Dicts(list)) => list.is_empty(),
        Some(Value::Texts(list)) => list.is_empty(),
        _ => false,
    }
}

/// Bit of [`Version::bits`]: `ipv4.forwarding` is known.
const HAS_FORWARDING: u32 = 1 << 1;

/// Never give up: `dhcp-timeout` and `ra-timeout`.
const INFINITE: i32 = i32::MAX;

/// What an IP stack that is off may not have, or no longer needs.
const NOT_WHEN_OFF: [&str; 11] = [
    "address-data",
    "gateway",
    "route-data",
    "route-metric",
    "dns-data",
    "dns-search",
    "dns-options",
    "dns-priority",
    "link-local",
    "may-fail",
    "token",
];

/// What only automatic addressing has.
const ONLY_WHEN_AUTO: [&str; 14] = [
    "ignore-auto-dns",
    "ignore-auto-routes",
    "never-default",
    "route-table",
    "dhcp-client-id",
    "dhcp-duid",
    "dhcp-iaid",
    "dhcp-timeout",
    "ra-timeout",
    "dhcp-send-hostname",
    "dhcp-send-hostname-v2",
    "dhcp-hostname",
    "dhcp-fqdn",
    "dhcp-hostname-flags",
];

/// Where addresses come from: a change of this is a change of the whole stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Off,
    Static,
    Auto,
    /// The kernel decides: `ignore`, and `auto` on the loopback.
    Kernel,
}

impl Source {
    fn of(profile: &Profile, is_v6: bool) -> Option<Self> {
        Some(match profile.text(setting(is_v6), "method")? {
            "disabled" => Self::Off,
            "auto" if profile.kind() == Some("loopback") => Self::Kernel,
            "auto" | "dhcp" => Self::Auto,
            "ignore" => Self::Kernel,
            _ => Self::Static, // manual, link-local, shared
        })
    }
}

/// Writes both stacks, with routes, rules and name servers, on which methods depend.
pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>, version: &Version) {
    let controller = wish.controller.map(Interface::kind);
    for is_v6 in [false, true] {
        if controller == Some(&InterfaceType::Hsr) {
            // No port as NetworkManager sees it, so it would start DHCP there.
            switch_off(profile, is_v6, "disabled");
        } else if is_bare_port(wish) {
            profile.0.remove(setting(is_v6));
        } else if *wish.interface.kind() == InterfaceType::Ipsec {
            write_tunnel(profile, wish, is_v6);
        } else {
            Writer { wish, version, is_v6, name: setting(is_v6) }.write(profile);
        }
    }
}

/// Whether it is a port that holds no IP: every port but those of a VRF and the internal ports of
/// Open vSwitch. The settings of such a port are dropped by NetworkManager itself.
fn is_bare_port(wish: &Wish<'_>) -> bool {
    let interface = wish.interface;
    let named = interface.controller.as_deref().is_some_and(|name| !name.is_empty());
    match (interface.kind(), wish.controller.map(Interface::kind)) {
        (InterfaceType::OvsInterface, _) | (_, Some(InterfaceType::Vrf)) => false,
        (_, Some(_)) => true,
        (_, None) => {
            named && ![false, true].iter().any(|v6| family(interface, *v6).is_some_and(Ip::is_enabled))
        }
    }
}

fn family(interface: &Interface, is_v6: bool) -> Option<&Ip> {
    if is_v6 { interface.ipv6.as_deref() } else { interface.ipv4.as_deref() }
}

fn switch_off(profile: &mut Profile, is_v6: bool, method: &str) {
    let name = setting(is_v6);
    for key in NOT_WHEN_OFF.iter().chain(&ONLY_WHEN_AUTO) {
        if !is_empty_list(profile.get(name, key)) {
            profile.unset(name, key);
        }
    }
    profile.set(name, "method", method);
}

/// A tunnel of IPsec takes what its other end gives, or nothing (semantics K15).
fn write_tunnel(profile: &mut Profile, wish: &Wish<'_>, is_v6: bool) {
    let Some(ip) = family(if wish.is_new { wish.interface } else { wish.said }, is_v6) else {
        return;
    };
    match ip.is_enabled() && ip.dhcp != Some(false) {
        true => profile.set(setting(is_v6), "method", "auto"),
        false => switch_off(profile, is_v6, "disabled"),
    }
}

/// Writes one stack.
struct Writer<'a> {
    wish: &'a Wish<'a>,
    version: &'a Version,
    is_v6: bool,
    name: &'static str,
}

impl Writer<'_> {
    fn write(&self, profile: &mut Profile) {
        let said = family(self.wish.said, self.is_v6);
        let is_new = self.wish.is_new || profile.get(self.name, "method").is_none();
        if let Some(routes) = self.wish.routes {
            routes::write(profile, routes, self.is_v6);
        }
        if let Some(rules) = self.wish.rules {
            rules::write(profile, rules, self.is_v6);
        }
        if is_new || said.is_some() || self.wish.routes.is_some() {
            self.write_stack(profile, said, is_new);
        }
        if let Some(settings) = self.wish.dns {
            dns::write(profile, settings, self.is_v6);
        }
    }

    fn write_stack(&self, profile: &mut Profile, said: Option<&Ip>, is_new: bool) {
        let off = Ip::new(false);
        let nothing = Ip::empty();
        let whole = family(self.wish.interface, self.is_v6).unwrap_or(&off);
        let was = Source::of(profile, self.is_v6).filter(|_| !is_new);
        let source = self.source(whole);
        let changes = was != Some(source);
        // Where addresses come from somewhere else than before, nothing old holds.
        let asked = if changes { whole } else { said.unwrap_or(&nothing) };

        if changes || asked.address.is_some() {
            self.write_addresses(profile, whole);
        }
        if changes && source == Source::Auto && self.wish.routes.is_none() {
            put_list::<Setting>(profile, self.name, "route-data", Vec::new());
            profile.unset(self.name, "gateway");
        }
        let method = self.method(profile, whole, source);
        match method {
            "disabled" => switch_off(profile, self.is_v6, method),
            _ => profile.set(self.name, "method", method),
        }
        if self.count(profile, "address-data") == 0 {
            profile.unset(self.name, "gateway"); // refused without an address
        }
        if method != "disabled" {
            self.write_metric(profile, asked, changes);
            if source == Source::Auto {
                self.write_auto(profile, asked, changes);
            } else if changes {
                ONLY_WHEN_AUTO.iter().for_each(|key| profile.unset(self.name, key));
            }
            if self.is_v6 {
                let own = said.unwrap_or(&nothing);
                self.write_addr_gen(profile, own, whole, is_new);
            }
        }
        let forwarding = said.and_then(|said| said.forwarding).filter(|_| !self.is_v6);
        if let Some(on) = forwarding.filter(|_| self.version.bits & HAS_FORWARDING != 0) {
            profile.set(self.name, "forwarding", Value::I32(on.into()));
        }
    }

    fn count(&self, profile: &Profile, key: &str) -> usize {
        profile.get(self.name, key).and_then(Value::as_dicts).map_or(0, <[_]>::len)
    }

    fn is_loopback(&self) -> bool {
        *self.wish.interface.kind() == InterfaceType::Loopback
    }

    fn source(&self, whole: &Ip) -> Source {
        match (whole.is_enabled(), whole.is_auto()) {
            (true, false) if self.is_loopback() && !whole.addresses().iter().any(is_ours) => Source::Kernel,
            (true, true) => Source::Auto,
            (true, false) => Source::Static,
            // The loopback cannot be without.
            (false, _) if self.is_loopback() => Source::Kernel,
            (false, _) => Source::Off,
        }
    }

    fn method(&self, profile: &Profile, whole: &Ip, source: Source) -> &'static str {
        let count = |key| self.count(profile, key);
        let present = profile.text(self.name, "method").unwrap_or_default();
        match source {
            Source::Off => "disabled",
            Source::Kernel if present == "ignore" => "ignore",
            Source::Kernel => "auto",
            Source::Auto if self.is_v6 && whole.dhcp == Some(true) && whole.autoconf != Some(true) => "dhcp",
            Source::Auto => "auto",
            // A document cannot ask for it, and it is no less than what it asks for.
            Source::Static if present == "shared" && (self.is_v6 || count("address-data") <= 1) => "shared",
            Source::Static if count("address-data") > 0 => "manual",
            Source::Static if count("route-data") > 0 && self.version.at_least(1, 46) => "manual",
            Source::Static if self.is_v6 || present == "link-local" => "link-local",
            // There is no IPv4 without an address (semantics M32).
            Source::Static => "disabled",
        }
    }

    /// Entries of addresses that stay keep what else they have. A configured IPv6 link-local
    /// address, which a document cannot mention, stays, too.
    fn write_addresses(&self, profile: &mut Profile, whole: &Ip) {
        let entries = profile.get(self.name, "address-data").and_then(Value::as_dicts).unwrap_or_default();
        let is_link_local = profile.text(self.name, "method") == Some("link-local");
        let ours = |address: &&Address| match address.ip {
            IpAddr::V4(ip) if is_link_local => !ip.is_link_local() && is_ours(address),
            _ => is_ours(address),
        };
        let mut list: Vec<Setting> = Vec::new();
        for wanted in whole.addresses().iter().filter(ours) {
            let same = |entry: &&Setting| {
                address(entry)
                    .is_some_and(|own| (own.ip, own.prefix_length) == (wanted.ip, wanted.prefix_length))
            };
            list.push(entries.iter().find(same).cloned().unwrap_or_else(|| address_entry(wanted)));
        }
        let unmentionable = |entry: &&Setting| address(entry).is_some_and(|own| own.is_v6_link_local());
        list.extend(entries.iter().filter(unmentionable).cloned());
        put_list(profile, self.name, "address-data", list);
    }

    /// One property for both metrics (semantics M31).
    fn write_metric(&self, profile: &mut Profile, asked: &Ip, changes: bool) {
        let prefix = asked.prefix_route_metric.filter(|_| !self.is_v6);
        let metrics = [asked.auto_route_metric, prefix];
        if changes || metrics.iter().any(Option::is_some) {
            let metric = metrics.into_iter().flatten().find(|metric| *metric >= 0);
            profile.put(self.name, "route-metric", metric);
        }
    }

    fn write_auto(&self, profile: &mut Profile, asked: &Ip, changes: bool) {
        let name = self.name;
        let negated = [
            ("ignore-auto-dns", asked.auto_dns),
            ("never-default", asked.auto_gateway),
            ("ignore-auto-routes", asked.auto_routes),
        ];
        for (key, wanted) in negated {
            if changes || wanted.is_some() {
                profile.put(name, key, wanted.filter(|on| !on).map(|_| true));
            }
        }
        if changes || asked.auto_route_table_id.is_some() {
            let table = asked.auto_route_table_id.filter(|table| *table != 0);
            profile.put(name, "route-table", table);
        }
        self.write_client(profile, asked, changes);
        if changes || asked.dhcp_send_hostname.is_some() || asked.dhcp_custom_hostname.is_some() {
            self.write_hostname(profile, asked, changes);
        }
        if self.is_v6 && (changes || asked.token.is_some()) {
            let token = asked.token.as_deref().filter(|token| !matches!(*token, "" | "::"));
            profile.put(name, "token", token);
        }
    }

    /// Who asks, and for how long (semantics M33). An interface that has been asking keeps its name.
    fn write_client(&self, profile: &mut Profile, asked: &Ip, changes: bool) {
        let (key, default) = if self.is_v6 { ("dhcp-duid", "ll") } else { ("dhcp-client-id", "mac") };
        let wanted = match self.is_v6 {
            true => asked.dhcp_duid.as_ref().map(|duid| duid.word().to_owned()),
            false => asked.dhcp_client_id.as_ref().map(client_id),
        };
        let mut default_to = |key, value: Value| {
            if changes && profile.get(self.name, key).is_none() {
                profile.set(self.name, key, value);
            }
        };
        default_to(key, default.into());
        default_to("dhcp-timeout", Value::I32(INFINITE));
        if self.is_v6 {
            default_to("dhcp-iaid", "mac".into());
            default_to("ra-timeout", Value::I32(INFINITE));
        }
        if let Some(wanted) = wanted {
            profile.set(self.name, key, wanted);
        }
    }

    /// Never both a short and a full name (semantics M29).
    fn write_hostname(&self, profile: &mut Profile, asked: &Ip, changes: bool) {
        let name = self.name;
        if changes || asked.dhcp_send_hostname.is_some() {
            profile.put(name, "dhcp-send-hostname", asked.dhcp_send_hostname.filter(|on| !on));
            profile.unset(name, "dhcp-send-hostname-v2"); // it would win
        }
        let is_silent = asked.dhcp_send_hostname == Some(false);
        if changes || asked.dhcp_custom_hostname.is_some() || is_silent {
            let custom = asked.dhcp_custom_hostname.as_deref().filter(|own| !own.is_empty() && !is_silent);
            let is_full = !self.is_v6 && custom.is_some_and(|own| own.contains('.'));
            profile.put(name, "dhcp-hostname", custom.filter(|_| !is_full));
            if !self.is_v6 {
                profile.put(name, "dhcp-fqdn", custom.filter(|_| is_full));
                if !is_full {
                    profile.unset(name, "dhcp-hostname-flags"); // they say how a full name is sent
                }
            }
        }
    }

    /// A token needs addresses made of it (semantics M35).
    fn write_addr_gen(&self, profile: &mut Profile, said: &Ip, whole: &Ip, is_new: bool) {
        let known = |mode: &&AddrGenMode| !matches!(mode, AddrGenMode::Other(_));
        let present = whole.addr_gen_mode.as_ref().filter(known).filter(|_| is_new);
        let fallback = AddrGenMode::Eui64;
        let has_token = profile.get(self.name, "token").is_some();
        let needed = (is_new || has_token).then_some(&fallback);
        let mode = said.addr_gen_mode.as_ref().or(present.filter(|_| !has_token)).or(needed);
        if let Some(mode) = mode {
            profile.set(self.name, "addr-gen-mode", Value::I32(addr_gen_number(mode)));
        }
    }
}

/// Whether an address belongs into a profile: not leased, not the kernel's, no other program's
/// (semantics M27).
fn is_ours(address: &Address) -> bool {
    !address.is_dynamic() && !address.is_foreign() && !address.is_v6_link_local()
}

fn address_entry(address: &Address) -> Setting {
    Setting::from([
        ("address".to_owned(), address.ip.to_string().into()),
        ("prefix".to_owned(), u32::from(address.prefix_length).into()),
    ])
}

fn address(entry: &Setting) -> Option<Address> {
    let ip = entry.get("address")?.as_text()?.parse().ok()?;
    Some(Address::new(ip, u8::try_from(entry.get("prefix")?.as_number()?).ok()?))
}

fn client_id(id: &DhcpClientId) -> String {
    match id {
        DhcpClientId::LinkLayer => "mac".to_owned(),
        DhcpClientId::IaidDuid => "duid".to_owned(),
        DhcpClientId::Other(text) => text.clone(),
    }
}

fn addr_gen_number(mode: &AddrGenMode) -> i32 {
    match mode {
        AddrGenMode::Eui64 => 0,
        AddrGenMode::StablePrivacy => 1,
        AddrGenMode::Other(text) => text.parse().unwrap_or(0),
    }
}

/// What NetworkManager cannot do of what is asked; with the path below the interface.
pub(super) fn refusals(said: &Interface) -> Vec<Problem> {
    let Some(ip) = family(said, true) else { return Vec::new() };
    let mut refusals = Vec::new();
    let path = |key: &str| Path::root().key("ipv6").key(key);
    if ip.autoconf == Some(true) && ip.dhcp == Some(false) {
        // V18
        let text = "NetworkManager has no autoconf without DHCPv6";
        refusals.push(Problem::new(ErrorKind::NotImplementedError, path("dhcp"), text));
    }
    let mut refuse = |key: &str, text: &str| {
        refusals.push(Problem::new(ErrorKind::NotSupportedError, path(key), text));
    };
    if let Some(DhcpDuid::Enterprise | DhcpDuid::Uuid) = ip.dhcp_duid {
        refuse("dhcp-duid", "NetworkManager makes no such identifier; `stable-uuid` is its nearest");
    }
    let has_token = ip.token.as_deref().is_some_and(|token| !matches!(token, "" | "::"));
    if has_token && ip.addr_gen_mode.as_ref().is_some_and(|mode| addr_gen_number(mode) != 0) {
        refuse("token", "a token needs `addr-gen-mode: eui64`");
    }
    refusals
}

/// What a profile says of both stacks; None where it says nothing (a port).
pub(super) fn read(profile: &Profile) -> (Option<Ip>, Option<Ip>) {
    let family = |is_v6| profile.has(setting(is_v6)).then(|| read_family(profile, is_v6));
    (family(false), family(true))
}

fn read_family(profile: &Profile, is_v6: bool) -> Ip {
    let name = setting(is_v6);
    let flag = |key: &str| profile.get(name, key).and_then(Value::as_bool);
    let number = |key: &str| profile.get(name, key).and_then(Value::as_number);
    let source = Source::of(profile, is_v6).unwrap_or(Source::Kernel);
    let metric = number("route-metric").and_then(|metric| i64::try_from(metric).ok()).unwrap_or(-1);
    let entries = profile.get(name, "address-data").and_then(Value::as_dicts).unwrap_or_default();
    let addresses: Vec<Address> = entries.iter().filter_map(address).collect();
    let mut ip = Ip {
        auto_route_metric: Some(metric),
        prefix_route_metric: Some(metric).filter(|_| !is_v6),
        forwarding: number("forwarding").filter(|_| !is_v6).and_then(|number| match number {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }),
        ..Ip::empty()
    };
    match source {
        Source::Off => ip.enabled = Some(false),
        Source::Kernel if profile.kind() == Some("loopback") => {
            ip.dhcp = Some(false);
            ip.autoconf = is_v6.then_some(false);
        }
        Source::Kernel => {}
        Source::Static => {
            ip.enabled = Some(true);
            ip.dhcp = Some(false);
            ip.autoconf = is_v6.then_some(false);
            ip.address = Some(addresses);
        }
        Source::Auto => {
            ip.enabled = Some(true);
            ip.dhcp = Some(true);
            ip.autoconf = is_v6.then_some(profile.text(name, "method") == Some("auto"));
            ip.address = Some(addresses);
            ip.auto_dns = Some(flag("ignore-auto-dns") != Some(true));
            ip.auto_gateway = Some(flag("never-default") != Some(true));
            ip.auto_routes = Some(flag("ignore-auto-routes") != Some(true));
            ip.auto_route_table_id =
                Some(number("route-table").and_then(|table| u32::try_from(table).ok()).unwrap_or(0));
            read_client(profile, is_v6, &mut ip);
        }
    }
    if is_v6 && matches!(source, Source::Static | Source::Auto) {
        ip.addr_gen_mode = Some(match number("addr-gen-mode") {
            None | Some(1 | 3) => AddrGenMode::StablePrivacy,
            Some(0 | 2) => AddrGenMode::Eui64,
            Some(other) => AddrGenMode::Other(other.to_string()),
        });
        let token = profile.text(name, "token").filter(|token| !token.is_empty());
        ip.token = token.map(|token| token.parse::<Ipv6Addr>().map_or(token.to_owned(), |ip| ip.to_string()));
    }
    ip
}

/// How DHCP asks (semantics S65).
fn read_client(profile: &Profile, is_v6: bool, ip: &mut Ip) {
    let name = setting(is_v6);
    let newer = profile.get(name, "dhcp-send-hostname-v2").and_then(Value::as_number);
    let older = profile.get(name, "dhcp-send-hostname").and_then(Value::as_bool);
    let sends = match newer {
        Some(on @ (0 | 1)) => on == 1,
        _ => older.unwrap_or(true),
    };
    ip.dhcp_send_hostname = Some(sends);
    let full = profile.text(name, "dhcp-fqdn").filter(|_| !is_v6);
    let custom = full.or(profile.text(name, "dhcp-hostname")).filter(|name| !name.is_empty());
    ip.dhcp_custom_hostname = custom.filter(|_| sends || is_v6).map(str::to_owned);
    if is_v6 {
        ip.dhcp_duid = profile.text(name, "dhcp-duid").filter(|own| !own.is_empty()).map(DhcpDuid::from_word);
    } else {
        ip.dhcp_client_id = match profile.text(name, "dhcp-client-id") {
            None | Some("") => None,
            Some("mac") => Some(DhcpClientId::LinkLayer),
            Some("duid") => Some(DhcpClientId::IaidDuid),
            Some(text) => Some(DhcpClientId::Other(text.to_owned())),
        };
    }
}

#[cfg(test)]
mod tests;
