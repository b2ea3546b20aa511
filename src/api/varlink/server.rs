//! The socket, and the clients on it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use super::connection::{Shared, serve};
use super::limits::{ACCEPT_REST, BUDGET_BYTES, CONNECTIONS, STOP_MAX};
use super::reply;
use crate::api::{Budget, Failure, Service, Shares, told_to};
use crate::auth::Caller;
use crate::state::ErrorKind;

/// Makes a socket that everybody may connect to: who may do what is decided for each call. A
/// socket that an earlier daemon left is replaced; anything else at this place is left alone.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => fs::remove_file(path)?,
        Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Serves varlink.
pub struct Server {
    shared: Shared,
    places: Shares,
}

impl Server {
    pub fn new(service: Service) -> Self {
        let budget = || Budget::new(BUDGET_BYTES);
        let shared = Shared { service, incoming: budget(), outgoing: budget() };
        Self { shared, places: Shares::new(CONNECTIONS) }
    }

    /// Accepts clients until told to stop, then lets them take their last answers.
    pub async fn run(self, listener: UnixListener, mut stop: watch::Receiver<bool>) {
        let mut clients = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(ended) = clients.join_next() => {
                    report(ended);
                    continue;
                }
                () = told_to(&mut stop) => break,
            };
            match accepted {
                Ok((stream, _)) => self.admit(stream, &mut clients, &stop).await,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
        let all = async {
            while let Some(ended) = clients.join_next().await {
                report(ended);
            }
        };
        // Who has not taken its answer by now is cut off, when the set is dropped.
        let _ = timeout(STOP_MAX, all).await;
    }

    async fn admit(&self, mut stream: UnixStream, clients: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
        let Ok(peer) = stream.peer_cred() else {
            return;
        };
        let Some(place) = self.places.take(peer.uid()) else {
            let busy = Failure::new(ErrorKind::Busy, "there are too many connections, try again");
            // A new socket has room for this; the client may be gone, which is as well.
            let _ = timeout(ACCEPT_REST, stream.write_all(&reply::failure(&busy))).await;
            return;
        };
        let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
        let caller = Caller::of_socket(peer.uid(), pid);
        let (shared, stop) = (self.shared.clone(), stop.clone());
        clients.spawn(async move {
            serve(stream, caller, shared, stop).await;
            drop(place);
        });
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        error!(%error, "a connection ended badly");
    }
}
