//! The daemon.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::io::{Write, stderr};
use std::process::ExitCode;

use nmstated::daemon::{Arguments, DaemonError, Log, RestoreError, Settings, Socket, chain, restore, run};
use nmstated::system::memory;
use tracing::error;

fn main() -> ExitCode {
    memory::set_rules();
    let command_line: Vec<OsString> = env::args_os().collect();
    let arguments = match Arguments::complete(&command_line) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody reads it if this fails.
            let _ = writeln!(stderr(), "nmstated: {}", chain(&error));
            return ExitCode::FAILURE;
        }
    };
    if arguments.check_config.is_some() {
        return ExitCode::SUCCESS;
    }
    let log = Log::start(arguments.settings.log);
    let result = match arguments.restore {
        true => put_back(&arguments.settings).map_err(Box::<dyn Error>::from),
        false => start(arguments.settings, command_line, log).map_err(Box::<dyn Error>::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn put_back(settings: &Settings) -> Result<(), RestoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(DaemonError::Runtime)?.block_on(restore(&settings.state_dir, settings.backend))
}

fn start(settings: Settings, command_line: Vec<OsString>, log: Log) -> Result<(), DaemonError> {
    let socket = Socket::passed_or(&settings.varlink_socket)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let read_again = || Arguments::complete(&command_line).map(|arguments| arguments.settings);
    runtime.map_err(DaemonError::Runtime)?.block_on(run(settings, read_again, log, socket))
}
