//! A folder of an administrator's files: read as root, so nobody but root may have had a hand in it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use thiserror::Error;

/// Write permission for the group or for others (inode(7)).
const OTHERS_WRITE: u32 = 0o022;

/// Why a folder or a file of it is not read.
#[derive(Debug, Error)]
pub enum FolderError {
    #[error("cannot read {what}")]
    Read { what: String, source: io::Error },
    #[error("{what} is a symbolic link: only regular files are read")]
    Link { what: String },
    #[error("{what} is no {expected}")]
    Kind { what: String, expected: &'static str },
    #[error("{what} belongs to uid {uid}: it must be root's")]
    Owner { what: String, uid: u32 },
    #[error("{what} can be written by others than root (mode {mode:04o})")]
    Writable { what: String, mode: u32 },
    #[error("{what} is longer than {max} bytes")]
    TooLong { what: String, max: usize },
    #[error("{what}: the name is not plain text")]
    Name { what: String },
    #[error("{what} is not text: byte {at} is not UTF-8")]
    NotText { what: String, at: usize },
}

/// A folder that is root's alone.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// None if there is no such folder.
    pub fn open(path: &Path) -> Result<Option<Self>, FolderError> {
        let what = path.display().to_string();
        match fs::metadata(path) {
            Ok(found) if !found.is_dir() => Err(FolderError::Kind { what, expected: "folder" }),
            Ok(found) => {
                check(&found, what)?;
                Ok(Some(Self { path: path.to_owned() }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Read { what, source }),
        }
    }

    /// The names in it that have one of these endings, in the order of their bytes. Hidden ones are
    /// left out, as by a pattern of the shell.
    pub fn names(&self, endings: &[&str]) -> Result<Vec<String>, FolderError> {
        let failed = |source| FolderError::Read { what: self.path.display().to_string(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            // What is no plain text is replaced, and then refused when it is read.
            let name =
                entry.map_err(failed)?.file_name().to_string_lossy().replace(char::is_control, "\u{fffd}");
            if !name.starts_with('.') && endings.iter().any(|ending| name.ends_with(ending)) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The text of a file in it; None if there is none.
    pub fn read(&self, name: &str, max: usize) -> Result<Option<String>, FolderError> {
        let what = || name.escape_debug().to_string();
        if name.contains(char::REPLACEMENT_CHARACTER) {
            return Err(FolderError::Name { what: what() });
        }
        // Neither follows a link nor waits for somebody to write into a pipe (open(2)).
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(self.path.join(name));
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::ELOOP) => FolderError::Link { what: what() },
                    // A socket (open(2)).
                    Some(Errno::ENXIO) => FolderError::Kind { what: what(), expected: "regular file" },
                    _ => FolderError::Read { what: what(), source: error },
                });
            }
        };
        let bytes = read(&file, &what, max)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => Err(FolderError::NotText { what: what(), at: error.utf8_error().valid_up_to() }),
        }
    }
}

fn read(file: &File, what: &impl Fn() -> String, max: usize) -> Result<Vec<u8>, FolderError> {
    let failed = |source| FolderError::Read { what: what(), source };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(FolderError::Kind { what: what(), expected: "regular file" });
    }
    check(&found, what())?;
    let limit = u64::try_from(max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > max {
        return Err(FolderError::TooLong { what: what(), max });
    }
    Ok(bytes)
}

/// Root's, or this process's own where it is not root's (a test), and written by nobody else.
fn check(found: &Metadata, what: String) -> Result<(), FolderError> {
    let uid = found.uid();
    if uid != 0 && uid != geteuid().as_raw() {
        return Err(FolderError::Owner { what, uid });
    }
    if found.mode() & OTHERS_WRITE != 0 {
        return Err(FolderError::Writable { what, mode: found.mode() & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn only_what_others_cannot_have_touched_is_read() {
        let temp = tempfile::tempdir().expect("a folder");
        let at = |name: &str| temp.path().join(name);
        for name in ["10-b.yml", "9-a.yaml", ".hidden.yml", "note.txt", "shared.yml", "long.yml"] {
            fs::write(at(name), name).expect("writes");
            mode(&at(name), 0o644);
        }
        fs::write(at("latin.yml"), b"name: \xe9").expect("writes");
        mode(&at("latin.yml"), 0o600);
        mode(&at("shared.yml"), 0o664);
        symlink("/etc/passwd", at("link.yml")).expect("links");
        mkfifo(&at("pipe.yml"), Mode::S_IRWXU).expect("a pipe");
        fs::create_dir(at("folder.yml")).expect("a folder");
        let _socket = std::os::unix::net::UnixListener::bind(at("socket.yml")).expect("a socket");

        let folder = Folder::open(temp.path()).expect("is ours").expect("is there");
        let names = folder.names(&[".yml", ".yaml"]).expect("can be listed");
        let all = "10-b.yml 9-a.yaml folder.yml latin.yml link.yml long.yml pipe.yml shared.yml socket.yml";
        assert_eq!(names.join(" "), all);
        assert_eq!(folder.read("10-b.yml", 8).expect("is fine").as_deref(), Some("10-b.yml"));
        assert_eq!(folder.read("gone.yml", 8).expect("is fine"), None);
        for (name, words) in [
            ("folder.yml", "folder.yml is no regular file"),
            ("latin.yml", "latin.yml is not text: byte 6 is not UTF-8"),
            ("link.yml", "link.yml is a symbolic link"),
            ("long.yml", "long.yml is longer than 7 bytes"),
            ("pipe.yml", "pipe.yml is no regular file"),
            ("shared.yml", "shared.yml can be written by others than root (mode 0664)"),
            ("socket.yml", "socket.yml is no regular file"),
        ] {
            let max = if name == "long.yml" { 7 } else { 100 };
            let error = folder.read(name, max).expect_err(name).to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_looked_into() {
        let temp = tempfile::tempdir().expect("a folder");
        mode(temp.path(), 0o1777);
        let error = Folder::open(temp.path()).err().expect("it is refused").to_string();
        assert!(error.ends_with("can be written by others than root (mode 1777)"), "{error}");
        assert!(Folder::open(&temp.path().join("none")).expect("is fine").is_none());
        mode(temp.path(), 0o700);
        fs::write(temp.path().join("file"), "").expect("writes");
        let error = Folder::open(&temp.path().join("file")).err().expect("it is refused").to_string();
        assert!(error.ends_with("is no folder"), "{error}");
    }
}
