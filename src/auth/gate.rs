//! The decision.

use thiserror::Error;
use tracing::warn;

use super::polkit::{Polkit, PolkitError, Verdict};
use super::{Action, Asks, Caller, Subject};
use crate::wire::Owner;

/// Proof that a caller may do something. Made by [`Gate::permit`] only.
#[derive(Debug)]
pub struct Permit {
    owner: Owner,
}

impl Permit {
    /// Who may.
    pub fn into_owner(self) -> Owner {
        self.owner
    }
}

/// A caller may not do what it asked.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("uid {uid} may not do this: {reason}")]
pub struct Denied {
    pub uid: u32,
    pub action: Action,
    pub reason: &'static str,
}

/// Decides who may do what: root may; others as polkit says; where there is no polkit, others may
/// only look, without secrets.
pub struct Gate {
    polkit: Option<Polkit>,
}

impl Gate {
    /// Asks polkit on this bus.
    pub fn with_polkit(bus: zbus::Connection) -> Self {
        Self { polkit: Some(Polkit::new(bus)) }
    }

    /// Without polkit.
    pub fn without_polkit() -> Self {
        Self { polkit: None }
    }

    /// Whether the caller may; waits for polkit, and for a person where the call allows that, a
    /// limited time. Dropping the future takes the question back.
    pub async fn permit(&self, caller: &Caller, action: Action, asks: Asks) -> Result<Permit, Denied> {
        let denied = |reason| Denied { uid: caller.uid, action, reason };
        let permit = Permit { owner: caller.owner() };
        if caller.uid == 0 {
            return Ok(permit);
        }
        let answer = match &self.polkit {
            None => Err(PolkitError::Absent),
            Some(_) if caller.subject == Subject::Gone => {
                return Err(denied("its process cannot be found"));
            }
            Some(polkit) => polkit.allows(caller, action, asks).await,
        };
        match answer {
            Ok(Verdict::Yes) => Ok(permit),
            Ok(Verdict::No) => Err(denied("polkit does not allow it")),
            Ok(Verdict::NotAsked) => {
                Err(denied("polkit wants a password, and the call does not let it ask for one"))
            }
            Ok(Verdict::NoAgent) => Err(denied("polkit wants a password, and has no agent to ask for it")),
            Ok(Verdict::Dismissed) => Err(denied("the request for a password was dismissed")),
            Err(PolkitError::Absent) if action == Action::Show => Ok(permit),
            Err(PolkitError::Absent) => Err(denied("without polkit only root may")),
            Err(PolkitError::Crowded) => Err(denied("too many requests for a password are open, try again")),
            Err(PolkitError::Late) => Err(denied("polkit did not answer in time")),
            Err(PolkitError::Failed(error)) => {
                warn!(action = action.id(), uid = caller.uid, %error, "polkit could not be asked");
                Err(denied("polkit could not be asked"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_polkit_only_root_may_change() {
        let gate = Gate::without_polkit();
        let asks = Asks { method: "Any", transaction: None };
        for action in Action::ALL {
            assert!(gate.permit(&Caller::of_socket(0, None), action, asks).await.is_ok());
            let other = gate.permit(&Caller::of_socket(1000, None), action, asks).await;
            assert_eq!(other.is_ok(), action == Action::Show, "{action:?}");
        }
    }
}
