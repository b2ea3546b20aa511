//! What can be wrong with a request, and where in the document.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Position;

/// The kind of an error: one closed list for the D-Bus error name, the varlink error and the
/// command line.
///
/// The first eleven are the field's known kinds; the rest belong to a daemon that queues,
/// remembers and authorises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The document or an argument is wrong.
    InvalidArgument,
    /// A backend failed while doing what it was asked.
    PluginFailure,
    /// Our own promise is broken; please report.
    Bug,
    /// After applying, the network is not as asked.
    VerificationError,
    /// Sensible, but not implemented.
    NotImplementedError,
    /// The backend, kernel or hardware cannot do this.
    NotSupportedError,
    /// The kernel rounded a bridge interval.
    KernelIntegerRoundedError,
    /// A plugin or service that is needed is missing.
    DependencyError,
    /// A capture expression or template is wrong.
    PolicyError,
    /// The caller may not do this, or the backend refused us.
    PermissionError,
    /// The interface of an SR-IOV virtual function has not appeared.
    SrIovVfNotFound,
    /// The queue or the caller's share of it is full.
    Busy,
    /// An uncommitted checkpoint is pending.
    CheckpointPending,
    /// There is no such transaction or checkpoint.
    NotFound,
    /// The request was cancelled, or its client went away having asked for that.
    Cancelled,
    /// A reachability check that held before the change does not hold after it.
    ProbeError,
    /// The daemon's own state could not be written or read.
    StorageError,
}

impl ErrorKind {
    /// Every kind, in order of declaration.
    pub const ALL: [Self; 17] = [
        Self::InvalidArgument,
        Self::PluginFailure,
        Self::Bug,
        Self::VerificationError,
        Self::NotImplementedError,
        Self::NotSupportedError,
        Self::KernelIntegerRoundedError,
        Self::DependencyError,
        Self::PolicyError,
        Self::PermissionError,
        Self::SrIovVfNotFound,
        Self::Busy,
        Self::CheckpointPending,
        Self::NotFound,
        Self::Cancelled,
        Self::ProbeError,
        Self::StorageError,
    ];

    /// The name used on every surface.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::PluginFailure => "PluginFailure",
            Self::Bug => "Bug",
            Self::VerificationError => "VerificationError",
            Self::NotImplementedError => "NotImplementedError",
            Self::NotSupportedError => "NotSupportedError",
            Self::KernelIntegerRoundedError => "KernelIntegerRoundedError",
            Self::DependencyError => "DependencyError",
            Self::PolicyError => "PolicyError",
            Self::PermissionError => "PermissionError",
            Self::SrIovVfNotFound => "SrIovVfNotFound",
            Self::Busy => "Busy",
            Self::CheckpointPending => "CheckpointPending",
            Self::NotFound => "NotFound",
            Self::Cancelled => "Cancelled",
            Self::ProbeError => "ProbeError",
            Self::StorageError => "StorageError",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A key of a mapping.
    Key(String),
    /// A zero-based position in a list.
    Index(usize),
}

/// A place in a document, printed as `interfaces[2].ipv4.address[0].ip`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The whole document.
    pub fn root() -> Self {
        Self::default()
    }

    /// `interfaces[index]`.
    pub fn interface(index: usize) -> Self {
        Self::root().key("interfaces").index(index)
    }

    /// This path and one key more.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut path = self.clone();
        path.push_key(key);
        path
    }

    /// The path to the same in what stands at `key`.
    #[must_use]
    pub fn below(mut self, key: &str) -> Self {
        self.0.insert(0, Segment::Key(key.to_owned()));
        self
    }

    /// This path and one list position more.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        let mut path = self.clone();
        path.push_index(index);
        path
    }

    /// This path and the keys of a dotted name, as `ipv4.enabled`.
    #[must_use]
    pub fn keys(&self, dotted: &str) -> Self {
        dotted.split('.').fold(self.clone(), |path, key| path.key(key))
    }

    pub fn push_key(&mut self, key: &str) {
        self.0.push(Segment::Key(key.to_owned()));
    }

    pub fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub fn pop(&mut self) {
        self.0.pop();
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if i == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that is wrong, with the place in the document where it is known.
///
/// `message` is a lower-case fragment that names the subject; it never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub kind: ErrorKind,
    pub path: Path,
    pub message: String,
    /// The name of the interface that it concerns, when it is known to concern one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What to do about it, as `did you mean \`prefix-length\`?`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Where in the client's text, when it sent text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
}

impl Problem {
    pub fn new(kind: ErrorKind, path: Path, message: impl Into<String>) -> Self {
        Self { kind, path, message: message.into(), interface: None, hint: None, at: None }
    }

    pub fn invalid(path: Path, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, path, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn at(mut self, position: Option<Position>) -> Self {
        self.at = position;
        self
    }
}

/// `path: message (hint)`; the kind is printed by whoever frames the message.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_root() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, " ({hint})")?;
        }
        Ok(())
    }
}
