//! A simulated host: what a daemon runs on, and the daemon.

use std::sync::Arc;
use std::time::Duration;

use nmstated::backend::fake::{FakeBackend, Fault, Faults, Point};
use nmstated::engine::{ApplyOptions, Handle, Limits, Refusal, Reply, Request, Setup, start};
use nmstated::probe::{self, Checking, Prober};
use nmstated::state::{Document, ErrorKind, State};
use nmstated::transaction::{Committed, Phase, Record};
use nmstated::wire::{Family, Owner, Probe, Stage, TransactionId, TransactionInfo};
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;

use crate::disk::FakeDisk;
use crate::net::FakeNet;
use crate::world::{Dice, FakeClock, World};

pub struct Host {
    pub world: Arc<World>,
    pub disk: Arc<FakeDisk>,
    pub clock: Arc<FakeClock>,
    pub backend: Arc<FakeBackend>,
    pub net: Arc<FakeNet>,
    pub boots: u32,
    /// Those of the configuration.
    pub probes: Vec<Probe>,
}

/// The network after boot.
pub fn at_boot() -> State {
    state(&json!({
        "dns-resolver": {"running": {"server": ["192.0.2.53"], "search": [], "options": []}, "config": {"server": ["192.0.2.53"], "search": [], "options": []}},
        "route-rules": {"config": []},
        "routes": {"config": [
            {"destination": "0.0.0.0/0", "next-hop-interface": "eth0", "next-hop-address": "192.0.2.1", "metric": 0, "table-id": 254},
        ]},
        "interfaces": [
            {"name": "eth0", "type": "ethernet", "state": "up", "mtu": 1500, "mac-address": "52:54:00:00:00:01",
             "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": "192.0.2.10", "prefix-length": 24}]}, "ipv6": {"enabled": false}},
            {"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500, "mac-address": "52:54:00:00:00:02",
             "ipv4": {"enabled": false}, "ipv6": {"enabled": false}},
        ],
    }))
}

pub fn state(json: &Json) -> State {
    Document::from_json(json).state().unwrap_or_else(|problems| panic!("{problems:?}")).0
}

/// A document that makes a dummy interface with an address and a route.
pub fn dummy(name: &str, net: u8) -> Json {
    json!({
        "interfaces": [{"name": name, "type": "dummy", "state": "up", "mtu": 1400,
            "ipv4": {"enabled": true, "dhcp": false, "address": [{"ip": format!("198.51.{net}.1"), "prefix-length": 24}]}}],
        "routes": {"config": [{"destination": format!("203.0.{net}.0/24"), "next-hop-interface": name,
            "next-hop-address": format!("198.51.{net}.2")}]},
    })
}

pub fn root() -> Owner {
    Owner { uid: 0, pid: Some(1), via: "varlink".into() }
}

pub fn user(uid: u32) -> Owner {
    Owner { uid, pid: None, via: ":1.7".into() }
}

pub fn no_commit() -> ApplyOptions {
    ApplyOptions { commit: false, ..ApplyOptions::default() }
}

impl Host {
    pub fn new() -> Self {
        Self::on(|fake| fake)
    }

    /// On a backend that is like this.
    pub fn on(like: impl FnOnce(FakeBackend) -> FakeBackend) -> Self {
        let world = World::new();
        let disk = Arc::new(FakeDisk::new(world.clone()));
        let faults = Arc::new(Watch { world: world.clone(), disk: disk.clone() });
        let backend =
            FakeBackend::with_faults(at_boot(), faults).step_time(Duration::from_millis(10)).makes_nets();
        Self {
            disk,
            clock: Arc::new(FakeClock::new()),
            backend: Arc::new(like(backend)),
            net: Arc::default(),
            world,
            boots: 1,
            probes: Vec::new(),
        }
    }

    pub async fn start(&self) -> Daemon {
        let (handle, task) = start(Setup {
            backend: self.backend.clone(),
            backend_reason: "it is a simulation".into(),
            disk: self.disk.clone(),
            clock: self.clock.clone(),
            boot_id: format!("boot {}", self.boots),
            safety_net: Some(self.net.clone()),
            limits: Limits::default(),
            prober: Arc::new(FakeProber { world: self.world.clone() }),
            probes: self.probes.clone(),
            threads: false,
        })
        .await;
        Daemon { handle, task }
    }

    /// Power is lost and comes back: what nobody persisted is gone.
    pub fn reboot(&mut self, dice: &mut Dice) {
        self.disk.lose_power(dice);
        self.boots += 1;
        self.backend.reset(at_boot());
        self.net.reset();
    }

    pub fn network(&self) -> State {
        self.backend.state()
    }

    /// The last transaction that is committed on the medium.
    pub fn last_committed(&self) -> TransactionId {
        let committed = self.disk.durable("committed");
        committed.map_or(0, |bytes| Committed::from_bytes(&bytes).expect("what is durable is whole").last)
    }

    /// The files of a transaction that is open.
    pub fn open_records(&self) -> Vec<String> {
        self.disk.names().into_iter().filter(|name| name == "checkpoint" || name == "rollback").collect()
    }
}

/// Sees that no effect comes before its intent is on the medium (S2).
struct Watch {
    world: Arc<World>,
    disk: Arc<FakeDisk>,
}

impl Faults for Watch {
    fn at(&self, point: Point) -> Option<Fault> {
        if point == Point::Step && self.world.crash().is_none() {
            let record = self.disk.durable("checkpoint").expect("a change is recorded before it begins");
            let record = Record::from_bytes(&record).expect("what is durable is whole");
            assert_eq!(record.phase, Phase::Applying, "what is being changed does not await commit");
        }
        self.world.at(point)
    }
}

/// Finds out by what the simulated network looks like; a fault makes it fail, lie or hang.
struct FakeProber {
    world: Arc<World>,
}

impl Prober for FakeProber {
    fn check<'a>(&'a self, probe: &'a Probe, network: &'a State) -> Checking<'a> {
        Box::pin(async move {
            // An attempt takes its time.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let fails = |why: &str| Err(probe::Fault::Fails(why.into()));
            match self.world.at_probe(probe) {
                None => {}
                Some(Fault::Before | Fault::After) => return fails("simulated fault"),
                Some(Fault::Silent) => return Ok(vec![probe.clone()]),
                Some(Fault::Hang | Fault::HangAfter) => std::future::pending().await,
            }
            let holds = match probe {
                Probe::Gateway(_) => {
                    // It takes no large frames.
                    let is_heard = network.interface("eth0").is_some_and(|eth0| eth0.mtu == Some(1500));
                    let mut routes =
                        network.config_routes().iter().filter_map(|route| route.destination.as_ref());
                    is_heard && routes.any(|destination| destination.to_string() == "0.0.0.0/0")
                }
                Probe::Resolve(_) => network.dns_resolver.is_some(),
                Probe::Tcp { port, .. } => *port == 22,
                Probe::Run(path) if path == "/forbidden" => {
                    return Err(probe::Fault::Refused("it is not root's".into()));
                }
                Probe::Run(_) => true,
            };
            match probe {
                _ if !holds => fails("nobody answers"),
                Probe::Gateway(None) => Ok(vec![Probe::Gateway(Some(Family::Ipv4))]),
                _ => Ok(vec![probe.clone()]),
            }
        })
    }
}

pub struct Daemon {
    pub handle: Handle,
    pub task: JoinHandle<()>,
}

/// A daemon that a crash takes away in the middle of something.
impl Drop for Daemon {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Daemon {
    /// SIGKILL.
    pub async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    pub async fn submit(
        &self,
        owner: Owner,
        document: &Json,
        options: ApplyOptions,
    ) -> Result<TransactionInfo, Refusal> {
        let document = Document::from_json(document);
        self.ask(owner, Request::Submit { document, options }).await
    }

    /// A request that is answered with a transaction.
    pub async fn ask(&self, owner: Owner, request: Request) -> Result<TransactionInfo, Refusal> {
        match self.handle.call(owner, request).await? {
            Reply::Transaction(info) => Ok(info),
            other => panic!("expected a transaction, not {other:?}"),
        }
    }

    /// Submits, and waits for the end.
    pub async fn apply(&self, document: &Json) -> TransactionInfo {
        let info = self.submit(root(), document, ApplyOptions::default()).await.expect("it is accepted");
        self.end(info.id).await
    }

    pub async fn end(&self, id: TransactionId) -> TransactionInfo {
        self.handle.follow(id).expect("it is known").end().await.expect("it ends")
    }

    /// Waits until a transaction is at a stage, or has ended.
    pub async fn until(&self, id: TransactionId, stage: Stage) -> TransactionInfo {
        let mut follow = self.handle.follow(id).expect("it is known");
        loop {
            let info = follow.next().await.expect("the daemon runs");
            if info.stage == stage || info.stage.is_end() {
                return info;
            }
        }
    }

    /// Submits without commit, and waits until it awaits commit.
    pub async fn try_out(&self, owner: Owner, document: &Json) -> TransactionInfo {
        let info = self.submit(owner, document, no_commit()).await.expect("it is accepted");
        self.until(info.id, Stage::AwaitingCommit).await
    }
}

/// The kind of a refusal.
pub fn kind<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorKind {
    result.expect_err("it is refused").first().expect("a refusal has a problem").kind
}
