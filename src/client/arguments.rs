//! The command line of `nmctl`.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::wire;

/// What a script needs to know; `docs/nmctl.md` says more.
const EXIT_CODES: &str = "\
Exit codes:
  0    done; with `plan --exit-code`: the network is as the document asks; with `drift
       --exit-code`: as it was committed
  1    refused or failed; a failed change has been taken back
  2    wrong usage; with `plan --exit-code`: applying would change something; with `drift
       --exit-code`: something differs
  3    no answer from the daemon
  4    a failed change could not be taken back completely: a person is needed
  5    not kept: the change has been put back, as answered or for want of an answer
  130  interrupted; the change has been taken back

Environment:
  NMCTL_SOCKET  where the daemon listens, unless --socket says it
  NO_COLOR      if set to anything: no colours";

/// Shows and changes the network of this host, through nmstated.
#[derive(Debug, Parser)]
#[command(name = "nmctl", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Arguments {
    /// The daemon's varlink socket [default: /run/nmstated/io.nmstate.Daemon]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// The command line, for completions and documentation.
pub fn command_line() -> clap::Command {
    Arguments::command()
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the present state of the network
    Show(Show),
    /// Make the network match documents
    ///
    /// Prints the difference. Several documents are applied one after the other, each all or
    /// nothing, until one fails; with --no-commit all of them are one change. An interrupt
    /// (Ctrl-C) takes the change back. On a terminal, a change that touches the path of your own
    /// connection is kept only if you say so, as with `nmctl try`.
    Apply(Apply),
    /// Make the network match documents, and keep that only if you say so
    ///
    /// Applies the documents as one change, asks on the terminal whether to keep it, and puts it
    /// back on no, after the timeout, on an interrupt, and when the terminal or nmctl goes away.
    Try(Try),
    /// Apply what you make of the configured network in your editor
    ///
    /// The editor is VISUAL, EDITOR or vi. What cannot be applied is told, and can be edited again. The change is
    /// made as by `nmctl apply`.
    Edit(Edit),
    /// Print what applying would change, and change nothing
    Plan(Plan),
    /// Keep a change that awaits commit
    Commit(Pending),
    /// Take back a change that awaits commit
    Rollback(Pending),
    /// Give a change that awaits commit more time
    Extend(Extend),
    /// End a transaction that is queued or at work; what it did is taken back
    Cancel {
        /// Number of the transaction
        id: u64,
    },
    /// Print how the daemon is: backend, transactions, and what needs a person
    Status(Form),
    /// Print how the network differs from what is committed
    ///
    /// Field by field: what was asked for, and what is there. `nmctl apply --restore` puts it right.
    Drift {
        #[command(flatten)]
        form: Form,
        /// Exit with 2 if something differs
        #[arg(long)]
        exit_code: bool,
    },
    /// List the live transactions
    List(Form),
    /// Print one transaction, live or ended
    Log {
        /// Number of the transaction
        id: u64,
        #[command(flatten)]
        form: Form,
    },
    /// List ended transactions, the newest first
    History {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        form: Form,
    },
    /// Print what happens, as it happens
    Monitor {
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Check documents against the present state of the network
    Validate(Validate),
    /// Print a document in canonical form (needs no daemon)
    ///
    /// A policy that brings its current state along is printed as the document that it asks for, any other
    /// one as a policy.
    #[command(alias = "fmt")]
    Format(OneFile),
    /// Print the JSON Schema of documents (needs no daemon)
    Schema,
    /// Explain a key of documents (needs no daemon)
    Explain {
        /// The key, as `interfaces.ipv4.address`; without it: the top level
        #[arg(value_name = "PATH", default_value = "")]
        path: String,
    },
    /// Print the document that would lead back from a document to the present state
    #[command(visible_alias = "gr")]
    Revert(Revert),
    /// Print what of a document differs from a state, as a document (needs no daemon)
    #[command(visible_alias = "gd")]
    Difference(Difference),
    /// Print the document that a policy asks for
    Policy(Policy),
    /// Print the configuration of another program that says what a document says (needs no daemon)
    ///
    /// A mapping from the program to the names and contents of its files. They hold the secrets of the
    /// document.
    #[command(visible_alias = "gc")]
    Configuration(Configuration),
    /// Print which features documents use, and how their interfaces stand upon each other
    #[command(visible_alias = "st")]
    Statistic(Statistic),
    /// Print a document with the VLANs that switches announce
    ///
    /// Each VLAN that is heard of by LLDP stands on the interface that hears of it, or on a bond of all that do.
    /// Nothing is applied: `nmctl autoconf | nmctl try`.
    Autoconf(Autoconf),
    /// Keep the names of network cards, whatever another version of udev would call them
    ///
    /// Writes a file for each card that systemd.link(5) describes, once. With --cleanup those go again whose name
    /// udev gives anyway.
    PersistNicNames(NicNames),
    /// Print the completion script of a shell (needs no daemon)
    Completion { shell: Shell },
    /// Print the version (needs no daemon)
    Version,
}

#[derive(Debug, Args)]
pub struct Form {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Files {
    /// Documents, YAML or JSON; `-` or none: standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub struct OneFile {
    /// A document, YAML or JSON; `-` or none: standard input
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub file: PathBuf,
    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,
}

/// Which state stands for the present one.
#[derive(Debug, Args)]
pub struct Current {
    /// A file with the state that stands for the present one; the daemon is not asked
    #[arg(short, long, value_name = "FILE")]
    pub current: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    pub input: Files,
    /// Check the documents alone, without the daemon
    #[arg(long, conflicts_with = "current")]
    pub offline: bool,
    #[command(flatten)]
    pub current: Current,
}

#[derive(Debug, Args)]
pub struct Revert {
    #[command(flatten)]
    pub input: OneFile,
    #[command(flatten)]
    pub current: Current,
}

#[derive(Debug, Args)]
pub struct Difference {
    /// The state to start from
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// The document or state to come to
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,
}

/// What a policy captures.
#[derive(Debug, Args)]
pub struct Captures {
    /// A file with what was captured before; nothing is captured now
    #[arg(short = 'a', long, value_name = "FILE")]
    pub captured: Option<PathBuf>,
    /// Write what was captured into this file, which only its owner may read
    #[arg(short, long, value_name = "FILE")]
    pub output_captured: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Policy {
    #[command(flatten)]
    pub input: OneFile,
    #[command(flatten)]
    pub current: Current,
    #[command(flatten)]
    pub captures: Captures,
}

#[derive(Debug, Args)]
pub struct Autoconf {
    /// Only interfaces of these names listen
    #[arg(value_name = "NAME", value_delimiter = ',')]
    pub names: Vec<String>,
    #[command(flatten)]
    pub current: Current,
    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct NicNames {
    /// Where the system is whose names are kept
    #[arg(short, long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Tell what --cleanup would do
    #[arg(long, conflicts_with = "cleanup")]
    pub inspect: bool,
    /// Let go of the names that udev gives anyway
    #[arg(long)]
    pub cleanup: bool,
    /// Write the arguments that the kernel needs (with --cleanup: no longer needs) into this file, if its network
    /// is up early
    #[arg(long, value_name = "FILE")]
    pub kargs_out: Option<PathBuf>,
    #[command(flatten)]
    pub current: Current,
}

/// Whose configuration.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Program {
    #[default]
    #[value(name = "networkmanager")]
    NetworkManager,
    Netplan,
}

/// Who carries out what netplan says.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Renderer {
    #[default]
    Networkd,
    #[value(name = "NetworkManager", alias = "networkmanager")]
    NetworkManager,
}

#[derive(Debug, Args)]
pub struct Configuration {
    #[command(flatten)]
    pub input: OneFile,
    /// Whose configuration
    #[arg(long, value_enum, value_name = "PROGRAM", default_value_t)]
    pub backend: Program,
    /// Who carries out what netplan says
    #[arg(long, value_enum, value_name = "RENDERER", default_value_t)]
    pub renderer: Renderer,
}

impl Configuration {
    /// What its files stand under, and whose they are.
    pub fn program(&self) -> (&'static str, wire::Program) {
        match (self.backend, self.renderer) {
            (Program::NetworkManager, _) => ("NetworkManager", wire::Program::NetworkManager),
            (Program::Netplan, Renderer::Networkd) => ("netplan", wire::Program::NetplanNetworkd),
            (Program::Netplan, Renderer::NetworkManager) => ("netplan", wire::Program::NetplanNetworkManager),
        }
    }
}

#[derive(Debug, Args)]
pub struct Statistic {
    #[command(flatten)]
    pub input: Files,
    #[command(flatten)]
    pub current: Current,
    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Only interfaces of that name, with their routes and rules; `*`, `?` and `[a-z]` match
    pub pattern: Option<String>,
    /// Print JSON instead of YAML
    #[arg(long)]
    pub json: bool,
    /// The kernel's view alone, without the backend's configuration
    #[arg(short, long)]
    pub kernel: bool,
    /// Only what is configured, not what was leased or learned
    #[arg(short, long)]
    pub running_config: bool,
    /// Print secrets in clear
    #[arg(short = 's', long)]
    pub show_secrets: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// Instead of a document: what is committed, once more
    #[arg(long, conflicts_with = "files")]
    pub restore: bool,
}

/// How documents are understood.
#[derive(Debug, Args)]
pub struct Planning {
    /// Nothing outlives a reboot
    #[arg(long)]
    pub memory_only: bool,
    /// Configure the named interfaces from the document alone: keys it leaves out go back to their
    /// defaults
    #[arg(long)]
    pub override_iface: bool,
    /// Where you sit, to learn whether a change touches the path of your connection; `none`: do not
    /// tell [default: where the SSH session comes from]
    #[arg(long, value_name = "ADDR")]
    pub client_address: Option<String>,
    /// Only if this backend has the network: kernel, networkmanager or netplan
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
}

/// What must hold before and after.
#[derive(Debug, Args)]
pub struct Probing {
    /// What must still hold after the change, if it held before: gateway, resolve:NAME, tcp:HOST:PORT,
    /// run:/PATH; else it is rolled back at once [default: the daemon's, none unless configured]
    #[arg(long, value_name = "PROBE")]
    pub probe: Vec<String>,
    /// Probe nothing, whatever the daemon is configured to
    #[arg(long, conflicts_with = "probe")]
    pub no_probes: bool,
}

/// How a change is made, and what of it must hold.
#[derive(Debug, Args)]
pub struct Changing {
    /// Seconds until a change that is not committed is rolled back [default: the daemon's, 60 unless configured]
    #[arg(long, value_name = "S")]
    pub timeout: Option<u32>,
    /// Do not compare the network with the document afterwards
    #[arg(long)]
    pub no_verify: bool,
    #[command(flatten)]
    pub probing: Probing,
    #[command(flatten)]
    pub planning: Planning,
}

#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    pub input: Files,
    #[command(flatten)]
    pub restore: Restore,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait for `nmctl commit` until the timeout is over, then roll back
    #[arg(long)]
    pub no_commit: bool,
    #[command(flatten)]
    pub changing: Changing,
    /// Queue behind a change that awaits commit, instead of being refused
    #[arg(long, conflicts_with = "join")]
    pub wait: bool,
    /// Become part of a transaction that awaits commit
    #[arg(long, value_name = "ID")]
    pub join: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Try {
    #[command(flatten)]
    pub input: Files,
    #[command(flatten)]
    pub changing: Changing,
    /// Queue behind a change that awaits commit, instead of being refused
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct Edit {
    /// Only interfaces of that name, with their routes and rules; `*`, `?` and `[a-z]` match
    pub pattern: Option<String>,
    /// Wait for `nmctl commit` until the timeout is over, then roll back
    #[arg(long)]
    pub no_commit: bool,
    #[command(flatten)]
    pub changing: Changing,
}

#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub input: Files,
    #[command(flatten)]
    pub restore: Restore,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Exit with 2 if something would change
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub planning: Planning,
}

#[derive(Debug, Args)]
pub struct Pending {
    /// Number of the transaction; without it: the only one that awaits commit
    pub id: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Extend {
    #[command(flatten)]
    pub pending: Pending,
    /// Seconds from now
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub timeout: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command_line().debug_assert();
    }

    #[test]
    fn a_document_comes_from_standard_input_unless_named() {
        let Command::Apply(apply) = Arguments::parse_from(["nmctl", "apply"]).command else {
            panic!("`apply` parses as another command")
        };
        assert_eq!(apply.input.files, [PathBuf::from("-")]);
    }
}
