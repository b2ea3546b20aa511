//! The question to polkit: may this subject do that?
//!
//! Method CheckAuthorization of org.freedesktop.PolicyKit1.Authority (polkit reference manual).

use std::collections::HashMap;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zbus::{Variant, fdo};

use super::{Action, Caller, Subject};

/// Longest wait for polkit to decide by itself.
const DECISION_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a user who is asked for a password.
const PASSWORD_MAX: Duration = Duration::from_secs(120);
/// Most questions open at a time: the others wait for those.
const QUESTIONS_MAX: usize = 64;
/// Flag AllowUserInteraction of CheckAuthorization.
const ALLOW_USER_INTERACTION: u32 = 1;

const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// Polkit on a bus.
pub(super) struct Polkit {
    bus: zbus::Connection,
    questions: Semaphore,
}

/// Why polkit gave no answer.
#[derive(Debug, Error)]
pub(super) enum PolkitError {
    #[error("polkit is not there")]
    Absent,
    #[error("polkit did not answer in time")]
    Late,
    #[error("polkit failed")]
    Failed(#[source] zbus::Error),
}

impl Polkit {
    pub(super) fn new(bus: zbus::Connection) -> Self {
        Self { bus, questions: Semaphore::new(QUESTIONS_MAX) }
    }

    /// Whether polkit allows it.
    pub(super) async fn allows(&self, caller: &Caller, action: Action) -> Result<bool, PolkitError> {
        let (limit, flags) = match caller.interactive {
            true => (PASSWORD_MAX, ALLOW_USER_INTERACTION),
            false => (DECISION_MAX, 0),
        };
        let question = async {
            let _open = self.questions.acquire().await.expect("this semaphore is never closed");
            let no_details: HashMap<&str, &str> = HashMap::new();
            let body = (subject(caller), action.id(), no_details, flags, "");
            self.bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CheckAuthorization", &body).await
        };
        let reply = match timeout(limit, question).await {
            Err(_) => return Err(PolkitError::Late),
            Ok(Err(error)) if is_absence(&error) => return Err(PolkitError::Absent),
            Ok(reply) => reply.map_err(PolkitError::Failed)?,
        };
        let (allowed, _challenge, _details): (bool, bool, HashMap<String, String>) =
            reply.body().deserialize().map_err(PolkitError::Failed)?;
        Ok(allowed)
    }
}

/// A subject of polkit: its kind and details.
fn subject(caller: &Caller) -> (&'static str, HashMap<&'static str, Variant<'_>>) {
    let uid = i32::try_from(caller.uid).unwrap_or(-1);
    match &caller.subject {
        Subject::BusName(name) => {
            ("system-bus-name", HashMap::from([("name", Variant::from(name.as_str()))]))
        }
        Subject::Process { start_time } => {
            let pid = caller.pid.unwrap_or(0);
            let details = HashMap::from([
                ("pid", Variant::from(pid)),
                ("start-time", Variant::from(*start_time)),
                ("uid", Variant::from(uid)),
            ]);
            ("unix-process", details)
        }
        // Polkit refuses a process without a number; the gate does not even ask.
        Subject::Gone => ("unix-process", HashMap::from([("uid", Variant::from(uid))])),
    }
}

/// Errors of the bus which say that nobody owns the name and nobody can be started to own it.
fn is_absence(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::FDO(error) => {
            matches!(**error, fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_))
        }
        zbus::Error::MethodError(name, ..) => *name == "org.freedesktop.DBus.Error.Spawn.ServiceNotFound",
        _ => false,
    }
}
