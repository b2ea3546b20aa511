//! The doors to the system: clock and files. Behind traits, so that a test can fake both.

mod clock;
mod disk;

pub use clock::{BootClock, Clock, boot_id};
pub use disk::{Disk, StateDir};
