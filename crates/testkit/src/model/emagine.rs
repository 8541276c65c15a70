//! emagine's messages as serde_json reads them: the text over and over, every rule a line.

use std::borrow::Cow;

use emagine_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, EncodeError, JsonRef, OpCode, Role,
    ServerMessage,
};

use super::json::{Object, wrong_in_words_of};

wrong_in_words_of!(emagine_proto);

/// A message: its opcode as we write it, and what comes with it; JSON is the text of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message<'a> {
    /// What it is.
    pub op: u8,
    /// Of a Hello, in milliseconds.
    pub heartbeat_interval: Option<u64>,
    /// The token of an Identify, or the user of a Ready.
    pub text: Option<Cow<'a, str>>,
    /// Of a Message.
    pub message: Option<&'a str>,
    /// Of a Heartbeat or its ack.
    pub time: Option<&'a str>,
    /// All of a message that isn't known.
    pub raw: Option<&'a str>,
}

/// The keys that the protocol knows.
const KEYS: [&str; 6] = ["op", "heartbeat_interval", "token", "user", "message", "time"];

/// What `sender` says with a message.
///
/// # Errors
/// It may not say that, or it isn't well formed; of several things the one that shows first.
pub fn decode<'a>(
    bytes: &'a [u8],
    sender: Role,
    config: &CodecConfig,
) -> Result<Message<'a>, DecodeError> {
    let object = Object::read(bytes, config.max_message, KEYS)?;
    let op = object.integer("op", 255, "an integer from 0 to 255")?;
    let op = u8::try_from(op).expect("is at most 255");
    let message = object.get("message");
    let none = Message { op, ..Message::default() };
    Ok(match (sender, op) {
        (Role::Server, 0) => {
            let expected = "an integer from 0 to 2^53";
            let millis = object.integer("heartbeat_interval", 9_007_199_254_740_992, expected)?;
            Message { heartbeat_interval: Some(millis), ..none }
        }
        (Role::Client, 1) => Message { text: Some(object.string("token")?), ..none },
        // The notes' example of Ready has op 1, and their table has op 2 for Message.
        (Role::Server, 2) if message.is_some() => Message { op: 3, message, ..none },
        (Role::Server, 1 | 2) => Message { op: 2, text: Some(object.string("user")?), ..none },
        (Role::Server, 3) => Message { message: Some(object.required("message")?), ..none },
        (Role::Client, 0 | 2 | 3) => {
            let offset = object.offset_of(object.required("op")?) as u64;
            let kind = DecodeErrorKind::WrongDirection(OpCode(op));
            return Err(DecodeError { kind, offset });
        }
        (_, 10 | 11) => Message { time: object.get("time"), ..none },
        _ => Message { raw: Some(object.message), ..none },
    })
}

impl<'a> From<ClientMessage<'a>> for Message<'a> {
    fn from(message: ClientMessage<'a>) -> Self {
        let none = Self { op: message.op().0, ..Self::default() };
        match message {
            ClientMessage::Identify { token } => Self { text: Some(token.into_inner()), ..none },
            ClientMessage::Heartbeat { time } | ClientMessage::HeartbeatAck { time } => {
                Self { time: time.map(JsonRef::get), ..none }
            }
            ClientMessage::Unknown { raw, .. } => Self { raw: Some(raw.get()), ..none },
            _ => unreachable!("a message of a new kind"),
        }
    }
}

impl<'a> From<ServerMessage<'a>> for Message<'a> {
    fn from(message: ServerMessage<'a>) -> Self {
        let none = Self { op: message.op().0, ..Self::default() };
        match message {
            ServerMessage::Hello { heartbeat_interval } => {
                Self { heartbeat_interval: Some(heartbeat_interval), ..none }
            }
            ServerMessage::Ready { user } => Self { text: Some(user), ..none },
            ServerMessage::Message { message } => Self { message: Some(message.get()), ..none },
            // What both may say is the same.
            ServerMessage::Heartbeat { time } => ClientMessage::Heartbeat { time }.into(),
            ServerMessage::HeartbeatAck { time } => ClientMessage::HeartbeatAck { time }.into(),
            ServerMessage::Unknown { op, raw } => ClientMessage::Unknown { op, raw }.into(),
            _ => unreachable!("a message of a new kind"),
        }
    }
}

/// How `sender` writes a message.
///
/// # Errors
/// It can't; of several things the one that the codec looks at first.
///
/// # Panics
/// The message lacks something.
pub fn encode(
    message: &Message<'_>,
    sender: Role,
    config: &CodecConfig,
) -> Result<String, EncodeError> {
    let Message { op, .. } = message;
    let string = || serde_json::to_string(&message.text.as_deref().expect("is there"));
    let text = match (message.raw, op) {
        (Some(_), 0 | 2 | 3) if sender == Role::Client => {
            return Err(EncodeError::WrongDirection(OpCode(*op)));
        }
        (Some(_), 1) if sender == Role::Server => {
            return Err(EncodeError::WrongDirection(OpCode(*op)));
        }
        (Some(raw), _) => raw.to_owned(),
        (None, 0) => {
            let millis = message.heartbeat_interval.expect("is there");
            if millis > 1 << 53 {
                return Err(EncodeError::IntervalTooLong(millis));
            }
            format!(r#"{{"op":0,"heartbeat_interval":{millis}}}"#)
        }
        (None, 1) => format!(r#"{{"op":1,"token":{}}}"#, string().expect("a string")),
        (None, 2) => format!(r#"{{"op":2,"user":{}}}"#, string().expect("a string")),
        (None, 3) => format!(r#"{{"op":3,"message":{}}}"#, message.message.expect("is there")),
        (None, _) => match message.time {
            Some(time) => format!(r#"{{"op":{op},"time":{time}}}"#),
            None => format!(r#"{{"op":{op}}}"#),
        },
    };
    let (len, limit) = (text.len(), config.max_message);
    if len > limit {
        return Err(EncodeError::MessageTooLarge { len, limit });
    }
    Ok(text)
}
