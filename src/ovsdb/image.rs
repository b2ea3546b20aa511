//! The image: the tables that a document speaks of, with the columns that it needs
//! (ovs-vswitchd.conf.db(5)).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::error::Ended;
use super::value::Row;

/// What names a row.
pub type Uuid = String;

/// Most rows of all tables together.
pub(super) const ROWS_MAX: usize = 100_000;

/// The tables. A clone costs as many reference counts as there are rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// The one row of table `Open_vSwitch`; not there before `ovs-vsctl init`.
    pub host: Option<Arc<Host>>,
    pub bridges: BTreeMap<Uuid, Arc<Bridge>>,
    pub ports: BTreeMap<Uuid, Arc<Port>>,
    pub interfaces: BTreeMap<Uuid, Arc<Interface>>,
}

/// Table `Open_vSwitch`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub uuid: Uuid,
    pub bridges: Vec<Uuid>,
    pub external_ids: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
}

/// Table `Bridge`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bridge {
    pub name: String,
    pub ports: Vec<Uuid>,
    pub fail_mode: Option<String>,
    pub datapath_type: String,
    pub stp_enable: bool,
    pub rstp_enable: bool,
    pub mcast_snooping_enable: bool,
    pub external_ids: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
}

/// Table `Port`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Port {
    pub name: String,
    pub interfaces: Vec<Uuid>,
    pub vlan_mode: Option<String>,
    pub tag: Option<u16>,
    pub trunks: Vec<u16>,
    pub bond_mode: Option<String>,
    pub lacp: Option<String>,
    pub bond_updelay: u32,
    pub bond_downdelay: u32,
    pub external_ids: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
}

/// Table `Interface`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    pub name: String,
    /// `internal`, `patch`, `dpdk`, a kind of tunnel; empty or `system` for a device of the host.
    pub kind: String,
    pub options: BTreeMap<String, String>,
    /// In effect.
    pub mtu: Option<u32>,
    /// Why Open vSwitch could not set it up.
    pub error: Option<String>,
    pub external_ids: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
}

const HOST: [&str; 3] = ["bridges", "external_ids", "other_config"];
const BRIDGE: [&str; 9] = [
    "name",
    "ports",
    "fail_mode",
    "datapath_type",
    "stp_enable",
    "rstp_enable",
    "mcast_snooping_enable",
    "external_ids",
    "other_config",
];
const PORT: [&str; 11] = [
    "name",
    "interfaces",
    "vlan_mode",
    "tag",
    "trunks",
    "bond_mode",
    "lacp",
    "bond_updelay",
    "bond_downdelay",
    "external_ids",
    "other_config",
];
const INTERFACE: [&str; 7] = ["name", "type", "options", "mtu", "error", "external_ids", "other_config"];

/// What is followed: the columns by table, as `monitor` wants them (RFC 7047, 4.1.5).
pub(super) fn monitored() -> Json {
    json!({
        "Open_vSwitch": {"columns": HOST},
        "Bridge": {"columns": BRIDGE},
        "Port": {"columns": PORT},
        "Interface": {"columns": INTERFACE},
    })
}

impl Image {
    /// Takes in what `monitor` or `update` tells: by table and row, how the row was (`old`) and how
    /// it is as a whole (`new`); one without `new` is gone (RFC 7047, 4.1.6).
    pub(super) fn update(&mut self, tables: &Json) -> Result<(), Ended> {
        let tables =
            tables.as_object().ok_or_else(|| Ended::Format("an update that has no tables".into()))?;
        for (table, rows) in tables {
            for (uuid, row) in rows.as_object().into_iter().flatten() {
                let new = row.get("new").and_then(Json::as_object);
                match table.as_str() {
                    "Open_vSwitch" => self.update_host(uuid, new),
                    "Bridge" => set(&mut self.bridges, uuid, new.map(bridge)),
                    "Port" => set(&mut self.ports, uuid, new.map(port)),
                    "Interface" => set(&mut self.interfaces, uuid, new.map(interface)),
                    _ => {}
                }
            }
        }
        match self.bridges.len() + self.ports.len() + self.interfaces.len() {
            0..=ROWS_MAX => Ok(()),
            _ => Err(Ended::TooMany(ROWS_MAX)),
        }
    }

    fn update_host(&mut self, uuid: &str, new: Option<&Map<String, Json>>) {
        match new {
            Some(row) => self.host = Some(Arc::new(host(uuid, row))),
            None => drop(self.host.take_if(|host| host.uuid == *uuid)),
        }
    }

    /// The bridge of that name.
    pub fn bridge(&self, name: &str) -> Option<(&Uuid, &Bridge)> {
        let found = self.bridges.iter().find(|(_, bridge)| bridge.name == name);
        found.map(|(uuid, bridge)| (uuid, bridge.as_ref()))
    }

    /// The interface of that name: there is one at most.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.values().find(|interface| interface.name == name).map(Arc::as_ref)
    }
}

fn set<T>(table: &mut BTreeMap<Uuid, Arc<T>>, uuid: &str, row: Option<T>) {
    match row {
        Some(row) => drop(table.insert(uuid.to_owned(), Arc::new(row))),
        None => drop(table.remove(uuid)),
    }
}

fn host(uuid: &str, row: &Map<String, Json>) -> Host {
    let row = Row(row);
    Host {
        uuid: uuid.to_owned(),
        bridges: row.uuids("bridges"),
        external_ids: row.map("external_ids"),
        other_config: row.map("other_config"),
    }
}

fn bridge(row: &Map<String, Json>) -> Bridge {
    let row = Row(row);
    Bridge {
        name: row.text("name").unwrap_or_default(),
        ports: row.uuids("ports"),
        fail_mode: row.text("fail_mode"),
        datapath_type: row.text("datapath_type").unwrap_or_default(),
        stp_enable: row.flag("stp_enable"),
        rstp_enable: row.flag("rstp_enable"),
        mcast_snooping_enable: row.flag("mcast_snooping_enable"),
        external_ids: row.map("external_ids"),
        other_config: row.map("other_config"),
    }
}

fn port(row: &Map<String, Json>) -> Port {
    let row = Row(row);
    Port {
        name: row.text("name").unwrap_or_default(),
        interfaces: row.uuids("interfaces"),
        vlan_mode: row.text("vlan_mode"),
        tag: row.number("tag"),
        trunks: row.numbers("trunks"),
        bond_mode: row.text("bond_mode"),
        lacp: row.text("lacp"),
        bond_updelay: row.number("bond_updelay").unwrap_or(0),
        bond_downdelay: row.number("bond_downdelay").unwrap_or(0),
        external_ids: row.map("external_ids"),
        other_config: row.map("other_config"),
    }
}

fn interface(row: &Map<String, Json>) -> Interface {
    let row = Row(row);
    Interface {
        name: row.text("name").unwrap_or_default(),
        kind: row.text("type").unwrap_or_default(),
        options: row.map("options"),
        mtu: row.number("mtu"),
        error: row.text("error").filter(|error| !error.is_empty()),
        external_ids: row.map("external_ids"),
        other_config: row.map("other_config"),
    }
}
