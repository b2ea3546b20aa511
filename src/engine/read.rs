//! What only reads: answered from the backend's memory, beside whatever the actor does.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::desired;
use super::work::{Told, offload, problem, told};
use super::{Refusal, Reply, ShowOptions};
use crate::backend::{Backend, Observation};
use crate::plan;
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
        self.run(&self.plans, move |backend| planned(backend, &desired::read(document)?, &options)).await
    }

    /// What applying once more what is committed would change.
    pub(super) async fn plan_committed(
        &self,
        committed: Arc<State>,
        options: plan::Options,
    ) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| planned(backend, &Desired::Committed(committed), &options)).await
    }

    pub(super) async fn validate(&self, document: Document) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let (desired, current) = (desired::read(document)?, observe(backend)?.state);
            let asked = desired::plan(backend, &desired, &current, &plan::Options::default())?;
            Ok(Reply::Warnings(asked.plan.warnings))
        })
        .await
    }

    /// The state that a document asks for where the network is as it is now.
    pub(super) async fn resolve(&self, document: Document) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let Observation { state: current, revision } = observe(backend)?;
            let state = match desired::read(document)? {
                Desired::Policy(policy) => Arc::new(desired::resolve(&policy, &current)?.0),
                Desired::Document { state, .. } | Desired::Committed(state) => state,
            };
            Ok(Reply::State { state, revision })
        })
        .await
    }

    /// The document that leads back from the given one to the present state.
    pub(super) async fn revert(&self, document: Document) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let Observation { state: current, revision } = observe(backend)?;
            let desired = desired::read(document)?;
            let asked = desired::plan(backend, &desired, &current, &plan::Options::default())?;
            let state = Arc::new(plan::revert(&asked.state, &current, &asked.plan));
            Ok(Reply::State { state, revision })
        })
        .await
    }

    /// What a document asks for, or everything that is wrong with it.
    pub(super) async fn read(&self, document: Document) -> Result<Arc<Desired>, Refusal> {
        self.run(&self.plans, move |_| desired::read(document).map(Arc::new)).await
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

/// The plan of what is asked for, as whoever asked is told.
fn planned(backend: &dyn Backend, desired: &Desired, options: &plan::Options) -> Result<Reply, Refusal> {
    let current = observe(backend)?.state;
    let plan = desired::plan(backend, desired, &current, options)?.plan;
    let Told { diff, client_path } = told(&plan, &current, options);
    Ok(Reply::Plan(PlanInfo { changes: plan::text::json(&plan), diff, warnings: plan.warnings, client_path }))
}

fn observe(backend: &dyn Backend) -> Result<Observation, Refusal> {
    backend.observe().map_err(|failure| vec![problem(failure)])
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
