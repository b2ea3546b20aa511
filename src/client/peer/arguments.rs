//! The command line of `nmstatectl` 2.2: subcommands, aliases and options of that name.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::client::arguments::Current;

/// The version of `nmstatectl` whose command line this is. Programs compare it.
pub const VERSION: &str = "2.2.62";

/// Shows and changes the network of this host: nmctl under another name.
#[derive(Debug, Parser)]
#[command(name = "nmstatectl", version = VERSION, max_term_width = 100)]
pub struct Arguments {
    /// Tell the steps of a change
    #[arg(short, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// No notes beside the result
    #[arg(short, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the present state of the network
    #[command(visible_alias = "s")]
    Show {
        /// Only this interface, with its routes and rules
        ifname: Option<String>,
        #[arg(short, long)]
        kernel: bool,
        #[arg(short, long)]
        running_config: bool,
        #[arg(short = 's', long)]
        show_secrets: bool,
        #[arg(long)]
        json: bool,
    },
    /// Make the network match documents, one after the other
    #[command(visible_alias = "a", alias = "set")]
    Apply(Apply),
    /// Keep a change that was applied with --no-commit
    Commit { checkpoint: Option<String> },
    /// Take back a change that was applied with --no-commit
    Rollback { checkpoint: Option<String> },
    /// Change the configured network in $EDITOR
    Edit {
        ifname: Option<String>,
        #[arg(long)]
        no_verify: bool,
        #[arg(long)]
        no_commit: bool,
        #[arg(long)]
        memory_only: bool,
    },
    /// Print the files of NetworkManager that a document comes to
    Gc { file: PathBuf },
    /// Print the document that leads back from a document
    Gr {
        file: PathBuf,
        #[command(flatten)]
        current: Current,
        #[arg(long)]
        json: bool,
    },
    /// Print which features documents use
    #[command(visible_alias = "st")]
    Statistic {
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        current: Current,
        #[arg(long)]
        json: bool,
    },
    /// Print a document if it is valid
    #[command(visible_alias = "v")]
    Validate {
        #[arg(default_value = "-")]
        file: PathBuf,
        #[command(flatten)]
        current: Current,
    },
    /// Print a document in canonical form
    #[command(visible_aliases = ["f", "fmt"])]
    Format {
        #[arg(default_value = "-")]
        file: PathBuf,
    },
    /// Print what a policy asks for
    #[command(visible_alias = "p")]
    Policy {
        file: PathBuf,
        #[command(flatten)]
        current: Current,
        #[arg(short = 'a', long, value_name = "FILE")]
        captured: Option<PathBuf>,
        #[arg(short, long, value_name = "FILE")]
        output_captured: Option<PathBuf>,
        #[arg(long)]
        json: bool,
    },
    /// Print the VLANs that switches announce, as a document
    Autoconf {
        #[arg(short, long)]
        dry_run: bool,
        /// Only these interfaces listen
        #[arg(value_name = "NIC", value_delimiter = ',')]
        names: Vec<String>,
    },
    #[command(hide = true)]
    PersistNicNames {
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        inspect: bool,
        #[arg(long)]
        cleanup: bool,
        #[arg(long, value_name = "FILE")]
        kargs_out: Option<PathBuf>,
        #[arg(short, long, value_name = "FOLDER", default_value = "/")]
        root: PathBuf,
    },
    /// Nothing: nmstated applies the documents of its folder by itself
    Service {
        #[arg(short, long, value_name = "FOLDER")]
        config: Option<PathBuf>,
    },
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
pub struct Apply {
    #[arg(value_name = "FILE", default_value = "-", hide_default_value = true)]
    pub files: Vec<PathBuf>,
    #[arg(long)]
    pub no_verify: bool,
    /// Refused unless the daemon works on the kernel alone
    #[arg(short, long)]
    pub kernel: bool,
    #[arg(long)]
    pub no_commit: bool,
    /// Seconds until what is not committed is rolled back
    #[arg(long, value_name = "S", default_value = "60")]
    pub timeout: String,
    #[arg(short = 's', long)]
    pub show_secrets: bool,
    #[arg(long)]
    pub memory_only: bool,
    #[arg(long)]
    pub override_iface: bool,
}
