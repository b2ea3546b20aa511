//! The image as it follows from what NetworkManager says: its objects, its signals and its answers in,
//! what is to be asked out. No I/O.
//!
//! All of it comes on one connection, in the order in which NetworkManager said it. So what it said
//! before it lists its objects is in the list, and a round trip brings everything said before.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use zbus::{Message, OwnedObjectPath, OwnedVariant, Variant};

use super::call::{DEVICE, MANAGER, PROFILE, PROPERTIES, SETTINGS};
use super::image::{Active, Checkpoint, Device, Ended, Image, ObjectPath, Stored, Version};
use super::wire::{self, Received, read_profile, read_setting};
use super::{Error, Profile, Setting};

const ACTIVE: &str = "org.freedesktop.NetworkManager.Connection.Active";
const CHECKPOINT: &str = "org.freedesktop.NetworkManager.Checkpoint";
const DNS: &str = "org.freedesktop.NetworkManager.DnsManager";
const IP_CONFIGS: [&str; 2] =
    ["org.freedesktop.NetworkManager.IP4Config", "org.freedesktop.NetworkManager.IP6Config"];
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";

/// Settings that can have secrets which a document speaks of.
const WITH_SECRETS: [&str; 3] = ["802-1x", "macsec", "vpn"];
/// Ended active connections that are remembered.
const ENDED_MAX: usize = 64;
/// NMDeviceState: activated; deactivating, or failed.
const ACTIVATED: u32 = 100;
const DEACTIVATING: u32 = 110;

/// What is asked of NetworkManager to keep the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `GetManagedObjects`
    Objects,
    /// `GetSettings` of a profile.
    Contents(ObjectPath),
    /// `GetSecrets` of a setting of a profile.
    Secrets(ObjectPath, &'static str),
    /// `GetAppliedConnection` of a device.
    Applied(ObjectPath),
    /// Anything whose answer comes behind what was said before; then these doubts are asked about.
    Barrier(u64, Doubts),
}

/// Which doubts are asked about. What a device runs with is asked for because NetworkManager does not tell
/// when somebody reapplies; a new activation runs with what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubts {
    /// Of what is known already, and may be different now.
    Known,
    /// Also of new activations, once they are not under way any more.
    AtRest,
    All,
}

/// What is being read of an object, in one question or several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    Profile(ObjectPath),
    Applied(ObjectPath),
}

/// Who waits until these readings are done.
#[derive(Debug)]
struct Wait {
    /// How often each must still end.
    left: BTreeMap<Reading, u8>,
    barrier: u64,
}

/// Secrets of a profile. To read them makes NetworkManager say that the profile was updated, just before its answer,
/// and give it another version. So they are read before the contents that they belong to.
#[derive(Debug, Default)]
struct Secrets {
    read: BTreeMap<&'static str, Setting>,
    /// How many settings are still to be answered.
    left: usize,
}

/// The image, and what must be known to keep it.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Unique bus name of NetworkManager.
    owner: Option<String>,
    /// None until its objects are known.
    pub image: Option<Arc<Image>>,
    /// Everything has been read once: the image may be shown.
    ready: bool,
    /// Something changed since it was last asked.
    changed: bool,
    /// Why it does not say what it knows.
    refused: Option<Error>,
    /// Profiles whose contents are not known yet.
    unread: BTreeMap<ObjectPath, Stored>,
    /// Of profiles that are being read.
    secrets: BTreeMap<ObjectPath, Secrets>,
    /// The latest version of each profile. That of an image is the one its contents have.
    versions: BTreeMap<ObjectPath, u64>,
    /// The device of each IP configuration.
    ip_configs: BTreeMap<ObjectPath, ObjectPath>,
    /// Readings under way, and whether to read again afterwards.
    readings: BTreeMap<Reading, bool>,
    /// Devices whose applied connection may have changed.
    doubts: BTreeSet<ObjectPath>,
    /// Profiles that we have told NetworkManager to keep as they are; somebody else may have changed them.
    kept: BTreeSet<ObjectPath>,
    waits: Vec<Wait>,
    /// Barriers passed.
    passed: Vec<u64>,
    questions: Vec<Question>,
}

/// Barrier of the first reading of everything.
const FIRST: u64 = 0;

impl Live {
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    pub fn refused(&self) -> Option<&Error> {
        self.refused.as_ref()
    }

    /// Whether there is something to be asked that need not wait.
    pub fn has_doubts(&self) -> bool {
        self.ready
            && (!self.kept.is_empty()
                || self.doubts.iter().any(|device| self.is_asked(device, Doubts::AtRest)))
    }

    /// Whether the image changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        mem::take(&mut self.changed)
    }

    /// What is to be asked, in that order.
    pub fn take_questions(&mut self) -> Vec<Question> {
        mem::take(&mut self.questions)
    }

    /// Barriers behind which everything is in the image.
    pub fn take_passed(&mut self) -> Vec<u64> {
        mem::take(&mut self.passed)
    }

    /// NetworkManager came, went, or is another process. Nothing known of the former one holds.
    pub fn owner_changed(&mut self, owner: Option<String>) {
        *self = Self { owner, changed: true, ..Self::default() };
        if self.owner.is_some() {
            self.questions.push(Question::Objects);
        }
    }

    /// Asks for everything said so far, and about these doubts. [`take_passed`](Self::take_passed) tells when it
    /// is there.
    pub fn barrier(&mut self, number: u64, doubts: Doubts, reread: Vec<ObjectPath>) {
        self.doubts.extend(reread);
        self.questions.push(Question::Barrier(number, doubts));
    }

    /// The applied connection of a device may have changed.
    pub fn doubt(&mut self, device: &ObjectPath) {
        if !self.doubts.contains(device) {
            self.doubts.insert(device.clone());
        }
    }

    /// Asks about what is in doubt.
    pub fn settle(&mut self, doubts: Doubts) {
        for profile in mem::take(&mut self.kept) {
            self.read(Reading::Profile(profile));
        }
        let (now, later) =
            mem::take(&mut self.doubts).into_iter().partition(|device| self.is_asked(device, doubts));
        self.doubts = later;
        for device in now {
            if self.device(&device).is_some_and(|device| device.active.is_some()) {
                self.read(Reading::Applied(device));
            }
        }
    }

    fn device(&self, path: &str) -> Option<&Device> {
        self.image.as_ref()?.devices.get(path).map(|device| &**device)
    }

    /// Whether that device, which is in doubt, is one of those that are asked about. One that is gone or not
    /// active is: there is nothing to wait for.
    fn is_asked(&self, device: &str, doubts: Doubts) -> bool {
        let Some(device) = self.device(device).filter(|device| device.active.is_some()) else { return true };
        match doubts {
            Doubts::All => true,
            Doubts::AtRest => device.applied.is_some() || device.state == ACTIVATED,
            Doubts::Known => device.applied.is_some(),
        }
    }

    fn read(&mut self, reading: Reading) {
        if let Some(again) = self.readings.get_mut(&reading) {
            *again = true;
            return;
        }
        self.questions.push(match &reading {
            Reading::Profile(path) => Question::Contents(path.clone()),
            Reading::Applied(path) => Question::Applied(path.clone()),
        });
        self.readings.insert(reading, false);
    }

    /// A reading has ended, well or not.
    fn done(&mut self, reading: Reading) {
        let again = self.readings.remove(&reading).unwrap_or_default();
        for wait in &mut self.waits {
            if let Some(left) = wait.left.get_mut(&reading) {
                *left -= 1;
                if *left == 0 {
                    wait.left.remove(&reading);
                }
            }
        }
        if again {
            self.read(reading);
        }
        self.pass();
    }

    fn wait(&mut self, barrier: u64) {
        let left = self.readings.iter().map(|(reading, again)| (reading.clone(), 1 + u8::from(*again)));
        self.waits.push(Wait { left: left.collect(), barrier });
        self.pass();
    }

    fn pass(&mut self) {
        let done: Vec<Wait> = self.waits.extract_if(.., |wait| wait.left.is_empty()).collect();
        for wait in done {
            if wait.barrier == FIRST {
                self.ready = true;
                self.changed = true;
            } else {
                self.passed.push(wait.barrier);
            }
        }
    }

    /// An answer to what was asked.
    pub fn answered(&mut self, question: Question, answer: Result<&Message, Error>) {
        if let Err(error) = &answer
            && !(error.is_gone() || error.is_not_active() || error.is_absent_service())
            && !matches!(question, Question::Secrets(..))
        {
            tracing::warn!(%error, ?question, "NetworkManager does not say what it knows");
        }
        match question {
            Question::Objects => match answer.and_then(objects) {
                Ok(objects) => self.load(objects),
                Err(error) => self.refused = Some(error),
            },
            Question::Contents(path) => self.put_contents(path, answer.and_then(contents)),
            Question::Secrets(path, setting) => {
                self.put_secrets(path, setting, answer.and_then(contents));
            }
            Question::Applied(path) => self.put_applied(path, answer.and_then(applied)),
            // Its end is told behind this.
            Question::Barrier(..) if answer.is_err_and(|error| error.is_absent_service()) => {}
            // Any other error is an answer, too.
            Question::Barrier(number, doubts) => {
                self.settle(doubts);
                self.wait(number);
            }
        }
    }

    fn load(&mut self, objects: BTreeMap<ObjectPath, Interfaces>) {
        let Some(owner) = &self.owner else { return };
        self.image = Some(Arc::new(Image { owner: owner.clone(), ..Image::default() }));
        for (path, interfaces) in objects {
            self.put(&path, interfaces);
        }
        self.settle(Doubts::All);
        self.wait(FIRST);
    }

    /// A signal of NetworkManager. `keeps`: whether we have asked it to keep that profile as it is, and it has
    /// not answered yet.
    pub fn signal(&mut self, message: &Message, keeps: impl FnOnce(&str) -> bool) {
        // What it said before its list of objects is in the list.
        if self.image.is_none() {
            return;
        }
        let header = message.header();
        let (Some(path), Some(interface), Some(member)) =
            (header.path(), header.interface(), header.member())
        else {
            return;
        };
        let body = message.body();
        match (interface.as_str(), member.as_str()) {
            (PROPERTIES, "PropertiesChanged") => {
                if let Ok((interface, changed, _)) = body.deserialize::<(String, Received, Vec<String>)>() {
                    self.put_interface(path.as_str(), &interface, changed, false);
                }
            }
            (OBJECTS, "InterfacesAdded") => {
                if let Ok((path, interfaces)) = body.deserialize::<(OwnedObjectPath, Interfaces)>() {
                    self.put(path.as_str(), interfaces);
                }
            }
            (OBJECTS, "InterfacesRemoved") => {
                if let Ok((path, interfaces)) = body.deserialize::<(OwnedObjectPath, Vec<String>)>() {
                    for interface in interfaces {
                        self.remove(path.as_str(), &interface);
                    }
                }
            }
            (PROFILE, "Updated") if self.knows_profile(path.as_str()) => {
                if keeps(path.as_str()) {
                    self.kept.insert(path.to_string());
                } else if !self.awaits_secrets(path.as_str()) {
                    self.read(Reading::Profile(path.to_string()));
                }
            }
            (DEVICE, "StateChanged") => {
                if let Ok((new, _, reason)) = body.deserialize::<(u32, u32, u32)>() {
                    self.device_is(path.as_str(), new, reason);
                }
            }
            (ACTIVE, "StateChanged") => {
                if let Ok((state, reason)) = body.deserialize::<(u32, u32)>() {
                    self.change_active(path.as_str(), false, |active| {
                        active.state = state;
                        active.reason = reason;
                    });
                }
            }
            _ => {}
        }
    }

    fn put(&mut self, path: &str, interfaces: Interfaces) {
        for (interface, properties) in interfaces {
            self.put_interface(path, &interface, properties, true);
        }
    }

    /// Properties of an object as they are now; of a new one, or of one that is known.
    fn put_interface(&mut self, path: &str, interface: &str, mut properties: Received, is_new: bool) {
        match interface {
            MANAGER => self.change(|image| update_manager(image, &mut properties)),
            SETTINGS => self.change(|image| set(&mut image.hostname, take(&mut properties, "Hostname"))),
            DNS => self.change(|image| update_dns(image, &mut properties)),
            DEVICE => self.put_device(path, &mut properties, is_new),
            ACTIVE => self.change_active(path, is_new, |active| update_active(active, &mut properties)),
            CHECKPOINT => self.change(|image| {
                let mut checkpoint = match image.checkpoints.get(path) {
                    Some(known) => known.clone(),
                    None if is_new => Checkpoint::default(),
                    None => return,
                };
                update_checkpoint(&mut checkpoint, &mut properties);
                image.checkpoints.insert(path.to_owned(), checkpoint);
            }),
            PROFILE => self.put_stored(path, &mut properties, is_new),
            interface if IP_CONFIGS.contains(&interface) => {
                if let Some(device) = self.ip_configs.get(path).cloned() {
                    self.doubt(&device);
                }
            }
            _ => {}
        }
    }

    fn remove(&mut self, path: &str, interface: &str) {
        match interface {
            DEVICE => {
                self.doubts.remove(path);
                self.ip_configs.retain(|_, device| device != path);
                self.change(|image| drop(image.devices.remove(path)));
            }
            ACTIVE => self.change(|image| {
                if let Some(active) = image.actives.remove(path) {
                    image.ended.push_back(Ended { path: path.to_owned(), active });
                    if image.ended.len() > ENDED_MAX {
                        image.ended.pop_front();
                    }
                }
            }),
            CHECKPOINT => self.change(|image| drop(image.checkpoints.remove(path))),
            PROFILE => {
                self.unread.remove(path);
                self.kept.remove(path);
                self.versions.remove(path);
                self.change(|image| drop(image.profiles.remove(path)));
            }
            _ => {}
        }
    }

    /// Changes the image. Whoever holds the present one keeps it.
    fn change(&mut self, change: impl FnOnce(&mut Image)) {
        if let Some(image) = &mut self.image {
            self.changed = true;
            change(Arc::make_mut(image));
        }
    }

    fn put_device(&mut self, path: &str, properties: &mut Received, is_new: bool) {
        let Some(image) = &self.image else { return };
        let known = image.devices.get(path);
        if known.is_none() && !is_new {
            return;
        }
        for name in ["Ip4Config", "Ip6Config"] {
            if let Some(config) = take::<OwnedObjectPath>(properties, name).and_then(object) {
                self.ip_configs.insert(config, path.to_owned());
                self.doubts.insert(path.to_owned());
            }
        }
        let former = known.map(Arc::clone).unwrap_or_default();
        let mut device = Device::clone(&former);
        update_device(&mut device, properties);
        if device.active != former.active {
            device.applied = None;
            self.doubts.insert(path.to_owned());
        }
        if is_new && known.is_none() || device != *former {
            self.change(|image| drop(image.devices.insert(path.to_owned(), Arc::new(device))));
        }
    }

    fn device_is(&mut self, path: &str, state: u32, reason: u32) {
        let Some(former) = self.image.as_ref().and_then(|image| image.devices.get(path)) else { return };
        let mut device = Device::clone(former);
        device.state = state;
        device.reason = reason;
        // The active connection ends for the first reason that its device has for leaving.
        if state >= DEACTIVATING
            && let Some(active) = device.active.clone()
        {
            self.change_active(&active, false, |active| {
                if active.device_reason == 0 {
                    active.device_reason = reason;
                }
            });
        }
        self.doubts.insert(path.to_owned());
        self.change(|image| drop(image.devices.insert(path.to_owned(), Arc::new(device))));
    }

    fn change_active(&mut self, path: &str, is_new: bool, change: impl FnOnce(&mut Active)) {
        let Some(image) = &self.image else { return };
        let known = image.actives.get(path);
        if known.is_none() && !is_new {
            return;
        }
        let former = known.map(Arc::clone).unwrap_or_default();
        let mut active = Active::clone(&former);
        change(&mut active);
        if is_new && known.is_none() || active != *former {
            self.change(|image| drop(image.actives.insert(path.to_owned(), Arc::new(active))));
        }
    }

    fn knows_profile(&self, path: &str) -> bool {
        let is_read = self.image.as_ref().is_some_and(|image| image.profiles.contains_key(path));
        is_read || self.unread.contains_key(path)
    }

    /// Whether its contents will be asked for once more in any case, when its secrets are there. What is said to
    /// be updated until then is in both.
    fn awaits_secrets(&self, path: &str) -> bool {
        self.secrets.get(path).is_some_and(|secrets| secrets.left > 0)
    }

    fn put_stored(&mut self, path: &str, properties: &mut Received, is_new: bool) {
        let Some(image) = &self.image else { return };
        if (is_new || self.knows_profile(path))
            && let Some(version) = take(properties, "VersionId")
        {
            self.versions.insert(path.to_owned(), version);
        }
        if let Some(former) = image.profiles.get(path) {
            let mut stored = Stored::clone(former);
            update_stored(&mut stored, properties);
            if stored != **former {
                self.change(|image| drop(image.profiles.insert(path.to_owned(), Arc::new(stored))));
            }
        } else if let Some(stored) = self.unread.get_mut(path) {
            update_stored(stored, properties);
        } else if is_new {
            let mut stored = Stored::default();
            update_stored(&mut stored, properties);
            self.unread.insert(path.to_owned(), stored);
            self.read(Reading::Profile(path.to_owned()));
        }
    }

    fn put_contents(&mut self, path: ObjectPath, contents: Result<Profile, Error>) {
        let mut secrets = self.secrets.remove(&path).unwrap_or_default();
        // It vanished since it was listed; its removal is told, too.
        let Ok(mut profile) = contents else { return self.done(Reading::Profile(path)) };
        let is_unread = |setting: &&str| profile.has(setting) && !secrets.read.contains_key(setting);
        let unread: Vec<_> = WITH_SECRETS.into_iter().filter(is_unread).collect();
        if !unread.is_empty() {
            secrets.left = unread.len();
            self.secrets.insert(path.clone(), secrets);
            self.questions.extend(unread.into_iter().map(|setting| Question::Secrets(path.clone(), setting)));
            return;
        }
        for (setting, secrets) in secrets.read {
            if let Some(known) = profile.0.get_mut(setting) {
                known.extend(secrets);
            }
        }
        self.put_profile(&path, profile);
        self.done(Reading::Profile(path));
    }

    fn put_secrets(&mut self, path: ObjectPath, setting: &'static str, answer: Result<Profile, Error>) {
        let Some(secrets) = self.secrets.get_mut(&path) else { return };
        // One that stores none is refused.
        let found = answer.ok().and_then(|mut found| found.0.remove(setting)).unwrap_or_default();
        secrets.read.insert(setting, found);
        secrets.left = secrets.left.saturating_sub(1);
        if secrets.left == 0 {
            self.questions.push(Question::Contents(path));
        }
    }

    /// Puts a profile into the image, as it is now.
    fn put_profile(&mut self, path: &str, profile: Profile) {
        let version_id = self.versions.get(path).copied();
        if let Some(stored) = self.unread.remove(path) {
            let stored = Stored { profile, version_id, ..stored };
            self.change(|image| drop(image.profiles.insert(path.to_owned(), Arc::new(stored))));
        } else if let Some(former) = self.image.as_ref().and_then(|image| image.profiles.get(path))
            && (former.version_id != version_id || former.profile != profile)
        {
            let stored = Stored { profile, version_id, ..Stored::clone(former) };
            self.change(|image| drop(image.profiles.insert(path.to_owned(), Arc::new(stored))));
        }
    }

    fn put_applied(&mut self, path: ObjectPath, applied: Result<(Profile, u64), Error>) {
        if let Some(former) = self.image.as_ref().and_then(|image| image.devices.get(&path)) {
            // Not active any more, or gone: that is told, too.
            let applied = applied.ok().filter(|_| former.active.is_some());
            if former.applied.as_deref() != applied.as_ref() {
                let device = Device { applied: applied.map(Arc::new), ..Device::clone(former) };
                self.change(|image| drop(image.devices.insert(path.clone(), Arc::new(device))));
            }
        }
        self.done(Reading::Applied(path));
    }
}

/// `a{sa{sv}}` of an object: its interfaces and their properties.
type Interfaces = BTreeMap<String, Received>;

fn odd(_: zbus::Error) -> Error {
    Error::garbled("NetworkManager's answer does not have the form it should have")
}

fn objects(message: &Message) -> Result<BTreeMap<ObjectPath, Interfaces>, Error> {
    let objects: HashMap<OwnedObjectPath, Interfaces> = message.body().deserialize().map_err(odd)?;
    Ok(objects.into_iter().map(|(path, interfaces)| (path.to_string(), interfaces)).collect())
}

fn contents(message: &Message) -> Result<Profile, Error> {
    read_profile(message.body().deserialize().map_err(odd)?)
}

fn applied(message: &Message) -> Result<(Profile, u64), Error> {
    let (profile, version) = message.body().deserialize::<(Interfaces, u64)>().map_err(odd)?;
    Ok((read_profile(profile)?, version))
}

/// A property of that type, if it is among them.
fn take<T: TryFrom<OwnedVariant>>(properties: &mut Received, name: &str) -> Option<T> {
    properties.remove(name)?.try_into().ok()
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// "No object" is `/`.
fn object(path: OwnedObjectPath) -> Option<ObjectPath> {
    Some(path.to_string()).filter(|path| path != "/")
}

fn take_object(properties: &mut Received, name: &str) -> Option<Option<ObjectPath>> {
    take(properties, name).map(object)
}

/// `aa{sv}`
fn take_dicts(properties: &mut Received, name: &str) -> Option<Vec<Setting>> {
    let value = properties.remove(name)?;
    match wire::read(&value).ok()? {
        super::Value::Dicts(dicts) => Some(dicts),
        _ => None,
    }
}

fn update_manager(image: &mut Image, properties: &mut Received) {
    if let Some(version) = take::<String>(properties, "Version") {
        let mut parts = version.split('.').map(|part| part.parse().unwrap_or_default());
        let mut part = || parts.next().unwrap_or_default();
        image.version = Version { major: part(), minor: part(), micro: part(), ..image.version };
    }
    if let Some(&[version, ref bits @ ..]) = take::<Vec<u32>>(properties, "VersionInfo").as_deref() {
        let [_, major, minor, micro] = version.to_be_bytes().map(u16::from);
        let bits = bits.first().copied().unwrap_or_default();
        image.version = Version { major, minor, micro, bits, ..image.version };
    }
    if let Some(capabilities) = take::<Vec<u32>>(properties, "Capabilities") {
        // NM_CAPABILITY_OVS
        image.version.has_ovs = capabilities.contains(&2);
    }
    set(&mut image.startup, take(properties, "Startup"));
    if let Some(dns) = take::<Received>(properties, "GlobalDnsConfiguration")
        && let Ok(dns) = read_setting(dns)
    {
        image.global_dns = dns;
    }
}

fn update_dns(image: &mut Image, properties: &mut Received) {
    set(&mut image.dns.mode, take(properties, "Mode"));
    set(&mut image.dns.rc_manager, take(properties, "RcManager"));
    set(&mut image.dns.configuration, take_dicts(properties, "Configuration"));
}

fn update_device(device: &mut Device, properties: &mut Received) {
    set(&mut device.name, take(properties, "Interface"));
    set(&mut device.kind, take(properties, "DeviceType"));
    set(&mut device.state, take(properties, "State"));
    if let Some(reason) = properties.remove("StateReason")
        && let Variant::Structure(pair) = &*reason
        && let [_, Variant::U32(reason)] = pair.fields()
    {
        device.reason = *reason;
    }
    set(&mut device.active, take_object(properties, "ActiveConnection"));
    set(&mut device.managed, take(properties, "Managed"));
    set(&mut device.autoconnect, take(properties, "Autoconnect"));
    set(&mut device.real, take(properties, "Real"));
    set(&mut device.hw_address, take(properties, "HwAddress"));
    set(&mut device.path, take(properties, "Path"));
    set(&mut device.plugin_missing, take(properties, "NmPluginMissing"));
    set(&mut device.lldp_neighbors, take_dicts(properties, "LldpNeighbors"));
}

fn update_active(active: &mut Active, properties: &mut Received) {
    set(&mut active.id, take(properties, "Id"));
    set(&mut active.uuid, take(properties, "Uuid"));
    set(&mut active.kind, take(properties, "Type"));
    set(&mut active.profile, take_object(properties, "Connection"));
    if let Some(devices) = take::<Vec<OwnedObjectPath>>(properties, "Devices") {
        active.device = devices.into_iter().find_map(object);
    }
    set(&mut active.state, take(properties, "State"));
    set(&mut active.flags, take(properties, "StateFlags"));
    // The older name, which is all that versions before 1.42.2 have.
    set(&mut active.controller, take_object(properties, "Master"));
    set(&mut active.controller, take_object(properties, "Controller"));
}

fn update_checkpoint(checkpoint: &mut Checkpoint, properties: &mut Received) {
    if let Some(devices) = take::<Vec<OwnedObjectPath>>(properties, "Devices") {
        checkpoint.devices = devices.into_iter().filter_map(object).collect();
    }
    set(&mut checkpoint.created, take(properties, "Created"));
    set(&mut checkpoint.rollback_timeout, take(properties, "RollbackTimeout"));
}

fn update_stored(stored: &mut Stored, properties: &mut Received) {
    set(&mut stored.flags, take(properties, "Flags"));
    set(&mut stored.filename, take(properties, "Filename"));
}

#[cfg(test)]
mod tests;
