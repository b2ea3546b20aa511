//! What may be allowed separately.

/// An action of polkit. `polkit/io.nmstate.daemon.policy` declares each with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See the network, the transactions and what a document would change.
    Show,
    /// See passwords and keys in clear.
    ShowSecrets,
    /// Change the network.
    Apply,
    /// Commit, roll back or extend what awaits commit.
    Checkpoint,
    /// Change the daemon itself.
    Configure,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 5] =
        [Self::Show, Self::ShowSecrets, Self::Apply, Self::Checkpoint, Self::Configure];

    /// The name that polkit knows.
    pub fn id(self) -> &'static str {
        match self {
            Self::Show => "io.nmstate.daemon.show",
            Self::ShowSecrets => "io.nmstate.daemon.show-secrets",
            Self::Apply => "io.nmstate.daemon.apply",
            Self::Checkpoint => "io.nmstate.daemon.checkpoint",
            Self::Configure => "io.nmstate.daemon.configure",
        }
    }
}
