//! nmstated: a daemon that makes a host's network match a document.
//!
//! `docs/architecture.md` names the rooms below and the arrows allowed between them;
//! `tests/tidy.rs` enforces the arrows.

// Some tests of ours have harnesses of the tests beside us, which know this crate by its name.
#[cfg(test)]
extern crate self as nmstated;

pub mod api;
pub mod auth;
pub mod backend;
pub mod client;
pub mod daemon;
pub mod engine;
pub mod kernel;
pub mod netplan;
pub mod nm;
pub mod ovsdb;
pub mod plan;
pub mod policy;
pub mod probe;
pub mod state;
pub mod system;
pub mod tools;
pub mod transaction;
pub mod verify;
pub mod wire;
