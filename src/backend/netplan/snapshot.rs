//! What leads back to the configuration as it was, also for another process.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::folders::Own;
use crate::backend::Failure;
use crate::backend::kernel::Facts;
use crate::state::ErrorKind;

/// Private part of a snapshot. Holds secrets.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Private {
    pub kernel: Facts,
    pub own: Own,
    /// What documents say in netplan's own words.
    #[serde(default)]
    pub native: Own,
}

impl Private {
    pub(super) fn to_json(&self) -> Json {
        serde_json::to_value(self).expect("it is plain values with text for keys")
    }

    pub(super) fn from_json(json: &Json) -> Result<Self, Failure> {
        serde_json::from_value(json.clone()).map_err(|error| Failure {
            kind: ErrorKind::StorageError,
            subject: None,
            message: format!("the snapshot is not one of the netplan backend: {error}"),
        })
    }
}
