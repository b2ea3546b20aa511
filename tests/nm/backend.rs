//! The NetworkManager backend: what leads back, from whatever somebody did meanwhile.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nmstated::backend::kernel::KernelBackend;
use nmstated::backend::nm::NmBackend;
use nmstated::backend::{Backend, Progress, Snapshot, Step};
use nmstated::kernel::mirror::{self, Paths};
use nmstated::nm::Client;
use nmstated::ovsdb;
use nmstated::plan::{Options, Plan, plan};
use nmstated::state::{Document, ErrorKind, State};
use nmstated::verify;

use crate::harness::{Harness, in_own_world, ip, soon, with_manager};

fn read(text: &str) -> State {
    Document::from_text(text).and_then(|document| Ok(document.state()?.0)).expect("the document is right")
}

/// A backend beside NetworkManager, and what it reports.
pub struct Host {
    pub harness: Harness,
    pub client: Client,
    pub backend: Arc<NmBackend>,
    steps: Mutex<Vec<String>>,
}

impl Host {
    pub async fn on(harness: Harness) -> Self {
        let client = harness.client().await;
        Self::with(harness, client).await
    }

    /// With that client of NetworkManager.
    pub async fn with(harness: Harness, client: Client) -> Self {
        let backend = open(&client).await;
        Self { harness, client, backend, steps: Mutex::default() }
    }

    pub async fn now(&self) -> Arc<State> {
        soon(self.backend.sync()).await.expect("it can be seen");
        self.backend.observe().expect("there is a state").state
    }

    /// What a query shows, without what comes and goes by itself.
    pub async fn shown(&self) -> String {
        let mut state = State::clone(&*self.now().await);
        for interface in state.interfaces.iter_mut().flatten() {
            if let Some(addresses) = interface.ipv6.as_deref_mut().and_then(|ip| ip.address.as_mut()) {
                addresses.retain(|address| !address.is_v6_link_local());
            }
        }
        for routes in state.routes.iter_mut() {
            // Routes of link-local addresses.
            routes.running = None;
        }
        state.to_yaml()
    }

    async fn plan(&self, document: &str) -> Plan {
        let now = self.now().await;
        let plan = plan(&read(document), &now, &self.backend.capabilities(), &Options::default());
        plan.unwrap_or_else(|problems| panic!("{problems:?}\n{document}"))
    }

    /// A snapshot of now that knows what the document touches.
    async fn snapshot(&self, document: &str) -> Arc<Snapshot> {
        let plan = self.plan(document).await;
        let mut snapshot = soon(self.backend.snapshot()).await.expect("a snapshot");
        snapshot.touched.extend(&plan);
        Arc::new(snapshot)
    }

    async fn restore(&self, snapshot: &Arc<Snapshot>) {
        let progress: Progress<'_> = &|step: Step| self.steps.lock().expect("no step panics").push(step.text);
        let restored = soon(self.backend.restore(snapshot.clone(), progress)).await;
        restored.unwrap_or_else(|failure| panic!("{failure}\n{:?}\n{}", self.steps, self.harness.log()));
        self.is_back(snapshot).await;
    }

    /// As the engine looks after a rollback: within a while it is as before.
    async fn is_back(&self, snapshot: &Snapshot) {
        let mut revision = self.backend.revision();
        let mut differences = Vec::new();
        let same = async {
            loop {
                revision.borrow_and_update();
                let now = self.now().await;
                differences =
                    verify::same(&snapshot.way_back(&now), &now).iter().map(ToString::to_string).collect();
                if differences.is_empty() {
                    return;
                }
                revision.changed().await.expect("the images are kept");
            }
        };
        let within = tokio::time::timeout(std::time::Duration::from_secs(20), same).await;
        assert!(within.is_ok(), "not as before: {differences:#?}\n{:#?}\n{}", self.steps, self.harness.log());
    }

    /// Files of profiles, on disk and in memory; not those of what NetworkManager only watches.
    pub fn files(&self) -> BTreeMap<String, String> {
        let folders = ["/etc/NetworkManager/system-connections", "/run/NetworkManager/system-connections"]
            .map(Path::new);
        let entries = folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        entries
            .map(|entry| entry.path())
            .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap_or_default()))
            .filter(|(_, contents)| !contents.contains("\nexternal=true"))
            .collect()
    }
}

async fn open(client: &Client) -> Arc<NmBackend> {
    let (mirror, keeper) = mirror::open(Paths::default()).await.expect("the mirror opens");
    tokio::spawn(async move { keeper.run().await.expect("the mirror is kept") });
    let kernel = KernelBackend::open(mirror, "/").await.expect("the kernel is there");
    // Open vSwitch is not here.
    let (database, keeper) = ovsdb::open(Path::new("/nonexistent/db.sock"));
    tokio::spawn(keeper.run());
    let backend = Arc::new(NmBackend::new(kernel, client.clone(), database, "/"));
    soon(backend.sync()).await.expect("it can be seen");
    backend
}

/// Stores a profile: its type, its name, that of its interface, and its properties.
fn add_profile(harness: &Harness, what: &str, properties: &str) {
    let [kind, name, link] = what.split(' ').collect::<Vec<_>>().try_into().expect("three words");
    let mut words = vec!["connection", "add", "type", kind, "con-name", name, "ifname", link];
    words.extend(properties.split(' '));
    harness.nmcli(&words);
}

/// A veth pair with an address by NetworkManager on one end, and a bridge on disk.
pub fn site(harness: &Harness) {
    ip(&["link", "add", "eth1", "type", "veth", "peer", "name", "peer1"]);
    ip(&["link", "set", "peer1", "up"]);
    add_profile(
        harness,
        "ethernet one eth1",
        "ipv4.method manual ipv4.addresses 192.0.2.1/24 ipv6.method link-local",
    );
    harness.nmcli(&["connection", "up", "one"]);
    add_profile(
        harness,
        "bridge br0 br0",
        "ipv4.method manual ipv4.addresses 198.51.100.1/24 ipv6.method disabled",
    );
    harness.nmcli(&["connection", "up", "br0"]);
}

#[test]
fn a_restore_puts_back_what_nmcli_did_to_what_is_touched() {
    with_manager(|harness| async {
        site(&harness);
        let host = Host::on(harness).await;
        let (before, files) = (host.shown().await, host.files());
        let snapshot = host
            .snapshot(
                "
interfaces:
- {name: eth1, type: ethernet, mtu: 1400}
- {name: br0, type: linux-bridge, state: absent}
- {name: br7, type: linux-bridge, state: up}
",
            )
            .await;
        host.harness.nmcli(&["connection", "modify", "one", "ipv4.addresses", "192.0.2.77/24"]);
        host.harness.nmcli(&["connection", "up", "one"]);
        host.harness.nmcli(&["connection", "delete", "br0"]);
        add_profile(&host.harness, "bridge br7 br7", "ipv4.method disabled ipv6.method disabled");
        host.harness.nmcli(&["connection", "up", "br7"]);
        host.restore(&snapshot).await;
        pretty(&before, &host.shown().await);
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));
        host.steps.lock().expect("no step panics").clear();
        host.restore(&snapshot).await;
        assert_eq!(*host.steps.lock().expect("no step panics"), Vec::<String>::new());
    });
}

/// `Device.Reapply` by somebody else: NetworkManager tells nobody.
async fn reapply_as_somebody_else(host: &Host, device: &str, edit: impl FnOnce(&mut nmstated::nm::Profile)) {
    let image = host.client.image().expect("it runs");
    let (path, device) = image.devices.iter().find(|(_, one)| one.name == device).expect("it is there");
    let mut profile = device.applied.as_ref().expect("it runs with something").0.clone();
    edit(&mut profile);
    let other = host.harness.client().await;
    let call = nmstated::nm::Call::Reapply { device: path.clone(), profile, version: 0, flags: 0 };
    crate::harness::done(&other, call).await;
}

#[test]
fn what_somebody_else_has_reapplied_is_seen_and_comes_back() {
    with_manager(|harness| async {
        site(&harness);
        let host = Host::on(harness).await;
        let set_lldp =
            |on: i32| move |profile: &mut nmstated::nm::Profile| profile.set("connection", "lldp", on);
        let lldp = |host: &Host| {
            let image = host.client.image().expect("it runs");
            let device = image.devices.values().find(|one| one.name == "eth1").expect("it is there");
            let applied = &device.applied.as_ref().expect("it runs with something").0;
            applied.get("connection", "lldp").and_then(nmstated::nm::Value::as_number)
        };
        assert_eq!(lldp(&host), None);
        reapply_as_somebody_else(&host, "eth1", set_lldp(1)).await;
        let snapshot = host.snapshot("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]").await;
        assert_eq!(lldp(&host), Some(1), "the snapshot has it");
        reapply_as_somebody_else(&host, "eth1", set_lldp(0)).await;
        host.restore(&snapshot).await;
        assert_eq!(lldp(&host), Some(1), "it runs with what it ran with then, not with what is stored");
    });
}

/// Equal, or the lines that differ.
#[track_caller]
pub fn pretty(before: &str, after: &str) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let only = |of: &[String], other: &[String]| {
        of.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>()
    };
    let first = before.iter().zip(&after).find(|(before, after)| before != after);
    let differ = (only(&before, &after), only(&after, &before));
    assert!(before == after, "before: {:#?}\nafter: {:#?}\nfirst: {first:?}", differ.0, differ.1);
}

#[test]
fn a_restore_also_leads_back_on_another_networkmanager_and_after_a_commit() {
    with_manager(|harness| async {
        site(&harness);
        let mut host = Host::on(harness).await;
        let files = host.files();
        let snapshot = host.snapshot("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]").await;
        host.harness.nmcli(&[
            "connection",
            "modify",
            "--temporary",
            "one",
            "ipv4.addresses",
            "192.0.2.77/24",
        ]);
        host.harness.nmcli(&["connection", "up", "one"]);
        soon(host.backend.persist(Some(snapshot.clone()), &State::empty())).await.expect("it is kept");
        let one = "/etc/NetworkManager/system-connections/one.nmconnection";
        assert!(host.files()[one].contains("192.0.2.77"), "{:#?}", host.files());

        host.harness.kill();
        assert!(host.backend.observe().is_err() || host.client.image().is_some(), "nobody knows");
        host.harness.begin().await;
        host.restore(&snapshot).await;
        pretty(&format!("{files:#?}"), &format!("{:#?}", host.files()));
    });
}

#[test]
fn what_networkmanager_does_not_hold_comes_back_too() {
    in_own_world(|| async {
        // Before NetworkManager starts: it would take the addresses away from a link that it has just found.
        ip(&["link", "add", "eth1", "type", "veth", "peer", "name", "peer1"]);
        ip(&["link", "set", "peer1", "up"]);
        ip(&["address", "add", "192.0.2.1/24", "dev", "eth1"]);
        ip(&["link", "set", "eth1", "up"]);
        let host = Host::on(Harness::start().await).await;
        let before = host.shown().await;
        let snapshot = host.snapshot("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]").await;
        // Somebody takes it over from the kernel, as a change of ours does.
        add_profile(
            &host.harness,
            "ethernet one eth1",
            "ipv4.method manual ipv4.addresses 192.0.2.77/24 ipv6.method link-local ethernet.mtu 1400",
        );
        host.harness.nmcli(&["connection", "up", "one"]);
        assert_ne!(before, host.shown().await);
        host.restore(&snapshot).await;
        pretty(&before, &host.shown().await);
        assert!(host.files().is_empty() || !host.files().keys().any(|path| path.contains("one")));
    });
}

/// What a bridge or a bond says of its ports stands in profiles of theirs.
#[test]
fn a_port_whose_options_change_is_kept_with_its_controller_and_comes_back_with_it() {
    with_manager(|harness| async {
        site(&harness);
        harness.nmcli(&[
            "connection",
            "modify",
            "one",
            "connection.master",
            "br0",
            "connection.slave-type",
            "bridge",
        ]);
        harness.nmcli(&["connection", "up", "one"]);
        let host = Host::on(harness).await;
        let document =
            "interfaces: [{name: br0, type: linux-bridge, bridge: {port: [{name: eth1, stp-priority: 5}]}}]";
        let priority = |host: &Host| {
            let files = host.files();
            let (path, contents) =
                files.iter().find(|(_, file)| file.contains("id=one")).expect("it is there");
            (path.starts_with("/etc/"), contents.contains("priority=5"))
        };
        // NetworkManager notes when it was last active.
        let stored = |host: &Host| -> Vec<(String, String)> {
            let said = |file: &str| {
                file.lines().filter(|line| !line.starts_with("timestamp=")).collect::<Vec<_>>().join("\n")
            };
            host.files().iter().map(|(path, file)| (path.clone(), said(file))).collect()
        };
        let (before, files) = (host.shown().await, stored(&host));
        let progress: Progress<'_> = &|_| {};
        for is_kept in [false, true] {
            let snapshot = host.snapshot(document).await;
            let plan = Arc::new(host.plan(document).await);
            soon(host.backend.execute(plan, progress)).await.expect("it is carried out");
            soon(host.backend.sync()).await.expect("it can be seen");
            if is_kept {
                soon(host.backend.persist(Some(snapshot.clone()), &State::empty()))
                    .await
                    .expect("it is kept");
                assert_eq!(priority(&host), (true, true));
            }
            host.restore(&snapshot).await;
            let net = host.backend.safety_net(&snapshot).expect("it is there");
            soon(net.set(None)).await.expect("it goes");
            pretty(&before, &host.shown().await);
            pretty(&format!("{files:#?}"), &format!("{:#?}", stored(&host)));
        }
    });
}

/// Debian's has no plugin for it (semantics V43).
#[test]
fn open_vswitch_needs_a_plugin_of_networkmanager() {
    with_manager(|harness| async {
        let host = Host::on(harness).await;
        let document = "interfaces: [{name: br0, type: ovs-bridge, bridge: {port: [{name: in0}]}}]";
        let refused = host.backend.judge(&host.plan(document).await).refused;
        let of_type = refused.iter().find(|problem| problem.path.to_string() == "interfaces[0].type");
        let of_type = of_type.unwrap_or_else(|| panic!("{refused:?}"));
        assert_eq!(of_type.kind, ErrorKind::DependencyError);
        assert!(of_type.message.ends_with("has no plugin for Open vSwitch"), "{of_type}");
        // Nor is there a database (V42).
        let gone = host.plan("interfaces: [{name: br0, type: ovs-bridge, state: absent}]").await;
        assert!(host.backend.judge(&gone).refused.is_empty());
        let unserved = host.backend.unserved(&gone);
        let kinds: Vec<ErrorKind> = unserved.iter().map(|problem| problem.kind).collect();
        assert_eq!(kinds, [ErrorKind::PluginFailure], "{unserved:?}");
        assert!(
            host.backend
                .judge(&host.plan("interfaces: [{name: lo, type: loopback}]").await)
                .refused
                .is_empty()
        );
    });
}

#[test]
fn a_checkpoint_of_somebody_else_is_told_and_ours_is_known_by_more_than_its_path() {
    with_manager(|harness| async {
        site(&harness);
        let mut host = Host::on(harness).await;
        let snapshot = host.snapshot("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]").await;
        let checkpoints = |host: &Host| host.client.image().map_or(0, |image| image.checkpoints.len());
        assert_eq!(checkpoints(&host), 1);
        let net = host.backend.safety_net(&snapshot).expect("it is there");
        let failure = soon(host.backend.snapshot()).await.expect_err("there is one already");
        assert!(failure.message.contains("/Checkpoint/1"), "{failure}");
        soon(net.set(None)).await.expect("it goes");
        soon(net.set(None)).await.expect("gone is gone");
        soon(host.backend.sync()).await.expect("it can be seen");
        assert_eq!(checkpoints(&host), 0);
        assert!(host.backend.safety_net(&snapshot).is_none());

        // The same path, on another NetworkManager, is somebody else's.
        let snapshot = host.snapshot("interfaces: [{name: eth1, type: ethernet, mtu: 1400}]").await;
        host.harness.restart().await;
        let create = nmstated::nm::Call::CheckpointCreate { devices: vec![], timeout_s: 60, flags: 6 };
        for _ in 0..3 {
            let made = soon(host.client.start(create.clone())).await;
            let made = made.ok().and_then(|answer| answer.checkpoint().cloned());
            if made == Some("/org/freedesktop/NetworkManager/Checkpoint/2".into()) {
                break;
            }
            let path = made.expect("a checkpoint is made");
            crate::harness::done(&host.client, nmstated::nm::Call::CheckpointDestroy { path }).await;
        }
        soon(host.backend.sync()).await.expect("it can be seen");
        assert_eq!(checkpoints(&host), 1);
        assert!(host.backend.safety_net(&snapshot).is_none(), "ours went with its NetworkManager");
    });
}
