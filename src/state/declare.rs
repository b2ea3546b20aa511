//! The macros that declare the pieces of a document, each once.

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
                    docs: &[$(concat!($($word_doc, "\n"),*)),*],
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
                $crate::state::Shape::Words {
                    words: Self::WORDS,
                    docs: &[$(concat!($($word_doc, "\n"),*)),*],
                    aliases: &[$($($alias,)*)*],
                    open: true,
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
