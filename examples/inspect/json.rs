//! JSON Lines, out and in.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::marker::PhantomData;

use anyhow::{anyhow, bail, ensure};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::hex;
use crate::record::{Note, REDACTED, Record, Scene, Value};

/// Writes a record as one object on a line.
pub(crate) fn write(
    record: &Record<'_>,
    scene: &Scene,
    show_secrets: bool,
    writer: &mut impl Write,
) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, &Object { record, scene, show_secrets })?;
    writer.write_all(b"\n")
}

/// Writes what a capture has to say beyond its frames, in the same way.
pub(crate) fn write_note(note: &Note, scene: &Scene, writer: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *writer, &NoteObject { note, scene })?;
    writer.write_all(b"\n")
}

fn scene_entries<M: SerializeMap>(scene: &Scene, map: &mut M) -> Result<(), M::Error> {
    if let Some(at) = scene.at {
        map.serialize_entry("at", &at.to_string())?;
    }
    if let Some(connection) = scene.connection {
        map.serialize_entry("connection", &connection)?;
        if let Some(from) = scene.from {
            map.serialize_entry("from", from.name())?;
        }
    }
    Ok(())
}

struct NoteObject<'a> {
    note: &'a Note,
    scene: &'a Scene,
}

impl Serialize for NoteObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        scene_entries(self.scene, &mut map)?;
        map.serialize_entry("note", self.note.name())?;
        match self.note {
            Note::Opened { client, server, .. } => {
                map.serialize_entry("client", &client.to_string())?;
                map.serialize_entry("server", &server.to_string())?;
            }
            Note::Lost { offset, missing, unfinished } => {
                map.serialize_entry("offset", offset)?;
                map.serialize_entry("missing", missing)?;
                map.serialize_entry("unfinished", unfinished)?;
            }
            Note::Skipped { offset, length } => {
                map.serialize_entry("offset", offset)?;
                map.serialize_entry("length", length)?;
            }
            Note::Cut { unfinished } => map.serialize_entry("unfinished", unfinished)?,
            Note::Unread { packets, why } => {
                map.serialize_entry("packets", packets)?;
                map.serialize_entry("why", why)?;
            }
            Note::Ended | Note::Reset | Note::Replaced | Note::Forgotten => {}
        }
        map.end()
    }
}

struct Object<'a> {
    record: &'a Record<'a>,
    scene: &'a Scene,
    show_secrets: bool,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        scene_entries(self.scene, &mut map)?;
        map.serialize_entry("offset", &self.record.offset)?;
        map.serialize_entry("length", &self.record.length)?;
        if let Some(frame) = self.record.frame {
            map.serialize_entry("frame", &frame)?;
        }
        match &self.record.outcome {
            Ok(kind) => {
                map.serialize_entry("type", kind)?;
                for part in self.record.parts.iter().filter(|part| part.is_field) {
                    match &part.value {
                        _ if part.is_secret && !self.show_secrets => {
                            map.serialize_entry(part.name, REDACTED)?;
                        }
                        Value::None => {}
                        Value::Number(number) => map.serialize_entry(part.name, number)?,
                        Value::Numbers(numbers) => map.serialize_entry(part.name, numbers)?,
                        Value::Bool(value) => map.serialize_entry(part.name, value)?,
                        Value::Bytes(bytes) => {
                            map.serialize_entry(part.name, &hex::encode(bytes))?;
                        }
                        Value::Json(json) => {
                            // As it is, but on this line: between tokens a space means the same.
                            let line = RawValue::from_string(json.replace(['\n', '\r'], " "));
                            map.serialize_entry(part.name, &line.map_err(S::Error::custom)?)?;
                        }
                        Value::Text(text) => map.serialize_entry(part.name, text)?,
                        Value::Word(word) => map.serialize_entry(part.name, word)?,
                    }
                }
            }
            Err(problem) => {
                if let Some(id) = problem.id {
                    map.serialize_entry("id", &id)?;
                }
                map.serialize_entry("error", problem.kind)?;
                map.serialize_entry("detail", &problem.detail)?;
            }
        }
        map.end()
    }
}

/// What tells where a frame was, not what it is.
const WHERE: [&str; 6] = ["offset", "length", "frame", "at", "connection", "from"];

/// An object to be encoded. What is taken out of it is used; [`finish`](Self::finish) refuses the
/// rest. No message shows a value, since it may be a secret.
pub(crate) struct Fields(Vec<(String, Box<RawValue>)>);

impl Fields {
    pub(crate) fn parse(line: &[u8]) -> anyhow::Result<Self> {
        let Entries(fields) = serde_json::from_slice(line).map_err(|error| {
            let message = error.to_string();
            // An input line is JSON's line 1, whatever its number.
            let end = message.rfind(" at line ").unwrap_or(message.len());
            anyhow!("{}, column {}", &message[..end], error.column())
        })?;
        let mut names = HashSet::new();
        if let Some((key, _)) = fields.iter().find(|(key, _)| !names.insert(key)) {
            bail!("{key:?} is there twice");
        }
        let mut fields = Self(fields);
        ensure!(!fields.has("error"), "what was wrong can't be encoded");
        fields.0.retain(|(key, _)| !WHERE.contains(&key.as_str()));
        Ok(fields)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    pub(crate) fn text(&mut self, key: &str) -> anyhow::Result<String> {
        serde_json::from_str(self.take(key)?.get()).map_err(|_| anyhow!("{key:?} must be a string"))
    }

    /// Bytes written as hex.
    pub(crate) fn bytes(&mut self, key: &str) -> anyhow::Result<Vec<u8>> {
        let digits = self.secret(key)?;
        // White space is for input lines only.
        let spaced = digits.contains(char::is_whitespace);
        let bytes = hex::decode(digits.as_bytes()).filter(|_| !spaced);
        bytes.ok_or_else(|| anyhow!("{key:?} must be hex"))
    }

    /// Text that decode doesn't show unasked.
    pub(crate) fn secret(&mut self, key: &str) -> anyhow::Result<String> {
        let text = self.text(key)?;
        ensure!(text != REDACTED, redacted(key));
        Ok(text)
    }

    /// JSON of any kind, as it is.
    pub(crate) fn json(&mut self, key: &str) -> anyhow::Result<Box<RawValue>> {
        self.take(key)
    }

    /// Names and texts in their order, twice if they are there twice.
    pub(crate) fn texts(&mut self, key: &str) -> anyhow::Result<Vec<(String, String)>> {
        let entries = serde_json::from_str(self.take(key)?.get());
        entries
            .map(|Entries(entries)| entries)
            .map_err(|_| anyhow!("{key:?} must be an object of strings"))
    }

    pub(crate) fn u64(&mut self, key: &str) -> anyhow::Result<u64> {
        serde_json::from_str(self.take(key)?.get())
            .map_err(|_| anyhow!("{key:?} must be an integer from 0 to {}", u64::MAX))
    }

    pub(crate) fn bool(&mut self, key: &str) -> anyhow::Result<bool> {
        serde_json::from_str(self.take(key)?.get())
            .map_err(|_| anyhow!("{key:?} must be true or false"))
    }

    pub(crate) fn u32(&mut self, key: &str) -> anyhow::Result<u32> {
        serde_json::from_str(self.take(key)?.get())
            .map_err(|_| anyhow!("{key:?} must be an integer from 0 to {}", u32::MAX))
    }

    pub(crate) fn u16(&mut self, key: &str) -> anyhow::Result<u16> {
        serde_json::from_str(self.take(key)?.get())
            .map_err(|_| anyhow!("{key:?} must be an integer from 0 to 65535"))
    }

    /// `kind` is the object's type.
    pub(crate) fn finish(&self, kind: &str) -> anyhow::Result<()> {
        if let Some((key, _)) = self.0.first() {
            bail!("{key:?} doesn't belong to this {kind}");
        }
        Ok(())
    }

    fn take(&mut self, key: &str) -> anyhow::Result<Box<RawValue>> {
        let at = self.0.iter().position(|(name, _)| name == key);
        at.map(|at| self.0.remove(at).1).ok_or_else(|| anyhow!("{key:?} is missing"))
    }
}

/// Whether it stands for something that wasn't shown.
pub(crate) fn is_redacted(json: &RawValue) -> bool {
    serde_json::from_str(json.get()).is_ok_and(|text: String| text == REDACTED)
}

pub(crate) fn redacted(key: &str) -> String {
    format!("{key:?} is redacted: decode with --show-secrets")
}

/// What is in an object.
struct Entries<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}
