//! What is committed, brought back after a boot by a backend that keeps nothing itself.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tracing::warn;

use super::{ApplyOptions, Handle, Refusal, Reply, Request};
use crate::plan;
use crate::state::{Document, Problem, Segment};
use crate::transaction::Committed;
use crate::wire::{Owner, Stage, TransactionInfo};

/// Attempts to leave out what cannot be brought back.
const ATTEMPTS_MAX: usize = 8;
/// Attempts to apply what is left.
const APPLIES_MAX: u32 = 3;
/// The lists whose entries can be left out, one by one.
const LISTS: [&[&str]; 3] = [&["interfaces"], &["routes", "config"], &["route-rules", "config"]];

impl Handle {
    /// Applies what is committed, once in each boot. None: it was done in this boot already, or
    /// nothing is committed. What this machine cannot have now (hardware that is gone) is left
    /// out with an alert: the rest is brought back.
    pub async fn reapply_at_boot(&self) -> Result<Option<TransactionInfo>, Refusal> {
        if self.board.seen().boot.as_deref() == Some(&*self.boot_id) {
            return Ok(None);
        }
        if self.awaits_commit() {
            // An earlier daemon of this boot has served, which comes after this. It must not wait.
            return Ok(None);
        }
        let mut committed = (*self.committed().await?).clone();
        committed.reveal_secrets();
        let is_nothing = committed == *Committed::nothing().state;
        let mut ended = None;
        if !is_nothing {
            let committed = self.possible(json!(committed)).await?;
            let last = self.apply_committed(&committed).await?;
            if !is_good(&last) {
                // The next daemon of this boot tries again.
                let why = last.error.as_ref().map(|error| error.message.as_str()).unwrap_or_default();
                self.alert(format!("what is committed could not be brought back at boot: {why}"));
                return Ok(Some(last));
            }
            ended = Some(last);
        }
        self.board.seen().boot = Some(self.boot_id.to_string());
        if let Err(problem) = self.store.write_boot(self.boot_id.to_string()).await {
            warn!("{}", problem.message);
        }
        Ok(ended)
    }

    /// The document without the entries that cannot be planned here.
    async fn possible(&self, mut committed: Json) -> Result<Json, Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let document = Document::from_json(&committed);
            let Err(problems) = self.reader.plan(document, plan::Options::default()).await else { break };
            if !leave_out(&mut committed, &problems) {
                return Err(problems);
            }
            for problem in problems {
                self.alert(format!("not brought back at boot: {problem}"));
            }
        }
        Ok(committed)
    }

    /// Applies it, again if it fails: what fails early in a boot may succeed a little later.
    async fn apply_committed(&self, committed: &Json) -> Result<TransactionInfo, Refusal> {
        let mut attempt = 1;
        loop {
            let owner = Owner { uid: 0, pid: None, via: "nmstated".into() };
            let document = Document::from_json(committed);
            let options = ApplyOptions { wait: true, probes: Some(Vec::new()), ..ApplyOptions::default() };
            let last = match self.call(owner, Request::Submit { document, options }).await? {
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

/// Removes the list entries that the problems name. False: they name none.
fn leave_out(document: &mut Json, problems: &[Problem]) -> bool {
    let mut is_any = false;
    for list in LISTS {
        let named: BTreeSet<usize> = problems.iter().filter_map(|problem| entry_of(list, problem)).collect();
        let pointer: String = list.iter().map(|key| format!("/{key}")).collect();
        if let Some(entries) = document.pointer_mut(&pointer).and_then(Json::as_array_mut) {
            for index in named.into_iter().rev().filter(|index| *index < entries.len()).collect::<Vec<_>>() {
                entries.remove(index);
                is_any = true;
            }
        }
    }
    is_any
}

/// Which entry of a list a problem is about.
fn entry_of(list: &[&str], problem: &Problem) -> Option<usize> {
    let segments = problem.path.segments();
    let (keys, rest) = segments.split_at_checked(list.len())?;
    let is_list = keys.iter().zip(list).all(|(segment, key)| matches!(segment, Segment::Key(k) if k == key));
    match rest.first() {
        Some(Segment::Index(index)) if is_list => Some(*index),
        _ => None,
    }
}
