//! `vpn` of the service libreswan: the keys of its data are those of ipsec.conf(5), and of the
//! document.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::Wish;
use crate::nm::{Profile, Value};
use crate::state::{Interface, InterfaceType, Libreswan, Node, Part, Reader, Secret};

const VPN: &str = "vpn";
const SERVICE: &str = "org.freedesktop.NetworkManager.libreswan";

/// The key of the pre-shared key among the secrets.
const PSK: &str = "pskvalue";

/// Said only when it is off.
const AUTO_DEFAULTS: &str = "nm-auto-defaults";

/// The section stands alone (M62). Keys that the document does not have are kept.
pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    if *wish.interface.kind() != InterfaceType::Ipsec || (!wish.is_new && wish.said.libreswan.is_none()) {
        return;
    }
    let Some(section) = wish.interface.libreswan.as_deref() else { return };
    let said_psk = wish.said.libreswan.as_ref().and_then(|said| said.psk.as_ref());
    let psk = said_psk.filter(|psk| psk.is_placeholder()).or(section.psk.as_ref());
    profile.set(VPN, "service-type", SERVICE);
    let mut data = map(profile, "data");
    data.retain(|key, _| Libreswan::INFO.fields.iter().all(|field| field.key != key));
    data.extend(texts(section));
    let mut secrets = map(profile, "secrets");
    match psk {
        Some(psk) if psk.is_placeholder() => {}
        Some(psk) => {
            secrets.insert(PSK.to_owned(), psk.expose().to_owned());
            // It is stored in the profile itself (NM_SETTING_SECRET_FLAG_NONE).
            data.remove(&format!("{PSK}-flags"));
        }
        None => {
            secrets.remove(PSK);
        }
    }
    profile.set(VPN, "data", data);
    if !secrets.is_empty() || profile.get(VPN, "secrets").is_some() {
        profile.set(VPN, "secrets", secrets);
    }
}

fn map(profile: &Profile, property: &str) -> BTreeMap<String, String> {
    profile.get(VPN, property).and_then(Value::as_map).cloned().unwrap_or_default()
}

/// The keys of the section but the secret.
fn texts(section: &Libreswan) -> BTreeMap<String, String> {
    let Json::Object(keys) = json!(section) else { return BTreeMap::new() };
    let text = |key: &str, value: &Json| match value {
        Json::Bool(true) if key == AUTO_DEFAULTS => None,
        Json::Bool(on) => Some(if *on { "yes" } else { "no" }.to_owned()),
        Json::String(text) => (!text.is_empty()).then(|| text.clone()),
        other => Some(other.to_string()),
    };
    keys.iter()
        .filter(|(key, _)| *key != "psk")
        .filter_map(|(key, value)| Some((key.clone(), text(key, value)?)))
        .collect()
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    if *interface.kind() != InterfaceType::Ipsec || profile.text(VPN, "service-type") != Some(SERVICE) {
        return;
    }
    let data = map(profile, "data");
    let keys = data.iter().filter(|(key, _)| Libreswan::INFO.fields.iter().any(|field| field.key == *key));
    let keys: serde_json::Map<String, Json> = keys.map(|(key, value)| (key.clone(), json!(value))).collect();
    let section = Libreswan::read(&Node::from_json(&Json::Object(keys)), &mut Reader::new());
    let psk = map(profile, "secrets").get(PSK).map(Secret::new);
    interface.libreswan = section.map(|section| Box::new(Libreswan { psk, ..section }));
}
