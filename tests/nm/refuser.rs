//! A way to the bus on which somebody stands who refuses one of our calls: the other end answers an error, and
//! NetworkManager never hears of it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// What changes something. NetworkManager's checkpoints are another matter (docs/safety.md, S23), and calls that only
/// read are never refused.
const CHANGES: [&str; 10] = [
    "ActivateConnection",
    "AddConnection2",
    "DeactivateConnection",
    "Delete",
    "Disconnect",
    "Reapply",
    "ReloadConnections",
    "SaveHostname",
    "Set",
    "Update2",
];

/// What it says.
pub const WORDS: &str = "no, for the sake of the test";

/// Whom to refuse, and whom it met.
#[derive(Clone, Default)]
pub struct Refuser(Arc<Mutex<Met>>);

#[derive(Default)]
struct Met {
    calls: Vec<String>,
    refused: Option<usize>,
}

impl Refuser {
    /// Between the bus and whoever takes the address that this returns.
    pub fn before(bus: &str, folder: &Path) -> (Self, String) {
        let refuser = Self::default();
        let here = folder.join("refuser");
        let listener = UnixListener::bind(&here).expect("our own folder");
        let bus = bus.strip_prefix("unix:path=").expect("the bus is a socket").to_owned();
        let all = refuser.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let bus = UnixStream::connect(&bus).await.expect("the bus is there");
                tokio::spawn(all.clone().stand_between(client, bus));
            }
        });
        (refuser, format!("unix:path={}", here.display()))
    }

    /// From now on the N-th call that changes something is refused, once; None: nobody is.
    pub fn refuse(&self, n: Option<usize>) {
        *self.0.lock().expect("nobody panics here") = Met { calls: Vec::new(), refused: n };
    }

    /// What was called since then.
    pub fn calls(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics here").calls.clone()
    }

    /// Whether this message is to be refused.
    fn meets(&self, message: &[u8]) -> bool {
        let Some(member) = member(message).filter(|member| CHANGES.contains(member)) else { return false };
        let mut met = self.0.lock().expect("nobody panics here");
        met.calls.push(member.to_owned());
        met.refused == Some(met.calls.len())
    }

    async fn stand_between(self, client: UnixStream, bus: UnixStream) {
        let (from_client, mut to_client) = client.into_split();
        let (from_bus, mut to_bus) = bus.into_split();
        let (say, mut said) = mpsc::unbounded_channel::<Vec<u8>>();
        let answers = say.clone();
        tokio::spawn(async move {
            let mut from_bus = BufReader::new(from_bus);
            while let Ok(unit) = unit(&mut from_bus).await {
                if answers.send(unit).is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(unit) = said.recv().await {
                if to_client.write_all(&unit).await.is_err() {
                    break;
                }
            }
        });
        let mut from_client = BufReader::new(from_client);
        while let Ok(unit) = unit(&mut from_client).await {
            let passed = if self.meets(&unit) {
                say.send(refusal(&unit)).map_err(io::Error::other)
            } else {
                to_bus.write_all(&unit).await
            };
            if passed.is_err() {
                break;
            }
        }
    }
}

/// A message, or before the first one a line of the authentication (D-Bus Specification, "Authentication Protocol").
async fn unit(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<Vec<u8>> {
    let mut unit = vec![from.read_u8().await?];
    if unit[0] != b'l' {
        while !unit.ends_with(b"\n") {
            unit.push(from.read_u8().await?);
        }
        return Ok(unit);
    }
    unit.resize(16, 0);
    from.read_exact(&mut unit[1..]).await?;
    let rest = number(&unit, 12).next_multiple_of(8) + number(&unit, 4);
    unit.resize(16 + rest as usize, 0);
    from.read_exact(&mut unit[16..]).await?;
    Ok(unit)
}

fn number(of: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(of[at..at + 4].try_into().expect("four bytes"))
}

/// Fields of a header that are strings (D-Bus Specification, "Header Fields").
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const DESTINATION: u8 = 6;
const SENDER: u8 = 7;

fn string_field(message: &[u8], code: u8) -> Option<&str> {
    let field = [code, 1, b's', 0];
    let at = message.windows(field.len()).position(|window| window == field)? + field.len();
    let length = number(message, at) as usize;
    std::str::from_utf8(&message[at + 4..at + 4 + length]).ok()
}

/// The name of the method, if it is a call.
fn member(message: &[u8]) -> Option<&str> {
    message.starts_with(b"l\x01").then(|| string_field(message, MEMBER)).flatten()
}

/// An error in answer to that call, of whom it was for.
fn refusal(call: &[u8]) -> Vec<u8> {
    let serial = number(call, 8);
    let string = |text: &str| {
        let mut bytes = u32::try_from(text.len()).expect("it is short").to_le_bytes().to_vec();
        bytes.extend(text.bytes().chain([0]));
        bytes
    };
    let field = |fields: &mut Vec<u8>, head: [u8; 4], value: &[u8]| {
        fields.resize(fields.len().next_multiple_of(8), 0);
        fields.extend(head.iter().chain(value));
    };
    let mut fields = Vec::new();
    let text = |code| [code, 1, b's', 0];
    field(&mut fields, *b"\x05\x01u\0", &serial.to_le_bytes());
    field(&mut fields, text(ERROR_NAME), &string("org.freedesktop.NetworkManager.Failed"));
    field(&mut fields, text(SENDER), &string(string_field(call, DESTINATION).expect("it is for somebody")));
    field(&mut fields, *b"\x08\x01g\0", b"\x01s\0");
    let body = string(WORDS);
    let length = |of: &[u8]| u32::try_from(of.len()).expect("it is short").to_le_bytes();
    let mut message = b"l\x03\x01\x01".to_vec();
    message.extend(length(&body));
    message.extend(serial.to_le_bytes());
    message.extend(length(&fields));
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}
