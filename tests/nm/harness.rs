//! A real NetworkManager in a world of its own: network, mounts, host name and bus are private to the
//! test, and nothing of the host is seen or touched.

use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use nmstated::nm::image::Image;
use nmstated::nm::{Answer, Call, Client, Error};
use std::sync::Arc;
use tempfile::TempDir;
use tokio::time::timeout;

/// Longer than anything here takes on a loaded machine; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Completes, or fails the test.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("it happens soon")
}

/// What NetworkManager is told. It makes no profiles of its own, and asks nobody for permission.
const CONFIGURATION: &str = "\
[main]
plugins=keyfile
dns=none
rc-manager=unmanaged
auth-polkit=false
no-auto-default=*
systemd-resolved=false

# A restart is not over while links without a carrier could still get one.
[device]
carrier-wait-timeout=50
";

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=SOCKET</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#;

/// Runs a test beside a NetworkManager, on a thread with a world of its own.
pub fn with_manager<F: Future<Output = ()>>(test: impl FnOnce(Harness) -> F + Send + 'static) {
    in_own_world(|| async { test(Harness::start().await).await });
}

/// Runs a test on a thread with a network, mounts and a host name of its own; what it starts has them, too.
pub fn in_own_world<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        let apart = CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC;
        unshare(apart).expect("these tests need the right to make namespaces");
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("our own mounts");
        own_files();
        ip(&["link", "set", "lo", "up"]);
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

/// Empty folders where NetworkManager writes, and an /etc of our own in front of the host's.
fn own_files() {
    for folder in ["/run", "/var/lib"] {
        own_folder(folder);
    }
    fs::create_dir("/var/lib/NetworkManager").expect("our own folder");
    let host = "/run/etc-of-the-host";
    fs::create_dir(host).expect("our own folder");
    mount(Some("/etc"), host, None::<&str>, MsFlags::MS_BIND, None::<&str>).expect("a folder can be bound");
    own_folder("/etc");
    for entry in fs::read_dir(host).expect("it can be listed") {
        let name = entry.expect("it can be listed").file_name();
        // NetworkManager writes these.
        if !["NetworkManager", "hostname", "hosts", "resolv.conf"].iter().any(|own| name == *own) {
            symlink(Path::new(host).join(&name), Path::new("/etc").join(&name)).expect("our own folder");
        }
    }
    fs::create_dir_all("/etc/NetworkManager/system-connections").expect("our own folder");
    fs::write("/etc/NetworkManager/NetworkManager.conf", CONFIGURATION).expect("our own folder");
    fs::write("/etc/hostname", "test\n").expect("our own folder");
    // That of our network. Read-only, which tells NetworkManager not to wait for udev.
    let sysfs = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::MS_RDONLY, None::<&str>);
    sysfs.expect("the devices of our own network can be seen");
}

fn own_folder(path: &str) {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), path, Some("tmpfs"), flags, Some("mode=0755")).expect("a folder of our own");
}

/// ip(8)
pub fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip runs");
    assert!(status.success(), "ip {arguments:?}");
}

/// What ip(8) says, as JSON.
pub fn ip_json(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new("ip").arg("-j").args(arguments).output().expect("ip runs");
    assert!(output.status.success(), "ip -j {arguments:?}");
    serde_json::from_slice(&output.stdout).expect("ip prints JSON")
}

/// The programs of NetworkManager: the host's, or those that tests/setup has unpacked.
fn programs() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/network-manager");
    let found =
        [Path::new("/"), &unpacked].into_iter().find(|root| root.join("usr/sbin/NetworkManager").exists());
    found.expect("NetworkManager is there: run tests/setup").to_owned()
}

fn program(path: &str) -> Command {
    let root = programs();
    // What a killed test has started ends with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(root.join(path)).stdin(Stdio::null());
    if root != Path::new("/") {
        let libraries = ["x86_64", "aarch64"]
            .map(|machine| root.join(format!("usr/lib/{machine}-linux-gnu")).display().to_string());
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
    }
    command
}

/// A bus in that folder, and its address.
fn bus(folder: &Path) -> (Child, String) {
    let socket = folder.join("bus");
    // Of a bus that was here before; it may not be there.
    let _ = fs::remove_file(&socket);
    let file = folder.join("bus.conf");
    fs::write(&file, BUS.replace("SOCKET", &socket.display().to_string())).expect("our own folder");
    let mut bus = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "dbus-daemon"])
        .arg(format!("--config-file={}", file.display()))
        .args(["--nofork", "--nopidfile", "--print-address=1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It complains when it may not raise its own limits.
        .stderr(Stdio::null())
        .spawn()
        .expect("dbus-daemon is installed");
    let mut address = String::new();
    let mut ready = BufReader::new(bus.stdout.take().expect("it was piped"));
    ready.read_line(&mut address).expect("it says its address");
    // Without what names this bus and no other: `,guid=...`.
    let address = address.split(',').next().expect("a first part").trim().to_owned();
    (bus, address)
}

/// A NetworkManager on a bus of its own.
pub struct Harness {
    /// Of the bus.
    pub address: String,
    bus: Child,
    manager: Option<Child>,
    pub folder: TempDir,
}

impl Harness {
    /// A bus, and NetworkManager on it: it has done what it does at start.
    pub async fn start() -> Self {
        let mut harness = Self::without_manager();
        harness.begin().await;
        harness
    }

    /// Only a bus.
    pub fn without_manager() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (bus, address) = bus(folder.path());
        Self { address, bus, manager: None, folder }
    }

    /// Another bus in the place of this one, and nobody on it.
    pub fn restart_bus(&mut self) {
        self.bus.kill().and_then(|()| self.bus.wait()).expect("a process of ours ends");
        if let Some(mut manager) = self.manager.take() {
            manager.kill().and_then(|()| manager.wait()).expect("a process of ours ends");
        }
        (self.bus, self.address) = bus(self.folder.path());
    }

    /// Starts NetworkManager, and waits until it has done what it does at start.
    pub async fn begin(&mut self) {
        self.spawn();
        let client = self.client().await;
        self.until(&client, "it has started", |image| image.is_some_and(|image| !image.startup)).await;
    }

    /// Starts NetworkManager.
    pub fn spawn(&mut self) {
        assert!(self.manager.is_none(), "there is one already");
        let log = fs::File::options().append(true).create(true).open(self.folder.path().join("log"));
        let log = log.expect("our own folder");
        let manager = program("usr/sbin/NetworkManager")
            .args(["--debug", "--config", "/etc/NetworkManager/NetworkManager.conf"])
            .args([
                "--config-dir",
                "/etc/NetworkManager/conf.d",
                "--system-config-dir",
                "/etc/NetworkManager/none",
            ])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .stdout(log.try_clone().expect("a descriptor"))
            .stderr(log)
            .spawn()
            .expect("NetworkManager starts");
        self.manager = Some(manager);
    }

    fn tell(&self, signal: Signal) {
        let pid = self.manager.as_ref().expect("it runs").id();
        kill(Pid::from_raw(pid.cast_signed()), signal).expect("a process of ours can be told");
    }

    /// Ends NetworkManager politely: links, profiles and what is in memory stay.
    pub fn stop(&mut self) {
        self.tell(Signal::SIGTERM);
        self.manager.take().expect("it runs").wait().expect("it ends");
    }

    /// Ends NetworkManager as a crash does.
    pub fn kill(&mut self) {
        self.tell(Signal::SIGKILL);
        self.manager.take().expect("it runs").wait().expect("it ends");
    }

    pub async fn restart(&mut self) {
        self.stop();
        self.begin().await;
    }

    /// NetworkManager stays on the bus and does nothing.
    pub fn freeze(&self) {
        self.tell(Signal::SIGSTOP);
    }

    pub fn thaw(&self) {
        self.tell(Signal::SIGCONT);
    }

    /// A client whose keeper runs, and has read what NetworkManager knows, if it is there.
    pub async fn client(&self) -> Client {
        self.client_at(&self.address).await
    }

    /// The same, by another way to the bus.
    pub async fn client_at(&self, address: &str) -> Client {
        let (client, keeper) = soon(Client::open(Some(address))).await.expect("the bus accepts us");
        tokio::spawn(keeper.run());
        let read = soon(client.sync()).await;
        assert!(read.is_ok() || read == Err(Error::absent()), "{read:?}");
        client
    }

    /// Waits until the image is as wanted.
    pub async fn until(
        &self,
        client: &Client,
        what: &str,
        is_wanted: impl Fn(Option<&Image>) -> bool,
    ) -> Option<Arc<Image>> {
        let mut revisions = client.revisions();
        let reached = async {
            loop {
                revisions.borrow_and_update();
                let image = client.image();
                if is_wanted(image.as_deref()) {
                    return image;
                }
                revisions.changed().await.expect("the keeper runs");
            }
        };
        match timeout(LIMIT, reached).await {
            Ok(image) => image,
            Err(_) => panic!("not so: {what}\n{:#?}\n{}", client.image(), self.log()),
        }
    }

    /// Another program uses NetworkManager: nmcli(1).
    pub fn nmcli(&self, arguments: &[&str]) -> String {
        let output = self.try_nmcli(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "nmcli {arguments:?}: {error}\n{}", self.log());
        String::from_utf8(output.stdout).expect("nmcli prints text")
    }

    pub fn try_nmcli(&self, arguments: &[&str]) -> Output {
        let mut command = program("usr/bin/nmcli");
        command.args(arguments).env("DBUS_SYSTEM_BUS_ADDRESS", &self.address).env("LC_ALL", "C.UTF-8");
        command.output().expect("nmcli runs")
    }

    /// What NetworkManager has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        for process in [self.manager.as_mut(), Some(&mut self.bus)].into_iter().flatten() {
            // A frozen one ends, too; one that ended needs no end.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A call that must succeed.
pub async fn done(client: &Client, call: Call) -> Answer {
    let text = format!("{call:?}");
    soon(client.start(call)).await.unwrap_or_else(|error| panic!("{text}: {} {error}", error.name()))
}

/// A call that must be refused.
pub async fn refused(client: &Client, call: Call) -> Error {
    let text = format!("{call:?}");
    soon(client.start(call)).await.expect_err(&text)
}
