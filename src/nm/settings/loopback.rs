//! The loopback is what it is without a profile, too: one that says no more than that is not kept.

use crate::nm::{Profile, Setting, Value};

/// Whether a profile of the loopback says no more than what the loopback is by itself.
pub fn is_needless(profile: &Profile) -> bool {
    let says_nothing = |setting: &str, properties: &Setting| {
        properties.iter().all(|(property, value)| value.is_empty() || is_plain(setting, property, value))
    };
    profile.kind() == Some("loopback")
        && profile.0.iter().all(|(setting, properties)| says_nothing(setting, properties))
}

fn is_plain(setting: &str, property: &str, value: &Value) -> bool {
    match (setting, property) {
        ("connection", "id" | "interface-name") => value.as_text() == Some("lo"),
        ("connection", "uuid" | "type" | "timestamp") => true,
        ("ipv4" | "ipv6", "method") => matches!(value.as_text(), Some("manual" | "auto")),
        ("ipv4", "address-data") => is_only(value, "127.0.0.1", 8),
        ("ipv6", "address-data") => is_only(value, "::1", 128),
        // No address is made from it.
        ("ipv6", "addr-gen-mode") => true,
        _ => false,
    }
}

fn is_only(addresses: &Value, ip: &str, prefix: u32) -> bool {
    let own = Setting::from([("address".to_owned(), ip.into()), ("prefix".to_owned(), prefix.into())]);
    addresses.as_dicts() == Some(&[own])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> Profile {
        let mut profile = Profile::default();
        for (property, value) in [("id", "lo"), ("interface-name", "lo"), ("type", "loopback"), ("uuid", "u")]
        {
            profile.set("connection", property, value);
        }
        profile.set("connection", "permissions", Vec::<String>::new());
        profile.0.entry("loopback".to_owned()).or_default();
        for (family, ip, prefix) in [("ipv4", "127.0.0.1", 8_u32), ("ipv6", "::1", 128)] {
            let address =
                Setting::from([("address".to_owned(), ip.into()), ("prefix".to_owned(), prefix.into())]);
            profile.set(family, "method", "manual");
            profile.set(family, "address-data", vec![address]);
            profile.set(family, "route-data", Vec::<Setting>::new());
        }
        profile
    }

    #[test]
    fn what_says_more_is_kept() {
        assert!(is_needless(&plain()));
        let route =
            Setting::from([("dest".to_owned(), "192.0.2.0".into()), ("prefix".to_owned(), 24_u32.into())]);
        let mut holder = plain();
        holder.set("ipv4", "route-data", vec![route]);
        assert!(!is_needless(&holder));
        let mut named = plain();
        named.set("connection", "id", "mine");
        assert!(!is_needless(&named));
        let mut limited = plain();
        limited.set("loopback", "mtu", 1500_u32);
        assert!(!is_needless(&limited));
        let mut addressed = plain();
        addressed.set("ipv4", "address-data", Vec::<Setting>::new());
        addressed.set("ipv4", "method", "auto");
        assert!(is_needless(&addressed));
        addressed.set("connection", "type", "dummy");
        assert!(!is_needless(&addressed));
    }
}
