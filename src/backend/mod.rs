//! Southbound: how a plan reaches the network. The engine knows backends only through
//! [`Backend`].

pub mod fake;
pub mod kernel;
pub mod netplan;
pub mod nm;
mod observer;
mod openvswitch;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::Value as Json;
use tokio::sync::watch;

pub use crate::plan::Capabilities;
use crate::plan::{Plan, Touched};
use crate::state::{ErrorKind, Path, Problem, State};
pub use crate::system::SafetyNet;

/// A boxed future, so that a backend can be chosen at run time.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What went wrong in a backend: kind, what was attempted on what, and what the system said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: ErrorKind,
    /// The name of the interface concerned, when one is.
    pub subject: Option<String>,
    pub message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{subject}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Failure {}

/// The network as it is, at one revision.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Complete, secrets included; shared by all who observe the same revision.
    pub state: Arc<State>,
    /// Increases with every change seen.
    pub revision: u64,
}

/// Whether the service that a backend works through is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// How often it was lost since the backend was opened. One that was started again has been lost,
    /// however short the time was.
    pub losses: u64,
    /// Why the backend cannot work now, as `NetworkManager is not running`; None: it can.
    pub missing: Option<String>,
}

impl Availability {
    /// That of a backend which needs no service.
    pub fn always() -> watch::Receiver<Self> {
        watch::channel(Self::default()).1
    }
}

/// Everything needed to return to the state before, also by a later process. Stored in the
/// checkpoint record (root only).
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The state before, secrets included.
    pub state: State,
    /// What only the backend understands.
    pub private: Json,
    /// What the transaction changes: a rollback leaves everything else as it is.
    pub touched: Touched,
}

impl Snapshot {
    /// What is there now, where nothing is left alone that the transaction may have made.
    pub fn own<'a>(&self, current: &'a State) -> Cow<'a, State> {
        self.touched.own(&self.state, current)
    }

    /// The state to go back to from `current`.
    pub fn way_back(&self, current: &State) -> State {
        self.touched.way_back(&self.state, current)
    }
}

/// What a backend says of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Everything that it cannot express: `NotSupportedError` with the path in the client's document (see
    /// [`Plan::origins`]).
    pub refused: Vec<Problem>,
    /// What whoever reads the plan should know of how it is carried out.
    pub remarks: Vec<String>,
}

impl From<Vec<Problem>> for Judgement {
    fn from(refused: Vec<Problem>) -> Self {
        Self { refused, remarks: Vec::new() }
    }
}

/// How far an execution is: step `n` of `of`, on which interface, doing what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub n: u32,
    pub of: u32,
    pub interface: Option<String>,
    pub text: String,
}

/// Where an execution reports its steps; never blocks.
pub type Progress<'a> = &'a (dyn Fn(Step) + Send + Sync);

/// A southbound adapter. Every operation is bounded in time; `execute` and `restore` may be cut
/// off at any point and run again.
pub trait Backend: Send + Sync {
    fn capabilities(&self) -> Capabilities;

    /// A document that has `network`, a configuration in the backend's own words, with what that means in the
    /// schema beside it; and the place in the document of each interface that this adds, at the end. None:
    /// it has none. Pure.
    fn translate(&self, desired: &State) -> Result<Option<(State, Vec<Path>)>, Vec<Problem>> {
        match &desired.network {
            None => Ok(None),
            Some(_) => {
                let message = format!(
                    "netplan does not carry out changes here, but the backend `{}`, which does not understand its words",
                    self.capabilities().backend
                );
                let path = Path::root().key("network");
                Err(vec![Problem::new(ErrorKind::NotSupportedError, path, message)])
            }
        }
    }

    /// Whether and how this backend can carry a plan out. Pure.
    fn judge(&self, plan: &Plan) -> Judgement;

    /// Everything in the plan that waits for a service which does not run now: `PluginFailure`, with the
    /// path. Refused as well; but if nobody will look afterwards ([`Plan::unverified`]) only a warning, and
    /// `execute` does what can be done without. Pure.
    fn unserved(&self, _plan: &Plan) -> Vec<Problem> {
        Vec::new()
    }

    /// The present network, from memory: asks the system nothing. May walk all of it, so it is not
    /// for a thread that others wait for.
    fn observe(&self) -> Result<Observation, Failure>;

    /// The network without what the backend's service says about it, also while that is missing.
    fn observe_kernel(&self) -> Result<Observation, Failure> {
        self.observe()
    }

    /// Whether the service that the backend works through is there.
    fn availability(&self) -> watch::Receiver<Availability> {
        Availability::always()
    }

    /// The revision of what [`Backend::observe`] returns; changes with every change seen.
    fn revision(&self) -> watch::Receiver<u64>;

    /// Waits until `observe` shows everything that the system did before now.
    fn sync(&self) -> Doing<'_, ()>;

    /// The way back from here. If the backend has a net of its own, this makes it, with a short life: the
    /// engine sets it once the snapshot is durable. When this future fails or is dropped, none is left.
    fn snapshot(&self) -> Doing<'_, Snapshot>;

    /// The net that was made with this snapshot, perhaps by an earlier process: what returns to it if this
    /// process never comes back. The engine moves it while the transaction goes on, and lets it go (`None`)
    /// at its end, whatever that is. One that is gone already is let go. None: there is no such thing, or
    /// it is lost (with the service that kept it).
    fn safety_net(&self, _snapshot: &Snapshot) -> Option<Arc<dyn SafetyNet>> {
        None
    }

    /// Carries out the changes in order. A failure leaves the network half changed: the engine
    /// restores the snapshot.
    fn execute<'a>(&'a self, plan: Arc<Plan>, progress: Progress<'a>) -> Doing<'a, ()>;

    /// Makes the new state survive a reboot. `committed` is all that was ever committed, merged;
    /// `snapshot` is that of the transaction that is committed, None when a former commit is kept again.
    fn persist<'a>(&'a self, snapshot: Option<Arc<Snapshot>>, committed: &'a State) -> Doing<'a, ()>;

    /// Returns to the snapshot from whatever is there now, also in what [`Backend::persist`] kept
    /// since. Safe to repeat.
    fn restore<'a>(&'a self, snapshot: Arc<Snapshot>, progress: Progress<'a>) -> Doing<'a, ()>;
}
