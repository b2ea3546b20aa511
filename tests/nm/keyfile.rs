//! Profiles as files, judged by NetworkManager: a file says what the profile says that it was made of.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nmstated::nm::settings::{Wish, drop_twins, ovs_ports, refusals, write, write_ovs_port};
use nmstated::nm::{Call, Profile, Value};
use nmstated::state::Document;
use nmstated::tools::configuration::{keyfile, network_manager};

use crate::harness::{Harness, soon, with_manager};
use crate::settings::{documents, without_empty};

/// Add: in memory, and not activated by itself.
const IN_MEMORY: u32 = 0x22;

const FOLDER: &str = "/etc/NetworkManager/system-connections";

/// A file that NetworkManager reads when it starts. Others may not read it, or it is ignored.
fn put(name: &str, text: &str) {
    let path = Path::new(FOLDER).join(name);
    fs::write(&path, text).expect("our own folder");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our own file");
}

/// Without what only tells profiles apart, and what NetworkManager notes down.
fn contents(profile: &Profile) -> Profile {
    let mut own = profile.clone();
    drop_twins(&mut own);
    ["id", "uuid", "timestamp", "permissions"].iter().for_each(|key| own.unset("connection", key));
    let mut own = without_empty(&own);
    own.0.retain(|name, setting| name == "connection" || !setting.is_empty());
    own
}

#[test]
fn a_file_says_what_its_profile_says() {
    with_manager(|mut harness: Harness| async move {
        let version = harness.client().await.image().expect("it is there").version.clone();
        harness.stop();
        let mut profiles: Vec<(String, Profile)> = Vec::new();
        for (place, interfaces) in documents() {
            for interface in &interfaces {
                let is_unresolved = interface.name.starts_with("sriov:");
                if interface.is_absent() || is_unresolved || !refusals(interface, &version).is_empty() {
                    continue;
                }
                let controller =
                    interfaces.iter().find(|other| interface.controller.as_ref() == Some(&other.name));
                let wish = Wish {
                    interface,
                    said: interface,
                    controller,
                    routes: None,
                    rules: None,
                    dns: None,
                    is_new: true,
                };
                let mut profile = Profile::default();
                write(&mut profile, &wish, &version);
                profiles.push((format!("{place}: {}", interface.name), profile));
                for port in ovs_ports(interface) {
                    let mut profile = Profile::default();
                    write_ovs_port(&mut profile, &port);
                    profiles.push((format!("{place}: {}", port.port.name), profile));
                }
            }
        }
        for (index, (_, profile)) in profiles.iter_mut().enumerate() {
            profile.set("connection", "uuid", format!("00000000-0000-4000-8000-{index:012}"));
            profile.set("connection", "autoconnect", false);
            put(&format!("{index}.nmconnection"), &keyfile(profile));
        }
        harness.begin().await;
        let client = harness.client().await;
        let mut complaints = Vec::new();
        for (place, mut profile) in profiles.clone() {
            let uuid = profile.uuid().expect("it has one").to_owned();
            let image = client.image().expect("it is there");
            let read = image.profiles.values().find(|stored| stored.profile.uuid() == Some(&uuid));
            let Some(mut read) = read.map(|stored| contents(&stored.profile)) else {
                complaints.push(format!("{place}: not read\n{}", keyfile(&profile)));
                continue;
            };
            // Who does not say how addresses are made means another default in a file than over D-Bus.
            if profile.get("ipv6", "addr-gen-mode").is_none() {
                read.unset("ipv6", "addr-gen-mode");
            }
            profile.set("connection", "uuid", uuid.replace("4000-8000", "4000-9000"));
            let call = Call::AddConnection { profile: profile.clone(), flags: IN_MEMORY };
            let path = soon(client.start(call)).await.expect("a profile").profile().expect("a path").clone();
            soon(client.sync()).await.expect("NetworkManager answers");
            let given = contents(&client.image().expect("it is there").profiles[&path].profile);
            if given != read {
                complaints.push(format!("{place}:\n{}\ngiven\n{given}read\n{read}", keyfile(&profile)));
            }
            soon(client.start(Call::Delete { path })).await.expect("it is deleted");
        }
        assert!(complaints.is_empty(), "{version:?}\n{}", complaints.join("\n"));
        assert!(profiles.len() > 100, "{} profiles", profiles.len());
    });
}

/// Types that this NetworkManager may be too old for.
const YOUNG: [&str; 2] = ["hsr", "ipvlan"];

#[test]
fn every_file_of_a_document_is_read_also_by_an_older_one() {
    with_manager(|mut harness: Harness| async move {
        harness.stop();
        let root = env!("CARGO_MANIFEST_DIR");
        let mut places: BTreeMap<String, (String, String)> = BTreeMap::new();
        for folder in ["host", "kernel", "managed"] {
            for entry in fs::read_dir(format!("{root}/docs/examples/{folder}")).expect("there are examples") {
                let path = entry.expect("it can be listed").path();
                let text = fs::read_to_string(&path).expect("it can be read");
                let (state, _) = Document::from_text(&text).expect("it is YAML").state().expect("a state");
                for (_, text) in network_manager(&state).map(|made| made.files).unwrap_or_default() {
                    if YOUNG.iter().any(|kind| text.contains(&format!("\ntype={kind}\n"))) {
                        continue;
                    }
                    let index = places.len();
                    let uuid = format!("00000000-0000-4000-8000-{index:012}");
                    let mut lines: Vec<String> = text
                        .lines()
                        .filter(|line| !line.starts_with("autoconnect="))
                        .map(str::to_owned)
                        .collect();
                    lines.iter_mut().filter(|line| line.starts_with("uuid=")).for_each(|line| {
                        *line = format!("uuid={uuid}\nautoconnect=false");
                    });
                    let text = lines.join("\n") + "\n";
                    put(&format!("{index}.nmconnection"), &text);
                    places.insert(uuid, (path.display().to_string(), text));
                }
            }
        }
        harness.begin().await;
        let image = harness.client().await.image().expect("it is there");
        let known: Vec<&str> = image.profiles.values().filter_map(|stored| stored.profile.uuid()).collect();
        let lost = places.iter().filter(|(uuid, _)| !known.contains(&uuid.as_str()));
        let lost: Vec<String> = lost.map(|(_, (place, text))| format!("{place}\n{text}")).collect();
        assert!(lost.is_empty(), "not read:\n{}", lost.join("\n"));
        assert!(places.len() > 60, "{} files", places.len());
        let is_off = |stored: &Profile| stored.get("connection", "autoconnect") == Some(&Value::Bool(false));
        assert!(image.profiles.values().all(|stored| is_off(&stored.profile)), "a key was lost");
    });
}
