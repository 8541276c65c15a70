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

/// An error in a part that begins at `offset`.
#[cold]
pub(crate) fn at(error: DecodeError, offset: usize) -> DecodeError {
    DecodeError { offset: error.offset.saturating_add(offset as u64), ..error }
}

impl DecodeError {
    /// R3: whether it is about a value that the dialect ignores, and nothing else is wrong before it.
    #[cfg(feature = "std")]
    pub(crate) fn is_ignored(self, dialect: crate::Dialect) -> bool {
        dialect == crate::Dialect::Scratch
            && matches!(self.kind, DecodeErrorKind::InvalidValue { key: "value", .. })
    }
}

/// The ways in which a received message can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Longer than `max_client_message` or `max_server_message` (R5); the offset is the limit.
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
    /// A key of this kind is missing; the offset is the end of the object.
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
    /// What is to be sent as it is is no JSON object, or, of a server, has a line break in it, which would
    /// end it (R1).
    #[error("not a JSON object, or not on one line")]
    NotAnObject,
    /// The buffer can't grow and has too little room.
    #[error("no room in the buffer")]
    BufferFull,
}

#[cfg(feature = "std")]
pub use session::{
    ApplyError, ConnectionError, Full, JoinError, SendError, SessionError, Violation, ViolationKind,
};

#[cfg(feature = "std")]
mod session {
    use alloc::boxed::Box;
    use core::fmt;

    use thiserror::Error;

    use super::{DecodeError, DecodeErrorKind, EncodeError};
    use crate::{CloseCode, Dialect};

    /// Why a client's session ended, when it didn't end cleanly.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SessionError {
        /// The server's fault. It is told so in a close frame, which is still to be sent (R4).
        #[error("the server violated the protocol: {0}")]
        Violation(Violation),
        /// The server closed, with a code that isn't a normal end (R4).
        #[error("closed by the server: {code}{}{reason}", space_before(reason))]
        Closed {
            /// What it says.
            code: CloseCode,
            /// What it says to whoever reads logs; may be empty.
            reason: Box<str>,
        },
        /// The connection was lost: it ended without a close frame.
        #[error("the connection was lost")]
        ConnectionLost,
    }

    impl SessionError {
        /// Whether to connect again, after a [`Backoff`](crate::Backoff)'s delay (R4).
        pub const fn should_reconnect(&self, dialect: Dialect) -> bool {
            match self {
                Self::Closed { code, .. } => code.should_reconnect(dialect),
                Self::Violation(_) | Self::ConnectionLost => true,
            }
        }
    }

    fn space_before(reason: &str) -> &'static str {
        if reason.is_empty() { "" } else { " " }
    }

    /// Why a connection of a hub ended, when it didn't end cleanly.
    #[derive(Debug, Clone, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ConnectionError {
        /// The client's fault, or something that the hub has no room for. It is told so in a close
        /// frame, which is still to be sent (R4).
        #[error("{0}")]
        Violation(Violation),
        /// No handshake within `handshake_timeout` (step 1).
        #[error("no handshake in time")]
        HandshakeTimeout,
        /// It sent more than `rate_limit` allows (step 7).
        #[error("too many messages")]
        RateLimited,
        /// Thrown out by [`Hub::kick`](crate::Hub::kick) (step 7).
        #[error("kicked with {0}")]
        Kicked(CloseCode),
        /// It took nothing, and made names of variables that others removed, until the hub could not
        /// keep all of them (step 6).
        #[error("fallen too far behind")]
        TooFarBehind,
        /// The client closed, with a code that isn't a normal end.
        #[error("closed by the client: {code}{}{reason}", space_before(reason))]
        Closed {
            /// What it says.
            code: CloseCode,
            /// What it says to whoever reads logs; may be empty.
            reason: Box<str>,
        },
        /// The connection was lost: it ended without a close frame.
        #[error("the connection was lost")]
        ConnectionLost,
    }

    /// How the peer broke the protocol, and where.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    pub struct Violation {
        /// What it did.
        pub kind: ViolationKind,
        /// Where, in bytes from the start of the message.
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

    /// The ways in which a peer can break the protocol. All but the first two are a client's only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ViolationKind {
        /// A message that can't be read (R1, R2, R5).
        #[error(transparent)]
        Malformed(DecodeErrorKind),
        /// A binary message (R5).
        #[error("a binary message")]
        UnexpectedBinary,
        /// A kind that the dialect doesn't know (R2).
        #[error("an unknown kind")]
        UnknownKind,
        /// Something before the handshake (step 1).
        #[error("not a handshake")]
        NoHandshake,
        /// A second handshake (step 1).
        #[error("a second handshake")]
        SecondHandshake,
        /// A room's id of so many bytes: none, or too many (R5).
        #[error("a room id can't have {0} bytes")]
        RoomId(usize),
        /// A username of so many bytes: none, or too many (R5).
        #[error("a username can't have {0} bytes")]
        UsernameLength(usize),
        /// A username that the policy doesn't accept (R5).
        #[error("the username is not acceptable")]
        UsernameRefused,
        /// Another client in the room has this username (step 2).
        #[error("the username is taken")]
        UsernameTaken,
        /// A variable's name of so many bytes: none, or too many (R5).
        #[error("a variable name can't have {0} bytes")]
        NameLength(usize),
        /// A value of so many bytes, which are too many (R5).
        #[error("a value can't have {0} bytes")]
        ValueLength(usize),
        /// A value that the policy doesn't accept (R5).
        #[error("the value is not acceptable")]
        ValueRefused,
        /// More variables than a room may have (R5).
        #[error("too many variables")]
        TooManyVariables,
        /// A variable stands twice in a handshake (step 2).
        #[error("a variable twice")]
        DuplicateVariable,
        /// The room has other variables (step 2).
        #[error("the room has other variables")]
        Incompatible,
        /// A variable that the room doesn't have (step 3).
        #[error("no such variable")]
        UnknownVariable,
        /// The room has `max_room_clients` clients (R5).
        #[error("the room is full")]
        RoomFull,
        /// There are `max_rooms` rooms, all of them in use (R5).
        #[error("too many rooms")]
        TooManyRooms,
    }

    impl ViolationKind {
        /// What a client tells its server by it (R4).
        pub(crate) const fn code_for_server(self) -> CloseCode {
            match self {
                Self::UnexpectedBinary => CloseCode::UNSUPPORTED_DATA,
                Self::Malformed(DecodeErrorKind::NotUtf8 | DecodeErrorKind::NotJson) => {
                    CloseCode::INVALID_DATA
                }
                Self::Malformed(DecodeErrorKind::MessageTooLarge { .. }) => {
                    CloseCode::MESSAGE_TOO_BIG
                }
                _ => CloseCode::POLICY_VIOLATION,
            }
        }

        /// What a hub tells its client by it (R4, R5).
        pub(crate) const fn code_for_client(self) -> CloseCode {
            match self {
                Self::UnexpectedBinary => CloseCode::UNSUPPORTED_DATA,
                Self::Incompatible => CloseCode::INCOMPATIBLE,
                Self::UsernameLength(_) | Self::UsernameRefused | Self::UsernameTaken => {
                    CloseCode::USERNAME
                }
                Self::RoomFull | Self::TooManyRooms => CloseCode::OVERLOADED,
                _ => CloseCode::GENERIC,
            }
        }
    }

    impl From<DecodeError> for Violation {
        fn from(error: DecodeError) -> Self {
            Self { kind: ViolationKind::Malformed(error.kind), offset: error.offset }
        }
    }

    /// At the start of the message: what it says, not how it is written, is wrong.
    impl From<ViolationKind> for Violation {
        fn from(kind: ViolationKind) -> Self {
            Self { kind, offset: 0 }
        }
    }

    /// A hub has as many connections as it may.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[error("too many connections")]
    pub struct Full;

    /// Why a hub can't take what was settled elsewhere.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ApplyError {
        /// There is no such room here.
        #[error("no such room")]
        UnknownRoom,
        /// There are clients in the room, who know it as it is here.
        #[error("there are clients in the room")]
        RoomInUse,
        /// A variable that the room doesn't have.
        #[error("no such variable")]
        UnknownVariable,
        /// A variable of the new name is there already.
        #[error("a variable of that name is there already")]
        NameTaken,
        /// Nothing that the room's dialect has.
        #[error("the dialect has no such thing")]
        NotInDialect,
        /// More than the hub's limits allow, or a variable twice.
        #[error(transparent)]
        Limit(#[from] ViolationKind),
    }

    /// Why a client can't join a room.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum JoinError {
        /// A room's id of so many bytes: none, or too many (R5).
        #[error("a room id can't have {0} bytes")]
        RoomId(usize),
        /// A username of so many bytes: none, or too many (R5).
        #[error("a username can't have {0} bytes")]
        UsernameLength(usize),
        /// A variable's name of so many bytes: none, or too many (R5).
        #[error("a variable name can't have {0} bytes")]
        NameLength(usize),
        /// A value of so many bytes, which are too many (R5).
        #[error("a value can't have {0} bytes")]
        ValueLength(usize),
        /// More variables than a room may have (R5).
        #[error("too many variables")]
        TooManyVariables,
        /// A variable stands twice (step 2).
        #[error("a variable twice")]
        DuplicateVariable,
        /// A handshake that the dialect can't express, or is too long.
        #[error(transparent)]
        Encode(#[from] EncodeError),
    }

    /// Why nothing is sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SendError {
        /// The session has ended, or will as soon as the events that wait are taken.
        #[error("the session has ended")]
        Ended,
        /// `max_transmit_bytes` wait to be sent: try again when some have been.
        #[error("too much waits to be sent")]
        QueueFull,
        /// The room doesn't have this variable (step 3).
        #[error("no such variable")]
        UnknownVariable,
        /// A variable of the new name is there already (R3).
        #[error("a variable of that name is there already")]
        NameTaken,
        /// A variable's name of so many bytes: none, or too many (R5).
        #[error("a variable name can't have {0} bytes")]
        NameLength(usize),
        /// A value of so many bytes, which are too many (R5).
        #[error("a value can't have {0} bytes")]
        ValueLength(usize),
        /// The room has as many variables as it may (R5).
        #[error("too many variables")]
        TooManyVariables,
        /// A message that the dialect can't express, or is too long.
        #[error(transparent)]
        Encode(#[from] EncodeError),
    }
}
