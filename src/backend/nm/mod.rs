//! The NetworkManager backend: profiles, activations and checkpoints of NetworkManager, the
//! database of Open vSwitch where a document speaks of it, and the kernel for what neither knows.
//!
//! | file | story |
//! | --- | --- |
//! | `work` | what execution does, as data |
//! | `choose` | which stored profile belongs to an interface; pure |
//! | `execute` | sends requests in order, collects answers in any |
//! | `settle` | when what was asked for is done, by what NetworkManager says |
//! | `macs` | that new links have the address asked for, whatever udev does |
//! | `reasons` | why devices and activations fail, in words |
//! | `snapshot` | what leads back, as data |
//! | `touch` | which profiles are those of a transaction; pure |
//! | `restore` | the way back, as work; pure |
//! | `remainder` | what of it is left to the kernel; pure |
//! | `commit` | from memory to disk |
//! | `checkpoint` | NetworkManager's own, the second net |
//! | `database` | what only Open vSwitch's database keeps, there and back |
//! | `observer` | the network as a state, from all images |
//! | `configuration` | what its configuration files decide |
//! | `scripts` | files of NetworkManager's dispatcher |
//! | `reapply` | what it takes to bring a device from one profile to another; pure |
//! | `refuse` | what this NetworkManager cannot do; pure |
//! | `lower` | from a plan to work, in NetworkManager's order; pure |

mod checkpoint;
mod choose;
mod commit;
mod configuration;
mod database;
mod durable;
mod execute;
mod lower;
pub(super) mod macs;
mod observer;
mod reapply;
mod reasons;
mod refuse;
mod remainder;
mod restore;
mod scripts;
mod settle;
mod snapshot;
mod touch;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use self::checkpoint::{Fresh, Net};
use self::choose::Profiles;
use self::execute::{Manner, Stop, execute, refused};
use self::observer::{Images, Seen, available, follow};
use self::scripts::Scripts;
use self::settle::absent;
use self::snapshot::Private;
use self::touch::Touch;
use self::work::Work;
use super::kernel::op::Op;
use super::kernel::{self, Facts, KernelBackend};
use super::observer::Observer;
use super::openvswitch;
use super::{
    Availability, Backend, Capabilities, Doing, Failure, Judgement, Observation, Progress, SafetyNet,
    Snapshot,
};
use crate::kernel::netlink::nftables;
use crate::nm::image::{Image, ObjectPath, Stored};
use crate::nm::{self, Client};
use crate::ovsdb::Database;
use crate::plan::{self, Plan};
use crate::state::{Interface, InterfaceType, Problem, State};

/// Rounds of a restore. Each starts from what is there then.
const RESTORE_ROUNDS: u32 = 4;
/// How often a change is computed again because somebody changed what it rests on.
const EXECUTE_ROUNDS: u32 = 3;
/// How long a restore waits for NetworkManager to come (back).
const COMES_MAX: Duration = Duration::from_secs(20);
/// The backend of hosts that NetworkManager configures.
pub struct NmBackend {
    kernel: KernelBackend,
    client: Client,
    database: Database,
    images: Images,
    observer: Arc<Observer<Images>>,
    scripts: Scripts,
    root: PathBuf,
    revision: watch::Receiver<u64>,
    availability: watch::Receiver<Availability>,
}

/// What leads back to a snapshot from what is there now.
struct WayBack {
    work: Work,
    /// Operations for what NetworkManager does not hold.
    ops: Vec<Op>,
    /// Names of interfaces that the transaction reaches. Once its new profiles are gone, nothing else
    /// tells whose they were.
    reach: BTreeSet<String>,
}

impl WayBack {
    fn is_there(&self) -> bool {
        self.work.steps.is_empty() && self.ops.is_empty() && self.work.database.is_empty()
    }
}

impl NmBackend {
    /// `kernel` for what NetworkManager does not know, and `database` for what only Open vSwitch does;
    /// `root` is where etc/ is. Needs a running tokio runtime.
    pub fn new(kernel: KernelBackend, client: Client, database: Database, root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        let scripts = Scripts::below(&root);
        let images = Images {
            mirror: kernel.mirror().clone(),
            told: client.revisions(),
            client: client.clone(),
            scripts: Arc::new(Seen::default()),
            written: database.revisions(),
            database: database.clone(),
        };
        let (revised, revision) = watch::channel(0);
        let (tell, availability) = watch::channel(available(&client));
        tokio::spawn(follow(images.clone(), revised, tell));
        let observer = Observer::new(images.clone());
        Self { kernel, client, database, images, observer, scripts, root, revision, availability }
    }

    fn image(&self) -> Result<Arc<Image>, Failure> {
        self.client.image().ok_or_else(absent)
    }

    /// Interfaces that only profiles know, and those that no profile knows.
    fn kept(&self) -> (BTreeMap<String, Interface>, BTreeSet<String>) {
        match (self.client.image(), self.observe()) {
            (Some(image), Ok(seen)) => {
                let profiles = Profiles::new(&image, &seen.state);
                (profiles.dormant(&seen.state), profiles.unkept(&seen.state, &image))
            }
            // Nothing can be planned without either.
            _ => Default::default(),
        }
    }

    /// What was said so far is in the images. That is all that a state shows.
    async fn seen(&self) -> Result<(), Failure> {
        self.seen_with(self.client.sync()).await
    }

    /// Also what devices run with, where that may differ from what is stored: a change rests on it.
    async fn settled(&self) -> Result<(), Failure> {
        self.settled_but(&[]).await
    }

    /// Also what devices run with: NetworkManager does not tell who else has reapplied something else.
    async fn settled_afresh(&self) -> Result<(), Failure> {
        let image = self.image()?;
        let active = image.devices.iter().filter(|(_, device)| device.active.is_some());
        let active: Vec<ObjectPath> = active.map(|(path, _)| path.clone()).collect();
        self.settled_but(&active).await
    }

    /// `doubtful`: devices that may run with something else than is known.
    async fn settled_but(&self, doubtful: &[ObjectPath]) -> Result<(), Failure> {
        self.seen_with(self.client.sync_applied(doubtful)).await
    }

    async fn seen_with(&self, told: impl Future<Output = Result<(), nm::Error>>) -> Result<(), Failure> {
        let (kernel, told, written) = tokio::join!(self.kernel.settled(), told, self.database.sync());
        kernel?;
        written.map_err(|error| openvswitch::failure(error.to_string()))?;
        told.map_err(|error| refused("look at NetworkManager", &error))?;
        self.images.scripts.take(self.scripts.read()?);
        Ok(())
    }

    /// Computes something from the network as it is once it is settled, where it keeps nobody waiting.
    async fn once_settled<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&State, &Image) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.settled().await?;
        self.in_images(compute).await
    }

    /// Computes something from the network as it was last seen.
    async fn in_images<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&State, &Image) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let client = self.client.clone();
        self.observer.compute(move |seen| compute(&seen.state, &*client.image().ok_or_else(absent)?)).await
    }

    async fn carry_out(&self, plan: Arc<Plan>, progress: Progress<'_>) -> Result<(), Failure> {
        let mut round = 1;
        loop {
            let (plan, database) = (plan.clone(), self.database.clone());
            let lower = move |now: &State, image: &Image| {
                let mut work = lower::lower(&plan, now, image, &mut new_uuid);
                if plan.unverified {
                    database::prepare(&mut work, image, &database);
                }
                Ok(work)
            };
            let work = self.once_settled(lower).await?;
            self.scripts.write(&work.scripts)?;
            database::carry_out(database::first(&work.database), &self.database, |bridge| self.owner(bridge))
                .await?;
            let done = execute(&work, Manner::AllOrNothing, &self.client, &self.kernel, progress).await;
            match done {
                Ok(()) => {
                    database::arrived(&work.awaits, &*self.image()?, &self.database).await?;
                    database::carry_out(database::last(&work.database), &self.database, |bridge| {
                        self.owner(bridge)
                    })
                    .await?;
                    return Ok(());
                }
                Err(Stop::Stale(_)) if round < EXECUTE_ROUNDS => round += 1,
                Err(stop) => {
                    let image = self.client.image();
                    return Err(database::explain(stop.failure(), image.as_deref(), &self.database));
                }
            }
        }
    }

    /// The profile of a bridge of Open vSwitch.
    fn owner(&self, bridge: &str) -> Option<String> {
        database::owner(&*self.client.image()?, bridge)
    }

    /// Waits until NetworkManager is on the bus.
    async fn comes(&self) -> Result<(), Failure> {
        let mut told = self.client.revisions();
        let comes = async { while self.client.image().is_none() && told.changed().await.is_ok() {} };
        // Whether it has come is looked at either way.
        let _ = timeout(COMES_MAX, comes).await;
        self.image().map(drop)
    }

    /// The way back from here. One look at the network serves the whole round. `reached`: what former
    /// rounds have found to be reached; `renewed`: what they have told to
    /// set everything again: it may take a moment.
    async fn way_back(
        &self,
        snapshot: &Arc<Snapshot>,
        was: &Arc<Private>,
        reached: &BTreeSet<String>,
        renewed: &BTreeSet<String>,
    ) -> Result<WayBack, Failure> {
        let (mut reach, renewed) = (reached.clone(), renewed.clone());
        let (snapshot, was) = (snapshot.clone(), was.clone());
        let mirror = self.kernel.mirror().clone();
        self.once_settled(move |now, image| {
            let now = &*snapshot.own(now);
            let touch = Touch::new(&snapshot.touched, &snapshot.state, &was, image, now);
            let held = remainder::held(&was, image);
            let facts = Facts::of_links(&mirror.image());
            let back = snapshot.way_back(now);
            let mut amiss = remainder::amiss(&back, now, &was);
            amiss.retain(|name| !renewed.contains(name));
            let mut work = restore::way_back(&was, image, &touch, &snapshot.touched, &amiss);
            work.database = openvswitch::way_back(&back, now);
            let back = remainder::goal(back, now, &was, &held);
            let goal = was.kernel.goal(back, &facts, now);
            let mut ops = kernel::lower(&plan::restore(&goal, now), now);
            ops.retain(|op| !remainder::is_said_again(op, now, &held));
            reach.extend(touch.reach);
            ops.extend(was.kernel.differences(&facts, |link| reach.contains(link) && !held.contains(link)));
            Ok(WayBack { work, ops, reach })
        })
        .await
    }

    async fn go_back(
        &self,
        snapshot: &Arc<Snapshot>,
        was: &Arc<Private>,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let mut done = Ok(());
        let (mut reached, mut renewed) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..RESTORE_ROUNDS {
            self.comes().await?;
            // Without it, the way back of what it keeps is not known. Whether it has come is seen then.
            if openvswitch::is_needed(snapshot) {
                openvswitch::comes(&self.database, COMES_MAX).await;
            }
            self.settled_afresh().await?;
            let way = self.way_back(snapshot, was, &reached, &renewed).await?;
            if done.is_ok() && way.is_there() {
                return Ok(());
            }
            reached.clone_from(&way.reach);
            let manner = Manner::AsMuchAsPossible;
            let executed = execute(&way.work, manner, &self.client, &self.kernel, progress).await;
            done = executed.map_err(Stop::failure);
            // Whatever failed before. What NetworkManager does not hold, it may have
            // let go of just now.
            renewed.extend(way.work.renewed().map(|which| which.name.clone()));
            let left = if way.work.steps.is_empty() {
                way
            } else {
                self.way_back(snapshot, was, &reached, &renewed).await?
            };
            done = done.and(self.kernel.run(&left.ops, progress).await);
            let todo = left.work.database.iter();
            done = done.and(database::carry_out(todo, &self.database, |bridge| self.owner(bridge)).await);
        }
        done
    }
}

impl Backend for NmBackend {
    fn capabilities(&self) -> Capabilities {
        let mut interface_types = self.kernel.kinds().types();
        interface_types.extend([InterfaceType::Ipsec]);
        if self.client.image().is_some_and(|image| image.version.has_ovs) {
            interface_types.extend([InterfaceType::OvsBridge, InterfaceType::OvsInterface]);
        }
        let (dormant, unkept) = self.kept();
        Capabilities {
            backend: "networkmanager",
            interface_types,
            vlan_filtering: self.kernel.kinds().vlan_filtering,
            // Profiles are kept in memory; global name servers and the host name cannot be.
            volatile_until_commit: false,
            profiles: true,
            names: true,
            persists: true,
            ovs_local: false,
            own_net: Some(checkpoint::NAME),
            dormant,
            unkept,
        }
    }

    fn judge(&self, plan: &Plan) -> Judgement {
        match (self.client.image(), self.observe()) {
            (Some(image), Ok(seen)) => {
                let mut refused =
                    refuse::refuse(plan, &seen.state, &image, &self.capabilities().interface_types);
                refused.extend(openvswitch::refuse(plan, &self.database));
                if !image.global_dns.is_empty()
                    && let Some(file) = configuration::sets_global_dns(&self.root)
                {
                    refused.extend(refuse::resolver_set_by(plan, &file));
                }
                refused.extend(without_netdev_tables(plan));
                refused.into()
            }
            // Whoever carries the plan out says so.
            _ => Judgement::default(),
        }
    }

    fn unserved(&self, plan: &Plan) -> Vec<Problem> {
        openvswitch::unserved(plan, &self.database)
    }

    fn observe(&self) -> Result<Observation, Failure> {
        self.observer.observe()
    }

    fn observe_kernel(&self) -> Result<Observation, Failure> {
        self.kernel.observe()
    }

    fn availability(&self) -> watch::Receiver<Availability> {
        self.availability.clone()
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    fn sync(&self) -> Doing<'_, ()> {
        Box::pin(self.seen())
    }

    fn snapshot(&self) -> Doing<'_, Snapshot> {
        Box::pin(async {
            // First, so that it covers whatever changes while we look.
            let checkpoint = Fresh::create(&self.client).await?;
            self.settled_afresh().await?;
            let facts = self.kernel.facts()?;
            let client = self.client.clone();
            let look = self.observer.compute(move |seen| {
                let state = State::clone(&seen.state);
                let private = Private::take(&*client.image().ok_or_else(absent)?, &state, facts);
                Ok((state, private))
            });
            let (state, mut private) = look.await?;
            private.scripts = self.images.scripts.files();
            private.checkpoint = checkpoint.keep();
            Ok(Snapshot { state, private: private.to_json(), touched: plan::Touched::default() })
        })
    }

    fn safety_net(&self, snapshot: &Snapshot) -> Option<Arc<dyn SafetyNet>> {
        let known = Private::from_json(&snapshot.private).ok()?.checkpoint?;
        Net::under(&self.client, known)
    }

    fn execute<'a>(&'a self, plan: Arc<Plan>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(self.carry_out(plan, progress))
    }

    fn persist<'a>(&'a self, snapshot: Option<Arc<Snapshot>>, _committed: &'a State) -> Doing<'a, ()> {
        Box::pin(async move {
            // What was committed formerly is on disk.
            let Some(snapshot) = snapshot else { return Ok(()) };
            let was = Private::from_json(&snapshot.private)?;
            // What is stored counts here, not what devices run with.
            self.seen().await?;
            let keep = self.in_images(move |now, image| {
                let touch = Touch::new(&snapshot.touched, &snapshot.state, &was, image, now);
                Ok(commit::keep(&was, image, &touch))
            });
            let keep = keep.await?;
            let (saved, mut files) = (keep.save.clone(), keep.files());
            commit::commit(keep, &self.client).await?;
            // NetworkManager has said where each is now before it answered.
            let stored = |image: &Image| -> Vec<Arc<Stored>> {
                saved.iter().filter_map(|path| image.profiles.get(path).cloned()).collect()
            };
            let mut now = stored(&*self.image()?);
            if !now.iter().all(|stored| stored.is_on_disk()) {
                self.seen().await?;
                now = stored(&*self.image()?);
            }
            files.extend(now.iter().map(|stored| PathBuf::from(&stored.filename)));
            durable::sync(files).await
        })
    }

    fn restore<'a>(&'a self, snapshot: Arc<Snapshot>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move {
            let was = Arc::new(Private::from_json(&snapshot.private)?);
            let done = self.go_back(&snapshot, &was, progress).await;
            let reach = snapshot.touched.reach(&snapshot.state, &snapshot.state);
            done.and(self.scripts.restore(&was.scripts, |link| reach.contains(link)))?;
            self.settled().await
        })
    }
}

/// Bonds that NetworkManager cannot make with this kernel.
pub(super) fn without_netdev_tables(plan: &Plan) -> Vec<Problem> {
    let filtering = refuse::without_netdev_tables(plan);
    if filtering.is_empty() || has_netdev_tables() { Vec::new() } else { filtering }
}

/// Where the kernel does not say, NetworkManager finds out.
fn has_netdev_tables() -> bool {
    nftables::has_netdev_tables().unwrap_or_else(|error| {
        debug!(%error, "it is not known whether this kernel has nftables for devices");
        true
    })
}

fn new_uuid() -> String {
    uuid::Uuid::new_v4().to_string()
}
