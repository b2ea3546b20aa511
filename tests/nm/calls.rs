//! What is asked of NetworkManager, as its bus sees it: nothing for what does not differ.

use nmstated::backend::Backend;
use nmstated::engine::{Reply, Request, ShowOptions};
use nmstated::wire::{Owner, Stage};
use zbus::message::Type;
use zbus::{Connection, MessageStream, connection};

use crate::backend::{Host, site};
use crate::engine::Engine;
use crate::harness::{Harness, soon, with_manager};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";

/// Sees every message on the bus.
struct Monitor {
    messages: MessageStream,
    /// Who marks where the counting ends.
    marker: Connection,
}

impl Monitor {
    async fn on(harness: &Harness) -> Self {
        let connect = || async {
            let builder = connection::Builder::address(harness.address.as_str());
            builder.build().await.expect("the bus accepts us")
        };
        let (monitor, marker) = (connect().await, connect().await);
        let all: (&[&str], u32) = (&["type='method_call'"], 0);
        let monitoring = Some("org.freedesktop.DBus.Monitoring");
        let messages = MessageStream::from(&monitor);
        soon(monitor.call_method(Some(BUS), BUS_PATH, monitoring, "BecomeMonitor", &all))
            .await
            .expect("the bus lets us see");
        Self { messages, marker }
    }

    /// The calls that others have made since it was asked last.
    async fn calls(&mut self) -> Vec<String> {
        let mark = self.marker.call_method(Some(BUS), BUS_PATH, Some(BUS), "GetId", &());
        soon(mark).await.expect("the bus answers");
        let us = self.marker.unique_name().expect("the bus names us").clone();
        let mut calls = Vec::new();
        loop {
            use futures_util::StreamExt as _;
            let message = soon(self.messages.next()).await.expect("the bus stays").expect("a message");
            let header = message.header();
            if header.message_type() != Type::MethodCall {
                continue;
            }
            let member = header.member().map(ToString::to_string).unwrap_or_default();
            if header.sender().is_some_and(|sender| *sender == us) {
                if member == "GetId" {
                    return calls;
                }
                continue;
            }
            calls.push(member);
        }
    }
}

const DOCUMENT: &str = "
interfaces:
- name: eth1
  type: ethernet
  state: up
  mtu: 1400
- name: br7
  type: linux-bridge
  state: up
  bridge: {options: {stp: {enabled: false}}, port: []}
  ipv4: {enabled: true, address: [{ip: 203.0.113.1, prefix-length: 24}]}
routes:
  config:
  - {destination: 198.18.0.0/15, next-hop-interface: eth1, next-hop-address: 192.0.2.254}
";

#[test]
fn what_does_not_differ_costs_no_call() {
    with_manager(|harness| async {
        site(&harness);
        let host = Host::on(harness).await;
        let engine = Engine::on(&host).await;
        engine.apply(&host, DOCUMENT).await;
        // What the change has caused is read before we count.
        at_rest(&host).await;
        let mut monitor = Monitor::on(&host.harness).await;
        monitor.calls().await;

        let owner = Owner { uid: 0, pid: None, via: "test".into() };
        let shown = soon(engine.0.call(owner, Request::Show(ShowOptions::default()))).await;
        assert!(matches!(shown, Ok(Reply::State { .. })), "{shown:?}");
        assert_eq!(monitor.calls().await, Vec::<String>::new(), "a query is answered from the image");

        let again = engine.submit(DOCUMENT, true).await;
        assert_eq!(again.stage, Stage::Unchanged, "{again:#?}");
        // A property is read for its answer's place among the signals: behind what others did before.
        assert_eq!(monitor.calls().await, ["Get"], "an unchanged apply");
    });
}

/// Waits until NetworkManager has no more to say, and we no more to ask because of it.
async fn at_rest(host: &Host) {
    let mut revision = host.backend.revision();
    let quiet = std::time::Duration::from_secs(3);
    soon(async { while tokio::time::timeout(quiet, revision.changed()).await.is_ok() {} }).await;
    soon(host.backend.sync()).await.expect("it can be seen");
}
