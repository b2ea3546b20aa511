//! Which stored profiles belong to an interface, and which of them is the one to change. Pure.
//!
//! A profile says whom it is for by `interface-name`, by a MAC address, by a place on the PCI bus,
//! or not at all; then it belongs to the device that it is active on. NetworkManager takes any of
//! those that fit, so others than the chosen one go, lest they come up in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::work::{Layer, Which};
use crate::nm::image::{Active, Image, Stored};
use crate::nm::{Profile, Value, settings};
use crate::state::{Interface, InterfaceState, InterfaceType, Mac, State};

/// `Stored::flags`
const GENERATED: u32 = 0x2;
const VOLATILE: u32 = 0x4;
const EXTERNAL: u32 = 0x8;

/// `connection.multi-connect`: one profile on several devices.
const MANUAL_MULTIPLE: i128 = 2;

/// All stored profiles, by the interface they belong to.
pub(super) struct Profiles<'a> {
    by_interface: BTreeMap<Which, Vec<Candidate<'a>>>,
}

/// A profile of an interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub stored: &'a Arc<Stored>,
    /// It is active on the device of that interface.
    pub active: Option<&'a Arc<Active>>,
    /// It says itself that it is for this interface.
    is_bound: bool,
}

/// Where a profile's contents come from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chosen<'a> {
    /// This one is changed.
    Change(Candidate<'a>),
    /// A new one that begins as this one, which may be active on several devices.
    CopyOf(Candidate<'a>),
    New,
}

impl<'a> Profiles<'a> {
    /// `now` tells which interface has a MAC address or a place on the PCI bus.
    pub fn new(image: &'a Image, now: &State) -> Self {
        let hardware = Hardware::of(now);
        let actives = actives(image);
        let mut by_interface: BTreeMap<Which, Vec<Candidate<'a>>> = BTreeMap::new();
        for (path, stored) in &image.profiles {
            let active = actives.get(path.as_str());
            let own = interface_of(&stored.profile, &hardware, image);
            let own = own.map(|name| Which { name, layer: Layer::of_profile(&stored.profile) });
            if let Some(which) = &own {
                let active = active.into_iter().flatten().find(|(other, _)| other == which);
                let active = active.map(|(_, active)| *active);
                let candidate = Candidate { stored, active, is_bound: true };
                by_interface.entry(which.clone()).or_default().push(candidate);
            }
            for (which, active) in
                active.into_iter().flatten().filter(|(which, _)| Some(which) != own.as_ref())
            {
                let candidate = Candidate { stored, active: Some(active), is_bound: false };
                by_interface.entry(which.clone()).or_default().push(candidate);
            }
        }
        Self { by_interface }
    }

    pub fn of(&self, which: &Which) -> &[Candidate<'a>] {
        self.by_interface.get(which).map_or(&[], Vec::as_slice)
    }

    /// The profile that speaks for the interface now: the active one, else the one that
    /// NetworkManager would activate by itself. None if only NetworkManager's own are there.
    pub fn current(&self, which: &Which, kind: &InterfaceType) -> Option<Candidate<'a>> {
        let fitting = self.of(which).iter().filter(|candidate| candidate.is_ours() && candidate.fits(kind));
        fitting.copied().max_by(|a, b| a.rank().cmp(&b.rank()))
    }

    /// Which profile is changed, or what a new one begins as.
    pub fn choose(&self, which: &Which, kind: &InterfaceType) -> Chosen<'a> {
        match self.current(which, kind) {
            Some(candidate) if candidate.is_shared() => Chosen::CopyOf(candidate),
            Some(candidate) => Chosen::Change(candidate),
            None => Chosen::New,
        }
    }

    /// Profiles beside the one that stays which could come up in its place. Those that NetworkManager
    /// makes for itself give way to any other, and it remembers for good that one was deleted: they go
    /// only where no profile stays.
    pub fn others(&self, which: &Which, staying: Option<&str>) -> Vec<Candidate<'a>> {
        let goes = |candidate: &&Candidate<'a>| {
            let flags = candidate.stored.flags;
            let is_own = candidate.is_bound || staying.is_none() && !candidate.is_shared();
            let is_default = flags & GENERATED != 0;
            is_own
                && candidate.stored.profile.uuid() != staying
                && flags & (VOLATILE | EXTERNAL) == 0
                && (staying.is_none() || !is_default)
        };
        self.of(which).iter().filter(goes).copied().collect()
    }

    /// Interfaces that are not there, and have profiles that would bring them back, as the one says that
    /// NetworkManager would take.
    pub fn dormant(&self, now: &State) -> BTreeMap<String, Interface> {
        let there: BTreeSet<Which> = now.interfaces().iter().map(Which::of).collect();
        let not_there = self
            .by_interface
            .iter()
            .filter(|(which, _)| which.layer != Layer::OvsPort && !there.contains(which));
        let kept = not_there.filter_map(|(which, _)| {
            let candidate = self.current(which, &InterfaceType::Unknown)?;
            let said = settings::read(&candidate.stored.profile);
            Some((which.name.clone(), Interface { name: which.name.clone(), ..said }))
        });
        kept.collect()
    }

    /// Interfaces that are up by what others made, or by what NetworkManager made for itself: no profile
    /// brings them back as they are.
    pub fn unkept(&self, now: &State, image: &Image) -> BTreeSet<String> {
        let may_be_kept = |interface: &&Interface| {
            let kind = interface.kind();
            let bare = Interface::new(&interface.name, kind.clone(), InterfaceState::Up);
            interface.is_up()
                && *kind != InterfaceType::Loopback
                && settings::refusals(&bare, &image.version).is_empty()
        };
        let mut active: BTreeSet<&str> = BTreeSet::new();
        active.extend(image.devices.values().filter(|one| one.active.is_some()).map(|one| one.name.as_str()));
        let candidates = now.interfaces().iter().filter(may_be_kept);
        let unkept = candidates.filter(|interface| {
            let which = Which::of(interface);
            which.layer == Layer::Kernel
                && active.contains(interface.name.as_str())
                && self.current(&which, interface.kind()).is_none()
        });
        unkept.map(|interface| interface.name.clone()).collect()
    }

    /// The interfaces that have a profile, with all their profiles.
    pub fn all(&self) -> impl Iterator<Item = (&Which, &[Candidate<'a>])> {
        self.by_interface.iter().map(|(which, candidates)| (which, candidates.as_slice()))
    }
}

impl Candidate<'_> {
    /// Not made by NetworkManager, which gives its own up as soon as there is another one.
    pub fn is_ours(&self) -> bool {
        self.stored.flags & (GENERATED | EXTERNAL) == 0
    }

    pub fn uuid(&self) -> &str {
        self.stored.profile.uuid().unwrap_or_default()
    }

    /// Whether it may be active on several devices at once.
    fn is_shared(&self) -> bool {
        let multi = self.stored.profile.get("connection", "multi-connect").and_then(Value::as_number);
        multi.is_some_and(|multi| multi >= MANUAL_MULTIPLE)
    }

    fn fits(&self, kind: &InterfaceType) -> bool {
        if *kind == InterfaceType::Unknown {
            return true;
        }
        let Some(own) = self.stored.profile.kind() else { return false };
        types(kind).contains(&own)
    }

    /// What NetworkManager prefers, and the active one before all.
    fn rank(&self) -> (bool, i128, i128, &str) {
        let number = |property| {
            let value = self.stored.profile.get("connection", property);
            value.and_then(Value::as_number).unwrap_or(0)
        };
        (self.active.is_some(), number("autoconnect-priority"), number("timestamp"), self.uuid())
    }
}

/// The values of `connection.type` that profiles of an interface of that type may have. A profile
/// of type Ethernet may also be for a veth.
pub(super) fn types(kind: &InterfaceType) -> Vec<&str> {
    match kind {
        InterfaceType::Ethernet | InterfaceType::Veth => vec!["802-3-ethernet", "veth"],
        InterfaceType::LinuxBridge => vec!["bridge"],
        InterfaceType::MacVlan | InterfaceType::MacVtap => vec!["macvlan"],
        InterfaceType::Ipsec => vec!["vpn"],
        kind => vec![kind.word()],
    }
}

/// By profile: where it is active.
fn actives(image: &Image) -> BTreeMap<&str, Vec<(Which, &Arc<Active>)>> {
    let mut found: BTreeMap<&str, Vec<(Which, &Arc<Active>)>> = BTreeMap::new();
    for active in image.actives.values() {
        let Some(profile) = &active.profile else { continue };
        let device = active.device.as_ref().and_then(|path| image.devices.get(path));
        let which = match device {
            _ if active.kind == "vpn" => Which { name: active.id.clone(), layer: Layer::Vpn },
            Some(device) => Which { name: device.name.clone(), layer: Layer::of_device(device.kind) },
            None => continue,
        };
        found.entry(profile).or_default().push((which, active));
    }
    found
}

/// Names of the hardware that is there.
struct Hardware<'s> {
    by_mac: BTreeMap<Mac, &'s str>,
    by_pci: BTreeMap<String, &'s str>,
}

impl<'s> Hardware<'s> {
    fn of(now: &'s State) -> Self {
        let is_ethernet = |interface: &&Interface| {
            matches!(
                interface.kind(),
                InterfaceType::Ethernet | InterfaceType::Veth | InterfaceType::Infiniband
            )
        };
        let (mut by_mac, mut by_pci) = (BTreeMap::new(), BTreeMap::new());
        for interface in now.interfaces().iter().filter(is_ethernet) {
            let name = interface.name.as_str();
            // A port of a bond has the MAC address of the bond.
            if let Some(mac) = interface.permanent_mac_address.or(interface.mac_address) {
                by_mac.entry(mac).or_insert(name);
            }
            if let Some(address) = &interface.pci_address {
                by_pci.insert(address.to_string(), name);
            }
        }
        Self { by_mac, by_pci }
    }
}

/// The interface that a profile says it is for.
fn interface_of(profile: &Profile, hardware: &Hardware<'_>, image: &Image) -> Option<String> {
    if Layer::of_profile(profile) == Layer::Vpn {
        return profile.id().map(str::to_owned);
    }
    if let Some(name) = profile.interface_name().filter(|name| !name.is_empty()) {
        return Some(name.to_owned());
    }
    match profile.kind()? {
        "vlan" => {
            let parent = profile.text("vlan", "parent").filter(|parent| !parent.is_empty())?;
            let parent = match image.stored(parent) {
                Some((_, stored)) => stored.profile.interface_name()?,
                None => parent,
            };
            let id = profile.get("vlan", "id").and_then(Value::as_number).unwrap_or(0);
            Some(format!("{parent}.{id}"))
        }
        kind @ ("802-3-ethernet" | "infiniband") => {
            let mac = profile.get(kind, "mac-address").and_then(Value::as_bytes).and_then(Mac::new);
            let by_mac = mac.and_then(|mac| hardware.by_mac.get(&mac));
            let by_path = || {
                let paths = profile.get("match", "path").and_then(Value::as_texts)?;
                paths.iter().find_map(|path| hardware.by_pci.get(path.strip_prefix("pci-")?))
            };
            by_mac.or_else(by_path).map(|name| (*name).to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nm::image::Device;
    use crate::state::Document;

    fn state(text: &str) -> State {
        Document::from_text(text).expect("YAML").state().expect("a valid state").0
    }

    /// Adds a profile; `active_on` is a device of the image.
    fn profile(
        image: &mut Image,
        uuid: &str,
        flags: u32,
        text: &[(&str, &str, &str)],
        active_on: Option<&str>,
    ) {
        let mut profile = Profile::default();
        profile.set("connection", "uuid", uuid);
        profile.set("connection", "id", uuid);
        for (setting, property, value) in text {
            match value.parse::<u32>() {
                Ok(number) => profile.set(setting, property, number),
                Err(_) => profile.set(setting, property, *value),
            }
        }
        let path = format!("/settings/{uuid}");
        let kind = profile.kind().unwrap_or_default().to_owned();
        image.profiles.insert(path.clone(), Arc::new(Stored { profile, flags, ..Stored::default() }));
        if let Some(name) = active_on {
            let device = Device { name: name.into(), real: true, ..Device::default() };
            image.devices.insert(format!("/devices/{name}"), Arc::new(device));
            let active = Active {
                uuid: uuid.into(),
                kind,
                profile: Some(path),
                device: Some(format!("/devices/{name}")),
                ..Active::default()
            };
            image.actives.insert(format!("/active/{uuid}"), Arc::new(active));
        }
    }

    const ETHERNET: (&str, &str, &str) = ("connection", "type", "802-3-ethernet");
    const ETH1: (&str, &str, &str) = ("connection", "interface-name", "eth1");

    fn chosen(image: &Image, name: &str, kind: &InterfaceType) -> String {
        let profiles = Profiles::new(image, &state(NOW));
        match profiles.choose(&Which::kernel(name), kind) {
            Chosen::Change(candidate) => candidate.uuid().to_owned(),
            Chosen::CopyOf(candidate) => format!("copy of {}", candidate.uuid()),
            Chosen::New => "new".into(),
        }
    }

    fn others(image: &Image, staying: Option<&str>) -> Vec<String> {
        let profiles = Profiles::new(image, &state(NOW));
        let others = profiles.others(&Which::kernel("eth1"), staying);
        others.iter().map(|candidate| candidate.uuid().to_owned()).collect()
    }

    const NOW: &str = "
interfaces:
- {name: eth1, type: ethernet, state: up, mac-address: 02:00:5E:10:00:01}
- {name: eth2, type: ethernet, state: up, pci-address: '0000:0a:09.7'}
";

    #[test]
    fn the_active_profile_comes_before_the_preferred_one() {
        let mut image = Image::default();
        profile(&mut image, "a", 0, &[ETHERNET, ETH1, ("connection", "autoconnect-priority", "7")], None);
        profile(&mut image, "b", 0, &[ETHERNET, ETH1], None);
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Ethernet), "a");
        profile(&mut image, "c", 0, &[ETHERNET], Some("eth1"));
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Veth), "c");
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Dummy), "new");
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Unknown), "c");
        // What is for no interface in particular stays when another one does.
        assert_eq!(others(&image, Some("a")), ["b"]);
        assert_eq!(others(&image, None), ["a", "b", "c"]);
    }

    #[test]
    fn what_networkmanager_made_for_itself_is_never_changed() {
        let mut image = Image::default();
        profile(&mut image, "default", 0x3, &[ETHERNET, ETH1], None);
        profile(&mut image, "external", 0xf, &[ETHERNET, ETH1], Some("eth1"));
        profile(&mut image, "volatile", 0x5, &[ETHERNET, ETH1], None);
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Ethernet), "volatile");
        image.profiles.remove("/settings/volatile");
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Ethernet), "new");
        assert!(others(&image, Some("mine")).is_empty());
        assert_eq!(others(&image, None), ["default"]);
    }

    #[test]
    fn a_profile_for_several_devices_is_copied_and_stays() {
        let mut image = Image::default();
        profile(&mut image, "many", 0, &[ETHERNET, ("connection", "multi-connect", "3")], Some("eth1"));
        assert_eq!(chosen(&image, "eth1", &InterfaceType::Ethernet), "copy of many");
        assert!(others(&image, Some("mine")).is_empty());
        assert!(others(&image, None).is_empty());
    }

    #[test]
    fn hardware_and_parents_identify_too() {
        let mut image = Image::default();
        profile(&mut image, "pci", 0, &[ETHERNET], None);
        profile(&mut image, "mac", 0, &[ETHERNET], None);
        let edit = |image: &mut Image, uuid: &str, setting: &str, property: &str, value: Value| {
            let stored = image.profiles.get_mut(&format!("/settings/{uuid}")).expect("it is there");
            Arc::make_mut(stored).profile.set(setting, property, value);
        };
        edit(&mut image, "pci", "match", "path", Value::Texts(vec!["pci-0000:0a:09.7".into()]));
        let mac = vec![2, 0, 0x5e, 0x10, 0, 1];
        edit(&mut image, "mac", "802-3-ethernet", "mac-address", Value::Bytes(mac));
        let vlan = [("connection", "type", "vlan"), ("vlan", "parent", "mine"), ("vlan", "id", "5")];
        profile(&mut image, "vlan", 0, &vlan, None);
        profile(&mut image, "mine", 0, &[ETHERNET, ETH1], None);
        assert_eq!(chosen(&image, "eth2", &InterfaceType::Ethernet), "pci");
        assert_eq!(chosen(&image, "eth1.5", &InterfaceType::Vlan), "vlan");
        assert_eq!(others(&image, Some("mine")), ["mac"]);
    }
}
