//! What a daemon does about what an earlier one left on disk, before it serves any request.

use std::mem;
use std::time::Duration;

use super::codec::Unreadable;
use super::event::{Effect, Now};
use super::live::{Checkpoint, Live, Step};
use super::machine::{Config, Machine, cancelled};
use super::record::{Committed, Phase, Record};
use super::report::{error_info, refusal};
use super::service::Service;
use crate::state::ErrorKind;
use crate::wire::{Stage, TransactionId};

/// Ids skipped when the file that reserves them is unreadable.
const IDS_SKIPPED: u64 = 10_000;

/// A file of the state directory.
#[derive(Debug)]
pub enum Stored<T> {
    Missing,
    /// It has been set aside.
    Unreadable(Unreadable),
    Is(T),
}

/// The state directory as it was found.
#[derive(Debug)]
pub struct Found {
    pub checkpoint: Stored<Record>,
    /// The record of a rollback that had begun.
    pub rollback: Stored<Record>,
    pub committed: Stored<Committed>,
    /// The first id that is free.
    pub ids: Stored<TransactionId>,
    /// The ended transactions that the history knows, ascending.
    pub in_history: Vec<TransactionId>,
    /// Whether the record of an incomplete rollback was set aside earlier.
    pub has_incomplete: bool,
}

impl Machine {
    /// The machine that goes on from what was found, and what it does first. Total: whatever the
    /// disk holds leads to a machine.
    pub fn recover(found: Found, config: Config, service: Service, now: Now) -> (Self, Vec<Effect>) {
        let mut alerts = Vec::new();
        let Found { checkpoint, rollback, committed, ids, in_history, has_incomplete } = found;
        let committed = take("what is committed", committed, &mut alerts).unwrap_or_else(Committed::nothing);
        let is_ids_lost = matches!(ids, Stored::Unreadable(_));
        let ids = take("the reserved ids", ids, &mut alerts);
        let rollback = take("the record of a rollback", rollback, &mut alerts);
        let checkpoint = take("a checkpoint", checkpoint, &mut alerts);
        if has_incomplete {
            alerts.push("an earlier rollback is incomplete; its record is kept as `incomplete`".into());
        }

        let records = [&rollback, &checkpoint].into_iter().flatten().map(|record| record.id);
        let used = records.chain([committed.last]).chain(in_history.last().copied()).max().unwrap_or(0);
        let skipped = if is_ids_lost { IDS_SKIPPED } else { 0 };
        let next_id = ids.unwrap_or(1).max(used + 1 + skipped);

        let last = committed.last;
        let mut machine = Self::new(config, committed.state, service, next_id);
        machine.out.extend(alerts.into_iter().map(Effect::Alert));
        let rollback = rollback.map(|record| (record, true));
        let records = rollback.into_iter().chain(checkpoint.map(|record| (record, false)));
        let (open, ended): (Vec<_>, Vec<_>) = records.partition(|(record, _)| record.id > last);
        // There is one open record at most; if ever two, the older one leads back the farthest.
        if let Some((record, is_rollback)) = open.into_iter().min_by_key(|(record, _)| record.id) {
            machine.reopen(record, is_rollback);
        } else if let Some((record, _)) = ended.into_iter().max_by_key(|(record, _)| record.id) {
            let is_known = in_history.binary_search(&record.id).is_ok();
            machine.close_committed(record, is_known, now);
        }
        machine.expire(now);
        machine.advance();
        let effects = mem::take(&mut machine.out);
        (machine, effects)
    }

    /// Takes up a transaction that had not ended.
    fn reopen(&mut self, record: Record, is_rollback: bool) {
        let is_same_boot = record.boot_id == self.config.boot_id;
        let awaits = record.phase == Phase::AwaitingCommit && !is_rollback;
        let backend = record.backend.clone();
        let phase = if is_rollback { Phase::Applying } else { record.phase };
        let live = live(record, phase, is_same_boot);
        if backend != self.config.backend {
            let item = format!("the backend was {backend} and is {} now", self.config.backend);
            let live = self.enter(live, Stage::RollingBack);
            return self.give_up(live, vec![item]);
        }
        if !is_same_boot {
            return self
                .roll_back(live, Some(cancelled("the machine was restarted before it was committed")));
        }
        if awaits && let Some(missing) = self.service.missing.clone() {
            let message =
                format!("the service of the backend was lost while the change awaited commit: {missing}");
            let live = Live { stage: Stage::AwaitingCommit, ..live };
            return self.roll_back(live, error_info(&refusal(ErrorKind::PluginFailure, message)));
        }
        if awaits {
            // Past its deadline, the machine rolls it back at once.
            let live = self.enter(live, Stage::AwaitingCommit);
            self.live = Some(Live { step: Step::Awaiting, ..live });
            return;
        }
        let cause = if is_rollback {
            "the daemon ended while it was being rolled back"
        } else {
            "the daemon ended before it was committed"
        };
        self.roll_back(live, Some(cancelled(cause)));
    }

    /// Ends a transaction that was committed, but whose record is still there.
    fn close_committed(&mut self, record: Record, is_known: bool, now: Now) {
        let is_same_boot = record.boot_id == self.config.boot_id;
        let live = live(record, Phase::Applying, is_same_boot);
        let live = Live { stage: Stage::Committing, ..live };
        if is_known {
            self.clear(live, Stage::Committed);
        } else {
            self.close(live, Stage::Committed, now);
        }
    }
}

fn live(record: Record, phase: Phase, is_same_boot: bool) -> Live {
    let Record {
        id,
        boot_id: _,
        owner,
        created,
        phase: _,
        deadline,
        deadline_wall: _,
        backend: _,
        before,
        then,
        diff,
        warnings,
        client_path,
    } = record;
    Live {
        id,
        owner,
        created,
        stage: Stage::Planning,
        step: Step::Awaiting,
        request: None,
        verify: true,
        commit: false,
        timeout: Duration::ZERO,
        cancel_on_disconnect: false,
        planned: None,
        diff,
        warnings,
        client_path,
        probes: Vec::new(),
        required: Vec::new(),
        not_required: Vec::new(),
        checkpoint: Some(Checkpoint { before, then, deadline, phase, is_changed: true, is_same_boot }),
        asked: None,
        join: None,
        error: None,
        unrestored: Vec::new(),
    }
}

fn take<T>(what: &str, stored: Stored<T>, alerts: &mut Vec<String>) -> Option<T> {
    match stored {
        Stored::Is(content) => Some(content),
        Stored::Missing => None,
        Stored::Unreadable(why) => {
            alerts.push(format!("{what} was set aside: {why}"));
            None
        }
    }
}
