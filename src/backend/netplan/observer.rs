//! The network as the kernel has it, and netplan's files as last read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::backend::observer::Source;
use crate::backend::{Failure, Observation, kernel};
use crate::kernel::mirror::Mirror;
use crate::netplan::Files;

/// The live images that a state is made of.
#[derive(Clone)]
pub(super) struct Images {
    pub mirror: Mirror,
    pub files: Arc<Seen>,
}

/// The files as last read, and how often they have changed.
pub(super) struct Seen {
    files: Mutex<Arc<Files>>,
    changes: watch::Sender<u64>,
}

impl Seen {
    pub(super) fn new(files: Files) -> Self {
        Self { files: Mutex::new(Arc::new(files)), changes: watch::channel(0).0 }
    }

    /// Takes what was read now.
    pub(super) fn take(&self, files: Files) {
        let mut seen = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if **seen != files {
            *seen = Arc::new(files);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    pub(super) fn files(&self) -> Arc<Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Source for Images {
    type Cache = kernel::Everything;

    /// Each of them increases only, so the sum does with every change of either.
    fn revision(&self) -> u64 {
        self.mirror.revision() + *self.files.changes.borrow()
    }

    fn build(&self, cache: &mut kernel::Everything) -> Result<Observation, Failure> {
        let revision = self.revision();
        let state = cache.0.show(&self.mirror.image());
        Ok(Observation { state: Arc::new(state), revision })
    }
}

/// Tells of every change of any of them. Ends with the images, or when nobody listens.
pub(super) async fn follow(images: Images, revision: watch::Sender<u64>) {
    let (mut read, mut seen) = (images.files.changes.subscribe(), images.mirror.revisions());
    loop {
        revision.send_replace(images.revision());
        let goes_on = tokio::select! {
            changed = read.changed() => changed.is_ok(),
            changed = seen.changed() => changed.is_ok(),
            () = revision.closed() => false,
        };
        if !goes_on {
            return;
        }
    }
}
