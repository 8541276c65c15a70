//! Protocols whose messages are JSON objects with an op: one object a message.

use std::io;
use std::ops::ControlFlow;

use anyhow::{anyhow, ensure};

use crate::json::{Fields, is_redacted, redacted};
use crate::object::{self, is_object, unescaped};
use crate::record::{Part, Problem, Record, Role, Value};
use crate::{Output, Wire};

/// What differs between them.
pub(crate) trait Ops {
    /// The keys that there are beside `op`.
    const KEYS: &'static [&'static str];
    /// Those of them that stand for text.
    const TEXTS: &'static [&'static str];
    /// The one whose value isn't shown unasked.
    const SECRET: &'static str;

    /// What a message is, if it is good.
    fn check(&self, bytes: &[u8]) -> Result<Kind, Problem>;

    /// Appends a message that the protocol knows.
    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()>;
}

/// What a message is.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) op: u8,
    /// The spec's name.
    pub(crate) name: &'static str,
    /// The keys that it has.
    pub(crate) keys: &'static [&'static str],
}

impl Kind {
    /// One that the protocol doesn't know.
    pub(crate) const fn unknown(op: u8) -> Self {
        Self { op, name: UNKNOWN, keys: &[] }
    }

    fn is_unknown(self) -> bool {
        self.name == UNKNOWN
    }
}

const UNKNOWN: &str = "unknown";

/// Messages of such a protocol.
pub(crate) struct Messages<P> {
    protocol: P,
    /// Those before this one.
    count: u64,
}

impl<P: Ops> Messages<P> {
    pub(crate) const fn new(protocol: P) -> Self {
        Self { protocol, count: 0 }
    }

    fn record<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        let checked = self.protocol.check(bytes);
        let kind = checked.as_ref().ok().copied();
        let parts = match std::str::from_utf8(bytes) {
            Ok(text) if is_object(text) => parts::<P>(text, kind),
            // Who knows what it was to be?
            _ => vec![Part::layout("text", bytes, Value::None).secret(may_have_secret::<P>(bytes))],
        };
        let outcome = checked.map(|kind| kind.name);
        Record { frame: Some(self.count), offset: 0, length: bytes.len() as u64, outcome, parts }
    }

    /// The message as it is, if it is one that decoding would give as unknown.
    fn encode_unknown(&self, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let op = fields.json("op")?;
        let raw = fields.json("raw")?;
        ensure!(!is_redacted(&raw), redacted("raw"));
        let checked = self.protocol.check(raw.get().as_bytes());
        let checked = checked.map_err(|problem| anyhow!(problem.detail))?;
        ensure!(checked.is_unknown(), "\"raw\" is a {}", checked.name);
        ensure!(op.get() == checked.op.to_string(), "\"raw\" has another op than \"op\"");
        dst.extend_from_slice(raw.get().as_bytes());
        Ok(())
    }
}

impl<P: Ops> Wire for Messages<P> {
    fn takes_messages(&self) -> bool {
        true
    }

    fn decode(&mut self, message: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>> {
        output.show(&self.record(message))?;
        self.count += 1;
        Ok(ControlFlow::Continue(()))
    }

    fn finish(&mut self, _: &mut Output) -> io::Result<()> {
        Ok(())
    }

    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        if kind == UNKNOWN {
            return self.encode_unknown(fields, dst);
        }
        self.protocol.encode(kind, fields, dst)
    }
}

/// Whether there could be one in what isn't JSON.
fn may_have_secret<P: Ops>(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    has(P::SECRET.as_bytes()) || has(b"\\u")
}

/// Every key and value of an object; `kind` is `None` if something is wrong with it.
fn parts<P: Ops>(text: &str, kind: Option<Kind>) -> Vec<Part<'_>> {
    let is_unknown = kind.is_some_and(Kind::is_unknown);
    let mut parts = object::parts(text, |key, value| {
        if key == "op" {
            let shown = match kind {
                Some(kind) if !is_unknown => Value::Word(kind.name),
                _ => Value::Json(value),
            };
            let part = Part::layout("op", value.as_bytes(), shown).role(Role::Header);
            return Part { is_field: is_unknown, ..part };
        }
        let name = P::KEYS.iter().copied().find(|name| *name == key);
        let is_field = name.is_some_and(|name| kind.is_some_and(|kind| kind.keys.contains(&name)));
        let shown = match name {
            Some(name) if is_field && P::TEXTS.contains(&name) => Value::Text(unescaped(value)),
            _ => Value::Json(value),
        };
        let part = Part::layout(name.unwrap_or("(ignored)"), value.as_bytes(), shown);
        Part { is_field, ..part }.secret(name == Some(P::SECRET))
    });
    if is_unknown {
        let has_secret = parts.iter().any(|part| part.is_secret);
        let raw = Part::field("raw", &[], Value::Json(text.trim_ascii()));
        parts.push(raw.secret(has_secret));
    }
    parts
}
