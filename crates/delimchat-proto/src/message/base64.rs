//! Base64 by the `base64` crate: its fastest engine that the build allows, as strict as it can be.

use alloc::vec::Vec;

use ::base64::Engine;
use ::base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::{ContentError, ContentErrorKind};

/// The most characters that a base64 field may have (D1).
pub const MAX_BASE64: usize = LIMIT as usize;

/// The same as a limit of a field.
pub(crate) const LIMIT: u16 = 4000;

/// Padding is required, and the bits that it leaves over are zero; that is the default, said aloud.
const STRICT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_encode_padding(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
    .with_decode_allow_trailing_bits(false);

#[cfg(all(feature = "std", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
fn engine() -> &'static impl Engine {
    use std::sync::LazyLock;

    use ::base64::engine::simd::Simd;

    // What the machine can do is asked once.
    static ENGINE: LazyLock<Simd> = LazyLock::new(|| Simd::standard(STRICT));
    &*ENGINE
}

#[cfg(not(all(feature = "std", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[inline]
fn engine() -> &'static impl Engine {
    use ::base64::alphabet::STANDARD;
    use ::base64::engine::GeneralPurpose;

    static ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, STRICT);
    &ENGINE
}

/// Characters that so many bytes become.
#[inline]
pub(crate) const fn encoded_len(payload: usize) -> usize {
    payload.div_ceil(3).saturating_mul(4)
}

/// Writes a payload's characters to the front of `dst`; gives how many.
#[inline]
pub(crate) fn encode(payload: &[u8], dst: &mut [u8]) -> usize {
    engine().encode_slice(payload, dst).unwrap_or(0)
}

/// Replaces what is in `dst` by the payload; by nothing if there is an error.
#[inline(never)]
pub(crate) fn decode(text: &[u8], dst: &mut Vec<u8>) -> Result<(), ContentError> {
    // Only what grows is zeroed: a buffer that is used again mostly doesn't.
    dst.resize(text.len().div_ceil(4).saturating_mul(3), 0);
    let result = engine().decode_slice(text, dst);
    dst.truncate(*result.as_ref().unwrap_or(&0));
    match result {
        Ok(_) => Ok(()),
        Err(error) => Err(not_base64(&error, text)),
    }
}

/// Whether it is base64, in pieces, so that nothing is kept.
pub(crate) fn check(text: &[u8]) -> Result<(), ContentError> {
    const CHARS: usize = 1024;
    let mut payload = [0; CHARS / 4 * 3];
    let mut before = 0_usize;
    for piece in text.chunks(CHARS) {
        let behind = before.saturating_add(piece.len());
        let shifted =
            |e: ContentError| ContentError { offset: e.offset.saturating_add(before), ..e };
        let len = match engine().decode_slice(piece, &mut payload) {
            Ok(len) => len,
            Err(error) => return Err(shifted(not_base64(&error, piece))),
        };
        // Padding may only stand at the end of all.
        if behind < text.len() && len < payload.len() {
            let offset = piece.iter().position(|byte| *byte == b'=').unwrap_or(0);
            return Err(shifted(ContentError { kind: ContentErrorKind::NotBase64, offset }));
        }
        before = behind;
    }
    Ok(())
}

#[cold]
fn not_base64(error: &::base64::DecodeSliceError, text: &[u8]) -> ContentError {
    use ::base64::{DecodeError, DecodeSliceError};
    let offset = match *error {
        DecodeSliceError::DecodeError(
            DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol { offset, .. },
        ) => offset,
        _ => text.len(),
    };
    ContentError { kind: ContentErrorKind::NotBase64, offset }
}
