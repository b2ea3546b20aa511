//! The keeper: the one task that owns the sockets and keeps the image.

use super::address::Address;
use super::device::Devices;
use super::ethtool::EthtoolReader;
use super::host::{Host, HostWatch};
use super::image::{Doubts, Image};
use super::link::{self, BridgeTold, Link, Source};
use super::route::Route;
use super::rule::{self, Rule};
use super::{Mirror, Paths, SyncRequest};
use crate::kernel::netlink::{Connection, Event, Message, NetlinkError, Protocol, Request, Subscription};
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What is listened to.
const GROUPS: [u32; 10] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
    libc::RTNLGRP_IPV6_IFINFO,
    libc::RTNLGRP_BRVLAN,
    libc::RTNLGRP_NSID,
];
/// Datagrams followed before readers and other tasks get their turn: about a millisecond.
const DATAGRAMS: usize = 256;
/// Waiting sync requests. Callers beyond wait to be queued.
const SYNC_QUEUE: usize = 16;
/// Rounds of [`DATAGRAMS`] that a sync follows. Only a storm of changes lasts longer, and then
/// "before the call" has long been reached.
const SYNC_ROUNDS: usize = 4096;

/// How long devices and their settings may be behind the notifications that make them doubtful, so that
/// a link which is made, attached and set up is asked about once. A sync does not wait for it.
const DEVICES_LATER: Duration = Duration::from_millis(100);

/// The mirror cannot be kept.
#[derive(Debug, Error)]
pub enum MirrorError {
    #[error("cannot read {what} from the kernel")]
    Load { what: &'static str, source: NetlinkError },
    #[error("cannot listen to the kernel")]
    Listen(#[source] io::Error),
}

fn loading(what: &'static str) -> impl Fn(NetlinkError) -> MirrorError {
    move |source| MirrorError::Load { what, source }
}

/// Keeps the image. Whoever opens it runs it; it ends with the last [`Mirror`].
#[derive(Debug)]
pub struct Keeper {
    image: Arc<Mutex<Image>>,
    revision: watch::Sender<u64>,
    requests: mpsc::Receiver<SyncRequest>,
    connection: Connection,
    events: Subscription,
    ethtool: Option<EthtoolReader>,
    devices: Devices,
    host: HostWatch,
    paths: Paths,
    doubts: Doubts,
    /// When to ask about devices in doubt.
    devices_at: Option<Instant>,
}

/// Reads the present state of the calling thread's network namespace and returns a handle to it,
/// with the keeper that must be run for the image to stay live.
///
/// Device settings of ethtool follow as the keeper starts to run; [`Mirror::sync`] waits for them.
pub async fn open(paths: Paths) -> Result<(Mirror, Keeper), MirrorError> {
    // Listen first: what happens during the dumps must not be missed.
    let events = Subscription::open(Protocol::Route, &GROUPS).map_err(MirrorError::Listen)?;
    let connection = Connection::open(Protocol::Route).map_err(MirrorError::Listen)?;
    let devices = Devices::open().map_err(MirrorError::Listen)?;
    let ethtool = EthtoolReader::open().await;
    let (send_request, requests) = mpsc::channel(SYNC_QUEUE);
    let (revision, revisions) = watch::channel(0);
    let image = Arc::new(Mutex::new(Image::default()));
    let mirror = Mirror { image: Arc::clone(&image), requests: send_request, revision: revisions };
    let mut keeper = Keeper {
        image,
        revision,
        requests,
        connection,
        events,
        ethtool: ethtool.map_err(loading("the ethtool family"))?,
        devices,
        host: HostWatch::open(&paths),
        paths,
        doubts: Doubts::default(),
        devices_at: None,
    };
    keeper.load().await?;
    Ok((mirror, keeper))
}

/// Asks for links with their virtual functions and without their statistics.
fn links_request() -> Request {
    let mask = libc::RTEXT_FILTER_VF | libc::RTEXT_FILTER_SKIP_STATS;
    Request::new(libc::RTM_GETLINK, 0, &[0; 16]).with(|w| w.put(libc::IFLA_EXT_MASK, &mask))
}

fn bridges_request() -> Request {
    let mut header = [0; 16];
    header[0] = libc::AF_BRIDGE as u8;
    Request::new(libc::RTM_GETLINK, 0, &header)
        .with(|w| w.put(libc::IFLA_EXT_MASK, &libc::RTEXT_FILTER_BRVLAN_COMPRESSED))
}

/// Asks for the loopback, or finds that there is none.
fn loopback_request() -> Request {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    Request::new(libc::RTM_GETLINK, 0, &header)
}

fn routes_request(family: libc::c_int) -> Request {
    let mut header = [0; 12];
    header[0] = family as u8;
    Request::new(libc::RTM_GETROUTE, 0, &header)
}

impl Keeper {
    /// Keeps the image until the last handle is dropped.
    pub async fn run(mut self) -> Result<(), MirrorError> {
        self.load_ethtool().await?;
        self.settle().await?;
        loop {
            let devices_at = self.devices_at;
            // Every wait only waits: none takes anything that would be lost with it.
            tokio::select! {
                ready = self.events.ready() => {
                    ready.map_err(MirrorError::Listen)?;
                    self.follow(DATAGRAMS).await?;
                }
                request = self.requests.recv() => match request {
                    Some(request) => self.synchronise(request).await?,
                    None => return Ok(()),
                },
                ready = ethtool_ready(self.ethtool.as_ref()) => {
                    ready.map_err(MirrorError::Listen)?;
                    self.settle_devices().await?;
                }
                () = reached(devices_at) => self.settle_devices().await?,
                () = self.host.changed() => self.read_host(),
            }
        }
    }

    /// Changes the image; a change is a new revision.
    fn change(&self, change: impl FnOnce(&mut Image) -> bool) {
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut image) {
            image.revision += 1;
            let revision = image.revision;
            drop(image);
            self.revision.send_replace(revision);
        }
    }

    /// Follows the notifications that are there, up to a limit of datagrams, and settles what they
    /// left in doubt once there are no more. Returns whether there are no more.
    async fn follow(&mut self, limit: usize) -> Result<bool, MirrorError> {
        let mut event = Ok(Event::Drained);
        {
            let Self { image, events, doubts, revision, .. } = self;
            let mut image = image.lock().unwrap_or_else(PoisonError::into_inner);
            let mut changed = false;
            event =
                event.and_then(|_| events.drain(limit, |message| changed |= image.follow(message, doubts)));
            if changed {
                image.revision += 1;
                revision.send_replace(image.revision);
            }
        }
        match event.map_err(MirrorError::Listen)? {
            Event::Drained => {
                self.settle().await?;
                Ok(true)
            }
            Event::More => {
                tokio::task::yield_now().await;
                Ok(false)
            }
            Event::Overrun => {
                tracing::info!("notifications of the kernel were lost; reading its state anew");
                self.discard()?;
                self.load().await?;
                self.load_ethtool().await?;
                Ok(false)
            }
        }
    }

    /// Throws away the notifications that are queued. They end in a gap, and followed from a newer
    /// image they would lead to a state that never was.
    fn discard(&mut self) -> Result<(), MirrorError> {
        for _ in 0..SYNC_ROUNDS {
            let event = self.events.drain(DATAGRAMS, |_| {}).map_err(MirrorError::Listen)?;
            if event == Event::Drained {
                break;
            }
        }
        Ok(())
    }

    async fn synchronise(&mut self, first: SyncRequest) -> Result<(), MirrorError> {
        // Requests that came by now are answered by the same work.
        let mut requests = vec![first];
        while let Ok(request) = self.requests.try_recv() {
            requests.push(request);
        }
        self.follow_all().await?;
        self.read_unannounced().await?;
        self.follow_all().await?;
        self.settle_devices().await?;
        self.read_host();
        for request in requests {
            // A caller that has gone needs no answer.
            let _ = request.send(());
        }
        Ok(())
    }

    async fn follow_all(&mut self) -> Result<(), MirrorError> {
        for _ in 0..SYNC_ROUNDS {
            if self.follow(DATAGRAMS).await? {
                break;
            }
        }
        Ok(())
    }

    /// Reads anew what changes without a word: sysctls and virtual functions of links, addresses
    /// whose uniqueness is still being checked, and lifetimes.
    async fn read_unannounced(&mut self) -> Result<(), MirrorError> {
        let links = self.dump_links().await?;
        let addresses = Arc::new(self.dump_addresses().await?);
        let Self { image, doubts, revision, .. } = self;
        let mut image = image.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = false;
        let gone: Vec<u32> = image.links.keys().filter(|index| !links.contains_key(index)).copied().collect();
        for index in gone {
            changed |= image.remove_link(index, doubts);
        }
        for link in links.into_values() {
            changed |= image.put_link(link, Source::Asked, doubts);
        }
        if image.addresses != addresses {
            image.addresses = addresses;
            changed = true;
        }
        if changed {
            image.revision += 1;
            revision.send_replace(image.revision);
        }
        Ok(())
    }

    fn read_host(&self) {
        let host = Host::read(&self.paths);
        self.change(|image| {
            let changed = *image.host != host;
            image.host = Arc::new(host);
            changed
        });
    }

    async fn dump_links(&mut self) -> Result<BTreeMap<u32, Link>, MirrorError> {
        let add = |links: &mut BTreeMap<u32, Link>, message: &Message<'_>| {
            links.extend(Link::read(message).map(|link| (link.index, link)));
        };
        let links = self.connection.dump(&links_request(), add).await;
        links.map_err(loading("links"))
    }

    async fn dump_addresses(&mut self) -> Result<BTreeMap<u32, Vec<Address>>, MirrorError> {
        let request = Request::new(libc::RTM_GETADDR, 0, &[0; 8]);
        let add = |addresses: &mut BTreeMap<u32, Vec<Address>>, message: &Message<'_>| {
            if let Some(address) = Address::read(message) {
                // A dump is in the kernel's order, IPv4 first.
                addresses.entry(address.link).or_default().push(address);
            }
        };
        let addresses = self.connection.dump(&request, add).await;
        addresses.map_err(loading("addresses"))
    }

    async fn dump_routes(&mut self, family: libc::c_int) -> Result<BTreeSet<Route>, MirrorError> {
        // A kernel without a family answers with the routes of the others.
        let is_v6 = family == libc::AF_INET6;
        let add = |routes: &mut Vec<Route>, message: &Message<'_>| {
            routes.extend(Route::read(message).filter(|route| route.is_v6() == is_v6));
        };
        let routes = self.connection.dump(&routes_request(family), add).await;
        // Made from a list at once, the nodes of the tree are full.
        Ok(routes.map_err(loading("routes"))?.into_iter().collect())
    }

    /// Waits for the end of the change that the kernel is telling of. That an address goes it tells before
    /// it drops the routes that go with it, and lists routes meanwhile; but a question about one link waits
    /// for the lock under which all that is done (net/ipv4/devinet.c, `__inet_del_ifa`;
    /// net/core/rtnetlink.c, `rtnl_getlink`).
    async fn wait_for_kernel(&mut self) -> Result<(), MirrorError> {
        // The answer does not matter.
        let answers = self.connection.batch(&[loopback_request()]).await;
        answers.map(drop).map_err(loading("routes"))
    }

    /// Reads everything but device settings into a new image and swaps it in.
    async fn load(&mut self) -> Result<(), MirrorError> {
        let mut image = Image::default();
        let mut doubts = Doubts::default();
        for link in self.dump_links().await?.into_values() {
            image.put_link(link, Source::Asked, &mut doubts);
        }
        image.addresses = Arc::new(self.dump_addresses().await?);
        image.routes4 = Arc::new(self.dump_routes(libc::AF_INET).await?);
        image.routes6 = Arc::new(self.dump_routes(libc::AF_INET6).await?);
        let rules = Request::new(libc::RTM_GETRULE, 0, &[0; 12]);
        let add = |rules: &mut Vec<Rule>, message: &Message<'_>| {
            if let Some(rule) = Rule::read(message) {
                rule::add(rules, rule);
            }
        };
        let rules = self.connection.dump(&rules, add).await;
        image.rules = Arc::new(rules.map_err(loading("rules"))?);
        image.host = Arc::new(Host::read(&self.paths));
        self.doubts = doubts;
        self.change(|former| {
            image.revision = former.revision;
            image.route_changes = former.route_changes + 1;
            image.devices = Arc::clone(&former.devices);
            image.ethtool = Arc::clone(&former.ethtool);
            image.feature_names = Arc::clone(&former.feature_names);
            *former = image;
            true
        });
        self.read_vlans().await?;
        self.describe_devices();
        Ok(())
    }

    async fn load_ethtool(&mut self) -> Result<(), MirrorError> {
        if let Some(ethtool) = &mut self.ethtool {
            let loaded = ethtool.load().await.map_err(loading("device settings"))?;
            self.change(|image| image.put_ethtool(loaded));
        }
        Ok(())
    }

    /// Reads the VLANs of bridges and their ports.
    async fn read_vlans(&mut self) -> Result<(), MirrorError> {
        let is_bridge = |link: &Arc<Link>| link.kind() == "bridge";
        if !self.present().links.values().any(is_bridge) {
            return Ok(());
        }
        let add = |told: &mut BTreeMap<u32, BridgeTold>, message: &Message<'_>| {
            if let Some((libc::AF_BRIDGE, index)) = link::identity(message) {
                told.extend(link::read_bridge(message).map(|bridge| (index, bridge)));
            }
        };
        let told = self.connection.dump(&bridges_request(), add).await;
        let told = told.map_err(loading("VLANs of bridges"))?;
        self.change(|image| {
            let mut changed = false;
            for (index, bridge) in told {
                changed |= image.put_bridge(index, bridge);
            }
            changed
        });
        Ok(())
    }

    fn present(&self) -> Image {
        let image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image.clone()
    }

    /// Settles what notifications left in doubt.
    async fn settle(&mut self) -> Result<(), MirrorError> {
        let mut doubts = std::mem::take(&mut self.doubts);
        self.change(|image| image.settle(&mut doubts));
        if doubts.routes4 {
            self.wait_for_kernel().await?;
            let routes = self.dump_routes(libc::AF_INET).await?;
            self.change(|image| image.put_routes(false, routes));
        }
        if doubts.routes6 {
            let routes = self.dump_routes(libc::AF_INET6).await?;
            self.change(|image| image.put_routes(true, routes));
        }
        if !doubts.vlans.is_empty() {
            self.read_vlans().await?;
        }
        self.doubts.devices = doubts.devices;
        if !self.doubts.devices.is_empty() {
            self.devices_at.get_or_insert_with(|| Instant::now() + DEVICES_LATER);
        }
        Ok(())
    }

    /// Asks about devices in doubt, and about their settings.
    async fn settle_devices(&mut self) -> Result<(), MirrorError> {
        self.devices_at = None;
        self.describe_devices();
        self.settle_ethtool().await
    }

    /// Describes the devices of links that are new, renamed or changed their state, and makes
    /// their settings doubtful.
    fn describe_devices(&mut self) {
        let mut indices = std::mem::take(&mut self.doubts.devices);
        if indices.is_empty() {
            return;
        }
        let image = self.present();
        let kind = |index: &u32| image.links.get(index).map(|link| link.kind());
        if let Some(ethtool) = &mut self.ethtool {
            for index in &indices {
                if let Some(kind) = kind(index) {
                    ethtool.doubt(*index, kind);
                }
            }
        }
        // A new piece of hardware may be a virtual function of another.
        if indices.iter().any(|index| kind(index) == Some("")) {
            let devices = image.devices.iter();
            indices.extend(devices.filter(|(_, device)| device.sriov.is_some()).map(|(i, _)| *i));
        }
        let described: Vec<_> = indices
            .into_iter()
            .filter_map(|index| {
                let name = image.link_name(index)?;
                Some((index, self.devices.describe(name, &self.paths)))
            })
            .filter(|(index, device)| image.devices.get(index) != Some(device))
            .collect();
        drop(image);
        if !described.is_empty() {
            self.change(|image| {
                Arc::make_mut(&mut image.devices).extend(described);
                true
            });
        }
    }

    async fn settle_ethtool(&mut self) -> Result<(), MirrorError> {
        let Some(ethtool) = &mut self.ethtool else {
            return Ok(());
        };
        if ethtool.drain().map_err(MirrorError::Listen)? == Event::Overrun {
            return self.load_ethtool().await;
        }
        if ethtool.doubts.is_empty() {
            return Ok(());
        }
        let answers = ethtool.settle().await.map_err(loading("device settings"))?;
        self.change(|image| image.put_ethtool_answers(answers));
        Ok(())
    }
}

async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

async fn ethtool_ready(ethtool: Option<&EthtoolReader>) -> io::Result<()> {
    match ethtool {
        Some(ethtool) => ethtool.ready().await,
        None => std::future::pending().await,
    }
}
