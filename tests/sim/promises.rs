//! One promise of docs/safety.md at a time.

use std::time::Duration;

use nmstated::engine::{ApplyOptions, Events, Request};
use nmstated::state::ErrorKind;
use nmstated::wire::{Event, Stage};
use serde_json::json;

use crate::host::{Daemon, Host, at_boot, dummy, kind, no_commit, root, user};
use crate::world::{Site, Trouble};

#[tokio::test(start_paused = true)]
async fn s1_commits_and_then_finds_nothing_to_do() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.apply(&dummy("dummy0", 7)).await;
    assert_eq!((info.stage, info.error), (Stage::Committed, None));
    assert!(info.diff.contains("dummy0"), "{}", info.diff);
    assert_eq!(host.network().interface("dummy0").and_then(|i| i.mtu), Some(1400));
    assert_eq!(host.open_records(), [""; 0]);

    let points = host.world.points();
    let again = daemon.apply(&dummy("dummy0", 7)).await;
    assert_eq!((again.id, again.stage), (info.id + 1, Stage::Unchanged));
    // One look at the network after a sync, one line of history.
    assert!(host.world.points() - points <= 3, "{}", host.world.log());
}

#[tokio::test(start_paused = true)]
async fn s4_what_is_not_committed_in_time_is_rolled_back() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    assert_eq!((info.stage, info.seconds_left), (Stage::AwaitingCommit, Some(60)));
    assert!(host.network().interface("dummy0").is_some());
    let before = tokio::time::Instant::now();
    let end = daemon.end(info.id).await;
    assert_eq!(before.elapsed().as_secs(), 60);
    assert_eq!(end.stage, Stage::RolledBack);
    assert_eq!(end.error.expect("it says why").message, "it was not committed in time");
    assert_eq!(host.network(), at_boot());
    assert_eq!(host.open_records(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn s4_a_deadline_passes_while_the_machine_sleeps_and_no_wall_clock_moves_it() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    host.clock.set_wall(4_000_000_000);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(host.open_records(), ["checkpoint"]);
    host.clock.suspend(Duration::from_secs(3600));
    let before = tokio::time::Instant::now();
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    assert!(before.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn commit_rollback_and_extend_act_on_the_only_pending_checkpoint() {
    let host = Host::new();
    let daemon = host.start().await;
    for request in [Request::Commit { id: None }, Request::Rollback { id: None }] {
        assert_eq!(kind(daemon.ask(root(), request).await), ErrorKind::NotFound);
    }
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let extended =
        daemon.ask(root(), Request::Extend { id: None, seconds: 30 }).await.expect("it is extended");
    assert_eq!(extended.seconds_left, Some(90));
    let none = daemon.ask(root(), Request::Extend { id: None, seconds: 0 }).await;
    assert_eq!(kind(none), ErrorKind::InvalidArgument);
    tokio::time::sleep(Duration::from_secs(80)).await;
    let end = daemon.ask(root(), Request::Commit { id: None }).await.expect("it is committed");
    assert_eq!((end.id, end.stage), (info.id, Stage::Committed));
    // Whoever lost the answer may ask again.
    let again = daemon.ask(root(), Request::Commit { id: Some(info.id) }).await.expect("it is committed");
    assert_eq!(again.stage, Stage::Committed);
    assert_eq!(kind(daemon.ask(root(), Request::Rollback { id: Some(info.id) }).await), ErrorKind::NotFound);

    let info = daemon.try_out(root(), &dummy("dummy1", 8)).await;
    let end = daemon.ask(root(), Request::Rollback { id: Some(info.id) }).await.expect("it is rolled back");
    assert_eq!((end.stage, end.error), (Stage::RolledBack, None));
    assert!(host.network().interface("dummy0").is_some());
    assert!(host.network().interface("dummy1").is_none());
}

#[tokio::test(start_paused = true)]
async fn s8_only_root_and_the_owner_decide_about_a_transaction() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(user(1000), &dummy("dummy0", 7)).await;
    let id = Some(info.id);
    for request in [
        Request::Commit { id: None },
        Request::Rollback { id },
        Request::Extend { id, seconds: 9 },
        Request::Cancel { id: info.id },
    ] {
        assert_eq!(kind(daemon.ask(user(1001), request).await), ErrorKind::PermissionError);
    }
    let join = ApplyOptions { join: id, ..no_commit() };
    let joined = daemon.submit(user(1001), &dummy("dummy1", 8), join).await;
    assert_eq!(kind(joined), ErrorKind::PermissionError);
    let end = daemon.ask(root(), Request::Commit { id }).await.expect("root may");
    assert_eq!(end.stage, Stage::Committed);
}

#[tokio::test(start_paused = true)]
async fn s5_a_pending_checkpoint_refuses_others_unless_they_wait() {
    let host = Host::new();
    let daemon = host.start().await;
    let pending = daemon.submit(user(7), &dummy("dummy0", 7), no_commit()).await.expect("it is accepted");
    // Queued before it awaits commit, told when it does.
    let early =
        daemon.submit(root(), &dummy("dummy1", 8), ApplyOptions::default()).await.expect("it is queued");
    let early = daemon.end(early.id).await;
    let error = early.error.expect("it says why");
    assert_eq!((early.stage, error.kind.as_str()), (Stage::Failed, "CheckpointPending"));
    let message =
        format!("transaction {} of uid 7 (:1.7) awaits commit; it is rolled back in 60 s", pending.id);
    assert_eq!(error.message, message);

    let refused = daemon.submit(root(), &dummy("dummy1", 8), ApplyOptions::default()).await;
    assert_eq!(kind(refused), ErrorKind::CheckpointPending);
    let wait = ApplyOptions { wait: true, ..ApplyOptions::default() };
    let waiting = daemon.submit(root(), &dummy("dummy1", 8), wait).await.expect("it waits");
    assert_eq!(daemon.end(waiting.id).await.stage, Stage::Committed);
    assert_eq!(daemon.end(pending.id).await.stage, Stage::RolledBack);
    assert!(host.network().interface("dummy0").is_none());
    assert!(host.network().interface("dummy1").is_some());
}

#[tokio::test(start_paused = true)]
async fn s6_a_joined_change_is_part_of_the_same_all_or_nothing() {
    let host = Host::new();
    let daemon = host.start().await;
    let first = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let join = ApplyOptions { join: Some(first.id), ..ApplyOptions::default() };

    // What cannot be planned is refused, and the pending change stays.
    let bad = json!({"interfaces": [{"name": "v", "type": "vlan", "state": "up", "vlan": {"id": 5, "base-iface": "nope"}}]});
    kind(daemon.submit(root(), &bad, join.clone()).await);
    let joined = daemon.submit(root(), &dummy("dummy1", 8), join.clone()).await.expect("it is planned");
    assert_eq!(joined.id, first.id);
    let info = daemon.until(first.id, Stage::AwaitingCommit).await;
    assert_eq!(info.stage, Stage::AwaitingCommit);
    assert!(info.diff.contains("dummy0") && info.diff.contains("dummy1"));
    daemon.ask(root(), Request::Rollback { id: None }).await.expect("both are rolled back");
    assert_eq!(host.network(), at_boot());

    // A joined change that fails takes the whole back.
    let first = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let join = ApplyOptions { join: Some(first.id), ..ApplyOptions::default() };
    host.world.schedule(|_, site| {
        (site == Site::Backend(nmstated::backend::fake::Point::Step)).then_some(Trouble::FailBefore)
    });
    daemon.submit(root(), &dummy("dummy1", 8), join).await.expect("it is planned");
    let end = daemon.end(first.id).await;
    assert_eq!(
        (end.stage, end.error.expect("it says why").kind.as_str()),
        (Stage::RolledBack, "PluginFailure")
    );
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s6_both_parts_of_a_joined_change_are_committed() {
    let mut host = Host::new();
    let daemon = host.start().await;
    let first = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let join = ApplyOptions { join: Some(first.id), ..ApplyOptions::default() };
    daemon.submit(root(), &dummy("dummy1", 8), join).await.expect("it is planned");
    daemon.until(first.id, Stage::AwaitingCommit).await;
    daemon.ask(root(), Request::Commit { id: None }).await.expect("it is committed");
    let network = host.network();
    daemon.handle.stop().await;
    host.reboot(&mut crate::world::Dice(1));
    assert_eq!(host.network(), at_boot());
    let daemon = host.start().await;
    let info =
        daemon.handle.reapply_at_boot().await.expect("it is possible").expect("something is committed");
    assert_eq!((info.stage, info.owner.via.as_str()), (Stage::Committed, "nmstated"));
    assert_eq!(nmstated::verify::same(&network, &host.network()), []);
    assert!(daemon.handle.reapply_at_boot().await.expect("it is possible").is_none());
}

#[tokio::test(start_paused = true)]
async fn s9_a_boot_brings_back_what_it_can() {
    let mut host = Host::new();
    let daemon = host.start().await;
    daemon.apply(&dummy("dummy0", 7)).await;
    let vlan = json!({"interfaces": [{"name": "eth1.5", "type": "vlan", "state": "up", "vlan": {"id": 5, "base-iface": "eth1"}}]});
    assert_eq!(daemon.apply(&vlan).await.stage, Stage::Committed);
    daemon.handle.stop().await;
    host.reboot(&mut crate::world::Dice(1));
    // The card is gone.
    host.backend.edit(|state| state.interfaces.as_mut().expect("it has some").retain(|i| i.name != "eth1"));
    let daemon = host.start().await;
    daemon.handle.reapply_at_boot().await.expect("the rest is possible");
    assert!(host.network().interface("dummy0").is_some());
    assert!(host.network().interface("eth1.5").is_none());
    let alerts = alerts(&daemon).await;
    assert!(alerts.iter().any(|alert| alert.contains("eth1")), "{alerts:?}");
}

#[tokio::test(start_paused = true)]
async fn s7_cancelling_before_the_first_change_changes_nothing_and_later_rolls_back() {
    let host = Host::new();
    let daemon = host.start().await;
    let first =
        daemon.submit(root(), &dummy("dummy0", 7), ApplyOptions::default()).await.expect("it is queued");
    let second =
        daemon.submit(root(), &dummy("dummy1", 8), ApplyOptions::default()).await.expect("it is queued");
    let end = daemon.ask(root(), Request::Cancel { id: second.id }).await.expect("it is cancelled");
    assert_eq!(end.stage, Stage::Cancelled);
    daemon.until(first.id, Stage::Applying).await;
    tokio::time::sleep(Duration::from_millis(15)).await;
    let end = daemon.ask(root(), Request::Cancel { id: first.id }).await.expect("it is taken back");
    assert_eq!((end.stage, end.error.expect("it says why").kind.as_str()), (Stage::RolledBack, "Cancelled"));
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s7_a_client_that_goes_away_cancels_only_if_it_asked_for_that() {
    let host = Host::new();
    let daemon = host.start().await;
    let stays = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    daemon.handle.disconnected(stays.id).await;
    assert_eq!(
        daemon.ask(root(), Request::Commit { id: None }).await.expect("it is there").stage,
        Stage::Committed
    );
    let options = ApplyOptions { cancel_on_disconnect: true, ..no_commit() };
    let goes = daemon.submit(root(), &dummy("dummy1", 8), options).await.expect("it is queued");
    daemon.until(goes.id, Stage::AwaitingCommit).await;
    daemon.handle.disconnected(goes.id).await;
    let end = daemon.end(goes.id).await;
    assert_eq!((end.stage, end.error.expect("it says why").kind.as_str()), (Stage::RolledBack, "Cancelled"));
}

#[tokio::test(start_paused = true)]
async fn s10_nobody_fills_the_queue_for_the_others() {
    let host = Host::new();
    let daemon = host.start().await;
    daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let wait = ApplyOptions { wait: true, ..ApplyOptions::default() };
    let mut accepted = Vec::new();
    for uid in 1000..1010 {
        let mut share = 0;
        for _ in 0..100 {
            match daemon.submit(user(uid), &dummy("dummy1", 8), wait.clone()).await {
                Ok(_) => share += 1,
                refused => assert_eq!(kind(refused), ErrorKind::Busy),
            }
        }
        accepted.push(share);
    }
    assert_eq!(accepted, [16, 16, 16, 0, 0, 0, 0, 0, 0, 0]);
    for _ in 0..16 {
        daemon.submit(root(), &dummy("dummy2", 9), wait.clone()).await.expect("root has places left");
    }
    assert_eq!(kind(daemon.submit(root(), &dummy("dummy2", 9), wait).await), ErrorKind::Busy);
}

#[tokio::test(start_paused = true)]
async fn s10_waiting_and_cancelling_for_ever_uses_up_nothing() {
    let host = Host::new();
    let daemon = host.start().await;
    daemon.try_out(root(), &dummy("dummy0", 7)).await;
    let wait = ApplyOptions { wait: true, ..ApplyOptions::default() };
    for _ in 0..1000 {
        let info =
            daemon.submit(user(7), &dummy("dummy1", 8), wait.clone()).await.expect("its turn will come");
        daemon.ask(user(7), Request::Cancel { id: info.id }).await.expect("it is cancelled");
    }
}

#[tokio::test(start_paused = true)]
async fn s2_a_full_disk_changes_nothing() {
    let host = Host::new();
    let daemon = host.start().await;
    host.world
        .schedule(|_, site| matches!(site, Site::Disk("write" | "append")).then_some(Trouble::FailBefore));
    let end = daemon.apply(&dummy("dummy0", 7)).await;
    assert_eq!((end.stage, end.error.expect("it says why").kind.as_str()), (Stage::Failed, "StorageError"));
    assert_eq!(host.network(), at_boot());
    host.world.schedule(|_, _| None);
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Committed);
}

#[tokio::test(start_paused = true)]
async fn s3_a_rollback_that_cannot_be_completed_says_item_by_item_what_is_left() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    host.world.schedule(|_, site| {
        (site == Site::Backend(nmstated::backend::fake::Point::Undo)).then_some(Trouble::Silent)
    });
    let end = daemon.ask(root(), Request::Rollback { id: Some(info.id) }).await.expect("it is tried");
    assert_eq!(end.stage, Stage::RolledBack);
    assert!(end.unrestored.iter().any(|item| item.contains("dummy0")), "{:?}", end.unrestored);
    assert!(alerts(&daemon).await.iter().any(|alert| alert.contains("incomplete")));
    assert_eq!(host.open_records(), [""; 0]);
    assert!(host.disk.names().contains(&"incomplete".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn s11_a_damaged_or_future_record_is_set_aside_and_said() {
    for (old, new) in [("\"version\":1", "\"version\":2"), ("dummy0", "dummy1")] {
        let host = Host::new();
        let daemon = host.start().await;
        daemon.try_out(root(), &dummy("dummy0", 7)).await;
        daemon.kill().await;
        host.disk.damage("checkpoint", |bytes| {
            *bytes = String::from_utf8(bytes.clone()).expect("is text").replacen(old, new, 1).into_bytes();
        });
        let daemon = host.start().await;
        let alerts = alerts(&daemon).await;
        assert!(alerts.iter().any(|alert| alert.starts_with("a checkpoint was set aside")), "{alerts:?}");
        assert!(host.disk.names().contains(&"checkpoint.unreadable".to_owned()));
        assert_eq!(daemon.apply(&dummy("dummy2", 9)).await.stage, Stage::Committed);
    }
}

#[tokio::test(start_paused = true)]
async fn s12_a_daemon_takes_up_what_awaits_commit_and_rolls_back_the_rest() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    daemon.kill().await;
    let daemon = host.start().await;
    let taken = daemon.until(info.id, Stage::AwaitingCommit).await;
    assert_eq!(taken.seconds_left, Some(40));
    daemon.kill().await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(host.network().interface("dummy0").is_some());
    let daemon = host.start().await;
    // Not a request is served before.
    assert_eq!(host.network(), at_boot());
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);

    let info =
        daemon.submit(root(), &dummy("dummy0", 7), ApplyOptions::default()).await.expect("it is queued");
    daemon.until(info.id, Stage::Applying).await;
    tokio::time::sleep(Duration::from_millis(15)).await;
    assert!(host.network().interface("dummy0").is_some());
    daemon.kill().await;
    let daemon = host.start().await;
    assert_eq!(host.network(), at_boot());
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
}

#[tokio::test(start_paused = true)]
async fn s13_an_orderly_stop_leaves_nothing_half_done() {
    let host = Host::new();
    let daemon = host.start().await;
    let info =
        daemon.submit(root(), &dummy("dummy0", 7), ApplyOptions::default()).await.expect("it is queued");
    daemon.until(info.id, Stage::Applying).await;
    tokio::time::sleep(Duration::from_millis(15)).await;
    daemon.handle.stop().await;
    assert_eq!(host.network(), at_boot());
    assert_eq!(host.open_records(), [""; 0]);

    let daemon = host.start().await;
    let next = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    assert_eq!(next.id, info.id + 1);
    daemon.handle.stop().await;
    assert_eq!(kind(daemon.ask(root(), Request::Commit { id: None }).await), ErrorKind::Cancelled);
    assert_eq!(host.open_records(), ["checkpoint"]);
    let daemon = host.start().await;
    assert_eq!(daemon.ask(root(), Request::Commit { id: None }).await.expect("it is there").id, next.id);
}

#[tokio::test(start_paused = true)]
async fn s14_a_slow_reader_learns_what_it_lost_and_the_history_survives() {
    let host = Host::new();
    let daemon = host.start().await;
    let mut events = daemon.handle.events();
    let ids: Vec<_> = {
        let mut ids = Vec::new();
        for n in 0..100 {
            ids.push(daemon.apply(&dummy("dummy0", n)).await.id);
        }
        ids
    };
    assert!(lost(&mut events).await > 0);
    daemon.handle.stop().await;
    let daemon = host.start().await;
    for id in ids {
        assert_eq!(daemon.end(id).await.id, id);
    }
}

async fn lost(events: &mut Events) -> u64 {
    for _ in 0..10 {
        if let Some(Event::Lost { count }) = events.next().await {
            return count;
        }
    }
    0
}

async fn alerts(daemon: &Daemon) -> Vec<String> {
    match daemon.handle.call(root(), Request::GetStatus).await.expect("it is answered") {
        nmstated::engine::Reply::Status(status) => status.alerts,
        other => panic!("expected a status, not {other:?}"),
    }
}
