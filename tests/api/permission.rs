//! Who may do what, over both transports; nothing is queued for who may not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use nmstated::api::{Method, Service};
use nmstated::auth::{Caller, Gate};
use serde_json::json;
use tokio::sync::Notify;
use zbus::OwnedVariant;

use crate::harness::{CHANGE, Daemon, soon};

/// A polkit that allows some actions by itself and some when a person says so, and remembers what it
/// was asked.
#[derive(Clone, Default)]
struct Polkit {
    allowed: Vec<&'static str>,
    /// For these a person is asked, where that is allowed.
    with_password: Vec<&'static str>,
    asked: Arc<Mutex<Vec<(String, String, u32)>>>,
    details: Arc<Mutex<HashMap<String, String>>>,
    person: Arc<Person>,
}

/// Who is asked for the password.
#[derive(Default)]
struct Person {
    sees: Notify,
    answers: Notify,
    cancelled: Notify,
    open: Mutex<Vec<String>>,
}

type Subject = (String, HashMap<String, OwnedVariant>);
type Answer = (bool, bool, HashMap<String, String>);

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    async fn check_authorization(
        &self,
        subject: Subject,
        action: &str,
        details: HashMap<String, String>,
        flags: u32,
        cancellation: &str,
    ) -> Answer {
        self.asked.lock().expect("no panic").push((subject.0, action.to_owned(), flags));
        *self.details.lock().expect("no panic") = details;
        let needs_person = self.with_password.contains(&action);
        if needs_person && flags == 1 {
            self.person.open.lock().expect("no panic").push(cancellation.to_owned());
            self.person.sees.notify_one();
            self.person.answers.notified().await;
            return (true, false, HashMap::new());
        }
        (self.allowed.contains(&action), needs_person, HashMap::new())
    }

    fn cancel_check_authorization(&self, cancellation: &str) {
        self.person.open.lock().expect("no panic").retain(|open| open != cancellation);
        self.person.cancelled.notify_one();
    }
}

async fn serve(daemon: &Daemon, allowed: &[&'static str]) -> (zbus::Connection, Polkit) {
    serve_polkit(daemon, Polkit { allowed: allowed.to_vec(), ..Polkit::default() }).await
}

/// One that wants a password for changes.
async fn serve_with_person(daemon: &Daemon) -> (zbus::Connection, Polkit) {
    let allowed = vec!["io.nmstate.daemon.show"];
    let with_password = vec!["io.nmstate.daemon.apply", "io.nmstate.daemon.checkpoint"];
    serve_polkit(daemon, Polkit { allowed, with_password, ..Polkit::default() }).await
}

async fn serve_polkit(daemon: &Daemon, polkit: Polkit) -> (zbus::Connection, Polkit) {
    let bus = daemon.bus.connect().await;
    let path = "/org/freedesktop/PolicyKit1/Authority";
    bus.object_server().at(path, polkit.clone()).await.expect("a free path");
    bus.request_name("org.freedesktop.PolicyKit1").await.expect("a free name");
    (bus, polkit)
}

/// A service as both transports use it, with a client of another uid.
async fn ask(service: &Service, method: Method) -> Result<(), String> {
    let caller = Caller::of_socket(1000, Some(std::process::id()));
    let call = match method {
        Method::Apply | Method::Submit => json!({ "parameters": { "document": CHANGE } }),
        Method::Plan
        | Method::Validate
        | Method::GenerateRevert
        | Method::GenerateDifference
        | Method::GenerateConfiguration
        | Method::ResolvePolicy => {
            json!({ "parameters": { "document": CHANGE } })
        }
        Method::Extend => json!({ "parameters": { "seconds": 5 } }),
        Method::Cancel | Method::Log => json!({ "parameters": { "id": 1 } }),
        _ => json!({}),
    };
    match soon(service.ask(&caller, method, call.to_string().into_bytes())).await {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.info.kind.clone()),
    }
}

const CHANGING: [Method; 6] =
    [Method::Apply, Method::Submit, Method::Cancel, Method::Commit, Method::Rollback, Method::Extend];

#[tokio::test]
async fn without_polkit_others_may_look_and_nothing_of_theirs_is_queued() {
    let daemon = Daemon::start().await;
    let service = daemon.running.service(Gate::without_polkit());
    for method in Method::ALL {
        let denied = ask(&service, method).await.err().as_deref() == Some("PermissionError");
        assert_eq!(denied, CHANGING.contains(&method), "{method:?}");
    }
    let history = daemon.ask("History", json!({})).await.expect("root may ask");
    assert_eq!(history, json!({ "transactions": [] }));
}

#[tokio::test]
async fn secrets_take_their_own_permission() {
    let daemon = Daemon::start().await;
    let caller = Caller::of_socket(1000, Some(std::process::id()));
    let call = json!({ "parameters": { "options": { "show_secrets": true } } }).to_string().into_bytes();
    let service = daemon.running.service(Gate::without_polkit());
    let failure = soon(service.ask(&caller, Method::Show, call)).await.err().expect("secrets");
    assert_eq!(failure.info.kind, "PermissionError");
    let hint = failure.info.hint.as_deref().expect("a hint");
    assert!(hint.contains("io.nmstate.daemon.show-secrets"), "{hint}");
}

#[tokio::test]
async fn polkit_decides_for_all_but_root() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve(&daemon, &["io.nmstate.daemon.show", "io.nmstate.daemon.apply"]).await;
    let service = daemon.running.service(Gate::with_polkit(daemon.bus.connect().await));
    assert_eq!(ask(&service, Method::Show).await, Ok(()));
    assert_eq!(ask(&service, Method::Submit).await, Ok(()));
    assert_eq!(ask(&service, Method::Commit).await, Err("PermissionError".into()));
    let asked = std::mem::take(&mut *polkit.asked.lock().expect("no panic"));
    let expected = ["show", "apply", "checkpoint"]
        .map(|action| ("unix-process".to_owned(), format!("io.nmstate.daemon.{action}"), 0));
    assert_eq!(asked, expected);
    // Root is never asked for.
    daemon.ask("List", json!({})).await.expect("root may");
    assert!(polkit.asked.lock().expect("no panic").is_empty());
}

/// A caller that lets polkit ask.
fn interactive(uid: u32) -> Caller {
    Caller { interactive: true, ..Caller::of_socket(uid, Some(std::process::id())) }
}

fn change() -> Vec<u8> {
    json!({ "parameters": { "document": CHANGE } }).to_string().into_bytes()
}

#[tokio::test]
async fn a_person_is_asked_only_where_the_call_allows_it_and_nothing_is_queued_before() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve_with_person(&daemon).await;
    let service = daemon.running.service(Gate::with_polkit(daemon.bus.connect().await));
    let caller = Caller { interactive: false, ..interactive(1000) };
    let denied = soon(service.ask(&caller, Method::Submit, change())).await.err().expect("is refused");
    assert!(denied.info.message.contains("does not let it ask"), "{}", denied.info.message);

    let caller = interactive(1000);
    let submit = soon(service.ask(&caller, Method::Submit, change()));
    let answer = async {
        polkit.person.sees.notified().await;
        // Others are served, and nothing is queued, while the person types.
        assert_eq!(ask(&service, Method::Show).await, Ok(()));
        assert_eq!(daemon.ask("History", json!({})).await.expect("root may")["transactions"], json!([]));
        assert_eq!(daemon.ask("List", json!({})).await.expect("root may")["transactions"], json!([]));
        polkit.person.answers.notify_one();
    };
    let (submitted, ()) = tokio::join!(submit, answer);
    assert!(submitted.is_ok());
    daemon.reaches(1, "committed").await;
    let asked = polkit.asked.lock().expect("no panic").clone();
    let flags: Vec<u32> =
        asked.iter().filter(|(_, action, _)| action.ends_with("apply")).map(|(.., flags)| *flags).collect();
    assert_eq!(flags, [0, 0, 1], "polkit is asked to decide by itself first");
}

#[tokio::test]
async fn a_caller_that_goes_away_takes_its_question_with_it() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve_with_person(&daemon).await;
    let service = daemon.running.service(Gate::with_polkit(daemon.bus.connect().await));
    let caller = interactive(1000);
    tokio::select! {
        _ = service.admit(&caller, Method::Submit, change()) => panic!("nobody answered"),
        () = polkit.person.sees.notified() => {}
    }
    soon(polkit.person.cancelled.notified()).await;
    assert_eq!(*polkit.person.open.lock().expect("no panic"), [""; 0]);
    assert_eq!(daemon.ask("History", json!({})).await.expect("root may")["transactions"], json!([]));
}

#[tokio::test]
async fn one_user_cannot_have_everybody_wait_for_passwords() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve_with_person(&daemon).await;
    let service = daemon.running.service(Gate::with_polkit(daemon.bus.connect().await));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let service = service.clone();
        waiting
            .spawn(async move { service.admit(&interactive(1000), Method::Submit, change()).await.is_ok() });
        soon(polkit.person.sees.notified()).await;
    }
    let fifth =
        soon(service.ask(&interactive(1000), Method::Submit, change())).await.err().expect("is refused");
    assert!(fifth.info.message.contains("too many requests for a password"), "{}", fifth.info.message);
    // Another user is asked all the same.
    let other = service.clone();
    waiting.spawn(async move { other.admit(&interactive(1001), Method::Submit, change()).await.is_ok() });
    soon(polkit.person.sees.notified()).await;
    waiting.shutdown().await;
}

#[tokio::test]
async fn polkit_learns_what_is_asked() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve(&daemon, &[]).await;
    let service = daemon.running.service(Gate::with_polkit(daemon.bus.connect().await));
    for (method, call, transaction, message) in [
        (Method::Apply, json!({ "document": CHANGE }), None, None),
        (Method::Rollback, json!({}), None, Some("undo the change of the network")),
        (Method::Commit, json!({ "id": 7 }), Some("7"), Some("keep the change $(transaction)")),
        (Method::Cancel, json!({ "id": "no number" }), None, None),
    ] {
        let call = json!({ "parameters": call }).to_string().into_bytes();
        let denied = soon(service.ask(&interactive(1000), method, call)).await.err().expect("is refused");
        assert_eq!(denied.info.kind, "PermissionError");
        let details = polkit.details.lock().expect("no panic").clone();
        assert_eq!(details["method"], method.name());
        assert_eq!(details.get("transaction").map(String::as_str), transaction);
        let told = details.get("polkit.message");
        assert_eq!(told.map(|told| told.contains(message.unwrap_or("-"))), message.map(|_| true), "{told:?}");
    }
}

/// A varlink client of another uid; None where this process cannot have one (root of a user
/// namespace with one user).
fn client_as(uid: u32, daemon: &Daemon) -> Option<crate::harness::Varlink> {
    let stream = connect_as(uid, &daemon.socket).ok()?;
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::UnixStream::from_std(stream).expect("a socket");
    Some(crate::harness::Varlink { stream: tokio::io::BufReader::new(stream) })
}

#[tokio::test]
async fn a_varlink_call_says_whether_a_person_may_be_asked() {
    let daemon = Daemon::start().await;
    let (_bus, polkit) = serve_with_person(&daemon).await;
    // Also where everybody is root, the parameter is known to every method.
    let parameters = json!({ "document": CHANGE, "allowInteractiveAuthentication": true });
    daemon.ask("Validate", parameters.clone()).await.expect("root may");
    let wrong = json!({ "allowInteractiveAuthentication": "yes" });
    let (name, _) = daemon.ask("List", wrong).await.expect_err("it is no text");
    assert_eq!(name, "io.nmstate.Daemon.InvalidArgument");
    let Some(mut client) = client_as(65534, &daemon) else { return };
    let (name, _) = client.ask("Apply", json!({ "document": CHANGE })).await.expect_err("nobody is asked");
    assert_eq!(name, "io.nmstate.Daemon.PermissionError");
    let (applied, ()) = tokio::join!(client.ask("Apply", parameters.clone()), async {
        polkit.person.sees.notified().await;
        polkit.person.answers.notify_one();
    });
    assert_eq!(applied.expect("is allowed")["transaction"]["stage"], "committed");

    // One that goes away while the person is asked is not served any more.
    client.send(json!({ "method": "io.nmstate.Daemon.Apply", "parameters": parameters })).await;
    soon(polkit.person.sees.notified()).await;
    drop(client);
    soon(polkit.person.cancelled.notified()).await;
    let history = daemon.ask("History", json!({})).await.expect("root may");
    assert_eq!(history["transactions"].as_array().map(Vec::len), Some(1), "{history}");
}

/// Connects as another user: the credentials of a thread are its own in the kernel, and a socket
/// takes them when it connects (unix(7), setresuid(2)).
fn connect_as(uid: u32, socket: &std::path::Path) -> std::io::Result<std::os::unix::net::UnixStream> {
    let socket = socket.to_owned();
    let connect = move || {
        // SAFETY: setresuid takes three numbers and touches no memory; the raw call changes this
        // thread only, which ends with this closure.
        let done = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, uid, uid, uid) };
        if done != 0 {
            return Err(std::io::Error::last_os_error());
        }
        std::os::unix::net::UnixStream::connect(socket)
    };
    std::thread::spawn(connect).join().expect("the thread ends")
}

#[tokio::test]
async fn the_kernel_vouches_for_the_peer() {
    let daemon = Daemon::start().await;
    // Root of a user namespace may not become anybody else: then the peer is root, and may.
    let (stream, other) = match connect_as(65534, &daemon.socket) {
        Ok(stream) => (stream, true),
        Err(_) => (std::os::unix::net::UnixStream::connect(&daemon.socket).expect("it listens"), false),
    };
    stream.set_nonblocking(true).expect("a socket");
    let stream = tokio::net::UnixStream::from_std(stream).expect("a socket");
    let mut client = crate::harness::Varlink { stream: tokio::io::BufReader::new(stream) };
    let applied = client.ask("Apply", json!({ "document": CHANGE })).await;
    assert_eq!(
        applied.as_ref().err().map(|(name, _)| name.as_str()),
        other.then_some("io.nmstate.Daemon.PermissionError")
    );
    client.ask("Show", json!({})).await.expect("everybody may look");
}
