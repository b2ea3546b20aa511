//! The engine on a simulated network, disk and clock. The numbers in the names are the promises
//! of docs/safety.md.

mod disk;
mod host;
mod promises;
mod sweep;
mod walk;
mod world;
