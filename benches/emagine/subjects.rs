//! What is compared: each decodes or encodes one message.
//!
//! A decoder shows what it has made to `black_box`, and gives the opcode of what it is, however it is
//! spelt, and a number to be checked by: the length of `time`'s text or what it says, that of `user`,
//! that of `message`'s text or how many keys it has.

use std::hint::black_box;

use emagine_proto::{CodecConfig, DecodeError, ServerMessage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::comparison::Seen;

/// What a gateway says.
#[inline]
pub(crate) fn from_json(text: &str, config: &CodecConfig) -> Seen {
    seen(black_box(&ServerMessage::from_json(text, config)))
}

/// The same from bytes, which may not be UTF-8.
#[inline]
pub(crate) fn decode(bytes: &[u8], config: &CodecConfig) -> Seen {
    seen(black_box(&ServerMessage::decode(bytes, config)))
}

#[inline]
fn seen(message: &Result<ServerMessage<'_>, DecodeError>) -> Seen {
    match message {
        Ok(ServerMessage::Heartbeat { time }) => (10, time.map_or(0, |time| time.get().len())),
        Ok(ServerMessage::HeartbeatAck { time }) => (11, time.map_or(0, |time| time.get().len())),
        Ok(ServerMessage::Ready { user }) => (2, user.len()),
        Ok(ServerMessage::Message { message }) => (3, message.get().len()),
        _ => unreachable!(),
    }
}

/// Everything as values, then a look at what is needed.
pub(crate) fn value(text: &str) -> Seen {
    let value: Value = serde_json::from_str(text).unwrap();
    match (value["op"].as_u64(), value.get("message")) {
        (Some(op @ (10 | 11)), _) => {
            let time = value.get("time");
            black_box(time);
            (op, time.and_then(Value::as_u64).map_or(0, |time| usize::try_from(time).unwrap()))
        }
        (Some(2 | 3), Some(message)) => (3, black_box(message).as_object().unwrap().len()),
        (Some(1 | 2), None) => (2, black_box(value["user"].as_str().unwrap()).len()),
        _ => unreachable!(),
    }
}

/// The least that serde can make of a message: what is needed, borrowed; `message` and `time` as text.
#[derive(Deserialize)]
struct Derived<'a> {
    op: u8,
    user: Option<&'a str>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// What it is then made into.
enum Typed<'a> {
    Ready { user: &'a str },
    Message { message: &'a RawValue },
    Heartbeat { time: Option<&'a RawValue> },
    HeartbeatAck { time: Option<&'a RawValue> },
}

impl<'a> Derived<'a> {
    fn typed(self) -> Typed<'a> {
        match (self.op, self.user, self.message) {
            (2 | 3, _, Some(message)) => Typed::Message { message },
            (1 | 2, Some(user), _) => Typed::Ready { user },
            (10, ..) => Typed::Heartbeat { time: self.time },
            (11, ..) => Typed::HeartbeatAck { time: self.time },
            _ => unreachable!(),
        }
    }
}

pub(crate) fn derive(text: &str) -> Seen {
    let length = |time: Option<&RawValue>| time.map_or(0, |time| time.get().len());
    match black_box(&serde_json::from_str::<Derived<'_>>(text).unwrap().typed()) {
        Typed::Ready { user } => (2, user.len()),
        Typed::Message { message } => (3, message.get().len()),
        Typed::Heartbeat { time } => (10, length(*time)),
        Typed::HeartbeatAck { time } => (11, length(*time)),
    }
}

/// Ours into `dst`.
#[inline]
pub(crate) fn encode(message: &ServerMessage<'_>, config: &CodecConfig, dst: &mut Vec<u8>) {
    message.encode(config, dst).unwrap();
}

pub(crate) fn json_heartbeat(op: u8, time: u64) -> String {
    serde_json::to_string(&json!({ "op": op, "time": time })).unwrap()
}

pub(crate) fn json_ready(user: &str) -> String {
    serde_json::to_string(&json!({ "op": 2, "user": user })).unwrap()
}

/// The application has it as a value already, whose copy it takes.
pub(crate) fn json_message(message: &Value) -> String {
    serde_json::to_string(&json!({ "op": 3, "message": message })).unwrap()
}

/// What a heartbeat is to serde, or its ack.
#[derive(Serialize)]
pub(crate) struct Heartbeat {
    pub(crate) op: u8,
    pub(crate) time: u64,
}

/// What a Ready is to serde.
#[derive(Serialize)]
pub(crate) struct Ready<'a> {
    pub(crate) op: u8,
    pub(crate) user: &'a str,
}

/// What a Message is to serde.
#[derive(Serialize)]
pub(crate) struct Message<T> {
    pub(crate) op: u8,
    pub(crate) message: T,
}
