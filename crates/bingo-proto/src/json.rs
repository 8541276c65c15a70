use alloc::string::ToString;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::JsonError;

/// Reads an opaque payload as JSON.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Claim<'a> {
///     cell: u8,
///     by: &'a str,
/// }
/// let claim: Claim<'_> = bingo_proto::from_json(br#"{"cell":7,"by":"Ada"}"#)?;
/// assert_eq!((claim.cell, claim.by), (7, "Ada"));
/// # Ok::<(), bingo_proto::JsonError>(())
/// ```
///
/// # Errors
/// Not JSON, or JSON of another shape than `T`.
pub fn from_json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, JsonError> {
    serde_json::from_slice(payload).map_err(|e| error(&e, payload))
}

/// Writes a value as the compact JSON of an opaque payload.
///
/// # Errors
/// JSON can't express the value, such as a map whose keys aren't strings.
pub fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    serde_json::to_vec(value).map_err(|e| error(&e, &[]))
}

fn error(error: &serde_json::Error, payload: &[u8]) -> JsonError {
    let offset = offset_of(error, payload);
    let mut message = error.to_string();
    // Line and column say less than the offset does.
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    JsonError { message, offset }
}

/// serde_json counts lines and columns, both from 1.
fn offset_of(error: &serde_json::Error, json: &[u8]) -> usize {
    let line_start = match error.line().checked_sub(2) {
        None => 0,
        Some(newlines) => json
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'\n')
            .nth(newlines)
            .map_or(0, |(at, _)| at.saturating_add(1)),
    };
    line_start.saturating_add(error.column().saturating_sub(1)).min(json.len())
}
