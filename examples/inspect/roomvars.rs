//! Roomvars: a JSON object a message, or from the server several, each on a line.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;

use anyhow::{anyhow, bail, ensure};
use roomvars_proto::{
    Batch, ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Dialect, ServerMessage,
    ValueRef, Variables,
};
use serde_json::value::RawValue;

use crate::json::Fields;
use crate::object::{self, is_object, unescaped};
use crate::record::{Part, Problem, Record, Role, Value};
use crate::{Options, Output, Side, Wire};

/// For `--help`.
pub(crate) const NOTES: &str = "\
roomvars types and their fields, which have these names whatever the dialect's keys are:
  handshake  room, username, variables: an object of strings; no variables in scratch
  set        variable, value
  create     variable, value     in scratch, as the two below
  rename     variable, new_name
  delete     variable
  unknown    raw: the whole object, if the dialect doesn't know its kind
In scratch a value or room that is a number stays one, as it is written. offset and length are those
of each object in its message, without what is between them. To encode, one object makes one message.

roomvars errors (a bad object is the last of its message that is read):
  not_json           not UTF-8, or not JSON
  invalid_field      JSON, but no object, nested too deeply, or with a known key missing, twice or
                     of the wrong type; from a client also anything after its object
  payload_too_large  longer than --max-message";

/// Every type and its fields.
const TYPES: [(&str, &[&str]); 6] = [
    ("handshake", &["room", "username", "variables"]),
    ("set", &["variable", "value"]),
    ("create", &["variable", "value"]),
    ("rename", &["variable", "new_name"]),
    ("delete", &["variable"]),
    (UNKNOWN, &[]),
];
const UNKNOWN: &str = "unknown";

pub(crate) struct Roomvars {
    from: Side,
    config: CodecConfig,
    /// Messages before this one.
    count: u64,
}

impl Roomvars {
    pub(crate) fn new(from: Side, options: &Options) -> Self {
        let mut config = CodecConfig::default().dialect(match options.dialect {
            Some(crate::Dialect::Deployed2020) => Dialect::Deployed2020,
            Some(crate::Dialect::Scratch) => Dialect::Scratch,
            _ => Dialect::Documented,
        });
        if let Some(bytes) = options.max_message {
            config = config.max_client_message(bytes).max_server_message(bytes);
        }
        Self { from, config, count: 0 }
    }

    /// The types of a message's objects, or what is wrong with one.
    fn check(&self, message: &[u8]) -> Vec<Result<&'static str, DecodeError>> {
        match self.from {
            Side::Client => {
                vec![ClientMessage::decode(message, &self.config).map(|m| type_of_client(&m))]
            }
            Side::Server => Batch::decode(message, &self.config)
                .map(|object| object.map(|m| type_of_server(&m)))
                .collect(),
        }
    }

    /// The objects of a message, one a line if it is a server's.
    fn objects<'a>(&self, message: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let is_batch = self.from == Side::Server;
        let lines = message.split(move |byte| is_batch && *byte == b'\n').map(without_space);
        lines.filter(|line| !line.is_empty())
    }

    fn record<'a>(
        &self,
        message: &[u8],
        object: &'a [u8],
        checked: Result<&'static str, DecodeError>,
    ) -> Record<'a> {
        let offset = object.as_ptr().addr() - message.as_ptr().addr();
        let parts = match std::str::from_utf8(object) {
            Ok(text) if is_object(text) => parts(text, self.config.dialect, checked.ok()),
            _ => vec![Part::layout("text", object, Value::None)],
        };
        let outcome = checked.map_err(|error| Problem {
            kind: problem(error.kind),
            detail: error.to_string(),
            id: None,
            at: match error.kind {
                DecodeErrorKind::MessageTooLarge { .. } => 0,
                _ => error.offset,
            },
        });
        Record {
            frame: Some(self.count),
            offset: offset as u64,
            length: object.len() as u64,
            outcome,
            parts,
        }
    }
}

impl Wire for Roomvars {
    fn takes_messages(&self) -> bool {
        true
    }

    fn decode(&mut self, message: &[u8], output: &mut Output) -> anyhow::Result<ControlFlow<()>> {
        let mut objects = self.objects(message);
        for checked in self.check(message) {
            let object = match checked {
                // None of it is looked at.
                Err(DecodeError { kind: DecodeErrorKind::MessageTooLarge { .. }, .. }) => message,
                _ => objects.next().unwrap_or(message),
            };
            output.show(&self.record(message, object, checked))?;
        }
        self.count += 1;
        Ok(ControlFlow::Continue(()))
    }

    fn finish(&mut self, _: &mut Output) -> io::Result<()> {
        Ok(())
    }

    fn encode(&self, kind: &str, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let known = TYPES.into_iter().find(|(name, _)| *name == kind);
        let (kind, keys) = known.ok_or_else(|| anyhow!("unknown type {kind:?}"))?;
        if kind == UNKNOWN {
            return self.encode_unknown(fields, dst);
        }
        if self.from == Side::Server && kind == "handshake" {
            bail!("a server doesn't send this");
        }
        let has = |key| keys.contains(&key);
        let mut text = |key| if has(key) { fields.text(key) } else { Ok(String::new()) };
        let (username, variable) = (text("username")?, text("variable")?);
        let new_name = text("new_name")?;
        let mut json = |key| if has(key) { fields.json(key).map(Some) } else { Ok(None) };
        let (room, value) = (json("room")?, json("value")?);
        let (room, value) =
            (text_or_number("room", room.as_deref())?, text_or_number("value", value.as_deref())?);
        let variables = if has("variables") && self.config.dialect != Dialect::Scratch {
            fields.texts("variables")?
        } else {
            Vec::new()
        };
        let variables: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let (username, variable) = (Cow::Owned(username), Cow::Owned(variable));
        let new_name = Cow::Owned(new_name);
        match self.from {
            Side::Client => {
                use ClientMessage as M;
                let message = match kind {
                    "handshake" => {
                        M::Handshake { room, username, variables: Variables::from(&variables[..]) }
                    }
                    "set" => M::Set { variable, value },
                    "create" => M::Create { variable, value },
                    "rename" => M::Rename { variable, new_name },
                    _ => M::Delete { variable },
                };
                message.encode(&self.config, dst)?;
            }
            Side::Server => {
                use ServerMessage as M;
                let message = match kind {
                    "set" => M::Set { variable, value },
                    "create" => M::Create { variable, value },
                    "rename" => M::Rename { variable, new_name },
                    _ => M::Delete { variable },
                };
                message.encode(&self.config, dst)?;
            }
        }
        Ok(())
    }
}

impl Roomvars {
    /// The object as it is, if it is one that decoding would give as unknown.
    fn encode_unknown(&self, fields: &mut Fields, dst: &mut Vec<u8>) -> anyhow::Result<()> {
        let raw = fields.json("raw")?;
        for checked in self.check(raw.get().as_bytes()) {
            let kind = checked?;
            ensure!(kind == UNKNOWN, "\"raw\" is a {kind}");
        }
        dst.extend_from_slice(raw.get().as_bytes());
        Ok(())
    }
}

const fn type_of_client(message: &ClientMessage<'_>) -> &'static str {
    match message {
        ClientMessage::Handshake { .. } => "handshake",
        ClientMessage::Set { .. } => "set",
        ClientMessage::Create { .. } => "create",
        ClientMessage::Rename { .. } => "rename",
        ClientMessage::Delete { .. } => "delete",
        _ => UNKNOWN,
    }
}

const fn type_of_server(message: &ServerMessage<'_>) -> &'static str {
    match message {
        ServerMessage::Set { .. } => "set",
        ServerMessage::Create { .. } => "create",
        ServerMessage::Rename { .. } => "rename",
        ServerMessage::Delete { .. } => "delete",
        _ => UNKNOWN,
    }
}

/// What a dialect calls the kind, and then each field that it has.
const fn keys(dialect: Dialect) -> (&'static str, &'static [(&'static str, &'static str)]) {
    match dialect {
        Dialect::Documented => (
            "kind",
            &[
                ("room", "room"),
                ("username", "username"),
                ("variables", "variables"),
                ("variable", "variable"),
                ("value", "value"),
            ],
        ),
        Dialect::Deployed2020 => (
            "kind",
            &[
                ("id", "room"),
                ("username", "username"),
                ("variables", "variables"),
                ("var", "variable"),
                ("value", "value"),
            ],
        ),
        Dialect::Scratch => (
            "method",
            &[
                ("project_id", "room"),
                ("user", "username"),
                ("name", "variable"),
                ("value", "value"),
                ("new_name", "new_name"),
            ],
        ),
    }
}

/// The spec's name for what is wrong.
const fn problem(kind: DecodeErrorKind) -> &'static str {
    use DecodeErrorKind as K;
    match kind {
        K::MessageTooLarge { .. } => "payload_too_large",
        K::NotUtf8 | K::NotJson => "not_json",
        // NotAnObject, TooDeep, TrailingData, DuplicateKey, MissingKey, InvalidValue.
        _ => "invalid_field",
    }
}

/// Every key and value of an object; `kind` is `None` if something is wrong with it.
fn parts<'a>(text: &'a str, dialect: Dialect, kind: Option<&'static str>) -> Vec<Part<'a>> {
    let (kind_key, known) = keys(dialect);
    let fields = TYPES.into_iter().find(|(name, _)| Some(*name) == kind);
    let (_, fields) = fields.unwrap_or_default();
    let mut parts = object::parts(text, |key, value| {
        if key == kind_key {
            let word = kind.filter(|kind| *kind != UNKNOWN);
            let shown = word.map_or(Value::Json(value), Value::Word);
            return Part::layout(kind_key, value.as_bytes(), shown).role(Role::Header);
        }
        let name = known.iter().find(|(known, _)| *known == key).map(|(_, name)| *name);
        let is_field = name.is_some_and(|name| fields.contains(&name));
        let shown = if is_field && value.starts_with('"') {
            Value::Text(unescaped(value))
        } else {
            Value::Json(value)
        };
        let part = Part::layout(name.unwrap_or("(ignored)"), value.as_bytes(), shown);
        Part { is_field, ..part }
    });
    if kind == Some(UNKNOWN) {
        parts.push(Part::field("raw", &[], Value::Json(text)));
    }
    parts
}

fn without_space(bytes: &[u8]) -> &[u8] {
    let is_token = |byte: &u8| !matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let start = bytes.iter().position(is_token).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_token).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// What a room or a value is; that of a message that has none doesn't matter.
fn text_or_number<'a>(key: &str, json: Option<&'a RawValue>) -> anyhow::Result<ValueRef<'a>> {
    let json = json.map_or("\"\"", RawValue::get);
    match json.as_bytes() {
        [b'"', ..] => serde_json::from_str(json)
            .map(|text: String| ValueRef::Text(Cow::Owned(text)))
            .map_err(|_| anyhow!("{key:?} must be text of whole characters")),
        [b'-' | b'0'..=b'9', ..] => Ok(ValueRef::Number(json)),
        _ => bail!("{key:?} must be a string or a number"),
    }
}
