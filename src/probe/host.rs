//! The prober of this host.

use super::aside::Aside;
use super::{Checking, Prober, gateway, resolve, run, tcp};
use crate::state::State;
use crate::wire::{Host, Probe};

/// Probes from this host, as this process may.
#[derive(Debug)]
pub struct HostProber {
    aside: Aside,
}

impl HostProber {
    #[expect(clippy::new_without_default, reason = "there is nothing to leave out")]
    pub fn new() -> Self {
        Self { aside: Aside::new() }
    }
}

impl Prober for HostProber {
    fn check<'a>(&'a self, probe: &'a Probe, network: &'a State) -> Checking<'a> {
        Box::pin(async move {
            match probe {
                Probe::Gateway(family) => return gateway::check(*family, network).await,
                // The port is of no consequence.
                Probe::Resolve(name) => drop(resolve::addresses(&self.aside, name, 0).await?),
                Probe::Tcp { host: Host::Address(address), port } => {
                    tcp::connect(&[(*address, *port).into()]).await?;
                }
                Probe::Tcp { host: Host::Name(name), port } => {
                    tcp::connect(&resolve::addresses(&self.aside, name, *port).await?).await?;
                }
                Probe::Run(path) => run::run(&self.aside, path).await?,
            }
            Ok(vec![probe.clone()])
        })
    }
}
