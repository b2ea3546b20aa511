//! Which stored profile speaks for a device that runs with none.

use std::collections::BTreeMap;

use crate::nm::Value;
use crate::nm::image::{Active, Device, Image, Stored};
use crate::state::Mac;

/// Stored profiles by what they are found by.
pub(super) struct Profiles<'a> {
    image: &'a Image,
    by_uuid: BTreeMap<&'a str, &'a Stored>,
    by_name: BTreeMap<&'a str, Vec<&'a Stored>>,
    /// They name hardware, not an interface.
    nameless: Vec<&'a Stored>,
}

impl<'a> Profiles<'a> {
    pub fn new(image: &'a Image) -> Self {
        let mut by_uuid = BTreeMap::new();
        let mut by_name: BTreeMap<&str, Vec<&Stored>> = BTreeMap::new();
        let mut nameless = Vec::new();
        for stored in image.profiles.values() {
            let profile = &stored.profile;
            by_uuid.extend(profile.uuid().map(|uuid| (uuid, &**stored)));
            match profile.interface_name() {
                Some(name) => by_name.entry(name).or_default().push(stored),
                None => nameless.push(&**stored),
            }
        }
        Self { image, by_uuid, by_name, nameless }
    }

    pub fn active_of(&self, device: &Device) -> Option<&'a Active> {
        self.image.active_of(device).map(|active| &**active)
    }

    pub fn by_uuid(&self, uuid: &str) -> Option<&'a Stored> {
        self.by_uuid.get(uuid).copied()
    }

    /// The profile of the port of that name of an Open vSwitch bridge.
    pub fn ovs_port(&self, name: &str) -> Option<&'a Stored> {
        let named = self.by_name.get(name)?;
        named.iter().copied().find(|stored| stored.profile.kind() == Some("ovs-port"))
    }

    /// The one that is active, else the one that NetworkManager likes best (semantics S59).
    pub fn of(&self, device: &Device) -> Option<&'a Stored> {
        if let Some(active) = self.active_of(device) {
            return self.by_uuid(&active.uuid);
        }
        let named = self.by_name.get(device.name.as_str()).into_iter().flatten().copied();
        let pinned = self.nameless.iter().copied().filter(|stored| is_for(stored, device));
        let fitting = named.chain(pinned).filter(|stored| {
            let kind = stored.profile.kind().unwrap_or_default();
            kinds_of(device.kind).contains(&kind) && stored.flags & EXTERNAL == 0
        });
        fitting.max_by(|a, b| rank(a).cmp(&rank(b)))
    }
}

/// Of [`Stored::flags`].
const EXTERNAL: u32 = 0x8;

fn rank(stored: &Stored) -> (i128, i128, &str) {
    let number = |key| stored.profile.get("connection", key).and_then(Value::as_number).unwrap_or(0);
    (number("autoconnect-priority"), number("timestamp"), stored.profile.uuid().unwrap_or_default())
}

/// Whether it names the hardware of that device, by MAC address or by place.
fn is_for(stored: &Stored, device: &Device) -> bool {
    let profile = &stored.profile;
    let mac = profile.kind().and_then(|kind| profile.get(kind, "mac-address")).and_then(Value::as_bytes);
    let own = device.hw_address.parse::<Mac>().ok();
    let paths = profile.get("match", "path").and_then(Value::as_texts).unwrap_or_default();
    match mac.and_then(Mac::new) {
        Some(mac) => own == Some(mac),
        None => !device.path.is_empty() && paths.contains(&device.path),
    }
}

/// What `connection.type` may be for a device of that type (NMDeviceType).
fn kinds_of(device: u32) -> &'static [&'static str] {
    match device {
        1 => &["802-3-ethernet"],
        9 => &["infiniband"],
        10 => &["bond"],
        11 => &["vlan"],
        13 => &["bridge"],
        17 => &["ip-tunnel"],
        18 => &["macvlan"],
        19 => &["vxlan"],
        20 => &["veth", "802-3-ethernet"],
        21 => &["macsec"],
        22 => &["dummy"],
        24 => &["ovs-interface"],
        26 => &["ovs-bridge"],
        31 => &["vrf"],
        32 => &["loopback"],
        33 => &["hsr"],
        34 => &["ipvlan"],
        _ => &[],
    }
}
