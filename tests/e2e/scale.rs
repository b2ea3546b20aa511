//! A full table, and an apply that has nothing to do. Exact figures: `make bench`; the limits here
//! are for an unoptimised build on a busy machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::{Changes, Daemon, in_namespace, ip};

const CABLE: &str = "
interfaces:
- {name: cable0, type: veth, state: up, veth: {peer: cable1},
   ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
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
        // What the links still do by themselves has been seen before anything is compared.
        daemon.printed(&["apply", &file]);
        let changes = Changes::new();
        for _ in 0..20 {
            let mut apply = daemon.begin(&["apply", &file]);
            assert!(!changes.reach(1, &mut apply), "the kernel was told to change something");
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

#[test]
fn a_hundred_thousand_routes_are_followed_and_shown_and_keep_nobody_waiting() {
    in_namespace(|| {
        let daemon = Daemon::start();
        daemon.printed(&["apply", &daemon.file("cable.yml", CABLE)]);
        ip(&["link", "set", "cable1", "up"]);
        let bare = daemon.memory();
        let lines: String = (0..100_000_u32)
            .map(|n| {
                let [_, a, b, c] = n.to_be_bytes();
                format!("route add 10.{a}.{b}.{c}/32 via 192.0.2.2 dev cable0 proto static\n")
            })
            .collect();
        // A burst of notifications, while the daemon runs.
        ip(&["-batch", &daemon.file("batch", &lines)]);

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
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert!(asked > 0 && worst < Duration::from_secs(1), "{worst:?} of {asked}");
        let grown = daemon.memory().saturating_sub(bare);
        assert!(grown < 400 << 10, "{grown} KiB more");
    });
}
