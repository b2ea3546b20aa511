//! Who asks, and whether they may.
//!
//! A [`Caller`] is what a transport knows about its client; [`Gate::permit`] turns it into a
//! [`Permit`], the proof without which the API asks the engine nothing.

mod action;
mod asks;
mod caller;
mod gate;
mod polkit;

pub use action::Action;
pub use asks::Asks;
pub use caller::{Caller, Subject};
pub use gate::{Denied, Gate, Permit};
