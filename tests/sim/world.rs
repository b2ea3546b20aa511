//! Everything that the daemon does not decide: time, faults, crashes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nmstated::backend::fake::{Fault, Point};
use nmstated::system::Clock;
use nmstated::wire::Probe;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Numbers that look random and depend on the seed only (splitmix64).
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below a usize")
    }

    /// One in `n`.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Where something happens that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    Disk(&'static str),
    Backend(Point),
    Probe,
}

/// What goes wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    FailBefore,
    FailAfter,
    /// Success is reported, nothing is done (backend only).
    Silent,
    /// No answer (backend only).
    Hang,
    /// The process is killed before the effect, or after it.
    KillBefore,
    KillAfter,
    /// Power is lost before the effect, in the middle of it, or after it.
    PowerBefore,
    PowerTorn,
    PowerAfter,
}

pub const TROUBLES: [Trouble; 9] = [
    Trouble::FailBefore,
    Trouble::FailAfter,
    Trouble::Silent,
    Trouble::Hang,
    Trouble::KillBefore,
    Trouble::KillAfter,
    Trouble::PowerBefore,
    Trouble::PowerTorn,
    Trouble::PowerAfter,
];

/// What the disk does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    Before,
    After,
    Torn,
}

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Killed,
    PowerLost,
}

type Schedule = Box<dyn FnMut(u64, Site) -> Option<Trouble> + Send>;

/// The world around the daemon.
pub struct World {
    inner: Mutex<Inner>,
    pub crashed: Notify,
}

struct Inner {
    points: u64,
    schedule: Schedule,
    crash: Option<Crash>,
    log: Vec<String>,
}

impl World {
    pub fn new() -> Arc<Self> {
        let inner = Inner { points: 0, schedule: Box::new(|_, _| None), crash: None, log: Vec::new() };
        Arc::new(Self { inner: Mutex::new(inner), crashed: Notify::new() })
    }

    /// From now on this decides what goes wrong; points are counted from 0 again.
    pub fn schedule(&self, schedule: impl FnMut(u64, Site) -> Option<Trouble> + Send + 'static) {
        let mut inner = self.inner.lock().expect("no test panics with it");
        inner.points = 0;
        inner.schedule = Box::new(schedule);
    }

    /// How many points were reached since the schedule was set.
    pub fn points(&self) -> u64 {
        self.inner.lock().expect("no test panics with it").points
    }

    pub fn crash(&self) -> Option<Crash> {
        self.inner.lock().expect("no test panics with it").crash
    }

    /// A new process begins.
    pub fn revive(&self) {
        self.inner.lock().expect("no test panics with it").crash = None;
        self.say("-- a new daemon".into());
    }

    pub fn say(&self, line: String) {
        self.inner.lock().expect("no test panics with it").log.push(line);
    }

    pub fn log(&self) -> String {
        self.inner.lock().expect("no test panics with it").log.join("\n")
    }

    fn trouble(&self, site: Site, name: &str) -> Option<Trouble> {
        let mut inner = self.inner.lock().expect("no test panics with it");
        let n = inner.points;
        inner.points += 1;
        let trouble = (inner.schedule)(n, site);
        let said = trouble.map(|trouble| format!(" -> {trouble:?}")).unwrap_or_default();
        inner.log.push(format!("{n} {site:?} {name}{said}"));
        match trouble {
            Some(Trouble::KillBefore | Trouble::KillAfter) => inner.crash = Some(Crash::Killed),
            Some(Trouble::PowerBefore | Trouble::PowerTorn | Trouble::PowerAfter) => {
                inner.crash = Some(Crash::PowerLost);
            }
            _ => {}
        }
        if inner.crash.is_some() {
            self.crashed.notify_one();
        }
        trouble
    }

    pub fn at_disk(&self, what: &'static str, name: &str) -> Verdict {
        let site = Site::Disk(what);
        if self.crash().is_some() {
            return Verdict::Before;
        }
        match self.trouble(site, name) {
            None => Verdict::Go,
            Some(Trouble::FailAfter) => Verdict::After,
            // What was done before power was lost had not reached the medium by itself.
            Some(Trouble::KillAfter | Trouble::PowerAfter) => Verdict::Go,
            Some(Trouble::PowerTorn) => Verdict::Torn,
            Some(
                Trouble::FailBefore
                | Trouble::Silent
                | Trouble::Hang
                | Trouble::KillBefore
                | Trouble::PowerBefore,
            ) => Verdict::Before,
        }
    }
}

impl World {
    pub fn at_probe(&self, probe: &Probe) -> Option<Fault> {
        self.fault(Site::Probe, &probe.to_string())
    }

    pub fn at(&self, point: Point) -> Option<Fault> {
        self.fault(Site::Backend(point), "")
    }

    fn fault(&self, site: Site, name: &str) -> Option<Fault> {
        if self.crash().is_some() {
            return Some(Fault::Hang);
        }
        match self.trouble(site, name) {
            None => None,
            Some(Trouble::FailBefore) => Some(Fault::Before),
            Some(Trouble::FailAfter) => Some(Fault::After),
            Some(Trouble::Silent) => Some(Fault::Silent),
            Some(Trouble::Hang | Trouble::KillBefore | Trouble::PowerBefore | Trouble::PowerTorn) => {
                Some(Fault::Hang)
            }
            Some(Trouble::KillAfter | Trouble::PowerAfter) => Some(Fault::HangAfter),
        }
    }
}

/// A clock that runs with tokio's, and jumps when told to.
pub struct FakeClock {
    start: Instant,
    jumps: Mutex<(Duration, u64)>,
    jumped: Notify,
}

impl FakeClock {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            jumps: Mutex::new((Duration::from_secs(10), 1_700_000_000)),
            jumped: Notify::new(),
        }
    }

    /// The machine sleeps for so long.
    pub fn suspend(&self, time: Duration) {
        self.jumps.lock().expect("no test panics with it").0 += time;
        self.jumped.notify_waiters();
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall: u64) {
        self.jumps.lock().expect("no test panics with it").1 = wall;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Duration {
        self.start.elapsed() + self.jumps.lock().expect("no test panics with it").0
    }

    fn wall(&self) -> u64 {
        self.jumps.lock().expect("no test panics with it").1
    }

    fn sleep_until(&self, at: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.now() < at {
                let jumped = self.jumped.notified();
                tokio::select! {
                    () = tokio::time::sleep(at.saturating_sub(self.now())) => {}
                    () = jumped => {}
                }
            }
        })
    }
}
