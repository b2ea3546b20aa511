//! The state directory cannot be written, or is somebody else's (S2, S16).

use std::fs;
use std::io::Write;

use nix::mount::{MsFlags, mount, umount};
use tempfile::TempDir;

use crate::harness::{Daemon, in_namespace, nmstated};

const CABLE: &str = "
interfaces:
- {name: cable0, type: veth, state: up, veth: {peer: cable1}}
";

fn is_refused(daemon: &Daemon, file: &str) {
    let before = daemon.show();
    daemon.refused(&["apply", file], "StorageError");
    daemon.refused(&["apply", "--no-commit", file], "StorageError");
    assert_eq!(daemon.show(), before, "{}", daemon.log());
    assert_eq!(daemon.live(), [] as [serde_json::Value; 0]);
}

#[test]
fn nothing_is_changed_while_the_state_directory_is_read_only() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let (file, state) = (daemon.file("cable.yml", CABLE), daemon.state_dir());
        let none = None::<&str>;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        let make_read_only = || {
            mount(Some(&state), &state, none, MsFlags::MS_BIND, none).expect("it can be mounted on itself");
            mount(none, &state, none, read_only, none).expect("a mount can be made read-only");
        };
        make_read_only();
        is_refused(&daemon, &file);
        umount(&state).expect("it is ours");
        daemon.printed(&["apply", &file]);
        assert!(daemon.is_as(&file));
    });
}

#[test]
fn a_full_disk_refuses_changes_and_prevents_no_rollback() {
    in_namespace(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let state = folder.path().join("state");
        fs::create_dir(&state).expect("a folder");
        mount(Some("tmpfs"), &state, Some("tmpfs"), MsFlags::empty(), Some("size=256k"))
            .expect("a small disk");
        let daemon = Daemon::start_in(folder, "none");
        let file = daemon.file("cable.yml", CABLE);
        let before = daemon.show();

        let fill = || {
            let mut filler = fs::File::create(state.join("filler")).expect("a file");
            while filler.write_all(&[0; 512]).is_ok() {}
        };
        let empty = || fs::remove_file(state.join("filler")).expect("it is there");
        fill();
        is_refused(&daemon, &file);
        empty();

        daemon.printed(&["apply", "--no-commit", &file]);
        let id = daemon.only();
        fill();
        daemon.printed(&["rollback", &id]);
        assert_eq!(daemon.show(), before);
        assert_eq!(daemon.records(), [] as [String; 0]);

        empty();
        daemon.printed(&["apply", &file]);
        assert!(daemon.is_as(&file));
        drop(daemon);
    });
}

#[test]
fn a_second_daemon_on_a_state_directory_does_not_start() {
    in_namespace(|| {
        let daemon = Daemon::start();
        let output = nmstated(daemon.folder.path(), "none").output().expect("nmstated runs");
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("in use by another nmstated"), "{said}");
        // The first one still serves, on the socket that both were given.
        daemon.printed(&["apply", &daemon.file("cable.yml", CABLE)]);
    });
}

#[test]
fn a_daemon_starts_on_a_read_only_state_directory_and_says_why_it_changes_nothing() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        let (file, state) = (daemon.file("cable.yml", CABLE), daemon.state_dir());
        daemon.printed(&["apply", &file]);
        assert!(daemon.terminate().success());
        let none = None::<&str>;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(Some(&state), &state, none, MsFlags::MS_BIND, none).expect("it can be mounted on itself");
        mount(none, &state, none, read_only, none).expect("a mount can be made read-only");
        daemon.restart();
        let other = daemon.file("other.yml", &CABLE.replace("cable", "other"));
        is_refused(&daemon, &other);
        assert!(daemon.is_as(&file));
        assert!(daemon.printed(&["history"]).contains("committed"));
        assert!(daemon.terminate().success());
        umount(&state).expect("it is ours");
        daemon.restart();
        daemon.printed(&["apply", &other]);
        daemon.assert_settled();
    });
}

/// S11: each stored file, cut short, of another version, and overwritten.
#[test]
fn whatever_is_damaged_the_daemon_comes_up_says_so_and_leaves_the_network_alone() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        let (file, state) = (daemon.file("cable.yml", CABLE), daemon.state_dir());
        let documents = daemon.folder.path().join("documents");
        fs::create_dir(&documents).expect("a folder");
        fs::write(documents.join("10.yml"), CABLE.replace("cable", "other")).expect("writes");
        daemon.restart_politely();
        daemon.printed(&["apply", &file]);
        // As after a boot.
        fs::remove_file(state.join("boot")).expect("it is there");
        daemon.restart_politely();
        let network = daemon.show();
        let names = ["boot", "committed", "documents", "history", "ids"];
        let mut stored: Vec<String> = fs::read_dir(&state)
            .expect("it is there")
            .map(|entry| entry.expect("a file").file_name().to_string_lossy().into_owned())
            .filter(|name| name != "lock")
            .collect();
        stored.sort();
        assert_eq!(stored, names, "a file that this test does not know");

        for name in names {
            let whole = fs::read_to_string(state.join(name)).expect("it is there");
            let (_, rest) = whole.split_once('\n').expect("a header and content");
            let other_version = whole.replacen("\"version\":1", "\"version\":2", 1);
            assert_ne!(other_version, whole, "{name} has a version");
            for damaged in [&whole[..whole.len() - rest.len() / 2], &other_version, "\u{0}garbage"] {
                assert!(daemon.terminate().success());
                let saved: Vec<_> = names
                    .iter()
                    .map(|name| (name, fs::read(state.join(name)).expect("it is there")))
                    .collect();
                fs::write(state.join(name), damaged).expect("writes");
                daemon.restart();
                let alerts = daemon.json(&["status", "--json"])["alerts"].to_string();
                assert!(alerts.contains("set aside"), "{name}: {alerts}");
                assert_eq!(daemon.show(), network, "{name}: {damaged:?}");
                assert!(state.join(format!("{name}.unreadable")).exists(), "{name}");
                // It goes on, and the next start knows of nothing wrong.
                daemon.printed(&["apply", &file]);
                daemon.restart_politely();
                fs::remove_file(state.join(format!("{name}.unreadable"))).expect("it is there");
                daemon.assert_settled();
                assert!(daemon.terminate().success());
                for (name, bytes) in saved {
                    fs::write(state.join(name), bytes).expect("writes");
                }
                daemon.restart();
            }
        }
    });
}
