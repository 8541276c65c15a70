//! Litecord: one JSON object a message.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;

use anyhow::{anyhow, bail, ensure};
use litecord_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Directions, JsonRef, OpCode, Secret,
    ServerMessage,
};
use serde_json::value::RawValue;

use crate::json::Fields;
use crate::object::{self, is_object, unescaped};
use crate::record::{Part, Problem, Record, Value};
use crate::{Options, Output, Side, Wire};

/// For `--help`.
pub(crate) const NOTES: &str = "\
litecord types and their fields (a, n and r are JSON, passed on as it is but for line breaks):
  hello          hb_interval
  hello_ack      password
  heartbeat, heartbeat_ack
  request        w, a, n
  response       n, r
  dispatch       w, a
  unknown        op, raw: the whole message, if the protocol doesn't know its op

litecord errors:
  not_json           not UTF-8, or not JSON
  invalid_field      JSON, but no object, nested too deeply, or with a known key missing, twice or
                     of the wrong type
  wrong_direction    a message of the other side's
  payload_too_large  longer than --max-message";

pub(crate) struct Litecord {
    from: Side,
    config: CodecConfig,
    /// Messages before this one.
    count: u64,
}

impl Litecord {
    pub(crate) fn new(options: &Options) -> Self {
        let directions = match options.directions {
            None | Some(crate::Directions::Both) => Directions::Both,
            Some(crate::Directions::AsDocumented) => Directions::AsDocumented,
        };
        let mut config = CodecConfig::default().directions(directions);
        if let Some(bytes) = options.max_message {
            config = config.max_message(bytes);
        }
        Self { from: options.from, config, count: 0 }
    }

    /// What a message is, if it is good.
    fn check(&self, bytes: &[u8]) -> Result<OpCode, DecodeError> {
        match self.from {
            Side::Client => ClientMessage::decode(bytes, &self.config).map(|m| m.op()),
            Side::Server => ServerMessage::decode(bytes, &self.config).map(|m| m.op()),
        }
    }

    fn record<'a>(&self, bytes: &'a [u8]) -> Record<'a> {
        let checked = self.check(bytes);
        let op = checked.ok();
        let outcome = checked
            .map(type_of)
            .map_err(|error| Problem { kind: problem(error.kind), detail: error.to_string() });
        let parts = match std::str::from_utf8(bytes) {
            Ok(text) if is_object(text) => parts(text, op),
            // Who knows what it was to be?
            _ => vec![Part::layout("text", bytes, Value::None).secret(may_have_password(bytes))],
        };
        Record { frame: Some(self.count), offset: 0, length: bytes.len() as u64, outcome, parts }
    }
}

impl Wire for Litecord {
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
        if kind == "unknown" {
            return self.encode_unknown(fields, dst);
        }
        let op = (0..=u8::MAX).map(OpCode).find(|op| op.name().is_some() && type_of(*op) == kind);
        let op = op.ok_or_else(|| anyhow!("unknown type {kind:?}"))?;
        let hb_interval = if op == OpCode::HELLO { fields.u64("hb_interval")? } else { 0 };
        let password =
            if op == OpCode::HELLO_ACK { fields.secret("password")? } else { String::new() };
        let mut what = String::new();
        let [mut args, mut nonce, mut result] = [const { None::<Box<RawValue>> }; 3];
        if let OpCode::REQUEST | OpCode::DISPATCH = op {
            what = fields.text("w")?;
            args = Some(fields.json("a")?);
        }
        if let OpCode::REQUEST | OpCode::RESPONSE = op {
            nonce = Some(fields.json("n")?);
        }
        if op == OpCode::RESPONSE {
            result = Some(fields.json("r")?);
        }
        let what = Cow::Owned(what);
        let [args, nonce, result] = [&args, &nonce, &result].map(|json| match json {
            Some(json) => JsonRef::new(json.get()),
            None => Ok(JsonRef::NULL),
        });
        let (args, nonce, result) = (args?, nonce?, result?);
        match self.from {
            Side::Client => {
                use ClientMessage as M;
                let message = match op {
                    OpCode::HELLO_ACK => M::HelloAck { password: Secret::new(password.into()) },
                    OpCode::HEARTBEAT => M::Heartbeat,
                    OpCode::REQUEST => M::Request { what, args, nonce },
                    OpCode::RESPONSE => M::Response { nonce, result },
                    OpCode::DISPATCH => M::Dispatch { what, args },
                    _ => bail!("a client doesn't send this"),
                };
                message.encode(&self.config, dst)?;
            }
            Side::Server => {
                use ServerMessage as M;
                let message = match op {
                    OpCode::HELLO => M::Hello { heartbeat_interval: hb_interval },
                    OpCode::HEARTBEAT_ACK => M::HeartbeatAck,
                    OpCode::REQUEST => M::Request { what, args, nonce },
                    OpCode::RESPONSE => M::Response { nonce, result },
                    OpCode::DISPATCH => M::Dispatch { what, args },
                    _ => bail!("a server doesn't send this"),
                };
                message.encode(&self.config, dst)?;
            }
        }
        Ok(())
    }
}

impl Litecord {
    /// The message as it is, if it is one that decoding would give as unknown.
    fn encode_unknown(&self, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let op = fields.json("op")?;
        let raw = fields.json("raw")?;
        ensure!(!crate::json::is_redacted(&raw), crate::json::redacted("raw"));
        let checked = self.check(raw.get().as_bytes())?;
        ensure!(checked.name().is_none(), "\"raw\" is a {}", type_of(checked));
        ensure!(op.get() == checked.0.to_string(), "\"raw\" has another op than \"op\"");
        dst.extend_from_slice(raw.get().as_bytes());
        Ok(())
    }
}

/// The spec's name of a type.
const fn type_of(op: OpCode) -> &'static str {
    match op {
        OpCode::HELLO => "hello",
        OpCode::HELLO_ACK => "hello_ack",
        OpCode::HEARTBEAT => "heartbeat",
        OpCode::HEARTBEAT_ACK => "heartbeat_ack",
        OpCode::REQUEST => "request",
        OpCode::RESPONSE => "response",
        OpCode::DISPATCH => "dispatch",
        _ => "unknown",
    }
}

/// The keys that a type has beside `op`.
const fn keys(op: OpCode) -> &'static [&'static str] {
    match op {
        OpCode::HELLO => &["hb_interval"],
        OpCode::HELLO_ACK => &["password"],
        OpCode::REQUEST => &["w", "a", "n"],
        OpCode::RESPONSE => &["n", "r"],
        OpCode::DISPATCH => &["w", "a"],
        _ => &[],
    }
}

/// The spec's name for what is wrong.
const fn problem(kind: DecodeErrorKind) -> &'static str {
    use DecodeErrorKind as K;
    match kind {
        K::MessageTooLarge { .. } => "payload_too_large",
        K::NotUtf8 | K::NotJson => "not_json",
        K::WrongDirection(_) => "wrong_direction",
        // NotAnObject, TooDeep, DuplicateKey, MissingKey, InvalidValue.
        _ => "invalid_field",
    }
}

/// Whether there could be one in what isn't JSON.
fn may_have_password(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    has(b"password") || has(b"\\u")
}

/// Every key and value of an object; `op` is `None` if something is wrong with it.
fn parts(text: &str, op: Option<OpCode>) -> Vec<Part<'_>> {
    const KNOWN: [&str; 7] = ["op", "hb_interval", "password", "w", "a", "n", "r"];
    let is_unknown = op.is_some_and(|op| op.name().is_none());
    let mut parts = object::parts(text, |key, value| {
        let name = KNOWN.into_iter().find(|name| *name == key);
        let is_field = match name {
            Some("op") => is_unknown,
            Some(name) => op.is_some_and(|op| keys(op).contains(&name)),
            None => false,
        };
        let shown = match name {
            Some("op") if !is_unknown => {
                op.map_or(Value::Json(value), |op| Value::Word(type_of(op)))
            }
            Some("w" | "password") if is_field => Value::Text(unescaped(value)),
            _ => Value::Json(value),
        };
        let part = Part::layout(name.unwrap_or("(ignored)"), value.as_bytes(), shown);
        Part { is_field, ..part }.secret(name == Some("password"))
    });
    if is_unknown {
        let has_password = parts.iter().any(|part| part.is_secret);
        let raw = Part::field("raw", &[], Value::Json(text.trim_ascii()));
        parts.push(raw.secret(has_password));
    }
    parts
}
