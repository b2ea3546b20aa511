//! The NetworkManager room against a real NetworkManager, each test in namespaces of its own. Needs the
//! right to make them (root, or root of a user namespace) and what tests/setup brings.

mod backend;
mod bus;
mod calls;
mod engine;
mod harness;
mod ip;
mod keyfile;
mod refused;
mod refuser;
mod settings;
