//! The engine on a simulated network, disk and clock. The numbers in the names are the promises
//! of docs/safety.md.

#![expect(clippy::print_stderr, reason = "a failure must say how to replay it")]

mod disk;
mod host;
mod net;
mod path;
mod probes;
mod promises;
mod service;
mod sweep;
mod walk;
mod world;
