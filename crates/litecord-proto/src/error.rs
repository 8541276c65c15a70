use smallwire_core::json::FieldsError;
use thiserror::Error;

use crate::OpCode;
use crate::message::Key;

/// What is wrong with a received message, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, in bytes from the start of the message.
    pub offset: u64,
}

/// An error at `offset`.
#[cold]
pub(crate) fn error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError { kind, offset: offset as u64 }
}

/// Why the object in `text` can't be read.
#[cold]
pub(crate) fn unreadable(text: &str, why: FieldsError<'_>) -> DecodeError {
    match why {
        FieldsError::Fault(fault) if fault.is_too_deep() => {
            error(DecodeErrorKind::TooDeep, fault.offset(text))
        }
        FieldsError::Fault(fault) => error(DecodeErrorKind::NotJson, fault.offset(text)),
        FieldsError::NotAnObject(at) => error(DecodeErrorKind::NotAnObject, at),
        FieldsError::Duplicate(key, at) => {
            let name = Key::ALL.get(key).map_or("", |key| key.name());
            error(DecodeErrorKind::DuplicateKey(name), at)
        }
        FieldsError::Trailing(at) => error(DecodeErrorKind::NotJson, at),
    }
}

/// The ways in which a received message can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Longer than `max_message` (L6).
    #[error("message of {len} bytes, the limit is {limit}")]
    MessageTooLarge {
        /// Its length; where it was compressed, as much as was decompressed of it.
        len: usize,
        /// The configured `max_message`.
        limit: usize,
    },
    /// Not UTF-8 (L6).
    #[error("not UTF-8")]
    NotUtf8,
    /// Not JSON (L6).
    #[error("not JSON")]
    NotJson,
    /// JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// Nested deeper than 128 levels (L2).
    #[error("JSON nested deeper than 128 levels")]
    TooDeep,
    /// A key that the protocol knows stands there twice (L2).
    #[error("key {0:?} twice")]
    DuplicateKey(&'static str),
    /// A key of this opcode is missing.
    #[error("key {0:?} is missing")]
    MissingKey(&'static str),
    /// A value isn't what it must be under its key (L2, L7).
    #[error("{key:?} is not {expected}")]
    InvalidValue {
        /// The key.
        key: &'static str,
        /// What the value must be.
        expected: &'static str,
    },
    /// The sender's role may not send this (L1).
    #[error("{0} from the wrong side")]
    WrongDirection(OpCode),
}

/// Why a message can't be written. What was to be written to is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Longer than `max_message` (L6).
    #[error("message of {len} bytes, the limit is {limit}")]
    MessageTooLarge {
        /// Its length.
        len: usize,
        /// The configured `max_message`.
        limit: usize,
    },
    /// The arguments aren't an array (L4).
    #[error("the arguments are not an array")]
    ArgsNotAnArray,
    /// A heartbeat interval over 2^53 ms (L7).
    #[error("a heartbeat interval of {0} ms is too long")]
    IntervalTooLong(u64),
    /// The sender's role may not send this (L1).
    #[error("{0} from the wrong side")]
    WrongDirection(OpCode),
    /// The buffer can't grow and has too little room.
    #[error("no room in the buffer")]
    BufferFull,
}

#[cfg(feature = "std")]
pub use session::{AnswerError, DecideError, SendError, SessionError, Violation, ViolationKind};

#[cfg(feature = "std")]
mod session {
    use alloc::boxed::Box;
    use core::fmt;

    use thiserror::Error;

    use smallwire_core::JsonError;

    use super::{DecodeError, DecodeErrorKind, EncodeError};
    use crate::{CloseCode, OpCode, PeerRequestId};

    /// Why a session ended, when it didn't end cleanly.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SessionError {
        /// The peer's fault. It is told so in a close frame, which is still to be sent (L6).
        #[error("the peer violated the protocol: {0}")]
        Violation(Violation),
        /// The peer closed, with a code that isn't a normal end (L6).
        #[error("closed by the peer: {code}{}{reason}", space_before(reason))]
        Closed {
            /// What it says.
            code: CloseCode,
            /// What it says to whoever reads logs; may be empty.
            reason: Box<str>,
        },
        /// The connection was lost: it ended without a close frame.
        #[error("the connection was lost")]
        ConnectionLost,
        /// The client's password isn't the one that the server is set up with (step 2).
        #[error("wrong password")]
        WrongPassword,
        /// No Hello, no HelloAck or no decision within `handshake_timeout` (steps 1 and 2).
        #[error("the handshake took too long")]
        HandshakeTimeout,
        /// On a client: no HeartbeatAck before the next Heartbeat was due (step 3). On a server: no
        /// Heartbeat within the interval and its grace (step 4).
        #[error("the heartbeat stopped")]
        HeartbeatTimeout,
    }

    impl SessionError {
        /// Whether to connect again, after a [`Backoff`](crate::Backoff)'s delay: yes after all but
        /// a refused password, which would be refused again (step 6).
        /// So is a clean end one to connect again after, unless you brought it about yourself.
        pub fn should_reconnect(&self) -> bool {
            !matches!(self, Self::Closed { code: CloseCode::AUTHENTICATION_FAILED, .. })
        }
    }

    fn space_before(reason: &str) -> &'static str {
        if reason.is_empty() { "" } else { " " }
    }

    /// How the peer broke the protocol, and where.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    pub struct Violation {
        /// What it did.
        pub kind: ViolationKind,
        /// Where, in bytes from the start of the message: of its text, also of a compressed one's; of the
        /// zlib stream where that is broken or becomes too long (L8).
        pub offset: u64,
    }

    impl fmt::Display for Violation {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            match self.kind {
                ViolationKind::Malformed(_) => write!(f, "{} at byte {}", self.kind, self.offset),
                // It is about what was said, wherever that stands.
                _ => write!(f, "{}", self.kind),
            }
        }
    }

    /// The ways in which a peer can break the protocol.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ViolationKind {
        /// A message that can't be read (L2, L6).
        #[error(transparent)]
        Malformed(DecodeErrorKind),
        /// A binary message where nothing is compressed (L6).
        #[error("a binary message")]
        UnexpectedBinary,
        /// A binary message that isn't one whole zlib stream and nothing else (L8).
        #[error("a binary message that is not one zlib stream")]
        NotZlib,
        /// Something that isn't allowed at this point of the conversation (step 1, L6).
        #[error("{0} out of turn")]
        OutOfTurn(OpCode),
        /// A client said something before its HelloAck (step 2).
        #[error("{0} before authentication")]
        NotAuthenticated(OpCode),
        /// Too much came before it was decided about the password (step 2).
        #[error("too much before authentication")]
        TooMuchHeld,
        /// A heartbeat interval under `min_heartbeat_interval` (L7).
        #[error("a heartbeat interval of {0} ms is too short")]
        IntervalTooShort(u64),
        /// A nonce longer than `max_nonce` (L5).
        #[error("a nonce of {0} bytes is too long")]
        NonceTooLong(usize),
        /// A second open request with the same nonce (L5).
        #[error("a second open request with the same nonce")]
        DuplicateRequest,
        /// More than `max_pending` of its requests await our response (step 5).
        #[error("too many open requests")]
        TooManyRequests,
    }

    impl ViolationKind {
        /// What the peer is told (L6).
        pub const fn close_code(&self) -> CloseCode {
            match self {
                Self::Malformed(DecodeErrorKind::NotUtf8 | DecodeErrorKind::NotJson) => {
                    CloseCode::INVALID_DATA
                }
                Self::Malformed(DecodeErrorKind::MessageTooLarge { .. }) => {
                    CloseCode::MESSAGE_TOO_BIG
                }
                Self::UnexpectedBinary => CloseCode::UNSUPPORTED_DATA,
                Self::NotZlib => CloseCode::INVALID_DATA,
                Self::NotAuthenticated(_) | Self::TooMuchHeld => CloseCode::NOT_AUTHENTICATED,
                _ => CloseCode::POLICY_VIOLATION,
            }
        }
    }

    impl Violation {
        /// At the first byte of the message.
        pub(crate) const fn at_start(kind: ViolationKind) -> Self {
            Self { kind, offset: 0 }
        }

        pub(crate) const fn malformed(error: DecodeError) -> Self {
            Self { kind: ViolationKind::Malformed(error.kind), offset: error.offset }
        }
    }

    /// Why nothing was sent. What was to be sent was only borrowed: try again with it.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SendError {
        /// A client has to wait for the Hello, a server for a client that is let in (steps 1, 2).
        #[error("the handshake isn't done")]
        NotReady,
        /// The session has ended.
        #[error("the session has ended")]
        Ended,
        /// `max_transmit_bytes` wait to be sent: try again when some have been.
        #[error("too much waits to be sent")]
        QueueFull,
        /// `max_pending` requests await a response: try again when one has come (step 5).
        #[error("too many requests await a response")]
        TooManyPending,
        /// A value that JSON can't express, or nested too deep (L2).
        #[error(transparent)]
        Json(#[from] JsonError),
        /// A message that the protocol can't express, or is too long.
        #[error(transparent)]
        Encode(#[from] EncodeError),
    }

    /// Why a request of the peer wasn't answered.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum AnswerError {
        /// Answered already, or so long ago that the peer has given it up (step 5).
        #[error("no open request {0}")]
        NotOpen(PeerRequestId),
        /// It couldn't be sent; unless the session has ended, the request is still open.
        #[error(transparent)]
        Send(#[from] SendError),
    }

    /// Why a client was neither accepted nor refused.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum DecideError {
        /// No client awaits a decision: it hasn't said its password yet, is decided about already,
        /// or the session has ended.
        #[error("no client awaits a decision")]
        NotWaiting,
    }
}
