//! What a protocol's module says of a frame; JSON and hexdump are made from it.

use std::borrow::Cow;

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
        Self { name, bytes, value, is_field: true, is_secret: false }
    }

    pub(crate) fn layout(name: &'static str, bytes: &'a [u8], value: Value<'a>) -> Self {
        Self { is_field: false, ..Self::field(name, bytes, value) }
    }

    pub(crate) fn secret(self, is_secret: bool) -> Self {
        Self { is_secret, ..self }
    }
}
