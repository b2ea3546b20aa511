//! Carries out work: requests go out in their order without waiting for answers, which are
//! collected as they come; then what they lead to is waited for, all of it together.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, timeout_at};

use super::macs;
use super::reasons;
use super::settle::{absent, device, settle};
use super::work::{Await, Back, Step, Which, Work};
use crate::backend::kernel::KernelBackend;
use crate::backend::{self, Failure, Progress};
use crate::nm::image::{Device, Image, ObjectPath, Stored};
use crate::nm::{Answer, Call, Client, Error, Persist, Profile, Setting, Value};
use crate::state::ErrorKind;

/// How long a request is repeated that is refused because of something that has yet to come.
const RETRY_MAX: Duration = Duration::from_secs(5);

/// `AddConnection2` and `Update2` (NMSettingsAddConnection2Flags, NMSettingsUpdate2Flags).
mod flags {
    pub const TO_DISK: u32 = 0x1;
    pub const IN_MEMORY: u32 = 0x2;
    /// A `Delete` later leaves the file on disk and hides it.
    pub const IN_MEMORY_DETACHED: u32 = 0x4;
    pub const IN_MEMORY_ONLY: u32 = 0x8;
    pub const BLOCK_AUTOCONNECT: u32 = 0x20;
    /// `Reapply`: addresses and routes of others stay.
    pub const PRESERVE_EXTERNAL_IP: u32 = 0x1;
}

/// Why work was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody changed what it was computed from; computed again, it may succeed.
    Stale(Failure),
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Stop {
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Stale(failure) | Self::Failed(failure) => failure,
        }
    }
}

/// What a failure means for the rest of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// There is no rest: all of it comes back.
    AllOrNothing,
    /// As much as possible is done; the first failure is told at the end.
    AsMuchAsPossible,
}

/// Carries out the work.
pub(super) async fn execute(
    work: &Work,
    manner: Manner,
    client: &Client,
    kernel: &KernelBackend,
    progress: Progress<'_>,
) -> Result<(), Stop> {
    let of = work.steps.len() + work.awaits.len();
    let links = kernel.mirror().image();
    let image = client.image().ok_or_else(absent)?;
    let macs = macs::asked(work, &image, |name| links.link_by_name(name).is_some());
    let mut run = Run {
        client,
        kernel,
        steps: &work.steps,
        progress: Counter { progress, n: 0, of: u32::try_from(of).unwrap_or(u32::MAX) },
        pending: FuturesUnordered::new(),
        added: BTreeMap::new(),
        held_back: held_back(&work.steps, &image),
        hushed: hushed(&work.steps, &image),
        changing: BTreeSet::new(),
        again: Vec::new(),
        manner,
        failed: None,
    };
    run.hush().await?;
    run.send_all().await?;
    sync(client).await?;
    run.settle(&work.awaits).await?;
    run.let_go().await?;
    let checked = check_global_dns(&work.steps, client);
    run.proceed(checked)?;
    let settled = macs::settle(&macs, kernel, progress).await;
    run.proceed(settled)?;
    let ran = kernel.run(&work.kernel, progress).await;
    run.proceed(ran)?;
    run.failed.map_or(Ok(()), Err)
}

async fn sync(client: &Client) -> Result<(), Failure> {
    client.sync().await.map_err(|error| refused("look at NetworkManager", &error))
}

struct Counter<'a> {
    progress: Progress<'a>,
    n: u32,
    of: u32,
}

impl Counter<'_> {
    fn tell(&mut self, which: Option<&Which>, text: String) {
        self.n = self.n.saturating_add(1);
        let interface = which.map(|which| which.name.clone());
        (self.progress)(backend::Step { n: self.n, of: self.of.max(self.n), interface, text });
    }

    fn tell_step(&mut self, step: &Step) {
        self.tell(step.which(), step.to_string());
    }

    fn tell_wait(&mut self, what: &Await) {
        self.tell(Some(&what.which), what.to_string());
    }
}

/// What of a step was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// All of it, or the last request of several.
    Whole,
    /// A request before the last one.
    First,
    /// An activation in the place of what was refused.
    Activation,
}

#[derive(Clone, Debug)]
struct Sent {
    step: usize,
    part: Part,
    /// The image that it was sent by.
    revision: u64,
    /// When it is not repeated any more; None: it was not refused yet.
    until: Option<Instant>,
}

/// A profile that is stored beside the steps.
struct Storing<'a> {
    /// What it is stored for.
    step: &'a Step,
    profile: Profile,
    flags: u32,
    version_id: Option<u64>,
}

type Pending = Pin<Box<dyn Future<Output = (Sent, Result<Answer, Error>)> + Send>>;

struct Run<'a> {
    client: &'a Client,
    kernel: &'a KernelBackend,
    steps: &'a [Step],
    progress: Counter<'a>,
    pending: FuturesUnordered<Pending>,
    /// Profiles that were added, by UUID; None: there is no answer yet.
    added: BTreeMap<&'a str, Option<ObjectPath>>,
    /// Profiles that are stored otherwise until all is up, by UUID.
    held_back: BTreeSet<&'a str>,
    /// The same, of profiles that the work does not write: with what stands for them, and as they are.
    hushed: Vec<(&'a Step, Arc<Stored>)>,
    /// Steps that change profiles and are not confirmed yet. NetworkManager copies what an activation runs
    /// with when the request arrives, but changes a profile only after it has authorised that: an activation
    /// right behind a change would run with what was stored before.
    changing: BTreeSet<usize>,
    /// What is sent again once something has changed, with what it was refused with.
    again: Vec<(Sent, Failure)>,
    manner: Manner,
    /// The first failure that did not stop it.
    failed: Option<Stop>,
}

impl<'a> Run<'a> {
    /// Whether work goes on after this.
    fn proceed(&mut self, result: Result<(), impl Into<Stop>>) -> Result<(), Stop> {
        let Err(stop) = result else { return Ok(()) };
        let stop = stop.into();
        match self.manner {
            Manner::AllOrNothing => Err(stop),
            Manner::AsMuchAsPossible => {
                self.failed.get_or_insert(stop);
                Ok(())
            }
        }
    }

    /// The step is over, without success.
    fn fails(&mut self, sent: &Sent, stop: Stop) -> Result<(), Stop> {
        self.changing.remove(&sent.step);
        self.proceed(Err(stop))
    }

    /// Waits for all of it; what fails is left out of the rest of the wait.
    async fn settle(&mut self, awaits: &[Await]) -> Result<(), Stop> {
        let mut left = awaits.to_vec();
        loop {
            let mut done = Vec::new();
            let progress = &mut self.progress;
            let settled = settle(&left, self.client, self.kernel.mirror(), |what| {
                progress.tell_wait(what);
                done.push(what.clone());
            });
            let Err(unsettled) = settled.await else { return Ok(()) };
            left.retain(|what| !done.contains(what) && Some(what) != unsettled.what.as_ref());
            let fatal = unsettled.what.is_none();
            self.proceed(Err(unsettled.failure.clone()))?;
            if fatal {
                return Err(unsettled.failure.into());
            }
        }
    }

    async fn send_all(&mut self) -> Result<(), Stop> {
        for (number, step) in self.steps.iter().enumerate() {
            match step {
                Step::Wait(what) => {
                    self.answers(|run| run.pending.is_empty() && run.again.is_empty()).await?;
                    sync(self.client).await?;
                    self.settle(std::slice::from_ref(what)).await?;
                    continue;
                }
                Step::Activate { uuid, .. } => {
                    // Its path is in the answer.
                    let is_added = |run: &Self| !matches!(run.added.get(uuid.as_str()), Some(None));
                    // It may pull in others, by their profiles.
                    self.answers(|run| run.changing.is_empty() && is_added(run)).await?;
                }
                Step::Add { profile, .. } => {
                    self.added.extend(profile.uuid().map(|uuid| (uuid, None)));
                }
                Step::Update { .. } | Step::Back(Back::Put { .. }) => {
                    self.changing.insert(number);
                }
                _ => {}
            }
            self.send(Sent { step: number, part: Part::Whole, revision: 0, until: None })?;
        }
        self.answers(|run| run.pending.is_empty() && run.again.is_empty()).await
    }

    fn image(&self) -> Result<Arc<Image>, Failure> {
        self.client.image().ok_or_else(absent)
    }

    /// Takes answers, and repeats what was refused too early, until enough of them are there.
    async fn answers(&mut self, is_enough: impl Fn(&Self) -> bool) -> Result<(), Stop> {
        let mut revisions = self.client.revisions();
        while !is_enough(self) {
            revisions.borrow_and_update();
            self.repeat()?;
            if self.pending.is_empty() && self.again.is_empty() {
                // What was repeated needed nothing any more.
                break;
            }
            let until = self.again.iter().filter_map(|(sent, _)| sent.until).min();
            let event = async {
                tokio::select! {
                    Some(answer) = self.pending.next() => Some(answer),
                    _ = revisions.changed(), if until.is_some() => None,
                }
            };
            let answer = match until {
                Some(until) => timeout_at(until, event).await.unwrap_or(None),
                None => event.await,
            };
            if let Some((sent, result)) = answer {
                self.answered(sent, result)?;
            }
        }
        Ok(())
    }

    /// Sends again what was refused, if something has changed since.
    fn repeat(&mut self) -> Result<(), Stop> {
        let revision = self.image()?.revision;
        let (now, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.again).into_iter().partition(|(sent, _)| sent.revision < revision);
        self.again = later;
        for (sent, failure) in now {
            if sent.until.is_some_and(|until| until <= Instant::now()) {
                self.fails(&sent, failure.into())?;
            } else {
                self.send(sent)?;
            }
        }
        let is_late = |(sent, _): &(Sent, _)| sent.until.is_some_and(|until| until <= Instant::now());
        let (late, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.again).into_iter().partition(is_late);
        self.again.extend(left);
        late.into_iter().try_for_each(|(sent, failure)| self.fails(&sent, failure.into()))
    }

    fn send(&mut self, mut sent: Sent) -> Result<(), Stop> {
        let image = self.image()?;
        sent.revision = image.revision;
        let step = &self.steps[sent.step];
        let calls = if sent.part == Part::Activation {
            activation_instead(step, &image)
        } else {
            calls(step, &image, &self.added)
        };
        let calls = match calls {
            Ok(calls) => calls,
            Err(Missing::Fine) => {
                self.done(&sent);
                return Ok(());
            }
            Err(Missing::Yet(what)) => {
                let message = format!("cannot {step}: {what}");
                let failure = failure(step, ErrorKind::PluginFailure, message);
                sent.until.get_or_insert(Instant::now() + RETRY_MAX);
                self.again.push((sent, failure));
                return Ok(());
            }
        };
        let calls = calls.into_iter().map(|call| self.hold_back(call));
        // Its paths mean other objects to another process.
        let client = self.client.of(&image);
        let last = calls.len().saturating_sub(1);
        for (number, call) in calls.enumerate() {
            let part = if number == last { sent.part } else { Part::First };
            let sent = Sent { part, ..sent.clone() };
            let answer = client.start(call);
            self.pending.push(Box::pin(async move { (sent, answer.await) }));
        }
        Ok(())
    }

    fn answered(&mut self, mut sent: Sent, result: Result<Answer, Error>) -> Result<(), Stop> {
        let step = &self.steps[sent.step];
        let error = match result {
            Ok(answer) => {
                if let Step::Add { profile, .. } = step {
                    self.added.extend(profile.uuid().map(|uuid| (uuid, answer.profile().cloned())));
                }
                self.done(&sent);
                return Ok(());
            }
            Err(error) => error,
        };
        let image = self.image()?;
        let device = step.which().and_then(|which| which.device(&image)).map(|(_, device)| &**device);
        match meaning(step, sent.part, &error, device, sent.until.is_some()) {
            Meaning::Fine => {
                self.done(&sent);
                Ok(())
            }
            Meaning::Activate => self.send(Sent { part: Part::Activation, until: None, ..sent }),
            Meaning::Repeat => {
                sent.until = Some(Instant::now() + RETRY_MAX);
                self.send(sent)
            }
            Meaning::Again => {
                sent.until.get_or_insert(Instant::now() + RETRY_MAX);
                self.again.push((sent, refusal(step, &error, device)));
                Ok(())
            }
            Meaning::Stale => self.fails(&sent, Stop::Stale(refusal(step, &error, device))),
            Meaning::Failed => self.fails(&sent, Stop::Failed(refusal(step, &error, device))),
        }
    }

    /// What is held back brings no ports along.
    fn hold_back(&self, mut call: Call) -> Call {
        if let Call::AddConnection { profile, .. } | Call::Update { profile, .. } = &mut call
            && profile.uuid().is_some_and(|uuid| self.held_back.contains(uuid))
        {
            profile.set("connection", AUTOCONNECT_PORTS, 0_i32);
        }
        call
    }

    /// Stores what is only activated so that it brings no ports along either, for the time being.
    async fn hush(&mut self) -> Result<(), Stop> {
        let hush = |(step, stored): &(&'a Step, Arc<Stored>)| {
            let mut profile = stored.profile.clone();
            profile.set("connection", AUTOCONNECT_PORTS, 0_i32);
            let flags = flags::IN_MEMORY | flags::BLOCK_AUTOCONNECT;
            Storing { step, profile, flags, version_id: stored.version_id }
        };
        let all = self.hushed.iter().map(hush).collect();
        self.store(all).await
    }

    /// Stores what was held back as it shall be: from now on NetworkManager activates the ports.
    async fn let_go(&mut self) -> Result<(), Stop> {
        let written = self.steps.iter().filter_map(|step| match step {
            Step::Add { profile, .. } | Step::Update { profile, .. } => Some((step, profile, false)),
            Step::Back(Back::Put { profile, on_disk, .. }) => Some((step, profile, *on_disk)),
            _ => None,
        });
        let held = written
            .filter(|(_, profile, _)| profile.uuid().is_some_and(|uuid| self.held_back.contains(uuid)));
        let hushed = self.hushed.iter().map(|(step, stored)| (*step, &stored.profile, stored.is_on_disk()));
        let storing = |(step, profile, on_disk): (&'a Step, &Profile, bool)| {
            let flags = if on_disk { flags::TO_DISK } else { flags::IN_MEMORY };
            Storing { step, profile: profile.clone(), flags, version_id: None }
        };
        let all = held.chain(hushed).map(storing).collect();
        self.store(all).await
    }

    /// Stores profiles that are there, and waits for the answers.
    async fn store(&mut self, all: Vec<Storing<'a>>) -> Result<(), Stop> {
        let image = self.image()?;
        let client = self.client.of(&image);
        let mut answers = Vec::with_capacity(all.len());
        for Storing { step, profile, flags, version_id } in all {
            if let Some((path, _)) = profile.uuid().and_then(|uuid| image.stored(uuid)) {
                let call = Call::Update { path: path.clone(), profile, flags, version_id };
                answers.push((step, client.start(call)));
            }
        }
        for (step, answer) in answers {
            let stored = answer.await.map(drop).map_err(|error| {
                let failure = refusal(step, &error, None);
                if error.is_version_mismatch() { Stop::Stale(failure) } else { Stop::Failed(failure) }
            });
            self.proceed(stored)?;
        }
        Ok(())
    }

    fn done(&mut self, sent: &Sent) {
        if sent.part != Part::First {
            self.changing.remove(&sent.step);
            self.progress.tell_step(&self.steps[sent.step]);
        }
    }
}

/// Whether NetworkManager activates the ports of a controller together with it.
const AUTOCONNECT_PORTS: &str = "autoconnect-slaves";

/// Bridges and ports of Open vSwitch that are written and activated, and other controllers that are new, of which ports
/// are activated, too. NetworkManager would activate what belongs to them as well, and what that stands upon, some
/// milliseconds before it gets to our own activation: that would end its own, with the link that has only begun to come
/// and whatever rests on it.
fn held_back<'a>(steps: &'a [Step], image: &Image) -> BTreeSet<&'a str> {
    let coming = Coming::of(steps, image);
    let is_held = |uuid: &str, (step, profile): (&Step, &Profile)| {
        (matches!(step, Step::Add { .. }) || is_of_ovs(profile))
            && coming.activated.contains_key(uuid)
            && coming.brings_ports(profile)
    };
    let held = coming.written.iter().filter(|(uuid, written)| is_held(uuid, **written));
    held.map(|(uuid, _)| *uuid).collect()
}

/// Bridges and ports of Open vSwitch that are activated as they are stored, with the step that does so.
fn hushed<'a>(steps: &'a [Step], image: &Image) -> Vec<(&'a Step, Arc<Stored>)> {
    let coming = Coming::of(steps, image);
    let unwritten = coming.activated.iter().filter(|(uuid, _)| !coming.written.contains_key(*uuid));
    let stored = unwritten.filter_map(|(uuid, step)| Some((*step, image.stored(uuid)?.1.clone())));
    stored.filter(|(_, stored)| is_of_ovs(&stored.profile) && coming.brings_ports(&stored.profile)).collect()
}

fn is_of_ovs(profile: &Profile) -> bool {
    matches!(profile.kind(), Some("ovs-bridge" | "ovs-port"))
}

/// What comes up by some steps.
struct Coming<'a> {
    /// Profiles that are written, by UUID.
    written: BTreeMap<&'a str, (&'a Step, &'a Profile)>,
    /// Those that are activated, by UUID.
    activated: BTreeMap<&'a str, &'a Step>,
    /// Controllers of these, by whatever names them.
    with_ports: BTreeSet<String>,
}

impl<'a> Coming<'a> {
    fn of(steps: &'a [Step], image: &Image) -> Self {
        let (mut written, mut activated) = (BTreeMap::new(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Add { profile, .. }
                | Step::Update { profile, .. }
                | Step::Back(Back::Put { profile, .. }) => {
                    written.extend(profile.uuid().map(|uuid| (uuid, (step, profile))));
                }
                Step::Activate { uuid, .. } => {
                    activated.insert(uuid.as_str(), step);
                }
                _ => {}
            }
        }
        let controller = |uuid: &&str| {
            let written = written.get(uuid).map(|(_, profile)| *profile);
            let profile = written.or_else(|| image.stored(uuid).map(|(_, stored)| &stored.profile))?;
            profile.text("connection", "master").map(str::to_owned)
        };
        let with_ports = activated.keys().filter_map(controller).collect();
        Self { written, activated, with_ports }
    }

    /// Whether NetworkManager would activate ports with it that are activated anyway.
    fn brings_ports(&self, profile: &Profile) -> bool {
        let mut names = [profile.uuid(), profile.interface_name()].into_iter().flatten();
        profile.get("connection", AUTOCONNECT_PORTS).and_then(Value::as_number) == Some(1)
            && names.any(|name| self.with_ports.contains(name))
    }
}

/// What a step needs is not there.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    /// It shall go, and is gone.
    Fine,
    /// It may come.
    Yet(&'static str),
}

const NO_PROFILE: Missing = Missing::Yet("its profile is not there");
const NO_DEVICE: Missing = Missing::Yet("NetworkManager has no such device");

/// The requests of a step, by the paths of now.
fn calls(
    step: &Step,
    image: &Image,
    added: &BTreeMap<&str, Option<ObjectPath>>,
) -> Result<Vec<Call>, Missing> {
    let device = |which: &Which| which.device(image).map(|(path, device)| (path.clone(), device));
    let profile = |uuid: &str| {
        let new = added.get(uuid).cloned().flatten();
        new.or_else(|| image.stored(uuid).map(|(path, _)| path.clone()))
    };
    Ok(match step {
        Step::Add { profile, .. } => {
            let flags = flags::IN_MEMORY | flags::BLOCK_AUTOCONNECT;
            vec![Call::AddConnection { profile: profile.clone(), flags }]
        }
        Step::Update { profile: contents, version_id, .. } => {
            let path = contents.uuid().and_then(profile).ok_or(NO_PROFILE)?;
            let flags = flags::IN_MEMORY | flags::BLOCK_AUTOCONNECT;
            vec![Call::Update { path, profile: contents.clone(), flags, version_id: *version_id }]
        }
        Step::Delete { uuid, .. } => {
            let path = profile(uuid).ok_or(Missing::Fine)?;
            let flags = flags::IN_MEMORY_DETACHED | flags::BLOCK_AUTOCONNECT;
            let profile = Profile::default();
            let hide = Call::Update { path: path.clone(), profile, flags, version_id: None };
            vec![hide, Call::Delete { path }]
        }
        Step::Make { profile, .. } => {
            let (profile, persist) = (profile.clone(), Persist::Memory);
            vec![Call::AddAndActivate { profile, device: None, persist }]
        }
        Step::Activate { which, uuid, on_device } => {
            let path = profile(uuid).ok_or(NO_PROFILE)?;
            let on = if *on_device { Some(device(which).ok_or(NO_DEVICE)?.0) } else { None };
            vec![Call::Activate { profile: path, device: on, specific: None }]
        }
        Step::Reapply { which, version } => {
            let (device, _) = device(which).ok_or(NO_DEVICE)?;
            vec![reapply(image, device, Profile::default(), *version)]
        }
        Step::Deactivate { which } => {
            let (_, device) = device(which).ok_or(Missing::Fine)?;
            vec![Call::Deactivate { active: device.active.clone().ok_or(Missing::Fine)? }]
        }
        Step::Disconnect { which } => {
            let (device, _) = device(which).ok_or(Missing::Fine)?;
            vec![Call::Disconnect { device }]
        }
        Step::DeleteDevice { which } => {
            let (device, _) = device(which).filter(|(_, device)| device.real).ok_or(Missing::Fine)?;
            vec![Call::DeleteDevice { device }]
        }
        Step::Wait(_) => return Err(Missing::Fine),
        Step::GlobalDns(configuration) => vec![Call::SetGlobalDns { configuration: configuration.clone() }],
        Step::Hostname(name) => vec![Call::SaveHostname { name: name.clone() }],
        Step::Back(back) => vec![back_call(back, image)?],
    })
}

fn back_call(back: &Back, image: &Image) -> Result<Call, Missing> {
    let device = |which: &Which| which.device(image).map(|(path, _)| path.clone());
    Ok(match back {
        Back::Put { profile, on_disk, blocks, .. } => {
            let block = if *blocks { flags::BLOCK_AUTOCONNECT } else { 0 };
            let stored = profile.uuid().and_then(|uuid| image.stored(uuid));
            let profile = profile.clone();
            match stored {
                Some((path, stored)) => {
                    let keep = match (on_disk, stored.is_on_disk()) {
                        (true, _) => flags::TO_DISK,
                        (false, true) => flags::IN_MEMORY_ONLY,
                        (false, false) => flags::IN_MEMORY,
                    };
                    Call::Update { path: path.clone(), profile, flags: keep | block, version_id: None }
                }
                None => {
                    let keep = if *on_disk { flags::TO_DISK } else { flags::IN_MEMORY };
                    Call::AddConnection { profile, flags: keep | block }
                }
            }
        }
        Back::Remove { uuid, .. } => {
            let (path, _) = image.stored(uuid).ok_or(Missing::Fine)?;
            Call::Delete { path: path.clone() }
        }
        Back::Reapply { which, profile, whole: true } => {
            let device = device(which).ok_or(NO_DEVICE)?;
            Call::Reapply { device, profile: profile.clone(), version: 0, flags: 0 }
        }
        Back::Reapply { which, profile, whole: false } => {
            reapply(image, device(which).ok_or(NO_DEVICE)?, profile.clone(), 0)
        }
        Back::Managed { which, on } => {
            Call::SetManaged { device: device(which).ok_or(Missing::Fine)?, on: *on }
        }
        Back::Autoconnect { which, on } => {
            Call::SetAutoconnect { device: device(which).ok_or(Missing::Fine)?, on: *on }
        }
    })
}

fn reapply(image: &Image, device: ObjectPath, profile: Profile, version: u64) -> Call {
    let flags = if image.version.at_least(1, 42) { flags::PRESERVE_EXTERNAL_IP } else { 0 };
    Call::Reapply { device, profile, version, flags }
}

/// The activation in the place of a refused reapplication: of the profile that is active there.
fn activation_instead(step: &Step, image: &Image) -> Result<Vec<Call>, Missing> {
    let (path, device) = step.which().and_then(|which| which.device(image)).ok_or(NO_DEVICE)?;
    let profile = image.active_of(device).and_then(|active| active.profile.clone()).ok_or(NO_PROFILE)?;
    Ok(vec![Call::Activate { profile, device: Some(path.clone()), specific: None }])
}

/// What a refusal means for the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It is so already.
    Fine,
    /// What cannot be changed while it is active is activated anew.
    Activate,
    /// It is sent again once something has changed.
    Again,
    /// It is sent again at once.
    Repeat,
    Stale,
    Failed,
}

/// `device`: that of the interface; `is_repeated`: it was refused and sent again before.
fn meaning(step: &Step, part: Part, error: &Error, device: Option<&Device>, is_repeated: bool) -> Meaning {
    let goes = matches!(
        step,
        Step::Delete { .. }
            | Step::Deactivate { .. }
            | Step::Disconnect { .. }
            | Step::DeleteDevice { .. }
            | Step::Back(Back::Remove { .. } | Back::Managed { .. } | Back::Autoconnect { .. })
    );
    let reapplies =
        part != Part::Activation && matches!(step, Step::Reapply { .. } | Step::Back(Back::Reapply { .. }));
    if goes && (error.is_gone() || error.is_not_active() || error.is_not_software()) {
        return Meaning::Fine;
    }
    if reapplies && (error.is_reapply_refused() || error.is_not_active()) {
        return Meaning::Activate;
    }
    if error.is_version_mismatch() || error.is_uuid_taken() || error.is_gone() {
        return Meaning::Stale;
    }
    if error.is_unmanaged() {
        let comes = device.is_none_or(|device| {
            device.state != device::UNMANAGED
                || device.reason == device::NOT_INITIALISED
                || device.reason == 0
        });
        return if comes { Meaning::Again } else { Meaning::Failed };
    }
    if error.is_dependency() || error.is_caller_unknown() {
        return Meaning::Again;
    }
    // systemd-hostnamed, which NetworkManager waits 15 s for, may just have been started.
    if matches!(step, Step::Hostname(_)) && error.name().ends_with(".Settings.Failed") && !is_repeated {
        return Meaning::Repeat;
    }
    // The kernel may have been in the middle of something.
    if error.name().ends_with(".Device.CreationFailed") && !is_repeated {
        return Meaning::Again;
    }
    Meaning::Failed
}

fn refusal(step: &Step, error: &Error, device: Option<&Device>) -> Failure {
    let mut text = format!("NetworkManager cannot {step}: {error}");
    // Why the device was last in a state says nothing about what is done to a profile.
    let is_of_device = !matches!(
        step,
        Step::Add { .. }
            | Step::Update { .. }
            | Step::Delete { .. }
            | Step::Back(Back::Put { .. } | Back::Remove { .. })
    );
    let reason = device.filter(|_| is_of_device).and_then(|device| reasons::of_device(device.reason));
    if let Some(reason) = reason {
        text += &format!(" (its device: {reason})");
    }
    failure(step, error.kind(), text)
}

fn failure(step: &Step, kind: ErrorKind, message: String) -> Failure {
    Failure { kind, subject: step.which().map(|which| which.name.clone()), message }
}

/// A refusal of something that is about no interface.
pub(super) fn refused(what: &str, error: &Error) -> Failure {
    Failure { kind: error.kind(), subject: None, message: format!("cannot {what}: {error}") }
}

/// NetworkManager answers success also for what it drops or what clears the configuration.
fn check_global_dns(steps: &[Step], client: &Client) -> Result<(), Failure> {
    let asked = steps.iter().rev().find_map(|step| match step {
        Step::GlobalDns(asked) => Some(asked),
        _ => None,
    });
    let Some(asked) = asked else { return Ok(()) };
    let image = client.image().ok_or_else(absent)?;
    if is_same_dns(asked, &image.global_dns) {
        return Ok(());
    }
    let message = "NetworkManager did not take the global name servers as they were asked for".to_owned();
    Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message })
}

/// Keys without anything in them are shown by some versions, and left out by others.
pub(super) fn is_same_dns(one: &Setting, other: &Setting) -> bool {
    fn is_empty(value: &Value) -> bool {
        match value {
            Value::Texts(texts) => texts.is_empty(),
            Value::Dict(dict) => dict.values().all(is_empty),
            _ => false,
        }
    }
    let same = |one: Option<&Value>, other: Option<&Value>| match (one, other) {
        (Some(Value::Dict(one)), Some(Value::Dict(other))) => is_same_dns(one, other),
        (Some(one), Some(other)) => one == other,
        (Some(value), None) | (None, Some(value)) => is_empty(value),
        (None, None) => true,
    };
    one.keys().chain(other.keys()).all(|key| same(one.get(key), other.get(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nm::image::Stored;

    fn error(name: &str, message: &str) -> Error {
        Error::new(&format!("org.freedesktop.NetworkManager.{name}"), message)
    }

    fn which() -> Which {
        Which::kernel("eth1")
    }

    fn activate() -> Step {
        Step::Activate { which: which(), uuid: "u".into(), on_device: false }
    }

    #[test]
    fn a_refusal_has_its_meaning() {
        let reapply = Step::Reapply { which: which(), version: 0 };
        let delete = Step::Delete { which: which(), uuid: "u".into(), id: "eth1".into() };
        let gone = || Error::new("org.freedesktop.DBus.Error.UnknownMethod", "No such object");
        for (step, error, meant) in [
            (&delete, gone(), Meaning::Fine),
            (&Step::Disconnect { which: which() }, error("Device.NotActive", ""), Meaning::Fine),
            (&Step::Deactivate { which: which() }, error("ConnectionNotActive", ""), Meaning::Fine),
            (&Step::DeleteDevice { which: which() }, error("Device.NotSoftware", ""), Meaning::Fine),
            (&reapply, error("Device.IncompatibleConnection", "Can't reapply"), Meaning::Activate),
            (&reapply, error("Device.NotActive", ""), Meaning::Activate),
            (&reapply, error("Device.VersionIdMismatch", ""), Meaning::Stale),
            (&activate(), gone(), Meaning::Stale),
            (&activate(), error("UnknownConnection", "failed to create parent: x"), Meaning::Again),
            (&activate(), error("UnknownDevice", "No suitable device found"), Meaning::Again),
            (&activate(), error("DependencyFailed", "Can not find a controller"), Meaning::Again),
            (&activate(), error("Device.CreationFailed", "File exists"), Meaning::Again),
            (&activate(), error("MissingPlugin", ""), Meaning::Failed),
            (&activate(), error("PermissionDenied", ""), Meaning::Failed),
            (
                &activate(),
                error("PermissionDenied", "Unable to determine UID of the request"),
                Meaning::Again,
            ),
            (&activate(), Error::absent(), Meaning::Failed),
        ] {
            assert_eq!(meaning(step, Part::Whole, &error, None, false), meant, "{step}: {error}");
        }
        let again = error("Device.CreationFailed", "File exists");
        assert_eq!(meaning(&activate(), Part::Whole, &again, None, true), Meaning::Failed, "once");
        let hostname = Step::Hostname("host".into());
        let late = error("Settings.Failed", "Saving the hostname failed: Timeout was reached");
        assert_eq!(meaning(&hostname, Part::Whole, &late, None, false), Meaning::Repeat);
        assert_eq!(meaning(&hostname, Part::Whole, &late, None, true), Meaning::Failed, "once");
        let refused = error("Device.NotActive", "");
        assert_eq!(meaning(&reapply, Part::Activation, &refused, None, false), Meaning::Failed, "once");
    }

    #[test]
    fn what_belongs_to_a_controller_is_activated_once() {
        let port = |uuid: &str, kind: &str, controller: &str, brings: Option<i32>| {
            let mut profile = Profile::default();
            profile.set("connection", "uuid", uuid);
            profile.set("connection", "type", kind);
            profile.set("connection", "interface-name", format!("{uuid}0"));
            profile.set("connection", "master", controller);
            if let Some(brings) = brings {
                profile.set("connection", AUTOCONNECT_PORTS, brings);
            }
            profile
        };
        let profile = |uuid: &str, kind: &str, brings| port(uuid, kind, "", brings);
        let add = |profile| Step::Add { which: which(), profile };
        let put = |profile| Step::Back(Back::Put { which: which(), profile, on_disk: true, blocks: true });
        let activate = |uuid: &str| Step::Activate { which: which(), uuid: uuid.into(), on_device: false };
        let steps = [
            add(profile("bridge", "ovs-bridge", Some(1))),
            put(port("port", "ovs-port", "bridge", Some(1))),
            add(profile("idle", "ovs-port", Some(1))),
            add(port("never", "ovs-port", "bridge", Some(0))),
            add(port("said", "ovs-port", "bridge", None)),
            add(port("inner", "ovs-interface", "port", None)),
            add(profile("bond", "bond", Some(1))),
            add(profile("empty", "bridge", Some(1))),
            put(profile("known", "bridge", Some(1))),
            add(port("vlan", "vlan", "known", None)),
            activate("bridge"),
            activate("port"),
            activate("never"),
            activate("said"),
            activate("inner"),
            activate("bond"),
            activate("empty"),
            activate("known"),
            activate("vlan"),
            activate("card"),
        ];
        let mut image = Image::default();
        let mut store = |profile: Profile| {
            let path = format!("/settings/{}", profile.uuid().unwrap_or_default());
            image.profiles.insert(path, Arc::new(Stored { profile, ..Stored::default() }));
        };
        store(port("card", "802-3-ethernet", "bond0", None));
        // What is stored as it shall be is only activated.
        store(profile("up", "ovs-bridge", Some(1)));
        store(port("up-port", "ovs-port", "up0", Some(1)));
        store(port("still", "ovs-port", "up", Some(1)));
        assert_eq!(held_back(&steps, &image), BTreeSet::from(["bond", "bridge", "port"]));
        assert!(hushed(&steps, &image).is_empty());
        let steps = [activate("up"), activate("up-port"), activate("still"), activate("card")];
        let hushed = hushed(&steps, &image);
        assert_eq!(hushed.iter().filter_map(|(_, stored)| stored.profile.uuid()).collect::<Vec<_>>(), ["up"]);
    }

    #[test]
    fn who_is_not_announced_yet_may_come_and_who_is_left_alone_does_not() {
        let error = error("UnknownConnection", "device is strictly unmanaged");
        let meaning = |reason| {
            let device = Device { state: device::UNMANAGED, reason, ..Device::default() };
            meaning(&activate(), Part::Whole, &error, Some(&device), false)
        };
        assert_eq!(meaning(device::NOT_INITIALISED), Meaning::Again);
        assert_eq!(meaning(76), Meaning::Failed);
        let device = Device { state: device::UNMANAGED, reason: 76, ..Device::default() };
        let failure = refusal(&activate(), &error, Some(&device));
        assert_eq!(failure.subject.as_deref(), Some("eth1"));
        assert_eq!(
            failure.message,
            "NetworkManager cannot activate eth1: device is strictly unmanaged \
             (its device: NetworkManager's configuration leaves it alone (`unmanaged-devices`))"
        );
    }

    #[test]
    fn global_name_servers_are_the_same_without_what_is_empty() {
        let servers = |servers: &[&str]| {
            let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
            let all: Setting = [("servers".to_owned(), Value::Texts(servers))].into();
            let domains: Setting = [("*".to_owned(), Value::Dict(all))].into();
            Setting::from([("domains".to_owned(), Value::Dict(domains))])
        };
        let mut full = servers(&["192.0.2.1"]);
        full.insert("searches".into(), Value::Texts(Vec::new()));
        assert!(is_same_dns(&full, &servers(&["192.0.2.1"])));
        assert!(!is_same_dns(&full, &servers(&["192.0.2.2"])));
        assert!(!is_same_dns(&full, &Setting::new()), "it was cleared in silence");
        assert!(is_same_dns(&servers(&[]), &Setting::new()));
    }

    #[test]
    fn what_comes_back_goes_where_it_was() {
        let mut profile = Profile::default();
        profile.set("connection", "uuid", "u");
        let flags_of = |on_disk: bool, blocks: bool, stored: Option<u32>| {
            let mut image = Image::default();
            if let Some(flags) = stored {
                let stored = Stored { profile: profile.clone(), flags, ..Stored::default() };
                image.profiles.insert("/settings/1".into(), Arc::new(stored));
            }
            let back = Back::Put { which: which(), profile: profile.clone(), on_disk, blocks };
            match back_call(&back, &image).expect("a call") {
                Call::AddConnection { flags, .. } => ("add", flags),
                Call::Update { flags, .. } => ("update", flags),
                call => panic!("{call:?}"),
            }
        };
        assert_eq!(flags_of(true, true, None), ("add", 0x21));
        assert_eq!(flags_of(false, false, None), ("add", 0x2));
        assert_eq!(flags_of(true, false, Some(1)), ("update", 0x1));
        assert_eq!(flags_of(false, true, Some(1)), ("update", 0x22));
        assert_eq!(flags_of(false, false, Some(0)), ("update", 0x8), "its file goes");
    }
}
