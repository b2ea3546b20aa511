//! Operations of a transaction (RFC 7047, 5.2), and those that documents need. Pure.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::error::Error;
use super::image::{Bridge, Image, Uuid};
use super::show::is_mark;
use crate::state::{Interface, OVN_MAPPINGS, OvsBridgeOptions, OvsTable};

/// One operation, as the protocol has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Op(Json);

impl Op {
    /// The operation as it is sent.
    pub fn json(&self) -> &Json {
        &self.0
    }
}

/// Keys and what becomes of them: a value, or nothing.
pub type Keys = BTreeMap<String, Option<String>>;

/// Sets and deletes keys of the host, and touches no other. Nothing to do makes no operation.
pub fn set_settings(external_ids: &Keys, other_config: &Keys) -> Vec<Op> {
    let columns = [("external_ids", external_ids), ("other_config", other_config)];
    let mutations: Vec<Json> =
        columns.into_iter().flat_map(|(column, keys)| mutations(column, keys)).collect();
    match mutations.is_empty() {
        true => Vec::new(),
        false => vec![on_host("mutate", json!({"mutations": mutations}))],
    }
}

/// Sets and deletes OVN's mappings, bridges by physical network. They are one text, so what was read
/// is checked to be what is replaced: [`Error::Changed`] tells to read again. None: there is no host.
pub fn set_mappings(image: &Image, bridges: &Keys) -> Option<Vec<Op>> {
    let host = image.host.as_ref()?;
    let before = host.external_ids.get(OVN_MAPPINGS);
    let mut mappings = super::show::mappings(before.map(String::as_str).unwrap_or_default());
    for (localnet, bridge) in bridges {
        match bridge {
            Some(bridge) => drop(mappings.insert(localnet.clone(), bridge.clone())),
            None => drop(mappings.remove(localnet)),
        }
    }
    let after: Vec<String> =
        mappings.iter().map(|(localnet, bridge)| format!("{localnet}:{bridge}")).collect();
    let after = Some(after.join(",")).filter(|after| !after.is_empty());
    if after.as_ref() == before {
        return Some(Vec::new());
    }
    let unchanged = match before {
        Some(before) => json!({"where": [["external_ids", "includes", map([(OVN_MAPPINGS, before)])]],
            "until": "==", "columns": ["_uuid"], "rows": [{"_uuid": uuid(&host.uuid)}], "timeout": 0}),
        // No condition asks for the absence of a key.
        None => json!({"columns": ["external_ids"], "until": "==", "timeout": 0,
            "rows": [{"external_ids": all(&host.external_ids)}]}),
    };
    let keys = Keys::from([(OVN_MAPPINGS.to_owned(), after)]);
    let wait = on_host("wait", unchanged);
    Some(std::iter::once(wait).chain(set_settings(&keys, &Keys::new())).collect())
}

/// A bridge without any port, which NetworkManager does not make.
pub fn add_bridge(interface: &Interface) -> Vec<Op> {
    let mut row = bridge_row(interface, None);
    row["name"] = json!(interface.name);
    let insert = json!({"op": "insert", "table": "Bridge", "uuid-name": "bridge", "row": row});
    let refer = json!({"mutations": [["bridges", "insert", ["set", [["named-uuid", "bridge"]]]]]});
    vec![Op(insert), on_host("mutate", refer)]
}

/// Gives a bridge the options and settings of `interface`, which has them all; its ports stay. None:
/// there is none of that name.
pub fn change_bridge(image: &Image, interface: &Interface) -> Option<Vec<Op>> {
    let (bridge, present) = image.bridge(&interface.name)?;
    let (place, row) = (json!([["_uuid", "==", uuid(bridge)]]), bridge_row(interface, Some(present)));
    Some(vec![Op(json!({"op": "update", "table": "Bridge", "where": place, "row": row}))])
}

fn bridge_row(interface: &Interface, present: Option<&Bridge>) -> Json {
    let options = interface.bridge.as_ref().and_then(|bridge| bridge.ovs()?.options.clone());
    let word = |pick: fn(&OvsBridgeOptions) -> &Option<String>| {
        options.as_ref().and_then(|options| pick(options).clone()).unwrap_or_default()
    };
    let flag = |pick: fn(&OvsBridgeOptions) -> Option<bool>| options.as_ref().and_then(pick).unwrap_or(false);
    let settings = interface.ovs_db.as_ref();
    let keys = |table: Option<&OvsTable>| {
        let entries = table.into_iter().flat_map(|table| &table.0);
        entries.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect::<BTreeMap<_, _>>()
    };
    let mut external_ids = keys(settings.and_then(|settings| settings.external_ids.as_ref()));
    // Hidden from documents, so they never mention it.
    let marks = present.into_iter().flat_map(|present| &present.external_ids);
    let marks = marks.filter(|(key, _)| is_mark(key));
    external_ids.extend(marks.map(|(key, value)| (key.clone(), value.clone())));
    let other_config = keys(settings.and_then(|settings| settings.other_config.as_ref()));
    let fail_mode = word(|options| &options.fail_mode);
    json!({
        "datapath_type": word(|options| &options.datapath),
        "fail_mode": if fail_mode.is_empty() { json!(["set", []]) } else { json!(fail_mode) },
        "stp_enable": flag(|options| options.stp.map(|stp| stp.enabled)),
        "rstp_enable": flag(|options| options.rstp),
        "mcast_snooping_enable": flag(|options| options.mcast_snooping_enable),
        "external_ids": all(&external_ids),
        "other_config": all(&other_config),
    })
}

/// A bridge with everything in it: what nothing refers to any more is dropped by the database (RFC
/// 7047, 3.2, `isRoot`). None: there is none of that name.
pub fn remove_bridge(image: &Image, name: &str) -> Option<Vec<Op>> {
    let (bridge, _) = image.bridge(name)?;
    let forget = json!({"mutations": [["bridges", "delete", ["set", [uuid(bridge)]]]]});
    Some(vec![on_host("mutate", forget)])
}

/// The port of a bridge that a document gives that name: one of one interface is known by the name of that
/// (semantics S50).
pub fn port_of<'a>(image: &Image, bridge: &'a Bridge, name: &str) -> Option<&'a Uuid> {
    let is_it = |port: &&Uuid| {
        let port = image.ports.get(*port);
        port.is_some_and(|port| match port.interfaces.as_slice() {
            [only] => image.interfaces.get(only).is_some_and(|interface| interface.name == name),
            _ => port.name == name,
        })
    };
    bridge.ports.iter().find(is_it)
}

/// Takes a port as a document names it, with all its interfaces, from a bridge. None: it has none of
/// that name.
pub fn remove_port(image: &Image, bridge: &str, name: &str) -> Option<Vec<Op>> {
    let (bridge, present) = image.bridge(bridge)?;
    let port = port_of(image, present, name)?;
    let place = json!([["_uuid", "==", uuid(bridge)]]);
    let forget = json!([["ports", "delete", ["set", [uuid(port)]]]]);
    Some(vec![Op(json!({"op": "mutate", "table": "Bridge", "where": place, "mutations": forget}))])
}

/// An operation on the one row of table `Open_vSwitch`.
fn on_host(op: &str, mut rest: Json) -> Op {
    rest["op"] = json!(op);
    rest["table"] = json!("Open_vSwitch");
    if rest.get("where").is_none() {
        rest["where"] = json!([]);
    }
    Op(rest)
}

/// A key that is there keeps its value when it is inserted, so it is deleted first (RFC 7047, 5.1).
fn mutations(column: &str, keys: &Keys) -> Vec<Json> {
    if keys.is_empty() {
        return Vec::new();
    }
    let all: Vec<&String> = keys.keys().collect();
    let mut mutations = vec![json!([column, "delete", ["set", all]])];
    let new: Vec<(&str, &String)> =
        keys.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_ref()?))).collect();
    if !new.is_empty() {
        mutations.push(json!([column, "insert", map(new)]));
    }
    mutations
}

fn map<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a String)>) -> Json {
    let pairs: Vec<Json> = pairs.into_iter().map(|(key, value)| json!([key, value])).collect();
    json!(["map", pairs])
}

fn all(pairs: &BTreeMap<String, String>) -> Json {
    map(pairs.iter().map(|(key, value)| (key.as_str(), value)))
}

fn uuid(uuid: &str) -> Json {
    json!(["uuid", uuid])
}

/// The parameters of `transact`.
pub(super) fn operations(database: &str, ops: &[Op]) -> Json {
    let ops = ops.iter().map(|op| op.0.clone());
    Json::Array(std::iter::once(json!(database)).chain(ops).collect())
}

/// The results of a transaction: one for each operation, and one more if only the whole failed
/// (RFC 7047, 4.1.3).
pub(super) fn results(reply: Result<Json, Json>) -> Result<Vec<Json>, Error> {
    let results = match reply {
        Ok(Json::Array(results)) => results,
        Ok(other) => return Err(Error::Refused(words(&other))),
        Err(error) => return Err(Error::Refused(words(&error))),
    };
    match results.iter().find(|result| result.get("error").is_some()) {
        // What `wait` says when it may not wait (5.2.6).
        Some(failed) if failed["error"] == "timed out" => Err(Error::Changed),
        Some(failed) => Err(Error::Refused(words(failed))),
        None => Ok(results),
    }
}

/// An error of the database as a sentence, of bounded length.
pub(super) fn words(error: &Json) -> String {
    const CHARACTERS: usize = 300;
    let text = match (error.get("error").and_then(Json::as_str), error.get("details").and_then(Json::as_str))
    {
        (Some(error), Some(details)) => format!("{error}: {details}"),
        (Some(error), None) => error.to_owned(),
        (None, _) => error.as_str().map_or_else(|| error.to_string(), str::to_owned),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ovsdb::{Host, NM_UUID};
    use crate::state::Document;

    fn keys(json: &Json) -> Keys {
        serde_json::from_value(json.clone()).expect("keys")
    }

    fn print(ops: &[Op]) -> String {
        ops.iter().map(|op| format!("{}\n", op.json())).collect()
    }

    fn image(external_ids: &[(&str, &str)]) -> Image {
        let external_ids = external_ids.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let host = Host { uuid: "h".into(), external_ids: external_ids.collect(), ..Host::default() };
        let own = BTreeMap::from([(NM_UUID.to_owned(), "nm".to_owned())]);
        let ports = vec!["p1".to_owned(), "p2".to_owned()];
        let bridge = Bridge { name: "br0".into(), external_ids: own, ports, ..Bridge::default() };
        let mut image = Image { host: Some(Arc::new(host)), ..Image::default() };
        image.bridges.insert("b".into(), Arc::new(bridge));
        for name in ["p1", "p2"] {
            let port = crate::ovsdb::Port { name: format!("name-{name}"), ..Default::default() };
            image.ports.insert(name.into(), Arc::new(port));
        }
        image
    }

    fn bridge(json: Json) -> Interface {
        let (state, _) = Document::from_json(&json!({"interfaces": [json]})).state().expect("a state");
        state.interfaces()[0].clone()
    }

    #[test]
    fn only_the_keys_that_change_are_touched() {
        let ops = set_settings(&keys(&json!({"a": "1", "b": null})), &keys(&json!({"c": null})));
        assert_eq!(
            print(&ops),
            r#"{"mutations":[["external_ids","delete",["set",["a","b"]]],["external_ids","insert",["map",[["a","1"]]]],["other_config","delete",["set",["c"]]]],"op":"mutate","table":"Open_vSwitch","where":[]}
"#
        );
        assert_eq!(set_settings(&Keys::new(), &Keys::new()), []);
    }

    #[test]
    fn mappings_are_replaced_only_as_they_were_read() {
        let red = keys(&json!({"red": "br1", "blue": null}));
        let now = image(&[(OVN_MAPPINGS, "blue:br0,green:br0"), ("x", "y")]);
        assert_eq!(
            print(&set_mappings(&now, &red).expect("there is a host")),
            r#"{"where":[["external_ids","includes",["map",[["ovn-bridge-mappings","blue:br0,green:br0"]]]]],"until":"==","columns":["_uuid"],"rows":[{"_uuid":["uuid","h"]}],"timeout":0,"op":"wait","table":"Open_vSwitch"}
{"mutations":[["external_ids","delete",["set",["ovn-bridge-mappings"]]],["external_ids","insert",["map",[["ovn-bridge-mappings","green:br0,red:br1"]]]]],"op":"mutate","table":"Open_vSwitch","where":[]}
"#
        );
        // The last one goes with the key.
        let last = set_mappings(&image(&[(OVN_MAPPINGS, "blue:br0")]), &keys(&json!({"blue": null})));
        assert!(print(&last.expect("there is a host")).ends_with(
            r#"{"mutations":[["external_ids","delete",["set",["ovn-bridge-mappings"]]]],"op":"mutate","table":"Open_vSwitch","where":[]}
"#
        ));
        assert!(
            print(&set_mappings(&image(&[("x", "y")]), &red).expect("there is a host"))
                .starts_with(r#"{"columns":["external_ids"],"until":"==","timeout":0,"rows":[{"external_ids":["map",[["x","y"]]]}],"op":"wait","#)
        );
        assert_eq!(set_mappings(&image(&[]), &keys(&json!({"blue": null}))), Some(Vec::new()));
        assert_eq!(set_mappings(&Image::default(), &red), None);
    }

    #[test]
    fn bridges_come_change_and_go() {
        let wish = bridge(json!({"name": "br0", "type": "ovs-bridge", "bridge": {"options":
            {"stp": true, "fail-mode": "secure", "datapath": "netdev"}}, "ovs-db": {"external_ids": {"a": 1, "b": null}}}));
        assert_eq!(
            print(&add_bridge(&wish)),
            r#"{"op":"insert","table":"Bridge","uuid-name":"bridge","row":{"datapath_type":"netdev","fail_mode":"secure","stp_enable":true,"rstp_enable":false,"mcast_snooping_enable":false,"external_ids":["map",[["a","1"]]],"other_config":["map",[]],"name":"br0"}}
{"mutations":[["bridges","insert",["set",[["named-uuid","bridge"]]]]],"op":"mutate","table":"Open_vSwitch","where":[]}
"#
        );
        let plain = bridge(json!({"name": "br0", "type": "ovs-bridge"}));
        assert_eq!(
            print(&change_bridge(&image(&[]), &plain).expect("it is there")),
            r#"{"op":"update","table":"Bridge","where":[["_uuid","==",["uuid","b"]]],"row":{"datapath_type":"","fail_mode":["set",[]],"stp_enable":false,"rstp_enable":false,"mcast_snooping_enable":false,"external_ids":["map",[["NM.connection.uuid","nm"]]],"other_config":["map",[]]}}
"#
        );
        assert_eq!(
            print(&remove_bridge(&image(&[]), "br0").expect("it is there")),
            r#"{"mutations":[["bridges","delete",["set",[["uuid","b"]]]]],"op":"mutate","table":"Open_vSwitch","where":[]}
"#
        );
        assert_eq!(
            print(&remove_port(&image(&[]), "br0", "name-p2").expect("it is there")),
            r#"{"op":"mutate","table":"Bridge","where":[["_uuid","==",["uuid","b"]]],"mutations":[["ports","delete",["set",[["uuid","p2"]]]]]}
"#
        );
        assert_eq!(remove_bridge(&image(&[]), "br1"), None);
        assert_eq!(remove_port(&image(&[]), "br0", "name-p3"), None);
    }

    #[test]
    fn a_failed_operation_fails_all() {
        let refused =
            results(Ok(json!([{}, null, {"error": "constraint violation", "details": "too\nmany"}])));
        assert_eq!(
            refused.expect_err("it failed").to_string(),
            "Open vSwitch's database refused: constraint violation: too many"
        );
        let changed = results(Ok(json!([{"error": "timed out", "details": "..."}])));
        assert!(matches!(changed, Err(Error::Changed)));
        assert_eq!(results(Ok(json!([{}, {"count": 1}]))).expect("it worked").len(), 2);
        assert!(matches!(results(Err(json!("unknown database"))), Err(Error::Refused(_))));
    }
}
