//! Probes carried out: I/O that checks the network and never changes it.

mod aside;
mod gateway;
mod host;
mod resolve;
mod run;
mod tcp;

use std::future::Future;
use std::pin::Pin;

use crate::state::State;
use crate::wire::Probe;

pub use host::HostProber;

/// Why a probe does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It must not be made at all, whatever the network is like.
    Refused(String),
    /// What it said.
    Fails(String),
}

/// The narrowest forms of a probe that hold, at least one; or why it does not.
pub type Verdict = Result<Vec<Probe>, Fault>;

/// One attempt under way; dropping it ends it.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Who makes probes.
pub trait Prober: Send + Sync {
    /// One attempt on the network, which is as `network` says. Bounded by whoever asks.
    fn check<'a>(&'a self, probe: &'a Probe, network: &'a State) -> Checking<'a>;
}
