#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use alloc::borrow::Cow;
use core::fmt;
use core::str::from_utf8;

use bytes::BufMut;
use smallwire_core::json::{Fields, Part, decimal, is_natural, plain, plain_len, unquoted, value};
use smallwire_core::{JsonRef, Secret};

use crate::error::{error, unreadable};
use crate::{CodecConfig, DecodeError, DecodeErrorKind, EncodeError};

/// The end of a connection that something is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Who reads along.
    Client,
    /// The gateway.
    Server,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpCode(pub u8);

impl OpCode {
    /// The server's first word: how often both sides send a heartbeat.
    pub const HELLO: Self = Self(0);
    /// The client's token.
    pub const IDENTIFY: Self = Self(1);
    /// The client is let in.
    pub const READY: Self = Self(2);
    /// Something for the client.
    pub const MESSAGE: Self = Self(3);
    /// The sender is alive.
    pub const HEARTBEAT: Self = Self(10);
    /// The other side has heard so.
    pub const HEARTBEAT_ACK: Self = Self(11);

    /// The name of the section that describes it, if the protocol knows it (E3).
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::HELLO => "Hello",
            Self::IDENTIFY => "Identify",
            Self::READY => "Ready",
            Self::MESSAGE => "Message",
            Self::HEARTBEAT => "Heartbeat",
            Self::HEARTBEAT_ACK => "HeartbeatAck",
            _ => return None,
        })
    }

    /// Whether a message of this kind may come from `sender` (E2). Unknown ones may (E3).
    pub const fn may_be_sent_by(self, sender: Role) -> bool {
        let client = matches!(sender, Role::Client);
        match self {
            Self::HELLO | Self::READY | Self::MESSAGE => !client,
            Self::IDENTIFY => client,
            _ => true,
        }
    }
}

impl fmt::Debug for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "OpCode({})", self.0),
        }
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "op {}", self.0),
        }
    }
}

/// Why a connection is closed (E4). Any code is legal; those that the protocol knows have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the client leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// A binary message.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// A message longer than `max_message`.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// Not UTF-8, not JSON, malformed, or out of turn.
    pub const INVALID_PAYLOAD: Self = Self(4001);
    /// No Hello, no Identify, no decision or no heartbeat in time.
    pub const TIMED_OUT: Self = Self(4002);
    /// The token is refused. The only one after which not to connect again (step 6).
    pub const IDENTIFY_FAILED: Self = Self(4003);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client may send, borrowed from the text it came in.
///
/// ```
/// use emagine_proto::{ClientMessage, CodecConfig};
///
/// let config = CodecConfig::default();
/// let text = r#"{"op":10,"time":1579523400000}"#;
/// let message = ClientMessage::from_json(text, &config)?;
/// let ClientMessage::Heartbeat { time: Some(time) } = &message else { panic!() };
/// assert_eq!(time.get(), "1579523400000");
///
/// let mut buffer = Vec::new();
/// message.encode(&config, &mut buffer)?;
/// assert_eq!(buffer, text.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// Says who the client is, on Hello.
    Identify {
        /// What it has from the login endpoint.
        token: Secret<Cow<'a, str>>,
    },
    /// The client is alive.
    Heartbeat {
        /// Unix milliseconds, by the client's clock; peers may send anything, or nothing.
        time: Option<JsonRef<'a>>,
    },
    /// The client has heard a heartbeat.
    HeartbeatAck {
        /// That of the heartbeat.
        time: Option<JsonRef<'a>>,
    },
    /// Something that this version of the protocol doesn't know (E3).
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message; encoded as it is, whatever `op` says.
        raw: JsonRef<'a>,
    },
}

/// What a server may send, borrowed from the text it came in.
///
/// ```
/// use emagine_proto::{CodecConfig, ServerMessage};
///
/// let config = CodecConfig::default();
/// // Two of the four ways to say so (E1).
/// for text in [r#"{"op":2,"user":"ada"}"#, r#"{"op":1,"user":"ada"}"#] {
///     let message = ServerMessage::from_json(text, &config)?;
///     assert_eq!(message, ServerMessage::Ready { user: "ada".into() });
/// }
/// # Ok::<(), emagine_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// The server's first word.
    Hello {
        /// How often both sides send a heartbeat: milliseconds, 0–2^53 (E5).
        heartbeat_interval: u64,
    },
    /// The client is let in.
    Ready {
        /// As whom.
        user: Cow<'a, str>,
    },
    /// Something for the client.
    Message {
        /// What; any JSON.
        message: JsonRef<'a>,
    },
    /// The server is alive.
    Heartbeat {
        /// Unix milliseconds, by the server's clock; peers may send anything, or nothing.
        time: Option<JsonRef<'a>>,
    },
    /// The server has heard a heartbeat.
    HeartbeatAck {
        /// That of the heartbeat.
        time: Option<JsonRef<'a>>,
    },
    /// Something that this version of the protocol doesn't know (E3).
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message; encoded as it is, whatever `op` says.
        raw: JsonRef<'a>,
    },
}

impl<'a> ClientMessage<'a> {
    /// Reads a client's message. One pass over the text; nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks E2, E3 or E4. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_len(text.len(), config)?;
        Ok(if let time @ Some(_) = usual_time(text, HEARTBEAT) {
            Self::Heartbeat { time }
        } else if let time @ Some(_) = usual_time(text, HEARTBEAT_ACK) {
            Self::HeartbeatAck { time }
        } else {
            return Self::read(text);
        })
    }

    fn read(text: &'a str) -> Result<Self, DecodeError> {
        let mut fields = Known::new(text);
        read(&mut fields, text)?;
        Ok(match op(&fields, Role::Client)? {
            OpCode::IDENTIFY => {
                Self::Identify { token: string(&fields, Key::Token).map(Secret::new)? }
            }
            OpCode::HEARTBEAT => Self::Heartbeat { time: json(&fields, Key::Time) },
            OpCode::HEARTBEAT_ACK => Self::HeartbeatAck { time: json(&fields, Key::Time) },
            op => Self::Unknown { op, raw: JsonRef::of_checked(fields.object()) },
        })
    }

    /// As [`from_json`](Self::from_json), of bytes that need not be UTF-8.
    ///
    /// # Errors
    /// They aren't, or as [`from_json`](Self::from_json).
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Result<Self, DecodeError> {
        Self::from_json(text(bytes, config)?, config)
    }

    /// What kind of message it is.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Identify { .. } => OpCode::IDENTIFY,
            Self::Heartbeat { .. } => OpCode::HEARTBEAT,
            Self::HeartbeatAck { .. } => OpCode::HEARTBEAT_ACK,
            Self::Unknown { op, .. } => *op,
        }
    }

    /// Appends the message to `dst` as compact JSON (E3); an unknown one, and JSON in any other, as it
    /// is, so JSON of all 128 levels makes a message that is too deep to be read. A `&mut [u8]` is left with
    /// what is still free of it.
    ///
    /// # Errors
    /// It is longer than `max_message`, its sender may not send it (E2), or `dst` is of fixed size
    /// and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        use Part::Json;
        match self {
            Self::Identify { token } => {
                let (head, token) = (r#"{"op":1,"token":""#, Part::text(token.expose()));
                put([Json(head), token, Json("\"}")], config, dst)
            }
            Self::Heartbeat { time } => put_heartbeat(*time, config, dst),
            Self::HeartbeatAck { time } => put_heartbeat_ack(*time, config, dst),
            Self::Unknown { op, raw } => put_unknown(*op, Role::Client, *raw, config, dst),
        }
    }
}

impl<'a> ServerMessage<'a> {
    /// Reads a server's message. One pass over the text, or two of a Message with other keys behind its
    /// own; nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks E1, E2, E3, E4 or E5. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_len(text.len(), config)?;
        Ok(if let time @ Some(_) = usual_time(text, HEARTBEAT) {
            Self::Heartbeat { time }
        } else if let time @ Some(_) = usual_time(text, HEARTBEAT_ACK) {
            Self::HeartbeatAck { time }
        } else if let Some(user) = usual_user(text) {
            Self::Ready { user: user.into() }
        } else if let Some(message) = usual_message(text) {
            Self::Message { message }
        } else {
            return Self::read(text);
        })
    }

    fn read(text: &'a str) -> Result<Self, DecodeError> {
        let mut fields = Known::new(text);
        read(&mut fields, text)?;
        let op = op(&fields, Role::Server)?;
        // E1: both sections and table count.
        Ok(match (op, json(&fields, Key::Message)) {
            (OpCode::HELLO, _) => Self::Hello { heartbeat_interval: interval(&fields)? },
            (OpCode::READY | OpCode::MESSAGE, Some(message)) => Self::Message { message },
            (OpCode::MESSAGE, None) => return Err(missing(&fields, Key::Message)),
            (OpCode::IDENTIFY | OpCode::READY, _) => {
                Self::Ready { user: string(&fields, Key::User)? }
            }
            (OpCode::HEARTBEAT, _) => Self::Heartbeat { time: json(&fields, Key::Time) },
            (OpCode::HEARTBEAT_ACK, _) => Self::HeartbeatAck { time: json(&fields, Key::Time) },
            (op, _) => Self::Unknown { op, raw: JsonRef::of_checked(fields.object()) },
        })
    }

    /// As [`from_json`](Self::from_json), of bytes that need not be UTF-8.
    ///
    /// # Errors
    /// They aren't, or as [`from_json`](Self::from_json).
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Result<Self, DecodeError> {
        Self::from_json(text(bytes, config)?, config)
    }

    /// What kind of message it is, as we write it (E1).
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Hello { .. } => OpCode::HELLO,
            Self::Ready { .. } => OpCode::READY,
            Self::Message { .. } => OpCode::MESSAGE,
            Self::Heartbeat { .. } => OpCode::HEARTBEAT,
            Self::HeartbeatAck { .. } => OpCode::HEARTBEAT_ACK,
            Self::Unknown { op, .. } => *op,
        }
    }

    /// Appends the message to `dst` as compact JSON (E3); an unknown one, and JSON in any other, as it
    /// is, so JSON of all 128 levels makes a message that is too deep to be read. A `&mut [u8]` is left with
    /// what is still free of it.
    ///
    /// # Errors
    /// It is longer than `max_message`, its interval is over 2^53 (E5), its sender may not send it
    /// (E2), or `dst` is of fixed size and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        use Part::Json;
        match self {
            Self::Hello { heartbeat_interval } => {
                if *heartbeat_interval > MAX_INTERVAL {
                    return Err(EncodeError::IntervalTooLong(*heartbeat_interval));
                }
                let mut room = [0; 20];
                let interval = Json(decimal(*heartbeat_interval, &mut room));
                put([Json(r#"{"op":0,"heartbeat_interval":"#), interval, Json("}")], config, dst)
            }
            Self::Ready { user } => put([Json(READY), Part::text(user), Json("\"}")], config, dst),
            Self::Message { message } => {
                put([Json(MESSAGE), Json(message.get()), Json("}")], config, dst)
            }
            Self::Heartbeat { time } => put_heartbeat(*time, config, dst),
            Self::HeartbeatAck { time } => put_heartbeat_ack(*time, config, dst),
            Self::Unknown { op, raw } => put_unknown(*op, Role::Server, *raw, config, dst),
        }
    }
}

/// The longest heartbeat interval, in milliseconds (E5).
const MAX_INTERVAL: u64 = 1 << 53;

#[inline(always)]
fn check_len(len: usize, config: &CodecConfig) -> Result<(), DecodeError> {
    let limit = config.max_message;
    if len > limit { Err(too_large(len, limit)) } else { Ok(()) }
}

#[cold]
fn too_large(len: usize, limit: usize) -> DecodeError {
    error(DecodeErrorKind::MessageTooLarge { len, limit }, limit)
}

fn text<'a>(bytes: &'a [u8], config: &CodecConfig) -> Result<&'a str, DecodeError> {
    check_len(bytes.len(), config)?;
    from_utf8(bytes).map_err(|e| error(DecodeErrorKind::NotUtf8, e.valid_up_to()))
}

/// How we write what comes often, up to the value of its other key; so does nearly everyone.
const HEARTBEAT: &str = r#"{"op":10,"time":"#;
const HEARTBEAT_ACK: &str = r#"{"op":11,"time":"#;
const READY: &str = r#"{"op":2,"user":""#;
const MESSAGE: &str = r#"{"op":3,"message":"#;

/// The `time` of such a heartbeat or ack, if it is a time. `None`: it may be one all the same.
#[inline(always)]
fn usual_time<'a>(text: &'a str, start: &str) -> Option<JsonRef<'a>> {
    let time = text.strip_prefix(start)?.strip_suffix('}')?;
    is_natural(time).then(|| JsonRef::of_checked(time))
}

/// The same of what such a Ready says.
#[inline(always)]
fn usual_user(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(READY)?;
    let (user, end) = rest.split_at_checked(plain_len(rest.as_bytes(), text.as_bytes()))?;
    (end == "\"}").then_some(user)
}

/// The same of what such a Message delivers.
#[inline(always)]
fn usual_message(text: &str) -> Option<JsonRef<'_>> {
    let message = text.strip_prefix(MESSAGE)?.strip_suffix('}')?;
    let end = value(message.as_bytes(), 1).ok()?;
    end.is_empty().then(|| JsonRef::of_checked(message))
}

/// The keys that the protocol knows.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Op,
    HeartbeatInterval,
    Token,
    User,
    Message,
    Time,
}

impl Key {
    pub(crate) const ALL: [Self; 6] =
        [Self::Op, Self::HeartbeatInterval, Self::Token, Self::User, Self::Message, Self::Time];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Op => "op",
            Self::HeartbeatInterval => "heartbeat_interval",
            Self::Token => "token",
            Self::User => "user",
            Self::Message => "message",
            Self::Time => "time",
        }
    }

    /// Takes one and its colon, if they stand there as they do nearly always.
    #[inline(always)]
    fn take_usual(rest: &[u8]) -> Option<(usize, &[u8])> {
        let (key, later) = match rest {
            [b'"', b'o', b'p', b'"', b':', later @ ..] => (Self::Op, later),
            [b'"', b't', b'i', b'm', b'e', b'"', b':', later @ ..] => (Self::Time, later),
            [b'"', b'u', b's', b'e', b'r', b'"', b':', later @ ..] => (Self::User, later),
            [b'"', b'm', b'e', b's', b's', b'a', b'g', b'e', b'"', b':', later @ ..] => {
                (Self::Message, later)
            }
            _ => return None,
        };
        Some((key as usize, later))
    }
}

type Known<'a> = Fields<'a, { Key::ALL.len() }>;

/// Reads the one object in `text`. In place: a result with all the fields in it would be copied.
fn read<'a>(fields: &mut Known<'a>, text: &'a str) -> Result<(), DecodeError> {
    let known = |name: &str| Key::ALL.into_iter().position(|key| key.name() == name);
    fields.read(Key::take_usual, known).map_err(|why| unreadable(text, why))
}

/// The opcode, if `sender` may send it. A server's Ready may call itself an Identify (E1).
#[inline(always)]
fn op(fields: &Known<'_>, sender: Role) -> Result<OpCode, DecodeError> {
    let value = required(fields, Key::Op)?;
    let op = value.parse().ok().map(OpCode);
    let op = op.ok_or_else(|| invalid(fields, value, Key::Op, "an integer from 0 to 255"))?;
    let is_ready = matches!((op, sender), (OpCode::IDENTIFY, Role::Server));
    if !op.may_be_sent_by(sender) && !is_ready {
        return Err(error(DecodeErrorKind::WrongDirection(op), fields.offset_of(value)));
    }
    Ok(op)
}

fn interval(fields: &Known<'_>) -> Result<u64, DecodeError> {
    let value = required(fields, Key::HeartbeatInterval)?;
    value
        .parse()
        .ok()
        .filter(|interval| *interval <= MAX_INTERVAL)
        .ok_or_else(|| invalid(fields, value, Key::HeartbeatInterval, "an integer from 0 to 2^53"))
}

#[inline(always)]
fn json<'a>(fields: &Known<'a>, key: Key) -> Option<JsonRef<'a>> {
    fields.get(key as usize).map(JsonRef::of_checked)
}

fn string<'a>(fields: &Known<'a>, key: Key) -> Result<Cow<'a, str>, DecodeError> {
    let value = required(fields, key)?;
    let inner = unquoted(value).ok_or_else(|| invalid(fields, value, key, "a string"))?;
    plain(inner).ok_or_else(|| invalid(fields, value, key, "a string of whole characters"))
}

#[inline(always)]
fn required<'a>(fields: &Known<'a>, key: Key) -> Result<&'a str, DecodeError> {
    fields.get(key as usize).ok_or_else(|| missing(fields, key))
}

#[cold]
fn missing(fields: &Known<'_>, key: Key) -> DecodeError {
    error(DecodeErrorKind::MissingKey(key.name()), fields.end())
}

#[cold]
fn invalid(fields: &Known<'_>, value: &str, key: Key, expected: &'static str) -> DecodeError {
    let kind = DecodeErrorKind::InvalidValue { key: key.name(), expected };
    error(kind, fields.offset_of(value))
}

#[inline(always)]
fn put_heartbeat(
    time: Option<JsonRef<'_>>,
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    use Part::Json;
    match time {
        Some(time) => put([Json(HEARTBEAT), Json(time.get()), Json("}")], config, dst),
        None => put([Json(r#"{"op":10}"#)], config, dst),
    }
}

#[inline(always)]
fn put_heartbeat_ack(
    time: Option<JsonRef<'_>>,
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    use Part::Json;
    match time {
        Some(time) => put([Json(HEARTBEAT_ACK), Json(time.get()), Json("}")], config, dst),
        None => put([Json(r#"{"op":11}"#)], config, dst),
    }
}

fn put_unknown(
    op: OpCode,
    sender: Role,
    raw: JsonRef<'_>,
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    if !op.may_be_sent_by(sender) {
        return Err(EncodeError::WrongDirection(op));
    }
    put([Part::Json(raw.get())], config, dst)
}

/// Appends a message, checking everything before the first byte.
#[inline(always)]
fn put<const N: usize>(
    parts: [Part<'_>; N],
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
    let limit = config.max_message;
    if len > limit {
        return Err(EncodeError::MessageTooLarge { len, limit });
    }
    if dst.remaining_mut() < len {
        return Err(EncodeError::BufferFull);
    }
    for part in parts {
        part.put(dst);
    }
    Ok(())
}
