//! NetworkManager's side of the conversation is played by hand.

use super::*;

const OWNER: &str = ":1.5";
const P1: &str = "/org/freedesktop/NetworkManager/Settings/1";
const D1: &str = "/org/freedesktop/NetworkManager/Devices/1";
const A1: &str = "/org/freedesktop/NetworkManager/ActiveConnection/1";
const C1: &str = "/org/freedesktop/NetworkManager/IP4Config/1";

type Sent<'a> = Vec<(&'a str, Vec<(&'a str, Vec<(&'a str, Variant<'a>)>)>)>;

fn path(path: &str) -> zbus::ObjectPath<'_> {
    zbus::ObjectPath::try_from(path).expect("a path")
}

fn answer<B: serde::Serialize + zbus::DynamicType>(body: &B) -> Message {
    let call = Message::method_call("/", "M").build(&()).expect("a message");
    Message::method_return(&call.header()).build(body).expect("a message")
}

/// The objects as the bus has them.
fn listed(objects: Sent<'_>) -> Message {
    let objects: HashMap<_, HashMap<_, HashMap<_, _>>> = objects
        .into_iter()
        .map(|(object, interfaces)| {
            let interfaces =
                interfaces.into_iter().map(|(name, properties)| (name, properties.into_iter().collect()));
            (path(object), interfaces.collect())
        })
        .collect();
    answer(&objects)
}

fn signal<B: serde::Serialize + zbus::DynamicType>(
    object: &str,
    interface: &str,
    member: &str,
    body: &B,
) -> Message {
    Message::signal(object, interface, member).sender(OWNER).build(body).expect("a message")
}

fn changed(object: &str, interface: &str, property: &str, value: Variant<'_>) -> Message {
    let properties = HashMap::from([(property, value)]);
    signal(object, PROPERTIES, "PropertiesChanged", &(interface, properties, Vec::<&str>::new()))
}

fn profile(id: &str) -> Message {
    let mut profile = Profile::default();
    profile.set("connection", "id", id);
    profile.set("connection", "uuid", "u1");
    answer(&wire::write_profile(&profile).expect("it can be sent"))
}

fn applied(version: u64) -> Message {
    let mut profile = Profile::default();
    profile.set("connection", "uuid", "u1");
    answer(&(wire::write_profile(&profile).expect("it can be sent"), version))
}

fn gone() -> Error {
    Error::new("org.freedesktop.DBus.Error.UnknownMethod", "Object does not exist at path")
}

/// A profile that is active on a device; everything is read.
fn ready() -> Live {
    let mut live = Live::default();
    live.owner_changed(Some(OWNER.to_owned()));
    assert_eq!(live.take_questions(), [Question::Objects]);
    live.answered(
        Question::Objects,
        Ok(&listed(vec![
            (
                "/org/freedesktop/NetworkManager",
                vec![(
                    MANAGER,
                    vec![
                        ("Version", "1.52.1".into()),
                        ("VersionInfo", vec![78849u32, 1].into()),
                        ("Capabilities", vec![1u32, 2].into()),
                    ],
                )],
            ),
            (P1, vec![(PROFILE, vec![("Flags", 1u32.into())])]),
            (
                D1,
                vec![(
                    DEVICE,
                    vec![
                        ("Interface", "eth0".into()),
                        ("ActiveConnection", path(A1).into()),
                        ("Ip4Config", path(C1).into()),
                    ],
                )],
            ),
            (A1, vec![(ACTIVE, vec![("State", 2u32.into())])]),
        ])),
    );
    assert!(!live.is_ready());
    let questions = live.take_questions();
    assert_eq!(questions, [Question::Contents(P1.to_owned()), Question::Applied(D1.to_owned())]);
    live.answered(questions[0].clone(), Ok(&profile("one")));
    assert!(!live.is_ready());
    live.answered(questions[1].clone(), Ok(&applied(1)));
    assert!(live.is_ready() && live.take_changed());
    live
}

fn tell(live: &mut Live, signal: &Message) {
    live.signal(signal, |_| false);
}

fn image(live: &Live) -> &Image {
    live.image.as_deref().expect("it is there")
}

#[test]
fn the_image_is_shown_when_everything_is_read() {
    let live = ready();
    let image = image(&live);
    assert_eq!((image.version.major, image.version.minor, image.version.micro), (1, 52, 1));
    assert_eq!((image.version.bits, image.version.has_ovs), (1, true));
    assert_eq!(image.profiles[P1].profile.id(), Some("one"));
    assert_eq!(image.profiles[P1].flags, 1);
    assert_eq!(image.devices[D1].applied.as_ref().map(|applied| applied.1), Some(1));
}

#[test]
fn what_was_said_before_the_list_is_in_the_list() {
    let mut live = Live::default();
    live.owner_changed(Some(OWNER.to_owned()));
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    tell(&mut live, &changed(D1, DEVICE, "Managed", true.into()));
    assert_eq!(live.take_questions(), [Question::Objects]);
}

#[test]
fn what_vanishes_between_list_and_reading_is_not_there() {
    let mut live = Live::default();
    live.owner_changed(Some(OWNER.to_owned()));
    let objects = vec![(P1, vec![(PROFILE, vec![])])];
    live.answered(Question::Objects, Ok(&listed(objects)));
    live.answered(Question::Contents(P1.to_owned()), Err(gone()));
    assert!(live.is_ready());
    assert!(image(&live).profiles.is_empty());
}

#[test]
fn a_profile_that_changes_while_it_is_read_is_read_once_more() {
    let mut live = ready();
    live.take_questions();
    for _ in 0..5 {
        tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    }
    assert_eq!(live.take_questions(), [Question::Contents(P1.to_owned())]);
    live.answered(Question::Contents(P1.to_owned()), Ok(&profile("two")));
    assert_eq!(image(&live).profiles[P1].profile.id(), Some("two"));
    assert_eq!(live.take_questions(), [Question::Contents(P1.to_owned())]);
    live.answered(Question::Contents(P1.to_owned()), Ok(&profile("three")));
    assert_eq!(image(&live).profiles[P1].profile.id(), Some("three"));
    assert_eq!(live.take_questions(), []);
}

#[test]
fn a_barrier_waits_for_the_readings_caused_before_it_and_no_others() {
    let mut live = ready();
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.barrier(1, Doubts::Known, vec![]);
    assert_eq!(
        live.take_questions(),
        [Question::Contents(P1.to_owned()), Question::Barrier(1, Doubts::Known)]
    );
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.answered(Question::Barrier(1, Doubts::Known), Ok(&answer(&true)));
    assert_eq!(live.take_passed(), [0; 0]);
    live.answered(Question::Contents(P1.to_owned()), Ok(&profile("two")));
    assert_eq!(live.take_passed(), [0; 0], "it was said to have changed before the barrier");
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.answered(Question::Contents(P1.to_owned()), Ok(&profile("three")));
    assert_eq!(live.take_passed(), [1], "what was said behind the barrier keeps nobody waiting");
}

#[test]
fn what_a_device_runs_with_is_asked_again_when_it_may_have_changed() {
    let mut live = ready();
    assert!(!live.has_doubts());
    // Another program has reapplied.
    tell(&mut live, &changed(C1, IP_CONFIGS[0], "AddressData", vec![1u32].into()));
    tell(&mut live, &signal(D1, DEVICE, "StateChanged", &(100u32, 90u32, 0u32)));
    assert!(live.has_doubts());
    assert_eq!(live.take_questions(), [], "not at once");
    live.settle(Doubts::AtRest);
    assert_eq!(live.take_questions(), [Question::Applied(D1.to_owned())]);
    live.answered(Question::Applied(D1.to_owned()), Ok(&applied(2)));
    assert_eq!(image(&live).devices[D1].applied.as_ref().map(|applied| applied.1), Some(2));
    // A barrier brings it, too; and who asks for it gets it.
    live.barrier(7, Doubts::Known, vec![D1.to_owned()]);
    live.answered(Question::Barrier(7, Doubts::Known), Ok(&answer(&true)));
    assert_eq!(
        live.take_questions(),
        [Question::Barrier(7, Doubts::Known), Question::Applied(D1.to_owned())]
    );
    live.answered(Question::Applied(D1.to_owned()), Ok(&applied(3)));
    assert_eq!(live.take_passed(), [7]);
}

#[test]
fn what_a_new_activation_runs_with_is_asked_once_it_is_there_or_for_who_must_know() {
    const A2: &str = "/org/freedesktop/NetworkManager/ActiveConnection/2";
    let begun = || {
        let mut live = ready();
        tell(&mut live, &changed(D1, DEVICE, "ActiveConnection", path(A2).into()));
        tell(&mut live, &signal(D1, DEVICE, "StateChanged", &(70u32, 50u32, 0u32)));
        live.barrier(1, Doubts::Known, vec![]);
        live.take_questions();
        live.answered(Question::Barrier(1, Doubts::Known), Ok(&answer(&true)));
        assert_eq!((live.take_questions(), live.take_passed()), (vec![], vec![1]));
        assert!(!live.has_doubts(), "of what could be asked now");
        live
    };
    let asked = [Question::Applied(D1.to_owned())];
    let mut live = begun();
    tell(&mut live, &signal(D1, DEVICE, "StateChanged", &(100u32, 90u32, 0u32)));
    assert!(live.has_doubts());
    live.settle(Doubts::AtRest);
    assert_eq!(live.take_questions(), asked);
    let mut live = begun();
    live.answered(Question::Barrier(2, Doubts::All), Ok(&answer(&true)));
    assert_eq!(live.take_questions(), asked);
    live.answered(Question::Applied(D1.to_owned()), Ok(&applied(1)));
    assert_eq!(live.take_passed(), [2]);
}

#[test]
fn a_profile_that_we_keep_as_it_is_is_read_when_there_is_time() {
    let mut live = ready();
    live.signal(&signal(P1, PROFILE, "Updated", &()), |profile| profile == P1);
    assert_eq!(live.take_questions(), []);
    assert!(live.has_doubts(), "somebody else may have changed it at the same time");
    live.settle(Doubts::AtRest);
    assert_eq!(live.take_questions(), [Question::Contents(P1.to_owned())]);
    assert!(!live.has_doubts());
}

#[test]
fn an_active_connection_that_ends_is_remembered_with_its_reason() {
    let mut live = ready();
    tell(&mut live, &signal(D1, DEVICE, "StateChanged", &(120u32, 70u32, 5u32)));
    tell(&mut live, &signal(A1, ACTIVE, "StateChanged", &(4u32, 3u32)));
    tell(&mut live, &signal(D1, DEVICE, "StateChanged", &(30u32, 120u32, 0u32)));
    tell(&mut live, &signal("/org/freedesktop", OBJECTS, "InterfacesRemoved", &(path(A1), vec![ACTIVE])));
    tell(&mut live, &changed(D1, DEVICE, "ActiveConnection", path("/").into()));
    let image = image(&live);
    assert!(image.actives.is_empty());
    let ended = image.ended(A1).expect("it is remembered");
    assert_eq!((ended.state, ended.reason, ended.device_reason), (4, 3, 5));
    let device = &image.devices[D1];
    assert_eq!((device.state, device.active.as_ref(), device.applied.as_ref()), (30, None, None));
}

#[test]
fn what_does_not_concern_us_changes_nothing() {
    let mut live = ready();
    live.take_changed();
    tell(&mut live, &changed(D1, "org.freedesktop.NetworkManager.Device.Statistics", "RxBytes", 1u64.into()));
    tell(&mut live, &changed(D1, DEVICE, "Interface", "eth0".into()));
    tell(&mut live, &changed(D1, DEVICE, "Driver", "virtio".into()));
    tell(&mut live, &changed("/org/freedesktop/NetworkManager/Devices/9", DEVICE, "Managed", true.into()));
    tell(
        &mut live,
        &signal(D1, "org.freedesktop.NetworkManager.Device.Wireless", "AccessPointAdded", &path(C1)),
    );
    // Not of the form it should have.
    tell(&mut live, &signal(D1, DEVICE, "StateChanged", &"text"));
    tell(&mut live, &changed(D1, DEVICE, "Managed", "text".into()));
    assert!(!live.take_changed());
    assert_eq!(live.take_questions(), []);
}

#[test]
fn nothing_holds_of_a_process_that_is_gone() {
    let mut live = ready();
    live.barrier(1, Doubts::Known, vec![]);
    live.owner_changed(None);
    assert!(live.image.is_none() && !live.is_ready() && live.take_changed());
    assert_eq!(live.take_questions(), []);
    live.owner_changed(Some(":1.9".to_owned()));
    assert_eq!(live.take_questions(), [Question::Objects]);
}

/// A profile with that identity for 802.1X, and MACsec.
fn with_secrets(identity: &str) -> Message {
    let mut contents = Profile::default();
    contents.set("802-1x", "identity", identity);
    contents.set("macsec", "mode", 0i32);
    answer(&wire::write_profile(&contents).expect("it can be sent"))
}

fn password(password: &str) -> Message {
    let mut secrets = Profile::default();
    secrets.set("802-1x", "password", password);
    answer(&wire::write_profile(&secrets).expect("it can be sent"))
}

/// Reading secrets updates the profile, each of them.
fn answer_secrets(live: &mut Live, version: &mut u64, secrets: &Message) {
    for (setting, answer) in [("802-1x", Ok(secrets)), ("macsec", Err(gone()))] {
        *version += 1;
        tell(live, &changed(P1, PROFILE, "VersionId", (*version).into()));
        tell(live, &signal(P1, PROFILE, "Updated", &()));
        live.answered(Question::Secrets(P1.to_owned(), setting), answer);
    }
}

#[test]
fn secrets_come_with_the_profile_and_to_read_them_is_no_reason_to_read_again() {
    let contents = || Question::Contents(P1.to_owned());
    let secrets = || ["802-1x", "macsec"].map(|setting| Question::Secrets(P1.to_owned(), setting));
    let stored = |live: &Live| Stored::clone(&image(live).profiles[P1]);
    let mut live = ready();
    let mut version = 7;
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.barrier(1, Doubts::Known, vec![]);
    live.take_questions();
    live.answered(contents(), Ok(&with_secrets("me")));
    assert_eq!(live.take_questions(), secrets());
    live.answered(Question::Barrier(1, Doubts::Known), Ok(&answer(&true)));
    answer_secrets(&mut live, &mut version, &password("hunter2"));
    assert_eq!(live.take_questions(), [contents()], "they may have changed with the secrets");
    assert_eq!(stored(&live).profile.id(), Some("one"), "not before it is whole");
    assert_eq!(live.take_passed(), [0; 0]);
    live.answered(contents(), Ok(&with_secrets("you")));
    assert_eq!(stored(&live).profile.text("802-1x", "password"), Some("hunter2"));
    assert_eq!(stored(&live).profile.text("802-1x", "identity"), Some("you"));
    assert_eq!(stored(&live).version_id, Some(version));
    assert_eq!((live.take_questions(), live.take_passed()), (vec![], vec![1]), "and that is all");

    // Somebody changes it between the secrets and the contents.
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.answered(contents(), Ok(&with_secrets("you")));
    live.take_questions();
    answer_secrets(&mut live, &mut version, &password("hunter2"));
    tell(&mut live, &changed(P1, PROFILE, "VersionId", 100u64.into()));
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    assert_eq!(stored(&live).version_id, Some(9), "whoever knows the former contents has the former version");
    live.take_questions();
    live.answered(contents(), Ok(&with_secrets("she")));
    assert_eq!(stored(&live).version_id, Some(100));
    assert_eq!(live.take_questions(), [contents()], "the secrets may be others now");
    live.answered(contents(), Ok(&with_secrets("she")));
    live.take_questions();
    version = 100;
    answer_secrets(&mut live, &mut version, &password("swordfish"));
    live.answered(contents(), Ok(&with_secrets("she")));
    assert_eq!(stored(&live).profile.text("802-1x", "password"), Some("swordfish"));
    assert_eq!(stored(&live).version_id, Some(version));
}

#[test]
fn a_profile_that_vanishes_while_its_secrets_are_read_keeps_nobody_waiting() {
    let mut live = ready();
    tell(&mut live, &signal(P1, PROFILE, "Updated", &()));
    live.take_questions();
    live.answered(Question::Barrier(1, Doubts::Known), Ok(&answer(&true)));
    live.answered(Question::Contents(P1.to_owned()), Ok(&with_secrets("me")));
    for setting in ["802-1x", "macsec"] {
        live.answered(Question::Secrets(P1.to_owned(), setting), Err(gone()));
    }
    live.answered(Question::Contents(P1.to_owned()), Err(gone()));
    assert_eq!(live.take_passed(), [1]);
}
