//! From a plan to what netplan is to say, in the document's terms. Pure.

use std::collections::BTreeSet;

use super::openvswitch;
use crate::netplan::{Config, Devices, Wanted, Wish, read};
use crate::plan::{
    Action, Change, InterfaceChange, Plan, Reason, base, configured, only_changed, peer, ports,
};
use crate::state::{Address, DnsSettings, Interface, InterfaceType, Ip, Route, RouteRule, State};

/// The system that a plan is for.
pub(super) struct System<'a> {
    pub now: &'a State,
    /// What netplan's files say together.
    pub config: &'a Config,
    pub devices: &'a Devices,
    /// Links without carrier. Their renderer takes addresses, routes and rules away meanwhile (systemd.network(5),
    /// `IgnoreCarrierLoss=`): only the files know of these.
    pub unplugged: &'a BTreeSet<String>,
}

/// What `plan` wants of netplan on that system.
pub(super) fn lower(plan: &Plan, system: &System<'_>) -> Wanted {
    let System { now, config, devices, unplugged } = *system;
    let unplugged = unplugged.iter().map(String::as_str);
    let unplugged = unplugged.filter(|name| config.netdef_of(name, devices).is_some()).collect();
    let mut lowering =
        Lowering { plan, now, config, devices, unplugged, said: State::empty(), wanted: Wanted::default() };
    if !lowering.unplugged.is_empty() {
        lowering.said = read(config, devices);
    }
    lowering.interfaces();
    lowering.routes();
    lowering.others();
    lowering.wanted.ovs_db = openvswitch::settings(plan);
    lowering.wanted
}

struct Lowering<'a> {
    plan: &'a Plan,
    now: &'a State,
    config: &'a Config,
    devices: &'a Devices,
    /// Links without carrier that the files define, and are not to be begun afresh.
    unplugged: BTreeSet<&'a str>,
    /// What the files say, where that matters.
    said: State,
    wanted: Wanted,
}

impl<'a> Lowering<'a> {
    fn changes(&self) -> impl Iterator<Item = &'a InterfaceChange> + use<'a> {
        self.plan.changes.iter().filter_map(|change| match change {
            Change::Interface(change) => Some(&**change),
            _ => None,
        })
    }

    /// Of that name and layer: a bridge of Open vSwitch has that of its internal interface.
    fn asked(&self, change: &InterfaceChange) -> Option<&'a Interface> {
        let is_it = |asked: &&Interface| {
            asked.name == change.name && asked.kind().is_userspace() == change.kind.is_userspace()
        };
        self.plan.expected.interfaces().iter().find(|asked| is_it(asked) && !asked.is_absent())
    }

    fn has_netdef(&self, name: &str) -> bool {
        self.config.netdef_of(name, self.devices).is_some()
    }

    fn is_wanted(&self, name: &str) -> bool {
        let mut wishes = self.wanted.interfaces.iter().map(|wish| &wish.interface);
        wishes.any(|wanted| wanted.name == name && !wanted.kind().is_userspace())
    }

    fn interfaces(&mut self) {
        for change in self.changes() {
            match stays(change) {
                // They go with their bridge, or as one of a pair.
                None if change.kind == InterfaceType::OvsInterface => {}
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
                    let asked = self.asked(change).filter(|_| is_asked);
                    let said = asked.cloned().unwrap_or_else(|| only_changed(after, change));
                    let interface = configured(card(after));
                    let current = change.before.as_ref().map(card);
                    if change.afresh {
                        self.unplugged.remove(change.name.as_str());
                    }
                    self.wish(Wish { interface, said, current });
                }
            }
        }
        self.rests();
    }

    /// What others rest on needs a definition as well, and has perhaps none yet: as it is.
    fn rests(&mut self) {
        let mut index = 0;
        while let Some(wish) = self.wanted.interfaces.get(index) {
            let below = [base(&wish.interface), peer(&wish.interface)].into_iter().flatten();
            for name in below.map(str::to_owned).collect::<Vec<_>>() {
                let is_up = self.now.interface(&name).is_some_and(Interface::is_up);
                if is_up && !self.has_netdef(&name) && !self.wanted.absent.contains(&name) {
                    self.unchanged(&name);
                }
            }
            index += 1;
        }
    }

    /// Adds a wish; static addresses that the kernel has not while there is no carrier, and of which the document says
    /// nothing, stay as the files say them.
    fn wish(&mut self, mut wish: Wish) {
        let Wish { interface, said: asked, .. } = &mut wish;
        let kept = self.said.interface(&interface.name).filter(|kept| !kept.kind().is_userspace());
        let kept = kept.filter(|_| self.unplugged.contains(interface.name.as_str()) && interface.is_up());
        if let Some(kept) = kept {
            keep_addresses(&mut interface.ipv4, asked.ipv4.as_deref(), kept.ipv4.as_deref());
            keep_addresses(&mut interface.ipv6, asked.ipv6.as_deref(), kept.ipv6.as_deref());
        }
        self.wanted.interfaces.push(wish);
    }

    /// An interface that stays as it is, but has something to say.
    fn add(&mut self, name: &str, said: Interface) {
        let now = self.now.interfaces().iter().find(|now| now.name == name && !now.kind().is_userspace());
        if let Some(now) = now.filter(|_| !self.is_wanted(name)) {
            let current = Some(card(now));
            self.wish(Wish { interface: configured(card(now)), said, current });
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
        let is_unplugged =
            |route: &&Route| interface_of(route).is_some_and(|name| self.unplugged.contains(name));
        for kept in self.said.config_routes().iter().filter(is_unplugged) {
            if !routes.iter().any(|route| is_same_way(route, kept)) {
                routes.push(kept.clone());
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
                    let rules = rules.get_or_insert_with(|| self.rules());
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

    /// All static rules, with those that wait for the carrier of whatever holds them.
    fn rules(&self) -> Vec<RouteRule> {
        let mut rules = self.now.config_rules().to_vec();
        let holds_any = |name: &&str| {
            let netdef = self.config.netdef_of(name, self.devices);
            netdef.is_some_and(|netdef| netdef.get("routing-policy").is_some())
        };
        if self.unplugged.iter().any(holds_any) {
            let what = |rule: &RouteRule| (rule.priority, rule.ip_from, rule.ip_to, rule.route_table);
            let is_gone = |kept: &&RouteRule| !rules.iter().any(|rule| what(rule) == what(kept));
            let gone: Vec<RouteRule> = self.said.config_rules().iter().filter(is_gone).cloned().collect();
            rules.extend(gone);
        }
        rules
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

/// Whether two routes are one, whoever has said its metric.
fn is_same_way(one: &Route, other: &Route) -> bool {
    (one.destination, &one.next_hop_interface, one.next_hop_address, one.table_id)
        == (other.destination, &other.next_hop_interface, other.next_hop_address, other.table_id)
}

/// Adds the static addresses that are `kept`, unless the document has its own, or none.
fn keep_addresses(own: &mut Option<Box<Ip>>, asked: Option<&Ip>, kept: Option<&Ip>) {
    let decides = |asked: &Ip| asked.enabled == Some(false) || asked.address.is_some() || asked.is_auto();
    let Some(kept) = kept.filter(|kept| kept.is_enabled() && !asked.is_some_and(decides)) else { return };
    for address in kept.addresses() {
        let ip = own.get_or_insert_with(|| Box::new(Ip::new(true)));
        ip.enabled = Some(true);
        let addresses = ip.address.get_or_insert_default();
        let is_it = |there: &Address| (there.ip, there.prefix_length) == (address.ip, address.prefix_length);
        if !addresses.iter().any(is_it) {
            addresses.push(address.clone());
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netplan::{File, Files, Folder};
    use crate::plan::{Capabilities, Options, plan};
    use crate::state::Document;

    fn state(yaml: &str) -> State {
        Document::from_text(yaml).expect("YAML").state().expect("a valid state").0
    }

    fn wanted(files: &str, now: &State, desired: &str, unplugged: &[&str]) -> Wanted {
        let mut all = Files::default();
        all.insert(File::new(Folder::Etc, "90-x.yaml"), files.to_owned());
        let config = Config::read(&all).expect("it is understood");
        let unplugged = unplugged.iter().map(|name| (*name).to_owned()).collect();
        let capabilities =
            Capabilities { interface_types: InterfaceType::known().collect(), ..Capabilities::default() };
        let plan = plan(&state(desired), now, &capabilities, &Options::default()).expect("it can be planned");
        let devices = Devices::default();
        lower(&plan, &System { now, config: &config, devices: &devices, unplugged: &unplugged })
    }

    fn addresses(wanted: &Wanted, name: &str) -> Vec<String> {
        let wish = wanted.interfaces.iter().find(|wish| wish.interface.name == name);
        let ip = wish.and_then(|wish| wish.interface.ipv4.as_deref());
        ip.map(Ip::addresses).unwrap_or_default().iter().map(|address| address.ip.to_string()).collect()
    }

    #[test]
    fn what_waits_for_a_carrier_is_not_lost() {
        let files = "network: {ethernets: {eth1: {addresses: [192.0.2.7/24], routes: [{to: 198.18.7.0/24, via: 192.0.2.1}],
            routing-policy: [{from: 192.0.2.0/24, table: 200, priority: 5}]}}}";
        let now =
            state("interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500, ipv4: {enabled: false}}]");
        let mtu = "interfaces: [{name: eth1, type: ethernet, mtu: 1400}]";
        let kept = wanted(files, &now, mtu, &["eth1"]);
        assert_eq!(addresses(&kept, "eth1"), ["192.0.2.7"]);
        assert_eq!(kept.routes.len(), 1);
        // With a carrier, somebody has taken them away.
        let gone = wanted(files, &now, mtu, &[]);
        assert_eq!((addresses(&gone, "eth1").len(), gone.routes.len()), (0, 0));
        // A document decides for itself.
        let other = "interfaces: [{name: eth1, type: ethernet, ipv4: {enabled: true, address: [{ip: 192.0.2.8, prefix-length: 24}]}}]";
        assert_eq!(addresses(&wanted(files, &now, other, &["eth1"]), "eth1"), ["192.0.2.8"]);
        let rule = "route-rules: {config: [{ip-from: 203.0.113.0/24, route-table: 7, priority: 6}]}";
        let rules = |unplugged: &[&str]| wanted(files, &now, rule, unplugged).rules.expect("rules").len();
        assert_eq!((rules(&["eth1"]), rules(&[])), (2, 1));
    }

    #[test]
    fn what_a_link_rests_on_stays_as_it_is() {
        let now = state(
            "interfaces: [{name: eth2, type: ethernet, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.9, prefix-length: 24}]}}]",
        );
        let vlan = "interfaces: [{name: eth2.7, type: vlan, vlan: {base-iface: eth2, id: 7}}]";
        assert_eq!(addresses(&wanted("", &now, vlan, &[]), "eth2"), ["192.0.2.9"]);
        let defined = wanted("network: {ethernets: {eth2: {}}}", &now, vlan, &[]);
        assert_eq!(defined.interfaces.len(), 1, "who has a definition is not touched");
    }
}
