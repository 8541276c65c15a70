//! Messages and their JSON: what the vectors can't say.

use std::borrow::Cow;
use std::fmt::Debug;

use litecord_proto::{
    ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Directions, EncodeError, Json,
    JsonRef, OpCode, Role, Secret, ServerMessage,
};
use proptest::prelude::*;
use serde_json::Value;
use testkit::conformance::{encodes_as, work_is_linear};
use testkit::fuzz::json::{DELICATE, nested};
use testkit::litecord::{decode, encode};
use testkit::measure;
use testkit::model::litecord::{self as model, Message};

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
    let what = || Some(Cow::Borrowed("ANYTHING"));
    let (args, nonce, result) = (Some("[]"), Some("1"), Some(r#"["x"]"#));
    let none = Message::default;
    let mut all = vec![
        (
            Role::Server,
            Message { heartbeat_interval: Some(10_000), ..none() },
            r#"{"op":0,"hb_interval":10000}"#,
        ),
        (
            Role::Client,
            Message { op: 1, text: Some("helloworld".into()), ..none() },
            r#"{"op":1,"password":"helloworld"}"#,
        ),
        (Role::Client, Message { op: 2, ..none() }, r#"{"op":2}"#),
        (Role::Server, Message { op: 3, ..none() }, r#"{"op":3}"#),
    ];
    for role in ROLES {
        let raw = r#"{"d":null,"op":7}"#;
        all.extend([
            (
                role,
                Message { op: 4, text: what(), args, nonce, ..none() },
                r#"{"op":4,"w":"ANYTHING","a":[],"n":1}"#,
            ),
            (role, Message { op: 5, nonce, result, ..none() }, r#"{"op":5,"n":1,"r":["x"]}"#),
            (
                role,
                Message { op: 6, text: what(), args, ..none() },
                r#"{"op":6,"w":"ANYTHING","a":[]}"#,
            ),
            (role, Message { op: 7, raw: Some(raw), ..none() }, raw),
        ]);
    }
    all
}

#[test]
fn l1_every_op_from_each_side_in_both_settings() {
    for directions in [Directions::Both, Directions::AsDocumented] {
        let config = config().directions(directions);
        for op in 0..=u8::MAX {
            // All that any message needs.
            let text = format!(
                r#"{{"op":{op},"hb_interval":1,"password":"p","w":"w","a":[],"n":1,"r":2}}"#
            );
            let senders: &[Role] = match (op, directions) {
                (0 | 3, _) | (5, Directions::AsDocumented) => &[Role::Server],
                (1 | 2, _) | (4 | 6, Directions::AsDocumented) => &[Role::Client],
                _ => &ROLES,
            };
            for sender in ROLES {
                let may = senders.contains(&sender);
                assert_eq!(OpCode(op).may_be_sent_by(sender, directions), may);
                let got = decode(text.as_bytes(), sender, &config).map(|message| message.op);
                let kind = DecodeErrorKind::WrongDirection(OpCode(op));
                let expected = if may { Ok(op) } else { Err(DecodeError { kind, offset: 6 }) };
                assert_eq!(got, expected, "{sender:?}, {directions:?}");
            }
        }
    }
    assert_eq!(CodecConfig::default().directions, Directions::Both);
}

#[test]
fn l1_the_wrong_side_encodes_nothing() {
    let config = config().directions(Directions::AsDocumented);
    let mut dst = b"before".to_vec();
    let (what, args) = (Cow::Borrowed("x"), json("[]"));
    let wrong = |op| Err(EncodeError::WrongDirection(op));
    let request = ServerMessage::Request { what: what.clone(), args, nonce: json("1") };
    assert_eq!(request.encode(&config, &mut dst), wrong(OpCode::REQUEST));
    let dispatch = ServerMessage::Dispatch { what, args };
    assert_eq!(dispatch.encode(&config, &mut dst), wrong(OpCode::DISPATCH));
    let response = ClientMessage::Response { nonce: json("1"), result: JsonRef::NULL };
    assert_eq!(response.encode(&config, &mut dst), wrong(OpCode::RESPONSE));
    // Nor what isn't unknown at all.
    let raw = json(r#"{"op":1,"password":"x"}"#);
    let hello_ack = ServerMessage::Unknown { op: OpCode::HELLO_ACK, raw };
    assert_eq!(hello_ack.encode(&config, &mut dst), wrong(OpCode::HELLO_ACK));
    assert_eq!(dst, b"before");
}

#[test]
fn l2_every_kind_is_written_compactly_with_op_first() {
    for (role, message, text) in every_kind() {
        assert_eq!(encoded(&message, role, &config()), text);
        assert_eq!(decode(text.as_bytes(), role, &config()), Ok(message));
    }
}

#[test]
fn l2_keys_in_any_order() {
    // Every order of four keys.
    let parts = [r#""op":4"#, r#""w":"x""#, r#""a":[{"op":1}]"#, r#""n":{"op":5}"#];
    let expected = client(r#"{"op":4,"w":"x","a":[{"op":1}],"n":{"op":5}}"#).unwrap();
    for order in 0..256 {
        let order = [order >> 6 & 3, order >> 4 & 3, order >> 2 & 3, order & 3];
        if (0..4).all(|part| order.contains(&part)) {
            let text = format!("{{{}}}", order.map(|part| parts[part]).join(","));
            assert_eq!(client(&text).as_ref(), Ok(&expected), "{text}");
        }
    }
}

#[test]
fn l2_op_counts_only_in_the_message_itself() {
    for text in [
        r#"{"r":{"op":9},"op":5,"n":1}"#,
        r#"{"op":5,"r":{"op":9},"n":1}"#,
        r#"{"op":5,"n":1,"r":{"op":9}}"#,
        r#"{"n":1,"r":{"op":9},"op":5}"#,
    ] {
        let expected = ServerMessage::Response { nonce: json("1"), result: json(r#"{"op":9}"#) };
        assert_eq!(server(text), Ok(expected), "{text}");
    }
    refused(
        r#"{"r":{"op":5,"n":1,"r":1},"a":[{"op":2}],"s":"\"op\":2"¦}"#,
        DecodeErrorKind::MissingKey("op"),
    );
}

#[test]
fn l2_op_is_an_integer_from_0_to_255() {
    for op in [
        "4.0",
        "\"4\"",
        "-1",
        "-0",
        "256",
        "null",
        "1e1",
        "18446744073709551620",
        "[4]",
        "{\"op\":4}",
        "true",
        "4e0",
        "\"\"",
    ] {
        let kind = invalid("op", "an integer from 0 to 255");
        refused(&format!(r#"{{"w":"x","a":[],"op": ¦{op} ,"n":1}}"#), kind);
    }
    for op in ["04", "+4", "0x4", "4.", ".4", "4_0", "4e", "--4", "- 4", "٤"] {
        let text = format!(r#"{{"op":{op}}}"#);
        assert_eq!(client(&text).unwrap_err().kind, DecodeErrorKind::NotJson, "{text}");
    }
    refused(r#"{"w":"x","a":[],"n":1¦}"#, DecodeErrorKind::MissingKey("op"));
    refused("{¦}\r\n ", DecodeErrorKind::MissingKey("op"));
}

#[test]
fn l2_a_known_key_twice_is_refused_however_it_is_written() {
    for key in ["op", "hb_interval", "password", "w", "a", "n", "r"] {
        // Every way to write any of its letters as an escape.
        for escaped in 0..1_u32 << key.len() {
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
    let text = r#"{"s":1,"op":6,"s":2,"w":"x","a":{"op":1,"op":2,"w":1,"w":2}}"#;
    assert_eq!(client(text).unwrap().op(), OpCode::DISPATCH);
}

#[test]
fn l2_a_key_may_be_written_with_escapes_and_is_only_itself() {
    let text = r#"{"\u006F\u0070":1,"p\u0061ssword":"x"}"#;
    let expected = ClientMessage::HelloAck { password: Secret::new("x".into()) };
    assert_eq!(client(text), Ok(expected));
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
    ] {
        let text = format!(r#"{{"{key}":9,"op":2,"{key}":8}}"#);
        assert_eq!(client(&text), Ok(ClientMessage::Heartbeat), "{text}");
    }
}

#[test]
fn l2_unknown_keys_are_ignored_but_must_be_json() {
    for value in ["null", "1", "{}", r#"{"op":3}"#, r#"["\ud800"]"#, "1e999"] {
        for text in [format!(r#"{{"op":2,"s":{value}}}"#), format!(r#"{{"s":{value},"op":2}}"#)] {
            assert_eq!(client(&text), Ok(ClientMessage::Heartbeat), "{text}");
        }
    }
    for value in ["n¦il", "1¦x", "0¦1", r#""\¦q""#, "[1,¦]", "{¦1:1}", "¦'1'", "¦"] {
        refused(&format!(r#"{{"op":2,"s":{value}}}"#), DecodeErrorKind::NotJson);
    }
}

#[test]
fn l2_white_space_is_json_s_and_stands_anywhere_between() {
    let tokens =
        ["{", "\"op\"", ":", "6", ",", "\"w\"", ":", "\"x\"", ",", "\"a\"", ":", "[]", "}"];
    let compact = tokens.concat();
    let expected = client(&compact).unwrap();
    for space in [" ", "\n", "\r", "\t", "\r\n \t  "] {
        for at in 0..=tokens.len() {
            let text = [&tokens[..at], &[space], &tokens[at..]].concat().concat();
            assert_eq!(client(&text).as_ref(), Ok(&expected), "{text:?}");
        }
        let text = format!("{space}{}{space}", tokens.join(space));
        assert_eq!(client(&text).as_ref(), Ok(&expected), "{text:?}");
    }
    for space in [
        "\0", "\u{b}", "\u{c}", "\u{1f}", "\u{7f}", "\u{85}", "\u{a0}", "\u{2028}", "\u{feff}",
        "/**/",
    ] {
        for at in 0..=tokens.len() {
            let marked = [&tokens[..at], &["¦", space], &tokens[at..]].concat().concat();
            refused(&marked, DecodeErrorKind::NotJson);
        }
    }
}

#[test]
fn l2_128_levels_are_read_and_129_are_not_wherever_they_stand() {
    let before = [
        r#"{"op":6,"w":"x","a":"#,
        r#"{"op":2,"op_":"#,
        r#"{"op":9,"d":"#,
        r#"{"op":5,"n":1,"r":"#,
        r#"{"op":5,"r":1,"n":"#,
        // What is needed comes later, or never.
        r#"{"a":"#,
        r#"{"op":300,"password":"#,
    ];
    for before in before {
        for mixed in [false, true] {
            let (open, close) = nested(127, mixed);
            let text = format!("{before}{open}1{close}}}");
            let got = client(&text).map(|_| ());
            assert!(
                !got.is_err_and(|e| matches!(
                    e.kind,
                    DecodeErrorKind::TooDeep | DecodeErrorKind::NotJson
                )),
                "{text}"
            );
            // Twice as much side by side is no deeper.
            let wide = format!(
                "{before}[{0},{0}]}}",
                format!("{}1{}", &nested(126, mixed).0, &nested(126, mixed).1)
            );
            assert!(!client(&wide).is_err_and(|e| e.kind == DecodeErrorKind::TooDeep), "{wide}");
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
    // In strings they are no brackets.
    let text = format!(r#"{{"op":6,"w":"{0}\"{0}\\","a":[]}}"#, "[{".repeat(1000));
    assert!(client(&text).is_ok());
}

#[test]
fn l2_a_json_value_of_ours_fits_into_a_message() {
    for mixed in [false, true] {
        let (open, close) = nested(127, mixed);
        let text = format!("{open}1{close}");
        let args = json(&text);
        let dispatch = ClientMessage::Dispatch { what: "x".into(), args };
        let mut dst = Vec::new();
        dispatch.encode(&config(), &mut dst).unwrap();
        assert_eq!(ClientMessage::decode(&dst, &config()), Ok(dispatch));

        let (open, close) = nested(128, mixed);
        let error = JsonRef::new(&format!("{open}{close}")).unwrap_err();
        assert_eq!(Some(error.offset()), open.rfind(['[', '{']));
        assert!(error.to_string().contains("nested deeper"), "{error}");
    }
    let mut value = Value::Null;
    for levels in 1..=128 {
        value = Value::Array(vec![value]);
        assert_eq!(Json::of(&value).is_ok(), levels < 128);
    }
}

#[test]
fn l2_strings_are_whole_characters() {
    for (op, key) in [(1, "password"), (4, "w"), (6, "w")] {
        let head = format!(r#"{{"a":[],"n":1,"op":{op},"{key}":"#);
        for value in ["1", "null", "[\"x\"]", "{}", "true"] {
            let (text, error) =
                marked_error(&format!("{head}¦{value}}}"), invalid(key, "a string"));
            assert_eq!(client(&text), Err(error), "{text}");
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
            assert_eq!(client(&text), Err(error), "{text}");
        }
        let text = format!(r#"{head}"\ud83c\udfb2\/\u0000"}}"#);
        let message = decode(text.as_bytes(), Role::Client, &config()).unwrap();
        assert_eq!(message.text.as_deref(), Some("🎲/\0"));
    }
}

#[test]
fn l2_strings_without_escapes_are_borrowed() {
    let text = r#"{"op":6,"w":"plain","a":[]}"#;
    let Ok(ClientMessage::Dispatch { what: Cow::Borrowed(what), args }) = client(text) else {
        panic!("it isn't")
    };
    assert!(text.as_bytes().as_ptr_range().contains(&what.as_ptr()));
    assert!(text.as_bytes().as_ptr_range().contains(&args.get().as_ptr()));
    let text = r#"{"op":6,"w":"\u0070lain","a":[]}"#;
    assert!(matches!(client(text), Ok(ClientMessage::Dispatch { what: Cow::Owned(_), .. })));
}

#[test]
fn l2_what_is_missing_is_told_in_the_order_of_the_example() {
    let missing = DecodeErrorKind::MissingKey;
    for (marked, kind) in [
        (r#"{"op":4¦}"#, missing("w")),
        (r#"{"op":4,"w":¦1}"#, invalid("w", "a string")),
        (r#"{"op":4,"w":"x"¦}"#, missing("a")),
        (r#"{"op":4,"w":"x","a":1¦}"#, missing("n")),
        (r#"{"op":4,"w":"x","n":1¦}"#, missing("a")),
        (r#"{"op":5¦}"#, missing("n")),
        (r#"{"op":5,"n":null¦}"#, missing("r")),
        (r#"{"op":6,"a":[] ¦} "#, missing("w")),
        (r#"{"op":6,"w":"x","n":1¦}"#, missing("a")),
    ] {
        refused(marked, kind);
    }
    let (text, error) = marked_error(r#"{"op":1¦}"#, missing("password"));
    assert_eq!(client(&text), Err(error));
    let (text, error) = marked_error(r#"{"op":0¦}"#, missing("hb_interval"));
    assert_eq!(server(&text), Err(error));
}

#[test]
fn l2_debug_never_shows_a_password() {
    for text in [r#"{"op":1,"password":"s3cret"}"#, r#"{"op":1,"password":"s3\u0063ret"}"#] {
        let shown = format!("{:?}", client(text).unwrap());
        assert!(shown.contains("redacted") && !shown.contains("cret"), "{shown}");
    }
    let error = client(r#"{"op":1,"password":"s3cret\ud800"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("cret"));
}

#[test]
fn l3_every_unknown_op_is_handed_over_as_it_is() {
    for op in 7..=255 {
        let text = format!("\n {{ \"d\" : [1.0, \"\\ud800\"],\t\"op\":{op},\"w\":1}} \r");
        let raw = text.trim();
        assert_eq!(
            client(&text).unwrap(),
            ClientMessage::Unknown { op: OpCode(op), raw: json(raw) }
        );
        assert_eq!(
            server(&text).unwrap(),
            ServerMessage::Unknown { op: OpCode(op), raw: json(raw) }
        );
        assert_eq!(client(&text).unwrap().op(), OpCode(op));
        assert_eq!(OpCode(op).name(), None);
        let message = decode(text.as_bytes(), Role::Client, &config()).unwrap();
        assert_eq!(encoded(&message, Role::Client, &config()), raw);
    }
    let names =
        ["HELLO", "HELLO_ACK", "HEARTBEAT", "HEARTBEAT_ACK", "REQUEST", "RESPONSE", "DISPATCH"];
    for (op, name) in (0..).map(OpCode).zip(names) {
        assert_eq!((op.name(), &*op.to_string(), &*format!("{op:?}")), (Some(name), name, name));
    }
    assert_eq!(
        (OpCode(7).to_string(), format!("{:?}", OpCode(7))),
        ("op 7".into(), "OpCode(7)".into())
    );
}

#[test]
fn l4_any_arguments_are_decoded_and_only_arrays_encoded() {
    for args in ["{}", "null", "1.0", "\"[]\"", "true", "{ \"a\" : [] }"] {
        let request = format!(r#"{{"op":4,"w":"x","a": {args} ,"n":1}}"#);
        let dispatch = format!(r#"{{"a":{args},"op":6,"w":"x"}}"#);
        let (request, dispatch) = (client(&request).unwrap(), server(&dispatch).unwrap());
        let ClientMessage::Request { args: got, .. } = request else { panic!("{request:?}") };
        assert_eq!((got.get(), got.is_array()), (args, false));
        let mut dst = b"before".to_vec();
        assert_eq!(request.encode(&config(), &mut dst), Err(EncodeError::ArgsNotAnArray));
        assert_eq!(dispatch.encode(&config(), &mut dst), Err(EncodeError::ArgsNotAnArray));
        assert_eq!(dst, b"before");
    }
    let message = client(r#"{"op":6,"w":"x","a":[ "GUILD", [1, 2] ]}"#).unwrap();
    let ClientMessage::Dispatch { args, .. } = message else { panic!("{message:?}") };
    assert!(args.is_array());
    assert_eq!(args.parse::<(&str, [u8; 2])>(), Ok(("GUILD", [1, 2])));
    let error = args.parse::<(&str, bool)>().unwrap_err();
    assert!((10..=11).contains(&error.offset()), "{error}");
}

#[test]
fn l5_nonces_and_results_are_kept_byte_for_byte() {
    for nonce in DELICATE {
        for result in DELICATE {
            let text = format!(r#"{{"op":5,"n":{nonce},"r":{result}}}"#);
            let (nonce, result) = (json(nonce), json(result));
            let message = ServerMessage::Response { nonce, result };
            assert_eq!(server(&text).as_ref(), Ok(&message));
            let mut dst = Vec::new();
            message.encode(&config(), &mut dst).unwrap();
            assert_eq!(dst, text.as_bytes());
            let spaced = format!(" {{ \"r\"\t: {result}\n, \"op\":5,\r\"n\" :\n{nonce} }}");
            assert_eq!(server(&spaced), Ok(message));
        }
        let text = format!(r#"{{"op":4,"w":"x","a":[{nonce}],"n":{nonce}}}"#);
        let message = decode(text.as_bytes(), Role::Client, &config()).unwrap();
        assert_eq!(message.args.unwrap(), format!("[{nonce}]"));
        assert_eq!(message.nonce, Some(nonce));
        assert_eq!(encoded(&message, Role::Client, &config()), text);
    }
    assert_ne!(json("1"), json("\"1\""));
}

#[test]
fn l5_json_values_are_handed_on_as_they_are() {
    for text in DELICATE {
        let json = json(text);
        assert_eq!(json.get(), text);
        assert_eq!(JsonRef::new(&format!("\t{text}\r\n ")).unwrap(), json);
        let owned = json.to_owned();
        assert_eq!((owned.get(), owned.as_ref(), &Json::from(json)), (text, json, &owned));
        assert_eq!(
            format!("{json} {json:?} {owned} {owned:?}"),
            format!("{text} {text} {text} {text}")
        );
        assert_eq!(serde_json::to_string(&(json, &owned)).unwrap(), format!("[{text},{text}]"));
    }
    assert_eq!(JsonRef::NULL.get(), "null");
    for (marked, kind) in
        [("¦", "not JSON"), ("1 ¦2", "not JSON"), ("{\"a\":¦}", "not JSON"), (" tru¦", "not JSON")]
    {
        let (text, expected) = marked_error(marked, DecodeErrorKind::NotJson);
        let error = JsonRef::new(&text).unwrap_err();
        assert_eq!(
            (error.offset() as u64, error.to_string().starts_with(kind)),
            (expected.offset, true)
        );
    }
    assert_eq!(Json::of(&("a", [1.0])).unwrap().get(), r#"["a",[1.0]]"#);
    assert!(Json::of(&std::collections::HashMap::from([((1, 2), 3)])).is_err());
}

#[test]
fn l6_a_message_over_the_limit_is_not_looked_at() {
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
        let mut dst = b"before".to_vec();
        let result = encode(&message, role, &below, &mut dst);
        assert_eq!(result, Err(EncodeError::MessageTooLarge { len, limit }));
        assert_eq!(dst, b"before");
    }
    // Escapes count as they are written.
    let password = Secret::new(Cow::Borrowed("\"\0"));
    let len = r#"{"op":1,"password":"\"\u0000"}"#.len();
    let result =
        ClientMessage::HelloAck { password }.encode(&config().max_message(len - 1), &mut vec![]);
    assert_eq!(result, Err(EncodeError::MessageTooLarge { len, limit: len - 1 }));

    assert_eq!(config().max_message, 1 << 20);
    let none = config().max_message(0);
    let kind = DecodeErrorKind::MessageTooLarge { len: 1, limit: 0 };
    assert_eq!(ClientMessage::decode(b"\xff", &none), Err(DecodeError { kind, offset: 0 }));
    let not_json = DecodeError { kind: DecodeErrorKind::NotJson, offset: 0 };
    assert_eq!(ClientMessage::decode(b"", &none), Err(not_json));
}

#[test]
fn l6_not_utf8() {
    let start = r#"{"op":6,"w":"é"#.as_bytes();
    for wrong in [&b"\xff"[..], b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]
    {
        // Wherever it stands: in what is looked at, in what isn't, and after what is no JSON.
        for start in [start, b"", b"{\"op\":2}", b"{x", b"{\"op\":2,\"s\":\""] {
            let bytes = [start, wrong, b"\",\"a\":[]}"].concat();
            let error = DecodeError { kind: DecodeErrorKind::NotUtf8, offset: start.len() as u64 };
            assert_eq!(ClientMessage::decode(&bytes, &config()), Err(error));
            assert_eq!(ServerMessage::decode(&bytes, &config()), Err(error));
        }
    }
}

#[test]
fn l6_not_json() {
    for marked in [
        "¦",
        " \t\r\n¦",
        "¦x",
        "¦}",
        "¦,",
        "¦\u{feff}{\"op\":2}",
        "{¦",
        "{\"op\":2¦",
        "{\"op\":2,¦}",
        "{\"op\":2}¦}",
        "{\"op\":2} ¦{\"op\":2}",
        "{\"op\":2}\n¦null",
        "{\"op\"¦=2}",
        "{\"op\":2¦;}",
        "{\"op\":¦}",
        "{\"op\"¦}",
        "{\"op¦",
        "{¦'op':2}",
        "{¦[]:2}",
        "{¦null:2}",
        "{\"a\":[1 ¦2]}",
        "{\"a\":[1¦}}",
        "{\"a\":{\"b\":1¦]}",
        "{\"a\":[¦",
        "{\"a\":[[],¦",
        "{\"a\":[¦,1]}",
        "{\"a\":[1,¦,1]}",
        "{\"a\":{¦,}}",
        "{\"a\":{\"b\"¦,}}",
        "{\"a\":{\"b\":1,¦1}}",
        "{\"a\":1.¦}",
        "{\"a\":1.¦e1}",
        "{\"a\":1e¦}",
        "{\"a\":1e+¦}",
        "{\"a\":1e-¦x}",
        "{\"a\":-¦}",
        "{\"a\":-¦a}",
        "{\"a\":0¦1}",
        "{\"a\":-0¦1}",
        "{\"a\":0¦x1}",
        "{\"a\":1¦_0}",
        "{\"a\":¦Infinity}",
        "{\"a\":-¦Infinity}",
        "{\"a\":¦+1}",
        "{\"a\":nu¦}",
        "{\"a\":nul¦xl}",
        "{\"a\":t¦True}",
        "{\"a\":fals¦y}",
        "{\"a\":true¦false}",
        "[1,¦",
        "\"¦",
        "tru¦",
        "12¦a",
    ] {
        refused(marked, DecodeErrorKind::NotJson);
    }
}

#[test]
fn l6_escapes_and_control_characters_in_strings() {
    let places = [r#"{"op":2,"s":"#, r#"{"op":6,"a":[],"w":"#, r#"{"a":[{"x":"#, r#"{"d":{"#, "{"];
    for place in places {
        for control in 0..0x20_u8 {
            // Eight bytes are looked at at a time: each place in them, and none.
            for before in 0..17 {
                let string = format!("\"{}¦{}x\"", "é".repeat(before), char::from(control));
                refused(&format!("{place}{string}"), DecodeErrorKind::NotJson);
            }
        }
        for escape in 0..=255_u8 {
            let is_one = b"\"\\/bfnrtu".contains(&escape);
            if !is_one {
                let string = format!("\"x\\¦{}0000\"", char::from(escape));
                refused(&format!("{place}{string}"), DecodeErrorKind::NotJson);
            }
            if !escape.is_ascii_hexdigit() && escape != b'"' {
                for digits in ["", "0", "0f", "0fA"] {
                    let string = format!("\"\\u{digits}¦{}000\"", char::from(escape));
                    refused(&format!("{place}{string}"), DecodeErrorKind::NotJson);
                }
            }
        }
        for digits in ["", "0", "0f", "0fA"] {
            refused(&format!("{place}\"\\u{digits}¦\":1}}"), DecodeErrorKind::NotJson);
            refused(&format!("{place}\"\\u{digits}¦"), DecodeErrorKind::NotJson);
        }
    }
    let fine = r#"{"op":2,"s":"\"\\\/\b\f\n\r\t\u0000\uFFFF\ud800","\ud800":"","\u007f":""}"#;
    assert_eq!(client(fine), Ok(ClientMessage::Heartbeat));
    assert_eq!(
        client("{\"op\":2,\"s\":\"\u{7f}\u{80}\u{2028}\u{feff}\u{10ffff}\"}"),
        Ok(ClientMessage::Heartbeat)
    );
}

#[test]
fn l6_every_byte_at_every_place_of_a_string_and_of_a_number() {
    for before in 0..20 {
        for byte in 0..=0x7F_u8 {
            let odd = char::from(byte);
            let string = format!("{}{odd}{}", "é".repeat(before / 2), "x".repeat(before));
            let number = format!("{}{odd}{}", "1".repeat(before), "2".repeat(before % 9));
            for text in [
                format!(r#"{{"op":2,"s":"{string}"}}"#),
                format!(r#"{{"op":2,"{string}":1}}"#),
                format!(r#"{{"op":2,"s":{number}}}"#),
                format!(r#"{{"op":7,"s":[-{number}]}}"#),
                format!(r#"{{"op":6,"a":{{"x":0.{number}}},"w":"{string}"}}"#),
                format!(r#"{{"op":6,"a":1e{number},"w":""}}"#),
            ] {
                let expected = model::decode(text.as_bytes(), Role::Client, &config());
                assert_eq!(decode(text.as_bytes(), Role::Client, &config()), expected, "{text:?}");
            }
        }
    }
}

#[test]
fn l6_json_that_is_no_object() {
    for text in [
        "¦[]",
        " ¦[{\"op\":2}] ",
        "¦null",
        "\n¦\"{}\"",
        "¦2",
        "¦-0.0e-0",
        "¦true",
        "¦false",
        "¦\"\\ud800\"",
    ] {
        refused(text, DecodeErrorKind::NotAnObject);
    }
}

#[test]
fn l6_a_megabyte_of_brackets_costs_nothing() {
    for (text, offset) in [
        ("[".repeat(1 << 20), 128),
        ("{\"a\":".repeat((1 << 20) / 5), 5 * 128),
        (format!("{{\"op\":2,\"s\":{}", "[".repeat((1 << 20) - 12)), 12 + 127),
    ] {
        let used = measure(|| {
            let error = DecodeError { kind: DecodeErrorKind::TooDeep, offset };
            assert_eq!(client(&text), Err(error));
            assert_eq!(server(&text), Err(error));
        });
        assert_eq!(used.count_total, 0);
    }
    let many = format!("{{\"s\":[{}[]]{}", "[],".repeat(300_000), "}".repeat(9));
    let error = DecodeError { kind: DecodeErrorKind::NotJson, offset: 6 + 900_000 + 3 + 1 };
    let used = measure(|| assert_eq!(client(&many), Err(error)));
    assert_eq!(used.count_total, 0);
}

#[test]
fn l7_the_range_of_an_interval() {
    for millis in [0, 1, 100, 10_000, u64::from(u32::MAX) + 1, (1 << 53) - 1, 1 << 53] {
        let text = format!(r#"{{"op":0,"hb_interval":{millis}}}"#);
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
        let marked = format!(r#"{{"hb_interval": ¦{interval} ,"op":0}}"#);
        let kind = invalid("hb_interval", "an integer from 0 to 2^53");
        let (text, error) = marked_error(&marked, kind);
        assert_eq!(server(&text), Err(error), "{text}");
    }
    for millis in [(1 << 53) + 1, u64::MAX] {
        let mut dst = b"before".to_vec();
        let hello = ServerMessage::Hello { heartbeat_interval: millis };
        let result = hello.encode(&config(), &mut dst);
        assert_eq!((result, &dst[..]), (Err(EncodeError::IntervalTooLong(millis)), &b"before"[..]));
    }
}

#[test]
fn l2_strings_are_written_as_serde_json_does() {
    let mut texts: Vec<String> = (0..=0x2FF).filter_map(char::from_u32).map(String::from).collect();
    texts.extend(
        ["\u{2028}\u{2029}", "\u{feff}", "🎲", "a\"b\\c/d", "\u{7f}\u{80}", ""].map(String::from),
    );
    // At each place among the eight bytes that are looked at at a time.
    for special in ['"', '\\', '\0', '\n', '\u{1f}', ' ', '\u{7f}', 'é', '\u{80}'] {
        for before in 0..20 {
            texts.push(format!("{}{special}{}", "x".repeat(before), "é".repeat(20 - before)));
        }
    }
    for text in texts {
        let password = Message { op: 1, text: Some(text.as_str().into()), ..Message::default() };
        let written = serde_json::to_string(&text).unwrap();
        let expected = format!(r#"{{"op":1,"password":{written}}}"#);
        assert_eq!(encoded(&password, Role::Client, &config()), expected);
        assert_eq!(decode(expected.as_bytes(), Role::Client, &config()), Ok(password));
        let (args, nonce) = (Some("[ ]"), Some("null"));
        let request = Message { op: 4, text: Some(text.into()), args, nonce, ..Message::default() };
        let expected = format!(r#"{{"op":4,"w":{written},"a":[ ],"n":null}}"#);
        assert_eq!(encoded(&request, Role::Server, &config()), expected);
    }
}

#[test]
fn the_borrowed_path_allocates_nothing_per_message() {
    let long = format!("[{}\"\"]", "{\"id\":\"123456789012345678\",\"x\":[1.0,null]},".repeat(100));
    assert!(long.len() > 4096);
    let from_client = [
        r#"{"op":2}"#.to_owned(),
        r#"{"op":2,"s":null}"#.to_owned(),
        r#"{"op":1,"password":"helloworld"}"#.to_owned(),
        r#"{"op":4,"w":"GUILD_SUBSCRIBERS","a":[42],"n":1}"#.to_owned(),
        r#"{"op":6,"w":"DISPATCH","a":[1,2,3]}"#.to_owned(),
        format!(r#"{{"op":5,"n":1,"r":{long}}}"#),
        r#"{"op":7,"d":{}}"#.to_owned(),
    ];
    let from_server = [
        r#"{"op":3}"#.to_owned(),
        r#"{"op":0,"hb_interval":10000}"#.to_owned(),
        r#"{"op":4,"w":"x","a":[],"n":null}"#.to_owned(),
        format!(r#"{{"r":{long},"op":5,"n":1}}"#),
        format!(r#"{{"op":6,"w":"x","a":{long}}}"#),
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
    let text = format!(r#"{{"op":6,"w":{},"a":[{}]¦"#, "1", "\"x\",".repeat(1000));
    let marked = text.replace(",]", ",¦]").replacen("]¦", "]", 1);
    let (text, error) = marked_error(&marked, DecodeErrorKind::NotJson);
    let used = measure(|| assert_eq!(client(&text), Err(error)));
    assert_eq!(used.count_total, 0);
}

#[test]
fn reading_is_linear() {
    let quotes = format!(r#"{{"op":2,"s":"{}"}}"#, r#"\""#.repeat(500_000));
    let brackets = format!(r#"{{"op":2,"s":[{}1]}}"#, "[[{\"a\":{}}],1],".repeat(60_000));
    let keys = format!(r#"{{{}"op":2}}"#, r#""\u0061b":1,"#.repeat(70_000));
    let config = config().max_message(1 << 24);
    for mut text in [quotes, brackets, keys] {
        text.push_str(&" ".repeat((4 - text.len() % 4) % 4));
        work_is_linear(
            |quarters| {
                // Cut off, it is read up to there.
                let text = &text[..text.len() / 4 * quarters];
                let result = ClientMessage::from_json(text, &config).map(|message| message.op());
                assert!(result.is_ok() || quarters == 1);
            },
            1,
        );
    }
}

/// JSON of any kind, spaced oddly.
fn any_json() -> impl Strategy<Value = String> {
    let space = || prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r ")];
    let string = prop_oneof![
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"([a-z\u{7f}é🎲/]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,12}\"",
    ];
    let number = "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?";
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false"), Just("[]"), Just("{}")]
            .prop_map(String::from),
        string.clone(),
        number,
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(a, json, b)| format!("{a}{json}{b}"));
        let known = prop::sample::select(vec!["\"op\"", "\"n\"", "\"w\""]).prop_map(String::from);
        let key = prop_oneof![2 => string.clone(), 1 => known];
        let entry = (space(), key, space(), spaced.clone())
            .prop_map(|(a, key, b, json)| format!("{a}{key}{b}:{json}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..4).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(entry, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

/// An object with keys that are mostly those of the protocol, and values that mostly fit.
fn any_text() -> impl Strategy<Value = String> {
    let op = prop_oneof![8 => (0..9_u16).prop_map(|op| op.to_string()), 1 => any_json()];
    let interval = prop_oneof![any::<u64>().prop_map(|n| n.to_string()), any_json()];
    let string = || prop_oneof![4 => any::<String>().prop_map(|t| serde_json::to_string(&t).unwrap()), 1 => any_json()];
    let entry = prop_oneof![
        1 => interval.prop_map(|json| ("hb_interval", json)),
        1 => string().prop_map(|json| ("password", json)),
        3 => string().prop_map(|json| ("w", json)),
        3 => any_json().prop_map(|json| ("a", json)),
        3 => any_json().prop_map(|json| ("n", json)),
        2 => any_json().prop_map(|json| ("r", json)),
        1 => any_json().prop_map(|json| ("s", json)),
        1 => any_json().prop_map(|json| ("\\u0077", json)),
    ];
    (op, prop::collection::vec(entry, 0..6), any::<prop::sample::Index>()).prop_map(
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
        b"[",
        b"]",
        b"\"",
        b"\\",
        b",",
        b":",
        b"0",
        b"-",
        b".",
        b"e",
        b"\\u00",
        b"\n",
        b" ",
        b"\x1f",
        b"\"op\":",
        b"\"n\":1,",
        b"null",
        b"\xff",
        b"",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..4_usize, token);
    let text = prop_oneof![4 => any_text(), 1 => any_json()];
    (text, prop_oneof![Just(0), 0..4_usize], prop::collection::vec(edit, 4)).prop_map(
        |(text, edits, all)| {
            let mut bytes = text.into_bytes();
            for (at, removed, token) in all.into_iter().take(edits) {
                let at = at.index(bytes.len() + 1);
                let end = bytes.len().min(at + removed);
                bytes.splice(at..end, token.iter().copied());
            }
            bytes
        },
    )
}

fn any_config() -> impl Strategy<Value = CodecConfig> {
    let limit = prop_oneof![8 => Just(1 << 20), 1 => 0..200_usize];
    (any::<bool>(), limit).prop_map(|(both, limit)| {
        let directions = if both { Directions::Both } else { Directions::AsDocumented };
        config().directions(directions).max_message(limit)
    })
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
    fn json_values_are_those_of_the_model(bytes in any_bytes()) {
        if let Ok(text) = str::from_utf8(&bytes) {
            let got = JsonRef::new(text);
            same(got.map(JsonRef::get).map_err(|e| e.offset()), testkit::model::json::value(text, 127))?;
        }
    }

    #[test]
    fn what_decodes_encodes_to_the_same_message(bytes in any_bytes(), role in any_role()) {
        if let Ok(message) = decode(&bytes, role, &config()) {
            let expected = model::encode(&message, role, &config());
            if expected == Err(EncodeError::ArgsNotAnArray) {
                return Ok(());
            }
            let text = encoded(&message, role, &config());
            same(Ok(&text), expected.as_ref())?;
            same(decode(text.as_bytes(), role, &config()), Ok(message))?;
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_message(
        what in any::<String>(), value in any_json(), op in prop_oneof![Just(1), 4..7_u8],
        result in prop::sample::select(&DELICATE[..]), config in any_config(),
    ) {
        let args = format!("[{value}]");
        let (text, args) = (Some(Cow::from(what)), Some(&args[..]));
        let (nonce, result) = (Some(&value[..]), Some(result));
        let none = Message::default();
        let message = match op {
            1 => Message { op, text, ..none },
            4 => Message { op, text, args, nonce, ..none },
            5 => Message { op, nonce, result, ..none },
            _ => Message { op, text, args, ..none },
        };
        let mut dst = b"before".to_vec();
        let got = encode(&message, Role::Client, &config, &mut dst);
        let expected = model::encode(&message, Role::Client, &config);
        same(got, expected.as_ref().map(|_| ()).map_err(|e| *e))?;
        same(&dst[6..], expected.as_deref().unwrap_or_default().as_bytes())?;
        if got.is_ok() {
            same(decode(&dst[6..], Role::Client, &config), Ok(message))?;
        }
    }
}

#[test]
fn l6_the_limit_counts_for_text_as_well() {
    for (server, text) in [
        (true, r#"{"op":0,"heartbeat_interval":1000}"#),
        (true, r#"{"op":3}"#),
        (true, r#"{"op":4,"w":"X","a":[]}"#),
        (false, r#"{"op":1,"password":"x"}"#),
        (false, r#"{"op":2}"#),
        (false, r#"{"op":4,"w":"X","a":[],"n":1}"#),
    ] {
        let (len, limit) = (text.len(), text.len() - 1);
        let config = config().max_message(limit);
        let error = if server {
            ServerMessage::from_json(text, &config).err()
        } else {
            ClientMessage::from_json(text, &config).err()
        };
        let kind = DecodeErrorKind::MessageTooLarge { len, limit };
        assert_eq!(error, Some(DecodeError { kind, offset: limit as u64 }), "{text}");
    }
}
