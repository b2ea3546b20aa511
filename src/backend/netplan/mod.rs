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
//! | `native` | documents in netplan's own words; pure |
//! | `remainder` | what is left to the kernel; pure |
//! | `snapshot` | what leads back, as data |
//! | `observer` | the network as a state |
//! | `overlay` | what the files say of it; pure |

mod folders;
mod foreign;
mod lower;
mod native;
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
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::runtime::Handle;
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
use super::nm;
use super::observer::Observer;
use super::{Backend, Capabilities, Doing, Failure, Observation, Progress, Snapshot, Step};
use crate::netplan::{
    Composed, Config, Devices, File, Files, Folder, Kind, NATIVE, OWN, Renderer, Target, compose, native_of,
    native_text, read, understand, with_native,
};
use crate::plan::{self, Change, Plan};
use crate::state::{
    ErrorKind, Interface, InterfaceState, InterfaceType, Native, Path as Place, Problem, State,
};

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
/// How long planning waits for what netplan says of the files.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// How the names of files begin that NetworkManager writes where it keeps its profiles as netplan's definitions
/// (Ubuntu since 23.10).
const PROFILE: &str = "90-NM-";
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
    runtime: Handle,
    /// What netplan has said last of what it was shown.
    checked: Mutex<Option<(Files, Result<(), Failure>)>>,
    observer: Arc<Observer<Images>>,
    revision: watch::Receiver<u64>,
}

/// What is to be done, as netplan hears it.
struct Told {
    last: Arc<Last>,
    composed: Composed,
    /// The file of what is said in netplan's own words, where that changes.
    native: Option<String>,
}

impl Told {
    /// The files as they will be.
    fn then(&self) -> Files {
        let mut then = self.last.files.clone();
        then.insert(File::new(Folder::Run, OWN), self.composed.text.clone());
        if let Some(text) = &self.native {
            then.insert(File::new(Folder::Run, NATIVE), text.clone());
        }
        then
    }
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
        let (runtime, checked) = (Handle::current(), Mutex::new(None));
        Ok(Self {
            kernel,
            programs,
            folders,
            root,
            scratch,
            renderer,
            images,
            runtime,
            checked,
            observer,
            revision,
        })
    }

    /// Whether these files define anything, in words: then netplan is what has the network. Not those in which
    /// NetworkManager keeps its own profiles: they do not make the network netplan's.
    pub fn defines(root: &Path) -> Result<Option<String>, Failure> {
        if Programs::find(Path::new("")).is_none() {
            return Ok(None);
        }
        let files = Folders::below(root).read()?;
        // Whoever has files that are broken still means netplan to read them.
        let of_others = files.read().into_iter().filter(|(file, _)| !file.name.starts_with(PROFILE));
        let mut defining = of_others.filter(|(file, _)| {
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
        let target = Target { renderer: self.renderer(foreign), version: self.programs.version };
        let native = plan.changes.iter().find_map(|change| match change {
            Change::Network(change) => Some(change.after.clone().unwrap_or_else(Native::nothing)),
            _ => None,
        });
        let composed = match &native {
            None => compose(own, foreign, &lower::lower(plan, now, all, &devices), &target, &devices),
            Some(native) => {
                let read = |files: &Files| Config::read(files).map_err(|error| vec![refuse::broken(&error)]);
                let then = with_native(&last.files, native);
                let (all, foreign) = (read(&then)?, read(&then.without(&[OWN]))?);
                let mut wanted = lower::lower(plan, now, &all, &devices);
                wanted.leave_to(&read(&then.only(NATIVE))?, &devices);
                let mut composed = compose(own, &foreign, &wanted, &target, &devices);
                if let Ok(composed) = &mut composed {
                    let made_again = plan.changes.iter().filter_map(|change| match change {
                        Change::Interface(change) if change.rebuild => Some(change.name.clone()),
                        _ => None,
                    });
                    composed.delete_first.extend(made_again);
                }
                composed
            }
        };
        let mut composed = composed.map_err(|refusals| refuse::problems(plan, refusals))?;
        // What could not be made again is never deleted: verification says what is not as it shall be.
        composed
            .delete_first
            .retain(|name| now.interfaces().iter().filter(|now| now.name == *name).all(can_be_made_again));
        let native = native.as_ref().map(native_text);
        Ok(Told { last, composed, native })
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
        let told = self.tell(&plan, &now).map_err(|problems| first(&problems))?;
        let is_told = plan.changes.iter().any(is_netplans);
        if is_told {
            step(1, "check netplan's configuration");
            self.check(told.then()).await?;
            self.programs.at_rest().await?;
            step(2, "write netplan's configuration");
            self.mark()?;
            let Told { last, composed, native } = &told;
            if composed.text != Own::of(&last.files, OWN).text() {
                self.folders.put(Folder::Run, OWN, Some(&composed.text))?;
            }
            if let Some(text) = native {
                self.folders.put(Folder::Run, NATIVE, Some(text))?;
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
        let then = Config::read(&told.then()).map_err(|error| failure(refuse::broken(&error).message))?;
        let others = Arc::new(self.others(&now, &touched, &then));
        let rest = || {
            let (plan, capabilities) = (plan.clone(), capabilities.clone());
            let (was, others) = (now.clone(), others.clone());
            let rest = move |now: &State| Rest {
                ops: remainder::of_plan(&plan, now, &capabilities),
                disturbed: remainder::disturbed(&was, now, &others),
            };
            async move { self.once_settled(rest).await }
        };
        let patience = if is_told { self.patience()? } else { Duration::ZERO };
        let missing = self.finish(is_told.then_some(&told.last.files), rest, patience, progress).await?;
        if is_told {
            missing.complain()?;
        }
        self.kernel.run(&missing.ops, progress).await?;
        if is_told { self.settle_macs(&then, progress).await } else { Ok(()) }
    }

    /// NetworkManager makes all of its links anew, also those that do not change, while udev is about to give each an
    /// address of its own.
    async fn settle_macs(&self, config: &Config, progress: Progress<'_>) -> Result<(), Failure> {
        let asked = remainder::macs(&read(config, &self.devices()));
        nm::macs::settle(&asked, &self.kernel, progress).await
    }

    /// Has netplan say whether it understands these files; what it said last is remembered.
    async fn check(&self, files: Files) -> Result<(), Failure> {
        if let Some(said) = self.said_of(&files) {
            return said;
        }
        let said = self.programs.check(&files).await;
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some((files, said.clone()));
        said
    }

    fn said_of(&self, files: &Files) -> Option<Result<(), Failure>> {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.as_ref().filter(|(known, _)| known == files).map(|(_, said)| said.clone())
    }

    /// Waits until the renderer has done what it was told, and does what it leaves for good. `rest`: what is missing. The
    /// answer is what should not be missing any more.
    async fn wait<F>(
        &self,
        rest: impl Fn() -> F,
        patience: Duration,
        progress: Progress<'_>,
    ) -> Result<Rest, Failure>
    where
        F: Future<Output = Result<Rest, Failure>>,
    {
        let mut end = Instant::now() + patience;
        let mut revision = self.revision.clone();
        let mut is_left_done = false;
        let mut fewest = usize::MAX;
        loop {
            revision.borrow_and_update();
            let rest = rest().await?;
            if rest.is_done() {
                return Ok(rest);
            }
            if rest.ops.len() < fewest {
                // It goes on.
                fewest = rest.ops.len();
                end = Instant::now() + patience;
            }
            let left = remainder::left(&rest.ops);
            if !left.is_empty() && !is_left_done {
                is_left_done = true;
                self.kernel.run(&left, progress).await?;
                continue;
            }
            if timeout_at(end, revision.changed()).await.is_err() {
                return Ok(rest);
            }
        }
    }

    /// The same, and a renderer that was disturbed in the middle begins anew. `told`: the files that netplan was to leave
    /// behind, if it was told anything.
    async fn finish<F>(
        &self,
        told: Option<&Files>,
        rest: impl Fn() -> F,
        patience: Duration,
        progress: Progress<'_>,
    ) -> Result<Rest, Failure>
    where
        F: Future<Output = Result<Rest, Failure>>,
    {
        let missing = self.wait(&rest, patience, progress).await?;
        let Some(files) = told.filter(|_| patience == NETWORK_MANAGER_MAX) else { return Ok(missing) };
        let (last, devices) = (self.images.files.last(), self.devices());
        let is_defined = |name: &str| {
            last.read.as_ref().is_ok_and(|configs| configs.all.netdef_of(name, &devices).is_some())
        };
        if !missing.is_renderers(is_defined) {
            return Ok(missing);
        }
        self.programs.apply(files).await?;
        self.wait(&rest, patience, progress).await
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

    /// The interfaces that `config` defines and that are not touched by a change of `was`.
    fn others(&self, was: &State, touched: &plan::Touched, config: &Config) -> BTreeSet<String> {
        let (devices, reach) = (self.devices(), touched.reach(was, was));
        let names = was.interfaces().iter().map(|interface| &interface.name);
        let is_defined = |name: &&String| config.netdef_of(name, &devices).is_some();
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
        let last = self.images.files.last();
        // Of files that nobody understands nothing is applied.
        let others =
            last.read.as_ref().map(|configs| self.others(&snapshot.state, &snapshot.touched, &configs.all));
        let others = others.unwrap_or_default();
        let mirror = self.kernel.mirror().clone();
        self.once_settled(move |now| {
            let facts = Facts::of_links(&mirror.image());
            let mut back = snapshot.way_back(now);
            back.dns_resolver.clone_from(&now.dns_resolver);
            let plan = plan::restore(&was.kernel.goal(back, &facts, now), now);
            let reach = snapshot.touched.reach(&snapshot.state, now);
            let disturbed = remainder::disturbed(&snapshot.state, now, &others);
            let mut ops = remainder::ours(kernel::lower(&plan, now));
            ops.extend(was.kernel.differences(&facts, |link| reach.contains(link)));
            let rebuilt = plan.changes.iter().filter_map(|change| match change {
                Change::Interface(change) if change.rebuild => Some(change.name.clone()),
                _ => None,
            });
            WayBack { rest: Rest { ops, disturbed }, rebuilt: rebuilt.collect() }
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
        let mut is_told = false;
        let last = self.images.files.last();
        let ours = [(OWN, &was.own), (NATIVE, &was.native)];
        if self.is_marked() || ours.iter().any(|(name, was)| Own::of(&last.files, name) != **was) {
            self.try_ends().await?;
            self.mark()?;
            for (name, was) in ours {
                self.folders.put(Folder::Run, name, was.run.as_deref())?;
                self.folders.put(Folder::Etc, name, was.etc.as_deref())?;
            }
            let way = self.way_back(snapshot, was).await?;
            self.delete(&Vec::from_iter(way.rebuilt), progress).await?;
            for _ in 0..APPLY_ROUNDS {
                done = self.programs.apply(&last.files).await;
                if done.is_ok() {
                    break;
                }
            }
            patience = self.patience().unwrap_or(NETWORKD_MAX);
            is_told = true;
        }
        // As much as possible, whatever failed before.
        for _ in 0..RESTORE_ROUNDS {
            let rest = || async { Ok(self.way_back(snapshot, was).await?.rest) };
            let files = is_told.then_some(&last.files);
            done = done.and(match self.finish(files, rest, patience, progress).await {
                Ok(missing) => self.kernel.run(&missing.ops, progress).await,
                Err(failure) => Err(failure),
            });
            patience = Duration::ZERO;
            if let (true, Ok(configs)) = (is_told, &self.images.files.last().read) {
                done = done.and(self.settle_macs(&configs.all, progress).await);
            }
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

    /// What netplan says against it; whoever carries it out is told why netplan cannot be asked.
    fn complaint(&self, told: &Told) -> Option<Problem> {
        let then = told.then();
        let said = match self.said_of(&then) {
            Some(said) => said,
            None => {
                let (answer, answered) = mpsc::channel();
                let (programs, files) = (self.programs.clone(), then.clone());
                self.runtime.spawn(async move { answer.send(programs.check(&files).await) });
                let said = answered.recv_timeout(ANSWER_MAX).ok()?;
                *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some((then, said.clone()));
                said
            }
        };
        let Failure { kind, message, .. } = said.err()?;
        let path = told.native.as_ref().and_then(|text| native::place(text, &message));
        Some(Problem::new(kind, path.unwrap_or_else(Place::root), message))
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
        Change::Interface(_) | Change::Route(_) | Change::Rule(_) | Change::Dns(_) | Change::Network(_) => {
            true
        }
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

    fn translate(&self, desired: &State) -> Result<Option<(State, Vec<Place>)>, Vec<Problem>> {
        let Some(mut native) = desired.network.clone() else { return Ok(None) };
        let last = self.images.files.last();
        native.fill_secrets(native_of(&last.files).as_ref()).map_err(|path| {
            vec![Problem::invalid(path, "a hidden secret, and netplan's file of documents has none to keep")]
        })?;
        let meaning = understand(&native, &last.files, &self.devices(), self.renderer)?;
        Ok(Some(native::beside(desired, native, meaning)))
    }

    /// Has netplan look at the files as they would be, if nobody has yet.
    fn refuse(&self, plan: &Plan) -> Vec<Problem> {
        let mut problems = refuse::refuse(plan, &self.kernel.kinds().types());
        problems.extend(nm::without_netdev_tables(plan));
        if !plan.changes.iter().any(is_netplans) {
            return problems;
        }
        if foreign::look(&self.root) == Try::Waits {
            problems.push(Problem::new(ErrorKind::PluginFailure, Place::root(), WAITS));
        }
        // Whoever carries the plan out says why nothing can be seen.
        if let Ok(seen) = self.observe() {
            match self.tell(plan, &seen.state) {
                Ok(told) => problems.extend(self.complaint(&told)),
                Err(refused) => problems.extend(refused),
            }
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
            let last = self.images.files.last();
            let (own, native) = (Own::of(&last.files, OWN), Own::of(&last.files, NATIVE));
            if own.run.is_none() && native.run.is_none() {
                // What netplan was told has been committed.
                self.unmark()?;
            }
            let private = Private { kernel: self.kernel.facts()?, own, native };
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
            let files = self.folders.read()?;
            for name in [OWN, NATIVE] {
                if let Some(text) = Own::of(&files, name).run {
                    let text = Some(text.as_str()).filter(|text| !text.is_empty());
                    self.folders.put(Folder::Etc, name, text)?;
                    self.folders.put(Folder::Run, name, None)?;
                }
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
