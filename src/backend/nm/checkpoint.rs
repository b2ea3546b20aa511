//! NetworkManager's own checkpoint: a net that works even if this process never comes back.
//!
//! It covers less than our snapshot, and goes with a restart of NetworkManager. It is known by the
//! owner of the bus name, its path and the time of its making: after a restart the same path may
//! be somebody else's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::execute::refused;
use super::settle::absent;
use crate::backend::Failure;
use crate::nm::image::{Checkpoint, Image, ObjectPath};
use crate::nm::{Call, Client};
use crate::state::ErrorKind;
use crate::system::SafetyNet;

/// What `status` calls it.
pub(super) const NAME: &str = "networkmanager-checkpoint";
/// Life of a new one, until the engine sets it. An orphan is gone after that.
const FIRST_S: u32 = 60;

/// NMCheckpointCreateFlags
const DELETE_NEW_CONNECTIONS: u32 = 0x2;
const DISCONNECT_NEW_DEVICES: u32 = 0x4;
/// Since 1.48.
const TRACK_GLOBAL_DNS: u32 = 0x20;

/// A checkpoint that we made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    owner: String,
    path: ObjectPath,
    /// CLOCK_BOOTTIME, milliseconds.
    created: i64,
}

impl Known {
    fn is_in(&self, image: &Image) -> bool {
        let it = image.checkpoints.get(&self.path);
        image.owner == self.owner && it.is_some_and(|it| it.created == self.created)
    }

    /// A client for the process that has it, if it is there. One that has gone and was not told yet is refused,
    /// and no other has its path: NetworkManager counts them up.
    fn found(&self, client: &Client) -> Option<Client> {
        let image = client.image().filter(|image| self.is_in(image))?;
        Some(client.of(&image))
    }

    /// Lets it go; one that is gone already is gone.
    pub(super) async fn destroy(&self, client: &Client) -> Result<(), Failure> {
        let Some(client) = self.found(client) else { return Ok(()) };
        match client.start(Call::CheckpointDestroy { path: self.path.clone() }).await {
            Err(error) if error.is_invalid_arguments() || error.is_gone() || error.is_absent_service() => {
                Ok(())
            }
            Err(error) => Err(refused("destroy NetworkManager's checkpoint", &error)),
            Ok(_) => Ok(()),
        }
    }

    /// It acts so long from now.
    pub(super) async fn adjust(&self, client: &Client, in_time: Duration) -> Result<(), Failure> {
        let Some(client) = self.found(client) else {
            let message = "NetworkManager's checkpoint is gone".to_owned();
            return Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message });
        };
        // 0 would switch it off.
        let timeout_s = u32::try_from(in_time.as_secs()).unwrap_or(u32::MAX).max(1);
        let adjusted = client.start(Call::CheckpointAdjust { path: self.path.clone(), timeout_s }).await;
        adjusted.map_err(|error| refused("set the time of NetworkManager's checkpoint", &error))?;
        Ok(())
    }
}

/// A new checkpoint, which goes unless it is kept.
pub(super) struct Fresh {
    client: Client,
    known: Option<Known>,
}

impl Fresh {
    /// Of all devices. When this future is dropped, none is left.
    pub(super) async fn create(client: &Client) -> Result<Self, Failure> {
        // In a task of its own: whoever does not wait for the answer drops what it brings.
        let made = tokio::spawn(create(client.clone())).await;
        made.unwrap_or_else(|error| {
            let message = format!("cannot make a checkpoint of NetworkManager: {error}");
            Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message })
        })
    }

    pub(super) fn keep(mut self) -> Option<Known> {
        self.known.take()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let Some(known) = self.known.take() else { return };
        let client = self.client.clone();
        tokio::spawn(async move {
            if let Err(failure) = known.destroy(&client).await {
                warn!("{failure}");
            }
        });
    }
}

async fn create(client: Client) -> Result<Fresh, Failure> {
    let image = client.image().ok_or_else(absent)?;
    if let Some((path, other)) = image.checkpoints.iter().next() {
        return Err(pending(path, other));
    }
    let mut flags = DELETE_NEW_CONNECTIONS | DISCONNECT_NEW_DEVICES;
    if image.version.at_least(1, 48) {
        flags |= TRACK_GLOBAL_DNS;
    }
    let call = Call::CheckpointCreate { devices: Vec::new(), timeout_s: FIRST_S, flags };
    let answer = client.of(&image).start(call).await;
    let answer = answer.map_err(|error| refused("make a checkpoint of NetworkManager", &error))?;
    let path = answer.checkpoint().cloned().unwrap_or_default();
    // It was announced before that was answered.
    let now = client.image().ok_or_else(absent)?;
    let known = now.checkpoints.get(&path).filter(|_| now.owner == image.owner).map(|checkpoint| Known {
        owner: now.owner.clone(),
        path: path.clone(),
        created: checkpoint.created,
    });
    // Without it there would be no second net, and nobody would know.
    let message = || "NetworkManager's checkpoint was gone as soon as it was made".to_owned();
    let lost = || Failure { kind: ErrorKind::PluginFailure, subject: None, message: message() };
    let known = Some(known.ok_or_else(lost)?);
    Ok(Fresh { client, known })
}

/// Somebody else has one: two over the same devices would undo each other's changes.
fn pending(path: &str, other: &Checkpoint) -> Failure {
    let now = i64::try_from(boot_time().as_millis()).unwrap_or(i64::MAX);
    let age = now.saturating_sub(other.created).max(0) / 1000;
    let left = match other.rollback_timeout {
        0 => "it has no end".to_owned(),
        timeout => format!("{} s are left", (i64::from(timeout) - age).max(0)),
    };
    Failure {
        kind: ErrorKind::CheckpointPending,
        subject: None,
        message: format!(
            "somebody else has a checkpoint of NetworkManager, {path}, made {age} s ago; {left}"
        ),
    }
}

fn boot_time() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .expect("CLOCK_BOOTTIME exists since Linux 2.6.39 and needs no permission")
        .into()
}

/// The net of one transaction.
pub(super) struct Net {
    pub client: Client,
    pub known: Known,
}

impl Net {
    pub(super) fn under(client: &Client, known: Known) -> Option<Arc<dyn SafetyNet>> {
        let is_there = client.image().is_some_and(|image| known.is_in(&image));
        is_there.then(|| Arc::new(Self { client: client.clone(), known }) as Arc<dyn SafetyNet>)
    }
}

impl SafetyNet for Net {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set(&self, at: Option<Duration>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let done = match at {
                Some(at) => self.known.adjust(&self.client, at.saturating_sub(boot_time())).await,
                None => self.known.destroy(&self.client).await,
            };
            done.map_err(|failure| failure.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(owner: &str, path: &str, created: i64) -> Image {
        let checkpoint = Checkpoint { devices: Vec::new(), created, rollback_timeout: 60 };
        let checkpoints = [(path.to_owned(), checkpoint)].into();
        Image { owner: owner.into(), checkpoints, ..Image::default() }
    }

    #[test]
    fn the_same_path_may_be_somebody_elses() {
        let known = Known { owner: ":1.5".into(), path: "/checkpoint/1".into(), created: 7000 };
        assert!(known.is_in(&image(":1.5", "/checkpoint/1", 7000)));
        assert!(!known.is_in(&image(":1.9", "/checkpoint/1", 7000)));
        assert!(!known.is_in(&image(":1.5", "/checkpoint/1", 9000)));
        assert!(!known.is_in(&image(":1.5", "/checkpoint/2", 7000)));
    }

    #[test]
    fn who_has_to_wait_is_told_for_what() {
        let created = i64::try_from(boot_time().as_millis()).expect("it fits") - 5000;
        let other = Checkpoint { devices: Vec::new(), created, rollback_timeout: 60 };
        let failure = pending("/checkpoint/3", &other);
        assert_eq!(failure.kind, ErrorKind::CheckpointPending);
        assert_eq!(
            failure.message,
            "somebody else has a checkpoint of NetworkManager, /checkpoint/3, made 5 s ago; 55 s are left"
        );
        let endless = Checkpoint { rollback_timeout: 0, ..other };
        assert!(pending("/c", &endless).message.ends_with("it has no end"));
    }
}
