//! A reboot: what is committed comes back, what is not does not (S9).

use std::fs;

use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::harness::{Daemon, Monitor, fresh_network, in_namespace};

const COMMITTED: &str = "
interfaces:
- name: cable0
  type: veth
  state: up
  mac-address: 02:00:00:00:00:01
  veth: {peer: cable1}
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  ipv6: {enabled: false}
- name: cable1
  type: veth
  state: up
  mac-address: 02:00:00:00:00:02
  ipv6: {enabled: false}
- name: br0
  type: linux-bridge
  state: up
  mac-address: 02:00:00:00:00:03
  ipv6: {enabled: false}
  bridge: {port: [{name: cable1}]}
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: cable0, next-hop-address: 192.0.2.9}
";
const MEMORY_ONLY: &str = "interfaces: [{name: gone0, type: veth, state: up, veth: {peer: gone1}}]";
const UNCOMMITTED: &str = "
interfaces:
- {name: cable0, mtu: 1400}
- {name: late0, type: veth, state: up, veth: {peer: late1}, ipv6: {enabled: false}}
- {name: late1, type: veth, state: up, ipv6: {enabled: false}}
";

/// The next daemon of this test lives in another boot: other network, other boot id.
pub fn reboot(daemon: &Daemon, boot: u8) {
    fresh_network();
    let id = daemon.file("boot_id", &format!("00000000-0000-4000-8000-{boot:012}\n"));
    let none = None::<&str>;
    mount(Some(id.as_str()), "/proc/sys/kernel/random/boot_id", none, MsFlags::MS_BIND, none)
        .expect("a file can be covered");
}

#[test]
fn what_is_committed_comes_back_after_a_boot_and_nothing_else() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        let [committed, memory_only, uncommitted] =
            [("a.yml", COMMITTED), ("b.yml", MEMORY_ONLY), ("c.yml", UNCOMMITTED)]
                .map(|(name, text)| daemon.file(name, text));
        daemon.printed(&["apply", &committed]);
        let network = daemon.show();
        daemon.printed(&["apply", "--memory-only", &memory_only]);
        daemon.printed(&["apply", "--no-commit", "--timeout", "3600", &uncommitted]);
        let id = daemon.only();

        // Power is lost.
        daemon.kill();
        reboot(&daemon, 1);
        daemon.restart();
        daemon.assert_settled();
        assert!(daemon.is_as(&committed));
        assert_eq!(daemon.show(), network);
        assert_ne!(daemon.stage(&id), "committed");

        // Once per boot: what a person removes stays away when the daemon is restarted.
        crate::harness::ip(&["link", "delete", "br0"]);
        let without = daemon.show();
        assert!(daemon.terminate().success());
        daemon.restart();
        assert_eq!(daemon.show(), without);

        // An orderly reboot, with other things committed since.
        daemon.printed(&["apply", &uncommitted]);
        assert!(daemon.terminate().success());
        reboot(&daemon, 2);
        daemon.restart();
        daemon.assert_settled();
        assert!(daemon.is_as(&committed.replace("a.yml", "c.yml")));
        assert!(
            daemon.show().contains("- name: br0\n"),
            "committed is what was committed, not what was there"
        );

        // What was committed to be gone does not come back.
        daemon.printed(&["apply", &daemon.file("d.yml", "interfaces: [{name: late0, state: absent}]")]);
        let last = daemon.show();
        daemon.kill();
        reboot(&daemon, 3);
        daemon.restart();
        assert_eq!(daemon.show(), last);
        daemon.assert_settled();
    });
}

#[test]
fn a_change_that_awaited_commit_at_a_loss_of_power_is_not_taken_up() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        let before = daemon.show();
        let file = daemon.file("a.yml", COMMITTED);
        daemon.printed(&["apply", "--no-commit", "--timeout", "3600", &file]);
        let id = daemon.only();
        daemon.kill();
        reboot(&daemon, 1);
        daemon.restart();
        let monitor = Monitor::start(&daemon);
        assert_eq!(daemon.stage(&id), "rolled-back");
        assert_eq!(daemon.show(), before);
        daemon.assert_settled();
        // Its number is not used again.
        daemon.printed(&["apply", &file]);
        assert!(monitor.until("committed")["id"].as_u64() > id.parse().ok());
        assert_eq!(daemon.json(&["status", "--json"])["queued"], json!(0));
        assert!(fs::exists(daemon.state_dir().join("committed")).expect("it can be looked at"));
    });
}

/// The note that it was done in this boot is lost, and the only way to do it again would be to wait.
#[test]
fn what_is_committed_is_not_brought_back_behind_a_change_that_awaits_commit() {
    in_namespace(|| {
        let mut daemon = Daemon::start();
        daemon.printed(&["apply", &daemon.file("a.yml", COMMITTED)]);
        daemon.printed(&["apply", "--no-commit", "--timeout", "3600", &daemon.file("c.yml", UNCOMMITTED)]);
        let (id, network) = (daemon.only(), daemon.show());
        daemon.kill();
        fs::write(daemon.state_dir().join("boot"), "garbage").expect("writes");
        daemon.restart();
        assert_eq!(daemon.stage(&id), "awaiting-commit");
        assert_eq!(daemon.show(), network);
        daemon.printed(&["commit", &id]);
    });
}
