//! Messages out of a stream of bytes, within limits.

use std::io;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::limits::{FREE_BYTES, IDLE_MAX, MESSAGE_BYTES_MAX, MESSAGE_TIME_MAX};
use crate::api::Budget;
use crate::api::budget::Reserved;

/// Why there is no next message.
#[derive(Debug, Error)]
pub(super) enum FramingError {
    #[error("a message may have at most {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    #[error("too many long messages are being read, try again")]
    NoMemory,
    #[error("the message did not end in time")]
    TooSlow,
    #[error("cannot read from the socket")]
    Read(#[source] io::Error),
}

/// A message, without its zero byte, and the memory it takes.
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
    pub(super) reserved: Option<Arc<Reserved>>,
}

/// What has been received and not been taken yet.
pub(super) struct Incoming {
    uid: u32,
    budget: Budget,
    buffer: Vec<u8>,
    /// So much of the buffer holds no zero byte.
    searched: usize,
    /// The memory of the buffer beyond what is free.
    reserved: Option<Arc<Reserved>>,
    ended: bool,
}

impl Incoming {
    pub(super) fn new(uid: u32, budget: Budget) -> Self {
        Self { uid, budget, buffer: Vec::new(), searched: 0, reserved: None, ended: false }
    }

    /// The next message; None at the end of the stream, or after a long time without any.
    pub(super) async fn next<R: AsyncRead + Unpin>(
        &mut self,
        stream: &mut R,
    ) -> Result<Option<Message>, FramingError> {
        if self.buffer.is_empty() && !self.ended {
            match timeout(IDLE_MAX, self.fill(stream)).await {
                Err(_) => return Ok(None),
                Ok(filled) => filled?,
            }
        }
        timeout(MESSAGE_TIME_MAX, self.rest(stream)).await.map_err(|_| FramingError::TooSlow)?
    }

    async fn rest<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<Option<Message>, FramingError> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == 0) {
                return Ok(Some(self.take(self.searched + end)));
            }
            self.searched = self.buffer.len();
            if self.ended {
                // A message that did not end is none.
                return Ok(None);
            }
            self.fill(stream).await?;
        }
    }

    /// Splits off the message that ends before `end`.
    fn take(&mut self, end: usize) -> Message {
        let rest = self.buffer.split_off(end + 1);
        let mut bytes = std::mem::replace(&mut self.buffer, rest);
        bytes.truncate(end);
        self.searched = 0;
        // What came with it keeps the reservation alive, too.
        let reserved = self.reserved.take();
        self.reserved = reserved.clone().filter(|_| self.buffer.len() > FREE_BYTES);
        Message { bytes, reserved }
    }

    /// Receives something, or learns that the stream has ended.
    async fn fill<R: AsyncRead + Unpin>(&mut self, stream: &mut R) -> Result<(), FramingError> {
        if self.buffer.len() >= MESSAGE_BYTES_MAX {
            return Err(FramingError::TooLong);
        }
        if self.buffer.len() == self.buffer.capacity() {
            self.grow()?;
        }
        let received = stream.read_buf(&mut self.buffer).await.map_err(FramingError::Read)?;
        self.ended = received == 0;
        Ok(())
    }

    /// Makes place, twice as much as before: what is not free comes from the budget.
    fn grow(&mut self) -> Result<(), FramingError> {
        let bytes = (self.buffer.capacity() * 2).clamp(4096, MESSAGE_BYTES_MAX);
        if bytes > FREE_BYTES {
            // The old reservation counts until the new one is there, as does the old memory.
            let reserved = self.budget.take(self.uid, bytes).ok_or(FramingError::NoMemory)?;
            self.reserved = Some(Arc::new(reserved));
        }
        self.buffer.reserve_exact(bytes - self.buffer.len());
        Ok(())
    }

    /// Receives ahead of the answers, a little; completes when the stream has ended. Dropping the
    /// future loses nothing.
    pub(super) async fn ended<R: AsyncRead + Unpin>(&mut self, stream: &mut R) {
        while !self.ended {
            if self.buffer.len() >= FREE_BYTES {
                // Who sends more than that while a call is answered waits in the socket.
                return std::future::pending().await;
            }
            if self.fill(stream).await.is_err() {
                self.ended = true;
            }
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming() -> Incoming {
        Incoming::new(1000, Budget::new(1 << 20))
    }

    async fn messages(incoming: &mut Incoming, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Ok(Some(message)) = incoming.next(&mut bytes).await {
            out.push(message.bytes);
        }
        out
    }

    #[tokio::test]
    async fn messages_end_with_a_zero_byte() {
        let got = messages(&mut incoming(), b"one\0two\0\0three").await;
        assert_eq!(got, [&b"one"[..], b"two", b""]);
    }

    #[tokio::test]
    async fn a_long_message_is_paid_from_the_budget_and_a_too_long_one_is_refused() {
        let mut many = vec![b'x'; 200 << 10];
        many.push(0);
        let mut incoming = incoming();
        let message = incoming.next(&mut &many[..]).await.expect("in the budget").expect("a message");
        assert_eq!(message.bytes.len(), 200 << 10);
        assert!(message.reserved.is_some());
        let more = vec![b'x'; 2 << 20];
        let error = incoming.next(&mut &more[..]).await.err();
        assert!(matches!(error, Some(FramingError::NoMemory)), "{error:?}");
    }

    #[tokio::test]
    async fn nothing_longer_than_the_limit_is_kept() {
        let mut incoming = Incoming::new(0, Budget::new(200 << 20));
        let mut endless = tokio::io::repeat(b'x');
        let error = incoming.next(&mut endless).await.err();
        assert!(matches!(error, Some(FramingError::TooLong)), "{error:?}");
        assert!(incoming.buffer.capacity() <= MESSAGE_BYTES_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_ends_ends_the_connection() {
        let (mut client, mut server) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut client, b"{").await.expect("written");
        let error = incoming().next(&mut server).await.err();
        assert!(matches!(error, Some(FramingError::TooSlow)), "{error:?}");
    }
}
