//! litecord's messages as serde_json reads them: the text over and over, every rule a line.

use std::borrow::Cow;

use litecord_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Directions, EncodeError, OpCode,
    Role, ServerMessage,
};

use super::json::{Object, wrong_in_words_of};

wrong_in_words_of!(litecord_proto);

/// A message: its opcode, and what comes with it; JSON is the text of the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message<'a> {
    /// What it is.
    pub op: u8,
    /// Of a Hello, in milliseconds.
    pub heartbeat_interval: Option<u64>,
    /// The password, or what is asked for or told.
    pub text: Option<Cow<'a, str>>,
    /// Of a Request or Dispatch.
    pub args: Option<&'a str>,
    /// Of a Request or Response.
    pub nonce: Option<&'a str>,
    /// Of a Response.
    pub result: Option<&'a str>,
    /// All of a message that isn't known.
    pub raw: Option<&'a str>,
}

/// The keys that the protocol knows.
const KEYS: [&str; 7] = ["op", "hb_interval", "password", "w", "a", "n", "r"];

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
    if !senders(op, config.directions).contains(&sender) {
        let offset = object.offset_of(object.required("op")?) as u64;
        let kind = DecodeErrorKind::WrongDirection(OpCode(op));
        return Err(DecodeError { kind, offset });
    }
    let mut decoded = Message { op, ..Message::default() };
    match op {
        0 => {
            let expected = "an integer from 0 to 2^53";
            let millis = object.integer("hb_interval", 9_007_199_254_740_992, expected)?;
            decoded.heartbeat_interval = Some(millis);
        }
        1 => decoded.text = Some(object.string("password")?),
        2 | 3 => {}
        4 => {
            decoded.text = Some(object.string("w")?);
            decoded.args = Some(object.required("a")?);
            decoded.nonce = Some(object.required("n")?);
        }
        5 => {
            decoded.nonce = Some(object.required("n")?);
            decoded.result = Some(object.required("r")?);
        }
        6 => {
            decoded.text = Some(object.string("w")?);
            decoded.args = Some(object.required("a")?);
        }
        _ => decoded.raw = Some(object.message),
    }
    Ok(decoded)
}

impl<'a> From<ClientMessage<'a>> for Message<'a> {
    fn from(message: ClientMessage<'a>) -> Self {
        let op = message.op().0;
        match message {
            ClientMessage::HelloAck { password } => {
                Self { op, text: Some(password.into_inner()), ..Self::default() }
            }
            ClientMessage::Heartbeat => Self { op, ..Self::default() },
            ClientMessage::Request { what, args, nonce } => Self {
                op,
                text: Some(what),
                args: Some(args.get()),
                nonce: Some(nonce.get()),
                ..Self::default()
            },
            ClientMessage::Response { nonce, result } => {
                let (nonce, result) = (Some(nonce.get()), Some(result.get()));
                Self { op, nonce, result, ..Self::default() }
            }
            ClientMessage::Dispatch { what, args } => {
                Self { op, text: Some(what), args: Some(args.get()), ..Self::default() }
            }
            ClientMessage::Unknown { op: OpCode(op), raw } => {
                Self { op, raw: Some(raw.get()), ..Self::default() }
            }
            _ => unreachable!("a message of a new kind"),
        }
    }
}

impl<'a> From<ServerMessage<'a>> for Message<'a> {
    fn from(message: ServerMessage<'a>) -> Self {
        let op = message.op().0;
        match message {
            ServerMessage::Hello { heartbeat_interval } => {
                Self { op, heartbeat_interval: Some(heartbeat_interval), ..Self::default() }
            }
            ServerMessage::HeartbeatAck => Self { op, ..Self::default() },
            // What both may say is the same.
            ServerMessage::Request { what, args, nonce } => {
                ClientMessage::Request { what, args, nonce }.into()
            }
            ServerMessage::Response { nonce, result } => {
                ClientMessage::Response { nonce, result }.into()
            }
            ServerMessage::Dispatch { what, args } => ClientMessage::Dispatch { what, args }.into(),
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
    let string = |text: &Option<Cow<'_, str>>| serde_json::to_string(text).expect("a string");
    let json = |json: Option<&str>| json.expect("is there").to_owned();
    let text = match op {
        0 => {
            let millis = message.heartbeat_interval.expect("is there");
            if millis > 1 << 53 {
                return Err(EncodeError::IntervalTooLong(millis));
            }
            format!(r#"{{"op":0,"hb_interval":{millis}}}"#)
        }
        1 => format!(r#"{{"op":1,"password":{}}}"#, string(&message.text)),
        2 | 3 => format!(r#"{{"op":{op}}}"#),
        4 | 6 => {
            let (what, args) = (string(&message.text), json(message.args));
            if !args.starts_with('[') {
                return Err(EncodeError::ArgsNotAnArray);
            }
            let nonce = message.nonce.map_or(String::new(), |nonce| format!(r#","n":{nonce}"#));
            format!(r#"{{"op":{op},"w":{what},"a":{args}{nonce}}}"#)
        }
        5 => format!(r#"{{"op":5,"n":{},"r":{}}}"#, json(message.nonce), json(message.result)),
        _ => json(message.raw),
    };
    if !senders(*op, config.directions).contains(&sender) {
        return Err(EncodeError::WrongDirection(OpCode(*op)));
    }
    let (len, limit) = (text.len(), config.max_message);
    if len > limit {
        return Err(EncodeError::MessageTooLarge { len, limit });
    }
    Ok(text)
}

/// Who may send this.
fn senders(op: u8, directions: Directions) -> &'static [Role] {
    match (op, directions) {
        (0 | 3, _) | (5, Directions::AsDocumented) => &[Role::Server],
        (1 | 2, _) | (4 | 6, Directions::AsDocumented) => &[Role::Client],
        _ => &[Role::Client, Role::Server],
    }
}
