//! The interfaces of a plan: what each is now, what was asked of it, what it will be.

use std::collections::BTreeMap;

use super::{NameMatch, Names, Reason};
use crate::state::{Interface, InterfaceState, InterfaceType, Ip, Path, State};

/// What identifies an interface: kernel interfaces their name, the others name and type
/// (semantics A3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub name: String,
    /// The type of an interface that the kernel does not know.
    pub userspace: Option<InterfaceType>,
}

impl Key {
    pub fn new(name: &str, kind: &InterfaceType) -> Self {
        let userspace = matches!(kind, InterfaceType::OvsBridge | InterfaceType::Ipsec).then(|| kind.clone());
        Self { name: name.to_owned(), userspace }
    }

    pub fn of(interface: &Interface) -> Self {
        Self::new(&interface.name, interface.kind())
    }

    pub fn kernel(name: &str) -> Self {
        Self { name: name.to_owned(), userspace: None }
    }
}

/// One interface: now, asked, then.
#[derive(Clone, Debug, Default)]
pub struct Member {
    /// Where it stands in the client's document, when it stands there.
    pub position: Option<usize>,
    /// What was asked: names resolved, partial. None when nothing was asked of it.
    pub desired: Option<Interface>,
    /// As it is.
    pub current: Option<Interface>,
    /// As it shall be, whole. None when it is not to exist.
    pub target: Option<Interface>,
    /// Why it is touched. None when it is left as it is.
    pub reason: Option<Reason>,
    /// Left untouched, and not verified (semantics P41).
    pub ignored: bool,
}

impl Member {
    /// Its place in the client's document; the list of interfaces when it is not in there.
    pub fn path(&self) -> Path {
        self.position.map_or_else(|| Path::root().key("interfaces"), Path::interface)
    }

    pub fn kind(&self) -> &InterfaceType {
        let known = self.target.as_ref().or(self.desired.as_ref()).or(self.current.as_ref());
        known.map_or(&InterfaceType::Unknown, Interface::kind)
    }

    /// Whether it shall be up.
    pub fn is_up(&self) -> bool {
        let state = self.target.as_ref().map(Interface::state);
        matches!(state, Some(InterfaceState::Up | InterfaceState::Unknown))
    }

    /// Whether it will not be there, or was asked to be absent.
    pub fn is_removed(&self) -> bool {
        self.target.is_none() || self.desired.as_ref().is_some_and(Interface::is_absent)
    }

    /// Whether the family is on after the change.
    pub fn has_ip(&self, v6: bool) -> bool {
        self.is_up() && family(self.target.as_ref(), v6).is_some_and(Ip::is_enabled)
    }

    /// Whether the family is on now.
    pub fn had_ip(&self, v6: bool) -> bool {
        family(self.current.as_ref(), v6).is_some_and(Ip::is_enabled)
    }
}

/// One IP section of an interface.
pub fn family(interface: Option<&Interface>, v6: bool) -> Option<&Ip> {
    interface.and_then(|interface| if v6 { interface.ipv6.as_deref() } else { interface.ipv4.as_deref() })
}

/// All interfaces of a plan, by key.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    pub members: BTreeMap<Key, Member>,
    pub names: Names,
}

impl Merged {
    /// Interfaces that stay as they are.
    pub fn unchanged(state: &State) -> Self {
        let member = |interface: &Interface| Member {
            position: None,
            desired: None,
            current: Some(interface.clone()),
            target: Some(interface.clone()),
            reason: None,
            ignored: interface.is_ignored(),
        };
        Self {
            members: state.interfaces().iter().map(|i| (Key::of(i), member(i))).collect(),
            names: Names::new(state.interfaces().iter(), std::iter::empty()),
        }
    }

    /// The kernel interface of that kernel name.
    pub fn kernel(&self, name: &str) -> Option<&Member> {
        self.members.get(&Key::kernel(name))
    }

    /// Which kernel interface a name in the document means (semantics P18).
    pub fn find(&self, name: &str) -> NameMatch<'_> {
        self.names.find(name)
    }

    /// Whether the kernel interface of that name is left untouched.
    pub fn is_ignored(&self, name: &str) -> bool {
        self.kernel(name).is_some_and(|member| member.ignored)
    }

    /// The routing table of a VRF that is up after the change (semantics R7).
    pub fn vrf_table(&self, name: &str) -> Option<u32> {
        let vrf = self.kernel(name).filter(|member| member.is_up() && !member.ignored)?;
        vrf.target.as_ref()?.vrf.as_ref()?.route_table_id
    }
}
