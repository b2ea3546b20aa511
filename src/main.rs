//! The daemon.

use std::process::ExitCode;

use clap::Parser;
use nmstated::daemon::{Arguments, DaemonError, Socket, chain, run, start_log};
use tracing::error;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log(arguments.log);
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> Result<(), DaemonError> {
    let socket = Socket::passed_or(&arguments.varlink_socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DaemonError::Runtime)?.block_on(run(arguments, socket))
}
