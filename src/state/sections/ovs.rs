//! Open vSwitch interfaces and databases, OVN (schema 5.8, 6.7, 7.5, 7.6).

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::state::{Node, Part, Reader, Shape, Value};

section! {
    /// Settings kept in the Open vSwitch database.
    pub struct OvsSettings {
        /// Identifiers for other programs.
        "external_ids" => external_ids: Option<OvsTable>,
        /// Options of Open vSwitch.
        "other_config" => other_config: Option<OvsTable>,
    }
}

impl OvsSettings {
    pub fn empty() -> Self {
        Self { external_ids: None, other_config: None }
    }

    /// Whether no key is mentioned.
    pub fn is_empty(&self) -> bool {
        [&self.external_ids, &self.other_config].into_iter().flatten().all(|table| table.0.is_empty())
    }
}

/// A column of free keys; None deletes a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvsTable(pub BTreeMap<String, Option<String>>);

impl Part for OvsTable {
    fn read(node: &Node, reader: &mut Reader) -> Option<Self> {
        let mut table = BTreeMap::new();
        for entry in reader.entries(node)? {
            reader.at_key(&entry.key, |reader| match &entry.value.value {
                _ if entry.value.is_null() => {
                    table.insert(entry.key.clone(), None);
                }
                Value::Scalar { text, .. } => {
                    table.insert(entry.key.clone(), Some(text.clone()));
                }
                Value::List(_) | Value::Map(_) => {
                    reader.expected::<()>(&entry.value, "text");
                }
            });
        }
        Some(Self(table))
    }

    fn shape() -> Shape {
        Shape::Table(Box::new(Shape::Either(vec![Shape::Text, Shape::Null])))
    }
}

impl Serialize for OvsTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The external id of the host that holds OVN's mappings (ovn-controller(8)). Documents say them in
/// their own section.
pub const OVN_MAPPINGS: &str = "ovn-bridge-mappings";

section! {
    /// An Open vSwitch patch port.
    pub struct OvsPatch {
        /// Name of the other end.
        "peer" => peer: String,
    }
}

section! {
    /// An Open vSwitch port on a DPDK device.
    pub struct OvsDpdk {
        /// Device arguments of DPDK.
        "devargs" => devargs: String,
        /// Number of receive queues.
        "rx-queue" | "n_rxq" => rx_queue: Option<u32>,
        /// Receive descriptors: a power of two up to 4096; 0 removes.
        "n_rxq_desc" => n_rxq_desc: Option<u32>,
        /// Transmit descriptors: a power of two up to 4096; 0 removes.
        "n_txq_desc" => n_txq_desc: Option<u32>,
        /// Learn of link changes by interrupt.
        "lsc-interrupt" | "dpdk-lsc-interrupt" => lsc_interrupt: Option<bool>,
    }
}

section! {
    /// Open virtual network.
    pub struct OvnSettings {
        /// Which bridge leads to which physical network; merged by `localnet`.
        "bridge-mappings" => bridge_mappings: Option<Vec<OvnBridgeMapping>>,
    }
}

words! {
    /// Whether a mapping shall be.
    pub enum MappingState {
        /// To be there.
        Present = "present",
        /// To be removed.
        Absent = "absent",
    }
}

section! {
    /// A bridge that leads to a physical network.
    pub struct OvnBridgeMapping {
        /// Name of the physical network.
        "localnet" => localnet: String,
        /// `absent` removes the mapping.
        "state" => state: Option<MappingState> [WriteOnly],
        /// Open vSwitch bridge; mandatory unless absent.
        "bridge" => bridge: Option<String>,
    }
}
