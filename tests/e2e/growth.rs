//! Applies leave nothing behind them. Exact figures of 10,000: `make bench`.

use std::fs;
use std::path::Path;

use crate::harness::{Daemon, in_namespace};

const COMES: &str = "
interfaces:
- {name: cable0, type: veth, state: up, veth: {peer: cable1},
   ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}}
";
const GOES: &str = "interfaces: [{name: cable0, type: veth, state: absent}]";

/// Bytes of the files of a folder. The history grows to a limit of its own.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    entries
        .filter(|entry| entry.file_name() != "history")
        .map(|entry| entry.metadata().expect("a file").len())
        .sum()
}

#[test]
fn applies_leave_nothing_behind_them() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let (comes, goes) = (daemon.file("comes.yml", COMES), daemon.file("goes.yml", GOES));
        let apply = |pairs: usize| {
            for _ in 0..pairs {
                daemon.printed(&["apply", &comes]);
                daemon.printed(&["apply", &goes]);
            }
            (daemon.memory(), daemon.open_files(), bytes(&daemon.state_dir()))
        };
        // What is allocated once is allocated after the first.
        let (memory, files, bytes) = apply(60);
        let (memory_then, files_then, bytes_then) = apply(120);
        // The connection of the last command may still be closing.
        assert!(files_then <= files + 1, "{files} open files grew to {files_then}");
        assert!(memory_then < memory + 2048, "{memory} KiB grew to {memory_then}");
        assert!(bytes_then < bytes + 64, "{bytes} bytes on disk grew to {bytes_then}");
        daemon.assert_settled();
    });
}
