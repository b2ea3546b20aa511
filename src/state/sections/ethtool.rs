//! Device settings of ethtool (schema 5.5).

use std::collections::BTreeMap;

section! {
    /// Device settings of ethtool.
    pub struct Ethtool {
        /// Pause frames.
        "pause" => pause: Option<Pause>,
        /// Offload features by kernel name or alias.
        "feature" => feature: Option<BTreeMap<String, bool>>,
        /// Interrupt coalescing.
        "coalesce" => coalesce: Option<Coalesce>,
        /// Ring sizes.
        "ring" => ring: Option<Ring>,
        /// Forward error correction.
        "fec" => fec: Option<Fec>,
    }
}

section! {
    /// Pause frames, IEEE 802.3 annex 31B.
    pub struct Pause {
        /// Obey received pause frames.
        "rx" => rx: Option<bool>,
        /// Send pause frames.
        "tx" => tx: Option<bool>,
        /// Negotiate pause frames.
        "autoneg" => autoneg: Option<bool>,
    }
}

section! {
    /// Interrupt coalescing.
    pub struct Coalesce {
        /// Adaptive receive coalescing.
        "adaptive-rx" => adaptive_rx: Option<bool>,
        /// Adaptive transmit coalescing.
        "adaptive-tx" => adaptive_tx: Option<bool>,
        /// Packets per second above which the high values count.
        "pkt-rate-high" => pkt_rate_high: Option<u32>,
        /// Packets per second below which the low values count.
        "pkt-rate-low" => pkt_rate_low: Option<u32>,
        /// Received frames before an interrupt.
        "rx-frames" => rx_frames: Option<u32>,
        /// Received frames before an interrupt at high rate.
        "rx-frames-high" => rx_frames_high: Option<u32>,
        /// Received frames before an interrupt while one is served.
        "rx-frames-irq" => rx_frames_irq: Option<u32>,
        /// Received frames before an interrupt at low rate.
        "rx-frames-low" => rx_frames_low: Option<u32>,
        /// Microseconds from a received frame to the interrupt.
        "rx-usecs" => rx_usecs: Option<u32>,
        /// Microseconds from a received frame to the interrupt at high rate.
        "rx-usecs-high" => rx_usecs_high: Option<u32>,
        /// Microseconds from a received frame to the interrupt while one is served.
        "rx-usecs-irq" => rx_usecs_irq: Option<u32>,
        /// Microseconds from a received frame to the interrupt at low rate.
        "rx-usecs-low" => rx_usecs_low: Option<u32>,
        /// Seconds between rate samples.
        "sample-interval" => sample_interval: Option<u32>,
        /// Microseconds between updates of the statistics block.
        "stats-block-usecs" => stats_block_usecs: Option<u32>,
        /// Sent frames before an interrupt.
        "tx-frames" => tx_frames: Option<u32>,
        /// Sent frames before an interrupt at high rate.
        "tx-frames-high" => tx_frames_high: Option<u32>,
        /// Sent frames before an interrupt while one is served.
        "tx-frames-irq" => tx_frames_irq: Option<u32>,
        /// Sent frames before an interrupt at low rate.
        "tx-frames-low" => tx_frames_low: Option<u32>,
        /// Microseconds from a sent frame to the interrupt.
        "tx-usecs" => tx_usecs: Option<u32>,
        /// Microseconds from a sent frame to the interrupt at high rate.
        "tx-usecs-high" => tx_usecs_high: Option<u32>,
        /// Microseconds from a sent frame to the interrupt while one is served.
        "tx-usecs-irq" => tx_usecs_irq: Option<u32>,
        /// Microseconds from a sent frame to the interrupt at low rate.
        "tx-usecs-low" => tx_usecs_low: Option<u32>,
    }
}

section! {
    /// Ring sizes, in descriptors.
    pub struct Ring {
        /// Receive ring.
        "rx" => rx: Option<u32>,
        /// Largest receive ring.
        "rx-max" => rx_max: Option<u32> [ReadOnly],
        /// Receive ring of jumbo frames.
        "rx-jumbo" => rx_jumbo: Option<u32>,
        /// Largest receive ring of jumbo frames.
        "rx-jumbo-max" => rx_jumbo_max: Option<u32> [ReadOnly],
        /// Receive ring of mini frames.
        "rx-mini" => rx_mini: Option<u32>,
        /// Largest receive ring of mini frames.
        "rx-mini-max" => rx_mini_max: Option<u32> [ReadOnly],
        /// Transmit ring.
        "tx" => tx: Option<u32>,
        /// Largest transmit ring.
        "tx-max" => tx_max: Option<u32> [ReadOnly],
    }
}

words! {
    /// Forward error correction mode.
    pub enum FecMode {
        /// None.
        Off = "off",
        /// Reed-Solomon.
        Rs = "rs",
        /// BASE-R, also called Fire code.
        Baser = "baser",
        /// Reed-Solomon of low latency.
        Llrs = "llrs",
    }
}

section! {
    /// Forward error correction.
    pub struct Fec {
        /// Let the driver pick.
        "auto" => auto: Option<bool>,
        /// Mode; ignored when `auto` is true.
        "mode" => mode: Option<FecMode>,
    }
}

/// Offload features by kernel name, sorted: those that are shown where they are changeable, and that
/// NetworkManager knows.
pub const FEATURES: [&str; 55] = [
    "esp-hw-offload",
    "esp-tx-csum-hw-offload",
    "fcoe-mtu",
    "highdma",
    "hw-tc-offload",
    "l2-fwd-offload",
    "loopback",
    "macsec-hw-offload",
    "rx-all",
    "rx-checksum",
    "rx-fcs",
    "rx-gro",
    "rx-gro-hw",
    "rx-gro-list",
    "rx-hashing",
    "rx-lro",
    "rx-ntuple-filter",
    "rx-udp-gro-forwarding",
    "rx-udp_tunnel-port-offload",
    "rx-vlan-filter",
    "rx-vlan-hw-parse",
    "rx-vlan-stag-filter",
    "rx-vlan-stag-hw-parse",
    "tls-hw-record",
    "tls-hw-rx-offload",
    "tls-hw-tx-offload",
    "tx-checksum-fcoe-crc",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv4",
    "tx-checksum-ipv6",
    "tx-checksum-sctp",
    "tx-esp-segmentation",
    "tx-fcoe-segmentation",
    "tx-generic-segmentation",
    "tx-gre-csum-segmentation",
    "tx-gre-segmentation",
    "tx-gso-list",
    "tx-gso-partial",
    "tx-gso-robust",
    "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation",
    "tx-nocache-copy",
    "tx-scatter-gather",
    "tx-scatter-gather-fraglist",
    "tx-sctp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tunnel-remcsum-segmentation",
    "tx-udp-segmentation",
    "tx-udp_tnl-csum-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-vlan-hw-insert",
    "tx-vlan-stag-hw-insert",
];

/// Kernel feature names by their everyday aliases (semantics K90).
pub const FEATURE_ALIASES: [(&str, &str); 19] = [
    ("rx", "rx-checksum"),
    ("rx-checksumming", "rx-checksum"),
    ("ufo", "tx-udp-fragmentation"),
    ("tso", "tx-tcp-segmentation"),
    ("tcp-segmentation-offload", "tx-tcp-segmentation"),
    ("gso", "tx-generic-segmentation"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("gro", "rx-gro"),
    ("generic-receive-offload", "rx-gro"),
    ("lro", "rx-lro"),
    ("large-receive-offload", "rx-lro"),
    ("rxvlan", "rx-vlan-hw-parse"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("txvlan", "tx-vlan-hw-insert"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple", "rx-ntuple-filter"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("rxhash", "rx-hashing"),
    ("receive-hashing", "rx-hashing"),
];
