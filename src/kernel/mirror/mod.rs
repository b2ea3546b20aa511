//! The mirror: a live image of the kernel's network state.
//!
//! Each list is dumped once; notifications keep it. The [`Keeper`] is one task that owns the
//! sockets; a [`Mirror`] is a handle to what it keeps. Readers take a consistent [`Image`] at the
//! price of a few reference counts and ask the kernel nothing.
//!
//! What the kernel does not announce is known and handled: IPv4 routes that vanish with their link
//! or source address (dropped here by the kernel's own rule), bridge VLANs (asked anew when
//! doubtful), sysctls and virtual functions (read again by [`Mirror::sync`]).
//!
//! Lost notifications (`ENOBUFS`) lead to a new set of dumps, swapped in at once.

mod address;
mod device;
mod ethtool;
mod host;
mod image;
mod keeper;
mod link;
mod route;
mod rule;

pub use address::Address;
pub use device::{Device, Sriov};
pub use ethtool::Ethtool;
pub use host::{Host, Resolver};
pub use image::Image;
pub use keeper::{Keeper, MirrorError, open};
pub use link::{BridgeVlans, Inet, Inet6, Link, Vf, vlan_flag};
pub use route::{Hop, Hops, Metrics, Route};
pub use rule::Rule;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot, watch};

/// Files and folders beside netlink. Tests put them elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    pub resolv_conf: PathBuf,
    /// The persistent host name.
    pub hostname: PathBuf,
    /// The host name in use, a file of sysctl that can be polled.
    pub running_hostname: PathBuf,
    pub sys_class_net: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            resolv_conf: "/etc/resolv.conf".into(),
            hostname: "/etc/hostname".into(),
            running_hostname: "/proc/sys/kernel/hostname".into(),
            sys_class_net: "/sys/class/net".into(),
        }
    }
}

/// A request to the keeper, answered once the image is current.
type SyncRequest = oneshot::Sender<()>;

/// A handle to the live image.
#[derive(Clone, Debug)]
pub struct Mirror {
    image: Arc<Mutex<Image>>,
    requests: mpsc::Sender<SyncRequest>,
    revision: watch::Receiver<u64>,
}

/// The keeper has ended, and the image is not live any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the mirror of the kernel's state has stopped")]
pub struct Stopped;

impl Mirror {
    /// Returns the present image.
    pub fn image(&self) -> Image {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image.clone()
    }

    /// Returns the present revision, which increases with every change.
    pub fn revision(&self) -> u64 {
        *self.revision.borrow()
    }

    /// The revision, for those who wait for changes on their own.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.clone()
    }

    /// Waits until the revision differs from the one last returned by this handle's wait, and
    /// returns it. Nothing is lost if the wait is dropped.
    pub async fn changed(&mut self) -> Result<u64, Stopped> {
        self.revision.changed().await.map_err(|_| Stopped)?;
        Ok(*self.revision.borrow_and_update())
    }

    /// Waits until the image shows everything that the kernel had done before this call.
    ///
    /// The kernel queues a notification before it answers the request that caused it, so emptying
    /// the queue is enough for what is announced; what is not is read anew.
    pub async fn sync(&self) -> Result<(), Stopped> {
        let (done, wait) = oneshot::channel();
        self.requests.send(done).await.map_err(|_| Stopped)?;
        wait.await.map_err(|_| Stopped)
    }
}
