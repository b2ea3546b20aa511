//! What we install says what the daemon does.

use std::collections::{BTreeMap, BTreeSet};

use nmstated::api::{Method, dbus, varlink};
use nmstated::auth::Action;
use nmstated::state::ErrorKind;
use nmstated::wire::{
    ClientPath, DocumentInfo, DocumentOutcome, DriftInfo, DriftItem, DriftStatus, ErrorInfo, Event, Owner,
    PlanInfo, ProgressInfo, Stage, StatusInfo, TransactionInfo,
};
use serde_json::{Value as Json, json};

use crate::harness::{BusClient, CHANGE, Daemon, POLICY, soon};
use crate::idl::{self, Field, Interface, Kind};

fn installed(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn names(fields: &[Field]) -> BTreeSet<&str> {
    fields.iter().map(|field| field.name.as_str()).collect()
}

/// Fails unless a value is of a type of the interface.
fn check(interface: &Interface, kind: &Kind, value: &Json, place: &str) {
    match (kind, value) {
        (Kind::Bool, Json::Bool(_)) | (Kind::Text, Json::String(_)) | (Kind::Object, Json::Object(_)) => {}
        (Kind::Int, Json::Number(number)) if number.is_i64() => {}
        (Kind::Enumeration(names), Json::String(name)) if names.contains(name) => {}
        (Kind::List(kind), Json::Array(items)) => {
            for item in items {
                check(interface, kind, item, place);
            }
        }
        (Kind::Named(name), value) => {
            let fields = interface.types.get(name).unwrap_or_else(|| panic!("{place}: no type {name}"));
            check_fields(interface, fields, value, &format!("{place}.{name}"));
        }
        (kind, value) => panic!("{place}: {value} is no {kind:?}"),
    }
}

fn check_fields(interface: &Interface, fields: &[Field], value: &Json, place: &str) {
    let value = value.as_object().unwrap_or_else(|| panic!("{place}: {value} is no object"));
    for key in value.keys() {
        assert!(names(fields).contains(key.as_str()), "{place}: {key} is not declared");
    }
    for field in fields {
        match value.get(&field.name) {
            Some(value) => check(interface, &field.kind, value, &format!("{place}.{}", field.name)),
            None => assert!(field.is_optional, "{place}: {} is missing", field.name),
        }
    }
}

fn interface() -> Interface {
    idl::read(varlink::INTERFACE)
}

#[test]
fn the_interface_declares_every_method_and_every_error() {
    let interface = interface();
    assert_eq!(interface.name, varlink::NAME);
    let methods: Vec<&str> = interface.methods.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(methods, Method::ALL.map(Method::name));
    let errors: Vec<&str> = interface.errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(errors, ErrorKind::ALL.map(ErrorKind::name));
    for (name, fields) in &interface.errors {
        let mut expected = interface.types["ErrorInfo"].clone();
        let transaction = Field { name: "transaction".into(), is_optional: true, kind: Kind::Int };
        expected.push(transaction);
        assert_eq!(fields, &expected, "{name}");
    }
}

#[test]
fn the_interface_declares_the_types_of_the_wire() {
    let owner = Owner { uid: 1, pid: Some(2), via: "varlink".into() };
    let one = ErrorInfo {
        kind: "Busy".into(),
        message: "m".into(),
        path: "p".into(),
        line: Some(1),
        column: Some(2),
        interface: Some("i".into()),
        hint: Some("h".into()),
        more: Vec::new(),
    };
    // `more` of what is in `more` is empty, and then not there.
    let error = ErrorInfo { more: vec![one.clone()], ..one };
    let progress = ProgressInfo { n: 1, of: 2, interface: Some("eth0".into()), text: "t".into() };
    let client_path = ClientPath { interface: "i".into(), reasons: vec!["r".into()] };
    let transaction = TransactionInfo {
        id: 1,
        owner,
        stage: Stage::RolledBack,
        created: 1,
        ended: Some(2),
        progress: Some(progress),
        seconds_left: Some(3),
        error: Some(error.clone()),
        unrestored: vec!["u".into()],
        warnings: vec!["w".into()],
        diff: "d".into(),
        client_path: Some(client_path.clone()),
    };
    let plan = PlanInfo {
        changes: vec![json!({})],
        diff: "d".into(),
        warnings: vec!["w".into()],
        client_path: Some(client_path.clone()),
    };
    let document = DocumentInfo {
        file: "a.yml".into(),
        outcome: DocumentOutcome::Failed,
        error: Some(error.clone()),
        transaction: Some(1),
    };
    let status = StatusInfo {
        version: "1".into(),
        backend: "b".into(),
        backend_reason: "r".into(),
        safety_nets: vec!["daemon".into()],
        interface_types: vec!["veth".into()],
        revision: 1,
        queued: 1,
        transactions: vec![transaction.clone()],
        alerts: vec!["a".into()],
        boot_documents: vec![document.clone()],
        drift: Some(DriftStatus { count: 1, since: 1 }),
    };
    let item = DriftItem {
        subject: "interface eth0".into(),
        path: "interfaces[eth0].mtu".into(),
        expected: Some("1400".into()),
        found: Some("1500".into()),
    };
    let drift = DriftInfo {
        since: Some(1),
        count: 1,
        items: vec![item.clone()],
        problems: vec![error.clone()],
        diff: "d".into(),
    };
    let interface = interface();
    let of = |name: &str, value: Json| check(&interface, &Kind::Named(name.into()), &value, "wire");
    let fields = |name: &str, value: &Json| {
        let value: BTreeSet<&str> =
            value.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(value, names(&interface.types[name]), "{name}");
    };
    for (name, value) in [
        ("Owner", json!(transaction.owner)),
        ("ErrorInfo", json!(error)),
        ("ProgressInfo", json!(transaction.progress)),
        ("ClientPath", json!(transaction.client_path)),
        ("TransactionInfo", json!(transaction)),
        ("PlanInfo", json!(plan)),
        ("DocumentInfo", json!(document)),
        ("StatusInfo", json!(status)),
        ("DriftStatus", json!(status.drift)),
        ("DriftInfo", json!(drift)),
        ("DriftItem", json!(item)),
    ] {
        fields(name, &value);
        of(name, value);
    }
    for event in [
        Event::Transaction { transaction },
        Event::Network { revision: 1 },
        Event::Drift { drift },
        Event::Lost { count: 1 },
    ] {
        of("Event", json!(event));
    }
}

/// The names in backquotes after "expected" in a complaint.
fn expected(text: &str) -> BTreeSet<&str> {
    let expected = text.split_once("expected").map_or("", |(_, expected)| expected);
    expected.split('`').skip(1).step_by(2).collect()
}

#[tokio::test]
async fn the_interface_declares_the_parameters_that_are_read_and_what_is_answered() {
    let daemon = Daemon::start().await;
    let interface = interface();
    for (name, parameters, _) in &interface.methods {
        let mut client = daemon.client().await;
        let method = format!("{}.{name}", varlink::NAME);
        client.send(json!({ "method": method, "parameters": { "no such": 1 }, "more": true })).await;
        let refused = client.receive().await.expect("an answer");
        let text = refused["parameters"]["message"].as_str().expect("a complaint");
        // Every method takes that one, and it is read apart.
        let mut declared = names(parameters);
        assert!(declared.remove("allowInteractiveAuthentication"), "{name}");
        assert_eq!(expected(text), declared, "{name}: {text}");
        let Some(options) = parameters.iter().find(|field| field.name == "options") else {
            continue;
        };
        let Kind::Named(options) = &options.kind else { panic!("{name}: options have a type of their own") };
        let unknown = json!({ "options": { "no such": 1 } });
        let (_, refused) = client.ask(name, unknown).await.expect_err("an unknown option");
        let text = refused["message"].as_str().expect("a complaint");
        assert_eq!(expected(text), names(&interface.types[options]), "{name}: {text}");
    }
    let options = json!({ "commit": false });
    for (method, parameters) in [
        ("Show", json!({})),
        ("Plan", json!({ "document": CHANGE })),
        ("Validate", json!({ "document": CHANGE })),
        ("GenerateRevert", json!({ "document": CHANGE })),
        ("GenerateDifference", json!({ "document": CHANGE })),
        ("GenerateConfiguration", json!({ "document": CHANGE })),
        ("ResolvePolicy", json!({ "document": POLICY })),
        ("Apply", json!({ "document": CHANGE, "options": options })),
        ("List", json!({})),
        ("GetStatus", json!({})),
        ("Drift", json!({})),
        ("Extend", json!({ "seconds": 60 })),
        ("Log", json!({ "id": 1 })),
        ("Rollback", json!({})),
        ("History", json!({})),
    ] {
        let answer =
            daemon.ask(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        let (.., fields) = interface.methods.iter().find(|(name, ..)| name == method).expect("declared");
        check_fields(&interface, fields, &answer, method);
    }
}

#[tokio::test]
async fn varlink_describes_itself() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    let method = "org.varlink.service.GetInterfaceDescription";
    for name in [varlink::NAME, "org.varlink.service"] {
        let described = client.ask(method, json!({ "interface": name })).await.expect("a description");
        let described = idl::read(described["description"].as_str().expect("text"));
        assert_eq!(described.name, name);
    }
    let (name, info) = client.ask(method, json!({ "interface": "io.example" })).await.expect_err("unknown");
    assert_eq!(
        (name.as_str(), &info["interface"]),
        ("org.varlink.service.InterfaceNotFound", &json!("io.example"))
    );
    let (name, _) = client.ask(method, json!({})).await.expect_err("incomplete");
    assert_eq!(name, "org.varlink.service.InvalidParameter");
}

/// The interfaces of ours in an introspection document, by name, without indentation.
fn ours(xml: &str) -> BTreeMap<String, String> {
    let mut interfaces = BTreeMap::new();
    for block in xml.split("<interface name=\"").skip(1) {
        let (name, rest) = block.split_once('"').expect("a name ends");
        let (content, _) = rest.split_once("</interface>").expect("an interface ends");
        let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
        if name.starts_with("io.nmstate.") {
            interfaces.insert(name.to_owned(), lines.collect::<Vec<_>>().join("\n"));
        }
    }
    interfaces
}

#[tokio::test]
async fn the_introspection_file_is_what_the_bus_shows() {
    let daemon = Daemon::start().await;
    let options = json!({ "commit": false });
    let bus = BusClient(daemon.bus.connect().await);
    bus.ask("Apply", &json!({ "document": CHANGE, "options": options })).await.expect("it awaits commit");
    let mut shown = BTreeMap::new();
    for path in ["", "/transaction/1", "/checkpoint/1"] {
        shown.extend(ours(&introspect(&bus, &format!("{}{path}", dbus::PATH)).await));
    }
    assert_eq!(shown, ours(&installed("dbus/io.nmstate.Daemon.xml")));
}

/// The introspection document of an object, as soon as it is there.
async fn introspect(bus: &BusClient, path: &str) -> String {
    soon(async {
        loop {
            let interface = Some("org.freedesktop.DBus.Introspectable");
            let call = bus.0.call_method(Some(dbus::NAME), path, interface, "Introspect", &()).await;
            if let Ok(reply) = call
                && let Ok(xml) = reply.body().deserialize::<String>()
                && xml.contains("io.nmstate.")
            {
                return xml;
            }
        }
    })
    .await
}

/// The values of an attribute in a document.
fn values<'a>(xml: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!("{attribute}=\"");
    xml.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn polkit_knows_every_action() {
    let policy = installed("polkit/io.nmstate.daemon.policy");
    assert_eq!(values(&policy, "action id"), Action::ALL.map(Action::id));
}

#[test]
fn the_bus_knows_the_name() {
    let policy = installed("dbus/io.nmstate.Daemon.conf");
    assert_eq!(values(&policy, "allow own"), [dbus::NAME]);
    assert_eq!(values(&policy, "allow send_destination"), [dbus::NAME]);
    let activation = installed("dbus/io.nmstate.Daemon.service");
    assert!(activation.contains(&format!("\nName={}\n", dbus::NAME)));
    assert!(activation.contains("\nSystemdService=nmstated.service\n"));
}
