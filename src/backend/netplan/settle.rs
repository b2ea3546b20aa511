//! Waiting until the renderer has done what it was told.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::libc;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::NetplanBackend;
use super::carry_out::can_be_made_again;
use super::observer::{Configs, devices};
use super::remainder::{self, Rest};
use crate::backend::{Backend, Doing, Failure, Progress, nm};
use crate::kernel::mirror::Link;
use crate::netplan::{Config, Files, Renderer, read};
use crate::plan;
use crate::state::State;

/// How long what netplan has handed over may take to come nearer to what was asked for: networkd is done in
/// a tenth of a second, NetworkManager starts anew.
pub(super) fn patience(renderer: Renderer) -> Duration {
    match renderer {
        Renderer::Networkd => Duration::from_secs(3),
        Renderer::NetworkManager => Duration::from_secs(25),
    }
}

/// The same for one that was told nothing, and has perhaps only just started with the machine.
const START_MAX: Duration = Duration::from_secs(10);

/// Finds out what is missing.
pub(super) type Look<'a> = dyn Fn() -> Doing<'a, Rest> + Sync + 'a;

/// Hardware, or a link that rests on another, which is up and has no carrier: renderers configure it when that comes.
fn awaits_cable(link: &Link) -> bool {
    let needs_one = link.data.is_none() || link.link.is_some();
    needs_one && link.has(libc::IFF_UP) && !link.has(libc::IFF_LOWER_UP)
}

/// Whoever writes Open vSwitch's database makes it, and nobody deletes it otherwise.
fn is_of_switch(link: &Link) -> bool {
    link.data.as_ref().is_some_and(|data| data.kind() == "openvswitch")
}

impl NetplanBackend {
    /// Waits until the renderer has done what it was told, and does what it leaves for good. `rest`: what is missing. The
    /// answer is what should not be missing any more.
    async fn wait(
        &self,
        rest: &Look<'_>,
        patience: Duration,
        progress: Progress<'_>,
    ) -> Result<Rest, Failure> {
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
            let is_any_left = !left.is_empty() || !rest.database.is_empty();
            if is_any_left && !is_left_done {
                is_left_done = true;
                self.tell_database(&rest.database).await?;
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
    pub(super) async fn finish(
        &self,
        told: Option<&Files>,
        rest: &Look<'_>,
        progress: Progress<'_>,
    ) -> Result<Rest, Failure> {
        let patience = patience(self.slowest()).max(told.map_or(START_MAX, |_| Duration::ZERO));
        let missing = self.wait(rest, patience, progress).await?;
        let left_out = missing.left_out(self.renderers());
        let Some(files) = told.filter(|_| !left_out.is_empty()) else { return Ok(missing) };
        debug!(?left_out, "netplan applies again");
        // NetworkManager has those of a predecessor that was killed for somebody else's, and leaves them as they are.
        self.delete(&self.made_again(&left_out), progress).await?;
        self.programs.apply(files).await?;
        self.wait(rest, patience, progress).await
    }

    /// Whether the renderer always does everything that is said of an interface of that name, by itself: it is defined,
    /// and not Open vSwitch's, and nothing waits for its cable.
    pub(super) fn renderers(&self) -> impl Fn(&str) -> bool {
        let (last, image) = (self.images.files.last(), self.kernel.mirror().image());
        let devices = devices(&image);
        move |name| {
            let is_left =
                image.link_by_name(name).is_some_and(|link| awaits_cable(link) || is_of_switch(link));
            let is_defined = |configs: &Configs| configs.all.netdef_of(name, &devices).is_some();
            !is_left && last.read.as_ref().is_ok_and(is_defined)
        }
    }

    /// Those of these that are links which whoever defines them makes again.
    fn made_again(&self, names: &BTreeSet<String>) -> Vec<String> {
        let Ok(seen) = self.observe() else { return Vec::new() };
        let of_these = seen.state.interfaces().iter().filter(|one| names.contains(&one.name));
        of_these.filter(|one| can_be_made_again(one)).map(|one| one.name.clone()).collect()
    }

    /// NetworkManager, if it has any of the definitions.
    pub(super) fn slowest(&self) -> Renderer {
        let last = self.images.files.last();
        // Of files that nobody understands nothing is known.
        let Ok(Configs { all, .. }) = &last.read else { return self.renderer };
        let default = self.renderer(all);
        let mut renderers = all.netdefs.values().map(|netdef| netdef.renderer.unwrap_or(default));
        renderers.find(|one| *one == Renderer::NetworkManager).unwrap_or(Renderer::Networkd)
    }

    /// The interfaces that `config` defines and that are not touched by a change of `was`.
    pub(super) fn others(&self, was: &State, touched: &plan::Touched, config: &Config) -> BTreeSet<String> {
        let (devices, reach) = (self.devices(), touched.reach(was, was));
        let names = was.interfaces().iter().map(|interface| &interface.name);
        let is_defined = |name: &&String| config.netdef_of(name, &devices).is_some();
        names.filter(|name| !reach.contains(*name)).filter(is_defined).cloned().collect()
    }

    /// NetworkManager makes all of its links anew, also those that do not change, while udev is about to give each an
    /// address of its own.
    pub(super) async fn settle_macs(&self, config: &Config, progress: Progress<'_>) -> Result<(), Failure> {
        let asked = remainder::macs(&read(config, &self.devices()));
        nm::macs::settle(&asked, &self.kernel, progress).await
    }
}
