//! The network as the kernel has it, NetworkManager, Open vSwitch's database and the dispatcher's
//! scripts laid over it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::scripts::{self, Files};
use super::settle::absent;
use crate::backend::kernel;
use crate::backend::observer::Source;
use crate::backend::openvswitch;
use crate::backend::{Availability, Failure, Observation};
use crate::kernel::mirror::Mirror;
use crate::nm::Client;
use crate::nm::show::Overlay;
use crate::ovsdb::Database;

/// The live images that a state is made of.
#[derive(Clone)]
pub(super) struct Images {
    pub mirror: Mirror,
    pub client: Client,
    /// Changes with every change of NetworkManager's image.
    pub told: watch::Receiver<u64>,
    pub scripts: Arc<Seen>,
    pub database: Database,
    /// Changes with every change of its image.
    pub written: watch::Receiver<u64>,
}

/// The scripts as last read, and how often they have changed.
#[derive(Default)]
pub(super) struct Seen(Mutex<(u64, Files)>);

impl Seen {
    /// Takes what was read now.
    pub(super) fn take(&self, files: Files) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.1 != files {
            *seen = (seen.0 + 1, files);
        }
    }

    fn changes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    pub(super) fn files(&self) -> Files {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

/// What translating once leaves for the next time.
#[derive(Default)]
pub(super) struct Translators {
    kernel: kernel::Everything,
    overlay: Overlay,
}

impl Source for Images {
    type Cache = Translators;

    /// Each of them increases only, so the sum does with every change of any.
    fn revision(&self) -> u64 {
        self.mirror.revision() + *self.told.borrow() + *self.written.borrow() + self.scripts.changes()
    }

    fn build(&self, cache: &mut Translators) -> Result<Observation, Failure> {
        let revision = self.revision();
        let kernel = cache.kernel.0.show(&self.mirror.image());
        let image = self.client.image().ok_or_else(absent)?;
        let mut state = openvswitch::lay(cache.overlay.lay(&kernel, &image), &self.database);
        scripts::show(&mut state, &self.scripts.files());
        Ok(Observation { state: Arc::new(state), revision })
    }
}

/// Tells of every change of any of them. Ends with the images, or when nobody listens.
pub(super) async fn follow(
    images: Images,
    revision: watch::Sender<u64>,
    availability: watch::Sender<Availability>,
) {
    let (mut told, mut seen) = (images.told.clone(), images.mirror.revisions());
    let mut written = images.written.clone();
    loop {
        revision.send_replace(images.revision());
        availability.send_if_modified(|known| {
            let now = available(&images.client);
            let is_new = *known != now;
            *known = now;
            is_new
        });
        let goes_on = tokio::select! {
            changed = told.changed() => changed.is_ok(),
            changed = seen.changed() => changed.is_ok(),
            changed = written.changed() => changed.is_ok(),
            () = revision.closed() => false,
        };
        if !goes_on {
            return;
        }
    }
}

pub(super) fn available(client: &Client) -> Availability {
    let missing = client.image().is_none().then(|| absent().message);
    Availability { losses: *client.losses().borrow(), missing }
}
