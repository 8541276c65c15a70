//! emagine's sessions as subjects of the suite, and its codec as the vectors see it.

mod session;

use std::borrow::Cow;

use emagine_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, EncodeError, JsonRef, OpCode, Role,
    Secret, ServerMessage,
};
use serde_json::{Map, Value, json};

use crate::gateway::codec_and_model;
use crate::model::emagine::{self as model, Message};
use crate::vectors::{Decoded, Vector};

pub use session::{EmagineClient, EmagineServer, TOKEN, hello, identify, some_message};

codec_and_model!(EmagineCodec, EmagineModel);

/// The settings of a vector.
pub fn config(vector: &Vector) -> CodecConfig {
    let mut config = CodecConfig::default();
    for (key, value) in vector.config.as_object().unwrap_or(&Map::new()) {
        match (&key[..], value.as_u64().and_then(|n| usize::try_from(n).ok())) {
            ("max_message", Some(max)) => config.max_message = max,
            _ => panic!("{}: unknown setting {key}: {value}", vector.name),
        }
    }
    config
}

const TYPES: [(u8, &str); 6] = [
    (0, "hello"),
    (1, "identify"),
    (2, "ready"),
    (3, "message"),
    (10, "heartbeat"),
    (11, "heartbeat_ack"),
];

/// A message in the words of the vectors; JSON that nobody looks into is shown as its text.
fn describe(message: &Message<'_>) -> Value {
    let mut shown = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        shown.extend(value.map(|value| (key.into(), value)));
    };
    let known = TYPES.iter().find(|(op, _)| *op == message.op).map(|(_, kind)| *kind);
    put("type", Some(json!(known.unwrap_or("unknown"))));
    put("op", known.is_none().then(|| message.op.into()));
    put("heartbeat_interval", message.heartbeat_interval.map(Value::from));
    let text = if message.op == 1 { "token" } else { "user" };
    put(text, message.text.as_deref().map(Value::from));
    put("message", message.message.map(Value::from));
    put("time", message.time.map(Value::from));
    put("raw", message.raw.map(Value::from));
    Value::Object(shown)
}

fn undescribe(shown: &[Value]) -> Message<'_> {
    let [shown] = shown else { panic!("a message says one thing") };
    let text = |key: &str| shown[key].as_str();
    let kind = text("type").expect("a type");
    let known = TYPES.iter().find(|(_, known)| *known == kind).map(|(op, _)| *op);
    let op = known.or(shown["op"].as_u64().and_then(|op| u8::try_from(op).ok()));
    Message {
        op: op.expect("an opcode"),
        heartbeat_interval: shown["heartbeat_interval"].as_u64(),
        text: text("token").or(text("user")).map(Cow::Borrowed),
        message: text("message"),
        time: text("time"),
        raw: text("raw"),
    }
}

/// What a client says by this.
///
/// # Panics
/// It has no such message, or the message lacks something.
pub fn client_message<'a>(message: &'a Message<'_>) -> ClientMessage<'a> {
    let time = || message.time.map(value);
    match (message.raw, OpCode(message.op)) {
        // A whole message is a level deeper than what may be inside of one.
        (Some(raw), op) => ClientMessage::Unknown { op, raw: JsonRef::of_checked(raw) },
        (None, OpCode::IDENTIFY) => {
            let token = message.text.as_deref().expect("is there");
            ClientMessage::Identify { token: Secret::new(token.into()) }
        }
        (None, OpCode::HEARTBEAT) => ClientMessage::Heartbeat { time: time() },
        (None, OpCode::HEARTBEAT_ACK) => ClientMessage::HeartbeatAck { time: time() },
        _ => unreachable!("no client says that"),
    }
}

fn value(text: &str) -> JsonRef<'_> {
    JsonRef::new(text).expect("JSON")
}

/// What a server says by this.
///
/// # Panics
/// It has no such message, or the message lacks something.
pub fn server_message<'a>(message: &'a Message<'_>) -> ServerMessage<'a> {
    match (message.raw, OpCode(message.op)) {
        (None, OpCode::HELLO) => ServerMessage::Hello {
            heartbeat_interval: message.heartbeat_interval.expect("is there"),
        },
        (None, OpCode::READY) => {
            ServerMessage::Ready { user: message.text.as_deref().expect("is there").into() }
        }
        (None, OpCode::MESSAGE) => {
            ServerMessage::Message { message: value(message.message.expect("is there")) }
        }
        _ => match client_message(message) {
            ClientMessage::Heartbeat { time } => ServerMessage::Heartbeat { time },
            ClientMessage::HeartbeatAck { time } => ServerMessage::HeartbeatAck { time },
            ClientMessage::Unknown { op, raw } => ServerMessage::Unknown { op, raw },
            _ => unreachable!("no server says that"),
        },
    }
}
