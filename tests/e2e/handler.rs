//! The calls that the handler of kubernetes-nmstate makes, from where it makes them: a container that has the
//! client under the name `nmstatectl`, and the daemon's socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::pivot_root;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::harness::{Daemon, Monitor, Ran, in_namespace, with_input};
use crate::nmstatectl::{BRIDGE, yaml};

const CLIENT: &str = "/usr/bin/nmstatectl";
const SOCKET: &str = "/run/nmstated/io.nmstate.Daemon";

const POLICY: &str = r#"
capture:
  bridges: interfaces.type == "linux-bridge"
  small: capture.bridges | interfaces.mtu := 1300
desired:
  interfaces: '{{ capture.small.interfaces }}'
"#;

/// An image: each call is made in a container of its own, as after a restart of it.
struct Image {
    root: TempDir,
}

impl Image {
    fn new(daemon: &Daemon) -> Self {
        let image = Self { root: tempfile::tempdir().expect("a temporary folder") };
        let memory = Some("tmpfs");
        mount(memory, image.root.path(), memory, MsFlags::empty(), None::<&str>).expect("a place in memory");
        fs::create_dir(image.path("/tmp")).expect("a folder");
        let client = Path::new(env!("CARGO_BIN_EXE_nmctl"));
        image.add(client, CLIENT);
        for library in libraries(client) {
            image.add(&library, library.to_str().expect("a path of the system is text"));
        }
        image.add(&daemon.socket(), SOCKET);
        image
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.trim_start_matches('/'))
    }

    /// The same file or socket, seen inside.
    fn add(&self, outside: &Path, inside: &str) {
        let inside = self.path(inside);
        fs::create_dir_all(inside.parent().expect("it lies in a folder")).expect("a folder");
        fs::write(&inside, "").expect("a file");
        let none = None::<&str>;
        mount(Some(outside), &inside, none, MsFlags::MS_BIND, none).expect("it can be seen there, too");
    }

    /// Starts the client in a container.
    fn begin(&self, arguments: &[&str], input: &str) -> Child {
        let inside = || {
            unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own");
            std::env::set_current_dir(self.root.path()).expect("it is there");
            // What was the root before lies over the new one, and goes (pivot_root(2), "Notes").
            pivot_root(".", ".").expect("another root");
            umount2(".", MntFlags::MNT_DETACH).expect("nobody holds it");
            with_input(Command::new(CLIENT).env_clear().current_dir("/").args(arguments), input)
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).expect("it starts")
    }

    fn run(&self, arguments: &[&str], input: &str) -> Ran {
        Ran::of(self.begin(arguments, input).wait_with_output().expect("it ends"))
    }

    /// What a call that must succeed prints.
    fn printed(&self, arguments: &[&str], input: &str) -> String {
        let ran = self.run(arguments, input);
        assert_eq!(ran.code, Some(0), "nmstatectl {arguments:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs a call that must fail with a message.
    fn refused(&self, arguments: &[&str], input: &str) {
        let ran = self.run(arguments, input);
        assert_eq!(ran.code, Some(1), "nmstatectl {arguments:?}: {}{}", ran.out, ran.err);
        assert_eq!(ran.out, "");
        assert_ne!(ran.err, "");
    }
}

/// What the dynamic linker loads for a program, with the linker itself (ldd(1)).
fn libraries(program: &Path) -> Vec<PathBuf> {
    let told = Command::new("ldd").arg(program).output().expect("ldd runs");
    let told = String::from_utf8(told.stdout).expect("paths of the system are text");
    told.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn in_a_container(test: impl FnOnce(&Daemon, &Image) + Send + 'static) {
    in_namespace(|| {
        let daemon = Daemon::start();
        test(&daemon, &Image::new(&daemon));
        daemon.assert_settled();
    });
}

#[test]
fn it_looks_before_it_changes_anything() {
    in_a_container(|_, image| {
        assert_eq!(image.printed(&["--version"], ""), "nmstatectl 2.2.62\n");
        assert!(image.printed(&["version"], "").contains("2.2.62"));
        let before = image.printed(&["show"], "");
        let shown: Json = serde_json::from_str(&image.printed(&["show", "--json"], "")).expect("JSON");
        assert_eq!(shown, yaml(&before));
        let statistic = yaml(&image.printed(&["statistic", "-"], BRIDGE));
        assert_eq!(statistic["topology"], json!(["linux-bridge"]), "{statistic}");

        fs::write(image.path("/tmp/policy"), POLICY).expect("a file");
        fs::write(image.path("/tmp/now"), BRIDGE).expect("a file");
        let resolve = ["policy", "--json", "--current", "/tmp/now", "--output-captured", "/tmp/captured"];
        let resolved = image.printed(&[&resolve[..], &["/tmp/policy"]].concat(), "");
        let resolved: Json = serde_json::from_str(&resolved).expect("JSON");
        assert_eq!(resolved["interfaces"][0]["mtu"], 1300, "{resolved}");
        // What was captured then is what is captured, whatever is there now.
        let again = ["policy", "--json", "--captured", "/tmp/captured", "--output-captured", "/tmp/again"];
        let again = image.printed(&[&again[..], &["/tmp/policy"]].concat(), "");
        assert_eq!(serde_json::from_str::<Json>(&again).expect("JSON"), resolved);
        assert_eq!(image.printed(&["show"], ""), before);
    });
}

#[test]
fn it_applies_probes_and_commits_or_goes_back() {
    in_a_container(|daemon, image| {
        let applied = image.printed(&["apply", "-vv", "--no-commit", "--timeout", "60"], BRIDGE);
        let changed = &yaml(&applied)["interfaces"][0];
        assert_eq!((&changed["name"], &changed["mtu"]), (&json!("br7"), &json!(1400)), "{applied}");
        assert_eq!(image.printed(&["commit"], ""), "\n");
        image.refused(&["commit"], "");
        image.refused(&["rollback"], "");
        assert!(image.printed(&["show", "br7"], "").contains("mtu: 1400"));

        // Its other name, and the way back; the second one has nothing to do.
        let gone = BRIDGE.replace("state: up", "state: absent");
        image.printed(&["set", "--no-commit", "--timeout", "60"], &gone);
        image.printed(&["rollback"], "");
        image.refused(&["rollback"], "");
        assert!(image.printed(&["show", "br7"], "").contains("mtu: 1400"));

        // Too late.
        let monitor = Monitor::start(daemon);
        image.printed(&["apply", "--no-commit", "--timeout", "1"], &gone);
        monitor.until("rolled-back");
        image.refused(&["commit"], "");
        assert!(image.printed(&["show", "br7"], "").contains("mtu: 1400"));
        image.refused(&["apply", "--no-commit", "--timeout", "60"], "interfaces: [{name: br7, mtu: 1}]");
    });
}

#[test]
fn one_that_is_gone_leaves_its_checkpoint_to_the_daemon() {
    in_a_container(|daemon, image| {
        let apply = ["apply", "--no-commit", "--timeout", "60"];
        image.printed(&apply, BRIDGE);
        // One that has come back knows no number.
        image.refused(&apply, BRIDGE);
        image.printed(&["rollback"], "");
        assert!(!image.printed(&["show"], "").contains("br7"));

        // Killed before it was answered: what it began goes on to its end.
        let monitor = Monitor::start(daemon);
        let many: String =
            (0..200).map(|n| format!("- {{name: many{n}, type: linux-bridge, state: up}}\n")).collect();
        let mut client = image.begin(&apply, &format!("interfaces:\n{many}"));
        monitor.until("applying");
        client.kill().expect("a process of ours can be killed");
        client.wait().expect("it ends");
        monitor.until("awaiting-commit");
        image.printed(&["commit"], "");
        assert!(image.printed(&["show", "many199"], "").contains("state: up"));
    });
}
