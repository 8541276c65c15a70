//! Frames and messages: what the vectors can't say.

use bingo_proto::{
    ByteOrder, ClientMessage, CodecConfig, DecodeError, DecodeErrorKind, Decoder, EncodeError,
    ErrorReplyStyle, Frame, FrameRef, Identification, MessageId, OpCode, Role, Secret,
    ServerMessage,
};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use testkit::conformance::{codec_ignores_chunking, work_is_linear};
use testkit::measure;

fn frame(opcode: OpCode, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    FrameRef::new(opcode, MessageId(id), payload)
        .encode(&CodecConfig::default(), &mut bytes)
        .unwrap();
    bytes
}

/// All frames in these pieces, and the error that ended it.
fn decode(config: CodecConfig, pieces: &[impl AsRef<[u8]>]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(config);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = piece.as_ref();
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(f)) => frames.push(Frame::new(
                    f.opcode(),
                    f.id().unwrap_or(MessageId(0)),
                    Bytes::copy_from_slice(f.payload()),
                )),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut input), Err(error), "the error stays");
                    assert_eq!(decoder.finish(), Err(error));
                    return (frames, Some(error));
                }
            }
        }
        assert!(input.is_empty());
    }
    (frames, decoder.finish().err())
}

/// The same through `Bytes`.
fn decode_bytes(config: CodecConfig, pieces: &[Vec<u8>]) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(config);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match decoder.decode_bytes(&mut input) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, decoder.finish().err())
}

#[test]
fn b1_byte_order_goes_for_id_length_and_replied_to_id() {
    let config = CodecConfig::default().byte_order(ByteOrder::LittleEndian);
    let reply = ServerMessage::Reply { in_reply_to: MessageId(0x0102), body: b"ok" };
    let mut bytes = Vec::new();
    reply.encode(MessageId(0x8304), &config, &mut bytes).unwrap();
    assert_eq!(bytes, [0x05, 0x04, 0x83, 0x04, 0x00, 0x02, 0x01, b'o', b'k']);
    let (frames, error) = decode(config, &[&bytes]);
    assert_eq!((frames.len(), error), (1, None));
    assert_eq!(frames[0].id(), Some(MessageId(0x8304)));
    assert_eq!(ServerMessage::decode(frames[0].as_ref(), &config), Ok(reply));
    assert_eq!(CodecConfig::default().byte_order, ByteOrder::BigEndian);
}

#[test]
fn b2_noop_is_one_byte_and_has_no_id() {
    let noop = FrameRef::new(OpCode::Noop, MessageId(7), b"dropped");
    assert_eq!((noop.id(), noop.payload(), noop.encoded_len()), (None, &b""[..], 1));
    let mut bytes = Vec::new();
    noop.encode(&CodecConfig::default(), &mut bytes).unwrap();
    assert_eq!(bytes, [0]);
    let (frames, error) = decode(CodecConfig::default(), &[vec![0; 1000]]);
    assert_eq!((frames.len(), error), (1000, None));
}

#[test]
fn b3_every_unknown_opcode_is_fatal_at_its_first_byte() {
    for opcode in 0x0A..=0xFF {
        let expected = DecodeError { kind: DecodeErrorKind::UnknownOpcode(opcode), offset: 3 };
        assert!(expected.kind.is_fatal());
        for pieces in [vec![vec![0, 0, 0, opcode]], vec![vec![0, 0, 0], vec![opcode]]] {
            let (frames, error) = decode(CodecConfig::default(), &pieces);
            assert_eq!((frames.len(), error), (3, Some(expected)));
        }
        assert_eq!(OpCode::from_byte(opcode), None);
    }
    for opcode in OpCode::ALL {
        assert_eq!(OpCode::from_byte(opcode as u8), Some(opcode));
    }
}

#[test]
fn b4_every_opcode_from_the_wrong_side() {
    let config = CodecConfig::default();
    for opcode in OpCode::ALL {
        // The payload is wrong for some of them as well: the direction is looked at first.
        let client = ClientMessage::decode(FrameRef::new(opcode, MessageId(0), b"{"), &config);
        let server = ServerMessage::decode(FrameRef::new(opcode, MessageId(0x8000), b"{"), &config);
        let wrong = DecodeError { kind: DecodeErrorKind::WrongDirection(opcode), offset: 0 };
        let of_server = matches!(opcode, OpCode::Ready | OpCode::Ping | OpCode::DataUpdate);
        assert_eq!(client == Err(wrong), of_server, "{opcode:?}");
        assert_eq!(opcode.may_be_sent_by(Role::Client), !of_server);
        let of_client = opcode == OpCode::Identification;
        assert_eq!(server == Err(wrong), of_client, "{opcode:?}");
        assert_eq!(opcode.may_be_sent_by(Role::Server), !of_client);
        assert!(!wrong.kind.is_fatal());
    }
}

#[test]
fn b5_ids_wrap_within_their_half() {
    assert_eq!(MessageId::first_of(Role::Client), MessageId(0));
    assert_eq!(MessageId::first_of(Role::Server), MessageId(0x8000));
    assert_eq!(MessageId(0x7FFE).next(), MessageId(0x7FFF));
    assert_eq!(MessageId(0x7FFF).next(), MessageId(0));
    assert_eq!(MessageId(0xFFFF).next(), MessageId(0x8000));
    assert_eq!(MessageId(0x7FFF).role(), Role::Client);
    assert_eq!(MessageId(0x8000).role(), Role::Server);
}

#[test]
fn b5_a_message_is_not_encoded_with_an_id_of_the_wrong_half() {
    let config = CodecConfig::default();
    let mut dst = b"before".to_vec();
    for (message, id, wrong) in [
        (ClientMessage::Event(b"x"), 0x8000, 0x8000),
        (ClientMessage::Acknowledgement { in_reply_to: MessageId(1) }, 0x8000, 0x8000),
        (ClientMessage::ErrorReply { in_reply_to: MessageId(2) }, 0, 2),
    ] {
        let result = message.encode(MessageId(id), &config, &mut dst);
        assert_eq!(result, Err(EncodeError::WrongIdHalf(MessageId(wrong))));
    }
    assert_eq!(dst, b"before");
}

#[test]
fn b6_acknowledgement_is_told_from_a_reply_with_a_body() {
    let config = CodecConfig::default();
    for (payload, expected) in [
        (&b""[..], Err(DecodeErrorKind::ReplyTooShort)),
        (b"\x80", Err(DecodeErrorKind::ReplyTooShort)),
        (b"\x80\x01", Ok(ClientMessage::Acknowledgement { in_reply_to: MessageId(0x8001) })),
        (b"\x80\x01x", Ok(ClientMessage::Reply { in_reply_to: MessageId(0x8001), body: b"x" })),
    ] {
        let reply = FrameRef::new(OpCode::Reply, MessageId(0), payload);
        assert_eq!(ClientMessage::decode(reply, &config).map_err(|e| e.kind), expected);
    }
}

#[test]
fn b7_the_two_styles_of_an_error_reply() {
    let header = CodecConfig::default();
    let prefix = header.error_reply_style(ErrorReplyStyle::PayloadPrefix);
    let message = ServerMessage::ErrorReply { in_reply_to: MessageId(5), text: "no" };
    for (config, bytes) in
        [(header, &b"\x06\x00\x05\x00\x02no"[..]), (prefix, b"\x06\x80\x09\x00\x04\x00\x05no")]
    {
        let mut dst = BytesMut::new();
        message.encode(MessageId(0x8009), &config, &mut dst).unwrap();
        assert_eq!(dst, bytes);
        let frame = Decoder::new(config).decode_bytes(&mut dst.freeze()).unwrap().unwrap();
        assert_eq!(ServerMessage::decode(frame.as_ref(), &config).unwrap(), message);
    }
}

#[test]
fn b8_a_length_over_the_limit_is_refused_at_the_header_and_nothing_is_kept() {
    let config = CodecConfig::default().max_payload(100);
    let kind = DecodeErrorKind::PayloadTooLarge { announced: 101, limit: 100 };
    let mut bytes = frame(OpCode::Event, 0, &[1; 101]);
    let (_, error) = decode(config, &[&bytes[..5]]);
    assert_eq!(error, Some(DecodeError { kind, offset: 3 }));

    // All of the payload is there: it isn't kept either, and the header costs a few bytes at most.
    bytes.resize(1 << 20, 1);
    let mut decoder = Decoder::new(config);
    let used = measure(|| {
        assert_eq!(decoder.decode(&mut &bytes[..]), Err(DecodeError { kind, offset: 3 }));
    });
    assert!(used.bytes_max <= 16, "{used:?}");

    let mut dst = b"before".to_vec();
    let result = ClientMessage::Event(&[1; 101]).encode(MessageId(0), &config, &mut dst);
    assert_eq!(result, Err(EncodeError::PayloadTooLarge { len: 101, limit: 100 }));
    let reply = ClientMessage::Reply { in_reply_to: MessageId(0x8000), body: &[1; 99] };
    let result = reply.encode(MessageId(0), &config, &mut dst);
    assert_eq!(result, Err(EncodeError::PayloadTooLarge { len: 101, limit: 100 }));
    assert_eq!(dst, b"before");

    let mut small = [0_u8; 7];
    let result = ClientMessage::Event(b"xyz").encode(MessageId(0), &config, &mut &mut small[..]);
    assert_eq!((result, small), (Err(EncodeError::BufferFull), [0; 7]));
}

#[test]
fn b2_a_noop_needs_room_too() {
    let mut none = [0_u8; 0];
    let result = FrameRef::NOOP.encode(&CodecConfig::default(), &mut &mut none[..]);
    assert_eq!(result, Err(EncodeError::BufferFull));
}

#[test]
fn json_errors_tell_the_byte() {
    for (json, offset) in
        [("{\"a\":}", 5), ("{\"a\":\n\n1,\n  x}", 12), ("", 0), ("{\"a\":\"text\"}", 10)]
    {
        let error =
            bingo_proto::from_json::<std::collections::HashMap<String, u8>>(json.as_bytes());
        assert_eq!(error.map_err(|e| e.offset()), Err(offset), "{json}");
    }
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(bingo_proto::to_json(&unwritable).is_err());
}

#[test]
fn a_detached_payload_keeps_no_read_alive() {
    let mut kept = None;
    let used = measure(|| {
        let read = Bytes::from(vec![7; 10_000]);
        kept = Some(bingo_proto::Payload::from(read.slice(..10)).detach());
    });
    assert_eq!(kept.as_deref(), Some(&[7; 10][..]));
    assert!(used.bytes_current < 100, "{used:?}");
}

#[test]
fn b9_debug_never_shows_a_token() {
    let secret = b"s3cret-t0ken";
    let ready = ServerMessage::Ready { token: Secret::new(secret) };
    let mut bytes = Vec::new();
    ready.encode(MessageId(0x8000), &CodecConfig::default(), &mut bytes).unwrap();
    let mut decoder = Decoder::new(CodecConfig::default());
    assert_eq!(decoder.decode(&mut &bytes[..bytes.len() - 1]), Ok(None));
    let partial = format!("{decoder:?}");
    assert!(partial.ends_with("offset: 0, unfinished: 16, .. }"), "{partial}");
    let mut input = Bytes::from(bytes);
    let frame = Decoder::new(CodecConfig::default()).decode_bytes(&mut input).unwrap().unwrap();
    for shown in
        [format!("{frame:?}"), format!("{:?}", frame.as_ref()), format!("{ready:?}"), partial]
    {
        assert!(!shown.contains("cret"), "{shown}");
    }
    let shown = FrameRef::new(OpCode::Event, MessageId(0), b"shown");
    let owned = Frame::new(OpCode::Event, MessageId(0), Bytes::from_static(b"shown"));
    let expected = r#"Frame { opcode: Event, id: MessageId(0x0000), payload: "shown" }"#;
    assert_eq!((format!("{shown:?}"), format!("{owned:?}")), (expected.into(), expected.into()));
}

#[test]
fn step1_identification_of_60_kb_of_nesting_is_refused() {
    for open in ["[", "{\"a\":"] {
        let mut json = String::from(r#"{"login":"a","username":"b","x":"#);
        while json.len() < 60_000 {
            json.push_str(open);
        }
        let error = Identification::from_json(json.as_bytes()).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::TooDeep);
        // The object is the first of 128 levels.
        assert_eq!(error.offset, (32 + 127 * open.len()) as u64);
    }
    // Brackets inside a string nest nothing.
    let json = format!(r#"{{"login":"{}\"","username":"b"}}"#, "[".repeat(60_000));
    assert_eq!(Identification::from_json(json.as_bytes()).unwrap().login.len(), 60_001);
    let json = format!(r#"{{"login":"\"{}","username":"b"}}"#, "[".repeat(60_000));
    assert_eq!(Identification::from_json(json.as_bytes()).unwrap().login.len(), 60_001);
    // Nor do those beside each other.
    let json = format!(r#"{{"login":"a","username":"b","x":[{}0]}}"#, "[],{},".repeat(1000));
    Identification::from_json(json.as_bytes()).unwrap();
}

#[test]
fn b1_a_frame_takes_its_bytes_and_no_more() {
    for (opcode, len) in [(OpCode::Noop, 1), (OpCode::Event, 10), (OpCode::Ping, 5)] {
        let frame = FrameRef::new(opcode, MessageId(1), if len == 10 { b"hello" } else { b"" });
        let mut room = vec![0; len];
        assert_eq!(frame.encoded_len(), len);
        assert_eq!(frame.encode(&CodecConfig::default(), &mut &mut room[..]), Ok(()));
        let full = frame.encode(&CodecConfig::default(), &mut &mut room[1..]);
        assert_eq!(full, Err(EncodeError::BufferFull));
    }
}

#[test]
fn step1_what_is_no_identification_is_told_where_it_is_noticed() {
    use DecodeErrorKind::{DuplicateKey, MissingKey, NotAString, NotAnObject, NotJson};
    for (json, kind, offset) in [
        ("", NotJson, 0),
        (r#" {"login":"a""#, NotJson, 13),
        (r#"{"login":"a","username":"b"}x"#, NotJson, 28),
        (r#"{"login":"a","username":"b","x":"\ud8"}"#, NotJson, 37),
        (r#" ["a","b"]"#, NotAnObject, 1),
        (r#"{"login":"a", "log\u0069n":"b"}"#, DuplicateKey("login"), 14),
        (r#"{"login":"a","username":"b","username":"c""#, DuplicateKey("username"), 28),
        (r#"{"login":7} "#, NotAString("login"), 9),
        (r#"{"username":7} "#, MissingKey("login"), 13),
        (r#"{"login":"a"}"#, MissingKey("username"), 12),
        (r#"{"login":"a","username": "\ud800"}"#, NotAString("username"), 25),
    ] {
        let error = Identification::from_json(json.as_bytes()).unwrap_err();
        assert_eq!((error.kind, error.offset), (kind, offset), "{json}");
    }
    // Unknown keys may be anything that is a string, and their values any JSON.
    let json = r#"{"\ud800":1e999,"login":"\u0061","username":"b"}"#;
    assert_eq!(Identification::from_json(json.as_bytes()), Ok(Identification::new("a", "b")));
}

#[test]
fn step1_a_login_or_username_of_another_kind_is_no_string() {
    for value in ["null", "true", "0", "-1", "1.5", "1e999", "[0]", "[]", r#"{"a":[]}"#, "{}"] {
        for key in ["login", "username"] {
            let other = if key == "login" { "username" } else { "login" };
            let json = format!(r#"{{"{key}":{value},"{other}":"b"}}"#);
            let error = Identification::from_json(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::NotAString(key), "{json}");
            let json = format!(r#"{{"{other}":"b"}}"#);
            let error = Identification::from_json(json.as_bytes()).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::MissingKey(key), "{json}");
        }
    }
}

#[test]
fn b3_b5_opcodes_and_ids_are_shown_by_name_and_in_hexadecimal() {
    let names = [
        "noop",
        "identification",
        "ready",
        "ping",
        "request",
        "reply",
        "error_reply",
        "protocol_error",
        "event",
        "data_update",
    ];
    for (byte, name) in (0..).zip(names) {
        let opcode = OpCode::from_byte(byte).unwrap();
        assert_eq!((opcode.name(), &*opcode.to_string()), (name, name));
    }
    let id = MessageId(0x800A);
    assert_eq!((id.to_string(), format!("{id:?}")), ("0x800a".into(), "MessageId(0x800a)".into()));
}

#[test]
fn step1_identification_borrows_what_has_no_escapes() {
    use std::borrow::Cow;
    let who = Identification::from_json(br#"{"login":"plain","username":"\u0041da"}"#).unwrap();
    assert!(matches!(who.login, Cow::Borrowed("plain")));
    assert!(matches!(&who.username, Cow::Owned(name) if name == "Ada"));
}

#[test]
fn step7_eof_at_every_byte_of_every_frame() {
    let stream = [frame(OpCode::Event, 1, b"hello"), vec![0], frame(OpCode::Reply, 2, b"\x80\0x")];
    let mut starts = vec![0];
    for part in &stream {
        starts.push(starts[starts.len() - 1] + part.len());
    }
    let stream = stream.concat();
    for cut in 0..=stream.len() {
        let (frames, error) = decode(CodecConfig::default(), &[&stream[..cut]]);
        let whole = starts.iter().filter(|start| **start <= cut).count() - 1;
        assert_eq!(frames.len(), whole, "cut at {cut}");
        let start = starts[whole];
        let expected = (start < cut)
            .then_some(DecodeError { kind: DecodeErrorKind::UnexpectedEof, offset: start as u64 });
        assert_eq!(error, expected, "cut at {cut}");
    }
}

#[test]
fn the_borrowed_path_allocates_nothing_per_frame() {
    let stream = frame(OpCode::Event, 1, &[7; 64]).repeat(1000);
    let config = CodecConfig::default();
    let mut decoder = Decoder::new(config);
    let used = measure(|| {
        let mut input = &stream[..];
        let mut frames = 0;
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            let message = ClientMessage::decode(frame, &config);
            assert!(matches!(message, Ok(ClientMessage::Event(_))));
            frames += 1;
        }
        assert_eq!(frames, 1000);
    });
    assert_eq!(used.count_total, 0);

    let mut dst = Vec::with_capacity(stream.len());
    let used = measure(|| {
        for _ in 0..1000 {
            let event = ClientMessage::Event(&[7; 64]);
            event.encode(MessageId(1), &CodecConfig::default(), &mut dst).unwrap();
        }
    });
    assert_eq!((used.count_total, dst), (0, stream));
}

#[test]
fn the_carry_grows_with_what_arrived_not_with_what_is_announced() {
    let mut decoder = Decoder::new(CodecConfig::default());
    let used = measure(|| {
        assert_eq!(decoder.decode(&mut &b"\x08\0\0\xff\xffabc"[..]), Ok(None));
    });
    assert!(used.bytes_max <= 32, "{used:?}");
    assert_eq!(decoder.unfinished().len(), 8);
    decoder.release();
    assert_eq!(decoder.unfinished().len(), 8, "a frame is unfinished");

    let used = measure(|| {
        let mut decoder = Decoder::new(CodecConfig::default());
        let stream = frame(OpCode::Event, 1, &[7; 50_000]);
        for piece in stream.chunks(1000) {
            let mut input = piece;
            while decoder.decode(&mut input).unwrap().is_some() {}
        }
        drop(stream);
        decoder.release();
        std::mem::forget(decoder);
    });
    assert_eq!(used.bytes_current, 0, "released");
}

#[test]
fn an_owned_frame_is_no_larger_than_itself() {
    let stream = frame(OpCode::Event, 1, &[7; 33_000]);
    let mut owned = None;
    let used = measure(|| {
        let mut decoder = Decoder::new(CodecConfig::default());
        for piece in stream.chunks(1000) {
            let mut input = Bytes::copy_from_slice(piece);
            owned = decoder.decode_bytes(&mut input).unwrap().or(owned.take());
        }
    });
    assert_eq!(owned.unwrap().payload().len(), 33_000);
    assert!((33_000..33_100).contains(&used.bytes_current), "{used:?}");
}

#[test]
fn reads_of_four_bytes_stay_linear() {
    let stream = frame(OpCode::Event, 1, &[7; 60_000]).repeat(20);
    work_is_linear(
        |frames| {
            let mut decoder = Decoder::new(CodecConfig::default());
            let mut seen = 0;
            for piece in stream[..frames * 60_005].chunks(4) {
                let mut input = piece;
                while let Some(frame) = decoder.decode(&mut input).unwrap() {
                    seen += frame.payload().len();
                }
            }
            assert_eq!(seen, frames * 60_000);
        },
        5,
    );
}

#[test]
fn a_frame_of_four_byte_reads_is_not_rescanned() {
    work_is_linear(
        |len| {
            let stream = frame(OpCode::Event, 1, &vec![7; len]);
            for _ in 0..20 {
                let (frames, error) =
                    decode(CodecConfig::default(), &stream.chunks(4).collect::<Vec<_>>());
                assert_eq!((frames.len(), error), (1, None));
            }
        },
        15_000,
    );
}

fn any_config() -> impl Strategy<Value = CodecConfig> {
    (any::<bool>(), any::<bool>(), prop_oneof![Just(u16::MAX), 0..300_u16]).prop_map(
        |(little, prefix, max_payload)| {
            let mut config = CodecConfig::default().max_payload(max_payload);
            if little {
                config = config.byte_order(ByteOrder::LittleEndian);
            }
            if prefix {
                config = config.error_reply_style(ErrorReplyStyle::PayloadPrefix);
            }
            config
        },
    )
}

/// Bytes that are often frames, and often not.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        8 => (0..10_u8, any::<u16>(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(
            |(opcode, id, payload)| frame(OpCode::from_byte(opcode).unwrap(), id, &payload)
        ),
        1 => prop::collection::vec(any::<u8>(), 0..10),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn cuts_make_no_difference(config in any_config(), stream in any_stream()) {
        codec_ignores_chunking(&stream, |pieces| decode(config, pieces));
        codec_ignores_chunking(&stream, |pieces| decode_bytes(config, pieces));
        let pieces = [stream];
        prop_assert_eq!(decode(config, &pieces), decode_bytes(config, &pieces));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(config in any_config(), stream in any_stream()) {
        let (frames, _) = decode(config, &[&stream]);
        let mut encoded = Vec::new();
        for frame in &frames {
            frame.as_ref().encode(&config, &mut encoded).unwrap();
        }
        prop_assert_eq!(&stream[..encoded.len()], &encoded[..]);

        for frame in &frames {
            let id = frame.id().unwrap_or(MessageId(0));
            let mut again = Vec::new();
            if let Ok(message) = ClientMessage::decode(frame.as_ref(), &config) {
                prop_assert_eq!(message.opcode(), frame.opcode());
                message.encode(id, &config, &mut again).unwrap();
            } else if let Ok(message) = ServerMessage::decode(frame.as_ref(), &config) {
                prop_assert_eq!(message.opcode(), frame.opcode());
                message.encode(id, &config, &mut again).unwrap();
            } else {
                continue;
            }
            if frame.opcode() != OpCode::Identification {
                prop_assert_eq!(decode(config, &[again]).0, std::slice::from_ref(frame));
            }
        }
    }

    #[test]
    fn any_identification_survives(login in any::<String>(), username in any::<String>()) {
        let who = Identification::new(login, username);
        let json = who.to_json();
        prop_assert_eq!(Identification::from_json(json.as_bytes()).unwrap(), who);
    }

    #[test]
    fn any_bytes_as_an_identification_do_no_harm(json in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Err(error) = Identification::from_json(&json) {
            prop_assert!(error.offset <= json.len() as u64);
        }
    }
}
