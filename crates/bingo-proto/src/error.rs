use thiserror::Error;

use crate::{MessageId, OpCode};

/// What is wrong with received bytes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// Where, in bytes: from the start of the stream if a [`Decoder`](crate::Decoder) says so,
    /// else from the start of what was decoded.
    pub offset: u64,
}

impl DecodeError {
    /// The same error seen from `by` bytes earlier: turns an offset in a frame into one in the
    /// stream, given where the frame starts.
    #[must_use]
    pub const fn shifted(self, by: u64) -> Self {
        Self { kind: self.kind, offset: self.offset.saturating_add(by) }
    }
}

/// The ways in which received bytes can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The byte is no opcode; where the next frame begins can't be known (B3).
    #[error("unknown opcode {0:#04x}")]
    UnknownOpcode(u8),
    /// The header announces more than `max_payload` (B8).
    #[error("payload of {announced} bytes, the limit is {limit}")]
    PayloadTooLarge {
        /// Length in the header.
        announced: u16,
        /// The configured `max_payload`.
        limit: u16,
    },
    /// The stream ended inside a frame (conversation, step 7).
    #[error("the stream ended inside a frame")]
    UnexpectedEof,
    /// The sender's role may not send this (B4).
    #[error("{0} from the wrong side")]
    WrongDirection(OpCode),
    /// The id is of the half of the other side (B5).
    #[error("message id {0} of the wrong half")]
    WrongIdHalf(MessageId),
    /// A Reply, or an ErrorReply in payload style, is too short for the id it answers (B6, B7).
    #[error("reply too short for the id it answers")]
    ReplyTooShort,
    /// A payload where none may be: in a Ping (B9) or a client's ErrorReply (B7).
    #[error("payload where none may be")]
    PayloadNotEmpty,
    /// The text of an ErrorReply or ProtocolError isn't UTF-8 (B9).
    #[error("text is not UTF-8")]
    NotUtf8,
    /// The Identification isn't JSON.
    #[error("not JSON")]
    NotJson,
    /// The Identification is JSON, but not an object.
    #[error("not a JSON object")]
    NotAnObject,
    /// The Identification's JSON is nested deeper than 128 levels.
    #[error("JSON nested deeper than 128 levels")]
    TooDeep,
    /// The Identification lacks this key.
    #[error("key {0:?} is missing")]
    MissingKey(&'static str),
    /// The Identification has something else than a string of whole characters under this key.
    #[error("key {0:?} is not a string")]
    NotAString(&'static str),
    /// The Identification has this key twice.
    #[error("key {0:?} twice")]
    DuplicateKey(&'static str),
}

impl DecodeErrorKind {
    /// Whether the stream is lost with it: after B3 and B8 no next frame can be found. After the
    /// others the codec can go on; whether a session does is the protocol's business.
    pub const fn is_fatal(&self) -> bool {
        matches!(self, Self::UnknownOpcode(_) | Self::PayloadTooLarge { .. } | Self::UnexpectedEof)
    }
}

/// Why a message can't be written. What was to be written to is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The payload is longer than `max_payload` (B8).
    #[error("payload of {len} bytes, the limit is {limit}")]
    PayloadTooLarge {
        /// Its length, with the id of a Reply.
        len: usize,
        /// The configured `max_payload`.
        limit: u16,
    },
    /// The id in the header is of the wrong half (B5).
    #[error("message id {0} of the wrong half")]
    WrongIdHalf(MessageId),
    /// The buffer can't grow and has too little room.
    #[error("no room in the buffer")]
    BufferFull,
}

/// A payload isn't JSON of the wanted shape, or a value can't be written as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} at byte {offset}")]
pub struct JsonError {
    pub(crate) message: alloc::string::String,
    pub(crate) offset: usize,
}

impl JsonError {
    /// Where in the payload it was noticed, in bytes.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

#[cfg(feature = "std")]
pub use session::{AnswerError, DecideError, SendError, SessionError, Violation, ViolationKind};

#[cfg(feature = "std")]
mod session {
    use alloc::boxed::Box;

    use thiserror::Error;

    use super::{DecodeError, DecodeErrorKind};
    use crate::{MessageId, OpCode, PeerRequestId};

    /// Why a session ended, when it didn't end cleanly.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SessionError {
        /// The peer's fault. It has been told in a ProtocolError, which is still to be sent
        /// (conversation, step 6).
        #[error("the peer violated the protocol: {0}")]
        Violation(Violation),
        /// Our fault, says the peer in a ProtocolError (conversation, step 6).
        #[error("the peer reports a protocol error: {reason}")]
        ProtocolError {
            /// What it says; may be empty.
            reason: Box<str>,
        },
        /// The server didn't let this client in (conversation, step 2).
        #[error("refused: {text}")]
        Refused {
            /// What to show to the user.
            text: Box<str>,
        },
        /// No Ready within `handshake_timeout` (conversation, step 2).
        #[error("the handshake took too long")]
        HandshakeTimeout,
        /// No acknowledgement of a Ping within `ping_timeout` (conversation, step 4).
        #[error("a ping was not acknowledged in time")]
        PingTimeout,
        /// The stream ended inside a frame (conversation, step 7).
        #[error("the stream ended inside the frame at byte {offset}")]
        UnexpectedEof {
            /// Where that frame starts, in bytes from the start of the stream.
            offset: u64,
        },
    }

    impl SessionError {
        /// Whether to connect again, after a [`Backoff`](crate::Backoff)'s delay: yes after all but a refusal,
        /// which another try would only repeat (conversation, step 2).
        pub fn should_reconnect(&self) -> bool {
            !matches!(self, Self::Refused { .. })
        }
    }

    /// How the peer broke the protocol, and where.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[error("{kind} at byte {offset}")]
    pub struct Violation {
        /// What it did.
        pub kind: ViolationKind,
        /// Where, in bytes from the start of the stream.
        pub offset: u64,
    }

    /// The ways in which a peer can break the protocol.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ViolationKind {
        /// A frame that can't be read, or isn't what its opcode says (B3–B9).
        #[error(transparent)]
        Malformed(DecodeErrorKind),
        /// Something that isn't allowed at this point of the conversation (steps 1–3).
        #[error("{0} out of turn")]
        OutOfTurn(OpCode),
        /// A second open request under one id (B5).
        #[error("a second open request {0}")]
        DuplicateRequest(MessageId),
        /// More than `max_pending` of its messages await our answer (B5).
        #[error("too many open requests")]
        TooManyRequests,
    }

    impl Violation {
        /// At the first byte of what is looked at.
        pub(crate) const fn at_start(kind: ViolationKind) -> Self {
            Self { kind, offset: 0 }
        }

        pub(crate) const fn malformed(error: DecodeError) -> Self {
            Self { kind: ViolationKind::Malformed(error.kind), offset: error.offset }
        }
    }

    /// Why nothing was sent. The payload was only borrowed: try again with it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SendError {
        /// Not before Ready (conversation, step 3).
        #[error("the handshake isn't done")]
        NotReady,
        /// The session has ended.
        #[error("the session has ended")]
        Ended,
        /// `max_transmit_bytes` wait to be sent: try again when some have been.
        #[error("too much waits to be sent")]
        QueueFull,
        /// `max_pending` requests await an answer: try again when one has come (B5).
        #[error("too many requests await an answer")]
        TooManyPending,
        /// The payload is longer than `max_payload` (B8).
        #[error("payload of {len} bytes, the limit is {limit}")]
        PayloadTooLarge {
            /// Its length, with the id of a Reply.
            len: usize,
            /// The configured `max_payload`.
            limit: u16,
        },
    }

    /// Why a request of the peer wasn't answered.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum AnswerError {
        /// The peer never asked this, was answered already, or has waited for longer than `request_timeout`
        /// and was forgotten (B5; conversation, step 5).
        #[error("no open request {}", .0.message_id())]
        NotOpen(PeerRequestId),
        /// It couldn't be sent; unless the session has ended, the request is still open.
        #[error(transparent)]
        Send(#[from] SendError),
    }

    /// Why a client was neither accepted nor refused.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum DecideError {
        /// No client awaits a decision: not identified yet, decided already, or the session has ended.
        #[error("no client awaits a decision")]
        NotWaiting,
        /// It couldn't be sent; the client still waits.
        #[error(transparent)]
        Send(#[from] SendError),
    }
}
