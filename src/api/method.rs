//! The methods, once for both transports.

use crate::auth::Action;

/// A method of `io.nmstate.Daemon`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Show,
    Plan,
    Validate,
    Apply,
    Submit,
    Commit,
    Rollback,
    Extend,
    Cancel,
    GenerateRevert,
    GenerateDifference,
    GenerateConfiguration,
    ResolvePolicy,
    List,
    Log,
    History,
    GetStatus,
    Drift,
    Monitor,
}

impl Method {
    /// Every method, in the order of the interface file.
    pub const ALL: [Self; 19] = [
        Self::Show,
        Self::Plan,
        Self::Validate,
        Self::Apply,
        Self::Submit,
        Self::Commit,
        Self::Rollback,
        Self::Extend,
        Self::Cancel,
        Self::GenerateRevert,
        Self::GenerateDifference,
        Self::GenerateConfiguration,
        Self::ResolvePolicy,
        Self::List,
        Self::Log,
        Self::History,
        Self::GetStatus,
        Self::Drift,
        Self::Monitor,
    ];

    /// The name on both transports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Show => "Show",
            Self::Plan => "Plan",
            Self::Validate => "Validate",
            Self::Apply => "Apply",
            Self::Submit => "Submit",
            Self::Commit => "Commit",
            Self::Rollback => "Rollback",
            Self::Extend => "Extend",
            Self::Cancel => "Cancel",
            Self::GenerateRevert => "GenerateRevert",
            Self::GenerateDifference => "GenerateDifference",
            Self::GenerateConfiguration => "GenerateConfiguration",
            Self::ResolvePolicy => "ResolvePolicy",
            Self::List => "List",
            Self::Log => "Log",
            Self::History => "History",
            Self::GetStatus => "GetStatus",
            Self::Drift => "Drift",
            Self::Monitor => "Monitor",
        }
    }

    /// The method of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// What the caller must be allowed. `Show` needs more when it shows secrets.
    pub fn action(self) -> Action {
        match self {
            Self::Show
            | Self::Plan
            | Self::Validate
            | Self::GenerateRevert
            | Self::GenerateDifference
            | Self::GenerateConfiguration
            | Self::ResolvePolicy
            | Self::List
            | Self::Log
            | Self::History
            | Self::GetStatus
            | Self::Drift
            | Self::Monitor => Action::Show,
            Self::Apply | Self::Submit | Self::Cancel => Action::Apply,
            Self::Commit | Self::Rollback | Self::Extend => Action::Checkpoint,
        }
    }
}
