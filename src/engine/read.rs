//! What only reads: answered from the backend's memory, beside whatever the actor does.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::possible::{Missing, Possible, possible, problems};
use super::work::{Told, offload, plan_on, problem, told};
use super::{Refusal, Reply, ShowOptions};
use crate::backend::Backend;
use crate::plan::{self, Plan};
use crate::state::{Document, State};
use crate::transaction::Desired;
use crate::wire::PlanInfo;

/// Queries at work at a time. The network is built once for all who ask; what is left of each is
/// small.
const SHOWS_MAX: usize = 2;
/// Documents that are read or planned at a time. They have places of their own: a herd of queries
/// does not keep a change waiting.
const PLANS_MAX: usize = 4;

/// Answers what only reads.
#[derive(Clone)]
pub(super) struct Reader {
    backend: Arc<dyn Backend>,
    threads: bool,
    shows: Arc<Semaphore>,
    plans: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(backend: Arc<dyn Backend>, threads: bool) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { backend, threads, shows: places(SHOWS_MAX), plans: places(PLANS_MAX) }
    }

    pub(super) async fn show(&self, options: ShowOptions) -> Result<Reply, Refusal> {
        self.run(&self.shows, move |backend| {
            let ShowOptions { kernel_only, running_config_only, secrets } = options;
            let observed = if kernel_only { backend.observe_kernel() } else { backend.observe() };
            let observation = observed.map_err(|failure| vec![problem(failure)])?;
            let (mut state, revision) = (observation.state, observation.revision);
            // The state is everybody's: what is changed is a copy.
            if running_config_only {
                keep_configured(Arc::make_mut(&mut state));
            }
            if secrets {
                Arc::make_mut(&mut state).reveal_secrets();
            }
            Ok(Reply::State { state, revision })
        })
        .await
    }

    pub(super) async fn plan(&self, document: Document, options: plan::Options) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let (plan, current, warnings) = plan_document(backend, &document, &options)?;
            Ok(planned(&plan, &current, &options, warnings))
        })
        .await
    }

    /// What applying once more what is committed would change.
    pub(super) async fn plan_committed(
        &self,
        committed: Arc<State>,
        options: plan::Options,
    ) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let current = backend.observe().map_err(|failure| vec![problem(failure)])?.state;
            let Possible { plan, asked: _, missing } =
                possible(backend, &committed, &current, &options).map_err(problems)?;
            let warnings = missing.iter().map(Missing::warning).chain(plan.warnings.iter().cloned());
            Ok(planned(&plan, &current, &options, warnings.collect()))
        })
        .await
    }

    pub(super) async fn validate(&self, document: Document) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let (_, _, warnings) = plan_document(backend, &document, &plan::Options::default())?;
            Ok(Reply::Warnings(warnings))
        })
        .await
    }

    /// The document that leads back from the given one to the present state.
    pub(super) async fn revert(&self, document: Document) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let (desired, _) = document.state()?;
            let observation = backend.observe().map_err(|failure| vec![problem(failure)])?;
            let current = observation.state;
            let plan = plan_on(backend, &desired, &current, &plan::Options::default())
                .map_err(|problems| document.place(problems))?;
            let state = Arc::new(plan::revert(&desired, &current, &plan));
            Ok(Reply::State { state, revision: observation.revision })
        })
        .await
    }

    /// The document as a state, or everything that is wrong with it.
    pub(super) async fn read(&self, document: Document) -> Result<Arc<Desired>, Refusal> {
        self.run(&self.plans, move |_| {
            let (state, _) = document.state()?;
            Ok(Arc::new(Desired { document: Some(document), state: Arc::new(state) }))
        })
        .await
    }

    /// Plans something, in its turn.
    pub(super) async fn planning<T: Send + 'static>(
        &self,
        compute: impl FnOnce(&dyn Backend) -> T + Send + 'static,
    ) -> T {
        self.run(&self.plans, compute).await
    }

    async fn run<T: Send + 'static>(
        &self,
        places: &Semaphore,
        compute: impl FnOnce(&dyn Backend) -> T + Send + 'static,
    ) -> T {
        let _place = places.acquire().await.expect("the semaphore is never closed");
        let backend = self.backend.clone();
        offload(self.threads, move || compute(&*backend)).await
    }
}

/// A plan as whoever asked for it is told.
fn planned(plan: &Plan, current: &State, options: &plan::Options, warnings: Vec<String>) -> Reply {
    let Told { diff, client_path } = told(plan, current, options);
    Reply::Plan(PlanInfo { changes: plan::text::json(plan), diff, warnings, client_path })
}

/// The plan of a document, what it was made for, and all warnings.
fn plan_document(
    backend: &dyn Backend,
    document: &Document,
    options: &plan::Options,
) -> Result<(Plan, Arc<State>, Vec<String>), Refusal> {
    let (desired, warnings) = document.state()?;
    let current = backend.observe().map_err(|failure| vec![problem(failure)])?.state;
    let plan = plan_on(backend, &desired, &current, options).map_err(|problems| document.place(problems))?;
    let warnings = warnings.iter().map(ToString::to_string).chain(plan.warnings.iter().cloned()).collect();
    Ok((plan, current, warnings))
}

/// Drops what is leased, learned or in effect but not configured (semantics S5).
fn keep_configured(state: &mut State) {
    if let Some(routes) = &mut state.routes {
        routes.running = None;
    }
    if let Some(dns) = &mut state.dns_resolver {
        dns.running = None;
    }
    for interface in state.interfaces.iter_mut().flatten() {
        interface.min_mtu = None;
        interface.max_mtu = None;
        for ip in [&mut interface.ipv4, &mut interface.ipv6].into_iter().flatten() {
            if let Some(addresses) = &mut ip.address {
                addresses.retain(|address| !address.is_dynamic());
            }
        }
        if let Some(lldp) = &mut interface.lldp {
            lldp.neighbors = None;
        }
    }
}
