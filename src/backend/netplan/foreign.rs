//! Somebody's `netplan try`: while one waits for its answer, netplan applies nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::geteuid;

/// Exists while a try waits, and until it has put things back; not yet while it applies what it tries.
const READY: &str = "run/netplan/netplan-try.ready";

/// How a pending try stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Try {
    None,
    Waits,
    /// It was killed. What it left behind makes netplan refuse everything.
    Dead,
}

/// Whether its process is there, and its file. `root`: where run/ and proc/ are.
pub(super) fn look(root: &Path) -> Try {
    let is_marked = root.join(READY).exists();
    match is_running(root) {
        Ok(true) => Try::Waits,
        // What cannot be listed may hold the one that made it.
        Err(_) if is_marked => Try::Waits,
        Ok(false) if is_marked => Try::Dead,
        Ok(false) | Err(_) => Try::None,
    }
}

/// Takes away what a dead one left.
pub(super) fn clear(root: &Path) -> io::Result<()> {
    match fs::remove_file(root.join(READY)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn is_running(root: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(root.join("proc"))? {
        let path = entry?.path();
        let is_process = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        // netplan is root's, as we are: whoever else calls a program so is not waited for.
        let is_ours = || fs::metadata(&path).is_ok_and(|found| found.uid() == geteuid().as_raw());
        // A process that has ended meanwhile is none.
        let is_one = || fs::read(path.join("cmdline")).is_ok_and(|command| is_try(&command));
        if is_process && is_ours() && is_one() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As `python3 /usr/sbin/netplan --debug try --timeout=9`: arguments end with a zero each (proc_pid_cmdline(5)).
fn is_try(command: &[u8]) -> bool {
    let mut words = command.split(|byte| *byte == 0);
    let is_netplan = |word: &[u8]| word == b"netplan" || word.ends_with(b"/netplan");
    words.any(is_netplan) && words.find(|word| !word.starts_with(b"-")) == Some(b"try")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_try_waits_as_long_as_its_process_lives() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        assert_eq!(look(root.path()), Try::None);
        fs::create_dir_all(at("run/netplan")).expect("a folder");
        fs::write(at(READY), "").expect("a file");
        assert_eq!(look(root.path()), Try::Waits, "nobody knows");
        for (pid, command) in
            [("7", "vi\0/etc/netplan/try\0"), ("8", "/usr/sbin/netplan\0get\0"), ("self", "")]
        {
            fs::create_dir_all(at(&format!("proc/{pid}"))).expect("a process");
            fs::write(at(&format!("proc/{pid}/cmdline")), command).expect("its command");
        }
        assert_eq!(look(root.path()), Try::Dead);
        fs::write(at("proc/7/cmdline"), "python3\0/usr/sbin/netplan\0try\0--timeout=9\0").expect("one");
        assert_eq!(look(root.path()), Try::Waits);
        fs::write(at("proc/7/cmdline"), "python3\0/usr/sbin/netplan\0--debug\0try\0").expect("one");
        assert_eq!(look(root.path()), Try::Waits);
        fs::remove_file(at(READY)).expect("it goes");
        assert_eq!(look(root.path()), Try::Waits, "it still applies what it tries");
        fs::remove_file(at("proc/7/cmdline")).expect("it ends");
        fs::write(at(READY), "").expect("a file");
        clear(root.path()).expect("it goes");
        clear(root.path()).expect("it is gone");
        assert_eq!(look(root.path()), Try::None);
    }
}
