//! Settings of Open vSwitch as a whole, and OVN's mappings of bridges to physical networks
//! (semantics M70, M71, V40, V41).

use std::collections::{BTreeMap, BTreeSet};

use super::{Key, Merge, Merged, OvnChange, OvsDbChange, Reason, ValueChange};
use crate::state::{
    InterfaceType, MappingState, OVN_MAPPINGS, OvnBridgeMapping, OvnSettings, OvsSettings, OvsTable, Path,
    Problem, State,
};

/// Keys and values of one column, or bridges by physical network.
type Table = BTreeMap<String, String>;

/// What has to change about the settings of Open vSwitch as a whole.
pub fn merge(desired: &State, current: &State) -> Result<Merge<OvsDbChange, OvsSettings>, Vec<Problem>> {
    let Some(wanted) = &desired.ovs_db else {
        return Ok(Merge { changes: Vec::new(), expected: None });
    };
    if wanted.external_ids.as_ref().is_some_and(|ids| ids.0.contains_key(OVN_MAPPINGS)) {
        let path = Path::root().keys("ovs-db.external_ids").key(OVN_MAPPINGS);
        return Err(vec![Problem::invalid(path, "is set by `ovn.bridge-mappings`")]);
    }
    let purges = is_purge(wanted);
    let column = |wanted: &Option<OvsTable>, now: Table| match wanted {
        None if !purges => BTreeMap::new(),
        Some(wanted) if !wanted.0.is_empty() => {
            let keys = wanted.0.iter();
            keys.filter_map(|(key, value)| changed(key, now.get(key).cloned(), value.clone())).collect()
        }
        Some(_) | None => now.into_iter().map(|(key, value)| (key, ValueChange::removed(value))).collect(),
    };
    let (external_ids, other_config) = settings(current.ovs_db.as_ref());
    let change = OvsDbChange {
        reason: Reason::Desired,
        external_ids: column(&wanted.external_ids, external_ids),
        other_config: column(&wanted.other_config, other_config),
    };
    let changes = Some(change).filter(|change| !change.is_empty()).into_iter().collect();
    Ok(Merge { changes, expected: Some(wanted.clone()) })
}

/// What has to change about OVN's mappings.
pub fn merge_mappings(
    desired: &State,
    current: &State,
    merged: &Merged,
) -> Result<Merge<OvnChange, OvnSettings>, Vec<Problem>> {
    let Some(wanted) = &desired.ovn else {
        return Ok(Merge { changes: Vec::new(), expected: None });
    };
    let now = mappings(current.ovn.as_ref());
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    let mut bridges = BTreeMap::new();
    for (i, mapping) in wanted.bridge_mappings.iter().flatten().enumerate() {
        let path = Path::root().keys("ovn.bridge-mappings").index(i);
        let OvnBridgeMapping { localnet, state, bridge } = mapping;
        problems.extend(name_problem(localnet).map(|text| Problem::invalid(path.key("localnet"), text)));
        if !seen.insert(localnet) {
            problems.push(Problem::invalid(path.key("localnet"), format!("`{localnet}` is mapped twice")));
        }
        let bridge = bridge.clone().filter(|_| *state != Some(MappingState::Absent));
        if *state != Some(MappingState::Absent) {
            let text = bridge_problem(bridge.as_deref(), merged);
            problems.extend(text.map(|text| Problem::invalid(path.key("bridge"), text)));
        }
        bridges.extend(changed(localnet, now.get(localnet).cloned(), bridge));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let change = OvnChange { reason: Reason::Desired, bridges };
    let changes = Some(change).filter(|change| !change.bridges.is_empty()).into_iter().collect();
    Ok(Merge { changes, expected: Some(wanted.clone()) })
}

/// The change that leads from the settings of one state to those of an earlier one. A state without
/// settings is one without Open vSwitch, to which nobody can go back.
pub fn restore(current: &State, before: &State) -> Option<OvsDbChange> {
    let (now, was) = (settings(current.ovs_db.as_ref()), settings(Some(before.ovs_db.as_ref()?)));
    let change = OvsDbChange {
        reason: Reason::Restored,
        external_ids: differences(&now.0, &was.0),
        other_config: differences(&now.1, &was.1),
    };
    (!change.is_empty()).then_some(change)
}

/// The same for the mappings, which are not shown while there are none.
pub fn restore_mappings(current: &State, before: &State) -> Option<OvnChange> {
    if before.ovn.is_none() && before.ovs_db.is_none() {
        return None;
    }
    let bridges = differences(&mappings(current.ovn.as_ref()), &mappings(before.ovn.as_ref()));
    (!bridges.is_empty()).then_some(OvnChange { reason: Reason::Restored, bridges })
}

/// Whether everything but OVN's mappings shall go: both columns are missing, or both are empty.
pub fn is_purge(wanted: &OvsSettings) -> bool {
    match (&wanted.external_ids, &wanted.other_config) {
        (None, None) => true,
        (Some(external_ids), Some(other_config)) => external_ids.0.is_empty() && other_config.0.is_empty(),
        _ => false,
    }
}

/// The columns `external_ids` and `other_config`.
pub(super) fn settings(settings: Option<&OvsSettings>) -> (Table, Table) {
    let column = |table: Option<&OvsTable>| {
        let entries = table.into_iter().flat_map(|table| &table.0);
        entries.filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect()
    };
    let external_ids = settings.and_then(|settings| settings.external_ids.as_ref());
    (column(external_ids), column(settings.and_then(|settings| settings.other_config.as_ref())))
}

/// Bridges by physical network.
pub(super) fn mappings(ovn: Option<&OvnSettings>) -> Table {
    let all = ovn.and_then(|ovn| ovn.bridge_mappings.as_ref()).into_iter().flatten();
    let present = all.filter(|mapping| mapping.state != Some(MappingState::Absent));
    present.filter_map(|mapping| Some((mapping.localnet.clone(), mapping.bridge.clone()?))).collect()
}

fn changed(key: &str, before: Option<String>, after: Option<String>) -> Option<(String, ValueChange)> {
    (before != after).then(|| (key.to_owned(), ValueChange { before, after }))
}

fn differences(now: &Table, was: &Table) -> BTreeMap<String, ValueChange> {
    let keys: BTreeSet<&String> = now.keys().chain(was.keys()).collect();
    keys.into_iter().filter_map(|key| changed(key, now.get(key).cloned(), was.get(key).cloned())).collect()
}

/// All mappings are one text, `network:bridge,network:bridge`.
fn name_problem(name: &str) -> Option<String> {
    match name.find([':', ',']) {
        _ if name.is_empty() => Some("is empty".into()),
        Some(at) => Some(format!("`{name}` contains `{}`, which separates mappings", &name[at..=at])),
        None => None,
    }
}

fn bridge_problem(bridge: Option<&str>, merged: &Merged) -> Option<String> {
    let Some(bridge) = bridge else { return Some("is missing".into()) };
    if let Some(text) = name_problem(bridge) {
        return Some(text);
    }
    match merged.members.get(&Key::new(bridge, &InterfaceType::OvsBridge)) {
        None => Some(format!("there is no Open vSwitch bridge `{bridge}`")),
        Some(member) if member.is_removed() && !member.ignored => {
            Some(format!("Open vSwitch bridge `{bridge}` is removed"))
        }
        Some(_) => None,
    }
}
