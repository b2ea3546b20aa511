//! The backends: which one carries out changes here, why, and how it is opened.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;
use zbus::connection::Builder;

use super::{BackendName, DaemonError};
use crate::backend::Backend;
use crate::backend::kernel::KernelBackend;
use crate::backend::netplan::NetplanBackend;
use crate::backend::nm::NmBackend;
use crate::engine::OpenRecord;
use crate::kernel::mirror;
use crate::netplan::Renderer;
use crate::nm;
use crate::ovsdb::{self, Database};
use crate::system::systemd::Manager;

/// Longest time that the bus may take to say whether NetworkManager runs.
const ASK_MAX: Duration = Duration::from_secs(5);

const NETWORK_MANAGER: &str = "org.freedesktop.NetworkManager";
const UNIT: &str = "NetworkManager.service";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const NETWORKD: &str = "systemd-networkd.service";
/// The folder of ours that a reboot empties, and that of the netplan backend in it.
const NETPLAN_SCRATCH: &str = "/run/nmstated/netplan";

/// A backend there is, by the name that is in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driver {
    Kernel,
    Netplan,
    NetworkManager,
}

impl Driver {
    /// Of a record.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "kernel" => Some(Self::Kernel),
            "netplan" => Some(Self::Netplan),
            "networkmanager" => Some(Self::NetworkManager),
            _ => None,
        }
    }
}

/// The one to use, and why. What is open already decides where nobody has: only the backend that made a
/// change knows the way back.
pub(super) async fn choose(name: BackendName, open: Option<&OpenRecord>) -> (Driver, String) {
    match name {
        BackendName::Kernel => (Driver::Kernel, "it was asked for".into()),
        BackendName::Netplan => (Driver::Netplan, "it was asked for".into()),
        BackendName::NetworkManager => (Driver::NetworkManager, "it was asked for".into()),
        BackendName::Auto => {
            let of_record = open.and_then(|OpenRecord { id, backend }| {
                Some((Driver::named(backend)?, format!("transaction {id}, which is open, was made by it")))
            });
            match of_record {
                Some(chosen) => chosen,
                None => for_host().await,
            }
        }
    }
}

/// Whoever defines interfaces in netplan's files means netplan to have the network, also where it is NetworkManager
/// that carries them out; else whoever has NetworkManager run means that.
async fn for_host() -> (Driver, String) {
    if let Some(why) = NetplanBackend::defines(Path::new("/")) {
        return (Driver::Netplan, why);
    }
    match timeout(ASK_MAX, network_manager()).await {
        Ok(Ok(Some(why))) => (Driver::NetworkManager, why),
        Ok(Ok(None)) => (Driver::Kernel, "NetworkManager does not run".into()),
        Ok(Err(error)) => (Driver::Kernel, format!("the system bus cannot be asked for others: {error}")),
        Err(_) => {
            let why = format!("the system bus did not say within {} s what runs", ASK_MAX.as_secs());
            warn!("{why}");
            (Driver::Kernel, why)
        }
    }
}

/// How NetworkManager runs, if it does, or is about to.
async fn network_manager() -> zbus::Result<Option<String>> {
    let bus = Builder::system().build().await?;
    let reply = bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "NameHasOwner", &NETWORK_MANAGER).await?;
    if reply.body().deserialize()? {
        return Ok(Some("NetworkManager runs".into()));
    }
    Ok(unit_state(UNIT).await?.filter(|state| is_up(state)).map(|state| format!("{UNIT} is {state}")))
}

/// Whether a unit in that state is there, or will be (systemd(1), "Concepts").
fn is_up(state: &str) -> bool {
    matches!(state, "active" | "activating" | "reloading")
}

/// The state of a unit; None where systemd does not know it, or is not there.
async fn unit_state(unit: &str) -> zbus::Result<Option<String>> {
    match Manager::connect().await?.state(unit).await {
        Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => Ok(None),
        state => state,
    }
}

/// What carries out netplan's files that do not say: NetworkManager where only it runs, as netplan's
/// documentation asks whoever has it to say so; else netplan's default.
async fn renderer() -> Renderer {
    let is_running = async |unit| match timeout(ASK_MAX, unit_state(unit)).await {
        Ok(Ok(state)) => state.is_some_and(|state| is_up(&state)),
        Ok(Err(_)) | Err(_) => false,
    };
    if is_running(UNIT).await && !is_running(NETWORKD).await {
        Renderer::NetworkManager
    } else {
        Renderer::Networkd
    }
}

/// A backend at work, and the tasks that keep it so: each ends only with a reason.
pub(super) struct Opened {
    pub(super) backend: Arc<dyn Backend>,
    pub(super) keepers: JoinSet<DaemonError>,
}

pub(super) async fn open(driver: Driver) -> Result<Opened, DaemonError> {
    let (mirror, keeper) = mirror::open(mirror::Paths::default()).await.map_err(DaemonError::Mirror)?;
    let mut keepers = JoinSet::new();
    keepers.spawn(async move {
        match keeper.run().await {
            Ok(()) => DaemonError::Ended("the mirror of the kernel"),
            Err(error) => DaemonError::Mirror(error),
        }
    });
    let kernel = KernelBackend::open(mirror, Path::new("/")).await.map_err(DaemonError::Backend)?;
    let backend: Arc<dyn Backend> = match driver {
        Driver::Kernel => Arc::new(kernel),
        Driver::Netplan => {
            let database = follow_database(&mut keepers).await;
            let backend = NetplanBackend::open(kernel, database, "/", NETPLAN_SCRATCH, renderer().await);
            Arc::new(backend.map_err(DaemonError::Backend)?)
        }
        Driver::NetworkManager => {
            let (client, keeper) = nm::Client::open(None).await.map_err(DaemonError::NetworkManager)?;
            keepers.spawn(async move {
                keeper.run().await;
                DaemonError::Ended("what follows NetworkManager")
            });
            // Whether it is there, and what it knows, is found out before anything is decided.
            if let Err(error) = client.sync().await {
                warn!("NetworkManager cannot be asked yet: {error}");
            }
            let database = follow_database(&mut keepers).await;
            Arc::new(NmBackend::new(kernel, client, database, Path::new("/")))
        }
    };
    Ok(Opened { backend, keepers })
}

/// Open vSwitch's database, and whether it is there is found out before anything is decided.
async fn follow_database(keepers: &mut JoinSet<DaemonError>) -> Database {
    let (database, keeper) = ovsdb::open(Path::new(ovsdb::SOCKET));
    keepers.spawn(async move {
        keeper.run().await;
        DaemonError::Ended("what follows Open vSwitch's database")
    });
    // A host without one answers as well.
    if let Err(error) = database.sync().await {
        warn!("{error}");
    }
    database
}
