//! Whether a connection is accepted.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Fault;

/// Connects to all of these addresses at once, and hangs up: one that accepts is enough.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<(), Fault> {
    let connecting = addresses.iter().map(|address| {
        Box::pin(async move {
            let connected = TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| Fault::Fails(format!("{address}: {error}")))
        })
    });
    if addresses.is_empty() {
        return Err(Fault::Fails("there is no address".into()));
    }
    futures_util::future::select_ok(connecting).await.map(drop)
}
