use bytes::BufMut;

use crate::message::{MAX_BASE64, base64_len, encode_base64};

/// Appends a payload as base64. It goes over the stack, as `dst` has no bytes to write to before they are there:
/// over no more of it than is needed, since that is zeroed.
#[inline]
pub(crate) fn put_base64(payload: &[u8], dst: &mut impl BufMut) {
    match base64_len(payload.len()) {
        0..=128 => put_over::<128>(payload, dst),
        129..=1024 => put_over::<1024>(payload, dst),
        _ => put_over::<MAX_BASE64>(payload, dst),
    }
}

#[inline]
fn put_over<const CHARS: usize>(payload: &[u8], dst: &mut impl BufMut) {
    let mut text = [0; CHARS];
    let len = encode_base64(payload, &mut text);
    dst.put_slice(text.get(..len).unwrap_or_default());
}
