//! `ethtool` (nm-settings-dbus(5)): the properties are a group's name, a hyphen, and the key.

use super::Wish;
use super::way::{self, Bool, BoolAsU32, Numbered, U32, Way};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Coalesce, Ethtool, FEATURE_ALIASES, FEATURES, Fec, FecMode, Interface, Pause, Ring};

const ETHTOOL: &str = "ethtool";

/// Features that NetworkManager does not know by the kernel's name.
const NAMES: [(&str, &str); 10] = [
    ("rx-checksum", "rx"),
    ("tx-scatter-gather", "sg"),
    ("tx-tcp-segmentation", "tso"),
    ("rx-gro", "gro"),
    ("tx-generic-segmentation", "gso"),
    ("rx-hashing", "rxhash"),
    ("rx-lro", "lro"),
    ("rx-ntuple-filter", "ntuple"),
    ("rx-vlan-hw-parse", "rxvlan"),
    ("tx-vlan-hw-insert", "txvlan"),
];

const FEATURE_PREFIX: &str = "feature-";

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let Some(said) = wish.said.ethtool.as_deref() else { return };
    let whole = wish.interface.ethtool.as_deref();
    let said = said.clone();
    way::write(profile, ETHTOOL, |setting| {
        if let Some(features) = &said.feature {
            setting.retain(|property, _| !property.starts_with(FEATURE_PREFIX));
            setting.extend(features.iter().filter_map(|(name, on)| Some((property(name)?, (*on).into()))));
        }
        if let Some(pause) = said.pause {
            let whole = whole.and_then(|whole| whole.pause.as_ref());
            write_pause(setting, pause, whole.and_then(|whole| whole.autoneg));
        }
        if let Some(mut group) = said.coalesce {
            coalesce(Way::Replace(setting), &mut group);
        }
        if let Some(mut group) = said.ring {
            ring(Way::Replace(setting), &mut group);
        }
        if let Some(group) = said.fec {
            fec(Way::Overlay(setting), &mut fec_bit(&group));
        }
    });
}

/// The property of a feature, whichever of its names the document uses. One that NetworkManager
/// does not know would make it refuse the profile: the kernel has to have it already.
fn property(feature: &str) -> Option<String> {
    let alias = FEATURE_ALIASES.iter().find(|(alias, _)| *alias == feature);
    let kernel = alias.map_or(feature, |(_, kernel)| kernel);
    let own = NAMES.iter().find(|(known, _)| *known == kernel).map_or(kernel, |(_, own)| own);
    FEATURES.binary_search(&kernel).is_ok().then(|| format!("{FEATURE_PREFIX}{own}"))
}

/// The kernel's name of a feature.
fn feature(property: &str) -> Option<String> {
    let own = property.strip_prefix(FEATURE_PREFIX)?;
    Some(NAMES.iter().find(|(_, known)| *known == own).map_or(own, |(kernel, _)| kernel).to_owned())
}

/// Directions can be given only where they are not negotiated.
fn write_pause(setting: &mut Setting, mut group: Pause, autoneg: Option<bool>) {
    if group.autoneg.or(autoneg) == Some(true) {
        (group.rx, group.tx) = (None, None);
        pause(Way::Replace(setting), &mut group);
    } else {
        if group.rx.is_some() || group.tx.is_some() {
            group.autoneg = Some(false);
        }
        pause(Way::Overlay(setting), &mut group);
    }
}

fn pause(mut way: Way<'_>, group: &mut Pause) {
    way.field("pause-autoneg", Bool, &mut group.autoneg);
    way.field("pause-rx", Bool, &mut group.rx);
    way.field("pause-tx", Bool, &mut group.tx);
}

fn coalesce(mut way: Way<'_>, group: &mut Coalesce) {
    way.field("coalesce-adaptive-rx", BoolAsU32, &mut group.adaptive_rx);
    way.field("coalesce-adaptive-tx", BoolAsU32, &mut group.adaptive_tx);
    way.field("coalesce-pkt-rate-high", U32, &mut group.pkt_rate_high);
    way.field("coalesce-pkt-rate-low", U32, &mut group.pkt_rate_low);
    way.field("coalesce-rx-frames", U32, &mut group.rx_frames);
    way.field("coalesce-rx-frames-high", U32, &mut group.rx_frames_high);
    way.field("coalesce-rx-frames-irq", U32, &mut group.rx_frames_irq);
    way.field("coalesce-rx-frames-low", U32, &mut group.rx_frames_low);
    way.field("coalesce-rx-usecs", U32, &mut group.rx_usecs);
    way.field("coalesce-rx-usecs-high", U32, &mut group.rx_usecs_high);
    way.field("coalesce-rx-usecs-irq", U32, &mut group.rx_usecs_irq);
    way.field("coalesce-rx-usecs-low", U32, &mut group.rx_usecs_low);
    way.field("coalesce-sample-interval", U32, &mut group.sample_interval);
    way.field("coalesce-stats-block-usecs", U32, &mut group.stats_block_usecs);
    way.field("coalesce-tx-frames", U32, &mut group.tx_frames);
    way.field("coalesce-tx-frames-high", U32, &mut group.tx_frames_high);
    way.field("coalesce-tx-frames-irq", U32, &mut group.tx_frames_irq);
    way.field("coalesce-tx-frames-low", U32, &mut group.tx_frames_low);
    way.field("coalesce-tx-usecs", U32, &mut group.tx_usecs);
    way.field("coalesce-tx-usecs-high", U32, &mut group.tx_usecs_high);
    way.field("coalesce-tx-usecs-irq", U32, &mut group.tx_usecs_irq);
    way.field("coalesce-tx-usecs-low", U32, &mut group.tx_usecs_low);
}

fn ring(mut way: Way<'_>, group: &mut Ring) {
    way.field("ring-rx", U32, &mut group.rx);
    way.field("ring-rx-jumbo", U32, &mut group.rx_jumbo);
    way.field("ring-rx-mini", U32, &mut group.rx_mini);
    way.field("ring-tx", U32, &mut group.tx);
}

/// What `fec-mode` says: NM_SETTING_ETHTOOL_FEC_MODE_*.
#[derive(Clone, Copy, PartialEq)]
enum FecChoice {
    Auto,
    Mode(FecMode),
}

const FEC_BITS: &[(FecChoice, u32)] = &[
    (FecChoice::Auto, 2),
    (FecChoice::Mode(FecMode::Off), 4),
    (FecChoice::Mode(FecMode::Rs), 8),
    (FecChoice::Mode(FecMode::Baser), 16),
    (FecChoice::Mode(FecMode::Llrs), 32),
];

fn fec_bit(group: &Fec) -> Option<FecChoice> {
    match (group.auto, group.mode) {
        (Some(true), _) => Some(FecChoice::Auto),
        (_, Some(mode)) => Some(FecChoice::Mode(mode)),
        (Some(false), None) => Some(FecChoice::Mode(FecMode::Off)),
        (None, None) => None,
    }
}

fn fec(mut way: Way<'_>, choice: &mut Option<FecChoice>) {
    way.field("fec-mode", Numbered(FEC_BITS), choice);
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    let Some(setting) = profile.0.get(ETHTOOL) else { return };
    let has = |prefix: &str| setting.keys().any(|property| property.starts_with(prefix));
    let features = setting.iter().filter_map(|(name, value)| Some((feature(name)?, Value::as_bool(value)?)));
    let mut choice = None;
    fec(Way::Read(setting), &mut choice);
    let mut group = Ethtool {
        pause: has("pause-").then(super::nothing),
        feature: has(FEATURE_PREFIX).then(|| features.collect()),
        coalesce: has("coalesce-").then(super::nothing),
        ring: has("ring-").then(super::nothing),
        fec: choice.map(|choice| match choice {
            FecChoice::Auto => Fec { auto: Some(true), mode: None },
            FecChoice::Mode(mode) => Fec { auto: Some(false), mode: Some(mode) },
        }),
    };
    if let Some(group) = &mut group.pause {
        pause(Way::Read(setting), group);
    }
    if let Some(group) = &mut group.coalesce {
        coalesce(Way::Read(setting), group);
    }
    if let Some(group) = &mut group.ring {
        ring(Way::Read(setting), group);
    }
    interface.ethtool = (group != super::nothing()).then(|| Box::new(group));
}
