//! YAML made of JSON while it is read: the general printer makes an event with memory of its own of each of
//! the tens of thousands of words that a thousand routes are.
//!
//! The form is that of the general printer, to the byte: blocks, two spaces deep, lists not indented below
//! their key. It prints what needs thought, too: every scalar that is not plain at first sight.

use std::fmt;
use std::io::{self, Write};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::json;

/// Longest key that stands before its colon (as libyaml writes them).
const KEY_CHARS_MAX: usize = 128;

/// Scalars that are something else than text, in some version of YAML or to some reader.
const WORDS: [&str; 12] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"];

/// Writes an entry of the outermost mapping.
pub fn entry<'de, D: Deserializer<'de>>(key: &str, value: D, out: &mut impl Write) -> Result<(), D::Error> {
    write_key(key, 0, out).map_err(D::Error::custom)?;
    Value { column: 0, after: After::Key, out }.deserialize(value)
}

/// What a value stands behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// `key:`
    Key,
    /// `- `
    Dash,
}

/// Where a value goes.
struct Value<'o, W> {
    /// Of the key or the dash before it.
    column: usize,
    after: After,
    out: &'o mut W,
}

impl<W: Write> Value<'_, W> {
    fn scalar<E: Error>(self, text: &str) -> Result<(), E> {
        let before = if self.after == After::Key { " " } else { "" };
        write_all(self.out, &[before, text, "\n"]).map_err(E::custom)
    }

    /// Goes to where an entry of a collection begins.
    fn begin(&mut self, column: usize, is_first: bool) -> io::Result<()> {
        match (is_first, self.after) {
            // The first stands in the line of the dash.
            (true, After::Dash) => Ok(()),
            (true, After::Key) => self.out.write_all(b"\n").and_then(|()| pad(column, self.out)),
            (false, _) => pad(column, self.out),
        }
    }
}

impl<'de, W: Write> DeserializeSeed<'de> for Value<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Value<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(if value { "true" } else { "false" })
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(&value.to_string())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let text = thought_over(&json!(value), self.column).map_err(E::custom)?;
        self.scalar(&text)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        if is_plain(value) {
            return self.scalar(value);
        }
        let text = thought_over(&json!(value), self.column).map_err(E::custom)?;
        self.scalar(&text)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar("null")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        let column = if self.after == After::Key { self.column } else { self.column + 2 };
        let mut is_first = true;
        // A list tells of its end only when asked for the next item: the dash is written by the item.
        while items.next_element_seed(Item { list: &mut self, column, is_first })?.is_some() {
            is_first = false;
        }
        if is_first { self.scalar("[]") } else { Ok(()) }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        let column = self.column + 2;
        let mut is_first = true;
        while entries.next_key_seed(Key { map: &mut self, column, is_first })?.is_some() {
            entries.next_value_seed(Value { column, after: After::Key, out: &mut *self.out })?;
            is_first = false;
        }
        if is_first { self.scalar("{}") } else { Ok(()) }
    }
}

/// Where an item of a list goes.
struct Item<'i, 'o, W> {
    list: &'i mut Value<'o, W>,
    column: usize,
    is_first: bool,
}

impl<'de, W: Write> DeserializeSeed<'de> for Item<'_, '_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, item: D) -> Result<(), D::Error> {
        let Self { list, column, is_first } = self;
        list.begin(column, is_first).and_then(|()| list.out.write_all(b"- ")).map_err(D::Error::custom)?;
        Value { column, after: After::Dash, out: &mut *list.out }.deserialize(item)
    }
}

/// Where a key goes.
struct Key<'k, 'o, W> {
    map: &'k mut Value<'o, W>,
    column: usize,
    is_first: bool,
}

impl<'de, W: Write> DeserializeSeed<'de> for Key<'_, '_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<(), D::Error> {
        key.deserialize_str(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Key<'_, '_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        let Self { map, column, is_first } = self;
        map.begin(column, is_first).and_then(|()| write_key(key, column, map.out)).map_err(E::custom)
    }
}

fn write_key(key: &str, column: usize, out: &mut impl Write) -> io::Result<()> {
    if is_plain(key) {
        return write_all(out, &[key, ":"]);
    }
    let text = match thought_over(&json!(key), column)? {
        text if !text.contains('\n') => text,
        // In one line: what JSON escapes, YAML reads in double quotes.
        _ => json!(key).to_string(),
    };
    if text.chars().count() > KEY_CHARS_MAX {
        write_all(out, &["? ", &text, "\n"])?;
        pad(column, out)?;
        return out.write_all(b":");
    }
    write_all(out, &[&text, ":"])
}

/// Whether a text means itself wherever it stands: a word, or an address or prefix.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    match bytes {
        [b'a'..=b'z' | b'A'..=b'Z', ..] if bytes.len() <= KEY_CHARS_MAX => {
            let is_word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/');
            bytes.iter().all(is_word) && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        // No number has a slash, or two dots.
        [b'0'..=b'9', .., b'0'..=b'9'] if bytes.len() <= KEY_CHARS_MAX => {
            let no_number = |b: &&u8| matches!(b, b'/' | b'.');
            bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'/'))
                && bytes.iter().filter(no_number).count() > 1
        }
        _ => false,
    }
}

/// A scalar as the general printer writes it behind a key or dash in this column.
fn thought_over(scalar: &serde_json::Value, column: usize) -> io::Result<String> {
    let text = serde_yaml::to_string(&json!({ "k": scalar })).map_err(io::Error::other)?;
    let text = text.strip_prefix("k: ").unwrap_or(&text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let (indent, mut out) = (" ".repeat(column), String::with_capacity(text.len()));
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.push('\n');
            out += if line.is_empty() { "" } else { &indent };
        }
        out += line;
    }
    Ok(out)
}

fn pad(column: usize, out: &mut impl Write) -> io::Result<()> {
    const SPACES: &str = "                                                                ";
    let mut left = column;
    while left > 0 {
        let some = left.min(SPACES.len());
        out.write_all(&SPACES.as_bytes()[..some])?;
        left -= some;
    }
    Ok(())
}

fn write_all(out: &mut impl Write, texts: &[&str]) -> io::Result<()> {
    texts.iter().try_for_each(|text| out.write_all(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    fn printed(state: &Json) -> String {
        let mut out = Vec::new();
        entry("k", state, &mut out).expect("it prints");
        String::from_utf8(out).expect("text")
    }

    fn as_by_the_general_printer(state: &Json) -> Result<(), TestCaseError> {
        let general = serde_yaml::to_string(&json!({ "k": state })).expect("it prints");
        prop_assert_eq!(printed(state), general);
        Ok(())
    }

    #[test]
    fn a_state_prints_as_by_the_general_printer() {
        let state = json!({"interfaces": [{"name": "eth0", "mtu": 1500, "ipv4": {"enabled": true, "address": []},
            "lists": [[], [1, [2, {"a": {}, "b": null}]], {}], "text": "two\nlines", "deep": [{"t": " a\n  b\n\nc\n"}]}],
            "numbers": [0, -1, 1.5, 1e30, u64::MAX],
            "words": ["true", "No", "y", "1", "1.2", "1.2.3", "0x1", "1/2", "1e3", "", "-", "~", "a: b", "a:", "a #b", "é",
                "192.0.2.1/24", "2001:db8::/32", "fe80::", "12:34:56", "02:00:00:00:00:01", "\u{7}", "'", "\""],
            "0": "a key that is a number", "a b": 1, "true": 2});
        as_by_the_general_printer(&state).expect("it is the same");
    }

    #[test]
    fn a_long_key_and_one_of_two_lines_are_read_back() {
        let state =
            json!([{"two\nlines": {"a": 1}, "x".repeat(500): [1, {"b": "c"}], "é".repeat(200): null}]);
        let read: Json = serde_yaml::from_str(&printed(&state)).expect("YAML");
        assert_eq!(read, json!({ "k": state }));
    }

    proptest! {
        #[test]
        fn any_scalar_prints_as_by_the_general_printer(
            text in "[ -~]{0,8}|[0-9./:a-f]{0,6}|(?s).{0,6}|[a-zA-Z]{0,5}|[ \n#:a-]{0,8}"
        ) {
            as_by_the_general_printer(&json!([text, {"a": text}]))?;
        }
    }
}
