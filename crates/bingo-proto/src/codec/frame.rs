use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, BufMut, Bytes};

use crate::{CodecConfig, DecodeError, DecodeErrorKind, EncodeError, MessageId, OpCode};

/// One frame, its payload borrowed from where it was read.
///
/// Says nothing yet of who may send it or what the payload must be: for that there are
/// [`ClientMessage`](crate::ClientMessage) and [`ServerMessage`](crate::ServerMessage).
/// `Debug` doesn't show the payload of a Ready, which is a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    payload: &'a [u8],
    id: MessageId,
    opcode: OpCode,
}

impl<'a> FrameRef<'a> {
    /// Bytes before the payload: opcode, id and length. A Noop has only the first.
    pub const HEADER_LEN: usize = 5;

    /// The one-byte frame that means nothing (B2).
    pub const NOOP: FrameRef<'static> =
        FrameRef { payload: &[], id: MessageId(0), opcode: OpCode::Noop };

    /// A frame of these parts; a Noop has neither id nor payload, whatever is given (B2).
    #[inline]
    pub const fn new(opcode: OpCode, id: MessageId, payload: &'a [u8]) -> Self {
        match opcode {
            OpCode::Noop => Self::NOOP,
            _ => Self { payload, id, opcode },
        }
    }

    /// What it is.
    #[inline]
    pub const fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// The id in its header; a Noop has none.
    #[inline]
    pub const fn id(&self) -> Option<MessageId> {
        match self.opcode {
            OpCode::Noop => None,
            _ => Some(self.id),
        }
    }

    /// Its payload, empty for a Noop.
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Its length on the wire, in bytes: 1 for a Noop, else 5 and the payload.
    #[inline]
    pub const fn encoded_len(&self) -> usize {
        match self.opcode {
            OpCode::Noop => 1,
            _ => self.payload.len().saturating_add(Header::LEN),
        }
    }

    /// Appends the frame to `dst`.
    ///
    /// # Errors
    /// The payload is longer than `max_payload`, or `dst` is of fixed size and too small; `dst` is
    /// as it was.
    #[inline]
    pub fn encode(&self, config: &CodecConfig, dst: &mut impl BufMut) -> Result<(), EncodeError> {
        match self.opcode {
            OpCode::Noop if dst.has_remaining_mut() => {
                dst.put_u8(OpCode::Noop as u8);
                Ok(())
            }
            OpCode::Noop => Err(EncodeError::BufferFull),
            _ => write_frame(self.opcode, self.id, &[], self.payload, config, dst),
        }
    }
}

impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut s = f.debug_struct("Frame");
        s.field("opcode", &self.opcode);
        if let Some(id) = self.id() {
            s.field("id", &id);
        }
        if self.opcode == OpCode::Ready {
            s.field("payload", &format_args!("[redacted]"));
        } else {
            s.field("payload", &format_args!("\"{}\"", self.payload.escape_ascii()));
        }
        s.finish()
    }
}

/// Writes a frame whose payload is `prefix` and `body`; all checks come before the first byte.
#[inline]
pub(crate) fn write_frame<const N: usize>(
    opcode: OpCode,
    id: MessageId,
    prefix: &[u8; N],
    body: &[u8],
    config: &CodecConfig,
    dst: &mut impl BufMut,
) -> Result<(), EncodeError> {
    let len = body.len().saturating_add(N);
    let announced = match u16::try_from(len) {
        Ok(announced) if announced <= config.max_payload => announced,
        _ => {
            return Err(EncodeError::PayloadTooLarge { len, limit: config.max_payload });
        }
    };
    if dst.remaining_mut() < len.saturating_add(Header::LEN) {
        return Err(EncodeError::BufferFull);
    }
    let [id0, id1] = config.byte_order.write(id.0);
    let [len0, len1] = config.byte_order.write(announced);
    dst.put_slice(&[opcode as u8, id0, id1, len0, len1]);
    // Each call costs a `BytesMut` as much as a small body does.
    if N > 0 {
        dst.put_slice(prefix);
    }
    if !body.is_empty() {
        dst.put_slice(body);
    }
    Ok(())
}

/// One frame that owns its payload: a slice of the read it came in.
///
/// A small frame keeps its whole read alive; copy the payload
/// (`Bytes::copy_from_slice(&frame.payload())`) where it is to stay for long.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    payload: Bytes,
    id: MessageId,
    opcode: OpCode,
}

impl Frame {
    /// A frame of these parts; a Noop has neither id nor payload, whatever is given (B2).
    #[inline]
    pub fn new(opcode: OpCode, id: MessageId, payload: Bytes) -> Self {
        match opcode {
            OpCode::Noop => Self { payload: Bytes::new(), id: MessageId(0), opcode },
            _ => Self { payload, id, opcode },
        }
    }

    /// The frame that these bytes are.
    pub(crate) fn from_encoded(bytes: Vec<u8>, config: &CodecConfig) -> Self {
        // Always: the bytes were encoded with this configuration.
        Self::split_off(&mut bytes.into(), config)
            .unwrap_or_else(|| Self::new(OpCode::Noop, MessageId(0), Bytes::new()))
    }

    /// The whole frame at the front of `bytes`, if there is one.
    #[inline]
    pub(crate) fn split_off(bytes: &mut Bytes, config: &CodecConfig) -> Option<Self> {
        Header::read(bytes, config).ok()??.split_off(bytes)
    }

    /// The same frame, borrowed.
    #[inline]
    pub fn as_ref(&self) -> FrameRef<'_> {
        FrameRef { payload: &self.payload, id: self.id, opcode: self.opcode }
    }

    /// What it is.
    #[inline]
    pub fn opcode(&self) -> OpCode {
        self.opcode
    }

    /// The id in its header; a Noop has none.
    #[inline]
    pub fn id(&self) -> Option<MessageId> {
        self.as_ref().id()
    }

    /// Its payload, empty for a Noop.
    #[inline]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Its payload, without the rest.
    #[inline]
    pub fn into_payload(self) -> Bytes {
        self.payload
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

/// What stands before a payload.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    pub(crate) opcode: OpCode,
    pub(crate) id: MessageId,
    pub(super) payload_len: u16,
}

impl Header {
    pub(super) const LEN: usize = FrameRef::HEADER_LEN;

    /// Reads the header at the start of `bytes`, `None` if it isn't whole yet. A Noop's is its one
    /// byte. Offsets count from the start of `bytes`.
    #[inline]
    pub(super) fn read(bytes: &[u8], config: &CodecConfig) -> Result<Option<Self>, DecodeError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let Some(opcode) = OpCode::from_byte(first) else {
            return Err(DecodeError { kind: DecodeErrorKind::UnknownOpcode(first), offset: 0 });
        };
        if opcode == OpCode::Noop {
            return Ok(Some(Self { opcode, id: MessageId(0), payload_len: 0 }));
        }
        let Some(&[_, id0, id1, len0, len1]) = bytes.first_chunk::<{ Self::LEN }>() else {
            return Ok(None);
        };
        let payload_len = config.byte_order.read([len0, len1]);
        if payload_len > config.max_payload {
            let (announced, limit) = (payload_len, config.max_payload);
            let kind = DecodeErrorKind::PayloadTooLarge { announced, limit };
            return Err(DecodeError { kind, offset: 3 });
        }
        Ok(Some(Self { opcode, id: MessageId(config.byte_order.read([id0, id1])), payload_len }))
    }

    /// Splits the frame that starts with this header off the front of `bytes`, if it is whole.
    #[inline]
    pub(super) fn split(self, bytes: &[u8]) -> Option<(FrameRef<'_>, &[u8])> {
        let Self { opcode, id, payload_len } = self;
        if opcode == OpCode::Noop {
            return bytes.split_first().map(|(_, rest)| (FrameRef::NOOP, rest));
        }
        let (_, rest) = bytes.split_first_chunk::<{ Self::LEN }>()?;
        let (payload, rest) = rest.split_at_checked(payload_len.into())?;
        Some((FrameRef { payload, id, opcode }, rest))
    }

    /// As [`split`](Self::split), with a payload that is a slice of `bytes`.
    #[inline]
    pub(super) fn split_off(self, bytes: &mut Bytes) -> Option<Frame> {
        let Self { opcode, id, payload_len } = self;
        if opcode == OpCode::Noop {
            bytes.advance(1);
            return Some(Frame::new(opcode, id, Bytes::new()));
        }
        let end = Self::LEN.saturating_add(payload_len.into());
        if bytes.len() < end {
            return None;
        }
        // An empty slice would keep the read alive.
        let payload = if payload_len == 0 { Bytes::new() } else { bytes.slice(Self::LEN..end) };
        bytes.advance(end);
        Some(Frame { payload, id, opcode })
    }

    /// Bytes of the whole frame, which isn't a Noop.
    #[inline]
    pub(super) const fn frame_len(self) -> usize {
        Self::LEN.saturating_add(self.payload_len as usize)
    }
}
