//! The whole chain: `nmctl` or a bus client, the daemon, the kernel. Each test has a network
//! namespace, a daemon, a state directory and a socket of its own, and kills for real. Needs the
//! right to make a namespace (root, or root of a user namespace).

mod boot;
mod clients;
mod documents;
mod drift;
mod examples;
mod growth;
mod handler;
mod harness;
mod kills;
mod nmstatectl;
mod probes;
mod python;
mod scale;
mod storage;
mod terminal;
mod transports;
