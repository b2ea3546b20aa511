//! The kernel's network as a state.

use std::sync::Arc;

use crate::backend::observer::Source;
use crate::backend::{Failure, Observation};
use crate::kernel::mirror::Mirror;
use crate::kernel::show::{Scope, Translator};

impl Source for Mirror {
    type Cache = Everything;

    fn revision(&self) -> u64 {
        Mirror::revision(self)
    }

    fn build(&self, cache: &mut Everything) -> Result<Observation, Failure> {
        let image = self.image();
        let state = Arc::new(cache.0.show(&image));
        // Whoever drops the last image frees it: better here than where changes are followed.
        Ok(Observation { state, revision: image.revision })
    }
}

/// Translates all of an image.
pub(in crate::backend) struct Everything(pub(in crate::backend) Translator);

impl Default for Everything {
    fn default() -> Self {
        Self(Translator::new(Scope::Everything))
    }
}
