//! Host name and resolver: read once, and again when a watch tells of a change.

use super::Paths;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Host name and resolver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The name in use; `None` if it cannot be read.
    pub running_name: Option<Box<str>>,
    /// The persistent name, empty without its file.
    pub configured_name: Box<str>,
    /// `None` without a readable resolver file.
    pub resolver: Option<Resolver>,
}

/// resolv.conf(5), by the lines that begin exactly with one of three keywords and a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    pub servers: Vec<Box<str>>,
    pub searches: Vec<Box<str>>,
    pub options: Vec<Box<str>>,
}

/// A host name has at most 64 bytes, a resolver file a few hundred. More is not read.
const FILE_MAX: u64 = 1024 * 1024;

impl Host {
    pub(super) fn read(paths: &Paths) -> Self {
        let line = |path: &Path| -> Option<Box<str>> { Some(read(path)?.trim().into()) };
        Self {
            running_name: line(&paths.running_hostname).filter(|name| !name.is_empty()),
            configured_name: line(&paths.hostname).unwrap_or_default(),
            resolver: read(&paths.resolv_conf).map(|text| Resolver::parse(&text)),
        }
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(FILE_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

impl Resolver {
    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let words = |rest: &str| -> Vec<Box<str>> { rest.split_whitespace().map(Into::into).collect() };
            if let Some(server) = line.strip_prefix("nameserver ") {
                resolver.servers.extend(words(server).into_iter().next());
            } else if let Some(searches) = line.strip_prefix("search ") {
                // The last line wins, resolv.conf(5).
                resolver.searches = words(searches);
            } else if let Some(options) = line.strip_prefix("options ") {
                resolver.options.extend(words(options));
            }
        }
        resolver
    }
}

/// Tells when something of [`Host`] may have changed.
#[derive(Debug)]
pub(super) struct HostWatch {
    /// The file signals a change of name (`POLLERR | POLLPRI`, kernel/utsname_sysctl.c).
    running_name: Option<AsyncFd<File>>,
    files: Option<AsyncFd<OwnedFd>>,
}

impl HostWatch {
    /// Watches what can be watched; what cannot is left out, with a line in the log.
    pub(super) fn open(paths: &Paths) -> Self {
        let running_name = watch_name(&paths.running_hostname)
            .inspect_err(|error| tracing::debug!(%error, "cannot watch the host name"));
        let files = watch_files(paths)
            .inspect_err(|error| tracing::warn!(%error, "cannot watch the resolver's file"));
        Self { running_name: running_name.ok(), files: files.ok() }
    }

    /// Waits for a change. A signal is consumed only as this returns.
    pub(super) async fn changed(&self) {
        let name = async {
            match &self.running_name {
                Some(file) => match file.ready(Interest::PRIORITY).await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let files = async {
            match &self.files {
                Some(inotify) => match inotify.readable().await {
                    Ok(mut ready) => {
                        // Which file it was does not matter; an emptied queue ends the signal.
                        let mut events = [0; 4096];
                        while nix::unistd::read(inotify, &mut events).is_ok_and(|n| n > 0) {}
                        ready.clear_ready();
                    }
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = name => {}
            () = files => {}
        }
    }
}

fn watch_name(path: &Path) -> io::Result<AsyncFd<File>> {
    let mut file = File::open(path)?;
    // The file reports changes since it was last read.
    file.read_to_end(&mut Vec::new())?;
    register(file, Interest::PRIORITY)
}

/// Watches the folders of the files, and of what a symbolic link leads to: a file is replaced by
/// renaming, so the file itself is the wrong thing to watch.
fn watch_files(paths: &Paths) -> io::Result<AsyncFd<OwnedFd>> {
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let flags = AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE;
    let files = [&paths.resolv_conf, &paths.hostname];
    let mut folders: Vec<PathBuf> = files
        .into_iter()
        .flat_map(|file| [Some(file.clone()), fs::canonicalize(file).ok()])
        .filter_map(|file| file?.parent().map(Path::to_owned))
        .collect();
    folders.sort();
    folders.dedup();
    for folder in folders {
        // A folder that is not there has no file to watch.
        if let Err(errno) = inotify.add_watch(&folder, flags) {
            tracing::debug!(folder = %folder.display(), %errno, "cannot watch");
        }
    }
    register(OwnedFd::from(inotify), Interest::READABLE)
}

fn register<T: AsRawFd>(file: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: `File` and `OwnedFd` always give the same descriptor, open as long as they live.
    let registered = unsafe { AsyncFd::register_with_interest(file, interest) };
    Ok(registered?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_keywords_count() {
        let text = "# nameserver 192.0.2.9\nnameserver 192.0.2.1\n nameserver 192.0.2.2\n\
            nameserver\t192.0.2.3\nsearch a.example b.example\noptions rotate ndots:2\n\
            nameserver fe80::1%eth1 # comment\n";
        let resolver = Resolver::parse(text);
        assert_eq!(resolver.servers, ["192.0.2.1".into(), "fe80::1%eth1".into()]);
        assert_eq!(resolver.searches, ["a.example".into(), "b.example".into()]);
        assert_eq!(resolver.options, ["rotate".into(), "ndots:2".into()]);
    }
}
