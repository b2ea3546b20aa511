//! Messages: what the kernel says, and what is asked of it.
//!
//! A datagram holds one or more messages, each a `struct nlmsghdr` (linux/netlink.h), a fixed
//! struct of its type, and attributes.

use super::attr::{Attr, Attrs, Writer, align};
use nix::errno::Errno;
use nix::libc;
use std::fmt;

pub(super) const HEADER: usize = 16;
/// `NLMSG_ERROR`, also an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`, the end of a dump.
const DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`, `NLMSGERR_ATTR_OFFS`
const ERROR_TEXT: u16 = 1;
const ERROR_OFFSET: u16 = 2;

/// One message, borrowed from the datagram it came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

/// What a message means to the one who asked.
pub(super) enum Answer<'a> {
    /// The request is finished.
    End(Result<(), Refused<'a>>),
    /// A part of the answer.
    Part(Message<'a>),
}

/// A negative answer, with the kernel's explanation where it gives one.
pub(super) struct Refused<'a> {
    errno: i32,
    text: Option<&'a str>,
    offset: Option<u32>,
}

impl Refused<'_> {
    pub(super) fn errno(&self) -> Errno {
        Errno::from_raw(self.errno)
    }
}

impl<'a> Message<'a> {
    /// Splits the payload into its fixed struct and its attributes.
    ///
    /// A struct of a newer kernel may be longer, but never is: the kernel adds attributes instead.
    pub fn body<const N: usize>(&self) -> Option<(&'a [u8; N], Attrs<'a>)> {
        let (fixed, _) = self.payload.split_first_chunk::<N>()?;
        let rest = self.payload.get(align(N)..).unwrap_or_default();
        Some((fixed, Attrs::new(rest)))
    }

    pub(super) fn answer(self) -> Answer<'a> {
        match self.kind {
            ERROR => Answer::End(self.status(true)),
            DONE => Answer::End(self.status(false)),
            _ => Answer::Part(self),
        }
    }

    /// Reads the status that opens an acknowledgement or a dump's end, and the attributes that may
    /// follow it. In an acknowledgement the request's header stands between them, and the whole
    /// request unless NETLINK_CAP_ACK was agreed on (`NLM_F_CAPPED`).
    fn status(&self, has_request: bool) -> Result<(), Refused<'a>> {
        let errno = self.payload.first_chunk().map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg());
        if errno == 0 {
            return Ok(());
        }
        let mut refused = Refused { errno, text: None, offset: None };
        if self.flags & flag(libc::NLM_F_ACK_TLVS) == 0 {
            return Err(refused);
        }
        let request = match (has_request, self.flags & flag(libc::NLM_F_CAPPED) != 0) {
            (false, _) => 0,
            (true, true) => HEADER,
            (true, false) => align(length_field(self.payload.get(4..).unwrap_or_default())),
        };
        let attrs = self.payload.get(4 + request..).unwrap_or_default();
        for attr in Attrs::new(attrs) {
            match attr.kind {
                ERROR_TEXT => refused.text = attr.text(),
                ERROR_OFFSET => refused.offset = attr.get(),
                _ => {}
            }
        }
        Err(refused)
    }
}

fn length_field(bytes: &[u8]) -> usize {
    bytes.first_chunk().and_then(|length| usize::try_from(u32::from_ne_bytes(*length)).ok()).unwrap_or(0)
}

/// Narrows a header flag of libc's to the field it lives in.
pub(super) const fn flag(value: libc::c_int) -> u16 {
    assert!(value >= 0 && value <= u16::MAX as libc::c_int);
    value as u16
}

/// Walks the messages of a datagram. Any bytes are fine.
#[derive(Clone, Copy, Debug)]
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub fn new(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER>()?;
        let length = length_field(header);
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(Message {
            kind: u16::from_ne_bytes([header[4], header[5]]),
            flags: u16::from_ne_bytes([header[6], header[7]]),
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            payload,
        })
    }
}

/// A request under construction: a type, flags, a fixed struct, attributes.
///
/// The sequence number and the wish for an acknowledgement are the connection's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    too_long: Option<u16>,
}

impl Request {
    /// Starts a request with its fixed struct. `flags` are libc's `NLM_F_*`; `NLM_F_REQUEST` is
    /// added here, `NLM_F_ACK` and `NLM_F_DUMP` by the way it is sent.
    pub fn new(kind: u16, flags: libc::c_int, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flag(flags | libc::NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        let mut request = Self { bytes, too_long: None };
        request.attrs().fixed(fixed);
        request
    }

    /// Returns the writer for the request's attributes.
    pub fn attrs(&mut self) -> Writer<'_> {
        Writer::new(&mut self.bytes, &mut self.too_long)
    }

    /// Adds attributes and returns the request, for building in one expression.
    pub fn with(mut self, fill: impl FnOnce(&mut Writer<'_>)) -> Self {
        fill(&mut self.attrs());
        self
    }

    /// Returns the type of the attribute that outgrew 64 KiB, if one did.
    pub(super) fn too_long(&self) -> Option<u16> {
        self.too_long
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Appends the finished message to a buffer.
    pub(super) fn write(&self, sequence: u32, flags: u16, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let length = u32::try_from(self.bytes.len())
            .expect("a request stays far below 4 GiB, its attributes below 64 KiB each");
        let own = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]);
        out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        out[start + 6..start + 8].copy_from_slice(&(own | flags).to_ne_bytes());
        out[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
    }

    /// Turns a negative answer to this request into an error that names the attribute.
    pub(super) fn refusal(&self, refused: &Refused<'_>) -> Refusal {
        Refusal {
            errno: refused.errno(),
            message: refused.text.map(str::to_owned),
            attribute: refused.offset.and_then(|offset| self.attribute_at(offset)),
        }
    }

    /// Returns the type of the attribute whose header starts at an offset into the message.
    fn attribute_at(&self, offset: u32) -> Option<u16> {
        let offset = usize::try_from(offset).ok()?;
        let attr: Attr<'_> = Attrs::new(self.bytes.get(offset..)?).next()?;
        (offset >= HEADER).then_some(attr.kind)
    }
}

/// The kernel's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub errno: Errno,
    /// The extended acknowledgement's text, in the kernel's words.
    pub message: Option<String>,
    /// The type of the attribute the kernel objects to, innermost.
    pub attribute: Option<u16>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{} ({})", message.trim_end_matches('.'), self.errno)?,
            None => write!(f, "{}", self.errno.desc())?,
        }
        match self.attribute {
            Some(attribute) => write!(f, ", attribute {attribute}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request() -> Request {
        Request::new(16, libc::NLM_F_CREATE, &[0; 16]).with(|w| {
            w.text(3, "dummy7");
            w.nest(18, |w| w.text(1, "dummy"));
        })
    }

    fn bytes(request: &Request) -> Vec<u8> {
        let mut out = Vec::new();
        request.write(7, flag(libc::NLM_F_ACK), &mut out);
        out
    }

    #[test]
    fn a_request_reads_back_as_a_message() {
        let bytes = bytes(&request());
        let mut messages = Messages::new(&bytes);
        let message = messages.next().expect("one message was written");
        assert!(messages.next().is_none());
        assert_eq!((message.kind, message.flags, message.sequence), (16, 0x0405, 7));
        let (fixed, attrs) = message.body::<16>().expect("the fixed struct is there");
        assert_eq!(fixed, &[0; 16]);
        assert_eq!(attrs.first(3).and_then(|a| a.text()), Some("dummy7"));
    }

    /// An extended acknowledgement as Linux 6.1 sends it, header capped, for an unknown link kind.
    fn capped_refusal(offset: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let text = b"Unknown device type\0";
        let length = 16 + 4 + 16 + (4 + text.len()) + 8;
        bytes.extend_from_slice(&u32::try_from(length).expect("short").to_ne_bytes());
        bytes.extend_from_slice(&2_u16.to_ne_bytes());
        bytes.extend_from_slice(&0x300_u16.to_ne_bytes()); // CAPPED | ACK_TLVS
        bytes.extend_from_slice(&[7, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&(-95_i32).to_ne_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&[24, 0, 1, 0]);
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(&[8, 0, 2, 0]);
        bytes.extend_from_slice(&offset.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_refusal_carries_text_and_attribute() {
        let bytes = capped_refusal(16 + 16 + 12);
        let message = Messages::new(&bytes).next().expect("one message");
        let Answer::End(Err(refused)) = message.answer() else {
            panic!("a refusal must be read as one");
        };
        let refusal = request().refusal(&refused);
        assert_eq!(refusal.errno, Errno::EOPNOTSUPP);
        assert_eq!(refusal.message.as_deref(), Some("Unknown device type"));
        assert_eq!(refusal.attribute, Some(18));
        assert_eq!(
            refusal.to_string(),
            "Unknown device type (EOPNOTSUPP: Operation not supported on transport endpoint), attribute 18"
        );
    }

    #[test]
    fn an_offset_outside_the_request_names_no_attribute() {
        for offset in [0, 4, 9_999, u32::MAX] {
            let bytes = capped_refusal(offset);
            let message = Messages::new(&bytes).next().expect("one message");
            if let Answer::End(Err(refused)) = message.answer() {
                assert_eq!(request().refusal(&refused).attribute, None);
            }
        }
    }

    #[test]
    fn the_lowest_errno_does_not_overflow() {
        let mut bytes = capped_refusal(0);
        bytes[16..20].copy_from_slice(&i32::MIN.to_ne_bytes());
        let message = Messages::new(&bytes).next().expect("one message");
        assert!(matches!(message.answer(), Answer::End(Err(_))));
    }

    fn visit(bytes: &[u8]) {
        for message in Messages::new(bytes) {
            if let Some((_, attrs)) = message.body::<16>() {
                for attr in attrs {
                    let _ = attr.nested().count();
                }
            }
            if let Answer::End(Err(refused)) = message.answer() {
                let _ = request().refusal(&refused).to_string();
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            visit(&bytes);
        }

        #[test]
        fn mutated_messages_are_read(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..16),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut datagram = bytes(&request());
            datagram.extend(capped_refusal(40));
            for (index, byte) in changes {
                let index = index.index(datagram.len());
                datagram[index] = byte;
            }
            visit(&datagram[..cut.index(datagram.len() + 1)]);
        }
    }
}
