//! What only the database of Open vSwitch keeps: there and back, and whether NetworkManager has
//! reached it.
//!
//! NetworkManager makes a bridge with its first port, and removes it with its last. A bridge that
//! shall have none is made here, marked as that of its profile: NetworkManager puts ports into no
//! other.

use std::collections::BTreeSet;
use std::time::Duration;

use super::work::{Await, Layer, Step, Until, Which, Work};
use crate::backend::Failure;
use crate::backend::openvswitch::{Todo, absent, carry_out_one, failure, lacking, within};
use crate::nm::Profile;
use crate::nm::image::Image as Profiles;
use crate::ovsdb::{self, Database, Image, NM_UUID};

/// Longest time without any change of the database while NetworkManager has yet to write to it.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time that NetworkManager may take to remove what it does not want any more.
const GOES_MAX: Duration = Duration::from_secs(3);

/// NetworkManager 1.52 looks for it only when it starts.
const NOT_CONNECTED: &str =
    "NetworkManager seems not to be connected to Open vSwitch's database: restart NetworkManager";

/// What comes before NetworkManager's part: Open vSwitch may have to be told of DPDK before the
/// first port that needs it.
pub(super) fn first(todo: &[Todo]) -> impl Iterator<Item = &Todo> {
    todo.iter().filter(|one| matches!(one, Todo::Settings(_)))
}

/// What comes when NetworkManager is done.
pub(super) fn last(todo: &[Todo]) -> impl Iterator<Item = &Todo> {
    todo.iter().filter(|one| !matches!(one, Todo::Settings(_)))
}

/// Carries it out, one after the other. `owner` gives the profile of a bridge.
pub(super) async fn carry_out<'a>(
    todo: impl Iterator<Item = &'a Todo>,
    database: &Database,
    owner: impl Fn(&str) -> Option<String>,
) -> Result<(), Failure> {
    for one in todo {
        if let Todo::NoBridge(bridge) | Todo::NoPort { bridge, .. } = one {
            let port = if let Todo::NoPort { port, .. } = one { Some(port.as_str()) } else { None };
            let is_left = |image: &Image| is_of_profile(image, bridge, port);
            within(database, GOES_MAX, |image| !image.is_some_and(is_left)).await;
        }
        carry_out_one(one, database, &owner).await?;
    }
    Ok(())
}

/// Whether a bridge, or a port of it, is one that NetworkManager has made and will remove. A bridge
/// without ports is none of these.
fn is_of_profile(image: &Image, bridge: &str, port: Option<&str>) -> bool {
    let Some((_, row)) = image.bridge(bridge) else { return false };
    match port {
        None => row.external_ids.contains_key(NM_UUID) && !row.ports.is_empty(),
        Some(name) => {
            let port = ovsdb::port_of(image, row, name).and_then(|uuid| image.ports.get(uuid));
            port.is_some_and(|port| port.external_ids.contains_key(NM_UUID))
        }
    }
}

/// Waits until the database has what NetworkManager says is active: it says so of bridges and
/// ports before it has told the database anything, or if it cannot; and of cards that DPDK drives before Open
/// vSwitch has looked for them.
pub(super) async fn arrived(
    awaits: &[Await],
    profiles: &Profiles,
    database: &Database,
) -> Result<(), Failure> {
    let rows: Vec<Row<'_>> = awaits.iter().filter_map(|what| Row::of(what, profiles)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    let is_decided = |row: &Row<'_>, image: &Image| matches!(row.seen(image), Seen::There | Seen::Refused(_));
    let are_decided = |image: &Image| rows.iter().all(|row| is_decided(row, image));
    within(database, PATIENCE, |image| image.is_some_and(are_decided)).await;
    let image = database.image().ok_or_else(|| absent(database))?;
    for row in rows {
        let why = match row.seen(&image) {
            Seen::There => continue,
            Seen::Missing => format!("is not in Open vSwitch's database: {NOT_CONNECTED}"),
            Seen::Untaken => "is not taken by Open vSwitch: ovs-vswitchd seems not to run".to_owned(),
            Seen::Refused(why) => format!("is refused by Open vSwitch: {why}"),
        };
        let message = format!("{} {why}", row.which);
        return Err(Failure { subject: Some(row.which.name.clone()), ..failure(message) });
    }
    Ok(())
}

/// The type of interfaces that DPDK drives.
const DPDK: &str = "dpdk";

/// What the database says of a row.
enum Seen<'a> {
    Missing,
    /// Open vSwitch has yet to look for the card.
    Untaken,
    Refused(&'a str),
    There,
}

/// A row that NetworkManager has to make.
struct Row<'a> {
    which: &'a Which,
    is_port: bool,
}

impl<'a> Row<'a> {
    /// None for what is not of Open vSwitch. Nor for bridges, which come with their ports.
    fn of(what: &'a Await, profiles: &Profiles) -> Option<Self> {
        let Until::Ready { uuid, .. } = &what.until else { return None };
        let which = &what.which;
        match which.layer {
            Layer::OvsPort => Some(Self { which, is_port: true }),
            Layer::Kernel => {
                let (_, stored) = profiles.stored(uuid)?;
                let is_member = stored.profile.text("connection", "slave-type") == Some("ovs-port");
                is_member.then_some(Self { which, is_port: false })
            }
            Layer::OvsBridge | Layer::Vpn => None,
        }
    }

    fn seen<'i>(&self, image: &'i Image) -> Seen<'i> {
        let name = &self.which.name;
        if self.is_port {
            let is_there = image.ports.values().any(|port| port.name == *name);
            return if is_there { Seen::There } else { Seen::Missing };
        }
        match image.interface(name) {
            None => Seen::Missing,
            Some(row) if row.kind != DPDK => Seen::There,
            Some(row) => match (&row.error, row.mtu) {
                (Some(error), _) => Seen::Refused(error),
                (None, Some(_)) => Seen::There,
                (None, None) => Seen::Untaken,
            },
        }
    }
}

/// Adds to a failure what Open vSwitch says about the interface, or that nobody has told it of it.
pub(super) fn explain(mut failure: Failure, profiles: Option<&Profiles>, database: &Database) -> Failure {
    let subject = failure.subject.as_deref();
    if let Some(because) = subject.and_then(|name| reason(name, profiles?, database)) {
        failure.message += &format!(" ({because})");
    }
    failure
}

fn reason(name: &str, profiles: &Profiles, database: &Database) -> Option<String> {
    let of_ovs = profiles.profiles.values().any(|stored| {
        let profile = &stored.profile;
        let is_port = profile.text("connection", "slave-type") == Some("ovs-port");
        let is_bridge = matches!(profile.kind(), Some("ovs-bridge" | "ovs-port"));
        profile.interface_name() == Some(name) && (is_port || is_bridge)
    });
    if !of_ovs {
        return None;
    }
    let Some(image) = database.image() else { return Some(absent(database).message) };
    if let Some(error) = image.interface(name).and_then(|row| row.error.as_ref()) {
        return Some(format!("Open vSwitch: {error}"));
    }
    let is_known = image.interface(name).is_some()
        || image.bridge(name).is_some()
        || image.ports.values().any(|port| port.name == name);
    (!is_known).then(|| NOT_CONNECTED.to_owned())
}

/// Without the database, work that nobody verifies gives NetworkManager profiles for when it is there again. They
/// are not activated: NetworkManager 1.52 would try so again and again, and do nothing else. Bridges that are
/// there stay as they are.
pub(super) fn prepare(work: &mut Work, profiles: &Profiles, database: &Database) {
    if lacking(database).is_none() {
        return;
    }
    let is_of_ovs = |profile: &&Profile| {
        matches!(profile.kind(), Some("ovs-bridge" | "ovs-port"))
            || profile.text("connection", "slave-type") == Some("ovs-port")
    };
    let stored = profiles.profiles.values().map(|stored| &stored.profile);
    let written = work.steps.iter().filter_map(|step| match step {
        Step::Add { profile, .. } | Step::Update { profile, .. } => Some(profile),
        _ => None,
    });
    let of_ovs = stored.chain(written).filter(is_of_ovs).filter_map(Profile::uuid);
    let of_ovs: BTreeSet<String> = of_ovs.map(str::to_owned).collect();
    work.steps.retain(|step| !matches!(step, Step::Activate { uuid, .. } if of_ovs.contains(uuid)));
    work.awaits.retain(|what| !matches!(&what.until, Until::Ready { uuid, .. } if of_ovs.contains(uuid)));
    work.database.retain(|one| matches!(one, Todo::Settings(_) | Todo::Mappings(_)));
}

/// The profile of a bridge: the one that is active there, else any that is for it.
pub(super) fn owner(profiles: &Profiles, bridge: &str) -> Option<String> {
    let is_of =
        |profile: &Profile| profile.kind() == Some("ovs-bridge") && profile.interface_name() == Some(bridge);
    let all = profiles.profiles.values().filter(|stored| is_of(&stored.profile));
    let mut uuids: Vec<&str> = all.filter_map(|stored| stored.profile.uuid()).collect();
    uuids.sort_by_key(|uuid| !profiles.actives.values().any(|active| active.uuid == *uuid));
    uuids.first().map(|uuid| (*uuid).to_owned())
}

#[cfg(test)]
mod tests;
