//! The document as a whole.

use std::collections::BTreeSet;

use super::{
    DnsResolver, Hostname, Interface, InterfaceState, InterfaceType, OvnSettings, OvsSettings, Route,
    RouteRule, RouteRules, Routes,
};
use crate::state::{Native, Node, Part, Reader, Shape, Value};

fields! {
    /// A network state: what a query shows and what a client desires. In a desired document a
    /// missing key means "keep what is".
    pub struct State {
        /// Free text for the whole document; ignored by apply and query.
        "description" => description: Option<String>,
        /// Host name, running and persistent.
        "hostname" => hostname: Option<Hostname>,
        /// Name servers, search domains and resolver options.
        "dns-resolver" => dns_resolver: Option<DnsResolver>,
        /// Policy routing rules.
        "route-rules" => route_rules: Option<RouteRules>,
        /// Routes.
        "routes" => routes: Option<Routes>,
        /// Network interfaces.
        "interfaces" => interfaces: Option<Vec<Interface>>,
        /// Global Open vSwitch settings.
        "ovs-db" => ovs_db: Option<OvsSettings>,
        /// OVN bridge mappings.
        "ovn" => ovn: Option<OvnSettings>,
        /// A configuration in the words of netplan, as its files have it. Only where netplan carries out
        /// changes; a document that says it replaces what the last one said, and an empty one removes it.
        "network" => network: Option<Native>,
    }
}

impl State {
    /// A document that mentions nothing.
    pub fn empty() -> Self {
        Self {
            description: None,
            hostname: None,
            dns_resolver: None,
            route_rules: None,
            routes: None,
            interfaces: None,
            ovs_db: None,
            ovn: None,
            network: None,
        }
    }

    pub fn interfaces(&self) -> &[Interface] {
        self.interfaces.as_deref().unwrap_or_default()
    }

    /// The first interface of that name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces().iter().find(|interface| interface.name == name)
    }

    pub fn config_routes(&self) -> &[Route] {
        self.routes.as_ref().and_then(|routes| routes.config.as_ref()).map_or(&[], |list| list.as_slice())
    }

    /// Whether both have one and the same list of configured routes: then nobody has to compare them.
    pub fn shares_routes_with(&self, other: &Self) -> bool {
        std::ptr::eq(self.config_routes(), other.config_routes())
    }

    pub fn running_routes(&self) -> &[Route] {
        self.routes.as_ref().and_then(|routes| routes.running.as_ref()).map_or(&[], |list| list.as_slice())
    }

    pub fn config_rules(&self) -> &[RouteRule] {
        self.route_rules.as_ref().and_then(|rules| rules.config.as_deref()).unwrap_or_default()
    }

    /// Makes every secret of this copy print itself.
    pub fn reveal_secrets(&mut self) {
        self.interfaces.iter_mut().flatten().for_each(Interface::reveal_secrets);
        self.network.iter_mut().for_each(Native::reveal);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::empty()
    }
}

impl Part for State {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut state = Self::read_fields(node, reader, |_| true, "a document")?;
        if let (Some(interfaces), Some(list)) = (&mut state.interfaces, node.get("interfaces")) {
            keep_last(interfaces, list, reader);
        }
        Some(state)
    }

    fn shape() -> Shape {
        Shape::Section(&Self::INFO)
    }

    fn fill_from(&mut self, base: &Self) {
        self.fill_fields(base);
    }

    /// Interfaces with `state: unknown` go too: only a query can say that (semantics A29).
    fn drop_read_only(&mut self) {
        self.drop_read_only_fields();
        if let Some(interfaces) = &mut self.interfaces {
            interfaces.retain(|interface| interface.state() != InterfaceState::Unknown);
        }
    }
}

/// Of entries for the same interface the last one counts (semantics A30).
fn keep_last(interfaces: &mut Vec<Interface>, list: &Node, reader: &mut Reader) {
    let Value::List(nodes) = &list.value else { return };
    if nodes.len() != interfaces.len() {
        // The key is repeated, which is a problem of its own; this is another list.
        return;
    }
    let kept: BTreeSet<usize> = kept_interfaces(list).into_iter().collect();
    let mut index = 0..;
    interfaces.retain(|interface| {
        let index = index.next().expect("an endless range");
        let is_kept = kept.contains(&index);
        if !is_kept {
            let message = format!("a later entry for interface `{}` replaces this one", interface.name);
            reader.at_key("interfaces", |reader| {
                reader.at_index(index, |reader| reader.warn(&nodes[index], message));
            });
        }
        is_kept
    });
}

/// Which entries of the list `interfaces` no later entry for the same interface replaces.
pub fn kept_interfaces(list: &Node) -> Vec<usize> {
    let Value::List(nodes) = &list.value else { return Vec::new() };
    // User-space interfaces are known by name and type, all others by name (semantics A3).
    let key = |node: &Node| {
        let kind = node.get("type").and_then(Node::text).map(InterfaceType::from_word);
        let name = node.get("name").and_then(Node::text).map(str::to_owned);
        (name, kind.filter(|kind| matches!(kind, InterfaceType::OvsBridge | InterfaceType::Ipsec)))
    };
    let mut later = BTreeSet::new();
    let mut kept: Vec<usize> = nodes
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, node)| later.insert(key(node)))
        .map(|(index, _)| index)
        .collect();
    kept.reverse();
    kept
}
