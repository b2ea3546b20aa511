//! Values and attributes.
//!
//! An attribute is a length, a type and a payload, padded to four bytes (`struct nlattr`,
//! linux/netlink.h). [`Attrs`] walks a run of them, [`Value`] reads and writes a payload,
//! [`Writer`] appends attributes and closes nested ones.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `NLA_TYPE_MASK`: the two upper bits of a type say "nested" and "network byte order".
const TYPE_MASK: u16 = 0x3fff;
/// `NLA_F_NESTED`
const NESTED: u16 = 0x8000;
const HEADER: usize = 4;
/// The length field has 16 bits.
const ATTR_MAX: usize = u16::MAX as usize;

/// Rounds up to the four bytes netlink aligns to.
pub(super) const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// One attribute, borrowed from the message it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    pub kind: u16,
    pub payload: &'a [u8],
}

impl<'a> Attr<'a> {
    /// Reads the payload as `V`; `None` if its length or content does not fit.
    pub fn get<V: Value>(&self) -> Option<V> {
        V::read(self.payload)
    }

    /// Reads the payload as text without allocating, up to the first NUL.
    pub fn text(&self) -> Option<&'a str> {
        let end = self.payload.iter().position(|byte| *byte == 0);
        std::str::from_utf8(&self.payload[..end.unwrap_or(self.payload.len())]).ok()
    }

    /// Returns the attributes nested in this one.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// Walks a run of attributes. Any bytes are fine: the walk ends where they stop making sense.
#[derive(Clone, Copy, Debug)]
pub struct Attrs<'a>(&'a [u8]);

impl<'a> Attrs<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Finds the first attribute of a type. For the one or two wanted of a short run.
    pub fn first(mut self, kind: u16) -> Option<Attr<'a>> {
        self.find(|attr| attr.kind == kind)
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let (header, _) = self.0.split_first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let payload = self.0.get(HEADER..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or_default();
        Some(Attr { kind, payload })
    }
}

/// A type with one representation in an attribute's payload.
pub trait Value: Sized {
    /// Reads the value; `None` if the payload does not hold one.
    fn read(payload: &[u8]) -> Option<Self>;
    /// Appends the value.
    fn write(&self, payload: &mut Vec<u8>);
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Value for $integer {
            fn read(payload: &[u8]) -> Option<Self> {
                Some(Self::from_ne_bytes(payload.try_into().ok()?))
            }
            fn write(&self, payload: &mut Vec<u8>) {
                payload.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}
integers!(u8, u16, u32, u64, i8, i32, i64);

/// A flag of one byte, 0 or 1.
impl Value for bool {
    fn read(payload: &[u8]) -> Option<Self> {
        u8::read(payload).map(|byte| byte != 0)
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.push(u8::from(*self));
    }
}

/// Text, written with a closing NUL as the kernel's string policies want it.
impl Value for String {
    fn read(payload: &[u8]) -> Option<Self> {
        Attr { kind: 0, payload }.text().map(str::to_owned)
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(self.as_bytes());
        payload.push(0);
    }
}

/// Raw bytes.
impl Value for Vec<u8> {
    fn read(payload: &[u8]) -> Option<Self> {
        Some(payload.to_vec())
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(self);
    }
}

impl Value for Ipv4Addr {
    fn read(payload: &[u8]) -> Option<Self> {
        <[u8; 4]>::try_from(payload).ok().map(Self::from)
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.octets());
    }
}

impl Value for Ipv6Addr {
    fn read(payload: &[u8]) -> Option<Self> {
        <[u8; 16]>::try_from(payload).ok().map(Self::from)
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.octets());
    }
}

/// An address of the family its length tells.
impl Value for IpAddr {
    fn read(payload: &[u8]) -> Option<Self> {
        Ipv4Addr::read(payload).map(IpAddr::V4).or_else(|| Ipv6Addr::read(payload).map(IpAddr::V6))
    }
    fn write(&self, payload: &mut Vec<u8>) {
        match self {
            IpAddr::V4(address) => address.write(payload),
            IpAddr::V6(address) => address.write(payload),
        }
    }
}

/// A 16 bit number in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Be16(pub u16);

impl Value for Be16 {
    fn read(payload: &[u8]) -> Option<Self> {
        Some(Self(u16::from_be_bytes(payload.try_into().ok()?)))
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// A 32 bit number in network byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Be32(pub u32);

impl Value for Be32 {
    fn read(payload: &[u8]) -> Option<Self> {
        Some(Self(u32::from_be_bytes(payload.try_into().ok()?)))
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// A flag that is true by being there; it has no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present;

impl Value for Present {
    fn read(_payload: &[u8]) -> Option<Self> {
        Some(Self)
    }
    fn write(&self, _payload: &mut Vec<u8>) {}
}

/// A link-layer address: 6 bytes for ethernet, 20 for InfiniBand, at most `MAX_ADDR_LEN` (32).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hardware {
    bytes: [u8; Hardware::MAX],
    length: u8,
}

impl Hardware {
    const MAX: usize = 32;

    /// Takes 1 to 32 bytes.
    pub fn new(address: &[u8]) -> Option<Self> {
        let length = u8::try_from(address.len()).ok().filter(|n| *n > 0)?;
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..address.len())?.copy_from_slice(address);
        Some(Self { bytes, length })
    }

    /// Reads the usual text form, `02:00:5E:00:53:01`, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: Option<Vec<u8>> = text
            .split(':')
            .map(|part| match part.len() {
                1 | 2 => u8::from_str_radix(part, 16).ok(),
                _ => None,
            })
            .collect();
        Self::new(&bytes?)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub fn is_zero(&self) -> bool {
        self.bytes().iter().all(|byte| *byte == 0)
    }
}

/// Prints upper case, as the document schema does.
impl fmt::Display for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes().iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Hardware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Value for Hardware {
    fn read(payload: &[u8]) -> Option<Self> {
        Self::new(payload)
    }
    fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(self.bytes());
    }
}

/// Appends attributes to a buffer. Lengths and padding are settled as each one closes.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    too_long: &'a mut Option<u16>,
}

impl<'a> Writer<'a> {
    /// `too_long` receives the type of an attribute that outgrew its 16 bit length.
    pub(super) fn new(bytes: &'a mut Vec<u8>, too_long: &'a mut Option<u16>) -> Self {
        Self { bytes, too_long }
    }

    /// Appends one attribute.
    pub fn put<V: Value>(&mut self, kind: u16, value: &V) {
        self.attribute(kind, |writer| value.write(writer.bytes));
    }

    /// Appends one attribute if there is a value for it.
    pub fn put_some<V: Value>(&mut self, kind: u16, value: Option<&V>) {
        if let Some(value) = value {
            self.put(kind, value);
        }
    }

    /// Appends text, with its closing NUL.
    pub fn text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, |writer| {
            writer.bytes.extend_from_slice(text.as_bytes());
            writer.bytes.push(0);
        });
    }

    /// Appends raw bytes.
    pub fn raw(&mut self, kind: u16, payload: &[u8]) {
        self.attribute(kind, |writer| writer.bytes.extend_from_slice(payload));
    }

    /// Appends a nested attribute with what `fill` puts into it.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        self.attribute(kind | NESTED, fill);
    }

    /// Appends a nested attribute that starts with a fixed struct (`rtnexthop`, `IFLA_INFO_DATA`
    /// of veth).
    pub fn nest_after(&mut self, kind: u16, fixed: &[u8], fill: impl FnOnce(&mut Writer<'_>)) {
        self.nest(kind, |writer| {
            writer.fixed(fixed);
            fill(writer);
        });
    }

    /// Appends a fixed struct, padded.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// Appends a struct whose first 16 bits are the length of itself and what `fill` adds
    /// (`struct rtnexthop`, linux/rtnetlink.h). Its own first two bytes are overwritten.
    pub fn counted(&mut self, fixed: &[u8], fill: impl FnOnce(&mut Writer<'_>)) {
        let start = self.bytes.len();
        self.fixed(fixed);
        fill(self);
        self.close(start, 0);
    }

    fn attribute(&mut self, kind: u16, fill: impl FnOnce(&mut Writer<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        self.close(start, kind);
        self.pad();
    }

    fn close(&mut self, start: usize, kind: u16) {
        let length = self.bytes.len() - start;
        match u16::try_from(length) {
            Ok(length) => self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes()),
            Err(_) => *self.too_long = Some(kind & TYPE_MASK),
        }
        debug_assert!(length <= ATTR_MAX || self.too_long.is_some());
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(fill: impl FnOnce(&mut Writer<'_>)) -> (Vec<u8>, Option<u16>) {
        let (mut bytes, mut too_long) = (Vec::new(), None);
        fill(&mut Writer::new(&mut bytes, &mut too_long));
        (bytes, too_long)
    }

    #[test]
    fn attributes_are_padded_and_nest() {
        let (bytes, too_long) = written(|w| {
            w.text(3, "eth0");
            w.nest(18, |w| w.put(1, &7_u8));
        });
        let expected: &[u8] = &[
            9, 0, 3, 0, b'e', b't', b'h', b'0', 0, 0, 0, 0, // name, padded by three
            12, 0, 18, 0x80, 5, 0, 1, 0, 7, 0, 0, 0, // nested, holding one byte
        ];
        assert_eq!((bytes.as_slice(), too_long), (expected, None));
        let attrs: Vec<Attr<'_>> = Attrs::new(&bytes).collect();
        assert_eq!(attrs[0].text(), Some("eth0"));
        assert_eq!(attrs[1].kind, 18);
        assert_eq!(attrs[1].nested().first(1).and_then(|a| a.get::<u8>()), Some(7));
    }

    #[test]
    fn a_value_of_another_length_is_none() {
        let attr = Attr { kind: 1, payload: &[1, 2, 3] };
        assert_eq!(attr.get::<u32>(), None);
        assert_eq!(attr.get::<IpAddr>(), None);
        assert_eq!(attr.get::<Be16>(), None);
    }

    #[test]
    fn an_attribute_that_outgrows_its_length_is_noticed() {
        let (_, too_long) = written(|w| w.raw(26, &vec![0; 70_000]));
        assert_eq!(too_long, Some(26));
    }

    #[test]
    fn truncated_attributes_end_the_walk() {
        assert_eq!(Attrs::new(&[8, 0, 1, 0, 1, 2]).count(), 0);
        assert_eq!(Attrs::new(&[0, 0, 1, 0]).count(), 0);
        // The last attribute may lack its padding.
        assert_eq!(Attrs::new(&[5, 0, 1, 0, 9]).count(), 1);
    }

    #[test]
    fn hardware_addresses_print_upper_case() {
        let mac = Hardware::parse("02:00:5e:00:53:aB");
        assert_eq!(mac.map(|m| m.to_string()).as_deref(), Some("02:00:5E:00:53:AB"));
        assert_eq!(Hardware::parse("02:zz"), None);
        assert_eq!(Hardware::parse("123:00"), None);
        assert_eq!(Hardware::new(&[0; 33]), None);
        assert_eq!(Hardware::new(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            for attr in Attrs::new(&bytes) {
                prop_assert!(attr.kind <= TYPE_MASK);
                let _ = (attr.text(), attr.get::<u64>(), attr.get::<IpAddr>(), attr.get::<Hardware>());
                prop_assert!(attr.nested().count() <= bytes.len() / HEADER);
            }
        }
    }
}
