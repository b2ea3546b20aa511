//! `nmctl` as its users meet it: the program, against a daemon that follows a script.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// Longest wait for anything in these tests.
const LIMIT: Duration = Duration::from_secs(60);

/// What the daemon does on one connection.
enum Act {
    /// Expects a call of that method and answers so.
    Answer(&'static str, Vec<Json>),
    /// Expects a call of that method, answers so, and says nothing more until the connection ends.
    Hang(&'static str, Vec<Json>),
    /// Answers like `Answer`, but the last answer only after the next connection was served.
    Await(&'static str, Vec<Json>),
    /// Closes in the middle of a call.
    Close,
}

/// A daemon that serves one connection after the other as told, and keeps the calls it got.
struct Daemon {
    folder: TempDir,
    calls: Receiver<Json>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn new(script: Vec<Act>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
        let (sender, calls) = channel();
        let thread = std::thread::spawn(move || serve(&listener, script.into(), &sender));
        Self { folder, calls, thread: Some(thread) }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn nmctl(&self, arguments: &[&str]) -> Command {
        let mut command = nmctl(arguments);
        command.arg("--socket").arg(self.socket());
        command
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    }

    /// The next call that came.
    fn call(&self) -> Json {
        self.calls.recv_timeout(LIMIT).expect("nmctl calls")
    }

    /// Ends when the whole script was played.
    fn finished(mut self) {
        if let Err(panic) = self.thread.take().expect("it is joined once").join() {
            std::panic::resume_unwind(panic);
        }
    }
}

fn serve(listener: &UnixListener, mut script: VecDeque<Act>, calls: &Sender<Json>) {
    while let Some(act) = script.pop_front() {
        let (mut stream, _) = listener.accept().expect("a client comes");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit can be set");
        let (method, mut answers, hangs, last) = match act {
            Act::Answer(method, answers) => (method, answers, false, None),
            Act::Hang(method, answers) => (method, answers, true, None),
            Act::Await(method, mut answers) => {
                let last = answers.pop();
                (method, answers, false, last)
            }
            Act::Close => {
                receive(&mut stream);
                continue;
            }
        };
        let call = receive(&mut stream);
        assert_eq!(call["method"], format!("io.nmstate.Daemon.{method}"));
        // A test that does not look at the calls has ended the channel.
        let _ = calls.send(call);
        if let Some(last) = last {
            answers.drain(..).for_each(|answer| send(&mut stream, &answer));
            let rest = script.pop_front().expect("another connection follows");
            serve(listener, VecDeque::from([rest]), calls);
            send(&mut stream, &last);
            continue;
        }
        answers.iter().for_each(|answer| send(&mut stream, answer));
        if hangs {
            assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0, "nothing more is asked");
        }
    }
}

fn receive(stream: &mut UnixStream) -> Json {
    let mut message = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).expect("a call comes") == 1 && byte[0] != 0 {
        message.push(byte[0]);
    }
    serde_json::from_slice(&message).expect("a call is JSON")
}

fn send(stream: &mut UnixStream, answer: &Json) {
    let mut message = serde_json::to_vec(answer).expect("JSON prints");
    message.push(0);
    // A client that does not listen any more is what some tests are about.
    let _ = stream.write_all(&message);
}

fn nmctl(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nmctl"));
    command.args(arguments).env_remove("NMCTL_SOCKET").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

struct Result {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(mut command: Command) -> Result {
    told(command.output().expect("nmctl runs"))
}

fn told(output: Output) -> Result {
    let text = |bytes| String::from_utf8(bytes).expect("nmctl prints text");
    Result { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn transaction(id: u64, stage: &str) -> Json {
    json!({"id": id, "owner": {"uid": 0, "pid": 1, "via": "varlink"}, "stage": stage, "created": 0, "diff": ""})
}

fn step(id: u64, n: u32, text: &str) -> Json {
    let mut transaction = transaction(id, "applying");
    transaction["progress"] = json!({"n": n, "of": 2, "interface": "eth1", "text": text});
    json!({"parameters": {"transaction": transaction}, "continues": true})
}

fn end(id: u64, stage: &str, diff: &str) -> Json {
    let mut transaction = transaction(id, stage);
    transaction["diff"] = diff.into();
    if stage == "awaiting-commit" {
        transaction["seconds_left"] = 60.into();
    }
    json!({"parameters": {"transaction": transaction}})
}

fn error(kind: &str, message: &str, more: Json) -> Json {
    let mut parameters = json!({"kind": kind, "message": message});
    for (key, value) in more.as_object().expect("an object") {
        parameters[key] = value.clone();
    }
    json!({"error": format!("io.nmstate.Daemon.{kind}"), "parameters": parameters})
}

#[test]
fn show_prints_a_document_for_people_and_asks_for_what_was_asked() {
    let state = json!({"interfaces": [{"mtu": 1500, "name": "eth1", "state": "up", "type": "ethernet"},
        {"name": "lo", "type": "loopback"}]});
    let daemon =
        Daemon::new(vec![Act::Answer("Show", vec![json!({"parameters": {"state": state, "revision": 1}})])]);
    let result = run(daemon.nmctl(&["show", "eth*", "-k", "-s"]));
    assert_eq!(result.code, Some(0), "{}", result.err);
    assert_eq!(
        result.out,
        "route-rules: {}\nroutes: {}\ninterfaces:\n- name: eth1\n  type: ethernet\n  state: up\n  mtu: 1500\novn: {}\n"
    );
    assert_eq!(daemon.call()["parameters"], json!({"options": {"kernel_only": true, "show_secrets": true}}));
    daemon.finished();
}

#[test]
fn apply_prints_steps_on_standard_error_and_the_difference_on_standard_output() {
    let answers = vec![step(7, 1, "add"), step(7, 2, "set mtu"), end(7, "committed", "~ eth1\n")];
    let daemon = Daemon::new(vec![Act::Answer("Apply", answers)]);
    let file = daemon.file("a.yml", "interfaces: []\n");
    let result = run(daemon.nmctl(&["apply", &file, "--no-verify", "--timeout", "5", "--backend", "kernel"]));
    assert_eq!(result.code, Some(0), "{}", result.err);
    assert_eq!(result.out, "~ eth1\n");
    assert_eq!(
        result.err,
        "transaction 7: applying 1/2: eth1: add\ntransaction 7: applying 2/2: eth1: set mtu\ntransaction 7 committed\n"
    );
    let call = daemon.call();
    assert_eq!(call["more"], true);
    assert_eq!(
        call["parameters"],
        json!({"document": "interfaces: []\n", "options": {"verify": false, "timeout_s": 5, "backend": "kernel"}})
    );
    daemon.finished();
}

#[test]
fn several_documents_that_are_not_committed_are_one_change() {
    let daemon = Daemon::new(vec![
        Act::Answer("Apply", vec![end(7, "awaiting-commit", "")]),
        Act::Answer("Apply", vec![end(7, "awaiting-commit", "")]),
    ]);
    let (a, b) = (daemon.file("a", "{}"), daemon.file("b", "{}"));
    let result = run(daemon.nmctl(&["apply", "--no-commit", &a, &b]));
    assert_eq!(result.code, Some(0), "{}", result.err);
    let hint = "transaction 7 awaits commit: it is rolled back in 60 s unless `nmctl commit 7` keeps it\n";
    assert_eq!(result.err, hint.repeat(2));
    assert_eq!(daemon.call()["parameters"]["options"], json!({"commit": false}));
    assert_eq!(daemon.call()["parameters"]["options"], json!({"commit": false, "join": 7}));
    daemon.finished();
}

#[test]
fn a_document_that_cannot_be_read_stops_all_before_the_first_is_applied() {
    let daemon = Daemon::new(vec![]);
    let file = daemon.file("a", "{}");
    let result = run(daemon.nmctl(&["apply", &file, "/nowhere"]));
    assert_eq!(result.code, Some(1));
    assert_eq!(result.err, "error: InvalidArgument: /nowhere: No such file or directory (os error 2)\n");
    daemon.finished();
}

#[test]
fn problems_are_shown_in_the_users_own_text() {
    let more = json!([{"kind": "InvalidArgument", "message": "unknown key `y`", "path": "y", "line": 2, "column": 1}]);
    let first = json!({"path": "interfaces[0].mtuu", "line": 4, "column": 3,
        "hint": "did you mean `mtu`?", "more": more});
    let answer = error("InvalidArgument", "unknown key `mtuu`", first);
    let daemon = Daemon::new(vec![Act::Answer("Plan", vec![answer])]);
    let file = daemon.file("bad.yml", "interfaces:\ny: 1\n- name: x\n  mtuu: 9000\n");
    let result = run(daemon.nmctl(&["plan", &file]));
    assert_eq!((result.code, result.out.as_str()), (Some(1), ""));
    let expected = format!(
        "error: InvalidArgument: interfaces[0].mtuu: unknown key `mtuu`\n --> {file}:4:3\n  |\n4 |   mtuu: 9000\n  |   ^\n  \
         = hint: did you mean `mtu`?\nerror: InvalidArgument: y: unknown key `y`\n --> {file}:2:1\n  |\n2 | y: 1\n  | ^\n"
    );
    assert_eq!(result.err, expected);
    daemon.finished();
}

#[test]
fn plan_tells_by_its_exit_code_whether_something_would_change() {
    let plan = |changes: Json, diff: &str| {
        vec![json!({"parameters": {"plan": {"changes": changes, "diff": diff, "warnings": ["w"]}}})]
    };
    for (answer, arguments, code, out) in [
        (plan(json!([]), ""), vec!["plan", "--exit-code"], 0, ""),
        (plan(json!([{"x": 1}]), "+ a\n"), vec!["plan", "--exit-code"], 2, "+ a\n"),
        (plan(json!([{"x": 1}]), "+ a\n"), vec!["plan"], 0, "+ a\n"),
        (plan(json!([{"x": 1}]), "+ a\n"), vec!["apply", "--dry-run"], 0, "+ a\n"),
    ] {
        let daemon = Daemon::new(vec![Act::Answer("Plan", answer)]);
        let result = run(daemon.nmctl(&arguments));
        assert_eq!((result.code, result.out.as_str()), (Some(code), out), "{arguments:?}");
        assert!(result.err.starts_with("warning: w\n"), "{}", result.err);
        daemon.finished();
    }
}

#[test]
fn a_failed_change_tells_why_and_what_could_not_be_put_back() {
    let answer =
        error("VerificationError", "mtu is 1500", json!({"transaction": 7, "path": "interfaces[0].mtu"}));
    let mut record = end(7, "rolled-back", "");
    let daemon = Daemon::new(vec![
        Act::Answer("Apply", vec![step(7, 1, "add"), answer.clone()]),
        Act::Answer("Log", vec![record.clone()]),
    ]);
    let result = run(daemon.nmctl(&["apply"]));
    assert_eq!(result.code, Some(1));
    assert!(
        result.err.ends_with("error: VerificationError: interfaces[0].mtu: mtu is 1500\n"),
        "{}",
        result.err
    );
    daemon.finished();

    record["parameters"]["transaction"]["unrestored"] = json!(["eth1: mtu"]);
    let daemon = Daemon::new(vec![
        Act::Answer("Apply", vec![step(7, 1, "add"), answer]),
        Act::Answer("Log", vec![record]),
    ]);
    let result = run(daemon.nmctl(&["apply"]));
    assert_eq!(result.code, Some(4));
    assert!(
        result.err.ends_with("error: not everything could be put back (transaction 7):\n  - eth1: mtu\n"),
        "{}",
        result.err
    );
    daemon.finished();
}

#[test]
fn a_rollback_that_is_incomplete_has_its_own_exit_code() {
    let mut record = end(7, "failed", "");
    record["parameters"]["transaction"]["unrestored"] = json!(["eth1: mtu"]);
    let daemon = Daemon::new(vec![
        Act::Answer("Rollback", vec![error("PluginFailure", "no such device", json!({"transaction": 7}))]),
        Act::Answer("Log", vec![record]),
    ]);
    let result = run(daemon.nmctl(&["rollback"]));
    assert_eq!(result.code, Some(4));
    assert_eq!(
        result.err,
        "error: PluginFailure: no such device\nerror: not everything could be put back (transaction 7):\n  - eth1: mtu\n"
    );
    assert_eq!(daemon.call()["parameters"], json!({}));
    daemon.finished();
}

#[test]
fn an_interrupt_takes_the_change_back() {
    let cancelled = error("Cancelled", "cancelled", json!({"transaction": 7}));
    let daemon = Daemon::new(vec![
        Act::Await("Apply", vec![step(7, 1, "add"), cancelled]),
        Act::Answer("Cancel", vec![end(7, "cancelled", "")]),
        Act::Answer("Log", vec![end(7, "cancelled", "")]),
    ]);
    let mut child = piped(daemon.nmctl(&["apply"]));
    let first = first_line(&mut child);
    assert_eq!(first, "transaction 7: applying 1/2: eth1: add\n");
    interrupt(&child);
    let result = told(child.wait_with_output().expect("nmctl ends"));
    assert_eq!(result.code, Some(130), "{}", result.err);
    assert_eq!(
        result.err,
        "interrupted: taking transaction 7 back\ninterrupted: transaction 7 cancelled; the network is as before\n"
    );
    assert_eq!(daemon.call()["parameters"]["options"], json!({}));
    assert_eq!(daemon.call()["parameters"], json!({"id": 7}));
    daemon.finished();
}

#[test]
fn a_hang_up_leaves_the_change_to_the_daemon() {
    let daemon = Daemon::new(vec![Act::Hang("Apply", vec![step(7, 1, "add")])]);
    let mut child = piped(daemon.nmctl(&["apply"]));
    first_line(&mut child);
    kill(pid(&child), Signal::SIGHUP).expect("a signal can be sent");
    assert_eq!(child.wait().expect("nmctl ends").code(), None, "ended by the signal");
    assert_eq!(daemon.call()["method"], "io.nmstate.Daemon.Apply");
    // The script has no second connection: nothing was cancelled.
    daemon.finished();
}

fn piped(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("nmctl starts")
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let mut byte = [0];
    let err = child.stderr.as_mut().expect("it is piped");
    while !line.ends_with('\n') && err.read(&mut byte).expect("standard error can be read") == 1 {
        line.push(char::from(byte[0]));
    }
    line
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process number is an i32"))
}

fn interrupt(child: &Child) {
    kill(pid(child), Signal::SIGINT).expect("a signal can be sent");
}

#[test]
fn a_daemon_that_is_not_there_is_told_with_what_to_do() {
    let mut command = nmctl(&["show"]);
    command.env("NMCTL_SOCKET", "/nowhere/socket");
    let result = run(command);
    assert_eq!(result.code, Some(3));
    assert_eq!(
        result.err,
        "error: nmstated is not running: there is no socket /nowhere/socket\n \
         = hint: start it with `systemctl start nmstated`, or name its socket with --socket\n"
    );
}

#[test]
fn a_daemon_that_dies_leaves_a_hint_where_to_look() {
    let daemon = Daemon::new(vec![Act::Close]);
    let result = run(daemon.nmctl(&["apply"]));
    assert_eq!(result.code, Some(3));
    assert!(result.err.starts_with("error: nmstated closed the connection before it answered\n = hint: "));
    assert!(result.err.contains("`nmctl status`"), "{}", result.err);
    daemon.finished();
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let routes: Vec<Json> =
        (0..20_000).map(|n| json!({"destination": format!("2001:db8::{n:x}/128")})).collect();
    let state = json!({"routes": {"config": routes}});
    let daemon =
        Daemon::new(vec![Act::Answer("Show", vec![json!({"parameters": {"state": state, "revision": 1}})])]);
    let mut child = piped(daemon.nmctl(&["show"]));
    drop(child.stdout.take());
    let result = told(child.wait_with_output().expect("nmctl ends"));
    assert_eq!((result.code, result.err.as_str()), (Some(0), ""));
    daemon.finished();
}

/// Runs with standard output and standard error on a terminal; returns what the terminal got.
fn on_a_terminal(mut command: Command) -> String {
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let mut master = fs::File::from(pty.master);
    let again = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a descriptor"));
    command.stdout(again(&pty.slave)).stderr(again(&pty.slave));
    let mut child = command.spawn().expect("nmctl starts");
    drop(command);
    drop(pty.slave);
    let mut bytes = Vec::new();
    // The end of a terminal nobody holds any more is told as EIO.
    let _ = master.read_to_end(&mut bytes);
    child.wait().expect("nmctl ends");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_terminal_gets_one_progress_line_and_colours_unless_not_wanted() {
    let answers = || vec![step(7, 1, "add"), step(7, 2, "set"), end(7, "committed", "+ eth1\n")];
    let daemon = Daemon::new(vec![Act::Answer("Apply", answers())]);
    let seen = on_a_terminal(daemon.nmctl(&["apply"]));
    assert_eq!(
        seen,
        "\r\x1b[Ktransaction 7: applying 1/2: eth1: add\r\x1b[Ktransaction 7: applying 2/2: eth1: set\r\x1b[K\
         \x1b[32m+ eth1\x1b[0m\r\ntransaction 7 committed\r\n"
    );
    daemon.finished();

    let daemon = Daemon::new(vec![Act::Answer("Apply", answers())]);
    let mut command = daemon.nmctl(&["apply"]);
    command.env("NO_COLOR", "1");
    let seen = on_a_terminal(command);
    assert!(seen.contains("+ eth1\r\n") && !seen.contains("\x1b[3"), "{seen:?}");
    daemon.finished();
}

#[test]
fn names_from_the_kernel_cannot_steer_the_terminal() {
    let answers = vec![end(7, "committed", "+ eth\x1b[2J\n")];
    let daemon = Daemon::new(vec![Act::Answer("Apply", answers)]);
    let result = run(daemon.nmctl(&["apply"]));
    assert_eq!(result.out, "+ eth\u{fffd}[2J\n");
    daemon.finished();
}

#[test]
fn monitor_prints_each_event_as_it_comes() {
    let event = |event: Json| json!({"parameters": {"event": event}, "continues": true});
    let network = event(json!({"event": "network", "revision": 5}));
    let changed = event(json!({"event": "transaction", "transaction": transaction(7, "planning")}));
    let lost = event(json!({"event": "lost", "count": 3}));
    for (arguments, expected) in [
        (
            vec!["monitor"],
            "network: revision 5\ntransaction 7: planning\nlost 3 events: this reader is too slow\n",
        ),
        (
            vec!["monitor", "--json"],
            "{\"event\":\"network\",\"revision\":5}\n{\"event\":\"transaction\",\"transaction\":{\"id\":7,\"owner\":\
             {\"uid\":0,\"pid\":1,\"via\":\"varlink\"},\"stage\":\"planning\",\"created\":0,\"diff\":\"\"}}\n\
             {\"event\":\"lost\",\"count\":3}\n",
        ),
    ] {
        let answers = vec![network.clone(), changed.clone(), lost.clone()];
        let daemon = Daemon::new(vec![Act::Answer("Monitor", answers)]);
        let result = run(daemon.nmctl(&arguments));
        assert_eq!((result.code, result.out.as_str()), (Some(3), expected), "the daemon ends the stream");
        daemon.finished();
    }
}

#[test]
fn usage_errors_have_their_own_code_and_ask_nobody() {
    for arguments in
        [vec!["apply", "--timeout", "soon"], vec!["fly"], vec![], vec!["apply", "--wait", "--join", "3"]]
    {
        let result = run(nmctl(&arguments));
        assert_eq!((result.code, result.out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(result.err.contains("--help") || result.err.contains("Usage: "), "{}", result.err);
    }
}

#[test]
fn what_needs_no_daemon_works_without() {
    let text = "interfaces:\n- {state: up, type: veth, name: a, veth: {peer: b}}\n";
    let with_input = |arguments: &[&str], text: &str| {
        let mut child = nmctl(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nmctl starts");
        child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
        told(child.wait_with_output().expect("nmctl ends"))
    };
    let result = with_input(&["format"], text);
    assert_eq!(result.out, "interfaces:\n- name: a\n  type: veth\n  state: up\n  veth:\n    peer: b\n");
    let result = with_input(&["validate", "--offline"], "interfaces:\n- {type: veth, mtuu: 3, name: a}\n");
    assert_eq!(result.code, Some(1));
    assert!(result.err.contains("<stdin>:2:16\n"), "{}", result.err);
    let schema: Json = serde_json::from_str(&run(nmctl(&["schema"])).out).expect("JSON");
    assert_eq!(schema["type"], "object");
    assert!(run(nmctl(&["explain", "interfaces.mtu"])).out.starts_with("interfaces[].mtu"));
    let unknown = run(nmctl(&["explain", "mtuu"]));
    assert_eq!(unknown.err, "error: NotFound: documents have no key `mtuu`; did you mean `mtu`?\n");
    assert!(run(nmctl(&["completion", "bash"])).out.contains("_nmctl()"));
    assert_eq!(run(nmctl(&["version"])).out, concat!("nmctl ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_is_edited_is_applied_and_kept_if_it_cannot_be() {
    let state = json!({"interfaces": [{"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500}]});
    let shown = || vec![json!({"parameters": {"state": state, "revision": 1}})];
    let plan = json!({"parameters": {"plan": {"changes": [], "diff": "", "warnings": []}}});
    let edit = |daemon: &Daemon, editor: &str| {
        let mut command = daemon.nmctl(&["edit"]);
        command.env_remove("VISUAL").env("EDITOR", editor).env("TMPDIR", daemon.folder.path());
        run(command)
    };
    let left = |daemon: &Daemon| {
        let entries = fs::read_dir(daemon.folder.path()).expect("a folder");
        entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir())).count()
    };

    let daemon = Daemon::new(vec![
        Act::Answer("Show", shown()),
        Act::Answer("Plan", vec![plan]),
        Act::Answer("Apply", vec![end(7, "committed", "~ eth1\n")]),
    ]);
    let result = edit(&daemon, "sed -i -e 's/1500/1400/' -e '1i # why'");
    assert_eq!((result.code, result.out.as_str()), (Some(0), "~ eth1\n"), "{}", result.err);
    assert_eq!(daemon.call()["parameters"], json!({"options": {"running_config_only": true}}));
    daemon.call();
    let text = daemon.call()["parameters"]["document"].as_str().expect("a document").to_owned();
    assert!(text.starts_with("# why\n# The configured network.") && text.contains("mtu: 1400\n"), "{text}");
    assert_eq!(left(&daemon), 0);
    daemon.finished();

    let daemon = Daemon::new(vec![Act::Answer("Show", shown())]);
    let result = edit(&daemon, "true");
    assert_eq!((result.code, result.err.as_str()), (Some(0), "nothing was changed\n"));
    assert_eq!(left(&daemon), 0);
    daemon.finished();

    // Without a terminal nobody can be asked whether to edit again.
    let refusal = error("InvalidArgument", "unknown key", json!({}));
    let daemon = Daemon::new(vec![Act::Answer("Show", shown()), Act::Answer("Plan", vec![refusal])]);
    let result = edit(&daemon, "sed -i s/1500/1400/");
    assert_eq!(result.code, Some(1));
    assert!(result.err.contains("what you wrote is in "), "{}", result.err);
    assert_eq!(left(&daemon), 1);
    daemon.finished();

    // An editor that fails takes nothing with it that was written.
    for (editor, kept) in [("false", 0), ("sh -c 'sed -i s/1500/1400/ \"$0\"; exit 3'", 1)] {
        let daemon = Daemon::new(vec![Act::Answer("Show", shown())]);
        let result = edit(&daemon, editor);
        assert_eq!(result.code, Some(1));
        assert_eq!(result.err.contains("what you wrote is in "), kept == 1, "{}", result.err);
        assert_eq!(left(&daemon), kept);
        daemon.finished();
    }
}

#[test]
fn what_needs_the_present_state_asks_for_it() {
    let state = json!({"interfaces": [{"name": "eth1", "type": "ethernet", "state": "up", "mtu": 1500}]});
    let shown = || vec![json!({"parameters": {"state": state, "revision": 1}})];
    let policy = "capture: {one: interfaces.name == eth1}\n\
                  desired: {interfaces: [{name: \"{{ capture.one.interfaces.0.name }}\", type: ethernet, mtu: 1400}]}\n";
    for (command, expected, options) in [
        ("policy", "interfaces:\n- name: eth1\n  type: ethernet\n  state: up\n  mtu: 1400\n", json!({})),
        ("statistic", "topology:\n- ethernet\nfeatures: []\n", json!({"running_config_only": true})),
    ] {
        let daemon = Daemon::new(vec![Act::Answer("Show", shown())]);
        let file = daemon.file("policy.yml", policy);
        let result = run(daemon.nmctl(&[command, &file]));
        assert_eq!((result.code, result.out.as_str(), result.err.as_str()), (Some(0), expected, ""));
        assert_eq!(daemon.call()["parameters"], json!({ "options": options }));
        daemon.finished();
    }
}

/// The last part of docs/nmctl.md: the help of every command.
fn reference() -> String {
    let mut root = nmstated::client::command_line().term_width(96);
    root.build();
    let mut text = format!("\n```text\n{}```\n", root.render_long_help());
    for command in root.get_subcommands_mut().filter(|command| command.get_name() != "help") {
        let name = command.get_name().to_owned();
        text += &format!("\n### {name}\n\n```text\n{}```\n", command.render_long_help());
    }
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn the_page_has_the_help_of_every_command() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nmctl.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let (head, marker) = page.split_once("<!-- What follows").expect("the page has its mark");
    let marker = marker.lines().next().expect("the mark is a line");
    let expected = format!("{head}<!-- What follows{marker}\n{}", reference());
    if std::env::var_os("WRITE_PAGES").is_some() {
        fs::write(&path, &expected).expect("the page can be written");
    }
    assert!(page == expected, "docs/nmctl.md is out of date: run `WRITE_PAGES=1 cargo test --test cli`");
}
