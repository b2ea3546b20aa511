//! What an interface is to others: ports and their options, parents.

use serde_json::{Map, Value as Json, json};

use super::Writer;
use crate::netplan::row::{at, pass, passed, put, unpass};
use crate::netplan::{Kind, Renderer, Tree, Version, Wish};
use crate::state::{
    Bridge, Interface, InterfaceType, LinuxBridge, LinuxBridgePort, Path, PortVlan, PortVlanMode, TrunkTag,
};

/// `connection.type` of what only NetworkManager has.
fn connection_type(kind: &InterfaceType) -> Option<&'static str> {
    Some(match kind {
        InterfaceType::MacVlan | InterfaceType::MacVtap => "macvlan",
        InterfaceType::Ipvlan => "ipvlan",
        InterfaceType::Macsec => "macsec",
        InterfaceType::Hsr => "hsr",
        _ => return None,
    })
}

fn linux_bridge(interface: &Interface) -> Option<&LinuxBridge> {
    interface.bridge.as_deref().and_then(Bridge::linux)
}

fn bridge_port<'a>(interface: &'a Interface, name: &str) -> Option<&'a LinuxBridgePort> {
    linux_bridge(interface)?.port.iter().flatten().find(|port| port.name == name)
}

impl Writer<'_> {
    pub(super) fn links(&mut self, kind: Kind) {
        let interface = &self.wish.interface;
        let id_of = self.around.id_of;
        for key in ["link", "parameters.primary"] {
            let name = at(&Json::Object(self.keys.clone()), key).and_then(Json::as_str).map(id_of);
            if let Some(id) = name {
                put(&mut self.keys, key, id);
            }
        }
        match self.kind {
            InterfaceType::Vxlan => drop(self.keys.insert("mode".into(), "vxlan".into())),
            InterfaceType::LinuxBridge => self.bridge(),
            InterfaceType::Bond => self.bond_ports(),
            _ => {}
        }
        if let Some(ports) = ports_of(interface) {
            let ids: Vec<String> = ports.into_iter().map(id_of).collect();
            if at(&self.said, "link-aggregation.options.primary").is_none() {
                retain_primary(&mut self.keys, |primary| ids.iter().any(|id| id == primary));
            }
            self.keys.insert("interfaces".into(), ids.into());
        }
        if kind == Kind::NmDevice && self.around.renderer == Renderer::NetworkManager {
            self.device();
        }
    }

    /// What netplan has no type for.
    fn device(&mut self) {
        if self.kind == InterfaceType::Macsec {
            // Its secrets would stand in files that more people read than those of `auth`.
            self.refuse("type", "netplan has no interfaces of type `macsec`");
            return;
        }
        let Some(word) = connection_type(&self.kind) else { return };
        pass(&mut self.keys, "connection.type", &word.into());
        pass(&mut self.keys, "connection.interface-name", &self.wish.interface.name.as_str().into());
        if self.kind == InterfaceType::MacVtap {
            pass(&mut self.keys, "macvlan.tap", &true.into());
        }
    }

    fn bond_ports(&mut self) {
        let current = self.wish.current.as_ref().and_then(|current| current.bond.as_deref());
        let said = self.wish.said.bond.as_deref().and_then(|bond| bond.ports_config.as_deref());
        let is_networkd = self.is_networkd();
        for (index, port) in said.unwrap_or_default().iter().enumerate() {
            let was =
                current.and_then(|bond| bond.ports_config.as_ref()?.iter().find(|own| own.name == port.name));
            let path = Path::root().key("link-aggregation").key("ports-config").index(index);
            let numbers = [
                ("priority", port.priority.map(i64::from), was.and_then(|was| was.priority).map(i64::from)),
                ("queue-id", port.queue_id.map(i64::from), was.and_then(|was| was.queue_id).map(i64::from)),
            ];
            for (key, wanted, was) in numbers {
                if is_networkd && wanted.is_some_and(|wanted| wanted != was.unwrap_or(0)) {
                    self.refusals.push((path.key(key), self.has_no_key(key)));
                }
            }
        }
    }

    fn bridge(&mut self) {
        let Some(bridge) = linux_bridge(&self.wish.interface) else {
            put(&mut self.keys, "parameters.stp", false);
            return;
        };
        if at(&self.whole, "bridge.options.stp.enabled").is_none() {
            put(&mut self.keys, "parameters.stp", false);
        }
        let said =
            linux_bridge(&self.wish.said).and_then(|bridge| bridge.port.as_deref()).unwrap_or_default();
        for port in bridge.port.iter().flatten() {
            let id = (self.around.id_of)(&port.name);
            let asked = said.iter().position(|own| own.name == port.name);
            let is_said = |of: fn(&LinuxBridgePort) -> bool| asked.is_some_and(|index| of(&said[index]));
            let is_own = |key: &str| {
                let own = self.around.own.and_then(|own| own.get("parameters")?.get(key)?.keys());
                own.is_some_and(|own| own.contains_key(&id))
            };
            let was = self.wish.current.as_ref().and_then(|current| bridge_port(current, &port.name));
            let numbers = [
                (
                    "path-cost",
                    "stp-path-cost",
                    port.stp_path_cost,
                    was.and_then(|was| was.stp_path_cost),
                    is_said(|port| port.stp_path_cost.is_some()),
                ),
                (
                    "port-priority",
                    "stp-priority",
                    port.stp_priority.map(u32::from),
                    was.and_then(|was| was.stp_priority).map(u32::from),
                    is_said(|port| port.stp_priority.is_some()),
                ),
            ];
            let path = asked.map(|index| Path::root().key("bridge").key("port").index(index));
            let mut refusals = Vec::new();
            let mut written = Vec::new();
            for (key, own, number, was, is_said) in numbers {
                let Some(number) = number.filter(|_| is_said || is_own(key)) else { continue };
                match &path {
                    Some(path) if number == 0 && was != Some(0) => {
                        refusals.push((path.key(own), "netplan takes 0 for a value not given".to_owned()));
                    }
                    _ if number == 0 => {}
                    _ => written.push((key, number)),
                }
            }
            if let Some(path) = &path {
                let index = asked.unwrap_or_default();
                let vlan = said[index].vlan.as_ref();
                let was_vlan = was.and_then(|was| was.vlan.clone()).unwrap_or_else(PortVlan::empty);
                if self.is_networkd() && vlan.is_some_and(|vlan| *vlan != was_vlan) {
                    refusals.push((path.key("vlan"), self.has_no_key("vlan")));
                }
                let asks_hairpin = said[index].stp_hairpin_mode == Some(true);
                if asks_hairpin && self.around.version < Version::new(1, 0, 0) {
                    let text =
                        format!("hairpin mode needs netplan 1.0 or later; this is {}", self.around.version);
                    refusals.push((path.key("stp-hairpin-mode"), text));
                }
            }
            for (key, number) in written {
                let parameters = self.keys.entry("parameters").or_insert_with(|| json!({}));
                if let Some(parameters) = parameters.as_object_mut() {
                    let costs = parameters.entry(key).or_insert_with(|| json!({}));
                    if let Some(costs) = costs.as_object_mut() {
                        costs.insert(id.clone(), number.into());
                    }
                }
            }
            self.refusals.extend(refusals);
        }
        let filters = bridge
            .port
            .iter()
            .flatten()
            .any(|port| port.vlan.as_ref().is_some_and(|vlan| !vlan.is_default()));
        if filters && !self.is_networkd() {
            pass(&mut self.keys, "bridge.vlan-filtering", &true.into());
        }
    }
}

/// A port that leaves a bond is not the preferred one any more: netplan refuses one that is none of the ports.
pub(in crate::netplan) fn retain_primary(keys: &mut Map<String, Json>, stays: impl FnOnce(&str) -> bool) {
    let Some(Json::Object(parameters)) = keys.get_mut("parameters") else { return };
    if parameters.get("primary").and_then(Json::as_str).is_some_and(|primary| !stays(primary)) {
        parameters.remove("primary");
    }
}

/// The ports of an interface, where it says them.
pub(in crate::netplan) fn ports_of(interface: &Interface) -> Option<Vec<&str>> {
    let names = match interface.kind() {
        InterfaceType::Bond => {
            let bond = interface.bond.as_deref()?;
            let listed = bond.port.iter().flatten().map(String::as_str);
            let mut names: Vec<&str> = listed.collect();
            if bond.port.is_none() {
                names.extend(bond.ports_config.iter().flatten().map(|port| port.name.as_str()));
            }
            names
        }
        InterfaceType::LinuxBridge => {
            linux_bridge(interface)?.port.iter().flatten().map(|port| port.name.as_str()).collect()
        }
        InterfaceType::Vrf => interface.vrf.as_ref()?.port.iter().flatten().map(String::as_str).collect(),
        _ => return None,
    };
    Some(names)
}

/// Properties of profiles that a controller says of its ports.
const OF_PORT: [&str; 3] = ["bridge-port.vlans", "bond-port.prio", "bond-port.queue-id"];

/// What a controller says of each of its ports that stands in their definitions; of some that is nothing.
pub(in crate::netplan) fn port_keys(wish: &Wish, renderer: Renderer) -> Vec<(String, Map<String, Json>)> {
    let interface = &wish.interface;
    let mut found = Vec::new();
    for port in linux_bridge(interface).and_then(|bridge| bridge.port.as_deref()).unwrap_or_default() {
        let mut keys = Map::new();
        if port.stp_hairpin_mode == Some(true) {
            keys.insert("hairpin".into(), true.into());
        }
        if let Some(vlan) = port.vlan.as_ref().filter(|vlan| !vlan.is_default())
            && renderer == Renderer::NetworkManager
        {
            pass(&mut keys, "bridge-port.vlans", &vlans(vlan).into());
        }
        found.push((port.name.clone(), keys));
    }
    let bond = interface.bond.as_deref().filter(|_| renderer == Renderer::NetworkManager);
    for port in bond.and_then(|bond| bond.ports_config.as_deref()).unwrap_or_default() {
        let mut keys = Map::new();
        if let Some(priority) = port.priority.filter(|priority| *priority != 0) {
            pass(&mut keys, "bond-port.prio", &priority.into());
        }
        if let Some(queue) = port.queue_id.filter(|queue| *queue != 0) {
            pass(&mut keys, "bond-port.queue-id", &queue.into());
        }
        found.push((port.name.clone(), keys));
    }
    found
}

/// Whether the document has a bridge's port send nothing back to where it came from.
pub(in crate::netplan) fn asks_no_hairpin(wish: &Wish, port: &str) -> bool {
    bridge_port(&wish.said, port).is_some_and(|port| port.stp_hairpin_mode == Some(false))
}

/// Takes those keys out of a port's definition.
pub(in crate::netplan) fn forget_port_keys(keys: &mut Map<String, Json>) {
    keys.remove("hairpin");
    for property in OF_PORT {
        unpass(keys, property);
    }
}

/// Takes those keys over into a port's definition from what it is now.
pub(in crate::netplan) fn keep_port_keys(now: &Tree, keys: &mut Map<String, Json>) {
    if let Some(hairpin) = now.get("hairpin").and_then(Tree::flag) {
        keys.insert("hairpin".into(), hairpin.into());
    }
    for property in OF_PORT {
        if let Some(text) = passed(now, property).and_then(Tree::text) {
            pass(keys, property, &text.into());
        }
    }
}

/// VLANs of a bridge's port as a profile's file has them: `5 pvid untagged, 10-19`.
fn vlans(vlan: &PortVlan) -> String {
    let is_access = vlan.mode == Some(PortVlanMode::Access);
    let own = vlan.tag.filter(|_| is_access || vlan.enable_native == Some(true));
    let mut entries: Vec<(TrunkTag, &str)> =
        own.map(|tag| (TrunkTag { min: tag, max: tag }, " pvid untagged")).into_iter().collect();
    entries.extend(vlan.trunk_tags.iter().flatten().filter(|_| !is_access).map(|tag| (*tag, "")));
    entries.sort();
    let texts: Vec<String> = entries
        .into_iter()
        .map(|(TrunkTag { min, max }, flags)| match min == max {
            true => format!("{min}{flags}"),
            false => format!("{min}-{max}{flags}"),
        })
        .collect();
    texts.join(", ")
}
