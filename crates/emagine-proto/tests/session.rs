//! The conversation of SPEC.md, step by step, over a link under virtual time.

#![allow(clippy::unchecked_time_subtraction, reason = "deadlines lie behind their start")]

use std::sync::Arc;
use std::time::Duration;

use emagine_proto::{
    Backoff, Client, ClientEvent, CloseCode, CloseFrame, CodecConfig, Config, DecideError,
    DecodeErrorKind, EncodeError, End, Json, Limits, Message, OpCode, SendError, Server,
    ServerEvent, Session, SessionError, ViolationKind,
};
use testkit::conformance::{discard, events};
use testkit::emagine::{TOKEN, hello, identify};
use testkit::epoch;
use testkit::pair::Pair;
use testkit::wire::sent;

type EmaginePair = Pair<Client, Server>;

const SECOND: Duration = Duration::from_secs(1);
const NANOSECOND: Duration = Duration::from_nanos(1);
const LATENCY: Duration = Duration::from_millis(20);

/// Seconds for the heartbeats, as they are easy to count.
fn config() -> Config {
    Config::default().heartbeat_interval(10 * SECOND)
}

/// Both ends before the handshake.
fn connected(config: Config) -> EmaginePair {
    let config = Arc::new(config);
    Pair::new(LATENCY, |now| {
        (Client::new(config.clone(), TOKEN, now).unwrap(), Server::new(config, now))
    })
}

/// Both ends after the handshake, with no events left.
fn ready(config: Config) -> EmaginePair {
    let mut pair = connected(config);
    pair.run_for(SECOND);
    pair.server.session.accept(pair.now, "ada").unwrap();
    pair.run_for(SECOND);
    assert!(pair.client.session.is_ready() && pair.server.session.is_ready());
    pair.client.events.clear();
    pair.server.events.clear();
    pair
}

fn text(text: &str) -> Message {
    Message::text(text.to_owned())
}

const READY: &str = r#"{"op":2,"user":"ada"}"#;

/// A server that got these, after the handshake or instead of one.
fn server_got(config: &Arc<Config>, ready: bool, texts: &[&str]) -> Server {
    let now = epoch();
    let mut server = Server::new(config.clone(), now);
    if ready {
        server.handle_input(now, &identify(TOKEN));
        server.accept(now, "ada").unwrap();
        assert!(server.is_ready());
    }
    discard(&mut server);
    for got in texts {
        server.handle_input(now, &text(got));
    }
    server
}

/// A client that got these, after the handshake (with the server's interval of 10 s) or instead of one.
fn client_got(config: &Arc<Config>, ready: bool, texts: &[&str]) -> Client {
    let now = epoch();
    let mut client = Client::new(config.clone(), TOKEN, now).unwrap();
    if ready {
        client.handle_input(now, &hello(10_000));
        client.handle_input(now, &text(READY));
        assert!(client.is_ready());
    }
    discard(&mut client);
    for got in texts {
        client.handle_input(now, &text(got));
    }
    client
}

/// A server after the handshake.
fn server_of(config: Config) -> Server {
    server_got(&Arc::new(config), true, &[])
}

/// A client after the handshake, with the server's interval of 10 s.
fn client_of(config: Config) -> Client {
    client_got(&Arc::new(config), true, &[])
}

/// A client that has had its Hello and no Ready.
fn identified(config: &Arc<Config>) -> Client {
    let mut client = client_got(config, false, &[]);
    client.handle_input(epoch(), &hello(10_000));
    discard(&mut client);
    client
}

/// A server that awaits a decision.
fn undecided(config: &Arc<Config>) -> Server {
    let mut server = server_got(config, false, &[]);
    server.handle_input(epoch(), &identify(TOKEN));
    discard(&mut server);
    server
}

/// Does this to a client and to a server, each ready or in its handshake.
macro_rules! with_every_session {
    ($config:expr, |$session:ident| $does:expr) => {{
        for $session in
            [client_got($config, false, &[]), identified($config), client_got($config, true, &[])]
        {
            $does
        }
        for $session in
            [server_got($config, false, &[]), undecided($config), server_got($config, true, &[])]
        {
            $does
        }
    }};
}

fn json(text: &str) -> Json {
    emagine_proto::JsonRef::new(text).unwrap().into()
}

/// The session has ended by this violation, and has only a close frame with this code to send.
#[track_caller]
fn assert_violation<S>(session: &mut S, kind: ViolationKind, code: u16)
where
    S: Session<Transmit = Message, Error = SessionError>,
{
    match session.ended() {
        Some(End::Error(SessionError::Violation(violation))) => assert_eq!(violation.kind, kind),
        other => panic!("no violation: {other:?}"),
    }
    let Some(Message::Close(Some(frame))) = session.poll_transmit() else { panic!("no close") };
    assert_eq!((frame.code(), kind.close_code()), (code, CloseCode(code)));
    assert!(!frame.reason().is_empty());
    assert_eq!(session.poll_transmit(), None);
    assert!(!session.wants_input());
    assert_eq!(session.poll_timeout(), None);
}

/// The session ends at `deadline` to the nanosecond, by this error, with 4002.
#[track_caller]
fn assert_times_out<S>(session: &mut S, deadline: std::time::Instant, error: SessionError)
where
    S: Session<Transmit = Message, Error = SessionError>,
{
    session.handle_timeout(deadline - NANOSECOND);
    assert_eq!((session.poll_transmit(), session.ended()), (None, None), "too early");
    assert_eq!(session.poll_timeout(), Some(deadline));
    session.handle_timeout(deadline);
    assert_eq!(session.ended(), Some(&End::Error(error)));
    assert_eq!(sent(session), ["close 4002"]);
}

fn invalid(key: &'static str, expected: &'static str) -> DecodeErrorKind {
    DecodeErrorKind::InvalidValue { key, expected }
}

/// A heartbeat with this time, and its ack.
fn heartbeat(time: &str) -> String {
    format!(r#"{{"op":10,"time":{time}}}"#)
}

fn ack(time: &str) -> String {
    format!(r#"{{"op":11,"time":{time}}}"#)
}

// --- 1: Hello and Identify

#[test]
fn step1_the_server_speaks_first_and_the_client_answers_with_its_token() {
    let config = Arc::new(Config::default());
    let now = epoch();
    let mut server = Server::new(config.clone(), now);
    assert_eq!(sent(&mut server), [r#"{"op":0,"heartbeat_interval":45000}"#]);
    let mut client = Client::new(config, "hunter\"2\"", now).unwrap();
    assert_eq!((client.poll_transmit(), client.poll_event()), (None, None));
    client.handle_input(now, &hello(45_000));
    assert_eq!(sent(&mut client), [r#"{"op":1,"token":"hunter\"2\""}"#]);
    let heartbeat_interval = Duration::from_secs(45);
    assert_eq!(events(&mut client), [ClientEvent::Connected { heartbeat_interval }]);
    assert!(!client.is_ready() && !server.is_ready());
}

#[test]
fn step1_anything_else_first_ends_the_client() {
    let config = Arc::new(config());
    for (first, op) in [
        (r#"{"op":3,"message":1}"#, OpCode::MESSAGE),
        (r#"{"op":2,"message":1}"#, OpCode::MESSAGE),
        (READY, OpCode::READY),
        (r#"{"op":1,"user":"ada"}"#, OpCode::READY),
    ] {
        let mut client = client_got(&config, false, &[first]);
        assert_violation(&mut client, ViolationKind::OutOfTurn(op), 4001);
        assert_eq!(client.poll_event(), None);
    }
    let mut client = client_got(&config, false, &["hello"]);
    assert_violation(&mut client, ViolationKind::Malformed(DecodeErrorKind::NotJson), 4001);
}

#[test]
fn step1_heartbeats_acks_and_unknown_ops_may_come_before_everything() {
    // E3: unknown ops in any state.
    let config = Arc::new(config());
    let raw = r#"{"op":4, "token":1}"#;
    let early = [heartbeat("7"), ack("7"), r#"{"op":11}"#.into(), format!(" {raw} ")];
    let early = early.each_ref().map(|text| &**text);
    let mut client = client_got(&config, false, &early);
    assert_eq!(sent(&mut client), [ack("7")]);
    let unknown = ClientEvent::Unknown { op: OpCode(4), raw: json(raw) };
    assert_eq!((events(&mut client), client.ended()), (vec![unknown], None));
    client.handle_input(epoch(), &hello(10_000));
    assert_eq!(sent(&mut client), [r#"{"op":1,"token":"hunter2"}"#]);
    let mut server = server_got(&config, false, &early);
    assert_eq!(sent(&mut server), [ack("7")]);
    let unknown = ServerEvent::Unknown { op: OpCode(4), raw: json(raw) };
    assert_eq!((events(&mut server), server.ended()), (vec![unknown], None));
    server.handle_input(epoch(), &identify(TOKEN));
    assert!(matches!(events(&mut server)[..], [ServerEvent::Identify { .. }]));
}

#[test]
fn step1_no_hello_and_no_ready_in_time() {
    let config = Arc::new(Config::default());
    let mut client = client_got(&config, false, &[r#"{"op":10}"#, r#"{"op":4}"#]);
    discard(&mut client);
    let deadline = client.poll_timeout().unwrap();
    assert!(deadline <= epoch() + 10 * SECOND);
    let mut silent = client_got(&config, false, &[]);
    let at = silent.poll_timeout().unwrap();
    assert_times_out(&mut silent, at, SessionError::HandshakeTimeout);
    // Just in time: the Ready has as long again.
    client.handle_input(deadline - NANOSECOND, &hello(45_000));
    discard(&mut client);
    let deadline = deadline - NANOSECOND + 10 * SECOND;
    client.handle_input(deadline - SECOND, &text(r#"{"op":10}"#));
    discard(&mut client);
    assert_times_out(&mut client, deadline, SessionError::HandshakeTimeout);
    // Once ready, there is no such deadline.
    let client = client_got(&config, true, &[]);
    assert!(client.poll_timeout().unwrap() > epoch() + 9 * SECOND);
}

#[test]
fn step1_no_identify_in_time() {
    let config = Arc::new(Config::default());
    // A peer that only heartbeats.
    let mut server = server_got(&config, false, &[r#"{"op":10}"#, r#"{"op":200}"#]);
    discard(&mut server);
    let deadline = server.poll_timeout().unwrap();
    for at in [3, 2, 1] {
        server.handle_input(deadline - at * SECOND, &text(r#"{"op":10}"#));
    }
    assert_eq!(sent(&mut server).len(), 3);
    assert_times_out(&mut server, deadline, SessionError::HandshakeTimeout);
}

#[test]
fn step1_a_second_hello_is_out_of_turn() {
    let config = Arc::new(config());
    for mut client in [identified(&config), client_got(&config, true, &[])] {
        client.handle_input(epoch(), &hello(10_000));
        assert_violation(&mut client, ViolationKind::OutOfTurn(OpCode::HELLO), 4001);
        assert_eq!(client.poll_event(), None);
    }
    // E5: what is wrong with it is told after that it is out of turn.
    let mut client = identified(&config);
    client.handle_input(epoch(), &hello(0));
    assert_violation(&mut client, ViolationKind::OutOfTurn(OpCode::HELLO), 4001);
}

#[test]
fn step1_tokens_of_any_length_and_what_is_none() {
    let around = r#"{"op":1,"token":""}"#.len();
    for len in [0, 1, 4096, (1 << 20) - around] {
        let token = "t".repeat(len);
        let now = epoch();
        let mut client = Client::new(Arc::new(config()), &token, now).unwrap();
        client.handle_input(now, &hello(10_000));
        let mut server = server_got(&Arc::new(config()), false, &[]);
        server.handle_input(now, &client.poll_transmit().unwrap());
        let Some(ServerEvent::Identify { token: got }) = server.poll_event() else { panic!() };
        assert!(**got.expose() == *token, "{len}");
    }
    // One byte more, and a whole megabyte: an error for the caller, and too big for the server.
    for len in [(1 << 20) - around + 1, 1 << 20] {
        let token = "t".repeat(len);
        let error = Client::new(Arc::new(config()), &token, epoch()).err();
        let (len, limit) = (len + around, 1 << 20);
        assert_eq!(error, Some(EncodeError::MessageTooLarge { len, limit }));
        let mut server = server_got(&Arc::new(config()), false, &[]);
        server.handle_input(epoch(), &identify(&token));
        let kind = DecodeErrorKind::MessageTooLarge { len, limit };
        assert_violation(&mut server, ViolationKind::Malformed(kind), 1009);
    }
    let mut server = server_got(&Arc::new(config()), false, &[]);
    server.handle_input(epoch(), &Message::text(&b"{\"op\":1,\"token\":\"\xFF\"}"[..]));
    assert_violation(&mut server, ViolationKind::Malformed(DecodeErrorKind::NotUtf8), 4001);
    for (token, kind) in [
        ("1", invalid("token", "a string")),
        ("null", invalid("token", "a string")),
        (r#""\ud800""#, invalid("token", "a string of whole characters")),
    ] {
        let got = format!(r#"{{"op":1,"token":{token}}}"#);
        let mut server = server_got(&Arc::new(config()), false, &[&got]);
        assert_violation(&mut server, ViolationKind::Malformed(kind), 4001);
        assert_eq!(server.poll_event(), None);
    }
}

// --- 2: the decision

#[test]
fn step2_the_application_lets_in_or_turns_away() {
    let mut pair = connected(config());
    pair.run_for(SECOND);
    let Some(ServerEvent::Identify { token }) = pair.server.events.pop_front() else { panic!() };
    assert_eq!(&**token.expose(), TOKEN);
    assert_eq!(pair.server.session.accept(pair.now, "a\"da"), Ok(()));
    assert!(pair.server.session.is_ready() && !pair.client.session.is_ready());
    pair.run_for(SECOND);
    let heartbeat_interval = 10 * SECOND;
    let expected = [
        ClientEvent::Connected { heartbeat_interval },
        ClientEvent::Ready { user: "a\"da".into() },
    ];
    assert_eq!(pair.client.events, expected);
    assert!(pair.client.session.is_ready());
    assert!(pair.server.events.is_empty());

    let mut pair = connected(config());
    pair.run_for(SECOND);
    assert_eq!(pair.server.session.refuse(pair.now), Ok(()));
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    let Some(End::Error(error)) = pair.client.session.ended() else { panic!() };
    let SessionError::Closed { code, .. } = error else { panic!("{error:?}") };
    assert_eq!(*code, CloseCode::IDENTIFY_FAILED);
    assert!(!error.should_reconnect());
}

#[test]
fn step2_what_is_written_of_the_decision() {
    let mut server = undecided(&Arc::new(config()));
    server.handle_input(epoch(), &text(&heartbeat("5")));
    server.accept(epoch(), "é\"").unwrap();
    assert_eq!(sent(&mut server), [ack("5"), r#"{"op":2,"user":"é\""}"#.into()]);
    let mut server = undecided(&Arc::new(config()));
    server.handle_input(epoch(), &text(&heartbeat("5")));
    server.refuse(epoch()).unwrap();
    assert_eq!(sent(&mut server), [ack("5"), "close 4003".into()]);
}

#[test]
fn step2_undecided_in_time_closes_with_4002() {
    let config = Arc::new(Config::default());
    let mut server = server_got(&config, false, &[]);
    let deadline = server.poll_timeout().unwrap();
    // Just in time: the decision has as long again.
    server.handle_input(deadline - NANOSECOND, &identify(TOKEN));
    discard(&mut server);
    let deadline = deadline - NANOSECOND + 10 * SECOND;
    assert_times_out(&mut server, deadline, SessionError::HandshakeTimeout);
    assert_eq!(server.accept(deadline, "ada"), Err(DecideError::NotWaiting));
    // Decided at the last moment.
    let mut server = undecided(&config);
    let deadline = server.poll_timeout().unwrap();
    server.handle_timeout(deadline - NANOSECOND);
    server.accept(deadline - NANOSECOND, "ada").unwrap();
    server.handle_timeout(deadline);
    assert_eq!(server.ended(), None);
}

#[test]
fn step2_identify_twice_or_after_ready() {
    let config = Arc::new(config());
    for mut server in [undecided(&config), server_got(&config, true, &[])] {
        server.handle_input(epoch(), &identify(TOKEN));
        assert_violation(&mut server, ViolationKind::OutOfTurn(OpCode::IDENTIFY), 4001);
        assert_eq!(server.poll_event(), None);
        assert_eq!(server.accept(epoch(), "ada"), Err(DecideError::NotWaiting));
    }
}

#[test]
fn step2_ready_twice() {
    let config = Arc::new(config());
    for again in [READY, r#"{"op":1,"user":"bob"}"#] {
        let mut client = client_got(&config, true, &[again]);
        assert_violation(&mut client, ViolationKind::OutOfTurn(OpCode::READY), 4001);
        assert_eq!(client.poll_event(), None);
    }
}

#[test]
fn step2_heartbeats_are_acknowledged_in_any_state() {
    let config = Arc::new(config());
    with_every_session!(&config, |session| {
        let mut session = session;
        session.handle_input(epoch(), &text(&heartbeat("[1, 2]")));
        session.handle_input(epoch(), &text(r#"{"op":10}"#));
        assert_eq!(sent(&mut session), [ack("[1, 2]"), r#"{"op":11}"#.into()]);
        assert_eq!((session.poll_event(), session.ended()), (None, None));
    });
}

#[test]
fn step2_no_decision_without_an_identify_or_twice() {
    let mut server = server_got(&Arc::new(config()), false, &[]);
    assert_eq!(server.accept(epoch(), "ada"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert_eq!((server.poll_transmit(), server.ended()), (None, None));
    server.handle_input(epoch(), &identify(TOKEN));
    server.accept(epoch(), "ada").unwrap();
    assert_eq!(server.accept(epoch(), "bob"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert!(server.is_ready());
    assert_eq!(sent(&mut server), [READY]);
    let mut server = undecided(&Arc::new(config()));
    server.refuse(epoch()).unwrap();
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert_eq!(server.accept(epoch(), "ada"), Err(DecideError::NotWaiting));
}

#[test]
fn step2_a_user_that_does_not_fit_leaves_the_client_waiting() {
    let around = r#"{"op":2,"user":""}"#.len();
    let codec = CodecConfig::default().max_message(100);
    let mut server = undecided(&Arc::new(config().codec(codec)));
    let error = EncodeError::MessageTooLarge { len: 101, limit: 100 };
    let user = "u".repeat(101 - around);
    assert_eq!(server.accept(epoch(), &user), Err(DecideError::Encode(error)));
    assert_eq!((server.poll_transmit(), server.is_ready()), (None, false));
    assert_eq!(server.accept(epoch(), &user[1..]), Ok(()));
}

#[test]
fn step2_a_close_or_a_lost_connection_during_identify_is_the_end() {
    let config = Arc::new(config());
    let lost = End::Error(SessionError::ConnectionLost);
    let mut server = undecided(&config);
    server.handle_input(epoch(), &text(r#"{"op":10}"#));
    server.handle_input(epoch(), &Message::Close(None));
    assert_eq!(server.ended(), Some(&End::Clean));
    assert_eq!(server.accept(epoch(), "ada"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(epoch()), Err(DecideError::NotWaiting));
    assert_eq!((server.poll_event(), server.poll_transmit()), (None, None));
    let mut server = undecided(&config);
    server.handle_eof(epoch());
    assert_eq!(server.ended(), Some(&lost));
    assert_eq!(server.accept(epoch(), "ada"), Err(DecideError::NotWaiting));
    // The server closes before the Identify is on its way.
    let mut client = client_got(&config, false, &[]);
    client.handle_input(epoch(), &hello(10_000));
    client.handle_input(epoch(), &Message::Close(Some(CloseFrame::new(1001, ""))));
    assert_eq!((client.poll_transmit(), client.ended()), (None, Some(&End::Clean)));
    // And we do.
    let mut client = client_got(&config, false, &[]);
    client.handle_input(epoch(), &hello(10_000));
    client.close(epoch());
    assert_eq!(sent(&mut client), [r#"{"op":1,"token":"hunter2"}"#, "close 1000"]);
}

// --- 3: messages

#[test]
fn step3_messages_flow_to_the_client_in_order() {
    let mut pair = ready(config());
    for n in 0..100 {
        pair.server.session.send_message(pair.now, &(n, "x")).unwrap();
    }
    pair.run_for(SECOND);
    for n in 0..100 {
        let message = json(&format!(r#"[{n},"x"]"#));
        assert_eq!(pair.client.events.pop_front(), Some(ClientEvent::Message { message }));
    }
    assert!(pair.client.events.is_empty());
}

#[test]
fn step3_a_message_before_ready_is_an_error_for_the_caller_and_a_violation_on_the_client() {
    let config = Arc::new(config());
    for mut server in [server_got(&config, false, &[]), undecided(&config)] {
        assert_eq!(server.send_message(epoch(), "early"), Err(SendError::NotReady));
        assert_eq!((server.poll_transmit(), server.ended()), (None, None));
    }
    for early in [r#"{"op":3,"message":"early"}"#, r#"{"op":2,"message":"early"}"#] {
        let mut client = identified(&config);
        client.handle_input(epoch(), &text(early));
        assert_violation(&mut client, ViolationKind::OutOfTurn(OpCode::MESSAGE), 4001);
        assert_eq!(client.poll_event(), None);
    }
}

#[test]
fn step3_a_message_may_be_any_json_and_is_handed_over_byte_for_byte() {
    // E1: in both spellings.
    for message in testkit::fuzz::json::DELICATE {
        for op in [2, 3] {
            let got = format!(r#"{{"op":{op},"user":"x","message": {message} }}"#);
            let mut client = client_got(&Arc::new(config()), true, &[&got]);
            let message = json(message);
            assert_eq!(events(&mut client), [ClientEvent::Message { message }]);
        }
        let mut server = server_got(&Arc::new(config()), true, &[]);
        server.send_message(epoch(), &json(message)).unwrap();
        assert_eq!(sent(&mut server), [format!(r#"{{"op":3,"message":{message}}}"#)]);
    }
}

#[test]
fn step3_what_only_the_other_side_says_closes_with_4001() {
    // E2.
    let config = Arc::new(config());
    let wrong = |op| ViolationKind::Malformed(DecodeErrorKind::WrongDirection(op));
    for server in [
        || server_got(&Arc::new(Config::default()), false, &[]),
        || server_got(&Arc::new(Config::default()), true, &[]),
    ] {
        for (got, op) in [
            (r#"{"op":0,"heartbeat_interval":1000}"#, OpCode::HELLO),
            (READY, OpCode::READY),
            (r#"{"op":3,"message":1}"#, OpCode::MESSAGE),
        ] {
            let mut server = server();
            server.handle_input(epoch(), &text(got));
            assert_violation(&mut server, wrong(op), 4001);
        }
    }
    // E1: of a server, an Identify is a Ready that lacks its user.
    for ready in [false, true] {
        let mut client = client_got(&config, ready, &[r#"{"op":1,"token":"x"}"#]);
        let kind = ViolationKind::Malformed(DecodeErrorKind::MissingKey("user"));
        assert_violation(&mut client, kind, 4001);
    }
}

// --- 4: heartbeats

#[test]
fn step4_both_sides_send_heartbeats_an_interval_after_hello_and_then_every_interval() {
    let mut pair = connected(config());
    pair.run_for(SECOND);
    pair.server.session.accept(pair.now, "ada").unwrap();
    pair.run_for(Duration::from_secs(94));
    let round_trip = 2 * LATENCY;
    let acks = pair.client.events.iter();
    let acks = acks.filter(|event| **event == ClientEvent::HeartbeatAck { round_trip });
    assert_eq!((acks.count(), pair.client.events.len()), (9, 11));
    let acks = pair.server.events.iter();
    let acks = acks.filter(|event| **event == ServerEvent::HeartbeatAck { round_trip });
    assert_eq!((acks.count(), pair.server.events.len()), (9, 10));
    assert_eq!((pair.client.session.ended(), pair.server.session.ended()), (None, None));
}

#[test]
fn step4_the_first_heartbeat_to_the_nanosecond() {
    let config = Arc::new(config().handshake_timeout(60 * SECOND));
    with_every_session!(&config, |session| {
        let mut session = session;
        let at = session.poll_timeout().unwrap();
        session.handle_timeout(at - NANOSECOND);
        assert_eq!((session.poll_transmit(), session.ended()), (None, None));
        assert_eq!(session.poll_timeout(), Some(at));
        session.handle_timeout(at);
        let has_hello = sent(&mut session);
        // Without a Hello there is nothing but the deadline of the handshake.
        let expected = if session.ended().is_some() { "close 4002" } else { &heartbeat("10000") };
        assert_eq!(has_hello, [expected]);
    });
    // Counted from the Hello, not from the start.
    let mut client = client_got(&config, false, &[]);
    let start = epoch();
    client.handle_input(start + 5 * SECOND, &hello(10_000));
    discard(&mut client);
    assert_eq!(client.poll_timeout(), Some(start + 15 * SECOND));
}

#[test]
fn step4_a_heartbeat_unacknowledged_for_an_interval_is_the_peers_death() {
    let config = Arc::new(config());
    let mut client = client_got(&config, true, &[]);
    let mut server = server_got(&config, true, &[]);
    let first = client.poll_timeout().unwrap();
    client.handle_timeout(first);
    assert_eq!(sent(&mut client), [heartbeat("10000")]);
    assert_times_out(&mut client, first + 10 * SECOND, SessionError::HeartbeatTimeout);
    assert!(SessionError::HeartbeatTimeout.should_reconnect());
    let first = server.poll_timeout().unwrap();
    server.handle_timeout(first);
    assert_eq!(sent(&mut server), [heartbeat("10000")]);
    // Other traffic is no ack.
    server.handle_input(first + SECOND, &text(r#"{"op":10}"#));
    server.handle_input(first + 9 * SECOND, &text(r#"{"op":9}"#));
    discard(&mut server);
    assert_times_out(&mut server, first + 10 * SECOND, SessionError::HeartbeatTimeout);
    // At the last moment it is one.
    let mut client = client_got(&config, true, &[]);
    let first = client.poll_timeout().unwrap();
    client.handle_timeout(first);
    assert_eq!(sent(&mut client), [heartbeat("10000")]);
    let last = first + 10 * SECOND - NANOSECOND;
    client.handle_input(last, &text(&ack("10000")));
    let round_trip = 10 * SECOND - NANOSECOND;
    assert_eq!(events(&mut client), [ClientEvent::HeartbeatAck { round_trip }]);
    discard(&mut client);
    client.handle_timeout(first + 10 * SECOND);
    assert_eq!(sent(&mut client), [heartbeat("20000")]);
    assert_eq!(client.ended(), None);
}

#[test]
fn step4_a_peer_that_is_gone_is_noticed_by_both() {
    let mut pair = ready(config());
    pair.latency = Duration::from_secs(3600);
    pair.run_for(Duration::from_secs(60));
    let dead = End::Error(SessionError::HeartbeatTimeout);
    assert_eq!(pair.server.session.ended(), Some(&dead));
    assert_eq!(pair.client.session.ended(), Some(&dead));
}

#[test]
fn step4_a_client_that_is_closed_by_the_servers_timeout_is_told() {
    let mut server = server_got(&Arc::new(config()), true, &[]);
    for _ in 0..2 {
        let at = server.poll_timeout().unwrap();
        server.handle_timeout(at);
    }
    server.poll_transmit();
    let mut client = client_got(&Arc::new(config()), true, &[]);
    client.handle_input(epoch(), &server.poll_transmit().unwrap());
    let Some(End::Error(error)) = client.ended() else { panic!() };
    assert!(matches!(error, SessionError::Closed { code: CloseCode::TIMED_OUT, .. }));
    assert!(error.should_reconnect());
}

/// A client whose first heartbeat is on its way, and when that was.
fn beaten(config: &Arc<Config>) -> (Client, std::time::Instant) {
    let mut client = client_got(config, true, &[]);
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    assert_eq!(sent(&mut client), [heartbeat("10000")]);
    (client, at)
}

#[test]
fn step4_which_acks_answer_a_heartbeat() {
    let config = Arc::new(config());
    for (time, answers) in [
        (Some("10000"), true),
        // By value.
        (Some("10000.0"), true),
        (Some("1e4"), true),
        (Some("1.0E+4"), true),
        (Some("100000e-1"), true),
        // The oldest.
        (None, true),
        (Some("10001"), false),
        (Some("9999"), false),
        (Some("10000.5"), false),
        (Some("-10000"), false),
        (Some("0"), false),
        (Some("1e300"), false),
        (Some("1e999"), false),
        (Some("18446744073709561616"), false),
        (Some("\"10000\""), false),
        (Some("null"), false),
        (Some("true"), false),
        (Some("[10000]"), false),
        (Some("{\"time\":10000}"), false),
    ] {
        let got = time.map_or(r#"{"op":11}"#.to_owned(), ack);
        let (mut client, at) = beaten(&config);
        client.handle_input(at + SECOND, &text(&got));
        let expected = answers.then_some(ClientEvent::HeartbeatAck { round_trip: SECOND });
        assert_eq!((client.poll_event(), client.poll_event()), (expected, None), "{got}");
        // A second one answers nothing.
        client.handle_input(at + 2 * SECOND, &text(&got));
        assert_eq!((client.poll_event(), client.poll_transmit()), (None, None), "{got}");
        client.handle_timeout(at + 10 * SECOND);
        assert_eq!(client.ended().is_none(), answers, "{got}");
        // Nor is it good for the next heartbeat.
        if answers {
            discard(&mut client);
            client.handle_timeout(at + 20 * SECOND);
            assert_eq!(client.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
        }
    }
}

#[test]
fn step4_an_ack_of_nothing_is_ignored_and_is_not_good_for_what_comes() {
    let config = Arc::new(config());
    let early = [ack("10000"), r#"{"op":11}"#.into(), ack("0")];
    let early = early.each_ref().map(|text| &**text);
    let mut client = client_got(&config, true, &early);
    let mut server = server_got(&config, true, &early);
    assert_eq!((client.poll_event(), server.poll_event()), (None, None));
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    discard(&mut client);
    assert_times_out(&mut client, at + 10 * SECOND, SessionError::HeartbeatTimeout);
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at);
    discard(&mut server);
    assert_times_out(&mut server, at + 10 * SECOND, SessionError::HeartbeatTimeout);
}

#[test]
fn step4_an_ack_comes_only_to_what_has_been_sent() {
    // Nobody writes to the socket, and the peer acknowledges what it can't have heard.
    let config = Arc::new(config());
    let mut client = client_got(&config, true, &[]);
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    for got in [r#"{"op":11}"#.to_owned(), ack("10000")] {
        client.handle_input(at + SECOND, &text(&got));
        assert_eq!(client.poll_event(), None, "{got}");
    }
    // When it is, they may.
    assert_eq!(sent(&mut client), [heartbeat("10000")]);
    client.handle_input(at + 2 * SECOND, &text(r#"{"op":11}"#));
    let round_trip = 2 * SECOND;
    assert_eq!(events(&mut client), [ClientEvent::HeartbeatAck { round_trip }]);
    // The first of two is.
    client.heartbeat(at + 3 * SECOND).unwrap();
    client.heartbeat(at + 4 * SECOND).unwrap();
    assert_eq!(client.poll_transmit(), Some(text(&heartbeat("13000"))));
    client.handle_input(at + 5 * SECOND, &text(&ack("14000")));
    assert_eq!(client.poll_event(), None);
    for _ in 0..2 {
        client.handle_input(at + 5 * SECOND, &text(r#"{"op":11}"#));
    }
    let round_trip = 2 * SECOND;
    assert_eq!(events(&mut client), [ClientEvent::HeartbeatAck { round_trip }]);
}

#[test]
fn step4_heartbeats_go_out_however_much_waits_but_never_pile_up() {
    let config = Arc::new(config().limits(Limits::default().max_transmit_bytes(1)));
    let mut server = server_got(&config, true, &[]);
    server.send_message(epoch(), &"x".repeat(1000)).unwrap();
    let mut now = epoch();
    let mut refused = 0;
    for _ in 0..100 {
        // Nobody writes to the socket, and the client acknowledges all the same.
        server.handle_input(now, &text(r#"{"op":11}"#));
        refused += u32::from(server.heartbeat(now).is_err());
        server.handle_input(now, &text(r#"{"op":11}"#));
        assert_eq!(server.poll_event(), None);
        now += SECOND / 20;
        server.handle_timeout(now);
    }
    assert_eq!((sent(&mut server).len(), refused), (5, 96), "a message and four heartbeats");
}

#[test]
fn step4_a_time_of_max_time_and_one_more() {
    for (max, config) in [(1024, config()), (30, config().limits(Limits::default().max_time(30)))] {
        let config = Arc::new(config);
        let longest = format!("\"{}\"", "x".repeat(max - 2));
        let longer = format!("\"{}\"", "x".repeat(max - 1));
        with_every_session!(&config, |session| {
            let mut session = session;
            session.handle_input(epoch(), &text(&ack(&longest)));
            session.handle_input(epoch(), &text(&heartbeat(&longest)));
            assert_eq!(sent(&mut session), [ack(&longest)]);
            session.handle_input(epoch(), &text(&heartbeat(&longer)));
            assert_violation(&mut session, ViolationKind::TimeTooLong(max + 1), 4001);
        });
        with_every_session!(&config, |session| {
            let mut session = session;
            session.handle_input(epoch(), &text(&ack(&longer)));
            assert_violation(&mut session, ViolationKind::TimeTooLong(max + 1), 4001);
        });
    }
    // An object of 1 MiB, where such long messages are taken and where not.
    let object = format!(r#"{{"x":"{}"}}"#, "x".repeat((1 << 20) - 8));
    let long = Arc::new(config().codec(CodecConfig::default().max_message(2 << 20)));
    let mut client = client_got(&long, true, &[&ack(&object)]);
    assert_violation(&mut client, ViolationKind::TimeTooLong(1 << 20), 4001);
    let mut client = client_got(&Arc::new(config()), true, &[&ack(&object)]);
    let kind = DecodeErrorKind::MessageTooLarge { len: (1 << 20) + 17, limit: 1 << 20 };
    assert_violation(&mut client, ViolationKind::Malformed(kind), 1009);
    // A limit of nothing is one of 20.
    let config = Arc::new(config().limits(Limits::default().max_time(0)));
    let longest = "7".repeat(20);
    let mut server = server_got(&config, true, &[&heartbeat(&longest)]);
    assert_eq!(sent(&mut server), [ack(&longest)]);
}

#[test]
fn step4_times_are_echoed_byte_for_byte() {
    let config = Arc::new(config());
    for time in testkit::fuzz::json::DELICATE {
        let got = format!("{{\"time\":\t{time} ,\"op\":10}}");
        with_every_session!(&config, |session| {
            let mut session = session;
            session.handle_input(epoch(), &text(&got));
            assert_eq!(sent(&mut session), [ack(time)]);
        });
    }
}

#[test]
fn step4_a_fifth_heartbeat_while_four_acks_wait_is_a_violation() {
    let config = Arc::new(config());
    with_every_session!(&config, |session| {
        let mut session = session;
        for n in 0..4 {
            session.handle_input(epoch(), &text(&heartbeat(&n.to_string())));
        }
        // One taken makes room for one.
        assert_eq!(session.poll_transmit(), Some(text(&ack("0"))));
        session.handle_input(epoch(), &text(&heartbeat("4")));
        assert_eq!(session.ended(), None);
        session.handle_input(epoch(), &text(&heartbeat("5")));
        let Some(End::Error(SessionError::Violation(violation))) = session.ended() else {
            panic!("{:?}", session.ended())
        };
        assert_eq!(violation.kind, ViolationKind::TooManyHeartbeats);
        let expected = [ack("1"), ack("2"), ack("3"), ack("4"), "close 4001".into()];
        assert_eq!(sent(&mut session), expected);
    });
    // What else is taken makes none.
    let mut server = server_got(&config, true, &[]);
    server.send_message(epoch(), &1).unwrap();
    for _ in 0..4 {
        server.handle_input(epoch(), &text(r#"{"op":10}"#));
    }
    assert_eq!(server.poll_transmit(), Some(text(r#"{"op":3,"message":1}"#)));
    server.handle_input(epoch(), &text(r#"{"op":10}"#));
    assert!(server.ended().is_some());
}

#[test]
fn step4_heartbeats_of_the_application() {
    let config = Arc::new(config());
    let (start, mut client) = (epoch(), client_got(&config, true, &[]));
    // Four, and no more; the first ones' acks come last.
    for n in 1..=4 {
        client.heartbeat(start + n * SECOND).unwrap();
    }
    assert_eq!(client.heartbeat(start + 4 * SECOND), Err(SendError::TooManyHeartbeats));
    let times: Vec<u64> = sent(&mut client)
        .iter()
        .map(|heartbeat| {
            let time = heartbeat.strip_prefix(r#"{"op":10,"time":"#).unwrap();
            time.strip_suffix('}').unwrap().parse().unwrap()
        })
        .collect();
    assert!(times.is_sorted() && times[3] - times[0] == 3000, "{times:?}");
    for (at, of, after) in [(6, 2, 3), (7, 3, 3), (8, 0, 7)] {
        client.handle_input(start + at * SECOND, &text(&ack(&times[of].to_string())));
        let round_trip = after * SECOND;
        assert_eq!(events(&mut client), [ClientEvent::HeartbeatAck { round_trip }]);
        assert_eq!(client.ended(), None);
    }
    // The one that is left is answered by an ack without a time.
    client.handle_input(start + 9 * SECOND, &text(r#"{"op":11}"#));
    let round_trip = 7 * SECOND;
    assert_eq!(events(&mut client), [ClientEvent::HeartbeatAck { round_trip }]);
    for _ in 0..4 {
        client.heartbeat(start + 9 * SECOND).unwrap();
    }
    assert_eq!(client.heartbeat(start + 9 * SECOND), Err(SendError::TooManyHeartbeats));
}

#[test]
fn step4_heartbeats_of_the_application_that_are_not_acknowledged() {
    let config = Arc::new(config());
    let dead = Some(&End::Error(SessionError::HeartbeatTimeout));
    // Sent before the first beat: outstanding at it, and so due at the next, though that one's is not.
    let mut server = server_got(&config, true, &[]);
    let first = server.poll_timeout().unwrap();
    server.heartbeat(first - 5 * SECOND).unwrap();
    server.handle_timeout(first);
    discard(&mut server);
    server.handle_input(first + SECOND, &text(&ack("10000")));
    assert!(matches!(events(&mut server)[..], [ServerEvent::HeartbeatAck { .. }]));
    assert_times_out(&mut server, first + 10 * SECOND, SessionError::HeartbeatTimeout);
    // Sent after it: it has until the beat after the next.
    let mut server = server_got(&config, true, &[]);
    let first = server.poll_timeout().unwrap();
    server.handle_timeout(first);
    server.heartbeat(first + 5 * SECOND).unwrap();
    discard(&mut server);
    server.handle_input(first + 6 * SECOND, &text(&ack("10000")));
    server.handle_timeout(first + 10 * SECOND);
    assert_eq!((sent(&mut server), server.ended()), (vec![heartbeat("20000")], None));
    discard(&mut server);
    server.handle_input(first + 11 * SECOND, &text(&ack("20000")));
    server.handle_timeout(first + 20 * SECOND);
    assert_eq!(server.ended(), dead);
    // Where four are outstanding none is sent on the beat, but they are due at the next.
    for acknowledged in [false, true] {
        let mut server = server_got(&config, true, &[]);
        let first = server.poll_timeout().unwrap();
        for _ in 0..4 {
            server.heartbeat(first - SECOND).unwrap();
        }
        discard(&mut server);
        server.handle_timeout(first);
        assert_eq!((server.poll_transmit(), server.ended()), (None, None));
        if acknowledged {
            for _ in 0..4 {
                server.handle_input(first + SECOND, &text(r#"{"op":11}"#));
            }
            assert_eq!(events(&mut server).len(), 4);
        }
        server.handle_timeout(first + 10 * SECOND);
        assert_eq!(server.ended(), if acknowledged { None } else { dead });
        let expected = if acknowledged { heartbeat("20000") } else { "close 4002".into() };
        assert_eq!(sent(&mut server), [expected]);
    }
}

#[test]
fn step4_no_heartbeat_before_hello_or_after_the_end() {
    let config = Arc::new(config());
    let mut client = client_got(&config, false, &[]);
    assert_eq!(client.heartbeat(epoch()), Err(SendError::NotReady));
    client.handle_input(epoch(), &hello(10_000));
    client.heartbeat(epoch()).unwrap();
    client.close(epoch());
    assert_eq!(client.heartbeat(epoch()), Err(SendError::Ended));
    let mut server = server_got(&config, false, &[]);
    server.heartbeat(epoch()).unwrap();
    assert_eq!(sent(&mut server).len(), 1);
}

#[test]
fn step4_a_driver_that_comes_late_leaves_the_peer_its_interval() {
    let config = Arc::new(config());
    for late in [NANOSECOND, SECOND, 10 * SECOND - NANOSECOND, 10 * SECOND, 25 * SECOND] {
        let mut client = client_got(&config, true, &[]);
        let at = client.poll_timeout().unwrap() + late;
        client.handle_timeout(at);
        assert_eq!(sent(&mut client).len(), 1, "{late:?}: one heartbeat, however late");
        assert_eq!(client.ended(), None);
        assert_times_out(&mut client, at + 10 * SECOND, SessionError::HeartbeatTimeout);
    }
}

// --- 5: the time

#[test]
fn step5_time_is_that_of_the_wall_clock_if_it_is_told() {
    let config = Arc::new(config());
    let unix = 1_579_523_400_000;
    let now = epoch();
    let mut server = Server::new(config.clone(), now).unix_time(unix);
    let mut client = Client::new(config.clone(), TOKEN, now).unwrap().unix_time(unix + 77);
    client.handle_input(now, &hello(10_000));
    discard(&mut server);
    discard(&mut client);
    server.heartbeat(now + Duration::from_micros(5_999)).unwrap();
    client.heartbeat(now + Duration::from_millis(6)).unwrap();
    assert_eq!(sent(&mut server), [heartbeat("1579523400005")]);
    assert_eq!(sent(&mut client), [heartbeat("1579523400083")]);
    // An ack of a peer that keeps numbers as floats.
    server.handle_input(now + SECOND, &text(&ack("1579523400005.0")));
    let round_trip = SECOND - Duration::from_micros(5_999);
    assert_eq!(events(&mut server), [ServerEvent::HeartbeatAck { round_trip }]);
    client.handle_input(now + SECOND, &text(&ack("1.579523400083E12")));
    assert!(matches!(events(&mut client)[..], [ClientEvent::HeartbeatAck { .. }]));
    // Without it counts from there.
    let mut server = Server::new(config.clone(), now);
    discard(&mut server);
    server.heartbeat(now + Duration::from_micros(5_999)).unwrap();
    assert_eq!(sent(&mut server), [heartbeat("5")]);
    // One at the end of time stays there.
    let mut server = Server::new(config, now).unix_time(u64::MAX - 1);
    discard(&mut server);
    for _ in 0..2 {
        server.heartbeat(now + SECOND).unwrap();
        assert_eq!(sent(&mut server), [heartbeat("18446744073709551615")]);
    }
    server.handle_input(now + SECOND, &text(&ack("18446744073709551615")));
    assert_eq!(events(&mut server).len(), 1);
}

#[test]
fn step5_heartbeats_of_the_same_millisecond_are_answered_in_order() {
    let now = epoch();
    let mut server = Server::new(Arc::new(config()), now);
    discard(&mut server);
    server.heartbeat(now + Duration::from_millis(1)).unwrap();
    server.heartbeat(now + Duration::from_micros(1500)).unwrap();
    assert_eq!(sent(&mut server), [heartbeat("1"), heartbeat("1")]);
    for round_trip in [1000, 500] {
        server.handle_input(now + Duration::from_millis(2), &text(&ack("1")));
        let round_trip = Duration::from_micros(round_trip);
        assert_eq!(events(&mut server), [ServerEvent::HeartbeatAck { round_trip }]);
    }
}

// --- E3: what is unknown

#[test]
fn e3_an_unknown_op_is_an_event_and_nothing_else() {
    let raw = r#"{"op":255, "token":"x", "op2":0}"#;
    let config = Arc::new(config());
    for ready in [false, true] {
        let mut server = server_got(&config, ready, &[&format!(" {raw}\n")]);
        let expected = ServerEvent::Unknown { op: OpCode(255), raw: json(raw) };
        assert_eq!(events(&mut server), [expected]);
        assert_eq!((server.poll_transmit(), server.ended()), (None, None));
        let mut client = client_got(&config, ready, &[raw, r#"{"op":4}"#]);
        let expected = [
            ClientEvent::Unknown { op: OpCode(255), raw: json(raw) },
            ClientEvent::Unknown { op: OpCode(4), raw: json(r#"{"op":4}"#) },
        ];
        assert_eq!(events(&mut client), expected);
        assert_eq!((client.poll_transmit(), client.ended()), (None, None));
    }
}

// --- E4: close codes

#[test]
fn e4_a_binary_message_closes_with_1003() {
    let config = Arc::new(config());
    let binary = Message::Binary(br#"{"op":10}"#.to_vec().into());
    with_every_session!(&config, |session| {
        let mut session = session;
        session.handle_input(epoch(), &binary);
        assert_violation(&mut session, ViolationKind::UnexpectedBinary, 1003);
    });
}

#[test]
fn e4_what_cannot_be_read_closes_with_4001_or_1009() {
    type Kind = DecodeErrorKind;
    let codec = CodecConfig::default().max_message(200);
    let config = Arc::new(config().codec(codec));
    let exactly = format!(r#"{{"op":9,"d":"{}"}}"#, "x".repeat(185));
    assert_eq!(exactly.len(), 200);
    let too_long = format!("{exactly} ");
    let deep = format!(r#"{{"op":9,"d":{}"#, "[".repeat(128));
    for (got, kind, code) in [
        (&b"\xFF"[..], Kind::NotUtf8, 4001),
        (b"{\"op\":10,\"s\":\"\xC3\"}", Kind::NotUtf8, 4001),
        (b"", Kind::NotJson, 4001),
        (b"{\"op\":10", Kind::NotJson, 4001),
        (b"{\"op\":10}{}", Kind::NotJson, 4001),
        (b"[]", Kind::NotAnObject, 4001),
        (b"{}", Kind::MissingKey("op"), 4001),
        (b"{\"op\":4.0}", invalid("op", "an integer from 0 to 255"), 4001),
        (b"{\"op\":7,\"op\":7}", Kind::DuplicateKey("op"), 4001),
        (deep.as_bytes(), Kind::TooDeep, 4001),
        (too_long.as_bytes(), Kind::MessageTooLarge { len: 201, limit: 200 }, 1009),
    ] {
        let message = Message::Text(got.to_vec().into());
        with_every_session!(&config, |session| {
            let mut session = session;
            session.handle_input(epoch(), &message);
            assert_violation(&mut session, ViolationKind::Malformed(kind), code);
            assert_eq!(session.poll_event(), None);
        });
    }
    let mut client = client_got(&config, true, &[r#"{"op":3}"#]);
    assert_violation(&mut client, ViolationKind::Malformed(Kind::MissingKey("message")), 4001);
    assert_eq!(server_got(&config, true, &[&exactly]).ended(), None);
}

#[test]
fn e4_the_offset_of_what_is_wrong_is_told() {
    let mut server = server_got(&Arc::new(config()), false, &[r#"{"op":1,"token":7}"#]);
    let Some(End::Error(SessionError::Violation(violation))) = server.ended() else { panic!() };
    assert_eq!(violation.offset, 16);
    let Some(Message::Close(Some(frame))) = server.poll_transmit() else { panic!() };
    assert_eq!(frame.reason(), "\"token\" is not a string at byte 16");
}

#[test]
fn e4_what_the_peer_closes_with() {
    let reconnects = |code: u16| code != 4003;
    for code in [None, Some(1000), Some(1001)]
        .into_iter()
        .chain([1002, 1003, 1006, 1009, 1011, 4000, 4001, 4002, 4003, 4004, 0, 65_535].map(Some))
    {
        let end = match code {
            None | Some(1000 | 1001) => End::Clean,
            Some(code) => {
                End::Error(SessionError::Closed { code: CloseCode(code), reason: "why".into() })
            }
        };
        let close = Message::Close(code.map(|code| CloseFrame::new(code, "why")));
        let config = Arc::new(config());
        let mut server = server_got(&config, true, &[]);
        server.send_message(epoch(), &1).unwrap();
        server.handle_input(epoch(), &close);
        assert_eq!(server.ended(), Some(&end));
        assert_eq!(server.poll_transmit(), None, "there is nobody to send it to");
        let mut client = client_got(&config, true, &[r#"{"op":10}"#]);
        client.handle_input(epoch(), &close);
        assert_eq!((client.poll_transmit(), client.ended()), (None, Some(&end)));
        if let End::Error(error) = end {
            assert_eq!(error.should_reconnect(), code.is_none_or(reconnects), "{code:?}");
        }
    }
}

#[test]
fn e4_our_own_end_is_1000_or_what_the_application_says() {
    let mut pair = ready(config());
    pair.client.session.close(pair.now);
    assert_eq!(pair.client.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));

    let mut pair = ready(config());
    pair.server.session.close_with(pair.now, CloseFrame::new(4999, "maintenance"));
    assert_eq!(pair.server.session.ended(), Some(&End::Clean));
    pair.run_for(SECOND);
    let closed =
        |reason: &str| SessionError::Closed { code: CloseCode(4999), reason: reason.into() };
    assert_eq!(pair.client.session.ended(), Some(&End::Error(closed("maintenance"))));
    assert_eq!(closed("maintenance").to_string(), "closed by the peer: 4999 maintenance");
    assert_eq!(closed("").to_string(), "closed by the peer: 4999");
    // Before the handshake as well.
    let mut client = client_got(&Arc::new(config()), false, &[]);
    client.close(epoch());
    assert_eq!(sent(&mut client), ["close 1000"]);
}

#[test]
fn e4_what_was_queued_is_sent_before_the_close_frame() {
    let limits = Limits::default().max_transmit_bytes(1);
    for config in [config(), config().limits(limits)] {
        let config = Arc::new(config);
        let mut server = server_got(&config, true, &[]);
        server.send_message(epoch(), "last words").unwrap();
        server.handle_input(epoch(), &text(r#"{"op":10}"#));
        server.handle_input(epoch(), &text("{"));
        let expected = [r#"{"op":3,"message":"last words"}"#, r#"{"op":11}"#, "close 4001"];
        assert_eq!(sent(&mut server), expected);
    }
}

#[test]
fn e4_after_the_end_nothing_changes() {
    let config = Arc::new(config());
    let mut server = server_got(&config, true, &[r#"{"op":9}"#, "{"]);
    let end = server.ended().cloned();
    let now = epoch();
    for message in [r#"{"op":10}"#, r#"{"op":11}"#, r#"{"op":1,"token":""}"#, r#"{"op":9}"#, "{"] {
        server.handle_input(now, &text(message));
    }
    server.handle_input(now, &Message::Close(None));
    server.handle_input(now, &Message::Binary(b"x".to_vec().into()));
    server.handle_eof(now);
    server.close(now);
    server.close_with(now, CloseFrame::new(4000, "again"));
    server.handle_timeout(now + Duration::from_secs(1000));
    assert_eq!(server.send_message(now, &1), Err(SendError::Ended));
    assert_eq!(server.heartbeat(now), Err(SendError::Ended));
    assert_eq!(server.accept(now, "ada"), Err(DecideError::NotWaiting));
    assert_eq!(server.refuse(now), Err(DecideError::NotWaiting));
    assert_eq!(server.ended(), end.as_ref(), "the first end stays");
    assert_eq!(sent(&mut server), ["close 4001"]);
    assert_eq!(events(&mut server).len(), 1);
    let mut client = client_got(&config, false, &[]);
    client.close(now);
    client.handle_input(now, &hello(10_000));
    assert_eq!((sent(&mut client), client.poll_event()), (vec!["close 1000".into()], None));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn e4_a_connection_that_ends_without_a_close_frame_is_lost() {
    let lost = End::Error(SessionError::ConnectionLost);
    with_every_session!(&Arc::new(config()), |session| {
        let mut session = session;
        session.handle_eof(epoch());
        assert_eq!((session.poll_transmit(), session.ended()), (None, Some(&lost)));
    });
    assert!(SessionError::ConnectionLost.should_reconnect());
}

// --- E5: the interval

#[test]
fn e5_intervals_at_the_client() {
    let config = Arc::new(config().handshake_timeout(Duration::MAX));
    let not_one =
        ViolationKind::Malformed(invalid("heartbeat_interval", "an integer from 0 to 2^53"));
    for (interval, kind) in [
        ("0", Some(ViolationKind::IntervalTooShort(0))),
        ("1", Some(ViolationKind::IntervalTooShort(1))),
        ("99", Some(ViolationKind::IntervalTooShort(99))),
        ("100", None),
        ("9007199254740992", None),
        ("9007199254740993", Some(not_one)),
        ("18446744073709551616", Some(not_one)),
        ("1e300", Some(not_one)),
        ("1000.0", Some(not_one)),
        ("1e3", Some(not_one)),
        ("-1", Some(not_one)),
        ("-1000", Some(not_one)),
        ("\"1000\"", Some(not_one)),
        ("null", Some(not_one)),
    ] {
        let hello = format!(r#"{{"op":0,"heartbeat_interval":{interval}}}"#);
        let mut client = client_got(&config, false, &[&hello]);
        if let Some(kind) = kind {
            assert_violation(&mut client, kind, 4001);
            assert_eq!(client.poll_event(), None, "the token stays here");
            continue;
        }
        assert_eq!(client.ended(), None);
        let milliseconds: u64 = interval.parse().unwrap();
        let heartbeat_interval = Duration::from_millis(milliseconds);
        assert_eq!(events(&mut client), [ClientEvent::Connected { heartbeat_interval }]);
        discard(&mut client);
        // One longer than any clock never comes.
        assert_eq!(client.poll_timeout().is_some(), milliseconds == 100);
        client.handle_timeout(epoch() + Duration::from_secs(1 << 33));
        assert_eq!(sent(&mut client).len(), usize::from(milliseconds == 100));
        // The application's own do.
        client.heartbeat(epoch()).unwrap();
        assert_eq!(sent(&mut client).len(), 1);
    }
    let mut client = client_got(&config, false, &[r#"{"op":0}"#]);
    let kind = DecodeErrorKind::MissingKey("heartbeat_interval");
    assert_violation(&mut client, ViolationKind::Malformed(kind), 4001);
}

#[test]
fn e5_the_shortest_interval_may_be_set_but_is_never_nothing() {
    let config = Arc::new(config().min_heartbeat_interval(Duration::ZERO));
    let mut client = client_got(&config, false, &[r#"{"op":0,"heartbeat_interval":0}"#]);
    assert_violation(&mut client, ViolationKind::IntervalTooShort(0), 4001);
    let mut client = client_got(&config, false, &[r#"{"op":0,"heartbeat_interval":1}"#]);
    discard(&mut client);
    let at = client.poll_timeout().unwrap();
    client.handle_timeout(at);
    assert_eq!(sent(&mut client).len(), 1);
    client.handle_input(at, &text(r#"{"op":11}"#));
    assert_eq!(client.poll_timeout(), Some(at + Duration::from_millis(1)));
    // The limit itself is fine.
    let config = Config::default().min_heartbeat_interval(Duration::from_micros(5_500));
    for (told, fine) in [(5, false), (6, true)] {
        let mut client = client_got(&Arc::new(config.clone()), false, &[]);
        client.handle_input(epoch(), &hello(told));
        assert_eq!(client.ended().is_none(), fine);
    }
}

#[test]
fn e5_what_a_server_tells_is_always_an_interval_and_what_it_keeps() {
    for (configured, told) in [
        (Duration::ZERO, 1_u64),
        (Duration::from_micros(1999), 1),
        (Duration::from_millis(2), 2),
        (Duration::from_millis(1 << 53), 1 << 53),
        (Duration::MAX, 1 << 53),
    ] {
        let config = config().heartbeat_interval(configured).handshake_timeout(Duration::MAX);
        let now = epoch();
        let mut server = Server::new(Arc::new(config), now);
        assert_eq!(sent(&mut server), [format!(r#"{{"op":0,"heartbeat_interval":{told}}}"#)]);
        let next = (told < 1 << 53).then(|| now + Duration::from_millis(told));
        assert_eq!(server.poll_timeout(), next);
        if next.is_none() {
            server.handle_timeout(epoch() + Duration::from_secs(1 << 35));
            assert_eq!((server.poll_transmit(), server.ended()), (None, None));
            server.heartbeat(now).unwrap();
        }
    }
}

// --- 6: connecting again

#[test]
fn step6_whether_to_connect_again_and_how_long_to_wait() {
    let closed = |code| SessionError::Closed { code, reason: "".into() };
    for (error, again) in [
        (closed(CloseCode::IDENTIFY_FAILED), false),
        (closed(CloseCode::INVALID_PAYLOAD), true),
        (closed(CloseCode::TIMED_OUT), true),
        (closed(CloseCode(1011)), true),
        (SessionError::ConnectionLost, true),
        (SessionError::HandshakeTimeout, true),
        (SessionError::HeartbeatTimeout, true),
    ] {
        assert_eq!(error.should_reconnect(), again, "{error}");
    }
    let mut client = client_got(&Arc::new(config()), true, &["{"]);
    let Some(End::Error(error)) = client.ended() else { panic!() };
    assert!(error.should_reconnect());
    discard(&mut client);

    let mut backoff = Backoff::new();
    for failures in 0..100_u64 {
        let delay = backoff.delay(failures.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        assert!(delay >= SECOND && delay <= 8 * SECOND, "{delay:?}");
    }
}

// --- time

#[test]
fn time_that_goes_back_changes_nothing() {
    let mut server = server_got(&Arc::new(config()), true, &[]);
    let at = server.poll_timeout().unwrap();
    server.handle_timeout(at - SECOND);
    server.handle_timeout(at - 9 * SECOND);
    server.handle_input(at - 9 * SECOND, &text(r#"{"op":9}"#));
    discard(&mut server);
    assert_eq!(server.poll_timeout(), Some(at));
    server.heartbeat(at - 5 * SECOND).unwrap();
    assert_eq!(sent(&mut server), [heartbeat("9000")]);
}

#[test]
fn timeouts_longer_than_any_clock_never_come() {
    let config = Arc::new(Config::default().handshake_timeout(Duration::MAX));
    let mut client = client_got(&config, false, &[]);
    assert_eq!(client.poll_timeout(), None);
    for age in [1 << 33, 1 << 35] {
        client.handle_timeout(epoch() + Duration::from_secs(age));
        assert_eq!((client.poll_transmit(), client.ended()), (None, None));
    }
    let mut server = undecided(&config);
    server.handle_timeout(epoch() + Duration::from_secs(44));
    assert_eq!(server.ended(), None);
}

#[test]
fn the_connection_is_lost_after_every_number_of_messages() {
    for cut_after in 0.. {
        let mut pair = connected(config());
        pair.cut_after = Some(cut_after);
        pair.run_for(SECOND);
        let _ = pair.server.session.accept(pair.now, "ada");
        pair.run_for(SECOND);
        let _ = pair.client.session.heartbeat(pair.now);
        for n in 0..3 {
            let _ = pair.server.session.send_message(pair.now, &n);
        }
        pair.run_for(10 * SECOND);
        pair.client.session.close(pair.now);
        pair.run_for(SECOND);
        let whole = pair.cut_after > Some(0);
        let lost = End::Error(SessionError::ConnectionLost);
        match (pair.client.session.ended(), pair.server.session.ended()) {
            (Some(End::Clean), Some(End::Clean)) => assert!(cut_after >= 12),
            (Some(client), Some(server)) => {
                assert!(!whole && (*client == lost || *server == lost), "{client:?}, {server:?}");
            }
            ends => panic!("{ends:?} after {cut_after} messages"),
        }
        if whole {
            // Hello, Identify, Ready, three heartbeats and their acks, three messages, the close.
            assert_eq!(cut_after, 14);
            break;
        }
    }
}

// --- back-pressure

#[test]
fn events_that_nobody_takes_stop_the_reading_and_lose_nothing() {
    let config = Arc::new(config().limits(Limits::default().max_events(10)));
    let mut client = client_got(&config, true, &[]);
    let mut wanted = 0;
    for n in 0..100 {
        wanted += u32::from(client.wants_input());
        // Handed in all the same, it isn't lost.
        client.handle_input(epoch(), &text(&format!(r#"{{"op":3,"message":{n}}}"#)));
    }
    assert_eq!(wanted, 10);
    for n in 0..100 {
        assert_eq!(client.wants_input(), n > 90, "{n} taken");
        let Some(ClientEvent::Message { message }) = client.poll_event() else { panic!() };
        assert_eq!(message.get(), n.to_string());
    }
    assert!(client.wants_input());
}

#[test]
fn long_events_stop_the_reading_too() {
    let limits = Limits::default().max_event_bytes(1000);
    let config = Arc::new(config().limits(limits));
    let long = format!(r#"{{"op":3,"message":"{}"}}"#, "x".repeat(497));
    let mut client = client_got(&config, true, &[&long]);
    assert!(client.wants_input());
    client.handle_input(epoch(), &text(&long));
    assert!(client.wants_input(), "998 bytes");
    client.handle_input(epoch(), &text(r#"{"op":3,"message":12}"#));
    assert!(!client.wants_input(), "1000 bytes");
    discard(&mut client);
    assert!(client.wants_input());
    // What is taken counts no longer.
    for _ in 0..5 {
        client.handle_input(epoch(), &text(&long));
        assert!(client.wants_input() && client.poll_event().is_some());
    }
    // Tokens, users and unknown messages count as well.
    let tight = Arc::new((*config).clone().limits(limits.max_event_bytes(4)));
    let mut server = server_got(&tight, false, &[]);
    server.handle_input(epoch(), &identify("1234"));
    assert!(!server.wants_input() && server.poll_event().is_some() && server.wants_input());
    let mut client = identified(&tight);
    client.handle_input(epoch(), &text(r#"{"op":2,"user":"1234"}"#));
    assert!(!client.wants_input() && client.poll_event().is_some() && client.wants_input());
    client.handle_input(epoch(), &text(r#"{"op":4}"#));
    assert!(!client.wants_input());
    // A limit of nothing is one of one.
    let nothing = Limits::default().max_events(0).max_event_bytes(0);
    let config = Arc::new(Config::default().limits(nothing));
    let mut server = server_got(&config, true, &[r#"{"op":9}"#]);
    assert!(!server.wants_input() && server.poll_event().is_some() && server.wants_input());
    let nothing = nothing.max_events(2);
    let config = Arc::new(Config::default().limits(nothing));
    let mut client = client_got(&config, false, &[]);
    client.handle_input(epoch(), &hello(10_000));
    assert!(client.wants_input(), "an event without text");
}

#[test]
fn output_that_nobody_takes_stops_no_reading() {
    let limits = Limits::default().max_transmit_bytes(1);
    let config = Arc::new(config().limits(limits));
    let mut server = server_got(&config, true, &[]);
    server.send_message(epoch(), &"x".repeat(10_000)).unwrap();
    for _ in 0..4 {
        assert!(server.wants_input());
        server.handle_input(epoch(), &text(r#"{"op":10}"#));
    }
    assert!(server.wants_input());
    assert_eq!(sent(&mut server).len(), 5);
}

#[test]
fn time_in_which_events_are_not_taken_does_not_count() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[]);
    let beat = server.poll_timeout().unwrap();
    server.handle_timeout(beat);
    assert_eq!(sent(&mut server), [heartbeat("10000")]);
    // The ack is in the socket, but behind an event that nobody takes for an hour.
    server.handle_input(beat + SECOND, &text(r#"{"op":9}"#));
    assert_eq!((server.wants_input(), server.poll_timeout()), (false, None));
    let later = beat + Duration::from_secs(3600);
    server.handle_timeout(later);
    assert_eq!((server.poll_transmit(), server.ended()), (None, None));
    assert!(matches!(server.poll_event(), Some(ServerEvent::Unknown { .. })));
    assert!(server.wants_input());
    // Once they are taken, the rest of the interval counts.
    assert_eq!(server.poll_timeout(), Some(later + 9 * SECOND));
    server.handle_input(later + SECOND, &text(&ack("10000")));
    // By our own clock, which doesn't stand still.
    let round_trip = Duration::from_secs(3601);
    assert_eq!(events(&mut server), [ServerEvent::HeartbeatAck { round_trip }]);
    server.handle_timeout(later + 9 * SECOND);
    assert_eq!(sent(&mut server), [heartbeat("3619000")], "nor does the time of day");
    assert_times_out(&mut server, later + 19 * SECOND, SessionError::HeartbeatTimeout);
}

#[test]
fn a_timeout_and_a_heartbeat_that_have_come_wait_until_the_events_are_taken() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[]);
    let at = server.poll_timeout().unwrap();
    server.handle_input(at, &text(r#"{"op":9}"#));
    server.handle_timeout(at);
    assert_eq!(server.poll_transmit(), None);
    discard(&mut server);
    server.handle_timeout(at);
    assert_eq!(sent(&mut server), [heartbeat("10000")]);
    let at = server.poll_timeout().unwrap();
    server.handle_input(at, &text(r#"{"op":9}"#));
    server.handle_timeout(at + SECOND);
    assert_eq!(server.ended(), None, "the ack may be waiting in the socket");
    discard(&mut server);
    server.handle_timeout(at + SECOND);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
    // So does the handshake's end: an Identify that nobody has looked at is undecided for no time.
    let mut server = server_got(&config, false, &[]);
    server.handle_input(epoch(), &identify(TOKEN));
    server.handle_timeout(epoch() + Duration::from_secs(3600));
    assert_eq!((server.ended(), server.poll_timeout()), (None, None));
    discard(&mut server);
    assert!(server.poll_timeout().unwrap() > epoch() + Duration::from_secs(3600));
    server.accept(epoch() + Duration::from_secs(3601), "ada").unwrap();
}

#[test]
fn bursts_of_events_that_are_taken_at_once_stop_no_timeout() {
    for burst in [1, 1024] {
        let config = Arc::new(config().limits(Limits::default().max_events(burst)));
        let (mut client, beat) = beaten(&config);
        for n in 1..4 {
            for _ in 0..burst {
                client.handle_input(beat + n * SECOND, &text(r#"{"op":3,"message":1}"#));
            }
            assert!(!client.wants_input());
            discard(&mut client);
        }
        assert_times_out(&mut client, beat + 10 * SECOND, SessionError::HeartbeatTimeout);
    }
}

#[test]
fn what_the_application_does_while_events_wait_counts_no_time() {
    let config = Arc::new(config().limits(Limits::default().max_events(1)));
    let mut server = server_got(&config, true, &[r#"{"op":9}"#]);
    let later = epoch() + 60 * SECOND;
    server.send_message(later, &1).unwrap();
    server.heartbeat(later).unwrap();
    assert!(server.poll_event().is_some());
    let before = sent(&mut server);
    assert_eq!(before.len(), 2);
    server.handle_timeout(later);
    assert_eq!((server.poll_transmit(), server.ended()), (None, None));
}

// --- what can't be sent

#[test]
fn a_full_queue_sends_nothing_and_leaves_everything_as_it_was() {
    let limits = Limits::default().max_transmit_bytes(300);
    let mut server = server_got(&Arc::new(config().limits(limits)), true, &[]);
    let now = epoch();
    // While at most half waits, one more may, however long.
    server.send_message(now, &"x".repeat(1000)).unwrap();
    assert_eq!(server.send_message(now, &1), Err(SendError::QueueFull));
    // Heartbeats go all the same.
    server.heartbeat(now).unwrap();
    assert_eq!(sent(&mut server).len(), 2);
    // 84 bytes are counted for that, no more than half. With 84 more, 132 are left, and 64 of them are
    // for the message.
    let around = r#"{"op":3,"message":""}"#.len();
    let of_len = |len: usize| "x".repeat(len - around);
    server.send_message(now, &7).unwrap();
    server.send_message(now, &7).unwrap();
    assert_eq!(server.send_message(now, &of_len(69)), Err(SendError::QueueFull));
    server.send_message(now, &of_len(68)).unwrap();
    assert_eq!(server.send_message(now, &1), Err(SendError::QueueFull));
    assert_eq!(sent(&mut server).len(), 3);
    server.send_message(now, &1).unwrap();
}

#[test]
fn what_cannot_be_expressed_or_is_too_long_is_an_error_for_the_caller() {
    let codec = CodecConfig::default().max_message(300);
    let mut server = server_got(&Arc::new(config().codec(codec)), true, &[]);
    let now = epoch();
    let around = r#"{"op":3,"message":""}"#.len();
    let message = "x".repeat(301 - around);
    let too_long = SendError::Encode(EncodeError::MessageTooLarge { len: 301, limit: 300 });
    assert_eq!(server.send_message(now, &message), Err(too_long));
    server.send_message(now, &message[1..]).unwrap();
    // A map whose keys aren't strings, and what is nested too deep.
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(matches!(server.send_message(now, &map), Err(SendError::Json(_))));
    let deep = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let value: serde_json::Value = serde_json::from_str(&deep(127)).unwrap();
    server.send_message(now, &value).unwrap();
    assert!(matches!(server.send_message(now, &[value]), Err(SendError::Json(_))));
    assert_eq!(sent(&mut server).len(), 2);
}

// --- secrets and shape

#[test]
fn nothing_that_holds_the_token_shows_it() {
    let secret = "s3cret";
    let config = Arc::new(config());
    let now = epoch();
    let mut client = Client::new(config.clone(), secret, now).unwrap();
    let mut shown = vec![format!("{client:?}")];
    client.handle_input(now, &hello(1000));
    shown.push(format!("{client:?}"));
    let message = client.poll_transmit().unwrap();
    shown.push(format!("{message:?} {client:?}"));
    let mut server = Server::new(config.clone(), now);
    server.handle_input(now, &message);
    shown.push(format!("{server:?}"));
    let event = server.poll_event().unwrap();
    shown.push(format!("{event:?}"));
    server.handle_input(now, &message);
    discard(&mut server);
    // Nor does what ends the session, or is sent because of it.
    shown.push(format!("{server:?} {:?}", server.ended()));
    for text in [
        r#"{"op":1,"token":"s3cret","token":"s3cret"}"#,
        r#"{"op":1,"token":"s3cret\ud800"}"#,
        r#"{"op":2,"token":"s3cret"}"#,
        r#"{"op":1,"token":["s3cret"]}"#,
    ] {
        let mut server = server_got(&config, false, &[text]);
        let Some(Message::Close(Some(frame))) = server.poll_transmit() else { panic!() };
        shown.push(format!("{frame:?} {server:?} {:?}", server.ended()));
    }
    let states = [
        "Client { side: Connecting",
        "Client { side: Identified",
        "Text(",
        "Server { side: Deciding",
    ];
    for (shown, state) in shown.iter().zip(states) {
        assert!(shown.starts_with(state), "{shown}");
    }
    for shown in shown {
        assert!(!shown.contains("cret"), "{shown}");
    }
}

type Dyn =
    dyn Session<Input = Message, Transmit = Message, Event = ServerEvent, Error = SessionError>;

#[test]
fn sessions_go_into_a_box_and_to_other_threads() {
    fn sends<T: Send + Sync + 'static>() {}
    sends::<Client>();
    sends::<Server>();
    let mut boxed: Box<Dyn> = Box::new(server_got(&Arc::new(config()), false, &[]));
    boxed.handle_input(epoch(), &text("{"));
    assert!(boxed.ended().is_some());
}

#[test]
fn step1_hello_and_heartbeats_are_sent_whatever_max_message_is() {
    let config = Config::default().codec(CodecConfig::default().max_message(1));
    let mut server = Server::new(Arc::new(config), epoch());
    server.heartbeat(epoch()).unwrap();
    assert_eq!(
        sent(&mut server),
        [r#"{"op":0,"heartbeat_interval":45000}"#, r#"{"op":10,"time":0}"#]
    );
}

#[test]
fn step1_nothing_follows_a_close_frame_where_a_heartbeat_is_due_as_well() {
    let config = Config::default().heartbeat_interval(10 * SECOND);
    let mut server = Server::new(Arc::new(config), epoch());
    discard(&mut server);
    server.handle_timeout(epoch() + 10 * SECOND);
    assert_eq!(sent(&mut server), ["close 4002"]);
}

#[test]
fn e3_a_time_of_over_a_mebibyte_is_echoed_where_it_may_be() {
    let limits = Limits::default().max_time(2 << 20);
    let config =
        Config::default().codec(CodecConfig::default().max_message(3 << 20)).limits(limits);
    let mut server = server_of(config);
    let time = format!("\"{}\"", "x".repeat(3 << 19));
    server.handle_input(epoch(), &text(&format!(r#"{{"op":10,"time":{time}}}"#)));
    assert!(sent(&mut server) == [format!(r#"{{"op":11,"time":{time}}}"#)]);
}

#[test]
fn input_that_is_handed_in_while_events_wait_tells_how_long_it_was() {
    let limits = Limits::default().max_events(1);
    let mut server = server_of(Config::default().heartbeat_interval(10 * SECOND).limits(limits));
    let due = server.poll_timeout().unwrap();
    let start = due - 10 * SECOND;
    server.handle_input(start + SECOND, &text(r#"{"op":9}"#));
    server.handle_input(start + 3600 * SECOND, &text(r#"{"op":10}"#));
    discard(&mut server);
    assert_eq!(server.poll_timeout(), Some(due + 3599 * SECOND));
}

#[test]
fn a_decision_while_events_wait_tells_how_long_it_was() {
    let limits = Limits::default().max_events(1);
    let config = Arc::new(Config::default().heartbeat_interval(10 * SECOND).limits(limits));
    let (start, mut server) = (epoch(), Server::new(config, epoch()));
    server.handle_input(start, &identify(TOKEN));
    server.accept(start + 3600 * SECOND, "ada").unwrap();
    discard(&mut server);
    server.handle_timeout(start + 3600 * SECOND);
    assert_eq!(
        (server.poll_transmit(), server.poll_timeout()),
        (None, Some(start + 3610 * SECOND))
    );
}

#[test]
fn that_it_has_ended_is_told_before_that_it_isnt_ready() {
    let config = Arc::new(Config::default());
    let mut server = Server::new(config.clone(), epoch());
    server.close(epoch());
    assert_eq!(server.send_message(epoch(), &1), Err(SendError::Ended));
    let mut client = Client::new(config, "x", epoch()).unwrap();
    client.close(epoch());
    assert_eq!(client.heartbeat(epoch()), Err(SendError::Ended));
}

#[test]
fn a_full_queue_doesnt_even_look_at_the_value() {
    let mut server = server_of(Config::default().limits(Limits::default().max_transmit_bytes(1)));
    server.send_message(epoch(), &1).unwrap();
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert_eq!(server.send_message(epoch(), &map), Err(SendError::QueueFull));
}

#[test]
fn a_long_message_counts_whole() {
    let limits = Limits::default().max_event_bytes(100_000);
    let mut client = client_of(Config::default().limits(limits));
    for (len, wants) in [(99_997, true), (99_998, false)] {
        client.handle_input(
            epoch(),
            &text(&format!(r#"{{"op":3,"message":"{}"}}"#, "x".repeat(len))),
        );
        assert_eq!(client.wants_input(), wants, "{len}");
        discard(&mut client);
    }
}

#[test]
fn step4_an_ack_of_the_applications_heartbeat_is_none_of_the_regular_one() {
    let mut server = server_of(Config::default().heartbeat_interval(10 * SECOND));
    let first = server.poll_timeout().unwrap();
    server.handle_timeout(first);
    server.heartbeat(first + SECOND).unwrap();
    discard(&mut server);
    server.handle_input(first + 2 * SECOND, &text(r#"{"op":11,"time":11000}"#));
    assert_eq!(events(&mut server), [ServerEvent::HeartbeatAck { round_trip: SECOND }]);
    server.handle_timeout(first + 10 * SECOND);
    assert_eq!(server.ended(), Some(&End::Error(SessionError::HeartbeatTimeout)));
}

#[test]
fn step4_a_number_beyond_any_integer_answers_no_heartbeat_at_the_end_of_time() {
    let mut server = Server::new(Arc::new(Config::default()), epoch()).unix_time(u64::MAX);
    server.heartbeat(epoch()).unwrap();
    discard(&mut server);
    server.handle_input(epoch(), &text(r#"{"op":11,"time":18446744073709551616}"#));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn an_ack_counts_no_bytes() {
    let limits = Limits::default().max_event_bytes(1);
    let mut server = server_of(Config::default().limits(limits));
    server.heartbeat(epoch()).unwrap();
    discard(&mut server);
    server.handle_input(epoch(), &text(r#"{"op":11}"#));
    assert!(server.wants_input() && server.poll_event().is_some());
}

#[test]
fn e3_a_fifth_heartbeat_whose_time_is_too_long_is_told_of_its_time() {
    let mut server = server_of(Config::default());
    for _ in 0..4 {
        server.handle_input(epoch(), &text(r#"{"op":10}"#));
    }
    let long = "7".repeat(1025);
    server.handle_input(epoch(), &text(&format!(r#"{{"op":10,"time":{long}}}"#)));
    let Some(End::Error(SessionError::Violation(v))) = server.ended() else { panic!() };
    assert_eq!(v.kind, ViolationKind::TimeTooLong(1025));
}

#[test]
fn step2_ready_is_sent_however_much_waits() {
    let limits = Limits::default().max_transmit_bytes(1);
    let mut server = Server::new(Arc::new(Config::default().limits(limits)), epoch());
    server.handle_input(epoch(), &identify(TOKEN));
    server.handle_input(epoch(), &text(r#"{"op":10}"#));
    server.accept(epoch(), "ada").unwrap();
    let expected =
        [r#"{"op":0,"heartbeat_interval":45000}"#, r#"{"op":11}"#, r#"{"op":2,"user":"ada"}"#];
    assert_eq!(sent(&mut server), expected);
}

#[test]
fn step4_the_ack_of_our_own_time_is_never_too_long() {
    let limits = Limits::default().max_time(1);
    let config = Arc::new(Config::default().limits(limits));
    let mut server = Server::new(config, epoch()).unix_time(u64::MAX);
    discard(&mut server);
    server.heartbeat(epoch()).unwrap();
    let beat = sent(&mut server).remove(0);
    assert_eq!(beat, r#"{"op":10,"time":18446744073709551615}"#);
    server.handle_input(epoch(), &text(&beat.replace("\"op\":10", "\"op\":11")));
    assert!(matches!(server.poll_event(), Some(ServerEvent::HeartbeatAck { .. })));
    server.handle_input(epoch(), &text(r#"{"op":11,"time":184467440737095516150}"#));
    let Some(End::Error(SessionError::Violation(violation))) = server.ended() else { panic!() };
    assert_eq!(violation.kind, ViolationKind::TimeTooLong(21));
}

// --- settings

#[test]
fn each_setting_is_kept_beside_the_others() {
    let seconds = Duration::from_secs;
    let codec = CodecConfig::default().max_message(1);
    assert_eq!(codec.max_message, 1);
    let limits =
        Limits::default().max_time(1).max_transmit_bytes(2).max_events(3).max_event_bytes(4);
    assert_eq!((limits.max_time, limits.max_transmit_bytes), (1, 2));
    assert_eq!((limits.max_events, limits.max_event_bytes), (3, 4));
    let config = Config::default()
        .codec(codec)
        .limits(limits)
        .heartbeat_interval(seconds(1))
        .min_heartbeat_interval(seconds(2))
        .handshake_timeout(seconds(3));
    assert_eq!((config.codec, config.limits), (codec, limits));
    assert_eq!(
        (config.heartbeat_interval, config.min_heartbeat_interval),
        (seconds(1), seconds(2))
    );
    assert_eq!(config.handshake_timeout, seconds(3));
}
