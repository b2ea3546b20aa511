//! From a plan to operations, in the order in which the kernel takes them. Pure.
//!
//! A plan says what each interface is and shall be. Here is decided what the kernel wants for it:
//! what can be changed in place, what has to be made anew, what has to be down or without ports
//! for a moment, and what has to be said again because the kernel forgets it meanwhile:
//! addresses of IPv6 and routes when a link goes down, ports and children when it is made anew.
//! Other interfaces than those of the plan may be drawn in for that.
//!
//! All operations of one kind stand together ([`rank`]), so that they travel in few batches.

mod bond;
mod ethtool;
mod ip;
mod ports;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use self::bond::Needs;
use super::links::{Link, Refers};
use super::op::Op;
use super::routes::{RouteOps, RuleSpec};
use crate::kernel::netlink::kinds::Data;
use crate::plan::{Action, Change, InterfaceChange, Plan, Reason};
use crate::state::{Interface, InterfaceState, InterfaceType, Ip, State};

/// The operations that carry out `plan` on a system that is as `now`.
pub(in crate::backend) fn lower(plan: &Plan, now: &State) -> Vec<Op> {
    let mut lowering = Lowering::new(plan, now);
    lowering.draw_in();
    lowering.interfaces();
    lowering.routes_and_rules(plan, now);
    lowering.host(plan);
    let mut ops = lowering.ops;
    ops.sort_by_key(rank);
    ops
}

/// Operations run in the order of their rank; those of equal rank in the order they were found.
pub(in crate::backend) fn rank(op: &Op) -> u8 {
    match op {
        Op::RemoveRule(_) => 0,
        Op::RemoveRoute(_) => 1,
        Op::RemoveAltName { .. } => 2,
        Op::RemoveAddress { .. } => 3,
        Op::Detach { .. } => 4,
        Op::Down { .. } => 5,
        Op::Delete { .. } => 6,
        Op::Create { .. } => 7,
        Op::Options { .. } => 8,
        Op::Mac { .. } => 9,
        Op::Mtu { .. } => 10,
        Op::Promiscuous { .. } | Op::Group { .. } | Op::QueueLength { .. } => 12,
        Op::AddAltName { .. } => 13,
        Op::Attach { .. } => 14,
        Op::PortOptions { .. } | Op::Primary { .. } => 15,
        Op::BridgeVlans { .. } => 16,
        // Ports change the offloads of their controller.
        Op::Ethtool { .. } => 17,
        Op::Sysctl { .. } => 18,
        Op::Forwarding { .. } | Op::Token { .. } | Op::AddrGenMode { .. } => 19,
        Op::Up { .. } => 20,
        Op::AddAddress { .. } => 21,
        Op::AddRoute(_) => 22,
        Op::AddRule(_) => 23,
        Op::Resolver(_) | Op::Hostname(_) | Op::HostnameFile(_) => 24,
    }
}

/// What happens to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is there and is changed in place.
    Stay,
    /// It is not there yet.
    Make,
    /// It is deleted and made again.
    Anew,
    Delete,
}

struct Target<'a> {
    before: Option<&'a Interface>,
    /// As it shall be; None when it is deleted.
    after: Option<Cow<'a, Interface>>,
    fate: Fate,
    /// It returns to what it was: also in what order only tells.
    restored: bool,
}

impl<'a> Target<'a> {
    /// None if there is nothing to do about it.
    fn of(change: &'a InterfaceChange, before: Option<&'a Interface>) -> Option<Self> {
        let restored = change.reason == Reason::Restored;
        let target = |after, fate| Some(Self { before, after, fate, restored });
        let after = change.after.as_ref().filter(|after| !after.is_absent());
        let after = after.filter(|after| after.is_up() || !after.kind().is_virtual());
        match (before, after) {
            (None, Some(after)) => target(Some(Cow::Borrowed(after)), Fate::Make),
            (None, None) => None,
            (Some(old), Some(after)) => {
                let anew = match (Link::of(after), Link::of(old)) {
                    (Some(new), Some(old)) => change.rebuild || new.must_be_made_anew(&old),
                    _ => false,
                };
                target(Some(Cow::Borrowed(after)), if anew { Fate::Anew } else { Fate::Stay })
            }
            (Some(old), None) if *old.kind() == InterfaceType::Loopback => {
                // It cannot go; it returns to what it starts with.
                let mut reset = Interface::new(&change.name, InterfaceType::Loopback, InterfaceState::Up);
                reset.ipv4 = Some(Box::new(Ip::new(true)));
                reset.ipv6 = Some(Box::new(Ip::new(true)));
                target(Some(Cow::Owned(reset)), Fate::Stay)
            }
            (Some(old), None) if is_hardware(old) => {
                // Without configuration: down, no port of anything, no addresses.
                let mut bare = Interface::new(&change.name, old.kind().clone(), InterfaceState::Down);
                bare.ipv4 = Some(Box::new(Ip::new(false)));
                target(Some(Cow::Owned(bare)), Fate::Stay)
            }
            (Some(_), None) => target(None, Fate::Delete),
        }
    }

    /// What it is now, unless it is made (again).
    fn present(&self) -> Option<&'a Interface> {
        self.before.filter(|_| self.fate == Fate::Stay)
    }

    fn is_made(&self) -> bool {
        matches!(self.fate, Fate::Make | Fate::Anew)
    }
}

/// Whether the kernel cannot delete it.
fn is_hardware(interface: &Interface) -> bool {
    *interface.kind() == InterfaceType::Ethernet && interface.veth.is_none()
        || *interface.kind() == InterfaceType::Infiniband
            && interface.infiniband.as_ref().is_none_or(|section| section.base_iface.is_none())
}

fn controller(interface: &Interface) -> Option<&str> {
    interface.controller.as_deref().filter(|name| !name.is_empty())
}

struct Lowering<'a> {
    now: BTreeMap<&'a str, &'a Interface>,
    targets: BTreeMap<String, Target<'a>>,
    /// Controllers whose ports leave and come back.
    released: BTreeSet<String>,
    /// Ports that are attached in this plan.
    fresh: BTreeSet<String>,
    /// Links that go down for a moment, or for good.
    bounced: BTreeSet<String>,
    /// Links whose addresses and routes have to be said again.
    lost: BTreeSet<String>,
    /// Addresses that routes name as their source.
    sources: Vec<IpAddr>,
    ops: Vec<Op>,
}

impl<'a> Lowering<'a> {
    fn new(plan: &'a Plan, now: &'a State) -> Self {
        let now: BTreeMap<&str, &Interface> = now
            .interfaces()
            .iter()
            .filter(|interface| !interface.kind().is_userspace())
            .map(|interface| (interface.name.as_str(), interface))
            .collect();
        let mut targets = BTreeMap::new();
        let mut sources = Vec::new();
        for change in &plan.changes {
            match change {
                Change::Interface(change) if !change.kind.is_userspace() => {
                    let before = now.get(change.name.as_str()).copied();
                    let target = Target::of(change, before);
                    targets.extend(target.map(|target| (change.name.clone(), target)));
                }
                Change::Route(change) if change.action == Action::Add => sources.extend(change.route.source),
                _ => {}
            }
        }
        Self {
            now,
            targets,
            released: BTreeSet::new(),
            fresh: BTreeSet::new(),
            bounced: BTreeSet::new(),
            lost: BTreeSet::new(),
            sources,
            ops: Vec::new(),
        }
    }

    /// The interface as it shall be, changed or not.
    fn then(&self, name: &str) -> Option<&Interface> {
        match self.targets.get(name) {
            Some(target) => target.after.as_deref(),
            None => self.now.get(name).copied(),
        }
    }

    fn link_then(&self, name: &str) -> Option<Link> {
        self.then(name).and_then(Link::of)
    }

    /// The links that `name` is made upon now.
    fn bases_now(&self, name: &str) -> Vec<String> {
        bases(self.now.get(name).and_then(|interface| Link::of(interface)))
    }

    fn bases_then(&self, name: &str) -> Vec<String> {
        bases(self.link_then(name))
    }

    fn fate(&self, name: &str) -> Option<Fate> {
        self.targets.get(name).map(|target| target.fate)
    }

    /// Adds an interface that stays as it is but has to be said again.
    fn repeat(&mut self, name: &str, fate: Fate) {
        let Some(now) = self.now.get(name).copied() else { return };
        let target = self.targets.entry(name.to_owned()).or_insert(Target {
            before: Some(now),
            after: Some(Cow::Borrowed(now)),
            fate,
            restored: false,
        });
        if target.fate == Fate::Stay {
            target.fate = fate;
        }
    }

    /// Finds what else is touched: children and peers of links made anew, ports that have to leave
    /// and come back, and what goes down with what it stands upon.
    fn draw_in(&mut self) {
        let names: Vec<String> = self.now.keys().map(|name| (*name).to_owned()).collect();
        loop {
            let mut drawn: Vec<String> = Vec::new();
            for name in &names {
                if matches!(self.fate(name), Some(Fate::Anew | Fate::Delete)) {
                    continue;
                }
                let peer = self.now[name.as_str()].veth.as_ref().map(|veth| veth.peer.clone());
                let bases = self.bases_now(name);
                if bases.iter().chain(&peer).any(|base| self.fate(base) == Some(Fate::Anew)) {
                    drawn.push(name.clone());
                }
            }
            if drawn.is_empty() {
                break;
            }
            drawn.iter().for_each(|name| self.repeat(name, Fate::Anew));
        }
        self.release_ports(&names);
        self.find_bounced(&names);
    }

    fn release_ports(&mut self, names: &[String]) {
        let needs_release = |target: &Target<'_>| match target.fate {
            Fate::Anew => true,
            Fate::Stay => target.bond_change().is_some_and(|change| change.needs == Needs::NoPorts),
            Fate::Make | Fate::Delete => false,
        };
        self.released = self
            .targets
            .iter()
            .filter(|(_, target)| needs_release(target))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            if controller(self.now[name.as_str()])
                .is_some_and(|controller| self.released.contains(controller))
            {
                self.repeat(name, Fate::Stay);
            }
        }
    }

    fn find_bounced(&mut self, names: &[String]) {
        for (name, target) in &self.targets {
            let Some(after) = target.after.as_deref() else { continue };
            let before = target.present();
            let moves = before.is_none_or(|before| controller(before) != controller(after))
                || controller(after).is_some_and(|controller| self.released.contains(controller));
            if moves && controller(after).is_some() {
                self.fresh.insert(name.clone());
            }
            let mac = before.is_some_and(|before| after.mac_address != before.mac_address);
            let bond = target.bond_change().is_some_and(|change| change.needs != Needs::Nothing);
            let was_up = before.is_some_and(Interface::is_up);
            if moves || mac || bond || !was_up || !after.is_up() {
                self.bounced.insert(name.clone());
            }
            if before.is_some_and(|before| after.mtu != before.mtu) {
                self.lost.insert(name.clone());
            }
        }
        // What stands upon a link that goes down goes down with it.
        loop {
            let falls = |name: &&String| {
                !self.bounced.contains(*name)
                    && self.bases_now(name).iter().any(|base| self.bounced.contains(base))
            };
            let fallen: Vec<String> = names.iter().filter(falls).cloned().collect();
            if fallen.is_empty() {
                break;
            }
            for name in fallen {
                if self.now[name.as_str()].is_up() {
                    self.repeat(&name, Fate::Stay);
                }
                self.bounced.insert(name);
            }
        }
        self.lost.extend(self.bounced.iter().cloned());
    }

    fn interfaces(&mut self) {
        let ordered_by = |bases: &dyn Fn(&str) -> Vec<String>| {
            let mut order: Vec<(usize, String)> =
                self.targets.keys().map(|name| (depth(name, bases), name.clone())).collect();
            order.sort();
            order
        };
        let mut ops = Vec::new();
        // What stands upon a link goes with it, all at once: the kernel takes about as long to delete
        // a link with its hundred VLANs as to delete one.
        for (_, name) in ordered_by(&|name| self.bases_now(name)) {
            if matches!(self.fate(&name), Some(Fate::Delete | Fate::Anew)) {
                ops.push(Op::Delete { link: name });
            }
        }
        let order = ordered_by(&|name| self.bases_then(name));
        ops.extend(self.shrinking_mtus(&order));
        let mut made_by_peer = BTreeSet::new();
        for (_, name) in &order {
            let target = &self.targets[name];
            if let Some(after) = target.after.as_deref() {
                self.link(target, after, &mut made_by_peer, &mut ops);
                self.ports(target, after, &mut ops);
                self.stacks(target, after, &mut ops);
            }
        }
        self.ops.extend(ops);
    }

    /// A child's MTU is at most its base's: the child shrinks first and grows last.
    fn shrinking_mtus(&self, order: &[(usize, String)]) -> Vec<Op> {
        let shrinks = order.iter().rev().filter_map(|(_, name)| {
            let target = self.targets.get(name)?;
            let (old, new) = (target.present()?.mtu?, target.after.as_deref()?.mtu?);
            (new < old).then(|| mtu(name, new)).flatten()
        });
        shrinks.collect()
    }

    /// The link itself.
    fn link(
        &self,
        target: &Target<'_>,
        after: &Interface,
        made_by_peer: &mut BTreeSet<String>,
        ops: &mut Vec<Op>,
    ) {
        let name = &after.name;
        let present = target.present();
        let link = Link::of(after);
        let own_mac = link.as_ref().is_none_or(Link::has_own_mac)
            && *after.kind() != InterfaceType::Loopback
            && !self.is_bond_port(after);
        let mac = after.mac_address.filter(|_| own_mac);
        match (present, link) {
            (None, Some(mut link)) if target.is_made() => {
                let is_there = made_by_peer.contains(name);
                if is_there {
                    ops.extend(mac.map(|is| Op::Mac { link: name.clone(), is }));
                } else {
                    if let Refers::Peer(peer) = &link.refers {
                        made_by_peer.insert(peer.clone());
                    }
                    match &mut link.data {
                        Data::Bond(data) => {
                            **data = bond::supported(data, data.mode.unwrap_or_default(), None);
                        }
                        // So it starts; kernels without VLAN filtering refuse even to be told.
                        Data::Bridge(data) => data.vlan_filtering = data.vlan_filtering.filter(|on| *on),
                        _ => {}
                    }
                    let settled = self.is_settled(after, &link);
                    ops.push(Op::Create { link: name.clone(), is: link, mac, settled });
                }
            }
            (Some(before), link) => {
                if let Some(change) = target.bond_change() {
                    let message = |data| Link { data: Data::Bond(Box::new(data)), refers: Refers::Nothing };
                    let say = |data| Op::Options { link: name.clone(), are: message(data) };
                    if change.needs != Needs::Nothing {
                        ops.push(Op::Down { link: name.clone() });
                    }
                    ops.extend(change.messages.into_iter().map(say));
                } else if let (Some(new), Some(old)) = (link, Link::of(before)) {
                    let changed = with_newer_alias(new, after, before).changed_from(&old);
                    ops.extend(changed.map(|are| Op::Options { link: name.clone(), are }));
                }
                if mac != before.mac_address {
                    ops.extend(mac.map(|is| Op::Mac { link: name.clone(), is }));
                }
            }
            (None, _) => {}
        }
        let grows =
            after.mtu.filter(|new| present.and_then(|before| before.mtu).is_none_or(|old| *new > old));
        ops.extend(grows.and_then(|grown| mtu(name, grown)));
        ops.extend(ethtool::changes(present, after));
        let promiscuous = present.and_then(|before| before.accept_all_mac_addresses).unwrap_or(false);
        if let Some(on) = after.accept_all_mac_addresses.filter(|on| *on != promiscuous) {
            ops.push(Op::Promiscuous { link: name.clone(), on });
        }
        alt_names(present, after, target.restored, ops);
    }

    fn is_bond_port(&self, interface: &Interface) -> bool {
        let kind = controller(interface).and_then(|name| self.then(name)).map(Interface::kind);
        kind == Some(&InterfaceType::Bond)
    }

    /// Whether nothing may replace the address with which it, or its peer, is made: a bond will.
    fn is_settled(&self, interface: &Interface, link: &Link) -> bool {
        // A VLAN and a MACsec link begin with the address of what they stand upon.
        if !link.has_own_mac() || matches!(link.data, Data::Vlan(_) | Data::Macsec(_)) {
            return false;
        }
        let peer = match &link.refers {
            Refers::Peer(peer) => self.then(peer),
            _ => None,
        };
        self.is_bond_port(interface) || peer.is_some_and(|peer| self.is_bond_port(peer))
    }

    fn may_hold_ip(&self, interface: &Interface) -> bool {
        let kind = controller(interface).map(|name| self.then(name).map(Interface::kind));
        matches!(kind, None | Some(Some(InterfaceType::Vrf)))
    }

    /// Being a port of something, and having ports.
    fn ports(&self, target: &Target<'_>, after: &Interface, ops: &mut Vec<Op>) {
        let name = &after.name;
        let old = target.present().and_then(controller);
        let new = controller(after);
        let returns = new.is_some_and(|controller| self.released.contains(controller));
        // A ring takes its ports as it is made, and gives them back as it is deleted.
        let is_ring = |name: &str| {
            let kind = self.then(name).or(self.now.get(name).copied()).map(Interface::kind);
            kind == Some(&InterfaceType::Hsr)
        };
        let (old, new) = (old.filter(|name| !is_ring(name)), new.filter(|name| !is_ring(name)));
        if old.is_some() && (old != new || returns) {
            ops.push(Op::Detach { link: name.clone() });
        }
        if let Some(to) = new.filter(|_| old != new || returns) {
            // A bond takes ports that are down only.
            if self.is_bond_port(after) && target.fate == Fate::Stay {
                ops.push(Op::Down { link: name.clone() });
            }
            ops.push(Op::Attach { link: name.clone(), to: to.to_owned() });
        }
        ops.extend(ports::settings(target.present(), after, &self.fresh));
    }

    /// Up or down, and IP.
    fn stacks(&self, target: &Target<'_>, after: &Interface, ops: &mut Vec<Op>) {
        let link = after.name.clone();
        ops.push(if after.is_up() { Op::Up { link } } else { Op::Down { link } });
        let may_hold = self.may_hold_ip(after);
        let could_hold = target.present().map(|before| {
            let kind = controller(before).map(|name| self.now.get(name).map(|now| now.kind()));
            matches!(kind, None | Some(Some(InterfaceType::Vrf)))
        });
        let fresh = could_hold != Some(may_hold);
        ops.extend(ip::settings(target.present(), after, may_hold, fresh));
        let lost = self.lost.contains(&after.name);
        let plan =
            ip::AddressPlan { before: target.present(), after, may_hold, lost, sources: &self.sources };
        ops.extend(plan.ops());
    }

    fn routes_and_rules(&mut self, plan: &Plan, now: &State) {
        let of = |action: Action| {
            plan.changes.iter().filter_map(move |change| match change {
                Change::Route(change) if change.action == action => Some(&change.route),
                _ => None,
            })
        };
        let removed: Vec<_> = of(Action::Remove).collect();
        let added: Vec<_> = of(Action::Add).collect();
        let vrf_table = |name: &str| self.then(name)?.vrf.as_ref()?.route_table_id;
        let routes = RouteOps::between(now.config_routes(), &removed, &added, &self.lost, vrf_table);
        self.ops.extend(routes.remove);
        self.ops.extend(routes.add);
        for change in &plan.changes {
            if let Change::Rule(change) = change {
                let rule = RuleSpec::of(&change.rule);
                let remove = change.action == Action::Remove;
                self.ops.push(if remove { Op::RemoveRule(rule) } else { Op::AddRule(rule) });
            }
        }
    }

    fn host(&mut self, plan: &Plan) {
        for change in &plan.changes {
            match change {
                Change::Dns(change) => self.ops.push(Op::Resolver(change.after.clone())),
                Change::Hostname(change) => {
                    self.ops.extend(change.running.clone().map(Op::Hostname));
                    self.ops.extend(change.config.clone().map(Op::HostnameFile));
                }
                Change::Interface(_) | Change::Route(_) | Change::Rule(_) => {}
                // Refused: they are in no kernel.
                Change::OvsDb(_) | Change::Ovn(_) | Change::Network(_) => {}
            }
        }
    }
}

impl Target<'_> {
    /// The change of options of a bond that stays.
    fn bond_change(&self) -> Option<bond::BondChange> {
        let (before, after) = (self.present()?, self.after.as_deref()?);
        match (Link::of(before)?.data, with_newer_alias(Link::of(after)?, after, before).data) {
            (Data::Bond(before), Data::Bond(after)) => Some(bond::change(&before, &after)),
            _ => None,
        }
    }
}

fn bases(link: Option<Link>) -> Vec<String> {
    link.map(|link| link.refers.needs().into_iter().map(str::to_owned).collect()).unwrap_or_default()
}

/// How many links it stands upon, one upon the other.
fn depth(name: &str, bases: &dyn Fn(&str) -> Vec<String>) -> usize {
    /// More levels than a kernel nests (`MAX_NEST_DEV`, linux/netdevice.h).
    const DEPTH_MAX: usize = 16;
    let mut level = vec![name.to_owned()];
    for depth in 0..DEPTH_MAX {
        level = level.iter().flat_map(|name| bases(name)).collect();
        if level.is_empty() {
            return depth;
        }
    }
    DEPTH_MAX
}

fn mtu(name: &str, mtu: u64) -> Option<Op> {
    // Validation has refused what does not fit 32 bits.
    Some(Op::Mtu { link: name.to_owned(), is: u32::try_from(mtu).ok()? })
}

/// Two options have two names each in the document. Merging fills in the name that was not asked
/// for from the present, so the one that differs is the one that was asked for.
fn with_newer_alias(mut link: Link, after: &Interface, before: &Interface) -> Link {
    match &mut link.data {
        Data::Bond(data) => {
            let options =
                |interface: &Interface| interface.bond.as_ref().and_then(|bond| bond.options.clone());
            if let (Some(new), Some(old)) = (options(after), options(before))
                && new.num_unsol_na != old.num_unsol_na
            {
                data.num_peer_notif = new.num_unsol_na;
            }
        }
        Data::Bridge(data) => {
            let mask = |interface: &Interface| {
                interface.bridge.as_ref()?.linux()?.options.as_ref()?.group_forward_mask
            };
            if mask(after) != mask(before) && mask(after).is_some() {
                data.group_fwd_mask = mask(after);
            }
        }
        _ => {}
    }
    link
}

/// Names not mentioned stay in a merged interface, so what is missing there goes. The kernel lists
/// the oldest first; to have the order back as it was, those behind the first that differs are
/// added again.
pub(in crate::backend) fn alt_names(
    before: Option<&Interface>,
    after: &Interface,
    in_order: bool,
    ops: &mut Vec<Op>,
) {
    let names = |interface: &Interface| -> Vec<String> {
        let list = interface.alt_names.iter().flatten().filter(|name| name.state.is_none());
        list.map(|name| name.name.clone()).collect()
    };
    let link = &after.name;
    let (old, new) = (before.map(names).unwrap_or_default(), names(after));
    let common = || old.iter().filter(|name| new.contains(name));
    let staying: Vec<&String> = match in_order {
        true => common().zip(&new).take_while(|(a, b)| a == b).map(|(name, _)| name).collect(),
        false => common().collect(),
    };
    let gone = old.iter().filter(|name| !staying.contains(name));
    ops.extend(gone.map(|name| Op::RemoveAltName { link: link.clone(), name: name.clone() }));
    let come = new.iter().filter(|name| !staying.contains(name));
    ops.extend(come.map(|name| Op::AddAltName { link: link.clone(), name: name.clone() }));
}

#[cfg(test)]
mod tests;
