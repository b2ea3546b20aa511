//! What a kernel alone cannot do: refused while planning, with the key. Pure.

use serde_json::Value as Json;

use super::files::ResolverOwner;
use super::links::Link;
use super::probe::Kinds;
use crate::kernel::netlink::kinds::Data;
use crate::plan::{Action, Change, InterfaceChange, Plan};
use crate::state::{ErrorKind, InterfaceType, Path, Problem, asks_nothing};

/// When a new value asks for what is refused.
enum Asks {
    /// It is set to something: not off, zero or empty.
    Something,
    /// It is off.
    Off,
    /// It is another word, or another number.
    OtherThan(&'static str),
}

/// Keys the kernel has no place for, each with the reason.
const REFUSALS: [(&str, Asks, &str); 22] = [
    ("description", Asks::Something, "the kernel keeps no description"),
    ("wait-ip", Asks::OtherThan("any"), "nothing here waits for addresses"),
    ("ipv4.dhcp", Asks::Something, NO_DHCP),
    ("ipv6.dhcp", Asks::Something, NO_DHCP),
    (
        "ipv6.auto-route-table-id",
        Asks::OtherThan("254"),
        "the kernel puts advertised routes into its main table",
    ),
    ("ipv6.auto-route-metric", Asks::OtherThan("-1"), "the kernel chooses the metric of advertised routes"),
    ("ipv6.auto-gateway", Asks::Off, WITH_ADVERTISED),
    ("ipv6.auto-routes", Asks::Off, WITH_ADVERTISED),
    ("ipv6.addr-gen-mode", Asks::OtherThan("eui64"), "the kernel keeps no secret for it over a reboot"),
    ("mptcp", Asks::Something, "MPTCP endpoints are not implemented for the kernel backend"),
    ("ovs-db", Asks::Something, "Open vSwitch settings need its database"),
    ("802.1x", Asks::Something, "802.1X needs a supplicant, and the kernel backend runs none"),
    ("lldp.enabled", Asks::Something, "LLDP needs a listener, and the kernel backend runs none"),
    ("dispatch", Asks::Something, "scripts need a dispatcher, and the kernel backend runs none"),
    ("ethernet.sr-iov", Asks::Something, "virtual functions are not implemented for the kernel backend"),
    ("link-aggregation.options.balance_slb", Asks::Something, "source load balancing is done in user space"),
    ("patch", Asks::Something, "a patch port needs Open vSwitch"),
    ("dpdk", Asks::Something, "a DPDK port needs Open vSwitch"),
    ("macsec.mka-cak", Asks::Something, NO_MKA),
    ("macsec.mka-ckn", Asks::Something, NO_MKA),
    ("infiniband", Asks::Something, "InfiniBand is not implemented for the kernel backend"),
    ("libreswan", Asks::Something, "IPsec needs a key exchange daemon"),
];

const NO_DHCP: &str = "DHCP needs a client, and the kernel backend runs none";
const NO_MKA: &str = "keys need a MACsec key agreement daemon, and the kernel backend runs none";
const WITH_ADVERTISED: &str = "the kernel takes routes together with advertised addresses";

impl Asks {
    fn applies(&self, value: &Json) -> bool {
        let is_set = !asks_nothing(value);
        match self {
            Self::Something => is_set,
            Self::Off => *value == Json::Bool(false),
            Self::OtherThan(word) => is_set && value.to_string().trim_matches('"') != *word,
        }
    }
}

/// Everything in the plan that cannot be done here.
pub(super) fn refuse(plan: &Plan, kinds: &Kinds, resolver: &ResolverOwner) -> Vec<Problem> {
    let mut problems = Vec::new();
    for change in &plan.changes {
        match change {
            Change::Interface(change) => interface(plan, change, kinds, &mut problems),
            Change::Dns(_) => {
                let because = match resolver {
                    ResolverOwner::Nobody => continue,
                    ResolverOwner::LinksTo(target) => format!("it is a link to {}", target.display()),
                    ResolverOwner::Generated(owner) => format!("{owner} writes it"),
                };
                let message = format!("/etc/resolv.conf is not ours to write: {because}");
                problems.push(unsupported(Path::root().key("dns-resolver").key("config"), message));
            }
            Change::Route(_) | Change::Rule(_) | Change::Hostname(_) | Change::Network(_) => {}
            // Below: what is asked for is refused, also where it would change nothing that is seen here.
            Change::OvsDb(_) | Change::Ovn(_) => {}
        }
    }
    problems.extend(database(plan, "Open vSwitch settings need its database"));
    problems
}

/// What is asked of Open vSwitch's database, where nobody speaks to it.
pub(in crate::backend) fn database(plan: &Plan, why: &str) -> Vec<Problem> {
    // An empty `ovs-db` empties Open vSwitch's settings; an `ovn` without mappings, as a query prints
    // it where there are none, asks for nothing.
    let mappings = plan.expected.ovn.as_ref().and_then(|ovn| ovn.bridge_mappings.as_ref());
    let asks_ovn = mappings.is_some_and(|mappings| !mappings.is_empty());
    let asked = [("ovs-db", plan.expected.ovs_db.is_some()), ("ovn", asks_ovn)];
    let asked = asked.into_iter().filter(|(_, is_asked)| *is_asked);
    asked.map(|(key, _)| unsupported(Path::root().key(key), why)).collect()
}

fn unsupported(path: Path, message: impl Into<String>) -> Problem {
    Problem::new(ErrorKind::NotSupportedError, path, message)
}

fn interface(plan: &Plan, change: &InterfaceChange, kinds: &Kinds, problems: &mut Vec<Problem>) {
    let origin = plan.origins.get(&(change.name.clone(), change.kind.clone()));
    let path = origin.cloned().unwrap_or_else(|| Path::root().key("interfaces"));
    // The kernel deletes no port of Open vSwitch (`internal_dev_setup` gives it no way).
    if change.kind == InterfaceType::OvsInterface && (change.after.is_none() || change.rebuild) {
        problems.push(unsupported(path, "only Open vSwitch can remove its interfaces"));
        return;
    }
    let Some(after) = change.after.as_ref().filter(|_| change.action != Action::Remove) else { return };
    let made = (change.action == Action::Add || change.rebuild) && after.is_up();
    if made && let Some(because) = cannot_make(change, kinds) {
        // Semantics V43.
        let needs_ovs = matches!(change.kind, InterfaceType::OvsBridge | InterfaceType::OvsInterface);
        let kind = if needs_ovs { ErrorKind::DependencyError } else { ErrorKind::NotSupportedError };
        problems.push(Problem::new(kind, path.key("type"), because));
        return;
    }
    for field in &change.fields {
        let name = field.path.to_string();
        let is_below = |key: &str| {
            name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let value = field.after.as_ref().unwrap_or(&Json::Null);
        let refused = REFUSALS.iter().find(|(key, asks, _)| is_below(key) && asks.applies(value));
        if let Some((_, _, because)) = refused {
            problems.push(unsupported(path.keys(&name), *because));
        }
    }
    if let Some(Link { data: Data::Bridge(bridge), .. }) = Link::of(after)
        && bridge.vlan_filtering == Some(true)
        && !kinds.vlan_filtering
    {
        let path = path.key("bridge").key("port");
        problems.push(unsupported(path, "bridges of this kernel cannot filter VLANs"));
    }
}

/// Why an interface of this type cannot be made here.
fn cannot_make(change: &InterfaceChange, kinds: &Kinds) -> Option<String> {
    let after = change.after.as_ref()?;
    match Link::of(after) {
        Some(link) if kinds.kinds.contains(link.data.kind()) => None,
        Some(link) => Some(format!("this kernel has no links of kind `{}`", link.data.kind())),
        // The other end makes it.
        None if matches!(change.kind, InterfaceType::Ethernet | InterfaceType::Veth) => None,
        None => Some(format!("the kernel backend cannot make interfaces of type `{}`", change.kind)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Capabilities, Options, plan};
    use crate::state::{Document, State};

    fn state(yaml: &str) -> State {
        Document::from_text(yaml).expect("YAML").state().expect("a valid state").0
    }

    /// What is refused of a document on a host with a port of Open vSwitch.
    fn refused(desired: &str) -> Vec<String> {
        let capabilities = Capabilities {
            backend: "kernel",
            interface_types: [].into(),
            vlan_filtering: true,
            volatile_until_commit: true,
            profiles: false,
            names: false,
            persists: false,
            ..Capabilities::default()
        };
        let now = state(
            "interfaces: [{name: tap0, type: ovs-interface, state: up}, {name: eth1, type: ethernet, state: up}]",
        );
        let plan = plan(&state(desired), &now, &capabilities, &Options::default()).expect("a plan");
        let problems = refuse(&plan, &Kinds::default(), &ResolverOwner::Nobody);
        for problem in &problems {
            let lacks_ovs = problem.message.contains("cannot make interfaces of type `ovs-");
            let kind = if lacks_ovs { ErrorKind::DependencyError } else { ErrorKind::NotSupportedError };
            assert_eq!(problem.kind, kind, "{problem}");
        }
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn open_vswitch_is_not_ours() {
        const NEEDS: &str = "Open vSwitch settings need its database";
        assert_eq!(refused("ovs-db: {}"), [format!("ovs-db: {NEEDS}")]);
        assert_eq!(refused("ovs-db: {external_ids: {a: 1}}"), [format!("ovs-db: {NEEDS}")]);
        assert_eq!(
            refused("ovn: {bridge-mappings: [{localnet: a, state: absent}]}"),
            [format!("ovn: {NEEDS}")]
        );
        assert_eq!(refused("ovn: {}"), [""; 0]);
        assert_eq!(
            refused(
                "interfaces: [{name: br0, type: ovs-bridge, bridge: {port: [{name: eth1}, {name: tap1}]}},
                    {name: eth1, type: ethernet, ovs-db: {external_ids: {a: 1}}}]"
            ),
            [
                "interfaces[0].type: the kernel backend cannot make interfaces of type `ovs-bridge`",
                "interfaces[1].ovs-db.external_ids.a: Open vSwitch settings need its database",
                "interfaces.type: the kernel backend cannot make interfaces of type `ovs-interface`",
            ]
        );
        assert_eq!(
            refused("interfaces: [{name: tap0, type: ovs-interface, state: absent}]"),
            ["interfaces[0]: only Open vSwitch can remove its interfaces"]
        );
        assert_eq!(refused("interfaces: [{name: tap0, type: ovs-interface, mtu: 1400}]"), [""; 0]);
    }
}
