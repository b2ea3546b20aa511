//! The name on the bus, and what is told without being asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::fdo::{self, RequestNameFlags};
use zbus::message::Type;
use zbus::object_server::SignalEmitter;
use zbus::{Connection, MatchRule, MessageStream};

use super::convert;
use super::daemon::{BUS, BUS_PATH, CALLS, Daemon, Tied};
use super::objects::Objects;
use super::{NAME, PATH};
use crate::api::{Service, Shares, told_to};
use crate::engine::Events;
use crate::wire::Event;

/// Longest time for calls to be answered when the daemon stops.
const STOP_MAX: Duration = Duration::from_secs(2);

/// Why D-Bus is not served.
#[derive(Debug, Error)]
pub enum ServerError {
    #[error("cannot connect to the bus {bus}")]
    Connect { bus: String, source: zbus::Error },
    #[error("the name {NAME} has another owner on this bus")]
    NameTaken,
    #[error("cannot serve on the bus")]
    Serve(#[source] zbus::Error),
    #[error("the connection to the bus has ended")]
    Lost,
}

/// Connects to `system`, `session`, or the bus at an address.
pub async fn connect(bus: &str) -> Result<Connection, ServerError> {
    let builder = match bus {
        "system" => Builder::system(),
        "session" => Builder::session(),
        address => Builder::address(address),
    };
    let failed = |source| ServerError::Connect { bus: bus.to_owned(), source };
    builder.build().await.map_err(failed)
}

/// Serves D-Bus.
pub struct Server {
    bus: Connection,
    service: Service,
    tied: Arc<Tied>,
    calls: Shares,
    gone: MessageStream,
}

impl Server {
    /// Makes the main object, and then takes the name: who finds the name finds the object.
    pub async fn start(bus: Connection, service: Service, backend: &str) -> Result<Self, ServerError> {
        let tied = Arc::new(Tied::default());
        let gone = names_lost(&bus).await.map_err(ServerError::Serve)?;
        let calls = Shares::new(CALLS);
        let daemon = Daemon::new(service.clone(), backend.to_owned(), tied.clone(), calls.clone());
        let server = bus.object_server();
        server.at(PATH, daemon).await.map_err(ServerError::Serve)?;
        server.at(PATH, fdo::ObjectManager).await.map_err(ServerError::Serve)?;
        // Two daemons on one host would fight: the name is not taken from another, nor given away.
        let alone = RequestNameFlags::DO_NOT_QUEUE;
        bus.request_name_with_flags(NAME, alone).await.map_err(|error| match error {
            zbus::Error::NameTaken => ServerError::NameTaken,
            error => ServerError::Serve(error),
        })?;
        Ok(Self { bus, service, tied, calls, gone })
    }

    /// Tells what happens until told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), ServerError> {
        let mut events = self.service.events();
        let mut objects = Objects::new(self.bus.clone());
        loop {
            // None of these loses anything when it is dropped.
            let told = tokio::select! {
                () = told_to(&mut stop) => break,
                () = self.bus.closed() => return Err(ServerError::Lost),
                event = events.next() => match event {
                    Some(event) => self.tell(event, &mut events, &mut objects).await,
                    None => break,
                },
                () = objects.due() => objects.catch_up().await,
                Some(message) = self.gone.next() => self.let_go(message).await,
            };
            told.map_err(ServerError::Serve)?;
        }
        self.bus.release_name(NAME).await.map_err(ServerError::Serve)?;
        // Calls that came before get their answers, and the bus has them when it answers after.
        let answered = async {
            self.calls.all_free().await;
            self.bus.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetId", &()).await
        };
        // Who still asks by the unique name gets no more than this.
        let _ = timeout(STOP_MAX, answered).await;
        Ok(())
    }

    async fn tell(&self, event: Event, events: &mut Events, objects: &mut Objects) -> zbus::Result<()> {
        match event {
            Event::Transaction { transaction } => objects.update(transaction).await,
            Event::Network { revision } => {
                let emitter = SignalEmitter::new(&self.bus, PATH)?;
                Daemon::state_changed(&emitter, revision).await
            }
            Event::Drift { drift } => {
                let emitter = SignalEmitter::new(&self.bus, PATH)?;
                let mut entries = convert::drift(drift);
                entries.remove("diff");
                Daemon::drift_changed(&emitter, entries).await
            }
            Event::Lost { .. } => {
                *events = self.service.events();
                catch_up(events, objects).await
            }
        }
    }

    /// The transactions of a client that left the bus end with it.
    async fn let_go(&self, message: zbus::Result<zbus::Message>) -> zbus::Result<()> {
        let message = message?;
        let body = message.body();
        let (name, _old, _new): (&str, &str, &str) = body.deserialize()?;
        for id in self.tied.take(name) {
            self.service.disconnected(id).await;
        }
        Ok(())
    }
}

/// Reads the present transactions from new events; all others have ended.
async fn catch_up(events: &mut Events, objects: &mut Objects) -> zbus::Result<()> {
    let mut live = BTreeSet::new();
    // The present state ends with the revision of the network.
    while let Some(Event::Transaction { transaction }) = events.next().await {
        live.insert(transaction.id);
        objects.update(transaction).await?;
    }
    objects.retain(&live).await
}

/// The names that leave the bus.
async fn names_lost(bus: &Connection) -> zbus::Result<MessageStream> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender("org.freedesktop.DBus")
        .interface("org.freedesktop.DBus")
        .member("NameOwnerChanged")
        .arg(2, "")
        .build()?;
    MessageStream::for_match_rule(rule, bus, None).await
}
