//! The two doors: D-Bus and varlink. They decode, authorise, ask the engine and encode, and have
//! no rule of their own, so both give the same answer to the same request.
//!
//! A call goes: bytes → [`Method`] → permit → `Request` → engine → [`Answer`] → bytes.

mod budget;

pub mod dbus;
mod decode;
mod failure;
mod interactive;
mod method;
mod service;
pub mod varlink;

pub use budget::{Budget, Shares};
pub use failure::Failure;
pub use method::Method;
pub use service::{Answer, Asked, Service, Steps};

/// Completes when the daemon is told to stop, or nobody is left to tell it.
async fn told_to(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // An error says that nobody is left.
    let _ = stop.wait_for(|stop| *stop).await;
}
