//! The service that the backend works through: a change that is not committed when it is lost is
//! taken back, and a way back waits until it is there again.

use super::event::Now;
use super::live::{Live, Step};
use super::machine::Machine;
use super::report::{error_info, refusal};
use crate::state::{ErrorKind, Problem};
use crate::wire::Stage;

/// How the service of the backend is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// How often it was lost.
    pub losses: u64,
    /// Why the backend cannot work now; None: it can.
    pub missing: Option<String>,
}

impl Machine {
    /// What a person must know about the service, as long as it is so.
    pub fn lacks(&self) -> Option<String> {
        let missing = self.service.missing.as_ref()?;
        Some(match &self.live {
            Some(Live { id, step: Step::AwaitingService { .. }, .. }) => {
                format!("the rollback of transaction {id} waits, and no change is accepted: {missing}")
            }
            Some(_) | None => format!("no change is accepted: {missing}"),
        })
    }

    /// The service is now like this.
    pub(super) fn service_is(&mut self, service: Service, now: Now) {
        let was = std::mem::replace(&mut self.service, service);
        let is_lost =
            self.service.losses != was.losses || (self.service.missing.is_some() && was.missing.is_none());
        if is_lost {
            self.service_lost(now);
        }
        if self.service.missing.is_none()
            && let Some(live) = self.live.take()
        {
            match live.step {
                Step::AwaitingService { attempt } => self.restore(live, attempt),
                _ => self.live = Some(live),
            }
        }
    }

    /// Whoever comes back may have forgotten half of what was asked of it: nothing that has begun goes
    /// on from there, until it is committed.
    fn service_lost(&mut self, now: Now) {
        let Some(live) = self.live.take_if(|live| live.checkpoint.is_some()) else { return };
        let doing = match live.stage {
            Stage::AwaitingCommit => "the change awaited commit",
            _ => "the change was being made",
        };
        let message = match &self.service.missing {
            Some(why) => format!("the service of the backend was lost while {doing}: {why}"),
            None => format!("the service of the backend was restarted while {doing}"),
        };
        let cause = error_info(&refusal(ErrorKind::PluginFailure, message));
        // Too late, or on the way back already: then it ends as it would have.
        self.go_back(live, cause, now);
    }

    /// Whether a change can be made at all.
    pub(super) fn check_service(&self) -> Result<(), Vec<Problem>> {
        match &self.service.missing {
            Some(missing) => {
                let message = format!("{missing}, so nothing is changed");
                Err(refusal(ErrorKind::PluginFailure, message))
            }
            None => Ok(()),
        }
    }

    /// Puts a restore off until the service is there.
    pub(super) fn await_service(&mut self, mut live: Live, attempt: u32) {
        live.step = Step::AwaitingService { attempt };
        self.live = Some(live);
    }
}
