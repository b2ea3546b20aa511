//! Routes, rules, resolver and host name through planning, verification, rollback and revert.

use std::collections::BTreeSet;

use nmstated::plan::{
    self, Action, Capabilities, Change, Merged, Options, Plan, Reason, plan as make_plan, restore, routes,
};
use nmstated::state::{
    DnsResolver, Document, ErrorKind, InterfaceType, Net, Problem, Route, RouteRule, RouteRules, Routes,
    State,
};
use nmstated::verify::{same, verify};
use proptest::prelude::*;

fn capabilities() -> Capabilities {
    let interface_types: BTreeSet<InterfaceType> =
        InterfaceType::WORDS.iter().map(|word| InterfaceType::from_word(word)).collect();
    Capabilities {
        backend: "test",
        interface_types,
        vlan_filtering: true,
        volatile_until_commit: true,
        profiles: false,
        names: false,
        persists: false,
        ..Capabilities::default()
    }
}

fn state(text: &str) -> State {
    let document = Document::from_text(text).expect("the test's text is valid");
    document.state().expect("the test's document is valid").0
}

/// Two interfaces with both families, one with none, one that is ignored, and a VRF.
fn base() -> State {
    state(
        "
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1500, alt-names: [{name: uplink}],
   ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]},
   ipv6: {enabled: true, address: [{ip: '2001:db8:1::1', prefix-length: 64}]}}
- {name: eth2, type: ethernet, state: up, mtu: 1500,
   ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 24}]},
   ipv6: {enabled: true, address: [{ip: '2001:db8:2::1', prefix-length: 64}]}}
- {name: eth3, type: ethernet, state: up, ipv4: {enabled: false}, ipv6: {enabled: false}}
- {name: eth4, type: ethernet, state: ignore, ipv4: {enabled: true}}
- {name: red, type: vrf, state: up, vrf: {port: [], route-table-id: 100}}
",
    )
}

fn base_with(text: &str) -> State {
    let State { routes, route_rules, dns_resolver, hostname, .. } = state(text);
    State { routes, route_rules, dns_resolver, hostname, ..base() }
}

fn planned(desired: &State, current: &State) -> Result<Plan, Vec<Problem>> {
    make_plan(desired, current, &capabilities(), &Options::default())
}

/// The plan's lines for routes and rules, sorted as planned.
fn lines(desired: &str, current: &State) -> Vec<String> {
    let plan = planned(&state(desired), current).expect("the test's document can be planned");
    let text = plan::text::diff(&plan, plan::text::Paint::Plain);
    text.lines().filter(|line| line.starts_with(['+', '-'])).map(str::to_owned).collect()
}

fn problems(desired: &str, current: &State) -> Vec<String> {
    let problems = planned(&state(desired), current).expect_err("the test's document is wrong");
    problems.iter().map(ToString::to_string).collect()
}

/// What the kernel shows after a plan: the same, with its defaults filled in.
fn carried_out(plan: &Plan, current: &State) -> State {
    let mut state = current.clone();
    let mut others = Vec::new();
    let interfaces = state.interfaces.get_or_insert_default();
    let mut routes = current.config_routes().to_vec();
    let mut rules = current.config_rules().to_vec();
    for change in &plan.changes {
        match change {
            Change::Interface(change) => {
                interfaces.retain(|interface| interface.name != change.name);
                interfaces.extend(change.after.clone());
            }
            Change::Route(change) => match change.action {
                Action::Remove => {
                    let at = routes.iter().position(|route| *route == change.route);
                    routes.remove(at.expect("only routes that are there are removed"));
                }
                // The kernel drops and gets it again.
                Action::Add if matches!(change.reason, Reason::MadeAgain(_)) => {}
                Action::Add | Action::Modify => {
                    let mut route = change.route.clone();
                    route.metric = Some(routes::metric_of(&route));
                    routes.push(route);
                }
            },
            Change::Rule(change) => match change.action {
                Action::Remove => {
                    let at = rules.iter().position(|rule| *rule == change.rule);
                    rules.remove(at.expect("only rules that are there are removed"));
                }
                Action::Add | Action::Modify => {
                    assert!(change.rule.priority.is_some(), "an added rule has a priority");
                    rules.push(change.rule.clone());
                }
            },
            Change::Dns(change) => {
                state.dns_resolver = Some(DnsResolver { running: None, config: Some(change.after.clone()) });
            }
            Change::Hostname(change) => {
                let hostname = state.hostname.as_mut().expect("a host has a name");
                hostname.running = change.running.clone().or(hostname.running.take());
                hostname.config = change.config.clone().or(hostname.config.take());
            }
            Change::OvsDb(_) | Change::Ovn(_) | Change::Network(_) => others.push(change),
        }
    }
    state.routes = Some(Routes { running: None, config: Some(routes.into()) });
    state.route_rules = Some(RouteRules { config: Some(rules) });
    others.into_iter().for_each(|change| nmstated::backend::fake::apply(&mut state, change));
    state
}

const ROUTES: &str = "
routes:
  config:
  - {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.254, metric: 100, table-id: 254}
  - {destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 198.51.100.9, metric: 0, table-id: 254}
  - {destination: '2001:db8:9::/64', next-hop-interface: eth1, next-hop-address: '::', metric: 1024, table-id: 100, vrf-name: red}
  - {destination: 10.0.0.0/8, route-type: blackhole, metric: 5, table-id: 254}
";

#[test]
fn a_route_is_added_only_when_it_is_not_there() {
    let now = base_with(ROUTES);
    let add = |route: &str| lines(&format!("routes: {{config: [{{{route}}}]}}"), &now);
    // R20, R22: there, whatever it does not name.
    assert!(add("destination: 203.0.113.7/24, next-hop-interface: eth2").is_empty());
    assert!(add("destination: 203.0.113.0/24, next-hop-interface: eth2, metric: -1, table-id: 0").is_empty());
    assert!(
        add("destination: 0.0.0.0/0, next-hop-interface: uplink, next-hop-address: 192.0.2.254").is_empty()
    );
    assert!(
        add("destination: '2001:db8:9::/64', next-hop-interface: eth1, vrf-name: red, metric: 0").is_empty()
    );
    assert!(add("destination: 10.0.0.0/8, route-type: blackhole").is_empty());
    // A metric that is named is another route; so is another table.
    assert_eq!(
        add("destination: 203.0.113.0/24, next-hop-interface: eth2, metric: 50"),
        ["+ route 203.0.113.0/24 dev eth2 table 254 metric 50"]
    );
    assert_eq!(
        add("destination: 203.0.113.0/24, next-hop-interface: eth2, table-id: 7"),
        ["+ route 203.0.113.0/24 dev eth2 table 7"]
    );
    // Without a table the main one is meant.
    assert_eq!(
        add("destination: '2001:db8:9::/64', next-hop-interface: eth1"),
        ["+ route 2001:db8:9::/64 dev eth1 table 254"]
    );
}

#[test]
fn what_cannot_be_next_to_the_new_route_is_replaced() {
    let now = base_with(ROUTES);
    let add = |route: &str| lines(&format!("routes: {{config: [{{{route}}}]}}"), &now);
    // R23: another special type; the same next hop with other settings.
    assert_eq!(
        add("destination: 10.0.0.0/8, route-type: prohibit, metric: 5"),
        [
            "+ route prohibit 10.0.0.0/8 table 254 metric 5",
            "- route blackhole 10.0.0.0/8 table 254 metric 5 (something else takes its place)"
        ]
    );
    assert_eq!(
        add(
            "destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 198.51.100.9, mtu: 1400"
        ),
        [
            "+ route 203.0.113.0/24 via 198.51.100.9 dev eth2 table 254 mtu 1400",
            "- route 203.0.113.0/24 via 198.51.100.9 dev eth2 table 254 metric 0 (something else takes its place)"
        ]
    );
    // Another next hop joins the first.
    assert_eq!(
        add("destination: 203.0.113.0/24, next-hop-interface: eth1, next-hop-address: 192.0.2.9, weight: 2"),
        ["+ route 203.0.113.0/24 via 192.0.2.9 dev eth1 table 254 weight 2"]
    );
}

#[test]
fn patterns_remove_what_they_match() {
    let now = base_with(ROUTES);
    let remove = |route: &str| {
        let lines = lines(&format!("routes: {{config: [{{state: absent, {route}}}]}}"), &now);
        assert!(lines.iter().all(|line| line.starts_with('-')));
        lines.len()
    };
    // R21.
    assert_eq!(remove("next-hop-interface: eth1"), 2);
    assert_eq!(remove("table-id: 254"), 3);
    assert_eq!(remove("table-id: 0"), 4);
    assert_eq!(remove("vrf-name: red"), 1);
    assert_eq!(remove("next-hop-address: '::'"), 2, "the blackhole has no gateway either");
    assert_eq!(remove("destination: 0.0.0.0/0, metric: 7"), 1, "a pattern does not look at the metric");
    assert_eq!(remove("next-hop-interface: gone"), 0);
    assert_eq!(lines("routes: {config: [{state: absent}]}", &now).len(), 4);
    // What the document also asks for stays.
    let both = "routes: {config: [{state: absent, next-hop-interface: eth2},
      {destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 198.51.100.9}]}";
    assert!(lines(both, &now).is_empty());
}

#[test]
fn routes_go_with_their_interface() {
    let now = base_with(ROUTES);
    assert_eq!(
        lines("interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: false}}]", &now),
        [
            "- route 0.0.0.0/0 via 192.0.2.254 dev eth1 table 254 metric 100 (eth1 is removed or loses the address family)"
        ]
    );
    assert!(lines("interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]", &now).is_empty());
    assert_eq!(
        problems(
            "{interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: false}}],
              routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1}]}}",
            &now
        ),
        ["routes.config[0].next-hop-interface: ipv4 is not enabled on interface eth1"]
    );
}

#[test]
fn every_problem_of_every_route_is_reported() {
    let wrong = "
routes:
  config:
  - {destination: 203.0.113.0/24, next-hop-interface: nope}
  - {destination: 203.0.113.0/24, next-hop-interface: eth3}
  - {destination: 203.0.113.0/24, next-hop-interface: eth4}
  - {destination: 203.0.113.0/24}
  - {destination: 0.1.0.0/16, next-hop-interface: eth1}
  - {destination: '2001:db8::/32', next-hop-interface: eth1, weight: 4}
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, weight: 257, mtu: 0}
  - {destination: 203.0.113.0/24, route-type: blackhole, next-hop-address: 192.0.2.9}
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, vrf-name: blue}
  - {destination: 203.0.113.0/24, next-hop-interface: eth1, vrf-name: red, table-id: 7}
  - {destination: '2001:db8::/32', next-hop-interface: eth1, next-hop-address: 192.0.2.9}
  - {next-hop-interface: eth1}
  - {destination: 10.0.0.0/8, route-type: blackhole}
  - {destination: 10.0.0.0/8, route-type: prohibit}
";
    let expected = [
        "routes.config[0].next-hop-interface: there is no interface nope",
        "routes.config[1].next-hop-interface: ipv4 is not enabled on interface eth3",
        "routes.config[2].next-hop-interface: interface eth4 is ignored",
        "routes.config[3]: a route needs `next-hop-interface`, or `route-type` if it leads nowhere",
        "routes.config[4].destination: addresses in 0.0.0.0/8 are no destinations",
        "routes.config[5].weight: next hops of IPv6 routes have no weight",
        "routes.config[6].mtu: must not be 0",
        "routes.config[6].weight: must be 1 to 256",
        "routes.config[7].next-hop-address: a blackhole route has no next hop",
        "routes.config[8].vrf-name: there is no VRF blue that is up",
        "routes.config[9].table-id: the table of VRF red is 100, not 7",
        "routes.config[10].next-hop-address: an IPv6 route cannot go through an IPv4 gateway (destination 2001:db8::/32)",
        "routes.config[11]: missing key `destination`",
        "routes.config[13]: is the same route as routes.config[12], with other settings",
    ];
    assert_eq!(problems(wrong, &base()), expected);
    let kinds = planned(&state(wrong), &base()).expect_err("it is wrong");
    assert_eq!(kinds[3].kind, ErrorKind::NotImplementedError);
    assert_eq!(kinds[5].kind, ErrorKind::NotSupportedError);
}

#[test]
fn links_come_before_the_gateways_behind_them_and_go_after() {
    let now = base();
    let text = "routes: {config: [
      {destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 203.0.113.1},
      {destination: 203.0.113.1/32, next-hop-interface: eth1}]}";
    assert_eq!(
        lines(text, &now),
        ["+ route 203.0.113.1/32 dev eth1 table 254", "+ route 0.0.0.0/0 via 203.0.113.1 dev eth1 table 254"]
    );
    let after = carried_out(&planned(&state(text), &now).expect("it can be planned"), &now);
    let gone = lines("routes: {config: [{state: absent, next-hop-interface: eth1}]}", &after);
    assert!(gone[0].contains("0.0.0.0/0") && gone[1].contains("203.0.113.1/32"), "{gone:?}");
}

/// Comparing everything with everything would take minutes.
#[test]
fn a_hundred_thousand_routes_are_planned_and_verified() {
    let route = |i: u32, interface: &str| Route {
        destination: Net::new(std::net::Ipv4Addr::from(0x0a00_0000 + (i << 4)).into(), 28),
        next_hop_interface: Some(interface.to_owned()),
        table_id: Some(254),
        metric: Some(0),
        ..Route::empty()
    };
    let section = |routes: Vec<Route>| Some(Routes { running: None, config: Some(routes.into()) });
    let now = State { routes: section((0..100_000).map(|i| route(i, "eth1")).collect()), ..base() };
    let wanted = (90_000..110_000).map(|i| route(i, "eth1"));
    let gone =
        (0..1_000).map(|i| Route { state: Some(nmstated::state::RouteState::Absent), ..route(i, "eth1") });
    let desired = State { routes: section(wanted.chain(gone).collect()), ..State::empty() };
    let plan = planned(&desired, &now).expect("it can be planned");
    assert_eq!(plan.changes.len(), 11_000);
    assert_eq!(verify(&plan, &now).findings.len(), 11_000);
}

const RULES: &str = "
route-rules:
  config:
  - {family: ipv4, ip-from: 192.0.2.0/24, route-table: 100, priority: 30005}
  - {family: ipv4, ip-to: 198.51.100.0/24, route-table: 254, priority: 40}
  - {family: ipv6, iif: eth1, action: blackhole, priority: 41}
  - {family: ipv4, fwmark: 16, fwmask: 0xffffffff, route-table: 7, priority: 42}
";

#[test]
fn rules_get_priorities_after_all_others() {
    let now = base_with(RULES);
    let add = |rules: &str| lines(&format!("route-rules: {{config: [{rules}]}}"), &now);
    // U13: there already; one more than the highest; counting upwards.
    assert!(add("{ip-from: 192.0.2.9/24, route-table: 100}").is_empty());
    assert!(add("{ip-to: 198.51.100.0/24}").is_empty(), "no table is the main one");
    assert!(add("{family: ipv4, fwmark: 0x10, route-table: 7, priority: -1}").is_empty());
    assert_eq!(
        add("{ip-from: 10.0.0.0/8, route-table: 8}, {family: ipv6, action: prohibit}"),
        ["+ rule ipv4 from 10.0.0.0/8 table 8 priority 30006", "+ rule ipv6 prohibit priority 30007"]
    );
    assert_eq!(
        lines("route-rules: {config: [{ip-from: 10.0.0.0/8}]}", &base()),
        ["+ rule ipv4 from 10.0.0.0/8 table 254 priority 30000"]
    );
    // A narrower rule does not stand in for a wider one.
    assert_eq!(add("{family: ipv6, action: blackhole}").len(), 1);
    assert_eq!(add("{ip-from: 192.0.2.0/24, route-table: 100, priority: 7}").len(), 1);
}

#[test]
fn rule_patterns_remove_what_they_match() {
    let now = base_with(RULES);
    let remove =
        |rule: &str| lines(&format!("route-rules: {{config: [{{state: absent, {rule}}}]}}"), &now).len();
    // U10, U12.
    assert_eq!(remove("route-table: 100"), 1);
    assert_eq!(remove("family: ipv4"), 3);
    assert_eq!(remove("ip-from: ''"), 3);
    assert_eq!(remove("priority: -1"), 4);
    assert_eq!(remove("iif: eth1"), 1);
    assert_eq!(remove("fwmark: 16"), 1);
    assert_eq!(remove("fwmark: 0"), 3);
    assert_eq!(lines("route-rules: {config: [{state: absent}]}", &now).len(), 4);
    let both = "route-rules: {config: [{state: absent}, {ip-from: 192.0.2.0/24, route-table: 100}]}";
    assert_eq!(lines(both, &now).len(), 3);
}

#[test]
fn every_problem_of_every_rule_is_reported() {
    let wrong = "
route-rules:
  config:
  - {route-table: 5}
  - {family: ipv6, ip-from: 192.0.2.0/24}
  - {ip-from: 192.0.2.0/24, ip-to: '2001:db8::/32'}
  - {family: ipv4, fwmask: 1}
  - {family: ipv4, iif: nope}
  - {family: ipv4, suppress-prefix-length: 2147483648}
  - {family: ipv4, priority: 4294967296}
";
    let expected = [
        "route-rules.config[0]: a rule needs at least one of `family`, `ip-from` and `ip-to`",
        "route-rules.config[1].ip-from: 192.0.2.0/24 is not of family ipv6",
        "route-rules.config[2].ip-to: 2001:db8::/32 is not of family ipv4",
        "route-rules.config[3].fwmask: a mask needs a `fwmark`",
        "route-rules.config[4].iif: there is no interface nope",
        "route-rules.config[5].suppress-prefix-length: must be at most 2147483647",
        "route-rules.config[6].priority: must be at most 4294967295",
    ];
    assert_eq!(problems(wrong, &base()), expected);
    // Rules about ignored interfaces are left out.
    assert!(lines("route-rules: {config: [{family: ipv4, iif: eth4}]}", &base()).is_empty());
    let top = base_with("route-rules: {config: [{family: ipv4, priority: 4294967295, route-table: 5}]}");
    assert_eq!(problems("route-rules: {config: [{family: ipv4, route-table: 6}]}", &top).len(), 1);
}

const DNS: &str = "dns-resolver: {config: {server: [192.0.2.53, '2001:db8::53'], search: [example.com], options: [rotate]}}";

/// Servers, search domains and options after the document.
fn dns_after(desired: &str) -> Option<String> {
    let plan = planned(&state(desired), &base_with(DNS)).expect("the test's document can be planned");
    plan.changes.iter().find_map(|change| match change {
        Change::Dns(change) => {
            let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default().join(" ");
            let after = &change.after;
            Some(format!("{}|{}|{}", list(&after.server), list(&after.search), list(&after.options)))
        }
        _ => None,
    })
}

#[test]
fn each_list_of_the_resolver_is_replaced_by_itself() {
    // D1, D2.
    assert_eq!(
        dns_after("dns-resolver: {config: {server: ['2001:DB8:0:0::53']}}").as_deref(),
        Some("2001:db8::53|example.com|rotate")
    );
    assert_eq!(
        dns_after("dns-resolver: {config: {search: []}}").as_deref(),
        Some("192.0.2.53 2001:db8::53||rotate")
    );
    assert_eq!(dns_after("dns-resolver: {config: {}}").as_deref(), Some("||"));
    assert_eq!(dns_after("dns-resolver: {}"), None);
    assert_eq!(dns_after("dns-resolver: {config: {server: [192.0.2.53, '2001:0db8::53']}}"), None);
    assert_eq!(
        dns_after("dns-resolver: {config: {server: ['fe80::1%eth1']}}").as_deref(),
        Some("fe80::1%eth1|example.com|rotate")
    );
}

#[test]
fn resolver_problems_name_their_place() {
    let wrong = "
dns-resolver:
  config:
    server: [192.0.2.300, 'fe80::1%nope', 'fe80::1%eth3', 'fe80::1%eth4', 'fe80::1%eth1', 'x%eth1']
    options: [rotate, 'rotate:1', ndots, 'ndots:2', magic]
";
    let expected = [
        "dns-resolver.config.options[1]: option rotate takes no value",
        "dns-resolver.config.options[2]: option ndots needs a value, as `ndots:1`",
        "dns-resolver.config.options[4]: unknown option magic",
        "dns-resolver.config.server[0]: 192.0.2.300 is no IP address",
        "dns-resolver.config.server[1]: there is no interface nope",
        "dns-resolver.config.server[2]: ipv6 is not enabled on interface eth3",
        "dns-resolver.config.server[2]: link-local servers on two interfaces, nope and eth3",
        "dns-resolver.config.server[3]: interface eth4 is ignored",
        "dns-resolver.config.server[3]: link-local servers on two interfaces, nope and eth4",
        "dns-resolver.config.server[4]: link-local servers on two interfaces, nope and eth1",
        "dns-resolver.config.server[5]: x%eth1 is no IP address",
    ];
    assert_eq!(problems(wrong, &base()), expected);
}

#[test]
fn host_names_change_one_by_one() {
    let now = base_with("hostname: {running: old, config: old}");
    let plan = planned(&state("hostname: {running: new}"), &now).expect("it can be planned");
    let [Change::Hostname(change)] = plan.changes.as_slice() else { panic!("one change: {plan:?}") };
    assert_eq!((change.running.as_deref(), change.config.as_deref()), (Some("new"), None));
    assert!(planned(&state("hostname: {running: old}"), &now).expect("it can be planned").is_empty());
    let long = "x".repeat(64);
    assert_eq!(problems(&format!("hostname: {{running: '', config: {long}}}"), &now).len(), 2);
}

fn check_revert(desired: &str, current: &State) {
    let desired = state(desired);
    let plan = planned(&desired, current).expect("the test's document can be planned");
    assert!(!plan.is_empty());
    let after = carried_out(&plan, current);
    let back = plan::revert(&desired, current, &plan);
    let back_plan = planned(&back, &after).unwrap_or_else(|problems| panic!("{back:?}: {problems:?}"));
    let restored = carried_out(&back_plan, &after);
    assert_eq!(same(current, &restored), Vec::new(), "{}", serde_json::to_string(&back).expect("it prints"));
}

#[test]
fn a_reverting_document_leads_back() {
    let now = base_with(&format!("{ROUTES}{RULES}{DNS}\nhostname: {{running: old, config: ''}}"));
    let documents = [
        "interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400, ipv4: {enabled: false}}]",
        "interfaces: [{name: d0, type: dummy, state: up, ipv4: {enabled: true, address: [{ip: 10.1.1.1, prefix-length: 24}]}}]",
        "interfaces: [{name: eth1.5, type: vlan, state: up, vlan: {base-iface: eth1, id: 5}}]",
        "interfaces: [{name: red, type: vrf, state: absent}]",
        "interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: [{name: eth3}]}}]",
        "interfaces: [{name: eth2, type: ethernet, state: up, alt-names: [{name: more}], ipv4: {enabled: true, address: []}}]",
        "routes: {config: [{state: absent, next-hop-interface: eth1}, {destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 198.51.100.9, metric: 50}]}",
        "routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth2, next-hop-address: 198.51.100.9, mtu: 1400}]}",
        "routes: {config: [{destination: 10.0.0.0/8, route-type: prohibit, metric: 5}]}",
        "route-rules: {config: [{state: absent, family: ipv4}, {family: ipv6, action: blackhole}]}",
        "dns-resolver: {config: {}}",
        "hostname: {running: new, config: new}",
    ];
    for document in documents {
        check_revert(document, &now);
    }
}

#[test]
fn a_difference_says_only_what_would_change() {
    let now = base_with(&format!("{ROUTES}{RULES}{DNS}\nhostname: {{running: old, config: ''}}"));
    let desired = state(
        "
hostname: {running: old}
dns-resolver: {config: {search: [example.com]}}
route-rules: {config: [{ip-from: 192.0.2.0/24, route-table: 100}]}
routes: {config: [{state: absent, destination: 0.0.0.0/0}, {destination: 203.0.113.0/24, next-hop-interface: eth2}]}
interfaces:
- {name: eth1, type: ethernet, state: up, mtu: 1400, ipv6: {enabled: true}}
- {name: eth2, type: ethernet, state: up, mtu: 1500}
",
    );
    let plan = planned(&desired, &now).expect("it can be planned");
    let only = plan::difference(&desired, &now, &plan);
    let wanted = state(
        "
routes: {config: [{state: absent, destination: 0.0.0.0/0, next-hop-interface: eth1, next-hop-address: 192.0.2.254, metric: 100, table-id: 254}]}
interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1400}]
",
    );
    assert_eq!(only, wanted);
    let nothing = planned(&state("hostname: {running: old}"), &now).expect("it can be planned");
    assert_eq!(plan::difference(&state("hostname: {running: old}"), &now, &nothing), State::empty());
}

#[test]
fn restoring_skips_routes_through_hardware_that_is_gone() {
    let before = base_with(ROUTES);
    let mut now = before.clone();
    now.interfaces.iter_mut().for_each(|list| list.retain(|interface| interface.name != "eth2"));
    now.routes = None;
    let plan = restore(&before, &now);
    let added: Vec<_> = plan.changes.iter().filter(|change| matches!(change, Change::Route(_))).collect();
    assert_eq!(added.len(), 3);
    assert!(plan.warnings.iter().any(|warning| warning.contains("203.0.113.0/24")), "{:?}", plan.warnings);
    let findings = verify(&plan, &carried_out(&plan, &now)).findings;
    assert!(findings.iter().any(|finding| finding.subject.contains("203.0.113.0/24")), "{findings:?}");
}

// Properties, on a small world in which things collide often.

fn any_route() -> impl Strategy<Value = Route> {
    let destination = prop_oneof![Just("203.0.113.0/24"), Just("0.0.0.0/0"), Just("2001:db8:9::/64")];
    let hop = prop_oneof![Just(Some("eth1")), Just(Some("eth2")), Just(None)];
    let metric = prop_oneof![Just(None), Just(Some(-1)), Just(Some(0)), Just(Some(100))];
    let table = prop_oneof![Just(None), Just(Some(254)), Just(Some(100))];
    let mtu = prop_oneof![3 => Just(None), 1 => Just(Some(1400))];
    (destination, hop, metric, table, mtu).prop_map(|(destination, hop, metric, table_id, mtu)| Route {
        destination: destination.parse().ok(),
        next_hop_interface: hop.map(str::to_owned),
        route_type: hop.is_none().then_some(nmstated::state::RouteType::Blackhole),
        metric,
        table_id,
        mtu,
        ..Route::empty()
    })
}

fn any_pattern() -> impl Strategy<Value = Route> {
    (any_route(), any::<[bool; 3]>()).prop_map(|(route, [destination, hop, table])| Route {
        state: Some(nmstated::state::RouteState::Absent),
        destination: route.destination.filter(|_| destination),
        next_hop_interface: route.next_hop_interface.filter(|_| hop),
        table_id: route.table_id.filter(|_| table),
        metric: route.metric,
        ..Route::empty()
    })
}

fn any_rule() -> impl Strategy<Value = RouteRule> {
    let from = prop_oneof![Just(None), Just(Some("192.0.2.0/24")), Just(Some("10.0.0.0/8"))];
    let priority = prop_oneof![Just(None), Just(Some(-1)), Just(Some(0)), Just(Some(30_000))];
    let iif = prop_oneof![3 => Just(None), 1 => Just(Some("eth1"))];
    let table = prop_oneof![Just(None), Just(Some(100))];
    (from, priority, iif, table, any::<bool>()).prop_map(|(from, priority, iif, route_table, absent)| {
        let mut rule = RouteRule::empty();
        rule.family = nmstated::state::Family::from_word("ipv4");
        rule.ip_from = from.and_then(|from| from.parse().ok()).map(nmstated::state::Selector::Net);
        (rule.priority, rule.iif, rule.route_table) = (priority, iif.map(str::to_owned), route_table);
        rule.state = absent.then_some(nmstated::state::AbsentState::Absent);
        rule
    })
}

fn any_desired() -> impl Strategy<Value = State> {
    let routes = prop::collection::vec(prop_oneof![3 => any_route(), 1 => any_pattern()], 0..6);
    let rules = prop::collection::vec(any_rule(), 0..6);
    let interface = prop_oneof![
        2 => Just(None),
        1 => Just(Some("interfaces: [{name: eth1, type: ethernet, state: up, ipv6: {enabled: false}}]")),
        1 => Just(Some("interfaces: [{name: eth2, type: ethernet, state: up, mtu: 1400}]")),
    ];
    (routes, rules, interface).prop_map(|(routes, rules, interface)| State {
        routes: Some(Routes { running: None, config: Some(routes.into()) }),
        route_rules: Some(RouteRules { config: Some(rules) }),
        ..interface.map_or_else(State::empty, state)
    })
}

proptest! {
    #[test]
    fn plans_verify_repeat_restore_and_revert(first in any_desired(), second in any_desired()) {
        // The first document makes a present with something in it.
        let Ok(plan) = planned(&first, &base()) else { return Ok(()) };
        let now = carried_out(&plan, &base());
        prop_assert_eq!(verify(&plan, &now).findings, Vec::new());
        prop_assert_eq!(same(&now, &now), Vec::new());

        let Ok(plan) = planned(&second, &now) else { return Ok(()) };
        let after = carried_out(&plan, &now);
        prop_assert_eq!(verify(&plan, &after).findings, Vec::new());

        let again = planned(&second, &after).expect("what could be planned once can be planned again");
        prop_assert!(again.is_empty(), "{}", plan::text::diff(&again, plan::text::Paint::Plain));

        let back = restore(&now, &after);
        prop_assert_eq!(same(&now, &carried_out(&back, &after)), Vec::new());

        let document = plan::revert(&second, &now, &plan);
        let back = planned(&document, &after);
        let back = back.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        prop_assert_eq!(same(&now, &carried_out(&back, &after)), Vec::new());
    }
}

/// A host with Open vSwitch: two bridges, settings, mappings.
fn with_ovs() -> State {
    let mut state = base();
    let ovs = self::state(
        "
interfaces: [{name: br0, type: ovs-bridge, state: up}, {name: br1, type: ovs-bridge, state: up}]
ovs-db: {external_ids: {system-id: a, rack: b7}, other_config: {max-idle: '10'}}
ovn: {bridge-mappings: [{localnet: blue, bridge: br0}, {localnet: red, bridge: br1}]}
",
    );
    state.interfaces.get_or_insert_default().extend(ovs.interfaces.expect("has some"));
    (state.ovs_db, state.ovn) = (ovs.ovs_db, ovs.ovn);
    state
}

/// The keys that a document changes, as `external_ids.rack: b7 -> -`.
fn ovs_changes(desired: &str) -> Vec<String> {
    let desired = state(desired);
    let plan = planned(&desired, &with_ovs()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let after = carried_out(&plan, &with_ovs());
    assert_eq!(verify(&plan, &after).findings, Vec::new());
    assert!(planned(&desired, &after).expect("planned again").is_empty(), "twice is as once: {desired:?}");
    let document = plan::revert(&desired, &with_ovs(), &plan);
    let back = planned(&document, &after).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(same(&with_ovs(), &carried_out(&back, &after)), Vec::new(), "by {document:?}");
    let mut touched = plan::Touched::default();
    touched.extend(&plan);
    let back = restore(&touched.way_back(&with_ovs(), &after), &after);
    assert_eq!(same(&with_ovs(), &carried_out(&back, &after)), Vec::new());
    plan::drift(&plan)
        .into_iter()
        .map(|drift| {
            let word = |word: Option<String>| word.unwrap_or_else(|| "-".into());
            format!("{}: {} -> {}", drift.path, word(drift.found), word(drift.expected))
        })
        .collect()
}

#[test]
fn open_vswitch_settings_are_merged_key_by_key() {
    let none: [&str; 0] = [];
    assert_eq!(
        ovs_changes("{ovs-db: {external_ids: {rack: b8, system-id: , new: 1, gone: }}}"),
        [
            "ovs-db.external_ids[new]: - -> \"1\"",
            "ovs-db.external_ids[rack]: b7 -> b8",
            "ovs-db.external_ids[system-id]: a -> -",
        ]
    );
    assert_eq!(ovs_changes("{ovs-db: {external_ids: {rack: b7, gone: }}}"), none);
    // An empty column is emptied, one that is not mentioned is kept.
    assert_eq!(ovs_changes("{ovs-db: {other_config: {}}}"), ["ovs-db.other_config[max-idle]: \"10\" -> -"]);
    let all = [
        "ovs-db.external_ids[rack]: b7 -> -",
        "ovs-db.external_ids[system-id]: a -> -",
        "ovs-db.other_config[max-idle]: \"10\" -> -",
    ];
    assert_eq!(ovs_changes("{ovs-db: {}}"), all);
    assert_eq!(ovs_changes("{ovs-db: {external_ids: {}, other_config: {}}}"), all);
    assert_eq!(ovs_changes("{description: nothing}"), none);
}

#[test]
fn mappings_are_merged_by_network() {
    assert_eq!(
        ovs_changes(
            "{ovn: {bridge-mappings: [{localnet: red, bridge: br0}, {localnet: blue, state: absent},
                {localnet: green, bridge: br1}, {localnet: gone, state: absent}]}}"
        ),
        [
            "ovn.bridge-mappings[blue]: br0 -> -",
            "ovn.bridge-mappings[green]: - -> br1",
            "ovn.bridge-mappings[red]: br1 -> br0",
        ]
    );
    assert_eq!(ovs_changes("{ovn: {bridge-mappings: [{localnet: red, bridge: br1}]}}"), [""; 0]);
    assert_eq!(ovs_changes("{ovn: {}}"), [""; 0]);
}

#[test]
fn what_open_vswitch_cannot_hold_is_refused() {
    let problems = |desired: &str| -> Vec<String> {
        let problems = planned(&state(desired), &with_ovs()).expect_err(desired);
        problems.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        problems("{ovs-db: {external_ids: {ovn-bridge-mappings: 'a:br0'}}}"),
        ["ovs-db.external_ids.ovn-bridge-mappings: is set by `ovn.bridge-mappings`"]
    );
    assert_eq!(
        problems(
            "{interfaces: [{name: br1, type: ovs-bridge, state: absent}],
              ovn: {bridge-mappings: [{localnet: a, bridge: eth1}, {localnet: a, state: absent}, {localnet: b},
                {localnet: c, bridge: br1}, {localnet: 'd:e', bridge: br0}, {localnet: '', bridge: 'x,y'}]}}"
        ),
        [
            "ovn.bridge-mappings[0].bridge: there is no Open vSwitch bridge `eth1`",
            "ovn.bridge-mappings[1].localnet: `a` is mapped twice",
            "ovn.bridge-mappings[2].bridge: is missing",
            "ovn.bridge-mappings[3].bridge: Open vSwitch bridge `br1` is removed",
            "ovn.bridge-mappings[4].localnet: `d:e` contains `:`, which separates mappings",
            "ovn.bridge-mappings[5].bridge: `x,y` contains `,`, which separates mappings",
            "ovn.bridge-mappings[5].localnet: is empty",
        ]
    );
}

#[test]
fn a_rollback_leaves_keys_of_others_alone() {
    let desired =
        state("{ovs-db: {external_ids: {rack: b8}}, ovn: {bridge-mappings: [{localnet: red, bridge: br0}]}}");
    let plan = planned(&desired, &with_ovs()).expect("a plan");
    let mut touched = plan::Touched::default();
    touched.extend(&plan);
    let mut after = carried_out(&plan, &with_ovs());
    let meanwhile =
        "{ovs-db: {external_ids: {other: x}}, ovn: {bridge-mappings: [{localnet: green, bridge: br0}]}}";
    after = carried_out(&planned(&state(meanwhile), &after).expect("a plan"), &after);
    let back = restore(&touched.way_back(&with_ovs(), &after), &after);
    assert_eq!(
        plan::text::diff(&back, plan::text::Paint::Plain),
        "~ ovs-db (it was there before)
    - external_ids.rack: b8
    + external_ids.rack: b7
~ ovn (it was there before)
    - bridge-mappings.red: br0
    + bridge-mappings.red: br1

Plan: 0 to add, 2 to change, 0 to remove
"
    );
    assert_eq!(
        serde_json::to_value(plan::text::json(&back)).expect("it prints")[0],
        serde_json::json!({"what": "ovs-db", "because": "restored", "other_config": {},
            "external_ids": {"rack": {"before": "b8", "after": "b7"}}})
    );
}

#[test]
fn merging_nothing_changes_nothing() {
    let now = base_with(ROUTES);
    let merge = routes::merge(&State::empty(), &now, &Merged::unchanged(&now)).expect("nothing is wrong");
    assert!(merge.changes.is_empty() && merge.expected.is_none());
}

#[test]
fn reasons_are_told() {
    let plan = restore(&base(), &base_with(ROUTES));
    let reasons: BTreeSet<bool> = plan
        .changes
        .iter()
        .map(|change| matches!(change, Change::Route(change) if change.reason == Reason::NotThereBefore))
        .collect();
    assert_eq!(reasons, BTreeSet::from([true]));
}

/// What has a word for nothing is taken away by it: the document that leads back says it.
#[test]
fn what_was_not_there_is_reverted_by_the_word_for_nothing() {
    let profiles = Capabilities { profiles: true, names: true, persists: true, ..capabilities() };
    let said = "
profile-name: office
description: socket 12
wait-ip: ipv4
lldp: {enabled: true}
mptcp: {address-flags: [subflow]}
802.1x: {identity: printer, eap-methods: [peap], password: secret}
ovs-db: {external_ids: {rack: b7}}
dispatch: {post-activation: logger up}
ipv4: {enabled: true, dhcp: true, dhcp-custom-hostname: other}";
    let now = state(
        "interfaces: [{name: eth1, type: ethernet, state: up, ipv4: {enabled: true, dhcp: true, address: []}}]",
    );
    let entry = said.replace('\n', "\n  ");
    let desired = state(&format!("interfaces:\n- name: eth1\n  type: ethernet\n  state: up{entry}"));
    let plan = make_plan(&desired, &now, &profiles, &Options::default()).expect("it can be planned");
    let back = plan::revert(&desired, &now, &plan);
    let printed = serde_json::to_value(&back.interfaces()[0]).expect("it prints");
    for (key, nothing) in [
        ("/profile-name", serde_json::json!("eth1")),
        ("/description", serde_json::json!("")),
        ("/wait-ip", serde_json::json!("any")),
        ("/lldp/enabled", serde_json::json!(false)),
        ("/mptcp/address-flags", serde_json::json!([])),
        ("/802.1x", serde_json::json!({})),
        ("/ovs-db", serde_json::json!({"external_ids": {}, "other_config": {}})),
        ("/dispatch/post-activation", serde_json::json!("")),
        ("/dispatch/post-deactivation", serde_json::Value::Null),
        ("/ipv4/dhcp-custom-hostname", serde_json::json!("")),
    ] {
        let value = printed.pointer(key).cloned().unwrap_or_default();
        assert_eq!(value, nothing, "{key} in {printed}");
    }
    // And it does so: planned where all of it is there, it changes each.
    let there = carried_out(&plan, &now);
    let plan = make_plan(&back, &there, &profiles, &Options::default()).expect("it can be planned");
    let text = plan::text::diff(&plan, plan::text::Paint::Plain);
    for key in [
        "profile-name",
        "description",
        "wait-ip",
        "lldp",
        "mptcp",
        "802.1x.identity",
        "802.1x.password",
        "ovs-db",
    ] {
        assert!(text.contains(&format!("- {key}")), "{key} in {text}");
    }
}
