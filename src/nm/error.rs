//! What NetworkManager, or the bus in its place, answers when it refuses.

use std::fmt;

use super::is_secret;
use crate::state::ErrorKind;

/// Where NetworkManager's own errors begin.
const OWN: &str = "org.freedesktop.NetworkManager.";
/// Where the bus's errors begin (D-Bus specification, "Message Bus Messages").
const BUS: &str = "org.freedesktop.DBus.Error.";

/// A refusal, or no answer: the D-Bus name of the error and what it says. Free of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    name: String,
    message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.message.is_empty() { self.short() } else { &self.message })
    }
}

impl std::error::Error for Error {}

impl Error {
    /// As it came in an error reply.
    pub fn new(name: &str, message: &str) -> Self {
        let error = Self { name: name.to_owned(), message: message.to_owned() };
        match error.property().filter(|(setting, property)| is_secret(setting, property)) {
            Some((setting, property)) => {
                let message = format!("{setting}.{property}: NetworkManager refuses this value");
                Self { message, ..error }
            }
            None => error,
        }
    }

    /// There is no NetworkManager on the bus.
    pub fn absent() -> Self {
        Self::new(&format!("{BUS}ServiceUnknown"), "NetworkManager is not running")
    }

    /// The process that was asked is not there any more, or its answer does not come.
    pub(super) fn no_reply(message: &str) -> Self {
        Self::new(&format!("{BUS}NoReply"), message)
    }

    /// The bus itself is gone.
    pub(super) fn disconnected(message: &str) -> Self {
        Self::new(&format!("{BUS}Disconnected"), message)
    }

    /// We refuse to ask that.
    pub(super) fn invalid(message: &str) -> Self {
        Self::new(&format!("{BUS}InvalidArgs"), message)
    }

    /// An answer that does not have the form it should have.
    pub(super) fn garbled(message: &str) -> Self {
        Self::new(&format!("{BUS}InconsistentMessage"), message)
    }

    /// More at a time than can be.
    pub(super) fn too_much(message: &str) -> Self {
        Self::new(&format!("{BUS}LimitsExceeded"), message)
    }

    /// The D-Bus name, `org.freedesktop.NetworkManager.UnknownDevice`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// The name without what all of NetworkManager's have in common: `Settings.UuidExists`.
    fn short(&self) -> &str {
        self.name.strip_prefix(OWN).unwrap_or(&self.name)
    }

    fn is_of_bus(&self, names: &[&str]) -> bool {
        self.name.strip_prefix(BUS).is_some_and(|name| names.contains(&name))
    }

    /// The setting and property that a refusal of a profile is about.
    pub fn property(&self) -> Option<(&str, &str)> {
        if !self.short().starts_with("Settings.Connection.") {
            return None;
        }
        let (place, _) = self.message.split_once(": ")?;
        let is_name = |name: &str| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        place.split_once('.').filter(|(setting, property)| is_name(setting) && is_name(property))
    }

    /// What it is in our terms.
    pub fn kind(&self) -> ErrorKind {
        match self.short() {
            // The host's own configuration of DNS has precedence over what is set on the bus.
            "PermissionDenied" if self.message.contains("configuration file") => ErrorKind::InvalidArgument,
            "PermissionDenied" | "Settings.PermissionDenied" => ErrorKind::PermissionError,
            "Settings.Connection.InvalidSetting" | "MissingPlugin" => ErrorKind::DependencyError,
            "Failed" if self.message.contains("plugin for '") => ErrorKind::DependencyError,
            "Settings.Connection.InvalidProperty" if self.is_unknown_property() => ErrorKind::DependencyError,
            "Device.CreationFailed" if self.is_unknown_to_the_kernel() => ErrorKind::DependencyError,
            "Settings.InvalidHostname" => ErrorKind::InvalidArgument,
            name if name.starts_with("Settings.Connection.") => ErrorKind::InvalidArgument,
            _ if self.is_of_bus(&["AccessDenied"]) => ErrorKind::PermissionError,
            _ if self.is_of_bus(&["InvalidArgs"]) => ErrorKind::Bug,
            _ => ErrorKind::PluginFailure,
        }
    }

    /// The object that was asked is not there any more: normal between a list and a reading.
    pub fn is_gone(&self) -> bool {
        // The latter where it went while NetworkManager asked whether the caller may.
        self.is_of_bus(&["UnknownMethod", "UnknownObject", "UnknownInterface"])
            || self.message.ends_with("connection was deleted")
    }

    /// NetworkManager did not hear from the bus in time who is asking, as on a machine with far too much to do.
    pub fn is_caller_unknown(&self) -> bool {
        self.name.ends_with(".PermissionDenied") && self.message.starts_with("Unable to determine")
    }

    /// Nobody answers: it is not running, was restarted or hangs, or the bus is gone.
    pub fn is_absent_service(&self) -> bool {
        let names = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Timeout", "TimedOut"];
        self.is_of_bus(&names)
    }

    /// There is nothing to deactivate, reapply or read.
    pub fn is_not_active(&self) -> bool {
        matches!(self.short(), "ConnectionNotActive" | "Device.NotActive")
    }

    /// NetworkManager leaves the device alone: by configuration, or as long as udev has not announced it.
    /// [`super::image::Device::reason`] says which.
    pub fn is_unmanaged(&self) -> bool {
        let text = &self.message;
        match self.short() {
            "UnknownConnection" => text.contains("unmanaged"),
            "DependencyFailed" => text.contains("device is unmanaged"),
            _ => false,
        }
    }

    /// It cannot be changed while it is active; activate it anew.
    pub fn is_reapply_refused(&self) -> bool {
        self.short() == "Device.IncompatibleConnection"
    }

    /// Somebody changed it between our reading and our writing.
    pub fn is_version_mismatch(&self) -> bool {
        matches!(self.short(), "Settings.VersionIdMismatch" | "Device.VersionIdMismatch")
    }

    /// There is a profile of that UUID by now.
    pub fn is_uuid_taken(&self) -> bool {
        self.short() == "Settings.UuidExists"
    }

    /// A parent, controller or device that is not there yet.
    pub fn is_dependency(&self) -> bool {
        matches!(self.short(), "DependencyFailed" | "UnknownDevice" | "UnknownConnection")
            && !self.is_unmanaged()
    }

    /// Hardware or a placeholder, which cannot be deleted.
    pub fn is_not_software(&self) -> bool {
        self.short() == "Device.NotSoftware"
    }

    /// A checkpoint with that path is not there, or another one holds the devices.
    pub fn is_invalid_arguments(&self) -> bool {
        matches!(self.short(), "InvalidArguments" | "Settings.InvalidArguments")
    }

    fn is_unknown_property(&self) -> bool {
        self.message.ends_with("unknown property")
    }

    fn is_unknown_to_the_kernel(&self) -> bool {
        let texts = ["Operation not supported", "not supported", "Unknown link type"];
        texts.iter().any(|text| self.message.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, message: &str) -> Error {
        Error::new(&format!("{OWN}{name}"), message)
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use ErrorKind::*;
        for (name, message, kind) in [
            ("PermissionDenied", "Not authorized to control networking.", PermissionError),
            ("Settings.PermissionDenied", "Insufficient privileges", PermissionError),
            (
                "PermissionDenied",
                "Global DNS configuration already set via configuration file",
                InvalidArgument,
            ),
            ("Settings.Connection.InvalidProperty", "ipv4.forwarding: unknown property", DependencyError),
            ("Settings.Connection.InvalidProperty", "ipv4.method: 'x' is not valid", InvalidArgument),
            ("Settings.Connection.InvalidSetting", "hsr: unknown setting name", DependencyError),
            ("Settings.Connection.MissingProperty", "vlan.parent: property is missing", InvalidArgument),
            ("MissingPlugin", "", DependencyError),
            ("Failed", "NetworkManager plugin for 'ovs-bridge' unavailable", DependencyError),
            ("Failed", "", PluginFailure),
            ("Settings.InvalidHostname", "The hostname was too long", InvalidArgument),
            ("Settings.UuidExists", "", PluginFailure),
            ("UnknownDevice", "Failed to find a compatible device", PluginFailure),
            ("Device.CreationFailed", "... (Operation not supported)", DependencyError),
            ("Device.CreationFailed", "... (File exists)", PluginFailure),
        ] {
            assert_eq!(own(name, message).kind(), kind, "{name}: {message}");
        }
        assert_eq!(Error::absent().kind(), PluginFailure);
        assert_eq!(Error::new("org.freedesktop.DBus.Error.AccessDenied", "").kind(), PermissionError);
        assert_eq!(Error::new("com.example.Strange", "").kind(), PluginFailure);
    }

    #[test]
    fn what_a_refusal_means_can_be_asked() {
        assert!(Error::new("org.freedesktop.DBus.Error.UnknownMethod", "No such object").is_gone());
        assert!(Error::absent().is_absent_service());
        assert!(Error::no_reply("").is_absent_service());
        assert!(own("Device.NotActive", "").is_not_active());
        assert!(own("ConnectionNotActive", "").is_not_active());
        assert!(own("Device.IncompatibleConnection", "Can't reapply ...").is_reapply_refused());
        assert!(own("Settings.VersionIdMismatch", "").is_version_mismatch());
        let strict = own(
            "UnknownConnection",
            "Connection 'v' is not available on device v: device is strictly unmanaged",
        );
        assert!(strict.is_unmanaged() && !strict.is_dependency());
        let parent = own("UnknownConnection", "failed to create parent: ...");
        assert!(parent.is_dependency() && !parent.is_unmanaged());
        assert!(!own("Failed", "").is_gone());
    }

    #[test]
    fn a_refused_property_is_named() {
        let error = own("Settings.Connection.InvalidProperty", "ipv4.method: 'x' is not valid");
        assert_eq!(error.property(), Some(("ipv4", "method")));
        assert_eq!(own("Settings.Connection.Failed", "It does not work: at all.").property(), None);
        assert_eq!(own("UnknownDevice", "ipv4.method: 'x'").property(), None);
    }

    #[test]
    fn a_secret_that_is_refused_is_not_repeated() {
        let name = "Settings.Connection.InvalidProperty";
        for message in ["802-1x.password: 'hunter2' is not valid", "macsec.mka-cak: hunter2 is too short"] {
            let error = own(name, message);
            assert!(!format!("{error} {error:?}").contains("hunter2"));
            assert!(error.property().is_some());
        }
    }

    #[test]
    fn an_error_without_words_is_its_name() {
        assert_eq!(own("Settings.UuidExists", "").to_string(), "Settings.UuidExists");
    }
}
