//! What is written of a document, judged by NetworkManager: it takes the profiles, and gives them back so that writing
//! the same again finds nothing to change.

use std::collections::BTreeMap;

use nmstated::nm::settings::{Wish, drop_twins, ovs_ports, read, refusals, write, write_ovs_port};
use nmstated::nm::{Call, Profile};
use nmstated::state::{Bridge, Document, Interface};

use crate::harness::{Harness, soon, with_manager};

/// Add: in memory, and not activated by itself.
const IN_MEMORY: u32 = 0x22;

/// A bond that nobody has configured, as a query shows it: with every option that the kernel has. Whoever applies what
/// was shown must not be refused because of an option that the mode does not take.
const SHOWN_BOND: &str = "
interfaces:
- name: bond0
  type: bond
  link-aggregation:
    mode: MODE
    options:
      ad_actor_sys_prio: 65535
      ad_actor_system: 00:00:00:00:00:00
      ad_select: stable
      ad_user_port_key: 0
      all_slaves_active: dropped
      arp_all_targets: any
      arp_interval: 0
      arp_ip_target: ''
      arp_missed_max: 2
      arp_validate: none
      downdelay: 0
      fail_over_mac: none
      lacp_active: true
      lacp_rate: slow
      lp_interval: 1
      miimon: 0
      min_links: 0
      ns_ip6_target: []
      num_grat_arp: 1
      num_unsol_na: 1
      packets_per_slave: 1
      primary: ''
      primary_reselect: always
      resend_igmp: 1
      tlb_dynamic_lb: true
      updelay: 0
      use_carrier: true
      xmit_hash_policy: layer2
";

/// Documents: those of the goldens, and the examples. Each with a name.
pub fn documents() -> Vec<(String, Vec<Interface>)> {
    let root = env!("CARGO_MANIFEST_DIR");
    let goldens = include_str!("../../src/nm/settings/goldens.txt").split("\n### ").skip(1);
    let mut found: Vec<(String, String)> = goldens
        .map(|case| {
            let (title, rest) = case.split_once('\n').expect("a title is a line");
            let (yaml, _) = rest.split_once("---\n").expect("a document ends with a line");
            (title.to_owned(), format!("interfaces:\n{yaml}"))
        })
        .collect();
    for mode in
        ["balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"]
    {
        found.push((mode.to_owned(), SHOWN_BOND.replace("MODE", mode)));
    }
    for folder in ["kernel", "managed"] {
        let entries =
            std::fs::read_dir(format!("{root}/docs/examples/{folder}")).expect("there are examples");
        let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
        files.sort();
        for file in files {
            found.push((file.display().to_string(), std::fs::read_to_string(&file).expect("it can be read")));
        }
    }
    let interfaces = |yaml: String| {
        let document = Document::from_text(&yaml).expect("it is YAML");
        attached(document.state().expect("it is a state").0.interfaces.unwrap_or_default())
    };
    found.into_iter().map(|(name, yaml)| (name, interfaces(yaml))).collect()
}

/// Ports that say who controls them, as they do in a plan.
fn attached(interfaces: Vec<Interface>) -> Vec<Interface> {
    let mut controllers = BTreeMap::new();
    for controller in &interfaces {
        let bond = controller.bond.as_ref().and_then(|bond| bond.port.clone()).unwrap_or_default();
        let vrf = controller.vrf.as_ref().and_then(|vrf| vrf.port.clone()).unwrap_or_default();
        let linux =
            controller.bridge.as_deref().and_then(Bridge::linux).and_then(|bridge| bridge.port.as_ref());
        let linux = linux.into_iter().flatten().map(|port| port.name.clone());
        let ovs = ovs_ports(controller).into_iter().flat_map(|port| {
            match port.port.bond.and_then(|bond| bond.port) {
                Some(members) => members.into_iter().map(|member| member.name).collect(),
                None => vec![port.port.name],
            }
        });
        let names = bond.into_iter().chain(vrf).chain(linux).chain(ovs);
        controllers.extend(names.map(|name| (name, controller.name.clone())));
    }
    let controller = |interface: &Interface| controllers.get(&interface.name).cloned();
    let attach = |interface: Interface| Interface {
        controller: interface.controller.clone().or_else(|| controller(&interface)),
        ..interface
    };
    interfaces.into_iter().map(attach).collect()
}

/// What a profile says of the link; for IP there are other tests.
fn link(profile: &Profile) -> Interface {
    Interface { ipv4: None, ipv6: None, ..read(profile) }
}

/// NetworkManager gives back some lists without entries where nothing was said, and some not.
pub fn without_empty(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    profile.0.values_mut().for_each(|setting| setting.retain(|_, value| !value.is_empty()));
    profile
}

#[test]
fn takes_every_profile_and_gives_it_back() {
    with_manager(|harness: Harness| async move {
        let client = harness.client().await;
        let version = client.image().expect("it is there").version.clone();
        let mut complaints = Vec::new();
        let mut count = 0_usize;
        for (place, interfaces) in documents() {
            for interface in &interfaces {
                let name = &interface.name;
                // A virtual function gets its name while the document is planned.
                let is_unresolved = name.starts_with("sriov:");
                if interface.is_absent() || is_unresolved || !refusals(interface, &version).is_empty() {
                    continue;
                }
                let controller =
                    interfaces.iter().find(|other| interface.controller.as_ref() == Some(&other.name));
                let wish = |is_new| Wish {
                    interface,
                    said: interface,
                    controller,
                    routes: None,
                    rules: None,
                    dns: None,
                    is_new,
                };
                let mut written = Profile::default();
                write(&mut written, &wish(true), &version);
                let mut profiles = vec![(format!("{place}: {name}"), written, None)];
                for port in ovs_ports(interface) {
                    let mut profile = Profile::default();
                    write_ovs_port(&mut profile, &port);
                    profiles.push((format!("{place}: {name}: {}", port.port.name), profile, Some(port)));
                }
                for (place, mut profile, port) in profiles {
                    count += 1;
                    profile.set("connection", "uuid", format!("00000000-0000-4000-8000-{count:012}"));
                    let call = Call::AddConnection { profile: profile.clone(), flags: IN_MEMORY };
                    let path = match soon(client.start(call)).await {
                        Ok(answer) => answer.profile().expect("a path").clone(),
                        Err(error) => {
                            complaints.push(format!("{place}: {error}\n{profile}"));
                            continue;
                        }
                    };
                    soon(client.sync()).await.expect("NetworkManager answers");
                    let image = client.image().expect("it is there");
                    let mut stored = image.profiles[&path].profile.clone();
                    drop_twins(&mut stored);
                    let mut again = stored.clone();
                    match &port {
                        Some(port) => write_ovs_port(&mut again, port),
                        None => write(&mut again, &wish(false), &version),
                    }
                    if without_empty(&again) != without_empty(&stored) {
                        complaints.push(format!("{place}: given\n{stored}written\n{again}"));
                    }
                    if port.is_none() && link(&stored) != link(&profile) {
                        complaints.push(format!(
                            "{place}: read {:?}\nwritten {:?}",
                            link(&stored),
                            link(&profile)
                        ));
                    }
                    soon(client.start(Call::Delete { path })).await.expect("it is deleted");
                }
            }
        }
        assert!(complaints.is_empty(), "{version:?}\n{}", complaints.join("\n"));
        assert!(count > 100, "{count} profiles");
    });
}
