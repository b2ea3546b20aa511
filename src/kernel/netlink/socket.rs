//! A connection to ask through, and a subscription to listen to.

use super::message::{Answer, Message, Messages, Refusal, Request, flag};
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SetSockOpt, SockFlag, SockProtocol, SockType, bind, recvmsg, send,
    setsockopt, socket, sockopt,
};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;
use thiserror::Error;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Limit for each wait for the kernel. It answers in the sender's own context; what can take long
/// is the queue for its lock (RTNL) behind the removal of thousands of links.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests sent in one datagram. Their answers (each below 3 KiB of buffer accounting) must fit the
/// smallest receive buffer an unprivileged process gets (208 KiB).
const BATCH_MESSAGES: usize = 64;
/// Bytes sent in one datagram, below the default send buffer (208 KiB).
const BATCH_BYTES: usize = 64 * 1024;
/// Asked for as receive buffer: notifications of about 100,000 routes in one burst.
const RECEIVE_BUFFER: usize = 32 * 1024 * 1024;
/// One datagram. The kernel fills at most 32 KiB per piece of a dump, but one link with hundreds
/// of virtual functions makes a larger piece. Untouched pages of it cost nothing.
const DATAGRAM_MAX: usize = 512 * 1024;
/// Tries of a dump that the kernel says was interrupted by changes: a second or more of nothing but
/// changes before it is given up.
const DUMP_TRIES: u32 = 100;
/// Datagrams read before other tasks get their turn.
const READS_BEFORE_YIELD: usize = 8;

/// Failures of a conversation with the kernel.
#[derive(Debug, Error)]
pub enum NetlinkError {
    #[error("the kernel refused")]
    Refused(#[from] Refusal),
    #[error("cannot exchange messages with the kernel")]
    Io(#[from] io::Error),
    #[error("no answer from the kernel within {} s", ANSWER_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the answer of the kernel is larger than {DATAGRAM_MAX} bytes")]
    Truncated,
    #[error("what was listed kept changing, {DUMP_TRIES} times")]
    Unsteady,
    #[error("attribute {0} of a request is longer than 64 KiB")]
    TooLong(u16),
}

impl NetlinkError {
    /// Returns the errno of a refusal.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(refusal) => Some(refusal.errno),
            _ => None,
        }
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// The part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `NETLINK_GENERIC`: families by name, such as ethtool.
    Generic,
    /// `NETLINK_ROUTE`: links, addresses, routes, rules.
    Route,
}

/// A boolean option at `SOL_NETLINK` (linux/netlink.h).
#[derive(Clone, Copy)]
struct NetlinkOption(libc::c_int);

impl SetSockOpt for NetlinkOption {
    type Val = libc::c_int;

    fn set<F: std::os::fd::AsFd>(&self, fd: &F, value: &libc::c_int) -> nix::Result<()> {
        let length =
            libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("the size of an int fits a socklen_t");
        // SAFETY: `value` is a live int and `length` is its size; the kernel only reads it.
        let result = unsafe {
            libc::setsockopt(
                fd.as_fd().as_raw_fd(),
                libc::SOL_NETLINK,
                self.0,
                std::ptr::from_ref(value).cast(),
                length,
            )
        };
        Errno::result(result).map(drop)
    }
}

#[derive(Debug)]
struct Socket {
    fd: AsyncFd<OwnedFd>,
}

enum Received {
    /// This many bytes of the buffer are a datagram of the kernel's.
    Datagram(usize),
    /// The datagram was longer than the buffer.
    Truncated,
    /// Not from the kernel; ignored.
    Foreign,
}

impl Socket {
    fn open(protocol: Protocol) -> io::Result<Self> {
        let protocol = match protocol {
            Protocol::Generic => SockProtocol::NetlinkGeneric,
            Protocol::Route => SockProtocol::NetlinkRoute,
        };
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            protocol,
        )?;
        // The forced size needs CAP_NET_ADMIN; the other is capped by net.core.rmem_max.
        if setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        // Each of these only adds detail; kernels that lack one (before 4.20) answer without it.
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
            match setsockopt(&fd, NetlinkOption(option), &1) {
                Ok(()) | Err(Errno::ENOPROTOOPT) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // SAFETY: an `OwnedFd` always gives the same descriptor, which stays open as long as it
        // lives; the `AsyncFd` owns it.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE | Interest::WRITABLE) };
        Ok(Self { fd: fd? })
    }

    fn join(&self, group: u32) -> io::Result<()> {
        let group = libc::c_int::try_from(group).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        setsockopt(&self.fd, NetlinkOption(libc::NETLINK_ADD_MEMBERSHIP), &group)?;
        Ok(())
    }

    /// Receives one datagram if one is there, else fails with `WouldBlock`.
    fn try_receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        let mut parts = [IoSliceMut::new(buffer)];
        let received =
            recvmsg::<NetlinkAddr>(self.fd.get_ref().as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT)?;
        // Port 0 is the kernel; nobody else may answer for it.
        if received.address.is_none_or(|from| from.pid() != 0) {
            return Ok(Received::Foreign);
        }
        if received.flags.contains(MsgFlags::MSG_TRUNC) {
            return Ok(Received::Truncated);
        }
        Ok(Received::Datagram(received.bytes))
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        self.fd.async_io(Interest::READABLE, |_| self.try_receive(buffer)).await
    }

    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = self
            .fd
            .async_io(Interest::WRITABLE, |fd| Ok(send(fd.as_raw_fd(), datagram, MsgFlags::empty())?))
            .await?;
        // Netlink takes a datagram whole or not at all.
        debug_assert_eq!(sent, datagram.len());
        Ok(())
    }
}

/// A conversation with the kernel: one request, or one batch, or one dump at a time.
///
/// A future dropped half-way is harmless: late answers are recognised by their sequence number.
#[derive(Debug)]
pub struct Connection {
    protocol: Protocol,
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
    /// A dump was given up before its end. The kernel would refuse the next one on this socket.
    dump_pending: bool,
}

impl Connection {
    pub fn open(protocol: Protocol) -> io::Result<Self> {
        Ok(Self {
            protocol,
            socket: Socket::open(protocol)?,
            sequence: 0,
            buffer: vec![0; DATAGRAM_MAX],
            dump_pending: false,
        })
    }

    /// Sends one request and waits until it is done.
    pub async fn request(&mut self, request: &Request) -> Result<(), NetlinkError> {
        self.exchange(std::slice::from_ref(request), |_, _| {})
            .await?
            .pop()
            .expect("an exchange has one result per request")?;
        Ok(())
    }

    /// Sends one request and reads the one message that answers it.
    pub async fn get<T>(
        &mut self,
        request: &Request,
        mut read: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let mut answer = None;
        self.exchange(std::slice::from_ref(request), |_, message| {
            answer = answer.take().or_else(|| read(message));
        })
        .await?
        .pop()
        .expect("an exchange has one result per request")?;
        Ok(answer)
    }

    /// Sends many requests in few system calls. Each is carried out or refused on its own, in
    /// order; there is one result per request.
    pub async fn batch(&mut self, requests: &[Request]) -> Result<Vec<Result<(), Refusal>>, NetlinkError> {
        self.exchange(requests, |_, _| {}).await
    }

    /// As [`Self::batch`], and shows each message that answers a request, with the request's index.
    pub async fn exchange(
        &mut self,
        requests: &[Request],
        mut part: impl FnMut(usize, &Message<'_>),
    ) -> Result<Vec<Result<(), Refusal>>, NetlinkError> {
        if let Some(attribute) = requests.iter().find_map(Request::too_long) {
            return Err(NetlinkError::TooLong(attribute));
        }
        self.abandon_dump()?;
        let mut results = Vec::with_capacity(requests.len());
        while results.len() < requests.len() {
            let start = results.len();
            let window = &requests[start..start + window(&requests[start..])];
            results
                .extend(self.exchange_window(window, |index, message| part(start + index, message)).await?);
            // Nothing waited for the kernel, so others had no turn yet.
            tokio::task::yield_now().await;
        }
        Ok(results)
    }

    async fn exchange_window(
        &mut self,
        requests: &[Request],
        mut part: impl FnMut(usize, &Message<'_>),
    ) -> Result<Vec<Result<(), Refusal>>, NetlinkError> {
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::with_capacity(requests.iter().map(Request::len).sum());
        for (index, request) in requests.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            // The kernel takes a datagram's messages in order and tells each refusal unasked
            // (`netlink_rcv_skb`, net/netlink/af_netlink.c), so the last answer says that all are done.
            let is_last = index + 1 == requests.len();
            request.write(self.sequence, if is_last { flag(libc::NLM_F_ACK) } else { 0 }, &mut datagram);
        }
        self.socket.send(&datagram).await?;

        let mut results = vec![Ok(()); requests.len()];
        let mut is_done = requests.is_empty();
        while !is_done {
            for message in Messages::new(self.receive().await?) {
                let index = usize::try_from(message.sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                let Some(request) = requests.get(index) else {
                    continue; // an answer to a request that nobody waits for any more
                };
                match message.answer() {
                    Answer::Part(message) => part(index, &message),
                    Answer::End(end) => {
                        results[index] = end.map_err(|refused| request.refusal(&refused));
                        is_done |= index + 1 == requests.len();
                    }
                }
            }
        }
        Ok(results)
    }

    /// Lists everything a request selects, folding each message into a `T`. If the kernel says that
    /// the list changed under its hands, it starts again with a new `T`, a bounded number of times.
    pub async fn dump<T: Default>(
        &mut self,
        request: &Request,
        mut add: impl FnMut(&mut T, &Message<'_>),
    ) -> Result<T, NetlinkError> {
        if let Some(attribute) = request.too_long() {
            return Err(NetlinkError::TooLong(attribute));
        }
        for _ in 0..DUMP_TRIES {
            let mut list = T::default();
            let consistent = self.dump_once(request, |message| add(&mut list, message)).await?;
            if consistent {
                return Ok(list);
            }
        }
        Err(NetlinkError::Unsteady)
    }

    /// Returns whether the list is consistent.
    async fn dump_once(
        &mut self,
        request: &Request,
        mut add: impl FnMut(&Message<'_>),
    ) -> Result<bool, NetlinkError> {
        self.abandon_dump()?;
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut datagram = Vec::with_capacity(request.len());
        request.write(sequence, flag(libc::NLM_F_DUMP), &mut datagram);
        self.dump_pending = true;
        self.socket.send(&datagram).await?;

        let mut consistent = true;
        for reads in 1.. {
            if reads % READS_BEFORE_YIELD == 0 {
                tokio::task::yield_now().await;
            }
            let mut end = None;
            for message in Messages::new(self.receive().await?) {
                if message.sequence != sequence {
                    continue;
                }
                consistent &= message.flags & flag(libc::NLM_F_DUMP_INTR) == 0;
                match message.answer() {
                    Answer::Part(message) => add(&message),
                    Answer::End(result) => {
                        end = Some(result.map_err(|refused| request.refusal(&refused)));
                    }
                }
            }
            if let Some(result) = end {
                self.dump_pending = false;
                result?;
                break;
            }
        }
        Ok(consistent)
    }

    fn abandon_dump(&mut self) -> io::Result<()> {
        if self.dump_pending {
            self.socket = Socket::open(self.protocol)?;
            self.dump_pending = false;
        }
        Ok(())
    }

    async fn receive(&mut self) -> Result<&[u8], NetlinkError> {
        loop {
            // The kernel mostly has answered before the request is sent; only else is there a wait to limit.
            let received = match self.socket.try_receive(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let received = self.socket.receive(&mut self.buffer);
                    tokio::time::timeout(ANSWER_TIMEOUT, received)
                        .await
                        .map_err(|_| NetlinkError::TimedOut)?
                }
                received => received,
            };
            match received? {
                Received::Datagram(length) => return Ok(&self.buffer[..length]),
                Received::Truncated => return Err(NetlinkError::Truncated),
                Received::Foreign => {}
            }
        }
    }
}

/// Returns how many of the requests go into the next datagram: at least one.
fn window(requests: &[Request]) -> usize {
    let mut bytes = 0;
    let fitting = requests.iter().take(BATCH_MESSAGES).take_while(|request| {
        bytes += request.len();
        bytes <= BATCH_BYTES
    });
    fitting.count().max(1)
}

/// What a drain of a subscription came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Everything that was there has been shown.
    Drained,
    /// More is waiting.
    More,
    /// Notifications were lost (`ENOBUFS`). Only a new dump tells the present state.
    Overrun,
}

/// A stream of notifications.
#[derive(Debug)]
pub struct Subscription {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Subscription {
    /// Subscribes to multicast groups (`RTNLGRP_*`, or a generic family's). Groups that this kernel
    /// does not have are left out.
    pub fn open(protocol: Protocol, groups: &[u32]) -> io::Result<Self> {
        let socket = Socket::open(protocol)?;
        for group in groups {
            match socket.join(*group) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                joined => joined?,
            }
        }
        Ok(Self { socket, buffer: vec![0; DATAGRAM_MAX] })
    }

    /// Waits until there is something to drain. Nothing is lost if the wait is dropped.
    pub async fn ready(&self) -> io::Result<()> {
        self.socket.fd.readable().await?.retain_ready();
        Ok(())
    }

    /// Shows the notifications that are there, at most `limit` datagrams. Never waits.
    pub fn drain(&mut self, limit: usize, mut visit: impl FnMut(&Message<'_>)) -> io::Result<Event> {
        for _ in 0..limit {
            let Self { socket, buffer } = self;
            // The runtime knows of readiness only what it saw when it last looked; the socket
            // itself knows what is there now.
            let received = match socket.fd.try_io(Interest::READABLE, |_| socket.try_receive(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.try_receive(buffer),
                received => received,
            };
            match received {
                Ok(Received::Datagram(length)) => {
                    Messages::new(&self.buffer[..length]).for_each(|message| visit(&message));
                }
                Ok(Received::Foreign) => {}
                Ok(Received::Truncated) => return Ok(Event::Overrun),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Event::Drained);
                }
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return Ok(Event::Overrun);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Event::More)
    }
}
