//! JSON as serde_json reads it, and where it stops being any: the text over and over.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What may stand around values.
pub const WHITE_SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// What keeps a text from being JSON that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is none.
    NotJson,
    /// It is nested too deep.
    TooDeep,
}

/// The one JSON value in `text`, nested `levels` deep at most, or where the first fault is.
///
/// # Errors
/// There is one.
pub fn value(text: &str, levels: usize) -> Result<&str, usize> {
    match fault(text, levels) {
        None => Ok(text.trim_matches(WHITE_SPACE)),
        Some((_, offset)) => Err(offset),
    }
}

/// Whether there is one; much faster than to tell where not.
pub fn is_value(text: &str, levels: usize) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok() && too_deep(text, levels).is_none()
}

/// The first thing that keeps `text` from being one JSON value, nested `levels` deep at most.
pub fn fault(text: &str, levels: usize) -> Option<(Fault, usize)> {
    let no_json = no_json(text);
    let good = &text[..no_json.unwrap_or(text.len())];
    let too_deep = too_deep(good, levels).map(|at| (Fault::TooDeep, at));
    too_deep.or(no_json.map(|at| (Fault::NotJson, at)))
}

/// After how much of `text` no more JSON can come; `None`: it is one value.
fn no_json(text: &str) -> Option<usize> {
    if serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return None;
    }
    let ends: Vec<usize> = text.char_indices().map(|(at, c)| at + c.len_utf8()).collect();
    let good = ends.partition_point(|end| goes_on(&text[..*end]));
    Some(good.checked_sub(1).map_or(0, |last| ends[last]))
}

/// Whether what is JSON, or only wants for more, can begin like this. serde_json wants digits at
/// once, and looks at those after `\u` four at a time; so there are four more bytes to each try.
fn goes_on(begin: &str) -> bool {
    const MORE: [&str; 13] = [
        "    ", "0   ", "0000", "\"000", "rue  ", "ue   ", "e   ", "alse ", "lse  ", "se   ",
        "ull  ", "ll   ", "l   ",
    ];
    MORE.iter().any(|more| {
        let tried = serde_json::from_str::<IgnoredAny>(&format!("{begin}{more}"));
        tried.map_or_else(|e| e.is_eof(), |_| true)
    })
}

/// The first bracket that opens more than `levels`, in what may be JSON so far.
fn too_deep(json: &str, levels: usize) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == levels => return Some(at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The keys of an object as they are written, and their values, as far as they can be read.
pub fn entries(object: &str) -> Vec<(&str, &str)> {
    let mut entries = Entries(Vec::new());
    let _ = (&mut entries).deserialize(&mut serde_json::Deserializer::from_str(object));
    entries.0
}

struct Entries<'a>(Vec<(&'a str, &'a str)>);

impl<'a> DeserializeSeed<'a> for &mut Entries<'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for &mut Entries<'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<&RawValue>()? {
            self.0.push((key.get(), map.next_value::<&RawValue>()?.get()));
        }
        Ok(())
    }
}

/// What is wrong with a message, and where; in the words of every protocol whose messages are objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrong {
    /// What.
    pub kind: WrongKind,
    /// Where, in bytes.
    pub offset: usize,
}

/// The ways in which a message can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongKind {
    /// Its length, and the limit.
    TooLarge(usize, usize),
    /// Not UTF-8.
    NotUtf8,
    /// Not JSON.
    NotJson,
    /// JSON of another kind.
    NotAnObject,
    /// Nested too deep.
    TooDeep,
    /// This key stands there twice.
    DuplicateKey(&'static str),
    /// This key doesn't stand there.
    MissingKey(&'static str),
    /// What is under this key isn't this.
    InvalidValue(&'static str, &'static str),
}

/// Says what is wrong as a protocol's crate does.
macro_rules! wrong_in_words_of {
    ($protocol:ident) => {
        impl From<$crate::model::json::Wrong> for $protocol::DecodeError {
            fn from(wrong: $crate::model::json::Wrong) -> Self {
                use $crate::model::json::WrongKind;
                use $protocol::DecodeErrorKind;
                let kind = match wrong.kind {
                    WrongKind::TooLarge(len, limit) => {
                        DecodeErrorKind::MessageTooLarge { len, limit }
                    }
                    WrongKind::NotUtf8 => DecodeErrorKind::NotUtf8,
                    WrongKind::NotJson => DecodeErrorKind::NotJson,
                    WrongKind::NotAnObject => DecodeErrorKind::NotAnObject,
                    WrongKind::TooDeep => DecodeErrorKind::TooDeep,
                    WrongKind::DuplicateKey(key) => DecodeErrorKind::DuplicateKey(key),
                    WrongKind::MissingKey(key) => DecodeErrorKind::MissingKey(key),
                    WrongKind::InvalidValue(key, expected) => {
                        DecodeErrorKind::InvalidValue { key, expected }
                    }
                };
                Self { kind, offset: wrong.offset as u64 }
            }
        }
    };
}
pub(crate) use wrong_in_words_of;

/// A message that is one object, nested 128 levels deep at most, and what stands in it under the keys
/// that a protocol knows.
#[derive(Debug)]
pub struct Object<'a, const N: usize> {
    text: &'a str,
    /// Without white space around it.
    pub message: &'a str,
    keys: [&'static str; N],
    values: [Option<&'a str>; N],
}

impl<'a, const N: usize> Object<'a, N> {
    /// Reads a message of at most `limit` bytes.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(bytes: &'a [u8], limit: usize, keys: [&'static str; N]) -> Result<Self, Wrong> {
        let wrong = |kind, offset| Wrong { kind, offset };
        if bytes.len() > limit {
            return Err(wrong(WrongKind::TooLarge(bytes.len(), limit), limit));
        }
        let text = str::from_utf8(bytes).map_err(|e| wrong(WrongKind::NotUtf8, e.valid_up_to()))?;
        let message = text.trim_matches(WHITE_SPACE);
        let mut object = Self { text, message, keys, values: [None; N] };

        let fault = fault(text, 128);
        let whole = match fault {
            None => Ok(()),
            Some((Fault::TooDeep, offset)) => Err(wrong(WrongKind::TooDeep, offset)),
            Some((Fault::NotJson, offset)) => Err(wrong(WrongKind::NotJson, offset)),
        };
        if !message.starts_with('{') {
            whole?;
            return Err(wrong(WrongKind::NotAnObject, object.offset_of(message)));
        }
        // A key that stands there twice may come before what is no JSON any more.
        let readable = fault.map_or(text, |(_, offset)| &text[..offset]);
        for (written, value) in entries(readable) {
            let plain = serde_json::from_str::<String>(written).ok();
            let Some(at) = keys.iter().position(|key| plain.as_deref() == Some(*key)) else {
                continue;
            };
            if object.values[at].replace(value).is_some() {
                return Err(wrong(WrongKind::DuplicateKey(keys[at]), object.offset_of(written)));
            }
        }
        whole?;
        Ok(object)
    }

    /// Where in the message this part of it is.
    pub fn offset_of(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.text.as_ptr().addr()
    }

    /// What stands under one of the keys.
    pub fn get(&self, key: &'static str) -> Option<&'a str> {
        let at = self.keys.iter().position(|known| *known == key).expect("a known key");
        self.values[at]
    }

    /// The same, of a key that must be there.
    ///
    /// # Errors
    /// It isn't.
    pub fn required(&self, key: &'static str) -> Result<&'a str, Wrong> {
        let end = self.offset_of(self.message) + self.message.len() - 1;
        self.get(key).ok_or(Wrong { kind: WrongKind::MissingKey(key), offset: end })
    }

    /// A string under a key that must be there.
    ///
    /// # Errors
    /// It isn't, or it has another value.
    pub fn string(&self, key: &'static str) -> Result<Cow<'a, str>, Wrong> {
        let value = self.required(key)?;
        let whole = "a string of whole characters";
        let expected = if value.starts_with('"') { whole } else { "a string" };
        let string = serde_json::from_str::<String>(value);
        string.map(Cow::Owned).map_err(|_| self.invalid(key, value, expected))
    }

    /// An integer under a key that must be there: one up to `max`, which is what is `expected`.
    ///
    /// # Errors
    /// It isn't, or it has another value.
    pub fn integer(
        &self,
        key: &'static str,
        max: u64,
        expected: &'static str,
    ) -> Result<u64, Wrong> {
        let value = self.required(key)?;
        let integer = serde_json::from_str::<u64>(value).ok().filter(|integer| *integer <= max);
        integer.ok_or_else(|| self.invalid(key, value, expected))
    }

    fn invalid(&self, key: &'static str, value: &str, expected: &'static str) -> Wrong {
        let kind = WrongKind::InvalidValue(key, expected);
        Wrong { kind, offset: self.offset_of(value) }
    }
}
