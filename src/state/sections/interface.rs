//! An interface: the keys all types share, and the sections of the types.

use super::*;
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::state::{HEADER_KEYS, Mac, Node, Part, Reader, Secret, Shape, Uninterpreted, Value, nearest};

open_words! {
    /// The type of an interface. The order of declaration is the sort order of equal names.
    pub enum InterfaceType {
        /// Link aggregation.
        Bond = "bond",
        /// Bridge of the kernel.
        LinuxBridge = "linux-bridge",
        /// Leads nowhere; a place for addresses.
        Dummy = "dummy",
        /// Ethernet, also one end of a virtual cable.
        Ethernet = "ethernet",
        /// Ring or pair of networks that survive a failure without delay.
        Hsr = "hsr",
        /// IP in IP.
        IpTunnel = "ip-tunnel",
        /// The host itself.
        Loopback = "loopback",
        /// A further MAC address on a parent.
        MacVlan = "mac-vlan",
        /// As `mac-vlan`, for a virtual machine.
        MacVtap = "mac-vtap",
        /// Bridge of Open vSwitch.
        OvsBridge = "ovs-bridge",
        /// Port of Open vSwitch that is an interface of the host, a patch or a DPDK device.
        OvsInterface = "ovs-interface",
        /// One end of a virtual cable.
        Veth = "veth",
        /// A tagged network on a parent.
        Vlan = "vlan",
        /// A routing world of its own.
        Vrf = "vrf",
        /// Ethernet over UDP.
        Vxlan = "vxlan",
        /// IP over InfiniBand.
        Infiniband = "infiniband",
        /// Made by another program; only shown.
        Tun = "tun",
        /// Encrypted Ethernet on a parent.
        Macsec = "macsec",
        /// IPsec connection of libreswan.
        Ipsec = "ipsec",
        /// IPsec interface; common keys only.
        Xfrm = "xfrm",
        /// A further IP host on a parent, with its MAC address.
        Ipvlan = "ipvlan",
        /// The present interface of that name decides.
        Unknown = "unknown",
    }
}

impl InterfaceType {
    /// Every known type, in order of declaration.
    pub fn known() -> impl Iterator<Item = Self> {
        Self::WORDS.iter().map(|word| Self::from_word(word))
    }

    /// Whether other interfaces can be its ports (semantics A4).
    pub fn is_controller(&self) -> bool {
        matches!(self, Self::Bond | Self::LinuxBridge | Self::OvsBridge | Self::Vrf | Self::Hsr)
    }

    /// Whether it exists only because somebody made it, so that `absent` deletes it (A5).
    pub fn is_virtual(&self) -> bool {
        !matches!(self, Self::Ethernet | Self::Veth | Self::Infiniband | Self::Loopback)
            && !self.is_uninterpreted()
    }

    /// Whether it is keyed by name and type, being no kernel interface (A3).
    pub fn is_userspace(&self) -> bool {
        matches!(self, Self::OvsBridge | Self::Ipsec | Self::Other(_))
    }

    /// Whether the document's keys for it are kept unread until its type is known (schema 6.20).
    pub fn is_uninterpreted(&self) -> bool {
        matches!(self, Self::Unknown | Self::Tun | Self::Other(_))
    }

    /// The keys of the sections that belong to this type, beyond the common keys.
    pub fn section_keys(&self) -> &'static [&'static str] {
        match self {
            Self::Bond => &["link-aggregation"],
            Self::LinuxBridge | Self::OvsBridge => &["bridge"],
            Self::Ethernet | Self::Veth => &["ethernet", "veth"],
            Self::Hsr => &["hsr"],
            Self::IpTunnel => &["ip-tunnel"],
            Self::MacVlan => &["mac-vlan"],
            Self::MacVtap => &["mac-vtap"],
            Self::OvsInterface => &["patch", "dpdk"],
            Self::Vlan => &["vlan"],
            Self::Vrf => &["vrf"],
            Self::Vxlan => &["vxlan"],
            Self::Infiniband => &["infiniband"],
            Self::Macsec => &["macsec"],
            Self::Ipsec => &["libreswan"],
            Self::Ipvlan => &["ipvlan"],
            Self::Dummy | Self::Loopback | Self::Tun | Self::Xfrm | Self::Unknown | Self::Other(_) => &[],
        }
    }
}

words! {
    /// What shall be, or is, with an interface.
    pub enum InterfaceState {
        /// Configured and active.
        Up = "up",
        /// Configured, not active; a virtual interface disappears from the kernel.
        Down = "down",
        /// Configuration removed; a virtual interface is deleted.
        Absent = "absent",
        /// Left untouched, and not verified.
        Ignore = "ignore",
        /// Neither up nor down; such an entry is dropped from a desired document.
        Unknown = "unknown",
    }
}

words! {
    /// How a backend finds the hardware of an interface.
    pub enum Identifier {
        /// By its kernel name.
        Name = "name",
        /// By its MAC address.
        MacAddress = "mac-address",
        /// By its place on the PCI bus.
        PciAddress = "pci-address",
    }
}

words! {
    /// Which IP stack must be ready before an interface counts as active.
    pub enum WaitIp {
        /// Either.
        Any = "any",
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
        /// Both.
        Both = "ipv4+ipv6",
    }
}

section! {
    /// One alternative name of an interface. Names not mentioned stay.
    pub struct AltName {
        /// Kernel alternative name.
        "name" => name: String,
        /// `absent` removes it.
        "state" => state: Option<AbsentState> [WriteOnly],
    }
}

words! {
    /// The only state a list entry can ask for: to be gone.
    pub enum AbsentState {
        /// To be removed.
        Absent = "absent",
    }
}

fields! {
    /// A network interface. Keys that a desired document does not mention keep their value.
    pub struct Interface {
        /// Kernel name, profile name, alternative name, or `sriov:<pf>:<vf-id>`.
        "name" => name: String,
        /// Name of the backend's profile; hidden in show when equal to the name.
        "profile-name" => profile_name: Option<String>,
        /// Free text stored by the backend; empty clears it.
        "description" => description: Option<String>,
        /// Interface type. Without it the present interface of that name decides.
        "type" => kind: Option<InterfaceType>,
        /// Kernel driver name.
        "driver" => driver: Option<String> [ReadOnly],
        /// `up` unless said otherwise.
        "state" => state: Option<InterfaceState>,
        /// How the backend matches hardware.
        "identifier" => identifier: Option<Identifier>,
        /// MAC address to set, or, with identifier `mac-address`, to look for.
        "mac-address" => mac_address: Option<Mac>,
        /// MAC address of the firmware.
        "permanent-mac-address" => permanent_mac_address: Option<Mac> [ReadOnly],
        /// PCI address, as `0000:0a:09.7`; used with identifier `pci-address`.
        "pci-address" => pci_address: Option<PciAddress>,
        /// Maximum transmission unit in bytes.
        "mtu" => mtu: Option<u64>,
        /// Lower limit of the MTU.
        "min-mtu" => min_mtu: Option<u64> [ReadOnly],
        /// Upper limit of the MTU.
        "max-mtu" => max_mtu: Option<u64> [ReadOnly],
        /// Which IP stack must be ready before the interface counts as active.
        "wait-ip" => wait_ip: Option<WaitIp>,
        /// IPv4 of this interface.
        "ipv4" => ipv4: Option<Box<Ip>>,
        /// IPv6 of this interface.
        "ipv6" => ipv6: Option<Box<Ip>>,
        /// Multipath TCP.
        "mptcp" => mptcp: Option<Mptcp>,
        /// Name of the controller; empty detaches.
        "controller" => controller: Option<String>,
        /// Promiscuous mode.
        "accept-all-mac-addresses" => accept_all_mac_addresses: Option<bool>,
        /// Take the MAC address of that interface (bond, linux-bridge, ovs-interface).
        "copy-mac-from" => copy_mac_from: Option<String> [WriteOnly],
        /// Open vSwitch settings of this bridge, port or interface.
        "ovs-db" => ovs_db: Option<OvsSettings>,
        /// IEEE 802.1X port authentication.
        "802.1x" => ieee8021x: Option<Box<Ieee8021x>>,
        /// Link layer discovery.
        "lldp" => lldp: Option<Lldp>,
        /// Device settings of ethtool.
        "ethtool" => ethtool: Option<Box<Ethtool>>,
        /// Scripts run after activation and deactivation.
        "dispatch" => dispatch: Option<Dispatch>,
        /// Alternative names.
        "alt-names" => alt_names: Option<Vec<AltName>>,
        /// Ethernet settings.
        "ethernet" => ethernet: Option<Box<Ethernet>>,
        /// The other end of a virtual cable.
        "veth" => veth: Option<Veth>,
        /// Link aggregation.
        "link-aggregation" | "bond" => bond: Option<Box<Bond>>,
        /// Linux or Open vSwitch bridge, by the interface's type.
        "bridge" => bridge: Option<Box<Bridge>>,
        /// Open vSwitch patch port.
        "patch" => patch: Option<OvsPatch>,
        /// Open vSwitch DPDK port.
        "dpdk" => dpdk: Option<OvsDpdk>,
        /// VLAN.
        "vlan" => vlan: Option<Box<Vlan>>,
        /// VXLAN.
        "vxlan" => vxlan: Option<Box<Vxlan>>,
        /// Virtual routing and forwarding.
        "vrf" => vrf: Option<Vrf>,
        /// MAC VLAN.
        "mac-vlan" => mac_vlan: Option<MacVlan>,
        /// MAC VTAP.
        "mac-vtap" => mac_vtap: Option<MacVlan>,
        /// MACsec, IEEE 802.1AE.
        "macsec" => macsec: Option<Box<Macsec>>,
        /// High-availability seamless redundancy.
        "hsr" => hsr: Option<Hsr>,
        /// IP VLAN.
        "ipvlan" => ipvlan: Option<Ipvlan>,
        /// IP in IP tunnel.
        "ip-tunnel" => ip_tunnel: Option<Box<IpTunnel>>,
        /// IP over InfiniBand.
        "infiniband" => infiniband: Option<Infiniband>,
        /// IPsec connection of libreswan.
        "libreswan" => libreswan: Option<Box<Libreswan>>,
        @
        /// The entry as written, where its keys cannot be read before its type is known (6.20).
        uninterpreted: Option<Box<Uninterpreted>>,
    }
}

/// The keys of an absent entry that are looked at; all others are thrown away (schema 3.3).
const ABSENT_KEYS: [&str; 6] = ["name", "type", "state", "identifier", "mac-address", "pci-address"];

impl Interface {
    /// An interface that mentions only its name, type and state.
    pub fn new(name: impl Into<String>, kind: InterfaceType, state: InterfaceState) -> Self {
        Self {
            name: name.into(),
            kind: Some(kind),
            state: Some(state),
            profile_name: None,
            description: None,
            driver: None,
            identifier: None,
            mac_address: None,
            permanent_mac_address: None,
            pci_address: None,
            mtu: None,
            min_mtu: None,
            max_mtu: None,
            wait_ip: None,
            ipv4: None,
            ipv6: None,
            mptcp: None,
            controller: None,
            accept_all_mac_addresses: None,
            copy_mac_from: None,
            ovs_db: None,
            ieee8021x: None,
            lldp: None,
            ethtool: None,
            dispatch: None,
            alt_names: None,
            ethernet: None,
            veth: None,
            bond: None,
            bridge: None,
            patch: None,
            dpdk: None,
            vlan: None,
            vxlan: None,
            vrf: None,
            mac_vlan: None,
            mac_vtap: None,
            macsec: None,
            hsr: None,
            ipvlan: None,
            ip_tunnel: None,
            infiniband: None,
            libreswan: None,
            uninterpreted: None,
        }
    }

    pub fn kind(&self) -> &InterfaceType {
        self.kind.as_ref().unwrap_or(&InterfaceType::Unknown)
    }

    pub fn state(&self) -> InterfaceState {
        self.state.unwrap_or(InterfaceState::Up)
    }

    pub fn is_up(&self) -> bool {
        self.state() == InterfaceState::Up
    }

    pub fn is_absent(&self) -> bool {
        self.state() == InterfaceState::Absent
    }

    pub fn is_ignored(&self) -> bool {
        self.state() == InterfaceState::Ignore
    }

    /// Reads an entry as an interface of that type.
    pub fn interpret(node: &Node, kind: &InterfaceType, reader: &mut Reader) -> Option<Self> {
        reader.interface_type = Some(kind.clone());
        let own = kind.section_keys();
        let wanted = |key: &str| Self::is_common_key(key) || own.contains(&key);
        let interface = Self::read_fields(node, reader, wanted, &format!("an interface of type {kind}"));
        reader.interface_type = None;
        interface.map(|interface| Self { kind: Some(kind.clone()), ..interface })
    }

    /// Makes every secret of this copy print itself.
    pub fn reveal_secrets(&mut self) {
        let ieee8021x =
            self.ieee8021x.iter_mut().flat_map(|x| [&mut x.private_key_password, &mut x.password]);
        let macsec = self.macsec.iter_mut().map(|m| &mut m.mka_cak);
        let ipsec = self.libreswan.iter_mut().map(|l| &mut l.psk);
        ieee8021x.chain(macsec).chain(ipsec).flatten().for_each(Secret::reveal);
        if let Some(entry) = &mut self.uninterpreted {
            entry.reveal();
        }
    }

    /// Whether the key belongs to interfaces of every type.
    pub fn is_common_key(key: &str) -> bool {
        // Every section of a type stands behind the last common key.
        let position = |key| Self::INFO.fields.iter().position(|field| field.key == key);
        position(key) <= position("alt-names")
    }

    /// Reads only the keys of `node` for which `kept` holds.
    fn read_some(node: &Node, reader: &mut Reader, kept: impl Fn(&str) -> bool) -> Option<Self> {
        let entries = reader.entries(node)?;
        let entries = entries.iter().filter(|entry| kept(&entry.key)).cloned().collect();
        let node = Node { value: Value::Map(entries), at: node.at };
        Self::read_fields(&node, reader, |_| true, "an interface")
    }

    fn read_absent(node: &Node, reader: &mut Reader) -> Option<Self> {
        let is_kept = |key: &str| ABSENT_KEYS.contains(&key);
        if reader.entries(node)?.iter().any(|entry| !is_kept(&entry.key)) {
            reader.warn(
                node,
                "only the identity of an absent interface is looked at; its other keys are ignored",
            );
        }
        Self::read_some(node, reader, is_kept)
    }

    fn read_uninterpreted(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut interface = Self::read_some(node, reader, |key| HEADER_KEYS.contains(&key))?;
        if let InterfaceType::Other(word) = interface.kind()
            && let Some(near) = nearest(word, InterfaceType::WORDS.iter().copied())
        {
            let message = format!("type `{word}` is not known; did you mean `{near}`?");
            reader.at_key("type", |reader| reader.warn(node.get("type").unwrap_or(node), message));
        }
        interface.uninterpreted = Some(Box::new(Uninterpreted::new(node.clone())));
        Some(interface)
    }

    /// Prints the keys named `first` in that order, then the others.
    pub(crate) fn print<S: Serializer>(&self, serializer: S, first: &[&str]) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for key in first {
            self.print_fields(&mut map, |k| k == *key)?;
        }
        self.print_fields(&mut map, |key| !first.contains(&key))?;
        if let Some(entry) = &self.uninterpreted {
            entry.print_entries(&mut map)?;
        }
        map.end()
    }
}

impl Part for Interface {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        reader.entries(node)?;
        // The header decides how the entry is read; what is wrong with it is reported then.
        let header = |key| node.get(key).filter(|value| !value.is_null());
        let kind = match header("type").map(Node::text) {
            Some(Some(word)) => InterfaceType::from_word(word),
            Some(None) => return Self::read_some(node, reader, Self::is_common_key),
            None => InterfaceType::Unknown,
        };
        let state = header("state").and_then(Node::text).and_then(InterfaceState::from_word);
        let interface = if state == Some(InterfaceState::Absent) {
            Self::read_absent(node, reader)?
        } else if kind.is_uninterpreted() {
            Self::read_uninterpreted(node, reader)?
        } else {
            Self::interpret(node, &kind, reader)?
        };
        Some(Self { kind: Some(kind), state: interface.state.or(Some(InterfaceState::Up)), ..interface })
    }

    fn shape() -> Shape {
        Shape::Section(&Self::INFO)
    }

    fn fill_from(&mut self, base: &Self) {
        self.fill_fields(base);
    }

    fn drop_read_only(&mut self) {
        self.drop_read_only_fields();
    }
}

impl Serialize for Interface {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.print(serializer, &[])
    }
}
