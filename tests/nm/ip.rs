//! Addresses, routes, rules and name servers: what `nm::settings` writes is taken by a NetworkManager,
//! comes back as it was, leads to what was asked for in the kernel, and is shown so.

use std::collections::BTreeSet;

use nmstated::kernel::mirror::{self, Mirror, Paths};
use nmstated::kernel::show::{Scope, show};
use nmstated::nm::dns::place;
use nmstated::nm::image::{Image, ObjectPath};
use nmstated::nm::settings::{self, Wish};
use nmstated::nm::show::overlay;
use nmstated::nm::{Call, Client, Profile};
use nmstated::plan::{self, Capabilities, Change, Options, Plan};
use nmstated::state::{DnsSettings, Document, Interface, Route, RouteRule, State};
use nmstated::verify::{self, Outcome};
use tokio::time::timeout;

use crate::harness::{Harness, LIMIT, done, ip, soon, with_manager};

/// Add: in memory, and not activated by itself.
const IN_MEMORY: u32 = 0x22;

fn state(document: &str) -> State {
    let document = Document::from_text(document).expect("it is YAML");
    document.state().expect("a document").0
}

struct World {
    harness: Harness,
    client: Client,
    mirror: Mirror,
}

impl World {
    async fn new(harness: Harness) -> Self {
        let client = harness.client().await;
        let (mirror, keeper) = mirror::open(Paths::default()).await.expect("a mirror of the kernel");
        tokio::spawn(keeper.run());
        Self { harness, client, mirror }
    }

    async fn now(&self) -> (State, std::sync::Arc<Image>) {
        soon(self.mirror.sync()).await.expect("the mirror is live");
        soon(self.client.sync()).await.expect("NetworkManager answers");
        let image = self.client.image().expect("it is there");
        (overlay(&show(&self.mirror.image(), Scope::Everything), &image), image)
    }

    /// Waits until what was planned is so, and planning again finds nothing: what is activated once more may be as asked
    /// until it goes down for a moment.
    async fn until_matched(&self, plan: &Plan, document: &str) {
        let (mut kernel, mut manager) = (self.mirror.revisions(), self.client.revisions());
        let matched = async {
            loop {
                kernel.borrow_and_update();
                manager.borrow_and_update();
                let (state, _) = self.now().await;
                let report = verify::verify(plan, &state);
                let is_so = matches!(report.outcome(u64::MAX), Outcome::Verified(_));
                if is_so && self.plan(document).await.is_empty() {
                    return;
                }
                tokio::select! {
                    changed = kernel.changed() => changed.expect("the mirror is live"),
                    changed = manager.changed() => changed.expect("the keeper runs"),
                }
            }
        };
        if timeout(LIMIT, matched).await.is_err() {
            let (state, image) = self.now().await;
            let report = format!("{:?}", verify::verify(plan, &state));
            let profiles: Vec<String> = image.profiles.values().map(|own| own.profile.to_string()).collect();
            let again = self.plan(document).await.changes;
            let (profiles, log) = (profiles.join("\n\n"), self.harness.log());
            panic!("{document}\n{report}\n{again:#?}\n{profiles}\n{log}");
        }
    }

    async fn plan(&self, document: &str) -> Plan {
        let (current, _) = self.now().await;
        let desired = state(document);
        let capabilities = Capabilities {
            backend: "networkmanager",
            interface_types: BTreeSet::new(),
            vlan_filtering: true,
            volatile_until_commit: false,
            profiles: true,
            names: true,
            persists: true,
            ..Capabilities::default()
        };
        let planned = plan::plan(&desired, &current, &capabilities, &Options::default());
        planned.unwrap_or_else(|problems| panic!("{document}\n{problems:?}"))
    }

    /// Carries out a document about one interface through its profile.
    async fn apply(&self, document: &str, profile: Option<&ObjectPath>) -> ObjectPath {
        let plan = self.plan(document).await;
        let (_, image) = self.now().await;
        let desired = state(document);
        let said = &desired.interfaces()[0];
        let whole = plan.changes.iter().find_map(|change| match change {
            Change::Interface(change) => change.after.clone(),
            _ => None,
        });
        let whole = whole.unwrap_or_else(|| said.clone());
        let routes = (!desired.config_routes().is_empty()).then(|| expected_routes(&plan));
        let rules = (!desired.config_rules().is_empty()).then(|| added_rules(&plan));
        let dns = desired.dns_resolver.as_ref().and_then(|dns| dns.config.as_ref());
        let wish = Wish {
            interface: &whole,
            said,
            controller: None,
            routes: routes.as_deref(),
            rules: rules.as_deref(),
            dns,
            is_new: profile.is_none(),
        };
        let stored = profile.map(|path| image.profiles[path].profile.clone());
        let mut written = stored.unwrap_or_default();
        settings::write(&mut written, &wish, &image.version);
        let path = match profile {
            Some(path) => {
                let profile = written.clone();
                let call = Call::Update { path: path.clone(), profile, flags: IN_MEMORY, version_id: None };
                done(&self.client, call).await;
                path.clone()
            }
            None => {
                let call = Call::AddConnection { profile: written.clone(), flags: IN_MEMORY };
                done(&self.client, call).await.profile().expect("a path").clone()
            }
        };
        let (_, image) = self.now().await;
        assert_comes_back(document, &written, &image.profiles[&path].profile);
        done(&self.client, Call::Activate { profile: path.clone(), device: None, specific: None }).await;
        self.until_matched(&plan, document).await;
        path
    }
}

fn expected_routes(plan: &Plan) -> Vec<Route> {
    plan.expected.config_routes().to_vec()
}

fn added_rules(plan: &Plan) -> Vec<RouteRule> {
    let rule = |change: &Change| match change {
        Change::Rule(change) => Some(change.rule.clone()),
        _ => None,
    };
    plan.changes.iter().filter_map(rule).collect()
}

/// Every property is as it was written.
fn assert_comes_back(document: &str, written: &Profile, stored: &Profile) {
    for (setting, properties) in &written.0 {
        for (property, value) in properties {
            assert_eq!(stored.get(setting, property), Some(value), "{document}\n{setting}.{property}");
        }
    }
}

fn interface_of(state: &State, name: &str) -> Interface {
    state.interface(name).unwrap_or_else(|| panic!("no interface {name}")).clone()
}

#[test]
fn addresses_come_and_go() {
    with_manager(|harness| async move {
        let world = World::new(harness).await;
        let documents = [
            "interfaces: [{name: br0, type: linux-bridge, state: up, bridge: {port: []},
               ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}, {ip: 192.0.2.2, prefix-length: 24}]},
               ipv6: {enabled: true, address: [{ip: '2001:db8::1', prefix-length: 64}]}}]",
            "interfaces: [{name: br0, type: linux-bridge, state: up, ipv4: {enabled: true, address: [{ip: 192.0.2.2, prefix-length: 24}]}}]",
            "interfaces: [{name: br0, type: linux-bridge, state: up,
               ipv4: {enabled: false}, ipv6: {enabled: true, address: []}}]",
            "interfaces: [{name: br0, type: linux-bridge, state: up,
               ipv4: {enabled: true, dhcp: true, dhcp-client-id: 'iaid+duid', auto-dns: false, auto-route-table-id: 500,
                      auto-route-metric: 7, dhcp-custom-hostname: a.example, dhcp-send-hostname: true},
               ipv6: {enabled: true, dhcp: true, autoconf: true, dhcp-duid: llt, token: '::5', auto-gateway: false}}]",
            "interfaces: [{name: br0, type: linux-bridge, state: up,
               ipv4: {enabled: true, dhcp: true, dhcp-send-hostname: false}, ipv6: {enabled: true, dhcp: true, autoconf: false}}]",
            "interfaces: [{name: br0, type: linux-bridge, state: up, wait-ip: ipv4,
               ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.9, prefix-length: 24}], prefix-route-metric: 300},
               ipv6: {enabled: false}}]",
        ];
        let mut path = None;
        for document in documents {
            path = Some(world.apply(document, path.as_ref()).await);
        }
    });
}

#[test]
fn routes_rules_and_name_servers_go_with_their_profile() {
    with_manager(|harness| async move {
        let world = World::new(harness).await;
        let document = "
interfaces:
- name: br0
  type: linux-bridge
  state: up
  bridge: {port: []}
  ipv4: {enabled: true, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  ipv6: {enabled: true, address: [{ip: '2001:db8::1', prefix-length: 64}]}
routes:
  config:
  - {destination: 198.51.100.0/24, next-hop-interface: br0, next-hop-address: 192.0.2.7, metric: 50, mtu: 1400, cwnd: 20}
  - {destination: 0.0.0.0/0, next-hop-interface: br0, next-hop-address: 192.0.2.254}
  - {destination: 203.0.113.0/24, next-hop-interface: br0, table-id: 100, source: 192.0.2.1}
  - {destination: '2001:db8:1::/48', next-hop-interface: br0, next-hop-address: '2001:db8::2'}
  - {destination: 10.0.0.0/8, route-type: blackhole}
route-rules:
  config:
  - {ip-from: 198.51.100.0/24, route-table: 100, priority: 1000}
  - {family: ipv6, fwmark: 16, action: prohibit, priority: 1001, iif: br0}
dns-resolver:
  config: {server: ['2001:db8::53', 192.0.2.53], search: [a.example], options: [rotate]}
";
        let path = world.apply(document, None).await;
        // What nobody mentions stays, also what a document has no words for.
        world.harness.nmcli(&[
            "connection",
            "modify",
            "br0",
            "+ipv4.routes",
            "100.64.0.0/10 192.0.2.7 onlink=true",
        ]);
        let document = "interfaces: [{name: br0, type: linux-bridge, state: up, mtu: 1400}]";
        world.apply(document, Some(&path)).await;
        let (_, image) = world.now().await;
        let profile = &image.profiles[&path].profile;
        assert_eq!(settings::routes_of(profile).len(), 6);
        assert_eq!(settings::rules_of(profile).len(), 2);
        assert!(profile.to_string().contains("onlink"), "{profile}");
    });
}

#[test]
fn an_external_interface_is_taken_over_as_it_is() {
    with_manager(|harness| async move {
        ip(&["link", "add", "br0", "type", "bridge"]);
        ip(&["address", "add", "192.0.2.1/24", "dev", "br0"]);
        ip(&["link", "set", "br0", "up"]);
        let world = World::new(harness).await;
        let (before, _) = world.now().await;
        let br0 = interface_of(&before, "br0");
        assert_eq!(br0.identifier, None, "only the kernel speaks for it");
        world.apply("interfaces: [{name: br0, type: linux-bridge, state: up, mtu: 1400}]", None).await;
        let (after, _) = world.now().await;
        let br0 = interface_of(&after, "br0");
        let v4 = br0.ipv4.as_ref().expect("a section");
        assert_eq!((v4.enabled, v4.dhcp, v4.addresses().len()), (Some(true), Some(false), 1));
        assert_eq!(br0.mtu, Some(1400));
        assert!(br0.identifier.is_some());
    });
}

#[test]
fn the_loopback_has_more_addresses_and_special_routes() {
    with_manager(|harness| async move {
        let world = World::new(harness).await;
        let document = "
interfaces:
- {name: lo, type: loopback, state: up, ipv4: {enabled: true, address: [{ip: 198.51.100.1, prefix-length: 32}]},
   ipv6: {enabled: true, address: [{ip: '2001:db8::1', prefix-length: 128}]}}
";
        let path = world.apply(document, None).await;
        let (_, image) = world.now().await;
        assert_eq!(image.profiles[&path].profile.text("ipv4", "method"), Some("manual"));
    });
}

#[test]
fn global_name_servers_are_read_as_they_were_set() {
    with_manager(|harness| async move {
        let world = World::new(harness).await;
        for (server, search) in [(vec!["2001:db8::53", "192.0.2.53"], vec!["a.example"]), (vec![], vec![])] {
            let texts = |list: &[&str]| Some(list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
            let wanted = DnsSettings { server: texts(&server), search: texts(&search), options: texts(&[]) };
            let (_, image) = world.now().await;
            let placement = place(&wanted, &image.dns, &image.global_dns, &[]).expect("a place");
            assert!(placement.profiles.is_empty());
            let configuration = placement.global.expect("a change");
            done(&world.client, Call::SetGlobalDns { configuration }).await;
            let (state, image) = world.now().await;
            let again = place(&wanted, &image.dns, &image.global_dns, &[]).expect("a place");
            assert_eq!(again.global, None, "{:?}", image.global_dns);
            let config = state.dns_resolver.and_then(|dns| dns.config).expect("a section");
            assert_eq!(config.server.unwrap_or_default(), server);
            assert_eq!(config.search.unwrap_or_default(), search);
        }
    });
}
