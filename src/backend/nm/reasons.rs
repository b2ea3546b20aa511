//! Why NetworkManager's devices and activations are as they are, in words.

/// A device's `StateReason` (NMDeviceStateReason), where it says anything.
pub(super) fn of_device(reason: u32) -> Option<&'static str> {
    Some(match reason {
        4 => "the configuration failed",
        5 => "no IP configuration could be had",
        6 => "the IP configuration has expired",
        7 => "secrets are missing",
        8 => "the 802.1X supplicant disconnected",
        9 => "the 802.1X supplicant refused its configuration",
        10 => "the 802.1X authentication failed",
        11 => "the 802.1X authentication took too long",
        15 => "the DHCP client could not be started",
        16 => "the DHCP client met an error",
        17 => "the DHCP client failed",
        35 => "the firmware is missing",
        36 => "the device was removed",
        37 => "NetworkManager is asleep",
        38 => "the profile was removed",
        39 => "somebody disconnected it",
        40 => "the carrier changed",
        50 => "something that it depends on failed",
        54 => "a secondary connection failed",
        55 => "FCoE or DCB could not be set up",
        60 => "a new activation has replaced it",
        61 => "its parent changed",
        62 => "its parent is no longer managed, or is managed again",
        63 => "the database of Open vSwitch refused it, or is not there",
        64 => "another host has its IP address",
        65 => "the IP method is not supported",
        66 => "the virtual functions could not be configured",
        67 => "the other end of the veth or tunnel was not found",
        69 => "it is not managed by default",
        70 => "it is down and was made by somebody else",
        71 => "udev has not announced it yet",
        72 => "NetworkManager ends",
        73 => "NetworkManager is asleep",
        74 => "NetworkManager's configuration leaves it alone (`[device] managed`)",
        75 => "somebody asked NetworkManager to leave it alone",
        76 => "NetworkManager's configuration leaves it alone (`unmanaged-devices`)",
        77 => "a rule of udev makes NetworkManager leave it alone",
        _ => return None,
    })
}

/// The other end refuses the login.
pub(super) const NOT_LET_IN: &str = "the authentication failed (802.1X)";

/// Why the supplicant was not let in: a device's reason, where it is one.
pub(super) fn of_supplicant(reason: u32) -> Option<&'static str> {
    match reason {
        // After a refusal it asks for other secrets, and nobody has any.
        7 => Some(NOT_LET_IN),
        8..=11 => of_device(reason),
        _ => None,
    }
}

/// An activation's reason (NMActiveConnectionStateReason). Vaguer than the device's.
pub(super) fn of_activation(reason: u32) -> Option<&'static str> {
    Some(match reason {
        2 => "somebody disconnected it",
        3 => "the device was disconnected",
        4 => "the service of the VPN stopped",
        5 => "the IP configuration is invalid",
        6 => "connecting took too long",
        7 => "the service of the VPN took too long to start",
        8 => "the service of the VPN could not be started",
        9 => "secrets are missing",
        10 => "the login failed",
        11 => "the profile was removed",
        12 => "something that it depends on failed",
        13 => "the link could not be created",
        14 => "the device was removed",
        _ => return None,
    })
}
