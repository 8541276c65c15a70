use alloc::vec::Vec;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{DecodeErrorKind, Violation, ViolationKind};

/// L8: a message as one zlib stream.
pub(crate) fn compress(text: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Compression::default(), true);
    // What zlib says that it needs at most, and the loop for when it is wrong.
    let mut stream =
        Vec::with_capacity(text.len().saturating_add(text.len() / 1000).saturating_add(64));
    loop {
        let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = text.get(taken..).unwrap_or_default();
        match compress.compress_vec(rest, &mut stream, FlushCompress::Finish) {
            Ok(Status::StreamEnd) | Err(_) => break,
            Ok(Status::Ok | Status::BufError) => stream.reserve(stream.len().max(64)),
        }
    }
    // It waits to be sent, and what it counts there is its length.
    stream.shrink_to_fit();
    stream
}

/// L8: the message that is one zlib stream, if it has no more than `limit` bytes. Never takes more
/// memory than twice that.
pub(crate) fn decompress(stream: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    let mut decompress = Decompress::new(true);
    let mut text = Vec::with_capacity(stream.len().saturating_mul(2).min(limit.saturating_add(1)));
    loop {
        if text.len() == text.capacity() {
            // Up to one byte more than is allowed, so that too much shows.
            let most = limit.saturating_add(1).saturating_sub(text.len());
            text.reserve_exact(text.len().min(most).max(1));
        }
        let before = (decompress.total_in(), text.len());
        let rest =
            stream.get(usize::try_from(before.0).unwrap_or(usize::MAX)..).unwrap_or_default();
        let status = decompress.decompress_vec(rest, &mut text, FlushDecompress::None);
        let offset = decompress.total_in();
        if text.len() > limit {
            let kind = DecodeErrorKind::MessageTooLarge { len: text.len(), limit };
            return Err(Violation { kind: ViolationKind::Malformed(kind), offset });
        }
        match status {
            Ok(Status::StreamEnd) if offset == stream.len() as u64 => return Ok(text),
            Ok(Status::Ok | Status::BufError) if (offset, text.len()) != before => {}
            _ => return Err(Violation { kind: ViolationKind::NotZlib, offset }),
        }
    }
}
