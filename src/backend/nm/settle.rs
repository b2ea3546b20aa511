//! When NetworkManager has done what was asked of it: by what its signals say, never by its
//! `ACTIVATED`, which comes seconds after the kernel is complete, or with DHCP perhaps never.
//!
//! An activation is done when its link is made and configured ("layer 2 ready"); addresses are
//! verified in the kernel. A wait ends when nothing of all that is waited for has moved for a while.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tracing::debug;

use super::reasons;
use super::work::{Await, Layer, Until, Which};
use crate::backend::Failure;
use crate::kernel::mirror::{Link, Mirror};
use crate::nm::image::{Active, Device, Image, ObjectPath};
use crate::nm::{Client, Profile, Refusals};
use crate::state::ErrorKind;

/// Longest time without any progress of an interface.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same where a supplicant or a DHCP server has to answer.
const LONG_PATIENCE: Duration = Duration::from_secs(90);
/// Signals that come closer together are looked at once.
const LOOK_GAP: Duration = Duration::from_millis(4);
/// Time between two looks, as a multiple of what the last one took: of hundreds of interfaces it takes a while, and
/// NetworkManager needs the processor, too.
const REST_FACTOR: u32 = 4;

/// NMDeviceState
pub(super) mod device {
    pub const UNMANAGED: u32 = 10;
    pub const DISCONNECTED: u32 = 30;
    pub const IP_CONFIG: u32 = 70;
    pub const ACTIVATED: u32 = 100;
    /// NMDeviceStateReason: another activation waits for it.
    pub const NEW_ACTIVATION: u32 = 60;
    /// NMDeviceStateReason: udev has not announced it.
    pub const NOT_INITIALISED: u32 = 71;
}

/// NMActiveConnectionState
pub(super) mod active {
    pub const ACTIVATED: u32 = 2;
    pub const DEACTIVATING: u32 = 3;
    pub const DEACTIVATED: u32 = 4;
    /// NMActivationStateFlags
    pub const IS_CONTROLLER: u32 = 0x1;
    pub const IP4_READY: u32 = 0x8;
    pub const IP6_READY: u32 = 0x10;
}

/// Number at the end of an object's path: the greater, the later it was made.
pub(super) fn number(path: &str) -> u64 {
    path.rsplit('/').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// What is looked up again and again, of one image.
pub(super) struct Index<'a> {
    devices: BTreeMap<(&'a str, Layer), (&'a ObjectPath, &'a Device)>,
    /// The newest active connection of each profile.
    actives: BTreeMap<&'a str, (&'a ObjectPath, &'a Active)>,
    profiles: BTreeMap<&'a str, &'a ObjectPath>,
}

impl<'a> Index<'a> {
    pub(super) fn of(image: &'a Image) -> Self {
        let mut devices: BTreeMap<(&str, Layer), (&ObjectPath, &Device)> = BTreeMap::new();
        for (path, device) in &image.devices {
            let key = (device.name.as_str(), Layer::of_device(device.kind));
            let is_better = |other: &Device| Which::rank(device) >= Which::rank(other);
            if devices.get(&key).is_none_or(|(_, other)| is_better(other)) {
                devices.insert(key, (path, device));
            }
        }
        let mut actives: BTreeMap<&str, (&ObjectPath, &Active)> = BTreeMap::new();
        for (path, active) in &image.actives {
            let newest = actives.entry(&active.uuid).or_insert((path, active));
            if number(path) > number(newest.0) {
                *newest = (path, active);
            }
        }
        let profiles = image.profiles.iter();
        let profiles = profiles.filter_map(|(path, stored)| Some((stored.profile.uuid()?, path))).collect();
        Self { devices, actives, profiles }
    }

    pub(super) fn device(&self, which: &Which) -> Option<(&'a ObjectPath, &'a Device)> {
        self.devices.get(&(which.name.as_str(), which.layer)).copied()
    }

    pub(super) fn active(&self, uuid: &str) -> Option<(&'a ObjectPath, &'a Active)> {
        self.actives.get(uuid).copied()
    }

    pub(super) fn profile(&self, uuid: &str) -> Option<&'a ObjectPath> {
        self.profiles.get(uuid).copied()
    }
}

/// What a wait looks at: as long as that changes, there is progress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Glimpse {
    device: Option<DeviceGlimpse>,
    active: Option<ActiveGlimpse>,
    is_in_kernel: bool,
    /// Open vSwitch has yet to make its link, or NetworkManager to set it up.
    lacks_link: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct DeviceGlimpse {
    state: u32,
    reason: u32,
    real: bool,
    is_active: bool,
}

impl DeviceGlimpse {
    /// Its activation has ended for another one, which has not begun yet.
    fn is_taken_over(&self) -> bool {
        self.reason == device::NEW_ACTIVATION && self.state != device::ACTIVATED
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ActiveGlimpse {
    path: ObjectPath,
    state: u32,
    flags: u32,
    reason: u32,
    /// Why its device began to leave it.
    device_reason: u32,
}

impl Glimpse {
    fn of(what: &Await, index: &Index<'_>, link: Option<&Link>, is_internal: bool) -> Self {
        let device = index.device(&what.which).map(|(_, device)| DeviceGlimpse {
            state: device.state,
            reason: device.reason,
            real: device.real,
            is_active: device.active.is_some(),
        });
        let uuid = match &what.until {
            Until::Ready { uuid, .. } | Until::Left { uuid } => Some(uuid),
            Until::Announced | Until::Disconnected | Until::Gone => None,
        };
        let active = uuid.and_then(|uuid| index.active(uuid)).map(|(path, active)| ActiveGlimpse {
            path: path.clone(),
            state: active.state,
            flags: active.flags,
            reason: active.reason,
            device_reason: active.device_reason,
        });
        let lacks_link = is_internal && !link.is_some_and(Link::is_up);
        Self { device, active, is_in_kernel: link.is_some(), lacks_link }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Done,
    Working,
    /// With the reason, in words.
    Failed(String),
}

/// Something that is waited for.
#[derive(Debug)]
struct Waiting<'a> {
    what: &'a Await,
    patience: Duration,
    /// Somebody has to let it in.
    has_supplicant: bool,
    is_internal: bool,
    last: Glimpse,
    /// The newest activation that was seen at work.
    worked: Option<ActiveGlimpse>,
    until: Instant,
}

impl Waiting<'_> {
    /// Takes a look. `ended`: what became of the activation that was seen at work before.
    fn look(&mut self, now: Glimpse, ended: Option<u32>, time: Instant) -> Verdict {
        // NetworkManager tries again with what was refused, three times.
        let left = now.active.as_ref().map(|active| active.device_reason);
        let refused = [ended, left].into_iter().flatten().find_map(reasons::of_supplicant);
        if let Some(why) = refused.filter(|_| self.has_supplicant) {
            return Verdict::Failed(why.to_owned());
        }
        if now != self.last {
            self.until = time + self.patience;
        }
        self.last = now;
        let verdict = judge(&self.what.until, self.what.which.layer, &self.last, self.worked.as_ref());
        if let Some(active) = self.last.active.as_ref().filter(|active| active.state < active::DEACTIVATED) {
            self.worked = Some(active.clone());
        }
        verdict
    }
}

/// `worked`: the activation that was seen at work before.
fn judge(until: &Until, layer: Layer, now: &Glimpse, worked: Option<&ActiveGlimpse>) -> Verdict {
    let done = |is_done: bool| if is_done { Verdict::Done } else { Verdict::Working };
    match until {
        Until::Announced => {
            let waits = |device: &DeviceGlimpse| {
                device.state == device::UNMANAGED && device.reason == device::NOT_INITIALISED
            };
            done(now.device.as_ref().is_some_and(|device| device.real && !waits(device)))
        }
        Until::Disconnected => {
            let is_idle = |device: &DeviceGlimpse| !device.is_active && device.state <= device::DISCONNECTED;
            done(now.device.as_ref().is_none_or(is_idle))
        }
        Until::Left { .. } => done(now.active.is_none()),
        Until::Gone => done(!now.is_in_kernel && now.device.as_ref().is_none_or(|device| !device.real)),
        Until::Ready { ipv4, ipv6, .. } => match &now.active {
            Some(active) if active.state < active::DEACTIVATING => {
                if active.state == active::ACTIVATED && !now.lacks_link {
                    return Verdict::Done;
                }
                let has = |demanded: bool, flag: u32| !demanded || active.flags & flag != 0;
                let has_ip = has(*ipv4, active::IP4_READY) && has(*ipv6, active::IP6_READY);
                done(has_ip && !now.lacks_link && is_link_ready(active, now.device.as_ref(), layer))
            }
            // A newer one may take its place: NetworkManager itself activates the ports of a controller, and what
            // waits for its device is not always among the active connections.
            Some(active) if active.state == active::DEACTIVATING => Verdict::Working,
            _ if now.device.as_ref().is_some_and(DeviceGlimpse::is_taken_over) => Verdict::Working,
            Some(active) => Verdict::Failed(why(now.device.as_ref(), Some(active))),
            None => Verdict::Failed(why(now.device.as_ref(), worked)),
        },
    }
}

fn is_link_ready(active: &ActiveGlimpse, device: Option<&DeviceGlimpse>, layer: Layer) -> bool {
    const LAYER2_READY: u32 = 0x4;
    let past_config = device.is_some_and(|device| device.state >= device::IP_CONFIG);
    match layer {
        // Without ports it stays like that, and has no row in the database.
        Layer::OvsBridge => active.flags & active::IS_CONTROLLER != 0,
        Layer::OvsPort | Layer::Kernel => active.flags & LAYER2_READY != 0 && past_config,
        Layer::Vpn => false,
    }
}

/// The device knows better than the activation.
fn why(device: Option<&DeviceGlimpse>, active: Option<&ActiveGlimpse>) -> String {
    let of_device = device.and_then(|device| reasons::of_device(device.reason));
    let of_active = || active.and_then(|active| reasons::of_activation(active.reason));
    of_device.or_else(of_active).unwrap_or("NetworkManager gives no reason").to_owned()
}

fn has_supplicant(profile: Option<&Profile>) -> bool {
    profile.is_some_and(|profile| profile.has("802-1x") || profile.has("macsec"))
}

/// Whether Open vSwitch makes its link. NetworkManager says that it configures IP there before the link has come.
fn is_internal(profile: &Profile) -> bool {
    let is_internal = matches!(profile.text("ovs-interface", "type"), None | Some("" | "internal"));
    profile.kind() == Some("ovs-interface") && is_internal
}

/// How long a profile may take without any progress.
fn patience(what: &Await, has_supplicant: bool) -> Duration {
    let waits_for_ip = matches!(what.until, Until::Ready { ipv4, ipv6, .. } if ipv4 || ipv6);
    if has_supplicant || waits_for_ip || what.which.layer == Layer::Vpn { LONG_PATIENCE } else { PATIENCE }
}

/// Why a wait ended without success.
#[derive(Debug)]
pub(super) struct Unsettled {
    /// What will not come; None: nothing will, NetworkManager is gone.
    pub what: Option<Await>,
    pub failure: Failure,
}

impl Unsettled {
    fn of(what: &Await, failure: Failure) -> Self {
        Self { what: Some(what.clone()), failure }
    }

    fn absent() -> Self {
        Self { what: None, failure: absent() }
    }
}

/// Waits for all of it, or until one fails. `tell` is called for each as it is done.
pub(super) async fn settle(
    awaits: &[Await],
    client: &Client,
    mirror: &Mirror,
    mut tell: impl FnMut(&Await),
) -> Result<(), Unsettled> {
    if awaits.is_empty() {
        return Ok(());
    }
    let (mut told, mut seen) = (client.revisions(), mirror.revisions());
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    let mut refusals = None;
    let mut is_first = true;
    loop {
        told.borrow_and_update();
        seen.borrow_and_update();
        let image = client.image().ok_or_else(Unsettled::absent)?;
        let index = Index::of(&image);
        let time = Instant::now();
        if std::mem::take(&mut is_first) {
            waiting.extend(awaits.iter().map(|what| {
                let profile = match &what.until {
                    Until::Ready { uuid, .. } => index.profile(uuid),
                    Until::Announced | Until::Disconnected | Until::Left { .. } | Until::Gone => None,
                };
                let profile = profile.and_then(|path| image.profiles.get(path)).map(|stored| &stored.profile);
                let has_supplicant = has_supplicant(profile);
                let is_internal = profile.is_some_and(is_internal);
                let patience = patience(what, has_supplicant);
                let until = time + patience;
                let last = Glimpse::default();
                Waiting { what, patience, has_supplicant, is_internal, last, worked: None, until }
            }));
        }
        if refusals.is_none() && waiting.iter().any(|one| one.has_supplicant) {
            refusals = Some(Refused::listen(client).await);
        }
        let kernel = mirror.image();
        let links: BTreeMap<&str, &Link> = kernel.links.values().map(|link| (&*link.name, &**link)).collect();
        let mut left = Vec::with_capacity(waiting.len());
        let mut has_moved = false;
        for mut one in waiting {
            let which = &one.what.which;
            let link = links.get(which.name.as_str()).filter(|_| which.layer == Layer::Kernel).copied();
            let ended = one.worked.as_ref().and_then(|worked| image.ended(&worked.path));
            let ended = ended.map(|active| active.device_reason);
            let glimpse = Glimpse::of(one.what, &index, link, one.is_internal);
            has_moved |= glimpse != one.last;
            match one.look(glimpse, ended, time) {
                Verdict::Done => tell(one.what),
                Verdict::Working => left.push(one),
                Verdict::Failed(why) => {
                    let failure = failed(which, &format!("cannot be activated: {why}"));
                    return Err(Unsettled::of(one.what, failure));
                }
            }
        }
        waiting = left;
        if has_moved {
            // NetworkManager works them off one after the other: of hundreds, the last has long to wait for its turn.
            waiting.iter_mut().for_each(|one| one.until = time + one.patience);
        }
        let Some(until) = waiting.iter().map(|one| one.until).min() else { return Ok(()) };
        let rest = LOOK_GAP.max(time.elapsed() * REST_FACTOR);
        let event = async {
            tokio::select! {
                changed = told.changed() => Ok(changed.is_ok()),
                changed = seen.changed() => Ok(changed.is_ok()),
                link = Refused::next(&mut refusals) => Err(link),
            }
        };
        match timeout_at(until, event).await {
            Ok(Ok(true)) => sleep(rest).await,
            Ok(Ok(false)) => return Err(Unsettled::absent()),
            Ok(Err(link)) => {
                let is_refused = |one: &&Waiting<'_>| one.has_supplicant && one.what.which.name == link;
                if let Some(one) = waiting.iter().find(is_refused) {
                    let why = format!("cannot be activated: {}", reasons::NOT_LET_IN);
                    return Err(Unsettled::of(one.what, failed(&one.what.which, &why)));
                }
            }
            Err(_) => {
                let late = waiting.iter().find(|one| one.until <= Instant::now());
                return Err(late.map_or_else(Unsettled::absent, |one| Unsettled::of(one.what, stalled(one))));
            }
        }
    }
}

/// Who was refused by the other end, as soon as it is. Where that cannot be heard, NetworkManager says so later.
struct Refused(Option<Refusals>);

impl Refused {
    async fn listen(client: &Client) -> Self {
        let listening = client.refusals().await;
        Self(listening.inspect_err(|error| debug!(%error, "refused logins are told late")).ok())
    }

    /// The link of the next one; for ever pending if nobody tells.
    async fn next(refused: &mut Option<Self>) -> String {
        if let Some(Self(Some(refusals))) = refused
            && let Some(link) = refusals.next().await
        {
            return link;
        }
        *refused = Some(Self(None));
        pending().await
    }
}

fn stalled(one: &Waiting<'_>) -> Failure {
    let seconds = one.patience.as_secs();
    let state = match (&one.last.device, &one.last.active) {
        (Some(device), _) => format!("its device is in state {} of NetworkManager", device.state),
        (None, Some(active)) => format!("its activation is in state {} of NetworkManager", active.state),
        (None, None) => "NetworkManager has no device of that name".to_owned(),
    };
    failed(
        &one.what.which,
        &format!("waited until {}, and nothing has happened for {seconds} s: {state}", one.what),
    )
}

fn failed(which: &Which, what: &str) -> Failure {
    let message = format!("{which} {what}");
    Failure { kind: ErrorKind::PluginFailure, subject: Some(which.name.clone()), message }
}

/// There is no NetworkManager on the bus.
pub(super) fn absent() -> Failure {
    Failure {
        kind: ErrorKind::PluginFailure,
        subject: None,
        message: "NetworkManager is not running".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: Until = Until::Ready { uuid: String::new(), ipv4: false, ipv6: false };

    fn device(state: u32, reason: u32, is_active: bool) -> Option<DeviceGlimpse> {
        Some(DeviceGlimpse { state, reason, real: true, is_active })
    }

    fn active(state: u32, flags: u32) -> Option<ActiveGlimpse> {
        Some(ActiveGlimpse { path: "/active/1".into(), state, flags, reason: 3, device_reason: 0 })
    }

    fn judged(
        until: &Until,
        layer: Layer,
        device: Option<DeviceGlimpse>,
        active: Option<ActiveGlimpse>,
    ) -> Verdict {
        judge(until, layer, &Glimpse { device, active, ..Glimpse::default() }, None)
    }

    #[test]
    fn an_activation_is_done_when_its_link_is() {
        let judged = |state, active| judged(&READY, Layer::Kernel, device(state, 0, true), active);
        assert_eq!(judged(100, active(2, 0x1c)), Verdict::Done);
        assert_eq!(judged(70, active(1, 0x4)), Verdict::Done, "without waiting for addresses");
        assert_eq!(judged(50, active(1, 0x4)), Verdict::Working);
        assert_eq!(judged(70, active(1, 0x2)), Verdict::Working, "a port that waits for its controller");
        assert_eq!(judged(110, active(3, 0x4)), Verdict::Working, "a newer one may take its place");
    }

    #[test]
    fn an_empty_bridge_of_open_vswitch_is_done_though_it_never_is_ready() {
        let made = active(1, active::IS_CONTROLLER);
        assert_eq!(judged(&READY, Layer::OvsBridge, device(70, 0, true), made.clone()), Verdict::Done);
        assert_eq!(judged(&READY, Layer::Kernel, device(70, 0, true), made), Verdict::Working);
    }

    #[test]
    fn an_internal_interface_of_open_vswitch_is_done_when_its_link_is_up() {
        let is_internal = |kind: &str, of_kind: &str| {
            let mut profile = Profile::default();
            profile.set("connection", "type", kind);
            profile.set("ovs-interface", "type", of_kind);
            is_internal(&profile)
        };
        assert!(is_internal("ovs-interface", "internal") && is_internal("ovs-interface", ""));
        assert!(
            !is_internal("ovs-interface", "patch") && !is_internal("ovs-interface", "dpdk"),
            "it has none"
        );
        assert!(!is_internal("802-3-ethernet", ""));
        let glimpse = |lacks_link| Glimpse {
            device: device(70, 0, true),
            active: active(1, 0x4),
            lacks_link,
            ..Glimpse::default()
        };
        assert_eq!(judge(&READY, Layer::Kernel, &glimpse(true), None), Verdict::Working);
        assert_eq!(judge(&READY, Layer::Kernel, &glimpse(false), None), Verdict::Done);
    }

    #[test]
    fn wait_ip_waits_for_the_families_it_names() {
        let until = Until::Ready { uuid: String::new(), ipv4: true, ipv6: false };
        let judged = |flags| judged(&until, Layer::Kernel, device(70, 0, true), active(1, flags));
        assert_eq!(judged(0x4), Verdict::Working);
        assert_eq!(judged(0x4 | active::IP6_READY), Verdict::Working);
        assert_eq!(judged(0x4 | active::IP4_READY), Verdict::Done);
    }

    #[test]
    fn a_failure_is_told_with_the_reason_of_the_device() {
        let failed = |why: &str| Verdict::Failed(why.to_owned());
        let gone = judged(&READY, Layer::Kernel, device(30, 64, false), None);
        assert_eq!(gone, failed("another host has its IP address"));
        let replaced =
            judged(&READY, Layer::Kernel, device(110, device::NEW_ACTIVATION, false), active(4, 0));
        assert_eq!(replaced, Verdict::Working, "the one that replaces it may be of the same profile");
        let vague = judged(&READY, Layer::Kernel, device(30, 0, false), active(4, 0));
        assert_eq!(vague, failed("the device was disconnected"));
        assert_eq!(judged(&READY, Layer::Kernel, None, None), failed("NetworkManager gives no reason"));
    }

    #[test]
    fn devices_are_announced_disconnected_and_gone() {
        let at = |until: &Until, device, is_in_kernel| {
            judge(until, Layer::Kernel, &Glimpse { device, is_in_kernel, ..Glimpse::default() }, None)
        };
        assert_eq!(at(&Until::Announced, None, true), Verdict::Working);
        assert_eq!(at(&Until::Announced, device(10, 71, false), true), Verdict::Working);
        assert_eq!(at(&Until::Announced, device(10, 70, false), true), Verdict::Done);
        assert_eq!(at(&Until::Disconnected, device(110, 0, true), true), Verdict::Working);
        assert_eq!(at(&Until::Disconnected, device(30, 0, false), true), Verdict::Done);
        assert_eq!(at(&Until::Disconnected, None, false), Verdict::Done);
        let left = Until::Left { uuid: String::new() };
        assert_eq!(at(&left, device(100, 0, true), true), Verdict::Done, "with another profile");
        assert_eq!(
            judged(&left, Layer::Kernel, device(110, 0, true), active(3, 0)),
            Verdict::Working,
            "it is about to leave"
        );
        assert_eq!(at(&Until::Gone, None, true), Verdict::Working);
        assert_eq!(at(&Until::Gone, None, false), Verdict::Done);
    }

    #[test]
    fn a_wait_lasts_as_long_as_something_moves() {
        let what = Await { which: Which::kernel("eth1"), until: READY };
        let start = Instant::now();
        let mut one = Waiting {
            what: &what,
            patience: PATIENCE,
            has_supplicant: false,
            is_internal: false,
            last: Glimpse::default(),
            worked: None,
            until: start + PATIENCE,
        };
        let moved = Glimpse {
            device: device(50, 0, true),
            active: active(1, 0),
            is_in_kernel: true,
            ..Glimpse::default()
        };
        let later = start + Duration::from_secs(7);
        assert_eq!(one.look(moved.clone(), None, later), Verdict::Working);
        assert_eq!(one.until, later + PATIENCE);
        assert_eq!(one.look(moved, None, later + Duration::from_secs(5)), Verdict::Working);
        assert_eq!(one.until, later + PATIENCE, "nothing has moved");
        let gone =
            Glimpse { device: device(30, 0, false), active: None, is_in_kernel: true, ..Glimpse::default() };
        let failed = Verdict::Failed("the device was disconnected".to_owned());
        assert_eq!(one.look(gone, None, later), failed, "the activation that was seen gives the reason");
    }

    #[test]
    fn who_is_refused_by_the_switch_is_not_waited_for_though_networkmanager_tries_again() {
        let what = Await { which: Which::kernel("eth1"), until: READY };
        let at_work = || Glimpse {
            device: device(50, 0, true),
            active: active(1, 0),
            is_in_kernel: true,
            ..Glimpse::default()
        };
        let look = |has_supplicant: bool, now: Glimpse, ended: Option<u32>| {
            let until = Instant::now() + LONG_PATIENCE;
            let (patience, last, worked) = (LONG_PATIENCE, Glimpse::default(), None);
            let mut one =
                Waiting { what: &what, patience, has_supplicant, is_internal: false, last, worked, until };
            one.look(now, ended, Instant::now())
        };
        let refused = || Verdict::Failed("the authentication failed (802.1X)".to_owned());
        assert_eq!(look(true, at_work(), Some(7)), refused(), "a new activation is at work already");
        let mut leaves = at_work();
        leaves.active = active(3, 0).map(|active| ActiveGlimpse { device_reason: 7, ..active });
        assert_eq!(look(true, leaves, None), refused());
        assert_eq!(look(true, at_work(), Some(60)), Verdict::Working, "it was replaced");
        assert_eq!(look(false, at_work(), Some(7)), Verdict::Working);
    }

    #[test]
    fn of_two_activations_the_newer_counts() {
        assert!(number("/org/freedesktop/NetworkManager/ActiveConnection/10") > number("/a/9"));
        let mut image = Image::default();
        for (path, state) in [("/active/9", 1), ("/active/10", 2)] {
            let active = Active { uuid: "u".into(), state, ..Active::default() };
            image.actives.insert(path.into(), std::sync::Arc::new(active));
        }
        assert_eq!(Index::of(&image).active("u").map(|(_, active)| active.state), Some(2));
    }
}
