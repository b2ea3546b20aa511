//! Which profile holds a policy rule (semantics U20, U21).

use std::collections::BTreeMap;

use super::Lowering;
use crate::backend::kernel::op::Op;
use crate::backend::kernel::routes::RuleSpec;
use crate::backend::nm::work::{Layer, Which};
use crate::nm::settings::rules_of;
use crate::plan::routes::table_of;
use crate::plan::rules::matches;
use crate::plan::{Action, Change, family};
use crate::state::{Interface, InterfaceType, Ip, RouteRule, Segment};

const MAIN_TABLE: u32 = 254;

impl Lowering<'_> {
    pub(super) fn rules(&mut self) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for change in &self.plan.changes {
            match change {
                Change::Rule(change) if change.action == Action::Remove => removed.push(&change.rule),
                Change::Rule(change) => added.push(&change.rule),
                _ => {}
            }
        }
        if removed.is_empty() && added.is_empty() {
            return;
        }
        let mut lists = self.stored_rules();
        let patterns: Vec<&RouteRule> =
            self.plan.expected.config_rules().iter().filter(|rule| rule.is_absent()).collect();
        let before = lists.clone();
        for list in lists.values_mut() {
            list.retain(|rule| {
                let is_removed = removed.iter().any(|removed| RuleSpec::of(removed) == RuleSpec::of(rule));
                !is_removed && !patterns.iter().any(|pattern| matches(pattern, rule))
            });
        }
        // What no profile has was set by others, and only the kernel can be told.
        let is_stored = |rule: &RouteRule| {
            before.values().flatten().any(|stored| RuleSpec::of(stored) == RuleSpec::of(rule))
        };
        let foreign = removed.iter().filter(|rule| !is_stored(rule));
        self.ops.extend(foreign.map(|rule| Op::RemoveRule(RuleSpec::of(rule))));
        let mut holders: Vec<Which> = Vec::new();
        for rule in added {
            match self.holder(rule) {
                Some(which) => {
                    lists.entry(which.clone()).or_default().push(rule.clone());
                    holders.push(which);
                }
                None => self.ops.push(Op::AddRule(RuleSpec::of(rule))),
            }
        }
        for (which, list) in lists {
            if before.get(&which) == Some(&list) {
                continue;
            }
            let holds = holders.contains(&which);
            if let Some(target) = self.target(&which) {
                target.rules = Some(list);
                target.needs_profile |= holds;
            }
        }
    }

    /// The rules of all profiles that speak for an interface that is there, or comes.
    fn stored_rules(&self) -> BTreeMap<Which, Vec<RouteRule>> {
        let stored = self.profiles.all().filter_map(|(which, _)| {
            let current = self.profiles.current(which, &InterfaceType::Unknown)?;
            let rules = rules_of(&current.stored.profile);
            (!rules.is_empty() && self.then(which).is_some()).then(|| (which.clone(), rules))
        });
        stored.collect()
    }

    /// The interface whose profile gets a new rule. None: no profile can hold it.
    fn holder(&self, rule: &RouteRule) -> Option<Which> {
        let spec = RuleSpec::of(rule);
        if let Some(name) = &rule.iif {
            let which = Which::kernel(name);
            return self.may_hold(&which, spec.is_v6).then_some(which);
        }
        let table = spec.table.unwrap_or(MAIN_TABLE);
        let uses_table = |then: &Interface| {
            let auto = family(Some(then), spec.is_v6).filter(|ip| ip.is_auto());
            let own = |ip: &Ip| ip.auto_route_table_id.filter(|table| *table != 0).unwrap_or(MAIN_TABLE);
            auto.is_some_and(|ip| own(ip) == table)
        };
        let holds = |which: &Which| self.may_hold(which, spec.is_v6);
        let by_routes = self.targets.iter().filter(|(_, target)| {
            let routes = target.routes.iter().flatten();
            let mut routes = routes.filter(|route| {
                route.route_type.is_none() && route.destination.is_some_and(|net| net.is_v6() == spec.is_v6)
            });
            routes.any(|route| table_of(route) == table)
        });
        let by_routes = by_routes.map(|(which, _)| which).find(|which| holds(which));
        let by_table = || {
            let mut targets = self.targets.iter();
            let found = targets.find(|(which, target)| target.then.is_some_and(uses_table) && holds(which));
            found.map(|(which, _)| which)
        };
        let desired = || self.in_document_order().into_iter().find(|which| holds(which));
        let loopback = Which::kernel("lo");
        by_routes.or_else(by_table).cloned().or_else(desired).or_else(|| holds(&loopback).then_some(loopback))
    }

    /// Whether the profile of that interface can hold rules: it is up, and its family on. The loopback
    /// has profiles since 1.42.
    fn may_hold(&self, which: &Which, is_v6: bool) -> bool {
        let Some(then) = self.then(which).filter(|then| then.is_up()) else { return false };
        if *then.kind() == InterfaceType::Loopback {
            return self.image.version.at_least(1, 42);
        }
        which.layer == Layer::Kernel && family(Some(then), is_v6).is_some_and(Ip::is_enabled)
    }

    /// The interfaces that the document mentions.
    pub(super) fn in_document_order(&self) -> Vec<Which> {
        let mut mentioned: Vec<(usize, Which)> = self
            .plan
            .origins
            .iter()
            .filter_map(|((name, kind), path)| {
                let position = path.segments().iter().find_map(|segment| match segment {
                    Segment::Index(position) => Some(*position),
                    Segment::Key(_) => None,
                })?;
                Some((position, Which::new(name, kind)))
            })
            .collect();
        mentioned.sort();
        let loopback = |which: &Which| self.then(which).is_some_and(super::routes::is_loopback);
        mentioned.into_iter().map(|(_, which)| which).filter(|which| !loopback(which)).collect()
    }
}
