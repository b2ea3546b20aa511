//! From what was sent to a plan: a document, a policy, or what is committed.

use std::borrow::Cow;

use super::Refusal;
use super::possible::{Missing, Possible, possible, problems};
use super::work::plan_on;
use crate::backend::Backend;
use crate::plan::{self, Plan};
use crate::policy::Policy;
use crate::state::{Document, Problem, State};
use crate::transaction::Desired;

/// What a document asks for, or everything that is wrong with it.
pub(super) fn read(document: Document) -> Result<Desired, Refusal> {
    if Policy::is_policy(document.node()) {
        return Policy::read(document.node()).map(|policy| Desired::Policy(policy.into()));
    }
    let (state, warnings) = document.state()?;
    Ok(Desired::Document { document, state: state.into(), warnings })
}

/// A plan with all warnings, and what it was made for.
pub(super) struct Asked<'a> {
    pub(super) plan: Plan,
    pub(super) state: Cow<'a, State>,
}

impl Asked<'_> {
    /// What is to be committed with the plan.
    pub(super) fn kept(&self, desired: &Desired, current: &State) -> Cow<'_, State> {
        match desired {
            // What was captured and is as it was, nobody asked for.
            Desired::Policy(policy) if policy.has_captures() => {
                Cow::Owned(plan::difference(&self.state, current, &self.plan))
            }
            _ => Cow::Borrowed(&self.state),
        }
    }
}

/// Plans what is asked for on the current state.
pub(super) fn plan<'a>(
    backend: &dyn Backend,
    desired: &'a Desired,
    current: &State,
    options: &plan::Options,
) -> Result<Asked<'a>, Refusal> {
    let (mut plan, state, warnings) = match desired {
        Desired::Document { document, state, warnings } => {
            let plan = plan_on(backend, state, current, options).map_err(|wrong| document.place(wrong))?;
            (plan, Cow::Borrowed(&**state), told(warnings))
        }
        Desired::Policy(policy) => {
            let (state, warnings) = resolve(policy, current)?;
            let plan = plan_on(backend, &state, current, options).map_err(|wrong| policy.place(wrong))?;
            (plan, Cow::Owned(state), told(&warnings))
        }
        Desired::Committed(state) => {
            let Possible { plan, asked, missing } =
                possible(backend, state, current, options).map_err(problems)?;
            (plan, asked, missing.iter().map(Missing::warning).collect())
        }
    };
    plan.warnings.splice(0..0, warnings);
    Ok(Asked { plan, state })
}

fn told(warnings: &[Problem]) -> Vec<String> {
    warnings.iter().map(ToString::to_string).collect()
}

/// The state that a policy asks for where `current` is, with warnings.
pub(super) fn resolve(policy: &Policy, current: &State) -> Result<(State, Vec<Problem>), Refusal> {
    policy.fill(&policy.capture(policy.current().unwrap_or(current))?)
}
