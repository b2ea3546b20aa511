//! What is stored: the checkpoint record, what is committed, the next id.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::codec::{Unreadable, decode, encode};
use crate::plan::Touched;
use crate::state::{Document, State};
use crate::wire::{ClientPath, Owner, TransactionId};

/// What leads back to the network before a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Before {
    /// Complete, secrets included.
    pub state: State,
    /// What only the backend understands.
    pub private: Json,
    /// What the transaction changes.
    pub touched: Touched,
}

/// How far a recorded transaction had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It may have changed anything.
    Applying,
    /// It is applied and verified, and waits for Commit until the deadline.
    AwaitingCommit,
}

/// The checkpoint: on disk from before the first change until the transaction has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: TransactionId,
    pub boot_id: String,
    pub owner: Owner,
    /// Wall clock, seconds since 1970.
    pub created: u64,
    pub phase: Phase,
    /// Since boot, suspended time included.
    pub deadline: Duration,
    /// The same on the wall clock, for people.
    pub deadline_wall: u64,
    pub backend: String,
    pub before: Arc<Before>,
    /// All that is committed once this is.
    pub then: Arc<State>,
    pub diff: String,
    pub warnings: Vec<String>,
    pub client_path: Option<ClientPath>,
}

/// The types on disk are not the ones we think in: a field added to one must be decided for the
/// other.
#[derive(Serialize, Deserialize)]
struct StoredRecord {
    id: TransactionId,
    boot_id: String,
    owner: Owner,
    created: u64,
    phase: Phase,
    deadline_ms: u64,
    deadline_wall: u64,
    backend: String,
    before: Json,
    private: Json,
    touched: Touched,
    then: Json,
    diff: String,
    warnings: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_path: Option<ClientPath>,
}

impl Record {
    const FORMAT: &str = "nmstated-checkpoint";

    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = StoredRecord {
            id: self.id,
            boot_id: self.boot_id.clone(),
            owner: self.owner.clone(),
            created: self.created,
            phase: self.phase,
            deadline_ms: u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX),
            deadline_wall: self.deadline_wall,
            backend: self.backend.clone(),
            before: state_to_json(&self.before.state),
            private: self.before.private.clone(),
            touched: self.before.touched.clone(),
            then: state_to_json(&self.then),
            diff: self.diff.clone(),
            warnings: self.warnings.clone(),
            client_path: self.client_path.clone(),
        };
        encode(Self::FORMAT, &json(&stored))
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let stored: StoredRecord = content(decode(Self::FORMAT, bytes)?)?;
        Ok(Self {
            id: stored.id,
            boot_id: stored.boot_id,
            owner: stored.owner,
            created: stored.created,
            phase: stored.phase,
            deadline: Duration::from_millis(stored.deadline_ms),
            deadline_wall: stored.deadline_wall,
            backend: stored.backend,
            before: Arc::new(Before {
                state: state_from_json("before", &stored.before)?,
                private: stored.private,
                touched: stored.touched,
            }),
            then: Arc::new(state_from_json("then", &stored.then)?),
            diff: stored.diff,
            warnings: stored.warnings,
            client_path: stored.client_path,
        })
    }
}

/// Everything that was ever committed, merged, and the last transaction that is in it. Writing
/// it is what commits: a record whose id is not greater is of no consequence any more.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    pub last: TransactionId,
    pub state: Arc<State>,
}

#[derive(Serialize, Deserialize)]
struct StoredCommitted {
    last: TransactionId,
    state: Json,
}

impl Committed {
    const FORMAT: &str = "nmstated-committed";

    /// Nothing was ever committed.
    pub fn nothing() -> Self {
        // As it reads once printed: with a list of interfaces.
        let state = State { interfaces: Some(Vec::new()), ..State::empty() };
        Self { last: 0, state: Arc::new(state) }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let stored = StoredCommitted { last: self.last, state: state_to_json(&self.state) };
        encode(Self::FORMAT, &json(&stored))
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let stored: StoredCommitted = content(decode(Self::FORMAT, bytes)?)?;
        Ok(Self { last: stored.last, state: Arc::new(state_from_json("state", &stored.state)?) })
    }
}

const IDS_FORMAT: &str = "nmstated-ids";

/// The file that says which ids a later daemon must not use.
pub fn write_ids(next: TransactionId) -> Vec<u8> {
    encode(IDS_FORMAT, &json!({ "next": next }))
}

/// The first id that is free.
pub fn read_ids(bytes: &[u8]) -> Result<TransactionId, Unreadable> {
    let content = decode(IDS_FORMAT, bytes)?;
    content["next"].as_u64().ok_or_else(|| Unreadable::Content("`next` is no id".into()))
}

fn json(stored: &impl Serialize) -> Json {
    serde_json::to_value(stored).expect("stored types have only string keys")
}

fn content<T: serde::de::DeserializeOwned>(json: Json) -> Result<T, Unreadable> {
    serde_json::from_value(json).map_err(|error| Unreadable::Content(error.to_string()))
}

/// With secrets: what is stored must lead back to them, and only root reads it.
fn state_to_json(state: &State) -> Json {
    let mut state = state.clone();
    state.reveal_secrets();
    json(&state)
}

fn state_from_json(what: &str, json: &Json) -> Result<State, Unreadable> {
    match Document::from_json(json).state() {
        Ok((state, _)) => Ok(state),
        Err(problems) => {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            Err(Unreadable::Content(format!("{what}: {first}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(json: Json) -> State {
        Document::from_json(&json).state().expect("a valid state").0
    }

    #[test]
    fn a_record_survives_the_disk_with_its_secrets() {
        let before = state(json!({"interfaces": [{
            "name": "macsec0", "type": "macsec", "state": "up", "mtu": 1400,
            "macsec": {"encrypt": true, "base-iface": "eth1", "mka-cak": "50b71a8ef0bd5751ea76de6d6c98c03a",
                "mka-ckn": "f2b4297d39da7330910a7abc0449feb45b5c0b9fc23df1430e1898fcf1c4550b", "port": 0,
                "validation": "strict", "send-sci": true}}]}));
        let record = Record {
            id: 7,
            boot_id: "b".into(),
            owner: Owner { uid: 0, pid: Some(3), via: "varlink".into() },
            created: 1_700_000_000,
            phase: Phase::AwaitingCommit,
            deadline: Duration::from_millis(60_500),
            deadline_wall: 1_700_000_060,
            backend: "fake".into(),
            before: Arc::new(Before {
                state: before,
                private: json!({"a": [1, 2]}),
                touched: Touched::default(),
            }),
            then: Arc::new(state(json!({"interfaces": []}))),
            diff: "+ macsec0".into(),
            warnings: vec!["w".into()],
            client_path: Some(ClientPath { interface: "eth1".into(), reasons: vec!["eth1: r".into()] }),
        };
        assert_eq!(Record::from_bytes(&record.to_bytes()), Ok(record));
    }

    #[test]
    fn ids_and_committed_survive_the_disk() {
        assert_eq!(read_ids(&write_ids(17)), Ok(17));
        let committed = Committed {
            last: 9,
            state: Arc::new(state(json!({"hostname": {"config": "h"}, "interfaces": []}))),
        };
        assert_eq!(Committed::from_bytes(&committed.to_bytes()), Ok(committed));
    }
}
