//! Random histories: several clients, any request at any time, faults, crashes, reboots.
//!
//! `SEED=n` replays one; `SEEDS=n` runs so many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nmstated::backend::fake::Point;
use nmstated::engine::{ApplyOptions, Client, PlanOptions, Request};
use nmstated::transaction::Committed;
use nmstated::wire::{Owner, Probe, Stage, TransactionInfo};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::host::{Daemon, Host, dummy, root, user};
use crate::sweep::{block_on, settled};
use crate::world::{Crash, Dice, Site, TROUBLES, Trouble};

/// Seeds of a default run.
const SEEDS: u64 = 1_500;
const LIVES: usize = 3;
const REQUESTS: usize = 12;

/// What clients were told, by transaction.
type Told = Arc<Mutex<BTreeMap<u64, TransactionInfo>>>;

#[test]
fn random_histories_end_whole() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn run(seed: u64) {
    block_on(async {
        let mut dice = Dice(seed);
        let mut host = Host::new();
        let told = Told::default();
        // Some kinds of trouble are switched off in each run, so that rare mixes appear.
        let rate = [0, 20, 60, 200][dice.below(4)];
        let kinds: Vec<Trouble> = TROUBLES.into_iter().filter(|_| dice.one_in(2)).collect();
        let is_steady = dice.one_in(2);
        for _ in 0..LIVES {
            host.world.revive();
            let mut trouble = Dice(dice.next());
            let kinds = kinds.clone();
            host.world.schedule(move |_, site| {
                let is_trouble = rate > 0 && !kinds.is_empty() && trouble.one_in(rate);
                let kind = is_trouble.then(|| kinds[trouble.below(kinds.len())]);
                // A backend that reports the past after a sync is beyond what is promised.
                kind.filter(|kind| (site, *kind) != (Site::Backend(Point::Observe), Trouble::Silent))
            });
            tokio::select! {
                biased;
                () = host.world.crashed.notified() => {}
                () = live(&host, &mut dice, &told) => {}
                () = come_and_go(&host, Dice(seed), is_steady) => {}
                () = tokio::time::sleep(Duration::from_secs(24 * 3600)) => panic!("somebody waits for ever\n{}", host.world.log()),
            }
            tokio::task::yield_now().await;
            if host.world.crash() == Some(Crash::PowerLost) {
                host.reboot(&mut dice);
            }
        }
        host.world.revive();
        host.world.schedule(|_, _| None);
        host.backend.come_back();
        let daemon = settled(&host).await;
        let history = history(&daemon).await;
        daemon.handle.stop().await;
        judge(&host, &told, &history).await;
    });
}

/// The service of the backend, which ends now and then and is started again.
async fn come_and_go(host: &Host, mut dice: Dice, is_steady: bool) {
    host.backend.come_back();
    if is_steady {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(Duration::from_millis(dice.next() % 60_000)).await;
        host.world.say("-- the service ends".into());
        host.backend.lose();
        if dice.one_in(2) {
            tokio::time::sleep(Duration::from_millis(dice.next() % 30_000)).await;
        }
        host.backend.come_back();
    }
}

/// One daemon, and what its clients ask of it.
async fn live(host: &Host, dice: &mut Dice, told: &Told) {
    let daemon = Arc::new(host.start().await);
    let mut clients = JoinSet::new();
    for _ in 0..REQUESTS {
        let (daemon, told, mut own) = (daemon.clone(), told.clone(), Dice(dice.next()));
        clients.spawn(async move { client(&daemon, &mut own, &told).await });
        tokio::time::sleep(Duration::from_millis(dice.next() % 8000)).await;
        if dice.one_in(20) {
            host.clock.suspend(Duration::from_secs(dice.next() % 100));
        }
    }
    while clients.join_next().await.is_some() {}
    if dice.one_in(2) {
        daemon.handle.stop().await;
    }
}

async fn client(daemon: &Daemon, dice: &mut Dice, told: &Told) {
    let owner = if dice.one_in(2) { root() } else { user(1000) };
    let id = if dice.one_in(2) { None } else { Some(dice.next() % 20) };
    let answer = match dice.below(8) {
        0 => daemon.ask(owner, Request::Commit { id }).await,
        1 => daemon.ask(owner, Request::Rollback { id }).await,
        2 => daemon.ask(owner, Request::Extend { id, seconds: 10 }).await,
        3 => daemon.ask(owner, Request::Cancel { id: id.unwrap_or(1) }).await,
        _ => apply(daemon, owner, dice).await,
    };
    if let Ok(info) = answer
        && info.stage.is_end()
    {
        told.lock().expect("no test panics with it").insert(info.id, info);
    }
}

async fn apply(
    daemon: &Daemon,
    owner: Owner,
    dice: &mut Dice,
) -> Result<TransactionInfo, nmstated::engine::Refusal> {
    let pending = daemon.handle.events().next().await;
    let join = match pending {
        Some(nmstated::wire::Event::Transaction { transaction }) if dice.one_in(3) => Some(transaction.id),
        _ => None,
    };
    // A document that gives a dummy interface the network of the client takes its way over.
    let near = || Client { address: [198, 51, 1, 77].into(), scope: None, server: None };
    let options = ApplyOptions {
        plan: PlanOptions { client: dice.one_in(3).then(near), ..PlanOptions::default() },
        commit: dice.one_in(2),
        timeout_s: 1 + u32::try_from(dice.below(40)).expect("is small"),
        wait: dice.one_in(2),
        join,
        cancel_on_disconnect: dice.one_in(4),
        probes: dice.one_in(3).then(|| vec![Probe::Gateway(None)]),
        ..ApplyOptions::default()
    };
    let leaves = options.cancel_on_disconnect && dice.one_in(2);
    let info = daemon.submit(owner, &document(dice), options).await?;
    if leaves {
        tokio::time::sleep(Duration::from_millis(dice.next() % 500)).await;
        daemon.handle.disconnected(info.id).await;
    }
    Ok(daemon.end(info.id).await)
}

fn document(dice: &mut Dice) -> Json {
    let name = format!("dummy{}", dice.below(3));
    match dice.below(4) {
        0 => json!({"interfaces": [{"name": name, "type": "dummy", "state": "absent"}]}),
        1 => {
            json!({"interfaces": [{"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1400 + dice.below(3)}],
            "dns-resolver": {"config": {"server": [format!("198.51.100.{}", dice.below(3))]}}})
        }
        _ => dummy(&name, u8::try_from(dice.below(3)).expect("is small")),
    }
}

async fn history(daemon: &Daemon) -> Vec<TransactionInfo> {
    match daemon.handle.call(root(), Request::History { limit: 1000 }).await {
        Ok(nmstated::engine::Reply::Transactions(ended)) => ended,
        other => panic!("expected transactions, not {other:?}"),
    }
}

/// The network is what is committed, no more and no less, and everybody was told the truth.
async fn judge(host: &Host, told: &Told, history: &[TransactionInfo]) {
    let log = || host.world.log();
    assert_eq!(host.open_records(), [""; 0], "a record is left\n{}", log());
    assert_eq!(host.net.comes(), None, "a safety net is left\n{}", log());
    assert!(host.backend.nets().iter().all(Option::is_none), "a net of the backend is left\n{}", log());
    let told = told.lock().expect("no test panics with it").clone();
    for info in told.values().filter(|info| info.stage == Stage::Committed) {
        assert!(host.last_committed() >= info.id, "told committed before it was durable\n{}", log());
    }
    if history.iter().any(|info| !info.unrestored.is_empty()) {
        return;
    }
    let fresh = Host::new();
    let daemon = fresh.start().await;
    if let Some(bytes) = host.disk.durable("committed") {
        let mut committed = (*Committed::from_bytes(&bytes).expect("what is durable is whole").state).clone();
        committed.reveal_secrets();
        let applied = daemon.apply(&json!(committed)).await;
        assert!(matches!(applied.stage, Stage::Committed | Stage::Unchanged), "{applied:?}");
    }
    let differences = nmstated::verify::same(&fresh.network(), &host.network());
    assert!(differences.is_empty(), "the network is not what is committed: {differences:#?}\n{}", log());
}
