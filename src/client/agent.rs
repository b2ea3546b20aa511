//! The polkit agent of the terminal: who may not do something without a password is asked for it
//! here, as `systemctl` does it.
//!
//! `pkttyagent` (pkttyagent(1)) registers with polkit as the agent of this process, asks on
//! /dev/tty, and changes nothing. Not with `--fallback`, which would leave the asking to an agent of
//! the desktop: polkit knows no fallback for a process outside of the sessions of logind, and who
//! typed the command sits here.

use std::io::{self, IsTerminal, stderr, stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{geteuid, pipe2};

/// Where it is.
const AGENT: &str = "/usr/bin/pkttyagent";
/// Longest wait for it to register; a call made earlier is refused as without it.
const REGISTER_MS_MAX: u16 = 5000;

/// Whether there is a person at a terminal, who may not do everything anyway.
pub fn has_person() -> bool {
    !geteuid().is_root() && (stdin().is_terminal() || stderr().is_terminal())
}

/// Starts the agent, once, and waits until polkit knows it. It ends with this process. Without it,
/// polkit refuses what needs a password, and says so.
pub fn start() {
    static AGENT: OnceLock<io::Result<Child>> = OnceLock::new();
    AGENT.get_or_init(started);
}

fn started() -> io::Result<Child> {
    let (registered, notify) = pipe2(OFlag::O_CLOEXEC)?;
    let agent = spawn(notify)?;
    // The agent closes its end when it is registered, or has failed.
    let mut fds = [PollFd::new(registered.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(REGISTER_MS_MAX))?;
    Ok(agent)
}

/// Our own end of the pipe is closed when this returns.
fn spawn(notify: OwnedFd) -> io::Result<Child> {
    let number = notify.as_raw_fd().to_string();
    let mut command = Command::new(AGENT);
    command.args(["--notify-fd", &number]).stdin(Stdio::null()).stdout(Stdio::null());
    let prepare = move || {
        // It must not stay behind, whatever becomes of us (PR_SET_PDEATHSIG, prctl(2)).
        set_pdeathsig(Signal::SIGTERM)?;
        fcntl(&notify, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    };
    // SAFETY: between fork and exec this only makes two system calls, and neither allocates nor
    // takes a lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}
