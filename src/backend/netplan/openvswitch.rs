//! What netplan leaves of Open vSwitch to its database, and what is neither's. Pure, but for the last part.
//!
//! netplan makes bridges, ports, bonds and patch ports by units of systemd, and removes of them what bears its
//! mark: bridges, bonds and patch ports. Cards stay in a bridge once they are; what is in one bridge is not
//! moved to another, nor does a bond change its members: the units would fail.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use tokio::time::timeout;

use super::NetplanBackend;
use super::refuse::placed;
use crate::backend::openvswitch::{self, Todo};
use crate::backend::{Failure, Progress, Step};
use crate::netplan::Config;
use crate::ovsdb::{Image, NETPLAN};
use crate::plan::{Change, InterfaceChange, Plan};
use crate::state::{
    Bridge, ErrorKind, Interface, InterfaceType, OvsBridgePort, OvsSettings, OvsTable, Path, Problem, State,
};
use crate::system::Door;
use crate::system::systemd::Manager;

/// The units by which netplan tells Open vSwitch.
const UNITS: &str = "netplan-ovs-*.service";

/// The process that carries out what the database says (ovs-vswitchd(8), `--pidfile`).
const PID: &str = "run/openvswitch/ovs-vswitchd.pid";

pub(super) const DOES_NOT_RUN: &str =
    "Open vSwitch does not run (there is no ovs-vswitchd), and netplan would wait for it in vain";

/// How long a rollback waits for ovs-vswitchd in each try: systemd starts one that has died in one or two seconds.
const FORWARDER_MAX: Duration = Duration::from_secs(5);

/// Whether netplan has anything to tell Open vSwitch of these definitions.
pub(super) fn is_in(config: &Config) -> bool {
    let is_of = |netdef| config.is_of_openvswitch(netdef) || netdef.get("openvswitch").is_some();
    config.openvswitch.is_some() || config.netdefs.values().any(is_of)
}

/// Whether somebody carries out what the database says. netplan waits for it with each change, of settings too that
/// only stay: at most 10 s in its units, longer where it removes something. `root`: where run/ and proc/ are.
pub(super) fn runs(root: &std::path::Path) -> bool {
    let pid = fs::read_to_string(root.join(PID)).ok();
    let pid: Option<u32> = pid.and_then(|pid| pid.trim().parse().ok());
    // What cannot be seen may be there.
    pid.is_some_and(|pid| root.join(format!("proc/{pid}")).try_exists().unwrap_or(true))
}

/// Waits until it runs, for a while; whether it does.
pub(super) async fn comes(root: &std::path::Path, progress: Progress<'_>) -> bool {
    if runs(root) {
        return true;
    }
    progress(Step { n: 1, of: 1, interface: None, text: "wait for ovs-vswitchd".to_owned() });
    let mut file = Door::new(&root.join(PID));
    let start = async {
        loop {
            file.arm();
            if runs(root) {
                break;
            }
            file.opened().await;
        }
    };
    timeout(FORWARDER_MAX, start).await.is_ok()
}

fn bridges(plan: &Plan) -> impl Iterator<Item = &InterfaceChange> {
    plan.changes.iter().filter_map(|change| match change {
        Change::Interface(change) if change.kind == InterfaceType::OvsBridge => Some(&**change),
        _ => None,
    })
}

fn ports(bridge: Option<&Interface>) -> &[OvsBridgePort] {
    let section = bridge.and_then(|bridge| bridge.bridge.as_deref()).and_then(Bridge::ovs);
    section.and_then(|section| section.port.as_deref()).unwrap_or_default()
}

fn members(port: &OvsBridgePort) -> Option<BTreeSet<&str>> {
    let bond = port.bond.as_ref()?;
    Some(bond.port.iter().flatten().map(|member| member.name.as_str()).collect())
}

/// Whether somebody uses Open vSwitch here, so that there is something to keep from the kernel.
fn has_any(state: &State) -> bool {
    state.interfaces().iter().any(|interface| *interface.kind() == InterfaceType::OvsBridge)
}

/// What has to go before netplan applies: ports that leave their bridge, and bonds that get other members.
pub(super) fn before(plan: &Plan) -> Vec<Todo> {
    let mut todo = Vec::new();
    for change in bridges(plan) {
        let after = ports(change.after.as_ref().filter(|after| after.is_up()));
        for port in ports(change.before.as_ref()) {
            let stays = after.iter().any(|then| then.name == port.name && members(then) == members(port));
            if !stays && port.name != change.name {
                todo.push(Todo::NoPort { bridge: change.name.clone(), port: port.name.clone() });
            }
        }
    }
    todo
}

/// What is left to the database once netplan has applied. `rest`: what is planned from there.
pub(super) fn left(rest: &Plan) -> Vec<Todo> {
    let mut todo = openvswitch::of_plan(rest);
    for change in bridges(rest) {
        let (Some(before), Some(after)) = (&change.before, &change.after) else { continue };
        let options = |bridge: &Interface| {
            bridge.bridge.as_deref().and_then(Bridge::ovs).and_then(|bridge| bridge.options.clone())
        };
        let differs = options(before) != options(after) || before.ovs_db != after.ovs_db;
        if before.is_up() && after.is_up() && differs {
            todo.push(Todo::Options(Box::new(after.clone())));
        }
    }
    todo
}

/// A state without what only Open vSwitch knows: its bridges, and that cards are in them. To the kernel they
/// are ports of nothing that it could take them from.
pub(super) fn hide(state: &State) -> State {
    let mut hidden = state.clone();
    if !has_any(state) {
        return hidden;
    }
    let bridges: BTreeSet<&str> = state
        .interfaces()
        .iter()
        .filter(|interface| *interface.kind() == InterfaceType::OvsBridge)
        .map(|bridge| bridge.name.as_str())
        .collect();
    for interface in hidden.interfaces.iter_mut().flatten() {
        release(interface, &bridges);
    }
    hidden
}

fn release(interface: &mut Interface, bridges: &BTreeSet<&str>) {
    interface.controller.take_if(|controller| bridges.contains(controller.as_str()));
}

/// The part of a plan that the kernel can carry out: the same without Open vSwitch. Its internal interfaces
/// come and go with their bridges.
pub(super) fn for_kernel(plan: &Plan, now: &State) -> Plan {
    let there = now.interfaces().iter().filter(|one| *one.kind() == InterfaceType::OvsBridge);
    let mut all: BTreeSet<&str> = there.map(|bridge| bridge.name.as_str()).collect();
    all.extend(bridges(plan).map(|change| change.name.as_str()));
    let mut own = plan.clone();
    if all.is_empty() {
        return own;
    }
    own.changes.retain_mut(|change| {
        let Change::Interface(change) = change else { return true };
        for interface in [&mut change.before, &mut change.after].into_iter().flatten() {
            release(interface, &all);
        }
        match change.kind {
            InterfaceType::OvsBridge => false,
            InterfaceType::OvsInterface => {
                let is_there = |interface: &Option<Interface>| {
                    interface.as_ref().is_some_and(|one| !one.is_absent() && one.patch.is_none())
                };
                is_there(&change.before) && is_there(&change.after)
            }
            _ => true,
        }
    });
    own
}

/// Keys of Open vSwitch's settings as a whole that change, with their new values.
pub(super) fn settings(plan: &Plan) -> Option<OvsSettings> {
    plan.changes.iter().find_map(|change| match change {
        Change::OvsDb(change) => {
            let table = |keys: &std::collections::BTreeMap<String, crate::plan::ValueChange>| {
                Some(OvsTable(keys.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect()))
            };
            let (external_ids, other_config) = (table(&change.external_ids), table(&change.other_config));
            Some(OvsSettings { external_ids, other_config })
        }
        _ => None,
    })
}

/// What netplan would not do, or not undo. `image`: the database, if it is there.
pub(super) fn refuse(plan: &Plan, image: Option<&Image>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut push = |name: &str, key: Option<&str>, text: String| {
        let path = key.map_or_else(Path::root, |key| Path::root().key(key));
        let (path, text) = placed(plan, Some(name), &path, text);
        let interface = Some(name.to_owned());
        problems.push(Problem { interface, ..Problem::new(ErrorKind::NotSupportedError, path, text) });
    };
    for change in bridges(plan) {
        let row = image.and_then(|image| image.bridge(&change.name));
        if row.is_some_and(|(_, row)| !row.external_ids.contains_key(NETPLAN)) {
            let name = &change.name;
            let text =
                format!("`{name}` was not made by netplan, which would remove it with its own definition");
            push(name, Some("name"), text);
        }
    }
    for change in &plan.changes {
        let Change::Interface(change) = change else { continue };
        let goes = !change.after.as_ref().is_some_and(Interface::is_up);
        let is_local = change.kind == InterfaceType::OvsInterface
            && change
                .before
                .as_ref()
                .is_some_and(|before| before.controller.as_deref() == Some(&change.name));
        let bridge_goes = bridges(plan)
            .any(|bridge| bridge.name == change.name && !bridge.after.as_ref().is_some_and(Interface::is_up));
        if goes && is_local && !bridge_goes {
            let text = "every bridge of netplan's has an internal interface of its own name, which is up";
            push(&change.name, Some("state"), text.to_owned());
        }
    }
    let ovn = plan.expected.ovn.as_ref().and_then(|ovn| ovn.bridge_mappings.as_ref());
    if ovn.is_some_and(|mappings| !mappings.is_empty()) {
        let text = "netplan's files do not hold OVN's mappings";
        problems.push(Problem::new(ErrorKind::NotSupportedError, Path::root().key("ovn"), text));
    }
    problems
}

impl NetplanBackend {
    pub(super) async fn tell_database(&self, todo: &[Todo]) -> Result<(), Failure> {
        for one in todo {
            // A bridge without ports belongs to nobody here.
            openvswitch::carry_out_one(one, &self.images.database, &|_| None).await?;
        }
        Ok(())
    }

    /// Units that have failed would be told of by whoever looks at the host, although what they were for is gone.
    pub(super) async fn forget_failed_units(&self) -> Result<(), Failure> {
        let forget = async { Manager::connect().await?.forget_failed(UNITS).await };
        forget.await.map_err(|error| super::failure(format!("cannot reset {UNITS}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Capabilities, Options, plan};
    use crate::state::Document;

    fn state(yaml: &str) -> State {
        Document::from_text(yaml).expect("YAML").state().expect("a valid state").0
    }

    fn planned(desired: &str, now: &State) -> Plan {
        let capabilities = Capabilities {
            interface_types: InterfaceType::known().collect(),
            ovs_local: true,
            ..Capabilities::default()
        };
        plan(&state(desired), now, &capabilities, &Options::default()).expect("it can be planned")
    }

    const NOW: &str = "
interfaces:
- name: ovs0
  type: ovs-bridge
  state: up
  bridge:
    port: [{name: ovs0}, {name: eth1}, {name: bond1, link-aggregation: {mode: balance-slb, port: [{name: eth2}, {name: eth3}]}}]
- {name: ovs0, type: ovs-interface, state: up, controller: ovs0}
- {name: eth1, type: ethernet, state: up, controller: ovs0}
- {name: eth2, type: ethernet, state: up, controller: ovs0}
- {name: eth3, type: ethernet, state: up, controller: ovs0}
- {name: eth4, type: ethernet, state: up}
";

    fn words(todo: &[Todo]) -> Vec<String> {
        todo.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn ports_that_leave_and_bonds_that_change_go_first() {
        let now = state(NOW);
        let other = "interfaces: [{name: ovs0, type: ovs-bridge, bridge: {port: [{name: bond1,
            link-aggregation: {mode: balance-slb, port: [{name: eth2}, {name: eth4}]}}]}}]";
        let found = words(&before(&planned(other, &now)));
        assert_eq!(found, ["remove port eth1 of bridge ovs0", "remove port bond1 of bridge ovs0"]);
        let more = "interfaces: [{name: eth4, type: ethernet, controller: ovs0}]";
        assert_eq!(words(&before(&planned(more, &now))), [""; 0]);
        let gone = "interfaces: [{name: ovs0, type: ovs-bridge, state: absent}]";
        let found = words(&before(&planned(gone, &now)));
        assert_eq!(found, ["remove port eth1 of bridge ovs0", "remove port bond1 of bridge ovs0"]);
    }

    #[test]
    fn it_runs_while_its_process_does() {
        let root = tempfile::tempdir().expect("a folder");
        assert!(!runs(root.path()));
        fs::create_dir_all(root.path().join("run/openvswitch")).expect("a folder");
        fs::write(root.path().join(PID), "77\n").expect("a file");
        assert!(!runs(root.path()), "it was killed");
        fs::create_dir_all(root.path().join("proc/77")).expect("a folder");
        assert!(runs(root.path()));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_waited_for_a_while() {
        let root = tempfile::tempdir().expect("a folder");
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |step: Step| told.lock().expect("no step panics").push(step.text);
        let come = || {
            fs::create_dir_all(root.path().join("run/openvswitch")).expect("a folder");
            fs::create_dir_all(root.path().join("proc/77")).expect("a folder");
            let pid = root.path().join(PID);
            fs::write(pid.with_extension("new"), "77\n").expect("a file");
            fs::rename(pid.with_extension("new"), pid).expect("a file");
        };
        assert!(!comes(root.path(), &progress).await);
        let later = async {
            tokio::time::sleep(FORWARDER_MAX / 2).await;
            come();
        };
        assert!(tokio::join!(comes(root.path(), &progress), later).0);
        assert_eq!(*told.lock().expect("no step panics"), ["wait for ovs-vswitchd"; 2]);
        assert!(comes(root.path(), &progress).await);
        assert_eq!(told.lock().expect("no step panics").len(), 2, "it runs: nothing is told");
    }

    #[test]
    fn the_kernel_hears_nothing_of_bridges() {
        let now = state(NOW);
        let plan = planned("interfaces: [{name: ovs0, type: ovs-bridge, state: absent}]", &now);
        let own = for_kernel(&plan, &now);
        let of_ovs = own.changes.iter().filter(|change| match change {
            Change::Interface(change) => {
                change.kind != InterfaceType::Ethernet
                    || change.before.as_ref().is_some_and(|before| before.controller.is_some())
            }
            _ => false,
        });
        assert_eq!(of_ovs.count(), 0);
        assert!(hide(&now).interfaces().iter().all(|one| one.controller.is_none()));
    }

    #[test]
    fn bridges_of_others_are_left_to_them() {
        let now = state(NOW);
        let mut image = Image::default();
        let row = crate::ovsdb::Bridge { name: "ovs0".into(), ..Default::default() };
        image.bridges.insert("b".into(), std::sync::Arc::new(row));
        let plan = planned("interfaces: [{name: eth4, type: ethernet, controller: ovs0}]", &now);
        let found: Vec<String> = refuse(&plan, Some(&image)).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("was not made by netplan"), "{found:?}");
        assert!(refuse(&plan, None).is_empty());
    }
}
