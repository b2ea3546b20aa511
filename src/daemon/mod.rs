//! The daemon put together: arguments, configuration, logs, start order, signals; and what runs in
//! its place when it does not come back.

mod arguments;
mod backends;
mod config;
mod log;
mod restore;
mod run;
mod running;

pub use arguments::{Arguments, BackendName, Settings};
pub use config::ConfigError;
pub use log::{Log, chain};
pub use restore::{RestoreError, restore};
pub use run::run;
pub use running::{DaemonError, Running, Socket};
