//! roomvars' client and hub as subjects of the suite, and its codec as the vectors see it.

mod session;

use bytes::BufMut;
use roomvars_proto::{
    Batch, BatchWriter, ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Dialect,
    EncodeError, ServerMessage, Value as Var, Variables,
};
use serde_json::{Map, Value, json};

use crate::model::roomvars::{self as model, Message, Sender};
use crate::vectors::{Decoded, Error, MessageCodec, Vector};

pub use session::{HubConnection, RoomvarsClient, RoomvarsHub, handshake, some_message};

/// The codec, as the vectors see it.
#[derive(Debug, Clone, Copy)]
pub struct RoomvarsCodec;

impl MessageCodec for RoomvarsCodec {
    fn decode(&self, vector: &Vector, message: &[u8]) -> Decoded {
        show(decode(message, sender(vector), &config(vector)))
    }

    fn encode(&self, vector: &Vector, messages: &[Value]) -> Vec<u8> {
        let messages: Vec<_> = messages.iter().map(undescribe).collect();
        let mut bytes = Vec::new();
        for result in encode(&messages, sender(vector), &config(vector), &mut bytes) {
            result.expect("a vector's message can be encoded");
        }
        bytes
    }
}

/// The model of the codec, as the vectors see it.
#[derive(Debug, Clone, Copy)]
pub struct RoomvarsModel;

impl MessageCodec for RoomvarsModel {
    fn decode(&self, vector: &Vector, message: &[u8]) -> Decoded {
        show(model::decode(message, sender(vector), &config(vector)))
    }

    fn encode(&self, vector: &Vector, messages: &[Value]) -> Vec<u8> {
        let mut written = String::new();
        for message in messages.iter().map(undescribe) {
            let text = model::encode(&message, sender(vector), written.len(), &config(vector));
            written += &text.expect("a vector's message can be encoded");
        }
        written.into_bytes()
    }
}

/// What the codec makes of a message of `sender`, in the model's words: what is in it up to the first
/// error, and that.
pub fn decode(
    bytes: &[u8],
    sender: Sender,
    config: &CodecConfig,
) -> (Vec<Message>, Option<DecodeError>) {
    let mut messages = Vec::new();
    let error = match sender {
        Sender::Client => match ClientMessage::decode(bytes, config) {
            Ok(message) => {
                messages.push(message.into());
                None
            }
            Err(error) => Some(error),
        },
        Sender::Server => {
            let mut batch = Batch::decode(bytes, config);
            let error = batch.find_map(|object| object.map(|o| messages.push(o.into())).err());
            assert!(batch.next().is_none(), "more after an error or the end");
            error
        }
    };
    (messages, error)
}

/// Writes objects into one message of `sender`, which is one object if it is a client, and gives what
/// became of each.
///
/// # Panics
/// `sender` doesn't say that.
pub fn encode(
    messages: &[Message],
    sender: Sender,
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Vec<Result<(), EncodeError>> {
    if let (Sender::Client, [message]) = (sender, messages) {
        return vec![encode_client(message, config, dst)];
    }
    assert_eq!(sender, Sender::Server, "a client's message is one object");
    let mut writer = BatchWriter::new(config, dst);
    messages.iter().map(|message| writer.push(&server_message(message))).collect()
}

fn encode_client(
    message: &Message,
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    let message = match message {
        Message::Handshake { room, username, variables } => {
            pairs.extend(variables.iter().map(|(name, value)| (&name[..], &value[..])));
            ClientMessage::Handshake {
                room: room.as_ref(),
                username: username.into(),
                variables: Variables::from(&pairs[..]),
            }
        }
        Message::Set(variable, value) => {
            ClientMessage::Set { variable: variable.into(), value: value.as_ref() }
        }
        Message::Create(variable, value) => {
            ClientMessage::Create { variable: variable.into(), value: value.as_ref() }
        }
        Message::Rename(variable, new_name) => {
            ClientMessage::Rename { variable: variable.into(), new_name: new_name.into() }
        }
        Message::Delete(variable) => ClientMessage::Delete { variable: variable.into() },
        Message::Unknown(kind, raw) => ClientMessage::Unknown { kind: kind.into(), raw },
    };
    message.encode(config, dst)
}

/// What a server says by this.
///
/// # Panics
/// It says no such thing.
pub fn server_message(message: &Message) -> ServerMessage<'_> {
    match message {
        Message::Handshake { .. } => panic!("no server says that"),
        Message::Set(variable, value) => {
            ServerMessage::Set { variable: variable.into(), value: value.as_ref() }
        }
        Message::Create(variable, value) => {
            ServerMessage::Create { variable: variable.into(), value: value.as_ref() }
        }
        Message::Rename(variable, new_name) => {
            ServerMessage::Rename { variable: variable.into(), new_name: new_name.into() }
        }
        Message::Delete(variable) => ServerMessage::Delete { variable: variable.into() },
        Message::Unknown(kind, raw) => ServerMessage::Unknown { kind: kind.into(), raw },
    }
}

/// Whose message a vector shows.
pub fn sender(vector: &Vector) -> Sender {
    if vector.from == "client" { Sender::Client } else { Sender::Server }
}

/// The settings of a vector.
pub fn config(vector: &Vector) -> CodecConfig {
    let mut config = CodecConfig::default();
    for (key, value) in vector.config.as_object().unwrap_or(&Map::new()) {
        match (&key[..], value.as_str(), value.as_u64().and_then(|n| usize::try_from(n).ok())) {
            ("dialect", Some("documented"), _) => config.dialect = Dialect::Documented,
            ("dialect", Some("deployed2020"), _) => config.dialect = Dialect::Deployed2020,
            ("dialect", Some("scratch"), _) => config.dialect = Dialect::Scratch,
            ("max_client_message", _, Some(max)) => config.max_client_message = max,
            ("max_server_message", _, Some(max)) => config.max_server_message = max,
            _ => panic!("{}: unknown setting {key}: {value}", vector.name),
        }
    }
    config
}

fn show((messages, error): (Vec<Message>, Option<DecodeError>)) -> Decoded {
    let messages = messages.iter().map(describe).collect();
    Decoded { messages, error: error.map(show_error), after: Vec::new() }
}

fn show_error(error: DecodeError) -> Error {
    let (kind, key) = match error.kind {
        DecodeErrorKind::MessageTooLarge { .. } => ("message_too_large", None),
        DecodeErrorKind::NotUtf8 => ("not_utf8", None),
        DecodeErrorKind::NotJson => ("not_json", None),
        DecodeErrorKind::NotAnObject => ("not_an_object", None),
        DecodeErrorKind::TooDeep => ("too_deep", None),
        DecodeErrorKind::TrailingData => ("trailing_data", None),
        DecodeErrorKind::DuplicateKey(key) => ("duplicate_key", Some(key)),
        DecodeErrorKind::MissingKey(key) => ("missing_key", Some(key)),
        DecodeErrorKind::InvalidValue { key, .. } => ("invalid_value", Some(key)),
        _ => ("something new", None),
    };
    Error { kind: kind.into(), key: key.map(Into::into), offset: Some(error.offset) }
}

/// A message in the words of the vectors; a number is shown as its text, in an object.
fn describe(message: &Message) -> Value {
    let number = |value: &Var| match value {
        Var::Text(text) => json!(text),
        Var::Number(number) => json!({ "number": number }),
    };
    match message {
        Message::Handshake { room, username, variables } => json!({
            "type": "handshake",
            "room": number(room),
            "username": username,
            "variables": variables,
        }),
        Message::Set(variable, value) => {
            json!({ "type": "set", "variable": variable, "value": number(value) })
        }
        Message::Create(variable, value) => {
            json!({ "type": "create", "variable": variable, "value": number(value) })
        }
        Message::Rename(variable, new_name) => {
            json!({ "type": "rename", "variable": variable, "new_name": new_name })
        }
        Message::Delete(variable) => json!({ "type": "delete", "variable": variable }),
        Message::Unknown(kind, raw) => json!({ "type": "unknown", "kind": kind, "raw": raw }),
    }
}

fn undescribe(shown: &Value) -> Message {
    let text = |key: &str| shown[key].as_str().expect("a string").to_owned();
    let value = |key: &str| match shown[key]["number"].as_str() {
        Some(number) => Var::Number(number.into()),
        None => Var::Text(text(key).into()),
    };
    match &text("type")[..] {
        "handshake" => Message::Handshake {
            room: value("room"),
            username: text("username"),
            variables: serde_json::from_value(shown["variables"].clone()).expect("pairs"),
        },
        "set" => Message::Set(text("variable"), value("value")),
        "create" => Message::Create(text("variable"), value("value")),
        "rename" => Message::Rename(text("variable"), text("new_name")),
        "delete" => Message::Delete(text("variable")),
        "unknown" => Message::Unknown(text("kind"), text("raw")),
        other => panic!("{other}: unknown"),
    }
}
