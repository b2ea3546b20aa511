//! `nmctl` on a real terminal: what is kept, and what is put back (S7, S17).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;

use crate::harness::{Daemon, LIMIT, Monitor, in_namespace};

/// Where the client of an SSH session sits: on the link of `near`.
const SSH: &str = "192.0.2.9 50000 192.0.2.2 22";

const GROUND: &str = "
interfaces:
- {name: near, type: veth, state: up, veth: {peer: near-far}, ipv6: {enabled: false}, ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.2, prefix-length: 24}]}}
- {name: other, type: veth, state: up, veth: {peer: other-far}, ipv6: {enabled: false}}
";
const CHANGE: &str = "interfaces: [{name: other, mtu: 1400}]";
const CUT_OFF: &str = "interfaces: [{name: near, ipv4: {enabled: false}}]";

/// A command that has a terminal to itself, as in a session of its own.
struct Session {
    terminal: Option<File>,
    process: Child,
    seen: String,
}

impl Session {
    /// Runs `nmctl` as the leader of a session on a new terminal; setsid(1) makes standard input the
    /// controlling one.
    fn start(daemon: &Daemon, arguments: &[&str]) -> Self {
        let nmctl = daemon.command(arguments);
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(nmctl.get_program()).args(nmctl.get_args());
        Self::on_a_terminal(command)
    }

    fn on_a_terminal(mut command: Command) -> Self {
        // Closed in what other tests start: a copy of our end would keep the terminal from going away.
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a terminal of ours");
        let name = ptsname_r(&master).expect("it has a name");
        let slave = File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(name);
        let slave = slave.expect("its other end");
        let copy = || Stdio::from(slave.try_clone().expect("a descriptor"));
        command.env("SSH_CONNECTION", SSH).env("TERM", "vt100");
        let process =
            command.stdin(copy()).stdout(copy()).stderr(copy()).spawn().expect("setsid is installed");
        // The command holds copies of the other end; what we hold must not keep it open.
        drop(command);
        Self { terminal: Some(OwnedFd::from(master).into()), process, seen: String::new() }
    }

    fn terminal(&mut self) -> &mut File {
        self.terminal.as_mut().expect("the terminal is there")
    }

    /// Waits until that is shown, and forgets all up to then.
    fn until(&mut self, text: &str) {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(at) = self.seen.find(text) {
                self.seen.drain(..at + text.len());
                return;
            }
            assert!(self.read(end), "`{text}` is not shown, but:\n{}", self.seen);
        }
    }

    /// The next number of seconds that is shown.
    fn seconds_left(&mut self) -> u32 {
        self.until("put back in ");
        let end = Instant::now() + LIMIT;
        loop {
            if let Some((number, _)) = self.seen.trim_start().split_once(" s") {
                return number.parse().expect("a number of seconds");
            }
            assert!(self.read(end), "no number is shown, but:\n{}", self.seen);
        }
    }

    fn question(&mut self) {
        self.until("Keep this change? [y/N], put back in ");
    }

    /// Reads what is shown next; false at the end.
    fn read(&mut self, end: Instant) -> bool {
        let left =
            u16::try_from(end.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(u16::MAX);
        let terminal = self.terminal();
        let ready = poll(&mut [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)], PollTimeout::from(left));
        if ready.expect("a terminal can be waited for") == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        // EIO: nobody has the other end any more.
        let count = terminal.read(&mut bytes).unwrap_or(0);
        self.seen += &String::from_utf8_lossy(&bytes[..count]);
        count > 0
    }

    fn type_in(&mut self, text: &str) {
        self.terminal().write_all(text.as_bytes()).expect("a terminal can be typed into");
    }

    /// Waits for the end; answers with how it ended, and what was shown last.
    fn end(mut self) -> (ExitStatus, String) {
        let end = Instant::now() + LIMIT;
        while self.terminal.is_some() && self.read(end) {}
        assert!(Instant::now() < end, "it does not end:\n{}", self.seen);
        (self.process.wait().expect("it ends"), self.seen)
    }
}

fn on_ground() -> (Daemon, String) {
    let daemon = Daemon::start();
    daemon.printed(&["apply", &daemon.file("ground.yml", GROUND)]);
    let before = daemon.show();
    (daemon, before)
}

#[test]
fn an_answer_keeps_a_change_or_puts_it_back() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let change = daemon.file("change.yml", CHANGE);
        for (typed, told, code) in [
            ("n\n", "not kept: transaction", 5),
            ("no\n", "is put back: as answered", 5),
            ("\n", "is put back: as answered", 5),
            ("\x04", "is put back: as answered", 5),
            ("\x03", "interrupted: transaction", 130),
        ] {
            let mut session = Session::start(&daemon, &["try", &change]);
            session.until("+ mtu: 1400");
            session.question();
            assert!(daemon.is_as(&change), "it is tried");
            session.type_in(typed);
            let (status, shown) = session.end();
            assert_eq!(status.code(), Some(code), "{typed:?}: {shown}");
            assert!(shown.contains(told), "{typed:?}: {shown}");
            assert!(daemon.show() == before, "{typed:?}");
        }
        let back = daemon.file("back.yml", &CHANGE.replace("1400", "1500"));
        for (typed, answers) in [("y\n", 1), ("YES\n", 1), ("perhaps\n", 2)] {
            let mut session = Session::start(&daemon, &["try", &change]);
            session.question();
            session.type_in(typed);
            if answers == 2 {
                session.until("+60 gives 60 seconds more");
                session.question();
                session.type_in("y\n");
            }
            let (status, shown) = session.end();
            assert_eq!(status.code(), Some(0), "{typed:?}: {shown}");
            assert!(daemon.is_as(&change), "{typed:?}");
            daemon.printed(&["apply", &back]);
        }
        daemon.assert_settled();
    });
}

#[test]
fn without_an_answer_a_change_is_put_back() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let change = daemon.file("change.yml", CHANGE);
        let mut session = Session::start(&daemon, &["try", "--timeout", "8", &change]);
        // It counts, on the same line; on a busy machine perhaps not every second.
        let first = session.seconds_left();
        let then = session.seconds_left();
        assert!(then < first && first <= 8, "{first} s, then {then} s");
        let (status, shown) = session.end();
        assert_eq!(status.code(), Some(5), "{shown}");
        assert!(shown.contains("is put back: it was not committed in time"), "{shown}");
        assert!(daemon.show() == before);

        // The terminal goes away.
        let monitor = Monitor::start(&daemon);
        let mut session = Session::start(&daemon, &["try", "--timeout", "600", &change]);
        session.question();
        session.terminal = None;
        assert_eq!(monitor.until("rolled-back")["error"]["message"], "its client went away");
        let (status, _) = session.end();
        assert_eq!(status.signal(), Some(Signal::SIGHUP as i32));
        assert!(daemon.show() == before);

        // Its session ends, but it has been told to ignore that (nohup(1)).
        let mut command = Command::new("setsid");
        let nmctl = daemon.command(&["try", "--timeout", "600", &change]);
        command.args(["--ctty", "sh", "-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(nmctl.get_program());
        let mut session = Session::on_a_terminal({
            command.args(nmctl.get_args());
            command
        });
        session.question();
        session.terminal = None;
        monitor.until("rolled-back");
        assert_eq!(session.end().0.code(), Some(5));
        assert!(daemon.show() == before);

        // It is killed.
        let mut session = Session::start(&daemon, &["try", "--timeout", "600", &change]);
        session.question();
        session.process.kill().expect("a process of ours can be killed");
        assert_eq!(monitor.until("rolled-back")["error"]["message"], "its client went away");
        assert_eq!(session.end().0.signal(), Some(Signal::SIGKILL as i32));
        assert!(daemon.show() == before);
        daemon.assert_settled();
    });
}

#[test]
fn others_may_decide_meanwhile_and_more_time_may_be_asked_for() {
    in_namespace(|| {
        let (mut daemon, before) = on_ground();
        let change = daemon.file("change.yml", CHANGE);
        let mut session = Session::start(&daemon, &["try", &change]);
        session.question();
        daemon.printed(&["rollback"]);
        let (status, shown) = session.end();
        assert_eq!(status.code(), Some(5), "{shown}");
        assert!(shown.contains("is put back: somebody else wanted that"), "{shown}");
        assert!(daemon.show() == before);

        let mut session = Session::start(&daemon, &["try", &change]);
        session.question();
        session.type_in("+600\n");
        session.until("put back in 6");
        assert!(daemon.live()[0]["seconds_left"].as_u64() > Some(600));
        daemon.printed(&["commit"]);
        let (status, shown) = session.end();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(shown.contains("was committed by somebody else"), "{shown}");
        assert!(daemon.is_as(&change));

        // A daemon that dies takes the question along, and puts it back at the deadline.
        let back = daemon.file("back.yml", &CHANGE.replace("1400", "1500"));
        let mut session = Session::start(&daemon, &["try", "--timeout", "8", &back]);
        session.question();
        daemon.kill();
        assert_eq!(session.end().0.code(), Some(3));
        daemon.restart();
        let monitor = Monitor::start(&daemon);
        if !daemon.live().is_empty() {
            monitor.until("rolled-back");
        }
        assert!(daemon.is_as(&change));
        daemon.assert_settled();
    });
}

#[test]
fn several_documents_are_tried_as_one() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let one = daemon.file("one.yml", CHANGE);
        let two = daemon.file("two.yml", "interfaces: [{name: near, mtu: 1400}]");
        let wrong = daemon.file("wrong.yml", "interfaces: [{name: near, mtu: 40}]");
        for (typed, code) in [("n\n", 5), ("y\n", 0)] {
            let mut session = Session::start(&daemon, &["try", &one, &two]);
            session.question();
            assert!(daemon.is_as(&one) && daemon.is_as(&two));
            session.type_in(typed);
            let (status, shown) = session.end();
            assert_eq!(status.code(), Some(code), "{shown}");
            assert_eq!(daemon.show() == before, code == 5);
        }
        daemon.printed(&[
            "apply",
            &daemon.file("back", GROUND),
            &daemon.file("mtus", "interfaces: [{name: near, mtu: 1500}, {name: other, mtu: 1500}]"),
        ]);
        let (status, shown) = Session::start(&daemon, &["try", &one, &wrong]).end();
        assert_eq!(status.code(), Some(1), "{shown}");
        assert!(shown.contains("the documents before, is put back"), "{shown}");
        assert!(daemon.show() == before);
        daemon.assert_settled();
    });
}

#[test]
fn without_a_terminal_nothing_is_tried() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let change = daemon.file("change.yml", CHANGE);
        let nmctl = daemon.command(&["try", &change]);
        // Without a controlling terminal, even if the test has one.
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(nmctl.get_program()).args(nmctl.get_args()).stdin(Stdio::null());
        let output = command.output().expect("setsid is installed");
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("asks on a terminal, and there is none"));
        assert!(daemon.show() == before);
        assert_eq!(daemon.json(&["history", "--json"]).as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn a_change_of_the_own_path_must_be_confirmed_on_a_terminal() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let cut = daemon.file("cut.yml", CUT_OFF);
        let why = "near: its address 192.0.2.2/24 goes";
        for (typed, timeout) in [("n\n", "600"), ("", "8")] {
            let mut session = Session::start(&daemon, &["apply", "--timeout", timeout, &cut]);
            session.until("This change touches the path of your connection:");
            session.until(why);
            session.question();
            assert!(daemon.is_as(&cut));
            session.type_in(typed);
            let (status, shown) = session.end();
            assert_eq!(status.code(), Some(5), "{shown}");
            assert!(daemon.show() == before);
        }
        let monitor = Monitor::start(&daemon);
        let mut session = Session::start(&daemon, &["apply", "--timeout", "600", &cut]);
        session.question();
        session.terminal = None;
        assert_eq!(monitor.until("rolled-back")["client_path"]["interface"], "near");
        drop(session.end());
        assert!(daemon.show() == before);

        // Elsewhere, nobody is asked; nor where nobody could be; nor who does not want to be.
        let (status, shown) = Session::start(&daemon, &["apply", &daemon.file("change.yml", CHANGE)]).end();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(!shown.contains("Keep this change?"), "{shown}");
        let (status, shown) = Session::start(&daemon, &["apply", "--client-address", "none", &cut]).end();
        assert_eq!(status.code(), Some(0), "{shown}");
        daemon.printed(&["apply", &daemon.file("ground.yml", GROUND)]);
        let scripted =
            daemon.command(&["apply", &cut]).env("SSH_CONNECTION", SSH).output().expect("nmctl runs");
        assert!(scripted.status.success());
        daemon.printed(&["apply", &daemon.file("ground.yml", GROUND)]);

        let mut session = Session::start(&daemon, &["apply", &cut]);
        session.question();
        session.type_in("y\n");
        assert_eq!(session.end().0.code(), Some(0));
        assert!(daemon.is_as(&cut));
        daemon.assert_settled();
    });
}

#[test]
fn a_plan_says_what_touches_the_path_wherever_the_session_is_known_from() {
    in_namespace(|| {
        let (daemon, _) = on_ground();
        let cut = daemon.file("cut.yml", CUT_OFF);
        let plan = ["plan", "--json", &cut];
        let told = |command: &mut Command| {
            let output = command.output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            plan["client_path"]["reasons"].to_string()
        };
        let why = r#"["near: its address 192.0.2.2/24 goes","near: its ipv4.enabled changes"]"#;
        assert_eq!(told(daemon.command(&plan).env("SSH_CONNECTION", SSH)), why);
        // As behind sudo(8): only the process above has the variable.
        let nmctl = daemon.command(&plan);
        let mut behind = Command::new("sh");
        behind.args(["-c", "unset SSH_CONNECTION; \"$@\"; exit $?", "sh"]).arg(nmctl.get_program());
        assert_eq!(told(behind.args(nmctl.get_args()).env("SSH_CONNECTION", SSH)), why);
        let elsewhere = [&plan[..], &["--client-address", "198.51.100.1"]].concat();
        assert_eq!(told(daemon.command(&elsewhere).env("SSH_CONNECTION", SSH)), "null");
        let off = [&plan[..], &["--client-address", "none"]].concat();
        assert_eq!(told(daemon.command(&off).env("SSH_CONNECTION", SSH)), "null");
        daemon.refused(&["plan", &cut, "--client-address", "home"], "InvalidArgument");
        let text = daemon.printed(&["plan", &cut, "--client-address", "192.0.2.9"]);
        assert!(
            text.contains("This change touches the path of your connection:\n  near: its address"),
            "{text}"
        );
    });
}

#[test]
fn what_is_wrong_is_edited_again_or_kept() {
    in_namespace(|| {
        let (daemon, before) = on_ground();
        let script = "#!/bin/sh\nif grep -q 'mtu: big' \"$1\"; then sed -i 's/mtu: big/mtu: 1400/' \"$1\"\n\
                      else sed -i 's/mtu: 1500/mtu: big/' \"$1\"; fi\n";
        let editor = format!("sh {}", daemon.file("editor", script));
        let edit = || {
            let nmctl = daemon.command(&["edit", "other"]);
            let mut command = Command::new("setsid");
            command.arg("--ctty").arg(nmctl.get_program()).args(nmctl.get_args());
            command.env_remove("VISUAL").env("EDITOR", &editor).env("TMPDIR", daemon.folder.path());
            let mut session = Session::on_a_terminal(command);
            session.until("InvalidArgument: interfaces[0].mtu: ");
            session.until("edit again? [Y/n] ");
            assert!(daemon.show() == before, "nothing is applied yet");
            session
        };
        let mut session = edit();
        session.type_in("n\n");
        let (status, shown) = session.end();
        assert_eq!(status.code(), Some(1), "{shown}");
        let (_, kept) = shown.split_once("what you wrote is in ").expect("it is told");
        let kept = kept.split_whitespace().next().expect("a path");
        assert!(std::fs::read_to_string(kept).expect("it is there").contains("mtu: big"));

        let mut session = edit();
        session.type_in("\n");
        let (status, shown) = session.end();
        assert_eq!(status.code(), Some(0), "{shown}");
        assert!(daemon.is_as(&daemon.file("change.yml", CHANGE)), "{shown}");
        daemon.assert_settled();
    });
}
