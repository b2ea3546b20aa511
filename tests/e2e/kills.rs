//! The daemon is killed (S1, S12, S13): the network is wholly old or wholly new, and nothing stays open.

use std::fmt::Write;

use crate::harness::{Changes, Daemon, Monitor, Ran, in_namespace};

/// Twenty links, a bridge on some, addresses and routes; `generation` changes all of it.
fn network(generation: u8) -> String {
    let mtu = 1300 + u16::from(generation) * 100;
    let mut out = String::from("interfaces:\n");
    for n in 0..10 {
        for (name, peer, side) in [("a", "b", 1), ("b", "a", 2)] {
            let _ = write!(
                out,
                "- name: {name}{n}\n  type: veth\n  state: up\n  mtu: {mtu}\n  mac-address: 02:00:00:00:{side:02x}:{n:02x}\n  \
                 veth: {{peer: {peer}{n}}}\n  ipv6: {{enabled: false}}\n"
            );
            if name == "b" {
                let _ = writeln!(
                    out,
                    "  ipv4: {{enabled: true, dhcp: false, address: [{{ip: 10.{generation}.{n}.1, prefix-length: 24}}]}}"
                );
            }
        }
    }
    let ports: Vec<String> =
        (0..10).filter(|n| n % 2 == generation % 2).map(|n| format!("{{name: a{n}}}")).collect();
    let _ = write!(
        out,
        "- name: br0\n  type: linux-bridge\n  state: up\n  mac-address: 02:00:00:00:03:{generation:02x}\n  \
         ipv4: {{enabled: false}}\n  ipv6: {{enabled: false}}\n  bridge: {{port: [{}]}}\nroutes:\n  config:\n",
        ports.join(", ")
    );
    for n in 0..10 {
        // Those of the other generation go with the addresses that they need.
        let _ = writeln!(out, "  - {{state: absent, next-hop-interface: b{n}}}");
        let _ = writeln!(
            out,
            "  - {{destination: 198.51.{n}.0/24, next-hop-interface: b{n}, next-hop-address: 10.{generation}.{n}.9}}"
        );
    }
    out
}

/// Which changes of the kernel's network to act after: every one at first, then ever fewer.
fn points() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(1), |n| Some(n + 1 + n / 4))
}

/// A daemon on the first generation of the network, and the documents that lead on and back.
struct Ground {
    daemon: Daemon,
    old: String,
    to_new: String,
    to_old: String,
}

fn ground() -> Ground {
    let daemon = Daemon::start();
    let first = daemon.file("first.yml", &network(1));
    daemon.printed(&["apply", &first]);
    let to_new = daemon.file("second.yml", &network(2));
    let to_old = daemon.printed(&["revert", &to_new]);
    let to_old = daemon.file("revert.yml", &to_old);
    Ground { old: daemon.show(), to_new, to_old, daemon }
}

impl Ground {
    /// Asserts that the network is one of both, and makes it the old one. True: it was the new one.
    fn take_back(&self, what: &str) -> bool {
        self.daemon.assert_settled();
        let now = self.daemon.show();
        if now == self.old {
            return false;
        }
        let ran = self.daemon.nmctl(&["plan", "--exit-code", &self.to_new]);
        assert_eq!(
            ran.code,
            Some(0),
            "{what}: neither old nor new:\n{}{}{}",
            ran.out,
            ran.err,
            self.daemon.log()
        );
        self.daemon.printed(&["apply", &self.to_old]);
        assert_eq!(self.daemon.show(), self.old, "{what}: after the revert document");
        true
    }
}

#[test]
fn a_daemon_killed_at_any_change_of_an_apply_leaves_old_or_new() {
    in_namespace(|| {
        let mut ground = ground();
        let (mut tried, mut new) = (0, 0);
        for n in points() {
            let changes = Changes::new();
            let mut apply = ground.daemon.begin(&["apply", &ground.to_new]);
            let is_reached = changes.reach(n, &mut apply);
            ground.daemon.kill();
            let ran = Ran::of(apply.wait_with_output().expect("nmctl ends"));
            // It had its answer, or lost the daemon.
            assert!(matches!(ran.code, Some(0 | 3)), "change {n}: {}", ran.err);
            ground.daemon.restart();
            let is_new = ground.take_back(&format!("killed after change {n}"));
            assert!(is_new || ran.code == Some(3), "change {n}: what was told to be done is undone");
            if !is_reached {
                break;
            }
            tried += 1;
            new += u32::from(is_new);
        }
        assert!(tried >= 10 && new < tried, "{new} of {tried}");
    });
}

#[test]
fn a_daemon_killed_at_any_stage_leaves_old_or_new() {
    in_namespace(|| {
        let mut ground = ground();
        for stage in ["queued", "planning", "applying", "verifying", "committing", "committed"] {
            let monitor = Monitor::start(&ground.daemon);
            let apply = ground.daemon.begin(&["apply", &ground.to_new]);
            monitor.until(stage);
            ground.daemon.kill();
            let ran = Ran::of(apply.wait_with_output().expect("nmctl ends"));
            ground.daemon.restart();
            let is_new = ground.take_back(stage);
            assert!(is_new || ran.code == Some(3), "{stage}: {}", ran.err);
            assert!(is_new || stage != "committed");
        }
    });
}

#[test]
fn a_daemon_killed_in_a_rollback_finishes_it_at_the_next_start() {
    in_namespace(|| {
        let mut ground = ground();
        let mut tried = 0;
        for n in points().step_by(2) {
            ground.daemon.printed(&["apply", "--no-commit", &ground.to_new]);
            let changes = Changes::new();
            let mut rollback = ground.daemon.begin(&["rollback"]);
            let is_reached = changes.reach(n, &mut rollback);
            ground.daemon.kill();
            let ran = Ran::of(rollback.wait_with_output().expect("nmctl ends"));
            assert!(matches!(ran.code, Some(0 | 3)), "change {n}: {}", ran.err);
            ground.daemon.restart();
            assert!(!ground.take_back(&format!("killed after change {n} of the rollback")));
            if !is_reached {
                break;
            }
            tried += 1;
        }
        assert!(tried >= 5, "{tried}");
    });
}

#[test]
fn a_daemon_that_is_told_to_stop_leaves_a_safe_end() {
    in_namespace(|| {
        let mut ground = ground();
        for n in points().step_by(3) {
            let changes = Changes::new();
            let mut apply = ground.daemon.begin(&["apply", &ground.to_new]);
            let is_reached = changes.reach(n, &mut apply);
            assert!(ground.daemon.terminate().success(), "{}", ground.daemon.log());
            // Told in time: what happened, not that the daemon was lost.
            let ran = Ran::of(apply.wait_with_output().expect("nmctl ends"));
            assert!(matches!(ran.code, Some(0 | 1)), "change {n}: {:?}: {}", ran.code, ran.err);
            assert_eq!(ground.daemon.records(), [] as [String; 0], "change {n}");
            ground.daemon.restart();
            let is_new = ground.take_back(&format!("stopped after change {n}"));
            assert_eq!(is_new, ran.code == Some(0), "change {n}: {}", ran.err);
            if !is_reached {
                break;
            }
        }
        // What awaits commit stays for the next start.
        ground.daemon.printed(&["apply", "--no-commit", &ground.to_new]);
        let id = ground.daemon.only();
        assert!(ground.daemon.terminate().success());
        ground.daemon.restart();
        assert_eq!(ground.daemon.stage(&id), "awaiting-commit");
        ground.daemon.printed(&["rollback"]);
        assert!(!ground.take_back("rolled back after a stop"));
    });
}

#[test]
fn a_daemon_killed_in_the_commit_window_takes_the_change_up() {
    in_namespace(|| {
        let Ground { mut daemon, old, to_new, to_old } = ground();
        // Committed by somebody after the restart.
        daemon.printed(&["apply", "--no-commit", "--timeout", "600", &to_new]);
        let id = daemon.only();
        daemon.kill();
        daemon.restart();
        let taken_up = &daemon.live()[0];
        let left = taken_up["seconds_left"].as_u64().expect("there is a deadline");
        assert_eq!(taken_up["id"].to_string(), id);
        assert!(left > 500 && left <= 600, "{taken_up}");
        daemon.printed(&["commit", &id]);
        assert_eq!(daemon.stage(&id), "committed");
        daemon.kill();
        daemon.restart();
        daemon.assert_settled();
        assert!(daemon.is_as(&to_new));
        daemon.printed(&["apply", &to_old]);
        assert_eq!(daemon.show(), old);

        // Committed by nobody: its deadline comes while the daemon is dead, or soon after.
        daemon.printed(&["apply", "--no-commit", "--timeout", "5", &to_new]);
        let id = daemon.only();
        daemon.kill();
        daemon.restart();
        let monitor = Monitor::start(&daemon);
        // Whatever happens from here on is in the stream; what happened before is in the log.
        if daemon.stage(&id) != "rolled-back" {
            monitor.until("rolled-back");
        }
        assert_eq!(daemon.show(), old);
        daemon.assert_settled();
    });
}
