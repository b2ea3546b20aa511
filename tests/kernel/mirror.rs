//! The mirror: whatever happens, the image that followed the notifications equals one read afresh.

use crate::namespace::{Files, ip, with_mirror};
use nmstated::kernel::mirror::{self, Image, Mirror};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Returns the first difference between the followed image and a fresh one.
fn difference(image: &Image, fresh: &Image) -> Option<String> {
    macro_rules! first_difference {
        ($($part:ident)*) => {
            $(if image.$part != fresh.$part {
                let part = stringify!($part);
                let short = |text: String| text.chars().take(4000).collect::<String>();
                let followed = short(format!("{:?}", image.$part));
                return Some(format!("{part}\nfollowed {followed}\nfresh {}", short(format!("{:?}", fresh.$part))));
            })*
        };
    }
    first_difference!(links addresses routes4 routes6 rules vlans devices ethtool feature_names host);
    None
}

/// Asserts that the followed image is what a fresh one would be. The kernel's own work (carrier,
/// duplicate detection) goes on after a command, so a difference only counts if it stays.
async fn assert_current(mirror: &Mirror, files: &Files, after: &str) -> Image {
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut changes = mirror.clone();
    loop {
        mirror.sync().await.expect("the keeper runs");
        let image = mirror.image();
        let (fresh, keeper) = mirror::open(files.paths()).await.expect("the mirror opens");
        let (kept, fresh) = tokio::join!(keeper.run(), async move {
            fresh.sync().await.expect("the keeper runs");
            fresh.image()
        });
        kept.expect("the keeper ends with the last handle");
        match difference(&image, &fresh) {
            None => return image,
            Some(difference) => assert!(Instant::now() < deadline, "after {after}: {difference}"),
        }
        // Either way it is compared again.
        let _ = tokio::time::timeout(Duration::from_millis(50), changes.changed()).await;
    }
}

#[test]
fn every_change_is_followed() {
    const STEPS: [&str; 35] = [
        "link add v0 type veth peer name v1",
        "link set v0 up\nlink set v1 up",
        "address add 192.0.2.1/24 dev v0\naddress add 192.0.2.2/24 dev v0\naddress add 198.51.100.1/32 dev v0",
        "address add 2001:db8::1/64 dev v0 nodad\naddress add 2001:db8::2/64 dev v0 nodad",
        // Routes go with the last address, without a word, and another comes at once.
        "address add 198.18.7.1/24 dev v1\nroute add 198.19.0.0/16 via 198.18.7.9",
        "address del 198.18.7.1/24 dev v1\naddress add 198.18.8.1/24 dev v1\naddress del 198.18.8.1/24 dev v1",
        "route add 203.0.113.0/24 via 192.0.2.9 metric 7 mtu lock 1400 initcwnd 20",
        "route append 203.0.113.0/24 via 192.0.2.10 metric 7",
        "route replace 203.0.113.0/24 via 192.0.2.11 metric 7",
        "route add 10.0.0.0/8 src 198.51.100.1 dev v0",
        "route add 10.1.0.0/16 nexthop via 192.0.2.9 weight 3 nexthop via 192.0.2.10 weight 5",
        "route replace 10.1.0.0/16 via 192.0.2.9",
        "route add blackhole 10.2.0.0/16\nroute add unreachable 10.3.0.0/16 table 77\nroute add prohibit 2001:db8:9::/48",
        "route add 2001:db8:1::/48 via 2001:db8::9\nroute append 2001:db8:1::/48 via 2001:db8::a",
        "route append 2001:db8:1::/48 via 2001:db8::b",
        "route del 2001:db8:1::/48 via 2001:db8::a",
        "route replace 2001:db8:1::/48 via 2001:db8::c",
        "route add 2001:db8:2::/48 nexthop via 2001:db8::9 nexthop via 2001:db8::a",
        "address del 198.51.100.1/32 dev v0",
        "rule add from 192.0.2.0/24 table 77 priority 100\nrule add fwmark 0x30/0xff table 78 priority 100 suppress_prefixlength 4",
        "-6 rule add to 2001:db8::/32 iif v0 blackhole",
        "rule del priority 100 table 77",
        "link add br0 type bridge\nlink set v1 master br0\nlink set br0 up",
        "link set br0 type bridge ageing_time 1500 stp_state 1\nlink set v1 type bridge_slave priority 9 cost 77",
        "link add vx type vxlan id 42 local 192.0.2.1 remote 192.0.2.99 dstport 4789 dev v0",
        "link add mv link v0 type macvlan mode bridge\nlink add mt link v0 type macvtap mode vepa",
        "link property add dev v0 altname a-name-of-some-length\nlink set v0 alias described",
        "link set v0 mtu 1400 promisc on\nlink set v1 address 02:00:00:00:00:77",
        "link set v1 nomaster",
        "link set v0 down",
        "link set v0 up",
        "address del 192.0.2.1/24 dev v0",
        "link set mv name renamed",
        "link del br0\nlink del vx",
        "link del v0",
    ];
    with_mirror(|mirror, files| async move {
        for step in STEPS {
            ip(step);
            assert_current(&mirror, &files, step).await;
        }
        assert_eq!(mirror.image().links.len(), 1, "only the loopback is left");
    });
}

#[test]
fn a_change_is_visible_after_sync_and_announced() {
    with_mirror(|mut mirror, _files| async move {
        mirror.sync().await.expect("the keeper runs");
        let before = mirror.revision();
        ip("link add br0 type bridge\nlink set br0 up\naddress add 192.0.2.1/24 dev br0");
        while mirror.changed().await.expect("the keeper runs") <= before {}
        mirror.sync().await.expect("the keeper runs");
        let image = mirror.image();
        let bridge = image.link_by_name("br0").expect("the bridge is there");
        assert!(bridge.is_up());
        let addresses = image.addresses_of(bridge.index);
        assert_eq!(addresses[0].ip, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(image.devices[&bridge.index].driver.as_deref(), Some("bridge"));
        let ethtool = &image.ethtool[&bridge.index];
        let features = ethtool.features.expect("every device has features");
        let gro = image.feature_names.iter().position(|name| &**name == "rx-gro");
        assert!(features.changeable.has(gro.expect("every kernel knows it")));
    });
}

#[test]
fn an_image_in_hand_does_not_change() {
    with_mirror(|mirror, _files| async move {
        let image = mirror.image();
        ip("link add br0 type bridge");
        mirror.sync().await.expect("the keeper runs");
        assert!(image.link_by_name("br0").is_none());
        assert!(mirror.image().link_by_name("br0").is_some());
        assert!(mirror.image().revision > image.revision);
    });
}

#[test]
fn sysctls_are_told_without_reading_files() {
    with_mirror(|mirror, _files| async move {
        ip("link add br0 type bridge\nlink set br0 addrgenmode none");
        let write = |file: &str, text: &str| {
            // The thread's namespace decides which file this is.
            std::fs::write(format!("/proc/thread-self/net/../../sys/net/{file}"), text)
                .or_else(|_| std::fs::write(format!("/proc/sys/net/{file}"), text))
                .expect("the sysctl is written");
        };
        write("ipv4/conf/br0/forwarding", "1");
        write("ipv6/conf/br0/disable_ipv6", "1");
        write("ipv6/conf/br0/accept_ra", "0");
        mirror.sync().await.expect("the keeper runs");
        let image = mirror.image();
        let bridge = image.link_by_name("br0").expect("the bridge is there");
        assert_eq!(bridge.inet.forwarding, Some(true));
        let inet6 = bridge.inet6.expect("the kernel has IPv6");
        assert!(inet6.disabled);
        assert_eq!((inet6.accept_ra, inet6.addr_gen_mode), (Some(0), Some(1)));
    });
}

#[test]
fn the_resolver_file_is_watched() {
    with_mirror(|mut mirror, files| async move {
        let resolver = |mirror: &Mirror| mirror.image().host.resolver.clone();
        assert_eq!(resolver(&mirror).expect("readable").servers, ["192.0.2.1".into()]);
        mirror.sync().await.expect("the keeper runs");
        let _ = mirror.revision();
        let path = files.folder.path().join("new");
        std::fs::write(&path, "nameserver 192.0.2.2\n").expect("a file is written");
        std::fs::rename(&path, files.folder.path().join("resolv.conf")).expect("it is renamed");
        while resolver(&mirror).is_none_or(|r| r.servers != ["192.0.2.2".into()]) {
            let changed = tokio::time::timeout(Duration::from_secs(30), mirror.changed());
            changed.await.expect("the change is noticed").expect("the keeper runs");
        }
    });
}

#[test]
fn lost_notifications_are_made_good() {
    const ROUTES: u32 = 100_000;
    with_mirror(|mirror, files| async move {
        ip(
            "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\naddress add 192.0.2.1/24 dev v0",
        );
        let commands: String = (0..ROUTES)
            .map(|n| format!("route add 10.{}.{}.{}/28 via 192.0.2.9\n", n >> 12, n >> 4 & 255, n << 4 & 255))
            .collect();
        ip(&commands);
        // The keeper had no turn meanwhile, and its queue holds about 80,000 of these.
        let image = assert_current(&mirror, &files, "more routes than the queue holds").await;
        assert!(image.routes4.len() > 100_000);
        ip("link del v0");
        let image = assert_current(&mirror, &files, "their link is gone").await;
        assert!(image.routes4.len() < 100_000);
    });
}
