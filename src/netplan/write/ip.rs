//! Addresses, and where they come from.
//!
//! The two renderers differ in what a netdef without a word about it means: networkd has no IPv4 then, but
//! link-local IPv6 and router advertisements; NetworkManager has link-local IPv4, and leaves IPv6 to the
//! kernel. So all of it is always said, to NetworkManager by the methods of its profiles.

use std::net::IpAddr;

use serde_json::{Map, Value as Json, json};

use super::Writer;
use crate::netplan::row::{at, pass, passed, put};
use crate::netplan::tables::{AUTOMATIC, AUTOMATIC_PASSED};
use crate::netplan::{Netdef, Renderer, Tree, Value, Version};
use crate::state::{AddrGenMode, Address, InterfaceType, Ip};

impl Writer<'_> {
    pub(super) fn ip(&mut self) {
        for family in ["ipv4", "ipv6"] {
            for key in ["enabled", "dhcp", "autoconf", "address", "addr-gen-mode", "prefix-route-metric"] {
                self.done.insert(match (family, key) {
                    ("ipv4", "enabled") => "ipv4.enabled",
                    ("ipv4", "dhcp") => "ipv4.dhcp",
                    ("ipv4", "address") => "ipv4.address",
                    ("ipv4", "prefix-route-metric") => "ipv4.prefix-route-metric",
                    ("ipv6", "enabled") => "ipv6.enabled",
                    ("ipv6", "dhcp") => "ipv6.dhcp",
                    ("ipv6", "autoconf") => "ipv6.autoconf",
                    ("ipv6", "address") => "ipv6.address",
                    ("ipv6", "addr-gen-mode") => "ipv6.addr-gen-mode",
                    _ => continue,
                });
            }
        }
        if self.is_bare_port() {
            // Whatever a port is said to have, it has none while it is one.
            self.done.extend(["ipv4", "ipv6"]);
            return;
        }
        let (ipv4, ipv6) = (self.family(false), self.family(true));
        let addresses: Vec<Json> = [&ipv4, &ipv6]
            .into_iter()
            .filter(|ip| ip.is_enabled())
            .flat_map(|ip| ip.addresses())
            .filter(|address| is_ours(address))
            .map(|address| self.address(address))
            .collect();
        if !addresses.is_empty() {
            // networkd waits for a carrier, which a bridge without ports never has (systemd.network(5),
            // `ConfigureWithoutCarrier=`).
            if self.is_networkd() && self.kind == InterfaceType::LinuxBridge {
                self.keys.insert("ignore-carrier".into(), true.into());
            }
            self.keys.insert("addresses".into(), addresses.into());
        }
        self.method4(&ipv4);
        self.method6(&ipv6);
        self.automatic(&ipv4, &ipv6);
        self.generation(&ipv6);
        self.prefix_metric(&ipv4);
    }

    fn family(&self, is_v6: bool) -> Ip {
        let interface = &self.wish.interface;
        let ip = if is_v6 { interface.ipv6.as_deref() } else { interface.ipv4.as_deref() };
        let ip = ip.cloned().unwrap_or_else(|| Ip::new(false));
        // An IPv4 stack that has no address and asks for none is off (semantics M32).
        let is_off = !is_v6 && !ip.is_auto() && !ip.addresses().iter().any(is_ours);
        if is_off { Ip::new(false) } else { ip }
    }

    /// Ports hold no IP, but for those of VRFs.
    fn is_bare_port(&self) -> bool {
        let is_port = self.wish.interface.controller.as_deref().is_some_and(|name| !name.is_empty());
        let is_free =
            self.around.controller == Some(InterfaceType::Vrf) || self.kind == InterfaceType::OvsInterface;
        is_port && !is_free
    }

    /// NetworkManager's netdefs know no life time; a preferred one of zero is all that networkd's do.
    fn address(&mut self, address: &Address) -> Json {
        let text = format!("{}/{}", address.ip, address.prefix_length);
        let is_deprecated =
            address.preferred_life_time.as_deref().is_some_and(|time| matches!(time, "0" | "0sec"));
        if is_deprecated && self.is_networkd() { json!({ text: {"lifetime": 0} }) } else { text.into() }
    }

    fn method4(&mut self, ip: &Ip) {
        if ip.is_auto() {
            self.keys.insert("dhcp4".into(), true.into());
        } else if !ip.is_enabled() && !self.is_networkd() {
            pass(&mut self.keys, "ipv4.method", &"disabled".into());
        }
    }

    fn method6(&mut self, ip: &Ip) {
        let (dhcp, autoconf) = (ip.dhcp == Some(true), ip.autoconf == Some(true));
        let has_addresses = ip.addresses().iter().any(is_ours);
        // What is there without having been asked for gets what is nearest.
        let is_asked =
            ["ipv6.enabled", "ipv6.dhcp", "ipv6.autoconf"].into_iter().any(|path| self.is_changed(path));
        let (dhcp, autoconf) = match self.around.renderer {
            Renderer::NetworkManager if autoconf && !is_asked => (true, true),
            Renderer::Networkd if dhcp && !is_asked => (true, true),
            _ => (dhcp, autoconf),
        };
        let is_said = self.around.own.is_some_and(|own| own.get("accept-ra").is_some());
        let keys = &mut self.keys;
        let mut set = |key: &str, value: Json| drop(keys.insert(key.into(), value));
        match (self.around.renderer, ip.is_enabled(), dhcp, autoconf) {
            (Renderer::Networkd, false, ..) => {
                set("link-local", json!([]));
                set("accept-ra", false.into());
            }
            (Renderer::Networkd, true, false, false) => set("accept-ra", false.into()),
            // It does so by itself.
            (Renderer::Networkd, true, false, true) if !is_asked && !is_said => {}
            (Renderer::Networkd, true, false, true) => set("accept-ra", true.into()),
            (_, true, true, true) => {
                set("dhcp6", true.into());
                if self.is_networkd() {
                    self.keys.insert("accept-ra".into(), true.into());
                }
            }
            (Renderer::Networkd, true, true, false) => {
                self.refuse(
                    "ipv6.autoconf",
                    "networkd asks for DHCPv6 only where router advertisements say so",
                );
            }
            (Renderer::NetworkManager, false, ..) => pass(keys, "ipv6.method", &"disabled".into()),
            (Renderer::NetworkManager, true, true, false) => {
                set("dhcp6", true.into());
                pass(&mut self.keys, "ipv6.method", &"dhcp".into());
            }
            (Renderer::NetworkManager, true, false, true) => {
                self.refuse("ipv6.dhcp", "NetworkManager has no autoconf without DHCPv6");
            }
            (Renderer::NetworkManager, true, false, false) if !has_addresses => {
                pass(keys, "ipv6.method", &"link-local".into());
            }
            (Renderer::NetworkManager, true, false, false) => {}
        }
    }

    /// What is taken from DHCP and router advertisements.
    fn automatic(&mut self, ipv4: &Ip, ipv6: &Ip) {
        let table = if self.is_networkd() { AUTOMATIC } else { AUTOMATIC_PASSED };
        for row in table {
            let ip = if row.path.starts_with("ipv4") { ipv4 } else { ipv6 };
            let is_default =
                at(&self.whole, row.path).is_some_and(|value| row.is_default(value) || *value == json!(0));
            if !ip.is_auto() || is_default {
                // Nothing is taken, or all of it, as ever.
                self.done.insert(row.path);
            } else {
                self.row(row);
            }
        }
        if !self.is_networkd() {
            return;
        }
        if ipv4.is_auto() && ipv4.auto_gateway == Some(false) && ipv4.auto_routes == Some(false) {
            let gateway = crate::state::Path::root().keys("ipv4.auto-gateway");
            self.refusals.retain(|(path, _)| *path != gateway);
        }
        if ipv6.is_auto() && ipv6.auto_dns == Some(false) && ipv6.autoconf == Some(true) {
            self.needs(Version::new(1, 1, 0), "ipv6.auto-dns", "router advertisements without name servers");
            put(&mut self.keys, "ra-overrides.use-dns", false);
        }
        if ipv6.is_auto() && ipv6.dhcp != Some(true) {
            let overrides = self.keys.remove("dhcp6-overrides");
            let others = overrides.as_ref().and_then(Json::as_object).into_iter().flatten();
            for (key, _) in others.filter(|(key, _)| *key != "use-dns") {
                self.refuse("ipv6", format!("netplan has `{key}` only for what comes by DHCP"));
            }
        }
        self.overrides_agree(ipv4, ipv6);
    }

    /// networkd's part of netplan takes one set of overrides for both families.
    fn overrides_agree(&mut self, ipv4: &Ip, ipv6: &Ip) {
        let is_both = ipv4.is_auto() && ipv6.is_auto() && ipv6.dhcp == Some(true);
        let own = |family: &str| self.keys.get(family).and_then(Json::as_object).cloned().unwrap_or_default();
        let (four, six) = (own("dhcp4-overrides"), own("dhcp6-overrides"));
        if !is_both || four == six {
            return;
        }
        // Of routes, DHCPv6 brings none: what is said of them is said of both.
        let differs = four
            .keys()
            .chain(six.keys())
            .find(|key| key.as_str() != "use-routes" && four.get(key.as_str()) != six.get(key.as_str()));
        let Some(key) = differs else {
            self.keys.insert("dhcp6-overrides".into(), four.into());
            return;
        };
        let text =
            format!("networkd takes one `{key}` for both families from netplan, and ipv4 says another");
        let path = match key.as_str() {
            "use-dns" => "ipv6.auto-dns",
            "route-metric" => "ipv6.auto-route-metric",
            "send-hostname" => "ipv6.dhcp-send-hostname",
            "hostname" => "ipv6.dhcp-custom-hostname",
            _ => "ipv6",
        };
        self.refuse(path, text);
    }

    /// What interface identifiers are made of. A token is one itself.
    fn generation(&mut self, ip: &Ip) {
        let Some(mode) = ip.addr_gen_mode.as_ref().filter(|_| ip.is_enabled()) else { return };
        let is_said = at(&self.said, "ipv6.addr-gen-mode").is_some();
        if ip.token.as_deref().is_some_and(|token| token != "::" && !token.is_empty()) {
            return;
        }
        match mode {
            AddrGenMode::Other(_) if self.is_changed("ipv6.addr-gen-mode") => {
                self.refuse("ipv6.addr-gen-mode", "netplan knows `eui64` and `stable-privacy`");
            }
            AddrGenMode::Other(_) => {}
            // The kernel's default, and networkd's.
            AddrGenMode::Eui64 if self.is_networkd() && !is_said => {}
            _ if self.is_networkd() => {
                self.keys.insert("ipv6-address-generation".into(), mode.word().into());
            }
            // By the key, netplan makes invalid profiles of netdefs without IPv6 address.
            _ => pass(&mut self.keys, "ipv6.addr-gen-mode", &mode.word().into()),
        }
    }

    fn prefix_metric(&mut self, ip: &Ip) {
        let Some(metric) = ip.prefix_route_metric.filter(|metric| *metric >= 0 && ip.is_enabled()) else {
            return;
        };
        let is_said = at(&self.said, "ipv4.prefix-route-metric").is_some();
        if self.is_networkd() {
            if self.is_changed("ipv4.prefix-route-metric") {
                self.refuse("ipv4.prefix-route-metric", self.has_no_key("prefix-route-metric"));
            }
        } else if is_said {
            pass(&mut self.keys, "ipv4.route-metric", &metric.into());
        }
    }
}

/// What a definition says whose interface has no IP.
pub(in crate::netplan) fn without_ip(renderer: Renderer) -> Map<String, Json> {
    let mut keys = Map::new();
    match renderer {
        Renderer::Networkd => {
            keys.insert("link-local".into(), json!([]));
            keys.insert("accept-ra".into(), false.into());
        }
        Renderer::NetworkManager => {
            pass(&mut keys, "ipv4.method", &"disabled".into());
            pass(&mut keys, "ipv6.method", &"disabled".into());
        }
    }
    keys
}

/// Whether an address belongs into a file: not leased, not the kernel's, no other program's.
pub(super) fn is_ours(address: &Address) -> bool {
    !address.is_dynamic() && !address.is_foreign() && !address.is_v6_link_local()
}

/// What a netdef says of addressing, as the sections `ipv4` and `ipv6` of a document.
pub(in crate::netplan) fn read(netdef: &Netdef, renderer: Renderer, is_port: bool) -> (Json, Json) {
    let flag = |key: &str| netdef.get(key).and_then(Tree::flag);
    let method = |property| passed(&netdef.keys, property).and_then(Tree::text);
    let mut stacks = [Map::new(), Map::new()];
    for address in netdef.get("addresses").map(Tree::items).unwrap_or_default() {
        let Some((ip, entry)) = read_address(address) else { continue };
        let list = stacks[usize::from(ip.is_ipv6())].entry("address").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(entry);
        }
    }
    let [mut ipv4, mut ipv6] = stacks;
    let has = |stack: &Map<String, Json>| stack.contains_key("address");

    let dhcp4 = flag("dhcp4") == Some(true);
    // On NetworkManager, nothing said is link-local IPv4, which a document has no word for.
    let on4 = (dhcp4 || has(&ipv4)) && method("ipv4.method") != Some("disabled") && !is_port;
    ipv4.insert("enabled".into(), on4.into());

    let link_local = match netdef.get("link-local") {
        Some(list) => list.texts().any(|family| family == "ipv6"),
        None => !is_port,
    };
    let dhcp6 = flag("dhcp6") == Some(true) || method("ipv6.method") == Some("dhcp");
    let takes_ra = match (renderer, flag("accept-ra")) {
        (_, Some(accept)) => accept,
        // networkd and the kernel take them unless told otherwise.
        (Renderer::Networkd, None) => link_local || dhcp6,
        (Renderer::NetworkManager, None) => dhcp6 || (!has(&ipv6) && method("ipv6.method").is_none()),
    };
    let takes_ra = takes_ra && !matches!(method("ipv6.method"), Some("dhcp" | "disabled" | "link-local"));
    let on6 = (dhcp6 || has(&ipv6) || takes_ra || link_local)
        && method("ipv6.method") != Some("disabled")
        && !is_port;
    ipv6.insert("enabled".into(), on6.into());
    if on4 {
        ipv4.insert("dhcp".into(), dhcp4.into());
    }
    if on6 {
        ipv6.insert("dhcp".into(), dhcp6.into());
        ipv6.insert("autoconf".into(), takes_ra.into());
    }
    let generation = netdef
        .get("ipv6-address-generation")
        .or_else(|| passed(&netdef.keys, "ipv6.addr-gen-mode"))
        .and_then(Tree::text);
    if let Some(mode) = generation.filter(|_| on6) {
        ipv6.insert("addr-gen-mode".into(), mode.into());
    }
    let is_auto = [on4 && dhcp4, on6 && (dhcp6 || takes_ra)];
    let mut stacks = [ipv4, ipv6];
    for row in AUTOMATIC.iter().chain(AUTOMATIC_PASSED) {
        let Some((family, key)) = row.path.split_once('.') else { continue };
        let index = usize::from(family == "ipv6");
        if !is_auto[index] {
            continue;
        }
        match row.decode(&netdef.keys) {
            Some(value) => drop(stacks[index].insert(key.to_owned(), value)),
            None => {
                if let Some(default) = row.default.filter(|default| !default.is_empty() && *default != "::") {
                    stacks[index].entry(key).or_insert_with(|| default.into());
                }
            }
        }
    }
    let [mut ipv4, mut ipv6] = stacks;
    let ra_names = netdef.get("ra-overrides.use-dns").and_then(Tree::flag);
    if is_auto[1] && ra_names == Some(false) {
        ipv6.insert("auto-dns".into(), false.into());
    }
    let metric = passed(&netdef.keys, "ipv4.route-metric").and_then(Tree::text);
    if let Some(metric) = metric.filter(|_| on4 && !dhcp4) {
        ipv4.insert("prefix-route-metric".into(), metric.into());
    }
    let refuses_routes = netdef.get("dhcp4-overrides.use-routes").and_then(Tree::flag) == Some(false);
    if is_auto[0] && refuses_routes {
        ipv4.insert("auto-gateway".into(), false.into());
    }
    (ipv4.into(), ipv6.into())
}

/// `192.0.2.1/24`, or `192.0.2.1/24: {lifetime: 0}`.
fn read_address(entry: &Tree) -> Option<(IpAddr, Json)> {
    let (text, options) = match &entry.value {
        Value::Map(keys) => keys.iter().next().map(|(text, options)| (text.as_str(), Some(options)))?,
        _ => (entry.text()?, None),
    };
    let (ip, prefix) = text.split_once('/')?;
    let ip: IpAddr = ip.parse().ok()?;
    let prefix: u8 = prefix.parse().ok()?;
    let mut address = json!({"ip": ip.to_string(), "prefix-length": prefix});
    let lifetime = options.and_then(|options| options.get("lifetime")).and_then(Tree::text);
    if lifetime == Some("0")
        && let Some(keys) = address.as_object_mut()
    {
        keys.insert("valid-life-time".into(), "forever".into());
        keys.insert("preferred-life-time".into(), "0sec".into());
    }
    Some((ip, address))
}
