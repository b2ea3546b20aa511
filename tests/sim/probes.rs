//! What held before a change must hold after it (S20).

use std::time::Duration;

use nmstated::engine::{ApplyOptions, Request};
use nmstated::state::ErrorKind;
use nmstated::wire::{Probe, Stage, TransactionInfo};
use serde_json::{Value as Json, json};

use crate::host::{Daemon, Host, at_boot, dummy, kind, no_commit, root, user};
use crate::world::{Site, Trouble};

fn probes(texts: &[&str]) -> Option<Vec<Probe>> {
    Some(Probe::list(texts.iter().copied()).expect("probes"))
}

fn with(texts: &[&str]) -> ApplyOptions {
    ApplyOptions { probes: probes(texts), ..ApplyOptions::default() }
}

/// Takes the default route away.
fn cut_off() -> Json {
    json!({"routes": {"config": [{"state": "absent", "destination": "0.0.0.0/0"}]}})
}

async fn apply(daemon: &Daemon, document: &Json, options: ApplyOptions) -> TransactionInfo {
    let info = daemon.submit(root(), document, options).await.expect("it is accepted");
    daemon.until(info.id, Stage::AwaitingCommit).await
}

/// From now on every probe has this trouble.
fn every_probe(host: &Host, trouble: Trouble) {
    host.world.schedule(move |_, site| (site == Site::Probe).then_some(trouble));
}

#[tokio::test(start_paused = true)]
async fn s20_what_is_lost_brings_the_network_back_before_the_deadline() {
    for commit in [true, false] {
        let host = Host::new();
        let daemon = host.start().await;
        let before = tokio::time::Instant::now();
        let options = ApplyOptions { commit, timeout_s: 3600, ..with(&["gateway", "tcp:192.0.2.1:22"]) };
        let end = apply(&daemon, &cut_off(), options).await;
        let error = end.error.expect("it says why");
        assert_eq!((end.stage, error.kind.as_str()), (Stage::RolledBack, ErrorKind::ProbeError.name()));
        assert_eq!(
            error.message,
            "gateway:ipv4 held before the change and does not hold any more: nobody answers"
        );
        assert_eq!(error.more, [], "the other one holds");
        assert!(before.elapsed() < Duration::from_secs(11), "{:?}", before.elapsed());
        assert_eq!(host.network(), at_boot());
        assert_eq!(host.open_records(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn s20_what_holds_again_is_kept() {
    let host = Host::new();
    let daemon = host.start().await;
    // The network needs a moment: the first looks afterwards show nothing yet.
    let mut looks = 0;
    host.world.schedule(move |_, site| {
        looks += u32::from(site == Site::Probe);
        (site == Site::Probe && (2..5).contains(&looks)).then_some(Trouble::FailBefore)
    });
    let end = apply(&daemon, &dummy("dummy0", 7), with(&["gateway"])).await;
    assert_eq!((end.stage, end.error, end.warnings), (Stage::Committed, None, Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn s20_what_did_not_hold_before_is_a_warning() {
    let host = Host::new();
    let daemon = host.start().await;
    let end = apply(&daemon, &dummy("dummy0", 7), with(&["tcp:192.0.2.1:23", "gateway"])).await;
    assert_eq!(end.stage, Stage::Committed);
    assert_eq!(
        end.warnings,
        ["tcp:192.0.2.1:23 is not required: it did not hold before the change (nobody answers)"]
    );
    every_probe(&host, Trouble::Hang);
    let before = tokio::time::Instant::now();
    let end = apply(&daemon, &dummy("dummy1", 8), with(&["gateway"])).await;
    assert_eq!(end.stage, Stage::Committed);
    assert_eq!(
        end.warnings,
        ["gateway is not required: it did not hold before the change (no answer within 5.0 s)"]
    );
    assert!(before.elapsed() < Duration::from_secs(6), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn s20_a_probe_that_hangs_afterwards_has_its_limit() {
    let host = Host::new();
    let daemon = host.start().await;
    let mut looks = 0;
    host.world.schedule(move |_, site| {
        looks += u32::from(site == Site::Probe);
        (site == Site::Probe && looks > 1).then_some(Trouble::Hang)
    });
    let before = tokio::time::Instant::now();
    let end = apply(&daemon, &dummy("dummy0", 7), with(&["gateway"])).await;
    assert_eq!(end.stage, Stage::RolledBack);
    assert!(before.elapsed() < Duration::from_secs(11), "{:?}", before.elapsed());
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s20_nothing_is_probed_unless_it_is_asked_and_something_changes() {
    let mut host = Host::new();
    let site = |host: &Host| host.world.log().matches("Probe").count();
    let daemon = host.start().await;
    apply(&daemon, &dummy("dummy0", 7), ApplyOptions::default()).await;
    assert_eq!(site(&host), 0, "nothing is configured");
    daemon.handle.stop().await;

    host.probes = probes(&["gateway"]).expect("probes");
    let daemon = host.start().await;
    apply(&daemon, &dummy("dummy0", 7), ApplyOptions::default()).await;
    assert_eq!(site(&host), 0, "nothing changes");
    apply(&daemon, &dummy("dummy1", 8), with(&[])).await;
    assert_eq!(site(&host), 0, "the request wants none");
    let cut = apply(&daemon, &cut_off(), ApplyOptions::default()).await;
    assert_eq!((cut.stage, site(&host) > 1), (Stage::RolledBack, true), "the configuration wants it");
    // What was committed is brought back whatever the probes of the configuration say.
    let cut = apply(&daemon, &cut_off(), with(&[])).await;
    assert_eq!(cut.stage, Stage::Committed);
    let before = site(&host);
    daemon.handle.stop().await;
    host.reboot(&mut crate::world::Dice(1));
    let daemon = host.start().await;
    let brought_back = daemon.handle.reapply_at_boot().await.expect("it is accepted").expect("it is new");
    assert_eq!((brought_back.stage, site(&host)), (Stage::Committed, before));
}

#[tokio::test(start_paused = true)]
async fn s20_only_root_has_programs_started_and_only_safe_ones() {
    let mut host = Host::new();
    host.probes = probes(&["run:/allowed"]).expect("probes");
    let daemon = host.start().await;
    let asked = daemon.submit(user(1000), &dummy("dummy0", 7), with(&["run:/allowed"])).await;
    assert_eq!(kind(asked), ErrorKind::PermissionError);
    let configured = daemon.submit(user(1000), &dummy("dummy0", 7), ApplyOptions::default()).await;
    let end = daemon.end(configured.expect("it is accepted").id).await;
    assert_eq!(end.stage, Stage::Committed);
    // The protection that was asked for is not dropped silently.
    let end = apply(&daemon, &dummy("dummy1", 8), with(&["gateway", "run:/forbidden"])).await;
    assert_eq!(end.stage, Stage::Failed);
    let error = end.error.expect("it says why");
    assert_eq!(error.kind, ErrorKind::InvalidArgument.name());
    assert_eq!(error.message, "run:/forbidden is not made: it is not root's");
    assert!(host.network().interface("dummy1").is_none());
    let many = (1..=17).map(|port| format!("tcp:192.0.2.1:{port}").parse().expect("a probe")).collect();
    let many = ApplyOptions { probes: Some(many), ..ApplyOptions::default() };
    assert_eq!(kind(daemon.submit(root(), &dummy("dummy1", 8), many).await), ErrorKind::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn s20_cancel_disconnect_and_stop_end_a_probing() {
    // Before the first change, and after it.
    for (trouble, stage) in [(0, Stage::Cancelled), (1, Stage::RolledBack)] {
        for end in ["cancel", "disconnect", "stop"] {
            let host = Host::new();
            let daemon = host.start().await;
            let mut looks = 0;
            host.world.schedule(move |_, site| {
                looks += u32::from(site == Site::Probe);
                (site == Site::Probe && looks > trouble).then_some(Trouble::Hang)
            });
            let options = ApplyOptions { cancel_on_disconnect: true, ..with(&["gateway"]) };
            let info = daemon.submit(root(), &dummy("dummy0", 7), options).await.expect("it is accepted");
            let is_probing = if trouble == 0 { Stage::Planning } else { Stage::Probing };
            assert_eq!(daemon.until(info.id, is_probing).await.stage, is_probing);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = tokio::time::Instant::now();
            match end {
                "cancel" => drop(daemon.ask(root(), Request::Cancel { id: info.id }).await),
                "disconnect" => daemon.handle.disconnected(info.id).await,
                _ => daemon.handle.stop().await,
            }
            assert_eq!(daemon.end(info.id).await.stage, stage, "{end}");
            assert!(before.elapsed() < Duration::from_secs(1), "{end}: {:?}", before.elapsed());
            assert_eq!(host.network(), at_boot(), "{end}");
            assert_eq!(host.open_records(), [""; 0], "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s20_a_daemon_that_dies_while_it_probes_leaves_a_rollback() {
    for trouble in [Trouble::KillBefore, Trouble::PowerAfter] {
        let mut host = Host::new();
        let daemon = host.start().await;
        let mut looks = 0;
        host.world.schedule(move |_, site| {
            looks += u32::from(site == Site::Probe);
            (site == Site::Probe && looks == 2).then_some(trouble)
        });
        let info = daemon.submit(root(), &dummy("dummy0", 7), with(&["gateway"])).await;
        host.world.crashed.notified().await;
        daemon.kill().await;
        if trouble == Trouble::PowerAfter {
            host.reboot(&mut crate::world::Dice(7));
        }
        host.world.revive();
        host.world.schedule(|_, _| None);
        let daemon = host.start().await;
        assert_eq!(daemon.end(info.expect("it is accepted").id).await.stage, Stage::RolledBack);
        assert_eq!(host.network(), at_boot());
    }
}

#[tokio::test(start_paused = true)]
async fn s20_a_joined_change_is_probed_before_it_joins_and_all_of_it_after() {
    let host = Host::new();
    let daemon = host.start().await;
    let info =
        apply(&daemon, &dummy("dummy0", 7), ApplyOptions { commit: false, ..with(&["gateway"]) }).await;
    assert_eq!(info.stage, Stage::AwaitingCommit);
    let join = |texts: &[&str]| ApplyOptions { join: Some(info.id), ..with(texts) };
    // What must not be made refuses the join alone.
    let refused = daemon.submit(root(), &dummy("dummy1", 8), join(&["run:/forbidden"])).await;
    assert_eq!(kind(refused), ErrorKind::InvalidArgument);
    assert_eq!(daemon.until(info.id, Stage::AwaitingCommit).await.stage, Stage::AwaitingCommit);
    let joined = daemon.submit(root(), &dummy("dummy1", 8), join(&["tcp:192.0.2.1:23"])).await;
    joined.expect("it is joined");
    let both = daemon.until(info.id, Stage::AwaitingCommit).await;
    assert_eq!((both.stage, both.warnings.len()), (Stage::AwaitingCommit, 1), "{both:?}");
    // What the first part asked for protects it from the third, which asks for nothing.
    daemon.submit(root(), &cut_off(), join(&[])).await.expect("it is joined");
    let end = daemon.end(info.id).await;
    assert_eq!((end.stage, end.error.expect("it says why").kind.as_str()), (Stage::RolledBack, "ProbeError"));
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s20_a_join_that_is_being_probed_can_be_left() {
    for end in ["rollback", "stop"] {
        let host = Host::new();
        let daemon = host.start().await;
        let info = daemon.submit(root(), &dummy("dummy0", 7), no_commit()).await.expect("it is accepted");
        daemon.until(info.id, Stage::AwaitingCommit).await;
        every_probe(&host, Trouble::Hang);
        let join = ApplyOptions { join: Some(info.id), ..with(&["gateway"]) };
        let document = dummy("dummy1", 8);
        let joining = daemon.submit(root(), &document, join);
        let leave = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match end {
                "rollback" => drop(daemon.ask(root(), Request::Rollback { id: None }).await),
                _ => daemon.handle.stop().await,
            }
        };
        let (joined, ()) = tokio::join!(joining, leave);
        assert_eq!(kind(joined), ErrorKind::Cancelled, "{end}");
        let is_open = end == "stop";
        assert_eq!(host.open_records().len(), usize::from(is_open), "{end}");
        assert_eq!(host.network().interface("dummy0").is_some(), is_open, "{end}");
    }
}
