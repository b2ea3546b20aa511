//! What a document is to another program.

use serde::{Deserialize, Serialize};

/// Whose configuration is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    #[default]
    NetworkManager,
    /// netplan, for systemd-networkd to carry out.
    NetplanNetworkd,
    /// netplan, for NetworkManager to carry out.
    NetplanNetworkManager,
}

impl Program {
    pub const ALL: [Self; 3] = [Self::NetworkManager, Self::NetplanNetworkd, Self::NetplanNetworkManager];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetworkManager => "NetworkManager",
            Self::NetplanNetworkd => "netplan-networkd",
            Self::NetplanNetworkManager => "netplan-NetworkManager",
        }
    }

    /// The program of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|program| program.name() == name)
    }
}

/// A file, by its name in the folder where the program looks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    pub name: String,
    pub content: String,
}

/// The files of another program that say what a document says, and what of it they leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationInfo {
    pub files: Vec<FileInfo>,
    pub warnings: Vec<String>,
}
