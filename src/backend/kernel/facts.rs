//! What a restore needs that the document cannot say: settings of links that plans touch, and
//! files byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use nix::libc;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::execute::cannot;
use super::files::{Files, ResolverOwner};
use super::op::Op;
use crate::backend::Failure;
use crate::kernel::mirror::{Image, Link};
use crate::state::{ErrorKind, Ip, State};

/// Private part of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::backend) struct Facts {
    links: BTreeMap<String, LinkFacts>,
    /// None where there was no such file, or where it is not ours.
    resolv_conf: Option<Vec<u8>>,
    hostname: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LinkFacts {
    up: bool,
    group: u32,
    queue_length: u32,
    /// `net.ipv6.conf.NAME.*` by name.
    ipv6: BTreeMap<String, i32>,
    addr_gen_mode: Option<u8>,
}

/// Settings of IPv6 that plans change, in the order in which they are put back.
const IPV6: [&str; 3] = ["accept_ra", "autoconf", "disable_ipv6"];

impl Facts {
    pub(super) fn take(image: &Image, files: &Files) -> Result<Self, Failure> {
        let read = |path: &Path| {
            Files::read(path).map_err(|error| cannot(&format!("read {}", path.display()), &error))
        };
        let (resolv_conf, hostname) = (read(&files.resolv_conf())?, read(&files.hostname())?);
        Ok(Self { resolv_conf, hostname, ..Self::of_links(image) })
    }

    pub(in crate::backend) fn of_links(image: &Image) -> Self {
        let links = image.links.values().map(|link| (link.name.to_string(), LinkFacts::of(link)));
        Self { links: links.collect(), ..Self::default() }
    }

    pub(super) fn to_json(&self) -> Json {
        serde_json::to_value(self).expect("facts are plain values with text for keys")
    }

    pub(super) fn from_json(json: &Json) -> Result<Self, Failure> {
        serde_json::from_value(json.clone()).map_err(|error| Failure {
            kind: ErrorKind::StorageError,
            subject: None,
            message: format!("the snapshot is not one of the kernel backend: {error}"),
        })
    }

    /// What leads from `now` to these, on links that are there in both and may be changed.
    pub(in crate::backend) fn differences(&self, now: &Self, may_change: impl Fn(&str) -> bool) -> Vec<Op> {
        let ours = self.links.iter().filter(|(name, _)| may_change(name));
        let both = ours.filter_map(|(name, was)| Some((name, was, now.links.get(name)?)));
        let mut ops = Vec::new();
        for (name, was, is) in both {
            let link = name.clone();
            if was.group != is.group {
                ops.push(Op::Group { link: link.clone(), is: was.group });
            }
            if was.queue_length != is.queue_length {
                ops.push(Op::QueueLength { link: link.clone(), is: was.queue_length });
            }
            for conf in IPV6 {
                if let Some(value) = was.ipv6.get(conf).filter(|value| is.ipv6.get(conf) != Some(value)) {
                    ops.push(Op::Sysctl { link: link.clone(), conf, value: value.to_string() });
                }
            }
            if let Some(mode) = was.addr_gen_mode.filter(|_| was.addr_gen_mode != is.addr_gen_mode) {
                ops.push(Op::AddrGenMode { link: link.clone(), is: mode });
            }
            if was.up != is.up {
                ops.push(if was.up { Op::Up { link } } else { Op::Down { link } });
            }
        }
        ops
    }

    /// The state to return to from the one `now`, whose facts are `is`. Addresses that the network
    /// has given or taken since, by settings of IPv6 that are as they were, are no difference.
    pub(in crate::backend) fn goal(&self, was: State, is: &Self, now: &State) -> State {
        let settings = |facts: &Self, name: &str| facts.links.get(name).map(|link| link.ipv6.clone());
        let mut goal = was;
        for interface in goal.interfaces.iter_mut().flatten() {
            let same = settings(self, &interface.name) == settings(is, &interface.name);
            let now = now.interface(&interface.name).and_then(|now| now.ipv6.as_deref());
            let both_on = |ip: &&mut Box<Ip>| same && ip.is_enabled() && now.is_some_and(Ip::is_enabled);
            if let (Some(was), Some(now)) = (interface.ipv6.as_mut().filter(both_on), now) {
                was.autoconf = now.autoconf;
            }
        }
        goal
    }

    /// Puts the files back, byte for byte, where they differ. A resolver's configuration that
    /// another program writes is its own.
    pub(super) fn restore_files(&self, files: &Files) -> Result<(), Failure> {
        let put_back = |path: &Path, was: &Option<Vec<u8>>| {
            let done = files.put_back(path, was.as_deref());
            done.map_err(|error| cannot(&format!("put {} back", path.display()), &error))
        };
        if files.resolver_owner() == ResolverOwner::Nobody {
            put_back(&files.resolv_conf(), &self.resolv_conf)?;
        }
        put_back(&files.hostname(), &self.hostname)
    }
}

impl LinkFacts {
    fn of(link: &Link) -> Self {
        let ipv6 = link.inet6.map(|inet6| {
            let values = [inet6.accept_ra, inet6.autoconf, Some(i32::from(inet6.disabled))];
            let known = IPV6.into_iter().zip(values);
            known.filter_map(|(conf, value)| Some((conf.to_owned(), value?))).collect()
        });
        Self {
            up: link.has(libc::IFF_UP),
            group: link.group,
            queue_length: link.queue_length,
            ipv6: ipv6.unwrap_or_default(),
            addr_gen_mode: link.inet6.and_then(|inet6| inet6.addr_gen_mode),
        }
    }
}
