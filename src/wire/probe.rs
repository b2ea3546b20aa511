//! Probes: reachability checks, as clients write them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

/// Most probes of one request.
pub const PROBES_MAX: usize = 16;
/// Longest path of a program: PATH_MAX of linux/limits.h, without the zero.
const PATH_BYTES_MAX: usize = 4095;
/// Longest name, and longest part of one (RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// A reachability check. What held before a change must hold after it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Probe {
    /// `gateway`, `gateway:ipv4`, `gateway:ipv6`: the next hop of the default route answers
    /// neighbour discovery; of any family, or of that one.
    Gateway(Option<Family>),
    /// `resolve:NAME`: the name has an address.
    Resolve(String),
    /// `tcp:HOST:PORT`: a connection is accepted there.
    Tcp { host: Host, port: u16 },
    /// `run:/PATH`: the program ends with status 0.
    Run(String),
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        }
    }
}

/// Where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    Address(IpAddr),
    Name(String),
}

/// Why a text is no probe.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct NotAProbe {
    pub message: String,
    /// What would be one.
    pub hint: &'static str,
}

const KINDS: &str = "probes are gateway, resolve:NAME, tcp:HOST:PORT and run:/PATH";
const GATEWAYS: &str = "gateway, gateway:ipv4 or gateway:ipv6";
const TCP: &str = "as tcp:192.0.2.1:22, tcp:[2001:db8::1]:22 or tcp:host.example:22";
const RESOLVE: &str = "as resolve:host.example";
const RUN: &str = "as run:/usr/local/libexec/probe, without arguments";

impl Probe {
    /// Several, in order; each once.
    pub fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Vec<Self>, NotAProbe> {
        let mut probes = Vec::new();
        for text in texts {
            let probe = text.parse()?;
            if !probes.contains(&probe) {
                probes.push(probe);
            }
            if probes.len() > PROBES_MAX {
                let message = format!("there are more than {PROBES_MAX} probes");
                return Err(NotAProbe { message, hint: "ask for those that matter most" });
            }
        }
        Ok(probes)
    }
}

impl FromStr for Probe {
    type Err = NotAProbe;

    fn from_str(text: &str) -> Result<Self, NotAProbe> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest)),
            None => (text, None),
        };
        match (kind, rest) {
            ("gateway", None) => Ok(Self::Gateway(None)),
            ("gateway", Some(family)) => {
                let known = Family::ALL.into_iter().find(|known| known.name() == family);
                known
                    .map(|family| Self::Gateway(Some(family)))
                    .ok_or_else(|| wrong(text, "is of no family of addresses", GATEWAYS))
            }
            ("resolve", Some(name)) if name.parse::<IpAddr>().is_ok() => {
                Err(wrong(text, "names an address, for which nobody is asked", RESOLVE))
            }
            ("resolve", Some(name)) if is_name(name) => Ok(Self::Resolve(name.into())),
            ("resolve", _) => Err(wrong(text, "names no host", RESOLVE)),
            ("tcp", Some(rest)) => tcp(text, rest),
            ("tcp", None) => Err(wrong(text, "has neither host nor port", TCP)),
            ("run", Some(path)) if is_plain_path(path) => Ok(Self::Run(path.into())),
            ("run", _) => Err(wrong(text, "has no absolute path without `.` and `..`", RUN)),
            _ => Err(wrong(text, "is no probe", KINDS)),
        }
    }
}

fn tcp(text: &str, rest: &str) -> Result<Probe, NotAProbe> {
    let Some((host, port)) = rest.rsplit_once(':') else {
        return Err(wrong(text, "has no port", TCP));
    };
    // A sign is no part of a port.
    let port = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(port) = port.and_then(|port| port.parse().ok()).filter(|port| *port != 0) else {
        return Err(wrong(text, "has no port from 1 to 65535", TCP));
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match in_brackets {
        Some(inside) => inside.parse().ok().filter(IpAddr::is_ipv6),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    };
    match address {
        Some(IpAddr::V6(address)) if address.is_unicast_link_local() => {
            Err(wrong(text, "is link-local, which says nothing without an interface", TCP))
        }
        Some(address) => Ok(Probe::Tcp { host: Host::Address(address), port }),
        None if is_name(host) => Ok(Probe::Tcp { host: Host::Name(host.into()), port }),
        None if host.contains(':') => Err(wrong(text, "has no IPv6 address in brackets", TCP)),
        None => Err(wrong(text, "names no host", TCP)),
    }
}

fn wrong(text: &str, what: &str, hint: &'static str) -> NotAProbe {
    let shown: String = text.chars().take(100).collect();
    NotAProbe { message: format!("{shown:?} {what}"), hint }
}

/// A host name as resolvers take it. One that is all digits and dots would be taken for an address.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let inner = name.strip_suffix('.').unwrap_or(name);
    inner.len() <= NAME_BYTES_MAX
        && inner.split('.').all(is_label)
        && !inner.rsplit('.').next().unwrap_or_default().bytes().all(|byte| byte.is_ascii_digit())
}

fn is_plain_path(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|parts| parts.split('/'));
    path.len() <= PATH_BYTES_MAX
        && !path.contains(char::is_control)
        && parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")))
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(None) => f.write_str("gateway"),
            Self::Gateway(Some(family)) => write!(f, "gateway:{}", family.name()),
            Self::Resolve(name) => write!(f, "resolve:{name}"),
            Self::Tcp { host, port } => write!(f, "tcp:{host}:{port}"),
            Self::Run(path) => write!(f, "run:{path}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        for text in [
            "gateway",
            "gateway:ipv4",
            "gateway:ipv6",
            "resolve:host.example",
            "resolve:_sip.host.example.",
            "tcp:192.0.2.1:22",
            "tcp:[2001:db8::1]:443",
            "tcp:host.example:65535",
            "run:/usr/local/libexec/is-up",
            "run:/with:colon",
        ] {
            let probe: Probe = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(probe.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_is_right() {
        for (text, what, hint) in [
            ("", "is no probe", KINDS),
            ("ping:192.0.2.1", "is no probe", KINDS),
            ("Gateway", "is no probe", KINDS),
            ("gateway:", "no family", GATEWAYS),
            ("gateway:ipv5", "no family", GATEWAYS),
            ("resolve", "names no host", RESOLVE),
            ("resolve:", "names no host", RESOLVE),
            ("resolve:a..b", "names no host", RESOLVE),
            ("resolve:a b", "names no host", RESOLVE),
            ("resolve:192.0.2.1", "nobody is asked", RESOLVE),
            ("resolve:192.0.2", "names no host", RESOLVE),
            ("tcp", "neither host nor port", TCP),
            ("tcp:host", "has no port", TCP),
            ("tcp:host:", "from 1 to 65535", TCP),
            ("tcp:host:0", "from 1 to 65535", TCP),
            ("tcp:host:+22", "from 1 to 65535", TCP),
            ("tcp:host:65536", "from 1 to 65535", TCP),
            ("tcp::22", "names no host", TCP),
            ("tcp:2001:db8::1:22", "in brackets", TCP),
            ("tcp:[192.0.2.1]:22", "names no host", TCP),
            ("tcp:[fe80::1]:22", "link-local", TCP),
            ("run", "no absolute path", RUN),
            ("run:probe", "no absolute path", RUN),
            ("run:/", "no absolute path", RUN),
            ("run:/a/../b", "no absolute path", RUN),
            ("run:/a//b", "no absolute path", RUN),
            ("run:/a\nb", "no absolute path", RUN),
        ] {
            let error = text.parse::<Probe>().expect_err(text);
            assert!(error.message.contains(what), "{text}: {error}");
            assert_eq!(error.hint, hint, "{text}");
        }
    }

    #[test]
    fn a_list_has_each_once_and_an_end() {
        assert_eq!(Probe::list(["gateway", "gateway"]), Ok(vec![Probe::Gateway(None)]));
        let many: Vec<String> = (1..=PROBES_MAX + 1).map(|port| format!("tcp:192.0.2.1:{port}")).collect();
        assert!(Probe::list(many.iter().take(PROBES_MAX).map(String::as_str)).is_ok());
        let error = Probe::list(many.iter().map(String::as_str)).expect_err("one too many");
        assert_eq!(error.message, "there are more than 16 probes");
    }
}
