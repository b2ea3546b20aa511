//! The sections beside the interfaces, together.

use super::report::Report;
use super::{Action, Change, Merge, Merged, dns, hostname, native, ovs, routes, rules, text};
use crate::state::{Problem, Routes, State};

/// What has to change beside the interfaces, and what verification expects there. Problems go to
/// the report; what is returned with them is not complete.
pub(super) fn merge(
    desired: &State,
    current: &State,
    merged: &Merged,
    report: &mut Report,
) -> (Vec<Change>, State) {
    let mut changes = Vec::new();
    let mut expected = State::empty();
    if let Some(merge) = settle(routes::merge(desired, current, merged), report) {
        changes.extend(merge.changes.into_iter().map(Change::Route));
        expected.routes = merge.expected;
    }
    if let Some(merge) = settle(rules::merge(desired, current, merged), report) {
        changes.extend(merge.changes.into_iter().map(Change::Rule));
        expected.route_rules = merge.expected;
    }
    if let Some(merge) = settle(dns::merge(desired, current, merged), report) {
        changes.extend(merge.changes.into_iter().map(Change::Dns));
        expected.dns_resolver = merge.expected;
    }
    if let Some(merge) = settle(hostname::merge(desired, current), report) {
        changes.extend(merge.changes.into_iter().map(Change::Hostname));
        expected.hostname = merge.expected;
    }
    if let Some(merge) = settle(ovs::merge(desired, current), report) {
        changes.extend(merge.changes.into_iter().map(Change::OvsDb));
        expected.ovs_db = merge.expected;
    }
    if let Some(merge) = settle(ovs::merge_mappings(desired, current, merged), report) {
        changes.extend(merge.changes.into_iter().map(Change::Ovn));
        expected.ovn = merge.expected;
    }
    let merge = native::merge(desired, current);
    changes.extend(merge.changes.into_iter().map(|change| Change::Network(Box::new(change))));
    expected.network = merge.expected;
    (changes, expected)
}

/// What leads from the sections beside the interfaces as they are to those of an earlier state.
/// A route through an interface that cannot be made again is not added, only expected, so that
/// verification reports it.
pub(super) fn restore(
    before: &State,
    current: &State,
    merged: &Merged,
    report: &mut Report,
) -> (Vec<Change>, State) {
    let mut routes = routes::restore(current, before);
    routes.retain(|change| {
        let name = change.route.next_hop_interface.as_deref().filter(|_| change.route.route_type.is_none());
        let is_there = |name| merged.kernel(name).is_some_and(|member| member.target.is_some());
        let possible = change.action == Action::Remove || name.is_none_or(is_there);
        if !possible {
            report
                .warnings
                .push(format!("{} cannot be set: its interface is gone", text::route(&change.route)));
        }
        possible
    });
    let routes = routes.into_iter().map(Change::Route);
    let rules = rules::restore(current, before).into_iter().map(Change::Rule);
    let dns = dns::restore(current, before).into_iter().map(Change::Dns);
    let hostname = hostname::restore(current, before).into_iter().map(Change::Hostname);
    let expected = State {
        routes: before.routes.clone().map(|routes| Routes { running: None, ..routes }),
        route_rules: before.route_rules.clone(),
        dns_resolver: before.dns_resolver.clone(),
        hostname: before.hostname.clone(),
        ovs_db: before.ovs_db.clone(),
        ovn: before.ovn.clone(),
        network: before.network.clone(),
        ..State::empty()
    };
    let ovs_db = ovs::restore(current, before).into_iter().map(Change::OvsDb);
    let mappings = ovs::restore_mappings(current, before).into_iter().map(Change::Ovn);
    let network = native::restore(current, before).map(|change| Change::Network(Box::new(change)));
    let changes = routes.chain(rules).chain(dns).chain(hostname).chain(ovs_db).chain(mappings).chain(network);
    (changes.collect(), expected)
}

fn settle<C, E>(merge: Result<Merge<C, E>, Vec<Problem>>, report: &mut Report) -> Option<Merge<C, E>> {
    merge.map_err(|problems| report.problems.extend(problems)).ok()
}
