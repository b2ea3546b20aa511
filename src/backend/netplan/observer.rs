//! The network as the kernel and Open vSwitch's database have it, and netplan's files as last read.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::openvswitch::is_in;
use super::overlay::lay;
use super::refuse::broken;
use crate::backend::observer::Source;
use crate::backend::openvswitch;
use crate::backend::{Failure, Observation, kernel};
use crate::kernel::mirror::{Image, Link, Mirror};
use crate::netplan::{Broken, Config, Device, Devices, Files, OWN, native_of, read};
use crate::ovsdb::Database;
use crate::state::{Path, Problem};

/// The live images that a state is made of.
#[derive(Clone)]
pub(super) struct Images {
    pub mirror: Mirror,
    pub files: Arc<Seen>,
    pub database: Database,
    /// Changes with every change of its image.
    pub written: watch::Receiver<u64>,
}

/// The files as last read, and how often they have changed.
pub(super) struct Seen {
    last: Mutex<Arc<Last>>,
    changes: watch::Sender<u64>,
}

/// What the files say.
pub(super) struct Last {
    pub files: Files,
    /// Whether these are the files as they are.
    is_read: bool,
    /// Or the first thing that is wrong, of one of them or with reading them.
    pub read: Result<Configs, Problem>,
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
    fn new(files: Files) -> Self {
        let read = || {
            Ok(Configs {
                all: Config::read(&files)?,
                own: Config::read(&files.only(OWN))?,
                foreign: Config::read(&files.without(&[OWN]))?,
            })
        };
        Self { read: read().map_err(|error: Broken| broken(&error)), files, is_read: true }
    }

    /// Whether netplan has anything to tell Open vSwitch.
    pub(super) fn uses_openvswitch(&self) -> bool {
        self.read.as_ref().is_ok_and(|configs| is_in(&configs.all))
    }

    /// As they were before, and why nobody knows what they are now.
    fn unreadable(before: &Files, why: Problem) -> Self {
        Self { read: Err(why), files: before.clone(), is_read: false }
    }
}

impl Seen {
    pub(super) fn new(files: Result<Files, Failure>) -> Self {
        let seen =
            Self { last: Mutex::new(Arc::new(Last::new(Files::default()))), changes: watch::channel(0).0 };
        seen.take(files);
        seen
    }

    /// Takes what was read now, or why it could not be.
    pub(super) fn take(&self, files: Result<Files, Failure>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let new = match files {
            Ok(files) if last.is_read && last.files == files => return,
            Ok(files) => Last::new(files),
            Err(Failure { kind, message, .. }) => {
                let why = Problem::new(kind, Path::root(), message);
                if last.read.as_ref().err() == Some(&why) {
                    return;
                }
                Last::unreadable(&last.files, why)
            }
        };
        *last = Arc::new(new);
        self.changes.send_modify(|changes| *changes += 1);
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
        self.mirror.revision() + *self.files.changes.borrow() + *self.written.borrow()
    }

    fn build(&self, cache: &mut kernel::Everything) -> Result<Observation, Failure> {
        let revision = self.revision();
        let image = self.mirror.image();
        let mut state = openvswitch::lay(cache.0.show(&image), &self.database);
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
    let mut written = images.written.clone();
    loop {
        revision.send_replace(images.revision());
        let goes_on = tokio::select! {
            changed = read.changed() => changed.is_ok(),
            changed = seen.changed() => changed.is_ok(),
            changed = written.changed() => changed.is_ok(),
            () = revision.closed() => false,
        };
        if !goes_on {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netplan::{File, Folder};
    use crate::state::ErrorKind;

    #[test]
    fn files_that_cannot_be_read_are_told_and_the_last_are_known() {
        let mut files = Files::default();
        files.insert(File::new(Folder::Etc, "10-a.yaml"), "network: {ethernets: {eth1: {}}}".into());
        let seen = Seen::new(Ok(files.clone()));
        let unreadable = || {
            let message = "cannot read /etc/netplan/20-b.yaml: is no regular file".to_owned();
            Err(Failure { kind: ErrorKind::StorageError, subject: None, message })
        };
        seen.take(unreadable());
        let changes = *seen.changes.borrow();
        let last = seen.last();
        assert_eq!(last.files, files);
        let why = last.read.as_ref().err().expect("nothing can be planned").to_string();
        assert!(why.contains("20-b.yaml: is no regular file"), "{why}");
        seen.take(unreadable());
        assert_eq!(*seen.changes.borrow(), changes, "that is nothing new");
        seen.take(Ok(files));
        assert!(seen.last().read.is_ok());
    }
}
