//! A backend whose service comes and goes (S22), and the net that it makes of its own (S23).

use std::time::Duration;

use nmstated::engine::{ApplyOptions, Reply, Request, ShowOptions};
use nmstated::state::{ErrorKind, InterfaceType};
use nmstated::system::Clock;
use nmstated::wire::{Stage, StatusInfo};
use tokio::time::{sleep, timeout};

use crate::host::{Daemon, Host, at_boot, dummy, kind, no_commit, root};
use crate::world::{Dice, Site, Trouble};

const MISSING: &str = "the simulated service is not running";

async fn status(daemon: &Daemon) -> StatusInfo {
    match daemon.handle.call(root(), Request::GetStatus).await {
        Ok(Reply::Status(status)) => status,
        other => panic!("expected a status, not {other:?}"),
    }
}

async fn show(daemon: &Daemon, kernel_only: bool) -> Result<Reply, nmstated::engine::Refusal> {
    daemon.handle.call(root(), Request::Show(ShowOptions { kernel_only, ..ShowOptions::default() })).await
}

/// Time for everything that needs no other.
async fn settled() {
    sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn s22_what_awaits_commit_is_taken_back_when_the_service_was_restarted() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    host.backend.lose();
    host.backend.come_back();
    let end = timeout(Duration::from_secs(2), daemon.end(info.id)).await.expect("at once");
    let error = end.error.expect("it says why");
    assert_eq!((end.stage, error.kind.as_str()), (Stage::RolledBack, "PluginFailure"));
    assert_eq!(error.message, "the service of the backend was restarted while the change awaited commit");
    assert_eq!(host.network(), at_boot());
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Committed);
}

#[tokio::test(start_paused = true)]
async fn s22_a_rollback_waits_for_the_service_and_says_so() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    host.backend.lose();
    sleep(Duration::from_secs(3600)).await;

    let status_now = status(&daemon).await;
    assert_eq!(status_now.transactions[0].stage, Stage::RollingBack);
    let waits =
        format!("the rollback of transaction {} waits, and no change is accepted: {MISSING}", info.id);
    assert_eq!(status_now.alerts, [waits]);
    assert_eq!(host.open_records(), ["rollback"]);
    assert!(show(&daemon, true).await.is_ok());
    assert_eq!(kind(show(&daemon, false).await), ErrorKind::PluginFailure);
    let refused = daemon.submit(root(), &dummy("dummy1", 8), no_commit()).await.expect_err("it is refused");
    assert_eq!(refused[0].kind, ErrorKind::PluginFailure);
    assert_eq!(refused[0].message, format!("{MISSING}, so nothing is changed"));
    let commit = daemon.ask(root(), Request::Commit { id: Some(info.id) }).await;
    assert_eq!(kind(commit), ErrorKind::InvalidArgument);

    host.backend.come_back();
    let end = daemon.end(info.id).await;
    assert_eq!((end.stage, end.unrestored.len()), (Stage::RolledBack, 0));
    let message = format!("the service of the backend was lost while the change awaited commit: {MISSING}");
    assert_eq!(end.error.expect("it says why").message, message);
    assert_eq!(host.network(), at_boot());
    assert_eq!(status(&daemon).await.alerts, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn s22_what_is_being_applied_is_taken_back() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.submit(root(), &dummy("dummy0", 7), no_commit()).await.expect("it is accepted");
    daemon.until(info.id, Stage::Applying).await;
    sleep(Duration::from_millis(25)).await;
    assert_ne!(host.network(), at_boot(), "it has begun");
    host.backend.lose();
    sleep(Duration::from_secs(3600)).await;
    host.backend.come_back();
    let end = daemon.end(info.id).await;
    assert_eq!((end.stage, end.unrestored.len()), (Stage::RolledBack, 0));
    let message = format!("the service of the backend was lost while the change was being made: {MISSING}");
    assert_eq!(end.error.expect("it says why").message, message);
    assert_eq!(host.network(), at_boot());
}

#[tokio::test(start_paused = true)]
async fn s22_nothing_is_begun_without_the_service() {
    let host = Host::new();
    host.backend.lose();
    let daemon = host.start().await;
    settled().await;
    assert_eq!(status(&daemon).await.alerts, [format!("no change is accepted: {MISSING}")]);
    let refused = daemon.submit(root(), &dummy("dummy0", 7), no_commit()).await;
    assert_eq!(kind(refused), ErrorKind::PluginFailure);
    host.backend.come_back();
    settled().await;
    assert_eq!(status(&daemon).await.alerts, [""; 0]);
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Committed);
}

#[tokio::test(start_paused = true)]
async fn s22_a_daemon_serves_before_the_service_is_there_for_its_recovery() {
    for awaits in [true, false] {
        let host = Host::new();
        let daemon = host.start().await;
        let id = match awaits {
            true => daemon.try_out(root(), &dummy("dummy0", 7)).await.id,
            false => {
                let info = daemon.submit(root(), &dummy("dummy0", 7), no_commit()).await.expect("accepted");
                daemon.until(info.id, Stage::Applying).await;
                sleep(Duration::from_millis(25)).await;
                info.id
            }
        };
        daemon.kill().await;
        host.backend.lose();
        for _ in 0..2 {
            let daemon = timeout(Duration::from_secs(5), host.start()).await.expect("it does not wait");
            assert_eq!(status(&daemon).await.transactions[0].stage, Stage::RollingBack);
            assert!(show(&daemon, true).await.is_ok());
            sleep(Duration::from_secs(600)).await;
            timeout(Duration::from_secs(5), daemon.handle.stop()).await.expect("it ends");
        }
        let daemon = host.start().await;
        host.backend.come_back();
        let end = daemon.end(id).await;
        assert_eq!((end.stage, end.unrestored.len()), (Stage::RolledBack, 0), "awaits: {awaits}");
        assert_eq!(host.network(), at_boot());
        assert_eq!(host.open_records(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn s23_the_net_of_the_backend_comes_after_the_deadline_and_not_while_the_daemon_lives() {
    let host = Host::new();
    let daemon = host.start().await;
    let began = host.clock.now();
    let info = daemon.submit(root(), &dummy("dummy0", 7), no_commit()).await.expect("it is accepted");
    daemon.until(info.id, Stage::Applying).await;
    sleep(Duration::from_millis(15)).await;
    let comes = || host.backend.nets().first().copied().flatten();
    assert!(comes().expect("it is set while applying") >= began + Duration::from_secs(180));
    daemon.until(info.id, Stage::AwaitingCommit).await;
    daemon.ask(root(), Request::Extend { id: None, seconds: 600 }).await.expect("it is extended");
    settled().await;
    let deadline = began + Duration::from_secs(660);
    let at = comes().expect("it is set");
    assert!((deadline..deadline + Duration::from_secs(250)).contains(&at), "{at:?}");

    // A way back that takes its time: the net keeps away.
    host.world.schedule(|_, site| {
        (site == Site::Backend(nmstated::backend::fake::Point::Undo)).then_some(Trouble::Hang)
    });
    daemon.until(info.id, Stage::RollingBack).await;
    for _ in 0..60 {
        sleep(Duration::from_secs(10)).await;
        let at = comes().expect("it is there");
        assert!(at >= host.clock.now() + Duration::from_secs(100), "{at:?} {:?}", host.clock.now());
    }
    host.world.schedule(|_, _| None);
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    settled().await;
    assert_eq!(host.backend.nets(), []);
}

#[tokio::test(start_paused = true)]
async fn s23_the_net_of_the_backend_is_let_go_at_every_end() {
    let host = Host::new();
    let daemon = host.start().await;
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Committed);
    assert_eq!(host.backend.nets(), []);
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Unchanged);
    assert_eq!(host.backend.nets(), []);

    let info = daemon.try_out(root(), &dummy("dummy1", 8)).await;
    assert_eq!(host.backend.nets().len(), 1);
    daemon.ask(root(), Request::Rollback { id: Some(info.id) }).await.expect("it is rolled back");
    assert_eq!(host.backend.nets(), []);

    // The record cannot be written.
    host.world.schedule(|_, site| matches!(site, Site::Disk("write")).then_some(Trouble::FailBefore));
    assert_eq!(daemon.apply(&dummy("dummy1", 8)).await.stage, Stage::Failed);
    host.world.schedule(|_, _| None);
    settled().await;
    assert_eq!(host.backend.nets(), []);

    // It cannot be let go at first: nobody waits for that for ever, and it is done later.
    host.world.schedule(|_, site| {
        (site == Site::Backend(nmstated::backend::fake::Point::Net)).then_some(Trouble::Hang)
    });
    let info = daemon.submit(root(), &dummy("dummy1", 8), no_commit()).await.expect("it is accepted");
    daemon.until(info.id, Stage::AwaitingCommit).await;
    let end = daemon.ask(root(), Request::Commit { id: Some(info.id) }).await.expect("it is committed");
    assert_eq!(end.stage, Stage::Committed);
    settled().await;
    let alerts = status(&daemon).await.alerts;
    assert_eq!(alerts, ["the backend's own safety net could not be taken away: no answer within 10 s"]);
    host.world.schedule(|_, _| None);
    sleep(Duration::from_secs(20)).await;
    assert_eq!((host.backend.nets(), status(&daemon).await.alerts), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn s23_the_next_daemon_takes_the_net_of_the_backend_over() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    settled().await;
    daemon.kill().await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(host.backend.nets().len(), 1);
    let daemon = host.start().await;
    settled().await;
    let at = host.backend.nets()[0].expect("it is set");
    assert!(at >= host.clock.now() + Duration::from_secs(25 + 120), "{at:?}");
    daemon.ask(root(), Request::Commit { id: Some(info.id) }).await.expect("it is committed");
    assert_eq!(host.backend.nets(), []);
}

#[tokio::test(start_paused = true)]
async fn s9_what_the_backend_keeps_itself_is_not_applied_again_at_boot() {
    let mut host = Host::on(|fake| fake.keeps_uncommitted().persists());
    let daemon = host.start().await;
    assert_eq!(daemon.apply(&dummy("dummy0", 7)).await.stage, Stage::Committed);
    daemon.handle.stop().await;
    host.reboot(&mut Dice(7));
    let daemon = host.start().await;
    assert!(matches!(daemon.handle.reapply_at_boot().await, Ok(None)));
    assert_eq!(host.network(), at_boot());
    match daemon.handle.call(root(), Request::Drift).await {
        Ok(Reply::Drift(drift)) => assert!(drift.count > 0, "it is seen all the same"),
        other => panic!("expected drift, not {other:?}"),
    }
}

/// Semantics V42.
#[tokio::test(start_paused = true)]
async fn what_waits_for_a_service_is_refused_unless_nobody_looks_afterwards() {
    let host = Host::on(|fake| fake.cannot_serve(InterfaceType::Dummy));
    let daemon = host.start().await;
    let refused = daemon.apply(&dummy("dummy0", 7)).await;
    let error = refused.error.expect("it says why");
    assert_eq!((refused.stage, error.kind.as_str()), (Stage::Failed, "PluginFailure"));
    assert_eq!(error.path, "interfaces[0]");
    assert_eq!(host.network(), at_boot());

    let unverified = ApplyOptions { verify: false, ..ApplyOptions::default() };
    let done = daemon.submit(root(), &dummy("dummy0", 7), unverified.clone()).await.expect("it is accepted");
    let done = daemon.end(done.id).await;
    assert_eq!(done.stage, Stage::Committed, "{done:?}");
    assert_eq!(done.warnings, ["interfaces[0]: its simulated service is not running"]);

    // So does a change that joins another.
    let waits = ApplyOptions { commit: false, ..unverified.clone() };
    let first = daemon.submit(root(), &dummy("dummy0", 8), waits).await.expect("it is accepted").id;
    daemon.until(first, Stage::AwaitingCommit).await;
    let join = |options| ApplyOptions { join: Some(first), ..options };
    let refused = daemon.submit(root(), &dummy("dummy1", 9), join(ApplyOptions::default())).await;
    assert_eq!(kind(refused), ErrorKind::PluginFailure);
    daemon.submit(root(), &dummy("dummy1", 9), join(unverified)).await.expect("it is accepted");
}
