use smallwire_core::json::Fault;
use thiserror::Error;

/// What is wrong with a received message, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, in bytes from the start of the message.
    pub offset: u64,
}

/// The ways in which a received message can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Longer than `max_client_message` or `max_server_message` (R5).
    #[error("message of {len} bytes, the limit is {limit}")]
    MessageTooLarge {
        /// Its length.
        len: usize,
        /// The configured limit.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Not JSON.
    #[error("not JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Nested deeper than 128 levels (R5).
    #[error("JSON nested deeper than 128 levels")]
    TooDeep,
    /// More than white space after the object, of which only one was to come (R1).
    #[error("more than one object")]
    TrailingData,
    /// A key that the dialect knows stands there twice (R2).
    #[error("key {0:?} twice")]
    DuplicateKey(&'static str),
    /// A key of this kind is missing.
    #[error("key {0:?} is missing")]
    MissingKey(&'static str),
    /// A value isn't what it must be under its key (R2).
    #[error("{key:?} is not {expected}")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// What the value must be.
        expected: &'static str,
    },
}

/// An error at `offset`.
#[cold]
pub(crate) fn error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError { kind, offset: offset as u64 }
}

/// A fault of JSON in the `text` that was read.
#[cold]
pub(crate) fn fault(text: &str, fault: Fault<'_>) -> DecodeError {
    let kind =
        if fault.is_too_deep() { DecodeErrorKind::TooDeep } else { DecodeErrorKind::NotJson };
    error(kind, fault.offset(text))
}

/// Why a message can't be written. What was to be written to is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Longer than `max_client_message` or `max_server_message` (R5); of a batch, with what is in it
    /// already.
    #[error("message of {len} bytes, the limit is {limit}")]
    MessageTooLarge {
        /// Its length.
        len: usize,
        /// The configured limit.
        limit: usize,
    },
    /// The dialect has no such thing (R3).
    #[error("the dialect has no {0}")]
    NotInDialect(&'static str),
    /// A number that isn't one in JSON, or as a room's id none without fraction and exponent (R3).
    #[error("not a JSON number")]
    NotANumber,
    /// What is to be sent as it is is no JSON object, or has a line break in it, which would end it
    /// in a batch (R1).
    #[error("not a JSON object on one line")]
    NotAnObject,
    /// The buffer can't grow and has too little room.
    #[error("no room in the buffer")]
    BufferFull,
}
