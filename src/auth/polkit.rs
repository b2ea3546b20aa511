//! The question to polkit: may this subject do that?
//!
//! Methods CheckAuthorization and CancelCheckAuthorization of org.freedesktop.PolicyKit1.Authority
//! (polkit reference manual).

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::debug;
use zbus::{Connection, Variant, fdo};

use super::{Action, Asks, Caller, Subject};

/// Longest wait for polkit to decide by itself.
const DECISION_MAX: Duration = Duration::from_secs(10);
/// Longest wait for a person who is asked for a password.
const PERSON_MAX: Duration = Duration::from_secs(120);
/// Most questions open at a time which polkit decides by itself: the others wait for those.
const QUESTIONS_MAX: usize = 64;
/// Most persons asked at a time, altogether and on behalf of one uid: more are refused.
const PERSONS_MAX: usize = 64;
const PERSONS_PER_UID: usize = 4;
/// Flag AllowUserInteraction of CheckAuthorization.
const ALLOW_USER_INTERACTION: u32 = 1;

const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// Polkit on a bus.
pub(super) struct Polkit {
    bus: Connection,
    questions: Semaphore,
    /// How many persons are being asked on behalf of whom.
    persons: Mutex<BTreeMap<u32, usize>>,
    cancellations: AtomicU64,
}

/// What polkit says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// A person would have to give a password, and the call does not allow to ask.
    NotAsked,
    /// A person would have to give a password, and there is no agent to ask.
    NoAgent,
    /// The person did not want to.
    Dismissed,
}

/// Why polkit gave no answer.
#[derive(Debug, Error)]
pub(super) enum PolkitError {
    #[error("polkit is not there")]
    Absent,
    #[error("polkit did not answer in time")]
    Late,
    #[error("too many persons are being asked")]
    Crowded,
    #[error("polkit failed")]
    Failed(#[source] zbus::Error),
}

/// The answer to CheckAuthorization: authorised, whether a password would help, details.
type Answer = (bool, bool, HashMap<String, String>);

impl Polkit {
    pub(super) fn new(bus: Connection) -> Self {
        Self {
            bus,
            questions: Semaphore::new(QUESTIONS_MAX),
            persons: Mutex::default(),
            cancellations: AtomicU64::new(0),
        }
    }

    /// Whether polkit allows it. It is first asked to decide by itself, so that who needs no
    /// password never waits behind those who are typing theirs. Dropping the future takes the
    /// question back.
    pub(super) async fn allows(
        &self,
        caller: &Caller,
        action: Action,
        asks: Asks,
    ) -> Result<Verdict, PolkitError> {
        let decision = async {
            let _open = self.questions.acquire().await.expect("this semaphore is never closed");
            self.check(caller, action, asks, 0, "").await
        };
        let (allowed, needs_password, _) =
            timeout(DECISION_MAX, decision).await.map_err(|_| PolkitError::Late)??;
        match (allowed, needs_password) {
            (true, _) => return Ok(Verdict::Yes),
            (false, false) => return Ok(Verdict::No),
            (false, true) if !caller.interactive => return Ok(Verdict::NotAsked),
            (false, true) => {}
        }
        let _place = self.place(caller.uid).ok_or(PolkitError::Crowded)?;
        let number = self.cancellations.fetch_add(1, Ordering::Relaxed);
        let mut open = Open { bus: &self.bus, id: Some(format!("nmstated-{number}")) };
        let id = open.id.clone().unwrap_or_default();
        let person = self.check(caller, action, asks, ALLOW_USER_INTERACTION, &id);
        let answer = timeout(PERSON_MAX, person).await.map_err(|_| PolkitError::Late)?;
        open.id = None;
        let (allowed, needs_password, details) = answer?;
        Ok(match (allowed, needs_password) {
            (true, _) => Verdict::Yes,
            (false, true) => Verdict::NoAgent,
            (false, false) if details.contains_key("polkit.dismissed") => Verdict::Dismissed,
            (false, false) => Verdict::No,
        })
    }

    async fn check(
        &self,
        caller: &Caller,
        action: Action,
        asks: Asks,
        flags: u32,
        cancellation: &str,
    ) -> Result<Answer, PolkitError> {
        let body = (subject(caller), action.id(), asks.details(), flags, cancellation);
        let call = self.bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CheckAuthorization", &body);
        let reply = call.await.map_err(|error| match is_absence(&error) {
            true => PolkitError::Absent,
            false => PolkitError::Failed(error),
        })?;
        reply.body().deserialize().map_err(PolkitError::Failed)
    }

    fn place(&self, uid: u32) -> Option<Place<'_>> {
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        if persons.values().sum::<usize>() >= PERSONS_MAX {
            return None;
        }
        let of_uid = persons.entry(uid).or_default();
        if *of_uid >= PERSONS_PER_UID {
            return None;
        }
        *of_uid += 1;
        Some(Place { persons: &self.persons, uid })
    }
}

/// A person is being asked on behalf of that uid.
struct Place<'a> {
    persons: &'a Mutex<BTreeMap<u32, usize>>,
    uid: u32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut persons = self.persons.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_uid) = persons.get_mut(&self.uid) {
            *of_uid -= 1;
            if *of_uid == 0 {
                persons.remove(&self.uid);
            }
        }
    }
}

/// A question to a person that is taken back unless it was answered: the dialogue disappears.
struct Open<'a> {
    bus: &'a Connection,
    id: Option<String>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // Without a runtime the process ends, and its questions with it.
        if let (Some(id), Ok(runtime)) = (self.id.take(), Handle::try_current()) {
            let bus = self.bus.clone();
            runtime.spawn(async move {
                let body = (id.as_str(),);
                let call =
                    bus.call_method(Some(NAME), PATH, Some(INTERFACE), "CancelCheckAuthorization", &body);
                if let Ok(Err(error)) = timeout(DECISION_MAX, call).await {
                    debug!(%error, "a question to polkit could not be taken back");
                }
            });
        }
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
