//! How stored things look on disk: a line that says what follows and lets damage be found, then
//! the content. Both lines are JSON, so that a person can read them.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use thiserror::Error;

/// The version this program writes, and the only one it reads.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
    bytes: usize,
    crc32: u32,
}

/// Why stored content cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error("it is damaged ({0})")]
    Damaged(&'static str),
    #[error("it was written by another version of nmstated (format {0})")]
    Version(u32),
    #[error("it cannot be understood: {0}")]
    Content(String),
    #[error("it cannot be read: {0}")]
    Io(String),
}

/// The bytes to store.
pub fn encode(format: &str, content: &Json) -> Vec<u8> {
    let content = content.to_string();
    let header = Header {
        format: format.into(),
        version: VERSION,
        bytes: content.len(),
        crc32: crc32(content.as_bytes()),
    };
    let header = serde_json::to_string(&header).expect("a header has only string keys");
    format!("{header}\n{content}\n").into_bytes()
}

/// The content of stored bytes.
pub fn decode(format: &str, bytes: &[u8]) -> Result<Json, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged("it is not text"))?;
    let (header, content) = text.split_once('\n').ok_or(Unreadable::Damaged("it has no content"))?;
    let header: Header = serde_json::from_str(header).map_err(|_| Unreadable::Damaged("it has no header"))?;
    if header.format != format {
        return Err(Unreadable::Damaged("it is something else"));
    }
    if header.version != VERSION {
        return Err(Unreadable::Version(header.version));
    }
    let content = content.strip_suffix('\n').ok_or(Unreadable::Damaged("its end is missing"))?;
    if content.len() != header.bytes || crc32(content.as_bytes()) != header.crc32 {
        return Err(Unreadable::Damaged("its checksum is wrong"));
    }
    serde_json::from_str(content).map_err(|error| Unreadable::Content(error.to_string()))
}

/// CRC-32 as in IEEE 802.3, a byte at a time.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        (crc >> 8) ^ TABLE[usize::from(low ^ byte)]
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    /// S11: no prefix and no single flipped bit of a stored file passes for content.
    #[test]
    fn every_torn_or_damaged_file_is_noticed() {
        let content = json!({"id": 7, "name": "br0"});
        let bytes = encode("checkpoint", &content);
        assert_eq!(decode("checkpoint", &bytes), Ok(content));
        for length in 0..bytes.len() {
            assert!(decode("checkpoint", &bytes[..length]).is_err(), "a prefix of {length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(found) = decode("checkpoint", &damaged) {
                assert_eq!(found, json!({"id": 7, "name": "br0"}), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_future_version_is_named() {
        let bytes = encode("checkpoint", &json!({}));
        let text = String::from_utf8(bytes).expect("is text").replace("\"version\":1", "\"version\":9");
        assert_eq!(decode("checkpoint", text.as_bytes()), Err(Unreadable::Version(9)));
        assert!(matches!(
            decode("committed", &encode("checkpoint", &json!({}))),
            Err(Unreadable::Damaged(_))
        ));
    }
}
