//! One client.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::debug;
use varlink::{Interface, VarlinkService};

use super::framing::{FramingError, Incoming, Message};
use super::limits::{BUDGET_WAIT_MAX, FREE_BYTES, HANG_UP_LOOK, STALL_MAX};
use super::{INTERFACE, NAME, reply};
use crate::api::interactive::Interactive;
use crate::api::service::Step;
use crate::api::{Answer, Asked, Budget, Failure, Method, Service, Steps, told_to};
use crate::auth::Caller;
use crate::engine::{Events, Reply};
use crate::state::ErrorKind;
use crate::wire::TransactionId;

/// Transactions tied to one connection at a time: no more can be live.
const TIED_MAX: usize = 256;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) service: Service,
    /// For calls being received, and for answers being sent.
    pub(super) incoming: Budget,
    pub(super) outgoing: Budget,
}

/// A call without its parameters.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(default)]
    more: bool,
    #[serde(default)]
    oneway: bool,
    #[serde(default)]
    upgrade: bool,
    /// Of the parameters, only this; they are read when the caller may make the call.
    #[serde(default, rename = "parameters")]
    interactive: Interactive,
}

/// How a call is to be answered.
#[derive(Clone, Copy)]
struct Manner {
    more: bool,
    oneway: bool,
    /// Whether a person may be asked for a password first.
    interactive: bool,
}

/// Why a connection ends early.
enum End {
    /// The client is gone, does not read, or broke the protocol.
    Client,
    Io(io::Error),
}

/// Serves a client until it goes away or breaks a limit.
pub(super) async fn serve(stream: UnixStream, caller: Caller, shared: Shared, stop: watch::Receiver<bool>) {
    let (read, write) = stream.into_split();
    let incoming = Incoming::new(caller.uid, shared.incoming.clone());
    let mut connection = Connection { caller, shared, stop, read, write, incoming, tied: Vec::new() };
    if let Err(End::Io(error)) = connection.run().await {
        debug!(uid = connection.caller.uid, %error, "a client was lost");
    }
    connection.let_go().await;
}

struct Connection {
    caller: Caller,
    shared: Shared,
    stop: watch::Receiver<bool>,
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    incoming: Incoming,
    /// Transactions to be cancelled when this connection ends.
    tied: Vec<TransactionId>,
}

impl Connection {
    async fn run(&mut self) -> Result<(), End> {
        loop {
            let message = tokio::select! {
                message = self.incoming.next(&mut self.read) => message,
                () = told_to(&mut self.stop) => return Ok(()),
            };
            match message {
                Ok(Some(message)) => self.call(message).await?,
                Ok(None) => return Ok(()),
                Err(error) => return self.refuse(error).await,
            }
        }
    }

    /// Says why no more is read, and ends: where the next message would begin is not known.
    async fn refuse(&mut self, error: FramingError) -> Result<(), End> {
        let kind = match &error {
            FramingError::TooLong => ErrorKind::InvalidArgument,
            FramingError::NoMemory => ErrorKind::Busy,
            FramingError::TooSlow => return Err(End::Client),
            FramingError::Read(_) => return Err(End::Client),
        };
        self.send(reply::failure(&Failure::new(kind, error.to_string()))).await?;
        Err(End::Client)
    }

    async fn call(&mut self, message: Message) -> Result<(), End> {
        let Message { bytes, reserved: _reserved } = message;
        let length = bytes.len();
        let head = move || {
            let head = serde_json::from_slice::<Head<'_>>(&bytes).ok()?;
            // A connection that stops being varlink is something this service does not offer.
            let method = (!head.upgrade).then(|| head.method.into_owned())?;
            let Head { more, oneway, interactive: Interactive(interactive), .. } = head;
            Some((method, Manner { more, oneway, interactive }, bytes))
        };
        let Ok(Some((name, manner, bytes))) = self.shared.service.read(length, head).await else {
            return Err(End::Client);
        };
        let prefix = name.rsplit_once('.');
        match prefix {
            Some((NAME, member)) => match Method::named(member) {
                Some(Method::Monitor) if !manner.more => {
                    self.answer(manner, reply::protocol_error("ExpectedMore", "method", &name)).await
                }
                Some(method) => self.ask(method, manner, bytes).await,
                None => {
                    let error = reply::protocol_error("MethodNotFound", "method", &name);
                    self.answer(manner, error).await
                }
            },
            Some(("org.varlink.service", member)) => {
                let reply = about_service(member, &bytes);
                self.answer(manner, reply).await
            }
            _ => {
                let interface = prefix.map_or(name.as_str(), |(interface, _)| interface);
                let error = reply::protocol_error("InterfaceNotFound", "interface", interface);
                self.answer(manner, error).await
            }
        }
    }

    async fn ask(&mut self, method: Method, manner: Manner, call: Vec<u8>) -> Result<(), End> {
        let service = self.shared.service.clone();
        let caller = Caller { interactive: manner.interactive, ..self.caller.clone() };
        let admitted = tokio::select! {
            admitted = service.admit(&caller, method, call) => admitted,
            () = self.gone() => return Err(End::Client),
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(failure) => return self.answer(manner, reply::failure(&failure)).await,
        };
        let asked = service.run(admitted);
        let Asked { answer, ends_with_client } = match self.unless_gone(asked).await {
            Ok(asked) => asked,
            Err(failure) => return self.answer(manner, reply::failure(&failure)).await,
        };
        if let Some(id) = ends_with_client {
            self.tie(id).await;
        }
        match answer {
            Answer::Reply(reply @ Reply::State { .. }) => {
                let bytes = service.print(move || reply::answer(reply)).await;
                self.answer(manner, bytes.unwrap_or_else(|failure| reply::failure(&failure))).await
            }
            Answer::Reply(reply) => self.answer(manner, reply::answer(reply)).await,
            Answer::Steps(steps) => self.steps(steps, manner).await,
            Answer::Events(events) => self.events(events).await,
        }
    }

    /// Follows a transaction to its end; with `more`, tells every step.
    async fn steps(&mut self, mut steps: Steps, manner: Manner) -> Result<(), End> {
        loop {
            match self.unless_gone(steps.next()).await {
                Ok(Step::On(info)) => {
                    if manner.more {
                        self.answer(manner, reply::step(info, true)).await?;
                    }
                }
                Ok(Step::Last(info, Ok(()))) => {
                    return self.answer(manner, reply::step(info, false)).await;
                }
                Ok(Step::Last(info, Err(failure))) => {
                    if manner.more {
                        self.answer(manner, reply::step(info, true)).await?;
                    }
                    return self.answer(manner, reply::failure(&failure)).await;
                }
                Err(failure) => return self.answer(manner, reply::failure(&failure)).await,
            }
        }
    }

    /// Tells what happens until the client goes away.
    async fn events(&mut self, mut events: Events) -> Result<(), End> {
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = self.incoming.ended(&mut self.read) => return Err(End::Client),
                () = told_to(&mut self.stop) => None,
            };
            let Some(event) = event else {
                let stopping = Failure::new(ErrorKind::Cancelled, "the daemon is stopping");
                return self.send(reply::failure(&stopping)).await;
            };
            self.send(reply::event(&event)).await?;
        }
    }

    /// Completes when the client has closed its socket, not when it only stopped sending. Dropping
    /// the future loses nothing.
    async fn gone(&mut self) {
        self.incoming.ended(&mut self.read).await;
        // A client that stopped sending before is looked at now and then.
        while !is_hung_up(&self.read) {
            sleep(HANG_UP_LOOK).await;
        }
    }

    /// Waits for something, and meanwhile learns if the client goes away. A client that only
    /// stopped sending still gets its answer.
    async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        if !self.incoming.has_ended() {
            tokio::select! {
                done = &mut work => return done,
                () = self.incoming.ended(&mut self.read) => self.let_go().await,
            }
        }
        work.await
    }

    /// Remembers that a transaction ends with this connection.
    async fn tie(&mut self, id: TransactionId) {
        self.tied.push(id);
        if self.incoming.has_ended() {
            self.let_go().await;
        } else if self.tied.len() > TIED_MAX {
            // The queue is shorter than that: the oldest has ended.
            self.tied.remove(0);
        }
    }

    /// The transactions of this connection end with it.
    async fn let_go(&mut self) {
        for id in self.tied.drain(..) {
            self.shared.service.disconnected(id).await;
        }
    }

    async fn answer(&mut self, manner: Manner, bytes: Vec<u8>) -> Result<(), End> {
        if manner.oneway { Ok(()) } else { self.send(bytes).await }
    }

    /// Sends bytes to a reader that takes them. A long answer waits for its share of the memory.
    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), End> {
        let budget = self.shared.outgoing.clone();
        let _reserved = if bytes.len() > FREE_BYTES {
            let reserved = timeout(BUDGET_WAIT_MAX, budget.wait(self.caller.uid, bytes.len())).await;
            Some(reserved.map_err(|_| End::Client)?)
        } else {
            None
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let written = match timeout(STALL_MAX, self.write.write(rest)).await {
                Err(_) => return Err(End::Client),
                Ok(written) => written.map_err(End::Io)?,
            };
            rest = &rest[written..];
        }
        Ok(())
    }
}

/// Whether the other end is closed in both directions (POLLHUP, poll(2)).
fn is_hung_up(stream: &OwnedReadHalf) -> bool {
    let socket: &UnixStream = stream.as_ref();
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
    // What cannot be looked at is taken for a client that is there.
    let _ = poll(&mut fds, PollTimeout::ZERO);
    fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
}

/// The interface that every varlink service has.
fn about_service(member: &str, call: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Call {
        parameters: Option<Described>,
    }
    #[derive(Deserialize)]
    struct Described {
        interface: String,
    }
    let own = VarlinkService::new("nmstate", "nmstated", "", "", Vec::new());
    match member {
        "GetInfo" => reply::last(json!({
            "vendor": "nmstate",
            "product": "nmstated",
            "version": env!("CARGO_PKG_VERSION"),
            "url": "",
            "interfaces": [own.get_name(), NAME],
        })),
        "GetInterfaceDescription" => {
            let interface = serde_json::from_slice::<Call>(call)
                .ok()
                .and_then(|call| call.parameters)
                .map(|described| described.interface);
            match interface.as_deref() {
                Some(NAME) => reply::last(json!({ "description": INTERFACE })),
                Some(name) if name == own.get_name() => {
                    reply::last(json!({ "description": own.get_description() }))
                }
                Some(name) => reply::protocol_error("InterfaceNotFound", "interface", name),
                None => reply::protocol_error("InvalidParameter", "parameter", "interface"),
            }
        }
        _ => reply::protocol_error("MethodNotFound", "method", &format!("org.varlink.service.{member}")),
    }
}
