//! What netplan and its renderer leave to the kernel's operations, of a plan or of the way back. Pure.

use std::collections::BTreeSet;

use super::openvswitch;
use crate::backend::Failure;
use crate::backend::kernel::{self, op::Op};
use crate::backend::openvswitch::Todo;
use crate::plan::{self, Capabilities, Options, Plan};
use crate::state::{ErrorKind, Interface, InterfaceType, Ip, Mac, State};

/// What is still to be done of `plan`, by the kernel and by Open vSwitch's database.
pub(super) fn of_plan(plan: &Plan, now: &State, capabilities: &Capabilities) -> (Vec<Op>, Vec<Todo>) {
    // Whatever cannot be planned any more, verification finds.
    let rest = plan::plan(&plan.expected, now, capabilities, &Options::default());
    rest.map_or_else(|_| Default::default(), |rest| (kernel_ops(&rest, now), openvswitch::left(&rest)))
}

/// The part of a plan that the kernel carries out.
pub(super) fn kernel_ops(plan: &Plan, now: &State) -> Vec<Op> {
    ours(kernel::lower(&openvswitch::for_kernel(plan, now), &openvswitch::hide(now)))
}

/// Without what belongs to the renderer or the resolver alone: they would set it back.
pub(super) fn ours(mut ops: Vec<Op>) -> Vec<Op> {
    ops.retain(|op| match op {
        // A renderer that sees to router advertisements keeps the kernel from doing so.
        Op::Sysctl { conf, .. } => !matches!(*conf, "accept_ra" | "autoconf"),
        Op::Resolver(_) => false,
        _ => true,
    });
    ops
}

/// What of `rest` no renderer ever does when it lets something go, so that nobody need wait for it. Links that
/// it has yet to make come as they were asked for.
pub(super) fn left(rest: &[Op]) -> Vec<Op> {
    let is_made = |link: &str| rest.iter().any(|op| not_made(std::slice::from_ref(op)) == Some(link));
    let is_left = |op: &&Op| {
        matches!(
            op,
            Op::RemoveAddress { .. } | Op::Detach { .. } | Op::Down { .. } | Op::Mac { .. } | Op::Mtu { .. }
        )
    };
    let there = |op: &&Op| op.subject().is_none_or(|link| !is_made(link));
    // A link that is down for a moment, to be attached or changed, is the renderer's to take down: of one that others
    // have taken down NetworkManager waits for the carrier.
    let comes_up = |link: &str| {
        rest.iter().any(|op| matches!(op, Op::Attach { .. } | Op::Up { .. }) && op.subject() == Some(link))
    };
    let stays = |op: &&Op| !matches!(op, Op::Down { link } if comes_up(link));
    rest.iter().filter(is_left).filter(there).filter(stays).cloned().collect()
}

/// What is still to be done.
pub(super) struct Rest {
    pub ops: Vec<Op>,
    /// In Open vSwitch's database.
    pub database: Vec<Todo>,
    /// Interfaces that do not change and are not yet as they were.
    pub disturbed: Vec<String>,
}

impl Rest {
    pub(super) fn is_done(&self) -> bool {
        self.ops.is_empty() && self.database.is_empty() && self.disturbed.is_empty()
    }

    /// The interfaces of which a renderer has left out what it does by itself: one that was killed in the middle, and
    /// started again, takes a link for somebody else's. `is_its`: whether it does everything for that interface.
    pub(super) fn left_out(&self, is_its: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let of_ops = self.ops.iter().filter(|op| is_renderers(op)).filter_map(Op::subject);
        let of_ops = of_ops.filter(|name| is_its(name)).map(str::to_owned);
        of_ops.chain(self.disturbed.iter().cloned()).collect()
    }

    /// What only we had made would not be there after a reboot, or not be the renderer's; and what did not change is not
    /// lost silently.
    pub(super) fn complain(&self, is_its: impl Fn(&str) -> bool) -> Result<(), Failure> {
        let failed = |subject: &str, message: String| {
            Err(Failure { kind: ErrorKind::PluginFailure, subject: Some(subject.to_owned()), message })
        };
        if let Some(link) = not_made(&self.ops) {
            let message = "netplan has applied the configuration, but its renderer did not make it";
            return failed(link, message.into());
        }
        let mut left_out = self.ops.iter().filter(|op| is_renderers(op));
        if let Some(op) = left_out.find(|op| op.subject().is_some_and(&is_its)) {
            let message =
                format!("netplan has applied the configuration, but its renderer has not done this: {op}");
            return failed(op.subject().unwrap_or_default(), message);
        }
        self.disturbed.first().map_or(Ok(()), |name| {
            failed(name, "netplan's renderer has not brought it back, although it was not to change".into())
        })
    }
}

/// What a renderer always does itself for what is defined.
fn is_renderers(op: &Op) -> bool {
    let is_link = matches!(op, Op::Create { .. } | Op::Attach { .. } | Op::Up { .. });
    is_link || matches!(op, Op::AddAddress { .. } | Op::AddRoute(_))
}

/// Which of these are not yet as they were: NetworkManager starts anew with each apply, and everything that netplan
/// defines with it.
pub(super) fn disturbed(was: &State, now: &State, names: &BTreeSet<String>) -> Vec<String> {
    let were = was.interfaces().iter().filter(|was| was.is_up() && names.contains(&was.name));
    let found = were.filter(|was| {
        let now = now.interfaces().iter().find(|now| now.name == was.name && now.kind() == was.kind());
        now.is_none_or(|now| !now.is_up() || now.controller != was.controller || lost_address(was, now))
    });
    found.map(|interface| interface.name.clone()).collect()
}

/// A static address, or all of those that the network gave it.
fn lost_address(was: &Interface, now: &Interface) -> bool {
    [(&was.ipv4, &now.ipv4), (&was.ipv6, &now.ipv6)].into_iter().any(|(was, now)| {
        let addresses =
            |ip: &Option<Box<Ip>>| ip.as_deref().map(|ip| ip.addresses().to_vec()).unwrap_or_default();
        let (was, now) = (addresses(was), addresses(now));
        was.iter().any(|was| match plan::is_static(was) {
            true => !now.iter().any(|now| (now.ip, now.prefix_length) == (was.ip, was.prefix_length)),
            false => !was.is_v6_link_local() && now.iter().all(|now| now.is_v6_link_local()),
        })
    })
}

/// Links that are made, and the MAC addresses that files say for them. A bond gives its ports its own.
pub(super) fn macs(said: &State) -> Vec<(String, Mac)> {
    let of_bonds: BTreeSet<&str> = said
        .interfaces()
        .iter()
        .filter(|one| *one.kind() == InterfaceType::Bond)
        .flat_map(|bond| plan::ports(bond).unwrap_or_default())
        .collect();
    let made = said.interfaces().iter().filter(|one| one.kind().is_virtual());
    let made = made.filter(|one| !of_bonds.contains(one.name.as_str()));
    made.filter_map(|one| Some((one.name.clone(), one.mac_address?))).collect()
}

/// A link that the renderer has not made.
pub(super) fn not_made(rest: &[Op]) -> Option<&str> {
    rest.iter().find_map(|op| match op {
        Op::Create { link, .. } => Some(link.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::kernel::links::{Link, Refers};
    use crate::kernel::netlink::kinds::Data;
    use crate::state::Document;

    #[test]
    fn what_the_renderer_makes_is_waited_for() {
        let dummy = Link { data: Data::Other("dummy".into()), refers: Refers::Nothing };
        let create =
            |link: &str| Op::Create { link: link.into(), is: dummy.clone(), mac: None, settled: false };
        let mtu = |link: &str| Op::Mtu { link: link.into(), is: 1400 };
        let (down, up) =
            (|link: &str| Op::Down { link: link.into() }, |link: &str| Op::Up { link: link.into() });
        let rest = [create("a0"), mtu("a0"), mtu("eth1"), up("eth1")];
        assert_eq!(left(&rest), [mtu("eth1")]);
        let attach = Op::Attach { link: "eth2".into(), to: "bond0".into() };
        assert_eq!(left(&[down("eth1"), down("eth2"), down("eth3"), attach, up("eth3")]), [down("eth1")]);
        assert_eq!(not_made(&rest), Some("a0"));
        assert_eq!(not_made(&rest[2..]), None);
    }

    #[test]
    fn what_the_renderer_does_itself_is_not_ours_to_do() {
        let address = Op::AddAddress {
            link: "br0".into(),
            address: "192.0.2.1".parse().expect("an address"),
            prefix: 24,
            metric: None,
            no_dad: false,
        };
        let ops = vec![Op::Mtu { link: "eth1".into(), is: 1400 }, address, Op::Up { link: "eth2".into() }];
        let rest = Rest { ops, database: Vec::new(), disturbed: vec!["eth3".into()] };
        let defined = |name: &str| name != "eth2";
        assert_eq!(rest.left_out(defined), ["br0", "eth3"].map(str::to_owned).into_iter().collect());
        let failure = rest.complain(defined).expect_err("what only we had made");
        assert_eq!(failure.subject.as_deref(), Some("br0"));
        assert!(failure.message.contains("192.0.2.1"), "{}", failure.message);
        let rest = Rest { disturbed: Vec::new(), ..rest };
        assert_eq!(rest.complain(|name| name == "eth1"), Ok(()));
    }

    #[test]
    fn links_that_are_made_have_the_addresses_that_are_said() {
        let said = Document::from_text(
            "interfaces:
- {name: eth1, type: ethernet, mac-address: '02:00:00:00:00:01'}
- {name: d0, type: dummy, mac-address: '02:00:00:00:00:02'}
- {name: d1, type: dummy, mac-address: '02:00:00:00:00:03'}
- {name: b0, type: bond, link-aggregation: {mode: balance-rr, port: [d1]}}
",
        );
        let said = said.expect("YAML").state().expect("a valid state").0;
        assert_eq!(macs(&said), [("d0".to_owned(), Mac::new(&[2, 0, 0, 0, 0, 2]).expect("six bytes"))]);
    }

    #[test]
    fn others_are_as_they_were() {
        let state = |yaml: &str| Document::from_text(yaml).expect("YAML").state().expect("a valid state").0;
        let with = |eth0: &str, eth1: &str| {
            state(&format!(
                "interfaces:\n- {{name: eth0, type: ethernet, state: up, ipv4: {{enabled: true, address: [{eth0}]}}}}\n\
                 - {{name: eth1, type: ethernet, state: up, ipv4: {{enabled: true, dhcp: true, address: [{eth1}]}}}}\n"
            ))
        };
        let (one, other) = ("{ip: 192.0.2.1, prefix-length: 24}", "{ip: 192.0.2.2, prefix-length: 24}");
        let lease = "{ip: 198.51.100.7, prefix-length: 24, valid-life-time: 90sec}";
        let renewed = "{ip: 198.51.100.8, prefix-length: 24, valid-life-time: 90sec}";
        let was = with(one, lease);
        let both = ["eth0", "eth1"].map(str::to_owned).into_iter().collect();
        let is_disturbed = |now: &State| !disturbed(&was, now, &both).is_empty();
        assert!(!is_disturbed(&with(&format!("{one}, {other}"), renewed)));
        assert!(is_disturbed(&with(other, lease)));
        assert!(is_disturbed(&with(one, "")));
        assert_eq!(disturbed(&was, &State::empty(), &both), ["eth0", "eth1"]);
        assert!(disturbed(&was, &State::empty(), &BTreeSet::new()).is_empty());
    }
}
