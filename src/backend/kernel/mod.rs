//! The kernel backend: rtnetlink, sysctls and two files, no other service.
//!
//! | file | story |
//! | --- | --- |
//! | `op` | what execution does, as data |
//! | `lower` | from a plan to operations, in the kernel's order; pure |
//! | `links`, `routes` | what the document says, in the kernel's terms |
//! | `refuse` | what a kernel alone cannot do; pure |
//! | `encode`, `ethtool` | operations as netlink requests |
//! | `execute` | sends them, few round trips |
//! | `observer` | the kernel's network as a state |
//! | `facts` | what a restore needs that the document cannot say |
//! | `probe` | what this kernel can make |
//! | `files` | sysctls, resolv.conf, host name |

mod encode;
mod ethtool;
mod execute;
mod facts;
mod files;
pub(in crate::backend) mod links;
pub(in crate::backend) mod lower;
mod observer;
pub(in crate::backend) mod op;
mod probe;
pub(in crate::backend) mod refuse;
pub(in crate::backend) mod routes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use self::execute::{cannot, execute};
pub(super) use self::facts::Facts;
use self::files::Files;
pub(super) use self::lower::lower;
pub(super) use self::observer::Everything;
use self::op::Op;
use self::probe::Kinds;
use super::observer::Observer;
use super::{Backend, Capabilities, Doing, Failure, Judgement, Observation, Progress, Snapshot};
use crate::kernel::mirror::{Mirror, Stopped};
use crate::kernel::netlink::{Connection, Protocol};
use crate::plan::{self, Plan};
use crate::state::{ErrorKind, State};

/// Rounds of a restore. Each starts from what is there then, so a second one repairs what the
/// first could not because something else changed meanwhile.
const RESTORE_ROUNDS: u32 = 3;

/// The backend that needs nothing but the kernel.
pub struct KernelBackend {
    mirror: Mirror,
    observer: Arc<Observer<Mirror>>,
    kinds: Kinds,
    files: Files,
}

/// What leads back to a snapshot from what is there now.
struct WayBack {
    ops: Vec<Op>,
    /// Whether the network is as it was.
    is_there: bool,
    /// The links that may be changed on the way.
    may_change: BTreeSet<String>,
}

impl KernelBackend {
    /// Finds out what the kernel of the calling thread's network namespace can do. `root` is
    /// where etc/ is.
    pub async fn open(mirror: Mirror, root: impl Into<PathBuf>) -> Result<Self, Failure> {
        let mut connection =
            Connection::open(Protocol::Route).map_err(|error| cannot("open a netlink socket", &error))?;
        let kinds = Kinds::probe(&mut connection)
            .await
            .map_err(|error| cannot("find out what the kernel can do", &error))?;
        Ok(Self { observer: Observer::new(mirror.clone()), mirror, kinds, files: Files::new(root) })
    }

    pub(super) async fn settled(&self) -> Result<(), Failure> {
        self.mirror.sync().await.map_err(stopped)
    }

    pub(super) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(super) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// What a restore needs that the document cannot say, as it is now.
    pub(super) fn facts(&self) -> Result<Facts, Failure> {
        Facts::take(&self.mirror.image(), &self.files)
    }

    /// Carries out operations from what is there now, and waits until that is seen.
    pub(super) async fn run(&self, ops: &[Op], progress: Progress<'_>) -> Result<(), Failure> {
        if ops.is_empty() {
            return Ok(());
        }
        self.settled().await?;
        let done = execute(ops, self.indices(), &self.files, progress).await;
        self.settled().await?;
        done
    }

    /// The links as last seen.
    fn indices(&self) -> BTreeMap<String, u32> {
        let image = self.mirror.image();
        image.links.values().map(|link| (link.name.to_string(), link.index)).collect()
    }

    /// Computes something from the network as it is once it is settled, where it keeps nobody
    /// waiting.
    async fn once_settled<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.settled().await?;
        self.observer.compute(move |seen| Ok(compute(&seen.state))).await
    }

    /// Carries out a plan from what is there now.
    async fn carry_out(&self, plan: Arc<Plan>, progress: Progress<'_>) -> Result<(), Failure> {
        let ops = self.once_settled(move |now| lower(&plan, now)).await?;
        let done = execute(&ops, self.indices(), &self.files, progress).await;
        self.settled().await?;
        done
    }

    /// The way back from here. One look at the network serves the whole round.
    async fn way_back(&self, snapshot: &Arc<Snapshot>, facts: &Arc<Facts>) -> Result<WayBack, Failure> {
        let (snapshot, facts) = (snapshot.clone(), facts.clone());
        let mirror = self.mirror.clone();
        self.once_settled(move |now| {
            let goal = facts.goal(snapshot.way_back(now), &Facts::of_links(&mirror.image()), now);
            let plan = plan::restore(&goal, now);
            WayBack {
                ops: lower(&plan, now),
                is_there: plan.is_empty(),
                may_change: snapshot.touched.reach(&snapshot.state, now),
            }
        })
        .await
    }

    async fn go_back(&self, way: &WayBack, facts: &Facts, progress: Progress<'_>) -> Result<(), Failure> {
        let done = execute(&way.ops, self.indices(), &self.files, progress).await;
        // As much as possible, whatever failed before.
        self.settled().await?;
        let now = Facts::take(&self.mirror.image(), &self.files)?;
        let ops = facts.differences(&now, |link| way.may_change.contains(link));
        let facts_done = execute(&ops, self.indices(), &self.files, progress).await;
        let files_done = facts.restore_files(&self.files);
        done.and(facts_done).and(files_done)
    }
}

fn stopped(error: Stopped) -> Failure {
    Failure { kind: ErrorKind::PluginFailure, subject: None, message: error.to_string() }
}

impl Backend for KernelBackend {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            backend: "kernel",
            interface_types: self.kinds.types(),
            vlan_filtering: self.kinds.vlan_filtering,
            // All of it is: the kernel forgets everything at a reboot.
            volatile_until_commit: true,
            profiles: false,
            persists: false,
            ..Capabilities::default()
        }
    }

    fn judge(&self, plan: &Plan) -> Judgement {
        refuse::refuse(plan, &self.kinds, &self.files.resolver_owner()).into()
    }

    fn observe(&self) -> Result<Observation, Failure> {
        self.observer.observe()
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.mirror.revisions()
    }

    fn sync(&self) -> Doing<'_, ()> {
        Box::pin(self.settled())
    }

    fn snapshot(&self) -> Doing<'_, Snapshot> {
        Box::pin(async {
            self.settled().await?;
            let facts = Facts::take(&self.mirror.image(), &self.files)?;
            let seen = self.observer.look().await?;
            let state = State::clone(&seen.state);
            Ok(Snapshot { state, private: facts.to_json(), touched: plan::Touched::default() })
        })
    }

    fn execute<'a>(&'a self, plan: Arc<Plan>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(self.carry_out(plan, progress))
    }

    /// The kernel keeps nothing over a reboot: at boot the daemon applies what was committed.
    /// Resolver and host name are files, written as they are applied.
    fn persist<'a>(&'a self, _snapshot: Option<Arc<Snapshot>>, _committed: &'a State) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn restore<'a>(&'a self, snapshot: Arc<Snapshot>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move {
            let facts = Arc::new(Facts::from_json(&snapshot.private)?);
            let mut way = self.way_back(&snapshot, &facts).await?;
            let mut done = Ok(());
            for _ in 0..RESTORE_ROUNDS {
                done = self.go_back(&way, &facts, progress).await;
                way = self.way_back(&snapshot, &facts).await?;
                if done.is_ok() && way.is_there {
                    break;
                }
            }
            done
        })
    }
}
