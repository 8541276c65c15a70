#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use alloc::borrow::Cow;
use core::fmt;
use core::str::from_utf8;

use bytes::BufMut;
use smallwire_core::Secret;
use smallwire_core::json::{self, Part, decimal, plain, unquoted};

use crate::error::{error, unreadable};
use crate::{CodecConfig, DecodeError, DecodeErrorKind, Directions, EncodeError, JsonRef};

/// The end of a connection that something is sent by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The component that connects.
    Client,
    /// The component that listens.
    Server,
}

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpCode(pub u8);

impl OpCode {
    /// The server's first word: how often it wants to hear a heartbeat.
    pub const HELLO: Self = Self(0);
    /// The client's password.
    pub const HELLO_ACK: Self = Self(1);
    /// The client is alive.
    pub const HEARTBEAT: Self = Self(2);
    /// The server has heard so.
    pub const HEARTBEAT_ACK: Self = Self(3);
    /// Asks for a response.
    pub const REQUEST: Self = Self(4);
    /// Answers a request.
    pub const RESPONSE: Self = Self(5);
    /// Tells something that no response is to come to.
    pub const DISPATCH: Self = Self(6);

    /// The name in the document's table, if it is there (L3).
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::HELLO => "HELLO",
            Self::HELLO_ACK => "HELLO_ACK",
            Self::HEARTBEAT => "HEARTBEAT",
            Self::HEARTBEAT_ACK => "HEARTBEAT_ACK",
            Self::REQUEST => "REQUEST",
            Self::RESPONSE => "RESPONSE",
            Self::DISPATCH => "DISPATCH",
            _ => return None,
        })
    }

    /// Whether a message of this kind may come from `sender` (L1). Unknown ones may (L3).
    pub const fn may_be_sent_by(self, sender: Role, directions: Directions) -> bool {
        let client = matches!(sender, Role::Client);
        let documented = matches!(directions, Directions::AsDocumented);
        match self {
            Self::HELLO | Self::HEARTBEAT_ACK => !client,
            Self::HELLO_ACK | Self::HEARTBEAT => client,
            Self::REQUEST | Self::DISPATCH => client || !documented,
            Self::RESPONSE => !client || !documented,
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

/// Why a connection is closed (L6). Any code is legal; those that the protocol knows have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the client leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// A binary message where nothing is compressed.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Not UTF-8, not JSON, or not a zlib stream.
    pub const INVALID_DATA: Self = Self(1007);
    /// JSON that violates the protocol.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message longer than `max_message`.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The password is wrong. The only one after which not to connect again (step 6).
    pub const AUTHENTICATION_FAILED: Self = Self(4001);
    /// A heartbeat, request, response or dispatch before authentication.
    pub const NOT_AUTHENTICATED: Self = Self(4002);
    /// No heartbeat in time.
    pub const HEARTBEAT_TIMEOUT: Self = Self(4003);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a client may send, borrowed from the text it came in.
///
/// ```
/// use litecord_proto::{ClientMessage, CodecConfig};
///
/// let config = CodecConfig::default();
/// let text = r#"{"op":4,"w":"GUILD_SUBSCRIBERS","a":[42],"n":1}"#;
/// let message = ClientMessage::from_json(text, &config)?;
/// let ClientMessage::Request { what, args, nonce } = &message else { panic!() };
/// assert_eq!(what, "GUILD_SUBSCRIBERS");
/// assert_eq!(args.parse::<[u64; 1]>()?, [42]);
/// assert_eq!(nonce.get(), "1");
///
/// let mut buffer = Vec::new();
/// message.encode(&config, &mut buffer)?;
/// assert_eq!(buffer, text.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// Says the password, on Hello.
    HelloAck {
        /// Any text that both sides know.
        password: Secret<Cow<'a, str>>,
    },
    /// The client is alive.
    Heartbeat,
    /// Asks for a response.
    Request {
        /// What to ask for; a word of the application's.
        what: Cow<'a, str>,
        /// The arguments: an array, but peers may send anything (L4).
        args: JsonRef<'a>,
        /// What the response will carry; any value (L5).
        nonce: JsonRef<'a>,
    },
    /// Answers a request of the server (L1).
    Response {
        /// That of the request.
        nonce: JsonRef<'a>,
        /// The answer.
        result: JsonRef<'a>,
    },
    /// Tells something that no response is to come to.
    Dispatch {
        /// What; a word of the application's.
        what: Cow<'a, str>,
        /// The arguments: an array, but peers may send anything (L4).
        args: JsonRef<'a>,
    },
    /// Something that this version of the protocol doesn't know (L3).
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
/// use litecord_proto::{CodecConfig, ServerMessage};
///
/// let message = ServerMessage::from_json(r#"{"op":0,"hb_interval":10000}"#, &CodecConfig::default())?;
/// assert_eq!(message, ServerMessage::Hello { heartbeat_interval: 10_000 });
/// # Ok::<(), litecord_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// The server's first word.
    Hello {
        /// How often it wants to hear a heartbeat: milliseconds, 0–2^53 (L7).
        heartbeat_interval: u64,
    },
    /// The server has heard a heartbeat.
    HeartbeatAck,
    /// Asks for a response (L1).
    Request {
        /// What to ask for; a word of the application's.
        what: Cow<'a, str>,
        /// The arguments: an array, but peers may send anything (L4).
        args: JsonRef<'a>,
        /// What the response will carry; any value (L5).
        nonce: JsonRef<'a>,
    },
    /// Answers a request of the client.
    Response {
        /// That of the request.
        nonce: JsonRef<'a>,
        /// The answer.
        result: JsonRef<'a>,
    },
    /// Tells something that no response is to come to (L1).
    Dispatch {
        /// What; a word of the application's.
        what: Cow<'a, str>,
        /// The arguments: an array, but peers may send anything (L4).
        args: JsonRef<'a>,
    },
    /// Something that this version of the protocol doesn't know (L3).
    Unknown {
        /// Its opcode.
        op: OpCode,
        /// The whole message; encoded as it is, whatever `op` says.
        raw: JsonRef<'a>,
    },
}

const HEARTBEAT: &str = r#"{"op":2}"#;
const HEARTBEAT_ACK: &str = r#"{"op":3}"#;

/// Whether these bytes are one of those two, as everybody writes it.
#[inline]
fn is_short(bytes: &[u8], usual: &str, config: &CodecConfig) -> bool {
    bytes == usual.as_bytes() && bytes.len() <= config.max_message
}

impl<'a> ClientMessage<'a> {
    /// Reads a client's message. One pass over the text; nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks L1, L2 or L6. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        if is_short(text.as_bytes(), HEARTBEAT, config) {
            return Ok(Self::Heartbeat);
        }
        Self::read(text, config)
    }

    fn read(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(text);
        fields.read(text, config)?;
        Ok(match fields.op(Role::Client, config)? {
            OpCode::HELLO_ACK => Self::HelloAck { password: fields.password()? },
            OpCode::HEARTBEAT => Self::Heartbeat,
            OpCode::REQUEST => {
                Self::Request { what: fields.what()?, args: fields.args()?, nonce: fields.nonce()? }
            }
            OpCode::RESPONSE => Self::Response { nonce: fields.nonce()?, result: fields.result()? },
            OpCode::DISPATCH => Self::Dispatch { what: fields.what()?, args: fields.args()? },
            op => Self::Unknown { op, raw: fields.raw() },
        })
    }

    /// As [`from_json`](Self::from_json), of bytes that need not be UTF-8.
    ///
    /// # Errors
    /// They aren't, or as [`from_json`](Self::from_json).
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Result<Self, DecodeError> {
        if is_short(bytes, HEARTBEAT, config) {
            return Ok(Self::Heartbeat);
        }
        Self::read(text(bytes, config)?, config)
    }

    /// What kind of message it is.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::HelloAck { .. } => OpCode::HELLO_ACK,
            Self::Heartbeat => OpCode::HEARTBEAT,
            Self::Request { .. } => OpCode::REQUEST,
            Self::Response { .. } => OpCode::RESPONSE,
            Self::Dispatch { .. } => OpCode::DISPATCH,
            Self::Unknown { op, .. } => *op,
        }
    }

    /// Appends the message to `dst` as compact JSON (L2); an unknown one, and JSON in any other, as it is,
    /// so JSON of all 128 levels makes a message that is too deep to be read. A `&mut [u8]` is left with
    /// what is still free of it.
    ///
    /// # Errors
    /// It is longer than `max_message`, its arguments are no array (L4), its sender may not send it
    /// (L1), or `dst` is of fixed size and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        match self {
            Self::Heartbeat => put(HEARTBEAT, config, dst),
            _ => self.write(config, dst),
        }
    }

    fn write(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        let writer = Writer { sender: Role::Client, config };
        match self {
            Self::HelloAck { password } => {
                let (head, password) = (r#"{"op":1,"password":""#, password.expose());
                let parts = [Part::Json(head), Part::text(password), Part::Json("\"}")];
                writer.write(OpCode::HELLO_ACK, parts, dst)
            }
            Self::Heartbeat => put(HEARTBEAT, config, dst),
            Self::Request { what, args, nonce } => writer.request(what, *args, *nonce, dst),
            Self::Response { nonce, result } => writer.response(*nonce, *result, dst),
            Self::Dispatch { what, args } => writer.dispatch(what, *args, dst),
            Self::Unknown { op, raw } => writer.write(*op, [Part::Json(raw.get())], dst),
        }
    }
}

impl<'a> ServerMessage<'a> {
    /// Reads a server's message. One pass over the text; nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks L1, L2, L6 or L7. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        if is_short(text.as_bytes(), HEARTBEAT_ACK, config) {
            return Ok(Self::HeartbeatAck);
        }
        Self::read(text, config)
    }

    fn read(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(text);
        fields.read(text, config)?;
        Ok(match fields.op(Role::Server, config)? {
            OpCode::HELLO => Self::Hello { heartbeat_interval: fields.interval()? },
            OpCode::HEARTBEAT_ACK => Self::HeartbeatAck,
            OpCode::REQUEST => {
                Self::Request { what: fields.what()?, args: fields.args()?, nonce: fields.nonce()? }
            }
            OpCode::RESPONSE => Self::Response { nonce: fields.nonce()?, result: fields.result()? },
            OpCode::DISPATCH => Self::Dispatch { what: fields.what()?, args: fields.args()? },
            op => Self::Unknown { op, raw: fields.raw() },
        })
    }

    /// As [`from_json`](Self::from_json), of bytes that need not be UTF-8.
    ///
    /// # Errors
    /// They aren't, or as [`from_json`](Self::from_json).
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Result<Self, DecodeError> {
        if is_short(bytes, HEARTBEAT_ACK, config) {
            return Ok(Self::HeartbeatAck);
        }
        Self::read(text(bytes, config)?, config)
    }

    /// What kind of message it is.
    pub const fn op(&self) -> OpCode {
        match self {
            Self::Hello { .. } => OpCode::HELLO,
            Self::HeartbeatAck => OpCode::HEARTBEAT_ACK,
            Self::Request { .. } => OpCode::REQUEST,
            Self::Response { .. } => OpCode::RESPONSE,
            Self::Dispatch { .. } => OpCode::DISPATCH,
            Self::Unknown { op, .. } => *op,
        }
    }

    /// Appends the message to `dst` as compact JSON (L2); an unknown one, and JSON in any other, as it is,
    /// so JSON of all 128 levels makes a message that is too deep to be read. A `&mut [u8]` is left with
    /// what is still free of it.
    ///
    /// # Errors
    /// It is longer than `max_message`, its arguments are no array (L4), its interval is over 2^53
    /// (L7), its sender may not send it (L1), or `dst` is of fixed size and too small; `dst` is as
    /// it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        match self {
            Self::HeartbeatAck => put(HEARTBEAT_ACK, config, dst),
            _ => self.write(config, dst),
        }
    }

    fn write(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        let writer = Writer { sender: Role::Server, config };
        match self {
            Self::Hello { heartbeat_interval } => {
                if *heartbeat_interval > MAX_INTERVAL {
                    return Err(EncodeError::IntervalTooLong(*heartbeat_interval));
                }
                let mut room = [0; 20];
                let interval = decimal(*heartbeat_interval, &mut room);
                let parts = [r#"{"op":0,"hb_interval":"#, interval, "}"];
                writer.write(OpCode::HELLO, parts.map(Part::Json), dst)
            }
            Self::HeartbeatAck => put(HEARTBEAT_ACK, config, dst),
            Self::Request { what, args, nonce } => writer.request(what, *args, *nonce, dst),
            Self::Response { nonce, result } => writer.response(*nonce, *result, dst),
            Self::Dispatch { what, args } => writer.dispatch(what, *args, dst),
            Self::Unknown { op, raw } => writer.write(*op, [Part::Json(raw.get())], dst),
        }
    }
}

/// The longest heartbeat interval, in milliseconds (L7).
const MAX_INTERVAL: u64 = 1 << 53;

fn check_len(len: usize, config: &CodecConfig) -> Result<(), DecodeError> {
    let limit = config.max_message;
    if len > limit {
        return Err(error(DecodeErrorKind::MessageTooLarge { len, limit }, limit));
    }
    Ok(())
}

fn text<'a>(bytes: &'a [u8], config: &CodecConfig) -> Result<&'a str, DecodeError> {
    check_len(bytes.len(), config)?;
    from_utf8(bytes).map_err(|e| error(DecodeErrorKind::NotUtf8, e.valid_up_to()))
}

/// The keys that the protocol knows.
#[derive(Clone, Copy)]
pub(crate) enum Key {
    Op,
    W,
    A,
    N,
    R,
    HbInterval,
    Password,
}

impl Key {
    pub(crate) const ALL: [Self; 7] =
        [Self::Op, Self::W, Self::A, Self::N, Self::R, Self::HbInterval, Self::Password];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Op => "op",
            Self::W => "w",
            Self::A => "a",
            Self::N => "n",
            Self::R => "r",
            Self::HbInterval => "hb_interval",
            Self::Password => "password",
        }
    }

    /// Takes a short one and its colon, if they stand there as they do nearly always.
    #[inline(always)]
    fn take_short(rest: &[u8]) -> Option<(usize, &[u8])> {
        let (start, later) = rest.split_first_chunk::<4>()?;
        let (key, later) = match start {
            b"\"w\":" => (Self::W, later),
            b"\"a\":" => (Self::A, later),
            b"\"n\":" => (Self::N, later),
            b"\"r\":" => (Self::R, later),
            b"\"op\"" => (Self::Op, later.strip_prefix(b":")?),
            _ => return None,
        };
        Some((key as usize, later))
    }
}

/// What a message's object has under the keys that the protocol knows, as JSON.
struct Fields<'a>(json::Fields<'a, { Key::ALL.len() }>);

impl<'a> Fields<'a> {
    #[inline(always)]
    fn new(text: &'a str) -> Self {
        Self(json::Fields::new(text))
    }

    #[inline(always)]
    fn read(&mut self, text: &str, config: &CodecConfig) -> Result<(), DecodeError> {
        check_len(text.len(), config)?;
        let known = |name: &str| Key::ALL.into_iter().position(|key| key.name() == name);
        self.0.read(Key::take_short, known).map_err(|why| unreadable(text, why))
    }

    /// The opcode, if `sender` may send it.
    #[inline]
    fn op(&self, sender: Role, config: &CodecConfig) -> Result<OpCode, DecodeError> {
        let value = self.required(Key::Op)?;
        let op = integer(value).and_then(|op| u8::try_from(op).ok()).map(OpCode);
        let op = op.ok_or_else(|| self.invalid(value, Key::Op, "an integer from 0 to 255"))?;
        if !op.may_be_sent_by(sender, config.directions) {
            return Err(error(DecodeErrorKind::WrongDirection(op), self.0.offset_of(value)));
        }
        Ok(op)
    }

    fn interval(&self) -> Result<u64, DecodeError> {
        let value = self.required(Key::HbInterval)?;
        integer(value)
            .filter(|interval| *interval <= MAX_INTERVAL)
            .ok_or_else(|| self.invalid(value, Key::HbInterval, "an integer from 0 to 2^53"))
    }

    fn password(&self) -> Result<Secret<Cow<'a, str>>, DecodeError> {
        self.string(Key::Password).map(Secret::new)
    }

    fn what(&self) -> Result<Cow<'a, str>, DecodeError> {
        self.string(Key::W)
    }

    fn args(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(Key::A).map(JsonRef::of_checked)
    }

    fn nonce(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(Key::N).map(JsonRef::of_checked)
    }

    fn result(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(Key::R).map(JsonRef::of_checked)
    }

    fn raw(&self) -> JsonRef<'a> {
        JsonRef::of_checked(self.0.object())
    }

    fn string(&self, key: Key) -> Result<Cow<'a, str>, DecodeError> {
        let value = self.required(key)?;
        let Some(inner) = unquoted(value) else {
            return Err(self.invalid(value, key, "a string"));
        };
        plain(inner).ok_or_else(|| self.invalid(value, key, "a string of whole characters"))
    }

    #[inline]
    fn required(&self, key: Key) -> Result<&'a str, DecodeError> {
        self.0.get(key as usize).ok_or_else(|| self.missing(key))
    }

    #[cold]
    fn missing(&self, key: Key) -> DecodeError {
        error(DecodeErrorKind::MissingKey(key.name()), self.0.end())
    }

    #[cold]
    fn invalid(&self, value: &str, key: Key, expected: &'static str) -> DecodeError {
        let kind = DecodeErrorKind::InvalidValue { key: key.name(), expected };
        error(kind, self.0.offset_of(value))
    }
}

/// A number written as an integer without a sign.
fn integer(value: &str) -> Option<u64> {
    // `parse` would take a plus sign, which JSON has not.
    value.parse().ok()
}

/// Writes one message of `sender`, checking everything before the first byte.
pub(crate) struct Writer<'a> {
    pub(crate) sender: Role,
    pub(crate) config: &'a CodecConfig,
}

impl Writer<'_> {
    #[inline]
    pub(crate) fn request(
        &self,
        what: &str,
        args: JsonRef<'_>,
        nonce: JsonRef<'_>,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        use Part::Json;
        check_args(args)?;
        let (head, args, nonce) = (r#"{"op":4,"w":""#, args.get(), nonce.get());
        let parts = [
            Json(head),
            Part::text(what),
            Json("\",\"a\":"),
            Json(args),
            Json(",\"n\":"),
            Json(nonce),
            Json("}"),
        ];
        self.write(OpCode::REQUEST, parts, dst)
    }

    #[inline]
    pub(crate) fn response(
        &self,
        nonce: JsonRef<'_>,
        result: JsonRef<'_>,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        let (head, nonce, result) = (r#"{"op":5,"n":"#, nonce.get(), result.get());
        let parts = [head, nonce, ",\"r\":", result, "}"];
        self.write(OpCode::RESPONSE, parts.map(Part::Json), dst)
    }

    #[inline]
    pub(crate) fn dispatch(
        &self,
        what: &str,
        args: JsonRef<'_>,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        use Part::Json;
        check_args(args)?;
        let head = r#"{"op":6,"w":""#;
        let parts = [Json(head), Part::text(what), Json("\",\"a\":"), Json(args.get()), Json("}")];
        self.write(OpCode::DISPATCH, parts, dst)
    }

    #[inline(always)]
    fn write<const N: usize>(
        &self,
        op: OpCode,
        parts: [Part<'_>; N],
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        if !op.may_be_sent_by(self.sender, self.config.directions) {
            return Err(EncodeError::WrongDirection(op));
        }
        let len = parts.iter().fold(0_usize, |len, part| len.saturating_add(part.len()));
        check_room(len, self.config, dst)?;
        for part in &parts {
            part.put(dst);
        }
        Ok(())
    }
}

/// Appends a message that has no parts.
#[inline]
fn put(json: &str, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
    check_room(json.len(), config, dst)?;
    dst.put_slice(json.as_bytes());
    Ok(())
}

#[inline]
fn check_room(len: usize, config: &CodecConfig, dst: &impl BufMut) -> Result<(), EncodeError> {
    let limit = config.max_message;
    if len > limit {
        return Err(EncodeError::MessageTooLarge { len, limit });
    }
    if dst.remaining_mut() < len {
        return Err(EncodeError::BufferFull);
    }
    Ok(())
}

/// L4: what we send is an array.
fn check_args(args: JsonRef<'_>) -> Result<(), EncodeError> {
    if args.is_array() { Ok(()) } else { Err(EncodeError::ArgsNotAnArray) }
}
