//! The engine: the one owner of the queue, the checkpoints and the backend.
//!
//! API of this room (the handle):
//! `Handle::call(&self, owner: Owner, request: Request) -> Result<Reply, Refusal>` (async, bounded),
//! `Handle::events(&self) -> Events` (bounded broadcast: first the present transactions, then changes),
//! `Handle::follow(&self, id)` (the events of one transaction until its end).

mod request;

pub use request::{ApplyOptions, Refusal, Reply, Request, ShowOptions};
