//! Clients that ask too much, too long, too often, or go away.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::harness::{BusClient, CHANGE, Daemon, Varlink, soon};

/// Others are served, and soon.
async fn is_served(daemon: &Daemon) {
    let started = std::time::Instant::now();
    daemon.ask("Show", json!({})).await.expect("a state");
    BusClient(daemon.bus.connect().await).ask("List", &json!({})).await.expect("a list");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_thousand_requests_of_one_uid_are_queued_or_refused_at_once() {
    let daemon = Daemon::start().await;
    // Holds the queue.
    let options = json!({ "commit": false });
    daemon.ask("Apply", json!({ "document": CHANGE, "options": options })).await.expect("it waits");
    let mut client = daemon.client().await;
    let (mut queued, mut busy) = (0, 0);
    for _ in 0..1000 {
        let options = json!({ "wait": true });
        match client.ask("Submit", json!({ "document": CHANGE, "options": options })).await {
            Ok(_) => queued += 1,
            Err((name, _)) if name == "io.nmstate.Daemon.Busy" => busy += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(queued > 0 && queued <= 64, "{queued}");
    assert_eq!(queued + busy, 1000);
    is_served(&daemon).await;
}

#[tokio::test]
async fn a_thousand_calls_at_once_on_the_bus_are_answered_or_refused() {
    let daemon = Daemon::start().await;
    let options = json!({ "commit": false });
    daemon.ask("Apply", json!({ "document": CHANGE, "options": options })).await.expect("it waits");
    // The bus itself allows 128 calls of one client to wait.
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(BusClient(daemon.bus.connect().await));
    }
    let parameters = json!({ "document": CHANGE, "options": { "wait": true } });
    let calls = (0..1000).map(|n| clients[n % 10].ask("Submit", &parameters));
    let all = futures_util::future::join_all(calls).await;
    let busy =
        all.iter().filter(|answer| matches!(answer, Err((name, _)) if name.ends_with(".Busy"))).count();
    let queued = all.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(queued + busy, 1000, "{:?}", all.iter().find(|answer| answer.is_err()));
    assert!(queued > 0 && queued <= 64, "{queued}");
    is_served(&daemon).await;
}

#[tokio::test]
async fn a_document_of_100_mib_is_refused_before_it_is_there() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    let start = br#"{"method": "io.nmstate.Daemon.Apply", "parameters": {"document": ""#;
    client.stream.write_all(start).await.expect("it begins");
    let chunk = vec![b'#'; 1 << 20];
    let mut taken = 0;
    let error = loop {
        match soon(client.stream.write_all(&chunk)).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 40, "{taken} MiB were taken");
    };
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    let message = client.receive().await.expect("the reason");
    assert_eq!(message["error"], "io.nmstate.Daemon.InvalidArgument");
    assert!(client.is_closed().await);
    is_served(&daemon).await;
}

#[tokio::test]
async fn long_messages_together_have_a_limit() {
    let daemon = Daemon::start().await;
    // Each holds 20 MiB, and never ends.
    let mut clients = Vec::new();
    let mut refused = 0;
    for _ in 0..8 {
        let mut client = daemon.client().await;
        let mut is_refused = false;
        for _ in 0..20 {
            is_refused = soon(client.stream.write_all(&vec![b'{'; 1 << 20])).await.is_err();
            if is_refused {
                break;
            }
        }
        if is_refused {
            refused += 1;
            assert_eq!(client.receive().await.expect("the reason")["error"], "io.nmstate.Daemon.Busy");
        }
        clients.push(client);
    }
    assert!(refused >= 5, "{refused}");
    is_served(&daemon).await;
}

#[tokio::test]
async fn a_bomb_of_aliases_is_refused() {
    let daemon = Daemon::start().await;
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..30 {
        let again = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb += &format!("a{n}: &a{n} [{again}]\n");
    }
    let started = std::time::Instant::now();
    let (name, _) = daemon.ask("Apply", json!({ "document": bomb })).await.expect_err("a bomb");
    assert_eq!(name, "io.nmstate.Daemon.InvalidArgument");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (name, _) = daemon.ask("Apply", json!({ "document": deep })).await.expect_err("too deep");
    assert_eq!(name, "io.nmstate.Daemon.InvalidArgument");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    is_served(&daemon).await;
}

#[tokio::test]
async fn garbage_ends_the_connection_and_nothing_else() {
    let daemon = Daemon::start().await;
    let garbage: [&[u8]; 6] = [
        b"\0",
        b"GET / HTTP/1.1\r\n\r\n\0",
        b"\xff\xfe\xfd\0",
        b"{\"method\": 5}\0",
        b"[]\0",
        b"{\"method\": \"io.nmstate.Daemon.List\", \"upgrade\": true}\0",
    ];
    for bytes in garbage {
        let mut client = daemon.client().await;
        client.stream.write_all(bytes).await.expect("sent");
        assert!(client.is_closed().await, "{}", String::from_utf8_lossy(bytes));
    }
    let mut deep = daemon.client().await;
    let bytes = format!("{{\"method\": \"x\", \"parameters\": {}\0", "[".repeat(1 << 20));
    deep.stream.write_all(bytes.as_bytes()).await.expect("sent");
    assert!(deep.is_closed().await);
    is_served(&daemon).await;
}

#[tokio::test]
async fn more_connections_than_there_are_places_are_turned_away() {
    let daemon = Daemon::start().await;
    let mut clients = Vec::new();
    for _ in 0..400 {
        clients.push(daemon.client().await);
    }
    let mut served = 0;
    let mut turned_away = 0;
    for client in &mut clients {
        // One that was turned away may be closed already.
        let _ = client.stream.write_all(b"{\"method\": \"io.nmstate.Daemon.List\"}\0").await;
        match client.receive().await.expect("an answer")["error"].as_str() {
            None => served += 1,
            Some("io.nmstate.Daemon.Busy") => turned_away += 1,
            Some(error) => panic!("{error}"),
        }
    }
    assert_eq!((served, turned_away), (256, 144));
    BusClient(daemon.bus.connect().await).ask("List", &json!({})).await.expect("the bus has its own");
    drop(clients);
    soon(async {
        // A place is free again as soon as the daemon has seen its client go.
        while daemon.ask("List", json!({})).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut_off_and_blocks_nobody() {
    let daemon = Daemon::start().await;
    let mut reader = daemon.client().await;
    let call = b"{\"method\": \"io.nmstate.Daemon.GetStatus\"}\0".repeat(100);
    // The daemon stops taking calls when nobody takes its answers.
    let is_stuck = |stream: &Varlink| stream.stream.get_ref().try_write(&call);
    soon(async {
        loop {
            match is_stuck(&reader) {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Others get their turn, and it stays stuck.
                    is_served(&daemon).await;
                    if is_stuck(&reader).is_err() {
                        break;
                    }
                }
                Err(error) => panic!("{error}"),
            }
        }
    })
    .await;
    is_served(&daemon).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(31)).await;
    tokio::time::resume();
    // What was sent before it was cut off can still be read; then there is the end.
    while reader.receive().await.is_some() {}
    assert!(reader.is_closed().await);
    is_served(&daemon).await;
}

async fn tied(daemon: &Daemon, mut client: Varlink) {
    let options = json!({ "commit": false, "cancel_on_disconnect": true });
    let applied =
        client.ask("Apply", json!({ "document": CHANGE, "options": options })).await.expect("applied");
    assert_eq!(applied["transaction"]["stage"], "awaiting-commit");
    let id = applied["transaction"]["id"].as_u64().expect("a number");
    drop(client);
    let ended = daemon.reaches(id, "rolled-back").await;
    assert_eq!(ended["error"]["kind"], "Cancelled");
}

#[tokio::test]
async fn a_client_that_vanishes_takes_what_it_tied_to_itself() {
    let daemon = Daemon::start().await;
    tied(&daemon, daemon.client().await).await;
    let shown = daemon.ask("Show", json!({})).await.expect("a state");
    assert_eq!(shown["state"]["interfaces"][0]["mtu"], 1500);
    // And nothing else.
    let mut client = daemon.client().await;
    let options = json!({ "commit": false });
    let applied =
        client.ask("Apply", json!({ "document": CHANGE, "options": options })).await.expect("applied");
    drop(client);
    is_served(&daemon).await;
    let log = daemon.ask("Log", json!({ "id": applied["transaction"]["id"] })).await.expect("it is known");
    assert_eq!(log["transaction"]["stage"], "awaiting-commit");
}

#[tokio::test]
async fn a_client_that_leaves_the_bus_takes_what_it_tied_to_itself() {
    let daemon = Daemon::start().await;
    let client = BusClient(daemon.bus.connect().await);
    let options = json!({ "commit": false, "cancel_on_disconnect": true });
    let applied =
        client.ask("Apply", &json!({ "document": CHANGE, "options": options })).await.expect("applied");
    let id = applied["transaction"]["id"].as_u64().expect("a number");
    client.0.close().await.expect("closed");
    daemon.reaches(id, "rolled-back").await;
}

#[tokio::test]
async fn a_client_that_only_stops_sending_gets_its_answer() {
    let daemon = Daemon::start().await;
    let mut client = daemon.client().await;
    client.send(json!({ "method": "io.nmstate.Daemon.Apply", "parameters": { "document": CHANGE } })).await;
    client.stream.shutdown().await.expect("half closed");
    let message = client.receive().await.expect("an answer");
    assert_eq!(message["parameters"]["transaction"]["stage"], "committed");
}
