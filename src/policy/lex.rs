//! An expression as tokens, each with its place.

use super::Wrong;

/// One token. `at`: its first character, counted from 0 in characters of the expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word with a dot in it.
    Path(Vec<Part>),
    /// A quoted text, or a word without a dot.
    Text(String),
    Null,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `:=`
    Replace,
    /// `|`
    Pipe,
}

/// One word between the dots of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub word: String,
    pub at: usize,
}

/// The tokens of an expression. No escapes within quotes; empty quotes are an empty text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        let (kind, end) = match c {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '|' => (Kind::Pipe, at + 1),
            '=' => (Kind::Equal, operator(&chars, at)?),
            '!' => (Kind::NotEqual, operator(&chars, at)?),
            ':' => (Kind::Replace, operator(&chars, at)?),
            '"' => {
                let Some(length) = chars[at + 1..].iter().position(|c| *c == '"') else {
                    return Err(Wrong::policy(at, "this quote has no end"));
                };
                (Kind::Text(chars[at + 1..at + 1 + length].iter().collect()), at + length + 2)
            }
            _ => {
                let length = chars[at..].iter().position(|c| c.is_whitespace() || "=!|\":".contains(*c));
                let end = length.map_or(chars.len(), |length| at + length);
                (word(&chars[at..end], at)?, end)
            }
        };
        tokens.push(Token { kind, at });
        at = end;
    }
    Ok(tokens)
}

/// Two characters, the second of which is `=`. Returns where they end.
fn operator(chars: &[char], at: usize) -> Result<usize, Wrong> {
    match chars.get(at + 1) {
        Some('=') => Ok(at + 2),
        next => {
            let place = if next.is_some() { at + 1 } else { at };
            Err(Wrong::policy(place, format!("expected `=` after `{}`", chars[at])))
        }
    }
}

fn word(chars: &[char], at: usize) -> Result<Kind, Wrong> {
    let word: String = chars.iter().collect();
    if !word.contains('.') {
        return Ok(if word.eq_ignore_ascii_case("null") { Kind::Null } else { Kind::Text(word) });
    }
    path(&word, at).map(Kind::Path)
}

/// The words between dots; `at` is where the first begins.
pub(super) fn path(text: &str, at: usize) -> Result<Vec<Part>, Wrong> {
    let mut begin = at;
    let mut parts = Vec::new();
    for word in text.split('.') {
        if word.is_empty() {
            return Err(Wrong::policy(begin, "a word is missing between the dots of this path"));
        }
        parts.push(Part { word: word.to_owned(), at: begin });
        begin += word.chars().count() + 1;
    }
    Ok(parts)
}
