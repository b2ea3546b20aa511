//! The transaction machine: the one queue, the one change under way, its checkpoint. Events in,
//! effects out. Pure: whoever drives it does the work, and tells the time.

mod accumulate;
mod codec;
mod event;
mod live;
mod machine;
mod probing;
mod queue;
mod record;
mod recover;
mod report;
mod service;
mod steps;

pub use accumulate::accumulate;
pub use codec::{Unreadable, decode, encode};
pub use event::{
    ApplyOptions, CommitFailure, Desired, Effect, Event, Lacking, Now, Outcome, Planned, Probed, Restored,
    Ticket, Work,
};
pub use machine::{Config, Machine};
pub use queue::{QUEUE_MAX, ROOT_RESERVE, UID_SHARE};
pub use record::{Before, Committed, Phase, Record, read_ids, write_ids};
pub use recover::{Found, Stored};
pub use report::{error_info, refusal};
pub use service::Service;
