use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use thiserror::Error;

use crate::json::{self, MAX_DEPTH};

/// A value isn't JSON of the wanted shape, or can't be written as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} at byte {offset}")]
pub struct JsonError {
    message: String,
    offset: usize,
}

impl JsonError {
    /// Where in the text it was noticed, in bytes.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}

/// One JSON value as it is on the wire, borrowed: byte for byte, numbers of any size and `1.0`
/// included.
///
/// It is what serde_json's `RawValue` takes, nested 127 levels deep at most (128 where it is a whole
/// `Unknown` message): well-formed, but
/// surrogates in its strings may be alone and its numbers out of everybody's range, which is for
/// [`parse`](Self::parse) to say.
///
/// ```
/// use smallwire_core::JsonRef;
///
/// let args = JsonRef::new("[1.0, 12345678901234567890123]")?;
/// assert_eq!(args.get(), "[1.0, 12345678901234567890123]");
/// assert_eq!(args.parse::<(f64, f64)>()?.0, 1.0);
/// assert_eq!(args.parse::<(JsonRef<'_>, JsonRef<'_>)>()?.0.get(), "1.0");
/// # Ok::<(), smallwire_core::JsonError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JsonRef<'a>(&'a str);

impl<'a> JsonRef<'a> {
    /// `null`.
    pub const NULL: JsonRef<'static> = JsonRef("null");

    /// Checks that `text` is one JSON value; white space around it is left out.
    ///
    /// # Errors
    /// It isn't, or it is nested deeper than 127 levels.
    pub fn new(text: &'a str) -> Result<Self, JsonError> {
        let start = json::to_token(text.as_bytes());
        let end = json::value(start, 1).and_then(|end| json::expect_end(end).map(|_| end));
        end.map(|end| Self(json::between(text, start, end))).map_err(|fault| {
            let too_deep = "JSON nested deeper than 127 levels";
            let message = if fault.is_too_deep() { too_deep } else { "not JSON" };
            JsonError { message: message.into(), offset: fault.offset(text) }
        })
    }

    /// A value that a codec has found in a message, and so is one.
    #[doc(hidden)]
    pub const fn of_checked(text: &'a str) -> Self {
        Self(text)
    }

    /// Its text.
    pub const fn get(self) -> &'a str {
        self.0
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.0.starts_with('[')
    }

    /// Reads it as a type of yours.
    ///
    /// # Errors
    /// It has another shape than `T`, or strings or numbers in it that `T` can't hold.
    pub fn parse<T: Deserialize<'a>>(self) -> Result<T, JsonError> {
        serde_json::from_str(self.0).map_err(|e| error(&e, self.0))
    }

    /// A copy that lives as long as you like.
    pub fn to_owned(self) -> Json {
        Json(self.0.into())
    }
}

impl fmt::Debug for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for JsonRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// By `serde_json`, as the text that it is; other formats get what `RawValue` gives them.
impl Serialize for JsonRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// From `serde_json`, as the text that it is: so are parts of a larger value had verbatim.
impl<'de: 'a, 'a> Deserialize<'de> for JsonRef<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        Self::new(raw.get()).map_err(serde::de::Error::custom)
    }
}

/// One JSON value as it is on the wire, owned; see [`JsonRef`].
///
/// ```
/// use smallwire_core::Json;
///
/// let json = Json::of(&("guild", [1, 2]))?;
/// assert_eq!(json.get(), r#"["guild",[1,2]]"#);
/// assert_eq!(json.parse::<(&str, [u8; 2])>()?, ("guild", [1, 2]));
/// assert_eq!(Json::of(&f64::NAN)?.get(), "null");
/// # Ok::<(), smallwire_core::JsonError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// A value of yours as compact JSON, as serde_json writes it: numbers that JSON doesn't have, such as
    /// `f64::NAN`, become `null`.
    ///
    /// # Errors
    /// JSON can't express it (such as a map whose keys aren't strings), or it is nested deeper
    /// than 127 levels.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        let text = serde_json::to_string(value).map_err(|e| error(&e, ""))?;
        // Most have too few brackets to be nested too deep.
        if text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() >= MAX_DEPTH as usize {
            JsonRef::new(&text)?;
        }
        Ok(Self(text.into()))
    }

    /// The same value, borrowed.
    pub fn as_ref(&self) -> JsonRef<'_> {
        JsonRef(&self.0)
    }

    /// Its text.
    pub fn get(&self) -> &str {
        &self.0
    }

    /// Reads it as a type of yours.
    ///
    /// # Errors
    /// As [`JsonRef::parse`].
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        self.as_ref().parse()
    }
}

impl From<JsonRef<'_>> for Json {
    fn from(json: JsonRef<'_>) -> Self {
        json.to_owned()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        JsonRef::new(raw.get()).map(JsonRef::to_owned).map_err(serde::de::Error::custom)
    }
}

fn error(error: &serde_json::Error, text: &str) -> JsonError {
    let mut message = error.to_string();
    // Line and column say less than the offset does.
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    JsonError { message, offset: offset_of(error, text) }
}

/// serde_json counts lines and columns, both from 1.
fn offset_of(error: &serde_json::Error, text: &str) -> usize {
    let line_start = match error.line().checked_sub(2) {
        None => 0,
        Some(newlines) => {
            text.match_indices('\n').nth(newlines).map_or(0, |(at, _)| at.saturating_add(1))
        }
    };
    line_start.saturating_add(error.column().saturating_sub(1)).min(text.len())
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn as_deep_as_is_said_and_no_deeper() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let fits = nested(127);
        assert_eq!(JsonRef::new(&fits).map(JsonRef::get), Ok(&*fits));
        assert!(serde_json::from_str::<serde_json::Value>(&fits).is_ok());
        let error = JsonRef::new(&nested(128)).unwrap_err();
        assert_eq!(error.to_string(), "JSON nested deeper than 127 levels at byte 127");
    }
}
