//! Which netdef is which interface.

use std::collections::BTreeMap;

use super::{Config, Netdef};
use crate::state::Mac;

/// What netdefs can match of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Burnt in; virtual devices have none.
    pub permanent_mac: Option<Mac>,
    pub driver: Option<String>,
}

/// The interfaces of the system, by name.
pub type Devices = BTreeMap<String, Device>;

impl Netdef {
    /// Whether this definition is for the interface of that name.
    pub fn is_for(&self, name: &str, device: Option<&Device>) -> bool {
        if self.get("set-name").and_then(super::Tree::text) == Some(name) {
            return true;
        }
        let Some(criteria) = self.get("match").filter(|_| self.kind.is_physical()) else {
            return self.id == name;
        };
        let text = |key| criteria.get(key).and_then(super::Tree::text);
        let is_named = text("name").is_none_or(|pattern| glob(pattern, name));
        let has_mac = text("macaddress").is_none_or(|mac| {
            let own = device.and_then(|device| device.permanent_mac);
            own.is_some() && own == mac.parse().ok()
        });
        // A pattern, or a list of them.
        let has_driver = criteria.get("driver").is_none_or(|driver| {
            let patterns = driver.text().into_iter().chain(driver.texts());
            let own = device.and_then(|device| device.driver.as_deref());
            patterns.into_iter().any(|pattern| own.is_some_and(|own| glob(pattern, own)))
        });
        // Whatever is matched, it is hardware.
        let is_hardware = device.is_none_or(|device| device.permanent_mac.is_some());
        is_named && has_mac && has_driver && (is_hardware || text("name") == Some(name))
    }

    /// The interfaces of the system that this definition is for.
    pub fn devices<'a>(&self, devices: &'a Devices) -> Vec<&'a str> {
        if !self.is_matched() {
            // Most are for the one of their name: with hundreds of each, nobody compares all with all.
            return devices.get_key_value(&self.id).map(|(name, _)| name.as_str()).into_iter().collect();
        }
        let own = devices.iter().filter(|(name, device)| self.is_for(name, Some(device)));
        own.map(|(name, _)| name.as_str()).collect()
    }

    /// Whether it says itself what it is for, instead of by its name.
    fn is_matched(&self) -> bool {
        self.get("set-name").is_some() || self.kind.is_physical() && self.get("match").is_some()
    }
}

impl Config {
    /// The definition that is for an interface: the one of its name before one that matches it.
    pub fn netdef_of(&self, name: &str, devices: &Devices) -> Option<&Netdef> {
        let device = devices.get(name);
        let own = self.netdefs.get(name).filter(|netdef| netdef.is_for(name, device));
        let mut matched = self.netdefs.values().filter(|netdef| netdef.is_matched());
        own.or_else(|| matched.find(|netdef| netdef.is_for(name, device)))
    }
}

/// Shell patterns as in fnmatch(3): `*`, `?`, `[a-z]`, `[!x]`.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Where to go on after the last `*` when what follows it does not fit.
    let (mut p, mut t, mut retry) = (0, 0, None);
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Step::Star => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Step::Fits(length) => {
                p += length;
                t += 1;
            }
            Step::Not => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                (p, t) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum Step {
    Star,
    /// That many characters of the pattern stand for the character.
    Fits(usize),
    Not,
}

fn one(pattern: &[char], c: char) -> Step {
    let fits = |yes, length| if yes { Step::Fits(length) } else { Step::Not };
    match pattern {
        [] => Step::Not,
        ['*', ..] => Step::Star,
        ['?', ..] => Step::Fits(1),
        ['[', rest @ ..] => {
            let is_negated = matches!(rest, ['!' | '^', ..]);
            let set = &rest[usize::from(is_negated)..];
            // A bracket that comes first is one of the set.
            let Some(end) = set.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else {
                return fits(c == '[', 1);
            };
            let length = 1 + usize::from(is_negated) + end + 1;
            fits(in_set(&set[..end], c) != is_negated, length)
        }
        [own, ..] => fits(*own == c, 1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    match set {
        [] => false,
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&c) || in_set(rest, c),
        [own, rest @ ..] => *own == c || in_set(rest, c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_the_shell() {
        for (pattern, text, fits) in [
            ("eth0", "eth0", true),
            ("en*", "enp0s3", true),
            ("en*s?", "enp0s3", true),
            ("en*s?", "enp0s33", false),
            ("*", "", true),
            ("eth[0-2]", "eth1", true),
            ("eth[!0-2]", "eth1", false),
            ("eth[]x]", "eth]", true),
            ("eth[", "eth[", true),
            ("*a*b", "xaxxab", true),
            ("", "x", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }
}
