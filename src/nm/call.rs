//! What can be asked of NetworkManager, and what it answers.
//!
//! Flags are those of its interface description: add 0x1 to disk, 0x2 in memory, 0x20 block autoconnect;
//! update 0x1 to disk, 0x2 in memory, 0x4 in memory detached, 0x10 volatile, 0x20 block autoconnect;
//! Reapply 0x1 keep foreign addresses and routes; checkpoints 0x2 delete new profiles, 0x4 disconnect new
//! devices, 0x20 keep track of global DNS.

use std::collections::BTreeMap;
use std::fmt;

use zbus::wire::{DynamicType, Signature};
use zbus::{Message, ObjectPath as WirePath, OwnedObjectPath, OwnedVariant, Variant};

use super::image::ObjectPath;
use super::wire::{WireSetting, write_profile, write_setting};
use super::{Error, Profile, Setting};

pub(super) const NAME: &str = "org.freedesktop.NetworkManager";
pub(super) const MANAGER: &str = "org.freedesktop.NetworkManager";
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/NetworkManager";
pub(super) const SETTINGS: &str = "org.freedesktop.NetworkManager.Settings";
pub(super) const SETTINGS_PATH: &str = "/org/freedesktop/NetworkManager/Settings";
pub(super) const PROFILE: &str = "org.freedesktop.NetworkManager.Settings.Connection";
pub(super) const DEVICE: &str = "org.freedesktop.NetworkManager.Device";
pub(super) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// A call. Paths are those of the image it was decided on.
#[derive(Clone, PartialEq)]
pub enum Call {
    AddConnection {
        profile: Profile,
        flags: u32,
    },
    /// An empty profile stands for the present contents: only where it is stored changes.
    Update {
        path: ObjectPath,
        profile: Profile,
        flags: u32,
        /// Refused if it is not the present one (since 1.44, where [`super::image::Stored`] has it).
        version_id: Option<u64>,
    },
    /// Deletes a profile.
    Delete {
        path: ObjectPath,
    },
    Activate {
        profile: ObjectPath,
        device: Option<ObjectPath>,
        specific: Option<ObjectPath>,
    },
    /// Without a device for a virtual type only, and not in 1.42.4, which answers `UnknownDevice` then.
    AddAndActivate {
        profile: Profile,
        device: Option<ObjectPath>,
        persist: Persist,
    },
    /// An empty profile stands for the stored one; version 0: whatever is applied now.
    Reapply {
        device: ObjectPath,
        profile: Profile,
        version: u64,
        flags: u32,
    },
    Deactivate {
        active: ObjectPath,
    },
    Disconnect {
        device: ObjectPath,
    },
    /// Deletes the link. Never for `lo`, of which NetworkManager would only forget what it knows.
    DeleteDevice {
        device: ObjectPath,
    },
    SetManaged {
        device: ObjectPath,
        on: bool,
    },
    SetAutoconnect {
        device: ObjectPath,
        on: bool,
    },
    /// The persistent host name.
    SaveHostname {
        name: String,
    },
    /// An empty one removes it.
    SetGlobalDns {
        configuration: Setting,
    },
    ReloadConnections,
    CheckpointCreate {
        devices: Vec<ObjectPath>,
        timeout_s: u32,
        flags: u32,
    },
    CheckpointDestroy {
        path: ObjectPath,
    },
    CheckpointAdjust {
        path: ObjectPath,
        timeout_s: u32,
    },
    CheckpointRollback {
        path: ObjectPath,
    },
}

/// Where a profile that is added and activated at once is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    Disk,
    Memory,
    /// In memory until it is not active any more.
    Volatile,
}

/// What a call that succeeded answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Of `AddConnection`.
    Profile(ObjectPath),
    /// Of `Activate`.
    Active(ObjectPath),
    /// Of `AddAndActivate`.
    Both {
        profile: ObjectPath,
        active: ObjectPath,
    },
    /// Of `CheckpointCreate`.
    Checkpoint(ObjectPath),
    /// Of `CheckpointRollback`, by device: 0 done, 1 no such device, 2 unmanaged, 3 failed.
    RolledBack(BTreeMap<ObjectPath, u32>),
}

impl Answer {
    /// The profile that was added.
    pub fn profile(&self) -> Option<&ObjectPath> {
        match self {
            Self::Profile(profile) | Self::Both { profile, .. } => Some(profile),
            _ => None,
        }
    }

    /// The active connection that began.
    pub fn active(&self) -> Option<&ObjectPath> {
        match self {
            Self::Active(active) | Self::Both { active, .. } => Some(active),
            _ => None,
        }
    }

    /// The checkpoint that was made.
    pub fn checkpoint(&self) -> Option<&ObjectPath> {
        match self {
            Self::Checkpoint(path) => Some(path),
            _ => None,
        }
    }
}

/// The form of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    Nothing,
    Profile,
    Active,
    Both,
    Checkpoint,
    RolledBack,
}

impl Form {
    pub(super) fn read(self, message: &Message) -> Result<Answer, Error> {
        let body = message.body();
        let odd = |_| Error::garbled("NetworkManager's answer does not have the form it should have");
        let text = |path: OwnedObjectPath| path.to_string();
        Ok(match self {
            Self::Nothing => Answer::Done,
            Self::Profile => {
                let (path, _): (OwnedObjectPath, BTreeMap<String, OwnedVariant>) =
                    body.deserialize().map_err(odd)?;
                Answer::Profile(text(path))
            }
            Self::Active => Answer::Active(body.deserialize().map(text).map_err(odd)?),
            Self::Both => {
                let (profile, active, _): (OwnedObjectPath, OwnedObjectPath, BTreeMap<String, OwnedVariant>) =
                    body.deserialize().map_err(odd)?;
                Answer::Both { profile: text(profile), active: text(active) }
            }
            Self::Checkpoint => Answer::Checkpoint(body.deserialize().map(text).map_err(odd)?),
            Self::RolledBack => Answer::RolledBack(body.deserialize().map_err(odd)?),
        })
    }
}

/// Only what is called on which object: arguments can hold secrets.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, path) = self.target();
        write!(f, "{method} {path}")
    }
}

impl Call {
    /// The method, and the object it is called on.
    fn target(&self) -> (&'static str, &str) {
        match self {
            Self::AddConnection { .. } => ("AddConnection2", SETTINGS_PATH),
            Self::Update { path, .. } => ("Update2", path),
            Self::Delete { path } => ("Delete", path),
            Self::Activate { .. } => ("ActivateConnection", MANAGER_PATH),
            Self::AddAndActivate { .. } => ("AddAndActivateConnection2", MANAGER_PATH),
            Self::Reapply { device, .. } => ("Reapply", device),
            Self::Deactivate { .. } => ("DeactivateConnection", MANAGER_PATH),
            Self::Disconnect { device } => ("Disconnect", device),
            Self::DeleteDevice { device } => ("Delete", device),
            Self::SetManaged { device, .. } | Self::SetAutoconnect { device, .. } => ("Set", device),
            Self::SaveHostname { .. } => ("SaveHostname", SETTINGS_PATH),
            Self::SetGlobalDns { .. } => ("Set", MANAGER_PATH),
            Self::ReloadConnections => ("ReloadConnections", SETTINGS_PATH),
            Self::CheckpointCreate { .. } => ("CheckpointCreate", MANAGER_PATH),
            Self::CheckpointDestroy { .. } => ("CheckpointDestroy", MANAGER_PATH),
            Self::CheckpointAdjust { .. } => ("CheckpointAdjustRollbackTimeout", MANAGER_PATH),
            Self::CheckpointRollback { .. } => ("CheckpointRollback", MANAGER_PATH),
        }
    }

    fn interface(&self) -> &'static str {
        match self {
            Self::AddConnection { .. } | Self::SaveHostname { .. } | Self::ReloadConnections => SETTINGS,
            Self::Update { .. } | Self::Delete { .. } => PROFILE,
            Self::Reapply { .. } | Self::Disconnect { .. } | Self::DeleteDevice { .. } => DEVICE,
            Self::SetManaged { .. } | Self::SetAutoconnect { .. } | Self::SetGlobalDns { .. } => PROPERTIES,
            Self::Activate { .. }
            | Self::AddAndActivate { .. }
            | Self::Deactivate { .. }
            | Self::CheckpointCreate { .. }
            | Self::CheckpointDestroy { .. }
            | Self::CheckpointAdjust { .. }
            | Self::CheckpointRollback { .. } => MANAGER,
        }
    }

    /// Whose applied connection it changes, which NetworkManager does not announce.
    pub(super) fn reapplies(&self) -> Option<&ObjectPath> {
        match self {
            Self::Reapply { device, .. } => Some(device),
            _ => None,
        }
    }

    /// Whether it does not wait for its turn: NetworkManager would undo everything, were it late, and it takes no part in
    /// any order.
    pub(super) fn is_express(&self) -> bool {
        matches!(self, Self::CheckpointAdjust { .. })
    }

    /// The profile that it leaves as it is, wherever it is kept from then on.
    pub(super) fn keeps(&self) -> Option<&ObjectPath> {
        match self {
            Self::Update { path, profile, .. } if *profile == Profile::default() => Some(path),
            _ => None,
        }
    }

    /// The message, to the process with that unique bus name, and the form of its answer.
    pub(super) fn message(&self, owner: &str) -> Result<(Message, Form), Error> {
        let (method, path) = self.target();
        let to = Target { owner, path, interface: self.interface(), method };
        Ok(match self {
            Self::AddConnection { profile, flags } => {
                (to.with(&(write_profile(profile)?, *flags, WireSetting::new()))?, Form::Profile)
            }
            Self::Update { profile, flags, version_id, .. } => {
                let mut arguments = WireSetting::new();
                if let Some(id) = version_id {
                    arguments.insert("version-id", Variant::U64(*id));
                }
                (to.with(&(write_profile(profile)?, *flags, arguments))?, Form::Nothing)
            }
            Self::Activate { profile, device, specific } => {
                let paths = (path_of(profile)?, or_none(device)?, or_none(specific)?);
                (to.with(&paths)?, Form::Active)
            }
            Self::AddAndActivate { profile, device, persist } => {
                let persist = match persist {
                    Persist::Disk => "disk",
                    Persist::Memory => "memory",
                    Persist::Volatile => "volatile",
                };
                let options = WireSetting::from([("persist", Variant::from(persist))]);
                let none = or_none(&None)?;
                (to.with(&(write_profile(profile)?, or_none(device)?, none, options))?, Form::Both)
            }
            Self::Reapply { profile, version, flags, .. } => {
                (to.with(&(write_profile(profile)?, *version, *flags))?, Form::Nothing)
            }
            Self::Deactivate { active } => (to.with(&path_of(active)?)?, Form::Nothing),
            Self::Delete { .. }
            | Self::Disconnect { .. }
            | Self::DeleteDevice { .. }
            | Self::ReloadConnections => (to.with(&())?, Form::Nothing),
            Self::SetManaged { on, .. } => {
                (to.with(&(DEVICE, "Managed", Variant::Bool(*on)))?, Form::Nothing)
            }
            Self::SetAutoconnect { on, .. } => {
                (to.with(&(DEVICE, "Autoconnect", Variant::Bool(*on)))?, Form::Nothing)
            }
            Self::SaveHostname { name } => (to.with(name)?, Form::Nothing),
            Self::SetGlobalDns { configuration } => {
                let mut dict = zbus::Dict::new(&Signature::Str, &Signature::Variant);
                for (key, value) in write_setting(configuration)? {
                    let value = Variant::Variant(Box::new(value));
                    dict.append(key.into(), value).map_err(|_| unbuildable(method))?;
                }
                let body = (MANAGER, "GlobalDnsConfiguration", Variant::Dict(dict));
                (to.with(&body)?, Form::Nothing)
            }
            Self::CheckpointCreate { devices, timeout_s, flags } => {
                let devices = devices.iter().map(path_of).collect::<Result<Vec<_>, _>>()?;
                (to.with(&(devices, *timeout_s, *flags))?, Form::Checkpoint)
            }
            Self::CheckpointDestroy { path } => (to.with(&checkpoint(path)?)?, Form::Nothing),
            Self::CheckpointAdjust { path, timeout_s } => {
                (to.with(&(checkpoint(path)?, *timeout_s))?, Form::Nothing)
            }
            Self::CheckpointRollback { path } => (to.with(&checkpoint(path)?)?, Form::RolledBack),
        })
    }
}

/// A method of an object.
pub(super) struct Target<'a> {
    pub owner: &'a str,
    pub path: &'a str,
    pub interface: &'a str,
    pub method: &'a str,
}

impl Target<'_> {
    pub(super) fn with<B: serde::Serialize + DynamicType>(&self, body: &B) -> Result<Message, Error> {
        Message::method_call(self.path, self.method)
            .destination(self.owner)
            .interface(self.interface)
            .build(body)
            .map_err(|_| unbuildable(self.method))
    }
}

/// The arguments can be secret, so they are not told.
fn unbuildable(method: &str) -> Error {
    Error::invalid(&format!("{method} cannot be called with these arguments"))
}

fn path_of(path: &ObjectPath) -> Result<WirePath<'_>, Error> {
    WirePath::try_from(path.as_str()).map_err(|_| Error::invalid("that is not the path of an object"))
}

/// "No object" is `/`.
fn or_none(path: &Option<ObjectPath>) -> Result<WirePath<'_>, Error> {
    match path {
        Some(path) => path_of(path),
        None => Ok(WirePath::from_static_str_unchecked("/")),
    }
}

/// `/` would stand for the checkpoints of everybody.
fn checkpoint(path: &ObjectPath) -> Result<WirePath<'_>, Error> {
    if path == "/" {
        return Err(Error::invalid("a checkpoint must be named"));
    }
    path_of(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nm::Value;

    fn profile() -> Profile {
        let mut profile = Profile::default();
        profile.set("connection", "id", "secret-free");
        profile.set("802-1x", "password", "hunter2");
        profile
    }

    /// Signatures are those of NetworkManager's interface descriptions.
    #[test]
    fn calls_have_the_signatures_of_the_interface() {
        let path = || "/org/freedesktop/NetworkManager/Devices/1".to_owned();
        let calls: [(Call, &str); 18] = [
            (Call::AddConnection { profile: profile(), flags: 0x22 }, "a{sa{sv}}ua{sv}"),
            (
                Call::Update { path: path(), profile: profile(), flags: 1, version_id: Some(3) },
                "a{sa{sv}}ua{sv}",
            ),
            (Call::Delete { path: path() }, ""),
            (Call::Activate { profile: path(), device: None, specific: None }, "ooo"),
            (
                Call::AddAndActivate { profile: profile(), device: None, persist: Persist::Memory },
                "a{sa{sv}}ooa{sv}",
            ),
            (
                Call::Reapply { device: path(), profile: Profile::default(), version: 0, flags: 1 },
                "a{sa{sv}}tu",
            ),
            (Call::Deactivate { active: path() }, "o"),
            (Call::Disconnect { device: path() }, ""),
            (Call::DeleteDevice { device: path() }, ""),
            (Call::SetManaged { device: path(), on: true }, "ssv"),
            (Call::SetAutoconnect { device: path(), on: false }, "ssv"),
            (Call::SaveHostname { name: "host".to_owned() }, "s"),
            (
                Call::SetGlobalDns {
                    configuration: Setting::from([("searches".to_owned(), Value::Texts(vec![]))]),
                },
                "ssv",
            ),
            (Call::ReloadConnections, ""),
            (Call::CheckpointCreate { devices: vec![], timeout_s: 1, flags: 6 }, "aouu"),
            (Call::CheckpointDestroy { path: path() }, "o"),
            (Call::CheckpointAdjust { path: path(), timeout_s: 1 }, "ou"),
            (Call::CheckpointRollback { path: path() }, "o"),
        ];
        for (call, signature) in calls {
            let (message, _) = call.message(":1.7").expect("it can be sent");
            let body = message.body();
            assert_eq!(body.signature().to_string_no_parens(), signature, "{call:?}");
            assert_eq!(message.header().destination().map(ToString::to_string).as_deref(), Some(":1.7"));
            assert!(!format!("{call:?}").contains("hunter2"));
        }
    }

    #[test]
    fn nobody_destroys_the_checkpoints_of_others() {
        let path = || "/".to_owned();
        for call in [
            Call::CheckpointDestroy { path: path() },
            Call::CheckpointAdjust { path: path(), timeout_s: 1 },
            Call::CheckpointRollback { path: path() },
        ] {
            assert!(call.message(":1.7").is_err(), "{call:?}");
        }
    }
}
