//! Delimchat: packets in a byte stream, with delimiters between their fields.

use serde_json::{Value, json};

use crate::{hex, inspect, options_of, run, run_command};

const OPTIONS: &[(&str, &str)] = &[
    ("byte-order", "byte_order"),
    ("endian-marker", "endian_marker"),
    ("status-digits", "status_digits"),
    ("max-message", "max_packet"),
];

fn decode(args: &str, input: impl AsRef<[u8]>) -> (i32, String) {
    let (status, out, err) = run(&format!("decode delimchat {args}"), input);
    assert_eq!(err, "");
    (status, String::from_utf8(out).unwrap())
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_vectors_read_and_write_as_they_say() {
    let file = include_str!("../../../crates/delimchat-proto/tests/vectors/delimchat.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    assert!(vectors.len() > 100);
    // Which ids drafts have is for an embedder to say (D11).
    let is_draft = |vector: &&Value| vector["config"].get("drafts").is_some();
    for vector in vectors.iter().filter(|vector| !is_draft(vector)) {
        let name = vector["name"].as_str().unwrap();
        let args = format!("--hex --show-secrets {}", options_of(vector, OPTIONS));
        let bytes = vector["bytes"].as_str().unwrap();
        let (status, lines) = decode(&args, bytes);
        assert_eq!(status, i32::from(vector.get("error").is_some()), "{name}");
        let messages = vector["messages"].as_array().unwrap();
        let mut found = objects(&lines);
        if let Some(error) = vector.get("error") {
            // What follows it may be an error, too.
            found.truncate(messages.len() + 1);
            let bad = found.pop().unwrap();
            let kind = match error["kind"].as_str().unwrap() {
                "message_too_long" => "malformed",
                kind => kind,
            };
            let start = error["offset"].as_u64().unwrap();
            let at = usize::try_from(start).unwrap() * 2;
            let id = u8::from_str_radix(&bytes[at..at + 2], 16).unwrap();
            let expected = (&json!(start), &json!(kind), &json!(id));
            assert_eq!((&bad["offset"], &bad["error"], &bad["id"]), expected, "{name}");
        }
        for object in &mut found {
            object.as_object_mut().unwrap().retain(|key, _| key != "offset" && key != "length");
        }
        assert_eq!(&found, messages, "{name}");
        if vector["canonical"] == true {
            let (status, again, err) = run(&format!("encode delimchat {args}"), &lines);
            assert_eq!((status, err), (0, String::new()), "{name}");
            assert_eq!(String::from_utf8(again).unwrap().replace('\n', ""), bytes, "{name}");
        }
    }
}

#[test]
fn a_stream_is_read_past_what_is_bad() {
    let stream = b"\xFC\xFFSP\0\0\x28\xFFBYF\0\x07junk\0\xFC\xFFSP\0\x28\xFFB";
    let lines = "\
        {\"offset\":0,\"length\":5,\"type\":\"supported_packets_request\"}\n\
        {\"offset\":6,\"length\":6,\"id\":40,\"error\":\"malformed\",\
        \"detail\":\"packet 40 at byte 6: \\\"BYE\\\" expected at byte 10\"}\n\
        {\"offset\":12,\"length\":6,\"id\":7,\"error\":\"unknown_packet\",\
        \"detail\":\"packet 7 at byte 12: unknown packet\"}\n\
        {\"offset\":18,\"length\":5,\"type\":\"supported_packets_request\"}\n\
        {\"offset\":23,\"length\":3,\"id\":40,\"error\":\"unexpected_eof\",\
        \"detail\":\"packet 40 at byte 23: the stream ended inside it\"}\n";
    assert_eq!(decode("--from client", stream), (1, lines.into()));
    // Byte by byte it is the same.
    let bytewise: String = stream.iter().map(|byte| hex([*byte])).collect();
    assert_eq!(decode("--from client --hex", bytewise), (1, lines.into()));
    // The other side has other packets, and other ones of the same number.
    let (status, out) = decode("--from server", &stream[..5]);
    assert!(status == 1 && out.contains("unknown_packet"), "{out}");
}

#[test]
fn a_login_sets_the_byte_order() {
    let login = |order: u8| [b"\x02\xFFada\xFFaGVsbG8=\xFF", &[order, 0][..]].concat();
    let ask = |number: &[u8; 4]| {
        [&b"\x63\xFF"[..], &number[..], &b"\xFF\0\xFF\0\xFF\0\xFF\0\xFF\0"[..]].concat()
    };
    let stream = [
        ask(b"\0\0\0\x05"),
        login(1),
        ask(b"\x05\0\0\0"),
        login(b'!'),
        ask(b"\x05\0\0\0"),
        login(2),
        ask(b"\0\0\0\x05"),
    ];
    let (status, lines) = decode("--from client --show-secrets", stream.concat());
    assert_eq!(status, 0);
    let numbers: Vec<_> = objects(&lines).iter().filter_map(|o| o["number"].as_u64()).collect();
    assert_eq!(numbers, [5; 4]);
    // And written it is the same, but for the login that nobody can write.
    let good: Vec<_> = lines.lines().filter(|line| !line.contains("_hex")).collect();
    let (status, bytes, err) = run("encode delimchat --from client", good.join("\n"));
    assert_eq!((status, err), (0, String::new()));
    let without: Vec<u8> =
        stream.iter().enumerate().filter(|(at, _)| *at != 3).flat_map(|(_, p)| p.clone()).collect();
    assert_eq!(bytes, without);
}

#[test]
fn passwords_are_shown_only_when_asked_for() {
    for stream in [
        &b"\x02\xFFada\xFFaHVudGVyMg==\xFF\x01\0"[..],
        b"\x06\xFFada\xFFaHVudGVyMg==\xFFada@example.org\0",
        b"\xA0\xFF000lobby\xFFaHVudGVyMg==\0",
        // What can't be read all the same.
        b"\x02\xFFada\xFFaHVudGVyMg=\xFF\x01\0",
        b"\x02\xFFada\xFFaHVudGVyMg==\0",
    ] {
        for human in ["", " --human --full"] {
            let (_, out) = decode(&format!("--from client{human}"), stream);
            assert!(!out.contains("aHVudGVyMg") && !out.contains("61 48 56 75"), "{out}");
        }
        let (_, out) = decode("--from client --human --full --show-secrets", stream);
        assert!(out.contains("61 48 56 75"), "{out}");
    }
    let redacted = r#"{"type":"join_room","room":"3030306c6f626279","password":"[redacted]"}"#;
    let (status, out, err) = run("encode delimchat --from client", redacted);
    assert_eq!((status, out), (1, vec![]));
    assert_eq!(err, "inspect: line 1: \"password\" is redacted: decode with --show-secrets\n");
}

#[test]
fn the_hexdump_has_every_field() {
    let stream = b"\x57\xFF\0\0\0\x02\xFF\0\0\0\x07\xFF0000ECHO\xFFaGk=\0\xA3\xFF00000007\0";
    let (status, out) = decode("--from client --human", stream);
    let expected = "\
00000000  client  long_message_head  remaining 0x0002  26 bytes
  00000000 #57                                               id                 
  00000001 ,ff                                               delimiter          
  00000002  00 00 00 02                                      remaining          2 = 0x0002
  00000006 ,ff                                               delimiter          
  00000007  00 00 00 07                                      client_message_id  4 bytes
  0000000b ,ff                                               delimiter          
  0000000c  30 30 30 30 45 43 48 4f                          room               8 bytes
  00000014 ,ff                                               delimiter          
  00000015  61 47 6b 3d                                      message            \"aGk=\"
  00000019 ,00                                               end                
0000001a  client  part_room  11 bytes
  0000001a #a3                                               id           
  0000001b ,ff                                               delimiter    
  0000001c  30 30 30 30 30 30 30 37                          room         8 bytes
  00000024 ,00                                               end          
";
    assert_eq!((status, out.as_str()), (0, expected));
    // Statuses stand together, and an FF between them is accepted (D9).
    let (_, out) =
        decode("--from server --human", b"\x07\xFF\x03\x03\xFF\x02\0\xFD\xFF\x02\xFF\x50\0");
    for field in [
        "username_status  \"okay\"",
        "00000004 ,ff                                               delimiter",
        "00000005  02                                               email_status     \"invalid\"",
        "02 ff 50                                         packets      [2, 80]",
    ] {
        assert!(out.contains(field), "no {field:?} in {out}");
    }
}

#[test]
fn what_cant_be_a_packet_isnt_encoded() {
    for (from, line, why) in [
        ("client", r#"{"type":"hop"}"#, "unknown type \"hop\""),
        ("client", r#"{"type":"bad_login"}"#, "a client doesn't send this"),
        ("server", r#"{"type":"log_off"}"#, "a server doesn't send this"),
        ("client", r#"{"type":"log_off","room":"00"}"#, "\"room\" doesn't belong to this log_off"),
        ("client", r#"{"type":"part_room","room":"00"}"#, "\"room\" is 1 bytes, not 8"),
        ("client", r#"{"type":"change_alias"}"#, "\"new_alias\" is missing"),
        ("client", r#"{"type":"change_alias","new_alias":"a\u0000"}"#, "a delimiter"),
        ("client", r#"{"type":"change_alias","new_alias":""}"#, "empty"),
        ("client", r#"{"type":"client_supports","packets":[255]}"#, "no packet id"),
        ("client", r#"{"type":"client_supports","packets":[256]}"#, "must be a list of packet ids"),
        (
            "client",
            r#"{"type":"login","username":"ada","password":"x","byte_order":"big"}"#,
            "not base64",
        ),
        (
            "client",
            r#"{"type":"login","username":"ada","password":"eA==","byte_order":"pdp"}"#,
            "must be \"big\" or \"little\"",
        ),
        ("server", r#"{"type":"change_alias_result","alias_status":"fine"}"#, "alias_status"),
        ("server", r#"{"type":"unknown_resend","number":-1}"#, "must be an integer from 0 to"),
    ] {
        let (status, out, err) = run(&format!("encode delimchat --from {from}"), line);
        assert_eq!((status, out), (1, vec![]), "{line}");
        assert!(err.starts_with("inspect: line 1: ") && err.contains(why), "{err}");
    }
    for usage in [
        "decode delimchat --from client --dialect scratch",
        "decode delimchat --from client --directions both",
        "decode bingo --from client --endian-marker letter",
        "decode bingo --from client --status-digits hex",
    ] {
        assert_eq!(run(usage, "").0, 2, "{usage}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_input() {
    use std::io::Write;
    use std::process::Stdio;

    // A packet that never ends.
    let mut command = inspect("decode delimchat --from server");
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..500 {
        stdin.write_all(&[0xFE; 0x10000]).unwrap();
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 16 * 1024, "{kib} KiB for 32 MiB");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn nothing_from_the_wire_reaches_the_terminal_raw() {
    let text = "\x1b[31m\x07\x7f\u{9b}2J\u{202e}";
    let stream = [b"\xA6\xFF", text.as_bytes(), b"\0"].concat();
    let out = run_command(inspect("decode delimchat --human --from client"), &stream).stdout;
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""\u{1b}[31m\u{7}\u{7f}\u{9b}2J\u{202e}""#), "{out}");
    assert!(!out.contains(|c: char| c.is_control() && c != '\n'), "{out:?}");
}
