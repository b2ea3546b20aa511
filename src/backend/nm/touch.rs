//! Which profiles are those of a transaction: the ones of the interfaces that it touches, of ports whose options it
//! changes, and the holders of routes, rules and name servers that it changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::reapply::is_same;
use super::snapshot::{Private, belongs, interfaces_of_profiles};
use super::work::Which;
use crate::nm::image::Image;
use crate::nm::settings::ovs_ports;
use crate::nm::{Profile, Value};
use crate::plan::Touched;
use crate::state::{InterfaceType, State};

/// What a transaction touches, in terms of profiles.
pub(super) struct Touch<'a> {
    touched: &'a Touched,
    was: &'a Private,
    image: &'a Image,
    /// Names of interfaces: those touched, and all that rest on them.
    pub reach: BTreeSet<String>,
    /// By UUID, of the profiles of now.
    interfaces: BTreeMap<String, Vec<Which>>,
}

/// Settings of a profile: what it is to its controller.
const PORTS: [&str; 2] = ["bond-port", "bridge-port"];
/// Of `ipv4` and `ipv6`: what a profile holds that documents say beside the interfaces.
const ROUTES: [&str; 4] = ["route-data", "gateway", "method", "may-fail"];
const RULES: [&str; 1] = ["routing-rules"];
const DNS: [&str; 5] = ["dns-data", "dns-search", "dns-options", "dns-priority", "ignore-auto-dns"];

impl<'a> Touch<'a> {
    pub(super) fn new(
        touched: &'a Touched,
        before: &State,
        was: &'a Private,
        image: &'a Image,
        now: &State,
    ) -> Self {
        let interfaces = interfaces_of_profiles(image, now);
        let mut reach = touched.reach(before, now);
        // What a bridge of Open vSwitch says of its ports stands in profiles of theirs.
        let bridges = before.interfaces().iter().chain(now.interfaces());
        let bridges = bridges.filter(|one| *one.kind() == InterfaceType::OvsBridge);
        let ports = bridges.filter(|bridge| reach.contains(&bridge.name)).flat_map(ovs_ports);
        let ports: Vec<String> = ports.map(|port| port.port.name).collect();
        reach.extend(ports);
        let mut touch = Self { touched, was, image, reach, interfaces };
        let new = touch.interfaces.keys().filter(|uuid| !was.profiles.contains_key(*uuid));
        let holders =
            was.profiles.keys().chain(new).filter(|uuid| touch.is_holder(uuid) || touch.is_port(uuid));
        let names = holders.flat_map(|uuid| touch.of(uuid)).map(|which| which.name.clone());
        let names: Vec<String> = names.collect();
        touch.reach.extend(names);
        touch
    }

    /// Whether the profile belongs to what is touched.
    pub(super) fn holds(&self, uuid: &str) -> bool {
        self.of(uuid).any(|which| belongs(std::slice::from_ref(which), &self.reach))
    }

    /// The interfaces of a profile, then and now.
    pub(super) fn of(&self, uuid: &str) -> impl Iterator<Item = &Which> {
        let then = self.was.profiles.get(uuid).map(|was| was.interfaces.as_slice());
        let now = self.interfaces.get(uuid).map(Vec::as_slice);
        then.into_iter().chain(now).flatten()
    }

    /// Whether a profile differs in what it is to a bond or a bridge that is touched, and in nothing else: documents
    /// say that of the controller.
    fn is_port(&self, uuid: &str) -> bool {
        let (Some(was), Some((_, stored))) = (self.was.profiles.get(uuid), self.image.stored(uuid)) else {
            return false;
        };
        let controller = stored.profile.text("connection", "master").unwrap_or_default();
        let of_uuid = self.image.stored(controller).and_then(|(_, stored)| stored.profile.interface_name());
        let controller = of_uuid.unwrap_or(controller);
        let rest = |profile: &Profile| {
            let mut rest = profile.clone();
            rest.0.retain(|setting, _| !PORTS.contains(&setting.as_str()));
            rest
        };
        self.reach.contains(controller)
            && !is_same(&was.profile, &stored.profile)
            && is_same(&rest(&was.profile), &rest(&stored.profile))
    }

    /// Whether a profile differs in what the transaction changes beside the interfaces, and in nothing
    /// else; or is new and holds such things.
    fn is_holder(&self, uuid: &str) -> bool {
        let Some((_, stored)) = self.image.stored(uuid).filter(|(_, stored)| stored.is_kept()) else {
            return false;
        };
        let keys = [
            (self.touched.has_routes(), ROUTES.as_slice()),
            (self.touched.has_rules(), RULES.as_slice()),
            (self.touched.has_resolver(), DNS.as_slice()),
        ];
        let keys: BTreeSet<&str> =
            keys.iter().filter(|(is_touched, _)| *is_touched).flat_map(|(_, keys)| *keys).copied().collect();
        let Some(was) = self.was.profiles.get(uuid) else {
            let holds = |key: &&str| is_set(&stored.profile, key);
            return !stored.is_default() && keys.iter().filter(|key| !KINDS.contains(key)).any(holds);
        };
        !keys.is_empty()
            && !is_same(&was.profile, &stored.profile)
            && is_same(&without(&was.profile, &keys), &without(&stored.profile, &keys))
    }
}

/// Of these, every profile has some.
const KINDS: [&str; 4] = ["method", "may-fail", "dns-priority", "ignore-auto-dns"];

fn is_set(profile: &Profile, key: &str) -> bool {
    ["ipv4", "ipv6"].iter().filter_map(|family| profile.get(family, key)).any(|value| match value {
        Value::Dicts(entries) => !entries.is_empty(),
        Value::Texts(texts) => !texts.is_empty(),
        Value::Text(text) => !text.is_empty(),
        _ => true,
    })
}

fn without(profile: &Profile, keys: &BTreeSet<&str>) -> Profile {
    let mut rest = profile.clone();
    for family in ["ipv4", "ipv6"] {
        if let Some(setting) = rest.0.get_mut(family) {
            setting.retain(|key, _| !keys.contains(key.as_str()));
        }
    }
    rest
}
