//! The documents that the daemon applies at start: in order, once per content, each by itself (S18).

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value as Json, json};

use crate::boot::reboot;
use crate::harness::{Daemon, LIMIT, Monitor, in_namespace, ip, nmstated};

fn cable(mtu: u32) -> String {
    format!("interfaces: [{{name: cable0, type: veth, state: up, mtu: {mtu}, veth: {{peer: cable1}}}}]")
}

fn mtu(mtu: u32) -> String {
    format!("interfaces: [{{name: cable0, mtu: {mtu}}}]")
}

/// The folder that the daemon looks into, empty.
fn folder(path: &Path) -> PathBuf {
    let folder = path.join("documents");
    fs::create_dir(&folder).expect("a folder");
    folder
}

fn put(folder: &Path, name: &str, text: impl AsRef<[u8]>) {
    fs::write(folder.join(name), text).expect("writes");
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o644)).expect("it is ours");
}

/// How each stands: its name and the outcome.
fn outcomes(daemon: &Daemon) -> Vec<String> {
    documents(daemon)
        .iter()
        .map(|info| format!("{} {}", info["file"], info["outcome"]).replace('"', ""))
        .collect()
}

fn documents(daemon: &Daemon) -> Vec<Json> {
    daemon.json(&["status", "--json"])["boot_documents"].as_array().expect("a list").clone()
}

fn error(daemon: &Daemon, file: &str) -> Json {
    let all = documents(daemon);
    all.iter().find(|info| info["file"] == file).unwrap_or_else(|| panic!("{file}: {all:?}"))["error"].clone()
}

fn mtu_of(daemon: &Daemon, name: &str) -> Json {
    daemon.json(&["show", name, "--json"])["interfaces"][0]["mtu"].clone()
}

/// Waits until the documents stand so.
fn soon(daemon: &Daemon, wanted: &[&str]) {
    let end = Instant::now() + LIMIT;
    while outcomes(daemon) != wanted {
        assert!(Instant::now() < end, "{:?}\n{}", documents(daemon), daemon.log());
        std::thread::yield_now();
    }
}

fn prepared(files: &[(&str, &str)]) -> (Daemon, PathBuf) {
    let temp = tempfile::tempdir().expect("a folder");
    let folder = folder(temp.path());
    files.iter().for_each(|(name, text)| put(&folder, name, text));
    (Daemon::start_in(temp, "none"), folder)
}

#[test]
fn documents_are_applied_in_order_and_once_per_content() {
    in_namespace(|| {
        let (mut daemon, folder) = prepared(&[
            ("20-later.yaml", &mtu(1300)),
            ("10-cable.yml", &cable(1400)),
            (".30-hidden.yml", &mtu(1201)),
            ("40-note.txt", &mtu(1202)),
            ("10-cable.applied", &mtu(1203)),
        ]);
        // READY came when they were applied.
        assert_eq!(outcomes(&daemon), ["10-cable.yml applied", "20-later.yaml applied"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1300);
        let via: Vec<Json> = daemon
            .json(&["history", "--json"])
            .as_array()
            .expect("a list")
            .iter()
            .map(|info| info["owner"]["via"].clone())
            .collect();
        assert_eq!(via, ["nmstated:20-later.yaml", "nmstated:10-cable.yml"]);
        assert_eq!(documents(&daemon)[0]["transaction"], 1);

        // What was applied since is not undone by a restart, nor by a boot.
        daemon.printed(&["apply", &daemon.file("mine.yml", &mtu(1250))]);
        assert!(daemon.terminate().success());
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-cable.yml unchanged", "20-later.yaml unchanged"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1250);
        daemon.kill();
        reboot(&daemon, 1);
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-cable.yml unchanged", "20-later.yaml unchanged"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1250);

        // A new content is; also without a restart.
        let monitor = Monitor::start(&daemon);
        put(&folder, "20-later.yaml", mtu(1310));
        daemon.signal(Signal::SIGHUP);
        assert_eq!(monitor.until("committed")["owner"]["via"], "nmstated:20-later.yaml");
        soon(&daemon, &["10-cable.yml unchanged", "20-later.yaml applied"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1310);

        // One that has gone and comes back is new.
        fs::remove_file(folder.join("10-cable.yml")).expect("it is there");
        daemon.signal(Signal::SIGHUP);
        soon(&daemon, &["20-later.yaml applied"]);
        put(&folder, "30-cable.yml", cable(1400));
        daemon.signal(Signal::SIGHUP);
        soon(&daemon, &["20-later.yaml applied", "30-cable.yml applied"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1400);
        daemon.assert_settled();
    });
}

#[test]
fn what_fails_is_shown_and_stops_nothing_else() {
    in_namespace(|| {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = folder(temp.path());
        let secret = temp.path().join("secret");
        fs::write(&secret, "interfaces: [{name: stolen0, type: dummy, state: up}]").expect("writes");
        put(&folder, "10-first.yml", cable(1400));
        put(&folder, "20-yaml.yml", "interfaces:\n- name: cable0\n  mtu: [1\n");
        put(&folder, "21-key.yml", "interfaces:\n- name: cable0\n  mtuu: 1500\n");
        put(&folder, "22-nobody.yml", "interfaces:\n- name: cable0\n- name: nobody0\n  mtu: 1500\n");
        put(&folder, "23-latin.yml", b"description: \xe9");
        symlink(&secret, folder.join("24-link.yml")).expect("links");
        mkfifo(&folder.join("25-pipe.yml"), Mode::S_IRUSR).expect("a pipe");
        put(&folder, "26-open.yml", mtu(1201));
        fs::set_permissions(folder.join("26-open.yml"), fs::Permissions::from_mode(0o666)).expect("is ours");
        put(&folder, "27-foreign.yml", mtu(1202));
        std::os::unix::fs::chown(folder.join("27-foreign.yml"), Some(65534), None).expect("this is root");
        put(&folder, "28-esc\u{1b}[2J.yml", mtu(1203));
        put(&folder, "90-last.yml", mtu(1300));
        put(&folder, "nmstate.conf", "[service]\nkeep_state_file_after_apply = true\noverride = yes\n");
        let daemon = Daemon::start_in(temp, "none");

        let all = outcomes(&daemon);
        let (good, bad): (Vec<_>, Vec<_>) =
            all.iter().map(String::as_str).partition(|one| one.ends_with(" applied"));
        assert_eq!(good, ["10-first.yml applied", "90-last.yml applied"], "{all:?}");
        assert_eq!(bad.len(), 10, "{bad:?}");
        assert!(bad.iter().all(|one| one.ends_with(" failed")), "{bad:?}");
        assert_eq!(mtu_of(&daemon, "cable0"), 1300);
        for (file, line, words) in [
            ("20-yaml.yml", json!(4), ""),
            ("21-key.yml", json!(3), "mtuu"),
            ("22-nobody.yml", json!(3), "nobody0"),
            ("23-latin.yml", Json::Null, "is not UTF-8"),
            ("24-link.yml", Json::Null, "symbolic link"),
            ("25-pipe.yml", Json::Null, "no regular file"),
            ("26-open.yml", Json::Null, "can be written by others"),
            ("27-foreign.yml", Json::Null, "belongs to uid 65534"),
            ("28-esc\u{fffd}[2J.yml", Json::Null, "not plain text"),
            ("nmstate.conf", json!(3), "`override` must be true or false"),
        ] {
            let error = error(&daemon, file);
            assert_eq!(error["line"], line, "{file}: {error}");
            let interface = match file {
                "21-key.yml" => json!("cable0"),
                "22-nobody.yml" => json!("nobody0"),
                _ => Json::Null,
            };
            assert_eq!(error["interface"], interface, "{file}: {error}");
            assert!(error["message"].as_str().expect("text").contains(words), "{file}: {error}");
        }
        let log = daemon.log();
        assert!(log.contains("boot document 21-key.yml:3:3 is not applied: "), "{log}");
        let text = daemon.printed(&["status"]);
        assert!(text.contains("document   10-first.yml: applied (transaction 1)\n"), "{text}");
        assert!(
            text.contains("document   21-key.yml: failed at line 3, column 3: InvalidArgument: "),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "{text}");

        // Corrected, it is applied; the others are left alone.
        put(&folder, "21-key.yml", mtu(1350));
        daemon.signal(Signal::SIGHUP);
        let monitor = Monitor::start(&daemon);
        if mtu_of(&daemon, "cable0") != 1350 {
            monitor.until("committed");
        }
        assert_eq!(mtu_of(&daemon, "cable0"), 1350);
    });
}

#[test]
fn a_folder_that_others_can_write_is_not_looked_into() {
    in_namespace(|| {
        let temp = tempfile::tempdir().expect("a folder");
        let folder = folder(temp.path());
        put(&folder, "10-cable.yml", cable(1400));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let daemon = Daemon::start_in(temp, "none");
        let shown = format!("{} failed", folder.display());
        assert_eq!(outcomes(&daemon), [shown]);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("it is ours");
        daemon.signal(Signal::SIGHUP);
        soon(&daemon, &["10-cable.yml applied"]);
    });
}

#[test]
fn what_the_network_does_not_have_yet_is_waited_for() {
    in_namespace(|| {
        let (daemon, _) =
            prepared(&[("10-late.yml", "interfaces: [{name: late0, mtu: 1400}]"), ("20.yml", &cable(1300))]);
        assert_eq!(outcomes(&daemon), ["10-late.yml failed", "20.yml applied"]);
        ip(&["link", "add", "late0", "type", "veth", "peer", "name", "late1"]);
        soon(&daemon, &["10-late.yml applied", "20.yml applied"]);
        assert_eq!(mtu_of(&daemon, "late0"), 1400);
    });
}

#[test]
fn a_change_that_awaits_commit_is_waited_for_and_holds_up_no_start() {
    in_namespace(|| {
        let (mut daemon, folder) = prepared(&[]);
        let file = daemon.file("mine.yml", &cable(1400));
        daemon.printed(&["apply", "--no-commit", "--timeout", "3600", &file]);
        let id = daemon.only();
        put(&folder, "10-mtu.yml", mtu(1300));
        assert!(daemon.terminate().success());
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-mtu.yml waiting"]);
        assert_eq!(daemon.stage(&id), "awaiting-commit");
        // It stops as fast as ever meanwhile, and takes it up again.
        assert!(daemon.terminate().success());
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-mtu.yml waiting"]);
        daemon.printed(&["commit", &id]);
        soon(&daemon, &["10-mtu.yml applied"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1300);
        daemon.assert_settled();
    });
}

#[test]
fn a_document_that_ends_the_daemon_does_so_three_times() {
    in_namespace(|| {
        let (mut daemon, folder) = prepared(&[("10-cable.yml", &cable(1400))]);
        assert!(daemon.terminate().success());
        let many: Vec<String> =
            (0..60).map(|n| format!("{{name: a{n}, type: veth, state: up, veth: {{peer: b{n}}}}}")).collect();
        put(&folder, "20-many.yml", format!("interfaces: [{}]", many.join(", ")));
        let memory = daemon.state_dir().join("documents");
        for n in 1..=3 {
            let mut process = nmstated(daemon.folder.path(), "none").spawn().expect("nmstated starts");
            let end = Instant::now() + LIMIT;
            let begun = format!(r#""unfinished":{n}"#);
            let checkpoint = daemon.state_dir().join("checkpoint");
            let is_begun = || fs::read_to_string(&memory).is_ok_and(|text| text.contains(&begun));
            while !(is_begun() && checkpoint.exists()) {
                assert!(Instant::now() < end, "{n}: {:?}", fs::read_to_string(&memory));
                std::thread::yield_now();
            }
            process.kill().expect("it is ours");
            process.wait().expect("it ends");
        }
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-cable.yml unchanged", "20-many.yml failed"]);
        let message = error(&daemon, "20-many.yml")["message"].to_string();
        assert!(message.contains("has ended 3 times"), "{message}");
        assert!(!daemon.nmctl(&["show", "a0"]).out.contains("a0"), "it was rolled back");
        daemon.assert_settled();
        put(&folder, "20-many.yml", format!("# again\ninterfaces: [{}]", many.join(", ")));
        daemon.signal(Signal::SIGHUP);
        soon(&daemon, &["10-cable.yml unchanged", "20-many.yml applied"]);
    });
}

#[test]
fn a_lost_memory_applies_nothing_again_unless_all_is_lost() {
    in_namespace(|| {
        let (mut daemon, _) = prepared(&[("10-cable.yml", &cable(1400))]);
        daemon.printed(&["apply", &daemon.file("mine.yml", &mtu(1250))]);
        assert!(daemon.terminate().success());
        fs::write(daemon.state_dir().join("documents"), "garbage").expect("writes");
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-cable.yml unchanged"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1250);
        let alerts = daemon.json(&["status", "--json"])["alerts"].to_string();
        assert!(
            alerts.contains("what is known of the boot documents was set aside: it is damaged"),
            "{alerts}"
        );
        assert!(daemon.state_dir().join("documents.unreadable").exists());

        // Without what is committed, the documents are all there is to begin with.
        assert!(daemon.terminate().success());
        fs::remove_file(daemon.state_dir().join("committed")).expect("it is there");
        daemon.restart();
        assert_eq!(outcomes(&daemon), ["10-cable.yml applied"]);
        assert_eq!(mtu_of(&daemon, "cable0"), 1400);
    });
}

#[test]
fn the_folder_may_say_that_interfaces_are_described_completely() {
    in_namespace(|| {
        let address = "interfaces: [{name: cable0, type: veth, state: up, veth: {peer: cable1}, \
                       ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}}]";
        let (daemon, folder) = prepared(&[("10-cable.yml", address)]);
        assert!(daemon.show().contains("192.0.2.1"));
        put(&folder, "nmstate.conf", "[service]\noverride_iface = true\n");
        put(&folder, "20-bare.yml", cable(1400));
        daemon.signal(Signal::SIGHUP);
        soon(&daemon, &["10-cable.yml applied", "20-bare.yml applied"]);
        assert!(!daemon.show().contains("192.0.2.1"), "{}", daemon.show());
    });
}
