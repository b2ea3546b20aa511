//! Printing a state: the library form, and the form of the commands `show`, `apply` and `edit`
//! (schema 8.1 to 8.3).

use std::cmp::Ordering;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::{Interface, State};

impl State {
    /// The document as YAML, in the library form.
    pub fn to_yaml(&self) -> String {
        yaml(self)
    }

    /// The document as JSON with two spaces of indentation, in the library form.
    pub fn to_json_pretty(&self) -> String {
        json(self)
    }

    /// The document in the form of the command line.
    pub fn cli_form(&self) -> CliForm<'_> {
        CliForm(self)
    }

    /// The interfaces in the order of printing.
    fn sorted_interfaces(&self) -> Vec<&Interface> {
        let mut interfaces: Vec<&Interface> = self.interfaces().iter().collect();
        interfaces.sort_by(|a, b| printing_order(a, b));
        interfaces
    }

    /// Puts the interfaces into the order of printing.
    pub fn sort_interfaces(&mut self) {
        self.interfaces.iter_mut().for_each(|interfaces| interfaces.sort_by(printing_order));
    }
}

/// By name, byte-wise, and then by type.
fn printing_order(a: &Interface, b: &Interface) -> Ordering {
    (&a.name, a.kind()).cmp(&(&b.name, b.kind()))
}

fn yaml<T: Serialize>(value: &T) -> String {
    serde_yaml::to_string(value)
        .expect("a state has text keys and no enums with content, so YAML can hold it")
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).expect("a state has text keys, so JSON can hold it")
}

/// A state that prints itself as the command line tools do: other order of sections, empty
/// sections shown, `type` right after `name`.
#[derive(Clone, Copy)]
pub struct CliForm<'a>(&'a State);

impl CliForm<'_> {
    pub fn to_yaml(self) -> String {
        yaml(&self)
    }

    pub fn to_json_pretty(self) -> String {
        json(&self)
    }
}

/// The library form. Sections that say nothing are left out; `interfaces` never is.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let says_something = |key: &str| match key {
            "description" => self.description.as_deref() != Some(""),
            "route-rules" => self.route_rules.as_ref().is_some_and(|rules| rules.config.is_some()),
            "routes" => self.routes.as_ref().is_some_and(|r| r.running.is_some() || r.config.is_some()),
            "ovn" => self.ovn.as_ref().is_some_and(|ovn| ovn.bridge_mappings.is_some()),
            _ => true,
        };
        let mut map = serializer.serialize_map(None)?;
        let behind = ["ovs-db", "ovn", "network"];
        self.print_fields(&mut map, |key| {
            key != "interfaces" && !behind.contains(&key) && says_something(key)
        })?;
        map.serialize_entry("interfaces", &Interfaces { list: self.sorted_interfaces(), first: &[] })?;
        self.print_fields(&mut map, |key| behind.contains(&key) && says_something(key))?;
        map.end()
    }
}

impl Serialize for CliForm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(State {
            description,
            hostname,
            dns_resolver,
            route_rules,
            routes,
            interfaces: _,
            ovs_db,
            ovn,
            network,
        }) = self;
        let list = self.0.sorted_interfaces();
        let mut map = serializer.serialize_map(None)?;
        if let Some(hostname) = hostname {
            map.serialize_entry("hostname", hostname)?;
        }
        if let Some(dns_resolver) = dns_resolver {
            map.serialize_entry("dns-resolver", dns_resolver)?;
        }
        entry_or_empty(&mut map, "route-rules", route_rules.as_ref())?;
        entry_or_empty(&mut map, "routes", routes.as_ref())?;
        map.serialize_entry("interfaces", &Interfaces { list, first: &["name", "type"] })?;
        if let Some(ovs_db) = ovs_db {
            map.serialize_entry("ovs-db", ovs_db)?;
        }
        entry_or_empty(&mut map, "ovn", ovn.as_ref())?;
        if let Some(network) = network {
            map.serialize_entry("network", network)?;
        }
        if let Some(description) = description.as_deref().filter(|text| !text.is_empty()) {
            map.serialize_entry("description", description)?;
        }
        map.end()
    }
}

fn entry_or_empty<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => map.serialize_entry(key, &serde_json::Map::new()),
    }
}

/// Interfaces with some keys put first.
struct Interfaces<'a> {
    list: Vec<&'a Interface>,
    first: &'a [&'a str],
}

impl Serialize for Interfaces<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct One<'a>(&'a Interface, &'a [&'a str]);

        impl Serialize for One<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.print(serializer, self.1)
            }
        }

        let mut seq = serializer.serialize_seq(Some(self.list.len()))?;
        for interface in &self.list {
            seq.serialize_element(&One(interface, self.first))?;
        }
        seq.end()
    }
}
