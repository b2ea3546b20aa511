//! Our file, beside those of others.

use super::{Composed, Config, Devices, Refusal, Target, Wanted};
use crate::state::Path;

/// The text of our file after `wanted`, where it has `own` now and others say `foreign`; or everything that
/// cannot be said.
pub fn compose(
    own: &Config,
    foreign: &Config,
    wanted: &Wanted,
    target: &Target,
    devices: &Devices,
) -> Result<Composed, Vec<Refusal>> {
    let mut refusals = Vec::new();
    for wish in &wanted.interfaces {
        let name = &wish.interface.name;
        let there = if foreign.netdef_of(name, devices).is_some() {
            "another file has it"
        } else {
            "not written yet"
        };
        refusals.push(Refusal {
            interface: Some(name.clone()),
            path: Path::root(),
            text: format!("{} for netplan {}: {there}", target.renderer.word(), target.version),
        });
    }
    let is_left = own.netdefs.keys().any(|id| !wanted.absent.contains(id));
    if is_left || !refusals.is_empty() { Err(refusals) } else { Ok(Composed::default()) }
}
