//! From a plan to what netplan is to say, in the document's terms. Pure.

use std::collections::BTreeSet;

use crate::netplan::{Config, Devices, Wanted, Wish};
use crate::plan::{Action, Change, InterfaceChange, Plan, Reason, configured, only_changed, ports};
use crate::state::{DnsSettings, Interface, InterfaceType, Route, RouteRule, State};

/// What `plan` wants of netplan on a system that is as `now`, where netplan's files say `config` together.
pub(super) fn lower(plan: &Plan, now: &State, config: &Config, devices: &Devices) -> Wanted {
    let mut lowering = Lowering { plan, now, config, devices, wanted: Wanted::default() };
    lowering.interfaces();
    lowering.routes();
    lowering.others();
    lowering.wanted
}

struct Lowering<'a> {
    plan: &'a Plan,
    now: &'a State,
    config: &'a Config,
    devices: &'a Devices,
    wanted: Wanted,
}

impl<'a> Lowering<'a> {
    fn changes(&self) -> impl Iterator<Item = &'a InterfaceChange> + use<'a> {
        self.plan.changes.iter().filter_map(|change| match change {
            Change::Interface(change) => Some(&**change),
            _ => None,
        })
    }

    fn asked(&self, name: &str) -> Option<&'a Interface> {
        self.plan.expected.interfaces().iter().find(|asked| asked.name == name && !asked.is_absent())
    }

    fn has_netdef(&self, name: &str) -> bool {
        self.config.netdef_of(name, self.devices).is_some()
    }

    fn is_wanted(&self, name: &str) -> bool {
        self.wanted.interfaces.iter().any(|wish| wish.interface.name == name)
    }

    fn interfaces(&mut self) {
        for change in self.changes() {
            match stays(change) {
                None => drop(self.wanted.absent.insert(change.name.clone())),
                Some(after) => {
                    // Who only loses something, and was nothing of netplan's before, does not become it.
                    let is_drawn_in =
                        matches!(change.reason, Reason::DetachedFrom(_) | Reason::InterfaceGone(_))
                            || matches!(change.reason, Reason::ControllerOf(_)) && !gains_port(change);
                    if is_drawn_in && !self.has_netdef(&change.name) {
                        continue;
                    }
                    let is_asked = matches!(change.reason, Reason::Desired | Reason::Unkept);
                    let asked = self.asked(&change.name).filter(|_| is_asked);
                    let said = asked.cloned().unwrap_or_else(|| only_changed(after, change));
                    let interface = configured(card(after));
                    let current = change.before.as_ref().map(card);
                    self.wanted.interfaces.push(Wish { interface, said, current });
                }
            }
        }
    }

    /// An interface that stays as it is, but has something to say.
    fn add(&mut self, name: &str, said: Interface) {
        let now = self.now.interfaces().iter().find(|now| now.name == name && !now.kind().is_userspace());
        if let Some(now) = now.filter(|_| !self.is_wanted(name)) {
            let current = Some(card(now));
            self.wanted.interfaces.push(Wish { interface: configured(card(now)), said, current });
        }
    }

    /// Every static route of the interfaces that are written, and those that lead nowhere if one of them
    /// changes.
    fn routes(&mut self) {
        let changes: Vec<_> = self
            .plan
            .changes
            .iter()
            .filter_map(|change| match change {
                Change::Route(change) => Some(change),
                _ => None,
            })
            .collect();
        let through = changes.iter().filter_map(|change| interface_of(&change.route));
        for name in through.map(str::to_owned).collect::<BTreeSet<_>>() {
            if !self.wanted.absent.contains(&name) {
                self.unchanged(&name);
            }
        }
        let is_removed = |route: &Route| {
            changes.iter().any(|change| change.action == Action::Remove && change.route == *route)
        };
        let kept = self.now.config_routes().iter().filter(|route| !is_removed(route)).cloned();
        let added = changes.iter().filter(|change| change.action != Action::Remove);
        let mut routes: Vec<Route> = kept.collect();
        for change in added {
            if !routes.contains(&change.route) {
                routes.push(change.route.clone());
            }
        }
        let (nowhere, mut routes): (Vec<_>, Vec<_>) =
            routes.into_iter().partition(|route| route.route_type.is_some());
        routes.retain(|route| interface_of(route).is_some_and(|name| self.is_wanted(name)));
        self.wanted.routes = routes;
        let is_changed = changes.iter().any(|change| change.route.route_type.is_some());
        self.wanted.nowhere = is_changed.then_some(nowhere);
        if is_changed {
            self.offer_holders();
        }
    }

    /// Rules and name servers, and interfaces to hold them.
    fn others(&mut self) {
        let mut rules: Option<Vec<RouteRule>> = None;
        let mut dns: Option<DnsSettings> = None;
        for change in &self.plan.changes {
            match change {
                Change::Rule(change) => {
                    let rules = rules.get_or_insert_with(|| self.now.config_rules().to_vec());
                    match change.action {
                        Action::Remove => rules.retain(|rule| *rule != change.rule),
                        Action::Add | Action::Modify => rules.push(change.rule.clone()),
                    }
                }
                Change::Dns(change) => dns = Some(change.after.clone()),
                _ => {}
            }
        }
        if rules.is_some() || dns.is_some() {
            self.offer_holders();
        }
        (self.wanted.rules, self.wanted.dns) = (rules, dns);
    }

    /// Interfaces that may hold what belongs to none, beside those that have a definition: where the default
    /// route goes through.
    fn holders(&self) -> BTreeSet<String> {
        let is_default = |route: &&Route| route.destination.as_ref().is_some_and(|to| to.prefix() == 0);
        let default = self.now.config_routes().iter().filter(is_default);
        let through = default.filter_map(interface_of);
        let has_none = |name: &&str| !self.has_netdef(name) && !self.wanted.absent.contains(*name);
        through.filter(has_none).map(str::to_owned).collect()
    }

    fn offer_holders(&mut self) {
        for name in self.holders() {
            self.unchanged(&name);
        }
    }

    fn unchanged(&mut self, name: &str) {
        let Some(now) = self.now.interfaces().iter().find(|now| now.name == name) else { return };
        let said = Interface::new(name, now.kind().clone(), now.state());
        self.add(name, said);
    }
}

/// The interface as it shall be, if netplan shall have it.
fn stays(change: &InterfaceChange) -> Option<&Interface> {
    let after = change.after.as_ref().filter(|after| !after.is_absent())?;
    (after.is_up() || !after.kind().is_virtual()).then_some(after)
}

/// The interface that a route goes through. IPv6 routes that lead nowhere are shown with the loopback.
fn interface_of(route: &Route) -> Option<&str> {
    route.next_hop_interface.as_deref().filter(|_| route.route_type.is_none())
}

/// Whether an interface is a port, or anything else that rests on it, that was not before.
fn gains_port(change: &InterfaceChange) -> bool {
    let of = |interface: &Option<Interface>| {
        let found = interface.as_ref().and_then(ports).unwrap_or_default();
        found.into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    !of(&change.after).is_subset(&of(&change.before))
}

/// A veth whose other end is in another network namespace is a card like any other here.
fn card(interface: &Interface) -> Interface {
    let mut own = interface.clone();
    if *own.kind() == InterfaceType::Veth && own.veth.is_none() {
        own.kind = Some(InterfaceType::Ethernet);
    }
    own
}
