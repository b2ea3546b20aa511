//! What clients may use up together: memory for messages, connections, calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Memory for large messages. Root has its own, so that nobody can use up what root needs.
#[derive(Clone)]
pub struct Budget {
    root: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

/// Bytes taken from a budget, given back when dropped.
#[derive(Debug)]
pub struct Reserved {
    _permit: OwnedSemaphorePermit,
}

const KIB: usize = 1 << 10;

impl Budget {
    /// So many bytes for root, and as many for all others together.
    pub fn new(bytes: usize) -> Self {
        let each = || Arc::new(Semaphore::new(bytes / KIB));
        Self { root: each(), others: each() }
    }

    fn of(&self, uid: u32) -> Arc<Semaphore> {
        if uid == 0 { self.root.clone() } else { self.others.clone() }
    }

    /// Takes bytes if they are free.
    pub fn take(&self, uid: u32, bytes: usize) -> Option<Reserved> {
        let permit = self.of(uid).try_acquire_many_owned(kib(bytes)).ok()?;
        Some(Reserved { _permit: permit })
    }

    /// Takes bytes as soon as they are free. Bound the wait; more than the whole budget is never
    /// free.
    pub async fn wait(&self, uid: u32, bytes: usize) -> Reserved {
        let permit = self.of(uid).acquire_many_owned(kib(bytes)).await;
        Reserved { _permit: permit.expect("this semaphore is never closed") }
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX)
}

/// A number of places, with a limit for all, a limit for each uid, and some that only root gets.
#[derive(Clone)]
pub struct Shares {
    limits: Limits,
    taken: Arc<Mutex<Taken>>,
    given_back: Arc<Notify>,
}

/// The limits of [`Shares`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub total: usize,
    /// Of the total, kept for root.
    pub for_root: usize,
    /// For each uid but root.
    pub per_uid: usize,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_uid: HashMap<u32, usize>,
}

/// A place, given back when dropped.
pub struct Share {
    uid: u32,
    taken: Arc<Mutex<Taken>>,
    given_back: Arc<Notify>,
}

impl Shares {
    pub fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default(), given_back: Arc::default() }
    }

    /// A place, if one is free for this uid.
    pub fn take(&self, uid: u32) -> Option<Share> {
        let mut taken = lock(&self.taken);
        let own = taken.by_uid.get(&uid).copied().unwrap_or(0);
        let (total_max, own_max) = match uid {
            0 => (self.limits.total, self.limits.total),
            _ => (self.limits.total - self.limits.for_root, self.limits.per_uid),
        };
        if taken.total >= total_max || own >= own_max {
            return None;
        }
        taken.total += 1;
        taken.by_uid.insert(uid, own + 1);
        Some(Share { uid, taken: self.taken.clone(), given_back: self.given_back.clone() })
    }

    /// Completes when no place is taken.
    pub async fn all_free(&self) {
        loop {
            let given_back = self.given_back.notified();
            if lock(&self.taken).total == 0 {
                return;
            }
            given_back.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.total -= 1;
        if let Some(own) = taken.by_uid.get_mut(&self.uid) {
            *own -= 1;
            if *own == 0 {
                taken.by_uid.remove(&self.uid);
            }
        }
        self.given_back.notify_waiters();
    }
}

fn lock(taken: &Mutex<Taken>) -> std::sync::MutexGuard<'_, Taken> {
    // Counters are whole at every moment that a panic could come.
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_use_up_what_others_need() {
        let shares = Shares::new(Limits { total: 10, for_root: 2, per_uid: 5 });
        let first: Vec<_> = (0..20).filter_map(|_| shares.take(1000)).collect();
        assert_eq!(first.len(), 5);
        let second: Vec<_> = (0..20).filter_map(|_| shares.take(1001)).collect();
        assert_eq!(second.len(), 3);
        let root: Vec<_> = (0..20).filter_map(|_| shares.take(0)).collect();
        assert_eq!(root.len(), 2);
        drop(first);
        assert!(shares.take(1002).is_some());
        drop((second, root));
        assert_eq!(lock(&shares.taken).by_uid.len(), 0);
    }

    #[test]
    fn memory_of_root_is_apart() {
        let budget = Budget::new(64 << 10);
        let all = budget.take(1000, 64 << 10);
        assert!(all.is_some());
        assert!(budget.take(1001, 1).is_none());
        assert!(budget.take(0, 64 << 10).is_some());
        drop(all);
        assert!(budget.take(1001, 1).is_some());
    }
}
