//! What restores the network if this process never comes back: a timer of systemd.

use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::Clock;
use super::systemd::{Manager, Property, micros};

/// Something outside this process that runs `nmstated --restore` in time.
pub trait SafetyNet: Send + Sync {
    /// What `status` calls it.
    fn name(&self) -> &'static str;

    /// Makes it come at that moment (a time of [`Clock::now`]), in the place of any earlier one; or
    /// takes it away. An error says why, for people.
    fn set(&self, at: Option<Duration>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// Pause before it is tried again, if something was left to restore.
const AGAIN: Duration = Duration::from_secs(60);
/// How exact the timer is.
const ACCURACY: Duration = Duration::from_secs(1);

/// Exists where systemd is the init system (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// Where transient units are while they are loaded (systemd.unit(5), "Unit File Load Path").
const TRANSIENT: &str = "/run/systemd/transient";

/// A transient timer of systemd, which starts the instance of `nmstated-restore@.service` that is
/// named after the state directory (org.freedesktop.systemd1(5), systemd.timer(5)).
///
/// Two moments start it, whichever comes first: one on the monotonic clock, which nobody can set
/// but which stands still while the machine sleeps, and one on the wall clock, which does not.
/// What comes too early finds nothing due and leaves everything as it is.
pub struct SystemdTimer {
    unit: String,
    clock: Arc<dyn Clock>,
}

impl SystemdTimer {
    /// For that state directory, which exists. None where there is no systemd.
    pub fn here(state_dir: &Path, clock: Arc<dyn Clock>) -> io::Result<Option<Self>> {
        if !Path::new(BOOTED).is_dir() {
            return Ok(None);
        }
        let instance = escaped(&state_dir.canonicalize()?);
        Ok(Some(Self { unit: format!("nmstated-restore@{instance}.timer"), clock }))
    }

    async fn start(&self, at: Duration) -> zbus::Result<Result<(), String>> {
        let mut manager = Manager::connect().await?;
        if self.is_loaded() {
            manager.stop(&self.unit).await?;
        }
        let in_time = at.saturating_sub(self.clock.now());
        let wall = self.clock.wall().saturating_add(in_time.as_secs());
        let monotonic = vec![("OnActiveSec", micros(in_time)), ("OnUnitInactiveSec", micros(AGAIN))];
        let properties: Vec<Property<'_>> = vec![
            ("Description", "Puts the network back if nmstated does not".into()),
            ("TimersMonotonic", monotonic.into()),
            ("TimersCalendar", vec![("OnCalendar", format!("@{wall}"))].into()),
            ("AccuracyUSec", micros(ACCURACY).into()),
            ("RemainAfterElapse", false.into()),
        ];
        let result = manager.start_transient(&self.unit, properties).await?;
        Ok(match result.as_str() {
            "done" => Ok(()),
            other => {
                Err(format!("systemd could not start {} ({other}); is its service installed?", self.unit))
            }
        })
    }

    async fn stop(&self) -> zbus::Result<()> {
        if self.is_loaded() {
            Manager::connect().await?.stop(&self.unit).await?;
        }
        Ok(())
    }

    /// Whether there is anything to stop: most of the time there is not, and nobody need be asked.
    fn is_loaded(&self) -> bool {
        Path::new(TRANSIENT).join(&self.unit).exists()
    }
}

impl SafetyNet for SystemdTimer {
    fn name(&self) -> &'static str {
        "systemd-timer"
    }

    fn set(&self, at: Option<Duration>) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let result = match at {
                Some(at) => self.start(at).await,
                None => self.stop().await.map(Ok),
            };
            result.unwrap_or_else(|error| Err(format!("systemd on the system bus: {error}")))
        })
    }
}

/// An absolute path as a part of a unit's name (systemd.unit(5), "String Escaping for Inclusion in
/// Unit Names"): slashes become dashes, and what is not a letter, digit, `:`, `_` or `.` is written
/// as its bytes.
fn escaped(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let Some(rest) = bytes.strip_prefix(b"/").filter(|rest| !rest.is_empty()) else {
        return "-".into();
    };
    let mut out = String::new();
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'/' => out.push('-'),
            b'.' if index == 0 => out += "\\x2e",
            b':' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(char::from(*byte)),
            _ => out += &format!("\\x{byte:02x}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_escaped_as_systemd_does() {
        for (path, name) in [
            ("/var/lib/nmstated", "var-lib-nmstated"),
            ("/", "-"),
            ("/.a/b-c d", "\\x2ea-b\\x2dc\\x20d"),
            ("/srv/é", "srv-\\xc3\\xa9"),
        ] {
            assert_eq!(escaped(Path::new(path)), name);
        }
    }
}
