//! The scalars of a document, and lists and tables of parts.
//!
//! One rule for all numbers and booleans (schema 2.2, the lenient form everywhere; the peer is
//! lenient for most keys and strict for some, which helps nobody): numbers may be quoted, decimal
//! or `0x`; booleans may be `yes`/`no`/`on`/`off`/`y`/`n`/`1`/`0` in any case.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::{Entry, Node, Part, Reader, Shape, Value};

/// What stands where a secret is hidden; in a desired document it means "keep the stored one".
pub const HIDDEN_SECRET: &str = "<_password_hid_by_nmstate>";

impl Part for bool {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.text().map(str::to_ascii_lowercase).as_deref() {
            Some("true" | "yes" | "on" | "y" | "1") => Some(true),
            Some("false" | "no" | "off" | "n" | "0") => Some(false),
            _ => reader.expected(node, "a boolean"),
        }
    }

    fn shape() -> Shape {
        Shape::Bool
    }
}

/// An integer that a document may hold.
pub trait Number: Copy + TryFrom<i128> + Into<i128> {
    const MIN: Self;
    const MAX: Self;
}

macro_rules! numbers {
    ($($ty:ty),*) => { $(
        impl Number for $ty {
            const MIN: Self = <$ty>::MIN;
            const MAX: Self = <$ty>::MAX;
        }

        impl Part for $ty {
            fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
                read_number(node, reader)
            }

            fn shape() -> Shape {
                Shape::Integer { min: <$ty>::MIN.into(), max: <$ty>::MAX.into() }
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64, i32, i64);

fn read_number<T: Number>(node: &Node, reader: &mut Reader) -> Option<T> {
    let number = match &node.value {
        Value::Scalar { text, plain } => parse_integer(text, *plain),
        _ => None,
    };
    let Some(number) = number else {
        return reader.expected(node, "a whole number");
    };
    match T::try_from(number) {
        Ok(number) => Some(number),
        Err(_) => {
            let (min, max): (i128, i128) = (T::MIN.into(), T::MAX.into());
            reader.expected(node, &format!("a number from {min} to {max}"))
        }
    }
}

/// Decimal with an optional sign, or `0x`; plain scalars also YAML's `0o` and `0b`.
fn parse_integer(text: &str, plain: bool) -> Option<i128> {
    let digits = |text: &str, radix| {
        let ok = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        ok.then(|| i128::from_str_radix(text, radix).ok()).flatten()
    };
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16);
    }
    if plain && let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8);
    }
    if plain && let Some(binary) = text.strip_prefix("0b") {
        return digits(binary, 2);
    }
    match text.strip_prefix('-') {
        Some(rest) => digits(rest, 10).map(|n| -n),
        None => digits(text.strip_prefix('+').unwrap_or(text), 10),
    }
}

impl Part for String {
    /// Unquoted numbers and booleans are taken as their text: `name: 100` names an interface.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            _ => reader.expected(node, "text"),
        }
    }

    fn shape() -> Shape {
        Shape::Text
    }
}

/// Reads anything that has a `FromStr` from a scalar.
fn read_parsed<T: FromStr>(node: &Node, reader: &mut Reader, what: &str) -> Option<T> {
    match node.text().and_then(|text| text.parse().ok()) {
        Some(value) => Some(value),
        None => reader.expected(node, what),
    }
}

impl Part for IpAddr {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_parsed(node, reader, "an IP address without prefix")
    }

    fn shape() -> Shape {
        Shape::Address
    }
}

impl Part for Ipv6Addr {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_parsed(node, reader, "an IPv6 address")
    }

    fn shape() -> Shape {
        Shape::Ipv6Address
    }
}

impl<T: Part> Part for Box<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        T::read(node, reader).map(Box::new)
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn fill_from(&mut self, base: &Self) {
        (**self).fill_from(base);
    }

    fn drop_read_only(&mut self) {
        (**self).drop_read_only();
    }
}

impl<T: Part> Part for Vec<T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let Value::List(items) = &node.value else {
            return reader.expected(node, "a list");
        };
        let read = items.iter().enumerate().map(|(i, item)| {
            reader.at_index(i, |reader| match item.is_null() {
                true => reader.expected(item, "a list item"),
                false => T::read(item, reader),
            })
        });
        // Every item is read, so that every problem is reported.
        let read: Vec<Option<T>> = read.collect();
        read.into_iter().collect()
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }

    fn drop_read_only(&mut self) {
        self.iter_mut().for_each(Part::drop_read_only);
    }
}

impl<T: Part> Part for BTreeMap<String, T> {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let entries = reader.entries(node)?;
        let mut map = Self::new();
        for Entry { key, at, value } in entries {
            reader.at_key(key, |reader| {
                if let Some(part) = T::read(value, reader)
                    && map.insert(key.clone(), part).is_some()
                {
                    let again = Node { at: *at, ..value.clone() };
                    reader.problem(&again, format!("duplicate key `{key}`"));
                }
            });
        }
        Some(map)
    }

    fn shape() -> Shape {
        Shape::Table(Box::new(T::shape()))
    }
}

/// A network or a host with prefix, host bits cleared: `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

impl Net {
    /// The network of that address. None if the prefix is longer than the family allows.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let net = ipnet::IpNet::new(address, prefix).ok()?.trunc();
        Some(Self { address: net.addr(), prefix })
    }

    /// `0.0.0.0/0` or `::/0`.
    pub fn default_route(v6: bool) -> Self {
        let address = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Self { address, prefix: 0 }
    }

    pub fn address(&self) -> IpAddr {
        self.address
    }

    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        ipnet::IpNet::new(self.address, self.prefix).is_ok_and(|net| net.contains(&address))
    }
}

impl FromStr for Net {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let prefix = match prefix {
            Some(prefix) => prefix.parse().map_err(|_| ())?,
            None if address.is_ipv6() => 128,
            None => 32,
        };
        Self::new(address, prefix).ok_or(())
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Net {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Part for Net {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_parsed(node, reader, "a network such as `192.0.2.0/24` or `2001:db8::/64`")
    }

    fn shape() -> Shape {
        Shape::Net
    }
}

/// A rule's `ip-from` or `ip-to`: a network, or `""`, which in an absent rule matches rules
/// without that key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    None,
    Net(Net),
}

impl Selector {
    pub fn net(self) -> Option<Net> {
        match self {
            Self::None => None,
            Self::Net(net) => Some(net),
        }
    }
}

impl Serialize for Selector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str(""),
            Self::Net(net) => net.serialize(serializer),
        }
    }
}

impl Part for Selector {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, .. } if text.is_empty() => Some(Self::None),
            _ => Net::read(node, reader).map(Self::Net),
        }
    }

    fn shape() -> Shape {
        Shape::Either(vec![Shape::Net, Shape::Words { words: &[""], docs: &[], aliases: &[], open: false }])
    }
}

/// A link layer address: 6 bytes, 20 on InfiniBand (`MAX_ADDR_LEN` is 32). Printed upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac {
    bytes: [u8; 32],
    len: u8,
}

impl Mac {
    /// None if there is no byte or more than 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let len = u8::try_from(bytes.len()).ok().filter(|len| (1..=32).contains(len))?;
        let mut own = [0; 32];
        own[..bytes.len()].copy_from_slice(bytes);
        Some(Self { bytes: own, len })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let byte = |pair: &str| match pair.len() {
            2 if pair.chars().all(|c| c.is_ascii_hexdigit()) => u8::from_str_radix(pair, 16).map_err(|_| ()),
            _ => Err(()),
        };
        let bytes: Vec<u8> = text.split([':', '-']).map(byte).collect::<Result<_, _>>()?;
        Self::new(&bytes).ok_or(())
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.bytes().iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Part for Mac {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        read_parsed(node, reader, "a MAC address such as `02:00:5E:10:00:01`")
    }

    fn shape() -> Shape {
        Shape::Mac
    }
}

/// A password or key. It prints as [`HIDDEN_SECRET`] everywhere, also in `Debug` and in
/// serialised documents, until somebody who may see it calls [`Secret::reveal`] on that copy.
#[derive(Clone)]
pub struct Secret {
    text: String,
    revealed: bool,
}

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), revealed: false }
    }

    /// The secret itself, for the backend that needs it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether this is the text that stands for a hidden secret.
    pub fn is_placeholder(&self) -> bool {
        self.text == HIDDEN_SECRET
    }

    /// Makes this copy print itself.
    pub fn reveal(&mut self) {
        self.revealed = true;
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN_SECRET)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.revealed { &self.text } else { HIDDEN_SECRET })
    }
}

impl Part for Secret {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match &node.value {
            Value::Scalar { text, .. } => Some(Self::new(text.clone())),
            _ => {
                // The value is not repeated: it may hold the secret in another form.
                reader.problem(node, "expected text");
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Secret
    }
}
