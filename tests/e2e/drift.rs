//! The network stops matching what is committed: what is told, and how it is put right.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use serde_json::Value as Json;

use crate::harness::{Daemon, Monitor, in_namespace, ip};

/// `nic0` and `nic1` are a cable that others laid.
const COMMITTED: &str = "
interfaces:
- name: nic0
  state: up
  mtu: 1400
  ipv4:
    enabled: true
    dhcp: false
    address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}]
  ipv6: {enabled: false}
- name: spare0
  type: veth
  state: up
  veth: {peer: spare1}
  ipv4: {enabled: false}
  ipv6: {enabled: false}
- name: br0
  type: linux-bridge
  state: up
  ipv4: {enabled: false}
  ipv6: {enabled: false}
  bridge: {options: {stp: {enabled: false}}, port: [{name: spare1}]}
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: nic0, next-hop-address: 192.0.2.9, metric: 50}
route-rules:
  config:
  - {ip-from: 203.0.113.0/24, route-table: 100, priority: 1000}
";

fn committed() -> Daemon {
    ip(&["link", "add", "nic0", "type", "veth", "peer", "name", "nic1"]);
    // The other end is up, so that a carrier comes as soon as ours is; an address of its own would come in its own time.
    std::fs::write("/proc/sys/net/ipv6/conf/nic1/disable_ipv6", "1").expect("it can be set");
    ip(&["link", "set", "nic1", "up"]);
    let daemon = Daemon::start();
    daemon.printed(&["apply", &daemon.file("committed.yml", COMMITTED)]);
    assert_eq!(drifted(&daemon), [] as [&str; 0]);
    daemon
}

/// `PATH: EXPECTED / FOUND` of every field that differs.
fn lines(drift: &Json) -> Vec<String> {
    assert_eq!(drift["problems"].as_array().map_or(0, Vec::len), 0, "{drift}");
    let word = |word: &Json| word.as_str().unwrap_or("-").to_owned();
    let items = drift["items"].as_array().expect("a list");
    let line = |item: &Json| {
        format!("{}: {} / {}", word(&item["path"]), word(&item["expected"]), word(&item["found"]))
    };
    let lines: BTreeSet<String> = items.iter().map(line).collect();
    assert_eq!(drift["count"].as_u64(), u64::try_from(lines.len()).ok(), "{drift}");
    lines.into_iter().collect()
}

fn drifted(daemon: &Daemon) -> Vec<String> {
    lines(&daemon.json(&["drift", "--json"]))
}

#[test]
fn what_differs_is_told_field_by_field_and_put_right() {
    in_namespace(|| {
        let daemon = committed();
        let network = daemon.show();
        let monitor = Monitor::start(&daemon);
        monitor.drift(|drift| drift["count"] == 0);
        let route = "route 198.51.100.0/24 via 192.0.2.9 dev nic0 table 254 metric 50";
        let route = || format!("routes.config[198.51.100.0/24]: {route} / -");
        let address = "interfaces[nic0].ipv4.address";
        for (changes, expected) in [
            (&["link set nic0 mtu 1300"][..], vec!["interfaces[nic0].mtu: 1400 / 1300".to_owned()]),
            (
                &["address delete 192.0.2.2/24 dev nic0", "address add 192.0.2.3/24 dev nic0"],
                vec![
                    format!("{address}[192.0.2.2]: 192.0.2.2/24 / -"),
                    format!("{address}[192.0.2.3]: - / 192.0.2.3/24"),
                ],
            ),
            (
                &["link set spare1 nomaster"],
                vec![
                    "interfaces[br0].bridge.port[spare1]: {name: spare1} / -".into(),
                    "interfaces[spare1].controller: br0 / -".into(),
                ],
            ),
            (
                &["link delete spare0"],
                vec![
                    "interfaces[br0].bridge.port[spare1]: {name: spare1} / -".into(),
                    "interfaces[spare0].state: up / absent".into(),
                    "interfaces[spare1].state: up / absent".into(),
                ],
            ),
            (&["route replace 198.51.100.0/24 via 192.0.2.8 metric 50"], vec![route()]),
            (&["route delete 198.51.100.0/24"], vec![route()]),
            (
                &["rule delete priority 1000"],
                vec!["route-rules.config: rule ipv4 from 203.0.113.0/24 table 100 priority 1000 / -".into()],
            ),
            (&["link set spare0 down"], vec!["interfaces[spare0].state: up / down".into()]),
        ] {
            for change in changes {
                ip(&change.split(' ').collect::<Vec<_>>());
            }
            // Asked for at once, and told without being asked.
            assert_eq!(drifted(&daemon), expected, "{changes:?}");
            let told = monitor.drift(|drift| lines(drift) == expected);
            assert!(told["since"].is_u64() && told["diff"] == "", "{told}");
            let status = &daemon.json(&["status", "--json"])["drift"];
            assert_eq!(status["count"], told["count"]);
            let ran = daemon.nmctl(&["drift", "--exit-code"]);
            assert_eq!((ran.code, ran.out.lines().count()), (Some(2), expected.len()), "{}", ran.out);

            let planned = daemon.nmctl(&["plan", "--restore", "--exit-code"]);
            assert_eq!(planned.code, Some(2), "{}{}", planned.out, planned.err);
            daemon.printed(&["apply", "--restore"]);
            assert_eq!(drifted(&daemon), [] as [&str; 0], "{changes:?}");
            monitor.drift(|drift| drift["count"] == 0);
            assert!(daemon.json(&["status", "--json"])["drift"].is_null());
            assert_eq!(daemon.nmctl(&["drift", "--exit-code"]).code, Some(0));
        }
        assert_eq!(
            daemon.json(&["log", "2", "--json"])["stage"],
            "committed",
            "a restoration is a transaction like any other"
        );
        let again = daemon.nmctl(&["apply", "--restore"]);
        assert!(again.code == Some(0) && again.err.contains("nothing to change"), "{}", again.err);
        let same = |text: &str| text.lines().filter(|line| !line.contains("mac-address")).collect::<String>();
        assert_eq!(same(&daemon.show()), same(&network));
        let log = daemon.log();
        assert!(
            log.contains("not as it was committed") && log.contains("as it was committed again"),
            "{log}"
        );
        daemon.assert_settled();
    });
}

#[test]
fn what_is_volatile_by_nature_is_no_drift() {
    in_namespace(|| {
        let daemon = committed();
        let monitor = Monitor::start(&daemon);
        for change in [
            // A container comes, with addresses, routes and rules of its own.
            "link add pod0 type veth peer name pod1",
            "address add 203.0.113.1/24 dev pod0",
            "link set pod0 up",
            "link set pod1 up",
            "route add 203.0.113.128/25 via 203.0.113.9 dev pod0",
            "rule add to 203.0.113.0/24 table 7 priority 7",
            // A lease that counts down, and what a router announces.
            "address add 198.51.100.7/24 dev pod0 valid_lft 1000 preferred_lft 500",
            "route add default via 192.0.2.254 dev nic0 proto ra metric 1024",
            // Learned neighbours.
            "neighbour add 192.0.2.9 lladdr 02:00:00:00:00:09 dev nic0",
            "neighbour add 192.0.2.8 lladdr 02:00:00:00:00:08 dev nic0 nud stale",
            // The cable is pulled out at the other end, and put in again.
            "link set nic1 down",
        ] {
            ip(&change.split(' ').collect::<Vec<_>>());
            assert_eq!(drifted(&daemon), [] as [&str; 0], "{change}");
        }
        ip(&["link", "set", "nic1", "up"]);
        assert_eq!(drifted(&daemon), [] as [&str; 0]);
        // Nothing was told meanwhile: the first drift is what somebody really changed.
        ip(&["link", "set", "nic0", "mtu", "1300"]);
        let first = monitor.drift(|drift| drift["count"] != 0);
        assert_eq!(lines(&first), ["interfaces[nic0].mtu: 1400 / 1300"]);
    });
}

#[test]
fn a_change_that_awaits_commit_is_no_drift_and_a_restart_forgets_none() {
    in_namespace(|| {
        let mut daemon = committed();
        let file = daemon.file("other.yml", "interfaces: [{name: nic0, mtu: 1450}]");
        daemon.printed(&["apply", "--no-commit", "--timeout", "3600", &file]);
        assert_eq!(drifted(&daemon), [] as [&str; 0]);
        daemon.printed(&["rollback"]);
        assert_eq!(drifted(&daemon), [] as [&str; 0]);

        ip(&["link", "set", "nic0", "mtu", "1300"]);
        daemon.kill();
        ip(&["link", "delete", "br0"]);
        daemon.restart();
        let expected = [
            "interfaces[br0].state: up / absent",
            "interfaces[nic0].mtu: 1400 / 1300",
            "interfaces[spare1].controller: br0 / -",
        ];
        let monitor = Monitor::start(&daemon);
        monitor.drift(|drift| lines(drift) == expected);
        assert_eq!(drifted(&daemon), expected);
        daemon.printed(&["apply", "--restore", "--no-commit", "--timeout", "3600"]);
        daemon.printed(&["commit"]);
        monitor.drift(|drift| drift["count"] == 0);
        assert_eq!(drifted(&daemon), [] as [&str; 0]);

        // What is committed now is the new wish.
        daemon.printed(&["apply", &file]);
        assert_eq!(drifted(&daemon), [] as [&str; 0]);
        ip(&["link", "set", "nic0", "mtu", "1300"]);
        assert_eq!(drifted(&daemon), ["interfaces[nic0].mtu: 1450 / 1300"]);
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what is waited for is that nothing happens")]
fn nothing_is_done_while_nothing_changes() {
    in_namespace(|| {
        let daemon = committed();
        let monitor = Monitor::start(&daemon);
        ip(&["link", "set", "nic0", "mtu", "1300"]);
        monitor.drift(|drift| drift["count"] == 1);
        // Waits that were given up still wake once, and threads that computed end after ten seconds.
        let window = || {
            let before = wakeups(&daemon);
            std::thread::sleep(Duration::from_secs(5));
            (wakeups(&daemon) == before).then_some(())
        };
        (0..9).find_map(|_| window()).expect("there are five seconds in which nothing wakes");
    });
}

/// How often a thread of the daemon went to sleep, which it does after each time that it woke.
fn wakeups(daemon: &Daemon) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("it runs");
    let mut counts = Vec::new();
    for task in tasks {
        let status = task.expect("a thread").path().join("status");
        let status = fs::read_to_string(status).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        counts.push(line.expect("proc(5)").to_owned());
    }
    counts
}
