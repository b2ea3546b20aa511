//! Device settings that differ.

use super::super::op::{Op, Setting};
use crate::state::{Ethtool, Interface};

pub(super) fn changes(before: Option<&Interface>, after: &Interface) -> Vec<Op> {
    let mut settings = Vec::new();
    let old = before.and_then(|before| before.ethtool.as_deref());
    if let Some(new) = after.ethtool.as_deref() {
        device(old, new, &mut settings);
    }
    let modes = |interface: &Interface| {
        let ethernet = interface.ethernet.as_deref()?;
        Some((ethernet.auto_negotiation, ethernet.speed, ethernet.duplex))
    };
    if let Some((Some(autoneg), speed, duplex)) =
        modes(after).filter(|new| before.and_then(modes) != Some(*new))
    {
        // With negotiation the link decides on both.
        let (speed, duplex) = if autoneg { (None, None) } else { (speed, duplex) };
        let was = before.and_then(modes).and_then(|(autoneg, ..)| autoneg);
        if !autoneg || was != Some(true) {
            settings.push(Setting::LinkModes { autoneg, speed, duplex });
        }
    }
    settings.into_iter().map(|setting| Op::Ethtool { link: after.name.clone(), setting }).collect()
}

fn device(old: Option<&Ethtool>, new: &Ethtool, settings: &mut Vec<Setting>) {
    let features = new.feature.iter().flatten().filter(|(name, on)| {
        let old = old.and_then(|old| old.feature.as_ref()).and_then(|list| list.get(*name));
        old != Some(on)
    });
    let features: Vec<(String, bool)> = features.map(|(name, on)| (name.clone(), *on)).collect();
    if !features.is_empty() {
        settings.push(Setting::Features(features));
    }
    if let Some(ring) = new.ring.as_ref().filter(|ring| old.and_then(|old| old.ring.as_ref()) != Some(ring)) {
        settings.push(Setting::Ring(Box::new(ring.clone())));
    }
    let differs =
        |coalesce: &&crate::state::Coalesce| old.and_then(|old| old.coalesce.as_ref()) != Some(*coalesce);
    if let Some(coalesce) = new.coalesce.as_ref().filter(differs) {
        settings.push(Setting::Coalesce(Box::new(coalesce.clone())));
    }
    if let Some(pause) =
        new.pause.as_ref().filter(|pause| old.and_then(|old| old.pause.as_ref()) != Some(pause))
    {
        let mut pause = pause.clone();
        // Negotiation decides on both directions.
        if pause.autoneg == Some(true) {
            (pause.rx, pause.tx) = (None, None);
        }
        settings.push(Setting::Pause(pause));
    }
    if let Some(fec) = new.fec.as_ref().filter(|fec| old.and_then(|old| old.fec.as_ref()) != Some(fec)) {
        let auto = fec.auto == Some(true);
        settings.push(Setting::Fec { auto, mode: fec.mode.filter(|_| !auto) });
    }
}
