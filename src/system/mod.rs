//! The doors to the system: clock and files. Behind traits, so that a test can fake both.

mod clock;
mod disk;
mod folder;

pub use clock::{BootClock, Clock, boot_id};
pub use disk::{Disk, StateDir};
pub use folder::{Folder, FolderError};
