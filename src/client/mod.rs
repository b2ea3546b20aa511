//! `nmctl`: arguments, the varlink client, rendering, exit codes. Thin: every rule is the
//! daemon's, or stands in `tools` for what needs no daemon.

mod agent;
mod arguments;
mod commands;
mod confirm;
mod connection;
mod daemon;
mod document;
mod edit;
mod failure;
mod files;
mod follow;
mod nic_names;
mod origin;
mod output;
mod peer;
mod show;
mod terminal;
mod tools;
mod transactions;
mod trial;
mod verbatim;
mod yaml;

pub use arguments::command_line;
pub use commands::run;
