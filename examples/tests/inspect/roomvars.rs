//! Roomvars: a JSON object a message, or from the server several, each on a line.

use std::collections::BTreeMap;

use roomvars_proto::{ClientMessage, CodecConfig};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{hex, inspect, message_of, options_of, problem_of, run, run_command};

/// What is written alike in both older dialects but for `variable` and `room`, and the fields.
const SET: (&str, &str) = (
    r#"{"kind":"set","variable":"☁ sc\"ore","value":"1\n\u0000é"}"#,
    r#""type":"set","variable":"☁ sc\"ore","value":"1\n\u0000é""#,
);

/// Every type that a client sends, as it is written.
const CLIENT: &[(&str, &str)] = &[
    (
        r#"{"kind":"handshake","room":"lobby","username":"ada","variables":{"x":"1","☁":"\"","x":"2"}}"#,
        r#""type":"handshake","room":"lobby","username":"ada","variables":{"x":"1","☁":"\"","x":"2"}"#,
    ),
    (
        r#"{"kind":"handshake","room":"","username":"","variables":{}}"#,
        r#""type":"handshake","room":"","username":"","variables":{}"#,
    ),
    SET,
    (
        r#"{"kind":"create","variable":"x","value":1.0}"#,
        r#""type":"unknown","raw":{"kind":"create","variable":"x","value":1.0}"#,
    ),
];

/// Every type that a server sends.
const SERVER: &[(&str, &str)] = &[
    SET,
    (
        r#"{"kind":"handshake","room":"a","username":"b","variables":{}}"#,
        r#""type":"unknown","raw":{"kind":"handshake","room":"a","username":"b","variables":{}}"#,
    ),
];

const SCRATCH_CLIENT: &[(&str, &str)] = &[
    (
        r#"{"method":"handshake","project_id":12345678901234567890123,"user":"ada"}"#,
        r#""type":"handshake","room":12345678901234567890123,"username":"ada""#,
    ),
    (
        r#"{"method":"handshake","project_id":"1","user":"ada"}"#,
        r#""type":"handshake","room":"1","username":"ada""#,
    ),
];

const SCRATCH: &[(&str, &str)] = &[
    (r#"{"method":"set","name":"x","value":1.0}"#, r#""type":"set","variable":"x","value":1.0"#),
    (
        r#"{"method":"set","name":"x","value":"1.0"}"#,
        r#""type":"set","variable":"x","value":"1.0""#,
    ),
    (
        r#"{"method":"set","name":"x","value":-2E+5}"#,
        r#""type":"set","variable":"x","value":-2E+5"#,
    ),
    (r#"{"method":"create","name":"x","value":0}"#, r#""type":"create","variable":"x","value":0"#),
    (
        r#"{"method":"rename","name":"x","new_name":"y"}"#,
        r#""type":"rename","variable":"x","new_name":"y""#,
    ),
    (r#"{"method":"delete","name":"x"}"#, r#""type":"delete","variable":"x""#),
    (
        r#"{"method":"news","value":[1.0]}"#,
        r#""type":"unknown","raw":{"method":"news","value":[1.0]}"#,
    ),
];

/// Decodes without anything on stderr; exit status and lines.
fn decode(args: &str, input: impl AsRef<[u8]>) -> (i32, String) {
    let (status, out, err) = run(&format!("decode roomvars {args}"), input);
    assert_eq!(err, "");
    (status, String::from_utf8(out).unwrap())
}

fn line(frame: usize, offset: usize, text: &str, fields: &str) -> String {
    let length = text.len();
    format!("{{\"offset\":{offset},\"length\":{length},\"frame\":{frame},{fields}}}\n")
}

#[test]
fn every_type_is_decoded_and_encoded_to_the_same_bytes() {
    let deployed = |messages: &[(&'static str, &'static str)]| -> Vec<_> {
        let keys =
            |text: &str| text.replace("\"room\"", "\"id\"").replace("\"variable\"", "\"var\"");
        messages
            .iter()
            .map(|(text, fields)| {
                // What isn't known is shown as it is.
                let raw = fields.contains("\"raw\"");
                (keys(text), if raw { keys(fields) } else { (*fields).to_owned() })
            })
            .collect()
    };
    let same = |messages: &[(&'static str, &'static str)]| -> Vec<_> {
        messages.iter().map(|(text, fields)| ((*text).to_owned(), (*fields).to_owned())).collect()
    };
    for (args, messages) in [
        ("--from client", same(CLIENT)),
        ("--from server", same(SERVER)),
        ("--from client --dialect documented", same(CLIENT)),
        ("--from client --dialect deployed2020", deployed(CLIENT)),
        ("--from server --dialect deployed2020", deployed(SERVER)),
        ("--from client --dialect scratch", same(SCRATCH_CLIENT)),
        ("--from client --dialect scratch", same(SCRATCH)),
        ("--from server --dialect scratch", same(SCRATCH)),
    ] {
        for (text, fields) in &messages {
            assert_eq!(decode(args, text), (0, line(0, 0, text, fields)), "{args}");
        }
        let lines: String = messages
            .iter()
            .enumerate()
            .map(|(at, (text, fields))| line(at, 0, text, fields))
            .collect();
        let input: String = messages.iter().map(|(text, _)| hex(text)).collect();
        assert_eq!(decode(&format!("{args} --hex"), &input), (0, lines.clone()), "{args}");
        let encoded = run(&format!("encode roomvars {args} --hex"), &lines);
        assert_eq!(encoded, (0, input.into_bytes(), String::new()), "{args}");
    }
}

#[test]
fn the_objects_of_a_batch_count_from_its_start() {
    let (set, fields) = SET;
    let text = format!("\r\n \t{set} \r\n\n{set}\n{set}\n");
    let second = 4 + set.len() + 4;
    let lines = line(0, 4, set, fields)
        + &line(0, second, set, fields)
        + &line(0, second + set.len() + 1, set, fields);
    assert_eq!(decode("--from server", &text), (0, lines.clone()));
    // Messages without objects are counted as well.
    let input = format!("{}{}{}", hex(&text), hex("\n"), hex(&text));
    let again = lines.replace("\"frame\":0", "\"frame\":2");
    assert_eq!(decode("--from server --hex", input), (0, lines.clone() + &again));
    for empty in ["", "\n", " \r\n\n"] {
        assert_eq!(decode("--from server", empty), (0, String::new()), "{empty:?}");
    }
    // One object makes one message.
    let (status, out, err) = run("encode roomvars --from server --hex", lines);
    assert_eq!((status, err), (0, String::new()));
    assert_eq!(String::from_utf8(out).unwrap(), hex(set).repeat(3));
    // A client's is left alone, too.
    let text = format!("\n {set}\r\n");
    assert_eq!(decode("--from client", text), (0, line(0, 2, set, fields)));
}

#[test]
fn json_stays_as_it_is_but_on_one_line() {
    let object =
        "{\"x\":[{}],\"value\":\"\\u00e9\",\n\"k\\u0069nd\":\"s\\u0065t\",\"variable\" :\t\"x\"}";
    let fields = r#""type":"set","value":"é","variable":"x""#;
    assert_eq!(decode("--from client", object), (0, line(0, 0, object, fields)));
    let object = "{\"kind\":\"handshake\",\"room\":\"a\",\"username\":\"b\",\"variables\":{\r\n\"x\" :\"\\u00e9\"}}";
    let fields = r#""type":"handshake","room":"a","username":"b","variables":{  "x" :"\u00e9"}"#;
    assert_eq!(decode("--from client", object), (0, line(0, 0, object, fields)));
    let object = "{\"kind\":\n\"news\"}";
    let fields = r#""type":"unknown","raw":{"kind": "news"}"#;
    assert_eq!(decode("--from client", object), (0, line(0, 0, object, fields)));
    // What a kind doesn't have is ignored.
    let object = r#"{"method":"delete","user":"a","project_id":1,"name":"x","value":[]}"#;
    let fields = r#""type":"delete","variable":"x""#;
    assert_eq!(decode("--from client --dialect scratch", object), (0, line(0, 0, object, fields)));
}

#[test]
fn every_error_has_its_line() {
    let deep = format!(r#"{{"kind":"set","x":{}}}"#, "[".repeat(128));
    for (args, text, kind, detail) in [
        ("client", &b""[..], "not_json", "not JSON at byte 0"),
        ("client", br#"{"kind":"#, "not_json", "not JSON at byte 8"),
        ("client", b"{\"kind\":\"\xff\"}", "not_json", "not UTF-8 at byte 9"),
        ("client", b"[]", "invalid_field", "not a JSON object at byte 0"),
        ("client", b"{}", "invalid_field", r#"key \"kind\" is missing at byte 1"#),
        ("client", b"{} \n{}", "invalid_field", "more than one object at byte 4"),
        (
            "client",
            br#"{"kind":"a","room":1,"room":1}"#,
            "invalid_field",
            r#"key \"room\" twice at byte 21"#,
        ),
        (
            "client",
            br#"{"kind":"set","variable":"x","value":1}"#,
            "invalid_field",
            r#"\"value\" is not a string at byte 37"#,
        ),
        (
            "server --dialect scratch",
            br#"{"method":"set","name":"x","value":[]}"#,
            "invalid_field",
            r#"\"value\" is not a string or a number at byte 35"#,
        ),
        (
            "client --dialect scratch",
            br#"{"method":"handshake","project_id":1.0,"user":"a"}"#,
            "invalid_field",
            r#"\"project_id\" is not a string or an integer at byte 35"#,
        ),
        (
            "client",
            deep.as_bytes(),
            "invalid_field",
            "JSON nested deeper than 128 levels at byte 145",
        ),
        (
            "client --max-message 1",
            b"{}",
            "payload_too_large",
            "message of 2 bytes, the limit is 1 at byte 1",
        ),
        (
            "server --max-message 7",
            b"\n{}\n{}\n\n",
            "payload_too_large",
            "message of 8 bytes, the limit is 7 at byte 7",
        ),
    ] {
        let fields = format!(r#""error":"{kind}","detail":"{detail}""#);
        let length = text.len();
        let expected = format!("{{\"offset\":0,\"length\":{length},\"frame\":0,{fields}}}\n");
        assert_eq!(decode(&format!("--from {args}"), text), (1, expected));
    }
    // The default limits are those of the protocol.
    let long = format!("{{\"kind\":\"x\",\"x\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(decode("--from server", &long).0, 0);
    let (status, out) = decode("--from client", &long);
    assert!(status == 1 && out.contains("\"payload_too_large\""), "{out}");
}

#[test]
fn the_first_bad_object_ends_its_message() {
    let (set, fields) = SET;
    for (bad, length, error) in [
        (&b"{\"kind\":\"set\"} {}"[..], 17, "\"invalid_field\""),
        (b" nope\r", 4, "\"not_json\""),
        (b"{\"\xff\":1}", 7, "\"not_json\""),
        (b"\xff", 1, "\"not_json\""),
    ] {
        let text = [set.as_bytes(), b"\n", bad, b"\n", set.as_bytes()].concat();
        let (status, out) = decode("--from server --hex", hex(text) + &hex(set));
        let lines: Vec<&str> = out.split_inclusive('\n').collect();
        assert_eq!((status, lines.len()), (1, 3), "{out}");
        assert_eq!(lines[0], line(0, 0, set, fields));
        let start = set.len() + 1 + usize::from(bad.starts_with(b" "));
        let start =
            format!("{{\"offset\":{start},\"length\":{length},\"frame\":0,\"error\":{error},");
        assert!(lines[1].starts_with(&start), "{out}");
        assert_eq!(lines[2], line(1, 0, set, fields));
    }
}

#[test]
fn encode_refuses_what_it_cannot_write() {
    for (args, object, why) in [
        ("client", r#"{"type":"nope"}"#, "unknown type \"nope\""),
        ("client", r#"{"type":"set","value":""}"#, "\"variable\" is missing"),
        ("client", r#"{"type":"set","variable":"x"}"#, "\"value\" is missing"),
        ("client", r#"{"type":"set","variable":1,"value":""}"#, "\"variable\" must be a string"),
        ("client", r#"{"type":"set","variable":"x","value":1}"#, "the dialect has no numbers"),
        ("client", r#"{"type":"set","variable":"x","value":null}"#, "a string or a number"),
        ("client", r#"{"type":"set","variable":"x","value":"\ud800"}"#, "whole characters"),
        ("client", r#"{"type":"set","variable":"x","value":"","room":""}"#, "\"room\" doesn't"),
        ("client", r#"{"type":"create","variable":"x","value":""}"#, "the dialect has no create"),
        ("server", r#"{"type":"delete","variable":"x"}"#, "the dialect has no delete"),
        ("client", r#"{"type":"handshake","room":"","username":""}"#, "\"variables\" is missing"),
        (
            "client",
            r#"{"type":"handshake","room":"","username":"","variables":{"x":1}}"#,
            "\"variables\" must be an object of strings",
        ),
        (
            "client --dialect scratch",
            r#"{"type":"handshake","room":"","username":"","variables":{}}"#,
            "\"variables\" doesn't belong to this handshake",
        ),
        (
            "client --dialect scratch",
            r#"{"type":"handshake","room":1.0,"username":""}"#,
            "not a JSON number",
        ),
        (
            "server",
            r#"{"type":"handshake","room":"","username":"","variables":{}}"#,
            "a server doesn't send this",
        ),
        ("client", r#"{"type":"unknown"}"#, "\"raw\" is missing"),
        ("client", r#"{"type":"unknown","raw":[]}"#, "not a JSON object"),
        ("client", r#"{"type":"unknown","raw":{}}"#, "key \"kind\" is missing"),
        (
            "server",
            r#"{"type":"unknown","raw":{"kind":"set","variable":"","value":""}}"#,
            "\"raw\" is a set",
        ),
        ("client --max-message 11", r#"{"type":"unknown","raw":{"kind": ""}}"#, "limit is 11"),
    ] {
        // The object behind it is written all the same.
        let key = if args.contains("scratch") { "method" } else { "kind" };
        let good = format!(r#"{{"{key}":""}}"#);
        let input = format!("{object}\n{{\"type\":\"unknown\",\"raw\":{good}}}\n");
        let (status, out, err) = run(&format!("encode roomvars --from {args}"), &input);
        assert_eq!((status, out), (1, good.into_bytes()), "{object}{err}");
        assert!(err.starts_with("inspect: line 1: ") && err.contains(why), "{err}{object}");
    }
}

#[test]
fn dialects_belong_to_their_protocol() {
    for usage in [
        "roomvars --dialect header-id",
        "roomvars --dialect payload-prefix",
        "roomvars --directions both",
        "bingo --dialect documented",
        "bingo --dialect deployed2020",
        "litecord --dialect documented",
    ] {
        for way in ["decode", "encode"] {
            let (status, out, err) = run(&format!("{way} {usage} --from client"), "");
            assert_eq!((status, out), (2, vec![]), "{usage}");
            assert!(err.contains("means nothing to this protocol"), "{err}");
        }
    }
}

#[test]
fn the_hexdump_has_every_key() {
    let text = "{\"method\":\"set\",\"user\":\"ada\",\n\"name\":\"x\",\"value\":1.0, \"s\":0}";
    let (status, out) = decode("--from client --human --dialect scratch", text);
    let expected = "\
#0        client  set  60 bytes
  00000000 ,7b 22 6d 65 74 68 6f 64 22 3a                    key          \"method\"
  0000000a #22 73 65 74 22                                   method       set
  0000000f ,2c 22 75 73 65 72 22 3a                          key          \"user\"
  00000017  22 61 64 61 22                                   username     \"ada\"
  0000001c ,2c 0a 22 6e 61 6d 65 22 3a                       key          \"name\"
  00000025  22 78 22                                         variable     \"x\"
  00000028 ,2c 22 76 61 6c 75 65 22 3a                       key          \"value\"
  00000031  31 2e 30                                         value        1.0
  00000034 ,2c 20 22 73 22 3a                                key          \"s\"
  0000003a  30                                               (ignored)    0
  0000003b ,7d                                               end          \n";
    assert_eq!((status, out.as_str()), (0, expected));
    let text = "{\"kind\":\"news\"}\n{\"kind\":\"set\"}\n";
    let (status, out) = decode("--from server --human", text);
    let expected = "\
#0        server  unknown  15 bytes
  00000000 ,7b 22 6b 69 6e 64 22 3a                          key          \"kind\"
  00000008 #22 6e 65 77 73 22                                kind         \"news\"
  0000000e ,7d                                               end          \n\
\x20                                                            raw          {\"kind\":\"news\"}
#0        server  invalid_field: key \"variable\" is missing at byte 29  14 bytes
  00000010 ,7b 22 6b 69 6e 64 22 3a                          key          \"kind\"
  00000018 #22 73 65 74 22                                   kind         \"set\"
  0000001d !7d                                               end          \n";
    assert_eq!((status, out.as_str()), (1, expected));
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let text = "{\"kind\":\"handshake\",\"room\":\"\u{9b}\",\"username\":\"\u{202e}\",\
                \"variables\":{\"\u{9b}2J\":\"\\u001b\"},\n\"\u{7f}\":\"\u{9b}\"}";
    let mut command = inspect("decode roomvars --human --from client");
    command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm");
    let out = String::from_utf8(run_command(command, text.as_bytes()).stdout).unwrap();
    assert!(out.contains(r#"{"\u{9b}2J":"\u001b"}"#), "{out}");
    let ours = ["0", "1", "2", "32", "33", "34", "35", "36", "96"].map(|n| format!("\x1b[{n}m"));
    let rest = ours.iter().fold(out, |out, code| out.replace(code.as_str(), ""));
    assert!(!rest.contains(|c: char| c.is_control() && c != '\n'), "{rest:?}");
}

#[test]
fn the_vectors_read_and_write_as_they_say() {
    let file = include_str!("../../../crates/roomvars-proto/tests/vectors/roomvars.json");
    let file: Value = serde_json::from_str(file).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let limit = format!("max_{}_message", vector["from"].as_str().unwrap());
        let options = options_of(vector, &[("dialect", "dialect"), ("max-message", &limit)]);
        let args = format!("roomvars {options}");
        let bytes = message_of(vector);
        let (status, out, err) = run(&format!("decode {args}"), &bytes);
        assert_eq!((status, &err[..]), (i32::from(vector.get("error").is_some()), ""), "{name}");
        let lines = out.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let objects: Vec<BTreeMap<_, _>> = lines.map(object).collect();
        let is_scratch = vector["config"]["dialect"] == "scratch";
        let messages = vector["messages"].as_array().unwrap().iter();
        let mut expected: Vec<_> = messages.map(|message| fields(message, is_scratch)).collect();
        if let Some(kind) = vector["error"]["kind"].as_str() {
            expected.push(BTreeMap::from([("error".into(), json!(problem_of(kind)).to_string())]));
        }
        assert_eq!(objects, expected, "{name}");
        if vector["canonical"] == true {
            let (status, again, err) = run(&format!("encode {args} --hex"), out);
            assert_eq!((status, err), (0, String::new()), "{name}");
            // An object makes a message; line breaks between tokens have become spaces.
            let expected: String = if vector["from"] == "server" {
                bytes
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty())
                    .map(hex)
                    .collect()
            } else {
                hex(String::from_utf8(bytes).unwrap().replace(['\n', '\r'], " "))
            };
            assert_eq!(String::from_utf8(again).unwrap(), expected, "{name}");
        }
    }
}

/// What a line has, but for where it is; JSON in it may be none that a `Value` takes.
fn object(line: &[u8]) -> BTreeMap<String, String> {
    let object: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line).unwrap();
    let fields = object.into_iter().map(|(key, value)| match &key[..] {
        "variables" => (key, pairs(value.get())),
        _ => (key, value.get().to_owned()),
    });
    fields.filter(|(key, _)| !["offset", "length", "frame", "detail"].contains(&&key[..])).collect()
}

/// Names and values as the vectors have them, in order.
fn pairs(variables: &str) -> String {
    let head = r#"{"kind":"handshake","room":"","username":"","variables":"#;
    let handshake = format!("{head}{variables}}}");
    let message = ClientMessage::from_json(&handshake, &CodecConfig::default()).unwrap();
    let ClientMessage::Handshake { variables, .. } = message else { panic!("{message:?}") };
    json!(variables.iter().collect::<Vec<_>>()).to_string()
}

/// What a message of the vectors has in `inspect`.
fn fields(message: &Value, is_scratch: bool) -> BTreeMap<String, String> {
    let fields = message.as_object().unwrap().iter().filter(|(key, _)| match &key[..] {
        // It is in `raw`.
        "kind" => false,
        "variables" => !is_scratch,
        _ => true,
    });
    let json = |(key, value): (&String, &Value)| match (&key[..], value) {
        // The vectors have these as text.
        ("raw", Value::String(raw)) => (key.clone(), raw.replace(['\n', '\r'], " ")),
        (_, Value::Object(number)) => (key.clone(), number["number"].as_str().unwrap().into()),
        _ => (key.clone(), value.to_string()),
    };
    fields.map(json).collect()
}
