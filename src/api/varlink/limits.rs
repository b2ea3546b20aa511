//! What a client can cost.

use std::time::Duration;

use crate::api::budget::Limits;

/// Longest message taken, with its zero byte. A document of 16 MiB fits, escaped.
pub(super) const MESSAGE_BYTES_MAX: usize = 32 << 20;
/// All long messages in memory together, in each direction: so much for root, so much for others.
pub(super) const BUDGET_BYTES: usize = 64 << 20;
/// A message so long costs nothing of the budget; also, how far calls are read ahead of answers.
pub(super) const FREE_BYTES: usize = 64 << 10;
/// Connections at a time.
pub(super) const CONNECTIONS: Limits = Limits { total: 256, for_root: 32, per_uid: 64 };
/// Longest time without a call, when none is being answered.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(600);
/// Longest time for the rest of a message that has begun.
pub(super) const MESSAGE_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest time for a reader to take anything at all.
pub(super) const STALL_MAX: Duration = Duration::from_secs(30);
/// Longest wait of a long answer for its share of the budget.
pub(super) const BUDGET_WAIT_MAX: Duration = Duration::from_secs(10);
/// How often a client that stopped sending is looked at while a person is asked for a password.
pub(super) const HANG_UP_LOOK: Duration = Duration::from_secs(1);
/// Rest after the system refused to accept a connection.
pub(super) const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Longest time for connections to take their answers when the daemon stops.
pub(super) const STOP_MAX: Duration = Duration::from_secs(2);
