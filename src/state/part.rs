//! How the pieces of a document are declared, read, completed and described.

use super::{ErrorKind, Node, Path, Problem, Value};
use crate::state::InterfaceType;

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

impl SectionInfo {
    /// The documentation as one line of text.
    pub fn text(&self) -> String {
        one_line(self.doc)
    }
}

/// The lines of a doc comment joined.
fn one_line(doc: &str) -> String {
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

/// Most problems worth reporting for one document; more only bury the first ones.
pub const PROBLEMS_MAX: usize = 100;

/// Collects problems while a tree is read, and knows where it is.
#[derive(Default)]
pub struct Reader {
    path: Path,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// The type of the interface being read: it decides which `bridge` is meant.
    pub(super) interface_type: Option<InterfaceType>,
}

impl Reader {
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that starts below the root, for a part read on its own.
    pub fn starting_at(path: Path) -> Self {
        Self { path, ..Self::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All problems and all warnings found.
    pub fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        (self.problems, self.warnings)
    }

    pub fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    pub fn problem(&mut self, node: &Node, message: impl Into<String>) {
        let problem = Problem::invalid(self.path.clone(), message).at(node.at);
        self.report(problem);
    }

    pub fn report(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    pub fn warn(&mut self, node: &Node, message: impl Into<String>) {
        if self.warnings.len() < PROBLEMS_MAX {
            let warning = Problem::invalid(self.path.clone(), message).at(node.at);
            self.warnings.push(warning);
        }
    }

    /// `expected ..., found ...` at a node.
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.problem(node, format!("expected {what}, found {}", node.describe()));
        None
    }

    /// Runs `read` one key deeper.
    pub fn at_key<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_key(key);
        let out = read(self);
        self.path.pop();
        out
    }

    /// Runs `read` one list position deeper.
    pub fn at_index<T>(&mut self, index: usize, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push_index(index);
        let out = read(self);
        self.path.pop();
        out
    }

    /// Reads one field of a section. A null counts as not mentioned.
    pub fn field<T: Part>(
        &mut self,
        entry: &super::Entry,
        canonical: &str,
        slot: &mut Option<T>,
        seen: &mut bool,
    ) {
        self.at_key(&entry.key, |reader| {
            if std::mem::replace(seen, true) {
                let also =
                    if entry.key == canonical { String::new() } else { format!(" (it means `{canonical}`)") };
                let problem =
                    Problem::invalid(reader.path.clone(), format!("duplicate key `{}`{also}", entry.key))
                        .at(entry.at);
                reader.report(problem);
            } else if !entry.value.is_null() {
                *slot = T::read(&entry.value, reader);
            }
        });
    }

    /// Reports a key that the section does not have, or does not have at this `place`; with a hint
    /// where a wanted one is near.
    pub fn unknown_key(
        &mut self,
        entry: &super::Entry,
        fields: &[FieldInfo],
        wanted: impl Fn(&str) -> bool,
        place: &str,
    ) {
        let has = |field: &&FieldInfo| field.names().any(|name| name == entry.key);
        let problem = if fields.iter().any(|field| has(&field)) {
            let message = format!("key `{}` does not belong to {place}", entry.key);
            Problem::invalid(self.path.key(&entry.key), message)
        } else {
            let names = fields.iter().filter(|field| wanted(field.key)).flat_map(FieldInfo::names);
            let near = nearest(&entry.key, names);
            let mut problem =
                Problem::invalid(self.path.key(&entry.key), format!("unknown key `{}`", entry.key));
            problem.hint = near.map(|name| format!("did you mean `{name}`?"));
            problem
        };
        self.report(problem.at(entry.at));
    }

    /// Reports a mandatory key that is missing. A key that was there but wrong has its own report.
    pub fn missing_key(&mut self, node: &Node, key: &str) {
        let problem =
            Problem::new(ErrorKind::InvalidArgument, self.path.clone(), format!("missing key `{key}`"));
        self.report(problem.at(node.at));
    }

    /// Reports a word that is not in the list, with the nearest one as hint.
    pub fn not_a_word<T>(&mut self, node: &Node, text: Option<&str>, words: &[&'static str]) -> Option<T> {
        let list = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        let message = format!("expected one of {list}, found {}", node.describe());
        let mut problem = Problem::invalid(self.path.clone(), message).at(node.at);
        problem.hint = text
            .and_then(|text| nearest(text, words.iter().copied()))
            .map(|word| format!("did you mean `{word}`?"));
        self.report(problem);
        None
    }

    /// The entries of a mapping.
    pub fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [super::Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            _ => self.expected(node, "a mapping"),
        }
    }
}

/// The candidate closest to `word`, if it is close enough to be a slip of the keyboard:
/// equal but for case and separators, or at most a third of its letters away.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    let wanted = plain(word);
    candidates
        .map(|candidate| (distance(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().min(word.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance; long words are not compared (a key has at most 40 letters).
fn distance(a: &str, b: &str) -> usize {
    const LETTERS_MAX: usize = 40;
    let b: Vec<char> = b.chars().collect();
    if a.chars().count() > LETTERS_MAX || b.len() > LETTERS_MAX {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let substitution = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitution.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Declares a section: its type, and from the same lines how it is read, printed, completed
/// and described.
///
/// ```text
/// section! {
///     /// Doc of the section.
///     pub struct Address {
///         /// Doc of the key.
///         "prefix-length" => prefix_length: u8,                      // mandatory
///         "valid-life-time" | "valid-left" => valid: Option<String> [ReadOnly],
///     }
/// }
/// ```
macro_rules! section {
    ($(#[doc = $doc:literal])* pub struct $name:ident { $($body:tt)* }) => {
        fields! { $(#[doc = $doc])* pub struct $name { $($body)* } }

        impl $crate::state::Part for $name {
            fn read(node: &$crate::state::Node, reader: &mut $crate::state::Reader) -> Option<Self> {
                Self::read_fields(node, reader, |_| true, "here")
            }

            fn shape() -> $crate::state::Shape {
                $crate::state::Shape::Section(&Self::INFO)
            }

            fn fill_from(&mut self, base: &Self) {
                self.fill_fields(base);
            }

            fn drop_read_only(&mut self) {
                self.drop_read_only_fields();
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(None)?;
                self.print_fields(&mut map, |_| true)?;
                map.end()
            }
        }
    };
}

/// The part of [`section!`] that does not decide how the section is read and printed as a whole.
macro_rules! fields {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $key:literal $(| $alias:literal)* => $field:ident : $ty:ty $([$mode:ident])?,
            )*
            $( @ $(#[doc = $extra_doc:literal])* $extra:ident : $extra_ty:ty, )?
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $field_doc])* pub $field: $ty, )*
            $( $(#[doc = $extra_doc])* pub $extra: $extra_ty, )?
        }

        impl $name {
            /// The declaration of this section.
            pub const INFO: $crate::state::SectionInfo = $crate::state::SectionInfo {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),*),
                fields: &[$(
                    $crate::state::FieldInfo {
                        key: $key,
                        aliases: &[$($alias),*],
                        doc: concat!($($field_doc, "\n"),*),
                        mode: mode!($($mode)?),
                        required: <$ty as $crate::state::Slot>::REQUIRED,
                        shape: <<$ty as $crate::state::Slot>::Inner as $crate::state::Part>::shape,
                    },
                )*],
            };

            /// Reads the keys for which `wanted` holds; the others do not belong to `place`.
            pub(crate) fn read_fields(
                node: &$crate::state::Node,
                reader: &mut $crate::state::Reader,
                wanted: impl Fn(&str) -> bool,
                place: &str,
            ) -> Option<Self> {
                $( let mut $field = (None, false); )*
                for entry in reader.entries(node)? {
                    match entry.key.as_str() {
                        $( $key $(| $alias)* if wanted($key) => {
                            reader.field(entry, $key, &mut $field.0, &mut $field.1);
                        } )*
                        _ => reader.unknown_key(entry, Self::INFO.fields, &wanted, place),
                    }
                }
                $(
                    let present = $field.0.is_some();
                    let $field = <$ty as $crate::state::Slot>::settle($field.0);
                    if $field.is_none() && !present {
                        let given = [$key $(, $alias)*].iter().any(|key| {
                            $crate::state::Node::get(node, key).is_some_and(|n| !n.is_null())
                        });
                        if !given {
                            reader.missing_key(node, $key);
                        }
                    }
                )*
                Some(Self {
                    $( $field: $field?, )*
                    $( $extra: Default::default(), )?
                })
            }

            pub(crate) fn fill_fields(&mut self, base: &Self) {
                $( $crate::state::Slot::fill(&mut self.$field, &base.$field); )*
                $( let _ = &base.$extra; )?
            }

            pub(crate) fn drop_read_only_fields(&mut self) {
                $( drop_read_only!(self.$field $(, $mode)?); )*
            }

            /// Prints the keys for which `wanted` holds.
            pub(crate) fn print_fields<M: serde::ser::SerializeMap>(
                &self,
                map: &mut M,
                wanted: impl Fn(&str) -> bool,
            ) -> Result<(), M::Error> {
                $(
                    if let Some(value) = $crate::state::Slot::inner(&self.$field)
                        && wanted($key)
                    {
                        map.serialize_entry($key, value)?;
                    }
                )*
                Ok(())
            }
        }
    };
}

macro_rules! mode {
    () => {
        $crate::state::Mode::ReadWrite
    };
    ($mode:ident) => {
        $crate::state::Mode::$mode
    };
}

macro_rules! drop_read_only {
    ($slot:expr, ReadOnly) => {
        $crate::state::Slot::clear(&mut $slot)
    };
    ($slot:expr $(, $mode:ident)?) => {
        if let Some(part) = $crate::state::Slot::inner_mut(&mut $slot) {
            $crate::state::Part::drop_read_only(part);
        }
    };
}

/// Declares a closed list of words: printed as the first spelling, read in any.
macro_rules! words {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $word_doc:literal])* $variant:ident = $word:literal $(| $alias:literal)*, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[doc = $word_doc])* $variant, )*
        }

        impl $name {
            /// Every word, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The canonical spelling.
            pub fn word(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )*
                }
            }

            /// The value of a word in any accepted spelling.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $( $word $(| $alias)* => Some(Self::$variant), )*
                    _ => None,
                }
            }
        }

        impl $crate::state::Part for $name {
            fn read(node: &$crate::state::Node, reader: &mut $crate::state::Reader) -> Option<Self> {
                let words: &[&str] = &[$($word),*];
                match node.text().map(|text| (text, Self::from_word(text))) {
                    Some((_, Some(value))) => Some(value),
                    other => reader.not_a_word(node, other.map(|(text, _)| text), words),
                }
            }

            fn shape() -> $crate::state::Shape {
                $crate::state::Shape::Words {
                    words: &[$($word),*],
                    aliases: &[$($($alias,)*)*],
                    open: false,
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

/// Declares an open list: known words in any accepted spelling, any other text kept as it is.
macro_rules! open_words {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $( $(#[doc = $word_doc:literal])* $variant:ident = $word:literal $(| $alias:literal)*, )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[doc = $word_doc])* $variant, )*
            /// Any other text.
            Other(String),
        }

        impl $name {
            /// The known words, in order of declaration.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The canonical spelling.
            pub fn word(&self) -> &str {
                match self {
                    $( Self::$variant => $word, )*
                    Self::Other(text) => text,
                }
            }

            /// The value of any text.
            pub fn from_word(word: &str) -> Self {
                match word {
                    $( $word $(| $alias)* => Self::$variant, )*
                    _ => Self::Other(word.to_owned()),
                }
            }
        }

        impl $crate::state::Part for $name {
            fn read(node: &$crate::state::Node, reader: &mut $crate::state::Reader) -> Option<Self> {
                <String as $crate::state::Part>::read(node, reader).map(|text| Self::from_word(&text))
            }

            fn shape() -> $crate::state::Shape {
                $crate::state::Shape::Words { words: Self::WORDS, aliases: &[$($($alias,)*)*], open: true }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
