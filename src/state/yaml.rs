//! Writes YAML: block style, list items in the column of their key, strings quoted only where they
//! would read as something else (schema 8.3).
//!
//! Our own, so that what is written and what [`super::text`] reads agree on every character, and
//! streamed, since a full routing table is a hundred thousand entries.

use std::fmt::{self, Display, Write};

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple, Serializer};

/// The value as YAML, with a line feed at its end.
pub fn to_yaml<T: Serialize + ?Sized>(value: &T) -> Result<String, Unwritable> {
    let mut out = String::new();
    value.serialize(Writer { out: &mut out, column: 0, place: Place::Root })?;
    Ok(out)
}

/// A value that no document holds: an enum with content, bytes, or a key that is no text.
#[derive(Debug)]
pub struct Unwritable(String);

impl Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot be written as YAML: {}", self.0)
    }
}

impl std::error::Error for Unwritable {}

impl ser::Error for Unwritable {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// What stands before a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    /// `key:` in the writer's column.
    Key,
    /// `- ` in the writer's column.
    Dash,
    /// Nothing: the value is a key.
    IsKey,
}

struct Writer<'a> {
    out: &'a mut String,
    column: usize,
    place: Place,
}

impl<'a> Writer<'a> {
    fn plain(self, text: impl Display) -> Result<(), Unwritable> {
        if self.place == Place::Key {
            self.out.push(' ');
        }
        let end = if self.place == Place::IsKey { "" } else { "\n" };
        write!(self.out, "{text}{end}").map_err(ser::Error::custom)
    }

    fn text(self, text: &str) -> Result<(), Unwritable> {
        match Style::of(text) {
            Style::Plain => self.plain(text),
            Style::Single => self.plain(format_args!("'{}'", text.replace('\'', "''"))),
            Style::Literal if self.place != Place::IsKey && self.place != Place::Root => {
                let indent = self.column + 2;
                if self.place == Place::Key {
                    self.out.push(' ');
                }
                let content = text.trim_end_matches('\n');
                let chomping = ["|-", "|", "|+"][(text.len() - content.len()).min(2)];
                self.out.push_str(chomping);
                self.out.push('\n');
                for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                    if !line.is_empty() {
                        spaces(self.out, indent);
                        self.out.push_str(line);
                    }
                    self.out.push('\n');
                }
                Ok(())
            }
            Style::Literal | Style::Double => self.plain(Escaped(text)),
        }
    }

    fn block(self) -> Result<Block<'a>, Unwritable> {
        if self.place == Place::IsKey {
            return Err(ser::Error::custom("a key must be text"));
        }
        let Self { out, column, place } = self;
        Ok(Block { out, column, place, is_empty: true })
    }
}

fn spaces(out: &mut String, count: usize) {
    out.extend(std::iter::repeat_n(' ', count));
}

/// A list or a mapping being written.
struct Block<'a> {
    out: &'a mut String,
    /// Of its entries, once it has some.
    column: usize,
    place: Place,
    is_empty: bool,
}

impl Block<'_> {
    /// Goes to where the next entry starts. `deeper` is how far the entries of this block stand
    /// right of the key before them.
    fn next(&mut self, deeper: usize) {
        if std::mem::replace(&mut self.is_empty, false) {
            match self.place {
                Place::Root | Place::IsKey => return,
                // The first entry goes on the line of the dash.
                Place::Dash => {
                    self.column += 2;
                    return;
                }
                Place::Key => {
                    self.out.push('\n');
                    self.column += deeper;
                }
            }
        }
        spaces(self.out, self.column);
    }

    fn finish(self, empty: &str) -> Result<(), Unwritable> {
        if self.is_empty {
            Writer { out: self.out, column: 0, place: self.place }.plain(empty)?;
        }
        Ok(())
    }
}

impl SerializeSeq for Block<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.next(0);
        self.out.push_str("- ");
        value.serialize(Writer { out: self.out, column: self.column, place: Place::Dash })
    }

    fn end(self) -> Result<(), Unwritable> {
        self.finish("[]")
    }
}

impl SerializeTuple for Block<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        SerializeSeq::serialize_element(self, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        SerializeSeq::end(self)
    }
}

impl SerializeMap for Block<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        self.next(2);
        key.serialize(Writer { out: self.out, column: self.column, place: Place::IsKey })?;
        self.out.push(':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        value.serialize(Writer { out: self.out, column: self.column, place: Place::Key })
    }

    fn end(self) -> Result<(), Unwritable> {
        self.finish("{}")
    }
}

impl SerializeStruct for Block<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        SerializeMap::serialize_entry(self, key, value)
    }

    fn end(self) -> Result<(), Unwritable> {
        SerializeMap::end(self)
    }
}

macro_rules! plain_numbers {
    ($($method:ident: $ty:ty),*) => { $(
        fn $method(self, value: $ty) -> Result<(), Unwritable> {
            self.plain(value)
        }
    )* };
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeSeq = Block<'a>;
    type SerializeTuple = Block<'a>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;
    type SerializeMap = Block<'a>;
    type SerializeStruct = Block<'a>;
    type SerializeStructVariant = Impossible<(), Unwritable>;

    plain_numbers! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unwritable> {
        self.serialize_f64(value.into())
    }

    /// With a point or an exponent, so that it reads as a float again.
    fn serialize_f64(self, value: f64) -> Result<(), Unwritable> {
        self.plain(format_args!("{value:?}"))
    }

    fn serialize_char(self, value: char) -> Result<(), Unwritable> {
        self.text(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritable> {
        self.text(value)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unwritable> {
        Err(ser::Error::custom("bytes"))
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        self.plain("null")
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unwritable> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unwritable> {
        Err(ser::Error::custom(name))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Block<'a>, Unwritable> {
        self.block()
    }

    fn serialize_tuple(self, _: usize) -> Result<Block<'a>, Unwritable> {
        self.block()
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Unwritable>, Unwritable> {
        Err(ser::Error::custom(name))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Unwritable>, Unwritable> {
        Err(ser::Error::custom(name))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Block<'a>, Unwritable> {
        self.block()
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Block<'a>, Unwritable> {
        self.block()
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Impossible<(), Unwritable>, Unwritable> {
        Err(ser::Error::custom(name))
    }
}

/// How a text is written.
#[derive(Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

impl Style {
    fn of(text: &str) -> Self {
        if !text.chars().all(is_printable) {
            return Self::Double;
        }
        if text.contains('\n') {
            // A literal block keeps everything but leading white space of its first line; lines of
            // white space only, and tabs in front, are read differently by different parsers.
            let mut lines = text.split('\n');
            let is_good =
                |line: &str| !line.starts_with('\t') && (line.is_empty() || !line.trim().is_empty());
            let starts_well = !text.starts_with([' ', '\n']);
            return if starts_well && lines.all(is_good) { Self::Literal } else { Self::Double };
        }
        if text.contains('\t') {
            return Self::Double;
        }
        if is_plain_text(text) { Self::Plain } else { Self::Single }
    }
}

/// Whether the character stands for itself everywhere. Line separators other than the line feed do
/// not, a mark of byte order does not, and a non-breaking space would be read as a space.
fn is_printable(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => false,
        _ => !c.is_control(),
    }
}

/// Whether a line of text without quotes is read as that text.
fn is_plain_text(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let starts_well = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
        | ' ' => false,
        '-' | '?' | ':' => chars.next().is_some_and(|c| c != ' '),
        _ => true,
    };
    starts_well
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
        && !is_other_type(text)
}

/// Whether plain text reads as null, a boolean or a number in the core schema of YAML 1.2, or in a
/// reader that also knows `0b` and padded decimals.
fn is_other_type(text: &str) -> bool {
    if matches!(text, "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
    {
        return true;
    }
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    match number.get(..2) {
        Some("0x") => return all(&number[2..], 16),
        Some("0o") => return all(&number[2..], 8),
        Some("0b") => return all(&number[2..], 2),
        _ => {}
    }
    match number {
        ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" => true,
        _ => number.starts_with(|c: char| c.is_ascii_digit() || c == '.') && number.parse::<f64>().is_ok(),
    }
}

/// A text between double quotes.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\t' => f.write_str("\\t")?,
                '\r' => f.write_str("\\r")?,
                c if is_printable(c) => f.write_char(c)?,
                c if u32::from(c) <= 0xff => write!(f, "\\x{:02X}", u32::from(c))?,
                c if u32::from(c) <= 0xffff => write!(f, "\\u{:04X}", u32::from(c))?,
                c => write!(f, "\\U{:08X}", u32::from(c))?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_would_read_as_something_else() {
        for (text, style) in [
            ("true", Style::Single),
            ("~", Style::Single),
            ("", Style::Single),
            ("123", Style::Single),
            ("017", Style::Single),
            ("0x30", Style::Single),
            ("1.5", Style::Single),
            ("1e3", Style::Single),
            ("a: b", Style::Single),
            ("- a", Style::Single),
            ("it's", Style::Plain),
            ("'a'", Style::Single),
            ("yes", Style::Plain),
            ("off", Style::Plain),
            ("y", Style::Plain),
            ("12:30", Style::Plain),
            ("02:00:5E:10:00:01", Style::Plain),
            ("192.0.2.0/24", Style::Plain),
            ("::/0", Style::Plain),
            ("<_password_hid_by_nmstate>", Style::Plain),
            ("-a", Style::Plain),
            ("a\nb", Style::Literal),
            (" a\nb", Style::Double),
            ("a\tb", Style::Double),
            ("\u{a0}", Style::Double),
        ] {
            assert_eq!(Style::of(text), style, "{text:?}");
        }
    }

    #[test]
    fn nests_as_the_peer_does() {
        let value = serde_json::json!({
            "list": [{"a": 1, "b": [true, []]}, [[1, 2], {"c": null}], "text"],
            "empty": {}, "none": [], "script": "one\ntwo\n", "kept": "x\n\n", "cut": ["x\ny"],
            "quoted key: ": {"d": {"e": 0.5}},
        });
        assert_eq!(
            to_yaml(&value).expect("it is JSON"),
            "\
list:
- a: 1
  b:
  - true
  - []
- - - 1
    - 2
  - c: null
- text
empty: {}
none: []
script: |
  one
  two
kept: |+
  x

cut:
- |-
  x
  y
'quoted key: ':
  d:
    e: 0.5
"
        );
        assert_eq!(to_yaml(&serde_json::json!({})).expect("it is JSON"), "{}\n");
    }
}
