//! What is committed, brought back after a boot by a backend that keeps nothing itself.

use tracing::{debug, warn};

use super::possible::is_left_out;
use super::{ApplyOptions, Handle, Refusal, Reply, Request};
use crate::transaction::Committed;
use crate::wire::{Owner, Stage, TransactionInfo};

/// Attempts: what fails early in a boot may succeed a little later.
const APPLIES_MAX: u32 = 3;

impl Handle {
    /// Applies what is committed, once in each boot; behind a change that awaits commit, if there
    /// is one (see [`Handle::awaits_commit`]). None: it was done in this boot already, or nothing
    /// is committed, or the backend persists it by itself. What this machine cannot have now (hardware that is gone) is left out with an
    /// alert: the rest is brought back.
    pub async fn reapply_at_boot(&self) -> Result<Option<TransactionInfo>, Refusal> {
        if self.backend.capabilities().persists {
            debug!("what is committed came back without us: the backend keeps it over a reboot");
            return Ok(None);
        }
        if self.board.seen().boot.as_deref() == Some(&*self.boot_id) {
            return Ok(None);
        }
        let mut ended = None;
        if *self.committed().await? != *Committed::nothing().state {
            let last = self.bring_back().await?;
            if !is_good(&last) {
                // The next daemon of this boot tries again.
                let why = last.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
                self.alert(format!("what is committed could not be brought back at boot: {why}"));
                return Ok(Some(last));
            }
            for missing in last.warnings.iter().filter(|warning| is_left_out(warning)) {
                self.alert(format!("not brought back at boot: {missing}"));
            }
            ended = Some(last);
        }
        self.board.seen().boot = Some(self.boot_id.to_string());
        if let Err(problem) = self.store.write_boot(self.boot_id.to_string()).await {
            warn!("{}", problem.message);
        }
        Ok(ended)
    }

    async fn bring_back(&self) -> Result<TransactionInfo, Refusal> {
        let mut attempt = 1;
        loop {
            let owner = Owner { uid: 0, pid: None, via: "nmstated".into() };
            let options = ApplyOptions { wait: true, probes: Some(Vec::new()), ..ApplyOptions::default() };
            let last = match self.call(owner, Request::Restore { options }).await? {
                Reply::Transaction(info) => self.ended(info.id).await?,
                other => unreachable!("a submission is answered with a transaction, not {other:?}"),
            };
            if is_good(&last) || attempt == APPLIES_MAX {
                return Ok(last);
            }
            attempt += 1;
        }
    }
}

fn is_good(ended: &TransactionInfo) -> bool {
    matches!(ended.stage, Stage::Committed | Stage::Unchanged)
}
