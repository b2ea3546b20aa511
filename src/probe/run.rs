//! A program that says whether all is well. It is started as root, so nobody else may have a hand in
//! it: not in the file, not in a folder above it.

use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

use super::Fault;
use super::aside::Aside;

/// Bytes kept of what it says on standard error; only the first line is told.
const SAID_MAX: usize = 200;

/// Runs it, without arguments, environment, standard input and output. Dropping this kills it, and
/// what it has started in its process group.
pub(super) async fn run(aside: &Aside, path: &str) -> Result<(), Fault> {
    let checked = path.to_owned();
    aside.call("probe-path", move || check(&checked)).await?.map_err(Fault::Refused)?;
    let mut command = Command::new(path);
    command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // All other files of this process are closed on exec (O_CLOEXEC).
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(|error| Fault::Fails(format!("it cannot be started: {error}")))?;
    let mut group = Group { child: Some(child) };
    let (status, said) = group.end().await.map_err(|error| Fault::Fails(error.to_string()))?;
    match (status.success(), first_line(&said)) {
        (true, _) => Ok(()),
        (false, None) => Err(Fault::Fails(status.to_string())),
        (false, Some(line)) => Err(Fault::Fails(format!("{status}: {line}"))),
    }
}

/// A program, and all it has started, which ends with this.
struct Group {
    child: Option<Child>,
}

impl Group {
    /// How it ended, and the begin of what it said.
    async fn end(&mut self) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let child = self.child.as_mut().expect("it is taken when it has ended");
        let mut stderr = child.stderr.take();
        let mut said = Vec::new();
        let mut buffer = [0; 1024];
        let status = loop {
            let read = async {
                match &mut stderr {
                    Some(stderr) => stderr.read(&mut buffer).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                status = child.wait() => break status?,
                read = read => match read {
                    Ok(length @ 1..) => keep(&mut said, &buffer[..length]),
                    Ok(0) | Err(_) => stderr = None,
                },
            }
        };
        // Its process number is free for others now.
        self.child = None;
        if let Some(mut stderr) = stderr
            && let Ok(Ok(length)) = timeout(Duration::ZERO, stderr.read(&mut buffer)).await
        {
            keep(&mut said, &buffer[..length]);
        }
        Ok((status, said))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It has not been waited for, so that its number still is its own.
        let id = self.child.as_ref().and_then(Child::id).and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // It may have ended by itself just now.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

fn keep(said: &mut Vec<u8>, more: &[u8]) {
    let room = SAID_MAX.saturating_sub(said.len());
    said.extend_from_slice(&more[..more.len().min(room)]);
}

fn first_line(said: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(said);
    let line: String = text.lines().next()?.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Whether root alone has a hand in it, from the root folder down. Each step is opened without
/// following links, so that what is looked at is what the path says.
fn check(path: &str) -> Result<(), String> {
    let at = |place: &str, error: nix::Error| format!("{place}: {}", error.desc());
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut folder: OwnedFd = open("/", flags, Mode::empty()).map_err(|error| at("/", error))?;
    let mut place = String::new();
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    judge("/", &fstat(&folder).map_err(|error| at("/", error))?, Wanted::Folder)?;
    while let Some(part) = parts.next() {
        place = format!("{place}/{part}");
        let found = openat(&folder, part, flags, Mode::empty()).map_err(|error| at(&place, error))?;
        let wanted = if parts.peek().is_some() { Wanted::Folder } else { Wanted::Program };
        judge(&place, &fstat(&found).map_err(|error| at(&place, error))?, wanted)?;
        folder = found;
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Folder,
    Program,
}

fn judge(place: &str, stat: &FileStat, wanted: Wanted) -> Result<(), String> {
    let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
    let mode = Mode::from_bits_truncate(stat.st_mode);
    let wrong = |what: &str| Err(format!("{place} {what}"));
    match (kind, wanted) {
        (SFlag::S_IFLNK, _) => wrong("is a symbolic link: name the place itself"),
        (SFlag::S_IFDIR, Wanted::Folder) | (SFlag::S_IFREG, Wanted::Program) if stat.st_uid != 0 => {
            wrong("is not owned by root")
        }
        // What an access control list allows to somebody shows as a right of the group (acl(5)).
        (SFlag::S_IFDIR, Wanted::Folder) | (SFlag::S_IFREG, Wanted::Program)
            if mode.intersects(Mode::S_IWGRP | Mode::S_IWOTH) =>
        {
            wrong("can be written by others than root")
        }
        (SFlag::S_IFREG, Wanted::Program) if !mode.contains(Mode::S_IXUSR) => wrong("cannot be executed"),
        (SFlag::S_IFDIR, Wanted::Folder) | (SFlag::S_IFREG, Wanted::Program) => Ok(()),
        (_, Wanted::Folder) => wrong("is no folder"),
        (_, Wanted::Program) => wrong("is no file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_told_without_control_characters() {
        assert_eq!(first_line(b"\x1b[31mno route\nmore"), Some(" [31mno route".trim().to_owned()));
        assert_eq!(first_line(b"\n"), None);
        assert_eq!(first_line(b""), None);
        let mut said = Vec::new();
        (0..10).for_each(|_| keep(&mut said, &[b'x'; 150]));
        assert_eq!(said.len(), SAID_MAX);
    }

    #[test]
    fn what_is_not_there_or_of_another_kind_is_refused() {
        let refused = |path: &str| check(path).expect_err(path);
        assert!(refused("/nowhere/at/all").starts_with("/nowhere: "), "{}", refused("/nowhere/at/all"));
        assert_eq!(refused("/proc"), "/proc is no file");
        assert_eq!(refused("/proc/cmdline/x"), "/proc/cmdline is no folder");
        assert!(refused("/proc/self/exe").starts_with("/proc/self is a symbolic link"));
    }
}
