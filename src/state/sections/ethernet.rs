//! Ethernet, its virtual functions, and virtual cables (schema 6.1).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::state::{Mac, Node, Part, Reader, Shape};

words! {
    /// Duplex of an Ethernet link.
    pub enum Duplex {
        /// Both directions at once.
        Full = "full",
        /// One direction at a time.
        Half = "half",
    }
}

section! {
    /// Ethernet settings.
    pub struct Ethernet {
        /// SR-IOV virtual functions.
        "sr-iov" => sr_iov: Option<SrIov>,
        /// Negotiate speed and duplex; when true both are neither set nor verified.
        "auto-negotiation" => auto_negotiation: Option<bool>,
        /// Speed in Mbit/s.
        "speed" => speed: Option<u32>,
        /// Duplex.
        "duplex" => duplex: Option<Duplex>,
    }
}

section! {
    /// Virtual functions of a device (PCI SIG, Single Root I/O Virtualization).
    pub struct SrIov {
        /// Bind new virtual functions to their driver.
        "drivers-autoprobe" => drivers_autoprobe: Option<bool>,
        /// Number of virtual functions; 0 turns SR-IOV off.
        "total-vfs" => total_vfs: Option<u32>,
        /// Most virtual functions the hardware can have.
        "max-vfs" => max_vfs: Option<u32> [ReadOnly],
        /// Settings of the virtual functions; an empty list reverts all to default.
        "vfs" => vfs: Option<Vec<VirtualFunction>>,
    }
}

words! {
    /// Protocol of VLAN tags: the customer's (IEEE 802.1Q) or the provider's (802.1ad).
    pub enum VlanProtocol {
        /// The customer's tag.
        Ieee8021Q = "802.1q",
        /// The provider's tag.
        Ieee8021Ad = "802.1ad",
    }
}

section! {
    /// A virtual function.
    pub struct VirtualFunction {
        /// Number of the virtual function, from 0.
        "id" => id: u32,
        /// Kernel name of its interface.
        "iface-name" => iface_name: Option<String> [ReadOnly],
        /// MAC address.
        "mac-address" => mac_address: Option<Mac>,
        /// Drop frames with another source MAC.
        "spoof-check" => spoof_check: Option<bool>,
        /// Let the guest change what the host set.
        "trust" => trust: Option<bool>,
        /// Guaranteed transmit rate in Mbit/s.
        "min-tx-rate" => min_tx_rate: Option<u32>,
        /// Transmit rate limit in Mbit/s.
        "max-tx-rate" => max_tx_rate: Option<u32>,
        /// VLAN put on its frames.
        "vlan-id" => vlan_id: Option<u32>,
        /// VLAN priority put on its frames.
        "qos" => qos: Option<u32>,
        /// VLAN protocol.
        "vlan-proto" => vlan_proto: Option<VlanProtocol>,
    }
}

impl VirtualFunction {
    /// One of which nothing is said.
    pub fn new(id: u32) -> Self {
        Self {
            id,
            iface_name: None,
            mac_address: None,
            spoof_check: None,
            trust: None,
            min_tx_rate: None,
            max_tx_rate: None,
            vlan_id: None,
            qos: None,
            vlan_proto: None,
        }
    }
}

section! {
    /// The other end of a virtual cable.
    pub struct Veth {
        /// Name of the peer; it is created too if the document does not describe it.
        "peer" => peer: String,
    }
}

/// A PCI address: domain, bus, slot and function, printed as `0000:0a:09.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    slot: u8,
    function: u8,
}

impl FromStr for PciAddress {
    type Err = ();

    /// Reads `BB:SS.F` or `DDDD:BB:SS.F`; hexadecimal, the function decimal.
    fn from_str(text: &str) -> Result<Self, ()> {
        let hex = |text: &str| u32::from_str_radix(text, 16).map_err(|_| ());
        let byte = |text: &str| hex(text).and_then(|n| u8::try_from(n).map_err(|_| ()));
        let (rest, function) = text.rsplit_once('.').ok_or(())?;
        let (rest, slot) = rest.rsplit_once(':').ok_or(())?;
        let (domain, bus) = match rest.rsplit_once(':') {
            Some((domain, bus)) => (hex(domain)?, bus),
            None => (0, rest),
        };
        Ok(Self { domain, bus: byte(bus)?, slot: byte(slot)?, function: function.parse().map_err(|_| ())? })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, slot, function } = self;
        let width = if *domain > 0xffff { 8 } else { 4 };
        write!(f, "{domain:0width$x}:{bus:02x}:{slot:02x}.{function}")
    }
}

impl Serialize for PciAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Part for PciAddress {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        match node.text().and_then(|text| text.parse().ok()) {
            Some(address) => Some(address),
            None => reader.expected(node, "a PCI address such as `0000:0a:09.7`"),
        }
    }

    fn shape() -> Shape {
        Shape::PciAddress
    }
}
