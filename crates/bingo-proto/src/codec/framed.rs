use core::fmt;
use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio_util::codec;

use super::{Decoder, Frame};
use crate::{CodecConfig, DecodeError, EncodeError};

/// Frames for [`tokio_util::codec::Framed`]: a thin adapter around [`Decoder`].
///
/// Its errors end the stream, as B3 and B8 want. A frame whose *content* is bad comes out like any
/// other, so that it doesn't end a `Framed`:
/// [`ClientMessage::decode`](crate::ClientMessage::decode) and
/// [`ServerMessage::decode`](crate::ServerMessage::decode) tell.
pub struct FrameCodec {
    decoder: Decoder,
    /// The rest of the last read: split off whole, so that frames are slices of it.
    read: Bytes,
}

/// Why a [`FrameCodec`] failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameCodecError {
    /// The transport's error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The stream can't be read on.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The frame can't be written; nothing was.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl FrameCodec {
    /// A codec for both directions of a fresh connection.
    pub const fn new(config: CodecConfig) -> Self {
        Self { decoder: Decoder::new(config), read: Bytes::new() }
    }
}

/// Shows nothing of the bytes, which may hold a token.
impl fmt::Debug for FrameCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameCodec").field("decoder", &self.decoder).finish_non_exhaustive()
    }
}

impl codec::Decoder for FrameCodec {
    type Item = Frame;
    type Error = FrameCodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameCodecError> {
        loop {
            if let Some(frame) = self.decoder.decode_bytes(&mut self.read)? {
                return Ok(Some(frame));
            }
            if src.is_empty() {
                return Ok(None);
            }
            self.read = src.split().freeze();
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, FrameCodecError> {
        let frame = self.decode(src)?;
        if frame.is_none() {
            self.decoder.finish()?;
        }
        Ok(frame)
    }
}

impl codec::Encoder<Frame> for FrameCodec {
    type Error = FrameCodecError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), FrameCodecError> {
        Ok(frame.as_ref().encode(self.decoder.config(), dst)?)
    }
}
