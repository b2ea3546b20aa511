//! The doors to the system: clock, files, and the safety net behind the daemon, behind traits, so
//! that a test can fake each; paths that are waited for; and the memory that the process takes of it.

mod clock;
mod disk;
mod door;
mod folder;
pub mod memory;
mod safety_net;
pub mod systemd;

pub use clock::{BootClock, Clock, boot_id, thread_cpu};
pub use disk::{Disk, StateDir};
pub use door::Door;
pub use folder::{Folder, FolderError};
pub use safety_net::{SafetyNet, SystemdTimer};
