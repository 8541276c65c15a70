//! JSON objects, key by key.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::record::{Part, Role, Value};

pub(crate) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// All of an object, which has to be well-formed JSON; `part` makes of a key and the JSON under it
/// what is shown of that.
pub(crate) fn parts<'a>(
    text: &'a str,
    mut part: impl FnMut(&str, &'a str) -> Part<'a>,
) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut end = 0;
    for Member { key, value } in members(text) {
        let start = offset(text, value);
        let plain = unescaped(key);
        let shown = part(&plain, value);
        let key = Part::layout("key", &text.as_bytes()[end..start], Value::Text(plain));
        parts.push(key.role(Role::Delimiter));
        parts.push(shown);
        end = start + value.len();
    }
    parts.push(Part::layout("end", &text.as_bytes()[end..], Value::None).role(Role::Delimiter));
    parts
}

/// One key of an object, in its quotes, and its value.
struct Member<'a> {
    key: &'a str,
    value: &'a str,
}

/// What is in an object, which has to be well-formed JSON.
fn members(text: &str) -> Vec<Member<'_>> {
    let mut members = Vec::new();
    let (mut depth, mut start, mut key) = (0_u32, 0, None);
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                while let Some((_, byte)) = bytes.next().filter(|(_, byte)| *byte != b'"') {
                    if byte == b'\\' {
                        bytes.next();
                    }
                }
            }
            b':' if depth == 1 => {
                key = Some(text[start..at].trim_ascii());
                start = at + 1;
            }
            b',' | b'}' if depth == 1 => {
                let value = text[start..at].trim_ascii();
                members.extend(key.take().map(|key| Member { key, value }));
                start = at + 1;
                depth -= u32::from(byte == b'}');
            }
            b'{' | b'[' => {
                depth += 1;
                if depth == 1 {
                    start = at + 1;
                }
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    members
}

/// What a string says; one that says no text, as it is.
pub(crate) fn unescaped(literal: &str) -> Cow<'_, str> {
    serde_json::from_str(literal).map_or(Cow::Borrowed(literal), Cow::Owned)
}

/// Where in the text a part of it is.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr().addr() - text.as_ptr().addr()
}
