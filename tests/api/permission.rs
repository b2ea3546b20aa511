//! Who may do what, over both transports; nothing is queued for who may not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use nmstated::api::{Method, Service};
use nmstated::auth::{Caller, Gate};
use serde_json::json;
use zbus::OwnedVariant;

use crate::harness::{CHANGE, Daemon, soon};

/// A polkit that allows some actions, and remembers what it was asked.
#[derive(Clone)]
struct Polkit {
    allowed: Vec<&'static str>,
    asked: Arc<Mutex<Vec<(String, String, u32)>>>,
}

type Subject = (String, HashMap<String, OwnedVariant>);

#[zbus::interface(name = "org.freedesktop.PolicyKit1.Authority")]
impl Polkit {
    async fn check_authorization(
        &self,
        subject: Subject,
        action: &str,
        _details: HashMap<String, String>,
        flags: u32,
        _cancellation: &str,
    ) -> (bool, bool, HashMap<String, String>) {
        if action.ends_with("never-answers") {
            std::future::pending::<()>().await;
        }
        self.asked.lock().expect("no panic").push((subject.0, action.to_owned(), flags));
        (self.allowed.contains(&action), false, HashMap::new())
    }
}

async fn serve(daemon: &Daemon, allowed: &[&'static str]) -> (zbus::Connection, Polkit) {
    let polkit = Polkit { allowed: allowed.to_vec(), asked: Arc::default() };
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
        Method::Plan | Method::Validate | Method::GenerateRevert => {
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
    // Root of a user namespace cannot become anybody else: then the peer is root, and may.
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
