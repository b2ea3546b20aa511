//! JSON-RPC 1.0 as the database speaks it (RFC 7047, 4).

use serde_json::{Map, Value as Json, json};

use super::error::Ended;

/// What the database says.
#[derive(Debug, PartialEq)]
pub enum Message {
    /// It asks whether we are there (4.1.11), or something that we do not know.
    Request { id: Json, method: String, params: Json },
    /// It tells, and wants no answer.
    Notification { method: String, params: Json },
    /// It answers a request of ours.
    Reply { id: u64, result: Result<Json, Json> },
}

impl Message {
    pub fn read(bytes: &[u8]) -> Result<Self, Ended> {
        let read: Result<Map<String, Json>, _> = serde_json::from_slice(bytes);
        let mut object = read.map_err(|error| Ended::Format(error.to_string()))?;
        let mut take = |key: &str| object.remove(key).unwrap_or(Json::Null);
        let (id, method, params) = (take("id"), take("method"), take("params"));
        match (method, id) {
            (Json::String(method), Json::Null) => Ok(Self::Notification { method, params }),
            (Json::String(method), id) => Ok(Self::Request { id, method, params }),
            (_, id) => {
                let id = id.as_u64().ok_or_else(|| Ended::Format("an answer without number".into()))?;
                let (result, error) = (take("result"), take("error"));
                Ok(Self::Reply { id, result: if error.is_null() { Ok(result) } else { Err(error) } })
            }
        }
    }
}

pub fn request(id: u64, method: &str, params: Json) -> Json {
    json!({"id": id, "method": method, "params": params})
}

/// The answer to a request of the database.
pub fn answer(id: Json, method: &str, params: Json) -> Json {
    match method {
        "echo" => json!({"id": id, "result": params, "error": null}),
        _ => json!({"id": id, "result": null, "error": "unknown method"}),
    }
}
