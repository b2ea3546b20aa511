//! What belongs to no interface, and yet must stand with one: rules, name servers, routes that lead nowhere.
//!
//! What is held stays where it is while that can hold it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value as Json};

use super::{Composer, Draft, contains, json_of, merge};
use crate::netplan::row::{pass, plain, unpass};
use crate::netplan::write::routes;
use crate::netplan::{File, Folder, Kind, Netdef, OWN, Renderer, Tree, Version};
use crate::state::{Node, Route, RouteRule};

/// Where priorities begin that nobody chose.
const FIRST_PRIORITY: i64 = 30_000;

/// What a definition is good for.
pub(super) struct Facts {
    renderer: Renderer,
    /// Whether it has addresses of its own, and whether it gets some: for IPv4 and IPv6.
    has: [bool; 2],
    is_auto: [bool; 2],
    has_default_route: bool,
    tables: BTreeSet<u32>,
    /// It may hold nothing.
    is_port: bool,
    is_down: bool,
}

impl Facts {
    /// Whether what needs addresses of a family can stand there.
    pub(super) fn takes(&self, is_v6: bool) -> bool {
        let index = usize::from(is_v6);
        self.has[index] || self.is_auto[index]
    }

    /// The more, the rather its name servers are asked.
    fn rank(&self) -> u32 {
        u32::from(self.has_default_route) * 4
            + u32::from(self.is_auto.contains(&true)) * 2
            + u32::from(self.has.contains(&true))
    }
}

impl Composer<'_> {
    /// What a definition says with what others say of it.
    pub(super) fn merged(&self, id: &str) -> Map<String, Json> {
        let foreign = self.foreign.netdefs.get(id).map(|netdef| json_of(&netdef.keys));
        let mut keys = foreign.and_then(|keys| keys.as_object().cloned()).unwrap_or_default();
        if self.touched.contains_key(id) {
            // Ours is the whole.
            keys.clear();
        }
        if let Some(draft) = self.drafts.get(id) {
            merge(&mut keys, draft.keys.clone());
        }
        keys
    }

    pub(super) fn facts(&self, id: &str) -> Facts {
        let keys = self.merged(id);
        let is = |key: &str| {
            keys.get(key).is_some_and(|value| matches!(plain(value).as_str(), "true" | "yes" | "on"))
        };
        let list = |key: &str| keys.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let has = |is_v6: bool| {
            list("addresses").iter().any(|entry| {
                let text = entry.as_object().and_then(|keys| keys.keys().next().cloned());
                text.unwrap_or_else(|| plain(entry)).contains(':') == is_v6
            })
        };
        let text = |entry: &Json, key: &str| entry.get(key).map(plain);
        let to_everything = |entry: &Json| {
            text(entry, "to").is_some_and(|to| to == "default" || to.ends_with("/0"))
                && entry.get("table").is_none()
        };
        let lists =
            |keys: &Map<String, Json>| keys.get("interfaces").is_some_and(|ports| contains(ports, id));
        let ours = self.drafts.values().any(|draft| draft.kind != Kind::Vrf && lists(&draft.keys));
        let theirs = self.foreign.netdefs.values().any(|netdef| {
            netdef.kind != Kind::Vrf
                && netdef.get("interfaces").into_iter().flat_map(Tree::texts).any(|port| port == id)
        });
        Facts {
            renderer: self.renderer_of(id),
            has: [has(false), has(true)],
            is_auto: [is("dhcp4"), is("dhcp6")],
            has_default_route: list("routes").iter().any(to_everything)
                || keys.contains_key("gateway4")
                || keys.contains_key("gateway6"),
            tables: list("routes").iter().filter_map(|entry| text(entry, "table")?.parse().ok()).collect(),
            is_port: ours || theirs,
            is_down: keys.contains_key("activation-mode"),
        }
    }

    /// Definitions that can hold something: ours first.
    fn candidates(&self) -> Vec<(String, Facts)> {
        let foreign = self.foreign.netdefs.keys().filter(|id| !self.drafts.contains_key(*id));
        let all = self.drafts.keys().chain(foreign).map(|id| (id.clone(), self.facts(id)));
        all.filter(|(_, facts)| !facts.is_port && !facts.is_down).collect()
    }

    fn add_entry(&mut self, id: &str, list: &str, entry: Json) {
        let draft = self.draft(id);
        let entries = draft.keys.entry(list).or_insert_with(|| Json::Array(Vec::new()));
        if let Some(entries) = entries.as_array_mut() {
            entries.push(entry);
        }
    }

    /// Blackholes and their like: networkd takes them from any definition.
    pub(super) fn routes_nowhere(&mut self) {
        let is_asked = |route: &&Route| route.route_type.is_some() && !route.is_absent();
        // What is said of the interfaces' routes only adds to these.
        let is_whole = self.wanted.nowhere.is_some();
        let wanted = self.wanted.nowhere.as_deref().unwrap_or(&self.wanted.routes);
        let mut left: Vec<&Route> = wanted.iter().filter(is_asked).collect();
        let mut held_elsewhere = Vec::new();
        for entry in
            self.foreign.netdefs.values().filter_map(|netdef| netdef.get("routes")).flat_map(Tree::items)
        {
            let Some(held) = routes::read_route(entry, "").filter(|route| route.route_type.is_some()) else {
                continue;
            };
            match left.iter().position(|route| routes::is_same_route(&held, route)) {
                Some(index) => drop(left.remove(index)),
                None if is_whole => held_elsewhere.push(entry.origin.to_string()),
                None => {}
            }
        }
        for draft in self.drafts.values_mut() {
            let Some(Json::Array(entries)) = draft.keys.get_mut("routes") else { continue };
            entries.retain(|entry| {
                let Some(held) = read_back(entry, |tree| routes::read_route(tree, "")) else { return true };
                if held.route_type.is_none() {
                    return true;
                }
                let found = left.iter().position(|route| routes::is_same_route(&held, route));
                found.map(|index| left.remove(index)).is_some() || !is_whole
            });
            if entries.is_empty() {
                draft.keys.remove("routes");
            }
        }
        for origin in held_elsewhere {
            let text =
                format!("{origin} says a route that leads nowhere, and only there it can be taken out");
            self.refuse_at("routes.config", text);
        }
        for route in left {
            let found = self.candidates().into_iter().find(|(_, facts)| facts.renderer == Renderer::Networkd);
            let (id, renderer) = match found {
                Some((id, facts)) => (id, facts.renderer),
                None if self.target.renderer == Renderer::NetworkManager => {
                    (String::new(), self.target.renderer)
                }
                None => {
                    self.refuse_at(
                        "routes.config",
                        "no definition of netplan can hold routes that lead nowhere",
                    );
                    return;
                }
            };
            match routes::route(route, false, renderer, self.target.version) {
                Ok(entry) => self.add_entry(&id, "routes", entry),
                Err(text) => self.refuse_at("routes.config", text),
            }
        }
    }

    pub(super) fn rules(&mut self) {
        let Some(wanted) = self.wanted.rules.as_deref() else { return };
        let mut left: Vec<&RouteRule> = wanted.iter().filter(|rule| !rule.is_absent()).collect();
        let mut held_elsewhere = Vec::new();
        for netdef in self.foreign.netdefs.values() {
            for entry in netdef.get("routing-policy").map(Tree::items).unwrap_or_default() {
                let held = routes::read_rule(entry);
                let found =
                    held.and_then(|held| left.iter().position(|rule| routes::is_same_rule(&held, rule)));
                match found {
                    Some(index) => drop(left.remove(index)),
                    None => held_elsewhere.push(entry.origin.to_string()),
                }
            }
        }
        for origin in held_elsewhere {
            self.refuse_at(
                "route-rules.config",
                format!("{origin} says a rule, and only there it can be taken out"),
            );
        }
        let can_hold: BTreeSet<String> = self.candidates().into_iter().map(|(id, _)| id).collect();
        for (id, draft) in &mut self.drafts {
            let Some(Json::Array(entries)) = draft.keys.get_mut("routing-policy") else { continue };
            entries.retain(|entry| {
                let held = read_back(entry, routes::read_rule).filter(|_| can_hold.contains(id));
                let found =
                    held.and_then(|held| left.iter().position(|rule| routes::is_same_rule(&held, rule)));
                found.map(|index| left.remove(index)).is_some()
            });
            if entries.is_empty() {
                draft.keys.remove("routing-policy");
            }
        }
        let mut taken: BTreeSet<i64> = wanted.iter().filter_map(|rule| rule.priority).collect();
        for rule in left {
            let priority = rule.priority.filter(|priority| *priority >= 0).unwrap_or_else(|| {
                let free = (FIRST_PRIORITY..).find(|priority| !taken.contains(priority));
                free.unwrap_or(FIRST_PRIORITY)
            });
            taken.insert(priority);
            match routes::rule(rule, priority) {
                Ok(entry) => self.place_rule(rule, entry),
                Err(text) => self.refuse_at("route-rules.config", text),
            }
        }
    }

    fn place_rule(&mut self, rule: &RouteRule, entry: Json) {
        let is_v6 = routes::is_v6_rule(rule);
        let needs_address = |facts: &Facts| facts.renderer == Renderer::NetworkManager;
        let able = |facts: &Facts| !needs_address(facts) || facts.takes(is_v6);
        let candidates: Vec<_> = self.candidates().into_iter().filter(|(_, facts)| able(facts)).collect();
        let leads_there = |facts: &Facts| rule.route_table.is_some_and(|table| facts.tables.contains(&table));
        let best = candidates
            .iter()
            .find(|(_, facts)| leads_there(facts))
            .or_else(|| candidates.iter().find(|(_, facts)| facts.takes(is_v6)))
            .or_else(|| candidates.first());
        let Some((id, facts)) = best else {
            self.refuse_at("route-rules.config", "no definition of netplan can hold a rule of that family");
            return;
        };
        if facts.renderer == Renderer::NetworkManager && self.target.version < Version::new(1, 1, 2) {
            self.refuse_at("route-rules.config", "rules need netplan 1.1.2 or later with NetworkManager");
            return;
        }
        let id = id.clone();
        self.add_entry(&id, "routing-policy", entry);
    }

    /// Name servers stand with the interface that leads to everywhere.
    pub(super) fn resolver(&mut self) {
        let Some(wanted) = self.wanted.dns.clone() else { return };
        for draft in self.drafts.values_mut() {
            draft.keys.remove("nameservers");
            forget_options(draft);
        }
        let mut servers = wanted.server.unwrap_or_default();
        let mut searches = wanted.search.unwrap_or_default();
        for (netdef, list, wanted) in self.foreign_names(&mut servers, &mut searches) {
            let text = format!("{} says {list} `{wanted}`, and only there it can be taken out", netdef);
            self.refuse_at("dns-resolver.config", text);
        }
        let options = wanted.options.unwrap_or_default();
        let mut holders = [None, None];
        for server in &servers {
            let (address, scope) = match server.split_once('%') {
                Some((address, scope)) => (address, Some(scope)),
                None => (server.as_str(), None),
            };
            let Ok(ip) = address.parse::<IpAddr>() else {
                self.refuse_at("dns-resolver.config.server", format!("`{server}` is no address"));
                continue;
            };
            let holder = match scope {
                Some(scope) => Some(self.id_of(scope)),
                None => self.resolver_holder(Some(ip.is_ipv6())),
            };
            let Some(holder) = holder else {
                self.refuse_at(
                    "dns-resolver.config.server",
                    format!("no definition of netplan can hold `{server}`"),
                );
                continue;
            };
            self.add_name(&holder, "addresses", address);
            holders[usize::from(ip.is_ipv6())].get_or_insert(holder);
        }
        let first = holders.iter().flatten().next().cloned().or_else(|| self.resolver_holder(None));
        for search in &searches {
            match &first {
                Some(holder) => self.add_name(&holder.clone(), "search", search),
                None => {
                    self.refuse_at(
                        "dns-resolver.config.search",
                        format!("no definition of netplan can hold `{search}`"),
                    );
                }
            }
        }
        if !options.is_empty() {
            self.options(first.as_deref(), &options);
        }
    }

    fn options(&mut self, holder: Option<&str>, options: &[String]) {
        let Some(id) = holder.filter(|id| self.renderer_of(id) == Renderer::NetworkManager) else {
            self.refuse_at("dns-resolver.config.options", "netplan has no key for options of the resolver");
            return;
        };
        let is_v6 = !self.facts(id).takes(false);
        let list: String = options.iter().map(|option| format!("{option};")).collect();
        let property = if is_v6 { "ipv6.dns-options" } else { "ipv4.dns-options" };
        let draft = self.draft(id);
        pass(&mut draft.keys, property, &list.into());
    }

    /// Who leads to everywhere; with NetworkManager it needs an address of the family.
    fn resolver_holder(&self, is_v6: Option<bool>) -> Option<String> {
        let able = |facts: &Facts| match (facts.renderer, is_v6) {
            (Renderer::NetworkManager, Some(is_v6)) => facts.takes(is_v6),
            _ => facts.takes(false) || facts.takes(true),
        };
        let mut candidates: Vec<_> = self.candidates().into_iter().filter(|(_, facts)| able(facts)).collect();
        candidates.sort_by_key(|(_, facts)| std::cmp::Reverse(facts.rank()));
        candidates.into_iter().next().map(|(id, _)| id)
    }

    fn add_name(&mut self, id: &str, list: &str, text: &str) {
        let draft = self.draft(id);
        let names = draft.keys.entry("nameservers").or_insert_with(|| Map::new().into());
        if let Some(names) = names.as_object_mut() {
            let entries = names.entry(list).or_insert_with(|| Json::Array(Vec::new()));
            if let Some(entries) = entries.as_array_mut() {
                entries.push(text.into());
            }
        }
    }

    /// Takes out what others hold already; returns what they say that is not wanted.
    fn foreign_names(
        &self,
        servers: &mut Vec<String>,
        searches: &mut Vec<String>,
    ) -> Vec<(String, &'static str, String)> {
        let mut unwanted = Vec::new();
        for netdef in self.foreign.netdefs.values() {
            let lists: [(&str, &'static str, &mut Vec<String>); 2] =
                [("addresses", "the name server", servers), ("search", "the domain", searches)];
            for (key, word, wanted) in lists {
                for entry in names(netdef, key) {
                    let Some(text) = entry.text() else { continue };
                    // An address can be written in several ways.
                    let address: Option<IpAddr> = text.parse().ok();
                    let is_it = |own: &String| {
                        let own = own.split('%').next().unwrap_or_default();
                        own == text || address.is_some() && own.parse().ok() == address
                    };
                    match wanted.iter().position(is_it) {
                        Some(index) => drop(wanted.remove(index)),
                        None => unwanted.push((entry.origin.to_string(), word, text.to_owned())),
                    }
                }
            }
        }
        unwanted
    }
}

/// The routes of a definition that lead nowhere.
pub(super) fn nowhere_of(netdef: Option<&Netdef>) -> Vec<Json> {
    let entries = netdef.and_then(|netdef| netdef.get("routes")).map(Tree::items).unwrap_or_default();
    let leads_nowhere =
        |entry: &&Tree| routes::read_route(entry, "").is_some_and(|route| route.route_type.is_some());
    entries.iter().filter(leads_nowhere).map(json_of).collect()
}

fn names<'a>(netdef: &'a Netdef, key: &str) -> &'a [Tree] {
    netdef.get("nameservers").and_then(|names| names.get(key)).map(Tree::items).unwrap_or_default()
}

/// Options of the resolver go with its servers.
fn forget_options(draft: &mut Draft) {
    for property in ["ipv4.dns-options", "ipv6.dns-options"] {
        unpass(&mut draft.keys, property);
    }
}

/// One of our own entries, read as it will be.
fn read_back<T>(entry: &Json, read: impl Fn(&Tree) -> Option<T>) -> Option<T> {
    let file = std::sync::Arc::new(File::new(Folder::Run, OWN));
    read(&Tree::of(&Node::from_json(entry), &file))
}
