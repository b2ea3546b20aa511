//! A place of its own for each test.

use nix::sched::{CloneFlags, unshare};
use nmstated::kernel::mirror::{self, Mirror, Paths};
use std::future::Future;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// Files of a host of our own. They last as long as the test.
#[derive(Clone)]
pub struct Files {
    pub folder: Arc<TempDir>,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.1\n")
            .expect("a file is written");
        Self { folder: Arc::new(folder) }
    }

    pub fn paths(&self) -> Paths {
        Paths {
            resolv_conf: self.folder.path().join("resolv.conf"),
            hostname: self.folder.path().join("hostname"),
            ..Paths::default()
        }
    }
}

/// Runs a test on a thread that has a fresh network namespace.
pub fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make a namespace");
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts")
            .block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a test in a fresh namespace beside a keeper.
pub fn with_mirror<F: Future<Output = ()>>(test: impl FnOnce(Mirror, Files) -> F + Send + 'static) {
    in_namespace(|| async {
        let files = Files::new();
        let (mirror, keeper) = mirror::open(files.paths()).await.expect("the mirror opens");
        let (kept, ()) = tokio::join!(keeper.run(), test(mirror, files.clone()));
        kept.expect("the keeper ends with the last handle");
    });
}

/// Runs commands of ip(8), all for IPv6 if they begin with `-6`; the thread's namespace is inherited.
pub fn ip(commands: &str) {
    assert!(try_ip(commands), "ip failed: {commands}");
}

/// As [`ip`]; returns whether the kernel did it.
pub fn try_ip(commands: &str) -> bool {
    let family = commands.starts_with("-6 ").then_some("-6");
    let commands = commands.trim_start_matches("-6 ");
    let mut child = Command::new("ip")
        .args(family)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip(8) is installed");
    let mut stdin = child.stdin.take().expect("the input is a pipe");
    stdin.write_all(commands.as_bytes()).expect("ip(8) reads its commands");
    drop(stdin);
    child.wait().expect("ip(8) ends").success()
}
