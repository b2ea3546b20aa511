//! A change that touches the path by which its client came in (S17).

use nmstated::engine::{ApplyOptions, Client, PlanOptions, Request};
use nmstated::transaction::Record;
use nmstated::wire::{Stage, TransactionInfo};
use serde_json::{Value as Json, json};

use crate::host::{Daemon, Host, at_boot, dummy, root};

/// From far away through the default route, to the address of `eth0`.
fn remote() -> ApplyOptions {
    let client =
        Client { address: [203, 0, 113, 9].into(), scope: None, server: Some([192, 0, 2, 10].into()) };
    ApplyOptions {
        plan: PlanOptions { client: Some(client), ..PlanOptions::default() },
        ..ApplyOptions::default()
    }
}

fn mtu_of_eth0() -> Json {
    json!({"interfaces": [{"name": "eth0", "type": "ethernet", "mtu": 1400}]})
}

async fn apply(daemon: &Daemon, document: &Json, options: ApplyOptions) -> TransactionInfo {
    let info = daemon.submit(root(), document, options).await.expect("it is accepted");
    daemon.until(info.id, Stage::AwaitingCommit).await
}

#[tokio::test(start_paused = true)]
async fn s17_a_change_of_the_path_must_be_confirmed() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = apply(&daemon, &mtu_of_eth0(), remote()).await;
    assert_eq!((info.stage, info.seconds_left), (Stage::AwaitingCommit, Some(60)));
    let path = info.client_path.expect("it is touched");
    assert_eq!((path.interface.as_str(), path.reasons), ("eth0", vec!["eth0: its mtu changes".to_owned()]));
    assert!(info.diff.ends_with("path of your connection:\n  eth0: its mtu changes\n"), "{}", info.diff);
    let end = daemon.end(info.id).await;
    assert_eq!((end.stage, end.client_path.is_some()), (Stage::RolledBack, true));
    assert_eq!(host.network(), at_boot());

    let info = apply(&daemon, &mtu_of_eth0(), remote()).await;
    let end = daemon.ask(root(), Request::Commit { id: Some(info.id) }).await.expect("it is committed");
    assert_eq!(end.stage, Stage::Committed);
    // The same again changes nothing, and asks nothing.
    let again = apply(&daemon, &mtu_of_eth0(), remote()).await;
    assert_eq!((again.stage, again.client_path), (Stage::Unchanged, None));
}

#[tokio::test(start_paused = true)]
async fn s17_what_is_elsewhere_and_what_comes_from_nowhere_commits_by_itself() {
    let host = Host::new();
    let daemon = host.start().await;
    let elsewhere = apply(&daemon, &dummy("dummy0", 7), remote()).await;
    assert_eq!((elsewhere.stage, elsewhere.client_path), (Stage::Committed, None));
    let unknown = apply(&daemon, &mtu_of_eth0(), ApplyOptions::default()).await;
    assert_eq!((unknown.stage, unknown.client_path), (Stage::Committed, None));
}

#[tokio::test(start_paused = true)]
async fn s17_a_restart_forgets_neither_the_question_nor_its_reason() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = apply(&daemon, &mtu_of_eth0(), remote()).await;
    let record =
        Record::from_bytes(&host.disk.durable("checkpoint").expect("it is open")).expect("it is whole");
    assert_eq!(record.client_path, info.client_path);
    daemon.kill().await;
    let daemon = host.start().await;
    let found = daemon.until(info.id, Stage::AwaitingCommit).await;
    assert_eq!((found.stage, found.client_path), (Stage::AwaitingCommit, info.client_path));
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s17_a_joined_change_brings_its_reasons_along() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    assert_eq!(info.client_path, None);
    let join = ApplyOptions { join: Some(info.id), ..remote() };
    daemon.submit(root(), &mtu_of_eth0(), join).await.expect("it is joined");
    let joined = daemon.until(info.id, Stage::AwaitingCommit).await;
    assert_eq!(joined.client_path.map(|path| path.reasons), Some(vec!["eth0: its mtu changes".to_owned()]));
}
