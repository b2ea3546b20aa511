//! The state directory: the few primitive operations that durable storage is built from. The
//! order in which they make something durable is the business of the engine's store.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// A flat directory of small files. Names have no slash.
pub trait Disk: Send + Sync {
    /// The content, None if there is no such file. More than `max` bytes are an error.
    fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>>;

    /// Creates the file or truncates it, and writes. Not durable.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Adds to the end of the file, creating it, and returns its length. Not durable.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<u64>;

    /// Makes the content of the file durable.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Replaces `to` by `from`; other processes see one or the other. Not durable.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes the file; none there is fine. Not durable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes what was created, renamed and removed durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A directory of the file system, 0700 with files 0600, held by one process at a time.
pub struct StateDir {
    path: PathBuf,
    dir: File,
    _lock: Flock<File>,
}

impl StateDir {
    /// Opens or creates the directory and locks it; `WouldBlock` if another process holds it.
    pub fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        // On a read-only file system, as it is after errors, it must be right already: a daemon that
        // cannot change anything can still show everything, and say why.
        fs::set_permissions(path, Permissions::from_mode(0o700)).or_else(|error| {
            let is_right = fs::metadata(path)?.permissions().mode() & 0o7777 == 0o700;
            if is_right { Ok(()) } else { Err(error) }
        })?;
        let lock = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&lock)
            .or_else(|error| File::open(&lock).map_err(|_| error))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| io::Error::from(errno))?;
        Ok(Self { path: path.to_owned(), dir: File::open(path)?, _lock: lock })
    }
}

impl Disk for StateDir {
    fn read(&self, name: &str, max: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() > max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes")));
        }
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true).mode(0o600);
        options.open(self.path.join(name))?.write_all(bytes)
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<u64> {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let mut file = options.open(self.path.join(name))?;
        file.write_all(bytes)?;
        Ok(file.metadata()?.len())
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        // Data and length are flushed through any descriptor of the file (fsync(2)).
        OpenOptions::new().write(true).open(self.path.join(name))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        match fs::remove_file(&path) {
            // A read-only file system says so before it looks whether there is a file.
            Err(_) if matches!(path.try_exists(), Ok(false)) => Ok(()),
            other => other,
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.dir.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_files_private_and_the_directory_to_one_process() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("state");
        let dir = StateDir::open(&path).expect("opens");
        assert_eq!(dir.read("a", 10).expect("reads"), None);
        dir.write("a.new", b"one").expect("writes");
        dir.sync("a.new").expect("syncs");
        dir.rename("a.new", "a").expect("renames");
        assert_eq!(dir.append("a", b"two").expect("appends"), 6);
        dir.sync_dir().expect("syncs");
        assert_eq!(dir.read("a", 6).expect("reads"), Some(b"onetwo".to_vec()));
        assert_eq!(dir.read("a", 5).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(fs::metadata(path.join("a")).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o700);

        let second = StateDir::open(&path).err().expect("is locked");
        assert_eq!(second.kind(), io::ErrorKind::WouldBlock);
        drop(dir);
        StateDir::open(&path).expect("is free again").remove("b").expect("nothing to remove");
    }
}
