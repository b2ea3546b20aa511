//! What leads back to NetworkManager as it was, also for another process and another
//! NetworkManager: nothing in here names an object path but the checkpoint, which is known by its
//! owner and the time of its making.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::checkpoint::Known;
use super::choose::Profiles;
use super::settle::number;
use super::work::{Layer, Which};
use crate::backend::Failure;
use crate::backend::kernel::Facts;
use crate::nm::image::{Image, Stored};
use crate::nm::settings::drop_twins;
use crate::nm::{Profile, Setting};
use crate::state::{ErrorKind, State};

/// Private part of a snapshot. Holds secrets: it is not for printing.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Private {
    /// All stored profiles but those that NetworkManager makes for what others configure, by UUID.
    pub profiles: BTreeMap<String, Was>,
    /// What was active; external ones are left out.
    pub actives: Vec<ActiveWas>,
    pub devices: Vec<DeviceWas>,
    pub global_dns: Setting,
    /// The persistent host name.
    pub hostname: String,
    /// Scripts of the dispatcher by file name.
    pub scripts: BTreeMap<String, Vec<u8>>,
    pub kernel: Facts,
    /// NetworkManager's own, where it could be made.
    pub checkpoint: Option<Known>,
}

/// A stored profile.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Was {
    pub profile: Profile,
    pub flags: u32,
    pub filename: String,
    /// The interfaces that it is for, or is active on.
    pub interfaces: Vec<Which>,
}

/// An active connection.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ActiveWas {
    pub uuid: String,
    pub which: Which,
    /// What the device ran with, which may differ from the stored profile. No secrets.
    pub applied: Option<Profile>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct DeviceWas {
    pub which: Which,
    pub managed: bool,
    pub autoconnect: bool,
}

/// Flags of a stored profile.
const UNSAVED: u32 = 0x1;
const GENERATED: u32 = 0x2;
const VOLATILE: u32 = 0x4;
const EXTERNAL: u32 = 0x8;

impl Stored {
    pub(super) fn is_on_disk(&self) -> bool {
        self.flags & UNSAVED == 0
    }

    /// Somebody wants it, and it stays until somebody takes it away.
    pub(super) fn is_kept(&self) -> bool {
        self.flags & (VOLATILE | EXTERNAL) == 0
    }

    /// NetworkManager has made it for a device without a profile.
    pub(super) fn is_default(&self) -> bool {
        self.flags & GENERATED != 0
    }
}

impl Was {
    pub(super) fn is_on_disk(&self) -> bool {
        self.flags & UNSAVED == 0
    }
}

impl Private {
    pub(super) fn take(image: &Image, now: &State, kernel: Facts) -> Self {
        let mut interfaces = interfaces_of_profiles(image, now);
        let kept = image.profiles.values().filter(|stored| stored.is_kept());
        let profiles = kept.filter_map(|stored| {
            let uuid = stored.profile.uuid()?.to_owned();
            let mut profile = stored.profile.clone();
            drop_twins(&mut profile);
            // When it was last active is NetworkManager's to know.
            profile.unset("connection", "timestamp");
            let was = Was {
                profile,
                flags: stored.flags,
                filename: stored.filename.clone(),
                interfaces: interfaces.remove(&uuid).unwrap_or_default(),
            };
            Some((uuid, was))
        });
        let devices = image.devices.values().filter(|device| device.real);
        Self {
            profiles: profiles.collect(),
            actives: actives(image),
            devices: devices
                .map(|device| DeviceWas {
                    which: Which { name: device.name.clone(), layer: Layer::of_device(device.kind) },
                    managed: device.managed,
                    autoconnect: device.autoconnect,
                })
                .collect(),
            global_dns: image.global_dns.clone(),
            hostname: image.hostname.clone(),
            scripts: BTreeMap::new(),
            kernel,
            checkpoint: None,
        }
    }

    pub(super) fn to_json(&self) -> Json {
        serde_json::to_value(self).expect("a snapshot is plain values with text for keys")
    }

    pub(super) fn from_json(json: &Json) -> Result<Self, Failure> {
        Self::deserialize(json).map_err(|error| Failure {
            kind: ErrorKind::StorageError,
            subject: None,
            message: format!("the snapshot is not one of the NetworkManager backend: {error}"),
        })
    }
}

/// What is active, but for what NetworkManager only watches.
pub(super) fn actives(image: &Image) -> Vec<ActiveWas> {
    let mut ours: Vec<_> = image.actives.iter().filter(|(_, active)| !active.is_external()).collect();
    // As they came: what rests on another came after it.
    ours.sort_by_key(|(path, _)| number(path));
    let found = ours.into_iter().filter_map(|(_, active)| {
        let device = active.device.as_ref().and_then(|path| image.devices.get(path));
        let which = match device {
            _ if active.kind == "vpn" => Which { name: active.id.clone(), layer: Layer::Vpn },
            Some(device) => Which { name: device.name.clone(), layer: Layer::of_device(device.kind) },
            None => return None,
        };
        let applied = device.and_then(|device| device.applied.as_ref());
        let applied = applied.filter(|_| which.layer != Layer::Vpn).map(|applied| applied.0.clone());
        Some(ActiveWas { uuid: active.uuid.clone(), which, applied })
    });
    found.collect()
}

/// By UUID: the interfaces that a profile is for, or is active on; of a port of an Open vSwitch
/// bridge also that bridge.
pub(super) fn interfaces_of_profiles(image: &Image, now: &State) -> BTreeMap<String, Vec<Which>> {
    let mut found: BTreeMap<String, Vec<Which>> = BTreeMap::new();
    for (which, candidates) in Profiles::new(image, now).all() {
        for candidate in candidates {
            let of = found.entry(candidate.uuid().to_owned()).or_default();
            of.push(which.clone());
            let profile = &candidate.stored.profile;
            if which.layer == Layer::OvsPort
                && let Some(bridge) = profile.text("connection", "master")
            {
                let name = image.stored(bridge).and_then(|(_, stored)| stored.profile.interface_name());
                of.push(Which { name: name.unwrap_or(bridge).to_owned(), layer: Layer::OvsBridge });
            }
        }
    }
    found
}

/// Whether a profile belongs to what a transaction touches.
pub(super) fn belongs(interfaces: &[Which], reach: &BTreeSet<String>) -> bool {
    interfaces.iter().any(|which| reach.contains(&which.name))
}
