//! Bingo: frames in a byte stream. What isn't particular to it is tested here, too.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use crate::{inspect, options_of, run, run_command};

/// Every type that a client sends.
const CLIENT: &[(&[u8], &str)] = &[
    (b"\x00", r#""type":"noop""#),
    (
        b"\x01\x00\x00\x00\x21{\"login\":\"9f2c\",\"username\":\"Ada\"}",
        r#""type":"identification","message_id":0,"login":"9f2c","username":"Ada""#,
    ),
    (b"\x04\x00\x01\x00\x07claim 7", r#""type":"request","message_id":1,"text":"claim 7""#),
    (b"\x04\x00\x02\x00\x00", r#""type":"request","message_id":2,"text":"""#),
    (b"\x04\x01\x02\x00\x02\xff\x0a", r#""type":"request","message_id":258,"payload":"ff0a""#),
    (b"\x05\x00\x03\x00\x02\x80\x01", r#""type":"reply","message_id":3,"in_reply_to":32769"#),
    (
        b"\x05\x00\x04\x00\x04\x80\x01ok",
        r#""type":"reply","message_id":4,"in_reply_to":32769,"text":"ok""#,
    ),
    (
        b"\x05\x00\x05\x00\x03\xff\xff\x80",
        r#""type":"reply","message_id":5,"in_reply_to":65535,"payload":"80""#,
    ),
    // It answers nothing that the server asked, which isn't for a codec to know.
    (b"\x05\x00\x05\x00\x02\x00\x01", r#""type":"reply","message_id":5,"in_reply_to":1"#),
    (b"\x06\x80\x02\x00\x00", r#""type":"error_reply","in_reply_to":32770"#),
    (b"\x07\x00\x06\x00\x00", r#""type":"protocol_error","message_id":6,"text":"""#),
    (
        b"\x08\x7f\xff\x00\x04\x00\"\xc3\xa9",
        r#""type":"event","message_id":32767,"text":"\u0000\"é""#,
    ),
];

/// Every type that a server sends; secrets shown.
const SERVER: &[(&[u8], &str)] = &[
    (b"\x00", r#""type":"noop""#),
    (b"\x02\x80\x00\x00\x07s3cr3t!", r#""type":"ready","message_id":32768,"token":"s3cr3t!""#),
    (b"\x02\x80\x00\x00\x00", r#""type":"ready","message_id":32768,"token":"""#),
    (b"\x02\x80\x00\x00\x02\xff\x00", r#""type":"ready","message_id":32768,"token_hex":"ff00""#),
    (
        b"\x02\x80\x00\x00\x0a[redacted]",
        r#""type":"ready","message_id":32768,"token_hex":"5b72656461637465645d""#,
    ),
    (b"\x03\x80\x01\x00\x00", r#""type":"ping","message_id":32769"#),
    (b"\x04\x80\x02\x00\x01?", r#""type":"request","message_id":32770,"text":"?""#),
    (b"\x05\x80\x03\x00\x02\x00\x01", r#""type":"reply","message_id":32771,"in_reply_to":1"#),
    (
        b"\x05\x80\x04\x00\x04\x00\x01ok",
        r#""type":"reply","message_id":32772,"in_reply_to":1,"text":"ok""#,
    ),
    (b"\x06\x00\x01\x00\x02no", r#""type":"error_reply","in_reply_to":1,"text":"no""#),
    (b"\x06\x00\x01\x00\x00", r#""type":"error_reply","in_reply_to":1,"text":"""#),
    (b"\x07\x80\x05\x00\x03bye", r#""type":"protocol_error","message_id":32773,"text":"bye""#),
    (b"\x08\x80\x06\x00\x01!", r#""type":"event","message_id":32774,"text":"!""#),
    (b"\x09\xff\xff\x00\x04b3=1", r#""type":"data_update","message_id":65535,"text":"b3=1""#),
];

/// The ErrorReplies of the other dialect.
const CLIENT_PREFIX: &[(&[u8], &str)] = &[(
    b"\x06\x00\x01\x00\x02\x80\x02",
    r#""type":"error_reply","message_id":1,"in_reply_to":32770"#,
)];
const SERVER_PREFIX: &[(&[u8], &str)] = &[
    (
        b"\x06\x80\x01\x00\x04\x00\x02no",
        r#""type":"error_reply","message_id":32769,"in_reply_to":2,"text":"no""#,
    ),
    (
        b"\x06\x80\x01\x00\x02\x00\x02",
        r#""type":"error_reply","message_id":32769,"in_reply_to":2,"text":"""#,
    ),
];

/// Decodes without anything on stderr; exit status and lines.
fn decode(args: &str, input: impl AsRef<[u8]>) -> (i32, String) {
    let (status, out, err) = run(&format!("decode bingo {args}"), input);
    assert_eq!(err, "");
    (status, String::from_utf8(out).unwrap())
}

fn wire(frames: &[(&[u8], &str)]) -> Vec<u8> {
    frames.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect()
}

fn lines(frames: &[(&[u8], &str)]) -> String {
    let mut offset = 0;
    let line = |(bytes, fields): &(&[u8], &str)| {
        let start = offset;
        offset += bytes.len();
        format!("{{\"offset\":{start},\"length\":{},{fields}}}\n", bytes.len())
    };
    frames.iter().map(line).collect::<Vec<_>>().concat()
}

/// The same frame with its numbers the other way round.
fn little(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    if frame[0] != 0 {
        frame[1..3].reverse();
        frame[3..5].reverse();
    }
    if frame[0] == 5 || frame[0] == 6 && frame.len() > 5 {
        frame[5..7].reverse();
    }
    frame
}

fn hex_lines(chunks: &[&[u8]]) -> String {
    let mut text = String::new();
    for chunk in chunks {
        chunk.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        text.push('\n');
    }
    text
}

#[test]
fn every_type_is_decoded_and_encoded_to_the_same_bytes() {
    for (args, frames) in [
        ("--from client", CLIENT),
        ("--from server --show-secrets", SERVER),
        ("--from client --dialect header-id --byte-order big", CLIENT),
        ("--from client --dialect payload-prefix", CLIENT_PREFIX),
        ("--from server --dialect payload-prefix", SERVER_PREFIX),
    ] {
        let bytes = wire(frames);
        assert_eq!(decode(args, &bytes), (0, lines(frames)), "{args}");
        let encoded = run(&format!("encode bingo {args}"), lines(frames));
        assert_eq!(encoded, (0, bytes, String::new()), "{args}");
    }
}

#[test]
fn the_byte_order_is_that_of_all_numbers() {
    let header_id = |(frame, _): &&(&[u8], &str)| frame[0] != 6;
    for (args, frames) in [
        ("--from client", CLIENT.iter().filter(header_id).copied().collect::<Vec<_>>()),
        ("--from server --show-secrets", SERVER.iter().filter(header_id).copied().collect()),
        ("--from client --dialect payload-prefix", CLIENT_PREFIX.to_vec()),
        ("--from server --dialect payload-prefix", SERVER_PREFIX.to_vec()),
    ] {
        let args = format!("{args} --byte-order little");
        let bytes: Vec<u8> = frames.iter().flat_map(|(frame, _)| little(frame)).collect();
        assert_eq!(decode(&args, &bytes), (0, lines(&frames)), "{args}");
        let encoded = run(&format!("encode bingo {args}"), lines(&frames));
        assert_eq!(encoded, (0, bytes, String::new()), "{args}");
    }
    let expected = "{\"offset\":0,\"length\":7,\"type\":\"error_reply\",\"in_reply_to\":1,\
                    \"text\":\"no\"}\n";
    let args = "--from server --byte-order little";
    assert_eq!(decode(args, b"\x06\x01\x00\x02\x00no"), (0, expected.into()));
}

#[test]
fn every_error_has_its_line() {
    let bad = |length: usize, kind: &str, detail: &str| {
        format!(
            "{{\"offset\":1,\"length\":{length},\"error\":\"{kind}\",\"detail\":\"{detail}\"}}\n"
        )
    };
    let noop = |offset: usize| format!("{{\"offset\":{offset},\"length\":1,\"type\":\"noop\"}}\n");
    let who = |json: &str| {
        let length = u8::try_from(json.len()).unwrap();
        [b"\x01\x00\x00\x00", &[length][..], json.as_bytes()].concat()
    };
    let deep = "[".repeat(129);
    let client: &[(Vec<u8>, &str, &str)] = &[
        (
            b"\x09\x80\x00\x00\x00".to_vec(),
            "wrong_direction",
            "data_update from the wrong side at byte 1",
        ),
        (
            b"\x04\x80\x00\x00\x00".to_vec(),
            "wrong_id_half",
            "message id 0x8000 of the wrong half at byte 2",
        ),
        (
            b"\x06\x00\x01\x00\x00".to_vec(),
            "wrong_id_half",
            "message id 0x0001 of the wrong half at byte 2",
        ),
        (
            b"\x05\x00\x00\x00\x01\x80".to_vec(),
            "malformed",
            "reply too short for the id it answers at byte 6",
        ),
        (b"\x06\x80\x00\x00\x01x".to_vec(), "malformed", "payload where none may be at byte 6"),
        (b"\x07\x00\x00\x00\x03ok\xff".to_vec(), "malformed", "text is not UTF-8 at byte 8"),
        (who("{\"login\""), "not_json", "not JSON at byte 14"),
        (who(""), "not_json", "not JSON at byte 6"),
        (who("[]"), "invalid_field", "not a JSON object at byte 6"),
        (who("{}"), "invalid_field", r#"key \"login\" is missing at byte 7"#),
        (
            who(r#"{"login":"a","username":1}"#),
            "invalid_field",
            r#"key \"username\" is not a string at byte 30"#,
        ),
        (who(r#"{"login":"a","login":"b"}"#), "invalid_field", r#"key \"login\" twice at byte 19"#),
        (who(&deep), "invalid_field", "JSON nested deeper than 128 levels at byte 134"),
    ];
    for (frame, kind, detail) in client {
        let (status, out) = decode("--from client", [b"\x00", &frame[..], b"\x00"].concat());
        let after = noop(frame.len() + 1);
        assert_eq!(out, noop(0) + &bad(frame.len(), kind, detail) + &after);
        assert_eq!(status, 1);
    }

    // These end the stream.
    let ended = |args: &str, bytes: &[u8], length, kind, detail| {
        let expected = (1, noop(0) + &bad(length, kind, detail));
        assert_eq!(decode(&format!("--from server {args}"), bytes), expected);
    };
    ended("", b"\x00\x0a\x00", 1, "unknown_opcode", "unknown opcode 0x0a at byte 1");
    ended("", b"\x00\xff", 1, "unknown_opcode", "unknown opcode 0xff at byte 1");
    let detail = "payload of 3 bytes, the limit is 2 at byte 4";
    ended("--max-payload 2", b"\x00\x08\x80\x00\x00\x03abc\x00", 5, "payload_too_large", detail);
    let detail = "the stream ended inside a frame at byte 1";
    ended("", b"\x00\x08\x80", 2, "unexpected_eof", detail);
    ended("", b"\x00\x08\x80\x00\x00\x03ab", 7, "unexpected_eof", detail);
    ended("--dialect payload-prefix", b"\x00\x03\x80\x00\x00", 4, "unexpected_eof", detail);
    let (status, out) = decode("--from server --dialect payload-prefix", b"\x06\x80\x00\x00\x01x");
    assert_eq!(status, 1);
    assert!(out.contains("\"malformed\",\"detail\":\"reply too short"), "{out}");
    let (_, out) = decode("--from server", b"\x03\x80\x00\x00\x01x");
    assert!(out.contains("\"malformed\",\"detail\":\"payload where none"), "{out}");
    let (_, out) = decode("--from server", b"\x01\x00\x00\x00\x00");
    assert!(out.contains("\"wrong_direction\""), "{out}");
}

#[test]
fn chunks_never_change_the_output() {
    let good = wire(SERVER);
    let bad: &[&[u8]] =
        &[b"\x03\x80\x00\x00\x01x", b"\x04\x00\x00\x00\x02hi", b"\x05\x80\x00\x00\x00"];
    for tail in [&b""[..], b"\x08\x80\x00\x00\x03ab", b"\x08\x80", b"\x0a\x00\x00\x00\x00\x00\x00"]
    {
        let bytes = [&good[..], &bad.concat(), &good[..12], tail].concat();
        let whole = decode("--from server --json", &bytes);
        let bytewise: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode("--from server --hex", hex_lines(&bytewise)), whole);
        for at in (0..=bytes.len()).step_by(7) {
            let (front, back) = bytes.split_at(at);
            assert_eq!(decode("--from server --hex", hex_lines(&[front, back])), whole, "{at}");
        }
        // The hexdump doesn't change either, not even that of what is bad.
        let human = decode("--from server --human", &bytes);
        assert_eq!(decode("--from server --human --hex", hex_lines(&bytewise)), human);
    }
    // More than one read.
    let frame = [b"\x08\x80\x00\xff\xff", &vec![b'x'; 0xffff][..]].concat();
    let (status, out) = decode("--from server", frame.repeat(3));
    assert_eq!((status, out.lines().count()), (0, 3));
    assert!(out.lines().last().unwrap().starts_with("{\"offset\":131080,\"length\":65540,"));
}

#[test]
fn hex_input_is_lenient_with_space_only() {
    let expected = (0, lines(&[(b"\x04\x00\x01\x00\x01!", CLIENT[2].1)]).replace("claim 7", "!"));
    for text in ["040001000121", "04 0001\n\n\t0001 2 1\r\n", "\n0 4\n00010001\n21"] {
        assert_eq!(decode("--from client --hex", text), expected, "{text:?}");
    }
    assert_eq!(decode("--from client --hex", "").0, 0);
    for (text, line) in [("00\n\n0g", 3), ("0", 1), ("00\n\u{e9}", 2), ("0x00", 1)] {
        let (status, out, err) = run("decode bingo --from client --hex", text);
        assert_eq!((status, err), (1, format!("inspect: line {line}: not hex\n")), "{text:?}");
        // What came before is shown.
        assert_eq!(out.is_empty(), line == 1);
    }
}

#[test]
fn encode_writes_hex_lines() {
    let (status, out, err) = run("encode bingo --from client --hex", lines(CLIENT));
    let frames: Vec<&[u8]> = CLIENT.iter().map(|(bytes, _)| *bytes).collect();
    assert_eq!((status, String::from_utf8(out).unwrap()), (0, hex_lines(&frames)));
    assert_eq!(err, "");
}

#[test]
fn tokens_are_shown_only_when_asked() {
    let ready = b"\x02\x80\x00\x00\x07s3cr3t!";
    let hidden = "{\"offset\":0,\"length\":12,\"type\":\"ready\",\"message_id\":32768,\
                  \"token\":\"[redacted]\"}\n";
    assert_eq!(decode("--from server", ready), (0, hidden.into()));
    let opaque = decode("--from server", b"\x02\x80\x00\x00\x02\xff\xfe").1;
    assert!(opaque.ends_with("\"token_hex\":\"[redacted]\"}\n"), "{opaque}");
    let (status, out, err) = run("encode bingo --from server", hidden);
    assert_eq!((status, out), (1, vec![]));
    assert_eq!(err, "inspect: line 1: \"token\" is redacted: decode with --show-secrets\n");

    // Neither in a frame that is bad, nor in one cut off.
    let wrong_half = b"\x02\x00\x00\x00\x07s3cr3t!";
    for (from, bytes) in [
        ("server", &ready[..]),
        ("client", ready),
        ("server", wrong_half),
        ("server", &ready[..11]),
    ] {
        for mode in ["--json", "--human", "--human --full"] {
            let out = decode(&format!("--from {from} {mode}"), bytes).1;
            assert!(!out.contains("s3cr3") && !out.contains("73 33"), "{out}");
            assert_eq!(out.contains("** ** ** ** ** **"), mode != "--json", "{out}");
        }
        let shown = decode(&format!("--from {from} --human --show-secrets"), bytes).1;
        assert!(shown.contains("73 33 63 72 33 74") && !shown.contains("**"), "{shown}");
    }
}

#[test]
fn encode_refuses_what_it_cannot_write() {
    let long = format!(r#"{{"type":"event","message_id":1,"payload":"{}"}}"#, "00".repeat(65536));
    let both = r#"{"type":"event","message_id":1,"text":"x","payload":"78"}"#;
    for (from, object, why) in [
        ("client", "", "EOF"),
        ("client", "[]", "expected an object"),
        ("client", "{} {}", "trailing characters, column 4"),
        ("client", "{\"type\":\"noop\"", "EOF while parsing an object, column 14"),
        ("client", "{}", "\"type\" is missing"),
        ("client", r#"{"type":7}"#, "\"type\" must be a string"),
        ("client", r#"{"type":"nope"}"#, "unknown type \"nope\""),
        ("client", r#"{"type":"Noop"}"#, "unknown type \"Noop\""),
        ("client", r#"{"type":"noop","type":"noop"}"#, "\"type\" is there twice"),
        (
            "client",
            r#"{"type":"noop","message_id":1}"#,
            "\"message_id\" doesn't belong to this noop",
        ),
        ("client", r#"{"error":"malformed","detail":""}"#, "can't be encoded"),
        ("client", r#"{"type":"request","text":"x"}"#, "\"message_id\" is missing"),
        ("client", r#"{"type":"request","message_id":1}"#, "\"text\" is missing"),
        ("client", r#"{"type":"request","message_id":1,"text":null}"#, "must be a string"),
        ("client", r#"{"type":"event","message_id":70000,"text":""}"#, "from 0 to 65535"),
        ("client", r#"{"type":"event","message_id":-1,"text":""}"#, "from 0 to 65535"),
        ("client", r#"{"type":"event","message_id":"1","text":""}"#, "from 0 to 65535"),
        ("client", r#"{"type":"event","message_id":32768,"text":""}"#, "8000 of the wrong half"),
        (
            "client",
            r#"{"type":"event","message_id":1,"txt":"","text":""}"#,
            "\"txt\" doesn't belong",
        ),
        ("client", both, "\"text\" doesn't belong"),
        ("client", r#"{"type":"event","message_id":1,"payload":"0"}"#, "\"payload\" must be hex"),
        ("client", r#"{"type":"event","message_id":1,"payload":"0 0"}"#, "must be hex"),
        ("client", &long, "65536 bytes, the limit is 65535"),
        ("client", r#"{"type":"error_reply","in_reply_to":1}"#, "0001 of the wrong half"),
        ("client", r#"{"type":"reply","message_id":1}"#, "\"in_reply_to\" is missing"),
        ("client", r#"{"type":"error_reply","in_reply_to":32768,"text":""}"#, "\"text\" doesn't"),
        (
            "client",
            r#"{"type":"error_reply","in_reply_to":32768,"message_id":1}"#,
            "doesn't belong",
        ),
        ("client", r#"{"type":"ping","message_id":1}"#, "a client doesn't send this"),
        ("client", r#"{"type":"ready","message_id":1,"token":""}"#, "a client doesn't send"),
        ("client", r#"{"type":"data_update","message_id":1,"text":""}"#, "a client doesn't send"),
        (
            "client",
            r#"{"type":"identification","message_id":1,"login":""}"#,
            "\"username\" is miss",
        ),
        ("server", r#"{"type":"identification","message_id":1}"#, "a server doesn't send this"),
        ("server", r#"{"type":"ready","message_id":32768}"#, "\"token\" is missing"),
        (
            "server",
            r#"{"type":"ready","message_id":32768,"token":7}"#,
            "\"token\" must be a string",
        ),
        (
            "server",
            r#"{"type":"ready","message_id":32768,"token":"","token_hex":""}"#,
            "\"token\" doesn't belong",
        ),
        (
            "server",
            r#"{"type":"ready","message_id":32768,"token_hex":"[redacted]"}"#,
            "\"token_hex\" is redacted",
        ),
        ("server", r#"{"type":"error_reply","in_reply_to":1}"#, "\"text\" is missing"),
    ] {
        // The objects around it are written all the same.
        let input = format!("\n{{\"type\":\"noop\"}}\n{object}\n{{\"type\":\"noop\"}}");
        let (status, out, err) = run(&format!("encode bingo --from {from}"), &input);
        assert_eq!(out, b"\0\0", "{object}");
        if object.is_empty() {
            assert_eq!((status, err), (0, String::new()));
        } else {
            assert_eq!(status, 1, "{object}");
            assert!(err.starts_with("inspect: line 3: ") && err.contains(why), "{err}{object}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
    let (status, _, err) =
        run("encode bingo --from client", b"{\"type\":\"\xff\"}\n{\"type\":\"x\"}\n");
    assert!(status == 1 && err.contains("line 1: ") && err.contains("line 2: "), "{err}");
}

#[test]
fn encode_takes_what_is_harmless() {
    for (object, bytes) in [
        (r#" { "length" : "x", "frame" : [], "offset" : null, "type" : "noop" } "#, &b"\0"[..]),
        (r#"{"message_id":1,"type":"protocol_error"}"#, b"\x07\x00\x01\x00\x00"),
        (r#"{"type":"event","message_id":1,"payload":"fF"}"#, b"\x08\x00\x01\x00\x01\xff"),
        (
            r#"{"type":"reply","message_id":1,"in_reply_to":32768,"text":""}"#,
            b"\x05\x00\x01\x00\x02\x80\x00",
        ),
    ] {
        let encoded = run("encode bingo --from client --json --show-secrets", object);
        assert_eq!(encoded, (0, bytes.to_vec(), String::new()), "{object}");
    }
}

#[test]
fn exit_statuses() {
    assert_eq!(decode("--from client", ""), (0, String::new()));
    assert_eq!(decode("--from client -", "\0").0, 0);
    assert_eq!(run("encode bingo --from server", "").0, 0);
    let (status, _, err) = run("decode bingo --from client /nowhere/to/be/found", "");
    assert!(status == 1 && err.starts_with("inspect: /nowhere/to/be/found: "), "{err}");
    for usage in [
        "decode bingo",
        "decode",
        "decode --from client",
        "decode bongo --from client",
        "decode bingo --from nobody",
        "decode bingo --from client --dialect scratch",
        "decode bingo --from client --byte-order middle",
        "decode bingo --from client --directions both",
        "decode litecord --from client --dialect header-id",
        "decode litecord --from client --directions one",
        "decode bingo --from client --json --human",
        "decode bingo --from client --max-payload 65536",
        "encode bingo --from client --human",
        "transcode bingo --from client",
    ] {
        let (status, out, err) = run(usage, "");
        assert_eq!((status, out), (2, vec![]), "{usage}");
        assert!(err.starts_with("error: ") || err.contains("Usage: "), "{err}");
    }
    for help in ["--help", "decode --help", "encode --help", "decode -h"] {
        assert_eq!(run(help, "").0, 0);
    }
}

#[test]
fn a_file_is_read() {
    let path = std::env::temp_dir().join(format!("smallwire-inspect-{}", std::process::id()));
    std::fs::write(&path, wire(CLIENT)).unwrap();
    let decoded = decode(&format!("--from client {}", path.display()), "");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(decoded, (0, lines(CLIENT)));
}

#[test]
fn the_hexdump_has_every_field() {
    let (status, out) = decode("--from client --human", wire(&CLIENT[5..7]));
    let expected = "\
00000000  client  reply  message_id 0x0003  in_reply_to 0x8001  7 bytes
  00000000 #05                                               opcode       reply
  00000001 #00 03                                            message_id   3 = 0x0003
  00000003 #00 02                                            length       2 = 0x0002
  00000005 #80 01                                            in_reply_to  32769 = 0x8001
00000007  client  reply  message_id 0x0004  in_reply_to 0x8001  9 bytes
  00000007 #05                                               opcode       reply
  00000008 #00 04                                            message_id   4 = 0x0004
  0000000a #00 04                                            length       4 = 0x0004
  0000000c #80 01                                            in_reply_to  32769 = 0x8001
  0000000e  6f 6b                                            text         \"ok\"
";
    assert_eq!((status, out.as_str()), (0, expected));
    let (_, out) = decode("--from client --human", CLIENT[1].0);
    assert!(out.contains("json") && out.contains("login        \"9f2c\""), "{out}");
    let (status, out) = decode("--from client --human", b"\x04\x80\x00\x00\x01x\xaa");
    assert_eq!(status, 1);
    assert!(out.contains("wrong_id_half: message id 0x8000 of the wrong half at byte 1"), "{out}");
    assert!(out.contains("  00000005  78 "), "{out}");
    assert!(out.contains("unknown_opcode: unknown opcode 0xaa at byte 6  1 byte\n"), "{out}");
}

#[test]
fn long_fields_are_shortened_unless_full() {
    let frame = [b"\x08\x00\x00\x01\x2c", &[b'z'; 300][..]].concat();
    let (_, out) = decode("--from client --human", &frame);
    assert_eq!(out.lines().count(), 1 + 3 + 8 + 1);
    assert!(out.ends_with("… 172 more bytes\n"), "{out}");
    assert!(out.contains(&format!("\"{}\"…", "z".repeat(64))), "{out}");
    let (_, out) = decode("--from client --human --full", &frame);
    assert_eq!(out.lines().count(), 1 + 3 + 19);
    assert!(out.contains("\n  00000125  7a 7a 7a 7a 7a 7a 7a 7a 7a 7a 7a 7a\n"), "{out}");
    assert!(!out.contains('…') && out.contains(&"z".repeat(300)));
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let text = "\x1b[31m\x07\r\n\x7f\u{9b}2J\u{202e}é";
    let frame = [b"\x08\x00\x00\x00", &[u8::try_from(text.len()).unwrap()][..], text.as_bytes()];
    for colour in [false, true] {
        let mut command = inspect("decode bingo --human --from client");
        if colour {
            command.env("CLICOLOR_FORCE", "1").env("TERM", "xterm");
        }
        let out = String::from_utf8(run_command(command, &frame.concat()).stdout).unwrap();
        assert!(out.contains(r#""\u{1b}[31m\u{7}\r\n\u{7f}\u{9b}2J\u{202e}é""#), "{out}");
        assert_eq!(out.contains("\x1b["), colour, "{out}");
        let ours =
            ["0", "1", "2", "32", "33", "34", "35", "36", "96"].map(|n| format!("\x1b[{n}m"));
        let rest = ours.iter().fold(out, |out, code| out.replace(code.as_str(), ""));
        assert!(!rest.contains(|c: char| c.is_control() && c != '\n'), "{rest:?}");
    }
}

#[test]
fn frames_show_as_they_come() {
    let mut child = inspect("decode bingo --from client").spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for id in 0..3 {
        stdin.write_all(&[8, 0, id, 0, 0]).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.contains(&format!("\"message_id\":{id},")), "{line}");
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    for args in ["decode bingo --from client", "encode bingo --from client --hex"] {
        let mut child = inspect(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input =
            if args.starts_with('d') { "\0\0\0\0\0\0\0\0" } else { "{\"type\":\"noop\"}\n" };
        let writer = std::thread::spawn(move || while stdin.write_all(input.as_bytes()).is_ok() {});
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        writer.join().unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{args}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    // What isn't shown is read quickly.
    let frame = [b"\x02\x80\x00\xff\xff", &vec![0xff; 0xffff][..]].concat();
    let mut command = inspect("decode bingo --from server");
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..500 {
        stdin.write_all(&frame).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 16 * 1024, "{kib} KiB for 32 MiB");
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_vectors_read_and_write_as_they_say() {
    let file = include_str!("../../../crates/bingo-proto/tests/vectors/bingo.json");
    let file: serde_json::Value = serde_json::from_str(file).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        let options = options_of(
            vector,
            &[
                ("byte-order", "byte_order"),
                ("dialect", "error_reply"),
                ("max-payload", "max_payload"),
            ],
        );
        let args = format!("bingo --hex --show-secrets {options}");
        let bytes = vector["bytes"].as_str().unwrap();
        let (status, out, err) = run(&format!("decode {args}"), bytes);
        assert_eq!((status, &err[..]), (i32::from(vector.get("error").is_some()), ""), "{name}");
        let mut objects: Vec<serde_json::Value> = out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        for object in &mut objects {
            object.as_object_mut().unwrap().retain(|key, _| key != "offset" && key != "length");
        }
        let bad = objects.iter().position(|object| object.get("error").is_some());
        objects.truncate(bad.unwrap_or(objects.len()));
        assert_eq!(&objects, vector["messages"].as_array().unwrap(), "{name}");
        if vector["canonical"] == true {
            let (status, again, err) = run(&format!("encode {args}"), out);
            assert_eq!((status, err), (0, String::new()), "{name}");
            let again = String::from_utf8(again).unwrap().replace('\n', "");
            assert_eq!(again, bytes, "{name}");
        }
    }
}
