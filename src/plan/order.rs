//! In which order interfaces are made (semantics P70 to P72): whatever an interface rests on comes
//! before it, ties by name. The peer settles this in four passes and refuses deeper documents;
//! a depth-first walk has no such limit, and only a circle is refused.

use std::collections::BTreeMap;

use super::relations::{base, ports};
use crate::state::{Interface, InterfaceType};

/// How deep each interface stands, by name and type: 0 rests on nothing.
#[derive(Debug, Default)]
pub struct Depths<'a> {
    by_interface: BTreeMap<(&'a str, &'a InterfaceType), u32>,
}

/// A circle of interfaces that rest on each other.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle(pub Vec<String>);

impl<'a> Depths<'a> {
    pub fn new(interfaces: impl Iterator<Item = &'a Interface> + Clone) -> Result<Self, Circle> {
        let mut by_name: BTreeMap<&str, Vec<&Interface>> = BTreeMap::new();
        for interface in interfaces.clone() {
            by_name.entry(&interface.name).or_default().push(interface);
        }
        let mut walk = Walk { by_name, depths: BTreeMap::new(), trail: Vec::new() };
        for interface in interfaces {
            walk.visit(interface)?;
        }
        let by_interface = walk.depths.into_iter().filter_map(|(key, depth)| Some((key, depth?))).collect();
        Ok(Self { by_interface })
    }

    pub fn of(&self, interface: &Interface) -> u32 {
        self.by_interface.get(&(interface.name.as_str(), interface.kind())).copied().unwrap_or(0)
    }
}

struct Walk<'a> {
    by_name: BTreeMap<&'a str, Vec<&'a Interface>>,
    /// None while it is being visited.
    depths: BTreeMap<(&'a str, &'a InterfaceType), Option<u32>>,
    trail: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Recursion is as deep as interfaces are stacked; a stack cannot be deeper than the list is
    /// long, so the depth is bounded against hostile documents.
    fn visit(&mut self, interface: &'a Interface) -> Result<u32, Circle> {
        let key = (interface.name.as_str(), interface.kind());
        match self.depths.get(&key) {
            Some(Some(depth)) => return Ok(*depth),
            Some(None) => return Err(self.circle(&interface.name)),
            None => {}
        }
        if self.trail.len() >= DEPTH_MAX {
            return Err(self.circle(&interface.name));
        }
        self.depths.insert(key, None);
        self.trail.push(&interface.name);
        let mut depth = 0;
        for name in self.supports(interface) {
            let named = self.by_name.get(name).cloned().unwrap_or_default();
            // An Open vSwitch bridge and its internal interface share a name.
            let others = named.len() > 1;
            for support in named.into_iter().filter(|support| !others || support.kind() != interface.kind()) {
                depth = depth.max(self.visit(support)? + 1);
            }
        }
        self.trail.pop();
        self.depths.insert(key, Some(depth));
        Ok(depth)
    }

    /// Its controller and its base. An HSR is made from its ports, so they come before it.
    fn supports(&self, interface: &'a Interface) -> Vec<&'a str> {
        let controller = interface.controller.as_deref().filter(|name| !name.is_empty()).filter(|name| {
            let known = self.by_name.get(name).into_iter().flatten();
            known.into_iter().all(|controller| *controller.kind() != InterfaceType::Hsr)
        });
        let mut names: Vec<&str> = controller.into_iter().chain(base(interface)).collect();
        if *interface.kind() == InterfaceType::Hsr {
            names.extend(ports(interface).unwrap_or_default());
        }
        names
    }

    fn circle(&self, name: &str) -> Circle {
        let start = self.trail.iter().position(|seen| *seen == name).unwrap_or(0);
        let members = self.trail[start..].iter().map(|name| (*name).to_owned());
        Circle(members.chain([name.to_owned()]).collect())
    }
}

/// Far more than any network stacks (the kernel stops at 8 levels of one kind,
/// `MAX_NEST_DEV` in linux/netdevice.h).
const DEPTH_MAX: usize = 256;
