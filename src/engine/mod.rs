//! The engine: the one owner of the queue, the checkpoints and the backend.
//!
//! [`start`] runs the actor; a [`Handle`] is the way to ask it. What only reads is answered from
//! the backend's memory and the board, without waiting for the actor.

mod actor;
mod board;
mod boot;
mod desired;
mod documents;
mod drift;
mod events;
mod handle;
mod history;
mod nets;
mod possible;
mod probing;
mod read;
mod request;
mod start;
mod store;
mod work;

pub use documents::run as apply_documents;
pub use events::{Events, Follow};
pub use handle::{Handle, Host};
pub use request::{ApplyOptions, Client, PlanOptions, Refusal, Reply, Request, ShowOptions};
pub use start::{Limits, Setup, StartError, start};
pub use store::{OPEN_RECORDS, OpenRecord, open_record};
