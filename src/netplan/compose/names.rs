//! What a definition is called: as its interface, unless the document has a name for it.
//!
//! A definition of hardware may have any name, and then says what it is for (`match`). What netplan makes is called
//! as its definition.

use serde_json::Value as Json;

use super::Composer;
use crate::netplan::{Netdef, Renderer, Wish};
use crate::state::{Identifier, InterfaceType};

/// Under which the definition is known where others refer to it.
const REFERENCES: [&str; 4] = ["interfaces", "link", "peer", "primary"];
/// Mappings by the names of ports.
const BY_PORT: [&str; 2] = ["path-cost", "port-priority"];

/// The name that an interface's definition is asked to have. NetworkManager has names of profiles for everything
/// else.
pub(super) fn asked(wish: &Wish, renderer: Renderer) -> Option<&str> {
    let interface = &wish.interface;
    let is_hardware = matches!(interface.kind(), InterfaceType::Ethernet | InterfaceType::Infiniband);
    let is_found = interface.identifier == Some(Identifier::MacAddress);
    let name = interface.profile_name.as_deref()?;
    (is_hardware && (is_found || renderer == Renderer::Networkd)).then_some(name)
}

/// Whether netplan takes it, and files of the renderers can be called so.
fn is_name(id: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:@".contains(c);
    !id.starts_with('.') && !id.is_empty() && id.chars().all(is_plain)
}

/// Whether a name is one word, whatever reads it: programs' command lines have it as it is.
pub(super) fn is_one_word(id: &str) -> bool {
    let is_mark = |c: char| c.is_whitespace() || c.is_control() || "\"'\\`;$%".contains(c);
    !id.is_empty() && !id.starts_with('-') && !id.contains(is_mark)
}

impl Composer<'_> {
    /// Why the interface cannot have a definition that is called so, or is found so; with the key that asks for it.
    pub(super) fn misnamed(
        &self,
        wish: &Wish,
        id: &str,
        foreign: Option<&Netdef>,
    ) -> Option<(&'static str, String)> {
        let name = wish.interface.name.as_str();
        let said = &wish.said;
        if let Some(foreign) = foreign {
            let finds = foreign.get("match.macaddress").is_some();
            let asks = said.identifier.map(|identifier| identifier == Identifier::MacAddress);
            if asks.is_some_and(|asks| asks != finds) {
                return Some((
                    "identifier",
                    format!("{} says how it is found, and only there it can", foreign.origin),
                ));
            }
            let calls = said.profile_name.as_deref().filter(|calls| *calls != id);
            let calls = calls.filter(|_| asked(wish, self.renderer_of(id)).is_some());
            return calls.map(|_| ("profile-name", format!("{} calls it `{id}`", foreign.origin)));
        }
        if id != name {
            let is_for_it = |netdef: &Netdef| netdef.is_for(name, self.devices.get(name));
            let own = self.own.netdefs.get(id).is_some_and(|netdef| !is_for_it(netdef));
            let is_wished = self.wanted.interfaces.iter().any(|other| other.interface.name == id);
            if own || is_wished || self.foreign.netdefs.contains_key(id) || self.devices.contains_key(id) {
                return Some(("profile-name", format!("`{id}` is another interface, or its definition")));
            }
            if !is_name(id) {
                let text = "netplan's definitions are called by letters, digits and `_`, `-`, `.`, `:`, `@`";
                return Some(("profile-name", text.to_owned()));
            }
        }
        let device = self.devices.get(name)?;
        let asks = wish.interface.identifier == Some(Identifier::MacAddress);
        let is_another =
            wish.interface.mac_address.is_some() && device.permanent_mac != wish.interface.mac_address;
        (asks && is_another).then(|| {
            let own = device.permanent_mac.map_or_else(|| "none".to_owned(), |mac| mac.to_string());
            (
                "identifier",
                format!("netplan finds hardware by its permanent MAC address, and `{name}` has {own}"),
            )
        })
    }

    /// Takes the definition out of our file, which gets it anew under another name, and has whatever refers to it
    /// follow.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        self.drafts.remove(from);
        for draft in self.drafts.values_mut() {
            for (key, value) in &mut draft.keys {
                rename_in(key, value, from, to);
            }
        }
    }
}

fn rename_in(key: &str, value: &mut Json, from: &str, to: &str) {
    match value {
        Json::String(text) if REFERENCES.contains(&key) && text == from => to.clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(|item| rename_in(key, item, from, to)),
        Json::Object(keys) => {
            if BY_PORT.contains(&key)
                && let Some(value) = keys.remove(from)
            {
                keys.insert(to.to_owned(), value);
            }
            keys.iter_mut().for_each(|(key, value)| rename_in(key, value, from, to));
        }
        _ => {}
    }
}
