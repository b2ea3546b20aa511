//! D-Bus: the object `/io/nmstate/Daemon`, and below it one object for each live transaction and
//! for each checkpoint.
//!
//! Documents and states travel as text. Numbers of transactions count from 1; where one may be
//! left out, 0 says so.

mod convert;
mod daemon;
mod error;
mod objects;
mod server;

pub use error::BusError;
pub use server::{Server, ServerError, connect};

/// The name on the bus, and the name of the main interface.
pub const NAME: &str = "io.nmstate.Daemon";

/// The main object.
pub const PATH: &str = "/io/nmstate/Daemon";
