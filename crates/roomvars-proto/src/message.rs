use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::from_utf8;

use bytes::BufMut;

use crate::codec::{
    Fields, Space, check_len, put_create, put_delete, put_handshake, put_raw, put_rename, put_set,
    usual_set,
};
use crate::error::error;
use crate::{CodecConfig, DecodeError, DecodeErrorKind, Dialect, EncodeError, Variables};

/// Why a connection is closed (R4). Any code is legal; those that the protocol knows have a name,
/// which may mean something else in another dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server shuts down, or the client leaves.
    pub const GOING_AWAY: Self = Self(1001);
    /// A binary message.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// What a server sent is not UTF-8 or not JSON.
    pub const INVALID_DATA: Self = Self(1007);
    /// What a server sent is JSON that violates the protocol.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// What a server sent is longer than the client takes.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The client violates the protocol.
    pub const GENERIC: Self = Self(4000);
    /// The client's variables aren't those of the room. Not in the Scratch dialect.
    pub const INCOMPATIBLE: Self = Self(4001);
    /// The username is too short, too long, taken, or not acceptable.
    pub const USERNAME: Self = Self(4002);
    /// The server, or the room, is full.
    pub const OVERLOADED: Self = Self(4003);
    /// The client was thrown out, and may come back. In the Scratch dialect it is
    /// [`UNAVAILABLE`](Self::UNAVAILABLE).
    pub const TRY_AGAIN_LATER: Self = Self(4004);
    /// The room is not to be had. In the Scratch dialect only.
    pub const UNAVAILABLE: Self = Self(4004);
    /// Closed for security. In the Scratch dialect only.
    pub const SECURITY: Self = Self(4005);
    /// The client has to say who it is. In the Scratch dialect only.
    pub const IDENTIFY_YOURSELF: Self = Self(4006);

    /// Whether a client that was told this may connect again, after a
    /// [`Backoff`](crate::Backoff)'s delay (R4). Not after a code that the protocol doesn't know.
    pub const fn should_reconnect(self, dialect: Dialect) -> bool {
        match self {
            Self(1000..=1999) | Self::GENERIC | Self::OVERLOADED => true,
            Self::TRY_AGAIN_LATER => !matches!(dialect, Dialect::Scratch),
            _ => false,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A variable's value, or a room's id, as it is on the wire: text, or in the Scratch dialect also a
/// number (R3).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueRef<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A JSON number, byte for byte: `1.0` and `1` differ.
    Number(&'a str),
}

impl<'a> ValueRef<'a> {
    /// Borrowed text.
    pub const fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Its text, or the number as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number,
        }
    }

    /// A copy that lives as long as you like.
    pub fn to_owned(&self) -> Value {
        match self {
            Self::Text(text) => Value::Text(Box::from(&**text)),
            Self::Number(number) => Value::Number(Box::from(*number)),
        }
    }
}

impl<'a> From<&'a str> for ValueRef<'a> {
    fn from(text: &'a str) -> Self {
        Self::text(text)
    }
}

impl<'a> From<&'a String> for ValueRef<'a> {
    fn from(text: &'a String) -> Self {
        Self::text(text)
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}

/// Shows what [`as_str`](ValueRef::as_str) gives.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// A variable's value, owned; see [`ValueRef`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Text.
    Text(Box<str>),
    /// A JSON number, byte for byte.
    Number(Box<str>),
}

impl Value {
    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::text(text),
            Self::Number(number) => ValueRef::Number(number),
        }
    }

    /// Its text, or the number as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) => text,
        }
    }
}

/// Shows what [`as_str`](Value::as_str) gives.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What a client may send, borrowed from the text it came in: one object a message (R1).
///
/// ```
/// use roomvars_proto::{ClientMessage, CodecConfig, ValueRef};
///
/// let config = CodecConfig::default();
/// let text = r#"{"kind":"set","variable":"☁ score","value":"10"}"#;
/// let message = ClientMessage::from_json(text, &config)?;
/// assert_eq!(message, ClientMessage::Set { variable: "☁ score".into(), value: "10".into() });
///
/// let mut buffer = Vec::new();
/// message.encode(&config, &mut buffer)?;
/// assert_eq!(buffer, text.as_bytes());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// Which room to join or create, as whom. The first message (step 1).
    Handshake {
        /// The room's id; an integer only in the Scratch dialect, where it means its decimal text.
        room: ValueRef<'a>,
        /// The client's name.
        username: Cow<'a, str>,
        /// The variables that the client knows, and their values. None in the Scratch dialect.
        variables: Variables<'a>,
    },
    /// A variable has a new value.
    Set {
        /// Its name.
        variable: Cow<'a, str>,
        /// The value.
        value: ValueRef<'a>,
    },
    /// Means [`Set`](Self::Set). In the Scratch dialect only.
    Create {
        /// The variable's name.
        variable: Cow<'a, str>,
        /// The value.
        value: ValueRef<'a>,
    },
    /// A variable has a new name. In the Scratch dialect only.
    Rename {
        /// The old one.
        variable: Cow<'a, str>,
        /// The new one.
        new_name: Cow<'a, str>,
    },
    /// A variable is no more. In the Scratch dialect only.
    Delete {
        /// Its name.
        variable: Cow<'a, str>,
    },
    /// A kind that the dialect doesn't know (R2). A hub closes the connection.
    Unknown {
        /// What it calls itself.
        kind: Cow<'a, str>,
        /// The whole object; encoded as it is, whatever `kind` says.
        raw: &'a str,
    },
}

impl<'a> ClientMessage<'a> {
    /// Reads a client's message, which is one object. Nothing is copied but strings with escapes.
    ///
    /// # Errors
    /// The text breaks R1, R2, R3 or R5. Offsets count from its first byte.
    #[inline]
    pub fn from_json(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_len(text.len(), config.max_client_message)?;
        if let Some((variable, value, "")) = usual_set(text, config.dialect) {
            return Ok(Self::Set { variable, value });
        }
        Self::read(text, config)
    }

    fn read(text: &'a str, config: &CodecConfig) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(text, config.dialect);
        fields.read()?;
        fields.client_message()
    }

    /// As [`from_json`](Self::from_json), of bytes that need not be UTF-8.
    ///
    /// # Errors
    /// They aren't, or as [`from_json`](Self::from_json).
    #[inline]
    pub fn decode(bytes: &'a [u8], config: &CodecConfig) -> Result<Self, DecodeError> {
        check_len(bytes.len(), config.max_client_message)?;
        let text =
            from_utf8(bytes).map_err(|e| error(DecodeErrorKind::NotUtf8, e.valid_up_to()))?;
        Self::from_json(text, config)
    }

    /// Appends the message to `dst` as compact JSON, keys in the order of the spec; an unknown one
    /// as it is.
    ///
    /// # Errors
    /// It is longer than `max_client_message`, the dialect has no such thing (R3), or `dst` is of
    /// fixed size and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        let (dialect, space) = (config.dialect, Space::of(config.max_client_message));
        let written = match self {
            Self::Set { variable, value } => put_set(dialect, variable, value, space, dst),
            Self::Handshake { room, username, variables } => {
                put_handshake(dialect, room, username, *variables, space, dst)
            }
            Self::Create { variable, value } => put_create(dialect, variable, value, space, dst),
            Self::Rename { variable, new_name } => {
                put_rename(dialect, variable, new_name, space, dst)
            }
            Self::Delete { variable } => put_delete(dialect, variable, space, dst),
            // There it is the only object: line breaks between its tokens do no harm.
            Self::Unknown { raw, .. } => put_raw(raw, space, dst),
        };
        written.map(|_| ())
    }
}

/// What a server may send, borrowed from the text it came in; several objects may be one message,
/// a [`Batch`](crate::Batch) (R1).
///
/// ```
/// use roomvars_proto::{Batch, CodecConfig, ServerMessage};
///
/// let text = "{\"kind\":\"set\",\"variable\":\"x\",\"value\":\"1\"}\n{\"kind\":\"news\"}\n";
/// let messages: Vec<_> = Batch::new(text, &CodecConfig::default()).collect::<Result<_, _>>()?;
/// assert_eq!(messages[0], ServerMessage::Set { variable: "x".into(), value: "1".into() });
/// assert!(matches!(&messages[1], ServerMessage::Unknown { kind, .. } if kind == "news"));
/// # Ok::<(), roomvars_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// A variable has a new value.
    Set {
        /// Its name.
        variable: Cow<'a, str>,
        /// The value.
        value: ValueRef<'a>,
    },
    /// Means [`Set`](Self::Set). In the Scratch dialect only.
    Create {
        /// The variable's name.
        variable: Cow<'a, str>,
        /// The value.
        value: ValueRef<'a>,
    },
    /// A variable has a new name. In the Scratch dialect only.
    Rename {
        /// The old one.
        variable: Cow<'a, str>,
        /// The new one.
        new_name: Cow<'a, str>,
    },
    /// A variable is no more. In the Scratch dialect only.
    Delete {
        /// Its name.
        variable: Cow<'a, str>,
    },
    /// A kind that the dialect doesn't know (R2).
    Unknown {
        /// What it calls itself.
        kind: Cow<'a, str>,
        /// The whole object; encoded as it is, whatever `kind` says.
        raw: &'a str,
    },
}

impl<'a> ServerMessage<'a> {
    /// Appends the message to `dst` as compact JSON, keys in the order of the spec; an unknown one
    /// as it is. Several go into one message by a [`BatchWriter`](crate::BatchWriter).
    ///
    /// # Errors
    /// It is longer than `max_server_message`, the dialect has no such thing (R3), or `dst` is of
    /// fixed size and too small; `dst` is as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        self.put(config.dialect, Space::of(config.max_server_message), dst).map(|_| ())
    }

    #[inline]
    pub(crate) fn put(
        &self,
        dialect: Dialect,
        space: Space,
        dst: &mut impl BufMut,
    ) -> Result<usize, EncodeError> {
        match self {
            Self::Set { variable, value } => put_set(dialect, variable, value, space, dst),
            Self::Create { variable, value } => put_create(dialect, variable, value, space, dst),
            Self::Rename { variable, new_name } => {
                put_rename(dialect, variable, new_name, space, dst)
            }
            Self::Delete { variable } => put_delete(dialect, variable, space, dst),
            Self::Unknown { raw, .. } if raw.contains('\n') => Err(EncodeError::NotAnObject),
            Self::Unknown { raw, .. } => put_raw(raw, space, dst),
        }
    }

    pub(crate) fn read(line: &'a str, dialect: Dialect) -> Result<Self, DecodeError> {
        let mut fields = Fields::new(line, dialect);
        fields.read()?;
        fields.server_message()
    }
}
