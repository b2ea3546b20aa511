//! Messages on a stream: JSON objects one behind the other, nothing between them says how long they
//! are (RFC 7047, 4). Looks at each byte once, and builds nothing.

use super::error::Ended;

/// Longest message: the whole of a database arrives as one. A row takes about half a kilobyte.
pub const MESSAGE_MAX: usize = 16 << 20;

/// Cuts a stream into messages.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// What of the buffer was looked at.
    seen: usize,
    /// Open braces and brackets, outside of strings.
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

impl Frames {
    /// Where the next bytes go.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; None while more of it has to come.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        while let Some(byte) = self.buffer.get(self.seen) {
            self.seen += 1;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_string => self.is_escaped = true,
                b'"' if self.depth > 0 => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or_else(|| misplaced(*byte))?;
                    if self.depth == 0 {
                        let rest = self.buffer.split_off(self.seen);
                        self.seen = 0;
                        return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
                    }
                }
                byte if self.depth == 0 && !byte.is_ascii_whitespace() => return Err(misplaced(*byte)),
                _ => {}
            }
            if self.depth == 0 {
                // Blanks between messages.
                self.buffer.drain(..self.seen);
                self.seen = 0;
            }
            if self.seen > MESSAGE_MAX {
                return Err(Ended::TooLong(MESSAGE_MAX));
            }
        }
        Ok(None)
    }
}

fn misplaced(byte: u8) -> Ended {
    Ended::Format(format!("{:?} between messages", char::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "{\"a\":\"}\\\"{\"} \n[1,[2]]{\"b\":{\"c\":[\"\\\\\"]}}\t{\"d\":\"\u{20ac}\"}";

    fn messages(stream: &[u8], at_once: usize) -> Result<Vec<String>, Ended> {
        let mut frames = Frames::default();
        let mut all = Vec::new();
        for part in stream.chunks(at_once) {
            frames.push(part);
            while let Some(message) = frames.next()? {
                all.push(String::from_utf8(message).expect("text"));
            }
        }
        Ok(all)
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_messages() {
        let whole = messages(STREAM.as_bytes(), STREAM.len()).expect("is fine");
        assert_eq!(whole.len(), 4, "{whole:?}");
        for at_once in 1..STREAM.len() {
            let cut = messages(STREAM.as_bytes(), at_once).expect("is fine");
            let trimmed = |all: &[String]| all.iter().map(|m| m.trim().to_owned()).collect::<Vec<_>>();
            assert_eq!(trimmed(&cut), trimmed(&whole));
        }
    }

    #[test]
    fn what_is_no_message_ends_it() {
        for stream in ["}", "x", "{}1", "{}]", "\"{\""] {
            assert!(matches!(messages(stream.as_bytes(), 1), Err(Ended::Format(_))), "{stream}");
        }
    }

    #[test]
    fn a_message_has_a_limit() {
        let mut frames = Frames::default();
        frames.push(b"{\"a\":\"");
        let part = vec![b'x'; 1 << 20];
        let mut pushed = 0;
        let ended = loop {
            frames.push(&part);
            pushed += part.len();
            match frames.next() {
                Ok(None) => assert!(pushed <= MESSAGE_MAX),
                Ok(Some(_)) => panic!("there is no end"),
                Err(ended) => break ended,
            }
        };
        assert!(matches!(ended, Ended::TooLong(MESSAGE_MAX)));
    }
}
