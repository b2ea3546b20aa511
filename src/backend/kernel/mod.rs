//! The kernel backend.

mod encode;
mod links;
mod lower;
mod op;
mod routes;
