//! `nmctl`: arguments, the varlink client, rendering, exit codes. Thin: every rule is the daemon's.

mod agent;
mod arguments;
mod commands;
mod connection;
mod daemon;
mod document;
mod failure;
mod follow;
mod output;
mod show;
mod transactions;
mod verbatim;

pub use arguments::command_line;
pub use commands::run;
