//! What execution does, as data: requests to NetworkManager in the order of sending, what is
//! waited for, and what stands beside it because NetworkManager has no place for it.
//!
//! Nothing here names an object path: profiles are known by UUID, devices by name, so that work
//! can be looked at, printed and tested, and sent to whichever NetworkManager is there then.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::backend::kernel::op::Op;
use crate::backend::openvswitch::Todo;
use crate::nm::image::{Device, Image, ObjectPath};
use crate::nm::{Profile, Value};
use crate::state::{Interface, InterfaceType};

/// All that carries out a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Work {
    /// In the order of sending, without waiting for answers but for that of [`Step::Add`], which
    /// gives the path that the same profile is activated by, and at [`Step::Wait`].
    pub steps: Vec<Step>,
    /// What is waited for once all is sent, together.
    pub awaits: Vec<Await>,
    /// Scripts of the dispatcher; written before the steps are sent, as these make it run them.
    pub scripts: Vec<Script>,
    /// What only the kernel keeps, after the wait.
    pub kernel: Vec<Op>,
    /// What only the database of Open vSwitch keeps, after the wait.
    pub database: Vec<Todo>,
}

impl Work {
    /// What is told to set everything again.
    pub(super) fn renewed(&self) -> impl Iterator<Item = &Which> {
        self.steps.iter().filter_map(|step| match step {
            Step::Back(Back::Reapply { which, whole: true, .. }) => Some(which),
            _ => None,
        })
    }
}

/// One request to NetworkManager. Safe to repeat: what is gone already is success where something
/// shall go.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// `AddConnection2`. It does not connect by itself before it is activated (0x20).
    Add { which: Which, profile: Profile },
    /// `Update2` of the profile of the same UUID, refused if somebody changed it meanwhile.
    Update { which: Which, profile: Profile, version_id: Option<u64> },
    /// `Update2` without contents that leaves the file on disk for a rollback (0x24), and then `Delete`.
    Delete { which: Which, uuid: String, id: String },
    /// `AddAndActivateConnection2` in memory, of a link that is made for it: one request, and less work for
    /// NetworkManager than the two. One that is refused leaves no profile behind.
    Make { which: Which, profile: Profile },
    /// `ActivateConnection`, on the device of that name if `on_device`, else wherever the profile fits.
    Activate { which: Which, uuid: String, on_device: bool },
    /// `Device.Reapply` of the stored profile, refused if what is applied is not of that version.
    Reapply { which: Which, version: u64 },
    /// `DeactivateConnection` of what is active there.
    Deactivate { which: Which },
    /// `Device.Disconnect`
    Disconnect { which: Which },
    /// `Device.Delete`; never of hardware or of `lo`.
    DeleteDevice { which: Which },
    /// Nothing further is sent before.
    Wait(Await),
    /// The property `GlobalDnsConfiguration`; read back, since NetworkManager drops in silence what
    /// it does not like.
    GlobalDns(BTreeMap<String, Value>),
    /// `SaveHostname`
    Hostname(String),
    /// What only a rollback does.
    Back(Back),
}

/// A request that leads back to what a snapshot says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Back {
    /// `Update2`, or `AddConnection2` if the profile is gone. `blocks`: it does not connect by itself
    /// before it is activated.
    Put { which: Which, profile: Profile, on_disk: bool, blocks: bool },
    /// `Delete`, also of its file: it was not there.
    Remove { which: Which, uuid: String },
    /// `Device.Reapply` of what was applied, which may differ from what is stored. `whole`: also what it believes to
    /// be there or gone by somebody's will is set again, and what others have set goes.
    Reapply { which: Which, profile: Profile, whole: bool },
    /// Whether NetworkManager manages the device.
    Managed { which: Which, on: bool },
    /// Whether the device may connect by itself.
    Autoconnect { which: Which, on: bool },
}

/// Whom a step is about. Kernel interfaces have one name each; what Open vSwitch and VPN plugins
/// keep may have the name of a kernel interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Which {
    pub name: String,
    pub layer: Layer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Layer {
    /// A bridge before its ports, these before their interfaces.
    OvsBridge,
    OvsPort,
    Kernel,
    Vpn,
}

/// What has to be so before an interface counts as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Await {
    pub which: Which,
    pub until: Until,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Until {
    /// That profile is active there, and its link is made and configured; for the families named,
    /// also that IP is there (`wait-ip`).
    Ready { uuid: String, ipv4: bool, ipv6: bool },
    /// The device may be activated: udev has announced it (it is no longer unmanaged for reason 71).
    Announced,
    /// Nothing is active there.
    Disconnected,
    /// That profile is not active any more; another one may be, also of NetworkManager's own.
    Left { uuid: String },
    /// There is no such device.
    Gone,
}

/// A script that NetworkManager's dispatcher runs for an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    pub link: String,
    pub runs: Runs,
    /// None: there shall be none.
    pub text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    AfterUp,
    AfterDown,
}

/// Device types (NMDeviceType).
const TUN: u32 = 16;
const OVS_INTERFACE: u32 = 24;
const OVS_PORT: u32 = 25;
const OVS_BRIDGE: u32 = 26;

impl Which {
    pub fn kernel(name: impl Into<String>) -> Self {
        Self { name: name.into(), layer: Layer::Kernel }
    }

    pub fn new(name: impl Into<String>, kind: &InterfaceType) -> Self {
        let layer = match kind {
            InterfaceType::OvsBridge => Layer::OvsBridge,
            InterfaceType::Ipsec => Layer::Vpn,
            _ => Layer::Kernel,
        };
        Self { name: name.into(), layer }
    }

    pub fn of(interface: &Interface) -> Self {
        Self::new(&interface.name, interface.kind())
    }

    /// Its device. With the datapath in user space an Open vSwitch interface has a second one of its
    /// name, of type `tun`.
    pub fn device<'a>(&self, image: &'a Image) -> Option<(&'a ObjectPath, &'a Arc<Device>)> {
        let devices = image.devices.iter();
        let of_name = devices.filter(|(_, device)| device.name == self.name);
        of_name
            .filter(|(_, device)| Layer::of_device(device.kind) == self.layer)
            .max_by_key(|(_, device)| Self::rank(device))
    }

    /// Of several devices of that name, the one with the greatest is meant.
    pub fn rank(device: &Device) -> (bool, bool, bool) {
        (device.real, device.kind == OVS_INTERFACE, device.kind != TUN)
    }
}

impl Layer {
    pub fn of_device(kind: u32) -> Self {
        match kind {
            OVS_BRIDGE => Self::OvsBridge,
            OVS_PORT => Self::OvsPort,
            _ => Self::Kernel,
        }
    }

    /// By `connection.type`.
    pub fn of_profile(profile: &Profile) -> Self {
        match profile.kind() {
            Some("ovs-bridge") => Self::OvsBridge,
            Some("ovs-port") => Self::OvsPort,
            Some("vpn") => Self::Vpn,
            _ => Self::Kernel,
        }
    }
}

impl Step {
    /// The interface it is about, for progress and errors.
    pub fn which(&self) -> Option<&Which> {
        match self {
            Self::Add { which, .. }
            | Self::Update { which, .. }
            | Self::Delete { which, .. }
            | Self::Make { which, .. }
            | Self::Activate { which, .. }
            | Self::Reapply { which, .. }
            | Self::Deactivate { which }
            | Self::Disconnect { which }
            | Self::DeleteDevice { which }
            | Self::Wait(Await { which, .. }) => Some(which),
            Self::Back(back) => Some(back.which()),
            Self::GlobalDns(_) | Self::Hostname(_) => None,
        }
    }
}

impl Back {
    pub fn which(&self) -> &Which {
        match self {
            Self::Put { which, .. }
            | Self::Remove { which, .. }
            | Self::Reapply { which, .. }
            | Self::Managed { which, .. }
            | Self::Autoconnect { which, .. } => which,
        }
    }
}

impl fmt::Display for Back {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = self.which();
        match self {
            Self::Put { .. } => write!(f, "put the profile of {which} back"),
            Self::Remove { .. } => write!(f, "remove the new profile of {which}"),
            Self::Reapply { .. } => write!(f, "apply again what {which} ran with"),
            Self::Managed { on: true, .. } => write!(f, "manage {which}"),
            Self::Managed { on: false, .. } => write!(f, "leave {which} alone"),
            Self::Autoconnect { on: true, .. } => write!(f, "let {which} connect by itself"),
            Self::Autoconnect { on: false, .. } => write!(f, "do not let {which} connect by itself"),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.layer {
            Layer::Kernel => return f.write_str(&self.name),
            Layer::OvsBridge => "bridge",
            Layer::OvsPort => "port",
            Layer::Vpn => "vpn",
        };
        write!(f, "{word} {}", self.name)
    }
}

impl fmt::Display for Await {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = &self.which;
        match &self.until {
            Until::Ready { ipv4, ipv6, .. } => {
                write!(f, "{which} is ready")?;
                match (ipv4, ipv6) {
                    (false, false) => Ok(()),
                    (true, false) => f.write_str(" and has IPv4"),
                    (false, true) => f.write_str(" and has IPv6"),
                    (true, true) => f.write_str(" and has IPv4 and IPv6"),
                }
            }
            Until::Announced => write!(f, "{which} is announced"),
            Until::Disconnected => write!(f, "{which} is disconnected"),
            Until::Left { .. } => write!(f, "{which} has left its profile"),
            Until::Gone => write!(f, "{which} is gone"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add { which, .. } => write!(f, "add a profile of {which}"),
            Self::Update { which, .. } => write!(f, "change the profile of {which}"),
            Self::Delete { which, id, .. } if *id == which.name => write!(f, "delete the profile of {which}"),
            Self::Delete { which, id, .. } => write!(f, "delete the profile `{id}` of {which}"),
            Self::Make { which, .. } => write!(f, "add a profile of {which} and activate it"),
            Self::Activate { which, .. } => write!(f, "activate {which}"),
            Self::Reapply { which, .. } => write!(f, "reapply the profile of {which}"),
            Self::Deactivate { which } => write!(f, "deactivate {which}"),
            Self::Disconnect { which } => write!(f, "disconnect {which}"),
            Self::DeleteDevice { which } => write!(f, "delete {which}"),
            Self::Wait(wait) => write!(f, "wait until {wait}"),
            Self::GlobalDns(dns) if dns.is_empty() => f.write_str("remove the global name servers"),
            Self::GlobalDns(_) => f.write_str("set the global name servers"),
            Self::Hostname(name) if name.is_empty() => f.write_str("remove the persistent host name"),
            Self::Hostname(name) => write!(f, "set the persistent host name to {name}"),
            Self::Back(back) => back.fmt(f),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.text.is_some() { "write" } else { "remove" };
        let when = match self.runs {
            Runs::AfterUp => "after activation",
            Runs::AfterDown => "after deactivation",
        };
        write!(f, "{verb} the script that runs {when} of {}", self.link)
    }
}
