//! The same requests over both transports have the same answers.

use serde_json::{Value as Json, json};

use crate::harness::{BusClient, CHANGE, Daemon, POLICY};

/// Requests in order, each with what it is about.
fn requests() -> Vec<(&'static str, Json)> {
    let secret = "
interfaces:
- name: eth0
  type: ethernet
  mtu: 1300
  802.1x: {identity: me, eap-methods: [tls], private-key-password: hunter2}
";
    vec![
        ("GetStatus", json!({})),
        ("Show", json!({})),
        ("Show", json!({ "options": { "kernel_only": true, "show_secrets": true } })),
        ("Show", json!({ "options": { "colour": "red" } })),
        ("Show", json!({ "options": { "kernel_only": 5 } })),
        ("Plan", json!({ "document": CHANGE })),
        ("Plan", json!({ "document": CHANGE, "options": { "memory_only": true } })),
        ("Plan", json!({ "document": CHANGE, "options": { "backend": "fake" } })),
        ("Plan", json!({ "document": CHANGE, "options": { "backend": "netplan" } })),
        ("Plan", json!({ "document": CHANGE, "options": near() })),
        ("Plan", json!({ "document": CHANGE, "options": { "client_address": "203.0.113.9" } })),
        ("Plan", json!({ "document": CHANGE, "options": { "client_address": "near" } })),
        ("Apply", json!({ "document": CHANGE, "options": { "server_address": "192.0.2.1" } })),
        ("Plan", json!({ "document": "interfaces: []" })),
        ("Plan", json!({ "document": "interfaces:\n- name: eth0\n  mtu: many\n  mut: 5\n" })),
        ("Plan", json!({ "document": "interfaces: [" })),
        (
            "Plan",
            json!({ "document": "interfaces:\n- name: br9\n  type: linux-bridge\n  bridge: {port: [{name: gone}]}\n" }),
        ),
        ("Plan", json!({ "document": secret })),
        ("Validate", json!({ "document": CHANGE })),
        ("Validate", json!({ "document": "interfaces: 5" })),
        ("GenerateRevert", json!({ "document": CHANGE })),
        ("GenerateDifference", json!({ "document": CHANGE })),
        ("GenerateDifference", json!({ "document": POLICY })),
        ("GenerateDifference", json!({ "document": CHANGE, "oldDocument": CHANGE })),
        ("GenerateDifference", json!({ "document": CHANGE, "oldDocument": "interfaces: 5" })),
        ("GenerateConfiguration", json!({ "document": CHANGE })),
        ("GenerateConfiguration", json!({ "document": CHANGE, "program": "netplan-networkd" })),
        ("GenerateConfiguration", json!({ "document": CHANGE, "program": "ifupdown" })),
        ("GenerateConfiguration", json!({ "document": POLICY })),
        ("ResolvePolicy", json!({ "document": POLICY })),
        ("ResolvePolicy", json!({ "document": CHANGE })),
        ("ResolvePolicy", json!({ "document": "capture: {x: interfaces.name = eth0}" })),
        ("Plan", json!({ "document": POLICY })),
        ("Validate", json!({ "document": POLICY })),
        ("Validate", json!({ "document": "capture: {x: interfaces.name == nobody}" })),
        ("GenerateRevert", json!({ "document": POLICY })),
        ("Apply", json!({ "document": "interfaces: []" })),
        ("Apply", json!({ "document": CHANGE, "options": { "tiemout_s": 5 } })),
        ("Apply", json!({ "document": CHANGE, "options": { "timeout_s": 0 } })),
        ("Apply", json!({ "document": CHANGE, "options": { "backend": "kernel" } })),
        ("Apply", json!({ "document": CHANGE, "options": { "probes": ["ping"] } })),
        ("Apply", json!({ "document": CHANGE, "options": { "probes": "gateway" } })),
        ("Apply", json!({ "document": CHANGE, "options": { "probes": ["run:/nowhere/at/all"] } })),
        ("Log", json!({ "id": 2 })),
        ("Apply", json!({ "document": CHANGE, "options": { "commit": false, "timeout_s": 30 } })),
        ("List", json!({})),
        ("GetStatus", json!({})),
        ("Apply", json!({ "document": CHANGE })),
        ("Extend", json!({ "seconds": 600 })),
        ("Rollback", json!({})),
        ("Commit", json!({})),
        ("Commit", json!({ "id": 77 })),
        ("Cancel", json!({ "id": 77 })),
        ("Log", json!({ "id": 77 })),
        ("Apply", json!({ "document": CHANGE, "options": near() })),
        ("List", json!({})),
        ("Rollback", json!({})),
        ("Apply", json!({ "document": CHANGE })),
        ("Apply", json!({ "document": CHANGE })),
        (
            "Apply",
            json!({ "document": "interfaces:\n- name: eth0\n  mtu: 1350\n", "options": { "commit": false } }),
        ),
        ("Commit", json!({})),
        ("Drift", json!({})),
        ("Apply", json!({ "options": { "restore": true } })),
        ("Apply", json!({ "document": CHANGE, "options": { "restore": true } })),
        ("Plan", json!({ "options": { "restore": true } })),
        ("Log", json!({ "id": 3 })),
        ("Log", json!({ "id": 4 })),
        ("History", json!({ "limit": 10 })),
        ("Show", json!({})),
    ]
}

/// A neighbour of `eth0`.
fn near() -> Json {
    json!({ "client_address": "192.0.2.77", "server_address": "192.0.2.1" })
}

/// What differs from client to client and from moment to moment.
fn mask(answer: &mut Json) {
    match answer {
        Json::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                match key.as_str() {
                    "created" | "ended" | "seconds_left" | "pid" | "via" => *value = "some".into(),
                    _ => mask(value),
                }
            }
            entries.sort_keys();
        }
        Json::Array(items) => items.iter_mut().for_each(mask),
        _ => {}
    }
}

/// The text of an error on the bus, from the parameters of the same error on varlink.
fn bus_text(info: &Json) -> String {
    let mut lines = vec![line(info)];
    lines.extend(info["more"].as_array().into_iter().flatten().map(line));
    lines.extend(info["transaction"].as_u64().map(|id| format!("transaction {id}")));
    lines.join("\n")
}

/// A text without the seconds that it tells.
fn without_time(text: &str) -> String {
    match text.split_once("rolled back in ") {
        Some((start, end)) => format!("{start}{}", end.trim_start_matches(|c: char| c.is_ascii_digit())),
        None => text.to_owned(),
    }
}

fn line(info: &Json) -> String {
    let text = |key: &str| info[key].as_str();
    let mut line = text("path").map(|path| format!("{path}: ")).unwrap_or_default();
    line += text("message").expect("every error has a message");
    line += &text("hint").map(|hint| format!(" ({hint})")).unwrap_or_default();
    if let (Some(l), Some(c)) = (info["line"].as_u64(), info["column"].as_u64()) {
        line += &format!(" at line {l}, column {c}");
    }
    line
}

#[tokio::test]
async fn both_transports_give_the_same_answers() {
    let (one, other) = (Daemon::start().await, Daemon::start().await);
    let mut varlink = one.client().await;
    let bus = BusClient(other.bus.connect().await);
    let mut stages = Vec::new();
    for (method, parameters) in requests() {
        let on_varlink = varlink.ask(method, parameters.clone()).await;
        let on_bus = bus.ask(method, &parameters).await;
        let about = format!("{method} {parameters}");
        match (on_varlink, on_bus) {
            (Ok(mut a), Ok(mut b)) => {
                mask(&mut a);
                mask(&mut b);
                stages.extend(a["transaction"]["stage"].as_str().map(|s| format!("{method} {s}")));
                assert_eq!(a, b, "{about}");
                for told in ["plan", "transaction"] {
                    stages.extend(
                        a[told]["client_path"]["interface"]
                            .as_str()
                            .map(|on| format!("{method} touches {on}")),
                    );
                }
            }
            (Err((varlink_name, info)), Err((bus_name, text))) => {
                let kind = info["kind"].as_str().expect("every error has a kind");
                assert_eq!(varlink_name, format!("io.nmstate.Daemon.{kind}"), "{about}");
                assert_eq!(bus_name, format!("io.nmstate.Daemon.Error.{kind}"), "{about}");
                let client = bus.0.unique_name().expect("a name").as_str();
                let text = without_time(&text.replace(client, "varlink"));
                assert_eq!(text, without_time(&bus_text(&info)), "{about}");
                assert!(!text.contains("hunter2"), "{about}");
                stages.push(format!("{method} {kind}"));
            }
            (a, b) => panic!("{about}\nvarlink: {a:?}\nD-Bus: {b:?}"),
        }
    }
    // What the requests were written for did happen.
    for wanted in [
        "Apply unchanged",
        "Apply awaiting-commit",
        "Apply CheckpointPending",
        "Extend awaiting-commit",
        "Rollback rolled-back",
        "Commit NotFound",
        "Log NotFound",
        "Apply committed",
        "Commit committed",
        "Plan InvalidArgument",
        "Plan touches eth0",
        "Apply InvalidArgument",
        "Apply touches eth0",
        "Log touches eth0",
        "Show InvalidArgument",
    ] {
        assert!(stages.iter().any(|stage| stage == wanted), "{wanted}: {stages:#?}");
    }
}

#[tokio::test]
async fn an_error_says_where_in_the_text() {
    let daemon = Daemon::start().await;
    let document = "interfaces:\n- name: eth0\n  type: ethernet\n  mtu: 1500\n  mtuu: 9000\n";
    let (name, info) = daemon.ask("Apply", json!({ "document": document })).await.expect_err("a typo");
    assert_eq!(name, "io.nmstate.Daemon.InvalidArgument");
    assert_eq!(info["path"], "interfaces[0].mtuu");
    assert_eq!((&info["line"], &info["column"]), (&json!(5), &json!(3)));
    assert!(info["hint"].as_str().expect("a hint").contains("mtu"));
    // The same as an object has a path, and no place in a text.
    let state = json!({ "interfaces": [{ "name": "eth0", "mtuu": 9000 }] });
    let (_, info) = daemon.ask("Apply", json!({ "state": state })).await.expect_err("a typo");
    assert_eq!((&info["path"], &info["line"]), (&json!("interfaces[0].mtuu"), &Json::Null));
}

#[tokio::test]
async fn secrets_are_hidden_unless_asked_for() {
    let daemon = Daemon::start().await;
    let bus = BusClient(daemon.bus.connect().await);
    let secret = json!({ "interfaces": [{
        "name": "eth0", "type": "ethernet",
        "802.1x": { "identity": "me", "eap-methods": ["md5"], "private-key-password": "hunter2" },
    }] });
    let applied = daemon.ask("Apply", json!({ "state": secret, "options": { "commit": false } })).await;
    let mut answers = vec![applied.expect("applied")];
    for method in ["Show", "List", "GetStatus"] {
        answers.push(daemon.ask(method, json!({})).await.expect("an answer"));
        answers.push(bus.ask(method, &json!({})).await.expect("an answer"));
    }
    let back = json!({ "document": "interfaces: [{name: eth0, type: ethernet, 802.1x: {identity: you}}]" });
    answers.push(daemon.ask("GenerateRevert", back.clone()).await.expect("a document"));
    answers.push(daemon.ask("Plan", back).await.expect("a plan"));
    answers.push(daemon.ask("Commit", json!({})).await.expect("committed"));
    answers.push(daemon.ask("History", json!({})).await.expect("a list"));
    for answer in answers {
        assert!(!answer.to_string().contains("hunter2"), "{answer}");
    }
    let asked = json!({ "options": { "show_secrets": true } });
    let shown = [
        daemon.ask("Show", asked.clone()).await.expect("a state"),
        bus.ask("Show", &asked).await.expect("a state"),
    ];
    for shown in shown {
        assert!(shown.to_string().contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn a_policy_asks_for_what_is_there_when_its_turn_comes() {
    let daemon = Daemon::start().await;
    let first = json!({ "document": CHANGE, "options": { "commit": false } });
    let id = daemon.ask("Apply", first).await.expect("it awaits commit")["transaction"]["id"].clone();
    // Captured now, the MTU would be 1400, and setting it would change nothing.
    let policy = r#"
capture: {was: interfaces.mtu == 1400}
desired: {interfaces: [{name: "{{ capture.was.interfaces.0.name }}", mtu: 1300}]}
"#;
    let waits = json!({ "document": policy, "options": { "wait": true } });
    let waiting = daemon.ask("Submit", waits).await.expect("it is queued")["transaction"]["id"].clone();
    daemon.ask("Rollback", json!({ "id": id })).await.expect("rolled back");
    let ended = daemon.reaches(waiting.as_u64().expect("a number"), "failed").await;
    assert_eq!(ended["error"]["kind"], "PolicyError", "{ended}");
    assert_eq!(ended["error"]["path"], "capture.was", "{ended}");

    let applied = daemon.ask("Apply", json!({ "document": POLICY })).await.expect("applied");
    assert_eq!(applied["transaction"]["stage"], "committed", "{applied}");
    assert!(applied["transaction"]["diff"].as_str().expect("text").contains("1400"), "{applied}");
    let again = daemon.ask("Apply", json!({ "document": POLICY })).await.expect("as asked");
    assert_eq!(again["transaction"]["stage"], "unchanged", "{again}");

    let wrong = "capture: {x: interfaces}\ndesired:\n  interfaces:\n  - name: br7\n    type: linux-bridge\n    bridge: {port: [{name: gone}]}\n";
    let (_, refused) =
        daemon.client().await.ask("Plan", json!({ "document": wrong })).await.expect_err("no such port");
    assert_eq!(refused["path"], "desired.interfaces[0].bridge.port", "{refused}");
    assert_eq!(refused["line"], 6, "{refused}");
}

#[tokio::test]
async fn apply_with_more_tells_every_step() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    let parameters = json!({ "document": CHANGE });
    client.send(json!({ "method": "io.nmstate.Daemon.Apply", "parameters": parameters, "more": true })).await;
    let mut stages = Vec::new();
    loop {
        let message = client.receive().await.expect("steps");
        stages.push(message["parameters"]["transaction"]["stage"].as_str().expect("a stage").to_owned());
        if message["continues"] != true {
            break;
        }
    }
    assert!(stages.len() > 1, "{stages:?}");
    assert_eq!(stages.last().map(String::as_str), Some("committed"), "{stages:?}");
    // The connection serves the next call.
    let shown = client.ask("Show", json!({})).await.expect("a state");
    assert_eq!(shown["state"]["interfaces"][0]["mtu"], 1400);
}

#[tokio::test]
async fn monitor_begins_with_the_present() {
    let daemon = Daemon::start().await;
    let options = json!({ "commit": false });
    let applied =
        daemon.ask("Apply", json!({ "document": CHANGE, "options": options })).await.expect("applied");
    let mut client = daemon.client().await;
    let (name, _) = client.ask("Monitor", json!({})).await.expect_err("without more there is no stream");
    assert_eq!(name, "org.varlink.service.ExpectedMore");
    client.send(json!({ "method": "io.nmstate.Daemon.Monitor", "more": true })).await;
    let first = client.receive().await.expect("an event");
    assert_eq!(first["continues"], true);
    assert_eq!(first["parameters"]["event"]["transaction"]["id"], applied["transaction"]["id"]);
    assert_eq!(first["parameters"]["event"]["transaction"]["stage"], "awaiting-commit");
    let second = client.receive().await.expect("an event");
    assert_eq!(second["parameters"]["event"]["event"], "network");
    daemon.ask("Rollback", json!({})).await.expect("rolled back");
    loop {
        let message = client.receive().await.expect("events");
        if message["parameters"]["event"]["transaction"]["stage"] == "rolled-back" {
            break;
        }
    }
}

#[tokio::test]
async fn calls_are_answered_in_order_and_oneway_calls_not_at_all() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    client.send(json!({ "method": "io.nmstate.Daemon.GetStatus", "oneway": true })).await;
    client.send(json!({ "method": "io.nmstate.Daemon.List" })).await;
    client.send(json!({ "method": "io.nmstate.Daemon.Nothing" })).await;
    client.send(json!({ "method": "io.nmstate.Other.List" })).await;
    client.send(json!({ "method": "org.varlink.service.GetInfo" })).await;
    assert_eq!(answer_of(&mut client).await["parameters"], json!({ "transactions": [] }));
    assert_eq!(answer_of(&mut client).await["error"], "org.varlink.service.MethodNotFound");
    assert_eq!(answer_of(&mut client).await["error"], "org.varlink.service.InterfaceNotFound");
    let info = answer_of(&mut client).await;
    assert_eq!(info["parameters"]["interfaces"], json!(["org.varlink.service", "io.nmstate.Daemon"]));
}

async fn answer_of(client: &mut crate::harness::Varlink) -> Json {
    client.receive().await.expect("an answer")
}

#[tokio::test]
async fn a_daemon_that_stops_leaves_nobody_waiting() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    client.send(json!({ "method": "io.nmstate.Daemon.Monitor", "more": true })).await;
    client.receive().await.expect("an event");
    let idle = daemon.client().await;
    crate::harness::soon(daemon.running.stop()).await;
    while client.receive().await.is_some() {}
    assert!({ idle }.is_closed().await);
}
