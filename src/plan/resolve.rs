//! Which interface each entry of the document means: names, identifiers and types become those
//! of the interfaces that are there (semantics P10 to P17).
//!
//! The peer resolves types before MAC addresses and alternative names (P15), so there an entry
//! without type is not found by them. Here it is: nothing else could be meant.

use std::collections::{BTreeMap, BTreeSet};

use super::Key;
use super::relations::{rename_ports, same_kind};
use super::report::Report;
use crate::state::{
    FEATURE_ALIASES, Identifier, Interface, InterfaceState, InterfaceType, Path, Reader, State,
};

/// An entry of the document that knows whom it means.
#[derive(Clone, Debug)]
pub struct Asked {
    pub position: usize,
    pub interface: Interface,
}

impl Asked {
    pub fn path(&self) -> Path {
        Path::interface(self.position)
    }
}

/// The entries of the document, names and types resolved, each key once. Entries that cannot be
/// resolved are reported and left out.
pub fn resolve(desired: &State, current: &State, report: &mut Report) -> BTreeMap<Key, Asked> {
    let index = Index::new(current);
    let own_names: BTreeSet<&str> = desired.interfaces().iter().map(|i| i.name.as_str()).collect();
    let mut found: BTreeMap<Key, Asked> = BTreeMap::new();
    for (position, entry) in desired.interfaces().iter().enumerate() {
        if entry.state() == InterfaceState::Unknown {
            continue; // A29
        }
        let path = Path::interface(position);
        for interface in index.resolve(entry, &path, report) {
            if interface.name != entry.name && own_names.contains(interface.name.as_str()) {
                let both_absent =
                    desired.interface(&interface.name).is_some_and(Interface::is_absent) && entry.is_absent();
                if !both_absent {
                    let message = format!(
                        "`{}` is another name of `{}`, which the document lists too",
                        entry.name, interface.name
                    );
                    report.invalid(path.key("name"), message);
                    continue;
                }
            }
            let key = Key::of(&interface);
            if let Some(earlier) = found.insert(key, Asked { position, interface }) {
                let earlier = earlier.path();
                report.warn(&earlier, format!("is overridden by {path}, which means the same interface"));
            }
        }
    }
    found
}

/// The document as it can be kept and read again when the interfaces it means are not there: each
/// entry with its type, and an alternative name replaced. What is found by hardware keeps the name
/// that it was given, since hardware finds it again.
pub fn resolved(desired: &State, current: &State) -> State {
    let index = Index::new(current);
    let resolve = |(position, entry): (usize, &Interface)| {
        if entry.state() == InterfaceState::Unknown {
            return vec![entry.clone()];
        }
        let mut report = Report::default();
        let mut found = index.resolve(entry, &Path::interface(position), &mut report);
        for interface in &mut found {
            if matches!(interface.identifier, Some(Identifier::MacAddress | Identifier::PciAddress)) {
                interface.name.clone_from(&entry.name);
                interface.profile_name.clone_from(&entry.profile_name);
            }
        }
        if found.is_empty() { vec![entry.clone()] } else { found }
    };
    let interfaces =
        desired.interfaces.as_ref().map(|all| all.iter().enumerate().flat_map(resolve).collect());
    State { interfaces, ..desired.clone() }
}

/// The interfaces that are there, by everything they can be found by.
struct Index<'a> {
    by_name: BTreeMap<&'a str, Vec<&'a Interface>>,
    by_profile: BTreeMap<&'a str, &'a Interface>,
    by_alternative: BTreeMap<&'a str, &'a Interface>,
    all: &'a [Interface],
}

impl<'a> Index<'a> {
    fn new(current: &'a State) -> Self {
        let all = current.interfaces();
        let mut index = Self {
            by_name: BTreeMap::new(),
            by_profile: BTreeMap::new(),
            by_alternative: BTreeMap::new(),
            all,
        };
        for interface in all {
            index.by_name.entry(&interface.name).or_default().push(interface);
            for name in interface.alt_names.iter().flatten().filter(|name| name.state.is_none()) {
                index.by_alternative.insert(&name.name, interface);
            }
            if let (Some(Identifier::MacAddress), Some(profile)) =
                (interface.identifier, &interface.profile_name)
            {
                index.by_profile.insert(profile, interface);
            }
        }
        index
    }

    fn kernel(&self, name: &str) -> Option<&'a Interface> {
        let named = self.by_name.get(name).into_iter().flatten();
        named.copied().find(|interface| Key::of(interface).userspace.is_none())
    }

    fn resolve(&self, entry: &Interface, path: &Path, report: &mut Report) -> Vec<Interface> {
        let mut interface = entry.clone();
        if let Err(message) = self.resolve_function_names(&mut interface) {
            report.invalid(path.key("name"), message);
            return Vec::new();
        }
        // A profile name that is no kernel name (P11).
        let by_profile = match self.kernel(&interface.name) {
            Some(_) => None,
            None => self.by_profile.get(interface.name.as_str()).copied(),
        };
        if let Some(owner) = by_profile {
            interface.profile_name.get_or_insert_with(|| entry.name.clone());
            interface.identifier = Some(Identifier::MacAddress);
            interface.mac_address = owner.mac_address;
            interface.name.clone_from(&owner.name);
        } else if !self.by_name.contains_key(interface.name.as_str())
            && matches!(interface.identifier, None | Some(Identifier::Name))
            && let Some(owner) = self.by_alternative.get(interface.name.as_str())
        {
            // An alternative name (P17).
            if interface.is_up() && owner.profile_name.is_none() {
                interface.profile_name.get_or_insert_with(|| entry.name.clone());
            }
            interface.name.clone_from(&owner.name);
        }
        let Some(mut interfaces) = self.resolve_type(interface, path, report) else {
            return Vec::new();
        };
        for interface in &mut interfaces {
            if !interface.is_absent()
                && by_profile.is_none()
                && let Err((key, message)) = self.resolve_identifier(interface)
            {
                report.invalid(path.key(key), message);
                return Vec::new();
            }
            tidy(interface);
        }
        interfaces
    }

    /// The type of an entry that does not say it, or whose type nobody here models (P13, P14).
    /// None after a problem.
    fn resolve_type(&self, mut entry: Interface, path: &Path, report: &mut Report) -> Option<Vec<Interface>> {
        let named = self.by_name.get(entry.name.as_str()).map_or(&[][..], Vec::as_slice);
        if entry.is_ignored() {
            // Whatever it is, it stays.
            if let (true, [only]) = (entry.kind().is_uninterpreted(), named) {
                entry.kind.clone_from(&only.kind);
            }
            return Some(vec![entry]);
        }
        if !entry.kind().is_uninterpreted() {
            let there = self.kernel(&entry.name).filter(|_| Key::of(&entry).userspace.is_none());
            if let Some(there) = there
                && !same_kind(there.kind(), entry.kind())
                && !(there.is_ignored() && there.kind().is_uninterpreted())
            {
                let message = format!("`{}` is of type {}, not {}", entry.name, there.kind(), entry.kind());
                report.invalid(path.key("type"), message);
                return None;
            }
            if let Some(there) = there.filter(|there| same_kind(there.kind(), entry.kind())) {
                entry.kind.clone_from(&there.kind);
            } else if *entry.kind() == InterfaceType::Ethernet && entry.veth.is_some() {
                entry.kind = Some(InterfaceType::Veth);
            }
            return Some(vec![entry]);
        }
        if entry.is_absent() {
            let of_each = |there: &&Interface| Interface {
                kind: there.kind.clone(),
                uninterpreted: None,
                ..entry.clone()
            };
            return Some(match named {
                [] => vec![entry],
                all => all.iter().map(of_each).collect(),
            });
        }
        match named {
            [only] => {
                let node = entry.uninterpreted.take()?;
                let mut reader = Reader::starting_at(path.clone());
                let read = Interface::interpret(&node, only.kind(), &mut reader);
                let (problems, warnings) = reader.finish();
                let failed = !problems.is_empty();
                report.problems.extend(problems);
                report.warnings.extend(warnings.iter().map(ToString::to_string));
                let resolved = Interface {
                    name: entry.name,
                    profile_name: entry.profile_name,
                    ..read.filter(|_| !failed)?
                };
                Some(vec![resolved])
            }
            [] => {
                let message = match entry.kind() {
                    InterfaceType::Unknown => {
                        format!("`{}` does not exist, and its `type` is not given", entry.name)
                    }
                    kind => format!("`{}` does not exist, and type {kind} cannot be created", entry.name),
                };
                report.invalid(path.clone(), message);
                None
            }
            several => {
                let kinds = several.iter().map(|i| i.kind().word()).collect::<Vec<_>>().join(", ");
                let message = format!("`{}` may mean several interfaces ({kinds}): give `type`", entry.name);
                report.invalid(path.clone(), message);
                None
            }
        }
    }

    /// Entries that are found by hardware (P12, P16).
    fn resolve_identifier(&self, entry: &mut Interface) -> Result<(), (&'static str, String)> {
        let owner = match entry.identifier {
            None | Some(Identifier::Name) => return Ok(()),
            Some(Identifier::PciAddress) => {
                let Some(address) = entry.pci_address else {
                    return Err(("identifier", "needs `pci-address`".into()));
                };
                let owner = self.all.iter().find(|there| there.pci_address == Some(address));
                owner.ok_or_else(|| ("pci-address", format!("no interface has PCI address {address}")))?
            }
            Some(Identifier::MacAddress) => {
                let Some(mac) = entry.mac_address else {
                    return Err(("identifier", "needs `mac-address`".into()));
                };
                if entry.profile_name.is_some() {
                    return Ok(()); // then the name is the kernel name (P16)
                }
                let same = |there: &&Interface| same_kind(there.kind(), entry.kind());
                let permanent = |there: &&Interface| there.permanent_mac_address == Some(mac);
                let present = |there: &&Interface| there.mac_address == Some(mac);
                let owner = self.all.iter().filter(same).find(permanent);
                let owner = owner.or_else(|| self.all.iter().filter(same).find(present));
                let missing = || format!("no interface of type {} has MAC address {mac}", entry.kind());
                owner.ok_or_else(|| ("mac-address", missing()))?
            }
        };
        let asked = std::mem::replace(&mut entry.name, owner.name.clone());
        entry.profile_name.get_or_insert(asked);
        if same_kind(owner.kind(), entry.kind()) {
            entry.kind.clone_from(&owner.kind);
        }
        Ok(())
    }

    /// `sriov:<pf>:<vf-id>` as name, or as name of a port (P10).
    fn resolve_function_names(&self, entry: &mut Interface) -> Result<(), String> {
        if entry.name.starts_with(FUNCTION) {
            entry.name = self.function(&entry.name)?;
        }
        let failed = std::cell::RefCell::new(None);
        rename_ports(entry, |port| {
            if port.starts_with(FUNCTION) {
                match self.function(port) {
                    Ok(name) => *port = name,
                    Err(message) => *failed.borrow_mut() = Some(message),
                }
            }
        });
        failed.into_inner().map_or(Ok(()), Err)
    }

    fn function(&self, text: &str) -> Result<String, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let &[_, device, id] = parts.as_slice() else {
            return Err(format!("`{text}` is not of the form `sriov:<pf>:<vf-id>`"));
        };
        let id: u32 = id.parse().map_err(|_| format!("`{id}` is not the number of a virtual function"))?;
        let device = self.kernel(device).ok_or_else(|| format!("`{device}` does not exist"))?;
        let functions = device.ethernet.as_ref().and_then(|e| e.sr_iov.as_ref()).and_then(|s| s.vfs.as_ref());
        let function = functions.into_iter().flatten().find(|function| function.id == id);
        let name = function.and_then(|function| function.iface_name.clone());
        name.ok_or_else(|| format!("`{}` has no interface for virtual function {id}", device.name))
    }
}

const FUNCTION: &str = "sriov:";

/// What a document may say in two ways becomes one (M4, K90); read-only keys go.
fn tidy(entry: &mut Interface) {
    use crate::state::Part;
    entry.drop_read_only();
    if let Some(features) = entry.ethtool.as_deref_mut().and_then(|ethtool| ethtool.feature.as_mut()) {
        for (alias, name) in FEATURE_ALIASES {
            if let Some(value) = features.remove(alias) {
                features.insert(name.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Document;
    use serde_json::{Value as Json, json};

    fn state(json: Json) -> State {
        Document::from_json(&json).state().expect("a valid state").0
    }

    #[test]
    fn a_document_to_keep_knows_the_types_and_the_names_of_what_it_means() {
        let current = state(json!({"interfaces": [
            {"name": "eth0", "type": "ethernet", "mac-address": "02:00:00:00:00:01",
                "alt-names": [{"name": "uplink"}]},
            {"name": "cable0", "type": "veth", "veth": {"peer": "cable1"}},
            {"name": "cable1", "type": "veth", "veth": {"peer": "cable0"}},
        ]}));
        let wish = state(json!({"interfaces": [
            {"name": "uplink", "mtu": 1400},
            {"name": "cable0", "mtu": 1400},
            {"name": "rack", "type": "ethernet", "identifier": "mac-address", "mac-address": "02:00:00:00:00:01"},
            {"name": "gone", "state": "absent"},
        ]}));
        let kept = resolved(&wish, &current);
        let named = |name: &str| kept.interface(name).unwrap_or_else(|| panic!("no {name} in {kept:?}"));
        assert_eq!(
            (named("eth0").kind.as_ref(), named("eth0").mtu),
            (Some(&InterfaceType::Ethernet), Some(1400))
        );
        assert_eq!(
            (named("cable0").kind.as_ref(), named("cable0").mtu),
            (Some(&InterfaceType::Veth), Some(1400))
        );
        assert_eq!(named("rack").identifier, Some(Identifier::MacAddress));
        assert!(named("gone").is_absent());
        assert_eq!(kept.interfaces().len(), 4);
    }
}
