use bytes::BufMut;

use crate::message::{base64_len, encode_base64};

/// Appends a payload as base64. It goes over the stack, as `dst` has no bytes to write to before they are there:
/// over no more of it than is needed, since that is zeroed, and at most in halves, as less than 2 KiB are zeroed and
/// copied faster.
#[inline]
pub(crate) fn put_base64(payload: &[u8], dst: &mut impl BufMut) {
    match base64_len(payload.len()) {
        0..=128 => put_over::<128>(payload, dst),
        129..=1024 => put_over::<1024>(payload, dst),
        _ => put_over::<2004>(payload, dst),
    }
}

#[inline]
fn put_over<const CHARS: usize>(payload: &[u8], dst: &mut impl BufMut) {
    let mut text = [0; CHARS];
    for piece in payload.chunks(const { CHARS / 4 * 3 }) {
        let len = encode_base64(piece, &mut text);
        dst.put_slice(text.get(..len).unwrap_or_default());
    }
}
