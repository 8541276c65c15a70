//! Emagine: one JSON object a message.

use crate::{check_vectors, hex, inspect, run, run_command};

/// What both sides send, as it is written.
const BOTH: &[(&str, &str)] = &[
    (r#"{"op":10,"time":1579523400000}"#, r#""type":"heartbeat","time":1579523400000"#),
    (r#"{"op":10}"#, r#""type":"heartbeat""#),
    (
        r#"{"op":11,"time":[1.0,12345678901234567890123]}"#,
        r#""type":"heartbeat_ack","time":[1.0,12345678901234567890123]"#,
    ),
    (r#"{"op":11,"time":null}"#, r#""type":"heartbeat_ack","time":null"#),
    (r#"{"op":11}"#, r#""type":"heartbeat_ack""#),
    (r#"{"op":77,"d":[1.0]}"#, r#""type":"unknown","op":77,"raw":{"op":77,"d":[1.0]}"#),
];

/// What only a client sends; secrets shown.
const CLIENT: &[(&str, &str)] =
    &[(r#"{"op":1,"token":"é\"1"}"#, r#""type":"identify","token":"é\"1""#)];

/// What only a server sends.
const SERVER: &[(&str, &str)] = &[
    (r#"{"op":0,"heartbeat_interval":45000}"#, r#""type":"hello","heartbeat_interval":45000"#),
    (
        r#"{"op":0,"heartbeat_interval":9007199254740992}"#,
        r#""type":"hello","heartbeat_interval":9007199254740992"#,
    ),
    (r#"{"op":2,"user":"é\""}"#, r#""type":"ready","user":"é\"""#),
    (
        r#"{"op":3,"message":{"text":"\ud800","n":1.0}}"#,
        r#""type":"message","message":{"text":"\ud800","n":1.0}"#,
    ),
    (r#"{"op":3,"message":"hi"}"#, r#""type":"message","message":"hi""#),
];

/// Decodes without anything on stderr; exit status and lines.
fn decode(args: &str, input: impl AsRef<[u8]>) -> (i32, String) {
    let (status, out, err) = run(&format!("decode emagine {args}"), input);
    assert_eq!(err, "");
    (status, String::from_utf8(out).unwrap())
}

fn line(frame: usize, text: &str, fields: &str) -> String {
    format!("{{\"offset\":0,\"length\":{},\"frame\":{frame},{fields}}}\n", text.len())
}

#[test]
fn every_type_is_decoded_and_encoded_to_the_same_bytes() {
    for (from, messages) in
        [("client", [CLIENT, BOTH].concat()), ("server", [SERVER, BOTH].concat())]
    {
        let args = format!("--from {from} --show-secrets");
        for (text, fields) in &messages {
            assert_eq!(decode(&args, text), (0, line(0, text, fields)));
            let encoded = run(&format!("encode emagine {args}"), line(0, text, fields));
            assert_eq!(encoded, (0, text.as_bytes().to_vec(), String::new()));
        }
        let lines: String = messages
            .iter()
            .enumerate()
            .map(|(at, (text, fields))| line(at, text, fields))
            .collect();
        let input: String = messages.iter().map(|(text, _)| hex(text)).collect();
        assert_eq!(decode(&format!("{args} --hex"), &input), (0, lines.clone()));
        let encoded = run(&format!("encode emagine {args} --hex"), &lines);
        assert_eq!(encoded, (0, input.into_bytes(), String::new()));
    }
}

#[test]
fn every_spelling_is_known_and_one_is_written() {
    let ready = r#""type":"ready","user":"ada""#;
    let message = r#""type":"message","message":[1.0]"#;
    for (text, fields, written) in [
        (r#"{"op":1,"user":"ada"}"#, ready, r#"{"op":2,"user":"ada"}"#),
        (r#"{"op":2,"user":"ada"}"#, ready, r#"{"op":2,"user":"ada"}"#),
        (r#"{"op":2,"message":[1.0]}"#, message, r#"{"op":3,"message":[1.0]}"#),
        (r#"{"op":2,"user":"ada","message":[1.0]}"#, message, r#"{"op":3,"message":[1.0]}"#),
        (r#"{"op":3,"message":[1.0],"user":1}"#, message, r#"{"op":3,"message":[1.0]}"#),
    ] {
        assert_eq!(decode("--from server", text), (0, line(0, text, fields)));
        let encoded = run("encode emagine --from server", line(0, text, fields));
        assert_eq!(encoded, (0, written.as_bytes().to_vec(), String::new()));
    }
}

#[test]
fn json_stays_as_it_is_but_on_one_line() {
    let text = "{\"message\":{\"a\":\r\n [1.0,\t2E5]\n},\n \"s\":1,\"\\u006fp\":3}\n";
    let fields = r#""type":"message","message":{"a":   [1.0,	2E5] }"#;
    assert_eq!(decode("--from server", text), (0, line(0, text, fields)));
    let text = "{\"op\":10,\"time\":\"\\u00e9\"}";
    assert_eq!(
        decode("--from client", text),
        (0, line(0, text, r#""type":"heartbeat","time":"\u00e9""#))
    );
}

#[test]
fn every_error_has_its_line() {
    for (args, text, kind, detail) in [
        ("client", &b""[..], "not_json", "not JSON at byte 0"),
        ("client", b"{\"op\":10,\"\xff\":0}", "not_json", "not UTF-8 at byte 10"),
        ("client", b"[]", "invalid_field", "not a JSON object at byte 0"),
        ("client", b"{}", "invalid_field", r#"key \"op\" is missing at byte 1"#),
        (
            "client",
            br#"{"op":10,"time":1,"time":2}"#,
            "invalid_field",
            r#"key \"time\" twice at byte 18"#,
        ),
        (
            "client",
            br#"{"op":1,"token":1}"#,
            "invalid_field",
            r#"\"token\" is not a string at byte 16"#,
        ),
        ("server", br#"{"op":3}"#, "invalid_field", r#"key \"message\" is missing at byte 7"#),
        (
            "server",
            br#"{"op":1,"token":""}"#,
            "invalid_field",
            r#"key \"user\" is missing at byte 18"#,
        ),
        (
            "client",
            br#"{"op":2,"user":""}"#,
            "wrong_direction",
            "Ready from the wrong side at byte 6",
        ),
        (
            "client --max-message 8",
            br#"{"op":10}"#,
            "payload_too_large",
            "message of 9 bytes, the limit is 8 at byte 8",
        ),
    ] {
        let fields = format!(r#""error":"{kind}","detail":"{detail}""#);
        let length = text.len();
        let expected = format!("{{\"offset\":0,\"length\":{length},\"frame\":0,{fields}}}\n");
        assert_eq!(decode(&format!("--from {args}"), text), (1, expected));
    }
    // It goes on with the next.
    let (status, out) = decode("--from client --hex", hex("nope") + &hex(BOTH[0].0));
    assert_eq!(status, 1);
    assert!(out.ends_with(&line(1, BOTH[0].0, BOTH[0].1)), "{out}");
}

#[test]
fn tokens_are_shown_only_when_asked() {
    let good = r#"{"op":1,"token":"s3cr3t!"}"#;
    let hidden = line(0, good, r#""type":"identify","token":"[redacted]""#);
    assert_eq!(decode("--from client", good), (0, hidden.clone()));
    let (status, out, err) = run("encode emagine --from client", hidden);
    assert_eq!((status, out), (1, vec![]));
    assert_eq!(err, "inspect: line 1: \"token\" is redacted: decode with --show-secrets\n");

    // Nor where it doesn't belong, in what isn't known, and in what is broken.
    for text in [
        good,
        r#"{"op":10,"token":"s3cr3t!"}"#,
        r#"{"op":1,"\u0074oken":"s3cr3t!"}"#,
        r#"{"op":1,"token":["s3cr3t!"]}"#,
        r#"{"op":99,"token":"s3cr3t!"}"#,
        r#"{"op":1,"token":"s3cr3t!""#,
        r#"{"op":1,"tok\u0065n":"s3cr3t!"#,
    ] {
        for from in ["client", "server"] {
            for mode in ["--json", "--human", "--human --full"] {
                let out = decode(&format!("--from {from} {mode}"), text).1;
                assert!(!out.contains("s3cr3") && !out.contains("73 33"), "{out}");
                assert_eq!(out.contains("** ** ** ** **"), mode != "--json", "{out}");
            }
        }
    }
}

#[test]
fn encode_refuses_what_it_cannot_write() {
    for (args, object, why) in [
        ("client", r#"{"type":"nope"}"#, "unknown type \"nope\""),
        ("client", r#"{"type":"hello","heartbeat_interval":1}"#, "a client doesn't send this"),
        ("server", r#"{"type":"identify","token":"x"}"#, "a server doesn't send this"),
        ("server", r#"{"type":"hello","heartbeat_interval":1.0}"#, "must be an integer"),
        (
            "server",
            r#"{"type":"hello","heartbeat_interval":9007199254740993}"#,
            "a heartbeat interval of 9007199254740993 ms is too long",
        ),
        ("client", r#"{"type":"identify","token":1}"#, "\"token\" must be a string"),
        ("server", r#"{"type":"ready"}"#, "\"user\" is missing"),
        ("server", r#"{"type":"message"}"#, "\"message\" is missing"),
        ("client", r#"{"type":"heartbeat","message":1}"#, "\"message\" doesn't belong"),
        ("client", r#"{"type":"unknown","op":8,"raw":{"op":9}}"#, "another op than"),
        ("client", r#"{"type":"unknown","op":10,"raw":{"op":10}}"#, "\"raw\" is a heartbeat"),
        ("client", r#"{"type":"unknown","op":9,"raw":[9]}"#, "not a JSON object"),
        ("client --max-message 8", r#"{"type":"unknown","op":9,"raw":{"op": 9}}"#, "limit is 8"),
    ] {
        // The object behind it is written all the same.
        let input = format!("{object}\n{{\"type\":\"unknown\",\"op\":9,\"raw\":{{\"op\":9}}}}\n");
        let (status, out, err) = run(&format!("encode emagine --from {args}"), &input);
        assert_eq!((status, &out[..]), (1, &br#"{"op":9}"#[..]), "{object}");
        assert!(err.starts_with("inspect: line 1: ") && err.contains(why), "{err}{object}");
    }
}

#[test]
fn the_hexdump_has_every_key() {
    let text = "{\"op\":2,\"message\":\n [1,2],\"s\":0}";
    let (status, out) = decode("--from server --human", text);
    let expected = "\
#0        server  message  32 bytes
  00000000 ,7b 22 6f 70 22 3a                                key          \"op\"
  00000006 #32                                               op           message
  00000007 ,2c 22 6d 65 73 73 61 67 65 22 3a 0a 20           key          \"message\"
  00000014  5b 31 2c 32 5d                                   message      [1,2]
  00000019 ,2c 22 73 22 3a                                   key          \"s\"
  0000001e  30                                               (ignored)    0
  0000001f ,7d                                               end          \n";
    assert_eq!((status, out.as_str()), (0, expected));
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let text = "{\"op\":3,\"message\":[\"\u{202e}\u{9b}\",\n\"\\u001b'\"],\"\u{7f}\":\"\u{9b}2J\"}";
    let mut command = inspect("decode emagine --human --from server");
    command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm");
    let out = String::from_utf8(run_command(command, text.as_bytes()).stdout).unwrap();
    assert!(out.contains(r#"["\u{202e}\u{9b}",\n"\u001b'"]"#), "{out}");
    let ours = ["0", "1", "2", "32", "33", "34", "35", "36", "96"].map(|n| format!("\x1b[{n}m"));
    let rest = ours.iter().fold(out, |out, code| out.replace(code.as_str(), ""));
    assert!(!rest.contains(|c: char| c.is_control() && c != '\n'), "{rest:?}");
}

#[test]
fn the_vectors_read_and_write_as_they_say() {
    let file = include_str!("../../../crates/emagine-proto/tests/vectors/emagine.json");
    check_vectors(file, &[("max-message", "max_message")], |key| {
        (key, matches!(key, "message" | "time" | "raw"))
    });
}
