//! netplan's folders on disk: what is in them, and our own file.

use std::fs::{self, DirBuilder, File as Handle, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// How long ago a file must have changed for its next change to be seen by its times: the kernel's clock for them
/// goes in steps of some milliseconds.
const SETTLED: Duration = Duration::from_secs(1);

/// The folders of a root: the host's, or a copy.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// What was read last, while its times tell of every change.
    known: Mutex<Option<(Stamps, Files)>>,
}

/// Every file that netplan reads, and what differs once it is another, or says something else.
type Stamps = Vec<(File, Stamp)>;

#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }

    fn is_settled(&self, now: Duration) -> bool {
        let (seconds, nanos) = self.changed;
        let changed = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        changed.is_some_and(|(seconds, nanos)| Duration::new(seconds, nanos) + SETTLED <= now)
    }
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
        Self { root: root.into(), known: Mutex::new(None) }
    }

    fn at(&self, folder: Folder) -> PathBuf {
        self.root.join(folder.path().trim_start_matches('/'))
    }

    /// What netplan would read now. A folder that is not there is empty. Files that have not changed since they were
    /// read are not read again.
    pub(super) fn read(&self) -> Result<Files, Failure> {
        // A clock that was set back makes nothing settled.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let stamps = self.stamps()?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, files)) = known.as_ref().filter(|(known, _)| *known == stamps) {
            return Ok(files.clone());
        }
        let mut files = Files::default();
        for (file, _) in &stamps {
            let path = self.at(file.folder).join(&file.name);
            if let Some(text) = read(&path).map_err(|error| cannot("read", &path, &error))? {
                files.insert(file.clone(), text);
            }
        }
        let is_settled = stamps.iter().all(|(_, stamp)| stamp.is_settled(now));
        *known = is_settled.then(|| (stamps, files.clone()));
        Ok(files)
    }

    /// The files that netplan reads, without those that are links to nothing, which it passes over.
    fn stamps(&self) -> Result<Stamps, Failure> {
        let mut stamps = Vec::new();
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
                match fs::metadata(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    found => {
                        let found = found.map_err(|error| cannot("read", &path, &error))?;
                        stamps.push((File::new(folder, name), Stamp::of(&found)));
                    }
                }
                if stamps.len() > FILES_MAX {
                    let error = io::Error::other(format!("there are more than {FILES_MAX} files"));
                    return Err(cannot("read", &path, &error));
                }
            }
        }
        Ok(stamps)
    }

    /// Writes a file of ours there, or takes it away. Others see the former or the new one, whole; it is
    /// durable before this returns. One that says the same already is not written anew.
    pub(super) fn put(&self, folder: Folder, name: &str, text: Option<&str>) -> Result<(), Failure> {
        let path = self.at(folder).join(name);
        let write = |text: &str| {
            DirBuilder::new().recursive(true).mode(0o755).create(self.at(folder))?;
            if !says(&path, text) {
                let half = self.at(folder).join(HALF);
                let written = write_new(&half, text).and_then(|()| fs::rename(&half, &path));
                if written.is_err() {
                    // It takes room, and may hold secrets.
                    let _ = fs::remove_file(&half);
                }
                written?;
            }
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

/// Whether a file of root alone is there, no link, and says that.
fn says(path: &Path, text: &str) -> bool {
    let is_own = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.mode() & 0o077 == 0);
    is_own && read(path).is_ok_and(|there| there.as_deref() == Some(text))
}

/// A file of root alone, in the place of one that was left half written.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
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

    #[test]
    fn what_says_the_same_is_not_written_and_nothing_half_written_is_left() {
        let root = tempfile::tempdir().expect("a folder");
        let folders = Folders::below(root.path());
        let path = root.path().join("etc/netplan").join(OWN);
        let inode = || fs::metadata(&path).expect("it is there").ino();
        folders.put(Folder::Etc, OWN, Some("one")).expect("it is written");
        let before = inode();
        folders.put(Folder::Etc, OWN, Some("one")).expect("nothing is written");
        assert_eq!(inode(), before, "a full disk is no matter");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("others may read it");
        folders.put(Folder::Etc, OWN, Some("one")).expect("it is written");
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        fs::remove_file(&path).expect("it goes");
        fs::create_dir_all(path.join("x")).expect("a folder in its place");
        assert!(folders.put(Folder::Etc, OWN, Some("two")).is_err());
        let names = fs::read_dir(root.path().join("etc/netplan")).expect("a folder");
        assert_eq!(names.count(), 1, "nothing half written is left");
    }

    #[test]
    fn what_is_old_and_the_same_is_not_read_again() {
        let root = tempfile::tempdir().expect("a folder");
        let etc = root.path().join("etc/netplan");
        fs::create_dir_all(&etc).expect("a folder");
        let path = etc.join("10-admin.yaml");
        fs::write(&path, "one").expect("a file");
        let folders = Folders::below(root.path());
        let text = || {
            let files = folders.read().expect("they are read");
            files.iter().map(|(_, text)| text.to_owned()).collect::<Vec<_>>()
        };
        let is_known = || folders.known.lock().expect("nobody panics").is_some();
        assert_eq!(text(), ["one"]);
        assert!(!is_known(), "it was written just now");
        // As if a second had passed.
        let stamps = || folders.stamps().expect("they are there");
        let remember = |text: &str| {
            let mut files = Files::default();
            files.insert(File::new(Folder::Etc, "10-admin.yaml"), text.to_owned());
            *folders.known.lock().expect("nobody panics") = Some((stamps(), files));
        };
        remember("known");
        assert_eq!(text(), ["known"], "nobody has changed it");
        fs::write(&path, "three").expect("a file");
        assert_eq!(text(), ["three"]);
        remember("known");
        fs::remove_file(&path).expect("it goes");
        assert_eq!(text(), [""; 0]);
        let changed = Stamp { device: 1, inode: 1, size: 1, modified: (7, 0), changed: (7, 500) };
        assert!(!changed.is_settled(Duration::new(8, 499)) && changed.is_settled(Duration::new(8, 500)));
        assert!(!changed.is_settled(Duration::ZERO), "the clock was set back");
    }
}
