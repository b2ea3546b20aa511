//! The types that cross the bus and the socket, the same on D-Bus, varlink and in the client.
//! Field names have no hyphen (varlink allows none).

mod configuration;
mod probe;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

pub use configuration::{ConfigurationInfo, FileInfo, Program};
pub use probe::{Family, Host, NotAProbe, PROBES_MAX, Probe};

/// Number of a transaction: counts up for the life of the state directory.
pub type TransactionId = u64;

/// Where a transaction is (design: transactions and checkpoints).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Queued,
    Planning,
    Applying,
    Verifying,
    Probing,
    AwaitingCommit,
    Committing,
    RollingBack,
    // The ends.
    Committed,
    Unchanged,
    RolledBack,
    Failed,
    Cancelled,
}

impl Stage {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Applying => "applying",
            Self::Verifying => "verifying",
            Self::Probing => "probing",
            Self::AwaitingCommit => "awaiting-commit",
            Self::Committing => "committing",
            Self::RollingBack => "rolling-back",
            Self::Committed => "committed",
            Self::Unchanged => "unchanged",
            Self::RolledBack => "rolled-back",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn is_end(self) -> bool {
        self >= Self::Committed
    }
}

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub uid: u32,
    pub pid: Option<u32>,
    /// How the client came: a D-Bus name, `varlink`, or `nmstated` for the daemon itself, with `:`
    /// and the name of a boot document.
    pub via: String,
}

/// An error as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorInfo {
    pub kind: String,
    pub message: String,
    /// Place in the document, as `interfaces[2].ipv4.address[0].ip`; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The interface that it concerns, when it is known to concern one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The other problems of the same document, and what could not be restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<ErrorInfo>,
}

/// How far a step-wise stage is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressInfo {
    pub n: u32,
    pub of: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    pub text: String,
}

/// A transaction, live or ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TransactionInfo {
    pub id: TransactionId,
    pub owner: Owner,
    pub stage: Stage,
    /// Wall clock, seconds since 1970, for people.
    pub created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressInfo>,
    /// Seconds until an uncommitted change is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
    /// Why it failed or was rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
    /// What a rollback could not put back, item by item.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unrestored: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The difference as text for people; empty until planned.
    #[serde(default)]
    pub diff: String,
    /// Present when the client said where it sits, and the change touches the way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_path: Option<ClientPath>,
}

/// How a change touches the path by which its client came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientPath {
    /// The interface by which packets leave for the client.
    pub interface: String,
    /// What happens to the path, in sentences for a person; at least one.
    pub reasons: Vec<String>,
}

/// A plan as clients see it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanInfo {
    /// Whether applying would change anything.
    pub changes: Vec<Json>,
    /// The same as text for people.
    pub diff: String,
    pub warnings: Vec<String>,
    /// Present when the client said where it sits, and the change would touch the way to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_path: Option<ClientPath>,
}

/// Something that happened. Streams start with the present state, then carry these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "nearly all events are transactions")]
pub enum Event {
    /// A transaction is new, changed its stage or made a step.
    Transaction { transaction: TransactionInfo },
    /// The network changed; at most 5 times a second.
    Network { revision: u64 },
    /// Drift has appeared, is another, or is gone (then its count is 0); without its `diff`.
    Drift { drift: DriftInfo },
    /// The reader was too slow: this many events were lost.
    Lost { count: u64 },
}

/// The daemon at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusInfo {
    pub version: String,
    pub backend: String,
    /// Why this backend.
    pub backend_reason: String,
    pub interface_types: Vec<String>,
    pub revision: u64,
    pub queued: u32,
    /// The transaction being worked on, and the one that awaits commit.
    pub transactions: Vec<TransactionInfo>,
    /// What puts the network back when nobody commits: `daemon`, and behind it `systemd-timer`.
    #[serde(default)]
    pub safety_nets: Vec<String>,
    /// What needs a person: an incomplete rollback, an unreadable record set aside.
    pub alerts: Vec<String>,
    /// The documents that the daemon applies by itself, in order.
    #[serde(default)]
    pub boot_documents: Vec<DocumentInfo>,
    /// None: the network is as it was committed, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftStatus>,
}

/// A document that the daemon applies by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentInfo {
    /// Its name in the folder; the folder for what concerns all of them.
    pub file: String,
    pub outcome: DocumentOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction: Option<TransactionId>,
}

/// How a [`DocumentInfo`] stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentOutcome {
    /// Its turn has not come.
    Waiting,
    /// By this daemon, with the content that it has now.
    Applied,
    /// It was applied with this content earlier.
    Unchanged,
    /// It is not applied.
    Failed,
}

impl DocumentOutcome {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

/// Drift at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftStatus {
    /// Fields that differ, and things that cannot be had now.
    pub count: u64,
    /// Wall clock, seconds since 1970: when the daemon first saw any.
    pub since: u64,
}

/// How the network differs from what is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftInfo {
    /// Wall clock, seconds since 1970: when the daemon first saw any; None for no drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Items and problems, also those beyond the number that is listed.
    pub count: u64,
    pub items: Vec<DriftItem>,
    /// What is committed and cannot be had on this machine now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ErrorInfo>,
    /// What leads back, as text for people.
    #[serde(default)]
    pub diff: String,
}

/// One field that is not as it was committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftItem {
    /// What it belongs to, as `interface eth0`.
    pub subject: String,
    /// Its place in the document, elements of lists by name: `interfaces[eth0].ipv4.address[192.0.2.1]`.
    pub path: String,
    /// What was asked for, on one line; None: that it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What is there; None: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
}

/// Options of a request by their API names, a string-keyed dictionary; an unknown one is an error.
pub type Options = Map<String, Json>;
