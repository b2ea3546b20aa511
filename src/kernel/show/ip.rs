//! IPv4 and IPv6 of an interface.

use super::Scope;
use crate::kernel::mirror::{self, Image, Link};
use crate::kernel::netlink::uapi::address::FOREVER;
use crate::state::{AddrGenMode, Address, AddressProtocol, Ip};

/// `enabled` means: has an address.
pub(super) fn ipv4(image: &Image, link: &Link, scope: Scope) -> Ip {
    let (addresses, leased) = addresses(image, link, false, scope);
    let enabled = leased || !addresses.is_empty();
    Ip {
        dhcp: leased.then_some(true),
        address: enabled.then_some(addresses),
        forwarding: link.inet.forwarding,
        prefix_route_metric: prefix_metric(image, link),
        ..Ip::new(enabled)
    }
}

/// The metric of the routes to the networks of the static IPv4 addresses, if they agree on one.
fn prefix_metric(image: &Image, link: &Link) -> Option<i64> {
    let own = image.addresses_of(link.index).iter();
    let mut metrics =
        own.filter(|address| address.ip.is_ipv4() && address.is_permanent()).map(|address| address.metric);
    let metric = metrics.next().filter(|metric| *metric != 0)?;
    metrics.all(|other| other == metric).then_some(i64::from(metric))
}

/// `enabled` means: `disable_ipv6` is 0. Such a stack gives itself an address as soon as it can, so
/// one without (a link that is down or has no carrier) is not off. A kernel without IPv6 is.
pub(super) fn ipv6(image: &Image, link: &Link, scope: Scope) -> Ip {
    let Some(inet6) = link.inet6.filter(|inet6| !inet6.disabled) else {
        return Ip::new(false);
    };
    let (addresses, leased) = addresses(image, link, true, scope);
    Ip {
        autoconf: leased.then_some(true),
        address: Some(addresses),
        addr_gen_mode: inet6.addr_gen_mode.map(addr_gen_mode),
        token: inet6.token.map(|token| token.to_string()),
        ..Ip::new(true)
    }
}

/// `enum in6_addr_gen_mode`, linux/if_link.h.
fn addr_gen_mode(mode: u8) -> AddrGenMode {
    match mode {
        0 => AddrGenMode::Eui64,
        1 => AddrGenMode::Other("none".to_owned()),
        _ => AddrGenMode::StablePrivacy,
    }
}

/// Returns the addresses of a family, and whether one of them has a limited lifetime.
fn addresses(image: &Image, link: &Link, is_v6: bool, scope: Scope) -> (Vec<Address>, bool) {
    let all = image.addresses_of(link.index).iter().filter(|address| address.ip.is_ipv6() == is_v6);
    let leased = all.clone().any(|address| !address.is_permanent());
    let shown = all.filter(|address| scope == Scope::Everything || address.is_permanent());
    (shown.map(address).collect(), leased)
}

fn address(address: &mirror::Address) -> Address {
    let life_time = |seconds: u32| (seconds != FOREVER).then(|| format!("{seconds}sec"));
    Address {
        valid_life_time: life_time(address.valid_s),
        preferred_life_time: life_time(address.preferred_s),
        protocol: (address.protocol != 0).then_some(AddressProtocol(address.protocol)),
        ..Address::new(address.ip, address.prefix)
    }
}
