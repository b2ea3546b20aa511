//! Follows a process to the points at which its effects become real, and ends it, or the whole machine, at
//! exactly one of them. For the crash tests of the lab: the process needs no hooks for it.
//!
//!     lab-points PID [streams] [[disk:]N kill|cut]
//!     lab-points PID streams [N:]METHOD hold
//!
//! A point is the entry of a system call that changes a file or speaks to the kernel over netlink, counted
//! over all threads; with `streams` also one that speaks on a unix stream socket, as that of the bus. Each
//! is a line on standard output: its number and what it is, on the bus with the methods that are called. The first
//! line says `attached`. At the N-th (with `disk:` of those that change a file) the process is killed before the
//! call has any effect, or everything is stopped and the machine's host is told, on the console, to cut its power.
//! At the first call of METHOD, or the N-th, it is held before that is sent, until there is a line on standard input.
//!
//! Without any of these, or if the work is done before that, it follows until it is itself ended; the process
//! then goes on alone (ptrace(2): a tracer's end detaches it).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Write, stdin, stdout};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, pause};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Kill,
    Cut,
    Hold,
}

/// A point at which something is done, once.
enum At {
    Nth(usize),
    /// Of the points that change a file, not of all.
    NthOnDisk(usize),
    /// Of those of a method on the bus.
    Call(String, usize),
}

impl At {
    fn of(text: &str) -> Result<Self, std::num::ParseIntError> {
        match text.strip_prefix("disk:") {
            Some(n) => Ok(Self::NthOnDisk(n.parse()?)),
            None => Ok(Self::Nth(text.parse()?)),
        }
    }

    fn call(text: &str) -> Result<Self, std::num::ParseIntError> {
        let (n, method) = text.split_once(':').unwrap_or(("1", text));
        Ok(Self::Call(method.to_owned(), n.parse()?))
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let has_streams = words.get(1) == Some(&"streams");
    if has_streams {
        words.remove(1);
    }
    let (pid, at, act) = match words[..] {
        [pid] => (pid, None, Act::Kill),
        [pid, n, "kill"] => (pid, Some(At::of(n)), Act::Kill),
        [pid, n, "cut"] => (pid, Some(At::of(n)), Act::Cut),
        [pid, method, "hold"] if has_streams => (pid, Some(At::call(method)), Act::Hold),
        _ => return refuse("lab-points PID [streams] [[disk:]N kill|cut], or PID streams [N:]METHOD hold"),
    };
    let Ok(pid) = pid.parse() else { return refuse("PID is a number") };
    let Ok(at) = at.transpose() else { return refuse("N is a number") };
    match follow(Pid::from_raw(pid), has_streams, at, act) {
        Ok(()) => ExitCode::SUCCESS,
        Err(errno) => refuse(errno.desc()),
    }
}

fn refuse(why: &str) -> ExitCode {
    say(&format!("lab-points: {why}"));
    ExitCode::FAILURE
}

/// A line that its reader has when this returns.
fn say(line: &str) {
    let mut out = stdout().lock();
    // Whoever does not read any more misses nothing.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn follow(pid: Pid, has_streams: bool, mut at: Option<At>, act: Act) -> nix::Result<()> {
    attach(pid)?;
    let (mut n, mut on_disk, mut calls) = (0, 0, 0);
    let mut is_attached = false;
    loop {
        let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
            Ok(status) => status,
            Err(Errno::ECHILD) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        if !is_attached {
            say("attached");
            is_attached = true;
        }
        let (thread, signal) = match status {
            WaitStatus::PtraceSyscall(thread) => {
                if let Some(point) = entered(thread).and_then(|call| point(pid, has_streams, &call)) {
                    let is_on_disk = !point.starts_with(SEND);
                    n += 1;
                    on_disk += usize::from(is_on_disk);
                    say(&format!("{n} {point}"));
                    let is_it = match &at {
                        Some(At::Nth(nth)) => *nth == n,
                        Some(At::NthOnDisk(nth)) => is_on_disk && *nth == on_disk,
                        Some(At::Call(method, nth)) => {
                            // Of a file, a last word could be one.
                            calls += if is_on_disk {
                                0
                            } else {
                                point.split(' ').filter(|word| word == method).count()
                            };
                            calls >= *nth
                        }
                        None => false,
                    };
                    if is_it {
                        at = None;
                        match act {
                            Act::Kill => kill(pid, Signal::SIGKILL)?,
                            Act::Cut => cut(pid)?,
                            Act::Hold => hold(),
                        }
                    }
                }
                (thread, None)
            }
            WaitStatus::PtraceEvent(thread, ..) => (thread, None),
            WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
            _ => continue,
        };
        match ptrace::syscall(thread, signal) {
            // Killed meanwhile: its end is reported next.
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Takes hold of every thread; those that start later come by themselves.
fn attach(pid: Pid) -> nix::Result<()> {
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
    let mut held = BTreeSet::new();
    loop {
        let before = held.len();
        let tasks = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| Errno::ESRCH)?;
        for name in tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()) {
            if held.contains(&name) {
                continue;
            }
            match ptrace::seize(Pid::from_raw(name), options) {
                Ok(()) => ptrace::interrupt(Pid::from_raw(name))?,
                // Started by one that is held, or ended since.
                Err(Errno::EPERM | Errno::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
            held.insert(name);
        }
        if held.len() == before {
            return Ok(());
        }
    }
}

struct Call {
    number: libc::c_long,
    arguments: [u64; 6],
}

/// The call that a stopped thread enters; None if it returns from one.
fn entered(thread: Pid) -> Option<Call> {
    let info = ptrace::syscall_info(thread).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: `op` says that the kernel has filled in this part of the union.
    let entry = unsafe { info.u.entry };
    Some(Call { number: libc::c_long::try_from(entry.nr).ok()?, arguments: entry.args })
}

/// What a call is, if it is a point.
fn point(pid: Pid, has_streams: bool, call: &Call) -> Option<String> {
    let at = |index: usize| target(pid, call.arguments[index]);
    let file = |name: &str| at(0).filter(|path| path.starts_with('/')).map(|path| format!("{name} {path}"));
    let send = || match at(0)? {
        to if is_netlink(pid, &to) => Some(format!("{SEND} netlink")),
        to if has_streams && is_stream(pid, &to) => Some(
            std::iter::once(format!("{SEND} stream")).chain(called(pid, call)).collect::<Vec<_>>().join(" "),
        ),
        _ => None,
    };
    match call.number {
        libc::SYS_fsync | libc::SYS_fdatasync => file("sync"),
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev => file("write").or_else(send),
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => Some("rename".into()),
        libc::SYS_unlink | libc::SYS_unlinkat => Some("remove".into()),
        libc::SYS_openat if call.arguments[2] & CREATES != 0 => Some("create".into()),
        libc::SYS_sendto | libc::SYS_sendmsg | libc::SYS_sendmmsg => send(),
        _ => None,
    }
}

/// How points begin that change no file.
const SEND: &str = "send";

const CREATES: u64 = (libc::O_CREAT | libc::O_TRUNC) as u64;

/// What a descriptor stands for.
fn target(pid: Pid, descriptor: u64) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()?;
    path.to_str().map(str::to_owned)
}

/// The line of a table of sockets in /proc/net that has the inode of `socket:[INODE]` in this column.
fn listed(pid: Pid, table: &str, column: usize, target: &str) -> Option<String> {
    let inode = target.strip_prefix("socket:[")?.strip_suffix(']')?;
    let list = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("net").join(table)).ok()?;
    let lists = |line: &&str| line.split_ascii_whitespace().nth(column) == Some(inode);
    list.lines().find(lists).map(str::to_owned)
}

/// Of the ten columns the last is the inode.
fn is_netlink(pid: Pid, target: &str) -> bool {
    listed(pid, "netlink", 9, target).is_some()
}

/// A unix socket has its type in the fifth column, 1 for a stream, and its inode in the seventh.
fn is_stream(pid: Pid, target: &str) -> bool {
    listed(pid, "unix", 6, target).is_some_and(|line| line.split_ascii_whitespace().nth(4) == Some("0001"))
}

/// The methods that are called by the messages of D-Bus which this call sends; empty if it sends something else.
fn called(pid: Pid, call: &Call) -> Vec<String> {
    sent(pid, call).map(|bytes| methods(&bytes)).unwrap_or_default()
}

/// What is sent: struct msghdr has the address and the number of its parts behind the name, each of them an address and
/// a length.
fn sent(pid: Pid, call: &Call) -> Option<Vec<u8>> {
    const MOST: usize = 1 << 20;
    if call.number != libc::SYS_sendmsg {
        return None;
    }
    let memory = File::open(Path::new("/proc").join(pid.to_string()).join("mem")).ok()?;
    let word = |at: u64| {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, at).ok()?;
        Some(u64::from_ne_bytes(bytes))
    };
    let (parts, count) = (word(call.arguments[1] + 16)?, word(call.arguments[1] + 24)?);
    let mut all = Vec::new();
    for part in 0..count {
        let (address, length) = (word(parts + 16 * part)?, word(parts + 16 * part + 8)?);
        let mut bytes = vec![0; usize::try_from(length).ok()?.min(MOST - all.len())];
        memory.read_exact_at(&mut bytes, address).ok()?;
        all.extend(bytes);
    }
    Some(all)
}

/// The members that messages call, one behind the other.
fn methods(mut messages: &[u8]) -> Vec<String> {
    let mut methods = Vec::new();
    while let Some((method, length)) = message(messages) {
        methods.extend(method);
        messages = messages.get(length..).unwrap_or_default();
    }
    methods
}

/// The member that a message calls, if it calls one, and its length. The header: the order of bytes, the type (1 for a
/// call), at 4 the length of the body, at 12 that of the fields; these follow, each 8-aligned: a code, and a variant that
/// is a string, a number or a signature; and the body, 8-aligned (D-Bus specification, "Message Protocol").
fn message(bytes: &[u8]) -> Option<(Option<String>, usize)> {
    const CALLS: u8 = 1;
    const MEMBER: u8 = 3;
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if *bytes.first()? != b'l' {
        return None;
    }
    let is_call = *bytes.get(1)? == CALLS;
    let end = 16 + number(12)?;
    let mut member = None;
    let mut at = 16;
    while at < end {
        let code = *bytes.get(at)?;
        // The variant says its type, of one letter, behind a length and before a zero; numbers are 4-aligned.
        let value = at + 4;
        at = match *bytes.get(at + 2)? {
            b's' | b'o' => {
                let text = value + 4..value + 4 + number(value)?;
                if code == MEMBER && is_call {
                    member = Some(String::from_utf8_lossy(bytes.get(text.clone())?).into_owned());
                }
                text.end + 1
            }
            b'g' => value + usize::from(*bytes.get(value)?) + 2,
            _ => value + 4,
        };
        at = at.next_multiple_of(8);
    }
    Some((member, end.next_multiple_of(8) + number(4)?))
}

/// Nothing of the process gets past its next system call until there is a line, or nobody who could say it.
fn hold() {
    let mut line = String::new();
    if let Err(error) = stdin().read_line(&mut line) {
        say(&format!("lab-points: {error}"));
    }
}

/// Stops everything in the process, tells the host, and waits for the end of the machine.
fn cut(pid: Pid) -> nix::Result<()> {
    // Its threads stop for their tracer, which does not let them go on.
    kill(pid, Signal::SIGSTOP)?;
    if fs::write("/dev/console", "lab: cut\n").is_err() {
        return Err(Errno::EIO);
    }
    loop {
        pause();
    }
}
