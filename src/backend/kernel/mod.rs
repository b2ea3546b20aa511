//! The kernel backend.

mod encode;
mod ethtool;
mod execute;
mod files;
mod links;
mod lower;
mod op;
mod probe;
mod refuse;
mod routes;
