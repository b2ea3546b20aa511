//! MAC addresses of links that NetworkManager makes. It sets what a profile asks for at once, while udev may be about
//! to set one of its own (`kernel::udev`): whoever comes last wins. So udev's end is waited for, and then what is
//! asked for is set again where it is not there.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;
use tracing::debug;

use super::work::{Back, Layer, Step, Work};
use crate::backend::kernel::KernelBackend;
use crate::backend::kernel::op::Op;
use crate::backend::{Failure, Progress};
use crate::kernel::udev;
use crate::nm::image::Image;
use crate::nm::{Profile, Value};
use crate::state::Mac;

/// How long udev may take. Who is right then, verification says.
const UDEV_MAX: Duration = Duration::from_secs(5);

/// Links that the work makes, and the addresses that their profiles ask for.
pub(super) fn asked(work: &Work, image: &Image, is_there: impl Fn(&str) -> bool) -> Vec<(String, Mac)> {
    let mut goes: BTreeSet<&str> = BTreeSet::new();
    let mut asked = Vec::new();
    for step in &work.steps {
        match step {
            Step::Deactivate { which } | Step::DeleteDevice { which } => {
                goes.insert(&which.name);
            }
            Step::Make { which, profile } => {
                asked.extend(mac(profile).map(|mac| (which.name.clone(), mac)));
            }
            Step::Activate { which, uuid, .. } if which.layer == Layer::Kernel => {
                let is_made = !is_there(&which.name) || goes.contains(which.name.as_str());
                let mac = written(work, uuid).or_else(|| Some(&image.stored(uuid)?.1.profile)).and_then(mac);
                asked.extend(mac.filter(|_| is_made).map(|mac| (which.name.clone(), mac)));
            }
            _ => {}
        }
    }
    asked
}

fn written<'a>(work: &'a Work, uuid: &str) -> Option<&'a Profile> {
    let profiles = work.steps.iter().filter_map(|step| match step {
        Step::Add { profile, .. } | Step::Update { profile, .. } | Step::Back(Back::Put { profile, .. }) => {
            Some(profile)
        }
        _ => None,
    });
    profiles.rev().find(|profile| profile.uuid() == Some(uuid))
}

/// A bond gives its ports its own.
fn mac(profile: &Profile) -> Option<Mac> {
    if profile.text("connection", "slave-type") == Some("bond") {
        return None;
    }
    Mac::new(profile.get("802-3-ethernet", "cloned-mac-address").and_then(Value::as_bytes)?)
}

/// Sees to it that these links have these addresses.
pub(in crate::backend) async fn settle(
    asked: &[(String, Mac)],
    kernel: &KernelBackend,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    if asked.is_empty() {
        return Ok(());
    }
    kernel.settled().await?;
    let image = kernel.mirror().image();
    let links = asked.iter().filter_map(|(name, _)| Some(image.link_by_name(name)?.index));
    match timeout(UDEV_MAX, udev::done_with(links)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!(%error, "cannot see when udev is done with new links"),
        Err(_) => debug!("udev is not done with new links within {} s", UDEV_MAX.as_secs()),
    }
    kernel.settled().await?;
    let image = kernel.mirror().image();
    let differs = |(name, mac): &&(String, Mac)| {
        let address = image.link_by_name(name).and_then(|link| link.address.as_ref());
        address.is_some_and(|address| Mac::new(address.bytes()) != Some(*mac))
    };
    let ops: Vec<Op> =
        asked.iter().filter(differs).map(|(link, is)| Op::Mac { link: link.clone(), is: *is }).collect();
    kernel.run(&ops, progress).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::nm::work::Which;

    fn profile(uuid: &str, mac: &[u8]) -> Profile {
        let mut profile = Profile::default();
        profile.set("connection", "uuid", uuid);
        profile.set("802-3-ethernet", "cloned-mac-address", mac.to_vec());
        profile
    }

    #[test]
    fn only_links_that_are_made_are_looked_at() {
        let steps = |which: &Which, profile: Profile| {
            let uuid = profile.uuid().unwrap_or_default().to_owned();
            let add = Step::Add { which: which.clone(), profile };
            [add, Step::Activate { which: which.clone(), uuid, on_device: false }]
        };
        let [new, old, again, back, port] = ["new0", "old0", "again0", "back0", "port0"].map(Which::kernel);
        let address = [2, 0, 0, 0, 0, 1];
        let mut work = Work::default();
        work.steps.extend(steps(&new, profile("n", &address)));
        work.steps.extend(steps(&old, profile("o", &address)));
        work.steps.push(Step::Deactivate { which: again.clone() });
        work.steps.extend(steps(&again, profile("a", &address)));
        let put =
            Back::Put { which: back.clone(), profile: profile("b", &address), on_disk: true, blocks: true };
        work.steps.push(Step::Back(put));
        work.steps.push(Step::Activate { which: back, uuid: "b".to_owned(), on_device: false });
        let mut of_bond = profile("p", &address);
        of_bond.set("connection", "slave-type", "bond");
        work.steps.extend(steps(&port, of_bond));
        let links = asked(&work, &Image::default(), |name| ["old0", "again0"].contains(&name));
        let mac = Mac::new(&address).expect("an address");
        assert_eq!(links, ["new0", "again0", "back0"].map(|name| (name.to_owned(), mac)));
    }
}
