//! Whether a connection is accepted.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Fault;

/// Connects to the first of these addresses that accepts, and hangs up.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<(), Fault> {
    let mut said = "it has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(_) => return Ok(()),
            Err(error) => said = format!("{address}: {error}"),
        }
    }
    Err(Fault::Fails(said))
}
