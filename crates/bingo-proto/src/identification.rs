use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::json;
use crate::{DecodeError, DecodeErrorKind};

/// Nesting allowed in an Identification, in levels.
const MAX_DEPTH: u32 = 128;

/// Who a client is: the JSON payload of its first message (conversation, step 1).
///
/// ```
/// use bingo_proto::Identification;
///
/// let who = Identification::new("9f2c", "Ada");
/// assert_eq!(who.to_json(), r#"{"login":"9f2c","username":"Ada"}"#);
/// assert_eq!(Identification::from_json(who.to_json().as_bytes())?, who);
/// # Ok::<(), bingo_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification<'a> {
    /// The account.
    pub login: Cow<'a, str>,
    /// The name to show.
    pub username: Cow<'a, str>,
}

impl<'a> Identification<'a> {
    /// An Identification of these two.
    pub fn new(login: impl Into<Cow<'a, str>>, username: impl Into<Cow<'a, str>>) -> Self {
        Self { login: login.into(), username: username.into() }
    }

    /// Reads it from JSON. Unknown keys are ignored; strings without escapes are borrowed.
    ///
    /// # Errors
    /// Not UTF-8 and so not JSON; nested deeper than 128 levels, whatever else is wrong; not JSON,
    /// not an object, or a key missing, twice or not a string. The offset counts from the start of `json`;
    /// a key that is missing or not a string is told where the object begins.
    pub fn from_json(json: &'a [u8]) -> Result<Self, DecodeError> {
        // serde_json doesn't look at the text of what is ignored.
        core::str::from_utf8(json).map_err(|e| DecodeError {
            kind: DecodeErrorKind::NotJson,
            offset: e.valid_up_to() as u64,
        })?;
        if let Some(offset) = deeper_than(MAX_DEPTH, json) {
            return Err(DecodeError { kind: DecodeErrorKind::TooDeep, offset });
        }
        let start = json.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(0);
        let at_start = |kind| DecodeError { kind, offset: start as u64 };
        // A derived `Deserialize` would read an array as an object's values.
        if json.get(start) != Some(&b'{') {
            return Err(match serde_json::from_slice::<IgnoredAny>(json) {
                Ok(_) => at_start(DecodeErrorKind::NotAnObject),
                Err(error) => not_json(&error, json),
            });
        }
        let keys: Keys<'a> = serde_json::from_slice(json).map_err(|error| {
            let mut found = not_json(&error, json);
            // The values may be anything, so the shape can only be wrong by a second key.
            if error.is_data() {
                found.kind = DecodeErrorKind::DuplicateKey;
            }
            found
        })?;
        Ok(Self {
            login: keys.login.into_text("login").map_err(at_start)?,
            username: keys.username.into_text("username").map_err(at_start)?,
        })
    }

    /// Writes it as compact JSON, `login` first.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "login": self.login, "username": self.username }).to_string()
    }

    /// The same, independent of what it was read from.
    pub fn into_owned(self) -> Identification<'static> {
        Identification {
            login: Cow::Owned(self.login.into_owned()),
            username: Cow::Owned(self.username.into_owned()),
        }
    }
}

fn not_json(error: &serde_json::Error, json: &[u8]) -> DecodeError {
    DecodeError { kind: DecodeErrorKind::NotJson, offset: json::offset_of(error, json) as u64 }
}

/// Where the nesting of `json` first passes `max` levels. Looks at brackets outside strings only.
fn deeper_than(max: u32, json: &[u8]) -> Option<u64> {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == max => return Some(at as u64),
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow, default)]
    login: Field<'a>,
    #[serde(borrow, default)]
    username: Field<'a>,
}

/// The value of a key: told apart here, since serde's errors can't be matched on.
#[derive(Default)]
enum Field<'a> {
    #[default]
    Missing,
    Text(Cow<'a, str>),
    Other,
}

impl<'a> Field<'a> {
    fn into_text(self, key: &'static str) -> Result<Cow<'a, str>, DecodeErrorKind> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Missing => Err(DecodeErrorKind::MissingKey(key)),
            Self::Other => Err(DecodeErrorKind::NotAString(key)),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(text.to_string())))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}
