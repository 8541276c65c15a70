use alloc::vec::Vec;
use core::fmt;

use bytes::BufMut;
use smallwire_core::Secret;

use crate::{
    CodecConfig, DecodeError, DecodeErrorKind, EncodeError, ErrorReplyStyle, Frame, FrameRef,
    Identification,
};

/// Which of the two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The game plugin.
    Client,
    /// The game server.
    Server,
}

/// What a frame is; the first byte of each.
///
/// An enum, because an opcode outside the table ends the stream (B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// Nothing: one byte, no header, to be ignored (B2).
    Noop = 0x00,
    /// Who the client is, as JSON.
    Identification = 0x01,
    /// The server lets the client in, with a secret token.
    Ready = 0x02,
    /// The server asks whether the client is still there.
    Ping = 0x03,
    /// Asks for a reply.
    Request = 0x04,
    /// Answers a message; without a body it is an acknowledgement.
    Reply = 0x05,
    /// Answers a message: it was refused.
    ErrorReply = 0x06,
    /// The protocol was violated; the connection closes.
    ProtocolError = 0x07,
    /// Tells something, asks for nothing.
    Event = 0x08,
    /// New values of network variables, to be applied at once.
    DataUpdate = 0x09,
}

impl OpCode {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 10] = [
        Self::Noop,
        Self::Identification,
        Self::Ready,
        Self::Ping,
        Self::Request,
        Self::Reply,
        Self::ErrorReply,
        Self::ProtocolError,
        Self::Event,
        Self::DataUpdate,
    ];

    /// The opcode of a byte, `None` for the unassigned `0A`–`FF` (B3).
    #[inline]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x00 => Self::Noop,
            0x01 => Self::Identification,
            0x02 => Self::Ready,
            0x03 => Self::Ping,
            0x04 => Self::Request,
            0x05 => Self::Reply,
            0x06 => Self::ErrorReply,
            0x07 => Self::ProtocolError,
            0x08 => Self::Event,
            0x09 => Self::DataUpdate,
            _ => return None,
        })
    }

    /// Its name in the spec, in snake case, as `Display` shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Noop => "noop",
            Self::Identification => "identification",
            Self::Ready => "ready",
            Self::Ping => "ping",
            Self::Request => "request",
            Self::Reply => "reply",
            Self::ErrorReply => "error_reply",
            Self::ProtocolError => "protocol_error",
            Self::Event => "event",
            Self::DataUpdate => "data_update",
        }
    }

    /// Whether `role` may send it (B4).
    #[inline]
    pub const fn may_be_sent_by(self, role: Role) -> bool {
        match self {
            Self::Identification => matches!(role, Role::Client),
            Self::Ready | Self::Ping | Self::DataUpdate => matches!(role, Role::Server),
            _ => true,
        }
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The number of a message. The two halves of the range tell who gave it: clients number
/// `0000`–`7FFF`, servers `8000`–`FFFF` (B5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub u16);

impl MessageId {
    /// The role that gives out this id.
    #[inline]
    pub const fn role(self) -> Role {
        if self.0 < 0x8000 { Role::Client } else { Role::Server }
    }

    /// The first id that `role` gives out.
    pub const fn first_of(role: Role) -> Self {
        match role {
            Role::Client => Self(0),
            Role::Server => Self(0x8000),
        }
    }

    /// The id after this one in the same half, the half's first after its last.
    #[must_use]
    pub const fn next(self) -> Self {
        Self((self.0 & 0x8000) | (self.0.wrapping_add(1) & 0x7FFF))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({self})")
    }
}

/// Hexadecimal, as `0x8000`.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// What a client may send, borrowed from the frame it came in.
///
/// ```
/// use bingo_proto::{ClientMessage, CodecConfig, Decoder, MessageId};
///
/// let config = CodecConfig::default();
/// let mut wire = Vec::new();
/// ClientMessage::Request(b"claim 7").encode(MessageId(1), &config, &mut wire)?;
/// assert_eq!(wire, *b"\x04\x00\x01\x00\x07claim 7");
///
/// let mut decoder = Decoder::new(config);
/// let frame = decoder.decode(&mut &wire[..])?.unwrap();
/// assert_eq!(ClientMessage::decode(frame, &config)?, ClientMessage::Request(b"claim 7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientMessage<'a> {
    /// Nothing (B2).
    Noop,
    /// Who the client is; the first thing it sends.
    Identification(Identification<'a>),
    /// Asks for a reply; the payload is the application's.
    Request(&'a [u8]),
    /// Answers the message `in_reply_to`, without a body (B6).
    Acknowledgement {
        /// The server's message that is answered.
        in_reply_to: MessageId,
    },
    /// Answers the message `in_reply_to`. With an empty body the same on the wire as
    /// [`Acknowledgement`](Self::Acknowledgement), and decoded as that (B6).
    Reply {
        /// The server's message that is answered.
        in_reply_to: MessageId,
        /// The application's answer.
        body: &'a [u8],
    },
    /// Refuses the message `in_reply_to`. A client gives no text (B7).
    ErrorReply {
        /// The server's message that is refused.
        in_reply_to: MessageId,
    },
    /// The server violated the protocol; the connection closes.
    ProtocolError {
        /// Why; may be empty.
        reason: &'a str,
    },
    /// Tells something; the payload is the application's.
    Event(&'a [u8]),
}

/// What a server may send, borrowed from the frame it came in.
///
/// ```
/// use bingo_proto::{CodecConfig, Decoder, MessageId, ServerMessage};
///
/// let config = CodecConfig::default();
/// let mut decoder = Decoder::new(config);
/// let mut input = &b"\x09\x80\x00\x00\x04b3=1"[..];
/// let frame = decoder.decode(&mut input)?.unwrap();
/// assert_eq!(frame.id(), Some(MessageId(0x8000)));
/// assert_eq!(ServerMessage::decode(frame, &config)?, ServerMessage::DataUpdate(b"b3=1"));
/// # Ok::<(), bingo_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerMessage<'a> {
    /// Nothing (B2).
    Noop,
    /// The client is let in.
    Ready {
        /// The secret for authenticated requests: any bytes, text by convention (B9).
        token: Secret<&'a [u8]>,
    },
    /// Asks for an acknowledgement.
    Ping,
    /// Asks for a reply; the payload is the application's.
    Request(&'a [u8]),
    /// Answers the message `in_reply_to`, without a body (B6).
    Acknowledgement {
        /// The client's message that is answered.
        in_reply_to: MessageId,
    },
    /// Answers the message `in_reply_to`. With an empty body the same on the wire as
    /// [`Acknowledgement`](Self::Acknowledgement), and decoded as that (B6).
    Reply {
        /// The client's message that is answered.
        in_reply_to: MessageId,
        /// The application's answer.
        body: &'a [u8],
    },
    /// Refuses the message `in_reply_to` (B7).
    ErrorReply {
        /// The client's message that is refused.
        in_reply_to: MessageId,
        /// What to show to the user.
        text: &'a str,
    },
    /// The client violated the protocol; the connection closes.
    ProtocolError {
        /// Why; may be empty.
        reason: &'a str,
    },
    /// Tells something; the payload is the application's.
    Event(&'a [u8]),
    /// New values of network variables, to be applied at once; the payload is the application's.
    DataUpdate(&'a [u8]),
}

impl<'a> ClientMessage<'a> {
    /// Reads a client's message out of a frame.
    ///
    /// # Errors
    /// The frame breaks B4, B5, B6, B7, B9 or step 1 of the conversation. The framing is intact:
    /// the next frame can be read. Offsets count from the frame's first byte.
    #[inline]
    pub fn decode(frame: FrameRef<'a>, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_header(&frame, Role::Client, config)?;
        let payload = frame.payload();
        Ok(match frame.opcode() {
            OpCode::Noop => Self::Noop,
            OpCode::Identification => Self::Identification(
                Identification::from_json(payload).map_err(|e| e.shifted(HEADER_LEN))?,
            ),
            OpCode::Request => Self::Request(payload),
            OpCode::Reply => match split_reply(payload, config)? {
                (in_reply_to, []) => Self::Acknowledgement { in_reply_to },
                (in_reply_to, body) => Self::Reply { in_reply_to, body },
            },
            OpCode::ErrorReply => {
                let (in_reply_to, rest) = split_error_reply(&frame, config)?;
                expect_empty(rest, &frame)?;
                Self::ErrorReply { in_reply_to }
            }
            OpCode::ProtocolError => Self::ProtocolError { reason: text(payload, &frame)? },
            OpCode::Event => Self::Event(payload),
            OpCode::Ready | OpCode::Ping | OpCode::DataUpdate => {
                return Err(wrong_direction(frame.opcode()));
            }
        })
    }

    /// What kind of message it is.
    pub const fn opcode(&self) -> OpCode {
        match self {
            Self::Noop => OpCode::Noop,
            Self::Identification(_) => OpCode::Identification,
            Self::Request(_) => OpCode::Request,
            Self::Acknowledgement { .. } | Self::Reply { .. } => OpCode::Reply,
            Self::ErrorReply { .. } => OpCode::ErrorReply,
            Self::ProtocolError { .. } => OpCode::ProtocolError,
            Self::Event(_) => OpCode::Event,
        }
    }

    /// Appends the message to `dst`, numbered `id`. A Noop has no number, nor has an ErrorReply in
    /// header style (B7): for those `id` is not looked at.
    ///
    /// # Errors
    /// The payload is too long, or the id in the header is of the wrong half; `dst` is as it was.
    #[inline]
    pub fn encode(
        &self,
        id: MessageId,
        config: &CodecConfig,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        let writer = Writer { id, sender: Role::Client, config };
        match self {
            Self::Noop => writer.noop(dst),
            Self::Identification(identification) => {
                writer.payload(OpCode::Identification, identification.to_json().as_bytes(), dst)
            }
            Self::Request(payload) => writer.payload(OpCode::Request, payload, dst),
            Self::Acknowledgement { in_reply_to } => writer.reply(*in_reply_to, &[], dst),
            Self::Reply { in_reply_to, body } => writer.reply(*in_reply_to, body, dst),
            Self::ErrorReply { in_reply_to } => writer.error_reply(*in_reply_to, "", dst),
            Self::ProtocolError { reason } => {
                writer.payload(OpCode::ProtocolError, reason.as_bytes(), dst)
            }
            Self::Event(payload) => writer.payload(OpCode::Event, payload, dst),
        }
    }

    /// The message as a frame of its own, numbered `id`: for `FrameCodec`, which sends frames.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn to_frame(&self, id: MessageId, config: &CodecConfig) -> Result<Frame, EncodeError> {
        let mut bytes = Vec::new();
        self.encode(id, config, &mut bytes)?;
        Ok(Frame::from_encoded(bytes, config))
    }
}

impl<'a> ServerMessage<'a> {
    /// Reads a server's message out of a frame.
    ///
    /// # Errors
    /// The frame breaks B4, B5, B6, B7 or B9. The framing is intact: the next frame can be read.
    /// Offsets count from the frame's first byte.
    #[inline]
    pub fn decode(frame: FrameRef<'a>, config: &CodecConfig) -> Result<Self, DecodeError> {
        check_header(&frame, Role::Server, config)?;
        let payload = frame.payload();
        Ok(match frame.opcode() {
            OpCode::Noop => Self::Noop,
            OpCode::Ready => Self::Ready { token: Secret::new(payload) },
            OpCode::Ping => {
                expect_empty(payload, &frame)?;
                Self::Ping
            }
            OpCode::Request => Self::Request(payload),
            OpCode::Reply => match split_reply(payload, config)? {
                (in_reply_to, []) => Self::Acknowledgement { in_reply_to },
                (in_reply_to, body) => Self::Reply { in_reply_to, body },
            },
            OpCode::ErrorReply => {
                let (in_reply_to, rest) = split_error_reply(&frame, config)?;
                Self::ErrorReply { in_reply_to, text: text(rest, &frame)? }
            }
            OpCode::ProtocolError => Self::ProtocolError { reason: text(payload, &frame)? },
            OpCode::Event => Self::Event(payload),
            OpCode::DataUpdate => Self::DataUpdate(payload),
            OpCode::Identification => return Err(wrong_direction(frame.opcode())),
        })
    }

    /// What kind of message it is.
    pub const fn opcode(&self) -> OpCode {
        match self {
            Self::Noop => OpCode::Noop,
            Self::Ready { .. } => OpCode::Ready,
            Self::Ping => OpCode::Ping,
            Self::Request(_) => OpCode::Request,
            Self::Acknowledgement { .. } | Self::Reply { .. } => OpCode::Reply,
            Self::ErrorReply { .. } => OpCode::ErrorReply,
            Self::ProtocolError { .. } => OpCode::ProtocolError,
            Self::Event(_) => OpCode::Event,
            Self::DataUpdate(_) => OpCode::DataUpdate,
        }
    }

    /// Appends the message to `dst`, numbered `id`. A Noop has no number, nor has an ErrorReply in
    /// header style (B7): for those `id` is not looked at.
    ///
    /// # Errors
    /// The payload is too long, or the id in the header is of the wrong half; `dst` is as it was.
    #[inline]
    pub fn encode(
        &self,
        id: MessageId,
        config: &CodecConfig,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        let writer = Writer { id, sender: Role::Server, config };
        match self {
            Self::Noop => writer.noop(dst),
            Self::Ready { token } => writer.payload(OpCode::Ready, token.expose(), dst),
            Self::Ping => writer.payload(OpCode::Ping, &[], dst),
            Self::Request(payload) => writer.payload(OpCode::Request, payload, dst),
            Self::Acknowledgement { in_reply_to } => writer.reply(*in_reply_to, &[], dst),
            Self::Reply { in_reply_to, body } => writer.reply(*in_reply_to, body, dst),
            Self::ErrorReply { in_reply_to, text } => writer.error_reply(*in_reply_to, text, dst),
            Self::ProtocolError { reason } => {
                writer.payload(OpCode::ProtocolError, reason.as_bytes(), dst)
            }
            Self::Event(payload) => writer.payload(OpCode::Event, payload, dst),
            Self::DataUpdate(payload) => writer.payload(OpCode::DataUpdate, payload, dst),
        }
    }

    /// The message as a frame of its own, numbered `id`: for `FrameCodec`, which sends frames.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn to_frame(&self, id: MessageId, config: &CodecConfig) -> Result<Frame, EncodeError> {
        let mut bytes = Vec::new();
        self.encode(id, config, &mut bytes)?;
        Ok(Frame::from_encoded(bytes, config))
    }
}

/// What offsets in a payload are behind those in its frame.
const HEADER_LEN: u64 = FrameRef::HEADER_LEN as u64;

const fn wrong_direction(opcode: OpCode) -> DecodeError {
    DecodeError { kind: DecodeErrorKind::WrongDirection(opcode), offset: 0 }
}

/// B4 and B5: what can be told from the header alone.
#[inline]
fn check_header(
    frame: &FrameRef<'_>,
    sender: Role,
    config: &CodecConfig,
) -> Result<(), DecodeError> {
    if !frame.opcode().may_be_sent_by(sender) {
        return Err(wrong_direction(frame.opcode()));
    }
    let Some(id) = frame.id() else { return Ok(()) };
    let names_receiver = frame.opcode() == OpCode::ErrorReply
        && config.error_reply_style == ErrorReplyStyle::HeaderId;
    if (id.role() == sender) == names_receiver {
        return Err(DecodeError { kind: DecodeErrorKind::WrongIdHalf(id), offset: 1 });
    }
    Ok(())
}

/// B6: the id replied to, and the body.
fn split_reply<'a>(
    payload: &'a [u8],
    config: &CodecConfig,
) -> Result<(MessageId, &'a [u8]), DecodeError> {
    match payload.split_first_chunk() {
        Some((id, body)) => Ok((MessageId(config.byte_order.read(*id)), body)),
        None => Err(DecodeError { kind: DecodeErrorKind::ReplyTooShort, offset: HEADER_LEN }),
    }
}

/// B7: the id replied to, from where the style has it, and the text.
fn split_error_reply<'a>(
    frame: &FrameRef<'a>,
    config: &CodecConfig,
) -> Result<(MessageId, &'a [u8]), DecodeError> {
    match (config.error_reply_style, frame.id()) {
        (ErrorReplyStyle::HeaderId, Some(id)) => Ok((id, frame.payload())),
        _ => split_reply(frame.payload(), config),
    }
}

/// Where `rest`, the end of the frame's payload, begins in the frame.
fn offset_of(rest: &[u8], frame: &FrameRef<'_>) -> u64 {
    let before = frame.payload().len().saturating_sub(rest.len());
    HEADER_LEN.saturating_add(before as u64)
}

fn expect_empty(rest: &[u8], frame: &FrameRef<'_>) -> Result<(), DecodeError> {
    if rest.is_empty() {
        return Ok(());
    }
    Err(DecodeError { kind: DecodeErrorKind::PayloadNotEmpty, offset: offset_of(rest, frame) })
}

fn text<'a>(bytes: &'a [u8], frame: &FrameRef<'_>) -> Result<&'a str, DecodeError> {
    core::str::from_utf8(bytes).map_err(|e| DecodeError {
        kind: DecodeErrorKind::NotUtf8,
        offset: offset_of(bytes, frame).saturating_add(e.valid_up_to() as u64),
    })
}

/// Writes one message of `sender`, checking everything before the first byte.
struct Writer<'a> {
    id: MessageId,
    sender: Role,
    config: &'a CodecConfig,
}

impl Writer<'_> {
    #[inline]
    fn noop(&self, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        FrameRef::NOOP.encode(self.config, dst)
    }

    #[inline]
    fn payload(
        &self,
        opcode: OpCode,
        payload: &[u8],
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        expect_role(self.id, self.sender)?;
        FrameRef::new(opcode, self.id, payload).encode(self.config, dst)
    }

    fn reply(
        &self,
        in_reply_to: MessageId,
        body: &[u8],
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        self.prefixed(OpCode::Reply, in_reply_to, body, dst)
    }

    fn error_reply(
        &self,
        in_reply_to: MessageId,
        text: &str,
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        match self.config.error_reply_style {
            ErrorReplyStyle::HeaderId => {
                // It stands where an own id would, so its half is checked as one (B5).
                if in_reply_to.role() == self.sender {
                    return Err(EncodeError::WrongIdHalf(in_reply_to));
                }
                FrameRef::new(OpCode::ErrorReply, in_reply_to, text.as_bytes())
                    .encode(self.config, dst)
            }
            ErrorReplyStyle::PayloadPrefix => {
                self.prefixed(OpCode::ErrorReply, in_reply_to, text.as_bytes(), dst)
            }
        }
    }

    fn prefixed(
        &self,
        opcode: OpCode,
        in_reply_to: MessageId,
        body: &[u8],
        dst: &mut impl BufMut,
    ) -> Result<(), EncodeError> {
        expect_role(self.id, self.sender)?;
        let prefix = self.config.byte_order.write(in_reply_to.0);
        crate::codec::write_frame(opcode, self.id, &prefix, body, self.config, dst)
    }
}

#[inline]
fn expect_role(id: MessageId, role: Role) -> Result<(), EncodeError> {
    if id.role() == role { Ok(()) } else { Err(EncodeError::WrongIdHalf(id)) }
}
