//! `nmctl`: the command line client of nmstated.

use std::process::ExitCode;

fn main() -> ExitCode {
    nmstated::client::run()
}
