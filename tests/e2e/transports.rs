//! The same daemon by D-Bus, with the real dbus-daemon and busctl, and by varlink.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::harness::{Daemon, LIMIT, Lines, Monitor, Ran, in_namespace};

const NAME: &str = "io.nmstate.Daemon";
const PATH: &str = "/io/nmstate/Daemon";
const CABLE: &str = "interfaces: [{name: cable0, type: veth, state: up, veth: {peer: cable1}}]";

struct Bus {
    process: Lines,
    address: String,
}

impl Bus {
    fn start(folder: &Path) -> Self {
        let address = format!("unix:path={}", folder.join("bus").display());
        let process = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address=1", "--address"])
            .arg(&address)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let process = Lines::of(process);
        process.until(|line| line.starts_with("unix:path="));
        Self { process, address }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("busctl");
        command.args(["--address", &self.address, "--no-pager"]).args(arguments).stdin(Stdio::null());
        command
    }

    fn busctl(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("busctl is installed"))
    }

    fn call(&self, arguments: &[&str]) -> String {
        let ran = self.busctl(&[&["call", NAME, PATH, NAME], arguments].concat());
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        ran.out
    }

    /// What is said on the bus from here on.
    fn monitor(&self) -> Lines {
        // It says on standard error that it has begun.
        let mut shell = Command::new("stdbuf");
        shell.args(["-oL", "busctl", "--address", &self.address, "monitor", NAME]);
        let mut process: Child =
            shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("busctl is installed");
        let mut said = std::io::BufReader::new(process.stderr.take().expect("it is piped"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).expect("it speaks");
        assert!(line.contains("Monitoring"), "{line}");
        Lines::of(process)
    }
}

#[test]
fn what_one_transport_does_the_other_sees() {
    in_namespace(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let bus = Bus::start(folder.path());
        let mut daemon = Daemon::start_in(folder, &bus.address);
        let before = daemon.show();
        let monitor = Monitor::start(&daemon);
        let on_bus = bus.monitor();

        // By the bus, seen and ended by nmctl.
        let answer =
            bus.call(&["Apply", "sa{sv}", CABLE, "2", "commit", "b", "false", "timeout_s", "u", "600"]);
        assert!(answer.contains("awaiting-commit"), "{answer}");
        let seen = monitor.until("awaiting-commit");
        assert!(seen["owner"]["via"].as_str().is_some_and(|via| via.starts_with(':')), "{seen}");
        let id = seen["id"].to_string();
        // Its object comes with the event, which is nobody's answer.
        let end = Instant::now() + LIMIT;
        let checkpoint = loop {
            let tree = bus.busctl(&["tree", "--list", NAME]).out;
            match tree.lines().find(|line| line.to_lowercase().contains("checkpoint/")) {
                Some(line) => break line.to_owned(),
                None => assert!(Instant::now() < end, "no checkpoint in\n{tree}"),
            }
        };
        assert!(checkpoint.ends_with(&id), "{checkpoint}");
        let introspected = bus.busctl(&["introspect", NAME, &checkpoint]);
        assert_eq!(introspected.code, Some(0), "{}", introspected.err);
        assert!(introspected.out.contains(".SecondsLeft"), "{}", introspected.out);
        daemon.printed(&["rollback", &id]);
        on_bus.until(|line| line.contains("rolled-back"));
        assert_eq!(daemon.show(), before);

        // By nmctl, seen and ended on the bus.
        let file = daemon.file("cable.yml", CABLE);
        daemon.printed(&["apply", "--no-commit", &file]);
        on_bus.until(|line| line.contains("awaiting-commit"));
        let id = daemon.only();
        assert!(bus.call(&["List"]).contains("awaiting-commit"));
        bus.call(&["Extend", "tu", &id, "300"]);
        bus.call(&["Commit", "t", &id]);
        assert_eq!(monitor.until("committed")["id"].to_string(), id);
        assert!(daemon.is_as(&file));
        let shown = bus.call(&["Show", "a{sv}", "0"]);
        assert!(shown.contains("cable0"), "{shown}");

        // The same refusal with the same words.
        let bad = "interfaces: [{name: cable0, mtuu: 1}]";
        let ran = bus.busctl(&["call", NAME, PATH, NAME, "Apply", "sa{sv}", bad, "0"]);
        assert!(ran.code != Some(0) && ran.err.contains("unknown key `mtuu`"), "{}", ran.err);
        let said = daemon.refused(&["apply", &daemon.file("bad.yml", bad)], "InvalidArgument");
        assert!(said.contains("unknown key `mtuu`"), "{said}");

        for object in [PATH, "/"] {
            let introspected = bus.busctl(&["introspect", NAME, object]);
            assert_eq!(introspected.code, Some(0), "{object}: {}", introspected.err);
        }
        assert!(!bus.busctl(&["tree", "--list", NAME]).out.contains(&checkpoint));

        // The bus goes: the daemon does not live on half.
        drop(on_bus);
        assert!(daemon.terminate().success(), "{}", daemon.log());
        drop(bus.process);
    });
}
