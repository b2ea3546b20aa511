//! Documents of a folder, applied by the daemon itself: each once per content, in order of their
//! names.

mod apply;
mod memory;
mod peer;
mod sha256;

pub use apply::run;
pub(super) use memory::Memory;
