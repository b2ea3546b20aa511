//! Probes (S20) against a second namespace behind a veth link, which answers as a gateway does.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Instant;

use crate::harness::{Daemon, LIMIT, fresh_network, in_namespace, ip, nmstated};

/// The gateway: a namespace of its own with the other end of `up0`, and a listener on port 2222.
struct Peer {
    _stop: std::sync::mpsc::Sender<()>,
}

impl Peer {
    fn start() -> Self {
        // The namespace lives as long as this thread.
        let (ready, is_ready) = channel();
        let (stop, stopped) = channel::<()>();
        std::thread::spawn(move || {
            fresh_network();
            let path = format!("/proc/self/task/{}/ns/net", nix::unistd::gettid());
            let listener = TcpListener::bind("0.0.0.0:2222").expect("a free port");
            ready.send((std::process::id(), path)).expect("the test waits");
            std::thread::spawn(move || listener.incoming().for_each(drop));
            // The test is over when its end goes.
            let _ = stopped.recv();
        });
        let (process, path) = is_ready.recv_timeout(LIMIT).expect("the peer starts");
        let path = path.replace("self", &process.to_string());
        let inside = |arguments: &[&str]| {
            let ran = Command::new("nsenter").arg(format!("--net={path}")).arg("ip").args(arguments).status();
            assert!(ran.expect("nsenter runs").success(), "ip {arguments:?}");
        };
        ip(&["link", "add", "up0", "type", "veth", "peer", "name", "gw0"]);
        ip(&["link", "set", "gw0", "netns", &path]);
        inside(&["address", "add", "192.0.2.1/24", "dev", "gw0"]);
        inside(&["-6", "address", "add", "2001:db8::1/64", "dev", "gw0", "nodad"]);
        inside(&["link", "set", "gw0", "up"]);
        ip(&["-6", "address", "add", "2001:db8::10/64", "dev", "up0", "nodad"]);
        ip(&["address", "add", "192.0.2.10/24", "dev", "up0"]);
        ip(&["link", "set", "up0", "up"]);
        ip(&["route", "add", "default", "via", "192.0.2.1"]);
        Self { _stop: stop }
    }
}

/// Moves the default route to a gateway that nobody is.
const LOST: &str = "
routes:
  config:
  - {state: absent, destination: 0.0.0.0/0}
  - {destination: 0.0.0.0/0, next-hop-interface: up0, next-hop-address: 192.0.2.9}
";

/// Changes something that no probe depends on.
fn harmless(mtu: u32) -> String {
    format!("interfaces:\n- {{name: up0, type: veth, mtu: {mtu}}}\n")
}

fn routes() -> String {
    let ran = Command::new("ip").args(["route", "show", "default"]).output().expect("ip runs");
    String::from_utf8(ran.stdout).expect("text")
}

#[test]
fn a_change_that_loses_the_gateway_is_rolled_back_at_once() {
    in_namespace(|| {
        let _peer = Peer::start();
        let daemon = Daemon::start();
        let lost = daemon.file("lost.yml", LOST);
        let before = Instant::now();
        let said = daemon.refused(
            &["apply", "--no-commit", "--timeout", "3600", "--probe", "gateway", &lost],
            "ProbeError",
        );
        assert!(said.contains("gateway:ipv4 held before the change"), "{said}");
        assert!(said.contains("192.0.2.9 on up0 does not answer"), "{said}");
        assert!(before.elapsed() < LIMIT, "{:?}", before.elapsed());
        assert!(routes().contains("192.0.2.1 "), "{}", routes());
        // Without a probe it is a change as any other.
        daemon.printed(&["apply", &lost]);
        assert!(routes().contains("192.0.2.9 "), "{}", routes());
        // What does not hold now is not required.
        let ran = daemon.nmctl(&["apply", "--probe", "gateway", &daemon.file("mtu.yml", &harmless(1400))]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("warning: gateway is not required"), "{}", ran.err);
        daemon.assert_settled();
    });
}

#[test]
fn what_holds_in_every_state_of_a_neighbour_is_found_to_hold() {
    in_namespace(|| {
        let _peer = Peer::start();
        ip(&["-6", "route", "add", "default", "via", "2001:db8::1"]);
        let daemon = Daemon::start();
        let mut mtu = 1300;
        let mut apply = |probes: &[&str]| {
            mtu += 1;
            let document = daemon.file("harmless.yml", &harmless(mtu));
            let mut arguments = vec!["apply", &document];
            probes.iter().for_each(|probe| arguments.extend(["--probe", probe]));
            let ran = daemon.nmctl(&arguments);
            assert_eq!(ran.code, Some(0), "{}", ran.err);
            assert!(!ran.err.contains("warning"), "{}", ran.err);
        };
        // Unknown, then reachable, then all that it may be; the router's own answers come last.
        apply(&["gateway:ipv4", "gateway:ipv6"]);
        apply(&["gateway:ipv4", "gateway:ipv6"]);
        for state in ["stale", "delay", "probe", "permanent", "noarp"] {
            for address in ["192.0.2.1", "2001:db8::1"] {
                let hardware = Command::new("ip").args(["neigh", "show", address]).output().expect("ip runs");
                let text = String::from_utf8(hardware.stdout).expect("text");
                let hardware = text.split_whitespace().skip_while(|word| *word != "lladdr").nth(1);
                let hardware = hardware.unwrap_or_else(|| panic!("no address in {text}"));
                ip(&["neigh", "replace", address, "lladdr", hardware, "dev", "up0", "nud", state]);
            }
            apply(&["gateway"]);
        }
        // Another hardware address than is known: it is found out anew.
        ip(&[
            "neigh",
            "replace",
            "192.0.2.1",
            "lladdr",
            "02:00:00:00:00:99",
            "dev",
            "up0",
            "nud",
            "reachable",
        ]);
        apply(&["gateway:ipv4"]);
        ip(&["neigh", "flush", "dev", "up0"]);
        apply(&["gateway:ipv4", "gateway:ipv6", "tcp:192.0.2.1:2222"]);
        daemon.assert_settled();
    });
}

#[test]
fn the_families_are_required_each_by_itself() {
    in_namespace(|| {
        let _peer = Peer::start();
        ip(&["-6", "route", "add", "default", "via", "2001:db8::1"]);
        let daemon = Daemon::start();
        // IPv6 still answers, but it was not alone before.
        let said =
            daemon.refused(&["apply", "--probe", "gateway", &daemon.file("lost.yml", LOST)], "ProbeError");
        assert!(said.contains("gateway:ipv4 held before"), "{said}");
        assert!(!said.contains("gateway:ipv6"), "{said}");
        daemon.assert_settled();
    });
}

#[test]
fn a_connection_that_is_lost_is_a_change_that_is_lost() {
    in_namespace(|| {
        let _peer = Peer::start();
        let daemon = Daemon::start();
        let moved = daemon.file(
            "moved.yml",
            "interfaces:\n- name: up0\n  type: veth\n  ipv4: {enabled: true, dhcp: false, \
             address: [{ip: 203.0.113.10, prefix-length: 24}]}\n",
        );
        let said = daemon.refused(&["apply", "--probe", "tcp:192.0.2.1:2222", &moved], "ProbeError");
        assert!(said.contains("tcp:192.0.2.1:2222 held before the change"), "{said}");
        let harmless = daemon.file("harmless.yml", &harmless(1400));
        let ran = daemon.nmctl(&["apply", "--probe", "tcp:192.0.2.1:2223", &harmless]);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("tcp:192.0.2.1:2223 is not required"), "{}", ran.err);
        daemon.assert_settled();
    });
}

/// A program in a folder that root alone can write, or nearly.
fn program(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("it can be written");
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
    format!("run:{}", path.display())
}

#[test]
fn programs_decide_if_they_are_roots_alone() {
    in_namespace(|| {
        let _peer = Peer::start();
        let daemon = Daemon::start();
        // Below the root folder, since everybody can write to /tmp.
        let folder =
            tempfile::Builder::new().prefix("nmstated-probe").tempdir_in("/var/lib").expect("a folder");
        let mut mtu = 1300;
        let mut apply = |probe: &str| {
            mtu += 1;
            daemon.nmctl(&["apply", "--probe", probe, &daemon.file("harmless.yml", &harmless(mtu))])
        };
        let path = folder.path();
        assert_eq!(apply(&program(path, "good", "exit 0")).code, Some(0));
        let ran = apply(&program(path, "bad", "echo no luck >&2; echo more >&2; exit 3"));
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.contains("before the change (exit status: 3: no luck)"), "{}", ran.err);
        // It is not told anything.
        let ran =
            apply(&program(path, "environment", "test -z \"$NOTIFY_SOCKET$HOME\" && test \"$PWD\" = /"));
        assert!(!ran.err.contains("warning"), "{}", ran.err);
        // It sees the change, and may be what takes it back.
        let sees = program(path, "sees", "ip link show up0 | grep -q 'mtu 13'");
        daemon.refused(&["apply", "--probe", &sees, &daemon.file("lost.yml", &harmless(1450))], "ProbeError");
        // One that does not end is ended, with what it has started.
        let mark = path.join("mark");
        let slow = program(path, "slow", &format!("sleep 600 & echo $! > {}; wait", mark.display()));
        let before = Instant::now();
        let ran = apply(&slow);
        assert!(ran.err.contains("no answer within"), "{}", ran.err);
        assert!(before.elapsed() < LIMIT, "{:?}", before.elapsed());
        let started = fs::read_to_string(&mark).expect("it ran");
        let end = Instant::now() + LIMIT;
        while fs::read_to_string(format!("/proc/{}/stat", started.trim()))
            .is_ok_and(|stat| !stat.contains(") Z"))
        {
            assert!(Instant::now() < end, "{started} still runs");
            std::thread::yield_now();
        }

        let refused = |probe: &str, why: &str| {
            let document = daemon.file("never.yml", &harmless(1234));
            let said = daemon.refused(&["apply", "--probe", probe, &document], "InvalidArgument");
            assert!(said.contains(why), "{said}");
        };
        refused("run:/nowhere/at/all", "/nowhere: ");
        let theirs = program(path, "theirs", "exit 0");
        chown(path.join("theirs"), Some(1000), None).expect("we are root");
        refused(&theirs, "theirs is not owned by root");
        let open = program(path, "open", "exit 0");
        fs::set_permissions(path.join("open"), Permissions::from_mode(0o757)).expect("it is ours");
        refused(&open, "open can be written by others");
        symlink(path.join("good"), path.join("link")).expect("a link");
        refused(&format!("run:{}", path.join("link").display()), "link is a symbolic link");
        fs::set_permissions(path.join("bad"), Permissions::from_mode(0o644)).expect("it is ours");
        refused(&format!("run:{}", path.join("bad").display()), "bad cannot be executed");
        refused(&format!("run:{}", path.display()), "is no file");
        fs::set_permissions(path, Permissions::from_mode(0o1777)).expect("it is ours");
        refused(&format!("run:{}", path.join("good").display()), "can be written by others than root");
        daemon.assert_settled();
    });
}

#[test]
fn the_configuration_probes_for_those_who_say_nothing() {
    in_namespace(|| {
        let _peer = Peer::start();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let conf = folder.path().join("conf");
        fs::write(&conf, "probe = gateway, tcp:192.0.2.1:2222\n").expect("a file can be written");
        let daemon = Daemon::start_in(folder, "none");
        let lost = daemon.file("lost.yml", LOST);
        daemon.refused(&["apply", &lost], "ProbeError");
        daemon.printed(&["apply", "--no-probes", &lost]);
        fs::write(&conf, "probe = gatewya\n").expect("a file can be written");
        let ran = nmstated(daemon.folder.path(), "none").output().expect("it runs");
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains("is no probe"), "{said}");
    });
}
