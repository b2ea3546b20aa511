//! Where name servers go: into the global configuration or into profiles ([`crate::nm::dns`]).

use std::collections::{BTreeMap, BTreeSet};

use super::Lowering;
use crate::backend::nm::work::{Layer, Which};
use crate::nm::dns::{Candidate, Placement, is_displaced, place};
use crate::nm::settings::dns_of;
use crate::plan::{Change, dns};
use crate::state::{DnsSettings, Problem};

impl Lowering<'_> {
    /// Gives profiles their name servers, and returns what becomes of the global configuration. What
    /// has no place was refused while planning.
    pub(super) fn resolver(&mut self) {
        let placement = match self.placement() {
            Some(Ok(placement)) => placement,
            Some(Err(_)) | None => return,
        };
        self.global_dns = placement.global;
        for (name, settings) in placement.profiles {
            let which = Which::kernel(name);
            let is_any = [&settings.server, &settings.search, &settings.options];
            let is_any = is_any.into_iter().flatten().any(|list| !list.is_empty());
            if let Some(target) = self.target(&which) {
                target.dns = Some(settings);
                target.needs_profile |= is_any;
            }
        }
    }

    /// None: the name servers stay where they are.
    pub(super) fn placement(&self) -> Option<Result<Placement, Problem>> {
        let change = self.plan.changes.iter().find_map(|change| match change {
            Change::Dns(change) => Some(change),
            _ => None,
        });
        let held = self.held();
        let candidates = self.candidates(&held);
        let wanted = match change {
            Some(change) => change.after.clone(),
            None if is_displaced(&candidates) => dns::settings(self.state),
            None => return None,
        };
        Some(place(&wanted, &self.image.dns, &self.image.global_dns, &candidates))
    }

    /// What profiles hold now.
    fn held(&self) -> BTreeMap<&Which, DnsSettings> {
        let kernel = self.now.iter().filter(|(which, _)| which.layer == Layer::Kernel);
        let held = kernel.filter_map(|(which, now)| {
            let current = self.profiles.current(which, now.kind())?;
            Some((which, dns_of(&current.stored.profile)))
        });
        held.collect()
    }

    /// The interfaces of the document in its order, then the others by name.
    fn candidates<'c>(&'c self, held: &'c BTreeMap<&'c Which, DnsSettings>) -> Vec<Candidate<'c>> {
        let mentioned = self.in_document_order();
        let mut others: Vec<Which> = self.targets.keys().chain(self.now.keys()).cloned().collect();
        others.sort();
        others.dedup();
        let known: BTreeSet<Which> = mentioned.iter().cloned().collect();
        others.retain(|which| !known.contains(which));
        let is_desired = mentioned.len();
        let all = mentioned.into_iter().chain(others).enumerate();
        let kernel = all.filter(|(_, which)| which.layer == Layer::Kernel);
        let candidates = kernel.filter_map(|(place, which)| {
            let target = self.targets.get(&which);
            let interface = match target {
                Some(target) => target.then.unwrap_or(&target.said),
                None => self.now.get(&which).copied().filter(|now| !now.is_ignored())?,
            };
            let is_ours = self.profiles.current(&which, interface.kind()).is_some();
            Some(Candidate {
                interface,
                holds: held.get(&which),
                is_desired: place < is_desired,
                is_foreign: !is_ours,
            })
        });
        candidates.collect()
    }
}
