#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use alloc::borrow::Cow;
use alloc::string::String;

use smallwire_core::json::{
    self, Fault, between, expect, expect_end, offset, plain, plain_len, to_token, unescape,
    unescape_start, unquoted,
};

use super::encode::is_integer;
use super::variables::Entries;
use crate::error::{error, fault};
use crate::{
    ClientMessage, DecodeError, DecodeErrorKind, Dialect, ServerMessage, ValueRef, Variables,
};

/// The keys that a dialect may know.
#[derive(Clone, Copy)]
enum Key {
    Kind,
    Room,
    Username,
    Variables,
    Variable,
    Value,
    NewName,
}

impl Key {
    const ALL: [Self; 7] = [
        Self::Kind,
        Self::Room,
        Self::Username,
        Self::Variables,
        Self::Variable,
        Self::Value,
        Self::NewName,
    ];

    /// What a dialect calls it (R3); nothing if it doesn't know it.
    fn name(self, dialect: Dialect) -> &'static str {
        let [documented, deployed, scratch] = match self {
            Self::Kind => ["kind", "kind", "method"],
            Self::Room => ["room", "id", "project_id"],
            Self::Username => ["username", "username", "user"],
            Self::Variables => ["variables", "variables", ""],
            Self::Variable => ["variable", "var", "name"],
            Self::Value => ["value", "value", "value"],
            Self::NewName => ["", "", "new_name"],
        };
        match dialect {
            Dialect::Documented => documented,
            Dialect::Deployed2020 => deployed,
            Dialect::Scratch => scratch,
        }
    }

    /// Which one of those of a set begins here, and what follows its colon, as nearly everyone
    /// writes it. `None`: it may be one all the same.
    #[inline(always)]
    fn usual(rest: &[u8], dialect: Dialect) -> Option<(Self, &[u8])> {
        #[inline(always)]
        fn one_of<'a>(rest: &'a [u8], kind: &[u8], variable: &[u8]) -> Option<(Key, &'a [u8])> {
            if let Some(rest) = rest.strip_prefix(kind) {
                Some((Key::Kind, rest))
            } else if let Some(rest) = rest.strip_prefix(variable) {
                Some((Key::Variable, rest))
            } else {
                rest.strip_prefix(b"\"value\":").map(|rest| (Key::Value, rest))
            }
        }
        match dialect {
            Dialect::Documented => one_of(rest, b"\"kind\":", b"\"variable\":"),
            Dialect::Deployed2020 => one_of(rest, b"\"kind\":", b"\"var\":"),
            Dialect::Scratch => one_of(rest, b"\"method\":", b"\"name\":"),
        }
    }

    /// Which one it is that begins here, if any, and what follows its colon.
    #[cold]
    fn any<'a>(
        text: &str,
        start: &'a [u8],
        dialect: Dialect,
    ) -> Result<(Option<Self>, &'a [u8]), Fault<'a>> {
        let end = json::string(start)?;
        let name = unquoted(between(text, start, end)).and_then(plain).unwrap_or_default();
        let known = |key: &Self| !name.is_empty() && key.name(dialect) == name;
        Ok((Self::ALL.into_iter().find(known), expect(end, b':')?))
    }
}

/// A set as nearly everyone writes it, and the lines after it: alone on its line, its keys in the
/// usual order, without white space. `None`: it may be one all the same.
#[inline(always)]
pub(crate) fn usual_set(
    text: &str,
    dialect: Dialect,
) -> Option<(Cow<'_, str>, ValueRef<'_>, &str)> {
    let name = match dialect {
        Dialect::Documented => text.strip_prefix(r#"{"kind":"set","variable":""#),
        Dialect::Deployed2020 => text.strip_prefix(r#"{"kind":"set","var":""#),
        Dialect::Scratch => text.strip_prefix(r#"{"method":"set","name":""#),
    }?;
    let (name, value) = string(name, text, |rest| rest.strip_prefix("\",\"value\":"))?;
    if let Some(value) = value.strip_prefix('"') {
        let (value, later) = string(value, text, |rest| after_end(rest, "\"}\n"))?;
        return Some((name, ValueRef::Text(value), later));
    }
    if dialect != Dialect::Scratch || !is_number_start(value) {
        return None;
    }
    let end = json::value(value.as_bytes(), 1).ok()?;
    let (number, rest) = value.split_at_checked(offset(value, end))?;
    let later = after_end(rest, "}\n")?;
    Some((name, ValueRef::Number(number), later))
}

/// Whether JSON that begins so is a number.
#[inline(always)]
fn is_number_start(json: &str) -> bool {
    matches!(json.as_bytes(), [b'-' | b'0'..=b'9', ..])
}

/// What the string says whose opening quote `rest`, the end of `text`, comes after, and what is
/// left after what must follow its text.
#[inline(always)]
fn string<'a>(
    rest: &'a str,
    text: &str,
    follows: impl Fn(&'a str) -> Option<&'a str>,
) -> Option<(Cow<'a, str>, &'a str)> {
    let len = plain_len(rest.as_bytes(), text.as_bytes());
    let (plain, special) = rest.split_at_checked(len)?;
    if let Some(later) = follows(special) {
        return Some((Cow::Borrowed(plain), later));
    }
    let (text, special) = unescaped(rest, special)?;
    Some((Cow::Owned(text), follows(special)?))
}

/// The same of a string with escapes.
#[cold]
fn unescaped<'a>(rest: &'a str, special: &str) -> Option<(String, &'a str)> {
    if !special.starts_with('\\') {
        return None;
    }
    // Where it ends, if it has no quotes in it.
    let end = memchr::memchr2(b'"', b'\n', rest.as_bytes())?;
    unescape_start(rest, end)
}

/// What comes after the `end` of an object; its line break may be missing where the text ends.
#[inline(always)]
fn after_end<'a>(rest: &'a str, end: &'static str) -> Option<&'a str> {
    match rest.strip_prefix(end) {
        None if end.strip_suffix('\n') == Some(rest) => Some(""),
        later => later,
    }
}

/// What stands under a key, borrowed.
#[derive(Clone, Copy)]
enum Field<'a> {
    /// What a string says.
    Text(&'a str),
    /// What stands between the quotes of a string with escapes.
    Escaped(&'a str),
    /// JSON of another kind.
    Other(&'a str),
}

impl<'a> Field<'a> {
    /// The one that begins here, and what is left after it.
    #[inline(always)]
    fn read(text: &'a str, start: &'a [u8]) -> Result<(Self, &'a [u8]), Fault<'a>> {
        let [b'"', string @ ..] = start else {
            let rest = json::value(start, 1)?;
            return Ok((Self::Other(between(text, start, rest)), rest));
        };
        let (rest, escapes) = json::quoted(string)?;
        let end = offset(text, rest).wrapping_sub(1);
        let quoted = text.get(offset(text, string)..end).unwrap_or_default();
        Ok((if escapes { Self::Escaped(quoted) } else { Self::Text(quoted) }, rest))
    }
}

/// What an object has under the keys that its dialect knows, as JSON.
pub(crate) struct Fields<'a> {
    /// The object, and white space around it.
    text: &'a str,
    dialect: Dialect,
    values: [Option<Field<'a>>; Key::ALL.len()],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self { text, dialect, values: [None; Key::ALL.len()] }
    }

    /// Reads the one object in `text`. In place: a result with all the fields in it would be copied.
    pub(crate) fn read(&mut self) -> Result<(), DecodeError> {
        let Self { text, dialect, ref mut values } = *self;
        let in_text = |found| fault(text, found);
        let start = to_token(text.as_bytes());
        let [b'{', inside @ ..] = start else {
            // JSON of another kind, or none: a second look tells.
            let end = json::value(start, 0).map_err(in_text)?;
            expect_end(end).map_err(in_text)?;
            return Err(error(DecodeErrorKind::NotAnObject, offset(text, start)));
        };
        let mut rest = inside;
        if let [b'}', ..] = to_token(inside) {
            rest = to_token(inside);
        } else {
            loop {
                let key_start = to_token(rest);
                let (key, value) = match Key::usual(key_start, dialect) {
                    Some((key, value)) => (Some(key), value),
                    None => Key::any(text, key_start, dialect).map_err(in_text)?,
                };
                let (field, value_end) = Field::read(text, to_token(value)).map_err(in_text)?;
                rest = value_end;
                if let Some(key) = key {
                    if values.get_mut(key as usize).and_then(|slot| slot.replace(field)).is_some() {
                        let kind = DecodeErrorKind::DuplicateKey(key.name(dialect));
                        return Err(error(kind, offset(text, key_start)));
                    }
                }
                rest = to_token(rest);
                let [b',', later @ ..] = rest else { break };
                rest = later;
            }
        }
        match to_token(expect(rest, b'}').map_err(in_text)?) {
            [] => Ok(()),
            rest => Err(error(DecodeErrorKind::TrailingData, offset(text, rest))),
        }
    }

    #[inline]
    fn required(&self, key: Key) -> Result<Field<'a>, DecodeError> {
        self.values.get(key as usize).copied().flatten().ok_or_else(|| self.missing(key))
    }

    #[cold]
    fn missing(&self, key: Key) -> DecodeError {
        // Where the object ends without it.
        let end = self.text.trim_ascii_end().len().saturating_sub(1);
        error(DecodeErrorKind::MissingKey(key.name(self.dialect)), end)
    }

    #[cold]
    fn invalid(
        &self,
        field: Field<'_>,
        into: usize,
        key: Key,
        expected: &'static str,
    ) -> DecodeError {
        let kind = DecodeErrorKind::InvalidValue { key: key.name(self.dialect), expected };
        let (json, quote) = match field {
            Field::Text(text) | Field::Escaped(text) => (text, 1),
            Field::Other(json) => (json, 0),
        };
        let at = json.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        error(kind, at.saturating_add(into).saturating_sub(quote))
    }

    #[inline]
    fn string(&self, key: Key) -> Result<Cow<'a, str>, DecodeError> {
        self.text(self.required(key)?, key, "a string")
    }

    #[inline]
    fn text(
        &self,
        field: Field<'a>,
        key: Key,
        expected: &'static str,
    ) -> Result<Cow<'a, str>, DecodeError> {
        match field {
            Field::Text(text) => Ok(Cow::Borrowed(text)),
            Field::Escaped(quoted) => match unescape(quoted) {
                Some(text) => Ok(Cow::Owned(text)),
                None => Err(self.invalid(field, 0, key, "a string of whole characters")),
            },
            Field::Other(_) => Err(self.invalid(field, 0, key, expected)),
        }
    }

    /// Text, or in the Scratch dialect a number.
    #[inline]
    fn value(&self) -> Result<ValueRef<'a>, DecodeError> {
        self.text_or(Key::Value, is_number_start, "a string or a number")
    }

    fn room(&self) -> Result<ValueRef<'a>, DecodeError> {
        self.text_or(Key::Room, is_integer, "a string or an integer")
    }

    /// Text, or in the Scratch dialect such a number.
    #[inline]
    fn text_or(
        &self,
        key: Key,
        is_number: impl FnOnce(&str) -> bool,
        expected: &'static str,
    ) -> Result<ValueRef<'a>, DecodeError> {
        let scratch = self.dialect == Dialect::Scratch;
        match self.required(key)? {
            Field::Other(json) if scratch && is_number(json) => Ok(ValueRef::Number(json)),
            field => {
                let expected = if scratch { expected } else { "a string" };
                self.text(field, key, expected).map(ValueRef::Text)
            }
        }
    }

    fn variables(&self) -> Result<Variables<'a>, DecodeError> {
        if self.dialect == Dialect::Scratch {
            return Ok(Variables::NONE);
        }
        let field = self.required(Key::Variables)?;
        let invalid = |(expected, at)| self.invalid(field, at, Key::Variables, expected);
        let json = match field {
            Field::Other(json) if json.starts_with('{') => json,
            _ => return Err(invalid(("an object of strings", 0))),
        };
        for entry in Entries::new(json) {
            entry.map_err(invalid)?;
        }
        Ok(Variables::of_checked(json))
    }

    pub(crate) fn client_message(&self) -> Result<ClientMessage<'a>, DecodeError> {
        let kind = self.string(Key::Kind)?;
        let scratch = self.dialect == Dialect::Scratch;
        Ok(match &*kind {
            "handshake" => ClientMessage::Handshake {
                room: self.room()?,
                username: self.string(Key::Username)?,
                variables: self.variables()?,
            },
            "set" => {
                ClientMessage::Set { variable: self.string(Key::Variable)?, value: self.value()? }
            }
            "create" if scratch => ClientMessage::Create {
                variable: self.string(Key::Variable)?,
                value: self.value()?,
            },
            "rename" if scratch => ClientMessage::Rename {
                variable: self.string(Key::Variable)?,
                new_name: self.string(Key::NewName)?,
            },
            "delete" if scratch => ClientMessage::Delete { variable: self.string(Key::Variable)? },
            _ => ClientMessage::Unknown { kind, raw: self.text.trim_ascii() },
        })
    }

    pub(crate) fn server_message(&self) -> Result<ServerMessage<'a>, DecodeError> {
        let kind = self.string(Key::Kind)?;
        let scratch = self.dialect == Dialect::Scratch;
        Ok(match &*kind {
            "set" => {
                ServerMessage::Set { variable: self.string(Key::Variable)?, value: self.value()? }
            }
            "create" if scratch => ServerMessage::Create {
                variable: self.string(Key::Variable)?,
                value: self.value()?,
            },
            "rename" if scratch => ServerMessage::Rename {
                variable: self.string(Key::Variable)?,
                new_name: self.string(Key::NewName)?,
            },
            "delete" if scratch => ServerMessage::Delete { variable: self.string(Key::Variable)? },
            _ => ServerMessage::Unknown { kind, raw: self.text.trim_ascii() },
        })
    }
}
