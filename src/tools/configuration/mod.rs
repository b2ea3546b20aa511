//! What a document is to others: the profiles of NetworkManager, or the file of netplan, that a host
//! without us would start with (schema 15.1, semantics G).
//!
//! No hardware is known: what the document speaks of without making it is taken for Ethernet that is
//! there.
//!
//! | file | story |
//! | --- | --- |
//! | `network_manager` | which profiles there are, and what each holds |
//! | `keyfile` | a profile as nm-settings-keyfile(5) writes it |
//! | `netplan` | the file of netplan |

mod keyfile;
mod netplan;
mod network_manager;

pub use keyfile::keyfile;
pub use network_manager::network_manager;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{planned, planned_with_netplan};
use crate::netplan::Renderer;
use crate::plan::{Change, Key, Plan, base, ports};
use crate::state::{
    Address, ErrorKind, HIDDEN_SECRET, Identifier, Interface, InterfaceState, InterfaceType, Ip, Path,
    Problem, Segment, State,
};
use crate::wire::Program;

/// Files that say what a document says, and what of it they leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Names and contents, in the order in which interfaces start.
    pub files: Vec<(String, String)>,
    pub warnings: Vec<String>,
}

/// What a document is to that program.
pub fn of(desired: &State, program: Program) -> Result<Configuration, Vec<Problem>> {
    match program {
        Program::NetworkManager => network_manager(desired),
        Program::NetplanNetworkd => netplan::netplan(desired, Renderer::Networkd),
        Program::NetplanNetworkManager => netplan::netplan(desired, Renderer::NetworkManager),
    }
}

/// Checks a document where no state is given: as it is planned where there is nothing but hardware. Returns warnings.
pub fn check(desired: &State) -> Result<Vec<String>, Vec<Problem>> {
    Network::of(desired).map(|network| network.warnings)
}

/// A document planned where there is nothing but hardware.
struct Network {
    plan: Plan,
    /// The loopback, and the hardware that the document speaks of.
    there: BTreeMap<Key, Interface>,
    /// All interfaces that the document is about, as they shall be.
    then: BTreeMap<Key, Interface>,
    warnings: Vec<String>,
}

impl Network {
    fn of(desired: &State) -> Result<Self, Vec<Problem>> {
        let databases = desired.ovs_db.is_some() || desired.ovn.is_some();
        Self::planned(desired, databases, planned)
    }

    /// As netplan makes it, which has a place for some settings of Open vSwitch as a whole.
    fn with_netplan(desired: &State) -> Result<Self, Vec<Problem>> {
        Self::planned(desired, desired.ovn.is_some(), planned_with_netplan)
    }

    /// `loses_databases`: what belongs to Open vSwitch as a whole has no place.
    fn planned(
        desired: &State,
        loses_databases: bool,
        plan: impl Fn(&State, &State) -> Result<Plan, Vec<Problem>>,
    ) -> Result<Self, Vec<Problem>> {
        refuse_scripts(desired)?;
        let mut warnings = warnings_about(desired, loses_databases);
        let (there, guessed) = hardware(desired);
        for name in guessed {
            warnings.push(format!(
                "`{name}` is not described; it is taken for an Ethernet interface that is there"
            ));
        }
        let plan = plan(desired, &there)?;
        let there: BTreeMap<Key, Interface> =
            there.interfaces.into_iter().flatten().map(|own| (Key::of(&own), own)).collect();
        let asked = plan.expected.interfaces().iter().map(Key::of);
        let mut then: BTreeMap<Key, Interface> =
            asked.filter_map(|key| Some((key.clone(), there.get(&key)?.clone()))).collect();
        for change in &plan.changes {
            let Change::Interface(change) = change else { continue };
            let key = Key::new(&change.name, &change.kind);
            match change.after.as_ref().filter(|after| !after.is_absent()) {
                Some(after) => drop(then.insert(key, after.clone())),
                None => drop(then.remove(&key)),
            }
        }
        // What was asked to go needs nothing said of it.
        for interface in desired.interfaces().iter().filter(|interface| interface.is_absent()) {
            then.retain(|key, _| key.name != interface.name);
        }
        warnings.extend(plan.warnings.iter().cloned());
        Ok(Self { plan, there, then, warnings })
    }

    /// The interfaces that the document mentions, in its order.
    fn mentioned(&self) -> Vec<&Interface> {
        let mut mentioned: Vec<(&Path, &Interface)> = self
            .plan
            .origins
            .iter()
            .filter_map(|((name, kind), path)| Some((path, self.then.get(&Key::new(name, kind))?)))
            .collect();
        mentioned.sort_by_key(|(path, _)| *path);
        mentioned.into_iter().map(|(_, interface)| interface).collect()
    }

    /// Where the document speaks of an interface.
    fn origin(&self, interface: &Interface) -> Path {
        let key = (interface.name.clone(), interface.kind().clone());
        self.plan.origins.get(&key).cloned().unwrap_or_else(|| Path::root().key("interfaces"))
    }
}

/// The loopback, and hardware as far as a document speaks of it; and the names of what it does not describe.
fn hardware(desired: &State) -> (State, BTreeSet<String>) {
    let described: BTreeMap<&str, &Interface> =
        desired.interfaces().iter().map(|interface| (interface.name.as_str(), interface)).collect();
    let made: BTreeSet<&str> = desired
        .interfaces()
        .iter()
        .filter_map(crate::plan::peer)
        .chain(described.values().filter(|own| is_made(own)).map(|own| own.name.as_str()))
        .collect();
    let mut there = vec![loopback()];
    let mut guessed = BTreeSet::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for interface in desired.interfaces().iter().filter(|own| !own.is_absent()) {
        names.insert(&interface.name);
        if interface.is_up() {
            names.extend(ports(interface).unwrap_or_default());
            names.extend(base(interface));
        }
    }
    for name in names {
        if name == LOOPBACK || made.contains(name) {
            continue;
        }
        match described.get(name) {
            // Nobody can say what a type is that nobody knows.
            Some(own) if own.kind().is_uninterpreted() && *own.kind() != InterfaceType::Unknown => {}
            Some(own) => there.push(found(own)),
            None => {
                guessed.insert(name.to_owned());
                there.push(Interface::new(name, InterfaceType::Ethernet, InterfaceState::Down));
            }
        }
    }
    (State { interfaces: Some(there), ..State::empty() }, guessed)
}

const LOOPBACK: &str = "lo";

/// Whether it is there only because somebody makes it.
fn is_made(interface: &Interface) -> bool {
    let has_peer = interface.veth.as_ref().is_some_and(|veth| !veth.peer.is_empty());
    has_peer
        || interface.kind().is_virtual()
        || (*interface.kind() == InterfaceType::Infiniband && base(interface).is_some())
}

/// The hardware that an entry of a document means.
fn found(described: &Interface) -> Interface {
    let kind = match described.kind() {
        InterfaceType::Infiniband => InterfaceType::Infiniband,
        _ => InterfaceType::Ethernet,
    };
    let mut own = Interface::new(&described.name, kind, InterfaceState::Down);
    match described.identifier {
        Some(Identifier::MacAddress) => own.permanent_mac_address = described.mac_address,
        Some(Identifier::PciAddress) => own.pci_address = described.pci_address,
        Some(Identifier::Name) | None => {}
    }
    own
}

/// As the kernel starts with it.
fn loopback() -> Interface {
    let stack = |address: Address| Box::new(Ip { address: Some(vec![address]), ..Ip::new(true) });
    Interface {
        ipv4: Some(stack(Address::new(Ipv4Addr::LOCALHOST.into(), 8))),
        ipv6: Some(stack(Address::new(Ipv6Addr::LOCALHOST.into(), 128))),
        ..Interface::new(LOOPBACK, InterfaceType::Loopback, InterfaceState::Up)
    }
}

/// A place below another.
fn under(place: &Path, below: &Path) -> Path {
    below.segments().iter().fold(place.clone(), |place, segment| match segment {
        Segment::Key(key) => place.key(key),
        Segment::Index(index) => place.index(*index),
    })
}

/// Scripts are files of the host, and not of any configuration that could be given out.
fn refuse_scripts(desired: &State) -> Result<(), Vec<Problem>> {
    let with = desired.interfaces().iter().enumerate().filter(|(_, own)| own.dispatch.is_some());
    let problems: Vec<Problem> = with
        .map(|(index, own)| {
            let path = Path::interface(index).key("dispatch");
            let mut problem =
                Problem::new(ErrorKind::InvalidArgument, path, "scripts are no part of a configuration");
            problem.interface = Some(own.name.clone());
            problem
        })
        .collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// What no interface's configuration holds.
fn warnings_about(desired: &State, loses_databases: bool) -> Vec<String> {
    let mut revealed = desired.clone();
    revealed.reveal_secrets();
    let is_hidden = serde_json::to_string(&revealed).is_ok_and(|text| text.contains(HIDDEN_SECRET));
    let has_names = desired.interfaces().iter().any(|own| own.alt_names.is_some());
    let hostname = desired.hostname.is_some();
    [
        (is_hidden, "a secret is hidden in this document, and missing in the configuration"),
        (hostname, "the host name is left out: no interface's configuration holds it"),
        (
            loses_databases,
            "what belongs to Open vSwitch as a whole is left out: no interface's configuration holds it",
        ),
        (has_names, "alternative names are left out: they belong to udev"),
    ]
    .into_iter()
    .filter(|(is_so, _)| *is_so)
    .map(|(_, text)| text.to_owned())
    .collect()
}
