use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::str::from_utf8;

use smallwire_core::json::{Fields, FieldsError, plain, unquoted};

use crate::{DecodeError, DecodeErrorKind};

/// The keys that the protocol knows.
const KEYS: [&str; 2] = ["login", "username"];

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
    /// Not UTF-8, and so not JSON; else the first thing that is wrong, from the front: not JSON, nested deeper than 128
    /// levels, not an object, a key twice; else `login`, then `username` missing, or not a string of whole characters.
    /// The offset counts from the start of `json`: of what no JSON can go on with, the bracket, the object, the key,
    /// the object's end, or the value.
    pub fn from_json(json: &'a [u8]) -> Result<Self, DecodeError> {
        let text = from_utf8(json).map_err(|e| error(DecodeErrorKind::NotJson, e.valid_up_to()))?;
        let mut fields = Fields::<2>::new(text);
        let known = |name: &str| KEYS.iter().position(|key| *key == name);
        fields.read(|_| None, known).map_err(|why| unreadable(text, why))?;
        let [login, username] = KEYS;
        Ok(Self { login: string(&fields, 0, login)?, username: string(&fields, 1, username)? })
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

fn error(kind: DecodeErrorKind, offset: usize) -> DecodeError {
    DecodeError { kind, offset: offset as u64 }
}

fn unreadable(text: &str, why: FieldsError<'_>) -> DecodeError {
    let (kind, offset) = match why {
        FieldsError::Fault(fault) if fault.is_too_deep() => {
            (DecodeErrorKind::TooDeep, fault.offset(text))
        }
        FieldsError::Fault(fault) => (DecodeErrorKind::NotJson, fault.offset(text)),
        FieldsError::NotAnObject(at) => (DecodeErrorKind::NotAnObject, at),
        FieldsError::Duplicate(key, at) => {
            let key = KEYS.get(key).copied().unwrap_or_default();
            (DecodeErrorKind::DuplicateKey(key), at)
        }
        FieldsError::Trailing(at) => (DecodeErrorKind::NotJson, at),
    };
    error(kind, offset)
}

/// What a key that must be there says.
fn string<'a>(
    fields: &Fields<'a, 2>,
    at: usize,
    key: &'static str,
) -> Result<Cow<'a, str>, DecodeError> {
    let missing = || error(DecodeErrorKind::MissingKey(key), fields.end());
    let value = fields.get(at).ok_or_else(missing)?;
    let other = || error(DecodeErrorKind::NotAString(key), fields.offset_of(value));
    unquoted(value).and_then(plain).ok_or_else(other)
}
