//! A full table, and an apply that has nothing to do. Exact figures: `make bench`; the limits here
//! are for an unoptimised build on a busy machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use crate::harness::{Changes, Daemon, LIMIT, Raw, in_namespace, ip};

const CABLE: &str = "
interfaces:
- {name: cable0, type: veth, state: up, veth: {peer: cable1},
   ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}, ipv6: {enabled: false}}
";

/// The names and contents of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("a file")))
        .collect()
}

#[test]
fn an_apply_that_changes_nothing_writes_nothing_to_the_kernel_and_no_checkpoint() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let file = daemon.file("cable.yml", CABLE);
        daemon.printed(&["apply", &file]);
        let is_changed = |changes: &Changes| changes.reach(1, &mut daemon.begin(&["apply", &file]));
        // What the links still do by themselves has been seen before anything is compared.
        assert!(
            (0..20).any(|_| !is_changed(&Changes::new())),
            "the kernel is told to change something each time"
        );
        let changes = Changes::new();
        for _ in 0..20 {
            assert!(!is_changed(&changes), "the kernel was told to change something");
        }
        let kept = |name: &&String| name.contains("history") || name.contains("ids");
        let before = contents(&daemon.state_dir());
        daemon.printed(&["apply", &file]);
        let after = contents(&daemon.state_dir());
        let differs: Vec<&String> = after
            .iter()
            .filter(|(name, text)| before.get(*name) != Some(text))
            .map(|(name, _)| name)
            .collect();
        assert!(differs.iter().all(kept), "written: {differs:?}");
        daemon.assert_settled();
    });
}

/// A hundred thousand routes come, in a burst, while the daemon runs.
fn add_routes(daemon: &Daemon) {
    daemon.printed(&["apply", &daemon.file("cable.yml", CABLE)]);
    ip(&["link", "set", "cable1", "up"]);
    let lines: String = (0..100_000_u32)
        .map(|n| {
            let [_, a, b, c] = n.to_be_bytes();
            format!("route add 10.{a}.{b}.{c}/32 via 192.0.2.2 dev cable0 proto static\n")
        })
        .collect();
    ip(&["-batch", &daemon.file("batch", &lines)]);
}

/// Asks, and passes over the answer. Returns how long it is.
fn ask(client: &mut Raw, method: &str, parameters: &Json) -> usize {
    client.send(method, parameters.clone(), false);
    client.skip()
}

/// What the processor does is counted, not what a clock shows: the machine may be busy.
#[test]
fn nothing_that_has_nothing_to_do_with_routes_looks_at_a_hundred_thousand() {
    in_namespace(|| {
        let daemon = Daemon::start();
        add_routes(&daemon);
        let mut client = Raw::connect(&daemon);
        let cable = json!({ "document": CABLE, "options": {} });
        let mut ticks = |method: &str, parameters: &Json, times: u32| {
            let before = daemon.ticks();
            for _ in 0..times {
                ask(&mut client, method, parameters);
            }
            daemon.ticks() - before
        };
        // Nobody asks for the network at rest: the first who does pays for it.
        ticks("Plan", &cable, 1);
        let show = ticks("Show", &json!({ "options": {} }), 2);
        let plans = ticks("Plan", &cable, 20);
        let applies = ticks("Apply", &cable, 20);
        assert!(plans < show, "20 plans take {plans} ticks, two queries {show}");
        assert!(applies < show, "20 applies take {applies} ticks, two queries {show}");
        daemon.assert_settled();
    });
}

#[test]
fn a_herd_of_large_queries_keeps_no_change_waiting_and_leaves_no_memory() {
    in_namespace(|| {
        let daemon = Daemon::start();
        add_routes(&daemon);
        let bare = daemon.memory();
        let herd = |times: u32| {
            let clients: Vec<_> = (0..4)
                .map(|_| {
                    let mut client = Raw::connect(&daemon);
                    std::thread::spawn(move || {
                        let show = json!({ "options": {} });
                        let start = Instant::now();
                        for _ in 0..times {
                            assert!(ask(&mut client, "Show", &show) > 10 << 20);
                        }
                        start.elapsed() / times
                    })
                })
                .collect();
            clients
        };
        let mut waits = Vec::new();
        let mut shortest = LIMIT;
        let mut memory = Vec::new();
        for times in [2, 4, 4] {
            let clients = herd(times);
            let mut client = Raw::connect(&daemon);
            let cable = json!({ "document": CABLE, "options": {} });
            while !clients.iter().all(std::thread::JoinHandle::is_finished) {
                for method in ["Plan", "Apply"] {
                    let start = Instant::now();
                    ask(&mut client, method, &cable);
                    waits.push(start.elapsed());
                }
            }
            let shows: Vec<Duration> =
                clients.into_iter().map(|client| client.join().expect("it is answered")).collect();
            waits.sort();
            let (median, show) = (waits[waits.len() / 2], shows[0]);
            assert!(median < show / 2, "a change waits {median:?} beside queries of {show:?} each");
            shortest = shows.into_iter().fold(shortest, Duration::min);
            memory.push(daemon.memory());
        }
        // On a machine that has nothing else to do, a small part of a second; one in twenty may meet a disk that
        // others keep busy.
        let longest = waits[waits.len() * 95 / 100];
        let most = shortest.max(Duration::from_secs(1));
        assert!(longest < most, "{longest:?} of {}, beside queries of at least {shortest:?}", waits.len());
        // Four answers under way may each be made and sent; the next herd adds nothing.
        assert!(memory[2] < memory[1].max(memory[0]) + (64 << 10), "{memory:?} KiB");
        // Some time after the last one asked, it is as if nobody had.
        let end = Instant::now() + LIMIT;
        while daemon.memory() > bare + (24 << 10) {
            let now = daemon.memory();
            assert!(Instant::now() < end, "{now} KiB, before the queries {bare}");
            #[expect(clippy::disallowed_methods, reason = "nothing tells that memory was given back")]
            std::thread::sleep(Duration::from_millis(200));
        }
    });
}

#[test]
fn a_hundred_thousand_routes_are_followed_and_shown_and_keep_nobody_waiting() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let bare = daemon.memory();
        add_routes(&daemon);

        let start = Instant::now();
        let mut show = daemon.begin(&["show", "--json"]);
        let mut worst = Duration::ZERO;
        let mut asked = 0;
        let output = std::thread::spawn(move || {
            let mut text = String::new();
            let pipe = show.stdout.as_mut().expect("it has a pipe");
            std::io::Read::read_to_string(pipe, &mut text).expect("JSON is text");
            (show.wait().expect("it ends"), text)
        });
        while !output.is_finished() {
            let start = Instant::now();
            daemon.printed(&["status"]);
            worst = worst.max(start.elapsed());
            asked += 1;
        }
        let took = start.elapsed();
        let (status, text) = output.join().expect("the reader does not panic");
        assert!(status.success(), "{}", daemon.log());
        let state: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        for list in ["config", "running"] {
            let routes = state["routes"][list].as_array().expect("a list");
            assert_eq!(routes.len(), 100_000, "{list}");
        }
        assert!(took < LIMIT, "{took:?}");
        let most = (took / 2).max(Duration::from_secs(1));
        assert!(asked > 0 && worst < most, "{worst:?} of {asked}, beside a query of {took:?}");
        let grown = daemon.memory().saturating_sub(bare);
        assert!(grown < 400 << 10, "{grown} KiB more");
    });
}
