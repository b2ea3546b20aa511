//! What verification shall find: what was asked, in the words of what is shown (semantics C4).

use std::collections::BTreeMap;

use super::lineage::is_gone;
use super::merge::is_static;
use super::{Capabilities, Merged, Reason, family};
use crate::state::{Interface, InterfaceType, Ip, Path};

/// The interfaces to verify, in order of keys, and where all that are asked for stand in the document.
pub fn expected(
    merged: &Merged,
    capabilities: &Capabilities,
) -> (Vec<Interface>, BTreeMap<(String, InterfaceType), Path>) {
    let mut interfaces = Vec::new();
    let mut origins = BTreeMap::new();
    for member in merged.members.values() {
        let (Some(desired), false) = (&member.desired, member.ignored) else { continue };
        if matches!(member.reason, Some(Reason::ControllerOf(_))) {
            continue; // nothing was asked of it
        }
        if member.current.is_none() && is_gone(member, capabilities) {
            if member.position.is_some() {
                origins.insert((desired.name.clone(), desired.kind().clone()), member.path());
            }
            continue;
        }
        let mut own = desired.clone();
        own.copy_mac_from = None;
        if let Some(target) = &member.target {
            own.kind.clone_from(&target.kind);
            if own.mac_address != target.mac_address {
                own.mac_address = None; // it was ignored, with a warning
            }
            if target.mtu.is_none() {
                own.mtu = None;
            }
            if let (Some(own), Some(target)) = (&mut own.vrf, &target.vrf) {
                own.route_table_id = target.route_table_id;
            }
            own.ipv4 = expected_ip(desired, target, member.current.as_ref(), false);
            own.ipv6 = expected_ip(desired, target, member.current.as_ref(), true);
        }
        if member.position.is_some() {
            origins.insert((own.name.clone(), own.kind().clone()), member.path());
        }
        interfaces.push(own);
    }
    (interfaces, origins)
}

/// The keys that the document mentions, with the values they got; and the addresses, also where
/// leased ones became static.
fn expected_ip(
    desired: &Interface,
    target: &Interface,
    current: Option<&Interface>,
    v6: bool,
) -> Option<Box<Ip>> {
    let asked = family(Some(desired), v6)?;
    let target = family(Some(target), v6)?;
    let was_auto = family(current, v6).is_some_and(Ip::is_auto);
    let becomes_static = was_auto && target.is_enabled() && !target.is_auto();
    let mut own = target.clone();
    macro_rules! mentioned {
        ($($key:ident),*) => { $(
            if asked.$key.is_none() {
                own.$key = None;
            }
        )* };
    }
    mentioned!(
        dhcp,
        autoconf,
        dhcp_client_id,
        dhcp_duid,
        auto_dns,
        auto_gateway,
        auto_routes,
        auto_route_table_id,
        auto_route_metric,
        addr_gen_mode,
        token,
        dhcp_send_hostname,
        dhcp_custom_hostname,
        forwarding,
        prefix_route_metric
    );
    own.allow_extra_address = asked.allow_extra_address.filter(|_| own.is_enabled());
    match &mut own.address {
        Some(addresses) if asked.address.is_some() || becomes_static => addresses.retain(is_static),
        address => *address = None,
    }
    Some(Box::new(own))
}
