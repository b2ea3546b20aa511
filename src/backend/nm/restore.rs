//! The way back from whatever is there now, as work like any other. Pure.
//!
//! Profiles are known by UUID, devices by name and layer, so it makes no difference whether
//! NetworkManager is still the one that the snapshot was taken of, or how far an earlier way back
//! has come.

use std::collections::{BTreeMap, BTreeSet};

use super::reapply::{Way, is_same, running, way};
use super::settle::device;
use super::snapshot::{ActiveWas, Private, actives};
use super::touch::Touch;
use super::work::{Await, Back, Layer, Step, Until, Which, Work};
use crate::nm::image::Image;
use crate::nm::settings::drop_twins;
use crate::nm::{Profile, is_secret};
use crate::plan::Touched;

/// The work that leads from `image` back to `was`, in what the transaction touches. `amiss`: interfaces that lack what
/// NetworkManager should have set.
pub(super) fn way_back(
    was: &Private,
    image: &Image,
    touch: &Touch<'_>,
    touched: &Touched,
    amiss: &BTreeSet<String>,
) -> Work {
    let mut way = Return { was, image, touch, amiss, work: Work::default(), now: actives(image) };
    let returning = way.returning();
    way.profiles(&returning, true);
    let removed = way.remove_new(&returning);
    way.activate(&returning);
    way.disconnect(&removed);
    way.profiles(&returning, false);
    way.devices();
    if touched.has_resolver() && !super::execute::is_same_dns(&was.global_dns, &image.global_dns) {
        way.work.steps.push(Step::GlobalDns(was.global_dns.clone()));
    }
    if touched.has_hostname() && was.hostname != image.hostname {
        way.work.steps.push(Step::Hostname(was.hostname.clone()));
    }
    way.work
}

/// How far parents and controllers are followed.
const DEEPEST: u32 = 16;

struct Return<'a> {
    was: &'a Private,
    image: &'a Image,
    touch: &'a Touch<'a>,
    amiss: &'a BTreeSet<String>,
    work: Work,
    now: Vec<ActiveWas>,
}

/// An activation that has to come back, or to be as it was.
struct Returning<'a> {
    was: &'a ActiveWas,
    how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// It is not active any more.
    Activate,
    /// It is, but runs with something else.
    Reapply,
    /// It is, and says that it runs with the same, which is not there: it was killed before it had done what it was
    /// asked, and took for done what it found stored; or somebody else has removed it.
    Renew,
    /// The same, and its link has to be made anew.
    Anew,
}

impl<'a> Return<'a> {
    fn is_touched(&self, which: &Which) -> bool {
        self.touch.reach.contains(&which.name)
    }

    /// What was active and is not, or not so, in an order in which it can be activated.
    fn returning(&self) -> Vec<Returning<'a>> {
        let touched = self.was.actives.iter().filter(|active| self.is_touched(&active.which));
        let touched = touched.filter(|active| !self.is_lost(&active.uuid, 0));
        let mut returning: Vec<Returning<'a>> = touched.filter_map(|was| self.return_of(was)).collect();
        returning.sort_by_cached_key(|one| self.depth(&one.was.uuid, 0));
        returning
    }

    fn return_of(&self, was: &'a ActiveWas) -> Option<Returning<'a>> {
        // Its profile was NetworkManager's own, and goes with what it watches.
        let profile = &self.was.profiles.get(&was.uuid)?.profile;
        let returning = |how| Some(Returning { was, how });
        let now = self.now.iter().find(|now| now.uuid == was.uuid && now.which == was.which);
        let Some(now) = now else { return returning(How::Activate) };
        match (&was.applied, &now.applied) {
            (Some(then), Some(now)) => {
                // What is not seen to be applied is as stored.
                let stored = self.image.stored(&was.uuid).map_or(profile, |(_, stored)| &stored.profile);
                match way(&running(now, stored), &running(then, profile), &self.image.version) {
                    Way::Nothing if self.is_amiss(&was.which) => returning(How::Renew),
                    Way::Nothing => None,
                    Way::Reapply => returning(How::Reapply),
                    Way::Activate => returning(How::Activate),
                    Way::Restart => returning(How::Anew),
                }
            }
            // Nobody can say what it runs with.
            _ => {
                let stored = self.image.stored(&was.uuid);
                let same = stored.is_some_and(|(_, stored)| is_same(&stored.profile, profile));
                if same { None } else { returning(How::Activate) }
            }
        }
    }

    /// Whether something is missing that NetworkManager is not about to set.
    fn is_amiss(&self, which: &Which) -> bool {
        which.layer == Layer::Kernel
            && self.amiss.contains(&which.name)
            && which.device(self.image).is_some_and(|(_, device)| device.state == device::ACTIVATED)
    }

    /// Whether it needs hardware that is gone: itself, or what it rests on. Whoever looks afterwards tells.
    fn is_lost(&self, uuid: &str, of: u32) -> bool {
        const HARDWARE: [&str; 2] = ["802-3-ethernet", "infiniband"];
        let Some(was) = self.was.profiles.get(uuid).filter(|_| of < DEEPEST) else { return false };
        // A partition of InfiniBand has a parent, and is made.
        let parent = was.profile.0.values().find_map(|setting| setting.get("parent")?.as_text());
        let parent = parent.and_then(|name| self.profile_of(name, Layer::Kernel));
        if let Some(parent) = parent.filter(|parent| *parent != uuid) {
            return self.is_lost(parent, of + 1);
        }
        let is_hardware = was.profile.kind().is_some_and(|kind| HARDWARE.contains(&kind));
        let active = self.was.actives.iter().find(|active| active.uuid == uuid);
        let is_there =
            |active: &ActiveWas| active.which.device(self.image).is_some_and(|(_, device)| device.real);
        is_hardware && active.is_some_and(|active| !is_there(active))
    }

    /// How many others have to be there before it: parents and controllers.
    fn depth(&self, uuid: &str, of: u32) -> u32 {
        let Some(was) = self.was.profiles.get(uuid).filter(|_| of < DEEPEST) else { return of };
        let profile = &was.profile;
        let parents = profile.0.values().filter_map(|setting| setting.get("parent")?.as_text());
        // An interface of Open vSwitch has the name of its port.
        let layer = match profile.text("connection", "slave-type") {
            Some("ovs-port") => Layer::OvsPort,
            Some("ovs-bridge") => Layer::OvsBridge,
            _ => Layer::Kernel,
        };
        let controller = profile.text("connection", "master").map(|name| (name, layer));
        let below = parents.map(|name| (name, Layer::Kernel)).chain(controller);
        let below = below.filter_map(|(name, layer)| self.profile_of(name, layer));
        below.filter(|below| *below != uuid).map(|below| self.depth(below, of + 1)).max().unwrap_or(of)
    }

    /// The profile that is meant by a UUID or the name of an interface.
    fn profile_of(&self, name: &str, layer: Layer) -> Option<&'a str> {
        if let Some((uuid, _)) = self.was.profiles.get_key_value(name) {
            return Some(uuid);
        }
        let is_it = |active: &&ActiveWas| active.which.name == name && active.which.layer == layer;
        let active = self.was.actives.iter().find(is_it);
        active.map(|active| active.uuid.as_str())
    }

    /// Contents and storage of profiles. Those that return first, so that they can be activated; the
    /// others at the end, where nothing is left for them to connect to by themselves.
    fn profiles(&mut self, returning: &[Returning<'_>], of_returning: bool) {
        let returns: BTreeSet<&str> = returning.iter().map(|one| one.was.uuid.as_str()).collect();
        // What is lost connects by itself when it comes back.
        let is_active: BTreeSet<&str> = self.was.actives.iter().map(|active| active.uuid.as_str()).collect();
        let is_active: BTreeSet<&str> = is_active.into_iter().filter(|uuid| !self.is_lost(uuid, 0)).collect();
        for (uuid, was) in &self.was.profiles {
            let belongs = self.touch.holds(uuid) && returns.contains(uuid.as_str()) == of_returning;
            let is_same = self.image.stored(uuid).is_some_and(|(_, stored)| {
                is_same(&stored.profile, &was.profile) && stored.is_on_disk() == was.is_on_disk()
            });
            if !belongs || is_same {
                continue;
            }
            let which = was.interfaces.first().cloned();
            let which = which.unwrap_or_else(|| Which::kernel(was.profile.id().unwrap_or(uuid)));
            self.work.steps.push(Step::Back(Back::Put {
                which,
                profile: was.profile.clone(),
                on_disk: was.is_on_disk(),
                blocks: is_active.contains(uuid.as_str()),
            }));
        }
    }

    /// New profiles go. Returns their UUIDs.
    fn remove_new(&mut self, returning: &[Returning<'_>]) -> BTreeSet<String> {
        let mut removed = BTreeSet::new();
        let mut gone: BTreeSet<Which> = BTreeSet::new();
        for stored in self.image.profiles.values().filter(|stored| stored.is_kept() && !stored.is_default()) {
            let Some(uuid) = stored.profile.uuid() else { continue };
            if self.was.profiles.contains_key(uuid) || !self.touch.holds(uuid) {
                continue;
            }
            let which = self.touch.of(uuid).next().cloned();
            let which = which.unwrap_or_else(|| Which::kernel(stored.profile.id().unwrap_or(uuid)));
            // Another kind of link of that name has to go before the former one can come.
            let takes_place = returning.iter().any(|one| {
                let profile = self.was.profiles.get(&one.was.uuid).map(|was| &was.profile);
                one.was.which == which && profile.and_then(Profile::kind) != stored.profile.kind()
            });
            if takes_place {
                gone.insert(which.clone());
            }
            self.work.steps.push(Step::Back(Back::Remove { which, uuid: uuid.to_owned() }));
            removed.insert(uuid.to_owned());
        }
        let wait = |which| Step::Wait(Await { which, until: Until::Gone });
        self.work.steps.extend(gone.into_iter().map(wait));
        for active in self.now.iter().filter(|active| removed.contains(&active.uuid)) {
            let until = Until::Disconnected;
            if !returning.iter().any(|one| one.was.which == active.which) {
                self.work.awaits.push(Await { which: active.which.clone(), until });
            }
        }
        removed
    }

    fn activate(&mut self, returning: &[Returning<'_>]) {
        for Returning { was: active, how } in returning {
            let which = active.which.clone();
            let uuid = active.uuid.clone();
            let Some(was) = self.was.profiles.get(&uuid) else { continue };
            let ready = Until::Ready { uuid: uuid.clone(), ipv4: false, ipv6: false };
            self.work.awaits.push(Await { which: which.clone(), until: ready });
            match (how, &active.applied) {
                (How::Reapply | How::Renew, Some(applied)) => {
                    let (profile, whole) = (with_secrets(applied, &was.profile), *how == How::Renew);
                    self.work.steps.push(Step::Back(Back::Reapply { which, profile, whole }));
                    continue;
                }
                (How::Anew, _) => self.work.steps.push(Step::Deactivate { which: which.clone() }),
                _ => {}
            }
            // A profile that is for no device in particular would take any.
            let on_device = which.layer != Layer::Vpn && was.profile.interface_name().is_none();
            self.work.steps.push(Step::Activate { which, uuid, on_device });
        }
    }

    /// What nothing was active on, and something is now.
    fn disconnect(&mut self, removed: &BTreeSet<String>) {
        let was: BTreeSet<&Which> = self.was.actives.iter().map(|active| &active.which).collect();
        let idle = self.now.iter().filter(|now| {
            self.is_touched(&now.which) && !was.contains(&now.which) && !removed.contains(&now.uuid)
        });
        let idle: Vec<Which> = idle.map(|now| now.which.clone()).collect();
        for which in idle {
            let until = Until::Disconnected;
            self.work.awaits.push(Await { which: which.clone(), until });
            self.work.steps.push(match which.layer {
                Layer::Vpn => Step::Deactivate { which },
                Layer::Kernel | Layer::OvsBridge | Layer::OvsPort => Step::Disconnect { which },
            });
        }
    }

    /// Flags of devices. `Disconnect` has changed some, and activating others.
    fn devices(&mut self) {
        let was: BTreeMap<&Which, _> = self.was.devices.iter().map(|was| (&was.which, was)).collect();
        let disconnects = |steps: &[Step], which: &Which| {
            steps.iter().any(|step| matches!(step, Step::Disconnect { which: other } if other == which))
        };
        for (which, was) in was {
            let Some((_, now)) = which.device(self.image).filter(|_| self.is_touched(which)) else {
                continue;
            };
            let which = which.clone();
            if was.managed != now.managed {
                self.work.steps.push(Step::Back(Back::Managed { which: which.clone(), on: was.managed }));
            }
            if was.autoconnect != now.autoconnect || was.autoconnect && disconnects(&self.work.steps, &which)
            {
                self.work.steps.push(Step::Back(Back::Autoconnect { which, on: was.autoconnect }));
            }
        }
    }
}

/// What was applied is known without secrets; the stored profile has them.
fn with_secrets(applied: &Profile, stored: &Profile) -> Profile {
    let mut profile = applied.clone();
    // They would win, and they know neither the table nor the type of a route.
    drop_twins(&mut profile);
    for (name, setting) in &stored.0 {
        let Some(own) = profile.0.get_mut(name) else { continue };
        for (key, value) in setting.iter().filter(|(key, _)| is_secret(name, key)) {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    profile
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::kernel::Facts;
    use crate::nm::image::{Active, Device, Stored};
    use crate::plan::{Capabilities, Options, plan};
    use crate::state::{Document, State};

    /// A network of NetworkManager's that can be built and changed, and what of it is amiss.
    #[derive(Clone, Default)]
    struct Net(Image, BTreeSet<String>);

    const ETHERNET: (&str, u32) = ("802-3-ethernet", 1);
    const VLAN: (&str, u32) = ("vlan", 11);
    const BRIDGE: (&str, u32) = ("bridge", 13);
    const MASTER_IN5: (&str, &str, &str) = ("connection", "master", "in5");
    const MASTER_OVS5: (&str, &str, &str) = ("connection", "master", "ovs5");

    impl Net {
        fn device(&mut self, name: &str, kind: u32) {
            let (name, real) = (name.to_owned(), true);
            let device = Device {
                name: name.clone(),
                kind,
                real,
                managed: true,
                autoconnect: true,
                ..Device::default()
            };
            self.0.devices.insert(format!("/devices/{name}"), Arc::new(device));
        }

        /// A profile of that name and UUID, and what `more` says.
        fn profile(&mut self, name: &str, kind: &str, flags: u32, more: &[(&str, &str, &str)]) {
            let mut profile = Profile::default();
            for (property, value) in [("uuid", name), ("id", name), ("interface-name", name), ("type", kind)]
            {
                profile.set("connection", property, value);
            }
            more.iter().for_each(|(setting, property, value)| profile.set(setting, property, *value));
            let stored = Stored { profile, flags, ..Stored::default() };
            self.0.profiles.insert(format!("/settings/{name}"), Arc::new(stored));
        }

        /// Activates it on a device, with what is stored.
        fn active(&mut self, name: &str) {
            let profile = format!("/settings/{name}");
            let path = format!("/active/{}", self.0.actives.len() + 1);
            let stored = self.0.profiles[&profile].profile.clone();
            let on = format!("/devices/{name}");
            let device = Arc::make_mut(self.0.devices.get_mut(&on).expect("a device"));
            device.active = Some(path.clone());
            device.applied = Some(Arc::new((stored.clone(), 1)));
            let kind = stored.kind().unwrap_or_default().to_owned();
            let (uuid, device) = (name.to_owned(), Some(on));
            let active = Active {
                id: uuid.clone(),
                uuid,
                kind,
                profile: Some(profile),
                device,
                state: 2,
                ..Active::default()
            };
            self.0.actives.insert(path, Arc::new(active));
        }

        fn up(&mut self, name: &str, (kind, number): (&str, u32), more: &[(&str, &str, &str)]) {
            self.device(name, number);
            self.profile(name, kind, 0, more);
            self.active(name);
        }

        fn down(&mut self, name: &str) {
            self.0.actives.retain(|_, active| active.uuid != name);
            let device =
                Arc::make_mut(self.0.devices.get_mut(&format!("/devices/{name}")).expect("a device"));
            (device.active, device.applied) = (None, None);
        }

        fn gone(&mut self, name: &str) {
            self.0.actives.retain(|_, active| active.uuid != name);
            self.0.devices.remove(&format!("/devices/{name}"));
            self.0.profiles.remove(&format!("/settings/{name}"));
        }

        /// Changes what is stored; `on_disk`: also its file.
        fn store(&mut self, name: &str, setting: &str, property: &str, value: &str, flags: u32) {
            let stored =
                Arc::make_mut(self.0.profiles.get_mut(&format!("/settings/{name}")).expect("a profile"));
            stored.profile.set(setting, property, value);
            stored.flags = flags;
        }

        /// Changes what it runs with.
        fn apply(&mut self, name: &str, setting: &str, property: &str, value: &str) {
            let device =
                Arc::make_mut(self.0.devices.get_mut(&format!("/devices/{name}")).expect("a device"));
            let applied = Arc::make_mut(device.applied.as_mut().expect("it is active"));
            applied.0.set(setting, property, value);
        }
    }

    fn state(text: &str) -> State {
        Document::from_text(text).expect("YAML").state().expect("a valid state").0
    }

    fn touched(document: &str, before: &State) -> Touched {
        let capabilities = Capabilities {
            backend: "test",
            interface_types: crate::state::InterfaceType::WORDS
                .iter()
                .map(|word| crate::state::InterfaceType::from_word(word))
                .collect(),
            vlan_filtering: true,
            volatile_until_commit: true,
            profiles: true,
            names: true,
            persists: true,
            ..Capabilities::default()
        };
        let plan = plan(&state(document), before, &capabilities, &Options::default()).expect("a plan");
        let mut touched = Touched::default();
        touched.extend(&plan);
        touched
    }

    /// The steps from `now` back to `was`, and what is awaited, as sentences.
    fn back(was: &Net, now: &Net, before: &State, touched: &Touched) -> Vec<String> {
        let was = Private::take(&was.0, before, Facts::default());
        let json = was.to_json();
        let was = Private::from_json(&json).expect("it is read back");
        let touch = Touch::new(touched, before, &was, &now.0, before);
        let work = way_back(&was, &now.0, &touch, touched, &now.1);
        let steps = work.steps.iter().map(ToString::to_string);
        steps.chain(work.awaits.iter().map(|wait| format!("... {wait}"))).collect()
    }

    const BEFORE: &str = "
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500}
- {name: eth2, type: ethernet, state: up, mtu: 1500}
- {name: v1, type: vlan, state: up, vlan: {base-iface: eth1, id: 7}}
";
    const DOCUMENT: &str = "
interfaces:
- {name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth1}]}}
- {name: v1, type: vlan, state: absent}
";

    fn network() -> Net {
        let mut net = Net::default();
        net.up("eth1", ETHERNET, &[]);
        net.up("eth2", ETHERNET, &[]);
        net.up("v1", VLAN, &[("vlan", "parent", "eth1")]);
        net
    }

    #[test]
    fn what_is_applied_again_is_said_once() {
        let mut applied = Profile::default();
        for key in ["routes", "route-data", "addresses", "address-data"] {
            applied.set("ipv4", key, "said");
        }
        let sent = with_secrets(&applied, &Profile::default());
        assert_eq!(sent.0["ipv4"].keys().collect::<Vec<_>>(), ["address-data", "route-data"]);
    }

    #[test]
    fn what_is_as_it_was_needs_nothing() {
        let (net, before) = (network(), state(BEFORE));
        assert_eq!(back(&net, &net, &before, &touched(DOCUMENT, &before)), Vec::<String>::new());
    }

    #[test]
    fn everything_touched_comes_back_in_order() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.gone("v1");
        now.device("br0", BRIDGE.1);
        now.profile("br0", BRIDGE.0, 1, &[]);
        now.active("br0");
        now.store("eth1", "connection", "master", "br0", 1);
        now.apply("eth1", "connection", "master", "br0");
        // Somebody else does this meanwhile.
        now.store("eth2", "connection", "zone", "home", 0);
        assert_eq!(
            back(&was, &now, &before, &touched(DOCUMENT, &before)),
            [
                "put the profile of eth1 back",
                "put the profile of v1 back",
                "remove the new profile of br0",
                "activate eth1",
                "activate v1",
                "... br0 is disconnected",
                "... eth1 is ready",
                "... v1 is ready",
            ]
        );
    }

    #[test]
    fn ports_of_open_vswitch_come_back_before_the_interfaces_of_their_name() {
        let before = state(
            "
interfaces:
- {name: ovs5, type: ovs-bridge, state: up, bridge: {port: [{name: in5}]}}
- {name: in5, type: ovs-interface, state: up, controller: ovs5}
",
        );
        let mut was = Net::default();
        was.up("inner", ("ovs-interface", 24), &[MASTER_IN5, ("connection", "slave-type", "ovs-port")]);
        was.up("port", ("ovs-port", 25), &[MASTER_OVS5, ("connection", "slave-type", "ovs-bridge")]);
        was.up("ovs5", ("ovs-bridge", 26), &[]);
        for uuid in ["inner", "port"] {
            let device = was.0.devices.get_mut(&format!("/devices/{uuid}")).expect("a device");
            Arc::make_mut(device).name = "in5".to_owned();
            was.store(uuid, "connection", "interface-name", "in5", 0);
        }
        let mut now = was.clone();
        ["inner", "port", "ovs5"].into_iter().for_each(|name| now.down(name));
        let touched = touched("interfaces: [{name: ovs5, type: ovs-bridge, state: down}]", &before);
        assert_eq!(
            back(&was, &now, &before, &touched),
            [
                "activate bridge ovs5",
                "activate port in5",
                "activate in5",
                "... bridge ovs5 is ready",
                "... port in5 is ready",
                "... in5 is ready",
            ]
        );
    }

    #[test]
    fn a_way_that_was_cut_off_goes_on_where_it_is() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.down("v1");
        let touched = touched(DOCUMENT, &before);
        assert_eq!(back(&was, &now, &before, &touched), ["activate v1", "... v1 is ready"]);
    }

    #[test]
    fn what_runs_with_the_same_and_lacks_it_is_told_so_once_it_is_active() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.1 = ["eth1".to_owned(), "eth2".to_owned()].into();
        let touched = touched(DOCUMENT, &before);
        assert_eq!(back(&was, &now, &before, &touched), Vec::<String>::new(), "it may be about to set it");
        let eth1 = now.0.devices.get_mut("/devices/eth1").expect("a device");
        Arc::make_mut(eth1).state = device::ACTIVATED;
        assert_eq!(
            back(&was, &now, &before, &touched),
            ["apply again what eth1 ran with", "... eth1 is ready"]
        );
    }

    #[test]
    fn hardware_that_is_gone_and_what_rests_on_it_are_not_waited_for() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.down("v1");
        now.down("eth1");
        now.store("eth1", "connection", "zone", "home", 1);
        now.0.devices.remove("/devices/eth1");
        now.0.devices.remove("/devices/v1");
        let touched = touched("interfaces: [{name: eth1, mtu: 9000}, {name: eth2, mtu: 9000}]", &before);
        assert_eq!(back(&was, &now, &before, &touched), ["put the profile of eth1 back"]);
        now.down("eth2");
        assert_eq!(
            back(&was, &now, &before, &touched),
            ["activate eth2", "put the profile of eth1 back", "... eth2 is ready"]
        );
    }

    #[test]
    fn what_was_committed_is_taken_back_from_disk() {
        let (mut was, before) = (network(), state(BEFORE));
        was.store("eth1", "connection", "zone", "home", 1);
        was.apply("eth1", "connection", "zone", "home");
        let mut now = was.clone();
        now.store("eth1", "connection", "zone", "home", 0);
        let touched = touched("interfaces: [{name: eth1, mtu: 9000}]", &before);
        assert_eq!(back(&was, &now, &before, &touched), ["put the profile of eth1 back"]);
    }

    #[test]
    fn a_link_with_other_parameters_is_made_anew() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.store("v1", "vlan", "parent", "eth2", 1);
        now.apply("v1", "vlan", "parent", "eth2");
        let touched =
            touched("interfaces: [{name: v1, type: vlan, vlan: {base-iface: eth2, id: 7}}]", &before);
        assert_eq!(
            back(&was, &now, &before, &touched),
            ["put the profile of v1 back", "deactivate v1", "activate v1", "... v1 is ready"]
        );
    }

    #[test]
    fn what_was_idle_is_disconnected_and_may_connect_by_itself_again() {
        let (mut was, before) = (network(), state(BEFORE));
        was.down("eth2");
        let mut now = was.clone();
        now.active("eth2");
        let touched = touched("interfaces: [{name: eth2, mtu: 9000}]", &before);
        assert_eq!(
            back(&was, &now, &before, &touched),
            ["disconnect eth2", "let eth2 connect by itself", "... eth2 is disconnected"]
        );
    }

    #[test]
    fn a_holder_of_routes_comes_back_though_its_interface_is_not_touched() {
        let (was, before) = (network(), state(BEFORE));
        let mut now = was.clone();
        now.store("eth2", "ipv4", "gateway", "192.0.2.1", 1);
        now.apply("eth2", "ipv4", "gateway", "192.0.2.1");
        // In more than routes: somebody else did that.
        now.store("eth1", "ipv4", "gateway", "192.0.2.1", 1);
        now.store("eth1", "connection", "zone", "home", 1);
        let route = "
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth2, next-hop-address: 192.0.2.1}]}
interfaces: [{name: eth2, ipv4: {enabled: true, address: [{ip: 192.0.2.9, prefix-length: 24}]}}]";
        let all = touched(route, &before);
        let only_routes: Touched = {
            let mut json = serde_json::to_value(&all).expect("JSON");
            json["interfaces"] = serde_json::json!([]);
            serde_json::from_value(json).expect("it is read")
        };
        assert_eq!(
            back(&was, &now, &before, &only_routes),
            ["put the profile of eth2 back", "apply again what eth2 ran with", "... eth2 is ready"]
        );
    }
}
