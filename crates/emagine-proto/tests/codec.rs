//! Messages and their JSON: what the vectors can't say.

use std::borrow::Cow;
use std::fmt::Debug;

use emagine_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, EncodeError, JsonRef, OpCode, Role,
    Secret, ServerMessage,
};
use proptest::prelude::*;
use testkit::conformance::{encodes_as, work_is_linear};
use testkit::emagine::{decode, encode};
use testkit::fuzz::Input;
use testkit::fuzz::json::{DELICATE, json as made_json, nested};
use testkit::measure;
use testkit::model::emagine::{self as model, Message};
use testkit::model::json::is_value;

const ROLES: [Role; 2] = [Role::Client, Role::Server];

fn config() -> CodecConfig {
    CodecConfig::default()
}

fn client(text: &str) -> Result<ClientMessage<'_>, DecodeError> {
    let message = ClientMessage::from_json(text, &config());
    assert_eq!(ClientMessage::decode(text.as_bytes(), &config()), message);
    message
}

fn server(text: &str) -> Result<ServerMessage<'_>, DecodeError> {
    let message = ServerMessage::from_json(text, &config());
    assert_eq!(ServerMessage::decode(text.as_bytes(), &config()), message);
    message
}

/// What is wrong with a message that neither side could send; `¦` marks where.
fn refused(marked: &str, kind: DecodeErrorKind) {
    let (text, expected) = marked_error(marked, kind);
    assert_eq!(client(&text), Err(expected), "{text}");
    assert_eq!(server(&text), Err(expected), "{text}");
}

fn marked_error(marked: &str, kind: DecodeErrorKind) -> (String, DecodeError) {
    let offset = marked.find('¦').unwrap();
    (marked.replacen('¦', "", 1), DecodeError { kind, offset: offset as u64 })
}

fn invalid(key: &'static str, expected: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::InvalidValue { key, expected }
}

fn json(text: &str) -> JsonRef<'_> {
    JsonRef::new(text).unwrap()
}

fn ready(user: &str) -> ServerMessage<'_> {
    ServerMessage::Ready { user: user.into() }
}

fn message(text: &str) -> ServerMessage<'_> {
    ServerMessage::Message { message: json(text) }
}

const HEARTBEAT: ClientMessage<'static> = ClientMessage::Heartbeat { time: None };

/// Encodes in every kind of buffer, and gives the text.
fn encoded(message: &Message<'_>, sender: Role, config: &CodecConfig) -> String {
    let mut dst = Vec::new();
    encode(message, sender, config, &mut dst).unwrap();
    let text = String::from_utf8(dst).unwrap();
    encodes_as(&Ok(text.clone()), EncodeError::BufferFull, |mut dst| {
        encode(message, sender, config, &mut dst)
    });
    text
}

/// A message of each kind for each side that may send it, with its text.
fn every_kind() -> Vec<(Role, Message<'static>, &'static str)> {
    let none = Message::default;
    let text = |text: &'static str| Some(Cow::Borrowed(text));
    let mut all = vec![
        (
            Role::Server,
            Message { heartbeat_interval: Some(45_000), ..none() },
            r#"{"op":0,"heartbeat_interval":45000}"#,
        ),
        (
            Role::Client,
            Message { op: 1, text: text("helloworld"), ..none() },
            r#"{"op":1,"token":"helloworld"}"#,
        ),
        (Role::Server, Message { op: 2, text: text("ada"), ..none() }, r#"{"op":2,"user":"ada"}"#),
        (
            Role::Server,
            Message { op: 3, message: Some(r#"["x"]"#), ..none() },
            r#"{"op":3,"message":["x"]}"#,
        ),
    ];
    for role in ROLES {
        let (time, raw) = (Some("1579523400000"), r#"{"d":null,"op":7}"#);
        all.extend([
            (role, Message { op: 10, time, ..none() }, r#"{"op":10,"time":1579523400000}"#),
            (role, Message { op: 11, time, ..none() }, r#"{"op":11,"time":1579523400000}"#),
            (role, Message { op: 10, ..none() }, r#"{"op":10}"#),
            (role, Message { op: 11, ..none() }, r#"{"op":11}"#),
            (role, Message { op: 7, raw: Some(raw), ..none() }, raw),
        ]);
    }
    all
}

#[test]
fn e1_the_four_spellings_read_alike_and_one_of_each_is_written() {
    let mut dst = Vec::new();
    for text in [
        r#"{"op":2,"user":"ada"}"#,
        r#"{"op":1,"user":"ada"}"#,
        r#"{"user":"ada","op":1,"token":"x","message":1}"#,
        r#"{"\u0075ser":"\u0061da","op":1}"#,
    ] {
        let got = server(text).unwrap();
        assert_eq!((&got, got.op()), (&ready("ada"), OpCode::READY), "{text}");
        dst.clear();
        got.encode(&config(), &mut dst).unwrap();
        assert_eq!(dst, br#"{"op":2,"user":"ada"}"#);
    }
    for text in [
        r#"{"op":3,"message":[1]}"#,
        r#"{"op":2,"message":[1]}"#,
        r#"{"user":"ada","message":[1],"op":2}"#,
        r#"{"user":["whatever"],"message":[1],"op":2}"#,
        r#"{"user":"ada","messag\u0065":[1],"op":3}"#,
    ] {
        let got = server(text).unwrap();
        assert_eq!((&got, got.op()), (&message("[1]"), OpCode::MESSAGE), "{text}");
        dst.clear();
        got.encode(&config(), &mut dst).unwrap();
        assert_eq!(dst, br#"{"op":3,"message":[1]}"#);
    }
}

#[test]
fn e1_what_makes_op_2_a_message_is_that_it_has_one_whatever_it_is() {
    for value in DELICATE {
        let text = format!(r#"{{"op":2,"user":"ada","message":{value}}}"#);
        assert_eq!(server(&text), Ok(message(value)), "{text}");
        // Inside of something else it is none.
        let text = format!(r#"{{"op":2,"user":"ada","x":{{"message":{value}}}}}"#);
        assert_eq!(server(&text), Ok(ready("ada")), "{text}");
    }
    for (op, key) in [(1, "user"), (2, "user"), (3, "message")] {
        let missing = DecodeErrorKind::MissingKey(key);
        let (text, error) = marked_error(&format!(r#"{{"op":{op},"token":"x"¦}} "#), missing);
        assert_eq!(server(&text), Err(error), "{text}");
    }
}

#[test]
fn e1_a_server_reads_op_1_only_as_identify() {
    let token = Secret::new("x".into());
    assert_eq!(client(r#"{"op":1,"token":"x","user":"y"}"#), Ok(ClientMessage::Identify { token }));
    let (text, error) =
        marked_error(r#"{"op":1,"user":"y"¦}"#, DecodeErrorKind::MissingKey("token"));
    assert_eq!(client(&text), Err(error));
}

#[test]
fn e2_every_op_from_each_side() {
    for op in 0..=u8::MAX {
        // All that any message needs.
        let text =
            format!(r#"{{"op":{op},"heartbeat_interval":1,"token":"t","user":"u","message":1}}"#);
        let senders: &[Role] = match op {
            0 | 2 | 3 => &[Role::Server],
            1 => &[Role::Client],
            _ => &ROLES,
        };
        for sender in ROLES {
            let may = senders.contains(&sender);
            assert_eq!(OpCode(op).may_be_sent_by(sender), may);
            let got = decode(text.as_bytes(), sender, &config()).map(|message| message.op);
            let kind = DecodeErrorKind::WrongDirection(OpCode(op));
            let expected = match (op, sender) {
                // E1: a message, and a Ready.
                (2, Role::Server) => Ok(3),
                (1, Role::Server) => Ok(2),
                _ if may => Ok(op),
                _ => Err(DecodeError { kind, offset: 6 }),
            };
            assert_eq!(got, expected, "{sender:?}");
        }
    }
}

#[test]
fn e2_the_wrong_side_encodes_nothing() {
    // Nor what isn't unknown at all.
    let mut dst = b"before".to_vec();
    let raw = json(r#"{"op":3,"message":1}"#);
    for op in [OpCode::HELLO, OpCode::READY, OpCode::MESSAGE] {
        let result = ClientMessage::Unknown { op, raw }.encode(&config(), &mut dst);
        assert_eq!(result, Err(EncodeError::WrongDirection(op)));
    }
    let result = ServerMessage::Unknown { op: OpCode::IDENTIFY, raw }.encode(&config(), &mut dst);
    assert_eq!(result, Err(EncodeError::WrongDirection(OpCode::IDENTIFY)));
    assert_eq!(dst, b"before");
    let unknown = ClientMessage::Unknown { op: OpCode(4), raw };
    assert_eq!((unknown.encode(&config(), &mut dst), unknown.op()), (Ok(()), OpCode(4)));
    assert_eq!(dst, br#"before{"op":3,"message":1}"#, "as it is, whatever it says");
}

#[test]
fn e3_every_kind_is_written_compactly_with_op_first() {
    for (role, message, text) in every_kind() {
        assert_eq!(encoded(&message, role, &config()), text);
        assert_eq!(decode(text.as_bytes(), role, &config()), Ok(message));
    }
}

#[test]
fn e3_what_is_nearly_written_so_is_read_as_anything_else() {
    // White space at the front keeps a text from being read by how it usually begins.
    fn check(text: &str) {
        let spaced = format!(" {text}");
        let back = |error: DecodeError| DecodeError { offset: error.offset - 1, ..error };
        assert_eq!(client(text), client(&spaced).map_err(back), "{text}");
        assert_eq!(server(text), server(&spaced).map_err(back), "{text}");
    }
    for text in [
        r#"{"op":10,"time":0}"#,
        r#"{"op":10,"time":1579523400000}"#,
        r#"{"op":11,"time":12345678}"#,
        r#"{"op":11,"time":12345678901234567}"#,
        r#"{"op":2,"user":""}"#,
        r#"{"op":2,"user":"ada"}"#,
        r#"{"op":2,"user":"5e259da8c1a4f2é"}"#,
        r#"{"op":3,"message":1.0}"#,
        r#"{"op":3,"message":"}"}"#,
        r#"{"op":3,"message":{"a":[1,{}]}}"#,
    ] {
        check(text);
        for (at, char) in text.char_indices() {
            check(&text[..at]);
            for other in ["", "\"", "\\", "}", "]", ",", ":", "0", "7", "-", " ", "x", "é", "\0"] {
                check(&[&text[..at], other, &text[at..]].concat());
                check(&[&text[..at], other, &text[at + char.len_utf8()..]].concat());
            }
        }
        for after in ["}", " ", "\n{}", ",\"op\":10}"] {
            check(&[text, after].concat());
        }
    }
}

#[test]
fn e3_opcodes_have_names() {
    for (op, name) in [
        (0, "Hello"),
        (1, "Identify"),
        (2, "Ready"),
        (3, "Message"),
        (10, "Heartbeat"),
        (11, "HeartbeatAck"),
    ] {
        assert_eq!(OpCode(op).name(), Some(name));
        assert_eq!(format!("{} {:?}", OpCode(op), OpCode(op)), format!("{name} {name}"));
    }
    assert_eq!(format!("{} {:?}", OpCode(4), OpCode(4)), "op 4 OpCode(4)");
}

#[test]
fn e3_keys_in_any_order() {
    // Every order of four keys.
    let parts =
        [r#""op":2"#, r#""user":"x""#, r#""message":[{"op":1}]"#, r#""time":{"message":5}"#];
    for order in 0..256 {
        let order = [order >> 6 & 3, order >> 4 & 3, order >> 2 & 3, order & 3];
        if (0..4).all(|part| order.contains(&part)) {
            let text = format!("{{{}}}", order.map(|part| parts[part]).join(","));
            assert_eq!(server(&text), Ok(message(r#"[{"op":1}]"#)), "{text}");
        }
    }
}

#[test]
fn e3_op_counts_only_in_the_message_itself() {
    for text in [
        r#"{"message":{"op":9},"op":3}"#,
        r#"{"op":3,"message":{"op":9}}"#,
        r#"{"x":[{"op":7}],"message":{"op":9},"op":3}"#,
    ] {
        assert_eq!(server(text), Ok(message(r#"{"op":9}"#)), "{text}");
    }
    refused(
        r#"{"message":{"op":10},"x":[{"op":10}],"s":"\"op\":10"¦}"#,
        DecodeErrorKind::MissingKey("op"),
    );
}

#[test]
fn e3_op_is_an_integer_from_0_to_255() {
    for op in [
        "10.0",
        "\"10\"",
        "-1",
        "-0",
        "256",
        "null",
        "1e1",
        "18446744073709551626",
        "[10]",
        "{\"op\":10}",
        "true",
        "10e0",
        "\"\"",
    ] {
        let kind = invalid("op", "an integer from 0 to 255");
        refused(&format!(r#"{{"time":1,"op": ¦{op} ,"user":1}}"#), kind);
    }
    for op in ["010", "+10", "0x4", "4.", ".4", "1_0", "4e", "--4", "- 4", "٤"] {
        let text = format!(r#"{{"op":{op}}}"#);
        assert_eq!(client(&text).unwrap_err().kind, DecodeErrorKind::NotJson, "{text}");
    }
    refused("{¦}\r\n ", DecodeErrorKind::MissingKey("op"));
}

#[test]
fn e3_a_known_key_twice_is_refused_however_it_is_written() {
    for key in ["op", "heartbeat_interval", "token", "user", "message", "time"] {
        // Many ways to write its letters as escapes: of a long key, only its first ones.
        for escaped in 0..1_u32 << key.len().min(7) {
            let spelt = |upper: bool| -> String {
                let letters = key.char_indices().map(|(at, c)| match escaped >> at & 1 {
                    0 => c.to_string(),
                    _ if upper => format!("\\u{:04X}", u32::from(c)),
                    _ => format!("\\u{:04x}", u32::from(c)),
                });
                letters.collect()
            };
            for again in [spelt(false), spelt(true)] {
                refused(
                    &format!(r#"{{"{key}":null,"x":[], ¦"{again}":null}}"#),
                    DecodeErrorKind::DuplicateKey(key),
                );
                refused(
                    &format!(r#"{{"{again}":1,¦"{key}" : [ 2 ] x"#),
                    DecodeErrorKind::DuplicateKey(key),
                );
            }
        }
    }
    // Unknown ones may, and nested ones are another's.
    let text = r#"{"s":1,"op":3,"s":2,"message":{"op":1,"op":2,"time":1,"time":2}}"#;
    assert_eq!(server(text).unwrap().op(), OpCode::MESSAGE);
}

#[test]
fn e3_a_key_may_be_written_with_escapes_and_is_only_itself() {
    let text = r#"{"\u006F\u0070":1,"t\u006fken":"x"}"#;
    assert_eq!(client(text), Ok(ClientMessage::Identify { token: Secret::new("x".into()) }));
    for key in [
        r"\\u006fp",
        r"op\u0000",
        r"\ud800op",
        r"\uD800\uDC00",
        r"\/op",
        "OP",
        "Op",
        "o",
        "opp",
        " op",
        "op ",
        "οp",
        "times",
        "tim",
    ] {
        let text = format!(r#"{{"{key}":9,"op":10,"{key}":8}}"#);
        assert_eq!(client(&text), Ok(HEARTBEAT), "{text}");
    }
}

#[test]
fn e3_unknown_keys_are_ignored_but_must_be_json() {
    for value in ["null", "1", "{}", r#"{"op":3}"#, r#"["\ud800"]"#, "1e999"] {
        for text in [format!(r#"{{"op":10,"s":{value}}}"#), format!(r#"{{"s":{value},"op":10}}"#)] {
            assert_eq!(client(&text), Ok(HEARTBEAT), "{text}");
        }
    }
    for value in ["n¦il", "1¦x", "0¦1", r#""\¦q""#, "[1,¦]", "{¦1:1}", "¦'1'", "¦"] {
        refused(&format!(r#"{{"op":10,"s":{value}}}"#), DecodeErrorKind::NotJson);
    }
}

#[test]
fn e3_white_space_is_json_s_and_stands_anywhere_between() {
    let tokens = ["{", "\"op\"", ":", "10", ",", "\"time\"", ":", "[", "]", "}"];
    let value = |text: &str| {
        let ClientMessage::Heartbeat { time: Some(time) } = client(text).unwrap() else {
            panic!("{text:?}")
        };
        time.get().to_owned()
    };
    for space in [" ", "\n", "\r", "\t", "\r\n \t  "] {
        for at in 0..=tokens.len() {
            let text = [&tokens[..at], &[space], &tokens[at..]].concat().concat();
            let inside = if at == 8 { space } else { "" };
            assert_eq!(value(&text), format!("[{inside}]"), "{text:?}");
        }
        let text = format!("{space}{}{space}", tokens.join(space));
        assert_eq!(value(&text), format!("[{space}]"), "{text:?}");
    }
    for space in
        ["\0", "\u{b}", "\u{c}", "\u{1f}", "\u{7f}", "\u{85}", "\u{a0}", "\u{feff}", "/**/"]
    {
        for at in 0..=tokens.len() {
            let marked = [&tokens[..at], &["¦", space], &tokens[at..]].concat().concat();
            refused(&marked, DecodeErrorKind::NotJson);
        }
    }
}

#[test]
fn e3_128_levels_are_read_and_129_are_not_wherever_they_stand() {
    let before = [
        r#"{"op":3,"message":"#,
        r#"{"op":10,"time":"#,
        r#"{"op":10,"op_":"#,
        r#"{"op":9,"d":"#,
        // What is needed comes later, or never.
        r#"{"message":"#,
        r#"{"op":300,"token":"#,
    ];
    for before in before {
        for mixed in [false, true] {
            let (open, close) = nested(127, mixed);
            let text = format!("{before}{open}1{close}}}");
            let too_deep = |text: &str| {
                let kinds = [client(text).err(), server(text).err()];
                let bad = [DecodeErrorKind::TooDeep, DecodeErrorKind::NotJson];
                kinds.iter().flatten().any(|error| bad.contains(&error.kind))
            };
            assert!(!too_deep(&text), "{text}");
            // Twice as much side by side is no deeper.
            let (inner, end) = nested(126, mixed);
            assert!(!too_deep(&format!("{before}[{inner}1{end},{inner}1{end}]}}")));
            for bracket in ["[", "{"] {
                for rest in ["", "]", "}", "x", "\"\\"] {
                    refused(&format!("{before}{open} ¦{bracket}{rest}"), DecodeErrorKind::TooDeep);
                }
            }
        }
    }
    let (open, close) = nested(128, true);
    refused(&format!(" ¦{open}1{close}"), DecodeErrorKind::NotAnObject);
    refused(&format!("{open}¦[{close}"), DecodeErrorKind::TooDeep);
}

#[test]
fn e3_a_json_value_of_ours_fits_into_a_message() {
    for mixed in [false, true] {
        let (open, close) = nested(127, mixed);
        let text = format!("{open}1{close}");
        let mut dst = Vec::new();
        message(&text).encode(&config(), &mut dst).unwrap();
        assert_eq!(ServerMessage::decode(&dst, &config()), Ok(message(&text)));
        dst.clear();
        let heartbeat = ClientMessage::Heartbeat { time: Some(json(&text)) };
        heartbeat.encode(&config(), &mut dst).unwrap();
        assert_eq!(ClientMessage::decode(&dst, &config()), Ok(heartbeat));
    }
}

#[test]
fn e3_token_and_user_are_whole_text() {
    for (role, op, key) in
        [(Role::Client, 1, "token"), (Role::Server, 2, "user"), (Role::Server, 1, "user")]
    {
        let head = format!(r#"{{"time":[],"op":{op},"{key}":"#);
        for value in ["1", "null", "[\"x\"]", "{}", "true"] {
            let (text, error) =
                marked_error(&format!("{head}¦{value}}}"), invalid(key, "a string"));
            assert_eq!(decode(text.as_bytes(), role, &config()), Err(error), "{text}");
        }
        for value in [
            r"\ud800",
            r"\udfff",
            r"\udfb2\ud83c",
            r"x\ud83cx",
            r"\ud83c\u0041",
            r"\ud83c\ud83c\udfb2",
        ] {
            let kind = invalid(key, "a string of whole characters");
            let (text, error) = marked_error(&format!(r#"{head} ¦"{value}"}}"#), kind);
            assert_eq!(decode(text.as_bytes(), role, &config()), Err(error), "{text}");
        }
        let text = format!(r#"{head}"\ud83c\udfb2\/\u0000"}}"#);
        let message = decode(text.as_bytes(), role, &config()).unwrap();
        assert_eq!(message.text.as_deref(), Some("🎲/\0"));
    }
}

#[test]
fn e3_strings_without_escapes_are_borrowed_and_values_always() {
    let of = |text: &str, part: &str| text.as_bytes().as_ptr_range().contains(&part.as_ptr());
    let text = r#"{"op":2,"user":"plain"}"#;
    let Ok(ServerMessage::Ready { user: Cow::Borrowed(user) }) = server(text) else { panic!() };
    assert!(of(text, user));
    let text = r#"{"op":1,"token":"plain"}"#;
    let Ok(ClientMessage::Identify { token }) = client(text) else { panic!() };
    assert!(matches!(token.expose(), Cow::Borrowed(token) if of(text, token)));
    let text = r#"{"op":2,"user":"\u0070lain"}"#;
    assert!(matches!(server(text), Ok(ServerMessage::Ready { user: Cow::Owned(_) })));
    let text = r#"{"op":3,"message":["\n"]}"#;
    let Ok(ServerMessage::Message { message }) = server(text) else { panic!() };
    assert!(of(text, message.get()));
    let text = r#"{"op":10,"time":"\n"}"#;
    let Ok(ClientMessage::Heartbeat { time: Some(time) }) = client(text) else { panic!() };
    assert!(of(text, time.get()));
}

#[test]
fn e3_what_is_wrong_is_told_in_order() {
    let not_an_op = invalid("op", "an integer from 0 to 255");
    let interval = invalid("heartbeat_interval", "an integer from 0 to 2^53");
    // The text, from the front.
    refused(
        r#"{"op":300,"user":"\ud800","time":1,¦"time":1,}"#,
        DecodeErrorKind::DuplicateKey("time"),
    );
    refused(r#"{"op":300,"x":¦}"#, DecodeErrorKind::NotJson);
    refused(r#"{"op":300} ¦{"#, DecodeErrorKind::NotJson);
    // Op, then its direction, then the fields.
    refused(r#"{"token":1,"user":1,"heartbeat_interval":-1,"op":¦300}"#, not_an_op);
    let wrong = DecodeErrorKind::WrongDirection(OpCode::HELLO);
    for (role, marked, kind) in [
        (Role::Client, r#"{"heartbeat_interval":-1,"op":¦0}"#, wrong),
        (Role::Server, r#"{"heartbeat_interval":¦-1,"op":0}"#, interval),
        (
            Role::Server,
            r#"{"op":0,"heartbeat_interva":1¦}"#,
            DecodeErrorKind::MissingKey("heartbeat_interval"),
        ),
    ] {
        let (text, error) = marked_error(marked, kind);
        assert_eq!(decode(text.as_bytes(), role, &config()), Err(error), "{text}");
    }
    // Length, then UTF-8, then the text.
    let short = config().max_message(3);
    let kind = DecodeErrorKind::MessageTooLarge { len: 4, limit: 3 };
    assert_eq!(ClientMessage::decode(b"{x\xff}", &short), Err(DecodeError { kind, offset: 3 }));
    let kind = DecodeErrorKind::NotUtf8;
    assert_eq!(ClientMessage::decode(b"{x\xff}", &config()), Err(DecodeError { kind, offset: 2 }));
}

#[test]
fn e3_debug_never_shows_a_token() {
    for text in [r#"{"op":1,"token":"s3cret"}"#, r#"{"op":1,"token":"s3\u0063ret"}"#] {
        let shown = format!("{:?}", client(text).unwrap());
        assert!(shown.contains("redacted") && !shown.contains("cret"), "{shown}");
    }
    let error = client(r#"{"op":1,"token":"s3cret\ud800"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("cret"));
}

#[test]
fn e3_every_unknown_op_is_handed_over_as_it_is() {
    for op in (4..10).chain(12..=255) {
        let text = format!("\n {{ \"d\" : [1.0, \"\\ud800\"],\t\"op\":{op},\"token\":1}} \r");
        let raw = text.trim();
        let unknown = ClientMessage::Unknown { op: OpCode(op), raw: json(raw) };
        assert_eq!((client(&text).as_ref(), unknown.op()), (Ok(&unknown), OpCode(op)));
        let unknown = ServerMessage::Unknown { op: OpCode(op), raw: json(raw) };
        assert_eq!((server(&text).as_ref(), unknown.op()), (Ok(&unknown), OpCode(op)));
        assert_eq!(OpCode(op).name(), None);
        let message = decode(text.as_bytes(), Role::Client, &config()).unwrap();
        assert_eq!(encoded(&message, Role::Client, &config()), raw);
    }
}

#[test]
fn e3_messages_and_times_are_kept_byte_for_byte() {
    for value in DELICATE {
        let spaced = |op: u8, key: &str| format!(" {{ \"{key}\"\t: {value}\n, \r\"op\" :\n{op} }}");
        for (role, op, key) in [
            (Role::Server, 3, "message"),
            (Role::Client, 10, "time"),
            (Role::Server, 10, "time"),
            (Role::Client, 11, "time"),
            (Role::Server, 11, "time"),
        ] {
            let text = format!(r#"{{"op":{op},"{key}":{value}}}"#);
            let message = decode(text.as_bytes(), role, &config()).unwrap();
            assert_eq!(message.message.or(message.time), Some(value));
            assert_eq!(encoded(&message, role, &config()), text);
            assert_eq!(decode(spaced(op, key).as_bytes(), role, &config()), Ok(message));
        }
    }
}

#[test]
fn e3_strings_are_written_as_serde_json_does() {
    let mut texts: Vec<String> = (0..=0x2FF).filter_map(char::from_u32).map(String::from).collect();
    texts.extend(
        ["\u{2028}\u{2029}", "\u{feff}", "🎲", "a\"b\\c/d", "\u{7f}\u{80}", ""].map(String::from),
    );
    for special in ['"', '\\', '\0', '\n', '\u{1f}', ' ', '\u{7f}', 'é', '\u{80}'] {
        for before in 0..20 {
            texts.push(format!("{}{special}{}", "x".repeat(before), "é".repeat(20 - before)));
        }
    }
    for text in texts {
        let written = serde_json::to_string(&text).unwrap();
        for (role, op, key) in [(Role::Client, 1, "token"), (Role::Server, 2, "user")] {
            let message = Message { op, text: Some(text.as_str().into()), ..Message::default() };
            let expected = format!(r#"{{"op":{op},"{key}":{written}}}"#);
            assert_eq!(encoded(&message, role, &config()), expected);
            assert_eq!(decode(expected.as_bytes(), role, &config()), Ok(message));
        }
    }
}

#[test]
fn e4_a_message_over_the_limit_is_not_looked_at() {
    for (role, message, text) in every_kind() {
        let len = text.len();
        let exact = config().max_message(len);
        assert_eq!(decode(text.as_bytes(), role, &exact), Ok(message.clone()));
        assert_eq!(encoded(&message, role, &exact), text);

        let limit = len - 1;
        let below = config().max_message(limit);
        let kind = DecodeErrorKind::MessageTooLarge { len, limit };
        let offset = limit as u64;
        assert_eq!(decode(text.as_bytes(), role, &below), Err(DecodeError { kind, offset }));
        let too_large = EncodeError::MessageTooLarge { len, limit };
        encodes_as(&Err(too_large), EncodeError::BufferFull, |mut dst| {
            encode(&message, role, &below, &mut dst)
        });
    }
    // Escapes count as they are written.
    let token = Secret::new(Cow::Borrowed("\"\0"));
    let len = r#"{"op":1,"token":"\"\u0000"}"#.len();
    let result =
        ClientMessage::Identify { token }.encode(&config().max_message(len - 1), &mut vec![]);
    assert_eq!(result, Err(EncodeError::MessageTooLarge { len, limit: len - 1 }));

    assert_eq!(config().max_message, 1 << 20);
    let none = config().max_message(0);
    let kind = DecodeErrorKind::MessageTooLarge { len: 1, limit: 0 };
    assert_eq!(ClientMessage::decode(b"\xff", &none), Err(DecodeError { kind, offset: 0 }));
    let not_json = DecodeError { kind: DecodeErrorKind::NotJson, offset: 0 };
    assert_eq!(ClientMessage::decode(b"", &none), Err(not_json));
}

#[test]
fn e4_not_utf8() {
    let start = r#"{"op":1,"token":"é"#.as_bytes();
    for wrong in [&b"\xff"[..], b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]
    {
        // Wherever it stands: in what is looked at, in what isn't, and after what is no JSON.
        for start in [start, b"", b"{\"op\":10}", b"{x", b"{\"op\":10,\"s\":\""] {
            let bytes = [start, wrong, b"\"}"].concat();
            let error = DecodeError { kind: DecodeErrorKind::NotUtf8, offset: start.len() as u64 };
            assert_eq!(ClientMessage::decode(&bytes, &config()), Err(error));
            assert_eq!(ServerMessage::decode(&bytes, &config()), Err(error));
        }
    }
}

#[test]
fn e4_every_message_cut_off_or_changed_anywhere_is_what_the_model_says() {
    let others = [
        r#"{"\u006fp":10 , "time" : "\ud83c\udfb2" }"#,
        r#"{"op":2,"user":"é","message":[1.5e-3,true,null]}"#,
        r#"{"op":1,"token":"x","user":"y","x":-0}"#,
    ];
    let kinds = every_kind();
    for text in kinds.iter().map(|(_, _, text)| *text).chain(others) {
        for role in ROLES {
            let same = |bytes: &[u8]| {
                let expected = model::decode(bytes, role, &config());
                let shown = String::from_utf8_lossy(bytes);
                assert_eq!(decode(bytes, role, &config()), expected, "{shown}");
            };
            for at in 0..text.len() {
                same(&text.as_bytes()[..at]);
                for byte in *b"\0\t \"\\,:{}[]0e-\xff" {
                    let (before, after) = text.as_bytes().split_at(at);
                    same(&[before, &[byte], after].concat());
                    same(&[before, &[byte], &after[1..]].concat());
                }
            }
        }
    }
}

#[test]
fn e4_json_that_is_no_object() {
    for text in
        ["¦[]", " ¦[{\"op\":10}] ", "¦null", "\n¦\"{}\"", "¦2", "¦-0.0e-0", "¦true", "¦\"\\ud800\""]
    {
        refused(text, DecodeErrorKind::NotAnObject);
    }
}

#[test]
fn e4_a_megabyte_of_brackets_costs_nothing() {
    for (text, offset) in [
        ("[".repeat(1 << 20), 128),
        ("{\"a\":".repeat((1 << 20) / 5), 5 * 128),
        (format!("{{\"op\":10,\"time\":{}", "[".repeat((1 << 20) - 16)), 16 + 127),
    ] {
        let used = measure(|| {
            let error = DecodeError { kind: DecodeErrorKind::TooDeep, offset };
            assert_eq!(client(&text), Err(error));
            assert_eq!(server(&text), Err(error));
        });
        assert_eq!(used.count_total, 0);
    }
}

#[test]
fn e5_the_range_of_an_interval() {
    for millis in [0, 1, 100, 45_000, u64::from(u32::MAX) + 1, (1 << 53) - 1, 1 << 53] {
        let text = format!(r#"{{"op":0,"heartbeat_interval":{millis}}}"#);
        let hello = ServerMessage::Hello { heartbeat_interval: millis };
        assert_eq!(server(&text).as_ref(), Ok(&hello));
        let mut dst = Vec::new();
        hello.encode(&config(), &mut dst).unwrap();
        assert_eq!(dst, text.as_bytes());
    }
    for interval in [
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "1e300",
        "1e1",
        "1.0",
        "-1",
        "-0",
        "null",
        "\"1\"",
        "[]",
        "false",
    ] {
        let marked = format!(r#"{{"heartbeat_interval": ¦{interval} ,"op":0}}"#);
        let kind = invalid("heartbeat_interval", "an integer from 0 to 2^53");
        let (text, error) = marked_error(&marked, kind);
        assert_eq!(server(&text), Err(error), "{text}");
    }
    for millis in [(1 << 53) + 1, u64::MAX] {
        let hello = ServerMessage::Hello { heartbeat_interval: millis };
        let too_long = EncodeError::IntervalTooLong(millis);
        encodes_as(&Err(too_long), EncodeError::BufferFull, |mut dst| {
            hello.encode(&config(), &mut dst)
        });
    }
}

#[test]
fn the_borrowed_path_allocates_nothing_per_message() {
    let long = format!("[{}\"\"]", "{\"id\":\"123456789012345678\",\"x\":[1.0,null]},".repeat(100));
    assert!(long.len() > 4096);
    let from_client = [
        r#"{"op":1,"token":"helloworld"}"#.to_owned(),
        r#"{"op":10}"#.to_owned(),
        r#"{"op":10,"time":1579523400000}"#.to_owned(),
        r#"{"op":11,"time":1579523400000,"s":null}"#.to_owned(),
        format!(r#"{{"op":10,"time":{long}}}"#),
        r#"{"op":7,"d":{}}"#.to_owned(),
    ];
    let from_server = [
        r#"{"op":0,"heartbeat_interval":45000}"#.to_owned(),
        r#"{"op":2,"user":"ada"}"#.to_owned(),
        r#"{"op":1,"user":"ada"}"#.to_owned(),
        r#"{"op":10,"time":1579523400000}"#.to_owned(),
        r#"{"op":11}"#.to_owned(),
        format!(r#"{{"message":{long},"op":2}}"#),
        format!(r#"{{"op":3,"message":{long}}}"#),
    ];
    let config = config();
    let mut dst = Vec::with_capacity(8192);
    for text in &from_client {
        let used = measure(|| {
            let message = ClientMessage::decode(text.as_bytes(), &config).unwrap();
            dst.clear();
            message.encode(&config, &mut dst).unwrap();
        });
        assert_eq!(used.count_total, 0, "{text}");
        assert!(dst.starts_with(b"{\"op\":"));
    }
    for text in &from_server {
        let used = measure(|| {
            let message = ServerMessage::decode(text.as_bytes(), &config).unwrap();
            dst.clear();
            message.encode(&config, &mut dst).unwrap();
        });
        assert_eq!(used.count_total, 0, "{text}");
        assert!(dst.starts_with(b"{\"op\":"));
    }
}

#[test]
fn what_is_refused_allocates_nothing_either() {
    let marked = format!(r#"{{"op":3,"user":1,"message":[{}¦]}}"#, "\"x\",".repeat(1000));
    let (text, error) = marked_error(&marked, DecodeErrorKind::NotJson);
    let used = measure(|| assert_eq!((client(&text), server(&text)), (Err(error), Err(error))));
    assert_eq!(used.count_total, 0);
    let text = format!(r#"{{"user":"{}","op":0}}"#, "\\n".repeat(1000));
    let used = measure(|| assert!(client(&text).is_err() && server(&text).is_err()));
    assert_eq!(used.count_total, 0);
}

#[test]
fn reading_and_writing_are_linear() {
    let quotes = |n: usize| format!(r#"{{"op":1,"token":"{}"}}"#, r#"\""#.repeat(125_000 * n));
    let brackets =
        |n: usize| format!(r#"{{"op":10,"time":[{}1]}}"#, "[[{\"a\":{}}],1],".repeat(15_000 * n));
    let keys = |n: usize| format!(r#"{{{}"op":10}}"#, r#""\u0074ime_":1,"#.repeat(15_000 * n));
    let config = config().max_message(1 << 24);
    for [once, four] in [[1, 4].map(quotes), [1, 4].map(brackets), [1, 4].map(keys)] {
        let mut dst = Vec::with_capacity(1 << 24);
        work_is_linear(
            |times| {
                let text = if times == 1 { &once } else { &four };
                let message = ClientMessage::from_json(text, &config).unwrap();
                dst.clear();
                message.encode(&config, &mut dst).unwrap();
            },
            1,
        );
    }
}

/// JSON of any kind, spaced oddly; rarely none.
fn any_json() -> impl Strategy<Value = String> {
    let made = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| {
        let json = made_json(&mut Input(&bytes));
        if is_value(&json, 127) { json } else { "[1.0, null]".to_owned() }
    });
    prop_oneof![
        8 => made,
        4 => prop::sample::select(&DELICATE[..]).prop_map(String::from),
        1 => "[ -~]{0,8}",
    ]
}

/// An object with keys that are mostly those of the protocol, and values that mostly fit.
fn any_text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec!["0", "1", "2", "2", "3", "10", "11", "12"]);
    let op = prop_oneof![8 => known.prop_map(String::from), 1 => any_json()];
    let interval = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), any_json()];
    let string = || {
        let string = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
        prop_oneof![4 => string, 1 => any_json()]
    };
    let entry = prop_oneof![
        1 => interval.prop_map(|json| ("heartbeat_interval", json)),
        2 => string().prop_map(|json| ("token", json)),
        3 => string().prop_map(|json| ("user", json)),
        3 => any_json().prop_map(|json| ("message", json)),
        3 => any_json().prop_map(|json| ("time", json)),
        1 => any_json().prop_map(|json| ("s", json)),
        1 => any_json().prop_map(|json| ("\\u0074ime", json)),
    ];
    (op, prop::collection::vec(entry, 0..5), any::<prop::sample::Index>()).prop_map(
        |(op, mut entries, at)| {
            entries.insert(at.index(entries.len() + 1), ("op", op));
            let entries: Vec<_> =
                entries.into_iter().map(|(key, json)| format!("\"{key}\":{json}")).collect();
            format!("{{{}}}", entries.join(","))
        },
    )
}

/// Messages, some of which somebody has tampered with.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"0",
        b"-",
        b"\\u00",
        b"\n",
        b"\x1f",
        b"\"op\":",
        b"\"time\":1,",
        b"null",
        b"\xff",
        b"",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..4_usize, token);
    let edits = prop_oneof![Just(0), 0..4_usize];
    (any_text(), edits, prop::collection::vec(edit, 4)).prop_map(|(text, edits, all)| {
        let mut bytes = text.into_bytes();
        for (at, removed, token) in all.into_iter().take(edits) {
            let at = at.index(bytes.len() + 1);
            let end = bytes.len().min(at + removed);
            bytes.splice(at..end, token.iter().copied());
        }
        bytes
    })
}

fn any_config() -> impl Strategy<Value = CodecConfig> {
    let limit = prop_oneof![8 => Just(1 << 20), 1 => 0..200_usize];
    limit.prop_map(|limit| config().max_message(limit))
}

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn same<T: PartialEq + Debug>(left: T, right: T) -> Result<(), TestCaseError> {
    prop_assert_eq!(left, right);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn verdicts_and_values_are_those_of_the_model(
        bytes in any_bytes(), role in any_role(), config in any_config(),
    ) {
        same(decode(&bytes, role, &config), model::decode(&bytes, role, &config))?;
    }

    #[test]
    fn what_decodes_encodes_to_the_same_message(bytes in any_bytes(), role in any_role()) {
        if let Ok(message) = decode(&bytes, role, &config()) {
            let text = encoded(&message, role, &config());
            prop_assert!(text.len() <= bytes.len());
            same(Ok(&text), model::encode(&message, role, &config()).as_ref())?;
            same(decode(text.as_bytes(), role, &config()), Ok(message))?;
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_message(
        text in any::<String>(), value in any_json(), millis in any::<u64>(),
        op in prop::sample::select(vec![0, 1, 2, 3, 10, 11_u8]), config in any_config(),
    ) {
        let none = Message { op, ..Message::default() };
        let (text, value) = (Some(Cow::from(text)), value.trim());
        let value = if is_value(value, 127) { value } else { "null" };
        let (role, message) = match op {
            0 => (Role::Server, Message { heartbeat_interval: Some(millis >> 10), ..none }),
            1 => (Role::Client, Message { text, ..none }),
            2 => (Role::Server, Message { text, ..none }),
            3 => (Role::Server, Message { message: Some(value), ..none }),
            _ => (Role::Client, Message { time: (millis % 4 > 0).then_some(value), ..none }),
        };
        let expected = model::encode(&message, role, &config);
        encodes_as(&expected, EncodeError::BufferFull, |mut dst| {
            encode(&message, role, &config, &mut dst)
        });
        if let Ok(text) = expected {
            same(decode(text.as_bytes(), role, &config), Ok(message))?;
        }
    }
}

#[test]
fn e4_the_limit_counts_for_text_as_well() {
    for (server, text) in [
        (true, r#"{"op":0,"heartbeat_interval":1}"#),
        (true, r#"{"op":2,"user":"ada"}"#),
        (true, r#"{"op":3,"message":1}"#),
        (true, r#"{"op":10,"time":1}"#),
        (true, r#"{"op":11,"time":1}"#),
        (false, r#"{"op":1,"token":"x"}"#),
        (false, r#"{"op":10,"time":1}"#),
        (false, r#"{"op":11}"#),
    ] {
        let (len, limit) = (text.len(), text.len() - 1);
        let config = CodecConfig::default().max_message(limit);
        let error = if server {
            ServerMessage::from_json(text, &config).err()
        } else {
            ClientMessage::from_json(text, &config).err()
        };
        let kind = DecodeErrorKind::MessageTooLarge { len, limit };
        assert_eq!(error, Some(DecodeError { kind, offset: limit as u64 }), "{text}");
    }
}
