//! Which families of nftables this kernel has: asked for by a change that is never finished.
//!
//! nf_tables takes changes as batches (linux/netfilter/nfnetlink.h): what stands between a begin and
//! an end comes into force at the end. Without an end the kernel checks every message, answers, and
//! forgets them, which is what `nft --check` does, too.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::{Answer, Messages, Request, flag};

/// The kernel answers in the sender's own context, but may load a module before.
const ANSWER_SECONDS: i64 = 5;

/// Header of a message in a subsystem: `struct nfgenmsg`, linux/netfilter/nfnetlink.h.
const NEW_TABLE: u16 = flag(libc::NFNL_SUBSYS_NFTABLES << 8 | libc::NFT_MSG_NEWTABLE);
const BEGIN: u16 = flag(libc::NFNL_MSG_BATCH_BEGIN);
/// `NFTA_TABLE_NAME`, linux/netfilter/nf_tables.h.
const TABLE_NAME: u16 = 1;

/// The sequence number of the one message that is asked about.
const QUESTION: u32 = 2;

/// Whether tables of the family `netdev`, whose chains see the packets of one device, can be made.
pub fn has_netdev_tables() -> io::Result<bool> {
    let fd = match open() {
        // A kernel without nfnetlink.
        Err(Errno::EPROTONOSUPPORT) => return Ok(false),
        fd => fd?,
    };
    // Netlink takes a datagram whole or not at all.
    send(fd.as_raw_fd(), &question(), MsgFlags::empty())?;
    let mut buffer = [0; 4096];
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let received = recvmsg::<NetlinkAddr>(fd.as_raw_fd(), &mut parts, None, MsgFlags::empty())?;
    // Port 0 is the kernel; nobody else may answer for it.
    let is_of_kernel = received.address.is_some_and(|from| from.pid() == 0);
    let length = if is_of_kernel { received.bytes } else { 0 };
    read(&buffer[..length])
}

fn open() -> nix::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkNetFilter,
    )?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_SECONDS))?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
    Ok(fd)
}

/// A batch with one table and no end.
fn question() -> Vec<u8> {
    let header = |family: u8, resource: u16| {
        let [high, low] = resource.to_be_bytes();
        [family, 0, high, low]
    };
    let netdev = u8::try_from(libc::NFPROTO_NETDEV).expect("NFPROTO_NETDEV is 5");
    let subsystem = u16::try_from(libc::NFNL_SUBSYS_NFTABLES).expect("NFNL_SUBSYS_NFTABLES is 10");
    let begin = Request::new(BEGIN, 0, &header(0, subsystem));
    let table = Request::new(NEW_TABLE, libc::NLM_F_CREATE, &header(netdev, 0))
        .with(|w| w.text(TABLE_NAME, "nmstated-asks"));
    let mut datagram = Vec::new();
    begin.write(1, 0, &mut datagram);
    table.write(QUESTION, flag(libc::NLM_F_ACK), &mut datagram);
    datagram
}

/// What the kernel answers. It answers the first message instead where it has no nf_tables.
fn read(datagram: &[u8]) -> io::Result<bool> {
    for message in Messages::new(datagram) {
        let sequence = message.sequence;
        return match message.answer() {
            Answer::End(Ok(())) if sequence == QUESTION => Ok(true),
            Answer::End(Err(refused)) => match refused.errno() {
                Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT => Ok(false),
                errno => Err(errno.into()),
            },
            _ => continue,
        };
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the kernel gave no answer about nftables"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(errno: i32, sequence: u32) -> Vec<u8> {
        let mut bytes = 36_u32.to_ne_bytes().to_vec();
        bytes.extend_from_slice(&2_u16.to_ne_bytes());
        bytes.extend_from_slice(&0x100_u16.to_ne_bytes());
        bytes.extend_from_slice(&sequence.to_ne_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&errno.to_ne_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes
    }

    #[test]
    fn the_change_is_never_finished() {
        let datagram = question();
        let kinds: Vec<u16> = Messages::new(&datagram).map(|message| message.kind).collect();
        assert_eq!(kinds, [0x10, 0xa00], "a begin, a table, and no end (0x11)");
        let table = Messages::new(&datagram).nth(1).expect("the table");
        assert_eq!(table.payload[0], 5, "netdev");
    }

    #[test]
    fn an_answer_is_read() {
        assert!(read(&answer(0, QUESTION)).expect("an answer"));
        assert!(!read(&answer(-libc::EOPNOTSUPP, QUESTION)).expect("an answer"));
        // There is no nf_tables at all: it has no such subsystem.
        assert!(!read(&answer(-libc::EOPNOTSUPP, 1)).expect("an answer"));
        let refused = read(&answer(-libc::EPERM, QUESTION)).expect_err("nobody knows");
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(read(&[]).is_err());
    }
}
