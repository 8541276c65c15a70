use alloc::borrow::Cow;
use alloc::string::ToString;
use core::fmt;
use core::str::from_utf8;

use bytes::BufMut;
use smallwire_core::Secret;

use crate::json::unescape;
use crate::scan::{Scanner, error, first_special};
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
        /// The whole message.
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
        /// The whole message.
        raw: JsonRef<'a>,
    },
}

const HEARTBEAT: &str = r#"{"op":2}"#;
const HEARTBEAT_ACK: &str = r#"{"op":3}"#;

impl<'a> ClientMessage<'a> {
    /// Reads a client's message. One pass over the text; nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks L1, L2 or L6. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        if text == HEARTBEAT && text.len() <= config.max_message {
            return Ok(Self::Heartbeat);
        }
        let fields = Fields::read(text, config)?;
        Ok(match fields.op(Role::Client, config)? {
            OpCode::HELLO_ACK => Self::HelloAck { password: fields.password()? },
            OpCode::HEARTBEAT => Self::Heartbeat,
            OpCode::REQUEST => {
                Self::Request { what: fields.what()?, args: fields.args()?, nonce: fields.nonce()? }
            }
            OpCode::RESPONSE => {
                Self::Response { nonce: fields.nonce()?, result: fields.result()? }
            }
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
        Self::from_json(text(bytes, config)?, config)
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

    /// Appends the message to `dst` as compact JSON (L2); an unknown one as it is.
    ///
    /// # Errors
    /// It is longer than `max_message`, its arguments are no array (L4), its sender may not send it
    /// (L1), or `dst` is of fixed size and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        let writer = Writer { sender: Role::Client, config };
        match self {
            Self::HelloAck { password } => {
                let (head, password) = (r#"{"op":1,"password":""#, password.expose());
                let parts = [Part::Json(head), Part::Text(password), Part::Json("\"}")];
                writer.write(OpCode::HELLO_ACK, parts, dst)
            }
            Self::Heartbeat => writer.write(OpCode::HEARTBEAT, [Part::Json(HEARTBEAT)], dst),
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
        if text == HEARTBEAT_ACK && text.len() <= config.max_message {
            return Ok(Self::HeartbeatAck);
        }
        let fields = Fields::read(text, config)?;
        Ok(match fields.op(Role::Server, config)? {
            OpCode::HELLO => Self::Hello { heartbeat_interval: fields.interval()? },
            OpCode::HEARTBEAT_ACK => Self::HeartbeatAck,
            OpCode::REQUEST => {
                Self::Request { what: fields.what()?, args: fields.args()?, nonce: fields.nonce()? }
            }
            OpCode::RESPONSE => {
                Self::Response { nonce: fields.nonce()?, result: fields.result()? }
            }
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
        Self::from_json(text(bytes, config)?, config)
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

    /// Appends the message to `dst` as compact JSON (L2); an unknown one as it is.
    ///
    /// # Errors
    /// It is longer than `max_message`, its arguments are no array (L4), its interval is over 2^53
    /// (L7), its sender may not send it (L1), or `dst` is of fixed size and too small; `dst` is as
    /// it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        let writer = Writer { sender: Role::Server, config };
        match self {
            Self::Hello { heartbeat_interval } => {
                if *heartbeat_interval > MAX_INTERVAL {
                    return Err(EncodeError::IntervalTooLong(*heartbeat_interval));
                }
                let parts = [r#"{"op":0,"hb_interval":"#, &heartbeat_interval.to_string(), "}"];
                writer.write(OpCode::HELLO, parts.map(Part::Json), dst)
            }
            Self::HeartbeatAck => writer.write(OpCode::HEARTBEAT_ACK, [Part::Json(HEARTBEAT_ACK)], dst),
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

/// What a message's object has under the keys that the protocol knows, as JSON.
struct Fields<'a> {
    text: &'a str,
    op: Option<&'a str>,
    hb_interval: Option<&'a str>,
    password: Option<&'a str>,
    w: Option<&'a str>,
    a: Option<&'a str>,
    n: Option<&'a str>,
    r: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_len(text.len(), config)?;
        let mut fields = Self {
            text,
            op: None,
            hb_interval: None,
            password: None,
            w: None,
            a: None,
            n: None,
            r: None,
        };
        let mut scanner = Scanner::new(text);
        if scanner.next_token() != Some(b'{') {
            // JSON of another kind, or none: a second look tells.
            let start = scanner.offset();
            scanner.value(0)?;
            scanner.expect_end()?;
            return Err(error(DecodeErrorKind::NotAnObject, start));
        }
        scanner.expect(b'{')?;
        if !scanner.take(b'}') {
            loop {
                let (key, at) = scanner.key()?;
                let value = scanner.value(1)?;
                fields.put(key, value, at)?;
                if !scanner.take(b',') {
                    break;
                }
            }
            scanner.expect(b'}')?;
        }
        scanner.expect_end()?;
        Ok(fields)
    }

    #[inline]
    fn put(&mut self, key: &str, value: &'a str, at: usize) -> Result<(), DecodeError> {
        let (slot, name) = match key {
            "op" => (&mut self.op, "op"),
            "w" => (&mut self.w, "w"),
            "a" => (&mut self.a, "a"),
            "n" => (&mut self.n, "n"),
            "r" => (&mut self.r, "r"),
            "hb_interval" => (&mut self.hb_interval, "hb_interval"),
            "password" => (&mut self.password, "password"),
            // A key may be written with escapes.
            _ => match key.contains('\\').then(|| unescape(key)).flatten() {
                Some(plain) if !plain.contains('\\') => return self.put(&plain, value, at),
                _ => return Ok(()),
            },
        };
        if slot.replace(value).is_some() {
            return Err(error(DecodeErrorKind::DuplicateKey(name), at));
        }
        Ok(())
    }

    /// The opcode, if `sender` may send it.
    fn op(&self, sender: Role, config: &CodecConfig) -> Result<OpCode, DecodeError> {
        let value = self.required(self.op, "op")?;
        let op = integer(value).and_then(|op| u8::try_from(op).ok()).map(OpCode);
        let op = op.ok_or_else(|| self.invalid(value, "op", "an integer from 0 to 255"))?;
        if !op.may_be_sent_by(sender, config.directions) {
            return Err(error(DecodeErrorKind::WrongDirection(op), self.offset_of(value)));
        }
        Ok(op)
    }

    fn interval(&self) -> Result<u64, DecodeError> {
        let value = self.required(self.hb_interval, "hb_interval")?;
        integer(value)
            .filter(|interval| *interval <= MAX_INTERVAL)
            .ok_or_else(|| self.invalid(value, "hb_interval", "an integer from 0 to 2^53"))
    }

    fn password(&self) -> Result<Secret<Cow<'a, str>>, DecodeError> {
        self.string(self.password, "password").map(Secret::new)
    }

    fn what(&self) -> Result<Cow<'a, str>, DecodeError> {
        self.string(self.w, "w")
    }

    fn args(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(self.a, "a").map(JsonRef)
    }

    fn nonce(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(self.n, "n").map(JsonRef)
    }

    fn result(&self) -> Result<JsonRef<'a>, DecodeError> {
        self.required(self.r, "r").map(JsonRef)
    }

    fn raw(&self) -> JsonRef<'a> {
        JsonRef(self.text.trim_ascii())
    }

    fn string(
        &self,
        value: Option<&'a str>,
        key: &'static str,
    ) -> Result<Cow<'a, str>, DecodeError> {
        let value = self.required(value, key)?;
        let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Err(self.invalid(value, key, "a string"));
        };
        if !inner.as_bytes().contains(&b'\\') {
            return Ok(Cow::Borrowed(inner));
        }
        match unescape(inner) {
            Some(plain) => Ok(Cow::Owned(plain)),
            None => Err(self.invalid(value, key, "a string of whole characters")),
        }
    }

    fn required(
        &self,
        value: Option<&'a str>,
        key: &'static str,
    ) -> Result<&'a str, DecodeError> {
        value.ok_or_else(|| {
            // Where the object ends without it.
            let end = self.text.trim_ascii_end().len().saturating_sub(1);
            error(DecodeErrorKind::MissingKey(key), end)
        })
    }

    #[cold]
    fn invalid(&self, value: &str, key: &'static str, expected: &'static str) -> DecodeError {
        error(DecodeErrorKind::InvalidValue { key, expected }, self.offset_of(value))
    }

    /// Where in the text a part of it is.
    fn offset_of(&self, part: &str) -> usize {
        part.as_ptr().addr().saturating_sub(self.text.as_ptr().addr())
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

/// A part of a message.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// As it is.
    Json(&'a str),
    /// What a string is to say.
    Text(&'a str),
}

impl Part<'_> {
    #[inline]
    fn len(self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Text(text) => escaped_len(text),
        }
    }

    #[inline]
    fn put(self, dst: &mut impl BufMut) {
        match self {
            Self::Json(json) => dst.put_slice(json.as_bytes()),
            Self::Text(text) => put_escaped(text, dst),
        }
    }
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
        use Part::{Json, Text};
        check_args(args)?;
        let (head, args, nonce) = (r#"{"op":4,"w":""#, args.get(), nonce.get());
        let parts = [
            Json(head),
            Text(what),
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
        use Part::{Json, Text};
        check_args(args)?;
        let head = r#"{"op":6,"w":""#;
        let parts = [Json(head), Text(what), Json("\",\"a\":"), Json(args.get()), Json("}")];
        self.write(OpCode::DISPATCH, parts, dst)
    }

    #[inline]
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
        let limit = self.config.max_message;
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
}

/// L4: what we send is an array.
fn check_args(args: JsonRef<'_>) -> Result<(), EncodeError> {
    if args.is_array() { Ok(()) } else { Err(EncodeError::ArgsNotAnArray) }
}

/// How JSON writes a byte that can't stand in a string as it is; the same as serde_json does.
const fn escape(byte: u8) -> ([u8; 6], usize) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0C => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let (high, low) = (HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]);
            return ([b'\\', b'u', b'0', b'0', high, low], 6);
        }
    };
    ([b'\\', letter, 0, 0, 0, 0], 2)
}

/// Calls `each` with the runs of `text` that stay as they are, and the byte after each that doesn't.
#[inline]
fn split_escapes(text: &str, mut each: impl FnMut(&[u8], Option<u8>)) {
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        let (plain, later) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        each(plain, later.first().copied());
        rest = later.get(1..).unwrap_or_default();
    }
    each(rest, None);
}

#[inline]
fn escaped_len(text: &str) -> usize {
    let mut len = 0_usize;
    split_escapes(text, |plain, special| {
        len = len.saturating_add(plain.len());
        len = len.saturating_add(special.map_or(0, |byte| escape(byte).1));
    });
    len
}

#[inline]
fn put_escaped(text: &str, dst: &mut impl BufMut) {
    split_escapes(text, |plain, special| {
        dst.put_slice(plain);
        if let Some(byte) = special {
            let (escaped, len) = escape(byte);
            dst.put_slice(escaped.get(..len).unwrap_or_default());
        }
    });
}
