//! The daemon put together: arguments, logs, start order, signals.

mod arguments;
mod log;
mod run;
mod running;

pub use arguments::{Arguments, BackendName};
pub use log::{chain, start_log};
pub use run::run;
pub use running::{DaemonError, Running, Socket};
