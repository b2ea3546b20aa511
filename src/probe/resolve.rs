//! Whether a name has an address, as every program of this host would find out (getaddrinfo(3)).

use std::net::{SocketAddr, ToSocketAddrs};

use super::Fault;
use super::aside::Aside;

/// Addresses taken of one name.
const ADDRESSES_MAX: usize = 16;

/// The addresses of a name, at least one.
pub(super) async fn addresses(aside: &Aside, name: &str, port: u16) -> Result<Vec<SocketAddr>, Fault> {
    let asked = name.to_owned();
    let found = aside
        .call("resolver", move || {
            (asked.as_str(), port).to_socket_addrs().map(|all| all.take(ADDRESSES_MAX).collect::<Vec<_>>())
        })
        .await?;
    match found {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) => Err(Fault::Fails(format!("{name} has no address"))),
        Err(error) => Err(Fault::Fails(error.to_string())),
    }
}
