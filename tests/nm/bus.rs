//! Calls, and the image that follows from signals.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nmstated::nm::image::{Image, ObjectPath};
use nmstated::nm::{Answer, CALLS_MAX, Call, Client, Error, Persist, Profile, Setting, Value};
use tokio::time::timeout;

use crate::harness::{Harness, done, in_own_world, ip, ip_json, refused, soon, with_manager};

/// Add: in memory, and not activated by itself.
const IN_MEMORY: u32 = 0x22;
fn uuid(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

/// A bridge with an address.
fn bridge(name: &str, number: usize, address: &str) -> Profile {
    let mut profile = Profile::default();
    profile.set("connection", "id", name);
    profile.set("connection", "uuid", uuid(number));
    profile.set("connection", "type", "bridge");
    profile.set("connection", "interface-name", name);
    profile.set("bridge", "stp", false);
    let entry = Setting::from([
        ("address".to_owned(), Value::from(address)),
        ("prefix".to_owned(), Value::from(24u32)),
    ]);
    profile.set("ipv4", "method", "manual");
    profile.set("ipv4", "address-data", vec![entry]);
    profile.set("ipv6", "method", "disabled");
    profile
}

async fn image(client: &Client) -> Arc<Image> {
    soon(client.sync()).await.expect("NetworkManager answers");
    client.image().expect("it is there")
}

/// The path of a device.
fn device(image: &Image, name: &str) -> ObjectPath {
    let found = image.devices.iter().find(|(_, device)| device.name == name && device.real);
    found.unwrap_or_else(|| panic!("no device {name}")).0.clone()
}

/// Adds a profile, activates it, and waits until its link is up and configured.
async fn up(harness: &Harness, client: &Client, profile: Profile) -> (ObjectPath, ObjectPath) {
    let answer = done(client, Call::AddConnection { profile, flags: IN_MEMORY }).await;
    let profile = answer.profile().expect("a path").clone();
    let call = Call::Activate { profile: profile.clone(), device: None, specific: None };
    let active = done(client, call).await.active().expect("a path").clone();
    let is_up = |image: Option<&Image>| {
        let of_it = image.and_then(|image| image.actives.get(&active));
        of_it.is_some_and(|active| active.is_layer2_ready())
    };
    harness.until(client, "its link is up", is_up).await;
    (profile, active)
}

#[test]
fn the_image_has_what_is_there() {
    with_manager(|harness| async move {
        ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
        harness.nmcli(&[
            "connection",
            "add",
            "type",
            "ethernet",
            "con-name",
            "wired",
            "ifname",
            "eth0",
            "ipv4.method",
            "manual",
            "ipv4.addresses",
            "192.0.2.1/24",
            "802-1x.eap",
            "md5",
            "802-1x.identity",
            "me",
            "802-1x.password",
            "hunter2",
            "connection.autoconnect",
            "no",
        ]);
        let client = harness.client().await;
        let image = image(&client).await;
        assert!(image.version.at_least(1, 42), "{:?}", image.version);
        assert!(image.owner.starts_with(':'));
        assert!(!image.startup);
        assert_eq!(image.dns.mode, "none");
        assert_eq!(image.revision, *client.revisions().borrow());
        let (_, stored) = image
            .profiles
            .iter()
            .find(|(_, stored)| stored.profile.id() == Some("wired"))
            .expect("it is stored");
        assert_eq!(stored.profile.interface_name(), Some("eth0"));
        assert_eq!(stored.profile.text("802-1x", "password"), Some("hunter2"), "with its secrets");
        assert_eq!(stored.flags, 0);
        assert!(stored.filename.ends_with("wired.nmconnection"), "{}", stored.filename);
        let eth0 = &image.devices[&device(&image, "eth0")];
        assert!(eth0.managed && eth0.active.is_none() && eth0.applied.is_none());
        assert!(!eth0.hw_address.is_empty());
        let lo = &image.devices[&device(&image, "lo")];
        let active = image.active_of(lo).expect("it is active");
        assert!(active.is_external());
        assert_eq!(lo.applied.as_ref().expect("it was read").0.uuid(), Some(active.uuid.as_str()));
        // Nothing is new once NetworkManager has said what its devices do by themselves.
        let mut seen = image.revision;
        for tries in 0.. {
            soon(client.sync()).await.expect("NetworkManager answers");
            let now = client.image().expect("it is there").revision;
            if now == seen {
                break;
            }
            assert!(tries < 100, "each look is news");
            seen = now;
        }
    });
}

#[test]
fn a_profile_is_followed_from_its_addition_to_its_deletion() {
    with_manager(|harness| async move {
        let client = harness.client().await;
        let empty = image(&client).await;
        let (path, active) = up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        soon(client.sync_applied(&[])).await.expect("it answers");
        let before = image(&client).await;
        assert!(before.revision > empty.revision);
        assert_eq!(before.profiles[&path].flags, 1, "unsaved");
        assert_eq!(before.actives[&active].uuid, uuid(1));
        assert!(before.actives[&active].is_layer2_ready());
        let br0 = device(&before, "br0");
        let (applied, version) = &**before.devices[&br0].applied.as_ref().expect("it was read");
        assert_eq!(applied.uuid(), Some(uuid(1).as_str()));

        // Changed, and applied without going down.
        let changed = bridge("br0", 1, "192.0.2.2");
        let call = Call::Update { path: path.clone(), profile: changed, flags: IN_MEMORY, version_id: None };
        done(&client, call).await;
        let call =
            Call::Reapply { device: br0.clone(), profile: Profile::default(), version: *version, flags: 0 };
        done(&client, call.clone()).await;
        let after = image(&client).await;
        let address = |profile: &Profile| profile.get("ipv4", "address-data").cloned();
        let wanted = address(&after.profiles[&path].profile);
        assert_ne!(wanted, address(applied));
        let (applied, newer) = &**after.devices[&br0].applied.as_ref().expect("it was read");
        assert_eq!(address(applied), wanted);
        assert!(newer > version);
        let error = refused(&client, call).await;
        assert!(error.is_version_mismatch(), "{}", error.name());
        // The former image stays what it was.
        assert_ne!(address(&before.profiles[&path].profile), wanted);

        // On disk, and back.
        let commit =
            Call::Update { path: path.clone(), profile: Profile::default(), flags: 0x21, version_id: None };
        done(&client, commit).await;
        let stored = image(&client).await.profiles[&path].clone();
        assert_eq!(stored.flags, 0);
        assert!(
            stored.filename.starts_with("/etc/NetworkManager/system-connections/"),
            "{}",
            stored.filename
        );
        assert_eq!(address(&stored.profile), wanted);

        done(&client, Call::Delete { path: path.clone() }).await;
        assert!(!image(&client).await.profiles.contains_key(&path));
        let gone = |image: Option<&Image>| image.is_some_and(|image| !image.devices.contains_key(&br0));
        let last = harness.until(&client, "the link is gone", gone).await.expect("it is there");
        let ended = last.ended(&active).expect("it has ended");
        assert_eq!((ended.uuid.as_str(), ended.state), (uuid(1).as_str(), 4));
        assert_ne!(ended.device_reason, 0);
        let error = refused(&client, Call::Delete { path }).await;
        assert!(error.is_gone(), "{}", error.name());
    });
}

#[test]
fn what_others_do_is_followed() {
    with_manager(|harness| async move {
        let client = harness.client().await;
        let (path, _) = up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        harness.nmcli(&["connection", "modify", "br0", "connection.autoconnect-priority", "7"]);
        let seen = image(&client).await;
        let priority = seen.profiles[&path].profile.get("connection", "autoconnect-priority").cloned();
        assert_eq!(priority, Some(Value::I32(7)));
        // NetworkManager does not say that something was reapplied; its addresses change.
        harness.nmcli(&["device", "modify", "br0", "+ipv4.addresses", "192.0.2.9/24"]);
        let has_both = |image: Option<&Image>| {
            let image = image.expect("it is there");
            let applied = image.devices[&device(image, "br0")].applied.clone();
            let addresses =
                applied.as_ref().and_then(|applied| applied.0.get("ipv4", "address-data")?.as_dicts());
            addresses.is_some_and(|addresses| addresses.len() == 2)
        };
        harness.until(&client, "both addresses are applied", has_both).await;
        let br0 = device(&seen, "br0");
        soon(client.sync_applied(std::slice::from_ref(&br0))).await.expect("it answers");
        done(&client, Call::Disconnect { device: br0.clone() }).await;
        let error = refused(&client, Call::Disconnect { device: br0.clone() }).await;
        assert!(error.is_not_active() || error.is_gone(), "{}", error.name());
    });
}

#[test]
fn hundreds_of_calls_are_under_way_at_once_and_in_order() {
    const CALLS: usize = 250;
    with_manager(|harness| async move {
        let client = harness.client().await;
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let profile = bridge(&format!("br{number}"), number, "192.0.2.1");
                client.start(Call::AddConnection { profile, flags: IN_MEMORY })
            })
            .collect();
        // The answers are awaited from the last to the first; NetworkManager numbers what it adds.
        let mut numbers = Vec::new();
        for call in calls.into_iter().rev() {
            let Answer::Profile(path) = soon(call).await.expect("it is added") else { panic!("no path") };
            numbers.push(path.rsplit('/').next().expect("a last part").parse::<u32>().expect("a number"));
        }
        assert!(numbers.is_sorted_by(|later, earlier| later > earlier), "{numbers:?}");
        let image = image(&client).await;
        for number in 0..CALLS {
            let (_, stored) = image.stored(&uuid(number)).expect("it is in the image");
            assert_eq!(stored.profile.interface_name(), Some(&*format!("br{number}")));
        }
        let again = Call::AddConnection { profile: bridge("x", 5, "192.0.2.1"), flags: IN_MEMORY };
        let error = refused(&client, again).await;
        assert!(error.is_uuid_taken(), "{}", error.name());
    });
}

#[test]
fn there_is_a_limit_to_calls_under_way() {
    with_manager(|harness| async move {
        let client = harness.client().await;
        image(&client).await;
        harness.freeze();
        let calls: Vec<_> = (0..CALLS_MAX).map(|_| client.start(Call::ReloadConnections)).collect();
        let error = refused(&client, Call::ReloadConnections).await;
        assert_eq!(error.name(), "org.freedesktop.DBus.Error.LimitsExceeded");
        // Nobody waits for them any more.
        drop(calls);
        let call = client.start(Call::ReloadConnections);
        harness.thaw();
        assert_eq!(soon(call).await, Ok(Answer::Done));
    });
}

#[test]
fn another_process_never_gets_what_was_meant_for_the_former() {
    with_manager(|mut harness| async move {
        let client = harness.client().await;
        let (_, _) = up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        let former = image(&client).await;
        let call = Call::CheckpointCreate { devices: vec![], timeout_s: 60, flags: 6 };
        let checkpoint = done(&client, call).await.checkpoint().expect("a path").clone();
        let kept = client.of(&former);
        assert_eq!(*client.losses().borrow(), 0);
        // A call that is under way is answered, too.
        harness.freeze();
        let call = client.start(Call::ReloadConnections);
        harness.kill();
        let error = soon(call).await.expect_err("nobody answers");
        assert!(error.is_absent_service(), "{}", error.name());
        harness.until(&client, "it is gone", |image| image.is_none()).await;
        assert_eq!(*client.losses().borrow(), 1);
        assert_eq!(soon(client.sync()).await, Err(Error::absent()));
        assert_eq!(refused(&client, Call::ReloadConnections).await, Error::absent());

        harness.spawn();
        let image = harness.until(&client, "it is back", |image| image.is_some()).await.expect("it is there");
        // What is seen first is whole.
        assert!(image.stored(&uuid(1)).is_some());
        assert!(image.devices[&device(&image, "br0")].real);
        assert_ne!(image.owner, former.owner);
        assert!(image.revision > former.revision);
        assert!(image.checkpoints.is_empty(), "lost with the process");
        let error = refused(&kept, Call::CheckpointRollback { path: checkpoint }).await;
        assert!(error.is_absent_service(), "{}", error.name());
        done(&client, Call::ReloadConnections).await;
        assert_eq!(*client.losses().borrow(), 1);
    });
}

/// Profiles and what is active survive a polite restart, under other paths.
#[test]
fn a_restart_is_followed() {
    with_manager(|mut harness| async move {
        let client = harness.client().await;
        up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        let former = image(&client).await;
        harness.restart().await;
        let image = image(&client).await;
        assert_ne!(image.owner, former.owner);
        assert_eq!(*client.losses().borrow(), 1);
        let kept = image.stored(&uuid(1)).expect("it is stored").1;
        assert_eq!(kept.profile.text("connection", "interface-name"), Some("br0"));
        let active = image.active_of(&image.devices[&device(&image, "br0")]).expect("it is active");
        assert_eq!(active.uuid, uuid(1));
        assert!(!active.is_external());
    });
}

#[test]
fn it_may_come_later() {
    in_own_world(|| async {
        let mut harness = Harness::without_manager();
        let client = harness.client().await;
        assert_eq!(soon(client.sync()).await, Err(Error::absent()));
        assert!(client.image().is_none());
        harness.spawn();
        harness.until(&client, "it has come", |image| image.is_some()).await;
        soon(client.sync()).await.expect("it answers");
        harness.stop();
        harness.until(&client, "it is gone", |image| image.is_none()).await;
    });
}

/// One that hangs keeps nobody waiting for what is known, and is followed once it goes on.
#[test]
fn one_that_hangs_does_not_stop_the_keeper() {
    with_manager(|harness| async move {
        let client = harness.client().await;
        let before = image(&client).await;
        harness.freeze();
        let call =
            client.start(Call::AddConnection { profile: bridge("br0", 1, "192.0.2.1"), flags: IN_MEMORY });
        assert!(timeout(Duration::from_millis(200), client.sync()).await.is_err(), "it does not answer");
        assert_eq!(client.image().expect("it is there").revision, before.revision);
        harness.thaw();
        soon(call).await.expect("it is added");
        soon(client.sync()).await.expect("it answers");
        assert!(client.image().expect("it is there").stored(&uuid(1)).is_some());
    });
}

#[test]
fn a_checkpoint_is_made_kept_and_rolled_back() {
    with_manager(|harness| async move {
        ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "eth1"]);
        let client = harness.client().await;
        up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        let create = |timeout_s| Call::CheckpointCreate { devices: vec![], timeout_s, flags: 0x6 };
        let path = done(&client, create(60)).await.checkpoint().expect("a path").clone();
        let seen = image(&client).await.checkpoints[&path].clone();
        assert_eq!(seen.rollback_timeout, 60);
        assert!(seen.created > 0);
        assert!(seen.devices.contains(&device(&*image(&client).await, "br0")));
        let error = refused(&client, create(60)).await;
        assert!(error.is_invalid_arguments(), "{}", error.name());

        done(&client, Call::CheckpointAdjust { path: path.clone(), timeout_s: 100 }).await;
        let longer = image(&client).await.checkpoints[&path].rollback_timeout;
        assert!(longer >= 100, "{longer}");
        done(&client, Call::CheckpointDestroy { path: path.clone() }).await;
        assert_eq!(image(&client).await.checkpoints, BTreeMap::new());
        let error = refused(&client, Call::CheckpointDestroy { path }).await;
        assert!(error.is_invalid_arguments(), "{}", error.name());

        // Back to what it was: what is new is deleted.
        let path = done(&client, create(60)).await.checkpoint().expect("a path").clone();
        let mut wired = bridge("eth0", 2, "192.0.2.2");
        wired.0.remove("bridge");
        wired.set("connection", "type", "802-3-ethernet");
        let eth0 = device(&*image(&client).await, "eth0");
        let call = Call::AddAndActivate { profile: wired, device: Some(eth0), persist: Persist::Memory };
        let answer = done(&client, call).await;
        let added = answer.profile().expect("a path").clone();
        assert!(image(&client).await.profiles.contains_key(&added));
        let Answer::RolledBack(results) = done(&client, Call::CheckpointRollback { path }).await else {
            panic!("no results")
        };
        assert!(results.values().all(|result| *result == 0), "{results:?}");
        let gone = |image: Option<&Image>| image.is_some_and(|image| !image.profiles.contains_key(&added));
        harness.until(&client, "the new profile is gone", gone).await;
    });
}

#[test]
fn refusals_say_what_they_are() {
    with_manager(|harness| async move {
        use nmstated::state::ErrorKind;
        let client = harness.client().await;
        image(&client).await;
        let mut unknown = bridge("br0", 1, "192.0.2.1");
        unknown.set("ipv4", "of-a-later-version", true);
        let error = refused(&client, Call::AddConnection { profile: unknown, flags: IN_MEMORY }).await;
        assert_eq!(
            (error.kind(), error.property()),
            (ErrorKind::DependencyError, Some(("ipv4", "of-a-later-version"))),
            "{error}"
        );

        let mut wrong = bridge("br0", 1, "192.0.2.1");
        wrong.set("ipv4", "method", "hunter2");
        let error = refused(&client, Call::AddConnection { profile: wrong, flags: IN_MEMORY }).await;
        assert_eq!(
            (error.kind(), error.property()),
            (ErrorKind::InvalidArgument, Some(("ipv4", "method"))),
            "{error}"
        );

        let mut orphan = bridge("v9", 1, "192.0.2.1");
        orphan.0.remove("bridge");
        orphan.set("connection", "type", "vlan");
        orphan.set("vlan", "parent", "nowhere");
        orphan.set("vlan", "id", 9u32);
        let answer = done(&client, Call::AddConnection { profile: orphan, flags: IN_MEMORY }).await;
        let profile = answer.profile().expect("a path").clone();
        let error = refused(&client, Call::Activate { profile, device: None, specific: None }).await;
        assert!(error.is_dependency(), "{} {error}", error.name());
    });
}

#[test]
fn the_host_name_global_dns_and_devices_can_be_set() {
    with_manager(|harness| async move {
        let client = harness.client().await;
        up(&harness, &client, bridge("br0", 1, "192.0.2.1")).await;
        let br0 = device(&*image(&client).await, "br0");
        let server = Setting::from([("servers".to_owned(), Value::Texts(vec!["192.0.2.53".to_owned()]))]);
        let domains = Setting::from([("*".to_owned(), Value::Dict(server))]);
        let configuration = Setting::from([
            ("domains".to_owned(), Value::Dict(domains)),
            ("searches".to_owned(), Value::Texts(vec!["example.org".to_owned()])),
        ]);
        done(&client, Call::SetGlobalDns { configuration: configuration.clone() }).await;
        let seen = image(&client).await.global_dns.clone();
        assert_eq!(seen["searches"], configuration["searches"]);
        assert!(format!("{:?}", seen["domains"]).contains("192.0.2.53"));
        done(&client, Call::SetGlobalDns { configuration: Setting::new() }).await;

        done(&client, Call::SetAutoconnect { device: br0.clone(), on: false }).await;
        assert!(!image(&client).await.devices[&br0].autoconnect);
        done(&client, Call::SaveHostname { name: "another".to_owned() }).await;
        harness
            .until(&client, "it has the name", |image| image.is_some_and(|image| image.hostname == "another"))
            .await;
        done(&client, Call::SetManaged { device: br0.clone(), on: false }).await;
        assert!(!image(&client).await.devices[&br0].managed);
        done(&client, Call::DeleteDevice { device: br0 }).await;
        assert_eq!(ip_json(&["link", "show", "type", "bridge"]), serde_json::json!([]));
    });
}

#[test]
fn a_bus_that_is_lost_is_found_again() {
    with_manager(|mut harness| async move {
        let client = harness.client().await;
        let former = image(&client).await;
        harness.freeze();
        let call = client.start(Call::ReloadConnections);
        harness.restart_bus();
        let error = soon(call).await.expect_err("nobody answers");
        assert!(error.is_absent_service(), "{}", error.name());
        assert!(client.image().is_none());
        assert_eq!(*client.losses().borrow(), 1);
        harness.spawn();
        let image = harness.until(&client, "it is there again", |image| image.is_some()).await;
        assert!(image.expect("it is there").revision > former.revision);
        done(&client, Call::ReloadConnections).await;
    });
}
