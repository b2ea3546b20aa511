//! The daemon put together: arguments, configuration, logs, start order, signals.

mod arguments;
mod config;
mod log;
mod run;
mod running;

pub use arguments::{Arguments, BackendName, Settings};
pub use config::ConfigError;
pub use log::{Log, chain};
pub use run::run;
pub use running::{DaemonError, Running, Socket};
