//! From what is wished to profiles, and to what it takes that devices run with them.

use std::collections::{BTreeMap, BTreeSet};

use super::said::changes;
use super::{Lowering, Target};
use crate::backend::nm::choose::{Candidate, Chosen};
use crate::backend::nm::reapply::{self, Way};
use crate::backend::nm::work::{Layer, Step, Until, Which};
use crate::nm::settings::{self, Wish, ovs_port_of};
use crate::nm::{Profile, Value};
use crate::plan::{InterfaceChange, base, is_removable};
use crate::state::{Interface, InterfaceType};

/// What is done about one interface that stays or comes.
pub(super) struct Decision<'a> {
    pub which: Which,
    /// How many interfaces it stands upon, one upon the other.
    pub depth: u32,
    /// Empty where it needs no profile.
    pub uuid: String,
    /// What stores its profile, if it is not stored so already.
    pub write: Option<Step>,
    pub goal: Goal,
    /// The profile does not say which device it is for.
    pub on_device: bool,
    /// Other profiles of the interface that go; whether they have to go before.
    pub others: Vec<(Candidate<'a>, bool)>,
    pub ready: Until,
    /// The other end, for one end of a veth that is not there yet.
    pub peer: Option<String>,
    /// There is a device that was not made for this profile, and cannot become what it says.
    pub in_the_way: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Up(Way),
    /// Whether it has to be made NetworkManager's first.
    Down {
        activates: bool,
        disconnects: bool,
    },
}

impl Decision<'_> {
    /// The interface needs no profile, and loses what it has.
    pub fn ends_profile(&self) -> bool {
        self.uuid.is_empty()
    }
}

/// NMDeviceState
const UNMANAGED: u32 = 10;
/// NMActiveConnectionState
const ACTIVATED: u32 = 2;

impl<'a> Lowering<'a> {
    /// All decisions.
    pub(super) fn decide(&self, new_uuid: &mut dyn FnMut() -> String) -> BTreeMap<Which, Decision<'a>> {
        let depths = self.depths();
        let depth = |interface: &Interface| depths.of(interface);
        let mut decided: BTreeMap<Which, Decision<'a>> = BTreeMap::new();
        for target in self.targets.values() {
            if let Some(then) = target.then
                && let Some(decision) = self.decide_one(target, then, depth(then), new_uuid)
            {
                if *then.kind() == InterfaceType::OvsBridge {
                    let ports = self.decide_ports(then, &decision, new_uuid);
                    decided.extend(ports.into_iter().map(|port| (port.which.clone(), port)));
                }
                decided.insert(target.which.clone(), decision);
            }
        }
        self.spread(&mut decided, &depth, new_uuid);
        decided
    }

    /// None: there is nothing to do about it that NetworkManager could do.
    fn decide_one(
        &self,
        target: &Target<'a>,
        then: &'a Interface,
        depth: u32,
        new_uuid: &mut dyn FnMut() -> String,
    ) -> Option<Decision<'a>> {
        let which = target.which.clone();
        let chosen = self.profiles.choose(&which, then.kind());
        let is_afresh = target.change.is_some_and(|change| change.afresh);
        let (mut profile, stored) = match chosen {
            Chosen::Change(candidate) if is_afresh => (afresh(&candidate.stored.profile), Some(candidate)),
            Chosen::Change(candidate) => (candidate.stored.profile.clone(), Some(candidate)),
            Chosen::CopyOf(candidate) => (copy(&candidate.stored.profile, &which.name, new_uuid()), None),
            Chosen::New if !target.needs_profile => return None,
            Chosen::New => {
                let mut profile = Profile::default();
                profile.set("connection", "uuid", new_uuid());
                (profile, None)
            }
        };
        let is_new = is_afresh || matches!(chosen, Chosen::New);
        let routes = match &target.routes {
            // What is there would be lost with the first activation.
            None if is_new && target.now.is_some_and(Interface::is_up) => {
                Some(self.kernel_routes(&which.name)).filter(|routes| !routes.is_empty())
            }
            routes => routes.clone(),
        };
        let wish = Wish {
            interface: then,
            said: &target.said,
            controller: self.controller_of(then),
            routes: routes.as_deref(),
            rules: target.rules.as_deref(),
            dns: target.dns.as_ref(),
            is_new,
        };
        settings::write(&mut profile, &wish, &self.image.version);
        if let Some(candidate) = stored {
            self.keep_references(&candidate.stored.profile, &mut profile);
        }
        if settings::is_needless(&profile) {
            return self.without_profile(which, depth);
        }
        let write = match stored {
            None => Some(Step::Add { which: which.clone(), profile: profile.clone() }),
            Some(candidate) if reapply::is_same(&candidate.stored.profile, &profile) => None,
            Some(candidate) => Some(Step::Update {
                which: which.clone(),
                profile: profile.clone(),
                version_id: candidate.stored.version_id,
            }),
        };
        let goal = match then.is_up() {
            true => Goal::Up(self.way(target, stored, &profile)),
            false => self.down(&which),
        };
        let uuid = profile.uuid().unwrap_or_default().to_owned();
        let others = match target.change.is_some() || write.is_some() {
            true => self.others(target, then, &uuid),
            false => Vec::new(),
        };
        let is_there = self.device(&which).is_some_and(|device| device.real);
        let needs = |family| profile.get(family, "may-fail").and_then(Value::as_bool) == Some(false);
        Some(Decision {
            ready: Until::Ready { uuid: uuid.clone(), ipv4: needs("ipv4"), ipv6: needs("ipv6") },
            peer: then.veth.as_ref().filter(|_| !is_there).map(|veth| veth.peer.clone()),
            in_the_way: is_there && target.is_rebuilt() && !self.is_running(&which, stored),
            on_device: is_there && !is_removable(then) && profile.interface_name().is_none(),
            which,
            depth,
            uuid,
            write,
            goal,
            others,
        })
    }

    /// An interface that needs none: those that it has go.
    fn without_profile(&self, which: Which, depth: u32) -> Option<Decision<'a>> {
        let others: Vec<_> = self.profiles.others(&which, None).into_iter().map(|own| (own, false)).collect();
        (!others.is_empty()).then(|| Decision {
            ready: Until::Disconnected,
            which,
            depth,
            uuid: String::new(),
            write: None,
            goal: Goal::Up(Way::Nothing),
            on_device: false,
            others,
            peer: None,
            in_the_way: false,
        })
    }

    /// What brings an interface that shall be up to its profile.
    fn way(&self, target: &Target<'a>, stored: Option<Candidate<'a>>, profile: &Profile) -> Way {
        let Some(candidate) = stored.filter(|_| self.is_running(&target.which, stored)) else {
            return Way::Activate;
        };
        let device = self.device(&target.which);
        let applied = device.and_then(|device| device.applied.as_deref());
        let stored = &candidate.stored.profile;
        let running = match applied {
            Some((applied, _)) => reapply::running(applied, stored),
            None => stored.clone(),
        };
        let way = reapply::way(&running, profile, &self.image.version).max(target.least);
        // Reapplying says which version it starts from.
        let way = if way == Way::Reapply && applied.is_none() { Way::Activate } else { way };
        match target.change {
            Some(change) if way == Way::Nothing && target.is_desired() => strayed(change),
            _ => way,
        }
    }

    /// Whether a device runs with that profile, and is NetworkManager's own.
    pub(super) fn is_running(&self, which: &Which, stored: Option<Candidate<'_>>) -> bool {
        let Some(candidate) = stored else { return false };
        let Some(active) = candidate.active else { return false };
        let device = self.device(which);
        let is_on_device = device.is_none_or(|device| {
            let on_device = self.image.active_of(device);
            on_device.is_none_or(|on_device| on_device.uuid == active.uuid) && device.state != UNMANAGED
        });
        !active.is_external() && active.state <= ACTIVATED && is_on_device
    }

    fn down(&self, which: &Which) -> Goal {
        let Some(device) = self.device(which).filter(|device| device.real) else {
            return Goal::Down { activates: false, disconnects: false };
        };
        let is_unmanaged = device.state == UNMANAGED;
        Goal::Down { activates: is_unmanaged, disconnects: is_unmanaged || device.active.is_some() }
    }

    /// Other profiles of the interface: what is made for another type has to go before.
    fn others(&self, target: &Target<'a>, then: &Interface, uuid: &str) -> Vec<(Candidate<'a>, bool)> {
        let types = crate::backend::nm::choose::types(then.kind());
        let others = self.profiles.others(&target.which, Some(uuid)).into_iter();
        let fits = |candidate: &Candidate<'_>| {
            candidate.stored.profile.kind().is_some_and(|kind| types.contains(&kind))
        };
        others.map(|candidate| (candidate, !fits(&candidate))).collect()
    }

    /// Controllers and parents may be named by the UUID of their profile, which is as good.
    pub(super) fn keep_references(&self, old: &Profile, new: &mut Profile) {
        let mut kept = Vec::new();
        for (setting, properties) in &old.0 {
            for (property, value) in properties {
                let Some(reference) =
                    value.as_text().filter(|_| matches!(property.as_str(), "master" | "parent"))
                else {
                    continue;
                };
                let named =
                    self.image.stored(reference).and_then(|(_, stored)| stored.profile.interface_name());
                if named.is_some() && new.text(setting, property) == named {
                    kept.push((setting.clone(), property.clone(), value.clone()));
                }
            }
        }
        for (setting, property, value) in kept {
            new.set(&setting, &property, value);
        }
    }

    /// What has to come back with another interface: the ports of a controller that is activated
    /// again, the children of a link that goes for a moment.
    fn spread(
        &self,
        decided: &mut BTreeMap<Which, Decision<'a>>,
        depth: &dyn Fn(&Interface) -> u32,
        new_uuid: &mut dyn FnMut() -> String,
    ) {
        let mut interfaces: Vec<(u32, &'a Interface)> =
            self.all_then().filter(|then| then.is_up()).map(|then| (depth(then), then)).collect();
        interfaces.sort_by_key(|(depth, then)| (*depth, Which::of(then)));
        let mut remade: BTreeSet<String> = BTreeSet::new();
        for (depth, then) in interfaces {
            let which = Which::of(then);
            let way = |which: &Which| match decided.get(which).map(|decision| decision.goal) {
                Some(Goal::Up(way)) => way,
                _ => Way::Nothing,
            };
            let rejoins = self.controller_of(then).is_some_and(|controller| {
                let port = Which { name: ovs_port_of(controller, &then.name), layer: Layer::OvsPort };
                let of_port = match controller.kind() {
                    InterfaceType::OvsBridge => way(&port),
                    _ => Way::Nothing,
                };
                way(&Which::of(controller)).max(of_port) >= Way::Activate
            });
            let returns = base(then).is_some_and(|base| remade.contains(base));
            if (rejoins || returns) && way(&which) < Way::Activate {
                let active = self.profiles.current(&which, then.kind()).filter(|own| own.active.is_some());
                if let Some(decision) = decided.get_mut(&which) {
                    decision.goal = Goal::Up(Way::Activate);
                } else if active.is_some() {
                    let target = Target { least: Way::Activate, ..Target::drawn_in(then) };
                    let decision = self.decide_one(&target, then, depth, new_uuid);
                    decided.extend(decision.map(|decision| (which.clone(), decision)));
                }
            }
            let restarts = matches!(decided.get(&which), Some(Decision { goal: Goal::Up(Way::Restart), .. }));
            if (restarts && is_removable(then)) || (returns && decided.contains_key(&which)) {
                remade.insert(then.name.clone());
            }
        }
    }
}

/// The same profile without what it says of the interface. Routing rules and name servers belong to
/// sections of their own, which know what becomes of them.
fn afresh(stored: &Profile) -> Profile {
    const KEPT: [(&str, &str); 5] = [
        ("connection", "uuid"),
        ("ipv4", "routing-rules"),
        ("ipv6", "routing-rules"),
        ("connection", "permissions"),
        ("connection", "timestamp"),
    ];
    const RESOLVER: [&str; 4] = ["dns-data", "dns-search", "dns-options", "dns-priority"];
    let resolver = RESOLVER.into_iter().flat_map(|property| [("ipv4", property), ("ipv6", property)]);
    let mut own = Profile::default();
    for (setting, property) in KEPT.into_iter().chain(resolver) {
        if let Some(value) = stored.get(setting, property) {
            own.set(setting, property, value.clone());
        }
    }
    own
}

/// A profile of one interface alone, which begins as one for several.
fn copy(shared: &Profile, name: &str, uuid: String) -> Profile {
    let mut own = shared.clone();
    own.set("connection", "uuid", uuid);
    own.set("connection", "id", name);
    own.set("connection", "interface-name", name);
    own.unset("connection", "multi-connect");
    own
}

/// What brings a device back to the profile that it already runs with: somebody changed the link
/// meanwhile.
fn strayed(change: &InterfaceChange) -> Way {
    /// What stands elsewhere than in the device's own profile, or in none.
    const ELSEWHERE: [&str; 11] = [
        "alt-names",
        "dispatch",
        "profile-name",
        "description",
        "identifier",
        "wait-ip",
        "link-aggregation.port",
        "link-aggregation.ports-config",
        "bridge.port",
        "vrf.port",
        "ipv4.forwarding",
    ];
    let total = change.fields.len();
    let count = |keys: &[&str]| {
        let is_in = |path: &str| {
            keys.iter().any(|key| {
                path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            })
        };
        change.fields.iter().filter(|field| is_in(&field.path.to_string())).count()
    };
    let elsewhere = count(&ELSEWHERE);
    let ip = count(&["ipv4", "ipv6"]) - usize::from(changes(change, "ipv4.forwarding"));
    match total - elsewhere {
        0 => Way::Nothing,
        rest if rest == ip => Way::Reapply,
        _ => Way::Activate,
    }
}
