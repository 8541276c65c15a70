//! What a protocol's module says of a frame; JSON and hexdump are made from it.

use std::borrow::Cow;
use std::net::SocketAddr;

use jiff::Timestamp;

use crate::Side;

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// One frame or message, good or bad.
pub(crate) struct Record<'a> {
    /// Messages before it, where they come one by one.
    pub(crate) frame: Option<u64>,
    /// Bytes before it; of the same message, where they come one by one.
    pub(crate) offset: u64,
    pub(crate) length: u64,
    /// Its type, or what is wrong with it.
    pub(crate) outcome: Result<&'static str, Problem>,
    /// All of its bytes in order, as far as they are known.
    pub(crate) parts: Vec<Part<'a>>,
}

pub(crate) struct Problem {
    pub(crate) kind: &'static str,
    pub(crate) detail: String,
    /// Of the packet, where packets have one.
    pub(crate) id: Option<u8>,
    /// Where it shows, counted as the record's offset is.
    pub(crate) at: u64,
}

/// Where something was seen.
#[derive(Default)]
pub(crate) struct Scene {
    /// Who sent it, if it is one side's.
    pub(crate) from: Option<Side>,
    /// In a capture: when, and on which connection, if it is one's.
    pub(crate) at: Option<Timestamp>,
    pub(crate) connection: Option<u64>,
}

/// What there is to say of a capture beyond its frames.
pub(crate) enum Note {
    /// A connection: `joined` if its beginning isn't in the capture.
    Opened { client: SocketAddr, server: SocketAddr, joined: bool },
    /// Bytes that the capture doesn't have, and those before them that are no whole frame.
    Lost { offset: u64, missing: u64, unfinished: usize },
    /// Bytes passed over until a place was found where frames can be read again.
    Skipped { offset: u64, length: u64 },
    /// One side sends no more.
    Ended,
    /// One side has broken the connection off.
    Reset,
    /// Another connection has the same addresses.
    Replaced,
    /// No more is told of the connection: too many others, or too much to keep.
    Forgotten,
    /// The capture ends inside a frame, of which so many bytes came.
    Cut { unfinished: usize },
    /// Packets that couldn't be looked into.
    Unread { packets: u64, why: String },
}

impl Note {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Opened { joined: false, .. } => "opened",
            Self::Opened { joined: true, .. } => "joined",
            Self::Lost { .. } => "lost",
            Self::Skipped { .. } => "skipped",
            Self::Ended => "ended",
            Self::Reset => "reset",
            Self::Replaced => "replaced",
            Self::Forgotten => "forgotten",
            Self::Cut { .. } => "cut",
            Self::Unread { .. } => "unread",
        }
    }

    /// Whether something of the conversation isn't shown because of it.
    pub(crate) const fn is_failure(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Forgotten | Self::Cut { .. } | Self::Unread { .. })
    }
}

/// One stretch of bytes, or a value that has no bytes of its own.
pub(crate) struct Part<'a> {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'a [u8],
    pub(crate) value: Value<'a>,
    /// A field of the message, not mere layout: in the JSON too.
    pub(crate) is_field: bool,
    /// Neither bytes nor value are shown unasked.
    pub(crate) is_secret: bool,
    pub(crate) role: Role,
}

/// What bytes are to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// They tell what the rest is.
    Header,
    Payload,
    /// They stand between the others.
    Delimiter,
    /// They aren't what they should be.
    Bad,
}

pub(crate) enum Value<'a> {
    /// Nothing to say beyond the bytes.
    None,
    Number(u64),
    Numbers(Vec<u8>),
    Bool(bool),
    /// Text from the wire: only ever shown escaped.
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    /// JSON from the wire.
    Json(&'a str),
    /// A name of ours.
    Word(&'static str),
}

impl<'a> Part<'a> {
    pub(crate) fn field(name: &'static str, bytes: &'a [u8], value: Value<'a>) -> Self {
        Self { name, bytes, value, is_field: true, is_secret: false, role: Role::Payload }
    }

    pub(crate) fn layout(name: &'static str, bytes: &'a [u8], value: Value<'a>) -> Self {
        Self { is_field: false, ..Self::field(name, bytes, value) }
    }

    pub(crate) fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    pub(crate) fn secret(self, is_secret: bool) -> Self {
        Self { is_secret, ..self }
    }
}
