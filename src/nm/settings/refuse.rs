//! What NetworkManager, or this version of it, cannot do: refused while planning, with the key.
//!
//! Versions are those of nm-settings-dbus(5), "since". A profile with a setting or property that
//! NetworkManager does not know is refused as a whole, so nothing of this may get into one.

use crate::nm::image::Version;
use crate::nm::{Profile, Value};
use crate::state::{
    BondOptions, ErrorKind, HsrProtocol, Interface, InterfaceType, MacsecOffload, Path, Problem,
};

/// Types that exist since a version 1.x.
const TYPES: [(InterfaceType, u16); 3] =
    [(InterfaceType::Loopback, 42), (InterfaceType::Hsr, 46), (InterfaceType::Ipvlan, 52)];

/// Properties that exist since a version 1.x.
const PROPERTIES: [(&str, &str, u16); 6] = [
    ("bond-port", "prio", 44),
    ("ethtool", "fec-mode", 52),
    ("hsr", "interlink", 56),
    ("hsr", "protocol-version", 56),
    ("macsec", "offload", 46),
    ("ovs-dpdk", "lsc-interrupt", 54),
];

/// Options of bonds that exist since a version 1.x.
const BOND_OPTIONS: [(&str, u16); 3] = [("arp_missed_max", 44), ("lacp_active", 44), ("ns_ip6_target", 44)];

/// `bond-port.prio` was brought to 1.42, too.
fn knows(version: &Version, property: &str, since: u16) -> bool {
    let is_backported = property == "prio" && (version.major, version.minor) == (1, 42) && version.micro >= 8;
    version.at_least(1, since) || is_backported
}

/// Takes out what this NetworkManager does not know. Where that changes what is asked for, it has
/// been refused.
pub(super) fn drop_unknown(profile: &mut Profile, version: &Version) {
    for (setting, property, since) in PROPERTIES {
        if !knows(version, property, since) {
            super::way::remove(profile, setting, &[property]);
        }
    }
    if let Some(Value::Map(options)) = profile.0.get_mut("bond").and_then(|bond| bond.get_mut("options")) {
        options.retain(|name, _| {
            BOND_OPTIONS.iter().all(|(option, since)| option != name || knows(version, option, *since))
        });
    }
}

/// With the key, relative to the interface. `interface` is what is asked for.
pub(super) fn refusals(interface: &Interface, version: &Version) -> Vec<Problem> {
    let kind = interface.kind();
    let mut refused = Refused { version, list: Vec::new() };
    if !super::connection::is_written(kind) {
        refused.never("type", format!("NetworkManager has no profiles for interfaces of type `{kind}`"));
        return refused.list;
    }
    for (_, since) in TYPES.iter().filter(|(known, _)| known == kind) {
        refused.until(*since, "type", &format!("interfaces of type `{kind}`"));
    }
    link(interface, &mut refused);
    if interface.dpdk.as_ref().is_some_and(|dpdk| dpdk.lsc_interrupt.is_some()) {
        refused.until(54, "dpdk.lsc-interrupt", "link changes by interrupt");
    }
    if interface.ethtool.as_ref().is_some_and(|ethtool| ethtool.fec.is_some()) {
        refused.until(52, "ethtool.fec", "modes of error correction");
    }
    let bond = interface.bond.as_deref();
    if let Some(options) = bond.and_then(|bond| bond.options.as_ref()) {
        bond_options(options, &mut refused);
    }
    let ports = bond.and_then(|bond| bond.ports_config.as_deref()).unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        if port.priority.is_some_and(|priority| priority != 0) && !knows(version, "prio", 44) {
            let path = Path::root().key("link-aggregation").key("ports-config").index(index).key("priority");
            refused.push(path, needs("priorities of a bond's ports", 44, version));
        }
    }
    refused.list
}

struct Refused<'a> {
    version: &'a Version,
    list: Vec<Problem>,
}

impl Refused<'_> {
    fn never(&mut self, key: &str, because: impl Into<String>) {
        self.push(Path::root().keys(key), because);
    }

    fn push(&mut self, path: Path, because: impl Into<String>) {
        self.list.push(Problem::new(ErrorKind::NotSupportedError, path, because));
    }

    /// What comes with version 1.`since`.
    fn until(&mut self, since: u16, key: &str, what: &str) {
        if !self.version.at_least(1, since) {
            self.never(key, needs(what, since, self.version));
        }
    }
}

/// Which version can.
fn needs(what: &str, since: u16, version: &Version) -> String {
    let Version { major, minor, micro, .. } = version;
    format!("{what} need NetworkManager 1.{since} or later; this is {major}.{minor}.{micro}")
}

fn link(interface: &Interface, refused: &mut Refused<'_>) {
    if interface.mtu.is_some_and(|mtu| u32::try_from(mtu).is_err()) {
        refused.never("mtu", "NetworkManager holds no larger MTU than 4294967295");
    }
    if let Some(tunnel) = &interface.ip_tunnel {
        if tunnel.fwmark.is_some_and(|mark| mark != 0) {
            refused.never("ip-tunnel.fwmark", "NetworkManager marks packets of VTI tunnels only");
        }
        if tunnel.pmtu_disc == Some(false) && tunnel.ttl.is_some_and(|ttl| ttl != 0) {
            refused.never("ip-tunnel.ttl", "a fixed TTL needs path MTU discovery (`pmtu-disc`)");
        }
    }
    if let Some(macsec) = &interface.macsec {
        if macsec.mka_ckn.is_none() {
            refused.never("macsec", "NetworkManager makes no MACsec without `mka-cak` and `mka-ckn`");
        }
        if macsec.offload.is_some_and(|offload| offload != MacsecOffload::Off) {
            refused.until(46, "macsec.offload", "MACsec computed by hardware");
        }
    }
    if let Some(hsr) = &interface.hsr {
        if hsr.interlink.is_some() {
            refused.until(56, "hsr.interlink", "links to another ring");
        }
        if hsr.protocol == HsrProtocol::Hsr2012 {
            refused.until(56, "hsr.protocol", "rings of protocol `hsr-2012`");
        }
    }
}

fn bond_options(options: &BondOptions, refused: &mut Refused<'_>) {
    // What the kernel does by itself needs no option.
    let is_asked = |option: &str| match option {
        "arp_missed_max" => options.arp_missed_max.is_some_and(|count| count != 2),
        "lacp_active" => options.lacp_active == Some(false),
        _ => options.ns_ip6_target.as_ref().is_some_and(|targets| !targets.is_empty()),
    };
    for (option, since) in BOND_OPTIONS.into_iter().filter(|(option, _)| is_asked(option)) {
        refused.until(since, &format!("link-aggregation.options.{option}"), "bonds with this option");
    }
}
