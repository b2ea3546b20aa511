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
