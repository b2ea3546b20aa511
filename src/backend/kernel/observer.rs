//! The network as a state: built at most once for each revision, shared by all who ask.
//!
//! What was built is kept while somebody asks, and for [`KEPT`] after the last one did. Then it is
//! dropped and its memory given back, so that a daemon at rest holds the mirror and nothing more.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;

use crate::backend::Observation;
use crate::kernel::mirror::Mirror;
use crate::kernel::show::{Scope, Translator};
use crate::system::memory;

/// How long an observation is kept after it was last asked for: longer than the steps of one
/// transaction are apart, and than a person's next command.
const KEPT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Observer {
    mirror: Mirror,
    /// Held for a moment only.
    newest: Mutex<Option<Observation>>,
    /// Held while a state is built: who asks meanwhile waits, and shares it.
    translator: Mutex<Translator>,
    asked: watch::Sender<()>,
}

impl Observer {
    /// Needs a running tokio runtime, which forgets for it.
    pub(super) fn new(mirror: Mirror) -> Arc<Self> {
        let (asked, is_asked) = watch::channel(());
        let observer = Arc::new(Self {
            mirror,
            newest: Mutex::new(None),
            translator: Mutex::new(new_translator()),
            asked,
        });
        tokio::spawn(forget_at_rest(Arc::downgrade(&observer), is_asked));
        observer
    }

    /// The network now. May walk the whole of it: not for a thread of the runtime.
    pub(super) fn observe(&self) -> Observation {
        self.asked.send_replace(());
        if let Some(known) = self.known() {
            return known;
        }
        let mut translator = lock(&self.translator);
        // Somebody else may have built it in the meantime.
        if let Some(known) = self.known() {
            return known;
        }
        let image = self.mirror.image();
        let observation = Observation { state: Arc::new(translator.show(&image)), revision: image.revision };
        // Whoever drops the last image frees it: better here than where changes are followed.
        drop(image);
        let former = lock(&self.newest).replace(observation.clone());
        drop(former);
        observation
    }

    /// The same for who runs on a thread of the runtime.
    pub(super) async fn look(self: &Arc<Self>) -> Result<Observation, JoinError> {
        match self.known() {
            Some(known) => {
                self.asked.send_replace(());
                Ok(known)
            }
            None => {
                let observer = Arc::clone(self);
                spawn_blocking(move || observer.observe()).await
            }
        }
    }

    fn known(&self) -> Option<Observation> {
        let revision = self.mirror.revision();
        lock(&self.newest).clone().filter(|newest| newest.revision >= revision)
    }

    fn forget(&self) {
        let newest = lock(&self.newest).take();
        let translator = std::mem::replace(&mut *lock(&self.translator), new_translator());
        drop((newest, translator));
        memory::give_back();
    }
}

fn new_translator() -> Translator {
    Translator::new(Scope::Everything)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left is a cache: whole, or not there.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends with the observer.
async fn forget_at_rest(observer: Weak<Observer>, mut asked: watch::Receiver<()>) {
    while asked.changed().await.is_ok() {
        while let Ok(Ok(())) = timeout(KEPT, asked.changed()).await {}
        let Some(observer) = observer.upgrade() else { return };
        // A panic has been reported by its hook, and nothing rests on this.
        let _ = spawn_blocking(move || observer.forget()).await;
    }
}
