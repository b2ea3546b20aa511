//! The keeper: the one task that owns the connection to the bus and keeps the image.
//!
//! It reads one stream of messages, answers and signals in the order in which they were sent, and
//! never waits for one answer: what NetworkManager does not answer keeps nothing else waiting.
//! At rest it does nothing.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use zbus::message::Type;
use zbus::{Message, MessageStream, connection};

use super::Error;
use super::bus::{Outgoing, Shared, SyncRequest, ToSend};
use super::call::{DEVICE, MANAGER, MANAGER_PATH, NAME, PROFILE, PROPERTIES, Target};
use super::live::{Doubts, Live, Question};
use super::window::Window;

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const OBJECTS: &str = "org.freedesktop.DBus.ObjectManager";
/// Where all of NetworkManager's objects are below.
const ROOT: &str = "/org/freedesktop";

/// What is listened to: whatever NetworkManager says, whoever it is, and who it is.
const RULES: [&str; 2] = [
    "type='signal',sender='org.freedesktop.NetworkManager'",
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',\
     member='NameOwnerChanged',arg0='org.freedesktop.NetworkManager'",
];

/// Messages followed before readers and other tasks get their turn.
const BATCH: usize = 256;
/// Messages that wait to be followed; further ones wait on the bus.
const QUEUE: NonZeroUsize = NonZeroUsize::new(1024).expect("it is not zero");
/// Round trips of sync requests under way; further requests wait.
const BARRIERS_MAX: usize = 16;
/// NetworkManager is asked about what is in doubt once it has said nothing for so long, so that it is not kept
/// from its work, and a device which is being activated is asked about once. A sync does not wait for it.
const QUIET: Duration = Duration::from_millis(300);
/// The same where it never is quiet.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// Longest wait for the bus to accept us, and between two attempts.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Keeps the image. Whoever opens a [`super::bus::Client`] runs it.
#[derive(Debug)]
pub struct Keeper {
    address: Option<String>,
    shared: Arc<Shared>,
    to_send: ToSend,
    requests: mpsc::Receiver<SyncRequest>,
    /// The connection to begin with.
    first: Option<MessageStream>,
}

pub(super) async fn open(
    address: Option<&str>,
    shared: Arc<Shared>,
    to_send: ToSend,
    requests: mpsc::Receiver<SyncRequest>,
) -> Result<Keeper, Error> {
    let first = Some(connect(address).await?);
    Ok(Keeper { address: address.map(str::to_owned), shared, to_send, requests, first })
}

async fn connect(address: Option<&str>) -> Result<MessageStream, Error> {
    let builder = match address {
        Some(address) => connection::Builder::address(address),
        None => connection::Builder::system(),
    };
    match timeout(CONNECT_MAX, builder.max_queued(QUEUE).build()).await {
        Ok(Ok(bus)) => Ok(MessageStream::from(bus)),
        Ok(Err(error)) => Err(Error::disconnected(&format!("cannot connect to the bus: {error}"))),
        Err(_) => Err(Error::disconnected("the bus does not accept us in time")),
    }
}

/// Why a connection is not used any more.
enum End {
    /// Nobody asks any more.
    Unused,
    Lost(Error),
}

impl Keeper {
    /// Keeps the image until the last client is dropped. A bus that is lost is connected to again.
    pub async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        let mut stream = self.first.take();
        loop {
            let connected = match stream.take() {
                Some(stream) => Ok(stream),
                None => connect(self.address.as_deref()).await,
            };
            let error = match connected {
                Ok(stream) => {
                    pause = PAUSE_MIN;
                    match self.keep(stream).await {
                        End::Unused => return,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            tracing::warn!(%error, "the bus of NetworkManager is lost");
            self.shared.lose(&mut self.to_send, &error);
            if !self.refuse_for(pause, &error).await {
                return;
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// While there is no bus. Returns whether anybody may still ask.
    async fn refuse_for(&mut self, pause: Duration, error: &Error) -> bool {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return true,
                request = self.requests.recv() => match request {
                    // A caller that has gone needs no answer.
                    Some(request) => drop(request.done.send(Err(error.clone()))),
                    None => return false,
                },
            }
        }
    }

    /// Keeps the image on one connection.
    async fn keep(&mut self, mut stream: MessageStream) -> End {
        let Self { shared, to_send, requests, .. } = self;
        let bus = zbus::Connection::from(&stream);
        let mut kept = Kept::new(Arc::clone(shared));
        let window = Arc::clone(&kept.window);
        if let Err(error) = kept.listen() {
            return End::Lost(error);
        }
        let writing = write(&bus, shared, &window, to_send);
        tokio::pin!(writing);
        loop {
            let settle_at = kept.settle_at;
            tokio::select! {
                message = stream.next() => {
                    if let Err(error) = kept.follow(message, &mut stream) {
                        return End::Lost(error);
                    }
                    // A storm of messages does not keep others from their turn.
                    tokio::task::yield_now().await;
                }
                error = &mut writing => return End::Lost(error),
                request = requests.recv(), if kept.may_ask() => match request {
                    Some(request) => kept.synchronise(request),
                    None => return End::Unused,
                },
                () = reached(settle_at) => kept.change(|live| live.settle(Doubts::AtRest)),
            }
        }
    }
}

/// Writes what is to be sent, in order, as far as answers come; what does not wait for its turn, at once. Ends only with
/// an error.
async fn write(bus: &zbus::Connection, shared: &Shared, window: &Window, to_send: &mut ToSend) -> Error {
    let mut outgoing = Vec::new();
    loop {
        let ToSend { in_turn, express } = &mut *to_send;
        let next_in_turn = async {
            window.opened().await;
            in_turn.recv().await
        };
        let next = tokio::select! {
            biased;
            next = express.recv() => next,
            next = next_in_turn => next,
        };
        let Some(next) = next else { return Error::disconnected("nobody sends any more") };
        outgoing.push(next);
        while outgoing.len() < window.room()
            && let Ok(next) = in_turn.try_recv()
        {
            outgoing.push(next);
        }
        outgoing.retain(|outgoing| shared.is_wanted(outgoing));
        let messages: Vec<Message> = outgoing.drain(..).map(|outgoing| outgoing.message).collect();
        for message in &messages {
            window.sent(message.primary_header().serial_num());
        }
        if let Err(error) = bus.send_all(&messages).await {
            return Error::disconnected(&format!("cannot write to the bus: {error}"));
        }
    }
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What we asked, by ourselves.
#[derive(Debug)]
enum Asked {
    /// To be told signals.
    Match,
    /// Who NetworkManager is.
    Owner,
    Nm(Question),
}

/// The image on one connection, and what is under way on it.
struct Kept {
    shared: Arc<Shared>,
    window: Arc<Window>,
    live: Live,
    asked: BTreeMap<NonZeroU32, Asked>,
    /// We know who NetworkManager is, or that it is not there.
    is_known: bool,
    /// Requests that wait until everything has been read.
    parked: Vec<SyncRequest>,
    barriers: BTreeMap<u64, Vec<oneshot::Sender<Result<(), Error>>>>,
    last_barrier: u64,
    /// Since when something is in doubt, and when it is asked about.
    doubted: Option<Instant>,
    settle_at: Option<Instant>,
}

impl Kept {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            window: Arc::default(),
            live: Live::default(),
            asked: BTreeMap::new(),
            is_known: false,
            parked: Vec::new(),
            barriers: BTreeMap::new(),
            last_barrier: 0,
            doubted: None,
            settle_at: None,
        }
    }

    fn listen(&mut self) -> Result<(), Error> {
        let bus = |method| Target { owner: BUS, path: BUS_PATH, interface: BUS, method };
        for rule in RULES {
            self.ask(Asked::Match, bus("AddMatch").with(&rule)?);
        }
        self.ask(Asked::Owner, bus("GetNameOwner").with(&NAME)?);
        Ok(())
    }

    fn ask(&mut self, asked: Asked, message: Message) {
        self.asked.insert(message.primary_header().serial_num(), asked);
        self.shared.send(Outgoing { message, is_call: false });
    }

    /// Follows a message and those that have come with it.
    fn follow(
        &mut self,
        first: Option<zbus::Result<Message>>,
        stream: &mut MessageStream,
    ) -> Result<(), Error> {
        let mut message = first;
        let mut answers = Vec::new();
        let mut result = Ok(());
        self.change_with(|kept| {
            for left in (0..BATCH).rev() {
                result = match message.take() {
                    Some(Ok(message)) => kept.take(message, &mut answers),
                    Some(Err(error)) => {
                        Err(Error::disconnected(&format!("cannot read from the bus: {error}")))
                    }
                    None => Err(Error::disconnected("the bus has closed the connection")),
                };
                let next = if left > 0 && result.is_ok() { stream.next().now_or_never() } else { None };
                match next {
                    Some(next) => message = next,
                    None => break,
                }
            }
        });
        // Whoever is answered sees at least as much in the image.
        for (serial, answer) in answers {
            self.answer(serial, answer);
        }
        result
    }

    /// Gives an answer to who awaits it.
    fn answer(&mut self, serial: NonZeroU32, answer: Result<Message, Error>) {
        let Some(waiting) = self.shared.take(serial) else { return };
        if let Some(device) = &waiting.reapplies {
            self.change(|live| live.doubt(device));
        }
        // Who does not wait any more need not know.
        let _ = waiting.answer.send(answer);
    }

    /// One message. Answers to others' calls are put aside.
    fn take(
        &mut self,
        message: Message,
        answers: &mut Vec<(NonZeroU32, Result<Message, Error>)>,
    ) -> Result<(), Error> {
        let header = message.header();
        let sender = header.sender().map(|sender| sender.as_str());
        // Anybody on the bus can send us anything.
        let is_of_bus = sender == Some(BUS);
        let is_of_owner = sender.is_some() && sender == self.live.owner();
        if is_of_owner {
            self.shared.listen();
        }
        match header.message_type() {
            Type::Signal if is_of_owner => {
                self.live.signal(&message, |profile| self.shared.keeps(profile));
            }
            Type::Signal if is_of_bus => {
                let is_owner_changed = header.member().is_some_and(|member| member == "NameOwnerChanged");
                if is_owner_changed
                    && let Ok((name, _, new)) = message.body().deserialize::<(String, String, String)>()
                    && name == NAME
                {
                    self.owner_is(Some(new).filter(|new| !new.is_empty()));
                }
            }
            kind @ (Type::MethodReturn | Type::Error) => {
                let Some(serial) = header.reply_serial() else { return Ok(()) };
                self.window.answered(serial);
                if !(is_of_owner || is_of_bus) {
                    return Ok(());
                }
                if is_of_owner {
                    self.shared.hear();
                }
                let answer = if kind == Type::Error { Err(refusal(&message)) } else { Ok(message.clone()) };
                match self.asked.remove(&serial) {
                    Some(Asked::Match) => drop(answer?),
                    Some(Asked::Owner) if is_of_bus => {
                        // An error says that there is none.
                        let owner = answer.ok().and_then(|answer| answer.body().deserialize().ok());
                        self.owner_is(owner);
                    }
                    Some(Asked::Nm(question)) => {
                        self.live.answered(question, answer.as_ref().map_err(Clone::clone))
                    }
                    Some(Asked::Owner) => {}
                    None => answers.push((serial, answer)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn owner_is(&mut self, owner: Option<String>) {
        self.is_known = true;
        if self.live.owner() == owner.as_deref() {
            return;
        }
        if self.live.owner().is_some() {
            tracing::info!("NetworkManager has left the bus");
            self.shared.losses.send_modify(|losses| *losses += 1);
        }
        if let Some(owner) = &owner {
            tracing::info!(%owner, "NetworkManager is on the bus");
        }
        // Answers of the former one are of no use, and none will come to what nobody was asked.
        self.asked.retain(|_, asked| !matches!(asked, Asked::Nm(_)));
        for done in std::mem::take(&mut self.barriers).into_values().flatten() {
            // A caller that has gone needs no answer.
            let _ = done.send(Err(Error::no_reply("NetworkManager was stopped or restarted")));
        }
        self.live.owner_changed(owner);
    }

    fn change(&mut self, change: impl FnOnce(&mut Live)) {
        self.change_with(|kept| change(&mut kept.live));
    }

    /// Changes the image, shows it, and asks what is to be asked because of that.
    fn change_with(&mut self, change: impl FnOnce(&mut Self)) {
        let shared = Arc::clone(&self.shared);
        let has_doubts = {
            let mut shown = shared.lock_image();
            if self.live.is_ready() {
                self.live.image = shown.take();
            }
            change(self);
            let changed = self.live.take_changed();
            // What is in doubt is judged by the image, which is given away below.
            let has_doubts = self.live.has_doubts();
            let revision = *shared.revision.borrow() + u64::from(changed);
            if let Some(image) = self.live.image.as_mut().filter(|_| changed) {
                Arc::make_mut(image).revision = revision;
            }
            *shown = if self.live.is_ready() { self.live.image.take() } else { None };
            drop(shown);
            if changed {
                shared.revision.send_replace(revision);
            }
            has_doubts
        };
        self.ask_questions();
        for number in self.live.take_passed() {
            for done in self.barriers.remove(&number).into_iter().flatten() {
                // A caller that has gone needs no answer.
                let _ = done.send(Ok(()));
            }
        }
        self.put_off(has_doubts);
        self.unpark();
    }

    /// NetworkManager has just said something.
    fn put_off(&mut self, has_doubts: bool) {
        if has_doubts {
            let now = Instant::now();
            let since = *self.doubted.get_or_insert(now);
            self.settle_at = Some((now + QUIET).min(since + QUIET_MAX));
        } else {
            (self.doubted, self.settle_at) = (None, None);
        }
    }

    fn ask_questions(&mut self) {
        for question in self.live.take_questions() {
            // Without an owner there are no questions.
            let Some(owner) = self.live.owner() else { return };
            let to = |path, interface, method| Target { owner, path, interface, method };
            let message = match &question {
                Question::Objects => to(ROOT, OBJECTS, "GetManagedObjects").with(&()),
                Question::Contents(path) => to(path, PROFILE, "GetSettings").with(&()),
                Question::Secrets(path, setting) => to(path, PROFILE, "GetSecrets").with(setting),
                Question::Applied(path) => to(path, DEVICE, "GetAppliedConnection").with(&0u32),
                Question::Barrier(..) => to(MANAGER_PATH, PROPERTIES, "Get").with(&(MANAGER, "Startup")),
            };
            match message {
                Ok(message) => self.ask(Asked::Nm(question), message),
                // Paths come from the bus, which has checked them.
                Err(error) => tracing::warn!(%error, ?question, "NetworkManager cannot be asked"),
            }
        }
    }

    fn may_ask(&self) -> bool {
        self.barriers.len() < BARRIERS_MAX && self.parked.len() < BARRIERS_MAX
    }

    fn synchronise(&mut self, request: SyncRequest) {
        self.parked.push(request);
        self.unpark();
    }

    /// Answers parked requests, or begins their round trip, once it is known how.
    fn unpark(&mut self) {
        if self.parked.is_empty() || !self.is_known {
            return;
        }
        let refusal = match self.live.owner() {
            None => Some(Error::absent()),
            Some(_) => self.live.refused().cloned(),
        };
        if let Some(error) = refusal {
            for request in self.parked.drain(..) {
                // A caller that has gone needs no answer.
                let _ = request.done.send(Err(error.clone()));
            }
        } else if self.live.is_ready() {
            self.last_barrier += 1;
            let mut all = Vec::new();
            let mut doubts = Doubts::Known;
            let mut reread = Vec::new();
            for request in self.parked.drain(..) {
                if request.doubts == Doubts::All {
                    doubts = Doubts::All;
                }
                reread.extend(request.reread);
                all.push(request.done);
            }
            self.barriers.insert(self.last_barrier, all);
            self.live.barrier(self.last_barrier, doubts, reread);
            self.ask_questions();
        }
    }
}

impl Drop for Kept {
    /// No answer will come on this connection.
    fn drop(&mut self) {
        let parked = self.parked.drain(..).map(|request| request.done);
        for done in parked.chain(std::mem::take(&mut self.barriers).into_values().flatten()) {
            // A caller that has gone needs no answer.
            let _ = done.send(Err(Error::disconnected("the bus is gone")));
        }
    }
}

/// What an error reply says.
fn refusal(message: &Message) -> Error {
    let header = message.header();
    let name = header.error_name().map(|name| name.as_str()).unwrap_or_default();
    // Errors have a text by custom only.
    let text = message.body().deserialize::<String>().unwrap_or_default();
    Error::new(name, &text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn kept() -> Kept {
        let (shared, _to_send) = Shared::new();
        let mut kept = Kept::new(shared);
        kept.change_with(|kept| kept.owner_is(Some(":1.5".to_owned())));
        kept
    }

    fn owner_changed(sender: &str, new: &str) -> Message {
        Message::signal(BUS_PATH, BUS, "NameOwnerChanged")
            .sender(sender)
            .build(&(NAME, ":1.5", new))
            .expect("a message")
    }

    #[test]
    fn only_the_bus_says_who_is_networkmanager() {
        let mut kept = kept();
        for (sender, owner) in [(":1.66", Some(":1.5")), (":1.5", Some(":1.5")), (BUS, None)] {
            kept.take(owner_changed(sender, ""), &mut Vec::new()).expect("it is followed");
            assert_eq!(kept.live.owner(), owner, "said by {sender}");
        }
        assert_eq!(*kept.shared.losses.borrow(), 1);
    }

    /// It may be on its way for hours, without a lease.
    #[test]
    fn a_device_on_its_way_is_not_asked_about_until_it_has_arrived() {
        const PATH: &str = "/org/freedesktop/NetworkManager/Devices/1";
        type Properties<'a> = HashMap<&'a str, zbus::Variant<'a>>;
        type Objects<'a> = HashMap<zbus::ObjectPath<'a>, HashMap<&'a str, Properties<'a>>>;
        let mut kept = kept();
        let path = |path| zbus::ObjectPath::try_from(path).expect("a path");
        let active = path("/org/freedesktop/NetworkManager/ActiveConnection/1");
        let (serial, _) = kept.asked.iter().next().expect("the objects were asked for");
        let call = Message::method_call("/", "M").serial(*serial).build(&()).expect("a message");
        let none = Message::method_return(&call.header()).sender(":1.5").build(&Objects::new());
        let device: Properties<'_> =
            HashMap::from([("State", 70u32.into()), ("ActiveConnection", active.into())]);
        let added = (path(PATH), HashMap::from([(DEVICE, device)]));
        let added = Message::signal(ROOT, OBJECTS, "InterfacesAdded").sender(":1.5").build(&added);
        let arrived =
            Message::signal(PATH, DEVICE, "StateChanged").sender(":1.5").build(&(100u32, 70u32, 0u32));
        for (message, is_asked) in [(none, false), (added, false), (arrived, true)] {
            kept.change_with(|kept| {
                kept.take(message.expect("a message"), &mut Vec::new()).expect("it is followed");
            });
            assert_eq!(kept.settle_at.is_some(), is_asked);
        }
    }

    #[test]
    fn only_who_was_asked_answers() {
        let mut kept = kept();
        let (serial, asked) = kept
            .asked
            .iter()
            .next()
            .map(|(serial, asked)| (*serial, format!("{asked:?}")))
            .expect("the objects were asked for");
        assert!(asked.contains("Objects"), "{asked}");
        let refused = |sender: &'static str| {
            let call = Message::method_call("/", "M").serial(serial).build(&()).expect("a message");
            let name = "org.freedesktop.DBus.Error.AccessDenied";
            Message::error(&call.header(), name).sender(sender).build(&"no").expect("a message")
        };
        let mut answers = Vec::new();
        kept.take(refused(":1.66"), &mut answers).expect("it is passed over");
        assert!(kept.asked.contains_key(&serial) && kept.live.refused().is_none());
        kept.take(refused(BUS), &mut answers).expect("it is followed");
        assert_eq!(kept.live.refused().map(ToString::to_string).as_deref(), Some("no"));
        assert!(answers.is_empty());
    }
}
