//! The command line, and what it shares with the configuration file.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, ValueEnum};
use tracing::Level;

use crate::wire::{NotAProbe, Probe};

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
    /// What carries out changes; auto: what has the network of this host
    #[arg(long, value_enum, default_value = "auto")]
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

    /// What must still hold after each change, if it held before: gateway, resolve:NAME, tcp:HOST:PORT,
    /// run:/PATH, with commas between them; or none
    #[arg(long, value_name = "PROBES", default_value = "none")]
    pub probe: Probes,

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

/// Probes in one word: with commas between them, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes(pub Vec<Probe>);

impl FromStr for Probes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let texts = Some(text).filter(|text| *text != "none").map(|text| text.split(',').map(str::trim));
        let probes = Probe::list(texts.into_iter().flatten());
        probes.map(Self).map_err(|NotAProbe { message, hint }| format!("{message}; {hint}"))
    }
}

/// A backend by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackendName {
    /// That of the change that is open, if one is; else what runs here
    Auto,
    /// Netlink; needs no other service
    Kernel,
    /// A file beside those of the administrator, and `netplan apply`
    Netplan,
    /// Profiles of NetworkManager
    #[value(name = "networkmanager")]
    NetworkManager,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn probes_are_one_word() {
        let two = "gateway, tcp:192.0.2.1:22".parse::<Probes>().expect("two probes").0;
        assert_eq!(two.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gateway", "tcp:192.0.2.1:22"]);
        assert_eq!("none".parse(), Ok(Probes::default()));
        let error = "gateway,".parse::<Probes>().expect_err("nothing after the comma");
        assert!(error.starts_with("\"\" is no probe; probes are"), "{error}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
