//! The connection to the database: one task keeps it, handles ask it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::error::{Ended, Error};
use super::framing::Frames;
use super::image::{Image, monitored};
use super::message::{self, Message};
use super::op::{self, Op};
use crate::system::Door;

/// Where Open vSwitch's database listens (ovsdb-server(1), `punix:`).
pub const SOCKET: &str = "/run/openvswitch/db.sock";

/// The database (ovs-vswitchd.conf.db(5)).
const DATABASE: &str = "Open_vSwitch";
/// Longest time for each answer, and for the first image.
const ANSWER: Duration = Duration::from_secs(10);
/// Requests that wait to be sent. Callers beyond wait to be queued.
const QUEUE: usize = 16;
/// Requests without answer; more are not sent.
const PENDING_MAX: usize = 64;
/// Bytes read at once.
const READ: usize = 64 << 10;

/// How long to wait before the next attempt without being told that something changed: a socket is
/// bound before it listens, and who is not let in at first may be so later.
const RETRIES: [Duration; 6] = [
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(60),
];

/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(10);

/// What handles ask of the keeper.
#[derive(Debug)]
enum Request {
    Sync(oneshot::Sender<()>),
    Transact { operations: Json, reply: oneshot::Sender<Result<Vec<Json>, Error>> },
}

/// What is known.
#[derive(Debug, Default)]
struct Shown {
    image: Option<Arc<Image>>,
    /// Why there is no image.
    missing: Option<String>,
}

/// A handle to the database.
#[derive(Clone, Debug)]
pub struct Database {
    shown: Arc<Mutex<Shown>>,
    requests: mpsc::Sender<Request>,
    revisions: watch::Receiver<u64>,
}

impl Database {
    /// The tables as they are; None while there is no database.
    pub fn image(&self) -> Option<Arc<Image>> {
        lock(&self.shown).image.clone()
    }

    /// Why there is no image, in words.
    pub fn missing(&self) -> Option<String> {
        lock(&self.shown).missing.clone()
    }

    /// Changes with every change of the image, and when the database comes or goes.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.clone()
    }

    /// Waits until the image shows all that the database knew before this call: it tells what changed
    /// before it answers. Where there is none, one more attempt is made to reach it. Bounded in time.
    pub async fn sync(&self) -> Result<(), Error> {
        let (done, wait) = oneshot::channel();
        self.requests.send(Request::Sync(done)).await.map_err(|_| Error::Stopped)?;
        wait.await.map_err(|_| Error::Stopped)
    }

    /// Carries out operations, all or none (RFC 7047, 4.1.3), and gives the result of each. The image
    /// shows them then; what Open vSwitch makes of them comes later. Bounded in time.
    pub async fn transact(&self, operations: Vec<Op>) -> Result<Vec<Json>, Error> {
        if operations.is_empty() {
            return Ok(Vec::new());
        }
        let operations = op::operations(DATABASE, &operations);
        let (reply, wait) = oneshot::channel();
        let request = Request::Transact { operations, reply };
        self.requests.send(request).await.map_err(|_| Error::Stopped)?;
        wait.await.map_err(|_| Error::Stopped)?
    }
}

/// Keeps the image. Whoever opens it runs it; it ends with the last [`Database`].
#[derive(Debug)]
pub struct Keeper {
    path: PathBuf,
    shown: Arc<Mutex<Shown>>,
    requests: mpsc::Receiver<Request>,
    revisions: watch::Sender<u64>,
    door: Door,
}

/// A handle to the database behind a socket, and the keeper that must be run. Nothing is asked
/// before that; [`Database::sync`] waits for the first attempt.
pub fn open(path: &Path) -> (Database, Keeper) {
    let (send, requests) = mpsc::channel(QUEUE);
    let (revisions, revised) = watch::channel(0);
    let shown = Arc::new(Mutex::new(Shown { image: None, missing: Some("not asked yet".into()) }));
    let database = Database { shown: Arc::clone(&shown), requests: send, revisions: revised };
    let keeper = Keeper { path: path.to_owned(), shown, requests, revisions, door: Door::new(path) };
    (database, keeper)
}

impl Keeper {
    /// Follows the database, whenever it is there.
    pub async fn run(mut self) {
        // Those who wait for an attempt.
        let mut waiting: Vec<oneshot::Sender<()>> = Vec::new();
        let mut failures = 0;
        loop {
            self.door.arm();
            let ended = match Session::open(&self.path).await {
                Ok((session, image)) => {
                    self.door.disarm();
                    let since = Instant::now();
                    tracing::info!(path = %self.path.display(), "following Open vSwitch's database");
                    self.show(Shown { image: Some(Arc::new(image)), missing: None });
                    waiting.drain(..).for_each(answer);
                    let Some(ended) = self.follow(session).await else { return };
                    tracing::warn!(reason = ended.chain(), "Open vSwitch's database is gone");
                    // Who lets in and hangs up again and again is not asked every 10 ms.
                    if since.elapsed() > STEADY {
                        failures = 0;
                    }
                    ended
                }
                Err(ended) => ended,
            };
            self.show(Shown { image: None, missing: Some(ended.chain()) });
            waiting.drain(..).for_each(answer);
            // Who asked meanwhile has the answer as well.
            while let Ok(request) = self.requests.try_recv() {
                match request {
                    Request::Sync(done) => answer(done),
                    Request::Transact { reply, .. } => missing(reply, &ended),
                }
            }
            let pause = pause(&ended, failures);
            failures += 1;
            tokio::select! {
                () = self.door.opened() => failures = 0,
                () = pause_until(pause.map(|pause| Instant::now() + pause)) => {}
                request = self.requests.recv() => match request {
                    None => return,
                    Some(Request::Sync(done)) => waiting.push(done),
                    Some(Request::Transact { reply, .. }) => missing(reply, &ended),
                },
            }
        }
    }

    /// Shows something else than before.
    fn show(&self, new: Shown) {
        let mut shown = lock(&self.shown);
        let is_other = shown.image != new.image || shown.missing.is_some() != new.missing.is_some();
        *shown = new;
        drop(shown);
        if is_other {
            self.revisions.send_modify(|revision| *revision += 1);
        }
    }

    /// Serves one connection. None: nobody is interested any more.
    async fn follow(&mut self, mut session: Session) -> Option<Ended> {
        loop {
            let is_free = session.pending.len() < PENDING_MAX;
            let deadline = session.pending.values().map(|pending| pending.deadline).min();
            let step = tokio::select! {
                read = session.read() => match read {
                    Ok(()) => self.take_in(&mut session).await,
                    Err(ended) => Err(ended),
                },
                request = self.requests.recv(), if is_free => match request {
                    Some(request) => session.ask(request).await,
                    None => return None,
                },
                () = pause_until(deadline) => Err(Ended::Late),
            };
            if let Err(ended) = step {
                session.abandon(&ended);
                return Some(ended);
            }
        }
    }

    /// Everything that was read, and then one new image.
    async fn take_in(&self, session: &mut Session) -> Result<(), Ended> {
        let mut image: Option<Image> = None;
        let mut answers = Vec::new();
        while let Some(bytes) = session.frames.next()? {
            match Message::read(&bytes)? {
                Message::Request { id, method, params } => {
                    session.send(&message::answer(id, &method, params)).await?;
                }
                Message::Notification { method, params } if method == "update" => {
                    let image = image.get_or_insert_with(|| {
                        lock(&self.shown).image.as_deref().cloned().unwrap_or_default()
                    });
                    image.update(params.get(1).unwrap_or(&Json::Null))?;
                }
                Message::Notification { .. } => {}
                // Nobody waits for an answer to what was never asked.
                Message::Reply { id, result } => {
                    answers.extend(session.pending.remove(&id).map(|pending| (pending, result)));
                }
            }
        }
        if let Some(image) = image {
            self.show(Shown { image: Some(Arc::new(image)), missing: None });
        }
        answers.into_iter().for_each(|(pending, result)| pending.waits.answer(result));
        Ok(())
    }
}

/// How long until the next attempt by itself; None: not before something happens.
fn pause(ended: &Ended, failures: usize) -> Option<Duration> {
    let again = RETRIES.get(failures).copied();
    match ended {
        // Where nobody listens, there is nobody to ask again and again.
        Ended::Connect { source, .. } if source.kind() == std::io::ErrorKind::NotFound => None,
        Ended::Connect { .. } => again,
        // Somebody is there.
        _ => again.or(RETRIES.last().copied()),
    }
}

async fn pause_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn lock<T>(shown: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Plain data, replaced as a whole.
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

fn missing(reply: oneshot::Sender<Result<Vec<Json>, Error>>, ended: &Ended) {
    // Whoever gave up waiting needs no answer.
    let _ = reply.send(Err(Error::Missing(ended.chain())));
}

fn answer(waiting: oneshot::Sender<()>) {
    // Whoever gave up waiting needs no answer.
    let _ = waiting.send(());
}

/// A request that was sent.
#[derive(Debug)]
struct Pending {
    waits: Waits,
    deadline: Instant,
}

#[derive(Debug)]
enum Waits {
    Sync(oneshot::Sender<()>),
    Transact(oneshot::Sender<Result<Vec<Json>, Error>>),
}

impl Waits {
    fn answer(self, result: Result<Json, Json>) {
        match self {
            Self::Sync(done) => answer(done),
            Self::Transact(reply) => {
                // Whoever gave up waiting needs no answer.
                let _ = reply.send(op::results(result));
            }
        }
    }
}

/// One connection that follows the database.
#[derive(Debug)]
struct Session {
    stream: UnixStream,
    frames: Frames,
    bytes: Box<[u8]>,
    pending: BTreeMap<u64, Pending>,
    last_id: u64,
}

impl Session {
    /// Connects, and reads the tables.
    async fn open(path: &Path) -> Result<(Self, Image), Ended> {
        let deadline = Instant::now() + ANSWER;
        let connected = timeout_at(deadline, UnixStream::connect(path)).await.map_err(|_| Ended::Late)?;
        let failed = |source| Ended::Connect { path: path.display().to_string(), source };
        let mut session = Self {
            stream: connected.map_err(failed)?,
            frames: Frames::default(),
            bytes: vec![0; READ].into(),
            pending: BTreeMap::new(),
            last_id: 0,
        };
        let image = timeout_at(deadline, session.load()).await.map_err(|_| Ended::Late)??;
        Ok((session, image))
    }

    async fn load(&mut self) -> Result<Image, Ended> {
        let id = self.next_id();
        let monitor = message::request(id, "monitor", json!([DATABASE, null, monitored()]));
        self.send(&monitor).await?;
        loop {
            self.read().await?;
            while let Some(bytes) = self.frames.next()? {
                match Message::read(&bytes)? {
                    Message::Reply { id: of, result } if of == id => {
                        let tables = result.map_err(|error| Ended::Refused(op::words(&error)))?;
                        let mut image = Image::default();
                        image.update(&tables)?;
                        return Ok(image);
                    }
                    Message::Request { id, method, params } => {
                        self.send(&message::answer(id, &method, params)).await?;
                    }
                    Message::Reply { .. } | Message::Notification { .. } => {}
                }
            }
        }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    async fn ask(&mut self, request: Request) -> Result<(), Ended> {
        let id = self.next_id();
        let (text, waits) = match request {
            Request::Sync(done) => (message::request(id, "echo", json!([])), Waits::Sync(done)),
            Request::Transact { operations, reply } => {
                (message::request(id, "transact", operations), Waits::Transact(reply))
            }
        };
        self.pending.insert(id, Pending { waits, deadline: Instant::now() + ANSWER });
        self.send(&text).await
    }

    /// Nothing is lost if this is dropped.
    async fn read(&mut self) -> Result<(), Ended> {
        match self.stream.read(&mut self.bytes).await? {
            0 => Err(Ended::Closed),
            n => {
                self.frames.push(&self.bytes[..n]);
                Ok(())
            }
        }
    }

    async fn send(&mut self, message: &Json) -> Result<(), Ended> {
        let text = message.to_string();
        timeout(ANSWER, self.stream.write_all(text.as_bytes())).await.map_err(|_| Ended::Late)??;
        Ok(())
    }

    /// Tells those who wait that there will be no answer.
    fn abandon(&mut self, ended: &Ended) {
        for (_, pending) in std::mem::take(&mut self.pending) {
            match pending.waits {
                Waits::Sync(done) => answer(done),
                Waits::Transact(reply) => {
                    // Whoever gave up waiting needs no answer.
                    let _ = reply.send(Err(match ended {
                        Ended::Late => Error::Late,
                        _ => Error::Missing(ended.chain()),
                    }));
                }
            }
        }
    }
}
