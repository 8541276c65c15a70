//! Messages and their JSON: what the vectors can't say.

use std::borrow::Cow;
use std::fmt::Debug;
use std::slice;

use proptest::prelude::*;
use roomvars_proto::{
    Batch, BatchWriter, ClientMessage, CloseCode, CodecConfig, DecodeError, DecodeErrorKind,
    Dialect, EncodeError, ServerMessage, Value, ValueRef, Variables,
};
use testkit::conformance::work_is_linear;
use testkit::fuzz::json::nested;
use testkit::measure;
use testkit::model::roomvars::{self as model, Message, Sender};
use testkit::roomvars::{decode, encode};

const DIALECTS: [Dialect; 3] = [Dialect::Documented, Dialect::Deployed2020, Dialect::Scratch];
const SENDERS: [Sender; 2] = [Sender::Client, Sender::Server];

fn of(dialect: Dialect) -> CodecConfig {
    CodecConfig::default().dialect(dialect)
}

/// The keys of the documented dialect, and those of another.
fn keys(dialect: Dialect) -> Vec<(&'static str, &'static str)> {
    let shared = [("kind", "kind"), ("username", "username"), ("variables", "variables")];
    let mut keys = match dialect {
        Dialect::Documented => vec![("room", "room"), ("variable", "variable")],
        Dialect::Deployed2020 => vec![("room", "id"), ("variable", "var")],
        Dialect::Scratch => vec![
            ("kind", "method"),
            ("room", "project_id"),
            ("username", "user"),
            ("variable", "name"),
            ("new_name", "new_name"),
        ],
    };
    keys.push(("value", "value"));
    if dialect != Dialect::Scratch {
        keys.extend(shared);
    }
    keys
}

/// What the dialect calls a key of the documented one.
fn key(name: &str, dialect: Dialect) -> &'static str {
    keys(dialect).into_iter().find(|(documented, _)| *documented == name).unwrap().1
}

/// A text with keys of the documented dialect in angle brackets, in another's words.
fn speak(text: &str, dialect: Dialect) -> String {
    let quoted = |text: String, (name, theirs): (&str, &str)| {
        text.replace(&format!("<{name}>"), &format!("\"{theirs}\""))
    };
    keys(dialect).into_iter().fold(text.to_owned(), quoted)
}

/// What `sender` says with a text; the same whether it comes as text or as bytes.
fn read(text: &str, sender: Sender, dialect: Dialect) -> (Vec<Message>, Option<DecodeError>) {
    let config = of(dialect);
    let got = decode(text.as_bytes(), sender, &config);
    match sender {
        Sender::Client => {
            let message = ClientMessage::from_json(text, &config).map(Message::from);
            assert_eq!(message.as_ref().err(), got.1.as_ref());
            assert_eq!(message.as_ref().ok(), got.0.first());
        }
        Sender::Server => {
            let all: Vec<_> = Batch::new(text, &config).collect();
            assert_eq!(all.last().and_then(|last| last.clone().err()), got.1);
            let good = all.into_iter().filter_map(Result::ok).map(Message::from);
            assert_eq!(good.collect::<Vec<_>>(), got.0);
        }
    }
    got
}

/// The one thing that `sender` says with a text.
fn one(text: &str, sender: Sender, dialect: Dialect) -> Result<Message, DecodeError> {
    match read(text, sender, dialect) {
        (mut messages, None) if messages.len() == 1 => Ok(messages.remove(0)),
        (messages, Some(error)) if messages.is_empty() => Err(error),
        other => panic!("{text}: {other:?}"),
    }
}

/// What is wrong with a message of either side; `¦` marks where.
fn refused(marked: &str, dialect: Dialect, kind: DecodeErrorKind) {
    let (text, expected) = marked_error(marked, kind);
    for sender in SENDERS {
        assert_eq!(one(&text, sender, dialect), Err(expected), "{text}, {sender:?}, {dialect:?}");
    }
}

fn marked_error(marked: &str, kind: DecodeErrorKind) -> (String, DecodeError) {
    let offset = marked.find('¦').unwrap();
    (marked.replacen('¦', "", 1), DecodeError { kind, offset: offset as u64 })
}

fn invalid(key: &'static str, expected: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::InvalidValue { key, expected }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn number(number: &str) -> Value {
    Value::Number(number.into())
}

fn set(variable: &str, value: &str) -> Message {
    Message::Set(variable.into(), text(value))
}

/// Encodes in every kind of buffer, and gives the text.
fn encoded(messages: &[Message], sender: Sender, config: &CodecConfig) -> String {
    let all_fine = |results: Vec<Result<(), EncodeError>>| results.into_iter().all(|r| r.is_ok());
    let mut dst = b"before".to_vec();
    assert!(all_fine(encode(messages, sender, config, &mut dst)), "{messages:?}");
    let text = String::from_utf8(dst).unwrap().strip_prefix("before").unwrap().to_owned();

    let mut exact = vec![0; text.len()];
    assert!(all_fine(encode(messages, sender, config, &mut &mut exact[..])));
    assert_eq!(exact, text.as_bytes());
    if messages.len() == 1 {
        let mut small = vec![0; text.len() - 1];
        let results = encode(messages, sender, config, &mut &mut small[..]);
        assert_eq!(results, [Err(EncodeError::BufferFull)]);
        assert!(small.iter().all(|byte| *byte == 0));
    }
    text
}

/// Why a message can't be encoded; nothing is written.
fn not_encoded(message: &Message, sender: Sender, config: &CodecConfig) -> EncodeError {
    let mut dst = b"before".to_vec();
    let results = encode(slice::from_ref(message), sender, config, &mut dst);
    assert_eq!(dst, b"before");
    let [Err(error)] = results[..] else { panic!("{message:?}: {results:?}") };
    error
}

/// What a set of `x` to `1` consists of.
const TOKENS: [&str; 13] = [
    "{",
    "<kind>",
    ":",
    "\"set\"",
    ",",
    "<variable>",
    ":",
    "\"x\"",
    ",",
    "<value>",
    ":",
    "\"1\"",
    "}",
];

/// A message of each kind for each side that may send it in each dialect, with its text.
fn every_kind() -> Vec<(Dialect, Sender, Message, String)> {
    let mut all = vec![];
    for dialect in DIALECTS {
        let scratch = dialect == Dialect::Scratch;
        let (mut variables, mut written) = (vec![], "");
        if !scratch {
            variables = vec![("☁ score".into(), "0".into()), ("turn".into(), "ada".into())];
            written = r#",<variables>:{"☁ score":"0","turn":"ada"}"#;
        }
        let room = text("lobby");
        let handshake = Message::Handshake { room, username: "ada".into(), variables };
        let handshake_text =
            format!(r#"{{<kind>:"handshake",<room>:"lobby",<username>:"ada"{written}}}"#);
        all.push((dialect, Sender::Client, handshake, speak(&handshake_text, dialect)));
        for sender in SENDERS {
            let raw = speak(r#"{"x":null,<kind>:"news"}"#, dialect);
            let mut kinds = vec![
                (set("☁ score", "10"), r#"{<kind>:"set",<variable>:"☁ score",<value>:"10"}"#),
                (Message::Unknown("news".into(), raw.clone()), &raw),
            ];
            if scratch {
                kinds.extend([
                    (
                        Message::Set("x".into(), number("1.0")),
                        r#"{<kind>:"set",<variable>:"x",<value>:1.0}"#,
                    ),
                    (
                        Message::Create("x".into(), text("1")),
                        r#"{<kind>:"create",<variable>:"x",<value>:"1"}"#,
                    ),
                    (
                        Message::Create("x".into(), number("-0")),
                        r#"{<kind>:"create",<variable>:"x",<value>:-0}"#,
                    ),
                    (
                        Message::Rename("x".into(), "y".into()),
                        r#"{<kind>:"rename",<variable>:"x",<new_name>:"y"}"#,
                    ),
                    (Message::Delete("x".into()), r#"{<kind>:"delete",<variable>:"x"}"#),
                ]);
            }
            all.extend(
                kinds.into_iter().map(|(m, text)| (dialect, sender, m, speak(text, dialect))),
            );
        }
    }
    all
}

/// Every order of these.
fn orders(parts: &[&str]) -> Vec<String> {
    let Some((first, rest)) = parts.split_first() else { return vec![String::new()] };
    let mut all = vec![];
    for order in orders(rest) {
        let others: Vec<&str> = order.split_terminator('|').collect();
        for at in 0..=others.len() {
            let mut with = others.clone();
            with.insert(at, first);
            all.push(with.join("|") + "|");
        }
    }
    all
}

#[test]
fn r1_a_batch_is_its_objects_in_order_whatever_is_between_the_lines() {
    for dialect in DIALECTS {
        for count in 0..6 {
            let expected: Vec<_> = (0..count).map(|n| set("x", &n.to_string())).collect();
            let line = |n: i32| {
                speak(&format!(r#"{{<kind>:"set",<variable>:"x",<value>:"{n}"}}"#), dialect)
            };
            let lines: Vec<String> = (0..count).map(line).collect();
            for between in ["\n", "\r\n", "\n\n", " \n\t", "\n \r\n\n"] {
                let joined = lines.join(between);
                for around in ["", "\n", "\r\n", " ", "\n\n\n"] {
                    let text = format!("{around}{joined}{around}");
                    assert_eq!(
                        read(&text, Sender::Server, dialect),
                        (expected.clone(), None),
                        "{text:?}"
                    );
                }
            }
            assert_eq!(encoded(&expected, Sender::Server, &of(dialect)), lines.join("\n"));
        }
    }
}

#[test]
fn r1_what_is_before_a_bad_object_comes_first_and_nothing_after_it() {
    let missing = |name, dialect| DecodeErrorKind::MissingKey(key(name, dialect));
    for dialect in DIALECTS {
        let good = speak(r#"{<kind>:"set",<variable>:"x",<value>:"1"}"#, dialect);
        for (bad, kind) in [
            ("{¦x", DecodeErrorKind::NotJson),
            ("{<kind>:\"set\",<variable>:\"x\",<value>:\"1¦", DecodeErrorKind::NotJson),
            ("¦[]", DecodeErrorKind::NotAnObject),
            ("{}¦{}", DecodeErrorKind::TrailingData),
            ("{¦}", missing("kind", dialect)),
            ("{<kind>:\"set\",<value>:\"1\"¦}", missing("variable", dialect)),
            ("{<value>:1,¦<value>:1}", DecodeErrorKind::DuplicateKey("value")),
            (
                "{<kind>:\"set\",<variable>:\"x\",<value>:¦[]}",
                invalid(
                    "value",
                    match dialect {
                        Dialect::Scratch => "a string or a number",
                        _ => "a string",
                    },
                ),
            ),
        ] {
            for at in 0..5 {
                for line_break in ["\n", "\r\n"] {
                    let mut lines = vec![good.clone(); 5];
                    lines[at] = speak(bad, dialect);
                    let (text, error) = marked_error(&lines.join(line_break), kind);
                    let expected = (vec![set("x", "1"); at], Some(error));
                    // Cut off behind its line, too.
                    let end = lines[..=at].join(line_break).replace('¦', "").len();
                    for text in [&text[..], &text[..end]] {
                        let got = read(text, Sender::Server, dialect);
                        assert_eq!(got, expected, "{text}");
                    }
                }
            }
        }
    }
}

#[test]
fn r1_an_iterator_stays_at_its_end() {
    let config = CodecConfig::default();
    let good = r#"{"kind":"news"}"#;
    for (text, objects) in [("", 0), ("\n\n", 0), (good, 1), (&format!("{good}\nx\n{good}"), 2)] {
        let mut batch = Batch::new(text, &config);
        assert_eq!(batch.offset(), 0);
        assert_eq!(batch.by_ref().count(), objects);
        assert!((0..3).all(|_| batch.next().is_none()), "{text}");
    }
    let invalid = [good.as_bytes(), b"\nx\n\xff"].concat();
    let mut batch = Batch::decode(&invalid, &config);
    assert!(batch.next().is_some_and(|object| object.is_ok()));
    let error = batch.next().unwrap().unwrap_err();
    assert_eq!((error.kind, error.offset), (DecodeErrorKind::NotJson, 16));
    assert!((0..3).all(|_| batch.next().is_none()));
}

#[test]
fn r1_a_batch_tells_how_much_of_it_is_read() {
    let config = CodecConfig::default();
    let lines = [
        r#"{"kind":"set","variable":"x","value":"1"}"#,
        r#"{"kind":"news"}"#,
        r#"{"kind":"set","variable":"☁","value":"1"}"#,
    ];
    let text = lines.join("\n");
    let mut batch = Batch::new(&text, &config);
    let mut end = 0;
    for line in lines {
        // The line break before it included, whatever the one before was.
        assert_eq!(batch.offset(), end);
        assert!(batch.next().unwrap().is_ok());
        end += line.len() + 1;
    }
    assert_eq!(batch.offset(), text.len());
}

#[test]
fn r1_a_client_says_one_object_and_nothing_after_it_but_white_space() {
    for dialect in DIALECTS {
        let usual = speak(r#"{<kind>:"set",<variable>:"x",<value>:"1"}"#, dialect);
        let spaced = speak(r#"{<kind>: "set",<variable>:"x",<value>:"1"}"#, dialect);
        for object in [usual, spaced] {
            for byte in 0..=0x7F_u8 {
                let text = format!("{object}{}", char::from(byte));
                let got = one(&text, Sender::Client, dialect);
                if b" \t\r\n".contains(&byte) {
                    assert_eq!(got, Ok(set("x", "1")), "{text:?}");
                } else {
                    let offset = object.len() as u64;
                    let kind = DecodeErrorKind::TrailingData;
                    assert_eq!(got, Err(DecodeError { kind, offset }), "{text:?}");
                }
            }
            for between in ["", "\n", "\r\n", " "] {
                let (text, error) = marked_error(
                    &format!("{object}{between}¦{object}"),
                    DecodeErrorKind::TrailingData,
                );
                assert_eq!(one(&text, Sender::Client, dialect), Err(error), "{text}");
            }
        }
        for marked in ["¦", " \t\r\n¦"] {
            let (text, error) = marked_error(marked, DecodeErrorKind::NotJson);
            assert_eq!(one(&text, Sender::Client, dialect), Err(error));
        }
    }
}

#[test]
fn r1_only_a_line_break_parts_objects() {
    for dialect in DIALECTS {
        let object = speak(r#"{<kind>:"set",<variable>:"x",<value>:"1"}"#, dialect);
        for c in (0..=0x7F).map(char::from).chain(['\u{85}', '\u{2028}', '\u{a0}']) {
            let text = format!("{object}{c}{object}");
            let got = read(&text, Sender::Server, dialect);
            if c == '\n' {
                assert_eq!(got, (vec![set("x", "1"); 2], None));
            } else {
                let space = usize::from(" \t\r".contains(c));
                let offset = (object.len() + space) as u64;
                let error = DecodeError { kind: DecodeErrorKind::TrailingData, offset };
                assert_eq!(got, (vec![], Some(error)), "{text:?}");
            }
        }
    }
}

#[test]
fn r1_an_object_is_on_one_line_and_an_escaped_line_break_is_data() {
    for dialect in DIALECTS {
        for at in 1..TOKENS.len() {
            let marked =
                speak(&[&TOKENS[..at], &["¦\n"], &TOKENS[at..]].concat().concat(), dialect);
            let (text, error) = marked_error(&marked, DecodeErrorKind::NotJson);
            assert_eq!(one(&text, Sender::Server, dialect), Err(error), "{text:?}");
            assert_eq!(one(&text, Sender::Client, dialect), Ok(set("x", "1")), "{text:?}");
        }
        let data = speak(r#"{<kind>:"set",<variable>:"a\nb",<value>:"\n\r\n"}"#, dialect);
        for sender in SENDERS {
            assert_eq!(one(&data, sender, dialect), Ok(set("a\nb", "\n\r\n")));
            assert_eq!(encoded(&[set("a\nb", "\n\r\n")], sender, &of(dialect)), data);
        }
        let raw = speak("{<kind>:\"set\",<variable>:\"a\",<value>:\"b¦\nc\"}", dialect);
        refused(&raw, dialect, DecodeErrorKind::NotJson);
    }
}

#[test]
fn r1_a_batch_that_becomes_too_long_stays_as_it_was() {
    for dialect in DIALECTS {
        let message = set("☁ score", "10");
        let line = encoded(slice::from_ref(&message), Sender::Server, &of(dialect));
        for (limit, fit) in [
            (line.len() - 1, 0),
            (line.len(), 1),
            (2 * line.len(), 1),
            (2 * line.len() + 1, 2),
            (3 * line.len() + 1, 2),
            (3 * line.len() + 2, 3),
        ] {
            let config = of(dialect).max_server_message(limit);
            let mut dst = b"before".to_vec();
            let results = encode(&vec![message.clone(); 5], Sender::Server, &config, &mut dst);
            assert_eq!(dst, format!("before{}", vec![&line[..]; fit].join("\n")).into_bytes());
            let len = line.len() + usize::from(fit > 0) * fit * (line.len() + 1);
            let error = EncodeError::MessageTooLarge { len, limit };
            let expected: Vec<_> =
                (0..5).map(|n| if n < fit { Ok(()) } else { Err(error) }).collect();
            assert_eq!(results, expected);
            assert_eq!(
                decode(&dst[6..], Sender::Server, &config),
                (vec![message.clone(); fit], None)
            );

            // A shorter one may still go into it.
            let mut dst = Vec::new();
            let small = ServerMessage::Unknown { kind: "".into(), raw: "{}" };
            let between = if fit > 0 { "\n" } else { "" };
            let text = vec![&line[..]; fit].join("\n") + between + "{}";
            let config = config.max_server_message(text.len());
            let mut writer = BatchWriter::new(&config, &mut dst);
            let long = testkit::roomvars::server_message(&message);
            assert_eq!((0..5).filter(|_| writer.push(&long).is_ok()).count(), fit);
            assert_eq!(writer.push(&small), Ok(()));
            assert_eq!(dst, text.as_bytes());
            assert_eq!(decode(&dst, Sender::Server, &config).0.len(), fit);
        }
    }
}

#[test]
fn r1_a_buffer_without_room_keeps_what_is_in_it() {
    let config = CodecConfig::default();
    let message = testkit::roomvars::server_message;
    let (first, second) = (set("x", "1"), set("y\n", "2"));
    let len = r#"{"kind":"set","variable":"x","value":"1"}"#.len();
    // The second has one byte more, and a line break before it.
    for room in 0..2 * len + 6 {
        let mut buffer = vec![0xAA; room];
        let mut dst = &mut buffer[..];
        let mut writer = BatchWriter::new(&config, &mut dst);
        let results = [writer.push(&message(&first)), writer.push(&message(&second))];
        let full = Err(EncodeError::BufferFull);
        let expected = match room {
            _ if room < len => [full, full],
            _ if room < 2 * len + 3 => [Ok(()), full],
            _ => [Ok(()), Ok(())],
        };
        assert_eq!(results, expected, "{room}");
        let written = [0, len, 2 * len + 3][results.iter().filter(|r| r.is_ok()).count()];
        assert!(buffer[written..].iter().all(|byte| *byte == 0xAA), "{room}");
    }
}

#[test]
fn r1_an_unknown_object_of_a_server_is_sent_on_one_line() {
    let raw = "{\"kind\":\n\"news\"}";
    let unknown = Message::Unknown("news".into(), raw.into());
    let config = CodecConfig::default();
    assert_eq!(not_encoded(&unknown, Sender::Server, &config), EncodeError::NotAnObject);
    assert_eq!(encoded(&[unknown], Sender::Client, &config), raw);
    for raw in
        ["", " {}", "{} ", "{}\r", "[]", "null", "\"{}\"", "{}{}", "{", "{}}", "{x}", "{\"a\":1,}"]
    {
        let unknown = Message::Unknown("news".into(), raw.into());
        for sender in SENDERS {
            assert_eq!(not_encoded(&unknown, sender, &config), EncodeError::NotAnObject, "{raw}");
        }
    }
    // As deep as may be read.
    for (levels, fine) in [(127, true), (128, false)] {
        let raw = format!("{{\"kind\":\"n\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        let unknown = Message::Unknown("n".into(), raw.clone());
        for sender in SENDERS {
            if fine {
                assert_eq!(encoded(slice::from_ref(&unknown), sender, &config), raw);
                assert_eq!(one(&raw, sender, Dialect::Documented).as_ref(), Ok(&unknown));
            } else {
                assert_eq!(not_encoded(&unknown, sender, &config), EncodeError::NotAnObject);
            }
        }
    }
}

#[test]
fn r2_keys_in_any_order() {
    for dialect in DIALECTS {
        let kinds: &[&[&str]] = match dialect {
            Dialect::Scratch => &[
                &["<kind>:\"handshake\"", "<room>:\"r\"", "<username>:\"u\"", "\"x\":[]"],
                &[
                    "<kind>:\"set\"",
                    "<variable>:\"x\"",
                    "<value>:1.0",
                    "<username>:\"u\"",
                    "<room>:1",
                ],
                &["<kind>:\"create\"", "<variable>:\"x\"", "<value>:\"1\""],
                &["<kind>:\"rename\"", "<variable>:\"x\"", "<new_name>:\"y\"", "\"x\":{}"],
                &["<kind>:\"delete\"", "<variable>:\"x\"", "<room>:\"r\""],
            ],
            _ => &[
                &[
                    "<kind>:\"handshake\"",
                    "<room>:\"r\"",
                    "<username>:\"u\"",
                    "<variables>:{\"kind\":\"1\"}",
                ],
                &["<kind>:\"set\"", "<variable>:\"x\"", "<value>:\"1\"", "\"x\":{\"kind\":\"y\"}"],
            ],
        };
        for parts in kinds {
            let whole = |order: &str| {
                speak(&format!("{{{}}}", order.trim_end_matches('|').replace('|', ",")), dialect)
            };
            let expected = one(&whole(&parts.join("|")), Sender::Client, dialect).unwrap();
            for order in orders(parts) {
                let text = whole(&order);
                assert_eq!(one(&text, Sender::Client, dialect).as_ref(), Ok(&expected), "{text}");
            }
        }
    }
}

#[test]
fn r2_a_known_key_twice_is_refused_however_it_is_written_and_whatever_the_kind() {
    for dialect in DIALECTS {
        for (_, key) in keys(dialect) {
            // Some ways to write its letters as escapes, and all if there are few.
            for escaped in 0..1_u32 << key.len().min(6) {
                let spelt: String = key
                    .char_indices()
                    .map(|(at, c)| match escaped >> (at % 6) & 1 {
                        0 => c.to_string(),
                        _ if at % 2 == 0 => format!("\\u{:04X}", u32::from(c)),
                        _ => format!("\\u{:04x}", u32::from(c)),
                    })
                    .collect();
                for marked in [
                    format!(r#"{{"{key}":null,"x":[], ¦"{spelt}":null}}"#),
                    format!(r#"{{"{spelt}":1,¦"{key}" : [ 2 ] x"#),
                    format!(r#"{{"{spelt}":"set",¦"{spelt}":"set"}}"#),
                ] {
                    refused(&marked, dialect, DecodeErrorKind::DuplicateKey(key));
                }
            }
        }
        // Unknown ones may, and nested ones are another's.
        let text =
            r#"{"s":1,<kind>:"set","s":2,<variable>:"x","n":{<kind>:1,<kind>:2},<value>:"1"}"#;
        assert_eq!(one(&speak(text, dialect), Sender::Server, dialect), Ok(set("x", "1")));
    }
}

#[test]
fn r2_a_key_may_be_written_with_escapes_and_is_only_itself() {
    for dialect in DIALECTS {
        let (kind, variable) = (key("kind", dialect), key("variable", dialect));
        let escapes = |key: &str| {
            let letters = key.chars().map(|c| format!("\\u{:04x}", u32::from(c)));
            letters.collect::<Vec<_>>().concat()
        };
        let text = format!(
            r#"{{"{}":"s\u0065t","{}":"x","valu\u0065":"1"}}"#,
            escapes(kind),
            escapes(variable),
        );
        for sender in SENDERS {
            assert_eq!(one(&text, sender, dialect), Ok(set("x", "1")), "{text}");
        }
        for odd in [
            format!("\\\\{kind}"),
            format!("{kind}\\u0000"),
            format!("\\ud800{kind}"),
            "\\uD83C\\uDFB2".into(),
            kind.to_uppercase(),
            kind[1..].into(),
            format!("{kind}{kind}"),
            format!(" {kind}"),
            format!("{kind} "),
            String::new(),
        ] {
            let text =
                format!(r#"{{"{odd}":1,<kind>:"set",<variable>:"x",<value>:"1","{odd}":[]}}"#);
            let text = speak(&text, dialect);
            assert_eq!(one(&text, Sender::Client, dialect), Ok(set("x", "1")), "{text}");
        }
    }
}

#[test]
fn r2_unknown_keys_are_ignored_but_must_be_json() {
    for dialect in DIALECTS {
        for value in ["null", "1", "{}", r#"{"kind":3}"#, r#"["\ud800"]"#, "1e999"] {
            for text in [
                r#"{<kind>:"set",<variable>:"x",<value>:"1","s":?}"#,
                r#"{"s":?,<kind>:"set",<variable>:"x",<value>:"1"}"#,
            ] {
                let text = speak(&text.replace('?', value), dialect);
                for sender in SENDERS {
                    assert_eq!(one(&text, sender, dialect), Ok(set("x", "1")), "{text}");
                }
            }
        }
        for value in ["n¦il", "1¦x", "0¦1", r#""\¦q""#, "[1,¦]", "{¦1:1}", "¦'1'", "¦"] {
            refused(
                &speak(&format!(r#"{{<kind>:"set","s":{value}}}"#), dialect),
                dialect,
                DecodeErrorKind::NotJson,
            );
        }
    }
}

#[test]
fn r2_white_space_is_json_s_and_stands_anywhere_on_a_line() {
    for dialect in DIALECTS {
        for space in [" ", "\r", "\t", " \r\t  "] {
            for at in 0..=TOKENS.len() {
                let text =
                    speak(&[&TOKENS[..at], &[space], &TOKENS[at..]].concat().concat(), dialect);
                for sender in SENDERS {
                    assert_eq!(one(&text, sender, dialect), Ok(set("x", "1")), "{text:?}");
                }
            }
        }
        for space in
            ["\0", "\u{b}", "\u{c}", "\u{1f}", "\u{7f}", "\u{85}", "\u{a0}", "\u{feff}", "//"]
        {
            for at in 0..TOKENS.len() {
                let marked = [&TOKENS[..at], &["¦", space], &TOKENS[at..]].concat().concat();
                refused(&speak(&marked, dialect), dialect, DecodeErrorKind::NotJson);
            }
        }
    }
}

#[test]
fn r2_names_and_values_are_whole_text() {
    let lone = [
        r"\ud800",
        r"\udfff",
        r"\udfb2\ud83c",
        r"x\ud83cx",
        r"\ud83c\u0041",
        r"\ud83c\ud83c\udfb2",
        r"\ud83c\n",
        r"\ud83c\\udfb2",
    ];
    let whole = "a string of whole characters";
    for dialect in DIALECTS {
        let scratch = dialect == Dialect::Scratch;
        let mut places = vec![
            ("kind", "{<kind>:?}", "a string"),
            ("variable", "{<kind>:\"set\",<value>:\"1\",<variable>:?}", "a string"),
            (
                "value",
                "{<kind>:\"set\",<variable>:\"x\",<value>:?}",
                if scratch { "a string or a number" } else { "a string" },
            ),
        ];
        if scratch {
            places.extend([
                ("variable", "{<kind>:\"rename\",<new_name>:1,<variable>:?}", "a string"),
                ("new_name", "{<kind>:\"rename\",<variable>:\"\",<new_name>:?}", "a string"),
                ("variable", "{<kind>:\"delete\",<variable>:?}", "a string"),
                ("variable", "{<kind>:\"create\",<variable>:?}", "a string"),
                ("value", "{<kind>:\"create\",<variable>:\"x\",<value>:?}", "a string or a number"),
            ]);
        }
        for (name, place, expected) in places {
            let key = key(name, dialect);
            let place = speak(place, dialect);
            for value in lone {
                refused(
                    &place.replace('?', &format!(" ¦\"{value}\"")),
                    dialect,
                    invalid(key, whole),
                );
            }
            for value in ["null", "[\"x\"]", "{}", "true"] {
                refused(&place.replace('?', &format!("¦{value}")), dialect, invalid(key, expected));
            }
            if expected == "a string" {
                refused(&place.replace('?', "¦1"), dialect, invalid(key, expected));
            }
            let fine = place.replace('?', r#""\ud83c\udfb2\/\u0000""#);
            let error = read(&fine, Sender::Client, dialect).1;
            assert!(
                error.is_none_or(
                    |e| !matches!(e.kind, DecodeErrorKind::InvalidValue { key: k, .. } if k == key)
                ),
                "{fine}"
            );
        }
    }
}

#[test]
fn r2_a_handshake_s_fields() {
    let whole = "a string of whole characters";
    let strings = "an object of strings";
    let whole_strings = "an object of strings of whole characters";
    for dialect in DIALECTS {
        let (room, username) = (key("room", dialect), key("username", dialect));
        let room_is =
            if dialect == Dialect::Scratch { "a string or an integer" } else { "a string" };
        let mut wrong = vec![
            ("¦null", "\"u\"", "{}", invalid(room, room_is)),
            ("¦1.5", "2", "{}", invalid(room, room_is)),
            ("¦\"\\ud800\"", "\"u\"", "{}", invalid(room, whole)),
            ("\"r\"", "¦2", "[]", invalid(username, "a string")),
            ("\"\"", "¦\"\\udc00\"", "[]", invalid(username, whole)),
        ];
        if dialect != Dialect::Scratch {
            wrong.extend([
                ("¦1", "\"u\"", "{}", invalid(room, "a string")),
                ("\"r\"", "\"u\"", "¦[]", invalid("variables", strings)),
                ("\"r\"", "\"u\"", "¦\"{}\"", invalid("variables", strings)),
                ("\"r\"", "\"u\"", "¦null", invalid("variables", strings)),
                ("\"r\"", "\"u\"", "{\"a\":¦1}", invalid("variables", strings)),
                (
                    "\"r\"",
                    "\"u\"",
                    "{\"a\":\"1\",\"b\" : ¦[\"1\"] }",
                    invalid("variables", strings),
                ),
                (
                    "\"r\"",
                    "\"u\"",
                    "{\"a\":¦{\"b\":1},\"\\ud800\":1}",
                    invalid("variables", strings),
                ),
                ("\"r\"", "\"u\"", "{\"a\":¦\"\\ud800\"}", invalid("variables", whole_strings)),
                (
                    "\"r\"",
                    "\"u\"",
                    "{\"a\":\"\", ¦\"\\ud800\":1}",
                    invalid("variables", whole_strings),
                ),
            ]);
        }
        for (room, username, variables, kind) in wrong {
            let rest = match dialect {
                Dialect::Scratch => String::new(),
                _ => format!(",<variables>:{variables}"),
            };
            let object =
                format!("{{<kind>:\"handshake\",<username>:{username},<room>:{room}{rest}}}");
            // What is wrong first in the table, not in the text.
            let (text, error) = marked_error(&speak(&object, dialect), kind);
            assert_eq!(one(&text, Sender::Client, dialect), Err(error), "{text}");
        }
        let full = [
            ("room", "<room>:\"r\""),
            ("username", "<username>:\"u\""),
            ("variables", "<variables>:{}"),
        ];
        let full = if dialect == Dialect::Scratch { &full[..2] } else { &full[..] };
        for (at, (name, _)) in full.iter().enumerate() {
            let others: Vec<_> = full[..at].iter().map(|(_, text)| format!(",{text}")).collect();
            let marked =
                speak(&format!("{{<kind>:\"handshake\"{} ¦}}\n", others.concat()), dialect);
            let (text, error) =
                marked_error(&marked, DecodeErrorKind::MissingKey(key(name, dialect)));
            assert_eq!(one(&text, Sender::Client, dialect), Err(error), "{text}");
        }
    }
}

#[test]
fn r2_variables_are_pairs_in_order_and_may_come_twice() {
    let text = r#"{"kind":"handshake","room":"r","username":"u","variables":{ "b" :"1","a":"\u0032" , "b":"","":"☁"}}"#;
    let config = CodecConfig::default();
    let ClientMessage::Handshake { variables, .. } =
        ClientMessage::from_json(text, &config).unwrap()
    else {
        panic!("it isn't")
    };
    let pairs = [("b", "1"), ("a", "2"), ("b", ""), ("", "☁")];
    let expected = Variables::from(&pairs[..]);
    assert_eq!(variables, expected);
    assert_ne!(variables, Variables::from(&pairs[..3]));
    assert!(variables.iter().eq(pairs.map(|(name, value)| (name.into(), value.into()))));
    let borrowed = |text: &Cow<'_, str>| matches!(text, Cow::Borrowed(_));
    let is_borrowed: Vec<_> = variables.iter().map(|(n, v)| (borrowed(&n), borrowed(&v))).collect();
    assert_eq!(is_borrowed, [(true, true), (true, false), (true, true), (true, true)]);
    assert_eq!(format!("{variables:?}"), r#"{"b": "1", "a": "2", "b": "", "": "☁"}"#);
    assert_eq!(format!("{expected:?}"), format!("{variables:?}"));
    assert!(!variables.is_empty() && !expected.is_empty() && Variables::NONE.is_empty());
    let none = r#"{"kind":"handshake","room":"r","username":"u","variables":{ }}"#;
    let ClientMessage::Handshake { variables, .. } =
        ClientMessage::from_json(none, &config).unwrap()
    else {
        panic!("it isn't")
    };
    assert!(variables.is_empty());
    assert_eq!(variables, Variables::NONE);
}

#[test]
fn r2_what_is_missing_is_told_in_the_order_of_the_table() {
    for dialect in DIALECTS {
        let mut all = vec![
            ("kind", "{<variable>:\"x\",<value>:\"1\"¦}"),
            ("variable", "{<kind>:\"set\"¦}"),
            ("variable", "{<value>:1,<kind>:\"set\" ¦} \t"),
            ("value", "{<kind>:\"set\",<variable>:\"x\"¦}"),
        ];
        if dialect == Dialect::Scratch {
            all.extend([
                ("variable", "{<kind>:\"create\",<new_name>:1¦}"),
                ("value", "{<kind>:\"create\",<variable>:\"x\"¦}"),
                ("variable", "{<kind>:\"rename\"¦}"),
                ("variable", "{<kind>:\"rename\",<new_name>:\"y\"¦}"),
                ("new_name", "{<kind>:\"rename\",<variable>:\"x\",<value>:\"y\"¦}"),
                ("variable", "{<kind>:\"delete\",<value>:\"y\"¦}"),
            ]);
        }
        for (name, marked) in all {
            refused(
                &speak(marked, dialect),
                dialect,
                DecodeErrorKind::MissingKey(key(name, dialect)),
            );
        }
    }
}

#[test]
fn r2_every_other_kind_is_handed_over_as_it_is() {
    for dialect in DIALECTS {
        let mut kinds = vec!["", "news", "SET", "set ", "se", "sets", "Handshake", "\u{0}", "☁"];
        if dialect != Dialect::Scratch {
            kinds.extend(["create", "rename", "delete"]);
        }
        for kind in kinds {
            let written = serde_json::to_string(kind).unwrap();
            let text = speak(
                &format!("\r {{ \"x\" : [1.0, \"\\ud800\"],\t<kind>:{written},<variable>:1}} \r"),
                dialect,
            );
            for sender in SENDERS {
                let unknown = Message::Unknown(kind.into(), text.trim().into());
                assert_eq!(one(&text, sender, dialect).as_ref(), Ok(&unknown));
                assert_eq!(encoded(&[unknown], sender, &of(dialect)), text.trim());
            }
        }
        let text = speak(r#"{<kind>:"handshake"}"#, dialect);
        let unknown = Message::Unknown("handshake".into(), text.clone());
        assert_eq!(one(&text, Sender::Server, dialect), Ok(unknown));
        assert!(one(&text, Sender::Client, dialect).is_err());
    }
}

#[test]
fn r2_strings_without_escapes_are_borrowed() {
    for dialect in DIALECTS {
        let config = of(dialect);
        let text = speak(r#"{<kind>:"set",<variable>:"plain",<value>:"☁"}"#, dialect);
        let spaced = text.replace(':', ": ");
        for text in [text, spaced] {
            let inside = |part: &str| text.as_bytes().as_ptr_range().contains(&part.as_ptr());
            let Ok(ClientMessage::Set {
                variable: Cow::Borrowed(variable),
                value: ValueRef::Text(Cow::Borrowed(value)),
            }) = ClientMessage::from_json(&text, &config)
            else {
                panic!("it isn't")
            };
            assert!(inside(variable) && inside(value));
            let Some(Ok(ServerMessage::Set {
                variable: Cow::Borrowed(variable),
                value: ValueRef::Text(Cow::Borrowed(value)),
            })) = Batch::new(&text, &config).next()
            else {
                panic!("it isn't")
            };
            assert!(inside(variable) && inside(value));
        }
    }
}

#[test]
fn r2_strings_are_written_as_serde_json_does() {
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
    for plain in texts {
        let written = serde_json::to_string(&plain).unwrap();
        for dialect in DIALECTS {
            let expected = speak(
                &format!(r#"{{<kind>:"set",<variable>:{written},<value>:{written}}}"#),
                dialect,
            );
            let message = set(&plain, &plain);
            assert_eq!(encoded(slice::from_ref(&message), Sender::Server, &of(dialect)), expected);
            assert_eq!(one(&expected, Sender::Server, dialect), Ok(message));
        }
        let pairs = vec![(plain.clone(), String::new()), ("a".into(), plain.clone())];
        let handshake =
            Message::Handshake { room: text(&plain), username: plain, variables: pairs };
        let expected = format!(
            r#"{{"kind":"handshake","room":{written},"username":{written},"variables":{{{written}:"","a":{written}}}}}"#
        );
        assert_eq!(
            encoded(slice::from_ref(&handshake), Sender::Client, &CodecConfig::default()),
            expected
        );
        assert_eq!(one(&expected, Sender::Client, Dialect::Documented), Ok(handshake));
    }
}

#[test]
fn r3_every_kind_is_written_compactly_in_the_order_of_the_table() {
    for (dialect, sender, message, text) in every_kind() {
        assert_eq!(encoded(slice::from_ref(&message), sender, &of(dialect)), text);
        assert_eq!(one(&text, sender, dialect), Ok(message));
    }
    assert_eq!(CodecConfig::default().dialect, Dialect::Documented);
    assert_eq!(Dialect::default(), Dialect::Documented);
}

#[test]
fn r3_a_decoded_handshake_is_written_as_one_made_of_pairs() {
    for dialect in [Dialect::Documented, Dialect::Deployed2020] {
        let config = of(dialect);
        for variables in ["{}", r#"{"a":"1"}"#, r#"{"a":"\n","\"":"☁","":""}"#] {
            let text = speak(
                &format!(
                    r#"{{<kind>:"handshake",<room>:"r",<username>:"u",<variables>:{variables}}}"#
                ),
                dialect,
            );
            let spaced = text.replace(':', " :\t").replace(',', "\n, ");
            let message = ClientMessage::from_json(&spaced, &config).unwrap();
            let mut dst = vec![];
            message.encode(&config, &mut dst).unwrap();
            assert_eq!(String::from_utf8(dst).unwrap(), text);
            let mut small = vec![0; text.len() - 1];
            assert_eq!(message.encode(&config, &mut &mut small[..]), Err(EncodeError::BufferFull));
        }
    }
}

#[test]
fn r3_what_a_dialect_does_not_have_is_not_written() {
    let missing = EncodeError::NotInDialect;
    for dialect in [Dialect::Documented, Dialect::Deployed2020] {
        for sender in SENDERS {
            for (message, error) in [
                (Message::Create("x".into(), text("1")), missing("create")),
                (Message::Create("x".into(), number("x")), missing("create")),
                (Message::Rename("x".into(), "y".into()), missing("rename")),
                (Message::Delete("x".into()), missing("delete")),
                (Message::Set("x".into(), number("1")), missing("numbers")),
                (Message::Set("x".into(), number("x")), missing("numbers")),
            ] {
                assert_eq!(not_encoded(&message, sender, &of(dialect)), error);
                // Before it is found to be too long.
                let none = of(dialect).max_client_message(0).max_server_message(0);
                assert_eq!(not_encoded(&message, sender, &none), error);
            }
        }
        let (room, username) = (number("1"), String::new());
        let handshake = Message::Handshake { room, username, variables: vec![] };
        assert_eq!(not_encoded(&handshake, Sender::Client, &of(dialect)), missing("numbers"));
    }
    let variables = vec![(String::new(), String::new())];
    let handshake = Message::Handshake { room: text("r"), username: "u".into(), variables };
    assert_eq!(
        not_encoded(&handshake, Sender::Client, &of(Dialect::Scratch)),
        missing("variables")
    );
}

/// Numbers that come out of many a parser as something else.
const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "-0.0",
    "1e400",
    "1E+2",
    "1e-7",
    "0e0",
    "9007199254740993",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.1000000000000000055511151231257827",
    "-1.50e-05",
    "10000000000000000000000000000000000000000.00000000000000000000000000000000001",
];

#[test]
fn r3_numbers_are_kept_as_they_are_written() {
    for n in NUMBERS {
        let integer = !n.contains(['.', 'e', 'E']);
        for sender in SENDERS {
            for kind in ["set", "create"] {
                let value = number(n);
                let message = match kind {
                    "set" => Message::Set("☁ x".into(), value),
                    _ => Message::Create("☁ x".into(), value),
                };
                let text = format!(r#"{{"method":"{kind}","name":"☁ x","value":{n}}}"#);
                assert_eq!(one(&text, sender, Dialect::Scratch).as_ref(), Ok(&message));
                assert_eq!(encoded(slice::from_ref(&message), sender, &of(Dialect::Scratch)), text);
                let spaced = format!(r#"{{ "value": {n} ,"name":"☁ x","method":"{kind}"}}"#);
                assert_eq!(one(&spaced, sender, Dialect::Scratch), Ok(message));
            }
        }
        for dialect in [Dialect::Documented, Dialect::Deployed2020] {
            let marked =
                speak(&format!(r#"{{<kind>:"set",<variable>:"x",<value>:¦{n}}}"#), dialect);
            refused(&marked, dialect, invalid("value", "a string"));
        }
        let marked = format!(r#"{{"method":"handshake","user":"u","project_id": ¦{n} }}"#);
        let (text, error) = marked_error(&marked, invalid("project_id", "a string or an integer"));
        let got = one(&text, Sender::Client, Dialect::Scratch);
        let handshake =
            Message::Handshake { room: number(n), username: "u".into(), variables: vec![] };
        assert_eq!(got, if integer { Ok(handshake.clone()) } else { Err(error) }, "{text}");
        if integer {
            let text = format!(r#"{{"method":"handshake","project_id":{n},"user":"u"}}"#);
            assert_eq!(encoded(&[handshake], Sender::Client, &of(Dialect::Scratch)), text);
        } else {
            let error = not_encoded(&handshake, Sender::Client, &of(Dialect::Scratch));
            assert_eq!(error, EncodeError::NotANumber);
        }
    }
}

#[test]
fn r3_what_is_no_number_is_not_written() {
    for odd in [
        "",
        " 1",
        "1 ",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "NaN",
        "Infinity",
        "\"1\"",
        "null",
        "true",
        "[1]",
        "{}",
        "1,\"x\":2",
        "1}",
        "--1",
        "٤",
        "1\n",
    ] {
        for sender in SENDERS {
            for message in
                [Message::Set("x".into(), number(odd)), Message::Create("x".into(), number(odd))]
            {
                let error = not_encoded(&message, sender, &of(Dialect::Scratch));
                assert_eq!(error, EncodeError::NotANumber, "{odd}");
            }
        }
        let handshake =
            Message::Handshake { room: number(odd), username: "u".into(), variables: vec![] };
        let error = not_encoded(&handshake, Sender::Client, &of(Dialect::Scratch));
        assert_eq!(error, EncodeError::NotANumber, "{odd}");
    }
}

#[test]
fn r3_user_and_project_id_may_stand_in_every_message() {
    for (dialect, sender, message, text) in every_kind() {
        if dialect != Dialect::Scratch
            || matches!(message, Message::Handshake { .. } | Message::Unknown(..))
        {
            continue;
        }
        for more in [
            r#""user":"u""#,
            r#""project_id":104"#,
            r#""user":1,"project_id":1.5"#,
            r#""project_id":null,"user":["\ud800"]"#,
        ] {
            for text in [
                text.replacen('{', &format!("{{{more},"), 1),
                text.replace('}', &format!(",{more}}}")),
            ] {
                assert_eq!(one(&text, sender, dialect).as_ref(), Ok(&message), "{text}");
            }
        }
    }
}

#[test]
fn r3_the_keys_of_other_dialects_are_unknown() {
    for dialect in DIALECTS {
        let own = keys(dialect);
        let others = DIALECTS.into_iter().flat_map(keys).map(|(_, key)| key);
        for other in others.filter(|other| own.iter().all(|(_, key)| key != other)) {
            let text =
                format!(r#"{{"{other}":1,<kind>:"set",<variable>:"x",<value>:"1","{other}":[]}}"#);
            for sender in SENDERS {
                assert_eq!(
                    one(&speak(&text, dialect), sender, dialect),
                    Ok(set("x", "1")),
                    "{text}"
                );
            }
        }
        for other in DIALECTS.into_iter().filter(|other| *other != dialect) {
            for template in [
                r#"{<kind>:"set",<variable>:"x",<value>:"1"}"#,
                r#"{<kind>:"handshake",<room>:"r",<username>:"u"}"#,
            ] {
                let text = speak(template, other);
                assert!(
                    matches!(
                        one(&text, Sender::Client, dialect).unwrap_err().kind,
                        DecodeErrorKind::MissingKey(_)
                    ),
                    "{text}"
                );
            }
        }
    }
}

#[test]
fn r3_values_as_text_and_owned() {
    for value in [text("1.0"), text(""), text("\"☁\n"), number("1.0"), number("-0")] {
        assert_eq!(value.as_ref().to_owned(), value);
        assert_eq!(value.as_ref().as_str(), value.as_str());
        assert_eq!(ValueRef::from(&value), value.as_ref());
        assert_eq!(format!("{value} {}", value.as_ref()), [value.as_str(); 2].join(" "));
    }
    assert_eq!(ValueRef::from(&String::from("x")), ValueRef::text("x"));
    assert_ne!(text("1"), number("1"));
    assert_ne!(number("1"), number("1.0"));
    assert_eq!(ValueRef::from("x"), ValueRef::text("x"));
    assert_eq!(ValueRef::Text(Cow::Owned("x".into())), ValueRef::text("x"));
}

#[test]
fn r4_after_which_codes_to_connect_again() {
    for code in 0..=u16::MAX {
        let (old, scratch) = match code {
            1000..=1999 | 4000 | 4003 => (true, true),
            4004 => (true, false),
            _ => (false, false),
        };
        let again = |dialect| CloseCode(code).should_reconnect(dialect);
        assert_eq!(DIALECTS.map(again), [old, old, scratch], "{code}");
        assert_eq!(CloseCode(code).to_string(), code.to_string());
    }
    let codes = [
        (CloseCode::NORMAL, 1000),
        (CloseCode::GOING_AWAY, 1001),
        (CloseCode::UNSUPPORTED_DATA, 1003),
        (CloseCode::INVALID_DATA, 1007),
        (CloseCode::POLICY_VIOLATION, 1008),
        (CloseCode::MESSAGE_TOO_BIG, 1009),
        (CloseCode::GENERIC, 4000),
        (CloseCode::INCOMPATIBLE, 4001),
        (CloseCode::USERNAME, 4002),
        (CloseCode::OVERLOADED, 4003),
        (CloseCode::TRY_AGAIN_LATER, 4004),
        (CloseCode::UNAVAILABLE, 4004),
        (CloseCode::SECURITY, 4005),
        (CloseCode::IDENTIFY_YOURSELF, 4006),
    ];
    for (code, number) in codes {
        assert_eq!(code.0, number);
    }
}

#[test]
fn r5_a_message_over_the_limit_is_not_looked_at() {
    let limited = |dialect, sender, limit| match sender {
        // The other side's limit is of no matter.
        Sender::Client => of(dialect).max_client_message(limit).max_server_message(0),
        Sender::Server => of(dialect).max_server_message(limit).max_client_message(0),
    };
    for (dialect, sender, message, text) in every_kind() {
        let len = text.len();
        let exact = limited(dialect, sender, len);
        assert_eq!(decode(text.as_bytes(), sender, &exact), (vec![message.clone()], None));
        assert_eq!(encoded(slice::from_ref(&message), sender, &exact), text);

        let limit = len - 1;
        let below = limited(dialect, sender, limit);
        let too_long = |len, limit| {
            let kind = DecodeErrorKind::MessageTooLarge { len, limit };
            (vec![], Some(DecodeError { kind, offset: limit as u64 }))
        };
        assert_eq!(decode(text.as_bytes(), sender, &below), too_long(len, limit));
        let not_utf8 = [text.as_bytes(), b"\n\xff"].concat();
        assert_eq!(decode(&not_utf8, sender, &exact), too_long(len + 2, len));
        let error = not_encoded(&message, sender, &below);
        assert_eq!(error, EncodeError::MessageTooLarge { len, limit });
    }
    let default = CodecConfig::default();
    assert_eq!((default.max_client_message, default.max_server_message), (1 << 20, 16 << 20));
}

#[test]
fn r5_the_default_limits_in_full() {
    for (sender, limit) in [(Sender::Client, 1 << 20), (Sender::Server, 16 << 20)] {
        let frame = r#"{"kind":"set","variable":"x","value":""}"#;
        let value = "v".repeat(limit - frame.len());
        let message = set("x", &value);
        let config = CodecConfig::default();
        let text = encoded(slice::from_ref(&message), sender, &config);
        assert_eq!(text.len(), limit);
        assert_eq!(decode(text.as_bytes(), sender, &config), (vec![message], None));
        let kind = DecodeErrorKind::MessageTooLarge { len: limit + 1, limit };
        let error = DecodeError { kind, offset: limit as u64 };
        assert_eq!(decode(format!("{text} ").as_bytes(), sender, &config), (vec![], Some(error)));
        let error = not_encoded(&set("x", &(value + "v")), sender, &config);
        assert_eq!(error, EncodeError::MessageTooLarge { len: limit + 1, limit });
    }
}

#[test]
fn r5_not_utf8_is_told_line_by_line() {
    let wrong = [&b"\xff"[..], b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"];
    for dialect in DIALECTS {
        let config = of(dialect);
        let good = speak("{<kind>:\"set\",<variable>:\"☁\",<value>:\"1\"}", dialect);
        let unusual = good.replace(':', ": ");
        for wrong in wrong {
            for start in
                ["", "{", "{x", "\"", &good, &unusual, &good[..good.len() - 3], "{}{}", " \t"]
            {
                for before in
                    ["", "\n", &format!("{good}\n"), &format!("{good}\r\n\n{unusual}\n\n")]
                {
                    let count = before.matches("set").count();
                    for behind in ["", "\n", "\"}\n", "\nx"] {
                        let bytes = [before.as_bytes(), start.as_bytes(), wrong, behind.as_bytes()]
                            .concat();
                        let offset = (before.len() + start.len()) as u64;
                        let error = DecodeError { kind: DecodeErrorKind::NotUtf8, offset };
                        let got = decode(&bytes, Sender::Server, &config);
                        assert_eq!(got, (vec![set("☁", "1"); count], Some(error)), "{bytes:?}");
                        let got = decode(&bytes, Sender::Client, &config);
                        assert_eq!(got, (vec![], Some(error)), "{bytes:?}");
                    }
                }
            }
            // What is wrong on a line before it is told first.
            let bytes = [b"{x\n", wrong].concat();
            let error = DecodeError { kind: DecodeErrorKind::NotJson, offset: 1 };
            assert_eq!(decode(&bytes, Sender::Server, &config), (vec![], Some(error)));
        }
    }
}

#[test]
fn r5_128_levels_are_read_and_129_are_not_wherever_they_stand() {
    for dialect in DIALECTS {
        for before in [
            "{\"x\":",
            "{<kind>:\"news\",\"x\":",
            "{<kind>:\"set\",<variable>:\"x\",<value>:",
            "{<kind>:",
            "{<kind>:\"handshake\",<room>:\"r\",<username>:",
        ] {
            let before = speak(before, dialect);
            for mixed in [false, true] {
                let (open, close) = nested(127, mixed);
                let text = format!("{before}{open}1{close}}}");
                for sender in SENDERS {
                    let error = read(&text, sender, dialect).1;
                    assert!(
                        !error.is_some_and(|e| matches!(
                            e.kind,
                            DecodeErrorKind::TooDeep | DecodeErrorKind::NotJson
                        )),
                        "{text}"
                    );
                }
                for bracket in ["[", "{"] {
                    for rest in ["", "]", "}", "x", "\"\\"] {
                        let marked = format!("{before}{open} ¦{bracket}{rest}");
                        refused(&marked, dialect, DecodeErrorKind::TooDeep);
                    }
                }
            }
        }
        let (open, close) = nested(128, true);
        refused(&format!(" ¦{open}1{close}"), dialect, DecodeErrorKind::NotAnObject);
        refused(&format!("{open}¦[{close}"), dialect, DecodeErrorKind::TooDeep);
        // In strings they are no brackets.
        let brackets = "[{".repeat(1000);
        let text =
            speak(&format!(r#"{{<kind>:"set",<variable>:"x",<value>:"{brackets}"}}"#), dialect);
        assert_eq!(one(&text, Sender::Client, dialect), Ok(set("x", &brackets)));
        if dialect != Dialect::Scratch {
            let before = speak(
                "{<kind>:\"handshake\",<room>:\"r\",<username>:\"u\",<variables>:{\"a\":",
                dialect,
            );
            let (open, close) = nested(126, true);
            let kind = invalid("variables", "an object of strings");
            let (text, error) = marked_error(&format!("{before}¦{open}1{close}}}}}"), kind);
            assert_eq!(one(&text, Sender::Client, dialect), Err(error));
            refused(&format!("{before}{open}¦[]{close}}}}}"), dialect, DecodeErrorKind::TooDeep);
        }
    }
}

#[test]
fn r5_every_byte_at_every_place_is_what_the_model_says() {
    // One of each sort.
    let bytes = b"\0\t\n\x0c\r\x1f \"+,-./019:AEG[\\]efntu{}~\x7f\x80\xbf\xc3\xed\xf0\xff";
    for dialect in DIALECTS {
        let config = of(dialect);
        for (_, sender, _, text) in every_kind().into_iter().filter(|(d, ..)| *d == dialect) {
            for at in 0..=text.len() {
                for &byte in bytes {
                    let mut bytes = text.clone().into_bytes();
                    bytes.insert(at, byte);
                    let expected = model::decode(&bytes, sender, &config);
                    let text = String::from_utf8_lossy(&bytes);
                    assert_eq!(decode(&bytes, sender, &config), expected, "{text:?}");
                    if at < bytes.len() - 1 {
                        bytes.remove(at + 1);
                        let expected = model::decode(&bytes, sender, &config);
                        let text = String::from_utf8_lossy(&bytes);
                        assert_eq!(decode(&bytes, sender, &config), expected, "{text:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn r5_every_message_cut_off_at_every_place_is_what_the_model_says() {
    for (dialect, sender, _, text) in every_kind() {
        let lines = [&text[..], "\r\n", &text, "\n"].concat();
        let text = if sender == Sender::Server { lines } else { text };
        for end in 0..=text.len() {
            let bytes = &text.as_bytes()[..end];
            let config = of(dialect);
            assert_eq!(
                decode(bytes, sender, &config),
                model::decode(bytes, sender, &config),
                "{end} of {text}"
            );
        }
    }
}

#[test]
fn r5_a_megabyte_of_brackets_costs_nothing() {
    for (text, offset) in [
        ("[".repeat(1 << 20), 128),
        ("{\"a\":".repeat((1 << 20) / 5), 5 * 128),
        (format!("{{\"kind\":\"set\",\"x\":{}", "[".repeat(1 << 19)), 18 + 127),
    ] {
        let config = CodecConfig::default();
        let error = DecodeError { kind: DecodeErrorKind::TooDeep, offset };
        let used = measure(|| {
            assert_eq!(ClientMessage::from_json(&text, &config), Err(error));
            let mut batch = Batch::new(&text, &config);
            assert_eq!((batch.next(), batch.next()), (Some(Err(error)), None));
        });
        assert_eq!(used.count_total, 0);
    }
}

#[test]
fn usual_messages_allocate_nothing() {
    let long = "v".repeat(4000);
    for (dialect, sender, message, text) in every_kind() {
        let config = of(dialect);
        let value = match &message {
            Message::Set(_, Value::Text(_)) => long.clone(),
            _ => "1".into(),
        };
        let text = text.replace("\"10\"", &format!("\"{value}\""));
        let batch = vec![&text[..]; 20].join("\n");
        let mut dst = Vec::with_capacity(128 * 1024);
        for _ in 0..2 {
            dst.clear();
            let used = measure(|| match sender {
                Sender::Client => {
                    let message = ClientMessage::decode(text.as_bytes(), &config).unwrap();
                    message.encode(&config, &mut dst).unwrap();
                }
                Sender::Server => {
                    let mut writer = BatchWriter::new(&config, &mut dst);
                    for object in Batch::decode(batch.as_bytes(), &config) {
                        writer.push(&object.unwrap()).unwrap();
                    }
                }
            });
            assert_eq!(used.count_total, 0, "{text}");
            let expected = if sender == Sender::Server { &batch } else { &text };
            assert_eq!(dst, expected.as_bytes());
        }
    }
}

#[test]
fn what_is_refused_allocates_nothing_either() {
    let config = CodecConfig::default();
    for (text, kind) in [
        (
            "{\"kind\":\"set\",\"variable\":\"x\",\"value\":\"1\"}\n{\"kind\":\"set\",\"variable\":¦1}\n",
            invalid("variable", "a string"),
        ),
        ("{\"kind\":\"news\"}\n\n[1,¦]", DecodeErrorKind::NotJson),
        (
            "{\"kind\":\"news\"}\n{\"kind\":\"set\",\"variable\":¦\"\\u0041\\ud800\"}",
            invalid("variable", "a string of whole characters"),
        ),
    ] {
        let (text, error) = marked_error(text, kind);
        let used = measure(|| {
            let mut batch = Batch::new(&text, &config);
            assert!(batch.next().unwrap().is_ok());
            assert_eq!(batch.next(), Some(Err(error)));
        });
        // A string with escapes is copied before the bad one in it is come to: as one of a usual set,
        // and then as any.
        assert!(used.count_total <= 2 * u64::from(text.contains('\\')), "{text}");
        assert_eq!(used.count_current, 0);
    }
}

#[test]
fn reading_is_linear() {
    let line = r#"{"kind":"set","variable":"x","value":"1"}"#;
    let usual = format!("{line}\n").repeat(10_000);
    let unusual = format!("{} \r\n", line.replace(':', ": ")).repeat(10_000);
    let blank = "\n \r\n".repeat(100_000);
    let quotes =
        format!(r#"{{"kind":"set","variable":"x","value":"{}"}}"#, r#"\""#.repeat(200_000));
    let keys = format!(r#"{{{}"kind":"news"}}"#, r#""\u0061b":1,"#.repeat(40_000));
    let brackets = format!(r#"{{"x":[{}1]}}"#, "[[{\"a\":{}}],1],".repeat(30_000));
    // One line with many bad beginnings of a set in it.
    let beginnings = format!("{}\n", line.trim_end_matches('}')).repeat(10_000);
    let config = CodecConfig::default();
    for text in [usual, unusual, blank, quotes, keys, brackets, beginnings] {
        for end in [&b""[..], b"\xff"] {
            let mut bytes = text.clone().into_bytes();
            bytes.resize(bytes.len() / 4 * 4, b' ');
            work_is_linear(
                |quarters| {
                    // Cut off, it is read up to there.
                    let text = [&bytes[..bytes.len() / 4 * quarters], end].concat();
                    assert!(Batch::decode(&text, &config).count() <= text.len());
                    assert!(ClientMessage::decode(&text, &config).is_err() || text.len() > 1000);
                },
                1,
            );
        }
    }
}

#[test]
fn variables_and_batches_are_read_and_written_in_linear_time() {
    let variables: Vec<String> = (0..8_000).map(|n| format!(r#""☁ \n{n}":"\"{n}""#)).collect();
    let config = CodecConfig::default();
    work_is_linear(
        |quarters| {
            let variables = variables[..variables.len() / 4 * quarters].join(",");
            let text = format!(
                r#"{{"kind":"handshake","room":"r","username":"u","variables":{{{variables}}}}}"#
            );
            let message = ClientMessage::from_json(&text, &config).unwrap();
            let mut dst = Vec::with_capacity(text.len());
            message.encode(&config, &mut dst).unwrap();
            assert_eq!(dst, text.as_bytes());
        },
        1,
    );
    let set = ServerMessage::Set { variable: "☁ score".into(), value: "\n1".into() };
    work_is_linear(
        |n| {
            let mut dst = Vec::new();
            let mut writer = BatchWriter::new(&config, &mut dst);
            for _ in 0..n {
                writer.push(&set).unwrap();
            }
            assert_eq!(Batch::decode(&dst, &config).count(), n);
        },
        3_000,
    );
}

/// Text that is mostly plain, with what has to be escaped in it now and then.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z☁ é🎲]{0,12}", 1 => any::<String>(), 1 => "[\"\\\\\n\r\t\u{0}\u{1f}\u{7f}x]{0,12}"]
}

fn any_number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,4})?"
}

fn any_integer() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,24})"
}

fn any_value(numbers: impl Strategy<Value = String>) -> impl Strategy<Value = Value> {
    prop_oneof![3 => any_name().prop_map(|t| text(&t)), 1 => numbers.prop_map(|n| number(&n))]
}

/// JSON of any kind, spaced oddly, mostly on one line.
fn any_json() -> impl Strategy<Value = String> {
    let space = || prop_oneof![8 => Just(""), 1 => Just(" "), 1 => Just("\t\r"), 1 => Just("\n")];
    let string = prop_oneof![
        any_name().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"([a-z\u{7f}é🎲/]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,12}\"",
        Just("\"\\ud83c\\udfb2\"".into()),
    ];
    let leaf = prop_oneof![
        prop_oneof![Just("null"), Just("true"), Just("false"), Just("[]"), Just("{}")]
            .prop_map(String::from),
        string.clone(),
        any_number(),
    ];
    leaf.prop_recursive(3, 12, 3, move |inner| {
        let spaced = (space(), inner, space()).prop_map(|(a, json, b)| format!("{a}{json}{b}"));
        let entry = (space(), string.clone(), space(), spaced.clone())
            .prop_map(|(a, key, b, json)| format!("{a}{key}{b}:{json}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..3).prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(entry, 0..3).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

fn any_dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(&DIALECTS[..])
}

fn any_sender() -> impl Strategy<Value = Sender> {
    prop::sample::select(&SENDERS[..])
}

/// An object with keys that are mostly those of a protocol, and values that mostly fit; in angle
/// brackets.
fn any_object() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        4 => Just("\"set\"".to_owned()),
        2 => prop::sample::select(vec!["\"handshake\"", "\"create\"", "\"rename\"", "\"delete\"", "\"s\\u0065t\""]).prop_map(String::from),
        1 => any_json(),
    ];
    let string = || prop_oneof![6 => any_name().prop_map(|t| serde_json::to_string(&t).unwrap()), 1 => any_json()];
    let pair = (string(), string()).prop_map(|(name, value)| format!("{name}:{value}"));
    let variables = prop_oneof![
        4 => prop::collection::vec(pair, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
        1 => any_json(),
    ];
    let number = prop_oneof![any_number(), any_integer(), string()];
    let maybe = |json| prop_oneof![7 => json, 1 => Just(String::new())];
    let parts = (
        maybe(string().boxed()),
        maybe(string().boxed()),
        maybe(variables.boxed()),
        maybe(string().boxed()),
        maybe(number.boxed()),
        maybe(string().boxed()),
        maybe(any_json().boxed()),
    );
    let space = prop_oneof![6 => Just(""), 1 => Just(" ")];
    (kind, parts, any::<prop::sample::Index>(), any::<prop::sample::Index>(), space).prop_map(
        |(kind, (room, username, variables, variable, value, new_name, other), turn, at, space)| {
            let mut entries = vec![
                ("<variable>", variable),
                ("<value>", value),
                ("<room>", room),
                ("<username>", username),
                ("<variables>", variables),
                ("<new_name>", new_name),
                ("\"s\"", other),
            ];
            let turn = turn.index(entries.len());
            entries.rotate_left(if turn > 3 { turn } else { 0 });
            entries.insert(at.index(3), ("<kind>", kind));
            let entries = entries.into_iter().filter(|(_, json)| !json.is_empty());
            let entries: Vec<_> =
                entries.map(|(key, json)| format!("{key}:{space}{json}")).collect();
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
        b"\n",
        b"\r\n",
        b" ",
        b"\x1f",
        b"\"kind\":",
        b"\"value\":1,",
        b"null",
        b"\xff",
        b"",
    ]);
    let edit = (any::<prop::sample::Index>(), 0..4_usize, token);
    let usual = (any_name(), any_name()).prop_map(|(name, value)| {
        let (name, value) =
            (serde_json::to_string(&name).unwrap(), serde_json::to_string(&value).unwrap());
        format!("{{<kind>:\"set\",<variable>:{name},<value>:{value}}}")
    });
    let line =
        prop_oneof![3 => usual, 4 => any_object(), 1 => any_json(), 1 => Just(String::new())];
    let between = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\n\n", " \n\t", " "]);
    let lines =
        prop_oneof![line.clone().prop_map(|line| vec![line]), prop::collection::vec(line, 0..5),];
    (
        lines,
        between,
        any_dialect(),
        prop_oneof![Just(0), 0..4_usize],
        prop::collection::vec(edit, 4),
    )
        .prop_map(|(lines, between, dialect, edits, all)| {
            let text = speak(&lines.join(between), dialect);
            let left = |text: String, name: &str| text.replace(&format!("<{name}>"), "\"other\"");
            let text = ["variables", "new_name"].into_iter().fold(text, left);
            let mut bytes = text.into_bytes();
            for (at, removed, token) in all.into_iter().take(edits) {
                let at = at.index(bytes.len() + 1);
                let end = bytes.len().min(at + removed);
                bytes.splice(at..end, token.iter().copied());
            }
            bytes
        })
}

fn any_message() -> impl Strategy<Value = Message> {
    let variables = prop::collection::vec((any_name(), any_name()), 0..4);
    let unknown = prop_oneof![
        4 => any_object().prop_map(|text| text.replace(['<', '>'], "\"")),
        1 => any_json(),
    ];
    prop_oneof![
        (any_value(any_integer()), any_name(), variables).prop_map(
            |(room, username, variables)| { Message::Handshake { room, username, variables } }
        ),
        (any_name(), any_value(any_number())).prop_map(|(name, value)| Message::Set(name, value)),
        (any_name(), any_value(any_number()))
            .prop_map(|(name, value)| Message::Create(name, value)),
        (any_name(), any_value("[0-9+.eE \n-]{0,6}"))
            .prop_map(|(name, value)| Message::Set(name, value)),
        (any_name(), any_name()).prop_map(|(name, new_name)| Message::Rename(name, new_name)),
        any_name().prop_map(Message::Delete),
        unknown.prop_map(|raw| Message::Unknown("news".into(), raw)),
    ]
}

fn any_config() -> impl Strategy<Value = CodecConfig> {
    let limit = prop_oneof![8 => Just(1 << 20), 1 => 0..200_usize];
    (any_dialect(), limit).prop_map(|(dialect, limit)| {
        of(dialect).max_client_message(limit).max_server_message(limit)
    })
}

fn same<T: PartialEq + Debug>(left: T, right: T) -> Result<(), TestCaseError> {
    prop_assert_eq!(left, right);
    Ok(())
}

/// What the model writes of these, and what becomes of each.
fn modelled(
    messages: &[Message],
    sender: Sender,
    config: &CodecConfig,
) -> (String, Vec<Result<(), EncodeError>>) {
    let mut written = String::new();
    let results = messages.iter().map(|message| {
        written += &model::encode(message, sender, written.len(), config)?;
        Ok(())
    });
    let results = results.collect();
    (written, results)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn verdicts_and_values_are_those_of_the_model(
        bytes in any_bytes(), sender in any_sender(), config in any_config(),
    ) {
        same(decode(&bytes, sender, &config), model::decode(&bytes, sender, &config))?;
    }

    #[test]
    fn any_bytes_are_read_as_the_model_does(
        bytes in prop::collection::vec(any::<u8>(), 0..40), sender in any_sender(), config in any_config(),
    ) {
        same(decode(&bytes, sender, &config), model::decode(&bytes, sender, &config))?;
    }

    #[test]
    fn r1_a_batch_is_what_its_lines_are_one_by_one(bytes in any_bytes(), dialect in any_dialect()) {
        let config = of(dialect);
        let (mut messages, mut error, mut start) = (vec![], None, 0);
        for line in bytes.split(|byte| *byte == b'\n') {
            let (of_line, wrong) = decode(line, Sender::Server, &config);
            messages.extend(of_line);
            error = wrong.map(|e| DecodeError { offset: e.offset + start, ..e });
            if error.is_some() {
                break;
            }
            start += line.len() as u64 + 1;
        }
        same(decode(&bytes, Sender::Server, &config), (messages, error))?;
    }

    #[test]
    fn what_decodes_encodes_to_the_same_messages(
        bytes in any_bytes(), sender in any_sender(), dialect in any_dialect(),
    ) {
        let config = of(dialect);
        let (messages, error) = decode(&bytes, sender, &config);
        if sender == Sender::Server || error.is_none() {
            let text = encoded(&messages, sender, &config);
            same((text.clone(), vec![Ok(()); messages.len()]), modelled(&messages, sender, &config))?;
            prop_assert!(text.len() <= bytes.len());
            same(decode(text.as_bytes(), sender, &config), (messages, None))?;
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same_messages(
        message in any_message(), config in any_config(),
    ) {
        let mut dst = b"before".to_vec();
        let messages = [message];
        let results = encode(&messages, Sender::Client, &config, &mut dst);
        let (expected, verdicts) = modelled(&messages, Sender::Client, &config);
        same((&dst[6..], &results), (expected.as_bytes(), &verdicts))?;
        if results[0].is_ok() && !matches!(messages[0], Message::Unknown(..)) {
            same(decode(&dst[6..], Sender::Client, &config), (messages.to_vec(), None))?;
        }
    }

    #[test]
    fn what_is_written_in_a_batch_is_read_from_it(
        messages in prop::collection::vec(any_message(), 0..6), config in any_config(),
    ) {
        let of_server = |message: &Message| !matches!(message, Message::Handshake { .. });
        let messages: Vec<_> = messages.into_iter().filter(of_server).collect();
        let mut dst = b"before".to_vec();
        let results = encode(&messages, Sender::Server, &config, &mut dst);
        let (expected, verdicts) = modelled(&messages, Sender::Server, &config);
        same((&dst[6..], &results), (expected.as_bytes(), &verdicts))?;
        if messages.iter().all(|message| !matches!(message, Message::Unknown(..))) {
            let written = messages.into_iter().zip(results).filter(|(_, result)| result.is_ok());
            let written: Vec<_> = written.map(|(message, _)| message).collect();
            same(decode(&dst[6..], Sender::Server, &config), (written, None))?;
        }
    }
}
