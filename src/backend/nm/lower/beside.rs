//! What NetworkManager has no place for: told to the kernel, or written as scripts.

use std::collections::BTreeMap;

use super::Lowering;
use super::decide::{Decision, Goal};
use super::said::changes;
use crate::backend::kernel::lower::{alt_names, rank};
use crate::backend::kernel::op::Op;
use crate::backend::nm::reapply::Way;
use crate::backend::nm::work::{Runs, Script, Which, Work};
use crate::backend::openvswitch;
use crate::plan::{Change, Reason, family, is_removable, is_static};
use crate::state::{Interface, InterfaceType, Ip};

/// Bit of [`crate::nm::image::Version::bits`]: profiles hold the forwarding of IPv4.
const FORWARDING: u32 = 2;

/// `IN6_ADDR_GEN_MODE_EUI64`, linux/if_link.h: what the kernel begins with.
const EUI64: u8 = 0;

impl Lowering<'_> {
    /// Adds it to the work, and puts what the kernel is told into its order.
    pub(super) fn beside(&mut self, decided: &BTreeMap<Which, Decision<'_>>, work: &mut Work) {
        work.database = openvswitch::of_plan(self.plan);
        work.kernel.append(&mut self.ops);
        for target in self.targets.values() {
            let name = &target.which.name;
            if decided.get(&target.which).is_some_and(Decision::ends_profile) {
                // NetworkManager has taken it over from the kernel, and does not give it back.
                work.kernel.push(Op::AddrGenMode { link: name.clone(), is: EUI64 });
            }
            let Some(change) = target.change else { continue };
            let Some(then) = target.then else {
                // Of what is not there, nobody knows.
                if target.now.is_none_or(|now| now.dispatch.is_some()) {
                    let script = |runs| Script { link: name.clone(), runs, text: None };
                    work.scripts.extend([Runs::AfterUp, Runs::AfterDown].map(script));
                }
                continue;
            };
            scripts(then, &target.said, work);
            if !then.is_up() || target.which != Which::kernel(name) {
                continue;
            }
            let decision = decided.get(&target.which);
            // A link that is made (again) has no other names.
            let is_made = target.now.is_none()
                || (is_removable(then)
                    && decision.is_some_and(|own| own.goal == Goal::Up(Way::Restart) || own.in_the_way));
            let before = target.now.filter(|_| !is_made);
            if is_made || changes(change, "alt-names") {
                alt_names(before, then, change.reason == Reason::Restored, &mut work.kernel);
            }
            if self.image.version.bits & FORWARDING == 0
                && let Some(on) = target.said.ipv4.as_ref().and_then(|ip| ip.forwarding)
            {
                work.kernel.push(Op::Forwarding { link: name.clone(), on });
            }
            if let Some(before) = before {
                self.foreign_addresses(before, then, &mut work.kernel);
            }
        }
        for change in &self.plan.changes {
            if let Change::Hostname(change) = change {
                work.kernel.extend(change.running.clone().map(Op::Hostname));
            }
        }
        work.kernel.sort_by_key(rank);
    }

    /// Addresses that go, and that no profile had: NetworkManager leaves them alone.
    fn foreign_addresses(&self, before: &Interface, then: &Interface, ops: &mut Vec<Op>) {
        let which = Which::of(then);
        let current = self.profiles.current(&which, then.kind());
        // The loopback may need none.
        if current.is_none() && *then.kind() != InterfaceType::Loopback {
            return;
        }
        for v6 in [false, true] {
            let Some(after) = family(Some(then), v6).filter(|ip| ip.is_enabled()) else { continue };
            let setting = if v6 { "ipv6" } else { "ipv4" };
            let stored = current.map(|current| &current.stored.profile);
            let data = stored.and_then(|profile| profile.get(setting, "address-data")?.as_dicts());
            let is_own = |ip: &str| {
                let entries = data.unwrap_or_default().iter();
                entries.filter_map(|entry| entry.get("address")).any(|own| own.as_text() == Some(ip))
            };
            let addresses = family(Some(before), v6).map(Ip::addresses).unwrap_or_default();
            for address in addresses.iter().filter(|address| is_static(address)) {
                let stays = after
                    .addresses()
                    .iter()
                    .any(|other| (other.ip, other.prefix_length) == (address.ip, address.prefix_length));
                if !stays && !is_own(&address.ip.to_string()) {
                    ops.push(Op::RemoveAddress {
                        link: then.name.clone(),
                        address: address.ip,
                        prefix: address.prefix_length,
                    });
                }
            }
        }
    }
}

fn scripts(then: &Interface, said: &Interface, work: &mut Work) {
    let Some(dispatch) = &said.dispatch else { return };
    for (runs, text) in
        [(Runs::AfterUp, &dispatch.post_activation), (Runs::AfterDown, &dispatch.post_deactivation)]
    {
        if let Some(text) = text {
            let text = Some(text.clone()).filter(|text| !text.is_empty());
            work.scripts.push(Script { link: then.name.clone(), runs, text });
        }
    }
}
