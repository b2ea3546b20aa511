//! Name servers: what is configured, globally or in profiles, and what NetworkManager makes of it.

use super::profiles::Profiles;
use crate::nm::image::Image;
use crate::nm::settings::{Names, global_names, keep_first, names_of, shown_server};
use crate::nm::{Setting, Value};
use crate::state::{DnsResolver, DnsSettings};

pub(super) fn resolver(image: &Image, profiles: &Profiles<'_>, is_everything: bool) -> DnsResolver {
    let config = config(image, profiles);
    let running = is_everything.then(|| {
        let server = running_servers(&image.dns.configuration);
        settings(
            server,
            config.search.clone().unwrap_or_default(),
            config.options.clone().unwrap_or_default(),
        )
    });
    DnsResolver { running, config: Some(config) }
}

/// Semantics S45.
fn config(image: &Image, profiles: &Profiles<'_>) -> DnsSettings {
    let (global, has_servers) = global_names(&image.global_dns);
    let Names { mut server, mut search, mut options, .. } = global;
    if has_servers {
        return settings(server, search, options);
    }
    for names in profile_names(image, profiles) {
        server.extend(names.server);
        if image.global_dns.is_empty() {
            search.extend(names.search);
            options.extend(names.options);
        }
    }
    settings(server, search, options)
}

/// What active profiles say, in the order of their priority, up to the first that excludes those
/// behind it.
fn profile_names(image: &Image, profiles: &Profiles<'_>) -> Vec<Names> {
    let mut all: Vec<Names> = Vec::new();
    for device in image.devices.values() {
        let Some(active) = profiles.active_of(device).filter(|active| !active.is_external()) else {
            continue;
        };
        let stored = profiles.by_uuid(&active.uuid).map(|stored| &stored.profile);
        let profile = device.applied.as_ref().map(|applied| &applied.0).or(stored);
        all.extend(profile.into_iter().flat_map(|profile| names_of(profile, Some(&device.name))));
    }
    all.sort_by_key(|names| names.priority);
    let last = all.iter().position(|names| names.priority < 0);
    all.truncate(last.map_or(all.len(), |last| last + 1));
    all
}

/// Semantics S46.
fn settings(server: Vec<String>, mut search: Vec<String>, mut options: Vec<String>) -> DnsSettings {
    keep_first(&mut search);
    keep_first(&mut options);
    let is_any = !server.is_empty() || !search.is_empty();
    DnsSettings {
        server: is_any.then_some(server),
        search: is_any.then_some(search),
        options: Some(options).filter(|options| !options.is_empty()),
    }
}

/// Semantics S47: the servers in use, of `DnsManager.Configuration`.
fn running_servers(entries: &[Setting]) -> Vec<String> {
    let priority = |entry: &&Setting| entry.get("priority").and_then(Value::as_number).unwrap_or(0);
    let interface = |entry: &Setting| entry.get("interface").and_then(Value::as_text).map(str::to_owned);
    let servers = |entry: &&Setting| -> Vec<String> {
        let list = entry.get("nameservers").and_then(Value::as_texts).unwrap_or_default();
        list.iter().map(|server| shown_server(server, interface(entry).as_deref())).collect()
    };
    let mut sorted: Vec<&Setting> = entries.iter().collect();
    sorted.sort_by_key(priority);
    let global = sorted.iter().filter(|entry| interface(entry).is_none());
    let global: Vec<String> = global.flat_map(servers).collect();
    if !global.is_empty() {
        return global;
    }
    let last = sorted.iter().position(|entry| priority(entry) < 0);
    sorted.truncate(last.map_or(sorted.len(), |last| last + 1));
    sorted.iter().flat_map(servers).collect()
}
