//! Carries out operations: many in one batch, one round trip each.
//!
//! The kernel works through a datagram in order, so operations that rest on each other can travel
//! together. A batch ends where the index of a link is needed that the same batch makes, and
//! before what does not go over rtnetlink.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::encode::{Missing, encode, get_link};
use super::ethtool::Ethtool;
use super::files::Files;
use super::links::Refers;
use super::op::Op;
use crate::backend::{Failure, Progress, Step};
use crate::kernel::netlink::{Connection, Message, NetlinkError, Protocol, Refusal, Request};
use crate::state::ErrorKind;

pub(super) struct Executor<'a> {
    connection: Connection,
    ethtool: Option<Ethtool>,
    files: &'a Files,
    index: BTreeMap<String, u32>,
    ops: &'a [Op],
    progress: Progress<'a>,
    /// Requests that wait to be sent, each with its operation.
    batch: Vec<(usize, Request)>,
    /// Links that the waiting requests make: their indices are asked for behind them.
    made: Vec<String>,
}

/// Carries out the operations in order; stops at the first that fails. `index`: the links that are there.
pub(super) async fn execute(
    ops: &[Op],
    index: BTreeMap<String, u32>,
    files: &Files,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    let connection =
        Connection::open(Protocol::Route).map_err(|error| cannot("open a netlink socket", &error))?;
    let mut executor = Executor {
        connection,
        ethtool: None,
        files,
        index,
        ops,
        progress,
        batch: Vec::new(),
        made: Vec::new(),
    };
    for (number, op) in ops.iter().enumerate() {
        executor.add(number, op).await?;
    }
    executor.flush().await
}

impl Executor<'_> {
    async fn add(&mut self, number: usize, op: &Op) -> Result<(), Failure> {
        match op {
            Op::Sysctl { .. }
            | Op::Ethtool { .. }
            | Op::Resolver(_)
            | Op::Hostname(_)
            | Op::HostnameFile(_) => {
                self.flush().await?;
                self.beside(op).await?;
                self.tell(number, op);
                return Ok(());
            }
            _ => {}
        }
        let mut requests = encode(op, &|name| self.index.get(name).copied());
        if matches!(requests, Err(Missing(_))) && !self.made.is_empty() {
            self.flush().await?;
            requests = encode(op, &|name| self.index.get(name).copied());
        }
        match requests {
            Ok(requests) => self.batch.extend(requests.into_iter().map(|request| (number, request))),
            Err(Missing(_)) if op.tolerates(Errno::ENODEV) => self.tell(number, op),
            Err(Missing(name)) => {
                let message = format!("cannot {op}: there is no interface `{name}`");
                return Err(failure(ErrorKind::PluginFailure, op, message));
            }
        }
        match op {
            Op::Create { link, is, .. } => {
                self.made.push(link.clone());
                if let Refers::Peer(peer) = &is.refers {
                    self.made.push(peer.clone());
                }
            }
            Op::Delete { link } => {
                self.index.remove(link);
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends what waits, and learns the indices of what was made.
    async fn flush(&mut self) -> Result<(), Failure> {
        let batch = std::mem::take(&mut self.batch);
        let made = std::mem::take(&mut self.made);
        if batch.is_empty() && made.is_empty() {
            return Ok(());
        }
        let (numbers, mut requests): (Vec<usize>, Vec<Request>) = batch.into_iter().unzip();
        let asked = requests.len();
        requests.extend(made.iter().map(|name| get_link(name)));
        let index = &mut self.index;
        let results = self.connection.exchange(&requests, |number, message| {
            if let Some(name) = number.checked_sub(asked).and_then(|number| made.get(number)) {
                index.extend(link_index(message).map(|found| (name.clone(), found)));
            }
        });
        let results = results.await.map_err(|error| broken(&error))?;
        for (number, result) in numbers.into_iter().zip(results) {
            let op = &self.ops[number];
            if let Err(refusal) = result.or_else(|refusal| tolerated(op, refusal)) {
                self.another_way(op, &refusal).await?;
            }
            self.tell(number, op);
        }
        Ok(())
    }

    /// Some drivers change the hardware address of a link that is down only.
    async fn another_way(&mut self, op: &Op, refusal: &Refusal) -> Result<(), Failure> {
        let Op::Mac { link, .. } = op else { return Err(refused(op, refusal)) };
        if refusal.errno != Errno::EBUSY {
            return Err(refused(op, refusal));
        }
        let link = link.clone();
        for step in [Op::Down { link: link.clone() }, op.clone(), Op::Up { link }] {
            let requests = encode(&step, &|name| self.index.get(name).copied());
            let requests = requests.map_err(|Missing(_)| refused(op, refusal))?;
            let results = self.connection.batch(&requests).await.map_err(|error| broken(&error))?;
            for result in results {
                result.map_err(|refusal| refused(&step, &refusal))?;
            }
        }
        Ok(())
    }

    /// What does not go over rtnetlink. Each is a few microseconds.
    async fn beside(&mut self, op: &Op) -> Result<(), Failure> {
        let result = match op {
            Op::Sysctl { link, conf, value } => Files::set_sysctl(link, conf, value),
            Op::Resolver(settings) => self.files.write_resolver(settings),
            Op::HostnameFile(name) => self.files.write_hostname(name),
            Op::Hostname(name) => Files::set_hostname(name),
            Op::Ethtool { link, setting } => return self.ethtool(op, link, setting).await,
            _ => Ok(()),
        };
        result.map_err(|error| {
            failure(
                kind(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
                op,
                format!("cannot {op}: {error}"),
            )
        })
    }

    async fn ethtool(&mut self, op: &Op, link: &str, setting: &super::op::Setting) -> Result<(), Failure> {
        let Some(index) = self.index.get(link).copied() else {
            return Err(failure(
                ErrorKind::PluginFailure,
                op,
                format!("cannot {op}: there is no such interface"),
            ));
        };
        let ethtool = match self.ethtool.take() {
            Some(ethtool) => ethtool,
            None => Ethtool::open().await.map_err(|error| {
                failure(ErrorKind::NotSupportedError, op, format!("cannot {op}: {}", chain(&error)))
            })?,
        };
        let result = self.ethtool.insert(ethtool).set(index, setting).await;
        result.map_err(|error| match &error {
            NetlinkError::Refused(refusal) => refused(op, refusal),
            error => broken(error),
        })
    }

    fn tell(&self, number: usize, op: &Op) {
        (self.progress)(Step {
            n: u32::try_from(number + 1).unwrap_or(u32::MAX),
            of: u32::try_from(self.ops.len()).unwrap_or(u32::MAX),
            interface: op.subject().map(str::to_owned),
            text: op.to_string(),
        });
    }
}

fn tolerated(op: &Op, refusal: Refusal) -> Result<(), Refusal> {
    if op.tolerates(refusal.errno) { Ok(()) } else { Err(refusal) }
}

fn link_index(message: &Message<'_>) -> Option<u32> {
    let (header, _) = message.body::<16>()?;
    Some(u32::from_ne_bytes([header[4], header[5], header[6], header[7]]))
}

/// What a refusal means for the one who asked.
fn kind(errno: Errno) -> ErrorKind {
    match errno {
        Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT => ErrorKind::NotSupportedError,
        Errno::EPERM | Errno::EACCES => ErrorKind::PermissionError,
        Errno::EINVAL | Errno::ERANGE => ErrorKind::InvalidArgument,
        _ => ErrorKind::PluginFailure,
    }
}

fn refused(op: &Op, refusal: &Refusal) -> Failure {
    failure(kind(refusal.errno), op, format!("cannot {op}: {refusal}"))
}

fn failure(kind: ErrorKind, op: &Op, message: String) -> Failure {
    Failure { kind, subject: op.subject().map(str::to_owned), message }
}

fn broken(error: &NetlinkError) -> Failure {
    cannot("talk to the kernel", error)
}

pub(super) fn cannot(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure {
        kind: ErrorKind::PluginFailure,
        subject: None,
        message: format!("cannot {what}: {}", chain(error)),
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
