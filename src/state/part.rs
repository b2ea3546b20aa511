//! What the pieces of a document can do, and how they describe themselves.

use super::{Node, Reader};

/// Anything that can stand in a document: a scalar, a list, a section.
pub trait Part: Sized + Clone + PartialEq + serde::Serialize {
    /// Reads a node that is not null. Every problem goes to `reader`; None only after one.
    fn read(node: &Node, reader: &mut Reader) -> Option<Self>;

    /// What may stand here, for the JSON Schema, `explain` and hints.
    fn shape() -> Shape;

    /// Takes from `base` what `self` does not mention. Sections go key by key; scalars and lists
    /// keep what they have (semantics M1).
    fn fill_from(&mut self, _base: &Self) {}

    /// Forgets the keys that only a query may give (semantics M4).
    fn drop_read_only(&mut self) {}
}

/// A field of a section: `T` is mandatory, `Option<T>` may be left out.
pub trait Slot: Sized {
    type Inner: Part;
    const REQUIRED: bool;
    fn settle(read: Option<Self::Inner>) -> Option<Self>;
    fn inner(&self) -> Option<&Self::Inner>;
    fn fill(&mut self, base: &Self);
    fn inner_mut(&mut self) -> Option<&mut Self::Inner>;
    fn clear(&mut self);
}

impl<T: Part> Slot for T {
    type Inner = T;
    const REQUIRED: bool = true;

    fn settle(read: Option<T>) -> Option<T> {
        read
    }

    fn inner(&self) -> Option<&T> {
        Some(self)
    }

    fn fill(&mut self, base: &T) {
        self.fill_from(base);
    }

    fn inner_mut(&mut self) -> Option<&mut T> {
        Some(self)
    }

    /// A mandatory key is never read-only.
    fn clear(&mut self) {}
}

impl<T: Part> Slot for Option<T> {
    type Inner = T;
    const REQUIRED: bool = false;

    fn settle(read: Option<T>) -> Option<Option<T>> {
        Some(read)
    }

    fn inner(&self) -> Option<&T> {
        self.as_ref()
    }

    fn fill(&mut self, base: &Option<T>) {
        match (self.as_mut(), base) {
            (None, base) => self.clone_from(base),
            (Some(own), Some(base)) => own.fill_from(base),
            (Some(_), None) => {}
        }
    }

    fn inner_mut(&mut self) -> Option<&mut T> {
        self.as_mut()
    }

    fn clear(&mut self) {
        *self = None;
    }
}

/// Who may give a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    ReadWrite,
    /// A query shows it; in a desired document it is dropped.
    ReadOnly,
    /// It directs an apply; a query never shows it.
    WriteOnly,
}

/// What may stand at a place of the document.
pub enum Shape {
    Bool,
    Integer {
        min: i128,
        max: i128,
    },
    Text,
    /// An IPv4 or IPv6 address without prefix.
    Address,
    Ipv6Address,
    /// A network or host in CIDR form.
    Net,
    Mac,
    PciAddress,
    Secret,
    /// A null that means something; elsewhere it means "not mentioned".
    Null,
    /// One of these words; aliases that are accepted but never printed come second.
    Words {
        words: &'static [&'static str],
        /// What each word means; empty where they speak for themselves.
        docs: &'static [&'static str],
        aliases: &'static [&'static str],
        open: bool,
    },
    List(Box<Shape>),
    /// A mapping with free keys.
    Table(Box<Shape>),
    Section(&'static SectionInfo),
    /// One of several forms.
    Either(Vec<Shape>),
    Anything,
}

/// A declared section.
pub struct SectionInfo {
    pub name: &'static str,
    pub doc: &'static str,
    pub fields: &'static [FieldInfo],
}

/// A declared key of a section.
pub struct FieldInfo {
    pub key: &'static str,
    pub aliases: &'static [&'static str],
    pub doc: &'static str,
    pub mode: Mode,
    pub required: bool,
    pub shape: fn() -> Shape,
}

impl Shape {
    /// The sections that may stand here, lists opened.
    pub fn sections(&self) -> Vec<&'static SectionInfo> {
        match self {
            Self::Section(info) => vec![*info],
            Self::List(item) => item.sections(),
            Self::Either(forms) => forms.iter().flat_map(Self::sections).collect(),
            _ => Vec::new(),
        }
    }
}

impl SectionInfo {
    /// The documentation as one line of text.
    pub fn text(&self) -> String {
        one_line(self.doc)
    }
}

/// The lines of a doc comment joined.
pub(super) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl FieldInfo {
    /// The documentation as one line of text.
    pub fn text(&self) -> String {
        one_line(self.doc)
    }

    /// Every accepted spelling of the key, the canonical one first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.key).chain(self.aliases.iter().copied())
    }
}
