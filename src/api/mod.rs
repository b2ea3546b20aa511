//! The two doors: D-Bus and varlink. They decode, authorise, ask the engine and encode, and have
//! no rule of their own, so both give the same answer to the same request.
//!
//! A call goes: bytes → [`Method`] → permit → `Request` → engine → [`Answer`] → bytes.

mod budget;

pub mod dbus;
mod decode;
mod failure;
mod method;
mod service;
pub mod varlink;

pub use budget::{Budget, Shares};
pub use failure::Failure;
pub use method::Method;
pub use service::{Answer, Asked, Service, Steps};
