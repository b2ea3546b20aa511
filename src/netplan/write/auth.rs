//! `auth`: port authentication.

use serde_json::{Map, Value as Json};

use super::Writer;
use crate::netplan::{Kind, Netdef, Tree};
use crate::state::{Ieee8021x, Node, Part, Reader, Secret};

/// A document's key, and netplan's.
const TEXTS: [(&str, &str); 5] = [
    ("identity", "identity"),
    ("ca-cert", "ca-certificate"),
    ("client-cert", "client-certificate"),
    ("private-key", "client-key"),
    ("phase2-auth", "phase2-auth"),
];

/// Methods that netplan knows.
const METHODS: [&str; 5] = ["tls", "peap", "ttls", "leap", "pwd"];

impl Writer<'_> {
    pub(super) fn auth(&mut self, kind: Kind) {
        self.done.insert("802.1x");
        let Some(auth) = self.wish.interface.ieee8021x.as_deref() else { return };
        if kind != Kind::Ethernet {
            if self.is_changed("802.1x.identity") || self.is_changed("802.1x.eap-methods") {
                self.refuse("802.1x", "netplan has port authentication only for Ethernet hardware");
            }
            return;
        }
        let given = serde_json::to_value(auth).unwrap_or(Json::Null);
        let method = match auth.eap_methods.as_deref() {
            Some([method]) if METHODS.contains(&method.as_str()) => method.clone(),
            _ => {
                self.refuse(
                    "802.1x.eap-methods",
                    format!("netplan takes one method of {}", METHODS.join(", ")),
                );
                return;
            }
        };
        let mut keys = Map::new();
        keys.insert("key-management".into(), "802.1x".into());
        keys.insert("method".into(), method.into());
        for (own, key) in TEXTS {
            if let Some(text) = given.get(own).and_then(Json::as_str) {
                keys.insert(key.into(), text.into());
            }
        }
        let secrets = [
            ("password", "password", &auth.password),
            ("private-key-password", "client-key-password", &auth.private_key_password),
        ];
        for (own, key, secret) in secrets {
            let Some(secret) = secret else { continue };
            match self.secret(secret, key) {
                Some(text) => drop(keys.insert(key.into(), text.into())),
                None => {
                    self.refuse(
                        &format!("802.1x.{own}"),
                        "a hidden secret, and our file of netplan has none to keep",
                    );
                }
            }
        }
        self.keys.insert("auth".into(), keys.into());
    }

    /// The text that hides one means: as it is.
    fn secret(&self, secret: &Secret, key: &str) -> Option<String> {
        if !secret.is_placeholder() {
            return Some(secret.expose().to_owned());
        }
        let own = self.around.own?.get("auth")?.get(key)?;
        own.text().map(str::to_owned)
    }
}

/// What a netdef says of it.
pub(in crate::netplan) fn read(netdef: &Netdef) -> Option<Ieee8021x> {
    let auth = netdef.get("auth").filter(|_| netdef.kind == Kind::Ethernet)?;
    if auth.get("key-management").and_then(Tree::text) != Some("802.1x") {
        return None;
    }
    let text = |key: &str| auth.get(key).and_then(Tree::text);
    let mut given = Map::new();
    given.insert("eap-methods".into(), text("method").into_iter().collect());
    for (own, key) in TEXTS {
        if let Some(text) = text(key) {
            given.insert(own.into(), text.into());
        }
    }
    let mut section = Ieee8021x::read(&Node::from_json(&given.into()), &mut Reader::new())?;
    section.password = text("password").map(Secret::new);
    section.private_key_password = text("client-key-password").map(Secret::new);
    Some(section)
}
