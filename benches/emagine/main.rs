//! emagine-proto's codec beside JSON libraries that would do its work; `README.md` tells how and why.

#[path = "../comparison.rs"]
mod comparison;
mod subjects;
mod texts;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use emagine_proto::{CodecConfig, JsonRef, ServerMessage};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::comparison::{Comparison, Seen, to_writer, twilight};
use crate::subjects::{Heartbeat, Message, Ready};
use crate::texts::{
    ACK, HEARTBEAT, MESSAGE, MESSAGE_KEYS, MESSAGE_NESTED, NESTED_KEYS, READY, TIME, USER,
    delivered,
};

fn decode(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());
    let digits = TIME.to_string().len();
    let value = usize::try_from(TIME).unwrap();
    let (message, nested) = (delivered(MESSAGE).len(), delivered(MESSAGE_NESTED).len());
    for (name, text, as_text, as_value, op) in [
        ("heartbeat", HEARTBEAT, (10, digits), (10, value), 10),
        ("ack", ACK, (11, digits), (11, value), 11),
        ("heartbeat without time", texts::HEARTBEAT_BARE, (10, 0), (10, 0), 10),
        ("heartbeat, other order", texts::HEARTBEAT_OTHER_ORDER, (10, digits), (10, value), 10),
        ("Ready", READY, (2, USER.len()), (2, USER.len()), 2),
        ("Ready as op 1", texts::READY_OP_1, (2, USER.len()), (2, USER.len()), 1),
        ("Ready, pretty", texts::READY_PRETTY, (2, USER.len()), (2, USER.len()), 2),
        ("Message", MESSAGE, (3, message), (3, MESSAGE_KEYS), 3),
        ("Message as op 2", texts::MESSAGE_OP_2, (3, message), (3, MESSAGE_KEYS), 2),
        ("Message, nested", MESSAGE_NESTED, (3, nested), (3, NESTED_KEYS), 3),
    ] {
        let scanned: Seen = (op, 0);
        let mut comparison = Comparison::new(c, &format!("emagine decode {name}"), text);
        comparison.decode("text", as_text, |text| subjects::from_json(text, &config));
        comparison.decode("bytes", as_text, |text| subjects::decode(text.as_bytes(), &config));
        comparison.decode("value", as_value, subjects::value);
        comparison.decode("derive", as_text, subjects::derive);
        comparison.decode("twilight", scanned, twilight);
    }
}

fn encode(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());
    let digits = TIME.to_string();
    let time = Some(JsonRef::new(&digits).unwrap());

    for (name, text, op, message) in [
        ("heartbeat", HEARTBEAT, 10, ServerMessage::Heartbeat { time }),
        ("ack", ACK, 11, ServerMessage::HeartbeatAck { time }),
    ] {
        let mut comparison = Comparison::new(c, &format!("emagine encode {name}"), text);
        comparison.encode("message", |dst| subjects::encode(black_box(&message), &config, dst));
        comparison.encode("json!", |dst| {
            *dst = subjects::json_heartbeat(black_box(op), black_box(TIME)).into_bytes();
        });
        comparison.encode("to_writer", |dst| {
            to_writer(&Heartbeat { op: black_box(op), time: black_box(TIME) }, dst);
        });
    }

    let mut ready = Comparison::new(c, "emagine encode Ready", READY);
    let message = ServerMessage::Ready { user: USER.into() };
    ready.encode("message", |dst| subjects::encode(black_box(&message), &config, dst));
    ready.encode("json!", |dst| *dst = subjects::json_ready(black_box(USER)).into_bytes());
    ready.encode("to_writer", |dst| to_writer(&Ready { op: 2, user: black_box(USER) }, dst));
    drop(ready);

    let mut comparison = Comparison::new(c, "emagine encode Message", MESSAGE);
    let message = ServerMessage::Message { message: JsonRef::new(delivered(MESSAGE)).unwrap() };
    comparison.encode("message", |dst| subjects::encode(black_box(&message), &config, dst));
    let value: Value = serde_json::from_str(delivered(MESSAGE)).unwrap();
    comparison.encode("json!", |dst| *dst = subjects::json_message(black_box(&value)).into_bytes());
    let raw: &RawValue = serde_json::from_str(delivered(MESSAGE)).unwrap();
    comparison.encode("to_writer", |dst| {
        to_writer(&Message { op: 3, message: black_box(raw) }, dst);
    });
}

criterion_group! {
    name = benches;
    config = comparison::criterion();
    targets = decode, encode
}
criterion_main!(benches);
