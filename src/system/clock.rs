//! Time. Decisions use the time since boot, suspended time included; the wall clock is for people.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId as ReadClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

/// Reads time and waits for it.
pub trait Clock: Send + Sync {
    /// Time since boot, suspended time included.
    fn now(&self) -> Duration;

    /// Seconds since 1970, which may jump.
    fn wall(&self) -> u64;

    /// Completes when [`Clock::now`] has reached `at`; at once if it has.
    fn sleep_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// `CLOCK_BOOTTIME`, which goes on while the machine is suspended (clock_gettime(2)).
pub struct BootClock(());

/// The timer with the descriptor that the reactor waits on.
struct Timer(TimerFd);

impl AsRawFd for Timer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Timer {
    fn new() -> io::Result<AsyncFd<Self>> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = Self(TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?);
        // SAFETY: the timer owns its descriptor, never replaces it, and lives in the `AsyncFd`.
        unsafe { AsyncFd::register(timer) }.map_err(Into::into)
    }
}

impl BootClock {
    /// Fails where there are no such timers. Needs a running tokio runtime.
    pub fn new() -> io::Result<Self> {
        Timer::new().map(|_| Self(()))
    }
}

impl Clock for BootClock {
    fn now(&self) -> Duration {
        clock_gettime(ReadClockId::CLOCK_BOOTTIME)
            .expect("CLOCK_BOOTTIME exists since Linux 2.6.39 and needs no permission")
            .into()
    }

    fn wall(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// Each sleeper has a timer of its own: the engine and its safety nets wait for different moments.
    fn sleep_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            if self.now() >= at {
                return;
            }
            let timer = Timer::new();
            let set = |timer: &AsyncFd<Timer>| {
                let expiration = Expiration::OneShot(TimeSpec::from_duration(at));
                timer.get_ref().0.set(expiration, TimerSetTimeFlags::TFD_TIMER_ABSTIME).is_ok()
            };
            while self.now() < at {
                match &timer {
                    Ok(timer) if set(timer) => {
                        if let Ok(mut ready) = timer.readable().await {
                            ready.clear_ready();
                        }
                    }
                    // A timer that cannot be had or set must not become a deadline that never comes: look
                    // again every second.
                    _ => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        })
    }
}

/// Time that the calling thread has spent on a processor (clock_gettime(2)).
pub fn thread_cpu() -> Duration {
    clock_gettime(ReadClockId::CLOCK_THREAD_CPUTIME_ID)
        .expect("CLOCK_THREAD_CPUTIME_ID exists since Linux 2.6.12 and needs no permission")
        .into()
}

/// The identity of this boot of the kernel (random(4)).
pub fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeps_until_a_moment_and_not_for_a_past_one() {
        let clock = BootClock::new().expect("a timer");
        clock.sleep_until(Duration::ZERO).await;
        let at = clock.now() + Duration::from_millis(5);
        clock.sleep_until(at).await;
        assert!(clock.now() >= at);
        // Armed again after it fired.
        let later = clock.now() + Duration::from_millis(5);
        clock.sleep_until(later).await;
        assert!(clock.now() >= later);
    }

    #[tokio::test]
    async fn who_sleeps_longer_keeps_nobody_asleep() {
        let clock = BootClock::new().expect("there are timers");
        let now = clock.now();
        let soon = clock.sleep_until(now + Duration::from_millis(20));
        let late = clock.sleep_until(now + Duration::from_secs(3600));
        let woken = async {
            tokio::select! {
                biased;
                () = soon => true,
                () = late => false,
            }
        };
        let woken = tokio::time::timeout(Duration::from_secs(10), woken).await;
        assert_eq!(woken, Ok(true));
    }
}
