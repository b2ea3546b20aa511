//! What NetworkManager, or this version of it, cannot do: refused while planning, with the key.
//!
//! Versions are those of nm-settings-dbus(5), "since". A profile with a setting or property that
//! NetworkManager does not know is refused as a whole, so nothing of this may get into one.

use crate::nm::image::Version;
use crate::state::{Interface, InterfaceType, Path};

/// Types that exist since a version.
const TYPES_SINCE: [(InterfaceType, u16); 3] =
    [(InterfaceType::Loopback, 42), (InterfaceType::Hsr, 46), (InterfaceType::Ipvlan, 52)];

pub(super) fn refusals(interface: &Interface, version: &Version) -> Vec<(Path, String)> {
    let mut refused = Vec::new();
    let mut refuse = |key: &str, because: String| refused.push((Path::root().keys(key), because));
    let kind = interface.kind();
    if !super::connection::is_written(kind) {
        refuse("type", format!("NetworkManager has no profiles for interfaces of type `{kind}`"));
        return refused;
    }
    for (known, since) in TYPES_SINCE {
        if known == *kind && !version.at_least(1, since) {
            refuse("type", needs(&format!("interfaces of type `{kind}`"), since, version));
        }
    }
    refused.extend(super::ip::refusals(interface));
    refused
}

/// Which version can.
fn needs(what: &str, since: u16, version: &Version) -> String {
    let Version { major, minor, micro, .. } = version;
    format!("{what} need NetworkManager 1.{since} or later; this is {major}.{minor}.{micro}")
}
