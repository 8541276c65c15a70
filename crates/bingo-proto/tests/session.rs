//! The conversation of SPEC.md, step by step, over a link under virtual time.

#![allow(clippy::unchecked_time_subtraction, reason = "deadlines lie behind their start")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bingo_proto::{
    AnswerError, ByteOrder, Client, ClientEvent, ClientMessage, CodecConfig, Config, DecideError,
    DecodeErrorKind, EncodeError, End, ErrorReplyStyle, Identification, Limits, MessageId, OpCode,
    Outcome, Payload, SendError, Server, ServerEvent, ServerMessage, Session, SessionError,
    Violation, ViolationKind,
};
use testkit::bingo::{identification_bytes, ready_bytes};
use testkit::conformance::discard;
use testkit::epoch;
use testkit::pair::Pair;

type BingoPair = Pair<Client, Server>;

const SECOND: Duration = Duration::from_secs(1);
const LATENCY: Duration = Duration::from_millis(20);

fn connected(config: Config) -> BingoPair {
    let config = Arc::new(config);
    Pair::new(LATENCY, |now| {
        let who = Identification::new("9f2c", "Ada");
        (Client::new(config.clone(), &who, now).unwrap(), Server::new(config, now))
    })
}

/// Both ends after the handshake, with no events left.
fn ready(config: Config) -> BingoPair {
    let mut pair = connected(config);
    pair.run_for(SECOND);
    pair.server.session.accept(pair.now, b"token").unwrap();
    pair.run_for(SECOND);
    assert!(pair.client.session.is_ready() && pair.server.session.is_ready());
    pair.client.events.clear();
    pair.server.events.clear();
    pair
}

fn server_got(config: &Arc<Config>, ready: bool, bytes: &[u8]) -> Server {
    let now = epoch();
    let mut server = Server::new(config.clone(), now);
    if ready {
        server.handle_input(now, &identification_bytes(&config.codec));
        discard(&mut server);
        server.accept(now, b"token").unwrap();
        discard(&mut server);
    }
    server.handle_input(now, bytes);
    server
}

fn client_got(config: &Arc<Config>, ready: bool, bytes: &[u8]) -> Client {
    let now = epoch();
    let mut client = Client::new(config.clone(), &Identification::new("a", "b"), now).unwrap();
    discard(&mut client);
    if ready {
        client.handle_input(now, &ready_bytes(&config.codec));
        discard(&mut client);
    }
    client.handle_input(now, bytes);
    client
}

fn client_bytes(message: &ClientMessage<'_>, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(MessageId(id), &CodecConfig::default(), &mut bytes).unwrap();
    bytes
}

fn server_bytes(message: &ServerMessage<'_>, id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(MessageId(id), &CodecConfig::default(), &mut bytes).unwrap();
    bytes
}

fn violation<S: Session<Error = SessionError>>(session: &S) -> Violation {
    match session.ended() {
        Some(End::Error(SessionError::Violation(violation))) => *violation,
        other => panic!("no violation: {other:?}"),
    }
}

/// The one frame that a violation queues: a ProtocolError with a short reason.
fn assert_protocol_error<S>(session: &mut S)
where
    S: Session<Transmit = bytes::Bytes, Error = SessionError>,
{
    let sent = session.poll_transmit().expect("a ProtocolError");
    assert_eq!(sent[0], OpCode::ProtocolError as u8);
    let reason = std::str::from_utf8(&sent[5..]).unwrap();
    assert_eq!(usize::from(u16::from_be_bytes([sent[3], sent[4]])), reason.len());
    assert!(!reason.is_empty() && reason.len() <= 256, "{reason}");
    assert_eq!(session.poll_transmit(), None);
    assert!(!session.wants_input());
}

// --- 1: Identification

#[test]
fn step1_the_client_identifies_itself_first() {
    let config = Arc::new(Config::default());
    let mut client = Client::new(config, &Identification::new("9f2c", "Ada"), epoch()).unwrap();
    let sent = client.poll_transmit().unwrap();
    assert_eq!(&sent[..], b"\x01\0\0\0\x21{\"login\":\"9f2c\",\"username\":\"Ada\"}");
    assert!(!client.is_ready());
}

#[test]
fn step1_an_identification_that_does_not_fit_is_an_error_for_the_caller() {
    let config = Arc::new(Config::default().codec(CodecConfig::default().max_payload(20)));
    let result = Client::new(config, &Identification::new("9f2c", "Ada"), epoch());
    assert_eq!(result.err(), Some(EncodeError::PayloadTooLarge { len: 33, limit: 20 }));
}

#[test]
fn step1_anything_before_the_identification_but_noops_ends_the_session() {
    let config = Arc::new(Config::default());
    for message in [
        ClientMessage::Request(b"x"),
        ClientMessage::Acknowledgement { in_reply_to: MessageId(0x8000) },
        ClientMessage::Reply { in_reply_to: MessageId(0x8000), body: b"x" },
        ClientMessage::ErrorReply { in_reply_to: MessageId(0x8000) },
        ClientMessage::Event(b"x"),
    ] {
        let bytes = [&[0, 0][..], &client_bytes(&message, 0)].concat();
        let mut server = server_got(&config, false, &bytes);
        assert!(!server.is_ready());
        let expected = Violation { kind: ViolationKind::OutOfTurn(message.opcode()), offset: 2 };
        assert_eq!(violation(&server), expected);
        assert_protocol_error(&mut server);
        assert_eq!(server.poll_event(), None);
    }
}

#[test]
fn step1_a_second_identification_ends_the_session_before_and_after_ready() {
    let config = Arc::new(Config::default());
    let twice = identification_bytes(&config.codec);
    let mut server = server_got(&config, false, &[&twice[..], &twice].concat());
    assert_eq!(violation(&server).kind, ViolationKind::OutOfTurn(OpCode::Identification));
    assert_protocol_error(&mut server);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Identified(_))), "came before it");
    assert_eq!(server.accept(epoch(), b"t"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch(), "no"), Err(DecideError::NotWaiting));

    let mut server = server_got(&config, true, &twice);
    assert_eq!(violation(&server).kind, ViolationKind::OutOfTurn(OpCode::Identification));
    assert_protocol_error(&mut server);
}

#[test]
fn step1_an_identification_that_is_none_ends_the_session() {
    let config = Arc::new(Config::default());
    let deep = format!(r#"{{"login":"a","username":{}"#, "[".repeat(60_000));
    for (json, kind) in [
        ("hello", DecodeErrorKind::NotJson),
        ("[]", DecodeErrorKind::NotAnObject),
        (r#"{"login":"a"}"#, DecodeErrorKind::MissingKey("username")),
        (r#"{"login":7,"username":"b"}"#, DecodeErrorKind::NotAString("login")),
        (&deep, DecodeErrorKind::TooDeep),
    ] {
        let frame =
            bingo_proto::FrameRef::new(OpCode::Identification, MessageId(0), json.as_bytes());
        let mut bytes = Vec::new();
        frame.encode(&config.codec, &mut bytes).unwrap();
        let mut server = server_got(&config, false, &bytes);
        assert_eq!(violation(&server).kind, ViolationKind::Malformed(kind));
        assert!(violation(&server).offset >= 5, "in the payload");
        assert_protocol_error(&mut server);
    }
}

// --- 2: the decision

#[test]
fn step2_accepted_with_a_token() {
    let mut pair = connected(Config::default());
    pair.run_for(SECOND);
    let who = Identification::new("9f2c", "Ada").into_owned();
    assert_eq!(pair.server.events.pop_front(), Some(ServerEvent::Identified(who)));
    pair.server.session.accept(pair.now, b"s3cret").unwrap();
    assert_eq!(pair.server.session.accept(pair.now, b"again"), Err(DecideError::NotWaiting));
    assert_eq!(pair.server.session.refuse(pair.now, "no"), Err(DecideError::NotWaiting));
    pair.run_for(SECOND);
    match pair.client.events.pop_front() {
        Some(ClientEvent::Ready { token }) => {
            assert_eq!(token.expose().as_str(), Some("s3cret"));
            assert_eq!(&token.expose()[..], b"s3cret");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn step2_refused_with_a_text() {
    for style in [ErrorReplyStyle::HeaderId, ErrorReplyStyle::PayloadPrefix] {
        let codec = CodecConfig::default().error_reply_style(style);
        let mut pair = connected(Config::default().codec(codec));
        pair.run_for(SECOND);
        pair.server.session.refuse(pair.now, "unknown login").unwrap();
        assert_eq!(pair.server.session.ended(), Some(&End::Clean));
        pair.run_for(SECOND);
        let refused = SessionError::Refused { text: "unknown login".into() };
        // It would be again.
        assert!(!refused.should_reconnect() && SessionError::PingTimeout.should_reconnect());
        assert_eq!(pair.client.session.ended(), Some(&End::Error(refused)));
        assert!(pair.client.events.is_empty());

        let config = Arc::new(Config::default().codec(codec));
        let mut server = server_got(&config, false, &{
            let mut bytes = Vec::new();
            ClientMessage::Identification(Identification::new("a", "b"))
                .encode(MessageId(0x0102), &codec, &mut bytes)
                .unwrap();
            bytes
        });
        server.refuse(epoch(), "no").unwrap();
        let expected = match style {
            ErrorReplyStyle::HeaderId => &b"\x06\x01\x02\0\x02no"[..],
            ErrorReplyStyle::PayloadPrefix => b"\x06\x80\0\0\x04\x01\x02no",
        };
        assert_eq!(server.poll_transmit().as_deref(), Some(expected), "to the Identification");
    }
}

#[test]
fn step2_refused_by_a_protocol_error() {
    let mut pair = connected(Config::default());
    pair.run_for(SECOND);
    pair.server.session.protocol_error(pair.now, "wrong version");
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    let error = SessionError::ProtocolError { reason: "wrong version".into() };
    assert_eq!(pair.client.session.ended(), Some(&End::Error(error)));
}

#[test]
fn step2_undecided_in_time_both_sides_close() {
    let timed_out = End::Error(SessionError::HandshakeTimeout);
    let mut pair = connected(Config::default());
    pair.run_for(Duration::from_millis(9_999));
    assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
    pair.run_for(Duration::from_millis(1));
    assert_eq!(pair.client.session.ended(), Some(&timed_out));
    assert_eq!(pair.server.session.ended(), Some(&timed_out));
    assert_eq!(pair.server.session.poll_transmit(), None);

    // A client that says nothing, or keeps on meaning nothing.
    let config = Arc::new(Config::default());
    let mut server = server_got(&config, false, &[0; 100]);
    let deadline = server.poll_timeout().unwrap();
    server.handle_timeout(deadline - Duration::from_nanos(1));
    assert_eq!(server.ended(), None);
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), Some(&timed_out));
}

#[test]
fn step2_a_decision_that_cannot_be_sent_can_be_taken_again() {
    let codec = CodecConfig::default().max_payload(64);
    let mut pair = connected(Config::default().codec(codec));
    pair.run_for(SECOND);
    let too_long = SendError::PayloadTooLarge { len: 65, limit: 64 };
    let server = &mut pair.server.session;
    assert_eq!(server.accept(pair.now, &[b'x'; 65]), Err(DecideError::Send(too_long)));
    assert_eq!(server.refuse(pair.now, &"x".repeat(65)), Err(DecideError::Send(too_long)));
    server.accept(pair.now, b"short").unwrap();
}

#[test]
fn step2_no_decision_without_an_identification() {
    let mut server = server_got(&Arc::new(Config::default()), false, b"");
    assert_eq!(server.accept(epoch(), b"t"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch(), "t"), Err(DecideError::NotWaiting));
    assert_eq!(server.poll_transmit(), None);
}

// --- 3: who may say what when

#[test]
fn step3_a_client_may_only_send_noop_and_protocol_error_before_the_decision() {
    let config = Arc::new(Config::default());
    let before = identification_bytes(&config.codec);
    let after = |message: &ClientMessage<'_>| [&before[..], &client_bytes(message, 1)].concat();
    for message in [
        ClientMessage::Request(b"x"),
        ClientMessage::Acknowledgement { in_reply_to: MessageId(0x8000) },
        ClientMessage::ErrorReply { in_reply_to: MessageId(0x8000) },
        ClientMessage::Event(b"x"),
    ] {
        let mut server = server_got(&config, false, &after(&message));
        assert_eq!(violation(&server).kind, ViolationKind::OutOfTurn(message.opcode()));
        assert_eq!(violation(&server).offset, before.len() as u64);
        assert_protocol_error(&mut server);
    }
    let mut server = server_got(&config, false, &after(&ClientMessage::Noop));
    assert_eq!(server.ended(), None);
    assert_eq!(server.accept(epoch(), b"t"), Ok(()));
    let reason = "changed my mind";
    let server = server_got(&config, false, &after(&ClientMessage::ProtocolError { reason }));
    let error = SessionError::ProtocolError { reason: reason.into() };
    assert_eq!(server.ended(), Some(&End::Error(error)));

    let mut client = client_got(&config, false, b"");
    let now = epoch();
    assert_eq!(client.request(now, b"x"), Err(SendError::NotReady));
    assert_eq!(client.event(now, b"x"), Err(SendError::NotReady));
    assert_eq!(client.poll_transmit(), None);
    assert_eq!(client.noop(now), Ok(()));
    assert_eq!(client.poll_transmit().as_deref(), Some(&b"\0"[..]));
    let mut server = server_got(&config, false, &before);
    assert_eq!(server.request(now, b"x"), Err(SendError::NotReady));
    assert_eq!(server.event(now, b"x"), Err(SendError::NotReady));
    assert_eq!(server.data_update(now, b"x"), Err(SendError::NotReady));
}

#[test]
fn step3_what_a_client_takes_before_ready() {
    let config = Arc::new(Config::default());
    for message in [
        ServerMessage::Request(b"x"),
        ServerMessage::Acknowledgement { in_reply_to: MessageId(0) },
        ServerMessage::Reply { in_reply_to: MessageId(0), body: b"x" },
        ServerMessage::Event(b"x"),
        ServerMessage::DataUpdate(b"x"),
    ] {
        let mut client = client_got(&config, false, &server_bytes(&message, 0x8000));
        assert_eq!(violation(&client).kind, ViolationKind::OutOfTurn(message.opcode()));
        assert_protocol_error(&mut client);
    }
    // Noop and Ping are fine. Pings are answered when the client may speak.
    let pings = [
        &[0][..],
        &server_bytes(&ServerMessage::Ping, 0x8000),
        &server_bytes(&ServerMessage::Ping, 0x8001),
    ]
    .concat();
    let mut client = client_got(&config, false, &pings);
    assert_eq!((client.poll_transmit(), client.poll_event()), (None, None));
    assert_eq!(client.ended(), None);
    client.handle_input(epoch(), &ready_bytes(&config.codec));
    let expected = b"\x05\0\x01\0\x02\x80\0\x05\0\x02\0\x02\x80\x01";
    assert_eq!(client.poll_transmit().as_deref(), Some(&expected[..]));
    // One that pings without end is stopped.
    let mut flood = Vec::new();
    for id in 0..1025 {
        flood.extend(server_bytes(&ServerMessage::Ping, 0x8000 + id));
    }
    assert_eq!(client_got(&config, false, &flood[..1024 * 5]).ended(), None);
    let client = client_got(&config, false, &flood);
    assert_eq!(violation(&client).kind, ViolationKind::TooManyRequests);
}

#[test]
fn step3_a_second_ready_is_a_violation() {
    let config = Arc::new(Config::default());
    let mut client = client_got(&config, true, &ready_bytes(&config.codec));
    assert_eq!(violation(&client).kind, ViolationKind::OutOfTurn(OpCode::Ready));
    assert_protocol_error(&mut client);
}

#[test]
fn b4_every_opcode_of_the_wrong_side_ends_the_session() {
    let config = Arc::new(Config::default());
    for opcode in [OpCode::Ready, OpCode::Ping, OpCode::DataUpdate] {
        let bytes = [opcode as u8, 0, 0, 0, 0];
        for ready in [false, true] {
            let mut server = server_got(&config, ready, &bytes);
            let kind = DecodeErrorKind::WrongDirection(opcode);
            assert_eq!(violation(&server).kind, ViolationKind::Malformed(kind));
            assert_protocol_error(&mut server);
        }
    }
    let bytes = [OpCode::Identification as u8, 0x80, 0, 0, 0];
    for ready in [false, true] {
        let mut client = client_got(&config, ready, &bytes);
        let kind = DecodeErrorKind::WrongDirection(OpCode::Identification);
        assert_eq!(violation(&client).kind, ViolationKind::Malformed(kind));
        assert_protocol_error(&mut client);
    }
}

#[test]
fn b3_b5_b6_b7_b8_b9_bad_frames_end_the_session_with_a_protocol_error() {
    let config = Arc::new(Config::default().codec(CodecConfig::default().max_payload(600)));
    for (bytes, kind, offset) in [
        (&b"\x0a"[..], DecodeErrorKind::UnknownOpcode(10), 0),
        (b"\x08\x80\0\0\0", DecodeErrorKind::WrongIdHalf(MessageId(0x8000)), 1),
        (b"\x06\0\x01\0\0", DecodeErrorKind::WrongIdHalf(MessageId(1)), 1),
        (b"\x05\0\0\0\0", DecodeErrorKind::ReplyTooShort, 5),
        (b"\x05\0\0\0\x01\x80", DecodeErrorKind::ReplyTooShort, 5),
        (b"\x06\x80\0\0\x02no", DecodeErrorKind::PayloadNotEmpty, 5),
        (b"\x07\0\0\0\x01\xff", DecodeErrorKind::NotUtf8, 5),
        (b"\x08\0\0\x02\x59", DecodeErrorKind::PayloadTooLarge { announced: 601, limit: 600 }, 3),
    ] {
        let bytes = [&[0, 0, 0], bytes].concat();
        let mut server = server_got(&config, true, &bytes);
        let start = identification_bytes(&config.codec).len() as u64 + 3;
        let expected = Violation { kind: ViolationKind::Malformed(kind), offset: start + offset };
        assert_eq!(violation(&server), expected);
        assert_protocol_error(&mut server);
    }
    for (bytes, kind) in [
        (&b"\x03\x80\0\0\x01x"[..], DecodeErrorKind::PayloadNotEmpty),
        (b"\x06\0\0\0\x01\xff", DecodeErrorKind::NotUtf8),
        (b"\x08\0\0\0\0", DecodeErrorKind::WrongIdHalf(MessageId(0))),
    ] {
        let mut client = client_got(&config, true, bytes);
        assert_eq!(violation(&client).kind, ViolationKind::Malformed(kind));
        assert_protocol_error(&mut client);
    }
}

// --- 4: Pings

#[test]
fn step4_a_ping_at_every_interval_each_with_its_round_trip() {
    let mut pair = ready(Config::default());
    pair.run_for(Duration::from_secs(95));
    let pongs: Vec<_> = pair.server.events.drain(..).collect();
    assert_eq!(pongs, vec![ServerEvent::Pong { round_trip: 2 * LATENCY }; 3]);
    assert!(pair.client.events.is_empty(), "the client answers by itself");
}

#[test]
fn step4_an_unanswered_ping_closes_as_timed_out() {
    let config = Arc::new(Config::default());
    let mut server = server_got(&config, true, b"");
    let ping_at = server.poll_timeout().unwrap();
    server.handle_timeout(ping_at);
    assert_eq!(server.poll_transmit().as_deref(), Some(&b"\x03\x80\x01\0\0"[..]));
    let deadline = server.poll_timeout().unwrap();
    assert_eq!(deadline - ping_at, Duration::from_secs(10));
    server.handle_timeout(deadline - Duration::from_millis(1));
    assert_eq!(server.ended(), None);
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::PingTimeout)));
}

#[test]
fn step4_a_ping_answered_with_a_body_or_refused_is_answered() {
    let config = Arc::new(Config::default());
    for answer in [&b"\x05\0\x01\0\x05\x80\x01yes"[..], b"\x06\x80\x01\0\0"] {
        let mut server = server_got(&config, true, b"");
        let ping_at = server.poll_timeout().unwrap();
        server.handle_timeout(ping_at);
        server.handle_input(ping_at + SECOND, answer);
        assert_eq!(server.poll_event(), Some(ServerEvent::Pong { round_trip: SECOND }));
        // Answered once; a second answer is to nothing.
        server.handle_input(ping_at + SECOND, answer);
        assert!(matches!(server.poll_event(), Some(ServerEvent::StrayReply { .. })));
    }
}

#[test]
fn step4_no_pings_before_ready_nor_without_an_interval() {
    let config = Arc::new(Config::default().handshake_timeout(Duration::from_secs(3600)));
    let mut server = server_got(&config, false, &identification_bytes(&config.codec));
    discard(&mut server);
    server.handle_timeout(epoch() + Duration::from_secs(1000));
    assert_eq!(server.poll_transmit(), None);
    let config = Arc::new(Config::default().ping_interval(None));
    let mut server = server_got(&config, true, b"");
    assert_eq!(server.poll_timeout(), None);
    server.handle_timeout(epoch() + Duration::from_secs(1000));
    assert_eq!(server.poll_transmit(), None);
}

#[test]
fn step4_pings_overlap_when_the_interval_is_shorter_than_the_timeout() {
    let config = Config::default().ping_interval(Some(Duration::from_millis(10)));
    let mut pair = ready(config);
    pair.latency = Duration::from_millis(100);
    pair.run_for(SECOND);
    pair.server.events.clear();
    pair.run_for(SECOND);
    assert_eq!(pair.server.events.len(), 100);
    assert_eq!(
        pair.server.events.back(),
        Some(&ServerEvent::Pong { round_trip: Duration::from_millis(200) })
    );
}

#[test]
fn step4_pings_keep_the_beat_when_the_caller_comes_late() {
    // Unless it comes a whole beat late.
    for (late, next) in [(1, 30), (29, 30), (30, 60), (31, 61)] {
        let (late, next) = (Duration::from_secs(late), Duration::from_secs(next));
        let mut server = server_got(&Arc::new(Config::default()), true, b"");
        let first = server.poll_timeout().unwrap();
        server.handle_timeout(first + late);
        let ping = server.poll_transmit().unwrap();
        assert_eq!(ping.len(), 5, "one");
        server.handle_input(first + late, &[5, 0, 1, 0, 2, ping[1], ping[2]]);
        assert!(matches!(server.poll_event(), Some(ServerEvent::Pong { .. })));
        assert_eq!(server.poll_timeout(), Some(first + next));
    }
}

#[test]
fn step4_no_ping_follows_the_one_that_was_not_answered() {
    let mut server = server_got(&Arc::new(Config::default()), true, b"");
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at);
    assert!(server.poll_transmit().is_some());
    server.handle_timeout(at + Duration::from_secs(30));
    assert_eq!(server.ended(), Some(&End::Error(SessionError::PingTimeout)));
    assert_eq!(server.poll_transmit(), None);
}

#[test]
fn step4_pings_that_cannot_go_out_or_are_not_answered_are_few() {
    let limits = Limits::default().max_pending(3).max_transmit_bytes(100);
    let config = Config::default()
        .limits(limits)
        .codec(CodecConfig::default().max_payload(60))
        .ping_interval(Some(Duration::from_millis(1)))
        .ping_timeout(Duration::from_secs(3600));
    let mut server = server_got(&Arc::new(config.clone()), true, b"");
    for _ in 0..1000 {
        let at = server.poll_timeout().unwrap();
        server.handle_timeout(at);
    }
    assert_eq!(server.poll_transmit().unwrap().len(), 3 * 5, "no more than max_pending");

    // A peer that reads nothing, but answers what it guesses was sent.
    let config = config.limits(limits.max_pending(1000));
    let mut server = server_got(&Arc::new(config), true, b"");
    for id in 0x8001..0x9000_u16 {
        let at = server.poll_timeout().unwrap();
        server.handle_timeout(at);
        let [high, low] = id.to_be_bytes();
        server.handle_input(at, &[5, 0, 1, 0, 2, high, low]);
        while server.poll_event().is_some() {}
    }
    assert_eq!(server.poll_transmit().unwrap().len(), 105);
}

#[test]
fn step4_one_long_frame_that_nobody_reads_hides_no_dead_peer() {
    let limits = Limits::default().max_transmit_bytes(100);
    let mut server = server_got(&Arc::new(Config::default().limits(limits)), true, b"");
    server.event(epoch(), &[0; 65_535]).unwrap();
    for _ in 0..3 {
        if let Some(at) = server.poll_timeout() {
            server.handle_timeout(at);
        }
    }
    assert_eq!(server.ended(), Some(&End::Error(SessionError::PingTimeout)));
}

#[test]
fn step4_an_interval_of_nothing_is_a_millisecond() {
    let config = Arc::new(Config::default().ping_interval(Some(Duration::ZERO)));
    let mut server = server_got(&config, true, b"");
    let first = server.poll_timeout().unwrap();
    server.handle_timeout(first);
    assert_eq!(server.poll_timeout(), Some(first + Duration::from_millis(1)));
}

// --- 5: requests

#[test]
fn step5_requests_both_ways_have_each_one_outcome() {
    for style in [ErrorReplyStyle::HeaderId, ErrorReplyStyle::PayloadPrefix] {
        let codec =
            CodecConfig::default().error_reply_style(style).byte_order(ByteOrder::LittleEndian);
        let mut pair = ready(Config::default().codec(codec));
        let now = pair.now;
        let c: Vec<_> = (0..4).map(|n| pair.client.session.request(now, &[n]).unwrap()).collect();
        let s: Vec<_> = (0..4).map(|n| pair.server.session.request(now, &[n]).unwrap()).collect();
        pair.run_for(SECOND);
        let now = pair.now;
        for (n, event) in (0..4).zip(std::mem::take(&mut pair.server.events)) {
            let ServerEvent::Request { id, payload } = event else { panic!("{event:?}") };
            assert_eq!(&payload[..], [n]);
            let server = &mut pair.server.session;
            match n {
                0 => server.reply(now, id, b"yes").unwrap(),
                1 => server.acknowledge(now, id).unwrap(),
                2 => server.reject(now, id, "taken").unwrap(),
                _ => continue,
            }
            // Answering twice sends nothing.
            assert_eq!(server.reply(now, id, b"yes"), Err(AnswerError::NotOpen(id)));
            assert_eq!(server.acknowledge(now, id), Err(AnswerError::NotOpen(id)));
            assert_eq!(server.reject(now, id, ""), Err(AnswerError::NotOpen(id)));
        }
        for (n, event) in (0..4).zip(std::mem::take(&mut pair.client.events)) {
            let ClientEvent::Request { id, .. } = event else { panic!("{event:?}") };
            let client = &mut pair.client.session;
            match n {
                0 => client.reply(now, id, b"yes").unwrap(),
                1 => client.acknowledge(now, id).unwrap(),
                2 => client.reject(now, id).unwrap(),
                _ => continue,
            }
            assert_eq!(client.reply(now, id, b"yes"), Err(AnswerError::NotOpen(id)));
            assert_eq!(client.reject(now, id), Err(AnswerError::NotOpen(id)));
        }
        pair.run_for(2 * SECOND);
        let outcome = |n: usize, text: &str| match n {
            0 => Outcome::Reply(Payload::from("yes")),
            1 => Outcome::Acknowledged,
            2 => Outcome::ErrorReply { text: text.into() },
            _ => Outcome::TimedOut,
        };
        assert_eq!((pair.client.events.len(), pair.server.events.len()), (3, 3));
        pair.run_for(Duration::from_secs(60));
        pair.server.events.retain(|event| !matches!(event, ServerEvent::Pong { .. }));
        assert_eq!((pair.client.events.len(), pair.server.events.len()), (4, 4));
        for (n, request) in c.into_iter().enumerate() {
            let expected = ClientEvent::Outcome { request, outcome: outcome(n, "taken") };
            assert_eq!(pair.client.events[n], expected);
        }
        for (n, request) in s.into_iter().enumerate() {
            let expected = ServerEvent::Outcome { request, outcome: outcome(n, "") };
            assert_eq!(pair.server.events[n], expected);
        }
    }
}

#[test]
fn b7_an_error_reply_in_header_style_uses_up_no_id() {
    for (style, next) in [(ErrorReplyStyle::HeaderId, 1), (ErrorReplyStyle::PayloadPrefix, 2)] {
        let codec = CodecConfig::default().error_reply_style(style);
        let ask = client_bytes(&ClientMessage::Request(b"?"), 5);
        let mut server = server_got(&Arc::new(Config::default().codec(codec)), true, &ask);
        let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
        server.reject(epoch(), id, "no").unwrap();
        discard(&mut server);
        server.event(epoch(), b"").unwrap();
        assert_eq!(server.poll_transmit().unwrap()[1..3], [0x80, next]);
    }
}

#[test]
fn step5_what_is_closed_are_requests_and_not_pings() {
    let mut server = server_got(&Arc::new(Config::default()), true, b"");
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at);
    server.close(at);
    assert_eq!(server.poll_event(), None);
}

#[test]
fn step5_a_request_times_out_on_time() {
    let mut pair = ready(Config::default());
    let request = pair.client.session.request(pair.now, b"?").unwrap();
    pair.run_for(Duration::from_secs(30) - Duration::from_nanos(1));
    assert!(pair.client.events.is_empty());
    pair.run_for(Duration::from_nanos(1));
    let expected = ClientEvent::Outcome { request, outcome: Outcome::TimedOut };
    assert_eq!(pair.client.events, [expected]);
}

#[test]
fn step5_whatever_is_open_when_the_link_breaks_ends_closed() {
    // The connection is lost after every number of bytes of a whole conversation.
    let mut whole = None;
    for cut_after in (0..).map(Some) {
        let mut pair = connected(Config::default());
        pair.cut_after = cut_after;
        let mut asked = (Vec::new(), Vec::new());
        pair.run_for(SECOND);
        let _ = pair.server.session.accept(pair.now, b"token");
        pair.run_for(SECOND);
        for n in 0..3 {
            asked.0.extend(pair.client.session.request(pair.now, &[n; 5]).ok());
            asked.1.extend(pair.server.session.request(pair.now, &[n; 5]).ok());
        }
        pair.run_for(SECOND);
        for event in &pair.client.events {
            if let ClientEvent::Request { id, .. } = event {
                let _ = pair.client.session.reply(pair.now, *id, b"fine");
            }
        }
        for event in &pair.server.events {
            if let ServerEvent::Request { id, .. } = event {
                let _ = pair.server.session.reject(pair.now, *id, "no");
            }
        }
        pair.run_for(SECOND);
        pair.client.session.close(pair.now);
        pair.run_for(SECOND);
        assert!(pair.client.session.ended().is_some(), "{cut_after:?}");
        assert!(pair.server.session.ended().is_some(), "{cut_after:?}");
        for (request, of_client) in
            asked.0.iter().map(|r| (*r, true)).chain(asked.1.iter().map(|r| (*r, false)))
        {
            let outcomes = if of_client {
                let is = |e: &&ClientEvent| matches!(e, ClientEvent::Outcome { request: r, .. } if *r == request);
                pair.client.events.iter().filter(is).count()
            } else {
                let is = |e: &&ServerEvent| matches!(e, ServerEvent::Outcome { request: r, .. } if *r == request);
                pair.server.events.iter().filter(is).count()
            };
            assert_eq!(outcomes, 1, "{request:?} after {cut_after:?} bytes");
        }
        let left = pair.cut_after.unwrap();
        if left > 0 {
            whole = cut_after;
            break;
        }
    }
    assert!(whole.unwrap() > 150, "the whole conversation passed: {whole:?}");
}

#[test]
fn step5_more_open_requests_than_allowed_are_refused_on_our_side() {
    let mut pair = ready(Config::default().limits(Limits::default().max_pending(2)));
    let client = &mut pair.client.session;
    let first = client.request(pair.now, b"1").unwrap();
    client.request(pair.now, b"2").unwrap();
    assert_eq!(client.request(pair.now, b"3"), Err(SendError::TooManyPending));
    pair.run_for(SECOND);
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_front() else { panic!() };
    pair.server.session.acknowledge(pair.now, id).unwrap();
    pair.run_for(SECOND);
    let outcome = Outcome::Acknowledged;
    assert_eq!(pair.client.events, [ClientEvent::Outcome { request: first, outcome }]);
    assert!(pair.client.session.request(pair.now, b"3").is_ok());
}

#[test]
fn b5_more_open_requests_than_allowed_are_a_violation_of_the_peer() {
    let config = Arc::new(Config::default().limits(Limits::default().max_pending(2)));
    let ask = |id| client_bytes(&ClientMessage::Request(b"?"), id);
    let server = server_got(&config, true, &[ask(1), ask(2)].concat());
    assert_eq!(server.ended(), None);
    let mut server = server_got(&config, true, &[ask(1), ask(2), ask(3)].concat());
    assert_eq!(violation(&server).kind, ViolationKind::TooManyRequests);
    assert_protocol_error(&mut server);
}

#[test]
fn b5_the_limit_is_at_least_1_and_at_most_8192() {
    for (configured, effective) in [(0, 1), (1, 1), (8192, 8192), (u16::MAX, 8192)] {
        let limits = Limits::default().max_pending(configured);
        let mut client = client_got(&Arc::new(Config::default().limits(limits)), true, b"");
        for n in 0..effective {
            assert!(client.request(epoch(), b"").is_ok(), "request {n} of {configured}");
        }
        assert_eq!(client.request(epoch(), b""), Err(SendError::TooManyPending));
    }
    let limits = Limits::default().max_events(0).max_event_bytes(0);
    let event = client_bytes(&ClientMessage::Event(b"x"), 1);
    let mut server = server_got(&Arc::new(Config::default().limits(limits)), true, &event);
    assert!(!server.wants_input());
    assert!(server.poll_event().is_some());
    assert!(server.wants_input());
}

#[test]
fn b5_requests_that_the_peer_has_given_up_count_no_longer() {
    let limits = Limits::default().max_pending(2);
    let mut pair = ready(Config::default().limits(limits).ping_interval(None));
    // The application answers none of them.
    for _ in 0..10 {
        pair.client.session.request(pair.now, b"?").unwrap();
        pair.run_for(Duration::from_secs(31));
        assert_eq!(pair.server.session.ended(), None);
    }
    // One may be answered all the same, as long as no other took its place.
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_back() else { panic!() };
    pair.server.session.acknowledge(pair.now, id).unwrap();
    let Some(ServerEvent::Request { id, .. }) = pair.server.events.pop_front() else { panic!() };
    let answered = pair.server.session.acknowledge(pair.now, id);
    assert_eq!(answered, Err(AnswerError::NotOpen(id)));

    // The same id again, once given up.
    let ask = client_bytes(&ClientMessage::Request(b"?"), 7);
    let mut server = server_got(&Arc::new(Config::default().ping_interval(None)), true, &ask);
    server.handle_input(epoch() + Duration::from_secs(31), &ask);
    assert_eq!(server.ended(), None);
}

#[test]
fn b5_a_request_is_given_up_once_request_timeout_has_passed_and_not_before() {
    let timeout = Duration::from_secs(30);
    let limits = Limits::default().max_pending(1);
    let config = Config::default().limits(limits).ping_interval(None).request_timeout(timeout);
    let config = Arc::new(config);
    for id in [7, 8] {
        for (later, is_given_up) in [(timeout - Duration::from_nanos(1), false), (timeout, true)] {
            let mut server = server_got(&config, true, b"");
            let now = epoch();
            server.handle_input(now, &client_bytes(&ClientMessage::Request(b"?"), 7));
            server.handle_input(now + later, &client_bytes(&ClientMessage::Request(b"?"), id));
            assert_eq!(server.ended().is_none(), is_given_up, "{id} after {later:?}");
        }
    }
}

#[test]
fn b5_two_open_requests_under_one_id_are_a_violation() {
    let config = Arc::new(Config::default());
    let ask = client_bytes(&ClientMessage::Request(b"?"), 7);
    let mut server = server_got(&config, true, &[&ask[..], &ask].concat());
    assert_eq!(violation(&server).kind, ViolationKind::DuplicateRequest(MessageId(7)));
    assert_protocol_error(&mut server);

    // Answered in between, it may come again.
    let mut server = server_got(&config, true, &ask);
    let now = epoch();
    let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
    server.acknowledge(now, id).unwrap();
    server.handle_input(now, &ask);
    assert_eq!(server.ended(), None);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Request { .. })));
}

#[test]
fn b5_ids_count_up_wrap_in_their_half_and_skip_the_outstanding() {
    let mut pair = ready(Config::default());
    let now = pair.now;
    let open = pair.client.session.request(now, b"?").unwrap();
    assert_eq!(open.message_id(), MessageId(1), "the Identification was 0");
    discard(&mut pair.client.session);
    let mut ids = Vec::new();
    for _ in 0..0x8000 {
        pair.client.session.event(now, b"").unwrap();
        let sent = pair.client.session.poll_transmit().unwrap();
        ids.push(u16::from_be_bytes([sent[1], sent[2]]));
    }
    let expected: Vec<_> = (2..0x8000).chain([0, 2]).collect();
    assert_eq!(ids, expected);
}

#[test]
fn b2_a_million_noops_reach_nobody() {
    let mut pair = ready(Config::default());
    let noops = vec![0; 1_000_000];
    pair.server.session.handle_input(pair.now, &noops);
    pair.client.session.handle_input(pair.now, &noops);
    assert_eq!(pair.server.session.poll_event(), None);
    assert_eq!(pair.client.session.poll_event(), None);
    assert_eq!(pair.client.session.poll_transmit(), None);
    assert!(pair.server.session.wants_input() && pair.client.session.wants_input());
}

#[test]
fn b6_b7_answers_to_nothing_are_told_and_resolve_nothing() {
    let config = Arc::new(Config::default());
    let mut server = server_got(&config, true, b"");
    let now = epoch();
    let request = server.request(now, b"?").unwrap();
    discard(&mut server);
    let id = request.message_id();
    let made_up = MessageId(0x9000);
    let of_ours = MessageId(3);
    for (bytes, in_reply_to, outcome) in [
        (
            client_bytes(&ClientMessage::Acknowledgement { in_reply_to: made_up }, 1),
            made_up,
            Outcome::Acknowledged,
        ),
        (
            client_bytes(&ClientMessage::Reply { in_reply_to: made_up, body: b"x" }, 1),
            made_up,
            Outcome::Reply(Payload::from("x")),
        ),
        (
            client_bytes(&ClientMessage::ErrorReply { in_reply_to: made_up }, 1),
            made_up,
            Outcome::ErrorReply { text: "".into() },
        ),
        (b"\x05\0\x01\0\x02\0\x03".to_vec(), of_ours, Outcome::Acknowledged),
    ] {
        server.handle_input(now, &bytes);
        let expected = ServerEvent::StrayReply { in_reply_to, outcome };
        assert_eq!(server.poll_event(), Some(expected));
    }
    let answer = client_bytes(&ClientMessage::Acknowledgement { in_reply_to: id }, 2);
    server.handle_input(now, &answer);
    let outcome = Outcome::Acknowledged;
    assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));
    // The same once more.
    server.handle_input(now, &answer);
    let outcome = Outcome::Acknowledged;
    assert_eq!(server.poll_event(), Some(ServerEvent::StrayReply { in_reply_to: id, outcome }));
    assert_eq!(server.ended(), None);
}

/// A client with a request that has timed out, its id and the time.
fn timed_out() -> (Client, MessageId, Instant) {
    let config = Arc::new(Config::default());
    let mut client = client_got(&config, true, b"");
    let request = client.request(epoch(), b"?").unwrap();
    let now = client.poll_timeout().unwrap();
    client.handle_timeout(now);
    let expected = ClientEvent::Outcome { request, outcome: Outcome::TimedOut };
    assert_eq!(client.poll_event(), Some(expected));
    discard(&mut client);
    (client, request.message_id(), now)
}

/// Sends events until the ids have gone round once; tells whether `id` was among them.
fn uses(client: &mut Client, now: Instant, id: MessageId) -> bool {
    (0..0x8000).fold(false, |used, _| {
        client.event(now, b"").unwrap();
        let sent = client.poll_transmit().unwrap();
        used | (MessageId(u16::from_be_bytes([sent[1], sent[2]])) == id)
    })
}

#[test]
fn b6_a_timed_out_id_rests_until_its_late_reply_has_come() {
    let (mut client, id, now) = timed_out();
    assert!(!uses(&mut client, now + Duration::from_secs(29), id));
    let late = server_bytes(&ServerMessage::Acknowledgement { in_reply_to: id }, 0x8001);
    client.handle_input(now + Duration::from_secs(29), &late);
    let outcome = Outcome::Acknowledged;
    assert_eq!(client.poll_event(), Some(ClientEvent::StrayReply { in_reply_to: id, outcome }));
    assert!(uses(&mut client, now + Duration::from_secs(29), id));
}

#[test]
fn b6_a_timed_out_id_rests_for_one_more_timeout() {
    let (mut client, id, now) = timed_out();
    let rested = client.poll_timeout().unwrap();
    assert_eq!(rested - now, Duration::from_secs(30));
    client.handle_timeout(rested);
    assert_eq!((client.poll_event(), client.poll_timeout()), (None, None));
    assert!(uses(&mut client, rested, id));
}

// --- 6: the end by ProtocolError

#[test]
fn step6_a_protocol_error_is_told_and_nothing_more_is_sent() {
    let mut pair = ready(Config::default());
    let now = pair.now;
    let request = pair.server.session.request(now, b"?").unwrap();
    let reason = "you first";
    let bytes = client_bytes(&ClientMessage::ProtocolError { reason }, 1);
    pair.server.session.handle_input(now, &bytes);
    let error = End::Error(SessionError::ProtocolError { reason: reason.into() });
    let server = &mut pair.server.session;
    assert_eq!(server.ended(), Some(&error));
    assert_eq!(server.poll_transmit(), None);
    let outcome = Outcome::Closed;
    assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));
    assert_eq!(server.poll_event(), None);
    for result in [
        server.event(now, b""),
        server.data_update(now, b""),
        server.noop(now),
        server.request(now, b"").map(drop),
    ] {
        assert_eq!(result, Err(SendError::Ended));
    }
    server.close(now);
    server.protocol_error(now, "after the end");
    server.handle_input(now, b"\xff");
    server.handle_eof(now);
    server.handle_timeout(now + Duration::from_secs(1000));
    assert_eq!(server.ended(), Some(&error), "the first end stays");
    assert_eq!((server.poll_transmit(), server.poll_event()), (None, None));
}

#[test]
fn step6_the_protocol_error_of_a_violation_comes_after_what_was_queued() {
    let mut pair = ready(Config::default());
    pair.client.session.event(pair.now, b"queued").unwrap();
    pair.client.session.handle_input(pair.now, b"\xff");
    let sent = pair.client.session.poll_transmit().unwrap();
    assert_eq!(&sent[..11], b"\x08\0\x01\0\x06queued");
    assert_eq!(sent[11], OpCode::ProtocolError as u8);
    assert_eq!(&sent[16..], b"unknown opcode 0xff at byte 10");
}

#[test]
fn step6_a_protocol_error_is_never_answered_by_one() {
    let bytes = client_bytes(&ClientMessage::ProtocolError { reason: "bye" }, 0);
    for ready in [false, true] {
        let mut server = server_got(&Arc::new(Config::default()), ready, &bytes);
        let error = SessionError::ProtocolError { reason: "bye".into() };
        assert_eq!(server.ended(), Some(&End::Error(error)));
        assert_eq!(server.poll_transmit(), None);
    }
}

#[test]
fn step6_a_long_reason_is_cut_to_whole_characters() {
    let mut pair = ready(Config::default());
    pair.client.session.protocol_error(pair.now, &"é".repeat(200));
    let sent = pair.client.session.poll_transmit().unwrap();
    assert_eq!(std::str::from_utf8(&sent[5..]).unwrap(), "é".repeat(128));
    let mut pair = ready(Config::default());
    pair.client.session.protocol_error(pair.now, &"x".repeat(300));
    assert_eq!(pair.client.session.poll_transmit().unwrap().len(), 5 + 256);
    let codec = CodecConfig::default().max_payload(33);
    let mut pair = ready(Config::default().codec(codec));
    pair.client.session.protocol_error(pair.now, &"é".repeat(200));
    let sent = pair.client.session.poll_transmit().unwrap();
    assert_eq!(std::str::from_utf8(&sent[5..]).unwrap(), "é".repeat(16));
}

// --- 7: the end of the stream

#[test]
fn step7_the_end_of_the_stream_at_every_byte() {
    let config = Arc::new(Config::default());
    let stream = [
        &client_bytes(&ClientMessage::Event(b"hello"), 1)[..],
        &[0],
        &client_bytes(&ClientMessage::Event(b"you"), 2),
    ]
    .concat();
    let handshake = identification_bytes(&config.codec).len() as u64;
    for cut in 0..=stream.len() {
        let mut server = server_got(&config, true, &stream[..cut]);
        server.handle_eof(epoch());
        let start = match cut {
            0 | 10 | 11 | 19 => None,
            1..10 => Some(0),
            _ => Some(11),
        };
        let expected = match start {
            None => End::Clean,
            Some(start) => End::Error(SessionError::UnexpectedEof { offset: handshake + start }),
        };
        assert_eq!(server.ended(), Some(&expected), "cut at {cut}");
        assert_eq!(server.poll_transmit(), None);
        let events = std::iter::from_fn(|| server.poll_event()).count();
        assert_eq!(events, usize::from(cut >= 10) + usize::from(cut == 19));
    }
}

#[test]
fn step7_the_end_shows_even_if_nothing_is_taken() {
    // Nobody can write to the socket any more, nor does anybody listen.
    let limits = Limits::default().max_transmit_bytes(7).max_events(1);
    let config = Arc::new(Config::default().limits(limits));
    let input = [
        server_bytes(&ServerMessage::Ping, 0x8001),
        server_bytes(&ServerMessage::Event(b"x"), 0x8002),
    ];
    let mut client = client_got(&config, true, &input[1]);
    client.handle_eof(epoch());
    assert_eq!(client.ended(), Some(&End::Clean));
    assert!(client.poll_event().is_some());
    let mut client = client_got(&config, true, &input[0]);
    assert!(!client.wants_input());
    client.handle_eof(epoch());
    assert_eq!(client.ended(), Some(&End::Clean));
}

#[test]
fn step5_a_request_times_out_though_there_is_no_room_for_what_the_peer_wants() {
    let limits = Limits::default().max_transmit_bytes(7);
    let mut client = client_got(&Arc::new(Config::default().limits(limits)), true, b"");
    let now = epoch();
    client.request(now, b"?").unwrap();
    client.handle_input(now, &server_bytes(&ServerMessage::Ping, 0x8001));
    assert!(!client.wants_input(), "the acknowledgement has no room");
    assert_eq!(client.poll_timeout(), Some(now + Duration::from_secs(30)));
}

#[test]
fn step7_the_peer_sees_a_clean_close() {
    let mut pair = ready(Config::default());
    pair.server.session.event(pair.now, b"bye").unwrap();
    pair.server.session.close(pair.now);
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    assert_eq!(pair.client.session.ended(), Some(&End::Clean));
    assert_eq!(pair.client.events, [ClientEvent::Event(Payload::from("bye"))], "flushed first");
}

// --- the clock

#[test]
fn a_clock_that_stands_still_or_goes_back_delays_timeouts_and_nothing_else() {
    let mut pair = ready(Config::default());
    let now = pair.now;
    let earlier = now.checked_sub(SECOND).unwrap();
    let request = pair.client.session.request(now, b"?").unwrap();
    let deadline = pair.client.session.poll_timeout();
    assert_eq!(deadline, Some(now + Duration::from_secs(30)));
    for at in [now, earlier, now, earlier] {
        pair.client.session.handle_timeout(at);
        assert_eq!(pair.client.session.poll_timeout(), deadline);
    }
    // What is asked at an earlier time counts from the latest one.
    let second = pair.client.session.request(earlier, b"?").unwrap();
    pair.client.session.handle_timeout(now + Duration::from_secs(30));
    let outcomes: Vec<_> = std::iter::from_fn(|| pair.client.session.poll_event()).collect();
    let timed_out = |request| ClientEvent::Outcome { request, outcome: Outcome::TimedOut };
    assert_eq!(outcomes, [timed_out(request), timed_out(second)]);
}

#[test]
fn a_clock_that_jumps_a_year_times_out_what_is_open_and_goes_on() {
    let mut pair = ready(Config::default());
    let year = Duration::from_secs(365 * 24 * 3600);
    let request = pair.client.session.request(pair.now, b"?").unwrap();
    let later = pair.now + year;
    pair.client.session.handle_timeout(later);
    let outcome = Outcome::TimedOut;
    assert_eq!(pair.client.session.poll_event(), Some(ClientEvent::Outcome { request, outcome }));
    assert_eq!(pair.client.session.ended(), None);
    // The server sends one Ping, not a year's.
    pair.server.session.handle_timeout(later);
    assert_eq!(pair.server.session.poll_transmit().map(|sent| sent.len()), Some(5));
    assert_eq!(pair.server.session.poll_timeout(), Some(later + Duration::from_secs(10)));
}

#[test]
fn timeouts_longer_than_any_clock_never_come() {
    let config = Arc::new(
        Config::default()
            .request_timeout(Duration::MAX)
            .handshake_timeout(Duration::MAX)
            .ping_interval(Some(Duration::MAX))
            .ping_timeout(Duration::MAX),
    );
    let mut server = server_got(&config, true, b"");
    server.request(epoch(), b"?").unwrap();
    assert_eq!(server.poll_timeout(), None);
    let mut client = client_got(&config, true, b"");
    for age in [1 << 33, 1 << 35] {
        server.handle_timeout(epoch() + Duration::from_secs(age));
        assert_eq!((server.ended(), client.ended()), (None, None));
        client.handle_timeout(epoch() + Duration::from_secs(age));
        assert_eq!((server.poll_event(), client.poll_event()), (None, None));
    }
    assert_eq!((server.ended(), client.ended()), (None, None));
}

// --- back-pressure

#[test]
fn pings_without_end_to_a_client_whose_output_is_never_taken() {
    let config = Arc::new(Config::default());
    let mut client = client_got(&config, true, b"");
    let now = epoch();
    let read = server_bytes(&ServerMessage::Ping, 0x8000).repeat(800);
    let mut handed_in = 0;
    let used = testkit::measure(|| {
        // A million of them.
        for _ in 0..1250 {
            if client.wants_input() {
                client.handle_input(now, &read);
                handed_in += 1;
            }
            assert_eq!(client.poll_event(), None);
        }
    });
    assert!(!client.wants_input());
    assert!(handed_in < 60, "{handed_in} reads of 800 Pings for 256 KiB of acknowledgements");
    assert!(used.bytes_max <= config.max_memory(read.len()) as u64, "{used:?}");
    assert!(used.bytes_max < 600_000, "{used:?}");
    // Taken at last: every Ping that was handed in is answered, none twice.
    let mut acknowledged = 0;
    while let Some(sent) = client.poll_transmit() {
        assert!(sent.len() <= 256 * 1024);
        acknowledged += sent.len() / 7;
    }
    assert_eq!(acknowledged, handed_in * 800);
    assert!(client.wants_input());
}

#[test]
fn events_that_nobody_takes_stop_the_reading_and_lose_nothing() {
    let limits = Limits::default().max_events(10);
    let config = Arc::new(Config::default().limits(limits));
    let mut stream = Vec::new();
    for n in 0..100 {
        stream.extend(client_bytes(&ClientMessage::Event(&[n]), u16::from(n)));
    }
    let mut server = server_got(&config, true, &stream);
    assert!(!server.wants_input());
    server.handle_eof(epoch());
    assert_eq!(server.ended(), None, "not before what was accepted is decoded");
    for n in 0..100 {
        assert_eq!(server.poll_event(), Some(ServerEvent::Event(Payload::from(vec![n]))));
    }
    assert_eq!(server.poll_event(), None);
    assert_eq!(server.ended(), Some(&End::Clean));
}

#[test]
fn time_in_which_events_are_not_taken_does_not_count() {
    let limits = Limits::default().max_events(1);
    let config = Arc::new(Config::default().limits(limits).ping_interval(None));
    let mut server = server_got(&config, true, b"");
    let now = epoch();
    let request = server.request(now, b"?").unwrap();
    let id = request.message_id();
    // The answer is in, but behind an event that nobody takes for an hour.
    let input = [
        client_bytes(&ClientMessage::Event(b"busy?"), 1),
        client_bytes(&ClientMessage::Acknowledgement { in_reply_to: id }, 2),
    ];
    server.handle_input(now + SECOND, &input.concat());
    assert!(!server.wants_input());
    assert_eq!(server.poll_timeout(), None);
    let later = now + Duration::from_secs(3600);
    server.handle_timeout(later);
    assert_eq!(server.poll_event(), Some(ServerEvent::Event(Payload::from("busy?"))));
    server.handle_timeout(later + SECOND);
    let outcome = Outcome::Acknowledged;
    assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));

    // Once they are taken, the rest of the time counts.
    server.handle_timeout(later + SECOND);
    let request = server.request(later + SECOND, b"?").unwrap();
    assert_eq!(server.poll_timeout(), Some(later + SECOND + Duration::from_secs(30)));
    server.handle_timeout(later + SECOND + Duration::from_secs(30));
    let outcome = Outcome::TimedOut;
    assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));
}

#[test]
fn bursts_of_events_that_are_taken_at_once_stop_no_timeout() {
    for (max_events, burst) in [(1, 1), (1024, 1024)] {
        let limits = Limits::default().max_events(max_events);
        let config = Arc::new(Config::default().limits(limits).ping_interval(None));
        let mut server = server_got(&config, true, b"");
        let now = epoch();
        let request = server.request(now, b"?").unwrap();
        let deadline = server.poll_timeout().unwrap();
        let events = client_bytes(&ClientMessage::Event(b""), 1).repeat(burst);
        for n in 0..29 {
            server.handle_input(now + n * SECOND, &events);
            assert!(!server.wants_input());
            discard(&mut server);
        }
        assert_eq!(server.poll_timeout(), Some(deadline));
        server.handle_timeout(deadline);
        let outcome = Outcome::TimedOut;
        assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));
    }
}

#[test]
fn a_full_queue_is_taken_whole_before_more_is_decoded() {
    let event = |id| client_bytes(&ClientMessage::Event(b"x"), id);
    let asked = |id| client_bytes(&ClientMessage::Request(b"x"), id);
    for two in [[event(5), event(6)], [asked(5), asked(6)], [event(5), asked(6)]] {
        let limits = Limits::default().max_events(2);
        let config = Arc::new(Config::default().limits(limits).ping_interval(None));
        let mut server = server_got(&config, true, b"");
        let now = epoch();
        let request = server.request(now, b"?").unwrap();
        discard(&mut server);
        let in_reply_to = request.message_id();
        let answer = client_bytes(&ClientMessage::Acknowledgement { in_reply_to }, 2);
        server.handle_input(now, &[two.concat(), answer].concat());
        assert!(server.poll_event().is_some());
        // One more waits, and behind it the answer: time doesn't count.
        assert_eq!((server.wants_input(), server.poll_timeout()), (false, None));
        assert!(format!("{server:?}").contains("events: 1"), "{server:?}");
        server.handle_timeout(now + Duration::from_secs(3600));
        assert!(server.poll_event().is_some());
        let outcome = Outcome::Acknowledged;
        assert_eq!(server.poll_event(), Some(ServerEvent::Outcome { request, outcome }));
        assert!(server.wants_input());
    }
}

#[test]
fn so_many_events_are_queued_and_no_more() {
    let event = client_bytes(&ClientMessage::Event(b"x"), 1);
    let waiting = |limits| {
        let config = Arc::new(Config::default().limits(limits));
        let mut server = server_got(&config, true, &event.repeat(3));
        // The end drops what isn't decoded.
        server.close(epoch());
        std::iter::from_fn(|| server.poll_event()).count()
    };
    let limits = Limits::default();
    assert_eq!(waiting(limits.max_events(2)), 2);
    assert_eq!(waiting(limits.max_events(0)), 1);
    assert_eq!(waiting(limits), 3);
    let len = event.len() * 3;
    // An event that holds nothing is no reason not to read.
    let none = Arc::new(Config::default().limits(limits.max_event_bytes(0)).ping_interval(None));
    let mut server = server_got(&none, true, b"");
    server.request(epoch(), b"?").unwrap();
    server.handle_timeout(server.poll_timeout().unwrap());
    assert!(server.wants_input() && server.poll_event().is_some());
    assert_eq!(waiting(limits.max_event_bytes(len)), 1, "so much is held that one will do");
    assert_eq!(waiting(limits.max_event_bytes(len + 1)), 3);
    // Behind another event, as far as there is room.
    let config = Arc::new(Config::default().limits(limits.max_events(2)));
    let request = client_bytes(&ClientMessage::Request(b"?"), 9);
    let mut server = server_got(&config, true, &[request, event.repeat(3)].concat());
    server.close(epoch());
    assert_eq!(std::iter::from_fn(|| server.poll_event()).count(), 2);
}

#[test]
fn what_is_inside_a_frame_is_no_frame_wherever_a_read_ends() {
    let inner = client_bytes(&ClientMessage::Event(b"inner"), 7).repeat(3);
    let stream = client_bytes(&ClientMessage::Event(&inner), 1).repeat(2);
    for cut in 0..stream.len() {
        let mut server = server_got(&Arc::new(Config::default()), true, &stream[..cut]);
        server.handle_input(epoch(), &stream[cut..]);
        let events: Vec<_> = std::iter::from_fn(|| server.poll_event()).collect();
        let expected = ServerEvent::Event(Payload::from(inner.clone()));
        assert_eq!(events, [expected.clone(), expected], "cut at {cut}");
    }
}

#[test]
fn timeouts_that_fill_the_queue_stop_the_clock_too() {
    let limits = Limits::default().max_events(1);
    let config = Arc::new(Config::default().limits(limits).ping_interval(None));
    let mut server = server_got(&config, true, b"");
    let now = epoch();
    let first = server.request(now, b"1").unwrap();
    server.request(now + SECOND, b"2").unwrap();
    server.handle_timeout(now + Duration::from_secs(30));
    assert!(!server.wants_input());
    let later = now + Duration::from_secs(3600);
    server.handle_timeout(later);
    let expected = ServerEvent::Outcome { request: first, outcome: Outcome::TimedOut };
    assert_eq!(server.poll_event(), Some(expected));
    assert_eq!(server.poll_event(), None, "the second one's answer may be waiting in the socket");
    assert_eq!(server.poll_timeout(), Some(later + SECOND));
}

#[test]
fn a_timeout_and_a_ping_that_have_come_wait_until_the_events_are_taken() {
    let config = Arc::new(Config::default().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, b"");
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at);
    let ping = server.poll_transmit().unwrap();
    // The answer is in time for what was handed in last, but behind an event that nobody takes.
    let answer = [5, 0, 1, 0, 2, ping[1], ping[2]];
    let bytes = [&client_bytes(&ClientMessage::Event(b"x"), 2)[..], &answer].concat();
    let late = at + Duration::from_secs(30);
    server.handle_input(late, &bytes);
    server.handle_timeout(late + SECOND);
    assert_eq!(server.poll_transmit(), None);
    assert_eq!(server.ended(), None);
    assert!(matches!(server.poll_event(), Some(ServerEvent::Event(_))));
    assert!(matches!(server.poll_event(), Some(ServerEvent::Pong { .. })));
    server.handle_timeout(late + SECOND);
    assert_eq!(server.poll_transmit().map(|ping| ping.len()), Some(5));
}

#[test]
fn input_handed_in_though_it_is_not_wanted_is_kept() {
    let limits = Limits::default().max_events(1);
    let config = Arc::new(Config::default().limits(limits));
    let event = |n| client_bytes(&ClientMessage::Event(&[n]), u16::from(n));
    let mut server = server_got(&config, true, &[event(0), event(1), event(2)].concat());
    server.handle_input(epoch(), &event(3)[..2]);
    assert!(!server.wants_input());
    server.handle_input(epoch(), &[&event(3)[2..], &event(4)].concat());
    server.handle_eof(epoch());
    assert!(!server.wants_input());
    server.handle_input(epoch(), &event(5));
    let taken: Vec<_> = std::iter::from_fn(|| server.poll_event()).collect();
    let expected = (0..5).map(|n| ServerEvent::Event(Payload::from(vec![n])));
    assert_eq!(taken, expected.collect::<Vec<_>>(), "nothing after the end of the stream");
    assert_eq!(server.ended(), Some(&End::Clean));
}

#[test]
fn a_full_queue_sends_nothing_and_leaves_everything_as_it_was() {
    let limits = Limits::default().max_transmit_bytes(20);
    let config = Arc::new(Config::default().limits(limits));
    let ask = client_bytes(&ClientMessage::Request(b"?"), 5);
    let mut server = server_got(&config, true, &ask);
    let now = epoch();
    let Some(ServerEvent::Request { id, .. }) = server.poll_event() else { panic!() };
    // One frame is always allowed, however long.
    server.event(now, &[7; 100]).unwrap();
    assert_eq!(server.event(now, b""), Err(SendError::QueueFull));
    assert_eq!(server.noop(now), Err(SendError::QueueFull));
    assert_eq!(server.request(now, b""), Err(SendError::QueueFull));
    assert_eq!(server.reply(now, id, b"x"), Err(AnswerError::Send(SendError::QueueFull)));
    assert_eq!(server.poll_transmit().unwrap().len(), 105);
    server.reply(now, id, b"x").unwrap();
    server.event(now, b"1234567").unwrap();
    assert_eq!(server.event(now, b""), Err(SendError::QueueFull));
    let sent = server.poll_transmit().unwrap();
    assert_eq!(sent[1..3], [0x80, 0x02], "no id was used up");
    let too_long = SendError::PayloadTooLarge { len: 65_536, limit: 65_535 };
    assert_eq!(server.event(now, &[0; 65_536]), Err(too_long));
}

// --- secrets and shape

#[test]
fn b9_nothing_that_holds_the_token_shows_it() {
    let mut pair = connected(Config::default());
    pair.run_for(SECOND);
    pair.server.session.accept(pair.now, b"s3cret").unwrap();
    let shown = format!("{:?}", pair.server.session);
    assert!(!shown.contains("s3cret"), "{shown}");
    pair.run_for(SECOND);
    for shown in [format!("{:?}", pair.client.session), format!("{:?}", pair.client.events)] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

type Dyn =
    dyn Session<Input = [u8], Transmit = bytes::Bytes, Event = ServerEvent, Error = SessionError>;

#[test]
fn sessions_go_into_a_box_and_to_other_threads() {
    fn sends<T: Send + 'static>() {}
    sends::<Client>();
    sends::<Server>();
    let mut boxed: Box<Dyn> = Box::new(server_got(&Arc::new(Config::default()), false, b""));
    boxed.handle_input(epoch(), b"\xff");
    assert!(boxed.ended().is_some());
}

#[test]
fn a_payload_is_its_bytes_and_is_shown_escaped() {
    let payload = Payload::from("claim\n7");
    assert!(payload == *b"claim\n7" && payload == *"claim\n7" && payload == b"claim\n7"[..]);
    assert!(payload != *b"claim 7" && payload != *"claim 7" && payload != b"claim 7"[..]);
    assert!(payload == "claim\n7" && payload != "claim 7");
    assert_eq!(payload.as_ref(), b"claim\n7");
    assert_eq!(format!("{payload:?}"), r#""claim\n7""#);
    assert_eq!(&payload.clone().into_bytes()[..], b"claim\n7");
    assert_eq!(&bytes::Bytes::from(payload)[..], b"claim\n7");
}

// --- settings

#[test]
fn each_setting_is_kept_beside_the_others() {
    let seconds = Duration::from_secs;
    let codec = CodecConfig::default()
        .byte_order(ByteOrder::LittleEndian)
        .error_reply_style(ErrorReplyStyle::PayloadPrefix)
        .max_payload(1);
    assert_eq!(codec.byte_order, ByteOrder::LittleEndian);
    assert_eq!((codec.error_reply_style, codec.max_payload), (ErrorReplyStyle::PayloadPrefix, 1));
    let limits =
        Limits::default().max_pending(1).max_transmit_bytes(2).max_events(3).max_event_bytes(4);
    assert_eq!((limits.max_pending, limits.max_transmit_bytes), (1, 2));
    assert_eq!((limits.max_events, limits.max_event_bytes), (3, 4));
    let config = Config::default()
        .codec(codec)
        .limits(limits)
        .handshake_timeout(seconds(1))
        .request_timeout(seconds(2))
        .ping_interval(Some(seconds(3)))
        .ping_timeout(seconds(4));
    assert_eq!((config.codec, config.limits), (codec, limits));
    assert_eq!((config.handshake_timeout, config.request_timeout), (seconds(1), seconds(2)));
    assert_eq!((config.ping_interval, config.ping_timeout), (Some(seconds(3)), seconds(4)));
}
