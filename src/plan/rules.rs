//! Policy routing rules: additive, with patterns to remove (semantics U).

use std::collections::BTreeMap;

use super::routes::MAIN_TABLE;
use super::{Action, Merge, Merged, Reason, RuleChange};
use crate::state::{
    ErrorKind, Family, Mark, Net, Path, Problem, RouteRule, RouteRules, RuleAction, Selector, State,
};

/// The lowest priority given to a rule that names none (U13). It comes before the kernel's rule for
/// the main table, 32766 (ip-rule(8)).
const PRIORITY_MIN: i64 = 30_000;

/// `FRA_SUPPRESS_PREFIXLEN` is read as a signed number by backends (U6).
const SUPPRESS_MAX: u32 = i32::MAX.unsigned_abs();

/// What has to change about rules. In the expected rules a priority of our choice is left out.
pub fn merge(
    desired: &State,
    current: &State,
    merged: &Merged,
) -> Result<Merge<RuleChange, RouteRules>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    for (i, rule) in desired.config_rules().iter().enumerate() {
        let path = Path::root().key("route-rules").key("config").index(i);
        match complete(rule, &path, merged) {
            Ok(rule) => wanted.push(rule),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }

    let now = current.config_rules();
    let is_pattern = |rule: &&RouteRule| rule.is_absent();
    let mut stays: Vec<bool> =
        now.iter().map(|rule| !wanted.iter().filter(is_pattern).any(|p| matches(p, rule))).collect();
    let mut by_identity: BTreeMap<Identity<'_>, Vec<usize>> = BTreeMap::new();
    for (i, rule) in now.iter().enumerate() {
        by_identity.entry(Identity::of(rule)).or_default().push(i);
    }

    let mut added: Vec<RouteRule> = Vec::new();
    for rule in wanted.iter().filter(|rule| !rule.is_absent() && !is_ignored(rule, merged)) {
        let same = by_identity.get(&Identity::of(rule)).into_iter().flatten();
        let there: Vec<usize> = same.copied().filter(|i| same_priority(rule, &now[*i])).collect();
        // Asked for as it is, a rule outlives a pattern that would remove it.
        there.iter().for_each(|i| stays[*i] = true);
        let again = |other: &RouteRule| {
            Identity::of(other) == Identity::of(rule) && named_priority(other) == named_priority(rule)
        };
        if there.is_empty() && !added.iter().any(again) {
            added.push(rule.clone());
        }
    }

    let remaining = now.iter().zip(&stays).filter(|(_, stays)| **stays).map(|(rule, _)| rule);
    let taken = remaining.chain(&wanted).filter(|rule| !rule.is_absent()).filter_map(named_priority).max();
    let first = taken.map_or(PRIORITY_MIN, |priority| (priority + 1).max(PRIORITY_MIN));
    let unnamed = added.iter_mut().filter(|rule| named_priority(rule).is_none());
    for (rule, priority) in unnamed.zip(first..) {
        if u32::try_from(priority).is_err() {
            let path = Path::root().key("route-rules").key("config");
            let text = format!("no priority is left above {}", priority - 1);
            return Err(vec![Problem::invalid(path, text).with_hint("name a `priority`")]);
        }
        rule.priority = Some(priority);
    }

    let change = |action, rule| RuleChange { action, reason: Reason::Desired, rule };
    let removed = now.iter().zip(&stays).filter(|(_, stays)| !**stays).map(|(rule, _)| rule.clone());
    let changes = added.into_iter().map(|rule| change(Action::Add, rule));
    let changes = changes.chain(removed.map(|rule| change(Action::Remove, rule))).collect();
    let given = desired.route_rules.as_ref().and_then(|rules| rules.config.as_ref());
    let expected = given.map(|_| RouteRules { config: Some(wanted) });
    Ok(Merge { changes, expected })
}

/// The changes that lead from the rules of one state to those of an earlier one.
pub fn restore(current: &State, before: &State) -> Vec<RuleChange> {
    let counted = |state: &'_ State| count(state.config_rules());
    let (now, then) = (counted(current), counted(before));
    let surplus = |a: &Counted, b: &Counted, action, reason: Reason| -> Vec<RuleChange> {
        let more = a.iter().flat_map(|(key, (times, rule))| {
            let other = b.get(key).map_or(0, |(times, _)| *times);
            std::iter::repeat_n(rule.clone(), times.saturating_sub(other))
        });
        more.map(|rule| RuleChange { action, reason: reason.clone(), rule }).collect()
    };
    let mut changes = surplus(&then, &now, Action::Add, Reason::Restored);
    changes.extend(surplus(&now, &then, Action::Remove, Reason::NotThereBefore));
    changes
}

/// Rules that the kernel holds more than once are counted.
type Counted = BTreeMap<(OwnedIdentity, i64), (usize, RouteRule)>;

fn count(rules: &[RouteRule]) -> Counted {
    let mut counted = Counted::new();
    for rule in rules {
        let key = (Identity::of(rule).to_owned(), named_priority(rule).unwrap_or(0));
        counted.entry(key).or_insert_with(|| (0, rule.clone())).0 += 1;
    }
    counted
}

/// Whether a configured rule is as a pattern says (U10).
pub fn matches(pattern: &RouteRule, rule: &RouteRule) -> bool {
    fn equal<T: PartialEq>(pattern: &Option<T>, value: &Option<T>) -> bool {
        pattern.is_none() || pattern == value
    }
    let selects = |pattern: Option<Selector>, value: Option<Selector>| {
        pattern.is_none_or(|selector| selector.net() == value.and_then(Selector::net))
    };
    let RouteRule {
        family,
        state: _,
        ip_from,
        ip_to,
        priority,
        route_table,
        fwmark,
        fwmask,
        action,
        iif,
        suppress_prefix_length,
    } = pattern;
    let other = Identity::of(rule);
    family.is_none_or(|family| rule.family.is_none_or(|other| family == other))
        && selects(*ip_from, rule.ip_from)
        && selects(*ip_to, rule.ip_to)
        && priority.is_none_or(|priority| priority < 0 || priority == rule.priority.unwrap_or(0))
        && route_table.is_none_or(|table| table == 0 || Some(table) == other.table)
        && fwmark.is_none_or(|mark| mark.0 == other.mark.0)
        && fwmask.is_none_or(|mask| mask.0 == other.mark.1)
        && equal(action, &rule.action)
        && equal(iif, &rule.iif)
        && equal(suppress_prefix_length, &rule.suppress_prefix_length)
}

/// Rules found by what they are.
pub(crate) struct Index<'r> {
    by_identity: BTreeMap<Identity<'r>, Vec<&'r RouteRule>>,
}

impl<'r> Index<'r> {
    pub(crate) fn new(rules: impl Iterator<Item = &'r RouteRule>) -> Self {
        let mut by_identity: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for rule in rules {
            by_identity.entry(Identity::of(rule)).or_default().push(rule);
        }
        Self { by_identity }
    }

    /// Whether the desired rule is here. Unlike a pattern it says all there is to a rule, so that
    /// a rule with a narrower selector does not stand in for it.
    pub(crate) fn has(&self, wanted: &RouteRule) -> bool {
        self.of(wanted).any(|rule| same_priority(wanted, rule))
    }

    /// Whether one of these desired rules asks for that one.
    pub(crate) fn asks_for(&self, rule: &RouteRule) -> bool {
        self.of(rule).any(|wanted| same_priority(wanted, rule))
    }

    fn of<'a>(&'a self, rule: &'a RouteRule) -> impl Iterator<Item = &'a RouteRule> {
        self.by_identity.get(&Identity::of(rule)).into_iter().flatten().copied()
    }
}

fn same_priority(wanted: &RouteRule, rule: &RouteRule) -> bool {
    named_priority(wanted).is_none_or(|priority| priority == rule.priority.unwrap_or(0))
}

/// -1 leaves the choice to us.
fn named_priority(rule: &RouteRule) -> Option<i64> {
    rule.priority.filter(|priority| *priority >= 0)
}

/// Whether the rule is about an interface that is left untouched.
fn is_ignored(rule: &RouteRule, merged: &Merged) -> bool {
    rule.iif.as_deref().is_some_and(|name| merged.is_ignored(name))
}

/// Everything about a rule but its priority, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity<'r> {
    is_v6: bool,
    table: Option<u32>,
    from: Option<Net>,
    to: Option<Net>,
    iif: Option<&'r str>,
    mark: (u32, u32),
    action: Option<RuleAction>,
    suppress_prefix_length: Option<u32>,
}

/// An [`Identity`] that outlives its rule.
type OwnedIdentity = (Identity<'static>, Option<String>);

impl<'r> Identity<'r> {
    fn of(rule: &'r RouteRule) -> Self {
        let RouteRule {
            family: _,
            state: _,
            ip_from,
            ip_to,
            priority: _,
            route_table,
            fwmark,
            fwmask,
            action,
            iif,
            suppress_prefix_length,
        } = rule;
        let table = route_table.filter(|table| *table != 0);
        let mark = fwmark.map_or(0, |mark| mark.0);
        // A mark without mask counts whole (fib_nl2rule of the kernel's net/core/fib_rules.c).
        let mask = fwmask.map_or(if mark == 0 { 0 } else { u32::MAX }, |mask| mask.0);
        Self {
            is_v6: family_of(rule) == Some(Family::Ipv6),
            table: table.or(action.is_none().then_some(MAIN_TABLE)),
            from: ip_from.and_then(Selector::net),
            to: ip_to.and_then(Selector::net),
            iif: iif.as_deref(),
            mark: (mark, mask),
            action: *action,
            suppress_prefix_length: *suppress_prefix_length,
        }
    }

    fn to_owned(&self) -> OwnedIdentity {
        let iif = self.iif.map(str::to_owned);
        (Identity { iif: None, ..*self }, iif)
    }
}

/// The family that a rule names, or that its prefixes have.
fn family_of(rule: &RouteRule) -> Option<Family> {
    let net = rule.ip_from.and_then(Selector::net).or(rule.ip_to.and_then(Selector::net));
    let derived = net.map(|net| if net.is_v6() { Family::Ipv6 } else { Family::Ipv4 });
    rule.family.or(derived)
}

/// A desired rule with defaults filled in; or what is wrong with it (U1 to U6).
fn complete(rule: &RouteRule, path: &Path, merged: &Merged) -> Result<RouteRule, Vec<Problem>> {
    if rule.is_absent() {
        return Ok(rule.clone());
    }
    let mut problems = Vec::new();
    let mut rule = rule.clone();
    rule.ip_from = rule.ip_from.filter(|selector| selector.net().is_some());
    rule.ip_to = rule.ip_to.filter(|selector| selector.net().is_some());
    match family_of(&rule) {
        None => {
            let text = "a rule needs at least one of `family`, `ip-from` and `ip-to`";
            problems.push(Problem::invalid(path.clone(), text));
        }
        Some(family) => {
            for (key, selector) in [("ip-from", rule.ip_from), ("ip-to", rule.ip_to)] {
                let other =
                    selector.and_then(Selector::net).filter(|net| net.is_v6() != (family == Family::Ipv6));
                if let Some(net) = other {
                    problems
                        .push(Problem::invalid(path.key(key), format!("{net} is not of family {family}")));
                }
            }
            rule.family = Some(family);
        }
    }
    if rule.fwmask.is_some() && rule.fwmark.is_none() {
        problems.push(Problem::invalid(path.key("fwmask"), "a mask needs a `fwmark`"));
    }
    if rule.priority.is_some_and(|priority| u32::try_from(priority.max(0)).is_err()) {
        problems.push(Problem::invalid(path.key("priority"), "must be at most 4294967295"));
    }
    if rule.suppress_prefix_length.is_some_and(|length| length > SUPPRESS_MAX) {
        let text = format!("must be at most {SUPPRESS_MAX}");
        let path = path.key("suppress-prefix-length");
        problems.push(Problem::new(ErrorKind::NotSupportedError, path, text));
    }
    if let Some(name) = rule.iif.take() {
        match merged.find(&name).one() {
            Some(kernel) if merged.kernel(kernel).is_some_and(|member| member.is_removed()) => {
                let text = format!("interface {kernel} is removed");
                problems.push(Problem::invalid(path.key("iif"), text));
            }
            Some(kernel) => rule.iif = Some(kernel.to_owned()),
            None => {
                problems.push(Problem::invalid(path.key("iif"), format!("there is no interface {name}")));
            }
        }
    }
    rule.priority = named_priority(&rule);
    rule.route_table = Identity::of(&rule).table;
    rule.fwmask = rule.fwmask.filter(|_| rule.fwmark != Some(Mark(0)));
    if problems.is_empty() { Ok(rule) } else { Err(problems) }
}
