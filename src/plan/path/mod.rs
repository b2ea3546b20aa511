//! Whether a plan touches the path by which a client came in: the route of the packets to it, the
//! interface they leave by, and everything that interface rests on. Errs on the side of "it does":
//! the price of that is a question.

mod changes;
mod network;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use super::Plan;
use crate::state::State;
use network::Network;

/// Most reasons told; a bridge may lose a thousand ports.
const REASONS_MAX: usize = 32;

/// Where a client sits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its own address, as the connection shows it.
    pub address: IpAddr,
    /// The interface that a link-local address belongs to (RFC 4007, 11).
    pub scope: Option<String>,
    /// Our end of the connection.
    pub server: Option<IpAddr>,
}

impl Client {
    /// Reads both ends of a connection, each an IP address; a link-local one may name its
    /// interface, as `fe80::1%eth0`. IPv4 in IPv6 (RFC 4291, 2.5.5.2) is taken as IPv4.
    pub fn read(address: &str, server: Option<&str>) -> Result<Self, String> {
        let (address, scope) = scoped(address)?;
        let server = server.map(scoped).transpose()?.map(|(server, _)| server);
        if let Some(server) = server.filter(|server| server.is_ipv6() != address.is_ipv6()) {
            return Err(format!("{address} and {server} are not of one family"));
        }
        Ok(Self { address, scope, server })
    }
}

fn scoped(text: &str) -> Result<(IpAddr, Option<String>), String> {
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let parsed = address.parse::<IpAddr>().map(|address| address.to_canonical());
    let fits = |address: &IpAddr| {
        scope.is_none_or(|scope| {
            matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
                && (1..16).contains(&scope.len())
                && !scope.contains(|c: char| c.is_whitespace() || c.is_control() || c == '/')
        })
    };
    match parsed {
        Ok(address) if fits(&address) => Ok((address, scope.map(str::to_owned))),
        _ => {
            let shown: String = text.chars().take(64).collect();
            Err(format!("expected an IP address, not {shown:?}"))
        }
    }
}

/// The path of a client, and how a plan touches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientPath {
    /// The interface by which packets leave for the client.
    pub interface: String,
    /// What happens to the path, in sentences for a person; at least one.
    pub reasons: Vec<String>,
}

/// The lines that end the text of a plan.
impl fmt::Display for ClientPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "This change touches the path of your connection:")?;
        self.reasons.iter().try_for_each(|reason| writeln!(f, "  {reason}"))
    }
}

/// How `plan` touches the path to that client; None if it does not, or if the path is not known.
/// `current` is what the plan was made for.
pub fn touched(plan: &Plan, current: &State, client: &Client) -> Option<ClientPath> {
    if plan.is_empty() {
        return None;
    }
    let now = Network::now(current);
    let path = now.path(client)?;
    let then = Network::after(current, plan);
    let mut reasons = changes::reasons(plan, &now, &path, &then, client);
    let interface = path.interface().to_owned();
    if reasons.len() > REASONS_MAX {
        let more = reasons.len() - REASONS_MAX;
        reasons.truncate(REASONS_MAX);
        reasons.push(format!("and {more} more"));
    }
    (!reasons.is_empty()).then_some(ClientPath { interface, reasons })
}
