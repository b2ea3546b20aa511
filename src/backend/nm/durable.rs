//! Makes what NetworkManager has written survive a loss of power. It writes a file beside and renames it, and leaves it
//! to the kernel when the content gets to the disk: after a cut a new profile may be an empty file.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind as Io};
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use crate::backend::Failure;
use crate::state::ErrorKind;

/// Waits until the contents of these files are on the disk, and their names. All at once: the file system's journal is
/// written for several of them together.
pub(super) async fn sync(files: BTreeSet<PathBuf>) -> Result<(), Failure> {
    let folders: BTreeSet<PathBuf> =
        files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
    for paths in [files, folders] {
        let each = paths.into_iter().map(|path| async move {
            let name = path.display().to_string();
            let synced =
                spawn_blocking(move || sync_one(&path)).await.unwrap_or_else(|error| Err(error.into()));
            synced.map_err(|error| Failure {
                kind: ErrorKind::PluginFailure,
                subject: None,
                message: format!("{name} is not kept: {error}"),
            })
        });
        join_all(each).await.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// One that somebody has deleted meanwhile needs nothing.
fn sync_one(path: &Path) -> io::Result<()> {
    match File::open(path).and_then(|file| file.sync_all()) {
        Err(error) if error.kind() == Io::NotFound => Ok(()),
        synced => synced,
    }
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
