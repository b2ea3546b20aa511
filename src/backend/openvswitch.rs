//! What only the database of Open vSwitch keeps: there and back, for every backend that changes bridges
//! through somebody else.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::{Failure, Snapshot};
use crate::ovsdb::{self, Database, Error, Image, Keys, NM_UUID, Op};
use crate::plan::{self, Change, InterfaceChange, OvnChange, OvsDbChange, Plan, ValueChange, ports};
use crate::state::{ErrorKind, Interface, InterfaceType, OvsSettings, OvsTable, Path, Problem, State};

/// How often operations are computed again because somebody changed what they rest on.
const ROUNDS: u32 = 5;

/// What only the database of Open vSwitch keeps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Todo {
    Settings(OvsDbChange),
    Mappings(OvnChange),
    /// A bridge without ports, as it shall be: NetworkManager makes a bridge with its first port.
    EmptyBridge(Box<Interface>),
    /// The options and settings of a bridge that is there; its ports stay.
    Options(Box<Interface>),
    /// NetworkManager removes only what it has made.
    NoBridge(String),
    NoPort {
        bridge: String,
        port: String,
    },
}

impl fmt::Display for Todo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(_) => f.write_str("set the settings of Open vSwitch"),
            Self::Mappings(_) => f.write_str("set the mappings of OVN"),
            Self::EmptyBridge(bridge) => write!(f, "make bridge {} without ports", bridge.name),
            Self::Options(bridge) => write!(f, "set the options of bridge {}", bridge.name),
            Self::NoBridge(bridge) => write!(f, "remove bridge {bridge}"),
            Self::NoPort { bridge, port } => write!(f, "remove port {port} of bridge {bridge}"),
        }
    }
}

/// What a plan asks of the database, in the order of its changes.
pub(super) fn of_plan(plan: &Plan) -> Vec<Todo> {
    let mut todo = Vec::new();
    for change in &plan.changes {
        match change {
            Change::Interface(change) if change.kind == InterfaceType::OvsBridge => bridge(change, &mut todo),
            Change::OvsDb(change) => todo.push(Todo::Settings(change.clone())),
            Change::Ovn(change) => todo.push(Todo::Mappings(change.clone())),
            _ => {}
        }
    }
    todo
}

fn bridge(change: &InterfaceChange, todo: &mut Vec<Todo>) {
    let Some(after) = change.after.as_ref().filter(|after| after.is_up()) else {
        return todo.push(Todo::NoBridge(change.name.clone()));
    };
    let wanted = names(after);
    let before = change.before.as_ref();
    let dropped = before.map(names).unwrap_or_default().into_iter().filter(|port| !wanted.contains(port));
    todo.extend(dropped.map(|port| Todo::NoPort { bridge: change.name.clone(), port }));
    let is_same = before.is_some_and(|before| {
        before.is_up() && before.bridge == after.bridge && before.ovs_db == after.ovs_db
    });
    if ports(after).unwrap_or_default().is_empty() && !is_same {
        todo.push(Todo::EmptyBridge(Box::new(after.clone())));
    }
}

/// Its ports, by the names that documents give them.
fn names(bridge: &Interface) -> Vec<String> {
    let section = bridge.bridge.as_ref().and_then(|bridge| bridge.ovs()?.port.as_ref());
    section.into_iter().flatten().map(|port| port.name.clone()).collect()
}

/// What leads back to `back` from `now`.
pub(super) fn way_back(back: &State, now: &State) -> Vec<Todo> {
    of_plan(&plan_back(back, now))
}

/// The same as a plan, of what the database keeps.
pub(super) fn plan_back(back: &State, now: &State) -> Plan {
    let part = |state: &State| {
        let bridges = state.interfaces().iter().filter(|one| *one.kind() == InterfaceType::OvsBridge);
        State {
            interfaces: Some(bridges.cloned().collect()),
            ovs_db: state.ovs_db.clone(),
            ovn: state.ovn.clone(),
            ..State::default()
        }
    };
    plan::restore(&part(back), &part(now))
}

/// Whether a snapshot cannot be gone back to without the database: it was there, and keeps some of
/// what the transaction touches.
pub(super) fn is_needed(snapshot: &Snapshot) -> bool {
    snapshot.state.ovs_db.is_some() && snapshot.touched.has_ovs()
}

/// Waits until the database is there, at most so long.
pub(super) async fn comes(database: &Database, patience: Duration) {
    within(database, patience, |image| image.is_some()).await;
}

/// Carries out one of them. `owner` gives the profile of a bridge.
pub(super) async fn carry_out_one(
    one: &Todo,
    database: &Database,
    owner: &impl Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    let failed = |error: &Error| failure(format!("cannot {one}: {error}"));
    let mut round = 1;
    loop {
        let image = database.image().ok_or_else(|| absent(database))?;
        let Some(ops) = operations(one, &image, owner) else { return Err(uninitialised()) };
        match database.transact(ops).await {
            Ok(_) => return Ok(()),
            Err(Error::Changed) if round < ROUNDS => {
                round += 1;
                database.sync().await.map_err(|error| failed(&error))?;
            }
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// None: the database has no row for the host.
fn operations(one: &Todo, image: &Image, owner: &impl Fn(&str) -> Option<String>) -> Option<Vec<Op>> {
    image.host.as_ref()?;
    match one {
        Todo::Settings(change) => {
            Some(ovsdb::set_settings(&keys(&change.external_ids), &keys(&change.other_config)))
        }
        Todo::Mappings(change) => ovsdb::set_mappings(image, &keys(&change.bridges)),
        Todo::EmptyBridge(bridge) => {
            let mut bridge = Interface::clone(bridge);
            if let Some(uuid) = owner(&bridge.name) {
                let none = OvsSettings { external_ids: None, other_config: None };
                let settings = bridge.ovs_db.get_or_insert(none);
                let ids = settings.external_ids.get_or_insert_with(|| OvsTable(BTreeMap::new()));
                ids.0.insert(NM_UUID.to_owned(), Some(uuid));
            }
            Some(ovsdb::change_bridge(image, &bridge).unwrap_or_else(|| ovsdb::add_bridge(&bridge)))
        }
        Todo::Options(bridge) => Some(ovsdb::change_bridge(image, bridge).unwrap_or_default()),
        Todo::NoBridge(name) => Some(ovsdb::remove_bridge(image, name).unwrap_or_default()),
        Todo::NoPort { bridge, port } => Some(ovsdb::remove_port(image, bridge, port).unwrap_or_default()),
    }
}

fn keys(changes: &BTreeMap<String, ValueChange>) -> Keys {
    changes.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect()
}

/// Waits, while the database changes, until `is_so`. Whether it is in the end.
pub(super) async fn within(
    database: &Database,
    patience: Duration,
    is_so: impl Fn(Option<&Image>) -> bool,
) -> bool {
    let mut revisions: watch::Receiver<u64> = database.revisions();
    loop {
        revisions.borrow_and_update();
        if is_so(database.image().as_deref()) {
            return true;
        }
        if !matches!(timeout_at(Instant::now() + patience, revisions.changed()).await, Ok(Ok(()))) {
            return is_so(database.image().as_deref());
        }
    }
}

/// Why the database cannot be worked with.
pub(super) fn lacking(database: &Database) -> Option<String> {
    match database.image() {
        None => Some(absent(database).message),
        Some(image) if image.host.is_none() => Some(uninitialised().message),
        Some(_) => None,
    }
}

/// What has no other place than the database, which is not there.
pub(super) fn refuse(plan: &Plan, database: &Database) -> Vec<Problem> {
    let Some(because) = lacking(database) else { return Vec::new() };
    let sections = plan.changes.iter().filter_map(|change| match change {
        Change::OvsDb(_) => Some("ovs-db"),
        Change::Ovn(_) => Some("ovn"),
        _ => None,
    });
    let problem =
        |section| Problem::new(ErrorKind::PluginFailure, Path::root().key(section), because.clone());
    sections.map(problem).collect()
}

/// Interfaces of the document that come and go with the database, which is not there (semantics V42).
pub(super) fn unserved(plan: &Plan, database: &Database) -> Vec<Problem> {
    let Some(because) = lacking(database) else { return Vec::new() };
    let needs = |kind: &InterfaceType| matches!(kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface);
    let interfaces = plan.origins.iter().filter(|((_, kind), _)| needs(kind));
    let problem = |path: &Path| Problem::new(ErrorKind::PluginFailure, path.clone(), because.clone());
    interfaces.map(|(_, path)| problem(path)).collect()
}

/// The state with what the database knows laid over it.
pub(super) fn lay(mut seen: State, database: &Database) -> State {
    if let Some(image) = database.image() {
        ovsdb::overlay(&mut seen, &image);
    }
    seen
}

pub(super) fn absent(database: &Database) -> Failure {
    let why = database.missing().unwrap_or_else(|| "it does not run".to_owned());
    failure(format!("Open vSwitch's database is not there: {why}"))
}

fn uninitialised() -> Failure {
    failure("Open vSwitch's database is empty: Open vSwitch has never been started on it".to_owned())
}

pub(super) fn failure(message: String) -> Failure {
    Failure { kind: ErrorKind::PluginFailure, subject: None, message }
}
