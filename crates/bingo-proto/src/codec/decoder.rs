use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf, Bytes};

use super::frame::{Frame, FrameRef, Header};
use crate::{CodecConfig, DecodeError, DecodeErrorKind};

/// Cuts a byte stream into frames, however the bytes arrive.
///
/// Frames are borrowed from the input ([`decode`](Self::decode)) or slices of it
/// ([`decode_bytes`](Self::decode_bytes)). Only a frame that the input leaves unfinished is copied,
/// into a carry buffer that grows with what has arrived, never with what a header announces.
/// `Debug` shows none of its content.
///
/// ```
/// use bingo_proto::{CodecConfig, Decoder, OpCode};
///
/// let mut decoder = Decoder::new(CodecConfig::default());
/// let mut seen = Vec::new();
/// for read in [&b"\x00\x08\x00\x00\x00\x02h"[..], b"i\x07\x00\x01\x00\x00"] {
///     let mut input = read;
///     while let Some(frame) = decoder.decode(&mut input)? {
///         seen.push((frame.opcode(), frame.payload().to_vec()));
///     }
/// }
/// decoder.finish()?;
/// assert_eq!(seen, [
///     (OpCode::Noop, b"".to_vec()),
///     (OpCode::Event, b"hi".to_vec()),
///     (OpCode::ProtocolError, b"".to_vec()),
/// ]);
/// # Ok::<(), bingo_proto::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct Decoder {
    /// The start of an unfinished frame; a whole one if `lent`.
    carry: Vec<u8>,
    /// Of the first byte not yet given out in a frame.
    offset: u64,
    config: CodecConfig,
    /// The carry was given out as a frame: it goes at the next call.
    lent: bool,
}

impl Decoder {
    /// A decoder at the start of a stream.
    pub const fn new(config: CodecConfig) -> Self {
        Self { carry: Vec::new(), offset: 0, config, lent: false }
    }

    /// Takes the next frame off the front of `input`, or all of `input` if no frame is whole yet
    /// (`None`). Call it until it gives `None`.
    ///
    /// # Errors
    /// B3 or B8: the stream is lost, and every further call gives the same error. The offset
    /// counts from the start of the stream.
    #[inline]
    pub fn decode<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<FrameRef<'a>>, DecodeError> {
        if !self.carry.is_empty() && !self.give_back() {
            // A copy, so that `input` stays in registers where nothing is carried.
            let mut rest = *input;
            let frame = self.decode_carried(&mut rest);
            *input = rest;
            return frame;
        }
        match Header::read(input, &self.config) {
            Ok(Some(header)) => {
                if let Some((frame, rest)) = header.split(input) {
                    *input = rest;
                    self.offset = self.offset.wrapping_add(frame.encoded_len() as u64);
                    return Ok(Some(frame));
                }
            }
            Ok(None) => {}
            Err(error) => return Err(self.fail(error, input)),
        }
        self.carry.extend_from_slice(input);
        *input = &[];
        Ok(None)
    }

    /// As [`decode`](Self::decode), but the frame's payload is a slice of `input` that lives as
    /// long as it is needed.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    #[inline]
    pub fn decode_bytes(&mut self, input: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        if !self.carry.is_empty() && !self.give_back() {
            return self.decode_bytes_carried(input);
        }
        match Header::read(input, &self.config) {
            Ok(Some(header)) => {
                if let Some(frame) = header.split_off(input) {
                    self.offset = self.offset.wrapping_add(frame.as_ref().encoded_len() as u64);
                    return Ok(Some(frame));
                }
            }
            Ok(None) => {}
            Err(error) => return Err(self.fail(error, input)),
        }
        self.carry.extend_from_slice(input);
        // An empty slice would keep the read alive.
        *input = Bytes::new();
        Ok(None)
    }

    /// The whole frames at the front of `input`, at most `max` of them, up to the first one that isn't
    /// good or isn't `wanted`: how many they are, and how many bytes. `skip` takes them.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn run(
        &self,
        mut input: &[u8],
        max: usize,
        wanted: impl Fn(&FrameRef<'_>) -> bool,
    ) -> (usize, usize) {
        let (mut frames, mut len) = (0_usize, 0_usize);
        while self.carry.is_empty() && frames < max {
            let Ok(Some(header)) = Header::read(input, &self.config) else { break };
            match header.split(input) {
                Some((frame, rest)) if wanted(&frame) => {
                    frames = frames.saturating_add(1);
                    len = len.saturating_add(frame.encoded_len());
                    input = rest;
                }
                _ => break,
            }
        }
        (frames, len)
    }

    /// Goes past bytes that `run` found to be frames.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn skip(&mut self, len: usize) {
        self.offset = self.offset.wrapping_add(len as u64);
    }

    /// Says that the stream has ended.
    ///
    /// # Errors
    /// [`UnexpectedEof`](DecodeErrorKind::UnexpectedEof) inside a frame, with the offset at which
    /// that frame starts (conversation, step 7); or the error that `decode` gave before.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.unfinished().is_empty() {
            return Ok(());
        }
        Header::read(&self.carry, &self.config).map_err(|e| e.shifted(self.offset))?;
        Err(DecodeError { kind: DecodeErrorKind::UnexpectedEof, offset: self.offset })
    }

    /// Where the next frame starts, or the one that isn't whole yet: bytes from the start of the
    /// stream.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// What has arrived of a frame that isn't whole yet, or can't be read.
    pub fn unfinished(&self) -> &[u8] {
        if self.lent { &[] } else { &self.carry }
    }

    /// Frees the carry buffer if no frame is unfinished.
    pub fn release(&mut self) {
        if self.unfinished().is_empty() {
            self.carry = Vec::new();
            self.lent = false;
        }
    }

    /// The settings it was made with.
    pub const fn config(&self) -> &CodecConfig {
        &self.config
    }

    /// Empties a carry whose frame was given out; tells whether it did.
    #[inline]
    fn give_back(&mut self) -> bool {
        if self.lent {
            self.carry.clear();
        }
        core::mem::take(&mut self.lent)
    }

    /// Keeps the header that was wrong, so that the next call finds it again.
    #[cold]
    fn fail(&mut self, error: DecodeError, input: &[u8]) -> DecodeError {
        self.carry.extend_from_slice(input.get(..Header::LEN).unwrap_or(input));
        error.shifted(self.offset)
    }

    /// Goes on with the unfinished frame; `Some` when it is whole.
    fn fill(&mut self, input: &mut &[u8]) -> Result<Option<Header>, DecodeError> {
        loop {
            let header =
                Header::read(&self.carry, &self.config).map_err(|e| e.shifted(self.offset))?;
            let wanted = header.map_or(Header::LEN, Header::frame_len);
            let missing = wanted.saturating_sub(self.carry.len());
            let (now, later) = input.split_at_checked(missing).unwrap_or((input, &[]));
            self.carry.extend_from_slice(now);
            *input = later;
            if self.carry.len() < wanted {
                return Ok(None);
            }
            if let Some(header) = header {
                self.offset = self.offset.wrapping_add(wanted as u64);
                return Ok(Some(header));
            }
        }
    }

    fn decode_carried(&mut self, input: &mut &[u8]) -> Result<Option<FrameRef<'_>>, DecodeError> {
        let Some(header) = self.fill(input)? else {
            return Ok(None);
        };
        self.lent = true;
        let payload = self.carry.get(Header::LEN..).unwrap_or_default();
        Ok(Some(FrameRef::new(header.opcode, header.id, payload)))
    }

    fn decode_bytes_carried(&mut self, input: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        let mut rest = &input[..];
        let header = self.fill(&mut rest);
        let taken = input.len().saturating_sub(rest.len());
        input.advance(taken);
        let Some(header) = header? else {
            return Ok(None);
        };
        // Exactly as large as the frame: what lives on is what was received.
        let mut payload = Bytes::from(core::mem::take(&mut self.carry).into_boxed_slice());
        payload.advance(Header::LEN);
        Ok(Some(Frame::new(header.opcode, header.id, payload)))
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("config", &self.config)
            .field("offset", &self.offset)
            .field("unfinished", &self.unfinished().len())
            .finish_non_exhaustive()
    }
}
