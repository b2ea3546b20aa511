//! The client at the other end, as the kernel or the bus vouches for it.

use std::fs;

use crate::wire::Owner;

/// A client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub pid: Option<u32>,
    pub subject: Subject,
    /// Whether polkit may ask the user for a password.
    pub interactive: bool,
}

/// How polkit is told who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A connection to the bus, by its unique name.
    BusName(String),
    /// A process; its start time tells it from a later one with the same number.
    Process { start_time: u64 },
    /// A peer whose process is not known any more: only its uid counts.
    Gone,
}

impl Caller {
    /// The peer of a unix socket (SO_PEERCRED, unix(7)). Call it right after accepting.
    pub fn of_socket(uid: u32, pid: Option<u32>) -> Self {
        let start_time = pid.and_then(start_time);
        let subject = start_time.map_or(Subject::Gone, |start_time| Subject::Process { start_time });
        Self { uid, pid, subject, interactive: false }
    }

    /// The sender of a message, with the credentials that the bus gave for its name.
    pub fn on_bus(name: &str, uid: u32, pid: Option<u32>, interactive: bool) -> Self {
        Self { uid, pid, subject: Subject::BusName(name.to_owned()), interactive }
    }

    /// As transactions remember it.
    pub fn owner(&self) -> Owner {
        let via = match &self.subject {
            Subject::BusName(name) => name.clone(),
            Subject::Process { .. } | Subject::Gone => "varlink".into(),
        };
        Owner { uid: self.uid, pid: self.pid, via }
    }
}

/// When a process started, in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 2 is the program's name in parentheses, which may hold blanks and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_start_time() {
        let caller = Caller::of_socket(1000, Some(std::process::id()));
        assert!(matches!(caller.subject, Subject::Process { start_time } if start_time > 0));
        assert_eq!(Caller::of_socket(1000, Some(u32::MAX)).subject, Subject::Gone);
    }
}
