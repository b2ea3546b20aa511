//! What netplan says of the result: of a document in its own words it knows more than we do.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::settle::patience;
use super::{NetplanBackend, refuse};
use crate::backend::{Failure, Progress, Step};
use crate::netplan::{Config, Files, Missing, NATIVE, Version};
use crate::state::ErrorKind;

/// The first that can compare the network with its files.
const COMPARES: Version = Version::new(1, 0, 0);

impl NetplanBackend {
    /// Waits until netplan finds nothing missing of what a document in its own words defines among `files`,
    /// which `all` is read from. It is asked once, and once more if the network has changed by the end: it is a
    /// program of some hundred milliseconds. If it cannot say, the network stays: what the document means in the
    /// schema is verified all the same.
    pub(super) async fn heed(
        &self,
        files: &Files,
        all: &Config,
        progress: Progress<'_>,
    ) -> Result<(), Failure> {
        let native = Config::read(&files.only(NATIVE));
        let native = native.map_err(|error| super::failure(refuse::broken(&error).message))?;
        if native.netdefs.is_empty() || self.programs.version < COMPARES {
            return Ok(());
        }
        let step = |text: String| progress(Step { n: 4, of: 4, interface: None, text });
        step("netplan status".into());
        let mut revision = self.revision.clone();
        let mut missing = Vec::new();
        for patience in [patience(self.slowest()), Duration::ZERO] {
            let end = Instant::now() + patience;
            revision.borrow_and_update();
            let report = match self.programs.status().await {
                Ok(report) => report,
                Err(failure) => {
                    warn!("{failure}");
                    step(failure.message);
                    return Ok(());
                }
            };
            let mut has_changed = false;
            loop {
                self.settled().await?;
                missing = report.missing(&native, all, &self.observer.look().await?.state);
                if missing.is_empty() {
                    return Ok(());
                }
                if Instant::now() >= end
                    || !timeout_at(end, revision.changed()).await.is_ok_and(|it| it.is_ok())
                {
                    break;
                }
                has_changed = true;
            }
            if !has_changed {
                break;
            }
        }
        Err(complaint(&missing))
    }
}

fn complaint(missing: &[Missing]) -> Failure {
    let told: Vec<String> =
        missing.iter().map(|Missing { interface, what }| format!("{interface}: {what}")).collect();
    Failure {
        kind: ErrorKind::VerificationError,
        subject: missing.first().map(|first| first.interface.clone()),
        message: format!("`netplan status --diff` finds missing in the system: {}", told.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thing_has_its_place() {
        let missing =
            |interface: &str, what: &str| Missing { interface: interface.into(), what: what.into() };
        let all = [missing("gre1", "the interface"), missing("eth1", "address 192.0.2.7/24")];
        let failure = complaint(&all);
        assert_eq!(failure.subject.as_deref(), Some("gre1"));
        let told = "`netplan status --diff` finds missing in the system: gre1: the interface, eth1: address 192.0.2.7/24";
        assert_eq!(failure.message, told);
    }
}
