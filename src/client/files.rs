//! Files that commands write.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::Failure;
use super::transactions::time;
use crate::state::ErrorKind;

/// Now, as RFC 3339 says it, in UTC and to the second.
pub fn now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    time(seconds)
}

/// Writes a file that only its owner may read, at once or not at all. What is no plain file, as a pipe, is
/// written to as it is; a symbolic link is refused, since it may have been laid by somebody else.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let told =
        |error: io::Error| Failure::error(ErrorKind::StorageError, format!("{}: {error}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => {
            let message = format!("{} is a symbolic link; name the file that it leads to", path.display());
            return Err(Failure::error(ErrorKind::InvalidArgument, message));
        }
        Ok(found) if !found.is_file() => {
            return OpenOptions::new()
                .write(true)
                .open(path)
                .and_then(|mut file| file.write_all(bytes))
                .map_err(told);
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(told(error)),
    }
    replace(path, bytes).map_err(told)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.new", process::id()));
    let new = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What failed first is what is told.
        let _ = fs::remove_file(&new);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_link_is_not_followed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("captured");
        fs::write(&path, "old and longer").expect("it is written");
        write_private(&path, b"new").expect("it is written");
        assert_eq!(fs::read(&path).expect("it is read"), b"new");
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let link = folder.path().join("link");
        symlink(&path, &link).expect("a link");
        assert!(write_private(&link, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }
}
