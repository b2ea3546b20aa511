//! netplan's programs. They run as transient services, outside of our sandbox and control group: an apply
//! that is cut off half way can leave NetworkManager stopped, so it ends as it would if we are killed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use super::folders::Folders;
use crate::backend::Failure;
use crate::netplan::{Files, Report, Version};
use crate::state::ErrorKind;
use crate::system::systemd::{Ended, Manager, Program};

/// Where a program is, and of which netplan it is: since 1.2 another writes what the renderers read; before
/// 0.107 it was not among the programs of `libexec`. What older versions of a line lack, they say themselves.
const GENERATORS: [(&str, Version); 3] = [
    ("/usr/libexec/netplan/configure", Version::new(1, 2, 0)),
    ("/usr/libexec/netplan/generate", Version::new(1, 1, 2)),
    ("/lib/netplan/generate", Version::new(0, 106, 0)),
];
const TOOLS: [&str; 2] = ["/usr/sbin/netplan", "/usr/bin/netplan"];

/// Names of services. One of each runs at a time.
const APPLY: &str = "nmstated-netplan-apply.service";
const CHECK: &str = "nmstated-netplan-check.service";
const STATUS: &str = "nmstated-netplan-status.service";
const NETWORKMANAGER: &str = "NetworkManager.service";
/// What `netplan status` starts where it does not run, to ask it: with nothing to manage it is of no use.
const STARTED: [&str; 3] =
    ["systemd-networkd.socket", "systemd-networkd-varlink.socket", "systemd-networkd.service"];

/// Longest that an apply may take: a hundred VLANs took NetworkManager a minute.
const APPLY_MAX: Duration = Duration::from_secs(110);
const CHECK_MAX: Duration = Duration::from_secs(20);
const STATUS_MAX: Duration = Duration::from_secs(20);
/// How long one that an earlier process started may go on.
const EARLIER_MAX: Duration = Duration::from_secs(40);
/// How long systemd may take to say that there is none.
const ASK_MAX: Duration = Duration::from_secs(60);
/// How long each command that netplan gives to Open vSwitch waits for ovs-vswitchd, in seconds; without end otherwise
/// (ovs-vsctl(8), `--timeout`, which has this variable behind it).
const FORWARDER_MAX: &str = "OVS_CTL_TIMEOUT=20";
/// What of an output is looked at.
const OUTPUT_MAX: u64 = 4 << 20;

/// The status of an apply that found the configuration invalid, and so changed nothing.
const NOTHING_TOUCHED: i32 = 78;

/// The netplan of this host.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    generator: &'static str,
    tool: &'static str,
    pub(super) version: Version,
    /// A folder of ours, of root alone.
    scratch: PathBuf,
    /// Several may plan at once, and there is one folder to check in. Whatever else runs is asked for one by one.
    check: Arc<Mutex<()>>,
}

impl Programs {
    /// None where netplan is not installed. `scratch`: a folder for copies of its files and for what its
    /// programs say, which is lost with a reboot.
    pub(super) fn find(scratch: &Path) -> Option<Self> {
        let (generator, version) = GENERATORS.into_iter().find(|(path, _)| Path::new(path).exists())?;
        let tool = TOOLS.into_iter().find(|path| Path::new(path).exists())?;
        Some(Self { generator, tool, version, scratch: scratch.to_owned(), check: Arc::default() })
    }

    /// Has netplan say whether it understands these files: what it has against them, or why it cannot be asked. Nothing
    /// of the host is changed. `patience`: how long this waits for its turn.
    pub(super) async fn check(&self, files: &Files, patience: Duration) -> Result<Option<Failure>, Failure> {
        let turn = timeout(patience, self.check.lock()).await;
        let _turn = turn.map_err(|_| Failure {
            kind: ErrorKind::PluginFailure,
            subject: None,
            message: format!("netplan was busy with other configurations for {} s", patience.as_secs()),
        })?;
        let root = self.scratch.join("check");
        Folders::copy(files, &root)?;
        let root = root.display().to_string();
        let command = [self.generator, "--root-dir", &root];
        let description = "Check a configuration of netplan for nmstated";
        let (ended, output) = self.run(CHECK, description, &command, CHECK_MAX).await?;
        if ended == Ended::Exit(0) {
            return Ok(None);
        }
        let why = complaint(&output, &root).unwrap_or_else(|| words(&ended, CHECK_MAX));
        let message = format!("netplan refuses the configuration: {why}");
        let failure = Failure { kind: ErrorKind::PluginFailure, subject: None, message };
        // One that was cut off has said nothing of the files.
        if matches!(ended, Ended::Exit(_)) { Ok(Some(failure)) } else { Err(failure) }
    }

    /// Applies what is in netplan's folders. Virtual links that `before` defines and nobody does now are
    /// deleted.
    pub(super) async fn apply(&self, before: &Files) -> Result<(), Failure> {
        let state = self.scratch.join("before");
        Folders::copy(before, &state)?;
        let state = state.display().to_string();
        let command = [self.tool, "apply", "--state", &state];
        let description = "Apply the configuration of netplan for nmstated";
        let (ended, output) = self.run(APPLY, description, &command, APPLY_MAX).await?;
        let how = match ended {
            Ended::Exit(0) => return Ok(()),
            Ended::Exit(NOTHING_TOUCHED) => "netplan refuses the configuration",
            _ => "netplan could not apply the configuration",
        };
        let why = complaint(&output, "").unwrap_or_else(|| words(&ended, APPLY_MAX));
        let message = format!("{how}: {why}");
        Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message })
    }

    /// Asks netplan what of its files it finds missing in the system. What it starts to find out is stopped again.
    pub(super) async fn status(&self) -> Result<Report, Failure> {
        let manager = Manager::connect().await.map_err(|error| bus(&error))?;
        let mut rested = Vec::new();
        for unit in STARTED {
            if !is_running(&manager, unit).await? {
                rested.push(unit);
            }
        }
        let command = [self.tool, "status", "--diff", "--format", "json"];
        let description = "Have netplan compare the network with its configuration for nmstated";
        let said = self.run(STATUS, description, &command, STATUS_MAX).await;
        self.rest(manager, &rested).await?;
        let (ended, output) = said?;
        match Report::read(&output) {
            Some(report) if ended == Ended::Exit(0) => Ok(report),
            _ => {
                let why = complaint(&output, "").unwrap_or_else(|| words(&ended, STATUS_MAX));
                Err(failure(format!("netplan cannot say what is missing: {why}")))
            }
        }
    }

    /// Starts NetworkManager where an apply that did not end has left it stopped.
    pub(super) async fn start_networkmanager(&self) -> Result<(), Failure> {
        let start = async { Manager::connect().await?.start(NETWORKMANAGER).await };
        match timeout(ASK_MAX, start).await {
            Ok(done) => done.map(drop).map_err(|error| bus(&error)),
            Err(_) => Err(failure("systemd does not start NetworkManager".into())),
        }
    }

    /// Stops those of these services that run.
    async fn rest(&self, mut manager: Manager, units: &[&str]) -> Result<(), Failure> {
        for unit in units {
            if is_running(&manager, unit).await? {
                manager.stop(unit).await.map_err(|error| bus(&error))?;
            }
        }
        Ok(())
    }

    /// Waits until no apply runs that an earlier process has begun.
    pub(super) async fn at_rest(&self) -> Result<(), Failure> {
        let wait = async { Manager::connect().await?.ended(APPLY, EARLIER_MAX).await };
        match timeout(ASK_MAX, wait).await {
            Ok(done) => done.map_err(|error| bus(&error)),
            Err(_) => Err(failure("systemd does not answer".into())),
        }
    }

    async fn run(
        &self,
        unit: &str,
        description: &str,
        command: &[&str],
        limit: Duration,
    ) -> Result<(Ended, String), Failure> {
        let output = self.scratch.join(unit).with_extension("output");
        let environment = &[FORWARDER_MAX];
        let program = Program { unit, description, command, environment, output: &output, limit };
        let run = async {
            let mut manager = Manager::connect().await?;
            // One of an earlier process, or of whoever stopped waiting for it, has the name, and perhaps the folder.
            manager.ended(unit, limit).await?;
            manager.run(program).await
        };
        let ended = run.await.map_err(|error| bus(&error))?;
        let said =
            read(&output).map_err(|error| failure(format!("cannot read what netplan said: {error}")))?;
        Ok((ended, said))
    }
}

async fn is_running(manager: &Manager, unit: &str) -> Result<bool, Failure> {
    let state = manager.state(unit).await.map_err(|error| bus(&error))?;
    Ok(state.is_some_and(|state| state == "active" || state == "activating"))
}

/// How lines begin that tell of a program which netplan or systemd has run in vain. They name programs and units only.
const PROGRAMS: [&str; 3] = ["subprocess.CalledProcessError: ", "Failed to ", "Job for "];

/// The one complaint that repeats a secret.
const SECRET: &str = "invalid tunnel key";

/// What is wrong, in netplan's words but without the line of the file, which may hold a secret.
fn complaint(output: &str, root: &str) -> Option<String> {
    let is_one = |line: &&str| {
        let has_place = |word: &str| line.starts_with('/') && line.contains(word);
        has_place(": Error in network definition")
            || has_place(": Invalid YAML")
            || line.starts_with("ERROR:")
            || PROGRAMS.iter().any(|word| line.starts_with(word))
    };
    let line = output.lines().find(is_one)?;
    let line = line.strip_prefix("ERROR:").map_or(line, str::trim);
    let line = line.find(SECRET).map_or(line, |at| &line[..at + SECRET.len()]);
    Some(line.strip_prefix(root).unwrap_or(line).trim_end_matches(':').to_owned())
}

fn words(ended: &Ended, limit: Duration) -> String {
    match ended {
        Ended::Exit(status) => format!("it ended with status {status}"),
        // systemd.exec(5), `$SERVICE_RESULT`.
        Ended::Otherwise(result) => match result.as_str() {
            "timeout" => format!("it was not done after {} s, and was ended", limit.as_secs()),
            "signal" | "core-dump" => "somebody or something killed it".to_owned(),
            result => format!("it did not end by itself ({result})"),
        },
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    match fs::File::open(path) {
        // It said nothing.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        file => drop(file?.take(OUTPUT_MAX).read_to_end(&mut bytes)?),
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn failure(message: String) -> Failure {
    Failure { kind: ErrorKind::PluginFailure, subject: None, message }
}

fn bus(error: &zbus::Error) -> Failure {
    failure(format!("cannot have systemd run netplan: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_has_its_place_and_no_line_of_the_file() {
        let root = "/run/nmstated/netplan/check";
        for (output, said) in [
            (
                "/run/nmstated/netplan/check/etc/netplan/10-a.yaml:5:7: Error in network definition: unknown \
                 key 'adresses'\n      password: secret\n      ^\n",
                Some("/etc/netplan/10-a.yaml:5:7: Error in network definition: unknown key 'adresses'"),
            ),
            (
                "\n** (generate:7): WARNING **: 12:57:59.857: Permissions for /x are too open.\n\
                 /run/nmstated/netplan/check/run/netplan/9.yaml:5:1: Invalid YAML: did not find expected ',' \
                 or '}':\n}\n^\n",
                Some("/run/netplan/9.yaml:5:1: Invalid YAML: did not find expected ',' or '}'"),
            ),
            (
                "ERROR: eth8: NetworkManager only supports unicast routes\n\n",
                Some("eth8: NetworkManager only supports unicast routes"),
            ),
            (
                "/run/nmstated/netplan/check/etc/netplan/9.yaml:4:7: Error in network definition: invalid tunnel key \
                 'hunter2'\n      keys: hunter2\n",
                Some("/etc/netplan/9.yaml:4:7: Error in network definition: invalid tunnel key"),
            ),
            ("Traceback (most recent call last):\n  secret", None),
            (
                "Traceback (most recent call last):\n  secret\nsubprocess.CalledProcessError: Command \
                 '['systemctl', 'daemon-reload']' returned non-zero exit status 1.\n",
                Some(
                    "subprocess.CalledProcessError: Command '['systemctl', 'daemon-reload']' returned non-zero \
                     exit status 1.",
                ),
            ),
        ] {
            assert_eq!(complaint(output, root).as_deref(), said);
        }
    }

    #[test]
    fn how_it_ended_is_told() {
        let limit = Duration::from_secs(110);
        let told = |result: &str| words(&Ended::Otherwise(result.into()), limit);
        assert_eq!(told("timeout"), "it was not done after 110 s, and was ended");
        assert_eq!(told("signal"), "somebody or something killed it");
        assert_eq!(words(&Ended::Exit(1), limit), "it ended with status 1");
    }
}
