//! A plan is told to netplan, and carried out.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;

use nix::libc;

use super::folders::Own;
use super::foreign::{self, Try};
use super::lower::{System, lower};
use super::observer::{Configs, Last, devices};
use super::remainder::{self, Rest};
use super::{NetplanBackend, WAITS, failure, native, openvswitch, refuse};
use crate::backend::{Backend, Capabilities, Doing, Failure, Progress, Step};
use crate::kernel::mirror::Image;
use crate::netplan::{
    Broken, Composed, Config, File, Files, Folder, NATIVE, OWN, Target, changed_modes, compose, native_text,
    with_native,
};
use crate::plan::{self, Change, Plan};
use crate::state::{Interface, InterfaceType, Native, Path as Place, Problem, State};

/// How long planning waits for what netplan says of the files.
const ANSWER_MAX: Duration = Duration::from_secs(25);
/// How long a change waits for its check's turn: until all plans before it have had theirs, or given up.
const TURN_MAX: Duration = Duration::from_secs(60);

/// What is to be done, as netplan hears it.
pub(super) struct Told {
    last: Arc<Last>,
    pub(super) composed: Composed,
    /// The file of what is said in netplan's own words, where that changes.
    native: Option<String>,
    /// The files as they will be.
    files: Files,
    /// What they will say.
    then: Config,
}

impl Told {
    fn new(last: Arc<Last>, composed: Composed, native: Option<String>) -> Result<Self, Broken> {
        let mut files = last.files.clone();
        files.insert(File::new(Folder::Run, OWN), composed.text.clone());
        if let Some(text) = &native {
            files.insert(File::new(Folder::Run, NATIVE), text.clone());
        }
        let then = Config::read(&files)?;
        Ok(Self { last, composed, native, files, then })
    }

    /// Whether netplan has anything to tell Open vSwitch: what is, or was.
    pub(super) fn uses_openvswitch(&self) -> bool {
        self.last.uses_openvswitch() || openvswitch::is_in(&self.then)
    }
}

impl NetplanBackend {
    /// What our file is to be for that plan; or everything that it cannot say.
    pub(super) fn tell(&self, plan: &Plan, now: &State) -> Result<Told, Vec<Problem>> {
        let last = self.images.files.last();
        let Configs { all, own, foreign } = last.read.as_ref().map_err(|problem| vec![problem.clone()])?;
        let image = self.kernel.mirror().image();
        let (devices, unplugged) = (devices(&image), unplugged(&image));
        let system = |config| System { now, config, devices: &devices, unplugged: &unplugged };
        let target = Target { renderer: self.renderer(foreign), version: self.programs.version };
        let native = plan.changes.iter().find_map(|change| match change {
            Change::Network(change) => Some(change.after.clone().unwrap_or_else(Native::nothing)),
            _ => None,
        });
        let broken = |error: Broken| vec![refuse::broken(&error)];
        // Tunnels, of whatever kind: netplan makes them again.
        let mut others = Vec::new();
        let composed = match &native {
            None => compose(own, foreign, &lower(plan, &system(all)), &target, &devices),
            Some(native) => {
                let read = |files: &Files| Config::read(files).map_err(broken);
                let then = with_native(&last.files, native);
                let (before, all, foreign) = (all, read(&then)?, read(&then.without(&[OWN]))?);
                others = changed_modes(before, &all);
                let mut wanted = lower(plan, &system(&all));
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
        composed.delete_first.extend(others);
        let native = native.as_ref().map(native_text);
        Told::new(last.clone(), composed, native).map_err(broken)
    }

    pub(super) async fn carry_out(&self, plan: Arc<Plan>, progress: Progress<'_>) -> Result<(), Failure> {
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
            self.check(&told.files).await?;
            if told.uses_openvswitch() && !openvswitch::runs(&self.root) {
                return Err(failure(openvswitch::DOES_NOT_RUN.into()));
            }
            self.programs.at_rest().await?;
            step(2, "write netplan's configuration");
            self.mark()?;
            let Told { last, composed, native, .. } = &told;
            if composed.text != Own::of(&last.files, OWN).text() {
                self.folders.put(Folder::Run, OWN, Some(&composed.text))?;
            }
            if let Some(text) = native {
                self.folders.put(Folder::Run, NATIVE, Some(text))?;
            }
            self.delete(&composed.delete_first, progress).await?;
            self.tell_database(&openvswitch::before(&plan)).await?;
            step(3, "netplan apply");
            self.programs.apply(&last.files).await?;
        }
        step(4, "what netplan leaves");
        // What is kept is netplan's alone.
        let (dormant, unkept) = Default::default();
        let capabilities = Arc::new(Capabilities { dormant, unkept, ..self.capabilities() });
        let mut touched = plan::Touched::default();
        touched.extend(&plan);
        let others = Arc::new(self.others(&now, &touched, &told.then));
        let rest = || -> Doing<'_, Rest> {
            let (plan, capabilities) = (plan.clone(), capabilities.clone());
            let (was, others) = (now.clone(), others.clone());
            let rest = move |now: &State| {
                let (ops, database) = remainder::of_plan(&plan, now, &capabilities);
                Rest { ops, database, disturbed: remainder::disturbed(&was, now, &others) }
            };
            Box::pin(self.once_settled(rest))
        };
        if !is_told {
            let missing = rest().await?;
            self.tell_database(&missing.database).await?;
            return self.kernel.run(&missing.ops, progress).await;
        }
        let missing = self.finish(Some(&told.last.files), &rest, progress).await?;
        missing.complain(self.renderers())?;
        self.tell_database(&missing.database).await?;
        self.kernel.run(&missing.ops, progress).await?;
        self.settle_macs(&told.then, progress).await?;
        if told.native.is_some() && !plan.unverified {
            self.heed(&told.files, &told.then, progress).await?;
        }
        Ok(())
    }

    /// Has netplan say whether it understands these files; what it said last is remembered.
    async fn check(&self, files: &Files) -> Result<(), Failure> {
        let said = match self.said_of(files) {
            Some(said) => said,
            None => self.remember(files, self.programs.check(files, TURN_MAX).await?),
        };
        said.map_or(Ok(()), Err)
    }

    fn said_of(&self, files: &Files) -> Option<Option<Failure>> {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked.as_ref().filter(|(known, _)| known == files).map(|(_, said)| said.clone())
    }

    fn remember(&self, files: &Files, said: Option<Failure>) -> Option<Failure> {
        *self.checked.lock().unwrap_or_else(PoisonError::into_inner) = Some((files.clone(), said.clone()));
        said
    }

    /// What netplan says against it, or why it cannot be asked; whoever carries it out is told that it takes too long.
    pub(super) fn complaint(&self, told: &Told) -> Option<Problem> {
        let said = match self.said_of(&told.files) {
            Some(said) => said,
            None => {
                let (answer, answered) = mpsc::channel();
                let (programs, files) = (self.programs.clone(), told.files.clone());
                self.runtime.spawn(async move { answer.send(programs.check(&files, ANSWER_MAX).await) });
                match answered.recv_timeout(ANSWER_MAX).ok()? {
                    Ok(said) => self.remember(&told.files, said),
                    // It may be otherwise the next time.
                    Err(failure) => Some(failure),
                }
            }
        };
        let Failure { kind, message, .. } = said?;
        let path = told.native.as_ref().and_then(|text| native::place(text, &message));
        Some(Problem::new(kind, path.unwrap_or_else(Place::root), message))
    }
}

/// Links without carrier.
fn unplugged(image: &Image) -> BTreeSet<String> {
    let links = image.links.values().filter(|link| !link.has(libc::IFF_LOWER_UP));
    links.map(|link| link.name.to_string()).collect()
}

/// A cable whose other end is in another network namespace is not.
pub(super) fn can_be_made_again(interface: &Interface) -> bool {
    let is_far = *interface.kind() == InterfaceType::Veth && interface.veth.is_none();
    plan::is_removable(interface) && !is_far
}

/// Whether netplan has anything to do with it.
pub(super) fn is_netplans(change: &Change) -> bool {
    match change {
        Change::Interface(_)
        | Change::Route(_)
        | Change::Rule(_)
        | Change::Dns(_)
        | Change::OvsDb(_)
        | Change::Network(_) => true,
        Change::Hostname(_) | Change::Ovn(_) => false,
    }
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
