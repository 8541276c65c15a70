//! litecord's messages as serde_json reads them: the text over and over, every rule a line.

use std::borrow::Cow;

use litecord_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Directions, EncodeError, OpCode,
    Role, ServerMessage,
};

use super::json::{Fault, WHITE_SPACE, entries, fault};

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
    let wrong = |kind, offset: usize| DecodeError { kind, offset: offset as u64 };
    let (len, limit) = (bytes.len(), config.max_message);
    if len > limit {
        return Err(wrong(DecodeErrorKind::MessageTooLarge { len, limit }, limit));
    }
    let text =
        str::from_utf8(bytes).map_err(|e| wrong(DecodeErrorKind::NotUtf8, e.valid_up_to()))?;
    let offset_of = |part: &str| part.as_ptr().addr() - text.as_ptr().addr();

    let fault = fault(text, 128);
    let whole = match fault {
        None => Ok(()),
        Some((Fault::TooDeep, offset)) => Err(wrong(DecodeErrorKind::TooDeep, offset)),
        Some((Fault::NotJson, offset)) => Err(wrong(DecodeErrorKind::NotJson, offset)),
    };
    let message = text.trim_matches(WHITE_SPACE);
    if !message.starts_with('{') {
        whole?;
        return Err(wrong(DecodeErrorKind::NotAnObject, offset_of(message)));
    }
    // A key that stands there twice may come before what is no JSON any more.
    let readable = fault.map_or(text, |(_, offset)| &text[..offset]);
    let mut values = [None; KEYS.len()];
    for (written, value) in entries(readable) {
        let plain = serde_json::from_str::<String>(written).ok();
        let Some(at) = KEYS.iter().position(|key| plain.as_deref() == Some(*key)) else { continue };
        if values[at].replace(value).is_some() {
            return Err(wrong(DecodeErrorKind::DuplicateKey(KEYS[at]), offset_of(written)));
        }
    }
    whole?;

    let end = offset_of(message) + message.len() - 1;
    let [op, interval, password, what, args, nonce, result] = std::array::from_fn(|at| {
        values[at].ok_or(wrong(DecodeErrorKind::MissingKey(KEYS[at]), end))
    });
    let invalid = |value: &str, key, expected| {
        wrong(DecodeErrorKind::InvalidValue { key, expected }, offset_of(value))
    };
    let string = |value: &'a str, key| {
        let expected =
            if value.starts_with('"') { "a string of whole characters" } else { "a string" };
        let string = serde_json::from_str::<String>(value);
        string.map(|s| Some(s.into())).map_err(|_| invalid(value, key, expected))
    };

    let op_text = op?;
    let op: u8 = serde_json::from_str(op_text)
        .map_err(|_| invalid(op_text, "op", "an integer from 0 to 255"))?;
    if !senders(op, config.directions).contains(&sender) {
        return Err(wrong(DecodeErrorKind::WrongDirection(OpCode(op)), offset_of(op_text)));
    }
    let mut decoded = Message { op, ..Message::default() };
    match op {
        0 => {
            let millis = serde_json::from_str::<u64>(interval?).ok();
            let millis = millis.filter(|millis| *millis <= 9_007_199_254_740_992);
            let expected = "an integer from 0 to 2^53";
            decoded.heartbeat_interval =
                Some(millis.ok_or(invalid(interval?, "hb_interval", expected))?);
        }
        1 => decoded.text = string(password?, "password")?,
        2 | 3 => {}
        4 => {
            decoded.text = string(what?, "w")?;
            (decoded.args, decoded.nonce) = (Some(args?), Some(nonce?));
        }
        5 => (decoded.nonce, decoded.result) = (Some(nonce?), Some(result?)),
        6 => {
            decoded.text = string(what?, "w")?;
            decoded.args = Some(args?);
        }
        _ => decoded.raw = Some(message),
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
