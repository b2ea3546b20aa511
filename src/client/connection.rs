//! The varlink protocol as a client speaks it: JSON objects over a stream socket, each ended by a
//! zero byte (varlink.org, Method Call).
//!
//! The `varlink` crate's client looks for the end of a message from its beginning at every read,
//! which is quadratic for an answer of many megabytes; this one looks at every byte once.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

/// Largest answer taken. 100,000 routes are about 20 MiB.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// Place for what is received, doubled when it is full. Memory that nothing was received into costs nothing.
const PLACE_BYTES: usize = 256 << 10;

/// A message from the daemon, as its bytes.
#[derive(Debug)]
pub struct Message(Vec<u8>);

/// What a message says.
#[derive(Debug, Deserialize)]
pub struct Reply<'m> {
    /// As text: who knows what it should be reads it.
    #[serde(borrow)]
    pub parameters: Option<&'m RawValue>,
    /// Qualified name of the error, if it is one.
    pub error: Option<String>,
    /// Whether more answers to the same call follow.
    #[serde(default)]
    pub continues: bool,
}

impl Message {
    pub fn reply(&self) -> io::Result<Reply<'_>> {
        Ok(serde_json::from_slice(&self.0)?)
    }
}

/// A connection to the daemon, which carries one call at a time.
pub struct Connection {
    stream: UnixStream,
    /// What was received, and after it place for more.
    place: Vec<u8>,
    /// How much of `place` was received.
    received: usize,
    /// How much of that is known to hold no zero byte.
    scanned: usize,
}

impl Connection {
    pub fn open(socket: &Path) -> io::Result<Self> {
        UnixStream::connect(socket).map(Self::of)
    }

    fn of(stream: UnixStream) -> Self {
        Self { stream, place: Vec::new(), received: 0, scanned: 0 }
    }

    /// Limits every single wait for the daemon; None: no limit.
    pub fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(patience)?;
        self.stream.set_write_timeout(patience)
    }

    /// Sends a call. With `more`, several answers may come.
    pub fn send(&mut self, method: &str, parameters: Map<String, Json>, more: bool) -> io::Result<()> {
        let mut call = json!({ "method": method, "parameters": parameters });
        if more {
            call["more"] = true.into();
        }
        let mut message = serde_json::to_vec(&call)?;
        message.push(0);
        match self.stream.write_all(&message) {
            // A daemon that refuses a call half-way says why before it closes.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                Ok(())
            }
            written => written,
        }
    }

    /// Waits for the next answer.
    pub fn receive(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.received_message() {
                return Ok(message);
            }
            self.read_some()?;
        }
    }

    /// An answer that has arrived completely; reads nothing.
    pub fn received_message(&mut self) -> Option<Message> {
        let arrived = &self.place[..self.received];
        let Some(end) = arrived[self.scanned..].iter().position(|byte| *byte == 0) else {
            self.scanned = self.received;
            return None;
        };
        let end = self.scanned + end;
        // What is left is little, the message may be large: it keeps the memory that it was received into.
        let rest = arrived[end + 1..].to_vec();
        (self.received, self.scanned) = (rest.len(), 0);
        let mut message = std::mem::replace(&mut self.place, rest);
        message.truncate(end);
        Some(Message(message))
    }

    /// Takes what the socket holds; waits if it holds nothing.
    pub fn read_some(&mut self) -> io::Result<()> {
        if self.received > REPLY_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "the answer is too long"));
        }
        if self.received == self.place.len() {
            self.make_place();
        }
        match self.stream.read(&mut self.place[self.received..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.received += count;
                Ok(())
            }
        }
    }

    fn make_place(&mut self) {
        if self.place.is_empty() {
            // Not `resize`, which would write the zeroes: the system gives pages that are zero when they are touched.
            self.place = vec![0; PLACE_BYTES];
        } else {
            self.place.resize(PLACE_BYTES.max(self.place.len() * 2), 0);
        }
    }
}

/// To wait for it together with other things.
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Connection, UnixStream) {
        let (stream, other) = UnixStream::pair().expect("a pair of sockets");
        (Connection::of(stream), other)
    }

    #[test]
    fn answers_are_cut_at_zero_bytes_wherever_they_are_torn() {
        let (mut connection, mut daemon) = pair();
        let bytes = b"{\"parameters\":{\"n\":1},\"continues\":true}\0{\"error\":\"a.b.C\"}\0";
        for cut in 1..bytes.len() {
            daemon.write_all(&bytes[..cut]).expect("the first part is written");
            let early = (0..cut).any(|i| bytes[i] == 0).then(|| connection.receive().expect("an answer"));
            daemon.write_all(&bytes[cut..]).expect("the rest is written");
            let first = early.unwrap_or_else(|| connection.receive().expect("an answer"));
            let first = first.reply().expect("it is understood");
            let parameters = first.parameters.map(RawValue::get);
            assert_eq!((parameters, first.continues), (Some("{\"n\":1}"), true));
            let second = connection.receive().expect("a second answer");
            let second = second.reply().expect("it is understood");
            assert_eq!((second.error.as_deref(), second.continues), (Some("a.b.C"), false));
        }
    }

    #[test]
    fn a_closed_connection_is_an_error() {
        let (mut connection, daemon) = pair();
        drop(daemon);
        let error = connection.receive().expect_err("nothing can come");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}
