//! The safety net behind the daemon (S19), on one that a test can look at.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use nmstated::engine::{ApplyOptions, Reply, Request};
use nmstated::system::{Clock, SafetyNet};
use nmstated::wire::{Stage, StatusInfo};
use tokio::time::sleep;

use crate::host::{Daemon, Host, dummy, no_commit, root};
use crate::world::Dice;

/// How long a working net takes to be set.
const TAKES: Duration = Duration::from_millis(3);

/// How long after the deadline it comes.
const MARGIN: Duration = Duration::from_secs(30);

/// How the net answers.
#[derive(Clone, Copy, Default)]
pub enum Manner {
    #[default]
    Works,
    Fails,
    Hangs,
}

/// A net that outlives daemons, and not the machine.
#[derive(Default)]
pub struct FakeNet {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    comes: Option<Duration>,
    manner: Manner,
    attempts: u32,
}

impl FakeNet {
    /// When it comes.
    pub fn comes(&self) -> Option<Duration> {
        self.seen.lock().expect("no test panics with it").comes
    }

    /// What a reboot leaves of it.
    pub fn reset(&self) {
        self.seen.lock().expect("no test panics with it").comes = None;
    }

    fn answer(&self, manner: Manner) {
        self.seen.lock().expect("no test panics with it").manner = manner;
    }

    fn attempts(&self) -> u32 {
        self.seen.lock().expect("no test panics with it").attempts
    }
}

impl SafetyNet for FakeNet {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn set(&self, at: Option<Duration>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let manner = {
                let mut seen = self.seen.lock().expect("no test panics with it");
                seen.attempts += 1;
                seen.manner
            };
            match manner {
                Manner::Works => {}
                Manner::Fails => return Err("it is torn".into()),
                Manner::Hangs => std::future::pending().await,
            }
            sleep(TAKES).await;
            self.seen.lock().expect("no test panics with it").comes = at;
            Ok(())
        })
    }
}

async fn status(daemon: &Daemon) -> StatusInfo {
    match daemon.handle.call(root(), Request::GetStatus).await {
        Ok(Reply::Status(status)) => status,
        other => panic!("expected a status, not {other:?}"),
    }
}

/// Time for the net to be as it is wanted, and for nothing else.
async fn settled() {
    sleep(TAKES * 3).await;
}

#[tokio::test(start_paused = true)]
async fn s19_the_net_is_set_exactly_while_something_awaits_commit() {
    let host = Host::new();
    let daemon = host.start().await;
    settled().await;
    // What an earlier daemon may have left was taken away once; a plain apply needs none.
    assert_eq!((host.net.attempts(), host.net.comes()), (1, None));
    assert_eq!(status(&daemon).await.safety_nets, ["daemon", "fake", "simulated"]);
    daemon.apply(&dummy("dummy0", 7)).await;
    settled().await;
    assert_eq!(host.net.attempts(), 1);

    let info = daemon.try_out(root(), &dummy("dummy1", 8)).await;
    let deadline = host.clock.now() + Duration::from_secs(60) + MARGIN;
    settled().await;
    assert_eq!(host.net.comes(), Some(deadline));
    daemon.ask(root(), Request::Extend { id: None, seconds: 30 }).await.expect("it is extended");
    settled().await;
    let deadline = deadline + Duration::from_secs(30);
    assert_eq!(host.net.comes(), Some(deadline));
    // It stays while another change joins, and moves only when the deadline does.
    let join = ApplyOptions { join: Some(info.id), ..no_commit() };
    daemon.submit(root(), &dummy("dummy2", 9), join).await.expect("it joins");
    assert_eq!(host.net.comes(), Some(deadline));
    daemon.until(info.id, Stage::AwaitingCommit).await;
    daemon.ask(root(), Request::Commit { id: None }).await.expect("it commits");
    settled().await;
    assert_eq!(host.net.comes(), None);
    assert_eq!(status(&daemon).await.alerts, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn s19_the_net_stays_while_a_rollback_is_under_way() {
    let host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    settled().await;
    let deadline = host.net.comes();
    daemon.until(info.id, Stage::RollingBack).await;
    assert!(deadline.is_some());
    assert_eq!(host.net.comes(), deadline);
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    settled().await;
    assert_eq!(host.net.comes(), None);
}

#[tokio::test(start_paused = true)]
async fn s19_the_net_outlives_the_daemon_and_the_next_one_takes_it_over() {
    for is_killed in [true, false] {
        let host = Host::new();
        let daemon = host.start().await;
        let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
        let deadline = host.clock.now() + Duration::from_secs(60) + MARGIN;
        if is_killed {
            settled().await;
            daemon.kill().await;
        } else {
            // An orderly stop waits until it is set.
            daemon.handle.stop().await;
        }
        assert_eq!(host.net.comes(), Some(deadline), "killed: {is_killed}");

        // Not due: the next one sets it again, whatever it was.
        host.net.reset();
        let daemon = host.start().await;
        settled().await;
        assert_eq!(host.net.comes(), Some(deadline));
        daemon.handle.stop().await;
        assert_eq!(host.net.comes(), Some(deadline));

        // Due: the next one rolls back, and then takes it away.
        sleep(Duration::from_secs(120)).await;
        let daemon = host.start().await;
        assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
        settled().await;
        assert_eq!(host.net.comes(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn s19_a_net_that_cannot_be_set_is_told_and_stands_in_nobodys_way() {
    for manner in [Manner::Fails, Manner::Hangs] {
        let host = Host::new();
        host.net.answer(manner);
        let daemon = host.start().await;
        let began = host.clock.now();
        let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
        assert!(host.clock.now() - began < Duration::from_secs(1));
        sleep(Duration::from_secs(25)).await;
        let alerts = status(&daemon).await.alerts;
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        assert!(alerts[0].starts_with("the second safety net could not be set: "), "{alerts:?}");
        // It is tried again, and the alert goes when that works.
        host.net.answer(Manner::Works);
        sleep(Duration::from_secs(31)).await;
        assert!(host.net.comes().is_some());
        assert_eq!(status(&daemon).await.alerts, [""; 0]);
        assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    }
}

#[tokio::test(start_paused = true)]
async fn s19_after_a_reboot_there_is_no_net_and_nothing_left_to_restore() {
    let mut host = Host::new();
    let daemon = host.start().await;
    let info = daemon.try_out(root(), &dummy("dummy0", 7)).await;
    settled().await;
    daemon.kill().await;
    host.reboot(&mut Dice(7));
    let daemon = host.start().await;
    assert_eq!(daemon.end(info.id).await.stage, Stage::RolledBack);
    settled().await;
    assert_eq!(host.net.comes(), None);
}
