#![allow(clippy::inline_always, reason = "else most of the time goes into calls")]

use bytes::BufMut;
use smallwire_core::json::{self, escaped_len, put_escaped};

use crate::{Dialect, EncodeError, ValueRef, Variables};

/// What there is room for in a message.
#[derive(Clone, Copy)]
pub(crate) struct Space {
    pub(crate) limit: usize,
    /// Bytes of the message that are there already; if any, a line break comes first.
    pub(crate) before: usize,
}

impl Space {
    pub(crate) const fn of(limit: usize) -> Self {
        Self { limit, before: 0 }
    }
}

/// A piece of an object: JSON, or text that is to stand between quotes, and its length there.
#[derive(Clone, Copy)]
enum Part<'a> {
    Json(&'a str),
    Text(&'a str, usize),
    Variables(Variables<'a>, usize),
}

impl<'a> Part<'a> {
    #[inline(always)]
    fn text(text: &'a str) -> Self {
        Self::Text(text, escaped_len(text))
    }

    fn variables(variables: Variables<'a>) -> Self {
        let mut len = 2_usize;
        for (at, (name, value)) in variables.iter().enumerate() {
            let texts = escaped_len(&name).saturating_add(escaped_len(&value));
            len = len.saturating_add(texts).saturating_add(if at == 0 { 5 } else { 6 });
        }
        Self::Variables(variables, len)
    }

    #[inline(always)]
    fn len(self) -> usize {
        match self {
            Self::Json(json) => json.len(),
            Self::Text(_, len) | Self::Variables(_, len) => len,
        }
    }

    #[inline(always)]
    fn put(self, dst: &mut impl BufMut) {
        match self {
            Self::Json(json) => dst.put_slice(json.as_bytes()),
            Self::Text(text, len) if len == text.len() => dst.put_slice(text.as_bytes()),
            Self::Text(text, _) => put_escaped(text, dst),
            Self::Variables(variables, _) => put_variables(variables, dst),
        }
    }
}

fn put_variables(variables: Variables<'_>, dst: &mut impl BufMut) {
    let mut before: &[u8] = b"{\"";
    for (name, value) in variables.iter() {
        dst.put_slice(before);
        put_escaped(&name, dst);
        dst.put_slice(b"\":\"");
        put_escaped(&value, dst);
        before = b"\",\"";
    }
    dst.put_slice(if before.len() == 2 { b"{}" } else { b"\"}" });
}

/// Writes the parts of an object, and tells how long the message is then.
#[inline(always)]
fn put<const N: usize>(
    parts: [Part<'_>; N],
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    let line_break = usize::from(space.before > 0);
    let len = parts.iter().fold(line_break, |len, part| len.saturating_add(part.len()));
    let (total, limit) = (space.before.saturating_add(len), space.limit);
    if total > limit {
        return Err(EncodeError::MessageTooLarge { len: total, limit });
    }
    if dst.remaining_mut() < len {
        return Err(EncodeError::BufferFull);
    }
    if line_break > 0 {
        dst.put_u8(b'\n');
    }
    for part in parts {
        part.put(dst);
    }
    Ok(total)
}

#[inline(always)]
pub(crate) fn put_set(
    dialect: Dialect,
    variable: &str,
    value: &ValueRef<'_>,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    match dialect {
        Dialect::Documented => {
            put_pair(r#"{"kind":"set","variable":""#, dialect, variable, value, space, dst)
        }
        Dialect::Deployed2020 => {
            put_pair(r#"{"kind":"set","var":""#, dialect, variable, value, space, dst)
        }
        Dialect::Scratch => {
            put_pair(r#"{"method":"set","name":""#, dialect, variable, value, space, dst)
        }
    }
}

/// What says a name and a value.
#[inline(always)]
fn put_pair(
    head: &'static str,
    dialect: Dialect,
    variable: &str,
    value: &ValueRef<'_>,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    use Part::Json;
    let variable = Part::text(variable);
    match value {
        ValueRef::Text(text) => {
            let middle = Json("\",\"value\":\"");
            put([Json(head), variable, middle, Part::text(text), Json("\"}")], space, dst)
        }
        ValueRef::Number(number) => {
            check_number(number, dialect, is_number)?;
            let middle = Json("\",\"value\":");
            put([Json(head), variable, middle, Json(number), Json("}")], space, dst)
        }
    }
}

pub(crate) fn put_create(
    dialect: Dialect,
    variable: &str,
    value: &ValueRef<'_>,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    only_scratch(dialect, "create")?;
    put_pair(r#"{"method":"create","name":""#, dialect, variable, value, space, dst)
}

pub(crate) fn put_rename(
    dialect: Dialect,
    variable: &str,
    new_name: &str,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    use Part::Json;
    only_scratch(dialect, "rename")?;
    let (head, middle) = (Json(r#"{"method":"rename","name":""#), Json("\",\"new_name\":\""));
    put([head, Part::text(variable), middle, Part::text(new_name), Json("\"}")], space, dst)
}

pub(crate) fn put_delete(
    dialect: Dialect,
    variable: &str,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    use Part::Json;
    only_scratch(dialect, "delete")?;
    let head = Json(r#"{"method":"delete","name":""#);
    put([head, Part::text(variable), Json("\"}")], space, dst)
}

pub(crate) fn put_handshake(
    dialect: Dialect,
    room: &ValueRef<'_>,
    username: &str,
    variables: Variables<'_>,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    use Part::Json;
    let (head, user) = match dialect {
        Dialect::Documented => (r#"{"kind":"handshake","room":"#, ",\"username\":\""),
        Dialect::Deployed2020 => (r#"{"kind":"handshake","id":"#, ",\"username\":\""),
        Dialect::Scratch => (r#"{"method":"handshake","project_id":"#, ",\"user\":\""),
    };
    let (quote, room) = match room {
        ValueRef::Text(text) => ("\"", Part::text(text)),
        ValueRef::Number(number) => {
            check_number(number, dialect, is_integer)?;
            ("", Json(number))
        }
    };
    let (behind, variables) = match dialect {
        Dialect::Scratch if variables.is_empty() => ("\"", Json("")),
        Dialect::Scratch => return Err(EncodeError::NotInDialect("variables")),
        _ => ("\",\"variables\":", Part::variables(variables)),
    };
    let (quote, username, behind) = (Json(quote), Part::text(username), Json(behind));
    let head = Json(head);
    put([head, quote, room, quote, Json(user), username, behind, variables, Json("}")], space, dst)
}

pub(crate) fn put_raw(
    raw: &str,
    space: Space,
    dst: &mut impl BufMut,
) -> Result<usize, EncodeError> {
    let is_object = || {
        let start = raw.as_bytes();
        start.starts_with(b"{") && json::value(start, 0).is_ok_and(<[u8]>::is_empty)
    };
    if !is_object() {
        return Err(EncodeError::NotAnObject);
    }
    put([Part::Json(raw)], space, dst)
}

fn only_scratch(dialect: Dialect, what: &'static str) -> Result<(), EncodeError> {
    if dialect == Dialect::Scratch { Ok(()) } else { Err(EncodeError::NotInDialect(what)) }
}

fn check_number(
    number: &str,
    dialect: Dialect,
    is_one: impl FnOnce(&str) -> bool,
) -> Result<(), EncodeError> {
    only_scratch(dialect, "numbers")?;
    if is_one(number) { Ok(()) } else { Err(EncodeError::NotANumber) }
}

/// Whether it is a JSON number.
pub(crate) fn is_number(text: &str) -> bool {
    let start = text.as_bytes();
    matches!(start, [b'-' | b'0'..=b'9', ..]) && json::value(start, 1).is_ok_and(<[u8]>::is_empty)
}

/// Whether it is a JSON number without fraction and exponent.
pub(super) fn is_integer(text: &str) -> bool {
    is_number(text) && !text.contains(['.', 'e', 'E'])
}
