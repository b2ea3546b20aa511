//! A path that is not there yet, watched: tells when it is worth to look again.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A path that may come.
#[derive(Debug)]
pub struct Door {
    path: PathBuf,
    events: Option<AsyncFd<OwnedFd>>,
}

impl Door {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), events: None }
    }

    /// Watches from now on; what happened before is forgotten. Arm, try, and then wait: nothing is
    /// missed in between.
    pub fn arm(&mut self) {
        let watch = watch(&self.path);
        let watch = watch
            .inspect_err(|error| tracing::warn!(%error, path = %self.path.display(), "cannot watch for it"));
        self.events = watch.ok();
    }

    /// Stops watching.
    pub fn disarm(&mut self) {
        self.events = None;
    }

    /// Waits until something happened on the way to the path; forever if nothing can be watched.
    pub async fn opened(&self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let Ok(mut ready) = events.readable().await else { return std::future::pending().await };
        // What it was is seen by trying; an emptied queue ends the signal.
        let mut bytes = [0; 4096];
        while nix::unistd::read(events, &mut bytes).is_ok_and(|n| n > 0) {}
        ready.clear_ready();
    }
}

/// Watches the lowest folder on the way to the path that exists, for what appears in it, or for its
/// own end.
fn watch(path: &Path) -> io::Result<AsyncFd<OwnedFd>> {
    let flags = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_ATTRIB
        | AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_ONLYDIR;
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let mut folder = path.parent();
    let mut below = None;
    while let Some(at) = folder {
        match inotify.add_watch(at, flags) {
            // The next folder came just now: that one is to be watched.
            Ok(_) if below.is_some_and(Path::is_dir) => (folder, below) = (below, None),
            Ok(_) => {
                let file = OwnedFd::from(inotify);
                // SAFETY: an `OwnedFd` always gives the same descriptor, open as long as it lives.
                let events = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) };
                return Ok(events?);
            }
            Err(Errno::ENOENT | Errno::ENOTDIR) => (folder, below) = (at.parent(), Some(at)),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}
