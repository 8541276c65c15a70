//! litecord's sessions as subjects of the suite, and its codec as the vectors see it.

mod session;

use std::borrow::Cow;

use litecord_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Directions, EncodeError, JsonRef,
    OpCode, Role, Secret, ServerMessage,
};
use serde_json::{Map, Value, json};

use crate::gateway::codec_and_model;
use crate::model::litecord::{self as model, Message};
use crate::vectors::{Decoded, Vector};

pub use session::{LitecordClient, LitecordServer, PASSWORD, hello, hello_ack, some_message};

codec_and_model!(LitecordCodec, LitecordModel);

/// The settings of a vector.
pub fn config(vector: &Vector) -> CodecConfig {
    let mut config = CodecConfig::default();
    for (key, value) in vector.config.as_object().unwrap_or(&Map::new()) {
        match (&key[..], value.as_str(), value.as_u64().and_then(|n| usize::try_from(n).ok())) {
            ("directions", Some("both"), _) => config.directions = Directions::Both,
            ("directions", Some("as-documented"), _) => {
                config.directions = Directions::AsDocumented;
            }
            ("max_message", _, Some(max)) => config.max_message = max,
            _ => panic!("{}: unknown setting {key}: {value}", vector.name),
        }
    }
    config
}

const TYPES: [&str; 7] =
    ["hello", "hello_ack", "heartbeat", "heartbeat_ack", "request", "response", "dispatch"];

/// A message in the words of the vectors; JSON that nobody looks into is shown as its text.
fn describe(message: &Message<'_>) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        shown.extend(value.map(|value| (key.into(), value)));
    };
    let kind = TYPES.get(usize::from(message.op));
    put("type", Some(json!(kind.unwrap_or(&"unknown"))));
    put("op", kind.is_none().then(|| message.op.into()));
    put("hb_interval", message.heartbeat_interval.map(Value::from));
    let text = if message.op == 1 { "password" } else { "what" };
    put(text, message.text.as_deref().map(Value::from));
    put("args", message.args.map(Value::from));
    put("nonce", message.nonce.map(Value::from));
    put("result", message.result.map(Value::from));
    put("raw", message.raw.map(Value::from));
    Value::Object(shown)
}

fn undescribe(shown: &[Value]) -> Message<'_> {
    let [shown] = shown else { panic!("a message says one thing") };
    let text = |key: &str| shown[key].as_str();
    let kind = text("type").expect("a type");
    let op = match TYPES.iter().position(|known| *known == kind) {
        Some(op) => u8::try_from(op).ok(),
        None => shown["op"].as_u64().and_then(|op| u8::try_from(op).ok()),
    };
    Message {
        op: op.expect("an opcode"),
        heartbeat_interval: shown["hb_interval"].as_u64(),
        text: text("what").or(text("password")).map(Cow::Borrowed),
        args: text("args"),
        nonce: text("nonce"),
        result: text("result"),
        raw: text("raw"),
    }
}

fn value(text: Option<&str>) -> JsonRef<'_> {
    // A whole message is a level deeper than what may be inside of one.
    JsonRef::new(text.expect("is there")).expect("JSON")
}

/// What a client says by this.
///
/// # Panics
/// It has no such message, or the message lacks something.
pub fn client_message<'a>(message: &'a Message<'_>) -> ClientMessage<'a> {
    let text = || Cow::Borrowed(message.text.as_deref().expect("is there"));
    match OpCode(message.op) {
        OpCode::HELLO_ACK => ClientMessage::HelloAck { password: Secret::new(text()) },
        OpCode::HEARTBEAT => ClientMessage::Heartbeat,
        OpCode::REQUEST => ClientMessage::Request {
            what: text(),
            args: value(message.args),
            nonce: value(message.nonce),
        },
        OpCode::RESPONSE => {
            ClientMessage::Response { nonce: value(message.nonce), result: value(message.result) }
        }
        OpCode::DISPATCH => ClientMessage::Dispatch { what: text(), args: value(message.args) },
        op => ClientMessage::Unknown { op, raw: value(message.raw) },
    }
}

/// What a server says by this.
///
/// # Panics
/// It has no such message, or the message lacks something.
pub fn server_message<'a>(message: &'a Message<'_>) -> ServerMessage<'a> {
    match OpCode(message.op) {
        OpCode::HELLO => ServerMessage::Hello {
            heartbeat_interval: message.heartbeat_interval.expect("is there"),
        },
        OpCode::HEARTBEAT_ACK => ServerMessage::HeartbeatAck,
        _ => match client_message(message) {
            ClientMessage::Request { what, args, nonce } => {
                ServerMessage::Request { what, args, nonce }
            }
            ClientMessage::Response { nonce, result } => ServerMessage::Response { nonce, result },
            ClientMessage::Dispatch { what, args } => ServerMessage::Dispatch { what, args },
            ClientMessage::Unknown { op, raw } => ServerMessage::Unknown { op, raw },
            _ => unreachable!("no server says that"),
        },
    }
}
