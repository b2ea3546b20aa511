//! `route-data`: static routes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::ip::{put_list, setting};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Net, Route, RouteType};

/// Table `main`.
const MAIN: u32 = 254;

/// What makes a route one of its own, beside its metric.
type Key = (Option<Net>, Option<IpAddr>, u32, Option<RouteType>);

fn key(route: &Route) -> Key {
    let gateway = route.next_hop_address.filter(|address| !address.is_unspecified());
    (route.destination, gateway, wanted_table(route), route.route_type)
}

/// Makes these the routes of one stack; those of the other family are left to it. An entry that
/// stays keeps what a document has no words for, and what a document cannot say at all stays.
pub(super) fn write(profile: &mut Profile, routes: &[Route], is_v6: bool) {
    let name = setting(is_v6);
    let default_table = default_table(profile, is_v6);
    let entries = profile.get(name, "route-data").and_then(Value::as_dicts).unwrap_or_default();
    let mut list: Vec<Setting> = Vec::new();
    let mut present: BTreeMap<Key, Vec<(&Setting, Route)>> = BTreeMap::new();
    for entry in entries {
        match read_entry(entry, is_v6, default_table) {
            Some(route) => present.entry(key(&route)).or_default().push((entry, route)),
            None => list.push(entry.clone()),
        }
    }
    let wanted = routes.iter().filter(|route| !route.is_absent() && is_of(route, is_v6));
    let mut wanted: Vec<(&Route, Option<(&Setting, Route)>)> = wanted.map(|route| (route, None)).collect();
    // The same metric first, so that a route that differs in it alone does not take its place.
    for is_same in [same_metric, any_metric] {
        for (route, found) in wanted.iter_mut().filter(|(_, found)| found.is_none()) {
            if let Some(candidates) = present.get_mut(&key(route))
                && let Some(index) = candidates.iter().position(|(_, own)| is_same(own, route))
            {
                *found = Some(candidates.remove(index));
            }
        }
    }
    list.extend(wanted.into_iter().map(|(route, found)| match found {
        Some((entry, own)) => write_entry(entry.clone(), Some(&own), route),
        None => write_entry(Setting::new(), None, route),
    }));
    put_list(profile, name, "route-data", list);
    profile.unset(name, "gateway"); // it is one of these routes, or not wanted
}

fn is_of(route: &Route, is_v6: bool) -> bool {
    let address = route.destination.map(|net| net.address()).or(route.next_hop_address);
    address.is_some_and(|address| address.is_ipv6() == is_v6)
}

fn same_metric(own: &Route, wanted: &Route) -> bool {
    own.metric == Some(metric(wanted).into())
}

/// One of them leaves it to the device.
fn any_metric(own: &Route, wanted: &Route) -> bool {
    own.metric == Some(-1) || leaves_metric(wanted)
}

fn leaves_metric(route: &Route) -> bool {
    route.metric.is_none_or(|metric| metric < 0)
}

/// Without a metric an entry takes that of the device; the kernel takes no 0 for IPv6.
fn metric(route: &Route) -> u32 {
    let default = if route.destination.is_some_and(|net| net.is_v6()) { 1024 } else { 0 };
    route
        .metric
        .and_then(|metric| u32::try_from(metric).ok())
        .filter(|metric| *metric != 0)
        .unwrap_or(default)
}

fn wanted_table(route: &Route) -> u32 {
    route.table_id.filter(|table| *table != 0).unwrap_or(MAIN)
}

/// Brings an entry, which says `own`, to what is wanted.
fn write_entry(mut entry: Setting, own: Option<&Route>, route: &Route) -> Setting {
    fn number<T: Into<u32>>(value: Option<T>) -> Option<Value> {
        value.map(|value| Value::U32(value.into()))
    }
    let mut put = |key: &str, value: Option<Value>| match value {
        Some(value) => drop(entry.insert(key.to_owned(), value)),
        None => drop(entry.remove(key)),
    };
    if own.is_none() {
        let destination = route.destination.unwrap_or_else(|| {
            Net::default_route(route.next_hop_address.is_some_and(|address| address.is_ipv6()))
        });
        put("dest", Some(destination.address().to_string().into()));
        put("prefix", Some(u32::from(destination.prefix()).into()));
        put("next-hop", key(route).1.map(|address| address.to_string().into()));
        put("table", Some(wanted_table(route).into()));
        put("type", route.route_type.map(|route_type| route_type.word().into()));
    }
    if own.is_none_or(|own| !leaves_metric(route) && own.metric != Some(metric(route).into())) {
        put("metric", Some(metric(route).into()));
    }
    let empty = Route::empty();
    let own = own.unwrap_or(&empty);
    if own.weight != route.weight {
        put("weight", number(route.weight));
    }
    if own.source != route.source {
        put("src", route.source.map(|source| source.to_string().into()));
    }
    if own.cwnd != route.cwnd {
        // The kernel takes this window only with its lock.
        put("cwnd", number(route.cwnd));
        put("lock-cwnd", route.cwnd.map(|_| true.into()));
    }
    let numbers = [
        ("initcwnd", own.initcwnd, route.initcwnd),
        ("initrwnd", own.initrwnd, route.initrwnd),
        ("mtu", own.mtu, route.mtu),
        ("advmss", own.advmss, route.advmss),
    ];
    for (key, own, wanted) in numbers {
        if own != wanted {
            put(key, number(wanted));
        }
    }
    for (key, own, wanted) in
        [("lock-mtu", own.lock_mtu, route.lock_mtu), ("quickack", own.quickack, route.quickack)]
    {
        if own.unwrap_or(false) != wanted.unwrap_or(false) {
            put(key, wanted.map(Value::from));
        }
    }
    entry
}

/// The static routes of a profile, the one of `gateway` too, as the kernel shows them. A metric that
/// the profile leaves to the device is -1.
pub fn routes_of(profile: &Profile) -> Vec<Route> {
    let mut routes = Vec::new();
    for is_v6 in [false, true] {
        let name = setting(is_v6);
        let entries = profile.get(name, "route-data").and_then(Value::as_dicts).unwrap_or_default();
        let default_table = default_table(profile, is_v6);
        routes.extend(entries.iter().filter_map(|entry| read_entry(entry, is_v6, default_table)));
        let gateway = profile.text(name, "gateway").and_then(|text| text.parse().ok());
        routes.extend(gateway.map(|gateway: IpAddr| Route {
            destination: Some(Net::default_route(is_v6)),
            next_hop_address: Some(gateway),
            metric: Some(-1),
            table_id: Some(default_table),
            ..Route::empty()
        }));
    }
    let interface = profile.interface_name();
    for route in &mut routes {
        let is_v6 = route.destination.is_some_and(|net| net.is_v6());
        route.next_hop_interface = match route.route_type {
            None => interface.map(str::to_owned),
            Some(_) => is_v6.then(|| "lo".to_owned()),
        };
    }
    routes
}

/// The table of an entry that names none.
fn default_table(profile: &Profile, is_v6: bool) -> u32 {
    let table = profile.get(setting(is_v6), "route-table").and_then(Value::as_number);
    table.and_then(|table| u32::try_from(table).ok()).filter(|table| *table != 0).unwrap_or(MAIN)
}

/// None for what is not shown: routes of type `local`, `throw` ...
fn read_entry(entry: &Setting, is_v6: bool, default_table: u32) -> Option<Route> {
    let number = |key| number(entry, key);
    let flag = |key: &str| entry.get(key).and_then(Value::as_bool);
    let route_type = match entry.get("type").and_then(Value::as_text) {
        None | Some("unicast") => None,
        Some(word) => Some(RouteType::from_word(word)?),
    };
    let unspecified = Net::default_route(is_v6).address();
    Some(Route {
        destination: Some(destination(entry)?),
        next_hop_address: route_type.is_none().then(|| gateway(entry).unwrap_or(unspecified)),
        metric: Some(number("metric").map_or(-1, i64::from)),
        table_id: Some(number("table").filter(|table| *table != 0).unwrap_or(default_table)),
        weight: number("weight").filter(|weight| *weight != 0).and_then(|weight| u16::try_from(weight).ok()),
        route_type,
        cwnd: number("cwnd").filter(|_| flag("lock-cwnd") == Some(true)),
        source: entry.get("src").and_then(Value::as_text).and_then(|text| text.parse().ok()),
        initcwnd: number("initcwnd"),
        initrwnd: number("initrwnd"),
        mtu: number("mtu"),
        quickack: flag("quickack"),
        advmss: number("advmss"),
        lock_mtu: flag("lock-mtu").filter(|locked| *locked),
        ..Route::empty()
    })
}

fn destination(entry: &Setting) -> Option<Net> {
    let address = entry.get("dest")?.as_text()?.parse().ok()?;
    Net::new(address, u8::try_from(entry.get("prefix")?.as_number()?).ok()?)
}

fn gateway(entry: &Setting) -> Option<IpAddr> {
    let gateway: IpAddr = entry.get("next-hop")?.as_text()?.parse().ok()?;
    Some(gateway).filter(|gateway| !gateway.is_unspecified())
}

fn number(entry: &Setting, key: &str) -> Option<u32> {
    u32::try_from(entry.get(key)?.as_number()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Node, Part, Reader};
    use serde_json::{Value as Json, json};

    fn route(json: Json) -> Route {
        Part::read(&Node::from_json(&json), &mut Reader::new()).expect("a route")
    }

    fn entry(dest: &str, prefix: u32, more: &[(&str, Value)]) -> Setting {
        let more = more.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let own = [("dest".to_owned(), dest.into()), ("prefix".to_owned(), prefix.into())];
        own.into_iter().chain(more).collect()
    }

    fn profile(entries: Vec<Setting>) -> Profile {
        let mut profile = Profile::default();
        profile.set("connection", "interface-name", "eth1");
        profile.set("ipv4", "route-data", entries);
        profile
    }

    fn entries(profile: &Profile) -> &[Setting] {
        profile.get("ipv4", "route-data").and_then(Value::as_dicts).unwrap_or_default()
    }

    #[test]
    fn r27_metric_and_table_are_explicit() {
        let mut given = profile(vec![]);
        let routes = [
            route(json!({"destination": "198.51.100.0/24", "next-hop-address": "192.0.2.1", "cwnd": 20})),
            route(
                json!({"destination": "203.0.113.0/24", "next-hop-address": "0.0.0.0", "table-id": 0, "metric": -1}),
            ),
            route(
                json!({"destination": "10.0.0.0/8", "route-type": "blackhole", "metric": 5, "table-id": 7}),
            ),
            route(json!({"destination": "2001:db8::/32", "next-hop-address": "::"})),
        ];
        for is_v6 in [false, true] {
            write(&mut given, &routes, is_v6);
        }
        let expected = [
            entry(
                "198.51.100.0",
                24,
                &[
                    ("next-hop", "192.0.2.1".into()),
                    ("metric", 0.into_value()),
                    ("table", 254.into_value()),
                    ("cwnd", 20.into_value()),
                    ("lock-cwnd", true.into()),
                ],
            ),
            entry("203.0.113.0", 24, &[("metric", 0.into_value()), ("table", 254.into_value())]),
            entry(
                "10.0.0.0",
                8,
                &[("metric", 5.into_value()), ("table", 7.into_value()), ("type", "blackhole".into())],
            ),
        ];
        assert_eq!(entries(&given), expected);
        let v6 = entry("2001:db8::", 32, &[("metric", 1024.into_value()), ("table", 254.into_value())]);
        assert_eq!(given.get("ipv6", "route-data"), Some(&vec![v6].into()));
    }

    trait IntoValue {
        fn into_value(self) -> Value;
    }

    impl IntoValue for u32 {
        fn into_value(self) -> Value {
            Value::U32(self)
        }
    }

    #[test]
    fn entries_that_stay_keep_what_they_have() {
        let tail = [("metric", Value::U32(3)), ("onlink", true.into()), ("tos", Value::Byte(8))];
        let stays = entry("198.51.100.0", 24, &tail);
        let device_metric = entry("203.0.113.0", 24, &[("window", Value::U32(1))]);
        let thrown = entry("192.0.2.0", 24, &[("type", "throw".into())]);
        let mut given =
            profile(vec![stays.clone(), device_metric, thrown.clone(), entry("10.0.0.0", 8, &[])]);
        let routes = [
            route(json!({"destination": "198.51.100.0/24", "metric": 3, "table-id": 254})),
            route(json!({"destination": "203.0.113.0/24", "metric": 100, "mtu": 1400})),
        ];
        write(&mut given, &routes, false);
        let changed = [("window", Value::U32(1)), ("metric", Value::U32(100)), ("mtu", Value::U32(1400))];
        assert_eq!(entries(&given), [thrown, stays, entry("203.0.113.0", 24, &changed)]);
    }

    #[test]
    fn routes_that_differ_in_their_metric_find_their_own_entry() {
        let both = vec![
            entry("10.0.0.0", 8, &[("metric", Value::U32(1)), ("tos", Value::Byte(1))]),
            entry("10.0.0.0", 8, &[("metric", Value::U32(2)), ("tos", Value::Byte(2))]),
        ];
        let mut given = profile(both.clone());
        write(&mut given, &[route(json!({"destination": "10.0.0.0/8", "metric": 2}))], false);
        assert_eq!(entries(&given), &both[1..]);
    }

    #[test]
    fn a_gateway_becomes_a_default_route() {
        let mut given = profile(vec![]);
        given.set("ipv4", "gateway", "192.0.2.1");
        let read = routes_of(&given);
        let expected =
            route(json!({"destination": "0.0.0.0/0", "next-hop-address": "192.0.2.1", "metric": -1,
                                    "table-id": 254, "next-hop-interface": "eth1"}));
        assert_eq!(read, [expected]);
        write(&mut given, &read, false);
        assert_eq!(given.get("ipv4", "gateway"), None);
        assert_eq!(routes_of(&given)[0].next_hop_address, read[0].next_hop_address);
    }

    #[test]
    fn what_is_written_is_read() {
        let routes = [
            route(
                json!({"destination": "198.51.100.0/24", "next-hop-interface": "eth1", "next-hop-address": "192.0.2.1",
                         "metric": 9, "table-id": 100, "weight": 3, "cwnd": 20, "source": "192.0.2.9", "initcwnd": 1,
                         "initrwnd": 2, "mtu": 1300, "quickack": true, "advmss": 1200, "lock-mtu": true}),
            ),
            route(
                json!({"destination": "10.0.0.0/8", "route-type": "prohibit", "metric": 9, "table-id": 254}),
            ),
        ];
        let mut given = profile(vec![]);
        write(&mut given, &routes, false);
        assert_eq!(routes_of(&given), routes);
        let before = given.clone();
        write(&mut given, &routes, false);
        assert_eq!(given, before);
        write(&mut given, &[], false);
        assert_eq!(given.get("ipv4", "route-data"), None);
    }
}
