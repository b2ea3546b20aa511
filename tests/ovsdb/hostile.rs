//! Against servers that are not what they should be.

use std::time::Duration;

use nmstated::ovsdb::{Database, Error, Keys, open, set_settings};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// A client, and the listener that it finds.
fn pair() -> (TempDir, UnixListener, Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("db.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (database, keeper) = open(&path);
    tokio::spawn(keeper.run());
    (folder, listener, database)
}

/// The next message of the client, which sends each at once.
async fn hear(stream: &mut UnixStream) -> Json {
    let mut bytes = vec![0; 1 << 16];
    let n = stream.read(&mut bytes).await.expect("the client speaks");
    serde_json::from_slice(&bytes[..n]).expect("one message")
}

async fn say(stream: &mut UnixStream, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("the client listens");
}

/// Lets the client in, with empty tables.
async fn welcome(listener: &UnixListener) -> UnixStream {
    let (mut stream, _) = listener.accept().await.expect("the client connects");
    let monitor = hear(&mut stream).await;
    assert_eq!((&monitor["method"], &monitor["params"][0]), (&json!("monitor"), &json!("Open_vSwitch")));
    say(&mut stream, &json!({"id": monitor["id"], "result": {}, "error": null}).to_string()).await;
    stream
}

async fn changed(database: &Database, is_there: bool) {
    let mut revisions = database.revisions();
    while {
        revisions.borrow_and_update();
        database.image().is_some() != is_there
    } {
        revisions.changed().await.expect("the keeper runs");
    }
}

#[tokio::test]
async fn it_is_asked_whether_it_is_there() {
    let (_folder, listener, database) = pair();
    let mut stream = welcome(&listener).await;
    changed(&database, true).await;
    say(&mut stream, r#"{"id":"echo","method":"echo","params":["a",1]}"#).await;
    assert_eq!(hear(&mut stream).await, json!({"id": "echo", "result": ["a", 1], "error": null}));
    say(&mut stream, r#" {"id":7,"method":"steal","params":[]}{"id":null,"method":"locked","params":[]}"#)
        .await;
    assert_eq!(hear(&mut stream).await, json!({"id": 7, "result": null, "error": "unknown method"}));
    assert!(database.image().is_some());
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_not_waited_for() {
    let (_folder, listener, database) = pair();
    // Lets nobody in, then lets in and falls silent.
    let (_silent, _) = listener.accept().await.expect("the client connects");
    database.sync().await.expect("it gives up");
    assert_eq!(database.missing().as_deref(), Some("it does not answer"));

    let (asked, stream) = tokio::join!(database.sync(), welcome(&listener));
    asked.expect("it is there now");
    assert!(database.image().is_some());
    let set = set_settings(&Keys::from([("a".into(), None)]), &Keys::new());
    let failed = database.transact(set).await;
    assert!(matches!(failed, Err(Error::Late)), "{failed:?}");
    assert!(database.image().is_none());
    drop(stream);
}

#[tokio::test]
async fn what_is_no_answer_ends_the_connection() {
    for (text, words) in [
        ("{\"id\":\"x\",\"result\":{}}".to_owned(), "an answer without number"),
        ("]".to_owned(), "between messages"),
        ("{\"id\":}".to_owned(), "no JSON-RPC"),
        (format!("[{}]", "[".repeat(1000) + &"]".repeat(1000)), "no JSON-RPC"),
        (r#"{"id":null,"method":"update","params":[null,7]}"#.to_owned(), "no tables"),
        (
            "{\"id\":null,\"method\":\"update\",\"params\":[null,{}".to_owned() + &" ".repeat(17 << 20),
            "at once",
        ),
    ] {
        let (_folder, listener, database) = pair();
        let mut stream = welcome(&listener).await;
        changed(&database, true).await;
        // It may hang up before all is said.
        let _ = stream.write_all(text.as_bytes()).await;
        changed(&database, false).await;
        let missing = database.missing().expect("says why");
        assert!(missing.contains(words), "{missing}");
        drop(stream);
        let _again =
            tokio::time::timeout(Duration::from_secs(30), welcome(&listener)).await.expect("it tries again");
    }
}

#[tokio::test]
async fn who_refuses_to_be_followed_is_no_database() {
    let (_folder, listener, database) = pair();
    let (mut stream, _) = listener.accept().await.expect("the client connects");
    let monitor = hear(&mut stream).await;
    let refusal = json!({"id": monitor["id"], "result": null, "error": {"error": "unknown database", "details": "no\u{1b}[31m"}});
    say(&mut stream, &refusal.to_string()).await;
    assert_eq!(stream.read(&mut [0]).await.expect("it hangs up"), 0);
    let missing = database.missing().expect("says why");
    assert_eq!(missing, "it does not let itself be followed: unknown database: no [31m");
}
