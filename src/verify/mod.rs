//! Verification: whether the network is as asked, and whether a rollback put everything back.
//! Pure: the engine calls [`verify`] again whenever the network changes, and lets the limits of
//! the findings say how long it waits.

mod compare;
mod global;
mod interface;
mod prepare;
mod same;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::plan::{Change, Plan, text};
use crate::state::{ErrorKind, Interface, InterfaceType, Path, Problem, Segment, State};

pub use same::{Difference, same};

/// How long each kind of property may take to come right by itself, counted from the end of the
/// execution. The peer looks five times, a second apart (semantics T9).
pub mod limit_ms {
    /// What the backend sets at once.
    pub const SETTING: u64 = 5_000;
    /// A static address that becomes usable.
    pub const ADDRESS: u64 = 5_000;
    /// What a carrier brings: auto-negotiation takes up to 3 s, spanning tree is not waited for.
    pub const LINK: u64 = 3_000;
    /// A device that disappears.
    pub const REMOVAL: u64 = 5_000;
    /// An address from DHCP or router advertisements, and what rests on it.
    pub const AUTOMATIC: u64 = 45_000;
    /// What Open vSwitch sets up: its daemon does it after the database says so.
    pub const OVS: u64 = 10_000;
    /// Virtual functions that appear: so much, and for each of them a second.
    pub const VIRTUAL_FUNCTIONS: u64 = 30_000;
    pub const VIRTUAL_FUNCTION: u64 = 1_000;
    pub const VIRTUAL_FUNCTIONS_MAX: u64 = 300_000;
    /// What a rollback put back and has yet to settle, before [`super::same`] is believed.
    pub const RESTORED: u64 = 5_000;
}

/// Everything that is not as asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    pub findings: Vec<Finding>,
}

/// One thing that is not as asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The interface, route or rule concerned.
    pub subject: String,
    /// The key in the client's document.
    pub path: Path,
    pub verdict: Verdict,
    /// How long after the execution this may still come right.
    pub limit_ms: u64,
    pub at_limit: AtLimit,
}

/// What is wrong. A match has no finding.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing is wrong yet: it is still to come, because of this.
    Pending(String),
    /// It is something else; None: it is not there.
    Mismatch { wanted: Json, found: Option<Json> },
    /// It is there and shall not be, or the other way round.
    Existence(String),
}

/// What a finding means once its limit has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtLimit {
    Fail(ErrorKind),
    /// It is not in our hands (a cable, a driver): the transaction succeeds with a warning.
    Warn,
}

/// What a report means, some time after the execution.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<'r> {
    /// As asked, but for these warnings.
    Verified(Vec<&'r Finding>),
    /// It may still come right; at this time, counted from the execution, the answer changes.
    Waiting { until_ms: u64 },
    /// These have not come right in time, the longest overdue first.
    Failed(Vec<&'r Finding>),
}

impl Report {
    /// Whether everything is as asked.
    pub fn is_match(&self) -> bool {
        self.findings.is_empty()
    }

    /// What the report means `elapsed_ms` after the execution.
    pub fn outcome(&self, elapsed_ms: u64) -> Outcome<'_> {
        let fails = |finding: &&Finding| finding.at_limit != AtLimit::Warn;
        let is_overdue = |finding: &Finding| finding.limit_ms <= elapsed_ms;
        if self.findings.iter().filter(fails).any(is_overdue) {
            let mut failed: Vec<&Finding> = self.findings.iter().filter(fails).collect();
            failed.sort_by_key(|finding| finding.limit_ms);
            return Outcome::Failed(failed);
        }
        match self.findings.iter().filter(|f| !is_overdue(f)).map(|f| f.limit_ms).min() {
            Some(until_ms) => Outcome::Waiting { until_ms },
            None => Outcome::Verified(self.findings.iter().collect()),
        }
    }
}

impl Finding {
    /// One sentence: `eth1: mtu is 1500, wanted 9000`.
    pub fn message(&self) -> String {
        let subject = &self.subject;
        match &self.verdict {
            Verdict::Pending(why) | Verdict::Existence(why) => format!("{subject}: {why}"),
            Verdict::Mismatch { wanted, found } => {
                let key = self.path.segments().iter().rev().find_map(|segment| match segment {
                    Segment::Key(key) => Some(key.as_str()),
                    Segment::Index(_) => None,
                });
                let key = key.unwrap_or("it");
                let wanted = text::value(wanted);
                match found {
                    Some(found) => format!("{subject}: {key} is {}, wanted {wanted}", text::value(found)),
                    None => format!("{subject}: {key} is missing, wanted {wanted}"),
                }
            }
        }
    }

    /// The finding as an error of the transaction.
    pub fn problem(&self) -> Problem {
        let kind = match self.at_limit {
            AtLimit::Fail(kind) => kind,
            AtLimit::Warn => ErrorKind::VerificationError,
        };
        let is_interface =
            matches!(self.path.segments().first(), Some(Segment::Key(key)) if key == "interfaces");
        let interface = is_interface.then(|| self.subject.clone());
        Problem { interface, ..Problem::new(kind, self.path.clone(), self.message()) }
    }
}

/// Compares what the plan expects with what is (semantics C).
pub fn verify(plan: &Plan, current: &State) -> Report {
    let mut findings = Vec::new();
    let changed = plan.changes.iter().filter_map(|change| match change {
        Change::Interface(change) => Some(change.name.as_str()),
        _ => None,
    });
    let present = Present::new(current, changed.collect());
    let expected = &plan.expected;

    findings.extend(global::hostname(expected, current));
    for wanted in expected.interfaces() {
        let origin = plan.origins.get(&(wanted.name.clone(), wanted.kind().clone()));
        let origin = origin.cloned().unwrap_or_else(Path::root);
        interface::verify(wanted, &origin, &present, &mut findings);
    }
    findings.extend(global::routes(expected, current, &present));
    findings.extend(global::rules(expected, current, &present));
    findings.extend(global::dns(expected, current));
    findings.extend(global::ovs(expected, current));
    findings.extend(global::network(expected, current));
    Report { findings }
}

/// The present interfaces by name.
struct Present<'s> {
    by_name: BTreeMap<&'s str, Vec<&'s Interface>>,
    /// The interfaces that the plan touched.
    changed: BTreeSet<&'s str>,
}

impl<'s> Present<'s> {
    /// The interfaces of a state, none of them touched.
    fn of(state: &'s State) -> Self {
        Self::new(state, BTreeSet::new())
    }

    fn new(current: &'s State, changed: BTreeSet<&'s str>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<&Interface>> = BTreeMap::new();
        for interface in current.interfaces() {
            by_name.entry(&interface.name).or_default().push(interface);
        }
        Self { by_name, changed }
    }

    fn all(&self, name: &str) -> &[&'s Interface] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The interface that an entry of that name and type means (semantics A3).
    fn find(&self, name: &str, kind: &InterfaceType) -> Option<&'s Interface> {
        let mut all = self.all(name).iter().copied();
        match kind.is_userspace() {
            true => all.find(|interface| interface.kind() == kind),
            false => all.find(|interface| !interface.kind().is_userspace()),
        }
    }

    /// The kernel interface of that name.
    fn kernel(&self, name: &str) -> Option<&'s Interface> {
        self.find(name, &InterfaceType::Unknown)
    }
}
