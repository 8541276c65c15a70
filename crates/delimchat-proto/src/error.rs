use thiserror::Error;

use crate::{ClientMessageId, PacketId, RoomId};

/// A packet that isn't one: one report of D3 or D4. Decoding goes on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("packet {id} at byte {offset}: {kind}")]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// The byte that stands where a packet begins.
    pub id: PacketId,
    /// Where that byte is, counted from the start of the stream; of an
    /// [`Unterminated`](DecodeErrorKind::Unterminated), where this piece begins.
    pub offset: u64,
    /// Bytes that are gone with it: through the first `00` behind the id, unless `max_packet` bytes, or the
    /// stream, end before one comes.
    pub len: u64,
}

/// The ways in which a packet can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// No packet of this sender has the id (D4).
    #[error("unknown packet")]
    UnknownPacket,
    /// Its layout is broken (D0).
    #[error("{expected} expected at byte {at}")]
    Malformed {
        /// What the layout has there.
        expected: Expected,
        /// Where, counted from the start of the stream: of the first byte that isn't that.
        at: u64,
    },
    /// The message of a ShortMessage, LongMessageHead or LongMessageNext is longer than 4000 characters (D5);
    /// the rest of the packet was good.
    #[error("message of more than 4000 characters")]
    MessageTooLong(Overlong),
    /// It took too long to come, says [`Decoder::expire`](crate::Decoder::expire) (D5).
    #[error("overdue")]
    Overdue,
    /// The stream ended inside it.
    #[error("the stream ended inside it")]
    Truncated,
    /// More bytes behind a report of `max_packet` bytes, in which there was no `00` (D3).
    #[error("no end within max_packet")]
    Unterminated,
}

/// What a layout has where a packet has something else (D0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Expected {
    /// An id; `FF` is none.
    #[error("a packet id")]
    PacketId,
    /// `FF`.
    #[error("FF")]
    Delimiter,
    /// `00`.
    #[error("00")]
    End,
    /// `FF` or `00`.
    #[error("FF or 00")]
    DelimiterOrEnd,
    /// The end of a delimited field, which has this limit in bytes (D5).
    #[error("the end of a field of at most {limit} bytes")]
    EndOfField {
        /// The most that it may have.
        limit: u16,
    },
    /// This text.
    #[error("{0:?}")]
    Literal(&'static str),
    /// One of the values of this type.
    #[error("one of {0}")]
    Status(&'static str),
    /// The end of the packet, which has this limit in bytes (D5).
    #[error("the end of a packet of at most {limit} bytes")]
    EndOfPacket {
        /// The configured `max_packet`.
        limit: u16,
    },
}

/// What stands before a message that is too long, to answer it by (D5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overlong {
    /// Of a ShortMessage.
    Short {
        /// Its id.
        client_message_id: ClientMessageId,
        /// The room it is for.
        room: RoomId,
    },
    /// Of a LongMessageHead.
    Head {
        /// Parts that follow.
        remaining: u32,
        /// Its id.
        client_message_id: ClientMessageId,
        /// The room it is for.
        room: RoomId,
    },
    /// Of a LongMessageNext.
    Next {
        /// The part's number.
        number: u32,
        /// The id of its head.
        client_message_id: ClientMessageId,
    },
}

impl Overlong {
    /// Turns its number round: it was read in the other byte order.
    pub(crate) fn swap_bytes(&mut self) {
        if let Self::Head { remaining: number, .. } | Self::Next { number, .. } = self {
            *number = number.swap_bytes();
        }
    }
}

/// Bad content in a field (D0), and where in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{kind} at byte {offset}")]
pub struct ContentError {
    /// What is wrong.
    pub kind: ContentErrorKind,
    /// Where, in bytes from the start of the field.
    pub offset: usize,
}

/// The ways in which a field's content can be bad (D0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ContentErrorKind {
    /// In a username, something else than printable ASCII.
    #[error("not printable ASCII")]
    NotPrintable,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// A NUL, or in opaque bytes an `FF`: the field would end there.
    #[error("a delimiter")]
    Delimiter,
    /// Not base64 in the standard alphabet, with its padding and without trailing bits.
    #[error("not base64")]
    NotBase64,
    /// Nothing, where there must be something.
    #[error("empty")]
    Empty,
    /// No spelling of a byte order (D7).
    #[error("no byte order")]
    NotAByteOrder,
    /// `00` or `FF` in a list of packet ids.
    #[error("no packet id")]
    NotAPacketId,
    /// No gender.
    #[cfg(feature = "draft")]
    #[error("no gender")]
    NotAGender,
    /// Not a day as `MM/DD/YY`.
    #[cfg(feature = "draft")]
    #[error("no date")]
    NotADate,
    /// Not a decimal number, or larger than it may be.
    #[cfg(feature = "draft")]
    #[error("no decimal number in its range")]
    NotADecimal,
}

/// Why a packet can't be written. What was to be written to is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A field has bad content (D0).
    #[error("{field}: {error}")]
    Content {
        /// Which.
        field: &'static str,
        /// What is wrong.
        error: ContentError,
    },
    /// A field is too long (D1, D5).
    #[error("{field}: {len} bytes, the limit is {limit}")]
    FieldTooLong {
        /// Which.
        field: &'static str,
        /// Its length on the wire.
        len: usize,
        /// The most that it may have.
        limit: u16,
    },
    /// The packet is longer than `max_packet` (D5).
    #[error("packet of {len} bytes, the limit is {limit}")]
    PacketTooLong {
        /// Its length.
        len: usize,
        /// The configured `max_packet`.
        limit: u16,
    },
    /// The buffer can't grow and has too little room.
    #[error("no room in the buffer")]
    BufferFull,
    /// The draft has no id (D11).
    #[cfg(feature = "draft")]
    #[error("the draft {0} has no id")]
    NoId(&'static str),
}

/// Why a packet can't be made of named fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FieldsError {
    /// There is no packet of that name.
    #[error("unknown packet")]
    UnknownPacket,
    /// The field is missing, or isn't what it has to be.
    #[error("{0} is missing or wrong")]
    Field(&'static str),
}

#[cfg(feature = "std")]
pub use session::{
    AnswerError, DecideError, LoginError, SendError, SessionError, Violation, ViolationKind,
};

#[cfg(feature = "std")]
mod session {
    use thiserror::Error;

    use super::{DecodeErrorKind, EncodeError};
    use crate::PacketId;

    /// Why a session ended, when it didn't end cleanly.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SessionError {
        /// The peer's fault.
        #[error("the peer violated the protocol: {0}")]
        Violation(Violation),
        /// No successful login in time (steps 1 and 2).
        #[error("the login took too long")]
        LoginTimeout,
        /// `max_failed_logins` logins have failed (step 1). The server's; the client sees that the stream has ended.
        #[error("too many failed logins")]
        TooManyFailedLogins,
        /// The server refuses a second endpoint of this user: S5 (step 2).
        #[error("the server allows one endpoint for each user")]
        MultipleEndpointsRefused,
        /// The server says that we began with the wrong packet: S9 (step 1).
        #[error("the server wants a login first")]
        BadFirstPacket,
        /// The stream ended inside a packet (D3).
        #[error("the stream ended inside the packet at byte {offset}")]
        UnexpectedEof {
            /// Where that packet starts, in bytes from the start of the stream.
            offset: u64,
        },
    }

    impl SessionError {
        /// Whether to connect again, after a [`Backoff`](crate::Backoff)'s delay: yes after all but what another
        /// try would only repeat: refused logins, a second endpoint, a login that began wrongly (steps 1 and 2).
        ///
        /// A client's refused login isn't among the ends, but a
        /// [`LoginRefused`](crate::Outcome::LoginRefused); the server may end the stream cleanly after it.
        pub fn should_reconnect(&self) -> bool {
            !matches!(
                self,
                Self::TooManyFailedLogins | Self::MultipleEndpointsRefused | Self::BadFirstPacket
            )
        }
    }

    /// How the peer broke the protocol, and where.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[error("{kind} at byte {offset}")]
    pub struct Violation {
        /// What it did.
        pub kind: ViolationKind,
        /// Where the packet begins, in bytes from the start of the stream.
        pub offset: u64,
    }

    /// The ways in which a peer can break the protocol so that the session ends.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum ViolationKind {
        /// A packet that only clients may send who are logged in (step 1).
        #[error("packet {0} before login")]
        NotLoggedIn(PacketId),
        /// No packet, before login (step 1).
        #[error("before login: {0}")]
        Malformed(DecodeErrorKind),
        /// More than `max_malformed` bad packets without a good one (D3).
        #[error("too many bad packets")]
        TooManyBadPackets,
        /// Too much behind a login that the application hasn't decided about (step 1).
        #[error("too much behind an undecided login")]
        TooMuchHeld,
    }

    /// Why nothing was sent. What was to be sent was only borrowed: try again with it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum SendError {
        /// Not before a successful login (step 1).
        #[error("not logged in")]
        NotLoggedIn,
        /// The session has ended.
        #[error("the session has ended")]
        Ended,
        /// `max_transmit_bytes` wait to be sent, or as many events as may wait to be taken: try again later.
        #[error("too much waits to be sent or taken")]
        QueueFull,
        /// `max_pending` requests are without a result: try again when one has come.
        #[error("too many requests without a result")]
        TooManyPending,
        /// `max_outgoing` long messages are on their way: try again when one has arrived (step 4).
        #[error("too many long messages on their way")]
        TooManyLong,
        /// What a client says, and a long message, needs at least a byte (step 3).
        #[error("an empty message")]
        Empty,
        /// The message is longer than a long message may be (step 4).
        #[error("message of {len} bytes, the limit is {limit}")]
        TooLong {
            /// Its length.
            len: usize,
            /// The most that it may have.
            limit: usize,
        },
        /// A message with this id is on its way already, or a long one with the same first half of it (steps 3
        /// and 4).
        #[error("a message with this id is on its way")]
        DuplicateId,
        /// The session has used up all client message ids (step 5).
        #[error("no client message ids left")]
        OutOfIds,
        /// Something else in it can't be written.
        #[error(transparent)]
        Encode(#[from] EncodeError),
    }

    /// Why no login or registration was sent.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[non_exhaustive]
    pub enum LoginError {
        /// It has succeeded before (step 2).
        #[error("logged in already")]
        LoggedIn,
        /// One awaits its result.
        #[error("a login awaits its result")]
        Pending,
        /// It couldn't be sent.
        #[error(transparent)]
        Send(#[from] SendError),
    }

    /// Why a login or registration was neither accepted nor refused: none awaits a decision, or one of the other
    /// kind, or the session has ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[error("no such client awaits a decision")]
    pub struct DecideError;

    /// Why something that the client asks wasn't answered: it never asked, was answered already, or the session
    /// has ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
    #[error("this awaits no answer")]
    pub struct AnswerError;
}
