//! Calls that block, on threads of their own: what hangs in one delays nothing, the end of the
//! process neither (a runtime waits for its own blocking threads).

use std::sync::Arc;
use std::thread;

use tokio::sync::{Semaphore, oneshot};

use super::Fault;

/// Most that hang at once; more wait for their turn, as long as who asks does.
const THREADS_MAX: usize = 4;

#[derive(Clone, Debug)]
pub(super) struct Aside(Arc<Semaphore>);

impl Aside {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(THREADS_MAX)))
    }

    pub(super) async fn call<T: Send + 'static>(
        &self,
        name: &str,
        block: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        let failed = |what: String| Fault::Fails(format!("it cannot be found out: {what}"));
        let permit = self.0.clone().acquire_owned().await.map_err(|error| failed(error.to_string()))?;
        let (tell, told) = oneshot::channel();
        let spawned = thread::Builder::new().name(name.into()).spawn(move || {
            // Whoever asked may have gone.
            let _ = tell.send(block());
            drop(permit);
        });
        spawned.map_err(|error| failed(error.to_string()))?;
        told.await.map_err(|error| failed(error.to_string()))
    }
}
