//! systemd's manager on the system bus (org.freedesktop.systemd1(5)): jobs, transient units, and
//! programs that run as such.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::{Instant, timeout, timeout_at};
use zbus::connection::Builder;
use zbus::message::Type;
use zbus::{Connection, MatchRule, MessageStream, ObjectPath, OwnedVariant, Variant};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// What is already there stands in the way of nothing, and a job that waits is replaced.
const MODE: &str = "replace";
/// How much longer than a program may take systemd may take to say how it ended.
const SAYS_MAX: Duration = Duration::from_secs(10);

/// A property of a unit, by name.
pub type Property<'a> = (&'a str, Variant<'a>);

/// systemd, for a few calls.
pub struct Manager {
    bus: Connection,
    removed: MessageStream,
}

/// A program to run as a transient service: outside of the caller's sandbox and control group, so that it
/// ends as it would whatever happens to the caller.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The name of the service; one of a name runs at a time.
    pub unit: &'a str,
    pub description: &'a str,
    /// The absolute path, and all arguments.
    pub command: &'a [&'a str],
    /// `NAME=VALUE`, beside what systemd gives every service.
    pub environment: &'a [&'a str],
    /// Where both its outputs go; truncated.
    pub output: &'a Path,
    /// Then it is ended.
    pub limit: Duration,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with that status.
    Exit(i32),
    /// In systemd's words, as `timeout` or `signal` (`Result` of a service).
    Otherwise(String),
}

impl Manager {
    pub async fn connect() -> zbus::Result<Self> {
        let bus = Builder::system().build().await?;
        let rule = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)
            .interface(MANAGER)
            .member("JobRemoved")
            .build()?;
        let removed = MessageStream::for_match_rule(rule, &bus, None).await?;
        Ok(Self { bus, removed })
    }

    /// Starts a unit that exists only until it ends; waits until it is started, and answers with the result
    /// of that.
    pub async fn start_transient(
        &mut self,
        unit: &str,
        properties: Vec<Property<'_>>,
    ) -> zbus::Result<String> {
        let no_others: Vec<(&str, Vec<Property<'_>>)> = Vec::new();
        self.job("StartTransientUnit", &(unit, MODE, properties, no_others)).await
    }

    /// Starts a unit that is installed, if it does not run.
    pub async fn start(&mut self, unit: &str) -> zbus::Result<String> {
        self.job("StartUnit", &(unit, MODE)).await
    }

    pub async fn stop(&mut self, unit: &str) -> zbus::Result<String> {
        self.job("StopUnit", &(unit, MODE)).await
    }

    /// Calls a method that makes a job, and waits for its end; answers with its result.
    async fn job<B>(&mut self, method: &str, body: &B) -> zbus::Result<String>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let reply = self.bus.call_method(Some(NAME), PATH, Some(MANAGER), method, body).await?;
        let body = reply.body();
        let job: ObjectPath<'_> = body.deserialize()?;
        // Whoever asked for a job is told of its end, even if that comes before this answer.
        while let Some(message) = self.removed.next().await {
            let message = message?;
            let body = message.body();
            let (_, removed, _, result): (u32, ObjectPath<'_>, &str, &str) = body.deserialize()?;
            if removed == job {
                return Ok(result.to_owned());
            }
        }
        Err(gone())
    }

    /// Runs a program and waits for its end. Whoever stops waiting leaves it running.
    pub async fn run(&mut self, program: Program<'_>) -> zbus::Result<Ended> {
        let Program { unit, description, command, environment, output, limit } = program;
        let Some(path) = command.first() else { return Err(zbus::Error::Failure("no program".into())) };
        let file = output.display().to_string();
        let properties: Vec<Property<'_>> = vec![
            ("Description", description.into()),
            ("Type", "oneshot".into()),
            ("ExecStart", vec![(*path, command.to_vec(), false)].into()),
            ("Environment", environment.to_vec().into()),
            ("TimeoutStartUSec", micros(limit).into()),
            ("StandardOutputFileToTruncate", file.as_str().into()),
            ("StandardErrorFileToTruncate", file.as_str().into()),
            ("UMask", 0o077_u32.into()),
            // How it ended is known for as long as this connection asks; then it is forgotten.
            ("AddRef", true.into()),
            ("CollectMode", "inactive-or-failed".into()),
        ];
        let started = timeout(limit + SAYS_MAX, self.start_transient(unit, properties)).await;
        let started =
            started.map_err(|_| zbus::Error::Failure(format!("no word of the end of {unit}")))??;
        if started == "done" {
            return Ok(Ended::Exit(0));
        }
        let Some(path) = self.unit(unit).await? else { return Ok(Ended::Otherwise(started)) };
        let result = String::try_from(self.property(&path, SERVICE, "Result").await?)?;
        let status = i32::try_from(self.property(&path, SERVICE, "ExecMainStatus").await?)?;
        // It stays loaded otherwise, and in the way of the next one.
        self.bus.call_method(Some(NAME), &path, Some(UNIT), "Unref", &()).await?;
        Ok(if result == "exit-code" { Ended::Exit(status) } else { Ended::Otherwise(result) })
    }

    /// Waits until a service that an earlier process may have started has ended; after `limit`, ends it.
    pub async fn ended(&mut self, unit: &str, limit: Duration) -> zbus::Result<()> {
        let Some(path) = self.unit(unit).await? else { return Ok(()) };
        // Of a job that others asked for, only subscribers are told.
        self.bus.call_method(Some(NAME), PATH, Some(MANAGER), "Subscribe", &()).await?;
        let end = Instant::now() + limit;
        while self.is_active(&path).await? {
            match timeout_at(end, self.removed.next()).await {
                Ok(Some(message)) => drop(message?),
                Ok(None) => return Err(gone()),
                Err(_) => return self.stop(unit).await.map(drop),
            }
        }
        Ok(())
    }

    /// Forgets of units whose names match `pattern` that they have failed.
    pub async fn forget_failed(&mut self, pattern: &str) -> zbus::Result<()> {
        let asked = (vec!["failed"], vec![pattern]);
        let reply =
            self.bus.call_method(Some(NAME), PATH, Some(MANAGER), "ListUnitsByPatterns", &asked).await?;
        type Unit<'a> = (
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            &'a str,
            ObjectPath<'a>,
            u32,
            &'a str,
            ObjectPath<'a>,
        );
        let body = reply.body();
        let units: Vec<Unit<'_>> = body.deserialize()?;
        for (name, ..) in units {
            match self.bus.call_method(Some(NAME), PATH, Some(MANAGER), "ResetFailedUnit", &name).await {
                // It has been forgotten meanwhile.
                Ok(_) | Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn is_active(&self, unit: &ObjectPath<'_>) -> zbus::Result<bool> {
        let state = match self.property(unit, UNIT, "ActiveState").await {
            Ok(state) => String::try_from(state)?,
            // It is forgotten once it has ended.
            Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(!matches!(state.as_str(), "inactive" | "failed"))
    }

    /// The state of a unit as in `systemctl is-active`; None where systemd does not know it.
    pub async fn state(&self, unit: &str) -> zbus::Result<Option<String>> {
        let Some(path) = self.unit(unit).await? else { return Ok(None) };
        Ok(Some(String::try_from(self.property(&path, UNIT, "ActiveState").await?)?))
    }

    /// None where it is not loaded.
    async fn unit(&self, name: &str) -> zbus::Result<Option<ObjectPath<'static>>> {
        match self.bus.call_method(Some(NAME), PATH, Some(MANAGER), "GetUnit", &name).await {
            Ok(reply) => {
                let body = reply.body();
                Ok(Some(body.deserialize::<ObjectPath<'_>>()?.into_owned()))
            }
            Err(zbus::Error::MethodError(..) | zbus::Error::FDO(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn property(
        &self,
        unit: &ObjectPath<'_>,
        interface: &str,
        name: &str,
    ) -> zbus::Result<OwnedVariant> {
        let asked = (interface, name);
        let reply = self.bus.call_method(Some(NAME), unit, Some(PROPERTIES), "Get", &asked).await?;
        reply.body().deserialize()
    }
}

fn gone() -> zbus::Error {
    zbus::Error::Failure("the bus went away".into())
}

/// As the bus has it: microseconds.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
