//! Both transports of the daemon: a real bus, a real socket, a simulated network.

mod abuse;
mod bus;
mod conformance;
mod drift;
mod files;
mod harness;
mod idl;
mod permission;
