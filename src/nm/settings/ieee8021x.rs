//! `802-1x` (nm-settings-dbus(5)). The supplicant that does it is wpa_supplicant.

use super::Wish;
use super::way::{self, Form, Text, Way};
use crate::nm::{Profile, Value};
use crate::state::{Ieee8021x, Interface, Secret};

const SETTING: &str = "802-1x";

/// The section stands alone (M66), but a hidden secret is the stored one.
pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let Some(said) = wish.said.ieee8021x.as_deref() else { return };
    let mut section = wish.interface.ieee8021x.as_deref().unwrap_or(said).clone();
    let is_hidden = |secret: &Option<Secret>| secret.as_ref().is_some_and(Secret::is_placeholder);
    if is_hidden(&said.password) {
        section.password.clone_from(&said.password);
    }
    if is_hidden(&said.private_key_password) {
        section.private_key_password.clone_from(&said.private_key_password);
    }
    if section.is_empty() {
        profile.0.remove(SETTING);
        return;
    }
    way::write(profile, SETTING, |setting| keys(Way::Replace(setting), &mut section));
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    interface.ieee8021x = way::read(profile, SETTING, super::nothing(), keys).map(Box::new);
}

fn keys(mut way: Way<'_>, section: &mut Ieee8021x) {
    way.field("identity", Text, &mut section.identity);
    way.field("eap", Methods, &mut section.eap_methods);
    way.field("private-key", File, &mut section.private_key);
    way.field("client-cert", File, &mut section.client_cert);
    way.field("ca-cert", File, &mut section.ca_cert);
    way.secret("private-key-password", &mut section.private_key_password);
    way.field("phase2-auth", Text, &mut section.phase2_auth);
    way.secret("password", &mut section.password);
}

/// `as`
struct Methods;

impl Form<Vec<String>> for Methods {
    fn encode(&self, methods: &Vec<String>) -> Option<Value> {
        (!methods.is_empty()).then(|| methods.clone().into())
    }

    fn decode(&self, value: &Value) -> Option<Vec<String>> {
        value.as_texts().map(<[String]>::to_vec)
    }
}

/// A path as `ay`: `file://`, the path, and a zero byte. A certificate that is stored in the
/// profile itself has no path.
struct File;

const SCHEME: &str = "file://";

impl Form<String> for File {
    fn encode(&self, path: &String) -> Option<Value> {
        (!path.is_empty()).then(|| format!("{SCHEME}{path}\0").into_bytes().into())
    }

    fn decode(&self, value: &Value) -> Option<String> {
        let text = std::str::from_utf8(value.as_bytes()?).ok()?;
        Some(text.strip_prefix(SCHEME)?.trim_end_matches('\0').to_owned())
    }
}
