//! Back to a snapshot, after any end of this process or of netplan's.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::debug;

use super::folders::Own;
use super::foreign::{self, Try};
use super::openvswitch as ovs;
use super::remainder::{self, Rest};
use super::snapshot::Private;
use super::{NetplanBackend, WAITS, failure};
use crate::backend::kernel::Facts;
use crate::backend::openvswitch::{self, Todo};
use crate::backend::{Doing, Failure, Progress, Snapshot};
use crate::netplan::{Files, Folder, NATIVE, OWN, Renderer};
use crate::plan::{self, Change};

/// Rounds of a restore. Each starts from what is there then.
const RESTORE_ROUNDS: u32 = 3;
/// How often a rollback has netplan apply.
const APPLY_ROUNDS: u32 = 2;
/// It does so only if the one before failed within that time: one that hung would hang again, and the kernel's part of
/// the way back has to have its time.
const AGAIN_MAX: Duration = Duration::from_secs(30);
/// How long a rollback waits for somebody's `netplan try` to end, and how often it looks.
const TRY_MAX: Duration = Duration::from_secs(60);
const TRY_LOOK: Duration = Duration::from_millis(500);
/// How long a rollback waits for Open vSwitch's database.
const DATABASE_MAX: Duration = Duration::from_secs(20);
/// Exists while netplan may have been told something that no commit or rollback has ended.
const TOLD: &str = "told";

/// What leads back to a snapshot from what is there now.
struct WayBack {
    rest: Rest,
    /// Links that are made anew.
    rebuilt: BTreeSet<String>,
    /// What Open vSwitch's database has to let go before netplan applies.
    first: Vec<Todo>,
}

impl NetplanBackend {
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
            let of_ovs = openvswitch::plan_back(&back, now);
            let (first, database) = (ovs::before(&of_ovs), ovs::left(&of_ovs));
            let plan = plan::restore(&was.kernel.goal(back, &facts, now), now);
            let reach = snapshot.touched.reach(&snapshot.state, now);
            let disturbed = remainder::disturbed(&snapshot.state, now, &others);
            let mut ops = remainder::kernel_ops(&plan, now);
            ops.extend(was.kernel.differences(&facts, |link| reach.contains(link)));
            let rebuilt = plan.changes.iter().filter_map(|change| match change {
                Change::Interface(change) if change.rebuild => Some(change.name.clone()),
                _ => None,
            });
            WayBack { rest: Rest { ops, database, disturbed }, rebuilt: rebuilt.collect(), first }
        })
        .await
    }

    pub(super) async fn go_back(
        &self,
        snapshot: &Arc<Snapshot>,
        was: &Arc<Private>,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let at_rest = self.programs.at_rest().await;
        // Without it, the way back of what it keeps is not known. Whether it has come is seen then.
        if openvswitch::is_needed(snapshot) {
            openvswitch::comes(&self.images.database, DATABASE_MAX).await;
        }
        self.settled().await?;
        let last = self.images.files.last();
        let ours = [(OWN, &was.own), (NATIVE, &was.native)];
        let is_to_be_told =
            self.is_marked() || ours.iter().any(|(name, was)| Own::of(&last.files, name) != **was);
        let mut done = at_rest;
        let mut told = None;
        // By an Open vSwitch that does not run: netplan would wait for it in vain.
        let mut is_held_up = false;
        if done.is_ok() && is_to_be_told {
            self.try_ends(TRY_MAX).await?;
            done = self.put_back(ours);
        }
        if done.is_ok() && is_to_be_told {
            let way = self.way_back(snapshot, was).await?;
            self.delete(&Vec::from_iter(way.rebuilt), progress).await?;
            // Verification tells of what it could not let go.
            if let Err(failure) = self.tell_database(&way.first).await {
                debug!("{failure}");
            }
            let uses_openvswitch = last.uses_openvswitch() || self.images.files.last().uses_openvswitch();
            is_held_up = uses_openvswitch && !ovs::comes(&self.root, progress).await;
            done = match is_held_up {
                true => self.without_netplan().await,
                false => self.apply_back(&last.files).await,
            };
            // One that cannot apply is not asked again: the kernel has to go back all the same, and in time.
            told = done.is_ok().then_some(&last.files);
            done = done.and(self.forget_failed_units().await);
        }
        // As much as possible, whatever failed before.
        let rest = || -> Doing<'_, Rest> { Box::pin(async { Ok(self.way_back(snapshot, was).await?.rest) }) };
        for round in 0..RESTORE_ROUNDS {
            // First whoever has the files: also where nothing has to be said, it may only just have started.
            let waits = round == 0 && !is_held_up;
            let missing = if waits { self.finish(told, &rest, progress).await } else { rest().await };
            done = done.and(match missing {
                Ok(missing) => {
                    let told = self.tell_database(&missing.database).await;
                    self.kernel.run(&missing.ops, progress).await.and(told)
                }
                Err(failure) => Err(failure),
            });
            if let (true, Ok(configs)) = (is_to_be_told, &self.images.files.last().read) {
                done = done.and(self.settle_macs(&configs.all, progress).await);
            }
            let rest = rest().await?;
            if rest.ops.is_empty() && rest.database.is_empty() {
                break;
            }
        }
        done?;
        self.unmark()
    }

    /// Our files as they were. What is there already is not written: the disk may be full.
    fn put_back(&self, ours: [(&str, &Own); 2]) -> Result<(), Failure> {
        let mut done = if self.is_marked() { Ok(()) } else { self.mark() };
        for (name, was) in ours {
            for (folder, text) in [(Folder::Run, &was.run), (Folder::Etc, &was.etc)] {
                done = done.and(self.folders.put(folder, name, text.as_deref()));
            }
        }
        done
    }

    /// Has netplan apply, and once more if it failed early.
    async fn apply_back(&self, before: &Files) -> Result<(), Failure> {
        let end = Instant::now() + AGAIN_MAX;
        let mut done = self.programs.apply(before).await;
        for _ in 1..APPLY_ROUNDS {
            if done.is_ok() || Instant::now() >= end {
                break;
            }
            done = self.programs.apply(before).await;
        }
        done
    }

    /// Nothing is left to netplan, and whoever asked is told so. An apply that did not end may have stopped NetworkManager.
    async fn without_netplan(&self) -> Result<(), Failure> {
        if self.slowest() == Renderer::NetworkManager {
            self.programs.start_networkmanager().await?;
        }
        Err(failure(ovs::DOES_NOT_RUN.into()))
    }

    /// Waits until somebody's `netplan try` has ended, at most so long.
    pub(super) async fn try_ends(&self, most: Duration) -> Result<(), Failure> {
        let end = Instant::now() + most;
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

    pub(super) fn clear_try(&self) -> Result<(), Failure> {
        foreign::clear(&self.root)
            .map_err(|error| failure(format!("cannot take away what a dead `netplan try` left: {error}")))
    }

    fn is_marked(&self) -> bool {
        // What cannot be looked at may be there.
        self.scratch.join(TOLD).try_exists().unwrap_or(true)
    }

    pub(super) fn mark(&self) -> Result<(), Failure> {
        let mark = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.scratch)?;
            fs::write(self.scratch.join(TOLD), "")
        };
        mark().map_err(|error| self.cannot_mark(&error))
    }

    pub(super) fn unmark(&self) -> Result<(), Failure> {
        match fs::remove_file(self.scratch.join(TOLD)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.cannot_mark(&error)),
            _ => Ok(()),
        }
    }

    fn cannot_mark(&self, error: &io::Error) -> Failure {
        failure(format!("cannot write to {}: {error}", self.scratch.display()))
    }
}
