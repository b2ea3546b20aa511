//! The NetworkManager backend under the engine: documents in, profiles and links out, and back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nmstated::backend::Backend;
use nmstated::engine::{ApplyOptions, Handle, Reply, Request, Setup, start};
use nmstated::state::Document;
use nmstated::wire::{Owner, Stage, TransactionInfo};

use crate::backend::{Host, pretty, site};
use crate::harness::{Harness, in_own_world, ip, ip_json, soon, with_manager};

/// The engine on a host.
pub struct Engine(pub Handle);

impl Engine {
    pub async fn on(host: &Host) -> Self {
        let backend: Arc<dyn Backend> = host.backend.clone();
        let state_dir = host.harness.folder.path().join("state");
        let setup = Setup::on_host(backend, "test", &state_dir).expect("the engine is set up");
        Self(soon(start(setup)).await.0)
    }

    pub async fn call(&self, request: Request) -> TransactionInfo {
        let owner = Owner { uid: 0, pid: None, via: "test".into() };
        match soon(self.0.call(owner, request)).await {
            Ok(Reply::Transaction(info)) => info,
            other => panic!("{other:?}"),
        }
    }

    /// Submits a document, and waits until it has ended or awaits commit.
    pub async fn submit(&self, document: &str, commit: bool) -> TransactionInfo {
        let document = Document::from_text(document).expect("YAML");
        let options = ApplyOptions { commit, ..ApplyOptions::default() };
        let info = self.call(Request::Submit { document, options }).await;
        self.reaches(&info, |stage| stage.is_end() || stage == Stage::AwaitingCommit).await
    }

    pub async fn reaches(&self, info: &TransactionInfo, is_there: impl Fn(Stage) -> bool) -> TransactionInfo {
        let mut follow = self.0.follow(info.id).expect("it is known");
        soon(async {
            loop {
                let Some(info) = follow.next().await else { panic!("the engine has ended") };
                if is_there(info.stage) {
                    return info;
                }
            }
        })
        .await
    }

    pub async fn apply(&self, host: &Host, document: &str) {
        let info = self.submit(document, true).await;
        assert_eq!(info.stage, Stage::Committed, "{info:#?}\n{}", host.harness.log());
        let again = self.submit(document, true).await;
        assert_eq!(again.stage, Stage::Unchanged, "{again:#?}");
    }

    pub async fn rollback(&self, host: &Host) {
        let info = self.call(Request::Rollback { id: None }).await;
        assert_eq!(info.stage, Stage::RolledBack, "{info:#?}\n{}", host.harness.log());
        assert_eq!(info.unrestored, Vec::<String>::new(), "{}", host.harness.log());
    }
}

/// A card taken over, a bridge made and one removed.
pub const DOCUMENT: &str = "
interfaces:
- name: eth1
  type: ethernet
  state: up
  mtu: 1400
  ipv4: {enabled: true, address: [{ip: 192.0.2.33, prefix-length: 24}]}
- name: br7
  type: linux-bridge
  state: up
  bridge: {options: {stp: {enabled: false}}, port: [{name: eth2}]}
  ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}
- {name: eth2, type: ethernet, state: up}
- {name: br0, type: linux-bridge, state: absent}
routes:
  config:
  - {destination: 198.18.0.0/15, next-hop-interface: eth1, next-hop-address: 192.0.2.254}
";

/// The site, and a second pair of cables with nothing on it.
pub fn larger_site(harness: &Harness) {
    site(harness);
    ip(&["link", "add", "eth2", "type", "veth", "peer", "name", "peer2"]);
    ip(&["link", "set", "peer2", "up"]);
}

#[test]
fn a_document_is_applied_found_unchanged_and_kept() {
    with_manager(|harness| async {
        larger_site(&harness);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        engine.apply(&host, DOCUMENT).await;
        let files = host.files();
        assert!(files.keys().all(|path| path.starts_with("/etc/")), "{files:#?}");
        assert!(!files.keys().any(|path| path.contains("br0")), "{files:#?}");
        let one = &files["/etc/NetworkManager/system-connections/one.nmconnection"];
        assert!(one.contains("192.0.2.33/24") && one.contains("198.18.0.0/15"), "{one}");
        assert_eq!(host.client.image().expect("it runs").checkpoints.len(), 0, "it was let go");
    });
}

#[test]
fn a_rollback_leaves_everything_as_it_was() {
    with_manager(|harness| async {
        larger_site(&harness);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let (before, files) = (host.shown().await, host.files());
        let info = engine.submit(DOCUMENT, false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        let on_disk = |files: &BTreeMap<String, String>| {
            let mut files = files.clone();
            files.retain(|path, _| path.starts_with("/etc/"));
            files
        };
        assert_eq!(on_disk(&files), on_disk(&host.files()), "nothing of it is on disk");
        engine.rollback(&host).await;
        pretty(&before, &host.shown().await);
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));
    });
}

#[test]
fn networkmanager_killed_in_the_window_or_midway_ends_as_it_was() {
    with_manager(|harness| async {
        larger_site(&harness);
        let mut host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let files = host.files();
        let info = engine.submit(DOCUMENT, false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        host.harness.kill();
        host.harness.begin().await;
        let info = engine.reaches(&info, Stage::is_end).await;
        assert_eq!(info.stage, Stage::RolledBack, "{info:#?}\n{}", host.harness.log());
        assert_eq!(info.unrestored, Vec::<String>::new(), "{}", host.harness.log());
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));

        let document = Document::from_text(DOCUMENT).expect("YAML");
        let request = Request::Submit { document, options: ApplyOptions::default() };
        let info = engine.call(request).await;
        let info = engine.reaches(&info, |stage| stage == Stage::Applying || stage.is_end()).await;
        host.harness.kill();
        host.harness.begin().await;
        let info = engine.reaches(&info, Stage::is_end).await;
        // It may have ended before the first call.
        let is_old = matches!(info.stage, Stage::RolledBack | Stage::Failed);
        assert!(is_old, "{info:#?}\n{}", host.harness.log());
        assert_eq!(info.unrestored, Vec::<String>::new(), "{}", host.harness.log());
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));
    });
}

#[test]
fn what_nmcli_does_meanwhile_elsewhere_stays() {
    with_manager(|harness| async {
        larger_site(&harness);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let info = engine.submit("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]", false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        host.harness.nmcli(&["connection", "modify", "br0", "ipv4.addresses", "198.51.100.7/24"]);
        host.harness.nmcli(&["connection", "up", "br0"]);
        engine.rollback(&host).await;
        let now = host.now().await;
        assert_eq!(now.interface("eth1").and_then(|eth1| eth1.mtu), Some(1500));
        let addresses = now.interface("br0").and_then(|br0| br0.ipv4.clone()).expect("IPv4").address;
        assert_eq!(addresses.expect("addresses")[0].ip.to_string(), "198.51.100.7");
        assert!(
            host.files()["/etc/NetworkManager/system-connections/br0.nmconnection"].contains("198.51.100.7")
        );
    });
}

#[test]
fn what_is_activated_again_runs_with_what_was_written() {
    with_manager(|harness| async {
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        // A MAC address takes a new activation, also on the way back.
        let document = |mac: u8| {
            let each = |n: u8| {
                format!(
                    "- {{name: br{n}, type: linux-bridge, state: up, mac-address: 02:00:5E:10:{mac:02X}:{n:02X}}}\n"
                )
            };
            format!("interfaces:\n{}", (0..4).map(each).collect::<String>())
        };
        for mac in 0..4 {
            engine.apply(&host, &document(mac)).await;
        }
        let info = engine.submit(&document(9), false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        engine.rollback(&host).await;
        let now = host.now().await;
        assert_eq!(
            now.interface("br2").and_then(|br2| br2.mac_address).map(|mac| mac.to_string()).as_deref(),
            Some("02:00:5E:10:03:02")
        );
    });
}

#[test]
fn what_others_made_is_kept_once_it_is_asked_for() {
    in_own_world(|| async {
        // Before NetworkManager starts: it would take the addresses away from a link that it has just found.
        ip(&["link", "add", "eth1", "type", "veth", "peer", "name", "peer1"]);
        ip(&["link", "set", "peer1", "up"]);
        ip(&["address", "add", "192.0.2.1/24", "dev", "eth1"]);
        ip(&["link", "set", "eth1", "up"]);
        ip(&["route", "add", "198.18.0.0/15", "via", "192.0.2.254"]);
        let host = Host::on(Harness::start().await).await;
        let engine = Engine::on(&host).await;
        let document = "interfaces: [{name: eth1, type: ethernet, state: up}]";
        let (before, files) = (host.shown().await, host.files());
        let info = engine.submit(document, false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        engine.rollback(&host).await;
        pretty(&before, &host.shown().await);
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));
        engine.apply(&host, document).await;
        let files = host.files();
        let kept = &files["/etc/NetworkManager/system-connections/eth1.nmconnection"];
        assert!(kept.contains("192.0.2.1/24") && kept.contains("198.18.0.0/15"), "{kept}");
    });
}

#[test]
fn what_overrides_an_interface_leaves_nothing_of_its_profile() {
    with_manager(|harness| async {
        site(&harness);
        harness.nmcli(&[
            "connection",
            "modify",
            "one",
            "connection.zone",
            "trusted",
            "connection.lldp",
            "enable",
        ]);
        harness.nmcli(&[
            "connection",
            "modify",
            "one",
            "+ipv4.routing-rules",
            "priority 5 from 192.0.2.1 table 7",
        ]);
        harness.nmcli(&["connection", "up", "one"]);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let one = || host.files()["/etc/NetworkManager/system-connections/one.nmconnection"].clone();
        let document = |mtu: u32| {
            format!(
                "
interfaces:
- name: eth1
  type: ethernet
  state: up
  mtu: {mtu}
  ipv4: {{enabled: true, address: [{{ip: 192.0.2.1, prefix-length: 24}}]}}
"
            )
        };
        engine.apply(&host, &document(1400)).await;
        assert!(one().contains("zone=trusted"), "{}", one());
        let document = Document::from_text(&document(1300)).expect("YAML");
        let mut options = ApplyOptions { commit: true, ..ApplyOptions::default() };
        options.plan.override_interfaces = true;
        let info = engine.call(Request::Submit { document, options }).await;
        let info = engine.reaches(&info, Stage::is_end).await;
        assert_eq!(info.stage, Stage::Committed, "{info:#?}\n{}", host.harness.log());
        let files = host.files();
        let all = files.values().map(String::as_str).collect::<String>();
        assert!(!all.contains("zone=trusted") && all.contains("mtu=1300"), "{files:#?}");
        assert!(all.contains("priority 5 from 192.0.2.1"), "rules have a section of their own: {files:#?}");
        assert!(!all.contains("mtu=1400"), "{files:#?}");
    });
}

/// NetworkManager's addresses have no routes of the kernel's: they are as they were, whatever somebody did to them.
#[test]
fn what_ip_does_meanwhile_is_undone_with_the_flags_of_addresses() {
    with_manager(|harness| async {
        larger_site(&harness);
        harness.nmcli(&[
            "connection",
            "modify",
            "one",
            "ipv6.method",
            "manual",
            "ipv6.addresses",
            "2001:db8::1/64",
        ]);
        harness.nmcli(&["connection", "up", "one"]);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let addresses = || {
            let eth1 = &ip_json(&["address", "show", "dev", "eth1", "scope", "global"])[0];
            // Of what it leaves out, `ip` leaves empty objects.
            let all = eth1["addr_info"].as_array().expect("addresses").iter();
            let all = all.filter(|one| one["local"].is_string());
            let facts = |one: &serde_json::Value| {
                ["local", "prefixlen", "noprefixroute"].map(|fact| one[fact].to_string()).join(" ")
            };
            all.map(facts).collect::<Vec<_>>()
        };
        let routes = || ["-4", "-6"].map(|family| ip_json(&[family, "route", "show", "dev", "eth1"]));
        let before = (addresses(), routes());
        assert_eq!(before.0, ["\"192.0.2.1\" 24 true", "\"2001:db8::1\" 64 true"]);
        let info = engine.submit("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]", false).await;
        assert_eq!(info.stage, Stage::AwaitingCommit, "{info:#?}\n{}", host.harness.log());
        ip(&["address", "delete", "192.0.2.1/24", "dev", "eth1"]);
        ip(&["address", "add", "192.0.2.66/24", "dev", "eth1"]);
        ip(&["address", "add", "2001:db8::66/64", "dev", "eth1", "nodad"]);
        engine.rollback(&host).await;
        assert_eq!(before, (addresses(), routes()), "{}", host.harness.log());
    });
}

/// Everything that is sent meanwhile arrives at once.
#[test]
fn networkmanager_that_stands_still_midway_is_waited_for() {
    with_manager(|harness| async {
        larger_site(&harness);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        let document = Document::from_text(DOCUMENT).expect("YAML");
        let info = engine.call(Request::Submit { document, options: ApplyOptions::default() }).await;
        let info = engine.reaches(&info, |stage| stage == Stage::Applying || stage.is_end()).await;
        host.harness.freeze();
        // How long it stands still is what is tried.
        tokio::time::sleep(Duration::from_secs(2)).await;
        host.harness.thaw();
        let info = engine.reaches(&info, Stage::is_end).await;
        assert_eq!(info.stage, Stage::Committed, "{info:#?}\n{}", host.harness.log());
    });
}
