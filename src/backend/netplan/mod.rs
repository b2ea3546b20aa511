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
//! | `carry_out` | a plan is told to netplan, and carried out |
//! | `settle` | waiting until the renderer has done it |
//! | `heed` | what netplan says of the result |
//! | `way_back` | back to a snapshot |
//! | `kept` | what a reboot would bring, and what it would not |
//! | `lower` | from a plan to what netplan is to say; pure |
//! | `refuse` | what it cannot say; pure |
//! | `native` | documents in netplan's own words; pure |
//! | `openvswitch` | what netplan leaves of Open vSwitch |
//! | `remainder` | what is left to the kernel; pure |
//! | `snapshot` | what leads back, as data |
//! | `observer` | the network as a state |
//! | `overlay` | what the files say of it; pure |

mod carry_out;
mod folders;
mod foreign;
mod heed;
mod kept;
mod lower;
mod native;
mod observer;
mod openvswitch;
mod overlay;
mod programs;
mod refuse;
mod remainder;
mod settle;
mod snapshot;
mod way_back;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use self::carry_out::is_netplans;
use self::folders::{Folders, Own};
use self::foreign::Try;
use self::observer::{Images, Seen, devices, follow};
use self::programs::Programs;
use self::snapshot::Private;
use super::kernel::KernelBackend;
use super::kernel::op::Op;
use super::nm;
use super::observer::Observer;
use super::openvswitch as of_database;
use super::{Backend, Capabilities, Doing, Failure, Judgement, Observation, Progress, Snapshot};
use crate::netplan::{Config, Devices, Files, Folder, NATIVE, OWN, Renderer, native_of, understand};
use crate::ovsdb::Database;
use crate::plan::{self, Plan};
use crate::state::{ErrorKind, InterfaceType, Path as Place, Problem, State};

/// How the names of files begin that NetworkManager writes where it keeps its profiles as netplan's definitions
/// (Ubuntu since 23.10).
const PROFILE: &str = "90-NM-";

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
    checked: Mutex<Option<(Files, Option<Failure>)>>,
    observer: Arc<Observer<Images>>,
    revision: watch::Receiver<u64>,
}

impl NetplanBackend {
    /// `kernel` and `database` for what the renderers leave; `scratch`: a folder for ourselves below /run. `renderer`: that
    /// of files which name none. Needs a running tokio runtime.
    pub fn open(
        kernel: KernelBackend,
        database: Database,
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
        let images = Images {
            mirror: kernel.mirror().clone(),
            files: Arc::new(Seen::new(folders.read())),
            written: database.revisions(),
            database,
        };
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
    pub fn defines(root: &Path) -> Option<String> {
        Programs::find(Path::new(""))?;
        // Whoever has files that are broken, or cannot be read, still means netplan to read them.
        let files = match Folders::below(root).read() {
            Ok(files) => files,
            Err(failure) => return Some(failure.message),
        };
        let of_others = files.read().into_iter().filter(|(file, _)| !file.name.starts_with(PROFILE));
        let mut defining = of_others.filter(|(file, _)| {
            Config::read(&files.only(&file.name)).map_or(true, |config| !config.is_empty())
        });
        defining.next().map(|(file, _)| format!("{file} defines interfaces"))
    }

    async fn settled(&self) -> Result<(), Failure> {
        let (kernel, written) = tokio::join!(self.kernel.settled(), self.images.database.sync());
        kernel?;
        written.map_err(|error| failure(error.to_string()))?;
        self.images.files.take(self.folders.read());
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

    async fn delete(&self, links: &[String], progress: Progress<'_>) -> Result<(), Failure> {
        let image = self.kernel.mirror().image();
        let there = links.iter().filter(|name| image.links.values().any(|link| *link.name == ***name));
        let ops: Vec<Op> = there.map(|link| Op::Delete { link: link.clone() }).collect();
        self.kernel.run(&ops, progress).await
    }
}

/// How long a commit waits for somebody's `netplan try`: less than the engine waits for the commit.
const TRY_AT_COMMIT_MAX: Duration = Duration::from_secs(45);
const WAITS: &str = "a `netplan try` awaits confirmation: netplan applies nothing else until it has ended";

fn failure(message: String) -> Failure {
    Failure { kind: ErrorKind::PluginFailure, subject: None, message }
}

impl Backend for NetplanBackend {
    fn capabilities(&self) -> Capabilities {
        let (dormant, unkept) = self.kept();
        let mut interface_types = self.kernel.kinds().types();
        if self.images.database.image().is_some() {
            interface_types.extend([InterfaceType::OvsBridge, InterfaceType::OvsInterface]);
        }
        Capabilities {
            backend: "netplan",
            interface_types,
            vlan_filtering: self.kernel.kinds().vlan_filtering,
            // Until then it is in /run; but a loss of power may come after a commit has begun to keep it in /etc.
            volatile_until_commit: false,
            // netplan has no place for an interface that is defined and down.
            profiles: false,
            names: true,
            persists: true,
            ovs_local: true,
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

    /// Has netplan look at the files as they would be, if nobody has yet. The remarks are about what files of others
    /// define as well.
    fn judge(&self, plan: &Plan) -> Judgement {
        let mut refused = refuse::refuse(plan, &self.kernel.kinds().types());
        refused.extend(nm::without_netdev_tables(plan));
        let database = &self.images.database;
        refused.extend(openvswitch::refuse(plan, database.image().as_deref()));
        refused.extend(of_database::refuse(plan, database));
        refused.extend(of_database::unserved(plan, database));
        let mut remarks = Vec::new();
        if plan.changes.iter().any(is_netplans) {
            if foreign::look(&self.root) == Try::Waits {
                refused.push(Problem::new(ErrorKind::PluginFailure, Place::root(), WAITS));
            }
            // Whoever carries the plan out says why nothing can be seen.
            match self.observe().ok().map(|seen| self.tell(plan, &seen.state)) {
                Some(Ok(told)) if told.uses_openvswitch() && !openvswitch::runs(&self.root) => {
                    let text = openvswitch::DOES_NOT_RUN;
                    refused.push(Problem::new(ErrorKind::PluginFailure, Place::root(), text));
                }
                Some(Ok(told)) => {
                    refused.extend(self.complaint(&told));
                    remarks = told.composed.remarks;
                }
                Some(Err(problems)) => refused.extend(problems),
                None => {}
            }
        }
        Judgement { refused, remarks }
    }

    /// Also what the files say now: a few small ones. Whoever plans is told why they cannot be read.
    fn observe(&self) -> Result<Observation, Failure> {
        self.images.files.take(self.folders.read());
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
            let files = self.folders.read()?;
            let (own, native) = (Own::of(&files, OWN), Own::of(&files, NATIVE));
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

    /// What netplan reads is the same before and after, so that it need not be told. But a try that somebody else gives
    /// up puts all files back as they were when it began.
    fn persist<'a>(&'a self, _snapshot: Option<Arc<Snapshot>>, _committed: &'a State) -> Doing<'a, ()> {
        Box::pin(async {
            self.try_ends(TRY_AT_COMMIT_MAX).await?;
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
