//! What netplan and its renderer leave to the kernel's operations, of a plan or of the way back. Pure.

use std::collections::BTreeSet;

use crate::backend::Failure;
use crate::backend::kernel::{self, op::Op};
use crate::plan::{self, Capabilities, Options, Plan};
use crate::state::{ErrorKind, Interface, InterfaceType, Ip, Mac, State};

/// What is still to be done of `plan`.
pub(super) fn of_plan(plan: &Plan, now: &State, capabilities: &Capabilities) -> Vec<Op> {
    // Whatever cannot be planned any more, verification finds.
    let rest = plan::plan(&plan.expected, now, capabilities, &Options::default());
    rest.map_or_else(|_| Vec::new(), |rest| ours(kernel::lower(&rest, now)))
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
    rest.iter().filter(is_left).filter(there).cloned().collect()
}

/// What is still to be done.
pub(super) struct Rest {
    pub ops: Vec<Op>,
    /// An interface that does not change and is not yet as it was.
    pub disturbed: Option<String>,
}

impl Rest {
    pub(super) fn is_done(&self) -> bool {
        self.ops.is_empty() && self.disturbed.is_none()
    }

    /// Whether some of it is what a renderer always does for what is defined: one that was restarted in the middle may take
    /// a link for somebody else's.
    pub(super) fn is_renderers(&self, is_defined: impl Fn(&str) -> bool) -> bool {
        let is_one = |op: &Op| {
            let is_link = matches!(op, Op::Create { .. } | Op::Attach { .. } | Op::Up { .. });
            is_link || matches!(op, Op::AddAddress { .. } | Op::AddRoute(_))
        };
        let mut ops = self.ops.iter().filter(|op| is_one(op));
        self.disturbed.is_some() || ops.any(|op| op.subject().is_some_and(&is_defined))
    }

    /// What only we had made would not be there after a reboot; and what did not change is not lost silently.
    pub(super) fn complain(&self) -> Result<(), Failure> {
        let failed = |subject: &str, message: &str| Failure {
            kind: ErrorKind::PluginFailure,
            subject: Some(subject.to_owned()),
            message: message.to_owned(),
        };
        if let Some(link) = not_made(&self.ops) {
            return Err(failed(
                link,
                "netplan has applied the configuration, but its renderer did not make it",
            ));
        }
        self.disturbed.as_ref().map_or(Ok(()), |name| {
            Err(failed(name, "netplan's renderer has not brought it back, although it was not to change"))
        })
    }
}

/// Which of these is not yet as it was: NetworkManager starts anew with each apply, and everything that netplan
/// defines with it.
pub(super) fn disturbed(was: &State, now: &State, names: &BTreeSet<String>) -> Option<String> {
    let mut were = was.interfaces().iter().filter(|was| was.is_up() && names.contains(&was.name));
    let found = were.find(|was| {
        let now = now.interfaces().iter().find(|now| now.name == was.name && now.kind() == was.kind());
        now.is_none_or(|now| !now.is_up() || now.controller != was.controller || lost_address(was, now))
    });
    found.map(|interface| interface.name.clone())
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
        let rest = [create("a0"), mtu("a0"), mtu("eth1"), Op::Up { link: "eth1".into() }];
        assert_eq!(left(&rest), [mtu("eth1")]);
        assert_eq!(not_made(&rest), Some("a0"));
        assert_eq!(not_made(&rest[2..]), None);
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
        let is_disturbed = |now: &State| disturbed(&was, now, &both).is_some();
        assert!(!is_disturbed(&with(&format!("{one}, {other}"), renewed)));
        assert!(is_disturbed(&with(other, lease)));
        assert!(is_disturbed(&with(one, "")));
        assert!(is_disturbed(&State::empty()));
        assert_eq!(disturbed(&was, &State::empty(), &BTreeSet::new()), None);
    }
}
