//! Whether the next hop of the default route answers.
//!
//! The kernel is asked to ask it: by ARP or neighbour discovery, through its own table, which needs no
//! socket and no right but CAP_NET_ADMIN. An entry that is known is told to solicit at once
//! (`NUD_PROBE`), since one that is reachable would be believed for half a minute and more.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use tokio::time::timeout;

use super::{Fault, Verdict};
use crate::kernel::netlink::neighbour::{LinkFlags, Neighbour};
use crate::kernel::netlink::{Connection, Event, NetlinkError, Protocol, Subscription};
use crate::state::{Route, State};
use crate::wire::{Family, Probe};

/// `RT_TABLE_MAIN`
const TABLE_MAIN: u32 = 254;
/// What the IPv6 stack takes for no metric (`IP6_RT_PRIO_USER` of linux/ipv6_route.h).
const METRIC_V6: i64 = 1024;
/// Longest between two looks at an entry: a notification may get lost.
const LOOK: Duration = Duration::from_secs(1);
/// Notifications read at a time.
const DRAIN_MAX: usize = 64;
/// Next hops asked: a host has a few.
const HOPS_MAX: usize = 8;

/// The next hops of the default route of a family: of the lowest metric in the main table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Hop<'a> {
    link: &'a str,
    /// None: everything is directly behind the link.
    gateway: Option<IpAddr>,
}

fn hops(network: &State, family: Family) -> BTreeSet<Hop<'_>> {
    let is_v6 = family == Family::Ipv6;
    let is_default = |route: &&Route| {
        route.destination.is_some_and(|net| net.prefix() == 0 && net.is_v6() == is_v6)
            && route.table_id.is_none_or(|table| table == TABLE_MAIN || table == 0)
            && route.vrf_name.is_none()
            && route.route_type.is_none()
    };
    let metric = |route: &Route| match route.metric.filter(|metric| *metric > 0) {
        None if is_v6 => METRIC_V6,
        metric => metric.unwrap_or(0),
    };
    let routes = network.running_routes().iter().chain(network.config_routes());
    let routes: Vec<&Route> = routes.filter(is_default).collect();
    let lowest = routes.iter().map(|route| metric(route)).min();
    let best = routes.into_iter().filter(|route| Some(metric(route)) == lowest);
    best.filter_map(|route| {
        let gateway = route.next_hop_address.filter(|address| !address.is_unspecified());
        Some(Hop { link: route.next_hop_interface.as_deref()?, gateway })
    })
    .take(HOPS_MAX)
    .collect()
}

/// The families whose gateway answers, of those asked for.
pub(super) async fn check(asked: Option<Family>, network: &State) -> Verdict {
    let families = Family::ALL.into_iter().filter(|family| asked.is_none_or(|asked| asked == *family));
    let routed: Vec<(Family, BTreeSet<Hop<'_>>)> =
        families.map(|family| (family, hops(network, family))).filter(|(_, hops)| !hops.is_empty()).collect();
    if routed.is_empty() {
        return Err(Fault::Fails("there is no default route".into()));
    }
    let checks = routed.iter().map(|(_, hops)| any(hops));
    let answers = futures_util::future::join_all(checks).await;
    let (mut held, mut said) = (Vec::new(), Vec::new());
    for ((family, _), answer) in routed.iter().zip(answers) {
        match answer {
            Ok(()) => held.push(Probe::Gateway(Some(*family))),
            Err(why) => said.push(why),
        }
    }
    if held.is_empty() { Err(Fault::Fails(said.join("; "))) } else { Ok(held) }
}

/// Whether one of several next hops answers.
async fn any(hops: &BTreeSet<Hop<'_>>) -> Result<(), String> {
    let asking = hops.iter().map(|hop| Box::pin(answers(hop)));
    futures_util::future::select_ok(asking).await.map(drop)
}

async fn answers(hop: &Hop<'_>) -> Result<(), String> {
    let who = match hop.gateway {
        Some(gateway) => format!("{gateway} on {}", hop.link),
        None => hop.link.to_owned(),
    };
    match ask(hop).await {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No(why)) => Err(format!("{who} {why}")),
        Err(error) => Err(format!("{who} cannot be asked: {}", chain(&error))),
    }
}

fn chain(error: &NetlinkError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

enum Answer {
    Yes,
    No(&'static str),
}

async fn ask(hop: &Hop<'_>) -> Result<Answer, NetlinkError> {
    let mut connection = Connection::open(Protocol::Route)?;
    let link = connection.get(&LinkFlags::get(hop.link), LinkFlags::read).await;
    let link = match link {
        Ok(Some(link)) if link.carries() => link,
        Ok(_) => return Ok(Answer::No("is down")),
        Err(error) if error.errno() == Some(Errno::ENODEV) => return Ok(Answer::No("is gone")),
        Err(error) => return Err(error),
    };
    let Some(gateway) = hop.gateway.filter(|_| !link.has_no_neighbours()) else {
        return Ok(Answer::Yes);
    };
    // Subscribed before it is asked, so that no answer is missed.
    let news = Subscription::open(Protocol::Route, &[libc::RTNLGRP_NEIGH])?;
    let mut asking = Asking { connection, news, link: link.index, gateway };
    let answers = match asking.entry().await? {
        Some(entry) if entry.is_fixed() => true,
        // Its hardware address may have changed: then everybody is asked.
        Some(entry) if entry.is_valid() => asking.confirm(&entry).await? || asking.look_for().await?,
        Some(_) | None => asking.look_for().await?,
    };
    Ok(if answers { Answer::Yes } else { Answer::No("does not answer") })
}

struct Asking {
    connection: Connection,
    news: Subscription,
    link: u32,
    gateway: IpAddr,
}

impl Asking {
    async fn entry(&mut self) -> Result<Option<Neighbour>, NetlinkError> {
        match self.connection.get(&Neighbour::get(self.link, self.gateway), Neighbour::read).await {
            Err(error) if error.errno() == Some(Errno::ENOENT) => Ok(None),
            entry => entry,
        }
    }

    /// Asks the hardware address that is known. Not from `NUD_PROBE` straight, where an entry may be
    /// already: only a change of state begins to solicit.
    async fn confirm(&mut self, entry: &Neighbour) -> Result<bool, NetlinkError> {
        for state in [libc::NUD_STALE, libc::NUD_PROBE] {
            match self.connection.request(&entry.enter(state)).await {
                // It went away meanwhile.
                Err(error) if matches!(error.errno(), Some(Errno::ENOENT | Errno::EINVAL)) => {
                    return Ok(false);
                }
                other => other?,
            }
        }
        self.verdict().await
    }

    /// Asks everybody on the link.
    async fn look_for(&mut self) -> Result<bool, NetlinkError> {
        self.connection.request(&Neighbour::look_for(self.link, self.gateway)).await?;
        self.verdict().await
    }

    /// Waits until the kernel knows. It gives up by itself after some seconds; whoever waits for
    /// this has a limit too.
    async fn verdict(&mut self) -> Result<bool, NetlinkError> {
        loop {
            let waited = timeout(LOOK, self.news.ready()).await;
            let mut verdict = None;
            let (link, gateway) = (self.link, self.gateway);
            let mut is_lossy = waited.is_err();
            if let Ok(ready) = waited {
                ready?;
                let event = self.news.drain(DRAIN_MAX, |message| {
                    let entry = Neighbour::read(message);
                    let ours = entry.filter(|entry| entry.link == link && entry.ip == gateway);
                    verdict = ours.and_then(|entry| decided(&entry)).or(verdict);
                })?;
                is_lossy = matches!(event, Event::Overrun);
            }
            if verdict.is_none() && is_lossy {
                match self.entry().await? {
                    Some(entry) => verdict = decided(&entry),
                    // The kernel has thrown away what it was looking for.
                    None => verdict = Some(false),
                }
            }
            if let Some(answers) = verdict {
                return Ok(answers);
            }
        }
    }
}

fn decided(entry: &Neighbour) -> Option<bool> {
    match entry.state {
        libc::NUD_FAILED => Some(false),
        libc::NUD_REACHABLE => Some(true),
        _ if entry.is_fixed() => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Document;
    use serde_json::json;

    #[test]
    fn the_lowest_metric_of_the_main_table_counts() {
        let route = |destination: &str, link: &str, gateway: &str, metric: i64, table: u32| {
            json!({"destination": destination, "next-hop-interface": link, "next-hop-address": gateway,
                "metric": metric, "table-id": table})
        };
        let document = json!({"routes": {"running": [
            route("0.0.0.0/0", "eth0", "192.0.2.1", 100, 254),
            route("0.0.0.0/0", "eth1", "198.51.100.1", 50, 254),
            route("0.0.0.0/0", "eth2", "203.0.113.1", 1, 200),
            route("192.0.2.0/24", "eth3", "192.0.2.2", 0, 254),
            route("::/0", "eth0", "fe80::1", 1024, 254),
            route("::/0", "eth1", "fe80::2", 1024, 254),
        ]}});
        let network = Document::from_json(&document).state().expect("a state").0;
        let found = |family| {
            let hops = hops(&network, family);
            hops.iter().map(|hop| format!("{} {:?}", hop.link, hop.gateway)).collect::<Vec<_>>()
        };
        assert_eq!(found(Family::Ipv4), ["eth1 Some(198.51.100.1)"]);
        assert_eq!(found(Family::Ipv6), ["eth0 Some(fe80::1)", "eth1 Some(fe80::2)"]);
    }
}
