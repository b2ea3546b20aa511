//! Routes: additive, with patterns to remove (semantics R).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::{Action, Member, Merge, Merged, NameMatch, Reason, RouteChange, family};
use crate::state::{
    ErrorKind, InterfaceState, Ip, Net, Path, Problem, Route, RouteState, RouteType, Routes, Shared, State,
};

/// `RT_TABLE_MAIN` of linux/rtnetlink.h.
pub const MAIN_TABLE: u32 = 254;

/// `IP6_RT_PRIO_USER` of the kernel's net/ipv6_route.h: what an IPv6 route gets that names no metric.
const DEFAULT_METRIC_V6: i64 = 1024;

/// Highest weight of a next hop: `rtnh_hops` is one byte, counted from 0 (linux/rtnetlink.h).
const WEIGHT_MAX: u16 = 256;

/// What has to change about routes: what the document asks for, and routes whose interface goes
/// or loses the address family.
pub fn merge(
    desired: &State,
    current: &State,
    merged: &Merged,
) -> Result<Merge<RouteChange, Routes>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for (i, route) in desired.config_routes().iter().enumerate() {
        let path = Path::root().key("routes").key("config").index(i);
        match complete(route, &path, merged) {
            Ok(route) => wanted.push((path, route)),
            Err(found) => problems.extend(found),
        }
    }
    problems.extend(conflicts(&wanted));
    if !problems.is_empty() {
        return Err(problems);
    }

    let expected = desired.routes.as_ref().and_then(|routes| routes.config.as_ref());
    let expect = |config| expected.map(|_| Routes { running: None, config: Some(config) });
    let losing = losing(merged);
    if wanted.is_empty() && losing.is_empty() {
        // Most documents have nothing to do with the hundred thousand routes that may be there.
        return Ok(Merge { changes: Vec::new(), expected: expect(Shared::default()) });
    }
    let now: Vec<&Route> = current.config_routes().iter().filter(|route| !is_ignored(route)).collect();
    let index = Index::new(now.iter().copied());
    let mut fates: Vec<Option<Reason>> = now.iter().map(|route| lost(route, &losing)).collect();
    for (_, pattern) in wanted.iter().filter(|(_, route)| route.is_absent()) {
        for i in index.matching(pattern) {
            fates[i].get_or_insert(Reason::Desired);
        }
    }

    let added = additions(&wanted, &now, &index, &mut fates);
    let removed = now.iter().zip(&fates).filter_map(|(route, fate)| Some((*route, fate.clone()?)));
    let added = added.into_values().map(|route| (route, Reason::Desired));
    let changes = in_order(removed, added);
    let config = wanted.into_iter().map(|(_, route)| route).collect();
    Ok(Merge { changes, expected: expect(config) })
}

/// The desired routes that are not there. What they cannot stand next to is marked as replaced.
fn additions<'w>(
    wanted: &'w [(Path, Route)],
    now: &[&Route],
    index: &Index<'_>,
    fates: &mut [Option<Reason>],
) -> BTreeMap<Identity<'w>, &'w Route> {
    let mut added = BTreeMap::new();
    let mut open: VecDeque<&Route> =
        wanted.iter().map(|(_, route)| route).filter(|route| route.state.is_none()).collect();
    // Which desired routes are satisfied by a present one: they are open again if it is replaced.
    let mut satisfied: BTreeMap<usize, Vec<&Route>> = BTreeMap::new();
    while let Some(route) = open.pop_front() {
        let identity = Identity::of(route);
        let is_there = |i: &usize| match &fates[*i] {
            None => true,
            // Asked for as it is, it outlives a pattern that would remove it.
            Some(Reason::Desired) => Identity::of(now[*i]) == identity,
            Some(_) => false,
        };
        let there: Vec<usize> = index.matching(route).filter(is_there).collect();
        if !there.is_empty() {
            for i in there {
                fates[i] = None;
                satisfied.entry(i).or_default().push(route);
            }
            continue;
        }
        for i in index.of_destination(identity.key.destination) {
            let other = Identity::of(now[i]);
            if fates[i].is_none() && other.key == identity.key && other.excludes(&identity) {
                fates[i] = Some(Reason::Replaced);
                open.extend(satisfied.remove(&i).unwrap_or_default());
            }
        }
        added.insert(identity, route);
    }
    added
}

/// The changes that lead from the routes of one state to those of an earlier one.
pub fn restore(current: &State, before: &State) -> Vec<RouteChange> {
    if current.shares_routes_with(before) {
        return Vec::new();
    }
    let identities = |state| -> BTreeMap<Identity<'_>, &Route> { by_identity(state).collect() };
    let (now, then) = (identities(current), identities(before));
    let removed = now.iter().filter(|(identity, _)| !then.contains_key(identity));
    let removed = removed.map(|(_, route)| (*route, Reason::NotThereBefore));
    let added = then.iter().filter(|(identity, _)| !now.contains_key(identity));
    let added = added.map(|(_, route)| (*route, Reason::Restored));
    in_order(removed, added)
}

/// The configured routes of a state that somebody may touch.
fn by_identity(state: &State) -> impl Iterator<Item = (Identity<'_>, &Route)> {
    state.config_routes().iter().filter(|route| !is_ignored(route)).map(|route| (Identity::of(route), route))
}

fn is_ignored(route: &Route) -> bool {
    route.state == Some(RouteState::Ignore)
}

/// Whether a configured route is as a pattern says: what the pattern names must be equal (R20).
/// The metric is left to [`same_metric`].
pub fn matches(pattern: &Route, route: &Route) -> bool {
    fn equal<T: PartialEq>(pattern: &Option<T>, value: &Option<T>) -> bool {
        pattern.is_none() || pattern == value
    }
    let Route {
        state: _,
        destination,
        next_hop_interface,
        next_hop_address,
        metric: _,
        table_id,
        weight,
        route_type,
        cwnd,
        source,
        initcwnd,
        initrwnd,
        mtu,
        quickack,
        advmss,
        lock_mtu,
        // Stands for its table.
        vrf_name: _,
    } = pattern;
    equal(destination, &route.destination)
        && (route_type.is_some() || equal(next_hop_interface, &route.next_hop_interface))
        && next_hop_address.is_none_or(|address| gateway(Some(address)) == gateway(route.next_hop_address))
        && table_id.is_none_or(|table| table == 0 || table == table_of(route))
        && weight.is_none_or(|weight| weight == weight_of(route))
        && equal(route_type, &route.route_type)
        && equal(cwnd, &route.cwnd)
        && equal(source, &route.source)
        && equal(initcwnd, &route.initcwnd)
        && equal(initrwnd, &route.initrwnd)
        && equal(mtu, &route.mtu)
        && quickack.is_none_or(|quickack| quickack == route.quickack.unwrap_or(false))
        && equal(advmss, &route.advmss)
        && lock_mtu.is_none_or(|lock| lock == route.lock_mtu.unwrap_or(false))
}

/// Whether a desired route that names a metric finds it there. A pattern to remove never asks.
pub fn same_metric(wanted: &Route, route: &Route) -> bool {
    wanted.is_absent() || named_metric(wanted).is_none() || metric_of(wanted) == metric_of(route)
}

/// The metric that a document names; -1 leaves it to the backend.
fn named_metric(route: &Route) -> Option<i64> {
    route.metric.filter(|metric| *metric >= 0)
}

/// The metric that a route has in the kernel (R11).
pub fn metric_of(route: &Route) -> i64 {
    match named_metric(route) {
        None | Some(0) if is_v6(route) => DEFAULT_METRIC_V6,
        metric => metric.unwrap_or(0),
    }
}

/// The table that a route is in.
pub fn table_of(route: &Route) -> u32 {
    route.table_id.filter(|table| *table != 0).unwrap_or(MAIN_TABLE)
}

fn weight_of(route: &Route) -> u16 {
    route.weight.unwrap_or(1)
}

/// `0.0.0.0` and `::` say that there is none.
fn gateway(address: Option<IpAddr>) -> Option<IpAddr> {
    address.filter(|address| !address.is_unspecified())
}

fn is_v6(route: &Route) -> bool {
    route.destination.is_some_and(|destination| destination.is_v6())
}

/// What makes a route one route in the kernel: next hops below one key belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    pub destination: Net,
    pub table: u32,
    pub metric: i64,
}

impl RouteKey {
    pub fn of(route: &Route) -> Self {
        let destination = route.destination.unwrap_or(Net::default_route(false));
        Self { destination, table: table_of(route), metric: metric_of(route) }
    }
}

/// Everything about a route, with defaults filled in: equal ones are the same route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity<'r> {
    /// Routes to gateways come behind the links that lead to the gateways.
    has_gateway: bool,
    key: RouteKey,
    leads_nowhere: Option<RouteType>,
    next_hop: (Option<&'r str>, Option<IpAddr>),
    settings: Settings,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Settings {
    weight: u16,
    cwnd: Option<u32>,
    source: Option<IpAddr>,
    initcwnd: Option<u32>,
    initrwnd: Option<u32>,
    mtu: Option<u32>,
    quickack: bool,
    advmss: Option<u32>,
    lock_mtu: bool,
}

impl<'r> Identity<'r> {
    pub(super) fn of(route: &'r Route) -> Self {
        let Route {
            state: _,
            destination: _,
            next_hop_interface,
            next_hop_address,
            metric: _,
            table_id: _,
            weight: _,
            route_type,
            cwnd,
            source,
            initcwnd,
            initrwnd,
            mtu,
            quickack,
            advmss,
            lock_mtu,
            vrf_name: _,
        } = route;
        let gateway = gateway(*next_hop_address);
        // Where a route leads nowhere, the kernel shows `lo` for IPv6 and nothing for IPv4.
        let interface = next_hop_interface.as_deref().filter(|_| route_type.is_none());
        Self {
            has_gateway: gateway.is_some(),
            key: RouteKey::of(route),
            leads_nowhere: *route_type,
            next_hop: (interface, gateway),
            settings: Settings {
                weight: weight_of(route),
                cwnd: *cwnd,
                source: *source,
                initcwnd: *initcwnd,
                initrwnd: *initrwnd,
                mtu: *mtu,
                quickack: quickack.unwrap_or(false),
                advmss: *advmss,
                lock_mtu: lock_mtu.unwrap_or(false),
            },
        }
    }

    /// Whether both cannot be below one key: one leads nowhere, or both are the same next hop
    /// with different settings.
    fn excludes(&self, other: &Self) -> bool {
        self.leads_nowhere.is_some() || other.leads_nowhere.is_some() || self.next_hop == other.next_hop
    }
}

/// Routes found by destination or interface, so that a hundred thousand of them are not compared
/// with every entry of a document.
pub(crate) struct Index<'r> {
    routes: Vec<&'r Route>,
    by_destination: Vec<(Option<Net>, usize)>,
    by_interface: Vec<(Option<&'r str>, usize)>,
}

impl<'r> Index<'r> {
    pub(crate) fn new(routes: impl Iterator<Item = &'r Route>) -> Self {
        let routes: Vec<&Route> = routes.collect();
        let enumerated = || routes.iter().enumerate();
        let mut by_destination: Vec<_> = enumerated().map(|(i, route)| (route.destination, i)).collect();
        let mut by_interface: Vec<_> =
            enumerated().map(|(i, route)| (route.next_hop_interface.as_deref(), i)).collect();
        by_destination.sort_unstable();
        by_interface.sort_unstable();
        Self { routes, by_destination, by_interface }
    }

    /// The positions of the routes to that destination.
    fn of_destination(&self, destination: Net) -> impl Iterator<Item = usize> {
        range(&self.by_destination, &Some(destination)).iter().map(|(_, i)| *i)
    }

    /// The routes to the same destination.
    pub(crate) fn to_destination_of(&self, route: &Route) -> impl Iterator<Item = &'r Route> {
        range(&self.by_destination, &route.destination).iter().map(|(_, i)| self.routes[*i])
    }

    /// The positions of the routes that match, by [`matches`] and [`same_metric`].
    pub(crate) fn matching(&self, pattern: &Route) -> impl Iterator<Item = usize> {
        let candidates: Vec<usize> = match (pattern.destination, pattern.next_hop_interface.as_deref()) {
            (Some(destination), _) => self.of_destination(destination).collect(),
            (None, Some(name)) if pattern.route_type.is_none() => {
                range(&self.by_interface, &Some(name)).iter().map(|(_, i)| *i).collect()
            }
            (None, _) => (0..self.routes.len()).collect(),
        };
        let is_match = |i: &usize| {
            let route = self.routes[*i];
            matches(pattern, route) && same_metric(pattern, route)
        };
        candidates.into_iter().filter(is_match).collect::<Vec<_>>().into_iter()
    }
}

/// The entries of a sorted list with that key.
fn range<'l, K: Ord>(list: &'l [(K, usize)], key: &K) -> &'l [(K, usize)] {
    let start = list.partition_point(|(other, _)| other < key);
    let len = list[start..].partition_point(|(other, _)| other == key);
    &list[start..start + len]
}

/// In the order of execution: what comes, links before the gateways behind them; then what goes,
/// the other way round.
fn in_order<'r>(
    removed: impl Iterator<Item = (&'r Route, Reason)>,
    added: impl Iterator<Item = (&'r Route, Reason)>,
) -> Vec<RouteChange> {
    let change = |action| {
        move |(route, reason): (&Route, Reason)| RouteChange {
            action,
            reason,
            route: Route { state: None, ..route.clone() },
        }
    };
    let mut added: Vec<_> = added.collect();
    let mut removed: Vec<_> = removed.collect();
    added.sort_by(|(a, _), (b, _)| Identity::of(a).cmp(&Identity::of(b)));
    removed.sort_by(|(a, _), (b, _)| Identity::of(b).cmp(&Identity::of(a)));
    let added = added.into_iter().map(change(Action::Add));
    added.chain(removed.into_iter().map(change(Action::Remove))).collect()
}

/// The interfaces that go, or lose an address family (true: IPv6), and their routes with them (R23).
fn losing(merged: &Merged) -> BTreeSet<(&str, bool)> {
    let loses = |member: &Member, is_v6: bool| {
        let was_up = member.current.as_ref().is_some_and(|current| current.is_up());
        let keeps_family = family(member.target.as_ref(), is_v6).is_some_and(Ip::is_enabled);
        let loses_family = member.had_ip(is_v6) && !keeps_family;
        member.is_removed() || was_up && !member.is_up() || loses_family
    };
    let members = merged.members.iter().filter(|(key, _)| key.userspace.is_none());
    members
        .filter(|(_, member)| !member.ignored && member.reason.is_some())
        .flat_map(|(key, member)| [false, true].map(|is_v6| (key, member, is_v6)))
        .filter(|(_, member, is_v6)| loses(member, *is_v6))
        .map(|(key, _, is_v6)| (key.name.as_str(), is_v6))
        .collect()
}

/// Why a route disappears without being asked to.
fn lost(route: &Route, losing: &BTreeSet<(&str, bool)>) -> Option<Reason> {
    let name = route.next_hop_interface.as_deref().filter(|_| route.route_type.is_none())?;
    losing.contains(&(name, is_v6(route))).then(|| Reason::InterfaceGone(name.to_owned()))
}

/// A desired entry with names resolved and defaults filled in; or what is wrong with it.
fn complete(route: &Route, path: &Path, merged: &Merged) -> Result<Route, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut route = route.clone();
    match route.state {
        Some(RouteState::Ignore) => return Ok(route),
        Some(RouteState::Absent) => {}
        None => check_addition(&route, path, &mut problems),
    }
    check_family(&route, path, &mut problems);
    if let Some(name) = route.next_hop_interface.take() {
        match merged.find(&name) {
            NameMatch::One(kernel) => route.next_hop_interface = Some(kernel.to_owned()),
            NameMatch::None if route.is_absent() => route.next_hop_interface = Some(name),
            NameMatch::None => {
                let text = format!("there is no interface {name}");
                problems.push(Problem::invalid(path.key("next-hop-interface"), text));
            }
            NameMatch::Several(names) => {
                let text = format!("{name} may be any of {}", names.join(", "));
                problems.push(Problem::invalid(path.key("next-hop-interface"), text));
            }
        }
    }
    if let Some(vrf) = &route.vrf_name {
        match (merged.vrf_table(vrf), route.table_id.filter(|table| *table != 0)) {
            (None, _) => {
                let text = format!("there is no VRF {vrf} that is up");
                problems.push(Problem::invalid(path.key("vrf-name"), text));
            }
            (Some(table), Some(other)) if table != other => {
                let text = format!("the table of VRF {vrf} is {table}, not {other}");
                problems.push(Problem::invalid(path.key("table-id"), text));
            }
            (Some(table), _) => route.table_id = Some(table),
        }
    }
    if route.state.is_none() {
        check_interface(&route, path, merged, &mut problems);
        route.table_id = Some(table_of(&route));
        route.next_hop_address = gateway(route.next_hop_address);
        route.metric = named_metric(&route).map(|_| metric_of(&route));
        if route.route_type.is_some() {
            route.next_hop_interface = None;
        }
    }
    if problems.is_empty() { Ok(route) } else { Err(problems) }
}

/// What only a route to be added must have (R2 to R4, R9).
fn check_addition(route: &Route, path: &Path, problems: &mut Vec<Problem>) {
    let mut invalid = |key: &str, text: &str| problems.push(Problem::invalid(path.key(key), text));
    let Some(destination) = route.destination else {
        problems.push(Problem::invalid(path.clone(), "missing key `destination`"));
        return;
    };
    match route.route_type {
        Some(kind) => {
            let nowhere = |what: &str| format!("a {kind} route has no {what}");
            if gateway(route.next_hop_address).is_some() {
                invalid("next-hop-address", &nowhere("next hop"));
            }
            if route.next_hop_interface.as_deref().is_some_and(|name| name != "lo") {
                invalid("next-hop-interface", &nowhere("interface but `lo`"));
            }
        }
        None => {
            // 0.0.0.0/8 is "this network" (RFC 1122, 3.2.1.3).
            if matches!(destination.address(), IpAddr::V4(ip) if ip.octets()[0] == 0)
                && destination.prefix() >= 8
            {
                invalid("destination", "addresses in 0.0.0.0/8 are no destinations");
            }
        }
    }
    match route.weight {
        Some(weight) if !(1..=WEIGHT_MAX).contains(&weight) => invalid("weight", "must be 1 to 256"),
        _ => {}
    }
    for (key, value) in [("cwnd", route.cwnd), ("mtu", route.mtu), ("advmss", route.advmss)] {
        if value == Some(0) {
            invalid(key, "must not be 0");
        }
    }
    if route.metric.is_some_and(|metric| u32::try_from(metric.max(0)).is_err()) {
        invalid("metric", "must be at most 4294967295");
    }
    if route.route_type.is_none() && route.next_hop_interface.is_none() {
        let text = "a route needs `next-hop-interface`, or `route-type` if it leads nowhere";
        problems.push(Problem::new(ErrorKind::NotImplementedError, path.clone(), text));
    }
    if route.weight.is_some() && destination.is_v6() {
        let text = "next hops of IPv6 routes have no weight";
        problems.push(Problem::new(ErrorKind::NotSupportedError, path.key("weight"), text));
    }
}

/// Addresses must be of the destination's family; but an IPv4 route may go through an IPv6
/// gateway (RFC 8950; `RTA_VIA`, rtnetlink(7)).
fn check_family(route: &Route, path: &Path, problems: &mut Vec<Problem>) {
    let Some(destination) = route.destination else { return };
    if route.next_hop_address.is_some_and(|address| destination.is_v6() && address.is_ipv4()) {
        let text = format!("an IPv6 route cannot go through an IPv4 gateway (destination {destination})");
        problems.push(Problem::invalid(path.key("next-hop-address"), text));
    }
    if route.source.is_some_and(|address| address.is_ipv6() != destination.is_v6()) {
        let text = format!("is not of the family of the destination {destination}");
        problems.push(Problem::invalid(path.key("source"), text));
    }
}

/// The interface must be there after the change, with the route's family on (R6, R12).
fn check_interface(route: &Route, path: &Path, merged: &Merged, problems: &mut Vec<Problem>) {
    let Some(name) = route.next_hop_interface.as_deref().filter(|_| route.route_type.is_none()) else {
        return;
    };
    let family_name = if is_v6(route) { "ipv6" } else { "ipv4" };
    // A link without carrier shows as down too, and may have routes all the same.
    let is_asked_down =
        |member: &Member| member.desired.as_ref().is_some_and(|d| d.state() == InterfaceState::Down);
    let has_family =
        |member: &Member| family(member.target.as_ref(), is_v6(route)).is_some_and(Ip::is_enabled);
    let text = match merged.kernel(name) {
        None => format!("there is no interface {name}"),
        Some(member) if member.ignored => format!("interface {name} is ignored"),
        Some(member) if member.is_removed() => format!("interface {name} is removed"),
        Some(member) if is_asked_down(member) => format!("interface {name} is to be down"),
        Some(member) if !has_family(member) => format!("{family_name} is not enabled on interface {name}"),
        Some(_) => return,
    };
    problems.push(Problem::invalid(path.key("next-hop-interface"), text));
}

/// Entries that cannot both be (R10).
fn conflicts(wanted: &[(Path, Route)]) -> Vec<Problem> {
    let mut by_key: BTreeMap<RouteKey, Vec<(usize, Identity<'_>)>> = BTreeMap::new();
    for (i, (_, route)) in wanted.iter().enumerate().filter(|(_, (_, route))| route.state.is_none()) {
        let identity = Identity::of(route);
        by_key.entry(identity.key).or_default().push((i, identity));
    }
    let mut problems = Vec::new();
    for entries in by_key.into_values() {
        // The first entry of each next hop, and the first that leads nowhere, speak for the rest.
        let nowhere = entries.iter().find(|(_, identity)| identity.leads_nowhere.is_some());
        let mut seen: BTreeMap<_, &(usize, Identity<'_>)> = BTreeMap::new();
        let mut reported = BTreeSet::new();
        for entry in &entries {
            let (i, identity) = entry;
            let first = *seen.entry((identity.leads_nowhere, identity.next_hop)).or_insert(entry);
            let other = [Some(first), nowhere]
                .into_iter()
                .flatten()
                .find(|(_, other)| other != identity && other.excludes(identity));
            if let Some((j, _)) = other
                && reported.insert((*i.min(j), *i.max(j)))
            {
                let (first, second) = (&wanted[*i.min(j)].0, &wanted[*i.max(j)].0);
                let text = format!("is the same route as {first}, with other settings");
                problems.push(Problem::invalid(second.clone(), text));
            }
        }
    }
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    problems
}
