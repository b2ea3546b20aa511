//! Documents made from documents: what `nmctl` does without the daemon. Pure.
//!
//! | file | story |
//! | --- | --- |
//! | `given` | what a user gives: a document, or a policy, which becomes one |
//! | `difference` | documents that lead from one state to another, or back |
//! | `autoconf` | VLANs as switches announce them |
//! | `captured` | what a policy has captured, as a file |
//! | `configuration/` | the profiles of NetworkManager and the file of netplan that say what a document says |
//! | `nic_names` | files that pin the names of network cards |
//! | `statistic` | which features a document uses, and how its interfaces stand upon each other |

mod autoconf;
pub mod captured;
pub mod configuration;
mod difference;
mod given;
pub mod nic_names;
mod statistic;

pub use autoconf::autoconf;
pub use difference::{check, difference, revert};
pub use given::{Given, merged};
pub use statistic::{Statistic, statistic};

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{self, Capabilities, Options, Plan};
use crate::state::{InterfaceType, Problem, State};

/// What can be planned where no backend is asked: all that a document can say.
fn capabilities() -> Capabilities {
    Capabilities {
        backend: "none",
        interface_types: InterfaceType::known().collect(),
        vlan_filtering: true,
        volatile_until_commit: false,
        profiles: true,
        names: true,
        persists: true,
        ovs_local: false,
        own_net: None,
        dormant: BTreeMap::new(),
        unkept: BTreeSet::new(),
    }
}

/// The plan that leads from `current` to what `desired` asks for.
fn planned(desired: &State, current: &State) -> Result<Plan, Vec<Problem>> {
    plan::plan(desired, current, &capabilities(), &Options::default())
}

/// The same where netplan makes what there is.
fn planned_with_netplan(desired: &State, current: &State) -> Result<Plan, Vec<Problem>> {
    let capabilities = Capabilities { ovs_local: true, ..capabilities() };
    plan::plan(desired, current, &capabilities, &Options::default())
}
