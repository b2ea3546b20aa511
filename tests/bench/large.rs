//! A large document, what comes of it, and how long planning takes the processor.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use nmstated::plan::{self, Capabilities, Plan};
use nmstated::state::{Document, State};
use serde_json::{Value as Json, json};

fn state(json: &Json) -> State {
    Document::from_json(json).state().unwrap_or_else(|problems| panic!("{problems:?}")).0
}

pub fn capabilities() -> Capabilities {
    Capabilities {
        backend: "kernel",
        interface_types: [].into(),
        vlan_filtering: true,
        volatile_until_commit: true,
        profiles: false,
        names: false,
        persists: false,
        ..Capabilities::default()
    }
}

/// `n` interfaces, half of them ports of one bridge, and ten routes for each; all of them new.
pub fn document(n: usize) -> State {
    let mut interfaces = Vec::new();
    let mut routes = Vec::new();
    let ports: Vec<Json> = (0..n / 2).map(|i| json!({"name": format!("p{i}")})).collect();
    interfaces.push(json!({"name": "br0", "type": "linux-bridge", "bridge": {"port": ports}}));
    for i in 0..n / 2 {
        let (high, low) = (i / 250, i % 250);
        interfaces.push(json!({"name": format!("p{i}"), "type": "dummy", "mtu": 1400}));
        interfaces.push(json!({"name": format!("d{i}"), "type": "dummy", "ipv4": {"enabled": true,
            "address": [{"ip": format!("10.{high}.{low}.1"), "prefix-length": 24}]}}));
        for k in 0..20 {
            routes.push(json!({"destination": format!("172.{}.{low}.{k}/32", 16 + high),
                "next-hop-interface": format!("d{i}"), "next-hop-address": format!("10.{high}.{low}.2")}));
        }
    }
    state(&json!({"interfaces": interfaces, "routes": {"config": routes}}))
}

/// The network after a plan for a network that was empty.
pub fn carried_out(plan: &Plan) -> State {
    let mut after = plan.expected.clone();
    let made = plan.changes.iter().filter_map(|change| match change {
        plan::Change::Interface(change) => change.after.clone(),
        _ => None,
    });
    after.interfaces = Some(made.collect());
    after
}

/// CPU time of this thread: other tests and processes do not count.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("every Linux has this clock").into()
}

/// The least of three runs.
pub fn time(work: impl Fn()) -> Duration {
    let once = |_| {
        let start = cpu_time();
        work();
        cpu_time() - start
    };
    (0..3).map(once).min().expect("three runs")
}
