//! The doors to the system: clock, files, and the safety net behind the daemon. Behind traits, so
//! that a test can fake each.

mod clock;
mod disk;
mod folder;
mod safety_net;

pub use clock::{BootClock, Clock, boot_id};
pub use disk::{Disk, StateDir};
pub use folder::{Folder, FolderError};
pub use safety_net::{SafetyNet, SystemdTimer};
