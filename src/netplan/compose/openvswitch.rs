//! Bridges of Open vSwitch are two interfaces of a document in one definition; their bonds and patch ports
//! are none of their own; and some settings belong to Open vSwitch as a whole.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::{Composer, Draft, contains, json_of};
use crate::netplan::write::openvswitch::{self as write, OF_BRIDGE};
use crate::netplan::{Kind, Tree, Wish};
use crate::state::{InterfaceType, OvsTable, Path};

/// What a file says of Open vSwitch as a whole.
pub(super) fn of(own: Option<&Tree>) -> Map<String, Json> {
    own.and_then(|own| json_of(own).as_object().cloned()).unwrap_or_default()
}

fn is_of(draft: &Draft) -> bool {
    draft.keys.contains_key("openvswitch") && matches!(draft.kind, Kind::Bridge | Kind::Bond)
}

impl<'a> Composer<'a> {
    /// Whether a definition is a bridge of Open vSwitch, as far as files and wishes say already.
    pub(super) fn is_ovs_bridge(&self, id: &str) -> bool {
        let ours = self.drafts.get(id).is_some_and(|draft| draft.kind == Kind::Bridge && is_of(draft));
        let theirs = self.foreign.netdefs.get(id);
        ours || theirs
            .is_some_and(|netdef| netdef.kind == Kind::Bridge && self.foreign.is_of_openvswitch(netdef))
    }

    /// Whether a definition is Open vSwitch's, or in it: those are not NetworkManager's.
    pub(super) fn is_of_openvswitch(&self, id: &str) -> bool {
        let mut wishes = self.wanted.interfaces.iter().filter(|wish| wish.interface.name == id);
        let is_in_it = |wish: &Wish| {
            let controller = wish.interface.controller.as_deref().filter(|name| !name.is_empty());
            write::is_of(wish.interface.kind())
                || controller.is_some_and(|name| self.kind_of(name) == InterfaceType::OvsBridge)
        };
        let lists = |draft: &Draft| {
            is_of(draft) && draft.keys.get("interfaces").is_some_and(|ports| contains(ports, id))
        };
        let is_written = self.drafts.get(id).is_some_and(is_of) || self.drafts.values().any(lists);
        wishes.any(is_in_it)
            || is_written && !self.wanted.interfaces.iter().any(|wish| wish.interface.name == id)
    }

    /// Who lists a port of a controller: of a bond in a bridge it is the bond.
    pub(super) fn holder_of(&self, port: &str, controller: &str) -> String {
        let bond = self.drafts.iter().find(|(_, draft)| {
            let ports = draft.keys.get("interfaces");
            draft.kind == Kind::Bond && is_of(draft) && ports.is_some_and(|ports| contains(ports, port))
        });
        match bond.filter(|_| self.kind_of(controller) == InterfaceType::OvsBridge) {
            Some((bond, _)) => bond.clone(),
            None => self.id_of(controller),
        }
    }

    /// The draft of a bridge, or of its internal interface, with what the other of the two says.
    pub(super) fn with_other_half(&self, id: &str, wish: &Wish, mut draft: Draft) -> Draft {
        if !write::is_of(wish.interface.kind()) {
            return draft;
        }
        let is_bridge = *wish.interface.kind() == InterfaceType::OvsBridge;
        let others = self.merged(id).into_iter();
        draft.keys.extend(others.filter(|(key, _)| OF_BRIDGE.contains(&key.as_str()) != is_bridge));
        draft
    }

    /// The bonds in a bridge, as definitions.
    pub(super) fn bonds(&mut self, wish: &Wish) {
        let mut refusals = Vec::new();
        let bonds = write::bonds(wish, self.own, |name| self.id_of(name), &mut refusals);
        for (path, text) in refusals {
            self.refuse(&wish.interface.name, path, text);
        }
        for (id, draft) in bonds {
            let others = self.own.netdefs.get(&id).or_else(|| self.foreign.netdefs.get(&id));
            let is_taken = self.wanted.interfaces.iter().any(|wish| wish.interface.name == id)
                || others
                    .is_some_and(|netdef| !(netdef.kind == Kind::Bond && self.own.is_of_openvswitch(netdef)));
            if is_taken {
                let text = format!("there is another definition `{id}`, and netplan has one for each name");
                self.refuse(&wish.interface.name, Path::root().keys("bridge.port"), text);
                continue;
            }
            self.drafts.insert(id, draft);
        }
    }

    /// A patch port, which is one of a pair.
    pub(super) fn patch(&mut self, wish: &Wish) {
        let name = &wish.interface.name;
        let Some(patch) = &wish.interface.patch else { return };
        let peer = &patch.peer;
        let mut pairs = self.pairs();
        pairs.retain(|pair| !pair.contains(name) && !pair.contains(peer));
        let mut pair = [name.clone(), peer.clone()];
        pair.sort();
        pairs.insert(pair);
        self.set_pairs(pairs);
        if wish.said.ovs_db.as_ref().is_some_and(|settings| !settings.is_empty()) {
            let text = "netplan has no key for settings of a patch port";
            self.refuse(name, Path::root().key("ovs-db"), text);
        }
    }

    pub(super) fn pairs(&self) -> BTreeSet<[String; 2]> {
        let pairs = self.openvswitch.get("ports").and_then(Json::as_array).into_iter().flatten();
        let text = |end: &Json| end.as_str().map(str::to_owned);
        let pair =
            |pair: &Json| pair.as_array()?.iter().map(text).collect::<Option<Vec<_>>>()?.try_into().ok();
        pairs.filter_map(pair).collect()
    }

    fn set_pairs(&mut self, pairs: BTreeSet<[String; 2]>) {
        match pairs.is_empty() {
            true => drop(self.openvswitch.remove("ports")),
            false => drop(self.openvswitch.insert("ports".to_owned(), json!(pairs))),
        }
    }

    /// Whether it is an end of a pair of patch ports, and so no definition of its own.
    pub(super) fn is_patch(&self, id: &str) -> bool {
        let foreign = write::patches(self.foreign.openvswitch.as_ref()).concat();
        foreign.contains(&id) || self.pairs().iter().flatten().any(|end| end == id)
    }

    fn lists(&self, id: &str) -> bool {
        let ours = self.drafts.values().filter_map(|draft| draft.keys.get("interfaces"));
        let mut theirs = self.foreign.netdefs.values().filter_map(|netdef| netdef.get("interfaces"));
        ours.into_iter().any(|ports| contains(ports, id))
            || theirs.any(|ports| ports.texts().any(|port| port == id))
    }

    /// What goes with the last bridge that had it, and what netplan would not have without another.
    pub(super) fn openvswitch(&mut self) {
        let unlisted = |composer: &Self, draft: &Draft, id: &str| {
            draft.kind == Kind::Bond && is_of(draft) && !composer.lists(id)
        };
        let gone: Vec<String> = self
            .drafts
            .iter()
            .filter(|(id, draft)| unlisted(self, draft, id))
            .map(|(id, _)| id.clone())
            .collect();
        for bond in gone {
            self.drafts.remove(&bond);
        }
        let mut pairs = self.pairs();
        pairs.retain(|pair| pair.iter().any(|end| self.lists(end)));
        let half = pairs.iter().flat_map(|[one, other]| [(one, other), (other, one)]);
        let half: Vec<(String, String)> = half
            .filter(|(one, other)| self.lists(one) && !self.lists(other))
            .map(|(one, other)| (one.clone(), other.clone()))
            .collect();
        for (name, peer) in half {
            let text =
                format!("netplan makes patch ports in pairs, and `{peer}` is in no bridge of netplan's");
            self.refuse(&name, Path::root().keys("patch.peer"), text);
        }
        self.set_pairs(pairs);
        for wish in self.wanted.interfaces.iter().filter(|wish| !Self::goes(wish)) {
            let name = &wish.interface.name;
            match wish.interface.kind() {
                InterfaceType::OvsBridge if !write::has_local(&wish.interface) => {
                    let text = format!("a bridge that netplan makes has an internal interface `{name}`");
                    self.refuse(name, Path::root().keys("bridge.port"), text);
                }
                InterfaceType::OvsInterface
                    if write::is_local(&wish.interface) && !self.is_ovs_bridge(&self.id_of(name)) =>
                {
                    let text = "its bridge was not made through netplan";
                    self.refuse(name, Path::root().key("type"), text);
                }
                _ => {}
            }
        }
        self.settings();
    }

    /// The settings of Open vSwitch as a whole.
    fn settings(&mut self) {
        let Some(wanted) = self.wanted.ovs_db.clone() else { return };
        let columns = [
            ("external_ids", "external-ids", wanted.external_ids),
            ("other_config", "other-config", wanted.other_config),
        ];
        for (column, key, table) in columns {
            self.column(column, key, table.unwrap_or_default());
        }
    }

    fn column(&mut self, column: &str, key: &str, OvsTable(changes): OvsTable) {
        let held = self.openvswitch.remove(key).and_then(|held| held.as_object().cloned());
        let mut keys = held.unwrap_or_default();
        for (own, value) in changes {
            let path = format!("ovs-db.{column}");
            let theirs = self.foreign.openvswitch.as_ref().and_then(|all| all.get(key)?.keys()?.get(&own));
            match value {
                Some(value) => match write::refusal(&own, &value) {
                    Some(text) => self.refuse_setting(&path, &own, text),
                    None => drop(keys.insert(own, value.into())),
                },
                None => {
                    keys.remove(&own);
                    if let Some(theirs) = theirs {
                        let text = format!("{} says it, and only there it can be taken out", theirs.origin);
                        self.refuse_setting(&path, &own, text);
                    }
                }
            }
        }
        if !keys.is_empty() {
            self.openvswitch.insert(key.to_owned(), keys.into());
        }
    }

    fn refuse_setting(&mut self, column: &str, key: &str, text: String) {
        let path = Path::root().keys(column).key(key);
        self.refusals.push(crate::netplan::Refusal { interface: None, path, text });
    }
}
