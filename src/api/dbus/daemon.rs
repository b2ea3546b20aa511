//! The main object.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};
use tokio::sync::Notify;
use tracing::debug;
use zbus::message::{Flags, Header};
use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedVariant};

use super::convert::{self, Dict, Options};
use super::error::BusError;
use crate::api::budget::Limits;
use crate::api::{Answer, Asked, Budget, Method, Service, Shares};
use crate::auth::Caller;
use crate::engine::Reply;
use crate::state::ErrorKind;
use crate::wire::{ConfigurationInfo, TransactionId};

/// Calls being answered at a time.
pub(super) const CALLS: Limits = Limits { total: 256, for_root: 32, per_uid: 64 };
/// Documents in memory together: so much for root, so much for others.
const BUDGET_BYTES: usize = 64 << 20;
/// A document so long costs nothing of the budget.
const FREE_BYTES: usize = 64 << 10;

/// The bus itself.
pub(super) const BUS: &str = "org.freedesktop.DBus";
pub(super) const BUS_PATH: &str = "/org/freedesktop/DBus";

/// The main object.
pub(super) struct Daemon {
    service: Service,
    calls: Shares,
    budget: Budget,
    backend: String,
    tied: Arc<Tied>,
}

/// Transactions that end with a client of the bus.
#[derive(Default)]
pub(super) struct Tied {
    by_client: Mutex<Vec<(String, TransactionId)>>,
    /// Who waits for a client to leave.
    watches: Mutex<Vec<(String, Arc<Notify>)>>,
}

/// A client being watched.
struct Watch<'a> {
    tied: &'a Tied,
    gone: Arc<Notify>,
}

impl Watch<'_> {
    /// Completes when the client has left the bus.
    async fn come(&self) {
        self.gone.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut watches = self.tied.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|(_, gone)| !Arc::ptr_eq(gone, &self.gone));
    }
}

impl Tied {
    /// Most ties remembered: more cannot be live.
    const MAX: usize = 256;

    fn add(&self, client: &str, id: TransactionId) {
        let mut ties = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        ties.push((client.to_owned(), id));
        if ties.len() > Self::MAX {
            ties.remove(0);
        }
    }

    /// As many as there are calls, whose number has a limit.
    fn watch(&self, client: &str) -> Watch<'_> {
        let gone = Arc::new(Notify::new());
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.push((client.to_owned(), gone.clone()));
        Watch { tied: self, gone }
    }

    /// Forgets a client that is gone; answers with its transactions.
    pub(super) fn take(&self, client: &str) -> Vec<TransactionId> {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, gone) in watches.iter().filter(|(name, _)| name == client) {
            gone.notify_one();
        }
        drop(watches);
        let mut ties = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        ties.extract_if(.., |(name, _)| name == client).map(|(_, id)| id).collect()
    }
}

/// A call as it came.
struct Call<'a> {
    bus: &'a Connection,
    header: Header<'a>,
    options: Option<Options>,
}

impl<'a> Call<'a> {
    fn plain(bus: &'a Connection, header: Header<'a>) -> Self {
        Self { bus, header, options: None }
    }

    fn with(bus: &'a Connection, header: Header<'a>, options: Options) -> Self {
        Self { bus, header, options: Some(options) }
    }
}

impl Daemon {
    pub(super) fn new(service: Service, backend: String, tied: Arc<Tied>, calls: Shares) -> Self {
        Self { service, calls, budget: Budget::new(BUDGET_BYTES), backend, tied }
    }

    /// Answers a call; `Apply` when the transaction has ended or awaits commit.
    async fn ask(&self, call: Call<'_>, method: Method, mut parameters: Json) -> Result<Reply, BusError> {
        let Call { bus, header, options } = call;
        let name = header.sender().map(|name| name.as_str()).unwrap_or_default();
        let interactive = header.primary().flags().contains(Flags::ALLOW_INTERACTIVE_AUTH);
        // Watched before the bus is asked for it: a name that leaves later is noticed.
        let gone = interactive.then(|| self.tied.watch(name));
        let caller = caller(bus, name, interactive).await?;
        let _place = self.calls.take(caller.uid).ok_or_else(|| busy("calls"))?;
        if let Some(options) = options {
            parameters["options"] = convert::options(options)?;
        }
        let call = json!({ "parameters": parameters }).to_string().into_bytes();
        let _reserved = match call.len() {
            ..=FREE_BYTES => None,
            long => Some(self.budget.take(caller.uid, long).ok_or_else(|| busy("long documents"))?),
        };
        let admitted = self.service.admit(&caller, method, call);
        let admitted = match gone {
            None => admitted.await?,
            Some(gone) => tokio::select! {
                admitted = admitted => admitted?,
                () = gone.come() => return Err(BusError::new(ErrorKind::Cancelled, "its client went away")),
            },
        };
        let Asked { answer, ends_with_client } = self.service.run(admitted).await?;
        if let Some(id) = ends_with_client {
            self.tied.add(name, id);
            // It may have gone before it was tied.
            if credentials(bus, name).await.is_err() {
                for id in self.tied.take(name) {
                    self.service.disconnected(id).await;
                }
            }
        }
        match answer {
            Answer::Reply(reply) => Ok(reply),
            Answer::Steps(steps) => Ok(Reply::Transaction(steps.end().await?)),
            Answer::Events(_) => Err(unexpected()),
        }
    }

    async fn transaction(&self, call: Call<'_>, method: Method, parameters: Json) -> Result<Dict, BusError> {
        match self.ask(call, method, parameters).await? {
            Reply::Transaction(info) => Ok(convert::transaction(info)),
            _ => Err(unexpected()),
        }
    }

    async fn transactions(
        &self,
        call: Call<'_>,
        method: Method,
        parameters: Json,
    ) -> Result<Vec<Dict>, BusError> {
        match self.ask(call, method, parameters).await? {
            Reply::Transactions(infos) => Ok(infos.into_iter().map(convert::transaction).collect()),
            _ => Err(unexpected()),
        }
    }

    async fn state(
        &self,
        call: Call<'_>,
        method: Method,
        parameters: Json,
    ) -> Result<(String, u64), BusError> {
        match self.ask(call, method, parameters).await? {
            Reply::State { state, revision } => {
                let text = self.service.print(move || serde_json::to_string(&*state)).await?;
                let text = text.map_err(|_| BusError::new(ErrorKind::Bug, "a state does not print"))?;
                Ok((text, revision))
            }
            _ => Err(unexpected()),
        }
    }
}

/// 0 says: none given.
fn given(id: u64) -> Option<u64> {
    Some(id).filter(|id| *id != 0)
}

fn busy(what: &str) -> BusError {
    BusError::new(ErrorKind::Busy, &format!("there are too many {what} at work, try again"))
}

fn unexpected() -> BusError {
    BusError::new(ErrorKind::Bug, "the engine answered something else")
}

/// Who sent a message, as the bus knows.
async fn caller(bus: &Connection, name: &str, interactive: bool) -> Result<Caller, BusError> {
    let (uid, pid) = credentials(bus, name).await.map_err(|error| {
        debug!(name, %error, "the bus does not know a caller");
        BusError::new(ErrorKind::PermissionError, "the bus does not know who you are")
    })?;
    Ok(Caller::on_bus(name, uid, pid, interactive))
}

/// Method GetConnectionCredentials of the bus (D-Bus specification).
async fn credentials(bus: &Connection, name: &str) -> zbus::Result<(u32, Option<u32>)> {
    let reply = bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetConnectionCredentials", &name).await?;
    let body = reply.body();
    let known: HashMap<String, OwnedVariant> = body.deserialize()?;
    let number = |key| match known.get(key).map(|value| &**value) {
        Some(zbus::Variant::U32(value)) => Some(*value),
        _ => None,
    };
    let uid = number("UnixUserID").ok_or(zbus::Error::MissingField)?;
    Ok((uid, number("ProcessID")))
}

/// Makes the network of this host match a document in the nmstate schema. Documents are YAML or
/// JSON text, states are JSON text. An unknown option is an error. The options, and the entries of
/// what is answered, are those of the varlink interface of the same name.
#[zbus::interface(name = "io.nmstate.Daemon")]
impl Daemon {
    /// The present state of the network, at one revision. Options: kernel_only b,
    /// running_config_only b, show_secrets b.
    #[zbus(out_args("state", "revision"))]
    async fn show(
        &self,
        options: Options,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u64), BusError> {
        self.state(Call::with(bus, header, options), Method::Show, json!({})).await
    }

    /// What applying the document would change; changes nothing. Options: override_interfaces b,
    /// memory_only b, client_address s, server_address s, restore b, backend s (refused if another
    /// has this host's network).
    #[zbus(out_args("plan"))]
    async fn plan(
        &self,
        document: &str,
        options: Options,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "document": document });
        match self.ask(Call::with(bus, header, options), Method::Plan, parameters).await? {
            Reply::Plan(info) => Ok(convert::plan(info)),
            _ => Err(unexpected()),
        }
    }

    /// Checks a document against the present state.
    #[zbus(out_args("warnings"))]
    async fn validate(
        &self,
        document: &str,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<String>, BusError> {
        let parameters = json!({ "document": document });
        match self.ask(Call::plain(bus, header), Method::Validate, parameters).await? {
            Reply::Warnings(warnings) => Ok(warnings.into_iter().map(convert::text).collect()),
            _ => Err(unexpected()),
        }
    }

    /// Applies a document; answers when the transaction has ended or awaits commit. One that
    /// failed, was rolled back or cancelled is answered by its error. Options:
    /// override_interfaces b, memory_only b, verify b, commit b, timeout_s u, wait b, join t,
    /// cancel_on_disconnect b, client_address s, server_address s, backend s, restore b (what is committed,
    /// once more; the document is empty), probes as (what must still hold after the change: gateway,
    /// gateway:ipv4, gateway:ipv6, resolve:NAME, tcp:HOST:PORT, run:/PATH; without it those of the
    /// daemon's configuration). A change that touches the way to client_address awaits commit.
    #[zbus(out_args("transaction"))]
    async fn apply(
        &self,
        document: &str,
        options: Options,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "document": document });
        self.transaction(Call::with(bus, header, options), Method::Apply, parameters).await
    }

    /// Queues a document; answers at once. Options: those of Apply.
    #[zbus(out_args("transaction"))]
    async fn submit(
        &self,
        document: &str,
        options: Options,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "document": document });
        self.transaction(Call::with(bus, header, options), Method::Submit, parameters).await
    }

    /// Keeps what awaits commit. Id 0: the only pending checkpoint.
    #[zbus(out_args("transaction"))]
    async fn commit(
        &self,
        id: u64,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "id": given(id) });
        self.transaction(Call::plain(bus, header), Method::Commit, parameters).await
    }

    /// Returns to the state before. Id 0: the only pending checkpoint.
    #[zbus(out_args("transaction"))]
    async fn rollback(
        &self,
        id: u64,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "id": given(id) });
        self.transaction(Call::plain(bus, header), Method::Rollback, parameters).await
    }

    /// Moves the deadline of what awaits commit by so many seconds. Id 0: the only pending
    /// checkpoint.
    #[zbus(out_args("transaction"))]
    async fn extend(
        &self,
        id: u64,
        seconds: u32,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        let parameters = json!({ "id": given(id), "seconds": seconds });
        self.transaction(Call::plain(bus, header), Method::Extend, parameters).await
    }

    /// Ends a transaction that is queued or at work; what it did is undone.
    #[zbus(out_args("transaction"))]
    async fn cancel(
        &self,
        id: u64,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        self.transaction(Call::plain(bus, header), Method::Cancel, json!({ "id": id })).await
    }

    /// The document that leads back to the present state, which is of this revision, after the
    /// one sent was applied.
    #[zbus(out_args("state", "revision"))]
    async fn generate_revert(
        &self,
        document: &str,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u64), BusError> {
        let parameters = json!({ "document": document });
        self.state(Call::plain(bus, header), Method::GenerateRevert, parameters).await
    }

    /// What of a document would change something where the network is as the old state says; with
    /// an empty one, as it is now, which is of this revision.
    #[zbus(out_args("state", "revision"))]
    async fn generate_difference(
        &self,
        document: &str,
        old: &str,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u64), BusError> {
        let parameters = json!({ "document": document, "oldDocument": old });
        self.state(Call::plain(bus, header), Method::GenerateDifference, parameters).await
    }

    /// The files of another program (names and contents) that say what a document says, with its
    /// secrets, and warnings about what they leave out. The program: NetworkManager (keyfiles; when it
    /// is empty), netplan-networkd or netplan-NetworkManager. The present state has no part in it: a
    /// policy that captures from it is refused.
    #[zbus(out_args("files", "warnings"))]
    async fn generate_configuration(
        &self,
        document: &str,
        program: &str,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<(String, String)>, Vec<String>), BusError> {
        let parameters = json!({ "document": document, "program": program });
        match self.ask(Call::plain(bus, header), Method::GenerateConfiguration, parameters).await? {
            Reply::Configuration(ConfigurationInfo { files, warnings }) => {
                let text = convert::text;
                let files = files.into_iter().map(|file| (text(file.name), text(file.content))).collect();
                Ok((files, warnings.into_iter().map(text).collect()))
            }
            _ => Err(unexpected()),
        }
    }

    /// What a policy comes to on the present state, which is of this revision. Wherever a document
    /// is taken, a policy is, too.
    #[zbus(out_args("state", "revision"))]
    async fn resolve_policy(
        &self,
        document: &str,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(String, u64), BusError> {
        let parameters = json!({ "document": document });
        self.state(Call::plain(bus, header), Method::ResolvePolicy, parameters).await
    }

    /// The live transactions.
    #[zbus(out_args("transactions"))]
    async fn list(
        &self,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Dict>, BusError> {
        self.transactions(Call::plain(bus, header), Method::List, json!({})).await
    }

    /// One transaction, live or from the history.
    #[zbus(out_args("transaction"))]
    async fn log(
        &self,
        id: u64,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        self.transaction(Call::plain(bus, header), Method::Log, json!({ "id": id })).await
    }

    /// Ended transactions, the newest first, at most so many.
    #[zbus(out_args("transactions"))]
    async fn history(
        &self,
        limit: u32,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Vec<Dict>, BusError> {
        let parameters = json!({ "limit": limit });
        self.transactions(Call::plain(bus, header), Method::History, parameters).await
    }

    /// The daemon at a glance.
    #[zbus(out_args("status"))]
    async fn get_status(
        &self,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        match self.ask(Call::plain(bus, header), Method::GetStatus, json!({})).await? {
            Reply::Status(info) => Ok(convert::status(info)),
            _ => Err(unexpected()),
        }
    }

    /// How the network differs from what is committed: the entries of the varlink type DriftInfo.
    #[zbus(out_args("drift"))]
    async fn drift(
        &self,
        #[zbus(connection)] bus: &Connection,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<Dict, BusError> {
        match self.ask(Call::plain(bus, header), Method::Drift, json!({})).await? {
            Reply::Drift(info) => Ok(convert::drift(info)),
            _ => Err(unexpected()),
        }
    }

    /// The version of the daemon.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    /// What carries out changes on this host.
    #[zbus(property(emits_changed_signal = "const"))]
    fn backend(&self) -> &str {
        &self.backend
    }

    /// The network changed; Show has this revision or a later one. At most 5 times a second.
    #[zbus(signal)]
    pub(super) async fn state_changed(emitter: &SignalEmitter<'_>, revision: u64) -> zbus::Result<()>;

    /// A transaction is new, is at another stage, or made progress (this at most 5 times a
    /// second). The entries are those of Log, without diff.
    #[zbus(signal)]
    pub(super) async fn transaction_changed(
        emitter: &SignalEmitter<'_>,
        id: u64,
        stage: &str,
        transaction: Dict,
    ) -> zbus::Result<()>;

    /// Drift has appeared, is another, or is gone (count 0). The entries are those of Drift, without
    /// diff.
    #[zbus(signal)]
    pub(super) async fn drift_changed(emitter: &SignalEmitter<'_>, drift: Dict) -> zbus::Result<()>;
}
