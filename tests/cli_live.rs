//! `nmctl` and `nmstated` together, on the kernel, in a network namespace of their own. Needs the
//! right to make one (root, or root of a user namespace).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// Longest wait for the daemon to be ready.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test on a thread that has a fresh network namespace; what it starts is in there too.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make a namespace");
        // As on every host.
        let lo = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("ip runs");
        assert!(lo.success());
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A running daemon with a folder of its own.
struct Daemon {
    folder: TempDir,
    process: Child,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = start(folder.path());
        Self { folder, process }
    }

    fn nmctl(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_nmctl"))
            .args(arguments)
            .arg("--socket")
            .arg(self.folder.path().join("socket"))
            .stdin(Stdio::null())
            .output()
            .expect("nmctl runs");
        let text = |bytes| String::from_utf8(bytes).expect("nmctl prints text");
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What a command that must succeed prints.
    fn printed(&self, arguments: &[&str]) -> String {
        let ran = self.nmctl(arguments);
        assert_eq!(ran.code, Some(0), "nmctl {arguments:?}: {}{}", ran.err, self.log());
        ran.out
    }

    /// The whole state.
    fn show(&self) -> String {
        self.printed(&["show"])
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn kill_and_restart(&mut self) {
        self.process.kill().expect("a process of ours can be killed");
        self.process.wait().expect("it ends");
        self.process = start(self.folder.path());
    }

    /// Ends the daemon politely; true if it says that all is well.
    fn stop(mut self) -> bool {
        let pid = i32::try_from(self.process.id()).expect("a process number is an i32");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("a process of ours can be ended");
        self.process.wait().expect("it ends").success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves it running; one that went well has ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Starts the daemon and waits until it says that it is ready (sd_notify(3)).
fn start(folder: &Path) -> Child {
    let notify = folder.join("notify");
    // Of an earlier start in the same folder; it may not be there.
    let _ = fs::remove_file(&notify);
    let ready = UnixDatagram::bind(&notify).expect("a socket");
    ready.set_read_timeout(Some(LIMIT)).expect("a limit can be set");
    let log = fs::File::options().append(true).create(true).open(folder.join("log")).expect("a log");
    let process = Command::new(env!("CARGO_BIN_EXE_nmstated"))
        .args(["--backend", "kernel", "--bus", "none", "--state-dir"])
        .arg(folder.join("state"))
        .arg("--varlink-socket")
        .arg(folder.join("socket"))
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .spawn()
        .expect("nmstated starts");
    let mut message = [0; 4096];
    let mut is_ready = false;
    while !is_ready {
        let length = ready.recv(&mut message).unwrap_or_else(|error| {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("nmstated is not ready: {error}\n{log}")
        });
        is_ready = message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1");
    }
    process
}

fn examples() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/kernel");
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the examples are there")
        .map(|entry| entry.expect("a file").path())
        .collect();
    files.sort();
    files
}

/// Examples that every kernel with namespaces can apply; so the test cannot pass by refusals alone.
const ALWAYS: [&str; 8] = [
    "ethernet.yml",
    "linux-bridge.yml",
    "loopback.yml",
    "mac-and-mtu.yml",
    "route-rules.yml",
    "routes.yml",
    "veth.yml",
    "vxlan.yml",
];

#[test]
fn every_example_is_applied_holds_and_is_taken_back() {
    let mut refused = Vec::new();
    for example in examples() {
        let name = example.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let (sender, is_applied) = std::sync::mpsc::channel();
        in_namespace(move || {
            let text = fs::read_to_string(&example).expect("the example is there");
            let outcome = applied_and_taken_back(&text).or_else(|reason| {
                // Small kernels lack dummy links. One end of a virtual cable does for all that rests on one.
                if reason.contains("`dummy`") {
                    applied_and_taken_back(&with_cables(&text))
                } else {
                    Err(reason)
                }
            });
            sender.send(outcome).expect("it is waited for");
        });
        match is_applied.recv().expect("the test has an outcome") {
            Ok(()) => {}
            Err(reason) => {
                assert!(!ALWAYS.contains(&name.as_str()), "{name}: {reason}");
                refused.push(format!("{name}: {reason}"));
            }
        }
    }
    // Past the test harness, which keeps what tests print: what was not tested must be seen.
    let told = writeln!(std::io::stderr(), "this kernel cannot apply:\n{}", refused.join("\n"));
    told.expect("standard error can be written");
}

/// The document with a virtual cable for each dummy link.
fn with_cables(text: &str) -> String {
    let mut name = "";
    let mut out = String::new();
    for line in text.lines() {
        name = line.strip_prefix("- name: ").unwrap_or(name);
        match line {
            "  type: dummy" => out += &format!("  type: veth\n  veth:\n    peer: {name}-far\n"),
            line => out += &format!("{line}\n"),
        }
    }
    out
}

/// An error says what the kernel cannot.
fn applied_and_taken_back(text: &str) -> Result<(), String> {
    let daemon = Daemon::start();
    let file = daemon.folder.path().join("example.yml");
    fs::write(&file, text).expect("a file can be written");
    let file = file.to_str().expect("a name of ours is text");
    let before = daemon.show();
    let plan = daemon.nmctl(&["plan", "--exit-code", file]);
    if plan.code == Some(1) {
        assert!(plan.err.starts_with("error: NotSupportedError: "), "{text}\n{}", plan.err);
        assert_eq!(daemon.show(), before, "{text}\nplanning changes nothing");
        assert!(daemon.stop());
        return Err(plan.err.lines().next().unwrap_or_default().to_owned());
    }
    if plan.code == Some(0) {
        // What it removes is not there.
        daemon.printed(&["apply", file]);
        assert_eq!(daemon.show(), before, "{text}");
        assert!(daemon.stop());
        return Ok(());
    }
    assert_eq!(plan.code, Some(2), "{text}\n{}", plan.err);
    let revert = daemon.folder.path().join("revert.yml");
    let revert = revert.to_str().expect("a name of ours is text");
    fs::write(revert, daemon.printed(&["revert", file])).expect("a file can be written");
    let same = |what: &str| assert_eq!(daemon.show(), before, "{text}\nafter {what}");

    daemon.printed(&["apply", "--no-commit", file]);
    daemon.printed(&["plan", "--exit-code", file]);
    daemon.printed(&["rollback"]);
    same("a rollback");

    daemon.printed(&["apply", file]);
    daemon.printed(&["plan", "--exit-code", file]);
    daemon.printed(&["apply", revert]);
    same("its revert document");

    assert!(daemon.stop());
    Ok(())
}

#[test]
fn a_killed_daemon_takes_back_what_nobody_committed() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        let before = daemon.show();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/kernel/veth.yml");
        let file = example.to_str().expect("a name of ours is text");
        daemon.printed(&["apply", "--no-commit", "--timeout", "2", file]);
        assert_ne!(daemon.show(), before);
        let live: serde_json::Value =
            serde_json::from_str(&daemon.printed(&["list", "--json"])).expect("JSON");
        let id = live[0]["id"].to_string();
        daemon.kill_and_restart();
        let mut monitor = Command::new(env!("CARGO_BIN_EXE_nmctl"))
            .args(["monitor", "--socket"])
            .arg(daemon.folder.path().join("socket"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("nmctl runs");
        let mut lines = BufReader::new(monitor.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().expect("the stream goes on").expect("nmctl prints text");
        next();
        // Whatever happens after the first line is in the stream; what happened before is in the log.
        let log = daemon.printed(&["log", &id]);
        if log.starts_with(&format!("transaction {id}: awaiting-commit")) {
            while next() != format!("transaction {id}: rolled-back") {}
        } else {
            assert!(log.starts_with(&format!("transaction {id}: rolled-back")), "{log}");
        }
        monitor.kill().expect("a process of ours can be killed");
        monitor.wait().expect("it ends");
        assert_eq!(daemon.show(), before);
        assert!(daemon.stop());
    });
}

#[test]
fn a_pattern_selects_and_an_unknown_transaction_is_not_found() {
    in_namespace(|| {
        let daemon = Daemon::start();
        assert!(daemon.printed(&["show", "l?"]).contains("- name: lo\n  type: loopback\n  state: "));
        assert!(daemon.printed(&["show", "x*"]).contains("interfaces: []\n"));
        for arguments in [["log", "99"], ["commit", "99"], ["cancel", "99"]] {
            let ran = daemon.nmctl(&arguments);
            assert_eq!(ran.code, Some(1), "{arguments:?}");
            assert!(ran.err.starts_with("error: NotFound: "), "{arguments:?}: {}", ran.err);
        }
        assert!(daemon.printed(&["status"]).contains("backend    kernel ("));
        assert!(daemon.stop());
    });
}
