//! netplan's folders on disk: what is in them, and our own file.

use std::fs::{self, DirBuilder, File as Handle, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::backend::Failure;
use crate::netplan::{File, Files, Folder};
use crate::state::ErrorKind;

/// More of a file is not read: netplan itself is slow long before.
const BYTES_MAX: u64 = 4 << 20;
/// More files than that are not looked at.
const FILES_MAX: usize = 1000;
/// What is half written: a name that netplan does not read.
const HALF: &str = ".90-nmstated.new";

/// The folders of a root: the host's, or a copy.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    root: PathBuf,
}

/// One of our own files, in both folders that it can be in. Holds secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own {
    /// What awaits commit; it hides the other.
    pub run: Option<String>,
    /// What is committed.
    pub etc: Option<String>,
}

/// Without the texts.
impl std::fmt::Debug for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let length = |text: &Option<String>| text.as_ref().map(String::len);
        f.debug_struct("Own").field("run", &length(&self.run)).field("etc", &length(&self.etc)).finish()
    }
}

impl Own {
    pub(super) fn of(files: &Files, name: &str) -> Self {
        let text = |folder| files.get(&File::new(folder, name)).map(str::to_owned);
        Self { run: text(Folder::Run), etc: text(Folder::Etc) }
    }

    /// What netplan reads.
    pub(super) fn text(&self) -> &str {
        self.run.as_deref().or(self.etc.as_deref()).unwrap_or_default()
    }
}

impl Folders {
    pub(super) fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn at(&self, folder: Folder) -> PathBuf {
        self.root.join(folder.path().trim_start_matches('/'))
    }

    /// What netplan would read now. A folder that is not there is empty.
    pub(super) fn read(&self) -> Result<Files, Failure> {
        let mut files = Files::default();
        let mut count = 0;
        for folder in Folder::ALL {
            let path = self.at(folder);
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries.map_err(|error| cannot("read", &path, &error))?,
            };
            for entry in entries {
                let path = entry.map_err(|error| cannot("read", &path, &error))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                if !Files::is_read(name) {
                    continue;
                }
                count += 1;
                if count > FILES_MAX {
                    let error = io::Error::other(format!("there are more than {FILES_MAX} files"));
                    return Err(cannot("read", &path, &error));
                }
                if let Some(text) = read(&path).map_err(|error| cannot("read", &path, &error))? {
                    files.insert(File::new(folder, name), text);
                }
            }
        }
        Ok(files)
    }

    /// Writes a file of ours there, or takes it away. Others see the former or the new one, whole; it is
    /// durable before this returns.
    pub(super) fn put(&self, folder: Folder, name: &str, text: Option<&str>) -> Result<(), Failure> {
        let path = self.at(folder).join(name);
        let write = |text: &str| {
            DirBuilder::new().recursive(true).mode(0o755).create(self.at(folder))?;
            let half = self.at(folder).join(HALF);
            write_new(&half, text)?;
            fs::rename(half, &path)?;
            Handle::open(self.at(folder))?.sync_all()
        };
        let remove = || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Handle::open(self.at(folder))?.sync_all(),
        };
        match text {
            Some(text) => write(text).map_err(|error| cannot("write", &path, &error)),
            None => remove().map_err(|error| cannot("remove", &path, &error)),
        }
    }

    /// A copy of these files, in the place of whatever is below `root`.
    pub(super) fn copy(files: &Files, root: &Path) -> Result<Self, Failure> {
        let copy = Self::below(root);
        let write = || {
            match fs::remove_dir_all(root) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            for folder in Folder::ALL {
                DirBuilder::new().recursive(true).mode(0o700).create(copy.at(folder))?;
            }
            files.iter().try_for_each(|(file, text)| write_new(&copy.at(file.folder).join(&file.name), text))
        };
        write().map_err(|error| cannot("copy netplan's files to", root, &error))?;
        Ok(copy)
    }
}

/// A file of root alone, in the place of one that was left half written.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// None if it is gone meanwhile, or a link to nothing, which netplan passes over.
fn read(path: &Path) -> io::Result<Option<String>> {
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if !found.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut text = String::new();
    Handle::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::other(format!("is longer than {BYTES_MAX} bytes")));
    }
    Ok(Some(text))
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot {what} {}: {error}", path.display());
    Failure { kind: ErrorKind::StorageError, subject: None, message }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::netplan::OWN;

    #[test]
    fn our_file_is_written_whole_and_nothing_else_is_touched() {
        let root = tempfile::tempdir().expect("a folder");
        let folders = Folders::below(root.path());
        assert_eq!(folders.read().expect("nothing is fine"), Files::default());
        let etc = root.path().join("etc/netplan");
        fs::create_dir_all(&etc).expect("a folder");
        fs::write(etc.join("10-admin.yaml"), "network: {}").expect("a file");
        fs::write(etc.join("10-admin.yaml.orig"), "x").expect("a file");
        folders.put(Folder::Run, OWN, Some("one")).expect("it is written");
        folders.put(Folder::Run, OWN, Some("two")).expect("it is written again");
        folders.put(Folder::Etc, OWN, None).expect("nothing is there");
        let files = folders.read().expect("they are read");
        let names: Vec<String> = files.iter().map(|(file, _)| file.to_string()).collect();
        assert_eq!(names, ["/etc/netplan/10-admin.yaml", "/run/netplan/90-nmstated.yaml"]);
        let own = Own::of(&files, OWN);
        assert_eq!((own.text(), own.etc.as_deref()), ("two", None));
        let run = root.path().join("run/netplan");
        let mode = fs::metadata(run.join(OWN)).expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(run).expect("is there").count(), 1, "nothing half written is left");

        let scratch = root.path().join("scratch");
        let copy = Folders::copy(&files, &scratch).expect("a copy");
        assert_eq!(copy.read().expect("is read"), files);
        let copy = Folders::copy(&files.without(&[OWN]), &scratch).expect("another in its place");
        assert_eq!(copy.read().expect("is read").iter().count(), 1);
        folders.put(Folder::Run, OWN, None).expect("it goes");
        assert_eq!(Own::of(&folders.read().expect("is read"), OWN), Own::default());
    }
}
