//! The mirror against the running kernel, in a network namespace of its own: whatever happens, the
//! image that followed the notifications equals one read afresh. Needs the right to make a network
//! namespace, and iproute2, which serves as an independent hand.

use nix::sched::{CloneFlags, unshare};
use nmstated::kernel::mirror::{self, Image, Mirror, Paths};
use std::future::Future;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Files of a host of our own.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("resolv.conf"), "nameserver 192.0.2.1\n")
            .expect("a file is written");
        Self { folder }
    }

    fn paths(&self) -> Paths {
        Paths {
            resolv_conf: self.folder.path().join("resolv.conf"),
            hostname: self.folder.path().join("hostname"),
            ..Paths::default()
        }
    }
}

/// Runs a test in a fresh namespace beside a keeper.
fn with_mirror<F: Future<Output = ()>>(test: impl FnOnce(Mirror, Files) -> F + Send + 'static) {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need the right to make a namespace");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime starts").block_on(async {
            let files = Files::new();
            let (mirror, keeper) = mirror::open(files.paths()).await.expect("the mirror opens");
            let (kept, ()) = tokio::join!(keeper.run(), test(mirror, files));
            kept.expect("the keeper ends with the last handle");
        });
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs commands of ip(8), all for IPv6 if they begin with `-6`; the thread's namespace is inherited.
fn ip(commands: &str) {
    let family = commands.starts_with("-6 ").then_some("-6");
    let commands = commands.trim_start_matches("-6 ");
    let mut child = Command::new("ip")
        .args(family)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ip(8) is installed");
    let mut stdin = child.stdin.take().expect("the input is a pipe");
    stdin.write_all(commands.as_bytes()).expect("ip(8) reads its commands");
    drop(stdin);
    let status = child.wait().expect("ip(8) ends");
    assert!(status.success(), "ip failed: {commands}");
}

/// Returns the first difference between the followed image and a fresh one.
fn difference(image: &Image, fresh: &Image) -> Option<String> {
    macro_rules! first_difference {
        ($($part:ident)*) => {
            $(if image.$part != fresh.$part {
                let part = stringify!($part);
                return Some(format!("{part}\nfollowed {:?}\nfresh {:?}", image.$part, fresh.$part));
            })*
        };
    }
    first_difference!(links addresses routes4 routes6 rules vlans devices ethtool feature_names host);
    None
}

/// Asserts that the followed image is what a fresh one would be. The kernel's own work (carrier,
/// duplicate detection) goes on after a command, so a difference only counts if it stays.
async fn assert_current(mirror: &Mirror, files: &Files, after: &str) -> Image {
    let deadline = Instant::now() + Duration::from_secs(5);
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
    const STEPS: [&str; 33] = [
        "link add v0 type veth peer name v1",
        "link set v0 up\nlink set v1 up",
        "address add 192.0.2.1/24 dev v0\naddress add 192.0.2.2/24 dev v0\naddress add 198.51.100.1/32 dev v0",
        "address add 2001:db8::1/64 dev v0 nodad\naddress add 2001:db8::2/64 dev v0 nodad",
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
            let changed = tokio::time::timeout(Duration::from_secs(5), mirror.changed());
            changed.await.expect("the change is noticed").expect("the keeper runs");
        }
    });
}

#[test]
fn many_routes_are_followed_in_linear_time() {
    const ROUTES: u32 = 20_000;
    with_mirror(|mirror, files| async move {
        ip(
            "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\naddress add 192.0.2.1/24 dev v0",
        );
        let commands: String = (0..ROUTES)
            .map(|n| format!("route add 10.{}.{}.0/24 via 192.0.2.9\n", n / 256, n % 256))
            .collect();
        ip(&commands);
        // Notifications of a burst this long may have been lost or not; both ways lead here.
        let image = assert_current(&mirror, &files, "many routes").await;
        assert!(image.routes4.len() > 20_000);
        ip("link del v0");
        let image = assert_current(&mirror, &files, "their link is gone").await;
        assert!(image.routes4.len() < 20_000);
    });
}
