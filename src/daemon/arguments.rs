//! The command line, and what it shares with the configuration file.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};
use tracing::Level;

/// Makes this host's network match documents in the nmstate schema
#[derive(Clone, Debug, Parser)]
#[command(name = "nmstated", version, args_override_self = true)]
pub struct Arguments {
    #[command(flatten)]
    pub settings: Settings,

    /// The configuration file [default: /etc/nmstated.conf, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Only check a configuration file [default: that of --config]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub check_config: Option<Option<PathBuf>>,

    /// Only take back what an earlier nmstated left half done, or past its deadline; reads no
    /// configuration file
    #[arg(long, conflicts_with_all = ["config", "check_config"])]
    pub restore: bool,
}

/// What may also be written in the configuration file, as `key = value`.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What carries out changes
    #[arg(long, value_enum, default_value = "kernel")]
    pub backend: BackendName,

    /// Where checkpoints, committed state and history are kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/nmstated")]
    pub state_dir: PathBuf,

    /// The folder of documents to apply at start, each once per content
    #[arg(long, value_name = "DIR", default_value = "/etc/nmstate")]
    pub documents: PathBuf,

    /// Seconds until a change that is not committed is rolled back, unless its client says
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub timeout: u32,

    /// How many ended transactions are remembered, in 1 MiB at most
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(100..=10_000))]
    pub history: u16,

    /// Where to listen for varlink, unless systemd passes a socket
    #[arg(long, value_name = "PATH", default_value = "/run/nmstated/io.nmstate.Daemon")]
    pub varlink_socket: PathBuf,

    /// The bus to serve: system, session, an address, or none [default: system, if it is there]
    #[arg(long, value_name = "BUS")]
    pub bus: Option<String>,

    /// How much to log: error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: Level,
}

/// A backend by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// Netlink; needs no other service
    Kernel,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
