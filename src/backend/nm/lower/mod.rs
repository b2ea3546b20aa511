//! From a plan to work, in the order in which NetworkManager takes it. Pure.
//!
//! A plan says what each interface is and shall be; NetworkManager knows profiles. Here is decided
//! which profile says it, what is written into it, and what brings the device to it: a profile that
//! says it already, on a device that runs with it, takes no step at all.
//!
//! | file | story |
//! | --- | --- |
//! | `said` | what of an interface is written |
//! | `routes`, `rules` | which profiles hold them |
//! | `decide` | from a wish to a profile, and to what it takes to run with it |
//! | `sequence` | the steps in their order |
//! | `resolver` | where name servers go |
//! | `ovs` | ports of Open vSwitch, and its database |
//! | `beside` | what NetworkManager has no place for |

mod beside;
mod decide;
mod ovs;
mod resolver;
mod routes;
mod rules;
mod said;
mod sequence;

pub(super) use self::said::changes;

use std::collections::BTreeMap;

use super::choose::Profiles;
use super::reapply::Way;
use super::work::{Layer, Which, Work};
use crate::backend::kernel::op::Op;
use crate::nm::Setting;
use crate::nm::image::{Device, Image};
use crate::plan::{Action, Change, Depths, InterfaceChange, Plan, Reason, ports};
use crate::state::{
    Bridge, DnsSettings, Interface, InterfaceState, InterfaceType, Problem, Route, RouteRule, State,
};

/// The work that carries out `plan` on a system that is as `now`, and whose NetworkManager is as
/// `image`. `new_uuid` names new profiles.
pub(super) fn lower(plan: &Plan, now: &State, image: &Image, new_uuid: &mut dyn FnMut() -> String) -> Work {
    let mut lowering = Lowering::new(plan, now, image);
    lowering.take_changes();
    lowering.draw_in_ports();
    lowering.routes();
    lowering.rules();
    lowering.resolver();
    let decided = lowering.decide(new_uuid);
    let mut work = sequence::sequence(&lowering, &decided);
    lowering.beside(&decided, &mut work);
    work
}

/// What is wrong with the name servers of a plan: they have no place.
pub(super) fn without_place(plan: &Plan, now: &State, image: &Image) -> Option<Problem> {
    let mut lowering = Lowering::new(plan, now, image);
    lowering.take_changes();
    lowering.placement()?.err()
}

/// An interface that the plan is about.
struct Target<'a> {
    which: Which,
    /// What the plan says of it; None if it is drawn in.
    change: Option<&'a InterfaceChange>,
    now: Option<&'a Interface>,
    /// As it shall be; None when it goes.
    then: Option<&'a Interface>,
    /// What is written into a profile that exists.
    said: Interface,
    /// All static routes through it, if they change.
    routes: Option<Vec<Route>>,
    rules: Option<Vec<RouteRule>>,
    dns: Option<DnsSettings>,
    /// It takes at least that, whatever its profile says.
    least: Way,
    /// It gets a profile if it has none of its own.
    needs_profile: bool,
}

struct Lowering<'a> {
    plan: &'a Plan,
    state: &'a State,
    image: &'a Image,
    profiles: Profiles<'a>,
    devices: BTreeMap<Which, &'a Device>,
    now: BTreeMap<Which, &'a Interface>,
    targets: BTreeMap<Which, Target<'a>>,
    /// What becomes of the global name servers; None: they stay.
    global_dns: Option<Setting>,
    /// What only the kernel keeps.
    ops: Vec<Op>,
}

impl<'a> Target<'a> {
    /// An interface that stays as it is but for what is found out later.
    fn drawn_in(interface: &'a Interface) -> Self {
        let mut said = Interface::new(&interface.name, interface.kind().clone(), InterfaceState::Up);
        said.state = None;
        Self {
            which: Which::of(interface),
            change: None,
            now: Some(interface),
            then: Some(interface),
            said,
            routes: None,
            rules: None,
            dns: None,
            least: Way::Nothing,
            needs_profile: false,
        }
    }

    fn is_rebuilt(&self) -> bool {
        self.change.is_some_and(|change| change.rebuild)
    }

    fn is_desired(&self) -> bool {
        self.change.is_none_or(|change| change.reason.is_asked())
    }
}

impl<'a> Lowering<'a> {
    fn new(plan: &'a Plan, state: &'a State, image: &'a Image) -> Self {
        let now = state.interfaces().iter().map(|interface| (Which::of(interface), interface)).collect();
        let mut devices: BTreeMap<Which, &Device> = BTreeMap::new();
        for device in image.devices.values() {
            let which = Which { name: device.name.clone(), layer: Layer::of_device(device.kind) };
            let known = devices.entry(which).or_insert(device);
            if Which::rank(device) > Which::rank(known) {
                *known = device;
            }
        }
        let profiles = Profiles::new(image, state);
        Self {
            plan,
            state,
            image,
            profiles,
            devices,
            now,
            targets: BTreeMap::new(),
            global_dns: None,
            ops: Vec::new(),
        }
    }

    fn device(&self, which: &Which) -> Option<&'a Device> {
        self.devices.get(which).copied()
    }

    /// What the plan says of interfaces.
    fn take_changes(&mut self) {
        let expected: BTreeMap<Which, &Interface> = self
            .plan
            .expected
            .interfaces()
            .iter()
            .map(|interface| (Which::of(interface), interface))
            .collect();
        for change in &self.plan.changes {
            let Change::Interface(change) = change else { continue };
            let which = Which::new(&change.name, &change.kind);
            let now = self.now.get(&which).copied();
            let then = change.after.as_ref().filter(|after| !after.is_absent());
            let said = match then {
                Some(then) => said::said(change, then, expected.get(&which).copied()),
                None => Interface::new(&change.name, change.kind.clone(), InterfaceState::Absent),
            };
            let needs_profile = match change.reason {
                // Who loses a port needs none for that.
                Reason::ControllerOf(_) => gains_port(change),
                _ => true,
            };
            let least = if change.rebuild { Way::Restart } else { least(&change.reason) };
            let target = Target {
                which: which.clone(),
                change: Some(change),
                now,
                then,
                said,
                routes: None,
                rules: None,
                dns: None,
                least,
                needs_profile,
            };
            self.targets.insert(which, target);
        }
    }

    /// Ports whose options change: they stand in the list of the controller, but in the port's profile.
    fn draw_in_ports(&mut self) {
        let mut drawn: Vec<(String, Way)> = Vec::new();
        for target in self.targets.values() {
            let (Some(before), Some(then)) = (target.now, target.then) else { continue };
            let default_pvid = |interface: &Interface| {
                interface.bridge.as_ref()?.linux()?.options.as_ref()?.vlan_default_pvid
            };
            let least = match (default_pvid(before), default_pvid(then)) {
                (old, Some(new)) if old.unwrap_or(1) != new => Way::Restart,
                _ => Way::Nothing,
            };
            let stay = ports(then).unwrap_or_default();
            let stay = stay.iter().filter(|port| ports(before).is_some_and(|ports| ports.contains(port)));
            for port in stay.filter(|port| least > Way::Nothing || options_differ(before, then, port)) {
                drawn.push(((*port).to_owned(), least));
            }
        }
        for (port, least) in drawn {
            if let Some(target) = self.target(&Which::kernel(port)) {
                target.least = target.least.max(least);
            }
        }
    }

    /// The target of that name, drawn in if the plan does not have it. None if there is no such
    /// interface, or it shall not be up.
    fn target(&mut self, which: &Which) -> Option<&mut Target<'a>> {
        if !self.targets.contains_key(which) {
            let now = self.now.get(which).copied().filter(|now| !now.is_ignored())?;
            self.targets.insert(which.clone(), Target::drawn_in(now));
        }
        self.targets.get_mut(which).filter(|target| target.then.is_some_and(Interface::is_up))
    }

    /// The interface as it shall be, changed or not.
    fn then(&self, which: &Which) -> Option<&'a Interface> {
        match self.targets.get(which) {
            Some(target) => target.then,
            None => self.now.get(which).copied(),
        }
    }

    /// All interfaces as they shall be.
    fn all_then(&self) -> impl Iterator<Item = &'a Interface> + Clone + '_ {
        let unchanged = self.now.iter().filter(|(which, _)| !self.targets.contains_key(*which));
        let unchanged = unchanged.map(|(_, now)| *now);
        self.targets.values().filter_map(|target| target.then).chain(unchanged)
    }

    /// How deep each interface stands upon others. The plan has no circles.
    fn depths(&self) -> Depths<'a> {
        Depths::new(self.all_then().collect::<Vec<_>>().into_iter()).unwrap_or_default()
    }

    /// The controller of an interface, as it shall be.
    fn controller_of(&self, interface: &Interface) -> Option<&'a Interface> {
        let name = interface.controller.as_deref().filter(|name| !name.is_empty())?;
        let layers = [Layer::OvsBridge, Layer::Kernel];
        let named = layers.into_iter().filter_map(|layer| self.then(&Which { name: name.to_owned(), layer }));
        let lists = |controller: &Interface| {
            ports(controller).is_some_and(|ports| ports.contains(&interface.name.as_str()))
        };
        named
            .filter(|controller| controller.kind().is_controller())
            .max_by_key(|controller| (lists(controller), *controller.kind() == InterfaceType::OvsBridge))
    }
}

/// What it takes whatever the profile says: what goes with another interface has to come back.
fn least(reason: &Reason) -> Way {
    match reason {
        Reason::MadeAgain(_) => Way::Activate,
        _ => Way::Nothing,
    }
}

fn gains_port(change: &InterfaceChange) -> bool {
    let of = |interface: &Option<Interface>| -> Vec<String> {
        let ports = interface.as_ref().and_then(ports).unwrap_or_default();
        ports.into_iter().map(str::to_owned).collect()
    };
    let before = of(&change.before);
    change.action != Action::Remove && of(&change.after).iter().any(|port| !before.contains(port))
}

/// Whether a controller wants something else of a port than before.
fn options_differ(before: &Interface, then: &Interface, port: &str) -> bool {
    let bond = |interface: &Interface| {
        let ports = interface.bond.as_ref()?.ports_config.as_ref()?;
        let port = ports.iter().find(|config| config.name == port)?;
        Some((port.priority.unwrap_or(0), port.queue_id.unwrap_or(0)))
    };
    let bridge = |interface: &Interface| match interface.bridge.as_deref()? {
        Bridge::Linux(bridge) => bridge.port.as_ref()?.iter().find(|config| config.name == port).cloned(),
        Bridge::Ovs(_) => None,
    };
    bond(then).unwrap_or((0, 0)) != bond(before).unwrap_or((0, 0)) || bridge(then) != bridge(before)
}

#[cfg(test)]
mod tests;
