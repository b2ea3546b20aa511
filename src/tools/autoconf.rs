//! VLANs as switches announce them (schema 15.3, IEEE 802.1AB, annex D): a document with an interface for each, on
//! the interface that hears of it, or on a bond of all that do.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::plan::Key;
use crate::state::{Document, ErrorKind, Path, Problem, State};

/// Longest name of a link: `IFNAMSIZ` of linux/if.h, without the zero byte.
const NAME_BYTES_MAX: usize = 15;

/// The document, and what is left out, in sentences. `only`: the interfaces that are listened to; none: all.
pub fn autoconf(state: &State, only: &[String]) -> Result<(State, Vec<String>), Vec<Problem>> {
    let missing = only.iter().filter(|name| state.interface(name).is_none());
    let problems: Vec<Problem> = missing
        .map(|name| {
            let path = Path::root().key("interfaces");
            Problem::new(ErrorKind::NotFound, path, format!("there is no interface `{name}`"))
        })
        .collect();
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut heard: BTreeMap<(u16, String), BTreeSet<&str>> = BTreeMap::new();
    for interface in state.interfaces() {
        if !only.is_empty() && !only.contains(&interface.name) {
            continue;
        }
        let neighbors =
            interface.lldp.as_ref().and_then(|lldp| lldp.neighbors.as_deref()).unwrap_or_default();
        for vlan in neighbors.iter().flat_map(|neighbor| announced(&neighbor.0)) {
            heard.entry(vlan).or_default().insert(&interface.name);
        }
    }
    let mut warnings = Vec::new();
    let mut interfaces: Vec<Json> = Vec::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for ((id, name), on) in heard {
        if let Some(wrong) = wrong_name(&name, state, &names) {
            // The name may have any characters.
            warnings.push(format!("VLAN {id} is left out: {} {wrong}", json!(name)));
            continue;
        }
        let on: Vec<&str> = on.into_iter().collect();
        let base = match on.as_slice() {
            [only] => (*only).to_owned(),
            all => {
                let bond = format!("bond{id}");
                let configs: Vec<Json> = all.iter().map(|port| json!({ "name": port })).collect();
                if names.insert(bond.clone()) {
                    interfaces.push(json!({"name": bond, "type": "bond", "state": "up",
                        "link-aggregation": {"mode": "balance-rr", "port": all, "ports-config": configs}}));
                }
                bond
            }
        };
        interfaces.push(
            json!({"name": name, "type": "vlan", "state": "up", "vlan": {"base-iface": base, "id": id}}),
        );
        names.insert(name);
    }
    let (document, _) = Document::from_json(&json!({ "interfaces": interfaces })).state()?;
    Ok((document, warnings))
}

/// The VLANs that one neighbour announces: numbers and names.
fn announced(neighbor: &Json) -> Vec<(u16, String)> {
    let elements = neighbor.as_array().map(Vec::as_slice).unwrap_or_default();
    let lists = elements.iter().filter_map(|element| element.get("ieee-802-1-vlans")?.as_array());
    let vlan = |vlan: &Json| {
        let id = u16::try_from(vlan.get("vid")?.as_u64()?).ok()?;
        Some((id, vlan.get("name")?.as_str()?.to_owned()))
    };
    lists.flatten().filter_map(vlan).collect()
}

/// Why a name that somebody on the wire chose cannot be that of an interface.
fn wrong_name(name: &str, state: &State, taken: &BTreeSet<String>) -> Option<&'static str> {
    let is_odd = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || matches!(name, "." | "..") || name.contains(is_odd) {
        return Some("cannot be the name of an interface");
    }
    let present = state.interfaces().iter().find(|own| Key::of(own) == Key::kernel(name));
    if present.is_some_and(|own| own.vlan.is_none()) {
        return Some("is the name of another interface");
    }
    taken.contains(name).then_some("is the name of another VLAN here")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let tlv =
            |vlans: Json| json!([{"type": 5, "system-name": "sw"}, {"type": 127, "ieee-802-1-vlans": vlans}]);
        let json = json!({"interfaces": [
            {"name": "eth1", "type": "ethernet", "state": "up", "lldp": {"enabled": true, "neighbors": [
                tlv(json!([{"name": "prod", "vid": 5}, {"name": "../x", "vid": 9}])), tlv(json!([{"name": "prod", "vid": 5}]))]}},
            {"name": "eth2", "type": "ethernet", "state": "up", "lldp": {"enabled": true, "neighbors": [
                tlv(json!([{"name": "prod", "vid": 5}, {"name": "test", "vid": 6}, {"name": "eth1", "vid": 7}]))]}},
        ]});
        Document::from_json(&json).state().expect("a state").0
    }

    #[test]
    fn vlans_stand_on_what_hears_of_them() {
        let (document, warnings) = autoconf(&state(), &[]).expect("a document");
        let expected = "interfaces:
- name: bond5
  type: bond
  state: up
  link-aggregation:
    mode: balance-rr
    port:
    - eth1
    - eth2
    ports-config:
    - name: eth1
    - name: eth2
- name: prod
  type: vlan
  state: up
  vlan:
    base-iface: bond5
    id: 5
- name: test
  type: vlan
  state: up
  vlan:
    base-iface: eth2
    id: 6
";
        assert_eq!(document.to_yaml(), expected);
        assert_eq!(
            warnings,
            [
                "VLAN 7 is left out: \"eth1\" is the name of another interface",
                "VLAN 9 is left out: \"../x\" cannot be the name of an interface"
            ]
        );
        let (document, _) = autoconf(&state(), &["eth1".to_owned()]).expect("a document");
        assert_eq!(document.interfaces().len(), 1);
        assert_eq!(autoconf(&state(), &["eth9".to_owned()]).expect_err("none")[0].kind, ErrorKind::NotFound);
    }
}
