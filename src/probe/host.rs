//! The prober of this host.

use super::{Checking, Prober};
use crate::state::State;
use crate::wire::{Host, Probe};

/// Probes from this host.
#[derive(Debug, Default)]
pub struct HostProber {}

impl HostProber {
    pub fn new() -> Self {
        Self::default()
    }
}

impl Prober for HostProber {
    fn check<'a>(&'a self, probe: &'a Probe, _network: &'a State) -> Checking<'a> {
        Box::pin(async move {
            match probe {
                Probe::Tcp { host: Host::Address(address), port } => {
                    super::tcp::connect(&[(*address, *port).into()]).await?;
                }
                Probe::Tcp { host: Host::Name(_), .. }
                | Probe::Gateway(_)
                | Probe::Resolve(_)
                | Probe::Run(_) => {
                    return Err(super::Fault::Refused(format!("{probe} cannot be made by this daemon")));
                }
            }
            Ok(vec![probe.clone()])
        })
    }
}
