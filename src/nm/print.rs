//! Profiles as text: one line for each property, secrets hidden.

use std::fmt;

use super::{Profile, Setting, Value};
use crate::state::HIDDEN_SECRET;

/// Properties that hold secrets (the lists of secrets of nm-settings-dbus(5)).
const SECRETS: [(&str, &str); 25] = [
    ("802-1x", "ca-cert-password"),
    ("802-1x", "client-cert-password"),
    ("802-1x", "password"),
    ("802-1x", "password-raw"),
    ("802-1x", "phase2-ca-cert-password"),
    ("802-1x", "phase2-client-cert-password"),
    ("802-1x", "phase2-private-key-password"),
    ("802-1x", "pin"),
    ("802-1x", "private-key-password"),
    ("802-11-wireless-security", "leap-password"),
    ("802-11-wireless-security", "psk"),
    ("802-11-wireless-security", "wep-key0"),
    ("802-11-wireless-security", "wep-key1"),
    ("802-11-wireless-security", "wep-key2"),
    ("802-11-wireless-security", "wep-key3"),
    ("adsl", "password"),
    ("cdma", "password"),
    ("gsm", "password"),
    ("gsm", "pin"),
    ("macsec", "mka-cak"),
    ("pppoe", "password"),
    ("vpn", "secrets"),
    ("wireguard", "peers"),
    ("wireguard", "preshared-key"),
    ("wireguard", "private-key"),
];

/// Whether nobody may see that property.
pub fn is_secret(setting: &str, property: &str) -> bool {
    SECRETS.contains(&(setting, property))
}

/// `setting.property = value`, in alphabetical order; a setting without properties is a line of
/// its own.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (setting, properties) in &self.0 {
            if properties.is_empty() {
                writeln!(f, "{setting}")?;
            }
            for (property, value) in properties {
                write!(f, "{setting}.{property} = ")?;
                if is_secret(setting, property) {
                    writeln!(f, "{HIDDEN_SECRET}")?;
                } else {
                    writeln!(f, "{value}")?;
                }
            }
        }
        Ok(())
    }
}

/// As displayed: a derived form would show secrets.
impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.to_string().lines()).finish()
    }
}

/// Numbers carry the letter of their D-Bus type, where it is not `u`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Byte(value) => write!(f, "{value} y"),
            Self::U16(value) => write!(f, "{value} q"),
            Self::I32(value) => write!(f, "{value} i"),
            Self::U32(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value} x"),
            Self::U64(value) => write!(f, "{value} t"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => bytes_text(f, bytes),
            Self::Texts(texts) => write!(f, "{texts:?}"),
            Self::Numbers(numbers) => write!(f, "{numbers:?}"),
            Self::Map(map) => {
                let entries: Vec<String> = map.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                write!(f, "{{{}}}", entries.join(", "))
            }
            Self::Dict(setting) => dict(f, setting),
            Self::Dicts(dicts) => {
                f.write_str("[")?;
                for (index, entry) in dicts.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { ", " })?;
                    dict(f, entry)?;
                }
                f.write_str("]")
            }
            Self::Other { signature, bytes } => write!(f, "{signature} ({} bytes)", bytes.len()),
        }
    }
}

fn dict(f: &mut fmt::Formatter<'_>, setting: &Setting) -> fmt::Result {
    let entries: Vec<String> = setting.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    write!(f, "{{{}}}", entries.join(", "))
}

/// A MAC address, or text that ends with a zero byte, as certificates are.
fn bytes_text(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    if let Some(text) = bytes.strip_suffix(&[0]).and_then(|text| std::str::from_utf8(text).ok()) {
        return write!(f, "{text:?}+0");
    }
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    f.write_str(&pairs.join(":"))
}
