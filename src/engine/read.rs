//! What only reads: answered from the backend's memory, beside whatever the actor does.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::desired;
use super::work::{Told, offload, problem, told};
use super::{Refusal, Reply, ShowOptions};
use crate::backend::{Backend, Observation};
use crate::plan;
use crate::state::{Document, Path, Problem, State};
use crate::tools::{self, Given, configuration};
use crate::transaction::Desired;
use crate::wire::{ConfigurationInfo, FileInfo, PlanInfo, Program};

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

    /// What of a document would change something where the network is as `old`, or as it is now. The
    /// secrets of an old state are the caller's own, and are given back.
    pub(super) async fn difference(
        &self,
        document: Document,
        old: Option<Document>,
    ) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |backend| {
            let Some(old) = old else {
                let Observation { state: current, revision } = observe(backend)?;
                let desired = desired::read(document)?;
                let asked = desired::plan(backend, &desired, &current, &plan::Options::default())?;
                let state = Arc::new(plan::difference(&asked.state, &current, &asked.plan));
                return Ok(Reply::State { state, revision });
            };
            let (given, _) = Given::read(document)?;
            let (old, _) = old.state()?;
            let (desired, _) = given.state(Some(&old))?;
            let mut difference = tools::difference(&desired, &old).map_err(|wrong| given.place(wrong))?;
            difference.reveal_secrets();
            Ok(Reply::State { state: Arc::new(difference), revision: *backend.revision().borrow() })
        })
        .await
    }

    /// What a document is to another program. Secrets are in it, so nothing of the present state is: a
    /// policy that captures from it is refused.
    pub(super) async fn configuration(&self, document: Document, program: Program) -> Result<Reply, Refusal> {
        self.run(&self.plans, move |_| {
            let (given, found) = Given::read(document)?;
            if given.needs_current() {
                let message = "what this policy captures depends on the network: resolve it first";
                return Err(vec![Problem::invalid(Path::root(), message)]);
            }
            let (mut desired, more) = given.state(None)?;
            desired.reveal_secrets();
            let made = configuration::of(&desired, program).map_err(|wrong| given.place(wrong))?;
            let warnings = found.iter().chain(&more).map(ToString::to_string).chain(made.warnings).collect();
            let files = made.files.into_iter().map(|(name, content)| FileInfo { name, content }).collect();
            Ok(Reply::Configuration(ConfigurationInfo { files, warnings }))
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
