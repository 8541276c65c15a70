//! emagine's targets. What the fuzzer writes begins with `Settings`; then `emagine_decode` and
//! `emagine_model` take one message as it is, `emagine_round_trip` one item after the other (see
//! `item`).

mod session;

use std::borrow::Cow;

use emagine_proto::{CodecConfig, DecodeErrorKind, EncodeError, Role};

use super::json::{json, object, string, text};
use super::{Input, Target, file_name};
use crate::conformance::encodes_as;
use crate::emagine::{decode as decoded, encode};
use crate::model::emagine::{self as model, Message};
use crate::model::json::is_value;
use crate::vectors::{File, Vector};

/// The targets.
pub const TARGETS: &[Target] = &[
    Target { name: "emagine_decode", run: decode, seeds: text_seeds },
    Target { name: "emagine_model", run: against_model, seeds: text_seeds },
    Target { name: "emagine_round_trip", run: round_trip, seeds: item_seeds },
    Target { name: "emagine_session", run: session, seeds: session::seeds },
];

/// The first three bytes: a flag, and `max_message`.
struct Settings {
    codec: CodecConfig,
    /// Who sends the messages.
    sender: Role,
}

impl Settings {
    const OF_SERVER: u8 = 1;

    fn take(input: &mut Input<'_>) -> Self {
        let of_server = input.byte() & Self::OF_SERVER != 0;
        let codec = CodecConfig::default().max_message(input.number().into());
        Self { codec, sender: if of_server { Role::Server } else { Role::Client } }
    }
}

/// What is decoded can be encoded, no longer than it was, and decoded again; errors lie in the message.
pub fn decode(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    let bytes = input.0;
    match decoded(bytes, sender, &codec) {
        Ok(message) => {
            let mut again = Vec::new();
            assert_eq!(encode(&message, sender, &codec, &mut again), Ok(()));
            assert!(again.len() <= bytes.len() && again.len() <= codec.max_message);
            assert_eq!(decoded(&again, sender, &codec), Ok(message));
        }
        Err(error) => {
            assert!(error.offset <= bytes.len() as u64, "{error}");
            if let DecodeErrorKind::MessageTooLarge { len, limit } = error.kind {
                assert_eq!((len, limit), (bytes.len(), codec.max_message));
                assert!(len > limit && error.offset == limit as u64);
            }
        }
    }
}

/// The codec finds the messages and errors that the model does, of either role.
pub fn against_model(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, .. } = Settings::take(&mut input);
    for sender in [Role::Client, Role::Server] {
        let expected = model::decode(input.0, sender, &codec);
        assert_eq!(decoded(input.0, sender, &codec), expected, "{sender:?}");
    }
}

/// What a message is made of: its kind, a text that its text or its interval is, and its JSON.
struct Item<'a> {
    kind: u8,
    text: &'a [u8],
    json: String,
}

impl<'a> Item<'a> {
    /// The low three bits of the first byte are a kind: ops 0 to 3, a heartbeat and an ack with a time
    /// and without (the next bit), and what is unknown.
    fn take(input: &mut Input<'a>) -> Self {
        let kind = input.byte();
        let text = if kind & 7 < 3 { input.counted() } else { &[] };
        let mut json = if kind & 7 > 2 { json(input) } else { String::new() };
        // What is no JSON would be more than the value of a key.
        if !is_value(&json, 127) {
            "null".clone_into(&mut json);
        } else if kind & 7 > 5 {
            json = format!(r#"{{"op":{},"d":{json}}}"#, u8::max(kind, 12));
        } else {
            // What stands around it is no part of it.
            json = json.trim_matches(crate::model::json::WHITE_SPACE).to_owned();
        }
        Self { kind, text, json }
    }

    /// What `sender` says by it.
    fn message(&self, sender: Role) -> Message<'_> {
        let text = Some(Cow::Borrowed(text(self.text)));
        let json = Some(&self.json[..]);
        let none = Message::default();
        match (self.kind & 7, sender) {
            (0, Role::Server) => {
                let number = self.text.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
                Message { op: 0, heartbeat_interval: Some(number), ..none }
            }
            (1 | 2, Role::Server) => Message { op: 2, text, ..none },
            (0..=2, Role::Client) => Message { op: 1, text, ..none },
            (3, Role::Server) => Message { op: 3, message: json, ..none },
            (3..=5, _) => {
                let op = if self.kind & 7 == 5 { 11 } else { 10 };
                Message { op, time: json.filter(|_| self.kind & 8 == 0), ..none }
            }
            // Of any opcode, known ones too: it is for the sides to say.
            _ if json == Some("null") => Message { op: self.kind >> 3, raw: json, ..none },
            _ => Message { op: u8::max(self.kind, 12), raw: json, ..none },
        }
    }
}

/// A known message in one of the many other ways to write it.
fn rewritten(message: &Message<'_>, input: &mut Input<'_>) -> String {
    // The notes' other spellings.
    let way = input.byte();
    let op = match message.op {
        2 if way & 1 != 0 => 1,
        3 if way & 1 != 0 => 2,
        op => op,
    };
    let mut parts = vec![("op", op.to_string())];
    parts.extend(message.heartbeat_interval.map(|n| ("heartbeat_interval", n.to_string())));
    let key = if message.op == 1 { "token" } else { "user" };
    parts.extend(message.text.as_deref().map(|t| (key, string(input.byte(), t))));
    if message.op == 3 && way & 2 != 0 {
        parts.push(("user", string(way, "ada")));
    }
    let values = [("message", message.message), ("time", message.time)];
    parts.extend(values.iter().filter_map(|(key, json)| Some((*key, (*json)?.to_owned()))));
    object(parts, ["s", "d", "times", "\\op", ""], input)
}

/// Messages made up of the input: what is encoded is what serde_json writes and decodes to the same,
/// and so does every other way to write it.
pub fn round_trip(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    while !input.is_empty() {
        let item = Item::take(&mut input);
        let message = item.message(sender);
        let known = message.raw.is_none();

        let expected = model::encode(&message, sender, &codec);
        encodes_as(&expected, EncodeError::BufferFull, |mut dst| {
            encode(&message, sender, &codec, &mut dst)
        });
        if let Ok(text) = &expected
            && known
        {
            assert_eq!(decoded(text.as_bytes(), sender, &codec).as_ref(), Ok(&message));
        }
        let short = message.heartbeat_interval.is_none_or(|millis| millis <= 1 << 53);
        if known && short {
            let text = rewritten(&message, &mut input);
            let codec = codec.max_message(text.len());
            assert_eq!(decoded(text.as_bytes(), sender, &codec), Ok(message), "{text}");
        }
    }
}

/// A session survives any calls at any time, and two of them get along with one another.
pub fn session(fuzz: &[u8]) {
    session::run(fuzz);
}

fn vectors() -> Vec<Vector> {
    File::parse(include_str!("../../../emagine-proto/tests/vectors/emagine.json")).vectors
}

/// The settings of a vector, as bytes.
fn settings(vector: &Vector) -> Vec<u8> {
    let codec = crate::emagine::config(vector);
    let of_server = crate::emagine::role(vector) == Role::Server;
    let max_message = u16::try_from(codec.max_message).unwrap_or(u16::MAX);
    let flags = if of_server { Settings::OF_SERVER } else { 0 };
    [&[flags], &max_message.to_be_bytes()[..]].concat()
}

fn text_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| (file_name(&v.name), [settings(v), v.bytes.clone()].concat());
    vectors().iter().map(seed).collect()
}

/// The message of each vector that has one, if it isn't too long, and in two other ways.
fn item_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: &Vector| {
        let (codec, sender) = (crate::emagine::config(v), crate::emagine::role(v));
        let message = model::decode(&v.bytes, sender, &codec).ok()?;
        let mut bytes = settings(v);
        let mut item = |kind: u8, text: Option<&[u8]>, json: Option<&str>| {
            bytes.push(kind);
            // JSON is counted text as it is.
            let parts = [text, json.map(|_| &[0][..]), json.map(str::as_bytes)];
            for (at, part) in parts.into_iter().enumerate() {
                let Some(part) = part else { continue };
                if at != 1 {
                    bytes.push(u8::try_from(part.len()).ok()?);
                }
                bytes.extend(part);
            }
            Some(())
        };
        let without_time = if message.time.is_none() { 8 } else { 0 };
        match message.op {
            0 => {
                let millis = message.heartbeat_interval.unwrap_or_default().to_be_bytes();
                item(0, Some(&millis), None)?;
            }
            1 | 2 => item(1, message.text.as_deref().map(str::as_bytes), None)?,
            3 => item(3, None, message.message)?,
            10 => item(4 | without_time, None, message.time.or(Some("")))?,
            11 => item(5 | without_time, None, message.time.or(Some("")))?,
            op => item(op | 7, None, Some("[1.0]"))?,
        }
        // What other ways to write it there are.
        let way = u8::try_from(v.name.len() % 4).unwrap_or_default();
        bytes.extend([way, 0x35, 1, 0, 0, 1, 1, 0x7A, 0x0C, 0xEF, 0x93, 2, 0x1C, 0x55]);
        Some((file_name(&v.name), bytes))
    };
    let mut seeds: Vec<_> = vectors().iter().filter_map(seed).collect();
    // What either side may not send as unknown, and an interval that is too long.
    for op in [0, 1, 2, 3, 10] {
        for of_server in [0, 1] {
            let item = [of_server, 0xFF, 0xFF, op << 3 | 6, 0, 1, b'x'];
            seeds.push((format!("by-hand-unknown-{op}-of-{of_server}"), item.to_vec()));
        }
    }
    let item = b"\x01\xFF\xFF\x00\x08\x00\x20\x00\x00\x00\x00\x00\x01";
    seeds.push(("by-hand-too-long".into(), item.to_vec()));
    seeds
}
