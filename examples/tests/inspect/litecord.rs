//! Litecord: one JSON object a message.

use crate::{check_vectors, hex, inspect, run, run_command};

/// Every type that a client sends, as it is written; secrets shown.
const CLIENT: &[(&str, &str)] = &[
    (r#"{"op":1,"password":"hunter2"}"#, r#""type":"hello_ack","password":"hunter2""#),
    (r#"{"op":2}"#, r#""type":"heartbeat""#),
    (
        r#"{"op":4,"w":"GUILD","a":[1.0,12345678901234567890123],"n":1}"#,
        r#""type":"request","w":"GUILD","a":[1.0,12345678901234567890123],"n":1"#,
    ),
    (r#"{"op":4,"w":"é\"","a":[],"n":null}"#, r#""type":"request","w":"é\"","a":[],"n":null"#),
    (r#"{"op":5,"n":"1","r":{"x":[]}}"#, r#""type":"response","n":"1","r":{"x":[]}"#),
    (r#"{"op":6,"w":"SAY","a":["\ud800"]}"#, r#""type":"dispatch","w":"SAY","a":["\ud800"]"#),
    (r#"{"op":77,"d":[1.0]}"#, r#""type":"unknown","op":77,"raw":{"op":77,"d":[1.0]}"#),
];

/// Every type that only a server sends.
const SERVER: &[(&str, &str)] = &[
    (r#"{"op":0,"hb_interval":10000}"#, r#""type":"hello","hb_interval":10000"#),
    (
        r#"{"op":0,"hb_interval":9007199254740992}"#,
        r#""type":"hello","hb_interval":9007199254740992"#,
    ),
    (r#"{"op":3}"#, r#""type":"heartbeat_ack""#),
];

/// Decodes without anything on stderr; exit status and lines.
fn decode(args: &str, input: impl AsRef<[u8]>) -> (i32, String) {
    let (status, out, err) = run(&format!("decode litecord {args}"), input);
    assert_eq!(err, "");
    (status, String::from_utf8(out).unwrap())
}

fn line(frame: usize, text: &str, fields: &str) -> String {
    format!("{{\"offset\":0,\"length\":{},\"frame\":{frame},{fields}}}\n", text.len())
}

#[test]
fn every_type_is_decoded_and_encoded_to_the_same_bytes() {
    for (args, messages) in [("--from client", CLIENT), ("--from server", SERVER)] {
        let args = format!("{args} --show-secrets");
        for (text, fields) in messages {
            assert_eq!(decode(&args, text), (0, line(0, text, fields)));
            let encoded = run(&format!("encode litecord {args}"), line(0, text, fields));
            assert_eq!(encoded, (0, text.as_bytes().to_vec(), String::new()));
        }
        let lines: String = messages
            .iter()
            .enumerate()
            .map(|(at, (text, fields))| line(at, text, fields))
            .collect();
        let input: String = messages.iter().map(|(text, _)| hex(text)).collect();
        assert_eq!(decode(&format!("{args} --hex"), &input), (0, lines.clone()));
        let encoded = run(&format!("encode litecord {args} --hex"), &lines);
        assert_eq!(encoded, (0, input.into_bytes(), String::new()));
    }
    // What both may send, from the other.
    for (text, fields) in &CLIENT[2..] {
        assert_eq!(decode("--from server", text), (0, line(0, text, fields)));
    }
}

#[test]
fn json_stays_as_it_is_but_on_one_line() {
    let text = "{\"r\":{\"a\":\r\n [1.0,\t2E5]\n},\n \"s\":1,\"op\":5,\"n\":\"\\u00e9\"}\n";
    let fields = r#""type":"response","r":{"a":   [1.0,	2E5] },"n":"\u00e9""#;
    assert_eq!(decode("--from server", text), (0, line(0, text, fields)));
    let text = "\n{\"x\":\n1,\"op\":9}\n";
    let fields = r#""type":"unknown","op":9,"raw":{"x": 1,"op":9}"#;
    assert_eq!(decode("--from server", text), (0, line(0, text, fields)));
}

#[test]
fn every_error_has_its_line() {
    for (args, text, kind, detail) in [
        ("client", &b""[..], "not_json", "not JSON at byte 0"),
        ("client", b"{\"op\":2", "not_json", "not JSON at byte 7"),
        ("client", b"{\"op\":2,\"\xff\":0}", "not_json", "not UTF-8 at byte 9"),
        ("client", b"[]", "invalid_field", "not a JSON object at byte 0"),
        ("client", b"{}", "invalid_field", r#"key \"op\" is missing at byte 1"#),
        ("client", br#"{"op":2,"op":2}"#, "invalid_field", r#"key \"op\" twice at byte 8"#),
        (
            "client",
            br#"{"op":4.0}"#,
            "invalid_field",
            r#"\"op\" is not an integer from 0 to 255 at byte 6"#,
        ),
        (
            "client",
            br#"{"op":0,"hb_interval":1}"#,
            "wrong_direction",
            "HELLO from the wrong side at byte 6",
        ),
        ("server", br#"{"op":2}"#, "wrong_direction", "HEARTBEAT from the wrong side at byte 6"),
        (
            "server --directions as-documented",
            br#"{"op":6,"w":"x","a":[]}"#,
            "wrong_direction",
            "DISPATCH from the wrong side at byte 6",
        ),
        (
            "client --max-message 7",
            br#"{"op":2}"#,
            "payload_too_large",
            "message of 8 bytes, the limit is 7 at byte 7",
        ),
    ] {
        let fields = format!(r#""error":"{kind}","detail":"{detail}""#);
        let length = text.len();
        let expected = format!("{{\"offset\":0,\"length\":{length},\"frame\":0,{fields}}}\n");
        assert_eq!(decode(&format!("--from {args}"), text), (1, expected));
    }
    // It goes on with the next.
    let (status, out) = decode("--from client --hex", hex("nope") + &hex(CLIENT[1].0));
    assert_eq!(status, 1);
    assert!(out.ends_with(&line(1, CLIENT[1].0, CLIENT[1].1)), "{out}");
}

#[test]
fn passwords_are_shown_only_when_asked() {
    let good = r#"{"op":1,"password":"s3cr3t!"}"#;
    let hidden = line(0, good, r#""type":"hello_ack","password":"[redacted]""#);
    assert_eq!(decode("--from client", good), (0, hidden.clone()));
    let (status, out, err) = run("encode litecord --from client", hidden);
    assert_eq!((status, out), (1, vec![]));
    assert_eq!(err, "inspect: line 1: \"password\" is redacted: decode with --show-secrets\n");

    // Nor where it doesn't belong, in what isn't known, and in what is broken.
    for text in [
        good,
        r#"{"op":2,"password":"s3cr3t!"}"#,
        r#"{"op":1,"\u0070assword":"s3cr3t!"}"#,
        r#"{"op":1,"password":["s3cr3t!"]}"#,
        r#"{"op":99,"password":"s3cr3t!"}"#,
        r#"{"op":1,"password":"s3cr3t!""#,
        r#"{"op":1,"pass\u0077ord":"s3cr3t!"#,
    ] {
        for from in ["client", "server"] {
            for mode in ["--json", "--human", "--human --full"] {
                let out = decode(&format!("--from {from} {mode}"), text).1;
                assert!(!out.contains("s3cr3") && !out.contains("73 33"), "{out}");
                assert_eq!(out.contains("** ** ** ** **"), mode != "--json", "{out}");
            }
            let shown = decode(&format!("--from {from} --human --full --show-secrets"), text).1;
            assert!(shown.contains("73 33 63 72") || shown.contains("\n  0000001"), "{shown}");
            assert!(!shown.contains("**"), "{shown}");
        }
    }
    let unknown = decode("--from client", r#"{"op":99,"password":"s3cr3t!"}"#).1;
    let (status, _, err) = run("encode litecord --from client", unknown);
    assert_eq!(status, 1);
    assert!(err.contains("\"raw\" is redacted: decode with --show-secrets"), "{err}");
}

#[test]
fn encode_refuses_what_it_cannot_write() {
    for (args, object, why) in [
        ("client", r#"{"type":"nope"}"#, "unknown type \"nope\""),
        ("client", r#"{"type":"hello","hb_interval":1}"#, "a client doesn't send this"),
        ("server", r#"{"type":"heartbeat"}"#, "a server doesn't send this"),
        ("server", r#"{"type":"hello","hb_interval":1.0}"#, "\"hb_interval\" must be an integer"),
        (
            "server",
            r#"{"type":"hello","hb_interval":9007199254740993}"#,
            "a heartbeat interval of 9007199254740993 ms is too long",
        ),
        ("client", r#"{"type":"hello_ack","password":1}"#, "\"password\" must be a string"),
        ("client", r#"{"type":"request","w":"x","a":[]}"#, "\"n\" is missing"),
        ("client", r#"{"type":"request","w":"x","a":{},"n":1}"#, "the arguments are not an array"),
        ("client", r#"{"type":"response","n":1,"r":1,"w":""}"#, "\"w\" doesn't belong"),
        ("client", r#"{"type":"unknown","op":9}"#, "\"raw\" is missing"),
        ("client", r#"{"type":"unknown","op":8,"raw":{"op":9}}"#, "another op than"),
        ("client", r#"{"type":"unknown","op":2,"raw":{"op":2}}"#, "\"raw\" is a heartbeat"),
        ("client", r#"{"type":"unknown","op":9,"raw":[9]}"#, "not a JSON object"),
        ("client --max-message 8", r#"{"type":"unknown","op":9,"raw":{"op": 9}}"#, "limit is 8"),
        (
            "server --directions as-documented",
            r#"{"type":"dispatch","w":"x","a":[]}"#,
            "DISPATCH from the wrong side",
        ),
    ] {
        // The object behind it is written all the same.
        let input = format!("{object}\n{{\"type\":\"unknown\",\"op\":9,\"raw\":{{\"op\":9}}}}\n");
        let (status, out, err) = run(&format!("encode litecord --from {args}"), &input);
        assert_eq!((status, &out[..]), (1, &br#"{"op":9}"#[..]), "{object}");
        assert!(err.starts_with("inspect: line 1: ") && err.contains(why), "{err}{object}");
    }
}

#[test]
fn the_hexdump_has_every_key() {
    let text = "{\"op\":4,\"w\":\"GUILD\",\n \"a\":[1,2],\"n\":7,\"s\":0}";
    let (status, out) = decode("--from client --human", text);
    let expected = "\
#0        client  request  44 bytes
  00000000 ,7b 22 6f 70 22 3a                                key          \"op\"
  00000006 #34                                               op           request
  00000007 ,2c 22 77 22 3a                                   key          \"w\"
  0000000c  22 47 55 49 4c 44 22                             w            \"GUILD\"
  00000013 ,2c 0a 20 22 61 22 3a                             key          \"a\"
  0000001a  5b 31 2c 32 5d                                   a            [1,2]
  0000001f ,2c 22 6e 22 3a                                   key          \"n\"
  00000024  37                                               n            7
  00000025 ,2c 22 73 22 3a                                   key          \"s\"
  0000002a  30                                               (ignored)    0
  0000002b ,7d                                               end          \n";
    assert_eq!((status, out.as_str()), (0, expected));
    let (status, out) = decode("--from server --human", r#"{"op":2}"#);
    assert_eq!(status, 1);
    assert!(out.contains("wrong_direction: HEARTBEAT from the wrong side at byte 6"), "{out}");
    assert!(out.contains("  00000006 !32   "), "{out}");
    let (_, out) = decode("--from server --human", "nope");
    assert!(out.contains("  00000000 !6e 6f 70 65   "), "{out}");
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let text = "{\"op\":6,\"w\":\"\u{7f}\u{9b}2J\",\"a\":[\"\u{202e}\u{9b}\",\n'\"'\"]}";
    let text = text.replace("\n'\"'\"", "\n\"\\u001b'\"");
    let mut command = inspect("decode litecord --human --from client");
    command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm");
    let out = String::from_utf8(run_command(command, text.as_bytes()).stdout).unwrap();
    assert!(out.contains(r#""\u{7f}\u{9b}2J""#), "{out}");
    assert!(out.contains(r#"["\u{202e}\u{9b}",\n"\u001b'"]"#), "{out}");
    let ours = ["0", "1", "2", "32", "33", "34", "35", "36", "96"].map(|n| format!("\x1b[{n}m"));
    let rest = ours.iter().fold(out, |out, code| out.replace(code.as_str(), ""));
    assert!(!rest.contains(|c: char| c.is_control() && c != '\n'), "{rest:?}");
}

#[test]
fn the_vectors_read_and_write_as_they_say() {
    let file = include_str!("../../../crates/litecord-proto/tests/vectors/litecord.json");
    check_vectors(file, &[("directions", "directions"), ("max-message", "max_message")], field);
}

/// A key of the vectors as `inspect` has it, and whether the vectors have its JSON as text.
fn field(key: &str) -> (&str, bool) {
    let name = match key {
        "what" => "w",
        "args" => "a",
        "nonce" => "n",
        "result" => "r",
        other => other,
    };
    (name, matches!(name, "a" | "n" | "r" | "raw"))
}
