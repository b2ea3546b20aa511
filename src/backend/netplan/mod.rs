//! The netplan backend: a file of ours beside those of others, `netplan apply`, and the kernel for what
//! netplan's renderers leave behind.
//!
//! What awaits commit is in /run/netplan, where a reboot forgets it; it hides what is committed, in
//! /etc/netplan. Files of others are never written.
//!
//! | file | story |
//! | --- | --- |
//! | `folders` | netplan's folders, and our own file |
//! | `programs` | netplan's programs, as transient services |
//! | `foreign` | somebody's `netplan try` |
//! | `lower` | from a plan to what netplan is to say; pure |
//! | `refuse` | what it cannot say; pure |
//! | `remainder` | what is left to the kernel; pure |
//! | `snapshot` | what leads back, as data |
//! | `observer` | the network as a state |
//! | `overlay` | what the files say of it; pure |

mod folders;
mod foreign;
mod lower;
mod observer;
mod overlay;
mod programs;
mod refuse;
mod remainder;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use self::folders::{Folders, Own};
use self::foreign::Try;
use self::observer::{Configs, Images, Last, Seen, devices, follow};
use self::programs::Programs;
use self::remainder::Rest;
use self::snapshot::Private;
use super::kernel::op::Op;
use super::kernel::{self, Facts, KernelBackend};
use super::observer::Observer;
use super::{Backend, Capabilities, Doing, Failure, Observation, Progress, Snapshot, Step};
use crate::netplan::{Composed, Config, Devices, File, Folder, Kind, OWN, Renderer, Target, compose};
use crate::plan::{self, Change, Plan};
use crate::state::{ErrorKind, Interface, InterfaceState, InterfaceType, Path as Place, Problem, State};

/// How long what netplan has handed over may take to come nearer to what was asked for: networkd is done in
/// a tenth of a second, NetworkManager starts anew.
const NETWORKD_MAX: Duration = Duration::from_secs(3);
const NETWORK_MANAGER_MAX: Duration = Duration::from_secs(25);
/// Rounds of a restore. Each starts from what is there then.
const RESTORE_ROUNDS: u32 = 3;
/// How often a rollback has netplan apply.
const APPLY_ROUNDS: u32 = 2;
/// How long a rollback waits for somebody's `netplan try` to end, and how often it looks.
const TRY_MAX: Duration = Duration::from_secs(60);
const TRY_LOOK: Duration = Duration::from_millis(500);
/// Exists while netplan may have been told something that no commit or rollback has ended.
const TOLD: &str = "told";

/// The backend of hosts that netplan configures.
pub struct NetplanBackend {
    kernel: KernelBackend,
    programs: Programs,
    folders: Folders,
    /// Where run/ and proc/ are.
    root: PathBuf,
    /// A folder of ours that a reboot empties.
    scratch: PathBuf,
    /// Where the files do not say.
    renderer: Renderer,
    images: Images,
    observer: Arc<Observer<Images>>,
    revision: watch::Receiver<u64>,
}

/// What is to be done, as netplan hears it.
struct Told {
    last: Arc<Last>,
    own: Own,
    composed: Composed,
}

/// What the kernel's operations complete.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Change,
    /// As much of it as possible, by whatever means.
    WayBack,
}

/// What leads back to a snapshot from what is there now.
struct WayBack {
    rest: Rest,
    /// Links that are made anew.
    rebuilt: BTreeSet<String>,
}

impl NetplanBackend {
    /// `kernel` for what the renderers leave; `scratch`: a folder for ourselves below /run. `renderer`: that
    /// of files which name none. Needs a running tokio runtime.
    pub fn open(
        kernel: KernelBackend,
        root: impl Into<PathBuf>,
        scratch: impl Into<PathBuf>,
        renderer: Renderer,
    ) -> Result<Self, Failure> {
        let (root, scratch) = (root.into(), scratch.into());
        let Some(programs) = Programs::find(&scratch) else {
            return Err(Failure {
                kind: ErrorKind::DependencyError,
                subject: None,
                message: "netplan is not installed".into(),
            });
        };
        let folders = Folders::below(&root);
        let images = Images { mirror: kernel.mirror().clone(), files: Arc::new(Seen::new(folders.read()?)) };
        let (revised, revision) = watch::channel(0);
        tokio::spawn(follow(images.clone(), revised));
        let observer = Observer::new(images.clone());
        Ok(Self { kernel, programs, folders, root, scratch, renderer, images, observer, revision })
    }

    /// Whether these files define anything, in words: then netplan is what has the network.
    pub fn defines(root: &Path) -> Result<Option<String>, Failure> {
        if Programs::find(Path::new("")).is_none() {
            return Ok(None);
        }
        let files = Folders::below(root).read()?;
        // Whoever has files that are broken still means netplan to read them.
        let mut defining = files.read().into_iter().filter(|(file, _)| {
            Config::read(&files.only(&file.name)).map_or(true, |config| !config.is_empty())
        });
        Ok(defining.next().map(|(file, _)| format!("{file} defines interfaces")))
    }

    async fn settled(&self) -> Result<(), Failure> {
        self.kernel.settled().await?;
        self.images.files.take(self.folders.read()?);
        Ok(())
    }

    /// Computes something from the network as it is once it is settled, where it keeps nobody waiting.
    async fn once_settled<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.settled().await?;
        self.observer.compute(move |seen| Ok(compute(&seen.state))).await
    }

    fn devices(&self) -> Devices {
        devices(&self.kernel.mirror().image())
    }

    /// The renderer of whatever does not name one.
    fn renderer(&self, config: &Config) -> Renderer {
        config.renderer.unwrap_or(self.renderer)
    }

    /// What our file is to be for that plan; or everything that it cannot say.
    fn tell(&self, plan: &Plan, now: &State) -> Result<Told, Vec<Problem>> {
        let last = self.images.files.last();
        let Configs { all, own, foreign } =
            last.read.as_ref().map_err(|error| vec![refuse::broken(error)])?;
        let devices = self.devices();
        let wanted = lower::lower(plan, now, all, &devices);
        let target = Target { renderer: self.renderer(foreign), version: self.programs.version };
        let composed = compose(own, foreign, &wanted, &target, &devices);
        let mut composed = composed.map_err(|refusals| refuse::problems(plan, refusals))?;
        // What could not be made again is never deleted: verification says what is not as it shall be.
        composed
            .delete_first
            .retain(|name| now.interfaces().iter().filter(|now| now.name == *name).all(can_be_made_again));
        Ok(Told { own: Own::of(&last.files), last, composed })
    }

    async fn carry_out(&self, plan: Arc<Plan>, progress: Progress<'_>) -> Result<(), Failure> {
        let step = |n: u32, text: &str| {
            progress(Step { n, of: 4, interface: None, text: text.to_owned() });
        };
        self.settled().await?;
        match foreign::look(&self.root) {
            Try::None => {}
            Try::Waits => return Err(failure(WAITS.into())),
            Try::Dead => self.clear_try()?,
        }
        let now = self.observer.look().await?.state;
        let Told { last, own, composed } = self.tell(&plan, &now).map_err(|problems| first(&problems))?;
        let is_told = plan.changes.iter().any(is_netplans);
        if is_told {
            step(1, "check netplan's configuration");
            let mut then = last.files.clone();
            then.insert(File::new(Folder::Run, OWN), composed.text.clone());
            self.programs.check(&then).await?;
            self.programs.at_rest().await?;
            step(2, "write netplan's configuration");
            self.mark()?;
            if composed.text != own.text() {
                self.folders.put(Folder::Run, Some(&composed.text))?;
            }
            self.delete(&composed.delete_first, progress).await?;
            step(3, "netplan apply");
            self.programs.apply(&last.files).await?;
        }
        step(4, "what netplan leaves");
        // What is kept is netplan's alone.
        let (dormant, unkept) = Default::default();
        let capabilities = Arc::new(Capabilities { dormant, unkept, ..self.capabilities() });
        let mut touched = plan::Touched::default();
        touched.extend(&plan);
        let others = Arc::new(self.others(&now, &touched));
        let rest = || {
            let (plan, capabilities) = (plan.clone(), capabilities.clone());
            let (was, others) = (now.clone(), others.clone());
            let rest = move |now: &State| Rest {
                ops: remainder::of_plan(&plan, now, &capabilities),
                is_disturbed: remainder::is_disturbed(&was, now, &others),
            };
            async move { self.once_settled(rest).await }
        };
        let patience = if is_told { self.patience()? } else { Duration::ZERO };
        self.finish(Purpose::Change, rest, patience, progress).await
    }

    /// Waits until the renderer has done what it was told, and does what it leaves. `rest`: what is missing.
    async fn finish<F>(
        &self,
        purpose: Purpose,
        rest: impl Fn() -> F,
        patience: Duration,
        progress: Progress<'_>,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<Rest, Failure>>,
    {
        let mut end = Instant::now() + patience;
        let mut revision = self.revision.clone();
        let mut is_left_done = false;
        let mut fewest = usize::MAX;
        loop {
            revision.borrow_and_update();
            let Rest { ops: rest, is_disturbed } = rest().await?;
            if rest.is_empty() && !is_disturbed {
                return Ok(());
            }
            if rest.len() < fewest {
                // It goes on.
                fewest = rest.len();
                end = Instant::now() + patience;
            }
            let left = remainder::left(&rest);
            if !left.is_empty() && !is_left_done {
                is_left_done = true;
                self.kernel.run(&left, progress).await?;
                continue;
            }
            if timeout_at(end, revision.changed()).await.is_err() {
                // What only we had made would not be there after a reboot.
                if let Some(link) = remainder::not_made(&rest).filter(|_| purpose == Purpose::Change) {
                    let message = "netplan has applied the configuration, but its renderer did not make it";
                    return Err(Failure { subject: Some(link.into()), ..failure(message.into()) });
                }
                return self.kernel.run(&rest, progress).await;
            }
        }
    }

    fn patience(&self) -> Result<Duration, Failure> {
        let last = self.images.files.last();
        let config = last.read.as_ref().map(|configs| &configs.all);
        let config = config.map_err(|error| failure(refuse::broken(error).message))?;
        let renderers = config.netdefs.values().map(|netdef| netdef.renderer);
        let uses = |which| {
            let default = self.renderer(config);
            renderers.clone().any(|renderer| renderer.unwrap_or(default) == which)
        };
        Ok(if uses(Renderer::NetworkManager) { NETWORK_MANAGER_MAX } else { NETWORKD_MAX })
    }

    /// The interfaces that netplan defines and that are not touched by a change of `was`.
    fn others(&self, was: &State, touched: &plan::Touched) -> BTreeSet<String> {
        let devices = self.devices();
        let last = self.images.files.last();
        // Of files that nobody understands nothing is applied.
        let Ok(configs) = &last.read else { return BTreeSet::new() };
        let reach = touched.reach(was, was);
        let names = was.interfaces().iter().map(|interface| &interface.name);
        let is_defined = |name: &&String| configs.all.netdef_of(name, &devices).is_some();
        names.filter(|name| !reach.contains(*name)).filter(is_defined).cloned().collect()
    }

    async fn delete(&self, links: &[String], progress: Progress<'_>) -> Result<(), Failure> {
        let image = self.kernel.mirror().image();
        let there = links.iter().filter(|name| image.links.values().any(|link| *link.name == ***name));
        let ops: Vec<Op> = there.map(|link| Op::Delete { link: link.clone() }).collect();
        self.kernel.run(&ops, progress).await
    }

    /// The way back from here.
    async fn way_back(&self, snapshot: &Arc<Snapshot>, was: &Arc<Private>) -> Result<WayBack, Failure> {
        let (snapshot, was) = (snapshot.clone(), was.clone());
        let others = self.others(&snapshot.state, &snapshot.touched);
        let mirror = self.kernel.mirror().clone();
        self.once_settled(move |now| {
            let facts = Facts::of_links(&mirror.image());
            let mut back = snapshot.way_back(now);
            back.dns_resolver.clone_from(&now.dns_resolver);
            let plan = plan::restore(&was.kernel.goal(back, &facts, now), now);
            let reach = snapshot.touched.reach(&snapshot.state, now);
            let is_disturbed = remainder::is_disturbed(&snapshot.state, now, &others);
            let mut ops = remainder::ours(kernel::lower(&plan, now));
            ops.extend(was.kernel.differences(&facts, |link| reach.contains(link)));
            let rebuilt = plan.changes.iter().filter_map(|change| match change {
                Change::Interface(change) if change.rebuild => Some(change.name.clone()),
                _ => None,
            });
            WayBack { rest: Rest { ops, is_disturbed }, rebuilt: rebuilt.collect() }
        })
        .await
    }

    async fn go_back(
        &self,
        snapshot: &Arc<Snapshot>,
        was: &Arc<Private>,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        self.programs.at_rest().await?;
        self.settled().await?;
        let mut done = Ok(());
        let mut patience = Duration::ZERO;
        let last = self.images.files.last();
        if self.is_marked() || Own::of(&last.files) != was.own {
            self.try_ends().await?;
            self.mark()?;
            self.folders.put(Folder::Run, was.own.run.as_deref())?;
            self.folders.put(Folder::Etc, was.own.etc.as_deref())?;
            let way = self.way_back(snapshot, was).await?;
            self.delete(&Vec::from_iter(way.rebuilt), progress).await?;
            for _ in 0..APPLY_ROUNDS {
                done = self.programs.apply(&last.files).await;
                if done.is_ok() {
                    break;
                }
            }
            patience = self.patience().unwrap_or(NETWORKD_MAX);
        }
        // As much as possible, whatever failed before.
        for _ in 0..RESTORE_ROUNDS {
            let rest = || async { Ok(self.way_back(snapshot, was).await?.rest) };
            done = done.and(self.finish(Purpose::WayBack, rest, patience, progress).await);
            patience = Duration::ZERO;
            if self.way_back(snapshot, was).await?.rest.ops.is_empty() {
                break;
            }
        }
        done?;
        self.unmark()
    }

    /// Waits until somebody's `netplan try` has ended.
    async fn try_ends(&self) -> Result<(), Failure> {
        let end = Instant::now() + TRY_MAX;
        loop {
            match foreign::look(&self.root) {
                Try::None => return Ok(()),
                Try::Dead => return self.clear_try(),
                Try::Waits if Instant::now() >= end => return Err(failure(WAITS.into())),
                // Nothing tells of the end of another's process but looking.
                Try::Waits => tokio::time::sleep(TRY_LOOK).await,
            }
        }
    }

    fn clear_try(&self) -> Result<(), Failure> {
        foreign::clear(&self.root)
            .map_err(|error| failure(format!("cannot take away what a dead `netplan try` left: {error}")))
    }

    fn is_marked(&self) -> bool {
        // What cannot be looked at may be there.
        self.scratch.join(TOLD).try_exists().unwrap_or(true)
    }

    fn mark(&self) -> Result<(), Failure> {
        let mark = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.scratch)?;
            fs::write(self.scratch.join(TOLD), "")
        };
        mark().map_err(|error| self.cannot_mark(&error))
    }

    fn unmark(&self) -> Result<(), Failure> {
        match fs::remove_file(self.scratch.join(TOLD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.cannot_mark(&error)),
            _ => Ok(()),
        }
    }

    fn cannot_mark(&self, error: &io::Error) -> Failure {
        failure(format!("cannot write to {}: {error}", self.scratch.display()))
    }

    /// Interfaces that are not there, but that our file would bring; and those that are there, and that no
    /// file defines.
    fn kept(&self) -> (BTreeMap<String, Interface>, BTreeSet<String>) {
        let last = self.images.files.last();
        // Nothing can be planned without.
        let (Ok(Configs { all, own, .. }), Ok(seen)) = (&last.read, self.observe()) else {
            return Default::default();
        };
        let devices = self.devices();
        let absent = own.netdefs.values().filter(|netdef| netdef.devices(&devices).is_empty());
        let interface = |id: &str, kind| Interface::new(id, kind, InterfaceState::Down);
        let dormant =
            absent.filter_map(|netdef| Some((netdef.id.clone(), interface(&netdef.id, kind(netdef.kind)?))));
        let known = |interface: &&Interface| {
            interface.is_up() && NETDEFS.iter().any(|(_, kind)| kind == interface.kind())
        };
        let unkept = seen.state.interfaces().iter().filter(known).map(|interface| interface.name.clone());
        let unkept = unkept.filter(|name| all.netdef_of(name, &devices).is_none());
        (dormant.collect(), unkept.collect())
    }
}

const WAITS: &str = "a `netplan try` awaits confirmation: netplan applies nothing else until it has ended";

/// Types of definitions, and what they make.
const NETDEFS: [(Kind, InterfaceType); 8] = [
    (Kind::Ethernet, InterfaceType::Ethernet),
    (Kind::Bond, InterfaceType::Bond),
    (Kind::Bridge, InterfaceType::LinuxBridge),
    (Kind::Vlan, InterfaceType::Vlan),
    (Kind::Vrf, InterfaceType::Vrf),
    (Kind::Dummy, InterfaceType::Dummy),
    (Kind::Veth, InterfaceType::Veth),
    (Kind::Tunnel, InterfaceType::Vxlan),
];

fn kind(kind: Kind) -> Option<InterfaceType> {
    NETDEFS.iter().find(|(known, _)| *known == kind).map(|(_, made)| made.clone())
}

/// A cable whose other end is in another network namespace is not.
fn can_be_made_again(interface: &Interface) -> bool {
    let is_far = *interface.kind() == InterfaceType::Veth && interface.veth.is_none();
    plan::is_removable(interface) && !is_far
}

/// Whether netplan has anything to do with it.
fn is_netplans(change: &Change) -> bool {
    match change {
        Change::Interface(_) | Change::Route(_) | Change::Rule(_) | Change::Dns(_) => true,
        Change::Hostname(_) | Change::OvsDb(_) | Change::Ovn(_) => false,
    }
}

fn failure(message: String) -> Failure {
    Failure { kind: ErrorKind::PluginFailure, subject: None, message }
}

/// What was fine while it was planned is not any more.
fn first(problems: &[Problem]) -> Failure {
    problems.first().map_or_else(
        || failure("cannot say why not".into()),
        |problem| Failure {
            kind: problem.kind,
            subject: problem.interface.clone(),
            message: problem.message.clone(),
        },
    )
}

impl Backend for NetplanBackend {
    fn capabilities(&self) -> Capabilities {
        let (dormant, unkept) = self.kept();
        Capabilities {
            backend: "netplan",
            interface_types: self.kernel.kinds().types(),
            vlan_filtering: self.kernel.kinds().vlan_filtering,
            volatile_until_commit: true,
            // netplan has no place for an interface that is defined and down.
            profiles: false,
            persists: true,
            own_net: None,
            dormant,
            unkept,
        }
    }

    fn refuse(&self, plan: &Plan) -> Vec<Problem> {
        let mut problems = refuse::refuse(plan, &self.kernel.kinds().types());
        if !plan.changes.iter().any(is_netplans) {
            return problems;
        }
        if foreign::look(&self.root) == Try::Waits {
            problems.push(Problem::new(ErrorKind::PluginFailure, Place::root(), WAITS));
        }
        // Whoever carries the plan out says why nothing can be seen.
        if let Ok(seen) = self.observe() {
            problems.extend(self.tell(plan, &seen.state).err().into_iter().flatten());
        }
        problems
    }

    /// Also what the files say now: a few small ones. Who waits for a sync is told why they cannot be read.
    fn observe(&self) -> Result<Observation, Failure> {
        if let Ok(files) = self.folders.read() {
            self.images.files.take(files);
        }
        self.observer.observe()
    }

    fn observe_kernel(&self) -> Result<Observation, Failure> {
        self.kernel.observe()
    }

    fn revision(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    fn sync(&self) -> Doing<'_, ()> {
        Box::pin(self.settled())
    }

    fn snapshot(&self) -> Doing<'_, Snapshot> {
        Box::pin(async {
            self.settled().await?;
            let own = Own::of(&self.images.files.last().files);
            if own.run.is_none() {
                // What netplan was told has been committed.
                self.unmark()?;
            }
            let private = Private { kernel: self.kernel.facts()?, own };
            let state = State::clone(&self.observer.look().await?.state);
            Ok(Snapshot { state, private: private.to_json(), touched: plan::Touched::default() })
        })
    }

    fn execute<'a>(&'a self, plan: Arc<Plan>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(self.carry_out(plan, progress))
    }

    /// What netplan reads is the same before and after, so that it need not be told.
    fn persist<'a>(&'a self, _snapshot: Option<Arc<Snapshot>>, _committed: &'a State) -> Doing<'a, ()> {
        Box::pin(async {
            let own = Own::of(&self.folders.read()?);
            if let Some(text) = own.run {
                self.folders.put(Folder::Etc, Some(text.as_str()).filter(|text| !text.is_empty()))?;
                self.folders.put(Folder::Run, None)?;
            }
            self.settled().await
        })
    }

    fn restore<'a>(&'a self, snapshot: Arc<Snapshot>, progress: Progress<'a>) -> Doing<'a, ()> {
        Box::pin(async move {
            let was = Arc::new(Private::from_json(&snapshot.private)?);
            self.go_back(&snapshot, &was, progress).await
        })
    }
}
