//! Makes what NetworkManager has written survive a loss of power. It writes a file beside and renames it, and leaves it
//! to the kernel when the content gets to the disk: after a cut a new profile may be an empty file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind as Io};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::libc;
use tokio::task::spawn_blocking;

use crate::backend::Failure;
use crate::state::ErrorKind;

/// Waits until the contents of these files are on the disk, and their names.
pub(super) async fn sync(files: BTreeSet<PathBuf>) -> Result<(), Failure> {
    let synced = spawn_blocking(move || sync_all(&files)).await;
    synced.unwrap_or_else(|error| Err(failure("what was written", &error.into())))
}

/// The writing of all of them begins before the first is waited for, so that the file system's journal is written for
/// many of them together: it costs about as much as one.
fn sync_all(files: &BTreeSet<PathBuf>) -> Result<(), Failure> {
    let each = |path: &PathBuf, sync: fn(&File) -> io::Result<()>| match File::open(path)
        .and_then(|file| sync(&file))
    {
        // One that somebody has deleted meanwhile needs nothing.
        Err(error) if error.kind() == Io::NotFound => Ok(()),
        synced => synced.map_err(|error| failure(&path.display().to_string(), &error)),
    };
    let folders: BTreeSet<PathBuf> =
        files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
    files.iter().try_for_each(|path| each(path, begin))?;
    files.iter().chain(&folders).try_for_each(|path| each(path, File::sync_all))
}

/// Tells the kernel to begin with the contents of a file (sync_file_range(2)). Where it does not, or fails, whoever
/// waits for them is told.
fn begin(file: &File) -> io::Result<()> {
    // SAFETY: it takes numbers only; the descriptor is open as long as `file` is borrowed.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    Ok(())
}

fn failure(what: &str, error: &io::Error) -> Failure {
    let message = format!("{what} is not kept: {error}");
    Failure { kind: ErrorKind::PluginFailure, subject: None, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_that_are_gone_need_nothing_and_what_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let there = folder.path().join("there.nmconnection");
        std::fs::write(&there, "[connection]").expect("it can be written");
        let gone = folder.path().join("no folder/gone.nmconnection");
        sync(BTreeSet::from([there.clone(), gone])).await.expect("what is there is kept");
        let told = sync(BTreeSet::from([there.join("below a file")])).await.expect_err("no folder");
        assert!(told.to_string().contains("is not kept"), "{told}");
    }
}
