//! Several clients, and clients that behave badly (S5 to S8, S10, S14).

use std::io::Read;
use std::time::Instant;

use serde_json::{Value as Json, json};

use crate::harness::{Changes, Daemon, LIMIT, Monitor, Ran, Raw, in_namespace, ip};

fn cable(name: &str, mtu: u16) -> String {
    format!("interfaces: [{{name: {name}, type: veth, state: up, mtu: {mtu}, veth: {{peer: {name}-far}}}}]")
}

/// A document with many links.
fn cables(count: u16) -> String {
    let one = |n| format!("- {{name: many{n}, type: veth, state: up, veth: {{peer: many{n}-far}}}}\n");
    format!("interfaces:\n{}", (0..count).map(one).collect::<String>())
}

#[test]
fn clients_that_apply_at_once_are_served_one_after_the_other() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let monitor = Monitor::start(&daemon);
        // They disagree about one interface, and each has one of its own.
        let text = |n: u16| {
            format!(
                "{}\n- {{name: own{n}, type: veth, state: up, veth: {{peer: own{n}-far}}}}\n",
                format_args!(
                    "interfaces:\n- {{name: both, type: veth, state: up, mtu: {}, veth: {{peer: both-far}}}}",
                    1400 + n
                )
            )
        };
        let files: Vec<String> = (0..6).map(|n| daemon.file(&format!("{n}.yml"), &text(n))).collect();
        let running: Vec<_> = files.iter().map(|file| daemon.begin(&["apply", file])).collect();
        for apply in running {
            let ran = Ran::of(apply.wait_with_output().expect("nmctl ends"));
            assert_eq!(ran.code, Some(0), "{}", ran.err);
        }
        let order: Vec<u64> = (0..6).filter_map(|_| monitor.until("committed")["id"].as_u64()).collect();
        assert!(order.is_sorted(), "{order:?}");
        let shown = daemon.json(&["show", "--json"]);
        let names: Vec<&str> = shown["interfaces"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|i| i["name"].as_str())
            .collect();
        assert!((0..6).all(|n| names.contains(&&*format!("own{n}"))), "{names:?}");
        // The last one had its way, wholly.
        assert_eq!(files.iter().filter(|file| daemon.is_as(file)).count(), 1);
        daemon.assert_settled();
    });
}

#[test]
fn a_change_that_awaits_commit_makes_others_fail_wait_or_join() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let before = daemon.show();
        let [one, two, three] = ["one", "two", "three"].map(|name| daemon.file(name, &cable(name, 1400)));
        daemon.printed(&["apply", "--no-commit", "--timeout", "600", &one]);
        let id = daemon.only();

        daemon.refused(&["apply", &two], "CheckpointPending");
        let monitor = Monitor::start(&daemon);
        let waiting = daemon.begin(&["apply", "--wait", &two]);
        let waiter = monitor.until("queued")["id"].to_string();
        daemon.printed(&["apply", "--no-commit", "--join", &id, &three]);
        assert!(daemon.is_as(&one) && daemon.is_as(&three) && !daemon.is_as(&two));
        // A joined part that cannot be planned changes nothing about the whole.
        daemon.refused(
            &[
                "apply",
                "--no-commit",
                "--join",
                &id,
                &daemon.file("bad", "interfaces: [{name: x, mtu: 1400, type: veth}]"),
            ],
            "InvalidArgument",
        );
        assert_eq!(daemon.stage(&id), "awaiting-commit");
        daemon.refused(&["apply", "--no-commit", "--join", "999", &two], "NotFound");

        daemon.printed(&["rollback", &id]);
        let ran = Ran::of(waiting.wait_with_output().expect("nmctl ends"));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert_eq!(daemon.stage(&waiter), "committed");
        assert!(daemon.is_as(&two) && !daemon.is_as(&one) && !daemon.is_as(&three));
        daemon.printed(&["apply", &daemon.file("none", "interfaces: [{name: two, state: absent}]")]);
        assert_eq!(daemon.show(), before);

        // A joined change is committed with the whole.
        daemon.printed(&["apply", "--no-commit", &one]);
        let id = daemon.only();
        daemon.printed(&["apply", "--no-commit", "--join", &id, &two]);
        assert_eq!(daemon.only(), id);
        daemon.printed(&["commit", &id]);
        assert!(daemon.is_as(&one) && daemon.is_as(&two));
        daemon.assert_settled();
    });
}

#[test]
fn commit_rollback_and_extend_find_the_pending_change_with_and_without_its_number() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let before = daemon.show();
        let file = daemon.file("one", &cable("one", 1400));
        for command in ["commit", "rollback", "extend"] {
            daemon.refused(&[command], "NotFound");
            daemon.refused(&[command, "4711"], "NotFound");
        }
        for with in [false, true] {
            daemon.printed(&["apply", "--no-commit", "--timeout", "20", &file]);
            let id = daemon.only();
            let named = |command: &'static str| if with { vec![command, &*id] } else { vec![command] };
            daemon.printed(&[named("extend"), vec!["--timeout", "900"]].concat());
            let left = daemon.live()[0]["seconds_left"].as_u64();
            assert!(left.is_some_and(|left| left > 800), "{left:?}");
            daemon.printed(&named("rollback"));
            assert_eq!(daemon.stage(&id), "rolled-back");
            assert_eq!(daemon.show(), before);
            daemon.refused(&["commit", &id], "NotFound");
        }
        daemon.printed(&["apply", "--no-commit", &file]);
        daemon.printed(&["commit"]);
        assert!(daemon.is_as(&file));
        daemon.printed(&[
            "apply",
            "--no-commit",
            &daemon.file("none", "interfaces: [{name: one, state: absent}]"),
        ]);
        daemon.printed(&["commit", &daemon.only()]);
        assert_eq!(daemon.show(), before);
    });
}

#[test]
fn a_client_that_vanishes_leaves_a_change_alone_unless_it_tied_it_to_itself() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let before = daemon.show();
        let text = cables(20);
        let file = daemon.file("many", &text);

        // nmctl is killed at the first change.
        let monitor = Monitor::start(&daemon);
        let changes = Changes::new();
        let mut apply = daemon.begin(&["apply", &file]);
        assert!(changes.reach(1, &mut apply));
        apply.kill().expect("a process of ours can be killed");
        apply.wait().expect("it ends");
        monitor.until("committed");
        assert!(daemon.is_as(&file));
        let gone = text.replace("state: up", "state: absent");
        daemon.printed(&["apply", &daemon.file("gone", &gone)]);
        assert_eq!(daemon.show(), before);

        // Tied: in the middle, or in the commit window.
        for stage in ["applying", "awaiting-commit"] {
            let monitor = Monitor::start(&daemon);
            let mut client = Raw::connect(&daemon);
            let options = json!({ "commit": false, "cancel_on_disconnect": true, "timeout_s": 600 });
            client.send("Apply", json!({ "document": text, "options": options }), true);
            monitor.until(stage);
            drop(client);
            let ended = monitor.ended();
            // `applying` is told before the first change: there may be nothing to take back.
            let is_cancelled = stage == "applying" && ended["stage"] == "cancelled";
            assert!(is_cancelled || ended["stage"] == "rolled-back", "{stage}: {ended}");
            assert_eq!(daemon.show(), before, "{stage}");
        }
        daemon.assert_settled();
    });
}

#[test]
fn an_interrupt_takes_the_change_back() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let before = daemon.show();
        let file = daemon.file("many", &cables(20));
        let changes = Changes::new();
        let mut apply = daemon.begin(&["apply", &file]);
        assert!(changes.reach(1, &mut apply));
        let pid = i32::try_from(apply.id()).expect("a process number is an i32");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT)
            .expect("a process of ours can be told");
        let ran = Ran::of(apply.wait_with_output().expect("nmctl ends"));
        match ran.code {
            Some(130) => assert_eq!(daemon.show(), before, "{}", ran.err),
            // It came when the commit was being written.
            Some(0) => assert!(daemon.is_as(&file)),
            code => panic!("{code:?}: {}", ran.err),
        }
        daemon.assert_settled();
    });
}

#[test]
fn beyond_its_places_the_queue_says_busy_and_is_served_afterwards() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let file = daemon.file("one", &cable("one", 1400));
        daemon.printed(&["apply", "--no-commit", "--timeout", "600", &file]);
        let id = daemon.only();
        let mut client = Raw::connect(&daemon);
        let mut accepted = Vec::new();
        for n in 0..80 {
            let document = cable("one", 1401 + n);
            client.send("Submit", json!({ "document": document, "options": { "wait": true } }), false);
            let answer = client.receive().expect("an answer");
            match answer["error"].as_str() {
                None => accepted.push(answer["parameters"]["transaction"]["id"].to_string()),
                Some(error) => assert_eq!(error, "io.nmstate.Daemon.Busy", "{answer}"),
            }
        }
        assert_eq!(accepted.len(), 64);
        // Nobody is kept from ending what awaits commit.
        let monitor = Monitor::start(&daemon);
        for queued in &accepted[2..] {
            daemon.printed(&["cancel", queued]);
        }
        daemon.printed(&["commit", &id]);
        let last: u64 = accepted[1].parse().expect("a number");
        while monitor.until("committed")["id"] != last {}
        assert_eq!(daemon.stage(&accepted[0]), "committed");
        assert_eq!(daemon.stage(&accepted[2]), "cancelled");
        assert!(daemon.is_as(&daemon.file("two", &cable("one", 1402))));
        daemon.assert_settled();
    });
}

#[test]
fn a_monitor_whose_reader_has_gone_ends_though_nothing_happens() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let mut monitor = daemon.begin(&["monitor"]);
        let mut first = [0];
        monitor.stdout.take().expect("it is piped").read_exact(&mut first).expect("it tells what is there");
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = monitor.try_wait().expect("it is ours") {
                break status;
            }
            assert!(Instant::now() < end, "it waits for the next event");
            std::thread::yield_now();
        };
        assert!(status.success(), "{status}");
    });
}

#[test]
fn a_monitor_that_never_reads_costs_bounded_memory_and_delays_nobody() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let (there, gone) = (cables(40), cables(40).replace("state: up", "state: absent"));
        let [there, gone] = [("there", there), ("gone", gone)].map(|(name, text)| daemon.file(name, &text));
        let rounds = |count| {
            for _ in 0..count {
                daemon.printed(&["apply", &there]);
                daemon.printed(&["apply", &gone]);
            }
        };
        rounds(2);
        let before = daemon.memory();
        let mut readers: Vec<Raw> = (0..8).map(|_| Raw::connect(&daemon)).collect();
        readers.iter_mut().for_each(|reader| reader.send("Monitor", json!({}), true));
        rounds(6);
        let grown = daemon.memory().saturating_sub(before);
        assert!(grown < 48 << 10, "{grown} KiB for {} readers", readers.len());
        // What they find when they read at last begins with what was first.
        let first = readers[0].receive().expect("it was sent long ago");
        assert_eq!(first["parameters"]["event"]["event"], "network", "{first}");
        drop(readers);
        daemon.assert_settled();
    });
}

#[test]
fn what_others_did_in_the_commit_window_survives_the_rollback() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let ground = "
interfaces:
- {name: br0, type: linux-bridge, state: up, mac-address: 02:00:00:00:00:09, bridge: {port: [{name: one}]}}
- {name: one, type: veth, state: up, veth: {peer: one-far}}
- {name: two, type: veth, state: up, veth: {peer: two-far}}
";
        let change = "
interfaces:
- {name: br0, type: linux-bridge, mtu: 1400, bridge: {port: [{name: one}, {name: two}]}}
";
        daemon.printed(&["apply", &daemon.file("ground", ground)]);
        let ports = |daemon: &Daemon| -> Vec<String> {
            let shown = daemon.json(&["show", "br0", "--json"]);
            let ports = shown["interfaces"][0]["bridge"]["port"].as_array().expect("a list").clone();
            ports.iter().filter_map(|port: &Json| port["name"].as_str()).map(str::to_owned).collect()
        };
        assert_eq!(ports(&daemon), ["one"]);
        daemon.printed(&["apply", "--no-commit", &daemon.file("change", change)]);
        assert_eq!(ports(&daemon), ["one", "two"]);
        // A pod comes.
        ip(&["link", "add", "pod", "type", "veth", "peer", "name", "pod-far"]);
        ip(&["link", "set", "pod", "master", "br0", "up"]);
        ip(&["link", "set", "pod-far", "up"]);
        ip(&["address", "add", "192.0.2.77/24", "dev", "pod-far"]);
        ip(&["route", "add", "198.51.100.0/24", "via", "192.0.2.78"]);
        daemon.printed(&["rollback"]);
        assert_eq!(ports(&daemon), ["one", "pod"], "{}", daemon.log());
        let shown = daemon.show();
        assert!(shown.contains("192.0.2.77") && shown.contains("198.51.100.0/24"), "{shown}");
        daemon.assert_settled();
    });
}
