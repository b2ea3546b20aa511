//! A simulated network, for tests of everything above: deterministic, and as faulty as asked.

mod net;
mod network;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::sync::watch;

use self::net::{Checkpoints, Net};
use super::{
    Availability, Backend, Capabilities, Doing, Failure, Judgement, Observation, Progress, SafetyNet,
    Snapshot, Step,
};
use crate::plan::{self, Change, Plan};
use crate::state::{ErrorKind, InterfaceType, Problem, State};

pub use network::apply;

/// Where something can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    Observe,
    Sync,
    Snapshot,
    /// A step of an execution.
    Step,
    Persist,
    /// A step of a rollback.
    Undo,
    /// Its own safety net is set, or let go.
    Net,
}

/// What goes wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails and nothing has happened.
    Before,
    /// It fails, and has happened all the same.
    After,
    /// It succeeds, and nothing has happened: for an observation, the one before.
    Silent,
    /// It never answers, and nothing has happened.
    Hang,
    /// It never answers, and has happened all the same.
    HangAfter,
}

/// Decides what goes wrong.
pub trait Faults: Send + Sync {
    /// Called once at each point that is reached.
    fn at(&self, point: Point) -> Option<Fault>;
}

/// Nothing ever goes wrong.
pub struct NoFaults;

impl Faults for NoFaults {
    fn at(&self, _point: Point) -> Option<Fault> {
        None
    }
}

/// The simulated backend.
pub struct FakeBackend {
    network: Mutex<Network>,
    revision: watch::Sender<u64>,
    /// Held while the network is being changed: the engine promises that nobody else does.
    is_changing: AtomicBool,
    faults: Arc<dyn Faults>,
    step_time: Duration,
    is_volatile: bool,
    persists: bool,
    /// What needs a service that does not run.
    unserved: Option<InterfaceType>,
    availability: watch::Sender<Availability>,
    /// What its service guards, if it does.
    checkpoints: Option<Arc<Checkpoints>>,
}

struct Network {
    now: State,
    /// Before the last change, for stale observations.
    former: State,
    persisted: Option<State>,
}

impl FakeBackend {
    /// A network that does what it is told.
    pub fn new(state: State) -> Self {
        Self::with_faults(state, Arc::new(NoFaults))
    }

    pub fn with_faults(state: State, faults: Arc<dyn Faults>) -> Self {
        let network = Network { former: state.clone(), now: state, persisted: None };
        Self {
            network: Mutex::new(network),
            revision: watch::Sender::new(1),
            is_changing: AtomicBool::new(false),
            faults,
            step_time: Duration::ZERO,
            is_volatile: true,
            persists: false,
            unserved: None,
            availability: watch::Sender::default(),
            checkpoints: None,
        }
    }

    /// Each step takes this long.
    #[must_use]
    pub fn step_time(mut self, step_time: Duration) -> Self {
        self.step_time = step_time;
        self
    }

    /// Uncommitted configuration survives a reboot, as with netplan's files.
    #[must_use]
    pub fn keeps_uncommitted(mut self) -> Self {
        self.is_volatile = false;
        self
    }

    /// What is committed comes back at boot by itself, as with NetworkManager's profiles.
    #[must_use]
    pub fn persists(mut self) -> Self {
        self.persists = true;
        self
    }

    /// Interfaces of this type need a service that does not run.
    #[must_use]
    pub fn cannot_serve(mut self, kind: InterfaceType) -> Self {
        self.unserved = Some(kind);
        self
    }

    /// It makes a safety net of its own with each snapshot, as with NetworkManager's checkpoints.
    #[must_use]
    pub fn makes_nets(mut self) -> Self {
        self.checkpoints = Some(Arc::default());
        self
    }

    /// The nets that it made and that are there still: when each comes, None as it was made.
    pub fn nets(&self) -> Vec<Option<Duration>> {
        self.checkpoints.as_ref().map(|checkpoints| checkpoints.all()).unwrap_or_default()
    }

    /// Its service ends; what the network is stays as it is.
    pub fn lose(&self) {
        self.checkpoints.iter().for_each(|checkpoints| checkpoints.forget());
        self.availability.send_modify(|is| {
            is.losses += 1;
            is.missing = Some("the simulated service is not running".into());
        });
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// Its service is there again.
    pub fn come_back(&self) {
        self.availability.send_modify(|is| is.missing = None);
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn check(&self) -> Result<(), Failure> {
        match &self.availability.borrow().missing {
            Some(missing) => {
                let message = missing.clone();
                Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message })
            }
            None => Ok(()),
        }
    }

    fn look(&self, state: State) -> Observation {
        Observation { state: Arc::new(state), revision: *self.revision.borrow() }
    }

    /// The network as it really is.
    pub fn state(&self) -> State {
        self.network().now.clone()
    }

    /// What would survive a reboot.
    pub fn persisted(&self) -> Option<State> {
        self.network().persisted.clone()
    }

    /// Somebody else changes the network.
    pub fn edit(&self, edit: impl FnOnce(&mut State)) {
        let mut network = self.network();
        network.former = network.now.clone();
        edit(&mut network.now);
        drop(network);
        self.revision.send_modify(|revision| *revision += 1);
    }

    /// The machine was restarted: the network is this one now.
    pub fn reset(&self, state: State) {
        *self.network() = Network { former: state.clone(), now: state, persisted: None };
        self.checkpoints.iter().for_each(|checkpoints| checkpoints.forget());
        self.revision.send_modify(|revision| *revision += 1);
    }

    fn network(&self) -> MutexGuard<'_, Network> {
        // Plain data: a test that panicked has not left it half written.
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `effect` at a point, as the faults will.
    async fn act(&self, point: Point, effect: impl FnOnce(&Self)) -> Result<(), Failure> {
        if self.step_time.is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(self.step_time).await;
        }
        self.check()?;
        let fault = self.faults.at(point);
        if matches!(fault, None | Some(Fault::After | Fault::HangAfter)) {
            effect(self);
        }
        match fault {
            None | Some(Fault::Silent) => Ok(()),
            Some(fault @ (Fault::Before | Fault::After)) => Err(failure(point, fault)),
            Some(Fault::Hang | Fault::HangAfter) => std::future::pending().await,
        }
    }

    async fn run(&self, changes: &[Change], point: Point, progress: Progress<'_>) -> Result<(), Failure> {
        let _only = Only::enter(&self.is_changing);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        for (i, change) in changes.iter().enumerate() {
            let interface = match change {
                Change::Interface(change) => Some(change.name.clone()),
                _ => None,
            };
            progress(Step { n: count(i + 1), of: count(changes.len()), interface, text: "changing".into() });
            self.act(point, |fake| fake.edit(|state| apply(state, change))).await?;
        }
        Ok(())
    }
}

/// Makes sure that nobody else changes the network; also when it is dropped half way.
struct Only<'a>(&'a AtomicBool);

impl<'a> Only<'a> {
    fn enter(flag: &'a AtomicBool) -> Self {
        assert!(!flag.swap(true, Ordering::SeqCst), "one transaction touches the network at a time");
        Self(flag)
    }
}

impl Drop for Only<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

impl Backend for FakeBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            backend: "fake",
            interface_types: [
                InterfaceType::Bond,
                InterfaceType::LinuxBridge,
                InterfaceType::Dummy,
                InterfaceType::Ethernet,
                InterfaceType::Veth,
                InterfaceType::Vlan,
                InterfaceType::Vrf,
                InterfaceType::Vxlan,
            ]
            .into(),
            vlan_filtering: true,
            volatile_until_commit: self.is_volatile,
            profiles: false,
            persists: self.persists,
            own_net: self.checkpoints.as_ref().map(|_| net::NAME),
            ..Capabilities::default()
        }
    }

    fn judge(&self, _plan: &Plan) -> Judgement {
        Judgement::default()
    }

    fn unserved(&self, plan: &Plan) -> Vec<Problem> {
        let needs = |kind: &InterfaceType| self.unserved.as_ref() == Some(kind);
        let paths = plan.origins.iter().filter(|((_, kind), _)| needs(kind)).map(|(_, path)| path.clone());
        let missing = "its simulated service is not running";
        paths.map(|path| Problem::new(ErrorKind::PluginFailure, path, missing)).collect()
    }

    fn observe(&self) -> Result<Observation, Failure> {
        self.check()?;
        let fault = self.faults.at(Point::Observe);
        let network = self.network();
        let state = match fault {
            None => network.now.clone(),
            Some(Fault::Silent) => network.former.clone(),
            Some(fault) => return Err(failure(Point::Observe, fault)),
        };
        Ok(self.look(state))
    }

    fn observe_kernel(&self) -> Result<Observation, Failure> {
        Ok(self.look(self.state()))
    }

    fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.subscribe()
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn sync(&self) -> Doing<'_, ()> {
        Box::pin(self.act(Point::Sync, |_| {}))
    }

    fn snapshot(&self) -> Doing<'_, Snapshot> {
        Box::pin(async {
            self.act(Point::Snapshot, |_| {}).await?;
            let network = self.network();
            let mut private = to_private(network.persisted.as_ref());
            if let Some(checkpoints) = &self.checkpoints {
                private["net"] = json!(checkpoints.make());
            }
            Ok(Snapshot { state: network.now.clone(), private, touched: plan::Touched::default() })
        })
    }

    fn safety_net(&self, snapshot: &Snapshot) -> Option<Arc<dyn SafetyNet>> {
        let (checkpoints, number) = (self.checkpoints.as_ref()?, snapshot.private["net"].as_u64()?);
        checkpoints
            .has(number)
            .then(|| Arc::new(Net::new(checkpoints, number, &self.faults)) as Arc<dyn SafetyNet>)
    }

    fn execute<'a>(&'a self, plan: Arc<Plan>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move { self.run(&plan.changes, Point::Step, progress).await })
    }

    fn persist<'a>(&'a self, _snapshot: Option<Arc<Snapshot>>, committed: &'a State) -> Doing<'a, ()> {
        Box::pin(self.act(Point::Persist, |fake| fake.network().persisted = Some(committed.clone())))
    }

    fn restore<'a>(&'a self, snapshot: Arc<Snapshot>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move {
            let now = self.state();
            let plan = plan::restore(&snapshot.way_back(&now), &now);
            self.run(&plan.changes, Point::Undo, progress).await?;
            self.act(Point::Undo, |fake| fake.network().persisted = from_private(&snapshot.private)).await
        })
    }
}

fn failure(point: Point, fault: Fault) -> Failure {
    Failure {
        kind: ErrorKind::PluginFailure,
        subject: None,
        message: format!("simulated fault at {point:?}: {fault:?}"),
    }
}

/// What survives a reboot is part of what a rollback returns to.
fn to_private(persisted: Option<&State>) -> Json {
    let persisted = persisted.map(|state| {
        let mut state = state.clone();
        state.reveal_secrets();
        json!(state)
    });
    json!({ "persisted": persisted })
}

fn from_private(private: &Json) -> Option<State> {
    let persisted = private.get("persisted").filter(|persisted| !persisted.is_null())?;
    crate::state::Document::from_json(persisted).state().ok().map(|(state, _)| state)
}
