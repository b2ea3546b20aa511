//! Where the user sits: an SSH server tells its session (`SSH_CONNECTION`, ssh(1)).

use std::fs::{self, File};
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::process::parent_id;

/// The name of the variable: client address, client port, server address, server port.
const VARIABLE: &str = "SSH_CONNECTION";

/// Most processes looked at on the way up, and most bytes of an environment.
const ANCESTORS_MAX: usize = 64;
const ENVIRONMENT_BYTES_MAX: u64 = 4 << 20;

/// Both ends of the user's connection, as text for the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub client: String,
    pub server: Option<String>,
}

/// What our environment says, or that of the process that started us, and so on: sudo(8) drops the
/// variable, but has it itself. None where nobody says it or we may not look.
pub fn find() -> Option<Origin> {
    let own = std::env::var(VARIABLE).ok();
    own.as_deref().and_then(read).or_else(|| ancestors().find_map(|pid| read(&variable_of(pid)?)))
}

fn read(text: &str) -> Option<Origin> {
    let mut words = text.split(' ');
    let [client, _, server, _] = std::array::from_fn(|_| words.next());
    let origin = Origin { client: client?.to_owned(), server: Some(server?.to_owned()) };
    (is_address(&origin.client) && origin.server.as_deref().is_some_and(is_address)).then_some(origin)
}

/// A link-local address may name its interface.
fn is_address(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<IpAddr>().is_ok())
}

/// The parents up to, and without, the first process.
fn ancestors() -> impl Iterator<Item = u32> {
    let parent = |pid: &u32| parent_of(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    std::iter::successors(Some(parent_id()), parent).take_while(|pid| *pid > 1).take(ANCESTORS_MAX)
}

/// The fourth word of proc_pid_stat(5). The second is a name in brackets that may hold anything.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn variable_of(pid: u32) -> Option<String> {
    let mut environment = Vec::new();
    let file = File::open(format!("/proc/{pid}/environ")).ok()?;
    file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment).ok()?;
    variable_in(&environment)
}

/// Variables are ended by zero bytes (proc_pid_environ(5)).
fn variable_in(environment: &[u8]) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0).filter_map(|one| std::str::from_utf8(one).ok());
    variables.find_map(|one| one.strip_prefix(VARIABLE)?.strip_prefix('=')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_two_addresses_and_two_ports() {
        let origin = read("192.0.2.9 50122 192.0.2.2 22").expect("a connection");
        assert_eq!((origin.client.as_str(), origin.server.as_deref()), ("192.0.2.9", Some("192.0.2.2")));
        assert!(read("fe80::9%eth0 50122 fe80::2%eth0 22").is_some());
        for wrong in ["", "192.0.2.9", "UNKNOWN 65535 UNKNOWN 65535", "192.0.2.9 1 host 2"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_proc_says_is_read() {
        assert_eq!(parent_of("77 (a) b) S 42 77 77 0"), Some(42));
        assert_eq!(parent_of("nothing"), None);
        let environment = b"A=1\0NOT_SSH_CONNECTION=2\0SSH_CONNECTION=192.0.2.9 1 192.0.2.2 22\0B=\xff\0";
        assert_eq!(variable_in(environment).as_deref(), Some("192.0.2.9 1 192.0.2.2 22"));
        assert_eq!(variable_in(b""), None);
        assert!(ancestors().all(|pid| pid > 1));
    }
}
