//! The client of Open vSwitch's database: against a real ovsdb-server, and against ones that are not
//! what they should be.

mod harness;
mod hostile;
mod server;
