//! Probes in the life of a transaction: what held before its first change must hold after it.

use super::event::{ApplyOptions, Lacking, Now, Probed};
use super::live::Live;
use super::machine::Machine;
use super::report::{error_info, refusal};
use crate::state::{ErrorKind, Path, Problem};
use crate::wire::{Owner, PROBES_MAX, Probe};

/// Whether this owner may ask for these probes. A program is started as root: what the
/// configuration names is root's own wish, what a request names must be.
pub(super) fn may_probe(owner: &Owner, options: &ApplyOptions) -> Result<(), Vec<Problem>> {
    let probes = options.probes.as_deref().unwrap_or_default();
    if probes.len() > PROBES_MAX {
        let message = format!("there are more than {PROBES_MAX} probes");
        return Err(refusal(ErrorKind::InvalidArgument, message));
    }
    match probes.iter().find(|probe| matches!(probe, Probe::Run(_))) {
        Some(probe) if owner.uid != 0 => {
            let message = format!("{probe} starts a program, which only root may ask for");
            let problem = Problem::new(ErrorKind::PermissionError, Path::root(), message);
            Err(vec![problem.with_hint("the configuration of the daemon may name it for everybody")])
        }
        Some(_) | None => Ok(()),
    }
}

impl Machine {
    /// The first probing: nothing of this request is changed yet.
    pub(super) fn probed(&mut self, mut live: Live, result: Result<Probed, Vec<Problem>>, now: Now) {
        let joining = live.join.as_mut().and_then(|join| join.planned.take());
        match (result, joining) {
            (Ok(probed), None) => {
                live.not_required = live.require(probed);
                self.snapshot(live);
            }
            (Ok(probed), Some(planned)) => {
                let not_required = live.require(probed);
                live.warnings.extend(not_required);
                self.joined(live, planned, now);
            }
            (Err(problems), None) => self.fail(live, &problems, now),
            (Err(problems), Some(_)) => self.refuse_join(live, problems),
        }
    }

    pub(super) fn probed_again(&mut self, live: Live, lacking: &[Lacking], now: Now) {
        if lacking.is_empty() {
            return self.held(live, now);
        }
        let lost = |Lacking { probe, why }: &Lacking| {
            let message = format!("{probe} held before the change and does not hold any more: {why}");
            Problem::new(ErrorKind::ProbeError, Path::root(), message)
        };
        let problems: Vec<Problem> = lacking.iter().map(lost).collect();
        self.roll_back(live, error_info(&problems));
    }
}

impl Live {
    /// What holds is required from now on. Returns the warnings about the rest.
    fn require(&mut self, probed: Probed) -> Vec<String> {
        for probe in probed.held {
            if !self.required.contains(&probe) {
                self.required.push(probe);
            }
        }
        let told = |Lacking { probe, why }| {
            format!("{probe} is not required: it did not hold before the change ({why})")
        };
        probed.lacking.into_iter().map(told).collect()
    }
}
