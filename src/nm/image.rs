//! Everything that NetworkManager knows, at one revision.
//!
//! Object paths are valid as long as [`Image::owner`] is the same; profiles are known by UUID,
//! devices by name and type.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::{Profile, Value};

/// Path of a D-Bus object.
pub type ObjectPath = String;

/// Everything that NetworkManager knows. Cheap to clone: large parts are shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Increases with every change seen, over all owners.
    pub revision: u64,
    /// Unique bus name of the process; numbers in object paths start again with each.
    pub owner: String,
    pub version: Version,
    /// Its first round of activations has not ended.
    pub startup: bool,
    pub devices: BTreeMap<ObjectPath, Arc<Device>>,
    pub actives: BTreeMap<ObjectPath, Arc<Active>>,
    /// Those that ended last, oldest first; a few dozen.
    pub ended: VecDeque<Ended>,
    pub profiles: BTreeMap<ObjectPath, Arc<Stored>>,
    pub checkpoints: BTreeMap<ObjectPath, Checkpoint>,
    pub dns: Dns,
    /// `GlobalDnsConfiguration`; empty: none.
    pub global_dns: BTreeMap<String, Value>,
    /// The persistent host name, `Settings.Hostname`.
    pub hostname: String,
}

/// What this NetworkManager is and can do (`Version`, `VersionInfo`, `Capabilities`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub micro: u16,
    /// Bits of `VersionInfo` after the version; bit 0: routes of all tables are synchronised,
    /// bit 1: `ipv4.forwarding`, bit 2: `sriov.preserve-on-down`.
    pub bits: u32,
    /// The Open vSwitch plugin is loaded.
    pub has_ovs: bool,
}

impl Version {
    pub fn at_least(&self, major: u16, minor: u16) -> bool {
        (self.major, self.minor) >= (major, minor)
    }
}

/// `org.freedesktop.NetworkManager.Device`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Device {
    /// `Interface`.
    pub name: String,
    /// `DeviceType` (NMDeviceType).
    pub kind: u32,
    /// `State` (NMDeviceState).
    pub state: u32,
    /// Second part of `StateReason` (NMDeviceStateReason).
    pub reason: u32,
    pub active: Option<ObjectPath>,
    pub managed: bool,
    pub autoconnect: bool,
    /// It exists in the kernel (or in the Open vSwitch database).
    pub real: bool,
    pub hw_address: String,
    /// udev's `ID_PATH`.
    pub path: String,
    pub plugin_missing: bool,
    pub lldp_neighbors: Vec<BTreeMap<String, Value>>,
    /// What it runs with (`GetAppliedConnection`), and the version of that. No secrets, and nothing
    /// of Open vSwitch. None when nothing is active, or it has not been read yet.
    pub applied: Option<Arc<(Profile, u64)>>,
}

/// `org.freedesktop.NetworkManager.Connection.Active`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Active {
    pub id: String,
    pub uuid: String,
    /// `connection.type` of its profile.
    pub kind: String,
    pub profile: Option<ObjectPath>,
    pub device: Option<ObjectPath>,
    /// `State` (NMActiveConnectionState).
    pub state: u32,
    /// `StateFlags` (NMActivationStateFlags): 0x4 layer 2 ready, 0x80 external.
    pub flags: u32,
    /// Reason of the last `StateChanged` (NMActiveConnectionStateReason).
    pub reason: u32,
    pub controller: Option<ObjectPath>,
    /// Why its device began to leave it (NMDeviceStateReason): says more than `reason`. 0: it did not.
    pub device_reason: u32,
}

/// An active connection that is not there any more, as it was last.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    pub path: ObjectPath,
    pub active: Arc<Active>,
}

impl Active {
    pub fn is_external(&self) -> bool {
        self.flags & 0x80 != 0
    }

    /// Its link is made and configured; IP may still be under way.
    pub fn is_layer2_ready(&self) -> bool {
        self.flags & 0x4 != 0
    }
}

/// A stored profile, `org.freedesktop.NetworkManager.Settings.Connection`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// Its contents, with the secrets that it stores.
    pub profile: Profile,
    /// 0x1 unsaved (in memory only), 0x2 generated, 0x4 volatile, 0x8 external.
    pub flags: u32,
    pub filename: String,
    /// `VersionId`, since 1.44.
    pub version_id: Option<u64>,
}

/// `org.freedesktop.NetworkManager.Checkpoint`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    pub devices: Vec<ObjectPath>,
    /// CLOCK_BOOTTIME, milliseconds.
    pub created: i64,
    /// Seconds from `created`; 0: never.
    pub rollback_timeout: u32,
}

/// `org.freedesktop.NetworkManager.DnsManager`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dns {
    /// `default`, `systemd-resolved`, `dnsmasq`, `none`, ...
    pub mode: String,
    pub rc_manager: String,
    /// Entries with `nameservers` as, `priority` i, optional `domains` as, `interface` s, `vpn` b.
    pub configuration: Vec<BTreeMap<String, Value>>,
}

impl Image {
    /// What became of an active connection that is not there any more, if that is not long ago.
    pub fn ended(&self, path: &str) -> Option<&Arc<Active>> {
        self.ended.iter().rev().find(|ended| ended.path == path).map(|ended| &ended.active)
    }

    pub fn stored(&self, uuid: &str) -> Option<(&ObjectPath, &Arc<Stored>)> {
        self.profiles.iter().find(|(_, stored)| stored.profile.uuid() == Some(uuid))
    }

    /// The active connection of a device.
    pub fn active_of(&self, device: &Device) -> Option<&Arc<Active>> {
        self.actives.get(device.active.as_ref()?)
    }
}
