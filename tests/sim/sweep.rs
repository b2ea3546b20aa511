//! Every fault at every point of every case, and a second one during the recovery from the first
//! (S1 to S3, S12).
//!
//! A run prints what it did when it fails; `CASE=name FAULTS=13:KillAfter,4:FailBefore` in the
//! environment runs that one alone.

use std::time::Duration;

use nmstated::engine::{ApplyOptions, Refusal, Request};
use nmstated::state::State;
use nmstated::wire::{Probe, Stage, TransactionInfo};
use serde_json::{Value as Json, json};

use crate::host::{Daemon, Host, dummy, no_commit, root};
use crate::world::{Crash, Dice, TROUBLES, Trouble};

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Apply,
    Commit,
    Rollback,
    Expire,
    Extend,
    Join,
    Cancel,
    CancelProbing,
}

struct Case {
    name: &'static str,
    way: Way,
    /// Committed before anything goes wrong.
    former: Vec<Json>,
    documents: Vec<Json>,
    /// What must still hold afterwards.
    probes: &'static [&'static str],
}

fn cases() -> Vec<Case> {
    let bridge = json!({
        "interfaces": [{"name": "br0", "type": "linux-bridge", "state": "up",
            "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "198.51.100.1", "prefix-length": 24}]},
            "bridge": {"options": {"stp": {"enabled": false}}, "port": [{"name": "eth1"}]}}],
        "dns-resolver": {"config": {"server": ["198.51.100.53"]}},
    });
    let edit = json!({
        "interfaces": [{"name": "eth1", "type": "ethernet", "state": "up", "mtu": 9000},
            {"name": "dummy0", "type": "dummy", "state": "absent"}],
        "route-rules": {"config": [{"ip-from": "198.51.100.0/24", "route-table": 200, "priority": 1000}]},
    });
    let case = |name, way, former: &[&Json], documents: &[&Json]| Case {
        name,
        way,
        former: former.iter().copied().cloned().collect(),
        documents: documents.iter().copied().cloned().collect(),
        probes: &[],
    };
    let probed = |case: Case| Case { probes: &["gateway", "tcp:192.0.2.1:22"], ..case };
    let cut_off = json!({"interfaces": [{"name": "eth0", "type": "ethernet", "mtu": 9000}]});
    let dummy0 = dummy("dummy0", 7);
    let dummy1 = dummy("dummy1", 8);
    vec![
        case("apply", Way::Apply, &[], &[&dummy0]),
        case("commit", Way::Commit, &[], &[&dummy0]),
        case("rollback", Way::Rollback, &[], &[&dummy0]),
        case("expire", Way::Expire, &[], &[&dummy0]),
        case("extend", Way::Extend, &[&dummy1], &[&dummy0]),
        case("join", Way::Join, &[], &[&dummy0, &dummy1]),
        case("cancel", Way::Cancel, &[&dummy0], &[&dummy1]),
        case("bridge", Way::Apply, &[&dummy0], &[&bridge]),
        case("edit", Way::Apply, &[&dummy0], &[&edit]),
        probed(case("probed", Way::Apply, &[], &[&dummy0])),
        probed(case("probed-cut", Way::Apply, &[&dummy0], &[&cut_off])),
        probed(case("probed-commit", Way::Commit, &[], &[&dummy0])),
        probed(case("probed-cancel", Way::CancelProbing, &[], &[&dummy0])),
        probed(case("probed-join", Way::Join, &[], &[&dummy0, &dummy1])),
        case("again", Way::Apply, &[&dummy0], &[&dummy0]),
    ]
}

/// What the client was told last.
type Told = Result<TransactionInfo, Refusal>;

impl Case {
    async fn client(&self, daemon: &Daemon) -> Told {
        let first = &self.documents[0];
        let probes = Some(Probe::list(self.probes.iter().copied()).expect("probes"));
        let options = match self.way {
            Way::Apply => ApplyOptions { probes, ..ApplyOptions::default() },
            _ => ApplyOptions { probes, ..no_commit() },
        };
        let info = daemon.submit(root(), first, options.clone()).await?;
        let id = Some(info.id);
        if self.way == Way::Cancel {
            daemon.until(info.id, Stage::Applying).await;
            tokio::time::sleep(Duration::from_millis(15)).await;
            return daemon.ask(root(), Request::Cancel { id: info.id }).await;
        }
        if self.way == Way::CancelProbing {
            daemon.until(info.id, Stage::Probing).await;
            return daemon.ask(root(), Request::Cancel { id: info.id }).await;
        }
        let waits = daemon.until(info.id, Stage::AwaitingCommit).await;
        if waits.stage.is_end() {
            return Ok(waits);
        }
        match self.way {
            Way::Apply | Way::Cancel | Way::CancelProbing | Way::Expire => Ok(daemon.end(info.id).await),
            Way::Rollback => daemon.ask(root(), Request::Rollback { id }).await,
            Way::Commit => daemon.ask(root(), Request::Commit { id }).await,
            Way::Extend => {
                daemon.ask(root(), Request::Extend { id, seconds: 30 }).await?;
                daemon.ask(root(), Request::Commit { id }).await
            }
            Way::Join => {
                let join = ApplyOptions { join: id, ..options };
                daemon.submit(root(), &self.documents[1], join).await?;
                daemon.until(info.id, Stage::AwaitingCommit).await;
                daemon.ask(root(), Request::Commit { id }).await
            }
        }
    }

    /// The networks before and after, when nothing goes wrong.
    fn networks(&self) -> (State, State) {
        block_on(async {
            let host = Host::new();
            let daemon = host.start().await;
            for document in &self.former {
                assert_eq!(daemon.apply(document).await.stage, Stage::Committed);
            }
            let before = host.network();
            for document in &self.documents {
                daemon.apply(document).await;
            }
            (before, host.network())
        })
    }

    /// One run; returns how many points the client's life and the recovery had.
    fn run(
        &self,
        networks: &(State, State),
        first: (u64, Trouble),
        second: Option<(u64, Trouble)>,
    ) -> (u64, u64) {
        block_on(async {
            let mut host = Host::new();
            let daemon = host.start().await;
            for document in &self.former {
                daemon.apply(document).await;
            }
            schedule(&host, Some(first));
            let told = tokio::select! {
                biased;
                () = host.world.crashed.notified() => None,
                told = self.client(&daemon) => Some(told),
                () = tokio::time::sleep(Duration::from_secs(7200)) => panic!("a client waits for ever\n{}", host.world.log()),
            };
            let points = host.world.points();
            let is_unhurt = host.world.crash().is_none();
            match is_unhurt {
                true => daemon.handle.stop().await,
                false => daemon.kill().await,
            }
            let mut dice = Dice(first.0.wrapping_mul(31).wrapping_add(second.map_or(0, |second| second.0)));
            let mut next = second;
            let mut recovery = 0;
            for _ in 0..3 {
                if host.world.crash() == Some(Crash::PowerLost) {
                    host.reboot(&mut dice);
                }
                // What was aborted goes away when its turn comes.
                tokio::task::yield_now().await;
                host.world.revive();
                schedule(&host, next.take());
                let started = tokio::select! {
                    biased;
                    () = host.world.crashed.notified() => None,
                    daemon = settled(&host) => Some(daemon),
                    () = tokio::time::sleep(Duration::from_secs(7200)) => panic!("a recovery never ends\n{}", host.world.log()),
                };
                recovery = recovery.max(host.world.points());
                match started {
                    Some(daemon) if host.world.crash().is_none() => daemon.handle.stop().await,
                    Some(daemon) => daemon.kill().await,
                    None => {}
                }
            }
            self.judge(&host, networks, told);
            (points, recovery)
        })
    }

    /// Wholly old or wholly new, as the client was told; and nothing left over.
    fn judge(&self, host: &Host, (before, after): &(State, State), told: Option<Told>) {
        let is = |wanted: &State| nmstated::verify::same(wanted, &host.network()).is_empty();
        let log = || {
            format!(
                "\n{told:?}\n{}\n{:#?}",
                host.world.log(),
                nmstated::verify::same(before, &host.network())
            )
        };
        assert!(is(before) || is(after), "half changed{}", log());
        assert_eq!(host.open_records(), [""; 0], "a record is left{}", log());
        assert_eq!(host.net.comes(), None, "a safety net is left{}", log());
        // One that nobody has set yet is of no consequence.
        assert!(host.backend.nets().iter().all(Option::is_none), "a net of the backend is left{}", log());
        match &told {
            Some(Ok(info)) if info.stage == Stage::Committed => {
                assert!(is(after), "told committed{}", log());
                assert!(host.last_committed() >= info.id, "told committed before it was durable{}", log());
            }
            Some(Ok(info)) if matches!(info.stage, Stage::RolledBack | Stage::Cancelled) => {
                assert!(is(before), "told rolled back{}", log());
                assert_eq!(info.unrestored, [""; 0], "one fault is not too much{}", log());
            }
            Some(_) | None => {}
        }
    }
}

/// A daemon that has recovered, brought back what is committed, and has nothing open any more.
pub async fn settled(host: &Host) -> Daemon {
    let daemon = host.start().await;
    // Refused while the disk cannot be read; then the next daemon does it.
    let _ = daemon.handle.reapply_at_boot().await;
    loop {
        match daemon.handle.call(root(), Request::List).await {
            Ok(nmstated::engine::Reply::Transactions(live)) => match live.first() {
                Some(info) => drop(daemon.end(info.id).await),
                None => return daemon,
            },
            other => panic!("expected transactions, not {other:?}"),
        }
    }
}

fn schedule(host: &Host, fault: Option<(u64, Trouble)>) {
    host.world.schedule(move |n, _| fault.filter(|(at, _)| *at == n).map(|(_, trouble)| trouble));
}

pub fn block_on<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(run)
}

fn sweep(names: &[&str]) {
    let chosen = std::env::var("CASE").ok();
    let faults = std::env::var("FAULTS").ok().map(|faults| parse(&faults));
    for case in cases() {
        let is_chosen = chosen.as_deref().map_or(names.contains(&case.name), |name| name == case.name);
        if !is_chosen {
            continue;
        }
        let networks = case.networks();
        if let Some(faults) = &faults {
            case.run(&networks, faults[0], faults.get(1).copied());
            continue;
        }
        let (points, _) = case.run(&networks, (u64::MAX, Trouble::FailBefore), None);
        let mut runs = 0;
        for at in 0..points {
            for trouble in TROUBLES {
                let say = |second: &str| eprintln!("CASE={} FAULTS={at}:{trouble:?}{second}", case.name);
                let guard = Guard(Some(|| say("")));
                let (_, recovery) = case.run(&networks, (at, trouble), None);
                guard.pass();
                runs += 1;
                // A second fault at a point of the recovery: another one in each run, so that all
                // meet all over the sweep.
                for step in (runs % 11..recovery).step_by(11) {
                    let second =
                        TROUBLES[(usize::try_from(step).expect("is small") + runs as usize) % TROUBLES.len()];
                    let guard = Guard(Some(|| say(&format!(",{step}:{second:?}"))));
                    case.run(&networks, (at, trouble), Some((step, second)));
                    guard.pass();
                    runs += 1;
                }
            }
        }
        eprintln!("{}: {points} points, {runs} runs", case.name);
    }
}

/// Says which run it was, if it does not pass.
struct Guard<F: Fn()>(Option<F>);

impl<F: Fn()> Guard<F> {
    fn pass(mut self) {
        self.0 = None;
    }
}

impl<F: Fn()> Drop for Guard<F> {
    fn drop(&mut self) {
        if let Some(say) = &self.0 {
            say();
        }
    }
}

fn parse(faults: &str) -> Vec<(u64, Trouble)> {
    let one = |fault: &str| {
        let (at, name) = fault.split_once(':').expect("as 13:KillAfter");
        let trouble = TROUBLES.into_iter().find(|trouble| format!("{trouble:?}") == name);
        (at.parse().expect("a number"), trouble.expect("a known trouble"))
    };
    faults.split(',').map(one).collect()
}

#[test]
fn applying() {
    sweep(&["apply", "bridge", "edit", "again"]);
}

#[test]
fn deciding() {
    sweep(&["commit", "rollback", "expire", "extend", "cancel"]);
}

#[test]
fn joining() {
    sweep(&["join"]);
}

#[test]
fn probing() {
    sweep(&["probed", "probed-cut", "probed-commit", "probed-cancel", "probed-join"]);
}
