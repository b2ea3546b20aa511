//! How many messages await their answer on one connection.
//!
//! The bus answers in NetworkManager's place, with a refusal, once too many do: dbus-daemon(1) allows 128
//! on the system bus unless it is configured otherwise (`max_replies_per_connection`).

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Messages that await an answer at a time.
pub(super) const WIDTH: usize = 100;

#[derive(Debug, Default)]
pub(super) struct Window {
    open: Mutex<BTreeSet<NonZeroU32>>,
    answered: Notify,
}

impl Window {
    fn with<T>(&self, work: impl FnOnce(&mut BTreeSet<NonZeroU32>) -> T) -> T {
        work(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Messages that may be sent now.
    pub fn room(&self) -> usize {
        self.with(|open| WIDTH.saturating_sub(open.len()))
    }

    /// Waits until at least one may be sent.
    pub async fn opened(&self) {
        while self.room() == 0 {
            // An answer that comes before the wait is kept for it.
            self.answered.notified().await;
        }
    }

    pub fn sent(&self, serial: NonZeroU32) {
        self.with(|open| open.insert(serial));
    }

    pub fn answered(&self, serial: NonZeroU32) {
        if self.with(|open| open.remove(&serial)) {
            self.answered.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn no_more_await_an_answer_than_may() {
        let window = Window::default();
        let serial =
            |number: usize| NonZeroU32::new(u32::try_from(number + 1).expect("small")).expect("not zero");
        for number in 0..WIDTH {
            assert_eq!(window.opened().now_or_never(), Some(()));
            window.sent(serial(number));
        }
        assert_eq!(window.room(), 0);
        assert_eq!(window.opened().now_or_never(), None);
        // Not one of ours.
        window.answered(serial(WIDTH));
        assert_eq!(window.room(), 0);
        window.answered(serial(3));
        window.answered(serial(3));
        assert_eq!(window.opened().now_or_never(), Some(()));
        assert_eq!(window.room(), 1);
    }
}
