//! What only D-Bus has: objects, properties, signals.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use nmstated::api::dbus::{NAME, PATH};
use serde_json::{Value as Json, json};
use zbus::{MatchRule, MessageStream, OwnedObjectPath, OwnedVariant};

use crate::harness::{BusClient, CHANGE, Daemon, dict, soon};

type Interfaces = HashMap<String, HashMap<String, OwnedVariant>>;

async fn objects(bus: &BusClient) -> Json {
    let interface = Some("org.freedesktop.DBus.ObjectManager");
    let call = bus.0.call_method(Some(NAME), PATH, interface, "GetManagedObjects", &());
    let reply = soon(call).await.expect("it manages objects");
    let objects: HashMap<OwnedObjectPath, Interfaces> = reply.body().deserialize().expect("a{oa{sa{sv}}}");
    let ours = |interfaces: Interfaces| -> Json {
        let ours = interfaces.into_iter().filter(|(name, _)| name.starts_with("io.nmstate."));
        ours.map(|(name, properties)| (name, dict(properties))).collect()
    };
    objects.into_iter().map(|(path, interfaces)| (path.to_string(), ours(interfaces))).collect()
}

/// The signals of the daemon.
async fn signals(bus: &BusClient) -> MessageStream {
    let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal).sender(NAME).build();
    let stream = MessageStream::for_match_rule(rule.expect("a rule"), &bus.0, std::num::NonZero::new(1000));
    soon(stream).await.expect("signals can be had")
}

#[tokio::test]
async fn transactions_and_checkpoints_are_objects_while_they_live() {
    let daemon = Daemon::start().await;
    let bus = BusClient(daemon.bus.connect().await);
    assert_eq!(objects(&bus).await, json!({}));
    let mut signals = signals(&bus).await;
    let options = json!({ "commit": false, "timeout_s": 50 });
    bus.ask("Apply", &json!({ "document": CHANGE, "options": options })).await.expect("it awaits commit");
    seen(&mut signals, "TransactionChanged", "awaiting-commit").await;

    let transaction = format!("{PATH}/transaction/1");
    let checkpoint = format!("{PATH}/checkpoint/1");
    let shown = objects(&bus).await;
    let properties = &shown[&transaction]["io.nmstate.Daemon.Transaction"];
    assert_eq!(properties["Stage"], "awaiting-commit");
    assert_eq!(properties["Id"], 1);
    assert_eq!(properties["Owner"]["uid"], 0);
    let properties = &shown[&checkpoint]["io.nmstate.Daemon.Checkpoint"];
    let left = properties["SecondsLeft"].as_u64().expect("a number");
    assert!((1..=50).contains(&left), "{left}");

    bus.ask("Commit", &json!({})).await.expect("committed");
    seen(&mut signals, "TransactionChanged", "committed").await;
    loop {
        let message = soon(signals.next()).await.expect("signals").expect("a signal");
        if message.header().member().is_some_and(|member| member == "InterfacesRemoved") {
            break;
        }
    }
    assert_eq!(objects(&bus).await, json!({}));
}

/// Waits for a signal of that name whose text has a word.
async fn seen(signals: &mut MessageStream, name: &str, word: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let message = soon(signals.next()).await.expect("signals").expect("a signal");
        let header = message.header();
        let member = header.member().map(ToString::to_string).unwrap_or_default();
        if member == "TransactionChanged" {
            let body = message.body();
            let (_, stage, entries): (u64, String, HashMap<String, OwnedVariant>) =
                body.deserialize().expect("tsa{sv}");
            assert!(!entries.contains_key("diff"));
            seen.push(stage.clone());
            if member == name && stage == word {
                return seen;
            }
        }
    }
}

#[tokio::test]
async fn properties_say_how_they_change() {
    let daemon = Daemon::start().await;
    let bus = BusClient(daemon.bus.connect().await);
    let mut signals = signals(&bus).await;
    let options = json!({ "commit": false });
    bus.ask("Apply", &json!({ "document": CHANGE, "options": options })).await.expect("it awaits commit");
    let mut stages = Vec::new();
    while stages.last() != Some(&json!("awaiting-commit")) {
        let message = soon(signals.next()).await.expect("signals").expect("a signal");
        if message.header().member().is_some_and(|member| member == "PropertiesChanged") {
            let body = message.body();
            let (interface, changed, _): (String, HashMap<String, OwnedVariant>, Vec<String>) =
                body.deserialize().expect("sa{sv}as");
            assert_eq!(interface, "io.nmstate.Daemon.Transaction");
            stages.push(dict(changed)["Stage"].clone());
        }
    }
    assert!(stages.len() > 1, "{stages:?}");
}

#[tokio::test]
async fn the_network_is_told_when_it_changes() {
    let daemon = Daemon::start().await;
    let bus = BusClient(daemon.bus.connect().await);
    let mut signals = signals(&bus).await;
    daemon.ask("Apply", json!({ "document": CHANGE })).await.expect("committed");
    let shown = daemon.ask("Show", json!({})).await.expect("a state");
    loop {
        let message = soon(signals.next()).await.expect("signals").expect("a signal");
        if message.header().member().is_some_and(|member| member == "StateChanged") {
            let revision: u64 = message.body().deserialize().expect("t");
            if revision == shown["revision"].as_u64().expect("a number") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn progress_is_told_at_most_five_times_a_second() {
    let daemon = Daemon::with(|network| network.step_time(Duration::from_millis(10))).await;
    let bus = BusClient(daemon.bus.connect().await);
    let mut signals = signals(&bus).await;
    let many: String = (0..60).map(|n| format!("- {{name: dummy{n}, type: dummy, state: up}}\n")).collect();
    let started = std::time::Instant::now();
    bus.ask("Apply", &json!({ "document": format!("interfaces:\n{many}") })).await.expect("committed");
    let stages = seen(&mut signals, "TransactionChanged", "committed").await;
    let applying = stages.iter().filter(|stage| *stage == "applying").count();
    let most = usize::try_from(started.elapsed().as_millis() / 200).expect("small") + 2;
    assert!(applying >= 2 && applying <= most, "{applying} of at most {most}");
}

#[tokio::test]
async fn a_second_daemon_on_the_same_bus_is_refused() {
    let daemon = Daemon::start().await;
    let bus = daemon.bus.connect().await;
    let service = daemon.running.service(nmstated::auth::Gate::without_polkit());
    let second = soon(nmstated::api::dbus::Server::start(bus, service, "fake")).await;
    let error = second.err().expect("it is refused");
    assert!(matches!(error, nmstated::api::dbus::ServerError::NameTaken), "{error:?}");
}
