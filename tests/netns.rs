//! The kernel backend against the running kernel, each test in a network namespace of its own.
//! Needs the right to make one (root, or root of a user namespace).
//!
//! Every document of docs/examples/kernel is applied, planned again (nothing may be left to do)
//! and taken back (the query must read as before, byte for byte). What the kernel at hand cannot
//! make must be refused while planning; such documents are named in the output.

#![expect(clippy::print_stdout, reason = "documents that cannot run here are named, not hidden")]

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use nix::sched::{CloneFlags, unshare};
use nmstated::backend::kernel::KernelBackend;
use nmstated::backend::{Backend, Step};
use nmstated::kernel::mirror::{self, Paths};
use nmstated::plan::{Options, Plan, plan};
use nmstated::state::{Document, ErrorKind, State};

/// A fresh namespace with a backend.
struct Lab {
    backend: KernelBackend,
    steps: Mutex<Vec<String>>,
    /// Where its etc/ is; gone with it.
    _root: tempfile::TempDir,
}

impl Lab {
    async fn open() -> Self {
        let root = tempfile::tempdir().expect("a folder is made");
        let etc = root.path().join("etc");
        fs::create_dir(&etc).expect("a folder is made");
        let paths = Paths {
            resolv_conf: etc.join("resolv.conf"),
            hostname: etc.join("hostname"),
            ..Paths::default()
        };
        let (mirror, keeper) = mirror::open(paths).await.expect("the mirror opens");
        tokio::spawn(async move { keeper.run().await.expect("the mirror is kept") });
        let backend = KernelBackend::open(mirror, root.path()).await.expect("the backend opens");
        backend.sync().await.expect("the mirror is current");
        Self { backend, steps: Mutex::default(), _root: root }
    }

    fn now(&self) -> Arc<State> {
        self.backend.observe().expect("there is a state").state
    }

    /// The query without what changes by itself.
    fn shown(&self) -> String {
        let mut state = State::clone(&self.now());
        for interface in state.interfaces.iter_mut().flatten() {
            // Offloads of a controller follow those of its ports.
            if interface.kind().is_controller() {
                interface.ethtool = None;
            }
            // The kernel makes link-local addresses when the carrier comes, in its own time.
            if let Some(ip) = interface.ipv6.as_deref_mut()
                && let Some(addresses) = &mut ip.address
            {
                addresses.retain(|address| !address.is_v6_link_local());
            }
        }
        state.to_yaml()
    }

    fn plan(&self, wanted: &State) -> Result<Plan, String> {
        plan(wanted, &self.now(), &self.backend.capabilities(), &Options::default())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    async fn apply(&self, plan: &Plan) -> Result<(), String> {
        let progress = |step: Step| self.steps.lock().expect("no step panics").push(step.text);
        self.backend.execute(Arc::new(plan.clone()), &progress).await.map_err(|failure| failure.to_string())
    }
}

fn in_namespace<T: Send + 'static, F: Future<Output = T>>(test: impl FnOnce() -> F + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make a namespace");
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts")
            .block_on(test())
    });
    match thread.join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn read(text: &str) -> State {
    Document::from_text(text).and_then(|document| Ok(document.state()?.0)).expect("the document is right")
}

/// Documents by name, sorted.
fn examples() -> Vec<(String, State)> {
    let folder = std::env::var_os("NMSTATED_EXAMPLES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/kernel"), PathBuf::from);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the examples are there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().expect("a file has a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), read(&fs::read_to_string(path).expect("it reads")))).collect()
}

enum Outcome {
    Passed,
    /// Refused while planning, for these reasons.
    NotHere(String),
    /// The kernel refused half-way, and everything is as before.
    Undone(String),
    Failed(String),
}

/// Applies a document on top of another, plans again, takes it back.
async fn round(first: Option<State>, wanted: State) -> Outcome {
    let lab = Lab::open().await;
    if let Some(first) = first {
        match lab.plan(&first) {
            Ok(plan) if lab.backend.judge(&plan).refused.is_empty() => {
                if let Err(failure) = lab.apply(&plan).await {
                    return Outcome::Failed(format!("the ground: {failure}"));
                }
            }
            _ => return Outcome::NotHere("the ground cannot be laid".to_owned()),
        }
    }
    lab.backend.sync().await.expect("the mirror is current");
    let before = lab.shown();
    let plan = match lab.plan(&wanted) {
        Ok(plan) => plan,
        Err(problems) => return Outcome::Failed(format!("planning: {problems}")),
    };
    let refused = lab.backend.judge(&plan).refused;
    if !refused.is_empty() {
        let odd = refused.iter().find(|problem| problem.kind != ErrorKind::NotSupportedError);
        let texts: Vec<String> = refused.iter().map(ToString::to_string).collect();
        return match odd {
            None => Outcome::NotHere(texts.join("; ")),
            Some(odd) => Outcome::Failed(format!("refused as {}: {odd}", odd.kind)),
        };
    }
    let mut snapshot = lab.backend.snapshot().await.expect("a snapshot is taken");
    snapshot.touched.extend(&plan);
    let facts = snapshot.private.clone();
    let applied = lab.apply(&plan).await.map_err(|failure| format!("{failure}\n{}", lab.log()));
    if applied.is_ok() {
        match lab.plan(&wanted) {
            Ok(again) if again.is_empty() => {}
            Ok(again) => {
                let (again, log, shown) = (describe(&again), lab.log(), lab.shown());
                return Outcome::Failed(format!("planned again:\n{again}\n{log}\n{shown}"));
            }
            Err(problems) => return Outcome::Failed(format!("planning again: {problems}")),
        }
    }
    lab.steps.lock().expect("no step panics").clear();
    let progress = |step: Step| lab.steps.lock().expect("no step panics").push(step.text);
    if let Err(failure) = lab.backend.restore(Arc::new(snapshot), &progress).await {
        return Outcome::Failed(format!("taking it back: {failure}\n{}", lab.log()));
    }
    let after = lab.shown();
    if after != before {
        return Outcome::Failed(format!("not as before:\n{}\n{}", difference(&before, &after), lab.log()));
    }
    // Tunables, too, which no document shows.
    let now = lab.backend.snapshot().await.expect("a snapshot is taken").private;
    if now != facts {
        let text = |facts: &serde_json::Value| serde_json::to_string_pretty(facts).expect("it prints");
        return Outcome::Failed(format!(
            "not as before:\n{}\n{}",
            difference(&text(&facts), &text(&now)),
            lab.log()
        ));
    }
    match applied {
        Ok(()) => Outcome::Passed,
        Err(refused) => Outcome::Undone(refused),
    }
}

impl Lab {
    fn log(&self) -> String {
        let steps = self.steps.lock().expect("no step panics");
        steps.iter().map(|step| format!("    {step}\n")).collect()
    }
}

fn describe(plan: &Plan) -> String {
    serde_json::to_string_pretty(&plan.changes).expect("a plan prints")
}

/// Lines that are in one text only, in a few lines around them.
fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str, other: &str, sign: &str| -> String {
        let others: Vec<&str> = other.lines().collect();
        text.lines().filter(|line| !others.contains(line)).map(|line| format!("{sign} {line}\n")).collect()
    };
    let first = before.lines().zip(after.lines()).find(|(a, b)| a != b);
    format!("{}{}first: {first:?}\n", lines(before, after, "-"), lines(after, before, "+"))
}

/// A link is the base of MAC VLANs or of IP VLANs, not of both: it has one receive handler.
fn may_be_refused(pair: &str) -> bool {
    pair.contains("ipvlan.yml") && pair.contains("mac-v")
}

fn report(outcomes: Vec<(String, Outcome)>) {
    let (mut passed, mut not_here, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (name, outcome) in outcomes {
        match outcome {
            Outcome::Passed => passed.push(name),
            Outcome::NotHere(because) => not_here.push(format!("{name}: {because}")),
            Outcome::Undone(why) if may_be_refused(&name) => {
                println!(
                    "{name}: refused by the kernel, and undone: {}",
                    why.lines().next().unwrap_or_default()
                );
            }
            Outcome::Failed(why) | Outcome::Undone(why) => failed.push(format!("== {name}\n{why}")),
        }
    }
    println!(
        "{} passed, {} not expressible on this kernel, {} failed",
        passed.len(),
        not_here.len(),
        failed.len()
    );
    not_here.iter().for_each(|line| println!("not expressible here: {line}"));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(!passed.is_empty(), "nothing could be tried on this kernel");
}

/// Tries each, in a namespace of its own.
fn try_all(rounds: Vec<(String, Option<State>, State)>) {
    let tried = rounds.into_iter().map(|(name, first, wanted)| {
        let outcome = in_namespace(move || round(first, wanted));
        (name, outcome)
    });
    report(tried.collect());
}

#[test]
fn examples_are_applied_and_taken_back() {
    try_all(examples().into_iter().map(|(name, wanted)| (name, None, wanted)).collect());
}

/// Every example on top of every other.
#[test]
fn examples_follow_each_other() {
    let examples = examples();
    let pair = |(first, ground): &(String, State), (then, wanted): &(String, State)| {
        (format!("{then} after {first}"), Some(ground.clone()), wanted.clone())
    };
    let others = |ground| examples.iter().map(move |wanted| pair(ground, wanted));
    try_all(examples.iter().flat_map(others).collect());
}

/// Changes that the kernel does not take just so: what is there, and what is asked then.
#[test]
fn changes_are_made_and_taken_back() {
    let mut cases = Vec::new();
    for file in ["changes.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns").join(file);
        let path =
            std::env::var_os("NMSTATED_CHANGES").map_or(path, |folder| PathBuf::from(folder).join(file));
        let text = fs::read_to_string(path).expect("the cases are there");
        let documents: Vec<&str> = text.split("\n---\n").collect();
        let (pairs, rest) = documents.as_chunks::<2>();
        assert!(rest.is_empty(), "cases come in pairs");
        for [ground, wanted] in pairs {
            let title = ground.lines().find_map(|line| line.strip_prefix("# ")).expect("a case has a title");
            cases.push((title.to_owned(), Some(read(ground)), read(wanted)));
        }
    }
    try_all(cases);
}

/// Is there before each case: `down0` and `off0` are down and get a carrier with being up, `base0` is
/// up without one. IPv6 is off on `off0`.
const IPV6_GROUND: &str = "
ip link set lo up
ip link add down0 type veth peer name down1
ip link add off0 type veth peer name off1
ip link add base0 type bridge
ip link set down1 up
ip link set off1 up
ip link set base0 up
echo 1 >/proc/sys/net/ipv6/conf/off0/disable_ipv6
";

/// What IPv6 of a link is to be, however the link comes up: `disable_ipv6` says so afterwards, and
/// as before once the change is taken back. Nothing is left to do in between.
#[test]
fn ipv6_is_as_asked_whatever_brings_the_link_up() {
    let on = "ipv6: {enabled: true, dhcp: false, autoconf: false}";
    let off = "ipv6: {enabled: false}";
    let disabled = |link: &str| {
        let value = fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{link}/disable_ipv6"));
        value.ok().map(|value| value.trim() == "1")
    };
    for default in ["0", "1"] {
        let mut cases = Vec::new();
        for (link, is_off, key) in [
            ("down0", false, "type: veth"),
            ("off0", true, "type: veth"),
            ("base0", false, "type: linux-bridge"),
            ("new0", default == "1", "type: dummy"),
            ("new1", default == "1", "type: veth, veth: {peer: new2}"),
            ("new3", default == "1", "type: vlan, vlan: {base-iface: base0, id: 3}"),
            ("new4", default == "1", "type: linux-bridge"),
        ] {
            cases.push((link, format!("{{name: {link}, {key}, state: up, {on}}}"), false));
            cases.push((link, format!("{{name: {link}, {key}, state: up, {off}}}"), true));
            cases.push((link, format!("{{name: {link}, {key}, state: up}}"), is_off));
        }
        for (link, interface, wanted) in cases {
            in_namespace(move || async move {
                let ran = Command::new("sh").args(["-ec", IPV6_GROUND]).status();
                assert!(ran.expect("sh runs").success());
                fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", default).expect("it can be set");
                let lab = Lab::open().await;
                let before = (disabled(link), lab.shown());
                let document = read(&format!("interfaces: [{interface}]"));
                let plan = lab.plan(&document).expect("it can be planned");
                if let Some(refused) = lab.backend.judge(&plan).refused.first() {
                    println!("not expressible here: {refused}");
                    return;
                }
                let mut snapshot = lab.backend.snapshot().await.expect("a snapshot is taken");
                snapshot.touched.extend(&plan);
                let facts = snapshot.private.clone();
                lab.apply(&plan).await.expect("it is applied");
                assert_eq!(disabled(link), Some(wanted), "{interface}\n{}", lab.log());
                let again = lab.plan(&document).expect("it can be planned");
                assert!(again.is_empty(), "{interface}\n{}", describe(&again));
                let shown = lab.plan(&lab.now()).expect("what is shown can be asked for");
                assert!(shown.is_empty(), "{interface}\n{}", describe(&shown));
                lab.backend.restore(Arc::new(snapshot), &|_| ()).await.expect("it is taken back");
                assert_eq!((disabled(link), lab.shown()), before, "{interface}");
                let now = lab.backend.snapshot().await.expect("a snapshot is taken");
                assert_eq!(now.private, facts, "{interface}");
            });
        }
    }
}

/// What needs a network service is refused while planning, as not supported; Open vSwitch as a dependency that
/// this backend has not.
#[test]
fn what_a_kernel_cannot_do_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/managed");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the examples are there").flatten().map(|entry| entry.path()).collect();
    files.sort();
    for path in files {
        let wanted = read(&fs::read_to_string(&path).expect("it reads"));
        let name = path.display().to_string();
        in_namespace(move || async move {
            let lab = Lab::open().await;
            let Ok(plan) = lab.plan(&wanted) else { return };
            let refused = lab.backend.judge(&plan).refused;
            assert!(!refused.is_empty(), "{name} is not refused");
            let expected = |kind| matches!(kind, ErrorKind::NotSupportedError | ErrorKind::DependencyError);
            let odd = refused.iter().find(|problem| !expected(problem.kind));
            assert!(odd.is_none(), "{name}: {odd:?}");
        });
    }
}
