//! Probing: what holds before a change, and whether it still does after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::work::{Worker, changed, offload, problem};
use crate::backend::Backend;
use crate::probe::{Fault, Prober, Verdict};
use crate::state::{ErrorKind, Path, Problem};
use crate::transaction::{Lacking, Probed};
use crate::wire::Probe;

/// The one attempt before a change.
const BEFORE_MAX: Duration = Duration::from_secs(5);
/// How long the network may take until all holds again.
const AFTER_MAX: Duration = Duration::from_secs(10);
/// The pause after a first attempt that failed; it doubles. A change of the network ends it.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Worker {
    /// What holds now, by one attempt each, all at once.
    pub(super) async fn probe(&self, probes: Vec<Probe>) -> Result<Probed, Vec<Problem>> {
        let end = Instant::now() + BEFORE_MAX;
        let mut probed = Probed::default();
        let mut refused = Vec::new();
        for (probe, verdict) in self.each(probes, move |attempt| async move { attempt.once(end).await }).await
        {
            match verdict {
                Ok(held) => probed.held.extend(held),
                Err(Fault::Fails(why)) => probed.lacking.push(Lacking { probe, why }),
                Err(Fault::Refused(why)) => {
                    let message = format!("{probe} is not made: {why}");
                    refused.push(Problem::new(ErrorKind::InvalidArgument, Path::root(), message));
                }
            }
        }
        if refused.is_empty() { Ok(probed) } else { Err(refused) }
    }

    /// What does not hold, though it had its time.
    pub(super) async fn probe_again(&self, probes: Vec<Probe>) -> Vec<Lacking> {
        let end = Instant::now() + AFTER_MAX;
        let verdicts = self.each(probes, move |attempt| async move { attempt.until(end).await }).await;
        let lacking = |(probe, verdict): (Probe, Verdict)| match verdict {
            Ok(_) => None,
            Err(Fault::Refused(why) | Fault::Fails(why)) => Some(Lacking { probe, why }),
        };
        verdicts.into_iter().filter_map(lacking).collect()
    }

    /// All at once; the verdicts in the order of the probes. Dropping this ends every attempt.
    async fn each<Checking>(
        &self,
        probes: Vec<Probe>,
        check: impl Fn(Attempt) -> Checking,
    ) -> Vec<(Probe, Verdict)>
    where
        Checking: Future<Output = Verdict> + Send + 'static,
    {
        let mut under_way = JoinSet::new();
        for (index, probe) in probes.iter().enumerate() {
            let (backend, prober) = (self.backend.clone(), self.prober.clone());
            let check = check(Attempt { backend, prober, threads: self.threads, probe: probe.clone() });
            under_way.spawn(async move { (index, check.await) });
        }
        let mut verdicts = under_way.join_all().await;
        verdicts.sort_unstable_by_key(|(index, _)| *index);
        probes.into_iter().zip(verdicts.into_iter().map(|(_, verdict)| verdict)).collect()
    }
}

/// One probe, and what it needs.
struct Attempt {
    backend: Arc<dyn Backend>,
    prober: Arc<dyn Prober>,
    threads: bool,
    probe: Probe,
}

impl Attempt {
    async fn once(&self, end: Instant) -> Verdict {
        let start = Instant::now();
        let attempt = async {
            let backend = self.backend.clone();
            let seen = offload(self.threads, move || backend.observe()).await;
            let network = seen.map_err(|failure| Fault::Fails(problem(failure).message))?.state;
            self.prober.check(&self.probe, &network).await
        };
        match timeout_at(end, attempt).await {
            Ok(verdict) => verdict,
            Err(_) => {
                let seconds = (end - start).as_secs_f32();
                Err(Fault::Fails(format!("no answer within {seconds:.1} s")))
            }
        }
    }

    /// Tries again when the network changes, and from time to time.
    async fn until(&self, end: Instant) -> Verdict {
        let mut revision = self.backend.revision();
        let mut pause = PAUSE;
        let mut said = None;
        loop {
            revision.borrow_and_update();
            match self.once(end).await {
                Ok(held) => return Ok(held),
                Err(fault) if Instant::now() >= end => {
                    // What an attempt said in its own words is better than that time is over.
                    return Err(said.unwrap_or(fault));
                }
                Err(fault) => said = Some(fault),
            }
            changed(&mut revision, end.min(Instant::now() + pause), Duration::ZERO).await;
            pause = PAUSE_MAX.min(pause * 2);
        }
    }
}
