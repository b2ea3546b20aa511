//! What is told when the network stops matching what is committed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use nmstated::backend::fake::{Fault, Faults, Point};
use nmstated::state::State;
use serde_json::{Value as Json, json};
use zbus::OwnedVariant;

use crate::harness::{BusClient, Daemon, Varlink, dict, soon};

/// Committed first; the test network has the MTU 1500.
const COMMITTED: &str = "
interfaces:
- name: eth0
  type: ethernet
  mtu: 1400
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  802.1x: {identity: me, eap-methods: [md5], password: hunter2}
";

/// Events from the moment that what is present was told.
async fn monitor(daemon: &Daemon) -> Varlink {
    let mut client = daemon.client().await;
    client.send(json!({ "method": "io.nmstate.Daemon.Monitor", "more": true })).await;
    while next(&mut client).await["event"] != "drift" {}
    client
}

async fn next(client: &mut Varlink) -> Json {
    client.receive().await.expect("events go on")["parameters"]["event"].take()
}

/// The next drift that is told.
async fn drift(client: &mut Varlink) -> Json {
    loop {
        let mut event = next(client).await;
        if event["event"] == "drift" {
            return event["drift"].take();
        }
    }
}

fn set_mtu(state: &mut State, mtu: u64) {
    let eth0 = state.interfaces.iter_mut().flatten().find(|interface| interface.name == "eth0");
    eth0.expect("it is there").mtu = Some(mtu);
}

fn paths(drift: &Json) -> Vec<&str> {
    let items = drift["items"].as_array().expect("a list");
    items.iter().map(|item| item["path"].as_str().expect("text")).collect()
}

fn item(drift: &Json, path: &str) -> Json {
    let mut items = drift["items"].as_array().expect("a list").iter();
    items.find(|item| item["path"] == path).unwrap_or_else(|| panic!("no {path} in {drift}")).clone()
}

#[tokio::test]
async fn drift_is_told_and_put_right() {
    let daemon = Daemon::start().await;
    let bus = daemon.bus.connect().await;
    let mut signals = soon(signals(&bus)).await;
    let mut events = monitor(&daemon).await;
    daemon.ask("Apply", json!({ "document": COMMITTED })).await.expect("committed");
    let none = daemon.ask("Drift", json!({})).await.expect("an answer")["drift"].take();
    assert_eq!(none, json!({ "count": 0, "items": [], "diff": "" }));

    daemon.network.edit(|state| {
        set_mtu(state, 1300);
        for interface in state.interfaces.iter_mut().flatten() {
            interface.ieee8021x = None;
        }
    });
    let told = drift(&mut events).await;
    assert_eq!(told["count"], 4, "{told}");
    let mtu = item(&told, "interfaces[eth0].mtu");
    let expected = json!({
        "subject": "interface eth0", "path": "interfaces[eth0].mtu", "expected": "1400", "found": "1300",
    });
    assert_eq!(mtu, expected);
    assert!(told["since"].is_u64() && !told.to_string().contains("hunter2"), "{told}");
    let asked = daemon.ask("Drift", json!({})).await.expect("an answer")["drift"].take();
    assert_eq!((&asked["items"], &asked["since"]), (&told["items"], &told["since"]));
    assert!(asked["diff"].as_str().expect("text").contains("+ mtu: 1400"), "{asked}");
    assert!(!asked.to_string().contains("hunter2"), "{asked}");
    let status = daemon.ask("GetStatus", json!({})).await.expect("an answer");
    assert_eq!(status["status"]["drift"], json!({ "count": 4, "since": told["since"] }));
    let signal = soon(signals.next()).await.expect("signals go on");
    assert_eq!(signal["count"], 4, "{signal}");
    assert_eq!(signal["items"], told["items"]);
    assert!(signal["diff"].is_null());
    let on_bus = BusClient(bus.clone()).ask("Drift", &json!({})).await.expect("an answer");
    assert_eq!(on_bus["drift"], asked);

    // While a change awaits commit, what was known stays known.
    let change =
        json!({ "document": "interfaces: [{name: eth0, mtu: 1200}]", "options": { "commit": false } });
    daemon.ask("Apply", change).await.expect("applied");
    let asked = daemon.ask("Drift", json!({})).await.expect("an answer");
    assert_eq!(asked["drift"]["items"], told["items"]);
    daemon.ask("Rollback", json!({})).await.expect("rolled back");

    let restore = json!({ "options": { "restore": true } });
    let plan = daemon.ask("Plan", restore.clone()).await.expect("a plan")["plan"].take();
    assert!(plan["diff"].as_str().expect("text").contains("+ mtu: 1400"), "{plan}");
    let restored = daemon.ask("Apply", restore.clone()).await.expect("restored")["transaction"].take();
    assert_eq!(restored["stage"], "committed", "{restored}");
    assert!(!restored.to_string().contains("hunter2"), "{restored}");
    assert_eq!(drift(&mut events).await["count"], 0);
    assert_eq!(soon(signals.next()).await.expect("signals go on")["count"], 0);
    let asked = daemon.ask("Drift", json!({})).await.expect("an answer")["drift"].take();
    assert_eq!(asked, none);
    let again = daemon.ask("Apply", restore).await.expect("nothing to do");
    assert_eq!(again["transaction"]["stage"], "unchanged");
    let shown = daemon.ask("Show", json!({ "options": { "show_secrets": true } })).await.expect("a state");
    assert!(shown.to_string().contains("hunter2"), "the secret came back too");
}

#[tokio::test]
async fn what_cannot_be_had_now_is_a_problem_beside_the_rest() {
    let daemon = Daemon::start().await;
    let mut events = monitor(&daemon).await;
    daemon.network.edit(|state| {
        let mut eth1 = state.interfaces().first().expect("one").clone();
        eth1.name = "eth1".into();
        eth1.ipv4 = None;
        state.interfaces.get_or_insert_default().push(eth1);
    });
    let document = "
interfaces:
- {name: eth0, type: ethernet, mtu: 1400}
- {name: eth1, type: ethernet, mtu: 1400}
";
    daemon.ask("Apply", json!({ "document": document })).await.expect("committed");
    // A card is pulled out, and something else changes.
    daemon.network.edit(|state| {
        state.interfaces.get_or_insert_default().retain(|interface| interface.name != "eth1");
        set_mtu(state, 1300);
    });
    let told = drift(&mut events).await;
    assert_eq!(told["count"], 2, "{told}");
    assert_eq!(paths(&told), ["interfaces[eth0].mtu"]);
    let place = told["problems"][0]["path"].as_str().expect("a place");
    assert!(place.starts_with("interfaces[eth1]"), "{told}");

    let restored = daemon.ask("Apply", json!({ "options": { "restore": true } })).await.expect("the rest");
    let transaction = &restored["transaction"];
    assert_eq!(transaction["stage"], "committed");
    assert!(transaction["warnings"][0].as_str().expect("a warning").contains("interfaces[eth1]"));
    let told = drift(&mut events).await;
    assert_eq!((told["count"].as_u64(), paths(&told).len()), (Some(1), 0), "{told}");
    assert!(told["problems"][0]["path"].as_str().expect("a place").starts_with("interfaces[eth1]"));

    // It comes back as it was delivered: still what was asked for is known.
    daemon.network.edit(|state| {
        let mut eth1 = state.interfaces().first().expect("one").clone();
        eth1.name = "eth1".into();
        eth1.ipv4 = None;
        eth1.mtu = Some(1500);
        state.interfaces.get_or_insert_default().push(eth1);
    });
    assert_eq!(paths(&drift(&mut events).await), ["interfaces[eth1].mtu"]);
}

/// Counts the looks at the network.
#[derive(Default)]
struct Looks(AtomicUsize);

impl Faults for Looks {
    fn at(&self, point: Point) -> Option<Fault> {
        if point == Point::Observe {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
        None
    }
}

#[tokio::test]
async fn nothing_is_looked_at_while_nothing_changes() {
    let looks = Arc::new(Looks::default());
    let daemon = Daemon::with_faults(looks.clone()).await;
    let mut events = monitor(&daemon).await;
    daemon.ask("Apply", json!({ "document": COMMITTED })).await.expect("committed");
    daemon.network.edit(|state| set_mtu(state, 1300));
    drift(&mut events).await;
    let before = looks.0.load(Ordering::SeqCst);
    // Longer than the longest time that a look is put off; nothing is being waited for.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(looks.0.load(Ordering::SeqCst), before);
    // Asking is answered from memory, and an apply that changes nothing causes no look of the watcher.
    daemon.ask("Drift", json!({})).await.expect("an answer");
    assert_eq!(looks.0.load(Ordering::SeqCst), before);

    // Many changes in a row are looked at together.
    for mtu in 1000..1100 {
        daemon.network.edit(|state| set_mtu(state, mtu));
    }
    let told = drift(&mut events).await;
    assert_eq!(told["items"][0]["found"], "1099", "{told}");
    assert_eq!(looks.0.load(Ordering::SeqCst), before + 1);
}

/// The dictionaries of `DriftChanged`, from the first drift on.
async fn signals(bus: &zbus::Connection) -> impl futures_util::Stream<Item = Json> + Unpin {
    let rule = zbus::MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("io.nmstate.Daemon")
        .member("DriftChanged")
        .build()
        .expect("names that are right");
    let stream = zbus::MessageStream::for_match_rule(rule, bus, None).await.expect("the bus takes a rule");
    let entries = stream.map(|message| {
        let message = message.expect("the bus goes on");
        let entries: HashMap<String, OwnedVariant> = message.body().deserialize().expect("a{sv}");
        dict(entries)
    });
    Box::pin(entries.skip_while(|entries| std::future::ready(entries["count"] == 0)))
}
