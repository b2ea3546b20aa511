//! A daemon on the kernel, in a network namespace of its own, and what looks at both.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// Longer than anything here takes on a loaded machine; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs a test on a thread that has a fresh network and its own mounts; what it starts has them too.
pub fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("these tests need the right to make a namespace");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("our own mounts");
        fresh_network();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Leaves the network of this thread for a new one, as a boot does.
pub fn fresh_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make a namespace");
    // As on every host.
    ip(&["link", "set", "lo", "up"]);
}

/// Another program changes the network.
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip runs");
    assert!(status.success(), "ip {arguments:?}");
}

/// A daemon with a folder of its own.
pub struct Daemon {
    pub folder: TempDir,
    process: Child,
    bus: String,
}

pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Daemon {
    pub fn start() -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder"), "none")
    }

    /// In a folder that is prepared, on a bus.
    pub fn start_in(folder: TempDir, bus: &str) -> Self {
        let process = start(folder.path(), bus);
        Self { folder, process, bus: bus.to_owned() }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A file with that text.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path.to_str().expect("a name of ours is text").to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nmctl"));
        command.args(arguments).arg("--socket").arg(self.socket()).stdin(Stdio::null());
        command
    }

    pub fn nmctl(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("nmctl runs"))
    }

    /// Starts a command and does not wait for it.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nmctl runs")
    }

    /// What a command that must succeed prints.
    pub fn printed(&self, arguments: &[&str]) -> String {
        let ran = self.nmctl(arguments);
        assert_eq!(ran.code, Some(0), "nmctl {arguments:?}: {}{}{}", ran.out, ran.err, self.log());
        ran.out
    }

    pub fn json(&self, arguments: &[&str]) -> Json {
        serde_json::from_str(&self.printed(arguments)).expect("nmctl prints JSON")
    }

    /// Runs a command that must fail, with this kind of error.
    pub fn refused(&self, arguments: &[&str], kind: &str) -> String {
        let ran = self.nmctl(arguments);
        assert_eq!(ran.code, Some(1), "nmctl {arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(&format!("error: {kind}: ")), "nmctl {arguments:?}: {}", ran.err);
        ran.err
    }

    /// The whole state.
    pub fn show(&self) -> String {
        self.printed(&["show"])
    }

    /// Whether the network is as a document asks.
    pub fn is_as(&self, document: &str) -> bool {
        let ran = self.nmctl(&["plan", "--exit-code", document]);
        assert!(matches!(ran.code, Some(0 | 2)), "{}", ran.err);
        ran.code == Some(0)
    }

    /// Live transactions.
    pub fn live(&self) -> Vec<Json> {
        self.json(&["list", "--json"]).as_array().expect("a list").clone()
    }

    /// The number of the only live transaction.
    pub fn only(&self) -> String {
        let live = self.live();
        assert_eq!(live.len(), 1, "{live:?}");
        live[0]["id"].to_string()
    }

    pub fn stage(&self, id: &str) -> String {
        self.json(&["log", id, "--json"])["stage"].as_str().expect("a stage is a word").to_owned()
    }

    /// Files of the state directory that a transaction leaves while it is open or went wrong.
    pub fn records(&self) -> Vec<String> {
        let is_open = |name: &String| {
            ["checkpoint", "rollback", "incomplete"].contains(&name.as_str()) || name.ends_with(".unreadable")
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            entry.expect("a file").file_name().to_string_lossy().into_owned()
        };
        fs::read_dir(self.state_dir()).expect("it is there").map(name).filter(is_open).collect()
    }

    /// That nothing is under way, on disk neither, and nothing needs a person.
    pub fn assert_settled(&self) {
        assert_eq!(self.live(), [] as [Json; 0]);
        assert_eq!(self.records(), [] as [String; 0], "{}", self.log());
        let alerts = &self.json(&["status", "--json"])["alerts"];
        assert_eq!(*alerts, json!([]), "{}", self.log());
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub fn kill(&mut self) {
        self.process.kill().expect("a process of ours can be killed");
        self.process.wait().expect("it ends");
    }

    /// Starts the daemon that was killed or has stopped; it is ready then.
    pub fn restart(&mut self) {
        self.process = start(self.folder.path(), &self.bus);
    }

    /// Ends the daemon politely and starts it again.
    pub fn restart_politely(&mut self) {
        assert!(self.terminate().success());
        self.restart();
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).expect("a process number is an i32");
        kill(Pid::from_raw(pid), signal).expect("a process of ours can be told");
    }

    /// Ends the daemon politely.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.process.wait().expect("it ends")
    }

    /// Processor time that the daemon has used so far, in ticks (proc_pid_stat(5)).
    pub fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // The name, in brackets, may hold spaces; user and system time are the 14th and 15th field.
        let fields = stat.rsplit(')').next().expect("a last part").split_whitespace();
        fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Memory of the daemon's process in KiB.
    pub fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("it runs").count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // A test that failed leaves it running; one that went well may have ended it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Ran {
    pub fn of(output: std::process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("nmctl prints text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// What nmstated is started with; `conf` in that folder is its configuration, if it is there.
pub fn nmstated(folder: &Path, bus: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nmstated"));
    command
        .args(["--backend", "kernel", "--bus", bus, "--state-dir"])
        .arg(folder.join("state"))
        .arg("--varlink-socket")
        .arg(folder.join("socket"))
        .arg("--documents")
        .arg(folder.join("documents"))
        .stdin(Stdio::null());
    let conf = folder.join("conf");
    if conf.exists() {
        command.arg("--config").arg(conf);
    }
    command
}

/// Starts the daemon and waits until it says that it is ready (sd_notify(3)).
fn start(folder: &Path, bus: &str) -> Child {
    let notify = folder.join("notify");
    // Of an earlier start in the same folder; it may not be there.
    let _ = fs::remove_file(&notify);
    let ready = UnixDatagram::bind(&notify).expect("a socket");
    ready.set_read_timeout(Some(LIMIT)).expect("a limit can be set");
    let log = fs::File::options().append(true).create(true).open(folder.join("log")).expect("a log");
    let process = nmstated(folder, bus)
        .env("NOTIFY_SOCKET", &notify)
        .stdout(log.try_clone().expect("a descriptor"))
        .stderr(log)
        .spawn()
        .expect("nmstated starts");
    wait_until_ready(&ready, folder);
    process
}

fn wait_until_ready(ready: &UnixDatagram, folder: &Path) {
    let mut message = [0; 4096];
    loop {
        let length = ready.recv(&mut message).unwrap_or_else(|error| {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("nmstated is not ready: {error}\n{log}")
        });
        if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
            return;
        }
    }
}

/// Lines of a process, each waited for with a limit.
pub struct Lines {
    process: Child,
    lines: Receiver<String>,
}

impl Lines {
    pub fn of(mut process: Child) -> Self {
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The test may be over.
                let _ = sender.send(line);
            }
        });
        Self { process, lines }
    }

    /// The first line from here on that is wanted.
    pub fn until(&self, mut is_wanted: impl FnMut(&str) -> bool) -> String {
        let end = Instant::now() + LIMIT;
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if is_wanted(&line) => return line,
                Ok(line) => seen += &format!("{}\n", line.chars().take(200).collect::<String>()),
                Err(RecvTimeoutError::Timeout) => panic!("it does not come; what came:\n{seen}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before; what came:\n{seen}"),
            }
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // It may have ended with the daemon.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a command that reads this text, and whose output is kept.
pub fn with_input(command: &mut Command, input: &str) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("it starts");
    // Whoever refuses its arguments does not read.
    match process.stdin.take().expect("it was piped").write_all(input.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("it does not read: {error}"),
        _ => process,
    }
}

/// `nmctl monitor`.
pub struct Monitor(Lines);

impl Monitor {
    /// What happens from here on is seen.
    pub fn start(daemon: &Daemon) -> Self {
        let mut command = daemon.command(&["monitor", "--json"]);
        let lines =
            Lines::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("nmctl runs"));
        // The last of what is present.
        lines.until(|line| line.contains(r#""event":"network""#));
        Self(lines)
    }

    /// The next transaction that is at this stage.
    pub fn until(&self, stage: &str) -> Json {
        self.find(|transaction| transaction["stage"] == stage)
    }

    /// The next transaction that ends, however.
    pub fn ended(&self) -> Json {
        self.find(|transaction| transaction["ended"].is_u64())
    }

    /// The next drift that is told and wanted.
    pub fn drift(&self, is_wanted: impl Fn(&Json) -> bool) -> Json {
        let mut found = Json::Null;
        self.0.until(|line| {
            let mut event: Json = serde_json::from_str(line).expect("nmctl prints JSON");
            found = event["drift"].take();
            event["event"] == "drift" && is_wanted(&found)
        });
        found
    }

    fn find(&self, is_wanted: impl Fn(&Json) -> bool) -> Json {
        let mut found = Json::Null;
        self.0.until(|line| {
            let mut event: Json = serde_json::from_str(line).expect("nmctl prints JSON");
            found = event["transaction"].take();
            is_wanted(&found)
        });
        found
    }
}

/// Changes of the kernel's network, one by one. Nothing is missed from the moment it is made.
pub struct Changes(OwnedFd);

impl Changes {
    pub fn new() -> Self {
        // RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE
        // (linux/rtnetlink.h).
        const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)
            .expect("a netlink socket");
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, GROUPS)).expect("it can be bound");
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(0, 20_000)).expect("a limit can be set");
        Self(fd)
    }

    /// Waits for the n-th change; false if a command ended before.
    pub fn reach(&self, n: usize, command: &mut Child) -> bool {
        let end = Instant::now() + LIMIT;
        let mut count = 0;
        while count < n {
            let mut bytes = [0; 8192];
            match recv(self.0.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
                Ok(_) => count += 1,
                Err(Errno::EAGAIN) => {
                    if command.try_wait().expect("it is ours").is_some() {
                        return false;
                    }
                    assert!(Instant::now() < end, "neither change {n} nor an end comes");
                }
                // Lost some: they happened.
                Err(Errno::ENOBUFS) => count += 1,
                Err(error) => panic!("{error}"),
            }
        }
        true
    }
}

/// A varlink client with nothing between it and the bytes.
pub struct Raw(BufReader<UnixStream>);

impl Raw {
    pub fn connect(daemon: &Daemon) -> Self {
        let stream = UnixStream::connect(daemon.socket()).expect("the daemon listens");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit can be set");
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, method: &str, parameters: Json, more: bool) {
        let method = format!("io.nmstate.Daemon.{method}");
        let call = json!({ "method": method, "parameters": parameters, "more": more });
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        self.0.get_mut().write_all(&bytes).expect("the daemon takes calls");
    }

    /// Passes over the next message; it may be large. Returns how long it is.
    pub fn skip(&mut self) -> usize {
        let length = self.0.skip_until(0).expect("an answer comes");
        assert!(length > 0, "the daemon has hung up");
        length
    }

    /// The next message; None at the end.
    pub fn receive(&mut self) -> Option<Json> {
        let mut bytes = Vec::new();
        self.0.read_until(0, &mut bytes).expect("an answer comes");
        (bytes.pop() == Some(0)).then(|| serde_json::from_slice(&bytes).expect("messages are JSON"))
    }
}
