use bytes::BufMut;

use crate::message::{base64_len, encode_base64};

/// Gathers a packet's many small fields on the stack: each call costs a buffer as much as a small packet does.
pub(crate) struct Out<'d, D> {
    dst: &'d mut D,
    gathered: [u8; SIZE],
    len: usize,
}

/// A multiple of four, the characters of three bytes.
const SIZE: usize = 512;

impl<'d, D: BufMut> Out<'d, D> {
    #[inline]
    pub(crate) fn new(dst: &'d mut D) -> Self {
        Self { dst, gathered: [0; SIZE], len: 0 }
    }

    /// So much room, if there ever can be.
    #[inline]
    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        if SIZE.saturating_sub(self.len) < len {
            self.flush();
        }
        let start = self.len;
        let room = self.gathered.get_mut(start..start.saturating_add(len))?;
        self.len = start.saturating_add(len);
        Some(room)
    }

    #[inline]
    pub(crate) fn byte(&mut self, byte: u8) {
        self.slice(&[byte]);
    }

    #[inline]
    pub(crate) fn slice(&mut self, bytes: &[u8]) {
        match self.room(bytes.len()) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.dst.put_slice(bytes),
        }
    }

    /// The payload as base64.
    #[inline]
    pub(crate) fn base64(&mut self, payload: &[u8]) {
        // Pieces of whole groups of three, so that only the last is padded.
        for piece in payload.chunks(const { SIZE / 4 * 3 }) {
            let len = base64_len(piece.len());
            if let Some(room) = self.room(len) {
                encode_base64(piece, room);
            }
        }
    }

    /// Writes what is gathered.
    #[inline]
    pub(crate) fn flush(&mut self) {
        self.dst.put_slice(self.gathered.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}
