//! Device settings of ethtool.

use crate::kernel::mirror::{Image, Link};
use crate::kernel::netlink::ethtool::{self, Features, LinkModes, SPEED_UNKNOWN};
use crate::state::{Coalesce, Duplex, Ethernet, Ethtool, FEATURES, Fec, FecMode, Pause, Ring};
use std::collections::BTreeMap;

/// `None` where the device answers nothing.
pub(super) fn ethtool(image: &Image, link: &Link) -> Option<Ethtool> {
    let settings = image.ethtool.get(&link.index)?;
    let shown = Ethtool {
        pause: settings.pause.as_ref().map(pause),
        feature: settings.features.as_ref().map(|features| feature(image, features)),
        coalesce: settings.coalesce.as_deref().map(coalesce),
        ring: settings.rings.as_ref().map(ring),
        fec: settings.fec.as_ref().map(fec),
    };
    let Ethtool { pause, feature, coalesce, ring, fec } = &shown;
    let empty = pause.is_none() && feature.is_none() && coalesce.is_none() && ring.is_none() && fec.is_none();
    (!empty).then_some(shown)
}

/// Speed and duplex, where there are such things.
pub(super) fn ethernet(image: &Image, link: &Link) -> Ethernet {
    let modes = image.ethtool.get(&link.index).and_then(|settings| settings.link_modes.as_ref());
    let LinkModes { autoneg, speed, duplex } = modes.cloned().unwrap_or_default();
    Ethernet {
        sr_iov: super::kinds::sr_iov(image, link),
        auto_negotiation: autoneg,
        speed: speed.filter(|speed| *speed != 0 && *speed != SPEED_UNKNOWN),
        duplex: match duplex {
            Some(0) => Some(Duplex::Half),
            Some(1) => Some(Duplex::Full),
            _ => None,
        },
    }
}

fn feature(image: &Image, features: &Features) -> BTreeMap<String, bool> {
    let names = image.feature_names.iter().enumerate();
    names
        .filter(|(number, _)| features.changeable.has(*number))
        .filter(|(_, name)| FEATURES.binary_search(&&***name).is_ok())
        .map(|(number, name)| (name.to_string(), features.active.has(number)))
        .collect()
}

fn pause(pause: &ethtool::Pause) -> Pause {
    let ethtool::Pause { autoneg, rx, tx } = *pause;
    Pause { rx, tx, autoneg }
}

fn ring(rings: &ethtool::Rings) -> Ring {
    let ethtool::Rings { rx, rx_mini, rx_jumbo, tx, rx_max, rx_mini_max, rx_jumbo_max, tx_max } = *rings;
    Ring { rx, rx_max, rx_jumbo, rx_jumbo_max, rx_mini, rx_mini_max, tx, tx_max }
}

fn fec(fec: &ethtool::Fec) -> Fec {
    let mode = match fec.active {
        Some(49) => Some(FecMode::Off),
        Some(50) => Some(FecMode::Rs),
        Some(51) => Some(FecMode::Baser),
        Some(74) => Some(FecMode::Llrs),
        _ => None,
    };
    Fec { auto: fec.auto, mode }
}

fn coalesce(coalesce: &ethtool::Coalesce) -> Coalesce {
    let ethtool::Coalesce {
        rx_usecs,
        rx_frames,
        rx_usecs_irq,
        rx_frames_irq,
        tx_usecs,
        tx_frames,
        tx_usecs_irq,
        tx_frames_irq,
        stats_block_usecs,
        adaptive_rx,
        adaptive_tx,
        pkt_rate_low,
        rx_usecs_low,
        rx_frames_low,
        tx_usecs_low,
        tx_frames_low,
        pkt_rate_high,
        rx_usecs_high,
        rx_frames_high,
        tx_usecs_high,
        tx_frames_high,
        sample_interval,
    } = *coalesce;
    Coalesce {
        adaptive_rx,
        adaptive_tx,
        pkt_rate_high,
        pkt_rate_low,
        rx_frames,
        rx_frames_high,
        rx_frames_irq,
        rx_frames_low,
        rx_usecs,
        rx_usecs_high,
        rx_usecs_irq,
        rx_usecs_low,
        sample_interval,
        stats_block_usecs,
        tx_frames,
        tx_frames_high,
        tx_frames_irq,
        tx_frames_low,
        tx_usecs,
        tx_usecs_high,
        tx_usecs_irq,
        tx_usecs_low,
    }
}
