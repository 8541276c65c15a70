//! roomvars' targets. What the fuzzer writes begins with `Settings`; then `roomvars_decode` and
//! `roomvars_model` take one message as it is, `roomvars_round_trip` one item after the other (see
//! `item`).

mod hub;
mod session;

use std::collections::BTreeSet;

use roomvars_proto::{
    Batch, CodecConfig, DecodeError, DecodeErrorKind, Dialect, EncodeError, Value,
};

use super::json::{json, object, string, text};
use super::{Input, Target, file_name};
use crate::model::json::is_value;
use crate::model::roomvars::{self as model, Message, Sender};
use crate::roomvars::{decode as decoded, encode};
use crate::vectors::{File, Vector};

pub use hub::hub;
pub use session::session;

/// The targets.
pub const TARGETS: &[Target] = &[
    Target { name: "roomvars_decode", run: decode, seeds: good_seeds },
    Target { name: "roomvars_model", run: against_model, seeds: text_seeds },
    Target { name: "roomvars_round_trip", run: round_trip, seeds: item_seeds },
    Target { name: "roomvars_session", run: session, seeds: session::seeds },
    Target { name: "roomvars_hub", run: hub, seeds: hub::seeds },
];

/// The first three bytes: flags, and how long a message may be.
struct Settings {
    codec: CodecConfig,
    /// Who sends the messages.
    sender: Sender,
}

impl Settings {
    const OF_SERVER: u8 = 1;

    fn take(input: &mut Input<'_>) -> Self {
        let flags = input.byte();
        let dialect = match flags >> 1 & 3 {
            0 | 3 => Dialect::Documented,
            1 => Dialect::Deployed2020,
            _ => Dialect::Scratch,
        };
        let codec = limited(CodecConfig::default().dialect(dialect), input.number().into());
        let of_server = flags & Self::OF_SERVER != 0;
        Self { codec, sender: if of_server { Sender::Server } else { Sender::Client } }
    }
}

fn limited(codec: CodecConfig, limit: usize) -> CodecConfig {
    codec.max_client_message(limit).max_server_message(limit)
}

/// What is decoded can be encoded and decoded again; errors lie in the message; a batch is what its
/// lines are one by one.
pub fn decode(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    let bytes = input.0;
    let (messages, error) = decoded(bytes, sender, &codec);
    match error {
        Some(DecodeError { kind: DecodeErrorKind::MessageTooLarge { len, limit }, offset }) => {
            assert_eq!((len, limit), (bytes.len(), codec.max_client_message));
            assert!(messages.is_empty() && len > limit && offset == limit as u64);
        }
        Some(error) => assert!(error.offset <= bytes.len() as u64, "{error}"),
        None => {}
    }
    if sender == Sender::Server || error.is_none() {
        let mut again = Vec::new();
        let results = encode(&messages, sender, &codec, &mut again);
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert!(again.len() <= bytes.len());
        assert_eq!(decoded(&again, sender, &codec), (messages.clone(), None));
    }
    if sender == Sender::Server && bytes.len() <= codec.max_server_message {
        let (mut by_line, mut wrong, mut start) = (Vec::new(), None, 0);
        for line in bytes.split(|byte| *byte == b'\n') {
            let (messages, error) = decoded(line, sender, &codec);
            by_line.extend(messages);
            wrong = error.map(|e| DecodeError { offset: e.offset + start, ..e });
            if wrong.is_some() {
                break;
            }
            start += line.len() as u64 + 1;
        }
        assert_eq!((by_line, wrong), (messages, error));
        let mut batch = Batch::decode(bytes, &codec);
        let mut before = batch.offset();
        while let Some(Ok(_)) = batch.next() {
            let offset = batch.offset();
            assert!(offset > before && offset <= bytes.len(), "{offset} after {before}");
            before = offset;
        }
    }
}

/// The codec finds the messages and errors that the model does, of either side and in every dialect.
pub fn against_model(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, .. } = Settings::take(&mut input);
    for dialect in [Dialect::Documented, Dialect::Deployed2020, Dialect::Scratch] {
        let codec = codec.dialect(dialect);
        for sender in [Sender::Client, Sender::Server] {
            let expected = model::decode(input.0, sender, &codec);
            let got = decoded(input.0, sender, &codec);
            assert_eq!(got, expected, "{sender:?}, {dialect:?}");
        }
    }
}

/// The next object that `sender` says. The low three bits of its first byte are its kind; the next
/// two, how many variables there are; the next, whether its value or room is a number.
fn item(input: &mut Input<'_>, sender: Sender) -> Message {
    let kind = input.byte();
    let name = text(input.counted()).to_owned();
    let mut string = || text(input.counted()).to_owned();
    let value = |text: String| match kind & 0x20 {
        0 => Value::Text(text.into()),
        _ => Value::Number(text.into()),
    };
    match (kind & 7, sender) {
        (0, Sender::Client) => Message::Handshake {
            room: value(name),
            username: string(),
            variables: (0..kind >> 3 & 3).map(|_| (string(), string())).collect(),
        },
        (0..=3, _) => Message::Set(name, value(string())),
        (4, _) => Message::Create(name, value(string())),
        (5, _) => Message::Rename(name, string()),
        (6, _) => Message::Delete(name),
        _ => {
            let raw = json(input);
            // What is no JSON would be more than the value of a key.
            let raw = if is_value(&raw, 127) { format!(r#"{{"x":{raw}}}"#) } else { raw };
            Message::Unknown(name, raw)
        }
    }
}

/// A known message in one of the many other ways to write it.
fn rewritten(message: &Message, dialect: Dialect, input: &mut Input<'_>) -> String {
    let [kind, room, username, variables, variable] = match dialect {
        Dialect::Documented => ["kind", "room", "username", "variables", "variable"],
        Dialect::Deployed2020 => ["kind", "id", "username", "variables", "var"],
        Dialect::Scratch => ["method", "project_id", "user", "", "name"],
    };
    let mut written = |text: &str| string(input.byte(), text);
    let mut parts = match message {
        Message::Set(name, _) => vec![(kind, written("set")), (variable, written(name))],
        Message::Create(name, _) => vec![(kind, written("create")), (variable, written(name))],
        Message::Delete(name) => vec![(kind, written("delete")), (variable, written(name))],
        Message::Rename(name, new_name) => vec![
            (kind, written("rename")),
            (variable, written(name)),
            ("new_name", written(new_name)),
        ],
        Message::Handshake { username: name, variables: all, .. } => {
            let mut parts = vec![(kind, written("handshake")), (username, written(name))];
            if dialect != Dialect::Scratch {
                let entry = |(name, value): &(String, String)| {
                    format!("{}:{}", written(name), written(value))
                };
                let entries: Vec<_> = all.iter().map(entry).collect();
                parts.push((variables, format!("{{{}}}", entries.join(","))));
            }
            parts
        }
        Message::Unknown(..) => unreachable!("it is written in one way only"),
    };
    let value = match message {
        Message::Set(_, value) | Message::Create(_, value) => Some(("value", value)),
        Message::Handshake { room: id, .. } => Some((room, id)),
        _ => None,
    };
    parts.extend(value.map(|(key, value)| match value {
        Value::Text(text) => (key, written(text)),
        Value::Number(number) => (key, number.to_string()),
    }));
    object(parts, ["s", "Kind", "kin", "\\kind", ""], input)
}

/// Messages made up of the input: what is encoded is what serde_json writes and decodes to the same,
/// and so does every other way to write it; a server's alone and as one batch.
pub fn round_trip(fuzz: &[u8]) {
    let mut input = Input(fuzz);
    let Settings { codec, sender } = Settings::take(&mut input);
    let unlimited = limited(codec, usize::MAX);
    let (mut all, mut known, mut lines) = (Vec::new(), Vec::new(), String::new());
    while !input.is_empty() {
        let message = item(&mut input, sender);
        let alone = std::slice::from_ref(&message);

        let expected = model::encode(&message, sender, 0, &codec);
        let written = encodes(alone, sender, &codec);
        if let Ok(text) = &expected {
            let mut exact = vec![0xAA; text.len()];
            assert_eq!(encode(alone, sender, &codec, &mut &mut exact[..]), [Ok(())]);
            assert_eq!(exact, text.as_bytes());
            let mut small = vec![0xAA; text.len() - 1];
            let result = encode(alone, sender, &codec, &mut &mut small[..]);
            assert_eq!(result, [Err(EncodeError::BufferFull)]);
            assert!(small.iter().all(|byte| *byte == 0xAA));
            if !matches!(message, Message::Unknown(..)) {
                assert_eq!(decoded(&written, sender, &codec), (alone.to_vec(), None));
            }
        }
        let speakable = model::encode(&message, sender, 0, &unlimited).is_ok();
        if speakable && !matches!(message, Message::Unknown(..)) {
            let text = rewritten(&message, codec.dialect, &mut input);
            if sender == Sender::Client {
                let exact = limited(codec, text.len());
                let got = decoded(text.as_bytes(), sender, &exact);
                assert_eq!(got, (alone.to_vec(), None), "{text}");
            } else {
                // Between tokens any white space is as good.
                lines += &text.replace('\n', " ");
                lines += ["\n", "\r\n", "\n\n", " \n\t\r\n"][usize::from(input.byte() & 3)];
                known.push(message.clone());
            }
        }
        all.push(message);
    }
    if sender == Sender::Server {
        encodes(&all, sender, &codec);
        let written = encodes(&known, sender, &unlimited);
        assert_eq!(decoded(&written, sender, &unlimited), (known.clone(), None));
        fills_a_buffer(&known, &written, &unlimited);
        assert_eq!(decoded(lines.as_bytes(), sender, &unlimited), (known, None), "{lines}");
    }
}

/// A buffer of just the size of a batch is enough for it; with one byte less, all but the last object
/// go into it.
fn fills_a_buffer(messages: &[Message], written: &[u8], codec: &CodecConfig) {
    let Some((_, first)) = messages.split_last() else { return };
    let mut exact = vec![0xAA; written.len()];
    let results = encode(messages, Sender::Server, codec, &mut &mut exact[..]);
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(exact, written);

    let mut expected = encodes(first, Sender::Server, codec);
    expected.resize(written.len() - 1, 0xAA);
    let mut small = vec![0xAA; written.len() - 1];
    let results = encode(messages, Sender::Server, codec, &mut &mut small[..]);
    assert_eq!(results.last(), Some(&Err(EncodeError::BufferFull)));
    assert!(results.iter().rev().skip(1).all(Result::is_ok));
    assert_eq!(small, expected);
}

/// What is written of these in one message, behind what was there, is what the model writes; gives it.
fn encodes(messages: &[Message], sender: Sender, codec: &CodecConfig) -> Vec<u8> {
    let mut expected = String::from("before");
    let mut verdicts = Vec::new();
    for message in messages {
        let text = model::encode(message, sender, expected.len() - 6, codec);
        expected += text.as_deref().unwrap_or_default();
        verdicts.push(text.map(|_| ()));
    }
    let mut dst = b"before".to_vec();
    assert_eq!(encode(messages, sender, codec, &mut dst), verdicts);
    assert_eq!(String::from_utf8_lossy(&dst), expected);
    dst.split_off(6)
}

/// Without those that only say in another dialect what is shown of the documented one.
fn vectors() -> Vec<Vector> {
    let json = include_str!("../../../roomvars-proto/tests/vectors/roomvars.json");
    let mut vectors = File::parse(json).vectors;
    let names: BTreeSet<_> = vectors.iter().map(|v| v.name.clone()).collect();
    vectors.retain(|v| {
        let shown = v.name.rsplit_once(", ").filter(|(name, _)| names.contains(*name));
        v.canonical || shown.is_none()
    });
    vectors
}

/// The settings of a vector, as bytes.
fn settings(vector: &Vector) -> Vec<u8> {
    let codec = crate::roomvars::config(vector);
    let dialect = match codec.dialect {
        Dialect::Documented => 0,
        Dialect::Deployed2020 => 1,
        Dialect::Scratch => 2,
    };
    let (of_server, limit) = match crate::roomvars::sender(vector) {
        Sender::Client => (0, codec.max_client_message),
        Sender::Server => (Settings::OF_SERVER, codec.max_server_message),
    };
    let limit = u16::try_from(limit).unwrap_or(u16::MAX);
    [&[dialect << 1 | of_server], &limit.to_be_bytes()[..]].concat()
}

fn text_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: Vector| (file_name(&v.name), [settings(&v), v.bytes].concat());
    vectors().into_iter().map(seed).collect()
}

/// Those without errors: what an error must be is for the model to say.
fn good_seeds() -> Vec<(String, Vec<u8>)> {
    let good = vectors().into_iter().filter(|v| v.error.is_none());
    good.map(|v| (file_name(&v.name), [settings(&v), v.bytes].concat())).collect()
}

/// A message as `item` takes it, if it isn't too long.
fn as_item(message: &Message) -> Option<Vec<u8>> {
    fn kind_of(value: &Value) -> u8 {
        if matches!(value, Value::Number(_)) { 0x20 } else { 0 }
    }
    let (kind, texts): (u8, Vec<&str>) = match message {
        Message::Handshake { room, username, variables } => {
            let pairs = variables.iter().take(3).flat_map(|(name, value)| [&name[..], value]);
            let texts = [room.as_str(), username].into_iter().chain(pairs);
            let count = u8::try_from(variables.len().min(3)).unwrap_or(3);
            (kind_of(room) | count << 3, texts.collect())
        }
        Message::Set(name, value) => (1 | kind_of(value), vec![name, value.as_str()]),
        Message::Create(name, value) => (4 | kind_of(value), vec![name, value.as_str()]),
        Message::Rename(name, new_name) => (5, vec![name, new_name]),
        Message::Delete(name) => (6, vec![name]),
        Message::Unknown(name, _) => (7, vec![name]),
    };
    let mut bytes = vec![kind];
    for text in texts {
        bytes.push(u8::try_from(text.len()).ok()?);
        bytes.extend(text.as_bytes());
    }
    if kind == 7 {
        // JSON that is counted text as it is.
        bytes.extend(b"\0\x05[1.0]");
    }
    // Another way to write it, all of which a set takes.
    bytes.extend([0x35, 0x5A, 0x93, 0, 1, 1, 0, 1, 0x7A, 3, 0x0C, 0xEF, 0x93, 2]);
    Some(bytes)
}

/// The messages of each vector that has some and no error.
fn item_seeds() -> Vec<(String, Vec<u8>)> {
    let seed = |v: Vector| {
        let (codec, sender) = (crate::roomvars::config(&v), crate::roomvars::sender(&v));
        let (messages, error) = model::decode(&v.bytes, sender, &codec);
        let items: Vec<_> = messages.iter().map(as_item).collect::<Option<_>>()?;
        let whole = error.is_none() && !items.is_empty();
        whole.then(|| (file_name(&v.name), [settings(&v), items.concat()].concat()))
    };
    let mut seeds: Vec<_> = vectors().into_iter().filter_map(seed).collect();
    // Sets of 42 bytes in batches that may have 84: the line break between two doesn't fit, or does.
    let set = as_item(&Message::Set("x".into(), Value::Text("12".into()))).unwrap_or_default();
    for (name, limit) in [("too-short-for-two", 84), ("enough-for-two", 85)] {
        let settings = [Settings::OF_SERVER, 0, limit];
        seeds.push((format!("by-hand-{name}"), [&settings[..], &set, &set, &set].concat()));
    }
    seeds
}
