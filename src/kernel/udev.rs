//! udev(7): when it is done with a link.
//!
//! It may give a new link another MAC address (systemd.link(5), `MACAddressPolicy=`): it looks whether the kernel has
//! drawn the one that is there, and later sets its own, over whatever somebody has set in between. Once it is done it
//! has a record of the link, `/run/udev/data/n<index>`.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Waits until udev has a record of each link, by index. Returns at once where no udev runs. A link that goes
/// meanwhile never gets one: the caller sets a limit.
pub async fn done_with(links: impl IntoIterator<Item = u32>) -> io::Result<()> {
    done_below(Path::new("/run/udev"), links).await
}

async fn done_below(run: &Path, links: impl IntoIterator<Item = u32>) -> io::Result<()> {
    let data = run.join("data");
    let mut left: BTreeSet<PathBuf> = links.into_iter().map(|index| data.join(format!("n{index}"))).collect();
    if left.is_empty() || !run.join("control").exists() {
        return Ok(());
    }
    // Before the first look, so that nothing is missed.
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    inotify.add_watch(&data, AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO)?;
    // SAFETY: an `OwnedFd` always gives the same descriptor, which stays open as long as it lives; the `AsyncFd` owns
    // it.
    let events = unsafe { AsyncFd::register_with_interest(OwnedFd::from(inotify), Interest::READABLE) }?;
    loop {
        left.retain(|record| !record.exists());
        if left.is_empty() {
            return Ok(());
        }
        let mut ready = events.readable().await?;
        // What has happened does not matter, only that something has.
        let mut buffer = [0; 4096];
        loop {
            match nix::unistd::read(&events, &mut buffer) {
                Ok(0) | Err(Errno::EAGAIN) => break,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_record_ends_the_wait() {
        let run = tempfile::tempdir().expect("a folder");
        let done = |links: Vec<u32>| done_below(run.path(), links);
        done(vec![7]).await.expect("no udev runs");
        fs::write(run.path().join("control"), "").expect("a file");
        fs::create_dir(run.path().join("data")).expect("a folder");
        fs::write(run.path().join("data/n7"), "").expect("a file");
        timeout(SOON, done(vec![7])).await.expect("it is there").expect("it can be seen");
        let both = tokio::spawn({
            let run = run.path().to_owned();
            async move { done_below(&run, [7, 8]).await }
        });
        fs::write(run.path().join("data/n9"), "").expect("a file");
        tokio::task::yield_now().await;
        assert!(!both.is_finished());
        // As udev does it: a new file takes the place.
        fs::write(run.path().join("data/.#n8"), "").expect("a file");
        fs::rename(run.path().join("data/.#n8"), run.path().join("data/n8")).expect("a file");
        timeout(SOON, both).await.expect("it is there").expect("no panic").expect("it can be seen");
    }
}
