//! litecord-proto's codec beside JSON libraries that would do its work; `README.md` tells how and why.

#[path = "../comparison.rs"]
mod comparison;
mod subjects;
mod texts;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use litecord_proto::{ClientMessage, CodecConfig, JsonRef};
use serde_json::value::RawValue;

use crate::comparison::{Comparison, to_writer, twilight};
use crate::subjects::{Args, Heartbeat, Request};
use crate::texts::{ARGS, HEARTBEAT, NONCE, REQUEST, WHAT};

fn decode_small(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());
    for (name, text, expected) in [
        ("heartbeat", HEARTBEAT, (2, 0)),
        ("heartbeat with s", texts::HEARTBEAT_S, (2, 0)),
        ("request", REQUEST, (4, WHAT.len())),
        ("request, other order", texts::REQUEST_OTHER_ORDER, (4, WHAT.len())),
        ("request, pretty", texts::REQUEST_PRETTY, (4, WHAT.len())),
        ("request, escape", texts::REQUEST_ESCAPE, (4, WHAT.len())),
    ] {
        let mut comparison = Comparison::new(c, &format!("litecord decode {name}"), text);
        comparison.decode("text", expected, |text| subjects::from_json(text, &config));
        comparison.decode("bytes", expected, |text| subjects::decode(text.as_bytes(), &config));
        comparison.decode("value", expected, subjects::value);
        comparison.decode("sonic-value", expected, subjects::sonic_value);
        // The derive borrows `w`, which it can't with an escape.
        if !text.contains('\\') {
            comparison.decode("derive", expected, subjects::derive);
        }
        if text.starts_with(r#"{"op":2"#) {
            comparison.decode("twilight", expected, twilight);
        }
    }
}

fn decode_response(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());
    let (plain, escapes) = (texts::members("Nelly"), texts::members("Nelly \"N\"\t\u{7} \\o/"));
    let compact = serde_json::to_string(&plain).unwrap();
    for (name, members, result) in [
        ("4 KiB", &plain, compact),
        ("4 KiB pretty", &plain, serde_json::to_string_pretty(&plain).unwrap()),
        ("4 KiB, escapes", &escapes, serde_json::to_string(&escapes).unwrap()),
    ] {
        let text = texts::response(&result);
        let (as_text, as_list) = ((5, result.len()), (5, members.len()));
        let mut comparison = Comparison::new(c, &format!("litecord decode response {name}"), &text);
        comparison.decode("text", as_text, |text| subjects::response(text, &config));
        comparison.decode("value", as_list, subjects::value);
        comparison.decode("derive", as_text, subjects::derive);
        comparison.decode("sonic-value", as_list, subjects::sonic_value);
        comparison.decode("sonic-lazy", as_text, subjects::sonic_lazy);
        comparison.decode("text, parsed", as_list, |text| subjects::response_parsed(text, &config));
        comparison.decode("value, parsed", as_list, subjects::value_parsed);
        comparison.decode("derive, parsed", as_list, subjects::derive_parsed);
    }
}

fn encode(c: &mut Criterion) {
    let config = black_box(CodecConfig::default());

    let mut heartbeat = Comparison::new(c, "litecord encode heartbeat", HEARTBEAT);
    heartbeat.encode("message", |dst| {
        subjects::encode(black_box(&ClientMessage::Heartbeat), &config, dst);
    });
    heartbeat.encode("json!", |dst| *dst = subjects::json_heartbeat(black_box(2)).into_bytes());
    heartbeat.encode("to_writer", |dst| {
        to_writer(&Heartbeat { op: black_box(2) }, dst);
    });
    drop(heartbeat);

    let mut request = Comparison::new(c, "litecord encode request", REQUEST);
    let nonce = NONCE.to_string();
    let (args, nonce) = (JsonRef::new(ARGS).unwrap(), JsonRef::new(&nonce).unwrap());
    let message = ClientMessage::Request { what: WHAT.into(), args, nonce };
    request.encode("message", |dst| subjects::encode(black_box(&message), &config, dst));
    let args: Args = (81_384_788_765_712_384, "ada", true);
    request.encode("message, typed", |dst| {
        let (args, nonce) = black_box((&args, nonce));
        subjects::encode_args(args, nonce, &config, dst);
    });
    request.encode("json!", |dst| {
        *dst = subjects::json_request(black_box(WHAT), black_box(&args), black_box(NONCE))
            .into_bytes();
    });
    let raw: &RawValue = serde_json::from_str(ARGS).unwrap();
    request.encode("to_writer", |dst| {
        let (w, a, n) = black_box((WHAT, raw, NONCE));
        to_writer(&Request { op: 4, w, a, n }, dst);
    });
    request.encode("to_writer, typed", |dst| {
        let (w, a, n) = black_box((WHAT, &args, NONCE));
        to_writer(&Request { op: 4, w, a, n }, dst);
    });
}

criterion_group! {
    name = benches;
    config = comparison::criterion();
    targets = decode_small, decode_response, encode
}
criterion_main!(benches);
