#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use alloc::borrow::Cow;

use smallwire_core::json::{
    self, between, expect, expect_end, offset, to_special, to_token, unquoted,
};

use super::encode::is_integer;
use super::variables::{Entries, plain};
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
    const COUNT: usize = 7;

    /// What a dialect calls those that it knows (R3).
    const fn names(dialect: Dialect) -> &'static [(Self, &'static str)] {
        use Key::{Kind, NewName, Room, Username, Value, Variable, Variables};
        match dialect {
            Dialect::Documented => &[
                (Kind, "kind"),
                (Variable, "variable"),
                (Value, "value"),
                (Room, "room"),
                (Username, "username"),
                (Variables, "variables"),
            ],
            Dialect::Deployed2020 => &[
                (Kind, "kind"),
                (Variable, "var"),
                (Value, "value"),
                (Room, "id"),
                (Username, "username"),
                (Variables, "variables"),
            ],
            Dialect::Scratch => &[
                (Kind, "method"),
                (Variable, "name"),
                (Value, "value"),
                (Room, "project_id"),
                (Username, "user"),
                (NewName, "new_name"),
            ],
        }
    }

    #[inline]
    fn known(name: &str, dialect: Dialect) -> Option<Self> {
        let names = Self::names(dialect).iter();
        names.copied().find(|(_, known)| *known == name).map(|(key, _)| key)
    }

    fn name(self, dialect: Dialect) -> &'static str {
        let mut names = Self::names(dialect).iter();
        names.find(|(key, _)| *key as usize == self as usize).map_or("", |(_, name)| name)
    }
}

/// A set as nearly everyone writes it: its keys in the usual order, and neither escapes nor white
/// space in it. `None`: it may be one all the same.
#[inline(always)]
pub(crate) fn usual_set<'a>(
    text: &'a str,
    rest: &'a [u8],
    dialect: Dialect,
) -> Option<(&'a str, ValueRef<'a>, &'a [u8])> {
    /// What stands before the name, and what between name and value.
    #[inline(always)]
    fn take<'a, const H: usize>(
        text: &'a str,
        rest: &'a [u8],
        head: &'static [u8; H],
    ) -> Option<(&'a str, &'a [u8])> {
        let (start, name) = rest.split_first_chunk::<H>()?;
        let end = if start == head { to_special(name) } else { return None };
        let (middle, value) = end.split_first_chunk::<10>()?;
        (middle == b"\",\"value\":").then(|| (between(text, name, end), value))
    }
    let (name, value) = match dialect {
        Dialect::Documented => take(text, rest, br#"{"kind":"set","variable":""#),
        Dialect::Deployed2020 => take(text, rest, br#"{"kind":"set","var":""#),
        Dialect::Scratch => take(text, rest, br#"{"method":"set","name":""#),
    }?;
    let (value, rest) = match value {
        [b'"', value @ ..] => {
            let end = to_special(value);
            let [b'"', rest @ ..] = end else { return None };
            (ValueRef::text(between(text, value, end)), rest)
        }
        [b'-' | b'0'..=b'9', ..] if dialect == Dialect::Scratch => {
            let end = json::value(value, 1).ok()?;
            (ValueRef::Number(between(text, value, end)), end)
        }
        _ => return None,
    };
    let [b'}', rest @ ..] = rest else { return None };
    Some((name, value, rest))
}

/// What an object has under the keys that its dialect knows, as JSON.
pub(crate) struct Fields<'a> {
    /// The object, and white space around it.
    text: &'a str,
    dialect: Dialect,
    values: [Option<&'a str>; Key::COUNT],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a str, dialect: Dialect) -> Self {
        Self { text, dialect, values: [None; Key::COUNT] }
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
                let key_end = json::string(key_start).map_err(in_text)?;
                let name = unquoted(between(text, key_start, key_end)).unwrap_or_default();
                let key = match plain(name) {
                    Some(name) => Key::known(&name, dialect),
                    None => None,
                };
                let value = to_token(expect(key_end, b':').map_err(in_text)?);
                rest = json::value(value, 1).map_err(in_text)?;
                if let Some(key) = key {
                    let value = between(text, value, rest);
                    if values.get_mut(key as usize).and_then(|slot| slot.replace(value)).is_some() {
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
    fn required(&self, key: Key) -> Result<&'a str, DecodeError> {
        self.values.get(key as usize).copied().flatten().ok_or_else(|| self.missing(key))
    }

    #[cold]
    fn missing(&self, key: Key) -> DecodeError {
        // Where the object ends without it.
        let end = self.text.trim_ascii_end().len().saturating_sub(1);
        error(DecodeErrorKind::MissingKey(key.name(self.dialect)), end)
    }

    #[cold]
    fn invalid(&self, value: &str, into: usize, key: Key, expected: &'static str) -> DecodeError {
        let kind = DecodeErrorKind::InvalidValue { key: key.name(self.dialect), expected };
        let at = value.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        error(kind, at.saturating_add(into))
    }

    #[inline]
    fn string(&self, key: Key) -> Result<Cow<'a, str>, DecodeError> {
        let value = self.required(key)?;
        let Some(inner) = unquoted(value) else {
            return Err(self.invalid(value, 0, key, "a string"));
        };
        plain(inner).ok_or_else(|| self.invalid(value, 0, key, "a string of whole characters"))
    }

    /// Text, or in the Scratch dialect a number.
    #[inline]
    fn value(&self) -> Result<ValueRef<'a>, DecodeError> {
        let value = self.required(Key::Value)?;
        match value.as_bytes() {
            [b'"', ..] => self.string(Key::Value).map(ValueRef::Text),
            [b'-' | b'0'..=b'9', ..] if self.dialect == Dialect::Scratch => {
                Ok(ValueRef::Number(value))
            }
            _ if self.dialect == Dialect::Scratch => {
                Err(self.invalid(value, 0, Key::Value, "a string or a number"))
            }
            _ => Err(self.invalid(value, 0, Key::Value, "a string")),
        }
    }

    fn room(&self) -> Result<ValueRef<'a>, DecodeError> {
        let value = self.required(Key::Room)?;
        match value.as_bytes() {
            [b'"', ..] => self.string(Key::Room).map(ValueRef::Text),
            _ if self.dialect != Dialect::Scratch => {
                Err(self.invalid(value, 0, Key::Room, "a string"))
            }
            _ if is_integer(value) => Ok(ValueRef::Number(value)),
            _ => Err(self.invalid(value, 0, Key::Room, "a string or an integer")),
        }
    }

    fn variables(&self) -> Result<Variables<'a>, DecodeError> {
        if self.dialect == Dialect::Scratch {
            return Ok(Variables::NONE);
        }
        let json = self.required(Key::Variables)?;
        let invalid = |(expected, at)| self.invalid(json, at, Key::Variables, expected);
        if !json.starts_with('{') {
            return Err(invalid(("an object of strings", 0)));
        }
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
