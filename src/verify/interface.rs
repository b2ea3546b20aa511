//! One interface: what was asked is a part of what is (semantics C2 to C27).

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::compare::{Compare, FAIL};
use super::prepare::prepare;
use super::{AtLimit, Finding, Present, Verdict, limit_ms};
use crate::plan::is_static;
use crate::state::{Address, Interface, InterfaceState, InterfaceType, Ip, Path, Secret};

/// Compares one entry of the expected document with what is.
pub(super) fn verify(wanted: &Interface, origin: &Path, present: &Present<'_>, findings: &mut Vec<Finding>) {
    match wanted.state() {
        InterfaceState::Ignore | InterfaceState::Unknown => {}
        InterfaceState::Absent => findings.extend(still_there(wanted, origin, present)),
        InterfaceState::Down => {
            findings.extend(still_there(wanted, origin, present));
            findings.extend(still_up(wanted, origin, present));
        }
        InterfaceState::Up => match present.find(&wanted.name, wanted.kind()) {
            None => {
                let text = format!("there is no {} of this name", wanted.kind());
                findings.push(existence(wanted, origin.clone(), text, limit(wanted)));
            }
            Some(found) if !is_same_kind(wanted.kind(), found.kind()) => {
                let text = format!("it is of type {}, wanted {}", found.kind(), wanted.kind());
                findings.push(existence(wanted, origin.key("type"), text, limit(wanted)));
            }
            Some(found) => up(wanted, found, origin, present, findings),
        },
    }
}

fn existence(wanted: &Interface, path: Path, text: String, limit_ms: u64) -> Finding {
    let verdict = Verdict::Existence(text);
    Finding { subject: wanted.name.clone(), path, verdict, limit_ms, at_limit: FAIL }
}

/// A removed interface, or a virtual one that is down, must be gone; hardware cannot go (C2).
fn still_there(wanted: &Interface, origin: &Path, present: &Present<'_>) -> Option<Finding> {
    let goes = |found: &&&Interface| match wanted.state() {
        // The cable's type counts as hardware elsewhere, but it can be removed.
        InterfaceState::Absent => found.kind().is_virtual() || *found.kind() == InterfaceType::Veth,
        _ => found.kind().is_virtual(),
    };
    let is_meant = |found: &&&Interface| match wanted.kind() {
        InterfaceType::Unknown => true,
        kind if kind.is_userspace() => found.kind() == kind,
        _ => !found.kind().is_userspace(),
    };
    let found = present.all(&wanted.name).iter().filter(is_meant).find(goes)?;
    let text = format!("the {} is still there, wanted {}", found.kind(), wanted.state());
    Some(existence(wanted, origin.key("state"), text, limit_ms::REMOVAL))
}

/// Hardware that shall be down must not be up. The peer does not look.
fn still_up(wanted: &Interface, origin: &Path, present: &Present<'_>) -> Option<Finding> {
    let found = present.kernel(&wanted.name)?;
    if found.kind().is_virtual() || *found.kind() == InterfaceType::Loopback || !found.is_up() {
        return None;
    }
    let verdict = Verdict::Mismatch { wanted: json!("down"), found: Some(json!("up")) };
    let (subject, path) = (wanted.name.clone(), origin.key("state"));
    Some(Finding { subject, path, verdict, limit_ms: limit_ms::SETTING, at_limit: FAIL })
}

fn is_same_kind(wanted: &InterfaceType, found: &InterfaceType) -> bool {
    // One class internally (A9).
    let class = |kind: &InterfaceType| match kind {
        InterfaceType::Veth => InterfaceType::Ethernet,
        other => other.clone(),
    };
    *wanted == InterfaceType::Unknown || class(wanted) == class(found)
}

/// How long the settings of this interface may take.
fn limit(wanted: &Interface) -> u64 {
    let functions = wanted.ethernet.as_ref().and_then(|ethernet| ethernet.sr_iov.as_ref());
    let functions = functions.and_then(|sr_iov| sr_iov.total_vfs).unwrap_or(0);
    match wanted.kind() {
        InterfaceType::OvsBridge | InterfaceType::OvsInterface => limit_ms::OVS,
        _ if functions > 0 => (limit_ms::VIRTUAL_FUNCTIONS
            + u64::from(functions) * limit_ms::VIRTUAL_FUNCTION)
            .min(limit_ms::VIRTUAL_FUNCTIONS_MAX),
        _ => limit_ms::SETTING,
    }
}

fn up(
    wanted: &Interface,
    found: &Interface,
    origin: &Path,
    present: &Present<'_>,
    findings: &mut Vec<Finding>,
) {
    let mut compare =
        Compare { subject: &wanted.name, limit_ms: limit(wanted), origin: origin.clone(), findings };
    let (mut own, mut theirs) = (wanted.clone(), found.clone());
    prepare(&mut own, &mut theirs, present);
    compare.state(found);
    let waits = present.changed.contains(wanted.name.as_str()) && may_get_carrier(found, present);
    compare.ip("ipv4", wanted.ipv4.as_deref(), found.ipv4.as_deref(), waits);
    compare.ip("ipv6", wanted.ipv6.as_deref(), found.ipv6.as_deref(), waits);
    compare.alt_names(wanted, found);
    compare.value("", &mut origin.clone(), &print(&own), Some(&print(&theirs)));
    compare.secrets(wanted, found);
    compare.virtual_functions(wanted, found, present);
}

/// The interface as a document shows it; secrets are hidden.
pub(super) fn print(interface: &Interface) -> Json {
    serde_json::to_value(interface).expect("the keys of an interface are texts")
}

impl Compare<'_> {
    /// Up is what we do; whether there is a carrier is a matter of cables, and not looked at.
    fn state(&mut self, found: &Interface) {
        if !matches!(found.state(), InterfaceState::Up | InterfaceState::Unknown) {
            let found = json!(found.state().word());
            self.mismatch(&self.origin.key("state"), &json!("up"), Some(&found));
        }
    }

    /// `waits`: whether an address may still come by itself.
    fn ip(&mut self, family: &str, wanted: Option<&Ip>, found: Option<&Ip>, waits: bool) {
        let Some(wanted) = wanted else { return };
        let off = Ip::new(false);
        let found = found.unwrap_or(&off);
        let own: Vec<&Address> = wanted.addresses().iter().filter(|address| is_static(address)).collect();
        let section = self.origin.key(family);

        // IPv4 is shown as on when it has an address; those have their say below, and IPv4 without
        // any is as on as it can be (C13).
        let is_bare = own.is_empty() && found.addresses().is_empty() && !found.is_auto();
        match (wanted.enabled, found.is_enabled()) {
            (Some(false), true) => self.mismatch(&section.key("enabled"), &json!(false), Some(&json!(true))),
            (Some(true), false) if is_bare && family == "ipv6" => {
                self.mismatch(&section.key("enabled"), &json!(true), Some(&json!(false)));
            }
            (Some(true), is_on) if is_bare && wanted.is_auto() && (family == "ipv6" || !is_on) => {
                let verdict = Verdict::Pending("it has no address from the network yet".into());
                self.push(section.key("enabled"), verdict, limit_ms::AUTOMATIC, FAIL);
            }
            // An IPv6 stack gives itself an address when the link has a carrier (RFC 4862, 5.3).
            (Some(true), true) if is_bare && family == "ipv6" => {
                let verdict = Verdict::Pending("it has no link-local address yet".into());
                let limit_ms = if waits { limit_ms::LINK } else { 0 };
                self.push(section.key("enabled"), verdict, limit_ms, AtLimit::Warn);
            }
            _ => {}
        }
        let path = section.key("address");
        let print = |address: &Address| format!("{}/{}", address.ip, address.prefix_length);
        let is_same = |a: &Address, b: &Address| a.ip == b.ip && a.prefix_length == b.prefix_length;
        if wanted.enabled != Some(false) {
            for address in &own {
                if !found.addresses().iter().any(|other| is_same(address, other)) {
                    let verdict = Verdict::Mismatch { wanted: json!(print(address)), found: None };
                    self.push(path.clone(), verdict, limit_ms::ADDRESS, FAIL);
                }
            }
        }
        if wanted.allow_extra_address == Some(false) && wanted.address.is_some() {
            let extra =
                |other: &&Address| is_static(other) && !own.iter().any(|address| is_same(address, other));
            for address in found.addresses().iter().filter(extra) {
                let text = format!("the address {} is not wanted", print(address));
                self.push(path.clone(), Verdict::Existence(text), limit_ms::ADDRESS, FAIL);
            }
        }
    }

    /// Listed names must be there, listed absent ones must not (C25).
    fn alt_names(&mut self, wanted: &Interface, found: &Interface) {
        let there: BTreeSet<&str> = found.alt_names.iter().flatten().map(|name| name.name.as_str()).collect();
        for (i, name) in wanted.alt_names.iter().flatten().enumerate() {
            let path = self.origin.key("alt-names").index(i);
            match (name.state.is_some(), there.contains(name.name.as_str())) {
                (true, true) => {
                    let text = format!("the alternative name {} is still there", name.name);
                    self.push(path, Verdict::Existence(text), self.limit_ms, FAIL);
                }
                (false, false) => {
                    let text = format!("the alternative name {} is missing", name.name);
                    self.push(path, Verdict::Existence(text), self.limit_ms, FAIL);
                }
                (true, false) | (false, true) => {}
            }
        }
    }

    /// Printed secrets are all alike, so the secrets themselves are compared here, and not shown.
    pub(super) fn secrets(&mut self, wanted: &Interface, found: &Interface) {
        fn all(interface: &Interface) -> [([&'static str; 2], Option<&Secret>); 4] {
            let ieee8021x = interface.ieee8021x.as_deref();
            [
                (["802.1x", "private-key-password"], ieee8021x.and_then(|x| x.private_key_password.as_ref())),
                (["802.1x", "password"], ieee8021x.and_then(|x| x.password.as_ref())),
                (["macsec", "mka-cak"], interface.macsec.as_deref().and_then(|m| m.mka_cak.as_ref())),
                (["libreswan", "psk"], interface.libreswan.as_deref().and_then(|l| l.psk.as_ref())),
            ]
        }
        for ((key, own), (_, theirs)) in all(wanted).into_iter().zip(all(found)) {
            let differ = own.zip(theirs).is_some_and(|(own, theirs)| {
                !own.is_placeholder() && !theirs.is_placeholder() && own != theirs
            });
            if differ {
                let path = key.iter().fold(self.origin.clone(), |path, key| path.key(key));
                let text = "the secret is another one".to_owned();
                self.push(path, Verdict::Existence(text), self.limit_ms, FAIL);
            }
        }
    }

    /// Every virtual function needs its interface, which a driver makes; at the limit that is
    /// forgiven (C21, A14).
    fn virtual_functions(&mut self, wanted: &Interface, found: &Interface, present: &Present<'_>) {
        let sr_iov = |interface: &Interface| interface.ethernet.as_ref().and_then(|e| e.sr_iov.clone());
        let (Some(own), Some(theirs)) = (sr_iov(wanted), sr_iov(found)) else { return };
        if own.drivers_autoprobe == Some(false) || theirs.drivers_autoprobe == Some(false) {
            return;
        }
        for function in theirs.vfs.iter().flatten() {
            let name = function.iface_name.as_deref().filter(|name| !name.is_empty());
            if name.is_none_or(|name| present.kernel(name).is_none()) {
                let text = format!("virtual function {} has no interface yet", function.id);
                let path = self.origin.keys("ethernet.sr-iov.vfs");
                self.push(path, Verdict::Pending(text), self.limit_ms, AtLimit::Warn);
            }
        }
    }
}

/// Whether waiting for a carrier makes sense: a controller without ports never gets one.
fn may_get_carrier(found: &Interface, present: &Present<'_>) -> bool {
    let is_port_up = |name: &str| present.kernel(name).is_some_and(Interface::is_up);
    match found.kind() {
        InterfaceType::Bond => {
            found.bond.iter().flat_map(|bond| bond.port.iter().flatten()).any(|name| is_port_up(name))
        }
        InterfaceType::LinuxBridge => found
            .bridge
            .iter()
            .filter_map(|bridge| bridge.linux())
            .flat_map(|bridge| bridge.port.iter().flatten())
            .any(|port| is_port_up(&port.name)),
        InterfaceType::OvsBridge => false,
        _ => true,
    }
}
