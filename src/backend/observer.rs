//! The network as a state: built at most once for each revision, shared by all who ask.
//!
//! What was built is kept while somebody asks, and for [`KEPT`] after the last one did. Then it is
//! dropped and its memory given back, so that a daemon at rest holds its images and nothing more.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Failure, Observation};
use crate::state::ErrorKind;
use crate::system::memory;

/// How long an observation is kept after it was last asked for: longer than the steps of one
/// transaction are apart, and than a person's next command.
const KEPT: Duration = Duration::from_secs(10);

/// Where states come from: live images.
pub(super) trait Source: Send + Sync + 'static {
    /// What one translation leaves for the next.
    type Cache: Default + Send;

    /// Increases with every change of what [`Source::build`] looks at.
    fn revision(&self) -> u64;

    /// The state now, with a revision that is not greater than that of what it shows.
    fn build(&self, cache: &mut Self::Cache) -> Result<Observation, Failure>;
}

pub(super) struct Observer<S: Source> {
    source: S,
    /// Held for a moment only.
    newest: Mutex<Option<Observation>>,
    /// Held while a state is built: who asks meanwhile waits, and shares it.
    cache: Mutex<S::Cache>,
    asked: watch::Sender<()>,
}

impl<S: Source> fmt::Debug for Observer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("revision", &self.source.revision()).finish_non_exhaustive()
    }
}

impl<S: Source> Observer<S> {
    /// Needs a running tokio runtime, which forgets for it.
    pub(super) fn new(source: S) -> Arc<Self> {
        let (asked, is_asked) = watch::channel(());
        let observer = Arc::new(Self {
            source,
            newest: Mutex::new(None),
            cache: Mutex::new(S::Cache::default()),
            asked,
        });
        tokio::spawn(forget_at_rest(Arc::downgrade(&observer), is_asked));
        observer
    }

    /// The network now. May walk the whole of it: not for a thread of the runtime.
    pub(super) fn observe(&self) -> Result<Observation, Failure> {
        self.asked.send_replace(());
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let mut cache = lock(&self.cache);
        // Somebody else may have built it in the meantime.
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let observation = self.source.build(&mut cache)?;
        let former = lock(&self.newest).replace(observation.clone());
        drop(former);
        Ok(observation)
    }

    /// The same for who runs on a thread of the runtime.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Observation, Failure> {
        match self.known() {
            Some(known) => {
                self.asked.send_replace(());
                Ok(known)
            }
            None => self.compute(Ok).await,
        }
    }

    /// Computes something from the network now, where it keeps nobody waiting.
    pub(super) async fn compute<T: Send + 'static>(
        self: &Arc<Self>,
        compute: impl FnOnce(Observation) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let observer = Arc::clone(self);
        let computed = spawn_blocking(move || compute(observer.observe()?)).await;
        computed.unwrap_or_else(|error| {
            let message = format!("cannot look at the network: {error}");
            Err(Failure { kind: ErrorKind::PluginFailure, subject: None, message })
        })
    }

    fn known(&self) -> Option<Observation> {
        let revision = self.source.revision();
        lock(&self.newest).clone().filter(|newest| newest.revision >= revision)
    }

    fn forget(&self) {
        let newest = lock(&self.newest).take();
        let cache = std::mem::take(&mut *lock(&self.cache));
        drop((newest, cache));
        memory::give_back();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left is a cache: whole, or not there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends with the observer.
async fn forget_at_rest<S: Source>(observer: Weak<Observer<S>>, mut asked: watch::Receiver<()>) {
    while asked.changed().await.is_ok() {
        while let Ok(Ok(())) = timeout(KEPT, asked.changed()).await {}
        let Some(observer) = observer.upgrade() else { return };
        // A panic has been reported by its hook, and nothing rests on this.
        let _ = spawn_blocking(move || observer.forget()).await;
    }
}
