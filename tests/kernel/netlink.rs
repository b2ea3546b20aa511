//! The codec and the connection.

use crate::namespace::in_namespace;
use nix::libc;
use nmstated::kernel::netlink::uapi::link::VETH_INFO_PEER;
use nmstated::kernel::netlink::{
    Connection, Event, Family, FamilyError, Message, NetlinkError, Protocol, Request, Subscription,
};
use std::time::Duration;

const IFNAME: u16 = libc::IFLA_IFNAME;

fn create(name: &str, kind: &str) -> Request {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Request::new(libc::RTM_NEWLINK, flags, &[0; 16]).with(|w| {
        w.text(IFNAME, name);
        w.nest(libc::IFLA_LINKINFO, |w| w.text(libc::IFLA_INFO_KIND, kind));
    })
}

fn create_veth(name: &str, peer: &str) -> Request {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Request::new(libc::RTM_NEWLINK, flags, &[0; 16]).with(|w| {
        w.text(IFNAME, name);
        w.nest(libc::IFLA_LINKINFO, |w| {
            w.text(libc::IFLA_INFO_KIND, "veth");
            w.nest(libc::IFLA_INFO_DATA, |w| {
                w.nest_after(VETH_INFO_PEER, &[0; 16], |w| w.text(IFNAME, peer));
            });
        });
    })
}

fn links() -> Request {
    Request::new(libc::RTM_GETLINK, 0, &[0; 16])
}

fn name(message: &Message<'_>) -> Option<String> {
    message.body::<16>()?.1.first(IFNAME)?.get()
}

fn collect(names: &mut Vec<String>, message: &Message<'_>) {
    names.extend(name(message));
}

#[test]
fn links_are_created_and_listed() {
    in_namespace(|| async {
        let mut kernel = Connection::open(Protocol::Route).expect("a socket opens");
        let veth = create_veth("left", "right");
        kernel.request(&veth).await.expect("a veth is created");
        let mut names = kernel.dump(&links(), collect).await.expect("links list");
        names.sort();
        assert_eq!(names, ["left", "lo", "right"]);
        let one = Request::new(libc::RTM_GETLINK, 0, &[0; 16]).with(|w| w.text(IFNAME, "right"));
        let found = kernel.get(&one, name).await.expect("one link is told");
        assert_eq!(found.as_deref(), Some("right"));
    });
}

#[test]
fn a_refusal_says_why() {
    in_namespace(|| async {
        let mut kernel = Connection::open(Protocol::Route).expect("a socket opens");
        let Err(NetlinkError::Refused(refusal)) = kernel.request(&create("x0", "nonsense")).await else {
            panic!("there is no such kind");
        };
        assert_eq!(refusal.errno, nix::errno::Errno::EOPNOTSUPP);
        assert_eq!(refusal.message.as_deref(), Some("Unknown device type"));
    });
}

#[test]
fn a_batch_has_a_result_for_each_request() {
    in_namespace(|| async {
        let mut kernel = Connection::open(Protocol::Route).expect("a socket opens");
        let mut requests: Vec<Request> = (0..300).map(|n| create(&format!("br{n}"), "bridge")).collect();
        requests.insert(150, create("br3", "bridge"));
        let results = kernel.batch(&requests).await.expect("a batch is answered");
        assert_eq!(results.len(), 301);
        for (index, result) in results.iter().enumerate() {
            assert_eq!(result.is_err(), index == 150, "request {index}: {result:?}");
        }
        let names = kernel.dump(&links(), collect).await.expect("links list");
        assert_eq!(names.len(), 301);
    });
}

#[test]
fn a_dump_given_up_does_not_spoil_the_next() {
    in_namespace(|| async {
        let mut kernel = Connection::open(Protocol::Route).expect("a socket opens");
        let requests: Vec<Request> = (0..100).map(|n| create(&format!("br{n}"), "bridge")).collect();
        kernel.batch(&requests).await.expect("a batch is answered");
        // Polled once. On a quick kernel it may be finished; the promise holds either way.
        let listing = links();
        let dump = kernel.dump(&listing, collect);
        let given_up = tokio::time::timeout(Duration::ZERO, dump).await;
        drop(given_up);
        let names = kernel.dump(&links(), collect).await.expect("links list");
        assert_eq!(names.len(), 101);
    });
}

#[test]
fn a_notification_is_there_once_the_request_is_done() {
    in_namespace(|| async {
        let mut events =
            Subscription::open(Protocol::Route, &[libc::RTNLGRP_LINK]).expect("a subscription opens");
        let mut kernel = Connection::open(Protocol::Route).expect("a socket opens");
        let veth = create_veth("left", "right");
        kernel.request(&veth).await.expect("a veth is created");
        events.ready().await.expect("the socket lives");
        let mut names = Vec::new();
        let event = events.drain(1_000, |message| names.extend(name(message))).expect("the socket lives");
        assert_eq!(event, Event::Drained);
        names.sort();
        names.dedup();
        assert_eq!(names, ["left", "right"]);
    });
}

#[test]
fn generic_families_are_found_by_name() {
    in_namespace(|| async {
        let mut kernel = Connection::open(Protocol::Generic).expect("a socket opens");
        let ethtool =
            Family::resolve(&mut kernel, "ethtool").await.expect("every kernel since 5.6 has the family");
        assert!(ethtool.groups.contains_key("monitor"), "{ethtool:?}");
        let missing = Family::resolve(&mut kernel, "no-such-family").await;
        assert!(matches!(missing, Err(FamilyError::Missing(_))), "{missing:?}");
    });
}
