//! The network as the kernel has it, and netplan's files as last read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::overlay::lay;
use crate::backend::observer::Source;
use crate::backend::{Failure, Observation, kernel};
use crate::kernel::mirror::{Image, Link, Mirror};
use crate::netplan::{Broken, Config, Device, Devices, Files, OWN, native_of, read};

/// The live images that a state is made of.
#[derive(Clone)]
pub(super) struct Images {
    pub mirror: Mirror,
    pub files: Arc<Seen>,
}

/// The files as last read, and how often they have changed.
pub(super) struct Seen {
    last: Mutex<Arc<Last>>,
    changes: watch::Sender<u64>,
}

/// What the files say.
pub(super) struct Last {
    pub files: Files,
    /// Or the first thing that is wrong.
    pub read: Result<Configs, Broken>,
}

/// What some of the files say together.
pub(super) struct Configs {
    pub all: Config,
    /// Our file alone.
    pub own: Config,
    /// Those of others.
    pub foreign: Config,
}

impl Last {
    fn new(files: Files) -> Arc<Self> {
        let read = || {
            Ok(Configs {
                all: Config::read(&files)?,
                own: Config::read(&files.only(OWN))?,
                foreign: Config::read(&files.without(&[OWN]))?,
            })
        };
        Arc::new(Self { read: read(), files })
    }
}

impl Seen {
    pub(super) fn new(files: Files) -> Self {
        Self { last: Mutex::new(Last::new(files)), changes: watch::channel(0).0 }
    }

    /// Takes what was read now.
    pub(super) fn take(&self, files: Files) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.files != files {
            *last = Last::new(files);
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    pub(super) fn last(&self) -> Arc<Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What definitions can match.
pub(super) fn devices(image: &Image) -> Devices {
    let of = |link: &Link| {
        let permanent = link.permanent_address.as_ref().map(ToString::to_string);
        let driver = image.devices.get(&link.index).and_then(|device| device.driver.clone());
        Device {
            permanent_mac: permanent.and_then(|address| address.parse().ok()),
            driver: driver.map(String::from),
        }
    };
    image.links.values().map(|link| (link.name.to_string(), of(link))).collect()
}

impl Source for Images {
    type Cache = kernel::Everything;

    /// Each of them increases only, so the sum does with every change of either.
    fn revision(&self) -> u64 {
        self.mirror.revision() + *self.files.changes.borrow()
    }

    fn build(&self, cache: &mut kernel::Everything) -> Result<Observation, Failure> {
        let revision = self.revision();
        let image = self.mirror.image();
        let mut state = cache.0.show(&image);
        // Of files that nobody understands nothing is known; who plans is told so.
        let last = self.files.last();
        if let Ok(configs) = &last.read {
            state = lay(state, &read(&configs.all, &devices(&image)));
            state.network = native_of(&last.files);
        }
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
