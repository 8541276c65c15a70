//! JSON as serde_json reads it, and where it stops being any: the text over and over.

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
