//! The client: calls leave in the order they are started, answers are awaited in any.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use zbus::Message;

use super::call::Form;
use super::image::{Image, ObjectPath};
use super::keeper::{self, Keeper};
use super::live::Doubts;
use super::supplicant::Refusals;
use super::{Answer, Call, Error};

/// How long an answer is awaited: as long as others on D-Bus do. NetworkManager works calls off one by
/// one, so that a long row of them may take longer, as long as it answers the others.
pub const ANSWER_MAX: Duration = Duration::from_secs(25);
/// How long an answer is awaited altogether.
pub const ANSWERS_MAX: Duration = Duration::from_secs(300);
/// Calls that await an answer, or to be sent, at a time; more are refused.
pub const CALLS_MAX: usize = 4096;
/// Waiting sync requests. Callers beyond wait to be queued.
const SYNC_QUEUE: usize = 16;

/// A handle to NetworkManager. Cheap to clone; the [`Keeper`] behind it must be run.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
    requests: mpsc::Sender<SyncRequest>,
    /// Calls go to this process alone.
    owner: Option<String>,
    /// Of the bus; None: the system bus.
    address: Option<Arc<str>>,
}

/// What clients and the keeper have in common.
#[derive(Debug)]
pub(super) struct Shared {
    /// None while NetworkManager is not on the bus, or not yet read.
    image: Mutex<Option<Arc<Image>>>,
    pub revision: watch::Sender<u64>,
    pub losses: watch::Sender<u64>,
    /// Bounded by [`CALLS_MAX`], and for the keeper's own by the objects there are.
    outbox: mpsc::UnboundedSender<Outgoing>,
    /// What does not wait for its turn.
    express: mpsc::UnboundedSender<Outgoing>,
    waiting: Mutex<BTreeMap<NonZeroU32, Waiting>>,
    /// When NetworkManager answered last.
    heard: Mutex<Option<Instant>>,
    /// When it said anything last.
    spoke: Mutex<Option<Instant>>,
}

/// The end of [`Shared`] where what is to be sent comes out.
#[derive(Debug)]
pub(super) struct ToSend {
    pub in_turn: mpsc::UnboundedReceiver<Outgoing>,
    pub express: mpsc::UnboundedReceiver<Outgoing>,
}

impl ToSend {
    fn try_recv(&mut self) -> Option<Outgoing> {
        self.express.try_recv().or_else(|_| self.in_turn.try_recv()).ok()
    }
}

/// A message to be sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub message: Message,
    /// A client's call, which is not sent any more once nobody awaits its answer.
    pub is_call: bool,
}

/// A call whose answer is awaited.
#[derive(Debug)]
pub(super) struct Waiting {
    pub answer: oneshot::Sender<Result<Message, Error>>,
    /// The device whose applied connection the call changes.
    pub reapplies: Option<ObjectPath>,
    /// The profile that the call leaves as it is, though NetworkManager will say that it was updated.
    pub keeps: Option<ObjectPath>,
}

/// Asks the keeper to answer once the image has all that NetworkManager said before.
#[derive(Debug)]
pub(super) struct SyncRequest {
    pub doubts: Doubts,
    /// Devices whose applied connections are read again.
    pub reread: Vec<ObjectPath>,
    pub done: oneshot::Sender<Result<(), Error>>,
}

impl Shared {
    /// With the end where what is to be sent comes out.
    pub(super) fn new() -> (Arc<Self>, ToSend) {
        let (outbox, in_turn) = mpsc::unbounded_channel();
        let (express, at_once) = mpsc::unbounded_channel();
        let to_send = ToSend { in_turn, express: at_once };
        let shared = Self {
            image: Mutex::default(),
            revision: watch::Sender::new(0),
            losses: watch::Sender::new(0),
            outbox,
            express,
            waiting: Mutex::default(),
            heard: Mutex::default(),
            spoke: Mutex::default(),
        };
        (Arc::new(shared), to_send)
    }

    pub(super) fn lock_image(&self) -> MutexGuard<'_, Option<Arc<Image>>> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn image(&self) -> Option<Arc<Image>> {
        self.lock_image().clone()
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<NonZeroU32, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends behind everything that was sent before.
    pub(super) fn send(&self, outgoing: Outgoing) {
        // Without a keeper nobody awaits an answer: its end ends all waits.
        let _ = self.outbox.send(outgoing);
    }

    /// Sends before what still waits for its turn.
    fn send_first(&self, outgoing: Outgoing) {
        // As above.
        let _ = self.express.send(outgoing);
    }

    /// Whether it is to be sent.
    pub(super) fn is_wanted(&self, outgoing: &Outgoing) -> bool {
        let serial = outgoing.message.primary_header().serial_num();
        !outgoing.is_call || self.waiting().contains_key(&serial)
    }

    /// NetworkManager has answered something.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn heard(&self) -> Option<Instant> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// NetworkManager has said something: it is at work.
    pub(super) fn listen(&self) {
        *self.spoke.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn spoke(&self) -> Option<Instant> {
        *self.spoke.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who awaits the answer to the message with that number.
    pub(super) fn take(&self, serial: NonZeroU32) -> Option<Waiting> {
        self.waiting().remove(&serial)
    }

    /// Whether a call is under way that leaves this profile as it is.
    pub(super) fn keeps(&self, profile: &str) -> bool {
        self.waiting().values().any(|waiting| waiting.keeps.as_deref() == Some(profile))
    }

    /// The bus is lost: what was not sent yet must not be, and no answer will come to what was.
    pub(super) fn lose(&self, to_send: &mut ToSend, error: &Error) {
        let all = {
            let mut waiting = self.waiting();
            if self.lock_image().take().is_some() {
                self.losses.send_modify(|losses| *losses += 1);
                self.revision.send_modify(|revision| *revision += 1);
            }
            // Names and paths mean others on another connection.
            while to_send.try_recv().is_some() {}
            std::mem::take(&mut *waiting)
        };
        for waiting in all.into_values() {
            // Who does not wait any more need not know.
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }
}

/// Forgets a call whose answer nobody awaits any more.
struct Sent {
    shared: Arc<Shared>,
    serial: NonZeroU32,
    answer: oneshot::Receiver<Result<Message, Error>>,
    form: Form,
    started: Instant,
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.shared.take(self.serial);
    }
}

impl Sent {
    async fn answer(mut self) -> Result<Answer, Error> {
        let mut until = self.started + ANSWER_MAX;
        loop {
            match timeout_at(until, &mut self.answer).await {
                Ok(Ok(message)) => return self.form.read(&message?),
                Ok(Err(_)) => return Err(Error::disconnected("nobody listens to the bus any more")),
                Err(_) => {}
            }
            // It may have been busy with the calls before this one.
            let later = self.shared.heard().map(|heard| heard + ANSWER_MAX);
            match later.map(|later| later.min(self.started + ANSWERS_MAX)).filter(|later| *later > until) {
                Some(later) => until = later,
                None => break,
            }
        }
        let seconds = self.started.elapsed().as_secs();
        Err(Error::no_reply(&format!("NetworkManager does not answer within {seconds} s")))
    }
}

impl Client {
    /// Connects to the system bus, or to the bus at that address. NetworkManager need not be there.
    pub async fn open(address: Option<&str>) -> Result<(Self, Keeper), Error> {
        let (send_request, requests) = mpsc::channel(SYNC_QUEUE);
        let (shared, to_send) = Shared::new();
        let keeper = keeper::open(address, Arc::clone(&shared), to_send, requests).await?;
        let address = address.map(Arc::from);
        Ok((Self { shared, requests: send_request, owner: None, address }, keeper))
    }

    /// A client for what was decided on that image: its calls reach the process that the image is of,
    /// or nobody. Paths mean other objects to another process.
    pub fn of(&self, image: &Image) -> Self {
        Self { owner: Some(image.owner.clone()), ..self.clone() }
    }

    /// Logins with 802.1X that are refused from now on.
    pub async fn refusals(&self) -> Result<Refusals, Error> {
        Refusals::listen(self.address.as_deref()).await
    }

    /// Everything that NetworkManager knows; None while it is not on the bus, or not read yet.
    pub fn image(&self) -> Option<Arc<Image>> {
        self.shared.image()
    }

    /// Changes with every change of the image, and when NetworkManager comes or goes.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revision.subscribe()
    }

    /// How often NetworkManager was lost: checkpoints and activations went with it.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.shared.losses.subscribe()
    }

    /// Returns once everything is in the image that NetworkManager said before this call, with what had
    /// to be asked because of it; but what a new activation runs with, which is what is stored, may not be
    /// known yet. While it is being read, that is awaited.
    pub async fn sync(&self) -> Result<(), Error> {
        self.synced(Doubts::Known, Vec::new()).await
    }

    /// As [`sync`](Self::sync), and whatever runs is known. It is asked what these devices run with: who else
    /// reapplies does not tell.
    pub async fn sync_applied(&self, devices: &[ObjectPath]) -> Result<(), Error> {
        self.synced(Doubts::All, devices.to_vec()).await
    }

    async fn synced(&self, doubts: Doubts, reread: Vec<ObjectPath>) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        let request = SyncRequest { doubts, reread, done };
        let over = || Error::disconnected("nobody listens to the bus any more");
        let synced = async {
            self.requests.send(request).await.map_err(|_| over())?;
            answer.await.map_err(|_| over())?
        };
        tokio::pin!(synced);
        let start = Instant::now();
        let mut until = start + ANSWER_MAX;
        loop {
            if let Ok(result) = timeout_at(until, &mut synced).await {
                return result;
            }
            // With hundreds of links on their way it answers nothing for a while, but tells what becomes of them.
            let later = self.shared.spoke().map(|spoke| (spoke + ANSWER_MAX).min(start + ANSWERS_MAX));
            match later.filter(|later| *later > until) {
                Some(later) => until = later,
                None => break,
            }
        }
        Err(Error::no_reply("NetworkManager does not say what it knows in time"))
    }

    /// Sends a call now, behind all that were started before; one that keeps our checkpoint, before those that are
    /// not sent yet. The answer may be awaited later. At most a hundred await their answer at NetworkManager, the
    /// others follow as it answers. A call that is dropped before it could be sent is not sent. It fails if no
    /// answer comes within [`ANSWER_MAX`] of its start and of any other answer.
    pub fn start(&self, call: Call) -> impl Future<Output = Result<Answer, Error>> + Send + use<> {
        let sent = self.send(&call);
        async move { sent?.answer().await }
    }

    fn send(&self, call: &Call) -> Result<Sent, Error> {
        // What is asked of an image that is lost meanwhile is lost with it.
        let mut waiting = self.shared.waiting();
        let image = self.image().ok_or_else(Error::absent)?;
        if self.owner.as_ref().is_some_and(|owner| *owner != image.owner) {
            return Err(Error::no_reply("NetworkManager was restarted"));
        }
        let (message, form) = call.message(&image.owner)?;
        let serial = message.primary_header().serial_num();
        let (answer, receiver) = oneshot::channel();
        if waiting.len() >= CALLS_MAX {
            return Err(Error::too_much("too many calls await an answer of NetworkManager"));
        }
        waiting.insert(
            serial,
            Waiting { answer, reapplies: call.reapplies().cloned(), keeps: call.keeps().cloned() },
        );
        let outgoing = Outgoing { message, is_call: true };
        if call.is_express() {
            self.shared.send_first(outgoing)
        } else {
            self.shared.send(outgoing)
        }
        let shared = Arc::clone(&self.shared);
        Ok(Sent { shared, serial, answer: receiver, form, started: Instant::now() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client without a keeper: nothing is sent, and answers come from the test.
    fn alone() -> (Client, ToSend) {
        let (shared, to_send) = Shared::new();
        *shared.lock_image() = Some(Arc::new(Image { owner: ":1.5".to_owned(), ..Image::default() }));
        let (requests, _) = mpsc::channel(SYNC_QUEUE);
        (Client { shared, requests, owner: None, address: None }, to_send)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_awaited_as_long_as_others_come_and_not_forever() {
        let (client, _to_send) = alone();
        let start = Instant::now();
        let error = client.start(Call::ReloadConnections).await.expect_err("nobody answers");
        assert!(error.is_absent_service());
        assert_eq!(start.elapsed().as_secs(), 25);

        let start = Instant::now();
        let call = tokio::spawn(client.start(Call::ReloadConnections));
        tokio::time::sleep(Duration::from_secs(20)).await;
        client.shared.hear();
        call.await.expect("it ends").expect_err("nobody answers");
        assert_eq!(start.elapsed().as_secs(), 45);

        let start = Instant::now();
        let call = tokio::spawn(client.start(Call::ReloadConnections));
        while !call.is_finished() {
            client.shared.hear();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!((300..=301).contains(&start.elapsed().as_secs()));
        assert!(client.shared.waiting().is_empty());
    }

    #[tokio::test]
    async fn a_call_is_sent_in_its_turn_unless_it_was_dropped() {
        let (client, mut to_send) = alone();
        let first = client.start(Call::ReloadConnections);
        let dropped = client.start(Call::SaveHostname { name: "a".to_owned() });
        let last = client.start(Call::SaveHostname { name: "b".to_owned() });
        drop(dropped);
        let mut sent = Vec::new();
        while let Some(outgoing) = to_send.try_recv() {
            if client.shared.is_wanted(&outgoing) {
                sent.push(outgoing.message);
            }
        }
        assert_eq!(sent.len(), 2);
        assert!(sent.is_sorted_by_key(|message| message.primary_header().serial_num()));
        // Answered in the other order.
        for message in sent.iter().rev() {
            let waiting = client.shared.take(message.primary_header().serial_num()).expect("it is awaited");
            let answer = Message::method_return(&message.header()).build(&()).expect("a message");
            waiting.answer.send(Ok(answer)).expect("it is awaited");
        }
        assert_eq!((first.await, last.await), (Ok(Answer::Done), Ok(Answer::Done)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_looks_waits_as_long_as_anything_is_said() {
        let (client, _to_send) = alone();
        let (requests, mut asked) = mpsc::channel(SYNC_QUEUE);
        let client = Client { requests, ..client };
        let start = Instant::now();
        let shared = Arc::clone(&client.shared);
        let looking = tokio::spawn(async move { client.sync().await });
        // Nobody answers it.
        let _request = asked.recv().await.expect("it is asked");
        tokio::time::sleep(Duration::from_secs(20)).await;
        shared.listen();
        looking.await.expect("it ends").expect_err("nobody answers");
        assert_eq!(start.elapsed().as_secs(), 45);
    }

    #[tokio::test]
    async fn what_keeps_the_checkpoint_does_not_wait_for_its_turn() {
        let (client, mut to_send) = alone();
        let _first = client.start(Call::ReloadConnections);
        let _last = client.start(Call::CheckpointAdjust { path: "/checkpoint/1".into(), timeout_s: 60 });
        let members = std::iter::from_fn(|| to_send.try_recv()).map(|outgoing| {
            let header = outgoing.message.header();
            header.member().expect("it is a call").to_string()
        });
        let members: Vec<String> = members.collect();
        assert_eq!(members, ["CheckpointAdjustRollbackTimeout", "ReloadConnections"]);
    }

    #[tokio::test]
    async fn what_was_not_sent_to_a_bus_that_is_lost_never_is() {
        let (client, mut to_send) = alone();
        let call = client.start(Call::ReloadConnections);
        client.shared.lose(&mut to_send, &Error::disconnected("the bus is gone"));
        assert!(to_send.try_recv().is_none());
        assert!(call.await.expect_err("nobody answers").is_absent_service());
        assert_eq!(client.start(Call::ReloadConnections).await, Err(Error::absent()));
        assert_eq!((*client.losses().borrow(), *client.revisions().borrow()), (1, 1));
    }
}
