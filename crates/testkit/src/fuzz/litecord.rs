//! litecord's targets. What the fuzzer writes begins with `Settings`; then `litecord_decode` and
//! `litecord_model` take one message as it is, `litecord_round_trip` one item after the other (see
//! `Item`).

mod session;

use std::borrow::Cow;

use litecord_proto::{
    ClientMessage, CodecConfig, DecodeErrorKind, Directions, EncodeError, JsonError, JsonRef, Role,
    ServerMessage,
};

use super::json::{json, object, string, text};
use super::{Input, Target, file_name};
use crate::conformance::encodes_as;
use crate::litecord::{decode as decoded, encode};
use crate::model::json as json_model;
use crate::model::litecord::{self as model, Message};
use crate::vectors::{File, Vector};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target { name: "litecord_decode", run: decode, seeds: text_seeds },
    Target { name: "litecord_model", run: against_model, seeds: text_seeds },
    Target { name: "litecord_round_trip", run: round_trip, seeds: item_seeds },
    Target { name: "litecord_session", run: session, seeds: session::seeds },
];

const ROLES: [Role; 2] = [Role::Client, Role::Server];

/// The first three bytes: flags, and `max_message`.
struct Settings {
    codec: CodecConfig,
    /// Who sends the messages.
    sender: Role,
}

impl Settings {
    const OF_SERVER: u8 = 1;
    const AS_DOCUMENTED: u8 = 2;

    fn take(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let is = |flag: u8| flags & flag != 0;
        let directions =
            if is(Self::AS_DOCUMENTED) { Directions::AsDocumented } else { Directions::Both };
        let max_message = input.number().into();
        Self {
            codec: CodecConfig::default().directions(directions).max_message(max_message),
            sender: if is(Self::OF_SERVER) { Role::Server } else { Role::Client },
        }
    }
}

/// What is decoded can be encoded and decoded again, unless its arguments are no array; errors lie
/// in the message; and a JSON value is one for the model, too.
pub fn decode(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    let bytes = input.0;
    let mut again = Vec::new();
    let encoded = match sender {
        Role::Client => {
            let message = ClientMessage::decode(bytes, &codec);
            message.map(|message| (message.op(), message.encode(&codec, &mut again)))
        }
        Role::Server => {
            let message = ServerMessage::decode(bytes, &codec);
            message.map(|message| (message.op(), message.encode(&codec, &mut again)))
        }
    };
    let message = decoded(bytes, sender, &codec);
    match encoded {
        Ok((op, Ok(()))) => {
            assert!(again.len() <= bytes.len() && again.len() <= codec.max_message);
            let same = decoded(&again, sender, &codec);
            assert_eq!(same, message);
            assert_eq!(same.map(|message| message.op), Ok(op.0));
        }
        Ok((_, Err(error))) => {
            assert_eq!((error, &again[..]), (EncodeError::ArgsNotAnArray, &b""[..]));
            let args = message.ok().and_then(|message| message.args);
            assert!(args.is_some_and(|args| !args.starts_with('[')));
        }
        Err(error) => {
            assert!(error.offset <= bytes.len() as u64, "{error}");
            if let DecodeErrorKind::MessageTooLarge { len, limit } = error.kind {
                assert_eq!((len, limit), (bytes.len(), codec.max_message));
                assert!(len > limit && error.offset == limit as u64);
            }
        }
    }
    if let Ok(text) = str::from_utf8(bytes) {
        let json = JsonRef::new(text);
        assert_eq!(
            json.as_ref().map(|json| json.get()).map_err(JsonError::offset),
            json_model::value(text, 127)
        );
        if let Ok(json) = json {
            assert_eq!(json.is_array(), json.parse::<Vec<&serde_json::value::RawValue>>().is_ok());
            assert_eq!(serde_json::to_string(&json).expect("JSON"), json.get());
        }
    }
}

/// Whether it is one for `JsonRef`.
fn is_value(text: &str) -> bool {
    json_model::is_value(text, 127)
}

/// The codec finds the messages and errors that the model does, of either role and with either
/// setting of the directions.
pub fn against_model(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, .. } = Settings::take(&mut input);
    for directions in [Directions::Both, Directions::AsDocumented] {
        let codec = codec.directions(directions);
        for sender in ROLES {
            let expected = model::decode(input.0, sender, &codec);
            let got = decoded(input.0, sender, &codec);
            assert_eq!(got, expected, "{sender:?}, {directions:?}");
        }
    }
}

/// The parts of an item: its kind, of which the low three bits are an opcode, and whatever else a
/// message of that kind has.
#[derive(Debug)]
struct Item<'a> {
    kind: u8,
    number: u64,
    text: &'a str,
    first: String,
    second: String,
}

impl<'a> Item<'a> {
    fn take(input: &mut Input<'a>) -> Self {
        let kind = input.byte();
        let mut item =
            Self { kind, number: 0, text: "", first: String::new(), second: String::new() };
        match kind & 7 {
            0 | 1 => {
                let counted = input.counted();
                item.text = text(counted);
                item.number = counted.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
            }
            2 | 3 => {}
            op => {
                if op != 5 {
                    item.text = text(input.counted());
                }
                item.first = json(input);
                item.second = if op < 6 { json(input) } else { String::new() };
                // What is no JSON would be more than the value of a key.
                if op == 7 && is_value(&item.first) {
                    let op = u8::max(kind, 7);
                    item.first = format!(r#"{{"op":{op},"d":{}}}"#, item.first);
                }
            }
        }
        item
    }

    /// What `sender` says by it; nothing, if there is something in it that is no JSON.
    fn message(&self, sender: Role) -> Option<Message<'_>> {
        let checked = |text| {
            let json = JsonRef::new(text).map(JsonRef::get).ok();
            assert_eq!(json.is_some(), is_value(text));
            json
        };
        let op = match (self.kind & 7, sender) {
            (0 | 1, Role::Server) => 0,
            (0 | 1, Role::Client) => 1,
            (2 | 3, Role::Client) => 2,
            (2 | 3, Role::Server) => 3,
            (7, _) => u8::max(self.kind, 7),
            (op, _) => op,
        };
        let mut message = Message { op, ..Message::default() };
        match op {
            0 => message.heartbeat_interval = Some(self.number),
            2 | 3 => {}
            5 => {
                message.nonce = Some(checked(&self.first)?);
                message.result = Some(checked(&self.second)?);
            }
            1 | 4 | 6 => {
                message.text = Some(Cow::Borrowed(self.text));
                if op != 1 {
                    message.args = Some(checked(&self.first)?);
                }
                if op == 4 {
                    message.nonce = Some(checked(&self.second)?);
                }
            }
            _ => message.raw = Some(checked(&self.first)?),
        }
        Some(message)
    }
}

/// A known message in one of the many other ways to write it.
fn rewritten(message: &Message<'_>, input: &mut Input<'_>) -> String {
    let mut parts = vec![("op", message.op.to_string())];
    parts.extend(message.heartbeat_interval.map(|n| ("hb_interval", n.to_string())));
    let text = if message.op == 1 { "password" } else { "w" };
    parts.extend(message.text.as_deref().map(|t| (text, string(input.byte(), t))));
    let values = [("a", message.args), ("n", message.nonce), ("r", message.result)];
    parts.extend(values.iter().filter_map(|(key, json)| Some((*key, (*json)?.to_owned()))));
    object(parts, ["s", "d", "opp", "\\op", ""], input)
}

/// Messages made up of the input: what is encoded is what serde_json writes and decodes to the same,
/// and so does every other way to write it.
pub fn round_trip(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    while !input.is_empty() {
        let item = Item::take(&mut input);
        let Some(message) = item.message(sender) else { continue };

        let expected = model::encode(&message, sender, &codec);
        encodes_as(&expected, EncodeError::BufferFull, |mut dst| {
            encode(&message, sender, &codec, &mut dst)
        });
        if let Ok(text) = expected {
            assert_eq!(decoded(text.as_bytes(), sender, &codec), Ok(message.clone()));
        }
        decodes_rewritten(&message, sender, &codec, &mut input);
    }
}

/// If `sender` may send it at all.
fn decodes_rewritten(
    message: &Message<'_>,
    sender: Role,
    codec: &CodecConfig,
    input: &mut Input<'_>,
) {
    let allowed = litecord_proto::OpCode(message.op).may_be_sent_by(sender, codec.directions);
    let short = message.heartbeat_interval.is_none_or(|millis| millis <= 1 << 53);
    if message.raw.is_none() && allowed && short {
        let text = rewritten(message, input);
        let codec = codec.max_message(text.len());
        assert_eq!(decoded(text.as_bytes(), sender, &codec).as_ref(), Ok(message), "{text}");
    }
}

/// A session survives any calls at any time, and two of them get along with one another.
pub fn session(fuzz: &[u8]) {
    session::run(fuzz);
}

fn vectors() -> Vec<Vector> {
    File::parse(include_str!("../../../litecord-proto/tests/vectors/litecord.json")).vectors
}

/// The settings of a vector, as bytes.
fn settings(vector: &Vector) -> Vec<u8> {
    let codec = crate::litecord::config(vector);
    let mut flags = 0;
    if codec.directions == Directions::AsDocumented {
        flags |= Settings::AS_DOCUMENTED;
    }
    if crate::litecord::role(vector) == Role::Server {
        flags |= Settings::OF_SERVER;
    }
    let max_message = u16::try_from(codec.max_message).unwrap_or(u16::MAX);
    [&[flags], &max_message.to_be_bytes()[..]].concat()
}

fn text_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| (file_name(&v.name), [settings(v), v.bytes.clone()].concat());
    vectors().iter().map(seed).collect()
}

/// Items with JSON that odd bytes stand for: names, whether of the server, and what follows the
/// settings.
const BY_HAND: &[(&str, bool, &[u8])] = &[
    (
        "odd-values",
        false,
        b"\x04\x01x\xB4\x80\x09\x82\x55\x03a/\"\x80\x08\x80\x00\x35\x01\x00\x00\x01",
    ),
    ("an-object", true, b"\x05\x80\x05\x96\xFF\x02op\xA4\x80\x07\x80\x0C\x02\x80\x0B\x01"),
    ("127-levels", false, b"\x06\x00\x87\x7F\x80\x05\x00"),
    ("128-levels", false, b"\x06\x00\x87\x80\x80\x05\x00\x02"),
    ("127-levels-unknown", true, b"\x07\x00\x87\x7E\x80\x05"),
    ("several", true, b"\x02\x00\x00\x03\x27\x10\x07\x00\x80\x0E\x05\x80\x00\x80\x0F"),
];

/// The message of each vector that has one, and those made by hand.
fn item_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| {
        let (codec, sender) = (crate::litecord::config(v), crate::litecord::role(v));
        let message = model::decode(&v.bytes, sender, &codec).ok()?;
        let kind = if message.op < 7 { message.op } else { message.op | 7 };
        let mut bytes = settings(v);
        bytes.push(kind);
        let mut counted = |kind: &[u8], part: &[u8]| {
            let len = u8::try_from(part.len()).ok()?;
            bytes.extend([kind, &[len], part].concat());
            Some(())
        };
        if let Some(millis) = message.heartbeat_interval {
            counted(&[], &millis.to_be_bytes())?;
        }
        if let Some(text) = &message.text {
            counted(&[], text.as_bytes())?;
        }
        if message.raw.is_some() {
            counted(&[], b"")?;
            counted(&[0], b"[1.0]")?;
        }
        let json = match message.op {
            5 => [message.nonce, message.result],
            _ => [message.args, message.nonce],
        };
        for json in json.into_iter().flatten() {
            counted(&[0], json.as_bytes())?;
        }
        // What other ways to write it there are.
        bytes.extend([0x35, 1, 0, 0, 1, 1, 0x7A, 0x0C, 0xEF, 0x93, 2, 0x1C, 0x55]);
        Some((file_name(&v.name), bytes))
    };
    let mut seeds: Vec<_> = vectors().iter().filter_map(seed).collect();
    seeds.extend(BY_HAND.iter().map(|(name, of_server, items)| {
        let settings = [if *of_server { Settings::OF_SERVER } else { 0 }, 0xFF, 0xFF];
        (format!("by-hand-{name}"), [&settings, *items].concat())
    }));
    seeds
}
