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
//! | `facts` | what a restore needs that the document cannot say |
//! | `probe` | what this kernel can make |
//! | `files` | sysctls, resolv.conf, host name |

mod encode;
mod ethtool;
mod execute;
mod facts;
mod files;
mod links;
mod lower;
mod op;
mod probe;
mod refuse;
mod routes;

use std::path::PathBuf;

use tokio::sync::watch;

use self::execute::{cannot, execute};
use self::facts::Facts;
use self::files::Files;
use self::lower::lower;
use self::probe::Kinds;
use super::{Backend, Capabilities, Doing, Failure, Observation, Progress, Snapshot};
use crate::kernel::mirror::{Mirror, Stopped};
use crate::kernel::netlink::{Connection, Protocol};
use crate::kernel::show::{Scope, show};
use crate::plan::{self, Plan};
use crate::state::{ErrorKind, Problem, State};

/// Rounds of a restore. Each starts from what is there then, so a second one repairs what the
/// first could not because something else changed meanwhile.
const RESTORE_ROUNDS: u32 = 3;

/// The backend that needs nothing but the kernel.
pub struct KernelBackend {
    mirror: Mirror,
    kinds: Kinds,
    files: Files,
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
        Ok(Self { mirror, kinds, files: Files::new(root) })
    }

    fn state(&self) -> State {
        let mut state = show(&self.mirror.image(), Scope::Everything);
        state.reveal_secrets();
        state
    }

    async fn settled(&self) -> Result<(), Failure> {
        self.mirror.sync().await.map_err(stopped)
    }

    /// Carries out a plan from what is there now.
    async fn carry_out(&self, plan: &Plan, progress: Progress<'_>) -> Result<(), Failure> {
        self.settled().await?;
        let ops = lower(plan, &self.state());
        let done = execute(&ops, &self.files, progress).await;
        self.settled().await?;
        done
    }

    async fn restore_once(
        &self,
        snapshot: &Snapshot,
        facts: &Facts,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        self.settled().await?;
        let plan = self.way_back(snapshot, facts);
        let reaches = snapshot.touched.reaches(&snapshot.state, &self.state());
        let done = self.carry_out(&plan, progress).await;
        // As much as possible, whatever failed before.
        let ops = facts.differences(&Facts::take(&self.mirror.image(), &self.files)?, reaches);
        let facts_done = execute(&ops, &self.files, progress).await;
        let files_done = facts.restore_files(&self.files);
        self.settled().await?;
        done.and(facts_done).and(files_done)
    }

    fn way_back(&self, snapshot: &Snapshot, facts: &Facts) -> Plan {
        let now = self.state();
        plan::restore(&facts.goal(&snapshot.way_back(&now), &now), &now)
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
        }
    }

    fn refuse(&self, plan: &Plan) -> Vec<Problem> {
        refuse::refuse(plan, &self.kinds, &self.files.resolver_owner())
    }

    fn observe(&self) -> Result<Observation, Failure> {
        let image = self.mirror.image();
        let mut state = show(&image, Scope::Everything);
        state.reveal_secrets();
        Ok(Observation { state, revision: image.revision })
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
            Ok(Snapshot { state: self.state(), private: facts.to_json(), touched: plan::Touched::default() })
        })
    }

    fn execute<'a>(&'a self, plan: &'a Plan, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(self.carry_out(plan, progress))
    }

    /// The kernel keeps nothing over a reboot: at boot the daemon applies what was committed.
    /// Resolver and host name are files, written as they are applied.
    fn persist<'a>(&'a self, _committed: &'a State) -> Doing<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn restore<'a>(&'a self, snapshot: &'a Snapshot, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move {
            let facts = Facts::from_json(&snapshot.private)?;
            let mut done = Ok(());
            for _ in 0..RESTORE_ROUNDS {
                done = self.restore_once(snapshot, &facts, progress).await;
                if done.is_ok() && self.way_back(snapshot, &facts).is_empty() {
                    return Ok(());
                }
            }
            done
        })
    }
}
