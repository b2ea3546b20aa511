//! Safety nets that the simulated service keeps: they outlive the daemon, and neither the service nor
//! the machine.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::yield_now;

use super::{Fault, Faults, Point};
use crate::system::SafetyNet;

/// What `status` calls them.
pub(super) const NAME: &str = "simulated";

/// All that there are, and when each comes.
#[derive(Default)]
pub(super) struct Checkpoints(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    nets: BTreeMap<u64, Option<Duration>>,
}

impl Checkpoints {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Plain data: a test that panicked has not left it half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn make(&self) -> u64 {
        let mut kept = self.kept();
        kept.last += 1;
        let number = kept.last;
        kept.nets.insert(number, None);
        number
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.kept().nets.contains_key(&number)
    }

    pub(super) fn all(&self) -> Vec<Option<Duration>> {
        self.kept().nets.values().copied().collect()
    }

    pub(super) fn forget(&self) {
        self.kept().nets.clear();
    }

    fn set(&self, number: u64, at: Option<Duration>) -> Result<(), String> {
        let mut kept = self.kept();
        match (kept.nets.get_mut(&number), at) {
            (Some(net), Some(_)) => *net = at,
            (Some(_), None) => drop(kept.nets.remove(&number)),
            (None, Some(_)) => return Err("it is gone".into()),
            (None, None) => {}
        }
        Ok(())
    }
}

/// One of them.
pub(super) struct Net {
    checkpoints: Arc<Checkpoints>,
    number: u64,
    faults: Arc<dyn Faults>,
}

impl Net {
    pub(super) fn new(checkpoints: &Arc<Checkpoints>, number: u64, faults: &Arc<dyn Faults>) -> Self {
        Self { checkpoints: checkpoints.clone(), number, faults: faults.clone() }
    }
}

impl SafetyNet for Net {
    fn name(&self) -> &'static str {
        NAME
    }

    fn set(&self, at: Option<Duration>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            yield_now().await;
            let fault = self.faults.at(Point::Net);
            let is_done = !matches!(fault, Some(Fault::Before | Fault::Hang));
            let result = if is_done { self.checkpoints.set(self.number, at) } else { Ok(()) };
            match fault {
                // One that says it is done when it is not is beyond what is promised.
                None | Some(Fault::Silent) => result,
                Some(Fault::Before | Fault::After) => Err("simulated fault".into()),
                Some(Fault::Hang | Fault::HangAfter) => pending().await,
            }
        })
    }
}
