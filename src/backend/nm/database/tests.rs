//! Against a real ovsdb-server, with neither NetworkManager nor Open vSwitch beside it: what they
//! would write, the test writes.

#[path = "../../../../tests/ovsdb/harness.rs"]
mod harness;

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tokio::time::Instant;

use self::harness::{Server, until};
use super::*;
use crate::backend::Snapshot;
use crate::backend::openvswitch::{comes, is_needed, lay, of_plan, refuse, unserved, way_back};
use crate::nm::Profile;
use crate::nm::image::{Active, Stored};
use crate::plan::{self, Capabilities, Options, Plan};
use crate::state::{Document, ErrorKind, InterfaceType, State};

/// The UUID of the profile of bridge `br0`, and the external id that it gives its rows.
const OWNER: &str = "11111111-2222-3333-4444-555555555555";

fn state(json: Json) -> State {
    Document::from_json(&json).state().expect("a valid state").0
}

fn planned(desired: Json, now: &State) -> Plan {
    let capabilities = Capabilities {
        backend: "networkmanager",
        interface_types: InterfaceType::known().collect(),
        vlan_filtering: true,
        volatile_until_commit: false,
        profiles: true,
        names: true,
        persists: true,
        ovs_local: false,
        dormant: std::collections::BTreeMap::new(),
        own_net: None,
        unkept: std::collections::BTreeSet::new(),
    };
    plan::plan(&state(desired), now, &capabilities, &Options::default()).expect("it can be planned")
}

fn words(todo: &[Todo]) -> Vec<String> {
    todo.iter().map(ToString::to_string).collect()
}

/// A database that Open vSwitch was started on, and its follower.
async fn started() -> (Server, Database) {
    let mut server = Server::stopped();
    server.start();
    let database = server.follow();
    until(&database, "it is found", |image| image.is_some()).await;
    server.operate(json!([{"op": "insert", "table": "Open_vSwitch",
        "row": {"external_ids": ["map", [["system-id", "a"]]]}}]));
    database.sync().await.expect("it answers");
    (server, database)
}

/// A bridge with a port and its interface, as NetworkManager makes them, or with `mark` false somebody
/// else.
fn bridge(name: &str, port: &str, mark: bool) -> Json {
    let ids = if mark { json!(["map", [[NM_UUID, OWNER]]]) } else { json!(["map", []]) };
    json!([
        {"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": port, "type": "internal", "external_ids": ids}},
        {"op": "insert", "table": "Port", "uuid-name": "p",
            "row": {"name": port, "interfaces": ["named-uuid", "i"], "external_ids": ids}},
        {"op": "insert", "table": "Bridge", "uuid-name": "b",
            "row": {"name": name, "ports": ["named-uuid", "p"], "external_ids": ids}},
        {"op": "mutate", "table": "Open_vSwitch", "where": [],
            "mutations": [["bridges", "insert", ["set", [["named-uuid", "b"]]]]]},
    ])
}

fn shown(database: &Database) -> State {
    lay(State::default(), database)
}

fn nobody(_: &str) -> Option<String> {
    None
}

async fn plan_and_carry_out(desired: Json, database: &Database) -> Result<(), Failure> {
    let todo = of_plan(&planned(desired, &shown(database)));
    carry_out(todo.iter(), database, nobody).await
}

#[test]
fn what_networkmanager_cannot_make_or_remove_is_left_to_the_database() {
    let now = state(json!({"ovs-db": {"external_ids": {"a": 1}, "other_config": {}}, "interfaces": [
        {"name": "br0", "type": "ovs-bridge", "bridge": {"port": [{"name": "in0"}, {"name": "in1"}]}},
        {"name": "in0", "type": "ovs-interface", "controller": "br0"},
        {"name": "in1", "type": "ovs-interface", "controller": "br0"},
    ]}));
    let todo = |desired| of_plan(&planned(desired, &now));
    assert_eq!(
        words(&todo(json!({"interfaces": [{"name": "br1", "type": "ovs-bridge",
        "bridge": {"port": [{"name": "in2"}]}}]}))),
        [""; 0]
    );
    let dropped = todo(json!({"interfaces": [{"name": "br0", "type": "ovs-bridge",
        "bridge": {"port": [{"name": "in0"}]}}]}));
    assert_eq!(words(&dropped), ["remove port in1 of bridge br0"]);
    let gone = todo(json!({"interfaces": [{"name": "br0", "type": "ovs-bridge", "state": "absent"}]}));
    assert_eq!(words(&gone), ["remove bridge br0"]);
    let settings = todo(json!({"ovs-db": {"external_ids": {"a": 2}},
        "ovn": {"bridge-mappings": [{"localnet": "net", "bridge": "br0"}]}}));
    assert_eq!(words(&settings), ["set the settings of Open vSwitch", "set the mappings of OVN"]);
    assert_eq!(words(&first(&settings).cloned().collect::<Vec<_>>()), ["set the settings of Open vSwitch"]);
    assert_eq!(words(&last(&settings).cloned().collect::<Vec<_>>()), ["set the mappings of OVN"]);

    // A bridge that somebody made without ports, on the way back.
    let bare = state(
        json!({"ovs-db": {"external_ids": {"a": 1}, "other_config": {}}, "interfaces": [{"name": "br0", "type": "ovs-bridge",
        "bridge": {"options": {"fail-mode": "secure"}, "port": []}}]}),
    );
    let back = way_back(&bare, &now);
    assert_eq!(
        words(&back),
        ["remove port in0 of bridge br0", "remove port in1 of bridge br0", "make bridge br0 without ports"]
    );
    assert_eq!(words(&way_back(&bare, &bare)), [""; 0]);
}

#[tokio::test]
async fn settings_and_mappings_are_set_beside_those_of_others() {
    let (server, database) = started().await;
    server.operate(bridge("br0", "in0", false));
    database.sync().await.expect("it answers");
    let before = shown(&database);
    let desired = json!({"ovs-db": {"external_ids": {"rack": "b7"}, "other_config": {"x": 1}},
        "ovn": {"bridge-mappings": [{"localnet": "net", "bridge": "br0"}]}});
    plan_and_carry_out(desired.clone(), &database).await.expect("it is done");
    let host = |database: &Database| database.image().and_then(|image| image.host.clone()).expect("a row");
    let ids = &host(&database).external_ids;
    let ids: Vec<(&str, &str)> = ids.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(ids, [("ovn-bridge-mappings", "net:br0"), ("rack", "b7"), ("system-id", "a")]);
    assert_eq!(host(&database).other_config["x"], "1");
    assert!(of_plan(&planned(desired, &shown(&database))).is_empty(), "nothing is left to do");

    let back = way_back(&before, &shown(&database));
    carry_out(back.iter(), &database, nobody).await.expect("it is undone");
    assert_eq!(host(&database).external_ids.keys().collect::<Vec<_>>(), ["system-id"]);
    assert!(host(&database).other_config.is_empty());
}

#[tokio::test]
async fn a_bridge_without_ports_is_made_for_its_profile() {
    let (_server, database) = started().await;
    let bare = |fail_mode: &str| {
        let state = state(json!({"interfaces": [{"name": "br0", "type": "ovs-bridge",
            "bridge": {"options": {"fail-mode": fail_mode}, "port": []}}]}));
        [Todo::EmptyBridge(Box::new(state.interfaces()[0].clone()))]
    };
    let owner = |name: &str| (name == "br0").then(|| OWNER.to_owned());
    for fail_mode in ["secure", "standalone"] {
        carry_out(bare(fail_mode).iter(), &database, owner).await.expect("it is made, or changed");
        let image = database.image().expect("is there");
        let (_, row) = image.bridge("br0").expect("the bridge is there");
        assert_eq!(row.external_ids[NM_UUID], OWNER);
        assert_eq!(row.fail_mode.as_deref(), Some(fail_mode));
    }
    // One without ports is not waited for: NetworkManager will not remove it.
    assert!(!is_of_profile(&database.image().expect("is there"), "br0", None));
    carry_out([Todo::NoBridge("br0".into())].iter(), &database, nobody).await.expect("it is removed");
    assert!(database.image().expect("is there").bridge("br0").is_none());
}

#[tokio::test]
async fn what_networkmanager_made_it_may_remove_first() {
    let (server, database) = started().await;
    server.operate(bridge("br0", "in0", true));
    database.sync().await.expect("it answers");
    let image = database.image().expect("is there");
    assert!(is_of_profile(&image, "br0", None) && is_of_profile(&image, "br0", Some("in0")));
    assert!(!is_of_profile(&image, "br0", Some("in1")) && !is_of_profile(&image, "br1", None));

    let todo = [Todo::NoPort { bridge: "br0".into(), port: "in0".into() }];
    let removes = carry_out(todo.iter(), &database, nobody);
    let removed = async {
        server.operate(
            json!([{"op": "update", "table": "Bridge", "where": [], "row": {"ports": ["set", []]}}]),
        );
    };
    let (done, ()) = tokio::join!(removes, removed);
    done.expect("it is gone");
    assert!(!is_of_profile(&database.image().expect("is there"), "br0", Some("in0")));

    // It does not: what is left is removed all the same.
    server.operate(bridge("br1", "in1", true));
    database.sync().await.expect("it answers");
    let began = Instant::now();
    carry_out([Todo::NoBridge("br1".into())].iter(), &database, nobody).await.expect("it is removed");
    assert!(began.elapsed() >= GOES_MAX);
    assert!(database.image().expect("is there").bridge("br1").is_none());
}

/// Profiles of an internal interface, its port and their bridge; those of `active` are active.
fn profiles(active: &[&str]) -> Profiles {
    let mut profiles = Profiles::default();
    for (uuid, kind, name) in
        [(OWNER, "ovs-bridge", "br0"), ("p", "ovs-port", "in0"), ("i", "ovs-interface", "in0")]
    {
        let mut profile = Profile::default();
        profile.set("connection", "uuid", uuid);
        profile.set("connection", "type", kind);
        profile.set("connection", "interface-name", name);
        if kind == "ovs-interface" {
            profile.set("connection", "slave-type", "ovs-port");
        }
        let stored = Stored { profile, ..Stored::default() };
        profiles.profiles.insert(format!("/profiles/{uuid}"), Arc::new(stored));
    }
    for uuid in active {
        let active = Active { uuid: (*uuid).to_owned(), ..Active::default() };
        profiles.actives.insert(format!("/active/{uuid}"), Arc::new(active));
    }
    profiles
}

fn awaits() -> Vec<Await> {
    let ready = |uuid: &str| Until::Ready { uuid: uuid.into(), ipv4: false, ipv6: false };
    let which = |name: &str, layer| Which { name: name.to_owned(), layer };
    vec![
        Await { which: which("br0", Layer::OvsBridge), until: ready(OWNER) },
        Await { which: which("in0", Layer::OvsPort), until: ready("p") },
        Await { which: which("in0", Layer::Kernel), until: ready("i") },
    ]
}

#[tokio::test]
async fn what_networkmanager_calls_active_has_to_arrive() {
    let (server, database) = started().await;
    let profiles = profiles(&[]);
    let awaits = awaits();
    // A bridge alone has no row, and needs none.
    arrived(&awaits[..1], &profiles, &database).await.expect("nothing to wait for");
    let writes = async { server.operate(bridge("br0", "in0", true)) };
    let (done, ()) = tokio::join!(arrived(&awaits, &profiles, &database), writes);
    done.expect("it arrives");

    // NetworkManager is done with a card before Open vSwitch has looked for it.
    let card = |row: Json| {
        server.operate(
            json!([{"op": "update", "table": "Interface", "where": [["name", "==", "in0"]], "row": row}]),
        );
    };
    card(json!({"type": "dpdk"}));
    database.sync().await.expect("it answers");
    let says = async { card(json!({"error": "Error attaching device to DPDK"})) };
    let (done, ()) = tokio::join!(arrived(&awaits, &profiles, &database), says);
    let failure = done.expect_err("it is refused");
    assert_eq!(failure.message, "in0 is refused by Open vSwitch: Error attaching device to DPDK");
    card(json!({"error": ["set", []], "mtu": 1500}));
    database.sync().await.expect("it answers");
    arrived(&awaits, &profiles, &database).await.expect("it is there");

    let late = [Await { which: Which { name: "in1".into(), layer: Layer::OvsPort }, ..awaits[1].clone() }];
    tokio::time::pause();
    let began = Instant::now();
    let failure = arrived(&late, &profiles, &database).await.expect_err("it never does");
    assert!(began.elapsed() >= PATIENCE && began.elapsed() < 2 * PATIENCE);
    assert_eq!(failure.kind, ErrorKind::PluginFailure);
    assert_eq!(failure.subject.as_deref(), Some("in1"));
    assert_eq!(
        failure.message,
        "port in1 is not in Open vSwitch's database: NetworkManager seems not to be connected to Open \
         vSwitch's database: restart NetworkManager"
    );
}

#[tokio::test]
async fn a_failure_is_told_with_what_the_database_knows() {
    let (mut server, database) = started().await;
    server.operate(bridge("br0", "in0", true));
    server.operate(json!([{"op": "update", "table": "Interface", "where": [["name", "==", "in0"]],
        "row": {"error": "could not open network device in0"}}]));
    database.sync().await.expect("it answers");
    let profiles = profiles(&[]);
    let told = |name: &str, database: &Database| {
        let failure = Failure { subject: Some(name.to_owned()), ..failure("it failed".into()) };
        explain(failure, Some(&profiles), database).message
    };
    assert_eq!(told("in0", &database), "it failed (Open vSwitch: could not open network device in0)");
    assert_eq!(told("eth1", &database), "it failed", "it is none of Open vSwitch's");
    server.operate(
        json!([{"op": "update", "table": "Open_vSwitch", "where": [], "row": {"bridges": ["set", []]}}]),
    );
    database.sync().await.expect("it answers");
    assert!(told("in0", &database).ends_with("restart NetworkManager)"), "{}", told("in0", &database));
    server.kill();
    until(&database, "it is missed", |image| image.is_none()).await;
    assert!(told("in0", &database).starts_with("it failed (Open vSwitch's database is not there: "));
}

#[tokio::test]
async fn nothing_that_needs_the_database_is_planned_without_it() {
    let mut server = Server::stopped();
    let database = server.follow();
    database.sync().await.expect("it answers without a database");
    let refused = |desired: Json, database: &Database| -> Vec<(ErrorKind, String)> {
        let plan = planned(desired, &shown(database));
        let problems = refuse(&plan, database).into_iter().chain(unserved(&plan, database));
        problems.map(|problem| (problem.kind, problem.to_string())).collect()
    };
    let absent = |path: &str| {
        let socket = server.socket().display().to_string();
        let why = format!("cannot connect to {socket}: No such file or directory (os error 2)");
        (ErrorKind::PluginFailure, format!("{path}: Open vSwitch's database is not there: {why}"))
    };
    for state in ["up", "down", "absent"] {
        let bridge = json!({"interfaces": [{"name": "br0", "type": "ovs-bridge", "state": state}]});
        assert_eq!(refused(bridge, &database), [absent("interfaces[0]")], "{state}");
    }
    assert_eq!(refused(json!({"ovs-db": {"external_ids": {"a": 1}}}), &database), [absent("ovs-db")]);
    assert_eq!(
        refused(json!({"interfaces": [{"name": "d0", "type": "dummy", "state": "up"}]}), &database),
        []
    );

    server.start();
    until(&database, "it is found", |image| image.is_some()).await;
    let settings = json!({"ovs-db": {"external_ids": {"a": 1}}});
    let empty = "ovs-db: Open vSwitch's database is empty: Open vSwitch has never been started on it";
    assert_eq!(refused(settings.clone(), &database), [(ErrorKind::PluginFailure, empty.to_owned())]);
    server.operate(json!([{"op": "insert", "table": "Open_vSwitch", "row": {}}]));
    database.sync().await.expect("it answers");
    assert_eq!(refused(settings, &database), []);
}

/// Semantics V42, for whom does not verify.
#[tokio::test]
async fn without_the_database_profiles_are_prepared_for_it() {
    let profile = |uuid: &str, kind: &str, slave_type: &str| {
        let mut profile = Profile::default();
        for (key, value) in [("uuid", uuid), ("type", kind), ("slave-type", slave_type)] {
            profile.set("connection", key, value);
        }
        profile
    };
    let mut stored = Profiles::default();
    let card = Stored { profile: profile("card", "802-3-ethernet", "ovs-port"), ..Stored::default() };
    stored.profiles.insert("/settings/1".into(), Arc::new(card));
    let of = |uuid: &str, layer| {
        let ready = Until::Ready { uuid: uuid.into(), ipv4: false, ipv6: false };
        Await { which: Which { name: uuid.into(), layer }, until: ready }
    };
    let add = |uuid: &str, kind: &str, slave_type: &str| Step::Add {
        which: Which::kernel(uuid),
        profile: profile(uuid, kind, slave_type),
    };
    let activate =
        |uuid: &str| Step::Activate { which: Which::kernel(uuid), uuid: uuid.into(), on_device: false };
    let work = || Work {
        steps: vec![
            add("bridge", "ovs-bridge", ""),
            add("port", "ovs-port", "ovs-bridge"),
            add("inner", "ovs-interface", "ovs-port"),
            add("other", "dummy", ""),
            activate("bridge"),
            activate("card"),
            activate("inner"),
            activate("other"),
        ],
        awaits: vec![
            of("bridge", Layer::OvsBridge),
            of("port", Layer::OvsPort),
            of("inner", Layer::Kernel),
            of("card", Layer::Kernel),
            of("other", Layer::Kernel),
        ],
        database: vec![Todo::NoBridge("br0".into())],
        ..Work::default()
    };
    let names =
        |work: &Work| -> Vec<String> { work.awaits.iter().map(|what| what.which.name.clone()).collect() };

    let (mut server, database) = started().await;
    let mut served = work();
    prepare(&mut served, &stored, &database);
    assert_eq!(served, work());
    server.kill();
    until(&database, "it is missed", |image| image.is_none()).await;
    let mut unserved = work();
    prepare(&mut unserved, &stored, &database);
    assert_eq!(names(&unserved), ["other"]);
    let mut left = work().steps;
    left.retain(|step| !matches!(step, Step::Activate { uuid, .. } if uuid != "other"));
    assert_eq!((unserved.steps, unserved.database), (left, Vec::new()));
}

#[tokio::test]
async fn who_dies_meanwhile_is_told_and_who_comes_back_is_waited_for() {
    let (mut server, database) = started().await;
    let settings = json!({"ovs-db": {"external_ids": {"a": 1}}});
    let todo = of_plan(&planned(settings, &shown(&database)));
    server.kill();
    until(&database, "it is missed", |image| image.is_none()).await;
    let failure = carry_out(todo.iter(), &database, nobody).await.expect_err("nobody is there");
    assert_eq!(failure.kind, ErrorKind::PluginFailure);
    assert!(failure.message.starts_with("Open vSwitch's database is not there: "), "{failure}");

    let ((), ()) = tokio::join!(comes(&database, Duration::from_secs(30)), async { server.start() });
    carry_out(todo.iter(), &database, nobody).await.expect("it is there again");
    assert_eq!(database.image().and_then(|image| image.host.clone()).expect("a row").external_ids["a"], "1");
    server.kill();
    until(&database, "it is missed", |image| image.is_none()).await;
    tokio::time::pause();
    let began = Instant::now();
    comes(&database, Duration::from_secs(20)).await;
    assert_eq!(began.elapsed().as_secs(), 20, "not for ever");
}

#[test]
fn a_rollback_needs_it_if_it_keeps_what_is_touched() {
    let with = state(json!({"ovs-db": {"external_ids": {}, "other_config": {}}}));
    let snapshot = |state: &State, desired: Json| {
        let mut touched = plan::Touched::default();
        touched.extend(&planned(desired, state));
        Snapshot { state: state.clone(), private: Json::Null, touched }
    };
    let dummy = || json!({"interfaces": [{"name": "d0", "type": "dummy", "state": "up"}]});
    let bridge = || json!({"interfaces": [{"name": "br0", "type": "ovs-bridge", "state": "up"}]});
    assert!(is_needed(&snapshot(&with, bridge())));
    assert!(is_needed(&snapshot(&with, json!({"ovs-db": {"external_ids": {"a": 1}}}))));
    assert!(!is_needed(&snapshot(&with, dummy())));
    assert!(!is_needed(&snapshot(&State::default(), bridge())), "there was none");
}

#[test]
fn a_bridge_belongs_to_the_profile_that_is_active_there() {
    let mut profiles = profiles(&["other"]);
    assert_eq!(owner(&profiles, "br0").as_deref(), Some(OWNER));
    assert_eq!(owner(&profiles, "br1"), None);
    let mut other = profiles.profiles[&format!("/profiles/{OWNER}")].profile.clone();
    other.set("connection", "uuid", "other");
    let stored = Stored { profile: other, ..Stored::default() };
    profiles.profiles.insert("/profiles/zz".into(), Arc::new(stored));
    assert_eq!(owner(&profiles, "br0").as_deref(), Some("other"));
}
