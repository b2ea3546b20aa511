//! varlink on a unix socket (varlink.org, "Protocol"): JSON messages, each ended by a zero byte.
//!
//! Each connection is served by one task, one call at a time, in order. What a client can cost is
//! bounded: [`limits`] names every limit.

mod connection;
mod framing;
mod limits;
mod reply;
mod server;

pub use server::{Server, bind};

/// The interface, for `org.varlink.service.GetInterfaceDescription`.
pub const INTERFACE: &str = include_str!("io.nmstate.Daemon.varlink");

/// The name of the interface.
pub const NAME: &str = "io.nmstate.Daemon";
